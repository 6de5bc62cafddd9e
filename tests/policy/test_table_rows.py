"""Every row of the rules file x options x shipped policies: the exact action, against an oracle easy to read."""

from __future__ import annotations

import csv
import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from deid_reference_options import is_published
from phi_deid_pipeline.policies import POLICIES_FOLDER, Policy, compile_policy, load_policy
from phi_deid_pipeline.policy_files import PolicyFile
from phi_deid_pipeline.ps3_15_rules import RULES_FOLDER

RULES = json.loads((RULES_FOLDER / "ps3_15_rules.json").read_text(encoding="utf-8"))
IODS = json.loads((RULES_FOLDER / "iod_types.json").read_text(encoding="utf-8"))
TABLES = Path(__file__).resolve().parents[3] / "shared" / "dicom_ps3_15_2026d"

SINGLE = (
    "clean_pixel_data",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_safe_private",
)
CLEANED = ("clean_descriptors", "clean_structured_content", "clean_graphics", "clean_pixel_data")
RESEARCH = (
    *CLEANED,
    "retain_long_modified_dates",
    "retain_patient_characteristics",
    "retain_device_identity",
    "retain_safe_private",
)
# policy -> options, what becomes of dates, attributes that the policy itself removes
SHIPPED = {
    "hipaa_safe_harbor": (CLEANED, "", ()),
    "ps3_15_basic": (("clean_pixel_data",), "", ()),
    "research_longitudinal": (RESEARCH, "shift", ()),
    "clinical_trial": (RESEARCH, "shift", ()),
    "gdpr": (
        (*CLEANED, "retain_long_modified_dates", "retain_patient_characteristics"),
        "year",
        (
            "00102160", "00102161", "00102162",  # ethnic group
            "00100042", "00100043", "00100046", "00100047",  # sex parameters for clinical use
            "001021C0", "001021D0",  # pregnancy, last menstrual date
            "00380500", "00380050", "00102110", "00102000", "00400012",  # state, needs, allergies, alerts, medication
            "00102180", "001021B0", "00104000", "00384000",  # occupation, history, comments
        ),
    ),
}  # fmt: skip
OPTION_SETS = (
    ((), ""),
    *(((option,), "") for option in SINGLE),
    (("retain_long_full_dates",), "keep"),
    (("retain_long_modified_dates",), "shift"),
    (("retain_long_modified_dates",), "year"),
    ((*SINGLE, "retain_long_full_dates"), "keep"),
    ((*SINGLE, "retain_long_modified_dates"), "shift"),
    ((*SINGLE, "retain_long_modified_dates"), "year"),
)
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
NOT_LITERALLY_X = {"00120082": "D", "00700082": "D", "00700083": "D", "00102297": "Z", "00102299": "Z"}
TIMEZONE = "00080201"  # Type 1 in one IOD only


@cache
def policy_with(options: tuple[str, ...], dates: str) -> Policy:
    dates = dates if dates in ("shift", "year") else ""
    return compile_policy(PolicyFile("trial", "", frozenset(options), "all_but_benign", (), dates=dates))


@cache
def shipped(name: str) -> Policy:
    return load_policy(name)


def after_options(row: dict, options: tuple[str, ...], dates: str) -> str:
    """Return K, C or "" for what the options make of a row."""
    asked = {option: value for option, value in row["options"].items() if option in options}
    vr = row["vr"].split("|")[0]
    if "retain_long_modified_dates" in asked:  # C, and C wins over K
        if vr in {"DA", "DT"} or (vr == "TM" and dates == "shift"):
            return "C"
        return "K" if row["tag"] == "(0008,0201)" and dates == "shift" else ""
    if "C" in asked.values():
        return "C" if vr in TEXT_VRS else ""
    if asked and vr == "UI" and "retain_uids" not in options:
        return "U"  # verification lets no source UID out
    if vr == "UR":
        return ""  # a link into a record
    return "K" if asked else ""


def oracle(
    row: dict, options: tuple[str, ...], dates: str, sop_class: str, *, nested: bool, gone: tuple[str, ...] = ()
) -> str:
    tag = row["tag"].strip("()").replace(",", "")
    if tag[:4] in {"0000", "0002", "0004"} or tag[:2] in {"50", "60"} or "gggg" in tag or tag in gone:
        return "X"
    asked = after_options(row, options, dates)
    if asked and not (dates in ("shift", "year") and "xx" not in tag and is_published(int(tag, 16))):
        return asked  # a published date is never moved
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


CASES = [(row, cases(row)) for row in IN_DICTIONARY]


@pytest.mark.parametrize(("options", "dates"), OPTION_SETS, ids=lambda part: "+".join(part) if part else "none")
def test_every_row_resolves_to_the_exact_action_under_options(options, dates):
    assert wrong_rows(policy_with(options, dates), options, dates) == {}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_row_resolves_to_the_exact_action_under_a_shipped_policy(name):
    assert wrong_rows(shipped(name), *SHIPPED[name]) == {}


def wrong_rows(policy: Policy, options: tuple[str, ...], dates: str, gone: tuple[str, ...] = ()) -> dict[str, list]:
    """Return {tag: [path, SOP class, action, action wanted] of the first difference} of rows that resolve otherwise."""
    wrong = {}
    for row, places in CASES:
        vr = row["vr"].split("|")[0]
        for path, uid, nested in places:
            got = policy.resolve(path, vr, uid).action.value
            want = oracle(row, options, dates, uid, nested=nested, gone=gone)
            if got != want:
                wrong.setdefault(row["tag"], [path, uid, got, want])
    return wrong


def test_all_rows_are_under_test():
    assert len(IN_DICTIONARY) == 657 + 282 + 160 - 1  # VariablePixelData is a family that no dictionary lists
    assert [row["keyword"] for row in ROWS if row not in IN_DICTIONARY] == ["VariablePixelData"]
    assert sorted(path.stem for path in POLICIES_FOLDER.glob("*.yaml")) == sorted(SHIPPED)


def test_shipped_policies_have_the_options_that_their_names_promise():
    assert {name: shipped(name).options for name in SHIPPED} == {n: frozenset(o) for n, (o, _, _) in SHIPPED.items()}
    assert {name: shipped(name).longitudinal for name in SHIPPED} == {
        "hipaa_safe_harbor": "REMOVED",
        "ps3_15_basic": "REMOVED",
        "research_longitudinal": "MODIFIED",
        "clinical_trial": "MODIFIED",
        "gdpr": "MODIFIED",
    }
    assert {shipped(name).max_age for name in SHIPPED} == {89}
    assert [n for n in SHIPPED if shipped(n).clinical_trial or shipped(n).pseudonyms != "keyed"] == ["clinical_trial"]
    assert [name for name in SHIPPED if shipped(name).hold] == ["gdpr"]


NESTED = {row["module"]: row["types"] for row in IODS["nested_types"]}
LITERAL = {("X", "1"): "D", ("X", "2"): "Z", ("Z", "1"): "D"}
BY_TAG = {row["tag"].strip("()").replace(",", ""): row for row in ROWS}


@pytest.mark.parametrize("iod_row", IODS["iod_modules"], ids=lambda row: row["iod"])
def test_every_type_inside_sequences_decides_the_action(iod_row):
    strictest: dict[str, str] = {}
    for module in iod_row["modules"].split():
        for kind, paths in NESTED[module].items():
            for path in paths.split():
                strictest[path] = min(strictest.get(path, "9"), kind)
    sop_classes = [uid for uid, iod in CLASSES.items() if iod == iod_row["iod"]]
    for path, kind in strictest.items():
        row = BY_TAG[path[-8:]]
        code = row["basic"]
        want = LITERAL.get((code, kind[0])) or BY_TYPE[code]["123".index(kind[0])]
        if want == "D" and row["vr"] == "UI":
            want = "U"
        tags = tuple(int(tag, 16) for tag in path.split("/"))
        for uid in sop_classes:
            assert shipped("ps3_15_basic").resolve(tags, row["vr"], uid).action == want, (path, kind)
            if any(tag == after for tag, after in pairwise(tags)):
                continue
            repeated = (tags[0], *tags)  # items of a sequence inside its own items
            assert shipped("ps3_15_basic").resolve(repeated, row["vr"], uid).action == want, (path, kind)


# what a private attribute of Table E.3.10-1 becomes, by its VR there
SAFE = dict.fromkeys(["AT", "CS", "DS", "FD", "FL", "IS", "SL", "SS", "UL", "US", "SQ"], "K")
SAFE |= dict.fromkeys(["LO", "LT", "SH", "ST"], "C") | dict.fromkeys(["OB", "OW", "OW/OB", ""], "X") | {"UI": "U"}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_safe_private_row_resolves_to_the_exact_action(name):
    options, wrong = SHIPPED[name][0], []
    for row in RULES["safe_private_e3_10_1"]:
        tag = int(row["tag"].strip("()").replace(",", "").replace("xx", "17"), 16)
        vr, creator = row["vr"], row["private_creator"]
        kept = SAFE[vr] if "retain_safe_private" in options else "X"
        unknown = "X" if name.startswith(("hipaa", "ps3", "gdpr")) else SAFE[vr]
        for path in ((tag,), (0x00400275, tag)):
            for given, owner, want in (
                (vr[:2], creator, kept),
                (vr[:2], f"{creator}2", "X"),
                ("UN", creator, unknown),
            ):
                got = shipped(name).resolve_private(path, given, owner, CT).action
                wrong += [(owner, row["tag"], path, given, got, want)] * (got != want)
    assert len(RULES["safe_private_e3_10_1"]) > 200 and wrong == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_concept_resolves_to_the_exact_action(name):
    (options, dates, _), wrong = SHIPPED[name], []
    for row in RULES["structured_content_e3_4_1"]:
        key = (row["code"], row["scheme"], row["value_type"])
        found = shipped(name).resolve_concept(*key)
        got = found.action if found else None
        want = concept_action(row, options, dates) if "clean_structured_content" in options else None
        wrong += [(key, got, want)] * (got != want)
    assert len(RULES["structured_content_e3_4_1"]) > 100 and wrong == []


def concept_action(row: dict, options: tuple[str, ...], dates: str) -> str:
    asked = {option: value for option, value in row["options"].items() if option in options}
    if "retain_long_modified_dates" in asked and (dates, row["value_type"]) == ("year", "TIME"):
        asked = {}  # a time without its day
    if "retain_long_modified_dates" in asked and row["meaning"] == "Calibration DateTime":
        asked = {}  # of a device: moved it would tell the offset of all its patients
    return "C" if "C" in asked.values() else "K" if asked else {"X/D": "D"}.get(row["basic"], row["basic"])


def test_identifiers_with_a_date_option_are_those_of_the_table():
    with_dates = [row for row in RULES["table_e1_1"] if "retain_long_modified_dates" in row["options"]]
    assert len(with_dates) == 169
    never = {row["keyword"]: shipped("research_longitudinal") for row in RULES["table_e1_1"] if row not in with_dates}
    for keyword, tag, vr, want in (
        ("PatientBirthDate", 0x00100030, "DA", "Z"),
        ("PatientBirthTime", 0x00100032, "TM", "X"),
        ("GPSTimeStamp", 0x00160077, "DT", "X"),
    ):
        assert never[keyword].resolve((tag,), vr, CT).action == want
        assert never[keyword].resolve((0x00081140, tag), vr, CT).action == want


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
