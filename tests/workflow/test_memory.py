"""Large instances pass through the steps in bounded memory: peak of a process of its own, less what it needs at least."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = Path(__file__).resolve().parents[1] / "benchmarks" / "steps.py"
SIZE = 256 << 20  # bytes of the large instance; its frames are a hole in the file
BOUND = 150  # MiB above a tiny instance


def peak(step: str, work: Path) -> float:
    """Run a step and return the peak of its resident memory in MiB, mapped pages included."""
    # Through a shell that stays small: a process starts with the peak of the one that forked it.
    command = [sys.executable, "-c", _LAUNCHER, sys.executable, str(STEPS), step, str(work)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""})
    return float(result.stdout.split()[-1])


_LAUNCHER = """
import os, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def peaks(work: Path, source: str) -> dict[str, float]:
    """Send the instance that `source` describes through the steps; return the peak of each."""
    (work / "input").mkdir(parents=True)
    for arguments in (["fill", str(work), source], ["prepare", str(work)]):
        subprocess.run([sys.executable, str(STEPS), *arguments], check=True)
    found = {step: peak(step, work) for step in ("inventory", "deidentify", "verify")}
    (verdict,) = (work / "out" / "verification").glob("*.jsonl")
    assert verdict.read_text(encoding="utf-8").count('"residuals":[]') == 1
    return found


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    return peaks(tmp_path_factory.mktemp("tiny"), f"native:{1 << 20}")


@pytest.mark.parametrize("kind", ["native", "encapsulated"])
def test_scan_deidentification_and_verification_need_little_memory_for_a_large_instance(
    kind: str, tmp_path: Path, least: dict[str, float]
) -> None:
    found = peaks(tmp_path, f"{kind}:{SIZE}")
    assert (tmp_path / "input" / "large").stat().st_size >= SIZE
    assert max(found[step] - least[step] for step in found) < BOUND, (least, found)
