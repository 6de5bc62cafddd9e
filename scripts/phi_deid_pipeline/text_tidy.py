"""Tidy what is left of a text where words went: brackets that stand alone or empty, blanks and punctuation that dangles."""

from __future__ import annotations

from phi_deid_pipeline.expressions import Expression, expression

_DANGLING_END = " \t\r\n\f,;:/\\&^=_([{+*#-"
_SIGN = Expression(r"(?<=[^\W_])[+-]+(?![^\W_])")  # of a receptor: PR-
_EMPTY_BRACKETS = Expression(r"\(\s*\)|\[\s*\]|\{\s*\}|<\s*>|\"\s*\"")


def tidy(text: str) -> str:
    """Remove empty and unbalanced brackets, double blanks and punctuation that dangles at the ends."""
    text = _EMPTY_BRACKETS.sub(" ", text)
    for opening, closing in ("()", "[]", "{}"):
        text = _balance(text, opening, closing)
    text = expression(r"[ \t]+").sub(" ", text)
    text = expression(r" ?([\r\n\f]+) ?").sub(r"\1", text)
    text = expression(r"\s+([,;:.!?])(?=\s|$)").sub(r"\1", text)
    text = expression(r"([,;:])[,;:.\s]*(?=[,;:.])").sub("", text)
    kept = text.rstrip(_DANGLING_END)
    sign = _SIGN.match(text, len(kept))
    text = kept + (sign[0] if sign else "")
    start = expression(r"[\s,;:.!?/\\&^=_-]*").match(text)
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
