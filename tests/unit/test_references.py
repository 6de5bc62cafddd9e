"""Every UID of an instance, with the frames and segments that go with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from phi_deid_pipeline.references import Reference, references
from phi_deid_pipeline.verification_bytes import read_layout
from phi_deid_pipeline.verification_headers import HeaderMemory

STANDARD = "1.2.840.10008."


def found(path: Path) -> dict[Reference, int]:
    with read_layout(path) as layout:
        return dict(references(layout))


@pytest.mark.parametrize("name", ["rtplan.dcm", "rtdose_1frame.dcm", "test-SR.dcm", "liver_1frame.dcm", "rtstruct.dcm"])
def test_uids_are_those_that_pydicom_reads(name: str) -> None:
    path = Path(get_testdata_file(name))
    expected: set[tuple[str, str]] = set()

    def gather(ds: Dataset, above: str) -> None:
        for element in ds:
            place = f"{above}{int(element.tag):08X}"
            if element.VR == "SQ":
                for inner in element.value:
                    gather(inner, f"{place}.")
            elif element.VR == "UI":
                values = element.value if element.VM > 1 else [element.value]
                expected.update((place, str(value)) for value in values if value)

    gather(dcmread(path, force=True), "")
    expected = {(place, uid) for place, uid in expected if not uid.startswith(STANDARD)}
    assert expected
    assert {(reference.path, reference.uid) for reference in found(path)} == expected


def item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_numbers_go_with_the_instance_of_their_item_alone(tmp_path: Path, syntax: str) -> None:
    image = item(ReferencedSOPInstanceUID="1.2.5", ReferencedFrameNumber=[7, 3], ReferencedSegmentNumber=[258, 1])
    other = item(ReferencedSOPInstanceUID="1.2.6", TrackingUID="1.2.7")
    frames = [item(DerivationImageSequence=[item(SourceImageSequence=[image, other])]) for _ in range(2)]
    ds = item(SOPInstanceUID="1.2.1", ReferencedImageSequence=Sequence([image]))
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.1"
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    source = "52009230.00089124.00082112"
    assert found(tmp_path / "a.dcm") == {
        Reference("00080018", "1.2.1"): 1,
        Reference("00081140.00081155", "1.2.5", (3, 7), (1, 258)): 1,
        **{Reference(f"{source}.00081155", "1.2.5", (3, 7), (1, 258), frame): 1 for frame in (1, 2)},
        **{Reference(f"{source}.00081155", "1.2.6", (), (), frame): 1 for frame in (1, 2)},
        **{Reference(f"{source}.00620021", "1.2.7", (), (), frame): 1 for frame in (1, 2)},
    }


@pytest.mark.parametrize(
    ("written", "frames"),
    [
        (b"x ", ()),
        (b"99999999999999999999", (0,)),
        (b"4294967296\\2", (0, 2)),
        (b"4294967295", (4294967295,)),
        (b"9" * 6000, (0,)),
    ],
    ids=["no number", "twenty digits", "33 bits", "32 bits", "thousands of digits"],
)
def test_what_can_be_no_frame_number_is_left_out_and_what_is_too_large_is_zero(
    tmp_path: Path, written: bytes, frames: tuple[int, ...]
) -> None:
    ds = item(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID="1.2.1")
    image = item(ReferencedSOPInstanceUID="1.2.5")
    image.add(DataElement(0x00081160, "OB", written + b" " * (len(written) % 2)))
    ds.ReferencedImageSequence = Sequence([image])
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, "1.2.1"
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert Reference("00081140.00081155", "1.2.5", frames) in found(tmp_path / "a.dcm")


def test_numbers_beside_an_instance_at_the_top_level_are_found_again_in_a_known_header(tmp_path: Path) -> None:
    memory, seen = HeaderMemory(), []
    for number in (1, 2, 3):
        ds = item(SOPInstanceUID=f"1.2.{number}", ReferencedSOPInstanceUID="1.2.9", ReferencedFrameNumber=[number, 8])
        ds.ReferencedImageSequence = [item(ReferencedSOPInstanceUID="1.2.7", ReferencedFrameNumber=2)]
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(tmp_path / str(number), enforce_file_format=True)
        with read_layout(tmp_path / str(number), memory) as layout:
            seen.append(references(layout))
        with read_layout(tmp_path / str(number)) as alone:
            assert references(alone) == seen[-1]
    assert [Reference("00081155", "1.2.9", (number, 8)) in found for number, found in enumerate(seen, 1)] == [True] * 3
