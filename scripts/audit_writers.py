"""Merges the records of all batches into the four audits, seals them and sums them up, in bounded memory.

No audit depends on how series were put into batches, on the order of the input or on its place: rows are sorted by path
or UID. Audits 1 and 2 hold source paths and UIDs and have mode 0600.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit_contracts import check_contracts, verify_output
from audit_links import assemble_links
from audit_spool import SortedLines, placed_lines, temporary_database
from audit_stacks import partly_released
from audit_status import FinalStatus, statuses_by_batch, unused_decisions, write_statuses
from audit_summary import Tally, write_summary
from audit_uids import UID_MAP_SCHEMA, UidMapCounts, assemble_uid_map
from phi_deid_pipeline import seal
from phi_deid_pipeline.errors import AuditContractError
from phi_deid_pipeline.records import HoldReason, RejectedFile, RejectReason, Status
from phi_deid_pipeline.uid_mapping import UidMapper, salt_id
from record_io import (
    atomic_file,
    from_data,
    plain_json,
    read_decisions,
    read_jsonl,
    remove_stale_temporaries,
    to_data,
    to_json,
    write_parquet,
)

__all__ = [
    "UID_MAP_SCHEMA", "AuditInfo", "Tally", "UidMapCounts", "assemble_audits", "assemble_ct_prepro",
    "assemble_deid_audit", "assemble_metadata", "assemble_uid_map", "check_contracts", "metadata_schema",
    "verify_output", "write_statuses", "write_summary",
]  # fmt: skip

DEID_SCHEMA = "deid_audit/1"
CT_PREPRO_SCHEMA = "ct_prepro_audit/1"
RESTRICTED = 0o600
OPEN = 0o644
SEALED = ("ct_prepro/ct_prepro_audit.json", "deid/deid_audit.seal.json", "metadata/metadata_audit.parquet",
          "summary.json", "uid/links.parquet", "uid/uid_map.parquet")  # fmt: skip

_HELD_WHAT_TO_DO = {
    HoldReason.RESIDUAL_IDENTIFIER: "Verification found an identifier: look at it, then mend the policy or decide.",
    HoldReason.TEXT_LEFT: "Text may still stand in the pixels: look at the series, then decide.",
    HoldReason.TEXT_UNREADABLE: "The pixels could not be looked at for text: look at the series, then decide.",
    HoldReason.PHOTOGRAPH: "A photograph can show a person: look at it, then decide.",
    HoldReason.LABEL_IMAGE: "The image of a slide's label can show identifiers: look at it, then decide.",
    HoldReason.LINK_LOST: "A reference is gone that the policy keeps: report it with its path, or decide.",
    HoldReason.CONFORMANCE: "An error of the IOD is new: report it with its path and the SOP class, or decide.",
    HoldReason.RECOGNIZABLE_VISUAL_FEATURES: (
        "A face can be rebuilt from these slices: deface them outside, or decide that they may be released."
    ),
    HoldReason.WITHHELD: "A row of the decisions file withholds it.",
}
_NO_LOSS = frozenset({RejectReason.DUPLICATE_IDENTICAL, RejectReason.DUPLICATE_NOT_CHOSEN})
_EXTRA_METADATA = (
    ("text_regions_hidden", "int64", "", "Rectangles of text that were filled in this instance"),
    ("pixels_redacted", "bool", "", "Whether pixels were changed to hide text"),
    (
        *("recognizable_visual_features", "bool", ""),
        "Whether a face may be rebuilt from the volume that this instance is part of",
    ),
    ("series_incomplete", "bool", "", "Whether an instance of this series is not in the release"),
)
IsIncomplete = Callable[[str, str], bool]  # of new Study and Series Instance UID
_ARROW_TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}


@dataclass(frozen=True, slots=True)
class AuditInfo:
    """What every row of the de-identification audit says about the run that made it."""

    policy_name: str
    policy_digest: str
    script_version: str
    salt: bytes


def assemble_audits(
    output: Path,
    batches: Sequence[str],
    info: AuditInfo,
    *,
    metadata_columns: Mapping[str, Sequence[str]],
    geometry_settings: Mapping[str, Any],
    products: Sequence[Path] = (),
) -> dict[str, Any]:
    """Write all audits, the summary and the seals below `output/audits`; return the summary.

    `metadata_columns` are name -> (type, unit, description), `products` lists of what was made of CT stacks. Raises
    AuditContractError where records are missing or double, UidMapError where two source UIDs got one new UID.
    """
    private, audits = output / "private", output / "audits"
    for folder in ("deid", "uid", "metadata", "ct_prepro", "."):
        (audits / folder).mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(audits / folder)
    tally = assemble_deid_audit(private, batches, info, audits / "deid" / "deid_audit.jsonl")
    uids = assemble_uid_map(private, batches, info.salt, audits / "uid" / "uid_map.parquet")
    assemble_links(private, audits / "uid" / "links.parquet")
    schema = metadata_schema(metadata_columns)
    assemble_metadata(private, batches, tally.is_incomplete, schema, audits / "metadata" / "metadata_audit.parquet")
    target = audits / "ct_prepro" / "ct_prepro_audit.json"
    ct_series = assemble_ct_prepro(private, batches, tally.is_incomplete, geometry_settings, target)
    decisions = read_decisions(private / "decisions.csv")
    unused = unused_decisions(private, batches, decisions, UidMapper(info.salt).new_uid)
    summary = write_summary(private, batches, tally, uids, ct_series, unused, audits / "summary.json", products)
    sealed = seal.seal_files(audits, SEALED, info.salt, info.policy_digest)
    _write_object(audits / "seal.json", sealed, OPEN)
    return summary


def _write_object(path: Path, content: Mapping[str, Any], mode: int) -> None:
    with atomic_file(path, mode, durable=True) as stream:
        stream.write((json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode("ascii"))


# --- audit 1: what was done to every instance ---------------------------------------------------------------------


def assemble_deid_audit(private: Path, batches: Sequence[str], info: AuditInfo, target: Path) -> Tally:
    """Write one chained row for each DICOM instance found, sorted by input path, and the seal beside it; return counts.

    Reads `private/{records,manifests}/{batch}`, `private/statuses.jsonl` and `private/rejected.jsonl`.
    """
    tally, mapper, chain = Tally(), UidMapper(info.salt), seal.Chain()
    with temporary_database(private) as database:
        lines = SortedLines(database, "Audit of de-identification")
        _place_records(private, batches, lines, tally)
        _place_rejected(private / "rejected.jsonl", lines, tally, mapper)
        common = {
            "policy": info.policy_name,
            "policy_digest": info.policy_digest,
            "script_version": info.script_version,
            "salt_id": salt_id(info.salt),
        }
        with atomic_file(target, RESTRICTED, durable=True) as stream:
            for record, extra in lines:
                row = _rejected_row(record, mapper) if extra["status"] is None else _record_row(record, extra["status"])
                stream.write(plain_json(chain.add({**row, **common, "timestamp": extra["time"]})) + b"\n")
    sealed = seal.make_seal(
        info.salt, head=chain.head, rows=chain.rows, policy_digest=info.policy_digest, schema=DEID_SCHEMA
    )
    _write_object(seal.seal_path(target), sealed, OPEN)
    return tally


def _place_records(private: Path, batches: Sequence[str], lines: SortedLines, tally: Tally) -> None:
    statuses = _statuses(private, batches)
    for batch, final in zip(batches, statuses, strict=True):
        path = private / "records" / f"{batch}.jsonl"
        patients, paths = _patients(private / "manifests" / f"{batch}.json"), set()
        time = _written_at(path)
        for start, size, record in placed_lines(path):
            status = final.get(record["sop_uid"])
            if status is None:
                raise AuditContractError(
                    f"Batch {batch}: the instance {record['sop_uid']} has no final status; run again."
                )
            lines.add((record["input_path"],), path, start, size, {"status": to_data(status), "time": time})
            tally.add_record(record, status, patients.get(record["input_path"], ""))
            paths.add(record["input_path"])
        if len(final) != len(paths) or paths != patients.keys():
            raise AuditContractError(f"Batch {batch}: its manifest, records and final statuses differ; run again.")


def _statuses(private: Path, batches: Sequence[str]) -> Iterator[dict[str, FinalStatus]]:
    """Yield the statuses of each batch; a batch without instances has none."""
    groups = statuses_by_batch(private / "statuses.jsonl")
    pending = next(groups, None)
    for batch in batches:
        if pending is not None and pending[0] == batch:
            yield pending[1]
            pending = next(groups, None)
        else:
            yield {}
    if pending is not None:
        raise AuditContractError(f"Final statuses of batch {pending[0]} are out of place; run again.")


def _patients(path: Path) -> dict[str, str]:
    """Return input path -> opaque patient id of all instances of a manifest."""
    manifest = json.loads(path.read_bytes())
    return {entry["path"]: series["patient"] for series in manifest["series"] for entry in series["instances"]}


def _place_rejected(path: Path, lines: SortedLines, tally: Tally, mapper: UidMapper) -> None:
    time = _written_at(path)
    for start, size, row in placed_lines(path):
        rejected = from_data(row, RejectedFile)
        loss = rejected.is_dicom and rejected.reason not in _NO_LOSS
        tally.add_rejected(rejected, mapper.new_uid(rejected.study_uid), mapper.new_uid(rejected.series_uid), loss=loss)
        if rejected.is_dicom:
            lines.add((rejected.path,), path, start, size, {"status": None, "time": time})


def _written_at(path: Path) -> str:
    """Return when a batch was worked on: UTC, to the second; the volatile column of the audit."""
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _record_row(record: Mapping[str, Any], final: Mapping[str, Any]) -> dict[str, Any]:
    released = final["status"] == Status.RELEASED
    path = f"dicom/{record['study_uid']}/{record['series_uid']}/{record['sop_uid']}.dcm"
    return {
        "input_path": record["input_path"],
        "input_checksum": record["input_checksum"],
        "output_path": path if released else "",
        "checksum": record["checksum"],
        "status": final["status"],
        "reason": final["reason"],
        "detail": record["detail"],
        "what_to_do": _what_to_do(final["status"], final["reason"]),
        "holds": final["holds"],
        "held_by": final["cause"],
        "decision": final["decision"],
        "study_instance_uid": record["study_uid"],
        "series_instance_uid": record["series_uid"],
        "sop_instance_uid": record["sop_uid"],
        "sop_class_uid": record["sop_class_uid"],
        "modality": record["modality"],
        "source_transfer_syntax_uid": record["source_transfer_syntax_uid"],
        "transfer_syntax_uid": record["transfer_syntax_uid"],
        "tags_removed": record["tags_removed"],
        "tags_cleaned": record["tags_cleaned"],
        "tags_replaced": record["tags_replaced"],
        "private_tags_stripped": record["private_tags_stripped"],
        "private_hipaa": "R" if record["private_tags_stripped"] else "",
        "uids_replaced": record["uids_replaced"],
        "pixel_data": record["pixel_data"],
        "pixel_sha256": record["pixel_sha256"],
        "boxes": record["boxes"],
        "boxes_hipaa": record["boxes_hipaa"],
        "recognizable_visual_features": record["recognizable_visual_features"],
        "burned_in_text_scan": record["burned_in_text_scan"],
        "verification": {"checks": final["checks"], "residuals": final["residuals"]},
    }


def _rejected_row(row: Mapping[str, Any], mapper: UidMapper) -> dict[str, Any]:
    """Return the row of an instance that the inventory rejected: nothing was done to it."""
    rejected = from_data(row, RejectedFile)
    return {
        "input_path": rejected.path,
        "input_checksum": rejected.sha256,
        "output_path": "",
        "checksum": "",
        "status": Status.REJECTED.value,
        "reason": rejected.reason.value,
        "detail": rejected.detail,
        "what_to_do": rejected.what_to_do,
        "holds": [],
        "held_by": "",
        "decision": None,
        "study_instance_uid": mapper.new_uid(rejected.study_uid),
        "series_instance_uid": mapper.new_uid(rejected.series_uid),
        "sop_instance_uid": mapper.new_uid(rejected.sop_uid),
        "sop_class_uid": rejected.sop_class_uid,
        "modality": rejected.modality,
        "source_transfer_syntax_uid": "",
        "transfer_syntax_uid": "",
        "tags_removed": [],
        "tags_cleaned": [],
        "tags_replaced": [],
        "private_tags_stripped": 0,
        "private_hipaa": "",
        "uids_replaced": 0,
        "pixel_data": "",
        "pixel_sha256": "",
        "boxes": [],
        "boxes_hipaa": "",
        "recognizable_visual_features": False,
        "burned_in_text_scan": {},
        "verification": {"checks": [], "residuals": []},
    }


def _what_to_do(status: str, reason: str) -> str:
    if status == Status.REJECTED:
        return RejectReason(reason).what_to_do
    if status == Status.HELD:
        return _HELD_WHAT_TO_DO.get(reason, "Look at the series, then decide.")
    return ""


# --- audits 3 and 4: what may travel with the data ----------------------------------------------------------------


def metadata_schema(columns: Mapping[str, Sequence[str]]) -> pa.Schema:
    """Return the Parquet schema for columns as name -> (type, unit, description), and what the audit adds to them."""
    described = [(name, *spec) for name, spec in columns.items()]
    described += [spec for spec in _EXTRA_METADATA if spec[0] not in columns]
    return pa.schema(
        [
            pa.field(name, _arrow_type(kind), metadata={"unit": unit, "description": text})
            for name, kind, unit, text in described
        ]
    )


def _arrow_type(word: str) -> pa.DataType:
    inner = re.fullmatch(r"list<(\w+)>", word)
    kind = _ARROW_TYPES.get(inner[1] if inner else word)
    if kind is None:
        raise AuditContractError(f"A metadata column has the unknown type {word}.")
    return pa.list_(kind) if inner else kind


def assemble_metadata(
    private: Path, batches: Sequence[str], is_incomplete: IsIncomplete, schema: pa.Schema, target: Path
) -> int:
    """Write the metadata of released instances, sorted by study, series and instance UID; return the number of rows.

    `is_incomplete` tells of new study and series UIDs whether an instance is missing.
    """
    with temporary_database(private) as database:
        lines = SortedLines(database, "Audit of metadata")
        expected = 0
        for batch, final in zip(batches, _statuses(private, batches), strict=True):
            released = {uid for uid, status in final.items() if status.status is Status.RELEASED}
            pixels = {
                record["sop_uid"]: (
                    len(record["boxes"]),
                    record["pixel_data"] == "redacted",
                    record["recognizable_visual_features"],
                )
                for record in read_jsonl(private / "records" / f"{batch}.jsonl")
                if record["sop_uid"] in released
            }
            path = private / "metadata" / f"{batch}.jsonl"
            expected += len(released)
            for start, size, row in placed_lines(path):
                if (uid := row["sop_instance_uid"]) in released:
                    key = (final[uid].study_uid, final[uid].series_uid)
                    lines.add((*key, uid), path, start, size, [*pixels[uid], is_incomplete(*key)])
        names = [spec[0] for spec in _EXTRA_METADATA]
        rows = ({**row, **dict(zip(names, extra, strict=True))} for row, extra in lines)
        count = write_parquet(target, rows, schema, OPEN)
    if count != expected:
        raise AuditContractError(f"Metadata of {expected - count} released instances are missing; run again.")
    return count


def assemble_ct_prepro(
    private: Path, batches: Sequence[str], is_incomplete: IsIncomplete, settings: Mapping[str, Any], target: Path
) -> dict[str, int]:
    """Write the geometry of released CT series, sorted by series UID; return how many there are, and need what.

    A series of which staged instances are withheld was measured anew (`private/remade`): what is said holds for what is
    released. One that lacks an instance, read or not, says `series_incomplete`.
    """
    counts = {"total": 0, "requires_resampling": 0, "requires_splitting": 0}
    with temporary_database(private) as database:
        lines = SortedLines(database, "Audit of CT geometry")
        for batch, final in zip(batches, _statuses(private, batches), strict=True):
            whole = {
                (status.series_uid, status.study_uid) for status in final.values() if status.status is Status.RELEASED
            } - {(series, study) for study, series in partly_released(final.values())}
            path = private / "geometry" / f"{batch}.jsonl"
            for start, size, row in placed_lines(path):
                if (key := (row["series_instance_uid"], row["study_instance_uid"])) in whole:
                    lines.add(key, path, start, size, is_incomplete(key[1], key[0]))
        path = private / "remade" / "geometry.jsonl"
        for start, size, row in placed_lines(path):
            lines.add((row["series_instance_uid"], row["study_instance_uid"]), path, start, size, True)
        with atomic_file(target, OPEN, durable=True) as stream:
            head = f'{{"schema":"{CT_PREPRO_SCHEMA}","settings":{to_json(dict(settings))},"series":['
            stream.write(head.encode())
            for row, extra in lines:
                separator = b",\n" if counts["total"] else b"\n"
                stream.write(separator + plain_json({**row, "series_incomplete": extra}))
                counts["total"] += 1
                counts["requires_resampling"] += bool(row["requires_resampling"])
                counts["requires_splitting"] += bool(row["requires_splitting"])
            stream.write(b"\n]}\n")
    return counts
