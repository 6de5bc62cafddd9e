"""The spellings of a word of a name that verification takes for the same name, made by rules of its own.

A word is folded (case, accents, compatibility forms, hiragana, forms of ideographs). Beside it count: umlauts and Nordic
letters written out, and the letters without; Cyrillic and Greek in Latin letters, each letter in the ways in which it is
written; the ending of the other gender of a Slavic name; romanised Japanese with its long vowels short or marked.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.han_forms import folded_forms, han_forms
from phi_deid_pipeline.verification_words import BESIDE_NAMES, FRONTS, GLUED_CODES, ORDINARY

MAX_SPELLINGS = 96  # of one word
_KATAKANA = {code: code + 0x60 for code in (*range(0x3041, 0x3097), 0x309D, 0x309E)}
_VOICED = {0x3099, 0x309A}  # voicing marks of kana
_WRITTEN_OUT = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ø", "oe"), ("å", "aa"), ("æ", "ae"), ("œ", "oe"))
_ONE_LETTER = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ß": "ss"}
)
_SHORTENED = Expression("[aou]e")
MIN_SHORTENED = 5  # letters


@lru_cache(maxsize=1 << 14)
def fold(text: str) -> str:
    """Return text in lower case without accents; hiragana as katakana, one form of each ideograph."""
    if text.isascii():
        return text.lower()
    parted = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in parted if not unicodedata.combining(c) or ord(c) in _VOICED)
    bare = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in bare)  # digits of any script
    plain = unicodedata.normalize("NFC", bare).translate(_KATAKANA)
    return plain.translate(_ONE_LETTER).translate(folded_forms())


def ideograph_forms(word: str) -> set[str]:
    """Return a word with its ideographs in every form that they have, `MAX_SPELLINGS` at most."""
    ways = (_classes().get(char, (char,)) for char in word.translate(folded_forms()))
    return {"".join(chars) for chars in itertools.islice(itertools.product(*ways), MAX_SPELLINGS)}


@cache
def _classes() -> dict[str, tuple[str, ...]]:
    return {forms[0]: tuple(forms) for forms in han_forms()}


# --------------------------------------------------------------------------- other alphabets

# Letters, or pairs of them, with the ways in which they are romanised; the longest match counts.
_CYRILLIC = """
    а:a б:b в:v,w г:g д:d е:e ё:e,yo,jo є:ye,je э:e ж:zh з:z и:i і:i ї:yi,ji й:y,j к:k л:l м:m н:n о:o п:p р:r с:s т:t у:u
    ф:f х:kh,h ц:ts ч:ch ш:sh щ:shch ъ: ы:y,j ь: ю:yu,ju я:ya,ja ґ:g ий$:iy,ij,y,i ый$:yy,jj,y
"""
_GREEK = """
    α:a β:v,w γ:g δ:d ε:e ζ:z η:i θ:th ι:i κ:k λ:l μ:m ν:n ξ:x ο:o π:p ρ:r σ:s ς:s τ:t υ:y,j φ:f χ:ch,h ψ:ps ω:o
    ου:ou,oy,oj αυ:av,aw,ay,aj ευ:ev,ew,ey,ej γγ:ng,gg ει:ei αι:ai οι:oi
"""
_ROMAN = {key: ways.split(",") for key, _, ways in (item.partition(":") for item in f"{_CYRILLIC}{_GREEK}".split())}
_IN_GERMAN = {"в": "w", "ж": "sch", "з": "s", "й": "j", "х": "ch", "ц": "z", "ч": "tsch", "ш": "sch", "щ": "schtsch"}
_IN_GERMAN |= {"ы": "y", "ю": "ju", "я": "ja"}
_IN_PASSPORTS = {"й": "i", "ц": "ts", "ъ": "ie", "ы": "y", "ю": "iu", "я": "ia"}
_OF_CYRILLIC = frozenset(map(chr, range(0x430, 0x500)))
_LONGEST = max(map(len, _ROMAN))


def _letters(word: str) -> list[list[str]] | None:
    """Return the ways to write each letter of a Cyrillic or Greek word in Latin ones, None for any other word."""
    ways: list[list[str]] = []
    at, other = 0, False
    marked = f"{word}$"
    while at < len(word):
        for size in range(_LONGEST, 0, -1):
            part = marked[at : at + size]
            if part in _ROMAN:
                ways.append(_ROMAN[part])
                at += size
                other = True
                break
        else:
            bare = fold(word[at])
            if bare in _ROMAN:
                ways.append(_ROMAN[bare])
                other = True
            elif bare.isascii():
                ways.append([bare])
            else:
                return None
            at += 1
    return ways if other else None


def _romanised(word: str) -> Iterator[str]:
    lower = unicodedata.normalize("NFC", word).lower()
    ways = _letters("".join(c if c in _ROMAN else fold(c) for c in lower))
    if ways is None:
        return
    for letters in itertools.islice(itertools.product(*ways), MAX_SPELLINGS):
        yield "".join(letters)
    yield "".join(way[-1] for way in ways)  # however many there are: each letter the other way
    if set(lower) & _OF_CYRILLIC:
        for text in {lower, lower.replace("ё", "йо")}:
            for own in (_IN_GERMAN, _IN_PASSPORTS):
                whole = "".join(own.get(c, _ROMAN.get(c, [fold(c)])[0]) for c in text)
                yield from {whole, whole.replace("v", "w")}


# --------------------------------------------------------------------------- endings and long vowels

_MALE_FEMALE = "ов:ова ев:ева ин:ина ын:ына ский:ская цкий:цкая ov:ova ev:eva ow:owa ew:ewa sky:skaya skiy:skaya"
_GENDERS = [tuple(pair.split(":")) for pair in _MALE_FEMALE.split()]
MIN_INFLECTED = 5  # letters


def _other_gender(word: str) -> Iterator[str]:
    if len(word) < MIN_INFLECTED:
        return
    for man, woman in _GENDERS:
        if word.endswith(woman):
            yield word[: -len(woman)] + man
        elif word.endswith(man):
            yield word[: -len(man)] + woman


_SYLLABLES = Expression(
    r"(?:(?:[kgsztdnhbpmrjfwy]|[kgnhbpmr]y|sh|ch|ts)?(?:[ou]h(?=[kstnmrgzdbj]h?[aiueoy]|$)|[aiueo])|n(?![aiueoy]))+"
)
_LONG = Expression(r"ou|oh(?![aiueoy])|(?<![a-z])oo|uu")
MIN_JAPANESE = 4
MAX_LONG = 4  # vowels of a word that are tried short and long


def _long_vowels(word: str) -> Iterator[str]:
    if len(word) < MIN_JAPANESE or not word.isascii() or not _SYLLABLES.fullmatch(word):
        return
    short = _LONG.sub(lambda match: match[0][0], word)
    yield short
    places = [at for at, letter in enumerate(short) if letter in "ou"][:MAX_LONG]
    for count in range(1, len(places) + 1):
        for chosen in itertools.combinations(places, count):
            for style in ("u", "h", "o"):
                yield "".join(_long(short, at, style) if at in chosen else c for at, c in enumerate(short))


def _long(word: str, at: int, style: str) -> str:
    if word[at] == "u":
        return "uu"
    return "oo" if style == "o" and at == 0 else "oh" if style == "h" else "ou"


# --------------------------------------------------------------------------- all of it

# Words of images that such rules make of names (Doosa: dose): no names then.
_NO_NAMES = frozenset(
    {"dose", "hose", "rose", "mose", "route", "mouse", "house", "douse", "source", "mode", "node", "nose"}
)


def plain_spellings(text: str) -> set[str]:
    """Return the folded word, and with umlauts and Nordic letters written out."""
    lower = unicodedata.normalize("NFC", text).casefold()
    spelled = lower
    for letter, letters in _WRITTEN_OUT:
        spelled = spelled.replace(letter, letters)
    return {form for form in (fold(lower), fold(spelled)) if form}


def spellings(text: str) -> set[str]:
    """Return the plain spellings, those with short vowels for them, other alphabets in Latin letters."""
    forms = plain_spellings(text)
    forms |= {_SHORTENED.sub(lambda match: match[0][0], form) for form in forms if len(form) >= MIN_SHORTENED}
    return forms | {form for form in _romanised(text) if form}


def name_spellings(text: str) -> set[str]:
    """Return the spellings of a word of a name: also those of the other gender and with long vowels."""
    forms = spellings(text)
    lower = unicodedata.normalize("NFC", text).lower()
    for other in {*_other_gender(lower), *_other_gender(fold(lower))}:
        forms |= spellings(other)
    for form in tuple(forms):
        forms |= set(_long_vowels(form)) - ORDINARY - _NO_NAMES
    return forms


def joined_pieces(pieces: Iterable[str]) -> set[str]:
    """Return neighbouring pieces of a divided word (O'Brien-Smith) as one word, each as it may be spelled."""
    parts = list(pieces)
    if not 2 <= len(parts) <= 6:
        return set()
    spans = [parts[start:end] for start in range(len(parts)) for end in range(start + 2, len(parts) + 1)]
    telling = (span for span in spans if not all(fold(part) in FRONTS for part in span))
    return set().union(*(name_spellings("".join(span)) for span in telling))


# --------------------------------------------------------------------------- names in one word with others

_CAPITALS, _SMALL = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ÿ"
_BORDER = Expression(rf"(?<=[{_SMALL}])(?=[{_CAPITALS}])|(?<=[{_CAPITALS}])(?=[{_CAPITALS}][{_SMALL}])")
_MIXED = Expression(r"[^\W\d_]{4,}")
_BYTE_WORDS = Expression(rb"[A-Za-z]{4,}")
_BYTE_BORDER = Expression(rb"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_RUN_TOGETHER, MIN_BESIDE = Expression(r"[^\W\d_]{8,}"), 5
_BESIDE = tuple(sorted(BESIDE_NAMES))
_BYTE_BESIDE = tuple(word.encode() for word in _BESIDE)


def glued_families(words: list[str]) -> set[str]:
    """Return a family name of several words with the particles in front glued to it: vanberg, vandenberg, vdberg."""
    count = next((number for number, word in enumerate(words) if fold(word) not in FRONTS), 0)
    found: set[str] = set()
    for name in (words[count], "".join(words[count:])) if count else ():
        fronts = [fold(word) for word in words[:count]]
        for front in (fronts[0], "".join(fronts), "".join(word[0] for word in fronts)):
            found |= {front + form for form in plain_spellings(name) if len(name) > 2}
    return found


def capital_pieces(text: str) -> Iterator[list[str]]:
    """Yield the folded pieces of each word that capitals divide: CT and smith of CTSmith."""
    for word in _MIXED.findall(text):
        pieces = _BORDER.split(word)
        if len(pieces) > 1:
            yield [fold(piece) for piece in pieces]


def beside_imaging(folded: str) -> Iterator[str]:
    """Yield what stands in one word with a word of imaging: smith of smithhead."""
    for word in _RUN_TOGETHER.findall(folded):
        if not (word.startswith(_BESIDE) or word.endswith(_BESIDE)):
            continue
        for cut in range(4, len(word) - 3):
            head, tail = word[:cut], word[cut:]
            yield from (
                one for one, other in ((head, tail), (tail, head)) if other in BESIDE_NAMES and len(one) >= MIN_BESIDE
            )


_LONG_RUN, MIN_GLUED, MAX_FRONT = Expression(r"[^\W\d_]{7,}"), 6, 3
_PREFIXED = Expression(r"(ma?c|o|fitz)([^\W\d_]{4,})")


def beside_code(folded: str) -> Iterator[str]:
    """Yield what of a word may be a name of `MIN_GLUED` letters behind a few others, or before a code: ctpimentel."""
    for word in _LONG_RUN.findall(folded):
        yield from (word[cut:] for cut in range(1, min(MAX_FRONT, len(word) - MIN_GLUED) + 1))
        yield from (word.removesuffix(code) for code in GLUED_CODES if word.endswith(code))


def prefixed_parts(word: str) -> list[tuple[str, str]]:
    """Return the two parts of a folded name such as McAllister or O'Brien; Mac stands for Mc, too, and Mc for Mac."""
    match = _PREFIXED.fullmatch(word)
    if match is None:
        return []
    both = match[1] in ("mc", "mac") and len(match[2]) > 4  # not machine for McHine
    return [(front, match[2]) for front in (("mc", "mac") if both else (match[1],))]


def joined_in_bytes(data: bytes) -> Iterator[bytes]:
    """Yield in lower case what capitals and words of imaging divide in bytes, and all pieces of a word with blanks."""
    for word in set(_BYTE_WORDS.findall(data)):
        lower = word.lower()
        if not (word.isupper() or word[1:].islower()):
            pieces = [piece.lower() for piece in _BYTE_BORDER.split(word)]
            yield from (*pieces, b" ".join(pieces))
        if len(lower) > MIN_GLUED:
            yield from (one.encode() for one in beside_code(lower.decode()))
        if lower.startswith(_BYTE_BESIDE) or lower.endswith(_BYTE_BESIDE):
            yield from (one.encode() for one in beside_imaging(lower.decode()))
