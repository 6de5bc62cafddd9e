"""Identifiers are found in the forms that verification knows, and ordinary words are not."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.lexicon import Entry
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles

NEEDLES = Needles([Entry(Category.NAME, "Quaresma^Joana")], frozenset())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("T2 axial Q U A R E S M A", True),
        ("t2 axial q-u-a-r-e-s-m-a", True),
        ("Q u a r e s", False),
        ("a x i a l s l i c e", False),
        ("Quaresma", True),
    ],
)
def test_a_name_written_letter_by_letter_counts(text: str, found: bool) -> None:
    assert bool(list(NEEDLES.hits(text))) is found
    if found:
        assert NEEDLES.may_hit(text.lower().encode())
