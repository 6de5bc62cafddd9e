"""Values that are kept in a coarser form: ages above a limit, places as the first digits of a ZIP code (45 CFR 164.514)."""

from __future__ import annotations

import re
from functools import cache

from phi_deid_pipeline.languages import fold_word, load_languages

# First three digits of areas of 20,000 people or fewer, by the censuses of 2000 and of 2010: they become 000.
RESTRICTED_ZIP3 = frozenset(
    {"036", "059", "063", "102", "203", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890"}
    | {"893", "205", "369"}
)
_AGE = re.compile(rb"0*(\d{1,9}) *([DWMYdwmy]?)")  # years where no unit stands
_NUMBER = re.compile(rb"[+-]?(?:\d{1,16}(?:\.\d{0,16})?|\.\d{1,16})(?:[eE][+-]?\d{1,3})?")
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
# A ZIP code stands behind the letters of a state, or at the end, with or without its four further digits.
_ZIP = re.compile(
    r"\b(?P<state>[A-Z]{2})[ ,.^]+(?P<behind>\d{5})(?:-?\d{4})?(?![\d-])|(?<![\w-])(?P<last>\d{5})(?:-\d{4})?\s*$",
    re.ASCII | re.IGNORECASE,
)
_STATE_LETTERS = """
    AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC
    SD TN TX UT VT VA WA WV WI WY DC PR VI GU AS MP AA AE AP
"""
_STATES = frozenset(_STATE_LETTERS.split())
# States whose letters also name a country with codes of five digits: the first digits that the state has.
_ALSO_A_COUNTRY = {
    "DE": ("197", "198", "199"),
    "ID": ("83",),
    "IL": ("60", "61", "62"),
    "MA": ("01", "02", "055"),
    "ME": ("039", "04"),
}
_AT_HOME = _STATES | {"US", "ST", "RD", "DR", "LN"}  # and words of streets
_COUNTRIES = re.compile(
    r"\b(?:germany|deutschland|allemagne|alemania|france|frankreich|francia|italy|italia|italie|italien|spain|espana|españa"
    r"|spanien|mexico|méxico|turkey|turkiye|türkiye|poland|polska|finland|suomi|sweden|sverige|greece|croatia|hrvatska"
    r"|estonia|ukraine|serbia|morocco|maroc|algeria|algérie|egypt|israel|saudi arabia|korea|thailand|malaysia|indonesia"
    r"|pakistan|philippines|peru|perú|cuba|guatemala|uruguay|kuwait|jordan|iraq|taiwan|vietnam"
    r"|deu|fra|ita|esp|mex|tur|fin|swe|grc|hrv|est|ukr|dza|egy|isr|sau|kor|tha|mys|idn|pak)\b",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"(?:^|[\s,.^(])([a-z]{1,2})[ ,.^]+$", re.IGNORECASE | re.ASCII)
_BOX = re.compile(r"\b(?:box|pob|postfach|apartado)\W*$", re.IGNORECASE)


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

    The number of a box is none, nor is a code behind the letters of another country or, without a state, beside its name.
    """
    text = text.strip(" \x00")
    found = [code for match in _ZIP.finditer(text) if (code := _zip_code(text, match))]
    if not found:
        return ""
    return "000" if found[-1][:3] in RESTRICTED_ZIP3 else found[-1][:3]


def _zip_code(text: str, match: re.Match[str]) -> str:
    if _BOX.search(text[: match.start()]):
        return ""
    code, state = match["behind"] or match["last"], (match["state"] or "").upper()
    if state in _STATES:
        return code if code.startswith(_ALSO_A_COUNTRY.get(state, ("",))) else ""
    before = _BEFORE.search(text[: match.end() - len(match[0]) + match[0].index(code)])
    foreign = before is not None and before[1].upper() not in _AT_HOME
    at_end = not text[match.end() :]
    return code if at_end and not foreign and not _COUNTRIES.search(text) else ""
