"""What runs again after which change, to the job, and what must not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import harness
import pydicom
import pytest
from harness import BATCH_RULES, CLOSING_RULES, PATIENT_RULES, Run, Workplace, jobs

import factories
from sample_identity import BARNABY, source_uid

pytestmark = pytest.mark.workflow

RESULTS = ("audits", "releases", *(f"private/{name}" for name in (*harness.BATCH_RESULTS, "readings", "manifests")))


def results(place: Workplace) -> dict[str, tuple[int, int]]:
    """Return the state of all that a run makes and keeps."""
    return {f"{name}/{path}": seen for name in RESULTS for path, seen in harness.state(place.output / name).items()}


def readings(place: Workplace) -> dict[str, tuple[int, int]]:
    """Return the state of the store of readings, which is not empty."""
    found = harness.state(place.output / "private" / "readings")
    assert found
    return found


def released(folder: Path) -> dict[str, bytes]:
    """Return {path: bytes} of the DICOM files of a release."""
    found = {name: data for name, data in harness.content(folder).items() if name.endswith(".dcm")}
    assert found
    return found


def edit(path: Path, **attributes: object) -> None:
    """Change attributes of an instance in the input."""
    ds = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        assert ds.get(keyword) != value
        setattr(ds, keyword, value)
    ds.save_as(path)


def series_of(place: Workplace, change: str) -> list[str]:
    """Return the new Series Instance UIDs that a manifest names under `change`."""
    return [name.split("/")[1] for name in place.manifest()[change]]


def planned(dry: Run) -> set[str]:
    """Return what a dry run names as its work."""
    lines = dry.shown.splitlines()
    return {line.removeprefix("would run ") for line in lines if line.startswith("would run ")}


def plan(batches: Iterable[str], rules: Iterable[str]) -> set[str]:
    """Return what a dry run names where these rules are to run on these batches, and those over all batches."""
    named = ", ".join(sorted(batches))
    return {f"{rule}: {named}" for rule in rules} | {f"{rule}: once" for rule in CLOSING_RULES}


def of_series(place: Workplace, files: dict[str, bytes], name: str) -> dict[str, bytes]:
    """Return those of some released files that belong to a series of the input."""
    series = place.new_series()[name]
    found = {path: data for path, data in files.items() if path.split("/")[-2] == series}
    assert found
    return found


def test_nothing_runs_where_nothing_changed_or_was_only_touched(place: Workplace) -> None:
    before = results(place)
    again = place.run()
    for path in place.source.rglob("*.dcm"):
        path.touch()
    touched = place.run()
    for run in (again, touched):
        assert run.jobs == []
        assert "Nothing changed: nothing to do." in run.shown
    assert harness.differing(results(place), before) == []


def test_edit_of_an_instance_reruns_its_batch_and_reads_no_picture(place: Workplace) -> None:
    before, read, old = released(place.newest()), readings(place), place.newest()
    edit(place.source / "first" / "IM2.dcm", KVP="100")
    run = place.run()
    assert run.jobs == jobs([place.batches()["first"]])
    assert readings(place) == read
    after = released(place.newest())
    changed = harness.differing(after, before)
    assert len(changed) == 1 and changed[0] in of_series(place, after, "first")
    assert pydicom.dcmread(place.newest() / changed[0]).KVP == 100
    assert place.releases() == ["0001", "0002"] and released(old) == before
    assert series_of(place, "changed") == [place.new_series()["first"]]


def test_after_the_clock_went_back_only_what_changed_runs_again(place: Workplace) -> None:
    """All that a run wrote comes from two days ahead; then an instance is edited, and the clock goes back in between."""
    date_ahead(place)
    before = results(place)
    still = place.run()
    assert still.jobs == []
    assert "The clock went back" in still.shown
    known = {name: content for name, content in results(place).items() if name.startswith("releases/")}
    assert known and known.items() <= before.items()
    edit(place.source / "first" / "IM2.dcm", KVP="100")
    place.run("--dry-run")  # the scan writes what changed
    date_ahead(place)
    assert place.run().jobs == jobs([place.batches()["first"]])
    assert series_of(place, "changed") == [place.new_series()["first"]]


def date_ahead(place: Workplace) -> None:
    """Move all times below an output's working folders two days ahead, as if the clock went back since; order is kept."""
    for folder in ("private", "audits", "benchmarks", "logs"):
        for path in (place.output / folder).rglob("*"):
            moment = path.lstat().st_mtime_ns + 2 * 86_400 * 10**9
            os.utime(path, ns=(moment, moment), follow_symlinks=False)


def test_added_then_deleted_instance_reruns_its_batch(place: Workplace) -> None:
    before = released(place.newest())
    factories.write(harness.second_series(3), place.source / "second" / "IM3.dcm")
    added = place.run()
    assert added.jobs == jobs([place.batches()["second"]])
    assert len(harness.differing(released(place.newest()), before)) == 1
    (place.source / "second" / "IM3.dcm").unlink()
    deleted = place.run()
    assert deleted.jobs == jobs([place.batches()["second"]])
    assert released(place.newest()) == before
    assert place.releases() == ["0001", "0002", "0003"]


def test_new_identifier_of_a_patient_cleans_the_patients_other_batches_again(place: Workplace) -> None:
    before, read, old = released(place.newest()), readings(place), place.batches()
    # The device model of the first series is "Orrery 64": kept, unless a patient is called so.
    new = harness.second_series(1, "third", OtherPatientNames="Orrery^Quenby")
    factories.write(new, place.source / "third" / "IM1.dcm")
    run = place.run()
    again = [(rule, old[name]) for rule in PATIENT_RULES for name in ("first", "second")]
    assert run.jobs == sorted(jobs([place.batches()["third"]]) + again)
    assert harness.differing({name: seen for name, seen in readings(place).items() if name in read}, read) == []
    after = released(place.newest())
    hit = {name for name in before if after[name] != before[name]}
    assert hit == set(of_series(place, before, "first"))
    for name in sorted(hit):
        kept, cleaned = pydicom.dcmread(old_file(place, name)), pydicom.dcmread(place.newest() / name)
        assert kept.ManufacturerModelName == "Orrery 64" and "Orrery" not in str(cleaned.ManufacturerModelName)
        assert {element.tag for element in cleaned if element != kept[element.tag]} == {0x00081090}


def old_file(place: Workplace, name: str) -> Path:
    """Return a file of the first release."""
    return place.output / "releases" / "0001" / name


def test_series_of_a_new_patient_reruns_nothing_old(place: Workplace) -> None:
    before = released(place.newest())
    new = factories.ct_instance(
        PatientID="MRN11220033", PatientName="Featherlow^Idris", StudyInstanceUID=source_uid("new patient"),
        SeriesInstanceUID=source_uid("new series"), SOPInstanceUID=source_uid("new instance"),
    )  # fmt: skip
    factories.write(new, place.source / "new" / "IM1.dcm")
    run = place.run()
    assert run.jobs == jobs([place.batches()["new"]])
    after = released(place.newest())
    assert len(after) == len(before) + 1 and {name: after[name] for name in before} == before
    assert series_of(place, "added") == [place.new_series()["new"]]


def test_withdrawn_series_is_gone_from_the_next_release_and_from_private(place: Workplace) -> None:
    before, old = released(place.newest()), place.newest()
    batch, series = place.batches()["other"], place.new_series()["other"]
    gone = of_series(place, before, "other")
    old_state, read = harness.state(old), readings(place)
    shutil.rmtree(place.source / "other")
    private = place.output / "private"
    left_by_a_killed_job = private / "findings" / f".{batch}.jsonl.elsewhere-4711-0.writing"
    left_by_a_killed_job.write_bytes(b"{}")
    run = place.run()
    assert run.jobs == jobs([])
    assert "1 series and 2 instances fewer than at the last scan" in run.shown
    assert released(place.newest()) == {name: data for name, data in before.items() if name not in gone}
    assert series_of(place, "withdrawn") == [series]
    assert harness.state(old) == old_state
    assert [path for path in private.rglob("*") if batch in path.as_posix()] == []
    assert len(readings(place)) < len(read)
    left = b"".join(path.read_bytes() for path in private.rglob("*.json*") if path.is_file())
    assert b"second" in left and BARNABY.family.encode() not in left


def test_other_policy_judges_and_cleans_again_and_reads_no_picture(place: Workplace) -> None:
    before, read = released(place.newest()), readings(place)
    run = place.run("--policy", "ps3_15_basic")
    assert run.jobs == jobs(place.batches().values(), PATIENT_RULES)
    assert readings(place) == read
    after = released(place.newest())
    assert after.keys() == before.keys() and len(harness.differing(after, before)) == len(before)
    assert place.manifest()["info"]["policy"] == "ps3_15_basic"


def test_accepted_words_and_languages_clean_again_and_read_and_judge_nothing(place: Workplace, tmp_path: Path) -> None:
    cleaning = [rule for rule in PATIENT_RULES if rule != "judge_burned_in_text"]
    read, batches = readings(place), place.batches()
    words = tmp_path / "words_of_Zimmerlin.txt"
    words.write_text("glarfotomy\n", encoding="utf-8")
    accept, fewer = ("--set", f"free_text.accepted_words={words}"), ("--set", "free_text.languages=[nl, en]")
    assert place.run(*accept, *fewer).jobs == jobs(batches.values(), cleaning)
    for one in (accept, fewer):  # without the other of the two
        assert planned(place.run("--dry-run", *one)) == plan(batches.values(), cleaning)
    assert place.run(*accept, "--set", "free_text.languages=[en, nl]").jobs == []
    assert readings(place) == read
    kept = [path for top in ("private", "logs", ".snakemake", "audits") for path in (place.output / top).rglob("*")]
    assert [path for path in kept if path.is_file() and words.name.encode() in path.read_bytes()] == []


def test_pictures_are_drawn_again_alone_and_go_where_they_are_switched_off(place: Workplace) -> None:
    before, batches, reports = results(place), place.batches(), place.output / "private" / "reports"
    assert {path.name for path in reports.glob("*.*")} >= {"burned_in_text.html", "burned_in_text.pdf", "released.html"}
    more = place.run("--set", "reports.thumbnails_per_series=1")
    assert more.jobs == jobs(batches.values(), ["draw_pictures"], ["report_pictures"])
    off = place.run("--set", "reports.pictures=false")
    assert off.jobs == jobs([], closing=["prune_withdrawn"])
    left = [path for folder in ("reports", "pictures") for path in (place.output / "private" / folder).rglob("*")]
    assert [path for path in left if path.is_file()] == []
    changed = harness.differing(results(place), before)
    assert [name for name in changed if not name.startswith("private/pictures/")] == []


def test_new_salt_renames_every_instance_and_reads_no_picture(place: Workplace) -> None:
    before, read, batches = released(place.newest()), readings(place), place.batches()
    old_salt = (place.output / "private" / "salt").read_bytes()
    run = place.run("--new-salt")
    rules = [rule for rule in BATCH_RULES if rule != "read_burned_in_text"]
    assert place.batches() == batches and (place.output / "private" / "salt").read_bytes() != old_salt
    assert run.jobs == jobs(batches.values(), rules)
    assert readings(place) == read
    after = released(place.newest())
    assert len(after) == len(before)
    old_uids = {part for name in before for part in name.removesuffix(".dcm").split("/")[1:]}
    new_uids = {part for name in after for part in name.removesuffix(".dcm").split("/")[1:]}
    assert old_uids.isdisjoint(new_uids)
    left = [name for name, data in after.items() if any(uid.encode() in data for uid in old_uids)]
    assert left == []


def test_changed_code_of_a_step_reruns_that_step_and_its_dependents(place: Workplace, tmp_path: Path) -> None:
    place.product = harness.copy_tree(place.product, tmp_path / "product")
    module = place.product / "scripts" / "phi_deid_pipeline" / "geometry" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    module.write_text(text + "\n# a comment is no code\n", encoding="utf-8")
    assert place.run().jobs == []
    module.write_text(text + "\nUNUSED_LIMIT_MM = 1.0\n", encoding="utf-8")
    run = place.run()
    closing = [rule for rule in CLOSING_RULES if not rule.startswith(("check_link", "report_"))]
    assert run.jobs == jobs(place.batches().values(), ["draw_stacks", "measure_ct_geometry"], closing)
    assert place.releases() == ["0001"]


def test_dry_run_names_the_batches_with_work_and_changes_no_result(place: Workplace) -> None:
    before, batch = results(place), place.batches()["second"]
    edit(place.source / "second" / "IM1.dcm", KVP="100")
    assert planned(place.run("--dry-run")) == plan([batch], BATCH_RULES)
    changed = harness.differing(results(place), before)
    assert changed == [f"private/manifests/{batch}.json"]
    assert place.run().jobs == jobs([batch])


def test_dry_run_over_another_input_is_told_and_the_first_input_goes_on_as_before(place: Workplace) -> None:
    place.run()  # the copied output knows its input by the place that it was copied from
    before, audit = harness.content(place.newest()), harness.content(place.output / "audits" / "deid")
    other = Workplace(place.product, place.source.parent / "elsewhere", place.output)
    factories.write(factories.rgb_instance(person=BARNABY, number=9, size=(32, 32)), other.source / "new" / "IM9.dcm")
    (place.output / "private" / ".scan_progress").write_text("7 9", encoding="ascii")
    dry = other.run("--dry-run")
    assert "named another input folder" in dry.shown
    assert "A run with the former --input goes on as before." in dry.shown
    assert str(other.source) not in dry.shown
    assert not (place.output / "private" / ".scan_progress").exists()
    assert harness.content(place.newest()) == before
    assert place.releases() == ["0001"]
    run = place.run()
    assert "named another input folder" in run.shown
    assert "named another input folder" not in place.run().shown
    assert harness.content(place.newest()) == before
    assert harness.content(place.output / "audits" / "deid") == audit
    assert place.releases() == ["0001"]
    assert set(place.batches()) == {"first", "second", "other"}


@pytest.mark.parametrize(
    ("folder", "suffix", "rules", "closing"),
    [
        ("metadata", ".jsonl", ["extract_metadata"], CLOSING_RULES),
        ("uid_map", ".jsonl", ["map_uids", "verify_series"], CLOSING_RULES),
        (
            "staging",
            "",
            [rule for rule in PATIENT_RULES if rule != "judge_burned_in_text"],
            CLOSING_RULES,
        ),
    ],
    ids=["metadata", "uid_map", "staging"],
)
def test_missing_intermediate_is_made_again(
    place: Workplace, folder: str, suffix: str, rules: list[str], closing: list[str]
) -> None:
    before, batch = harness.content(place.newest()), place.batches()["first"]
    lost = place.output / "private" / folder / f"{batch}{suffix}"
    was = harness.content(lost.parent)
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    run = place.run()
    assert run.jobs == jobs([batch], rules, closing)
    now = harness.content(lost.parent)
    assert [name for name in harness.differing(now, was) if ".snakemake_timestamp" not in name] == []
    assert place.releases() == ["0001"] and harness.content(place.newest()) == before
