"""Frames of a cine are compared with what was read, and read where they show something else; settings of the config."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from test_pixel_read import dataset, saved

from phi_deid_pipeline.burned_in_text import models
from phi_deid_pipeline.burned_in_text.judge import judge
from phi_deid_pipeline.burned_in_text.models import have_models, tesseract_data
from phi_deid_pipeline.burned_in_text.read import have_tesseract
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.pipeline import text_scan
from phi_deid_pipeline.records import Reading, Region
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader, read_instance_text

needs_models = pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "config.schema.yaml"
NO_SETTINGS = {"group_by", "reread_share"}  # keys of `ocr` that read no picture again
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
PLACE = (12, 30)  # where each frame of `cine` shows its name
FRAMES, ODD = 14, 5  # frames of a cine, and the one that shows another text


def cine(odd: str, at: tuple[int, int], *, moving: bool) -> np.ndarray:
    """Return grey frames of 260 x 320: a name in the upper border, speckle that moves below, `odd` in one frame."""
    random = np.random.default_rng(9)
    frames = np.full((FRAMES, 260, 320), 12, np.uint8)
    still = cv2.GaussianBlur(random.rayleigh(40, (130, 320)), (0, 0), 1.5).clip(0, 255)
    for number, frame in enumerate(frames):
        frame[130:] = np.roll(still, 7 * number, axis=1) if moving else still
        shown = odd if number == ODD and at == PLACE else "MUSTER ERIKA"
        cv2.putText(frame, shown, PLACE, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 230, 2, cv2.LINE_AA)
        if number == ODD and at != PLACE:
            cv2.putText(frame, odd, at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 230, 2, cv2.LINE_AA)
    return frames


def read(tmp_path: Path, frames: np.ndarray, thoroughness: str) -> Reading:
    path = saved(dataset(frames, sop_class=ULTRASOUND, Modality="US"), tmp_path / "cine")
    return TextReader(ReaderSettings(readers=("ppocr",), thoroughness=thoroughness)).glance(path).reading


def texts(regions: tuple[Region, ...], frame: int) -> str:
    return "".join(region.text for region in regions if region.frame == frame).replace(" ", "")


@needs_models
@pytest.mark.parametrize("thoroughness", ["full", "cascade"])
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize(
    ("odd", "at"),
    [
        ("QUIXOTTE", (150, 100)),  # away from the known box
        ("4711", (200, 30)),  # on the line of the known box, behind it
        ("ALONSO MAX", PLACE),  # in the known box
        ("QUIXOTTE", (150, 200)),  # over what moves
    ],
)
def test_text_that_one_frame_of_a_cine_shows_is_read_in_that_frame(tmp_path, odd, at, moving, thoroughness):
    reading = read(tmp_path, cine(odd, at, moving=moving), thoroughness)
    assert (reading.status, reading.frames_read) == ("read", FRAMES)
    assert "MUSTERERIKA" in texts(reading.regions, 0)
    assert odd.replace(" ", "") in texts(reading.regions, ODD)


@needs_models
@pytest.mark.parametrize("thoroughness", ["full", "cascade"])
@pytest.mark.parametrize("size", [1.5, 2.0, 3.0])  # capitals of 33, 44 and 66 pixels
def test_large_text_in_a_later_frame_is_read_as_in_a_picture_of_its_own(tmp_path, size, thoroughness):
    frames = np.full((FRAMES, 768, 1024), 20, np.uint8)
    cv2.putText(frames[ODD], "QUIXOTTE", (200, 400), cv2.FONT_HERSHEY_DUPLEX, size, 230, 3, cv2.LINE_AA)
    assert "QUIXOTTE" in texts(read(tmp_path, frames, thoroughness).regions, ODD)


@needs_models
def test_frames_that_show_the_same_are_read_once(tmp_path):
    path = saved(dataset(cine("", (0, 0), moving=False), sop_class=ULTRASOUND, Modality="US"), tmp_path / "cine")
    reading = read_instance_text(path, ReaderSettings(readers=("ppocr",)))
    assert {region.frame for region in reading.regions} == {0}


def test_each_key_of_the_config_is_a_setting_of_the_reader_with_the_same_default():
    keys = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["properties"]["ocr"]["properties"]
    defaults = {key: value["default"] for key, value in keys.items() if key not in NO_SETTINGS}
    settings = {
        key: list(value) if isinstance(value, tuple) else value for key, value in asdict(ReaderSettings()).items()
    }
    assert defaults == {key: settings[key] for key in defaults}


def still(tmp_path: Path) -> Path:
    image = np.full((200, 300), 12, np.uint8)
    for at in ((20, 25), (20, 110)):
        cv2.putText(image, "MUSTER ERIKA", at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 230, 2, cv2.LINE_AA)
    return saved(dataset(image, Modality="US"), tmp_path / "still")


@needs_models
@pytest.mark.parametrize(
    ("margins", "lines"),
    [
        ({}, 2),
        ({"margin_top": 0.25}, 1),
        ({"margin_bottom": 0.25}, 0),
        ({"margin_top": 0.1, "margin_left": 0.1}, 2),
        ({"margin_right": 0.05}, 0),
    ],
)
def test_margins_tell_text_that_reaches_into_them_alone(tmp_path, margins, lines):
    reading = read_instance_text(still(tmp_path), ReaderSettings(readers=("ppocr",), **margins))
    assert (len(reading.regions), reading.detail) == (lines, "")


@needs_models
def test_expansion_widens_boxes_inside_the_image(tmp_path):
    path = still(tmp_path)
    plain, wide = (
        [r.box for r in read_instance_text(path, ReaderSettings(readers=("ppocr",), expansion=more)).regions]
        for more in (0, 9)
    )
    assert len(plain) == len(wide) == 2
    for box, other in zip(plain, wide, strict=True):
        assert (other.x, other.y) == (max(box.x - 9, 0), max(box.y - 9, 0))
        assert (other.x + other.w, other.y + other.h) == (box.x + box.w + 9, box.y + box.h + 9)


@needs_models
def test_padding_and_greatest_height_are_those_asked_for(tmp_path):
    path = still(tmp_path)
    assert len(read_instance_text(path, ReaderSettings(readers=("ppocr",), padding=64)).regions) == 2
    assert read_instance_text(path, ReaderSettings(readers=("ppocr",), min_text_height=48)).regions == ()


@needs_models
@pytest.mark.skipif(not have_tesseract(), reason="Tesseract is not installed")
@pytest.mark.parametrize("thoroughness", ["full", "cascade"])
def test_the_audit_names_each_model_file_that_was_used_with_its_digest(tmp_path, monkeypatch, thoroughness):
    loaded, load = set(), models._model
    monkeypatch.setattr(models, "_model", lambda name, by: (loaded.add(name), load(name, by))[1])
    image = np.random.default_rng(2).integers(20, 60, (256, 256)).astype(np.uint8)
    path = saved(dataset(image, Modality="CT"), tmp_path / "a")
    reading = TextReader(ReaderSettings(thoroughness=thoroughness, second_reader_below=1.0)).glance(path).reading
    if thoroughness == "full":  # one slice goes through all readers, the other no further than the gate
        cv2.putText(image, "QUIXOTTE", (30, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2, cv2.LINE_AA)
        reading = read_instance_text(saved(dataset(image), tmp_path / "a"), ReaderSettings(second_reader_below=1.0))
        assert {models.DETECTOR_FILE, models.RECOGNISER_FILE} <= loaded
    else:
        assert models.GATE_FILE in loaded
    (found,) = judge([("1.2", "a", reading)], Lexicon(()), "all_but_benign", {})
    told = " ".join(text_scan(found)["readers"]).split()
    named = dict(word.split(":") for word in told if ":" in word)
    data = tesseract_data()
    assert data is not None
    files = {name: models.model_path(name) or data / name for name in named}
    assert named == {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    assert loaded | {"eng.traineddata"} <= set(named)
