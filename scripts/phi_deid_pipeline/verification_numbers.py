"""The parts of IDs, orders and addresses that verification takes for the whole, made by rules of its own.

Of an ID or order, without what stands behind ^ or & (who gave it), or before them where only that has a digit:

1. Each run of digits, and digits with single marks between them as one number, from `MIN_DIGITS` digits, with the zeros
   in front and without (`MIN_BARE` left), without a last group of one or two digits, which may be a check digit, and of three
   groups and more without the first. A day (YYYYMMDD) is none of them.
2. The end from a letter on, from `MIN_BEHIND_LETTERS` digits, its numbers without zeros in front too: CT4711 of
   2023-CT-004711. No end that is a year or round. The whole counts without zeros from `MIN_SHORT` digits on: A123 of A000123.

Any run of groups of digits that is a number of `MIN_JOINED` digits as a whole counts for it, or for a day, whatever marks divide it.

Of an address: postcodes of letters and digits (British, Canadian, Dutch), numbers in two groups; a number of four digits
beside the word behind it, and behind a word for postcodes or letters of a country.
"""

from __future__ import annotations

from collections.abc import Iterator

from phi_deid_pipeline.expressions import Expression, expression

MIN_DIGITS = 5
MIN_BARE = 5  # of these without zeros in front
MIN_BEHIND_LETTERS = 4
MIN_SHORT = 3
MIN_UID_POINTS = 4  # of an ID that is a UID: its parts are those of other UIDs
MIN_IN_GROUPS = 5  # digits of a postcode in two groups

MIN_JOINED = 6  # digits of a number that counts with any marks inside, where nothing else stands in its run

_COUNTING = "0123456789"
_MARK = r"(?:[^\w\n]{1,3}|_{1,3}| ?x ?)"
_GROUPS_IN_TEXT = Expression(rf"(?<![^\W_])\d++(?:{_MARK}\d++(?!(?!x\d)[^\W_]))+")
_GROUPS_IN_BYTES = Expression(rb"[0-9]++(?:(?:[^0-9a-z\\\x00-\x1f]{1,3}| ?x ?)[0-9]++)+")
_DAY = Expression(r"(?:18|19|20|21)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_OWN = Expression(r"[^\^&\d]*\d[^\^&]*")
_RUN = Expression(r"\d+|[^\W\d_]+")
_MARKED = Expression(r"\d+(?:[ ./-]\d+)+|\d+")
_FROM_LETTER = Expression(r"(?<![^\W_])[^\W\d_]")
_POSTCODE = Expression(
    r"(?<!\w)(?:([a-z]{1,2}\d[a-z\d]?)\s?(\d[a-z]{2})|([a-z]\d[a-z])\s?(\d[a-z]\d)|(\d{4})\s?([a-z]{2})"
    r"|([a-z]\d[\dw])\s?((?=[a-z]*\d)[a-z\d]{4}))(?!\w)"
)
_NUMBER_AND_WORD = Expression(r"(?<!\w)(\d{4,6})\s([^\W\d_]{2,})")
_TWO_GROUPS = Expression(r"(?<![\w-])(\d+)[ -](\d+)(?![\w-])")
_COUNTRY = Expression(r"(?<!\w)[a-z]{1,3}-$")
THOUSANDS = Expression(r"\d{1,3}([.,' ])\d{3}(?:\1\d{3})*")


def _own(folded: str) -> str:
    """Return the first part of an ID that has a digit."""
    found = _OWN.search(folded)
    return found[0] if found else ""


def order_numbers(folded: str) -> Iterator[tuple[str, bool]]:
    """Yield (digits, whether the ID itself puts marks between them) of an ID or order in folded text."""
    own = _own(folded)
    for marked in _MARKED.findall(own) if own.count(".") < MIN_UID_POINTS or not own.replace(".", "").isdigit() else ():
        groups = expression(r"\d+").findall(marked)
        joined = ["".join(groups), *groups]
        if len(groups) > 1 and len(groups[-1]) < 3:
            joined.append("".join(groups[:-1]))
        if len(groups) > 2:
            joined.append("".join(groups[1:]))
        for digits in (one for one in joined if len(one) >= MIN_DIGITS and len(set(one)) > 1):
            for form in {digits, digits.lstrip("0")}:
                if len(form) >= MIN_BARE and not _DAY.fullmatch(form):
                    yield form, form not in own


def order_tails(folded: str) -> Iterator[str]:
    """Yield the ends of an ID or order from a letter on, compact."""
    own = _own(folded)
    whole = "".join(run.lstrip("0") for run in _RUN.findall(own))
    if not whole.isdigit() and sum(map(str.isdigit, whole)) >= MIN_SHORT:
        yield whole
    for match in _FROM_LETTER.finditer(own):
        runs = _RUN.findall(own[match.start() :])
        for tail in (runs, [run.lstrip("0") for run in runs]):
            numbers = [run for run in tail if run.isdigit()]
            if sum(map(len, numbers)) >= MIN_BEHIND_LETTERS and not is_year_or_round(numbers[-1]):
                yield "".join(tail)


def pointed(folded: str) -> Iterator[str]:
    """Yield the numbers of an ID that hold one point: they may be written so."""
    yield from (a + b for a, b in expression(r"(?<!\d)(?<!\d\.)(\d+)\.(\d+)(?!\.?\d)").findall(folded))


def divided_numbers(folded: str) -> Iterator[str]:
    """Yield the digits of each run of groups in folded text, and of each part of it without blanks."""
    for match in _GROUPS_IN_TEXT.finditer(folded):
        for part in {match[0], *match[0].split()}:
            digits = expression(r"\D").sub("", part)
            if len(digits) >= MIN_JOINED and digits != part and digits not in _COUNTING:
                yield digits


def divided_in_bytes(data: bytes) -> Iterator[bytes]:
    """Yield what `divided_numbers` may find in bytes of lower case, and more."""
    for run in set(_GROUPS_IN_BYTES.findall(data)):
        for part in {run, *run.split()}:
            digits = expression(rb"[^0-9]").sub(b"", part)
            if len(digits) >= MIN_JOINED:
                yield digits


def day_orders(digits: str) -> tuple[str, ...]:
    """Return the days (YYYYMMDD) that eight digits may be, none for any other number of digits."""
    if len(digits) != 8:
        return ()
    return digits, digits[4:] + digits[2:4] + digits[:2], digits[4:] + digits[:4]


def is_year_or_round(number: str) -> bool:
    """Tell whether a number of four digits is a year or a measure sooner than an identifier."""
    return len(number) == 4 and (number[:2] in ("19", "20") or number[2:] == "00")


def address_codes(folded: str) -> Iterator[str]:
    """Yield the postcodes of letters and digits, and those in two groups, of an address in folded text, without marks."""
    for match in _POSTCODE.finditer(folded):
        yield "".join(filter(None, match.groups()))
    yield from (one + other for one, other in _TWO_GROUPS.findall(folded) if len(one + other) >= MIN_IN_GROUPS)


def address_pairs(folded: str) -> Iterator[tuple[str, str]]:
    """Yield numbers of an address with the word behind each: 5000 Odense."""
    yield from _NUMBER_AND_WORD.findall(folded)


def behind_country(before: str) -> bool:
    """Tell whether text ends with letters of a country, as they stand in front of a postcode: A-6060, DK-5000."""
    return _COUNTRY.search(before) is not None
