"""What the tests of faults, bad input and the front door share: runs of the pipeline, and looks at what they wrote."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
ONE_BATCH = ("--set", "inventory.spread=1")  # all series in one batch: fewer jobs, so a faster run


@cache
def product() -> Path:
    """Return a copy of what a run needs of this checkout: work on the checkout meanwhile changes no run's code."""
    folder = Path(tempfile.mkdtemp(prefix="phi_deid_product_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("Snakefile", "workflow", "scripts", "config", "resources", "envs"):
        subprocess.run(["cp", "-a", str(CHECKOUT / name), str(folder)], check=True)
    return folder


@dataclass(frozen=True)
class Ran:
    """What one call of the front door said."""

    code: int
    text: str  # standard output and error together

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


def main(*arguments: str | Path, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Ran:
    """Call `main.py` in a process of its own; `prefix` is put before the interpreter."""
    command = [*prefix, sys.executable, str(product() / "scripts" / "main.py"), *map(str, arguments)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "200", **(environment or {})},
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"))


def run(source: Path, output: Path, *more: str | Path, prefix: Sequence[str] = ()) -> Ran:
    """Run the pipeline on two cores, all series in one batch."""
    return main("run", "--input", source, "--output", output, "--cores", "2", *ONE_BATCH, *more, prefix=prefix)


def plain_snakemake(output: Path) -> Ran:
    """Run Snakemake itself on an output, with the id of its last run: it does not scan the input again."""
    logs = sorted((output / ".snakemake" / "log").glob("*.log"))
    ids = [found for log in logs for found in re.findall(r"run_id=([0-9a-f]+)", log.read_text(encoding="utf-8"))]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(product() / "Snakefile")]
    command += ["--directory", str(output)]
    command += ["--workflow-profile", str(product() / "workflow" / "profiles" / "default"), "--cores", "2", "--nocolor"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(output / ".snakemake" / "cache")}
    done = subprocess.run(
        [*command, "--config", f"run_id={ids[-1]}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"))


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def audit(output: Path) -> list[dict[str, Any]]:
    """Return the rows of the de-identification audit."""
    return json_lines(output / "audits" / "deid" / "deid_audit.jsonl")


def rejected(output: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of `private/rejected.jsonl` by path."""
    return {row["path"]: row for row in json_lines(output / "private" / "rejected.jsonl")}


def released(output: Path) -> list[Path]:
    """Return the instances of the newest release, sorted."""
    return sorted((output / "release" / "dicom").rglob("*.dcm"))


def snapshot(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return each entry below a folder, itself included, with mode, time of change and content."""
    found = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content = ""
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[os.fsdecode(os.path.relpath(path, root))] = (status.st_mode, status.st_mtime_ns, status.st_size, content)
    return found


def half_written(output: Path) -> list[str]:
    """Return what is wrong with the releases of an output: files that differ from their manifest, hidden rests."""
    from phi_deid_pipeline.releases import verify_releases

    folder = output / "releases"
    rests = [path.name for path in folder.iterdir() if path.name.startswith(".")] if folder.is_dir() else []
    return verify_releases(output) + rests
