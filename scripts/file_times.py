"""Sets results that are dated ahead of the clock back to now: Snakemake fails where an input is newer than what is made of it.

What is dated ahead was written before the clock went back. It keeps its order, and becomes newer than all else but what
this run wrote since.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

LOCK = "private/.run.lock"
FOLDERS = ("private", "audits", "benchmarks")  # of what Snakemake compares
NOT_COMPARED = (LOCK, "private/source", "private/readings")
OF_FOLDER = ".snakemake_timestamp"  # what Snakemake dates a folder by
STEP_NS = 1000  # between two times that differed; Snakemake's floats tell apart 240 ns


class OutputTimes:
    """The times of an output's results, watched while a run holds its lock."""

    def __init__(self, output: Path) -> None:
        self._output, self._begun = output, time.monotonic_ns()

    def set_back(self) -> int:
        """Date what lies ahead of the clock of the output's file system back to now, in order; return how many files changed."""
        now = self._now()
        written_since = now - (time.monotonic_ns() - self._begun)
        times = [(path, moment) for path, moment in self._results() if moment >= written_since]
        if not any(moment > now for _, moment in times):
            return 0
        # Once the clock has gone back, what was written since then is dated before what was there already.
        order = sorted({(moment <= now, moment) for _, moment in times})
        time.sleep(len(order) * STEP_NS / 1e9)  # so that the last of them is not ahead either
        new = {key: now + number * STEP_NS for number, key in enumerate(order, 1)}
        for path, moment in times:
            os.utime(path, ns=(new[moment <= now, moment],) * 2, follow_symlinks=False)
        return len(times)

    def _now(self) -> int:
        """Return the time in ns by the clock that dates the output's files, which may be that of a server."""
        os.utime(self._output / LOCK)
        return (self._output / LOCK).stat().st_mtime_ns

    def _results(self) -> Iterator[tuple[str, int]]:
        left_out = frozenset(str(self._output / name) for name in NOT_COMPARED)
        for folder in FOLDERS:
            if (self._output / folder).is_dir():
                yield from _below(str(self._output / folder), left_out)


def _below(folder: str, left_out: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield path and time in ns of each file below a folder, but of those of a result that is a folder only its timestamp."""
    with os.scandir(folder) as listed:
        entries = list(listed)
    for entry in [entry for entry in entries if entry.name == OF_FOLDER] or entries:
        if entry.path in left_out:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, left_out)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path, entry.stat(follow_symlinks=False).st_mtime_ns
