"""A run that is told to stop ends what it started, and what it started does not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import snakemake_process

WAITS_FOR_ITS_JOB = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, lambda *_: None)  # as Snakemake does: it stops, but waits for running jobs
job = subprocess.Popen(["sleep", "100"])
print("started", flush=True)
job.wait()
"""
STARTS_AND_DIES = """
import os, subprocess, sys
import snakemake_process
child = subprocess.Popen(
    [sys.executable, snakemake_process.__file__, str(os.getpid()), "--snakefile", sys.argv[1], "--directory", sys.argv[2], "-c1"],
    stdout=subprocess.PIPE,
)
child.stdout.read(1)
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def signals() -> None:
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, *snakemake_process.ASKED_TO_STOP)}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


def test_jobs_are_ended_and_not_waited_for() -> None:
    process = subprocess.Popen([sys.executable, "-c", WAITS_FOR_ITS_JOB], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "started\n"
    start = time.monotonic()
    snakemake_process.ignore_stop_signals()
    snakemake_process.end(process, lambda: False)
    assert time.monotonic() - start < 20
    assert process.returncode is not None


def test_what_the_terminal_has_told_is_left_alone() -> None:
    process = subprocess.Popen(["sleep", "2"], text=True)
    snakemake_process.end(process, lambda: True)
    assert process.returncode == 0


@pytest.mark.parametrize("number", snakemake_process.ASKED_TO_STOP)
def test_a_request_to_stop_interrupts_and_an_ignored_one_does_not(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), snakemake_process.stop_signals():
        os.kill(os.getpid(), number)
        time.sleep(5)
    signal.signal(number, signal.SIG_IGN)
    with snakemake_process.stop_signals():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process that its parent has ended")
def test_snakemake_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text("rule all:\n    shell:\n        'sleep 3; touch done'\nrule more:\n    shell: 'sleep 100'\n")
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_DIES, str(snakefile), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(snakemake_process.__file__).parent)},
    )  # fmt: skip
    child = psutil.Process(int(starter.stdout.readline()))
    starter.kill()
    starter.wait()
    child.wait(30)
    assert not child.is_running()


def test_modules_of_the_folder_where_a_run_is_started_are_not_imported(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "snakemake.py").write_text("raise SystemExit('a module of the folder was imported')\n")
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'done'\n    shell: 'touch {output}'\n")
    monkeypatch.chdir(tmp_path)
    arguments = ["--snakefile", "Snakefile", "--directory", str(tmp_path / "out"), "-c1"]
    with (tmp_path / "lock").open("w") as lock:
        process = snakemake_process.start(arguments, dict(os.environ), lock.fileno())
        told = process.communicate()[0]
    assert process.returncode == 0 and (tmp_path / "out" / "done").exists(), told
