"""Starts Snakemake so that it does not outlive the process that follows it, and ends it together with its jobs."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ASKED_TO_STOP = (signal.SIGTERM, signal.SIGHUP)
TERMINAL_SECONDS = 1.0  # within this Snakemake says that it was told by the terminal, which tells a whole process group
POLL_SECONDS = 0.05
ON_SLURM = "--slurm-jobname-prefix"
_PR_SET_PDEATHSIG = 1  # prctl(2)


def start(arguments: list[str], environment: dict[str, str], lock: int) -> subprocess.Popen[str]:
    """Start Snakemake with both of its outputs in one pipe; it inherits the descriptor `lock`.

    Call it in the main thread: Snakemake is told when the thread that started it ends.
    """
    return subprocess.Popen(
        [sys.executable, __file__, str(os.getpid()), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        pass_fds=(lock,),
    )


@contextmanager
def stop_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does; one that is ignored (nohup) stays so."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    former = {number: signal.getsignal(number) for number in ASKED_TO_STOP}
    former = {number: handler for number, handler in former.items() if handler is not signal.SIG_IGN}
    for number in former:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def ignore_stop_signals() -> None:
    """Let further requests to stop change nothing, for one has come and is being carried out."""
    for number in (signal.SIGINT, *ASKED_TO_STOP):
        signal.signal(number, signal.SIG_IGN)


def end(process: subprocess.Popen[str], is_ending: Callable[[], bool]) -> None:
    """End Snakemake and its jobs as Ctrl-C in a terminal does, and wait for it; call `ignore_stop_signals` before.

    `is_ending` tells whether Snakemake has said that it ends its jobs: then the terminal has told it and them.
    """
    deadline = time.monotonic() + TERMINAL_SECONDS
    while not is_ending() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if not is_ending() and process.poll() is None:
        # Seen before Snakemake is told: what it starts after that cancels jobs on a cluster.
        jobs = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        for job in jobs:
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                job.send_signal(signal.SIGINT)
    process.wait()


def _become_snakemake(parent: int, arguments: list[str]) -> None:
    """Turn this process into Snakemake, which Ctrl-C ends, a closed terminal does not, and the end of `parent` does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a script started the run in the background
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent is told too, and ends it in good order
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("The process that started this one has ended.")
    if ON_SLURM not in arguments:
        # -P: no module of the folder where the run was started, an attr.py for example, takes the place of one of Snakemake's.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "snakemake", *arguments])
    from slurm_patience import wait_for_answers

    wait_for_answers()
    sys.path.remove(str(Path(__file__).resolve().parent))  # names of steps are none of Snakemake's modules
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main

    main()


if __name__ == "__main__":
    _become_snakemake(int(sys.argv[1]), sys.argv[2:])
