"""The figure of a data set: drawn for none, few and many stacks, the same bytes in any case, and nothing but a picture."""

from __future__ import annotations

import io
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import record_io
from phi_deid_pipeline.geometry import GeometrySettings, measure_series
from phi_deid_pipeline.geometry.drawing import borders, picture_problems
from phi_deid_pipeline.geometry.overview import distance_ticks, draw_overview, named_stacks, words
from phi_deid_pipeline.records import SliceAttributes

RED = (215, 0, 21)  # of stacks that require resampling


def row(series: int, gaps: list[float]) -> dict:
    one = SliceAttributes(
        study_uid="2.25.1", series_uid=f"2.25.{series:020d}", sop_uid="", orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        rows=64, columns=64, pixel_spacing=(1.0, 1.0), slice_thickness=2.0,
    )  # fmt: skip
    depths = np.cumsum([0.0, *gaps]).tolist()
    slices = [replace(one, sop_uid=f"2.25.{i}", position=(0.0, 0.0, depth)) for i, depth in enumerate(depths)]
    return json.loads(record_io.to_json(measure_series(slices, GeometrySettings())))


def red_pixels(data: bytes) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    return int(np.sum(np.abs(pixels - RED).sum(axis=2) < 30))


@pytest.mark.parametrize("count", [0, 1, 8, 60, 61, 200])
def test_overview_is_a_plain_picture_for_any_number_of_stacks(count: int) -> None:
    rows = [row(number, [2.0] * (4 + number % 3)) for number in range(count)]
    data = draw_overview(rows)
    assert picture_problems(data) == [] and data == draw_overview(rows)
    assert red_pixels(data) == 0


def test_memory_of_the_overview_is_a_small_part_of_the_rows() -> None:
    one = row(1, [2.0] * 40)
    draw_overview([one] * 61)  # what is loaded once is no growth
    peaks = []
    for count in (500, 2_000):
        rows = (json.loads(text) for text in [json.dumps(one)] * count)
        tracemalloc.start()
        draw_overview(rows)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 1_500 < 4_000  # bytes a stack; one artist alone takes more


@pytest.mark.parametrize("count", [2, 61])
def test_stacks_that_require_resampling_are_red(count: int) -> None:
    rows = [row(0, [2.0, 2.0, 4.0, 2.0]), *(row(number, [2.0] * 4) for number in range(1, count))]
    assert rows[0]["requires_resampling"] is True
    assert red_pixels(draw_overview(rows)) > 20


def test_stack_that_has_to_be_split_alone_is_red_and_told() -> None:
    split = row(0, [2.0, 2.0, 2.0, 90.0, 2.0])
    assert split["requires_resampling"] is False and words(split["stacks"][0]).startswith("split at gaps: ")
    assert red_pixels(draw_overview([split, row(1, [2.0] * 4)])) > 20
    both = row(0, [2.0, 4.0, 2.0, 90.0, 2.0])
    assert words(both["stacks"][0]).startswith("split at gaps, resample: ")


def test_words_of_a_line_say_nothing_twice() -> None:
    single = row(1, [])["stacks"][0]
    assert single["flags"][0] == "single_slice"
    assert words(single).startswith("single slice: ") and words(single).count("single slice") == 1
    assert words({"kind": "single_slice", "flags": ["single_slice"], "requires_resampling": False}) == "single slice"
    uneven = row(1, [2.0, 2.0, 4.0, 2.0])["stacks"][0]
    assert words(uneven).startswith("resample: non uniform spacing, missing slices")
    even = row(1, [2.0] * 4)["stacks"][0]
    assert words(even | {"flags": []}) == "nothing odd"
    assert words(even | {"flags": ["duplicates_differ"], "target_grid": None}) == "no volume: duplicates differ"


def test_stacks_of_one_series_uid_in_several_studies_have_names_of_their_own() -> None:
    rows = [row(7, [2.0] * 4), row(7, [2.0] * 4) | {"study_instance_uid": "2.25.2"}]
    found = [name for name, _ in named_stacks(rows)]
    assert len(set(found)) == 2
    assert found[0].startswith("study ...2.25.1, series ...") and found[0].endswith("000007, stack 1")


@pytest.mark.parametrize(("most", "last"), [(0.6, 1.0), (1.25, 2.0), (5.0, 5.0), (70.0, 100.0), (None, 1.0)])
def test_ticks_of_slice_distances_are_plain_numbers_up_to_the_largest(most: float | None, last: float) -> None:
    ticks = distance_ticks(most)
    assert ticks[0] == 0.0 and ticks[-1] == last and ticks == sorted(ticks) and len(ticks) <= 9


def test_a_line_of_a_mask_is_shown_by_its_borders_alone() -> None:
    line = np.array([1, 1, 0, 0, 1, 0, 1], bool)
    assert borders(line).tolist() == [0, 2, 4, 5, 6, 7]
    assert borders(np.zeros(3, bool)).tolist() == []
