"""Figures of a run as JSON, and tables of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.quality.leaks import Leak
from benchmarks.quality.runners import Result
from benchmarks.quality.score import Score

ACTIONS = (
    *("text_removed", "date_shifted", "uid_changed", "pixels_hidden", "text_retained", "text_notnull", "tag_retained"),
    *("uid_consistent", "patid_consistent", "pixels_retained"),
)


def figures(
    result: Result, score: Score, leaks: list[Leak], references: dict, intervals: dict, errors: dict | None, kinds: int
) -> dict[str, Any]:
    """Return all figures of a contestant under one key."""
    leaking = Counter(leak.kind for leak in leaks)
    failed = Counter((check.action, check.kind, check.tag_ds) for check, _ in score.failures)
    return {
        "contestant": result.name,
        "seconds": round(result.seconds, 2),
        "files_out": len(result.written),
        "files_lost": dict(Counter(result.lost.values())),
        "score_percent": round(100 * score.share, 3),
        "score_of_files_out_percent": round(100 * score.passed_of_files_out / max(1, score.asked_of_files_out), 3),
        "checks": sum(score.asked.values()),
        "actions": {action: [score.passed[action], score.asked[action]] for action in ACTIONS if score.asked[action]},
        "leaks": len(leaks),
        "leaking_kinds": len(leaking),
        "leaking_kinds_of": kinds,
        "leaks_by_kind": dict(leaking.most_common()),
        "leaks_known_to_a_header": sum(leak.known for leak in leaks),
        "words_kept": [score.words_kept, score.words_asked],
        "attributes_kept": [score.attributes_kept, score.attributes_asked],
        "references": references,
        "dates": intervals,
        "new_conformance_errors": errors,
        "failures": [[*where, times] for where, times in failed.most_common(200)],
    }


def _share(passed: int, asked: int) -> str:
    return f"{100 * passed / asked:.2f}" if asked else "-"


def show(console: Console, policy: str, rows: list[Mapping[str, Any]], seed: int, files: int) -> None:
    """Print the tables of one key: overview, then passes of each action."""
    title = f"Key {policy}, seed {seed}, {files} instances (own key in the MIDI-B schema)"
    overview = Table(title=title)
    for name in ("", "score %", "of files out %", "leaks", "kinds leaking", "words kept %", "attributes kept %", "refs there/resolved",
                 "dates there/consistent", "new errors", "files out", "seconds"):  # fmt: skip
        overview.add_column(name, justify="left" if not name else "right")
    for row in rows:
        references, dates, errors = row["references"], row["dates"], row["new_conformance_errors"]
        overview.add_row(
            row["contestant"],
            f"{row['score_percent']:.2f}",
            f"{row['score_of_files_out_percent']:.2f}",
            str(row["leaks"]),
            f"{row['leaking_kinds']} of {row['leaking_kinds_of']}",
            _share(*row["words_kept"]),
            _share(*row["attributes_kept"]),
            f"{references['there']}/{references['resolved']} of {references['asked']}",
            f"{dates['there']}/{dates['consistent']} of {dates['asked']}",
            "-" if errors is None else f"{len(errors)} kinds",
            str(row["files_out"]),
            f"{row['seconds']:.1f}",
        )
    console.print(overview)
    actions = Table(title=f"Passed % of each action, key {policy}")
    actions.add_column("")
    present = [action for action in ACTIONS if any(action in row["actions"] for row in rows)]
    for action in present:
        actions.add_column(action, justify="right")
    for row in rows:
        actions.add_row(row["contestant"], *[_share(*row["actions"].get(action, (0, 0))) for action in present])
    console.print(actions)
