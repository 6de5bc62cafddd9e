#!/usr/bin/env python3
"""Submits, watches and cancels jobs on LSF, PBS and Grid Engine for Snakemake's cluster-generic plugin.

Each profile holds three links to this file, `submit`, `status` and `cancel`; the name it is called by says what to do,
the name of the profile's folder which system is meant. Jobs are named after the output, which is Snakemake's working
folder, as scripts/cluster_jobs.py looks for them, and after their rule.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PROPERTIES = "# properties = "
RUNNING, SUCCESS, FAILED = "running", "success", "failed"
UNKNOWN_JOB = {"lsf": "is not found", "pbs": "Unknown Job Id", "sge": "do not exist"}  # said of a job that is no more
NO_HISTORY = "not configured to maintain job history"
LOOK_SECONDS = 60.0  # after which a look counts as one without an answer
ACCOUNT_SECONDS = 60.0  # in which Grid Engine writes down how a job ended; by default it does so each 15 s
ACCOUNT_POLL_SECONDS = 5.0


class Look(NamedTuple):
    """What a command for looking at jobs said; nothing where it did not come to its end."""

    output: str
    errors: str


def submit_command(system: str, properties: dict, script: str) -> list[str]:
    """Return the command that submits a job script; memory in MB, run time in minutes as the rule states them."""
    resources = properties["resources"]
    cores, memory, minutes = properties["threads"], resources["mem_mb"], resources["runtime"]
    place = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()
    name = f"phi_deid_{place[:16]}_{properties.get('rule', 'group')}"
    hours, rest = divmod(minutes, 60)
    if system == "lsf":
        limits = ["-n", f"{cores}", "-R", f"span[hosts=1] rusage[mem={memory}MB]", "-M", f"{memory}MB"]
        limits += ["-W", f"{minutes}"]
        return ["bsub", "-J", name, *limits, "-o", "/dev/null", script]
    if system == "pbs":
        limits = ["-l", f"select=1:ncpus={cores}:mem={memory}mb", "-l", f"walltime={hours:02}:{rest:02}:00"]
        return ["qsub", "-V", "-N", f"phi_{place[:11]}", *limits, "-j", "oe", "-o", "/dev/null", script]
    limits = ["-pe", "smp", f"{cores}", "-l", f"h_vmem={-(-memory // cores)}M,h_rt={hours:02}:{rest:02}:00"]
    return ["qsub", "-terse", "-V", "-cwd", "-N", name, *limits, "-j", "y", "-o", "/dev/null", script]


def job_number(system: str, shown: str) -> str:
    """Return the number of a job from what its submission printed; raises ValueError where there is none."""
    found = re.search(r"<(\d+)>" if system == "lsf" else r"(\S+)", shown)
    if found is None:
        raise ValueError("the cluster gave no job number")
    return found[1]


def job_state(
    system: str, job: str, patience: float = ACCOUNT_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> str:
    """Return the state of a job in the plugin's words.

    A job that the system no longer knows has failed. One of which the system says nothing, since it does not answer, is
    taken to run: it would be started again beside itself. Raises RuntimeError where PBS forgets jobs that have ended.
    """
    if system == "lsf":
        look = _look("bjobs", "-a", "-noheader", "-o", "stat", job)
        if _is_unknown(system, look):
            return FAILED
        return {"DONE": SUCCESS, "EXIT": FAILED}.get(look.output.strip(), RUNNING)
    if system == "pbs":
        look = _look("qstat", "-x", "-f", job)
        if NO_HISTORY in look.errors:
            raise RuntimeError("PBS forgets how jobs ended: have job_history_enable set")
        if _is_unknown(system, look):
            return FAILED
        if not re.search(r"job_state = [FX]", look.output):
            return RUNNING
        return SUCCESS if re.search(r"Exit_status = 0\b", look.output) else FAILED
    if not _is_unknown(system, _look("qstat", "-j", job)):
        return RUNNING
    deadline = time.monotonic() + patience
    while not (ends := re.findall(r"^exit_status\s+(\d+)", _look("qacct", "-j", job).output, re.MULTILINE)):
        if time.monotonic() > deadline:
            return FAILED
        sleep(ACCOUNT_POLL_SECONDS)
    return SUCCESS if ends[-1] == "0" else FAILED


def _is_unknown(system: str, look: Look) -> bool:
    return UNKNOWN_JOB[system] in look.output + look.errors


def _look(*command: str) -> Look:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LOOK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{command[0]} gave no answer ({type(error).__name__})", file=sys.stderr)
        return Look("", "")
    return Look(done.stdout, done.stderr)


def main(called_as: Path, arguments: list[str]) -> None:
    """Do what the name of the link says; the plugin reads standard output."""
    system, task = called_as.parent.name, called_as.name
    if task == "submit":
        lines = Path(arguments[-1]).read_text(encoding="utf-8").splitlines()
        properties = json.loads(next(line for line in lines if line.startswith(PROPERTIES)).removeprefix(PROPERTIES))
        done = subprocess.run(
            submit_command(system, properties, arguments[-1]), capture_output=True, text=True, check=True
        )
        print(job_number(system, done.stdout))
    elif task == "status":
        print(job_state(system, arguments[0]))
    else:
        subprocess.run(["bkill" if system == "lsf" else "qdel", *arguments], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[0]).absolute(), sys.argv[1:])
