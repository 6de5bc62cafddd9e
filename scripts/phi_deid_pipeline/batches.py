"""Put series into batches: once, by work, and so that a series never moves to another batch.

Work is counted in whole units of which `UNITS` make one, so that sums do not depend on their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

UNITS = 2_000_000  # one: an instance without pixels; with pixels each byte adds a unit, each frame a quarter
UNITS_PER_FRAME = UNITS // 4


def work_of_instance(frames: int, size: int, has_pixels: bool) -> int:
    """Return the work of an instance in units: (1 + frames / 4 + bytes / 2 MB) * UNITS."""
    return UNITS + (frames * UNITS_PER_FRAME + size if has_pixels else 0)


def target_of(total: int, *, target_work: float, spread: int, max_batches: int) -> float:
    """Return the work in units at which a batch is full, for a data set of that work; `target_work` is in ones.

    Small data sets are cut into about `spread` batches, so that all cores have work; large ones into at most about
    `max_batches`, so that the plan stays small; in between a batch holds `target_work`.
    """
    return max(total / max_batches, min(target_work * UNITS, total / spread))


def group(series: Iterable[tuple[T, int]], target: float) -> list[list[T]]:
    """Return groups of new series, in the order given, each as one new batch; work and target in units.

    A series of at least the target stands alone; smaller ones that follow each other share a batch up to the target,
    large ones between them do not end it.
    """
    groups: list[list[T]] = []
    open_group: list[T] | None = None
    filled = 0
    for key, work in series:
        if work >= target:
            groups.append([key])
            continue
        if open_group is None or filled + work > target:
            open_group, filled = [], 0
            groups.append(open_group)
        open_group.append(key)
        filled += work
    return groups
