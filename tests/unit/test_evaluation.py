"""A folder is gone through file by file: DICOM, what is broken, what is none; the same for any number of cores."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import factories
from phi_deid_pipeline.evaluation import Evaluation
from phi_deid_pipeline.evaluation_findings import FileResult, Severity
from phi_deid_pipeline.evaluation_known import Known


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "released"
    path = factories.write(factories.ct_instance(), root / "b" / "1.dcm")
    content = path.read_bytes()
    (root / "bare").write_bytes(content[132:])
    (root / "cut.dcm").write_bytes(content[:700])
    (root / "note.txt").write_text("mail a@example.org")
    (root / "scan.pdf").write_bytes(b"%PDF-1.7 ...")
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to(path)
    return root


def look(root: Path, cores: int = 1, known: Known | None = None) -> dict[str, FileResult]:
    """Look at headers; with known identifiers at pixels, too."""
    evaluation = Evaluation(root, known or Known(), 1.0 if known else 0.0)
    return {result.file: result for result in evaluation.results(evaluation.files(), cores)}


def kinds(result: FileResult) -> set[tuple[Severity, str]]:
    return {(one.severity, one.kind) for one in result.header if one.tag == "file"}


def test_every_file_is_told_in_order(folder: Path) -> None:
    assert Evaluation(folder).files() == ["b/1.dcm", "bare", "cut.dcm", "empty", "link", "note.txt", "scan.pdf"]
    assert list(look(folder)) == Evaluation(folder).files()


def test_instances_with_and_without_preamble_are_read(folder: Path) -> None:
    results = look(folder)
    assert results["b/1.dcm"].is_instance
    assert results["bare"].is_instance
    names = [one for one in results["bare"].header if one.keyword == "PatientName"]
    assert names[0].severity is Severity.LIKELY


def test_what_is_no_dicom_is_told_by_what_it_is(folder: Path) -> None:
    results = look(folder)
    assert not results["note.txt"].is_instance
    assert kinds(results["note.txt"]) == {(Severity.POSSIBLE, "no_dicom"), (Severity.CERTAIN, "e-mail")}
    assert kinds(results["scan.pdf"]) == {(Severity.LIKELY, "no_dicom")}
    assert kinds(results["empty"]) == {(Severity.POSSIBLE, "no_dicom")}
    assert kinds(results["link"]) == {(Severity.POSSIBLE, "link")}


def test_compressed_bytes_hold_no_age_by_chance(tmp_path: Path) -> None:
    """Four characters of an age stand somewhere in most pictures."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00~q 99YO #\x00mail to jane.roe@example.org now\x00")
    (tmp_path / "a.txt").write_bytes(b"age: 99YO #")
    results = look(tmp_path)
    assert kinds(results["a.png"]) == {(Severity.LIKELY, "no_dicom"), (Severity.CERTAIN, "e-mail")}
    assert (Severity.CERTAIN, "age") in kinds(results["a.txt"])


def test_pictures_are_read_beside_instances(tmp_path: Path) -> None:
    """A release holds pictures, too: nobody looked into what cannot be decoded, what can be is a picture like any other."""
    page = np.full((120, 480, 4), (40, 40, 40, 255), np.uint8)
    cv2.putText(page, "Jane Zimmerlin", (20, 70), cv2.FONT_HERSHEY_DUPLEX, 1.2, (250, 250, 250, 255), 2)
    for name in ("a.png", "b.tiff", "c.bmp"):
        (tmp_path / name).write_bytes(cv2.imencode(f".{name[2:]}", page)[1].tobytes())
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    results = look(tmp_path, known=Known([("name", "Zimmerlin^Jane")]))
    for name in ("a.png", "b.tiff", "c.bmp"):
        assert (Severity.POSSIBLE, "no_dicom") in kinds(results[name])
        assert (Severity.CERTAIN, "known_name") in {(one.severity, one.kind) for one in results[name].pixels}
        assert (results[name].is_instance, results[name].frames_read) == (False, 1)
    assert kinds(results["cut.png"]) == {(Severity.LIKELY, "no_dicom")}


def test_text_in_the_transparency_of_a_picture_is_read(tmp_path: Path) -> None:
    page = np.full((120, 480, 4), 255, np.uint8)
    alpha = np.full((120, 480), 255, np.uint8)
    cv2.putText(alpha, "Jane Zimmerlin", (20, 70), cv2.FONT_HERSHEY_DUPLEX, 1.2, 0, 2)
    page[..., 3] = alpha
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", page)[1].tobytes())
    (found,) = {one.plane for one in look(tmp_path, known=Known([("name", "Zimmerlin^Jane")]))["a.png"].pixels}
    assert found == "transparency"


def test_broken_instance_is_a_finding(folder: Path) -> None:
    found = look(folder)["cut.dcm"].findings
    assert any(one.severity is Severity.LIKELY for one in found)


def test_file_that_cannot_be_parsed_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\x00")
    result = look(tmp_path)["a.dcm"]
    assert kinds(result) == {(Severity.LIKELY, "unreadable")}
    assert not result.is_instance


def test_cores_change_nothing(folder: Path) -> None:
    assert look(folder, 2) == look(folder, 1)


def test_pixels_are_read_where_frames_are_asked_for(folder: Path) -> None:
    evaluation = Evaluation(folder, Known(), 1.0)
    assert evaluation.look("b/1.dcm").frames_read == 1
    assert Evaluation(folder, Known(), 0.0).look("b/1.dcm").frames_read == 0
