"""Files derived from a database: written only when their content changes, and repaired when they are not as written."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

SCHEMA = """
CREATE TABLE IF NOT EXISTS side_files(
  name TEXT PRIMARY KEY, signature TEXT, sha256 TEXT, size INTEGER, mtime_ns INTEGER) WITHOUT ROWID;
"""


class SideFiles:
    """The side files below a folder, known by signature (of what they are made of), size and time; mode 0600."""

    def __init__(self, private: Path, database: sqlite3.Connection) -> None:
        self.private, self.db = private, database

    def intact(self) -> bool:
        """Tell whether every side file is as it was written."""
        rows = self.db.execute("SELECT name, size, mtime_ns FROM side_files").fetchall()
        return bool(rows) and all(self._stat(name) == (size, mtime_ns) for name, size, mtime_ns in rows)

    def put(self, name: str, signature: str, make: Callable[[], bytes]) -> str:
        """Write a file unless it stands there with that signature; return the SHA-256 of its content."""
        known = "SELECT sha256, size, mtime_ns FROM side_files WHERE name = ? AND signature = ?"
        row = self.db.execute(known, (name, signature)).fetchone()
        if row is not None and self._stat(name) == row[1:]:
            return row[0]
        data = make()
        digest = hashlib.sha256(data).hexdigest()
        if not self._holds(name, digest):
            self.write_output(name, data)
        self._note(name, signature, digest)
        return digest

    def put_lines(self, name: str, lines: Iterable[bytes]) -> None:
        """Write lines to a file unless it holds just these; they need not fit into memory."""
        temporary = self._temporary(name)
        digest = hashlib.sha256()
        with _create(temporary) as stream:
            for line in lines:
                stream.write(line)
                digest.update(line)
        if self._holds(name, digest.hexdigest()):
            temporary.unlink()
        else:
            temporary.replace(self.private / name)
        self._note(name, digest.hexdigest(), digest.hexdigest())

    def write_output(self, name: str, data: bytes) -> None:
        """Write a file under its name at once, readable for its owner alone."""
        temporary = self._temporary(name)
        with _create(temporary) as stream:
            stream.write(data)
        temporary.replace(self.private / name)

    def remove_others(self, names: set[str], folders: Iterable[str]) -> None:
        """Remove what stands in the folders and is not among the names, and forget it."""
        for folder in folders:
            (self.private / folder).mkdir(mode=0o700, exist_ok=True)
            for path in sorted((self.private / folder).iterdir()):
                if f"{folder}/{path.name}" not in names:
                    path.unlink()
        for (name,) in self.db.execute("SELECT name FROM side_files").fetchall():
            if name not in names:
                self.db.execute("DELETE FROM side_files WHERE name = ?", (name,))

    def _temporary(self, name: str) -> Path:
        path = self.private / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path.with_name(f".{path.name}.writing")

    def _holds(self, name: str, digest: str) -> bool:
        try:
            with (self.private / name).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == digest
        except FileNotFoundError:
            return False

    def _stat(self, name: str) -> tuple[int, int] | None:
        try:
            status = (self.private / name).stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_mtime_ns

    def _note(self, name: str, signature: str, digest: str) -> None:
        values = (name, signature, digest, *(self._stat(name) or (-1, -1)))
        self.db.execute("INSERT OR REPLACE INTO side_files VALUES (?, ?, ?, ?, ?)", values)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb")
