"""Starts Snakemake, shows how far it is, and prints the closing summary."""

from __future__ import annotations

import json
import math
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import snakemake_process

ROOT = Path(__file__).resolve().parents[1]
_PRODUCTS = {"picture": "picture", "image": "volume", "mask": "mask"}
_DISK_FULL = re.compile("No space left on device|Disk quota exceeded|disk is full")
# Lines of Snakemake's heading that tell where it runs and who started it.
PLACES = tuple(f"  {name}:" for name in ("Command", "Run directory", "Working directory", "Host", "User"))
PLAIN_SECONDS = 10.0
POLL_SECONDS = 0.25
# Before so much is done, no time is told that is left: at least so many pieces, and such a share or so many more.
FEWEST_PIECES, LEAST_SHARE, MANY_PIECES = 10, 0.1, 1000
NEWS_WEIGHT = 2.0  # how far a piece that took a share of the time moves the end: 1 - exp(-2 share)
NARROW = 120  # columns of a terminal below which progress is told in fewer words
SUMMARY_SCHEMA = "summary/4"  # of the summary that is printed here
STAGES = {
    "inventory": "reading headers",
    "map_uids": "mapping UIDs",
    "read_burned_in_text": "looking for text in pixels",
    "judge_burned_in_text": "judging text",
    "gather_boxes": "gathering boxes of groups",
    "deidentify_series": "de-identifying",
    "verify_series": "verifying",
    "extract_metadata": "extracting metadata",
    "measure_ct_geometry": "measuring CT geometry",
    "draw_stacks": "drawing CT stacks",
    "resample": "resampling CT stacks",
    "draw_pictures": "drawing pictures",
    "check_link_geometry": "checking geometry over links",
    "check_links": "checking links",
    "remake_stacks": "making CT stacks anew that lack slices",
    "assemble_audits": "assembling audits",
    "gather_figures": "gathering figures",
    "release": "releasing",
    "report_pictures": "making pages with pictures",
    "prune_withdrawn": "pruning",
}


@dataclass
class RunState:
    """What Snakemake's output told so far."""

    steps: int = 0
    steps_done: int = 0
    stage: str = "planning"
    instances_done: int = 0
    series_done: int = 0
    files_read: int = 0
    files_to_read: int = 0
    nothing_to_do: bool = False
    is_ending: bool = False  # it was told to, and ends its jobs
    disk_full: bool = False
    failed: list[str] = field(default_factory=list)
    planned: dict[str, list[str]] = field(default_factory=dict)  # rule -> batches (dry run)
    _rule: str = ""
    _error: str = ""
    _batch_of_job: dict[str, str] = field(default_factory=dict)
    _job: str = ""


class LogReader:
    """Turns lines of Snakemake's output into a RunState."""

    def __init__(self, work: dict[str, tuple[int, int]]) -> None:
        self.state = RunState()
        self._work = work

    def feed(self, line: str) -> None:
        """Take one line."""
        state = self.state
        state.disk_full |= _DISK_FULL.search(line) is not None
        if match := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
            state._rule, state._error = match[1], ""
            state.stage = STAGES.get(match[1], state.stage)
            state.planned.setdefault(match[1], [])
        elif match := re.match(r"\s+jobid: (\d+)", line):
            state._job = match[1]
        elif match := re.match(r"\s+wildcards: batch=(b\d+)", line):
            state._batch_of_job[state._job] = match[1]
            state.planned.setdefault(state._rule, []).append(match[1])
        elif match := re.match(r"Finished jobid: (\d+) \(Rule: (\w+)\)", line):
            if match[2] == "verify_series":
                series, instances = self._work.get(state._batch_of_job.get(match[1], ""), (0, 0))
                state.series_done += series
                state.instances_done += instances
        elif match := re.match(r"(\d+) of (\d+) steps \(", line):
            state.steps_done, state.steps = int(match[1]), int(match[2])
        elif match := re.match(r"total\s+(\d+)", line):
            state.steps = int(match[1])
        elif match := re.match(r"Error in (?:rule|checkpoint) (\w+):", line):
            state.failed.append(match[1])
        elif "Nothing to be done" in line:
            state.nothing_to_do = True
        elif "Terminating processes on user request" in line:
            state.is_ending = True


def read_work(output: Path) -> dict[str, tuple[int, int]]:
    """Return {batch: (series, instances)} of the index; empty before the first scan."""
    index = output / "private" / "index.tsv"
    if not index.exists():
        return {}
    lines = index.read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    return {row["batch"]: (int(row["series"]), int(row["instances"])) for row in rows}


def read_counts(output: Path) -> dict[str, int]:
    """Return what the last scan counted in the input (`instances`, `series`, ...); empty before the first scan."""
    counts = output / "private" / "inventory.json"
    return json.loads(counts.read_bytes()) if counts.exists() else {}


def run_snakemake(
    output: Path,
    targets: list[str],
    *,
    machines: list[str],
    run_id: str,
    profile: str,
    software: str | None,
    lock: int,
    extra: list[str],
    console: Console,
) -> tuple[int, RunState]:
    """Run Snakemake on the output folder; its output goes to `logs/snakemake.log`, progress to the console.

    Snakemake inherits the `lock` of the output: should this process be killed alone, no run begins beside it.
    """
    command = [*targets, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(output), *machines]
    command += ["--workflow-profile", str(ROOT / "workflow" / "profiles" / profile), "--nocolor"]
    command += ["--software-deployment-method", software] if software else []
    command += ["--config", f"run_id={run_id}", *extra]
    environment = run_environment(output)
    work = read_work(output)
    reader = LogReader(work)
    forget_scan_progress(output)
    log = output / "logs" / "snakemake.log"
    with (
        log.open("a", buffering=1, encoding="utf-8") as record,
        _progress(console, work) as show,
        snakemake_process.stop_signals(),
    ):
        process = snakemake_process.start(command, environment, lock)

        def follow() -> None:
            for line in process.stdout or ():
                if line.startswith(PLACES):
                    continue
                reader.feed(line.rstrip("\n"))
                try:
                    record.write(line)
                except OSError as error:  # read on, or Snakemake waits for ever
                    reader.feed(error.strerror or "")

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            while follower.is_alive():
                follower.join(POLL_SECONDS)
                if reader.state.stage == STAGES["inventory"]:
                    reader.state.files_read, reader.state.files_to_read = read_scan_progress(output)
                show(reader.state)
        except BaseException as reason:
            snakemake_process.ignore_stop_signals()
            if isinstance(reason, KeyboardInterrupt):
                with suppress(OSError):  # the terminal may be what ended
                    console.print("Stopping: running jobs are ended; the next run goes on from here.")
            snakemake_process.end(process, lambda: reader.state.is_ending)
            follower.join()
            raise
        code = process.wait()
    return code, reader.state


def run_environment(output: Path) -> dict[str, str]:
    """Return the environment variables of a run: the present ones, a cache of its own, what a container is to see.

    The input's folder is bound by a variable, since command lines are kept in Snakemake's records and may not name it.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["XDG_CACHE_HOME"] = str(output / ".snakemake" / "cache")
    source = (output / "private" / "input").resolve()
    binds = [f"{folder}:{folder}:ro" for folder in (ROOT, source)]
    environment["APPTAINER_BIND"] = ",".join([*filter(None, [environment.get("APPTAINER_BIND")]), *binds])
    environment["APPTAINER_CLEANENV"] = "true"
    return environment


def read_scan_progress(output: Path) -> tuple[int, int]:
    """Return how many files the scan has read, of how many that are new or changed; (0, 0) where it has not said yet."""
    try:
        done, total = (output / "private" / ".scan_progress").read_text(encoding="ascii").split()
    except (FileNotFoundError, ValueError):
        return 0, 0
    return int(done), int(total)


def forget_scan_progress(output: Path) -> None:
    """Remove what a former scan said of itself, or its counts would stand for those of a scan that has just begun."""
    (output / "private" / ".scan_progress").unlink(missing_ok=True)


class Remaining:
    """Estimates the seconds left: once enough is done to tell, counting down between two pieces of work.

    Pieces are of unlike cost, so what the last ones say moves the end that was told by its share of the time alone.
    """

    def __init__(self, now: float) -> None:
        self._start = self._heard = now
        self._done, self._total, self._first = 0, 0, 0
        self._end: float | None = None

    def seconds(self, done: int, total: int, now: float) -> float | None:
        """Return the seconds left at a time when `done` of `total` are done; None where nothing can be said yet, or any more."""
        if total != self._total or done < self._done:  # other work: what went before tells nothing of it
            self._start, self._heard, self._first, self._end = now, now, done, None
        elif done > self._done:
            pieces, elapsed = done - self._first, now - self._start
            if pieces >= FEWEST_PIECES and (pieces >= total * LEAST_SHARE or pieces >= MANY_PIECES):
                end = now + elapsed / pieces * (total - done)
                weight = 1 - math.exp(-NEWS_WEIGHT * (now - self._heard) / max(elapsed, 1.0))
                self._end = end if self._end is None else self._end + weight * (end - self._end)
            self._heard = now
        self._done, self._total = done, total
        left = None if self._end is None else self._end - now
        return left if left is not None and left > 0 else None


def remaining_words(seconds: float | None) -> str:
    """Return about how long it takes, no finer than anybody can know; "" where that is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(round(seconds, -1), 10):.0f} s left"
    minutes = seconds / 60
    return f"about {minutes:.0f} min left" if minutes < 90 else f"about {minutes / 60:.0f} h left"


def work_done(state: RunState) -> tuple[int, int]:
    """Return how much is done of how much: files while the input is scanned, steps afterwards."""
    if state.stage == STAGES["inventory"] and state.files_to_read:
        return state.files_read, state.files_to_read
    return state.steps_done, state.steps


@contextmanager
def _progress(console: Console, work: dict[str, tuple[int, int]]) -> Iterator:
    instances = sum(n for _, n in work.values())
    series = sum(n for n, _ in work.values())
    start = time.monotonic()
    remaining = Remaining(start)
    narrow = console.is_terminal and console.width < NARROW

    def left(state: RunState) -> str:
        return remaining_words(remaining.seconds(*work_done(state), time.monotonic()))

    def counts(state: RunState) -> str:
        seconds = max(time.monotonic() - start, 0.001)
        if state.stage == STAGES["inventory"] and state.files_to_read:
            return f"files {state.files_read} of {state.files_to_read}, {state.files_read / seconds:.0f} files/s"
        rate = state.instances_done / seconds
        if not state.instances_done:
            return ""
        if narrow:
            return f"{state.instances_done}/{instances} instances"
        return (
            f"instances {state.instances_done} of {instances}, series {state.series_done} of {series}, "
            f"{rate:.1f} instances/s"
        )

    if console.is_terminal:
        columns = (
            *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(8 if narrow else 40)),
            *(TextColumn("{task.fields[counts]}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}")),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("planning", total=None, counts="", left="")

            def draw(state: RunState) -> None:
                done, total = work_done(state)
                told = {"counts": counts(state), "left": left(state)}
                bar.update(task, description=state.stage, total=total or None, completed=done, **told)

            yield draw
        return
    last = [time.monotonic(), ""]

    def plain(state: RunState) -> None:
        now, soon = time.monotonic(), left(state)
        if now - last[0] < PLAIN_SECONDS or not state.steps:
            return
        text = f"  {state.stage}: step {state.steps_done} of {state.steps}"
        text += f", {counts(state)}" if counts(state) else ""
        text += f", {soon}" if soon else ""
        last[0] = now
        console.print(text, highlight=False)

    yield plain


def failure_lines(output: Path, rules: list[str]) -> list[str]:
    """Return a line for each failed job: its log below the output folder and the last line of it."""
    lines = []
    for rule in sorted(set(rules)):
        for log in sorted((output / "logs" / rule).glob("*.log")):
            text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if text and " ERROR " in text[-1]:
                lines.append(f"{log.relative_to(output)}: {text[-1]}")
    return lines


def print_summary(output: Path, console: Console) -> int:
    """Print `audits/summary.json`; return how many files and decisions need a look."""
    summary = json.loads((output / "audits" / "summary.json").read_text(encoding="utf-8"))
    if summary["schema"] != SUMMARY_SCHEMA:
        console.print("The last run was of another version of this program: run again to see what became of the input.")
        return 0
    console.print()
    table = Table(title="What became of the input", title_justify="left")
    for name in ("", "found", "released", "held", "rejected"):
        table.add_column(name, justify="left" if not name else "right")
    for name in ("patients", "studies", "series"):
        counts = summary[name]
        table.add_row(name, str(counts["in"]), str(counts["out"]), "", "")
    by_modality = summary["instances_by_modality"]
    for modality in sorted(by_modality):
        counts = Counter(by_modality[modality])
        table.add_row(
            f"instances {modality or '(no modality)'}",
            str(sum(counts.values())),
            *(str(counts[status]) for status in ("released", "held", "rejected")),
        )
    total = Counter(summary["instances"])
    table.add_section()
    table.add_row("all instances", str(sum(total.values())), *(str(total[s]) for s in ("released", "held", "rejected")))
    console.print(table)
    if told := patients_line(summary["studies_of_several_patients"]):
        console.print(told, highlight=False)
    for line in rejected_lines(summary, output):
        console.print(line, highlight=False)
    console.print(text_line(summary["text"]), highlight=False)
    console.print(links_line(summary["links"]), highlight=False)
    ct = summary["ct_series"]
    uids = summary["uids"]
    console.print(
        f"UIDs: {sum(uids['by_type'].values())} mapped, {uids['in_two_roles']} in two roles or under two parents, "
        f"{uids['not_in_dataset']} only referred to",
        highlight=False,
    )
    needs = f"need resampling {ct['requires_resampling']}, need splitting at gaps {ct['requires_splitting']}"
    console.print(f"CT series: {ct['total']} measured; {needs}", highlight=False)
    console.print(stacks_line(summary["ct_stacks"]), highlight=False)
    unused = summary["decisions_unused"]
    if unused:
        console.print(f"Decisions that match nothing in this data set: {unused}; check their UIDs.", highlight=False)
    return sum(summary["rejected_by_reason"].values()) + total["held"] + unused


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun, in the plural (`more`, else with an s) where it is not 1."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def rejected_lines(summary: Mapping[str, Any], output: Path) -> list[str]:
    """Return what was rejected and held, by reason, and which files tell of each one; nothing where nothing was."""
    lines = []
    rejected, held = summary["rejected_by_reason"], summary["held_by_reason"]
    files = sum(rejected.values()) - summary["instances"]["rejected"]
    if files:
        told = counted(files, "file that is no DICOM instance was", "files that are no DICOM instances were")
        lines.append(f"Besides, {told} rejected.")
    if rejected:
        lines.append(f"All rejected input files, by reason: {_by_name(rejected)}")
    if held:
        lines.append(f"Held for review, by reason: {_by_name(held)}")
    if rejected:
        taken = ", of duplicates also the row of decisions that takes it" if "duplicate_conflict" in rejected else ""
        lines.append(f"What the scan rejected, and what to do{taken}: {output}/private/rejected.jsonl")
    if held or summary["instances"]["rejected"]:
        lines.append(f"All instances with status, reason and what to do: {output}/audits/deid/deid_audit.jsonl")
    return lines


def _by_name(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in sorted(counts))


def text_line(text: Mapping[str, Any]) -> str:
    """Return what was seen and done of burned-in text, in words."""
    looked_at, redacted = counted(text["instances_read"], "instance"), counted(text["instances_redacted"], "instance")
    hidden, kept = counted(text["regions_hidden"], "region"), counted(text["regions_benign_kept"], "benign region")
    frames = counted(text["read_again"]["frames"], "frame was", "frames were")
    left = counted(text["read_again"]["left"], "text that identifies was", "texts that identify were")
    return (
        f"Burned-in text: {looked_at} looked at, {hidden} hidden in {redacted}, {kept} kept. {frames} looked at again, {left} "
        "left. A scan that finds no text is no proof that there is none."
    )


def patients_line(studies: Sequence[str]) -> str:
    """Return what it means that instances of one study name several patients, and what to do; "" where none does."""
    if not studies:
        return ""
    return (
        f"Studies under several Patient IDs: {len(studies)} (studies_of_several_patients of audits/summary.json). Each ID has a "
        "pseudonym and an offset of dates of its own: where they are one person's, or one is missing, mend the input or join "
        "them with --patients."
    )


def links_line(links: Mapping[str, Any]) -> str:
    """Return what became of all links, in words."""

    def told(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{counts[key]} {key.replace('_', ' ')}" for key in counts if counts[key])

    states = told({key: count for key, count in links.items() if isinstance(count, int)})
    reasons = told(links["dangling_by_reason"])
    pairs, geometry = told(links["pairs_by_state"]), told(links["pairs_by_agreement"])
    return (
        "References: "
        + (f"{states} (pairs of objects: {pairs})" if states else "none")
        + (f"; dangling: {reasons}" if reasons else "")
        + (f". Geometry of pairs: {geometry}" if geometry else "")
    )


def stacks_line(stacks: Mapping[str, Any]) -> str:
    """Return what was made of CT stacks and what is left out and why, in words."""
    made = ", ".join(counted(stacks[kind], name) for kind, name in _PRODUCTS.items() if stacks[kind])
    reasons = Counter(f"{row['kind']}: {row['reason']}" for row in stacks["left_out"])
    return (
        "CT stacks: "
        + (made or "neither pictures nor volumes")
        + "".join(f"; {reasons[reason]} {reason}" for reason in sorted(reasons))
        + (" (see ct_stacks.left_out of audits/summary.json)" if reasons else "")
    )


def print_places(output: Path, console: Console) -> None:
    """Say where everything lies and what may leave the building."""
    release = output / "release"
    newest = release.readlink().name if release.is_symlink() else "none"
    console.print(
        f"\nMay leave the building:  {output}/release  (release {newest}, every file verified)", highlight=False
    )
    console.print(
        f"Restricted, stays here:  {output}/audits/deid, {output}/audits/uid  (source paths and UIDs)", highlight=False
    )
    console.print(
        f"Identifying, stays here: {output}/private  (salt, manifests, lexicons, what was rejected and why)",
        highlight=False,
    )
    pages = [output / "private" / "reports" / name for name in ("burned_in_text.html", "released.html")]
    if all(page.is_file() for page in pages):
        console.print(f"To look at, stays here:  {pages[0]}, {pages[1]}", highlight=False)
