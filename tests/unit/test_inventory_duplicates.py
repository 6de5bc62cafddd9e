"""The line of a rejected duplicate names the files that it is a duplicate of, and the row of decisions that takes it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from phi_deid_pipeline.inventory import InventorySettings
from phi_deid_pipeline.records import Decision
from run_tables import decisions_table
from unit.test_inventory import conflict, instance, put, run


def others(private: Path) -> dict[str, list[str]]:
    rows = map(json.loads, (private / "rejected.jsonl").read_text("utf-8").splitlines())
    return {row["path"]: row["others"] for row in rows}


def test_rejected_duplicates_name_the_files_that_they_are_duplicates_of(tmp_path: Path) -> None:
    private = tmp_path / "private"
    conflict(tmp_path / "in")
    put(tmp_path / "in", "text", b"no image")
    run(tmp_path / "in", private)
    assert others(private) == {"1/a": ["1/b", "2/b"], "1/b": ["1/a"], "2/b": ["1/a"], "text": []}
    run(tmp_path / "in", private, settings=InventorySettings(duplicates="newest"))
    assert others(private) == {"1/a": ["1/b", "2/b"], "2/b": ["1/b"], "text": []}


def test_of_many_duplicates_some_are_named(tmp_path: Path) -> None:
    private = tmp_path / "private"
    data = instance("C", 3, 1, 1, PixelData=bytes(12))
    for number in range(30):
        put(tmp_path / "in", f"copy/{number:02d}", data)
    put(tmp_path / "in", "odd", instance("C", 3, 1, 1, PixelData=bytes([1] * 12)))
    run(tmp_path / "in", private)
    named = others(private)
    assert named["odd"] == [f"copy/{number:02d}" for number in range(20)]
    assert {tuple(named[f"copy/{number:02d}"]) for number in range(30)} == {("odd",)}


def test_row_of_decisions_that_a_duplicate_tells_can_be_pasted_and_takes_it(tmp_path: Path) -> None:
    private, table = tmp_path / "private", tmp_path / "decisions.csv"
    conflict(tmp_path / "in")
    run(tmp_path / "in", private)
    rows = {row["path"]: row for row in map(json.loads, (private / "rejected.jsonl").read_text("utf-8").splitlines())}
    (line,) = re.findall(r": (2\.25\.\S+)$", rows["1/a"]["what_to_do"])
    assert rows["1/a"]["sha256"][:12] in line
    filled = line.replace("WHO", "R. Reader").replace("YYYY-MM-DD", "2026-03-02").replace("WHY", "the newer report")
    table.write_text(f"what,verdict,who,when,why\n{filled}\n", encoding="utf-8")
    decisions_table(table)
    decided = [Decision(**row) for row in csv.DictReader(table.open(encoding="utf-8"))]
    run(tmp_path / "in", private, decisions=decided)
    rows = {row["path"]: row for row in map(json.loads, (private / "rejected.jsonl").read_text("utf-8").splitlines())}
    assert {path: row["reason"] for path, row in rows.items()} == dict.fromkeys(("1/b", "2/b"), "duplicate_not_chosen")
    assert "instead" in rows["1/b"]["what_to_do"]
