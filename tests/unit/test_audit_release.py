"""What a release takes of the pictures and volumes of CT stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_release import released_products
from audit_status import FinalStatus
from phi_deid_pipeline.records import StackProduct, Status
from record_io import write_jsonl


def status(sop_uid: str, state: Status) -> FinalStatus:
    return FinalStatus("b000001", "2.25.1", "2.25.2", sop_uid, state, "")


@pytest.mark.parametrize("state", list(Status))
def test_product_goes_with_all_its_instances_or_not_at_all(tmp_path: Path, state: Status) -> None:
    write_jsonl(tmp_path / "statuses.jsonl", [status("2.25.3", Status.RELEASED), status("2.25.4", state)])
    names = ("figures/2.25.1/2.25.2/stack_1.png", "figures/2.25.1/2.25.2/stack_2.png")
    products = [
        StackProduct("2.25.2", 1, "picture", ("2.25.3",), name=names[0], sha256="a"),
        StackProduct("2.25.2", 2, "picture", ("2.25.3", "2.25.4"), name=names[1], sha256="b"),
    ]
    listed = tmp_path / "figures" / "b000001.jsonl"
    write_jsonl(listed, products)
    found = released_products(tmp_path, [listed])
    folder = tmp_path / "figures" / "b000001" / "2.25.1" / "2.25.2"
    expected = {names[0]: (folder / "stack_1.png", "a")}
    if state is Status.RELEASED:
        expected[names[1]] = (folder / "stack_2.png", "b")
    assert found == expected


def test_product_in_which_its_check_found_something_is_not_released(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "statuses.jsonl", [status("2.25.3", Status.RELEASED)])
    listed = tmp_path / "volumes" / "b000001.jsonl"
    one = StackProduct("2.25.2", 1, "image", ("2.25.3",), name="volumes/a.nii.gz", sha256="a", problems=("grid",))
    write_jsonl(listed, [one])
    assert released_products(tmp_path, [listed]) == {}


def test_product_of_an_instance_that_is_not_known_is_not_released(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "statuses.jsonl", [])
    listed = tmp_path / "volumes" / "b000001.jsonl"
    write_jsonl(listed, [StackProduct("2.25.2", 1, "image", ("2.25.3",), name="volumes/a.nii.gz", sha256="a")])
    assert released_products(tmp_path, [listed]) == {}
