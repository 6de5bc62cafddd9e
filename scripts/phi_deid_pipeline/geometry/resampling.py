"""Carry out a plan: the recommended volume of a stack as an image, masks of segments along with it, checks of both."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from phi_deid_pipeline.errors import DeidError
from phi_deid_pipeline.geometry.figures import TargetGrid
from phi_deid_pipeline.geometry.placement import Placed
from phi_deid_pipeline.geometry.plan import Plan

_PARALLEL = math.cos(math.radians(1))  # normals of planes that belong together
CUT_OFF = "A volume could not be written to its end, as where the disk is full: make room and run again."
GRID_TOLERANCE_MM = 1e-3  # NIfTI holds its matrix in 32 bits
_NIFTI_HEAD, _NIFTI_MAGIC = 352, b"n+1\0"
# Fields of a NIfTI header that hold text: none of them may say anything (nifti1.h).
_NIFTI_TEXTS = ((4, 14), (14, 32), (148, 228), (228, 252), (328, 344))
_NRRD_FIELDS = frozenset(
    {
        "type", "dimension", "space", "sizes", "space directions", "kinds", "endian", "encoding", "space origin",
    }
)  # fmt: skip


def carry_out(plan: Plan, slices: np.ndarray, *, mask: bool = False) -> sitk.Image:
    """Return the volume that a plan makes of its kept slices (n, rows, columns), float32 HU or a mask of 0 and 1.

    HU come back as int16, rounded; masks as uint8 by nearest neighbour, 0 outside.
    """
    pad = 0.0 if mask else plan.pad
    method = sitk.sitkNearestNeighbor if mask else sitk.sitkLinear
    slices = slices.astype(np.uint8 if mask else np.float32, copy=bool(plan.shifts))
    for index, x, y in plan.shifts:
        slices[index] = _moved(slices[index], x, y, plan.pixel, method, pad)
    image = sitk.GetImageFromArray(_evened(plan, slices, mask))
    del slices
    image.SetOrigin(plan.origin)
    image.SetSpacing(plan.spacing)
    image.SetDirection(plan.direction)
    grid = plan.grid
    if plan.resample:
        image = sitk.Resample(
            image, grid.size, sitk.Transform(), method, grid.origin, grid.spacing, grid.direction, pad
        )
    elif plan.reorient:
        image = sitk.DICOMOrient(image, "LPS")
    return image if mask else _whole(image)


def _moved(values: np.ndarray, x: float, y: float, pixel: tuple[float, float], method: int, pad: float) -> np.ndarray:
    plane = sitk.GetImageFromArray(values)
    plane.SetSpacing(pixel)
    plane.SetOrigin((x, y))
    still = sitk.Resample(
        plane, plane.GetSize(), sitk.Transform(), method, (0.0, 0.0), pixel, (1.0, 0.0, 0.0, 1.0), pad
    )
    return sitk.GetArrayFromImage(still)


def _evened(plan: Plan, slices: np.ndarray, mask: bool) -> np.ndarray:
    if plan.uniform:
        return slices
    index = np.interp(np.arange(plan.count) * plan.step, plan.positions, np.arange(len(plan.positions)))
    if mask:
        return slices[np.rint(index).astype(int)]
    even = np.empty((plan.count, *slices.shape[1:]), slices.dtype)
    for number, place in enumerate(index):  # slice by slice: the whole would be held three times
        below = min(int(place), len(plan.positions) - 2)
        weight = np.float32(place - below)
        even[number] = (1 - weight) * slices[below] + weight * slices[below + 1]
    return even


def _whole(image: sitk.Image) -> sitk.Image:
    """Return HU as whole numbers of 16 bits; values beyond them are set to the nearest."""
    limits = sitk.Clamp(sitk.Round(image), sitk.sitkFloat32, -32768, 32767)
    return sitk.Cast(limits, sitk.sitkInt16)


@dataclass(frozen=True, slots=True)
class SlicePlanes:
    """Where the planes of some slices lie: first pixels (n, 3) in mm, axes as unit vectors, pixel (x, y) and matrix."""

    corners: np.ndarray
    row: np.ndarray
    column: np.ndarray
    normal: np.ndarray
    pixel: tuple[float, float]
    shape: tuple[int, int]
    reach: float  # mm along the normal within which a plane belongs to a slice


def planes_of(
    placed: Placed, indices: Sequence[int], pixel: tuple[float, float], shape: tuple[int, int], reach: float
) -> SlicePlanes:
    """Return the planes of slices of a stack, by their indices in its order."""
    corners = np.array([placed.slices[i].position for i in indices], dtype=float)
    return SlicePlanes(corners, placed.basis[0], placed.column, placed.basis[2], pixel, shape, reach)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One plane of a segment as its header places it (mm, LPS; pixel spacing between rows, columns), and its mask."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    mask: np.ndarray


def mask_slices(target: SlicePlanes, planes: Iterable[Drawn]) -> tuple[np.ndarray, int]:
    """Return a mask (n, rows, columns) on slices, and how many planes found no slice.

    A plane goes to the nearest slice in reach, pixel by pixel of the slice to the nearest of the plane.
    """
    depths = target.corners @ target.normal
    volume = np.zeros((len(depths), *target.shape), np.uint8)
    lost = 0
    for plane in planes:
        axes = np.asarray(plane.orientation, dtype=float).reshape(2, 3)
        depth = float(np.dot(plane.position, target.normal))
        nearest = int(np.argmin(np.abs(depths - depth)))
        parallel = abs(float(np.cross(*axes) @ target.normal)) > _PARALLEL
        if not parallel or abs(depths[nearest] - depth) > target.reach:
            lost += 1
            continue
        rows, columns = _sources(target, target.corners[nearest], plane, axes)
        inside = (rows >= 0) & (rows < plane.mask.shape[0]) & (columns >= 0) & (columns < plane.mask.shape[1])
        volume[nearest][inside] |= plane.mask[rows[inside], columns[inside]].astype(np.uint8)
    return volume, lost


def _sources(target: SlicePlanes, corner: np.ndarray, plane: Drawn, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the plane's pixel nearest to each pixel of the slice."""
    start = axes @ (corner - np.asarray(plane.position, dtype=float))
    along_row = np.arange(target.shape[1])[None, :, None] * target.pixel[0] * (axes @ target.row)
    along_column = np.arange(target.shape[0])[:, None, None] * target.pixel[1] * (axes @ target.column)
    places = start + along_row + along_column
    return np.rint(places[..., 1] / plane.spacing[0]).astype(int), np.rint(places[..., 0] / plane.spacing[1]).astype(
        int
    )


def write_volume(image: sitk.Image, path: Path) -> None:
    """Write an image as NIfTI (.nii.gz) or NRRD (.nrrd): equal images give equal bytes, and no field names anything.

    Raises DeidError where it could not be written to its end: SimpleITK says nothing of that.
    """
    size = image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()
    if path.name.endswith(".nrrd"):
        sitk.WriteImage(image, str(path), useCompression=True, compressor="gzip", compressionLevel=6)
        if _nrrd_data_size(path) != size:
            raise DeidError(CUT_OFF)
        return
    plain = path.with_name(path.name.removesuffix(".gz"))
    try:
        sitk.WriteImage(image, str(plain), useCompression=False)
        if plain.stat().st_size != _NIFTI_HEAD + size:
            raise DeidError(CUT_OFF)
        with (
            plain.open("rb") as source,
            path.open("wb") as target,
            gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0, compresslevel=6) as packed,
        ):
            while piece := source.read(1 << 20):
                packed.write(piece)
    finally:
        plain.unlink(missing_ok=True)


def _nrrd_data_size(path: Path) -> int:
    """Return how many bytes are packed behind the header; -1 where they have no end."""
    size = 0
    with path.open("rb") as stream:
        while stream.readline().strip():
            pass
        try:
            with gzip.GzipFile(fileobj=stream) as packed:
                while piece := packed.read(1 << 20):
                    size += len(piece)
        except (EOFError, OSError, zlib.error):
            return -1
    return size


def volume_problems(path: Path, grid: TargetGrid) -> list[str]:
    """Read a written volume back; return where its grid is not the stated one and which fields hold what none should."""
    problems = _nrrd_problems(path) if path.name.endswith(".nrrd") else _nifti_problems(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    if reader.GetSize() != grid.size:
        return [*problems, "size"]
    corners = np.array(np.meshgrid(*([0, size - 1] for size in grid.size), indexing="ij")).reshape(3, -1).T
    stated = _points(corners, grid.origin, grid.spacing, grid.direction)
    read = _points(corners, reader.GetOrigin(), reader.GetSpacing(), reader.GetDirection())
    if float(np.max(np.abs(stated - read))) > GRID_TOLERANCE_MM:
        problems.append("grid")
    return problems


def _points(
    indices: np.ndarray, origin: tuple[float, ...], spacing: tuple[float, ...], direction: tuple[float, ...]
) -> np.ndarray:
    return np.asarray(origin) + (indices * np.asarray(spacing)) @ np.asarray(direction).reshape(3, 3).T


def _nifti_problems(path: Path) -> list[str]:
    """Check the bytes that the image does not need: text fields, extensions, and what gzip says of its source."""
    with path.open("rb") as stream:
        packed = stream.read(10)
    with gzip.open(path, "rb") as stream:
        head = stream.read(_NIFTI_HEAD)
    problems = [] if packed[:8] == b"\x1f\x8b\x08\0\0\0\0\0" else ["gzip header"]
    if len(head) < _NIFTI_HEAD or head[344:348] != _NIFTI_MAGIC or struct.unpack("<f", head[108:112])[0] != _NIFTI_HEAD:
        return [*problems, "no NIfTI-1 header"]
    problems += [f"text at byte {start}" for start, end in _NIFTI_TEXTS if head[start:end].strip(b"\0")]
    return problems + (["extension"] if any(head[348:352]) else [])


def _nrrd_problems(path: Path) -> list[str]:
    with path.open("rb") as stream:
        lines = stream.read(4096).split(b"\n\n", 1)[0].decode("latin-1").split("\n")
    fields = [line for line in lines[1:] if not line.startswith("#")]
    other = sum(":=" in line or line.partition(":")[0] not in _NRRD_FIELDS for line in fields)
    return [f"{other} further fields"] if other else []
