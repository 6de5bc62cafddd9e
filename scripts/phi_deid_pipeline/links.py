"""The reference graph: which objects name which, before and after, and what became of each edge.

A batch is worked on alone and does not know the others, so there are two stages: `instance_links` states for every
reference of the source whether it is there after; `check_links` joins the rows of all batches with where each instance
ended. A reference that is gone although the policy keeps its attribute is lost: its batch knows that already, and
`with_lost_links` holds the referrer. A reference to something that is not released is dangling, and holds nobody.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from phi_deid_pipeline.dicom_utils import keyword_of, parse_path
from phi_deid_pipeline.records import (
    Agreement,
    DanglingReason,
    DeidRecord,
    HoldReason,
    InstanceEntry,
    LinkState,
    Residual,
    Status,
    TagAction,
    UidType,
    VerificationRecord,
)
from phi_deid_pipeline.references import BeforeAfter, Reference, References
from phi_deid_pipeline.uid_mapping import is_standard_uid
from phi_deid_pipeline.value_objects import dataclass, field_names, replace

if TYPE_CHECKING:
    import sqlite3

LINK_TYPES = frozenset({UidType.SOP, UidType.SERIES, UidType.STUDY, UidType.FRAME_OF_REFERENCE})
_GONE_BY_ACTION = frozenset({"X", "Z", "D"})  # actions after which the UIDs of an attribute are no longer there
_BEST_FIRST = (Status.RELEASED, Status.HELD, Status.REJECTED)
_ROWS_AT_ONCE = 10_000
_REMEMBERED = 100_000  # targets whose status is kept in memory


@dataclass(frozen=True, slots=True)
class LinkRow:
    """References of an instance to one target, as its batch knows them (`private/links/{batch}.jsonl`); new UIDs.

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
    from_sop_class_uid: str = ""
    frames: tuple[int, ...] = ()  # of the target, as the reference names them
    segments: tuple[int, ...] = ()
    from_frames: tuple[int, ...] = ()  # of the object that refers, from 1; none: the object as a whole
    count: int = 1  # how often the source says so
    written: bool = True

    @property
    def is_lost(self) -> bool:
        """Whether the reference is gone although the policy keeps its attribute."""
        return self.written and not (self.kept or self.dropped_by_policy or self.defines)


@dataclass(frozen=True, slots=True)
class LinkGeometry:
    """Whether an object fits what it names (`private/link_geometry.jsonl`); lengths in mm, new UIDs.

    `reasons` are codes; `off_plane_mm` is the largest distance of a contour or frame from the slice that it names.
    """

    from_sop_uid: str
    to_uid: str
    agreement: Agreement
    reasons: tuple[str, ...] = ()
    off_plane_mm: float | None = None


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """References to one target and what became of them (`private/links.jsonl`); UIDs are new ones.

    `reason` is a DanglingReason; `agreement` is empty where geometry is no matter.
    """

    from_sop_uid: str
    from_series_uid: str
    to_uid: str
    kind: UidType
    path: str
    state: LinkState
    to_sop_class_uid: str = ""
    reason: str = ""
    from_sop_class_uid: str = ""
    frames: tuple[int, ...] = ()
    segments: tuple[int, ...] = ()
    from_frames: tuple[int, ...] = ()
    count: int = 1
    from_status: str = ""
    attribute: str = ""  # keywords of the path
    agreement: str = ""
    agreement_reasons: tuple[str, ...] = ()
    off_plane_mm: float | None = None


def link_geometry(row: Mapping[str, Any]) -> LinkGeometry:
    """Return what JSON holds as the record that it was."""
    return LinkGeometry(**{**row, "agreement": Agreement(row["agreement"]), "reasons": tuple(row["reasons"])})


class LinkRows:
    """LinkRows that can be passed again: each time `read` gives them anew, as data."""

    def __init__(self, read: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[LinkRow]:
        for row in self._read():
            numbers = {name: tuple(row[name]) for name in ("frames", "segments", "from_frames")}
            yield LinkRow(**{**row, "kind": UidType(row["kind"]), **numbers})


_CARRIED = frozenset(field_names(LinkRow)) & frozenset(field_names(LinkRecord))


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
    entry: InstanceEntry, record: DeidRecord, seen: BeforeAfter | None, uid_map: Mapping[str, str]
) -> list[LinkRow]:
    """Return the references of one instance, sorted.

    `seen` is None for an instance that was not written or cannot be read: its references are those of the inventory,
    and none of them is there after. A UID that the map does not know counts as gone.
    """
    roles = _roles(entry)
    before: References = Counter({r: n for r, n in (seen or BeforeAfter()).before.items() if (r.path, r.uid) in roles})
    known = {(reference.path, reference.uid) for reference in before}
    before.update(Reference(*place) for place in roles.keys() - known)
    after = seen.after if seen is not None else Counter()
    groups: defaultdict[tuple, list[tuple[int, int, int]]] = defaultdict(list)
    for reference, count in before.items():
        kind, sop_class, defines = roles[reference.path, reference.uid]
        new = uid_map.get(reference.uid, "")
        there = after[replace(reference, uid=new)] + (after[reference] if new != reference.uid else 0)
        key = (reference.path, kind, new, sop_class, reference.frames, reference.segments, defines)
        groups[key].append((reference.from_frame, count, there))
    rows = []
    for (path, kind, new, sop_class, frames, segments, defines), found in groups.items():
        kept = all(there >= count for _, count, there in found)
        dropped = not kept and _dropped(path, record)
        # Of equal references in items some of which the policy removes, one that stays is enough.
        kept = kept or (dropped and any(there for *_, there in found))
        rows.append(
            LinkRow(
                from_sop_uid=record.sop_uid,
                from_series_uid=record.series_uid,
                to_uid=new,
                kind=kind,
                path=path,
                to_sop_class_uid=sop_class,
                kept=kept,
                dropped_by_policy=seen is not None and not kept and dropped,
                defines=defines,
                from_sop_class_uid=record.sop_class_uid,
                frames=frames,
                segments=segments,
                from_frames=tuple(sorted({number for number, _, _ in found if number})),
                count=sum(count for _, count, _ in found),
                written=seen is not None,
            )
        )
    return sorted(rows, key=_order)


def _roles(entry: InstanceEntry) -> dict[tuple[str, str], tuple[UidType, str, bool]]:
    """Return kind, SOP class and whether it is the instance's own frame of reference, by path and UID."""
    roles: dict[tuple[str, str], tuple[UidType, str, bool]] = {}
    for use in sorted(entry.uids, key=lambda use: (use.path, use.uid, use.uid_type, use.sop_class_uid)):
        uid = use.uid.strip("\x00 ")
        defines = use.identity and use.uid_type is UidType.FRAME_OF_REFERENCE
        if use.uid_type in LINK_TYPES and uid and not is_standard_uid(uid) and (defines or not use.identity):
            roles.setdefault((use.path, uid), (use.uid_type, use.sop_class_uid, defines))
    return roles


def _drops(action: TagAction) -> bool:
    """Tell whether an action takes the UIDs of an attribute, or of what lies in it, away."""
    return action.action in _GONE_BY_ACTION and not (action.vr == "UI" and action.action == "D")


def _dropped(path: str, record: DeidRecord) -> bool:
    """Tell whether the policy took an attribute, or what it lies in, away."""
    actions = (*record.tags_removed, *record.tags_cleaned, *record.tags_replaced)
    gone = {action.path for action in actions if _drops(action)}
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


# --- over all batches ---------------------------------------------------------------------------------------------


class _Targets:
    """Where studies, series, instances and frames of reference ended, and what was measured over links; on disk."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE targets (uid TEXT PRIMARY KEY, place INT) WITHOUT ROWID")
        database.execute(
            "CREATE TABLE measured (source TEXT, target TEXT, agreement TEXT, reasons TEXT, mm REAL,"
            " PRIMARY KEY (source, target)) WITHOUT ROWID"
        )
        self.status = lru_cache(_REMEMBERED)(self._status)
        self._any_measured = False

    def add(self, ended: Iterable[tuple[str, Status]]) -> None:
        """Note statuses by UID; of several the best holds."""
        query = (
            "INSERT INTO targets VALUES (?,?) ON CONFLICT (uid) DO UPDATE SET place = excluded.place"
            " WHERE excluded.place < place"
        )
        for part in _parts((uid, _BEST_FIRST.index(status)) for uid, status in ended if uid):
            self._database.executemany(query, part)
        self.status.cache_clear()

    def measure(self, rows: Iterable[LinkGeometry]) -> None:
        """Note what was measured."""
        values = ((r.from_sop_uid, r.to_uid, r.agreement, ",".join(r.reasons), r.off_plane_mm) for r in rows)
        for part in _parts(values):
            self._database.executemany("INSERT INTO measured VALUES (?,?,?,?,?)", part)
            self._any_measured = True

    def _status(self, uid: str) -> Status | None:
        row = self._database.execute("SELECT place FROM targets WHERE uid = ?", (uid,)).fetchone()
        return None if row is None else _BEST_FIRST[row[0]]

    def measured(self, source: str, target: str) -> tuple[str, tuple[str, ...], float | None]:
        """Return agreement, reasons and distance of a pair, empty where nothing was measured."""
        query = "SELECT agreement, reasons, mm FROM measured WHERE source = ? AND target = ?"
        row = self._database.execute(query, (source, target)).fetchone() if self._any_measured else None
        return ("", (), None) if row is None else (row[0], tuple(filter(None, row[1].split(","))), row[2])


def _parts(rows: Iterable[tuple]) -> Iterator[list[tuple]]:
    iterator = iter(rows)
    while part := list(itertools.islice(iterator, _ROWS_AT_ONCE)):
        yield part


def check_links(
    rows: Iterable[LinkRow],
    ended: Iterable[Ended],
    geometry: Iterable[LinkGeometry] = (),
    database: sqlite3.Connection | None = None,
) -> Iterator[LinkRecord]:
    """Yield the state of every reference of all batches, in the order of the rows.

    `ended` names every instance of the data set that was worked on, rejected and held ones included, with its final
    status; a study, series or frame of reference is released if an instance in it is. Rows are passed twice: an
    iterator is kept in memory, a collection or another re-iterable is not. `database` is an empty one that holds the
    rest, where that is more than memory should.
    """
    if iter(rows) is rows:
        rows = list(rows)
    import sqlite3  # here: links of one instance need none, and a job pays for its imports

    with closing(sqlite3.connect(":memory:")) as memory:
        targets = _Targets(database if database is not None else memory)
        targets.add(
            (uid, Status(instance.status))
            for instance in ended
            for uid in (instance.sop_uid, instance.series_uid, instance.study_uid)
        )
        targets.measure(geometry)
        defined = ((row.to_uid, row.from_sop_uid) for row in rows if row.defines and row.kept)
        targets.add((uid, targets.status(sop) or Status.REJECTED) for uid, sop in defined)
        for row in rows:
            if not row.defines:
                yield _judged(row, targets)


def count_links(links: Iterable[LinkRecord]) -> dict[str, int]:
    """Return the number of references in each state."""
    counts = Counter(link.state for link in links)
    return {state.value: counts[state] for state in LinkState}


def _judged(row: LinkRow, targets: _Targets) -> LinkRecord:
    target, reason = targets.status(row.to_uid), ""
    if not row.written:
        state = LinkState.NOT_WRITTEN
    elif row.dropped_by_policy:
        state = LinkState.DROPPED_BY_POLICY
    elif row.is_lost:
        state = LinkState.LOST
    elif target is None:
        state, reason = LinkState.DANGLING, DanglingReason.NOT_IN_DATA_SET.value
    elif target is not Status.RELEASED:
        state, reason = LinkState.DANGLING, DanglingReason(target.value).value
    else:
        state = LinkState.RESOLVED
    carried = {name: getattr(row, name) for name in _CARRIED}
    measured = targets.measured(row.from_sop_uid, row.to_uid) if row.kind is UidType.SOP else ("", (), None)
    return LinkRecord(
        **carried,
        state=state,
        reason=reason,
        from_status=(targets.status(row.from_sop_uid) or Status.REJECTED).value,
        attribute=_keywords(row.path),
        **dict(zip(_MEASURED, measured, strict=True)),
    )


@cache
def _keywords(path: str) -> str:
    return ".".join(keyword_of(tag) or f"{tag:08X}" for tag in parse_path(path))


_MEASURED = ("agreement", "agreement_reasons", "off_plane_mm")


def _order(row: LinkRow) -> tuple:
    return row.from_series_uid, row.from_sop_uid, row.path, row.kind.value, row.to_uid, row.frames, row.segments
