"""What the cascade loses, and which pictures lose pixels, on a folder of CT and MR that served for nothing before.

The folder holds one folder a source, with DICOM instances (`*.dcm`) and NIfTI volumes (`ct_*.nii.gz`, `mr_*.nii.gz`)
without text. Half of the pictures are CT, half MR, each drawn by series; a volume is cut in the directions in which its
planes are large enough, each a series of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

import text_gate_samples as samples
import train_text_gate as training
from benchmarks.burned_in_text.backgrounds import Background
from benchmarks.burned_in_text.methods import POLICY, judged_boxes
from benchmarks.burned_in_text.scenes import write
from benchmarks.burned_in_text.texts import patient, pool_of
from phi_deid_pipeline.burned_in_text import gate
from phi_deid_pipeline.burned_in_text.prepare import is_constant
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.text_reading import TextReader

SMALLEST_PLANE = (
    140  # pixels; smaller planes of a volume are no pictures, larger ones are scaled up to what the gate takes
)
FLOAT_STEPS = 4095  # values that a volume of fractions is spread over
SLICES = 24  # of a series, evenly
SERIES_UID = 0x0020000E
STEP = 10  # pictures after which rows are kept
# Families of fonts that served training, the choice of the threshold or the first report.
KNOWN_FONTS = ("dejavu", "roboto", "sourcesans", "stix", "cm", "caladea", "lato")
GROUPS = ("upright", "rotated", "short", "corner", "faint")  # samples.STYLES as the tables name them


def pictures(folder: Path) -> dict[str, list[list[Background]]]:
    """Return the pictures of a folder by modality and series."""
    found: dict[str, list[list[Background]]] = {modality: [] for modality in samples.GATED}
    for source in sorted(path for path in folder.iterdir() if path.is_dir()):
        volumes = (cut for path in sorted(source.glob("*.nii.gz")) for cut in _planes(path, source.name))
        for series in (*_instances(source), *volumes):
            evenly = np.unique(np.linspace(0, len(series) - 1, min(SLICES, len(series))).round().astype(int))
            found[series[0].modality].append([series[n] for n in evenly])
    if not all(found.values()):
        raise SystemExit(f"{folder} holds no series of " + " and ".join(m for m, s in found.items() if not s))
    return found


def _instances(source: Path) -> list[list[Background]]:
    """Return the frames of the grey CT and MR instances of a folder that the gate may judge, series by series."""
    series: dict[str, list[Background]] = {}
    for path in sorted(source.glob("*.dcm")):
        with read_instance(path) as instance:
            uid = instance.text(SERIES_UID)
        opened = open_pixels(path)
        assert opened is not None, path
        with opened:
            modality, window = opened.modality, opened.window()
            if modality not in samples.GATED or opened.layout.samples != 1:
                continue
            for frame in opened.frames():
                image = displayed(opened, frame)
                if gate.eligible(*image.shape) and not is_constant(image):
                    series.setdefault(uid, []).append(_background(source.name, uid, modality, image, window))
    return [
        [_renamed(one, f"{source.name}/{number}") for one in series[uid]] for number, uid in enumerate(sorted(series))
    ]


def _renamed(one: Background, name: str) -> Background:
    return Background(one.source, name, one.modality, one.values, one.stored, one.bits, one.window)


def _planes(path: Path, source: str) -> Iterator[list[Background]]:
    modality = path.name[:2].upper()
    if modality not in samples.GATED:
        raise SystemExit(f"{path.name}: name volumes ct_*.nii.gz or mr_*.nii.gz")
    values = samples.volume(path)
    if (values % 1).any():
        values = (values - values.min()) * np.float32(FLOAT_STEPS / max(float(np.ptp(values)), 1e-6))
    for axis in range(3):
        if min(size for n, size in enumerate(values.shape) if n != axis) < SMALLEST_PLANE:
            continue
        planes = [_scaled(np.rot90(plane)) for plane in np.moveaxis(values, axis, 0)]
        name = f"{source}/{path.name.split('.')[0]} {'xyz'[axis]}"
        shown = [_background(source, name, modality, plane, None) for plane in planes if not is_constant(plane)]
        if shown:
            yield shown


def _scaled(plane: np.ndarray) -> np.ndarray:
    scale = 1.25 * samples.MIN_SIDE / min(plane.shape) if min(plane.shape) < samples.MIN_SIDE else 1.0
    return cv2.resize(np.ascontiguousarray(plane), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)


def _background(
    source: str, name: str, modality: str, image: np.ndarray, window: tuple[float, float] | None
) -> Background:
    signed = bool(image.min() < 0)
    return Background(
        source, name, modality, image.astype(np.float32), "int16" if signed else "uint16", 16, window
    )  # fmt: skip


def font_files(folders: Iterable[Path]) -> list[str]:
    """Return the font files of some folders; SystemExit where one is of a family that served before."""
    files = sorted((p for f in folders for s in ("*.ttf", "*.otf") for p in f.rglob(s)), key=lambda p: (p.name, str(p)))
    if known := [path.name for path in files if path.name.lower().startswith(KNOWN_FONTS)]:
        raise SystemExit("these fonts served training or choice already: " + ", ".join(known))
    if not files:
        raise SystemExit("name a folder with fonts (--fonts)")
    return [str(path) for path in files]


def planted_rows(found: dict[str, list[list[Background]]], fonts: list[str], seed: int, index: int) -> list[dict]:
    """Plant lines into one picture; return for each whether the full chain finds it and whether the cascade passes it."""
    random = np.random.default_rng([seed, index])
    series = found[samples.GATED[index % len(samples.GATED)]]
    group = series[random.integers(len(series))]
    background = group[random.integers(len(group))]
    image, lines = training.planted_on(random, background.values, fonts)
    full = training.judged_lines(image, lines)
    rows = training.line_rows(image, lines, (gate.THRESHOLD,))
    origin = {"source": background.source, "series": background.name, "modality": background.modality, "image": index}
    return [
        {**{key: value for key, value in row.items() if key != "kept"}, **origin}
        | {"found": was, "doubted": more and not was}
        | {"kept": row["kept"][gate.THRESHOLD], "by_gate": row["highest"] > gate.THRESHOLD}
        for row, (was, more) in zip(rows, full, strict=True)
    ]  # fmt: skip


def free_row(background: Background, number: int, seed: int, folder: Path, reader: TextReader, hide: str) -> dict:
    """Tell of a picture as it is whether the cascade sends it to the full chain, and whether it loses pixels in the end."""
    image = background.kept(background.values)
    stroke = gate.gate_map(image, invert=False, settings=reader.settings)
    passes = gate.may_hold_text(
        image, stroke, invert=False, window=background.window, settings=reader.settings
    )  # fmt: skip
    known = patient(np.random.default_rng([seed, number]), pool_of(seed))
    path = folder / f"free{number:05d}.dcm"
    write(path, background, image, known, seed + number)
    boxes = judged_boxes(path, reader.read(path), hide)
    path.unlink()
    return {
        "source": background.source, "series": background.name, "modality": background.modality,
        "rows": image.shape[0], "columns": image.shape[1], "to_full_chain": passes, "loses_pixels": bool(boxes),
    }  # fmt: skip


def measure_apart(
    folder: Path, fonts: list[str], *, seed: int, images: int, keep: Path, reuse: bool, console: Console
) -> dict:
    """Return the figures of a folder; rows are kept in `keep` and, with `reuse`, not made again."""
    found = pictures(folder)
    keep.mkdir(parents=True, exist_ok=True)
    lines = kept_rows(
        keep / f"apart_lines_{seed}.jsonl", reuse, images, lambda n: planted_rows(found, fonts, seed, n), console
    )
    flat = [one for modality in samples.GATED for series in found[modality] for one in series]
    reader, hide = TextReader(ReaderSettings(thoroughness="full")), load_policy(POLICY).hide
    free = kept_rows(
        keep / f"apart_free_{seed}.jsonl", reuse, len(flat),
        lambda n: [free_row(flat[n], n, seed, keep, reader, hide)], console,
    )  # fmt: skip
    return {
        "seed": seed, "images": images, "series": sum(map(len, found.values())), "fonts": len(fonts),
        "threshold": gate.THRESHOLD, "planted": len(lines), **figures(lines, free),
    }  # fmt: skip


def kept_rows(file: Path, reuse: bool, count: int, make: Callable[[int], list[dict]], console: Console) -> list[dict]:
    """Make the rows of each picture, or take them from a file of an earlier call; return all, in order."""
    known = [json.loads(line) for line in file.read_text().splitlines()] if reuse and file.is_file() else []
    with file.open("w", encoding="utf-8") as stream:
        for number in range(count):
            if number >= len(known):
                known.append(make(number))
            stream.write(json.dumps(known[number]) + "\n")
            if number % STEP == STEP - 1:
                stream.flush()
            if number % 100 == 99:
                console.print(f"{number + 1} of {count} pictures")
    return [row for rows in known for row in rows]


def figures(lines: list[dict], free: list[dict]) -> dict[str, Any]:
    """Count lines lost among those that the full chain finds, by group, modality and source; text-free pictures likewise."""
    found = [row for row in lines if row["found"]]
    passed = {row["image"] for row in lines if row["kept"]}
    losses = {"all": _loss(found)}
    losses |= {style: _loss(_styled(found, style)) for style in GROUPS}
    for key in ("modality", "source"):
        losses |= {f"{key} {v}": _loss([r for r in found if r[key] == v]) for v in sorted({r[key] for r in lines})}
    return {
        "lines": losses,
        "doubted": {name: _doubted(rows) for name, rows in {"all": lines, **{g: _styled(lines, g) for g in GROUPS}}.items()},
        "lost_by_gate": sum(not r["kept"] and not r["by_gate"] for r in found),
        "lost_with_their_picture": rate(sum(r["image"] not in passed for r in found), len(found)),
        "lost": [row for row in found if not row["kept"]],
        "free": {
            "all": _free_counts(free),
            **{f"source {v}": _free_counts([r for r in free if r["source"] == v]) for v in sorted({r["source"] for r in free})},
            **{f"modality {v}": _free_counts([r for r in free if r["modality"] == v]) for v in samples.GATED},
        },
        "free_that_lose_pixels": [row for row in free if row["loses_pixels"]],
    }  # fmt: skip


def rate(hits: int, count: int) -> dict[str, Any]:
    return {"of": count, "hits": hits, "percent": training.interval(hits, count)}


def _loss(rows: list[dict]) -> dict[str, Any]:
    return rate(sum(not row["kept"] for row in rows), len(rows))


def _styled(rows: list[dict], style: str) -> list[dict]:
    return [row for row in rows if row["style"] == style]


def _doubted(rows: list[dict]) -> dict[str, Any]:
    return rate(sum(row["doubted"] for row in rows), sum(row["found"] or row["doubted"] for row in rows))


def _free_counts(rows: list[dict]) -> dict[str, Any]:
    return {
        "series": len({row["series"] for row in rows}),
        "to_full_chain": rate(sum(row["to_full_chain"] for row in rows), len(rows)),
        "lose_pixels": rate(sum(row["loses_pixels"] for row in rows), len(rows)),
    }


def show_apart(found: dict, console: Console) -> None:
    """Print the figures."""
    console.print(
        f"seed {found['seed']}, {found['images']} pictures of {found['series']} series, {found['planted']} lines planted; "
        f"lost by the gate itself {found['lost_by_gate']}; lost because nothing in their picture passes "
        f"{told(found['lost_with_their_picture'])}"
    )
    table = Table(title="lines that the full chain finds and the cascade loses (exact 95 % interval)")
    for column in ("lines", "found", "lost", "per cent"):
        table.add_column(column)
    for name, one in found["lines"].items():
        table.add_row(name, str(one["of"]), str(one["hits"]), told(one))
    console.print(table)
    for name, one in found["doubted"].items():
        console.print(
            f"found, and left out because the gate doubts it, {name}: {one['hits']} of {one['of']}, {told(one)}"
        )
    table = Table(title="pictures without text")
    for column in ("pictures", "series", "number", "to the full chain", "lose pixels"):
        table.add_column(column)
    for name, one in found["free"].items():
        alarms, sent = one["lose_pixels"], one["to_full_chain"]
        table.add_row(name, str(one["series"]), str(sent["of"]), *(f"{n['hits']}: {told(n)}" for n in (sent, alarms)))
    console.print(table)


def told(one: dict) -> str:
    share, low, high = one["percent"]
    return f"{share:.2f} ({low:.2f}-{high:.2f})"
