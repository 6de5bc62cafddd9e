"""Real pictures: what is left of the text that people drew boxes around, and which pictures without text lose pixels."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.burned_in_text.methods import POLICY
from benchmarks.burned_in_text.score import HIDDEN, KEPT, interval, mask_of
from phi_deid_pipeline.boxes import area, overlap
from phi_deid_pipeline.burned_in_text.chain import read_image
from phi_deid_pipeline.burned_in_text.judge import judge
from phi_deid_pipeline.burned_in_text.prepare import is_constant, stroke_map
from phi_deid_pipeline.burned_in_text.read import letters
from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.pixel_edit import redact
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box, InstanceFindings
from phi_deid_pipeline.text_reading import INVERTED, ReaderSettings, TextReader

# Categories of burnedin.tsv.
IDENTIFYING = {
    "patient-name", "patient-id", "birth-date", "sex", "operator-initials", "accession-like", "date", "time",
    "institution", "id-like/technical",
}  # fmt: skip
TECHNICAL = {"technical", "anatomy", "anatomy (Spanish)", "vendor", "ui", "test-pattern", "text (no PHI)"}
STRONG_STROKE = 80  # of 127: what counts as ink in a drawn box
MIN_SIDE = 64  # pixels; smaller pictures without text are not counted
READERS = ("ppocr", "tesseract")
SURE = 0.6  # confidence from which two letters or digits count as read in what was filled


@dataclass
class Text:
    """Counts of the pictures with text."""

    files: int = 0
    boxes: int = 0
    hidden: int = 0
    distinct: int = 0
    readable: dict[str, int] = field(default_factory=lambda: dict.fromkeys(READERS, 0))
    technical: int = 0
    kept: int = 0
    missed: list[str] = field(default_factory=list)


@dataclass
class Free:
    """Counts of the pictures without text, by group: frames, distinct ones among them, and those that lose a pixel."""

    frames: Counter = field(default_factory=Counter)
    alarmed: Counter = field(default_factory=Counter)
    distinct: Counter = field(default_factory=Counter)
    distinct_alarmed: Counter = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def measure_real(data: Path, *, thoroughness: str, every: int, console: Console) -> dict:
    """Return the figures of all real pictures of a folder; `every` takes each so many-th without text.

    `thoroughness`: `full`, or `cascade`, where each picture is read as if it stood neither first, middle nor last in its series.
    """
    if not (data / "burnedin.tsv").is_file():
        raise SystemExit(f"{data} holds no burnedin.tsv")
    text, free = Text(), Free()
    reader = TextReader(ReaderSettings(thoroughness=thoroughness))
    hide = load_policy(POLICY).hide
    for name, rows in sorted(_key(data).items()):
        _with_text(data / name, name, rows, reader, hide, text)
    console.print(f"{text.files} pictures with text looked at, now those without")
    for path, modality in _text_free(data, every):
        _without_text(path, str(path.relative_to(data)), modality, reader, hide, free)
    return {
        "with_text": vars(text),
        "text_free": {
            group: {
                "frames": free.frames[group], "alarmed": free.alarmed[group], "distinct": free.distinct[group],
                "distinct_alarmed": free.distinct_alarmed[group],
            }
            for group in sorted(free.frames)
        },
        "alarms": free.names,
    }  # fmt: skip


def _key(data: Path) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (data / "burnedin.tsv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            if row["x"] and (data / row["path"]).is_file():
                rows[row["path"]].append(row)
    return rows


def _judged(path: Path, reader: TextReader, hide: str) -> InstanceFindings:
    reading = reader.glance(path).reading
    with read_instance(path) as instance:
        lexicon = Lexicon(harvest(instance))
    (found,) = judge([("", path.name, reading)], lexicon, hide, {})
    return found


def _filled(path: Path, found: InstanceFindings) -> tuple[tuple[int, Box], ...]:
    """Return what is filled (frame, or -1 for all): text of one frame is filled in all that show the same strokes there."""
    if not found.fills and not found.frame_fills:
        return ()
    return redact(path, found.fills, found.frame_fills).boxes


def _of(boxes: tuple[tuple[int, Box], ...], frame: int) -> list[Box]:
    return [box for number, box in boxes if number in (-1, frame)]


def _with_text(path: Path, name: str, rows: list[dict[str, str]], reader: TextReader, hide: str, text: Text) -> None:
    found = _judged(path, reader, hide)
    boxes = _filled(path, found)
    text.files += 1
    source = open_pixels(path)
    assert source is not None
    with source:
        inverted, window = source.layout.photometric == INVERTED, source.window()
        for frame in source.frames():
            own = _of(boxes, frame.index)
            _frame(f"{name} frame {frame.index}", displayed(source, frame), rows, own, text, inverted, window)
    text.distinct += sum(row["category"] in IDENTIFYING for row in rows)


def _frame(
    name: str,
    image: np.ndarray,
    rows: list[dict[str, str]],
    boxes: list[Box],
    text: Text,
    inverted: bool,
    window: tuple[float, float] | None,
) -> None:
    filled = mask_of(boxes, *image.shape[:2])
    strokes = np.abs(stroke_map(image.astype(np.float32)).astype(int) - 128) > STRONG_STROKE
    places = []
    for row in rows:
        place = Box(*(int(float(row[key])) for key in "xywh"))
        here = np.s_[place.y : place.y + place.h, place.x : place.x + place.w]
        share = float((strokes[here] & filled[here]).sum() / max(strokes[here].sum(), 1))
        if row["category"] in IDENTIFYING:
            places.append(place)
            text.boxes += 1
            text.hidden += share >= HIDDEN
            if share < HIDDEN:
                text.missed.append(f"{name} {row['category']} at {place.x},{place.y}: {share:.2f}")
        elif row["category"] in TECHNICAL:
            text.technical += 1
            text.kept += share <= KEPT
    blank = image.copy()
    blank[filled] = image.max() if inverted else image.min()
    for one in READERS:
        again = read_image(blank, invert=inverted, window=window, settings=ReaderSettings(readers=(one,)))
        regions = [r.box for r in again.regions if letters(r.text) > 1 and r.confidence >= SURE]
        for place in places:
            if any(overlap(box, place) * 2 >= area(box) for box in regions):
                text.readable[one] += 1
                text.missed.append(f"{name} at {place.x},{place.y}: readable by {one}")


def _text_free(data: Path, every: int) -> Iterator[tuple[Path, str]]:
    with (data / "index.tsv").open(encoding="utf-8") as stream:
        rows = sorted(csv.DictReader(stream, delimiter="\t"), key=lambda r: r["path"])
    fitting = [
        row
        for row in rows
        if row["burned_in_text_visible"].startswith("no")
        and not row["burned_in_text_visible"].startswith("not")
        and min(int(row["rows"] or 0), int(row["cols"] or 0)) >= MIN_SIDE
    ]
    for row in fitting[::every]:
        yield data / row["path"], row["modality"]


def _without_text(path: Path, name: str, modality: str, reader: TextReader, hide: str, free: Free) -> None:
    frames = _frames(path)
    if not frames:
        return
    found = _judged(path, reader, hide)
    if found.status != "read":
        return
    group = "CT and MR" if modality in ("CT", "MR") else "others"
    boxes = _filled(path, found)
    for number, digest in frames:
        alarmed = bool(_of(boxes, number))
        free.frames[group] += 1
        free.alarmed[group] += alarmed
        if digest not in free.seen:
            free.seen.add(digest)
            free.distinct[group] += 1
            free.distinct_alarmed[group] += alarmed
        if alarmed:
            free.names.append(f"{name} frame {number}")


def _frames(path: Path) -> list[tuple[int, str]]:
    """Return number and a digest of what is shown of each frame that shows anything; nothing where it cannot be read."""
    try:
        source = open_pixels(path)
        if source is None:
            return []
        with source:
            shown = [displayed(source, frame) for frame in source.frames()]
    except (UnreadableInstance, DeidError):
        return []  # broken on purpose: such instances are rejected
    return [
        (number, hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest())
        for number, image in enumerate(shown)
        if not is_constant(image)
    ]


def show_real(figures: dict, console: Console) -> None:
    """Print the figures of real pictures."""
    text = figures["with_text"]
    console.print(
        f"identifying boxes hidden: {text['hidden']} of {text['boxes']} (all frames of {text['files']} files, "
        f"{text['distinct']} drawn); readable after: "
        + ", ".join(f"{count} by {name}" for name, count in text["readable"].items())
    )
    console.print(f"technical boxes kept: {text['kept']} of {text['technical']}")
    table = Table(title="pictures without text of at least 64 pixels: frames that lose a pixel, 95 % interval")
    for column in ("group", "frames", "distinct frames"):
        table.add_column(column)
    for group, one in figures["text_free"].items():
        cells = []
        for alarmed, count in ((one["alarmed"], one["frames"]), (one["distinct_alarmed"], one["distinct"])):
            low, high = interval(alarmed, count)
            cells.append(f"{alarmed} of {count} ({100 * low:.1f}-{100 * high:.1f} %)")
        table.add_row(group, *cells)
    console.print(table)
    for line in [*text["missed"], *figures["alarms"]]:
        console.print(line, highlight=False)
