"""Words and numbers of a text, where they stand and whether they stay."""

from __future__ import annotations

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.value_objects import dataclass

ENDS = Expression(r"[ \t]*(?:$|[,;)\r\n/]|\.(?:\s|$))")
CLAUSE_END = Expression(r"[,;:!?\r\n()\[\]]|\.(?=\s|$)")


@dataclass(slots=True)
class Token:
    """A word, a number or what was cut out, text[start:end]."""

    start: int
    end: int
    text: str
    word: str  # folded if it is made of letters, else ""
    keep: bool = False
    unknown: tuple[str, ...] = ()  # folded words for which it is dropped: the vocabulary lacks them
    named: bool = False  # a cue says that it is a name
    eponym: bool = False  # a name that stands in the name of a thing
    phrase: bool = False  # part of the name of a thing


def is_initial(token: Token) -> bool:
    """Tell whether a token is one capital that may be the initial of a name, and no sign of what is missing."""
    return len(token.word) == 1 and token.text.isupper() and token.text != "Ø"
