"""The benchmark of burned-in text: its pictures are the same for a seed, its key is where the ink is, its counts are right."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import text_gate_samples
from benchmarks.burned_in_text import backgrounds, methods, plants, real, scenes, texts
from benchmarks.burned_in_text.methods import Outcome
from benchmarks.burned_in_text.score import interval, score
from benchmarks.quality.pools import DEVELOPMENT, REPORTED
from phi_deid_pipeline.burned_in_text import chain
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.burned_in_text.read import Line as ReadLine
from phi_deid_pipeline.burned_in_text.read import have_tesseract
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

NOWHERE = Path("/nonexistent")  # no real instances but those of pydicom's wheel
TRAINED_FONTS = ("dejavusans.", "dejavusans-", "dejavusansmono", "roboto", "sourcesanspro", "hankengrotesk")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> list[scenes.Scene]:
    return scenes.build(tmp_path_factory.mktemp("scenes"), 5, 14, NOWHERE)


def planted(style: str, text: str = "Abernathy 4711") -> tuple[plants.Line, np.ndarray]:
    image = np.full((400, 500), 100, np.float32)
    taken = np.zeros(image.shape, bool)
    line = plants.plant(
        np.random.default_rng(3),
        image,
        taken,
        style,
        text,
        lambda i: np.clip(i, 0, 255).astype(np.uint8),
        limits=(0, 255),
        names_someone=True,
    )
    assert line is not None
    return line, image


def scene_of(*lines: plants.Line) -> scenes.Scene:
    return scenes.Scene(NOWHERE, 400, 500, "CT", "generated", False, lines)


def test_a_seed_gives_the_same_pictures_and_key_again(built, tmp_path):
    again = scenes.build(tmp_path, 5, 14, NOWHERE)
    for one, other in zip(built, again, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()
        assert [(n.text, n.top, n.left, n.style) for n in one.lines] == [
            (n.text, n.top, n.left, n.style) for n in other.lines
        ]
        assert all(np.array_equal(a.ink, b.ink) for a, b in zip(one.lines, other.lines, strict=True))


def test_a_picture_is_the_same_whichever_is_the_first(built, tmp_path):
    (one,) = scenes.build(tmp_path, 5, 1, NOWHERE, 9)
    assert one.path.name == built[9].path.name and one.path.read_bytes() == built[9].path.read_bytes()


def test_another_seed_gives_other_pictures(built, tmp_path):
    other = scenes.build(tmp_path, 6, 3, NOWHERE)
    assert all(one.path.read_bytes() != two.path.read_bytes() for one, two in zip(built, other, strict=False))


def test_pictures_are_of_many_kinds_with_and_without_text(built):
    assert len({scene.modality for scene in built}) >= 5
    assert {scene.source for scene in built} == {"generated", "real"}
    assert any(not scene.lines for scene in built) and any(len(scene.lines) > 3 for scene in built)


def test_written_instances_open_and_name_the_patient_of_the_lines(built):
    known = 0
    for scene in built:
        dataset = pydicom.dcmread(scene.path)
        assert dataset.pixel_array.shape[:2] == (scene.rows, scene.columns)
        family = str(dataset.PatientName).split("^")[0].casefold()
        known += sum(family in line.text.casefold() for line in scene.lines)
    assert known


@pytest.mark.parametrize("style", [name for name in plants.STYLES if name != "faint"])
def test_ink_of_the_key_is_what_was_drawn(style):
    line, image = planted(style)
    changed = image != 100
    ink = np.zeros(image.shape, bool)
    ink[scene_of().ink(line)] = line.ink
    assert changed[ink].all()
    far = changed & ~np.pad(ink, 2)[2:-2, 2:-2]
    ys, xs = np.nonzero(far)
    box = scenes.line_box(line)
    assert ((ys >= box.y) & (ys < box.y + box.h) & (xs >= box.x) & (xs < box.x + box.w)).all()


@pytest.mark.parametrize(
    ("style", "upright"), [("mixed", True), ("rotated_180", True), ("rotated_90", False), ("vertical", False)]
)
def test_turned_and_stacked_lines_are_higher_than_wide(style, upright):
    line, _ = planted(style)
    assert (line.ink.shape[1] > line.ink.shape[0]) is upright


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_ink_differs_from_ground_that_leaves_no_room_on_one_side(level, channels):
    for seed in range(12):
        image = np.full((200, 400, 3) if channels == 3 else (200, 400), level, np.float32)
        taken, random = np.zeros(image.shape[:2], bool), np.random.default_rng(seed)
        shown = lambda i: np.clip(i.mean(axis=2) if i.ndim == 3 else i, 0, 255).astype(np.uint8)  # noqa: E731
        line = plants.plant(random, image, taken, "mixed", "Yarborough", shown, limits=(0, 255), names_someone=True)
        assert line is not None and line.bright is (level == 0) and line.levels >= 16


def test_lines_stand_in_corners_where_asked():
    line, _ = planted("corner")
    rows, columns = line.ink.shape
    assert min(line.top, 400 - line.top - rows) <= 4 and min(line.left, 500 - line.left - columns) <= 4


def test_legible_asks_for_height_contrast_and_quiet_ground():
    line, _ = planted("mixed")
    assert replace(line, height=8, levels=40.0, noise=5.0).legible
    assert not replace(line, height=6, levels=40.0, noise=5.0).legible
    assert not replace(line, height=8, levels=15.0, noise=0.0).legible
    assert not replace(line, height=8, levels=40.0, noise=30.0).legible


def test_seeds_to_report_draw_other_names_than_seeds_for_development():
    assert texts.pool_of(1) is DEVELOPMENT and texts.pool_of(3001) is REPORTED
    assert not {*DEVELOPMENT.families, *DEVELOPMENT.givens, *DEVELOPMENT.institutions} & {
        *REPORTED.families, *REPORTED.givens, *REPORTED.institutions,
    }  # fmt: skip


GROUPED = re.compile(r"(?:ID:? |MRN |No\. )?\d{2,4}(?: \d{2,4})+")
AGED = re.compile(
    r"[FM] (?P<a>\d+)Y|0(?P<b>\d+)Y|(?P<c>\d+) ?y(?: [fm])?|[Aa]ge:? (?P<d>\d+)|[FM]/(?P<e>\d+)|(?P<f>\d+) years"
)
DAY = re.compile(r"(?:\d{1,2}[./ -])?(?:\d{1,2}|[A-Z][A-Za-z]{2})(?: \d{1,2})?\.?(?: \d\d:\d\d)?")


@pytest.mark.parametrize("seed", range(40))
def test_numbers_in_groups_ages_over_89_and_days_without_a_year_are_drawn(seed):
    random = np.random.default_rng(seed)
    known = texts.patient(random, DEVELOPMENT)
    grouped, aged, day = (texts.identifying(random, known, DEVELOPMENT, s) for s in ("grouped", "aged", "day_month"))
    assert GROUPED.fullmatch(grouped), grouped
    age = AGED.fullmatch(aged)
    assert age and 89 < int(next(filter(None, age.groups()))) < 110, aged
    assert DAY.fullmatch(day) and not re.search(r"\d{3}", day), day


@pytest.mark.parametrize("seed", range(8))
def test_large_lines_have_capitals_of_40_pixels_and_more_where_there_is_room(seed):
    random = np.random.default_rng(seed)
    image = np.full((600, 900), 100, np.float32)
    shown = lambda i: np.clip(i, 0, 255).astype(np.uint8)  # noqa: E731
    plant = lambda picture: plants.plant(  # noqa: E731
        random, picture, np.zeros(picture.shape, bool), "large", "HILL", shown, limits=(0, 255), names_someone=True
    )
    line = plant(image)
    assert line is not None and plants.LARGE[0] <= line.height <= plants.LARGE[1]
    assert line.height - 4 <= line.ink.shape[0] <= line.height + 4
    assert plant(image[:36, :300].copy()) is None


@pytest.mark.parametrize("seed", range(8))
def test_a_line_leaves_a_trace_in_a_picture_that_is_nearly_one_value(seed):
    image = np.random.default_rng(seed).integers(243, 245, (400, 500)).astype(np.float32)
    image[:20, :40] = 160  # 0.4 per cent of it
    shown = lambda i: np.clip(np.rint(i), 0, 255).astype(np.uint8)  # noqa: E731
    line = plants.plant(
        np.random.default_rng(seed),
        image,
        np.zeros(image.shape, bool),
        "mixed",
        "HILL",
        shown,
        limits=(0, 255),
        names_someone=True,
    )
    assert line is not None and line.levels > 1


def test_new_styles_are_told_apart_and_counted():
    for style in ("grouped", "aged", "day_month", "large"):
        line = replace(planted("mixed")[0], style=style, height=60 if style == "large" else 12)
        found = score([scene_of(line)], [Outcome((), 0.0)])[0].recalls
        assert found["all lines"].lines == found[f"style {style}"].lines == 1
        assert ("height 40-110 px" in found) is (style == "large")


def test_fonts_are_none_that_the_gate_was_trained_on():
    kept_apart = [*plants.HERSHEY, *plants.ANY_LETTER]
    assert all(text_gate_samples.font_role(name) != "train" for name in kept_apart)
    assert not [name for name in plants.FILES if name.lower().startswith(TRAINED_FONTS)]
    assert [name for name in plants.fonts("accents") if name not in plants.FILES] == []


@pytest.mark.parametrize("font", plants.fonts("mixed"))
def test_a_capital_letter_is_about_as_high_as_asked_for(font):
    heights = [plants.render("H", font, wanted).shape[0] for wanted in (14, 28)]
    assert heights == pytest.approx([14, 28], abs=2)


@pytest.mark.parametrize("modality", backgrounds.MAKERS)
def test_generated_pictures_are_stored_as_they_are(modality):
    ground = backgrounds.generated(np.random.default_rng(1), modality)
    kept = ground.kept(ground.values)
    assert ground.modality == modality and kept.dtype == ground.stored
    assert ground.shown(ground.values).std() > 5


# --- scores ---------------------------------------------------------------------------------------------------------


def test_a_line_is_hidden_where_its_ink_is_filled_and_not_where_a_part_is_left():
    line, _ = planted("mixed")
    box = scenes.line_box(line)
    half = Box(box.x, box.y, box.w // 2, box.h)
    for boxes, hidden in (((box,), 1), ((half,), 0), ((), 0)):
        found = score([scene_of(line)], [Outcome(boxes, 0.0)])[0].recalls["all lines"]
        assert (found.lines, found.hidden) == (1, hidden)
    assert 0.2 < score([scene_of(line)], [Outcome((half,), 0.0)])[0].recalls["all lines"].ink < 0.8


def test_what_the_filter_dropped_counts_as_its_loss():
    line, _ = planted("upper")
    found = score([scene_of(line)], [Outcome((), 0.0, dropped=(scenes.line_box(line),))])[0]
    assert (found.recalls["all lines"].hidden, found.recalls["all lines"].unfiltered) == (0, 1)
    assert found.false_boxes == 0


def test_boxes_apart_from_lines_are_false_alarms_and_cost_area():
    line, _ = planted("mixed")
    box = scenes.line_box(line)
    stray = Box(0, 390, 50, 10) if box.y + box.h < 380 else Box(0, 0, 50, 10)
    found, _ = score([scene_of(line), scene_of()], [Outcome((box, stray), 1.0), Outcome((stray,), 3.0)])
    assert (found.text_free, found.alarmed, found.false_boxes) == (1, 1, 1.0)
    assert found.lost_text_free == pytest.approx(500 / 200_000) == found.lost_with_text
    assert found.cpu == 2.0


def test_technical_lines_are_kept_or_not_and_never_counted_as_missed():
    line = replace(planted("mixed")[0], identifying=False)
    for boxes, kept in (((), 1), ((scenes.line_box(line),), 0)):
        found = score([scene_of(line)], [Outcome(boxes, 0.0)])[0]
        assert (found.technical, found.technical_kept, found.recalls["all lines"].lines) == (1, kept, 0)


def test_non_latin_lines_are_told_apart_from_the_total():
    line = replace(planted("mixed")[0], style="non_latin")
    found = score([scene_of(line)], [Outcome((), 0.0)])[0].recalls
    assert found["all lines"].lines == 0 and found["style non_latin"].lines == 1


def test_intervals_are_wilsons():
    assert interval(9, 10) == pytest.approx((0.596, 0.982), abs=0.001)
    assert interval(0, 0) == (0.0, 1.0)


# --- methods --------------------------------------------------------------------------------------------------------


def test_boxes_that_the_filter_drops_are_noted_and_its_verdict_stands():
    settings = ReaderSettings()
    text = ReadLine(Box(0, 0, 80, 20), "Abernathy", 0.95, 0.9, 4.0)
    noise = ReadLine(Box(5, 6, 20, 20), "o", 0.4, 0.5, 1.0)
    with methods._filtered() as dropped:
        assert chain.is_text(text, settings) and not chain.is_text(noise, settings)
    assert dropped == [noise.box]
    assert not hasattr(chain.is_text, "mock") and chain.is_text(text, settings)


def test_what_was_found_is_the_same_after_it_was_kept(tmp_path):
    for found in (Outcome((Box(1, 2, 3, 4),), 0.25, (Box(5, 6, 7, 8),), "ValueError"), Outcome((), 1.0)):
        methods.save(tmp_path / "kept" / "one.json", found)
        assert methods.load(tmp_path / "kept" / "one.json") == found


@pytest.fixture
def written(tmp_path) -> scenes.Scene:
    """A picture with one large line in its upper left corner, bright on dark."""
    ground = replace(backgrounds.generated(np.random.default_rng(1), "CT"), window=None)
    image = np.zeros((300, 480), np.float32)
    mask = plants.render("EASTMERE 4711", "aileron", 22)
    image[12 : 12 + mask.shape[0], 10 : 10 + mask.shape[1]] = mask * 4.0
    known = texts.patient(np.random.default_rng(2), DEVELOPMENT)
    scenes.write(tmp_path / "one.dcm", ground, ground.kept(image), known, 1)
    line = plants.Line(mask > 64, 12, 10, "EASTMERE 4711", "upper", True, 22, "aileron", True, 200.0, 0.0)
    return scenes.Scene(tmp_path / "one.dcm", 300, 480, "CT", "generated", False, (line,))


@pytest.mark.skipif(not have_tesseract(), reason="Tesseract is not installed")
@pytest.mark.parametrize("name", ["margins", "tesseract", methods.WITHOUT_MODELS])
def test_methods_of_tesseract_hide_plain_text_in_a_corner(name, written):
    (outcome,) = methods.run(name, [written], {})
    assert score([written], [outcome])[0].recalls["all lines"].hidden == 1
    assert outcome.cpu > 0


@pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
def test_ours_hides_plain_text_and_the_cascade_reuses_what_it_may_not_judge(written):
    (outcome,) = methods.run(methods.FULL, [written], {})
    assert score([written], [outcome])[0].recalls["all lines"].hidden == 1
    colour = Outcome((Box(1, 2, 3, 4),), 0.5)
    scene = replace(written, path=written.path.with_name("two.dcm"))
    dataset = pydicom.dcmread(written.path)
    dataset.Modality = "US"
    dataset.save_as(scene.path)
    assert methods.cascade([scene], [colour]) == [colour]


@pytest.mark.skipif(not (have_models() and have_tesseract()), reason="both readers are asked")
def test_a_box_drawn_by_eye_is_hidden_only_where_its_ink_is_filled(written):
    (outcome,) = methods.run(methods.FULL, [written], {})
    image = pydicom.dcmread(written.path).pixel_array
    rows = [{"category": "patient-name", "x": "8", "y": "10", "w": "300", "h": "26"}]
    for boxes, hidden in ((list(outcome.boxes), 1), ([], 0)):
        text = real.Text()
        real._frame("one", image, rows, boxes, text, False, None)
        assert (text.boxes, text.hidden) == (1, hidden)
        assert (text.readable["ppocr"] > 0) is (hidden == 0)
