"""Break runs in every way that a machine does, run again, and print what became of each as a table.

    faults.py [--only WORDS] [--seed N] [--disks N] [--json FILE]

Each line: the fault, how the broken run ended and what it left behind (files under a final name that differ from those of
an undisturbed run; identifiers in logs, records of Snakemake, names and releases), then how the next run ended and whether
its release and audits are those of the undisturbed one, byte by byte. Needs root for the small file systems, and strace for
read errors. Exit code 1 where a line is not as it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "workflow"), str(ROOT / "tests"), str(ROOT / "scripts")]

import harness  # noqa: E402
from harness import Workplace  # noqa: E402
from test_interruption import TWO_BATCHES, assert_nothing_half_written  # noqa: E402

from factories import canaries, ct_instance, write  # noqa: E402

SEEN = ("logs", "benchmarks", ".snakemake", "releases", "audits/metadata", "audits/ct_prepro")
KILLS = 10
LONGEST = 600.0  # seconds


@dataclass
class Line:
    """What became of one fault: exit codes, what the broken run left, whether the next one came to the same end."""

    fault: str
    moment: str
    exit_code: int
    half_written: str
    identifiers: int
    next_exit: int
    same_bytes: bool

    @property
    def is_good(self) -> bool:
        return self.same_bytes and not (self.half_written or self.identifiers or self.next_exit)


class Faults:
    """Makes outputs over one input and compares them with an undisturbed one."""

    def __init__(self, folder: Path, seed: int, disks: int) -> None:
        self.folder, self.random, self.disks = folder, random.Random(seed), disks
        product, source = harness.copy_product(folder / "product"), harness.build_input(folder / "input")
        (folder / "salt").write_bytes(bytes(range(32)))
        self.options = ("--salt-file", str(folder / "salt"), *TWO_BATCHES)
        self.reference = Workplace(product, source, folder / "undisturbed")
        self.reference.run(*self.options)
        self.jobs = self.reference.log_text().count("Finished jobid")
        self.needles = [text.lower().encode() for text in canaries() if len(text) > 5]

    def place(self, name: str, output: Path | None = None) -> Workplace:
        """Return an empty output over a copy of the input."""
        output = output or self.folder / name.replace(" ", "_")
        source = harness.copy_tree(self.reference.source, self.folder / f"{output.name}_input")
        return Workplace(self.reference.product, source, output)

    def line(self, fault: str, moment: str, place: Workplace, code: int) -> Line:
        """Look at what a broken run left, run again, compare."""
        half = ""
        if place.output.exists() and code not in (
            harness.RELEASED,
            harness.NOT_ALL_RELEASED,
        ):  # else it ended by itself
            try:
                assert_nothing_half_written(place, self.reference)
            except AssertionError as error:
                half = str(error).splitlines()[0]
        leaks = self.identifiers(place.output)
        code_after, _ = harness.execute(place.command(*self.options), place.product)
        same = code_after == harness.RELEASED and self.differing(place) == []
        leaks += self.identifiers(place.output)
        line = Line(fault, moment, code, half, leaks, code_after, same)
        print(show(line), flush=True)
        return line

    def differing(self, place: Workplace) -> list[str]:
        """Return what of release and audits is not as in the undisturbed output.

        The manifest of a second release, after one that lacked the broken instance, tells of the first one.
        """
        found = []
        for folder in ("release", "audits"):
            here, there = (harness.content((one.output / folder).resolve()) for one in (place, self.reference))
            found += harness.differing(here, there)
        return [name for name in found if name != "manifest.json" or len(place.releases()) == 1]

    def identifiers(self, output: Path) -> int:
        """Return how many files outside the private folders hold or are named by an identifier of the input."""
        found = 0
        for path in (path for name in SEEN for path in (output / name).rglob("*")):
            data = path.name.encode() + (path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
            found += any(needle in data.lower() for needle in self.needles)
        return found

    def wait_for(self, place: Workplace, process: subprocess.Popen, jobs: int) -> None:
        """Wait until a number of jobs have ended."""
        deadline = time.monotonic() + LONGEST
        while place.log_text().count("Finished jobid") < jobs and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def killed(faults: Faults) -> Iterator[Line]:
    """SIGKILL of the whole process group at ten random times, then of its parts."""
    for number in range(KILLS):
        place = faults.place(f"killed {number}")
        jobs = faults.random.randrange(faults.jobs - 1)
        process = place.start(*faults.options)
        faults.wait_for(place, process, jobs)
        time.sleep(faults.random.uniform(0, 1))
        harness.kill_group(process)
        yield faults.line("kill -9 of all processes", f"after {jobs} of {faults.jobs} jobs", place, process.returncode)
    for part, find in {"Snakemake": snakemake_of, "a job": job_of, "the front door": lambda process: process}.items():
        place = faults.place(f"killed {part}")
        process = place.start(*faults.options)
        faults.wait_for(place, process, 4)
        victim = find(psutil.Process(process.pid))
        name = running_rule(victim) if part == "a job" else ""
        victim.send_signal(signal.SIGKILL)
        process.wait(LONGEST)
        wait_for_end(place)
        yield faults.line(f"kill -9 of {part}", name or "after 4 jobs", place, process.returncode)


def snakemake_of(process: psutil.Process) -> psutil.Process:
    return next(child for child in process.children() if "snakemake" in " ".join(child.cmdline()))


def job_of(process: psutil.Process) -> psutil.Process:
    """Return a process that runs a step, once there is one."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        for child in snakemake_of(process).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if ".snakemake/scripts/" in " ".join(child.cmdline()):
                    return child
        time.sleep(0.02)
    raise AssertionError("no job was seen")


def running_rule(process: psutil.Process) -> str:
    found = re.search(r"\.(\w+)\.py", " ".join(process.cmdline()))
    return f"in {found[1]}" if found else ""


def wait_for_end(place: Workplace) -> None:
    from run_setup import is_running

    deadline = time.monotonic() + LONGEST
    while is_running(place.output):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def full_disk(faults: Faults) -> Iterator[Line]:
    """An output on file systems too small for it, each with room for a little more than the one before."""
    if os.geteuid() or shutil.which("mount") is None:
        print("disk full: left out, needs root and mount")
        return
    needed = sum(path.stat().st_blocks * 512 for path in faults.reference.output.rglob("*") if path.is_file())
    for number in range(faults.disks):
        disk = faults.folder / f"disk_{number}"
        disk.mkdir()
        size = int(needed * (number + 0.5) / faults.disks)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
        try:
            place = faults.place(f"disk {number}", disk / "output")
            code, _ = harness.execute(place.command(*faults.options), place.product)
            failed = sorted(set(re.findall(r"Error in (?:rule|checkpoint) (\w+)", place.log_text())))
            subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
            moment = f"{size // 1000} of {needed // 1000} kB; in {', '.join(failed) or 'the front door'}"
            yield faults.line("disk full", moment if code else f"{moment}: was enough", place, code)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
            shutil.rmtree(faults.folder / "output_input", ignore_errors=True)


def read_error(faults: Faults) -> Iterator[Line]:
    """EIO at the first, second and third read of an instance, by strace."""
    if shutil.which("strace") is None:
        print("read error: left out, strace is not installed")
        return
    for number in (1, 2, 3):
        place = faults.place(f"read error {number}")
        bad = place.source / "first" / "IM2.dcm"
        inject = f"inject=read,pread64,readv,preadv,mmap:error=EIO:when={number}"
        strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-P", str(bad), "-e", inject]
        code, _ = harness.execute([*strace, *place.command(*faults.options)], place.product)
        yield faults.line("read error in an input", f"at read {number} of a file", place, code)


def changed_clock(faults: Faults) -> Iterator[Line]:
    """All that a broken and all that a finished run wrote comes from two days ahead."""
    for moment in ("after half of the jobs", "after the end"):
        place = faults.place(f"clock {moment}")
        process = place.start(*faults.options)
        faults.wait_for(place, process, faults.jobs // 2 if "half" in moment else faults.jobs)
        if "half" in moment:
            harness.kill_group(process)
        process.wait(LONGEST)
        ahead = time.time() + 2 * 86_400
        for path in place.output.rglob("*"):
            os.utime(path, (ahead, ahead), follow_symlinks=False)
        yield faults.line("clock goes back two days", moment, place, process.returncode)


def changed_input(faults: Faults) -> Iterator[Line]:
    """An instance is overwritten, cut and deleted once it was scanned, and is as before for the next run."""
    ways: dict[str, Callable[[Path], object]] = {
        "overwritten": lambda path: write(ct_instance(number=2, PatientComments="another"), path),
        "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
        "deleted": lambda path: path.unlink(),
    }
    for way, change in ways.items():
        place = faults.place(f"input {way}")
        process = place.start(*faults.options)
        faults.wait_for(place, process, 1)
        path = place.source / "first" / "IM2.dcm"
        change(path)
        process.wait(LONGEST)
        shutil.copy2(faults.reference.source / "first" / "IM2.dcm", path)
        yield faults.line(f"input {way} while it is read", "after the scan", place, process.returncode)


def second_run(faults: Faults) -> Iterator[Line]:
    """A second run on the same output is refused; the first one goes on."""
    place = faults.place("second run")
    process = place.start(*faults.options)
    faults.wait_for(place, process, 2)
    code, _ = harness.execute(place.command(*faults.options), place.product)
    process.wait(LONGEST)
    yield faults.line("two runs on one output", f"the second ends with {code}", place, process.returncode)


FAULTS = {
    "kill": killed, "disk": full_disk, "read": read_error, "clock": changed_clock, "input": changed_input,
    "second": second_run,
}  # fmt: skip


def show(line: Line) -> str:
    """Return one row of the table."""
    left = line.half_written or "nothing half-written"
    leaks = f"{line.identifiers} files with identifiers" if line.identifiers else "no identifier"
    end = "same bytes" if line.same_bytes else "NOT THE SAME"
    return (
        f"| {line.fault} | {line.moment} | {line.exit_code} | {left}, {leaks} | {line.next_exit} | {end} "
        f"|{'' if line.is_good else ' <-- wrong'}"
    )


def main() -> int:
    """Run all faults; return 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORDS", help=f"with commas between: {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the random moments (default: 1)")
    parser.add_argument(
        "--disks", type=int, default=8, metavar="N", help="sizes of a disk that is too small (default: 8)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        faults = Faults(Path(folder), arguments.seed, arguments.disks)
        print("| fault | when | exit code | left behind | next run | its results |\n|---|---|---|---|---|---|")
        lines = [line for name in chosen for line in FAULTS[name](faults)]
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")
    bad = sum(not line.is_good for line in lines)
    print(f"{len(lines)} faults, {bad} of them not as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
