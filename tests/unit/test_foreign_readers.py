"""Readers not written here see in the de-identified objects what they saw in the originals."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation, SegmentDescription, segread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from linked_scene import ct_stack
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.uid_mapping import UidMapper

UIDS = UidMapper(b"s" * 32)
# What highdicom and pydicom raise on what they do not support.
READER_ERRORS = (ValueError, RuntimeError, KeyError, AttributeError, TypeError, NotImplementedError, sqlite3.Error)
STORED = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
LINKED_FOLDERS = ("QuantitativeReporting", "dcmqi", "highdicom", "pydicom-data", "pydicom")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def engine() -> InstanceDeidentifier:
    return InstanceDeidentifier(load_policy("hipaa_safe_harbor"), UIDS)


def deidentify(engine: InstanceDeidentifier, source: Path, folder: Path) -> Path:
    """Write the de-identified instance under its new UID below `folder`; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    with read_instance(source) as instance:
        target = folder / f"{UIDS.new_uid(instance.text(0x00080018))}.dcm"
        patient = PatientContext("PXYZ", Lexicon(harvest(instance)))
        engine.deidentify(instance, target, patient, None, text_scan_found_nothing_left=False, redacted=False)
    return target


def outcome(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a function returns, or the class of what it raises: both readings have to end alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*arguments, **options)
        except READER_ERRORS as error:
            return type(error)


def same(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        return before.dtype == after.dtype and np.array_equal(before, after)
    return type(before) is type(after) and bool(before == after)


# ------------------------------------------------------------------ highdicom


def segments_of(seg: Segmentation) -> list[tuple[Any, ...]]:
    """Return number, category, type and algorithm of each segment."""
    found = []
    for number in seg.segment_numbers:
        described = seg.get_segment_description(number)
        coded = (described.segmented_property_category.value, described.segmented_property_type.value)
        found.append((number, *coded, described.algorithm_type.value))
    return found


def frames_of(path: Path) -> list[tuple[Any, ...]]:
    """Return segment, position and sources (instance, frames) of every frame, as pydicom reads them."""
    found = []
    for group in pydicom.dcmread(path, stop_before_pixels=True).get("PerFrameFunctionalGroupsSequence") or ():
        sources = [
            (str(image.ReferencedSOPInstanceUID), str(image.get("ReferencedFrameNumber")))
            for derived in group.get("DerivationImageSequence") or ()
            for image in derived.get("SourceImageSequence") or ()
        ]
        segment = [item.ReferencedSegmentNumber for item in group.get("SegmentIdentificationSequence") or ()]
        places = [
            str(item.get("ImagePositionPatient") or item)
            for keyword in ("PlanePositionSequence", "PlanePositionSlideSequence")
            for item in group.get(keyword) or ()
        ]
        found.append((segment, places, sources))
    return found


def check_segmentation(source: Path, target: Path) -> dict[str, int]:
    """Assert that highdicom finds the same segments, sources and pixels in both; return what could be compared."""
    before, after = segread(source), segread(target)
    assert list(after.segment_numbers) == list(before.segment_numbers)
    assert segments_of(after) == segments_of(before)
    assert after.segmentation_type == before.segmentation_type
    compared = {"segments": len(before.segment_numbers), "sources": 0, "masks": 0}
    sources = outcome(before.get_source_image_uids)
    mapped = outcome(after.get_source_image_uids)
    if isinstance(sources, type):
        assert mapped is sources
        instances = []
    else:
        assert sorted(mapped) == sorted(tuple(map(UIDS.new_uid, uids)) for uids in sources)
        instances = sorted({str(sop) for *_, sop in sources})
        compared["sources"] = len(instances)
    options = {"assert_missing_frames_are_empty": True, "ignore_spatial_locations": True}
    for sop in instances:
        for read in ("get_pixels_by_source_instance", "get_pixels_by_source_frame"):
            first = [sop] if read.endswith("instance") else sop
            second = [UIDS.new_uid(sop)] if read.endswith("instance") else UIDS.new_uid(sop)
            numbers = () if read.endswith("instance") else ([1],)
            one = outcome(getattr(before, read), first, *numbers, **options)
            other = outcome(getattr(after, read), second, *numbers, **options)
            assert same(one, other), read
            compared["masks"] += isinstance(one, np.ndarray)
    one, other = outcome(before.get_volume), outcome(after.get_volume)
    if isinstance(one, type):
        assert other is one
    else:
        assert np.array_equal(one.affine, other.affine) and np.array_equal(one.array, other.array)
        compared["masks"] += 1
    assert same(outcome(lambda: before.pixel_array), outcome(lambda: after.pixel_array))
    return compared


def segmentation_paths(shared_data: Path) -> list[Path]:
    found = []
    for folder in LINKED_FOLDERS:
        for path in sorted(path for path in (shared_data / folder).rglob("*") if path.is_file()):
            ds = outcome(pydicom.dcmread, path, stop_before_pixels=True, specific_tags=["SOPClassUID"], force=True)
            if isinstance(ds, Dataset) and ds.get("SOPClassUID") in STORED:
                found.append(path)
    return found


def test_highdicom_reads_every_public_segmentation_as_before(
    shared_data: Path, engine: InstanceDeidentifier, tmp_path: Path
) -> None:
    paths = segmentation_paths(shared_data)
    assert len(paths) >= 20
    compared, unreadable = {}, []
    for path in paths:
        target = deidentify(engine, path, tmp_path)
        mapped = [
            (segment, places, [(UIDS.new_uid(uid), frame) for uid, frame in sources])
            for segment, places, sources in frames_of(path)
        ]
        assert frames_of(target) == mapped
        readable = outcome(segread, path)
        if isinstance(readable, type):
            unreadable.append(path.name)
            assert outcome(segread, target) is readable
            continue
        compared[path.name] = check_segmentation(path, target)
    assert len(compared) >= 20
    assert all(row["segments"] for row in compared.values())
    assert sum(bool(row["sources"] and row["masks"]) for row in compared.values()) >= 15
    # The first lacks segment codes and dimension indices, two are big endian, two in a syntax that pydicom does not know.
    assert set(unreadable) == {
        "syngo.seg.dcm", "liver_expb.dcm", "liver_expb_1frame.dcm", "liver_deflate.dcm", "liver_nonbyte_aligned_deflate.dcm",
    }  # fmt: skip
    for folder in ("QuantitativeReporting", "dcmqi"):
        assert [name for path in paths if folder in path.parts and (name := path.name) in compared]


def images(count: int, folder: Path) -> list[Dataset]:
    """Return slices with pixels and what highdicom asks of an image, written below `folder`."""
    stack = ct_stack(count)
    pixels = np.random.default_rng(7).integers(0, 1000, (count, 8, 10), dtype=np.int16)
    folder.mkdir(parents=True, exist_ok=True)
    for number, ds in enumerate(stack):
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "MRN12345", "Zimmerlin^Ottoline", "", "F"
        ds.StudyID, ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "", "", "", ""
        ds.SeriesNumber, ds.InstanceNumber, ds.ImageType = 1, number + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleIntercept, ds.RescaleSlope = -1024, 1
        ds.PixelData = pixels[number].tobytes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            ds.SOPClassUID,
            ds.SOPInstanceUID,
        )
        ds.save_as(folder / f"IM{number}.dcm", enforce_file_format=True)
    return stack


def masks_of(stack: Sequence[Dataset], segments: int) -> np.ndarray:
    """Return a mask of each segment (slices, rows, columns, segments): shifted boxes."""
    masks = np.zeros((len(stack), 8, 10, segments), np.uint8)
    for segment in range(segments):
        masks[segment : len(stack) - 1, 1 : 4 + segment, 2 + segment : 7 + segment, segment] = 1
    return masks


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_highdicom_reads_its_own_segmentation_as_before(
    kind: str, engine: InstanceDeidentifier, tmp_path: Path
) -> None:
    stack = images(5, tmp_path / "ct")
    described = [
        SegmentDescription(
            number, f"segment {number}", codes.SCT.Organ, codes.SCT.Liver, highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
            tracking_uid=highdicom.UID(), tracking_id=f"lesion {number}",
        )
        for number in (1, 2)
    ]  # fmt: skip
    masks = masks_of(stack, 2)
    if kind == "LABELMAP":
        masks = np.where(masks[..., 0] > 0, 1, masks[..., 1] * 2).astype(np.uint8)
    elif kind == "FRACTIONAL":
        masks = masks.astype(np.float32) / 2
    seg = Segmentation(
        stack, masks, kind, described, highdicom.UID(), 2, highdicom.UID(), 1, "Phantom Works", "Model", "1", "4711",
    )  # fmt: skip
    seg.save_as(tmp_path / "seg.dcm")
    target = deidentify(engine, tmp_path / "seg.dcm", tmp_path / "out")
    assert check_segmentation(tmp_path / "seg.dcm", target) == {"segments": 2, "sources": 5, "masks": 11}
    read = segread(target)
    mapped = [UIDS.new_uid(ds.SOPInstanceUID) for ds in stack]
    pixels = read.get_pixels_by_source_instance(mapped, combine_segments=False, rescale_fractional=True)
    expected = masks_of(stack, 2)
    if kind == "LABELMAP":
        expected[..., 1] &= 1 - expected[..., 0]
    assert np.allclose(pixels, expected / (2 if kind == "FRACTIONAL" else 1), atol=0.01)


# ------------------------------------------------------------------ rt-utils


@pytest.fixture(scope="module")
def rt_utils() -> Any:
    return pytest.importorskip("rt_utils", reason="rt-utils is not installed (make dev-env installs it)")


def region_masks(folder: Path, structures: Path) -> dict[int, np.ndarray]:
    """Return the mask of every region of a structure set over the slices of a folder, by its number."""
    from rt_utils import ds_helper, image_helper

    slices = image_helper.load_sorted_image_series(str(folder))
    ds = pydicom.dcmread(structures)
    masks = {}
    for region in ds.StructureSetROISequence:
        contours = outcome(ds_helper.get_contour_sequence_by_roi_number, ds, region.ROINumber)
        if not isinstance(contours, type):
            made = outcome(image_helper.create_series_mask_from_contour_sequence, slices, contours)
            masks[int(region.ROINumber)] = made
    return masks


def contours_of(structures: Path) -> list[tuple[Any, ...]]:
    """Return region, kind, points and mapped images of every contour."""
    found = []
    for region in pydicom.dcmread(structures).ROIContourSequence:
        for contour in region.get("ContourSequence") or ():
            images = tuple(str(image.ReferencedSOPInstanceUID) for image in contour.get("ContourImageSequence") or ())
            points = tuple(map(str, contour.ContourData))
            found.append((int(region.ReferencedROINumber), contour.ContourGeometricType, points, images))
    return found


def check_structures(engine: InstanceDeidentifier, folder: Path, structures: Path, work: Path) -> dict[str, int]:
    """De-identify a structure set and its slices; assert that masks and contours are the same."""
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path != structures):
        if pydicom.dcmread(path, stop_before_pixels=True, force=True).get("Modality") == "CT":
            (work / "before").mkdir(parents=True, exist_ok=True)
            (work / "before" / path.name).write_bytes(path.read_bytes())
            deidentify(engine, path, work / "after")
    target = deidentify(engine, structures, work / "structures")
    before, after = region_masks(work / "before", structures), region_masks(work / "after", target)
    assert before.keys() == after.keys()
    for number in before:
        assert same(before[number], after[number]), number
    expected = [(*rest, tuple(map(UIDS.new_uid, images))) for *rest, images in contours_of(structures)]
    assert contours_of(target) == expected
    drawn = [mask for mask in before.values() if isinstance(mask, np.ndarray) and mask.any()]
    return {"regions": len(before), "drawn": len(drawn), "contours": len(expected)}


def test_rt_utils_builds_the_same_masks_of_a_synthetic_pair(
    rt_utils: Any, engine: InstanceDeidentifier, tmp_path: Path
) -> None:
    stack = images(5, tmp_path / "ct")
    made = rt_utils.RTStructBuilder.create_new(str(tmp_path / "ct"))
    masks = masks_of(stack, 2)
    for number in range(2):
        made.add_roi(np.moveaxis(masks[..., number], 0, -1).astype(bool), name=f"organ {number}")
    made.save(str(tmp_path / "rt.dcm"))
    assert check_structures(engine, tmp_path / "ct", tmp_path / "rt.dcm", tmp_path / "work") == {
        "regions": 2, "drawn": 2, "contours": 7,
    }  # fmt: skip
    target = next((tmp_path / "work" / "structures").iterdir())
    read = rt_utils.RTStructBuilder.create_from(str(tmp_path / "work" / "after"), str(target))  # checks the references
    assert len(read.get_roi_names()) == 2


PAIRS = {
    "rt-utils": ("rt-utils/tests/mock_data", "rt.dcm"),
    "rt-utils foreign slice": ("rt-utils/tests/mock_data", "non_existent_reference_rt.dcm"),
    "dicompyler-core": ("dicompyler-core/example_data", "rtss.dcm"),
    "pymedphys": (
        "pymedphys-water/tests/dicom/data/ct/lfs-water_phantom.zip",
        "RS1.2.752.243.1.1.20190116132116494.7000.27562.dcm",
    ),
}


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_rt_utils_builds_the_same_masks_of_a_public_pair(
    name: str, rt_utils: Any, shared_data: Path, engine: InstanceDeidentifier, tmp_path: Path
) -> None:
    folder, structures = shared_data / PAIRS[name][0], PAIRS[name][1]
    if not (folder / structures).is_file():
        pytest.skip("this structure set is not among the test data")
    found = check_structures(engine, folder, folder / structures, tmp_path)
    assert found["contours"] and found["regions"]
