"""Reading again: what identifies and is still there widens the boxes or holds; unchanged frames are looked at by chance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from test_pixel_edit import noise
from test_pixel_read import SECONDARY_CAPTURE, dataset, saved

from phi_deid_pipeline import pipeline, redaction_proof
from phi_deid_pipeline.boxes import overlap
from phi_deid_pipeline.burned_in_text.chain import used_readers
from phi_deid_pipeline.burned_in_text.judge import load_words
from phi_deid_pipeline.burned_in_text.match import Matcher
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import Box, Category, InstanceFindings, Manifest, Region, Status
from phi_deid_pipeline.redaction import changed_frames, frames_to_read_whole
from phi_deid_pipeline.redaction_proof import Left, RedactionProof, widened
from record_io import from_json

SETTINGS = ReaderSettings()
MATCHER = Matcher([(Category.NAME, "Quixotte^Marvin"), (Category.NAME, "OB")], frozenset())
NAME = Box(18, 22, 180, 24)  # where the name stands in `picture`
needs_readers = pytest.mark.skipif(
    used_readers(SETTINGS) != ("ppocr", "tesseract"),
    reason="models of the rapidocr wheel or Tesseract are not installed",
)


def picture(text: str = "QUIXOTTE") -> np.ndarray:
    image = noise((90, 260), 20, 50, np.uint8)
    if text:
        cv2.putText(image, text, (20, 42), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 230, 2)
    return image


def proof() -> RedactionProof:
    return RedactionProof(SETTINGS, load_words())


def region(text: str, confidence: float) -> Region:
    return Region(0, Box(0, 0, 60, 12), text, confidence, 0.9, "tesseract")


@pytest.mark.parametrize(
    ("text", "confidence", "counts"),
    [
        ("QUIXOTTE", 0.1, True),
        ("QUIX0TTE", 0.9, True),
        ("OB", 0.9, True),
        ("OB", 0.3, False),
        ("12.08.1964", 0.9, True),
        ("12.08.1964", 0.3, False),
        ("1:23", 0.9, False),
        ("PHILIPS", 0.9, False),
        ("--", 0.9, False),
    ],
)
def test_second_look_counts_what_is_sure_or_long(text, confidence, counts):
    assert proof().identifies(region(text, confidence), MATCHER) is counts


def test_label_of_ours_counts_only_where_the_lexicon_knows_it():
    assert not proof().identifies(region("P4X7K2Q9", 0.9), MATCHER, only_lexicon=True)
    assert proof().identifies(region("P4X7K2Q9", 0.9), MATCHER)
    assert proof().identifies(region("QUIXOTTE", 0.9), MATCHER, only_lexicon=True)


def test_boxes_grow_with_each_round_and_stay_in_the_image():
    left = Left(((3, Box(10, 40, 50, 20)),), ())
    assert widened(left, 90, 260, 1) == [(3, Box(0, 30, 70, 40))]
    assert widened(left, 90, 260, 2) == [(3, Box(0, 20, 80, 60))]


@needs_readers
def test_text_that_is_left_is_found_by_both_readers_and_what_a_person_keeps_is_not(tmp_path):
    path = saved(dataset(picture()), tmp_path / "a")
    left = proof().left_in(path, MATCHER, [(-1, Box(0, 70, 30, 10))])
    assert left.readers == ("ppocr", "tesseract") and left.boxes
    assert all(frame == 0 for frame, _ in left.boxes)
    kept = [(0, Box(0, 0, 260, 90))]
    assert proof().left_in(path, MATCHER, [(-1, Box(0, 70, 30, 10))], kept=kept).boxes == ()
    gone = saved(dataset(picture("")), tmp_path / "b")
    assert proof().left_in(gone, MATCHER, [(-1, NAME)]).boxes == ()


@pytest.mark.parametrize(
    ("text", "box", "rest"),
    [
        ("XOTTE", Box(60, 22, 90, 24), True),
        ("XOTTE", Box(90, 22, 90, 24), False),
        ("XOTTE", Box(60, 60, 90, 24), False),
        ("PHILIPS", Box(60, 22, 90, 24), False),
        ("XO", Box(60, 22, 40, 24), False),
    ],
)
def test_text_that_goes_on_where_a_box_ends_is_its_rest(text, box, rest):
    beside = Region(0, box, text, 0.95, 0.9, "ppocr")
    assert proof()._is_rest(beside, [Box(10, 20, 48, 28)]) is rest


@needs_readers
def test_text_left_in_a_later_frame_is_found_beside_its_box(tmp_path):
    frames = np.stack([picture(""), picture(""), picture()])
    path = saved(dataset(frames), tmp_path / "a")
    left = proof().left_in(path, MATCHER, [(-1, Box(2, 22, 15, 14))])
    assert {frame for frame, _ in left.boxes} == {2}


def run(
    tmp_path: Path,
    image: np.ndarray,
    *,
    fills: tuple[Box, ...] = (),
    frame_fills: tuple[tuple[int, Box], ...] = (),
    share: float = 0.0,
):
    """Return the record and the written instance of one secondary capture whose findings fill these boxes."""
    source, private, staging = (tmp_path / name for name in ("input", "private", "staging"))
    source.mkdir()
    ds = dataset(
        image, sop_class=SECONDARY_CAPTURE, PatientName="Quixotte^Marvin", PatientID="MRN777123", Modality="OT"
    )
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    saved(ds, source / "a")
    salt = bytes(32)
    pipeline.scan_input(source, private, salt=salt, settings={}, patients={}, decisions=[], threads=1)
    (path,) = (private / "manifests").glob("*.json")
    manifest = from_json(path.read_bytes(), Manifest)
    (series,) = manifest.series
    (instance,) = series.instances
    count = len(image) if image.ndim == 3 else 1
    seen = InstanceFindings(
        instance.sop_uid, instance.path, "read", "", count, count, ("ppocr",), (), fills, frame_fills
    )  # fmt: skip
    lexicons = {series.patient: (private / "lexicons" / f"{series.patient}.json").read_text()}
    policy = load_policy("hipaa_safe_harbor").to_json()
    (record,) = pipeline.deidentify_series(
        manifest,
        [seen],
        lexicons,
        policy,
        salt,
        source,
        staging,
        ocr={"readers": ["ppocr", "tesseract"]},
        reread_share=share,
    )
    return record, pydicom.dcmread(staging / record.staged_path)


@needs_readers
def test_boxes_are_widened_until_nothing_identifying_is_left(tmp_path):
    record, written = run(tmp_path, picture(), fills=(Box(18, 22, 40, 24),))
    again = record.burned_in_text_scan["read_again"]
    assert (record.status, again["left"]) == (Status.RELEASED, 0)
    assert again["boxes_widened"] >= 1 and again["readers"] == ["ppocr", "tesseract"]
    assert len(record.boxes) > 1
    assert written.pixel_array[NAME.y : NAME.y + NAME.h, NAME.x + 4 : NAME.x + NAME.w - 40].max() < 60
    assert written.BurnedInAnnotation == "NO"


@needs_readers
def test_text_that_is_left_after_the_last_round_holds_and_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(redaction_proof, "WIDENINGS", 0)
    record, written = run(tmp_path, picture(), fills=(Box(200, 70, 40, 12),))
    assert (record.status, record.reason, record.hold) == (Status.HELD, "text_left", ("text_left",))
    assert record.burned_in_text_scan["read_again"]["left"] >= 1
    assert "BurnedInAnnotation" not in written


@needs_readers
def test_identifying_text_in_an_unchanged_frame_holds_where_it_is_looked_at(tmp_path):
    record, _ = run(tmp_path, picture(), fills=(), share=1.0)
    assert (record.pixel_data, record.status, record.reason) == ("untouched", Status.HELD, "text_left")
    assert record.burned_in_text_scan["read_again"]["readers"] == ["tesseract"]
    (tmp_path / "more").mkdir()
    record, _ = run(tmp_path / "more", picture(), fills=(), share=0.0)
    assert record.status is Status.RELEASED
    assert json.dumps(record.burned_in_text_scan["read_again"]) == (
        '{"frames": 0, "same": 0, "gated": 0, "whole": 0, "readers": [], "left": 0, "boxes_widened": 0}'
    )


def own_noise(count: int, named: int | None = None) -> np.ndarray:
    """Return frames with noise of their own; one of them names somebody in its middle."""
    random = np.random.default_rng(8)
    frames = random.integers(20, 50, (count, 90, 260), dtype=np.uint8)
    if named is not None:
        cv2.putText(frames[named], "QUIXOTTE", (20, 42), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 230, 2)
    return frames


@needs_readers
def test_share_reaches_the_unchanged_frames_of_an_instance_that_was_redacted(tmp_path):
    for name, share, status, left in (("all", 1.0, Status.HELD, True), ("none", 0.0, Status.RELEASED, False)):
        (tmp_path / name).mkdir()
        record, written = run(tmp_path / name, own_noise(3, 2), frame_fills=((0, Box(200, 66, 40, 16)),), share=share)
        again = record.burned_in_text_scan["read_again"]
        assert {frame for frame, _ in record.boxes} == {0}
        assert (record.status, again["left"] > 0) == (status, left)
        assert again["frames"] == again["whole"] == (3 if left else 1)
        assert ("BurnedInAnnotation" in written) is not left


@needs_readers
def test_share_of_changed_frames_is_read_whole_and_boxes_are_added_there(tmp_path):
    fills = (Box(226, 74, 30, 12),)  # far from the name
    for name, share, left in (("all", 1.0, True), ("none", 0.0, False)):
        (tmp_path / name).mkdir()
        record, written = run(tmp_path / name, own_noise(3, 2), fills=fills, share=share)
        again = record.burned_in_text_scan["read_again"]
        assert record.status is Status.RELEASED
        assert (again["boxes_widened"] > 0) is left and again["whole"] == (3 if left else 1)
        name_shows = written.pixel_array[2, NAME.y : NAME.y + NAME.h, NAME.x + 4 : NAME.x + NAME.w - 40].max() > 200
        assert name_shows is not left


def test_every_changed_frame_is_looked_at_again():
    assert changed_frames([(-1, Box(0, 0, 9, 9))], 120) == list(range(120))
    assert changed_frames([(5, Box(0, 0, 9, 9)), (3, Box(0, 0, 9, 9))], 120) == [3, 5]
    assert changed_frames([], 3) == [0, 1, 2]


def test_share_of_the_changed_frames_behind_the_first_is_rounded_up():
    frames = list(range(3, 124))
    for share, count in ((0.0, 0), (0.001, 1), (0.01, 2), (0.5, 60), (1.0, 120)):
        chosen = frames_to_read_whole("2.25.7", frames, share)
        assert len(chosen) == count and chosen == sorted({*chosen}) and 3 not in chosen and {*chosen} <= {*frames}
    assert frames_to_read_whole("2.25.7", frames, 0.05) != frames_to_read_whole("2.25.8", frames, 0.05)
    assert frames_to_read_whole("2.25.7", [4], 1.0) == frames_to_read_whole("2.25.7", [], 1.0) == []


def speckled(count: int, late: dict[int, str] | None = None, side: int = 256) -> np.ndarray:
    """Return frames of a dark border above moving speckle; `late` writes into the border of a frame."""
    random = np.random.default_rng(4)
    frames = np.full((count, side, side), 10, np.uint8)
    for number, frame in enumerate(frames):
        frame[140:] = cv2.GaussianBlur(random.rayleigh(40, (side - 140, side)), (0, 0), 1.5).clip(0, 255)
        text = (late or {}).get(number, "")
        cv2.putText(frame, text, (60, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 230, 2)
    return frames


FILLED = [(-1, Box(4, 40, 50, 24))]  # a box in the border of `speckled`


@needs_readers
@pytest.mark.parametrize("thoroughness", ["full", "cascade"])
def test_text_that_one_of_many_frames_shows_beside_its_box_is_found(tmp_path, thoroughness):
    path = saved(dataset(speckled(20, {13: "QUIXOTTE"})), tmp_path / "a")
    left = RedactionProof(replace(SETTINGS, thoroughness=thoroughness), load_words()).left_in(path, MATCHER, FILLED)
    assert {frame for frame, _ in left.boxes} == {13}
    assert left.read + left.same + left.gated == 20
    ((_, box), *_) = left.boxes
    assert 40 <= box.x <= 70 and 35 <= box.y <= 50 and box.y + box.h <= 75


@needs_readers
def test_frames_that_show_the_same_around_their_boxes_are_compared_and_not_read(tmp_path):
    path = saved(dataset(speckled(20)), tmp_path / "a")
    left = proof().left_in(path, MATCHER, FILLED)
    assert (left.boxes, left.read, left.same, left.gated) == ((), 1, 19, 0)


@needs_readers
def test_with_the_cascade_the_gate_tells_what_of_moving_surroundings_is_read(tmp_path):
    beside = [(-1, Box(4, 90, 50, 24))]  # the speckle moves close by
    frames = speckled(20)
    cv2.putText(frames[7], "QUIXOTTE", (60, 112), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 230, 2)
    path = saved(dataset(frames), tmp_path / "a")
    left = RedactionProof(replace(SETTINGS, thoroughness="cascade"), load_words()).left_in(path, MATCHER, beside)
    assert {frame for frame, _ in left.boxes} == {7}
    assert left.read + left.same + left.gated == 20 and left.gated > left.read


def test_cuts_of_frames_lie_apart_on_a_sheet_and_lead_back():
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (5, 200, 1000), dtype=np.uint8)
    parts = [Box(0, 0, 300, 40), Box(700, 160, 300, 40), Box(10, 20, 980, 30), Box(5, 5, 20, 190), Box(40, 0, 90, 90)]
    sheet = redaction_proof._Sheet()
    for number, part in enumerate(parts):
        sheet.add(number, frames[number], part)
    picture, places = sheet.image()
    for number, (part, place) in enumerate(zip(parts, places, strict=True)):
        cut = frames[number][part.y : part.y + part.h, part.x : part.x + part.w]
        assert np.array_equal(picture[place.y : place.y + place.h, place.x : place.x + place.w], cut)
        grown = Box(place.x - 31, place.y - 31, place.w + 62, place.h + 62)
        assert not any(overlap(grown, other) for other in places if other != place)
        seen = Region(0, Box(place.x + 2, place.y + 3, 10, 8), "OB", 0.9, 0.9, "ppocr")
        back = sheet.placed(seen, places)
        assert back is not None and (back.frame, back.box) == (number, Box(part.x + 2, part.y + 3, 10, 8))
    between = Region(0, Box(places[0].x + places[0].w + 8, places[0].y, 8, 8), "OB", 0.9, 0.9, "ppocr")
    assert sheet.placed(between, places) is None


def test_difference_that_nobody_sees_follows_the_range_of_the_values():
    assert redaction_proof._unseen_difference(np.zeros((4, 4), np.uint8)) == redaction_proof.LEGIBLE - 1
    wide = np.linspace(0, 4000, 10_000).reshape(100, 100).astype(np.int16)
    assert 220 < redaction_proof._unseen_difference(wide) < 240
