"""A form of what identifies: an expression that takes long to compile, and cheap signs of the texts that it may match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.languages import spellings

_HEAD = 32  # characters of a word that are looked at before an expression is
_MANY_WORDS = 16  # from which on an expression is made of those alone that a text may hold
_MOST_SHORTENED = 8  # such expressions of a form; then it is made of all words
_NEVER = "(?!)"


def any_of(rows: Iterable[str]) -> str:
    """Return an alternative of words in all spellings; a blank stands for blanks, points and hyphens between words."""
    return _any_of(tuple(rows))


@lru_cache(maxsize=512)
def _any_of(rows: tuple[str, ...]) -> str:
    return _alternative(spellings(rows))


def _alternative(spelled: Iterable[str]) -> str:
    found = "|".join([re.escape(row).replace(r"\ ", r"[ .-]{1,3}") for row in spelled])
    return f"(?:{found})" if found else _NEVER


class Look:
    """What is seen of a text at a glance: its digits, the most of them in a row, and in lower case what its words begin with.

    The latter is None where the text is not of ASCII alone.
    """

    def __init__(self, text: str) -> None:
        self.lower = text.lower()
        self.digits = sum(map(str.isdigit, text))
        self.run = max(map(len, re.findall(r"\d+", text)), default=0) if self.digits else 0
        self.beginnings = _beginnings(self.lower) if text.isascii() else None


@lru_cache(maxsize=64)
def _look(text: str) -> Look:
    return Look(text)


class Form:
    """An expression, compiled when a text comes that may match, and what every match has in it.

    `marks`: so many `times` one of these characters; `digits`: so many digits, `run` of them in a row; `needs`: what a short
    expression finds; `starts`: one of these words (or its part in front of a blank) where a word begins; `holds`: one of them
    anywhere. The words are asked for in texts of ASCII alone, where lower case is all that the expression ignores. Of an
    expression with many of them, those alone are compiled that the text may hold.
    """

    def __init__(
        self,
        pattern: str,
        *,
        marks: str = "",
        times: int = 1,
        digits: int = 0,
        run: int = 0,
        needs: Expression | None = None,
        starts: Iterable[str] = (),
        holds: Iterable[str] = (),
    ) -> None:
        self.pattern = pattern
        self.needs = needs
        self._marks, self._times = marks, times
        self._digits, self._run = digits, run
        self._starts, self._holds = tuple(starts), tuple(holds)
        self._shortened: dict[tuple[str, ...], re.Pattern[str]] = {}

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)

    @cached_property
    def _heads(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return what a word may begin with, and what may be anywhere."""
        plain, others = _heads(self._starts)
        return plain, others.union(*_heads(self._holds))

    @cached_property
    def words(self) -> str:
        """The alternative of many words in the pattern, "" where it has none."""
        rows = self._starts or self._holds
        found = any_of(rows) if rows else ""
        return found if found in self.pattern and len(spellings(rows)) >= _MANY_WORDS else ""

    def may_match(self, text: str, look: Look) -> bool:
        """Tell whether a text may match."""
        if look.digits < self._digits or look.run < self._run:
            return False
        if self._marks and sum(map(text.count, self._marks)) < self._times:
            return False
        if not self._may_hold_words(look):
            return False
        return self.needs is None or self.needs.search(text) is not None

    def _may_hold_words(self, look: Look) -> bool:
        if look.beginnings is None or not (self._starts or self._holds):
            return True
        starts, holds = self._heads
        return not starts.isdisjoint(look.beginnings) or any(head in look.lower for head in holds)

    def expression(self, look: Look) -> re.Pattern[str]:
        """Return what finds in a text what the whole expression finds."""
        if look.beginnings is None or not self.words or "compiled" in vars(self):
            return self.compiled
        starts, holds = self._heads
        there = {head for head in holds if head in look.lower} | (starts & look.beginnings)
        spelled = tuple(row for row in spellings(self._starts or self._holds) if _head(row) in there)
        found = self._shortened.get(spelled)
        if found is None:
            if len(self._shortened) == _MOST_SHORTENED:
                return self.compiled
            found = re.compile(self.pattern.replace(self.words, _alternative(spelled)), re.IGNORECASE)
            self._shortened[spelled] = found
        return found


def _head(row: str) -> str:
    return row.partition(" ")[0].lower()[:_HEAD]


def _heads(rows: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return what rows hold in front of their first blank: letters and digits alone, and with other characters."""
    heads = set(map(_head, spellings(rows)))
    plain = frozenset(filter(str.isalnum, heads))
    return plain, frozenset(heads - plain)


def _beginnings(lower: str) -> frozenset[str]:
    """Return what the words of a text in lower case begin with."""
    words = re.findall(r"[^\W_]+", lower)
    return frozenset(word[:end] for word in words for end in range(1, min(len(word), _HEAD) + 1))


def matches(forms: Iterable[Form], text: str) -> Iterator[re.Match[str]]:
    """Yield what one expression of all forms as alternatives would find: the leftmost, of several the first form's."""
    look = _look(text)
    asked = [form.expression(look) for form in forms if form.may_match(text, look)]
    found = [(form, form.search(text)) for form in asked]
    at = 0
    while found := [(form, match) for form, match in found if match is not None]:
        best = min((match for _, match in found if match is not None), key=lambda match: match.start())
        yield best
        at = best.end()
        found = [(form, m if m is not None and m.start() >= at else form.search(text, at)) for form, m in found]
