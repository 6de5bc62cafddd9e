"""The pixel pass finds text in every frame and plane, judges it, and tells what nobody can look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

import factories
import sample_datasets as sets
from phi_deid_pipeline.burned_in_text.chain import used_readers
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.evaluation_findings import PixelFinding, Severity
from phi_deid_pipeline.evaluation_known import Known
from phi_deid_pipeline.evaluation_pixels import (
    _Text,
    chosen_frames,
    is_measure,
    judged,
    look_at_pixels,
    merged,
    read_with,
)
from phi_deid_pipeline.records import Box

CERTAIN, LIKELY, POSSIBLE = Severity.CERTAIN, Severity.LIKELY, Severity.POSSIBLE
BLANK = PixelFinding("a.dcm", 0, "pixels", None, "ppocr", 0.0, POSSIBLE, "", "", "")
both_readers = pytest.mark.skipif(len(used_readers(ReaderSettings())) < 2, reason="a reader of text is missing")


def text(words: str, x: int = 0, *, confidence: float = 0.95, reader: str = "ppocr") -> _Text:
    return _Text(Box(x, 10, 8 * len(words), 12), words, confidence, reader)


def brief(findings: list[PixelFinding]) -> list[tuple[Severity, str, str]]:
    return [(one.severity, one.kind, one.seen) for one in findings]


@pytest.mark.parametrize(
    ("count", "share", "chosen"),
    [(1, 1.0, [0]), (5, 1.0, [0, 1, 2, 3, 4]), (10, 0.3, [0, 4, 9]), (10, 0.01, [0]), (10, 0.2, [0, 9])],
)
def test_frames_are_spread_evenly(count: int, share: float, chosen: list[int]) -> None:
    assert chosen_frames(count, share) == chosen


@pytest.mark.parametrize("words", ["120 kV", "L", "3.5 mm", "W:400 C:40", "12", "5.0cm/s", "MI 0.8"])
def test_measures_and_letters_are_no_finding(words: str) -> None:
    assert is_measure(words)
    assert judged([text(words)], Known(), BLANK) == []


@pytest.mark.parametrize("words", ["ZIMMERLIN", "St Wendreda", "A1234567890", "BAPTIST", "KIDNEY"])
def test_words_are_no_measure(words: str) -> None:
    assert not is_measure(words)


def test_texts_are_judged_by_patterns_and_by_what_is_known() -> None:
    known = Known([("name", "Zimmerlin^Ottoline"), ("record_number", "MRN77304419")])
    one = text("03-May-18")
    assert brief(judged([one], known, BLANK)) == [(LIKELY, "date", "03-May-18")]
    assert brief(judged([text("ZIMMERLIN OTTOLINE")], known, BLANK)) == [(CERTAIN, "known_name", "ZIMMERLIN OTTOLINE")]
    assert brief(judged([text("MRN773O4419")], known, BLANK))[0][:2] == (CERTAIN, "known_record_number")
    assert brief(judged([text("GLARFOTOMY")], known, BLANK)) == [(POSSIBLE, "text", "GLARFOTOMY")]


def test_label_and_value_in_two_boxes_are_one_line() -> None:
    found = judged([text("Name:"), text("Zimmerlin", 46)], Known(), BLANK)
    assert brief(found) == [(LIKELY, "name", "Name: Zimmerlin")]
    assert found[0].box == Box(0, 10, 118, 12)


def test_uncertain_reading_counts_only_where_it_is_sure_enough() -> None:
    assert judged([text("03-May-18", confidence=0.3)], Known(), BLANK) == []
    mail = judged([text("a@example.org", confidence=0.6)], Known(), BLANK)
    assert brief(mail) == [(LIKELY, "e-mail", "a@example.org")]
    assert judged([text("GLARFOTOMY", confidence=0.7, reader="tesseract")], Known(), BLANK) == []


def test_one_place_read_twice_is_one_finding_by_both() -> None:
    one = PixelFinding("a", 0, "pixels", Box(0, 0, 50, 10), "ppocr", 0.9, POSSIBLE, "text", "ab", "w")
    other = PixelFinding("a", 0, "pixels", Box(2, 1, 48, 9), "tesseract", 0.7, LIKELY, "date", "cd", "w")
    far = PixelFinding("a", 0, "pixels", Box(0, 90, 50, 10), "tesseract", 0.7, POSSIBLE, "text", "ef", "w")
    found = merged([one, other, far])
    assert [(f.seen, f.reader) for f in found] == [("cd", "ppocr+tesseract"), ("ef", "tesseract")]


@both_readers
@pytest.mark.parametrize("reader", ["ppocr", "tesseract"])
def test_each_reader_reads_a_plain_line_at_its_place(reader: str) -> None:
    image = np.full((160, 400), 40, np.uint8)
    sets.write_text(image, ["ZIMMERLIN 1953"], (40, 60), 255, 0.8)
    found = read_with(reader, image, ReaderSettings(page_segmentation=11))
    assert "ZIMMERLIN" in " ".join(one.text for one in found)
    box = found[0].box
    assert 30 <= box.x <= 50
    assert 40 <= box.y <= 75
    assert box.x + box.w <= 400


@both_readers
def test_text_of_an_instance_is_found_and_the_same_text_told_once(tmp_path: Path) -> None:
    ds = factories.rgb_instance(("DOB: 17-Aug-1953",), size=(120, 400))
    look = look_at_pixels(factories.write(ds, tmp_path / "a.dcm"), "a.dcm", Known([("birth_date", "19530817")]))
    assert (look.frames, look.frames_read) == (1, 1)
    assert [(one.severity, one.kind, one.frame, one.plane) for one in look.findings] == [
        (CERTAIN, "known_birth_date", 0, "pixels")
    ]
    assert "1953" in look.findings[0].seen


@both_readers
def test_text_free_picture_and_tiny_picture_have_no_finding(tmp_path: Path) -> None:
    plain = factories.write(factories.rgb_instance(size=(96, 256)), tmp_path / "a.dcm")
    assert look_at_pixels(plain, "a.dcm", Known()).findings == ()
    small = factories.write(factories.ct_instance(size=12), tmp_path / "b.dcm")
    assert look_at_pixels(small, "b.dcm", Known()).findings == ()


@both_readers
def test_text_of_an_overlay_is_found(tmp_path: Path) -> None:
    ds = factories.ct_instance(size=256)
    plane = np.zeros((256, 256), np.uint8)
    sets.write_text(plane, ["Dr. Okonjowa"], (10, 30), 255, 0.8)
    block = Dataset()
    block.add_new(0x60000010, "US", 256)
    block.add_new(0x60000011, "US", 256)
    block.add_new(0x60000040, "CS", "G")
    block.add_new(0x60000050, "SS", [1, 1])
    block.add_new(0x60000100, "US", 1)
    block.add_new(0x60000102, "US", 0)
    block.add_new(0x60003000, "OW", np.packbits(plane.ravel() > 127, bitorder="little").tobytes())
    ds.update(block)
    look = look_at_pixels(factories.write(ds, tmp_path / "a.dcm"), "a.dcm", Known([("person", "Okonjowa^Tobias")]))
    assert ("overlay 6000", "known_person") in [(one.plane, one.kind) for one in look.findings]


def test_pixels_that_nobody_can_decode_are_a_likely_finding(tmp_path: Path) -> None:
    ds = factories.ct_instance(size=64)
    ds.PixelData = ds.PixelData[:100]
    look = look_at_pixels(factories.write(ds, tmp_path / "a.dcm"), "a.dcm", Known())
    assert [(one.severity, one.kind, one.box) for one in look.findings] == [(LIKELY, "unreadable", None)]


def test_instance_without_pixels_has_nothing_to_look_at(tmp_path: Path) -> None:
    ds = factories.ct_instance(PixelData=None)
    assert look_at_pixels(factories.write(ds, tmp_path / "a.dcm"), "a.dcm", Known()).frames == 0
