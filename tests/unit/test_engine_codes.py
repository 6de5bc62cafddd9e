"""What the engine does with codes of local schemes, days in numbers, labels of content items and UIDs of definitions."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from unit.test_engine_kinds import ALL, KEEPING, SHIFT, SR, UIDS, _content, base, policy, run

__all__ = ["policy", "run"]  # fixtures
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# --------------------------------------------------------------------------- codes of local schemes


@pytest.mark.parametrize(
    ("scheme", "meaning", "left"),
    [
        ("99LOCAL", "Thorax Quill", "Thorax"),
        ("L", "Quill", "DEIDENTIFIED"),
        ("LOCAL", "Thorax axial", "Thorax axial"),
        ("ORBIS", "Thorax Quill room 214", "Thorax"),
        ("", "Thorax Quill 12/03/24", "Thorax"),
        ("LN", "Thorax of Quill", "Thorax of Quill"),
        ("99SDM", "Thorax of Quill", "Thorax of Quill"),
        ("SCT", "Thorax of Quill", "Thorax of Quill"),
    ],
)
@ALL
def test_the_meaning_of_a_local_code_is_a_description(
    run, policy, syntax: str, scheme: str, meaning: str, left: str
) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-1", scheme, meaning
    content = _content("CODE", "121071", ConceptCodeSequence=Sequence([code]))
    ds = base(SOPClassUID=SR, AnatomicRegionSequence=Sequence([code]), ContentSequence=Sequence([content]))
    out, _, _ = run(ds, policy(SHIFT), syntax)
    for item in (out.AnatomicRegionSequence[0], out.ContentSequence[0].ConceptCodeSequence[0]):
        assert (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning) == ("T-1", scheme, left)


@pytest.mark.parametrize(
    ("scheme", "value", "left"),
    [
        ("RIS", "CT0012", "CT0012"),
        ("RIS", "CODE_01", "CODE_01"),
        ("RPID", "RPID12", "RPID12"),
        ("RIS", "L465381", "L465381"),
        ("RIS", "465381", "DEIDENTIFIED"),
        ("RIS", "XR-CHEST-2V", "XR-CHEST-2V"),
        ("RIS", "4471920", "DEIDENTIFIED"),
        ("", "PAT4471920", "DEIDENTIFIED"),
        ("99RIS", "KOWALSKI", "DEIDENTIFIED"),
        ("99RIS", "Chest Kowalski", "Chest"),
        ("SCT", "4471920", "4471920"),
    ],
)
def test_the_value_of_a_local_code_names_nobody(run, policy, scheme: str, value: str, left: str) -> None:
    code, longer = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, "Thorax"
    longer.CodingSchemeDesignator, longer.LongCodeValue, longer.CodeMeaning = scheme, value, "Thorax"
    ds = base(AnatomicRegionSequence=Sequence([code]), ProcedureCodeSequence=Sequence([longer]))
    out, _, _ = run(ds, policy(SHIFT))
    assert out.AnatomicRegionSequence[0].CodeValue == left
    assert out.ProcedureCodeSequence[0].LongCodeValue == left


def test_a_local_code_in_a_kept_private_sequence_is_a_description(run, policy) -> None:
    code = Dataset()
    code.CodeValue, code.CodeMeaning = "4471920", "Thorax Quill"
    ds = base()
    ds.private_block(0x2005, "ACME", create=True).add_new(0x01, "SQ", [code])
    text = f"{SHIFT}\noverrides: [{{tag: '(2005,xx01)', private_creator: ACME, action: K, reason: test}}]"
    _, _, data = run(ds, policy(text))
    assert b"Thorax" in data and b"Quill" not in data and b"4471920" not in data


def test_without_clean_descriptors_a_local_code_keeps_its_meaning(run, policy) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-1", "99LOCAL", "Thorax of Quill"
    out, _, _ = run(base(AnatomicRegionSequence=Sequence([code])), policy("options: [clean_pixel_data]"))
    assert out.AnatomicRegionSequence[0].CodeMeaning == "Thorax of Quill"


# --------------------------------------------------------------------------- days in numbers


@ALL
def test_a_number_that_is_a_day_of_the_patient_is_zeroed(run, policy, syntax: str) -> None:
    ds = base(StudyDate="20240229", PatientBirthDate="19530817", AcquisitionNumber="240229", SeriesNumber="7")
    ds.TriggerTime, ds.AcquisitionDuration, ds.TemporalPositionIndex = "1709164800", 20240229.0, 530817
    ds.ScanOptions, ds.SliceThickness = ["FAST", "F_240229"], "1.25"
    out, _, _ = run(ds, policy(SHIFT), syntax)
    assert (out.AcquisitionNumber, out.TriggerTime, out.AcquisitionDuration, out.TemporalPositionIndex) == (0, 0, 0, 0)
    assert (out.SeriesNumber, out.SliceThickness, list(out.ScanOptions)) == (7, 1.25, ["FAST", "DEIDENTIFIED"])


def test_a_day_in_a_number_stays_where_the_policy_keeps_dates(run, policy) -> None:
    ds = base(StudyDate="20240229", AcquisitionNumber="240229")
    ds.AcquisitionDuration = 20240229.0
    out, _, _ = run(ds, policy(KEEPING))
    assert (out.AcquisitionNumber, out.AcquisitionDuration) == (240229, 20240229.0)


# --------------------------------------------------------------------------- labels in concept names


def _labelled(meaning: str, value_type: str, **value: Any) -> Dataset:
    item = _content(value_type, "121071", **value)
    item.ConceptNameCodeSequence[0].CodeMeaning = meaning
    return item


@pytest.mark.parametrize(
    ("meaning", "text", "left"),
    [
        ("Operator", "Hand", None),
        ("Observer", "Stone", None),
        ("Dictated by", "Long", None),
        ("Recorded by", "Rose", None),
        ("MRN", "4471", None),
        ("Person", "Young", None),
        ("Finding", "nodule 12 mm", "nodule 12 mm"),
        ("Comment", "Foot", "Foot"),
        ("Operator", "No fracture", "No fracture"),
    ],
)
def test_the_concept_of_a_content_item_says_what_its_text_is(
    run, policy, meaning: str, text: str, left: str | None
) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "D17", "99L", text
    items = [_labelled(meaning, "TEXT", TextValue=text), _labelled("Finding", "TEXT", TextValue="Foot")]
    items += [_labelled(meaning, "CODE", ConceptCodeSequence=Sequence([code]))]
    out, _, _ = run(base(SOPClassUID=SR, Modality="SR", ContentSequence=Sequence(items)), policy(SHIFT))
    first, other, coded = out.ContentSequence
    assert first.TextValue in ({"", "DEIDENTIFIED"} if left is None else {left})
    assert coded.ConceptCodeSequence[0].CodeMeaning == (left or "DEIDENTIFIED") and other.TextValue == "Foot"


@pytest.mark.parametrize(
    ("meaning", "number", "stays"),
    [
        ("Patient number", "4471920", False),
        ("MRN", "4471", False),
        ("Volume", "4471", True),
        ("Patient number", "12", True),
    ],
)
def test_a_number_that_its_concept_makes_an_identifier_goes(
    run, policy, meaning: str, number: str, stays: bool
) -> None:
    units, measured = Dataset(), Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = "1", "UCUM", "no units"
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = number, Sequence([units])
    items = [_labelled(meaning, "NUM", MeasuredValueSequence=Sequence([measured]))]
    items += [_labelled("Finding", "TEXT", TextValue="Foot")]
    out, _, _ = run(base(SOPClassUID=SR, Modality="SR", ContentSequence=Sequence(items)), policy(SHIFT))
    assert len(out.ContentSequence) == 1 + stays


def test_a_class_below_the_root_of_dicom_stays_if_it_may_be_registered(run, policy) -> None:
    classes = ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.113619.4.26", "1.2.840.10008.5.1.778115"]
    out, _, _ = run(base(RelatedGeneralSOPClassUID=classes[2]), policy(SHIFT))
    assert out.RelatedGeneralSOPClassUID == UIDS.new_uid(classes[2])
    out, _, _ = run(base(RelatedGeneralSOPClassUID=classes[:2]), policy(SHIFT))
    assert list(out.RelatedGeneralSOPClassUID) == classes[:2]


@pytest.mark.parametrize(
    ("uid", "stays"),
    [
        ("1.2.840.10008.2.16.4", True),
        ("2.16.840.1.113883.6.96", True),
        ("2.16.840.1.113883.6.999", True),
        ("1.2.276.448812907.19530817", False),
        ("2.16.840.1.113883.3.19530817", False),
    ],
)
def test_a_uid_of_a_definition_stays_if_it_is_registered(run, policy, uid: str, stays: bool) -> None:
    scheme, code = Dataset(), Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeUID = "99X", uid
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning, code.ContextUID = "T-1", "SRT", "Thorax", uid
    ds = base(CodingSchemeIdentificationSequence=Sequence([scheme]), AnatomicRegionSequence=Sequence([code]))
    out, _, _ = run(ds, policy(SHIFT))
    wanted = uid if stays else UIDS.new_uid(uid)
    assert out.CodingSchemeIdentificationSequence[0].CodingSchemeUID == wanted
    assert out.AnatomicRegionSequence[0].ContextUID == wanted
