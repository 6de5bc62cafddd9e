"""Break runs in every way that a machine does, run again, and print what became of each as a table.

    faults.py [--only WORDS] [--seed N] [--kills N] [--rules WORDS] [--json FILE]

Each line: the fault, how the broken run ended and what it left behind (files under a final name that differ from those of
an undisturbed run; identifiers in logs, records of Snakemake, names and releases), then how the next run ended and whether
its release and audits are those of the undisturbed one, byte by byte. Runs of one kind of kill share a line, each being
looked at by itself. Needs root for the small file systems, strace for read errors, a C compiler for the clock. Exit code 1
where a line is not as it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
# So that every rule there is has work.
ALL_RULES = ("--set", "ocr.group_by=folder", "--set", "geometry.resample=true")
DISK = "128m"
TWO_DAYS = 2 * 86_400  # seconds
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
    missed: bool = False  # the fault did not reach what it was meant for

    @property
    def is_good(self) -> bool:
        return self.same_bytes and not (self.half_written or self.identifiers or self.next_exit or self.missed)


class Faults:
    """Makes outputs over one input and compares them with an undisturbed one."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder, self.random, self.kills = folder, random.Random(arguments.seed), arguments.kills
        product, source = harness.copy_product(folder / "product"), harness.build_input(folder / "input")
        (folder / "salt").write_bytes(bytes(range(32)))
        self.options = ("--salt-file", str(folder / "salt"), *TWO_BATCHES, *ALL_RULES)
        self.reference = Workplace(product, source, folder / "undisturbed")
        self.reference.run(*self.options)
        if not harness.text_hidden(self.reference.output):
            raise SystemExit("No text was found in the pictures of the input: nothing would be tried of what hides it.")
        text = self.reference.log_text()
        self.jobs = text.count("Finished jobid")
        ran = dict.fromkeys(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", text))
        self.rules = [rule for rule in ran if rule != "all"]
        self.chosen = arguments.rules.split(",") if arguments.rules else self.rules
        self.needles = [text.lower().encode() for text in canaries() if len(text) > 5]

    def place(self, name: str, output: Path | None = None) -> Workplace:
        """Return an empty output over a copy of the input."""
        output = output or self.folder / name.replace(" ", "_")
        source = harness.copy_tree(self.reference.source, self.folder / f"{name.replace(' ', '_')}_input")
        return Workplace(self.reference.product, source, output)

    def line(self, fault: str, moment: str, place: Workplace, code: int, *, missed: bool = False) -> Line:
        """Look at what a broken run left, run again, compare; drop the output."""
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
        code_after, shown = harness.execute(place.command(*self.options), place.product)
        same = code_after == harness.RELEASED and self.differing(place) == []
        leaks += self.identifiers(place.output)
        line = Line(fault, moment, code, half, leaks, code_after, same, missed)
        print(show([line]), file=sys.stderr, flush=True)
        if code_after:
            print(shown[-2000:], file=sys.stderr, flush=True)
        for folder in (place.output, place.source):
            shutil.rmtree(folder)
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


# --- kills ----------------------------------------------------------------------------------------------------------


def killed(faults: Faults) -> Iterator[Line]:
    """SIGKILL of the whole process group, of Snakemake and of a job at random times, then of the front door."""
    for number in range(faults.kills):
        place, process, jobs = started(faults, f"killed {number}")
        harness.kill_group(process)
        yield faults.line("kill -9 of all processes", f"{jobs}", place, process.returncode)
    for number in range(faults.kills):
        place, process, jobs = started(faults, f"killed Snakemake {number}")
        snakemake_of(process).kill()
        process.wait(LONGEST)
        wait_for_end(place)
        yield faults.line("kill -9 of Snakemake", f"{jobs}", place, process.returncode)
    rules = faults.random.sample(faults.rules, len(faults.rules))
    for number, rule in enumerate(itertools.islice(itertools.cycle(rules), faults.kills)):
        place = faults.place(f"killed job {number}")
        process = place.start(*faults.options)
        victim, rule = killed_job(process, rule, faults.random.uniform(0, 0.5))
        process.wait(LONGEST)
        wait_for_end(place)
        yield faults.line("kill -9 of a job", rule, place, process.returncode, missed=victim is None)
    place, process, jobs = started(faults, "killed front door")
    process.kill()
    process.wait(LONGEST)
    wait_for_end(place)
    yield faults.line("kill -9 of the front door", f"{jobs}", place, process.returncode)


def started(faults: Faults, name: str) -> tuple[Workplace, subprocess.Popen, int]:
    """Start a run and wait for a random moment of it; return the number of jobs that have ended before."""
    place, jobs = faults.place(name), faults.random.randrange(faults.jobs - 1)
    process = place.start(*faults.options)
    faults.wait_for(place, process, jobs)
    time.sleep(faults.random.uniform(0, 1))
    return place, process, jobs


def snakemake_of(process: subprocess.Popen) -> psutil.Process:
    """Return the process of Snakemake, once there is one: between its two starts there is none."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children():
                if "snakemake" in " ".join(child.cmdline()):
                    return child
        time.sleep(0.01)
    raise AssertionError("Snakemake was not seen")


def job_of(process: subprocess.Popen, rule: str = "") -> psutil.Process | None:
    """Return a process that runs a step, of a rule or of any, once there is one; None where the run ends before."""
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if running_rule(child) and rule in ("", running_rule(child)):
                        return child
        time.sleep(0.02)
    return None


def running_rule(process: psutil.Process) -> str:
    """Return the rule whose step a process runs, "" for another process."""
    found = re.search(r"\.snakemake/scripts/\w+\.(\w+)\.py", " ".join(process.cmdline()))
    return found[1] if found else ""


def killed_job(process: subprocess.Popen, rule: str, seconds: float) -> tuple[psutil.Process | None, str]:
    """Kill a job of a rule so long after its start; one that has ended meanwhile stays, and the next job is killed."""
    victim = job_of(process, rule)
    time.sleep(seconds)
    while victim is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            rule = running_rule(victim) or rule
            victim.kill()
            break
        victim = job_of(process)
    return victim, rule


def wait_for_end(place: Workplace) -> None:
    """Wait until nothing holds the lock of an output any more."""
    from run_setup import is_running

    deadline = time.monotonic() + LONGEST
    while is_running(place.output):
        assert time.monotonic() < deadline
        time.sleep(0.1)


# --- disks ----------------------------------------------------------------------------------------------------------


def full_disk(faults: Faults) -> Iterator[Line]:
    """An output on a file system that is full at the start, then one that fills up as a job of each rule begins."""
    if os.geteuid() or shutil.which("mount") is None:
        print("disk full: left out, needs root and mount", file=sys.stderr)
        return
    with small_disk(faults.folder / "disk_small") as disk:
        fill_up(disk)
        place = faults.place("disk small", disk / "output")
        code, _ = harness.execute(place.command(*faults.options), place.product)
        (disk / "ballast").unlink()
        yield faults.line("disk full", "from the start", place, code, missed=code == harness.RELEASED)
    for rule in faults.chosen:
        with small_disk(faults.folder / f"disk_{rule}") as disk:
            place = faults.place(f"disk {rule}", disk / "output")
            process = place.start(*faults.options, cores=1)
            hit = job_of(process, rule)
            if hit is not None:  # before it writes: what a job does first, loading its modules, takes a while
                hit.suspend()
                fill_up(disk)
                hit.resume()
            process.wait(LONGEST)
            wait_for_end(place)
            (disk / "ballast").unlink(missing_ok=True)
            missed = hit is None or process.returncode == harness.RELEASED
            yield faults.line("disk full", f"in {rule}", place, process.returncode, missed=missed)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Give a file system in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill_up(disk: Path) -> None:
    """Write a file until there is no room for a byte more."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


# --- reading --------------------------------------------------------------------------------------------------------

READS = "read,pread64,readv,preadv,mmap"


def read_error(faults: Faults) -> Iterator[Line]:
    """EIO at the first, second and third read of an instance, and at all once it was scanned, by strace."""
    if shutil.which("strace") is None:
        print("read error: left out, strace is not installed", file=sys.stderr)
        return
    for number in (1, 2, 3):
        place = faults.place(f"read error {number}")
        code, _ = harness.execute(
            [*strace(place, f"{number}", "--seccomp-bpf"), *place.command(*faults.options)], place.product
        )
        missed = code != harness.NOT_ALL_RELEASED
        yield faults.line("read error in an input", f"at read {number} of a file", place, code, missed=missed)
    place = faults.place("read error later")
    process = place.start(*faults.options)
    faults.wait_for(place, process, 1)
    with subprocess.Popen([*strace(place, "1+", "-p", str(process.pid))]) as tracer:
        process.wait(LONGEST)
        tracer.wait(LONGEST)
    missed = process.returncode != harness.NOT_ALL_RELEASED
    yield faults.line(
        "read error in an input", "at every read after the scan", place, process.returncode, missed=missed
    )


def strace(place: Workplace, when: str, *options: str) -> list[str]:
    """Return the command that lets reads of one instance fail."""
    bad = place.source / "first" / "IM2.dcm"
    inject = f"inject={READS}:error=EIO:when={when}"
    return ["strace", "-f", *options, "-qq", "-o", "/dev/null", "-P", str(bad), "-e", inject]


# --- clock ----------------------------------------------------------------------------------------------------------


def changed_clock(faults: Faults) -> Iterator[Line]:
    """All that a broken and all that a finished run wrote comes from two days ahead; a clock goes back during a run."""
    for moment in ("after half of the jobs", "after the end"):
        place = faults.place(f"clock {moment}")
        process = place.start(*faults.options)
        faults.wait_for(place, process, faults.jobs // 2 if "half" in moment else faults.jobs)
        if "half" in moment:
            harness.kill_group(process)
        process.wait(LONGEST)
        date_ahead(place.output)
        yield faults.line("clock goes back two days", moment, place, process.returncode)
    if shutil.which("cc") is None:
        print("clock under a run: left out, there is no C compiler", file=sys.stderr)
        return
    library = faults.folder / "shifted_clock.so"
    source = Path(__file__).with_name("shifted_clock.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    for number in range(3):
        yield clock_under_run(faults, library, number)


def date_ahead(output: Path) -> None:
    """Date all that is in an output two days after it was written."""
    for path in [output, *output.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            ahead = path.lstat().st_mtime + TWO_DAYS
            os.utime(path, (ahead, ahead), follow_symlinks=False)


def clock_under_run(faults: Faults, library: Path, number: int) -> Line:
    """Run with a clock two days ahead that is set right at a random moment.

    A clock that is a process's own does not date files: those written before get the time that they would have.
    """
    place, clock = faults.place(f"clock under run {number}"), faults.folder / f"clock_{number}"
    clock.write_bytes(struct.pack("l", TWO_DAYS))
    settings = {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(clock)}
    jobs = faults.random.randrange(2, faults.jobs - 2)
    process = subprocess.Popen(
        place.command(*faults.options),
        cwd=place.product,
        env={**harness.environment(), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    faults.wait_for(place, process, jobs)
    os.killpg(process.pid, signal.SIGSTOP)
    now = subprocess.run(
        ["date", "+%s"], env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    ahead = float(now) - time.time() > TWO_DAYS / 2
    date_ahead(place.output)
    with clock.open("r+b") as stream:
        stream.write(struct.pack("l", 0))
    os.killpg(process.pid, signal.SIGCONT)
    process.wait(LONGEST)
    moment = f"after {jobs} of {faults.jobs} jobs, which run on"
    return faults.line("clock goes back two days", moment, place, process.returncode, missed=not ahead)


# --- the rest -------------------------------------------------------------------------------------------------------


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
        missed = process.returncode != harness.NOT_ALL_RELEASED
        yield faults.line(
            f"input {way} between scan and reading", "after the scan", place, process.returncode, missed=missed
        )
    place = faults.place("input away")
    process = place.start(*faults.options)
    faults.wait_for(place, process, 1)
    place.source.rename(place.source.with_name("away"))
    place.source.mkdir()
    process.wait(LONGEST)
    place.source.rmdir()
    place.source.with_name("away").rename(place.source)
    missed = process.returncode == harness.RELEASED or (place.output / "release").exists()
    yield faults.line("input empty, as a lost mount", "after the scan", place, process.returncode, missed=missed)


def second_run(faults: Faults) -> Iterator[Line]:
    """A second run on the same output is refused; the first one goes on."""
    place = faults.place("second run")
    process = place.start(*faults.options)
    faults.wait_for(place, process, 2)
    code, _ = harness.execute(place.command(*faults.options), place.product)
    process.wait(LONGEST)
    moment = f"the second ends with {code}"
    yield faults.line("two runs on one output", moment, place, process.returncode, missed=code != 2)


FAULTS = {
    "kill": killed, "disk": full_disk, "read": read_error, "clock": changed_clock, "input": changed_input,
    "second": second_run,
}  # fmt: skip


def show(lines: Sequence[Line]) -> str:
    """Return one row of the table, of one fault or of several that ended alike."""
    line = lines[0]
    left = line.half_written or "nothing half-written"
    leaks = f"{line.identifiers} files with identifiers" if line.identifiers else "no identifier"
    end = "same bytes" if line.same_bytes else "NOT THE SAME"
    codes = ", ".join(str(code) for code in sorted({one.exit_code for one in lines}))
    moments = ", ".join(one.moment for one in lines)
    if line.fault.startswith("kill"):
        moments = f"in {moments}" if "job" in line.fault else f"after {moments} jobs"
    fault = f"{line.fault}, {len(lines)} times" if len(lines) > 1 else line.fault
    wrong = "" if all(one.is_good for one in lines) else " <-- wrong"
    return f"| {fault} | {moments} | {codes} | {left}, {leaks} | {line.next_exit} | {end} |{wrong}"


def rows(lines: Sequence[Line]) -> list[str]:
    """Return the rows of the table: kills of one kind that ended alike share one."""
    found: dict[tuple, list[Line]] = {}
    for number, line in enumerate(lines):
        alike = (line.half_written, line.identifiers, line.next_exit, line.same_bytes, line.missed)
        found.setdefault((line.fault, alike) if line.fault.startswith("kill") else (number,), []).append(line)
    return [show(group) for group in found.values()]


def main() -> int:
    """Run all faults; return 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORDS", help=f"with commas between: {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the random moments (default: 1)")
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="of each kind (default: 10)")
    parser.add_argument(
        "--rules", metavar="WORDS", help="in which the disk is full, with commas between (default: all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each fault there too")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        faults = Faults(Path(folder), arguments)
        lines = [line for name in chosen for line in FAULTS[name](faults)]
        told = f"{faults.jobs} jobs of {len(faults.rules)} rules in an undisturbed run"
    print("| fault | when | exit code | left behind | next run | its results |\n|---|---|---|---|---|---|")
    print("\n".join(rows(lines)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n", encoding="utf-8")
    bad = sum(not line.is_good for line in lines)
    print(f"{told}; {len(lines)} faults, {bad} of them not as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
