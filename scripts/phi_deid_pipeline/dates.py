"""Dates that a policy keeps changed: moved by one secret offset per patient, or cut to the year (PS3.15 E.3.6).

The offset is a whole number of weeks, so that times, weekdays and the hours of daylight saving stay as they are and all
intervals of a patient hold to the day. A date that everybody can guess (a dummy, the epoch of a clock, an impossible
year) or that many patients share (a calibration) is never moved: it would tell the offset. It becomes a dummy, and so does
everything that is no full date.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import date, timedelta

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.uid_mapping import derive_key

LEAST_WEEKS, MOST_WEEKS = 52, 520  # dates move into the past, by one year to ten
FIRST_YEAR, LAST_YEAR = 1900, 2100  # plausible ones
DUMMY_DATE, DUMMY_DATETIME = "19000101", "19000101000000"
OWN_DUMMIES = frozenset({DUMMY_DATE, "19010101"})
# What software writes where nobody knew the date: our dummies, the zero of clocks and calendars (Unix and its western time
# zones, DOS, GPS, embedded clocks, forms), which is nearly always a first of January, and ends of time. Examinations of a
# first of January before 2000, from 2001 to 2003 or of every fifth year lose their date with it.
CONSTANT_DATES = (
    OWN_DUMMIES
    | {f"{year}0101" for year in (*range(FIRST_YEAR, 2000), *range(2000, LAST_YEAR + 1, 5), 2001, 2002, 2003)}
    | {"19691231", "19800106", "19991231", "20380119", "20491231", "20991231", "21001231"}
)

_DATE = Expression(r"(\d{4})(\.?)(\d\d)\2(\d\d)", re.ASCII)
_TIME = Expression(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?", re.ASCII)
_ZONE = Expression(r"[+-](?:0\d|1[0-4])[0-5]\d", re.ASCII)
_YEAR = Expression(r"(\d{4})(?:\d\d){0,5}(?:\.\d{1,6})?(?:[+-]\d{4})?", re.ASCII)


def offset_days(salt: bytes, patient_key: str) -> int:
    """Return the offset of a patient in days: whole weeks, negative, the same for one salt and key for ever."""
    key = derive_key(salt, "dates")
    digest = hmac.new(key, patient_key.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    weeks = LEAST_WEEKS + int.from_bytes(digest[:8], "big") % (MOST_WEEKS - LEAST_WEEKS + 1)
    return -7 * weeks


def shift_date(vr: str, value: bytes, offset: int, guessable: frozenset[str] = frozenset()) -> bytes | None:
    """Move each date of a DA or DT value by `offset` days; None if the value holds no date.

    `guessable` are further dates (YYYYMMDD) that must not be moved. What is no full date, or must not be moved, becomes
    the dummy of its VR. Time and UTC suffix of a DT stay.
    """
    return _each(value, lambda text: _shifted(vr, text, offset, guessable))


def to_year(vr: str, value: bytes, unwanted: frozenset[str] = frozenset()) -> bytes | None:
    """Cut each date of a DA value to YYYY0101, of a DT value to YYYY; None if the value holds no date.

    Those of `unwanted` (YYYYMMDD) become the dummy.
    """
    return _each(value, lambda text: _dummy(vr) if _day(text) in unwanted else _year(vr, text))


def without_dates(vr: str, value: bytes, unwanted: frozenset[str]) -> bytes | None:
    """Make a dummy of each date of a DA or DT value that is one of `unwanted` (YYYYMMDD); None if none is."""

    if not unwanted or not value.isascii():
        return None
    new = _each(value, lambda text: _dummy(vr) if _day(text) in unwanted else text)
    return None if new is None or new.rstrip() == value.rstrip(b" \x00") else new


def _each(value: bytes, change: Callable[[str], str]) -> bytes | None:
    text = value.decode("latin-1")
    if not text.strip(" \x00\\"):
        return None
    parts = [part.strip(" \x00") for part in text.split("\\")]
    new = "\\".join(change(part) if part else "" for part in parts).encode("ascii")
    return new if len(new) % 2 == 0 else new + b" "


def _day(text: str) -> str:
    found = _DATE.match(text)
    return found[1] + found[3] + found[4] if found else ""


def _dummy(vr: str) -> str:
    return DUMMY_DATE if vr == "DA" else DUMMY_DATETIME


def _shifted(vr: str, text: str, offset: int, guessable: frozenset[str]) -> str:
    found = _DATE.match(text)
    if found is None or not _is_rest(vr, text[found.end() :], bool(found[2])):
        return _dummy(vr)
    moved = _moved(found[1] + found[3] + found[4], offset, guessable)
    if not moved:
        return _dummy(vr)
    separator = found[2]
    return separator.join((moved[:4], moved[4:6], moved[6:])) + text[found.end() :]


def _is_rest(vr: str, rest: str, dotted: bool) -> bool:
    """Tell whether what follows the day is what the VR allows: nothing in a DA, time and UTC suffix in a DT."""
    if vr == "DA" or dotted:
        return not rest
    time = _TIME.match(rest)
    zone = rest[time.end() :] if time else rest
    return not zone or _ZONE.fullmatch(zone) is not None


def _moved(day: str, offset: int, guessable: frozenset[str]) -> str:
    """Return the moved day, "" for one that must not be moved or would fall on a dummy or out of range."""
    if day in CONSTANT_DATES or day in guessable:
        return ""
    year, month, number = int(day[:4]), int(day[4:6]), int(day[6:])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return ""
    try:
        moved = date(year, month, number) + timedelta(days=offset)
    except (ValueError, OverflowError):
        return ""
    text = f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"
    return "" if text in OWN_DUMMIES or moved.year < FIRST_YEAR else text


def _year(vr: str, text: str) -> str:
    found = _DATE.fullmatch(text) or (_YEAR.fullmatch(text) if vr == "DT" else None)
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        return _dummy(vr)
    return f"{found[1]}0101" if vr == "DA" else found[1]
