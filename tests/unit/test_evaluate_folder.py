"""`main.py evaluate`: reports and score, refusals, exit codes, nothing of what was seen in log and terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import evaluate_folder
import factories
import main as front_door
from evaluate_folder import HEADER_REPORT, LOG, PIXEL_REPORT, SCORE, read_known
from phi_deid_pipeline.errors import ConfigError
from record_io import write_jsonl
from unit.test_evaluation_header import clean

REPORTS = (HEADER_REPORT, PIXEL_REPORT, SCORE, LOG)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    root = tmp_path / "released"
    factories.write(factories.ct_instance(), root / "1.dcm")
    factories.write(clean(), root / "2.dcm")
    return root


def evaluate(root: Path, output: Path, *more: str) -> int:
    call = ["evaluate", "--input", str(root), "--output", str(output), "--cores", "1", "--frame-share", "0", *more]
    return front_door.main(call)


def rows(path: Path) -> list[dict[str, str]]:
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_findings_are_reported_and_scored(released: Path, tmp_path: Path) -> None:
    assert evaluate(released, tmp_path / "out") == 1
    found = rows(tmp_path / "out" / HEADER_REPORT)
    assert {row["file"] for row in found} == {"1.dcm"}
    names = [row for row in found if row["tag"] == "(0010,0010)"]
    assert [(row["keyword"], row["severity"], row["kind"]) for row in names] == [("PatientName", "likely", "name")]
    assert len({row["time"] for row in found}) == 1
    figures = json.loads((tmp_path / "out" / SCORE).read_text())
    assert (figures["score"], figures["instances"]) == (50.0, 2)
    assert rows(tmp_path / "out" / PIXEL_REPORT) == []


def test_progress_is_told_where_no_terminal_is(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(evaluate_folder, "PLAIN_SECONDS", 0.0)
    evaluate(released, tmp_path / "out")
    count = sum(path.is_file() for path in released.rglob("*"))
    assert f"evaluating: {count} of {count} files" in capsys.readouterr().out


def test_folder_without_findings_ends_well(released: Path, tmp_path: Path) -> None:
    (released / "1.dcm").unlink()
    assert evaluate(released, tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / SCORE).read_text())["score"] == 100.0


def test_burned_in_text_stands_in_the_report_of_pixels(tmp_path: Path) -> None:
    ds = factories.rgb_instance(("MRN: 77304419",), size=(120, 400))
    factories.write(ds, tmp_path / "released" / "1.dcm")
    assert evaluate(tmp_path / "released", tmp_path / "out", "--frame-share", "1") == 1
    found = rows(tmp_path / "out" / PIXEL_REPORT)
    assert {(row["file"], row["frame"], row["kind"]) for row in found} == {("1.dcm", "0", "label")}
    assert len(found[0]["box"].split(",")) == 4


def test_second_run_and_more_cores_differ_in_the_time_alone(released: Path, tmp_path: Path) -> None:
    evaluate(released, tmp_path / "a")
    evaluate(released, tmp_path / "b", "--cores", "2")
    one, other = (rows(tmp_path / name / HEADER_REPORT) for name in ("a", "b"))
    assert [row | {"time": ""} for row in one] == [row | {"time": ""} for row in other]
    one, other = (json.loads((tmp_path / name / SCORE).read_text()) for name in ("a", "b"))
    assert one | {"timestamp": ""} == other | {"timestamp": ""}


def test_reports_are_private_and_log_and_terminal_hold_no_value(
    released: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(released, tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert {(tmp_path / "out" / name).stat().st_mode & 0o777 for name in REPORTS} == {0o600}
    shown = "".join(capfd.readouterr()) + (tmp_path / "out" / LOG).read_text()
    assert [value for value in factories.canaries() if value in shown] == []
    assert "may identify patients" in shown
    assert "certain" in shown


def test_known_identifiers_of_a_table_are_searched(released: Path, tmp_path: Path) -> None:
    table = tmp_path / "known.csv"
    table.write_text("value,category\nPVJEOY55Z2OWIV2SN,record_number\n2.25.12,uid\n")
    evaluate(released, tmp_path / "out", "--identifiers", str(table))
    kinds = {row["kind"] for row in rows(tmp_path / "out" / HEADER_REPORT) if row["file"] == "2.dcm"}
    assert kinds == {"known_record_number", "known_uid"}


def test_known_identifiers_of_a_run_are_its_lexicons_and_source_uids(tmp_path: Path) -> None:
    (tmp_path / "lexicons").mkdir()
    (tmp_path / "lexicons" / "p000001.json").write_text('{"entries": [["name", "Zimmerlin^Ottoline"]]}')
    (tmp_path / "uid_map").mkdir()
    write_jsonl(tmp_path / "uid_map" / "b000001.jsonl", [{"old_uid": "1.2.3"}])
    known = read_known(tmp_path)
    assert known.uid("1.2.3").kind == "known_uid"
    assert [one.kind for one in known.search("ottoline zimmerlin")] == ["known_name"]


def test_table_with_semicolons_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text("value;category\n77304419;record_number\n")
    with pytest.raises(ConfigError, match="divided by semicolons"):
        read_known(tmp_path / "known.csv")


def test_short_known_number_is_certain_where_it_is_the_value_of_an_identifying_attribute(tmp_path: Path) -> None:
    ds = clean()
    ds.PatientID, ds.SeriesDescription = "1234", "HEAD 1234"
    factories.write(ds, tmp_path / "released" / "1.dcm")
    (tmp_path / "known.csv").write_text("value,category\n1234,record_number\n")
    assert evaluate(tmp_path / "released", tmp_path / "out", "--identifiers", str(tmp_path / "known.csv")) == 1
    found = [row for row in rows(tmp_path / "out" / HEADER_REPORT) if row["kind"] == "known_record_number"]
    assert [(row["keyword"], row["severity"]) for row in found] == [
        ("SeriesDescription", "possible"),
        ("PatientID", "certain"),
    ]


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n"], ids=["missing", "wrong columns"])
def test_table_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "known.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="identifiers"):
        read_known(path)


def test_folder_that_is_no_private_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lexicons"):
        read_known(tmp_path)


def test_reports_inside_the_input_are_refused(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(released)
    for output in (released, released / "reports", tmp_path / "link" / "reports"):
        assert evaluate(released, output) == 2
    assert "must not lie inside the input" in capsys.readouterr().err
    assert not (released / "reports").exists()


def test_input_that_is_missing_empty_or_without_dicom_is_refused(tmp_path: Path) -> None:
    assert evaluate(tmp_path / "none", tmp_path / "out") == 2
    (tmp_path / "empty").mkdir()
    assert evaluate(tmp_path / "empty", tmp_path / "out") == 2
    (tmp_path / "empty" / "a.txt").write_text("text")
    assert evaluate(tmp_path / "empty", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", ["-0.1", "1.5", "half"])
def test_share_of_frames_is_from_none_to_all(released: Path, tmp_path: Path, share: str) -> None:
    with pytest.raises(SystemExit) as ended:
        evaluate(released, tmp_path / "out", "--frame-share", share)
    assert ended.value.code == 2
