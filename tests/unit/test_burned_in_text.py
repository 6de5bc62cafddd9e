"""Reading: text on generated backgrounds is found and read; nothing is found where nothing stands; no file, same result."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from phi_deid_pipeline.boxes import clipped, grown, iou, without_nested
from phi_deid_pipeline.burned_in_text import ReaderSettings, read_image
from phi_deid_pipeline.burned_in_text import chain as chain_module
from phi_deid_pipeline.burned_in_text import detect as detect_module
from phi_deid_pipeline.burned_in_text.detect import Candidate
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.burned_in_text.prepare import MIDDLE
from phi_deid_pipeline.burned_in_text.read import (
    Line,
    ReaderError,
    continuing,
    have_tesseract,
    is_text,
    lengthened,
    stacked,
    tesseract_lines,
    under_read,
)
from phi_deid_pipeline.records import Box

needs_models = pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
needs_tesseract = pytest.mark.skipif(not have_tesseract(), reason="tesseract is not installed")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def background(rows: int, columns: int, seed: int = 7) -> np.ndarray:
    """Return a smooth, noisy picture like soft tissue, in stored values of a CT."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.normal(0, 300, (rows, columns)), (0, 0), 9) * 6
    return (smooth + rng.normal(0, 15, (rows, columns)) + 1000).astype(np.int16)


def write(image: np.ndarray, text: str, at: tuple[int, int], value: float, size: float = 0.6) -> np.ndarray:
    """Draw text with its lower left corner at (x, y) and return the mask of its ink."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.putText(mask, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, 1, cv2.LINE_AA)
    share = mask / 255.0 if image.ndim == 2 else (mask / 255.0)[..., None]
    image[:] = np.rint(image + (value - image.astype(float)) * share).astype(image.dtype)
    return mask > 64


def covered(mask: np.ndarray, regions) -> float:
    """Return the share of ink that lies under the boxes as they are filled."""
    fills = np.zeros(mask.shape, bool)
    for region in regions:
        box = grown(region.box, *mask.shape)
        fills[box.y : box.y + box.h, box.x : box.x + box.w] = True
    return float((mask & fills).sum() / mask.sum())


@needs_models
def test_read_image_on_noise_finds_nothing():
    assert read_image(background(256, 256)) == []


@needs_models
@pytest.mark.parametrize(
    ("at", "text"), [((2, 14), "MUSTER^ERIKA"), ((150, 250), "12.08.1964"), ((40, 130), "Mueller 4711")]
)
def test_read_image_in_corner_edge_and_over_anatomy_covers_and_reads_text(at, text):
    image = background(256, 256)
    ink = write(image, text, at, 2600)
    regions = read_image(image)
    assert covered(ink, regions) >= 0.95
    read = "".join(c for r in regions for c in r.text if c.isalnum()).upper()
    assert "".join(c for c in text if c.isalnum()).upper() == read


@needs_models
def test_read_image_of_dark_text_on_monochrome1_reads_text():
    image = background(256, 256)
    ink = write(image, "DOE JANE", (20, 60), -1500)
    regions = read_image(image, invert=True)
    assert covered(ink, regions) >= 0.95
    assert "DOEJANE" in {r.text.replace(" ", "") for r in regions}


@needs_models
def test_read_image_of_colour_reads_text_of_equal_luminance():
    image = np.full((200, 300, 3), (30, 30, 200), np.uint8)
    mask = np.zeros((200, 300), np.uint8)
    cv2.putText(mask, "SMITH 12345", (40, 100), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
    image[mask > 128] = (60, 60, 60)
    regions = read_image(image)
    assert covered(mask > 128, regions) >= 0.95


@needs_models
@pytest.mark.parametrize("turn", [cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_read_image_of_turned_text_reads_it(turn):
    image = background(256, 256)
    ink = write(image, "MUSTERMANN", (60, 40), 2600, 0.8)
    image, ink = cv2.rotate(image, turn), cv2.rotate(ink.astype(np.uint8), turn) > 0
    regions = read_image(image)
    assert covered(ink, regions) >= 0.95
    assert "MUSTERMANN" in {r.text for r in regions}


@needs_models
def test_read_image_twice_gives_identical_rounded_and_sorted_regions():
    image = background(200, 320)
    write(image, "AB 123456", (180, 40), 2600)
    write(image, "Dr. House", (20, 150), 2600)
    first, second = read_image(image), read_image(image.copy())
    assert first == second and len(first) == 2
    assert [(r.frame, r.box.y, r.box.x) for r in first] == sorted((r.frame, r.box.y, r.box.x) for r in first)
    assert all(round(r.confidence, 2) == r.confidence and round(r.score, 2) == r.score for r in first)


@needs_models
def test_read_image_leaves_its_input_unchanged():
    image = background(128, 200)
    write(image, "SMITH JOHN", (10, 60), 2600)
    before = image.copy()
    assert read_image(image)
    assert np.array_equal(image, before)


@needs_models
def test_read_image_of_small_or_constant_images_reads_nothing():
    assert read_image(np.arange(15 * 63, dtype=np.uint16).reshape(15, 63)) == []
    assert read_image(np.full((300, 300), 7, np.int16)) == []


@needs_models
def test_tiles_of_a_large_map_join_pieces_of_one_line(monkeypatch):
    """A line over the border of two tiles is one box."""
    monkeypatch.setattr(detect_module, "_network", lambda image: image.astype(np.float32) / 255.0)
    view = np.zeros((1600, 1600), np.uint8)
    view[800:824, 700:1100] = 255
    found = detect_module.detect(view, 1.0, ReaderSettings())
    assert len(found) == 1
    box = found[0].box()
    assert box.x <= 700 and box.x + box.w >= 1100


def test_tile_starts_cover_every_pixel_with_overlap():
    for length in (960, 992, 1376, 1920, 4096):
        starts = detect_module._starts(length)
        assert starts[0] == 0 and starts[-1] + detect_module.TILE >= length
        assert all(b - a <= detect_module.TILE - 64 for a, b in itertools.pairwise(starts))


def line(text: str, confidence: float, score: float, aspect: float) -> Line:
    return Line(Box(0, 0, 10, 10), text, confidence, score, aspect)


@pytest.mark.parametrize(
    ("text", "confidence", "score", "aspect", "expected"),
    [
        ("AB", 0.5, 0.75, 1.5, True),
        ("AB", 0.5, 0.74, 1.5, False),
        ("AB", 0.9, 0.41, 1.5, True),
        ("AB", 0.49, 0.95, 1.5, False),
        ("A", 0.99, 0.7, 1.0, False),
        ("", 0.0, 0.8, 1.5, True),
        ("", 0.0, 0.79, 1.5, False),
        ("", 0.0, 0.8, 1.4, False),
        ("12", 0.3, 0.6, 9.0, True),
        ("12", 0.3, 0.59, 9.0, False),
    ],
)
def test_filter_keeps_read_unread_and_under_read_boxes_only(text, confidence, score, aspect, expected):
    assert is_text(line(text, confidence, score, aspect), ReaderSettings()) is expected


def strokes(*boxes: Box, bright: bool = True) -> np.ndarray:
    """Return a stroke map of 100 x 400 with upright strokes of 3 pixels, each 8 pixels, in some boxes."""
    stroke = np.full((100, 400), 128, np.uint8)
    for box in boxes:
        for x in range(box.x, box.x + box.w, 8):
            stroke[box.y : box.y + box.h, x : x + 3] = 250 if bright else 5
    return stroke


LINE = Line(Box(100, 40, 120, 20), "ABERNATHY", 0.9, 0.9, 6.0)


@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("turned", [False, True])
def test_a_line_is_lengthened_over_letters_that_its_box_cuts_off(bright, turned):
    stroke, line = strokes(Box(84, 42, 160, 14), bright=bright), LINE
    if turned:
        stroke, line = np.ascontiguousarray(stroke.T), Line(Box(40, 100, 20, 120), "ABERNATHY", 0.9, 0.9, 6.0)
    box = lengthened(line, stroke).box
    start, size, top, thick = (box.y, box.h, box.x, box.w) if turned else (box.x, box.w, box.y, box.h)
    assert (top, thick) == (40, 20)
    assert 80 <= start <= 84 and 240 <= start + size <= 242


def test_a_line_gets_its_margin_alone_where_nothing_goes_on_or_another_text_follows():
    wanted = Box(100 - 8, 40, 120 + 16, 20)
    assert lengthened(LINE, strokes(Box(100, 42, 120, 14))).box == wanted
    assert lengthened(LINE, strokes(Box(100, 42, 120, 14), Box(234, 42, 100, 14))).box == wanted
    other = strokes(Box(100, 42, 120, 14))
    other[42:56, 222:260] = 5  # strokes of the other polarity are something else
    assert lengthened(LINE, other).box == wanted


def test_a_line_is_lengthened_by_no_more_than_its_reach():
    box = lengthened(LINE, strokes(Box(0, 42, 400, 14))).box
    assert 100 - 21 <= box.x <= 100 - 16 and 220 + 16 <= box.x + box.w <= 220 + 21


def test_letters_below_one_another_are_lengthened_over_the_gaps_between_them():
    column = Line(Box(40, 100, 20, 120), "ABERN", 0.9, 0.9, 6.0)
    letters_apart = strokes(*(Box(x, 42, 16, 14) for x in range(20, 320, 28))).T
    assert lengthened(column, letters_apart).box == Box(40, 19, 20, 293)
    assert lengthened(column, strokes(Box(20, 42, 300, 14)).T).box.h < 170  # turned text: as far as ever
    other = letters_apart.copy()
    other[225:260] = other[60:95] = MIDDLE  # another text
    assert lengthened(column, other).box == Box(40, 92, 20, 136)


def test_a_square_box_is_not_lengthened():
    square = Line(Box(100, 40, 22, 20), "AB", 0.9, 0.9, 1.1)
    assert lengthened(square, strokes(Box(60, 42, 200, 14))) == square


NO_STROKES = np.full((300, 400), MIDDLE, np.uint8)


def piece(box: Box, text: str = "W", confidence: float = 0.9) -> Line:
    return Line(box, text, confidence, 0.5, 1.2)


def test_a_piece_that_stands_apart_belongs_to_the_line_that_goes_on_from_it():
    level = Line(Box(100, 40, 170, 26), "TERGAARD", 0.9, 0.9, 6.5)
    before, first = piece(Box(66, 42, 18, 18)), piece(Box(40, 41, 18, 20), "A")
    behind = piece(Box(292, 45, 24, 22))
    found = continuing([behind, first, before], [level], NO_STROKES, ReaderSettings())
    assert [n.box for n in found] == [Box(283, 45, 42, 22), Box(32, 41, 34, 20), Box(59, 42, 32, 18)]
    upright = Line(Box(40, 100, 14, 62), "ERGSTROM", 0.9, 0.6, 4.5)
    above = piece(Box(36, 58, 22, 32), ".DR")
    assert [n.box for n in continuing([above], [upright], NO_STROKES, ReaderSettings())] == [Box(36, 49, 22, 50)]


def test_a_piece_elsewhere_belongs_to_no_line():
    line = Line(Box(100, 40, 170, 26), "TERGAARD", 0.9, 0.9, 6.5)
    others = [
        piece(Box(40, 42, 18, 18)),  # far
        piece(Box(76, 60, 18, 18)),  # of the next row
        piece(Box(120, 42, 18, 18)),  # inside the line
        piece(Box(84, 48, 8, 8)),  # small: a mark
        piece(Box(20, 10, 78, 80)),  # tall: anatomy
        piece(Box(76, 42, 18, 18), text="-"),
        piece(Box(76, 42, 18, 18), confidence=0.3),
    ]
    assert [other.box for other in others if continuing([other], [line], NO_STROKES, ReaderSettings())] == []
    square = replace(line, box=Box(100, 40, 30, 26))
    assert continuing([piece(Box(76, 42, 18, 18))], [square], NO_STROKES, ReaderSettings()) == []


@pytest.mark.parametrize("later", [False, True])
def test_read_image_tells_a_piece_that_a_line_goes_on_in_whenever_it_is_seen(monkeypatch, later):
    line, apart = Candidate(150, 60, 100, 20, 0.0, 0.9), Candidate(80, 60, 18, 18, 0.0, 0.5)
    scans = iter([[line], [], [apart], []] if later else [[line, apart], [], [], []])
    monkeypatch.setattr(chain_module, "used_readers", lambda settings: ("ppocr",))
    monkeypatch.setattr(chain_module, "detect", lambda *_: next(scans, []))
    texts = {line.x: ("TERGAARD", 0.9), apart.x: ("W", 0.9)}
    monkeypatch.setattr(
        chain_module, "read_box", lambda _, c, __: Line(c.box(), *texts[c.x], c.score, c.width / c.height)
    )
    assert {r.text for r in read_image(background(120, 300))} == {"W", "TERGAARD"}


def letter(text: str, y: int, x: int = 50, confidence: float = 0.9, side: int = 20) -> Line:
    return Line(Box(x, y, side, side), text, confidence, 0.7, 1.0)


def test_single_letters_below_one_another_are_one_line():
    (line,) = stacked([letter("C", 60), letter("A", 10), letter("B", 35, x=53), letter("Z", 200)], ReaderSettings())
    assert (line.text, line.box) == ("ABC", Box(50, 10, 23, 70))
    assert line.confidence == pytest.approx(0.9)


@pytest.mark.parametrize(
    "others",
    [
        [letter("B", 35)],  # two are no line
        [letter("B", 60), letter("C", 110)],  # a scale: far apart
        [letter("B", 35, x=80), letter("C", 60, x=110)],  # askew
        [letter("B", 35, confidence=0.3), letter("C", 60, confidence=0.3)],  # unsure
        [letter("B", 35, side=50), letter("C", 90, side=20)],  # of other sizes
        [letter("", 35), letter("C", 60)],
    ],
)
def test_single_letters_that_do_not_stack_are_no_line(others):
    assert stacked([letter("A", 10), *others], ReaderSettings()) == []


@needs_models
def test_read_image_of_stacked_letters_covers_them():
    image = background(400, 500)
    ink = np.zeros(image.shape, bool)
    for number, one in enumerate("NAKASHIMA"):
        ink |= write(image, one, (420, 60 + 32 * number), 3500, 0.8)
    regions = read_image(image)
    assert covered(ink, regions) >= 0.95


def test_under_read_needs_few_letters_for_the_length():
    assert under_read("12", 0.7, 10.0)
    assert not under_read("MUSTERMANN", 0.7, 10.0)


@needs_tesseract
def test_chain_without_models_reads_with_tesseract_alone(monkeypatch):
    monkeypatch.setattr(chain_module, "have_models", lambda: False)
    image = np.zeros((200, 320), np.uint8)
    ink = write(image, "SMITH JOHN", (60, 100), 255, 0.8)
    settings = ReaderSettings()
    assert chain_module.used_readers(settings) == ("tesseract",)
    regions = read_image(image, settings=settings)
    assert covered(ink, regions) >= 0.95
    assert {r.reader for r in regions} == {"tesseract"}


@needs_models
def test_reading_imports_no_carrier_opens_no_socket_and_writes_no_file_at_home(tmp_path):
    code = """
import socket, sys
def refuse(*a, **k): raise AssertionError("network")
socket.socket.connect = refuse
socket.create_connection = refuse
import numpy as np, cv2
from phi_deid_pipeline.burned_in_text import read_image
image = np.zeros((120, 240), np.uint8)
cv2.putText(image, "SMITH 12345", (10, 60), 0, 0.8, 255, 2)
assert [r.text for r in read_image(image)]
assert "rapidocr" not in sys.modules
"""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "ORT_DISABLE_TELEMETRY")
    }
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_grown_box_stays_inside_the_image():
    assert grown(Box(2, 2, 10, 20), 100, 100) == Box(0, 0, 15, 25)
    assert grown(Box(95, 95, 5, 5), 100, 100) == Box(94, 94, 6, 6)
    assert clipped(Box(200, 5, 10, 10), 100, 100).w == 0


def test_boxes_within_others_are_dropped_and_the_rest_sorted():
    boxes = [Box(50, 50, 10, 10), Box(0, 0, 30, 30), Box(5, 5, 5, 5), Box(0, 0, 30, 30)]
    assert without_nested(boxes) == [Box(0, 0, 30, 30), Box(50, 50, 10, 10)]
    assert iou(Box(0, 0, 2, 2), Box(1, 0, 2, 2)) == pytest.approx(1 / 3)


@needs_models
def test_known_box_whose_text_cannot_be_read_is_a_region_and_an_emptied_one_is_none(monkeypatch):
    def unread(_views, candidate, _settings):
        return Line(candidate.box(), "", 0.0, candidate.score, candidate.width / candidate.height)

    monkeypatch.setattr(chain_module, "read_box", unread)
    image = background(120, 300)
    empty = image.copy()
    ink = write(image, "SMITH JOHN 1951", (40, 60), 4000)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = Box(int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)

    def read(picture):
        return chain_module.read_known_box(picture, box, invert=False, window=None, settings=ReaderSettings(), frame=3)

    region = read(image)
    assert region is not None
    assert (region.text, region.box, region.frame) == ("", box, 3)
    assert region.score >= 0.8
    assert read(empty) is None


@needs_tesseract
def test_image_that_tesseract_refuses_is_an_error_of_the_reader(monkeypatch):
    import pytesseract

    def refuse(*_, **__):
        raise pytesseract.TesseractError(1, "a value")

    monkeypatch.setattr(pytesseract, "image_to_data", refuse)
    with pytest.raises(ReaderError, match=r"^TesseractError in reader$"):
        tesseract_lines(background(60, 80), ReaderSettings())
