"""Reading and judging real pictures: the key of boxes drawn by eye, judged by ink. Run as a script for all files."""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from phi_deid_pipeline.boxes import grown
from phi_deid_pipeline.burned_in_text import ReaderSettings, gate
from phi_deid_pipeline.burned_in_text.judge import judge
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.burned_in_text.prepare import is_constant, stroke_map
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.text_reading import TextReader

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
KEY = SHARED / "burnedin.tsv"
IDENTIFYING = {
    "patient-name", "patient-id", "birth-date", "sex", "operator-initials", "accession-like", "date", "time",
    "institution", "id-like/technical",
}  # fmt: skip
SAMPLE = (
    "deid-data/RGB_IMAGE.dcm",
    "presidio/sample_data/2_ORIGINAL.dcm",
    "pydicom-data/OBXXXX1A_expb.dcm",
    "pydicom-data/US1_J2KI.dcm",
    "pydicom/test_files/examples_rgb_color.dcm",
)
TEXT_FREE = ("CT_small.dcm", "MR_small.dcm", "693_UNCI.dcm", "emri_small.dcm")
STRONG_STROKE = 80  # of 127: what counts as ink in a drawn box

pytestmark = [
    pytest.mark.skipif(not KEY.exists(), reason="shared data are not there"),
    pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed"),
]


def key_rows() -> dict[str, list[dict[str, str]]]:
    """Return the drawn boxes by file."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with KEY.open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["x"] and (SHARED / row["path"]).is_file():
                rows[row["path"]].append(row)
    return rows


def lexicon_of(path: Path) -> Lexicon:
    """Return what the header of one file knows of its patient."""
    with read_instance(path) as instance:
        return Lexicon(harvest(instance))


def fills_of(path: Path, reader: TextReader, hide: str = "all_but_benign"):
    """Return what is filled in one file and its findings."""
    reading = reader.read(path)
    (found,) = judge([("1", path.name, reading)], lexicon_of(path), hide, {})
    return found, reading


def boxes_of(found) -> list:
    """Return all boxes that are filled, in whichever frame."""
    return [*found.fills, *(box for _, box in found.frame_fills)]


def ink_shares(path: Path, rows: list[dict[str, str]], fills) -> list[tuple[str, float]]:
    """Return category and the share of its ink that the fills cover, for each drawn box."""
    with open_pixels(path) as source:
        first = displayed(source, next(iter(source.frames())))
    height, width = first.shape[:2]
    cover = np.zeros((height, width), bool)
    for box in fills:
        there = grown(box, height, width)
        cover[there.y : there.y + there.h, there.x : there.x + there.w] = True
    strokes = np.abs(stroke_map(first.astype(np.float32)).astype(int) - 128) > STRONG_STROKE
    shares = []
    for row in rows:
        x, y, w, h = (int(float(row[k])) for k in "xywh")
        ink = strokes[y : y + h, x : x + w]
        shares.append((row["category"], float((ink & cover[y : y + h, x : x + w]).sum() / max(ink.sum(), 1))))
    return shares


@pytest.mark.parametrize("name", SAMPLE)
def test_identifying_text_of_real_pictures_is_filled(name):
    rows = key_rows()[name]
    found, _ = fills_of(SHARED / name, TextReader(ReaderSettings()))
    shares = [(c, s) for c, s in ink_shares(SHARED / name, rows, boxes_of(found)) if c in IDENTIFYING]
    assert shares and all(share >= 0.95 for _, share in shares), shares


@pytest.mark.parametrize("name", TEXT_FREE)
def test_real_pictures_without_text_lose_no_pixel(name):
    path = next(SHARED.rglob(name), None)
    if path is None:
        pytest.skip("file is not there")
    found, reading = fills_of(path, TextReader(ReaderSettings()))
    assert reading.status in ("read", "skipped") and boxes_of(found) == []


def test_gate_suspects_every_identifying_box():
    """No real text was used in its training: the threshold lies far below what real text scores."""
    settings, missed, seen = ReaderSettings(), [], 0
    for name, rows in sorted(key_rows().items()):
        boxes = [[int(float(row[k])) for k in "xywh"] for row in rows if row["category"] in IDENTIFYING]
        if not boxes:
            continue
        with open_pixels(SHARED / name) as source:
            image = displayed(source, next(iter(source.frames())))
            invert = source.layout.photometric == "MONOCHROME1"
        scores = gate.logits(gate.gate_map(image, invert=invert, settings=settings))
        for x, y, w, h in boxes:
            left, top = (x + settings.padding) // gate.TILE, (y + settings.padding) // gate.TILE
            right, bottom = (x + w + settings.padding) // gate.TILE, (y + h + settings.padding) // gate.TILE
            seen += 1
            if scores[top : bottom + 1, left : right + 1].max() <= gate.THRESHOLD + 1:
                missed.append((name, x, y))
    assert seen >= 80
    assert missed == []


def evaluate_positives(reader: TextReader) -> None:
    """Print, for every file of the key, how much of its boxes is filled under each policy."""
    total: Counter = Counter()
    for name, rows in sorted(key_rows().items()):
        start = time.process_time()
        reading = reader.read(SHARED / name)
        spent = time.process_time() - start
        for hide in ("all_text", "all_but_benign", "identifying_only"):
            (found,) = judge([("1", name, reading)], lexicon_of(SHARED / name), hide, {})
            missed = []
            for category, share in ink_shares(SHARED / name, rows, boxes_of(found)):
                kind = "identifying" if category in IDENTIFYING else "other"
                total[hide, kind] += 1
                total[hide, kind, "ink95"] += share >= 0.95
                if share < 0.95 and kind == "identifying":
                    missed.append((category, round(share, 2)))
            print(
                f"{name} {hide} frames {reading.frames_read} {spent:.2f} s {reading.detail} missed {missed}", flush=True
            )
    for key in sorted(total, key=str):
        print(key, total[key])


def evaluate_text_free(reader: TextReader) -> None:
    """Print which files without text lose a pixel, by modality, and the time of 512 x 512 slices."""
    total: Counter = Counter()
    times: list[float] = []
    with (SHARED / "index.tsv").open(encoding="utf-8") as stream:
        rows = [r for r in csv.DictReader(stream, delimiter="\t") if r["burned_in_text_visible"].startswith("no")]
    for number, row in enumerate(rows):
        path = SHARED / row["path"]
        many = row["source"] in ("pymedphys-fluence", "ibsi2-phantom", "pymedphys-water")
        if not path.is_file() or (many and number % 20):
            continue
        try:
            with open_pixels(path) as source:
                shape, frames = (source.layout.rows, source.layout.columns), source.layout.frames
                constant = is_constant(next(iter(source.frames())).values)
        except (UnreadableInstance, AttributeError, TypeError):
            continue
        start = time.process_time()
        found, reading = fills_of(path, reader)
        spent = time.process_time() - start
        if reading.status != "read" or constant:
            continue
        total[row["modality"], "files"] += 1
        if boxes_of(found):
            total[row["modality"], "alarmed"] += 1
            print(row["path"], shape, [(f.text, f.confidence, f.box) for f in found.findings], flush=True)
        elif shape == (512, 512) and frames == 1:
            times.append(spent)
    print(sorted(total.items()))
    if times:
        print(f"512 x 512 without text: {1000 * np.mean(times):.0f} ms CPU over {len(times)}")


if __name__ == "__main__":
    everything = TextReader(ReaderSettings())
    if "text-free" in sys.argv[1:]:
        evaluate_text_free(everything)
    else:
        evaluate_positives(everything)
