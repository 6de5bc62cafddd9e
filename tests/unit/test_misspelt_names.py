"""A name of the patient with one slip in it goes from every text, also from one that is kept without word by word cleaning."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import clean_descriptor, drop_identifiers, load_vocabulary
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category

LEXICON = Lexicon(
    [
        Entry(Category.NAME, "Müllner^Katharina"),
        Entry(Category.PERSON, "Ostrowski^Jan"),
        Entry(Category.NAME, "Haas^Arvitis"),
    ]
)


@pytest.mark.parametrize(
    "word",
    [
        "Mullner",
        "Mulner",
        "Müllnner",
        "Müllenr",
        "Mullmer",
        "MUELNER",
        "Katarina",
        "Kahtarina",
        "Ostrovski",
        "OSTROWSKY",
        "Haass",
    ],
)
def test_a_name_with_one_slip_goes(word: str) -> None:
    vocabulary = load_vocabulary()
    assert drop_identifiers(f"Scan of {word} 2", LEXICON, vocabulary) == "Scan of  2"
    assert drop_identifiers(f"SCAN_{word}01", LEXICON, vocabulary) == "SCAN_01"
    assert clean_descriptor(f"CT Thorax {word}", LEXICON, vocabulary) == "CT Thorax"


@pytest.mark.parametrize("text", ["Katheterlage", "Mulmer device", "Haus", "Philips Ingenia", "Ostrow 3", "Haa"])
def test_a_word_two_slips_away_or_of_the_vocabulary_stays_in_kept_text(text: str) -> None:
    lexicon = LEXICON | Lexicon([Entry(Category.NAME, "Philipp^Ana")])
    assert drop_identifiers(text, lexicon, load_vocabulary()) == text


def test_a_word_of_medicine_by_its_form_goes_where_it_is_a_name_with_a_slip() -> None:
    assert clean_descriptor("MRT Arvvitis", Lexicon(), load_vocabulary()) == "MRT Arvvitis"
    assert clean_descriptor("MRT Arvvitis", LEXICON, load_vocabulary()) == "MRT"
