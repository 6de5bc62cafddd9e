"""What a filled box shows: a stored word for every colour space, on request with a label drawn in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from phi_deid_pipeline.boxes import area, clipped, overlap
from phi_deid_pipeline.pixel_codecs import CodecError, PixelFormat, to_values
from phi_deid_pipeline.pixel_read import PADDING_VALUE, SourcePixels
from phi_deid_pipeline.records import Box

FILLS = ("darkest", "background", "value")
RING = 3  # pixels around a box whose median is its background
MIN_LABEL_HEIGHT = 8  # pixels; lower boxes stay without a label
MIN_LETTER_HEIGHT = 6  # pixels; a label whose letters would be lower is not drawn
LABEL_SHARE = 0.8  # of a box's sides that a label takes at most
FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class FillStyle:
    """How boxes are filled: with what is displayed darkest, the median around the box, or a pixel value of its own.

    `value` is a pixel value (for colour the wantedness, for palettes the index), cut to what can be stored. `bold` of labels.
    """

    fill: str = "darkest"
    value: int = 0
    bold: bool = False

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise ValueError(f"fill is none of {', '.join(FILLS)}")


def paint(
    words: np.ndarray,
    boxes: Sequence[tuple[Box, str]],
    source: SourcePixels,
    photometric: str,
    style: FillStyle,
) -> None:
    """Fill boxes of a frame's words in place, in all planes, then draw their labels, so that no fill cuts a label."""
    wanted = [(box, label) for box, label in boxes if box.w > 0 and box.h > 0]
    inks = {}
    colours = _colours(words, [box for box, _ in wanted], source, photometric, style)
    for box, label in wanted:
        colour = colours[box]
        if label:
            inks[box] = _ink_words(words, source, photometric, colour)
        words[box.y : box.y + box.h, box.x : box.x + box.w] = colour
    for box, label in wanted:
        mask = label_mask(label, box, bold=style.bold) if label else None
        if mask is not None:
            words[box.y : box.y + box.h, box.x : box.x + box.w][mask] = inks[box]


def _colours(
    words: np.ndarray, boxes: Sequence[Box], source: SourcePixels, photometric: str, style: FillStyle
) -> dict[Box, np.ndarray]:
    """Return the fill of each box; boxes that overlap have one."""
    groups: list[list[Box]] = []
    for box in boxes:
        touching = [group for group in groups if any(overlap(box, other) for other in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([box, *(other for group in touching for other in group)])
    return {
        box: colour
        for group in groups
        for colour in (fill_words(words, max(group, key=area), source, photometric, style),)
        for box in group
    }


def fill_words(words: np.ndarray, box: Box, source: SourcePixels, photometric: str, style: FillStyle) -> np.ndarray:
    """Return the stored word, or the words of a pixel, that a box is filled with."""
    layout, dtype = source.layout, words.dtype
    if style.fill == "background":
        around = _around(words, box)
        if around.size:
            return _background(around, layout, photometric)
    if style.fill == "value":
        return _of_value(style.value, source, photometric, dtype)
    return darkest_words(words, source, photometric)


def _around(words: np.ndarray, box: Box) -> np.ndarray:
    """Return the words in a ring around a box, one row a pixel."""
    rows, columns = words.shape[:2]
    outer = clipped(Box(box.x - RING, box.y - RING, box.w + 2 * RING, box.h + 2 * RING), rows, columns)
    ring = np.zeros((rows, columns), bool)
    ring[outer.y : outer.y + outer.h, outer.x : outer.x + outer.w] = True
    ring[box.y : box.y + box.h, box.x : box.x + box.w] = False
    return words[ring]


def _background(around: np.ndarray, layout: PixelFormat, photometric: str) -> np.ndarray:
    if photometric == "PALETTE COLOR" or layout.allocated == 1:
        found, counts = np.unique(around, return_counts=True)
        return found[counts.argmax()]
    values = to_values(around, layout)
    middle = np.sort(values, axis=0)[len(values) // 2]  # a value that is there, never one between two
    if layout.float_bits:
        return np.asarray(middle if np.isfinite(middle).all() else 0, around.dtype)
    if values.ndim == 2:
        return np.array([_word(int(v), layout, around.dtype) for v in middle], around.dtype)
    return _word(int(middle), layout, around.dtype)


def _of_value(value: int, source: SourcePixels, photometric: str, dtype: np.dtype) -> np.ndarray:
    layout = source.layout
    if layout.float_bits:
        return np.array(value, dtype)
    top = (1 << (layout.stored - int(layout.signed))) - 1
    number = min(max(value, -top - 1 if layout.signed else 0), top)
    if layout.samples > 1:
        half = 1 << (layout.stored - 1)
        colour = [number, half, half] if photometric.startswith("YBR") else [number] * 3
        return np.array([*colour, 0][: layout.samples], dtype)
    return _word(number, layout, dtype)


def darkest_words(words: np.ndarray, source: SourcePixels, photometric: str) -> np.ndarray:
    """Return the stored word, or the words of a pixel, that is displayed darkest."""
    layout, dtype = source.layout, words.dtype
    if layout.samples > 1:
        half = 1 << (layout.stored - 1) if photometric.startswith("YBR") else 0
        return np.array([0, half, half, 0][: layout.samples], dtype)
    values = to_values(words, layout)
    if photometric == "PALETTE COLOR":
        return _word(_entry(source, np.argmin), layout, dtype)
    if layout.float_bits:
        finite = values[np.isfinite(values)]
        darkest = np.max if photometric == "MONOCHROME1" else np.min
        return np.array(darkest(finite) if finite.size else 0, dtype)
    if photometric == "MONOCHROME1":
        return _word(int(values.max()), layout, dtype)
    padding = source_padding(source)
    darkest = int(values.min()) if layout.signed else 0
    if layout.signed and padding is not None:
        darkest = min(darkest, padding)
    return _word(darkest, layout, dtype)


def source_padding(source: SourcePixels) -> int | None:
    """Return Pixel Padding Value as a pixel value, None where it is absent or does not fit."""
    stored = source.number(PADDING_VALUE)
    if stored is None:
        return None
    bits = source.layout.stored
    value = stored - 0x10000 if source.layout.signed and stored > 0x7FFF else stored
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if source.layout.signed else (0, (1 << bits) - 1)
    return value if low <= value <= high else None


def _word(value: int, layout: PixelFormat, dtype: np.dtype) -> np.ndarray:
    """Return a pixel value as stored word; negative ones with their sign extended over the allocated bits."""
    return np.array(value & ((1 << (dtype.itemsize * 8)) - 1), np.uint64).astype(dtype)


def _entry(source: SourcePixels, choose: Callable[[np.ndarray], np.intp]) -> int:
    palette = source.palette()
    if palette is None:
        raise CodecError("palette cannot be read")
    usable = 1 << source.layout.stored
    return int(choose(palette[:usable].astype(int).sum(axis=1))) + source.palette_first()


# --- labels ---------------------------------------------------------------------------------------------------------


def _ink_words(words: np.ndarray, source: SourcePixels, photometric: str, colour: np.ndarray) -> np.ndarray:
    """Return what a label is drawn with: the end of the range that is farther from the fill."""
    layout, dtype = source.layout, words.dtype
    if layout.samples > 1:
        top = (1 << layout.stored) - 1
        fill = int(np.atleast_1d(colour)[:3].astype(int)[0])
        ink = np.array(colour, dtype)
        ink[: 1 if photometric.startswith("YBR") else 3] = top if fill <= top // 2 else 0
        return ink
    if photometric == "PALETTE COLOR":
        ends = [_word(_entry(source, choose), layout, dtype) for choose in (np.argmax, np.argmin)]
        return ends[0] if int(ends[0]) != int(colour) else ends[1]
    values = to_values(words, layout)
    if layout.float_bits:
        finite = values[np.isfinite(values)]
        return np.array(finite.max() if finite.size and finite.max() > colour else 0, dtype)
    low, high = int(values.min()), int(values.max())
    fill = int(to_values(np.atleast_1d(colour).astype(dtype), layout)[0])
    return _word(high if high - fill >= fill - low else low, layout, dtype)


def label_mask(label: str, box: Box, *, bold: bool) -> np.ndarray | None:
    """Return where a label's strokes lie in a box, along its longer side; None where the box is too small for it."""
    import cv2

    upright = box.h <= 1.3 * box.w
    width, height = (box.w, box.h) if upright else (box.h, box.w)
    thickness = 2 if bold else 1
    (wide, high), below = cv2.getTextSize(label, FONT, 1.0, thickness)
    scale = min(width * LABEL_SHARE / wide, height * LABEL_SHARE / (high + below))
    if height < MIN_LABEL_HEIGHT or scale * high < MIN_LETTER_HEIGHT:
        return None
    (wide, high), _ = cv2.getTextSize(label, FONT, scale, thickness)
    canvas = np.zeros((height, width), np.uint8)
    cv2.putText(canvas, label, (max((width - wide) // 2, 0), (height + high) // 2), FONT, scale, 255, thickness)
    return (canvas if upright else np.rot90(canvas)) > 0
