"""Audit and summary count the regions of text alike: all by verdict, the hidden ones by verdict, the rest as kept."""

from __future__ import annotations

import json
from pathlib import Path

from audit_batches import assemble, make_output
from phi_deid_pipeline.pipeline import text_scan
from phi_deid_pipeline.records import Box, Finding, InstanceFindings, Verdict

ENDS = [
    (Verdict.IDENTIFYING, "matches", True),
    (Verdict.BENIGN, "a hidden box reaches into it", True),
    (Verdict.BENIGN, "decided by a person", True),
    (Verdict.BENIGN, "allowed words", False),
    (Verdict.UNKNOWN, "decided by a person", False),
    (Verdict.NOT_TEXT, "a single sign", False),
]


def test_audit_tells_hidden_regions_by_verdict_and_the_rest_by_reason() -> None:
    found = tuple(
        Finding(0, Box(0, 0, 9, 9), "pixels", "x", 0.9, verdict, "", why, hide) for verdict, why, hide in ENDS
    )
    told = text_scan(InstanceFindings("1.2", "a", "read", "", 1, 1, ("ppocr",), found))
    assert told["regions"] == {"identifying": 1, "unknown": 1, "benign": 3, "not_text": 1}
    assert told["hidden_by_verdict"] == {"identifying": 1, "unknown": 0, "benign": 2, "not_text": 0}
    assert told["regions_hidden"] == sum(told["hidden_by_verdict"].values())
    assert sum(told["kept_by_reason"].values()) + told["regions_hidden"] == sum(told["regions"].values())


def test_summary_counts_harmless_text_that_is_hidden_as_hidden_and_not_as_kept(tmp_path: Path) -> None:
    make_output(tmp_path)
    path = sorted((tmp_path / "private" / "findings").glob("*.jsonl"))[0]
    findings = [{"verdict": verdict.value, "hide": hide, "id": "0123456789ab"} for verdict, _, hide in ENDS]
    row = json.loads(path.read_text().splitlines()[0]) | {"findings": findings}
    path.write_text(json.dumps(row) + "\n")
    text = assemble(tmp_path)["text"]
    assert text["regions_by_verdict"] == {"identifying": 1, "unknown": 1, "benign": 3, "not_text": 1}
    assert text["hidden_by_verdict"] == {"identifying": 1, "unknown": 0, "benign": 2, "not_text": 0}
    assert text["regions_hidden"] == sum(text["hidden_by_verdict"].values()) == 3
    assert (
        text["regions_benign_kept"] == text["regions_by_verdict"]["benign"] - text["hidden_by_verdict"]["benign"] == 1
    )
