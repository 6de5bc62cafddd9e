"""Words that identify nobody, and the folding by which spellings of a word become one."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import combinations, islice, product

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.han_forms import folded_forms

# --------------------------------------------------------------------------- words that identify nobody


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLACEHOLDERS = _words(
    """
    anon anonym anonymous anonymized anonymised anonymize anonymise anonymizedpatient anonymousanonymous
    deidentified deidentify identified none unknown unknownunknown na null nil undefined unspecified
    notavailable notspecified notapplicable notset noname nameless removed deleted redacted confidential hidden
    masked blank empty default patient name patientname patientid firstname lastname nopatientid noid test
    testpatient dummy xx yes no m f o u male female other unassigned notassigned tbd temp self
    """
)
# Words of imaging with which names are run together.
IMAGING = _words(
    """
    abdomen angio ankle axial brain breast cardiac cervical chest contrast coronal elbow femur foot hand head heart hip
    image kidney knee left liver localizer lumbar lung lungs mammo neck orbit pancreas pelvis perfusion prostate right
    sagittal scan schaedel scout series shoulder sinus skull spine spleen study thorax thyroid wrist
    """
)
# Codes of imaging and radiotherapy that are written behind a name in one word.
CODES = ("ct", "mr", "mri", "pet", "ptv", "ctv", "gtv", "itv", "plan", "rt", "us", "xr")
# Sides: a name that is one counts where text shows that it is a name, else a right kidney loses its side.
SIDES = _words(
    """
    right left bilateral rechts links droit droite gauche derecho derecha izquierdo izquierda destro destra sinistro sinistra
    """
)
# Words of names, ids and stations that point at nobody: they match beside another part of the name, never alone.
WEAK_NAME_WORDS = _words(
    """
    head neck chest brain spine breast lung lungs liver pancreas prostate kidney abdomen pelvis thorax knee shoulder
    modality voi lut orientation perfusion contrast axial sagittal coronal localizer
    anon anonymous anonymized anonymised deidentified unknown none patient phantom phantoms test tester subject
    volunteer sample samples image images series study scan case name data demo example admin operator user
    service tech technologist technician physician doctor doc nurse prof professor mister mrs miss dipl phd med
    msc van von der den del dos das della los las ten ter bin ibn abu and und the for sir jun sen iii
    """
)
WEAK_NAME_WORDS |= SIDES
# Words of institutions, departments, stations and addresses that point at none.
GENERIC = _words(
    """
    hospital hospitals hosp clinic clinics clinica clinique clinical klinik kliniken klinikum krankenhaus
    hopital hospices ospedale ospedali ziekenhuis centre center centers centro centrum zentrum central medical
    medicine medizin medicale medico medica health healthcare care gesundheit sante salud salute radiology
    radiologie radiologia radiological radiologic radiologico radiologisches roentgen imaging image images
    imagerie diagnostic diagnostics diagnostik diagnostisch diagnostico department departement departamento dept
    abteilung service services servicio institute institut instituto istituto institution foundation general
    generale university universitat universitaet universitair universite universidad universita universitats
    univ uni school college faculty national regional municipal community county city state district memorial
    research laboratory laboratories labor labs group groupe network system systems trust limited gmbh corp
    corporation company associates association hall house unit ward floor room building emergency outpatient
    inpatient surgery surgical chirurgie oncology onkologie oncologie cardiology kardiologie cardiologie
    neurology neurologie neuroradiology neuro neuroradiologie pediatric pediatrics paediatrics children
    childrens cancer tumor nuclear nuklearmedizin ultrasound sonography sonographie ultraschall mammography
    mammographie tomography tomographie computed magnetic resonance resonanz angiography angio cardiac vascular
    thorax chest head neck brain spine abdomen pelvis breast heart lung liver kidney knee hip shoulder hand foot
    body whole cranium skull extremity therapy radiotherapy radiation strahlentherapie dental praxis practice
    office physics biology science sciences technology technologies engineering development training education
    demo demonstration phantom test testing default unknown none anonymous site station workstation console
    server scanner modality gantry device machine pacs archive store storage gateway router import export viewer
    local localhost main north south east west northern southern eastern western upper lower left right first
    second third street strasse avenue road lane drive boulevard place square court highway suite apartment apt
    box rue via calle plaza weg platz allee usa america american united states kingdom england germany
    deutschland france spain espana italy italia japan china canada europe european austria switzerland schweiz
    netherlands nederland belgium sweden norway denmark finland australia india brazil korea siemens philips
    toshiba canon hitachi fujifilm hologic agfa carestream samsung mindray esaote varian elekta accuray shimadzu
    kodak konica healthineers series study scan scans axial sagittal coronal localizer scout routine protocol
    prone supine contrast with from and the for des der die das und von del las los les
    """
)

# Words beside the number of a ward, a bed or a room.
WARDS = _words(
    """
    afd afdeling bed bett cama camera chambre kamer letto lit planta reparto room sala salle servis stanza station
    stat stn unit unite ward zaal zimmer zi
    """
)
_MOST_OF_WARD, _WARD_CODE = 4, Expression(r"\d{1,3}[a-z]?|[a-z]\d{1,3}")

# --------------------------------------------------------------------------- folding and words

_LETTERS = {
    "ß": "ss",
    "ø": "o",
    "æ": "ae",
    "œ": "oe",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ı": "i",
    "ħ": "h",
    "ς": "σ",
}
_TRANSLITERATED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "ae", "Ö": "oe", "Ü": "ue", "Å": "aa", "Ø": "oe"}
)
_VOICING = "\u3099\u309a"  # voicing marks of kana are no accents
_HIRAGANA, _TO_KATAKANA = frozenset(map(chr, (*range(0x3041, 0x3097), 0x309D, 0x309E))), 0x60
WORD = Expression(r"[^\W_]+")
RUN = Expression(r"\d+|[^\W\d_]+")
# Scripts without blanks between words (Thai to Khmer, kana, ideographs, Hangul): their values match inside a run too.
_NO_BLANKS = Expression("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def lacks_blanks(text: str) -> bool:
    """Tell whether a character of a text is of a script without blanks between words."""
    return not text.isascii() and _NO_BLANKS.search(text) is not None


@lru_cache(maxsize=8192)
def _fold_char(char: str) -> str:
    lower = char.lower()
    if lower in _LETTERS:
        return _LETTERS[lower]
    if char.isdecimal():
        return str(unicodedata.decimal(char))  # of any script
    bare = "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c) or c in _VOICING)
    composed = unicodedata.normalize("NFC", bare)
    if len(composed) == 1:
        composed = folded_forms().get(ord(composed), composed)
    return chr(ord(composed) + _TO_KATAKANA) if composed in _HIRAGANA else composed


def _fold_parts(text: str) -> list[str]:
    """Return what each character becomes; a kana and its voicing mark, apart in half width, become one with the kana."""
    parts = [_fold_char(char) for char in text]
    for at in range(1, len(parts)):
        if parts[at] and parts[at] in _VOICING:
            whole = unicodedata.normalize("NFC", parts[at - 1] + parts[at])
            if len(whole) == len(parts[at - 1]):
                parts[at - 1], parts[at] = whole, ""
    return parts


def fold(text: str) -> str:
    """Return text in lower case without accents and compatibility forms; hiragana as katakana, ideographs in one form."""
    if text.isascii():
        return text.lower()
    return "".join(_fold_parts(text))


def fold_with_index(text: str) -> tuple[str, list[int] | None]:
    """Return the folded text and, where lengths differ, the source position of each folded character (and the end)."""
    if text.isascii():
        return text.lower(), None
    parts = _fold_parts(text)
    folded = "".join(parts)
    if len(folded) == len(text) and all(len(part) == 1 for part in parts):
        return folded, None
    return folded, [position for position, part in enumerate(parts) for _ in part] + [len(text)]


def compacted(text: str) -> str:
    return "".join(WORD.findall(fold(text)))


def distinctive(text: str) -> list[str]:
    """Return the words of an institution or address that point at it alone, as they are written."""
    return [word for word in WORD.findall(text) if is_distinctive(fold(word))]


def ward_codes(text: str) -> list[str]:
    """Return the folded numbers and codes of a ward, bed or room in the name of a place: 7c of Ward 7C, 12 of Ward 12 South."""
    words = WORD.findall(fold(text))
    if not 2 <= len(words) <= _MOST_OF_WARD or WARDS.isdisjoint(words):
        return []
    return [word for word in words if _WARD_CODE.fullmatch(word)]


def is_distinctive(word: str) -> bool:
    return word not in GENERIC and sum(c.isalpha() for c in word) >= (2 if lacks_blanks(word) else 4)


# Romanisation letter by letter: as passports and hospitals write it, and other ways that are mixed with these.
_CYRILLIC = """
    а:a б:b в:v,w г:g д:d е:e ё:e є:ye,je э:e ж:zh з:z и:i і:i ї:yi,ji й:y,j ґ:g к:k л:l м:m н:n о:o п:p р:r с:s т:t у:u
    ф:f х:kh,h ц:ts ч:ch ш:sh щ:shch ъ: ы:y,j ь: ю:yu,ju я:ya,ja
"""
_GREEK = """
    α:a β:v,w γ:g δ:d ε:e ζ:z η:i θ:th ι:i κ:k λ:l μ:m ν:n ξ:x ο:o π:p ρ:r σ:s ς:s τ:t υ:y,j φ:f χ:ch,h ψ:ps ω:o
    ου:ou,oy,oj αυ:av,aw,ay,aj ευ:ev,ew,ey,ej γγ:ng,gg ει:ei αι:ai οι:oi
"""
_ROMAN = {key: ways.split(",") for key, _, ways in (row.partition(":") for row in f"{_CYRILLIC}{_GREEK}".split())}
# What one language writes throughout a word: German, and passports of today (ICAO Doc 9303).
_GERMAN = {"в": "w", "ж": "sch", "з": "s", "й": "j", "х": "ch", "ц": "z", "ч": "tsch", "ш": "sch", "щ": "schtsch"}
_GERMAN |= {"ы": "y", "ю": "ju", "я": "ja"}
_PASSPORT = {"й": "i", "ц": "ts", "ъ": "ie", "ы": "y", "ю": "iu", "я": "ia"}
_MOST_SPELLINGS = 256  # of one word


def plain_forms(text: str) -> set[str]:
    """Return the folded word, and with umlauts and Nordic letters written out."""
    return {fold(text), fold(unicodedata.normalize("NFC", text).translate(_TRANSLITERATED))}


def variants(text: str) -> set[str]:
    """Return the folded word, its German and Nordic transliterations in both directions, and Cyrillic and Greek in Latin."""
    forms = plain_forms(text)
    forms |= {form.replace("ae", "a").replace("oe", "o").replace("ue", "u") for form in forms if len(form) >= 5}
    return forms | romanised(text)


_CYRILLIC_LETTER = Expression("[\u0400-\u04ff]")


def romanised(text: str) -> set[str]:
    """Return a Cyrillic or Greek word in Latin letters, in its usual spellings; nothing for other scripts."""
    lower = unicodedata.normalize("NFC", text).lower()
    if "\u0451" in lower:  # Fedor and Fyodor
        return romanised(lower.replace("\u0451", "\u0435")) | romanised(lower.replace("\u0451", "\u0439\u043e"))
    word = "".join(char if char in _ROMAN else fold(char) for char in lower)
    if word.isascii() or any(char.isalpha() and not char.isascii() and char not in _ROMAN for char in word):
        return set()
    parts = re.findall("|".join(sorted(_ROMAN, key=len, reverse=True)) + "|.", word)
    ways = [_ROMAN.get(part, [part]) for part in parts]
    forms = {"".join(letters) for letters in islice(product(*ways), _MOST_SPELLINGS)}
    forms |= {"".join(way[0] for way in ways), "".join(way[-1] for way in ways)}
    for ending in ("iy", "yy") if word.endswith(("ий", "ый")) else ():  # Yury and Yuri, Dostoevsky
        forms |= {form[:-2] + short for form in forms if form.endswith(ending) for short in ("y", "i")}
    if _CYRILLIC_LETTER.search(word):
        forms |= {"".join(own.get(c, _ROMAN.get(c, [c])[0]) for c in word) for own in (_GERMAN, _PASSPORT)}
    return forms


_ENDINGS = (  # of a man's and a woman's family name, in Cyrillic and in Latin letters
    ("ов", "ова"),
    ("ев", "ева"),
    ("ин", "ина"),
    ("ын", "ына"),
    ("ский", "ская"),
    ("цкий", "цкая"),
    ("ov", "ova"),
    ("ev", "eva"),
    ("sky", "skaya"),
    ("skiy", "skaya"),
)
_MIN_INFLECTED = 5  # letters
_JAPANESE = Expression(
    r"(?:(?:[kgsztdnhbpmrjfwy]|[kgnhbpmr]y|sh|ch|ts)?[aiueo]|n(?![aiueoy])|(?<=o)h(?=[kstnmrgzdbj]h?[aiueoy]|$))+"
)
_LONG_O, _LONG_U = Expression(r"ou|^oo|oh(?![aiueoy])"), Expression(r"uu")
_MIN_JAPANESE = 4
_MOST_LONG = 4  # vowels that are tried
_NO_NAMES = frozenset(
    {"dose", "hose", "rose", "mose", "route", "mouse", "house", "douse", "source", "mode", "node", "nose"}
)


def name_variants(text: str) -> set[str]:
    """Return the variants of a word of a name: also the other gender's ending and the long vowels of Japanese."""
    word = fold(text) if not romanised(text) else unicodedata.normalize("NFC", text).lower()
    forms = variants(text)
    if len(word) >= _MIN_INFLECTED:
        for other in _other_gender(word):
            forms |= {fold(other)} | romanised(other)
    if romanised(text):
        forms |= {form.replace("v", "w") for form in forms if form.isascii()}  # Iwanow, as in German
    return forms | _long_vowels(word)


def _other_gender(word: str) -> set[str]:
    found = set()
    for man, woman in _ENDINGS:
        for ending, other in ((man, woman), (woman, man)):
            if word.endswith(ending):
                found.add(word.removesuffix(ending) + other)
    return found


def _long_vowels(word: str) -> set[str]:
    """Return a romanised Japanese word with some of its o and u short and the others long: shotaro, shoutarou, shohtaroh."""
    if len(word) < _MIN_JAPANESE or not word.isascii() or not _JAPANESE.fullmatch(word):
        return set()
    short = _LONG_U.sub("u", _LONG_O.sub("o", word))
    vowels = [at for at, letter in enumerate(short) if letter in "ou"][:_MOST_LONG]
    forms = {short}
    for long in (chosen for count in range(1, len(vowels) + 1) for chosen in combinations(vowels, count)):
        for mark in "uh":
            written = {at: "uu" if short[at] == "u" else "oo" if at == 0 and mark == "u" else "o" + mark for at in long}
            forms.add("".join(written.get(at, letter) for at, letter in enumerate(short)))
    return {form for form in forms if len(form) >= _MIN_JAPANESE} - _NO_NAMES - GENERIC - WEAK_NAME_WORDS
