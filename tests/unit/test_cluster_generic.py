"""What is asked of LSF, PBS and Grid Engine, and what is made of their answers, by commands that stand in for theirs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from cluster_jobs import jobs_name, pbs_name

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
SYSTEMS = ["lsf", "pbs", "sge"]
GONE = "printf 'Following jobs do not exist: \\n7\\n' >&2; exit 1"
PROPERTIES = {"rule": "verify_series", "threads": 2, "resources": {"mem_mb": 1501, "runtime": 95}}


def load():
    spec = importlib.util.spec_from_file_location("cluster_generic", WORKFLOW / "cluster_generic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cluster_generic = load()


@pytest.mark.parametrize(
    ("system", "asked"),
    [
        (
            "lsf",
            ["-J", "-n", "2", "span[hosts=1] rusage[mem=1501MB]", "-M", "1501MB", "-W", "95"],
        ),
        ("pbs", ["-N", "select=1:ncpus=2:mem=1501mb", "walltime=01:35:00"]),
        ("sge", ["-N", "-pe", "smp", "2", "h_vmem=751M,h_rt=01:35:00"]),
    ],
)
def test_cores_memory_and_minutes_of_the_rule_are_asked_for(system: str, asked: list[str]) -> None:
    command = cluster_generic.submit_command(system, PROPERTIES, "job.sh")
    assert [part for part in asked if part not in command] == []
    assert command[-1] == "job.sh"


def test_jobs_carry_the_name_of_the_output_by_which_a_later_run_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for system, name in {
        "lsf": f"{jobs_name(tmp_path)}_verify_series",
        "sge": f"{jobs_name(tmp_path)}_verify_series",
        "pbs": pbs_name(tmp_path),
    }.items():
        command = cluster_generic.submit_command(system, PROPERTIES, "job.sh")
        assert command[command.index("-J" if system == "lsf" else "-N") + 1] == name


@pytest.mark.parametrize(
    ("system", "shown", "number"),
    [("lsf", "Job <71> is submitted to queue <normal>.", "71"), ("pbs", "72.head\n", "72.head"), ("sge", "73\n", "73")],
)
def test_the_number_of_a_job_is_read(system: str, shown: str, number: str) -> None:
    assert cluster_generic.job_number(system, shown) == number


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_submission_that_gives_no_number_is_an_error(system: str) -> None:
    with pytest.raises(ValueError, match="no job number"):
        cluster_generic.job_number(system, " \n")


@pytest.mark.parametrize(
    ("system", "commands", "state"),
    [
        ("lsf", {"bjobs": "echo PEND"}, "running"),
        ("lsf", {"bjobs": "echo DONE"}, "success"),
        ("lsf", {"bjobs": "echo EXIT"}, "failed"),
        ("lsf", {"bjobs": "echo 'Job <7> is not found' >&2; exit 255"}, "failed"),
        ("lsf", {"bjobs": "echo 'LSF is down. Please wait ...' >&2; exit 255"}, "running"),
        ("lsf", {"bjobs": "exit 0"}, "running"),
        ("lsf", {}, "running"),
        ("pbs", {"qstat": "echo '    job_state = R'"}, "running"),
        ("pbs", {"qstat": "printf '    job_state = F\\n    Exit_status = 0\\n'"}, "success"),
        ("pbs", {"qstat": "printf '    job_state = F\\n    Exit_status = 137\\n'"}, "failed"),
        ("pbs", {"qstat": "echo 'qstat: Unknown Job Id 7.head' >&2; exit 153"}, "failed"),
        ("pbs", {"qstat": "echo 'qstat: cannot connect to server head (errno=15010)' >&2; exit 1"}, "running"),
        ("sge", {"qstat": "echo job_number: 7", "qacct": "exit 1"}, "running"),
        ("sge", {"qstat": "echo 'error: unable to contact qmaster' >&2; exit 1", "qacct": "exit 1"}, "running"),
        ("sge", {"qstat": GONE, "qacct": "echo 'exit_status  0'"}, "success"),
        ("sge", {"qstat": GONE, "qacct": "echo 'exit_status  1'"}, "failed"),
        ("sge", {"qstat": GONE, "qacct": "printf 'exit_status  0\\nexit_status  137\\n'"}, "failed"),
        ("sge", {"qstat": GONE, "qacct": "exit 1"}, "failed"),
    ],
)
def test_the_state_of_a_job(
    system: str, commands: dict[str, str], state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, commands, monkeypatch)
    assert cluster_generic.job_state(system, "7", patience=0.0, sleep=lambda _: None) == state


@pytest.mark.parametrize(("system", "command"), [("lsf", "bjobs"), ("pbs", "qstat"), ("sge", "qstat")])
def test_a_look_without_an_answer_in_time_leaves_the_job_running(
    system: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, {command: "exec sleep 60"}, monkeypatch)
    monkeypatch.setattr(cluster_generic, "LOOK_SECONDS", 0.2)
    assert cluster_generic.job_state(system, "7") == "running"


def test_grid_engine_is_given_time_to_write_down_how_a_job_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, {"qstat": GONE, "qacct": f"cat {tmp_path}/account"}, monkeypatch)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            (tmp_path / "account").write_text("exit_status  0   \n")

    assert cluster_generic.job_state("sge", "7", sleep=sleep) == "success"
    assert len(pauses) == 3


def test_pbs_that_keeps_no_history_is_told_instead_of_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        tmp_path,
        {"qstat": "echo 'qstat: PBS is not configured to maintain job history 7.head' >&2; exit 1"},
        monkeypatch,
    )
    with pytest.raises(RuntimeError, match="job_history_enable"):
        cluster_generic.job_state("pbs", "7")


def stand_in(folder: Path, commands: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put commands that do what these bodies say before all others."""
    for name, body in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_links_of_a_profile_submit_and_cancel(system: str, tmp_path: Path) -> None:
    submit, cancel = ("bsub", "bkill") if system == "lsf" else ("qsub", "qdel")
    for name in (submit, cancel):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$0 $*" >>{tmp_path}/calls\necho "Job <41>"\n' if system == "lsf"
                                     else f'#!/bin/sh\necho "$0 $*" >>{tmp_path}/calls\necho 41\n')  # fmt: skip
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\n# properties = {json.dumps(PROPERTIES)}\ntrue\n")
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    links = WORKFLOW / "profiles" / system
    shown = subprocess.run(
        [links / "submit", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert shown.split() == ["41"]
    subprocess.run([links / "cancel", "41"], env=environment, check=True, capture_output=True)
    first, second = (tmp_path / "calls").read_text().splitlines()
    assert first.startswith(str(tmp_path / submit)) and first.endswith(str(script))
    assert second == f"{tmp_path / cancel} 41"
