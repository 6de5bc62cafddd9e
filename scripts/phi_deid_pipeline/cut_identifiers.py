"""Which identifiers of HIPAA Safe Harbor a cleaning served: letters of 45 CFR 164.514(b)(2)(i), by what was cut.

What the lexicon knows has a category; what a pattern found is told by its shape; a word that the vocabulary lacks can be
anything (R). Only looked at where a value changed, once for the same value of a patient.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.records import Category

if TYPE_CHECKING:
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.text_patterns import Patterns
    from phi_deid_pipeline.vocabulary import Vocabulary

OTHER = "R"
_LETTERS = {
    Category.NAME: "A",
    Category.PERSON: "A",
    Category.RECORD_NUMBER: "H",
    Category.ACCESSION: "J",
    Category.DATE: "C",
    Category.BIRTH_DATE: "C",
    Category.INSTITUTION: "B",
    Category.ADDRESS: "B",
    Category.CONTACT: "D",
    Category.DEVICE: "M",
}
_URL = Expression(r"\w+://|www\.", re.IGNORECASE)
_IP = Expression(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_DAY = Expression(
    r"(?<!\d)(?:\d{1,2}([-/. ])\d{1,2}\1\d{2,4}|\d{4}([-/. ])\d{1,2}\2\d{1,2}|(?:19|20)\d{6})(?!\d)", re.ASCII
)
_TELEPHONE = Expression(r"\+?(?=[\d() ./-]*\d[() ./-])\d[\d() ./-]{5,}\d", re.ASCII)  # in groups
_WORD = Expression(r"[^\W\d_]{2,}")


def letters_of(categories: Iterable[str]) -> str:
    """Return the letters of categories of identifiers, in order; R for one that no letter is made for."""
    return "".join(sorted({_LETTERS.get(category, OTHER) for category in categories}))  # type: ignore[call-overload]


def letters_cut(
    before: str, after: str, lexicon: Lexicon, vocabulary: Vocabulary, *, described: bool, unknown: bool
) -> str:
    """Return the letters of what a text lost, "" where nothing of it can be told.

    `described` texts were cleaned word by word, others lost what is known or unmistakable; `unknown` says that words went
    because the vocabulary lacks them.
    """
    patterns = vocabulary.patterns
    hits = lexicon.hits(before)
    found = {_contact(before[start:end]) or letters_of([category]) for start, end, category in hits}
    spans = patterns.in_description(before, vocabulary.is_imaging) if described else patterns.in_kept_text(before)
    apart = [span for span in spans if not any(_meet(span, (first, last)) for first, last, _ in hits)]
    ages = patterns.age_spans(before) if described else []
    for start, end in apart:
        aged = any(_meet((start, end), age) for age in ages)
        found.add("C" if aged else _by_shape(before[start:end], patterns))
    if described and any(True for _ in patterns.days_without_year(before, lexicon.days)):
        found.add("C")
    if unknown:
        found.add(OTHER)
    if not found and Counter(_WORD.findall(before)) - Counter(_WORD.findall(after)):
        found.add("A")  # nothing but a title or the like told that it is a name
    return "".join(sorted(found))


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _contact(text: str) -> str:
    """Return the letter of an address of a network, "" for anything else."""
    if "@" in text:
        return "F"
    if _URL.search(text):
        return "N"
    return "O" if _IP.fullmatch(text.strip()) else ""


def _by_shape(text: str, patterns: Patterns) -> str:
    if contact := _contact(text):
        return contact
    if _DAY.search(text) or patterns.kept_date.search(text):
        return "C"
    return "D" if _TELEPHONE.search(text) else OTHER
