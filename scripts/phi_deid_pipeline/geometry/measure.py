"""Measure a CT series: its stacks, the figures of each, what is odd and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from phi_deid_pipeline.geometry.advice import Advice
from phi_deid_pipeline.geometry.figures import (
    ORDER,
    CtGeometry,
    Duplicate,
    Gap,
    GeometryFlag,
    GeometrySettings,
    Notes,
    PipelineStep,
    StackFigures,
    StackGeometry,
    commonest,
    rounded,
    rounded_all,
)
from phi_deid_pipeline.geometry.findings import (
    PixelDigest,
    note_duplicates,
    note_header,
    note_line,
    note_orientation,
    note_positions,
    note_proportions,
    note_series,
)
from phi_deid_pipeline.geometry.placement import (
    Placed,
    is_localizer,
    is_placed,
    is_uniform,
    itk_direction,
    orientation_code,
    place_slices,
    spacing_of,
    spacing_tolerance,
    usable_spacing,
)
from phi_deid_pipeline.geometry.plan import Plan
from phi_deid_pipeline.geometry.stacks import split_stacks
from phi_deid_pipeline.records import SliceAttributes


@dataclass(frozen=True, slots=True)
class Arranged:
    """A measured stack with its slices in order, where they are placed, and the plan of its volume (None if none)."""

    geometry: StackGeometry
    slices: tuple[SliceAttributes, ...]
    placed: Placed | None
    plan: Plan | None


def _measure_stack(
    slices: list[SliceAttributes],
    number: int,
    others: list[list[SliceAttributes]],
    settings: GeometrySettings,
    pixel_digest: PixelDigest,
) -> Arranged:
    """Measure one stack of a series; `others` are its further stacks, `number` counts it among them from 1."""
    notes = Notes()
    spacing = commonest(spacing_of(one) for one in slices)
    placed = place_slices(slices, settings) if is_placed(slices[0]) else None
    positions = len(placed.distances) if placed else 0
    kind = "localizer" if is_localizer(slices[0]) else _KINDS[min(positions, 2)]
    ordered = placed.slices if placed else slices
    figures = _figures(ordered, placed, spacing, settings)
    note_header(ordered, figures, notes)
    gaps: list[Gap] = []
    duplicates: list[Duplicate] = []
    if kind == "localizer":
        notes.add(GeometryFlag.LOCALIZER, f"{len(slices)} localizer image(s) by Image Type: not part of the volume.")
    elif placed:
        note_orientation(placed, settings, notes)
        duplicates = note_duplicates(placed, settings, notes, pixel_digest)
        gaps = note_positions(placed, figures, settings, notes, others)
        note_line(placed, figures, settings, notes)
        note_proportions(placed, figures, settings, notes)
    required = kind == "volume" and notes.has(*_forcing(settings))
    advice = Advice(placed, figures, settings, notes, gaps, required, number, bool(others))
    advice.build(kind)
    uneven = placed is not None and figures.is_uniform_spacing is False
    named = _named(ordered) if others else ((), ())
    geometry = StackGeometry(
        kind=kind,
        figures=figures,
        requires_resampling=advice.resampling_required,
        requires_splitting=advice.is_split,
        reasons=notes.reasons,
        flags=notes.flags,
        gaps=tuple(gaps),
        duplicates=tuple(duplicates),
        slice_positions_mm=rounded_all(placed.distances - placed.distances[0]) if uneven else (),
        image_type=commonest(one.image_type for one in slices) or (),
        acquisition_number=_only(one.acquisition_number for one in slices),
        temporal_position=_only(one.temporal_position for one in slices),
        sop_instance_uids=named[0],
        frame_numbers=named[1],
        recommended_preprocessing_pipeline=tuple(advice.steps),
        target_grid=advice.grid,
        simpleitk=advice.code,
    )
    return Arranged(geometry, tuple(ordered), placed, advice.plan)


def _named(slices: list[SliceAttributes]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the instances of slices, each once a slice but for frames of a single one, and frames of multi-frame ones."""
    uids = tuple(one.sop_uid for one in slices)
    if all(one.number_of_frames < 2 for one in slices):
        return tuple(dict.fromkeys(uids)), ()
    return uids if len(set(uids)) > 1 else uids[:1], tuple(one.frame + 1 for one in slices)


_KINDS = ("unplaced", "single_slice", "volume")


def _forcing(settings: GeometrySettings) -> tuple[GeometryFlag, ...]:
    """Return the flags that make resampling required."""
    forcing = (
        GeometryFlag.NON_UNIFORM_SPACING,
        GeometryFlag.MISSING_SLICES,
        GeometryFlag.GANTRY_TILT,
        GeometryFlag.SHIFTED_SLICES,
        GeometryFlag.NON_ORTHOGONAL,
    )
    return (*forcing, GeometryFlag.ANISOTROPIC) if settings.resample_anisotropic else forcing


def _no_digest(_one: SliceAttributes) -> str:
    return ""


def _only(values: Iterable[int | None]) -> int | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _spacing_source(slices: list[SliceAttributes]) -> str:
    if any(usable_spacing(one.pixel_spacing) for one in slices):
        return "PixelSpacing"
    return "ImagerPixelSpacing" if any(spacing_of(one) for one in slices) else ""


def _figures(
    slices: list[SliceAttributes], placed: Placed | None, spacing: tuple[float, ...] | None, settings: GeometrySettings
) -> StackFigures:
    gaps = np.diff(placed.distances) if placed else np.zeros(0)
    several = len(gaps) > 0
    common = {
        name: commonest(getattr(one, name) for one in slices)
        for name in (
            "slice_thickness", "spacing_between_slices", "rows", "columns", "gantry_tilt", "rescale_slope",
            "rescale_intercept", "rescale_type", "pixel_padding_value", "photometric_interpretation",
            "samples_per_pixel", "bits_allocated", "bits_stored", "high_bit", "pixel_representation",
        )
    }  # fmt: skip
    depth = float(np.sum(gaps) + np.median(gaps)) if several else common["slice_thickness"]
    extent = None
    if spacing and common["columns"] and common["rows"]:
        extent = rounded_all([common["columns"] * spacing[1], common["rows"] * spacing[0], depth])
    matrix = np.stack([placed.basis[0], placed.column, placed.basis[2]]) if placed else None
    return StackFigures(
        num_slices=len(slices),
        num_positions=len(placed.distances) if placed else 0,
        slice_thickness=rounded(common["slice_thickness"]),
        pixel_spacing=rounded_all(spacing) if spacing else None,
        pixel_spacing_source=_spacing_source(slices),
        z_spacing_mean=rounded(np.mean(gaps)) if several else None,
        z_spacing_median=rounded(np.median(gaps)) if several else None,
        z_spacing_std=rounded(np.std(gaps)) if several else None,
        z_spacing_min=rounded(np.min(gaps)) if several else None,
        z_spacing_max=rounded(np.max(gaps)) if several else None,
        spacing_between_slices=rounded(common["spacing_between_slices"]),
        spacing_between_slices_measured=rounded(np.median(gaps)) if several else None,
        spacing_tolerance=rounded(spacing_tolerance(gaps, settings)) if several else None,
        orientation_matrix=tuple(rounded_all(row) for row in matrix) if placed else None,
        orientation_code=orientation_code(placed.basis) if placed else "",
        origin=rounded_all(placed.slices[0].position) if placed else None,
        direction=itk_direction(placed.basis) if placed else None,
        rows=common["rows"],
        columns=common["columns"],
        volume_extent_mm=extent,
        gantry_tilt_deg=rounded(common["gantry_tilt"]),
        shear_angle_deg=rounded(math.degrees(math.atan(np.hypot(*placed.shear)))) if several else None,
        shear=rounded_all(placed.shear) if several else None,
        in_plane_deviation_mm=rounded(np.max(np.hypot(*placed.deviations.T))) if several else None,
        is_uniform_spacing=is_uniform(placed.distances, settings) if several else None,
        rescale_slope=rounded(common["rescale_slope"]),
        rescale_intercept=rounded(common["rescale_intercept"]),
        rescale_type=common["rescale_type"] or "",
        rescale_varies=len({(one.rescale_slope, one.rescale_intercept, one.rescale_type) for one in slices}) > 1,
        pixel_padding_value=common["pixel_padding_value"],
        photometric_interpretation=common["photometric_interpretation"] or "",
        samples_per_pixel=common["samples_per_pixel"],
        bits_allocated=common["bits_allocated"],
        bits_stored=common["bits_stored"],
        high_bit=common["high_bit"],
        pixel_representation=common["pixel_representation"],
    )


def arrange_series(
    slices: Iterable[SliceAttributes], settings: GeometrySettings, pixel_digest: PixelDigest = _no_digest
) -> tuple[Arranged, ...]:
    """Measure the stacks of one series, the one that stands for it first. ValueError if there are no slices."""
    ordered = sorted(slices, key=lambda one: (one.sop_uid, one.frame))
    if not ordered:
        raise ValueError("a series without slices has no geometry")
    parts = split_stacks(ordered, settings)
    return tuple(
        _measure_stack(part, index + 1, parts[:index] + parts[index + 1 :], settings, pixel_digest)
        for index, part in enumerate(parts)
    )


def measure_series(
    slices: list[SliceAttributes],
    settings: GeometrySettings,
    pixel_digest: PixelDigest = _no_digest,
    withheld: int = 0,
) -> CtGeometry:
    """Measure the slices of one series, in any order and with one result. ValueError if there are none.

    `pixel_digest` is asked for slices at one position alone and tells identical ones from others; "" if not known.
    `withheld` instances of the series are not among them and not released.
    """
    arranged = arrange_series(slices, settings, pixel_digest)
    parts, stacks = [list(one.slices) for one in arranged], tuple(one.geometry for one in arranged)
    main = stacks[0]
    notes = Notes()
    note_series(parts, stacks, settings, notes)
    if withheld:
        notes.add(
            GeometryFlag.WITHHELD_SLICES,
            f"{withheld} instance(s) of the series are held or were rejected and are not released: these are the figures of "
            "what is.",
        )
    flags = {*notes.flags, *(flag for stack in stacks for flag in stack.flags)}
    reasons = list(notes.reasons)
    for number, stack in enumerate(stacks, start=1):
        prefix = f"Stack {number}: " if len(stacks) > 1 else ""
        reasons += [prefix + reason for reason in stack.reasons]
    steps = main.recommended_preprocessing_pipeline
    if len(stacks) > 1:
        parameters = {"stacks": len(stacks), "by": [str(flag) for flag in notes.flags]}
        why = "Slices do not form one volume; each stack has its own advice, these steps are for the first."
        steps = (PipelineStep("split_stacks", parameters, why), *steps)
    return CtGeometry(
        study_instance_uid=slices[0].study_uid,
        series_instance_uid=slices[0].series_uid,
        series_num_instances=len({one.sop_uid for one in slices}),
        series_num_slices=len(slices),
        series_num_stacks=len(stacks),
        **{one.name: getattr(main.figures, one.name) for one in fields(StackFigures)},
        requires_resampling=any(stack.requires_resampling for stack in stacks),
        requires_splitting=any(stack.requires_splitting for stack in stacks),
        reasons=tuple(reasons),
        flags=tuple(sorted(flags, key=ORDER.__getitem__)),
        recommended_preprocessing_pipeline=steps,
        target_grid=main.target_grid,
        simpleitk=main.simpleitk,
        stacks=stacks,
    )
