"""Who a patient is: rows of a site's table, random codes that are kept, trial attributes; and what a batch is told."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.records import Subject
from phi_deid_pipeline.subjects import (
    SUBJECT_COLUMNS,
    PseudonymStore,
    SubjectTable,
    patient_key_of,
    table_problem,
    trial_attributes,
)


def row(patient_id: str, pseudonym: str, **more: str) -> dict[str, str]:
    return {**dict.fromkeys(SUBJECT_COLUMNS, ""), "patient_id": patient_id, "pseudonym": pseudonym, **more}


# --------------------------------------------------------------------------- the table


def test_a_patient_is_found_by_id_and_issuer_and_a_row_without_issuer_holds_for_all() -> None:
    table = SubjectTable([row("4711", "S-1"), row("4711", "S-2", issuer="B"), row("12", "S-3", issuer="A")], {})
    found = {
        (patient, issuer): getattr(table.find(patient_key_of(patient, issuer, "1.2.3", {}), "1.2.3"), "pseudonym", None)
        for patient in ("4711", "12")
        for issuer in ("", "A", "B")
    }
    assert found == {
        ("4711", ""): "S-1", ("4711", "A"): "S-1", ("4711", "B"): "S-2", ("12", ""): None, ("12", "A"): "S-3",
        ("12", "B"): None,
    }  # fmt: skip


def test_a_row_on_a_study_wins_over_that_of_its_patient() -> None:
    table = SubjectTable([row("1", "S-1"), row("1", "S-1", study_instance_uid="1.2", time_point_id="week 4")], {})
    assert table.find("id:1", "1.2").time_point_id == "week 4"
    assert table.find("id:1", "1.3").time_point_id == ""
    assert table.find("id:1\x1fA", "1.2").time_point_id == "week 4"
    assert table.find("id:2", "1.2") is None


def test_joined_ids_are_one_patient_and_may_not_be_told_apart() -> None:
    patients = {"1": "person-1", ("2", "A"): "person-1"}
    assert SubjectTable([row("1", "S-1")], patients).find("person:person-1", "1.2").pseudonym == "S-1"
    with pytest.raises(ConfigError, match="different things of one patient"):
        SubjectTable([row("1", "S-1"), row("2", "S-2", issuer="A")], patients)


def test_a_study_without_patient_id_is_named_by_its_uid() -> None:
    table = SubjectTable([row("", "S-9", study_instance_uid="1.2.9")], {})
    assert table.find("study:1.2.9", "1.2.9").pseudonym == "S-9"
    assert table.find("study:1.2.8", "1.2.8") is None


@pytest.mark.parametrize(
    ("rows", "trial", "problem"),
    [
        ([row("1", "S-1"), row("2", "S-2")], False, ""),
        ([row("1", "S-1"), row("1", "S-1", study_instance_uid="1.2")], False, ""),
        ([], True, ""),
        ([row("1", "")], False, "line 2: patient_id"),
        ([row("", "S-1")], False, "line 2: patient_id"),
        ([row("1", "S-1"), row("2", "1")], False, "line 3: the pseudonym is a patient_id"),
        ([row("1", "S-1"), row("2", "S-1")], False, "line 3: the pseudonym belongs to another"),
        ([row("1", "S-1"), row("1", "S-1", issuer="A")], False, "line 3: the pseudonym belongs to another"),
        ([row("1", "S-1"), row("1", "S-2")], False, "two lines name one patient"),
        ([row("1", "S\\1")], False, "no backslash"),
        ([row("1", "S-1", name="Müller")], False, "name takes up to 64 printable ASCII"),
        ([row("1", "S" * 65)], False, "pseudonym takes up to 64"),
        ([row("1", "S-1", site_name="a\nb")], False, "site_name takes"),
        ([row("1", "S-1", time_point_description="a" * 1024)], False, ""),
        ([row("1", "S-1")], True, "sponsor_name and protocol_id"),
        ([row("1", "S-1", sponsor_name="Sponsor", protocol_id="P-1")], True, ""),
    ],
)
def test_what_is_wrong_with_a_table_is_told_by_line_and_never_by_value(rows, trial: bool, problem: str) -> None:
    told = table_problem(rows, trial=trial)
    assert problem in told and bool(problem) == bool(told)
    assert "S-1" not in told and "Müller" not in told


# --------------------------------------------------------------------------- random codes


def test_codes_are_random_kept_and_never_changed(tmp_path: Path) -> None:
    path = tmp_path / "pseudonyms.json"
    first = PseudonymStore(path, "salt-1").codes_of(["id:1", "id:2"])
    assert all(re.fullmatch(r"P[A-Z2-7]{16}", code) for code in first.values())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.stat().st_mtime_ns
    assert PseudonymStore(path, "salt-1").codes_of(["id:2", "id:1"]) == first
    assert path.stat().st_mtime_ns == before, "written on change only"
    more = PseudonymStore(path, "salt-1").codes_of(["id:3", "id:1"])
    assert more["id:1"] == first["id:1"] and more["id:3"] not in first.values()
    assert json.loads(path.read_text())["pseudonyms"].keys() == {"id:1", "id:2", "id:3"}, (
        "who is withdrawn is not forgotten"
    )
    other = PseudonymStore(tmp_path / "other.json", "salt-1").codes_of(["id:1"])
    assert other != {"id:1": first["id:1"]}, "derived from nothing"


def test_another_salt_draws_new_codes_and_the_old_one_finds_its_own_again(tmp_path: Path) -> None:
    path = tmp_path / "pseudonyms.json"
    first = PseudonymStore(path, "salt-1").codes_of(["id:1"])
    assert not PseudonymStore(path, "salt-2").exists()
    second = PseudonymStore(path, "salt-2").codes_of(["id:1"])
    assert second != first
    assert PseudonymStore(path, "salt-1").codes_of(["id:1"]) == first
    assert PseudonymStore(path, "salt-2").codes_of(["id:1"]) == second


@pytest.mark.parametrize("content", ["", "[]", '{"salt_id": "x"}', '{"salt_id": "x", "pseudonyms": 3}'])
def test_a_damaged_table_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pseudonyms.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="damaged"):
        PseudonymStore(path, "x").codes_of(["id:1"])
    assert path.read_text() == content


# --------------------------------------------------------------------------- trial attributes


def test_trial_attributes_of_a_subject() -> None:
    subject = Subject("S-1", sponsor_name="Sponsor", protocol_id="P-1", time_point_description="baseline")
    assert trial_attributes(subject) == {
        0x00120010: ("LO", "Sponsor"),
        0x00120020: ("LO", "P-1"),
        0x00120021: ("LO", ""),
        0x00120030: ("LO", ""),
        0x00120031: ("LO", ""),
        0x00120040: ("LO", "S-1"),
        0x00120051: ("ST", "baseline"),
    }
