"""Speed and memory in one run: our steps beside a plain copy, hashing and other de-identifiers, on the same instances.

    bench.py [--instances N] [--data FOLDER] [--repeats N] [--only NAMES] [--large GB] [--json FILE]

Each line is a process of its own with everything a user waits for (start, imports, all instances), run in turns with the
others: once uncounted, so that Python has its bytecode as in daily use, and `--repeats` times; medians are shown. `x copy`
and `x ours` are ratios of CPU time to the plain copy and to our step `deidentify`. `--only` names processes (`text`: all
that read text, measured once; `x full chain` is the ratio to the chain on every slice). Peers are found as `peers.sh`
leaves them; absent ones are named. `--large` sends one instance of that size through scan, de-identification and
verification and shows the peak memory of each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = Path(os.environ.get("PEERS", ROOT / ".cache" / "peers"))
PYTHON_PEERS = ("kitware", "dicognito", "deid")
DATA = ROOT.parent / "shared" / "data"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
READ_TEXT_INSTANCES = 20  # as in steps.py


@dataclass
class Contender:
    """A process to measure: its command, what of WORK/out it writes, how many instances it handles, and what it cost."""

    name: str
    command: list[str]
    writes: tuple[str, ...]
    instances: int
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    failed: int = 0

    def forget(self) -> None:
        self.cpu, self.wall, self.memory = [], [], []


def ours(name: str, work: Path, instances: int, *writes: str) -> Contender:
    return Contender(name, [sys.executable, str(HERE / "steps.py"), name, str(work)], writes, instances)


def contenders(work: Path, instances: int) -> tuple[list[Contender], list[str]]:
    """Return what is to be measured and the names of the peers that are not installed."""
    found = [
        ours("copy", work, instances, "copied"),
        ours("hash_twice", work, instances),
        ours("inventory", work, instances, "private"),
        ours("deidentify", work, instances, "staging", "records"),
        ours("verify", work, instances, "verification", "links"),
    ]
    absent = []
    certificate = PEERS / "gdcmanon.pem"
    if shutil.which("gdcmanon") and certificate.is_file():
        places = ["-i", str(work / "input"), "-o", str(work / "out" / "gdcmanon")]
        command = ["gdcmanon", "-e", "-c", str(certificate), "-r", "--continue", *places]
        found.append(Contender("gdcmanon", command, ("gdcmanon",), instances))
    else:
        absent.append("gdcmanon")
    for name in PYTHON_PEERS:
        python = PEERS / name / "bin" / "python"
        if python.exists():
            command = [str(python), str(HERE / "peers" / f"run_{name}.py"), str(pairs(work, name))]
            found.append(Contender(name, command, (name,), instances))
        else:
            absent.append(name)
    return found, absent


def pairs(work: Path, name: str) -> Path:
    """Write the list of sources and targets that a peer's runner reads."""
    sources = sorted((work / "input").iterdir())
    rows = [[str(source), str(work / "out" / name / f"{source.name}.dcm")] for source in sources]
    path = work / f"{name}.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def measure(one: Contender, work: Path) -> None:
    """Run a process once and note what it and its children cost."""
    for name in one.writes:
        shutil.rmtree(work / "out" / name, ignore_errors=True)
        if one.name in (*PYTHON_PEERS, "gdcmanon"):
            (work / "out" / name).mkdir(parents=True)
    log = work / f"{one.name}.log"
    with log.open("wb") as stream:
        start = time.perf_counter()
        process = subprocess.Popen(one.command, stdout=stream, stderr=subprocess.STDOUT, env=ENVIRONMENT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        one.wall.append(time.perf_counter() - start)
    one.cpu.append(used.ru_utime + used.ru_stime)
    one.memory.append(used.ru_maxrss / 1024)
    if process.returncode and one.name != "gdcmanon":
        raise SystemExit(f"{one.name} failed:\n{log.read_text(errors='replace')[-2000:]}")
    if one.name in (*PYTHON_PEERS, "gdcmanon"):
        one.failed = one.instances - sum(1 for path in (work / "out" / one.name).rglob("*") if path.is_file())


def rows_of(measured: list[Contender]) -> list[dict[str, object]]:
    """Return the medians per instance and their ratios."""
    cpu = {one.name: statistics.median(one.cpu) / one.instances for one in measured}
    return [
        {
            "process": one.name,
            "instances": one.instances,
            "cpu_ms": round(1000 * cpu[one.name], 2),
            "wall_ms": round(1000 * statistics.median(one.wall) / one.instances, 2),
            "x copy": round(cpu[one.name] / cpu["copy"], 1),
            "x ours": round(cpu[one.name] / cpu["deidentify"], 2),
            "peak_mb": round(max(one.memory)),
            "failed": one.failed,
        }
        for one in measured
    ]


def make(work: Path, source: str) -> int:
    """Fill WORK/input and make what the steps read; return the number of instances.

    Other processes do it: the peak memory of a process begins at that of the one which started it, hence this stays small.
    """
    (work / "input").mkdir(parents=True)
    (work / "out").mkdir()
    for arguments in (["fill", str(work), source], ["prepare", str(work)]):
        subprocess.run([sys.executable, str(HERE / "steps.py"), *arguments], check=True)
    return len(list((work / "input").iterdir()))


def compare(work: Path, source: str, repeats: int, only: str | None, *, slow_steps: bool) -> list[dict[str, object]]:
    """Measure everything on one input, in turns."""
    instances = make(work, source)
    measured, absent = contenders(work, instances)
    if only:
        wanted = {"copy", "deidentify", *only.split(",")}
        measured, absent = [one for one in measured if one.name in wanted], sorted(wanted & set(absent))
    for number in range(repeats + 1):
        for one in measured:
            measure(one, work)
            if number == 0:
                one.forget()
    if slow_steps:
        measured.append(ours("geometry", work, instances))
        measure(measured[-1], work)
    if absent:
        print(f"not installed, left out: {', '.join(absent)} (tests/benchmarks/peers.sh)")
    return rows_of(measured)


def compare_text(work: Path, instances: int) -> list[dict[str, object]]:
    """Measure readers of burned-in text once each, beside the full chain: others on the slices that it reads."""
    subprocess.run([sys.executable, str(HERE / "steps.py"), "text_inputs", str(work)], check=True)
    few = min(instances, READ_TEXT_INSTANCES)
    measured = [ours("read_text", work, few), ours("tesseract_text", work, few)]
    presidio = PEERS / "presidio" / "bin" / "python"
    if presidio.exists():
        job = work / "presidio.json"
        sources = sorted((work / "input").iterdir())[:few]
        job.write_text(json.dumps([str(source) for source in sources]), encoding="utf-8")
        measured.append(
            Contender("presidio", [str(presidio), str(HERE / "peers" / "run_presidio.py"), str(job)], (), few)
        )
    else:
        print("not installed, left out: presidio (tests/benchmarks/peers.sh)")
    measured += [ours(name, work, instances) for name in ("skim_text", "read_series")]
    measured += [ours(name, work, 1) for name in ("read_cine", "read_radiograph")]
    for one in measured:
        measure(one, work)
    full = measured[0].cpu[0] / few
    return [
        {
            "process": one.name,
            "instances": one.instances,
            "cpu_ms": round(1000 * one.cpu[0] / one.instances, 1),
            "wall_ms": round(1000 * one.wall[0] / one.instances, 1),
            "x full chain": round(one.cpu[0] / one.instances / full, 2),
            "peak_mb": round(one.memory[0]),
        }
        for one in measured
    ]


def large(work: Path, size: int) -> list[dict[str, object]]:
    """Send one very large instance through the steps, native and encapsulated."""
    rows = []
    for kind in ("native", "encapsulated"):
        place = work / kind
        make(place, f"{kind}:{size}")
        for name in ("inventory", "deidentify", "verify"):
            one = ours(name, place, 1)
            measure(one, place)
            rows.append(
                {
                    "pixel data": kind,
                    "process": name,
                    "size_gb": round((place / "input" / "large").stat().st_size / (1 << 30), 2),
                    "cpu_s": round(one.cpu[0], 1),
                    "wall_s": round(one.wall[0], 1),
                    "peak_mb": round(one.memory[0]),
                }
            )
        shutil.rmtree(place)
    return rows


def show(title: str, rows: list[dict[str, object]]) -> None:
    print(f"\n{title}")
    names = list(rows[0])
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in names}
    print("  ".join(name.rjust(widths[name]) for name in names))
    for row in rows:
        print("  ".join(str(row[name]).rjust(widths[name]) for name in names))


def main() -> int:
    """Run what is asked for and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=300, metavar="N", help="CT instances (default: 300; 0: none)")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="real instances, where they are")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each process (default: 3)")
    parser.add_argument(
        "--only", metavar="NAMES", help="processes to measure, with commas between; copy, deidentify always; text"
    )
    parser.add_argument("--large", type=float, default=0, metavar="GB", help="also one instance of that size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    tables: dict[str, list[dict[str, object]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if arguments.instances:
            title = f"{arguments.instances} CT instances of 512 x 512"
            tables[title] = compare(
                work / "ct", str(arguments.instances), arguments.repeats, arguments.only, slow_steps=not arguments.only
            )
            show(title, tables[title])
            if not arguments.only or "text" in arguments.only.split(","):
                title = f"text in the pixels of {arguments.instances} CT instances, a cine and a radiograph"
                tables[title] = compare_text(work / "ct", arguments.instances)
                show(title, tables[title])
        if arguments.data.is_dir():
            title = "real instances"
            tables[title] = compare(
                work / "real", str(arguments.data), arguments.repeats, arguments.only, slow_steps=False
            )
            show(title, tables[title])
        if not arguments.only:
            title = "CT geometry once headers are read, on one core (goal: 1,000 slices in under 2 s)"
            measure(ours("measure_slices", work, 1), work)
            tables[title] = json.loads((work / "geometry.json").read_bytes())
            show(title, tables[title])
        if arguments.large:
            title = "one large instance"
            tables[title] = large(work / "large", int(arguments.large * (1 << 30)))
            show(title, tables[title])
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
