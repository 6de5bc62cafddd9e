"""Runs the front door as a user does, as a process of its own, and tells which jobs ran and what is in an output."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

import factories
from sample_identity import BARNABY, OTTOLINE, source_uid

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("Snakefile", "workflow", "scripts", "config", "resources", "envs", "LICENSE", "pyproject.toml")
PATIENT_RULES = (
    "judge_burned_in_text", "deidentify_series", "verify_series", "extract_metadata", "measure_ct_geometry", "draw_pictures",
    "draw_stacks",
)  # fmt: skip
BATCH_RULES = ("map_uids", "read_burned_in_text", *PATIENT_RULES)
CLOSING_RULES = (
    "check_link_geometry", "check_links", "remake_stacks", "assemble_audits", "gather_figures", "release", "report_pictures",
    "prune_withdrawn",
)  # fmt: skip
BATCH_RESULTS = (
    "uid_map", "read", "findings", "staging", "records", "words", "verification", "links", "metadata", "geometry",
    "pictures", "figures",
)  # fmt: skip
RELEASED, NOT_ALL_RELEASED = 0, 3
ONE_BATCH = ("--set", "inventory.spread=1")  # fewer jobs
_EVERY_RUN = frozenset({"inventory", "all"})  # the scan looks at the input in every run; `all` does nothing

Job = tuple[str, str]  # rule, and batch or ""


def jobs(batches: Iterable[str], rules: Iterable[str] = BATCH_RULES, closing: Iterable[str] = CLOSING_RULES) -> list:
    """Return the sorted jobs of some rules on some batches and of the rules over all batches."""
    return sorted([(rule, batch) for rule in rules for batch in batches] + [(rule, "") for rule in closing])


@dataclass(frozen=True)
class Run:
    """An ended run: exit code, what the user saw, the jobs that ran (each as often as it did, sorted)."""

    code: int
    shown: str
    jobs: list[Job] = field(repr=False)
    seconds: float = 0.0


class Workplace:
    """An input folder, an output folder and the checkout that runs over them."""

    def __init__(self, product: Path, source: Path, output: Path, python: str | Path = sys.executable) -> None:
        self.product, self.source, self.output, self.python = product, source, output, str(python)
        self.log = output / "logs" / "snakemake.log"

    def command(self, *options: str, cores: int = 2, command: str = "run") -> list[str]:
        """Return the command line of a run."""
        line = [self.python, str(self.product / "scripts" / "main.py"), command]
        line += ["--input", str(self.source), "--output", str(self.output), *options]
        return line + (["--cores", str(cores)] if command == "run" else [])

    def run(self, *options: str, cores: int = 2, expect: int = RELEASED) -> Run:
        """Run the pipeline and assert its exit code."""
        start, begun = self._log_size(), time.monotonic()
        code, shown = execute(self.command(*options, cores=cores), self.product)
        seconds = time.monotonic() - begun
        text = self.log_text(start)
        assert code == expect, f"exit code {code} instead of {expect}\n{shown}\n{text[-4000:]}"
        return Run(code, shown, ran_jobs(text), seconds)

    def start(self, *options: str, cores: int = 2, shown: IO[str] | int = subprocess.DEVNULL) -> subprocess.Popen:
        """Start a run at the head of a process group of its own; what the user sees goes to `shown`."""
        return subprocess.Popen(
            self.command(*options, cores=cores),
            cwd=self.product,
            env=environment(),
            stdout=shown,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def log_text(self, start: int = 0) -> str:
        """Return what Snakemake said, from an offset in its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def batches(self) -> dict[str, str]:
        """Return {name of the series' folder in the input: batch}; each series of these tests has a batch alone."""
        found = {}
        for path in sorted((self.output / "private" / "manifests").glob("b*.json")):
            for series in json.loads(path.read_bytes())["series"]:
                found[series["instances"][0]["path"].split("/")[0]] = path.stem
        return found

    def new_series(self) -> dict[str, str]:
        """Return {name of the series' folder in the input: new Series Instance UID}."""
        rows = [json.loads(line) for line in (self.output / "audits/deid/deid_audit.jsonl").read_bytes().splitlines()]
        return {row["input_path"].split("/")[0]: row["output_path"].split("/")[-2] for row in rows}

    def releases(self) -> list[str]:
        """Return all names in `releases/`, whatever they are."""
        return sorted(path.name for path in (self.output / "releases").iterdir())

    def newest(self) -> Path:
        """Return the folder that `release` points to."""
        return (self.output / "release").resolve()

    def manifest(self) -> dict:
        """Return the manifest of the newest release."""
        return json.loads((self.newest() / "manifest.json").read_bytes())


def environment() -> dict[str, str]:
    """Return the environment of a user's shell: nothing of pytest's."""
    dropped = ("PYTHONPATH", "PYTEST_CURRENT_TEST", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def execute(command: list[str], folder: Path) -> tuple[int, str]:
    """Run a command in a folder; return exit code and all that it printed."""
    done = subprocess.run(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def kill_group(process: subprocess.Popen) -> bool:
    """Kill a run with all its jobs at once; return whether it was still at work."""
    working = process.poll() is None
    if working:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return working


def kill_group_of(leader: subprocess.Popen) -> None:
    """Kill what is left of the process group of a run whose leader has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)


def ran_jobs(log: str) -> list[Job]:
    """Return the jobs that ran to their end, by what Snakemake said; asserts that each that was started ended."""
    started: list[Job] = []
    finished: Counter = Counter()
    for line in log.splitlines():
        if match := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):$", line):
            started.append((match[1], ""))
        elif match := re.match(r"    wildcards: batch=(b\d+)$", line):
            started[-1] = (started[-1][0], match[1])
        elif match := re.match(r"Finished jobid: \d+ \(Rule: (\w+)\)$", line):
            finished[match[1]] += 1
    if "This was a dry-run" not in log:
        assert Counter(rule for rule, _ in started) == finished
        started = [job for job in started if job[0] not in _EVERY_RUN]
    return sorted(started)


# --- folders --------------------------------------------------------------------------------------------------------


def copy_product(target: Path) -> Path:
    """Copy what a run needs of this checkout, times kept: work on the checkout meanwhile changes no run's code."""
    target.mkdir(parents=True)
    for name in PRODUCT:
        execute(["cp", "-a", str(ROOT / name), str(target)], ROOT)
    for cache in sorted(target.rglob("__pycache__")):
        shutil.rmtree(cache)
    assert (target / "scripts" / "main.py").is_file()
    return target


def make_once(done: Path, make: Callable[[], None]) -> None:
    """Make something that several workers of a test run share, in one of them; the others wait for it."""
    done.parent.mkdir(exist_ok=True)
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make()
            done.touch()


def copy_tree(source: Path, target: Path) -> Path:
    """Copy a folder with its times and hard links."""
    code, shown = execute(["cp", "-a", str(source), str(target)], source.parent)
    assert code == 0, shown
    return target


def build_input(root: Path) -> Path:
    """Write two CT series of one patient, `first` and `second`, and one picture series of another, `other`.

    The pictures show the patient: one is JPEG, of which blocks are made anew, one so faint that both readers are asked.
    """
    for number in (1, 2, 3):
        factories.write(factories.ct_instance(number=number), root / "first" / f"IM{number}.dcm")
    for number in (1, 2):
        factories.write(second_series(number), root / "second" / f"IM{number}.dcm")
    lines = (BARNABY.printed_name, f"ID {BARNABY.patient_id}")
    for number, ink, syntax in ((1, 255, JPEGBaseline8Bit), (2, 80, ExplicitVRLittleEndian)):
        picture = factories.rgb_instance(lines, person=BARNABY, number=number, ink=ink)
        factories.write(picture, root / "other" / f"IM{number}.dcm", syntax)
    return root


def text_hidden(output: Path) -> dict[str, int]:
    """Return {input path: regions of text that were filled} by the audit of an output, of those that have any."""
    rows = [json.loads(line) for line in (output / "audits" / "deid" / "deid_audit.jsonl").read_bytes().splitlines()]
    counts = {row["input_path"]: row["burned_in_text_scan"].get("regions_hidden", 0) for row in rows}
    return {path: count for path, count in counts.items() if count}


def second_series(number: int, name: str = "second", **overrides: object):
    """Return an instance of one more CT series of the first patient, of another device model."""
    own = {
        "SeriesInstanceUID": source_uid(OTTOLINE.patient_id, name),
        "SOPInstanceUID": source_uid(OTTOLINE.patient_id, name, number),
        "ManufacturerModelName": "Sextant 16",
    }
    return factories.ct_instance(number=number + 10, **{**own, **overrides})


def content(folder: Path) -> dict[str, bytes]:
    """Return {path: bytes} of all that is in a folder, without the times that manifests and audit rows hold."""
    return {
        path.relative_to(folder).as_posix(): _timeless(path) for path in sorted(folder.rglob("*")) if _is_file(path)
    }


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _timeless(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name == "manifest.json":
        return re.sub(rb'\n "timestamp": "[^"]*"', b"", data, count=1)
    if path.name == "deid_audit.jsonl":
        rows = [json.loads(line) for line in data.splitlines()]
        assert all(row.pop("timestamp") for row in rows)
        return "\n".join(json.dumps(row) for row in rows).encode()
    return data


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Return {path: (inode, time of change in ns)} of all files in a folder: equal means that nothing was written."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if _is_file(path):
            stat = path.lstat()
            found[path.relative_to(folder).as_posix()] = (stat.st_ino, stat.st_mtime_ns)
    return found


def differing(left: dict, right: dict) -> list[str]:
    """Return the names that only one side has, or whose values differ."""
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def assert_same_results(place: Workplace, reference: Workplace) -> None:
    """Assert that release, audits and PDFs of two outputs are the same, byte by byte, apart from the time of the run."""
    for folder in ("release", "audits"):
        here, there = content((place.output / folder).resolve()), content((reference.output / folder).resolve())
        assert len(there) > 4
        assert differing(here, there) == []
    for name in ("burned_in_text.pdf", "released.pdf"):  # the pages for a browser name batches
        one, other = (output / "private" / "reports" / name for output in (place.output, reference.output))
        assert one.read_bytes() == other.read_bytes()
