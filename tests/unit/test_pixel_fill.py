"""Fills: the value shown in a box for each choice and colour space, and labels drawn into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from test_pixel_edit import FILLED, noise, written
from test_pixel_read import SECONDARY_CAPTURE, dataset, saved

from phi_deid_pipeline.boxes import grown
from phi_deid_pipeline.pixel_edit import redact
from phi_deid_pipeline.pixel_fill import FillStyle, label_mask
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.records import Box

BOX = Box(10, 12, 9, 5)
LARGE = Box(20, 20, 120, 20)


def filled_value(path: Path, style: FillStyle, target: Path) -> np.ndarray:
    """Return the one value, or colour, that stands in the box."""
    target = written(path, redact(path, [BOX], [], style=style), target)
    with open_pixels(target) as source:
        part = next(iter(source.frames())).values[FILLED]
    found = np.unique(part.reshape(part.shape[0] * part.shape[1], -1), axis=0)
    assert len(found) == 1
    return found[0]


def palette_image(pixels: np.ndarray):
    ds = dataset(pixels, sop_class=SECONDARY_CAPTURE, PhotometricInterpretation="PALETTE COLOR")
    for colour, table in (("Red", (9, 200, 3, 255)), ("Green", (9, 9, 3, 255)), ("Blue", (90, 9, 3, 255))):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", (np.array(table, "<u2") << 8).tobytes())
    return ds


def images() -> dict:
    """Return an image a kind: data set, value of its surroundings, and what the value 70 becomes."""
    grey = np.full((40, 50), 100, np.uint8)
    signed = np.full((40, 50), -700, np.int16)
    colour = np.tile(np.array([90, 140, 60], np.uint8), (40, 50, 1))
    ybr = dataset(colour, sop_class=SECONDARY_CAPTURE, PhotometricInterpretation="YBR_FULL")
    inverted = dataset(grey.astype(np.uint16), stored=12, PhotometricInterpretation="MONOCHROME1")
    return {
        "MONOCHROME2": (dataset(grey), [100], [70]),
        "MONOCHROME1": (inverted, [100], [70]),
        "signed": (dataset(signed), [-700], [70]),
        "palette": (palette_image(np.full((40, 50), 1, np.uint8)), [1], [70]),
        "RGB": (dataset(colour, sop_class=SECONDARY_CAPTURE), [90, 140, 60], [70, 70, 70]),
        "YBR_FULL": (ybr, [90, 140, 60], [70, 128, 128]),
    }


@pytest.mark.parametrize("kind", images())
def test_background_is_what_stands_around_the_box(tmp_path, kind):
    ds, around, _ = images()[kind]
    path = saved(ds, tmp_path / "a")
    assert filled_value(path, FillStyle("background"), tmp_path / "b").tolist() == around


@pytest.mark.parametrize("kind", images())
def test_fixed_value_is_the_pixel_value_or_brightness_that_was_chosen(tmp_path, kind):
    ds, _, chosen = images()[kind]
    assert filled_value(saved(ds, tmp_path / "a"), FillStyle("value", 70), tmp_path / "b").tolist() == chosen


@pytest.mark.parametrize(
    ("value", "stored", "signed", "found"), [(9999, 12, False, 4095), (-5, 12, False, 0), (-3000, 12, True, -2048)]
)
def test_fixed_value_is_cut_to_what_can_be_stored(tmp_path, value, stored, signed, found):
    pixels = noise((40, 50), 0, 100, np.int16 if signed else np.uint16)
    path = saved(dataset(pixels, stored=stored), tmp_path / "a")
    assert filled_value(path, FillStyle("value", value), tmp_path / "b").tolist() == [found]


def test_unknown_fill_is_refused():
    with pytest.raises(ValueError, match="fill is none of"):
        FillStyle("blur")


@pytest.mark.parametrize("kind", images())
def test_label_is_drawn_in_a_second_colour_inside_the_box_alone(tmp_path, kind):
    small = images()[kind][0]
    rows, columns = 60, 160
    values = np.frombuffer(small.PixelData, np.uint8 if small.BitsAllocated == 8 else "<u2")
    samples = small.SamplesPerPixel
    whole = (
        np.resize(values[:samples], (rows, columns, samples)) if samples > 1 else np.full((rows, columns), values[0])
    )
    small.Rows, small.Columns = rows, columns
    small.PixelData = np.ascontiguousarray(whole).tobytes()
    if kind != "palette":
        small.PixelData = small.PixelData[:-2] + b"\xc8\x00"  # a bright pixel, which signed values take for 200
    path = saved(small, tmp_path / "a")
    replacement = redact(path, [LARGE], [], labels={LARGE: "PX7K2"})
    target = written(path, replacement, tmp_path / "b")
    ((_, box),) = replacement.boxes
    with open_pixels(path) as source, open_pixels(target) as result:
        before, after = (displayed(s, next(iter(s.frames()))) for s in (source, result))
    inside = after[box.y : box.y + box.h, box.x : box.x + box.w]
    assert len(np.unique(inside.reshape(box.w * box.h, -1), axis=0)) == 2
    outside = np.ones(after.shape[:2], bool)
    outside[box.y : box.y + box.h, box.x : box.x + box.w] = False
    assert np.array_equal(before[outside], after[outside])


def test_label_lies_along_the_longer_side_and_bold_has_more_strokes():
    plain, bold = (label_mask("PX7K2", LARGE, bold=b) for b in (False, True))
    assert plain.shape == (20, 120) and plain.any() and bold.sum() > plain.sum()
    tall = label_mask("PX7K2", Box(0, 0, 20, 120), bold=False)
    assert tall.shape == (120, 20) and np.array_equal(np.rot90(tall, -1), plain)


def test_box_too_low_for_a_label_stays_empty():
    assert label_mask("PX7K2", Box(0, 0, 60, 6), bold=False) is None
    assert label_mask("A LABEL THAT IS MUCH TOO LONG", Box(0, 0, 30, 12), bold=False) is None


def test_label_in_jpeg_blocks_is_seen_and_nothing_outside_them_changes(tmp_path):
    path = Path(pydicom.__file__).parent / "data" / "test_files" / "examples_ybr_color.dcm"
    if not path.exists():
        pytest.skip("not in this pydicom wheel")
    replacement = redact(path, [LARGE], [], labels={LARGE: "PX7K2"}, style=FillStyle(bold=True))
    target = written(path, replacement, tmp_path / "b")
    ((_, box),) = replacement.boxes
    with open_pixels(target) as source:
        after = displayed(source, next(iter(source.frames())))
    inside = after[box.y + 1 : box.y + box.h - 1, box.x + 1 : box.x + box.w - 1, 1]
    assert inside.max() > 180 and np.median(inside) < 20


def test_neighbouring_box_cuts_no_label(tmp_path):
    path = saved(dataset(noise((90, 200), 1, 200, np.uint8)), tmp_path / "a")
    boxes = [Box(20, 20, 120, 20), Box(20, 30, 120, 20)]
    after = np.frombuffer(redact(path, boxes, [], labels={boxes[0]: "PX7K2"}).value, np.uint8).reshape(90, 200)
    alone = np.frombuffer(redact(path, boxes[:1], [], labels={boxes[0]: "PX7K2"}).value, np.uint8).reshape(90, 200)
    first = grown(boxes[0], 90, 200)
    inside = np.s_[first.y : first.y + first.h, first.x : first.x + first.w]
    assert np.array_equal(after[inside], alone[inside])


def test_boxes_that_overlap_have_one_background(tmp_path):
    ramp = np.tile(np.arange(200, dtype=np.uint8), (90, 1))
    path = saved(dataset(ramp), tmp_path / "a")
    boxes = [Box(20, 20, 60, 10), Box(140, 22, 20, 6), Box(70, 22, 80, 10)]
    after = np.frombuffer(redact(path, boxes, [], style=FillStyle("background")).value, np.uint8).reshape(90, 200)
    assert len({int(after[b.y + 1, b.x + 1]) for b in boxes}) == 1
