"""HIPAA Safe Harbor: which of the 18 identifiers of 45 CFR 164.514(b)(2)(i) an attribute can carry."""

from __future__ import annotations

import json
from pathlib import Path

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.ps3_15_rules import format_tag, parse_tag
from phi_deid_pipeline.value_objects import dataclass

HIPAA_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "hipaa"
LETTERS = "ABCDEFGHIJKLMNOPQR"


@dataclass(frozen=True, slots=True)
class SafeHarbor:
    """The 18 identifiers by letter, and the letters of each attribute ("ACR", "" where none is named)."""

    identifiers: dict[str, str]
    tags: dict[int, str]
    families: dict[tuple[int, int], str]  # (high byte of the group, element) of repeating groups

    def letters(self, tag: int) -> str:
        """Return the letters of the identifiers that an attribute can carry, in order."""
        return self.tags.get(tag) or self.families.get((tag >> 24, tag & 0xFFFF), "")


def load_safe_harbor(folder: Path = HIPAA_FOLDER) -> SafeHarbor:
    """Read `safe_harbor.json`; PolicyError names the row of an unknown letter or tag, or of a duplicate."""
    name = "safe_harbor.json"
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        identifiers = {row["letter"]: row["identifier"] for row in content["identifiers"]}
        rows = [(row["tag"], row["letter"]) for row in content["attributes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"{name}: cannot be used ({type(error).__name__}); restore it from the project") from error
    if "".join(sorted(identifiers)) != LETTERS:
        raise PolicyError(f"{name}: identifiers must be the 18 letters A to R")
    tags: dict[int, set[str]] = {}
    families: dict[tuple[int, int], set[str]] = {}
    for number, (text, letter) in enumerate(rows, 1):
        place = f"{name}: attributes row {number} {text}"
        if letter not in identifiers:
            raise PolicyError(f"{place}: unknown letter {letter!r}")
        try:
            if not text:
                continue  # an identifier that no attribute is made for: it can stand in free text and pictures only
            if text[3:5] == "xx":
                found = families.setdefault((int(text[1:3], 16), int(text[6:10], 16)), set())
            else:
                found = tags.setdefault(parse_tag(text), set())
        except ValueError as error:
            raise PolicyError(f"{place}: no tag of the form (gggg,eeee) or (ggxx,eeee)") from error
        if letter in found:
            raise PolicyError(f"{place}: duplicate row for letter {letter}")
        found.add(letter)
    return SafeHarbor(
        identifiers,
        {tag: "".join(sorted(letters)) for tag, letters in sorted(tags.items())},
        {family: "".join(sorted(letters)) for family, letters in sorted(families.items())},
    )


def describe(letters: str, safe_harbor: SafeHarbor) -> list[str]:
    """Return "(A) Names" and so on for letters."""
    return [f"({letter}) {safe_harbor.identifiers[letter]}" for letter in letters]


def attributes_of(letter: str, safe_harbor: SafeHarbor) -> list[str]:
    """Return the tags, written (gggg,eeee), that can carry an identifier; repeating groups as (ggxx,eeee)."""
    single = [format_tag(tag) for tag, letters in safe_harbor.tags.items() if letter in letters]
    return single + [f"({g:02X}xx,{e:04X})" for (g, e), letters in safe_harbor.families.items() if letter in letters]
