"""The chain on one image: render, detect, read, filter, fill what was found, look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from phi_deid_pipeline.boxes import area, clipped, grown, iou, overlap
from phi_deid_pipeline.burned_in_text.detect import Candidate, detect, scales, tall_from
from phi_deid_pipeline.burned_in_text.gate import THRESHOLD, doubtful, eligible
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.burned_in_text.prepare import Views, is_constant, prepare
from phi_deid_pipeline.burned_in_text.read import (
    UNDER_READ_DENSITY,
    Line,
    continuing,
    have_tesseract,
    is_surely_text,
    is_text,
    lengthened,
    letters,
    read_box,
    second_reading,
    stacked,
    tesseract_lines,
)
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box, Region

COVERED = 0.5  # share of a known box, or of what is found, that lies in the other
NESTED = 0.9  # share of the smaller box that lies in the larger one


@dataclass(frozen=True, slots=True)
class ImageText:
    """What was read in one image. `text_left`: the last scan allowed still found something new.

    `doubted`: what would be told too if the gate were not asked.
    """

    regions: tuple[Region, ...]
    text_left: bool
    doubted: tuple[Region, ...] = ()


def used_readers(settings: ReaderSettings) -> tuple[str, ...]:
    """Return the readers that settings ask for and the environment has."""
    there = {"ppocr": have_models, "tesseract": have_tesseract}
    return tuple(name for name in ("ppocr", "tesseract") if name in settings.readers and there[name]())


def read_image(
    image: np.ndarray,
    *,
    invert: bool = False,
    window: tuple[float, float] | None = None,
    settings: ReaderSettings,
    frame: int = 0,
    plane: str = "pixels",
    whole: tuple[int, int] | None = None,
    doubt: bool = False,
) -> ImageText:
    """Read all text of an image of shape (rows, columns), any numeric type, or (rows, columns, 3) of 8 bits.

    `invert` for MONOCHROME1; `window` is (low, high) in the image's values. Boxes are in the image's own pixels.
    `whole` are rows and columns of the image of which it is a part: it is looked at in the same scales, for text as tall. `doubt`:
    an image of a kind that the gate knows; it is asked about short texts that stand alone and were hardly read.
    """
    rows, columns = image.shape[:2]
    if settings.too_small(rows, columns) or is_constant(image):
        return ImageText((), False)
    if image.dtype.kind == "f":
        image = np.nan_to_num(image, posinf=0.0, neginf=0.0)
    readers = used_readers(settings)
    working, found, fresh = image, [], []
    doubted: list[Line] = []
    dark = _darkest(image, invert)
    doubt = doubt and eligible(rows, columns)
    scan = partial(_scan, whole=whole or (rows, columns)) if "ppocr" in readers else _scan_with_tesseract
    # Tesseract alone finds words in any noise: looking again would never end, so that chain looks once.
    rounds = settings.max_rounds if "ppocr" in readers else 1
    for _ in range(rounds):
        fresh, left_out = scan(working, invert, window, settings, readers, found, doubt=doubt)
        doubted += left_out
        if not fresh:
            break
        found += fresh
        if working is image:
            working = image.copy()
        for line in fresh:
            box = grown(line.box, rows, columns)
            working[box.y : box.y + box.h, box.x : box.x + box.w] = dark
    told, left_out = (
        tuple(sorted((_region(n, frame, plane) for n in lines), key=_place)) for lines in (found, doubted)
    )
    return ImageText(told, bool(fresh) and rounds > 1, left_out)


def read_known_box(
    image: np.ndarray,
    box: Box,
    *,
    invert: bool,
    window: tuple[float, float] | None,
    settings: ReaderSettings,
    frame: int,
) -> Region | None:
    """Read a box whose place is known and whose content changed; None where nothing stands in it.

    Text that cannot be read comes out as a region, as in the scan of a whole image.
    """
    rows, columns = image.shape[:2]
    margin = 2 * settings.padding
    part = clipped(Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin), rows, columns)
    crop = image[part.y : part.y + part.h, part.x : part.x + part.w]
    if area(part) == 0 or is_constant(crop):
        return None
    views = prepare(crop, invert=invert, window=window, padding=settings.padding)
    shift = settings.padding
    candidate = Candidate(
        box.x - part.x + shift + box.w / 2, box.y - part.y + shift + box.h / 2, box.w, box.h, 0.0, 0.0
    )
    line = replace(read_box(views, candidate, settings), box=box)
    if letters(line.text) < UNDER_READ_DENSITY * line.aspect:  # nothing there any more, or a script that is not known
        detected = _score_at(views, candidate.box(), max(rows, columns), settings)
        line = replace(line, score=max(line.score, detected))
    if not line.text and not is_text(line, settings):
        return None
    return _region(line, frame, "pixels")


def read_stroke_map(stroke: np.ndarray, settings: ReaderSettings) -> tuple[Region, ...]:
    """Read a padded stroke map of slices that the gate knows for itself, once, with the first reader.

    Boxes are in pixels of the image without padding.
    """
    padding = settings.padding
    rows, columns = (n - 2 * padding for n in stroke.shape)
    views = Views(stroke, stroke, padding)
    tallest = tall_from(min(rows, columns))
    found = [
        candidate
        for candidate in detect(stroke, scales(max(rows, columns))[0], settings)
        if candidate.thickness <= tallest
    ]
    read = [read_box(views, candidate, settings) for candidate in found]
    lines = [line for line in read if is_text(line, settings)]
    pieces = _without(read, lines)
    if eligible(rows, columns):
        lines = _without(lines, doubtful(lines, stroke, ()))
    longer = [lengthened(line, stroke) for line in lines]
    placed = _placed(_unique([*longer, *continuing(pieces, lines, stroke, settings)]), views, rows, columns, settings)
    return tuple(sorted((_region(line, 0, "pixels") for line in placed), key=_place))


def _score_at(views: Views, place: Box, side: int, settings: ReaderSettings) -> float:
    """Return the detector's score of text that covers most of a place of the renderings, or lies in it; 0 without any."""
    found = detect(views.stroke, scales(side)[0], settings)
    least = [min(area(place), area(c.box())) * COVERED for c in found]
    return max(
        (c.score for c, share in zip(found, least, strict=True) if overlap(place, c.box()) >= share), default=0.0
    )


def _darkest(image: np.ndarray, invert: bool) -> float | int:
    return image.max() if invert else image.min()


def _scan(
    image: np.ndarray,
    invert: bool,
    window: tuple[float, float] | None,
    settings: ReaderSettings,
    readers: tuple[str, ...],
    known: Sequence[Line],
    *,
    doubt: bool,
    whole: tuple[int, int],
) -> tuple[list[Line], list[Line]]:
    """Return what is read in an image beside what is known, and what is left out as the gate knows better, if asked to `doubt`."""
    rows, columns = image.shape[:2]
    views = prepare(image, invert=invert, window=window, padding=settings.padding)
    stroke_scale, window_scale = scales(max(whole))
    tallest = tall_from(min(whole))
    candidates = _merged(
        [
            *detect(views.stroke, stroke_scale, settings, min(whole)),
            *detect(views.window, window_scale, settings, min(whole)),
        ],
        settings,
    )
    lines, no_text = [], []
    for candidate in candidates:
        line = read_box(views, candidate, settings)
        if candidate.thickness > tallest:
            if is_surely_text(line):
                lines.append(line)
            continue
        if not is_text(line, settings):
            no_text.append(line)
            continue
        lines.append(line)
    columns_of_letters = stacked(no_text, settings)
    shift = views.padding
    before = [replace(n, box=Box(n.box.x + shift, n.box.y + shift, n.box.w, n.box.h)) for n in known]
    left_out = _left_out(lines, columns_of_letters, views, before) if doubt else []
    lines = [
        second_reading(views, line, settings)
        if "tesseract" in readers and line.confidence < settings.second_reader_below
        else line
        for line in _without(lines, left_out)
    ]
    lines += _without(columns_of_letters, left_out)
    pieces = continuing(no_text, [*before, *lines], views.stroke, settings)
    longer, doubted = ([lengthened(line, views.stroke) for line in some] for some in (lines, left_out))
    found, doubted = _unique([*longer, *pieces]), _unique(doubted)
    return _placed(found, views, rows, columns, settings), _placed(doubted, views, rows, columns, settings)


def _left_out(lines: list[Line], columns: list[Line], views: Views, known: Sequence[Line]) -> list[Line]:
    """Return the lines and columns of letters that the gate doubts; of columns, which it was not trained on, fewer."""
    before = [line.box for line in known]
    doubted = doubtful(lines, views.stroke, before)
    beside = [*before, *(line.box for line in _without(lines, doubted))]
    return doubted + doubtful(columns, views.stroke, beside, below=THRESHOLD)


def _without(lines: Sequence[Line], others: Sequence[Line]) -> list[Line]:
    return [line for line in lines if not any(line is other for other in others)]


def _scan_with_tesseract(
    image: np.ndarray,
    invert: bool,
    window: tuple[float, float] | None,
    settings: ReaderSettings,
    readers: tuple[str, ...],
    _: Sequence[Line],
    *,
    doubt: bool,
) -> tuple[list[Line], list[Line]]:
    if "tesseract" not in readers:
        raise RuntimeError("no reader of text is installed")
    rows, columns = image.shape[:2]
    shown = image.max() - image if invert else image
    views = Views(np.empty(0), np.empty(0), settings.padding)
    return _placed(tesseract_lines(shown, settings), views, rows, columns, settings), []


def _placed(lines: list[Line], views: Views, rows: int, columns: int, settings: ReaderSettings) -> list[Line]:
    """Move boxes from the padded rendering to the image and widen them; drop what lies in the border alone."""
    placed = []
    for line in lines:
        box = Box(line.box.x - views.padding, line.box.y - views.padding, line.box.w, line.box.h)
        if area(clipped(box, rows, columns)):
            more = settings.expansion
            wide = Box(box.x - more, box.y - more, box.w + 2 * more, box.h + 2 * more)
            placed.append(replace(line, box=clipped(wide, rows, columns)))
    return placed


def in_margins(box: Box, rows: int, columns: int, settings: ReaderSettings) -> bool:
    """Tell whether a box reaches into the margins of an image in which text is wanted; without any that is all of it."""
    top, bottom, left, right = (
        settings.margin_top, settings.margin_bottom, settings.margin_left, settings.margin_right
    )  # fmt: skip
    if not (top or bottom or left or right):
        return True
    inner = box.y >= top * rows and box.y + box.h <= (1 - bottom) * rows
    return not (inner and box.x >= left * columns and box.x + box.w <= (1 - right) * columns)


def _merged(candidates: list[Candidate], settings: ReaderSettings) -> list[Candidate]:
    """Keep one of two boxes that both passes found at the same place: the one around more of it."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (-c.width * c.height, -c.score, c.y, c.x)):
        box = candidate.box()
        same = next((i for i, other in enumerate(kept) if iou(box, other.box()) >= settings.merge_iou), None)
        if same is None:
            kept.append(candidate)
        elif candidate.score > kept[same].score:
            kept[same] = replace(kept[same], score=candidate.score)
    return sorted(kept, key=lambda c: (c.y, c.x, c.width, c.height))


def _unique(lines: list[Line]) -> list[Line]:
    """Drop lines that lie inside another line with the same letters or more."""
    kept: list[Line] = []
    for line in sorted(lines, key=lambda n: (-area(n.box), n.box.y, n.box.x)):
        text = _squeezed(line.text)
        inside = any(
            overlap(line.box, other.box) >= NESTED * area(line.box) and text in _squeezed(other.text) for other in kept
        )
        if not inside:
            kept.append(line)
    return kept


def _squeezed(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _region(line: Line, frame: int, plane: str) -> Region:
    return Region(
        frame=frame,
        box=line.box,
        text=line.text,
        confidence=round(line.confidence, 2),
        score=round(min(line.score, 1.0), 2),
        reader=line.reader,
        plane=plane,
        second_text=line.second_text,
    )


def _place(region: Region) -> tuple:
    box = region.box
    return region.frame, region.plane, box.y, box.x, box.h, box.w, region.text
