"""Known identifiers in well-formed values of CS, DS and IS: a component that is or holds one becomes the dummy of the VR.

In CS a word of imaging is none, whoever is called by it, and what has fewer than `MIN_INSIDE` characters counts as a whole
component only. In DS and IS a number counts as a whole component, with or without zeros in front.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from phi_deid_pipeline.actions import dummy_string, padded
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.lexicon import MIN_NUMBER
from phi_deid_pipeline.lexicon_words import RUN, WORD, fold
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.value_objects import dataclass
from phi_deid_pipeline.word_list import Words

if TYPE_CHECKING:
    from phi_deid_pipeline.free_text import Vocabulary
    from phi_deid_pipeline.lexicon import Lexicon

MIN_INSIDE = 5  # characters
MIN_WORD = 4  # letters of a name beside other words
MAX_CODE_DIGITS, MAX_DIGITS_BESIDE_LETTERS = 5, 6  # in a code that tells of nobody
# Of a word that is none of imaging in such a code, alone and beside digits: RPID12.
MAX_CODE_LETTERS, MAX_LETTERS_BESIDE_DIGITS = 3, 4
_PLAIN_CODE = Expression(rb"[A-Za-z0-9./_-]{1,16}[ \x00]?")
_CODE_WORD = Expression(rb"[0-9A-Za-z]+")
_SHORT_DATE = Expression(r"\d{1,2}[ _]\d{1,2}[ _]\d{1,2}")  # may be any numbers


@dataclass(frozen=True)
class KnownCodes:
    """What is known of a patient, less the words of imaging; `numbers` as they stand in DS and IS."""

    lexicon: Lexicon
    ordinary: Container[str]
    numbers: frozenset[bytes]

    def stands_in(self, part: str) -> bool:
        """Tell whether a component of CS holds a known identifier."""
        whole = "".join(WORD.findall(part))
        for start, end, category in self.lexicon.hits(part):
            found = part[start:end]
            words = WORD.findall(fold(found))
            joined = "".join(words)
            if all(word in self.ordinary or len(word) < 2 for word in words):
                continue
            if category is Category.DATE and _SHORT_DATE.fullmatch(found):
                continue
            if len(joined) >= (MIN_WORD if joined.isalpha() else MIN_INSIDE) or len(joined) == len(whole):
                return True
        return False


def known_codes(lexicon: Lexicon, vocabulary: Vocabulary) -> KnownCodes:
    """Return what values of CS, DS and IS are compared with."""
    ordinary = Words(lambda word: word in vocabulary.strong or word in vocabulary.plain)
    numbers = frozenset(code.encode("ascii") for code in lexicon.codes if code.isascii() and code.isdigit())
    bare = {number.lstrip(b"0") for number in numbers}  # of 000001 nothing is left that tells of anybody
    return KnownCodes(lexicon, ordinary, numbers | {number for number in bare if len(number) >= MIN_NUMBER})


def without_codes(vr: str, value: bytes, known: KnownCodes, days: list[bool] | None = None) -> bytes | None:
    """Put the dummy of the VR in the place of each component that is, or for CS holds, a known code; None if none is.

    `days` tells of components that are known for another reason.
    """
    parts = [part.strip(b" \x00") for part in value.split(b"\\")]
    if vr == "CS":
        hit = [known.stands_in(part.decode("ascii", "replace")) for part in parts]
    else:
        hit = [not known.numbers.isdisjoint((part.lstrip(b"+"), part.lstrip(b"+0"))) for part in parts]
    if days is not None:
        hit = [one or other for one, other in zip(hit, days, strict=True)]
    if not any(hit):
        return None
    dummy = dummy_string(vr)
    return padded(vr, b"\\".join(dummy if found else part for part, found in zip(parts, hit, strict=True)))


def is_plain_code(value: bytes, vocabulary: Vocabulary) -> bool:
    """Tell whether a local code value is one that tells of nobody: CODE_01, CT0012; not a name, nor the number of a patient."""
    if not _PLAIN_CODE.fullmatch(value):
        return False
    words = [word.decode("ascii").lower() for word in _CODE_WORD.findall(value)]
    runs = [(run, word) for word in words for run in RUN.findall(word)]
    digits = sum(len(run) for run, _ in runs if run.isdigit())
    if digits > (MAX_CODE_DIGITS if all(run.isdigit() for run, _ in runs) else MAX_DIGITS_BESIDE_LETTERS):
        return False
    return all(
        run.isdigit()
        or len(run) <= (MAX_CODE_LETTERS if word.isalpha() else MAX_LETTERS_BESIDE_DIGITS)
        or run in vocabulary
        for run, word in runs
    )
