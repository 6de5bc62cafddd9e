"""Names a run's cluster jobs after its output folder, finds those a killed run left behind, and ends them."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from phi_deid_pipeline.errors import DeidError
from snakemake_process import ON_SLURM

NAME = "phi_deid_"
MARK = Path("private/.cluster_jobs")
WAIT_SECONDS = 300.0
POLL_SECONDS = 1.0


class ClusterError(DeidError):
    """The cluster did not do what it was asked for."""


def jobs_name(output: Path) -> str:
    """Return what names of this output's cluster jobs begin with; the folder's path does not show in it."""
    return NAME + hashlib.sha256(str(output).encode()).hexdigest()[:16]


def profile_options(profile: Path, output: Path, cores: int | None, all_cores: int) -> list[str]:
    """Return Snakemake's options for who runs the jobs of a profile.

    On one machine jobs share its cores. On a cluster the profile says how many jobs may be in the queue; `cores`, if
    given, bounds the cores that they ask for together.
    """
    executor = yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8")).get("executor", "local")
    options = [ON_SLURM, jobs_name(output)] if executor == "slurm" else []
    if executor == "local" or cores:
        options += ["--cores", str(cores or all_cores)]
    return options


def end_orphans(output: Path, wait_seconds: float = WAIT_SECONDS, sleep: Callable[[float], None] = time.sleep) -> int:
    """Cancel the Slurm jobs that a killed run of this output left and wait until they are gone; return how many there were.

    The caller holds the output's lock, so nobody waits for them any more. Raises ClusterError if they do not end: what
    they write would get into the next run's way.
    """
    if not (output / MARK).exists():
        return 0
    found = _jobs(output)
    if found:
        _ask("scancel", *found)
    deadline = time.monotonic() + wait_seconds
    while _jobs(output):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Jobs of a run that was killed are still on the cluster: {', '.join(found)}. End them with scancel, then run again."
            )
        sleep(POLL_SECONDS)
    (output / MARK).unlink()
    return len(found)


def jobs_may_be_out(output: Path, options: list[str]) -> None:
    """Leave a mark in the output before jobs go to Slurm: `end_orphans` looks for jobs where it stands."""
    if ON_SLURM in options:
        (output / MARK).touch(mode=0o600)


def jobs_are_over(output: Path) -> None:
    """Remove the mark. Only a Snakemake that ended well is known to have left no job behind."""
    (output / MARK).unlink(missing_ok=True)


def _jobs(output: Path) -> list[str]:
    """Return the numbers of this output's jobs that are waiting, running or ending."""
    rows = (line.split(maxsplit=1) for line in _ask("squeue", "--me", "--noheader", "--format", "%i %j").splitlines())
    name = jobs_name(output)
    return sorted(row[0] for row in rows if len(row) == 2 and row[1].startswith(name))


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"{command[0]} failed, so that it is not known whether jobs of a former run are at work. Is the cluster up?"
        )
    return done.stdout
