"""A name of the patient with one slip in it goes from every text, also from one that is kept without word by word cleaning."""

from __future__ import annotations

import time

import pytest

from phi_deid_pipeline.free_text import clean_descriptor, drop_identifiers, load_vocabulary
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from text_cleaning import clean_text

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
    assert clean_text("MRT Arvvitis") == "MRT Arvvitis"
    assert clean_text("MRT Arvvitis", LEXICON) == "MRT"


PATIENT = Lexicon(
    [
        Entry(Category.NAME, "Optim^Bert"),
        Entry(Category.PERSON, "Brucker^Jan"),
        Entry(Category.PERSON, "Ward^Sue"),
        Entry(Category.PERSON, "Philipp^Ana"),
        Entry(Category.PERSON, "Contras^Ida"),
    ]
)


def test_makers_models_and_words_of_the_vocabulary_stay_where_they_are_one_letter_off_a_name() -> None:
    texts = ("GE Optima CT660", "Bruker BioSpec", "Wards", "wards 3 and 4", "Philips Ingenia", "with Contrast, axial")
    vocabulary = load_vocabulary()
    assert [text for text in texts if drop_identifiers(text, PATIENT, vocabulary) != text] == []
    described = ("GE Optima CT660", "Bruker", "Philips Ingenia", "CT with contrast")
    assert [text for text in described if clean_descriptor(text, PATIENT, vocabulary) != text] == []


def test_such_a_word_goes_beside_another_part_of_the_name_or_behind_a_title() -> None:
    vocabulary = load_vocabulary()
    texts = (
        "Philips Ana",
        "PHILIPS^ANA",
        "Ana Philips",
        "Bruker, Jan",
        "Optima, Bert",
        "Mrs Wards",
        "Dr. Bruker",
        "Frau Philips",
    )
    for text in texts:
        for left in (drop_identifiers(text, PATIENT, vocabulary), clean_descriptor(text, PATIENT, vocabulary)):
            assert not {"philips", "ana", "bruker", "jan", "optima", "bert", "wards"} & set(left.lower().split()), text
    assert clean_descriptor("CT Abdomen Philips Ana", PATIENT, vocabulary) == "CT Abdomen"


def test_a_long_report_that_names_the_patient_often_is_searched_in_time() -> None:
    report = "Mülner Thorax without contrast and normal findings in the chest. " * 400
    begin = time.process_time()
    assert "ulner" not in clean_descriptor(report, LEXICON, load_vocabulary()) + drop_identifiers(report, LEXICON)
    assert time.process_time() - begin < 5
