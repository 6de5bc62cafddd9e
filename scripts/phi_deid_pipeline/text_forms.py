"""A form of what identifies, as an expression, and what several of them find in a text together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.languages import spellings

_NEVER = "(?!)"


@lru_cache(maxsize=512)
def _any_of(rows: tuple[str, ...]) -> str:
    found = "|".join([re.escape(row).replace(r"\ ", r"[ .-]{1,3}") for row in spellings(rows)])
    return f"(?:{found})" if found else _NEVER


def any_of(rows: Iterable[str]) -> str:
    """Return an alternative of words in all spellings; a blank stands for blanks, points and hyphens between words."""
    return _any_of(tuple(rows))


class Form(Expression):
    """An expression that ignores case, and how many digits every match has in it: of most texts that is all it is asked for."""

    def __init__(self, pattern: str, *, digits: int = 0) -> None:
        super().__init__(pattern, re.IGNORECASE)
        self.digits = digits


def matches(forms: Iterable[Form], text: str) -> Iterator[re.Match[str]]:
    """Yield what one expression of all forms as alternatives would find: the leftmost, of several the first form's."""
    digits = sum(map(str.isdigit, text))
    found = [(form, form.search(text)) for form in forms if form.digits <= digits]
    at = 0
    while found := [(form, match) for form, match in found if match is not None]:
        best = min((match for _, match in found if match is not None), key=lambda match: match.start())
        yield best
        at = best.end()
        found = [(form, m if m is not None and m.start() >= at else form.search(text, at)) for form, m in found]
