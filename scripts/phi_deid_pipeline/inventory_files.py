"""The side files of a scan: manifests, decisions and subjects of batches, lexicons of patients, the rejected files."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phi_deid_pipeline import batches
from phi_deid_pipeline.records import (
    Decision,
    InstanceEntry,
    Manifest,
    RejectedFile,
    RejectReason,
    SeriesEntry,
    StudySubject,
    Subject,
    UidType,
    UidUse,
)
from phi_deid_pipeline.side_files import SideFiles
from phi_deid_pipeline.subjects import Patients, PseudonymStore, SubjectTable
from phi_deid_pipeline.uid_mapping import UidMapper

_MARKING = ("SEG", "RTSTRUCT")  # modalities of objects that mark places in images of other series
# Rejected copies that leave nothing missing in their series.
_SUPERFLUOUS = (RejectReason.DUPLICATE_IDENTICAL.value, RejectReason.DUPLICATE_NOT_CHOSEN.value)
_CAN_BE_TAKEN = (RejectReason.DUPLICATE_CONFLICT, RejectReason.DUPLICATE_NOT_CHOSEN)
DUPLICATES = frozenset({*_SUPERFLUOUS, RejectReason.DUPLICATE_CONFLICT.value})
MAX_PERSONS = 8  # of a study: more of them share a UID, and no study
MAX_OTHERS = 20  # other paths that the line of a duplicate names
WORK = f"{batches.UNITS} + CASE WHEN has_pixels THEN frames * {batches.UNITS_PER_FRAME} + size ELSE 0 END"


@dataclass(frozen=True, slots=True)
class Naming:
    """How patients are named: keyed, random or table, and the rows of the table of subjects."""

    pseudonyms: str
    rows: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class InventoryFiles:
    """Writes what the database of an inventory says as files; `maker` names the code that made its rows and these files."""

    db: sqlite3.Connection
    side: SideFiles
    maker: str
    mapper: UidMapper
    patients: Patients
    decisions: list[Decision]
    naming: Naming
    store: PseudonymStore

    def write(self) -> None:
        """Write what changed of the side files in one transaction, and remove those of batches and patients that are gone."""
        self.db.execute("BEGIN IMMEDIATE")
        names = [*self._write_manifests(), *self._write_lexicons(), self._write_rejected()]
        self.side.remove_others({*names}, ("manifests", "lexicons", "decisions", "subjects"))
        self.db.execute("COMMIT")

    def _write_manifests(self) -> Iterator[str]:
        index = [("batch", "series", "instances", "frames", "work", "patients", "digest", "marked_by")]
        query = "SELECT DISTINCT batch FROM series s JOIN files f ON f.series = s.id WHERE verdict = '' ORDER BY batch"
        decided = self._decisions_by_batch()
        find = self._subject_finder()
        marking = self._marking_batches()
        for (number,) in self.db.execute(query).fetchall():
            batch = f"b{number:06d}"
            name = f"manifests/{batch}.json"
            counts, signature = self._batch_summary(number)
            digest = self.side.put(name, signature, lambda n=number: self._manifest(n))
            marked_by = ",".join(f"b{other:06d}" for other in sorted(marking.get(number, ())))
            index.append((batch, *counts, digest[:16], marked_by))
            yield name
            lines = "".join(_json_line(decision) for decision in decided.get(number, ())).encode("utf-8")
            yield self._put_bytes(f"decisions/{batch}.jsonl", lines)
            lines = "".join(map(_json_line, self._subjects_of(number, find))).encode("utf-8", "backslashreplace")
            yield self._put_bytes(f"subjects/{batch}.jsonl", lines)
        yield self._put_bytes("index.tsv", "".join("\t".join(row) + "\n" for row in index).encode("ascii"))

    def _marking_batches(self) -> dict[int, set[int]]:
        """Return for each batch those whose SEG and RTSTRUCT name a series of it, or where they name none, an instance."""
        found: dict[int, set[int]] = defaultdict(set)
        batch_of = {
            UidType.SERIES: "SELECT DISTINCT batch FROM series WHERE series_uid = ?",
            UidType.SOP: "SELECT DISTINCT s.batch FROM files f JOIN series s ON s.id = f.series WHERE f.sop_uid = ?",
        }
        query = (
            "SELECT s.batch, f.uids FROM files f JOIN series s ON s.id = f.series"
            f" WHERE f.verdict = '' AND f.modality IN ({', '.join('?' * len(_MARKING))}) ORDER BY f.path"
        )
        for own, uids in self.db.execute(query, _MARKING).fetchall():
            uses = [UidUse(uid, UidType(role), *rest) for uid, role, *rest in json.loads(uids)]
            for kind, batches_of in batch_of.items():
                named = sorted({use.uid.strip("\0 ") for use in uses if use.uid_type is kind and not use.identity})
                hits = {batch for uid in named for (batch,) in self.db.execute(batches_of, (uid,)) if batch is not None}
                for batch in hits:
                    found[batch].add(own)
                if hits:
                    break
        return found

    def _put_bytes(self, name: str, data: bytes) -> str:
        self.side.put(name, hashlib.sha256(data).hexdigest(), lambda: data)
        return name

    def _batch_summary(self, batch: int) -> tuple[tuple[str, ...], str]:
        """Return the index columns of a batch and a signature of all that its manifest is made of."""
        signature = hashlib.sha256(self.maker.encode())
        series: set[int] = set()
        patients: set[int] = set()
        instances = frames = work = 0
        rows = self.db.execute(
            f"SELECT f.series, f.patient, f.path, f.sha256, f.verdict, f.frames, {WORK} FROM files f JOIN series s"
            " ON f.series = s.id WHERE s.batch = ? ORDER BY f.path",
            (batch,),
        )
        for series_id, patient, path, sha256, verdict, frame_count, units in rows:
            signature.update(
                b"\0".join((str(series_id).encode(), path, f"{sha256} {verdict} {patient}".encode(), b"\n"))
            )
            if not verdict:
                series.add(series_id)
                patients.add(patient)
                instances, frames, work = instances + 1, frames + frame_count, work + units
        counts = (str(len(series)), str(instances), str(frames), f"{work / batches.UNITS:.3f}")
        return (*counts, ",".join(f"p{patient:06d}" for patient in sorted(patients))), signature.hexdigest()

    def _manifest(self, batch: int) -> bytes:
        series = self.db.execute(
            "SELECT s.id, p.key, p.id, s.study_uid, s.series_uid FROM series s JOIN patients p ON p.id = s.patient"
            " WHERE s.batch = ? AND EXISTS (SELECT 1 FROM files f WHERE f.series = s.id AND f.verdict = '')"
            " ORDER BY p.key, s.study_uid, s.series_uid",
            (batch,),
        )
        entries = tuple(self._series_entry(*row) for row in series.fetchall())
        return _json_line(Manifest(f"b{batch:06d}", entries)).encode("utf-8", "backslashreplace")

    def _series_entry(self, number: int, key: str, patient: int, study_uid: str, series_uid: str) -> SeriesEntry:
        columns = (
            "path, size, sha256, study_uid, series_uid, sop_uid, sop_class_uid, transfer_syntax_uid, modality, rows,"
            " columns, frames, has_pixels, hold, uids, head, slice_mm"
        )
        rows = self.db.execute(
            f"SELECT {columns} FROM files WHERE series = ? AND verdict = '' ORDER BY sop_uid, path", (number,)
        )
        rejected = self.db.execute(
            "SELECT count(*) FROM files WHERE series = ? AND verdict NOT IN ('', ?, ?)", (number, *_SUPERFLUOUS)
        ).fetchone()[0]
        name = f"p{patient:06d}"
        instances = tuple(_instance_entry(row, name) for row in rows)
        return SeriesEntry(name, study_uid, series_uid, instances, rejected, key)

    def _decisions_by_batch(self) -> dict[int, list[Decision]]:
        """Return the decisions on single findings by the batch that holds their instance."""
        wanted: dict[str, list[Decision]] = defaultdict(list)
        for decision in sorted(self.decisions, key=lambda d: (d.what, d.verdict, d.who, d.when, d.why)):
            uid, mark, _ = decision.what.partition("#")
            if mark:
                wanted[uid].append(decision)
        found: dict[int, list[Decision]] = defaultdict(list)
        if wanted:
            query = "SELECT f.sop_uid, s.batch FROM files f JOIN series s ON s.id = f.series WHERE f.verdict = ''"
            for sop_uid, batch in self.db.execute(query):
                found[batch].extend(wanted.get(self.mapper.new_uid(sop_uid), ()))
        return {batch: sorted(some, key=lambda d: (d.what, d.verdict)) for batch, some in found.items()}

    def _subject_finder(self) -> Callable[[str, str], Subject | None] | None:
        """Return what names a patient's study; None where pseudonyms are keyed. Random codes are kept before use."""
        if self.naming.pseudonyms == "table":
            return SubjectTable(self.naming.rows, self.patients).find
        if self.naming.pseudonyms != "random":
            return None
        codes = self.store.codes_of(key for (key,) in self.db.execute("SELECT key FROM patients").fetchall())
        return lambda key, _study: Subject(codes[key])

    def _subjects_of(self, batch: int, find: Callable[[str, str], Subject | None] | None) -> Iterator[StudySubject]:
        """Yield who the studies of a batch belong to; a study that the table does not know is left out."""
        studies = self.db.execute(
            "SELECT DISTINCT p.key, s.study_uid FROM series s JOIN patients p ON p.id = s.patient WHERE s.batch = ?"
            " ORDER BY p.key, s.study_uid",
            (batch,),
        )
        for key, study_uid in studies.fetchall() if find is not None else ():
            if (subject := find(key, study_uid)) is not None:
                yield StudySubject(key, study_uid, subject)

    def _write_lexicons(self) -> Iterator[str]:
        """Write the identifiers of each patient, gathered from all files that could be read, rejected ones too.

        Those of other persons in the patient's studies belong to it.
        """
        query = (
            "SELECT DISTINCT f.patient, p.key, f.lexicon FROM files f JOIN patients p ON p.id = f.patient"
            " ORDER BY f.patient, f.lexicon"
        )
        known, shared = self.db.execute(query), self._lexicons_of_shared_studies()
        for (patient, key), group in itertools.groupby(known, key=lambda row: row[:2]):
            numbers = sorted({number for _, _, number in group if number is not None} | shared.get(key, set()))
            name = f"lexicons/p{patient:06d}.json"
            signature = text_digest(json.dumps([self.maker, key, self._lexicon_digests(numbers)]))
            self.side.put(name, signature, lambda key=key, numbers=numbers: self._lexicon_file(key, numbers))
            yield name

    def _lexicons_of_shared_studies(self) -> dict[str, set[int]]:
        """Return what the instances of studies tell that several persons have, by each: an ID is missing or was corrected.

        A study of more than `MAX_PERSONS` is no study but a UID used again.
        """
        studies = self.db.execute(
            "SELECT study_uid, json_group_array(patient_key) FROM (SELECT DISTINCT study_uid, patient_key FROM files"
            " WHERE study_uid <> '' AND patient_key <> '') GROUP BY study_uid HAVING count(*) BETWEEN 2 AND ?",
            (MAX_PERSONS,),
        )
        shared: dict[str, set[int]] = defaultdict(set)
        for study_uid, keys in studies.fetchall():
            persons = json.loads(keys)
            numbers = {
                number
                for key in persons
                for (number,) in self.db.execute(
                    "SELECT DISTINCT lexicon FROM files WHERE patient_key = ? AND study_uid = ? AND lexicon IS NOT NULL",
                    (key, study_uid),
                )
            }
            for key in persons:
                shared[key] |= numbers
        return shared

    def _lexicon_digests(self, numbers: Iterable[int]) -> list[str]:
        query = "SELECT digest FROM lexicons WHERE id = ?"
        return sorted(self.db.execute(query, (number,)).fetchone()[0] for number in numbers)

    def _lexicon_file(self, key: str, numbers: Iterable[int]) -> bytes:
        entries: set[tuple[str, str]] = set()
        for number in numbers:
            text = self.db.execute("SELECT entries FROM lexicons WHERE id = ?", (number,)).fetchone()[0]
            entries.update(map(tuple, json.loads(text)))
        rows = [list(entry) for entry in sorted(entries)]
        return (json.dumps({"entries": rows, "patient_key": key}, separators=(",", ":")) + "\n").encode()

    def _write_rejected(self) -> str:
        names = (
            "path, verdict, note, is_dicom, size, sha256, patient, study_uid, series_uid, sop_uid, sop_class_uid,"
            " modality"
        )
        rows = self.db.execute(f"SELECT {names} FROM files WHERE verdict <> '' ORDER BY path")
        lines = (_json_line(self._rejected(row)).encode("utf-8", "backslashreplace") for row in rows)
        self.side.put_lines("rejected.jsonl", lines)
        return "rejected.jsonl"

    def _rejected(self, row: tuple[Any, ...]) -> RejectedFile:
        path, verdict, note, is_dicom, size, sha256, patient, *identity = row
        reason, sop_uid = RejectReason(verdict), identity[2]
        return RejectedFile(
            os.fsdecode(path),
            reason,
            reason.what_to_do + self._row_that_takes(reason, sop_uid, sha256),
            note,
            bool(is_dicom),
            max(size, 0),
            sha256,
            f"p{patient:06d}" if patient is not None else "",
            *identity,
            self._others(path, verdict, sha256, sop_uid),
        )

    def _row_that_takes(self, reason: RejectReason, sop_uid: str, sha256: str) -> str:
        """Return the row for the table of decisions that takes a content of several, "" where none can; new UIDs alone."""
        if reason not in _CAN_BE_TAKEN:
            return ""
        instead = " instead" if reason is RejectReason.DUPLICATE_NOT_CHOSEN else ""
        what = f"{self.mapper.new_uid(sop_uid)}@{sha256[:12]}"
        return f" Row of decisions that takes this file{instead}: {what},release,WHO,YYYY-MM-DD,WHY"

    def _others(self, path: bytes, verdict: str, sha256: str, sop_uid: str) -> tuple[str, ...]:
        """Return the paths that a duplicate is one of: those of the same bytes where it is identical, of other bytes elsewhere."""
        if verdict not in DUPLICATES:
            return ()
        operators = ("=",) if verdict == RejectReason.DUPLICATE_IDENTICAL else ("<", ">")
        found: list[bytes] = []
        for operator in operators:
            query = (
                "SELECT path FROM files INDEXED BY files_sop WHERE reason = '' AND sop_uid = ?"
                f" AND sha256 {operator} ? AND path <> ? ORDER BY sha256, path LIMIT {MAX_OTHERS}"
            )
            found += [other for (other,) in self.db.execute(query, (sop_uid, sha256, path))]
        return tuple(sorted(os.fsdecode(other) for other in found)[:MAX_OTHERS])


# --------------------------------------------------------------------------- rows


def _instance_entry(row: tuple[Any, ...], patient: str) -> InstanceEntry:
    path, size, sha256, *identity, modality, rows, columns, frames, has_pixels, hold, uids, head, slice_mm = row
    uses = (UidUse(uid, UidType(role), *rest) for uid, role, *rest in json.loads(uids))
    holds = tuple(hold.split(",")) if hold else ()
    return InstanceEntry(
        os.fsdecode(path),
        size,
        sha256,
        patient,
        *identity,
        modality,
        rows,
        columns,
        frames,
        bool(has_pixels),
        holds,
        tuple(uses),
        bool(head),
        slice_mm,
    )


def _json_line(record: Any) -> str:
    return json.dumps(_plain(record), ensure_ascii=False, separators=(",", ":")) + "\n"


def _plain(value: Any) -> Any:
    """Return a record as JSON holds it, as `dataclasses.asdict` does, without its copies: manifests are large."""
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: _plain(getattr(value, name)) for name in type(value).__slots__}


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
