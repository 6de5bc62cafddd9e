"""Draw lines of text into pictures, with their ink as the key, in fonts that no training of this project uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.burned_in_text.texts import TECHNICAL, Patient, identifying
from benchmarks.quality.pools import Pool

# Share of each style among identifying lines.
STYLES = {
    "mixed": 0.16, "upper": 0.12, "lower": 0.1, "digits": 0.12, "corner": 0.1, "anatomy": 0.1, "faint": 0.07,
    "rotated_90": 0.03, "rotated_180": 0.03, "rotated_270": 0.03, "vertical": 0.03, "accents": 0.05, "non_latin": 0.03,
    "initials": 0.02, "tiny": 0.01, "grouped": 0.04, "aged": 0.04, "day_month": 0.04, "large": 0.04,
}  # fmt: skip
APART = ("non_latin",)  # styles that no total counts
TURNS = {"rotated_90": 1, "rotated_180": 2, "rotated_270": 3}
TECHNICAL_SHARE = 0.25  # of the lines of a picture
HEIGHTS, TINY, LARGE = (8, 30), (6, 8), (40, 110)  # pixels of a capital letter, drawn evenly on a logarithmic scale
CONTRAST, FAINT = (0.15, 1.2), (0.06, 0.2)  # of the picture's range, likewise
FLAT = 0.2  # of all values: the least range of a picture that is nearly one value
FULL_INK = 64  # of 255: opacity from which a pixel is ink
ROOM = 8  # pixels of an image that its largest line leaves free
GAP = 8  # pixels kept free around a line
LEGIBLE_HEIGHT, LEGIBLE_LEVELS, LEGIBLE_NOISE = 7, 16, 1.5  # pixels, of 255, times the local deviation
HERSHEY = {"hershey complex": cv2.FONT_HERSHEY_COMPLEX, "hershey triplex": cv2.FONT_HERSHEY_TRIPLEX}
BITMAP, AILERON = "bitmap", "aileron"  # both in Pillow
BITMAP_CAPITAL = 6  # pixels
FILES = ("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "STIXGeneral.ttf", "STIXGeneralBol.ttf", "cmss10.ttf", "cmtt10.ttf")
ANY_LETTER = ("DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf")  # have accents, Cyrillic and Greek


@dataclass(frozen=True, slots=True)
class Line:
    """One planted line: where its ink lies, and how it was drawn. `ink` is bool, cut out at row `top`, column `left`."""

    ink: np.ndarray
    top: int
    left: int
    text: str
    style: str
    identifying: bool
    height: int  # pixels of a capital letter
    font: str
    bright: bool  # brighter than what it stands on, in stored values
    levels: float  # of 255: how far its ink stands off on the screen
    noise: float  # of 255: deviation of what it was drawn on, on the screen

    @property
    def legible(self) -> bool:
        """Tell whether a person can be expected to read it."""
        return self.height >= LEGIBLE_HEIGHT and self.levels >= max(LEGIBLE_LEVELS, LEGIBLE_NOISE * self.noise)


def fonts(style: str) -> list[str]:
    """Return the fonts that have the letters of a style."""
    if style in ("accents", "non_latin"):
        return list(ANY_LETTER)
    if style == "large":  # a bitmap of six rows is not drawn that large
        return [*HERSHEY, AILERON, *FILES]
    return [*HERSHEY, BITMAP, AILERON, *FILES]


@cache
def _face(name: str, size: int) -> ImageFont.FreeTypeFont:
    if name == AILERON:
        return ImageFont.load_default(size)  # type: ignore[return-value]
    package = find_spec("matplotlib")
    assert package is not None and package.origin is not None
    return ImageFont.truetype(Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / name, size)


def render(text: str, font: str, height: int) -> np.ndarray:
    """Return the ink of a line as opacity 0-255, trimmed; a capital letter is about `height` pixels high."""
    if font in HERSHEY:
        mask = _hershey(text, HERSHEY[font], height)
    elif font == BITMAP:
        mask = _drawn(text, ImageFont.load_default_imagefont())
        times = max(1, round(height / BITMAP_CAPITAL))
        mask = np.repeat(np.repeat(mask, times, axis=0), times, axis=1)
    else:
        capital = _face(font, 200).getbbox("H")
        mask = _drawn(text, _face(font, max(6, round(200 * height / (capital[3] - capital[1])))))
    ys, xs = np.nonzero(mask > FULL_INK)
    return mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] if len(ys) else mask[:0]


def _hershey(text: str, face: int, height: int) -> np.ndarray:
    scale, weight = height / _capital(face), max(1, height // 10)
    (width, above), below = cv2.getTextSize(text, face, scale, weight)
    mask = np.zeros((above + below + 2 * height, width + 2 * height), np.uint8)
    cv2.putText(mask, text, (height // 2, above + height // 2), face, scale, 255, weight, cv2.LINE_AA)
    return mask


@cache
def _capital(face: int) -> float:
    """Return the height of a capital letter at scale 1; getTextSize tells that of a whole line."""
    mask = np.zeros((300, 300), np.uint8)
    cv2.putText(mask, "H", (20, 250), face, 8.0, 255, 1)
    return float(np.ptp(np.nonzero(mask)[0]) + 1) / 8


def _drawn(text: str, face: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> np.ndarray:
    left, top, right, bottom = (int(n) for n in face.getbbox(text))
    picture = Image.new("L", (right - min(left, 0) + 4, bottom - min(top, 0) + 4))
    ImageDraw.Draw(picture).text((2 - min(left, 0), 2 - min(top, 0)), text, font=face, fill=255)
    return np.asarray(picture)


def stacked(text: str, font: str, height: int) -> np.ndarray:
    """Return the ink of letters that stand below one another."""
    letters = [render(letter, font, height) for letter in text if not letter.isspace()]
    letters = [letter for letter in letters if letter.size]
    width, step = max(letter.shape[1] for letter in letters), round(1.5 * height)
    mask = np.zeros((step * len(letters) + height, width), np.uint8)
    for number, letter in enumerate(letters):
        y, x = number * step, (width - letter.shape[1]) // 2
        mask[y : y + letter.shape[0], x : x + letter.shape[1]] = letter
    ys = np.flatnonzero(mask.any(axis=1))
    return mask[ys[0] : ys[-1] + 1]


def plant(
    random: np.random.Generator,
    image: np.ndarray,
    taken: np.ndarray,
    style: str,
    text: str,
    shown: Callable[[np.ndarray], np.ndarray],
    *,
    limits: tuple[int, int],
    names_someone: bool,
) -> Line | None:
    """Write one line into an image (float32; rows, columns or rows, columns, 3) in place; None where there is no room.

    `taken` marks where other lines stand; `shown` renders the image as 8-bit grey; `limits` are the values that can be stored.
    """
    choice = fonts(style)
    font = choice[random.integers(len(choice))]
    height = draw_height(random, style, text, font, image.shape)
    if height is None:
        return None
    if font == BITMAP:
        height = BITMAP_CAPITAL * (1 if style == "tiny" else -(-height // BITMAP_CAPITAL))
    mask = stacked(text[:14], font, height) if style == "vertical" else render(text, font, height)
    mask = np.ascontiguousarray(np.rot90(mask, TURNS.get(style, 0)))
    place = _place(random, image, mask, taken, style)
    if place is None:
        return None
    y, x = place
    here = np.s_[y : y + mask.shape[0], x : x + mask.shape[1]]
    before = shown(image)[here].astype(np.float32)
    opacity = (mask / 255.0).astype(np.float32)
    bright = _write(random, image[here], opacity, image, limits, FAINT if style == "faint" else CONTRAST)
    after = shown(image)[here].astype(np.float32)
    core = mask >= 0.6 * mask.max()
    levels = float(abs(np.median(after[core]) - np.median(before)))
    taken[max(y - GAP, 0) : y + mask.shape[0] + GAP, max(x - GAP, 0) : x + mask.shape[1] + GAP] = True
    noise = float(before.std())
    return Line(mask > FULL_INK, y, x, text, style, names_someone, height, font, bright, levels, noise)


def draw_height(random: np.random.Generator, style: str, text: str, font: str, shape: tuple[int, ...]) -> int | None:
    """Draw the height of a capital letter, evenly on a logarithmic scale; None where large text has no room in an image."""
    low, high = {"tiny": TINY, "large": LARGE}.get(style, HEIGHTS)
    if style == "large":
        high = min(high, largest(render(text, font, low), low, shape))
        if high < low:
            return None
    return round(float(np.exp(random.uniform(*np.log((low, high))))))


def largest(ink: np.ndarray, height: int, shape: tuple[int, ...]) -> int:
    """Return the height of a capital letter at which a line that was drawn `height` high just fits into an image."""
    return int(min((side - ROOM) / used for side, used in zip(shape, ink.shape[:2], strict=False)) * height)


def _write(
    random: np.random.Generator,
    part: np.ndarray,
    opacity: np.ndarray,
    image: np.ndarray,
    limits: tuple[int, int],
    contrast: tuple[float, float],
) -> bool:
    """Blend ink into a part of the image, brighter or darker than it is, within what can be stored; return which."""
    low, high = (float(v) for v in np.percentile(image, (1, 99)))
    reach = max(high - low, FLAT * float(np.ptp(image))) or 255.0
    step = float(np.exp(random.uniform(*np.log(contrast)))) * reach
    middle = float(np.median(part))
    bright = bool(
        random.random() < (0.85 if middle - low < 0.25 * reach else 0.15 if high - middle < 0.25 * reach else 0.5)
    )
    if min(abs((limits[1] if bright else limits[0]) - middle), step) < contrast[0] * reach:  # no room on that side
        bright = not bright
    level = float(np.clip(middle + step if bright else middle - step, *limits))
    if part.ndim == 3:
        tint = np.array(((1, 1, 1), (1, 1, 0.3), (0.4, 1, 0.5), (0.5, 0.9, 1))[random.integers(4)], np.float32)
        part += (np.float32(level) * (tint if bright else 1) - part) * opacity[..., None]
    else:
        part += (np.float32(level) - part) * opacity
    return bright


def _place(
    random: np.random.Generator, image: np.ndarray, mask: np.ndarray, taken: np.ndarray, style: str
) -> tuple[int, int] | None:
    down, across = image.shape[0] - mask.shape[0], image.shape[1] - mask.shape[1]
    if mask.size == 0 or down < 4 or across < 4:
        return None
    found: list[tuple[float, int, int]] = []
    for _ in range(24):
        y, x = _spot(random, down, across, style)
        if not taken[y : y + mask.shape[0], x : x + mask.shape[1]].any():
            found.append((float(image[y : y + mask.shape[0], x : x + mask.shape[1]].std()), y, x))
            if style != "anatomy" or len(found) == 4:
                break
    return max(found)[1:] if found else None


def _spot(random: np.random.Generator, down: int, across: int, style: str) -> tuple[int, int]:
    if style == "corner":
        y, x = (int(n) for n in random.integers(0, 4, 2))
        return (y if random.random() < 0.5 else down - y), (x if random.random() < 0.5 else across - x)
    if style == "anatomy" or random.random() < 0.4:
        return int(random.integers(down + 1)), int(random.integers(across + 1))
    x = int(random.integers(0, max(1, across // 4)))  # annotations stand along the edges
    y = int(random.integers(0, max(1, down // 5)))
    return (y if random.random() < 0.5 else down - y), (x if random.random() < 0.5 else across - x)


def plant_lines(
    random: np.random.Generator,
    image: np.ndarray,
    count: int,
    known: Patient,
    pool: Pool,
    shown: Callable[[np.ndarray], np.ndarray],
    limits: tuple[int, int],
) -> list[Line]:
    """Write up to `count` lines into an image, in place."""
    taken = np.zeros(image.shape[:2], bool)
    names, weights = list(STYLES), np.array(list(STYLES.values()))
    lines: list[Line] = []
    for _ in range(count):
        technical = random.random() < TECHNICAL_SHARE
        style = "mixed" if technical else str(random.choice(names, p=weights / weights.sum()))
        text = str(random.choice(TECHNICAL)) if technical else identifying(random, known, pool, style)
        line = plant(random, image, taken, style, text, shown, limits=limits, names_someone=not technical)
        if line is not None:
            lines.append(line)
    return lines
