"""What in a text is written like a date, a number that identifies, an address: regular expressions of the languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache

from phi_deid_pipeline.languages import Languages, spellings

MIN_UID_LENGTH = 20
_TWO_DAY, _TWO_MONTH = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])"
_DAY, _MONTH_NUMBER, _YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?|Z\b|[+-]\d\d:?\d\d\b)?"
_OLD = r"(?:9\d|1[0-3]\d)"  # an age above 89
# Day and month; not before a unit or what is counted: 3-5 mm, 10-12 slices.
_COUNTED = (
    r"[%°x]|[µunmck]?m|[md]?l|cc|[mkµu]?g|[cm]?gy|m?sv|[mk]?t|m?s|secs?|min|h|hrs?|[kmg]?hz|kvp?|mas?|[mk]ev|[mkg]?bq|mci|deg|rpm"
    r"|bpm|fps|px|dpi|[^\W\d_]*(?:slices?|images?|frames?|phases?|views?|pixels?|weeks?|days?|months?|years?|hours?|minutes?|seconds?"
    r"|schichten|bilder|wochen|tage|monate|jahre|stunden|minuten|sekunden|coupes|jours|semaines|mois|cortes|semanas|meses"
    r"|giorni|settimane|mesi|weken|dagen|maanden)"
)
_DAY_AND_MONTH = re.compile(
    rf"(?<![\w./-])(\d{{1,2}})([-/.])(\d{{1,2}})(\.?)(?![-/.]?\d|[^\W_])(?!\s?(?:{_COUNTED})(?![^\W_]))",
    re.ASCII | re.IGNORECASE,
)
_START, _END = r"(?<![^\W_])", r"(?![^\W_])"  # no letter or digit beside
_NAME = r"(?-i:[A-ZÀ-ÖØ-Þ][\w'’.-]*)"  # a word with a capital
_NEVER = "(?!)"  # where a language has no such words
Span = tuple[int, int]


def _any(rows: Iterable[str]) -> str:
    """Return an alternative of words in all spellings; a blank stands for blanks, points and hyphens between words."""
    found = [re.escape(row).replace(r"\ ", r"[ .-]{1,3}") for row in spellings(rows)]
    return f"(?:{'|'.join(found)})" if found else _NEVER


_MAC = r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
_GROUPS = r"[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}"
_IPV6 = rf"(?=[a-f:]*[0-9])(?:(?:[0-9a-f]{{1,4}}:){{7}}[0-9a-f]{{1,4}}|{_GROUPS}::(?:{_GROUPS})?)(?:%\w+)?"
_NETWORK = rf"(?<![\w:.-])(?:{_MAC}|{_IPV6})(?![\w:-])"
# Hosts without a scheme: of countries only with a path where their code is a word of imaging too (us, ca, it, at).
_HOST = (
    r"(?<![\w.-])(?:[a-z0-9-]{1,63}\.){1,4}(?:(?:com|org|net|edu|gov|mil|info|de|fr|nl|eu|uk|pl)(?![\w-])(?:/[^\s\\]*)?"
    r"|(?:us|ca|it|at|ch|es|be|se|dk|no|fi|jp|cn|io)/[^\s\\]+)"
)


def _known_forms(languages: Languages) -> Iterator[str]:
    month = _any(languages.months)
    of = rf"(?:[-\s./,']{{0,2}}|\s{_any(languages.date_links)}\s)"
    units = "|".join(re.escape(unit) for unit in spellings(languages.age_units))
    old = _any(languages.age_words)
    short, of_months = _any(languages.short_age_units), _any(languages.age_month_units)
    yield from (
        r"[^\s@,;]{1,64}@[^\s@,;]{1,255}\.[^\s@,;]{1,64}",  # e-mail
        r"[^\s@,;]{1,64}@[^\W\d_][\w.-]{0,63}",  # an account without a domain, as mk@host
        r"\b(?:https?|ftp|file|urn|dicom)://?\S+|\bwww\.\S+",  # URL
        _HOST,
        _NETWORK,
        rf"{_START}{_any(languages.account_labels)}[ :=@]{{1,3}}\S+",
        rf"{_START}{_any(languages.role_labels)}\s?[:=]\s?[^\W\d_]{{1,3}}{_END}",  # MTRA: xy
        rf"{_START}{_any(languages.day_words)}[- ]{_any(languages.ambiguous_months)}{_END}",  # quinze mars
        r"(?<![\w])#[ ]?\d{4,}(?![^\W_])",  # #4711
        r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])",  # IP address
        r"(?<![\w.])[0-2](?:\.\d+){4,}",  # UID
        r"(?<!\d)(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])(?!\d)(?:T(?=\d))?",  # 2020-01-31
        r"(?<!\d)(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:(?:19|20)\d\d|\d\d)(?![\d.])",
        rf"(?<![\w./])(?:{_TWO_DAY}/{_TWO_MONTH}|{_TWO_MONTH}/{_TWO_DAY})(?![\w./])",  # 31/01, 01/31
        r"(?<!\d)(?:0?[1-9]|1[0-2])[-/.](?:19|20)\d\d(?!\d)",  # 01/2020
        r"(?<![\w.,])(?:0[1-9]|[12]\d|3[01])\.(?:0[1-9]|1[0-2])\.(?!\w)",  # 23.09.
        r"(?<![^\W_])(?-i:(?:[A-ZÀ-Þ] ){3,}[A-ZÀ-Þ])(?![^\W_])",  # S M I T H, known or not
        rf"(?<!\w)\d{{1,2}}(?:st|nd|rd|th|\.)?{of}{month}\.?{of}(?:\d{{4}}|\d\d)?(?![^\W_])",
        rf"(?<![^\W_]){month}\.?[-\s./]{{1,2}}\d{{1,2}}(?:st|nd|rd|th)?(?:[-\s./,]{{1,2}}\d{{2,4}})?(?![^\W_])",
        rf"(?<!\w)\d{{1,2}}\.?[-\s./]{{1,2}}{_any(languages.ambiguous_months)}[-\s./]{{1,2}}{_YEAR}{_END}",
        r"(?<![\d:])(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?)?(?![\d:])",  # time of day
        r"\+?\(?\d{2,5}\)?(?:[ ./-]\(?\d{2,6}\)?){2,}(?!\d)",  # telephone, SSN: checked for seven digits
        r"(?<!\d)\d{3}[- ]\d{4}(?!\d)",  # local telephone
        rf"(?<!\w)\d{{1,3}}[- ]?(?:{units or _NEVER})(?:[- ]?{old})?{_END}",  # age
        r"(?<!\w)\d{1,3}[- ]?y[./-]{0,2}o\b|(?<!\w)0\d\dY\b",
        rf"{_START}{_any(languages.age_labels)}[ :=]{{1,3}}(?:10[89]|1[1-5]\d)\d[- ]?{of_months}{_END}",  # aged 1080 months
        rf"{_START}{_any(languages.age_labels)}[ :=]{{1,3}}(?:{_OLD}|\d{{4,5}})(?:[- ]?(?:{units or _NEVER}|{short}\.?))?(?!\.?\d|[^\W_])",
        rf"(?<![\w.,])(?!(?-i:90Y\b))(?:{_OLD}[- ]?{short}|(?:10[89]|1[1-5]\d)\d[- ]?{of_months}){_END}\.?",  # 92 J.; 90Y: tracer
        rf"{_START}{_any(languages.birth_labels)}[ .:=]{{1,3}}(?:(?:18|19|20)?\d\d)(?![./-]?\d|[^\W_])",  # Jahrgang 31
        rf"(?<![^\W_])(?-i:[MFW]){_OLD}(?!\.?\d|[^\W_])",
        # Ages above 89 beside the sex; Tc-99m is no age.
        r"(?<![\w.,-])(?<!TC )(?:9\d|1[01]\d)(?-i:[MF])(?![^\W_]|[ -]?TC\b)",
        rf"{_START}{_any(languages.old_ages)}(?:[- ](?:and[- ])?[^\W\d_]+){{0,2}}?[- ](?:{units or _NEVER})(?:[- ]?{old})?{_END}",
    )


def _labelled(languages: Languages) -> Iterator[str]:
    """Yield what a label makes an identifier: its value has a digit; an everyday word needs a mark behind it."""
    number = _any(languages.number_marks)
    part = r"(?:[^\W_]|[./-])"  # an underscore separates words
    value = rf"{part}{{0,12}}\d{part}{{0,24}}(?:[ -](?=\d|[A-Z]?\d){part}{{1,20}}){{0,4}}"
    mark = rf"(?:[ .]{{0,2}}(?:{number}\.?)?[ .]{{0,2}}[:#=]+[ ]?|[ .]{{1,3}}{number}\.?[ :#=]{{0,3}}|[ ]?#[ ]?)"
    yield rf"{_START}{_any(languages.id_labels)}(?:{mark}|[ .:#=-]{{0,3}}){value}"
    yield rf"{_START}{_any(languages.id_labels_with_mark)}(?:{mark}{value}|[ ]?\d{{4,}}{_END})"
    plate = r"(?=[A-Z -]{0,8}\d)(?-i:[A-Z0-9]{1,4}(?:[ -]{1,3}[A-Z0-9]{1,4}){0,3})"
    yield rf"{_START}{_any(languages.plate_labels)}(?:{mark}|[ .:#=-]{{0,3}}){plate}{_END}"
    digits = r"(?=(?:\D{0,3}\d){4})\+?\(?\d[\d ()/.-]{2,20}\d"
    yield rf"{_START}{_any(languages.phone_labels)}[ .:#=]{{0,3}}(?:{number}\.?)?[ :#]{{0,2}}{digits}"


def _addresses(languages: Languages) -> Iterator[str]:
    """Yield written addresses; group `street` holds the word that must not be one of imaging."""
    house = r"\d{1,5}(?:[ -]?[a-z])?"
    street, short = _any(languages.street_words), "|".join(s.capitalize() for s in languages.short_street_words)
    words = rf"(?:(?:[NSEW]|NE|NW|SE|SW)\.?\s)?(?P<street1>{_NAME}(?:\s{_NAME}){{0,2}}?)\s"
    tail = r"(?:,?\s(?:apt|suite|ste|unit|floor|fl|room|rm|#)\.?\s?#?\w{1,5})?"
    yield rf"(?<![\w.]){house}\s{words.replace('?P<street1>', '?:')}{street}{_END}\.?{tail}"
    yield rf"(?<![\w.]){house}\s{words}(?-i:{short or _NEVER}){_END}\.?{tail}"
    suffix = _any(languages.street_suffixes)
    yield rf"{_START}(?P<street3>{_NAME}?{suffix}\.?|{_NAME}[ -]{suffix}\.?)\s{{0,2}}\d{{1,4}}\s?[a-z]?{_END}"
    prefix = rf"{_START}(?-i:(?i:{_any(languages.street_prefixes)}))(?:\s?(?:d[eiu]|des|del|dell[ao]|l[aeo]s?)\b|\s[ld]['’])*\s?"
    number = r"(?:,?\s{0,2}(?:n[°ºo.]?\s?)?\d{1,4}(?:\s?(?:bis|ter|[a-z]))?)"
    place = rf"(?P<{{}}>{_NAME}(?:[ -]{_NAME}){{{{0,3}}}})"
    yield rf"(?<!\w)\d{{1,4}}(?:\s?(?:bis|ter))?,?\s{prefix}{place.format('street4')}"
    yield rf"{prefix}{place.format('street5')}{number}{_END}"
    yield rf"{prefix}\d{{1,6}}{_END}"  # P.O. Box 12
    state = "|".join(code.upper() for code in languages.states)
    yield rf"(?:{_NAME}(?:\s{_NAME}){{0,2}},\s?)?(?<!\w)(?-i:{state or _NEVER}),?\s\d{{5}}(?:-\d{{4}})?(?!\d)"
    yield rf"(?<![\w.])(?:[A-Z]{{1,2}}-\d{{4,5}}|\d{{5}})\s(?P<street6>{_NAME}(?:-{_NAME})?)"  # ZIP and town
    yield rf"(?<![\w.])\d{{4}}\s?(?-i:[A-Z]{{2}})\s(?P<street7>{_NAME}){_END}"  # 1234 AB Town


def _full_date(languages: Languages) -> str:
    month = _any(languages.months)
    return "|".join(
        (
            rf"{_YEAR}(?P<a>[-/.]){_MONTH_NUMBER}(?P=a){_DAY}",  # 2020-01-31
            rf"{_DAY}(?P<b>[-/.]){_DAY}(?P=b){_YEAR}",  # 31.01.2020, 01/31/2020
            rf"{_YEAR}{_TWO_MONTH}{_TWO_DAY}(?:[-_T ]?(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\.\d+)?)?",  # 20200131 120000
            rf"{_DAY}(?:st|nd|rd|th|\.)?[-\s./]{{0,2}}{month}\.?[-\s./,']{{0,2}}{_YEAR}",  # 31 January 2020
            rf"{month}\.?[-\s./]{{1,2}}{_DAY}(?:st|nd|rd|th)?[-\s./,]{{1,2}}{_YEAR}",
            rf"{_YEAR}[-\s./,]{{1,2}}{month}[-\s./,]{{1,2}}{_DAY}",
        )
    )


def _kept_forms(languages: Languages) -> tuple[str, ...]:
    date = _full_date(languages)
    before = "|".join(f"{re.escape(word)} " for word in spellings(languages.date_words)) or _NEVER
    at = "|".join(f"{re.escape(word)} " for word in spellings(languages.time_words)) or _NEVER
    return (
        r"[^\s@,;\\]{1,64}@[^\s@,;\\]{1,255}\.[^\s@,;\\]{1,64}",  # e-mail
        r"\b(?:https?|ftp|file|urn|dicom)://?[^\s\\]+|\bwww\.[^\s\\]+",  # URL
        _NETWORK,
        rf"(?<![\d:])(?:{_CLOCK}[\s,]{{1,2}}(?:{before})?)?(?<![^\W_])(?<![\d.][.])"
        rf"(?:{date})(?:(?:T|[\s,]{{1,2}}(?:{at})?){_CLOCK})?(?![\d:]|[.-]\d|[^\W\d_])",
        r"(?<![\w.])\d+(?:\.\d+){2,}(?!\.?\w)",  # UID: checked for its length
        r"(?<![\w.])(?:\+\d{1,3}[ ./-]?)?\(?\d{2,5}\)?(?:[ /-]\(?\d{2,6}\)?){2,}(?![\w.])",  # checked for digits
        r"(?<![\w.])\+\d{1,3}[ ./-]?\(?\d{2,5}\)?[ ./-]\d{3,10}(?![\w.])",
        r"(?<![\w.-])\d{3}-\d{4}(?![\w.-])",  # local telephone
    )


class Patterns:
    """Expressions of some languages, each compiled when the first text asks for it, and folded word sets."""

    def __init__(self, languages: Languages) -> None:
        self.languages = languages
        self.street_names = frozenset(languages.street_names)  # words of imaging that streets are called by too

    @cached_property
    def described(self) -> re.Pattern[str]:
        return re.compile("|".join(_known_forms(self.languages)), re.IGNORECASE)

    @cached_property
    def labelled(self) -> re.Pattern[str]:
        return re.compile("|".join(_labelled(self.languages)), re.IGNORECASE)

    @cached_property
    def addresses(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in _addresses(self.languages))

    @cached_property
    def kept(self) -> re.Pattern[str]:
        return re.compile("|".join(_kept_forms(self.languages)), re.IGNORECASE)

    @cached_property
    def kept_date(self) -> re.Pattern[str]:
        return re.compile(rf"(?:{_full_date(self.languages)})", re.IGNORECASE)

    def in_description(self, text: str, is_imaging: Callable[[str], bool]) -> Iterator[Span]:
        """Yield what a description loses; `is_imaging` tells whether a word of an address is one of imaging."""
        for match in self.described.finditer(text):
            if _is_identifying(match[0]):
                yield match.span()
        if not any(map(str.isdigit, text)):
            return
        for match in self.labelled.finditer(text):
            yield match.span()
        for pattern in self.addresses:
            for match in pattern.finditer(text):
                street = next((value for value in match.groupdict().values() if value), "")
                if not street or street.lower() in self.street_names or not is_imaging(street):
                    yield match.span()

    @cached_property
    def _before_day(self) -> re.Pattern[str]:
        birth, on = _any(self.languages.birth_labels), _any(self.languages.date_words)
        ends = rf"(?P<birth>{birth}[ .:=]{{1,3}}(?:{on}\s{{1,2}})?)|{on}\s{{1,2}}"
        return re.compile(rf"{_START}(?:{ends})$", re.IGNORECASE)

    def days_without_year(self, text: str, known: frozenset[str]) -> Iterator[Span]:
        """Yield where a day and month stand without a year; `known` are those (MMDD) of the patient's dates.

        Two numbers are a date by what stands beside them, as they may be a range, a fraction or a decimal. Behind a word of
        birth any of them is; one that is known, with a zero in front, a number above 12 or a point behind, or behind a word
        such as "on"; one that is not known behind such a word only, with a zero in front (on 12-04) or a point behind (am
        3.5.). Before a unit none is. What stays in doubt: a known 3/5 or 3-5 without any such sign is kept, as grades and
        fractions are written so.
        """
        for match in _DAY_AND_MONTH.finditer(text):
            one, mark, other, point = match.groups()
            if not _is_day(one, other):
                continue
            before = self._before_day.search(text[: match.start()])
            days = {f"{int(one):02d}{int(other):02d}", f"{int(other):02d}{int(one):02d}"}
            own, signed = not days.isdisjoint(known), one[0] == "0" or other[0] == "0"
            if before is not None and before["birth"]:
                found = True
            elif mark == ".":
                found = own or before is not None if point else own and before is not None
            else:
                signed = signed or (own and max(int(one), int(other)) > 12)
                found = sum((own, signed, before is not None)) >= 2
            if found:
                yield (before.start() if before is not None else match.start()), match.end()

    def in_kept_text(self, text: str) -> Iterator[Span]:
        """Yield what a kept text loses: it holds names of devices, versions and codes too, so only the unmistakable."""
        for match in self.kept.finditer(text):
            if self._identifies(match[0]):
                yield match.span()

    def _identifies(self, found: str) -> bool:
        """Tell whether a match is an identifier: dotted numbers as a UID is, telephone-like groups by their length."""
        if self.kept_date.fullmatch(found):
            return True
        if re.fullmatch(r"[0-9]+(?:\.[0-9]+)+", found):
            return found.count(".") >= 4 or len(found) >= MIN_UID_LENGTH
        if re.fullmatch(r"[\d+() ./-]+", found):
            return 7 <= sum(char.isdigit() for char in found) <= 15
        return True


def _is_day(one: str, other: str) -> bool:
    low, high = sorted((int(one), int(other)))
    return 1 <= low <= 12 and high <= 31


def _is_identifying(found: str) -> bool:
    """Tell whether a match is what its pattern is meant for: telephone-like groups need seven digits."""
    digits = sum(char.isdigit() for char in found)
    if re.fullmatch(r"[\d+() ./-]+", found) and len(re.findall(r"\d+", found)) >= 3:
        written_date_or_address = re.fullmatch(r"\d{1,4}([-/. ])\d{1,2}\1\d{1,4}|\d+(?:\.\d+){3,}", found)
        return digits >= 7 or written_date_or_address is not None
    return True


@lru_cache(maxsize=8)
def compile_patterns(languages: Languages) -> Patterns:
    """Return the expressions of these languages, the same for all that ask."""
    return Patterns(languages)
