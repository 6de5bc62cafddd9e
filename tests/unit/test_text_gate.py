"""The gate: what it suspects, that its crops keep their shape, its file; OpenCV as the runtime gives the same boxes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import text_gate_samples as samples
import train_text_gate as training
from phi_deid_pipeline.burned_in_text import chain, gate, models
from phi_deid_pipeline.burned_in_text.chain import read_image
from phi_deid_pipeline.burned_in_text.detect import STEP
from phi_deid_pipeline.burned_in_text.models import GATE_FILE, OpenCvModel, have_models, model_path, onnx_metadata
from phi_deid_pipeline.burned_in_text.prepare import padded_values, stroke_map
from phi_deid_pipeline.burned_in_text.read import Line
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

SETTINGS = ReaderSettings(readers=("ppocr",))
needs_models = pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
PAGE = Path(__file__).resolve().parents[2] / "resources" / "burned_in_text" / "README.md"


def slice_with(text: str, *, side: int = 320, turn: int = 0, value: float = 1500) -> np.ndarray:
    random = np.random.default_rng(3)
    image = cv2.GaussianBlur(random.normal(0, 300, (side, side)), (0, 0), 9) * 6 + random.normal(0, 15, (side, side))
    mask = np.zeros((side, side), np.uint8)
    cv2.putText(mask, text, (30, 120), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1, cv2.LINE_AA)
    return np.rint(image + np.rot90(mask, turn) / 255.0 * value).astype(np.int16)


def screened(image: np.ndarray, *, invert: bool = False) -> bool:
    stroke = gate.gate_map(image, invert=invert, settings=SETTINGS)
    return gate.may_hold_text(image, stroke, invert=invert, window=None, settings=SETTINGS)


def test_file_of_the_gate_is_small_and_its_hash_stands_in_the_page():
    path = model_path(GATE_FILE)
    assert path is not None
    content = path.read_bytes()
    assert len(content) < 200_000
    assert hashlib.sha256(content).hexdigest() in PAGE.read_text(encoding="utf-8")
    assert re.search(rf"threshold.{{0,40}}{re.escape(str(gate.THRESHOLD))}", PAGE.read_text(encoding="utf-8"))


def test_one_logit_stands_for_each_tile():
    for rows, columns in ((320, 320), (264, 400), (301, 333)):
        stroke = np.full((rows, columns), 128, np.uint8)
        assert gate.logits(stroke).shape == (-(-rows // gate.TILE), -(-columns // gate.TILE))


@needs_models
@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("value", [1500, -1500])
def test_text_of_either_polarity_and_turned_passes(turn, value):
    assert screened(slice_with("MUSTER^ERIKA", turn=turn, value=value))


@needs_models
def test_empty_slices_do_not_pass():
    assert not screened(slice_with(""))
    assert not screened(np.full((256, 256), 7, np.int16))


def test_map_of_an_inverted_picture_is_that_of_the_picture():
    image = slice_with("MUSTER^ERIKA")
    plain = gate.gate_map(image, invert=False, settings=SETTINGS).astype(int)
    turned = gate.gate_map((-image).astype(np.int16), invert=True, settings=SETTINGS).astype(int)
    assert np.abs(plain - turned).max() <= 1
    assert np.ptp(plain) > 200


@needs_models
def test_suspicious_part_lies_in_the_map_holds_the_text_and_has_sides_for_the_detector():
    stroke = gate.gate_map(slice_with("MUSTER^ERIKA"), invert=False, settings=SETTINGS)
    parts = gate.suspicious(stroke)
    assert any(p.x <= 62 and p.y <= 142 and p.x + p.w >= 180 and p.y + p.h >= 152 for p in parts)
    for part in parts:
        assert part.x >= 0 and part.y >= 0
        assert part.x + part.w <= stroke.shape[1] and part.y + part.h <= stroke.shape[0]
        assert part.w % 64 == 0 or part.w == stroke.shape[1]


def test_crops_of_strong_tiles_are_wider():
    scores = np.full((60, 60), -9.0, np.float32)
    scores[30, 30] = gate.LONE + 0.1
    (narrow,) = gate._parts(scores, (480, 480), gate.THRESHOLD)
    scores[30, 30] = gate.STRONG + 0.1
    (wide,) = gate._parts(scores, (480, 480), gate.THRESHOLD)
    assert (narrow.w, narrow.h, wide.w, wide.h) == (88, 88, 136, 136)
    assert wide.x <= narrow.x and wide.y <= narrow.y


def test_weak_tile_with_no_other_near_it_is_noise():
    scores = np.full((40, 40), -5.0, np.float32)
    weak = (gate.LONE + gate.THRESHOLD) / 2
    scores[20, 20] = weak
    assert gate._parts(scores, (320, 320), gate.THRESHOLD) == []
    scores[20, 22] = weak
    assert len(gate._parts(scores, (320, 320), gate.THRESHOLD)) == 1
    scores[20, 20] = scores[20, 22] = -5.0
    scores[20, 20] = gate.LONE + 0.1
    scores[5, 35] = weak
    (part,) = gate._parts(scores, (320, 320), gate.THRESHOLD)
    assert part.x <= 160 < part.x + part.w and part.y <= 160 < part.y + part.h


def test_tile_that_is_sure_passes_without_the_detector(monkeypatch):
    image = slice_with("")
    stroke = gate.gate_map(image, invert=False, settings=SETTINGS)
    scores = np.full((-(-stroke.shape[0] // gate.TILE), -(-stroke.shape[1] // gate.TILE)), -9.0, np.float32)
    monkeypatch.setattr(gate, "gate_model", lambda: lambda batch: scores[None, None])
    monkeypatch.setattr(gate, "detect", lambda *a: pytest.fail("the detector was asked"))
    arguments = {"invert": False, "window": None, "settings": SETTINGS}
    assert not gate.may_hold_text(image, stroke, **arguments)
    scores[5, 7] = gate.SURE + 0.1
    assert gate.may_hold_text(image, stroke, **arguments)
    assert next(gate.passing(image, stroke, **arguments)) == Box(7 * gate.TILE, 5 * gate.TILE, gate.TILE, gate.TILE)


def hardly_read(text: str, box: Box, *, confidence: float = 0.7, score: float = 0.7) -> Line:
    return Line(box, text, confidence, score, 2.0)


def test_gate_doubts_what_is_short_hardly_read_and_alone_and_nothing_else(monkeypatch):
    place, far = Box(80, 80, 60, 30), Box(300, 300, 90, 30)
    scores = np.full((60, 60), -9.0, np.float32)
    monkeypatch.setattr(gate, "gate_model", lambda: lambda batch: scores[None, None])
    stroke = np.full((480, 480), 128, np.uint8)
    doubted = hardly_read("Cod", place)
    assert gate.doubtful([doubted], stroke, ()) == [doubted]
    assert gate.doubtful([doubted, hardly_read("Muster", far)], stroke, ()) == [doubted]
    for sure in (
        hardly_read("Coden", place),
        hardly_read("Cod", place, confidence=0.96),
        hardly_read("Cod", place, score=0.95),
    ):
        assert gate.doubtful([sure], stroke, ()) == []
    beside = Box(place.x + place.w + 40, place.y, 90, 30)
    assert gate.doubtful([doubted, hardly_read("Muster", beside)], stroke, ()) == []
    assert gate.doubtful([doubted], stroke, [beside]) == []
    scores[place.y // gate.TILE, (place.x + place.w) // gate.TILE] = gate.THRESHOLD
    assert gate.doubtful([doubted], stroke, ()) == [doubted]
    assert gate.doubtful([doubted], stroke, (), below=gate.THRESHOLD) == []  # as columns of letters are asked about
    scores[place.y // gate.TILE, (place.x + place.w) // gate.TILE] = gate.SURE
    assert gate.doubtful([doubted], stroke, ()) == []


def test_nothing_is_doubted_without_the_gate(monkeypatch):
    monkeypatch.setattr(gate, "have_gate", lambda: False)
    assert gate.doubtful([hardly_read("Cod", Box(80, 80, 60, 30))], np.full((480, 480), 128, np.uint8), ()) == []


@needs_models
def test_what_the_gate_doubts_is_told_apart_and_only_where_it_knows_the_kind_of_picture(monkeypatch):
    image = slice_with("MUSTER^ERIKA")
    known = read_image(image, settings=SETTINGS, doubt=True)
    assert known.regions == read_image(image, settings=SETTINGS).regions and known.doubted == ()
    monkeypatch.setattr(chain, "doubtful", lambda lines, stroke, known, **below: list(lines))
    left_out = read_image(image, settings=SETTINGS, doubt=True)
    assert left_out.regions == () and left_out.doubted == known.regions
    assert read_image(image, settings=SETTINGS).regions == known.regions


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize(("start", "length", "limit"), [(0, 10, 400), (390, 10, 400), (100, 65, 400), (0, 400, 400)])
def test_stretched_range_holds_the_old_one_and_stays_inside_and_keeps_its_shape_when_scaled(
    start, length, limit, scale
):
    left, whole = gate._stretched(start, length, limit, scale)
    assert 0 <= left <= start and start + length <= left + whole <= limit
    steps = whole * scale / STEP
    assert abs(steps - round(steps)) * STEP <= 0.5 * scale or whole == limit
    assert whole <= length + STEP / scale


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16])
def test_stroke_map_of_integers_is_that_of_the_same_numbers_as_floats(dtype):
    random = np.random.default_rng(1)
    reach = np.iinfo(dtype)
    image = random.integers(reach.min, reach.max, (120, 90), dtype=dtype, endpoint=True)
    image[::2] = image[::2] // 8
    whole = stroke_map(padded_values(image, 32)).astype(int)
    assert np.abs(whole - stroke_map(padded_values(image.astype(np.float32), 32)).astype(int)).max() <= 1


@needs_models
def test_opencv_reads_the_metadata_and_finds_the_same_boxes(monkeypatch):
    image = slice_with("MUSTER^ERIKA 4711")
    expected = read_image(image, settings=SETTINGS).regions
    assert expected
    suspected = gate.suspicious(gate.gate_map(image, invert=False, settings=SETTINGS))
    monkeypatch.setattr(models, "runtime", lambda: models.OPENCV)
    assert isinstance(models.recogniser_model(), OpenCvModel)
    found = read_image(image, settings=SETTINGS).regions
    assert [(r.box, r.text) for r in found] == [(r.box, r.text) for r in expected]
    assert gate.suspicious(gate.gate_map(image, invert=False, settings=SETTINGS)) == suspected


@needs_models
def test_metadata_of_a_model_are_those_that_the_runtime_gives():
    path = model_path(models.RECOGNISER_FILE)
    assert path is not None
    assert onnx_metadata(path.read_bytes())["character"] == models.OnnxruntimeModel(path).metadata["character"]


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="protocol buffer"):
        onnx_metadata(b"\x77\x77")


def test_fonts_and_pictures_of_training_tuning_and_report_are_apart():
    roles = ("train", "tune", "report")
    named = {role: samples.font_names([], role) for role in roles}
    assert sorted(name for names in named.values() for name in names) == sorted(samples.HERSHEY)
    assert all(named.values())
    assert samples.font_role("/x/Lato-Bold.ttf") == "report" and samples.font_role("/x/Roboto-Bold.ttf") == "train"
    sources = {"a/1": ("a", "train"), "dcmqi/2": ("dcmqi", "report"), "pymedphys-water/3": ("pymedphys-water", "tune")}
    for series, (source, role) in sources.items():
        assert samples.role_of(samples.Background(source, series, "CT", np.zeros((2, 2), np.float32))) == role


def test_grounds_that_no_series_shows_keep_their_shape_and_reach():
    random = np.random.default_rng(4)
    image, other = (samples.generated(random, 128) for _ in range(2))
    both, bent = samples.blended(random, image, other), samples.warped(random, image)
    assert both.shape == bent.shape == image.shape and both.dtype == bent.dtype == np.float32
    assert not np.array_equal(both, image) and not np.array_equal(bent, image)
    assert image.min() <= bent.min() and bent.max() <= image.max()
    assert np.ptp(both) <= np.ptp(image) + 3 * np.ptp(image)


def test_fonts_of_symbols_are_left_out(tmp_path):
    for name in ("STIXNonUni.ttf", "cmex10.ttf", "DejaVuMathTeXGyre.ttf", "Roboto-Bold.ttf"):
        (tmp_path / name).touch()
    assert [Path(name).name for name in samples.font_names([tmp_path], "train") if "/" in name] == ["Roboto-Bold.ttf"]


def test_planted_line_says_where_its_ink_is_and_a_sample_depends_on_its_seed_alone():
    def planted() -> tuple[np.ndarray, samples.Planted]:
        random = np.random.default_rng(5)
        image = samples.generated(random, 256)
        before = image.copy()
        line = samples.plant(random, image, ["hershey simplex"], np.zeros(image.shape, bool), "upright")
        assert line is not None and not np.array_equal(before, image)
        assert line.ink.any() and np.array_equal(
            before[~cv2.dilate(line.ink.astype(np.uint8), np.ones((9, 9))).astype(bool)],
            image[~cv2.dilate(line.ink.astype(np.uint8), np.ones((9, 9))).astype(bool)],
        )
        return image, line

    (one, line), (other, same) = planted(), planted()
    assert np.array_equal(one, other) and np.array_equal(line.ink, same.ink)


def test_picture_is_not_written_on_when_lines_are_planted_into_a_copy_of_it(monkeypatch):
    values = samples.generated(np.random.default_rng(3), 256)
    background = samples.Background("a", "a/1", "MR", values.copy())
    monkeypatch.setattr(training, "_state", {"seed": 1, "backgrounds": [[background]], "fonts": ["hershey simplex"]})
    planted = [training.planted_image(index)[0] for index in range(24)]
    assert np.array_equal(background.values, values)
    assert not any(np.array_equal(image, values) for image in planted)


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [
        (0, 0, [0.0, 0.0, 100.0]),
        (0, 100, [0.0, 0.0, 3.62]),
        (4, 909, [0.44, 0.12, 1.12]),
        (5, 5, [100.0, 47.82, 100.0]),
    ],
)
def test_interval_is_that_of_clopper_and_pearson(hits, count, expected):
    assert training.interval(hits, count) == expected


def test_part_of_a_sample_keeps_maps_and_labels_together():
    random = np.random.default_rng(2)
    labels = random.integers(-1, 4, (training.TILES, training.TILES)).astype(np.int8)
    strokes = np.kron(labels, np.ones((training.STRIDE, training.STRIDE), np.int8)).astype(np.int16)
    for _ in range(20):
        part, tiles = training._part(random, strokes, labels)
        assert tiles.shape == (training.WINDOW, training.WINDOW)
        assert np.array_equal(part[:: training.STRIDE, :: training.STRIDE], tiles)


def test_normalisation_drawn_into_a_convolution_changes_no_value():
    random = np.random.default_rng(1)
    state = {
        "0.point.weight": random.normal(size=(3, 2, 1, 1)), "0.point.bias": random.normal(size=3),
        "0.norm.weight": random.normal(size=3), "0.norm.bias": random.normal(size=3),
        "0.norm.running_mean": random.normal(size=3), "0.norm.running_var": random.uniform(0.5, 2, 3),
    }  # fmt: skip
    x = random.normal(size=2)
    plain = state["0.point.weight"][:, :, 0, 0] @ x + state["0.point.bias"]
    scale = state["0.norm.weight"] / np.sqrt(state["0.norm.running_var"] + training.NORM_EPSILON)
    expected = (plain - state["0.norm.running_mean"]) * scale + state["0.norm.bias"]
    weights = training.folded(state)
    assert set(weights) == {"0.point.weight", "0.point.bias"}
    assert np.allclose(weights["0.point.weight"][:, :, 0, 0] @ x + weights["0.point.bias"], expected)


def test_figures_count_what_is_found_and_not_kept():
    rows = [
        {"style": "upright", "found": True, "highest": 2.0, "kept": {0.0: True}},
        {"style": "short", "found": True, "highest": -1.0, "kept": {0.0: False}},
    ]
    free = [{"shape": [512, 512], "modality": "CT", "highest": 1.0, "gate_ms": 9.0, "full_ms": None,
             "passed": {0.0: False}, "crops_ms": {0.0: 5.0}, "tiles": {0.0: 0.01}}]  # fmt: skip
    figures = training.figures_of(rows, free, 0.0)
    assert (figures["all"]["found"], figures["all"]["lost"], figures["short"]["lost"]) == (2, 1, 1)
    assert (figures["lost_by_map"], figures["text_free_ct"]["crops_ms"], figures["text_free"]["with_tiles"]) == (
        1,
        5.0,
        1,
    )
