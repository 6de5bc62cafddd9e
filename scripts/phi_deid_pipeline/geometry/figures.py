"""Flags, settings and records of the CT preprocessing audit, and how its numbers are written.

A figure that cannot be computed is None; nothing is NaN. Lengths are in mm, directions and positions in LPS.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum

DIGITS = 6  # of every figure in the audit
LISTED = 5  # items a reason names


class GeometryFlag(StrEnum):
    """What is odd about a stack or a series; `reasons` holds a sentence with figures for each."""

    NON_UNIFORM_SPACING = "non_uniform_spacing"
    MISSING_SLICES = "missing_slices"
    DUPLICATE_POSITIONS = "duplicate_positions"
    DUPLICATES_DIFFER = "duplicates_differ"  # slices at one position have different pixels
    GANTRY_TILT = "gantry_tilt"  # positions are sheared against the slice normal
    TILT_ONLY_STORED = "tilt_only_stored"  # the header states a tilt, the positions show none
    TILT_DISAGREES = "tilt_disagrees"
    SHIFTED_SLICES = "shifted_slices"  # slices off the straight line through the stack
    MIXED_ORIENTATION = "mixed_orientation"
    MIXED_PIXEL_SPACING = "mixed_pixel_spacing"
    MIXED_MATRIX = "mixed_matrix"
    MIXED_FRAME_OF_REFERENCE = "mixed_frame_of_reference"
    MIXED_IMAGE_TYPE = "mixed_image_type"
    MIXED_KERNEL = "mixed_kernel"
    SEVERAL_ACQUISITIONS = "several_acquisitions"
    SEVERAL_TEMPORAL_POSITIONS = "several_temporal_positions"
    SEVERAL_STACKS = "several_stacks"
    SINGLE_SLICE = "single_slice"
    LOCALIZER = "localizer"
    OVERLAPPING_SLICES = "overlapping_slices"
    GAPPED_SLICES = "gapped_slices"
    MIXED_THICKNESS = "mixed_thickness"
    SPACING_DISAGREES = "spacing_disagrees"  # stored Spacing Between Slices against positions
    ANISOTROPIC = "anisotropic"
    NON_SQUARE_PIXELS = "non_square_pixels"
    NON_AXIAL = "non_axial"
    OBLIQUE = "oblique"
    NON_ORTHOGONAL = "non_orthogonal"
    MIXED_RESCALE = "mixed_rescale"
    RESCALE_NOT_HU = "rescale_not_hu"
    MIXED_PADDING = "mixed_padding"
    MIXED_PIXEL_FORMAT = "mixed_pixel_format"  # bit depth, sign or photometric interpretation
    LOW_BIT_DEPTH = "low_bit_depth"
    NOT_MONOCHROME2 = "not_monochrome2"
    SPACING_AT_DETECTOR = "spacing_at_detector"  # Imager Pixel Spacing stands in for Pixel Spacing
    MISSING_ATTRIBUTES = "missing_attributes"
    MULTI_FRAME = "multi_frame"
    GRID_TOO_LARGE = "grid_too_large"  # of the volume that would be advised
    WITHHELD_SLICES = "withheld_slices"  # what was measured lacks instances that are not released


ORDER = {flag: index for index, flag in enumerate(GeometryFlag)}


@dataclass(frozen=True, slots=True)
class GeometrySettings:
    """Thresholds of the audit; they are written into it."""

    spacing_tolerance_mm: float = 0.01
    spacing_tolerance_relative: float = 0.01  # of the median distance; the larger of both holds
    isotropic_ratio: float = 2.0  # of slice distance to pixel spacing (or the inverse) before a stack is anisotropic
    resample_anisotropic: bool = False  # whether anisotropy alone requires resampling
    target_spacing_mm: tuple[float, ...] | None = None  # x, y, z; None keeps x and y and takes the median for z
    hu_clip: tuple[float, ...] = (-1024.0, 3071.0)
    pad_hu: float = -1024.0  # value outside the acquired volume and where Pixel Padding Value stands
    max_filled_slices: int = 2  # missing in a row that interpolation may bridge; at wider gaps the stack is split
    duplicate_tolerance_mm: float = 0.01
    in_plane_tolerance_mm: float = 0.1
    tilt_tolerance_deg: float = 0.1
    orientation_tolerance_deg: float = 0.01
    straight_tolerance_relative: float = 0.05  # of the shift from end to end, that slices may lie off a straight line
    tilt_agreement_deg: float = 0.5  # between stored and measured tilt
    oblique_tolerance_deg: float = 0.1  # between an image axis and a patient axis
    right_angle_tolerance_deg: float = 0.06
    missing_tolerance_relative: float = 0.1  # of the median distance, that a gap may miss a multiple of it
    spacing_run: int = 3  # as many equal gaps in a row are a spacing
    max_voxels: int = 2**31  # of a volume: 4 GiB as written, 8 GiB while it is made

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> GeometrySettings:
        """Return settings from a configuration mapping; lists become tuples, keys that are no setting are left out."""
        known = {one.name for one in fields(cls)}
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
        if not values.get("target_spacing_mm"):
            values["target_spacing_mm"] = None
        return cls(**{key: value for key, value in values.items() if key in known})


@dataclass(frozen=True, slots=True)
class Gap:
    """A distance between neighbouring slices that is a multiple of the regular one; mm from the stack's first slice."""

    start_mm: float
    end_mm: float
    missing: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A position that holds several slices, mm from the stack's first slice."""

    position_mm: float
    slices: int
    pixels: str  # identical, different, not_compared


@dataclass(frozen=True, slots=True)
class TargetGrid:
    """The grid of the recommended volume: spacing, size and origin by axis; ITK direction, row-major."""

    spacing: tuple[float, ...]
    size: tuple[int, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """One step of the recommended preprocessing. Steps that are not required improve the volume for some uses."""

    step: str
    parameters: dict[str, object]
    why: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class StackFigures:
    """Figures of one stack; a series shows those of its largest stack."""

    num_slices: int
    num_positions: int  # distinct along the normal
    slice_thickness: float | None
    pixel_spacing: tuple[float, ...] | None  # between rows, between columns
    pixel_spacing_source: str  # PixelSpacing, ImagerPixelSpacing, "" if unknown
    z_spacing_mean: float | None
    z_spacing_median: float | None
    z_spacing_std: float | None  # population
    z_spacing_min: float | None
    z_spacing_max: float | None
    spacing_between_slices: float | None  # as stored
    spacing_between_slices_measured: float | None  # median, along the normal
    spacing_tolerance: float | None  # as used
    orientation_matrix: tuple[tuple[float, ...], ...] | None  # row direction, column direction, normal
    orientation_code: str  # direction of rising column, row and slice index, such as LPS; "" if unknown
    origin: tuple[float, ...] | None  # position of the slice that is lowest along the normal
    direction: tuple[float, ...] | None  # ITK's: row-major, the axes are its columns
    rows: int | None
    columns: int | None
    volume_extent_mm: (
        tuple[float | None, ...] | None
    )  # x, y, z: columns and rows by pixel spacing; positions + the median spacing
    gantry_tilt_deg: float | None  # as stored
    shear_angle_deg: float | None  # between the normal and the line through the slices
    shear: tuple[float, ...] | None  # mm along row and column per mm along the normal
    in_plane_deviation_mm: float | None  # largest distance of a slice from that line
    is_uniform_spacing: bool | None
    rescale_slope: float | None
    rescale_intercept: float | None
    rescale_type: str
    rescale_varies: bool
    pixel_padding_value: int | None
    photometric_interpretation: str
    samples_per_pixel: int | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None


@dataclass(frozen=True, slots=True)
class StackGeometry:
    """One stack: slices of one orientation, matrix, pixel spacing and frame of reference."""

    kind: str  # volume, single_slice, localizer, unplaced
    figures: StackFigures
    requires_resampling: bool
    requires_splitting: bool
    reasons: tuple[str, ...]
    flags: tuple[GeometryFlag, ...]
    gaps: tuple[Gap, ...]  # where slices are missing
    duplicates: tuple[Duplicate, ...]
    slice_positions_mm: tuple[float, ...]  # distinct, mm from the first slice; only where spacing is not uniform
    image_type: tuple[str, ...]
    acquisition_number: int | None
    temporal_position: int | None
    sop_instance_uids: tuple[str, ...]  # in slice order; only in a series of several stacks; one if all are its frames
    frame_numbers: tuple[int, ...]  # of multi-frame instances, in the same order, from 1
    recommended_preprocessing_pipeline: tuple[PipelineStep, ...]
    target_grid: TargetGrid | None
    simpleitk: str


@dataclass(frozen=True, slots=True)
class CtGeometry:
    """One row of the CT preprocessing audit. UIDs are new ones; figures without series_ are those of the first stack, the largest."""

    study_instance_uid: str
    series_instance_uid: str
    series_num_instances: int  # of all stacks, as the next two
    series_num_slices: int
    series_num_stacks: int
    num_slices: int
    num_positions: int
    slice_thickness: float | None
    pixel_spacing: tuple[float, ...] | None
    pixel_spacing_source: str
    z_spacing_mean: float | None
    z_spacing_median: float | None
    z_spacing_std: float | None
    z_spacing_min: float | None
    z_spacing_max: float | None
    spacing_between_slices: float | None
    spacing_between_slices_measured: float | None
    spacing_tolerance: float | None
    orientation_matrix: tuple[tuple[float, ...], ...] | None
    orientation_code: str
    origin: tuple[float, ...] | None
    direction: tuple[float, ...] | None
    rows: int | None
    columns: int | None
    volume_extent_mm: tuple[float | None, ...] | None
    gantry_tilt_deg: float | None
    shear_angle_deg: float | None
    shear: tuple[float, ...] | None
    in_plane_deviation_mm: float | None
    is_uniform_spacing: bool | None
    rescale_slope: float | None
    rescale_intercept: float | None
    rescale_type: str
    rescale_varies: bool
    pixel_padding_value: int | None
    photometric_interpretation: str
    samples_per_pixel: int | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    requires_resampling: bool
    requires_splitting: bool
    reasons: tuple[str, ...]
    flags: tuple[GeometryFlag, ...]
    recommended_preprocessing_pipeline: tuple[PipelineStep, ...]
    target_grid: TargetGrid | None
    simpleitk: str
    stacks: tuple[StackGeometry, ...]


@dataclass(slots=True)
class Notes:
    """Flags of a stack or series with their sentences, as they are found."""

    found: list[tuple[GeometryFlag, str]] = field(default_factory=list)

    def add(self, flag: GeometryFlag, reason: str) -> None:
        self.found.append((flag, reason))

    def has(self, *flags: GeometryFlag) -> bool:
        return any(flag in flags for flag, _ in self.found)

    @property
    def flags(self) -> tuple[GeometryFlag, ...]:
        return tuple(sorted({flag for flag, _ in self.found}, key=ORDER.__getitem__))

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(reason for _, reason in sorted(self.found, key=lambda note: (ORDER[note[0]], note[1])))


def rounded(value: float | None) -> float | None:
    """Round for the audit; None for what is no finite number; no negative zero."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), DIGITS) + 0.0


def rounded_all(values: Iterable[float | None]) -> tuple[float | None, ...]:
    return tuple(rounded(value) for value in values)


def written(value: float) -> str:
    return f"{value:.1f}" if 1e5 <= abs(value) < 1e9 else f"{rounded(value):g}"


def listed(values: Sequence[str]) -> str:
    more = len(values) - LISTED
    return ", ".join(values[:LISTED]) + (f" and {more} more" if more > 0 else "")


def commonest(values: Iterable[object]) -> object:
    """Return the most frequent value that is not None; of equally frequent ones the lowest."""
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None
