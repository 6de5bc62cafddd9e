"""Split a series into stacks that each form one volume."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np

from phi_deid_pipeline.geometry.figures import GeometrySettings
from phi_deid_pipeline.geometry.placement import (
    EPSILON_MM,
    SAME_PIXEL_SPACING,
    is_localizer,
    is_placed,
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


_PHASES: tuple[Callable[[SliceAttributes], object], ...] = (
    lambda one: one.image_type,
    lambda one: -1 if one.temporal_position is None else one.temporal_position,
    lambda one: -1 if one.acquisition_number is None else one.acquisition_number,
)


def _split_phases(slices: list[SliceAttributes], settings: GeometrySettings) -> list[list[SliceAttributes]]:
    """Split slices that share positions by image type, temporal position, acquisition, if that leaves no duplicate.

    The fewest attributes that do so are taken. Parts of one position each are no phases.
    """
    if not is_placed(slices[0]) or not _has_duplicates(slices, settings):
        return [slices]
    for count in range(1, len(_PHASES) + 1):
        for keys in itertools.combinations(_PHASES, count):
            parts: dict[tuple, list[SliceAttributes]] = {}
            for one in slices:
                parts.setdefault(tuple(key(one) for key in keys), []).append(one)
            whole = all(len(part) > 1 and not _has_duplicates(part, settings) for part in parts.values())
            if len(parts) > 1 and whole:
                return [parts[key] for key in sorted(parts)]
    return [slices]


def _has_duplicates(slices: list[SliceAttributes], settings: GeometrySettings) -> bool:
    axes = unit_axes(slices[0].orientation)
    distances = np.sort(np.array([one.position for one in slices]) @ np.cross(axes[0], axes[1]))
    return bool(np.any(np.diff(distances) <= settings.duplicate_tolerance_mm + EPSILON_MM))
