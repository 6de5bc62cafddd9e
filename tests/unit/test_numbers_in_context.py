"""Numbers that are a date, a telephone or a postcode by what stands beside them alone; measures and levels stay."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import clean_descriptor, load_vocabulary
from phi_deid_pipeline.lexicon import Lexicon

EMPTY = Lexicon()
VOCABULARY = load_vocabulary()


def _clean(text: str) -> str:
    return clean_descriptor(text, EMPTY, VOCABULARY)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT Thorax vom 4.19", "CT Thorax"),
        ("Thorax seit 3/21", "Thorax seit"),
        ("Thorax seit 11/98", "Thorax seit"),
        ("CT knee Op 3-4-'21", "CT knee"),
        ("CT knee 3-4-'21", "CT knee"),
        ("CT knee 3/4/`21 lateral", "CT knee lateral"),
        ("CT Knie op 4.19", "CT Knie"),
        ("CT am 03.04. Thorax", "CT Thorax"),
        ("CT am 4.5 Thorax", "CT Thorax"),
        ("CT torace del 3/4", "CT torace"),
        ("CT rodilla del 3/21", "CT rodilla"),
        ("CT genou le 3/4", "CT genou"),
        ("CT genou le 21/3 gauche", "CT genou gauche"),
        ("CT chest on 3/4", "CT chest"),
        ("pain on 3/4, fracture", "pain fracture"),
        ("chest pain since 3/21", "chest pain since"),
        ("chest pain since 3/4", "chest pain since"),
        ("CT knie sinds 3/4", "CT knie"),
        ("CT genou depuis 3/21", "CT genou"),
        ("CT rodilla desde 3-21", "CT rodilla"),
        ("compared to 3/21 chest", "compared chest"),
        ("chest, prior 4/19", "chest, prior"),
        ("Thorax vgl. 3/21", "Thorax"),
        ("CT Thorax vom 4.19 bis 5.19", "CT Thorax"),
        ("chest pain since 3/4 to 5/6", "chest pain since"),
    ],
)
def test_day_without_a_year_goes_behind_a_word_for_dates(text: str, left: str) -> None:
    assert _clean(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "L4/5",
        "am L4/5",
        "T2 3/4",
        "on T2 3/4",
        "1/2",
        "Grad 3/4",
        "Grad 3-4",
        "series 3/4",
        "4/5 ribs",
        "5/5 strength",
        "3/4 right, 5/5 left",
        "seen on 2/3 phases",
        "on 1/2 images",
        "on 3-5 levels",
        "on 3/4 slices",
        "since 3/4 weeks",
        "seit 3-4 min",
        "del 1/3",
        "since 2.5 h",
        "mass on 4.5 cm",
        "on 1.5 T",
        "on 1.25 mm",
        "vom 1.2 cm",
        "3/5 vs 4/5 strength",
        "compared to 4/5",
        "prior 3/4",
        "from 1-20",
        "due to 3/4 fracture",
        "to 3/4",
    ],
)  # fmt: skip
def test_fraction_range_and_decimal_behind_such_a_word_stay(text: str) -> None:
    assert _clean(text) == text
