"""The header pass tells what the standard removes, what looks like an identifier, and which marks are missing."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

import factories
from phi_deid_pipeline.evaluation_findings import HeaderFinding, Severity
from phi_deid_pipeline.evaluation_header import look_at_bytes, look_at_header, look_at_path
from phi_deid_pipeline.evaluation_known import Known

CERTAIN, LIKELY, POSSIBLE = Severity.CERTAIN, Severity.LIKELY, Severity.POSSIBLE
CODE = "PVJEOY55Z2OWIV2SN"


def clean(**values: object) -> Dataset:
    """Return a de-identified instance without anything suspicious, but for `values` by keyword."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, "2.25.11"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.12", "2.25.13"
    ds.PatientName = ds.PatientID = CODE
    ds.Modality, ds.StudyDate, ds.StudyDescription = "CT", "", ""
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", "by hand"
    ds.BurnedInAnnotation = "NO"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def claim(ds: Dataset, *codes: str) -> Dataset:
    ds.DeidentificationMethodCodeSequence = [Dataset() for _ in codes]
    for item, code in zip(ds.DeidentificationMethodCodeSequence, codes, strict=True):
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", "x"
    return ds


def look(ds: Dataset, known: Known | None = None) -> list[HeaderFinding]:
    return look_at_header("a.dcm", ds, known or Known())


def brief(findings: list[HeaderFinding]) -> list[tuple[str, Severity, str]]:
    return [(one.tag, one.severity, one.kind) for one in findings]


def test_clean_instance_has_no_finding() -> None:
    assert look(clean()) == []


@pytest.mark.parametrize(
    ("keyword", "value", "severity", "kind"),
    [
        ("PatientName", "Zimmerlin^Ottoline", LIKELY, "name"),
        ("ReferringPhysicianName", "Okonjowa", LIKELY, "name"),
        ("PatientID", "77304419", POSSIBLE, "number"),
        ("StudyDate", "20240229", LIKELY, "date"),
        ("StudyTime", "141507", POSSIBLE, "time"),
        ("StudyDescription", "knee of a clerk", LIKELY, "table_row"),
        ("AccessionNumber", "S4471902", LIKELY, "table_row"),
        ("PatientAge", "093Y", CERTAIN, "age"),
        ("PatientAge", "045Y", POSSIBLE, "table_row"),
        ("PatientWeight", "71.5", POSSIBLE, "table_row"),
        ("ImageComments", "a@example.org", CERTAIN, "e-mail"),
        ("InstitutionName", "St Wendreda", LIKELY, "table_row"),
        ("SOPInstanceUID", "1.3.12.2.1107.5.1.4.5.3000", LIKELY, "uid_of_manufacturer"),
        ("Manufacturer", "Dr. Okonjowa", LIKELY, "name"),
        ("DateOfSecondaryCapture", "20240229", LIKELY, "date"),
        ("BurnedInAnnotation", "YES", LIKELY, "burned_in"),
        ("PatientIdentityRemoved", "NO", POSSIBLE, "mark"),
        ("DeidentificationMethod", None, POSSIBLE, "mark"),
        ("EncapsulatedDocument", b"%PDF-1.7", LIKELY, "document"),
        ("RecognizableVisualFeatures", "YES", POSSIBLE, "face"),
    ],
)
def test_value_that_should_be_gone_is_told(keyword: str, value: object, severity: Severity, kind: str) -> None:
    ds = clean(**{keyword: value})
    ds.PixelData, ds["PixelData"].VR = b"\x00\x00", "OW"
    found = [one for one in look(ds) if one.keyword == keyword]
    assert (severity, kind) in [(one.severity, one.kind) for one in found]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "19000101"),
        ("StudyDate", "20240101"),
        ("PatientName", "Anonymous^Patient"),
        ("AccessionNumber", "0000"),
        ("AccessionNumber", "X7J3DMG5MWHB"),
        ("StudyTime", "000000"),
        ("PatientAge", "090Y"),
        ("InstitutionName", "REMOVED"),
        ("SoftwareVersions", "syngo 4.1.3.2"),
    ],
)
def test_dummy_is_not_told(keyword: str, value: str) -> None:
    findings = look(clean(**{keyword: value}))
    assert [one for one in findings if one.keyword == keyword and one.severity is not POSSIBLE] == []


def test_claimed_option_keeps_its_rows_but_patterns_are_still_told() -> None:
    ds = claim(clean(StudyDescription="knee", StudyDate="20240229"), "113100", "113105", "113106")
    assert look(ds) == []
    ds.StudyDescription = "knee, Dr. Okonjowa"
    assert brief(look(ds)) == [("(0008,1030)", LIKELY, "name")]


def test_nested_value_is_told_with_its_path() -> None:
    item = Dataset()
    item.OperatorsName = "Vandersteen^Pia"
    ds = claim(clean(), "113105")
    ds.PerformedProtocolCodeSequence = [Dataset(), item]
    assert brief(look(ds)) == [("(0040,0260)[1].(0008,1070)", LIKELY, "name")]


def test_private_element_outside_the_safe_list_is_told_by_what_it_holds() -> None:
    ds = clean()
    block = ds.private_block(0x0019, "ACME", create=True)
    block.add_new(0x01, "LO", "anything")
    block.add_new(0x02, "DS", "1.5")
    block.add_new(0x03, "OB", b"\x00\x01ZIMMERLIN^OTTOLINE\x00\x02")
    found = brief(look(ds))
    assert ("(0019,1001)", LIKELY, "private") in found
    assert ("(0019,1002)", POSSIBLE, "private") in found
    assert ("(0019,1003)", LIKELY, "private") in found
    assert ("(0019,1003)", LIKELY, "name") in found


def test_safe_private_element_is_told_only_where_the_option_is_not_claimed() -> None:
    ds = clean()
    ds.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "2.5")
    assert brief(look(ds)) == [("(7053,1000)", POSSIBLE, "private")]
    assert look(claim(ds, "113111")) == []


def test_private_element_without_creator_is_likely() -> None:
    ds = clean()
    ds.add_new(0x00191001, "DS", "1")
    assert ("(0019,1001)", LIKELY, "private") in brief(look(ds))


def test_overlay_and_trailing_padding_are_told() -> None:
    ds = clean()
    ds.add_new(0x60003000, "OW", b"\x01\x00")
    ds.add_new(0xFFFCFFFC, "OB", b"x@y.org ")
    found = brief(look(ds))
    assert ("(6000,3000)", POSSIBLE, "overlay") in found
    assert ("(FFFC,FFFC)", CERTAIN, "e-mail") in found


def test_preamble_with_text_is_told_and_a_tiff_header_is_not() -> None:
    ds = clean()
    ds.preamble = b"Zimmerlin".ljust(128, b"\x00")
    assert brief(look(ds)) == [("preamble", POSSIBLE, "preamble")]
    ds.preamble = b"II*\x00".ljust(128, b"\x00")
    assert look(ds) == []


def test_comment_of_a_codestream_is_searched() -> None:
    ds = clean()
    ds.add_new(0x7FE00010, "OB", b"\xff\xd8\xff\xfe\x00\x20Patient: Zimmerlin \x00\x00")
    assert ("(7FE0,0010)", LIKELY, "name") in brief(look(ds))


def test_codes_of_schemes_are_no_numbers_of_persons() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "127790008", "SCT", "Biopsy"
    assert look(clean(AnatomicRegionSequence=[item])) == []


def test_known_identifiers_and_uids_are_certain() -> None:
    known = Known([("name", "Zimmerlin^Ottoline"), ("birth_date", "19530817")], ["2.25.12"])
    ds = clean(Manufacturer="for ottoline zimmerlin", PatientBirthDate="19530817")
    assert {(one.keyword, one.kind) for one in look(ds, known) if one.severity is CERTAIN} == {
        ("Manufacturer", "known_name"),
        ("PatientBirthDate", "known_birth_date"),
        ("StudyInstanceUID", "known_uid"),
    }


def test_instance_that_nobody_touched_is_full_of_findings(tmp_path: Path) -> None:
    path = factories.write(factories.ct_instance(), tmp_path / "a.dcm")
    found = look_at_header("a.dcm", pydicom.dcmread(path), Known())
    names = {one.keyword for one in found if one.severity is not POSSIBLE}
    assert {"PatientName", "PatientBirthDate", "StudyDate", "InstitutionName", "AccessionNumber"} <= names


def test_value_that_cannot_be_parsed_is_told_and_the_rest_looked_at() -> None:
    ds = clean(PatientName="Zimmerlin^Ottoline")
    ds[0x00280010] = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(0x00280010), "US", 3, b"\x01\x02\x03", 0, False, True
    )
    found = brief(look(ds))
    assert ("(0028,0010)", LIKELY, "unreadable") in found
    assert ("(0010,0010)", LIKELY, "name") in found


def test_path_is_searched_but_names_of_new_uids_are_harmless() -> None:
    assert look_at_path("dicom/2.25.12/2.25.13/2.25.11.dcm", Known()) == []
    found = look_at_path("Zimmerlin_Ottoline/20240229/1.dcm", Known([("name", "Zimmerlin^Ottoline")]))
    assert ("path", CERTAIN, "known_name") in brief(found)
    assert ("path", POSSIBLE, "date") in brief(found)


def test_text_of_other_files_is_searched_for_strong_forms() -> None:
    found = look_at_bytes("a.json", b'{"mail": "a@example.org", "tag": "20100520"}', Known(), compressed=False)
    assert brief(found) == [("file", CERTAIN, "e-mail")]
