"""Drops what a withdrawn series leaves behind: outputs of its batch, readings of its pictures."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

BATCH_FOLDERS = (
    "uid_map", "read", "findings", "staging", "records", "words", "verification", "links", "metadata", "geometry", "decisions",
    "figures", "volumes", "pictures",
)  # fmt: skip
PICTURE_REPORTS = ("burned_in_text", "released")
_BATCH = re.compile(r"b\d{6,}")


def prune_withdrawn(output: Path, batches: set[str]) -> dict[str, int]:
    """Delete outputs, logs and benchmarks of batches that are gone, and readings that no batch refers to.

    Releases are never touched. Returns how many batches and readings were dropped.
    """
    private = output / "private"
    places = [private / name for name in BATCH_FOLDERS]
    places += [path for top in ("logs", "benchmarks") for path in sorted((output / top).glob("*")) if path.is_dir()]
    gone: set[str] = set()
    for folder in places:
        for path in sorted(folder.glob("b*")):
            batch = path.name.split(".")[0]
            if _BATCH.fullmatch(batch) and batch not in batches:
                gone.add(batch)
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    return {"batches": len(gone), "readings": _prune_readings(private, batches)}


def drop_pictures(output: Path) -> None:
    """Delete the pages and pictures of a run that made them: they would tell of another state of the data."""
    private = output / "private"
    for folder in (private / "pictures", private / "reports" / "pages"):
        if folder.is_dir():
            shutil.rmtree(folder)
    for kind in PICTURE_REPORTS:
        for path in sorted((private / "reports").glob(f"{kind}.*")):
            path.unlink()


def _prune_readings(private: Path, batches: Iterable[str]) -> int:
    dropped = 0
    with closing(sqlite3.connect("")) as used:  # a file without a name: as many pictures as there are instances
        used.execute("CREATE TABLE used (content_key TEXT PRIMARY KEY) WITHOUT ROWID")
        for batch in sorted(batches):
            with (private / "read" / f"{batch}.jsonl").open(encoding="utf-8") as lines:
                keys = ((json.loads(line)["reading"]["content_key"],) for line in lines)
                used.executemany("INSERT OR IGNORE INTO used VALUES (?)", keys)
        for folder in sorted((private / "readings").glob("*")):
            for path in sorted(folder.glob("*.json")):
                key = json.loads(path.read_bytes())["content_key"]
                if used.execute("SELECT 1 FROM used WHERE content_key = ?", (key,)).fetchone() is None:
                    path.unlink()
                    dropped += 1
    return dropped
