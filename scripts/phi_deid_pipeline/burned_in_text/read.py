"""Read the text in boxes: the CTC recogniser first, Tesseract where it is unsure; tell text from what is none."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cache, reduce

import cv2
import numpy as np

from phi_deid_pipeline.boxes import joined
from phi_deid_pipeline.burned_in_text.detect import Candidate
from phi_deid_pipeline.burned_in_text.models import network_input, recogniser_model
from phi_deid_pipeline.burned_in_text.prepare import MIDDLE, Views, local_contrast
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

LINE_HEIGHT = 48  # pixels; the recogniser's input
WIDTHS = (48, 3200)  # pixels; bounds of its input's width
CROP_MARGIN = 0.06  # of the text's height, added around a crop
TALL = 1.3  # height over width from which a box is also read turned
UNREAD_SCORE, UNREAD_ASPECT = 0.8, 1.5
UNDER_READ_SCORE, UNDER_READ_ASPECT, UNDER_READ_DENSITY = 0.6, 3.0, 0.6
MIN_CHARACTERS = 2
SURE_CONFIDENCE, SURE_SCORE, SURE_CHARACTERS = 0.9, 0.6, 3  # of boxes that are tall for their image
MIN_BOX_SIDE = 6  # pixels; a detector box around text of 5 pixels is higher
SPARSE = 1.0  # letters per height of length under which a line is also read upside down
MORE_LETTERS = 1.5  # times as many letters
TURNED_GAIN = 0.1  # confidence by which text upside down must be surer than upright
STACK, STACK_GAP, STACK_SHIFT, STACK_SIZES = 3, 0.8, 0.6, 2.0  # letters below one another; times their height; ratio
PIECE_GAP, PIECE_SHIFT = 1.0, 0.5  # times the thickness of a line: to a piece that goes on with it, off its axis
PIECE_SIZES = 2.0  # ratio of their thicknesses
PIECE_OVERLAP = 0.75  # of the length of the piece: the line may reach so far into it
STRONG_STROKE = 40  # of 127: strokes that are ink
END_REACH, END_GAP = 1.0, 0.4  # times the thickness of a line: how far an end may move, over which gaps
APART = 0.3  # times the thickness: gaps in a line whose letters stand below one another
STACK_ENDS = 8.0, 1.0  # the reach and gap of such a line
END_MARGIN = 0.4  # times the thickness: added to both ends in any case, for strokes too weak to tell
END_INK = 0.15  # of the thickness: strokes across it that go on with a line
RECOGNISER, TESSERACT = "ppocr", "tesseract"


class ReaderError(Exception):
    """A reader refused an image, so that nobody has looked at it; the text never holds what is in it."""


@dataclass(frozen=True, slots=True)
class Line:
    """Text read in one upright box of the padded image."""

    box: Box
    text: str
    confidence: float
    score: float
    aspect: float  # length over height of the text
    reader: str = RECOGNISER
    second_text: str = ""


@cache
def have_tesseract() -> bool:
    """Tell whether Tesseract and its Python interface are there."""
    import importlib.util

    return shutil.which("tesseract") is not None and importlib.util.find_spec("pytesseract") is not None


@cache
def _alphabet() -> list[str]:
    return ["", *recogniser_model().metadata["character"].split("\n"), " "]


def recognise(crop: np.ndarray) -> tuple[str, float]:
    """Return the text of an 8-bit crop of one line and the mean probability of its characters (0 where nothing is read)."""
    rows, columns = crop.shape[:2]
    width = int(np.clip(np.ceil(columns * LINE_HEIGHT / rows / 8) * 8, *WIDTHS))
    resized = cv2.resize(crop, (width, LINE_HEIGHT), interpolation=cv2.INTER_LINEAR)
    probabilities = recogniser_model()(network_input(resized))[0]
    best = probabilities.argmax(axis=1)
    previous = np.concatenate([[0], best[:-1]])
    steps = np.flatnonzero((best != 0) & (best != previous))
    if len(steps) == 0:
        return "", 0.0
    alphabet = _alphabet()
    text = "".join(alphabet[best[step]] for step in steps)
    return text.strip(), float(probabilities[steps, best[steps]].mean())


def cut(view: np.ndarray, candidate: Candidate) -> np.ndarray:
    """Return the upright crop of a box, turned so that its longer run of text lies along the rows where it is oblique."""
    box = candidate.box()
    angle = candidate.angle % 90
    if min(angle, 90 - angle) < 3:
        margin = max(1, round(CROP_MARGIN * min(box.w, box.h)))
        top, left = max(box.y - margin, 0), max(box.x - margin, 0)
        return view[top : box.y + box.h + margin, left : box.x + box.w + margin]
    along, across, turn = candidate.width, candidate.height, candidate.angle
    if along < across:
        along, across, turn = across, along, turn - 90
    while turn > 90:
        turn -= 180
    matrix = cv2.getRotationMatrix2D((candidate.x, candidate.y), turn, 1.0)
    width, height = max(round(along), 4), max(round(across), 4)
    matrix[0, 2] += width / 2 - candidate.x
    matrix[1, 2] += height / 2 - candidate.y
    return cv2.warpAffine(view, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _better(one: tuple[str, float], other: tuple[str, float]) -> tuple[str, float]:
    return other if other[1] * min(letters(other[0]), 4) > one[1] * min(letters(one[0]), 4) else one


def _turned(upright: tuple[str, float], turned: tuple[str, float], settings: ReaderSettings) -> tuple[str, float]:
    """Take text upside down only where it is clearly surer, or as sure and of clearly more letters."""
    more = letters(turned[0]) >= MORE_LETTERS * letters(upright[0]) and turned[1] >= settings.second_reader_below
    return turned if more or (turned[1] > upright[1] + TURNED_GAIN and letters(turned[0]) > 1) else upright


def read_box(views: Views, candidate: Candidate, settings: ReaderSettings) -> Line:
    """Read one box: on the stroke map; where that is unsure also on the window rendering, upside down and, if tall, turned."""
    box = candidate.box()
    crop = cut(views.stroke, candidate)
    if crop.shape[0] < 3 or crop.shape[1] < 3:
        return Line(box, "", 0.0, candidate.score, 1.0)
    tall = crop.shape[0] > TALL * crop.shape[1]
    best = ("", 0.0)
    if not tall:
        best = recognise(crop)
        if best[1] < settings.second_reader_below:
            best = _better(best, recognise(cut(views.window, candidate)))
        sparse = letters(best[0]) * crop.shape[0] < SPARSE * crop.shape[1]
        if best[1] < settings.second_reader_below or sparse:
            best = _turned(best, recognise(cv2.rotate(crop, cv2.ROTATE_180)), settings)
    else:
        upright = recognise(crop) if crop.shape[0] < 2.5 * crop.shape[1] else best
        for turn in (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE):
            best = _better(best, recognise(cv2.rotate(crop, turn)))
        if best[1] < settings.second_reader_below:
            for turn in (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE):
                best = _better(best, recognise(cv2.rotate(cut(views.window, candidate), turn)))
        best = _better(best, upright)
    longer, shorter = max(candidate.width, candidate.height), min(candidate.width, candidate.height)
    return Line(box, best[0], best[1], candidate.score, longer / max(shorter, 1.0))


def letters(text: str) -> int:
    """Count letters and digits."""
    return sum(c.isalnum() for c in text)


def under_read(text: str, score: float, aspect: float) -> bool:
    """Tell whether a long box gave too few letters: text of a script that the recogniser does not know."""
    return score >= UNDER_READ_SCORE and aspect >= UNDER_READ_ASPECT and letters(text) < UNDER_READ_DENSITY * aspect


def is_text(line: Line, settings: ReaderSettings) -> bool:
    """Apply the filter: two letters or digits read with confidence, or a box that looks like text and is not read."""
    if min(line.box.w, line.box.h) < MIN_BOX_SIDE:
        return False
    sure = line.confidence >= settings.min_confidence and line.confidence + line.score >= settings.min_certainty
    if letters(line.text) >= MIN_CHARACTERS and sure:
        return True
    if not line.text and line.score >= UNREAD_SCORE and line.aspect >= UNREAD_ASPECT:
        return True
    return under_read(line.text, line.score, line.aspect)


def is_surely_text(line: Line) -> bool:
    """Apply the filter of boxes that are tall for their image: three letters or digits, read with confidence."""
    sure = line.confidence >= SURE_CONFIDENCE and line.score >= SURE_SCORE
    return sure and letters(line.text) >= SURE_CHARACTERS


def lengthened(line: Line, stroke: np.ndarray) -> Line:
    """Move the ends of a line's box outwards, as far as its strokes go on: detectors cut off first and last letters.

    `stroke` is the padded stroke map. A box that is about square stays.
    """
    box = line.box
    upright = box.h >= TALL * box.w
    if not upright and box.w < TALL * box.h:
        return line
    return _lengthened(line, stroke, upright=upright)


def _lengthened(line: Line, stroke: np.ndarray, *, upright: bool) -> Line:
    box = line.box
    values = (stroke.T if upright else stroke).astype(np.int16) - MIDDLE
    top, left, thick, length = (box.x, box.y, box.w, box.h) if upright else (box.y, box.x, box.h, box.w)
    band = values[max(top, 0) : top + thick]
    inside = band[:, max(left, 0) : left + length]
    sign = 1 if (inside > STRONG_STROKE).sum() >= (inside < -STRONG_STROKE).sum() else -1
    across = (band * sign > STRONG_STROKE).sum(axis=0) >= max(2, END_INK * thick)
    apart = upright and _widest_gap(across[max(left, 0) : left + length]) >= APART * thick
    reach, gap = (round(n * thick) for n in (STACK_ENDS if apart else (END_REACH, END_GAP)))
    margin = round(END_MARGIN * thick)
    before = max(_goes_on(across[max(left - reach, 0) : max(left, 0)][::-1], gap), margin)
    after = max(_goes_on(across[left + length : left + length + reach], gap), margin)
    start, size = left - before, length + before + after
    return replace(line, box=Box(box.x, start, box.w, size) if upright else Box(start, box.y, size, box.h))


def _widest_gap(ink: np.ndarray) -> int:
    return int(np.diff(np.flatnonzero(ink)).max(initial=1)) - 1


def _goes_on(ink: np.ndarray, gap: int) -> int:
    """Return how far ink goes on from an end, without a gap as wide as the one between two texts."""
    at = np.flatnonzero(ink)
    wide = np.flatnonzero(np.diff(at, prepend=-1) > max(gap, 2))
    reached = at[: wide[0]] if len(wide) else at
    return int(reached[-1]) + 2 if len(reached) else 0  # a pixel more, for soft edges


def stacked(lines: list[Line], settings: ReaderSettings) -> list[Line]:
    """Return columns of single letters or digits that stand below one another, each as one line read downwards."""
    single = [n for n in lines if letters(n.text) == 1 and n.confidence >= settings.min_confidence]
    columns: list[list[Line]] = []
    for line in sorted(single, key=lambda n: (n.box.y, n.box.x, n.box.h, n.box.w)):
        above = next((column for column in columns if _follows(column[-1].box, line.box)), None)
        if above is None:
            columns.append([line])
        else:
            above.append(line)
    return [_column(column) for column in columns if len(column) >= STACK]


def _follows(above: Box, box: Box) -> bool:
    height, gap = max(above.h, box.h), box.y - above.y - above.h
    shift = abs(2 * box.x + box.w - 2 * above.x - above.w)
    alike = height <= STACK_SIZES * min(above.h, box.h)
    return alike and -height <= 2 * gap <= 2 * STACK_GAP * height and shift <= 2 * STACK_SHIFT * height


def _column(column: list[Line]) -> Line:
    box = reduce(joined, (line.box for line in column))
    count = len(column)
    sure, score = (sum(values) / count for values in zip(*((n.confidence, n.score) for n in column), strict=True))
    return Line(box, "".join(line.text for line in column), sure, score, box.h / max(box.w, 1))


def continuing(pieces: list[Line], lines: list[Line], stroke: np.ndarray, settings: ReaderSettings) -> list[Line]:
    """Return the pieces, each too little to be told as text, in which a line goes on: next to its end, about as thick.

    Their boxes are as long as their strokes go on along the line; `stroke` is the padded stroke map.
    """
    likely = [n for n in pieces if letters(n.text) and n.confidence >= settings.min_confidence]
    found: dict[int, Line] = {}
    for box in (line.box for line in lines if max(line.box.w, line.box.h) >= TALL * min(line.box.w, line.box.h)):
        while fresh := [i for i, n in enumerate(likely) if i not in found and _goes_on_in(box, n.box)]:
            found |= {i: _lengthened(likely[i], stroke, upright=box.h > box.w) for i in fresh}
            box = reduce(_reaching, (likely[i].box for i in fresh), box)
    return [found[i] for i in sorted(found)]


def _goes_on_in(line: Box, piece: Box) -> bool:
    """Tell whether a piece stands on the axis of a line, before its begin or behind its end."""
    if line.h > line.w:
        line, piece = (Box(box.y, box.x, box.h, box.w) for box in (line, piece))
    gap = max(line.x, piece.x) - min(line.x + line.w, piece.x + piece.w)
    shift = abs(2 * line.y + line.h - 2 * piece.y - piece.h)
    alike = max(line.h, piece.h) <= PIECE_SIZES * min(line.h, piece.h)
    stands_out = -gap <= PIECE_OVERLAP * piece.w
    return alike and stands_out and gap <= PIECE_GAP * line.h and shift <= 2 * PIECE_SHIFT * line.h


def _reaching(line: Box, piece: Box) -> Box:
    """Return the box of a line as long as with a piece of it, no thicker than before."""
    both = joined(line, piece)
    return Box(line.x, both.y, line.w, both.h) if line.h > line.w else Box(both.x, line.y, both.w, line.h)


def second_reading(views: Views, line: Line, settings: ReaderSettings) -> Line:
    """Add what Tesseract reads in the window rendering of the same box (dark on light, four times as large)."""
    import pytesseract

    margin = max(2, line.box.h // 4)
    top, left = max(line.box.y - margin, 0), max(line.box.x - margin, 0)
    crop = views.window[top : line.box.y + line.box.h + margin, left : line.box.x + line.box.w + margin]
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.ndim == 3 else crop
    if line.box.h > TALL * line.box.w:
        grey = cv2.rotate(grey, cv2.ROTATE_90_CLOCKWISE)
    factor = max(1.0, min(4.0, 40.0 / max(grey.shape[0], 1)))
    grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    if np.median(grey) < 128:
        grey = 255 - grey
    config = f"--psm {settings.page_segmentation}"
    if settings.whitelist:
        config += f" -c tessedit_char_whitelist={settings.whitelist}"
    try:
        text = pytesseract.image_to_string(np.ascontiguousarray(grey), lang=settings.languages, config=config)
    except pytesseract.TesseractError:
        return line  # a crop that Tesseract refuses: the first reader's text stands alone
    return replace(line, second_text=" ".join(text.split()))


def tesseract_lines(image: np.ndarray, settings: ReaderSettings) -> list[Line]:
    """Read a whole image with Tesseract alone: local contrast, twice as large, dark on light, sparse text; all words."""
    import pytesseract

    padding = settings.padding
    grey = image.mean(axis=2) if image.ndim == 3 else np.nan_to_num(image.astype(np.float32))
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    padded = cv2.copyMakeBorder(
        grey.astype(np.float32), padding, padding, padding, padding, cv2.BORDER_CONSTANT, value=float(np.median(edge))
    )
    view = 255 - local_contrast(padded)
    doubled = cv2.resize(view, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    try:
        data = pytesseract.image_to_data(
            doubled, lang=settings.languages, config="--psm 11", output_type=pytesseract.Output.DICT
        )
    except pytesseract.TesseractError:
        raise ReaderError("TesseractError in reader") from None
    lines = []
    for text, confidence, x, y, w, h in zip(
        data["text"], data["conf"], data["left"], data["top"], data["width"], data["height"], strict=True
    ):
        if text.strip() and letters(text):
            box = Box(x // 2, y // 2, -(-w // 2) + 1, -(-h // 2) + 1)
            sure = max(float(confidence), 0.0) / 100
            lines.append(Line(box, text.strip(), sure, sure, box.w / max(box.h, 1), TESSERACT))
    return lines
