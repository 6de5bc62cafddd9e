"""Where the slices of a stack lie: positions projected on the normal, and the line through them (mm, LPS).

Image Position (Patient) on the slice normal is the one measure (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from phi_deid_pipeline.geometry.figures import GeometrySettings, commonest, rounded_all
from phi_deid_pipeline.records import SliceAttributes

EPSILON_MM = 1e-6  # float noise of projections; added to every tolerance
SAME_PIXEL_SPACING = 1e-4  # relative: 0.05 mm over a field of 500 mm
_UNIT_TOLERANCE = 0.01  # of the length of a direction vector
_WRITTEN_MM = 0.01  # rounding of positions as headers write them
FARTHEST_MM = 1e6  # that a slice lies from the origin: a kilometre
_IN_REGIMES = 0.8  # share of the gaps that lie in such runs where a stack changes its spacing
SMALLEST_PIXEL_MM, LARGEST_PIXEL_MM = 1e-4, 1e3  # a tenth of what micro-CT resolves; no detector is that wide


def is_localizer(one: SliceAttributes) -> bool:
    return "LOCALIZER" in (part.upper() for part in one.image_type[2:])


def unit_axes(orientation: Sequence[float] | None) -> np.ndarray | None:
    """Return row and column direction as unit vectors (2, 3); None if they span no plane."""
    if orientation is None or len(orientation) != 6 or not all(math.isfinite(value) for value in orientation):
        return None
    axes = np.asarray(orientation, dtype=float).reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if np.any(np.abs(lengths - 1) > _UNIT_TOLERANCE):
        return None
    axes = axes / lengths[:, None]
    return axes if np.linalg.norm(np.cross(axes[0], axes[1])) > 0.5 else None


def is_placed(one: SliceAttributes) -> bool:
    return usable_position(one) is not None and unit_axes(one.orientation) is not None


def usable_position(one: SliceAttributes) -> tuple[float, ...] | None:
    position = one.position
    return position if position and len(position) == 3 and all(abs(mm) <= FARTHEST_MM for mm in position) else None


def usable_spacing(spacing: Sequence[float] | None) -> tuple[float, ...] | None:
    if not spacing or len(spacing) != 2:
        return None
    return tuple(spacing) if all(SMALLEST_PIXEL_MM <= mm <= LARGEST_PIXEL_MM for mm in spacing) else None


def spacing_of(one: SliceAttributes) -> tuple[float, ...] | None:
    return usable_spacing(one.pixel_spacing) or usable_spacing(one.imager_pixel_spacing)


@dataclass(slots=True)
class Placed:
    """Slices of a stack in order along the normal, and where their distinct positions are."""

    slices: list[SliceAttributes]
    basis: np.ndarray  # (3, 3): row, column, normal; orthonormal
    column: np.ndarray  # (3,) column direction as stored
    distances: np.ndarray  # (positions,) along the normal
    in_plane: np.ndarray  # (positions, 2) along row and column
    members: list[list[int]]  # indices into `slices`, per position
    shear: np.ndarray = field(default_factory=lambda: np.zeros(2))
    deviations: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))  # (positions, 2) from the line


def place_slices(slices: list[SliceAttributes], settings: GeometrySettings) -> Placed:
    axes = unit_axes(commonest(one.orientation for one in slices))
    normal = np.cross(axes[0], axes[1])
    normal /= np.linalg.norm(normal)
    basis = np.stack([axes[0], np.cross(normal, axes[0]), normal])
    coordinates = np.array([one.position for one in slices], dtype=float) @ basis.T
    order = sorted(range(len(slices)), key=lambda i: (coordinates[i, 2], slices[i].sop_uid, slices[i].frame))
    coordinates = coordinates[order]
    starts = np.diff(coordinates[:, 2]) > settings.duplicate_tolerance_mm + EPSILON_MM
    firsts = np.concatenate([[0], np.flatnonzero(starts) + 1])
    bounds = [*firsts.tolist(), len(slices)]
    members = [list(range(start, end)) for start, end in itertools.pairwise(bounds)]
    placed = Placed(
        [slices[i] for i in order], basis, axes[1], coordinates[firsts, 2], coordinates[firsts, :2], members
    )
    _fit_line(placed)
    return placed


def _fit_line(placed: Placed) -> None:
    """Fit the line through the first pixels: medians over long baselines, so that single slices do not bend it."""
    count = len(placed.distances)
    if count > 1:
        half = count // 2
        rises = (placed.in_plane[half:] - placed.in_plane[:-half]) / (
            placed.distances[half:] - placed.distances[:-half]
        )[:, None]
        placed.shear = np.median(rises, axis=0)
    offsets = placed.in_plane - placed.shear * placed.distances[:, None]
    placed.deviations = offsets - np.median(offsets, axis=0)


def duplicate_positions(placed: Placed) -> tuple[float, ...]:
    shared = [index for index, members in enumerate(placed.members) if len(members) > 1]
    return rounded_all(placed.distances[shared] - placed.distances[0])


def spacing_tolerance(gaps: np.ndarray, settings: GeometrySettings) -> float:
    return max(settings.spacing_tolerance_mm, settings.spacing_tolerance_relative * float(np.median(gaps)))


def is_uniform(distances: np.ndarray, settings: GeometrySettings) -> bool:
    """Tell whether every gap is the median one and every slice lies on the regular grid from first to last."""
    gaps = np.diff(distances)
    tolerance = spacing_tolerance(gaps, settings) + EPSILON_MM
    regular = np.linspace(distances[0], distances[-1], len(distances))
    return bool(
        np.all(np.abs(gaps - np.median(gaps)) <= tolerance) and np.all(np.abs(distances - regular) <= tolerance)
    )


def regimes(distances: np.ndarray, settings: GeometrySettings) -> list[tuple[int, int, float]]:
    """Return runs of equal gaps: first and last gap and their median length."""
    gaps = np.diff(distances)
    tolerance = spacing_tolerance(gaps, settings) + EPSILON_MM
    found, start = [], 0
    for index in range(1, len(gaps) + 1):
        if index == len(gaps) or abs(gaps[index] - gaps[start]) > tolerance:
            if index - start >= settings.spacing_run:
                found.append((start, index - 1, float(np.median(gaps[start:index]))))
            start = index
    return found


def following_spacings(distances: np.ndarray, settings: GeometrySettings) -> dict[float, int]:
    """Return spacing -> gaps of a stack that changes its spacing from part to part; empty for any other stack."""
    counts: Counter[float] = Counter()
    near = spacing_tolerance(np.diff(distances), settings) + EPSILON_MM
    for start, end, spacing in regimes(distances, settings):
        counts[next((known for known in counts if abs(known - spacing) <= near), spacing)] += end - start + 1
    mostly = sum(counts.values()) >= _IN_REGIMES * (len(distances) - 1)
    return dict(counts) if mostly and len(counts) > 1 else {}


def usual_step(distances: np.ndarray, settings: GeometrySettings) -> float:
    """Return the median slice distance; where spacings follow each other the commonest, of equally common the widest."""
    counts = following_spacings(distances, settings)
    if not counts:
        return float(np.median(np.diff(distances)))
    return max(counts, key=lambda spacing: (counts[spacing], spacing))


def beside_gaps(placed: Placed, name: str) -> np.ndarray:
    """Return an attribute of the slices on both sides of each gap (gaps, 2); NaN where there is none."""
    values = [getattr(placed.slices[members[0]], name) for members in placed.members]
    known = np.array([math.nan if value is None else float(value) for value in values])
    return np.stack([known[:-1], known[1:]], axis=1)


def itk_direction(basis: np.ndarray) -> tuple[float, ...]:
    """Return ITK's direction: the axes are the columns of the matrix, given row by row."""
    return rounded_all(basis.T.ravel())


def orientation_code(basis: np.ndarray) -> str:
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(basis.T.ravel().tolist())


def is_drifting(placed: Placed, settings: GeometrySettings) -> bool:
    """Tell whether the slices leave the normal from one end of the stack to the other, in whatever shape."""
    slope = float(np.hypot(*placed.shear))
    drift = slope * float(placed.distances[-1] - placed.distances[0])
    return math.degrees(math.atan(slope)) > settings.tilt_tolerance_deg and drift > settings.in_plane_tolerance_mm


def is_sheared(placed: Placed, settings: GeometrySettings) -> bool:
    """Tell whether the slices leave the normal along a straight line; a step of the table or a sag is no shear."""
    if not is_drifting(placed, settings):
        return False
    drift = float(np.hypot(*placed.shear)) * float(placed.distances[-1] - placed.distances[0])
    scatter = float(np.percentile(np.hypot(*placed.deviations.T), 75))  # a few shifted slices bend no line
    return scatter <= max(settings.straight_tolerance_relative * drift, _WRITTEN_MM)


def in_plane_residuals(placed: Placed, settings: GeometrySettings) -> np.ndarray:
    """Return in-plane deviations (positions, 2): from the line where the stack is sheared, else from the normal."""
    if is_sheared(placed, settings):
        return placed.deviations
    return placed.in_plane - np.median(placed.in_plane, axis=0)
