"""Elements and items: what is written of a sequence whose encoding differs from that of its instance."""

from __future__ import annotations

import struct
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from phi_deid_pipeline.instance_deid import InstanceDeidentifier
from phi_deid_pipeline.raw_elements import parse_instance
from unit.test_instance_deid import BIG, NOBODY, UIDS, Answer, Rules, base, raw


def opened(folder: Path, source: bytes, rules: Rules) -> Dataset:
    """De-identify an instance; return what pydicom reads of the result."""
    InstanceDeidentifier(rules, UIDS).deidentify(  # type: ignore[arg-type]
        parse_instance(source), folder / "x", NOBODY, None, text_scan_found_nothing_left=False, redacted=False
    )
    return pydicom.dcmread(folder / "x")


def written_as_unknown(items: bytes, *, tag: int = 0x00082112) -> bytes:
    """Return a big endian instance in which a sequence is written as UN, its items implicit little endian (PS3.5 6.2.2)."""
    whole = raw(base(StudyDate="20200101", PatientAge="045Y"), BIG)
    at = whole.index(struct.pack(">HH2s", 0x0010, 0x0010, b"PN"))
    header = struct.pack(">HH2sHI", tag >> 16, tag & 0xFFFF, b"UN", 0, 0xFFFFFFFF)
    return whole[:at] + header + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) + whole[at:]


def implicit_item(ds: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_dataset(buffer, ds)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(buffer.getvalue())) + buffer.getvalue()


@pytest.mark.parametrize("changed", [False, True])
def test_sequence_of_unknown_vr_in_big_endian_is_written_so_that_it_opens(tmp_path: Path, changed: bool) -> None:
    inner, code = Dataset(), Dataset()
    code.CodeValue, code.NumberOfFrames, code.PixelAspectRatio = "ABC", "7", ["1", "2"]
    inner.ReferencedSOPInstanceUID, inner.Rows, inner.RecommendedDisplayFrameRateInFloat = "1.2.3.4.5", 258, 1.5
    inner.FrameIncrementPointer, inner.PurposeOfReferenceCodeSequence = [0x00181063], [code]
    rules = Rules({0x00081155: Answer("U")} if changed else {})
    ds = opened(tmp_path, written_as_unknown(implicit_item(inner) * 2), rules)
    assert ds["SourceImageSequence"].VR == "SQ" and len(ds.SourceImageSequence) == 2
    for item in ds.SourceImageSequence:
        assert item.ReferencedSOPInstanceUID == (UIDS.new_uid("1.2.3.4.5") if changed else "1.2.3.4.5")
        assert (item.Rows, item.RecommendedDisplayFrameRateInFloat, item.FrameIncrementPointer) == (
            258,
            1.5,
            0x00181063,
        )
        assert [e.value for e in item.PurposeOfReferenceCodeSequence[0]] == [e.value for e in code]


def test_empty_or_dummy_sequence_of_unknown_vr_in_big_endian_opens(tmp_path: Path) -> None:
    ds = opened(tmp_path, written_as_unknown(b""), Rules())
    assert ds["SourceImageSequence"].VR == "SQ" and not ds.SourceImageSequence
    item = Dataset()
    item.CodeValue = "ABC"
    ds = opened(tmp_path, written_as_unknown(implicit_item(item), tag=0x00080082), Rules({0x00080082: Answer("D")}))
    assert ds.InstitutionCodeSequence[0].CodeValue == "DEIDENTIFIED"


@pytest.mark.parametrize("filled", [False, True])
def test_method_codes_of_unknown_vr_in_big_endian_are_added_to_and_open(tmp_path: Path, filled: bool) -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113100", "DCM", "Basic Profile"
    source = written_as_unknown(implicit_item(item) if filled else b"", tag=0x00120064)
    rules = Rules(method_codes=(("113100", "DCM", "Basic Profile"), ("113105", "DCM", "Clean Descriptors Option")))
    ds = opened(tmp_path, source, rules)
    assert ds["DeidentificationMethodCodeSequence"].VR == "SQ"
    assert [code.CodeValue for code in ds.DeidentificationMethodCodeSequence] == ["113100", "113105"]
    assert ds.PatientAge == "045Y"
