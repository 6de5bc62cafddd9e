"""Records of a few batches, as the steps leave them, and the audits made of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from audit_status import write_statuses
from audit_writers import (
    AuditInfo,
    assemble_audits,
)
from phi_deid_pipeline.links import LinkRecord
from phi_deid_pipeline.records import (
    Decision,
    DeidRecord,
    InstanceEntry,
    LinkState,
    Manifest,
    RejectedFile,
    RejectReason,
    Residual,
    SeriesEntry,
    Status,
    TagAction,
    UidType,
    UidUse,
    VerificationRecord,
)
from phi_deid_pipeline.uid_graph import uid_map_rows
from phi_deid_pipeline.uid_mapping import UidMapper
from record_io import read_jsonl, read_parquet, to_data, write_jsonl

SALT = b"s" * 32
MAPPER = UidMapper(SALT)
CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
INFO = AuditInfo("hipaa_safe_harbor", "d" * 64, "0.1.0", SALT)
COLUMNS = {
    "study_instance_uid": ("string", "", "New Study Instance UID"),
    "series_instance_uid": ("string", "", "New Series Instance UID"),
    "sop_instance_uid": ("string", "", "New SOP Instance UID"),
    "rows": ("int64", "pixels", "Rows"),
    "slice_thickness": ("float64", "mm", "Thickness"),
    "pixel_spacing": ("list<float64>", "mm", "Spacing"),
}
NAME_LESS = ["study_instance_uid", "series_instance_uid", "sop_instance_uid"]


def instance(number: int, series: int, path: str, modality: str = "CT", uids: tuple[UidUse, ...] = ()) -> InstanceEntry:
    """An instance of series `series`; series 1-9 lie in study 1.2.1, others in 1.2.2."""
    return InstanceEntry(
        path=path, size=1, sha256=f"{number:064x}", patient="p000001" if series < 10 else "p000002",
        study_uid="1.2.1" if series < 10 else "1.2.2", series_uid=f"1.3.{series}", sop_uid=f"1.4.{number}",
        sop_class_uid=SEG if modality == "SEG" else CT, transfer_syntax_uid="1.2.840.10008.1.2.1", modality=modality,
        rows=1, columns=1, frames=1, has_pixels=True, uids=(
            UidUse("1.9.9", UidType.FRAME_OF_REFERENCE, "00200052", True), *uids
        ),
    )  # fmt: skip


def record(entry: InstanceEntry, **changes: object) -> DeidRecord:
    new = MAPPER.new_uid
    study, series, sop = new(entry.study_uid), new(entry.series_uid), new(entry.sop_uid)
    made = DeidRecord(
        input_path=entry.path, input_checksum=entry.sha256, sop_class_uid=entry.sop_class_uid, modality=entry.modality,
        old_study_uid=entry.study_uid, old_series_uid=entry.series_uid, old_sop_uid=entry.sop_uid, study_uid=study,
        series_uid=series, sop_uid=sop, patient="P" + entry.patient, status=Status.RELEASED, reason="", detail="",
        staged_path=f"{study}/{series}/{sop}.dcm", checksum="c" * 64, transfer_syntax_uid="1.2.840.10008.1.2.1",
        source_transfer_syntax_uid="1.2.840.10008.1.2", pixel_data="untouched", pixel_sha256="e" * 64,
        tags_removed=(TagAction("00100040", "PatientSex", "CS", "Z", "Z", ""),),
        tags_cleaned=(TagAction("0008103E", "SeriesDescription", "LO", "C", "C", "R"),),
        tags_replaced=(TagAction("0020000D", "StudyInstanceUID", "UI", "U", "U", "R", 2),),
        private_tags_stripped=3, uids_replaced=4, burned_in_text_scan={"frames": 1, "status": "read"},
    )  # fmt: skip
    return replace(made, **changes)


def checked(made: DeidRecord, **changes: object) -> VerificationRecord:
    return replace(
        VerificationRecord(made.sop_uid, made.series_uid, Status.RELEASED, "", ("identifiers", "uids")), **changes
    )


def residual(made: DeidRecord) -> VerificationRecord:
    found = (Residual("identifiers", "00081030", "name"),)
    return checked(made, status=Status.HELD, reason="residual_identifier", residuals=found)


def rejected(path: str, reason: RejectReason, **more: object) -> RejectedFile:
    return RejectedFile(path, reason, reason.what_to_do, **more)


A1, A2 = instance(1, 1, "z/a1.dcm"), instance(2, 1, "b/a2.dcm")
B1 = instance(3, 2, "b/b1.dcm", "SEG", (UidUse("1.4.1", UidType.SOP, "x", False, CT),) * 2)
C1 = instance(5, 10, "c/" + os.fsdecode(b"M\xfcller.dcm"))
REJECTED = [
    rejected("notes.txt", RejectReason.NOT_DICOM),
    rejected(
        "a/cut.dcm", RejectReason.TRUNCATED, is_dicom=True, sha256="f" * 64, patient="p000001", study_uid="1.2.1",
        series_uid="1.3.1", sop_uid="1.4.7", sop_class_uid=CT, modality="CT",
    ),
    rejected("a/again.dcm", RejectReason.DUPLICATE_IDENTICAL, is_dicom=True, study_uid="1.2.1", series_uid="1.3.2", sop_uid="1.4.3"),
]  # fmt: skip
_LINK = LinkRecord(
    "2.25.3", "2.25.32", "2.25.1", UidType.SOP, "00081140.00081155", LinkState.RESOLVED, CT, from_sop_class_uid=SEG,
    frames=(2, 10), segments=(1,), from_frames=(1,), from_status="released",
    attribute="ReferencedImageSequence.ReferencedSOPInstanceUID", agreement="differs",
    agreement_reasons=("off_plane",), off_plane_mm=2.5,
)  # fmt: skip
LINKS = [
    _LINK,
    replace(_LINK, path="00082112.00081155"),
    replace(_LINK, to_uid="2.25.9", state=LinkState.DANGLING, reason="held", agreement="agrees", agreement_reasons=()),
    replace(_LINK, frames=(2, 3), from_sop_uid="2.25.2", agreement="", agreement_reasons=(), off_plane_mm=None),
]
DEFAULT = {"b000001": [A1, A2], "b000002": [B1], "b000003": [C1]}


def make_output(
    root: Path,
    layout: dict[str, list[InstanceEntry]] | None = None,
    *,
    changes: dict[str, dict[str, object]] | None = None,
    checks: dict[str, VerificationRecord] | None = None,
    decisions: list[Decision] = (),
    rejects: list[RejectedFile] = REJECTED,
) -> Path:
    """Write what the steps before leave in `private/`; `changes` and `checks` are by input path."""
    layout = DEFAULT if layout is None else layout
    private = root / "private"
    for batch, entries in layout.items():
        by_series: dict[str, list[InstanceEntry]] = {}
        for entry in entries:
            by_series.setdefault(entry.series_uid, []).append(entry)
        manifest = Manifest(batch, tuple(
            SeriesEntry(
                group[0].patient, group[0].study_uid, uid, tuple(sorted(group, key=lambda entry: entry.sop_uid))
            )
            for uid, group in sorted(by_series.items())
        ))  # fmt: skip
        made = [record(entry, **(changes or {}).get(entry.path, {})) for entry in entries]
        verified = [(checks or {}).get(row.input_path, checked(row)) for row in made if row.status != "rejected"]
        (private / "manifests").mkdir(parents=True, exist_ok=True)
        (private / "manifests" / f"{batch}.json").write_text(json.dumps(to_data(manifest)))
        write_jsonl(private / "records" / f"{batch}.jsonl", made)
        write_jsonl(private / "verification" / f"{batch}.jsonl", verified)
        write_jsonl(
            private / "metadata" / f"{batch}.jsonl", [metadata(row) for row in made if row.status != "rejected"]
        )
        ct_series = sorted({(row.series_uid, row.study_uid) for row in made if row.modality == "CT"})
        write_jsonl(private / "geometry" / f"{batch}.jsonl", [geometry(uid, study) for uid, study in ct_series])
        write_jsonl(private / "findings" / f"{batch}.jsonl", [findings(row) for row in made])
        write_jsonl(private / "uid_map" / f"{batch}.jsonl", uid_map_rows(manifest, MAPPER))
    write_jsonl(private / "rejected.jsonl", rejects)
    write_jsonl(private / "links.jsonl", LINKS)
    for name in ("geometry", "figures", "volumes"):
        write_jsonl(private / "remade" / f"{name}.jsonl", [])
    write_decisions(private / "decisions.csv", decisions)
    write_statuses(private, sorted(layout), decisions)
    for path in private.rglob("*.jsonl"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


def write_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    rows = [",".join(to_data(row).values()) for row in decisions]
    path.write_text("\n".join(["what,verdict,who,when,why", *rows, ""]))


def metadata(row: DeidRecord) -> dict[str, object]:
    uids = (row.study_uid, row.series_uid, row.sop_uid)
    return {**dict(zip(NAME_LESS, uids, strict=True)), "rows": 512, "slice_thickness": 1.5, "pixel_spacing": [0.5, 0.5]}


def geometry(series_uid: str, study_uid: str) -> dict[str, object]:
    needs = series_uid == MAPPER.new_uid("1.3.1")
    return {
        "study_instance_uid": study_uid,
        "series_instance_uid": series_uid,
        "num_slices": 2,
        "requires_resampling": needs,
        "requires_splitting": not needs,
    }


def findings(row: DeidRecord) -> dict[str, object]:
    found = [
        {"verdict": "identifying", "hide": True, "id": "0123456789ab"},
        {"verdict": "benign", "hide": False, "id": "ba9876543210"},
    ]
    return {"sop_uid": row.old_sop_uid, "status": "read", "findings": found if row.boxes else []}


def assemble(root: Path) -> dict[str, object]:
    batches = sorted(path.stem for path in (root / "private" / "records").glob("*.jsonl"))
    return assemble_audits(root, batches, INFO, metadata_columns=COLUMNS, geometry_settings={"hu_clip": [-1024, 3071]})


def deid_rows(root: Path) -> list[dict[str, object]]:
    return list(read_jsonl(root / "audits" / "deid" / "deid_audit.jsonl"))


def uid_rows(root: Path) -> list[dict[str, object]]:
    return list(read_parquet(root / "audits" / "uid" / "uid_map.parquet"))


def by_path(root: Path) -> dict[str, dict[str, object]]:
    return {row["input_path"]: row for row in deid_rows(root)}


def decide(uid: str, verdict: str = "release") -> Decision:
    return Decision(uid, verdict, "A. B.", "2024-01-01", "looked at")


SOP = {entry.path: record(entry).sop_uid for entry in (A1, A2, B1, C1)}
SERIES = {entry.path: record(entry).series_uid for entry in (A1, A2, B1, C1)}
