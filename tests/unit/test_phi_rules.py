"""The 18 identifiers of Safe Harbor are mapped to attributes, and a wrong mapping is refused."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.phi_rules import HIPAA_FOLDER, LETTERS, attributes_of, describe, load_safe_harbor

TABLES = Path(__file__).resolve().parents[3] / "shared" / "dicom_ps3_15_2026d"


def test_each_of_the_18_identifiers_is_named_and_all_but_vehicles_have_attributes():
    safe_harbor = load_safe_harbor()
    assert "".join(safe_harbor.identifiers) == LETTERS
    assert [letter for letter in LETTERS if not attributes_of(letter, safe_harbor)] == ["L"]


@pytest.mark.parametrize(
    ("tag", "letters"),
    [
        (0x00100010, "A"),
        (0x00100030, "C"),
        (0x00100020, "GHI"),
        (0x00102154, "DE"),
        (0x00181000, "M"),
        (0x0020000D, "CR"),
        (0x00280010, ""),
        (0x60023000, "R"),
        (0x60021500, "A"),
    ],
)
def test_letters_of_an_attribute(tag, letters):
    assert load_safe_harbor().letters(tag) == letters


def test_letters_are_described_in_words():
    assert describe("AC", load_safe_harbor()) == ["(A) Names", "(C) Date elements except year; ages over 89"]


@pytest.mark.skipif(not TABLES.is_dir(), reason="the source tables are not here")
def test_generator_writes_the_committed_file_byte_for_byte(tmp_path):
    runpy.run_path(str(HIPAA_FOLDER / "generate.py"))["main"]([str(TABLES), str(tmp_path)])
    assert (tmp_path / "safe_harbor.json").read_bytes() == (HIPAA_FOLDER / "safe_harbor.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"letter": "S"}, "attributes row 1 (0008,0090): unknown letter 'S'"),
        ({"tag": "PatientName"}, "attributes row 1 PatientName: no tag of the form"),
    ],
)
def test_wrong_row_is_refused_by_name(tmp_path, change, message):
    content = json.loads((HIPAA_FOLDER / "safe_harbor.json").read_text(encoding="utf-8"))
    content["attributes"][0].update(change)
    (tmp_path / "safe_harbor.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PolicyError) as error:
        load_safe_harbor(tmp_path)
    assert message in str(error.value)


def test_duplicate_row_is_refused(tmp_path):
    content = json.loads((HIPAA_FOLDER / "safe_harbor.json").read_text(encoding="utf-8"))
    content["attributes"].insert(1, content["attributes"][0])
    (tmp_path / "safe_harbor.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"row 2 \(0008,0090\): duplicate row for letter A"):
        load_safe_harbor(tmp_path)
