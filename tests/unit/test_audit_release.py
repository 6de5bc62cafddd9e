"""What goes into a release, from records that the tests write: in order, and without all of it in memory."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

from audit_batches import A1, B1, make_output, record, residual
from audit_release import release_contents, released_instances
from audit_status import FinalStatus
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import Box, Status
from record_io import write_jsonl

INFO = {"policy": "p", "policy_digest": "d", "script_version": "v"}


def test_files_of_a_release_are_the_released_instances_where_they_are_staged(tmp_path: Path) -> None:
    make_output(tmp_path, checks={A1.path: residual(record(A1))})
    files = {name: (path, sha256) for name, path, sha256 in released_instances(tmp_path / "private")}
    made = record(B1)
    name = f"dicom/{made.study_uid}/{made.series_uid}/{made.sop_uid}.dcm"
    assert files[name] == (tmp_path / "private" / "staging" / "b000002" / made.staged_path, "c" * 64)
    assert len(files) == 2


def test_files_come_in_the_order_of_their_names_with_what_was_checked(tmp_path: Path) -> None:
    output = planned(tmp_path, series=3, instances=2, batches=2)
    with release_contents(output, output / "policy.json", output / "statement.md") as (files, info):
        listed = list(files)
    names = [name for name, _, _ in listed]
    assert names == sorted(names) and len(names) == 3 * 2 * 2 + 5
    assert info["instances"] == 12
    assert {sha256 for name, _, sha256 in listed if name.startswith("dicom/")} == {hashlib.sha256(b"x").hexdigest()}
    assert {sha256 for name, _, sha256 in listed if not name.startswith("dicom/")} == {""}


def test_boxes_of_released_instances_come_in_the_order_of_their_uids(tmp_path: Path) -> None:
    output = planned(tmp_path, series=1, instances=3, batches=2)
    with release_contents(output, output / "policy.json", output / "statement.md"):
        boxes = [json.loads(line) for line in (output / "private" / "boxes.jsonl").read_bytes().splitlines()]
    uids = [row["sop_instance_uid"] for row in boxes]
    assert uids == sorted(uids) and len(uids) == 6
    assert boxes[0]["boxes"] == [[-1, {"x": 0, "y": 0, "w": 9, "h": 9}]]


def test_memory_of_a_release_does_not_grow_with_its_instances(tmp_path: Path) -> None:
    small, large = (peak_alone(planned(tmp_path / str(count), 10, 10, count)) for count in (2, 20))
    assert (large - small) / (
        10 * 10 * 18
    ) < 300  # bytes for one instance more; its path and its sum alone take as many


def planned(output: Path, series: int, instances: int, batches: int) -> Path:
    """Write statuses and staging of batches of some series, and what else a release holds; return the output."""
    private, digest = output / "private", hashlib.sha256(b"x").hexdigest()
    boxes, statuses = ((-1, Box(0, 0, 9, 9)),), []
    for number in range(batches):
        batch, rows = f"b{number + 1:06d}", []
        for one in range(series * instances):
            sop = f"2.25.{(one * 7919 + number * 104729) % 1_000_003}.{one}"
            where = f"{sop}.dcm"
            (private / "staging" / batch).mkdir(parents=True, exist_ok=True)
            (private / "staging" / batch / where).write_bytes(b"x")
            uids = (f"2.25.{number % 3}", f"2.25.{number}.{one // instances}", sop)
            rows.append(FinalStatus(batch, *uids, Status.RELEASED, "", staged_path=where, checksum=digest))
        statuses += sorted(rows, key=lambda row: row.sop_uid)
        write_jsonl(private / "records" / f"{batch}.jsonl", ({"sop_uid": row.sop_uid, "boxes": boxes} for row in rows))
    write_jsonl(private / "statuses.jsonl", statuses)
    for name in ("figures", "volumes"):
        write_jsonl(private / "remade" / f"{name}.jsonl", [])
    texts = ("audits/metadata/metadata_audit.parquet", "audits/ct_prepro/ct_prepro_audit.json", "policy.json")
    for name in (*texts, "statement.md", "audits/deid/deid_audit.seal.json"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text("{}")
    return output


def release(output: Path, number: int) -> None:
    """Build a release of a policy of its own."""
    with release_contents(output, output / "policy.json", output / "statement.md") as (files, info):
        made = pipeline.build_release(output, files, {**info, **INFO, "policy": str(number)}, b"s" * 32)
    assert made is not None and made.name == f"000{number}"


def peak_alone(output: Path) -> int:
    """Return the most bytes that Python held, in a process of its own, while two releases were built."""
    command = [sys.executable, "-c", "import sys, test_audit_release as t; t.print_peak(t.Path(sys.argv[1]))", output]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def print_peak(output: Path) -> None:
    tracemalloc.start()
    for number in (1, 2):
        release(output, number)
    print(tracemalloc.get_traced_memory()[1])
