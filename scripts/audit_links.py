"""The audit of links: every reference between objects by new UIDs, what became of it, and whether geometry agrees."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit_spool import SortedLines, placed_lines, temporary_database
from phi_deid_pipeline.records import Agreement, DanglingReason, LinkState, UidType
from phi_deid_pipeline.uid_mapping import is_standard_uid
from record_io import read_jsonl, write_parquet

OPEN = 0o644
_NUMBERS = pa.list_(pa.int64())
_COLUMNS = {  # column -> field of LinkRecord, type
    "from_sop_instance_uid": ("from_sop_uid", pa.string()),
    "from_series_instance_uid": ("from_series_uid", pa.string()),
    "from_sop_class_uid": ("from_sop_class_uid", pa.string()),
    "from_status": ("from_status", pa.string()),
    "from_frames": ("from_frames", _NUMBERS),
    "kind": ("kind", pa.string()),
    "path": ("path", pa.string()),
    "attribute": ("attribute", pa.string()),
    "to_uid": ("to_uid", pa.string()),
    "to_sop_class_uid": ("to_sop_class_uid", pa.string()),
    "to_frames": ("frames", _NUMBERS),
    "to_segments": ("segments", _NUMBERS),
    "count": ("count", pa.int64()),
    "state": ("state", pa.string()),
    "reason": ("reason", pa.string()),
    "agreement": ("agreement", pa.string()),
    "agreement_reasons": ("agreement_reasons", pa.list_(pa.string())),
    "off_plane_mm": ("off_plane_mm", pa.float64()),
}
_CLASSES = frozenset({"from_sop_class_uid", "to_sop_class_uid"})
LINKS_SCHEMA = pa.schema(
    [pa.field(name, kind, nullable=name == "off_plane_mm") for name, (_, kind) in _COLUMNS.items()]
)


def assemble_links(private: Path, target: Path) -> int:
    """Write all links, sorted by referring series and instance, path and target; return their number.

    Reads `private/links.jsonl`; sorting takes place on disk.
    """
    with temporary_database(private) as database:
        lines = SortedLines(database, "Audit of links")
        path = private / "links.jsonl"
        for start, size, row in placed_lines(path):
            lines.add(_key(row), path, start, size)
        rows = ({name: _told(name, row[source]) for name, (source, _) in _COLUMNS.items()} for row, _ in lines)
        return write_parquet(target, rows, LINKS_SCHEMA, OPEN)


def _told(name: str, value: Any) -> Any:
    """Return the value of a column; no SOP class but those of the standard, as others may name their maker or site."""
    return "" if name in _CLASSES and not is_standard_uid(value) else value


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = ("".join(f"{number:010d}" for number in row[name]) for name in ("frames", "segments"))
    return (*(row[name] for name in ("from_series_uid", "from_sop_uid", "path", "kind", "to_uid")), *numbers)


def link_counts(private: Path) -> dict[str, Any]:
    """Return counts for the summary: references by state and dangling ones by reason, then pairs by state and agreement.

    A pair is an object and an instance that it names; several references may lead from one to the other.
    """
    states: Counter[str] = Counter()
    joined: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for _, rows in _by_referrer(private / "links.jsonl"):
        seen, ends = {}, set()
        for row in rows:
            states[row["state"]] += 1
            if row["kind"] == UidType.SOP:
                ends.add((row["to_uid"], row["state"]))
            if row["state"] == LinkState.DANGLING:
                reasons[row["reason"]] += 1
            if row["agreement"]:
                seen[row["to_uid"]] = row["agreement"]
        pairs.update(seen.values())
        joined.update(state for _, state in ends)
    return {
        **{state.value: states[state.value] for state in LinkState},
        "dangling_by_reason": {reason.value: reasons[reason.value] for reason in DanglingReason},
        "pairs_by_state": {state.value: joined[state.value] for state in LinkState},
        "pairs_by_agreement": {agreement.value: pairs[agreement.value] for agreement in Agreement},
    }


def _by_referrer(path: Path) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    return itertools.groupby(read_jsonl(path), key=lambda row: row["from_sop_uid"])
