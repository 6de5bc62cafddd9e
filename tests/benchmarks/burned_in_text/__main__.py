"""Measure what readers hide of text planted in pictures, and what else: `make burned-in-text`.

Seeds below 1000 are for developing, others for figures to report: the two draw names from disjoint pools. `--real` looks
at the real pictures whose text is known instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.burned_in_text.methods import FULL, METHODS, Outcome, load, missing, run, save
from benchmarks.burned_in_text.real import measure_real, show_real
from benchmarks.burned_in_text.report import show, show_missed
from benchmarks.burned_in_text.scenes import build
from benchmarks.burned_in_text.score import Score, score

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def main() -> int:
    """Build the pictures, run the methods, score them, print tables, write JSON."""
    arguments = _arguments()
    console = Console(width=200)
    if arguments.real:
        figures = measure_real(arguments.data, every=arguments.every, console=console)
        show_real(figures, console)
    else:
        with tempfile.TemporaryDirectory(prefix="burned-in-text-") as folder:
            figures = _measure(arguments, arguments.keep or Path(folder), console)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.burned_in_text", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the pictures (default: 1; from 1000 on: to report)")
    parser.add_argument("--images", type=int, default=60, metavar="N", help="pictures (default: 60)")
    parser.add_argument("--method", nargs="*", choices=list(METHODS), default=list(METHODS), help="default: all")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="real instances (else pydicom's own)")
    parser.add_argument("--real", action="store_true", help="real pictures with known text, and those without")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th of the text-free ones of --real")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep pictures and what was found there")
    parser.add_argument(
        "--reuse", action="store_true", help="take what --keep holds of the same seed, number and methods"
    )
    parser.add_argument("--details", action="store_true", help="print what ours misses, and its false alarms")
    return parser.parse_args()


def _measure(arguments: argparse.Namespace, folder: Path, console: Console) -> dict:
    scenes = build(folder, arguments.seed, arguments.images, arguments.data)
    outcomes: dict[str, list[Outcome]] = {}
    scores: dict[str, Score] = {}
    for name in (name for name in METHODS if name in arguments.method):
        if lack := missing(name):
            console.print(f"{name}: {lack}", style="yellow")
            continue
        kept = folder / f"found {arguments.seed} {arguments.images} {name}.json"
        if arguments.reuse and kept.is_file():
            outcomes[name] = load(kept)
        else:
            outcomes[name] = run(name, scenes, outcomes)
            save(kept, outcomes[name])
        scores[name], judged = score(scenes, outcomes[name])
        if arguments.details and name == FULL:
            show_missed(scenes, judged, outcomes[name], console)
    if scores:
        console.print(f"seed {arguments.seed}")
        show(scores, console)
    return {"seed": arguments.seed, "images": arguments.images, "methods": {n: s.figures() for n, s in scores.items()}}


if __name__ == "__main__":
    sys.exit(main())
