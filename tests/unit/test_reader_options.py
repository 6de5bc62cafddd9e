"""Each key of `ocr` in the config has the effect that its description tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from test_known_places import image as described
from test_pixel_read import CT, SECONDARY_CAPTURE, dataset, saved

from phi_deid_pipeline.burned_in_text import chain
from phi_deid_pipeline.burned_in_text.chain import used_readers
from phi_deid_pipeline.burned_in_text.detect import Candidate
from phi_deid_pipeline.burned_in_text.prepare import Views
from phi_deid_pipeline.burned_in_text.read import Line, second_reading
from phi_deid_pipeline.burned_in_text.settings import GATE
from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.known_places import group_key
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box, Reading
from phi_deid_pipeline.redaction import frames_to_reread
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "config.schema.yaml"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
needs_readers = pytest.mark.skipif(
    used_readers(ReaderSettings()) != ("ppocr", "tesseract"),
    reason="models of the rapidocr wheel or Tesseract are not installed",
)


def lines(
    *texts: str, size: float = 0.7, at: tuple[int, int] = (20, 25), shape: tuple[int, int] = (200, 300), step: int = 28
) -> np.ndarray:
    """Return a dark picture with lines of text below one another from `at` (x, y) on."""
    picture = np.full(shape, 12, np.uint8)
    for number, text in enumerate(texts):
        place = (at[0], at[1] + step * number)
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 230, max(round(2 * size), 1), cv2.LINE_AA)
    return picture


def noisy(text: str, deviation: float) -> np.ndarray:
    picture = lines(text).astype(np.float32) + np.random.default_rng(1).normal(0, deviation, (200, 300))
    return picture.clip(0, 255).astype(np.uint8)


def read(path: Path, **settings: object) -> Reading:
    return TextReader(ReaderSettings(**settings)).glance(path).reading


def texts(reading: Reading) -> set[str]:
    return {region.text.replace(" ", "") for region in reading.regions}


def second(reading: Reading) -> set[str]:
    return {region.second_text.replace(" ", "") for region in reading.regions}


def readers(reading: Reading) -> set[str]:
    return {region.reader for region in reading.regions}


@pytest.fixture
def scans(monkeypatch) -> list[str]:
    """Return what grows by one with each scan of an image."""
    done, scan = [], chain._scan
    monkeypatch.setattr(chain, "_scan", lambda *args, **more: (done.append("scan"), scan(*args, **more))[1])
    return done


SPECKLE = np.random.default_rng(2).integers(20, 60, (256, 256)).astype(np.uint8)  # of a size that the gate takes
# Key -> value that is not the default, picture, what is told of a reading, told by default, told with that value.
Told = Callable[[Reading], object]
EFFECTS: dict[str, tuple[object, np.ndarray, Told, object, object]] = {
    "readers": (("tesseract",), lines("MUSTER 4711"), readers, {"ppocr"}, {"tesseract"}),
    "whitelist": ("0123456789", lines("MUSTER 4711"), second, {"MUSTER4711"}, {"4711"}),
    "second_reader_below": (1.0, lines("MUSTER 4711"), second, {""}, {"MUSTER4711"}),
    "min_confidence": (0.99, noisy("MUSTER 4711", 120), texts, {"MUSTER4711"}, set()),
    "padding": (0, lines("MUSTER 4711", at=(0, 7), size=0.4, shape=(120, 200)), texts, {"MUSTER4711"}, {"MUSTER4/11"}),
    "min_text_height": (40, lines("MUSTER 4711"), texts, {"MUSTER4711"}, set()),
    "max_text_height": (0.01, lines("MUSTER", size=3, at=(20, 300), shape=(600, 600)), texts, {"MUSTER"}, set()),
    "expansion": (9, lines("MUSTER", at=(60, 60)), lambda r: r.regions[0].box.h > 36, False, True),
    "margin_top": (0.3, lines("ERIKA", "MUSTER", step=90), texts, {"ERIKA", "MUSTER"}, {"ERIKA"}),
    "margin_bottom": (0.5, lines("ERIKA", "MUSTER", step=90), texts, {"ERIKA", "MUSTER"}, {"MUSTER"}),
    "margin_left": (0.2, lines("ERIKA", at=(150, 60)), texts, {"ERIKA"}, set()),
    "margin_right": (0.2, lines("ERIKA", at=(20, 60)), texts, {"ERIKA"}, set()),
    "frames_to_sample": (2, np.stack([lines("ERIKA")] * 5), lambda r: r.frames_read, 5, 2),
    "thoroughness": ("full", SPECKLE, lambda r: any(n.startswith(GATE) for n in r.readers), True, False),
    "read_label_images": (True, lines("ERIKA"), lambda r: (r.status, texts(r)), ("skipped", set()), ("read", {"ERIKA"})),
}  # fmt: skip
KINDS = {
    "read_label_images": (SEGMENTATION, "SEG"),
    "thoroughness": (CT, "CT"),
}  # SOP class and modality it matters for
FIRST = {"whitelist": {"second_reader_below": 1.0}}  # what has to be set for the key to matter
APART = {"languages", "page_segmentation", "max_rounds", "merge_iou", "group_by", "reread_share"}  # tests of their own


def test_each_key_has_a_test_of_its_effect():
    keys = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["properties"]["ocr"]["properties"]
    assert set(keys) == set(EFFECTS) | APART and not set(EFFECTS) & APART


@needs_readers
@pytest.mark.parametrize("key", EFFECTS)
def test_key_changes_what_is_read(tmp_path, key):
    value, picture, told, plain, changed = EFFECTS[key]
    sop_class, modality = KINDS.get(key, (SECONDARY_CAPTURE, "OT"))
    path = saved(dataset(picture, sop_class=sop_class, Modality=modality), tmp_path / "a")
    first = FIRST.get(key, {})
    assert told(read(path, **first)) == plain
    assert told(read(path, **first | {key: value})) == changed


@needs_readers
def test_language_that_is_not_installed_is_refused(tmp_path):
    path = saved(dataset(lines("MUSTER")), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"ocr\.languages: Tesseract has no xyz"):
        read(path, languages="eng+xyz")
    assert read(path, readers=("ppocr",), languages="xyz").status == "read"


@needs_readers
def test_page_segmentation_tells_tesseract_whether_a_box_holds_one_line_or_more():
    picture = 255 - lines("MUSTER", "ERIKA")
    line = Line(Box(10, 4, 130, 60), "MUSTER", 0.5, 0.9, 2.0)
    block, one = (
        second_reading(Views(picture, picture, 0), line, ReaderSettings(page_segmentation=mode)).second_text
        for mode in (6, 7)
    )
    assert block == "MUSTER ERIKA" != one


@needs_readers
@pytest.mark.parametrize(("rounds", "done"), [(1, 1), (3, 2)])
def test_rounds_bound_how_often_an_image_is_looked_at(tmp_path, scans, rounds, done):
    read(saved(dataset(lines("MUSTER")), tmp_path / "a"), max_rounds=rounds)
    assert len(scans) == done


@pytest.mark.parametrize(("iou", "left"), [(0.4, 1), (0.6, 2)])
def test_boxes_of_one_place_are_one_from_the_merge_iou_on(iou, left):
    two = [Candidate(50.0, 20.0, 60.0, 20.0, 0.0, 0.9), Candidate(70.0, 20.0, 60.0, 20.0, 0.0, 0.8)]  # IoU 0.5
    assert len(chain._merged(two, ReaderSettings(merge_iou=iou))) == left


def test_group_by_tells_which_instances_are_one_group(tmp_path):
    places = {"one/a": described(), "one/b": described(TransducerData="OTHER"), "two/c": described()}
    keys: dict[str, list[str]] = {}
    for number, (place, ds) in enumerate(places.items()):
        with read_instance(saved(ds, tmp_path / str(number))) as instance:
            for way in ("series", "transducer", "folder"):
                keys.setdefault(way, []).append(group_key(instance, place, way))
    assert keys["series"] == ["", "", ""]
    assert [[key == way[0] for key in way] for way in (keys["transducer"], keys["folder"])] == [
        [True, False, True], [True, True, False],
    ]  # fmt: skip


def test_reread_share_tells_how_many_frames_are_read_again():
    counts = [len(frames_to_reread("2.25.1", 1000, share)) for share in (0.0, 0.01, 1.0)]
    assert counts[0] == 0 and 0 < counts[1] < 40 and counts[2] == 1000
