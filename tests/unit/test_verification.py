"""Verification finds each kind of leak planted in a written instance, names the place and no value, and nothing else."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.policies import Policy
from phi_deid_pipeline.records import Box, Category, DeidRecord, Residual, Status, VerificationRecord
from phi_deid_pipeline.verification import SeriesVerifier, series_verdict, verify_instance

CT = "1.2.840.10008.5.1.4.1.1.2"
SOP, SERIES, STUDY, FRAME = (f"1.3.6.1.4.1.99999.{n}.77001.17" for n in range(4))
UIDS = {uid: f"2.25.{number + 10**30}" for number, uid in enumerate((SOP, SERIES, STUDY, FRAME))}
PSEUDONYM = "PABCDEFGHIJKLMNOP"
ENTRIES = (
    Entry(Category.NAME, "Köhnlein^Wu^Anna"),
    Entry(Category.NAME, "山田^太郎"),
    Entry(Category.PERSON, "Ott^Kim"),
    Entry(Category.RECORD_NUMBER, "0087654"),
    Entry(Category.RECORD_NUMBER, "4711"),
    Entry(Category.ACCESSION, "AC-77-4321"),
    Entry(Category.DATE, "20200102"),
    Entry(Category.DATE, "19480523"),
    Entry(Category.INSTITUTION, "Waldfrieden Krankenhaus, Radiologie"),
    Entry(Category.ADDRESS, "Lindenweg 12, Hagenow"),
    Entry(Category.CONTACT, "+49 3883 123456"),
    Entry(Category.DEVICE, "CTAWP73214"),
)
LEXICON = Lexicon(ENTRIES)


def source_dataset() -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = CT, SOP
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, SERIES, FRAME
    ds.StudyDate, ds.PatientBirthDate = "20200102", "19480523"
    ds.PatientName = "Köhnlein^Wu^Anna"
    ds.PixelData = bytes(range(256)) * 2
    return ds


def clean_dataset() -> Dataset:
    """Return what a policy leaves of a CT slice: typical values that look like anything but must not be held."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    ds.SOPClassUID, ds.SOPInstanceUID = CT, UIDS[SOP]
    ds.StudyDate, ds.StudyTime = "", "000000"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "SIEMENS", "Sensation 64"
    ds.SeriesDescription = "Thorax HR 1.0 B60f, left hand"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = PSEUDONYM, PSEUDONYM, ""
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Basic Application Confidentiality Profile"
    ds.BodyPartExamined, ds.ProtocolName = "HAND", "CT Head Routine 12.05.11"
    ds.SliceThickness, ds.KVP, ds.SoftwareVersions = "1.0", "120", ["syngo CT 2012B", "VB42C 4711.2"]
    ds.ConvolutionKernel = "B60f"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = UIDS[STUDY], UIDS[SERIES], UIDS[FRAME]
    ds.ImagePositionPatient = ["-130.0087654", "4711", "20.200102"]
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 16, 12, 11
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.WindowCenterWidthExplanation = "WINDOW1"
    ds.LongitudinalTemporalInformationModified = "REMOVED"
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113100", "DCM", "Basic Profile"
    item.CodingSchemeVersion = "20110609"
    item.ContextUID = "1.2.840.10008.6.1.5"
    ds.DeidentificationMethodCodeSequence = Sequence([item])
    ds.PixelData = source_dataset().PixelData
    return ds


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    ds = deepcopy(ds)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.ImplementationClassUID = "2.25.1"
    ds["PixelData"].VR = "OB" if "compressed" in ds.__dict__ or ds.BitsAllocated == 8 else "OW"
    ds.save_as(path, enforce_file_format=True)
    return path


def record(**changes: Any) -> DeidRecord:
    base = DeidRecord(
        *("a", "", CT, "CT", STUDY, SERIES, SOP, UIDS[STUDY], UIDS[SERIES], UIDS[SOP], PSEUDONYM, Status.RELEASED),
        *("", "", f"x/y/{UIDS[SOP]}.dcm", "", ExplicitVRLittleEndian, ExplicitVRLittleEndian, "untouched", ""),
    )
    return replace(base, **changes)


class Bench:
    """Writes source and result, lets a test spoil the result, and verifies it."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source.dcm"
        self.written = folder / f"{UIDS[SOP]}.dcm"
        self.dataset, self.original = clean_dataset(), source_dataset()
        for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"):
            setattr(self.original, name, getattr(self.dataset, name))
        self.original.PixelRepresentation, self.original.PhotometricInterpretation = 0, "MONOCHROME2"
        self.record, self.options, self.lexicon = record(), frozenset[str](), LEXICON
        self.policy: Policy | None = None
        self.uids = UIDS
        self.syntax: str = ExplicitVRLittleEndian
        self.spoil: Callable[[bytes], bytes] = lambda data: data

    def verify(self) -> VerificationRecord:
        save(self.original, self.source, self.syntax)
        save(self.dataset, self.written, self.syntax)
        self.written.write_bytes(self.spoil(self.written.read_bytes()))
        return verify_instance(
            self.written,
            source=self.source,
            record=self.record,
            lexicon=self.lexicon,
            uid_map=self.uids,
            options=self.options,
            policy=self.policy,
        )

    def residuals(self) -> list[tuple[str, str, str]]:
        return [(r.check, r.where, r.category) for r in self.verify().residuals]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# ------------------------------------------------------------------ no false alarm


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_clean_instance_is_released_in_any_syntax(bench: Bench, syntax: str) -> None:
    bench.syntax = syntax
    verdict = bench.verify()
    assert verdict.residuals == ()
    assert (verdict.status, verdict.reason) == (Status.RELEASED, "")
    assert {"opens", "structure", "lexicon", "dates", "source_uids", "known_uids", "pixel_data"} <= set(verdict.checks)


@pytest.mark.parametrize(
    ("category", "value"),
    [
        (Category.NAME, "Hand^Left"),  # stands as "left hand" in the series description
        (Category.NAME, "Head^CT"),
        (Category.NAME, "Thorax Phantom"),
        (Category.NAME, "So"),  # too short to count alone
        (Category.PERSON, "Siemens^Engineer"),
        (Category.DEVICE, "SIEMENS"),
        (Category.DEVICE, "Sensation 64"),  # a station named after its model
        (Category.ACCESSION, "1"),  # a Study ID
        (Category.ACCESSION, "120"),  # equals KVP: numbers of fewer than 6 digits do not count in DS
        (Category.ACCESSION, "2012"),
        (Category.RECORD_NUMBER, "10008"),  # a component of DICOM's own UIDs
        (Category.RECORD_NUMBER, "0087654"),  # a fraction in a position
        (Category.DATE, "19000101"),
        (Category.INSTITUTION, "CT Head"),
        (Category.OTHER, "O"),
        (Category.RECORD_NUMBER, PSEUDONYM),
    ],
)
def test_chance_matches_hold_nothing(bench: Bench, category: Category, value: str) -> None:
    bench.lexicon = Lexicon([Entry(category, value)])
    assert bench.residuals() == []


def test_dummy_date_is_no_source_date(bench: Bench) -> None:
    bench.dataset.StudyDate = "19000101"
    bench.dataset.AcquisitionDateTime = "19000101000000"
    assert bench.residuals() == []


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "JPEG2000.dcm", "liver_1frame.dcm"])
def test_real_instance_with_new_identity_gives_no_alarm(tmp_path: Path, name: str) -> None:
    source = Path(get_testdata_file(name))
    written = tmp_path / f"{UIDS[SOP]}.dcm"
    ds, uids = new_identity(source)
    ds.save_as(written, enforce_file_format=True)
    has_pixels = "PixelData" in ds
    made = record(
        study_uid=str(ds.StudyInstanceUID),
        series_uid=str(ds.SeriesInstanceUID),
        pixel_data="untouched" if has_pixels else "none",
    )
    verdict = verify_instance(written, source=source, record=made, lexicon=LEXICON, uid_map=uids)
    assert verdict.residuals == ()


def new_identity(source: Path) -> tuple[Dataset, dict[str, str]]:
    """Return a copy with new UIDs, IDs and names, dummy dates and no private attributes, and the map of the UIDs."""
    from pydicom import dcmread

    ds, uids = dcmread(source), {}
    structural = {"SOPClassUID", "ReferencedSOPClassUID", "CodingSchemeUID", "ContextUID", "MappingResourceUID"}

    def renew(_: Dataset, element: Any) -> None:
        if element.VR in ("DA", "DT") and element.value:
            element.value = "19000101"
        elif element.VR == "PN" or element.keyword in ("PatientID", "AccessionNumber", "StudyID"):
            element.value = PSEUDONYM
        if element.VR == "UI" and element.keyword not in structural and element.value:
            old = str(element.value)
            if not old.startswith("1.2.840.10008."):
                element.value = uids.setdefault(old, UIDS[SOP] if old == sop else f"2.25.{len(uids) + 10**31}")

    sop = str(ds.SOPInstanceUID)
    ds.walk(renew)
    ds.remove_private_tags()
    for element in list(ds):
        if element.tag.group & 0xFF00 in (0x6000, 0x5000) or element.tag == 0xFFFCFFFC:
            del ds[element.tag]
    ds.PatientIdentityRemoved, ds.DeidentificationMethod = "YES", "Basic Profile"
    syntax = ds.file_meta.TransferSyntaxUID
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPInstanceUID = UIDS[SOP]
    ds.file_meta.ImplementationClassUID = "2.25.1"
    ds.preamble = bytes(128)
    return ds, uids


# ------------------------------------------------------------------ identifiers in elements


@pytest.mark.parametrize(
    ("keyword", "value", "check", "category"),
    [
        ("ImageComments", "seen by köhnlein", "lexicon", "name"),
        ("ImageComments", "KÖHNLEIN", "lexicon", "name"),
        ("SeriesDescription", "Koehnlein Knie", "lexicon", "name"),
        ("SeriesDescription", "kohnlein", "lexicon", "name"),
        ("SeriesDescription", "Thorax_ANNA_2", "lexicon", "name"),
        ("SeriesDescription", "WuKöhnlein", "lexicon", "name"),
        ("ImageComments", "wu, köhnlein", "lexicon", "name"),
        ("StudyDescription", "患者山田検査", "lexicon", "name"),
        ("ImageComments", "by Kim Ott", "lexicon", "person"),
        ("OperatorsName", "OTT", "lexicon", "person"),
        ("RetrieveURL", "http://pacs/87654", "lexicon", "record_number"),
        ("ImageComments", "no. 0087654", "lexicon", "record_number"),
        ("StudyID", "4711", "lexicon", "record_number"),
        ("ImageComments", "ac774321", "lexicon", "accession"),
        ("ImageComments", "(AC 77 4321)", "lexicon", "accession"),
        ("ProtocolName", "Waldfrieden Routine", "lexicon", "institution"),
        ("ImageComments", "Lindenweg 12", "lexicon", "address"),
        ("ImageComments", "call 3883-123456 or +49 3883 123456", "lexicon", "contact"),
        ("StationName", "ctawp73214", "lexicon", "device"),
        ("StudyDate", "20200102", "dates", "date"),
        ("AcquisitionDateTime", "20200102101500.5", "dates", "date"),
        ("ImageComments", "20200102", "dates", "date"),
        ("ImageComments", "02.01.2020", "dates", "date"),
        ("ImageComments", "01/02/2020", "dates", "date"),
        ("ImageComments", "2020-01-02", "dates", "date"),
        ("ImageComments", "geb. 23. Mai 1948", "dates", "date"),
        ("ImageComments", "May 23, 1948", "dates", "date"),
        ("SeriesDescription", "scan23051948", "dates", "date"),
        ("ImageComments", f"from {STUDY}", "source_uids", "uid"),
        ("ImageComments", f"from {SERIES}.5", "source_uids", "uid"),
    ],
)
def test_identifier_in_a_value_is_found_where_it_stands(
    bench: Bench, keyword: str, value: str, check: str, category: str
) -> None:
    setattr(bench.dataset, keyword, value)
    verdict = bench.verify()
    where = f"{bench.dataset[keyword].tag:08X}"
    assert verdict.residuals == (Residual(check, where, category),)
    assert (verdict.status, verdict.reason) == (Status.HELD, "residual_identifier")


def test_residuals_hold_no_value(bench: Bench) -> None:
    bench.dataset.ImageComments = f"Köhnlein Anna 0087654 20200102 {STUDY}"
    text = repr(bench.verify()).lower()
    assert bench.verify().residuals != ()
    for value in ("köhnlein", "anna", "87654", "20200102", STUDY):
        assert value not in text


def test_identifier_in_a_nested_item_is_named_by_its_path(bench: Bench) -> None:
    inner = Dataset()
    inner.CodeMeaning = "Anna"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = Sequence([inner])
    outer.ReferencedSOPInstanceUID = UIDS[SOP]
    bench.dataset.ReferencedImageSequence = Sequence([outer])
    assert bench.residuals() == [("lexicon", "00081140.0040A170.00080104", "name")]


def test_name_is_found_in_the_encoding_of_the_source(bench: Bench) -> None:
    bench.original.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    bench.original.PatientName = "Yamada^Taro=山田^太郎"
    bench.dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    bench.dataset.PatientName = "山田"
    assert bench.residuals() == [("lexicon", "00100010", "name")]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_name_in_a_wrong_encoding_is_found(bench: Bench, encoding: str) -> None:
    bench.dataset.SpecificCharacterSet = "ISO_IR 101"
    bench.dataset.add_new(0x00204000, "LT", b"bei " + "Köhnlein".encode(encoding) + b" ")
    assert bench.residuals() == [("lexicon", "00204000", "name")]


def test_transliterated_name_in_utf8_under_another_declaration_is_found(bench: Bench) -> None:
    bench.lexicon = Lexicon([Entry(Category.NAME, "Muehlenkoetter^Anne")])
    bench.dataset.SpecificCharacterSet = "ISO_IR 100"
    bench.dataset.add_new(0x00204000, "LT", "bei Mühlenkötter".encode())
    assert bench.residuals() == [("lexicon", "00204000", "name")]


@pytest.mark.parametrize(
    ("data", "category"),
    [
        (b"\x01\x02KOHNLEIN\x00\x03", "name"),
        ("\x07Köhnlein".encode() + b"\x00", "name"),
        ("Waldfrieden".encode("utf-16-le"), "institution"),
        (b"\x00\x01wu^kohnlein\x00", "name"),
    ],
)
def test_name_in_binary_value_is_found(bench: Bench, data: bytes, category: str) -> None:
    bench.dataset.add_new(0x00282000, "OB", data + b"\x00" * (len(data) % 2))
    assert bench.residuals() == [("lexicon", "00282000", category)]


def test_four_letters_within_binary_data_are_chance(bench: Bench) -> None:
    bench.dataset.add_new(0x00281201, "OW", b"\x01\x80\x03anna\x9f\x00\xff")
    assert bench.residuals() == []


def test_long_value_is_searched_to_its_end_and_over_piece_borders(bench: Bench) -> None:
    border = (4 << 20) - 3
    bench.dataset.add_new(0x00282000, "OB", b"\x00" * border + b"koehnlein" + b"\x00" * 20)
    assert bench.residuals() == [("lexicon", "00282000", "name")]


def test_date_and_number_in_numeric_strings_count_as_whole_components(bench: Bench) -> None:
    bench.lexicon = Lexicon([Entry(Category.DATE, "20200102"), Entry(Category.RECORD_NUMBER, "7654321")])
    bench.dataset.WindowCenter = ["20200102", "40"]
    bench.dataset.ReferencedFrameNumber = ["1", "7654321"]
    assert bench.residuals() == [("dates", "00281050", "date"), ("lexicon", "00081160", "record_number")]


# ------------------------------------------------------------------ the container


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        assert data.count(old) == 1
        return data.replace(old, new)

    return change


def test_preamble_that_is_not_zero_holds(bench: Bench) -> None:
    bench.spoil = lambda data: b"Anna" + data[4:]
    assert bench.residuals() == [("structure", "preamble", "")]


def test_bytes_behind_the_data_set_hold(bench: Bench) -> None:
    bench.spoil = lambda data: data + b"Anna Koehnlein"
    verdict = bench.verify()
    assert verdict.residuals == (Residual("structure", "behind the data set", "", "14 bytes"),)
    assert verdict.status is Status.HELD


def test_bytes_behind_a_deflated_data_set_hold(bench: Bench) -> None:
    bench.syntax = DeflatedExplicitVRLittleEndian
    bench.spoil = lambda data: data + b"Koehnlein!"
    assert [r[:2] for r in bench.residuals()] == [("structure", "behind the data set")]


def test_private_attribute_holds_and_is_searched(bench: Bench) -> None:
    block = bench.dataset.private_block(0x0029, "ACME", create=True)
    block.add_new(1, "LO", "Anna")
    assert bench.residuals() == [
        ("lexicon", "00291001", "name"),
        ("structure", "00290010", ""),
        ("structure", "00291001", ""),
    ]


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [(0x60003000, "OW", b"\x00\x01"), (0x50000005, "US", 1), (0x00041130, "CS", "X"), (0x00080000, "UL", 4)],
)
def test_group_that_must_not_be_there_holds(bench: Bench, tag: int, vr: str, value: Any) -> None:
    bench.dataset.add_new(tag, vr, value)
    bench.spoil = lambda data: data
    if tag in (0x00041130, 0x00080000):  # pydicom does not write these
        element = tag.to_bytes(4, "big")
        raw = element[1::-1] + element[:1:-1] + (b"CS\x02\x00X " if vr == "CS" else b"UL\x04\x00\x04\x00\x00\x00")
        del bench.dataset[tag]
        bench.spoil = replaced(b"\x08\x00\x05\x00CS", raw + b"\x08\x00\x05\x00CS")
    assert bench.residuals() == [("structure", f"{tag:08X}", "")]


def test_file_meta_of_another_writer_holds(bench: Bench) -> None:
    bench.dataset.is_implicit_VR = False

    def add(data: bytes) -> bytes:
        at = data.index(b"\x08\x00\x05\x00CS")
        return data[:at] + b"\x02\x00\x16\x00AE\x04\x00PACS" + data[at:]

    bench.spoil = add
    assert bench.residuals() == [("structure", "00020016", "")]


def test_missing_identity_removed_rejects(bench: Bench) -> None:
    bench.dataset.PatientIdentityRemoved = "NO"
    verdict = bench.verify()
    assert verdict.residuals == (Residual("deid_attributes", "00120062", "", "not YES"),)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, "not_readable_after")


def test_longitudinal_statement_must_fit_the_policy(bench: Bench) -> None:
    bench.options = frozenset({"retain_long_modified_dates"})
    assert bench.residuals() == [("deid_attributes", "00280303", "")]
    bench.original.LongitudinalTemporalInformationModified = "REMOVED"
    assert bench.residuals() == [], "what was done before stays true"
    bench.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    assert bench.residuals() == [("deid_attributes", "00280303", "")]


def test_other_file_name_rejects(bench: Bench) -> None:
    bench.written = bench.written.with_name("doe.dcm")
    verdict = bench.verify()
    assert [(r.check, r.where) for r in verdict.residuals] == [("opens", "file name")]
    assert verdict.status is Status.REJECTED


def test_truncated_instance_is_rejected_as_not_readable(bench: Bench) -> None:
    bench.spoil = lambda data: data[: len(data) // 2]
    verdict = bench.verify()
    assert verdict.residuals == (Residual("opens", "data set", "", "malformed"),)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, "not_readable_after")


def test_value_that_no_reader_converts_rejects_unless_the_source_has_it(bench: Bench) -> None:
    six_bytes = b"\x18\x00\x45\x93FD\x06\x00\x00\x00\x00\x00\x00\x00"  # an FD has eight
    spoiled = b"\x20\x00\x0d\x00UI"
    bench.spoil = replaced(spoiled, six_bytes + spoiled)
    verdict = bench.verify()
    assert verdict.residuals == (Residual("opens", "00189345", "", "value cannot be converted"),)
    assert verdict.reason == "not_readable_after"
    bench.source.write_bytes(bench.spoil(bench.source.read_bytes()))
    verifier = SeriesVerifier(LEXICON, UIDS, harmless=[PSEUDONYM])
    assert verifier.verify(bench.written, bench.source, bench.record).residuals == ()


# ------------------------------------------------------------------ UIDs


def test_uid_outside_the_map_rejects_the_instance(bench: Bench) -> None:
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3.4.5.6.7"
    item.ReferencedSOPClassUID = CT
    bench.dataset.ReferencedImageSequence = Sequence([item])
    verdict = bench.verify()
    assert verdict.residuals == (Residual("known_uids", "00081140.00081155", "uid"),)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, "unknown_uid")


def test_source_uid_in_a_nested_reference_holds(bench: Bench) -> None:
    item = Dataset()
    item.ReferencedSOPInstanceUID = SOP
    bench.dataset.SourceImageSequence = Sequence([item])
    verdict = bench.verify()
    assert verdict.residuals == (Residual("source_uids", "00082112.00081155", "uid"),)
    assert verdict.status is Status.HELD


@pytest.mark.parametrize("uid", ["3", "1.2", "12.5"])
def test_short_source_uid_that_may_be_any_number_counts_in_uids_alone(bench: Bench, uid: str) -> None:
    bench.uids = UIDS | {uid: "2.25.77"}
    bench.dataset.InstanceNumber, bench.dataset.SliceThickness, bench.dataset.ImageComments = "3", "1.2", "12.5"
    assert bench.residuals() == []
    bench.dataset.FrameOfReferenceUID = uid
    assert bench.residuals() == [("source_uids", "00200052", "uid")]


def test_structural_uids_of_others_are_no_entities(bench: Bench) -> None:
    item = Dataset()
    item.CodingSchemeUID = "2.16.840.1.113883.6.256"
    bench.dataset.CodingSchemeIdentificationSequence = Sequence([item])
    assert bench.residuals() == []


@pytest.mark.parametrize(
    ("uid", "held"),
    [
        ("2.16.840.1.113883.6.96", False),
        ("1.2.840.10008.2.16.4", False),
        (f"2.25.{10**37 + 7}", False),
        ("1.2.276.448812907.19530817", True),
        ("2.16.840.1.113883.3.19530817", True),
        ("2.25.1953", True),
    ],
)
@pytest.mark.parametrize(
    "keyword", ["CodingSchemeUID", "ContextGroupExtensionCreatorUID", "ContextUID", "MappingResourceUID"]
)
def test_uid_of_a_definition_that_nobody_registered_holds(bench: Bench, keyword: str, uid: str, held: bool) -> None:
    item = Dataset()
    setattr(item, keyword, uid)
    bench.dataset.CodingSchemeIdentificationSequence = Sequence([item])
    assert [check for check, _, _ in bench.residuals()] == ["source_uids"] * held
    bench.options = frozenset({"retain_uids"})
    assert bench.residuals() == []


@pytest.mark.parametrize("keyword", ["RelatedGeneralSOPClassUID", "ReferencedSOPClassUID"])
def test_class_that_the_standard_does_not_have_holds(bench: Bench, keyword: str) -> None:
    for uid, held in (
        ("1.2.840.10008.5.1.4.1.1.2", False),
        ("1.2.840.113619.4.26", False),
        ("1.2.840.10008.778114", True),
    ):
        item = Dataset()
        setattr(item, keyword, uid)
        bench.dataset.CodingSchemeIdentificationSequence = Sequence([item])
        assert [check for check, _, _ in bench.residuals()] == ["source_uids"] * held


def test_retained_uids_are_known(bench: Bench) -> None:
    bench.options = frozenset({"retain_uids"})
    bench.dataset.FrameOfReferenceUID = FRAME
    assert bench.residuals() == []


# ------------------------------------------------------------------ options


def test_kept_institution_and_device_do_not_count(bench: Bench) -> None:
    bench.options = frozenset({"retain_institution_identity", "retain_device_identity"})
    bench.dataset.InstitutionName = "Waldfrieden Krankenhaus, Radiologie"
    bench.dataset.InstitutionAddress = "Lindenweg 12, Hagenow"
    bench.dataset.StationName = "CTAWP73214"
    bench.dataset.ImageComments = "Lindenweg 12"
    assert bench.residuals() == [("lexicon", "00204000", "address")]


def test_kept_institution_never_covers_the_patient(bench: Bench) -> None:
    bench.options = frozenset({"retain_institution_identity"})
    bench.dataset.InstitutionName = "Praxis Köhnlein"
    assert bench.residuals() == [("lexicon", "00080080", "name")]


def test_kept_dates_leave_the_birth_date_forbidden(bench: Bench) -> None:
    bench.options = frozenset({"retain_long_full_dates"})
    bench.dataset.LongitudinalTemporalInformationModified = "UNMODIFIED"
    bench.dataset.StudyDate = "20200102"
    assert bench.residuals() == []
    bench.dataset.ImageComments = "born 23.05.1948"
    assert bench.residuals() == [("dates", "00204000", "date")]
    del bench.dataset.ImageComments
    bench.original.ContentDate = bench.dataset.ContentDate = "19480523"
    assert bench.residuals() == [("dates", "00080023", "date")], "under another name, too"


def test_moved_date_may_meet_another_source_date_but_not_its_own(bench: Bench) -> None:
    bench.options = frozenset({"retain_long_modified_dates"})
    bench.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    bench.lexicon = Lexicon([*ENTRIES, Entry(Category.DATE, "20200109")])
    bench.dataset.StudyDate = "20200109"
    assert bench.residuals() == []
    bench.dataset.StudyDate = "20200102"
    assert bench.residuals() == [("dates", "00080020", "date")]


def test_moved_date_without_a_counterpart_must_be_no_source_date(bench: Bench) -> None:
    bench.options = frozenset({"retain_long_modified_dates"})
    bench.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    bench.dataset.ContentDate = "20200102"
    assert bench.residuals() == [("dates", "00080023", "date")]


# ------------------------------------------------------------------ pixels


def test_changed_pixel_byte_rejects(bench: Bench) -> None:
    bench.dataset.PixelData = b"\x01" + bench.dataset.PixelData[1:]
    verdict = bench.verify()
    assert verdict.residuals == (Residual("pixel_data", "7FE00010", "", "differ from the source"),)
    assert (verdict.status, verdict.reason) == (Status.REJECTED, "pixels_changed")


def test_pixel_data_must_be_there_as_the_record_says(bench: Bench) -> None:
    bench.record = record(pixel_data="none")
    assert bench.residuals() == [("pixel_data", "7FE00010", "")]


def gray(bench: Bench) -> np.ndarray:
    return np.frombuffer(bench.original.PixelData, "<u2").reshape(16, 16).copy() & 0x0FFF


def test_redaction_inside_its_boxes_passes_and_outside_rejects(bench: Bench) -> None:
    pixels = gray(bench)
    bench.original.PixelData = (pixels | 0x8000).tobytes()  # an old overlay in the high bits
    pixels[2:5, 3:9] = 0
    bench.dataset.PixelData = pixels.tobytes()
    bench.record = record(pixel_data="redacted", boxes=((-1, Box(3, 2, 6, 3)),))
    assert bench.residuals() == []
    pixels[10, 10] ^= 1
    bench.dataset.PixelData = pixels.tobytes()
    verdict = bench.verify()
    assert verdict.residuals == (Residual("pixel_data", "7FE00010", "", "frame 0 differs outside the boxes"),)
    assert verdict.reason == "pixels_changed"


def test_redaction_of_one_frame_leaves_the_others_alone(bench: Bench) -> None:
    frames = np.stack([gray(bench)] * 3)
    for ds in (bench.dataset, bench.original):
        ds.NumberOfFrames, ds.PixelData = 3, frames.tobytes()
    frames[1, :4, :4] = 0
    bench.dataset.PixelData = frames.tobytes()
    bench.record = record(pixel_data="redacted", boxes=((1, Box(0, 0, 4, 4)),))
    assert bench.residuals() == []
    bench.record = record(pixel_data="redacted", boxes=((2, Box(0, 0, 4, 4)),))
    assert [r.detail for r in bench.verify().residuals] == ["frame 1 differs outside the boxes"]


def test_box_that_is_not_filled_rejects(bench: Bench) -> None:
    frames = np.stack([gray(bench)] * 3)
    for ds in (bench.dataset, bench.original):
        ds.NumberOfFrames, ds.PixelData = 3, frames.tobytes()
    bench.record = record(pixel_data="redacted", boxes=((2, Box(12, 12, 9, 9)), (1, Box(0, 0, 4, 4))))
    frames[1, :4, :4] = 0
    frames[1, 3, 3] = 1
    frames[2, 12:, 12:] = 0
    bench.dataset.PixelData = frames.tobytes()
    assert [r.detail for r in bench.verify().residuals] == ["box 1 of frame 1 is not filled"]
    bench.dataset.PixelData = bench.original.PixelData
    bench.record = record(pixel_data="redacted", boxes=((-1, Box(0, 0, 4, 4)),))
    verdict = bench.verify()
    assert [r.detail for r in verdict.residuals] == ["box 0 of frame 0 is not filled"]
    assert verdict.reason == "pixels_changed"


def test_redacted_pixels_that_do_not_decode_reject(bench: Bench) -> None:
    bench.dataset.PixelData = bench.dataset.PixelData[:100]
    bench.record = record(pixel_data="redacted", boxes=((-1, Box(0, 0, 16, 16)),))
    details = [r.detail for r in bench.verify().residuals]
    assert len(details) == 1
    assert details[0].startswith("frame 0 does not decode")


def jpeg(bench: Bench, comment: bytes) -> None:
    frame = imagecodecs.jpeg_encode(np.zeros((16, 16), np.uint8))
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    data = encapsulate([frame[:2] + segment + frame[2:]])
    bench.syntax = JPEGBaseline8Bit
    for ds in (bench.dataset, bench.original):
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelData = 8, 8, 7, data
        ds["PixelData"].is_undefined_length = True


def test_identifier_behind_the_last_native_frame_holds(bench: Bench) -> None:
    for ds in (bench.dataset, bench.original):
        ds.PixelData += b"patient: Anna Koehnlein "
    verdict = bench.verify()
    assert verdict.residuals == (Residual("pixel_comments", "7FE00010", "name", "behind the frames"),)
    assert verdict.status is Status.HELD


@pytest.mark.parametrize("place", ["offset table", "behind the frame", "utf-16 behind the frame"])
def test_identifier_in_compressed_data_that_no_codec_shows_holds(bench: Bench, place: str) -> None:
    jpeg(bench, b"nothing")
    text = b"patient: Anna Koehnlein "
    for ds in (bench.dataset, bench.original):
        data = bytes(ds.PixelData)
        table, frame = data[:4] + bytes(4), data[12:]  # the offset table of one frame has 4 bytes
        assert frame[:4] == table[:4] == b"\xfe\xff\x00\xe0"
        if place == "offset table":
            ds.PixelData = table[:4] + len(text).to_bytes(4, "little") + text + frame
        else:
            tail = b"\0" * 5000 + (text.decode().encode("utf-16-le") if place.startswith("utf-16") else text)
            tail += b"\0" * 5000
            length = int.from_bytes(frame[4:8], "little") + len(tail)
            ds.PixelData = table + frame[:4] + length.to_bytes(4, "little") + frame[8:] + tail
    verdict = bench.verify()
    assert verdict.residuals == (Residual("pixel_comments", "7FE00010", "name", "compressed data"),)


def test_identifier_in_a_jpeg_comment_holds(bench: Bench) -> None:
    jpeg(bench, b"patient: Anna Koehnlein")
    verdict = bench.verify()
    assert verdict.residuals == (Residual("pixel_comments", "7FE00010", "name", "fragment 1 COM"),)
    assert verdict.status is Status.HELD


def test_harmless_jpeg_comment_passes(bench: Bench) -> None:
    jpeg(bench, b"LEAD Technologies")
    verdict = bench.verify()
    assert verdict.residuals == ()
    assert "pixel_comments" in verdict.checks


# ------------------------------------------------------------------ series


def test_one_identifier_holds_the_series_and_a_broken_instance_only_itself(bench: Bench) -> None:
    good = bench.verify()
    held = replace(good, sop_uid="2", status=Status.HELD, residuals=(Residual("lexicon", "00100010", "name"),))
    broken = replace(
        good, sop_uid="3", status=Status.REJECTED, reason="unknown_uid", residuals=(Residual("known_uids", "", "uid"),)
    )
    other = replace(good, sop_uid="4", series_uid="other")
    verdicts = series_verdict([good, replace(held, reason="residual_identifier"), broken, other])
    assert verdicts == {
        good.sop_uid: (Status.HELD, "residual_identifier"),
        "2": (Status.HELD, "residual_identifier"),
        "3": (Status.REJECTED, "unknown_uid"),
        "4": (Status.RELEASED, ""),
    }
    assert series_verdict([good, broken, other])[good.sop_uid] == (Status.RELEASED, "")


def test_verifier_remembers_values_without_forgetting_places(bench: Bench) -> None:
    bench.dataset.ImageComments = "Anna"
    bench.verify()
    verifier = SeriesVerifier(LEXICON, UIDS, harmless=[PSEUDONYM])
    first = verifier.verify(bench.written, bench.source, bench.record)
    bench.dataset.StudyComments = "Anna"
    bench.verify()
    second = verifier.verify(bench.written, bench.source, bench.record)
    assert [r.where for r in first.residuals] == ["00204000"]
    assert [r.where for r in second.residuals] == ["00204000", "00324000"]


def test_verifier_that_remembers_headers_finds_what_comes_stays_and_goes(bench: Bench) -> None:
    verifier = SeriesVerifier(LEXICON, UIDS, harmless=[PSEUDONYM])
    found = []
    for comments, study in (
        ("", "x"),
        ("", "y"),
        ("Anna", "y"),
        ("Anna", "z"),
        ("Anna", "z"),
        ("knee", "z"),
        ("", "Anna"),
    ):
        bench.dataset.ImageComments, bench.dataset.StudyComments = comments, study
        bench.verify()
        residuals = verifier.verify(bench.written, bench.source, bench.record).residuals
        found.append([residual.where for residual in residuals])
    assert found == [[], [], ["00204000"], ["00204000"], ["00204000"], [], ["00324000"]]


def test_deflated_stream_that_ends_early_is_not_readable(bench: Bench) -> None:
    bench.syntax = DeflatedExplicitVRLittleEndian
    bench.spoil = lambda data: data[:-40]
    verdict = bench.verify()
    assert verdict.reason == "not_readable_after"
    with pytest.raises(zlib.error):
        zlib.decompress(bench.written.read_bytes()[-100:], -zlib.MAX_WBITS)
