"""Pictures without text: frames of real instances, and generated ones of every modality that shows text."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from phi_deid_pipeline.burned_in_text.prepare import is_constant
from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.pixel_read import displayed, open_pixels

MIN_SIDE = 100  # pixels; smaller pictures hold no line
GATE_SIDE = 200  # pixels; training of the gate saw frames of CT and MR from this size on
ENLARGED_UNDER = 260  # pixels; half of the pictures under it are doubled, so that lines fit
USABLE = ("permissive", "CC BY")  # classes of licence whose pictures may be used
NOISE = ("dicom2nifti",)  # sources whose authors replaced the pixels by noise: no pictures
GENERATED, REAL = "generated", "real"
# Of pydicom's wheel, looked at: no text in them.
WHEEL = (
    "CT_small.dcm", "MR_small.dcm", "693_J2KI.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "image_dfl.dcm",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Background:
    """A picture in stored values (float32; rows, columns or rows, columns, 3), and how it is stored and shown."""

    source: str  # generated, or real
    name: str
    modality: str
    values: np.ndarray
    stored: str  # numpy type of the stored values
    bits: int
    window: tuple[float, float] | None = None  # (low, high) in stored values, as in the header
    inverted: bool = False  # MONOCHROME1
    trained: bool = False  # pictures of this series may have been seen when the gate was trained

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and highest value that can be stored."""
        return (
            (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.stored == "int16" else (0, (1 << self.bits) - 1)
        )

    def kept(self, image: np.ndarray) -> np.ndarray:
        """Return an image as it will be stored."""
        return np.clip(np.rint(image), *self.limits).astype(self.stored)

    def shown(self, image: np.ndarray) -> np.ndarray:
        """Render an image as 8-bit grey, with the header's window or all but the outermost hundredth of its values."""
        values = np.clip(image, *self.limits)
        if values.ndim == 3:
            return np.clip(np.rint(values.mean(axis=2)), 0, 255).astype(np.uint8)
        low, high = self.window or (float(v) for v in np.percentile(values, (0.5, 99.5)))
        if high <= low:
            low, high = float(values.min()), float(values.max())
        grey = np.clip(np.rint((values - low) * (255.0 / max(high - low, 1e-6))), 0, 255).astype(np.uint8)
        return 255 - grey if self.inverted else grey


# --- real ones ------------------------------------------------------------------------------------------------------


def real_series(data: Path) -> list[list[tuple[str, Path]]]:
    """Return the paths with modality of usable pictures without text, series by series; of pydicom's wheel without `data`."""
    if not (data / "index.tsv").is_file():
        return [[("", path)] for path in wheel_files()]
    with (data / "LICENSES.tsv").open(encoding="utf-8") as lines:
        usable = {r["source"] for r in csv.DictReader(lines, delimiter="\t") if r["class"].startswith(USABLE)}
    with (data / "index.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    series: dict[tuple[str, str, str], list[tuple[str, Path]]] = {}
    for row in sorted(rows, key=lambda r: r["path"]):
        large = min(int(row["rows"] or 0), int(row["cols"] or 0)) >= MIN_SIDE
        if row["source"] in usable - {*NOISE} and large and row["burned_in_text_visible"].startswith("no"):
            key = row["source"], row["modality"], row["series_uid_tail"]
            series.setdefault(key, []).append((row["modality"], data / row["path"]))
    return [series[key] for key in sorted(series)]


def wheel_files() -> list[Path]:
    """Return the pictures without text that come with pydicom."""
    package = find_spec("pydicom")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "data" / "test_files"
    return [folder / name for name in WHEEL if (folder / name).is_file()]


def real(path: Path, modality: str) -> Background | None:
    """Return the first frame of an instance, None where it is nothing to plant on (broken, constant, of reals)."""
    try:
        source = open_pixels(path)
        if source is None:
            return None
        with source:
            image = displayed(source, next(source.frames()))
            window, layout = source.window(), source.layout
            modality = modality or source.modality or "OT"
    except (UnreadableInstance, DeidError):
        return None  # broken on purpose: some instances of the data are
    if is_constant(image) or image.dtype.kind == "f":
        return None
    signed, bits = image.dtype.kind == "i", 8 if image.ndim == 3 or image.dtype == np.uint8 else layout.stored
    if bits > 16 or min(image.shape[:2]) < MIN_SIDE:
        return None
    return Background(
        REAL, path.name, modality, image.astype(np.float32), "int16" if signed else "uint8" if bits <= 8 else "uint16",
        bits, window, layout.photometric == "MONOCHROME1",
        modality in ("CT", "MR") and min(image.shape[:2]) >= GATE_SIDE,
    )  # fmt: skip


def varied(random: np.random.Generator, found: Background) -> Background:
    """Return a real picture mirrored or not, doubled where it is small: so that few pictures give many grounds."""
    values = found.values[:, ::-1] if random.random() < 0.5 else found.values
    if min(values.shape[:2]) < ENLARGED_UNDER and random.random() < 0.5:
        values = cv2.resize(np.ascontiguousarray(values), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return replace(found, values=np.ascontiguousarray(values))


# --- generated ones -------------------------------------------------------------------------------------------------


def _plane(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].astype(np.float32)
    return y, x


def rough(random: np.random.Generator, rows: int, columns: int, sizes: tuple[float, ...]) -> np.ndarray:
    """Return noise of mean 0 made of spots of these sizes in pixels, the larger the stronger."""
    total = np.zeros((rows, columns), np.float32)
    for size in sizes:
        small = random.standard_normal((max(3, int(rows / size)), max(3, int(columns / size)))).astype(np.float32)
        total += cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC) * np.float32(size / sizes[0]) ** 0.8
    return total


def tubes(random: np.random.Generator, image: np.ndarray, count: int, strength: float, widths: tuple[int, int]) -> None:
    rows, columns = image.shape
    for _ in range(count):
        steps = np.cumsum(random.normal(0, rows / 12, (8, 2)), axis=0) + random.uniform(0.2, 0.8, 2) * (columns, rows)
        layer = np.zeros(image.shape, np.float32)
        cv2.polylines(layer, [np.rint(steps).astype(np.int32)], False, 1.0, int(random.integers(*widths)), cv2.LINE_AA)
        image += cv2.GaussianBlur(layer, (0, 0), 1.0) * np.float32(strength)


def _ct(random: np.random.Generator) -> Background:
    y, x = _plane(512, 512)
    body = (x * random.uniform(1.05, 1.3)) ** 2 + (y * random.uniform(1.3, 1.8)) ** 2
    image = np.where(body < 0.9, 45.0, -1000.0).astype(np.float32)
    image[(body > 0.78) & (body < 0.9)] = -95
    for _ in range(int(random.integers(4, 12))):
        cx, cy = random.uniform(-0.45, 0.45), random.uniform(-0.3, 0.3)
        a, b = random.uniform(0.03, 0.3, 2)
        image[((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1] = random.choice([-850.0, -60.0, 20.0, 70.0, 130.0, 600.0])
    image += rough(random, 512, 512, (40, 12)) * 12
    image = cv2.GaussianBlur(image, (0, 0), 0.9) + cv2.GaussianBlur(
        random.normal(0, random.uniform(15, 60), image.shape).astype(np.float32), (0, 0), 0.6
    )
    window = [(-160.0, 240.0), (-1350.0, 150.0), None][random.integers(3)]
    return Background(GENERATED, "ct", "CT", image, "int16", 16, window)


def _mr(random: np.random.Generator) -> Background:
    side = int(random.choice([256, 320, 448]))
    y, x = _plane(side, side)
    radius = np.hypot(x * random.uniform(1.1, 1.4), y * random.uniform(1.0, 1.2))
    folds = rough(random, side, side, (side / 8, side / 20, side / 45))
    image = np.where(radius < 0.72, 420 + 140 * np.tanh(2 * folds), 0.0)
    image += 900 * np.exp(-(((radius - 0.86) / 0.035) ** 2))
    image *= 1 + 0.4 * rough(random, side, side, (side / 2,))
    noise = random.uniform(8, 40)
    image = np.hypot(image + random.normal(0, noise, image.shape), random.normal(0, noise, image.shape))
    return Background(GENERATED, "mr", "MR", image.astype(np.float32), "uint16", 12)


def _us(random: np.random.Generator) -> Background:
    rows, columns = ((480, 640), (600, 800))[random.integers(2)]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    radius, angle = np.hypot(y + 30, x - columns / 2), np.arctan2(x - columns / 2, y + 30)
    sector = (radius > 70) & (radius < rows * 0.95) & (abs(angle) < random.uniform(0.5, 0.9))
    tissue = 0.6 + 0.5 * rough(random, rows, columns, (60, 25, 10))
    speckle = cv2.GaussianBlur(random.rayleigh(1.0, (rows, columns)).astype(np.float32), (0, 0), 1.4)
    image = np.where(sector, np.clip(70 * tissue * speckle, 0, 255), 0).astype(np.float32)
    if random.random() < 0.4:
        return Background(GENERATED, "us", "US", image, "uint8", 8)
    colour = np.repeat(image[..., None], 3, axis=2)
    if random.random() < 0.5:
        flow = (rough(random, rows, columns, (50, 20)) > 0.9) & sector & (abs(angle) < 0.3)
        colour[flow] = np.stack([image[flow] + 90, image[flow] * 0.3, 40 + 0 * image[flow]], axis=-1)
    return Background(GENERATED, "us colour", "US", np.clip(colour, 0, 255), "uint8", 8)


def _xa(random: np.random.Generator) -> Background:
    image = 620 + 160 * rough(random, 512, 512, (160, 60))
    tubes(random, image, int(random.integers(3, 12)), -260, (2, 12))
    image += random.normal(0, random.uniform(8, 30), image.shape).astype(np.float32)
    y, x = _plane(512, 512)
    image[np.hypot(x, y) > random.uniform(1.0, 1.5)] = 0
    return Background(GENERATED, "xa", "XA", image.astype(np.float32), "uint16", 10)


def _radiograph(random: np.random.Generator, modality: str) -> Background:
    rows, columns = (1024, 832) if modality == "CR" else (1152, 960)
    y, x = _plane(rows, columns)
    image = 2600 - 900 * np.exp(-((x / 0.16) ** 2)) + 250 * rough(random, rows, columns, (240, 90, 30))
    for at in np.arange(-0.9, 0.9, random.uniform(0.14, 0.22)):
        rib = np.abs(y - at - 0.35 * x**2 * np.sign(at + 0.01))
        image -= 330 * np.exp(-((rib / 0.025) ** 2)) * (np.abs(x) > 0.12)
    image[(np.abs(x) > random.uniform(0.85, 1.1)) | (y < -random.uniform(0.9, 1.2))] = 3900
    image += random.normal(0, random.uniform(10, 60), image.shape)
    inverted = bool(random.random() < 0.5)
    image = image if inverted else 4095 - image
    return Background(GENERATED, modality.lower(), modality, image.astype(np.float32), "uint16", 12, None, inverted)


def _mg(random: np.random.Generator) -> Background:
    y, x = _plane(1200, 960)
    inside = ((x + 1) / random.uniform(1.1, 1.6)) ** 2 + (y / random.uniform(0.7, 0.95)) ** 2
    tissue = 1800 + 420 * rough(random, 1200, 960, (120, 40, 12))
    image = np.where(inside < 1, tissue * np.sqrt(np.clip(1.05 - inside, 0, 1)), 0)
    tubes(random, image, 12, 160, (2, 5))
    image = np.where(inside < 1.05, image, 0) + np.abs(random.normal(0, 6, image.shape))
    return Background(GENERATED, "mg", "MG", image.astype(np.float32), "uint16", 12)


def _counts(random: np.random.Generator, modality: str) -> Background:
    side = int(random.choice([128, 256])) if modality == "NM" else int(random.choice([168, 256]))
    y, x = _plane(side, side)
    rate = np.where((x * 1.8) ** 2 + y**2 < 0.9, 6.0, 0.3)
    for _ in range(int(random.integers(2, 9))):
        cx, cy, size = *random.uniform(-0.5, 0.5, 2), random.uniform(0.03, 0.2)
        rate = rate + random.uniform(5, 60) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / size**2)
    rate *= random.uniform(0.5, 4)
    image = (
        random.poisson(rate) if modality == "NM" else 90 * cv2.GaussianBlur(random.poisson(rate * 4.0) * 1.0, (0, 0), 2)
    )
    return Background(GENERATED, modality.lower(), modality, np.asarray(image, np.float32), "uint16", 16)


def _capture(random: np.random.Generator) -> Background:
    rows, columns = ((480, 640), (600, 800))[random.integers(2)]
    image = np.empty((rows, columns, 3), np.float32)
    image[:] = random.choice([0, 30, 128, 200, 255]) + random.uniform(-20, 20, 3)
    for _ in range(int(random.integers(1, 6))):
        top, left = int(random.integers(rows - 60)), int(random.integers(columns - 60))
        bottom, right = int(random.integers(top + 40, rows)), int(random.integers(left + 40, columns))
        image[top:bottom, left:right] = random.uniform(0, 255, 3)
        if random.random() < 0.5:
            image[top:bottom, left:right] += 40 * rough(random, bottom - top, right - left, (30, 8))[..., None]
    return Background(GENERATED, "capture", "OT", np.clip(image, 0, 255), "uint8", 8)


MAKERS: dict[str, Callable[[np.random.Generator], Background]] = {
    "CT": _ct, "MR": _mr, "US": _us, "XA": _xa, "CR": lambda r: _radiograph(r, "CR"),
    "DX": lambda r: _radiograph(r, "DX"), "MG": _mg, "NM": lambda r: _counts(r, "NM"), "PT": lambda r: _counts(r, "PT"),
    "OT": _capture,
}  # fmt: skip


def generated(random: np.random.Generator, modality: str) -> Background:
    """Return a picture of a modality: a body, its noise, what scanners put around it."""
    return MAKERS[modality](random)


# --- what looks like text and is none -------------------------------------------------------------------------------


def mark(random: np.random.Generator, image: np.ndarray) -> None:
    """Draw rulers, grids, curves, crosses or regions into an image, in place, as viewers and devices do."""
    rows, columns = image.shape[:2]
    low, high = (float(v) for v in np.percentile(image, (1, 99)))
    level = high + random.uniform(0, 0.4) * max(high - low, 1.0)
    colour = (level,) * 3 if image.ndim == 3 else level
    kind, x, y = int(random.integers(5)), int(random.integers(columns)), int(random.integers(rows))
    if kind == 0:
        for number, at in enumerate(range(rows // 4, rows * 3 // 4, int(random.integers(6, 20)))):
            cv2.line(image, (columns - 6, at), (columns - (18 if number % 5 == 0 else 11), at), colour, 1)
    elif kind == 1:
        for at in range(0, columns, int(random.integers(24, 90))):
            cv2.line(image, (at, 0), (at, rows), colour, 1)
    elif kind == 2:
        across = np.arange(0, columns, 2)
        beat = (
            rows * 0.85 + rows * 0.05 * np.sin(across / 9) - rows * 0.1 * (across % int(random.integers(40, 120)) < 5)
        )
        cv2.polylines(image, [np.stack([across, beat], 1).astype(np.int32)], False, colour, 1, cv2.LINE_AA)
    elif kind == 3:
        for _ in range(int(random.integers(1, 5))):
            place = int(random.integers(columns)), int(random.integers(rows))
            cv2.drawMarker(image, place, colour, int(random.integers(0, 4)), int(random.integers(7, 20)), 1)
        cv2.line(image, (x, y), (int(random.integers(columns)), int(random.integers(rows))), colour, 1, cv2.LINE_AA)
    else:
        cv2.ellipse(image, (x, y), (columns // 12, rows // 15), 0, 0, 360, colour, 1, cv2.LINE_AA)
        cv2.arrowedLine(image, (x, y), (x + columns // 10, y + rows // 14), colour, 1, cv2.LINE_AA)
