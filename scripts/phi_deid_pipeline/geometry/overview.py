"""One figure of a data set: spacing, thickness and extent of every CT stack, and who needs resampling and why."""

from __future__ import annotations

import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from phi_deid_pipeline.geometry.drawing import DPI, font, png, ticks

_NEEDS, _FINE, _OTHER = "#d70015", "#248a3d", "#8e8e93"
_LISTED = 60  # stacks that get a line each; of more, distributions are drawn
_FIGURES = (
    "z_spacing_min", "z_spacing_median", "z_spacing_max", "slice_thickness", "volume_extent_mm",
)  # fmt: skip
_SHOWN_UID = 6  # last digits of new study and series UIDs
_TICKS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # mm; up to wider distances powers of ten alone


def draw_overview(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the figure as PNG; `rows` are those of the CT preprocessing audit, of which a small part is kept."""
    series = [_drawn_part(row) for row in rows]
    stacks = named_stacks(series)
    resampled, split = (sum(stack[f"requires_{what}"] for _, stack in stacks) for what in ("resampling", "splitting"))
    studies = len({row["study_instance_uid"] for row in series})
    named = "study" if studies == 1 else "studies"
    title = (
        f"{len(series)} CT series of {studies} {named}, stacks: {len(stacks)}; to resample: {resampled}, to split at gaps: "
        f"{split} (red; green: ready, grey: no volume)"
    )
    return _lines(stacks, title) if len(stacks) <= _LISTED else _distributions(stacks, title)


def _drawn_part(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a row is drawn: a tenth of it, and there are as many rows as CT series."""
    stacks = [
        {
            **{name: stack[name] for name in ("requires_resampling", "requires_splitting")},
            "kind": sys.intern(stack["kind"]),
            "target_grid": bool(stack["target_grid"]),
            "flags": tuple(map(sys.intern, stack["flags"])),
            "figures": {name: stack["figures"][name] for name in _FIGURES},
        }
        for stack in row["stacks"]
    ]
    return {**{name: row[name] for name in ("study_instance_uid", "series_instance_uid")}, "stacks": stacks}


def named_stacks(series: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return all stacks by study and series, each with what tells it from the others."""
    rows = sorted(series, key=lambda row: (row["study_instance_uid"], row["series_instance_uid"]))
    return [
        (f"study ...{row['study_instance_uid'][-_SHOWN_UID:]}, series ...{row['series_instance_uid'][-_SHOWN_UID:]}, "
         f"stack {number}", stack)
        for row in rows
        for number, stack in enumerate(row["stacks"], start=1)
    ]  # fmt: skip


def words(stack: Mapping[str, Any]) -> str:
    """Return the verdict on a stack and its flags, none of them twice."""
    flags = [flag.replace("_", " ") for flag in stack["flags"] if flag != stack["kind"]]
    return ": ".join(filter(None, (_verdict(stack), ", ".join(flags)))) or "nothing odd"


def distance_ticks(most: float | None) -> list[float]:
    """Return ticks in mm for slice distances and thicknesses up to `most`."""
    fine = most is None or most <= _TICKS[-1]
    ticks = _TICKS if fine else (0.0, *(10.0**power for power in range(math.ceil(math.log10(most)) + 1)))
    last = next(tick for tick in ticks if tick >= max(most or 0.0, 1.0))
    return [tick for tick in ticks if tick <= last]


def _colour(stack: Mapping[str, Any]) -> str:
    if stack["kind"] != "volume" or not stack["target_grid"]:
        return _OTHER
    return _NEEDS if stack["requires_resampling"] or stack["requires_splitting"] else _FINE


def _verdict(stack: Mapping[str, Any]) -> str:
    if stack["kind"] != "volume":
        return stack["kind"].replace("_", " ")
    if not stack["target_grid"]:
        return "no volume"
    needs = ("split at gaps" if stack["requires_splitting"] else "", "resample" if stack["requires_resampling"] else "")
    return ", ".join(filter(None, needs))


def _lines(stacks: Sequence[tuple[str, Mapping[str, Any]]], title: str) -> bytes:
    height = max(2.2, 0.24 * len(stacks) + 1.4)
    figure = Figure(figsize=(14, height), dpi=DPI, facecolor="white")
    edges = {"left": 0.2, "right": 0.985, "top": 1 - 0.85 / height, "bottom": 0.5 / height, "wspace": 0.06}
    spacing, extent, why = figure.subplots(1, 3, sharey=True, width_ratios=(2, 2, 4.5), gridspec_kw=edges)
    for place, (_, stack) in enumerate(stacks):
        figures, colour = stack["figures"], _colour(stack)
        if figures["z_spacing_min"] is not None:
            spacing.plot([figures["z_spacing_min"], figures["z_spacing_max"]], [place] * 2, color=colour, linewidth=1.5)
            spacing.plot([figures["z_spacing_median"]], [place], marker="o", markersize=4, color=colour)
        if figures["slice_thickness"]:
            spacing.plot([figures["slice_thickness"]], [place], marker="|", markersize=8, color="black")
        sides = figures["volume_extent_mm"]
        if sides and all(sides):
            extent.plot([0, sides[2]], [place] * 2, color=colour, linewidth=3)
            extent.plot([sides[0]], [place], marker="|", markersize=8, color="black")
        why.text(0.0, place, words(stack)[:150], color=colour, va="center", fontproperties=font(7))
    facts = [stack["figures"] for _, stack in stacks]
    lengths = [one[name] for one in facts for name in ("z_spacing_max", "slice_thickness") if one[name]]
    marks = distance_ticks(max(lengths, default=None))
    spacing.set_xscale("symlog", linthresh=1)
    spacing.set_xlim(0, marks[-1] * 1.1)
    spacing.set_xticks(marks, [f"{mark:g}" for mark in marks])
    spacing.minorticks_off()
    why.axis("off")
    spacing.set_yticks(range(len(stacks)), [name for name, _ in stacks])
    spacing.set_ylim(len(stacks) - 0.4, -0.6)
    ticks(spacing, "slice distance: least, median, most\nthickness: | (mm)")
    ticks(extent, "extent along the normal\nalong a row: | (mm)")
    why.set_title("flags", fontproperties=font(8), loc="left")
    figure.text(0.01, 1 - 0.3 / height, title, fontproperties=font(10))
    return png(figure)


def _distributions(stacks: Sequence[tuple[str, Mapping[str, Any]]], title: str) -> bytes:
    figure = Figure(figsize=(14, 7), dpi=DPI, facecolor="white")
    grid = figure.subplots(
        1, 3, width_ratios=(2, 2, 2.5), gridspec_kw={"left": 0.05, "right": 0.985, "top": 0.88, "bottom": 0.09}
    )
    spacing, extent, why = grid
    # Neighbours of one colour share an artist: each is drawn as if alone, in the same order.
    for colour, group in itertools.groupby((stack for _, stack in stacks), key=_colour):
        facts = [stack["figures"] for stack in group]
        distances = [
            (one["slice_thickness"], one["z_spacing_median"])
            for one in facts
            if one["z_spacing_median"] is not None and one["slice_thickness"]
        ]
        sides = [one["volume_extent_mm"] for one in facts if one["volume_extent_mm"] and all(one["volume_extent_mm"])]
        for axes, points in ((spacing, distances), (extent, [(one[0], one[2]) for one in sides])):
            if points:
                axes.plot(*zip(*points, strict=True), "o", markersize=3, alpha=0.5, color=colour)
    ticks(spacing, "median slice distance over thickness (mm)")
    ticks(extent, "extent along the normal over that along a row (mm)")
    _bars(why, Counter((flag, stack["requires_resampling"]) for _, stack in stacks for flag in stack["flags"]))
    figure.text(0.01, 0.95, title, fontproperties=font(10))
    return png(figure)


def _bars(axes: Axes, counts: Counter[tuple[str, bool]]) -> None:
    names = sorted({flag for flag, _ in counts}, key=lambda name: (-counts[name, True] - counts[name, False], name))
    places = np.arange(len(names))
    needing = np.array([counts[name, True] for name in names])
    axes.barh(places, needing, color=_NEEDS)
    axes.barh(places, [counts[name, False] for name in names], left=needing, color=_OTHER)
    axes.set_yticks(places, [name.replace("_", " ") for name in names])
    axes.invert_yaxis()
    ticks(axes, "stacks by flag; red: of those that require resampling")
