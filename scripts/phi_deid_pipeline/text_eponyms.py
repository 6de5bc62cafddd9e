"""Things that are called after a person, as Baker's cyst and NASH, which Nash is not: they stay where they name no person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phi_deid_pipeline.expressions import expression
from phi_deid_pipeline.text_tokens import ENDS, Token, is_initial

if TYPE_CHECKING:
    from phi_deid_pipeline.vocabulary import Vocabulary

OF = frozenset({"de", "di", "du", "of", "van"})
_APOSTROPHES = ("'", "\u2019")
_SHORTENED = frozenset("mq")  # first words of phrases that a point may stand behind: M. Hodgkin, Q.Clear
_SHORTEST = 2  # letters of an acronym


def keep_eponyms(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Keep the names of things such as Baker's cyst, which would go as names of persons."""
    for index, token in enumerate(tokens):
        written = vocabulary.eponyms.get(token.text, ()) if token.text.isupper() else ()  # NASH, which Nash is not
        for phrase in (*vocabulary.eponyms.get(token.word, ()), *written) if token.word else ():
            found = _phrase_at(text, tokens[index : index + 2 * len(phrase)], phrase)
            for one in found:
                small = one.text.islower() and one.word in vocabulary.small  # Knie li
                one.eponym = one.eponym or len(one.word) == 1 or not (small or one.word in vocabulary.strong)
                one.keep, one.unknown, one.phrase = True, (), True


def _phrase_at(text: str, tokens: list[Token], phrase: tuple[str, ...]) -> list[Token]:
    """Return the tokens that a phrase begins with the first of, its possessive s included; none if they say something else.

    What was cut out of the text, as a known identifier is, is no part of a phrase.
    """
    found: list[Token] = []
    rest = list(phrase)
    for token in tokens:
        between = text[found[-1].end : token.start] if found else ""
        if found and token.word == "s" and between in _APOSTROPHES:
            found.append(token)
            continue
        number = token.keep and (
            token.text == rest[0] or (rest[0] == "#" and expression(r"[0-9]{1,2}").fullmatch(token.text))
        )
        if not (number or (rest[0] in (token.word, token.text) and (token.keep or token.unknown))):
            return []
        if (
            found
            and not expression(r"[ \t-]{1,3}").fullmatch(between)
            and not (found[-1].word in _SHORTENED and between in {".", ". "})
        ):
            return []
        found.append(token)
        rest.pop(0)
        if not rest:
            return found
    return []


def drop_acronyms(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop an acronym that is a surname in other letters (NASH) beside an initial, or at the end of whose study it is.

    J. NASH; NASH, J.; scan of NASH; not R. FAI, which is a side, nor CT of NASH cirrhosis.
    """
    for index, token in enumerate(tokens):
        if not token.eponym or token.word in vocabulary or not token.text.isupper() or len(token.text) < _SHORTEST:
            continue
        first = index
        while first and _is_signed(text, tokens[first - 1], (".", ". "), tokens[first]):
            first -= 1
        last = index
        while last + 1 < len(tokens) and _is_signed(text, tokens[last + 1], (" ", ", ", ".", ". "), tokens[last]):
            last += 1
        before = tokens[index - 2] if index > 1 and tokens[index - 1].word in OF else None
        study = before is not None and vocabulary.is_study(before.word) and ENDS.match(text, token.end) is not None
        for one in tokens[first : last + 1] if last > first or study else ():
            one.keep, one.unknown, one.named = False, (), True


def _is_signed(text: str, initial: Token, gaps: tuple[str, ...], beside: Token) -> bool:
    """Tell whether a token is an initial with a point, and no side, one of some gaps away from what stands beside it."""
    first, last = sorted((initial, beside), key=lambda one: one.start)
    pointed = text[initial.end : initial.end + 1] == "."
    return is_initial(initial) and initial.text not in ("L", "R") and pointed and text[first.end : last.start] in gaps
