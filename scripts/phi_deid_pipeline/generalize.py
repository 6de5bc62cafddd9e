"""Values that are kept in a coarser form: ages above a limit, places as the first digits of a ZIP code (45 CFR 164.514)."""

from __future__ import annotations

import re
from functools import cache

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.languages import fold_word, load_languages

# First three digits of areas of 20,000 people or fewer, by the censuses of 2000 and of 2010: they become 000.
RESTRICTED_ZIP3 = frozenset(
    {"036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890"}
    | {"893", "205", "369"}
)
_AGE = Expression(rb"0*(\d{1,9}) *([DWMYdwmy]?)")  # years where no unit stands
_NUMBER = Expression(rb"[+-]?(?:\d{1,16}(?:\.\d{0,16})?|\.\d{1,16})(?:[eE][+-]?\d{1,3})?")
_LONGER = {b"D": (b"W", 1, 7), b"W": (b"M", 12, 52), b"M": (b"Y", 1, 12)}
_PER_AS_YEAR = {b"D": 365, b"W": 52, b"M": 12}
_PER_YEAR = {"a": 1, "mo": 12, "wk": 52, "d": 365}  # UCUM
# Folded words for a unit of time -> UCUM; UCUM has kinds of years and months (a_j, mo_s).
_UNITS = {
    **dict.fromkeys(
        ["a", "y", "yr", "yrs", "year", "years", "jahr", "jahre", "an", "ans", "ano", "anos", "anni", "jaar"], "a"
    ),
    **dict.fromkeys(["mo", "month", "months", "monat", "monate", "mois", "mes", "meses", "mesi", "maanden"], "mo"),
    **dict.fromkeys(["wk", "week", "weeks", "woche", "wochen", "semaines", "semanas", "settimane", "weken"], "wk"),
    **dict.fromkeys(["d", "day", "days", "tag", "tage", "jours", "dias", "giorni", "dagen"], "d"),
}
# States, districts and posts of the armed forces, and the first digits of their ZIP codes; the name is folded.
_STATES_AND_DIGITS = """
    AL=alabama:35,36 AK=alaska:995,996,997,998,999 AZ=arizona:85,86 AR=arkansas:716,717,718,719,72 CO=colorado:80,81
    CA=california:90,91,92,93,94,95,960,961 CT=connecticut:06 DE=delaware:197,198,199 FL=florida:32,33,34
    GA=georgia:30,31,398,399 HI=hawaii:967,968 ID=idaho:83 IL=illinois:60,61,62 IN=indiana:46,47 IA=iowa:50,51,52
    KS=kansas:66,67 KY=kentucky:40,41,42 LA=louisiana:70,71 ME=maine:039,04 MD=maryland:206,207,208,209,21
    MA=massachusetts:01,02,055 MI=michigan:48,49 MN=minnesota:55,56 MS=mississippi:386,387,388,389,39
    MO=missouri:63,64,65 MT=montana:59 NE=nebraska:68,69 NV=nevada:889,89 NH=new_hampshire:030,031,032,033,034,035,036,037,038
    NJ=new_jersey:07,08 NM=new_mexico:87,88 NY=new_york:005,063,10,11,12,13,14 NC=north_carolina:27,28 ND=north_dakota:58
    OH=ohio:43,44,45 OK=oklahoma:73,74 OR=oregon:97 PA=pennsylvania:15,16,17,18,19 RI=rhode_island:028,029
    SC=south_carolina:29 SD=south_dakota:57 TN=tennessee:37,38 TX=texas:75,76,77,78,79,885 UT=utah:84 VT=vermont:05
    VA=virginia:201,22,23,24 WA=washington:98,990,991,992,993,994 WV=west_virginia:247,248,249,25,26 WI=wisconsin:53,54
    WY=wyoming:82,830,831 DC=district_of_columbia:20,569 PR=puerto_rico:006,007,009 VI=virgin_islands:008 GU=guam:969
    AS=american_samoa:967 MP=northern_mariana_islands:969 AA=_:340 AE=_:09 AP=_:962,963,964,965,966
"""
_FIRST_DIGITS = {
    name: tuple(digits.split(","))
    for row in _STATES_AND_DIGITS.split()
    for names, _, digits in (row.partition(":"),)
    for name in names.lower().replace("_", " ").split("=")
}
# A ZIP code stands behind a state, or anywhere in an address in the United States, with or without four further digits.
_CODE = Expression(r"(?<![\w-])(\d{5})(?:-?\d{4})?(?![\w-])", re.ASCII)
_STATE = Expression(
    rf"(?<![^\W_])({'|'.join(sorted(filter(str.strip, _FIRST_DIGITS), key=len, reverse=True))})[ ,.^]+$", re.IGNORECASE
)
_UNITED_STATES = Expression(r"(?<![^\W_])(?:USA|U\.\s?S\.\s?A\.?|US|U\.S\.|(?i:united states))(?![^\W_])")
_COUNTRIES = Expression(
    r"\b(?:germany|deutschland|allemagne|alemania|france|frankreich|francia|italy|italia|italie|italien|spain|espana|españa"
    r"|spanien|mexico|méxico|turkey|turkiye|türkiye|poland|polska|finland|suomi|sweden|sverige|greece|croatia|hrvatska"
    r"|estonia|ukraine|serbia|morocco|maroc|algeria|algérie|egypt|israel|saudi arabia|korea|thailand|malaysia|indonesia"
    r"|pakistan|philippines|peru|perú|cuba|guatemala|uruguay|kuwait|jordan|iraq|taiwan|vietnam"
    r"|deu|fra|ita|esp|mex|tur|fin|swe|grc|hrv|est|ukr|dza|egy|isr|sau|kor|tha|mys|idn|pak)\b",
    re.IGNORECASE,
)
_BOX = Expression(r"\b(?:box|pob|postfach|apartado)\W*$", re.IGNORECASE)


def capped_age(value: bytes, max_age: int) -> bytes | None:
    """Return an AS value with ages above `max_age` years as the next year (089Y stays, 095Y is 090Y); None if it stays.

    An age that is not well formed (95Y, 45, 095y) is read and written as one; of what cannot be read nothing is left.
    """
    parts = [part.rstrip(b" \x00") for part in value.split(b"\\")]
    new = [_capped(part.lstrip(b" \x00"), max_age) if part else part for part in parts]
    return None if new == parts else _even(b"\\".join(new))


def _capped(part: bytes, max_age: int) -> bytes:
    found = _AGE.fullmatch(part)
    if found is None:
        return b""
    number, unit = int(found[1]), found[2].upper() or b"Y"
    limit = max_age if unit == b"Y" else (max_age + 1) * _PER_AS_YEAR[unit] - 1
    if number > limit:
        return b"%03dY" % (max_age + 1)
    while number > 999:  # more than AS can hold in this unit
        unit, times, per = _LONGER[unit]
        number = number * times // per
    return b"%03d%b" % (number, unit)


def capped_number(value: bytes, unit: str, max_age: int) -> bytes | None:
    """Return a DS value, ages in a unit of UCUM, as `max_age` + 1 years where they are above; None if it stays.

    What is no number becomes the dummy 0, as the attribute is of Type 1.
    """
    parts = [part.strip(b" \x00") for part in value.split(b"\\")]
    new = [_capped_number(part, _PER_YEAR.get(unit, 1), max_age) if part else part for part in parts]
    return None if new == parts else _even(b"\\".join(new))


def _capped_number(part: bytes, per_year: int, max_age: int) -> bytes:
    if not _NUMBER.fullmatch(part):
        return b"0"
    limit = (max_age + 1) * per_year
    number = float(part)
    above = number > (max_age if per_year == 1 else limit) and number != limit
    return str(limit).encode("ascii") if above else part


def _even(value: bytes) -> bytes:
    return value if len(value) % 2 == 0 else value + b" "


def time_unit(code: str) -> str:
    """Return the unit of UCUM in which an age may be told (a, mo, wk, d), "" for any other."""
    return _UNITS.get(fold_word(code.strip("{}[]. ")).partition("_")[0], "")


def means_age(meaning: str) -> bool:
    """Tell whether the name of a concept has a word for an age in one of the languages (also Patientenalter)."""
    return _age_words().search(fold_word(meaning)) is not None


@cache
def _age_words() -> re.Pattern[str]:
    words = {fold_word(word) for word in load_languages().age_labels}
    return re.compile(rf"(?<![a-z])(?:{'|'.join(sorted(words))}|[a-z]+(?:alter|leeftijd))(?![a-z])")


def zip3(text: str) -> str:
    """Return the first three digits of the US ZIP code in an address, 000 for a restricted area; "" if there is none.

    Nothing is kept unless the address says that it is one of the United States: the country, or right before the code a
    state that has such codes. Codes of five digits are written in many countries (Berlin 10115), and a rule for those
    would be another. Another country's name, or the number of a box, rules a code out. What stays in doubt: IL and ID
    before a code of Illinois or Idaho may mean Israel or Indonesia.
    """
    text = text.strip(" \x00")
    if _COUNTRIES.search(text.replace("New Mexico", "")):
        return ""
    found = [match[1] for match in _CODE.finditer(text) if _is_zip(text, match)]
    if not found:
        return ""
    return "000" if found[-1][:3] in RESTRICTED_ZIP3 else found[-1][:3]


def _is_zip(text: str, match: re.Match[str]) -> bool:
    before = text[: match.start()]
    state = _STATE.search(before)
    if _BOX.search(before[: state.start()] if state else before):
        return False
    if state is not None and match[1].startswith(_FIRST_DIGITS[state[1].lower()]):
        return True
    # A house number stands before a word of the street; the code is at the end, but for the country.
    behind = _UNITED_STATES.sub("", text[match.end() :])
    return _UNITED_STATES.search(text) is not None and not expression(r"\w").search(behind)
