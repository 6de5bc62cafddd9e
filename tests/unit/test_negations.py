"""What is left of a sentence never says its opposite: negations stay, or go with what they deny."""

from __future__ import annotations

import re

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.languages import fold_word
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.vocabulary import NEGATIONS_FILE
from text_cleaning import clean_text

SENTENCES = [
    "No acute fracture, no pleural effusion",
    "No evidence of pulmonary embolism",
    "Fracture excluded",
    "Neither pneumothorax nor effusion",
    "Never had contrast",
    "Without contrast",
    "Absent spleen",
    "Negative for malignancy",
    "Pulmonary embolism ruled out",
    "Not enhanced",
    "isn't fractured",
    "doesn't show lesion",
    "hardly visible",
    "Keinerlei Fraktur",
    "Metastasen: nein",
    "Kaum Erguss",
    "Keine Lungenembolie",
    "Kein Nachweis einer Fraktur",
    "Keinen Hinweis auf Metastasen",
    "Keiner Verletzung",
    "Fraktur nicht nachweisbar",
    "Lungenembolie ausgeschlossen",
    "Fehlende Niere links",
    "Milz fehlend",
    "Weder Erguss noch Infiltrat",
    "Ohne Kontrastmittel",
    "Negativ auf Metastasen",
    "Aucune lésion osseuse",
    "Aucun épanchement pleural",
    "Pas de fracture, ni épanchement",
    "Sans injection",
    "Embolie pulmonaire exclue",
    "Absence de fracture",
    "Sin contraste",
    "Ningún derrame pleural",
    "Ninguna fractura",
    "No se observa fractura ni derrame",
    "Tampoco derrame",
    "Embolia excluida",
    "Fractura descartada",
    "Nessuna frattura",
    "Nessun versamento pleurico",
    "Nessuno",
    "Senza contrasto",
    "Non si osserva versamento né frattura",
    "Embolia esclusa",
    "Assenza di lesioni",
    "Geen fractuur",
    "Longembolie uitgesloten",
    "Niet vergroot",
    "Zonder contrast",
    "Fractuur noch bloeding",
    "Sem contraste",
    "Nenhuma fratura",
    "Nenhum derrame pleural",
    "Não se observa fratura nem derrame",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_denied_finding_stays_denied(text):
    assert clean_text(text) == text


def test_every_negation_stays_unless_what_it_denies_is_unknown():
    negations = [
        word for line in NEGATIONS_FILE.read_text("utf-8").splitlines() if line[:1] != "#" for word in line.split()
    ]
    words = [word for word in negations if word not in ("<", "ne")]  # French né, born, is a cue
    assert len(words) > 120
    for word in words:
        for text in (f"CT for Smith {word} Thorax", f"Thorax, {word}", f"Glarfomir, {word} Thorax"):
            left = re.findall(r"[^\W_]+|[∅⌀]", fold_word(clean_text(text)))
            assert word in left and "glarfomir" not in left and "smith" not in left, text
        for text in (f"Erguss, {word} glarfomir", f"Erguss, {word}-glarf lesion", f"Erguss; {word} lesion glarfig"):
            assert clean_text(text) == "Erguss", text


@pytest.mark.parametrize(
    "text",
    [
        "kein Nachweis eines Ergusses",
        "keine Fraktur des Kopfes",
        "Nicht dislozierte Fraktur",
        "fractura no desplazada",
        "fracture non déplacée",
        "frattura non scomposta",
        "niet-verplaatste fractuur",
        "Nicht-kleinzelliges Karzinom",
        "linfoma no Hodgkin",
        "sin duda fractura",
        "sans doute fracture",
        "senza dubbio frattura",
        "ohne Zweifel Fraktur",
        "zonder twijfel fractuur",
        "no excluye TEP",
        "LE nicht ausschliessbar",
        "LE nicht ausschließbar",
        "nicht nur Erguss sondern Infiltrat",
        "keine sichere Fraktur",
        "not healed fracture",
        "Not for resuscitation; ETT in place",
        "May represent hemangioma",
        "unruptured aneurysm",
        "fraktur fraglich",
        "waarschijnlijk fractuur",
        "più grande",
        "mayor que antes",
        "plus petit",
        "kleiner geworden",
    ],
)
def test_qualifier_and_doubt_stay(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Nicht glarfige Fraktur", ""),
        ("fractura no glarfada; derrame", "derrame"),
        ("fracture non glarfée", ""),
        ("niet-glarfe fractuur", ""),
        ("no glarfa TEP", ""),
        ("LE nicht glarfbar", ""),
        ("keine QZX Metastase", ""),
        ("Not for glarfing; ETT", "ETT"),
        ("pas de fracture glarfée, épanchement", "épanchement"),
        ("KEINE FRAKTUR GLARFIG", ""),
        ("kein V.a. glarfige Fraktur", ""),
        ("Infiltrat ohne glarfigen Erguss", "Infiltrat"),
        ("Fraktur glarfig am Knie ausgeschlossen", ""),
        ("Keine glarfig Glarf", ""),
        ("CT Thorax ohne Glarf", "CT Thorax"),
        ("CT chest no glarf", "CT chest"),
        ("No fracture Kaufman", "No fracture"),
        ("keine frische Fraktur der Glarfplatte", ""),
        ("Erguss, kein Hinweis auf Fraktur des Glarfbeins", "Erguss"),
        ("CT Thorax ohne Erguss einer Glarfung", "CT Thorax"),
        ("keine Fraktur von der Glarf", "keine Fraktur von der"),
        ("keine Fraktur Kaufmann", "keine Fraktur"),
        ("geen fractuur van den Glarf", "geen fractuur van den"),
        ("No fracture for Smith", "No fracture"),
        ("CT ABDOMEN WITHOUT CONTRAST GLARF", "CT ABDOMEN WITHOUT CONTRAST"),
        ("CT abdomen zonder contrast dokter glarf", "CT abdomen zonder contrast"),
        ("GLARF ERGUSS ABDOMEN NO CONTRAST", "ERGUSS ABDOMEN NO CONTRAST"),
        ("CT ABDOMEN WITHOUT GLARF CONTRAST", "CT ABDOMEN"),
        ("NO FRACTURE KAUFMAN", ""),
        ("No fracture. Glarf", "No fracture"),
        ("May chest", "chest"),
        ("May 2020 chest", "chest"),
        ("No glarf " * 3000, ""),
    ],
)
def test_negation_goes_with_its_clause_where_what_it_denies_is_unknown(text, left):
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("No glarfomir, no effusion, fracture", "no effusion, fracture"),
        ("Kein Erguss, Glarf, Fraktur", "Kein Erguss, Fraktur"),
        ("Kein Glarf; Fraktur links", "Fraktur links"),
        ("Fraktur nicht glarfig. Erguss", "Erguss"),
        ("Fracture, glarf, effusion", "Fracture effusion"),
    ],
)
def test_gap_in_a_denying_text_keeps_its_clauses_apart(text, left):
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Sin^Maria", "TC CRANEAL SIN CONTRASTE", "TC CRANEAL"),
        ("Sin^Maria", "TC CRANEAL, SIN CONTRASTE, TORAX", "TC CRANEAL TORAX"),
        ("Nicht^Hans", "Thorax, Fraktur nicht sichtbar, Erguss", "Thorax Erguss"),
        ("Sin^Maria", "TC CRANEAL SIN MARIA TORAX", "TC CRANEAL TORAX"),
        ("Sin^Maria", "SIN, MARIA TC TORAX", "TC TORAX"),
    ],
)
def test_negation_that_is_the_patients_name_takes_what_it_denies_along(name, text, left):
    assert clean_text(text, Lexicon([Entry(Category.NAME, name)])) == left


def test_kept_text_loses_the_denied_with_the_negation():
    lexicon = Lexicon([Entry(Category.NAME, "Sin^Maria")])
    assert drop_identifiers("Craneal sin contraste", lexicon).strip() == "Craneal"


@pytest.mark.parametrize("text", ["CT for Nada", "Thorax Dr. Sin", "Thorax Frau Nada", "CT by Mai"])
def test_negation_that_is_a_strangers_name_goes_behind_a_cue(text):
    assert clean_text(text) in ("CT", "Thorax")


@pytest.mark.parametrize(
    "text", ["rue Petit 5 genou", "Via Maggiore 5 genou", "Calle Grande 3 genou", "Plaza Mayor 3 genou"]
)
def test_word_of_size_makes_no_street_stay(text):
    assert clean_text(text) == "genou"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Surgeon: no fracture", "Surgeon: no fracture"),
        ("Radiologist: No fracture, effusion", "No fracture, effusion"),
        ("Surgeon: non displaced fracture", "Surgeon: non displaced fracture"),
        ("Surgeon: No, CT knee", "CT knee"),
        ("CT knee, Surgeon: no", "CT knee"),
        ("MTRA: xy Thorax", "Thorax"),
        ("not for Dr. Smith", ""),
        ("not for Dr. Smith, CT knee", "CT knee"),
        ("CT knee not for Dr. Smith", "CT knee"),
        ("nicht von Dr. Müller, CT Knie", "CT Knie"),
        ("CT genou, pas pour Dr. Dupont", "CT genou"),
        ("CT knie, geen Dr. Jansen", "CT knie"),
        ("fracture not seen by Dr. Smith", "fracture not seen"),
        ("fracture not reported by Dr. Smith", "fracture not reported"),
        ("Fracture excluded by Dr. Smith", "Fracture excluded"),
        ("CT chest negative per Dr. Smith", "CT chest negative"),
        ("no fracture per Dr. Smith", "no fracture"),
        ("Metastasen: nein, Dr. Smith", "Metastasen: nein"),
        ("Contrast: no Dr. Smith", "Contrast: no"),
        ("Prior: no. Dr. Smith", "Prior: no"),
        ("Contrast no Dr. Smith", "Contrast no"),
    ],
)
def test_negation_of_a_person_goes_with_the_person_and_no_other(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Series No 4 zzyqx lesion", "Series No 4 lesion"),
        ("series no 4 zzyqx lesion", "series no 4 lesion"),
        ("Image No. 12 zzyqx lesion", "Image No. 12 lesion"),
        ("CT No. 4 zzyqx lesion", "CT No. 4 lesion"),
        ("CT no 4 zzyqx lesion", "CT"),
        ("No 4 mm zzyqx nodule", ""),
    ],
)
def test_no_before_a_number_of_a_series_denies_nothing(text: str, left: str) -> None:
    assert clean_text(text) == left
