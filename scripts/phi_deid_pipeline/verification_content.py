"""Check the numbers of content items, in reports and outside of them (PS3.3 10.2, C.17.3, C.18): ages, and identifiers.

A number stands in the item itself or in its Measured Value Sequence, as text, as a float or as numerator and denominator. What
is called an age by its code, or by its name and a unit of time, must not be beyond the class above `max_age`; and
what is called the number of a patient, a record or an order must not be a whole number of `MIN_DIGITS` digits and more.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator

from phi_deid_pipeline.dicom_utils import format_path
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.records import Category, Residual
from phi_deid_pipeline.verification_bytes import Layout, Value

NUMERATOR, DENOMINATOR = 0x0040A162, 0x0040A163
NUMBERS = frozenset({0x0040A30A, 0x0040A161, NUMERATOR})
MIN_DIGITS = 4
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
_ID_CALLED = Expression(
    r"(?:(?:the )?(?:patient|medical record|accession)(?:'s)?[ ._-]?(?:number|no|nr|id|identifier)\.?|mrn|ssn"
    r"|patienten-?(?:nummer|nr|id)\.?|fall-?(?:nummer|nr)\.?)",
    re.IGNORECASE,
)
_FORMS = {"FL": "f", "FD": "d", "SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q"}


def number_problems(layout: Layout, max_age: int) -> Iterator[Residual]:
    """Yield the place of every number of a content item that is an age beyond the class above `max_age`, or an identifier.

    With a `max_age` of 0 any age may stay.
    """
    numbers = [value for value in layout.values if value.path[-1] in NUMBERS]
    if not numbers:
        return
    places = {(value.path, value.items): value for value in layout.values}

    def text(path: tuple[int, ...], items: tuple[int, ...], below: tuple[int, ...]) -> bytes:
        found = places.get((path + below, (*items, 0)))
        return layout.bytes_of(found).strip(b" \x00") if found is not None else b""

    for value in numbers:
        path, items = value.path[:-1], value.items
        unit = _per_year(_spelled(text(path, items, _UNIT_CODE)))
        if path[-1:] == (_MEASURED,):
            path, items = path[:-1], items[:-1]
        meaning = _spelled(text(path, items, _CONCEPT_MEANING))
        is_age = text(path, items, _CONCEPT_CODE) in _AGE_CODES or bool(unit and _AGE_CALLED.search(meaning))
        is_id = _ID_CALLED.fullmatch(meaning.strip(" :")) is not None
        if not (is_age or is_id):
            continue
        below = places.get(((*value.path[:-1], DENOMINATOR), value.items)) if value.path[-1] == NUMERATOR else None
        told = _told(layout, value, below)
        if is_age and max_age and any(not number <= (max_age + 1) * (unit or 1) for number in told):
            yield Residual("ages", format_path(value.path), "age")
        if is_id and any(number == number // 1 and abs(number) >= 10 ** (MIN_DIGITS - 1) for number in told):
            yield Residual("lexicon", format_path(value.path), Category.RECORD_NUMBER.value)


def _told(layout: Layout, value: Value, below: Value | None) -> list[float]:
    """Return the numbers of a value, divided by those of another one; what is none counts as beyond any limit."""
    numbers = _read(layout, value)
    if below is None:
        return numbers
    divisors = _read(layout, below)
    if len(divisors) != len(numbers):
        return [math.inf]
    return [number / by if by else math.inf for number, by in zip(numbers, divisors, strict=True)]


def _read(layout: Layout, value: Value) -> list[float]:
    data = layout.bytes_of(value)
    form = _FORMS.get(value.vr)
    if form is None:
        return [_number(part) for part in data.split(b"\\")]
    count = len(data) // struct.calcsize(form)
    return list(struct.unpack_from(f"{'<' if layout.little else '>'}{count}{form}", data))


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
        return math.inf
