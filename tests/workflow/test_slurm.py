"""On a real Slurm of one node: the same bytes, and the run outlives what clusters do to jobs, controllers, submitters."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import pytest
import yaml
from harness import ROOT, Workplace, assert_same_results

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("slurm")]

Maker = Callable[[str], Workplace]
SERVICE = ROOT / "tests" / "deployment" / "slurm.sh"
MISSING = [tool for tool in ("slurmctld", "slurmd", "munged", "squeue", "sbatch") if shutil.which(tool) is None]
if os.geteuid():
    MISSING.append("root, to start a Slurm")
if MISSING:
    pytestmark.append(pytest.mark.skip(reason=f"not there: {', '.join(MISSING)}"))
LOOK_SECONDS = 12  # a little more than a job takes here, see workflow/profiles/README.md


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    subprocess.run([SERVICE, "start"], check=True)
    yield
    subprocess.run([SERVICE, "stop"], check=True)


@pytest.fixture
def site(fresh: Maker, finished: Workplace, slurm: None, tmp_path: Path, salt_file: Path) -> Callable[..., Workplace]:
    """Return a maker of empty outputs with a checkout whose profile is set for this small cluster."""

    def make(**changes: object) -> Workplace:
        place = fresh("slurm")
        place.product = harness.copy_product(tmp_path / "checkout")
        path = place.product / "workflow" / "profiles" / "slurm" / "config.yaml"
        profile = yaml.safe_load(path.read_text())
        profile |= {"slurm-init-seconds-before-status-checks": LOOK_SECONDS, "latency-wait": 5, **changes}
        path.write_text(yaml.safe_dump(profile))
        return place

    return make


def options(salt_file: Path) -> tuple[str, ...]:
    return ("--salt-file", str(salt_file), "--profile", "slurm")


def queue() -> list[str]:
    shown = subprocess.run(["squeue", "--noheader", "--format", "%i %T %k"], capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()


def wait_for_job(state: str = "RUNNING", rule: str = "", seconds: float = 300.0) -> str:
    """Return the number of the first job that is in a state."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in queue():
            number, is_in, *comment = line.split(maxsplit=2)
            if is_in == state and rule in "".join(comment):
                return number
        time.sleep(0.2)
    raise AssertionError(f"no job was {state} within {seconds} s")


def start(place: Workplace, salt_file: Path) -> subprocess.Popen:
    command = [part for part in place.command(*options(salt_file)) if part != "--cores"][:-1]
    return subprocess.Popen(
        command, cwd=place.product, env=harness.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def ended_well(process: subprocess.Popen, place: Workplace) -> None:
    shown, _ = process.communicate(timeout=1200)
    assert process.returncode == harness.RELEASED, shown + place.log_text()[-4000:]


def test_jobs_on_slurm_give_the_same_bytes(
    site: Callable[..., Workplace], finished: Workplace, salt_file: Path
) -> None:
    place = site()
    ended_well(start(place, salt_file), place)
    assert_same_results(place, finished)
    assert place.log_text().count("has been submitted with SLURM jobid") >= len(harness.jobs(place.batches().values()))
    assert str(place.source) not in place.log_text()


def test_a_cancelled_job_is_run_again(site: Callable[..., Workplace], finished: Workplace, salt_file: Path) -> None:
    place = site()
    process = start(place, salt_file)
    subprocess.run(["scancel", wait_for_job(rule="read_burned_in_text")], check=True)
    ended_well(process, place)
    assert "Trying to restart job" in place.log_text()
    assert_same_results(place, finished)


def test_a_job_killed_for_memory_gets_more(
    site: Callable[..., Workplace], finished: Workplace, salt_file: Path
) -> None:
    place = site(**{"set-resources": {"read_burned_in_text": {"mem_mb": "attempt * attempt * 250"}}})
    ended_well(start(place, salt_file), place)
    assert "Trying to restart job" in place.log_text()
    assert_same_results(place, finished)


def test_a_controller_that_restarts_is_survived(
    site: Callable[..., Workplace], finished: Workplace, salt_file: Path
) -> None:
    place = site()
    process = start(place, salt_file)
    wait_for_job(rule="map_uids")
    subprocess.run([SERVICE, "kill-controller"], check=True)
    time.sleep(10)
    subprocess.run([SERVICE, "start"], check=True)
    ended_well(process, place)
    assert_same_results(place, finished)


def test_a_killed_submitter_goes_on_and_its_orphans_are_ended(
    site: Callable[..., Workplace], finished: Workplace, salt_file: Path
) -> None:
    place = site()
    process = start(place, salt_file)
    orphan = wait_for_job(rule="read_burned_in_text")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert any(line.startswith(f"{orphan} ") for line in queue())
    second = start(place, salt_file)
    shown, _ = second.communicate(timeout=1200)
    assert second.returncode == harness.RELEASED, shown + place.log_text()[-4000:]
    assert "cluster jobs of a run that was killed were ended" in shown
    assert_same_results(place, finished)
