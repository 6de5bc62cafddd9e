"""Values that are kept in a coarser form: ages above a limit, places as the first digits of a ZIP code (45 CFR 164.514)."""

from __future__ import annotations

import re

# First three digits of areas of 20,000 people or fewer, by the censuses of 2000 and of 2010: they become 000.
RESTRICTED_ZIP3 = frozenset(
    {"036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890"}
    | {"893", "205", "369"}
)
_AGE = re.compile(rb"(\d{3})([DWMY])")
_DAYS = {b"D": 1, b"W": 7, b"M": 30, b"Y": 365}  # shortest length of a unit
_PER_YEAR = {"a": 1, "mo": 12, "wk": 52, "d": 365}  # UCUM
# A ZIP code stands behind the letters of a state, or at the end, with or without its four further digits.
_ZIP = re.compile(r"(?:\b[A-Z]{2}[ ,.^]+(\d{5})(?:-?\d{4})?(?![\d-]))|(?:(?<![\w-])(\d{5})(?:-\d{4})?\s*$)", re.ASCII)


def capped_age(value: bytes, max_age: int) -> bytes | None:
    """Return an AS value with ages above `max_age` years as the next year (089Y stays, 095Y is 090Y); None if none is."""
    parts = value.split(b"\\")
    new = [_capped(part, max_age) for part in parts]
    if new == parts:
        return None
    joined = b"\\".join(part.strip(b" \x00") for part in new)
    return joined if len(joined) % 2 == 0 else joined + b" "


def _capped(part: bytes, max_age: int) -> bytes:
    found = _AGE.fullmatch(part.strip(b" \x00"))
    if found is None:
        return part
    number, unit = int(found[1]), found[2]
    above = number > max_age if unit == b"Y" else number * _DAYS[unit] >= (max_age + 1) * 365
    return b"%03dY" % (max_age + 1) if above else part


def capped_number(value: bytes, unit: str, max_age: int) -> bytes | None:
    """Return a DS value, an age in a unit of UCUM, as `max_age` + 1 years where it is above; None if it is not."""
    try:
        number = float(value.strip(b" \x00"))
    except ValueError:
        return None
    per_year = _PER_YEAR.get(unit, 1)
    limit = (max_age + 1) * per_year
    if not number > (max_age if per_year == 1 else limit) or number == limit:
        return None
    text = str(limit).encode("ascii")
    return text if len(text) % 2 == 0 else text + b" "


def zip3(text: str) -> str:
    """Return the first three digits of the US ZIP code in an address, 000 for a restricted area; "" if there is none."""
    found = [first or second for first, second in _ZIP.findall(text.strip(" \x00"))]
    if not found:
        return ""
    return "000" if found[-1][:3] in RESTRICTED_ZIP3 else found[-1][:3]
