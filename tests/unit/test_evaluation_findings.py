"""Reports hold a line a finding; the score counts what it says it counts."""

from __future__ import annotations

from phi_deid_pipeline.evaluation_findings import (
    HEADER_COLUMNS,
    PIXEL_COLUMNS,
    FileResult,
    HeaderFinding,
    PixelFinding,
    Severity,
    legible,
    score,
    tsv,
)
from phi_deid_pipeline.records import Box


def header(severity: Severity, kind: str = "date") -> HeaderFinding:
    return HeaderFinding("a/b.dcm", "(0008,0020)", "StudyDate", "DA", severity, kind, "20240229", "why")


def test_table_has_one_line_a_finding_and_the_time_last() -> None:
    lines = tsv(HEADER_COLUMNS, [header(Severity.LIKELY)], "2026-01-01T00:00:00Z").split("\n")
    assert lines[0] == "file\ttag\tkeyword\tvr\tseverity\tkind\tseen\twhy\ttime"
    assert lines[1] == "a/b.dcm\t(0008,0020)\tStudyDate\tDA\tlikely\tdate\t20240229\twhy\t2026-01-01T00:00:00Z"
    assert lines[2:] == [""]


def test_box_is_four_numbers_and_missing_where_nothing_was_read() -> None:
    one = PixelFinding("a", 2, "pixels", Box(1, 2, 30, 4), "ppocr", 0.5, Severity.POSSIBLE, "text", "ab", "why")
    none = PixelFinding("a", 0, "pixels", None, "", 0.0, Severity.LIKELY, "unreadable", "", "why")
    lines = tsv(PIXEL_COLUMNS, [one, none], "T").split("\n")
    assert lines[1].split("\t")[:6] == ["a", "2", "pixels", "1,2,30,4", "ppocr", "0.50"]
    assert lines[2].split("\t")[3] == ""


def test_what_breaks_a_line_is_escaped_and_long_text_cut() -> None:
    assert legible("a\tb\nc\udc80") == "a\\tb\\nc\\udc80"
    assert legible("x" * 500) == "x" * 160 + "..."


def test_score_is_the_share_of_instances_without_certain_or_likely_findings() -> None:
    broken = HeaderFinding("c", "file", "", "", Severity.LIKELY, "unreadable", "", "why")
    stray = HeaderFinding("d", "file", "", "", Severity.POSSIBLE, "no_dicom", "", "why")
    results = [
        FileResult("a", True, (header(Severity.CERTAIN), header(Severity.POSSIBLE)), frames=3, frames_read=2),
        FileResult("b", True, (header(Severity.POSSIBLE),), frames=1, frames_read=1),
        FileResult("b2", True),
        FileResult("c", False, (broken,)),
        FileResult("d", False, (stray,)),
    ]
    figures = score(results)
    assert figures["score"] == 50.0
    assert figures["without_finding_percent"] == 25.0
    assert (figures["instances"], figures["unreadable"], figures["no_dicom"]) == (4, 1, 1)
    assert figures["per_1000_instances"] == {"certain": 250.0, "likely": 250.0, "possible": 750.0}
    assert figures["kinds"]["date"] == {"certain": 1, "possible": 2}
    assert (figures["frames"], figures["frames_read"]) == (4, 3)


def test_no_instance_scores_full_and_divides_by_nothing() -> None:
    assert score([])["score"] == 100.0
