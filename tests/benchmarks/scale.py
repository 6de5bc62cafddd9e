"""How the pipeline grows with the data set: inventory, planning, whole runs, reruns, and the fixed cost of each job.

    scale.py inventory --instances N [--cores C]            a scan of N new instances, then one that finds nothing new
    scale.py plan --series N [--series M ...] [--cores C]    what Snakemake needs to plan N series of one instance, all to do
    scale.py run --series N --instances K [--cores C]        the whole pipeline on N series of K instances each, then a rerun
                                                             without a change and one with one changed instance
    scale.py release --instances N                           the step that releases, over N statuses and staged files that
                                                             are made up, then again with one withdrawn
    scale.py closing --instances N [--steps WORDS]           the steps over all batches, one after the other, over what
                                                             batches leave, made up of the copies of one study

Instances are copies of one CT slice with UIDs, patient, position and pixels of their own (`--size` rows and columns); each
study holds two series. Every figure is of a process with its children: wall and CPU seconds, peak memory of the largest
process in MB. `--work` names the folder (default: a temporary one, removed at the end), `--json` a file for the figures.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scale_closing import STEPS, fill_closing, program, write_study

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "scripts" / "main.py"
PER_FOLDER = 1000  # series in a folder
# Texts of one length in the template, so that their places can be filled without writing a data set anew.
STUDY, SERIES, INSTANCE = (f"1.2.826.0.1.3680043.10.9999.{part}.1000000000" for part in (1, 2, 3))
PATIENT, POSITION = "PHD1000000000", "1000.5"


@dataclass(frozen=True)
class Template:
    """The bytes of one instance before and after its pixels' first bytes, which tell instances apart."""

    data: bytes
    pixels: int
    size: int

    def instance(self, series: int, number: int) -> bytes:
        """Return the bytes of one instance of a series."""
        unique = series * 10_000 + number
        names = {STUDY: series // 2, SERIES: series, INSTANCE: unique, PATIENT: series // 2}
        head = self.data[: self.pixels]
        for name, value in names.items():
            head = head.replace(name.encode(), f"{name[:-10]}{1_000_000_000 + value}".encode())
        head = head.replace(POSITION.encode(), f"{1000 + number}.5".encode())
        return head + random.Random(unique).randbytes(self.size) + self.data[self.pixels + self.size :]


def make_template(size: int) -> Template:
    """Return the template of slices of `size` rows and columns, 16 bits."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]
    from factories import ct_instance, write

    dataset = ct_instance(size=size)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = STUDY, SERIES, INSTANCE
    dataset.PatientID, dataset.ImagePositionPatient = PATIENT, [-10, -10, POSITION]
    with tempfile.TemporaryDirectory() as folder:
        data = write(dataset, Path(folder) / "template").read_bytes()
    length = len(dataset.PixelData)
    pixels = data.rindex(dataset.PixelData)
    assert all(data[:pixels].count(name.encode()) for name in (STUDY, SERIES, INSTANCE, PATIENT, POSITION))
    return Template(data, pixels, length)


def fill_folder(folder: Path, template: Template, instances: int, series: range) -> None:
    """Write the instances of some series."""
    for one in series:
        place = folder / f"{one // PER_FOLDER:05d}" / f"{one % PER_FOLDER:04d}"
        place.mkdir(parents=True)
        for number in range(instances):
            (place / f"{number:04d}.dcm").write_bytes(template.instance(one, number))


def fill(folder: Path, series: int, instances: int, size: int, cores: int) -> None:
    """Write an input of that many series of that many instances each."""
    template = make_template(size)
    parts = [range(start, min(start + PER_FOLDER, series)) for start in range(0, series, PER_FOLDER)]
    with ProcessPoolExecutor(cores) as pool:
        list(pool.map(partial(fill_folder, folder, template, instances), parts))


def measured(command: list[str], log: Path, folder: Path | None = None) -> dict[str, Any]:
    """Run a command to its end; return what it and its children cost."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    with log.open("ab") as stream:
        process = subprocess.Popen(command, cwd=folder, stdout=stream, stderr=subprocess.STDOUT, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{log.read_text(errors='replace')[-4000:]}")
    return {
        "wall_s": round(time.perf_counter() - start, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
    }


def main_command(work: Path, command: str, *options: str) -> list[str]:
    """Return a command line of the front door for the folders of this measurement."""
    places = ["--input", str(work / "input"), "--output", str(work / "output"), "--salt-file", str(work / "salt")]
    return [sys.executable, str(MAIN), command, *places, *options]


def start_work(arguments: argparse.Namespace, work: Path, series: int, instances: int) -> None:
    """Make the input and a prepared output."""
    begun = time.perf_counter()
    fill(work / "input", series, instances, arguments.size, arguments.cores)
    (work / "salt").write_bytes(bytes(range(32)))
    measured(main_command(work, "prepare"), work / "log")
    print(f"{series * instances} instances written in {time.perf_counter() - begun:.0f} s", flush=True)


def snakemake(work: Path, cores: int, run_id: str, *targets: str) -> dict[str, Any]:
    """Run Snakemake alone on the prepared output, as the front door does; each new run has the input scanned."""
    profile = ROOT / "workflow" / "profiles" / "default"
    command = [sys.executable, "-m", "snakemake", *targets, "--snakefile", str(ROOT / "Snakefile"), "--nocolor"]
    command += ["--directory", str(work / "output"), "--cores", str(cores), "--workflow-profile", str(profile)]
    command += ["--config", f"run_id={run_id}"]
    return measured(command, work / "log", ROOT)


def inventory(arguments: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Scan new instances, then again: only names, sizes and times are looked at."""
    start_work(arguments, work, arguments.instances // 10, 10)
    rows = []
    for what in ("new", "known"):
        row = snakemake(work, arguments.cores, what, "inventory")
        rate = round(arguments.instances / row["wall_s"])
        rows.append(
            {
                "instances are": what,
                "instances": arguments.instances,
                "cores": arguments.cores,
                **row,
                "instances_per_s": rate,
            }
        )
        print(rows[-1], flush=True)
    return rows


def plan(arguments: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Plan data sets of series of one instance after their scan."""
    rows = []
    for series in arguments.series:
        place = work / str(series)
        place.mkdir()
        start_work(arguments, place, series, 1)
        snakemake(place, arguments.cores, "scan", "inventory")
        for batches in dict.fromkeys((0, min(series, 10_000))):
            if batches:  # as many batches as there may be: the largest plan
                options = ("--set", f"inventory.spread={batches}")
                shutil.rmtree(place / "output")
                measured(main_command(place, "prepare", *options), place / "log")
                snakemake(place, arguments.cores, "scan", "inventory")
            before = (place / "log").stat().st_size
            row = snakemake(place, 1, "scan", "--dry-run", "--quiet", "rules")
            told = (place / "log").read_bytes()[before:].decode()
            jobs = re.search(r"total\s+(\d+)", told)
            index = (place / "output" / "private" / "index.tsv").read_text().count("\n") - 1
            rows.append({"series": series, "batches": index, "jobs": int(jobs[1]) if jobs else 0, **row})
            print(rows[-1], flush=True)
        shutil.rmtree(place)
    return rows


def run(arguments: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Run everything, run again without a change, then with one changed instance."""
    (series,) = arguments.series
    settings = [part for setting in arguments.set for part in ("--set", setting)]
    start_work(arguments, work, series, arguments.instances)
    total, rows = series * arguments.instances, []
    changed = work / "input" / "00000" / "0000" / "0000.dcm"
    for what in ("all", "no change", "one changed instance"):
        if what == "one changed instance":
            data = bytearray(changed.read_bytes())
            data[-40] ^= 1
            changed.write_bytes(data)
        row = measured(main_command(work, "run", *settings, "--cores", str(arguments.cores)), work / "log")
        rate = round(total / row["wall_s"], 1)
        rows.append({"run": what, "series": series, "instances": total, "cores": arguments.cores, **row})
        rows[-1] |= {"instances_per_s": rate} if what == "all" else {}
        print(rows[-1], flush=True)
    if arguments.rules:
        rows += by_rule(work / "output" / "benchmarks", total)
    return rows


def release(arguments: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Build a release of empty files by the entry of its rule, then one that lacks the first of them."""
    start_work(arguments, work, 1, 1)
    output, count = work / "output", arguments.instances
    for name in ("audits/metadata/metadata_audit.parquet", "audits/ct_prepro/ct_prepro_audit.json"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).touch()
    (output / "audits" / "deid").mkdir()
    (output / "audits" / "deid" / "deid_audit.seal.json").write_text("{}")
    begun, rows = time.perf_counter(), []
    fill_staging(output / "private", count)
    print(f"{count} files staged in {time.perf_counter() - begun:.0f} s", flush=True)
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import release;"
        "release.main(Path(), Path('private/policy.json'), Path('private/salt'), 'code', Path('private/release.json'))"
    )
    for what in ("all new", "one withdrawn"):
        if what == "one withdrawn":
            subprocess.run(["sed", "-i", "1d", str(output / "private" / "statuses.jsonl")], check=True)
        row = measured([sys.executable, "-c", program, str(ROOT / "scripts")], work / "log", output)
        rows.append({"release": what, "instances": count, **row, "instances_per_s": round(count / row["wall_s"])})
        print(rows[-1], flush=True)
    return rows


def fill_staging(private: Path, count: int) -> None:
    """Stage empty files, ten to a series and a thousand to a batch, with final statuses that release them all."""
    sys.path[:0] = [str(ROOT / "scripts")]
    from audit_status import FinalStatus
    from phi_deid_pipeline.records import Status
    from record_io import write_jsonl

    chance, digest = random.Random(1), hashlib.sha256().hexdigest()

    def uid() -> str:
        return f"2.25.{chance.getrandbits(128)}"

    def batch_of(number: int, size: int) -> list[FinalStatus]:
        batch, rows = f"b{number:06d}", []
        for one in range(size):
            if one % 10 == 0:
                study, series = uid(), uid()
            sop = uid()
            path = private / "staging" / batch / study / series / f"{sop}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            where = f"{study}/{series}/{sop}.dcm"
            rows.append(FinalStatus(batch, study, series, sop, Status.RELEASED, "", staged_path=where, checksum=digest))
        write_jsonl(private / "records" / f"{batch}.jsonl", ({"sop_uid": row.sop_uid, "boxes": []} for row in rows))
        return sorted(rows, key=lambda row: row.sop_uid)

    sizes = [min(1000, count - start) for start in range(0, count, 1000)]
    statuses = (row for number, size in enumerate(sizes, 1) for row in batch_of(number, size))
    write_jsonl(private / "statuses.jsonl", statuses)
    for name in ("figures", "volumes"):
        write_jsonl(private / "remade" / f"{name}.jsonl", [])


def closing(arguments: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Run a study, multiply what its batch left, then run each entry of a rule over all batches by itself."""
    begun, output, count = time.perf_counter(), work / "output", arguments.instances
    write_study(work / "input")
    (work / "salt").write_bytes(bytes(range(32)))
    measured(main_command(work, "run", "--cores", "1", "--set", "inventory.spread=1"), work / "log")
    shutil.rmtree(output / "releases")
    (output / "release").unlink()
    fill_closing(output, count)
    print(f"{count} instances made up in {time.perf_counter() - begun:.0f} s", flush=True)
    rows = []
    for rule in arguments.steps.split(",") if arguments.steps else STEPS:
        row = measured(program(rule), work / "log", output)
        rows.append({"rule": rule, "instances": count, **row, "ms_an_instance": round(1000 * row["cpu_s"] / count, 2)})
        print(rows[-1], flush=True)
    return rows


def by_rule(folder: Path, instances: int) -> list[dict[str, Any]]:
    """Return what the jobs of each rule took, by Snakemake's own benchmark files."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(newline="") as stream:
            found[path.parent.name if path.parent != folder else path.stem] += csv.DictReader(stream, delimiter="\t")
    rows = []
    for rule, jobs in sorted(found.items()):
        seconds = [float(job["s"]) for job in jobs]
        rows.append(
            {
                "rule": rule,
                "jobs": len(jobs),
                "shortest_s": round(min(seconds), 2),
                "wall_ms_an_instance": round(1000 * sum(seconds) / instances, 2),
                "peak_mb": round(max(float(job["max_rss"].replace("NA", "0").replace("-", "0")) for job in jobs)),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> int:
    """Measure what is asked for and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("inventory", "plan", "run", "release", "closing"))
    parser.add_argument("--series", type=int, action="append", metavar="N", help="series; for plan more than once")
    parser.add_argument("--instances", type=int, default=10, metavar="N", help="in all, or with run in a series")
    parser.add_argument("--size", type=int, default=16, metavar="N", help="rows and columns of an image (default: 16)")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), metavar="N", help="cores (default: all)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as main.py run takes it")
    parser.add_argument("--rules", action="store_true", help="with run: what the jobs of each rule took")
    parser.add_argument("--steps", metavar="WORDS", help="with closing: some rules, with commas between (default: all)")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="is kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    try:
        measures = {"inventory": inventory, "plan": plan, "run": run, "release": release, "closing": closing}
        rows = measures[arguments.what](arguments, work)
    finally:
        if not arguments.work:
            shutil.rmtree(work, ignore_errors=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
