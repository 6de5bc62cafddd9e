"""An instance's frames as 8-bit pictures: windowed as its source, with overlays and hidden bits; boxes; JPEG bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from phi_deid_pipeline.boxes import clipped
from phi_deid_pipeline.burned_in_text.prepare import windowed
from phi_deid_pipeline.pixel_read import Frame, SourcePixels, displayed, open_pixels
from phi_deid_pipeline.records import Box

OVERLAY_COLOUR = (90, 220, 255)
PICTURE_SIDE, THUMB_SIDE = 640, 224  # pixels of the longer side
MAX_ZOOM = 4  # small images are shown larger, up to so many times
CROP_MARGIN, CROP_HEIGHT, CROP_WIDTH = 3, 44, 300  # pixels
QUALITY, THUMB_QUALITY = 85, 78
TAG_HEIGHT = 15  # pixels of the number at a box
INVERTED = "MONOCHROME1"
INSTANCE_NUMBER = 0x00200013

Corners = tuple[int, int, int, int]  # left, top, right, bottom, all within


@dataclass(frozen=True, slots=True)
class Rendered:
    """A frame as shown, 8 bit RGB of shape (rows, columns, 3), the values that its window was taken from, Instance Number."""

    picture: np.ndarray
    values: np.ndarray
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Outline:
    """A box to draw: RGB colour, the number beside it ("" for none), dashed for boxes of no finding of this frame."""

    box: Box
    colour: tuple[int, int, int]
    label: str = ""
    dashed: bool = False


def render_frames(path: Path, wanted: Sequence[int], like: dict[int, Rendered] | None = None) -> dict[int, Rendered]:
    """Return frames of an instance as shown; `like` gives for each frame the picture whose window is used.

    Raises UnreadableInstance.
    """
    with _opened(path) as source:
        if source is None:
            return {}
        overlays = source.overlays()
        found = {}
        for frame in source.frames(wanted):
            reference = (like or {}).get(frame.index)
            found[frame.index] = _render(source, frame, overlays, reference.values if reference else None)
            if len(found) == len(wanted):
                break
        return found


@contextmanager
def _opened(path: Path) -> Iterator[SourcePixels | None]:
    source = open_pixels(path)
    if source is None:
        yield None
    else:
        with source:
            yield source


def _render(source: SourcePixels, frame: Frame, overlays: Sequence, reference: np.ndarray | None) -> Rendered:
    values = displayed(source, frame)
    same_kind = reference is not None and reference.ndim == values.ndim
    if values.ndim == 3:
        picture = values.astype(np.uint8)
    else:
        invert = source.layout.photometric == INVERTED
        grey = windowed(values, reference if same_kind else values, invert=invert, window=source.window())
        picture = np.repeat(grey[..., None], 3, axis=2)
    picture = np.ascontiguousarray(picture)
    for plane in _planes(overlays, frame.index):
        _paint(picture, plane.plane, plane.row, plane.column)
    if frame.high is not None:
        used = frame.high if frame.high.ndim == 2 else frame.high.max(axis=2)
        _paint(picture, used, 0, 0)
    number = source.text(INSTANCE_NUMBER).strip()
    return Rendered(picture, values, int(number) if number.isdecimal() and len(number) < 9 else None)


def _planes(overlays: Sequence, index: int) -> list:
    """Return of each overlay group the plane of a frame; a single plane belongs to all frames."""
    groups: dict[int, list] = {}
    for overlay in overlays:
        groups.setdefault(overlay.group, []).append(overlay)
    return [planes[index] if index < len(planes) else planes[0] for planes in groups.values() if len(planes) != 0]


def _paint(picture: np.ndarray, plane: np.ndarray, row: int, column: int) -> None:
    rows, columns = picture.shape[:2]
    top, left = max(row, 0), max(column, 0)
    part = plane[top - row : rows - row, left - column : columns - column].astype(bool)
    target = picture[top : top + part.shape[0], left : left + part.shape[1]]
    target[part[: target.shape[0], : target.shape[1]]] = OVERLAY_COLOUR


def sized(picture: np.ndarray, side: int) -> tuple[Image.Image, float]:
    """Return a picture whose longer side is at most `side` pixels, and the scale; small ones are enlarged."""
    rows, columns = picture.shape[:2]
    scale = min(side / max(rows, columns), MAX_ZOOM)
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)
    image = Image.fromarray(picture)
    if size == image.size:
        return image, scale
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC), scale


def with_outlines(image: Image.Image, scale: float, outlines: Iterable[Outline], width: int = 2) -> Image.Image:
    """Return a copy with boxes drawn around what they hold, numbers beside them where no other box lies."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(TAG_HEIGHT - 3)
    taken: list[Corners] = []
    tags = []
    for outline in outlines:
        corners = _around(outline.box, scale, width, image.size)
        if corners is None:
            continue
        if outline.dashed:
            _dashed(draw, corners, outline.colour, width)
        else:
            draw.rectangle(corners, outline=outline.colour, width=width)
        taken.append(corners)
        if outline.label:
            tags.append((corners, outline))
    for corners, outline in tags:  # above all boxes, so that none is crossed out
        place = _tag_place(corners, int(font.getlength(outline.label)) + 6, image.size, taken)
        taken.append(place)
        draw.rectangle(place, fill=outline.colour)
        draw.text((place[0] + 3, place[1] + 1), outline.label, fill=(0, 0, 0), font=font)
    return image


def _around(box: Box, scale: float, width: int, size: tuple[int, int]) -> Corners | None:
    """Return the corners of the line around a box as drawn, None where it lies outside the picture."""
    left, top = int(box.x * scale) - width, int(box.y * scale) - width
    right, bottom = int((box.x + box.w) * scale) + width, int((box.y + box.h) * scale) + width
    corners = max(left, 0), max(top, 0), min(right, size[0] - 1), min(bottom, size[1] - 1)
    return corners if corners[2] > corners[0] and corners[3] > corners[1] else None


def _tag_place(corners: Corners, wide: int, size: tuple[int, int], taken: Sequence[Corners]) -> Corners:
    """Return where the number of a box goes: beside, above or below it, where it covers least of other boxes."""
    left, top, right, bottom = corners
    middle = (top + bottom - TAG_HEIGHT) // 2
    starts = [(right + 1, middle), (left - wide - 1, middle), (left, top - TAG_HEIGHT - 1), (left, bottom + 1)]
    starts += [(right - wide, top - TAG_HEIGHT - 1), (right - wide, bottom + 1), (right - wide, top)]
    best, least = None, 0
    for x, y in starts:
        x, y = min(max(x, 0), max(size[0] - wide - 1, 0)), min(max(y, 0), max(size[1] - TAG_HEIGHT - 1, 0))
        place = x, y, x + wide, y + TAG_HEIGHT
        covered = sum(_common(place, other) for other in taken)
        if best is None or covered < least:
            best, least = place, covered
    assert best is not None
    return best


def _common(one: Corners, other: Corners) -> int:
    """Return the number of pixels that two rectangles share."""
    wide = min(one[2], other[2]) - max(one[0], other[0]) + 1
    high = min(one[3], other[3]) - max(one[1], other[1]) + 1
    return max(wide, 0) * max(high, 0)


def _dashed(draw: ImageDraw.ImageDraw, corners: tuple, colour: tuple[int, int, int], width: int) -> None:
    left, top, right, bottom = corners
    for x in range(left, right + 1, 8):
        end = min(x + 4, right)
        draw.line((x, top, end, top), fill=colour, width=width)
        draw.line((x, bottom, end, bottom), fill=colour, width=width)
    for y in range(top, bottom + 1, 8):
        end = min(y + 4, bottom)
        draw.line((left, y, left, end), fill=colour, width=width)
        draw.line((right, y, right, end), fill=colour, width=width)


def crop(picture: np.ndarray, box: Box) -> Image.Image | None:
    """Return what a box holds with a margin, enlarged to be read; None where it lies outside the picture."""
    margin = CROP_MARGIN
    rows, columns = picture.shape[:2]
    part = clipped(Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin), rows, columns)
    if not part.w or not part.h:
        return None
    image = Image.fromarray(np.ascontiguousarray(picture[part.y : part.y + part.h, part.x : part.x + part.w]))
    scale = min(CROP_HEIGHT / part.h, CROP_WIDTH / part.w, MAX_ZOOM)
    if part.h > 2 * part.w:  # a vertical line keeps some height
        scale = min(3 * CROP_HEIGHT / part.h, MAX_ZOOM)
    size = max(round(part.w * scale), 1), max(round(part.h * scale), 1)
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    """Return an image as JPEG; the same image gives the same bytes."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=0, optimize=True)
    return stream.getvalue()
