"""A run that is killed leaves nothing half-written under a final name, and the next one ends as if nothing was."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import harness
import pytest
from harness import Workplace, assert_same_results

from run_setup import is_running

pytestmark = pytest.mark.workflow

KILLS = 10  # moments spread over a run
SCANNED = "(Rule: inventory)"  # ended, says Snakemake
LONGEST = 300  # seconds without an end: the test is broken
SOON = 30  # seconds until a run that is told to stop has stopped, on a busy machine


def test_killed_run_ends_as_an_uninterrupted_one_when_run_again(
    finished: Workplace, fresh: Callable[[str], Workplace], salt_file: Path
) -> None:
    """One output is killed at several moments, each time further on, and run to its end."""
    place, options = fresh("killed"), ("--salt-file", str(salt_file))
    steps = len(harness.jobs(finished.batches().values()))
    for attempt in range(KILLS):
        # The moment counts ended jobs, so that it means the same on a busy machine; a fraction of a job's time is added.
        moment = random.Random(f"interruption {attempt}").uniform(attempt, attempt + 1) / KILLS * (steps - 2)
        before = _ended_jobs(place)
        process = place.start(*options)
        seconds = _wait_for_jobs(place, process, int(moment))
        time.sleep((moment - int(moment)) * seconds / (max(0, int(moment) - before) + 6))
        assert harness.kill_group(process), "the run was over before it was to be killed"
        assert_nothing_half_written(place, finished)
    place.run(*options)
    assert_same_results(place, finished)
    assert place.releases() == ["0001"]
    assert _leftovers(place.output) == []
    code, shown = harness.execute(_verify(place), place.product)
    assert code == 0, shown


STOPS = {
    "Ctrl-C": (signal.SIGINT, os.killpg),
    "terminated": (signal.SIGTERM, os.kill),
    "terminated with its group": (signal.SIGTERM, os.killpg),
    "terminal closed": (signal.SIGHUP, os.killpg),
}


def test_a_run_that_is_told_to_stop_ends_its_jobs_and_the_next_goes_on(
    finished: Workplace, fresh: Callable[[str], Workplace], salt_file: Path, tmp_path: Path
) -> None:
    """One output is stopped in every way, each time a few jobs further, and killed in the end."""
    place, options = fresh("stopped"), ("--salt-file", str(salt_file))
    for way, (number, send) in STOPS.items():
        with (tmp_path / way).open("w") as shown:
            process = place.start(*options, shown=shown)
            _wait_for_jobs(place, process, _ended_jobs(place) + 2)
            send(process.pid, number)
            assert process.wait(SOON) == 1, way
        _wait_until_it_ends(place, process)  # what was told to end may need a moment for it
        assert "Stopping: running jobs are ended; the next run goes on from here." in (tmp_path / way).read_text()
        assert not (place.output / "release").exists()
    process = place.start(*options)
    _wait_for_jobs(place, process, _ended_jobs(place) + 2)
    process.kill()
    process.wait()
    code, shown = harness.execute(place.command(*options), place.product)
    assert code == 0 or (code == 2 and "Another run works on this output" in shown)
    _wait_until_it_ends(place, process)
    place.run(*options)
    assert_same_results(place, finished)
    assert _leftovers(place.output) == []


def _has_processes(leader: subprocess.Popen) -> bool:
    """Tell whether anything of the process group of a run is left."""
    try:
        os.killpg(leader.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_until_it_ends(place: Workplace, process: subprocess.Popen) -> None:
    start = time.monotonic()
    try:
        while is_running(place.output) or _has_processes(process):
            assert time.monotonic() - start < SOON
            time.sleep(0.1)
    finally:
        harness.kill_group_of(process)


def _verify(place: Workplace) -> list[str]:
    line = place.command(command="verify")
    at = line.index("--input")
    return line[:at] + line[at + 2 :]


def _leftovers(output: Path) -> list[str]:
    """Return the hidden files of an output but those that are meant to be there, and Snakemake's own."""
    meant = (".run.lock", ".scan_progress", ".snakemake_timestamp")
    hidden = [path.relative_to(output) for path in output.rglob(".*") if path.name not in meant]
    return sorted(path.as_posix() for path in hidden if path.parts[0] != ".snakemake")


def _ended_jobs(place: Workplace) -> int:
    """Return how many jobs of all runs so far have ended, scans not counted."""
    return len(re.findall(r"Finished jobid: \d+ \(Rule: (?!inventory\b)", place.log_text()))


def _wait_for_jobs(place: Workplace, process: subprocess.Popen, number: int) -> float:
    """Wait until the run has looked at its input and a number of jobs has ended; return the seconds that took."""
    start, scans = time.monotonic(), place.log_text().count(SCANNED)
    while (place.log_text().count(SCANNED) == scans or _ended_jobs(place) < number) and process.poll() is None:
        assert time.monotonic() - start < LONGEST
        time.sleep(0.02)
    return time.monotonic() - start


def assert_nothing_half_written(place: Workplace, reference: Workplace) -> None:
    """Assert that what stands under a final name is whole: the same as an uninterrupted run wrote there."""
    for folder in ("audits", "releases", *(f"private/{name}" for name in (*harness.BATCH_RESULTS, "readings"))):
        there = harness.content(reference.output / folder)
        here = {name: data for name, data in harness.content(place.output / folder).items() if _is_final(name)}
        broken = [name for name in here if name not in there or here[name] != there[name]]
        assert broken == [], folder
    release = place.output / "release"
    assert not release.is_symlink() or (release / "manifest.json").is_file()


def _is_final(name: str) -> bool:
    """Tell whether a path is that of a result: temporary names begin with a dot."""
    return not any(part.startswith(".") for part in name.split("/"))
