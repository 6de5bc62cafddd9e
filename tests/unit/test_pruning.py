"""What is dropped: outputs of withdrawn batches, and pages with pictures where they are made no more."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path

from phi_deid_pipeline import pipeline


def output(folder: Path) -> Path:
    for name in ("pictures/b000001/0.jpg", "pictures/b000002/0.jpg", "reports/burned_in_text.pdf", "reports/released.html",
                 "reports/pages/released_0002.html", "reports/other.html", "read/b000001.jsonl"):  # fmt: skip
        (folder / "private" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "private" / name).write_bytes(b"")
    return folder


def left(folder: Path) -> list[str]:
    private = folder / "private"
    return sorted(path.relative_to(private).as_posix() for path in private.rglob("*") if path.is_file())


def test_pictures_of_a_withdrawn_batch_go(tmp_path: Path) -> None:
    assert pipeline.prune_withdrawn(output(tmp_path), {"b000001"})["batches"] == 1
    assert "pictures/b000001/0.jpg" in left(tmp_path) and "pictures/b000002/0.jpg" not in left(tmp_path)


def test_pages_go_where_they_are_made_no_more_and_other_reports_stay(tmp_path: Path) -> None:
    pipeline.prune_withdrawn(output(tmp_path), {"b000001"}, pictures=False)
    assert left(tmp_path) == ["read/b000001.jsonl", "reports/other.html"]
    pipeline.prune_withdrawn(tmp_path, {"b000001"}, pictures=False)
    assert left(tmp_path) == ["read/b000001.jsonl", "reports/other.html"]


def read_line(number: int) -> str:
    return json.dumps({"reading": {"content_key": hashlib.sha256(b"%d" % number).hexdigest()}}) + "\n"


def test_readings_of_pictures_that_no_batch_has_go(tmp_path: Path) -> None:
    private = tmp_path / "private"
    for number in range(4):
        path = private / "readings" / f"0{number % 2}" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(json.loads(read_line(number))["reading"]))
    (private / "read").mkdir()
    (private / "read" / "b000001.jsonl").write_text(read_line(0) + read_line(3) + read_line(3))
    assert pipeline.prune_withdrawn(tmp_path, {"b000001"})["readings"] == 2
    assert left(tmp_path) == ["read/b000001.jsonl", "readings/00/0.json", "readings/01/3.json"]


def test_memory_of_pruning_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    place = tmp_path / "private" / "read" / "b000001.jsonl"
    place.parent.mkdir(parents=True)
    place.write_text("".join(map(read_line, range(20_000))))
    pipeline.prune_withdrawn(tmp_path, {"b000001"})  # what is loaded once is no growth
    tracemalloc.start()
    try:
        assert pipeline.prune_withdrawn(tmp_path, {"b000001"}) == {"batches": 0, "readings": 0}
        assert tracemalloc.get_traced_memory()[1] < 500_000  # bytes; the keys alone are 20,000 of 64
    finally:
        tracemalloc.stop()
