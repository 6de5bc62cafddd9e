"""The preview says of each attribute path what the policy asks for and what the engine did."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from factories import ct_instance, write
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.policy_preview import Outcome, preview_policy

CREATOR = "GEMS_ACQU_01"


def _instance(number: int, *, block: int = 0x10) -> Dataset:
    ds = ct_instance(number=number)
    ds.add_new(0x00190000 | block, "LO", CREATOR)
    ds.add_new(0x00190000 | block << 8 | 0x23, "DS", "12.5")  # safe
    ds.add_new(0x00190000 | block << 8 | 0x03, "DS", "3.5")  # not in the table
    item = Dataset()
    item.InstitutionName, item.Manufacturer = "Elm House", "ACME"
    ds.ContributingEquipmentSequence = [item]
    return ds


def _rows(tmp_path, policy, *instances, values=False):
    paths = [write(ds, tmp_path / f"{number}.dcm") for number, ds in enumerate(instances)]
    found = preview_policy(load_policy(policy), paths, values=values)
    assert found.read == len(instances)
    return {(row.written_path, row.creator): row for row in found.rows}


def _told(row):
    became = {str(outcome): number for outcome, number in row.became.items() if number}
    return row.resolution.action.value, row.resolution.rule, became


def test_rows_tell_rule_and_outcome_at_any_depth(tmp_path):
    rows = _rows(tmp_path, "ps3_15_basic", _instance(1), _instance(2))
    assert _told(rows["00280010", ""]) == ("K", "default", {"kept": 2})
    assert _told(rows["0018A001", ""]) == ("K", "gap", {"kept": 2})
    assert _told(rows["0018A001.00080080", ""]) == ("X", "E.1-1", {"removed": 2})
    assert _told(rows["0018A001.00080070", ""]) == ("K", "own", {"kept": 2})
    assert _told(rows["0020000D", ""]) == ("U", "E.1-1", {"new UID": 2})
    assert _told(rows["00191023", CREATOR]) == ("X", "private", {"removed": 2})


def test_private_attributes_are_told_by_creator(tmp_path):
    rows = _rows(tmp_path, "research_longitudinal", _instance(1), _instance(2, block=0x11))
    assert _told(rows["00191023", CREATOR]) == ("K", "safe_private", {"kept": 1})
    assert _told(rows["00191123", CREATOR]) == ("K", "safe_private", {"kept": 1})
    assert _told(rows["00191003", CREATOR]) == ("X", "private", {"removed": 1})
    assert rows["00191023", CREATOR].keyword == CREATOR


def test_a_path_that_iods_resolve_differently_has_a_row_for_each(tmp_path):
    pet = _instance(2)
    pet.SOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    paths = [write(ds, tmp_path / f"{number}.dcm") for number, ds in enumerate((_instance(1), pet))]
    found = preview_policy(load_policy("ps3_15_basic"), paths)
    told = [(*_told(row), row.count) for row in found.rows if row.written_path == "00080021"]
    assert told == [("D", "E.1-1", {"dummy": 1}, 1), ("X", "E.1-1", {"removed": 1}, 1)]  # Series Date is Type 1 in PET


def test_values_are_kept_only_when_asked_for(tmp_path):
    plain = _rows(tmp_path, "ps3_15_basic", _instance(1))
    assert all(row.values == [] for row in plain.values())
    shown = _rows(tmp_path, "ps3_15_basic", _instance(1), values=True)
    assert shown["0018A001.00080080", ""].values == [("Elm House", None)]
    assert shown["0018A001.00080070", ""].values == [("ACME", "ACME")]


def test_dates_are_shifted_as_in_a_run(tmp_path):
    rows = _rows(tmp_path, "research_longitudinal", _instance(1), values=True)
    ((old, new),) = rows["00080020", ""].values
    assert old != new
    assert len(new) == 8
    assert rows["00080020", ""].became == {Outcome.SHIFTED: 1, Outcome.REMOVED: 0}


@pytest.mark.parametrize(
    ("policy", "path", "became"),
    [
        ("hipaa_safe_harbor", "00100010", "pseudonym"),
        ("hipaa_safe_harbor", "00100020", "pseudonym"),
        ("hipaa_safe_harbor", "00080090", "emptied"),  # Referring Physician's Name
        ("hipaa_safe_harbor", "00081140", "kept"),  # Referenced Image Sequence, walked item by item
        ("hipaa_safe_harbor", "00081140.00081155", "new UID"),
        ("hipaa_safe_harbor", "00080021", "dummy"),  # Series Date, of Type 1 in PET
        ("hipaa_safe_harbor", "00120062", "stated"),  # Patient Identity Removed
        ("hipaa_safe_harbor", "00081030", "cleaned"),
        ("hipaa_safe_harbor", "00101010", "removed"),  # Patient's Age
        ("ps3_15_basic", "00400555", "emptied"),  # Acquisition Context Sequence
        ("ps3_15_basic", "00081110", "removed"),  # Referenced Study Sequence
        ("gdpr", "00080021", "year only"),
        ("gdpr", "00101010", "generalized"),
        ("research_longitudinal", "00080021", "shifted"),
    ],
)
def test_what_became_of_a_value_is_named(tmp_path, policy, path, became):
    ds = _instance(1)
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    ds.ReferringPhysicianName, ds.PatientIdentityRemoved, ds.PatientAge = "Doe^Jane", "NO", "095Y"
    ds.StudyDescription = "CT thorax for Ottoline"
    study, image = Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.2.3.4"
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", "1.2.3.5"
    ds.ReferencedImageSequence, ds.ReferencedStudySequence, ds.AcquisitionContextSequence = [image], [study], [study]
    rows = _rows(tmp_path, policy, ds)
    assert _told(rows[path, ""])[2] == {became: 1}


def test_unreadable_files_are_counted_by_reason(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("no image", encoding="utf-8")
    found = preview_policy(load_policy("gdpr"), sorted(tmp_path.iterdir()))
    assert (found.rows, found.read, found.rejected) == ([], 0, {"empty": 1, "not_dicom": 1})


def test_values_of_devices_stay_where_an_option_keeps_them(tmp_path):
    rows = _rows(tmp_path, "research_longitudinal", _instance(1))
    assert _told(rows["00081010", ""])[2] == {"kept": 1}  # Station Name, an entry of the lexicon
    assert _told(rows["00181000", ""])[2] == {"kept": 1}  # Device Serial Number
    assert "kept" not in _told(_rows(tmp_path, "hipaa_safe_harbor", _instance(1))["00181000", ""])[2]


def test_what_the_scan_of_a_run_rejects_or_holds_is_told(tmp_path):
    private, photo = _instance(1), _instance(2)
    private.SOPClassUID, photo.SOPClassUID = "1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.77.1.4"
    paths = [write(ds, tmp_path / f"{number}.dcm") for number, ds in enumerate((private, photo, _instance(3)))]
    found = preview_policy(load_policy("hipaa_safe_harbor"), paths)
    assert (found.read, found.rejected, found.held) == (2, {"unsupported_sop_class": 1}, {"photograph": 1})
