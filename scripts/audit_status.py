"""Where every instance ends: what its cleaning, its verification, the holds and people's decisions say together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phi_deid_pipeline.errors import AuditContractError
from phi_deid_pipeline.records import (
    Decision,
    HoldReason,
    RejectedFile,
    RejectReason,
    Residual,
    Status,
    VerificationRecord,
)
from record_io import read_jsonl, write_jsonl

# What is seen in one instance may stand in its neighbours too; the others are known of each instance by itself.
SERIES_WIDE = frozenset(
    {
        HoldReason.RESIDUAL_IDENTIFIER,
        HoldReason.TEXT_LEFT,
        HoldReason.TEXT_UNREADABLE,
        HoldReason.LINK_LOST,
        HoldReason.CONFORMANCE,
    }
)
# Checks of verification that say that an instance is broken, or that it breaks the rules of its SOP class as its source
# did not; what any other check finds is an identifier.
BREAKING_CHECKS = frozenset({"opens", "deid_attributes", "pixel_data", "known_uids"})
CONFORMANCE_CHECKS = frozenset({"iod", "dciodvfy"})
_HOLD_ORDER = {reason.value: place for place, reason in enumerate(HoldReason)}
_VERDICTS = frozenset({"release", "withhold"})


@dataclass(frozen=True, slots=True)
class FinalStatus:
    """Where an instance ended and why (one line of `private/statuses.jsonl`); UIDs are new ones.

    `holds` are all reasons why it would be held, `cause` the SOP Instance UID of the neighbour that holds it, if it is
    not held for itself; `decision` is the row that released or withheld it.
    """

    batch: str
    study_uid: str
    series_uid: str
    sop_uid: str
    status: Status
    reason: str
    holds: tuple[str, ...] = ()
    cause: str = ""
    decision: Decision | None = None
    checks: tuple[str, ...] = ()
    residuals: tuple[Residual, ...] = ()
    staged_path: str = ""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class StatusCounts:
    """Instances by status."""

    released: int
    held: int
    rejected: int


class Decisions:
    """Rows of the decisions file that release or withhold, by new UID; a withholding row wins over a releasing one.

    Rows on a finding (`UID#id`) or on one of several contents (`UID@digest`) are not about release.
    """

    def __init__(self, rows: Iterable[Decision]) -> None:
        self._by_uid: dict[str, Decision] = {}
        for row in sorted(rows, key=lambda row: (row.what, row.verdict != "release", row.when, row.who, row.why)):
            if row.verdict in _VERDICTS and not {"#", "@"} & set(row.what):
                self._by_uid[row.what] = row

    def of(self, record: Mapping[str, Any]) -> Decision | None:
        """Return the row that withholds the instance, its series or its study, else the row that releases it.

        Of several the one on the instance comes before that on its series, then its study.
        """
        uids = (record["sop_uid"], record["series_uid"], record["study_uid"])
        found = [self._by_uid[uid] for uid in uids if uid in self._by_uid]
        return next((row for row in found if row.verdict == "withhold"), found[0] if found else None)

    def releases_instance(self, sop_uid: str) -> bool:
        """Tell whether a row releases just this instance."""
        row = self._by_uid.get(sop_uid)
        return row is not None and row.verdict == "release"


def final_statuses(
    batch: str,
    records: Iterable[Mapping[str, Any]],
    verifications: Iterable[VerificationRecord],
    decisions: Decisions,
) -> dict[str, FinalStatus]:
    """Return the final status of every instance of a batch by new SOP Instance UID; `records` are DeidRecords as data.

    A decision lifts a hold, never a rejection; one on a series or study leaves identifiers that were found. Raises
    AuditContractError where an instance was not verified: nothing unverified may be released.
    """
    checked = _by_sop(batch, verifications)
    rows = {}
    for record in records:
        if record["sop_uid"] in rows:
            raise AuditContractError(f"Batch {batch}: two records for the instance {record['sop_uid']}.")
        rows[record["sop_uid"]] = record
    rejected = {uid: reason for uid, row in rows.items() if (reason := _rejection(batch, row, checked.get(uid)))}
    sources = {checked[uid].series_uid for uid in rows if uid in checked and _identifies(checked[uid])}
    holds = {
        uid: _own_holds(row, checked[uid], sources, uid in rejected) for uid, row in rows.items() if uid in checked
    }
    causes = _series_causes(rows, holds, decisions)
    statuses = {}
    for uid in sorted(rows):
        row, check, decision = rows[uid], checked.get(uid), decisions.of(rows[uid])
        if uid in rejected:
            status, reason, all_holds, cause, decision = Status.REJECTED, rejected[uid], (), "", None
        else:
            spread = causes.get(row["series_uid"], {})
            all_holds = _ordered({*holds[uid], *spread})
            status, reason, decision = _decided(all_holds, spread, decision)
            cause = "" if reason in holds[uid] else spread.get(reason, "")
        statuses[uid] = FinalStatus(
            batch=batch,
            study_uid=row["study_uid"],
            series_uid=row["series_uid"],
            sop_uid=uid,
            status=status,
            reason=reason,
            holds=all_holds,
            cause=cause,
            decision=decision,
            checks=check.checks if check else (),
            residuals=check.residuals if check else (),
            staged_path=row["staged_path"],
            checksum=row["checksum"],
        )
    return statuses


def _by_sop(batch: str, verifications: Iterable[VerificationRecord]) -> dict[str, VerificationRecord]:
    checked: dict[str, VerificationRecord] = {}
    for check in verifications:
        if check.sop_uid in checked:
            raise AuditContractError(f"Batch {batch}: two verifications of the instance {check.sop_uid}.")
        checked[check.sop_uid] = check
    return checked


def _rejection(batch: str, record: Mapping[str, Any], check: VerificationRecord | None) -> str:
    if record["status"] == Status.REJECTED:
        return record["reason"]
    if check is None:
        raise AuditContractError(f"Batch {batch}: the instance {record['sop_uid']} was not verified; run again.")
    if check.status is Status.REJECTED and check.reason != RejectReason.RESIDUAL_IDENTIFIER:
        return check.reason
    return ""


def _identifies(check: VerificationRecord) -> bool:
    return any(residual.check not in BREAKING_CHECKS | CONFORMANCE_CHECKS for residual in check.residuals)


def _own_holds(
    record: Mapping[str, Any], check: VerificationRecord, sources: set[str], rejected: bool
) -> frozenset[str]:
    """Return why an instance is held for itself. One that is rejected holds its neighbours by an identifier alone."""
    holds = {HoldReason.RESIDUAL_IDENTIFIER.value} if _identifies(check) else set()
    if rejected:
        return frozenset(holds)
    if any(residual.check in CONFORMANCE_CHECKS for residual in check.residuals):
        holds.add(HoldReason.CONFORMANCE.value)
    holds.update(record["hold"])
    if record["status"] == Status.HELD and record["reason"]:
        holds.add(record["reason"])
    # Verification may already have spread the hold from the instances of the series in which it found something.
    spread = check.reason == HoldReason.RESIDUAL_IDENTIFIER and check.series_uid in sources
    if check.status is not Status.RELEASED and not spread:
        holds.add(check.reason)
    if check.residuals and not holds:
        holds.add(HoldReason.RESIDUAL_IDENTIFIER.value)
    return frozenset(holds)


def _series_causes(
    rows: Mapping[str, Mapping[str, Any]], holds: Mapping[str, frozenset[str]], decisions: Decisions
) -> dict[str, dict[str, str]]:
    """Return for each series the reasons that hold all of it, each with the first instance that gives it.

    An instance that a person released by its own UID holds nobody: what was found there has been looked at.
    """
    causes: dict[str, dict[str, str]] = {}
    for uid in sorted(holds):
        if not decisions.releases_instance(uid):
            for reason in holds[uid] & SERIES_WIDE:
                causes.setdefault(rows[uid]["series_uid"], {}).setdefault(reason, uid)
    return causes


def _ordered(holds: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(map(str, holds), key=lambda hold: (_HOLD_ORDER.get(hold, len(_HOLD_ORDER)), hold)))


def _decided(
    holds: Sequence[str], spread: Mapping[str, str], decision: Decision | None
) -> tuple[Status, str, Decision | None]:
    """Return status, reason and the row that decided; `spread` holds what no row on its own instance has lifted."""
    if decision is not None and decision.verdict == "withhold":
        return Status.HELD, HoldReason.WITHHELD.value, decision
    if not holds:
        return Status.RELEASED, "", None
    if decision is not None and HoldReason.RESIDUAL_IDENTIFIER.value in spread:
        return Status.HELD, HoldReason.RESIDUAL_IDENTIFIER.value, None
    if decision is not None:
        return Status.RELEASED, "", decision
    return Status.HELD, holds[0], None


def write_statuses(
    private: Path, batches: Sequence[str], decisions: Iterable[Decision], target: Path | None = None
) -> StatusCounts:
    """Write `private/statuses.jsonl`, batch by batch and sorted by SOP Instance UID in each, one batch in memory."""
    known, counts = Decisions(decisions), dict.fromkeys(Status, 0)

    def rows() -> Iterator[FinalStatus]:
        for batch in batches:
            records = read_jsonl(private / "records" / f"{batch}.jsonl")
            checks = read_jsonl(private / "verification" / f"{batch}.jsonl", VerificationRecord)
            for status in final_statuses(batch, map(_needed, records), checks, known).values():
                counts[status.status] += 1
                yield status

    write_jsonl(target or private / "statuses.jsonl", rows(), 0o600)
    return StatusCounts(counts[Status.RELEASED], counts[Status.HELD], counts[Status.REJECTED])


def unused_decisions(
    private: Path, batches: Sequence[str], rows: Iterable[Decision], new_uid: Callable[[str], str]
) -> int:
    """Return how many decisions match nothing in this data set; `new_uid` leads from a source UID to the new one.

    Reads `private/statuses.jsonl`; findings and checksums are read where a row names one of them.
    """
    decisions = sorted(rows, key=lambda row: (row.what, row.verdict))
    waiting: dict[str, set[str]] = {"": set(), "#": set(), "@": set()}
    fitting = {"": _VERDICTS, "#": {"hide", "keep"}, "@": {"release"}}
    for row in decisions:
        mark = next((mark for mark in "#@" if mark in row.what), "")
        if row.verdict in fitting[mark]:
            waiting[mark].add(_content_name(*row.what.split("@", 1)) if mark == "@" else row.what)
    found: set[str] = set()
    if waiting[""]:
        for row in read_jsonl(private / "statuses.jsonl"):
            found |= waiting[""] & {row["study_uid"], row["series_uid"], row["sop_uid"]}
    uids = {mark: {name.split(mark)[0] for name in waiting[mark]} for mark in "#@"}
    for batch in batches if uids["#"] else ():
        for row in read_jsonl(private / "findings" / f"{batch}.jsonl"):
            if (uid := new_uid(row["sop_uid"])) in uids["#"]:
                found |= waiting["#"] & {f"{uid}#{finding['id']}" for finding in row["findings"]}
    if uids["@"]:
        records = (row for batch in batches for row in read_jsonl(private / "records" / f"{batch}.jsonl"))
        contents = itertools.chain(
            ((row["sop_uid"], row["input_checksum"]) for row in records),
            ((new_uid(r.sop_uid), r.sha256) for r in read_jsonl(private / "rejected.jsonl", RejectedFile) if r.sop_uid),
        )
        for uid, sha256 in contents:
            found |= waiting["@"] & {_content_name(uid, sha256)}
    named = [_content_name(*row.what.split("@", 1)) if "@" in row.what else row.what for row in decisions]
    return sum(name not in found for name in named)


def _content_name(uid: str, sha256: str) -> str:
    return f"{uid}@{sha256.lower()[:12]}"


_NEEDED = ("sop_uid", "series_uid", "study_uid", "status", "reason", "hold", "staged_path", "checksum")


def _needed(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in _NEEDED}


def statuses_by_batch(path: Path) -> Iterator[tuple[str, dict[str, FinalStatus]]]:
    """Yield each batch of `private/statuses.jsonl` with its statuses by new SOP Instance UID, streaming."""
    for batch, group in itertools.groupby(read_jsonl(path, FinalStatus), key=lambda status: status.batch):
        yield batch, {status.sop_uid: status for status in group}


def release_path(study_uid: str, series_uid: str, sop_uid: str) -> str:
    """Return where an instance lies in a release."""
    return f"dicom/{study_uid}/{series_uid}/{sop_uid}.dcm"
