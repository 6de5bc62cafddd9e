"""What is dropped: outputs of withdrawn batches, and pages with pictures where they are made no more."""

from __future__ import annotations

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
