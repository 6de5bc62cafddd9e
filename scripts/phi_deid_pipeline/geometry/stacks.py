"""Split a series into stacks that each form one volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from phi_deid_pipeline.geometry.figures import GeometrySettings
from phi_deid_pipeline.geometry.placement import (
    EPSILON_MM,
    SAME_PIXEL_SPACING,
    Placed,
    is_localizer,
    is_placed,
    is_uniform,
    spacing_of,
    unit_axes,
)
from phi_deid_pipeline.records import SliceAttributes


def classes(values: Iterable[tuple[float, ...] | None], same: Callable) -> dict[tuple[float, ...] | None, int]:
    """Number groups of like vectors; the result depends on the set of values alone, not on their order."""
    groups: dict[tuple[float, ...] | None, int] = {None: -1}
    heads: list[tuple[float, ...]] = []
    for value in sorted({value for value in values if value is not None}):
        for index, head in enumerate(heads):
            if same(value, head):
                groups[value] = index
                break
        else:
            groups[value] = len(heads)
            heads.append(value)
    return groups


def split_stacks(slices: list[SliceAttributes], settings: GeometrySettings) -> list[list[SliceAttributes]]:
    """Split a series into stacks, the largest first."""
    limit = math.radians(settings.orientation_tolerance_deg)
    directions = classes(
        (one.orientation if is_placed(one) else None for one in slices),
        lambda a, b: max(abs(x - y) for x, y in zip(a, b, strict=True)) <= limit,
    )
    spacings = classes(
        map(spacing_of, slices),
        lambda a, b: all(abs(x - y) <= SAME_PIXEL_SPACING * y for x, y in zip(a, b, strict=True)),
    )
    groups: dict[tuple, list[SliceAttributes]] = {}
    for one in slices:
        placed = is_placed(one)
        key = (
            is_localizer(one),
            placed,
            directions[one.orientation if placed else None],
            one.rows or 0,
            one.columns or 0,
            spacings[spacing_of(one)],
            one.frame_of_reference_uid,
        )
        groups.setdefault(key, []).append(one)
    stacks = [part for key in sorted(groups) for part in _split_phases(groups[key], settings)]
    # The first stack stands for the series: a volume before a localizer, more slices before fewer.
    return sorted(stacks, key=lambda stack: (is_localizer(stack[0]), not is_placed(stack[0]), -len(stack)))


def acquisition_of(one: SliceAttributes) -> int:
    return -1 if one.acquisition_number is None else one.acquisition_number


def temporal_position_of(one: SliceAttributes) -> int:
    return -1 if one.temporal_position is None else one.temporal_position


def _split_phases(slices: list[SliceAttributes], settings: GeometrySettings) -> list[list[SliceAttributes]]:
    """Split slices of one geometry by image type, kernel and temporal position, and by acquisition where that is a border.

    Acquisitions that lie over each other are phases or reconstructions, each a stack. Those that follow each other are
    one volume (scanners number every table position too), unless each is even by itself and all together are not, as
    where they overlap in part.
    Acquisitions over one extent whose slices lie between those of each other are stacks too.
    """
    if not is_placed(slices[0]):
        return [slices]
    parts = [slices]
    for key in (lambda one: one.image_type[1:], lambda one: one.convolution_kernel, temporal_position_of):
        parts = [one for part in parts for one in _parts(part, key)]
    parts = [one for part in parts for one in _split_derived(part, settings)]
    return [one for part in parts for one in _split_acquisitions(part, settings)]


def _split_derived(slices: list[SliceAttributes], settings: GeometrySettings) -> list[list[SliceAttributes]]:
    """Split original from derived slices where they lie over each other.

    Between each other they are one volume: a slice whose pixels were edited, as to hide text, is DERIVED (PS3.3 C.7.6.1.1.2).
    """
    parts = _parts(slices, lambda one: one.image_type[:1])
    apart = sum(_extra(part, settings) for part in parts)
    return parts if len(parts) > 1 and apart < _extra(slices, settings) else [slices]


def _parts(slices: list[SliceAttributes], key: Callable) -> list[list[SliceAttributes]]:
    parts: dict[object, list[SliceAttributes]] = {}
    for one in slices:
        parts.setdefault(key(one), []).append(one)
    return [parts[value] for value in sorted(parts)]


def _split_acquisitions(slices: list[SliceAttributes], settings: GeometrySettings) -> list[list[SliceAttributes]]:
    parts = _parts(slices, acquisition_of)
    if len(parts) < 2 or 2 * len(parts) > len(slices):  # a number a slice tells no volumes apart
        return [slices]
    before, places = _extra(slices, settings), [distances_of(part) for part in parts]
    if before:
        return parts if sum(_extra(part, settings) for part in parts) < before else [slices]
    if between_each_other(places):
        return parts
    even = all(len(one) > 2 and is_uniform(one, settings) for one in places)
    return parts if even and not is_uniform(np.sort(np.concatenate(places)), settings) else [slices]


def between_each_other(places: list[np.ndarray]) -> bool:
    """Tell whether sorted positions of several stacks cover the same extent, to within one slice distance of each."""
    if len(places) < 2 or min(len(one) for one in places) < 3:
        return False
    step = max(float(np.median(np.diff(one))) for one in places)
    ends = np.array([(one[0], one[-1]) for one in places])
    return bool(np.all(np.ptp(ends, axis=0) <= step + EPSILON_MM)) and float(np.min(np.ptp(ends, axis=1))) > step


def distances_of(slices: list[SliceAttributes]) -> np.ndarray:
    """Return the sorted positions of placed slices along the normal of the first, in mm."""
    axes = unit_axes(slices[0].orientation)
    return np.sort(np.array([one.position for one in slices]) @ np.cross(axes[0], axes[1]))


def positions_in(placed: Placed, slices: list[SliceAttributes], settings: GeometrySettings) -> np.ndarray:
    """Return the sorted positions of another stack's slices along the normal of this one; none if it lies otherwise."""
    one = slices[0]
    frames = {one.frame_of_reference_uid, placed.slices[0].frame_of_reference_uid} - {""}  # none named: may be the same
    if not is_placed(one) or is_localizer(one) or len(frames) > 1:
        return np.zeros(0)
    axes = unit_axes(one.orientation)
    sine = np.linalg.norm(np.cross(np.cross(axes[0], axes[1]), placed.basis[2]))
    if sine > math.sin(math.radians(settings.orientation_tolerance_deg)) + EPSILON_MM:
        return np.zeros(0)
    return np.sort(np.array([one.position for one in slices]) @ placed.basis[2])


def _extra(slices: list[SliceAttributes], settings: GeometrySettings) -> int:
    """Return how many slices there are more than positions."""
    return int(np.sum(np.diff(distances_of(slices)) <= settings.duplicate_tolerance_mm + EPSILON_MM))
