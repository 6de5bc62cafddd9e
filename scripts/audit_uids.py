"""Audit 2: every source UID with its new one, its roles, parents and references, over all batches."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit_spool import temporary_database
from phi_deid_pipeline.errors import UidMapError
from phi_deid_pipeline.records import RejectedFile
from phi_deid_pipeline.uid_graph import rejected_uid_rows
from phi_deid_pipeline.uid_mapping import UidMapper
from record_io import read_jsonl, valid_text, write_parquet

RESTRICTED = 0o600


def _schema(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns])


_COMMON = (
    ("old_uid", pa.string()),
    ("new_uid", pa.string()),
    ("uid_type", pa.string()),
    ("parent_uid", pa.string()),
    ("parent_new_uid", pa.string()),
    ("sop_class_uid", pa.string()),
)
UID_MAP_SCHEMA = _schema(
    *_COMMON, ("present_in_dataset", pa.bool_()), ("reference_count", pa.int64()), ("roles_conflict", pa.bool_())
)


@dataclass(frozen=True, slots=True)
class UidMapCounts:
    """Distinct source UIDs by type; how many stand in two roles or under two parents; how many are only referred to."""

    by_type: dict[str, int]
    in_two_roles: int
    not_in_dataset: int


def assemble_uid_map(private: Path, batches: Sequence[str], salt: bytes, target: Path) -> UidMapCounts:
    """Write the UID map sorted by source UID, type and parent, a row for each role and parent; return counts.

    `reference_count` counts the references to a UID in its type, on each of its rows. Raises UidMapError where two
    source UIDs got one new UID, or one got two.
    """
    by_type: Counter[str] = Counter()
    counts = {"roles": 0, "absent": 0}
    with temporary_database(private) as database:
        _create(database)
        for batch in batches:
            _insert(database, read_jsonl(private / "uid_map" / f"{batch}.jsonl"))
        mapper = UidMapper(salt)
        for rejected in read_jsonl(private / "rejected.jsonl", RejectedFile):
            if rejected.is_dicom:
                _insert(database, iter(rejected_uid_rows(rejected, mapper)))
        _check_collisions(database)

        def rows() -> Iterator[dict[str, Any]]:
            for _, group in itertools.groupby(_merged(database), key=lambda row: row["old_uid"]):
                same = list(group)
                if len({row["new_uid"] for row in same}) > 1:
                    raise UidMapError(
                        "One source UID got two new UIDs: parts of the UID map are of two salts; run again."
                    )
                by_type.update({row["uid_type"] for row in same})
                counts["roles"] += len(same) > 1
                counts["absent"] += not any(row["present_in_dataset"] for row in same)
                yield from ({**row, "roles_conflict": len(same) > 1} for row in same)

        write_parquet(target, rows(), UID_MAP_SCHEMA, RESTRICTED)
    return UidMapCounts(dict(sorted(by_type.items())), counts["roles"], counts["absent"])


def _create(database: sqlite3.Connection) -> None:
    database.execute(
        "CREATE TABLE uids (old TEXT, type TEXT, parent TEXT, new TEXT, parent_new TEXT, sop_class TEXT, "
        "PRIMARY KEY (old, type, parent)) WITHOUT ROWID"
    )
    database.execute(
        "CREATE TABLE refs (old TEXT, type TEXT, new TEXT, sop_class TEXT, count INT, "
        "PRIMARY KEY (old, type)) WITHOUT ROWID"
    )
    database.execute("CREATE TABLE names (new TEXT PRIMARY KEY, old TEXT) WITHOUT ROWID")


# Of two SOP classes given for one UID the first in order is kept, whichever batch comes first.
_SMALLER = (
    "sop_class = CASE WHEN sop_class = '' OR (excluded.sop_class != '' AND excluded.sop_class < sop_class) "
    "THEN excluded.sop_class ELSE sop_class END"
)
_INSERT_UID = f"INSERT INTO uids VALUES (?,?,?,?,?,?) ON CONFLICT (old, type, parent) DO UPDATE SET {_SMALLER}"
_INSERT_REF = (
    "INSERT INTO refs VALUES (?,?,?,?,?) "
    f"ON CONFLICT (old, type) DO UPDATE SET count = count + excluded.count, {_SMALLER}"
)


def _insert(database: sqlite3.Connection, rows: Iterator[dict[str, Any]]) -> None:
    for row in rows:
        old, new = valid_text(row["old_uid"]), valid_text(row["new_uid"])
        database.execute("INSERT OR IGNORE INTO names VALUES (?,?)", (new, old))
        if row["identity"]:
            parents = (valid_text(row["parent_uid"]), valid_text(row["parent_new_uid"]))
            database.execute(_INSERT_UID, (old, row["uid_type"], parents[0], new, parents[1], row["sop_class_uid"]))
        else:
            database.execute(_INSERT_REF, (old, row["uid_type"], new, row["sop_class_uid"], row["reference_count"]))


def _check_collisions(database: sqlite3.Connection) -> None:
    for table in ("uids", "refs"):
        query = f"SELECT new FROM {table} JOIN names USING (new) WHERE names.old != {table}.old LIMIT 1"
        found = database.execute(query).fetchone()
        if found:
            raise UidMapError(f"Two source UIDs got one new UID, {found[0]}: use another salt (--new-salt).")


def _merged(database: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Yield identities with their references, and references to what is not there, in order of source UID."""
    present = database.execute(
        "SELECT u.old, u.type, u.parent, u.new, u.parent_new, u.sop_class, 1, COALESCE(r.count, 0) FROM uids u "
        "LEFT JOIN refs r ON r.old = u.old AND r.type = u.type ORDER BY u.old, u.type, u.parent"
    )
    absent = database.execute(
        "SELECT r.old, r.type, '', r.new, '', r.sop_class, 0, r.count FROM refs r WHERE NOT EXISTS "
        "(SELECT 1 FROM uids u WHERE u.old = r.old AND u.type = r.type) ORDER BY r.old, r.type"
    )
    for old, kind, parent, new, parent_new, sop_class, in_dataset, count in heapq.merge(present, absent):
        yield {
            "old_uid": old,
            "new_uid": new,
            "uid_type": kind,
            "parent_uid": parent,
            "parent_new_uid": parent_new,
            "sop_class_uid": sop_class,
            "present_in_dataset": bool(in_dataset),
            "reference_count": count,
        }
