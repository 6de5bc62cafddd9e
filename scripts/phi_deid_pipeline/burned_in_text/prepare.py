"""Make two 8-bit renderings of an image in which text stands out: a stroke map that needs no window, and the windowed image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

cv2.setNumThreads(1)

STROKE_SIDE = 15  # pixels; strokes thinner than this stand out
MAXIMUM_SIDE, MEAN_SIDE = 25, 17  # pixels; reach of the local normalisation
NOISE_FLOOR = 3.0  # standard deviations of the noise
RANGE_FLOOR = 0.02  # part of the range between the 1st and 99th percentile
WINDOW_MIN_SHARE = 0.02  # a header window that holds less of the pixels is not used
SHORT_RANGE = 16383  # values; twice as much fits into 16 bits with a sign
WHITE, MIDDLE = 255, 128


@dataclass(frozen=True, slots=True)
class Views:
    """Padded 8-bit renderings of one image, and the padding in pixels on each side."""

    stroke: np.ndarray
    window: np.ndarray
    padding: int


def is_constant(image: np.ndarray) -> bool:
    """Tell whether an image shows nothing at all."""
    return image.size == 0 or bool((image == image[0, 0]).all())


def prepare(
    image: np.ndarray, *, invert: bool = False, window: tuple[float, float] | None = None, padding: int = 32
) -> Views:
    """Render an image of shape (rows, columns) of any numeric type, or (rows, columns, 3) of 8 bits.

    `window` is (low, high) in the image's own values; `invert` for images whose lowest value is shown white. The border is
    the median of the image's edge, so that text flush in a corner is seen.
    """
    padded = padded_values(image, padding)
    stroke = stroke_map(padded)
    if invert:
        stroke = WHITE - stroke
    return Views(stroke, windowed(padded, image, invert=invert, window=window), padding)


def padded_values(image: np.ndarray, padding: int) -> np.ndarray:
    """Return the image within a border of the median of its edge; integers of up to 16 bits keep their type."""
    if image.dtype.kind == "i" and image.dtype.itemsize == 1:
        image = image.astype(np.int16)
    elif image.dtype.kind not in "iu" or image.dtype.itemsize > 2:
        image = np.nan_to_num(image.astype(np.float32), posinf=0.0, neginf=0.0)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    middle = np.median(edge, axis=0)
    border = tuple(float(v) for v in middle) if image.ndim == 3 else float(middle)
    return cv2.copyMakeBorder(image, padding, padding, padding, padding, cv2.BORDER_CONSTANT, value=border)


def stroke_map(values: np.ndarray) -> np.ndarray:
    """Return `2f - open(f) - close(f)`, divided by its local maximum, as 8 bit around 128; colour: its strongest channel."""
    channels = cv2.split(values) if values.ndim == 3 else [values]
    if len(channels) == 3 and np.array_equal(channels[0], channels[1]) and np.array_equal(channels[1], channels[2]):
        channels = channels[:1]
    best = None
    floor = 0.0
    for channel in channels:
        strokes = _strokes(channel)
        best = strokes if best is None else np.where(np.abs(strokes) > np.abs(best), strokes, best)
        floor = max(floor, _floor(channel))
    assert best is not None
    reach = cv2.dilate(np.abs(best), cv2.getStructuringElement(cv2.MORPH_RECT, (MAXIMUM_SIDE, MAXIMUM_SIDE)))
    reach = cv2.boxFilter(reach, cv2.CV_32F, (MEAN_SIDE, MEAN_SIDE))
    np.maximum(reach, np.float32(floor), out=reach)
    scaled = cv2.divide(best, reach, dst=reach, scale=MIDDLE - 1, dtype=cv2.CV_32F)
    return cv2.add(scaled, float(MIDDLE), dtype=cv2.CV_8U)


def _strokes(channel: np.ndarray) -> np.ndarray:
    """Return `2f - open(f) - close(f)`: 16-bit integers, which take half the time, where it fits in them, else float32."""
    square = cv2.getStructuringElement(cv2.MORPH_RECT, (STROKE_SIDE, STROKE_SIDE))
    low, high, *_ = cv2.minMaxLoc(channel)
    short = channel.dtype.kind in "iu" and high - low <= SHORT_RANGE
    if short:
        channel = cv2.subtract(channel, low, dtype=cv2.CV_16S)  # strokes do not depend on an offset
    opened = cv2.morphologyEx(channel, cv2.MORPH_OPEN, square)
    closed = cv2.morphologyEx(channel, cv2.MORPH_CLOSE, square)
    if short:
        strokes = channel * np.int16(2)
        strokes -= opened
        strokes -= closed
        return strokes
    strokes = cv2.addWeighted(opened, -1.0, closed, -1.0, 0.0, dtype=cv2.CV_32F)
    return cv2.scaleAdd(channel.astype(np.float32), 2.0, strokes)


def _floor(channel: np.ndarray) -> float:
    """Return the strength under which a stroke is noise."""
    # The second difference along a row has six times the variance of the noise (1 + 4 + 1).
    rows = channel[::2].astype(np.int32) if channel.dtype.kind in "iu" else channel[::2]
    second = np.abs(rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:])
    low, high = _quantiles(rows[:, ::2], (0.01, 0.99))
    spread = float(high - low) or float(channel.max()) - float(channel.min())
    sigma = 1.4826 * _quantiles(second, (0.5,))[0] / 6.0**0.5
    return max(NOISE_FLOOR * sigma, RANGE_FLOOR * spread, 1e-6)


def _quantiles(values: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    if values.dtype.kind != "i":
        return [float(v) for v in np.quantile(values, shares)]
    low = int(values.min())
    total = np.cumsum(np.bincount((values - values.dtype.type(low)).ravel() if low else values.ravel()))
    return [float(np.searchsorted(total, share * (values.size - 1), side="right") + low) for share in shares]


def windowed(padded: np.ndarray, image: np.ndarray, *, invert: bool, window: tuple[float, float] | None) -> np.ndarray:
    """Return the padded image as shown with a window (low, high) in its own values, 8 bit."""
    shown = _windowed(padded, np.nan_to_num(image, posinf=0.0, neginf=0.0), window)
    return WHITE - shown if invert else shown


def _windowed(padded: np.ndarray, values: np.ndarray, window: tuple[float, float] | None) -> np.ndarray:
    if padded.ndim == 3:
        return np.clip(np.rint(padded), 0, WHITE).astype(np.uint8)
    if window is not None:
        inside = float(((values > window[0]) & (values < window[1])).mean())
        if inside <= WINDOW_MIN_SHARE:
            window = None
    low, high = window if window is not None else (float(v) for v in np.percentile(values, (0.5, 99.5)))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    scaled = (padded.astype(np.float32) - np.float32(low)) * np.float32(WHITE / max(high - low, 1e-6))
    return np.clip(np.rint(scaled), 0, WHITE).astype(np.uint8)


def local_contrast(values: np.ndarray, side: int = 31) -> np.ndarray:
    """Return the image normalised by local mean and deviation as 8 bit, for the chain without models."""
    grey = values.mean(axis=2) if values.ndim == 3 else values
    grey = grey.astype(np.float32)
    mean = cv2.blur(grey, (side, side))
    deviation = np.sqrt(np.maximum(cv2.blur(grey * grey, (side, side)) - mean * mean, 0.0))
    normal = (grey - mean) / np.maximum(deviation, max(_floor(grey), 1e-6))
    return np.clip(np.rint(normal * 42.0 + MIDDLE), 0, WHITE).astype(np.uint8)
