"""Check dates that a policy keeps changed: moved by one offset per patient, or cut to the year (PS3.15 E.3.6); ages.

Nobody tells the offset: it is the difference of the first pair of dates that stands at one place of source and result,
and every other pair must have it. The rules:

1. A dummy (`DUMMIES`), or no value, may stand anywhere.
2. Moved: the difference is a whole number of weeks, not 0, and the same everywhere. A source date that everybody could
   guess (`GUESSABLE`, a year before 1900 or after 2100, no day of the calendar, a partial date) is a dummy afterwards,
   and so is one of an attribute that many patients share (`SHARED`).
3. Cut: a DA is the first of January of its year, a DT the year alone.
4. Where items of a sequence went, so that numbers of items no longer fit, any source date of the same path may be the
   counterpart. A date without counterpart must not be a source date of the patient.
5. A birth date of the patient is a dummy afterwards wherever it stood, unless it is the Study Date of the source.
6. An age (AS) must be well formed, else nobody can judge it, and not beyond the class above `max_age`, whatever its unit;
   neither must the number of a content item that is called an age and has a unit of time.
7. No number (DS, IS, UL, SL, UV, SV, FL, FD) is a source date: as YYYYMMDD, DDMMYYYY or MMDDYYYY, as a second, or a part of
   one, since 1970 on that day in any time zone (not a round number of seconds), and in attributes that count things
   (`COUNTS`) as six digits.
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Iterator

from phi_deid_pipeline.dicom_utils import format_path, keyword_of
from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.records import Category, Residual
from phi_deid_pipeline.verification_bytes import Layout, Source, Value

DUMMIES = frozenset({"19000101", "19010101"})
# What anybody would try: firsts of January that clocks and forms begin with, and ends of clocks, years and centuries.
GUESSABLE = Expression(
    r"19[0-9]{2}0101|20[0-9][05]0101|200[1-3]0101|21000101|19691231|19800106|19991231|20380119|20[49]91231|21001231"
)
# Dates that many patients have in common: of code lists, templates, implants, hanging protocols, of devices, their
# detectors, sources and calibrations, of ethics committees, procedures, lots, inventories and journeys; of software that
# makes, converts or changes instances in batches.
SHARED = frozenset(
    {
        *(0x00080106, 0x00080107, 0x00080404, 0x00080416, 0x00120086, 0x00120087, 0x00141020, 0x00143076, 0x00144076),
        *(0x00144078, 0x0014407A, 0x0014407E, 0x00181200, 0x00181202, 0x00181203, 0x00181204, 0x00181205, 0x0018700C),
        *(0x0040DB06, 0x0040DB07, 0x0044000B, 0x00686226, 0x00686270, 0x0072000A, 0x00720061, 0x00720063, 0x300A022C),
        *(0x40101025, 0x40101026, 0x40101041),
        *(0x00080012, 0x00080015, 0x0008041F, 0x00181012, 0x0018A002, 0x00203403, 0x04000562, 0x21000040),
    }
)
STUDY_DATE = 0x00080020
YEARS = range(1900, 2101)

NUMERIC_VALUE = 0x0040A30A
_MEASURED, _UNIT_CODE = 0x0040A300, (0x004008EA, 0x00080100)
_CONCEPT_CODE, _CONCEPT_MEANING = (0x0040A043, 0x00080100), (0x0040A043, 0x00080104)
# Subject age, age, age at a time: DCM, SCT, LOINC; what else is called an age, in the languages of the cues.
_AGE_CODES = frozenset({b"121033", b"424144002", b"397669002", b"30525-0"})
_AGE_CALLED = Expression(r"\b(?:[aâ]g(?:es?|ed|ée?)|\w*alter|edad|\w*leeftijd|et[àa])(?!\w)", re.IGNORECASE)
_UNIT_YEARS = (
    (Expression(r"(?:a|y|yrs?|years?|jahre?|ans?|a[nñ]os?|anni|jaar)(?:_\w)?", re.IGNORECASE), 1),
    (Expression(r"(?:mo|months?|monate?|mois|mes|meses|mesi|maanden)(?:_\w)?", re.IGNORECASE), 12),
    (Expression(r"(?:wk|weeks?|wochen?|semaines|semanas|settimane|weken)", re.IGNORECASE), 52),
    (Expression(r"(?:d|days?|tage?|jours|d[ií]as|giorni|dagen)", re.IGNORECASE), 365),
)
_AGE = Expression(rb"[0-9]{3}[DWMY]")
_PER_YEAR = {b"D": 365, b"W": 52, b"M": 12}


class ChangedDates:
    """Judges DA and DT values of one patient's instances; remembers the patient's offset once it is seen."""

    def __init__(self, mode: str, source_dates: frozenset[str], births: frozenset[str] = frozenset()) -> None:
        self._year = mode == "year"
        self._dates = source_dates
        self._births = births
        self._offset: int | None = None  # days

    def problems(self, value: Value, data: bytes, original: Source) -> Iterator[Residual]:
        """Yield what is wrong with a value: a source date that is left, or one that was not changed as all others."""
        after = [part.strip(b" \x00").decode("latin-1") for part in data.split(b"\\")]
        before = original.value_at(value.path, value.items)
        old = [part.strip(b" \x00").decode("latin-1") for part in before.split(b"\\")] if before is not None else []
        for number, text in enumerate(after):
            if not text or _day(text) in DUMMIES:
                continue
            told = self._judged(value, text, old[number] if number < len(old) else "", original)
            if told is not None:
                yield Residual("dates", format_path(value.path), Category.DATE.value, told)
                return

    def _judged(self, value: Value, text: str, old: str, original: Source) -> str | None:
        """Return None for a date that may stand here, else what is wrong ("" for a source date)."""
        if value.path[-1] in SHARED:
            return "" if _day(text) == _day(old) else "made from a date that many patients share"
        births = self._births - {_day(original.layout.text(STUDY_DATE))} if self._births else self._births
        if self._year:
            found = self._judged_year(value.vr, text, old)
            return "made from the birth date" if found is None and _day(old) in births else found
        day, was = _calendar(_day(text)), _calendar(_day(old))
        if not old:
            return "" if _day(text) in self._dates else None
        found = "made from the birth date" if _day(old) in births else self._moved_by(day, was, old)
        if found is None or day is None or not value.items:
            return found
        return None if self._fits_elsewhere(value, day, original, births) else found

    def _moved_by(self, day: datetime.date | None, was: datetime.date | None, old: str) -> str | None:
        if was is None or GUESSABLE.fullmatch(_day(old)):
            return "made from a date that must not be moved"
        if day is None:
            return "not a full date"
        offset = (day - was).days
        if offset == 0:
            return ""
        if self._offset is None and offset % 7 == 0:
            self._offset = offset
        return None if offset == self._offset else "moved by another offset"

    def _fits_elsewhere(self, value: Value, day: datetime.date, original: Source, births: frozenset[str]) -> bool:
        if self._offset is None:
            return False
        wanted = f"{day - datetime.timedelta(days=self._offset):%Y%m%d}"
        return wanted not in births and any(
            wanted.encode() in original.layout.bytes_of(other).replace(b".", b"")
            for other in original.values
            if other.path == value.path
        )

    @staticmethod
    def _judged_year(vr: str, text: str, old: str) -> str | None:
        if not re.fullmatch(r"[0-9]{4}0101" if vr == "DA" else r"[0-9]{4}", text):
            return "" if _day(text) == _day(old) else "not cut to the year"
        return None if not old or text[:4] == old[:4] else "another year"


def age_problems(value: Value, data: bytes, max_age: int) -> Iterator[Residual]:
    """Yield an age above the class of all that are older than `max_age` years, or one that is none; 0 allows any."""
    for part in data.split(b"\\") if max_age else ():
        age = part.strip(b" \x00")
        if age and (not _AGE.fullmatch(age) or _is_above(int(age[:3]), age[3:], max_age)):
            yield Residual("ages", format_path(value.path), "age")
            return


def number_ages(layout: Layout, max_age: int) -> Iterator[Residual]:
    """Yield the place of every number of a structured report that tells an age beyond the class above `max_age`."""
    numbers = [value for value in layout.values if value.path[-1] == NUMERIC_VALUE] if max_age else []
    if not numbers:
        return
    places = {(value.path, value.items): value for value in layout.values}

    def text(path: tuple[int, ...], items: tuple[int, ...], below: tuple[int, ...]) -> bytes:
        found = places.get((path + below, (*items, 0)))
        return layout.bytes_of(found).strip(b" \x00") if found is not None else b""

    for value in numbers:
        if value.path[-2:-1] != (_MEASURED,):
            continue
        item, outer = value.path[:-2], value.items[:-1]
        unit = _per_year(_spelled(text(value.path[:-1], value.items, _UNIT_CODE)))
        called = _AGE_CALLED.search(_spelled(text(item, outer, _CONCEPT_MEANING)))
        if text(item, outer, _CONCEPT_CODE) not in _AGE_CODES and not (unit and called):
            continue
        if any(_number(part) > (max_age + 1) * (unit or 1) for part in layout.bytes_of(value).split(b"\\")):
            yield Residual("ages", format_path(value.path), "age")


def _spelled(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _per_year(unit: str) -> int:
    """Return how many of a unit make a year, 1 where there is no unit, 0 for a unit of something else."""
    unit = unit.strip("{}[]. ")
    return 1 if not unit else next((number for form, number in _UNIT_YEARS if form.fullmatch(unit)), 0)


def _number(part: bytes) -> float:
    """Return a number; what is none counts as beyond any limit, blank as 0."""
    text = part.strip(b" \x00")
    try:
        return float(text) if text else 0.0
    except ValueError:
        return float("inf")


def _is_above(number: int, unit: bytes, max_age: int) -> bool:
    return number > max_age + 1 if unit == b"Y" else number >= (max_age + 1) * _PER_YEAR[unit]


def _day(text: str) -> str:
    """Return YYYYMMDD of the head of a DA or DT, what there is of it."""
    return text.replace(".", "", 2)[:8] if text[4:5] == "." else text[:8]


def _calendar(day: str) -> datetime.date | None:
    if not re.fullmatch(r"[0-9]{8}", day, re.ASCII) or int(day[:4]) not in YEARS:
        return None
    try:
        return datetime.date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return None


COUNTS = Expression(r"Number$|Index$|Identifier$")  # of keywords
LONGEST_NUMBERS = 256  # bytes of a value whose numbers are looked at
_BINARY = {"UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
NUMBER_VRS = frozenset({"DS", "IS", *_BINARY})
_MAY_BE_DAY = Expression(rb"(?<![.0-9])[0-9]{5}|[eE]")
_ZONES = datetime.timedelta(hours=14)


class NumericDays:
    """Judges numbers by the source dates (YYYYMMDD) that they may be."""

    def __init__(self, dates: frozenset[str]) -> None:
        days = [day for day in map(_calendar, sorted(dates)) if day is not None]
        self._days = frozenset(days)
        self._eight = frozenset(int(f"{day:{form}}") for day in days for form in ("%Y%m%d", "%d%m%Y", "%m%d%Y"))
        self._rounded = {struct.unpack("f", struct.pack("f", number))[0] for number in self._eight}
        self._six = frozenset(f"{day:{form}}" for day in days for form in ("%y%m%d", "%d%m%y", "%m%d%y"))

    def problems(self, value: Value, data: bytes, *, little: bool) -> Iterator[Residual]:
        """Yield a residual for a value of `NUMBER_VRS` that holds one of the days."""
        numbers = [n for n in _numbers_of(value.vr, data, little=little) if 10_000 <= abs(n) < 10**16]
        counts = bool(numbers) and COUNTS.search(keyword_of(value.path[-1])) is not None
        if any(self._is_day(number, value.vr, counts) for number in numbers):
            yield Residual("dates", format_path(value.path), Category.DATE.value)

    def _is_day(self, number: float, vr: str, counts: bool) -> bool:
        whole = int(number)
        if whole in self._eight or (vr == "FL" and number in self._rounded):
            return True
        if counts and whole == number and str(whole).zfill(6) in self._six:
            return True
        return any(self._is_moment(whole // size) for size in (1, 10**3, 10**6))

    def _is_moment(self, second: int) -> bool:
        if not 10**8 <= abs(second) < 42 * 10**8 or (second % 10_000 == 0 and second % 3600):
            return False
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=second)
        return any((moment + shift).date() in self._days for shift in (-_ZONES, _ZONES, 0 * _ZONES))


def _numbers_of(vr: str, data: bytes, *, little: bool) -> list[float]:
    """Return the finite numbers of a value, none where it is no number or longer than `LONGEST_NUMBERS`."""
    if len(data) > LONGEST_NUMBERS:
        return []
    if vr in _BINARY:
        size = struct.calcsize(_BINARY[vr])
        count = len(data) // size
        return [n for n in struct.unpack_from(f"{'<' if little else '>'}{count}{_BINARY[vr]}", data) if n == n]
    found = (
        expression(rb"[ \x00]*([+-]?[0-9.]+(?:[eE][+-]?[0-9]{1,2})?)[ \x00]*").fullmatch(part)
        for part in data.split(b"\\")
    )
    return [float(match[1]) for match in found if match and match[1].count(b".") < 2 and match[1].strip(b"+-.")]
