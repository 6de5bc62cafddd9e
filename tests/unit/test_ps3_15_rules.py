"""The rules file holds Table E.1-1 of the edition it names, and refuses every row that is wrong by naming it."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_has_tag

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.ps3_15_rules import (
    RULES_FOLDER,
    TABLE_OPTIONS,
    format_tag,
    load_dictionary,
    load_goes_with,
    load_iod_types,
    load_rules,
    parse_tag,
)

TABLES = Path(__file__).resolve().parents[3] / "shared" / "dicom_ps3_15_2026d"
RULES = json.loads((RULES_FOLDER / "ps3_15_rules.json").read_text(encoding="utf-8"))
needs_tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the source tables of PS3.15 are not here")


def _digest(rows: list[dict]) -> str:
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def test_counts_per_basic_code_are_those_of_edition_2026d():
    assert RULES["edition"] == "2026d"
    assert Counter(row["basic"] for row in RULES["table_e1_1"]) == {
        "X": 417, "D": 93, "U": 55, "Z": 42, "X/D": 23, "X/Z": 11, "X/Z/D": 8, "Z/D": 6, "X/Z/U*": 2,
    }  # fmt: skip


def test_counts_per_option_are_those_of_edition_2026d():
    found = Counter((option, code) for row in RULES["table_e1_1"] for option, code in row["options"].items())
    assert found == {
        ("retain_safe_private", "C"): 1,
        ("retain_uids", "K"): 60,
        ("retain_device_identity", "K"): 48,
        ("retain_device_identity", "C"): 11,
        ("retain_institution_identity", "K"): 10,
        ("retain_patient_characteristics", "K"): 14,
        ("retain_patient_characteristics", "C"): 5,
        ("retain_long_full_dates", "K"): 169,
        ("retain_long_modified_dates", "C"): 169,
        ("clean_descriptors", "C"): 141,
        ("clean_structured_content", "C"): 4,
        ("clean_graphics", "C"): 4,
    }


def test_digest_of_the_table_is_that_of_the_published_html():
    published = {
        "retain_long_full_dates": "retain_longitudinal_full_dates",
        "retain_long_modified_dates": "retain_longitudinal_modified_dates",
    }
    rows = [
        {
            "name": row["name"],
            "tag": row["tag"],
            "retired": row["retired"] == "Y",
            "in_standard_iod": row["in_standard_iod"] == "Y",
            "basic_profile": row["basic"],
            "options": {published.get(o, o): row["options"][o] for o in TABLE_OPTIONS if o in row["options"]},
        }
        for row in RULES["table_e1_1"]
    ]
    assert len(rows) == 657
    assert _digest(rows) == "e257bc5e1cfecb3156ad3b871c43e6d73581cba6e80df460f4a4a87694e89442"


def test_digests_of_safe_private_and_option_codes_are_those_of_the_published_html():
    private = [
        {key: row[key] for key in ("tag", "private_creator", "vr", "vm", "meaning")}
        for row in RULES["safe_private_e3_10_1"]
    ]
    codes = [
        {"scheme_designator": row["scheme"], "code_value": row["value"], "code_meaning": row["meaning"]}
        for row in RULES["option_codes"]
    ]
    assert (len(private), len(codes)) == (479, 13)
    assert _digest(private) == "7acb26dbab0e3124c02d075cbf8c5510354a20ded9f89ee4765976a905d92f63"
    assert _digest(codes) == "330f85ad9db6d5a9bc00ac989064253961f917c9a63fb8f706467d6d4f9be74b"


def test_all_sections_are_loaded_whole():
    rules, types = load_rules(), load_iod_types()
    sections = (rules.table, rules.gaps, rules.own, rules.ui, rules.option_conflicts, rules.concepts)
    assert [len(rows) for rows in sections] == [657, 282, 160, 106, 11, 214]
    assert [len(rules.safe_private), len(types.sop_classes), len(types.types)] == [479, 180, 174]
    assert sum(len(tags) for tags in types.types.values()) == 3246
    assert [len(types.modules), len(types.nested)] == [174, 103]
    assert sum(len(paths) for paths in types.nested.values()) == 502
    assert len(RULES["iod_action_conflicts"]) == 12


def test_dictionary_has_the_26_attributes_that_pydicom_lacks():
    known = load_dictionary()
    lacking = sorted(r.tag for r in load_rules().table if r.tag is not None and not dictionary_has_tag(r.tag))
    assert len(lacking) == 26
    assert [tag for tag in lacking if tag not in known] == []
    assert known[0x00100012] == ("LT", "NameToUse")
    assert known[0x3004007F] == ("LO", "DoseCalculationModelName")


@needs_tables
def test_generator_writes_the_committed_files_byte_for_byte(tmp_path):
    module = runpy.run_path(str(RULES_FOLDER / "generate.py"))
    module["main"]([str(TABLES), str(tmp_path)])
    for name in ("ps3_15_rules.json", "required_rows.json", "iod_types.json", "dictionary.json"):
        assert (tmp_path / name).read_bytes() == (RULES_FOLDER / name).read_bytes(), name


def _with_row(tmp_path: Path, section: str, index: int, change: dict) -> Path:
    content = json.loads(json.dumps(RULES))
    content[section][index].update(change)
    (tmp_path / "ps3_15_rules.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("section", "index", "change", "message"),
    [
        ("table_e1_1", 0, {"tag": "0008,0050"}, "table_e1_1 row 1 0008,0050: '0008,0050' is no tag of the form"),
        ("table_e1_1", 0, {"tag": "(0009,0050)"}, "table_e1_1 row 1 (0009,0050): (0009,0050) is private"),
        ("table_e1_1", 0, {"basic": "Q"}, "table_e1_1 row 1 (0008,0050): unknown action code 'Q'"),
        ("table_e1_1", 0, {"options": {"retain_all": "K"}}, "row 1 (0008,0050): unknown option 'retain_all'"),
        ("table_e1_1", 0, {"options": {"retain_uids": "X"}}, "unknown action code 'X' for retain_uids"),
        ("table_e1_1", 1, {"tag": "(0008,0050)"}, "table_e1_1 row 2 (0008,0050): duplicate"),
        ("table_e1_1", 0, {"basic": "U"}, "row 1 (0008,0050): contradiction, U is for UIDs and the VR is SH"),
        ("table_e1_1", 0, {"basic": "X/Z/U*"}, "row 1 (0008,0050): contradiction, X/Z/U* is for sequences"),
        ("table_e1_1", 0, {"basic": "K", "options": {"retain_uids": "K"}}, "row 1 (0008,0050): contradiction"),
        ("table_e1_1", 0, {"options": {"retain_long_full_dates": "K"}}, "full dates (K) and modified dates (C)"),
        (
            "table_e1_1", 0, {"options": {"retain_uids": "K", "clean_descriptors": "C"}},
            "table_e1_1 (0008,0050): contradiction between options",
        ),
        ("table_e1_1", 0, {"options": {"retain_long_full_dates": "C"}}, "row 1 (0008,0050): full dates are K"),
        ("table_e1_1", 0, {"vr": "text"}, "row 1 (0008,0050): unknown VR 'text'"),
        ("table_e1_1", 0, {"vr": "UI"}, "row 1 (0008,0050): AccessionNumber has the VR SH in the dictionary, not UI"),
        ("table_e1_1", 0, {"tag": "(0008,FFFE)"}, "table_e1_1 row 1 (0008,FFFE): unknown tag"),
        ("table_e1_1", 0, {"tag": "(0010,0011)"}, "row 1 (0010,0011): is PersonNamesToUseSequence, not AccessionNumber"),
        ("own_rows", 0, {"keyword": "PatientName"}, "own_rows row 1 (0008,0010): is RecognitionCode, not PatientName"),
        ("ui_attributes", 0, {"keyword": "Uid"}, "row 1 (0000,1000): is AffectedSOPInstanceUID, not Uid"),
        ("table_e1_1", 0, {"note": "x"}, "table_e1_1 row 1 (0008,0050): must have the keys"),
        ("gaps_outside_e1_1", 0, {"tag": "(0008,0050)"}, "gaps_outside_e1_1 row 1 (0008,0050): duplicate"),
        ("ui_attributes", 0, {"in_table": "U"}, "ui_attributes row 1 (0000,1000): contradiction"),
        ("iod_action_conflicts", 0, {"basic": "D"}, "iod_action_conflicts row 1 (0070,0082): contradiction"),
        ("option_conflicts", 0, {"tag": "(0008,0050)"}, "option_conflicts row 1 (0008,0050): contradiction"),
        ("safe_private_e3_10_1", 0, {"tag": "(7052,xx00)"}, "safe_private_e3_10_1 row 1 (7052,xx00)"),
        ("safe_private_e3_10_1", 0, {"vr": "ZZ"}, "safe_private_e3_10_1 row 1 (7053,xx00): unknown VR 'ZZ'"),
        ("structured_content_e3_4_1", 1, {"value_type": "WORDS"}, "row 2 113795: unknown value type 'WORDS'"),
        ("structured_content_e3_4_1", 1, {"basic": "no"}, "structured_content_e3_4_1 row 2 113795: unknown"),
        ("option_codes", 0, {"option": "retain_all"}, "option_codes row 1 retain_all: unknown or duplicate option"),
    ],
)  # fmt: skip
def test_wrong_row_is_refused_by_name(tmp_path, section, index, change, message):
    with pytest.raises(PolicyError) as error:
        load_rules(_with_row(tmp_path, section, index, change), load_dictionary())
    assert message in str(error.value)
    assert str(error.value).startswith("ps3_15_rules.json: ")


@pytest.mark.parametrize(
    ("section", "index", "message"),
    [
        ("table_e1_1", 0, "table_e1_1 lacks (0008,0050) AccessionNumber"),
        ("gaps_outside_e1_1", 0, "gaps_outside_e1_1 lacks (0008,0051) IssuerOfAccessionNumberSequence"),
        ("own_rows", 0, "own_rows lacks (0008,0010) RecognitionCode"),
        ("structured_content_e3_4_1", 0, "structured_content_e3_4_1 lacks 121022 DCM TEXT"),
        ("iod_action_conflicts", 0, "iod_action_conflicts lacks (0070,0082) PresentationCreationDate"),
        ("ui_attributes", 0, "ui_attributes lacks (0000,1000) AffectedSOPInstanceUID"),
    ],
)
def test_row_that_was_taken_away_is_asked_for_by_name(tmp_path, section, index, message):
    content = json.loads(json.dumps(RULES))
    del content[section][index]
    (tmp_path / "ps3_15_rules.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PolicyError) as error:
        load_rules(tmp_path, load_dictionary())
    assert str(error.value).startswith(f"ps3_15_rules.json: {message}; put the row back")
    assert "overrides" in str(error.value)


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyDate", "StudyInstanceUID"])
def test_attribute_that_would_be_kept_without_an_option_is_refused_by_name(tmp_path, keyword):
    index, row = next((at, row) for at, row in enumerate(RULES["table_e1_1"]) if row["keyword"] == keyword)
    change = {"basic": "K", "options": {}}
    with pytest.raises(PolicyError) as error:
        load_rules(_with_row(tmp_path, "table_e1_1", index, change), load_dictionary())
    assert f"table_e1_1 row {index + 1} {row['tag']}: {keyword} would be kept without an option" in str(error.value)
    assert "with a reason" in str(error.value)


def test_content_item_that_would_be_kept_without_an_option_is_refused(tmp_path):
    with pytest.raises(PolicyError, match="row 1 121022: Accession Number would be kept without an option"):
        load_rules(_with_row(tmp_path, "structured_content_e3_4_1", 0, {"basic": "K"}), load_dictionary())


@pytest.mark.parametrize(
    ("section", "name", "change", "message"),
    [
        ("table_e1_1", "(0010,0010)", {"options": {"clean_descriptors": "K"}}, "K of clean_descriptors reveals more"),
        ("table_e1_1", "(0010,0010)", {"options": {"retain_safe_private": "K"}}, "has no retain_safe_private; use overrides"),
        ("table_e1_1", "(0010,0010)", {"options": {"clean_descriptors": "C"}}, "C of clean_descriptors reveals more"),
        ("table_e1_1", "(0008,1030)", {"options": {"clean_descriptors": "K"}}, "has C for clean_descriptors"),
        (
            "table_e1_1", "(0010,0030)",
            {"options": {"retain_long_full_dates": "K", "retain_long_modified_dates": "C"}},
            "K of retain_long_full_dates reveals more than the standard, which has no retain_long_full_dates",
        ),
        ("structured_content_e3_4_1", "121022", {"options": {"clean_descriptors": "K"}}, "K of clean_descriptors reveals"),
        ("ui_attributes", "(0020,000D)", {"action": "K"}, "table_e1_1 decides and this row must say U"),
        ("ui_attributes", "(0008,0018)", {"action": "X"}, "table_e1_1 decides and this row must say U"),
        ("ui_attributes", "(0008,1167)", {"action": "K"}, "K reveals more than U"),
        ("iod_action_conflicts", "(0070,0082)", {"action": "Z"}, "action and iods must be 'D' and '*'"),
        ("iod_action_conflicts", "(0070,0082)", {"iods": "No such IOD"}, "action and iods must be 'D' and '*'"),
        ("iod_action_conflicts", "(0070,0082)", {"action": "", "iods": ""}, "action and iods must be 'D' and '*'"),
        ("option_codes", "basic", {"value": "999"}, "is (113100, DCM, Basic Application Confidentiality Profile) in CID 7050"),
        ("safe_private_e3_10_1", "(7053,xx00)", {"private_creator": "ACME"}, "is no row of Table E.3.10-1 of this edition"),
        ("safe_private_e3_10_1", "(7053,xx00)", {"vr": "OB"}, "has the VR DS, numbers in Table E.3.10-1"),
        ("gaps_outside_e1_1", "(0008,0051)", {"why": " "}, "why is empty"),
        ("own_rows", "(0008,0010)", {"basic": "K", "why": ""}, "why is empty"),
        ("gaps_outside_e1_1", "(0008,0051)", {"basic": "K", "options": {}}, "would be kept without an option, which was published as"),
        ("gaps_outside_e1_1", "(0008,0051)", {"options": {"clean_descriptors": "K"}}, "K of clean_descriptors reveals more than the row"),
        ("own_rows", "(0400,0120)", {"basic": "K"}, "would be kept without an option, which was published as X"),
        ("own_rows", "(0400,0120)", {"options": {"retain_device_identity": "K"}}, "K of retain_device_identity reveals more than"),
        ("gaps_outside_e1_1", "(0010,0033)", {"options": {"clean_descriptors": "K"}}, "a birth date or time is never kept"),
        ("gaps_outside_e1_1", "(0010,0033)", {"basic": "K", "options": {}}, "a birth date or time is never kept"),
    ],
)  # fmt: skip
def test_row_that_reveals_more_than_was_published_is_refused_by_name(tmp_path, section, name, change, message):
    first = {"option_codes": "option", "structured_content_e3_4_1": "code"}.get(section, "tag")
    index = next(at for at, row in enumerate(RULES[section]) if row[first] == name)
    with pytest.raises(PolicyError) as error:
        load_rules(_with_row(tmp_path, section, index, change), load_dictionary())
    assert str(error.value).startswith(f"ps3_15_rules.json: {section} row {index + 1} {name}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("section", "row", "message"),
    [
        ("table_e1_1", {"tag": "(0018,0050)", "keyword": "SliceThickness", "name": "Slice Thickness", "vr": "DS", "vm": "1",
          "retired": "N", "in_standard_iod": "Y", "basic": "X", "options": {}}, "is no row of Table E.1-1 of this edition"),
        ("safe_private_e3_10_1", {"tag": "(0011,xx01)", "private_creator": "ACME", "vr": "LO", "vm": "1", "meaning": "x",
          "handling": "text"}, "name it under overrides of a policy, with private_creator and a reason"),
        ("own_rows", {"tag": "(0018,9073)", "keyword": "AcquisitionDuration", "vr": "FD", "basic": "K", "options": {}, "why": ""},
          "why is empty"),
        ("own_rows", {"tag": "(0008,0024)", "keyword": "OverlayDate", "vr": "DA", "basic": "K", "options": {}, "why": "x"},
          "duplicate"),
        ("own_rows", {"tag": "(0014,0102)", "keyword": "SecondaryReviewDate", "vr": "DA", "basic": "K",
          "options": {}, "why": "x"}, "a date would be kept without an option"),
        ("own_rows", {"tag": "(0028,0010)", "keyword": "Rows", "vr": "US", "basic": "X", "options": {}, "why": "x"},
          "nobody can read the instance without it"),
        ("iod_action_conflicts", {"tag": "(0010,4000)", "keyword": "PatientComments", "basic": "X", "type": "1", "action": "D",
          "iods": "No such IOD", "modules": ""}, "No such IOD is no IOD of iod_types.json"),
    ],
)  # fmt: skip
def test_row_that_a_site_adds_is_refused_where_it_claims_to_be_the_standards(tmp_path, section, row, message):
    shutil.copy(RULES_FOLDER / "iod_types.json", tmp_path)
    content = {**RULES, section: [*RULES[section], row]}
    (tmp_path / "ps3_15_rules.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PolicyError) as error:
        load_rules(tmp_path, load_dictionary())
    assert f"{section} row {len(RULES[section]) + 1} " in str(error.value)
    assert message in str(error.value)


def test_site_may_add_rows_of_its_own_and_be_stricter(tmp_path):
    content = json.loads(json.dumps(RULES))
    rows = {row["keyword"]: row for row in content["table_e1_1"]}
    rows["StudyDescription"]["options"] = {}
    rows["PatientAge"]["options"] = {"retain_patient_characteristics": "C"}
    content["safe_private_e3_10_1"].pop(0)
    content["own_rows"].append(
        {"tag": "(0018,0050)", "keyword": "SliceThickness", "vr": "DS", "basic": "K", "options": {}, "why": "a number"}
    )
    concept = next(row for row in content["structured_content_e3_4_1"] if "clean_descriptors" in row["options"])
    del concept["options"]["clean_descriptors"]
    (tmp_path / "ps3_15_rules.json").write_text(json.dumps(content), encoding="utf-8")
    rules = load_rules(tmp_path, load_dictionary())
    assert (len(rules.own), len(rules.safe_private)) == (161, 478)


def test_edition_that_is_not_that_of_the_published_rows_is_refused(tmp_path):
    (tmp_path / "ps3_15_rules.json").write_text(json.dumps({**RULES, "edition": "2031a"}), encoding="utf-8")
    with pytest.raises(PolicyError, match="edition is not 2026d"):
        load_rules(tmp_path, load_dictionary())


@pytest.mark.parametrize(
    ("value_type", "change", "message"),
    [
        ("TEXT", {"basic": "Z"}, "Z is not carried out for content items; one of D, K, X, X/D, X/Z/D, Z/D is"),
        ("TEXT", {"basic": "X/Z"}, "X/Z is not carried out"),
        ("TEXT", {"basic": "X/Z/U*"}, "X/Z/U* is not carried out"),
        ("UIDREF", {"basic": "U"}, "U is not carried out"),
        ("CONTAINER", {"basic": "D"}, "D is not carried out for a CONTAINER, which has no value of its own; use X"),
        ("CONTAINER", {"basic": "X/D"}, "X/D is not carried out for a CONTAINER"),
        ("PNAME", {"options": {"clean_descriptors": "C"}}, "C of clean_descriptors is not carried out for a PNAME"),
        ("TEXT", {"options": {"retain_long_full_dates": "K", "retain_long_modified_dates": "C"}}, "C of retain_long_modified_dates is"),
    ],
)  # fmt: skip
def test_action_on_a_content_item_that_nobody_carries_out_is_refused(tmp_path, value_type, change, message):
    rows = RULES["structured_content_e3_4_1"]
    index, row = next((at, row) for at, row in enumerate(rows) if row["value_type"] == value_type)
    with pytest.raises(PolicyError) as error:
        load_rules(_with_row(tmp_path, "structured_content_e3_4_1", index, change), load_dictionary())
    assert f"structured_content_e3_4_1 row {index + 1} {row['code']}: {message}" in str(error.value)


def test_the_list_of_rows_is_that_of_the_rules():
    required = json.loads((RULES_FOLDER / "required_rows.json").read_text(encoding="utf-8"))
    assert required["edition"] == RULES["edition"]
    assert [len(required[name]) for name in ("table_e1_1", "gaps_outside_e1_1", "own_rows")] == [657, 282, 160]
    assert len(required["structured_content_e3_4_1"]) == 214
    assert [len(required[name]) for name in ("ui_attributes", "iod_action_conflicts", "option_codes")] == [106, 12, 13]
    assert len(required["safe_private_e3_10_1"]) == 479


def test_site_may_change_the_code_of_a_row(tmp_path):
    rules = load_rules(_with_row(tmp_path, "table_e1_1", 0, {"basic": "X"}), load_dictionary())
    assert (rules.table[0].published, rules.table[0].basic) == ("(0008,0050)", "X")


def test_broken_json_and_missing_file_are_refused(tmp_path):
    with pytest.raises(PolicyError, match=r"ps3_15_rules.json: cannot be read"):
        load_rules(tmp_path)
    (tmp_path / "ps3_15_rules.json").write_text('{"edition": ', encoding="utf-8")
    with pytest.raises(PolicyError, match=r"ps3_15_rules.json: is no JSON"):
        load_rules(tmp_path)


def test_key_that_stands_twice_and_section_of_no_meaning_are_refused(tmp_path):
    text = json.dumps(RULES)
    twice = text.replace('"basic": "Z"', '"basic": "Z", "basic": "K"', 1)
    (tmp_path / "ps3_15_rules.json").write_text(twice, encoding="utf-8")
    with pytest.raises(PolicyError, match=r"ps3_15_rules.json: row \(0008,0050\): basic stands there twice"):
        load_rules(tmp_path, load_dictionary())
    (tmp_path / "ps3_15_rules.json").write_text(json.dumps({**RULES, "own_row": []}), encoding="utf-8")
    with pytest.raises(PolicyError, match="unknown section own_row"):
        load_rules(tmp_path, load_dictionary())


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("nested_types", {"types": {"1": "00080023"}}, "nested_types row 1 acquisition-context: 00080023 is no path"),
        ("nested_types", {"types": {"1": "00080023/x"}}, "nested_types row 1 acquisition-context: 'x' is no tag"),
        ("nested_types", {"types": {"4": "00080023/00080024"}}, "row 1 acquisition-context: unknown Type '4'"),
        ("nested_types", {"module": "specimen"}, "specimen: duplicate module"),
        ("iod_modules", {"modules": "nowhere"}, "iod_modules row 1 12-lead-ecg: nowhere is no module of nested_types"),
        ("iod_modules", {"iod": "x-ray-radiation-dose-sr"}, "x-ray-radiation-dose-sr: duplicate IOD"),
        ("iods", {"types": {"1": "00080023/00080024"}}, "iods row 1 12-lead-ecg: 00080023/00080024 is no single tag"),
    ],
)
def test_wrong_row_of_the_types_is_refused_by_name(tmp_path, section, change, message):
    content = json.loads((RULES_FOLDER / "iod_types.json").read_text(encoding="utf-8"))
    content[section][0] |= change
    (tmp_path / "iod_types.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PolicyError) as error:
        load_iod_types(tmp_path)
    assert message in str(error.value)


@pytest.mark.skipif(find_spec("highdicom") is None, reason="highdicom is no part of the environment")
def test_generator_writes_the_committed_nested_types_byte_for_byte(tmp_path):
    runpy.run_path(str(RULES_FOLDER / "generate.py"))["main"](["--nested", str(tmp_path)])
    assert (tmp_path / "iod_types.json").read_bytes() == (RULES_FOLDER / "iod_types.json").read_bytes()


def test_generator_keeps_the_strictest_type_of_paths_that_reach_the_data():
    module = runpy.run_path(str(RULES_FOLDER / "generate.py"))
    rows = [
        {"keyword": "StationName", "type": "3", "path": ["DeviceSequence"]},
        {"keyword": "StationName", "type": "2C", "path": ["DeviceSequence"]},
        {"keyword": "StationName", "type": "1", "path": []},  # the top level has a section of its own
        {"keyword": "StationName", "type": "1", "path": ["GoneSequence"]},
        {"keyword": "Columns", "type": "1", "path": ["DeviceSequence"]},  # no row names it
        {"keyword": "StudyID", "type": "None", "path": ["DeviceSequence"]},
        {"keyword": "Needed", "type": "1", "path": ["DeviceSequence"]},
        {"keyword": "Optional", "type": "3", "path": ["DeviceSequence"]},
    ]
    codes = {"StationName": "X/Z/D", "GoneSequence": "X", "StudyID": "Z/D", "Needed": "X", "Optional": "X"}
    known = {
        "DeviceSequence": ("00500010", "SQ"),
        "GoneSequence": ("00500011", "SQ"),
        "StationName": ("00081010", "SH"),
    }
    known |= {"Columns": ("00280011", "US"), "Needed": ("00000001", "LO"), "Optional": ("00000002", "LO")}
    assert module["nested_types"]({"device": rows}, codes, known, {"GoneSequence"}) == {
        "device": {"00500010/00081010": "2C", "00500010/00000001": "1"}
    }


def test_iod_with_two_types_for_one_attribute_is_refused(tmp_path):
    content = json.loads((RULES_FOLDER / "iod_types.json").read_text(encoding="utf-8"))
    content["iods"][0]["types"] = {"1": "00080023", "2": "00080023"}
    (tmp_path / "iod_types.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"iods row 1 12-lead-ecg: contradiction, 00080023 has two Types"):
        load_iod_types(tmp_path)


def test_tags_are_parsed_in_both_forms_and_nothing_else():
    assert parse_tag("(0010,0010)") == parse_tag("00100010") == 0x00100010
    assert format_tag(0x7FE00010) == "(7FE0,0010)"
    for wrong in ("0010,0010", "(0010,001)", "0010001g", "", "(0010,0010) "):
        with pytest.raises(ValueError, match="is no tag"):
            parse_tag(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tag": "(0010,00FF)"}, "goes_with row 1 (0010,00FF): unknown tag"),
        ({"keyword": "Role"}, "goes_with row 1 (0010,0035): is PatientAlternativeCalendar, not Role"),
        ({"with": []}, "goes_with row 1 (0010,0035): needs a tag of its own and, under with"),
        ({"with": ["(0010,0035)"]}, "needs a tag of its own"),
        ({"with": ["(0010,00FF)"]}, "needs a tag of its own"),
        ({"with": "(0010,0033)"}, "with has the wrong type"),
    ],
)
def test_wrong_row_of_what_goes_with_what_is_refused_by_name(tmp_path, change, message):
    content = json.loads((RULES_FOLDER / "goes_with.json").read_text(encoding="utf-8"))
    content["goes_with"][0].update(change)
    (tmp_path / "goes_with.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PolicyError) as error:
        load_goes_with(tmp_path, load_dictionary())
    assert message in str(error.value)
