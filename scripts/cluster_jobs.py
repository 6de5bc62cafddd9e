"""Names a run's cluster jobs after its output folder, finds those a killed run left behind, and ends them."""

from __future__ import annotations

import getpass
import hashlib
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from phi_deid_pipeline.errors import DeidError
from record_io import atomic_write_bytes
from snakemake_process import ON_SLURM

NAME = "phi_deid_"
MARK = Path("private/.cluster_jobs")
WAIT_SECONDS = 300.0
POLL_SECONDS = 1.0
ANSWER_SECONDS = 60.0
SLURM = "slurm"
CANCEL = {SLURM: "scancel", "lsf": "bkill", "pbs": "qdel", "sge": "qdel"}
NO_JOBS = "No unfinished job found"  # what LSF says, as if it had failed


class ClusterError(DeidError):
    """The cluster did not do what it was asked for."""


def jobs_name(output: Path) -> str:
    """Return what names of this output's cluster jobs begin with; the folder's path does not show in it."""
    return NAME + hashlib.sha256(str(output).encode()).hexdigest()[:16]


def pbs_name(output: Path) -> str:
    """Return the name of this output's jobs on PBS, where a name has 15 letters and can be asked for as a whole."""
    return f"phi_{hashlib.sha256(str(output).encode()).hexdigest()[:11]}"


def cluster_of(profile: Path) -> str:
    """Return the system that a profile submits to, as in `CANCEL`; empty for this machine and for a profile of a site's own."""
    executor = _executor(profile)
    system = profile.name if executor == "cluster-generic" else executor
    return system if system in CANCEL else ""


def profile_options(profile: Path, output: Path, cores: int | None, all_cores: int) -> list[str]:
    """Return Snakemake's options for who runs the jobs of a profile.

    On one machine jobs share its cores. On a cluster the profile says how many jobs may be in the queue; `cores`, if
    given, bounds the cores that they ask for together.
    """
    executor = _executor(profile)
    options = [ON_SLURM, jobs_name(output)] if executor == SLURM else []
    if executor == "local" or cores:
        options += ["--cores", str(cores or all_cores)]
    return options


def _executor(profile: Path) -> str:
    return str(yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8")).get("executor", "local"))


def end_orphans(output: Path, wait_seconds: float = WAIT_SECONDS, sleep: Callable[[float], None] = time.sleep) -> int:
    """Cancel the cluster jobs that a killed run of this output left and wait until they are gone; return how many there were.

    The caller holds the output's lock, so nobody waits for them any more. Raises ClusterError if they do not end: what
    they write would get into the next run's way.
    """
    if not (output / MARK).exists():
        return 0
    system = (output / MARK).read_text(encoding="utf-8") or SLURM
    found = _jobs(system, output)
    if found:
        _run(CANCEL[system], *found)  # fails where a job has just ended: what counts is whether they go
    deadline = time.monotonic() + wait_seconds
    while left := _jobs(system, output):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"Jobs of a run that was killed are still on the cluster: {', '.join(left)}. End them with "
                f"{CANCEL[system]}, then run again."
            )
        sleep(POLL_SECONDS)
    (output / MARK).unlink()
    return len(found)


def jobs_may_be_out(output: Path, system: str) -> None:
    """Leave a mark in the output before jobs go to a cluster: `end_orphans` looks for them there."""
    if system:
        atomic_write_bytes(output / MARK, system.encode(), mode=0o600)


def jobs_are_over(output: Path) -> None:
    """Remove the mark. Only a Snakemake that ended well is known to have left no job behind."""
    (output / MARK).unlink(missing_ok=True)


def _jobs(system: str, output: Path) -> list[str]:
    """Return the numbers of this output's jobs that are waiting, running or ending."""
    if system == "pbs":
        return sorted(_ask("qselect", "-N", pbs_name(output)).split())
    if system == "sge":
        shown = _ask("qstat", "-u", getpass.getuser(), "-xml")  # the table cuts names
        fields = (re.search(r"<JB_job_number>(\d+)<.*<JB_name>([^<]*)<", job, re.S) for job in shown.split("<job_list"))
        rows = [[field[1], field[2]] for field in fields if field]
    else:
        command = ("squeue", "--me", "--noheader", "--format", "%i %j")
        lines = _ask(*(command if system == SLURM else ("bjobs", "-noheader", "-o", "jobid job_name:80")))
        rows = [line.split(maxsplit=1) for line in lines.splitlines()]
    return sorted(row[0] for row in rows if len(row) == 2 and row[1].startswith(jobs_name(output)))


def _ask(*command: str) -> str:
    done = _run(*command)
    if done.returncode and NO_JOBS not in done.stdout + done.stderr:
        raise _no_answer(command[0])
    return "" if done.returncode else done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_answer(command[0]) from error


def _no_answer(command: str) -> ClusterError:
    return ClusterError(
        f"{command} failed, so that it is not known whether jobs of a former run are at work. Is the cluster up, and this a "
        "machine that reaches it?"
    )
