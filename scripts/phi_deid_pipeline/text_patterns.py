"""What in a text is written like a date, a number that identifies, an address: the forms that match, judged by what they found."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import cached_property, lru_cache

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.languages import Languages
from phi_deid_pipeline.measures import Measures
from phi_deid_pipeline.text_forms import Form, matches
from phi_deid_pipeline.text_forms import any_of as _any
from phi_deid_pipeline.text_identifiers import (
    COUNTED,
    DAY,
    END,
    INSIDE_IP,
    MONTH_NUMBER,
    NATIONAL,
    SPANISH,
    START,
    YEAR,
    address_forms,
    age_forms,
    described_forms,
    full_date,
    kept_forms,
    labelled_forms,
)
from phi_deid_pipeline.text_persons import Persons
from phi_deid_pipeline.written_dates import month_number

MIN_UID_LENGTH = 20
_DAY_AND_MONTH = Expression(
    rf"(?<![\w./-])(\d{{1,2}})([-/.])(\d{{1,2}})(\.?)(?![-/.]?\d|[^\W_])(?!\s?(?:{COUNTED})(?![^\W_]))",
    re.ASCII | re.IGNORECASE,
)
_NUMBERS_APART = Expression(r"\d[-/.]\d")  # in every match of the last one
_LOOK_BACK = 40  # characters in which the words before a day are looked for
_THIRDS = frozenset({(1, 3), (2, 3)})  # of a bone
_CLAUSE_ENDS = Expression(r"\s*(?:$|[,;:)\r\n]|\.(?:\s|$))")
_DATE_BEHIND = Expression(
    rf" (?:{DAY}(?P<a>[./-]){DAY}(?P=a)(?:{YEAR}|\d\d)|{YEAR}(?P<b>[./-]){MONTH_NUMBER}(?P=b){DAY})$"
)
_SHORT_VALUE = Expression(r"\d{1,4}(?:[./x-]\d{1,3})?")
_SPANISH_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
Span = tuple[int, int]


class Patterns:
    """Expressions of some languages, each compiled when the first text asks for it, and folded word sets."""

    def __init__(self, languages: Languages) -> None:
        self.languages = languages
        self.street_names = frozenset(languages.street_names)  # words of imaging that streets are called by too

    @cached_property
    def measures(self) -> Measures:
        return Measures(self.languages)

    @cached_property
    def persons(self) -> Persons:
        return Persons(self.languages)

    @cached_property
    def described(self) -> tuple[Form, ...]:
        return tuple(described_forms(self.languages))

    @cached_property
    def labelled(self) -> tuple[Form, ...]:
        return tuple(labelled_forms(self.languages))

    @cached_property
    def addresses(self) -> tuple[Form, ...]:
        return tuple(address_forms(self.languages))

    @cached_property
    def kept(self) -> tuple[Form, ...]:
        return tuple(kept_forms(self.languages))

    @cached_property
    def ages(self) -> tuple[Form, ...]:
        return tuple(age_forms(self.languages))

    @cached_property
    def kept_date(self) -> Expression:
        return Expression(rf"(?:{full_date(self.languages)})", re.IGNORECASE)

    def in_description(
        self, text: str, is_imaging: Callable[[str], bool], negations: Collection[str] = ()
    ) -> Iterator[Span]:
        """Yield what a description loses; `is_imaging` tells whether a word of an address, or one spelled out, is one of imaging.

        One of `negations` behind a role is initials where its clause ends there alone: Surgeon: no fracture.
        """
        for match in matches(self.described, text):
            initials = match.groupdict().get("initials") or ""
            if initials.lower() in negations and not _CLAUSE_ENDS.match(text, match.end()):
                continue
            spelled = match.groupdict().get("spelled")
            if spelled and is_imaging("".join(filter(str.isalpha, spelled))):
                continue  # T H O R A X
            if _is_identifying(match[0]) and not self.measures.is_measured(text, *match.span()):
                groups = (name for name, value in match.groupdict().items() if value and name.startswith("only"))
                start, end = match.span(next(groups, 0))
                yield self._date_behind_value(text, start, end), end
        if not any(map(str.isdigit, text)):
            return
        yield from self.labelled_spans(text)
        for form in self.addresses:
            for match in matches((form,), text):
                street = next((value for value in match.groupdict().values() if value), "")
                if not street or street.lower() in self.street_names or not is_imaging(street):
                    yield match.span()

    def labelled_spans(self, text: str) -> Iterator[Span]:
        """Yield labels with the identifiers that they make of what stands behind them."""
        return (match.span() for match in matches(self.labelled, text))

    def age_spans(self, text: str) -> list[Span]:
        """Return where ages stand in a description."""
        return [match.span() for form in self.ages for match in matches((form,), text)]

    def _date_behind_value(self, text: str, start: int, end: int) -> int:
        """Return where what was found begins: at a date behind values that were taken for parts of it (TE 30 12.03.2020)."""
        date = _DATE_BEHIND.search(text, start, end)
        if date is None or date.end() != end:
            return start
        values = _SHORT_VALUE.fullmatch(text, start, date.start()) or self.measures.is_measured(
            text, start, date.start()
        )
        return date.start() + 1 if values else start

    @cached_property
    def _before_day(self) -> Form:
        birth, on, since = map(
            _any, (self.languages.birth_labels, self.languages.date_words, self.languages.since_words)
        )
        blank = r"\s{1,2}"
        ends = rf"(?P<birth>{birth}[ .:=]{{1,3}}(?:(?:{on}|{since}){blank})?)|(?P<since>{since}){blank}|{on}{blank}"
        prior = rf"(?P<prior>{_any(self.languages.personal_words)})[ .:]{{1,3}}"
        return Form(rf"{START}(?:{ends}|{prior})$")

    @cached_property
    def _range(self) -> Expression:
        return Expression(rf"\s{{0,2}}(?:[-–&]|{START}{_any(self.languages.range_words)}{END})\s{{0,2}}", re.IGNORECASE)

    @cached_property
    def _fraction_of(self) -> Expression:
        return Expression(rf"\s{_any(self.languages.fraction_words)}", re.IGNORECASE)

    def days_without_year(self, text: str, known: frozenset[str]) -> Iterator[Span]:
        """Yield where a day and month stand without a year; `known` are those (MMDD) of the patient's dates.

        Two numbers are a date by what stands beside them, as they may be a range, a fraction or a decimal. Behind a word of
        birth any of them is, and behind one such as "since" any day and month, or month and year. One that is known is, with
        a zero in front, a number above 12 or a point behind, or behind a word such as "on"; one that is not known behind such
        a word only, with a zero in front (on 12-04), a point behind (am 3.5.), a number above 12 (on 3/21, op 4.19), or
        where its clause ends behind it (on 3/4). Behind "prior" and the like it has a number above 12 (prior 3/21), and the
        second day of a range goes with the first. Before a unit none is. What stays in doubt: a known 3/5 or 3-5 without any
        such sign is kept, as grades and fractions are written so, and thirds are (del 1/3).
        """
        yield from self._known_days_in_words(text, known)
        last = -1
        for match in _DAY_AND_MONTH.finditer(text) if _NUMBERS_APART.search(text) else ():
            before = next(matches((self._before_day,), text[max(0, match.start() - _LOOK_BACK) : match.start()]), None)
            ranged = 0 <= last < match.start() and self._range.fullmatch(text, last, match.start())
            if not ranged and not self._is_day_without_year(text, match, before, known):
                continue
            cut = before is not None and not before["since"] and not before["prior"]
            start = match.start() - (len(before[0]) if before is not None and cut else 0)
            start, last = last if ranged else start, match.end()
            yield start, last

    def _is_day_without_year(
        self, text: str, match: re.Match[str], before: re.Match[str] | None, known: frozenset[str]
    ) -> bool:
        one, mark, other, point = match.groups()
        since = before is not None and bool(before["since"])
        if not _is_day(one, other):
            return since and mark == "/" and len(other) == 2 and 1 <= int(one) <= 12  # a month and its year
        days = {f"{int(one):02d}{int(other):02d}", f"{int(other):02d}{int(one):02d}"}
        own, zero, high = not days.isdisjoint(known), "0" in (one[0], other[0]), max(int(one), int(other)) > 12
        if before is None:
            return own and (bool(point) if mark == "." else zero or high)
        ends = _CLAUSE_ENDS.match(text, match.end()) is not None
        third = mark == "/" and (int(one), int(other)) in _THIRDS
        if mark == "/" and not (own or zero or high) and self._fraction_of.match(text, match.end()):
            return bool(before["birth"])
        if before["birth"] or since:
            return bool(before["birth"]) or ends or not third
        if before["prior"]:
            return (high and mark == "/") or (own and (bool(point) if mark == "." else zero or high))
        if mark == ".":
            return own or bool(point) or (high and ends)
        return own or zero or (mark == "/" and (high or (ends and not third)))

    @cached_property
    def _day_in_words(self) -> Expression:
        months = _any(self.languages.ambiguous_months)
        return Expression(rf"(?<!\w)(\d{{1,2}})(?:er|\.)?[-\s]({months}){END}", re.IGNORECASE)

    def _known_days_in_words(self, text: str, known: frozenset[str]) -> Iterator[Span]:
        """Yield a known day whose month is a word of imaging too: 5 mars."""
        if known and any(map(str.isdigit, text)):
            for match in self._day_in_words.finditer(text):
                if f"{month_number(match[2].lower()):02d}{int(match[1]):02d}" in known:
                    yield match.span()

    def in_kept_text(self, text: str) -> Iterator[Span]:
        """Yield what a kept text loses: it holds names of devices, versions and codes too, so only the unmistakable."""
        for match in matches(self.kept, text):
            if self._identifies(match[0]) and not self.measures.is_measured(text, *match.span()):
                yield match.span("only8" if match.groupdict().get("only8") else 0)  # the label of a telephone stays

    def _identifies(self, found: str) -> bool:
        """Tell whether a match is an identifier: dotted numbers as a UID is, telephone-like groups by their length."""
        if self.kept_date.fullmatch(found):
            return True
        if expression(NATIONAL).fullmatch(found):
            return len(set(found)) > 3  # 10101010101 is a mask
        if expression(SPANISH).fullmatch(found):
            return _is_spanish(found)
        if expression(r"[0-9]+(?:\.[0-9]+)+").fullmatch(found) and not expression(INSIDE_IP).fullmatch(found):
            return found.count(".") >= 4 or len(found) >= MIN_UID_LENGTH
        if expression(r"[\d+() ./-]+").fullmatch(found):
            return 7 <= sum(char.isdigit() for char in found) <= 15
        return True


def _is_spanish(found: str) -> bool:
    """Tell whether the letter behind a Spanish number is the one that its digits make."""
    digits = int(expression(r"\D").sub("", found[:1].translate(str.maketrans("XYZ", "012")) + found[1:-1]))
    return found[-1] == _SPANISH_LETTERS[digits % len(_SPANISH_LETTERS)]


def _is_day(one: str, other: str) -> bool:
    low, high = sorted((int(one), int(other)))
    return 1 <= low <= 12 and high <= 31


def _is_identifying(found: str) -> bool:
    """Tell whether a match is what its pattern is meant for: telephone-like groups need seven digits."""
    digits = sum(char.isdigit() for char in found)
    if expression(r"[\d+() ./-]+").fullmatch(found) and len(expression(r"\d+").findall(found)) >= 3:
        date = expression(r"(\d{1,4})([-/. ])(\d{1,2})\2(\d{1,4})").fullmatch(found)
        if date is not None:
            measured = date[2] in "/-" and not expression(r"(?<!\d)0").search(found)
            return digits >= 7 or not measured or _is_day(date[1], date[3]) or _is_day(date[3], date[4])
        return digits >= 7 or expression(r"\d+(?:\.\d+){3,}").fullmatch(found) is not None
    return True


@lru_cache(maxsize=8)
def compile_patterns(languages: Languages) -> Patterns:
    """Return the expressions of these languages, the same for all that ask."""
    return Patterns(languages)
