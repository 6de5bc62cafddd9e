"""Boxes that instances of one transducer, or of one folder, share across their series, in whole runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness import BATCH_RULES, PATIENT_RULES, Workplace

import factories
from sample_identity import BARNABY, source_uid

pytestmark = pytest.mark.workflow

UPPER = (BARNABY.printed_name,)
LOWER = ("", "", f"ID {BARNABY.patient_id}")
TWO_BATCHES = ("--set", "inventory.spread=1", "--set", "inventory.target_work=5.5", "--set", "reports.pictures=false")
# Input path -> transducer, lines of text. Each is a series of its own.
PICTURES = {
    "one/upper.dcm": ("C5-1", UPPER),
    "one/other.dcm": ("L12-3", ()),
    "two/lower.dcm": ("C5-1", LOWER),
    "two/empty.dcm": ("C5-1", ()),
    "two/unnamed.dcm": ("", ()),
    "three/empty.dcm": ("C5-1", ()),
}
SMALLER = "two/smaller.dcm"  # of that transducer, with another matrix
Boxes = dict[str, frozenset[tuple[int, ...]]]


def build(root: Path) -> None:
    for number, (path, (transducer, lines)) in enumerate(PICTURES.items()):
        write(root / path, number, transducer, lines, (96, 256))
    write(root / SMALLER, len(PICTURES), "C5-1", (), (80, 256))


def write(path: Path, number: int, transducer: str, lines: tuple[str, ...], size: tuple[int, int]) -> None:
    own = {
        "SeriesInstanceUID": source_uid(BARNABY.patient_id, f"shared {number}"),
        "SOPInstanceUID": source_uid(BARNABY.patient_id, f"shared {number}", 1),
    }
    if transducer:
        own |= {"TransducerData": transducer, "TransducerType": "CURVED LINEAR"}
    factories.write(factories.rgb_instance(lines, person=BARNABY, size=size, **own), path)


def filled(place: Workplace) -> Boxes:
    """Return the boxes of each instance by the audit."""
    rows = [json.loads(line) for line in (place.output / "audits/deid/deid_audit.jsonl").read_bytes().splitlines()]
    assert {row["status"] for row in rows} == {"released"}
    return {row["input_path"]: frozenset(tuple(box.values()) for _, box in row["boxes"]) for row in rows}


def batches(place: Workplace) -> dict[str, str]:
    """Return {input path: batch}."""
    found = {}
    for path in sorted((place.output / "private" / "manifests").glob("b*.json")):
        found |= {row["instances"][0]["path"]: path.stem for row in json.loads(path.read_bytes())["series"]}
    return found


def test_boxes_are_shared_by_transducer_and_by_folder_across_series(finished: Workplace, tmp_path: Path) -> None:
    place = Workplace(finished.product, tmp_path / "input", tmp_path / "output")
    build(place.source)
    alone = place.run(*TWO_BATCHES)
    batch = batches(place)
    assert len(set(batch.values())) == 2 and batch["one/upper.dcm"] not in {
        batch["one/other.dcm"],
        batch["two/lower.dcm"],
    }
    assert batch["two/lower.dcm"] != batch["two/empty.dcm"] and batch["one/upper.dcm"] != batch["three/empty.dcm"]
    assert ("gather_boxes", "") not in alone.jobs
    own = filled(place)
    upper, lower = own["one/upper.dcm"], own["two/lower.dcm"]
    assert upper and lower and not upper & lower
    assert own == dict.fromkeys([*PICTURES, SMALLER], frozenset()) | {"one/upper.dcm": upper, "two/lower.dcm": lower}

    by_transducer = place.run(*TWO_BATCHES, "--set", "ocr.group_by=transducer")
    assert filled(place) == own | dict.fromkeys(
        ("one/upper.dcm", "two/lower.dcm", "two/empty.dcm", "three/empty.dcm"), upper | lower
    )
    ran = {rule for rule, _ in by_transducer.jobs}
    assert {"gather_boxes", *PATIENT_RULES} - {"measure_ct_geometry", "draw_stacks", "draw_pictures"} <= ran
    assert not ran & (set(BATCH_RULES) - set(PATIENT_RULES)), "no picture is read again"

    place.run(*TWO_BATCHES, "--set", "ocr.group_by=folder")
    assert filled(place) == own | {"one/other.dcm": upper} | dict.fromkeys(("two/empty.dcm", "two/unnamed.dcm"), lower)
