"""Compare what was read with known identifiers, with the mistakes of optical reading and its free order of words allowed for."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from phi_deid_pipeline.records import Category

# Glyphs that readers take for one another, folded to a digit on both sides.
_CONFUSED = str.maketrans("OQDILJZSBGT", "00011125867")
EXACT_UNDER, ONE_EDIT_UNDER = (
    5,
    9,
)  # characters; shorter needles match without edits, with one edit, longer ones with two
WHOLE_TOKEN_UNDER = 4  # characters; shorter needles match whole tokens only
MAX_PARTS = 4  # of a name, whose orders are all tried
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS_DE = ("JAN", "FEB", "MRZ", "APR", "MAI", "JUN", "JUL", "AUG", "SEP", "OKT", "NOV", "DEZ")
_MONTHS_FULL = (
    "JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER",
    "DECEMBER",
)  # fmt: skip
_NAME_CATEGORIES = (Category.NAME, Category.PERSON)
_WORD_CATEGORIES = (Category.INSTITUTION, Category.ADDRESS)
MIN_PLACE_WORD = 4  # letters; shorter words of institutions and addresses do not stand for them


def plain(text: str) -> str:
    """Return upper-case letters and digits and blanks only, accents dropped."""
    apart = unicodedata.normalize("NFKD", text.upper().replace("ß", "SS"))
    return "".join(c if c.isalnum() else " " for c in apart if not unicodedata.combining(c))


def folded(text: str) -> str:
    """Return letters and digits only, accents dropped, confusable glyphs folded."""
    return plain(text).replace(" ", "").translate(_CONFUSED)


def allowed_edits(length: int) -> int:
    """Return how many edits a needle of that length may differ by."""
    return 0 if length < EXACT_UNDER else 1 if length < ONE_EDIT_UNDER else 2


def contains(text: str, needle: str) -> bool:
    """Tell whether a needle occurs in a text with at most the edits allowed for its length (both folded)."""
    if needle in text:
        return True
    edits = allowed_edits(len(needle))
    if edits == 0 or len(text) < len(needle) - edits:
        return False
    # With k edits at least one of k + 1 pieces of the needle is untouched.
    cuts = [round(i * len(needle) / (edits + 1)) for i in range(edits + 2)]
    if not any(needle[a:b] in text for a, b in itertools.pairwise(cuts)):
        return False
    return _distance_in(text, needle) <= edits


def _distance_in(text: str, needle: str) -> int:
    """Return the least number of edits between the needle and any part of the text (Sellers)."""
    row = list(range(len(needle) + 1))
    best = row[-1]
    for character in text:
        previous, row = row, [0]
        for i, wanted in enumerate(needle):
            row.append(min(previous[i] + (wanted != character), previous[i + 1] + 1, row[i] + 1))
        best = min(best, row[-1])
    return best


def date_forms(value: str) -> set[str]:
    """Return the written forms of a date YYYYMMDD..., empty where it is none."""
    digits = value[:8]
    if len(digits) < 8 or not digits.isdigit():
        return set()
    year, month, day = digits[:4], digits[4:6], digits[6:]
    if not 1 <= int(month) <= 12 or not 1 <= int(day) <= 31:
        return set()
    short, d, m = year[2:], str(int(day)), str(int(month))
    forms = {year + month + day, day + month + year, month + day + year, short + month + day}
    forms |= {day + month + short, month + day + short, d + m + year, m + d + year}
    for names in (_MONTHS, _MONTHS_DE, _MONTHS_FULL):
        name = names[int(month) - 1]
        forms |= {day + name + year, d + name + year, day + name + short, d + name + short}
        forms |= {name + day + year, name + d + year, year + name + day}
    return forms


@dataclass(frozen=True, slots=True)
class Needle:
    """One form of an identifier: folded, or the plain token where it is so short that only a whole token counts."""

    text: str
    category: Category
    whole_token: bool


def needles_of(category: Category, value: str) -> set[Needle]:
    """Return the forms in which one lexicon entry may stand in a picture."""
    words = plain(value).split()
    if category is Category.DATE:
        return {Needle(folded(form), category, False) for form in date_forms(value)}
    forms = {"".join(words)}
    if category in _NAME_CATEGORIES:
        forms |= set(words)
        for order in itertools.permutations(words[:MAX_PARTS]):
            forms |= {"".join(order[:n]) for n in range(2, len(order) + 1)}
    elif category in _WORD_CATEGORIES:
        forms |= {word for word in words if len(word) >= MIN_PLACE_WORD}
    found = set()
    for form in forms:
        if len(form) >= WHOLE_TOKEN_UNDER:
            found.add(Needle(folded(form), category, False))
        elif (len(form) >= 2 and len(words) == 1) or (len(form) >= 2 and category in _NAME_CATEGORIES):
            found.add(Needle(form, category, True))
    return found


class Matcher:
    """Finds the identifiers of one patient in what was read; remembers texts it has seen."""

    def __init__(self, entries: Iterable[tuple[Category, str]], ordinary: frozenset[str]) -> None:
        """Take (category, value) pairs; `ordinary` words stand for no institution or address alone."""
        found: set[Needle] = set()
        for category, value in entries:
            for needle in needles_of(category, value):
                lone_word = category in _WORD_CATEGORIES and needle.text in ordinary
                if not lone_word:
                    found.add(needle)
        self._needles = sorted(found, key=lambda n: (-len(n.text), n.text, n.category))
        self._memory: dict[str, Category | None] = {}

    def category(self, text: str) -> Category | None:
        """Return the category of the longest identifier found in a text, None where there is none."""
        if text not in self._memory:
            self._memory[text] = self._search(text)
        return self._memory[text]

    def _search(self, text: str) -> Category | None:
        tokens = plain(text).split()
        # A short needle matches a token as it stands, or with confused glyphs where the token holds a letter.
        whole = set(tokens)
        squeezed = folded(text)
        for needle in self._needles:
            if needle.whole_token:
                if needle.text in whole or self._confused(needle.text, tokens):
                    return needle.category
            elif contains(squeezed, needle.text):
                return needle.category
        return None

    @staticmethod
    def _confused(needle: str, tokens: list[str]) -> bool:
        wanted = needle.translate(_CONFUSED)
        return len(needle) > 2 and any(
            token.translate(_CONFUSED) == wanted and any(c.isalpha() for c in token) for token in tokens
        )
