"""A run that is killed leaves nothing half-written under a final name, and the next one ends as if nothing was."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import harness
import pytest
from harness import Workplace, assert_same_results

pytestmark = pytest.mark.workflow

TRIES = 10
TWO_BATCHES = ("--set", "inventory.spread=2")
LONGEST = 300  # seconds without an end: the test is broken


@pytest.fixture(scope="module")
def uninterrupted(finished: Workplace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, int, float]:
    """Return a finished output of fewer, larger batches, its number of jobs, and its time in seconds."""
    output = tmp_path_factory.mktemp("uninterrupted") / "output"
    place = Workplace(finished.product, finished.source, output)
    run = place.run("--salt-file", str(finished.output.parent / "salt"), *TWO_BATCHES)
    return place, len(run.jobs), run.seconds


@pytest.mark.parametrize("attempt", range(TRIES))
def test_killed_run_ends_as_an_uninterrupted_one_when_run_again(
    attempt: int,
    uninterrupted: tuple[Workplace, int, float],
    fresh: Callable[[str], Workplace],
    salt_file: Path,
) -> None:
    reference, steps, seconds = uninterrupted
    place, chance = fresh("killed"), random.Random(f"interruption {attempt}")
    # The moment counts jobs, not seconds, so that it means the same on a busy machine; a fraction of a job is added.
    moment = chance.uniform(attempt, attempt + 1) / TRIES * (steps - 1)
    process = place.start("--salt-file", str(salt_file), *TWO_BATCHES)
    _wait_for_jobs(place, process, int(moment))
    time.sleep((moment - int(moment)) * seconds / (steps + 4))
    assert harness.kill_group(process), "the run was over before it was to be killed"
    assert_nothing_half_written(place, reference)
    place.run("--salt-file", str(salt_file), *TWO_BATCHES)
    assert_same_results(place, reference)
    assert place.releases() == ["0001"]
    results = [path for top in ("audits", "releases", "release/") for path in (place.output / top).rglob("*")]
    assert [path.name for path in results if path.name.startswith(".") or path.name.endswith((".part", "~"))] == []
    code, shown = harness.execute(_verify(place), place.product)
    assert code == 0, shown


def _verify(place: Workplace) -> list[str]:
    line = place.command(command="verify")
    at = line.index("--input")
    return line[:at] + line[at + 2 :]


def _wait_for_jobs(place: Workplace, process: subprocess.Popen, number: int) -> None:
    """Wait until a number of jobs of the run, the scan not counted, have ended."""
    start = time.monotonic()
    while place.log_text().count("Finished jobid") - 1 < number and process.poll() is None:
        assert time.monotonic() - start < LONGEST
        time.sleep(0.02)


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
