"""Progress of a run: estimates that do not climb while nothing new is known, counts of this scan alone."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

import audit_summary
import main as front_door
import run_progress
from run_progress import (
    ROOT,
    STAGES,
    SUMMARY_SCHEMA,
    LogReader,
    Remaining,
    RunState,
    counted,
    forget_scan_progress,
    print_summary,
    read_scan_progress,
    rejected_lines,
    remaining_words,
    text_line,
    work_done,
)

# Seconds at which the steps of a run of the sample input ended, on two cores that others used too.
ENDED = (
    1, 2, 6, 10, 13, 18, 23, 28, 34, 38, 39, 60, 62, 88, 94, 99, 102, 107, 111, 111, 124, 126, 136, 139, 142,
    147, 151, 158, 178, 183, 185, 198, 199, 200, 206, 207, 213, 223, 229, 231, 234, 239, 246, 253, 261, 263,
    266, 268, 270, 277, 285, 297, 321, 325, 326, 328, 330, 332, 346, 349, 353, 355, 357, 364, 364, 372, 375,
    381, 382, 389, 391, 394, 397, 401, 411, 417, 417, 421, 421, 426, 428, 434, 439, 440, 446, 456, 462, 467,
    471, 475, 476, 480, 487, 491, 498, 504, 515, 524, 533, 545, 547, 559, 562, 565, 567, 568, 571, 573, 577,
    581, 586, 587, 594, 597, 598, 600, 603, 607, 610, 610, 613, 618, 629, 632, 641, 644, 652, 654, 664, 666,
    673, 675, 682, 694, 699, 706, 733, 735, 953, 960, 962, 965, 969, 970, 976, 977, 978, 979, 986, 993, 996,
    997, 997,
)  # fmt: skip


def told(ended: tuple[int, ...]) -> list[tuple[int, float]]:
    """Return what is told second by second, as (second, seconds left)."""
    left = Remaining(0.0)
    said = ((now, left.seconds(sum(end <= now for end in ended), len(ended), float(now))) for now in range(ended[-1]))
    return [(now, seconds) for now, seconds in said if seconds is not None]


def test_estimate_of_a_recorded_run_does_not_jump() -> None:
    said = told(ENDED)
    ends = [now + seconds for now, seconds in said]
    assert max(abs(after - before) for before, after in pairwise(ends)) < 10
    assert max(after - before for (_, before), (_, after) in pairwise(said)) < 10
    assert all(0.75 < end / ENDED[-1] < 1.1 for end in ends)
    assert len(said) > 0.6 * ENDED[-1]


def test_estimate_is_left_out_until_a_tenth_of_the_work_is_done() -> None:
    first, _ = told(ENDED)[0]
    assert sum(end <= first for end in ENDED) == 16 == -(-len(ENDED) // 10)
    assert told(ENDED[:9]) == []  # of few steps nothing is known


def test_estimate_counts_down_between_two_pieces_of_work() -> None:
    left = Remaining(0.0)
    assert left.seconds(0, 40, 0.0) is None
    assert left.seconds(10, 40, 100.0) == 300.0
    assert left.seconds(10, 40, 180.0) == 220.0
    assert left.seconds(10, 40, 399.0) == 1.0
    assert left.seconds(10, 40, 405.0) is None  # longer than thought: nothing is said rather than a wrong time


def test_estimate_begins_anew_with_other_work() -> None:
    left = Remaining(0.0)
    left.seconds(0, 1000, 1.0)
    assert left.seconds(500, 1000, 101.0) == 100.0
    assert left.seconds(0, 20, 200.0) is None
    assert left.seconds(10, 20, 210.0) == 10.0
    assert left.seconds(10, 40, 300.0) is None
    assert left.seconds(20, 40, 320.0) == 40.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (2.0, "about 10 s left"),
        (47.0, "about 50 s left"),
        (93.0, "about 2 min left"),
        (1500.0, "about 25 min left"),
        (9000.0, "about 2 h left"),
    ],
)
def test_time_left_is_told_no_finer_than_it_is_known(seconds: float | None, words: str) -> None:
    assert remaining_words(seconds) == words


def test_progress_in_a_narrow_terminal_is_told_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(run_progress.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=80)
    state = RunState(steps=200, stage=STAGES["read_burned_in_text"], instances_done=198)
    with run_progress._progress(console, {"b000001": (59, 200)}) as show:
        show(state)
        clock[0], state.steps_done = 300.0, 50
        show(state)
    shown = stream.getvalue()
    assert all(text in shown for text in ("looking for text in pixels", "198/200 instances", "about 15 min left"))


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


def test_rule_that_asks_for_all_is_no_stage() -> None:
    reader = LogReader({})
    for line in ("rule release:", "localrule all:"):
        reader.feed(line)
    assert reader.state.stage == STAGES["release"]


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
