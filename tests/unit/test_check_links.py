"""Links from the batches to the audit: across batches, with what became of both ends and whether they fit."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

import check_link_geometry
import check_links
from audit_links import assemble_links
from linked_scene import contour, ct_stack, link_rows, named, place, segmentation, square, structure_set, write
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.links import instance_links, with_lost_links
from phi_deid_pipeline.metadata_extract import extract_metadata
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import (
    DeidRecord,
    HoldReason,
    InstanceEntry,
    RejectedFile,
    RejectReason,
    Status,
    UidType,
    UidUse,
    VerificationRecord,
)
from phi_deid_pipeline.uid_mapping import UidMapper
from phi_deid_pipeline.verification import SeriesVerifier
from record_io import read_parquet, write_jsonl

SALT = b"s" * 32
UIDS = UidMapper(SALT)


def record(ds: Dataset, staged: str, **changes: Any) -> DeidRecord:
    own = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    made = DeidRecord(
        staged,
        "",
        ds.SOPClassUID,
        ds.Modality,
        *own,
        *own,
        "P",
        Status.RELEASED,
        "",
        "",
        staged,
        "c",
        "",
        "",
        "none",
        "",
    )
    return replace(made, **changes)


def stage(private: Path, batches: dict[str, list[Dataset]], held: frozenset[str] = frozenset()) -> None:
    """Leave what the steps before leave; `held` are SOP Instance UIDs in which verification found something."""
    for batch, instances in batches.items():
        records, checks, metadata, rows = [], [], [], []
        for ds in instances:
            name = f"{ds.SOPInstanceUID}.dcm"
            path = write(ds, private / "staging" / batch / name)
            records.append(record(ds, name))
            status, reason = (Status.HELD, "photograph") if ds.SOPInstanceUID in held else (Status.RELEASED, "")
            checks.append(VerificationRecord(ds.SOPInstanceUID, ds.SeriesInstanceUID, status, reason, ("opens",)))
            metadata.append(extract_metadata(path, name))
            rows += link_rows(path, ds)
        for folder, content in (
            ("records", records), ("verification", checks), ("metadata", metadata), ("links", rows),
        ):  # fmt: skip
            write_jsonl(private / folder / f"{batch}.jsonl", content)
    with (private / "decisions.csv").open("w", newline="") as table:
        csv.writer(table).writerow(["what", "verdict", "who", "when", "why"])
    (private / "salt").write_bytes(SALT)


def links_of(private: Path, batches: list[str], rejected: list[RejectedFile] = ()) -> list[dict[str, Any]]:
    """Run both entries and write the audit; return its rows."""
    write_jsonl(private / "rejected.jsonl", rejected)
    geometry, links = private / "link_geometry.jsonl", private / "links.jsonl"
    check_link_geometry.main(private, batches, geometry)
    tables = (private / "decisions.csv", private / "rejected.jsonl", geometry, private / "salt")
    check_links.main(private, batches, *tables, links, private / "statuses.jsonl")
    assemble_links(private, private / "links.parquet")
    return list(read_parquet(private / "links.parquet"))


def objects() -> dict[str, list[Dataset]]:
    seg = segmentation([place(0), place(2.7)], [[named(0)], [named(2)]])
    rt = structure_set([contour(square(3), named(3)), contour(square(4), named(9))])
    return {"b000001": [seg, rt], "b000002": ct_stack(5)}


def test_links_lead_across_batches_and_tell_what_does_not_fit(tmp_path: Path) -> None:
    stage(tmp_path, objects())
    rows = links_of(tmp_path, ["b000001", "b000002"])
    seg = {
        row["to_uid"]: (row["state"], row["from_frames"], row["agreement"], row["agreement_reasons"])
        for row in rows
        if row["path"] == "52009230.00089124.00082112.00081155"
    }
    assert seg == {
        "2.25.1": ("resolved", [1], "agrees", []),
        "2.25.3": ("resolved", [2], "differs", ["off_plane"]),
    }
    contours = {row["to_uid"]: row for row in rows if row["path"] == "30060039.30060040.30060016.00081155"}
    assert (contours["2.25.4"]["state"], contours["2.25.4"]["agreement"]) == ("resolved", "agrees")
    assert (contours["2.25.10"]["state"], contours["2.25.10"]["reason"]) == ("dangling", "not_in_data_set")
    assert contours["2.25.4"]["attribute"] == (
        "ROIContourSequence.ContourSequence.ContourImageSequence.ReferencedSOPInstanceUID"
    )
    assert {row["state"] for row in rows if row["kind"] in ("SERIES", "STUDY", "FRAME_OF_REFERENCE")} == {"resolved"}


def test_order_and_number_of_batches_change_no_row(tmp_path: Path) -> None:
    stage(tmp_path / "two", objects())
    stage(tmp_path / "one", {"b000001": [ds for batch in reversed(objects().values()) for ds in batch]})
    assert links_of(tmp_path / "two", ["b000002", "b000001"]) == links_of(tmp_path / "one", ["b000001"])


def test_held_and_rejected_targets_dangle_and_hold_nobody(tmp_path: Path) -> None:
    batches = objects()
    batches["b000002"] = [ds for ds in batches["b000002"] if ds.SOPInstanceUID != "2.25.3"]
    stage(tmp_path, batches, held=frozenset({"2.25.1"}))
    out = UIDS.new_uid("1.2.33")
    for row in (seg := batches["b000001"][0]).PerFrameFunctionalGroupsSequence[1].DerivationImageSequence:
        row.SourceImageSequence[0].ReferencedSOPInstanceUID = out  # the new UID of an input file that was rejected
    stage(tmp_path, batches, held=frozenset({"2.25.1"}))
    cut = RejectedFile("a", RejectReason.TRUNCATED, "", is_dicom=True, sop_uid="1.2.33")
    rows = links_of(tmp_path, ["b000001", "b000002"], [cut])
    assert {row["to_uid"]: (row["state"], row["reason"]) for row in rows if row["path"].startswith("52009230")} == {
        "2.25.1": ("dangling", "held"),
        out: ("dangling", "rejected"),
    }
    assert {row["from_status"] for row in rows if row["from_sop_instance_uid"] == seg.SOPInstanceUID} == {"released"}


def test_nothing_that_has_to_fit_leaves_no_verdict(tmp_path: Path) -> None:
    stage(tmp_path, {"b000001": ct_stack(3)})
    assert links_of(tmp_path, ["b000001"]) == []
    assert (tmp_path / "link_geometry.jsonl").read_bytes() == b""


# ------------------------------------------------------------------ from the source to the verdict


@pytest.mark.parametrize("tamper", [False, True], ids=["as written", "a source gone"])
def test_reference_that_leaves_a_written_object_holds_it(tmp_path: Path, tamper: bool) -> None:
    ds = segmentation([place(0), place(2)], [[named(0)], [named(2)]])
    ds.PatientName, ds.PatientID = "Zimmerlin^Ottoline", "MRN12345"
    source = write(ds, tmp_path / "source.dcm")
    uids = {row["to_uid"] for row in link_rows(source, ds)} | {ds.SOPInstanceUID, ds.SeriesInstanceUID}
    uid_map = {uid: UIDS.new_uid(uid) for uid in uids | {ds.StudyInstanceUID, ds.FrameOfReferenceUID}}
    written = tmp_path / "written.dcm"
    with read_instance(source) as instance:
        made = InstanceDeidentifier(load_policy("hipaa_safe_harbor"), UIDS).deidentify(
            instance,
            written,
            PatientContext("PXYZ", Lexicon()),
            None,
            text_scan_found_nothing_left=False,
            redacted=False,
        )
    if tamper:
        changed = pydicom.dcmread(written)
        changed.PerFrameFunctionalGroupsSequence[1].DerivationImageSequence[0].SourceImageSequence = []
        changed.save_as(written)
    new = {name: uid_map[uid] for name, uid in (
        ("study_uid", ds.StudyInstanceUID), ("series_uid", ds.SeriesInstanceUID), ("sop_uid", ds.SOPInstanceUID)
    )}  # fmt: skip
    kept = record(
        ds, "written.dcm", **new, tags_removed=made.removed, tags_cleaned=made.cleaned, tags_replaced=made.replaced
    )
    verifier = SeriesVerifier(Lexicon(), uid_map, policy=load_policy("hipaa_safe_harbor"), harmless=["PXYZ"])
    checked = verifier.check(written, source, kept)
    paths = sorted({(row["path"], row["kind"]) for row in link_rows(source, ds)})
    uses = tuple(
        UidUse(row["to_uid"], UidType(row["kind"]), row["path"], False, row["to_sop_class_uid"])
        for row in link_rows(source, ds)
        if not row["defines"]
    )
    own = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    entry = InstanceEntry("a", 1, "", "p1", *own, ds.SOPClassUID, "", "SEG", 8, 10, 2, True, uids=uses)
    rows = instance_links(entry, kept, checked.references, uid_map)
    verdict = with_lost_links(replace(checked.verdict, status=Status.RELEASED, reason="", residuals=()), rows)
    assert {(row.path, row.kind.value) for row in rows} <= set(paths)
    lost = [(row.path, row.to_uid, row.from_frames) for row in rows if row.is_lost]
    if tamper:
        assert lost == [("52009230.00089124.00082112.00081155", uid_map["2.25.3"], (2,))]
        assert (verdict.status, verdict.reason) == (Status.HELD, HoldReason.LINK_LOST)
    else:
        assert lost == [] and verdict.status is Status.RELEASED
        assert {row.to_uid for row in rows if row.from_frames == (2,)} == {uid_map["2.25.3"]}
