"""How dates, ages, numbers that identify, addresses and computers are written: forms of the rows of some languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from phi_deid_pipeline.languages import Languages, spellings
from phi_deid_pipeline.text_forms import Form
from phi_deid_pipeline.text_forms import any_of as _any

_TWO_DAY, _TWO_MONTH = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])"
DAY, MONTH_NUMBER, YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?|Z\b|[+-]\d\d:?\d\d\b)?"
_OLD = r"(?:9\d|1[0-3]\d)"  # an age above 89
# Day and month; not before a unit or what is counted: 3-5 mm, 10-12 slices.
COUNTED = (
    r"[%°x]|[µunmck]?m|[md]?l|cc|[mkµu]?g|[cm]?gy|m?sv|[mk]?t|m?s|secs?|min|h|hrs?|[kmg]?hz|kvp?|mas?|[mk]ev|[mkg]?bq|mci|deg|rpm"
    r"|bpm|fps|px|dpi|[^\W\d_]*(?:slices?|images?|frames?|phases?|views?|pixels?|weeks?|days?|months?|years?|hours?|minutes?|seconds?"
    r"|schichten|bilder|wochen?|tag(?:e[ns]?)?|monat(?:e[ns]?)?|jahr(?:e[ns]?)?|stunden?|minuten?|sekunden?|coupes|jours?|ans?"
    r"|ann[ée]es?|heures?|semaines?|mois|cortes|semanas?|d[ií]as?|a[ñn]os?|horas?|mes|meses|giorn[io]|settiman[ae]|mesi|mese"
    r"|ann[io]|or[ae]|weken|week|dag|dagen|maand|maanden|jaar|uur|day|month|year|hour)"
)
_CONTROL = r"[\x00-\x08\x0e-\x1f\x7f-\x9f]+"
_WEEK = "(?:0?[1-9]|[1-4][0-9]|5[0-3])"
_ROMAN = "(?-i:I{1,3}|I?V|VI{1,3}|I?X|XI{1,2})"  # a month
START, END = r"(?<![^\W_])", r"(?![^\W_])"  # no letter or digit beside
_NAME = r"(?-i:[A-ZÀ-ÖØ-Þ][\w'’.-]*)"  # a word with a capital
_NEVER = "(?!)"  # where a language has no such words
_APART = r"(?:^|(?<=[,;(])|(?<=[,;(] ))"  # where a value or a part of it begins
_PART_END = r"(?=\s*(?:$|[,;)]))"
# Areas of British postcodes that name series, views and sides too, and what is no second half: 1ST, 3DT, 2AP.
_IMAGING_AREAS = frozenset({"cr", "ct", "ll", "pa", "se", "sl", "sp", "ss", "st", "tr"})
_IMAGING_STATES = frozenset({"CT", "LA", "PA"})  # without a town these are a modality and views
_NO_SMALL_INWARD = r"(?!1st|2nd|3rd|\dth|[2-4]d|\d(?:ap|ax|pa|se|te|tr|ft|fx|gy|hr|hu|hz|ns|px|ul|us|wk|yr))"
_NO_INWARD = r"(?!1ST|2ND|3RD|\dTH|[2-4]D|\d(?:AP|AX|PA|SE|TE|TR))"
# Two capitals behind four digits that are no end of a Dutch postcode: units, parameters, modalities, views, short words.
_NO_DUTCH_END = (
    "A[MNPTX]|B[HQWY]|C[CDEMRTV]|D[AEIWX]|E[LNPSTV]|F[ABFHLST]|G[BERSYZ]|H[BEFRUZ]|I[EFLMNRSUV]|K[BGMVW]|L[ABEILRTV]|M[ABGLMRSTUVW]"
    "|N[AMOS]|O[FNPRT]|P[ACDEHLOTX]|R[AEFLRTV]|S[ADEILRST]|T[BEIOR]|U[LNS]|V[S]|W[LW]|X[A]|Z[U]"
)
# Units of ages in languages whose words are not asked for: Nordic, Russian, Chinese, Japanese, Korean, Thai.
_AGE_UNITS_ELSEWHERE = r"(?:år|årig\w{0,2}|лет|года?)(?![^\W_])|[歳才岁歲세살]|ปี"
# A telephone number with the code of its country: 0049 171 1234567, +31 (0)6 12345678.
_IN_GROUPS = r"(?:[ ./-]{1,2}\d{1,9}){0,6}"
_ABROAD = rf"(?=(?:[ ()./-]{{0,3}}\d){{7}})00[1-9]\d{{0,2}}(?:[ ./-]{{0,2}}\(0\)[ ./-]{{0,2}}|[ ./-]{{1,2}})\d{{1,9}}{_IN_GROUPS}"
_ABROAD_PLUS = (
    rf"(?=\+(?:[ ()./-]{{0,3}}\d){{9}})\+[1-9]\d{{0,2}}[ ./-]{{0,2}}(?:\(0\)[ ./-]{{0,2}})?\d{{1,9}}{_IN_GROUPS}"
)


_NUMERIC = (
    r"(?<!\d)(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])(?!\d)(?:T(?=\d))?",  # 2020-01-31
    r"(?<!\d)(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.]['’`´]?(?:(?:19|20)\d\d|\d\d)(?![\d.])",
    rf"(?<![\w./])(?:{_TWO_DAY}/{_TWO_MONTH}|{_TWO_MONTH}/{_TWO_DAY})(?![\w./])",  # 31/01, 01/31
    r"(?<!\d)(?:0?[1-9]|1[0-2])[-/.](?:19|20)\d\d(?!\d)",  # 01/2020
    r"(?<![\w.,])(?:0[1-9]|[12]\d|3[01])\.(?:0[1-9]|1[0-2])\.(?!\w)",  # 23.09.
    rf"(?<![\d,.]){DAY},{DAY},{YEAR}(?!,?\d)",  # 31,01,2020
    rf"(?<!\d)(?<!\d_)(?:{_TWO_DAY}_{_TWO_MONTH}|{_TWO_MONTH}_{_TWO_DAY})_(?:{YEAR}|\d\d)(?!_?\d|[^\W_])",  # 31_01_20
    rf"(?<!\d)(?<!\d_){YEAR}_{_TWO_MONTH}_{_TWO_DAY}(?!_?\d|[^\W_])",  # 2020_01_31
    rf"{START}(?-i:[MTSHR])\d{{1,2}}(?P<era>[./-]){MONTH_NUMBER}(?P=era){DAY}(?![^\W_]|[./-]\d)",  # S26.4.3
)
_MAC = r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}"
_GROUPS = r"[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){0,6}"
_IPV6 = rf"(?=[a-f:]*[0-9])(?:(?:[0-9a-f]{{1,4}}:){{7}}[0-9a-f]{{1,4}}|{_GROUPS}::(?:{_GROUPS})?)(?:%\w+)?"
_NETWORK = rf"(?<![\w:.-])(?:{_MAC}|{_IPV6})(?![\w:-])"
# Hosts without a scheme: of countries only with a path where their code is a word of imaging too (us, ca, it, at).
_HOST = (
    r"(?<![\w.-])(?:[a-z0-9-]{1,63}\.){1,4}(?:(?:com|org|net|edu|gov|mil|info|de|fr|nl|eu|uk|pl)(?![\w-])(?:/[^\s\\]*)?"
    r"|(?:us|ca|it|at|ch|es|be|se|dk|no|fi|jp|cn|io)/[^\s\\]+)"
)
# Hosts of a network inside; in sentences local and internal follow a point too (derotation.Internal fixation).
_INSIDE_HOST = (
    r"(?<![\w.-])(?-i:(?:[a-z0-9-]{1,63}\.){1,4}(?:lan|corp|intranet)"
    r"|(?:(?:[a-z0-9-]{1,63}\.){2,4}|[a-z]{2}(?=[a-z-]{0,60}\d)[a-z0-9-]{1,60}\.)(?:local|internal))(?![\w-]|\.\w)"
)
_KEPT_HOST = r"(?<![\w.-])(?-i:(?:(?=[a-z0-9-]{0,62}[a-z])[a-z0-9-]{1,63}\.){2,4}(?:com|org|net|edu|gov|de|fr|nl|eu|uk|pl))(?![\w-]|\.\w)"
_IP = r"\d{1,3}(?:\.\d{1,3}){3}"
INSIDE_IP = r"(?:192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}"  # of other networks a version may be written so
_HOME = r"(?<!\w)(?:/(?:home|users)|[a-z]:[\\/](?:users|documents and settings))[\\/][^\s\\/,;]+"
_USER = r"(?<![^\W_])(?:user|username|login|logname)\s?=\s?[^\s\\,;]+"


# Numbers of states that are written like nothing else.
NATIONAL = "|".join(
    (
        r"756\.\d{4}\.\d{4}\.\d\d",  # Switzerland
        r"\d{3}\.\d{3}\.\d{3}-\d\d",  # Brazil
        r"\d{1,2}\.\d{3}\.\d{3}-(?-i:[0-9A-Z])",  # Chile, Spain
        rf"(?:\d\d{_TWO_MONTH}{_TWO_DAY}|{_TWO_DAY}{_TWO_MONTH}\d\d)[-+]\d(?:\d{{3}}|\d{{6}})",  # Scandinavia, Korea
        r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d",  # Belgium
        rf"[12] ?\d\d ?{_TWO_MONTH} ?\d[0-9AB] ?\d{{3}} ?\d{{3}} ?\d\d",  # France
        r"(?-i:[A-Z]{6}\d\d[A-EHLMPR-T]\d\d[A-Z]\d{3}[A-Z])",  # Italy
        r"(?-i:[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D])",  # United Kingdom
        r"\d{11}",  # Brazil, Germany, Norway, Poland, Turkey
    )
)
SPANISH = r"(?:\d{8}|[XYZ]\d{7})[- ]?[A-Z]"
# Written like postcodes: stages of tumours, levels, branches of vessels, views, pregnancies and births.
_NO_POSTCODE = r"(?!T\dN\dM\d|A\dP\dM\d|G\dP\dA\d|(?:[CTLS]\d){2,3}(?![^\W_])|(?P<same>[A-Z])\d(?P=same)\d(?P=same)\d)"
_CANADIAN = rf"(?-i:{_NO_POSTCODE}[ABCEGHJ-NPRSTVXY]\d[A-CEGHJ-NPR-TV-Z][ -]?(?![1-4]D)\d[A-CEGHJ-NPR-TV-Z]\d)"
_IRISH_AREA = r"(?:C15|T(?:12|23|34|45|56)|[ADEFHKNPRVWXY]\d[\dW])"  # of an Eircode, which names one household
_IRISH_END = r"(?![2-4]D|(?:[CT]\d){2})(?=[A-Z]{0,3}\d)(?=\d{0,3}[A-Z])[\dAC-FHKNPRTV-Y]{4}"
_IRISH = rf"(?-i:{_IRISH_AREA}\s?{_IRISH_END})"
_HAN = r"(?:\d{1,3}|[〇零一二三四五六七八九十百元]{1,5})"  # a number of up to three digits
_ERA_NAME = rf"(?:明治|大正|昭和|平成|令和|[㍾㍽㍼㍻㋿]|中[華华]民[國国]|民[國国])\s?{_HAN}\s?年(?:\s?{_HAN}\s?月(?:\s?{_HAN}\s?日)?)?"
_EAST_ASIAN = rf"(?:\d{{4}}|[〇零一二三四五六七八九]{{4}})\s?[年년]\s?{_HAN}\s?[月월]\s?{_HAN}\s?[日일]"
_OTHER_ERAS = r"(?:พ\.ศ\.|ค\.ศ\.|佛[曆历]|檀紀|단기)\s?\d{4}"


def _national() -> Iterator[Form]:
    """Yield numbers of states, postcodes of Canada and Ireland and dates of East Asia, Japanese and Chinese eras too."""
    yield Form(rf"(?<![\w.+-])(?:{NATIONAL})(?![\w-]|\.\d)", digits=6)
    yield Form(rf"(?<![\w.-])(?-i:{SPANISH})(?![\w-])", digits=7)
    yield Form(rf"{START}{_CANADIAN}{END}", digits=3)
    yield Form(rf"{START}{_IRISH}{END}", digits=2)
    yield Form(rf"{_ERA_NAME}|{_EAST_ASIAN}")
    yield Form(_OTHER_ERAS, digits=4)


def _births(languages: Languages) -> Iterator[Form]:
    """Yield days of birth in numbers, with blanks or marks between them: DOB 4 3 51, né(e) le 4/3/51, * 4 3 1951."""
    labels, on = languages.birth_labels + languages.birth_date_labels, _any(languages.date_words)
    day = rf"(?:{DAY}[ ./-]{{1,2}}{DAY}[ ./-]{{1,2}}(?:{YEAR}|\d\d)|{YEAR}[ ./-]{MONTH_NUMBER}[ ./-]{DAY})(?![.,]?\d|[^\W_])"
    label = rf"{START}{_any(labels)}(?:\([a-z]{{1,2}}\))?[ .:=]{{0,3}}(?:{on}\s{{1,2}})?"
    yield Form(rf"{label}{day}", digits=4)
    yield Form(rf"(?<![\w*])\*\s?{day}", digits=4)


def described_forms(languages: Languages) -> Iterator[Form]:
    """Yield what a description loses wherever it stands."""
    yield from _national()
    yield from _births(languages)
    month = _any(languages.months)
    of = rf"(?:[-\s./,']{{0,2}}|\s{_any(languages.date_links)}\s)"
    yield Form(r"[^\s@,;]{1,64}@[^\s@,;]{1,255}\.[^\s@,;]{1,64}")  # e-mail
    yield Form(r"[^\s@,;]{1,64}@[^\W\d_][\w.-]{0,63}")  # an account without a domain, as mk@host
    yield Form(r"\b(?:https?|ftp|file|urn|dicom)://?\S+|\bwww\.\S+")  # URL
    yield Form(_HOST)
    yield Form(_INSIDE_HOST)
    yield Form(_NETWORK)
    yield Form(rf"{START}(?<!bucket[ -]){_any(languages.account_labels)}[ :=@]{{1,3}}\S+")
    # MTRA: xy
    yield Form(
        rf"{START}{_any(languages.role_labels)}\s?[:=]\s?(?P<initials>[^\W\d_]{{1,3}}){END}",
    )
    # quinze mars
    day = rf"{START}{_any(languages.day_words)}[- ]{_any(languages.ambiguous_months)}{END}"
    yield Form(day)
    yield Form(r"(?<![\w])[a-z]?#[ ]?\d{4,}(?![^\W_])", digits=1)  # #4711, A#4711
    yield Form(rf"{START}(?-i:[A-Z]{{2}}-\d{{3}}-[A-Z]{{2}}){END}", digits=3)  # a French or Italian plate
    beneficiary = r"(?-i:[1-9][A-Z][0-9A-Z][0-9]-?[A-Z][0-9A-Z][0-9]-?[A-Z]{2}[0-9]{2})"  # of Medicare
    yield Form(rf"{START}{beneficiary}{END}", digits=5)
    yield Form(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])", digits=4)  # IP address
    yield Form(r"(?<![\w.])[0-2](?:\.\d+){4,}", digits=5)  # UID
    roman = rf"(?<!\w){DAY}(?P<mark>[-./ ]?){_ROMAN}(?P=mark){YEAR}{END}|(?<![\w./-]){DAY}(?P<short>[./-]){_ROMAN}(?P=short)\d\d"
    yield Form(rf"(?:{roman})(?![./-]?\w)", digits=3)  # 24.XII.2019
    for pattern in _NUMERIC:
        yield Form(pattern, digits=3)
    letter = r"[^\W\d_]"
    yield Form(rf"{START}(?P<spelled>{letter}(?P<apart>[ .·-])(?:{letter}(?P=apart)){{2,}}{letter}){END}")  # S m i t h
    yield Form(rf"{START}{letter}(?:{_CONTROL}{letter}){{2,}}{END}")  # of two bytes each, read as of one
    yield Form(
        rf"(?<!\w)\d{{1,2}}(?:st|nd|rd|th|\.)?{of}{month}\.?{of}(?:\d{{4}}|\d\d)?(?![^\W_])",
        digits=1,
    )
    yield Form(
        rf"(?<![^\W_]){month}\.?[-\s./]{{1,2}}\d{{1,2}}(?:st|nd|rd|th)?(?:[-\s./,]{{1,2}}\d{{2,4}})?(?![^\W_])",
        digits=1,
    )
    ambiguous = languages.ambiguous_months
    yield Form(
        rf"(?<!\w)\d{{1,2}}(?:er|\.)?[-\s./]{{1,2}}{_any(ambiguous)}[-\s./]{{1,2}}{YEAR}{END}",
        digits=1,
    )
    yield from _weeks(languages)
    clock = r"(?<![\d:])(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?)?(?![\d:])"  # time of day
    yield Form(clock, digits=1)
    # Telephone, SSN: checked for seven digits.
    yield Form(r"\+?\(?\d{2,5}\)?(?:[ ./-]\(?\d{2,6}\)?){2,}(?!\d)", digits=6)
    yield Form(r"(?<!\d)\d{3}[- ]\d{4}(?!\d)", digits=7)  # local telephone
    yield Form(rf"(?<![\w.,/-])(?:{_ABROAD}|{_ABROAD_PLUS})(?![^\W_])", digits=7)
    yield from _extensions(languages)
    yield from age_forms(languages)


def _weeks(languages: Languages) -> Iterator[Form]:
    """Yield weeks of a year."""
    weeks = languages.week_labels
    yield Form(rf"(?<![\w.-]){YEAR}-?W(?:0[1-9]|[1-4]\d|5[0-3])(?:-?[1-7])?{END}", digits=6)  # 2020-W03
    yield Form(rf"{START}(?-i:W){_WEEK}[-/]{YEAR}(?!\d)", digits=5)
    link = rf"(?:\s?[-/.,]\s?|\s(?:{_any(languages.date_links)}\s)?)"
    yield Form(rf"{START}{_any(weeks)}[ .:]{{0,2}}{_WEEK}{link}{YEAR}(?!\d)", digits=5)
    alone = rf"{START}(?<!\d )(?-i:KW)[ .]{{0,2}}{_WEEK}(?:/\d\d)?(?![.,]?\d|[^\W_])"  # Kalenderwoche
    yield Form(alone, digits=1)


def _extensions(languages: Languages) -> Iterator[Form]:
    """Yield extensions of telephones."""
    extension = rf"{_any(languages.extension_marks)}\.?\s?\d{{1,6}}{END}"
    yield Form(rf"(?<=\d{{3}}[-. ]\d{{4}})[ ,;]{{1,2}}{extension}", digits=8)
    # x4711; not a size (512 x4096) nor round
    size = r"(?:\d+00|1024|1536|2048|3072|4096)\b"
    yield Form(rf"{START}(?<![\d.,] )(?-i:x)(?!{size})\d{{4,5}}(?![^\W_]|[.,]\d)", digits=4)
    # Durchwahl; a round number is a series of diffusion, and 120 where a value begins with it or behind its kind
    weighted = rf"(?:(?<=^DW )|(?<=MR DW )|(?<=MRT DW )|(?<=MRI DW )|(?<=\d DW ))\d\d0{END}"
    direct = rf"(?:\s-\d{{2,5}}|[ .:]{{1,3}}(?!\d*[05]0{END})(?!{weighted})\d{{3,5}}(?![.,/-]?\d))"
    yield Form(rf"{START}(?-i:DW){direct}{END}", digits=2)
    inside, short = languages.extension_labels, languages.short_phone_labels
    yield Form(rf"{START}{_any(inside)}[ .:=#]{{0,3}}-?\d{{1,6}}{END}", digits=1)
    number = rf"(?:{_any(languages.number_marks)}[ .:]{{0,2}})?\d{{3,6}}(?![.,/-]?\d|[^\W_]|\s?(?:{COUNTED})(?![^\W_]))"
    yield Form(rf"{START}{_any(short)}[ .:=#]{{1,3}}{number}", digits=3)  # bip 123; not ring 120 mm


def age_forms(languages: Languages) -> Iterator[Form]:
    """Yield ages with a unit, and those above 89 in other forms."""
    units = "|".join(re.escape(unit) for unit in spellings(languages.age_units))
    old = _any(languages.age_words)
    short, of_months = _any(languages.short_age_units), _any(languages.age_month_units)
    age = rf"(?<!\w)\d{{1,3}}[+]?[- ]?(?:{units or _NEVER})(?:[- ]?{old})?{END}"
    yield Form(age, digits=1)
    yield from _old_persons(languages)
    yield Form(r"(?<!\w)\d{1,3}[- ]?y[./-]{0,2}o\b|(?<!\w)0\d\dY\b", digits=1)
    labels, births, words = languages.age_labels, languages.birth_labels, languages.old_ages
    aged = rf"{START}{_any(labels)}[ :=>]{{1,3}}"
    yield Form(rf"{START}{_any(labels)}_?(?:0\d\d|{_OLD})y?{END}", digits=2)  # AGE093Y
    yield Form(rf"(?<![\w.,]){_OLD}\.\s?(?:{units or _NEVER}){END}\.?", digits=2)  # 93. Lebensjahr
    yield Form(rf"{aged}(?:10[89]|1[1-5]\d)\d[- ]?{of_months}{END}", digits=1)  # aged 1080 months
    yield Form(
        rf"{aged}(?:{_OLD}|\d{{4,5}})(?:[- ]?(?:{units or _NEVER}|{short}\.?))?(?!\.?\d|[^\W_])",
        digits=1,
    )
    yield Form(  # 92 J.; 90Y: tracer
        rf"(?<![\w.,])(?!(?-i:90Y\b))(?:{_OLD}[- ]?{short}|(?:10[89]|1[1-5]\d)\d[- ]?{of_months}){END}\.?",
        digits=2,
    )
    yield Form(  # Jahrgang 31
        rf"{START}{_any(births)}[ .:=]{{1,3}}(?:(?:18|19|20)?\d\d)(?![./-]?\d|[^\W_])", digits=1
    )
    yield Form(rf"(?<![^\W_])(?-i:[MFW])(?:\s?/\s?)?{_OLD}y?(?!\.?\d|[^\W_])", digits=2)
    yield Form(
        rf"(?<![\w.,/-]){_OLD}(?:st|nd|rd|th|[.eº°])\s?{_any(births)}{END}",
        digits=2,
    )  # 97th birthday
    yield Form(rf"(?<![\w.,/-]){_OLD}\s?/\s?(?-i:[MFW])(?![^\W_]|/)", digits=2)  # 92/M
    counted = rf"(?!\s?(?:{COUNTED})(?![^\W_]))"
    yield Form(rf"{_APART}(?-i:[MF])\s{_OLD}(?!\.?\d|[^\W_]){counted}", digits=2)  # F 95
    yield Form(rf"{_APART}(?:9\d|10[1-9]|11\d)\s(?-i:[MF]){END}", digits=2)  # 100 F is a size or a temperature
    yield Form(rf"(?<![\w.,/-]){_OLD}(?-i:a(?![^\W_]|\.\w)|\sa{_PART_END})", digits=2)  # 95a, anni
    # Ages above 89 beside the sex; Tc-99m is no age.
    yield Form(r"(?<![\w.,-])(?<!TC )(?:9\d|1[01]\d)(?-i:[MF])(?![^\W_]|[ -]?TC\b)", digits=2)
    yield Form(
        rf"{START}{_any(words)}(?:[- ](?:and[- ])?[^\W\d_]+){{0,2}}?[- ](?:{units or _NEVER})(?:[- ]?{old})?{END}",
    )


def _old_persons(languages: Languages) -> Iterator[Form]:
    """Yield ages above 89 that a person, a sex or a word such as "over" shows: Patient 94 a, 94, female, 90+, in her 90s."""
    persons, over, words = _any(languages.person_words), _any(languages.over_words), _any(languages.old_ages)
    units = "|".join(re.escape(unit) for unit in spellings(languages.age_units)) or _NEVER
    old = r"(?:9\d|1[01]\d)"
    above = rf"(?:{START}{over}|[>≥]=?)\s?(?:89|{old})[+]?"
    counted = rf"(?!\s?(?:{COUNTED}|hu|grad|degrees?)(?![^\W_])|\s?%|[.,/-]?\d|[^\W_])"
    age = rf"(?:{above}|{old}[+]?(?:\sa(?![^\W_]))?){counted}(?:\s?(?:{units}){END})?"
    yield Form(
        rf"{START}{persons}[ ,:(]{{1,3}}(?P<only1>{age})",
        digits=2,
    )
    behind = rf"(?<![\w.,/-])(?P<only2>{age})[ ,)]{{1,2}}{persons}{END}"
    yield Form(behind, digits=2)
    yield Form(rf"{_APART}{above}(?:{_PART_END}|\s?(?:{units}){END})", digits=2)
    yield Form(rf"(?<![\w.,/-]){above}\s?(?:{units}){END}", digits=2)
    yield Form(
        rf"{_APART}{old}[+]{_PART_END}|(?<![\w.,/-]){old}[+]\s?(?:{units}){END}",
        digits=2,
    )
    yield from _persons_linked(
        languages, rf"{age}(?!\s?(?:[mk]?w|percent|mmhg)\b)", rf"{words}(?:[- ]{_any(languages.number_words)})?"
    )
    yield Form(rf"{_APART}{old}\sa\.(?=\s)", digits=2)  # 93 a. con caída
    yield Form(rf"{_APART}{old}\sa(?=\s[^\W\d_])", digits=2)  # 94 a, mit Sturz; not HR 94 a riposo
    yield Form(rf"{START}{over}\s{words}{END}")
    decades = languages.decade_words
    yield Form(rf"{START}(?:{_any(decades)}[ -]{{1,2}}){{1,3}}(?:9\d['’]?s|{words}){END}")
    sexes = rf"{_APART}(?-i:[MFWmfw]),\s?{old}{_PART_END}|{_APART}{old}\s(?-i:w){_PART_END}"
    yield Form(sexes, digits=2)
    yield from _ages_beside_signs(units, counted)
    yield Form(rf"(?<![\w.,/-]){old}[- ]?(?:{_AGE_UNITS_ELSEWHERE})", digits=2)


def _ages_beside_signs(units: str, counted: str) -> Iterator[Form]:
    """Yield ages above 89 beside a sign or letter of the sex or of years, and with a half: ♀ 93, w/93, m, 93, aa 93, 93.5 yo."""
    old = r"(?:9\d|1[01]\d)"
    yield Form(rf"[♀♂]\s?(?:d[ei]\s)?{old}(?!\d)(?:\s?(?:{units}|a){END})?|(?<![\w.,/-]){old}\s?[♀♂]", digits=2)
    yield Form(
        rf"{_APART}(?-i:[mwfh])(?:,?\s|\s?/\s?){old}{counted}",
        digits=2,
    )
    yield Form(rf"{_APART}(?-i:H)\s{old}{counted}", digits=2)
    yield Form(rf"(?<![\w.,/-]){old}\s?/\s?(?-i:[mwfh])(?![^\W_]|/)", digits=2)
    yield Form(rf"{START}(?-i:aa)\.?\s{old}{counted}", digits=2)
    half = r"(?:[.,]\d|\s?½|\s1/2)"
    yield Form(rf"(?<![\w.,/-]){old}{half}[- ]?(?:{units}|y[./-]{{0,2}}o){END}", digits=2)


def _persons_linked(languages: Languages, age: str, in_words: str) -> Iterator[Form]:
    """Yield ages above 89 behind a link or title (she is 94, man of 97, dhr 95), and in words (aged ninety-two)."""
    link, titles = _any(languages.person_links), languages.person_titles
    persons = (*languages.person_words, *languages.pronouns, *titles)
    linked = rf"{START}{_any(persons)}(?:['’]s|\.?\s{link})\s"
    yield Form(rf"{linked}(?P<only3>{age})", digits=2)
    yield Form(rf"{START}{_any(titles)}[ .,:]{{1,2}}(?P<only4>{age})", digits=2)
    verbs = languages.birthday_verbs
    yield Form(rf"{START}{_any(verbs)}\s(?!90)(?P<only5>{age})", digits=2)
    yield Form(rf"{START}{_any(languages.age_labels)}\s(?P<only6>{in_words}){END}")
    yield Form(rf"{linked}(?P<only7>{in_words}){END}(?! ?%)")
    yield Form(rf"{START}{in_words}[- ]y[./-]{{0,2}}o\b")


def labelled_forms(languages: Languages) -> Iterator[Form]:
    """Yield what a label makes an identifier: its value has a digit; an everyday word needs a mark behind it."""
    number = _any(languages.number_marks)
    part = r"(?:[^\W_]|[./-])"  # an underscore separates words
    value = rf"{part}{{0,12}}\d{part}{{0,24}}(?:[ -](?=\d|[A-Z]?\d){part}{{1,20}}){{0,4}}"
    mark = rf"(?:[ .]{{0,2}}(?:{number}\.?)?[ .]{{0,2}}[:#=]+[ ]?|[ .]{{1,3}}{number}\.?[ :#=]{{0,3}}|[ ]?#[ ]?)"
    labels, marked = languages.id_labels, languages.id_labels_with_mark
    yield Form(rf"{START}{_any(labels)}(?:{mark}|[ .:#=-]{{0,3}}){value}", digits=1)
    numbers = r"(?:\d{4,}(?:[/-]\d{1,6}(?!\d))?|\d\d[/-]\d{4,6})"  # 4711, 4711/23, 23-4711
    yield Form(rf"{START}{_any(marked)}(?:{mark}{value}|[ ]?{numbers}{END})", digits=1)
    plate = r"(?=[A-Z -]{0,8}\d)(?-i:[A-Z0-9]{1,4}(?:[ -]{1,3}[A-Z0-9]{1,4}){0,3})"
    plates, phones = languages.plate_labels, languages.phone_labels
    yield Form(rf"{START}{_any(plates)}(?:{mark}|[ .:#=-]{{0,3}}){plate}{END}", digits=1)
    yield Form(rf"{START}{number}[.:]?\s?(?!\d+00{END})\d{{4,}}(?![.,]?\d|[^\W_])", digits=4)  # No 4711
    yield Form(rf"{START}(?-i:[EHZ])[ -]?\d{{3,6}}/\d\d{END}", digits=5)  # of pathology: E 4711/23
    pathology = r"(?:(?:[SHPEZ]|SP)\d\d-(?!\d*00(?!\d))\d{4,6}|[SHEZ]/\d\d/\d{3,6})"  # S23-4471, H/23/4471
    yield Form(rf"{START}(?-i:{pathology})(?![^\W_]|[/-]\d)", digits=5)
    room = rf"{START}(?-i:ch|st)\.\s?\d{{3}}(?![.,/-]?\d|[^\W_])(?!\s?(?:{COUNTED})(?![^\W_]))"
    yield Form(room, digits=3)  # chambre, stanza, Station; catheters and stages have no three digits
    wards = languages.ward_labels
    code = r"(?:\d{1,3}[a-z]?|[A-Z]-?\d{1,3})"
    yield Form(rf"{START}{_any(wards)}\.?\s{code}{END}", digits=1)  # Ward 7, Room B-214
    # Station 3B; not a vertebra, 3D, 3T or the 4R of lymph nodes.
    lettered, code = languages.ward_labels_with_letter, r"(?:\d{1,2}[abcefijnopquvwz]|(?-i:[ABD-KM-RU-Z])\d{1,2})"
    no_node = r"(?<!node )(?<!nodal )(?<!nodes )(?<!lymph )(?<!LN )"
    yield Form(rf"{START}{no_node}{_any(lettered)}\.?\s{code}{END}", digits=1)
    digits = r"(?=(?:\D{0,3}\d){4})\+?\(?\d[\d ()/.-]{2,20}\d"
    extension = (
        rf"(?:[ ,;-]{{0,3}}{_any(languages.extension_marks + languages.extension_labels)}[ .:]{{0,2}}-?\d{{1,6}}{END})?"
    )
    phone = rf"{START}{_any(phones)}[ .:#=]{{0,3}}(?:{number}\.?)?[ :#]{{0,2}}(?:x(?=\d))?{digits}{extension}"
    yield Form(phone, digits=1)


def address_forms(languages: Languages) -> Iterator[Form]:
    """Yield written addresses; group `street` holds the word that must not be one of imaging."""
    house = r"\d{1,5}(?:[ -]?[a-z])?"
    street, short = _any(languages.street_words), "|".join(s.capitalize() for s in languages.short_street_words)
    words = rf"(?:(?:[NSEW]|NE|NW|SE|SW)\.?\s)?(?P<street1>{_NAME}(?:\s{_NAME}){{0,2}}?)\s"
    tail = r"(?:,?\s(?:apt|suite|ste|unit|floor|fl|room|rm|#)\.?\s?#?\w{1,5})?"
    yield Form(rf"(?<![\w.]){house}\s{words.replace('?P<street1>', '?:')}{street}{END}\.?{tail}", digits=1)
    yield Form(rf"(?<![\w.]){house}\s{words}(?-i:{short or _NEVER}){END}\.?{tail}", digits=1)
    suffix = _any(languages.street_suffixes)
    street3 = rf"{START}(?P<street3>{_NAME}?{suffix}\.?|{_NAME}[ -]{suffix}\.?)\s{{0,2}}\d{{1,4}}\s?[a-z]?{END}"
    yield Form(street3, digits=1)
    prefix = rf"{START}(?-i:(?i:{_any(languages.street_prefixes)}))(?:\s?(?:d[eiu]|des|del|dell[ao]|l[aeo]s?)\b|\s[ld]['’])*\s?"
    number = r"(?:,?\s{0,2}(?:n[°ºo.]?\s?)?\d{1,4}(?:\s?(?:bis|ter|[a-z]))?)"
    place = rf"(?P<{{}}>{_NAME}(?:[ -]{_NAME}){{{{0,3}}}})"
    street4 = rf"(?<!\w)\d{{1,4}}(?:\s?(?:bis|ter))?,?\s{prefix}{place.format('street4')}"
    yield Form(street4, digits=1)
    yield Form(rf"{prefix}{place.format('street5')}{number}{END}", digits=1)
    yield Form(rf"{prefix}\d{{1,6}}{END}", digits=1)  # P.O. Box 12
    states = [code.upper() for code in languages.states]
    alone = "|".join(code for code in states if code not in _IMAGING_STATES) or _NEVER
    state = rf"{_NAME}(?:\s{_NAME}){{0,2}},\s?(?-i:{'|'.join(states) or _NEVER})|(?-i:{alone})"
    yield Form(
        rf"(?<!\w)(?:{state}),?\s\d{{5}}(?:-\d{{4}})?(?!\d)",
        digits=5,
    )
    town = rf"(?<![\w.-])(?:[A-Z]{{1,2}}-\d{{4,5}}|\d{{5}}|\d\d-\d{{3}}|\d{{4}}-\d{{3}})\s(?P<street6>{_NAME}(?:-{_NAME})?)"  # ZIP and town
    yield Form(town, digits=4)
    letters = r"(?:AT|BE|CH|DK|FL|LI|LU|NL|[ABLN])[- ]?\d{4}|(?:DE|ES|FR|IT|[DEFI])[- ]?\d{5}"
    yield Form(rf"(?<![\w.-])(?-i:{letters})\s?(?P<street9>{_NAME}){END}", digits=4)  # CH3012 Bern, D 72076 Ulm
    yield Form(
        rf"(?<![\w.])\d{{4}}\s?(?-i:[A-Z]{{2}})\s(?P<street7>(?:den |de )?{_NAME}){END}",
        digits=4,
    )  # 1234 AB Town
    small = rf"(?<![\w.,-])[1-9]\d{{3}} (?!(?:{_NO_DUTCH_END}){END})[A-Z]{{2}} (?P<street10>[^\W\d_]{{4,}}){END}"
    yield Form(small, digits=4)  # 1016 gv amsterdam
    country = r"(?:A|AT|BE|CH|DK|FI|FL|HU|LI|LU|NL|NO|SI)-\d{4}|(?:D|DE|E|ES|F|FR|I|IT)-\d{5}|SE-\d{3} ?\d\d"
    yield Form(rf"(?<![\w.-])(?-i:{country})(?!\.?\w|-)", digits=4)  # A-6060
    dutch = rf"(?-i:[1-9]\d\d[1-9]\s(?!(?:{_NO_DUTCH_END}){END})[A-Z]{{2}})"  # 1234 AB, which names one street
    parameter = r"(?<!t[eir] )(?<!t[eir]=)(?<!b )(?<!b=)(?<!series )(?<!image )(?<!slice )"
    yield Form(rf"(?<![\w.,/=-]){parameter}{dutch}(?![^\W_]|[./-]\w)", digits=4)
    yield from _postcodes(languages)


def _postcodes(languages: Languages) -> Iterator[Form]:
    """Yield British postcodes: whole ones, and the first half behind a town."""
    areas = [area.upper() for area in languages.postcode_areas]
    half = rf"(?:{'|'.join(areas) or _NEVER})\d[\dA-Z]?"
    inward = r"\d[ABD-HJLNP-UW-Z]{2}"
    whole = rf"{START}(?-i:{half}\s?{_NO_INWARD}{inward}){END}"  # LS9 7TF
    yield Form(whole, digits=2)
    # Halves that name no vertebra, series or view: SW1A 2AP, B33 8TH.
    long = "|".join(area for area in areas if len(area) == 2 and area.lower() not in _IMAGING_AREAS) or _NEVER
    lettered = rf"(?:{'|'.join(areas) or _NEVER})\d[A-HJ-NP-Z]\s?{inward}"
    whose = rf"(?:{long})\d[\dA-Z]?\s?\d(?:AP|AX|PA|SE|TE|TR)"  # LS1 4AP
    one = "|".join(area for area in areas if len(area) == 1) or _NEVER
    eighth = rf"(?:(?:{long})\d|(?:{one})\d\d)\s?\dTH"  # T12 8TH is a rib: no area is called T
    yield Form(rf"{START}(?-i:{lettered}|{whose}|{eighth}){END}", digits=2)
    # In lower case no halves of a letter and a digit, which levels and branches have: sw1a 1aa, m13 9pl.
    small = inward.lower()
    outward = rf"(?:(?:{long})\d[\dA-Z]?|(?:{one})\d\d|(?:{'|'.join(areas) or _NEVER})\d[A-HJ-NP-Z])".lower()
    yield Form(rf"{START}(?-i:{outward}\s?{_NO_SMALL_INWARD}{small}){END}", digits=2)
    towns = [row.replace(" ", "[ ,.]{1,3}") for row in languages.postcode_towns]
    yield Form(rf"{START}(?:{'|'.join(towns) or _NEVER})\d[\dA-Z]?{END}", digits=1)
    yield Form(rf"{START}(?-i:(?:EC[1-4]|SW1|WC[12])[A-Z]){END}", digits=1)  # first halves there
    telling = [area for area in areas if len(area) == 2 and area.lower() not in _IMAGING_AREAS]
    areas_of_towns = rf"(?:{'|'.join(telling) or _NEVER})\d[\dA-Z]?"
    town = rf"{START}(?-i:(?P<street8>[A-Z][A-Za-z]{{2,}}),?\s{areas_of_towns}){END}"  # Leeds LS9
    yield Form(town, digits=1)


def full_date(languages: Languages) -> str:
    """Return the expression of a date with day, month and year."""
    month = _any((*languages.months, *languages.ambiguous_months))
    link = rf"(?:{_any(languages.date_links)}\s)?"
    return "|".join(
        (
            rf"{YEAR}(?P<a>[-/.]){MONTH_NUMBER}(?P=a){DAY}",  # 2020-01-31
            rf"{DAY}(?P<b>[-/.]){DAY}(?P=b){YEAR}",  # 31.01.2020, 01/31/2020
            rf"{YEAR}{_TWO_MONTH}{_TWO_DAY}(?:[-_T ]?(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\.\d+)?)?",  # 20200131 120000
            rf"{DAY}(?:st|nd|rd|th|er|[º°.])?[-\s./]{{0,2}}{link}{month}\.?[-\s./,']{{0,2}}{link}{YEAR}",  # 31 January 2020
            rf"{DAY}(?P<c>[-./ ]){_ROMAN}(?P=c){YEAR}",  # 31.I.2020
            rf"{month}\.?[-\s./]{{1,2}}{DAY}(?:st|nd|rd|th)?[-\s./,]{{1,2}}{YEAR}",
            rf"{YEAR}[-\s./,]{{1,2}}{month}[-\s./,]{{1,2}}{DAY}",
            rf"{YEAR}-W{_WEEK}-[1-7]",  # 2020-W03-4
        )
    )


def kept_forms(languages: Languages) -> Iterator[Form]:
    """Yield what a kept text loses: names of devices, versions and codes stand in it too, so only the unmistakable."""
    yield from _national()
    yield from _births(languages)
    date = full_date(languages)
    before = "|".join(f"{re.escape(word)} " for word in spellings(languages.date_words)) or _NEVER
    at = "|".join(f"{re.escape(word)} " for word in spellings(languages.time_words)) or _NEVER
    yield Form(r"[^\s@,;\\]{1,64}@[^\s@,;\\]{1,255}\.[^\s@,;\\]{1,64}")  # e-mail
    yield Form(r"(?<!\w)[^\W\d_][\w.-]{1,63}@[^\W\d_][\w.-]{2,63}")  # an account without a domain
    yield Form(r"\b(?:https?|ftp|file|urn|dicom)://?[^\s\\]+|\bwww\.[^\s\\]+")  # URL
    yield Form(_NETWORK)
    yield from _kept_computers()
    yield from _kept_labels(languages)
    yield Form(
        rf"(?<![\d:])(?:{_CLOCK}[\s,]{{1,2}}(?:{before})?)?(?<![^\W_])(?<![\d.][.])"
        rf"(?:{date})(?:(?:T|[\s,]{{1,2}}(?:{at})?){_CLOCK})?(?![\d:]|[.-]\d|[^\W\d_])",
        digits=5,
    )
    yield Form(r"(?<![\w.])\d+(?:\.\d+){2,}(?!\.?\w)", digits=3)  # UID: checked for its length
    groups = r"(?<![\w.])(?:\+\d{1,3}[ ./-]?)?\(?\d{2,5}\)?(?:[ /-]\(?\d{2,6}\)?){2,}(?![\w.])"  # checked for digits
    yield Form(groups, digits=6)
    yield Form(r"(?<![\w.])\+\d{1,3}[ ./-]?\(?\d{2,5}\)?[ ./-]\d{3,10}(?![\w.])", digits=6)
    yield Form(r"(?<![\w.-])\d{3}-\d{4}(?![\w.-])", digits=7)  # local telephone
    yield Form(rf"(?<![\w.,/-])(?=(?:\D{{0,3}}\d){{9}}){_ABROAD}(?![\w.])", digits=9)


def _kept_computers() -> Iterator[Form]:
    """Yield hosts, addresses and accounts of computers; four numbers with points may be a version where no label stands."""
    yield Form(_INSIDE_HOST)
    yield Form(_KEPT_HOST)
    yield Form(
        rf"{START}(?:ip|host|gateway)(?:[ -]?addr(?:ess|\.)?)?[ .:=]{{1,3}}{_IP}(?![\w.])",
        digits=4,
    )
    yield Form(rf"(?<![\w.]){INSIDE_IP}(?![\w.])", digits=7)
    yield Form(_HOME)
    yield Form(_USER)


def _kept_labels(languages: Languages) -> Iterator[Form]:
    """Yield labels of wards, telephones and a person's numbers with what stands behind them."""
    wards, phones, labels = languages.ward_labels, languages.phone_labels, languages.kept_id_labels
    yield Form(rf"{START}{_any(wards)}\.?\s(?:\d{{1,3}}[a-z]?|(?-i:[A-Z])\d{{1,3}}){END}", digits=1)
    digits = r"(?=(?:\D{0,3}\d){6})\+?\(?\d[\d ()/.-]{4,20}\d"
    yield Form(rf"{START}{_any(phones)}[ .:#=]{{1,3}}(?P<only8>{digits}){END}", digits=6)
    value = r"(?=(?:[A-Z./-]{0,6}\d){4})[A-Z0-9](?:[A-Z0-9]|[./-](?=[A-Z0-9])){3,24}"
    yield Form(rf"{START}{_any(labels)}\.?[ .:#=-]{{1,3}}{value}{END}", digits=4)
