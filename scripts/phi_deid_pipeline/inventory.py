"""Scan an input folder into manifests, lexicons and a list of rejected files, at the cost of a stat per unchanged file.

What is known of each file lies in `inventory.sqlite`. All other files are side files of the scan: derived from the
database, written only when their content changes, and repaired by the next scan after a kill. A scan that finds nothing
new writes nothing but `inventory.json`.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from phi_deid_pipeline import batches
from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.input_files import READER, FileFacts, FoundFile, read_files, source_digest, walk
from phi_deid_pipeline.inventory_files import WORK, InventoryFiles, Naming, text_digest
from phi_deid_pipeline.records import (
    Decision,
    RejectReason,
)
from phi_deid_pipeline.side_files import SCHEMA, SideFiles
from phi_deid_pipeline.subjects import Patients, PseudonymStore, patient_key_of
from phi_deid_pipeline.uid_mapping import UidMapper, salt_id

# Another writer makes all side files anew.
_WRITER = source_digest("inventory", "inventory_files", "batches", "records")
_FILES_PER_TASK = 32
_FILES_PER_COMMIT = 1024  # what a kill can cost in reads

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lexicons(id INTEGER PRIMARY KEY, digest TEXT UNIQUE, entries TEXT);
CREATE TABLE IF NOT EXISTS files(
  path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, sha256 TEXT, reason TEXT, detail TEXT,
  is_dicom INTEGER, patient_id TEXT, issuer TEXT, study_uid TEXT, series_uid TEXT, sop_uid TEXT, sop_class_uid TEXT,
  transfer_syntax_uid TEXT, modality TEXT, rows INTEGER, columns INTEGER, frames INTEGER, has_pixels INTEGER, hold TEXT,
  head INTEGER, slice_mm REAL, created TEXT, uids TEXT,
  lexicon INTEGER, patient_key TEXT, patient INTEGER, series INTEGER, verdict TEXT, note TEXT);
CREATE INDEX IF NOT EXISTS files_sop ON files(sop_uid, sha256, path) WHERE reason = '';
CREATE INDEX IF NOT EXISTS files_series ON files(series, verdict);
CREATE INDEX IF NOT EXISTS files_patient ON files(patient, lexicon);
CREATE INDEX IF NOT EXISTS files_patient_key ON files(patient_key, study_uid, series_uid);
CREATE INDEX IF NOT EXISTS files_rejected ON files(path) WHERE verdict <> '';
CREATE TABLE IF NOT EXISTS patients(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS series(
  id INTEGER PRIMARY KEY AUTOINCREMENT, patient INTEGER, study_uid TEXT, series_uid TEXT, batch INTEGER,
  UNIQUE(patient, study_uid, series_uid));
CREATE INDEX IF NOT EXISTS series_batch ON series(batch);
"""
_NEWER_COLUMNS = {"head": "INTEGER", "slice_mm": "REAL"}  # than the first version of the table
_FACTS = [f.name for f in fields(FileFacts) if f.name != "entries"]
_PUT_FILE = (
    f"INSERT OR REPLACE INTO files({', '.join(_FACTS)}, lexicon, patient_key)"
    f" VALUES ({', '.join('?' * len(_FACTS))}, ?, ?)"
)
# Reasons of which the file's own stat tells nothing: such files are tried again at every scan.
_TRY_AGAIN = (RejectReason.UNREADABLE_FILE.value, RejectReason.CHANGED_WHILE_READ.value)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class InventorySettings:
    """How duplicates are resolved, how series are cut into batches, how deep sequences may nest."""

    duplicates: str = "hold"  # hold, newest, lowest_hash
    target_work: float = 200
    spread: int = 24
    max_batches: int = 10_000
    max_depth: int = 32


@dataclass(frozen=True, slots=True)
class InventorySummary:
    """Counts of a scan, as in `inventory.json`. Every file found is an instance or rejected."""

    files: int
    dicom: int
    instances: int
    rejected: dict[str, int] = field(default_factory=dict)
    modalities: dict[str, int] = field(default_factory=dict)
    patients: int = 0
    studies: int = 0
    series: int = 0
    batches: int = 0
    read: int = 0
    cached: int = 0


def scan(
    input_root: Path,
    private: Path,
    *,
    salt: bytes,
    settings: InventorySettings,
    patients: Patients,
    decisions: list[Decision],
    threads: int,
    progress: Progress | None = None,
    pseudonyms: str = "keyed",
    subjects: Iterable[Mapping[str, str]] = (),
) -> InventorySummary:
    """Bring the inventory below `private` up to date with the input folder and return its counts.

    `progress` is called with the files read and the files to be read. `pseudonyms` is the policy's word: where it is
    random or table, each batch gets a list of who its studies belong to. Results do not depend on `threads`. Raises
    ConfigError where the input is no folder or the database cannot be used.
    """
    root = Path(os.path.realpath(input_root))
    if not root.is_dir():
        raise ConfigError("The input is no folder, or it cannot be reached.")
    if settings.duplicates not in ("hold", "newest", "lowest_hash"):
        raise ConfigError("inventory.duplicates must be hold, newest or lowest_hash.")
    try:
        with closing(_open(private)) as database:
            named = Naming(pseudonyms, tuple(subjects))
            job = _Scan(root, private, database, salt, settings, patients, decisions, named)
            return job.run(threads, progress)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "damaged")
        raise ConfigError(
            f"private/inventory.sqlite cannot be used ({code})."
            " End other runs on this output; check free space. If it is damaged, remove it and run again: all files are"
            " read again and batches get new numbers."
        ) from None


def _open(private: Path) -> sqlite3.Connection:
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = private / "inventory.sqlite"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    database = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        database.executescript("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -64000;" + _SCHEMA + SCHEMA)
        known = {row[1] for row in database.execute("PRAGMA table_info(files)")}
        for name in sorted(_NEWER_COLUMNS.keys() - known):
            database.execute(f"ALTER TABLE files ADD COLUMN {name} {_NEWER_COLUMNS[name]}")
    except sqlite3.Error:
        database.close()
        raise
    return database


class _Scan:
    """One scan: refresh what is known of files, decide what becomes of them, write the side files."""

    def __init__(
        self,
        root: Path,
        private: Path,
        database: sqlite3.Connection,
        salt: bytes,
        settings: InventorySettings,
        patients: Patients,
        decisions: list[Decision],
        naming: Naming,
    ) -> None:
        self.naming = naming
        self.store = PseudonymStore(private / "pseudonyms.json", salt_id(salt))
        self.root, self.private, self.db = root, private, database
        self.settings, self.patients, self.decisions = settings, patients, decisions
        self.mapper = UidMapper(salt)
        joined = sorted((list(k) if isinstance(k, tuple) else [k], v) for k, v in patients.items())
        self.patients_digest = text_digest(json.dumps(joined))
        asked = [_WRITER, salt_id(salt), settings.duplicates, sorted(map(str, map(asdict, decisions)))]
        named = [naming.pseudonyms, [sorted(row.items()) for row in naming.rows]]
        self.request_digest = text_digest(json.dumps([*asked, self.patients_digest, *named]))
        self.side = SideFiles(private, database)
        maker = f"{_WRITER}/{READER}"
        self._files = InventoryFiles(database, self.side, maker, self.mapper, patients, decisions, naming, self.store)

    def run(self, threads: int, progress: Progress | None) -> InventorySummary:
        read, changed = self._refresh(threads, progress)
        lost = self.naming.pseudonyms == "random" and not self.store.exists()
        if changed or lost or self._meta("settled") != self.request_digest or not self.side.intact():
            self._set_meta("settled", "")
            self._decide()
            self._files.write()
            self._set_meta("settled", self.request_digest)
        summary = self._summary(read)
        self.side.write_output("inventory.json", (json.dumps(asdict(summary), sort_keys=True) + "\n").encode())
        return summary

    def _meta(self, key: str) -> str:
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def _set_meta(self, key: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # ----------------------------------------------------------------- what is there

    def _refresh(self, threads: int, progress: Progress | None) -> tuple[int, bool]:
        """Read what is new or changed, forget what is gone; return files read and whether anything changed."""
        self._note_walk()
        reader = f"{READER}/{self.settings.max_depth}"
        if self._meta("reader") != reader:
            self.db.execute("UPDATE files SET size = -1, sha256 = ''")
            self._set_meta("reader", reader)
        gone = "SELECT 1 FROM files WHERE path NOT IN (SELECT path FROM seen) LIMIT 1"
        changed = self.db.execute(gone).fetchone() is not None
        if changed:
            self._set_meta("settled", "")
            self.db.execute("DELETE FROM files WHERE path NOT IN (SELECT path FROM seen)")
        self.db.execute("CREATE TEMP TABLE todo(id INTEGER PRIMARY KEY, path BLOB)")
        self.db.execute(
            "INSERT INTO todo(path) SELECT s.path FROM seen s LEFT JOIN files f ON f.path = s.path WHERE s.reason = ''"
            " AND (f.path IS NULL OR f.size <> s.size OR f.mtime_ns <> s.mtime_ns OR f.ctime_ns <> s.ctime_ns"
            f" OR f.reason IN ({', '.join('?' * len(_TRY_AGAIN))})) ORDER BY s.path",
            _TRY_AGAIN,
        )
        total = self.db.execute("SELECT count(*) FROM todo").fetchone()[0]
        problems = self.db.execute("SELECT path, size, mtime_ns, ctime_ns, reason, detail FROM seen WHERE reason <> ''")
        changed |= self._keep([FileFacts(*row[:4], reason=row[4], detail=row[5]) for row in problems.fetchall()])
        done, unkept = 0, []
        for facts in read_files(self.root, self._tasks(), self.settings.max_depth, threads, total):
            done += len(facts)
            unkept += facts
            if len(unkept) >= _FILES_PER_COMMIT:
                changed |= self._keep(unkept)
                unkept = []
            if progress is not None:
                progress(done, total)
        return total, self._keep(unkept) or changed

    def _note_walk(self) -> None:
        columns = "path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, reason TEXT, detail TEXT"
        self.db.execute(f"CREATE TEMP TABLE seen({columns}) WITHOUT ROWID")
        found = walk(self.root)
        while part := list(itertools.islice(found, 10_000)):
            self.db.execute("BEGIN")
            self.db.executemany("INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?)", map(_seen_row, part))
            self.db.execute("COMMIT")

    def _tasks(self) -> Iterator[list[bytes]]:
        last = 0
        query = "SELECT id, path FROM todo WHERE id > ? ORDER BY id LIMIT ?"
        while rows := self.db.execute(query, (last, _FILES_PER_TASK)).fetchall():
            last = rows[-1][0]
            yield [path for _, path in rows]

    def _keep(self, many: list[FileFacts]) -> bool:
        """Keep what was read; return whether anything but the times of a file is new."""
        changed = False
        self.db.execute("BEGIN IMMEDIATE")
        for facts in many:
            old = self.db.execute(
                "SELECT sha256, reason, detail, size FROM files WHERE path = ?", (facts.path,)
            ).fetchone()
            if old == (facts.sha256, facts.reason, facts.detail, facts.size):
                times = (facts.mtime_ns, facts.ctime_ns, facts.path)
                self.db.execute("UPDATE files SET mtime_ns = ?, ctime_ns = ? WHERE path = ?", times)
                continue
            if not changed:
                changed = True
                self._set_meta("settled", "")
            key = patient_key_of(facts.patient_id, facts.issuer, facts.study_uid, self.patients)
            values = [getattr(facts, name) for name in _FACTS]
            self.db.execute(_PUT_FILE, (*values, self._lexicon(facts.entries), key))
        self.db.execute("COMMIT")
        return changed

    def _lexicon(self, entries: str) -> int | None:
        if entries == "[]":
            return None
        digest = text_digest(entries)
        self.db.execute("INSERT OR IGNORE INTO lexicons(digest, entries) VALUES (?, ?)", (digest, entries))
        return self.db.execute("SELECT id FROM lexicons WHERE digest = ?", (digest,)).fetchone()[0]

    # ----------------------------------------------------------------- what becomes of it

    def _decide(self) -> None:
        """Settle patients, duplicates, series and batches; commit before any side file names a new id."""
        self.db.execute("BEGIN IMMEDIATE")
        if self._meta("patients") != self.patients_digest:
            self._rejoin_patients()
            self._set_meta("patients", self.patients_digest)
        self._resolve_duplicates()
        self.db.execute(
            "INSERT INTO patients(key) SELECT DISTINCT patient_key FROM files WHERE patient_key <> ''"
            " AND patient_key NOT IN (SELECT key FROM patients) ORDER BY patient_key"
        )
        self.db.execute(
            "UPDATE files SET patient = p.id FROM patients p"
            " WHERE p.key = files.patient_key AND files.patient IS NOT p.id"
        )
        self._put_into_batches()
        self.db.execute(
            "UPDATE files SET series = s.id FROM series s"
            " WHERE s.patient = files.patient AND s.study_uid = files.study_uid"
            " AND s.series_uid = files.series_uid AND files.series IS NOT s.id"
        )
        self.db.execute("DELETE FROM lexicons WHERE id NOT IN (SELECT lexicon FROM files WHERE lexicon IS NOT NULL)")
        self.db.execute("COMMIT")

    def _rejoin_patients(self) -> None:
        rows = self.db.execute("SELECT DISTINCT patient_id, issuer, study_uid, patient_key FROM files WHERE is_dicom")
        for patient_id, issuer, study_uid, old in rows.fetchall():
            key = patient_key_of(patient_id, issuer, study_uid, self.patients)
            if key != old:
                self.db.execute(
                    "UPDATE files SET patient_key = ?, patient = NULL, series = NULL"
                    " WHERE patient_key = ? AND patient_id = ? AND issuer = ? AND study_uid = ?",
                    (key, old, patient_id, issuer, study_uid),
                )

    def _resolve_duplicates(self) -> None:
        self.db.execute("CREATE TEMP TABLE fate(path BLOB PRIMARY KEY, verdict TEXT, note TEXT) WITHOUT ROWID")
        doubled = "SELECT sop_uid FROM files WHERE reason = '' GROUP BY sop_uid HAVING count(*) > 1"
        copies = self.db.execute(
            "SELECT sop_uid, sha256, path, created FROM files INDEXED BY files_sop WHERE reason = ''"
            f" AND sop_uid IN ({doubled}) ORDER BY sop_uid, sha256, path"
        )
        chosen_by_hand = _choices(self.decisions)
        for sop_uid, group in itertools.groupby(copies.fetchall(), key=lambda row: row[0]):
            fates = self._fates(sop_uid, [row[1:] for row in group], chosen_by_hand)
            self.db.executemany("INSERT INTO fate VALUES (?, ?, ?)", fates)
        self.db.execute(
            "UPDATE files SET (verdict, note) = (t.verdict, t.note) FROM ("
            "SELECT f.path, coalesce(x.verdict, f.reason) AS verdict, coalesce(x.note, f.detail) AS note"
            " FROM files f LEFT JOIN fate x ON x.path = f.path) t"
            " WHERE t.path = files.path AND (files.verdict IS NOT t.verdict OR files.note IS NOT t.note)"
        )
        self.db.execute("DROP TABLE fate")

    def _fates(
        self, sop_uid: str, copies: list[tuple[str, bytes, str]], chosen_by_hand: Mapping[str, set[str]]
    ) -> Iterator[tuple[bytes, str, str]]:
        """Yield path, verdict and note of the rejected files of one SOP Instance UID."""
        hashes = {sha256: created for sha256, _, created in copies}
        chosen = next(iter(hashes)) if len(hashes) == 1 else ""
        note = f"{len(hashes)} contents"
        if len(hashes) > 1:
            picked = chosen_by_hand.get(self.mapper.new_uid(sop_uid), set()) if chosen_by_hand else set()
            named = [sha256 for sha256 in hashes if sha256[:12] in picked]
            if len(named) == 1:
                chosen = named[0]
            elif named:
                note = "more than one decision"
            elif self.settings.duplicates == "newest":
                newest = max(hashes.values())
                chosen = min(sha256 for sha256, created in hashes.items() if created == newest)
            elif self.settings.duplicates == "lowest_hash":
                chosen = min(hashes)
        kept = False
        for sha256, path, _ in copies:
            if not chosen:
                yield path, RejectReason.DUPLICATE_CONFLICT.value, note
            elif sha256 != chosen:
                yield path, RejectReason.DUPLICATE_NOT_CHOSEN.value, ""
            elif kept:
                yield path, RejectReason.DUPLICATE_IDENTICAL.value, ""
            else:
                kept = True

    def _put_into_batches(self) -> None:
        """Give each new series a batch; those that have one keep it for ever.

        A series under several Patient IDs is one series of the release, so its parts share a batch.
        """
        present = (
            f"SELECT patient, patient_key, study_uid, series_uid, sum({WORK}) AS work FROM files WHERE verdict = ''"
            " GROUP BY patient_key, study_uid, series_uid"
        )
        total = self.db.execute(f"SELECT coalesce(sum({WORK}), 0) FROM files WHERE verdict = ''").fetchone()[0]
        new = self.db.execute(
            f"SELECT n.patient, n.study_uid, n.series_uid, n.work, o.batch FROM ({present}) n LEFT JOIN series s ON"
            " s.patient = n.patient AND s.study_uid = n.study_uid AND s.series_uid = n.series_uid LEFT JOIN"
            " (SELECT study_uid, series_uid, min(batch) AS batch FROM series GROUP BY study_uid, series_uid) o ON"
            " o.study_uid = n.study_uid AND o.series_uid = n.series_uid WHERE s.id IS NULL"
            " ORDER BY n.patient_key, n.study_uid, n.series_uid"
        ).fetchall()
        limits = {name: getattr(self.settings, name) for name in ("target_work", "spread", "max_batches")}
        insert = "INSERT INTO series(patient, study_uid, series_uid, batch) VALUES (?, ?, ?, ?)"
        self.db.executemany(insert, [(*key, batch) for *key, _, batch in new if batch is not None])
        parts: dict[tuple[str, str], list[tuple[tuple[int, str, str], int]]] = defaultdict(list)
        for patient, study_uid, series_uid, work, batch in new:
            if batch is None:
                parts[study_uid, series_uid].append(((patient, study_uid, series_uid), work))
        whole = (([key for key, _ in some], sum(work for _, work in some)) for some in parts.values())
        last = self.db.execute("SELECT coalesce(max(batch), 0) FROM series").fetchone()[0]
        for batch, group in enumerate(batches.group(whole, batches.target_of(total, **limits)), last + 1):
            self.db.executemany(insert, [(*key, batch) for keys in group for key in keys])

    # ----------------------------------------------------------------- counts

    def _summary(self, read: int) -> InventorySummary:
        def one(query: str) -> int:
            return self.db.execute(query).fetchone()[0]

        files = one("SELECT count(*) FROM files")
        by = "SELECT {0}, count(*) FROM files WHERE verdict {1} '' GROUP BY {0} ORDER BY {0}"
        present = "SELECT DISTINCT {} FROM files f JOIN series s ON s.id = f.series WHERE f.verdict = ''"
        return InventorySummary(
            files=files,
            dicom=one("SELECT count(*) FROM files WHERE is_dicom"),
            instances=one("SELECT count(*) FROM files WHERE verdict = ''"),
            rejected=dict(self.db.execute(by.format("verdict", "<>")).fetchall()),
            modalities=dict(self.db.execute(by.format("modality", "=")).fetchall()),
            patients=one(f"SELECT count(*) FROM ({present.format('s.patient')})"),
            studies=one(f"SELECT count(*) FROM ({present.format('s.patient, s.study_uid')})"),
            series=one(f"SELECT count(*) FROM ({present.format('s.id')})"),
            batches=one(f"SELECT count(*) FROM ({present.format('s.batch')})"),
            read=read,
            cached=files - read,
        )


# --------------------------------------------------------------------------- rows


def _seen_row(found: FoundFile) -> tuple[bytes, int, int, int, str, str]:
    return found.path, found.size, found.mtime_ns, found.ctime_ns, found.reason, found.detail


def _choices(decisions: Iterable[Decision]) -> dict[str, set[str]]:
    """Return the contents that decisions release: new SOP Instance UID -> first 12 digits of their SHA-256."""
    chosen: dict[str, set[str]] = defaultdict(set)
    for decision in decisions:
        uid, mark, digest = decision.what.partition("@")
        if mark and decision.verdict == "release":
            chosen[uid].add(digest.lower()[:12])
    return chosen
