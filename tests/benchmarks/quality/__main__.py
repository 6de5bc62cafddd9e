"""Measure what policies of this pipeline and other tools leave of planted identifiers and of the rest: `make quality`.

Seeds below 1000 are for developing, others for figures to report: the two draw names, numbers and phrases from
disjoint pools.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.quality.consistency import conformance, intervals, references
from benchmarks.quality.corpus import Corpus, build, write_boxes
from benchmarks.quality.key import checks_of, read_key, write_key
from benchmarks.quality.leaks import find_leaks
from benchmarks.quality.report import figures, show
from benchmarks.quality.runners import PEERS, Result, missing, run_copy, run_in_process, run_peer, run_pipeline
from benchmarks.quality.score import Outputs, Score, score
from benchmarks.quality.standard import KEYS


def main() -> int:
    """Build the corpus, run the contestants, score them, print tables, write JSON."""
    arguments = _arguments()
    console = Console(width=200)
    folder = Path(arguments.keep or tempfile.mkdtemp(prefix="quality-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        report = {
            "seeds": {str(seed): _measure(arguments, folder / str(seed), seed, console) for seed in arguments.seed}
        }
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.quality", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="seeds (default: 1; from 1000 on: to report)")
    parser.add_argument("--policy", nargs="*", choices=KEYS, default=["hipaa_safe_harbor", "ps3_15_basic"])
    parser.add_argument("--peer", nargs="*", choices=[*PEERS, "copy"], default=[], help="other tools, or a plain copy")
    parser.add_argument(
        "--peer-key", nargs="*", choices=KEYS, help="keys to score peers by (default: those of --policy)"
    )
    parser.add_argument("--kind", nargs="*", default=[], metavar="BEGINNING", help="only kinds that begin so")
    parser.add_argument("--whole", action="store_true", help="run main.py as a user does (slower), not step by step")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep corpus, keys and outputs there")
    parser.add_argument("--details", action="store_true", help="print every leak and every failed check")
    return parser.parse_args()


def _measure(arguments: argparse.Namespace, folder: Path, seed: int, console: Console) -> dict:
    if folder.exists():
        shutil.rmtree(folder)
    source = folder / "input"
    corpus = build(source, seed, arguments.kind)
    write_boxes(corpus, folder / "boxes.json")
    files = [instance.path for instance in corpus.instances]
    console.print(f"seed {seed}: {len(corpus.kinds)} kinds of places, {len(files)} instances")
    peers = []
    for name in arguments.peer:
        if reason := "" if name == "copy" else missing(name):
            console.print(reason, style="yellow")
        else:
            run = run_copy if name == "copy" else lambda *rest, name=name: run_peer(name, *rest)
            peers.append(run(source, folder, files))
    tables: dict[str, list] = {}
    for policy in [key for key in KEYS if key in {*arguments.policy, *(arguments.peer_key or [])}]:
        write_key(corpus, list(checks_of(corpus, source, policy)), folder / f"key_{policy}.sqlite")
        results = []
        if policy in arguments.policy:
            work = folder / policy
            work.mkdir()
            run = run_pipeline if arguments.whole else run_in_process
            results.append(run(source, work, policy, files))
        if policy in (arguments.peer_key or arguments.policy):
            results += peers
        tables[policy] = [_figures(corpus, folder, policy, result, console, arguments.details) for result in results]
        show(console, policy, tables[policy], seed, len(files))
    return {"kinds": len(corpus.kinds), "instances": len(files), "keys": tables}


def _figures(corpus: Corpus, folder: Path, policy: str, result: Result, console: Console, details: bool) -> dict:
    outputs = Outputs(corpus, result.written)
    scored = score(read_key(folder / f"key_{policy}.sqlite"), outputs)
    leaks = list(find_leaks(corpus, outputs, policy))
    bases = {instance.path: instance.base for instance in corpus.instances}
    errors = conformance(folder / "input", result.written, bases)
    if details:
        _show_details(console, result, scored, leaks, errors)
    counted = references(corpus, outputs, policy), intervals(corpus, outputs, policy)
    return figures(result, scored, leaks, *counted, errors, len(corpus.kinds))


def _show_details(console: Console, result: Result, scored: Score, leaks: list, errors: dict | None) -> None:
    console.print(f"== {result.name}", markup=False)
    for path, reason in sorted(result.lost.items()):
        console.print(f"LOST {path}: {reason}", markup=False)
    for leak in leaks:
        known = "known" if leak.known else "unknown"
        line = f"LEAK {leak.kind} {leak.where} {leak.file} {leak.nature} {known}: {leak.text}"
        console.print(line, markup=False, soft_wrap=True)
    for check, value in scored.failures:
        line = f"FAIL {check.action} {check.kind} {check.tag_ds} {check.file}: {check.words} now {value!r}"
        console.print(line[:300], markup=False, soft_wrap=True)
    for error, times in (errors or {}).items():
        console.print(f"NEW ERROR {times} x {error}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
