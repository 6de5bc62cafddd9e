"""The data dictionary (PS3.6) from a table of text, so that a job need not load a DICOM library for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "dictionary"


class Attribute(NamedTuple):
    """What the dictionary says of a tag; an ambiguous VR reads like "US or SS", a VM like "1-n"."""

    vr: str
    vm: str
    keyword: str


@cache
def _rows() -> tuple[dict[str, str], dict[str, str]]:
    """Return rows by tag: of single tags, and of repeating groups (x: any digit)."""
    lines = (_FOLDER / "data_dictionary.tsv").read_text(encoding="ascii").splitlines()
    rows = dict(line.split("\t", 1) for line in lines)
    repeating = {tag: rows.pop(tag) for tag in [tag for tag in rows if "x" in tag]}
    return rows, repeating


@cache
def _masks() -> tuple[tuple[int, int, str], ...]:
    """Return (mask of the fixed digits, their value, row) of each repeating group."""
    found = []
    for tag, row in _rows()[1].items():
        fixed = int("".join("0" if digit == "x" else "F" for digit in tag), 16)
        found.append((fixed, int(tag.replace("x", "0"), 16), row))
    return tuple(found)


def attribute(tag: int) -> Attribute | None:
    """Return what the dictionary says of a standard tag, None for a private or unknown one."""
    row = _rows()[0].get(f"{tag:08X}")
    if row is None and not tag & 0x10000:
        row = next((row for fixed, value, row in _masks() if tag & fixed == value), None)
    return None if row is None else Attribute(*row.split("\t"))


@cache
def _by_keyword() -> dict[str, int]:
    return {row.rpartition("\t")[2]: int(tag, 16) for tag, row in _rows()[0].items()}


def tag_of(keyword: str) -> int | None:
    """Return the tag of a keyword, None for an unknown one and for repeating groups."""
    return _by_keyword().get(keyword) if keyword else None


@cache
def transfer_syntaxes() -> frozenset[str]:
    """Return the UIDs of all transfer syntaxes whose files hold a data set."""
    return frozenset((_FOLDER / "transfer_syntaxes.txt").read_text(encoding="ascii").split())


@cache
def coding_schemes() -> dict[str, str]:
    """Return the registered coding schemes in capitals (PS3.16 Tables 8-1 and 8-2) and their UIDs, "" where they have none."""
    lines = (_FOLDER / "coding_schemes.tsv").read_text(encoding="ascii").splitlines()
    return {designator.upper(): uid for designator, uid in (line.split("\t") for line in lines)}


@cache
def scheme_uids() -> frozenset[str]:
    """Return the UIDs of the registered coding schemes."""
    return frozenset(filter(None, coding_schemes().values()))
