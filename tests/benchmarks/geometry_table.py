"""Table of every CT stack of a data set with an `index.tsv`: what it measures, what is odd, what is advised.

    PYTHONPATH=scripts python tests/benchmarks/geometry_table.py DATA [FIGURES]

Prints Markdown; with FIGURES the picture of each stack is written there, SEG and RTSTRUCT that name it drawn over it.
Of files with one SOP Instance UID the first by path is taken.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.geometry import Arranged, GeometrySettings, arrange_series
from phi_deid_pipeline.metadata_extract import slice_attributes
from phi_deid_pipeline.stack_pixels import named_instances
from phi_deid_pipeline.stack_products import draw_stacks
from phi_deid_pipeline.stack_series import Marker, Series, pixel_digests

_HEAD = (
    "| source | stack | slices | positions | distance mm | thickness mm | shear deg | flags | advice |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def series_of(data: Path) -> tuple[list[tuple[str, Series]], list[Marker]]:
    """Return the CT series of a data set with their source, and the objects that mark places in them."""
    with (data / "index.tsv").open(encoding="utf-8", newline="") as lines:
        rows = sorted(csv.DictReader(lines, delimiter="\t"), key=lambda row: row["path"])
    slices: dict[tuple[str, str, str], list] = defaultdict(list)
    paths: dict[tuple[str, str, str], dict[str, Path]] = defaultdict(dict)
    markers = []
    for row in rows:
        path = data / row["path"]
        try:
            if row["modality"] in ("SEG", "RTSTRUCT") and row["sop_class"] != "Secondary Capture Image Storage":
                markers.append(Marker(str(path), path, row["modality"] == "SEG", named_instances(path)))
            elif row["modality"] == "CT" and row["rows"]:
                found = slice_attributes(path)
                key = (row["source"], found[0].study_uid, found[0].series_uid)
                if found[0].sop_uid not in paths[key]:
                    slices[key] += found
                    paths[key][found[0].sop_uid] = path
        except UnreadableInstance:
            continue
    ordered = sorted(slices, key=lambda key: (key[0], -len(slices[key]), key))
    return [(key[0], Series(key[1], key[2], tuple(slices[key]), paths[key])) for key in ordered], markers


def line_of(source: str, name: str, stack: Arranged) -> str:
    """Return the line of one stack."""
    one, figures = stack.geometry, stack.geometry.figures
    distance = "" if figures.z_spacing_median is None else f"{figures.z_spacing_median:g}"
    if one.figures.is_uniform_spacing is False:
        distance = f"{figures.z_spacing_min:g} to {figures.z_spacing_max:g}"
    advice = [step for step in one.recommended_preprocessing_pipeline if step.step not in _USUAL]
    steps = [f"**{step.step}**" if step.required else step.step for step in advice]
    cells = (
        source,
        f"{name} {one.kind.replace('_', ' ')}",
        figures.num_slices,
        figures.num_positions,
        distance,
        "" if figures.slice_thickness is None else f"{figures.slice_thickness:g}",
        "" if figures.shear_angle_deg is None else f"{figures.shear_angle_deg:.3g}",
        ", ".join(one.flags),
        ", ".join(steps),
    )
    return "| " + " | ".join(map(str, cells)) + " |"


_USUAL = ("order_slices", "mask_padding", "rescale_to_hu", "clip_hu")  # of nearly every stack


def main(data: Path, figures: Path | None) -> None:
    """Print the table; write the pictures where a folder for them is given."""
    found, markers = series_of(data)
    print(_HEAD)
    for number, (source, series) in enumerate(found, start=1):
        for place, stack in enumerate(
            arrange_series(series.slices, GeometrySettings(), pixel_digests(series)), start=1
        ):
            print(line_of(source, f"{number}.{place}", stack), flush=True)
        if figures is not None:
            named = Series("study", f"{number}", series.slices, series.paths)
            linked = [one for one in markers if one.names & series.paths.keys()]
            list(draw_stacks(named, linked, GeometrySettings(), figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
