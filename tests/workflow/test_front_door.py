"""The front door refuses what cannot work before any work, keeps its exit codes, and proves what it wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_harness import ONE_BATCH, Ran, audit, json_lines, main, product, released, run, snapshot

import factories
from cluster_jobs import jobs_may_be_out
from run_setup import is_running
from sample_identity import BARNABY

pytestmark = pytest.mark.workflow

PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4"  # VL Photographic Image Storage
HEADER = "what,verdict,who,when,why\n"
USAGE, FAILED, RELEASED, NOT_ALL_RELEASED = 2, 1, 0, 3


def _write_input(root: Path) -> Path:
    for number in (1, 2):
        factories.write(factories.ct_instance(number=number), root / "ct" / f"IM{number}")
    picture = factories.rgb_instance(person=BARNABY, size=(32, 32), SOPClassUID=PHOTOGRAPH, Modality="XC")
    factories.write(picture, root / "photo" / "IM1")
    return root


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_input(tmp_path_factory.mktemp("front") / "input")


# --------------------------------------------------------------------------- refusals


Case = Callable[[Path, Path], list[object]]


def _decisions(text: str) -> Case:
    def arguments(source: Path, output: Path) -> list[object]:
        table = source.parent / "decisions.csv"
        table.write_text(text, encoding="utf-8")
        return ["--input", source, "--output", output, "--decisions", table]

    return arguments


def _patients(source: Path, output: Path) -> list[object]:
    table = source.parent / "patients.csv"
    table.write_text("patient_id,issuer,person\nMRN1,,\n", encoding="utf-8")
    return ["--input", source, "--output", output, "--patients", table]


def _short_salt(source: Path, output: Path) -> list[object]:
    (source.parent / "short").write_bytes(b"abc")
    return ["--input", source, "--output", output, "--salt-file", source.parent / "short"]


def _empty(source: Path, output: Path) -> list[object]:
    (source.parent / "empty" / "folder").mkdir(parents=True)
    return ["--input", source.parent / "empty", "--output", output]


def _file_in_the_way(source: Path, output: Path) -> list[object]:
    (source.parent / "file").touch()
    return ["--input", source, "--output", source.parent / "file" / "output"]


def _linked(source: Path, output: Path) -> list[object]:
    (source.parent / "link").symlink_to(source)
    return ["--input", source, "--output", source.parent / "link" / "output"]


REFUSALS: dict[str, tuple[Case, str]] = {
    "output inside input": (lambda s, o: ["--input", s, "--output", s / "out"], "inside the other"),
    "output inside input by a link": (_linked, "inside the other"),
    "input inside output": (lambda s, o: ["--input", s, "--output", s.parent], "inside the other"),
    "output is input": (lambda s, o: ["--input", s, "--output", s], "same folder"),
    "no input": (lambda s, o: ["--input", s / "nowhere", "--output", o], "--input"),
    "input is a file": (lambda s, o: ["--input", s / "ct" / "IM1", "--output", o], "--input"),
    "empty input": (_empty, "no files"),
    "output below a file": (_file_in_the_way, "cannot be written"),
    "unknown config key": (
        lambda s, o: ["--input", s, "--output", o, "--set", "ocr.reders=1"],
        "nearest is ocr.readers",
    ),
    "wrong config type": (lambda s, o: ["--input", s, "--output", o, "--set", "ocr.max_rounds=many"], "ocr.max_rounds"),
    "setting of a key's child": (lambda s, o: ["--input", s, "--output", o, "--set", "policy.name=x"], "policy"),
    "setting without value": (lambda s, o: ["--input", s, "--output", o, "--set", "ocr"], "key=value"),
    "setting that is no YAML": (lambda s, o: ["--input", s, "--output", o, "--set", "ocr.languages=[eng"], "--set"),
    "no config file": (lambda s, o: ["--input", s, "--output", o, "--configfile", s / "x.yaml"], "config file"),
    "unknown policy": (lambda s, o: ["--input", s, "--output", o, "--policy", "keep_all"], "keep_all"),
    "unknown profile": (lambda s, o: ["--input", s, "--output", o, "--profile", "nowhere"], "nowhere"),
    "salt too short": (_short_salt, "salt"),
    "no salt file": (lambda s, o: ["--input", s, "--output", o, "--salt-file", s / "none"], "salt file"),
    "decisions without a column": (_decisions("what,verdict\n1.2,release\n"), "who"),
    "decisions without a reason": (_decisions(HEADER + "1.2,release,AB,2026-01-02,\n"), "line 2"),
    "decisions on what is no UID": (_decisions(HEADER + "all,release,AB,2026-01-02,why\n"), "line 2: what"),
    "decisions of no day": (_decisions(HEADER + "1.2,release,AB,soon,why\n"), "line 2: when"),
    "decisions with semicolons": (
        _decisions(HEADER.replace(",", ";") + "1.2;release;AB;2026-01-02;why\n"),
        "semicolons",
    ),
    "decisions with another verdict": (_decisions(HEADER + "1.2,perhaps,AB,2026-01-02,why\n"), "verdict"),
    "decisions that contradict": (
        _decisions(HEADER + "1.2,release,AB,2026-01-02,why\n1.2,withhold,AB,2026-01-02,why\n"),
        "twice",
    ),
    "patients without a person": (_patients, "line 2"),
}


@pytest.mark.parametrize("command", ["run", "prepare", "evaluate"])
def test_output_that_cannot_be_made_is_told_as_a_wrong_call(source: Path, command: str) -> None:
    refused = main(command, "--input", source, "--output", "/proc/nowhere")
    assert refused.code == USAGE, refused.text
    assert "The output folder cannot be made or written to" in refused.text
    assert "choose another --output" in refused.text


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_with_one_clear_line_before_any_work(tmp_path: Path, case: str) -> None:
    source, output = tmp_path / "place" / "input", tmp_path / "place" / "output"
    factories.write(factories.ct_instance(), source / "ct" / "IM1")
    arguments, clue = REFUSALS[case]
    line = arguments(source, output)
    before = snapshot(tmp_path)
    refused = main("run", *line)  # type: ignore[arg-type]
    assert refused.code == USAGE, refused.text
    assert len(refused.lines) == 1
    assert clue in refused.text
    assert snapshot(tmp_path) == before


def test_a_cluster_that_fails_is_no_wrong_call(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    (output / "private").mkdir(parents=True)
    jobs_may_be_out(output, "lsf")
    (tmp_path / "bjobs").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bjobs").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    failed = main("run", "--input", source, "--output", output, environment={"PATH": path})
    assert failed.code == FAILED, failed.text
    assert "Is the cluster up" in failed.lines[-1]


def test_usage_is_told_for_wrong_options() -> None:
    assert main("run", "--input", "x").code == USAGE
    assert main("run", "--input", "x", "--output", "y", "--cores", "0").code == USAGE
    assert main("nonsense").code == USAGE
    assert main("--version").code == RELEASED


def test_a_second_run_on_the_same_output_is_refused_while_one_works(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    line = [
        sys.executable,
        str(product() / "scripts" / "main.py"),
        "run",
        "--input",
        str(source),
        "--output",
        str(output),
        "--cores",
        "2",
    ]
    first = subprocess.Popen([*line, *ONE_BATCH, "--dry-run"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            if (output / "private" / ".run.lock").exists() and is_running(output):
                break
            time.sleep(0.05)
        second = run(source, output)
        working = main("status", "--output", output)
        assert second.code == USAGE, second.text
        assert len(second.lines) == 1 and "Another run" in second.text
        assert working.code == RELEASED
    finally:
        text, _ = first.communicate()
    assert first.returncode == RELEASED, text
    assert b"would run deidentify_series: b000001" in text
    assert not (output / "release").exists()


# --------------------------------------------------------------------------- exit codes, decisions, the input


class Decided:
    """One output over four runs: without decisions, after a release, after a withdrawal."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.output = folder / "output"
        self.before = snapshot(source)
        self.first = run(source, self.output)
        self.held = {Path(row["input_path"]).parent.name: row for row in audit(self.output)}
        self.photo = self.held["photo"]["series_instance_uid"]
        self.study = self.held["photo"]["study_instance_uid"]
        self.second = self._decide(source, folder, "release")
        self.rows_after_release = {Path(row["input_path"]).parent.name: row for row in audit(self.output)}
        self.files_after_release = [path.name for path in released(self.output)]
        self.third = self._decide(source, folder, "withhold")
        self.after = snapshot(source)

    def _decide(self, source: Path, folder: Path, verdict: str) -> Ran:
        table = folder / f"{verdict}.csv"
        row = f"{self.photo},{verdict},Dr Decider,2026-01-02,looked at it\n"
        table.write_text(HEADER + row, encoding="utf-8")
        return run(source, self.output, "--decisions", table)


@pytest.fixture(scope="module")
def decided(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Decided:
    made = Decided(source, tmp_path_factory.mktemp("decided"))
    assert main("verify", "--output", made.output).code == RELEASED
    return made


def test_a_photograph_is_held_and_the_run_says_so(decided: Decided) -> None:
    assert decided.first.code == NOT_ALL_RELEASED, decided.first.text
    assert (decided.held["photo"]["status"], decided.held["photo"]["reason"]) == ("held", "photograph")
    assert decided.held["photo"]["output_path"] == ""
    first = decided.output / "releases" / "0001" / "dicom"
    assert decided.photo not in {path.name for path in first.glob("*/*")}
    assert len(list(first.rglob("*.dcm"))) == 2


def test_a_release_row_lets_it_go_and_all_is_released(decided: Decided) -> None:
    assert decided.second.code == RELEASED, decided.second.text
    row = decided.rows_after_release["photo"]
    assert (row["status"], row["decision"]["verdict"]) == ("released", "release")
    assert row["decision"]["who"] == "Dr Decider"
    assert f"{row['sop_instance_uid']}.dcm" in decided.files_after_release
    assert len(decided.files_after_release) == 3


def test_a_withhold_row_takes_it_back_from_the_next_release(decided: Decided) -> None:
    assert decided.third.code == NOT_ALL_RELEASED, decided.third.text
    rows = {Path(row["input_path"]).parent.name: row for row in audit(decided.output)}
    assert (rows["photo"]["status"], rows["photo"]["reason"]) == ("held", "withheld")
    newest = decided.output / "release"
    assert newest.readlink() == Path("releases/0003")
    assert json.loads((newest / "manifest.json").read_bytes())["withdrawn"] == [f"{decided.study}/{decided.photo}"]
    assert len(released(decided.output)) == 2


def test_who_decided_stays_out_of_the_release(decided: Decided) -> None:
    for path in sorted((decided.output / "releases").rglob("*")):
        assert not path.is_file() or b"Decider" not in path.read_bytes(), path.name


def test_the_input_is_not_touched(decided: Decided) -> None:
    assert decided.after == decided.before
    assert len(decided.before) == 6


# --------------------------------------------------------------------------- verify


def test_verify_of_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    verified = main("verify", "--output", tmp_path)
    assert verified.code == 2
    assert "No run has finished in this folder" in verified.text


@pytest.fixture
def copy(decided: Decided, tmp_path: Path) -> Path:
    output = tmp_path / "output"
    shutil.copytree(decided.output, output, symlinks=True)
    return output


def _rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(change(lines)), encoding="utf-8")


def _flip(output: Path) -> None:
    path = released(output)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def _edit_row(output: Path) -> None:
    def change(lines: list[str]) -> list[str]:
        row = json.loads(lines[0])
        row["private_tags_stripped"] += 1
        return [json.dumps(row, separators=(",", ":")) + "\n", *lines[1:]]

    _rewrite(output / "audits" / "deid" / "deid_audit.jsonl", change)


def _remove_row(output: Path) -> None:
    _rewrite(output / "audits" / "deid" / "deid_audit.jsonl", lambda lines: lines[:-1])


def _add_file(output: Path) -> None:
    (output / "releases" / "0003").chmod(0o755)
    (output / "releases" / "0003" / "note.txt").write_text("see you", encoding="utf-8")


def _swap_table(output: Path) -> None:
    table = output / "audits" / "metadata" / "metadata_audit.parquet"
    table.write_bytes(table.read_bytes()[:-9])


def _edit_summary_of_geometry(output: Path) -> None:
    path = output / "audits" / "ct_prepro" / "ct_prepro_audit.json"
    path.write_text(path.read_text(encoding="utf-8").replace("false", "true", 1), encoding="utf-8")


def _point_back(output: Path) -> None:
    (output / "release").unlink()
    (output / "release").symlink_to("releases/0001")


def _drop_release(output: Path) -> None:
    shutil.rmtree(output / "releases" / "0002")


TAMPERING = {
    "a flipped byte in a released file": (_flip, "was changed"),
    "an edited audit row": (_edit_row, "deid_audit"),
    "a removed audit row": (_remove_row, "deid_audit"),
    "a file added to a release": (_add_file, "does not name"),
    "a damaged table": (_swap_table, "metadata_audit"),
    "an edited geometry audit": (_edit_summary_of_geometry, "ct_prepro"),
    "the link set back": (_point_back, "does not point"),
    "a release taken out of the chain": (_drop_release, "does not follow"),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_verify_detects(copy: Path, what: str) -> None:
    tamper, clue = TAMPERING[what]
    tamper(copy)
    verified = main("verify", "--output", copy)
    assert verified.code == FAILED, verified.text
    assert clue in verified.text
    assert "Traceback" not in verified.text


def test_verify_detects_another_salt_and_says_when_it_has_none(copy: Path) -> None:
    other = copy.parent / "other_salt"
    other.write_bytes(os.urandom(32))
    wrong = main("verify", "--output", copy, "--salt-file", other)
    assert wrong.code == USAGE and "made with the salt" in wrong.text
    kept = copy.parent / "salt"
    (copy / "private" / "salt").rename(kept)
    without = main("verify", "--output", copy)
    assert without.code == RELEASED and "seals were not checked" in without.text
    assert main("verify", "--output", copy, "--salt-file", kept).code == RELEASED
    assert json_lines(copy / "audits" / "deid" / "deid_audit.jsonl")


def test_another_salt_for_the_same_output_is_refused(copy: Path, source: Path) -> None:
    other = copy.parent / "other_salt"
    other.write_bytes(os.urandom(32))
    before = snapshot(copy / "private")
    refused = run(source, copy, "--salt-file", other)
    assert refused.code == USAGE and "--new-salt" in refused.text
    assert len(refused.lines) == 1
    assert {k: v for k, v in snapshot(copy / "private").items() if k not in (".", ".run.lock")} == {
        k: v for k, v in before.items() if k not in (".", ".run.lock")
    }
