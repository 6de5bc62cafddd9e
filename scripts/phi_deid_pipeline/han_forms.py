"""Ideographs that are forms of one another (traditional, simplified, Japanese): resources/han_forms, a table of Unicode."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_TABLE = Path(__file__).resolve().parents[2] / "resources" / "han_forms" / "han_forms.txt"


@cache
def han_forms() -> tuple[str, ...]:
    """Return characters that are forms of one another, the one first that all are folded to."""
    return tuple(_TABLE.read_text(encoding="utf-8").split())


@cache
def folded_forms() -> dict[int, str]:
    """Return a table for `str.translate` that makes one form of all."""
    return {ord(char): forms[0] for forms in han_forms() for char in forms[1:]}
