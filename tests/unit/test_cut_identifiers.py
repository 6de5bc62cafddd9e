"""Letters of what a cleaning cut are those of the identifier, not of the attribute that it stood in."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.cut_identifiers import letters_cut, letters_of
from phi_deid_pipeline.free_text import clean_descriptor, drop_identifiers, load_vocabulary
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category

LEXICON = Lexicon(
    (
        Entry(Category.NAME, "Zimmerlin^Ottoline"),
        Entry(Category.RECORD_NUMBER, "MRN77304419"),
        Entry(Category.DATE, "20240229"),
        Entry(Category.INSTITUTION, "Klinikum Quellental"),
        Entry(Category.CONTACT, "+49 170 1234567"),
        Entry(Category.CONTACT, "oz@quellental.example"),
        Entry(Category.DEVICE, "SN8812773"),
    )
)


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("CT Zimmerlin chest", "A"),
        ("dose Zimmerlin MRN77304419", "AH"),
        ("chest 20240229", "C"),
        ("chest 29.02.2024", "C"),
        ("97 yo F, chest", "C"),
        ("chest, patient is ninety-seven years old", "C"),
        ("chest, age 97, Zimmerlin", "AC"),
        ("chest 17.11.1987", "C"),  # no date of the patient: a pattern
        ("chest call +49 170 1234567", "D"),
        ("chest call +49 89 5555123", "D"),
        ("chest oz@quellental.example", "F"),
        ("chest someone@else.example", "F"),
        ("chest https://pacs.example/7", "N"),
        ("scanner SN8812773", "M"),
        ("chest Grumbledorf", "R"),
        ("chest Zimmerlin Grumbledorf", "AR"),
        ("chest Dr. Mai", "A"),
    ],
)
def test_letters_of_a_description_are_those_of_what_it_lost(text: str, letters: str) -> None:
    vocabulary, unknown = load_vocabulary(), list[str]()
    after = clean_descriptor(text, LEXICON, vocabulary, unknown)
    assert after != text
    assert letters_cut(text, after, LEXICON, vocabulary, described=True, unknown=bool(unknown)) == letters


@pytest.mark.parametrize(
    ("text", "letters"), [("Model Zimmerlin", "A"), ("v3 20240229", "C"), ("by Dr. Tang", "A"), ("x@y.example", "F")]
)
def test_letters_of_a_kept_text_are_those_of_what_it_lost(text: str, letters: str) -> None:
    vocabulary = load_vocabulary()
    after = drop_identifiers(text, LEXICON, vocabulary)
    assert after != text
    assert letters_cut(text, after, LEXICON, vocabulary, described=False, unknown=False) == letters


def test_every_category_has_a_letter_and_unknown_text_is_any_other() -> None:
    assert letters_of(Category) == "ABCDHJMR"
    assert letters_of([""]) == "R"
    assert letters_of([]) == ""
