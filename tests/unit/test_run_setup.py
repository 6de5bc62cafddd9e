"""What `prepare` refuses, and what it writes."""

import json
import os
from pathlib import Path

import pytest
import yaml

from phi_deid_pipeline.errors import ConfigError, PolicyError, SaltMismatchError
from phi_deid_pipeline.subjects import SUBJECT_COLUMNS
from run_config import read_config
from run_setup import ROOT, RunRequest, checked_folders, forget_changed_files, holds_another_input, only_run, prepare


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    source = tmp_path / "DOE_JANE"
    source.mkdir()
    (source / "a").write_bytes(b"x")
    return source, tmp_path / "out"


def test_output_inside_input_is_refused(folders):
    source, _ = folders
    with pytest.raises(ConfigError, match="inside the other"):
        checked_folders(source, source / "out")


def test_input_inside_output_is_refused(folders):
    source, _ = folders
    with pytest.raises(ConfigError, match="inside the other"):
        checked_folders(source, source.parent)


def test_input_equal_to_output_is_refused_through_a_link(folders):
    source, _ = folders
    link = source.parent / "link"
    link.symlink_to(source)
    with pytest.raises(ConfigError, match="same folder"):
        checked_folders(source, link)


def test_input_without_files_is_refused(tmp_path):
    (tmp_path / "in" / "nested").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds no files"):
        checked_folders(tmp_path / "in", tmp_path / "out")


def test_refusals_never_name_the_input(folders):
    source, _ = folders
    for output in (source, source / "out"):
        with pytest.raises(ConfigError) as refusal:
            checked_folders(source, output)
        assert "DOE" not in str(refusal.value)


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("geometry.target_spacing_mm=[1, 1]", "target_spacing_mm"),
        ("geometry.target_spacing_mm=[1, 1, 0]", "target_spacing_mm"),
        ("geometry.target_spacing_mm=[1, 1, .nan]", "target_spacing_mm"),
        ("geometry.hu_clip=[100, -100]", "hu_clip"),
        ("geometry.hu_clip=[100, 100]", "hu_clip"),
        ("geometry.hu_clip=[.nan, 100]", "hu_clip"),
    ],
)
def test_geometry_that_makes_no_volume_is_refused_by_key(setting: str, key: str):
    with pytest.raises(ConfigError, match=rf"geometry\.{key}"):
        read_config(None, (setting,), None)


@pytest.mark.parametrize("spacing", [[], [1, 1, 2.5]])
def test_target_spacing_is_none_or_three_lengths(spacing: list[float]):
    config = read_config(None, (f"geometry.target_spacing_mm={spacing}",), None)
    assert config["geometry"]["target_spacing_mm"] == spacing


def test_later_sources_of_config_win(tmp_path):
    (tmp_path / "site.yaml").write_text("ocr: {max_rounds: 2}\ngeometry: {isotropic_ratio: 3}\npolicy: a\n")
    config = read_config(tmp_path / "site.yaml", ("ocr.max_rounds=1",), "b")
    assert (config["ocr"]["max_rounds"], config["geometry"]["isotropic_ratio"], config["policy"]) == (1, 3, "b")
    assert config["ocr"]["languages"] == "eng"


def test_defaults_in_the_schema_are_the_defaults_of_the_config():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())

    def defaults(node: dict) -> object:
        if "properties" in node:
            return {name: defaults(child) for name, child in node["properties"].items() if name != "run_id"}
        return node["default"]

    assert defaults(schema) == config


def test_every_config_key_is_described():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())

    def undescribed(node: dict, path: str) -> list[str]:
        own = [] if node.get("description") else [path]
        return own + [
            bad for name, child in node.get("properties", {}).items() for bad in undescribed(child, f"{path}.{name}")
        ]

    assert undescribed(schema, "config") == []


def test_accepted_words_are_kept_folded_and_their_path_nowhere(folders, tmp_path):
    source, output = folders
    (tmp_path / "words_of_Doe.txt").write_text("\ufeffWibble\n# ours\nGlärf # a coil\n", encoding="utf-8")
    asked = f"free_text.accepted_words={tmp_path / 'words_of_Doe.txt'}"
    prepare(RunRequest(source, output, settings=(asked,)))
    assert (output / "private/accepted_words.txt").read_text() == "glarf\nwibble\n"
    assert "Doe" not in (output / "private/config.yaml").read_text()
    prepare(RunRequest(source, output))
    assert (output / "private/accepted_words.txt").read_bytes() == b""


def test_list_of_accepted_words_at_fault_is_refused_before_anything_is_written(folders, tmp_path):
    source, output = folders
    (tmp_path / "words.txt").write_text("good\nJane Doe\n", encoding="utf-8")
    for name, fault in (("words.txt", "Accepted words, line 2"), ("gone.txt", "cannot be read")):
        with pytest.raises(ConfigError, match=fault) as refusal:
            prepare(RunRequest(source, output, settings=(f"free_text.accepted_words={tmp_path / name}",)))
        assert "Jane" not in str(refusal.value) and not output.exists()


def test_unknown_language_is_refused_by_key():
    with pytest.raises(ConfigError, match=r"free_text\.languages"):
        read_config(None, ("free_text.languages=[en, xx]",), None)


def test_salt_is_made_once_and_kept(folders):
    source, output = folders
    first = prepare(RunRequest(source, output))
    salt = (output / "private/salt").read_bytes()
    second = prepare(RunRequest(source, output))
    assert first.salt_created and not second.salt_created
    assert len(salt) == 32 and (output / "private/salt").read_bytes() == salt
    assert first.salt_id == second.salt_id


def test_private_is_closed_to_others(folders):
    source, output = folders
    prepare(RunRequest(source, output))
    assert (output / "private").stat().st_mode & 0o777 == 0o700
    assert (output / ".snakemake").stat().st_mode & 0o777 == 0o700
    modes = {p.name: p.stat().st_mode & 0o777 for p in (output / "private").iterdir() if not p.is_symlink()}
    assert set(modes.values()) == {0o600}, modes


def test_other_salt_on_existing_output_is_refused_unless_asked_for(folders, tmp_path):
    source, output = folders
    (tmp_path / "salt").write_bytes(bytes(32))
    prepare(RunRequest(source, output))
    with pytest.raises(SaltMismatchError):
        prepare(RunRequest(source, output, salt_file=tmp_path / "salt"))
    prepare(RunRequest(source, output, salt_file=tmp_path / "salt", new_salt=True))
    assert (output / "private/salt").read_bytes() == bytes(32)


def test_lost_salt_is_refused(folders):
    source, output = folders
    prepare(RunRequest(source, output))
    (output / "private/salt").unlink()
    with pytest.raises(SaltMismatchError, match="is gone"):
        prepare(RunRequest(source, output))


def test_short_salt_is_refused(folders, tmp_path):
    source, output = folders
    (tmp_path / "salt").write_bytes(b"short")
    with pytest.raises(ConfigError, match="fewer than 16"):
        prepare(RunRequest(source, output, salt_file=tmp_path / "salt"))
    assert not output.exists()


def test_second_prepare_touches_nothing(folders):
    source, output = folders
    prepare(RunRequest(source, output))
    before = {p: p.lstat().st_mtime_ns for p in (output / "private").iterdir()}
    prepare(RunRequest(source, output))
    assert {p: p.lstat().st_mtime_ns for p in (output / "private").iterdir()} == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("what,verdict,who,when\n", "lacks the column"),
        ("what,verdict,who,when,why\n2.25.1,release,me,2026,\n", "line 2: every column"),
        ("what,verdict,who,when,why\n2.25.1,maybe,me,2026,seen\n", "line 2: the verdict"),
        ("what,verdict,who,when,why\n2.25.1,release,a,2026-01-01,x\n2.25.1,withhold,b,2026-01-02,y\n", "decided twice"),
    ],
)
def test_bad_decisions_are_refused_with_their_line(folders, tmp_path, text, message):
    (tmp_path / "decisions.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        prepare(RunRequest(*folders, decisions=tmp_path / "decisions.csv"))


def test_decisions_are_kept_until_others_are_given(folders, tmp_path):
    source, output = folders
    (tmp_path / "decisions.csv").write_text("what,verdict,who,when,why\n2.25.1,release,me,2026-01-01,seen\n")
    prepare(RunRequest(source, output, decisions=tmp_path / "decisions.csv"))
    prepare(RunRequest(source, output))
    assert "2.25.1,release" in (output / "private/decisions.csv").read_text()


def test_second_run_on_one_output_is_refused(tmp_path):
    with only_run(tmp_path), pytest.raises(ConfigError, match="Another run"), only_run(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system that is full needs root to mount")
def test_full_disk_is_said_and_leaves_no_half_file(folders, tmp_path):
    import subprocess

    source, _ = folders
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("this sandbox allows no mounts")
    try:
        with pytest.raises(OSError, match="No space left"):  # main.py tells it in one line
            prepare(RunRequest(source, small / "out"))
        assert not list((small / "out/private").glob("policy.json"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("what", ["2.25.1", "2.25.1#", "2.25.1#0", "2.25.1#00c0ffee000G", "#00c0ffee0000"])
def test_decision_on_text_needs_instance_and_id(folders, tmp_path, what):
    (tmp_path / "decisions.csv").write_text(f"what,verdict,who,when,why\n{what},keep,me,2026-01-01,seen\n")
    with pytest.raises(ConfigError, match="hide and keep take <new SOP Instance UID>#<id of finding"):
        prepare(RunRequest(*folders, decisions=tmp_path / "decisions.csv"))


def test_former_salt_is_kept_to_prove_former_releases(folders):
    source, output = folders
    first = prepare(RunRequest(source, output))
    salt = (output / "private/salt").read_bytes()
    prepare(RunRequest(source, output, new_salt=True))
    assert (output / f"private/salt.{first.salt_id}").read_bytes() == salt
    assert (output / "private/salt").read_bytes() != salt


def with_table(folders, tmp_path, text, policy="pseudonyms: table", **more):
    """Prepare a run by a policy and a table of subjects (None: none); return the folder of private files."""
    source, output = folders
    (tmp_path / "our_site.yaml").write_text(f"name: our_site\nextends: hipaa_safe_harbor\n{policy}\n")
    table = None
    if text is not None:
        table = tmp_path / "subjects.csv"
        table.write_text(text, encoding="utf-8")
    policy_file = str(tmp_path / "our_site.yaml")
    prepare(RunRequest(input=source, output=output, policy=policy_file, subjects=table, **more))
    return output / "private"


def test_subjects_are_kept_with_all_columns_until_others_are_given(folders, tmp_path):
    private = with_table(folders, tmp_path, "patient_id,pseudonym\n4711,S-1\n")
    kept = (private / "subjects.csv").read_text()
    assert kept.splitlines()[0] == ",".join(SUBJECT_COLUMNS)
    assert kept.splitlines()[1].startswith("4711,,,S-1,")
    assert (private / "subjects.csv").stat().st_mode & 0o777 == 0o600
    with_table(folders, tmp_path, None)
    assert (private / "subjects.csv").read_text() == kept


@pytest.mark.parametrize(
    ("text", "policy", "message"),
    [
        (None, "pseudonyms: table", "hand it in with --subjects"),
        ("patient_id,pseudonym\n", "pseudonyms: table", "hand it in with --subjects"),
        ("patient_id,name\n4711,S-1\n", "pseudonyms: table", "lacks the column"),
        ("patient_id,pseudonym\n4711,\n", "pseudonyms: table", "line 2"),
        ("patient_id,pseudonym\n4711,S-1\n", "pseudonyms: table\nclinical_trial: true", "sponsor_name and protocol_id"),
        ("patient_id,pseudonym\n4711,S-1\n4711,S-2\n", "pseudonyms: keyed", "two lines"),
    ],
)
def test_bad_subjects_are_refused_before_anything_is_written(folders, tmp_path, text, policy, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        with_table(folders, tmp_path, text, policy)
    assert "4711" not in str(refusal.value)
    assert not (folders[1] / "private").exists()


def test_joined_patients_may_not_be_told_apart_by_the_subjects(folders, tmp_path):
    patients = tmp_path / "patients.csv"
    patients.write_text("patient_id,issuer,person\n4711,,one\n0815,,one\n")
    table = "patient_id,pseudonym\n4711,S-1\n0815,S-2\n"
    with_table(folders, tmp_path, table)
    with pytest.raises(ConfigError, match="one patient"):
        with_table(folders, tmp_path, None, patients=patients)


def test_disabled_policy_is_refused_and_nothing_is_written(folders, tmp_path):
    source, output = folders
    policy = tmp_path / "old.yaml"
    policy.write_text("name: old\nextends: gdpr\ndisabled: true\n", encoding="utf-8")
    with pytest.raises(PolicyError, match="policy old: is disabled; choose another"):
        prepare(RunRequest(input=source, output=output, policy=str(policy)))
    assert not output.exists()


def test_another_input_than_that_of_the_last_scan_is_noticed(folders, tmp_path):
    source, output = folders
    assert not holds_another_input(output, source)
    prepare(RunRequest(source, output))
    (tmp_path / "link").symlink_to(source)
    assert not holds_another_input(output, source)
    assert not holds_another_input(output, tmp_path / "link")
    assert holds_another_input(output, tmp_path)


def test_results_of_batches_with_a_file_that_changed_are_made_anew(tmp_path: Path) -> None:
    private, audits = tmp_path / "private", tmp_path / "audits"
    for folder in (private / "read", private / "records", private / "verification", audits):
        folder.mkdir(parents=True)
    (private / "verification" / "b000003.jsonl").write_text('{"reason":"changed_while_read"}\n')
    for name in ("b000001", "b000002"):
        (private / "read" / f"{name}.jsonl").write_text("{}\n")
        (private / "records" / f"{name}.jsonl").write_text(
            '{"reason":"%s"}\n' % ("changed_while_read" * (name[-1] == "2"))
        )
    assert forget_changed_files(tmp_path) == 0
    for number, expected in ((0, 0), (1, 2)):
        (audits / "summary.json").write_text(json.dumps({"rejected_by_reason": {"changed_while_read": number}}))
        assert forget_changed_files(tmp_path) == expected
    assert [path.name for path in (private / "records").iterdir()] == ["b000001.jsonl"]
    assert not list((private / "verification").iterdir())
