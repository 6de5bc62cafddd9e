"""What the standard's table asks for an attribute under a set of options: data of the standard alone, no policy code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

RULES = Path(__file__).resolve().parents[3] / "resources" / "ps3_15" / "ps3_15_rules.json"

# What each shipped policy promises, in options of PS3.15; written here by hand from what the policies are for.
POLICY_OPTIONS: dict[str, frozenset[str]] = {
    "ps3_15_basic": frozenset({"clean_pixel_data"}),
    "hipaa_safe_harbor": frozenset(
        {"clean_descriptors", "clean_structured_content", "clean_graphics", "clean_pixel_data"}
    ),
    "research_longitudinal": frozenset(
        {
            "clean_descriptors",
            "clean_structured_content",
            "clean_graphics",
            "clean_pixel_data",
            "retain_long_modified_dates",
            "retain_patient_characteristics",
            "retain_device_identity",
            "retain_safe_private",
        }
    ),
}
KEYS = tuple(POLICY_OPTIONS)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of Table E.1-1; `options` maps an option to K or C."""

    tag: int
    keyword: str
    vr: str
    basic: str
    options: dict[str, str]


@lru_cache(maxsize=1)
def table() -> dict[int, Row]:
    """Return the rows of Table E.1-1 with one tag each, by tag."""
    rows = {}
    for row in json.loads(RULES.read_bytes())["table_e1_1"]:
        digits = row["tag"].strip("()").replace(",", "")
        if all(c in "0123456789abcdefABCDEF" for c in digits) and len(digits) == 8:
            number = int(digits, 16)
            rows[number] = Row(number, row["keyword"], row["vr"].split("|")[0], row["basic"], row["options"])
    return rows


@lru_cache(maxsize=1)
def safe_private() -> dict[tuple[int, int, str], tuple[str, str]]:
    """Return {(group, low byte, creator in lower case): (VR, handling)} of Table E.3.10-1."""
    found = {}
    for row in json.loads(RULES.read_bytes())["safe_private_e3_10_1"]:
        group, low = row["tag"].strip("()").split(",")
        found[int(group, 16), int(low.replace("xx", ""), 16), row["private_creator"].lower()] = (
            row["vr"],
            row["handling"],
        )
    return found


def wish(tag: int, options: frozenset[str]) -> str:
    """Return what is to happen to a standard attribute: keep (not in the table, or K), clean (C) or the basic code.

    Where two options differ, what reveals less wins.
    """
    row = table().get(tag)
    if row is None:
        return "keep"
    asked = {code for option, code in row.options.items() if option in options}
    return "clean" if "C" in asked else "keep" if "K" in asked else row.basic


@lru_cache(maxsize=1)
def concepts() -> dict[str, tuple[str, dict[str, str]]]:
    """Return {code: (basic action, options)} of Table E.3.4-1."""
    rows = json.loads(RULES.read_bytes())["structured_content_e3_4_1"]
    return {row["code"]: (row["basic"], row["options"]) for row in rows}


def concept_stays(code: str, options: frozenset[str]) -> bool:
    """Tell whether a content item of a concept stays with its value, cleaned or not; a dummy is no value."""
    if code not in concepts():
        return True
    basic, held = concepts()[code]
    return any(option in options for option in held) or basic not in ("X", "X/D", "X/Z/D", "D", "Z")


def stays(path: tuple, options: frozenset[str]) -> bool:
    """Tell whether all sequences on a path have to stay, so that something can be asked of what is inside."""
    # Where the code allows U (X/Z/U*), a tool that wants its links to survive keeps the sequence and maps the UIDs.
    staying = ("keep", "clean", "X/Z/U*")
    return all(isinstance(step, int) and wish(step, options) in staying for step in path[:-1:2])
