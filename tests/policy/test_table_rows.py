"""Every row of the rules file x options x shipped policies: the exact action, against an oracle easy to read."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import pytest

from phi_deid_pipeline.policies import POLICIES_FOLDER, Policy, compile_policy, load_policy
from phi_deid_pipeline.policy_files import PolicyFile
from phi_deid_pipeline.ps3_15_rules import RULES_FOLDER

RULES = json.loads((RULES_FOLDER / "ps3_15_rules.json").read_text(encoding="utf-8"))
IODS = json.loads((RULES_FOLDER / "iod_types.json").read_text(encoding="utf-8"))
TABLES = Path(__file__).resolve().parents[3] / "shared" / "dicom_ps3_15_2026d"

RESOLVED = (
    "clean_pixel_data",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_long_full_dates",
)
SHIPPED = {
    "hipaa_safe_harbor": ("clean_descriptors", "clean_structured_content", "clean_graphics", "clean_pixel_data"),
    "ps3_15_basic": ("clean_pixel_data",),
}
OPTION_SETS = ((), *((option,) for option in RESOLVED), RESOLVED)
UNKNOWN_CLASS = "1.2.3.4"
CLASSES = {row["uid"]: row["iod"] for row in IODS["sop_classes"]}
TYPES = {row["iod"]: {tag: kind for kind, tags in row["types"].items() for tag in tags.split()} for row in IODS["iods"]}
TEXT_VRS = {"LO", "SH", "ST", "LT", "UT", "UC", "SQ"}

# code -> what to do for Type 1, 2, 3 and for a place whose Type is not known
BY_TYPE = {
    "Z/D": "DZZD",
    "X/Z": "DZXZ",
    "X/D": "DDXD",
    "X/Z/D": "DZXD",
    "X/Z/U*": "UUUU",
}
# rows whose literal X would break an IOD: at the top level
NOT_LITERALLY_X = {"00700082": "D", "00700083": "D", "00102297": "Z", "00102299": "Z"}
TIMEZONE = "00080201"  # Type 1 in one IOD only


@cache
def policy_with(options: tuple[str, ...]) -> Policy:
    return compile_policy(PolicyFile("trial", "", frozenset(options), "all_but_benign", ()))  # no file may retain UIDs


@cache
def shipped(name: str) -> Policy:
    return load_policy(name)


def oracle(row: dict, options: tuple[str, ...], sop_class: str, *, nested: bool) -> str:
    tag = row["tag"].strip("()").replace(",", "")
    if tag[:4] in {"0000", "0002", "0004"} or tag[:2] in {"50", "60"} or "gggg" in tag:
        return "X"
    asked = {row["options"][option] for option in options if option in row["options"]}
    if "C" in asked and row["vr"] in TEXT_VRS:
        return "C"
    if asked == {"K"}:
        return "K"
    code = row["basic"]
    if code == "X" and not nested and tag in NOT_LITERALLY_X:
        return NOT_LITERALLY_X[tag]
    if tag == TIMEZONE and not nested:
        return "D" if CLASSES.get(sop_class, "simplified-adult-echo-sr") == "simplified-adult-echo-sr" else "X"
    if code == "D" and row["vr"] == "UI":
        return "U"
    if code not in BY_TYPE:
        return code
    kind = "" if nested else TYPES.get(CLASSES.get(sop_class, ""), {}).get(tag, "")
    return BY_TYPE[code][{"1": 0, "2": 1, "3": 2, "": 3}[kind[:1]]]


def tags_of(row: dict) -> list[int]:
    """Return the tag of a row, or samples of a family of tags."""
    text = row["tag"].strip("()").replace(",", "")
    if "gggg" in text:
        return [0x00090010, 0x00291020, 0x7FE10010]
    if "xx" in text:
        element = "3000" if text.endswith("xxxx") else text[4:]
        return [int(f"{text[:2]}{group}{element}", 16) for group in ("00", "02", "1E", "FE")]
    return [int(text, 16)]


def cases(row: dict) -> list[tuple[tuple[int, ...], str, bool]]:
    """Return paths, SOP class, nested: every SOP class where the code or a conflict asks for the Type."""
    all_classes = row["basic"] in BY_TYPE or row["tag"] in {"(0070,0082)", "(0008,0201)"}
    classes = [*CLASSES, UNKNOWN_CLASS] if all_classes else ["1.2.840.10008.5.1.4.1.1.2", UNKNOWN_CLASS]
    found = [((tag,), uid, False) for tag in tags_of(row) for uid in classes]
    return found + [((0x0040A730, 0x0040A730, tag), CT, True) for tag in tags_of(row)]


CT = "1.2.840.10008.5.1.4.1.1.2"
ROWS = RULES["table_e1_1"] + RULES["gaps_outside_e1_1"] + RULES["own_rows"]
IN_DICTIONARY = [row for row in ROWS if not row["tag"].startswith("(7Fxx")]


@pytest.mark.parametrize("row", IN_DICTIONARY, ids=lambda row: row["tag"])
def test_row_resolves_to_the_exact_action(row):
    vr = row["vr"].split("|")[0]
    for options in OPTION_SETS:
        got = [policy_with(options).resolve(path, vr, uid).action.value for path, uid, _ in cases(row)]
        assert got == [oracle(row, options, uid, nested=nested) for _, uid, nested in cases(row)], options
    for name, options in SHIPPED.items():
        got = [shipped(name).resolve(path, vr, uid).action.value for path, uid, _ in cases(row)]
        assert got == [oracle(row, options, uid, nested=nested) for _, uid, nested in cases(row)], name


def test_all_rows_are_under_test():
    assert len(IN_DICTIONARY) == 657 + 282 + 6 - 1  # VariablePixelData is a family that no dictionary lists
    assert [row["keyword"] for row in ROWS if row not in IN_DICTIONARY] == ["VariablePixelData"]
    assert sorted(path.stem for path in POLICIES_FOLDER.glob("*.yaml")) == sorted(SHIPPED)


def test_shipped_policies_have_the_options_that_their_names_promise():
    assert {name: shipped(name).options for name in SHIPPED} == {n: frozenset(o) for n, o in SHIPPED.items()}


@pytest.mark.skipif(not TABLES.is_dir(), reason="the source tables of PS3.15 are not here")
def test_every_type_of_every_iod_gives_the_action_worked_out_by_hand():
    with (TABLES / "iod_types_compound.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    class_of = {iod: uid for uid, iod in CLASSES.items()}
    policy = shipped("ps3_15_basic")
    wrong = []
    for row in rows:
        tag = int(row["tag"].strip("()").replace(",", ""), 16)
        want = "U" if row["e1_1_basic"] == "X/Z/U*" else row["resolved_action_own_rule"]
        if row["iod"] in class_of and policy.resolve((tag,), "", class_of[row["iod"]]).action != want:
            wrong.append((row["iod"], row["keyword"]))
    assert len(rows) == 3246
    assert wrong == []
