"""Compare what a method fills with the ink that was planted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.burned_in_text.methods import Outcome, without_filter
from benchmarks.burned_in_text.plants import APART, Line
from benchmarks.burned_in_text.scenes import Scene, line_box
from phi_deid_pipeline.boxes import overlap
from phi_deid_pipeline.records import Box

HIDDEN, KEPT = 0.95, 0.05  # share of a line's ink from which it is hidden; up to which it is kept
HEIGHTS = ((1, 7), (8, 11), (12, 19), (20, 39), (40, 110))  # pixels of a capital letter that are told apart
Z = 1.96  # standard deviations of a 95 % interval


@dataclass(frozen=True, slots=True)
class Judged:
    """One line as one method left it: the share of its ink that is filled, also without the method's filter."""

    scene: int
    line: Line
    covered: float
    unfiltered: float


@dataclass(frozen=True, slots=True)
class Picture:
    """What a method did to a picture besides its lines."""

    modality: str
    source: str
    text_free: bool
    false_boxes: int  # that touch no line
    false_unfiltered: int
    lost: float  # share of the picture that is filled outside the boxes of its lines
    cpu: float
    error: bool


def mask_of(boxes: Iterable[Box], rows: int, columns: int) -> np.ndarray:
    """Return where boxes lie, as bool of shape (rows, columns)."""
    mask = np.zeros((rows, columns), bool)
    for box in boxes:
        mask[max(box.y, 0) : box.y + box.h, max(box.x, 0) : box.x + box.w] = True
    return mask


def judge_picture(number: int, scene: Scene, outcome: Outcome) -> tuple[list[Judged], Picture]:
    """Score one picture."""
    filled = mask_of(outcome.boxes, scene.rows, scene.columns)
    more = mask_of(without_filter(outcome).boxes, scene.rows, scene.columns)
    lines = [
        Judged(number, line, _share(filled[scene.ink(line)], line.ink), _share(more[scene.ink(line)], line.ink))
        for line in scene.lines
    ]
    places = [line_box(line) for line in scene.lines]
    outside = filled & ~mask_of(places, scene.rows, scene.columns)
    picture = Picture(
        scene.modality, scene.source, not scene.lines, _apart(outcome.boxes, places),
        _apart(without_filter(outcome).boxes, places), float(outside.mean()), outcome.cpu, bool(outcome.error),
    )  # fmt: skip
    return lines, picture


def _share(filled: np.ndarray, ink: np.ndarray) -> float:
    return float((filled & ink).sum() / ink.sum())


def _apart(boxes: Iterable[Box], places: Sequence[Box]) -> int:
    return sum(not any(overlap(box, place) for place in places) for box in boxes)


def interval(hits: int, of: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share; lines of one picture are not independent, so it is rather too narrow."""
    if of == 0:
        return 0.0, 1.0
    share, square = hits / of, Z * Z / of
    middle = (share + square / 2) / (1 + square)
    reach = Z * math.sqrt(share * (1 - share) / of + square / (4 * of)) / (1 + square)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)


@dataclass(frozen=True, slots=True)
class Recall:
    """How many lines are hidden to 95 % of their ink, and how much of all ink."""

    lines: int
    hidden: int
    low: float
    high: float
    ink: float
    unfiltered: int  # hidden if the filter dropped nothing

    @property
    def share(self) -> float:
        return self.hidden / self.lines if self.lines else float("nan")


def recall(judged: Sequence[Judged]) -> Recall:
    """Sum up lines."""
    hidden = sum(j.covered >= HIDDEN for j in judged)
    ink = [int(j.line.ink.sum()) for j in judged]
    covered = sum(j.covered * n for j, n in zip(judged, ink, strict=True)) / max(sum(ink), 1)
    return Recall(
        len(judged), hidden, *interval(hidden, len(judged)), covered, sum(j.unfiltered >= HIDDEN for j in judged)
    )


@dataclass(frozen=True, slots=True)
class Score:
    """All figures of one method on one set of pictures."""

    recalls: dict[str, Recall]  # group -> lines that identify
    technical_kept: int
    technical: int
    pictures: int
    text_free: int
    alarmed: int  # text-free pictures with a filled pixel
    alarmed_unfiltered: int
    false_boxes: float  # a picture
    lost_text_free: float  # mean share of a text-free picture
    lost_with_text: float  # mean share of a picture with text, outside its lines
    cpu: float  # seconds a picture
    failed: int
    by_modality: dict[str, dict[str, float]]

    def figures(self) -> dict:
        """Return everything as JSON would have it."""
        return asdict(self)


def score(scenes: Sequence[Scene], outcomes: Sequence[Outcome]) -> tuple[Score, list[Judged]]:
    """Score a method."""
    lines: list[Judged] = []
    pictures: list[Picture] = []
    for number, (scene, outcome) in enumerate(zip(scenes, outcomes, strict=True)):
        judged, picture = judge_picture(number, scene, outcome)
        lines += judged
        pictures.append(picture)
    named = [j for j in lines if j.line.identifying]
    technical = [j for j in lines if not j.line.identifying]
    free = [p for p in pictures if p.text_free]
    groups = groups_of(named, scenes)
    result = Score(
        recalls={name: recall(members) for name, members in groups.items()},
        technical_kept=sum(j.covered <= KEPT for j in technical),
        technical=len(technical),
        pictures=len(pictures),
        text_free=len(free),
        alarmed=sum(p.false_boxes > 0 for p in free),
        alarmed_unfiltered=sum(p.false_unfiltered > 0 for p in free),
        false_boxes=_mean([p.false_boxes for p in pictures]),
        lost_text_free=_mean([p.lost for p in free]),
        lost_with_text=_mean([p.lost for p in pictures if not p.text_free]),
        cpu=_mean([p.cpu for p in pictures]),
        failed=sum(p.error for p in pictures),
        by_modality=_by_modality(pictures),
    )
    return result, lines


def groups_of(named: Sequence[Judged], scenes: Sequence[Scene]) -> dict[str, list[Judged]]:
    """Sort lines that identify into the groups that are told: total and legible, styles, sizes, contrast, modality, ground."""
    counted = [j for j in named if j.line.style not in APART]
    groups: dict[str, list[Judged]] = defaultdict(list)
    groups["all lines"] = counted
    groups["legible lines"] = [j for j in counted if j.line.legible]
    groups["not legible"] = [j for j in counted if not j.line.legible]
    for j in named:
        groups[f"style {j.line.style}"].append(j)
        if j.line.legible:
            groups[f"legible style {j.line.style}"].append(j)
    for j in counted:
        scene = scenes[j.scene]
        size = next(f"{low}-{high}" for low, high in HEIGHTS if j.line.height <= high)
        groups[f"height {size} px"].append(j)
        groups["bright on dark" if j.line.bright else "dark on bright"].append(j)
        groups[f"font {j.line.font}"].append(j)
        ground = "ground " + scene.source + (", seen in training of the gate" if scene.trained else "")
        for name in (f"modality {scene.modality}", ground):
            groups[name].append(j)
            if j.line.legible:
                groups[f"legible {name}"].append(j)
    return dict(groups)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _by_modality(pictures: Sequence[Picture]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name in sorted({p.modality for p in pictures}):
        members = [p for p in pictures if p.modality == name]
        free = [p for p in members if p.text_free]
        found[name] = {
            "pictures": len(members),
            "text_free": len(free),
            "alarmed": sum(p.false_boxes > 0 for p in free),
            "false_boxes": _mean([p.false_boxes for p in members]),
            "lost": _mean([p.lost for p in members]),
            "cpu": _mean([p.cpu for p in members]),
        }
    return found
