#!/usr/bin/env python3
"""Submits, watches and cancels jobs on LSF, PBS and Grid Engine for Snakemake's cluster-generic plugin.

Each profile holds three links to this file, `submit`, `status` and `cancel`; the name it is called by says what to do,
the name of the profile's folder which system is meant. Jobs are named after their rule alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

PROPERTIES = "# properties = "
RUNNING, SUCCESS, FAILED = "running", "success", "failed"


def submit_command(system: str, properties: dict, script: str) -> list[str]:
    """Return the command that submits a job script; memory in MB, run time in minutes as the rule states them."""
    resources = properties["resources"]
    cores, memory, minutes = properties["threads"], resources["mem_mb"], resources["runtime"]
    name = f"phi_deid_{properties.get('rule', 'group')}"
    hours, rest = divmod(minutes, 60)
    if system == "lsf":
        limits = ["-n", f"{cores}", "-R", f"span[hosts=1] rusage[mem={memory}]", "-M", f"{memory}", "-W", f"{minutes}"]
        return ["bsub", "-J", name, *limits, "-o", "/dev/null", script]
    if system == "pbs":
        limits = ["-l", f"select=1:ncpus={cores}:mem={memory}mb", "-l", f"walltime={hours:02}:{rest:02}:00"]
        return ["qsub", "-V", "-N", name[:15], *limits, "-j", "oe", "-o", "/dev/null", script]
    limits = ["-pe", "smp", f"{cores}", "-l", f"h_vmem={-(-memory // cores)}M,h_rt={hours:02}:{rest:02}:00"]
    return ["qsub", "-terse", "-V", "-cwd", "-N", name, *limits, "-j", "y", "-o", "/dev/null", script]


def job_number(system: str, shown: str) -> str:
    """Return the number of a job from what its submission printed; raises ValueError where there is none."""
    found = re.search(r"<(\d+)>" if system == "lsf" else r"(\S+)", shown)
    if found is None:
        raise ValueError("the cluster gave no job number")
    return found[1]


def job_state(system: str, job: str) -> str:
    """Return the state of a job in the plugin's words. A job that the system no longer knows has failed."""
    if system == "lsf":
        state = _shown("bjobs", "-a", "-noheader", "-o", "stat", job).strip()
        return {"DONE": SUCCESS, "EXIT": FAILED, "": FAILED}.get(state, RUNNING)
    if system == "pbs":
        shown = _shown("qstat", "-x", "-f", job)
        if not re.search(r"job_state = [FX]", shown):
            return RUNNING if shown else FAILED
        return SUCCESS if re.search(r"Exit_status = 0\b", shown) else FAILED
    if _shown("qstat", "-j", job):
        return RUNNING
    return SUCCESS if re.search(r"^exit_status\s+0\s*$", _shown("qacct", "-j", job), re.MULTILINE) else FAILED


def _shown(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


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
