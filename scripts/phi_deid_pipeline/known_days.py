"""Days of a patient in values that are numbers: 20240229, 20240229.0, the second 1709164800, 240229 in a counter.

Beside a moved date each of them would tell by how much all were moved. A number is such a day as YYYYMMDD, DDMMYYYY or
MMDDYYYY whatever stands behind its point, as seconds, or parts of them, since 1970, which no time zone divides from the day,
and with six digits in a counter (Series Number, indices) alone, as it may be a measure elsewhere.
"""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Iterable
from functools import cache

from phi_deid_pipeline.dicom_utils import keyword_of
from phi_deid_pipeline.expressions import Expression

MAX_BYTES = 256  # longer values are tables
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_DAY, _ZONE = 86_400, 14 * 3600  # seconds
_SECONDS = range(100_000_000, 4_200_000_000)  # from 1973; below that are counts
_ROUND = 10_000  # a number of seconds that is a multiple of this and no whole hour is a count
_LEAST, _MOST = 10_000, 10**16  # of a day in six digits, less a zero in front; of a second in parts of a million
_LARGE = Expression(rb"(?<![.0-9])[0-9]{8}|[Ee]")
_SHORT = Expression(rb"[0-9]{6}")
_FORMATS = {"UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
BINARY_VRS = frozenset(_FORMATS)


class KnownDays:
    """The days (YYYYMMDD) that numbers are compared with."""

    def __init__(self, days: Iterable[str]) -> None:
        forms = [(day, day[6:] + day[4:6] + day[:4], day[4:] + day[:4]) for day in days]
        self._numbers = frozenset(int(form) for written in forms for form in written)
        self._singles = frozenset(struct.unpack("f", struct.pack("f", number))[0] for number in self._numbers)
        self._short = frozenset(form for day, *_ in forms for form in _six_digits(day))
        self._ordinals = frozenset(number for day, *_ in forms if (number := _ordinal(day)) is not None)

    def __bool__(self) -> bool:
        return bool(self._numbers)

    def holds(self, number: float, *, single: bool = False, counter: bool = False) -> bool:
        """Tell whether a number is one of the days; `single`: it was rounded as FL is."""
        if not _LEAST <= abs(number) < _MOST:
            return False
        if int(number) in self._numbers or (single and number in self._singles):
            return True
        if counter and number == int(number) and f"{int(number):06d}" in self._short:
            return True
        return any(self._is_second(number / scale) for scale in (1, 1_000, 1_000_000))

    def _is_second(self, seconds: float) -> bool:
        if int(abs(seconds)) not in _SECONDS or (seconds % _ROUND == 0 and seconds % 3600):
            return False
        return any(math.floor((seconds + shift) / _DAY) in self._ordinals for shift in (-_ZONE, 0, _ZONE))

    def in_text(self, value: bytes, *, counter: bool) -> list[bool] | None:
        """Return for each component of a DS or IS whether it is one of the days, None if none is."""
        if not _LARGE.search(value) and not (counter and _SHORT.search(value)):
            return None
        found = []
        for part in value.split(b"\\"):
            try:
                found.append(self.holds(float(part.strip(b" \x00") or 0), counter=counter))
            except ValueError:
                found.append(False)  # no number: what else it may be is asked elsewhere
        return found if any(found) else None

    def without_days(self, vr: str, value: bytes, *, little: bool, counter: bool) -> bytes | None:
        """Return a value of a binary VR with 0 in the place of each day, None if there is none."""
        code = _FORMATS[vr]
        count = len(value) // struct.calcsize(code)
        if count * struct.calcsize(code) != len(value):
            return None
        form = f"{'<' if little else '>'}{count}{code}"
        numbers = struct.unpack(form, value)
        days = [self.holds(number, single=vr == "FL", counter=counter) for number in numbers]
        if not any(days):
            return None
        return struct.pack(form, *(0 if day else number for day, number in zip(days, numbers, strict=True)))


def _six_digits(day: str) -> tuple[str, str, str]:
    return day[2:], day[6:] + day[4:6] + day[2:4], day[4:] + day[2:4]


def _ordinal(day: str) -> int | None:
    """Return the days from 1970 to a day, None for one that no calendar has."""
    try:
        return datetime.date(int(day[:4]), int(day[4:6]), int(day[6:])).toordinal() - _EPOCH
    except ValueError:
        return None


@cache
def is_counter(tag: int) -> bool:
    """Tell whether an attribute counts or numbers things, as Series Number does, so that six digits may be a day."""
    return keyword_of(tag).endswith(("Number", "Index", "Identifier"))
