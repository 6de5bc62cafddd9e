"""Sorting of more lines than memory holds: keys and places in a temporary database, the lines where they are."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from phi_deid_pipeline.errors import AuditContractError

_OPEN_FILES = 64
_CACHE_KIB = 65_536


@contextmanager
def temporary_database(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open an empty database in a file below `folder` that has no name any more: a killed job leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".sorting-", dir=folder)
    os.close(handle)
    connection = sqlite3.connect(name, isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=MEMORY", "locking_mode=EXCLUSIVE"):
            connection.execute(f"PRAGMA {pragma}").close()
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute("CREATE TABLE opened (x)")
        Path(name).unlink()
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()
        Path(name).unlink(missing_ok=True)


class SortedLines:
    """Lines of many JSON Lines files in the order of their keys; keys must differ."""

    def __init__(self, database: sqlite3.Connection, what: str) -> None:
        self._database, self._what, self._paths = database, what, []
        self._numbers: dict[Path, int] = {}
        database.execute(
            "CREATE TABLE lines (key BLOB PRIMARY KEY, path INT, start INT, size INT, extra TEXT) WITHOUT ROWID"
        )

    def add(self, key: tuple[str, ...], path: Path, start: int, size: int, extra: Any = None) -> None:
        """Remember a line at a place of a file, with something small that goes with it."""
        number = self._numbers.get(path)
        if number is None:
            number = self._numbers[path] = len(self._paths)
            self._paths.append(path)
        row = (sort_key(key), number, start, size, json.dumps(extra, ensure_ascii=True))
        try:
            self._database.execute("INSERT INTO lines VALUES (?,?,?,?,?)", row)
        except sqlite3.IntegrityError:
            raise AuditContractError(f"{self._what}: two records say something about one and the same.") from None

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Any]]:
        handles: OrderedDict[int, BinaryIO] = OrderedDict()
        try:
            query = "SELECT path, start, size, extra FROM lines ORDER BY key"
            for number, start, size, extra in self._database.execute(query):
                stream = handles.pop(number, None) or self._paths[number].open("rb")
                handles[number] = stream
                if len(handles) > _OPEN_FILES:
                    handles.popitem(last=False)[1].close()
                stream.seek(start)
                yield json.loads(stream.read(size)), json.loads(extra)
        finally:
            for stream in handles.values():
                stream.close()


def sort_key(parts: tuple[str, ...]) -> bytes:
    """Return bytes that sort as the parts do, one after the other."""
    return b"\x00".join(part.encode("utf-8", "surrogateescape") for part in parts)


def placed_lines(path: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield offset, size and content of each line of a JSON Lines file."""
    start = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise AuditContractError(f"{path.parent.name}/{path.name} line {number}: not valid JSON") from None
            if not isinstance(row, dict):
                raise AuditContractError(f"{path.parent.name}/{path.name} line {number}: not a record")
            yield start, len(line), row
            start += len(line)
