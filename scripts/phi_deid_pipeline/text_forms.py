"""A form of what identifies: an expression that takes long to compile, and cheap signs of the texts that it may match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.languages import spellings

_HEAD = 32  # characters of a word that are looked at before an expression is


class Form:
    """An expression, compiled when a text comes that may match, and what every match has in it.

    `marks`: one of these characters; `digits`: so many digits; `needs`: what a short expression finds; `starts`: one of these
    words (or its part in front of a blank) where a word begins; `holds`: one of them anywhere. The words are asked for in
    texts of ASCII alone, where lower case is all that the expression ignores.
    """

    def __init__(
        self,
        pattern: str,
        *,
        marks: str = "",
        digits: int = 0,
        needs: Expression | None = None,
        starts: Iterable[str] = (),
        holds: Iterable[str] = (),
    ) -> None:
        self.pattern = pattern
        self.needs = needs
        self._marks = frozenset(marks)
        self._digits = digits
        self._starts, first = _heads(starts)
        self._holds = first | frozenset[str]().union(*_heads(holds))
        self._asks_words = bool(self._starts or self._holds)

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)

    def may_match(self, text: str, digits: int, beginnings: frozenset[str] | None) -> bool:
        """Tell whether a text may match; `beginnings` of its words in lower case, None where it is not of ASCII alone."""
        if digits < self._digits or (self._marks and self._marks.isdisjoint(text)):
            return False
        if not self._may_hold_words(text, beginnings):
            return False
        return self.needs is None or self.needs.search(text) is not None

    def _may_hold_words(self, text: str, beginnings: frozenset[str] | None) -> bool:
        if beginnings is None or not self._asks_words or not self._starts.isdisjoint(beginnings):
            return True
        if not self._holds:
            return False
        lower = text.lower()
        return any(head in lower for head in self._holds)


def _heads(rows: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return what rows hold in front of their first blank: letters and digits alone, and with other characters."""
    heads = {row.partition(" ")[0].lower()[:_HEAD] for row in spellings(rows)}
    plain = frozenset(filter(str.isalnum, heads))
    return plain, frozenset(heads - plain)


def _beginnings(text: str) -> frozenset[str] | None:
    """Return what the words of a text begin with, in lower case; None where it is not of ASCII alone."""
    if not text.isascii():
        return None
    words = re.findall(r"[^\W_]+", text.lower())
    return frozenset(word[:end] for word in words for end in range(1, min(len(word), _HEAD) + 1))


def matches(forms: Iterable[Form], text: str) -> Iterator[re.Match[str]]:
    """Yield what one expression of all forms as alternatives would find: the leftmost, of several the first form's."""
    digits, beginnings = sum(map(str.isdigit, text)), _beginnings(text)
    found = [(form.compiled, form.compiled.search(text)) for form in forms if form.may_match(text, digits, beginnings)]
    at = 0
    while found := [(form, match) for form, match in found if match is not None]:
        best = min((match for _, match in found if match is not None), key=lambda match: match.start())
        yield best
        at = best.end()
        found = [(form, m if m is not None and m.start() >= at else form.search(text, at)) for form, m in found]
