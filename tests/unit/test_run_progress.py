"""Progress of a run: estimates that do not climb while nothing new is known, counts of this scan alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

import audit_summary
import main as front_door
from run_progress import (
    ROOT,
    STAGES,
    SUMMARY_SCHEMA,
    Remaining,
    RunState,
    counted,
    forget_scan_progress,
    print_summary,
    read_scan_progress,
    rejected_lines,
    text_line,
    work_done,
)


def test_estimate_counts_down_between_two_pieces_of_work() -> None:
    left = Remaining(0.0)
    assert left.seconds(0, 4, 0.0) is None
    assert left.seconds(1, 4, 10.0) == 30.0
    assert left.seconds(1, 4, 18.0) == 22.0
    assert left.seconds(1, 4, 39.0) == 1.0
    assert left.seconds(1, 4, 45.0) is None  # longer than thought: nothing is said rather than a wrong time
    assert left.seconds(2, 4, 50.0) == 50.0


def test_estimate_begins_anew_with_other_work() -> None:
    left = Remaining(0.0)
    left.seconds(0, 1000, 1.0)
    assert left.seconds(500, 1000, 101.0) == 100.0
    assert left.seconds(0, 10, 200.0) is None
    assert left.seconds(1, 10, 201.0) == 9.0
    assert left.seconds(3, 20, 300.0) is None
    assert left.seconds(4, 20, 302.0) == 32.0


@pytest.mark.parametrize(
    ("stage", "done"),
    [("inventory", (30, 90)), ("verify_series", (2, 5))],
)
def test_work_is_counted_in_files_during_the_scan_alone(stage: str, done: tuple[int, int]) -> None:
    state = RunState(stage=STAGES[stage], steps=5, steps_done=2, files_read=30, files_to_read=90)
    assert work_done(state) == done


def test_every_rule_with_a_step_has_words_for_the_user() -> None:
    rules = {
        name
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"^(?:rule|checkpoint) (\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(rules) > 15
    assert rules - {"all"} == STAGES.keys()


def test_summary_of_another_version_is_not_shown(tmp_path: Path) -> None:
    assert audit_summary.SUMMARY_SCHEMA == SUMMARY_SCHEMA
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits" / "summary.json").write_text('{"schema": "summary/1"}', encoding="utf-8")
    console = Console(record=True, width=200)
    assert print_summary(tmp_path, console) == 0
    assert "run again" in console.export_text()


@pytest.mark.parametrize(("number", "told"), [(0, "0 boxes"), (1, "1 box"), (2, "2 boxes")])
def test_nouns_follow_their_number(number: int, told: str) -> None:
    assert counted(number, "box", "boxes") == told
    assert counted(number, "file") == f"{number} file{'' if number == 1 else 's'}"


def test_text_is_told_in_the_number_that_it_has() -> None:
    one = {"instances_read": 1, "regions_hidden": 1, "instances_redacted": 1, "regions_benign_kept": 1}
    told = text_line(one | {"read_again": {"frames": 1, "left": 1}})
    assert "1 instance looked at, 1 region hidden in 1 instance, 1 benign region kept." in told
    assert "1 frame was looked at again, 1 text that identifies was left." in told


def summary(rejected: dict[str, int], held: dict[str, int], instances: int) -> dict[str, object]:
    return {"rejected_by_reason": rejected, "held_by_reason": held, "instances": {"rejected": instances}}


def test_summary_names_the_files_that_tell_of_what_was_rejected(tmp_path: Path) -> None:
    rejected = {"not_dicom": 1, "duplicate_conflict": 2}
    lines = rejected_lines(summary(rejected, {}, 2), tmp_path)
    assert lines == [
        "Besides, 1 file that is no DICOM instance was rejected.",
        "All rejected input files, by reason: 2 duplicate_conflict, 1 not_dicom",
        "What the scan rejected, and what to do, of duplicates also the row of decisions that takes it: "
        f"{tmp_path}/private/rejected.jsonl",
        f"All instances with status, reason and what to do: {tmp_path}/audits/deid/deid_audit.jsonl",
    ]


def test_summary_of_a_run_that_released_all_names_no_list(tmp_path: Path) -> None:
    assert rejected_lines(summary({}, {}, 0), tmp_path) == []
    (text, audit) = rejected_lines(summary({}, {"photograph": 1}, 0), tmp_path)
    assert text == "Held for review, by reason: 1 photograph" and "rejected.jsonl" not in audit


def test_what_a_former_scan_said_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / ".scan_progress").write_text("7 9", encoding="ascii")
    assert read_scan_progress(tmp_path) == (7, 9)
    forget_scan_progress(tmp_path)
    assert read_scan_progress(tmp_path) == (0, 0)
    forget_scan_progress(tmp_path)


@pytest.mark.parametrize("command", ["status", "releases", "words"])
def test_folder_that_no_run_wrote_is_refused(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scan").mkdir()
    assert front_door.main([command, "--output", str(tmp_path)]) == 2
    assert "no output of a run" in capsys.readouterr().err
