"""Measure what readers hide of text planted in pictures, and what else: `make burned-in-text`.

Seeds below 1000 are for developing, others for figures to report: the two draw names from disjoint pools. `--real` looks
at the real pictures whose text is known instead, `--apart FOLDER` at what the cascade loses on pictures that served for
nothing else, `--cines` at what it loses in cines.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.burned_in_text.apart import font_files, measure_apart, show_apart
from benchmarks.burned_in_text.cines import measure_cines, show_cines
from benchmarks.burned_in_text.methods import FULL, METHODS, Outcome, load, missing, run, save
from benchmarks.burned_in_text.real import measure_real, show_real
from benchmarks.burned_in_text.report import show, show_missed
from benchmarks.burned_in_text.scenes import Scene, build
from benchmarks.burned_in_text.score import Score, score

STEP = 10  # pictures after which what was found is kept
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def main() -> int:
    """Build the pictures, run the methods, score them, print tables, write JSON."""
    arguments = _arguments()
    console = Console(width=200)
    if arguments.apart or arguments.cines is not None:
        with tempfile.TemporaryDirectory(prefix="burned-in-text-") as folder:
            figures = _of_cascade(arguments, arguments.keep or Path(folder), console)
    elif arguments.real:
        figures = measure_real(
            arguments.data, thoroughness=arguments.thoroughness, every=arguments.every, console=console
        )
        show_real(figures, console)
    else:
        with tempfile.TemporaryDirectory(prefix="burned-in-text-") as folder:
            figures = _measure(arguments, arguments.keep or Path(folder), console)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _of_cascade(arguments: argparse.Namespace, keep: Path, console: Console) -> dict:
    measure, show_figures, source = (
        (measure_apart, show_apart, arguments.apart)
        if arguments.apart
        else (measure_cines, show_cines, arguments.cines)
    )
    figures = measure(
        source, font_files(arguments.fonts), seed=arguments.seed, images=arguments.images, keep=keep,
        reuse=arguments.reuse, console=console,
    )  # fmt: skip
    show_figures(figures, console)
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.burned_in_text", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the pictures (default: 1; from 1000 on: to report)")
    parser.add_argument("--images", type=int, default=60, metavar="N", help="pictures (default: 60)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first picture (default: 0)")
    parser.add_argument("--method", nargs="*", choices=list(METHODS), default=list(METHODS), help="default: all")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help="real instances (else pydicom's own)")
    parser.add_argument("--real", action="store_true", help="real pictures with known text, and those without")
    parser.add_argument("--apart", type=Path, metavar="FOLDER", help="what the cascade loses on pictures of a folder")
    parser.add_argument("--fonts", type=Path, nargs="*", default=[], metavar="FOLDER", help="of the lines of both")
    parser.add_argument("--cines", type=Path, nargs="*", metavar="FILE", help="what it loses in cines, also real ones")
    parser.add_argument("--thoroughness", choices=["full", "cascade"], default="full", help="of --real (default: full)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th of the text-free ones of --real")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep pictures and what was found there")
    parser.add_argument("--reuse", action="store_true", help="do not run again what --keep holds of the same code")
    parser.add_argument("--details", action="store_true", help="print what ours misses, and its false alarms")
    return parser.parse_args()


def _measure(arguments: argparse.Namespace, folder: Path, console: Console) -> dict:
    scenes = build(folder, arguments.seed, arguments.images, arguments.data, arguments.first)
    outcomes: dict[str, list[Outcome]] = {}
    scores: dict[str, Score] = {}
    for name in (name for name in METHODS if name in arguments.method):
        if lack := missing(name):
            console.print(f"{name}: {lack}", style="yellow")
            continue
        kept = folder / f"found_{arguments.seed}" / name.replace(" ", "_")
        outcomes[name] = _found(name, scenes, outcomes, kept, reuse=arguments.reuse)
        scores[name], judged = score(scenes, outcomes[name])
        if arguments.details and name == FULL:
            show_missed(scenes, judged, outcomes[name], console)
    if scores:
        console.print(f"seed {arguments.seed}")
        show(scores, console)
    methods = {name: one.figures() for name, one in scores.items()}
    return {"seed": arguments.seed, "first": arguments.first, "images": arguments.images, "methods": methods}


def _found(
    name: str, scenes: list[Scene], before: dict[str, list[Outcome]], folder: Path, *, reuse: bool
) -> list[Outcome]:
    """Run a method on some pictures at a time and keep what it found after each of these steps."""
    found: list[Outcome] = []
    for start in range(0, len(scenes), STEP):
        part = scenes[start : start + STEP]
        places = [folder / f"{scene.path.stem}.json" for scene in part]
        if reuse and all(place.is_file() for place in places):
            found += [load(place) for place in places]
            continue
        earlier = {other: outcomes[start : start + STEP] for other, outcomes in before.items()}
        outcomes = run(name, part, earlier)
        for place, outcome in zip(places, outcomes, strict=True):
            save(place, outcome)
        found += outcomes
    return found


if __name__ == "__main__":
    sys.exit(main())
