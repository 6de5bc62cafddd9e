"""What is left of a text never says the opposite of what it said: sides, denials, refusals, signs."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from text_cleaning import clean_text

LI = Lexicon([Entry(Category.NAME, "Li^Wei")])


@pytest.mark.parametrize(
    "text",
    [
        "Pleuraerguss li>re",
        "Pleuraerguss li. > re.",
        "re. u. li.",
        "Fraktur Radius li",
        "rodilla dcha",
        "rodilla izda.",
        "derrame izq>der",
        "genou gche",
        "genou dte",
        "genou dt",
        "ginocchio dx",
        "ginocchio sx",
        "knie li",
        "hö > vä",
        "kne hø",
        "plantar fasciitis L foot",
    ],
)
def test_sides_of_all_languages_stay(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "text", ["Erguss Li > re", "Erguss LI > RE", "Erguss re u. Li", "Erguss re. und Li.", "Li/re Erguss"]
)
def test_of_two_sides_that_are_compared_none_stays_alone(text):
    assert clean_text(text) == "Erguss"


def test_small_word_that_is_a_name_is_kept_in_lower_case_alone():
    assert clean_text("CT Thorax mit KM Li") == "CT Thorax mit KM"
    assert clean_text("Herr Li, Knie li", LI) == "Knie li"
    assert clean_text("Mr li knee") == "knee"


@pytest.mark.parametrize("text", ["Schädel Ø KM", "ø contrast", "CT ∅ KM", "Tumor Ø 12 mm"])
def test_sign_of_what_is_missing_stays(text):
    assert clean_text(text) == text


@pytest.mark.parametrize("text", ["Ø glarfige KM", "∅ glarf contrast", "Uden kontrast", "Lieu kontrast"])
def test_sign_of_what_is_missing_goes_with_what_it_denies(text):
    assert clean_text(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "KM abgelehnt",
        "KM verweigert",
        "KM kontraindiziert",
        "mdc rifiutato",
        "mdc controindicato",
        "contraste rechazado",
        "injection refusée",
        "contrast geweigerd",
        "patient declined IV contrast",
        "nativ statt KM",
        "links statt rechts",
        "exkl. Becken",
        "Becken ausgespart",
        "uden kontrast",
        "utan kontrast",
        "bez kontrastu",
        "gauche au lieu de droite",
        "links in plaats van rechts",
        "invece di destra",
        "tranne bacino",
        "PE widerlegt",
        "fracture disproved",
        "thrombose infirmée",
        "MR unsafe",
        "injection contre-indiquée",
        "ER+/PR-/HER2-",
        "ER+/PR-/HER2neu-",
        "cT2c cN0 cM0",
        "ypT0N0",
        "pT1a(m) pN1(sn) L0 V0 R0 G2",
        "cTx cNx pTis pN1mi Pn1",
    ],
)
def test_denials_refusals_and_signs_stay(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "KM glarfiert",
        "mdc è stato glarfato",
        "contrast was glarfed",
        "glarfed IV contrast",
        "KM wurde glarfiert",
        "KM GLARFIERT",
    ],
)
def test_contrast_beside_an_unknown_word_goes_with_it(text):
    assert clean_text(text) == ""


def test_contrast_beside_a_name_stays():
    assert clean_text("CT mit KM Kowalski") == "CT mit KM"
    assert clean_text("CT thorax met contrast dhr kowalski") == "CT thorax met contrast"


@pytest.mark.parametrize(
    ("text", "left"), [("Glarf: nein", ""), ("Glarf? no, fracture", "fracture"), ("glarf: no fracture", "no fracture")]
)
def test_answer_stays_and_goes_with_its_question(text, left):
    assert clean_text(text) == left


@pytest.mark.parametrize("text", ["ER+/PR-/Glarf", "PR-, Glarf"])
def test_sign_of_a_receptor_stays_where_a_word_behind_it_goes(text):
    assert clean_text(text).endswith("PR-")


def test_what_is_denied_stays_where_a_title_and_a_name_alone_went_from_its_clause():
    table = {
        "senza mezzo di contrasto dott. X": "senza mezzo di contrasto",
        "senza mezzo di contrasto dott. Rossi": "senza mezzo di contrasto",
        "senza mezzo di contrasto dott.ssa rossi": "senza mezzo di contrasto",
        "senza mdc dr. rossi": "senza mdc",
        "keine Fraktur frau anna mueller": "keine Fraktur",
        "kein Erguss, frau mueller": "kein Erguss",
        "keine Fraktur frau mueller": "keine Fraktur",
        "no fracture mrs kowalski": "no fracture",
        "contrast req by Dr X": "contrast req",
        "no contrast req by Dr Smith": "no contrast req",
        "no glarf fracture mrs kowalski": "",
        "keine Fraktur frau mueller glarfig": "",
    }
    assert {text: clean_text(text) for text in table} == table
