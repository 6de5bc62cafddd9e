"""What a release takes of the pictures and volumes of CT stacks, what is made anew, and what is named as left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stacks import Settled, ct_prepro_rows, partly_released, remaking, settled_products
from audit_status import FinalStatus
from phi_deid_pipeline.records import StackProduct, Status
from record_io import write_jsonl

STUDY, SERIES = "2.25.1", "2.25.2"
KEY = (STUDY, SERIES)
PICTURE = StackProduct(
    STUDY, SERIES, 1, "picture", ("2.25.3", "2.25.4"), name=f"figures/{STUDY}/{SERIES}/stack_1.png", sha256="a"
)
IMAGE = replace(PICTURE, kind="image", name=f"volumes/{STUDY}/{SERIES}/stack_1.nii.gz")
MASK = replace(IMAGE, kind="mask", sources=(*IMAGE.sources, "2.25.9"), marks=("2.25.9",), segment=2)

Files = dict[str, tuple[Path, str]]


def status(sop_uid: str, state: Status, series: str = SERIES) -> FinalStatus:
    return FinalStatus("b000001", STUDY, series, sop_uid, state, "", staged_path=f"{sop_uid}.dcm")


def settle(
    private: Path,
    states: Iterable[FinalStatus],
    pictures: Iterable[StackProduct] = (),
    volumes: Iterable[StackProduct] = (),
    again: Iterable[StackProduct] = (),
) -> tuple[Settled, Files, list[Path]]:
    write_jsonl(private / "statuses.jsonl", sorted(states, key=lambda one: one.sop_uid))
    lists = [private / kind / "b000001.jsonl" for kind in ("figures", "volumes")]
    for path, made in zip(lists, (pictures, volumes), strict=True):
        write_jsonl(path, made)
    write_jsonl(private / "remade" / "figures.jsonl", [one for one in again if one.kind == "picture"])
    write_jsonl(private / "remade" / "volumes.jsonl", [one for one in again if one.kind != "picture"])
    files: Files = {}
    settled = settled_products(private, lists, lambda name, path, sha256: files.update({name: (path, sha256)}))
    return settled, files, lists


def both(state: Status) -> list[FinalStatus]:
    return [status("2.25.3", Status.RELEASED), status("2.25.4", state)]


def left(settled: Settled) -> list[tuple[str, int, str]]:
    return [(row["kind"], row["segment"], row["reason"]) for row in settled.as_data()["left_out"]]


def test_products_of_a_whole_series_are_released(tmp_path: Path) -> None:
    settled, files, lists = settle(tmp_path, both(Status.RELEASED), [PICTURE], [IMAGE])
    assert files == {
        PICTURE.name: (tmp_path / "figures" / "b000001" / STUDY / SERIES / "stack_1.png", "a"),
        IMAGE.name: (tmp_path / "volumes" / "b000001" / STUDY / SERIES / "stack_1.nii.gz", "a"),
    }
    assert settled.as_data() == {"picture": 1, "image": 1, "mask": 0, "left_out": []}
    assert list(remaking(tmp_path, lists)) == []


@pytest.mark.parametrize("state", [Status.HELD, Status.REJECTED])
def test_what_was_made_anew_stands_for_what_was_made_with_withheld_slices(tmp_path: Path, state: Status) -> None:
    whole = replace(PICTURE, stack=2, sources=("2.25.3",), name=PICTURE.name.replace("1.png", "2.png"))
    again = [replace(one, sources=("2.25.3",), sha256="b") for one in (PICTURE, IMAGE)]
    settled, files, lists = settle(tmp_path, both(state), [PICTURE, whole], [IMAGE], again)
    assert files == {
        PICTURE.name: (tmp_path / "remade" / "figures" / STUDY / SERIES / "stack_1.png", "b"),
        IMAGE.name: (tmp_path / "remade" / "volumes" / STUDY / SERIES / "stack_1.nii.gz", "b"),
    }
    (work,) = remaking(tmp_path, lists)
    assert (work.batch, work.withheld, work.redrawn, work.released) == ("b000001", {KEY: 1}, {KEY}, {"2.25.3"})
    assert left(settled) == []


def test_withheld_slices_are_counted_in_series_of_which_some_are_released() -> None:
    other = [status("2.25.5", Status.HELD, "2.25.8"), replace(status("2.25.6", Status.REJECTED), staged_path="")]
    assert partly_released([*both(Status.HELD), *other]) == {KEY: 1}
    assert partly_released([*both(Status.RELEASED), *other]) == {}


def test_withheld_segmentation_leaves_the_picture_and_the_volume_of_its_ct(tmp_path: Path) -> None:
    states = [*both(Status.RELEASED), status("2.25.9", Status.HELD, "2.25.8")]
    marked = replace(PICTURE, sources=MASK.sources, marks=MASK.marks)
    settled, files, lists = settle(tmp_path, states, [marked], [IMAGE, MASK], [PICTURE])
    assert [(name, path.parts[len(tmp_path.parts)]) for name, (path, _) in sorted(files.items())] == [
        (PICTURE.name, "remade"),
        (IMAGE.name, "volumes"),
    ]
    (work,) = remaking(tmp_path, lists)
    assert (work.withheld, work.redrawn) == ({}, {KEY})
    assert left(settled) == [
        ("mask", 2, "its SEG is not released"),
        ("picture", 0, "released, but drawn without a SEG or RTSTRUCT that is not released"),
    ]


def test_product_in_which_its_check_found_something_is_named_and_not_released(tmp_path: Path) -> None:
    broken = replace(IMAGE, name="", problems=("pixels_undecodable: no pixels",))
    settled, files, _ = settle(tmp_path, both(Status.RELEASED), [PICTURE], [broken])
    assert list(files) == [PICTURE.name]
    assert settled.as_data()["left_out"] == [
        {
            "study_instance_uid": STUDY, "series_instance_uid": SERIES, "stack": 1, "kind": "image", "segment": 0,
            "reason": "pixels_undecodable: no pixels",
        }
    ]  # fmt: skip


def test_nothing_is_released_or_said_of_a_series_that_is_withheld_or_not_known(tmp_path: Path) -> None:
    held = [status("2.25.3", Status.HELD), status("2.25.4", Status.HELD), status("2.25.9", Status.RELEASED, "2.25.8")]
    for states in (held, []):
        marked = replace(PICTURE, sources=MASK.sources, marks=MASK.marks)
        settled, files, lists = settle(tmp_path, states, [marked], [replace(IMAGE, problems=("grid",)), MASK])
        assert (files, left(settled), list(remaking(tmp_path, lists))) == ({}, [], [])


def test_rows_of_the_ct_audit_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "ct_prepro_audit.json"
    for rows in ([], [{"a": 1}], [{"a": 1, "b": [{"c": "},\n{"}]}, {"a": 2}]):
        lines = b",".join(b"\n" + json.dumps(row).encode() for row in rows)
        path.write_bytes(b'{"schema":"x","settings":{},"series":[' + lines + b"\n]}\n")
        assert list(ct_prepro_rows(path)) == json.loads(path.read_bytes())["series"] == rows
