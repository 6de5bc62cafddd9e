"""Runs this pipeline and the peers over a corpus; returns for each source path the file that came out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PEERS_SCRIPT = ROOT / "tests" / "benchmarks" / "peers.sh"
PEERS = ("dicognito", "kitware", "deid", "gdcmanon")
VERSIONS = {"dicognito": "0.19.0", "kitware": "2.1.0", "deid": "0.4.13", "gdcmanon": "system"}


@dataclass(slots=True)
class Result:
    """What a run gave: files by source path, sources without an output with the reason, seconds."""

    name: str
    written: dict[str, Path] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def peers_place() -> Path:
    """Return where the environments of the peers are: PEERS, or .cache/peers of this checkout."""
    return Path(os.environ.get("PEERS") or ROOT / ".cache" / "peers")


def run_pipeline(source: Path, work: Path, policy: str, files: Iterable[str], cores: int = 2) -> Result:
    """Run the whole pipeline; only what it released counts as written."""
    output = work / "pipeline"
    salt = work / "salt"
    salt.write_bytes(b"benchmark of quality: no secret." * 2)
    salt.chmod(0o600)
    command = [
        sys.executable,
        str(ROOT / "scripts" / "main.py"),
        "run",
        "--input",
        str(source),
        "--output",
        str(output),
    ]
    command += ["--policy", policy, "--salt-file", str(salt), "--cores", str(cores)]
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=_environment())
    result = Result(f"ours {policy}", seconds=time.monotonic() - begun)
    audit = output / "audits" / "deid" / "deid_audit.jsonl"
    if done.returncode not in (0, 3) or not audit.is_file():
        raise RuntimeError(f"the pipeline ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    for line in audit.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["status"] == "released":
            result.written[row["input_path"]] = output / "release" / row["output_path"]
        else:
            result.lost[row["input_path"]] = f"{row['status']}: {row['reason']} {row.get('detail', '')}".strip()
    for path in files:
        if path not in result.written:
            result.lost.setdefault(path, "not in the audit")
    return result


def _environment() -> dict[str, str]:
    dropped = ("PYTHONPATH", "PYTEST_CURRENT_TEST")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def run_in_process(source: Path, work: Path, policy: str, files: Iterable[str]) -> Result:
    """Run the steps of the pipeline in this process: the same functions, without a job for each series."""
    from benchmarks.quality.steps import run_steps

    begun = time.monotonic()
    written, lost = run_steps(source, work / "pipeline", policy)
    result = Result(f"ours {policy}", written, lost, time.monotonic() - begun)
    for path in files:
        if path not in written:
            result.lost.setdefault(path, "no record of it")
    return result


def run_copy(source: Path, work: Path, files: Iterable[str]) -> Result:
    """Copy every file: what a tool that does nothing scores."""
    result = Result("copy")
    for path in files:
        target = work / "copy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target)
        result.written[path] = target
    return result


def run_peer(name: str, source: Path, work: Path, files: Iterable[str]) -> Result:
    """Run a peer with its defaults over every file."""
    pairs = [(path, work / name / path) for path in files]
    for _, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    run = _gdcmanon if name == "gdcmanon" else _python_peer
    failed = run(name, [(source / path, target) for path, target in pairs], work)
    result = Result(f"{name} {VERSIONS[name]}", seconds=time.monotonic() - begun)
    for number, (path, target) in enumerate(pairs):
        if target.is_file() and number not in failed:
            result.written[path] = target
        else:
            result.lost[path] = failed.get(number, "no output")
    return result


def _python_peer(name: str, pairs: list[tuple[Path, Path]], work: Path) -> dict[int, str]:
    listed = work / f"{name}.json"
    listed.write_text(json.dumps([[str(source), str(target)] for source, target in pairs]))
    script = PEERS_SCRIPT.parent / "peers" / f"run_{name}.py"
    command = [str(peers_place() / name / "bin" / "python"), str(script), str(listed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    rows = [line.split("\t") for line in done.stdout.splitlines() if line.partition("\t")[0].isdigit()]
    return {int(number): reason for number, reason in rows}


def _gdcmanon(name: str, pairs: list[tuple[Path, Path]], work: Path) -> dict[int, str]:
    failed = {}
    for number, (source, target) in enumerate(pairs):
        command = [name, "-e", "-c", str(peers_place() / "gdcmanon.pem"), str(source), str(target)]
        if code := subprocess.run(command, capture_output=True, check=False).returncode:
            failed[number] = f"exit code {code}"
    return failed


def missing(name: str) -> str:
    """Return why a peer cannot be run here, "" if it can."""
    if name == "gdcmanon":
        ready = shutil.which("gdcmanon") and (peers_place() / "gdcmanon.pem").is_file()
    else:
        ready = (peers_place() / name / "bin" / "python").is_file()
    return "" if ready else f"{name} is not installed: run tests/benchmarks/peers.sh"
