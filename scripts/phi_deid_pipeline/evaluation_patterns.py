"""What the evaluation takes for an identifier in a text, a date or a UID: patterns of its own, none of the engine's."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from phi_deid_pipeline.evaluation_findings import ORDER, Severity

NAMES_FILE = Path(__file__).resolve().parents[2] / "resources" / "evaluation" / "names.txt"
FIRST_YEAR, LAST_YEAR = 1905, 2040  # of a date that looks real
CODE_LENGTH, CODE_SWITCHES, CODE_RUN = (
    10,
    2,
    2,
)  # characters of a pseudonym; changes between letters and digits; digits in a row
HIGHEST_AGE = 90  # years, 45 CFR 164.514(b)(2)(i)(C): over 89 only as one group

CERTAIN, LIKELY, POSSIBLE = Severity.CERTAIN, Severity.LIKELY, Severity.POSSIBLE


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why a text is suspicious; `seen` is the part that is."""

    severity: Severity
    kind: str
    seen: str
    why: str


# --- values that stand for nothing ----------------------------------------------------------------------------------

_DUMMY_TEXT = """anonymous anonymized anonymised anonymize anon anonym removed deidentified deid de identified unknown
unspecified none null na dummy redacted pseudonym noname patient subject name no not available value text deleted withheld
default empty blank n a x xx xxx"""
_DUMMY_WORDS = frozenset(_DUMMY_TEXT.split())
_DUMMY_START = re.compile(r"(?:anon|deid|pseudo|removed|dummy|redact|subj|patient|case|phantom)[a-z]*[\W_]*\d*")


def folded(text: str) -> str:
    """Return a text in lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def is_dummy(text: str) -> bool:
    """Tell whether a text says by itself that it replaces another: a word for it, or one character repeated."""
    plain = folded(text).strip()
    words = re.findall(r"[^\W_]+", plain)
    if not words or len(set("".join(words))) == 1:
        return True
    return all(word in _DUMMY_WORDS for word in words) or _DUMMY_START.fullmatch(plain) is not None


def is_code(text: str) -> bool:
    """Tell whether a text looks like a pseudonym made by a program: one long word in which letters and digits alternate."""
    word = text.strip()
    if len(word) < CODE_LENGTH or not re.fullmatch(r"[A-Za-z0-9+/=_-]+", word):
        return False
    if re.fullmatch(r"\d{24,}", word):
        return True
    classes = [c.isdigit() for c in word if c.isalnum()]
    switches = sum(one != other for one, other in itertools.pairwise(classes))
    run = max((len(digits) for digits in re.findall(r"\d+", word)), default=0)
    return switches > CODE_SWITCHES or (switches == CODE_SWITCHES and run <= CODE_RUN)  # JOHN1950SMITH is none


# --- dates ----------------------------------------------------------------------------------------------------------


def is_real_date(value: str) -> bool:
    """Tell whether a DA or DT value is a date that a person or a scanner may have written, no dummy and no mere year."""
    digits = re.sub(r"\D", "", value[:10]) if "." in value[:8] or "-" in value[:8] else value[:8]
    if not re.fullmatch(r"\d{8}", digits):
        return bool(re.fullmatch(r"\d{6}", digits)) and _plausible(int(digits[:4]), int(digits[4:]), 1)
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    return _plausible(year, month, day) and (month, day) != (1, 1)


def _plausible(year: int, month: int, day: int) -> bool:
    return FIRST_YEAR <= year <= LAST_YEAR and 1 <= month <= 12 and 1 <= day <= 31


def is_real_time(value: str) -> bool:
    """Tell whether a TM value is neither noon nor within ten seconds of midnight: those are dummies of tools."""
    digits = re.sub(r"\D", "", value.partition(".")[0])
    return len(digits.lstrip("0")) > 1 and digits.rstrip("0") != "12"


_ENGLISH_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTH_NAMES = (
    "jan feb mar apr may jun jul aug sep oct nov dec mär maerz mai okt dez fév fev avr juin juil août aout déc"
    " ene abr ago dic gen mag giu lug set ott mrt mei"
)
_MONTHS = "(?:" + "|".join(_MONTH_NAMES.split()) + r")[a-zäéû]{0,7}\.?"
_YEAR4 = r"(?:19|20)\d\d"
_DATES = (
    re.compile(rf"(?<![\d.]){_YEAR4}([-/. ])(0?[1-9]|1[0-2])\1(0?[1-9]|[12]\d|3[01])(?![\d.]\d|\d)"),
    re.compile(rf"(?<![\d./-])(\d{{1,2}})([-/.])(\d{{1,2}})\2{_YEAR4}(?!\d)"),
    re.compile(r"(?<![\d./-])(\d{1,2})([-/])(\d{1,2})\2\d\d(?![\d/-])"),
    re.compile(r"(?<![\d.])(\d\d)(\.)(\d\d)\2\d\d(?![\d.])"),
    re.compile(rf"(?<![\w])\d{{1,2}}(?:st|nd|rd|th|\.)?[\s/-]?{_MONTHS}[\s,/-]{{0,2}}(?:{_YEAR4}|\d\d)(?!\d)", re.I),
    re.compile(rf"\b{_MONTHS}[\s/-]{{1,2}}\d{{1,2}}(?:st|nd|rd|th)?[\s,/-]{{1,2}}{_YEAR4}(?!\d)", re.I),
    re.compile(rf"\b{_MONTHS}\s{{1,2}}\d{{1,2}}\s\d\d:\d\d(?::\d\d)?(?:\s[A-Z]{{2,5}})?\s{_YEAR4}(?!\d)", re.I),
    re.compile(r"(?<![\d.])((?:19[2-9]|20[0-3])\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?:\d{6})?(?![\d])"),
)


_COMPACT = len(_DATES) - 1


def dates_in(text: str) -> Iterator[str]:
    """Yield what is written like a date of day, month and year, dummies left out."""
    for number, pattern in enumerate(_DATES):
        for match in pattern.finditer(text):
            if number in (1, 2, 3):
                one, other = int(match[1]), int(match[3])
                if not (1 <= one <= 31 and 1 <= other <= 31 and min(one, other) <= 12):
                    continue
            if number in (0, _COMPACT) and not is_real_date(_iso(match[0])):
                continue
            yield match[0]


def _iso(text: str) -> str:
    parts = re.split(r"[-/. ]", text)
    return text if len(parts) != 3 else f"{parts[0]}{int(parts[1]):02d}{int(parts[2]):02d}"


def date_values(text: str) -> set[str]:
    """Return every reading of the dates in a text as YYYYMMDD, for the search of known ones."""
    found = set()
    names = {name: number for number, name in enumerate(_ENGLISH_MONTHS.split(), 1)}
    for seen in dates_in(text):
        numbers = [int(part) for part in re.findall(r"\d+", seen)]
        word = re.search(r"[a-z]{3}", folded(seen))
        month = names.get(word[0]) if word else None
        if len(numbers) == 1:
            found.add(str(numbers[0])[:8])
        elif month and len(numbers) == 2:
            found.add(f"{_century(numbers[1])}{month:02d}{numbers[0]:02d}")
        elif len(numbers) == 3:
            year, one, other = numbers if numbers[0] > 31 else (numbers[2], numbers[0], numbers[1])
            found |= {f"{_century(year)}{a:02d}{b:02d}" for a, b in ((one, other), (other, one)) if a <= 12}
    return found


def _century(year: int) -> int:
    return year if year > 99 else year + (2000 if year < LAST_YEAR % 100 else 1900)


# --- ages -----------------------------------------------------------------------------------------------------------

_OLD = re.compile(
    r"(?<![\d.])0?(9\d|1[0-2]\d)\s?-?(?:y/?o\b|yo\b|yrs?\b|years?\b|jahre?\b|jährig|ans\b|años\b|anni\b|jaar\b)"
    r"|(?<![\w.])0?(?:9[1-9]|1[0-2]\d)[AJY]\b",  # 90Y is yttrium
    re.I,
)


def is_old_age(value: str) -> bool:
    """Tell whether an AS value is an age above the highest group."""
    match = re.fullmatch(r"(\d{3})Y", value.strip().upper())
    return match is not None and int(match[1]) > HIGHEST_AGE


# --- UIDs -----------------------------------------------------------------------------------------------------------

MANUFACTURER_ROOTS = {
    "1.2.840.113619": "GE",
    "1.2.840.113745": "Siemens",
    "1.3.12.2.1107": "Siemens",
    "1.3.46.670589": "Philips",
    "1.2.392.200036": "a Japanese manufacturer",
    "1.2.392.200046": "a Japanese manufacturer",
    "1.2.840.113704": "Philips",
    "1.2.840.113543": "Philips",
    "1.2.840.113564": "Kodak or Carestream",
    "1.2.840.113663": "ATL Ultrasound",
    "1.2.840.113681": "Hologic",
    "1.2.840.114340": "SonoSite",
    "1.3.51.0": "Agfa",
    "1.2.124.113532": "Agfa or Merge",
    "1.2.410.200001": "a Korean manufacturer",
}
_EPOCH = re.compile(r"1[0-7]\d{8}")  # seconds since 1970 of the years 2001 to 2027


def suspicious_uid(uid: str) -> Suspicion | None:
    """Tell whether a UID shows a manufacturer's root, or a date in one that is not made of a UUID (PS3.5 B.2)."""
    if not uid or uid.startswith(("2.25.", "1.2.840.10008.")):
        return None
    root = next((root for root in MANUFACTURER_ROOTS if uid.startswith(root + ".")), "")
    parts = uid.split(".")[4:]
    dated = next((part for part in parts if 8 <= len(part) <= 20 and _begins_with_date(part)), "")
    if not dated and root:
        dated = next((part for part in parts if _EPOCH.fullmatch(part)), "")
    if dated:
        return Suspicion(LIKELY, "uid_with_date", uid, "a component of this UID is written like a date")
    if root:
        return Suspicion(LIKELY, "uid_of_manufacturer", uid, f"root of {MANUFACTURER_ROOTS[root]}: it was not replaced")
    return None


def _begins_with_date(part: str) -> bool:
    return is_real_date(part[:8]) and int(part[:4]) >= 1980


# --- text -----------------------------------------------------------------------------------------------------------

_CAPITAL = r"[A-ZÀ-ÖØ-Þ][\w'’-]+"
_LABEL = (
    r"(?:mrn|pat(?:ient)?[ ._-]?(?:id|no|nr|number)|pid|acc(?:ession)?(?:[ ._-]?(?:no|nr|number|#))?|dob|d\.o\.b\.?|"
    r"birth(?:[ -]?date)?|born|geb(?:urtsdatum|oren)?\.?|ssn|insurance|fall(?:nummer|nr)|hosp(?:ital)?[ ._-]?no|n[ée]e? le)"
)
_FORMS: tuple[tuple[Severity, str, str, re.Pattern[str]], ...] = (
    (CERTAIN, "e-mail", "an e-mail address", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*\.[A-Za-z]{2,}")),
    (LIKELY, "url", "a web address", re.compile(r"\b(?:https?|ftp|file)://[^\s\\]+|\bwww\.[^\s\\]+", re.I)),
    (
        CERTAIN,
        "phone",
        "a number labelled as telephone or fax",
        re.compile(r"\b(?:tel|telephone|phone|fax|mobile|cell|telefon|tél)\b[ .:#]{1,3}[+(]?\d[\d ()/.-]{4,}\d", re.I),
    ),
    (
        LIKELY,
        "phone",
        "written like a telephone number",
        re.compile(
            r"(?<![\w.+-])(?:\(\d{3}\) ?\d{3}[- .]\d{4}|\d{3}-\d{3}-\d{4}|\+\d{1,3}[ (-]\d[\d ()/-]{6,}\d)(?![\w.])"
        ),
    ),
    (LIKELY, "ssn", "written like a social security number", re.compile(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w.-])")),
    (
        LIKELY,
        "label",
        "a label with a number",
        re.compile(rf"\b{_LABEL}(?![^\W\d_])\s?[:=#]?\s{{0,2}}[A-Za-z]{{0,4}}[-/.]?\d[\w/.-]*", re.I),
    ),
    (
        LIKELY,
        "name",
        "a label with a name",
        re.compile(r"\b(?i:patient|name|pat|physician|operator|technologist|radiologist|arzt)\s?[:=]\s{0,2}" + _CAPITAL),
    ),
    (
        LIKELY,
        "name",
        "a title with a name",
        re.compile(rf"\b(?:(?:Dr|Prof|Mrs|Herr|Frau|Mme|Sra)\b\.?|(?:DR|PROF|MR|Mr|MRS|Ms|MD)\.)\s{{0,2}}{_CAPITAL}"),
    ),
    (CERTAIN, "age", "an age above 89", _OLD),
    (
        LIKELY,
        "institution",
        "written like the name of a hospital",
        re.compile(
            rf"\b(?!(?:The|This|Our|A|THE)\b){_CAPITAL}\s(?:{_CAPITAL}\s){{0,2}}"
            r"(?i:hospital|clinic|klinik(?:um)?|infirmary|krankenhaus|med(?:ical)?\.? c(?:en)?te?r|medical centre|"
            r"health system|h[ôo]pital|ospedale|ziekenhuis)\b"
            r"|\b(?:Universit[a-zäé]{1,4}|UNIVERSIT[A-ZÄÉ]{1,4}|H[ôo]pital|Hospital|Ospedale|Klinikum)\s(?:of |de |di |zu )?"
            + _CAPITAL
        ),
    ),
    (
        LIKELY,
        "address",
        "written like an address",
        re.compile(
            r"\b\d{1,5}[a-z]?\s(?:[A-Z][\w'’]+\s){1,3}(?:St|Street|Ave|Avenue|Rd|Road|Blvd|Lane|Ln|Drive|Way)\b"
            r"|\b[A-ZÄÖÜ][a-zäöüß-]{2,}(?:straße|strasse|str\.|weg|platz|gasse)\s\d{1,4}\b"
            r"|\b(?:A[LKZR]|C[AOT]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])"
            r",?\s\d{5}(?:-\d{4})?(?![\w.])"
        ),
    ),
    (
        LIKELY,
        "network",
        "a network address",
        re.compile(
            r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"
            r"|(?<![\w:])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:])"
        ),
    ),
    (
        POSSIBLE,
        "number",
        "a number or code that may be an identifier",
        re.compile(r"(?<![\w.,+-])(?=[\w-]*\d{6})[A-Za-z]{0,4}-?\d{6,18}(?![\w.])"),
    ),
)  # fmt: skip
_UID = re.compile(r"(?<![\w.])[0-2](?:\.\d+){4,}(?![\w.])")
_DATE_LIKE = re.compile(r"(?:1[89]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:0{6})?|0001010[01]|99991231")
_VERSION = re.compile(r"\d\.")


def suspicions(text: str) -> list[Suspicion]:
    """Return what is suspicious in a text of a description or of a picture, the gravest first, then in order of place."""
    found: list[Suspicion] = []
    for match in _UID.finditer(text):
        uid = suspicious_uid(match[0])
        if uid is not None:
            found.append(uid)
    plain = _UID.sub(" ", text)
    taken: list[tuple[int, int]] = []
    for seen in dates_in(plain):
        found.append(Suspicion(LIKELY, "date", seen, "written like a date"))
        at = plain.find(seen)
        taken.append((at, at + len(seen)))
    for severity, kind, why, pattern in _FORMS:
        for match in pattern.finditer(plain):
            inside = any(start < match.end() and match.start() < end for start, end in taken)
            if inside and kind in ("number", "phone", "network"):
                continue
            if kind == "number" and (_DATE_LIKE.fullmatch(match[0]) or not match[0].strip("0")):
                continue  # a real one is a date, others are dummies
            if kind == "network" and _VERSION.match(match[0]):
                continue  # 4.1.3.2 is a version
            if kind == "name" and is_dummy(re.split(r"[:=]", match[0])[-1]):
                continue
            found.append(Suspicion(severity, kind, match[0].strip(), why))
            taken.append(match.span())
    found += _person_names(plain)
    found += _names_in(plain)
    unique = {(one.kind, one.seen): one for one in reversed(found)}
    return sorted(unique.values(), key=lambda one: (ORDER[one.severity], text.find(one.seen), one.kind, one.seen))


_PERSON_NAME = re.compile(r"(?<![\w^])[^\W\d_][\w'’ -]+\^[^\W\d_][\w'’ .-]*")


def _person_names(text: str) -> Iterator[Suspicion]:
    """Yield what has the form of a Person Name: of a person where a given name is in it, else it may be Head^Routine."""
    for match in _PERSON_NAME.finditer(text):
        words = re.findall(r"[^\W\d_]+", folded(match[0]))
        if all(word in _DUMMY_WORDS for word in words):
            continue
        severity = LIKELY if given_names() & set(words) else POSSIBLE
        yield Suspicion(severity, "name", match[0].strip(), "written like a Person Name")


@cache
def given_names() -> frozenset[str]:
    """Return the given names of resources/evaluation."""
    lines = NAMES_FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def _names_in(text: str) -> Iterator[Suspicion]:
    words = list(re.finditer(r"[^\W\d_][^\W\d_'’-]*", text))
    for number, word in enumerate(words):
        if folded(word[0]) not in given_names() or not word[0][0].isupper():
            continue
        beside = [words[at] for at in (number + 1, number - 1) if 0 <= at < len(words)]
        for other in beside:
            first, second = sorted((word, other), key=lambda match: match.start())
            gap = text[first.end() : second.start()]
            if len(other[0]) > 2 and other[0][0].isupper() and re.fullmatch(r",?[ ^]{1,2}|, ?|\^", gap):
                yield Suspicion(LIKELY, "name", text[first.start() : second.end()], "a given name beside another word")
                break
        else:
            yield Suspicion(POSSIBLE, "name", word[0], "a given name")
