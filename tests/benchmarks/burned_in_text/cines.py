"""What the cascade loses in cines: text that stands still, comes up, moves or counts, on frames that change.

Each cine shows one line that stands still and one of the other kinds, in fonts that the gate was not trained on. A line
counts in a frame if the pipeline hides it there with `ocr.thoroughness: full`; it is lost there if the cascade does not.
A third line names the patient in later frames alone; of it is told whether the default policy hides it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom import uid
from rich.console import Console
from rich.table import Table

import text_gate_samples as samples
from benchmarks.burned_in_text.apart import kept_rows, rate, told
from benchmarks.burned_in_text.backgrounds import GENERATED, REAL, Background, rough, tubes
from benchmarks.burned_in_text.methods import POLICY
from benchmarks.burned_in_text.plants import LARGE, largest
from benchmarks.burned_in_text.scenes import write
from benchmarks.burned_in_text.score import HIDDEN, mask_of
from benchmarks.burned_in_text.texts import Patient, identifying, patient, pool_of
from phi_deid_pipeline.burned_in_text.judge import judge
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.pixel_edit import redact
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Reading
from phi_deid_pipeline.series_text import read_series
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

FRAMES, ROWS, COLUMNS = 12, 360, 480
HEIGHTS = (8, 26)  # pixels of a capital letter
CONTRAST = (0.12, 1.0)  # of the picture's range
KINDS = ("still", "comes up", "moves", "counts")
LATE = "late"  # kind of the line that names the patient: no frame before the one in which it comes up shows it
LATE_STYLES = ("mixed", "upper", "digits", "grouped", "aged", "day_month", "large")
REAL_SHARE = 0.5  # of the cines, where real ones are given
CLASSES = {"US": uid.UltrasoundMultiFrameImageStorage, "XA": uid.XRayAngiographicImageStorage}


@dataclass(frozen=True, slots=True)
class CineLine:
    """One line: where its ink lies in each frame that shows it (bool; rows, columns)."""

    kind: str
    height: int
    ink: dict[int, np.ndarray]
    style: str = ""  # of a line that names the patient


def real_cines(files: list[Path]) -> list[tuple[str, np.ndarray]]:
    """Return modality and frames (uint8; frames, rows, columns) of grey multi-frame instances without text."""
    found = []
    for path in files:
        source = open_pixels(path)
        if source is None or source.modality not in CLASSES or source.layout.frames < FRAMES:
            raise SystemExit(f"{path.name} is no cine of {FRAMES} frames or more ({', '.join(CLASSES)})")
        with source:
            frames = np.stack([displayed(source, frame) for frame in source.frames()])
        if frames.dtype != np.uint8 or frames.ndim != 3 or min(frames.shape[1:]) < ROWS:
            raise SystemExit(f"{path.name}: frames have to be grey, of 8 bits, {ROWS} x {COLUMNS} pixels or more")
        found.append((source.modality, frames))
    return found


def ground(random: np.random.Generator, real: list[tuple[str, np.ndarray]]) -> tuple[str, str, np.ndarray]:
    """Return origin, modality and frames (float32, 0-255) of a cine without text."""
    if real and random.random() < REAL_SHARE:
        modality, frames = real[random.integers(len(real))]
        count, rows, columns = frames.shape
        step = int(random.integers(1, max((count - 1) // (FRAMES - 1), 1) + 1))
        first = int(random.integers(count - step * (FRAMES - 1)))
        y, x = int(random.integers(rows - ROWS + 1)), int(random.integers(columns - COLUMNS + 1))
        part = frames[first : first + step * FRAMES : step, y : y + ROWS, x : x + COLUMNS]
        return REAL, modality, part[..., :: random.choice([-1, 1])].astype(np.float32)
    return (GENERATED, "US", _sector(random)) if random.random() < 0.5 else (GENERATED, "XA", _vessels(random))


def _sector(random: np.random.Generator) -> np.ndarray:
    """Return a sector of tissue that moves to and fro under fresh speckle; what is around it stands still."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    radius, angle = np.hypot(y + 20, x - COLUMNS / 2), np.arctan2(x - COLUMNS / 2, y + 20)
    sector = (radius > 50) & (radius < ROWS * 0.95) & (abs(angle) < random.uniform(0.5, 0.9))
    tissue, reach = 0.6 + 0.5 * rough(random, ROWS, COLUMNS, (60, 25, 10)), random.uniform(0, 12)
    frames = []
    for number in range(FRAMES):
        moved = np.roll(tissue, round(reach * np.sin(number)), axis=0)
        speckle = cv2.GaussianBlur(random.rayleigh(1.0, (ROWS, COLUMNS)).astype(np.float32), (0, 0), 1.4)
        frames.append(np.where(sector, np.clip(70 * moved * speckle, 0, 255), 0))
    return np.stack(frames).astype(np.float32)


def _vessels(random: np.random.Generator) -> np.ndarray:
    """Return a still ground with noise into which vessels fill."""
    still = 150 + 25 * rough(random, ROWS, COLUMNS, (120, 45))
    filled = still.copy()
    tubes(random, filled, int(random.integers(3, 10)), -70, (2, 10))
    noise = random.uniform(1, 6)
    shares = np.clip(np.arange(FRAMES) / random.uniform(3, FRAMES), 0, 1)
    frames = [still + share * (filled - still) + random.normal(0, noise, still.shape) for share in shares]
    return np.stack(frames).astype(np.float32)


def plant(
    random: np.random.Generator,
    frames: np.ndarray,
    fonts: list[str],
    kind: str,
    taken: np.ndarray,
    style: str = "",
    text: str = "",
) -> CineLine | None:
    """Write a line into the frames that show it, in place, away from what is `taken`; None where there is no room."""
    font = fonts[random.integers(len(fonts))]
    text = text or samples.random_text(random, "upright")
    low, high = LARGE if style == "large" else HEIGHTS
    high = min(high, largest(samples.render(text, font, low, 1), low, (ROWS, COLUMNS)))
    if high < low:
        return None
    height = round(float(np.exp(random.uniform(*np.log((low, high))))))
    texts = dict.fromkeys(_shown_in(random, kind), text)
    if kind == "counts":
        start, label = int(random.integers(1000, 9000)), str(random.choice(["", "Im: ", "T ", "Frame "]))
        texts = {number: f"{label}{start + int(random.integers(1, 40)) * number}" for number in texts}
    masks = {number: samples.render(text, font, height, 1) for number, text in texts.items()}
    rows, columns = (max(mask.shape[axis] for mask in masks.values()) for axis in (0, 1))
    drift = random.integers(-6, 7, 2) if kind == "moves" else np.zeros(2, int)
    room = FRAMES * abs(drift)
    down, across = ROWS - rows - int(room[0]) - 4, COLUMNS - columns - int(room[1]) - 4
    if down < 1 or across < 1 or not rows:
        return None
    for _ in range(20):
        y, x = int(random.integers(2, down + 2)), int(random.integers(2, across + 2))
        place = np.s_[max(y - 10, 0) : y + rows + room[0] + 10, max(x - 10, 0) : x + columns + room[1] + 10]
        if not taken[place].any():
            break
    else:
        return None
    taken[place] = True
    middle = float(np.median(frames[:, y : y + rows, x : x + columns]))
    step = float(np.exp(random.uniform(*np.log(CONTRAST)))) * max(float(np.ptp(np.percentile(frames, (1, 99)))), 60.0)
    value = middle + step if middle < 128 else middle - step
    ink = {}
    for number, mask in masks.items():
        top, left = (
            at + int(number * shift if shift >= 0 else (number - FRAMES) * shift)
            for at, shift in zip((y, x), drift, strict=True)
        )
        part = frames[number, top : top + mask.shape[0], left : left + mask.shape[1]]
        part += (np.float32(np.clip(value, 0, 255)) - part) * (mask / np.float32(255))
        ink[number] = np.zeros((ROWS, COLUMNS), bool)
        ink[number][top : top + mask.shape[0], left : left + mask.shape[1]] = mask > 64
    return CineLine(kind, height, ink, style)


def _shown_in(random: np.random.Generator, kind: str) -> range:
    """Return the frames that show a line; half of those that come up go again before the middle or the last frame."""
    if kind not in ("comes up", LATE):
        return range(FRAMES)
    if random.random() < 0.5:
        return range(int(random.integers(1, FRAMES)), FRAMES)
    half = FRAMES // 2
    first = int(random.integers(1, half - 1)) + (half if random.random() < 0.5 else 0)
    return range(first, min(first + int(random.integers(1, 4)), half if first < half else FRAMES - 1))


def _write(path: Path, modality: str, frames: np.ndarray, known: Patient, number: int) -> None:
    values = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    write(path, Background(GENERATED, "cine", modality, frames[0], "uint8", 8), values[0], known, number)
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CLASSES[modality]
    dataset.NumberOfFrames, dataset.PixelData = len(values), values.tobytes()
    dataset.save_as(path)


def read(path: Path, settings: ReaderSettings) -> Reading:
    """Return what the pipeline reads in a cine."""
    (reading,) = read_series(TextReader(settings), [path])
    return reading


def hidden(path: Path, reading: Reading, hide: str, lexicon: Lexicon) -> dict[int, np.ndarray]:
    """Return what is filled in each frame (bool; rows, columns) of what was read, if that policy says what to hide."""
    (found,) = judge([("", path.name, reading)], lexicon, hide, {})
    boxes = redact(path, found.fills, found.frame_fills).boxes if found.fills or found.frame_fills else ()
    return {
        number: mask_of([box for at, box in boxes if at in (-1, number)], ROWS, COLUMNS) for number in range(FRAMES)
    }  # fmt: skip


def cine_rows(real: list[tuple[str, np.ndarray]], fonts: list[str], seed: int, number: int, folder: Path) -> list[dict]:
    """Make one cine, read it both ways; return for each of its lines the frames that each way hides."""
    random, pool = np.random.default_rng([seed, number]), pool_of(seed)
    known = patient(random, pool)
    origin, modality, frames = ground(random, real)
    taken = np.zeros((ROWS, COLUMNS), bool)
    planted = [plant(random, frames, fonts, kind, taken) for kind in (KINDS[0], KINDS[1 + number % 3])]
    style = LATE_STYLES[number % len(LATE_STYLES)]
    text = identifying(random, known, pool, style)
    planted.append(plant(random, frames, fonts, LATE, taken, style, text))
    path = folder / f"cine{number:05d}.dcm"
    _write(path, modality, frames, known, seed + number)
    with read_instance(path) as instance:
        lexicon = Lexicon(harvest(instance))
    readings = {name: read(path, ReaderSettings(thoroughness=name)) for name in ("full", "cascade")}
    ways = {name: hidden(path, reading, "all_text", Lexicon(())) for name, reading in readings.items()}
    ways["policy"] = hidden(path, readings["full"], load_policy(POLICY).hide, lexicon)
    path.unlink()
    return [
        {
            "kind": line.kind, "style": line.style, "height": line.height, "ground": f"{origin} {modality}", "cine": number,
            "shown": sorted(line.ink),
            **{name: [n for n in sorted(line.ink) if _share(line.ink[n], filled[n]) >= HIDDEN] for name, filled in ways.items()},
        }
        for line in planted
        if line is not None
    ]  # fmt: skip


def _share(ink: np.ndarray, filled: np.ndarray) -> float:
    return float((ink & filled).sum() / ink.sum())


def measure_cines(
    files: list[Path], fonts: list[str], *, seed: int, images: int, keep: Path, reuse: bool, console: Console
) -> dict:
    """Return the figures of `images` cines; rows are kept in `keep` and, with `reuse`, not made again."""
    real = real_cines(files)
    keep.mkdir(parents=True, exist_ok=True)
    make: Callable[[int], list[dict]] = lambda n: cine_rows(real, fonts, seed, n, keep)  # noqa: E731
    rows = kept_rows(keep / f"cines_{seed}.jsonl", reuse, images, make, console)
    return {"seed": seed, "images": images, "planted": len(rows), **figures(rows)}


def figures(rows: list[dict]) -> dict[str, Any]:
    """Count lines of which the cascade leaves a frame that the full chain hides, and such frames; by kind and ground.

    Lines that name the patient are counted apart: by style, those that the default policy hides wherever they show.
    """
    named = [row for row in rows if row["kind"] == LATE]
    rows = [row for row in rows if row["kind"] != LATE]
    groups = {"all": rows} | {kind: [r for r in rows if r["kind"] == kind] for kind in KINDS}
    groups |= {name: [r for r in rows if r["ground"] == name] for name in sorted({r["ground"] for r in rows})}
    told_of = {}
    for name, members in groups.items():
        found = [(set(r["full"]), set(r["cascade"])) for r in members if r["full"]]
        told_of[name] = {
            "lines": rate(sum(bool(full - cascade) for full, cascade in found), len(found)),
            "wholly": sum(not full & cascade for full, cascade in found),
            "frames": rate(sum(len(f - c) for f, c in found), sum(len(f) for f, _ in found)),
            "only_cascade": sum(len(set(r["cascade"]) - set(r["full"])) for r in members),
        }
    lost = [row for row in rows if set(row["full"]) - set(row["cascade"])]
    styles = sorted({row["style"] for row in named})
    of_style = {"all": named} | {f"style {style}": [r for r in named if r["style"] == style] for style in styles}
    return {"groups": told_of, "lost": lost, "named": {name: _hidden_of(rows) for name, rows in of_style.items()}}


def _hidden_of(rows: list[dict]) -> dict[str, Any]:
    frames = rate(sum(len(r["policy"]) for r in rows), sum(len(r["shown"]) for r in rows))
    return {"lines": rate(sum(r["policy"] == r["shown"] for r in rows), len(rows)), "frames": frames}


def show_cines(found: dict, console: Console) -> None:
    """Print the figures."""
    table = Table(
        title=f"{found['images']} cines, seed {found['seed']}, {found['planted']} lines planted: what the cascade loses"
    )
    for column in (
        "lines",
        "hidden by the full chain",
        "lost in a frame",
        "per cent",
        "lost in all",
        "frames lost",
        "only cascade hides",
    ):
        table.add_column(column)
    for name, one in found["groups"].items():
        lines, frames = one["lines"], one["frames"]
        table.add_row(
            name, str(lines["of"]), str(lines["hits"]), told(lines), str(one["wholly"]),
            f"{frames['hits']} of {frames['of']}", str(one["only_cascade"]),
        )  # fmt: skip
    console.print(table)
    table = Table(
        title="lines that name the patient, in later frames alone: hidden by the default policy wherever they show"
    )
    for column in ("lines", "number", "hidden", "per cent", "frames hidden"):
        table.add_column(column)
    for name, one in found["named"].items():
        lines, frames = one["lines"], one["frames"]
        table.add_row(name, str(lines["of"]), str(lines["hits"]), told(lines), f"{frames['hits']} of {frames['of']}")
    console.print(table)
