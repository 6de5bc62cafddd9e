"""Samples for the text gate: backgrounds (real frames without text, generated ones) and text planted on them.

Everything is drawn from a numpy generator that the caller seeds, so that a sample depends on its seed and its background
alone. Used by `train_text_gate.py`, never by a run of the pipeline.
"""

from __future__ import annotations

import csv
import gzip
import string
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent))

from phi_deid_pipeline.burned_in_text.prepare import is_constant
from phi_deid_pipeline.pixel_read import displayed, open_pixels

MIN_SIDE = 200  # pixels; the gate judges no smaller images
SLICES_OF_SERIES = 10
USABLE = ("permissive", "CC BY")  # classes of licence whose pictures may be used for training
GATED = ("CT", "MR")
HERSHEY = {
    "hershey simplex": cv2.FONT_HERSHEY_SIMPLEX,
    "hershey duplex": cv2.FONT_HERSHEY_DUPLEX,
    "hershey plain": cv2.FONT_HERSHEY_PLAIN,
    "hershey complex": cv2.FONT_HERSHEY_COMPLEX,
    "hershey triplex": cv2.FONT_HERSHEY_TRIPLEX,
}
# Families that no training sample uses: those of the choice of the threshold, those of the report.
HELD_OUT_FONTS = {
    "tune": ("hershey triplex", "caladea", "dejavusanscondensed"),
    "report": ("hershey complex", "lato", "dejavuserif"),
}
NO_LETTERS = ("stixnonuni", "stixsiz", "cmex", "cmsy", "cmmi", "lastresort")  # fonts of symbols
_CONTRAST = {"faint": np.log((0.035, 0.2)), "": np.log((0.1, 1.3))}  # of the image's range
STYLES = ("upright", "rotated", "short", "corner", "faint")
NAMES = (
    "MUELLER",
    "SCHMIDT",
    "GARCIA",
    "OKAFOR",
    "LINDQVIST",
    "BEAUMONT",
    "NOVAK",
    "TANAKA",
    "ROSSI",
    "KOWALSKI",
    "JANSEN",
)
GIVEN = ("ANNA", "PETER", "MARIE", "JOHN", "LUCIA", "KARL", "SOFIE", "AHMED", "ELENA", "PAUL", "IDA")
WORDS = (
    "Hospital",
    "portable",
    "supine",
    "AP erect",
    "Dr.",
    "Series",
    "Study",
    "kidney",
    "left",
    "post contrast",
    "born",
)


@dataclass(frozen=True, slots=True)
class Background:
    """A frame without text, its source (folder of the data) and the series it belongs to."""

    source: str
    series: str
    modality: str
    values: np.ndarray  # float32 of shape (rows, columns)


@dataclass(frozen=True, slots=True)
class Planted:
    """One line of planted text: its ink in the image, and how it was drawn."""

    ink: np.ndarray  # bool of shape (rows, columns)
    style: str
    text: str
    height: int  # pixels of the ink's shorter side
    contrast: float  # of the image's range between the 1st and 99th percentile
    turn: int  # quarter turns


def backgrounds(data: Path) -> list[Background]:
    """Return grey frames of at least MIN_SIDE that show no text and may be used, at most SLICES_OF_SERIES a series."""
    with (data / "LICENSES.tsv").open(encoding="utf-8") as lines:
        usable = {r["source"] for r in csv.DictReader(lines, delimiter="\t") if r["class"].startswith(USABLE)}
    with (data / "index.tsv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if _fits(row, usable)]
    by_series: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        by_series.setdefault((row["source"], row["series_uid_tail"]), []).append(row)
    found: list[Background] = []
    for (source, series), members in sorted(by_series.items()):
        step = max(1, len(members) // SLICES_OF_SERIES)
        for row in sorted(members, key=lambda r: r["path"])[::step][:SLICES_OF_SERIES]:
            values = _first_frame(data / row["path"])
            if values is not None and not is_constant(values):
                found.append(Background(source, f"{source}/{series}", row["modality"], values))
    return found


def _fits(row: dict[str, str], usable: set[str]) -> bool:
    size = [int(row[name] or 0) for name in ("rows", "cols")]
    seen = row["burned_in_text_visible"]
    return row["source"] in usable and row["modality"] in GATED and min(size) >= MIN_SIDE and seen.startswith("no")


def _first_frame(path: Path) -> np.ndarray | None:
    from phi_deid_pipeline.errors import DeidError, UnreadableInstance

    try:
        source = open_pixels(path)
        if source is None:
            return None
        with source:
            image = displayed(source, next(source.frames()))
    except (UnreadableInstance, DeidError):
        return None  # broken on purpose: some files of the data are
    return np.nan_to_num(image.astype(np.float32)) if image.ndim == 2 else None


def volume(path: Path) -> np.ndarray:
    """Return the values of a NIfTI volume of three axes (little-endian, no scaling) as float32."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    shape = struct.unpack_from("<3h", raw, 42)
    kind = {2: "u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8", 512: "<u2"}[struct.unpack_from("<h", raw, 70)[0]]
    start = int(struct.unpack_from("<f", raw, 108)[0])
    return np.frombuffer(raw, kind, int(np.prod(shape)), start).reshape(shape, order="F").astype(np.float32)


def volume_backgrounds(path: Path) -> list[Background]:
    """Return slices of a NIfTI volume of three axes in all three directions, scaled to at least MIN_SIDE."""
    values = volume(path)
    shape = values.shape
    found = []
    for axis in range(3):
        for at in range(shape[axis] // 5, shape[axis] * 4 // 5, max(1, shape[axis] // 12)):
            part = np.rot90(values.take(at, axis))
            scale = max(1.0, 1.25 * MIN_SIDE / min(part.shape))
            part = cv2.resize(np.ascontiguousarray(part), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
            found.append(Background(path.name, f"{path.name}/{axis}", "MR", part))
    return found


def role_of(background: Background) -> str:
    """Return what a picture is for: `train`, `tune` (the threshold) or `report`; no series serves two."""
    return ROLES.get(background.source) or ROLES.get(background.series) or "train"


# Sources that share pictures (one CT in several projects) are all trained on; none of those reported has a near copy.
ROLES = {
    "dcmqi": "report", "rt-utils": "report", "ms-dicom-anonymizer": "report",
    "pymedphys-water": "tune", "dicompyler-core": "tune", "dicom2nifti/227417197937": "tune",
    "dicom2nifti/298242510562": "tune", "dicom2nifti/298243974030": "tune", "dicom2nifti/688458856228": "tune",
    "dicom2nifti/729824825182": "tune", "dicom2nifti/298246736318": "tune", "dicom2nifti/298251700242": "tune",
}  # fmt: skip


# --- generated backgrounds ------------------------------------------------------------------------------------------


def generated(random: np.random.Generator, side: int) -> np.ndarray:
    """Return a picture of shape (side, side) in arbitrary units: bodies, folds, vessels, noise as scanners make them."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    kind = random.integers(4)
    if kind == 0:
        image = _organs(random, x, y)
    elif kind == 1:
        image = _folds(random, x, y)
    elif kind == 2:
        image = _octaves(random, side)
    else:
        image = _phantom(random, x, y)
    if random.random() < 0.5:
        _vessels(random, image)
    if random.random() < 0.15:
        angle = np.arctan2(y - random.uniform(-0.5, 0.5), x - random.uniform(-0.5, 0.5))
        image += np.sin(angle * random.integers(8, 60)) * random.uniform(0.02, 0.2) * float(np.ptp(image))
    return image.astype(np.float32)


def _smooth(random: np.random.Generator, side: int, sigma: float) -> np.ndarray:
    noise = random.standard_normal((max(4, int(side / sigma)),) * 2).astype(np.float32)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def _octaves(random: np.random.Generator, side: int) -> np.ndarray:
    image = np.zeros((side, side), np.float32)
    power = random.uniform(0.5, 1.4)
    for sigma in (64, 32, 16, 8, 4, 2):
        image += _smooth(random, side, sigma) * (sigma / 64) ** power
    return image * 100


def _organs(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    side = len(x)
    field = _smooth(random, side, side / random.uniform(3, 8)) + 0.3 * _smooth(random, side, random.uniform(6, 20))
    levels = np.sort(random.uniform(-1.5, 1.5, random.integers(2, 7)))
    values = random.uniform(-150, 300, len(levels) + 1).astype(np.float32)
    image = values[np.digitize(field, levels)]
    outside = (x * random.uniform(1, 1.5)) ** 2 + (y * random.uniform(1, 1.5)) ** 2 > random.uniform(0.6, 1.6)
    image[outside] = -1000 if random.random() < 0.5 else 0
    image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.5, 1.5))
    return image + _smooth(random, side, 2) * random.uniform(0, 20)


def _folds(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    side = len(x)
    warp = _smooth(random, side, side / 6) * random.uniform(0.5, 3) + _smooth(random, side, side / 20)
    radius = np.sqrt(x**2 + (y * random.uniform(0.8, 1.2)) ** 2)
    image = np.sin(radius * random.uniform(8, 40) + warp * random.uniform(1, 4)) * 100
    image += 300 * np.exp(-((radius - 0.8) ** 2) / random.uniform(0.0005, 0.01))
    return np.where(radius < 0.9, image + 300, random.uniform(0, 60)).astype(np.float32)


def _phantom(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    image = np.full(x.shape, -1000, np.float32)
    for _ in range(random.integers(1, 25)):
        cx, cy, a, b = random.uniform(-0.8, 0.8, 2).tolist() + random.uniform(0.01, 0.7, 2).tolist()
        image[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1] = random.uniform(-1000, 1500)
    return cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.2))


def _vessels(random: np.random.Generator, image: np.ndarray) -> None:
    side, reach = len(image), float(np.ptp(image)) or 1.0
    for _ in range(random.integers(1, 15)):
        steps = np.cumsum(random.normal(0, side / 15, (random.integers(3, 9), 2)), axis=0) + random.uniform(0, side, 2)
        value = float(image.mean() + random.uniform(-0.6, 0.6) * reach)
        points = [np.rint(steps).astype(np.int32)]
        cv2.polylines(image, points, bool(random.random() < 0.2), value, int(random.integers(1, 5)), cv2.LINE_AA)


# --- grounds made of others -----------------------------------------------------------------------------------------


def blended(random: np.random.Generator, image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return an image with another one of its shape laid over it, both scaled to the range of the first."""
    reach, reach_of_other = (float(np.subtract(*np.percentile(each, (99, 1)))) or 1.0 for each in (image, other))
    return image + (other - np.float32(other.mean())) * np.float32(random.uniform(0.2, 1.0) * reach / reach_of_other)


def warped(random: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return a square image bent smoothly, by at most some tenths of the length over which the bend changes."""
    side = len(image)
    length = random.uniform(16, side / 3)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    bend = np.float32(length * random.uniform(0.05, 0.25))
    down, across = (_smooth(random, side, length) * bend for _ in range(2))
    return cv2.remap(image, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


# --- what looks like text and is none -------------------------------------------------------------------------------


def draw_distractors(random: np.random.Generator, image: np.ndarray) -> None:
    """Draw grids, rulers, catheters, curves, arrows, markers or bars into an image, in place."""
    rows, columns = image.shape
    low, high = np.percentile(image, (1, 99))
    for _ in range(random.integers(1, 4)):
        value = float(random.choice([low, high, image.mean()]) + random.uniform(-0.5, 0.5) * (high - low))
        thick = int(random.integers(1, 4))
        _DISTRACTORS[random.integers(len(_DISTRACTORS))](random, image, value, thick, rows, columns)


def _grid(random, image, value, thick, rows, columns) -> None:
    step = int(random.integers(8, 60))
    for at in range(int(random.integers(step)), rows, step):
        image[at : at + thick] = value
    if random.random() < 0.7:
        for at in range(int(random.integers(step)), columns, step):
            image[:, at : at + thick] = value


def _ruler(random, image, value, thick, rows, columns) -> None:
    step, x, long = int(random.integers(3, 20)), int(random.integers(columns)), int(random.integers(4, 24))
    upright = random.random() < 0.5
    picture = image if upright else image.T
    start, end = sorted(random.integers(0, rows, 2).tolist())
    for number, at in enumerate(range(start, end, step)):
        reach = long if number % 5 == 0 else long // 2
        picture[at : at + thick, x : x + reach] = value


def _curve(random, image, value, thick, rows, columns) -> None:
    x = np.arange(0, columns, 2)
    y = rows * random.uniform(0.1, 0.9) + np.sin(x * random.uniform(0.02, 0.3)) * random.uniform(2, 30)
    beats = (x % int(random.integers(20, 90))) < 6
    y = y - beats * random.uniform(0, 40)
    cv2.polylines(image, [np.stack([x, y], 1).astype(np.int32)], False, value, thick, cv2.LINE_AA)


def _catheter(random, image, value, thick, rows, columns) -> None:
    points = np.cumsum(random.normal(0, 30, (8, 2)), axis=0) + random.uniform(0, columns, 2)
    cv2.polylines(image, [points.astype(np.int32)], False, value, thick + 1, cv2.LINE_AA)
    for x, y in points.astype(int)[:: max(1, thick)]:
        cv2.circle(image, (int(x), int(y)), thick + 1, value, -1)


def _arrow(random, image, value, thick, rows, columns) -> None:
    one = random.uniform(0, columns, 2).astype(int).tolist()
    other = (np.array(one) + random.uniform(-60, 60, 2)).astype(int).tolist()
    cv2.arrowedLine(image, one, other, value, thick, cv2.LINE_AA, tipLength=random.uniform(0.1, 0.5))


def _marks(random, image, value, thick, rows, columns) -> None:
    for _ in range(random.integers(1, 12)):
        x, y = int(random.integers(columns)), int(random.integers(rows))
        kind = int(random.choice([cv2.MARKER_CROSS, cv2.MARKER_TILTED_CROSS, cv2.MARKER_STAR, cv2.MARKER_DIAMOND]))
        cv2.drawMarker(image, (x, y), value, kind, int(random.integers(5, 24)), thick)


def _bars(random, image, value, thick, rows, columns) -> None:
    x, width, height = int(random.integers(columns)), int(random.integers(4, 20)), int(random.integers(40, 160))
    ramp = np.linspace(float(image.min()), float(image.max()), height, dtype=np.float32)[:, None]
    y = int(random.integers(max(rows - height, 1)))
    part = image[y : y + height, x : x + width]
    part[:] = ramp[: part.shape[0]]


def _blobs(random, image, value, thick, rows, columns) -> None:
    for _ in range(random.integers(2, 20)):
        centre = (int(random.integers(columns)), int(random.integers(rows)))
        cv2.circle(image, centre, int(random.integers(1, 9)), value, -1 if random.random() < 0.5 else 1, cv2.LINE_AA)


_DISTRACTORS: tuple[Callable[..., None], ...] = (
    _grid, _ruler, _curve, _catheter, _arrow, _marks, _bars, _blobs,
)  # fmt: skip


def degrade(random: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Return an image with noise, salt noise or blur as scanners and scalers add them."""
    reach = float(np.subtract(*np.percentile(image, (99, 1)))) or float(np.ptp(image)) or 1.0
    if random.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.2))
    if random.random() < 0.6:
        noise = random.standard_normal(image.shape).astype(np.float32)
        if random.random() < 0.4:
            noise = cv2.GaussianBlur(noise, (0, 0), random.uniform(0.5, 1.2)) * 2
        image = image + noise * np.float32(reach * random.uniform(0, 0.08) ** 1.0)
    if random.random() < 0.1:
        salt = random.random(image.shape) < random.uniform(0.0005, 0.01)
        image = np.where(salt, image + np.float32(random.choice([-1, 1]) * reach), image)
    return np.rint(image).astype(np.float32) if random.random() < 0.8 else image.astype(np.float32)


# --- text -----------------------------------------------------------------------------------------------------------


def font_names(folders: list[Path], role: str) -> list[str]:
    """Return the fonts of a role, `train`, `tune` or `report`: names of OpenCV's and paths of TrueType files."""
    files = sorted((p for f in folders for s in ("*.ttf", "*.otf") for p in f.rglob(s)), key=lambda p: (p.name, str(p)))
    lettered = {p.name: p for p in files if "Math" not in p.name and not p.name.lower().startswith(NO_LETTERS)}
    return [name for name in (*HERSHEY, *map(str, lettered.values())) if font_role(name) == role]


def font_role(name: str) -> str:
    """Return what a font is for."""
    stem = Path(name).stem.lower()
    return next((role for role, families in HELD_OUT_FONTS.items() if stem.startswith(families)), "train")


def random_text(random: np.random.Generator, style: str) -> str:
    """Return a line of text as scanners and people write into pictures."""
    if style == "short":
        return "".join(random.choice(list(string.ascii_letters + string.digits), random.integers(1, 3)))
    pick: list[Callable[[], str]] = [
        lambda: f"{random.choice(NAMES)}^{random.choice(GIVEN)}",
        lambda: f"{random.choice(NAMES).title()}, {random.choice(GIVEN).title()}",
        lambda: f"{random.integers(1, 29):02d}.{random.integers(1, 13):02d}.{random.integers(1920, 2026)}",
        lambda: f"{random.integers(1920, 2026)}-{random.integers(1, 13):02d}-{random.integers(1, 29):02d}",
        lambda: f"{random.integers(0, 24):02d}:{random.integers(0, 60):02d}:{random.integers(0, 60):02d}",
        lambda: "".join(random.choice(list(string.digits), random.integers(4, 11))),
        lambda: f"{random.choice(['ID', 'MRN', 'Acc', 'DOB', 'Age', 'Im', 'Se'])}: {random.integers(1, 100000)}",
        lambda: str(random.choice(WORDS)),
        lambda: str(random.choice(WORDS)).lower() + " " + str(random.choice(GIVEN)).lower(),
        lambda: "".join(random.choice(list(string.ascii_letters + string.digits), random.integers(3, 13))),
        lambda: "".join(random.choice(list(string.ascii_lowercase), random.integers(3, 11))),
    ]
    return pick[random.integers(len(pick))]()


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(name, size)


def render(text: str, font: str, height: int, weight: int) -> np.ndarray:
    """Return the ink of a line as opacity 0-255, trimmed; `height` is that of a capital letter in pixels."""
    if font in HERSHEY:
        face = HERSHEY[font]
        scale = height / cv2.getTextSize("H", face, 1.0, 1)[0][1]
        (width, above), below = cv2.getTextSize(text, face, scale, weight)
        mask = np.zeros((above + below + 2 * height, width + 2 * height), np.uint8)
        cv2.putText(mask, text, (height // 2, above + height // 2), face, scale, 255, weight, cv2.LINE_AA)
    else:
        face = _font(font, max(6, round(height / 0.72)))
        left, top, right, bottom = face.getbbox(text)
        picture = Image.new("L", (right - min(left, 0) + 4, bottom - min(top, 0) + 4))
        ImageDraw.Draw(picture).text((2 - min(left, 0), 2 - min(top, 0)), text, font=face, fill=255)
        mask = np.asarray(picture)
    ys, xs = np.nonzero(mask > 40)
    return mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] if len(ys) else mask[:0]


def plant(
    random: np.random.Generator, image: np.ndarray, fonts: list[str], taken: np.ndarray, style: str
) -> Planted | None:
    """Write one line into an image, in place, away from what is `taken`; None where no place was found."""
    rows, columns = image.shape
    low, high = np.percentile(image, (1, 99))
    reach = float(high - low) or float(np.ptp(image)) or 1.0
    height = int(np.rint(np.exp(random.uniform(np.log(7), np.log(42)))))
    turn = int(random.integers(1, 4)) if style == "rotated" else 0
    text = random_text(random, style)
    mask = render(text, fonts[random.integers(len(fonts))], height, int(random.integers(1, 1 + max(1, height // 9))))
    mask = np.rot90(mask, turn)
    if mask.size == 0 or mask.shape[0] > rows - 4 or mask.shape[1] > columns - 4:
        return None
    for _ in range(8):
        y, x = _spot(random, rows - mask.shape[0], columns - mask.shape[1], style)
        room = np.s_[max(y - 12, 0) : y + mask.shape[0] + 12, max(x - 12, 0) : x + mask.shape[1] + 12]
        if not taken[room].any():
            break
    else:
        return None
    part = image[y : y + mask.shape[0], x : x + mask.shape[1]]
    contrast = random.uniform(*_CONTRAST["faint" if style == "faint" else ""])
    contrast = float(np.exp(contrast))
    sign = random.choice([-1.0, 1.0])
    value = np.float32(np.median(part) + sign * contrast * reach)
    if random.random() < 0.08:
        part[:] = np.median(part) - sign * random.uniform(0, 0.5) * reach
    opacity = (mask / 255.0).astype(np.float32) if random.random() < 0.8 else (mask > 127).astype(np.float32)
    part += (value - part) * opacity
    ink = np.zeros(image.shape, bool)
    ink[y : y + mask.shape[0], x : x + mask.shape[1]] = mask > 64
    taken[room] = True
    return Planted(ink, style, text, min(mask.shape), float(contrast), turn)


def _spot(random: np.random.Generator, down: int, across: int, style: str) -> tuple[int, int]:
    if style == "corner":
        edge = random.integers(0, 4, 2)
        return int(edge[0] if random.random() < 0.5 else down - edge[0]), int(
            edge[1] if random.random() < 0.5 else across - edge[1]
        )
    return int(random.integers(down + 1)), int(random.integers(across + 1))


def cut(random: np.random.Generator, values: np.ndarray, side: int) -> np.ndarray:
    """Return a part of a picture of shape (side, side), turned, mirrored and scaled at random."""
    rows, columns = values.shape
    zoom = float(np.exp(random.uniform(np.log(0.6), np.log(1.8))))
    zoom = max(zoom, side / min(rows, columns))
    size = min(round(side / zoom), rows, columns)
    y, x = int(random.integers(rows - size + 1)), int(random.integers(columns - size + 1))
    part = np.rot90(values[y : y + size, x : x + size], int(random.integers(4)))
    if random.random() < 0.5:
        part = part[:, ::-1]
    kind = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), (side, side), interpolation=kind)
