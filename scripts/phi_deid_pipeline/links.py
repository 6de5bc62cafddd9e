"""The reference graph: which objects name which, before and after, and what became of each edge.

A batch is worked on alone and does not know the others, so there are two stages: `instance_links` states for every
reference of the source whether it is there after; `check_links` joins the rows of all batches with where each instance
ended. A reference that is gone although the policy keeps its attribute is lost: its batch knows that already, and
`with_lost_links` holds the referrer. A reference to something that is not released is dangling, and holds nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.records import (
    DeidRecord,
    HoldReason,
    InstanceEntry,
    Residual,
    Status,
    TagAction,
    UidType,
    VerificationRecord,
)
from phi_deid_pipeline.uid_mapping import is_standard_uid
from phi_deid_pipeline.value_objects import dataclass, replace
from phi_deid_pipeline.verification_bytes import read_layout, ui_values

LINK_TYPES = frozenset({UidType.SOP, UidType.SERIES, UidType.STUDY, UidType.FRAME_OF_REFERENCE})
_GONE_BY_ACTION = frozenset({"X", "Z", "D"})  # actions after which the UIDs of an attribute are no longer there
_BEST_FIRST = (Status.RELEASED, Status.HELD, Status.REJECTED)


class LinkState(StrEnum):
    """What became of a reference."""

    RESOLVED = "resolved"
    DANGLING_IN_SOURCE = "dangling_in_source"  # the target is not in the data set
    DANGLING_REJECTED = "dangling_rejected"  # the target is in the data set and not released
    DROPPED_BY_POLICY = "dropped_by_policy"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One reference of an instance as its batch knows it (`private/links/{batch}.jsonl`); UIDs are new ones.

    A row with `defines` is no reference: the instance lies in that frame of reference.
    """

    from_sop_uid: str
    from_series_uid: str
    to_uid: str
    kind: UidType
    path: str  # tags without item numbers, as in `records.UidUse.path`
    to_sop_class_uid: str = ""
    kept: bool = True
    dropped_by_policy: bool = False
    defines: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether the reference is gone although the policy keeps its attribute."""
        return not (self.kept or self.dropped_by_policy or self.defines)


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """One reference and what became of it (`private/links.jsonl`); UIDs are new ones.

    `reason` is the status of a target that is not released.
    """

    from_sop_uid: str
    from_series_uid: str
    to_uid: str
    kind: UidType
    path: str
    state: LinkState
    to_sop_class_uid: str = ""
    reason: str = ""


class Ended(Protocol):
    """An instance of the data set and where it ended: a record of its cleaning or its final status (new UIDs)."""

    @property
    def sop_uid(self) -> str: ...
    @property
    def series_uid(self) -> str: ...
    @property
    def study_uid(self) -> str: ...
    @property
    def status(self) -> Status: ...


def instance_links(
    entry: InstanceEntry,
    record: DeidRecord,
    written: Path | frozenset[tuple[str, str]] | None,
    uid_map: Mapping[str, str],
) -> list[LinkRow]:
    """Return the references of one instance, sorted; none for a rejected one (`written` None).

    `written` is the instance or what `written_uids` says of it.

    An instance that cannot be read refers to nothing either: verification rejects it. A UID that the map does not know
    counts as gone.
    """
    if written is None or record.status is Status.REJECTED:
        return []
    try:
        after = written_uids(written) if isinstance(written, Path) else written
    except UnreadableInstance:
        return []
    actions = (*record.tags_removed, *record.tags_cleaned, *record.tags_replaced)
    gone = frozenset(action.path for action in actions if _drops(action))
    rows = set()
    for use in entry.uids:
        uid = use.uid.strip("\x00 ")
        if use.uid_type not in LINK_TYPES or not uid or is_standard_uid(uid):
            continue
        defines = use.identity and use.uid_type is UidType.FRAME_OF_REFERENCE
        if use.identity and not defines:
            continue
        new = uid_map.get(uid, "")
        kept = (use.path, new) in after or (use.path, uid) in after
        rows.add(
            LinkRow(
                from_sop_uid=record.sop_uid,
                from_series_uid=record.series_uid,
                to_uid=new,
                kind=use.uid_type,
                path=use.path,
                to_sop_class_uid=use.sop_class_uid,
                kept=kept,
                dropped_by_policy=not kept and _dropped(use.path, gone),
                defines=defines,
            )
        )
    return sorted(rows, key=_order)


def written_uids(written: Path) -> frozenset[tuple[str, str]]:
    """Return (path, UID) of every UI value of an instance, file meta left out; raises UnreadableInstance."""
    with read_layout(written) as layout:
        return ui_values(layout)


def _drops(action: TagAction) -> bool:
    """Tell whether an action takes the UIDs of an attribute, or of what lies in it, away."""
    return action.action in _GONE_BY_ACTION and not (action.vr == "UI" and action.action == "D")


def _dropped(path: str, gone: Collection[str]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[:count]) in gone for count in range(1, len(parts) + 1))


def with_lost_links(record: VerificationRecord, rows: Iterable[LinkRow]) -> VerificationRecord:
    """Return the verdict on an instance with its lost references added: they hold what would else be released."""
    lost = {Residual("links", row.path, row.kind.value, LinkState.LOST.value) for row in rows if row.is_lost}
    checks = tuple(sorted({*record.checks, "links"}))
    if not lost:
        return replace(record, checks=checks)
    residuals = sorted({*record.residuals, *lost}, key=lambda r: (r.check, r.where, r.category, r.detail))
    free = record.status is Status.RELEASED
    return replace(
        record,
        status=Status.HELD if free else record.status,
        reason=HoldReason.LINK_LOST.value if free else record.reason,
        checks=checks,
        residuals=tuple(residuals),
    )


def check_links(rows: Iterable[LinkRow], ended: Iterable[Ended]) -> Iterator[LinkRecord]:
    """Yield the state of every reference of all batches, in the order of the rows.

    `ended` names every instance of the data set that was worked on, rejected and held ones included, with its final
    status; a study, series or frame of reference is released if an instance in it is. Rows are passed twice: an
    iterator is kept in memory, a collection or another re-iterable is not.
    """
    if iter(rows) is rows:
        rows = list(rows)
    statuses: dict[str, Status] = {}
    for instance in ended:
        for uid in (instance.sop_uid, instance.series_uid, instance.study_uid):
            _better(statuses, uid, Status(instance.status))
    for row in rows:
        if row.defines and row.kept:
            _better(statuses, row.to_uid, statuses.get(row.from_sop_uid, Status.REJECTED))
    for row in rows:
        if not row.defines:
            yield _judged(row, statuses)


def _better(best: dict[str, Status], uid: str, status: Status) -> None:
    known = best.get(uid)
    if known is None or _BEST_FIRST.index(status) < _BEST_FIRST.index(known):
        best[uid] = status


def count_links(links: Iterable[LinkRecord]) -> dict[str, int]:
    """Return the number of references in each state."""
    counts = Counter(link.state for link in links)
    return {state.value: counts[state] for state in LinkState}


def _judged(row: LinkRow, statuses: Mapping[str, Status]) -> LinkRecord:
    target, reason = statuses.get(row.to_uid), ""
    if row.dropped_by_policy:
        state = LinkState.DROPPED_BY_POLICY
    elif row.is_lost:
        state = LinkState.LOST
    elif target is None:
        state = LinkState.DANGLING_IN_SOURCE
    elif target is not Status.RELEASED:
        state, reason = LinkState.DANGLING_REJECTED, target.value
    else:
        state = LinkState.RESOLVED
    return LinkRecord(
        from_sop_uid=row.from_sop_uid,
        from_series_uid=row.from_series_uid,
        to_uid=row.to_uid,
        kind=row.kind,
        path=row.path,
        state=state,
        to_sop_class_uid=row.to_sop_class_uid,
        reason=reason,
    )


def _order(row: LinkRow) -> tuple[str, str, str, str, str]:
    return row.from_series_uid, row.from_sop_uid, row.path, row.kind.value, row.to_uid
