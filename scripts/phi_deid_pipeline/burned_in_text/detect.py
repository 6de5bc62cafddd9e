"""Find boxes of text in a rendering with the DBNet detector: whole, or in overlapping tiles where the image is large."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from phi_deid_pipeline.burned_in_text.models import detector_model, network_input
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

TILED_ABOVE, TILE, TILE_OVERLAP = 1344, 960, 128  # pixels after scaling
STEP = 32  # pixels; side lengths of the network's input are multiples of it
MAX_BOXES = 1000
LEAST_TALLEST = 48  # pixels; lower bound of the greatest height of a box
TALL, TALL_BOUNDS = (
    0.14,
    (48, 120),
)  # share of the shorter side, and pixels, over which a box has to be read with confidence
# (longer side up to, scale of the stroke map, scale of the window rendering)
SCALES = ((320, 2.0, 1.5), (640, 1.5, 1.0), (1100, 1.0, 1.0), (1 << 31, 1.0, 0.5))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A box of text on the padded rendering: centre, length along the text's longer side, thickness, angle in degrees."""

    x: float
    y: float
    width: float
    height: float
    angle: float
    score: float

    @property
    def thickness(self) -> float:
        """Return the length of the shorter side: about 1.6 times the height of its capitals."""
        return min(self.width, self.height)

    def corners(self) -> np.ndarray:
        """Return the four corners as float32."""
        return cv2.boxPoints(((self.x, self.y), (self.width, self.height), self.angle))

    def box(self) -> Box:
        """Return the upright box around it."""
        points = self.corners()
        left, top = np.floor(points.min(axis=0)).astype(int)
        right, bottom = np.ceil(points.max(axis=0)).astype(int)
        return Box(int(left), int(top), int(right - left), int(bottom - top))


def scales(longer_side: int) -> tuple[float, float]:
    """Return the scales of stroke map and window rendering for an image whose longer side is given (without padding)."""
    return next((stroke, window) for limit, stroke, window in SCALES if longer_side <= limit)


def tall_from(shorter_side: int) -> float:
    """Return the height in pixels over which a box is tall for its image: anatomy may look like that too."""
    return min(max(TALL * shorter_side, TALL_BOUNDS[0]), TALL_BOUNDS[1])


def detect(
    view: np.ndarray, scale: float, settings: ReaderSettings, shorter_side: int | None = None
) -> list[Candidate]:
    """Return the boxes of text in a padded 8-bit rendering, in its own pixels; order is by place.

    `shorter_side` is the image's, where the rendering is a part of it.
    """
    rows, columns = view.shape[:2]
    height, width = (max(STEP, round(n * scale / STEP) * STEP) for n in (rows, columns))
    resized = cv2.resize(view, (width, height), interpolation=cv2.INTER_LINEAR if scale >= 1 else cv2.INTER_AREA)
    probability = _tiled(resized) if max(height, width) > TILED_ABOVE else _network(resized)
    shorter = min(rows, columns) - 2 * settings.padding if shorter_side is None else shorter_side
    tallest = max(settings.max_text_height * shorter, LEAST_TALLEST)
    found = [
        candidate
        for candidate in _candidates(probability, columns / width, rows / height, settings)
        if settings.min_text_height <= candidate.thickness <= tallest
    ]
    return sorted(found, key=lambda c: (c.y, c.x, c.width, c.height))


def _network(image: np.ndarray) -> np.ndarray:
    return detector_model()(network_input(image))[0, 0]


def _starts(length: int) -> list[int]:
    if length <= TILE:
        return [0]
    count = -(-(length - TILE_OVERLAP) // (TILE - TILE_OVERLAP))
    return [round(i * (length - TILE) / (count - 1) / STEP) * STEP for i in range(count)]


def _tiled(image: np.ndarray) -> np.ndarray:
    """Return the maximum of the tiles' maps, so that the pieces of one line join before boxes are drawn."""
    whole = np.zeros(image.shape[:2], np.float32)
    for top in _starts(image.shape[0]):
        for left in _starts(image.shape[1]):
            part = whole[top : top + TILE, left : left + TILE]
            tile = image[top : top + TILE, left : left + TILE]
            np.maximum(part, _network(tile), out=part)
    return whole


def _candidates(probability: np.ndarray, across: float, down: float, settings: ReaderSettings) -> list[Candidate]:
    bitmap = (probability > settings.bitmap_threshold).astype(np.uint8)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours[:MAX_BOXES]:
        rectangle = cv2.minAreaRect(contour)
        width, height = rectangle[1]
        if min(width, height) < settings.min_text_height:
            continue
        score = _score(probability, cv2.boxPoints(rectangle))
        if score < settings.box_score:
            continue
        growth = 2 * width * height * settings.unclip / (2 * (width + height))
        grown = (rectangle[0], (width + growth, height + growth), rectangle[2])
        points = cv2.boxPoints(grown) * np.array([across, down], np.float32)
        (x, y), (w, h), angle = cv2.minAreaRect(points)
        found.append(Candidate(x, y, w, h, angle, score))
    return found


def _score(probability: np.ndarray, points: np.ndarray) -> float:
    """Return the mean probability inside a polygon."""
    rows, columns = probability.shape
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int), 0, [columns - 1, rows - 1])
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int), 0, [columns - 1, rows - 1])
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [np.rint(points - [left, top]).astype(np.int32)], 1)
    part = probability[top : bottom + 1, left : right + 1]
    return float(cv2.mean(part, mask)[0])
