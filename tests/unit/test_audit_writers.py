"""The four audits, from records of batches that the tests write: content, order, independence of batches, contracts."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydicom.data import get_testdata_file

import audit_contracts
from audit_batches import (
    A1,
    A2,
    B1,
    C1,
    COLUMNS,
    CT,
    MAPPER,
    NAME_LESS,
    REJECTED,
    SALT,
    SERIES,
    SOP,
    assemble,
    by_path,
    decide,
    deid_rows,
    geometry,
    instance,
    make_output,
    record,
    rejected,
    residual,
    uid_rows,
)
from audit_writers import (
    UID_MAP_SCHEMA,
    check_contracts,
    metadata_schema,
    verify_output,
)
from phi_deid_pipeline.errors import AuditContractError, UidMapError
from phi_deid_pipeline.geometry import GeometrySettings, measure_series
from phi_deid_pipeline.metadata_extract import METADATA_COLUMNS, extract_metadata, slice_attributes
from phi_deid_pipeline.records import (
    Box,
    RejectReason,
    Status,
    UidType,
    UidUse,
)
from phi_deid_pipeline.seal import Chain
from record_io import read_parquet, to_data, write_jsonl, write_parquet

# --- the de-identification audit ----------------------------------------------------------------------------------


def test_every_dicom_instance_has_a_line_and_other_files_have_none(tmp_path):
    assemble(make_output(tmp_path))

    assert [row["input_path"] for row in deid_rows(tmp_path)] == [
        "a/again.dcm", "a/cut.dcm", "b/a2.dcm", "b/b1.dcm", C1.path, "z/a1.dcm",
    ]  # fmt: skip


def test_line_of_a_released_instance_tells_all(tmp_path):
    box = (0, Box(1, 2, 3, 4))
    assemble(make_output(tmp_path, changes={A1.path: {"boxes": (box,), "boxes_hipaa": "AH", "pixel_data": "redacted"}}))
    row, made = by_path(tmp_path)[A1.path], record(A1)

    assert {name: row[name] for name in row if name not in ("prev_hash", "row_hash")} == {
        "input_path": "z/a1.dcm", "input_checksum": A1.sha256, "checksum": "c" * 64, "status": "released", "reason": "",
        "output_path": f"dicom/{made.study_uid}/{made.series_uid}/{made.sop_uid}.dcm", "detail": "", "what_to_do": "",
        "holds": [], "held_by": "", "decision": None, "study_instance_uid": made.study_uid,
        "series_instance_uid": made.series_uid, "sop_instance_uid": made.sop_uid, "sop_class_uid": CT, "modality": "CT",
        "source_transfer_syntax_uid": "1.2.840.10008.1.2", "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "tags_removed": [to_data(made.tags_removed[0])], "tags_cleaned": [to_data(made.tags_cleaned[0])],
        "tags_replaced": [to_data(made.tags_replaced[0])], "private_tags_stripped": 3, "private_hipaa": "R",
        "uids_replaced": 4, "boxes_hipaa": "AH",
        "pixel_data": "redacted", "pixel_sha256": "e" * 64, "boxes": [[0, {"x": 1, "y": 2, "w": 3, "h": 4}]],
        "recognizable_visual_features": False,
        "burned_in_text_scan": {"frames": 1, "status": "read"}, "policy": "hipaa_safe_harbor",
        "policy_digest": "d" * 64, "script_version": "0.1.0", "salt_id": row["salt_id"],
        "verification": {"checks": ["identifiers", "uids"], "residuals": []}, "timestamp": "2023-11-14T22:13:20Z",
    }  # fmt: skip


def test_rejected_instance_stands_there_with_reason_new_uid_and_what_to_do(tmp_path):
    assemble(make_output(tmp_path))
    row = by_path(tmp_path)["a/cut.dcm"]

    assert (row["status"], row["reason"], row["output_path"], row["checksum"]) == ("rejected", "truncated", "", "")
    assert row["sop_instance_uid"] == MAPPER.new_uid("1.4.7")
    assert row["input_checksum"] == "f" * 64
    assert row["what_to_do"] == RejectReason.TRUNCATED.what_to_do


def test_held_instance_names_its_cause_and_has_no_output(tmp_path):
    assemble(make_output(tmp_path, checks={A2.path: residual(record(A2))}))
    row = by_path(tmp_path)[A1.path]

    assert (row["status"], row["reason"], row["output_path"]) == ("held", "residual_identifier", "")
    assert row["held_by"] == SOP[A2.path]
    assert row["what_to_do"].startswith("Verification found an identifier")
    assert check_contracts_of_deid(tmp_path) == []


def test_decision_stands_in_the_line_with_who_when_and_why(tmp_path):
    decision = decide(SERIES[A1.path])
    assemble(make_output(tmp_path, changes={A2.path: {"hold": ("text_left",)}}, decisions=[decision]))
    row = by_path(tmp_path)[A1.path]

    assert (row["status"], row["holds"]) == ("released", ["text_left"])
    assert row["decision"] == to_data(decision)
    assert check_contracts_of_deid(tmp_path) == []


def check_contracts_of_deid(root: Path) -> list[str]:
    return list(audit_contracts.check_deid_audit(root / "audits" / "deid" / "deid_audit.jsonl"))


def test_restricted_audits_have_mode_0600_and_the_others_may_be_read(tmp_path):
    assemble(make_output(tmp_path))

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "audits").rglob("*.*")}
    assert modes == {
        "deid_audit.jsonl": 0o600, "deid_audit.seal.json": 0o644, "uid_map.parquet": 0o600, "links.parquet": 0o644, "seal.json": 0o644,
        "metadata_audit.parquet": 0o644, "ct_prepro_audit.json": 0o644, "summary.json": 0o644,
    }  # fmt: skip


def audit_bytes(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "audits").rglob("*.*"))}


@pytest.mark.parametrize(
    "layout",
    [
        {"b000001": [A1, A2, B1, C1]},
        {"b000001": [C1], "b000002": [], "b000003": [B1], "b000004": [A2, A1]},
    ],
    ids=["one batch", "other batches in another order"],
)
def test_audits_are_the_same_bytes_for_any_batches(tmp_path, layout):
    assemble(make_output(tmp_path / "one"))
    assemble(make_output(tmp_path / "two", layout, rejects=REJECTED[::-1]))

    assert audit_bytes(tmp_path / "one") == audit_bytes(tmp_path / "two")


def test_time_changes_nothing_but_the_timestamps(tmp_path):
    assemble(make_output(tmp_path / "one"))
    root = make_output(tmp_path / "two")
    for path in root.rglob("*.jsonl"):
        os.utime(path, (1, 1))
    assemble(root)

    one, two = audit_bytes(tmp_path / "one"), audit_bytes(tmp_path / "two")
    first, second = one.pop("deid_audit.jsonl"), two.pop("deid_audit.jsonl")
    assert one == two
    assert second == first.replace(b"2023-11-14T22:13:20Z", b"1970-01-01T00:00:01Z")
    assert second != first


def test_nothing_but_the_audits_is_left(tmp_path):
    assemble(make_output(tmp_path))

    assert [path.name for path in tmp_path.rglob(".*")] == []


@pytest.mark.parametrize("folder", ["records", "metadata"])
def test_lost_record_ends_the_job(tmp_path, folder):
    make_output(tmp_path)
    path = tmp_path / "private" / folder / "b000001.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))

    with pytest.raises(AuditContractError, match="run again"):
        assemble(tmp_path)


def test_instance_of_the_manifest_without_record_ends_the_job(tmp_path):
    make_output(tmp_path, {"b000001": [A1, A2]})
    make_output(tmp_path / "less", {"b000001": [A1]})
    for name in ("records/b000001.jsonl", "statuses.jsonl"):
        (tmp_path / "private" / name).write_bytes((tmp_path / "less" / "private" / name).read_bytes())

    with pytest.raises(AuditContractError, match="Batch b000001: its manifest, records and final statuses differ"):
        assemble(tmp_path)


def test_other_paths_of_a_duplicate_reach_no_audit(tmp_path):
    others = ("only/in/private.dcm",)
    twin = rejected("z/twin", RejectReason.DUPLICATE_CONFLICT, is_dicom=True, sop_uid="1.9.9", others=others)
    assemble(make_output(tmp_path, rejects=[twin]))
    written = b"".join(path.read_bytes() for path in (tmp_path / "audits").rglob("*") if path.is_file())
    assert b"z/twin" in written
    assert b"only/in" not in written


def test_file_that_is_both_rejected_and_worked_on_ends_the_job(tmp_path):
    make_output(tmp_path, rejects=[rejected(A1.path, RejectReason.TRUNCATED, is_dicom=True)])

    with pytest.raises(AuditContractError, match="two records say something about one and the same"):
        assemble(tmp_path)


def test_no_input_at_all_gives_empty_audits_that_fulfil_their_contracts(tmp_path):
    summary = assemble(make_output(tmp_path, {}, rejects=[]))

    assert summary["instances"] == {"released": 0, "rejected": 0, "held": 0}
    assert deid_rows(tmp_path) == []
    assert uid_rows(tmp_path) == []
    assert check_contracts_of_deid(tmp_path) == []


# --- the UID map --------------------------------------------------------------------------------------------------


def test_uid_map_has_hierarchy_references_and_what_was_rejected(tmp_path):
    assemble(make_output(tmp_path))
    rows = {row["old_uid"]: row for row in uid_rows(tmp_path)}

    assert sorted(rows) == [
        "1.2.1", "1.2.2", "1.3.1", "1.3.10", "1.3.2", "1.4.1", "1.4.2", "1.4.3", "1.4.5", "1.4.7", "1.9.9",
    ]  # fmt: skip
    assert rows["1.4.1"] == {
        "old_uid": "1.4.1", "new_uid": MAPPER.new_uid("1.4.1"), "uid_type": "SOP", "parent_uid": "1.3.1",
        "parent_new_uid": MAPPER.new_uid("1.3.1"), "sop_class_uid": CT, "present_in_dataset": True,
        "reference_count": 2, "roles_conflict": False,
    }  # fmt: skip
    assert (rows["1.3.1"]["uid_type"], rows["1.3.1"]["parent_uid"]) == ("SERIES", "1.2.1")
    assert (rows["1.2.1"]["uid_type"], rows["1.2.1"]["parent_uid"]) == ("STUDY", "")
    assert (rows["1.9.9"]["uid_type"], rows["1.9.9"]["parent_uid"]) == ("FRAME_OF_REFERENCE", "")
    assert (rows["1.4.7"]["present_in_dataset"], rows["1.4.7"]["reference_count"]) == (True, 0)
    assert pq.read_schema(tmp_path / "audits" / "uid" / "uid_map.parquet").equals(UID_MAP_SCHEMA)


def test_reference_to_what_is_not_there_is_told_with_its_class(tmp_path):
    lost = (UidUse("1.4.404", UidType.SOP, "x", False, CT), UidUse("1.2.840.10008.5.1", UidType.OTHER, "y", False))
    summary = assemble(make_output(tmp_path, {"b000001": [instance(1, 1, "a", uids=lost)]}, rejects=[]))

    row = next(row for row in uid_rows(tmp_path) if row["old_uid"] == "1.4.404")
    assert (row["present_in_dataset"], row["reference_count"], row["sop_class_uid"]) == (False, 1, CT)
    assert summary["uids"] == {
        "by_type": {"FRAME_OF_REFERENCE": 1, "SERIES": 1, "SOP": 2, "STUDY": 1}, "in_two_roles": 0, "not_in_dataset": 1,
    }  # fmt: skip


def test_uid_in_two_roles_or_below_two_parents_has_a_row_for_each_and_is_told(tmp_path):
    twice = instance(1, 1, "a", uids=(UidUse("1.3.1", UidType.DEVICE, "x", False),))
    moved = instance(2, 10, "c")
    moved = replace(moved, series_uid="1.3.1")
    summary = assemble(make_output(tmp_path, {"b000001": [twice], "b000002": [moved]}, rejects=[]))

    rows = [row for row in uid_rows(tmp_path) if row["old_uid"] == "1.3.1"]
    assert [(row["uid_type"], row["parent_uid"], row["present_in_dataset"]) for row in rows] == [
        ("DEVICE", "", False), ("SERIES", "1.2.1", True), ("SERIES", "1.2.2", True),
    ]  # fmt: skip
    assert all(row["roles_conflict"] for row in rows)
    assert summary["uids"]["in_two_roles"] == 1
    assert summary["uids"]["not_in_dataset"] == 0


def test_padding_makes_no_other_uid(tmp_path):
    padded = (UidUse("1.4.1\x00", UidType.SOP, "x", False), UidUse(" 1.4.1 ", UidType.SOP, "y", False))
    assemble(make_output(tmp_path, {"b000001": [instance(1, 1, "a", uids=padded)]}, rejects=[]))

    assert [row["reference_count"] for row in uid_rows(tmp_path) if row["old_uid"] == "1.4.1"] == [2]


def uid_row(old: str, new: str) -> dict[str, object]:
    return {
        "old_uid": old, "new_uid": new, "uid_type": "SOP", "parent_uid": "", "parent_new_uid": "", "sop_class_uid": "",
        "identity": True, "reference_count": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([uid_row("1.1", "2.25.1"), uid_row("1.2", "2.25.1")], "Two source UIDs got one new UID, 2.25.1"),
        ([uid_row("1.1", "2.25.1"), uid_row("1.1", "2.25.2") | {"uid_type": "OTHER"}], "of two salts"),
    ],
)
def test_collision_ends_the_job(tmp_path, rows, message):
    make_output(tmp_path)
    write_jsonl(tmp_path / "private" / "uid_map" / "b000001.jsonl", rows)

    with pytest.raises(UidMapError, match=message) as caught:
        assemble(tmp_path)
    assert "1.1" not in str(caught.value).replace("2.25.1", "")


# --- metadata, geometry, summary ----------------------------------------------------------------------------------


def test_metadata_has_released_instances_only_sorted_and_typed(tmp_path):
    changes = {A1.path: {"boxes": ((0, Box(0, 0, 1, 1)), (-1, Box(2, 2, 1, 1))), "pixel_data": "redacted"}}
    assemble(make_output(tmp_path, changes=changes, checks={C1.path: residual(record(C1))}))
    path = tmp_path / "audits" / "metadata" / "metadata_audit.parquet"
    rows = list(read_parquet(path))

    assert [tuple(row[name] for name in NAME_LESS) for row in rows] == sorted(
        (record(entry).study_uid, record(entry).series_uid, record(entry).sop_uid) for entry in (A1, A2, B1)
    )
    by_uid = {row["sop_instance_uid"]: row for row in rows}
    first, other = by_uid[SOP[A1.path]], by_uid[SOP[B1.path]]
    assert (first["text_regions_hidden"], first["pixels_redacted"], first["series_incomplete"]) == (2, True, True)
    assert (other["text_regions_hidden"], other["pixels_redacted"], other["series_incomplete"]) == (0, False, False)
    schema = pq.read_schema(path)
    assert str(schema.field("rows").type) == "int64"
    assert str(schema.field("pixel_spacing").type.value_type) == "double"
    assert schema.field("slice_thickness").metadata == {b"unit": b"mm", b"description": b"Thickness"}


def test_unknown_type_of_a_metadata_column_is_refused():
    with pytest.raises(AuditContractError, match="unknown type list<uid>"):
        metadata_schema({"x": ("list<uid>", "", "")})


def test_geometry_of_released_ct_series_with_settings(tmp_path):
    summary = assemble(make_output(tmp_path, checks={C1.path: residual(record(C1))}))
    content = json.loads((tmp_path / "audits" / "ct_prepro" / "ct_prepro_audit.json").read_text())

    assert content == {
        "schema": "ct_prepro_audit/1",
        "settings": {"hu_clip": [-1024, 3071]},
        "series": [{**geometry(SERIES[A1.path], record(A1).study_uid), "series_incomplete": True}],
    }
    assert summary["ct_series"] == {"total": 1, "requires_resampling": 1, "requires_splitting": 0}


def test_geometry_of_a_series_that_lacks_slices_is_that_of_what_is_released(tmp_path):
    root = make_output(tmp_path, decisions=[decide(SOP[A2.path], "withhold")])
    staged, anew = geometry(SERIES[A1.path], record(A1).study_uid), {"num_slices": 1, "requires_resampling": False}
    write_jsonl(root / "private" / "remade" / "geometry.jsonl", [staged | anew])
    summary = assemble(root)
    rows = json.loads((root / "audits" / "ct_prepro" / "ct_prepro_audit.json").read_text())["series"]

    assert {**staged, **anew, "series_incomplete": True} in rows and len(rows) == 2
    assert summary["ct_series"] == {"total": 2, "requires_resampling": 0, "requires_splitting": 1}


def test_geometry_of_a_series_uid_in_two_studies_is_told_of_the_released_one(tmp_path):
    other = replace(A1, study_uid="1.2.9", sop_uid="1.4.91", path="x/1.dcm")
    root = make_output(
        tmp_path,
        {"b000001": [A1], "b000002": [other]},
        decisions=[decide(record(other).study_uid, "withhold")],
        rejects=[],
    )
    assemble(root)
    rows = json.loads((root / "audits" / "ct_prepro" / "ct_prepro_audit.json").read_text())["series"]

    assert [row["study_instance_uid"] for row in rows] == [record(A1).study_uid]


@pytest.mark.parametrize(("study", "lacking"), [("1.2.9", {"1.2.9"}), ("", {"1.2.1", "1.2.9"})])
def test_instance_lost_from_a_series_uid_of_two_studies_is_missing_in_its_own_study(tmp_path, study, lacking):
    other = replace(A1, study_uid="1.2.9", sop_uid="1.4.91", path="x/1.dcm")
    cut = replace(REJECTED[1], study_uid=study)
    summary = assemble(make_output(tmp_path, {"b000001": [A1], "b000002": [other]}, rejects=[cut]))
    rows = json.loads((tmp_path / "audits" / "ct_prepro" / "ct_prepro_audit.json").read_text())["series"]
    metadata = read_parquet(tmp_path / "audits" / "metadata" / "metadata_audit.parquet")
    expected = {MAPPER.new_uid(one): one in lacking for one in ("1.2.1", "1.2.9")}

    assert {row["study_instance_uid"]: row["series_incomplete"] for row in rows} == expected
    assert {row["study_instance_uid"]: row["series_incomplete"] for row in metadata} == expected
    assert summary["series_incomplete"] == len(lacking)


def test_summary_counts_everything_once(tmp_path):
    changes = {
        A1.path: {"boxes": ((0, Box(0, 0, 1, 1)),), "pixel_data": "redacted"},
        A2.path: {"status": Status.REJECTED, "reason": "cannot_clean", "staged_path": ""},
    }
    held, nobody = {C1.path: residual(record(C1))}, [decide("2.25.404")]
    summary = assemble(make_output(tmp_path, changes=changes, checks=held, decisions=nobody))

    assert summary == json.loads((tmp_path / "audits" / "summary.json").read_text())
    assert {name: summary[name] for name in summary if name not in ("schema", "uids")} == {
        "patients": {"in": 2, "out": 1}, "studies": {"in": 2, "out": 1}, "series": {"in": 3, "out": 2},
        "instances": {"released": 2, "rejected": 3, "held": 1},
        "instances_by_modality": {
            "": {"released": 0, "rejected": 1, "held": 0},
            "CT": {"released": 1, "rejected": 2, "held": 1},
            "SEG": {"released": 1, "rejected": 0, "held": 0},
        },
        "studies_of_several_patients": [],
        "released_by_decision": 0, "decisions_unused": 1, "series_incomplete": 1,
        "rejected_by_reason": {"cannot_clean": 1, "duplicate_identical": 1, "not_dicom": 1, "truncated": 1},
        "held_by_reason": {"residual_identifier": 1},
        "text": {
            "instances_read": 4, "scans_by_status": {"read": 4}, "regions_hidden": 1, "regions_benign_kept": 1,
            "regions_by_verdict": {"identifying": 1, "unknown": 0, "benign": 1, "not_text": 0}, "instances_redacted": 1,
            "hidden_by_verdict": {"identifying": 1, "unknown": 0, "benign": 0, "not_text": 0},
            "read_again": {"frames": 0, "boxes_widened": 0, "left": 0},
        },
        "links": {
            "resolved": 3, "dangling": 1, "dropped_by_policy": 0, "lost": 0, "not_written": 0,
            "dangling_by_reason": {"not_in_data_set": 0, "held": 1, "rejected": 0},
            "pairs_by_state": {"resolved": 2, "dangling": 1, "dropped_by_policy": 0, "lost": 0, "not_written": 0},
            "pairs_by_agreement": {"agrees": 1, "differs": 1, "not_checked": 0},
        },
        "ct_series": {"total": 1, "requires_resampling": 1, "requires_splitting": 0},
        "ct_stacks": {"picture": 0, "image": 0, "mask": 0, "left_out": []},
    }  # fmt: skip


def test_studies_in_which_several_patients_are_released_are_named(tmp_path):
    """By new UIDs; what is not released counts for nobody."""
    entries = [
        instance(1, 1, "a"),
        instance(2, 2, "b"),
        instance(3, 11, "c"),
        instance(4, 12, "d"),
        instance(5, 3, "e"),
    ]
    entries[1] = replace(entries[1], patient="p000003")
    entries[3] = replace(entries[3], patient="p000004")
    changes = {"d": {"status": Status.REJECTED, "reason": "cannot_clean", "staged_path": ""}}
    layout = {"b000001": entries[:2], "b000002": entries[2:]}
    summary = assemble(make_output(tmp_path, layout, changes=changes, rejects=[]))
    assert summary["studies_of_several_patients"] == [MAPPER.new_uid("1.2.1")]


def test_modality_that_is_no_modality_is_not_shown(tmp_path):
    root = make_output(tmp_path, {"b000001": [instance(1, 1, "a", modality="MUELLER")]}, rejects=[])

    assert list(assemble(root)["instances_by_modality"]) == ["other"]
    assert "MUELLER" not in (tmp_path / "audits" / "summary.json").read_text()


def test_what_may_travel_names_no_source(tmp_path):
    assemble(make_output(tmp_path))

    for name in ("metadata/metadata_audit.parquet", "ct_prepro/ct_prepro_audit.json", "summary.json", "seal.json"):
        data = (tmp_path / "audits" / name).read_bytes()
        assert not [text for text in (b"1.3.1\x00", b'"1.3.', b"a1.dcm", b"p000001") if text in data]


# --- contracts ----------------------------------------------------------------------------------------------------


def open_schemas(tmp_path, monkeypatch):
    """Use schemas of metadata and geometry that fit the few columns of these tests."""
    folder = tmp_path / "schemas"
    folder.mkdir()
    for name in ("deid_audit", "uid_map", "links"):
        source = audit_contracts.SCHEMAS / f"{name}.schema.json"
        (folder / source.name).write_bytes(source.read_bytes())
    numbers = {"type": ["array", "null"], "items": {"type": "number"}}
    row = {"rows": {"type": ["integer", "null"], "minimum": 1}, "slice_thickness": {"type": ["number", "null"]},
           "pixel_spacing": numbers, **{name: {"type": "string"} for name in NAME_LESS}}  # fmt: skip
    (folder / "metadata_audit.schema.json").write_text(json.dumps({"required": sorted(row), "properties": row}))
    (folder / "ct_prepro_audit.schema.json").write_text(json.dumps({"type": "object", "required": ["series"]}))
    monkeypatch.setattr(audit_contracts, "SCHEMAS", folder)


def test_audits_as_written_fulfil_contracts_chain_and_seals(tmp_path, monkeypatch):
    open_schemas(tmp_path, monkeypatch)
    assemble(make_output(tmp_path))

    assert check_contracts(tmp_path) == []
    assert verify_output(tmp_path, SALT) == []
    assert verify_output(tmp_path, None) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "SECRET"}, "status: fails 'enum'"),
        ({"checksum": "SECRET"}, "checksum: fails 'pattern'"),
        ({"SECRET": 1}, "row: fails 'additionalProperties'"),
        ({"tags_removed": [{"SECRET": 1}]}, "tags_removed.action"),
        ({"output_path": ""}, "output_path: fails 'minLength'"),
        ({"boxes": [[0, {"x": 1}]]}, "boxes: fails 'required'"),
    ],
)
def test_row_that_breaks_the_schema_is_named_by_line_and_column(tmp_path, change, told):
    assemble(make_output(tmp_path))
    rows, chain = deid_rows(tmp_path), Chain()
    rows[2] = {**rows[2], **change}
    path = tmp_path / "audits" / "deid" / "deid_audit.jsonl"
    path.write_text("".join(json.dumps(chain.add(row)) + "\n" for row in rows))

    errors = check_contracts_of_deid(tmp_path)
    assert errors
    assert all(error.startswith(" line 3 ") for error in errors)
    if told != "tags_removed.action":
        assert any(told in error for error in errors)
    assert "SECRET" not in "".join(errors)


def test_same_wrong_attribute_in_many_rows_is_told_at_its_first(tmp_path):
    assemble(make_output(tmp_path))
    rows = [row | {"tags_removed": [{"path": ""}]} for row in deid_rows(tmp_path)]
    path = tmp_path / "audits" / "deid" / "deid_audit.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert {error.split(":")[0].split()[1] for error in check_contracts_of_deid(tmp_path)} == {"1"}


def test_rows_out_of_order_are_told(tmp_path):
    assemble(make_output(tmp_path))
    path = tmp_path / "audits" / "deid" / "deid_audit.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[::-1]))

    assert " line 2: not sorted by input_path" in check_contracts_of_deid(tmp_path)


def test_table_with_other_columns_types_or_nulls_is_told_by_column(tmp_path, monkeypatch):
    open_schemas(tmp_path, monkeypatch)
    schema = metadata_schema({**COLUMNS, "rows": ("float64", "", ""), "SECRET": ("string", "", "")})
    columns = [name for name in schema.names if name != "slice_thickness"]
    schema = pa.schema([schema.field(name) for name in columns])
    write_parquet(tmp_path / "x.parquet", [{"study_instance_uid": None}], schema)
    described = {**audit_contracts.load_schema("metadata_audit"), "additionalProperties": False}

    errors = list(audit_contracts.check_parquet(tmp_path / "x.parquet", described))
    assert ": column slice_thickness is missing" in errors
    assert ": column rows is double" in errors
    assert ": column study_instance_uid: a value is missing" in errors
    assert "SECRET" not in "".join(errors)


def test_uid_map_with_another_type_of_uid_is_told(tmp_path):
    row = uid_row("1.1", "2.25.1") | {"uid_type": "SECRET", "present_in_dataset": True, "roles_conflict": False}
    del row["identity"]
    write_parquet(tmp_path / "x.parquet", [row], UID_MAP_SCHEMA)

    errors = list(audit_contracts.check_parquet(tmp_path / "x.parquet", audit_contracts.load_schema("uid_map")))
    assert errors == [": column uid_type: fails 'enum'"]


def test_schema_of_the_uid_map_has_the_columns_of_its_table():
    schema = audit_contracts.load_schema("uid_map")

    assert schema["required"] == list(schema["properties"]) == UID_MAP_SCHEMA.names
    assert schema["properties"]["uid_type"]["enum"] == [kind.value for kind in UidType]


def test_missing_audits_are_told(tmp_path):
    assert check_contracts(tmp_path) == [
        "deid_audit.jsonl: missing", "uid_map.parquet: missing", "links.parquet: missing", "metadata_audit.parquet: missing",
        "ct_prepro_audit.json: missing",
    ]  # fmt: skip


def test_changed_audit_shows_in_the_proof(tmp_path, monkeypatch):
    open_schemas(tmp_path, monkeypatch)
    assemble(make_output(tmp_path))
    rows = [row for row in uid_rows(tmp_path) if row["old_uid"] != "1.4.1"]
    write_parquet(tmp_path / "audits" / "uid" / "uid_map.parquet", rows, UID_MAP_SCHEMA)

    assert verify_output(tmp_path, None) == ["uid/uid_map.parquet: not the bytes that were sealed"]


def test_metadata_of_real_instances_fulfils_the_contract(tmp_path):
    names = ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "liver.dcm", "color-px.dcm", "eCT_Supplemental.dcm")
    files = [path for name in names if (path := Path(get_testdata_file(name, download=False) or "")).is_file()]
    extra = {"text_regions_hidden": 0, "pixels_redacted": False, "series_incomplete": False}
    extra["recognizable_visual_features"] = False
    rows = [{**extract_metadata(path, "a/b/c.dcm"), **extra} for path in files]
    target = tmp_path / "metadata_audit.parquet"

    assert write_parquet(target, rows, metadata_schema(METADATA_COLUMNS)) >= 3
    assert list(audit_contracts.check_parquet(target, audit_contracts.load_schema("metadata_audit"))) == []


def test_geometry_of_a_real_instance_fulfils_the_contract(tmp_path):
    root = make_output(tmp_path)
    measured = to_data(measure_series(slice_attributes(Path(get_testdata_file("CT_small.dcm"))), GeometrySettings()))
    for batch, entry in (("b000001", A1), ("b000003", C1)):
        uids = {"study_instance_uid": record(entry).study_uid, "series_instance_uid": record(entry).series_uid}
        write_jsonl(root / "private" / "geometry" / f"{batch}.jsonl", [{**measured, **uids}])

    assert assemble(root)["ct_series"]["total"] == 2
    path = root / "audits" / "ct_prepro" / "ct_prepro_audit.json"
    assert list(audit_contracts.check_ct_prepro(path)) == []
    assert [row["series_incomplete"] for row in json.loads(path.read_text())["series"]].count(True) == 1
