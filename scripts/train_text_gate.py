"""Make, train, export and evaluate the text gate: one command, minutes on two cores, outside the run-time environment.

    python -m venv gate && gate/bin/pip install -r envs/requirements.lock torch==2.13.0 onnx &&
    gate/bin/pip install --no-deps -r envs/models.lock
    gate/bin/python scripts/train_text_gate.py --data DIR --work DIR [--fonts DIR ...] [--volume FILE ...]

The data folder has `index.tsv` and `LICENSES.tsv`; only pictures that may be used so are taken. The teacher is the
detector of the chain: a planted line counts as text only where the detector finds it, so that the gate learns to pass
what the chain can find. Pictures, fonts and seeds are of three roles: the network is trained on the first, its threshold
chosen on the second, what it loses reported on the third. A second call goes on where files of the first lie.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import text_gate_samples as samples
from phi_deid_pipeline.boxes import clipped
from phi_deid_pipeline.burned_in_text.detect import detect
from phi_deid_pipeline.burned_in_text.gate import THRESHOLD
from phi_deid_pipeline.burned_in_text.prepare import prepare
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

TARGET = Path(__file__).resolve().parents[1] / "resources" / "burned_in_text" / "text_gate.onnx"
TRAIN_SEED, SEEDS = 20, {"tune": 7_000_000, "report": 8_000_000}
SIDE, PADDING, STRIDE = 256, 32, 8  # pixels
MAP = SIDE + 2 * PADDING
TILES = MAP // STRIDE
MAX_LINES = 5
REAL_SHARE, PLANTED_SHARE, DISTRACTED_SHARE = 0.7, 0.6, 0.35
# Few series are free to be used: samples from this number on have grounds that none of them shows.
AS_THEY_ARE, BLENDED_SHARE, WARPED_SHARE = 9000, 0.4, 0.5
STYLE_SHARES = (0.4, 0.25, 0.15, 0.1, 0.1)  # in the order of samples.STYLES
FOUND = 0.9  # share of a line's ink that the teacher's boxes cover
TILE_INK = 6  # pixels of ink from which a tile belongs to a line
HALO = 20  # pixels around ink that count neither as text nor as none
TEACHER_SCALE = 1.5
IGNORED = -1
WINDOW = 20  # tiles; side of the part of a map that a step of the training sees
ON_LINE = 0.7  # share of the parts that are cut around a line, where there is one
PART = 600  # samples a file
SAMPLES, STEPS = 12_000, 6000


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker process needs to make samples."""

    data: Path
    volumes: tuple[Path, ...]
    fonts: tuple[Path, ...]


_state: dict[str, Any] = {}


def _start(job: Job, role: str = "train") -> None:
    cv2.setNumThreads(1)
    found = samples.backgrounds(job.data)
    for volume in job.volumes:
        found += samples.volume_backgrounds(volume)
    _state["backgrounds"] = by_source([background for background in found if samples.role_of(background) == role])
    _state["fonts"] = samples.font_names(list(job.fonts), role)


def by_source(found: list[samples.Background]) -> list[list[samples.Background]]:
    """Return backgrounds in groups of one series each, so that every series is drawn equally often."""
    groups: dict[str, list[samples.Background]] = {}
    for background in found:
        groups.setdefault(background.series, []).append(background)
    return [groups[key] for key in sorted(groups)]


def make_sample(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return stroke map (320 x 320) and labels of its 40 x 40 tiles (0 none, -1 ignored, n of line n) of a sample."""
    random = np.random.default_rng([TRAIN_SEED, index])
    image = _ground(random)
    if index >= AS_THEY_ARE and random.random() < BLENDED_SHARE:
        image = samples.blended(random, image, _ground(random))
    if index >= AS_THEY_ARE and random.random() < WARPED_SHARE:
        image = samples.warped(random, image)
    if random.random() < DISTRACTED_SHARE:
        samples.draw_distractors(random, image)
    image = samples.degrade(random, image)
    lines: list[samples.Planted] = []
    if random.random() < PLANTED_SHARE:
        taken = np.zeros(image.shape, bool)
        for _ in range(random.integers(1, MAX_LINES + 1)):
            style = samples.STYLES[random.choice(len(samples.STYLES), p=STYLE_SHARES)]
            line = samples.plant(random, image, _state["fonts"], taken, style)
            lines += [line] if line else []
    stroke = prepare(image, padding=PADDING).stroke
    return stroke, label(stroke, lines)


def _ground(random: np.random.Generator) -> np.ndarray:
    if random.random() < REAL_SHARE:
        group = _state["backgrounds"][random.integers(len(_state["backgrounds"]))]
        return samples.cut(random, group[random.integers(len(group))].values, SIDE)
    return samples.generated(random, SIDE)


def label(stroke: np.ndarray, lines: list[samples.Planted]) -> np.ndarray:
    """Ask the teacher and return the labels of the tiles."""
    labels = np.zeros((TILES, TILES), np.int8)
    if not lines:
        return labels
    covered = np.zeros((SIDE, SIDE), bool)
    for candidate in detect(stroke, TEACHER_SCALE, ReaderSettings()):
        box = candidate.box()
        box = clipped(Box(box.x - PADDING, box.y - PADDING, box.w, box.h), SIDE, SIDE)
        covered[box.y : box.y + box.h, box.x : box.x + box.w] = True
    for number, line in enumerate(lines, start=1):
        ink = np.pad(line.ink, PADDING).astype(np.uint8)
        near = cv2.dilate(ink, np.ones((2 * HALO + 1, 2 * HALO + 1), np.uint8))
        halo = _per_tile(near) > 0
        labels[halo & (labels == 0)] = IGNORED
        if (covered & line.ink).sum() >= FOUND * line.ink.sum():
            labels[_per_tile(ink) >= min(TILE_INK, int(line.ink.sum()))] = number
    return labels


def _per_tile(mask: np.ndarray) -> np.ndarray:
    return mask.reshape(TILES, STRIDE, TILES, STRIDE).sum(axis=(1, 3), dtype=np.int64)


def make_maps(job: Job, work: Path, count: int, processes: int) -> None:
    """Write stroke maps and labels of all samples into the work folder in parts, those left out that lie there."""
    starts = [start for start in range(0, count, PART) if not (work / f"part{start:06d}.npz").exists()]
    if not starts:
        return
    with multiprocessing.get_context("spawn").Pool(processes, _start, (job,)) as pool:
        for start in starts:
            made = pool.map(make_sample, range(start, min(start + PART, count)), chunksize=8)
            maps, labels = (np.stack(column) for column in zip(*made, strict=True))
            np.savez(work / f"part{start:06d}.npz", maps=maps, labels=labels)
            print(f"samples: {start + len(maps)} of {count}", flush=True)


def load_maps(work: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return stroke maps and labels of all samples."""
    parts = [np.load(path) for path in sorted(work.glob("part*.npz"))]
    maps, labels = (np.concatenate([part[name] for part in parts]) for name in ("maps", "labels"))
    return maps, labels


# --- network --------------------------------------------------------------------------------------------------------

# (kind, channels in, channels out, side of the kernel, stride, dilation); "residual" adds its input.
LAYERS = (
    ("conv", 1, 12, 5, 2, 1),
    ("separable", 12, 24, 3, 2, 1),
    ("separable", 24, 24, 3, 1, 1),
    ("separable", 24, 64, 5, 2, 1),
    ("residual", 64, 64, 5, 1, 1),
    ("residual", 64, 64, 5, 1, 1),
    ("residual", 64, 64, 5, 1, 2),
    ("residual", 64, 64, 5, 1, 1),
    ("residual", 64, 64, 5, 1, 2),
    ("residual", 64, 64, 5, 1, 1),
    ("logit", 64, 1, 1, 1, 1),
)


NORM_EPSILON = 1e-5


def network() -> Any:
    """Return the network as a torch module: stroke map in [-1, 1] of (n, 1, rows, columns) -> a logit per 8 x 8 pixels."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, kind: str, before: int, after: int, side: int, stride: int, dilation: int) -> None:
            super().__init__()
            self.kind = kind
            pad = side // 2 * dilation
            if kind in ("separable", "residual"):
                self.depth = nn.Conv2d(before, before, side, stride, pad, dilation=dilation, groups=before)
                self.point = nn.Conv2d(before, after, 1)
            else:
                self.point = nn.Conv2d(before, after, side, stride, pad, dilation=dilation)
            self.norm = nn.Identity() if kind == "logit" else nn.BatchNorm2d(after, NORM_EPSILON)

        def forward(self, x: Any) -> Any:
            y = self.point(self.depth(x)) if self.kind in ("separable", "residual") else self.point(x)
            y = self.norm(y)
            if self.kind == "logit":
                return y
            return (x + y).relu() if self.kind == "residual" else y.relu()

    return nn.Sequential(*(Block(*layer) for layer in LAYERS))


def loss_of(logits: Any, labels: Any) -> Any:
    """Return the loss: softly pooled maximum a line, the six worst tiles without text a map, cross-entropy of all tiles."""
    import torch
    from torch.nn import functional

    flat, tiles = logits.flatten(1), labels.flatten(1)
    plain = functional.binary_cross_entropy_with_logits(flat, (tiles > 0).float(), reduction="none")
    weight = torch.where(tiles > 0, 2.0, 1.0) * (tiles >= 0)
    loss = (plain * weight).sum() / weight.sum() * 2
    negative = torch.where(tiles == 0, flat, -1e4).topk(6, dim=1).values
    loss = loss + functional.softplus(negative)[negative > -1e3].mean()
    lines = torch.nn.functional.one_hot(tiles.clamp(min=0).long(), MAX_LINES + 1)[..., 1:].permute(0, 2, 1)
    there = lines.any(dim=2)
    score = torch.where(lines > 0, flat[:, None], -1e4)
    pooled = (score.softmax(dim=2) * torch.where(lines > 0, flat[:, None], 0.0)).sum(dim=2)
    return loss + 1.5 * functional.softplus(-pooled)[there].sum() / there.sum().clamp(min=1)


def train(work: Path, steps: int, batch: int = 16) -> Path:
    """Train on all samples and write the weights; return their file."""
    target = work / "weights.npz"
    if target.exists():
        return target
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(TRAIN_SEED)
    random = np.random.default_rng([TRAIN_SEED, 99])
    maps, labels = load_maps(work)
    net = network().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps, pct_start=0.1)
    began, mean = time.monotonic(), 0.0
    for step in range(steps):
        picked = np.sort(random.choice(len(maps), batch, replace=False))
        parts = [_part(random, maps[n], labels[n]) for n in picked]
        quarter = int(random.integers(4)) if random.random() < 0.3 else 0
        strokes, tiles = (np.rot90(np.stack(column), quarter, (1, 2)) for column in zip(*parts, strict=True))
        inputs = augmented(random, strokes)
        logits = net(torch.from_numpy(inputs).to(memory_format=torch.channels_last))[:, 0]
        loss = loss_of(logits, torch.from_numpy(tiles.copy()))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        mean += (loss.item() - mean) / min(step + 1, 50)
        if step % 50 == 49:
            print(f"step {step + 1} of {steps}, loss {mean:.3f}, {time.monotonic() - began:.0f} s", flush=True)
    np.savez(target, **folded({key: value.numpy() for key, value in net.state_dict().items()}))
    return target


def _part(random: np.random.Generator, strokes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of a map of WINDOW x WINDOW tiles, mostly one that shows a line, with its labels."""
    y, x = random.integers(0, TILES - WINDOW + 1, 2)
    text = np.argwhere(labels > 0)
    if len(text) and random.random() < ON_LINE:
        y, x = np.clip(text[random.integers(len(text))] - random.integers(2, WINDOW - 2, 2), 0, TILES - WINDOW)
    part = strokes[y * STRIDE : (y + WINDOW) * STRIDE, x * STRIDE : (x + WINDOW) * STRIDE]
    return part, labels[y : y + WINDOW, x : x + WINDOW]


def folded(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the weights with each normalisation drawn into the convolution before it."""
    weights = {key: value for key, value in state.items() if ".norm." not in key}
    for key in [key for key in state if key.endswith("norm.weight")]:
        block = key.removesuffix(".norm.weight")
        scale = state[key] / np.sqrt(state[f"{block}.norm.running_var"] + NORM_EPSILON)
        weights[f"{block}.point.weight"] = weights[f"{block}.point.weight"] * scale[:, None, None, None]
        shifted = weights[f"{block}.point.bias"] - state[f"{block}.norm.running_mean"]
        weights[f"{block}.point.bias"] = shifted * scale + state[f"{block}.norm.bias"]
    return weights


def augmented(random: np.random.Generator, maps: np.ndarray) -> np.ndarray:
    """Return maps in [-1, 1] of shape (n, 1, rows, columns), scaled in contrast, some inverted, some with salt noise."""
    scale = np.where(random.random(len(maps)) < 0.5, random.uniform(0.2, 1.0, len(maps)), 1.0)
    scale = scale * random.choice([-1.0, 1.0], len(maps))
    values = (maps.astype(np.float32) - 128) / 127 * scale[:, None, None].astype(np.float32)
    for n in np.flatnonzero(random.random(len(maps)) < 0.1):
        values[n][random.random(values[n].shape) < random.uniform(0.0005, 0.005)] = random.choice([-1.0, 1.0])
    return np.ascontiguousarray(values[:, None], np.float32)


def export(weights: dict[str, np.ndarray], target: Path) -> str:
    """Write the network as ONNX, the same bytes for the same weights; return its SHA-256."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors, current = [], [], "strokes"

    def convolution(source: str, name: str, result: str, side: int, stride: int, dilation: int, groups: int) -> str:
        for part in ("weight", "bias"):
            values = weights[f"{name}.{part}"].astype(np.float32)
            values[np.abs(values) < 1e-30] = 0.0
            tensors.append(numpy_helper.from_array(values, f"{name}.{part}"))
        pad = side // 2 * dilation
        nodes.append(
            helper.make_node(
                "Conv", [source, f"{name}.weight", f"{name}.bias"], [result], kernel_shape=[side, side],
                strides=[stride] * 2, pads=[pad] * 4, dilations=[dilation] * 2, group=groups,
            )
        )  # fmt: skip
        return result

    for number, (kind, before, _, side, stride, dilation) in enumerate(LAYERS):
        if kind in ("separable", "residual"):
            made = convolution(current, f"{number}.depth", f"d{number}", side, stride, dilation, before)
            made = convolution(made, f"{number}.point", f"p{number}", 1, 1, 1, 1)
        else:
            made = convolution(current, f"{number}.point", f"p{number}", side, stride, dilation, 1)
        if kind == "residual":
            nodes.append(helper.make_node("Add", [current, made], [f"s{number}"]))
            made = f"s{number}"
        if kind != "logit":
            nodes.append(helper.make_node("Relu", [made], [f"r{number}"]))
            made = f"r{number}"
        current = made
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 1, "h", "w"]) for n in ("strokes", current)]
    graph = helper.make_graph(nodes, "text_gate", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="")
    content = model.SerializeToString(deterministic=True)
    target.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


# --- evaluation -----------------------------------------------------------------------------------------------------

EVALUATED_STYLES = (0.36, 0.2, 0.16, 0.14, 0.14)
LINES_AN_IMAGE = 4
FULL_EACH = 6  # text-free pictures of which one is timed in full too
KEPT_MARGIN = 8  # pixels around a line within which a passing box counts as its own
COVERED = 0.95  # share of a line's ink under the boxes that the full chain fills
TRIED = (-3.0, -2.5, -2.25, -2.0, -1.0)  # thresholds to choose from
CT_SIDE = 500  # pixels; over it a CT slice counts as of 512 x 512
LARGEST = 384  # pixels; longer sides are cut, the detector's scales stay those of 640


def _start_evaluation(job: Job, model: Path, role: str, seed: int, thresholds: tuple[float, ...]) -> None:
    from phi_deid_pipeline.burned_in_text import gate
    from phi_deid_pipeline.burned_in_text.models import OnnxruntimeModel

    _start(job, role)
    network = OnnxruntimeModel(model)
    gate.gate_model = lambda: network
    _state["seed"], _state["thresholds"] = seed, thresholds


def planted_image(index: int) -> tuple[np.ndarray, list[samples.Planted], samples.Background]:
    """Return a picture of the role and seed in use with lines planted into it."""
    random = np.random.default_rng([_state["seed"], index])
    group = _state["backgrounds"][index % len(_state["backgrounds"])]
    background = group[random.integers(len(group))]
    image, lines = planted_on(random, background.values, _state["fonts"])
    return image, lines, background


def planted_on(
    random: np.random.Generator, values: np.ndarray, fonts: list[str]
) -> tuple[np.ndarray, list[samples.Planted]]:
    """Return a part of a picture (float32; rows, columns), turned and mirrored at random, with lines planted into it."""
    rows, columns = values.shape
    top, left = (int(random.integers(max(n - LARGEST, 0) + 1)) for n in (rows, columns))
    image = values[top : top + LARGEST, left : left + LARGEST]
    image = np.rot90(image[:, :: random.choice([-1, 1])], int(random.integers(4))).copy()  # the picture stays as it is
    if random.random() < 0.5:
        image = samples.degrade(random, image)
    taken, lines = np.zeros(image.shape, bool), []
    for _ in range(LINES_AN_IMAGE):
        style = samples.STYLES[random.choice(len(samples.STYLES), p=EVALUATED_STYLES)]
        line = samples.plant(random, image, fonts, taken, style)
        lines += [line] if line else []
    return image, lines


def read_in_full(index: int) -> list[bool]:
    """Tell for each line of a picture whether the first scan of the full chain fills it."""
    image, lines, _ = planted_image(index)
    return filled_lines(image, lines)


def filled_lines(image: np.ndarray, lines: list[samples.Planted]) -> list[bool]:
    """Tell for each line planted into an image whether the first scan of the full chain fills it."""
    return [found for found, _ in judged_lines(image, lines)]


def judged_lines(image: np.ndarray, lines: list[samples.Planted]) -> list[tuple[bool, bool]]:
    """Tell for each line planted into an image whether the first scan fills it, and would if the gate doubted nothing."""
    from phi_deid_pipeline.burned_in_text import chain

    settings = ReaderSettings(readers=("ppocr",), max_rounds=1)
    text = chain.read_image(image, settings=settings, doubt=True)
    filled = _filled(image.shape, text.regions)
    more = filled | _filled(image.shape, text.doubted)
    return [tuple(bool((m & line.ink).sum() >= COVERED * line.ink.sum()) for m in (filled, more)) for line in lines]


def _filled(shape: tuple[int, ...], regions: Iterable[Any]) -> np.ndarray:
    from phi_deid_pipeline.boxes import grown

    mask = np.zeros(shape, bool)
    for region in regions:
        box = grown(region.box, *shape)
        mask[box.y : box.y + box.h, box.x : box.x + box.w] = True
    return mask


def evaluate_image(index: int, found: list[bool]) -> list[dict[str, Any]]:
    """Read a picture by the cascade with each threshold; return a row for each line."""
    image, lines, background = planted_image(index)
    told = {"series": background.series, "modality": background.modality, "image": index}
    rows = line_rows(image, lines, _state["thresholds"])
    return [row | {"found": full} | told for row, full in zip(rows, found, strict=True)]


def line_rows(image: np.ndarray, lines: list[samples.Planted], thresholds: tuple[float, ...]) -> list[dict[str, Any]]:
    """Tell for each line planted into an image how it was drawn and whether the cascade passes it at each threshold."""
    from phi_deid_pipeline.burned_in_text import gate

    stroke = gate.gate_map(image, invert=False, settings=ReaderSettings(readers=("ppocr",)))
    scores = gate.logits(stroke)
    passed = {value: _passed(image, stroke, value) for value in thresholds}
    return [_line_row(line, passed, scores) for line in lines]


def _passed(image: np.ndarray, stroke: np.ndarray, threshold: float) -> np.ndarray:
    """Return where the cascade's second stage sees text, in the image's pixels."""
    from phi_deid_pipeline.burned_in_text import gate

    passed = np.zeros(stroke.shape, bool)
    settings = ReaderSettings(readers=("ppocr",))
    for box in gate.passing(image, stroke, invert=False, window=None, settings=settings, threshold=threshold):
        box = clipped(box, *stroke.shape)
        passed[box.y : box.y + box.h, box.x : box.x + box.w] = True
    return passed[PADDING:-PADDING, PADDING:-PADDING]


def screen_background(index: int) -> dict[str, Any]:
    """Screen a text-free picture as it is; return whether it passes each threshold and the CPU time of each stage."""
    from phi_deid_pipeline.burned_in_text import chain, gate

    settings = ReaderSettings(readers=("ppocr",))
    background = [each for group in _state["backgrounds"] for each in group][index]
    image = np.rint(background.values).astype(np.int16 if np.abs(background.values).max() < 1 << 15 else np.float32)
    began = time.process_time()
    stroke = gate.gate_map(image, invert=False, settings=settings)
    scores = gate.logits(stroke)
    row = {
        "series": background.series, "modality": background.modality, "shape": list(image.shape),
        "highest": float(scores.max()), "gate_ms": _since(began), "passed": {}, "crops_ms": {}, "tiles": {},
    }  # fmt: skip
    for value in _state["thresholds"]:
        began = time.process_time()
        boxes = gate.passing(image, stroke, invert=False, window=None, settings=settings, threshold=value)
        row["passed"][value] = next(boxes, None) is not None
        row["crops_ms"][value], row["tiles"][value] = _since(began), float((scores > value).mean())
    began = time.process_time()
    if index % FULL_EACH == 0:
        chain.read_image(image, settings=settings)
    return row | {"full_ms": _since(began) if index % FULL_EACH == 0 else None}


def _since(began: float) -> float:
    return round(1000 * (time.process_time() - began), 1)


def _line_row(line: samples.Planted, passed: dict[float, np.ndarray], scores: np.ndarray) -> dict[str, Any]:
    ys, xs = np.nonzero(line.ink)
    near = np.s_[
        max(ys.min() - KEPT_MARGIN, 0) : ys.max() + KEPT_MARGIN, max(xs.min() - KEPT_MARGIN, 0) : xs.max() + KEPT_MARGIN
    ]
    tiles = np.s_[
        (ys.min() + PADDING) // STRIDE : (ys.max() + PADDING) // STRIDE + 1,
        (xs.min() + PADDING) // STRIDE : (xs.max() + PADDING) // STRIDE + 1,
    ]
    return {
        "style": line.style, "height": line.height, "contrast": round(line.contrast, 3), "turn": line.turn,
        "characters": len(line.text), "kept": {value: bool(seen[near].any()) for value, seen in passed.items()},
        "highest": round(float(scores[tiles].max()), 2),
    }  # fmt: skip


def evaluate(
    job: Job, model: Path, work: Path, role: str, images: int, thresholds: tuple[float, ...], processes: int
) -> dict[str, Any]:
    """Return the figures of the cascade on pictures and fonts of a role, by threshold; writes the single rows too."""
    seed = SEEDS[role]
    _start(job, role)
    count = sum(len(group) for group in _state["backgrounds"])
    with multiprocessing.get_context("spawn").Pool(
        processes, _start_evaluation, (job, model, role, seed, thresholds)
    ) as pool:
        full = _found_in_full(pool, work / f"found_{role}.json", images)
        lines = [row for rows in pool.starmap(evaluate_image, enumerate(full), chunksize=4) for row in rows]
        free = pool.map(screen_background, range(count), chunksize=4)
    (work / f"rows_{role}.json").write_text(json.dumps([lines, free]))
    found = [row for row in lines if row["found"]]
    figures: dict[str, Any] = {"role": role, "seed": seed, "images": images, "planted": len(lines), "found": len(found)}
    return figures | {"by_threshold": {str(value): figures_of(found, free, value) for value in thresholds}}


def _found_in_full(pool: Any, file: Path, images: int) -> list[list[bool]]:
    """Return for each line of each picture whether the full chain fills it, which no gate changes: it is kept in a file."""
    known = json.loads(file.read_text()) if file.exists() else []
    known += pool.map(read_in_full, range(len(known), images), chunksize=4)
    file.write_text(json.dumps(known))
    return known[:images]


def figures_of(found: list[dict[str, Any]], free: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """Return counts, shares with intervals and mean times at one threshold."""
    figures: dict[str, Any] = {"all": _loss(found, threshold)}
    figures |= {style: _loss([row for row in found if row["style"] == style], threshold) for style in samples.STYLES}
    figures["lost_by_map"] = sum(row["highest"] <= threshold for row in found)
    large = [f for f in free if min(f["shape"]) > CT_SIDE]
    for name, chosen in (("text_free", free), ("text_free_ct", [f for f in large if f["modality"] == "CT"])):
        full = [f["full_ms"] for f in chosen if f["full_ms"] is not None]
        figures[name] = {
            "images": len(chosen),
            "to_full_chain": sum(f["passed"][threshold] for f in chosen),
            "with_tiles": sum(f["highest"] > threshold for f in chosen),
            "share_of_tiles": round(float(np.mean([f["tiles"][threshold] for f in chosen])), 5) if chosen else 0,
            "gate_ms": _mean([f["gate_ms"] for f in chosen]),
            "crops_ms": _mean([f["crops_ms"][threshold] for f in chosen]),
            "full_ms": _mean(full),
        }
    return figures


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 1) if values else 0.0


def _loss(found: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    lost = sum(not row["kept"][threshold] for row in found)
    return {"found": len(found), "lost": lost, "percent": interval(lost, len(found))}


def interval(hits: int, count: int, level: float = 0.95) -> list[float]:
    """Return share, lower and upper limit (Clopper and Pearson) in per cent."""

    def tail(p: float, upper: bool) -> float:
        logs = [
            math.lgamma(count + 1)
            - math.lgamma(k + 1)
            - math.lgamma(count - k + 1)
            + k * math.log(p)
            + (count - k) * math.log1p(-p)
            for k in (range(hits + 1) if upper else range(hits))
        ]
        below = sum(math.exp(value) for value in logs)
        return below if upper else 1 - below

    def limit(upper: bool) -> float:
        low, high = 1e-9, 1 - 1e-9
        for _ in range(60):
            middle = (low + high) / 2
            too_low = tail(middle, upper) > (1 - level) / 2 if upper else tail(middle, upper) < (1 - level) / 2
            low, high = (middle, high) if too_low else (low, middle)
        return low

    if not count:
        return [0.0, 0.0, 100.0]
    return [
        round(100 * hits / count, 2),
        round(100 * limit(False), 2) if hits else 0.0,
        round(100 * limit(True), 2) if hits < count else 100.0,
    ]


def main() -> int:
    """Run all stages; those whose files lie in the work folder are not run again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with index.tsv, LICENSES.tsv and DICOM files")
    parser.add_argument("--work", type=Path, required=True, help="folder for samples, weights and figures")
    parser.add_argument("--volume", type=Path, action="append", default=[], help="NIfTI volume without text")
    parser.add_argument("--fonts", type=Path, action="append", default=[], help="folder with TrueType fonts")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument(
        "--tune", type=int, default=300, help="pictures for the choice of the threshold; 0 leaves it out"
    )
    parser.add_argument("--images", type=int, default=800, help="pictures of the report; 0 leaves it out")
    parser.add_argument("--threshold", type=float, help="of the report; without it that of the pipeline")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=TARGET, help="where the network is written")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    job = Job(arguments.data, tuple(arguments.volume), tuple(arguments.fonts))
    make_maps(job, work, arguments.samples, arguments.processes)
    weights = train(work, arguments.steps)
    digest = export(dict(np.load(weights)), arguments.output)
    threshold = THRESHOLD if arguments.threshold is None else arguments.threshold
    for role, images, thresholds in (("tune", arguments.tune, TRIED), ("report", arguments.images, (threshold,))):
        if images:
            figures = {"sha256": digest}
            figures |= evaluate(job, arguments.output, work, role, images, thresholds, arguments.processes)
            (work / f"figures_{role}.json").write_text(json.dumps(figures, indent=1))
            print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
