"""Tell numbers that are values of an acquisition from those that are written like a telephone number, a date or a year."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.languages import Languages, spellings

_LOOK_BACK = 80  # characters before a number in which its parameter is looked for
_ROUND, _ROUND_VALUE, _SMALL, _MANY = 5, 50, 100, 4
_NUMBERED = ([3, 3, 4], [3, 2, 4])  # digits of telephones and social security numbers in America
_DOSE = 1980  # cGy: eleven fractions of 180
_DELIVERED = range(1900, 2036)  # what a year can be
_UNITS = (
    r"%|°|[µunmck]m|m?s|secs?|min|mins|minutes?|cm/s|m/s|s/mm2|s/mm²|[cm]?gy|hu|k?hz|mhz"
    r"|[nµup]g/m?l|mg/dl|m?i?u/m?l|[mµun]mol/l|ml|cc|kvp?|mas?|[km]ev|[km]bq|deg|degrees?|grad|px|dpi|rpm|ppm|mg"
)
# A unit of a chain (ng/ml, µg/kg/min); alone those that no other word is: a unit of one letter needs a stroke beside it.
_AMOUNT = r"[fnpµμumcdkMG]?(?:mol|[gG]|[lL]|IU|U|IE|E|[Ee]q|Bq|Gy|Sv|m[23²³]?|s|Hz|Pa|Ci|osm|kat)|[mk]?V"
_SPAN = r"min|h|d|sec|s|fx|Fx|Fraktion|fraction|day|dag|Tag|jour|hr|FE|GE|mm[23²³]?|cm[23²³]?|kg|1[.,]73 ?m[2²]|HPF|field|hemi|dose|Inj"
_PLAIN_UNIT = rf"(?:{_AMOUNT}|{_SPAN}|G|T|K|M|mmHg|kcal|SUV|HU|x?10[\^*e]?\d{{1,2}}|Gpt|Tpt)"
_CHAIN = rf"(?:{_PLAIN_UNIT}(?:/(?:{_PLAIN_UNIT})){{1,3}}|c?m?Gy ?[*·x.]? ?cm[2²]?|[mc]Gycm2?|/[µμun][lL]|/mm[3³])"
_TELLING = (
    r"[fnpµμ]g|[nµμup]mol|[mk]mol|mEq|mval|mosm|[GT]Bq|[mµμ]?IU|IE|[GT]pt|kPa|µ[lLmM]|umol|nmol|[mµμkMG]?Ci|cGycm2?"
)
_FIGURE = (
    r"(?<![\w.,/-])(?:[<>≤≥~±+-]\s?)?\d{1,3}(?:[.,]\d{1,3})*\d{0,3}(?:\s?-\s?\d{1,4}(?:[.,]\d{1,3})?)?"
    r"(?:\s?[x×*]\s?10[\^*e]?\d{1,2})?"
)
_CHAINED = Expression(rf"(?:{_FIGURE}[ \t]?)?(?<![^\W\d_])(?<![/.]){_CHAIN}(?![^\W_]|/)")
_CHAINED_CAPITALS = Expression(rf"{_FIGURE}[ \t]?{_CHAIN}(?![^\W_]|/)", re.IGNORECASE)
_TOLD = Expression(rf"{_FIGURE}[ \t]?(?:{_TELLING})(?![^\W_]|/|\.[A-Za-z])")
_VALUES = r"(?:\d+(?:\.\d+)?(?:[ \t]*[/,;-][ \t]*|[ \t]+)){0,12}"  # each blank in one way only, so that long gaps cost nothing
_ASSIGNED = r"[ \t_]*[=:]?[ \t]*[(\[]?"
_UNIT_BEHIND = Expression(rf"[ \t]?(?![Mm][SM]?[ .]+[A-Z][a-z])(?:{_UNITS})(?![^\W_])(?!/p|\.)", re.IGNORECASE)
_LENGTH_BEHIND = Expression(r"[ \t]?(?:[cm]m|ml|cc)(?![^\W_])(?!\.)")
_POSITION = Expression(r"(?:1[0-2]|[1-9]):[03]0")  # of a finding, as on a clock
_CLOCK = Expression(r"\d{1,2}:\d{2}(?::\d{2})?")
_LASTS_BEHIND = Expression(r"[ \t]?(?:min|mins|s|secs?)(?![^\W_])(?!/p|\.)", re.IGNORECASE)
_LASTS_BEFORE = Expression(r"(?<![^\W_])(?:t|ta)[ \t]?=[ \t]?$", re.IGNORECASE)
_PART_BEFORE = Expression(r"(?<![\w.,/-])(\d{1,4})[ /-]$")
_ONE_LETTER = Expression(rf"(?<![^\W_])(?:[a-z]|times?){_ASSIGNED}$", re.IGNORECASE)  # w may be a woman, b may be born
_DIFFUSION = Expression(r"(?<![^\W_])(?:dwi|diff\w*|adc|dti|ivim|ep2d\w*)[\W_]+b[ =:]{0,2}$", re.IGNORECASE)
_WINDOW = Expression(r"(?<![^\W_])W[0-9]{1,5}[ ,/]{0,2}L-?[0-9]{1,4}(?![^\W_])", re.IGNORECASE)
_ROUND_PART_BEFORE = Expression(r"(?<!\d)(\d+00)[/-]$")


def _any(rows: Iterable[str]) -> str:
    return "|".join(re.escape(row).replace(r"\ ", r"[ .-]{0,3}") for row in spellings(rows)) or "(?!)"


def _behind(parameters: Iterable[str], values: str = "") -> Expression:
    """Return the expression of a text that ends in a parameter, and values, before the value in question."""
    return Expression(rf"(?<![^\W_])(?:{_any(parameters)}){_ASSIGNED}{values}$", re.IGNORECASE)


class Measures:
    """What the parameters, counted words and words of persons of some languages say of the numbers beside them."""

    def __init__(self, languages: Languages) -> None:
        self._series = _behind(languages.parameters, _VALUES)
        self._one = _behind(languages.plain_parameters, r"(?:\d+(?:\.\d+)?[/-]){0,6}")
        self._round = _behind(languages.round_parameters, _VALUES)
        counted, personal = _any(languages.counted_words), _any(languages.personal_words)
        self._counted_before = Expression(rf"(?<![^\W_])(?:{counted})[ \t_.:#]{{0,2}}$", re.IGNORECASE)
        self._counted_behind = Expression(rf"[ \t]?(?:{counted})(?![^\W_])", re.IGNORECASE)
        self._clock_behind = Expression(rf"[ \t]?(?:{_any(languages.clock_words)})(?![^\W_])", re.IGNORECASE)
        self._personal = Expression(rf"(?:(?<![^\W_])(?:{personal})|[*])[\W_]{{0,3}}$", re.IGNORECASE)

    def is_measured(self, text: str, start: int, end: int) -> bool:
        """Tell whether text[start:end], written like a telephone number, date or time, is a series of values or a duration.

        It is where a parameter stands before it or a unit behind it, and where its numbers are round and ascend (50 400 800).
        What can be a day, a month and a year needs more than that, or mm, cm or ml behind it. A half hour or an hour is one
        where a word says that it is a place on a clock. What has leading zeros, or groups as telephones and social
        security numbers have in America, is none.
        """
        found, before, behind = text[start:end], text[max(0, start - _LOOK_BACK) : start], text[end : end + 12]
        if self._personal.search(before):
            return False
        if _POSITION.fullmatch(found) and self._clock_behind.match(text[end : end + _LOOK_BACK]):
            return True
        if _CLOCK.fullmatch(found):
            return _LASTS_BEHIND.match(behind) is not None or _LASTS_BEFORE.search(before) is not None
        if not expression(r"[\d ()/-]+").fullmatch(found):
            return False
        parts = expression(r"[0-9]+").findall(found)
        if len(parts) == 2 and max(map(len, parts)) < 3:
            counted = self._counted_before.search(before) or self._counted_behind.match(behind)
            return counted is not None
        if first := _PART_BEFORE.search(before):
            parts.insert(0, first[1])
        if any(part[0] == "0" != part or len(part) > 4 for part in parts) or list(map(len, parts)) in _NUMBERED:
            return False
        numbers = [int(part) for part in parts]
        ascends = all(one < other for one, other in pairwise(numbers)) and not any(n % _ROUND for n in numbers)
        # As values of a parameter are, and few numbers of persons: small or round ones, many of them in order.
        plain = all(n < _SMALL or n % _ROUND == 0 for n in numbers)
        plain = plain and (len(numbers) < _MANY or numbers in (sorted(numbers), sorted(numbers)[::-1]))
        named = plain and (_UNIT_BEHIND.match(behind) is not None or self._series.search(before) is not None)
        if len(found) == 8 and len(parts[-1]) == 4 and any(n % _ROUND_VALUE for n in numbers):
            return False  # a local telephone number
        if max(numbers) < _SMALL and _LENGTH_BEHIND.match(behind):
            return True
        if _can_be_date(numbers):
            letter = _ONE_LETTER.search(before) and not _DIFFUSION.search(before)
            return named and ascends and numbers[-1] < 100 and not letter
        if len(parts) < 3:
            return named
        matrix = "/" in found and numbers[0] == numbers[1] >= 64 and numbers[0] % 16 == 0
        return named or ascends or matrix

    def is_value(self, text: str, start: int, end: int) -> bool:
        """Tell whether a number that can be a year is a value: a unit behind it, a parameter or a round number before it."""
        number, before = int(text[start:end]), text[max(0, start - _LOOK_BACK) : start]
        if self._personal.search(before):
            return False
        if _UNIT_BEHIND.match(text[end : end + 12]) or self._one.search(before):
            return True
        if number % _ROUND_VALUE and number != _DOSE:
            return False
        other = _ROUND_PART_BEFORE.search(before)
        if other is not None and int(other[1]) not in _DELIVERED and number % 100 == 0:
            return True
        return self._round.search(before) is not None


def has_unit_behind(text: str, end: int) -> bool:
    """Tell whether a unit stands behind a number that ends at a place: 47.11 ms."""
    return _UNIT_BEHIND.match(text[end : end + 12]) is not None


def _can_be_date(numbers: list[int]) -> bool:
    if len(numbers) != 3:
        return False
    year_first = numbers[0] in _DELIVERED and numbers[1] <= 12 and numbers[2] <= 31
    low, high = sorted(numbers[:2])
    return year_first or (1 <= low <= 12 and high <= 31 and (numbers[2] < 100 or numbers[2] in _DELIVERED))


def is_window(text: str, start: int, end: int) -> bool:
    """Tell whether a letter and a number are half of a window and its level: W2000 L500."""
    return any(match.start() <= start < end <= match.end() for match in _WINDOW.finditer(text))


def unit_chains(text: str) -> Iterator[tuple[int, int]]:
    """Yield where units stand in a chain, with the number before them, and numbers with a unit that is no other word."""
    if "/" in text or "*" in text or "G" in text:
        yield from (match.span() for match in _CHAINED.finditer(text))
        if text.isupper():
            yield from (match.span() for match in _CHAINED_CAPITALS.finditer(text))
    if any(map(str.isdigit, text)):
        yield from (match.span() for match in _TOLD.finditer(text))
