"""Check dates that a policy keeps changed: moved by one offset per patient, or cut to the year (PS3.15 E.3.6); ages.

Nobody tells the offset: it is the difference of the first pair of dates that stands at one place of source and result,
and every other pair must have it. The rules:

1. A dummy (`DUMMIES`), or no value, may stand anywhere.
2. Moved: the difference is a whole number of weeks, not 0, and the same everywhere. A source date that everybody could
   guess (`GUESSABLE`, a year before 1900 or after 2100, no day of the calendar, a partial date) is a dummy afterwards.
3. Cut: a DA is the first of January of its year, a DT the year alone.
4. Where items of a sequence went, so that numbers of items no longer fit, any source date of the same path may be the
   counterpart. A date without counterpart must not be a source date of the patient.
5. An age (AS) of `max_age` years or more beyond the class above it must not be there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

from phi_deid_pipeline.dicom_utils import format_path
from phi_deid_pipeline.records import Category, Residual
from phi_deid_pipeline.verification_bytes import Source, Value

DUMMIES = frozenset({"19000101", "19010101"})
GUESSABLE = DUMMIES | {"19700101"}
YEARS = range(1900, 2101)

_AGE = re.compile(rb"([0-9]{3})([DWMY])")
_PER_YEAR = {b"D": 365, b"W": 52, b"M": 12, b"Y": 1}


class ChangedDates:
    """Judges DA and DT values of one patient's instances; remembers the patient's offset once it is seen."""

    def __init__(self, mode: str, source_dates: frozenset[str]) -> None:
        self._year = mode == "year"
        self._dates = source_dates
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
        if self._year:
            return self._judged_year(value.vr, text, old)
        day, was = _calendar(_day(text)), _calendar(_day(old))
        if not old:
            return "" if _day(text) in self._dates else None
        found = self._moved_by(day, was, old)
        if found is None or day is None or not value.items:
            return found
        return None if self._fits_elsewhere(value, day, original) else found

    def _moved_by(self, day: datetime.date | None, was: datetime.date | None, old: str) -> str | None:
        if was is None or _day(old) in GUESSABLE:
            return "made from a date that must not be moved"
        if day is None:
            return "not a full date"
        offset = (day - was).days
        if offset == 0:
            return ""
        if self._offset is None and offset % 7 == 0:
            self._offset = offset
        return None if offset == self._offset else "moved by another offset"

    def _fits_elsewhere(self, value: Value, day: datetime.date, original: Source) -> bool:
        if self._offset is None:
            return False
        wanted = (day - datetime.timedelta(days=self._offset)).strftime("%Y%m%d").encode()
        return any(
            wanted in original.layout.bytes_of(other).replace(b".", b"")
            for other in original.values
            if other.path == value.path
        )

    @staticmethod
    def _judged_year(vr: str, text: str, old: str) -> str | None:
        if not re.fullmatch(r"[0-9]{4}0101" if vr == "DA" else r"[0-9]{4}", text):
            return "" if _day(text) == _day(old) else "not cut to the year"
        return None if not old or text[:4] == old[:4] else "another year"


def age_problems(value: Value, data: bytes, max_age: int) -> Iterator[Residual]:
    """Yield an age above the class of all that are older than `max_age` years; 0 allows any."""
    for number, unit in _AGE.findall(data) if max_age else ():
        if int(number) > (max_age + 1) * _PER_YEAR[unit]:
            yield Residual("ages", format_path(value.path), "age")
            return


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
