"""The figure of a data set: drawn for none, few and many stacks, the same bytes in any case, and nothing but a picture."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import record_io
from phi_deid_pipeline.geometry import GeometrySettings, measure_series
from phi_deid_pipeline.geometry.drawing import picture_problems
from phi_deid_pipeline.geometry.overview import draw_overview
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


@pytest.mark.parametrize("count", [2, 61])
def test_stacks_that_require_resampling_are_red(count: int) -> None:
    rows = [row(0, [2.0, 2.0, 4.0, 2.0]), *(row(number, [2.0] * 4) for number in range(1, count))]
    assert rows[0]["requires_resampling"] is True
    assert red_pixels(draw_overview(rows)) > 20
