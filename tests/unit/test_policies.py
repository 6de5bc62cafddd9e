"""Policies resolve every attribute, survive a round trip through JSON, and refuse what is wrong by naming the row."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.deid_plans import Kind, Planner
from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.policies import Action, Policy, Resolution, compile_policy, conformance_statement, load_policy
from phi_deid_pipeline.policy_files import Override, PolicyFile
from phi_deid_pipeline.ps3_15_rules import load_dictionary

CT = "1.2.840.10008.5.1.4.1.1.2"
PET = "1.2.840.10008.5.1.4.1.1.128"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"
RT_STRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
BASIC_SR = "1.2.840.10008.5.1.4.1.1.88.11"
UNKNOWN = "1.2.3.4.5"
BASIC = load_policy("ps3_15_basic")
DEFAULT = load_policy("hipaa_safe_harbor")


def _file(tmp_path, text, name="mine.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def _policy(tmp_path, *lines):
    return load_policy(_file(tmp_path, "\n".join(["name: mine", *lines]) + "\n"))


# ---------------------------------------------------------------- resolution


@pytest.mark.parametrize(
    ("path", "sop_class", "action"),
    [
        ((0x00080021,), CT, "X"),  # SeriesDate is Type 3 in CT
        ((0x00080021,), PET, "D"),  # and Type 1 in PET
        ((0x00081070,), CT, "X"),  # OperatorsName is Type 3
        ((0x00081070,), RT_PLAN, "Z"),  # and Type 2 in RT
        ((0x00181000,), SEG, "D"),  # DeviceSerialNumber is Type 1 in enhanced objects
        ((0x00181000,), UNKNOWN, "D"),
        ((0x00080080,), UNKNOWN, "D"),
        ((0x00082112,), CT, "U"),
        ((0x00081140,), SEG, "U"),
        ((0x52009230, 0x00089124, 0x00082112), SEG, "U"),
        ((0x300A0006,), RT_PLAN, "D"),
    ],
)
def test_compound_code_follows_the_type_in_the_iod(path, sop_class, action):
    assert BASIC.resolve(path, "", sop_class).action == action


@pytest.mark.parametrize(
    ("path", "vr", "sop_class", "action"),
    [
        ((0x0018A001, 0x00080080), "LO", CT, "X"),  # Institution Name is Type 3 in Contributing Equipment
        ((0x0018A001, 0x00080080), "LO", UNKNOWN, "D"),
        ((0x0018A001, 0x00081010), "SH", CT, "X"),
        ((0x0018A001, 0x00081072, 0x00080080), "LO", CT, "D"),  # Type 1C in the identification of a person
        ((0x300A00B0, 0x300A00B2), "SH", RT_PLAN, "Z"),  # Treatment Machine Name is Type 2 in a beam
        ((0x300A00B0, 0x00181000), "LO", RT_PLAN, "X"),
        ((0x300A00B0, 0x00181000), "LO", CT, "D"),  # a beam is foreign to CT
        ((0x00620002, 0x00700084), "PN", SEG, "Z"),
        ((0x00620002, 0x00700084), "PN", UNKNOWN, "D"),
        ((0x52009229, 0x00409096, 0x00409220, 0x0040A032), "DT", ENHANCED_CT, "X"),
        ((0x52009230, 0x00409096, 0x00409220, 0x0040A032), "DT", ENHANCED_CT, "X"),
        ((0x52009230, 0x00409096, 0x00409220, 0x0040A032), "DT", UNKNOWN, "D"),
        ((0x0040A370, 0x00401001), "SH", BASIC_SR, "Z"),  # X, but Type 2 in Referenced Request
        ((0x0040A370, 0x00401001), "SH", UNKNOWN, "X"),
        ((0x0040A370, 0x00321060), "LO", BASIC_SR, "Z"),
        ((0x00540016, 0x00181078), "DT", ENHANCED_PET, "D"),  # X, but Type 1 in the isotope of Enhanced PET
        ((0x00540016, 0x00181078), "DT", PET, "X"),
        ((0x3006004C, 0x0008103E), "LO", RT_STRUCT, "D"),  # X, but Type 1 in a predecessor
        ((0x0008103E,), "LO", RT_STRUCT, "X"),
    ],
)
def test_types_inside_sequences_follow_the_path_in_the_iod(path, vr, sop_class, action):
    assert BASIC.resolve(path, vr, sop_class).action == action


@pytest.mark.parametrize(
    ("tag", "vr", "resolution"),
    [
        (0x00091001, "LO", Resolution("X", Action.REMOVE, "private", "R", Action.REMOVE)),
        (0x00090010, "LO", Resolution("X", Action.REMOVE, "private", "R", Action.REMOVE)),
        (0x00189FF0, "LO", Resolution("X", Action.REMOVE, "unknown", "R", Action.REMOVE)),
        (0x60003000, "OW", Resolution("X", Action.REMOVE, "graphics", "R", Action.REMOVE)),
        (0x601E0010, "US", Resolution("X", Action.REMOVE, "graphics", "R", Action.REMOVE)),
        (0x50040010, "US", Resolution("X", Action.REMOVE, "graphics", "R", Action.REMOVE)),
        (0x00080000, "UL", Resolution("X", Action.REMOVE, "group_length", "", Action.REMOVE)),
        (0x00041500, "CS", Resolution("X", Action.REMOVE, "dicomdir", "", Action.REMOVE)),
        (0x00280010, "US", Resolution("K", Action.KEEP, "default", "", Action.KEEP)),
        (0x54001010, "OW", Resolution("K", Action.KEEP, "gap", "", Action.KEEP)),
        (0x7FE00008, "OF", Resolution("K", Action.KEEP, "default", "", Action.KEEP)),
        (0x00181210, "SH", Resolution("K", Action.KEEP, "own", "", Action.KEEP)),
        (0x00141020, "DA", Resolution("D", Action.DUMMY, "date", "C", Action.DUMMY)),
        (0x00143077, "TM", Resolution("D", Action.DUMMY, "date", "C", Action.DUMMY)),
        (0x00142006, "PN", Resolution("Z", Action.ZERO, "name", "A", Action.ZERO)),
        (0x0008041B, "OB", Resolution("X", Action.REMOVE, "own", "", Action.REMOVE)),
        (0x04000500, "SQ", Resolution("X", Action.REMOVE, "own", "R", Action.REMOVE)),
        (0x00080016, "UI", Resolution("K", Action.KEEP, "uid", "", Action.KEEP)),
        (0x0018991E, "UI", Resolution("U", Action.UID, "gap", "", Action.UID)),
        (0x00280304, "UI", Resolution("U", Action.UID, "uid", "", Action.UID)),
        (0x0040E030, "UI", Resolution("X", Action.REMOVE, "gap", "", Action.REMOVE)),
        (0x006A0003, "UI", Resolution("D", Action.UID, "E.1-1", "R", Action.UID)),
        (0x00081190, "UR", Resolution("X", Action.REMOVE, "gap", "NO", Action.REMOVE)),
        (0x00287FE0, "UR", Resolution("D", Action.DUMMY, "gap", "NQ", Action.DUMMY)),
    ],
)
def test_what_the_table_leaves_open_is_decided(tag, vr, resolution):
    assert BASIC.resolve((tag,), vr, CT) == resolution


def test_vr_of_the_instance_decides_where_no_row_names_the_attribute():
    assert BASIC.resolve((0x00180050,), "DS", CT).action == "K"
    assert BASIC.resolve((0x00180050,), "PN", CT).action == "Z"
    assert BASIC.resolve((0x00180050,), "DT", CT).action == "D"
    assert BASIC.resolve((0x00180050,), "AE", CT).action == "X"
    assert BASIC.resolve((0x00180050,), "UN", CT).action == "K"  # read with the VR of the dictionary


def test_rows_whose_literal_x_breaks_an_iod_get_a_dummy_or_an_empty_value():
    presentation_state = "1.2.840.10008.5.1.4.1.1.11.1"
    echo = "1.2.840.10008.5.1.4.1.1.88.72"
    assert BASIC.resolve((0x00700082,), "DA", presentation_state).action == "D"
    assert BASIC.resolve((0x00102297,), "PN", CT).action == "Z"
    assert BASIC.resolve((0x00080201,), "SH", echo).action == "D"
    assert BASIC.resolve((0x00080201,), "SH", CT).action == "X"
    assert BASIC.resolve((0x00080201,), "SH", UNKNOWN).action == "D"


def test_cleaning_needs_words_and_names_what_to_do_without_any():
    description = DEFAULT.resolve((0x00081030,), "LO", CT)
    assert description == Resolution("C", Action.CLEAN, "E.1-1:clean_descriptors", "A", Action.REMOVE)
    assert DEFAULT.resolve((0x0016002B,), "OB", CT) == Resolution("X", Action.REMOVE, "E.1-1", "A", Action.REMOVE)
    assert DEFAULT.resolve((0x00081030,), "OB", CT).action == "X"
    assert DEFAULT.resolve((0x0040A730,), "SQ", SEG).action == "C"
    assert DEFAULT.resolve((0x00620005,), "LO", SEG) == Resolution("C", Action.CLEAN, "gap:clean_descriptors", "", "D")


def test_option_that_reveals_less_wins(tmp_path):
    policy = _policy(tmp_path, "options: [retain_device_identity, clean_descriptors]")
    both = [r.tag for r in _rows_with(policy, "retain_device_identity", "clean_descriptors")]
    assert [policy.resolve((tag,), "", CT).code for tag in both] == ["C"] * len(both)
    assert policy.resolve((0x00181000,), "LO", CT).action == "K"
    assert policy.resolve((0x00081010,), "SH", CT).action == "K"
    assert policy.resolve((0x00080055,), "AE", CT).action == "X"  # C of an AE title: nothing similar that is harmless


def _rows_with(policy, *options):
    from phi_deid_pipeline.ps3_15_rules import load_rules

    return [r for r in load_rules().table if set(options) <= set(r.options) and r.tag and r.vr != "SQ" and r.vr != "OB"]


def test_full_dates_keep_dates_but_never_the_birth_date(tmp_path):
    policy = _policy(tmp_path, "options: [retain_long_full_dates]")
    assert policy.longitudinal == "UNMODIFIED"
    assert policy.resolve((0x00080020,), "DA", CT).action == "K"
    assert policy.resolve((0x00141020,), "DA", CT).action == "K"
    assert policy.resolve((0x00100030,), "DA", CT).action == "Z"


def test_free_text_that_no_row_names_is_cleaned_where_descriptors_are():
    url, notes, lut, code = 0x0040A992, 0x00144006, 0x00283003, 0x00080119
    for tag, vr in ((url, "ST"), (notes, "LT"), (0x0072006F, "UC"), (0x00160017, "UT")):
        found = DEFAULT.resolve((tag,), vr, CT)
        assert (found.code, found.action, found.rule) == ("C", Action.CLEAN, "default")
        assert found.fallback is Action.DUMMY  # its Type is not known there
        assert BASIC.resolve((tag,), vr, CT).action is Action.KEEP
    assert DEFAULT.resolve((lut,), "LO", CT).action is Action.CLEAN  # by a row of its own
    assert DEFAULT.resolve((code,), "UC", CT).action is Action.KEEP


def test_retained_uids_are_kept_everywhere():
    policy = compile_policy(PolicyFile("mine", "", frozenset({"retain_uids"}), "all_text", ()))
    tags = (0x0020000D, 0x00081155, 0x00280304, 0x0018991E)
    assert [policy.resolve((tag,), "UI", CT).action.value for tag in tags] == ["K"] * 4
    assert policy.resolve((0x0040A124,), "UI", CT).action == "U"


def test_sr_concepts_resolve_by_code_scheme_and_value_type():
    assert DEFAULT.resolve_concept("121022", "DCM", "TEXT") == Resolution(
        "X", Action.REMOVE, "E.3.4-1", "R", Action.REMOVE
    )
    assert DEFAULT.resolve_concept("125203", "DCM", "TEXT").action == "C"
    assert DEFAULT.resolve_concept("121022", "DCM", "NUM") is None
    assert BASIC.resolve_concept("121022", "DCM", "TEXT") is None


# ---------------------------------------------------------------- dates, private attributes, overrides

CREATOR = "Philips Imaging DD 001"


@pytest.mark.parametrize(
    ("tag", "vr", "shift", "year", "keep", "remove"),
    [
        (0x00080020, "DA", "C", "C", "K", "Z"),
        (0x00080030, "TM", "C", "Z", "K", "Z"),
        (0x0008002A, "DT", "C", "C", "K", "X"),
        (0x00140102, "DA", "C", "C", "K", "D"),  # no row names it
        (0x00141020, "DA", "D", "D", "K", "D"),  # none either, published
        (0x00143077, "TM", "C", "D", "K", "D"),
        (0x00080404, "DT", "D", "D", "K", "D"),  # outside the table, published
        (0x00100030, "DA", "Z", "Z", "Z", "Z"),  # birth date: no option names it
        (0x00100032, "TM", "X", "X", "X", "X"),
        (0x00160077, "DT", "X", "X", "X", "X"),  # GPS time
        (0x00080201, "SH", "K", "X", "K", "X"),
        (0x04000310, "OB", "X", "X", "K", "X"),
        (0x00340007, "OB", "D", "D", "K", "D"),
    ],
)
def test_dates_follow_the_policy(tag, vr, shift, year, keep, remove):
    def action(**keys):
        policy = compile_policy(PolicyFile("mine", "", hide="all_text", overrides=(), **keys))
        return policy.resolve((tag,), vr, CT).action

    modified = frozenset({"retain_long_modified_dates"})
    assert action(options=modified) == action(options=modified, dates="shift") == shift
    assert action(options=modified, dates="year") == year
    assert action(options=frozenset({"retain_long_full_dates"})) == keep
    assert action(options=frozenset()) == remove


def test_modified_dates_beat_kept_devices_and_name_what_to_write_instead(tmp_path):
    policy = _policy(tmp_path, "options: [retain_device_identity, retain_long_modified_dates]")
    found = policy.resolve((0x00181200,), "DA", CT)
    assert found == Resolution("C", Action.REMOVE, "E.1-1:published", "C", Action.REMOVE)  # Date of Last Calibration
    assert (policy.longitudinal, policy.dates) == ("MODIFIED", "shift")
    assert policy.resolve((0x00140102,), "DA", CT) == Resolution("C", Action.CLEAN, "date", "C", Action.DUMMY)


@pytest.mark.parametrize(
    ("vr", "action"),
    [
        *((vr, "K") for vr in ["FL", "FD", "SS", "US", "SL", "UL", "SV", "UV", "AT", "DS", "IS", "CS", "AS", "SQ"]),
        *((vr, "C") for vr in ["LO", "SH", "ST", "LT", "UT", "UC"]),
        *((vr, "X") for vr in ["OB", "OW", "PN", "AE", "UR"]),
        *((vr, "C") for vr in ("DA", "DT", "TM")),
        ("UI", "U"),
    ],
)
def test_safe_private_attributes_are_kept_by_vr(tmp_path, vr, action):
    policy = _policy(tmp_path, "options: [retain_safe_private, retain_long_modified_dates]")
    found = policy.resolve_private((0x20011503,), vr, CREATOR, CT)
    assert found == Resolution(action, Action(action), "safe_private", "R", Action.REMOVE)


def test_safe_private_attributes_are_named_by_creator_and_offset(tmp_path):
    policy = _policy(tmp_path, "options: [retain_safe_private]")
    removed = Resolution("X", Action.REMOVE, "private", "R", Action.REMOVE)
    assert policy.resolve_private((0x00400275, 0x20011003), "FL", f"{CREATOR} ", CT).action == "K"
    assert policy.resolve_private((0x20011003,), "FL", "Philips Imaging DD 999", CT) == removed
    assert policy.resolve_private((0x20011003,), "FL", "", CT) == removed
    assert policy.resolve_private((0x20010010,), "LO", CREATOR, CT) == removed  # the creator itself
    assert policy.resolve_private((0x20031003,), "FL", CREATOR, CT) == removed
    assert policy.resolve_private((0x20011003,), "UN", CREATOR, CT).action == "K"  # FL in the table
    assert policy.private_vr(0x20011003, CREATOR) == "FL"
    assert policy.resolve_private((0x20011050,), "", CREATOR, CT).action == "C"  # LO in the table
    assert policy.resolve_private((0x2001107D,), "UN", CREATOR, CT).action == "X"  # pixels
    assert policy.resolve_private((0x20011503,), "DA", CREATOR, CT).action == "X"  # dates are removed here
    assert len(policy.safe_private) == 479
    assert BASIC.safe_private == {}
    assert BASIC.resolve_private((0x20011003,), "FL", CREATOR, CT) == removed


def test_site_keeps_private_attributes_of_its_own(tmp_path):
    policy = _policy(
        tmp_path,
        "options: []",
        "overrides:",
        "  - {tag: '(0019,xx92)', action: K, reason: b-value, private_creator: ACME 1.0}",
        "  - {tag: '(0019,XX93)', action: C, reason: words, private_creator: ACME 1.0, modality: MR}",
    )
    site = Resolution("K", Action.KEEP, "site", "R", Action.REMOVE)
    assert policy.resolve_private((0x00191292,), "DS", "ACME 1.0", CT) == site
    assert policy.resolve_private((0x00191292,), "DS", "ACME 2.0", CT).action == "X"
    words = ((0x00191293,), "LO", "ACME 1.0", CT)
    assert policy.resolve_private(*words).action == "X"
    assert policy.resolve_private(*words, modality="MR").action == "C"
    assert policy.resolve_private((0x00191293,), "FD", "ACME 1.0", CT, modality="MR").action == "X"  # holds no words


def test_most_specific_override_wins(tmp_path):
    rows = [
        ("K", ""),
        ("Z", ", modality: MR"),
        ("D", ", manufacturer: siemens"),
        ("C", f", sop_class: '{CT}'"),
        ("X", ", modality: MR, manufacturer: siemens"),
    ]
    lines = [f"  - {{tag: StudyDescription, action: {a}, reason: r{conditions}}}" for a, conditions in rows]
    policy = _policy(tmp_path, "options: []", "overrides:", *reversed(lines))

    def action(sop_class=UNKNOWN, **conditions):
        return policy.resolve((0x00081030,), "LO", sop_class, **conditions).action

    assert action() == "K"
    assert action(modality="MR") == "Z"
    assert action(manufacturer="SIEMENS Healthineers") == "D"
    assert action(CT) == "C"
    assert action(CT, modality="CT", manufacturer="Siemens") == "C"
    assert action(CT, modality="MR", manufacturer="Siemens") == "X"


def test_keys_are_inherited_and_survive_json(tmp_path):
    lines = "extends: clinical.yaml", "hide: all_text"
    _file(
        tmp_path,
        "name: clinical\noptions: [retain_long_modified_dates, retain_safe_private]\ndates: year\nmax_age: 0\n"
        "pseudonyms: table\nclinical_trial: true\nhold: [recognizable_visual_features]\ndisabled: true\n",
        "clinical.yaml",
    )
    policy = _policy(tmp_path, *lines)
    again = Policy.from_json(policy.to_json())
    assert again == policy
    assert (again.dates, again.max_age, again.pseudonyms, again.clinical_trial) == ("year", 0, "table", True)
    assert again.hold == {"recognizable_visual_features"}
    assert again.safe_private == policy.safe_private
    with pytest.raises(PolicyError, match="policy clinical: is disabled; choose another"):
        load_policy(tmp_path / "clinical.yaml")
    assert load_policy(tmp_path / "clinical.yaml", disabled=True).name == "clinical"


@pytest.mark.parametrize(
    "line",
    ["max_age: 0", "pseudonyms: random", "hold: [recognizable_visual_features]", "hide: all_text", "description: x"],
)
def test_digest_covers_every_key(tmp_path, line):
    plain = _policy(tmp_path, "options: [clean_graphics]")
    assert _policy(tmp_path, "options: [clean_graphics]", line).digest != plain.digest


# ---------------------------------------------------------------- what is written


def test_methods_written_are_those_of_the_options():
    assert [code[0] for code in BASIC.method_codes] == ["113100", "113101"]
    assert [code[0] for code in DEFAULT.method_codes] == ["113100", "113101", "113103", "113104", "113105"]
    assert {code[1] for code in DEFAULT.method_codes} == {"DCM"}
    assert max(len(text) for text in DEFAULT.method_texts) <= 64
    assert (DEFAULT.longitudinal, DEFAULT.edition, DEFAULT.hide) == ("REMOVED", "2026d", "all_but_benign")


def test_longest_name_fits_what_is_written_and_a_longer_one_is_refused(tmp_path):
    for extends in ("hipaa_safe_harbor", "ps3_15_basic", "research_longitudinal"):
        policy = load_policy(_file(tmp_path, f"name: {'n' * 39}\nextends: {extends}\n"))
        assert max(len(text) for text in policy.method_texts) == 64
    with pytest.raises(PolicyError, match="name must be 1 to 39 letters"):
        load_policy(_file(tmp_path, f"name: {'n' * 40}\nextends: hipaa_safe_harbor\n"))


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize("policy", [BASIC, DEFAULT], ids=lambda p: p.name)
def test_json_alone_gives_the_policy_back(policy):
    text = policy.to_json()
    again = Policy.from_json(text)
    assert again == policy
    assert again.to_json() == text
    for part in ("entries", "types", "nested_types", "iod_modules", "dictionary", "iod_conflicts", "concepts"):
        assert getattr(again, part) == getattr(policy, part), part
    assert again.resolve((0x00080021,), "DA", PET).action == "D"


def test_digest_covers_the_rules_and_not_the_loading():
    assert load_policy("hipaa_safe_harbor").digest == DEFAULT.digest
    assert DEFAULT.digest != BASIC.digest
    edited = DEFAULT.to_json().replace('"00100010":["Z"', '"00100010":["K"')
    assert edited != DEFAULT.to_json()
    with pytest.raises(PolicyError, match="digest does not fit"):
        Policy.from_json(edited)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "x"}'])
def test_damaged_json_is_refused(text):
    with pytest.raises(PolicyError, match="resolved policy"):
        Policy.from_json(text)


# ---------------------------------------------------------------- policy files


def test_policy_extends_replaces_options_and_adds_overrides(tmp_path):
    _file(
        tmp_path,
        "name: base\noptions: [clean_descriptors]\nhide: all_text\n"
        "overrides:\n  - {tag: StudyID, action: X, reason: local}\n  - {tag: '(0018,0015)', action: Z, reason: a}\n",
        "base.yaml",
    )
    policy = _policy(
        tmp_path,
        "extends: base.yaml",
        "overrides:",
        "  - {tag: '00180015', action: X, reason: no body parts here}",
        f"  - {{tag: BodyPartExamined, action: K, reason: needed, sop_class: '{CT}'}}",
    )
    assert (policy.options, policy.hide) == (frozenset({"clean_descriptors"}), "all_text")
    assert policy.resolve((0x00200010,), "SH", CT).action == "X"
    assert policy.resolve((0x00200010,), "SH", CT).rule == "site"
    assert policy.resolve((0x00180015,), "CS", CT).action == "K"
    assert policy.resolve((0x0040A730, 0x00180015), "CS", PET).action == "X"


def test_named_policy_can_be_extended(tmp_path):
    policy = _policy(tmp_path, "extends: hipaa_safe_harbor", "hide: all_text")
    assert (policy.options, policy.hide) == (DEFAULT.options, "all_text")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["options: [retain_everything]"], "policy mine.yaml: unknown option 'retain_everything'"),
        (["options: [retain_uids]"], "policy mine.yaml: option retain_uids is not supported: verification lets no"),
        (["options: [clean_recognizable_visual_features]"], "faces cannot be removed from pixels; take it out and put"),
        (["options: []", "dates: shift"], "dates goes with the option retain_long_modified_dates"),
        (["options: [retain_long_modified_dates]", "dates: month"], "dates must be one of shift, year"),
        (["options: []", "max_age: 90"], "max_age must be a whole number of years, 0 (no cap) to 89"),
        (["options: []", "max_age: true"], "max_age must be a whole number of years"),
        (["options: []", "pseudonyms: names"], "pseudonyms must be one of keyed, random, table"),
        (["options: []", "clinical_trial: 1"], "clinical_trial must be true or false"),
        (["options: []", "clinical_trial: true"], "clinical_trial needs pseudonyms: table"),
        (
            ["options: []", "hold: [photograph]"],
            "hold must be a list of reasons; known are recognizable_visual_features",
        ),
        (["options: []", "hold: recognizable_visual_features"], "hold must be a list of reasons"),
        (["options: []", "disabled: maybe"], "disabled must be true or false"),
        (["options: [retain_long_full_dates, retain_long_modified_dates]"], "exclude each other"),
        (["options: [clean_graphics, clean_graphics]"], "an option is listed twice"),
        (["options: clean_graphics"], "options must be a list"),
        ([], "options must be a list"),
        (["options: []", "colour: red"], "unknown key 'colour'"),
        (["options: []", "hide: nothing"], "hide must be one of all_but_benign, all_text, identifying_only"),
        (["options: []", "extends: nowhere"], "policy nowhere: neither a known policy"),
        (["options: []", "extends: mine.yaml"], "policy mine.yaml: extends itself"),
        (["options: []", "overrides: [{tag: PatientName, action: K}]"], "overrides row 1: needs tag, action, reason"),
        (["options: []", "overrides: [{tag: Foo, action: K, reason: x}]"], "overrides row 1: 'Foo' is no keyword"),
        (["options: []", "overrides: [{tag: 00100010, action: K, reason: x}]"], "row 1: every value must be a text"),
        (["options: []", "overrides: [{tag: StudyID, action: R, reason: x}]"], "row 1: unknown action 'R'"),
        (["options: []", "overrides: [{tag: StudyID, action: U, reason: x}]"], "action U does not fit the VR SH"),
        (["options: []", "overrides: [{tag: StudyDate, action: C, reason: x}]"], "action C does not fit the VR DA"),
        (["options: []", "overrides: [{tag: StudyID, action: K, reason: '  '}]"], "row 1: every value must be a text"),
        (["options: []", "overrides: [{tag: SOPInstanceUID, action: X, reason: x}]"], "cannot be overridden"),
        (
            ["options: []", "overrides: [{tag: EncapsulatedDocument, action: K, reason: x}]"],
            "cannot be kept or cleaned",
        ),
        (["options: []", "overrides: [{tag: '(0009,1001)', action: K, reason: x}]"], "is private: write (0009,xx01)"),
        (["options: []", "overrides: [{tag: '(0009,xx01)', action: K, reason: x}]"], "needs its private_creator"),
        (["options: []", "overrides: [{tag: '(0008,0F01)', action: K, reason: x}]"], "is no standard attribute"),
        (["options: []", "overrides: [{tag: PatientBirthDate, action: K, reason: x}]"], "is never kept or shifted"),
        (["options: []", "overrides: [{tag: StudyDate, action: K, reason: x}]"], "the policy says that none is kept"),
        (["options: []", "overrides: [{tag: ContentTime, action: K, reason: x}]"], "the policy says that none is kept"),
        (["options: []", "overrides: [{tag: DeviceUID, action: K, reason: x}]"], "lets no source UID out; use U"),
        (
            ["options: []", "overrides: [{tag: StudyDate, action: C, reason: x}]"],
            "does not fit the VR DA of (0008,0020)",
        ),
        (["options: []", "overrides: [{tag: StudyID, action: K, reason: x, modality: ct}]"], "modality must be a code"),
        (
            ["options: []", "overrides: [{tag: StudyID, action: K, reason: x, model: A}]"],
            "needs tag, action, reason; may",
        ),
        (
            ["options: []", "overrides: [{tag: StudyID, action: K, reason: x, private_creator: A}]"],
            "row 1: private_creator goes with a private tag",
        ),
        (
            ["options: []", "overrides: [{tag: StudyID, action: K, reason: x, sop_class: CT}]"],
            "row 1: sop_class must be a UID",
        ),
        (
            [
                "options: []",
                "overrides: [{tag: StudyID, action: K, reason: x}, {tag: '(0020,0010)', action: X, reason: y}]",
            ],
            "overrides row 2: (0020,0010) is overridden twice",
        ),
        (["options: ["], "policy mine.yaml: is no YAML"),
        (["options: []", "overrides: []", "overrides: []"], "policy mine.yaml: a key stands twice (line 4)"),
        (
            ["options: []", "overrides: [{tag: StudyID, tag: Rows, action: X, reason: x}]"],
            "a key stands twice (line 3)",
        ),
    ],
)
def test_wrong_policy_file_is_refused_by_name(tmp_path, lines, message):
    with pytest.raises(PolicyError) as error:
        _policy(tmp_path, *lines)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("tag", "actions", "message"),
    [
        ("DataSetTrailingPadding", "K", "is written by every run, or left out"),
        ("PatientIdentityRemoved", "DZXK", "is written by every run"),
        ("DeidentificationMethod", "DZXKC", "is written by every run"),
        ("DeidentificationMethodCodeSequence", "ZXK", "is written by every run"),
        ("LongitudinalTemporalInformationModified", "DZXK", "is written by every run"),
        ("BurnedInAnnotation", "DZXK", "is written by every run"),
        ("IconImageSequence", "KCZD", "always goes"),
        ("PixelData", "DZX", "nobody can read the instance"),
        ("Rows", "DZX", "nobody can read the instance"),
        ("Modality", "DZX", "nobody can read the instance"),
        ("SpecificCharacterSet", "DZX", "nobody can read the instance"),
        ("EncryptedContent", "K", "nobody looks into it"),
        ("PatientDeathDateInAlternativeCalendar", "K", "holds a date that is no DA or DT"),
        ("CertifiedTimestamp", "K", "holds a date that is no DA or DT"),
        ("FrameOriginTimestamp", "K", "holds a date that is no DA or DT"),
    ],
)
def test_action_that_would_not_be_carried_out_or_spoils_every_instance_is_refused(tmp_path, tag, actions, message):
    for extends in ("hipaa_safe_harbor", "research_longitudinal"):
        for action in actions:
            row = f"overrides: [{{tag: {tag}, action: {action}, reason: a test}}]"
            with pytest.raises(PolicyError) as error:
                _policy(tmp_path, f"extends: {extends}", row)
            assert f"overrides row 1: {'' if 'nobody can' in message else '('}" in str(error.value)
            assert message in str(error.value)


def test_dates_of_other_vrs_are_kept_where_full_dates_are(tmp_path):
    rows = "overrides: [{tag: PatientDeathDateInAlternativeCalendar, action: K, reason: a test}]"
    policy = _policy(tmp_path, "options: [retain_long_full_dates]", rows)
    assert policy.resolve((0x00100034,), "LO", CT).action == "K"


def test_name_of_a_shipped_policy_is_refused_in_another_file_and_a_list_of_modalities_too(tmp_path):
    with pytest.raises(PolicyError, match="hipaa_safe_harbor is the name of a policy of the project; choose another"):
        load_policy(_file(tmp_path, "name: hipaa_safe_harbor\nextends: research_longitudinal\n"))
    rows = "overrides: [{tag: PatientAge, action: X, reason: r, modality: [CT, MR]}]"
    with pytest.raises(PolicyError, match="modality holds one value; write a row for each"):
        _policy(tmp_path, "extends: gdpr", rows)


def test_policy_name_is_needed_and_unknown_policy_lists_the_known(tmp_path):
    with pytest.raises(PolicyError, match="name must be 1 to 39 letters"):
        load_policy(_file(tmp_path, "options: []\n"))
    with pytest.raises(PolicyError, match=r"neither a known policy .*gdpr, hipaa_safe_harbor, ps3_15_basic, research_"):
        load_policy("nowhere")


# ---------------------------------------------------------------- conformance statement


def test_conformance_statement_says_what_the_standard_asks_for(tmp_path):
    text = conformance_statement(DEFAULT, salt_id="0123456789abcdef")
    for wanted in (
        "PS3.15 2026d",
        DEFAULT.digest,
        "`0123456789abcdef`",
        "Clean Descriptors Option (113105, DCM)",
        "## What is removed",
        "## What is replaced, and how",
        "Scope of consistency: one salt.",
        "no Encrypted Attributes Sequence",
        "## How dates are changed",
        "## What is inserted",
        "Private attributes: none is kept.",
        "## Limits",
    ):
        assert wanted in text, wanted
    assert text == conformance_statement(Policy.from_json(DEFAULT.to_json()), salt_id="0123456789abcdef")
    assert "will be kept" not in text
    site = _policy(
        tmp_path,
        "options: [retain_patient_characteristics]",
        "overrides:",
        "  - {tag: StudyID, action: K, reason: our key}",
    )
    statement = conformance_statement(site, salt_id="x")
    assert "| (0020,0010) | K | all | all | all | our key |" in statement
    assert "Age, sex, size, weight and similar values are kept" in statement


@pytest.mark.parametrize(
    ("options", "want"), [((), "X"), (("retain_long_full_dates",), "K"), (("retain_long_modified_dates",), "K")]
)
def test_private_date_is_kept_by_a_site_only_where_the_policy_keeps_dates(options, want):
    row = Override(0x00190092, "K", "when", private_creator="ACME")
    policy = compile_policy(PolicyFile("mine", "", frozenset(options), "all_text", (row,)))
    assert policy.resolve_private((0x00191092,), "DA", "ACME", CT).action == want


@pytest.mark.parametrize(
    "name", ["hipaa_safe_harbor", "ps3_15_basic", "research_longitudinal", "gdpr", "clinical_trial"]
)
def test_policy_says_of_every_attribute_what_the_engine_does(name: str) -> None:
    policy = load_policy(name)
    planner = Planner(policy)
    for tag, (vr, keyword) in load_dictionary().items():
        plan = planner.decide(planner.root(""), tag, vr.split("|")[0])
        if plan.kind is not Kind.SILENT:
            assert str(policy.resolve((tag,), plan.vr, "").action) == plan.action, keyword


def test_published_date_is_no_date_that_a_policy_moves() -> None:
    moved, removed = load_policy("research_longitudinal"), load_policy("hipaa_safe_harbor")
    for tag in (0x00181202, 0x0072000A):
        found, basic = moved.resolve((tag,), "DT", ""), removed.resolve((tag,), "DT", "")
        assert (found.action, found.code) == (basic.action, "C")
        assert found.rule.endswith(":published")
    assert moved.resolve((0x00080020,), "DA", "").action == "C"
