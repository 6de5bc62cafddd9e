"""The audit of links: sorted, typed, described by its schema, sealed and summed up."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from audit_batches import INFO, LINKS, SALT, assemble, make_output
from audit_contracts import check_contracts, load_schema, verify_output
from audit_links import LINKS_SCHEMA, assemble_links, link_counts
from phi_deid_pipeline.errors import AuditContractError
from record_io import read_parquet, write_jsonl, write_parquet
from run_progress import links_line, patients_line, stacks_line

LINKS_AUDIT = Path("audits/uid/links.parquet")


def rows_of(root: Path) -> list[dict[str, object]]:
    return list(read_parquet(root / LINKS_AUDIT))


def test_rows_are_sorted_by_referrer_path_and_target_with_numbers_as_numbers(tmp_path: Path) -> None:
    assemble(make_output(tmp_path))
    rows = rows_of(tmp_path)
    keys = [(row["from_sop_instance_uid"], row["path"], row["to_uid"], row["to_frames"]) for row in rows]
    assert keys == [
        ("2.25.2", "00081140.00081155", "2.25.1", [2, 3]),
        ("2.25.3", "00081140.00081155", "2.25.1", [2, 10]),
        ("2.25.3", "00081140.00081155", "2.25.9", [2, 10]),
        ("2.25.3", "00082112.00081155", "2.25.1", [2, 10]),
    ]
    assert rows[1] == {
        "from_sop_instance_uid": "2.25.3", "from_series_instance_uid": "2.25.32",
        "from_sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4", "from_status": "released", "from_frames": [1],
        "kind": "SOP", "path": "00081140.00081155", "attribute": "ReferencedImageSequence.ReferencedSOPInstanceUID",
        "to_uid": "2.25.1", "to_sop_class_uid": "1.2.840.10008.5.1.4.1.1.2", "to_frames": [2, 10], "to_segments": [1],
        "count": 1, "state": "resolved", "reason": "", "agreement": "differs", "agreement_reasons": ["off_plane"],
        "off_plane_mm": 2.5,
    }  # fmt: skip


def test_order_of_the_records_changes_no_byte(tmp_path: Path) -> None:
    for name, rows in (("one", LINKS), ("other", LINKS[::-1])):
        write_jsonl(tmp_path / name / "links.jsonl", rows)
        assert assemble_links(tmp_path / name, tmp_path / name / "links.parquet") == len(LINKS)
    one, other = ((tmp_path / name / "links.parquet").read_bytes() for name in ("one", "other"))
    assert one == other


def test_sop_class_that_is_none_of_the_standard_is_left_empty(tmp_path: Path) -> None:
    private = "1.2.3.4567.19560412.77304419"
    rows = [replace(LINKS[0], to_sop_class_uid=private), replace(LINKS[1], from_sop_class_uid=private)]
    write_jsonl(tmp_path / "links.jsonl", rows)
    assemble_links(tmp_path, tmp_path / "links.parquet")
    classes = [(row["from_sop_class_uid"], row["to_sop_class_uid"]) for row in read_parquet(tmp_path / "links.parquet")]
    assert classes == [(LINKS[0].from_sop_class_uid, ""), ("", LINKS[1].to_sop_class_uid)]
    assert all(uid for uid in (LINKS[0].from_sop_class_uid, LINKS[1].to_sop_class_uid))


def test_two_records_of_one_link_are_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "links.jsonl", [LINKS[0], replace(LINKS[0], count=2)])
    with pytest.raises(AuditContractError):
        assemble_links(tmp_path, tmp_path / "links.parquet")


def test_columns_are_those_of_the_schema_in_their_order() -> None:
    described = load_schema("links")
    assert list(described["properties"]) == described["required"] == LINKS_SCHEMA.names


def test_audit_fits_its_contract_and_is_sealed(tmp_path: Path) -> None:
    assemble(make_output(tmp_path))
    assert [error for error in check_contracts(tmp_path) if error.startswith("links")] == []
    path = tmp_path / LINKS_AUDIT
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert "uid/links.parquet" in json.loads((tmp_path / "audits" / "seal.json").read_text())["files"]
    write_parquet(path, [{**rows_of(tmp_path)[0], "state": "elsewhere", "count": 0}], LINKS_SCHEMA)
    told = [error for error in verify_output(tmp_path, SALT) if "links.parquet" in error]
    assert told == [
        "links.parquet: column count: fails 'minimum'",
        "links.parquet: column state: fails 'enum'",
        "uid/links.parquet: not the bytes that were sealed",
    ]
    path.unlink()
    assert "links.parquet: missing" in check_contracts(tmp_path)
    assert INFO.salt == SALT


def test_pairs_are_counted_once_for_geometry(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "links.jsonl", [*LINKS[:2], replace(LINKS[0], from_sop_uid="2.25.4")])
    counts = link_counts(tmp_path)
    assert counts["resolved"] == 3
    assert counts["pairs_by_agreement"] == {"agrees": 0, "differs": 2, "not_checked": 0}


def test_line_of_the_summary_tells_what_is_there(tmp_path: Path) -> None:
    assert links_line(assemble(make_output(tmp_path))["links"]) == (
        "References: 3 resolved, 1 dangling (pairs of objects: 2 resolved, 1 dangling); dangling: 1 held. "
        "Geometry of pairs: 1 agrees, 1 differs"
    )
    write_jsonl(tmp_path / "links.jsonl", [])
    assert links_line(link_counts(tmp_path)) == "References: none"


def test_line_of_the_summary_says_what_several_patients_in_a_study_mean_and_what_to_do() -> None:
    assert patients_line([]) == ""
    told = patients_line(["2.25.1", "2.25.2"])
    assert told.startswith("Studies under several Patient IDs: 2")
    assert "pseudonym" in told and "--patients" in told and "2.25.1" not in told


def test_line_of_the_summary_names_what_of_ct_stacks_is_left_out() -> None:
    left = [{"kind": "image", "reason": "grid"}, {"kind": "image", "reason": "grid"}]
    assert stacks_line({"picture": 3, "image": 0, "mask": 1, "left_out": left}) == (
        "CT stacks: 3 pictures, 1 mask; 2 image: grid (see ct_stacks.left_out of audits/summary.json)"
    )
    assert stacks_line({"picture": 0, "image": 0, "mask": 0, "left_out": []}) == (
        "CT stacks: neither pictures nor volumes"
    )
