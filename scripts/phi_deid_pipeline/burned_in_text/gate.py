"""The cascade's first two stages: a small network on the stroke map, then detector and reader on the parts it suspects.

They decide whether the whole image goes through the full chain; nothing is filled from what they see.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from phi_deid_pipeline.boxes import area, clipped
from phi_deid_pipeline.burned_in_text.detect import Candidate, detect, scales
from phi_deid_pipeline.burned_in_text.models import gate_model
from phi_deid_pipeline.burned_in_text.prepare import MIDDLE, WHITE, Views, padded_values, stroke_map, windowed
from phi_deid_pipeline.burned_in_text.read import is_text, read_box
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

THRESHOLD = -2.25  # logit of a tile from which it is suspicious
STRONG = 0.0  # logit of a tile from which its crop is a wide one: tight crops hide large text from the detector
SURE = 3.0  # logit of a tile from which no detector is asked
TILE = 8  # pixels; side of what one logit stands for
GROWTH, STRONG_GROWTH = 40, 64  # pixels added around suspicious tiles
CROP_STEP = 64  # pixels; sides of crops, so that scaling for the detector keeps their shape
MIN_SIDE = 200  # pixels; the gate was trained and measured on larger images only
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
    return _parts(logits(stroke), stroke.shape, threshold)


def _parts(scores: np.ndarray, shape: tuple[int, ...], threshold: float) -> list[Box]:
    tiles = (scores > threshold).astype(np.uint8)
    if not tiles.any():
        return []
    near = _dilated(tiles, GROWTH) | _dilated((scores > STRONG).astype(np.uint8), STRONG_GROWTH)
    count, _, boxes, _ = cv2.connectedComponentsWithStats(near)
    rows, columns = shape
    parts = []
    for x, y, w, h in boxes[1:count, :4].tolist():
        left, width = _stretched(x * TILE, w * TILE, columns)
        top, height = _stretched(y * TILE, h * TILE, rows)
        parts.append(Box(left, top, width, height))
    return sorted(parts, key=lambda b: (b.y, b.x, b.h, b.w))


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


def _stretched(start: int, length: int, limit: int) -> tuple[int, int]:
    """Return start and length of a range lengthened to a multiple of CROP_STEP, within the limit where it fits."""
    length = min(length, limit - start)
    whole = min(-(-length // CROP_STEP) * CROP_STEP, limit)
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
    if not parts:
        return
    shown = windowed(padded_values(image, settings.padding), image, invert=invert, window=window)
    rows, columns = image.shape[:2]
    by_stroke, by_window = scales(max(rows, columns))
    for part in parts:
        here = np.s_[part.y : part.y + part.h, part.x : part.x + part.w]
        views = Views(np.ascontiguousarray(stroke[here]), np.ascontiguousarray(shown[here]), 0)
        for view, scale in ((views.stroke, by_stroke), (views.window, by_window)):
            for candidate in detect(view, scale, settings, min(rows, columns)):
                if _passes(views, candidate, settings):
                    box = candidate.box()
                    yield Box(box.x + part.x, box.y + part.y, box.w, box.h)


def _passes(views: Views, candidate: Candidate, settings: ReaderSettings) -> bool:
    longer, shorter = max(candidate.width, candidate.height), min(candidate.width, candidate.height)
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
