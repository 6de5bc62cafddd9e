"""A study or a series under several Patient IDs: one is missing, or was corrected between two instances."""

from __future__ import annotations

import json
from pathlib import Path

from phi_deid_pipeline.inventory import InventorySettings
from phi_deid_pipeline.inventory_files import MAX_PERSONS
from unit.test_inventory import instance, manifests, put, run


def known(private: Path) -> dict[str, set[str]]:
    texts = [json.loads(path.read_text("utf-8")) for path in (private / "lexicons").iterdir()]
    return {text["patient_key"]: {value for _, value in text["entries"]} for text in texts}


def test_series_under_several_patients_is_in_one_batch(tmp_path: Path) -> None:
    """Those that are there together, and one who comes later."""
    root, private, small = tmp_path / "in", tmp_path / "private", InventorySettings(target_work=1, spread=100)
    for number, patient in enumerate(("007", "7", "007"), 1):
        put(root, f"{number}", instance(patient, 1, 1, number))
    put(root, "other", instance("8", 2, 1, 1))
    run(root, private, settings=small)
    put(root, "late", instance("6", 1, 1, 4))
    run(root, private, settings=small)
    entries = [(m["batch"], s["series_uid"], len(s["instances"])) for m in manifests(private) for s in m["series"]]
    parts = [("b000001", "1.2.3.1.1", size) for size in (2, 1, 1)]
    assert entries == [*parts, ("b000002", "1.2.3.2.1", 1)]


def test_persons_of_one_study_are_looked_for_in_all_of_it(tmp_path: Path) -> None:
    root, private = tmp_path / "in", tmp_path / "private"
    put(root, "1", instance("007", 1, 1, 1))
    put(root, "2", instance("", 1, 2, 1, PatientName="Stray^Given"))
    put(root, "3", instance("007", 2, 1, 1, AccessionNumber="ACC77"))
    put(root, "4", instance("8", 3, 1, 1))
    run(root, private)
    both = {"007", "Name007^Given", "Stray^Given"}
    assert known(private) == {"id:007": both | {"ACC77"}, "study:1.2.3.1": both, "id:8": {"8", "Name8^Given"}}


def test_study_uid_that_is_used_again_for_many_joins_nobody(tmp_path: Path) -> None:
    root, private = tmp_path / "in", tmp_path / "private"
    for number in range(MAX_PERSONS + 1):
        put(root, f"{number}", instance(f"P{number}", 1, number, 1))
    run(root, private)
    assert {key: len(values) for key, values in known(private).items()} == {
        f"id:P{number}": 2 for number in range(MAX_PERSONS + 1)
    }
