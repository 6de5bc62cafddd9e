"""What a release holds: the files that may leave the building, each named for its place in it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audit_spool import SortedLines, placed_lines, temporary_database
from audit_stacks import settled_products
from audit_status import FinalStatus, release_path, statuses_by_batch
from phi_deid_pipeline.records import Status
from record_io import write_jsonl

File = tuple[str, Path, str]  # path in the release, source, SHA-256 as verified or ""


@contextmanager
def release_contents(
    output: Path, policy: Path, statement: Path, products: Sequence[Path] = ()
) -> Iterator[tuple[Iterator[File], dict[str, Any]]]:
    """Give the files of the next release in the order of their paths, sorted on disk, and the manifest's facts.

    `products` are lists of what was made of CT stacks, a batch each.
    """
    private, audits = output / "private", output / "audits"
    boxes = private / "boxes.jsonl"
    with temporary_database(private) as database:
        write_jsonl(boxes, _boxes(private, database), mode=0o600)
        database.execute("CREATE TABLE files (name TEXT PRIMARY KEY, source TEXT, sha256 TEXT) WITHOUT ROWID")
        _add(database, released_instances(private))
        instances = database.execute("SELECT count(*) FROM files").fetchone()[0]
        _add(database, _documents(audits, boxes, policy, statement, products))
        settled_products(private, products, lambda *file: _add(database, [file]))
        sealed = json.loads((audits / "deid" / "deid_audit.seal.json").read_bytes())
        rows = database.execute("SELECT name, source, sha256 FROM files ORDER BY name")
        files = ((name, Path(source), sha256) for name, source, sha256 in rows)
        yield files, {"deid_audit_seal": sealed, "instances": instances}


def _add(database: sqlite3.Connection, files: Iterable[File]) -> None:
    rows = ((name, str(source), sha256) for name, source, sha256 in files)
    database.executemany("INSERT INTO files VALUES (?,?,?)", rows)


def released_instances(private: Path) -> Iterator[File]:
    """Yield the DICOM files of a release, a batch in memory."""
    for batch, statuses in statuses_by_batch(private / "statuses.jsonl"):
        staging = private / "staging" / batch
        for one in _released(statuses):
            yield release_path(one.study_uid, one.series_uid, one.sop_uid), staging / one.staged_path, one.checksum


def _released(statuses: Mapping[str, FinalStatus]) -> Iterator[FinalStatus]:
    return (one for one in statuses.values() if one.status is Status.RELEASED)


def _documents(audits: Path, boxes: Path, policy: Path, statement: Path, products: Sequence[Path]) -> Iterator[File]:
    for path in ("metadata/metadata_audit.parquet", "ct_prepro/ct_prepro_audit.json"):
        yield f"audits/{path}", audits / path, ""
    yield "boxes.jsonl", boxes, ""
    yield "policy.json", policy, ""
    yield "conformance_statement.md", statement, ""
    if any(path.parent.name == "figures" for path in products):
        yield "figures/overview.png", audits / "figures" / "overview.png", ""


def _boxes(private: Path, database: sqlite3.Connection) -> Iterator[Mapping[str, Any]]:
    """Yield the rectangles that were filled in released instances, sorted by instance; no text."""
    rows = SortedLines(database, "boxes")
    for batch, statuses in statuses_by_batch(private / "statuses.jsonl"):
        released = {one.sop_uid for one in _released(statuses)}
        path = private / "records" / f"{batch}.jsonl"
        for start, size, record in placed_lines(path) if released else ():
            if record["boxes"] and record["sop_uid"] in released:
                rows.add((record["sop_uid"],), path, start, size)
    for record, _ in rows:
        yield {"sop_instance_uid": record["sop_uid"], "boxes": record["boxes"]}
