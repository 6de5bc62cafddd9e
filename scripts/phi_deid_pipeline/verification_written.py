"""Dates as people write them, as verification reads them in folded text: with rules of its own.

A year of two digits counts between the marks - / . (the same twice), behind an apostrophe, or behind the name of a month; a whole one
counts beside | and :, too. A month in Roman numerals stands between two of these marks, one of several letters also between
blanks. A day of a week is written as 2020-W03-4, a day of a Japanese era, or of the Republic of China, as S26.4.3 or with its
name and the signs of year, month and day, in digits or ideographs. A year of two digits between blanks counts behind a word for
birth (DOB 4 3 51), and so does a whole one alone (born 1950).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.verification_words import MONTHS

_DIGITS = Expression(r"\d+")
_WRITTEN = Expression(r"(?<!\d)(\d{1,4})[-/. _]\s?(\d{1,2})[-/. _]\s?(\d{1,4})(?!\d)")
_SHORT = Expression(r"(?<![\d.])(\d{1,2})([-/.])(\d{1,2})\2(\d\d)(?!\d|[-/.]\d)")
_BARS = Expression(r"(?<![\d|:])(\d{4}|\d{1,2})([|:])(\d{1,2})\2(\d{4}|\d{1,2})(?![\d|:])")  # 17|03|1952
_APOSTROPHE = Expression(r"(?<!\d)(\d{1,2})([-/. ])(\d{1,2})\2['\u2019`](\d\d)(?!\d)")  # 17-03-'52
_ROMANS = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"]
_ROMAN = re.compile(
    rf"(?<!\w)(\d{{1,2}})([-/. ])({'|'.join(sorted(_ROMANS, key=len, reverse=True))})\2(\d{{4}}|\d\d)(?!\d)"
)
_WEEK_DAY = Expression(r"(?<!\d)([12]\d{3})-?w([0-5]\d)-?([1-7])(?!\d)")
_ONE, _IDEOGRAPHS = r"(\d{1,4}|[〇零元一二三四五六七八九十百]{1,5})", "〇一二三四五六七八九"
_IN_WORDS = Expression(rf"(?<!\d){_ONE}\s?[年년]\s?{_ONE}\s?[月월]\s?{_ONE}\s?[日일]")
_ERA = Expression(
    r"(?<![^\W_])(?:(m|明治?)|(t|大正?)|(s|昭和?)|(h|平成?)|(r|令和?)|((?:中华)?民国|民))[ .]?"
    rf"{_ONE}\s?[年./-]\s?{_ONE}\s?[月./-]\s?{_ONE}(?!\d)"
)
_ERA_STARTS = (1868, 1912, 1926, 1989, 2019, 1912)
# A day of birth in numbers between blanks: DOB 4 3 51.
_BORN = Expression(
    r"(?<![^\W_])(?:dob|d\.o\.b|born|birth|geb[a-z]*|n[ae]t?[eoa]?|nacid[oa]|naissance|ddn|fn)[^\w\n]{0,3}"
    r"(?:(?:on|am|le|el|il|op)\s)?(\d{1,2}) (\d{1,2}) (\d\d)(?!\d)"
)
_BORN_IN = Expression(
    r"(?<![^\W_])(?:born|birth[ -]?(?:date|day|year)|year of birth|geboren|geb|geburtsjahr|geboortejaar|jahrgang|nee?|nacid[oa]"
    r"|nat[ao]|naissance|dob|yob)[.:]?\s?(?:(?:in|im|en|nel)\s)?(\d{4})(?![^\W_]|[.,/-]\d)"
)
_MONTH_OF = {name: f"{number:02d}" for number, names in enumerate(MONTHS.split("|"), 1) for name in names.split()}
_ORDINAL = r"(?:st|nd|rd|th)?"
_DAY_MONTH = Expression(
    rf"(?<!\d)(\d{{1,2}}){_ORDINAL}[\W_]{{0,2}}(?:of |de )?([^\W\d_]{{3,10}})[\W_]{{0,3}}(?:de )?(\d{{4}}|\d\d)(?!\d)"
)
_MONTH_DAY = Expression(rf"([^\W\d_]{{3,10}})[\W_]{{0,2}}(\d{{1,2}}){_ORDINAL}[\W_]{{1,3}}(\d{{4}}|\d\d)(?!\d)")
_YEAR_MONTH = Expression(r"(?<!\d)(\d{4})[\W_]{0,2}([^\W\d_]{3,10})[\W_]{0,2}(\d{1,2})(?!\d)")

BYTES = Expression(
    rb"[0-9][-/. _] ?[0-9]{1,2}[-/. _] ?[0-9]"
    rb"|[a-z]{3}[^0-9a-z]{0,3}(?:[0-9]{1,2}(?:st|nd|rd|th)?[^0-9a-z]{1,3})?(?:18|19|20|21)[0-9]{2}"
    rb"|[0-9][^0-9a-z]{0,2}[a-z]{3,10}[^0-9a-z]{0,3}[0-9]"
    rb"|[0-9]\|[0-9]{1,2}\|[0-9]|[0-9]{4}:[0-9]{1,2}:[0-9]|[0-9]:[0-9]{1,2}:[0-9]{4}"
    rb"|[0-9][-/. ][0-9]{1,2}[-/. ]['`][0-9]"
    rb"|[0-9][-/. ][ivx]{1,4}[-/. ][0-9]|[0-9]-?w[0-5][0-9]-?[1-7]"
)  # asked of lower case: may a date be written here


def holds_date(folded: str, dates: frozenset[str]) -> bool:
    """Tell whether one of the dates (YYYYMMDD) is written in folded text."""
    return any(day in dates for day in _read(folded))


def holds_birth_year(folded: str, years: Collection[str]) -> bool:
    """Tell whether one of the years stands behind a word for birth in folded text: geb. 1950, born in 1950."""
    return any(match[1] in years for match in _BORN_IN.finditer(folded))


def birth_months(births: Collection[str]) -> set[str]:
    """Return how month and year of births (YYYYMMDD) are written: 08/53, 08.1953, 8/1953; 8/53 where 53 is no day."""
    found = set()
    for day in births:
        month, bare, year, short = day[4:6], str(int(day[4:6])), day[:4], day[2:4]
        found |= {f"{one}{mark}{year}" for one in (month, bare) for mark in "/.-"} | {f"{month}/{short}"}
        found |= {f"{bare}/{short}"} if int(short) > 31 else set()
    return found


def holds_birth_month(folded: str, births: Collection[str]) -> bool:
    """Tell whether month and year of one of the births stand in folded text, with no other number beside them."""
    forms = (re.escape(form) for form in birth_months(births) if form in folded)
    return any(re.search(rf"(?<![\w./-]){form}(?![\w/]|[.,-]\d)", folded) for form in forms)


def _read(folded: str) -> Iterator[str]:
    """Yield YYYYMMDD for every reading of what may be a date."""
    for match in _DIGITS.finditer(folded):
        run = match[0]
        if len(run) in (8, 10, 12, 14):
            yield run[:8]
        if len(run) == 8:
            yield from (run[4:] + run[2:4] + run[:2], run[4:] + run[:4])
    for match in _WRITTEN.finditer(folded):
        a, b, c = (f"{int(part):02d}" for part in match.groups())
        if len(a) == 4:
            yield a + b + c
        elif len(c) == 4:
            yield from (c + b + a, c + a + b)
    for match in _BARS.finditer(folded):
        a, b, c = (f"{int(part):02d}" for part in match.group(1, 3, 4))
        yield from (a + b + c,) if len(a) == 4 else (c + b + a, c + a + b) if len(c) == 4 else ()
    for match in _APOSTROPHE.finditer(folded):
        a, b, c = (f"{int(part):02d}" for part in match.group(1, 3, 4))
        yield from (f"{century}{c}{two}" for century in ("19", "20") for two in (b + a, a + b))
    for match in _SHORT.finditer(folded):
        a, b, c = f"{int(match[1]):02d}", f"{int(match[3]):02d}", match[4]
        for century in ("19", "20"):
            yield from (century + c + b + a, century + c + a + b, century + a + b + c)
    for match in _ROMAN.finditer(folded):
        if match[2] != " " or len(match[3]) > 1:
            for century in ("",) if len(match[4]) == 4 else ("19", "20"):
                yield f"{century}{match[4]}{_ROMANS.index(match[3]) + 1:02d}{int(match[1]):02d}"
    for match in _ERA.finditer(folded):
        era = next(number for number in range(len(_ERA_STARTS)) if match[number + 1])
        year, month, day = map(_number, match.groups()[-3:])
        yield f"{_ERA_STARTS[era] + year - 1}{month:02d}{day:02d}"
    for match in _WEEK_DAY.finditer(folded):
        first = datetime.date(int(match[1]), 1, 4)  # lies in the first week
        days = 7 * int(match[2]) + int(match[3]) - 8 - first.weekday()
        yield f"{first + datetime.timedelta(days=days):%Y%m%d}"
    for match in _IN_WORDS.finditer(folded):
        year, month, day = map(_number, match.groups())
        yield f"{year:04d}{month:02d}{day:02d}"
    for match in _BORN.finditer(folded):
        a, b, c = (f"{int(part):02d}" for part in match.groups())
        yield from (f"{century}{c}{two}" for century in ("19", "20") for two in (b + a, a + b))
    for pattern, (day, month, year) in ((_DAY_MONTH, (1, 2, 3)), (_MONTH_DAY, (2, 1, 3)), (_YEAR_MONTH, (3, 2, 1))):
        for match in pattern.finditer(folded):
            if number := _month(match[month]):
                for century in ("",) if len(match[year]) == 4 else ("19", "20"):
                    yield f"{century}{match[year]}{number}{int(match[day]):02d}"


def _number(written: str) -> int:
    """Return what a number in digits or ideographs says: 26, 二十六, 二六, 元."""
    if written.isdecimal():
        return int(written)
    plain = written.replace("元", "一").replace("零", "〇")
    if "百" not in plain and "十" not in plain:
        return int("".join(str(_IDEOGRAPHS.index(char)) for char in plain))
    hundreds, _, rest = plain.rpartition("百")
    tens, ten, ones = rest.rpartition("十")
    parts = ((100, hundreds if "百" in plain else "〇"), (10, (tens or "一") if ten else "〇"), (1, ones or "〇"))
    return sum(size * max((_IDEOGRAPHS.find(char) for char in part), default=1) for size, part in parts)


def _month(name: str) -> str:
    if name.startswith("juil"):
        return "07"
    if name.startswith("juin"):
        return "06"
    return _MONTH_OF.get(name[:3], "")
