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

from run_setup import is_running

pytestmark = [pytest.mark.workflow]

Maker = Callable[[str], Workplace]
SERVICE = ROOT / "tests" / "deployment" / "slurm.sh"
MISSING = [tool for tool in ("slurmctld", "slurmd", "munged", "squeue", "sbatch") if shutil.which(tool) is None]
if os.geteuid():
    MISSING.append("root, to start a Slurm")
if MISSING:
    pytestmark.append(pytest.mark.skip(reason=f"not there: {', '.join(MISSING)}"))
LOOK_SECONDS = 10  # a little more than a job takes here, see workflow/profiles/README.md
STOP_SECONDS = 200  # until a look at the jobs, at which the plugin cancels them
AWAY_SECONDS = 20.0  # longer than it takes until the next look at jobs
ONE_BATCH = ("--set", "inventory.spread=1")  # each job on a cluster costs some seconds


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    subprocess.run([SERVICE, "start"], check=True)
    yield
    subprocess.run([SERVICE, "stop"], check=True)


@pytest.fixture
def site(fresh: Maker, finished: Workplace, slurm: None, tmp_path: Path) -> Callable[..., Workplace]:
    """Return a maker of empty outputs with a checkout whose profile is set for this small cluster."""

    def make(**changes: object) -> Workplace:
        place = fresh("slurm")
        place.product = harness.copy_tree(finished.product, tmp_path / "checkout")
        path = place.product / "workflow" / "profiles" / "slurm" / "config.yaml"
        profile = yaml.safe_load(path.read_text())
        profile |= {"slurm-init-seconds-before-status-checks": LOOK_SECONDS, "latency-wait": 5, **changes}
        path.write_text(yaml.safe_dump(profile))
        return place

    return make


def queue() -> list[str]:
    """Return number, state and comment of each job; nothing while the controller is away."""
    shown = subprocess.run(
        ["squeue", "--noheader", "--format", "%i %T %k"], capture_output=True, text=True, check=False
    )
    return shown.stdout.splitlines() if shown.returncode == 0 else []


def wait_for_job(process: subprocess.Popen, rule: str, state: str = "RUNNING", seconds: float = 300.0) -> str:
    """Return the number of the first job of a rule that is in a state."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        for line in queue():
            number, is_in, *comment = line.split(maxsplit=2)
            if is_in == state and rule in "".join(comment):
                return number
        time.sleep(0.2)
    raise AssertionError(f"no job of {rule} was {state} within {seconds} s")


def start(place: Workplace, salt_file: Path) -> subprocess.Popen:
    command = place.command("--salt-file", str(salt_file), "--profile", "slurm", *ONE_BATCH)
    assert command[-2] == "--cores"
    return subprocess.Popen(
        command[:-2], cwd=place.product, env=harness.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def ended_well(process: subprocess.Popen, place: Workplace) -> str:
    """Return what the user saw of a run that ends with all input released."""
    shown, _ = process.communicate(timeout=900)
    assert process.returncode == harness.RELEASED, shown + place.log_text()[-4000:]
    return shown


def test_same_bytes_though_a_job_is_cancelled_and_the_controller_restarts(
    site: Callable[..., Workplace], finished: Workplace, salt_file: Path
) -> None:
    place = site()
    process = start(place, salt_file)
    subprocess.run(["scancel", wait_for_job(process, "read_burned_in_text")], check=True)
    wait_for_job(process, "checked")  # the group of rules of a batch whose text is known
    assert "Trying to restart job" in place.log_text()
    subprocess.run([SERVICE, "stop-controller"], check=True)
    assert queue() == []
    time.sleep(AWAY_SECONDS)
    subprocess.run([SERVICE, "start"], check=True)
    ended_well(process, place)
    assert_same_results(place, finished)
    assert len(place.batches().values()) == 3  # series
    submitted = place.log_text().count("has been submitted with SLURM jobid")
    alone = ("map_uids", "read_burned_in_text", "judge_burned_in_text", "checked", "draw_stacks")
    inventory, closing, cancelled = 1, 2, 1  # `prune_withdrawn` waits for no other of the closing rules
    assert submitted == len(alone) * len(set(place.batches().values())) + inventory + closing + cancelled
    assert str(place.source) not in place.log_text()


def test_same_bytes_though_the_submitter_is_killed_and_a_job_needs_more_memory(
    site: Callable[..., Workplace], finished: Workplace, salt_file: Path
) -> None:
    little = {"read_burned_in_text": {"mem_mb": "attempt * attempt * 250"}}
    place = site(**{"set-resources": little})
    process = start(place, salt_file)
    orphan = wait_for_job(process, "map_uids")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert any(line.startswith(f"{orphan} ") for line in queue())
    shown = ended_well(start(place, salt_file), place)
    assert "of a run that was killed" in shown
    assert "Trying to restart job" in place.log_text()
    assert_same_results(place, finished)


def test_ctrl_c_cancels_the_cluster_jobs_and_the_next_run_ends_with_the_same_bytes(
    site: Callable[..., Workplace], finished: Workplace, salt_file: Path
) -> None:
    place = site()
    process = start(place, salt_file)
    running = wait_for_job(process, "read_burned_in_text")
    os.killpg(process.pid, signal.SIGINT)
    shown, _ = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 1, shown
    assert "Stopping: running jobs are ended; the next run goes on from here." in shown
    assert not is_running(place.output)
    assert ended(running)
    ended_well(start(place, salt_file), place)
    assert_same_results(place, finished)


def ended(number: str, seconds: float = 30.0) -> bool:
    """Tell whether a job of the cluster is over, cancelled or done, within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        states = [line.split()[1] for line in queue() if line.startswith(f"{number} ")]
        if not {"PENDING", "RUNNING", "COMPLETING"}.intersection(states):
            return True
        time.sleep(0.2)
    return False
