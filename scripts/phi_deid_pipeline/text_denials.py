"""What denies goes with what it denies: what is left of a text never says the opposite."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.text_tokens import CLAUSE_END, Token

if TYPE_CHECKING:
    from phi_deid_pipeline.vocabulary import Vocabulary

# What is denied as a whole: in CT ABDOMEN WITHOUT CONTRAST and a name, the name is no part of that.
CONTRAST = frozenset(
    {
        "con",
        "contrast",
        "contraste",
        "contrasto",
        "gad",
        "gado",
        "gadolinium",
        "injection",
        "km",
        "kontrast",
        "kontrastmittel",
    }
    | {"civ", "cm", "mdc", "pdc", "iv", "ivc"}
)
_NO_AGENT = frozenset({"con", "cm", "iv", "ivc"})
_SIDES_JOINED = frozenset({"u", "und", "and", "et", "y", "e", "en", "i", "vs", "versus", "than", "als"})
_COMPARED = Expression(r"[.]?\s*[><=≥≤/+&]{1,3}\s*")
_ANSWERED = Expression(r"[ \t]*(?:$|[,;.)\r\n])")


def drop_bare(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop a negation that denied nothing but a person who went: CT knee, not for Dr. Smith; not Contrast no Dr. Smith."""
    for clause in _clauses(text, tokens):
        for index, token in enumerate(clause[:-1]):
            if not denies(text, clause, index, vocabulary) or any(later.keep for later in clause[index + 1 :]):
                continue
            before = [one for one in clause[:index] if one.keep]
            answers = not before and expression(r"[:?]\s*$").search(text[: token.start])
            both = vocabulary.negations[token.word]
            if answers or (both and token.word not in vocabulary.cues.bare):
                continue
            if not both or vocabulary.cues.study.issuperset(one.word for one in before):
                token.keep = False


def denies(text: str, tokens: list[Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether a token is a negation that stays, and no mark of a number: Series No 4, CT No. 4."""
    token = tokens[index]
    if not token.keep or token.word not in vocabulary.negations:
        return False
    if not index or token.word not in vocabulary.cues.marks or not expression(r"\.? ?\d").match(text[token.end :]):
        return True
    before = tokens[index - 1]
    pointed = token.text[0].isupper() and text[token.end] == "."
    return not (text[before.end : token.start] == " " and (before.word in vocabulary.cues.numbered or pointed))


def drop_misled(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop a negation and what it denies where a word went out of that because it is unknown.

    What is left could say the opposite: no displaced fracture. It is what stands behind, to the end of the clause; with one
    that denies what stands before it, the whole clause, but for words that name the study alone.
    """
    for clause in _clauses(text, tokens):
        lost = {index for index in range(len(clause)) if _is_lost(clause, index, vocabulary)}
        _drop_behind_names(clause, vocabulary)
        if not lost:
            continue
        capitals = text.isupper()
        nouns = {i for i in lost if i > 1 and not clause[i].named and _is_noun(clause, i, vocabulary)}
        apart = [i for i in lost if clause[i].text.islower() or i in nouns or (capitals and not clause[i].named)]
        first, last = min(apart, default=len(clause)), max(apart, default=-1)
        for index, token in enumerate(clause):
            if not denies(text, clause, index, vocabulary):
                continue
            following = _next_word(clause, index, 1, vocabulary)
            whole = following >= 0 and clause[following].keep and clause[following].word in CONTRAST
            both = vocabulary.negations[token.word] and not whole
            behind = following in lost or (last > index and not whole)
            if not behind and not (both and (first < index or _next_word(clause, index, -1, vocabulary) in lost)):
                continue
            before = [one.word for one in clause[:index] if one.keep and one.word]
            start = 0 if both and not vocabulary.cues.study.issuperset(before) else index
            for denied in clause[start:]:
                denied.keep = False
        _drop_refused(text, clause, lost, vocabulary)


def _drop_behind_names(clause: list[Token], vocabulary: Vocabulary) -> None:
    """Drop what stands behind a word that denies and is a name too, where it went for its capital: Uden kontrast."""
    for index, token in enumerate(clause):
        if token.word in vocabulary.small and token.word in vocabulary.negations and not token.keep:
            for denied in clause[index:]:
                denied.keep = False


def _is_noun(clause: list[Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether a word stands behind an article of German, whose nouns have capitals, that is no part of a name: von der."""
    before, article, cues = clause[index - 2], clause[index - 1], vocabulary.cues
    called = before.word in cues.dangling or before.word in cues.soft
    return article.text.islower() and article.word in cues.noun_articles and not called


def _clauses(text: str, tokens: list[Token]) -> list[list[Token]]:
    """Return the tokens by clause; the point behind a single letter (V.a.) ends none."""
    clauses: list[list[Token]] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        mark = CLAUSE_END.search(text, before.end, token.start + 1) if before else None
        if before is None or (mark and not (mark[0] == "." and len(before.text) == 1)):
            clauses.append([])
        clauses[-1].append(token)
    return clauses


def _is_lost(clause: list[Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether a word went as unknown, not because it is a title, a name behind one, a cue or a name behind that."""
    token, cues = clause[index], vocabulary.cues
    titles = cues.titles | cues.modality_titles
    if token.keep or not token.unknown or token.word in cues.soft | cues.credentials | titles:
        return False
    if token.named and _is_behind_title(clause, index, vocabulary):
        return False
    return not token.named or token.text.islower()


def _is_behind_title(clause: list[Token], index: int, vocabulary: Vocabulary) -> bool:
    """Tell whether a title stands before a word, but for its ending or given names between: dott.ssa rossi, frau anna mueller."""
    between = vocabulary.given_names | vocabulary.cues.title_endings
    before = next((one.word for one in reversed(clause[:index]) if one.word not in between), "")
    return before in vocabulary.cues.titles | vocabulary.cues.modality_titles


def _next_word(clause: list[Token], index: int, step: int, vocabulary: Vocabulary) -> int:
    """Return where the next word stands that is no preposition, article or name of the vocabulary that went; else -1."""
    index += step
    while 0 <= index < len(clause):
        word = clause[index].word
        if word not in (vocabulary.cues.dangling if clause[index].keep else vocabulary.names):
            break
        index += step
    return index if 0 <= index < len(clause) else -1


def drop_single_sides(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Drop both of two sides that are compared where one of them went: of li > re never re alone."""
    sides = vocabulary.cues.sides
    for index, token in enumerate(tokens[:-1]):
        other = index + 1
        if token.word not in sides:
            continue
        if tokens[other].word in _SIDES_JOINED and other + 1 < len(tokens):
            other += 1
            joined = expression(r"[.]?\s+[^\W\d_]+[.]?\s+").fullmatch(text[token.end : tokens[other].start]) is not None
        else:
            joined = _COMPARED.fullmatch(text, token.end, tokens[other].start) is not None
        if joined and tokens[other].word in sides and token.keep != tokens[other].keep:
            for one in tokens[index : other + 1]:
                one.keep = False


def keep_answers(text: str, tokens: list[Token], vocabulary: Vocabulary) -> None:
    """Keep a bare yes or no behind a question that stays (Dutch nee is née too), and drop it where its question went."""
    for question, answer in pairwise(tokens):
        if answer.word not in vocabulary.cues.answers or not answer.text.islower():
            continue
        asked = expression(r"\s*[:?]\s*").fullmatch(text[question.end : answer.start]) is not None
        if asked and _ANSWERED.match(text, answer.end):
            answer.keep = question.keep


def _drop_refused(text: str, clause: list[Token], lost: set[int], vocabulary: Vocabulary) -> None:
    """Drop a contrast agent beside an unknown word in lower case, which may say that it was refused."""
    capitals = text.isupper()
    passed = CONTRAST | vocabulary.cues.auxiliaries
    for index, token in enumerate(clause):
        if not token.keep or token.word not in CONTRAST - _NO_AGENT:
            continue
        if index and any(one.keep and one.word in vocabulary.negations for one in clause[max(0, index - 2) : index]):
            continue  # without contrast
        for step in (1, -1):
            other = index + step
            while 0 <= other < len(clause) and clause[other].word in passed:
                other += step
            unknown = other in lost and not clause[other].named and (capitals or clause[other].text.islower())
            if unknown:
                for one in clause[min(index, other) : max(index, other) + 1]:
                    one.keep = False
