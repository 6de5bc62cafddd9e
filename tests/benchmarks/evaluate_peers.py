"""Let other tools and this one de-identify a folder, and look through each result: evaluate_peers.py INPUT WORK [--peers DIR].

INPUT is a folder with DICOM instances, WORK gets the results and the reports (both identify), DIR the tools' environments as
`tests/benchmarks/peers.sh` makes them. What is printed are the scores; `evaluate.md` beside this file has those of one run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FRONT_DOOR = [sys.executable, str(ROOT / "scripts" / "main.py")]
PEERS = ("dicognito", "kitware")


def main() -> None:
    """Run tools and evaluations, print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--peers", type=Path, default=ROOT / ".cache" / "peers")
    parser.add_argument("--frame-share", default="1")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    subprocess.run([*FRONT_DOOR, "run", "--input", args.input, "--output", args.work / "ours"], check=False)
    results = {"ours": args.work / "ours" / "release"}
    for peer in PEERS:
        python = args.peers / peer / "bin" / "python"
        if python.exists():
            results[peer] = _by_peer(peer, python, args.input, args.work)
        else:
            print(f"{peer}: no environment, left out")
    for name, folder in results.items():
        reports = args.work / f"evaluated_{name}"
        options = ["--input", folder, "--output", reports, "--frame-share", args.frame_share]
        subprocess.run([*FRONT_DOOR, "evaluate", *options], check=False, stdout=subprocess.DEVNULL)
        figures = json.loads((reports / "score.json").read_text(encoding="utf-8"))
        print(f"{name}: {figures['instances']} instances, score {figures['score']}, {figures['per_1000_instances']}")


def _by_peer(peer: str, python: Path, source: Path, work: Path) -> Path:
    target, pairs = work / peer, []
    for path in sorted(source.rglob("*")):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            pairs.append([str(path), str(copy)])
    (work / f"{peer}.json").write_text(json.dumps(pairs), encoding="utf-8")
    subprocess.run([python, HERE / "peers" / f"run_{peer}.py", work / f"{peer}.json"], check=True)
    return target


if __name__ == "__main__":
    main()
