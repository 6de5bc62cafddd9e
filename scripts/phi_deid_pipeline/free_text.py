"""Keep the words of a description and drop the person (PS3.15 E.3.5): known identifiers, patterns, unknown words.

A block list cannot see names such as "Hand", so only words of a vocabulary of imaging stay; an identifier of the
patient that the lexicon knows goes even if its words are in the vocabulary. Numbers stay where they can be measures.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from phi_deid_pipeline.errors import PolicyError

if TYPE_CHECKING:
    from phi_deid_pipeline.lexicon import Lexicon

VOCABULARY_FILE = Path(__file__).resolve().parents[2] / "resources" / "vocabularies" / "vocabulary.txt"
MAX_NUMBER_DIGITS = 4
YEARS = range(1900, 2036)  # a four-digit number that can be a year is a date element
_STRENGTHS = frozenset({"strong", "plain", "name"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What follows a title is a person, in whichever words; what follows a soft cue is one unless it is imaging.
_TITLES = _words(
    "drs doctor doktor dott dottor dottore dottoressa dra miss mrs mister prof professor herr hr frau mme mlle "
    "monsieur madame sra signor signora senor senora dhr mevr mevrouw"
)
_MODALITY_TITLES = _words("dr mr ms")  # digital radiography, magnetic resonance, milliseconds: judged by what follows
_CREDENTIALS = _words("md phd rn")
_SOFT_CUES = _words(
    "for by from patient patients pt name attn per to physician operator tech technologist performed ref referred "
    "referring requested fur von vom pour par para por di da voor door de du dated"
)
# These letters turn a number of up to four digits into a value; other single letters stand beside two digits at most.
_LONG_AFTER = _words("b")
_DANGLING = _words(
    "for by from at to of with and in on the a an per via fur von vom mit und pour par de du la le et para por con y e "
    "di da del van voor en door patient pt name ref referred attn seen operator tech"
)
_ARTICLES = _words("the a an and with in on")  # dangling only at the end of what is left
_MONTHS = _words(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec januar februar marz maerz märz mai juni juli oktober dezember okt dez janvier fevrier "
    "février avril juin juillet aout août septembre octobre novembre decembre décembre enero febrero marzo abril mayo "
    "junio julio agosto septiembre octubre noviembre diciembre gennaio febbraio aprile maggio giugno luglio settembre "
    "ottobre dicembre januari februari maart mei augustus"
)

_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=lambda month: (-len(month), month))) + ")"
_TWO_DAY, _TWO_MONTH = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])"
_PATTERNS = re.compile(
    "|".join(
        (
            r"[^\s@,;]{1,64}@[^\s@,;]{1,255}\.[^\s@,;]{1,64}",  # e-mail
            r"\b(?:https?|ftp|file|urn|dicom)://?\S+|\bwww\.\S+",  # URL
            r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])",  # IP address
            r"(?<![\w.])[0-2](?:\.\d+){4,}",  # UID
            r"(?<!\d)(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])(?!\d)",  # 2020-01-31
            r"(?<!\d)(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:(?:19|20)\d\d|\d\d)(?![\d.])",
            rf"(?<![\w./])(?:{_TWO_DAY}/{_TWO_MONTH}|{_TWO_MONTH}/{_TWO_DAY})(?![\w./])",  # 31/01, 01/31
            r"(?<!\d)(?:0?[1-9]|1[0-2])[-/.](?:19|20)\d\d(?!\d)",  # 01/2020
            rf"(?<!\w)\d{{1,2}}(?:st|nd|rd|th|\.)?[-\s./]{{0,2}}{_MONTH}\.?[-\s./,']{{0,2}}(?:\d{{4}}|\d\d)?(?![^\W_])",
            rf"(?<![^\W_]){_MONTH}\.?[-\s./]{{1,2}}\d{{1,2}}(?:st|nd|rd|th)?(?:[-\s./,]{{1,2}}\d{{2,4}})?(?![^\W_])",
            r"(?<![\d:])(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?)?(?![\d:])",  # time of day
            r"\+?\(?\d{2,5}\)?(?:[ ./-]\(?\d{2,6}\)?){2,}(?!\d)",  # telephone, SSN: checked for seven digits
            r"(?<!\d)\d{3}[- ]\d{4}(?!\d)",  # local telephone
            r"(?<!\w)\d{1,3}[- ]?(?:years?|yrs?|jahre?n?|ans|anni|anos|a[nñ]os|jaar)[- ]?(?:old|alt)?(?![^\W_])",  # age
            r"(?<!\w)\d{1,3}[- ]?y\.?/?o\b|(?<!\w)0\d\dY\b",
        )
    ),
    re.IGNORECASE,
)
# Kept text holds names of devices, versions and codes too, so only what is whole and unmistakable goes.
MIN_UID_LENGTH = 20
_DAY, _MONTH_NUMBER, _YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:\s?[ap]\.?m\b\.?|Z\b|[+-]\d\d:?\d\d\b)?"
_DATE = "|".join(
    (
        rf"{_YEAR}(?P<a>[-/.]){_MONTH_NUMBER}(?P=a){_DAY}",  # 2020-01-31
        rf"{_DAY}(?P<b>[-/.]){_DAY}(?P=b){_YEAR}",  # 31.01.2020, 01/31/2020
        rf"{_YEAR}{_TWO_MONTH}{_TWO_DAY}(?:[-_T ]?(?:[01]\d|2[0-3])[0-5]\d[0-5]\d(?:\.\d+)?)?",  # 20200131 120000
        rf"{_DAY}(?:st|nd|rd|th|\.)?[-\s./]{{0,2}}{_MONTH}\.?[-\s./,']{{0,2}}{_YEAR}",  # 31 January 2020
        rf"{_MONTH}\.?[-\s./]{{1,2}}{_DAY}(?:st|nd|rd|th)?[-\s./,]{{1,2}}{_YEAR}",
        rf"{_YEAR}[-\s./,]{{1,2}}{_MONTH}[-\s./,]{{1,2}}{_DAY}",
    )
)
_KEPT_DATE = re.compile(rf"(?:{_DATE})", re.IGNORECASE)
_KEPT_PATTERNS = re.compile(
    "|".join(
        (
            r"[^\s@,;\\]{1,64}@[^\s@,;\\]{1,255}\.[^\s@,;\\]{1,64}",  # e-mail
            r"\b(?:https?|ftp|file|urn|dicom)://?[^\s\\]+|\bwww\.[^\s\\]+",  # URL
            rf"(?<![\d:])(?:{_CLOCK}[\s,]{{1,2}}(?:on |am |le )?)?(?<![^\W_])(?<![\d.][.])"
            rf"(?:{_DATE})(?:(?:T|[\s,]{{1,2}}(?:at |um )?){_CLOCK})?(?![\d:]|[.-]\d|[^\W\d_])",
            r"(?<![\w.])\d+(?:\.\d+){2,}(?!\.?\w)",  # UID: checked for its length
            r"(?<![\w.])(?:\+\d{1,3}[ ./-]?)?\(?\d{2,5}\)?(?:[ /-]\(?\d{2,6}\)?){2,}(?![\w.])",  # checked for digits
            r"(?<![\w.])\+\d{1,3}[ ./-]?\(?\d{2,5}\)?[ ./-]\d{3,10}(?![\w.])",
            r"(?<![\w.-])\d{3}-\d{4}(?![\w.-])",  # local telephone
        )
    ),
    re.IGNORECASE,
)
_KEPT_CUES = _words("for by")
_KEPT_TITLES = _TITLES - _words("hr miss")
_KEPT_CUE = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(sorted(_KEPT_CUES | _KEPT_TITLES | _MODALITY_TITLES))})(?![^\W_])", re.IGNORECASE
)
_TOKEN = re.compile(r"[^\W_]+(?:[.,]\d+(?=\D|$))*|_+")
_POWER, _SUPERSCRIPTS = re.compile("[0-9]*[A-Za-z]{1,2}[²³]"), str.maketrans("²³", "23")  # mm², 5cm³
_PIECE = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_CAMEL = re.compile(r"[A-Z]?[a-zà-ÿ]+|[A-Z]+(?![a-z])")
_DANGLING_END = " \t\r\n\f,;:/\\&^=_([{+*#-"
_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]|\{\s*\}|<\s*>|\"\s*\"")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Folded words that may stay. `names` are surnames or places too: they stay where nothing hints at a person."""

    strong: frozenset[str]
    plain: frozenset[str]
    names: frozenset[str]

    def __contains__(self, word: str) -> bool:
        return word in self.strong or word in self.plain or word in self.names


@dataclass(slots=True)
class _Token:
    start: int
    end: int
    text: str
    word: str  # folded if it is made of letters, else ""
    keep: bool = False


@lru_cache(maxsize=1)
def load_vocabulary(path: Path = VOCABULARY_FILE) -> Vocabulary:
    """Read the vocabulary; PolicyError names the line of an unknown strength."""
    found: dict[str, set[str]] = {strength: set() for strength in _STRENGTHS}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        word, _, strength = line.partition("\t")
        if strength not in found or not word:
            raise PolicyError(f"{path.name}: line {number}: must be a word, a tab and strong, plain or name")
        found[strength].add(word)
    return Vocabulary(frozenset(found["strong"]), frozenset(found["plain"]), frozenset(found["name"]))


def drop_identifiers(text: str, lexicon: Lexicon) -> str:
    """Cut known identifiers, and what is written like one, out of a kept text; every other character stays as it is."""
    parts, position = [], 0
    spans = [(start, end) for start, end, _ in lexicon.hits(text)]
    spans += [match.span() for match in _KEPT_PATTERNS.finditer(text) if _is_kept_pattern(match[0])]
    if _KEPT_CUE.search(text):
        spans += _named(text, load_vocabulary())
    for start, end in _merged(spans):
        parts.append(text[position:start])
        position = end
    return "".join(parts) + text[position:] if parts else text


def clean_descriptor(text: str, lexicon: Lexicon, vocabulary: Vocabulary) -> str:
    """Return the text with only imaging words and measures left, tidied; the same text if nothing had to go."""
    spans = [(start, end) for start, end, _ in lexicon.hits(text)]
    spans += [match.span() for match in _PATTERNS.finditer(text) if _is_pattern(match[0])]
    tokens = _tokens(text, _merged(spans), vocabulary)
    _apply_cues(text, tokens, vocabulary)
    _drop_neighbours(text, tokens, vocabulary)
    if all(token.keep for token in tokens) and not spans:
        return text
    _drop_dangling(text, tokens)
    return _join(text, tokens)


@lru_cache(maxsize=16384)
def fold(word: str) -> str:
    """Return a word in lower case without accents (ä as a, ß as ss)."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif end > start:
            merged.append((start, end))
    return merged


def _is_pattern(found: str) -> bool:
    """Tell whether a match is what its pattern is meant for: telephone-like groups need seven digits."""
    digits = sum(char.isdigit() for char in found)
    if re.fullmatch(r"[\d+() ./-]+", found) and len(re.findall(r"\d+", found)) >= 3:
        written_date_or_address = re.fullmatch(r"\d{1,4}([-/. ])\d{1,2}\1\d{1,4}|\d+(?:\.\d+){3,}", found)
        return digits >= 7 or written_date_or_address is not None
    return True


def _is_kept_pattern(found: str) -> bool:
    """Tell whether a match stands for an identifier: dotted numbers as a UID does, telephone-like groups by length."""
    if _KEPT_DATE.fullmatch(found):
        return True
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)+", found):
        return found.count(".") >= 4 or len(found) >= MIN_UID_LENGTH
    if re.fullmatch(r"[\d+() ./-]+", found):
        return 7 <= sum(char.isdigit() for char in found) <= 15
    return True


def _named(text: str, vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Return the spans of capitalised words after a title, with the title, or after for and by: they name a person."""
    tokens, spans = _tokens(text, [], vocabulary), []
    for index, token in enumerate(tokens):
        title = token.word in _KEPT_TITLES or (
            token.word in _MODALITY_TITLES and (token.text.istitle() or text[token.end : token.end + 1] == ".")
        )
        if not title and token.word not in _KEPT_CUES:
            continue
        last = token
        for follower in tokens[index + 1 : index + 4]:
            between = text[last.end : follower.start]
            if not follower.word or not follower.text[0].isupper() or not re.fullmatch(r"[ \t.'’^-]{1,3}", between):
                break
            if follower.word in vocabulary.strong or (not title and follower.word in vocabulary.plain):
                break
            last = follower
        if last is not token and (title or len(last.word) > 1):
            spans.append((token.start if title else tokens[index + 1].start, last.end))
    return spans


def _tokens(text: str, spans: list[tuple[int, int]], vocabulary: Vocabulary) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    for start, end in [*spans, (len(text), len(text))]:
        for match in _TOKEN.finditer(text, position, start):
            if match[0][0] != "_":
                tokens.append(_judge(match, text, tokens, vocabulary))
        if end > start:
            cut = text[start:end]
            tokens.append(_Token(start, end, cut, fold(cut) if not re.search(r"[\d@/]", cut) else ""))
        position = end
    return tokens


def _judge(match: re.Match[str], text: str, before: list[_Token], vocabulary: Vocabulary) -> _Token:
    word = match[0].translate(_SUPERSCRIPTS) if _POWER.fullmatch(match[0]) else match[0]
    token = _Token(match.start(), match.end(), match[0], "")
    if not any(char.isdigit() for char in word):
        token.word = fold(word)
        token.keep = token.word in vocabulary or (len(word) == 1 and word.isascii()) or _camel(word, vocabulary)
    elif not any(char.isalpha() for char in word):
        after_jpeg = bool(before) and before[-1].word in {"jpeg", "jpg"}
        token.keep = _is_measure(word, text, match) or (word == "2000" and after_jpeg)
    else:
        token.keep = _is_mixture(word, vocabulary)
    return token


def _camel(word: str, vocabulary: Vocabulary) -> bool:
    """Tell whether a word such as SmartScore is made of vocabulary words of three letters and more."""
    pieces = _CAMEL.findall(word)
    if len(pieces) < 2 or "".join(pieces) != word:
        return False
    return all(len(piece) >= 3 and fold(piece) in vocabulary.strong for piece in pieces)


def _is_measure(number: str, text: str, match: re.Match[str]) -> bool:
    if not re.fullmatch(r"[\d.,]+", number):
        return False  # digits that count nothing, as those in circles
    parts = re.split(r"[.,]", number)
    if len(parts) == 2 and "." in number:
        return len(parts[0]) <= MAX_NUMBER_DIGITS and len(parts[1]) <= 6
    if len(parts) > 4 or any(len(part) > MAX_NUMBER_DIGITS for part in parts):
        return False
    if len(parts) > 1:
        return True
    if number.startswith("0") and len(number) > 2:
        return False  # leading zeros: it counts or names something
    before = text[max(0, match.start() - 2) : match.start()]
    signed = bool(re.fullmatch(r"(?:.*[\s,;(])?[+±-]", before))
    return signed or len(number) < 4 or int(number) not in YEARS


def _is_mixture(word: str, vocabulary: Vocabulary) -> bool:
    """Tell whether letters and digits together are imaging (T1, B30f, 3x3, 5mm) rather than an identifier."""
    pieces = _PIECE.findall(word)
    letters = [fold(piece) for piece in pieces if piece[0].isalpha()]
    numbers = [piece for piece in pieces if piece[0].isdigit()]
    if not numbers or len(pieces) > 7 or sum(len(re.sub(r"\D", "", number)) for number in numbers) > 10:
        return False
    if fold(word) in vocabulary:
        return True
    known = [
        fold(p) in vocabulary or (len(p) == 1 and p.isascii()) or _camel(p, vocabulary) for p in pieces if p.isalpha()
    ]
    if not all(known):
        return False
    longest = max((len(part) for number in numbers for part in re.split(r"[.,]", number)), default=0)
    if set(letters) <= {"x"}:
        return longest <= MAX_NUMBER_DIGITS
    if pieces[0][0].isdigit() and len(letters) == 1:  # a number and its unit: 120kV, 1000ms
        return longest <= (MAX_NUMBER_DIGITS if letters[0] in vocabulary.strong else 2)
    if any(len(part) >= 2 or part in _LONG_AFTER for part in letters):
        return longest <= MAX_NUMBER_DIGITS
    return longest <= 2


def _apply_cues(text: str, tokens: list[_Token], vocabulary: Vocabulary) -> None:
    """Drop the words after a title, those before a credential, and weak ones after a soft cue."""
    for index, token in enumerate(tokens):
        title = token.word in _TITLES or _is_title(text, tokens, index, vocabulary)
        if token.word in _CREDENTIALS:
            _drop_before(text, tokens, index, vocabulary)
        if not title and (token.word not in _SOFT_CUES or not token.keep):
            continue
        token.keep = token.keep and not title
        for follower in tokens[index + 1 : index + 4]:
            if not follower.word or re.search(r"[;:\n\r()]", text[token.end : follower.start]):
                break
            if follower.word in vocabulary.strong and not (len(follower.word) == 1 and title):
                break
            follower.keep = False


def _is_title(text: str, tokens: list[_Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether Dr, Mr or Ms is a title rather than a modality or a unit: so written, or followed by a name."""
    token = tokens[index]
    if token.word not in _MODALITY_TITLES:
        return False
    if token.text.istitle() or text[token.end : token.end + 1] == ".":
        return True
    following = tokens[index + 1] if index + 1 < len(tokens) else None
    if following is None or not following.word or not re.fullmatch(r"[ \t]+", text[token.end : following.start]):
        return False
    return following.word not in vocabulary.strong and following.word not in vocabulary.plain


def _drop_before(text: str, tokens: list[_Token], index: int, vocabulary: Vocabulary) -> None:
    for earlier in reversed(tokens[max(0, index - 2) : index]):
        if not earlier.word or earlier.word in vocabulary.strong:
            break
        if not re.fullmatch(r"[\s.,\w]*", text[earlier.end : tokens[index].start]):
            break
        earlier.keep = False


def _drop_neighbours(text: str, tokens: list[_Token], vocabulary: Vocabulary) -> None:
    """Drop initials and words that are names too where they touch a dropped word: they are the rest of a name."""
    for token, following in pairwise(tokens):
        dotted = _is_initial(token) and text[token.end : following.start] in {". ", "."}
        if dotted and following.word in vocabulary.names and following.text[:1].isupper():
            token.keep = following.keep = False  # W. White
    changed = True
    while changed:
        changed = False
        for index, token in enumerate(tokens):
            if not token.keep or not (token.word in vocabulary.names or _is_initial(token)):
                continue
            for other in tokens[max(0, index - 1) : index] + tokens[index + 1 : index + 2]:
                if _touches_name(text, token, other):
                    token.keep, changed = False, True
                    break


def _is_initial(token: _Token) -> bool:
    return len(token.word) == 1 and token.text.isupper()


def _touches_name(text: str, token: _Token, other: _Token) -> bool:
    if other.keep or len(other.word) < 2:
        return False
    between = text[min(token.end, other.end) : max(token.start, other.start)]
    return bool(re.fullmatch(r"[\s.,'’^-]{1,3}", between))


def _drop_dangling(text: str, tokens: list[_Token]) -> None:
    """Drop prepositions and the like that lost what they point at."""
    for index in range(len(tokens) - 2, -1, -1):
        token = tokens[index]
        if not token.keep or token.word not in _DANGLING or tokens[index + 1].keep or text[token.end] == ".":
            continue
        rest = next((later for later in tokens[index + 1 :] if later.keep), None)
        if rest is None or token.word not in _ARTICLES or re.search(r"[\r\n]", text[token.end : rest.start]):
            token.keep = False


def _join(text: str, tokens: list[_Token]) -> str:
    """Put the kept words together again: separators between neighbours stay, gaps become one blank."""
    parts: list[str] = []
    last: _Token | None = None
    gap = False
    for token in tokens:
        if not token.keep:
            gap = True
            continue
        between = text[last.end if last else 0 : token.start]
        if gap:
            opening = re.search(r"[(\[{<]+$|(?<![\w.)\]])[+\-*#]$", between)
            closing = re.match(r"[)\]}>%°]+", between) if last else None
            line_end = re.search(r"[\r\n\f]+", between)
            blank = "" if last is None else line_end[0] if line_end else " "
            between = f"{closing[0] if closing else ''}{blank}{opening[0] if opening else ''}"
        parts += [between, token.text]
        last, gap = token, False
    if last is None:
        return ""
    tail = text[last.end :]
    if gap:
        closing = re.match(r"[)\]}>%°]+", tail)
        tail = closing[0] if closing else ""
    return _tidy("".join(parts) + tail)


def _tidy(text: str) -> str:
    """Remove empty and unbalanced brackets, double blanks and punctuation that dangles at the ends."""
    text = _EMPTY_BRACKETS.sub(" ", text)
    for opening, closing in ("()", "[]", "{}"):
        text = _balance(text, opening, closing)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?([\r\n\f]+) ?", r"\1", text)
    text = re.sub(r"\s+([,;:.!?])(?=\s|$)", r"\1", text)
    text = re.sub(r"([,;:])[,;:.\s]*(?=[,;:.])", "", text)
    text = text.rstrip(_DANGLING_END)
    start = re.match(r"[\s,;:.!?/\\&^=_-]*", text)
    lead = start[0] if start else ""
    if lead and text[len(lead) : len(lead) + 1].isdigit():
        lead = lead.rstrip("-.")  # a sign or a decimal point
    return text[len(lead) :].strip()


def _balance(text: str, opening: str, closing: str) -> str:
    keep = [True] * len(text)
    open_at: list[int] = []
    for index, char in enumerate(text):
        if char == opening:
            open_at.append(index)
        elif char == closing and not open_at:
            keep[index] = False
        elif char == closing:
            open_at.pop()
    for index in open_at:
        keep[index] = False
    return "".join(char for char, kept in zip(text, keep, strict=True) if kept)
