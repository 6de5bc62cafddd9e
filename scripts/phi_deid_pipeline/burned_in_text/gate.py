"""The gate, a small network on the stroke map: the cascade's first stage, and a second opinion on what was hardly read.

In the cascade detector and reader look at the parts it suspects, and decide whether the whole image goes through the full
chain; nothing is filled from what they see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from phi_deid_pipeline.boxes import area, clipped
from phi_deid_pipeline.burned_in_text.detect import STEP, Candidate, detect, scales, tall_from
from phi_deid_pipeline.burned_in_text.models import gate_model, have_gate
from phi_deid_pipeline.burned_in_text.prepare import MIDDLE, WHITE, Views, padded_values, stroke_map, windowed
from phi_deid_pipeline.burned_in_text.read import Line, is_surely_text, is_text, letters, read_box
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

THRESHOLD = -2.25  # logit of a tile from which it is suspicious
STRONG = 0.0  # logit of a tile from which its crop is a wide one: tight crops hide large text from the detector
SURE = 3.0  # logit of a tile from which no detector is asked
LONE = -1.25  # logit under which a suspicious tile with no other near it is noise: letters reach over two or more
SMALLER = 3  # times, for capitals of 40 pixels and more: the gate was trained on those of up to 42
TILE = 8  # pixels; side of what one logit stands for
GROWTH, STRONG_GROWTH = 40, 64  # pixels added around suspicious tiles
WIDE = 0.5  # scale for which the parts are cut that others than the detector look at: multiples of 64 pixels
MIN_SIDE = 200  # pixels; the gate was trained and measured on larger images only
SHORT = 4  # letters and digits up to which a text may be anatomy
CERTAIN, CERTAIN_TOGETHER = 0.95, 1.6  # confidence, and its sum with the detector's score, from which it is none
BESIDE = 2.0  # times the height of a text: what stands nearer belongs to it
LOOKS_LIKE_TEXT = (0.6, 1.3)  # score of the detector and length over height from which a box passes unread


def eligible(rows: int, columns: int) -> bool:
    """Tell whether the gate may judge an image of that size."""
    return min(rows, columns) >= MIN_SIDE


def gate_map(image: np.ndarray, *, invert: bool, settings: ReaderSettings) -> np.ndarray:
    """Return the padded stroke map of an image as the gate sees it."""
    stroke = stroke_map(padded_values(image, settings.padding))
    return WHITE - stroke if invert else stroke


def logits(stroke: np.ndarray) -> np.ndarray:
    """Return the gate's logit for each tile of TILE x TILE pixels of a padded stroke map."""
    values = cv2.subtract(stroke, float(MIDDLE), dtype=cv2.CV_32F) * np.float32(1 / (MIDDLE - 1))
    return gate_model()(values[None, None])[0, 0]


def suspicious(stroke: np.ndarray, threshold: float = THRESHOLD) -> list[Box]:
    """Return the parts of a padded stroke map that hold tiles over the threshold, grown, by place."""
    return [_crop(part, stroke.shape, WIDE) for part in _parts(logits(stroke), stroke.shape, threshold)]


def _parts(scores: np.ndarray, shape: tuple[int, ...], threshold: float) -> list[Box]:
    tiles = (scores > threshold).astype(np.uint8)
    if not tiles.any():
        return []
    near = _dilated(tiles, GROWTH) | _dilated((scores > STRONG).astype(np.uint8), STRONG_GROWTH)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(near)
    several = np.bincount(labels[tiles > 0], minlength=count) > 1
    several[labels[scores > max(LONE, threshold)]] = True
    tiled = (
        Box(x * TILE, y * TILE, w * TILE, h * TILE)
        for (x, y, w, h), kept in zip(boxes[1:, :4].tolist(), several[1:].tolist(), strict=True)
        if kept
    )
    return sorted((clipped(part, *shape) for part in tiled), key=lambda b: (b.y, b.x, b.h, b.w))


def _crop(part: Box, shape: tuple[int, ...], scale: float) -> Box:
    """Return a part widened to sides that the detector takes at a scale without bending them."""
    rows, columns = shape
    left, width = _stretched(part.x, part.w, columns, scale)
    top, height = _stretched(part.y, part.h, rows, scale)
    return Box(left, top, width, height)


def _cut(part: Box, stroke: np.ndarray, shown: np.ndarray, scale: float) -> tuple[Box, Views]:
    """Return the crop of a part for the detector at a scale, and both renderings there."""
    crop = _crop(part, stroke.shape, scale)
    here = np.s_[crop.y : crop.y + crop.h, crop.x : crop.x + crop.w]
    return crop, Views(np.ascontiguousarray(stroke[here]), np.ascontiguousarray(shown[here]), 0)


def _dilated(tiles: np.ndarray, growth: int) -> np.ndarray:
    reach = 2 * (growth // TILE) + 1
    return cv2.dilate(tiles, np.ones((reach, reach), np.uint8))


def suspicious_parts(image: np.ndarray, *, invert: bool, settings: ReaderSettings) -> list[Box]:
    """Return the suspicious parts of an image in its own pixels, by place."""
    rows, columns = image.shape[:2]
    shift = settings.padding
    parts = suspicious(gate_map(image, invert=invert, settings=settings))
    inside = [clipped(Box(part.x - shift, part.y - shift, part.w, part.h), rows, columns) for part in parts]
    return [part for part in inside if area(part)]


def _stretched(start: int, length: int, limit: int, scale: float) -> tuple[int, int]:
    """Return start and length of a range whose length, scaled, is a multiple of STEP, within the limit where it fits."""
    steps = -(-length * scale // STEP)
    whole = min(max(round(steps * STEP / scale), length), limit)
    return min(max(start - (whole - length) // 2, 0), limit - whole), whole


def passing(
    image: np.ndarray,
    stroke: np.ndarray,
    *,
    invert: bool,
    window: tuple[float, float] | None,
    settings: ReaderSettings,
    threshold: float = THRESHOLD,
) -> Iterator[Box]:
    """Yield boxes of the image's padded rendering that look like text to gate, detector or reader; `stroke` is its map."""
    found = logits(stroke)
    yield from (Box(x * TILE, y * TILE, TILE, TILE) for y, x in np.argwhere(found > max(SURE, threshold)).tolist())
    parts = _parts(found, stroke.shape, threshold)
    if parts:
        yield from _in_parts(parts, image, stroke, invert=invert, window=window, settings=settings)
    yield from _large(image, invert=invert, window=window, settings=settings)


def _in_parts(
    parts: Sequence[Box],
    image: np.ndarray,
    stroke: np.ndarray,
    *,
    invert: bool,
    window: tuple[float, float] | None,
    settings: ReaderSettings,
) -> Iterator[Box]:
    """Yield what looks like text in parts of the padded rendering."""
    shown = windowed(padded_values(image, settings.padding), image, invert=invert, window=window)
    rows, columns = image.shape[:2]
    by_stroke, by_window = scales(max(rows, columns))
    tallest = tall_from(min(rows, columns))  # what is taller is looked for in the smaller picture
    for part in parts:
        for on_strokes, scale in ((True, by_stroke), (False, by_window)):
            crop, views = _cut(part, stroke, shown, scale)
            for candidate in detect(views.stroke if on_strokes else views.window, scale, settings, min(rows, columns)):
                if candidate.thickness <= tallest and _passes(views, candidate, settings):
                    box = candidate.box()
                    yield Box(box.x + crop.x, box.y + crop.y, box.w, box.h)


def _large(
    image: np.ndarray, *, invert: bool, window: tuple[float, float] | None, settings: ReaderSettings
) -> Iterator[Box]:
    """Yield what is surely text in the picture made smaller: letters larger than those the gate was trained on."""
    rows, columns = image.shape[:2]
    size = (max(round(columns / SMALLER), 1), max(round(rows / SMALLER), 1))
    resizable = image if image.dtype in (np.uint8, np.uint16, np.int16) else image.astype(np.float32)
    small = cv2.resize(resizable, size, interpolation=cv2.INTER_AREA)
    stroke = gate_map(small, invert=invert, settings=settings)
    parts = _parts(logits(stroke), stroke.shape, SURE)
    if not parts:
        return
    shown = windowed(padded_values(small, settings.padding), small, invert=invert, window=window)
    scale, shift = scales(max(size))[0], settings.padding
    for part in parts:
        crop, views = _cut(part, stroke, shown, scale)
        for candidate in detect(views.stroke, scale, settings, min(size)):
            if is_surely_text(read_box(views, candidate, settings)):
                box = candidate.box()
                x, y = (round((n - shift) * SMALLER) + shift for n in (box.x + crop.x, box.y + crop.y))
                yield Box(x, y, round(box.w * SMALLER), round(box.h * SMALLER))


def _passes(views: Views, candidate: Candidate, settings: ReaderSettings) -> bool:
    longer, shorter = max(candidate.width, candidate.height), candidate.thickness
    score, aspect = LOOKS_LIKE_TEXT
    if candidate.score >= score and longer >= aspect * shorter:
        return True
    return is_text(read_box(views, candidate, settings), settings)


def may_hold_text(
    image: np.ndarray, stroke: np.ndarray, *, invert: bool, window: tuple[float, float] | None, settings: ReaderSettings
) -> bool:
    """Tell whether an image has to go through the full chain; `stroke` is its gate map."""
    boxes = passing(image, stroke, invert=invert, window=window, settings=settings)
    return next(boxes, None) is not None


def doubtful(lines: Sequence[Line], stroke: np.ndarray, known: Sequence[Box], *, below: float = SURE) -> list[Line]:
    """Return the lines that are rather anatomy: short, hardly read, no text beside them and nothing for the gate.

    `stroke` is the padded stroke map, `known` is what was found before, as boxes on it; `below` is the logit that no
    tile of such a line reaches. Without the gate: none.
    """
    weak = [line for line in lines if _hardly_read(line)]
    others = [*known, *(line.box for line in lines if not _hardly_read(line))]
    alone = [line for line in weak if not any(_beside(line.box, other) for other in others)]
    if not alone or not have_gate():
        return []
    scores = logits(stroke)
    return [line for line in alone if _highest(scores, line.box) < below]


def _hardly_read(line: Line) -> bool:
    together = line.confidence + line.score
    return letters(line.text) <= SHORT and line.confidence < CERTAIN and together < CERTAIN_TOGETHER


def _beside(one: Box, other: Box) -> bool:
    reach = BESIDE * max(min(one.w, one.h), min(other.w, other.h))
    across = max(one.x, other.x) - min(one.x + one.w, other.x + other.w)
    down = max(one.y, other.y) - min(one.y + one.h, other.y + other.h)
    return across <= reach and down <= reach


def _highest(scores: np.ndarray, box: Box) -> float:
    down, across = ((max(n, 0) // TILE, (n + m) // TILE + 1) for n, m in ((box.y, box.h), (box.x, box.w)))
    return float(scores[slice(*down), slice(*across)].max(initial=-np.inf))
