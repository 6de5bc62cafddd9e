"""Dates as people and devices write them: found in folded text, and written in the usual forms."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from phi_deid_pipeline.expressions import Expression, expression

MONTH_NAMES = (
    "january jan januar janvier janv enero ene gennaio gen januari janeiro janner i",
    "february feb februar fevrier fevr febrero febbraio februari fevereiro fev ii",
    "march mar marz maerz mars marzo maart marco mrz mrt iii",
    "april apr avril avr abril abr aprile iv",
    "may mai mayo maggio mag mei maio v",
    "june jun juni juin junio giugno giu junho vi",
    "july jul juli juillet juil julio luglio lug julho vii",
    "august aug aout agosto ago augustus viii",
    "september sep sept septembre septiembre settembre set setembro ix",
    "october oct oktober okt octobre octubre ottobre ott outubro out x",
    "november nov novembre noviembre novembro xi",
    "december dec dezember dez decembre diciembre dic dicembre dezembro des xii",
)
_MONTHS = {name: number for number, names in enumerate(MONTH_NAMES, 1) for name in names.split()}
_NAMES = sorted(_MONTHS, key=lambda name: (-len(name), name))
_ROMAN = [name for name in _NAMES if set(name) <= set("ivx")]
_WORDS = [name for name in _NAMES if name not in _ROMAN]
_SEP = r"\s?[-/. _,]\s?"
_DIGITS = Expression(r"(?<!\d)(\d{14}|\d{12}|\d{8}|\d{6})(?!\d)")
_NUMERIC = Expression(rf"(?<!\d)(?=(\d{{4}}|\d{{1,2}})({_SEP})(\d{{1,2}})({_SEP})(\d{{4}}|\d{{1,2}})(?!\d))")
_QUOTES = frozenset("'\u2019`")
_BY_BARS = Expression(r"(?<![\d|:])(\d{4}|\d{1,2})([|:])(\d{1,2})\2(\d{4}|\d{1,2})(?![\d|:])")  # 17|03|1952
_SHORT_YEAR = Expression(r"(?<!\d)(\d{1,2})[-/. ]{1,2}(\d{1,2})[-/. ]{0,2}['\u2019`](\d\d)(?!\d)")  # 17-03-'52


def _with_month(names: list[str]) -> tuple[Expression, Expression, Expression]:
    """Return the expressions of a day and such a month, the month and a day, a year and the month."""
    month = f"({'|'.join(names)})"
    return (
        Expression(
            rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|[oº°])?[-/. _,]{{0,2}}(?:(?:of|de|di) )?{month}[-/. _,']{{0,3}}"
            rf"(?:(?:of|de|del|di) )?(\d{{4}}|\d\d)(?!\d)"
        ),
        Expression(
            rf"(?<![^\W\d_]){month}[-/. _]{{0,2}}(\d{{1,2}})(?:st|nd|rd|th)?[-/. _,']{{1,3}}(\d{{4}}|\d\d)(?!\d)"
        ),
        Expression(rf"(?<!\d)(\d{{4}})[-/. _,]{{0,2}}{month}[-/. _,]{{0,2}}(\d{{1,2}})(?!\d)"),
    )


# Of texts that hold the word of a month, which take long to compile, and of others.
_WITH_MONTH, _WITH_ROMAN_MONTH = _with_month(_NAMES), _with_month(_ROMAN)
_WEEK_DAY = Expression(r"(?<!\d)([12]\d{3})-?w([0-5]\d)-?([1-7])(?!\d)")  # 2020-W03-4 (ISO 8601)
_HAN_DIGITS = {char: number for number, char in enumerate("〇一二三四五六七八九")} | {"零": 0, "元": 1}
_HAN = "[〇零一二三四五六七八九十百]"
_EAST_ASIAN = Expression(
    rf"(?<!\d)(\d{{4}}|{_HAN}{{4}})\s?[年년]\s?(\d{{1,2}}|{_HAN}{{1,3}})\s?[月월]\s?(\d{{1,2}}|{_HAN}{{1,3}})\s?[日일]"
)
# Japanese eras by letter and name, with the year before their first; the first year is written as 元, too.
_ERAS = {"m明明治": 1867, "t大大正": 1911, "s昭昭和": 1925, "h平平成": 1988, "r令令和": 2018}
_ERA_OF = {name: start for (letter, short, *whole), start in _ERAS.items() for name in (letter, short, "".join(whole))}
_ERA_OF |= dict.fromkeys(("民", "民国", "中华民国"), 1911)
_LETTER_AND_YEAR = Expression(r"[mtshr][ .]?\d{1,3}\s?[./-]")  # in every match of the next in ASCII
_ERA = Expression(
    rf"(?<![^\W_])([mtshr]|明治|大正|昭和|平成|令和|中华民国|民国|[明大昭平令民])[ .]?(\d{{1,3}}|元|{_HAN}{{1,5}})\s?[年./-]"
    rf"\s?(\d{{1,2}}|{_HAN}{{1,3}})\s?[月./-]\s?(\d{{1,2}}|{_HAN}{{1,3}})(?:\s?日)?(?!\d)"
)


def _days(*orders: tuple[str, str, str]) -> Iterator[str]:
    """Yield YYYYMMDD for (year, month, day) readings; two-digit years stand for 19xx and 20xx."""
    for year, month, day in orders:
        for full in (year,) if len(year) == 4 else (f"20{year:0>2}", f"19{year:0>2}") if len(year) == 2 else ():
            yield f"{full}{int(month):02d}{int(day):02d}"


def _numeric_orders(first: str, middle: str, last: str) -> Iterator[str]:
    if len(first) == 4:
        return _days((first, middle, last), (first, last, middle)) if len(last) <= 2 else iter(())
    orders = [(last, middle, first), (last, first, middle)]
    if len(last) <= 2 and len(first) == 2:
        orders.append((first, middle, last))
    return _days(*orders)


def _run_orders(run: str) -> Iterator[str]:
    if len(run) == 6:
        return _days((run[:2], run[2:4], run[4:]), (run[4:], run[2:4], run[:2]), (run[4:], run[:2], run[2:4]))
    head = [(run[:4], run[4:6], run[6:8])]
    if len(run) == 8:
        head += [(run[4:], run[2:4], run[:2]), (run[4:], run[:2], run[2:4])]
    return _days(*head)


def _number(written: str) -> int:
    """Return a number in digits or ideographs, with tens and hundreds or digit by digit: 二十六, 一九五一."""
    if written.isdecimal():
        return int(written)
    if not {"十", "百"} & set(written):
        return int("".join(str(_HAN_DIGITS[char]) for char in written))
    total, last = 0, 0
    for char in written:
        if char in "十百":
            total, last = total + (last or 1) * (10 if char == "十" else 100), 0
        else:
            last = _HAN_DIGITS[char]
    return total + last


def month_number(name: str) -> int:
    """Return the number of a month by its folded name, 0 for what is none."""
    return _MONTHS.get(name, 0)


def find_dates(folded: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield (start, end, possible readings as YYYYMMDD) of whatever is written like a date in folded text."""
    if folded.isascii() and not any(map(str.isdigit, folded)):
        return
    for match in _DIGITS.finditer(folded):
        end = match.start() + 8 if len(match[1]) > 8 else match.end()
        yield match.start(), end, tuple(_run_orders(match[1]))
    for match in _NUMERIC.finditer(folded):
        yield match.start(1), match.end(5), tuple(_numeric_orders(match[1], match[3], match[5]))
    for match in _BY_BARS.finditer(folded):
        if match[2] == "|" or len(match[1]) == 4 or int(match[4]) > 59 or int(match[1]) > 23:  # no time of day
            yield match.start(), match.end(), tuple(_numeric_orders(match[1], match[3], match[4]))
    for match in _SHORT_YEAR.finditer(folded) if not _QUOTES.isdisjoint(folded) else ():
        yield match.start(), match.end(), tuple(_numeric_orders(*match.groups()))
    for match in _EAST_ASIAN.finditer(folded) if not folded.isascii() else ():
        year, month, day = map(_number, match.groups())
        yield match.start(), match.end(), tuple(_days((f"{year:04d}", str(month), str(day))))
    if not any(map(str.isalpha, folded)):
        return
    for match in _ERA.finditer(folded) if not folded.isascii() or _LETTER_AND_YEAR.search(folded) else ():
        year, month, day = map(_number, match.groups()[1:])
        yield match.start(), match.end(), tuple(_days((str(_ERA_OF[match[1]] + year), str(month), str(day))))
    for match in _WEEK_DAY.finditer(folded) if "w" in folded else ():
        first = datetime.date(int(match[1]), 1, 4)  # lies in the first week
        days = 7 * int(match[2]) + int(match[3]) - 8 - first.weekday()
        yield match.start(), match.end(), (f"{first + datetime.timedelta(days=days):%Y%m%d}",)
    day_month, month_day, year_month = _WITH_MONTH if any(map(folded.__contains__, _WORDS)) else _WITH_ROMAN_MONTH
    for match in day_month.finditer(folded):
        yield match.start(), match.end(), tuple(_days((match[3], str(_MONTHS[match[2]]), match[1])))
    for match in month_day.finditer(folded):
        yield match.start(), match.end(), tuple(_days((match[3], str(_MONTHS[match[1]]), match[2])))
    for match in year_month.finditer(folded):
        yield match.start(), match.end(), tuple(_days((match[1], str(_MONTHS[match[2]]), match[3])))


def written_dates(day: str) -> tuple[str, ...]:
    """Return the usual written forms of a YYYYMMDD date, longest first (English month names)."""
    year, month, date, short = day[:4], day[4:6], day[6:8], day[2:4]
    name = MONTH_NAMES[int(month) - 1].split()
    m, d = str(int(month)), str(int(date))
    forms = {day, date + month + year, month + date + year, short + month + date}
    for sep in "-/. ":
        for y in (year, short):
            forms |= {sep.join(x) for x in ((y, month, date), (date, month, y), (month, date, y), (d, m, y), (m, d, y))}
        forms |= {sep.join(x) for x in ((date, name[1][:3].upper(), year), (date, name[1][:3].upper(), short))}
    forms |= {
        f"{era[0].upper()}{int(year) - start}.{m}.{d}" for era, start in _ERAS.items() if 0 < int(year) - start < 65
    }
    forms |= {f"{n.title()} {d}, {year}" for n in name[:2]} | {f"{d} {n.title()} {year}" for n in name[:2]}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def normal_date(value: str) -> str:
    """Return YYYYMMDD of a DA or DT value, or "" for partial, impossible and dummy dates."""
    match = expression(r"\s*(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})").match(value)
    if not match:
        return ""
    year, month, day = (int(part) for part in match.groups())
    if not (1850 <= year <= 2199 and 1 <= month <= 12 and 1 <= day <= 31):
        return ""
    text = f"{year:04d}{month:02d}{day:02d}"
    return "" if text == "19000101" else text
