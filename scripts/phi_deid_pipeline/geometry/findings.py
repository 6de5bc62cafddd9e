"""What is odd about a stack or a series: a flag and a sentence with figures for each."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np

from phi_deid_pipeline.geometry.figures import (
    LISTED,
    Duplicate,
    Gap,
    GeometryFlag,
    GeometrySettings,
    Notes,
    StackFigures,
    StackGeometry,
    commonest,
    listed,
    rounded,
    written,
)
from phi_deid_pipeline.geometry.placement import (
    EPSILON_MM,
    LARGEST_PIXEL_MM,
    SAME_PIXEL_SPACING,
    SMALLEST_PIXEL_MM,
    Placed,
    beside_gaps,
    following_spacings,
    in_plane_residuals,
    is_drifting,
    is_localizer,
    is_placed,
    is_sheared,
    is_uniform,
    spacing_of,
    unit_axes,
    usable_position,
    usable_spacing,
)
from phi_deid_pipeline.geometry.stacks import (
    acquisition_of,
    between_each_other,
    classes,
    distances_of,
    positions_in,
    temporal_position_of,
)
from phi_deid_pipeline.records import SliceAttributes

PixelDigest = Callable[[SliceAttributes], str]
_SCATTERS = 1.5  # median deviations from the median distance that thickness and stored spacing may be off
_LOW_BITS = 8  # stored, up to which a CT cannot hold its range of values
_NEEDED = (
    "position",
    "orientation",
    "rows",
    "columns",
    "pixel_spacing",
    "slice_thickness",
    "rescale_slope",
    "rescale_intercept",
)


def note_header(slices: list[SliceAttributes], figures: StackFigures, notes: Notes) -> None:
    """Note what the headers lack or where they differ."""
    absent = []
    for name in _NEEDED:
        usable = {
            "position": usable_position,
            "orientation": lambda one: unit_axes(one.orientation),
            "pixel_spacing": spacing_of,
        }.get(name)
        lacking = sum((usable(one) if usable else getattr(one, name)) is None for one in slices)
        if lacking:
            absent.append(f"{name} in {lacking}")
    if absent:
        notes.add(
            GeometryFlag.MISSING_ATTRIBUTES, f"Missing or unusable, of {len(slices)} slices: {', '.join(absent)}."
        )
    implausible = sum(bool(one.pixel_spacing) and usable_spacing(one.pixel_spacing) is None for one in slices)
    if implausible:
        notes.add(
            GeometryFlag.MISSING_ATTRIBUTES,
            f"{implausible} slices state a pixel spacing outside {written(SMALLEST_PIXEL_MM)} to "
            f"{written(LARGEST_PIXEL_MM)} mm: no length can be taken from it.",
        )
    detector = sum(not usable_spacing(one.pixel_spacing) and spacing_of(one) is not None for one in slices)
    if detector:
        notes.add(
            GeometryFlag.SPACING_AT_DETECTOR,
            f"{detector} slices have Imager Pixel Spacing alone: lengths hold at the detector, not in the patient.",
        )
    if any(one.number_of_frames > 1 for one in slices):
        notes.add(GeometryFlag.MULTI_FRAME, f"{len(slices)} slices are frames of multi-frame instances.")
    thicknesses = sorted({one.slice_thickness for one in slices if one.slice_thickness is not None})
    if len(thicknesses) > 1:
        values = listed([f"{written(value)} mm" for value in thicknesses])
        notes.add(GeometryFlag.MIXED_THICKNESS, f"Slice thickness differs: {values}.")
    if len({one.pixel_padding_value for one in slices}) > 1:
        notes.add(GeometryFlag.MIXED_PADDING, "Slices state different Pixel Padding Values, or some state none.")
    _note_pixels(slices, figures, notes)
    rescales = {(one.rescale_slope, one.rescale_intercept, one.rescale_type) for one in slices}
    if len(rescales) > 1:
        notes.add(GeometryFlag.MIXED_RESCALE, f"{len(rescales)} different sets of rescale slope, intercept and type.")
    if figures.rescale_type not in ("", "HU"):
        notes.add(GeometryFlag.RESCALE_NOT_HU, "Rescale Type is not HU: rescaled values are no Hounsfield units.")


def _note_pixels(slices: list[SliceAttributes], figures: StackFigures, notes: Notes) -> None:
    """Note bit depths and photometric interpretations that a CT volume should not have."""
    formats = {
        (
            one.photometric_interpretation, one.samples_per_pixel, one.bits_allocated, one.bits_stored, one.high_bit,
            one.pixel_representation,
        )
        for one in slices
    }  # fmt: skip
    if len(formats) > 1:
        notes.add(
            GeometryFlag.MIXED_PIXEL_FORMAT,
            f"Slices have {len(formats)} different combinations of photometric interpretation, bit depth and sign.",
        )
    depths = [one.bits_stored for one in slices if one.bits_stored is not None]
    if depths and min(depths) <= _LOW_BITS:
        notes.add(
            GeometryFlag.LOW_BIT_DEPTH,
            f"{min(depths)} bits stored hold {2 ** min(depths)} values: too few for the range of CT numbers.",
        )
    other = sum(
        one.photometric_interpretation not in ("", "MONOCHROME2") or (one.samples_per_pixel or 1) != 1 for one in slices
    )
    if other:
        notes.add(
            GeometryFlag.NOT_MONOCHROME2,
            f"{other} slices are not MONOCHROME2 with one sample a pixel: their values are no plain CT numbers.",
        )


def note_orientation(placed: Placed, settings: GeometrySettings, notes: Notes) -> None:
    right = float(placed.basis[0] @ placed.column)
    if abs(right) > math.sin(math.radians(settings.right_angle_tolerance_deg)):
        angle = math.degrees(math.acos(max(-1.0, min(1.0, right))))
        notes.add(GeometryFlag.NON_ORTHOGONAL, f"Row and column direction meet at {written(round(angle, 3))} degrees.")
    main = int(np.argmax(np.abs(placed.basis[2])))
    if main != 2:
        plane = ("sagittal", "coronal")[main]
        notes.add(GeometryFlag.NON_AXIAL, f"Slices are {plane}, not axial.")
    off = max(math.degrees(math.acos(min(1.0, float(np.max(np.abs(axis)))))) for axis in placed.basis)
    if off > settings.oblique_tolerance_deg:
        notes.add(
            GeometryFlag.OBLIQUE, f"Image axes are up to {written(round(off, 3))} degrees off the axes of the patient."
        )


def note_positions(
    placed: Placed,
    figures: StackFigures,
    settings: GeometrySettings,
    notes: Notes,
    others: list[list[SliceAttributes]],
) -> list[Gap]:
    """Note single slices, irregular spacing and missing slices; return where slices are missing.

    `others` are the further stacks of the series: what lies in one of them is not missing.
    """
    if figures.num_positions < 2:
        notes.add(GeometryFlag.SINGLE_SLICE, "One slice position: spacing cannot be measured.")
        return []
    if figures.is_uniform_spacing:
        return []
    distances = np.diff(placed.distances)
    lacking = _missing(placed, settings)
    missing = _nowhere(placed, lacking, others, settings)
    gaps = [
        Gap(
            rounded(placed.distances[index] - placed.distances[0]),
            rounded(placed.distances[index + 1] - placed.distances[0]),
            missing[index],
        )
        for index in sorted(missing)
    ]
    off = int(np.sum(np.abs(distances - np.median(distances)) > figures.spacing_tolerance + EPSILON_MM))
    notes.add(
        GeometryFlag.NON_UNIFORM_SPACING,
        f"Slice distances run from {written(figures.z_spacing_min)} to {written(figures.z_spacing_max)} mm (median "
        f"{written(figures.z_spacing_median)}, tolerance {written(figures.spacing_tolerance)}); {off} of "
        f"{len(distances)} differ from the median by more than the tolerance.",
    )
    if spacings := following_spacings(placed.distances, settings):
        parts = listed([f"{written(rounded(mm))} mm {count} times" for mm, count in spacings.items()])
        notes.add(GeometryFlag.NON_UNIFORM_SPACING, f"Parts of different slice distance follow each other: {parts}.")
    if gaps:
        where = listed([f"{one.missing} between {written(one.start_mm)} and {written(one.end_mm)} mm" for one in gaps])
        total = sum(one.missing for one in gaps)
        notes.add(GeometryFlag.MISSING_SLICES, f"{total} slice(s) missing, from the first slice on: {where}.")
    if elsewhere := sum(lacking.values()) - sum(missing.values()):
        notes.add(
            GeometryFlag.NON_UNIFORM_SPACING,
            f"{elsewhere} slice(s) between those of this stack lie in another stack of the series: not missing.",
        )
    return gaps


def note_duplicates(
    placed: Placed, settings: GeometrySettings, notes: Notes, pixel_digest: PixelDigest
) -> list[Duplicate]:
    """Note positions that hold several slices, and whether their pixels are the same; return them."""
    found = []
    for index, members in enumerate(placed.members):
        if len(members) > 1:
            digests = {pixel_digest(placed.slices[i]) for i in members}
            same = "identical" if len(digests) == 1 else "different"
            pixels = "not_compared" if "" in digests else same
            found.append(Duplicate(rounded(placed.distances[index] - placed.distances[0]), len(members), pixels))
    if not found:
        return found
    count = Counter(one.pixels for one in found)
    pixels = f"pixels identical at {count['identical']}, different at {count['different']}"
    if count["not_compared"]:
        pixels += f", not compared at {count['not_compared']}"
    where = listed([f"{written(one.position_mm)} mm" for one in found])
    notes.add(
        GeometryFlag.DUPLICATE_POSITIONS,
        f"{sum(one.slices - 1 for one in found)} slice(s) more than positions: {len(found)} position(s) hold several "
        f"slices ({pixels}; positions within {written(settings.duplicate_tolerance_mm)} mm are one), from the first "
        f"slice on: {where}.",
    )
    if count["different"]:
        notes.add(
            GeometryFlag.DUPLICATES_DIFFER,
            f"Slices of different content share {count['different']} position(s): which belongs to the volume is for a "
            "person to say.",
        )
    return found


def _nowhere(
    placed: Placed, lacking: dict[int, int], others: list[list[SliceAttributes]], settings: GeometrySettings
) -> dict[int, int]:
    """Return of the slices a stack lacks those that no other stack holds.

    A stack over the same positions is another phase or reconstruction: its slices stand in for none of this one.
    """
    if not lacking:
        return lacking
    step = float(np.median(np.diff(placed.distances)))
    near = settings.missing_tolerance_relative * step + EPSILON_MM
    held = [np.zeros(0)]
    for part in others:
        places = positions_in(placed, part, settings)
        if len(places) and np.min(_away(places, placed.distances)) > near:
            held.append(places)
    places = np.sort(np.concatenate(held))
    left = {}
    for index, count in lacking.items():
        expected = placed.distances[index] + step * np.arange(1, count + 1)
        left[index] = count if not len(places) else int(np.sum(_away(expected, places) > near))
    return {index: count for index, count in left.items() if count}


def _away(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return how far each point is from the nearest of sorted places."""
    after = (
        np.clip(np.searchsorted(places, points), 1, len(places) - 1) if len(places) > 1 else np.zeros(len(points), int)
    )
    return np.minimum(np.abs(points - places[after]), np.abs(points - places[after - 1]))


def _missing(placed: Placed, settings: GeometrySettings) -> dict[int, int]:
    """Return index of a gap -> slices missing in it, where most gaps are one step and this one is a multiple of it.

    Gaps that thicker slices fill are another spacing and not missing slices. So are runs of equal wide gaps up to an
    end of the stack, and everywhere in slices of unknown thickness.
    """
    gaps = np.diff(placed.distances)
    step = float(np.median(gaps))
    near = settings.missing_tolerance_relative * step + EPSILON_MM
    if np.mean(np.abs(gaps - step) <= near) <= 0.5:
        return {}
    steps = np.rint(gaps / step).astype(int)
    usual = commonest(one.slice_thickness for one in placed.slices) or 0
    found = {}
    for index in np.flatnonzero((steps >= 2) & (np.abs(gaps - steps * step) <= near)).tolist():
        sides = [placed.slices[placed.members[side][0]].slice_thickness or 0 for side in (index, index + 1)]
        thicker = max(sides) > (1 + settings.missing_tolerance_relative) * usual
        if not (thicker and sum(sides) / 2 >= (1 - settings.missing_tolerance_relative) * gaps[index]):
            found[index] = int(steps[index]) - 1
    runs = itertools.groupby(range(len(steps)), key=lambda index: int(steps[index]) if index in found else 0)
    for count, run in ((count, list(run)) for count, run in runs):
        at_end = run[0] == 0 or run[-1] == len(steps) - 1
        if count and len(run) >= settings.spacing_run and (at_end or not usual):
            for index in run:
                del found[index]
    return found


def note_line(placed: Placed, figures: StackFigures, settings: GeometrySettings, notes: Notes) -> None:
    """Note tilt, stored and measured, and slices that lie off the line through the stack."""
    stored = figures.gantry_tilt_deg or 0.0
    tilts = sorted({one.gantry_tilt for one in placed.slices if one.gantry_tilt is not None})
    if len(tilts) > 1 and tilts[-1] - tilts[0] > settings.tilt_tolerance_deg:
        notes.add(
            GeometryFlag.TILT_DISAGREES,
            f"Slices state different gantry tilts, from {written(tilts[0])} to {written(tilts[-1])} degrees.",
        )
    if figures.num_positions < 2:
        if abs(stored) > settings.tilt_tolerance_deg:
            notes.add(
                GeometryFlag.TILT_ONLY_STORED,
                f"The header states a gantry tilt of {written(stored)} degrees; one slice cannot show it.",
            )
        return
    if is_sheared(placed, settings):
        angle = figures.shear_angle_deg
        notes.add(
            GeometryFlag.GANTRY_TILT,
            f"Slices are sheared by {written(round(angle, 3))} degrees against their normal "
            f"(stored gantry tilt: {'none' if figures.gantry_tilt_deg is None else written(stored)}).",
        )
        if figures.gantry_tilt_deg is not None and abs(abs(stored) - angle) > settings.tilt_agreement_deg:
            notes.add(
                GeometryFlag.TILT_DISAGREES,
                f"Stored gantry tilt {written(stored)} degrees, measured shear {written(round(angle, 3))} degrees.",
            )
    elif abs(stored) > settings.tilt_tolerance_deg:
        notes.add(
            GeometryFlag.TILT_ONLY_STORED,
            f"The header states a gantry tilt of {written(stored)} degrees, but slices are stacked along their normal.",
        )
    bent = is_drifting(placed, settings) and not is_sheared(placed, settings)
    limit = settings.in_plane_tolerance_mm + EPSILON_MM
    if not bent and np.max(np.hypot(*placed.deviations.T)) <= limit:
        return
    off = np.hypot(*in_plane_residuals(placed, settings).T)
    if shifted := int(np.sum(off > limit)):
        line = "middle of the stack, and along no straight line that a tilt would give" if bent else "line through it"
        notes.add(
            GeometryFlag.SHIFTED_SLICES,
            f"{shifted} slice(s) of the stack lie up to {written(round(float(np.max(off)), 3))} mm off the {line} "
            f"(tolerance {written(settings.in_plane_tolerance_mm)}).",
        )


def note_proportions(placed: Placed, figures: StackFigures, settings: GeometrySettings, notes: Notes) -> None:
    """Note how slice distance, thickness and pixel spacing relate."""
    pixel = figures.pixel_spacing
    if pixel and abs(pixel[0] - pixel[1]) > SAME_PIXEL_SPACING * max(pixel):
        notes.add(GeometryFlag.NON_SQUARE_PIXELS, f"Pixels measure {written(pixel[0])} x {written(pixel[1])} mm.")
    step = figures.z_spacing_median
    if step is None:
        return
    gaps = np.diff(placed.distances)
    scatter = float(np.median(np.abs(gaps - np.median(gaps))))  # the median distance is not known better than this
    tolerance = figures.spacing_tolerance + _SCATTERS * scatter + EPSILON_MM
    _note_thickness(placed, figures, notes)
    sides = np.abs(beside_gaps(placed, "spacing_between_slices"))
    sides = sides[~np.isnan(sides).all(axis=1)]
    if len(sides) == len(gaps):
        along = gaps * math.sqrt(1 + sum(part * part for part in figures.shear))  # tables move along the sheared line
        if all(_systematic(_nearer(sides, each) - each, figures) for each in (gaps, along)):
            stored = figures.spacing_between_slices
            text = f"Spacing Between Slices says {written(stored)} mm, positions say {written(step)} mm."
            notes.add(GeometryFlag.SPACING_DISAGREES, text)
    if pixel:
        ratio = max(step / max(pixel), min(pixel) / step)
        if ratio > settings.isotropic_ratio * (1 + tolerance / step):
            limit = written(settings.isotropic_ratio)
            text = f"Voxels are {written(round(ratio, 3))} times longer than wide (limit {limit})."
            notes.add(GeometryFlag.ANISOTROPIC, text)


def _systematic(differences: np.ndarray, figures: StackFigures) -> float:
    """Return the median of differences; 0 where it is no larger than tolerance and scatter allow."""
    middle = float(np.median(differences))
    scatter = float(np.median(np.abs(differences - middle)))  # the median is not known better than this
    return middle if abs(middle) > figures.spacing_tolerance + _SCATTERS * scatter + EPSILON_MM else 0.0


def _nearer(sides: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return of two values a gap, of which one may be NaN, the one nearer to its length."""
    left, right = sides.T
    away = np.abs(sides - lengths[:, None])
    return np.where(np.isnan(right) | (away[:, 0] <= away[:, 1]), left, right)


def _note_thickness(placed: Placed, figures: StackFigures, notes: Notes) -> None:
    """Note slices that overlap or leave tissue out, each gap by the thickness of the slices beside it."""
    sides = beside_gaps(placed, "slice_thickness")
    known = ~np.isnan(sides).all(axis=1)
    if not known.any():
        return
    sides, apart = sides[known], np.diff(placed.distances)[known]
    thickness = np.nanmean(sides, axis=1)
    surplus = _systematic(apart - thickness, figures)
    least, most = written(rounded(np.nanmin(sides))), written(rounded(np.nanmax(sides)))
    text = f"Slices of {least if least == most else f'{least} to {most}'} mm stand {written(rounded(np.median(apart)))} mm apart"
    if surplus < 0:
        notes.add(GeometryFlag.OVERLAPPING_SLICES, f"{text}: they overlap.")
    if surplus > 0 and np.median(thickness) > 0:
        notes.add(GeometryFlag.GAPPED_SLICES, f"{text}: tissue between them was not imaged.")


def note_series(
    parts: list[list[SliceAttributes]], stacks: tuple[StackGeometry, ...], settings: GeometrySettings, notes: Notes
) -> None:
    """Note in what the stacks of a series differ."""
    if len(parts) < 2:
        return
    sizes = ", ".join(str(len(part)) for part in parts[:LISTED]) + (", ..." if len(parts) > LISTED else "")
    notes.add(GeometryFlag.SEVERAL_STACKS, f"The series holds {len(parts)} stacks of {sizes} slices.")
    limit = math.radians(settings.orientation_tolerance_deg)
    directions = classes(
        (part[0].orientation for part in parts if is_placed(part[0])),
        lambda a, b: max(abs(x - y) for x, y in zip(a, b, strict=True)) <= limit,
    )
    spacings = classes(
        (stack.figures.pixel_spacing for stack in stacks),
        lambda a, b: all(abs(x - y) <= SAME_PIXEL_SPACING * y for x, y in zip(a, b, strict=True)),
    )
    images = [part for part in parts if not is_localizer(part[0])]
    counts = {
        GeometryFlag.MIXED_ORIENTATION: ("slice orientations", len(set(directions.values()) - {-1})),
        GeometryFlag.MIXED_PIXEL_SPACING: ("pixel spacings", len(set(spacings.values()) - {-1})),
        GeometryFlag.MIXED_MATRIX: ("matrix sizes", len({(part[0].rows, part[0].columns) for part in parts})),
        GeometryFlag.MIXED_IMAGE_TYPE: ("image types", _between(images, lambda one: one.image_type)),
        GeometryFlag.MIXED_KERNEL: ("convolution kernels", _between(images, lambda one: one.convolution_kernel)),
        GeometryFlag.SEVERAL_ACQUISITIONS: ("sets of acquisitions", _between(images, acquisition_of)),
        GeometryFlag.SEVERAL_TEMPORAL_POSITIONS: ("temporal positions", _between(images, temporal_position_of)),
    }
    for flag, (what, count) in counts.items():
        if count > 1:
            notes.add(flag, f"The series holds {count} {what}.")
    frames = {part[0].frame_of_reference_uid for part in parts}
    if len(frames) > 1:
        lacking = sum(len(part) for part in parts if not part[0].frame_of_reference_uid)
        text = f"The series holds {len(frames - {''})} frame(s) of reference"
        text += f", and {lacking} slice(s) that name none." if lacking else "."
        notes.add(GeometryFlag.MIXED_FRAME_OF_REFERENCE, text)
    _note_joined(images, directions, settings, notes)


def _note_joined(
    parts: list[list[SliceAttributes]], directions: dict, settings: GeometrySettings, notes: Notes
) -> None:
    """Note where stacks that follow each other in one geometry make no even volume together."""
    groups: dict[tuple, list[list[SliceAttributes]]] = {}
    for part in parts:
        one = part[0]
        if is_placed(one):
            key = (directions[one.orientation], one.rows, one.columns, spacing_of(one), one.frame_of_reference_uid)
            groups.setdefault(key, []).append(part)
    for group in groups.values():
        places = sorted((distances_of(part) for part in group), key=lambda places: places[0])
        joined = np.concatenate(places)
        acquisitions = [frozenset(map(acquisition_of, part)) for part in group]
        if len(set(acquisitions)) == len(group) and between_each_other(places):
            gaps = np.diff(np.sort(joined))
            if np.min(gaps) > settings.duplicate_tolerance_mm + EPSILON_MM:
                notes.add(
                    GeometryFlag.SEVERAL_ACQUISITIONS,
                    f"{len(group)} acquisitions cover one extent with slices between the slices of each other: taken as "
                    f"one volume these would stand {written(np.median(gaps))} mm apart.",
                )
        apart = all(one[-1] < two[0] for one, two in itertools.pairwise(places))
        shared = sum(max(0.0, min(one[-1], two[-1]) - two[0]) for one, two in itertools.pairwise(places))
        if len(set(acquisitions)) == len(group) > 1 and not apart and not between_each_other(places):
            notes.add(
                GeometryFlag.SEVERAL_ACQUISITIONS,
                f"{len(group)} acquisitions of one geometry overlap over {written(rounded(shared))} mm: there they show the "
                "same tissue twice.",
            )
        if len(group) > 1 and apart and len(joined) > 2 and not is_uniform(joined, settings):
            gaps = np.diff(joined)
            notes.add(
                GeometryFlag.NON_UNIFORM_SPACING,
                f"{len(group)} stacks follow each other in one geometry; taken as one volume their slice distances would "
                f"run from {written(np.min(gaps))} to {written(np.max(gaps))} mm.",
            )


def _between(parts: list[list[SliceAttributes]], key: Callable) -> int:
    """Return in how many ways stacks differ in an attribute; stacks, not their slices, are compared."""
    return len({frozenset(key(one) for one in part) for part in parts})
