"""Places that a header tells of: devices of the list, what lies outside ultrasound regions, groups without a value."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from test_pixel_read import SECONDARY_CAPTURE, dataset, saved

from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.known_places import (
    complement,
    device_boxes,
    group_key,
    load_device_regions,
    outside_ultrasound_regions,
)
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box


def image(**more) -> Dataset:
    ds = dataset(np.zeros((60, 80), np.uint8), sop_class=SECONDARY_CAPTURE)
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", "Quantum Ultrasonics", "Q 900"
    ds.SoftwareVersions, ds.TransducerData, ds.TransducerType = ["Q_3.1.2", "OS_4"], ["L12-5", ""], "LINEAR"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def region(*sides: int) -> Dataset:
    ds = Dataset()
    for keyword, value in zip(("MinX0", "MinY0", "MaxX1", "MaxY1"), sides, strict=True):
        setattr(ds, f"RegionLocation{keyword}", value)
    return ds


def entry(**more) -> dict:
    base = {"manufacturer": "Quantum  ultrasonics", "model": "q 900", "modality": "US", "rows": 60, "columns": 80}
    return base | {"software": "", "transducer": "", "rectangles": [[0, 0, 80, 9], [70, 50, 30, 30]]} | more


def listed(tmp_path: Path, *entries: dict) -> tuple:
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    path.write_text(json.dumps({"entries": entries}))
    return load_device_regions(path)


def boxes_of(tmp_path: Path, ds: Dataset, *entries: dict) -> list[Box]:
    with read_instance(saved(ds, tmp_path / "a")) as instance:
        return device_boxes(instance, listed(tmp_path, *entries))


def test_rectangles_of_a_known_device_are_cut_to_the_image(tmp_path):
    assert boxes_of(tmp_path, image(), entry()) == [Box(0, 0, 80, 9), Box(70, 50, 10, 10)]


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ({"software": "q_3"}, True),
        ({"software": "OS_4"}, True),
        ({"software": "Q_2"}, False),
        ({"transducer": "L12"}, True),
        ({"transducer": "linear"}, True),
        ({"transducer": "C5"}, False),
        ({"model": "Q 90"}, False),
        ({"manufacturer": "Quantum"}, False),
        ({"modality": "CT"}, False),
        ({"rows": 61}, False),
    ],
)
def test_entry_fits_by_each_of_its_keys(tmp_path, more, fits):
    assert bool(boxes_of(tmp_path, image(), entry(**more))) is fits


def test_shipped_list_is_usable_and_every_rectangle_lies_in_its_matrix():
    regions = load_device_regions()
    assert len(regions) >= 5
    for one in regions:
        assert one.manufacturer and one.model and one.rectangles
        assert all(b.x >= 0 and b.y >= 0 and b.x + b.w <= one.columns and b.y + b.h <= one.rows for b in one.rectangles)


def test_list_that_cannot_be_used_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"entries": [{"manufacturer": "A"}]}')
    with pytest.raises(ConfigError, match=r"a\.json"):
        load_device_regions(path)


def covered(boxes: list[Box], rows: int, columns: int) -> np.ndarray:
    count = np.zeros((rows, columns), int)
    for box in boxes:
        count[box.y : box.y + box.h, box.x : box.x + box.w] += 1
    return count


@pytest.mark.parametrize("seed", range(20))
def test_complement_covers_each_pixel_outside_once_and_none_inside(seed):
    rng = np.random.default_rng(seed)
    inside = []
    for _ in range(int(rng.integers(1, 5))):
        x, y = int(rng.integers(0, 70)), int(rng.integers(0, 50))
        inside.append(Box(x, y, int(rng.integers(1, 80 - x + 1)), int(rng.integers(1, 60 - y + 1))))
    assert np.array_equal(covered(complement(inside, 60, 80), 60, 80), covered(inside, 60, 80) == 0)


def test_regions_hold_their_last_row_and_column(tmp_path):
    ds = image(SequenceOfUltrasoundRegions=Sequence([region(10, 20, 69, 49), region(5, 52, 5, 52)]))
    with read_instance(saved(ds, tmp_path / "a")) as instance:
        outside = outside_ultrasound_regions(instance)
    inside = np.zeros((60, 80), bool)
    inside[20:50, 10:70] = inside[52, 5] = True
    assert np.array_equal(covered(outside, 60, 80), ~inside)


@pytest.mark.parametrize("regions", [None, [], [region(90, 5, 95, 9)], [region(20, 20, 10, 10)], [Dataset()]])
def test_image_without_a_usable_region_is_not_touched(tmp_path, regions):
    ds = image() if regions is None else image(SequenceOfUltrasoundRegions=Sequence(regions))
    with read_instance(saved(ds, tmp_path / "a")) as instance:
        assert outside_ultrasound_regions(instance) == []


def key(tmp_path: Path, ds: Dataset, path: str, group_by: str) -> str:
    with read_instance(saved(ds, tmp_path / "a")) as instance:
        return group_key(instance, path, group_by)


def test_group_of_a_transducer_is_its_signature_without_a_value(tmp_path):
    one = key(tmp_path, image(), "x/1", "transducer")
    assert len(one) == 16 and int(one, 16) >= 0
    assert key(tmp_path, image(PatientName="A"), "y/2", "transducer") == one
    for other in (
        {"TransducerType": "CURVED"},
        {"Manufacturer": "B"},
        {"ManufacturerModelName": "B"},
        {"TransducerData": ""},
    ):
        assert key(tmp_path, image(**other), "x/1", "transducer") != one
    assert key(tmp_path, image(TransducerData=None, TransducerType=None), "x/1", "transducer") == ""


def test_group_of_a_folder_is_the_leaf_folder(tmp_path):
    assert key(tmp_path, image(), "x/y/1", "folder") == key(tmp_path, image(Manufacturer="B"), "x/y/2", "folder")
    assert key(tmp_path, image(), "x/y/1", "folder") != key(tmp_path, image(), "x/1", "folder")
    assert key(tmp_path, image(), "x/y/1", "series") == ""
    with pytest.raises(ConfigError, match="group_by"):
        key(tmp_path, image(), "x", "patient")
