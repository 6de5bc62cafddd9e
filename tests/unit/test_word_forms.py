"""Words that no list holds are known by their ending, parts or inflection, names are not."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import load_vocabulary
from phi_deid_pipeline.languages import fold_word
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.word_forms import WordForms, is_stage
from text_cleaning import clean_text

FORMS = load_vocabulary().forms


@pytest.mark.parametrize(
    "word",
    [
        "Kniegelenkserguss",
        "Meniskusriss",
        "herseninfarct",
        "Rotatorenmanschettenruptur",
        "epicondylitis",
        "Nephroureterektomie",
        "pyeloureterectomie",
        "osteocondropatia",
        "Ureterozele",
        "kapselfibrose",
        "portalvenösen",
        "intraspinale",
    ],
)
def test_word_is_known_by_its_form(word):
    assert FORMS.knows(fold_word(word))


@pytest.mark.parametrize(
    "word",
    [
        "Lightfoot",
        "Longbottom",
        "Rozitis",
        "Kirchhof",
        "Wasserfall",
        "Benavides",
        "Tacoma",
        "Befunder",
        "Radiologen",
        "itis",
    ],
)
def test_name_or_person_is_not(word):
    assert not FORMS.knows(fold_word(word))


def test_a_name_is_known_by_no_form():
    assert WordForms({"meniskus", "risse"}, ("itis",), ()).knows("meniskusrisse")
    assert not WordForms({"meniskus", "risse"}, ("itis",), {"meniskusrisse"}).knows("meniskusrisse")


def test_word_known_by_its_form_goes_behind_a_title_and_where_it_identifies():
    known = Lexicon([Entry(Category.NAME, "Bursitis^Anna")])
    assert clean_text("CT Dr. Meniskusriss") == "CT"
    assert clean_text("CT Bursitis", known) == "CT"


@pytest.mark.parametrize(
    "word", ["cT2c", "ypT0N0", "T4bN3M1c", "pN1mi", "cNx", "pTis", "Pn1", "L0", "R0", "G2", "rpT2"]
)
def test_stage_is_known(word):
    assert is_stage(word)


@pytest.mark.parametrize("word", ["T7", "Tan", "TM", "cKowalski", "PN12345", "A4471"])
def test_other_words_are_no_stages(word):
    assert not is_stage(word)
