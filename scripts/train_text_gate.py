"""Make, train, export and evaluate the text gate: one command, minutes on two cores, outside the run-time environment.

    python -m venv gate && gate/bin/pip install -r envs/requirements.lock torch==2.13.0 onnx &&
    gate/bin/pip install --no-deps -r envs/models.lock
    gate/bin/python scripts/train_text_gate.py --data DIR --work DIR [--fonts DIR ...] [--volume FILE ...]

The data folder has `index.tsv` and `LICENSES.tsv`; only pictures that may be used so are taken. The teacher is the
detector of the chain: a planted line counts as text only where the detector finds it, so that the gate learns to pass
what the chain can find. Two networks, each trained on one half of the sources, are judged on the other half; the third,
trained on all, is exported. A second call goes on where files of the first lie.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import text_gate_samples as samples
from phi_deid_pipeline.boxes import clipped
from phi_deid_pipeline.burned_in_text.detect import detect
from phi_deid_pipeline.burned_in_text.prepare import prepare
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Box

TARGET = Path(__file__).resolve().parents[1] / "resources" / "burned_in_text" / "text_gate.onnx"
TRAIN_SEED, EVALUATE_SEED = 20, 7_000_000
SIDE, PADDING, STRIDE = 256, 32, 8  # pixels
MAP = SIDE + 2 * PADDING
TILES = MAP // STRIDE
MAX_LINES = 5
REAL_SHARE, PLANTED_SHARE, DISTRACTED_SHARE = 0.7, 0.6, 0.35
STYLE_SHARES = (0.4, 0.25, 0.15, 0.1, 0.1)  # in the order of samples.STYLES
FOUND = 0.9  # share of a line's ink that the teacher's boxes cover
TILE_INK = 6  # pixels of ink from which a tile belongs to a line
HALO = 20  # pixels around ink that count neither as text nor as none
TEACHER_SCALE = 1.5
IGNORED = -1


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker process needs to make samples."""

    data: Path
    volumes: tuple[Path, ...]
    fonts: tuple[Path, ...]


_state: dict[str, Any] = {}


def _start(job: Job) -> None:
    cv2.setNumThreads(1)
    found = samples.backgrounds(job.data)
    for volume in job.volumes:
        found += samples.volume_backgrounds(volume)
    _state["backgrounds"] = by_source(found)
    _state["fonts"] = samples.font_names(list(job.fonts), held_out=False)
    _state["held_out"] = samples.font_names(list(job.fonts), held_out=True)


def by_source(found: list[samples.Background]) -> list[list[samples.Background]]:
    """Return backgrounds in groups of one series each, so that every series is drawn equally often."""
    groups: dict[str, list[samples.Background]] = {}
    for background in found:
        groups.setdefault(background.series, []).append(background)
    return [groups[key] for key in sorted(groups)]


def make_sample(index: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return stroke map (320 x 320), labels of its 40 x 40 tiles (0 none, -1 ignored, n of line n) and fold of a sample."""
    random = np.random.default_rng([TRAIN_SEED, index])
    if random.random() < REAL_SHARE:
        group = _state["backgrounds"][random.integers(len(_state["backgrounds"]))]
        background = group[random.integers(len(group))]
        image, fold = samples.cut(random, background.values, SIDE), samples.fold_of(background)
    else:
        image, fold = samples.generated(random, SIDE), index % 2
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
    return stroke, label(stroke, lines), fold


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
    """Write stroke maps, labels and folds of all samples into the work folder, unless they lie there."""
    if (work / "folds.npy").exists() and len(np.load(work / "folds.npy")) == count:
        return
    maps = np.lib.format.open_memmap(work / "maps.npy", "w+", np.uint8, (count, MAP, MAP))
    labels, folds = np.zeros((count, TILES, TILES), np.int8), np.zeros(count, np.int8)
    with multiprocessing.get_context("spawn").Pool(processes, _start, (job,)) as pool:
        for index, (stroke, tiles, fold) in enumerate(pool.imap(make_sample, range(count), chunksize=8)):
            maps[index], labels[index], folds[index] = stroke, tiles, fold
            if index % 500 == 499:
                print(f"samples: {index + 1} of {count}", flush=True)
    maps.flush()
    np.save(work / "labels.npy", labels)
    np.save(work / "folds.npy", folds)


# --- network --------------------------------------------------------------------------------------------------------

# (kind, channels in, channels out, side of the kernel, stride, dilation); "residual" adds its input.
LAYERS = (
    ("conv", 1, 12, 5, 2, 1),
    ("separable", 12, 24, 3, 2, 1),
    ("separable", 24, 24, 3, 1, 1),
    ("separable", 24, 48, 5, 2, 1),
    ("residual", 48, 48, 5, 1, 1),
    ("residual", 48, 48, 5, 1, 1),
    ("residual", 48, 48, 5, 1, 1),
    ("residual", 48, 48, 5, 1, 2),
    ("residual", 48, 48, 5, 1, 1),
    ("logit", 48, 1, 1, 1, 1),
)


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

        def forward(self, x: Any) -> Any:
            y = self.point(self.depth(x)) if self.kind in ("separable", "residual") else self.point(x)
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


def train(work: Path, name: str, fold: int | None, steps: int, batch: int = 32) -> None:
    """Train on the samples of one fold (all where None) and write the weights to `NAME.npz`."""
    import torch

    target = work / f"{name}.npz"
    if target.exists():
        return
    torch.set_num_threads(1)
    torch.manual_seed(TRAIN_SEED)
    random = np.random.default_rng([TRAIN_SEED, 99])
    maps, labels = np.load(work / "maps.npy", mmap_mode="r"), np.load(work / "labels.npy")
    folds = np.load(work / "folds.npy")
    chosen = np.flatnonzero(folds == fold) if fold is not None else np.arange(len(folds))
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.1)
    began, mean = time.monotonic(), 0.0
    for step in range(steps):
        picked = np.sort(random.choice(chosen, batch, replace=False))
        inputs = torch.from_numpy(augmented(random, maps[picked]))
        loss = loss_of(net(inputs)[:, 0], torch.from_numpy(labels[picked]))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        mean += (float(loss) - mean) / min(step + 1, 100)
        if step % 100 == 99:
            print(f"{name}: step {step + 1} of {steps}, loss {mean:.3f}, {time.monotonic() - began:.0f} s", flush=True)
    np.savez(target, **{key: value.numpy() for key, value in net.state_dict().items()})


def augmented(random: np.random.Generator, maps: np.ndarray) -> np.ndarray:
    """Return maps in [-1, 1] of shape (n, 1, rows, columns), scaled in contrast, some inverted, some with salt noise."""
    scale = np.where(random.random(len(maps)) < 0.5, random.uniform(0.2, 1.0, len(maps)), 1.0)
    scale = scale * random.choice([-1.0, 1.0], len(maps))
    values = (maps.astype(np.float32) - 128) / 127 * scale[:, None, None].astype(np.float32)
    for value in values[random.random(len(maps)) < 0.1]:
        value[random.random(value.shape) < random.uniform(0.0005, 0.005)] = random.choice([-1.0, 1.0])
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
