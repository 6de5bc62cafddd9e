"""The line of a rejected duplicate names the files that it is a duplicate of."""

from __future__ import annotations

import json
from pathlib import Path

from phi_deid_pipeline.inventory import InventorySettings
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
