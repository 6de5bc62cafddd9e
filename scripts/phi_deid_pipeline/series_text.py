"""Read the text of a series: each slice as its neighbours ask for, and what stands still in all of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from phi_deid_pipeline.boxes import area, overlap
from phi_deid_pipeline.burned_in_text.chain import in_margins, read_stroke_map
from phi_deid_pipeline.burned_in_text.gate import gate_map
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.records import Reading, Region
from phi_deid_pipeline.text_reading import INVERTED, Glance, TextReader, place_of

PIXELS = "pixels"
MIN_STACK = 8  # slices from which a stack shows more than its slices do
SAMPLED = 15  # slices whose median is taken
TOLD = 0.5  # share of a static box that lies in a box of the slice itself


def read_series(
    reader: TextReader,
    paths: Sequence[Path],
    load: Callable[[str], Reading | None] | None = None,
    keep: Callable[[str, Reading], None] | None = None,
) -> list[Reading]:
    """Return the readings of the instances of one series, in the order given; they depend on the series alone.

    Without the gate each instance is read in full. With it, slices of CT and MR that it suspects are; so are the first,
    middle and last of them, and all where one instance of the series, or the still part of the stack, holds text.
    """
    glances = [reader.glance(path, load, keep) for path in paths]
    plain = sorted((i for i, glance in enumerate(glances) if glance.plain), key=lambda i: (glances[i].number, i))
    readings = [glance.reading for glance in glances]
    still = _static_text(reader, paths, [(i, glances[i]) for i in plain], load, keep) if reader.detects else {}
    ends = {plain[0], plain[len(plain) // 2], plain[-1]} if plain else set()
    for i in sorted(ends):
        if glances[i].skimmed:
            readings[i] = reader.read(paths[i], load, keep)
    if still or any(region.plane == PIXELS for reading in readings for region in reading.regions):
        for i in plain:
            if glances[i].skimmed and i not in ends:
                readings[i] = reader.read(paths[i], load, keep)
    for i, regions in still.items():
        readings[i] = _with_static(readings[i], regions)
    return readings


def _static_text(
    reader: TextReader,
    paths: Sequence[Path],
    plain: list[tuple[int, Glance]],
    load: Callable[[str], Reading | None] | None,
    keep: Callable[[str, Reading], None] | None,
) -> dict[int, tuple[Region, ...]]:
    """Return text that stands still in the stacks of a series: middle slice of the stack -> regions, where there are any."""
    stacks: dict[tuple[int, int], list[tuple[int, Glance]]] = defaultdict(list)
    for i, glance in plain:
        if glance.single and glance.reading.status == "read":
            stacks[glance.reading.rows, glance.reading.columns].append((i, glance))
    found = {}
    for _, stack in sorted(stacks.items()):
        if len(stack) < MIN_STACK:
            continue
        count = min(SAMPLED, len(stack))
        chosen = [stack[round(n * (len(stack) - 1) / (count - 1))] for n in range(count)]
        middle, glance = chosen[count // 2]
        joined = "/".join(each.reading.content_key for _, each in chosen)
        key = reader.key(hashlib.sha256(joined.encode()).hexdigest(), "", "static")
        known = load(key) if load else None
        if known is None:
            known = replace(glance.reading, regions=_still_regions(reader, [paths[i] for i, _ in chosen]))
            if keep:
                keep(key, known)
        if known.regions:
            found[middle] = known.regions
    return found


def _still_regions(reader: TextReader, paths: list[Path]) -> tuple[Region, ...]:
    """Read the median of the slices' stroke maps: what moves is gone from it, what stands still is not, noise is weaker."""
    maps = []
    for path in paths:
        source = open_pixels(path)
        assert source is not None  # its pixels were read a moment ago
        with source:
            image = displayed(source, next(source.frames()))
            maps.append(gate_map(image, invert=source.layout.photometric == INVERTED, settings=reader.settings))
    median = np.partition(np.stack(maps), len(maps) // 2, axis=0)[len(maps) // 2]
    found = read_stroke_map(median, reader.settings)
    return tuple(r for r in found if in_margins(r.box, *image.shape[:2], reader.settings))


def _with_static(reading: Reading, regions: tuple[Region, ...]) -> Reading:
    """Add static text that the reading does not tell of itself."""
    own = [region for region in reading.regions if region.plane == PIXELS]
    new = [r for r in regions if all(overlap(r.box, o.box) < TOLD * area(r.box) for o in own)]
    return replace(reading, regions=tuple(sorted([*reading.regions, *new], key=place_of)))
