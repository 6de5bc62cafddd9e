"""Rows of the tables after a policy's options: what `policies` resolves at a place of an instance."""

from __future__ import annotations

from phi_deid_pipeline.phi_rules import load_safe_harbor
from phi_deid_pipeline.ps3_15_published import NUMERIC_ADVICE
from phi_deid_pipeline.ps3_15_rules import AttributeRule, Rules
from phi_deid_pipeline.value_objects import dataclass

DATE_VRS = frozenset({"DA", "DT", "TM"})
MODIFIED_DATES = "retain_long_modified_dates"
# Attributes whose date is the same for many patients: who knows it, or one patient's true dates, would subtract it.
PUBLISHED_DATES = frozenset(
    {
        *(0x00080106, 0x00080107, 0x0040DB06, 0x0040DB07),  # versions of context groups and templates
        *(0x00686226, 0x00686270),  # implant catalogues
        *(0x0072000A, 0x00720061, 0x00720063),  # hanging protocols, and the values they select by
        *(0x00181204, 0x00181205),  # plates of devices
        *(0x00181200, 0x00181202, 0x00181203, 0x0018700C, 0x0014407E, 0x00143076),  # calibration of devices, detectors
        0x300A022C,  # strength of a source, by its certificate
        *(0x00120086, 0x00120087),  # approval of a trial by its ethics committee
        *(0x00144076, 0x00144078, 0x0014407A),  # procedures of a site
        *(0x0044000B, 0x00141020),  # expiration of a lot
        *(0x00080404, 0x00080416),  # inventories of a repository
        *(0x40101025, 0x40101026, 0x40101041),  # journeys of all who travelled, objects that a site screens
        # What software writes that makes, converts, coerces or moves the instances of a whole cohort on one day.
        *(0x00080012, 0x00080015, 0x0008041F, 0x00181012, 0x0018A002, 0x00203403, 0x04000562, 0x21000040),
    }
)
FULL_DATES = "retain_long_full_dates"
SHARED_DATES = frozenset({("113723", "DCM")})  # calibration of a device: the same day for all of its patients


def is_published(dates: str, tag: int, vr: str) -> bool:
    """Tell whether a date or time would tell the offset, or more than the year, where a policy changes dates so."""
    return dates in ("shift", "year") and (tag in PUBLISHED_DATES or (vr == "TM" and dates == "year"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A row after options: `code` may be compound; `basic` is the code without options."""

    code: str
    basic: str
    rule: str
    hipaa: str
    vr: str


@dataclass(frozen=True, slots=True)
class SafePrivateRule:
    """A private attribute that Table E.3.10-1 lists: its VR there ("" where none is printed), and whether
    bytes (OB, OW) are known to hold numbers alone."""

    vr: str
    numeric: bool = False


def apply_options(basic: str, row_options: dict[str, str], options: frozenset[str]) -> tuple[str, str]:
    """Return the code after options and the option that decided it ("" if none)."""
    asked = {value: option for option, value in sorted(row_options.items()) if option in options}
    for value in ("C", "K"):  # C reveals less than K
        if value in asked:
            return value, asked[value]
    return basic, ""


def compile_rows(rules: Rules, options: frozenset[str], dates: str) -> dict[int, Entry]:
    """Return the row of every single attribute after options; `dates` says how a modified date is written."""
    letters = load_safe_harbor()
    entries: dict[int, Entry] = {}

    def add(rule: AttributeRule, section: str) -> None:
        if rule.tag is None:
            return  # families of groups and private attributes: `Policy.resolve` removes them as groups
        code, option = apply_options(rule.basic, rule.options, options)
        if option == MODIFIED_DATES and rule.vr not in DATE_VRS:
            # Whole days are shifted, so an offset from UTC stays true; other VRs hold no date that could be shifted.
            code, option = ("K", option) if rule.vr == "SH" and dates == "shift" else (rule.basic, "")
        if rule.vr == "UI" and code == "K" and "retain_uids" not in options:
            code = "U"  # a device or an institution keeps one UID everywhere, but not that of the source
        if rule.vr == "UR" and code == "K":
            code, option = rule.basic, ""  # a link into a record is no characteristic of a patient
        origin = f"{section}:{option}" if option else section
        entries[rule.tag] = Entry(code, rule.basic, origin, letters.letters(rule.tag), rule.vr)

    for section, rows in (("E.1-1", rules.table), ("gap", rules.gaps), ("own", rules.own)):
        for rule in rows:
            add(rule, section)
    for tag, action in rules.ui.items():
        code = "K" if action == "U" and "retain_uids" in options else action
        entries.setdefault(tag, Entry(code, action, "uid", letters.letters(tag), "UI"))
    return entries


def compile_safe_private(rules: Rules, options: frozenset[str]) -> dict[tuple[int, int, str], SafePrivateRule]:
    """Return (group, offset in its block, creator) -> rule of Table E.3.10-1, nothing without the option (E.3.10)."""
    if "retain_safe_private" not in options:
        return {}
    return {
        (row.group, row.offset, row.private_creator): SafePrivateRule(
            row.vr, row.vr.startswith("O") and row.handling.startswith(NUMERIC_ADVICE)
        )
        for row in rules.safe_private
    }


def compile_concepts(rules: Rules, options: frozenset[str], dates: str) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Return concept name and value type -> code after options and code without (Table E.3.4-1)."""
    if "clean_structured_content" not in options:
        return {}
    found = {}
    for rule in rules.concepts:
        code, option = apply_options(rule.basic, rule.options, options)
        times_without_days = dates == "year" and rule.value_type == "TIME"
        shared = (rule.code, rule.scheme) in SHARED_DATES
        modified = option != MODIFIED_DATES or not (times_without_days or shared)
        found[rule.code, rule.scheme, rule.value_type] = (code if modified else rule.basic, rule.basic)
    return found
