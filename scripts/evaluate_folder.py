"""What `main.py evaluate` does: a second, independent pass over any de-identified folder, with reports and a score."""

from __future__ import annotations

import argparse
import csv
import json
import logging
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from phi_deid_pipeline.errors import ConfigError
from run_progress import PLAIN_SECONDS
from run_setup import make_output
from run_tables import separator_hint

if TYPE_CHECKING:
    from phi_deid_pipeline.evaluation_findings import FileResult
    from phi_deid_pipeline.evaluation_known import Known

NOTHING_SERIOUS, FINDINGS = 0, 1
HEADER_REPORT, PIXEL_REPORT, SCORE, LOG = "header_findings.tsv", "pixel_findings.tsv", "score.json", "evaluate.log"
_QUIET = ExitStack()  # of a worker process; a context that nobody holds would end at once
EPILOG = """The reports quote what was seen: THEY MAY IDENTIFY PATIENTS, keep them as the source is kept. certain: a known identifier
as a whole, or a form that nothing but an identifier has; likely: the standard removes it and the value looks real, one word of
a known name, text in the pixels that is written like an identifier, or nobody could look; possible: a person has to know, as of
a known number of fewer than six digits within other text. score: percentage of the instances
without a certain or likely finding. 100 means that this evaluation saw nothing, not that nothing is there.

exit codes:
  0  no certain and no likely finding
  1  findings, or the evaluation failed
  2  the call cannot be carried out as it stands
"""


def add_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of `evaluate` to its parser."""
    sub.add_argument(
        "--input",
        type=Path,
        required=True,
        metavar="DIR",
        help="de-identified folder, of any tool, a whole release too; pictures are read, any other file that is no DICOM is a finding",
    )
    sub.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the reports, outside of the input; private",
    )
    sub.add_argument(
        "--identifiers",
        type=Path,
        metavar="PATH",
        help="private/ of a run, or CSV of value and category (optional): known identifiers are searched too",
    )
    sub.add_argument(
        "--frame-share",
        type=_share,
        default=1.0,
        metavar="S",
        help="share (0 to 1) of each instance's frames whose pixels are read; 0: headers alone (default: 1)",
    )


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("from 0 to 1")
    return number


def evaluate(args: argparse.Namespace, console: Console) -> int:
    """Evaluate a folder, write reports and score, print a summary; return 1 where something certain or likely was found."""
    from job_log import silence
    from phi_deid_pipeline.evaluation import Evaluation

    root, output = _folders(args.input, args.output)
    known = read_known(args.identifiers)
    evaluation = Evaluation(root, known, args.frame_share)
    files = evaluation.files()
    if not files:
        raise ConfigError("There is no file in the input folder; check --input.")
    is_new = not output.exists()
    make_output(output)
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with silence(), Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("evaluating", total=len(files))
        results, told = [], monotonic()
        for result in evaluation.results(files, min(args.cores, len(files)), _be_quiet):
            results.append(result)
            progress.advance(task)
            if not console.is_terminal and monotonic() - told >= PLAIN_SECONDS:
                console.print(f"  evaluating: {len(results)} of {len(files)} files", highlight=False)
                told = monotonic()
    if not any(result.is_instance or result.pixels or _is_broken(result) for result in results):
        if is_new:
            output.rmdir()
        raise ConfigError("There is no DICOM instance in the input folder; check --input.")
    figures = write_reports(output, results, time, frame_share=args.frame_share, known=bool(known))
    print_summary(figures, output, console)
    found = figures["findings"]
    return FINDINGS if found["certain"] or found["likely"] else NOTHING_SERIOUS


def _is_broken(result: FileResult) -> bool:
    return any(finding.kind == "unreadable" for finding in result.header)


def _be_quiet() -> None:
    """Keep libraries of a worker process silent for good: their messages quote values."""
    from job_log import silence

    _QUIET.enter_context(silence())


def _folders(source: Path, output: Path) -> tuple[Path, Path]:
    if not source.is_dir():
        raise ConfigError("There is no such input folder; check --input.")
    root, target = source.resolve(), output.resolve()
    if target.is_relative_to(root):
        raise ConfigError(
            "The reports may identify patients and must not lie inside the input; choose another --output."
        )
    if target.exists() and not target.is_dir():
        raise ConfigError("The output is no folder; choose another --output.")
    return root, target


# --- known identifiers ----------------------------------------------------------------------------------------------


def read_known(path: Path | None) -> Known:
    """Return the known identifiers of a run's private folder or of a table; raises ConfigError where it is neither."""
    from phi_deid_pipeline.evaluation_known import Known

    if path is None:
        return Known()
    if path.is_dir():
        return _known_of_run(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if "value" not in (rows.fieldnames or ()):
                raise ConfigError(
                    "The table of identifiers has no column 'value' (it may have one 'category', too)"
                    f"{separator_hint(rows.fieldnames or ())}."
                )
            entries = [(row.get("category") or "other", row["value"] or "") for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise ConfigError("The table of identifiers cannot be read; check --identifiers.") from None
    return Known(
        ((category.strip().casefold(), value.strip()) for category, value in entries),
        (value.strip() for category, value in entries if category.strip().casefold() == "uid"),
    )


def _known_of_run(folder: Path) -> Known:
    from phi_deid_pipeline.evaluation_known import Known
    from record_io import read_jsonl

    lexicons = sorted((folder / "lexicons").glob("*.json"))
    maps = sorted((folder / "uid_map").glob("*.jsonl"))
    if not lexicons:
        raise ConfigError("This folder is not the private folder of a run: it has no lexicons; check --identifiers.")
    entries = {
        (str(category), str(value))
        for path in lexicons
        for category, value in json.loads(path.read_text(encoding="utf-8"))["entries"]
    }
    return Known(entries, {row["old_uid"] for path in maps for row in read_jsonl(path)})


# --- reports --------------------------------------------------------------------------------------------------------


def write_reports(
    output: Path, results: Iterable[FileResult], time: str, *, frame_share: float, known: bool
) -> dict[str, dict[str, int]]:
    """Write the two tables, the score and the log into a folder of mode 0700; return the score's figures."""
    from phi_deid_pipeline.evaluation_findings import HEADER_COLUMNS, PIXEL_COLUMNS, score, tsv
    from record_io import atomic_write_bytes

    results = list(results)
    make_output(output)
    header = tsv(HEADER_COLUMNS, (finding for result in results for finding in result.header), time)
    pixels = tsv(PIXEL_COLUMNS, (finding for result in results for finding in result.pixels), time)
    figures = score(results) | {"frame_share": frame_share, "known_identifiers": known, "timestamp": time}
    atomic_write_bytes(output / HEADER_REPORT, header.encode(), mode=0o600)
    atomic_write_bytes(output / PIXEL_REPORT, pixels.encode(), mode=0o600)
    atomic_write_bytes(output / SCORE, (json.dumps(figures, indent=1) + "\n").encode(), mode=0o600)
    _write_log(output / LOG, figures)
    return figures  # type: ignore[return-value]


def _write_log(path: Path, figures: dict[str, object]) -> None:
    from job_log import SafeFormatter

    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(SafeFormatter())
    for name in ("files", "instances", "unreadable", "no_dicom", "frames", "frames_read", "findings", "score"):
        record = logging.makeLogRecord({"levelname": "INFO", "msg": "%s: %s", "args": (name, figures[name])})
        handler.emit(record)
    handler.close()
    path.chmod(0o600)


def print_summary(figures: dict[str, object], output: Path, console: Console) -> None:
    """Print kinds by severity, the score, and where the reports are."""
    table = Table(title="Findings by kind", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("kind")
    severities = ("certain", "likely", "possible")
    for severity in severities:
        table.add_column(severity, justify="right")
    kinds: dict[str, dict[str, int]] = figures["kinds"]  # type: ignore[assignment]
    for kind in sorted(kinds, key=lambda name: [-kinds[name].get(severity, 0) for severity in severities] + [name]):
        table.add_row(kind, *(str(kinds[kind].get(severity, "")) for severity in severities))
    for title, name in (("all", "findings"), ("per 1,000 instances", "per_1000_instances")):
        table.add_row(title, *(str(figures[name][severity]) for severity in severities), style="bold")  # type: ignore[index]
    console.print(table)
    for line in (
        f"Score {figures['score']}: percentage of {figures['instances']} instances without a certain or likely finding; "
        f"{figures['without_finding_percent']} % have none at all.",
        f"{figures['unreadable']} files could not be read, {figures['no_dicom']} are no DICOM; "
        f"{figures['frames_read']} of {figures['frames']} frames were looked at.",
        f"{output}/{HEADER_REPORT}, {PIXEL_REPORT}, {SCORE}: they quote what was seen and may identify patients; keep them private.",
        "A detection is no clearance: text and values that these patterns do not know may be there.",
    ):
        console.print(line, highlight=False, markup=False)
