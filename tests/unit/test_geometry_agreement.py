"""The geometry of every real CT series against SimpleITK's series reader and dcm2niix, corner by corner.

What another reader does differently is listed here with its reason, and the list is held to be exact.
"""

from __future__ import annotations

import csv
import shutil
import struct
import subprocess
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.geometry import Arranged, GeometrySettings, arrange_series
from phi_deid_pipeline.metadata_extract import slice_attributes

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TOLERANCE_MM = 0.01

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data set is not here")


def volumes() -> dict[str, tuple[Arranged, dict[str, Path]]]:
    """Return name -> volume stack and its instances, for every stack of two positions and more without duplicates."""
    groups: dict[str, dict[str, tuple[Path, list]]] = defaultdict(dict)
    with (SHARED / "index.tsv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["modality"] == "CT" and row["rows"]]
    for row in rows:
        try:
            slices = slice_attributes(SHARED / row["path"])
        except UnreadableInstance:
            continue
        groups[f"{row['source']} {slices[0].series_uid[-6:]}"][slices[0].sop_uid] = (SHARED / row["path"], slices)
    found = {}
    for name in sorted(groups):
        slices = [one for _, frames in groups[name].values() for one in frames]
        paths = {sop_uid: path for sop_uid, (path, _) in groups[name].items()}
        for number, stack in enumerate(arrange_series(slices, GeometrySettings()), start=1):
            if stack.plan is not None and stack.geometry.figures.num_slices == stack.geometry.figures.num_positions:
                found[f"{name} stack {number}"] = (stack, paths)
    return found


@pytest.fixture(scope="module")
def stacks() -> dict[str, tuple[Arranged, dict[str, Path]]]:
    return volumes()


def corners_of(stack: Arranged) -> np.ndarray:
    """Return the centres of the eight outermost pixels of a stack as its headers place them, sorted."""
    figures = stack.geometry.figures
    row, column, _ = np.array(figures.orientation_matrix)
    columns = (figures.columns - 1) * figures.pixel_spacing[1] * row
    rows = (figures.rows - 1) * figures.pixel_spacing[0] * column
    ends = (np.array(stack.slices[0].position), np.array(stack.slices[-1].position))
    return in_order([end + a * columns + b * rows for end in ends for a in (0, 1) for b in (0, 1)])


def corners_of_image(image: sitk.Image) -> np.ndarray:
    ends = [(0, size - 1) for size in image.GetSize()[:3]]
    rest = (0,) * (image.GetDimension() - 3)
    points = [image.TransformIndexToPhysicalPoint((x, y, z, *rest)) for x in ends[0] for y in ends[1] for z in ends[2]]
    return in_order([point[:3] for point in points])


def in_order(points: list) -> np.ndarray:
    return np.array(sorted(np.round(np.array(points), 4).tolist()))


def corners_of_grid(stack: Arranged) -> np.ndarray:
    grid = stack.plan.grid
    axes = np.array(grid.direction).reshape(3, 3)
    ends = [(0, count - 1) for count in grid.size]
    points = [(x, y, z) for x in ends[0] for y in ends[1] for z in ends[2]]
    return in_order([np.array(grid.origin) + axes @ (np.array(point) * grid.spacing) for point in points])


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest distance of a corner to the nearest of the other's."""
    return float(np.max(np.min(np.linalg.norm(ours[:, None] - theirs[None], axis=2), axis=1)))


def corners_of_nifti(path: Path) -> np.ndarray:
    """Return the same of a NIfTI-1 file by its sform, which may hold a shear that an ITK image does not take."""
    head = path.read_bytes()[:348]
    size = struct.unpack("<8h", head[40:56])[1:4]
    matrix = np.array(struct.unpack("<12f", head[280:328])).reshape(3, 4) * [[-1], [-1], [1]]  # RAS to LPS
    ends = [(0, count - 1) for count in size]
    return in_order([matrix @ (x, y, z, 1) for x in ends[0] for y in ends[1] for z in ends[2]])


_TILTED = "an ITK image of a series has its third axis along the normal: tilted slices leave it, by more the further"
_UNEVEN = "dcm2niix takes the distance of the first two slices for all; the last slice is not where the file says"
SIMPLEITK_DIFFERS = {
    "dcm_qa_ct-GE 813892 stack 1": _TILTED,
    "dcm_qa_ct-GE 813892 stack 2": _TILTED,
    "dicom2nifti 321185 stack 1": _TILTED,
    "dicom2nifti 856228 stack 1": _TILTED,
}
_SCALED = (
    "dcm2niix scales the rows of tilted slices in the file it leaves as it is, and writes a straightened one beside it"
)
DCM2NIIX_DIFFERS = {
    "dcm_qa_ct-GE 813892 stack 1": _SCALED,
    "dcm_qa_ct-GE 813892 stack 2": _SCALED,
    "dicom2nifti 321185 stack 1": _SCALED,
    "dicom2nifti 197937 stack 1": _UNEVEN,
    "dicom2nifti 856228 stack 1": _UNEVEN,
    "pydicom 19.0.2 stack 1": _UNEVEN,
}
# JPEG of 12 bits, and an enhanced object of which it takes no image.
DCM2NIIX_CANNOT = {"cornerstone3D .14401 stack 1", "ms-dicom-anonymizer 39.5.0 stack 1"}


def test_corners_agree_with_the_series_reader_of_simpleitk(stacks) -> None:
    compared, different = 0, set()
    for name, (stack, paths) in stacks.items():
        if any(one.number_of_frames > 1 for one in stack.slices):
            continue  # the reader takes one instance a slice
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(paths[one.sop_uid]) for one in stack.slices])
        image = reader.Execute()
        compared += 1
        if apart(corners_of(stack), corners_of_image(image)) > TOLERANCE_MM:
            different.add(name)
    assert compared >= 13
    assert different == set(SIMPLEITK_DIFFERS)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_corners_agree_with_dcm2niix(stacks, tmp_path: Path) -> None:
    compared, different, unread, straightened = 0, set(), set(), set()
    for number, (name, (stack, paths)) in enumerate(stacks.items()):
        source, target = tmp_path / f"in{number}", tmp_path / f"out{number}"
        source.mkdir()
        target.mkdir()
        for sop_uid in {one.sop_uid for one in stack.slices}:
            (source / f"{sop_uid}.dcm").symlink_to(paths[sop_uid])
        # -m y: one volume though acquisition numbers differ. Corrected copies have names of their own.
        subprocess.run(
            ["dcm2niix", "-b", "n", "-z", "n", "-m", "y", "-f", "v", "-o", target, source], stdout=subprocess.DEVNULL
        )
        if not (target / "v.nii").is_file():
            unread.add(name)
            continue
        compared += 1
        if apart(corners_of(stack), corners_of_nifti(target / "v.nii")) > TOLERANCE_MM:
            different.add(name)
        if (target / "v_Tilt_1.nii").is_file():  # straightened: our target grid, but for a part of a pixel
            straightened.add(name)
            theirs = corners_of_nifti(target / "v_Tilt_1.nii")
            assert apart(corners_of_grid(stack), theirs) < stack.plan.pixel[1]
            assert sitk.ReadImage(str(target / "v_Tilt_1.nii")).GetSize() == stack.plan.grid.size
    assert compared >= 12
    assert straightened == {name for name, why in DCM2NIIX_DIFFERS.items() if why is _SCALED}
    assert (different, unread) == (set(DCM2NIIX_DIFFERS), DCM2NIIX_CANNOT)
