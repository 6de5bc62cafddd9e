"""The forms in which people write the numbers of IDs, orders and addresses: without check digit, prefix or zeros."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.lexicon_words import RUN, WORD, fold
from phi_deid_pipeline.measures import has_unit_behind
from phi_deid_pipeline.written_dates import normal_date

MIN_RUN = 5  # digits of an ID that count without the rest of it
MIN_BARE = 5  # of these without zeros in front
MIN_TAIL = 4  # digits of the end of an ID that count behind letters: CT4711 of 2023-CT-004711
MIN_SHORT = 3  # digits of a whole ID with letters, without zeros in front: A-123 of A000123
MIN_POINTED = 8  # digits in two groups that a point may divide: 2024.77123 of 2024/77123
MIN_PART = 4  # digits of a number of an address
MIN_DIVIDED = 5  # digits of a number of an address that is written in groups: 582 22
MIN_JOINED = 6  # digits of a number that counts with any marks between its digits, where the whole run is that number
_UID = Expression(r"\d+(?:\.\d+){4,}")
_ODD_RUN = Expression(r"\d++(?:[ ./_,:\u2013-]{1,3}\d++)*+")
_MOST_ZEROS = 6  # in front
_RUN_OF_GROUPS = Expression(r"(?<![^\W_])\d++(?:(?:[^\w\n]{1,3}|_{1,3}| ?x ?)\d++(?!(?!x\d)[^\W_]))+")
_GROUPS = Expression(r"\d+(?:[ ./-]\d+)*")
_POSTCODES = Expression(
    r"(?<![^\W_])(?:[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|[a-z]\d[a-z] ?\d[a-z]\d|\d{4} ?[a-z]{2}"
    r"|[ac-fhknprtv-y]\d[\dw] ?(?=[a-z]*\d)[\dac-fhknprtv-y]{4})(?![^\W_])"
)  # British, Canadian, Dutch, Irish
_FIRST_HALF = Expression(r"(?<![^\W_])([a-z]{2}\d[a-z\d]?|[a-z]\d[a-z]) ?\d[a-z][a-z\d](?![^\W_])")
# First halves of postcodes that name series, views and sides too.
_IMAGING_HALF = Expression(r"(?:cr|ct|ll|pa|se|sl|sp|ss|st|te|ti|tr)\d+")


def joined_runs(folded: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, digits) of every run of groups of digits, as long as it is, and of its parts between blanks.

    A part of a run is none: of 0.448821 and 448.821.5 only the whole digits count. Digits that count on (1 2 3 4 5 6) are no number.
    """
    for match in _RUN_OF_GROUPS.finditer(folded):
        spans = [(0, len(match[0]))]
        spans += [part.span() for part in expression(r"\S+").finditer(match[0]) if not part[0].isdigit()]
        for start, end in dict.fromkeys(spans):
            digits = "".join(filter(str.isdigit, match[0][start:end]))
            if len(digits) >= MIN_JOINED and digits not in "0123456789":
                yield match.start() + start, match.start() + end, digits


def own_digits(value: str, least: int) -> str:
    """Return the digits of an ID or order without zeros in front, "" where they are too few to point at it."""
    own = next((part for part in expression(r"[\^&]").split(fold(value)) if any(map(str.isdigit, part))), "")
    digits = "".join(filter(str.isdigit, own)).lstrip("0")
    telling = len(digits) >= least and len(set(digits)) > 1 and not is_round_or_year(digits)
    return digits if telling and not _UID.fullmatch(own) and not (len(digits) == 8 and normal_date(digits)) else ""


def odd_runs(folded: str, longest: int) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, digits without zeros in front) of digits in groups or with zeros in front.

    A run of groups counts as a whole; its parts between blanks from `MIN_JOINED` digits on. No digits that count on (1 2 3
    4 5), and no decimal number with a comma, a zero in front or a unit behind it (0.4711, 47.11 ms), but behind a letter or more
    zeros than one. Any other has the digits of an ID by chance once in some thousand IDs.
    """
    for match in _ODD_RUN.finditer(folded):
        groups = [(match.start() + group.start(), match.start() + group.end()) for group in RUN.finditer(match[0])]
        for first, last in _windows(folded, groups, longest):
            start, end = groups[first][0], groups[last][1]
            digits = "".join(folded[low:high] for low, high in groups[first : last + 1])
            bare = digits.lstrip("0")
            lettered = folded[max(0, start - 1) : start].isalpha()
            if last == first and bare == digits and not (lettered and len(digits) >= MIN_RUN):
                continue  # as it is: other rules know better
            if last - first + 1 == len(digits) and digits in "0123456789":
                continue
            decimal = last == first + 1 and folded[groups[first][1] : groups[last][0]] in (".", ",")
            if decimal and not lettered and not expression(r"0\d").match(digits[: groups[first][1] - start]):
                pointed = folded[groups[first][1]] == "." and bare == digits and digits not in "0123456789"
                if not pointed or has_unit_behind(folded, end):
                    continue
            if len(bare) < MIN_JOINED and folded[end : end + 1].isalpha():
                continue
            yield start, end, bare


def _windows(folded: str, groups: list[tuple[int, int]], longest: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last of the groups that may be a number: all of them, and those that blanks divide from the rest."""
    apart = [" " in folded[one[1] : other[0]] or "_" in folded[one[1] : other[0]] for one, other in pairwise(groups)]
    starts = [0, *(at + 1 for at, parted in enumerate(apart) if parted)]
    ends = {*(at for at, parted in enumerate(apart) if parted), len(groups) - 1}
    for first in starts:
        digits = 0
        for last in range(first, len(groups)):
            digits += groups[last][1] - groups[last][0]
            if digits > longest + _MOST_ZEROS and (first, last) != (0, len(groups) - 1):
                break
            whole = (first, last) == (0, len(groups) - 1)
            if last in ends and (whole or digits >= MIN_JOINED):
                yield first, last


def is_round_or_year(digits: str) -> bool:
    """Tell whether four digits are a year or a measure sooner than an identifier: 1987, 1500."""
    return len(digits) == 4 and (digits[:2] in ("19", "20") or digits.endswith("00"))


def id_forms(value: str) -> Iterator[tuple[str, bool]]:
    """Yield parts of an ID or order that point at it, compact and folded, and whether the ID itself divides them.

    What stands behind ^ or & names who gave the number (PS3.3 C.7.1.1, HL7 v2 CX) and is no part of it; where no digit
    stands before them it is the other way round.
    """
    own = next((part for part in expression(r"[\^&]").split(fold(value)) if any(map(str.isdigit, part))), "")
    if _UID.fullmatch(own):
        return  # its parts are those of other UIDs, as 10008 is
    for match in _GROUPS.finditer(own):
        groups = expression(r"\d+").findall(match[0])
        less = [groups[1:]] if len(groups) > 2 else []  # without the ward or year in front
        less += [groups[:-1]] if len(groups[-1]) <= 2 else []  # a check digit at the end
        for part in (groups, *less):
            yield from ((form, len(part) > 1) for form in _with_zeros_or_not("".join(part)))
        yield from ((form, False) for run in groups for form in _with_zeros_or_not(run))
    parts = WORD.findall(own)
    whole = "".join(map(_without_zeros, parts))
    if not whole.isdigit() and sum(map(str.isdigit, whole)) >= MIN_SHORT:
        yield whole, len(whole) >= MIN_RUN  # not a 120 kV
    for at in range(len(parts)):
        for tail in ("".join(parts[at:]), "".join(map(_without_zeros, parts[at:]))):
            runs = expression(r"\d+").findall(tail)
            if tail.isdigit():
                if _is_telling(tail):
                    yield tail, len(parts) - at > 1
            elif sum(map(len, runs)) >= MIN_TAIL and not any(map(is_round_or_year, runs[-1:])):
                yield tail, len(parts) - at > 1


def dotted_forms(value: str) -> Iterator[str]:
    """Yield the numbers that a point divides in an ID, or may divide as long as they are: 12.4711 of RIS.12.4711."""
    for match in expression(r"(?<!\d)(?<!\d\.)\d+\.\d+(?!\.?\d)").finditer(fold(value)):
        yield match[0].replace(".", "")
    for one, other in expression(r"(?<!\d)(?<!\d[ /-])(\d{2,})[ /-](\d{2,})(?![ /-]?\d)").findall(fold(value)):
        if len(one + other) >= MIN_POINTED:
            yield one + other


def _with_zeros_or_not(digits: str) -> list[str]:
    if not _is_telling(digits):
        return []
    bare = digits.lstrip("0")
    return [digits, bare] if MIN_BARE <= len(bare) < len(digits) else [digits]


def _is_telling(digits: str) -> bool:
    """Tell whether digits are long enough, not the same over and over and no date, which counts as such."""
    return len(digits) >= MIN_RUN and len(set(digits)) > 1 and not (len(digits) == 8 and normal_date(digits))


def _without_zeros(part: str) -> str:
    return "".join(run.lstrip("0") for run in RUN.findall(part))


def is_in_thousands(written: str) -> bool:
    """Tell whether digits are written in thousands: 123.456, 1 234 567."""
    return expression(r"\d{1,3}([.,' ])\d{3}(?:\1\d{3})*").fullmatch(written) is not None


def address_pairs(value: str) -> list[tuple[str, str]]:
    """Return the numbers of four digits and more in an address with the word behind each: 5000 Odense."""
    return expression(r"(?<!\w)(\d{4,6})\s([^\W\d_]{2,})").findall(fold(value))


def address_numbers(value: str) -> Iterator[tuple[str, bool]]:
    """Yield the numbers and postcodes of an address, compact, and whether they may be divided.

    A number of four digits that is round or a year (8000) does not count by itself, nor do first halves of postcodes of
    one letter or that name a series (CT1).
    """
    folded = fold(value)
    for match in expression(r"\d+(?:[ -]\d+)?").finditer(folded):
        groups = expression(r"\d+").findall(match[0])
        yield from ((run, False) for run in groups if len(run) >= MIN_PART and not is_round_or_year(run))
        if len(groups) > 1 and len(digits := "".join(groups)) >= MIN_DIVIDED:
            yield digits, True
    for match in _POSTCODES.finditer(folded):
        yield match[0].replace(" ", ""), True
    for match in _FIRST_HALF.finditer(folded):
        if not _IMAGING_HALF.fullmatch(match[1]):
            yield match[1], False
