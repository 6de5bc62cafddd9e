"""What is left of a sentence never says its opposite: negations stay, or go with what they deny."""

from __future__ import annotations

import re

import pytest

from phi_deid_pipeline.free_text import clean_descriptor, drop_identifiers, load_vocabulary
from phi_deid_pipeline.languages import fold_word
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.vocabulary import NEGATIONS_FILE

EMPTY = Lexicon()
VOCABULARY = load_vocabulary()
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
    assert clean_descriptor(text, EMPTY, VOCABULARY) == text


def test_every_negation_stays_unless_what_it_denies_is_unknown():
    negations = [
        word for line in NEGATIONS_FILE.read_text("utf-8").splitlines() if line[:1] != "#" for word in line.split()
    ]
    words = [word for word in negations if word not in ("<", "ne")]  # French né, born, is a cue
    assert len(words) > 120
    for word in words:
        for text in (f"CT for Smith {word} Thorax", f"Thorax, {word}", f"Glarfotomy, {word} Thorax"):
            left = re.findall(r"[^\W_]+", fold_word(clean_descriptor(text, EMPTY, VOCABULARY)))
            assert word in left and "glarfotomy" not in left and "smith" not in left, text
        for text in (f"Erguss, {word} glarfotomy", f"Erguss, {word}-glarf lesion", f"Erguss; {word} lesion glarfig"):
            assert clean_descriptor(text, EMPTY, VOCABULARY) == "Erguss", text


@pytest.mark.parametrize(
    "text",
    [
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
    assert clean_descriptor(text, EMPTY, VOCABULARY) == text


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
        ("Keine frisch Glarf", ""),
        ("CT Thorax ohne Glarf", "CT Thorax"),
        ("CT chest no glarf", "CT chest"),
        ("No fracture Kaufman", "No fracture"),
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
    assert clean_descriptor(text, EMPTY, VOCABULARY) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("No glarfotomy, no effusion, fracture", "no effusion, fracture"),
        ("Kein Erguss, Glarf, Fraktur", "Kein Erguss, Fraktur"),
        ("Kein Glarf; Fraktur links", "Fraktur links"),
        ("Fraktur nicht glarfig. Erguss", "Erguss"),
        ("Fracture, glarf, effusion", "Fracture effusion"),
    ],
)
def test_gap_in_a_denying_text_keeps_its_clauses_apart(text, left):
    assert clean_descriptor(text, EMPTY, VOCABULARY) == left


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
    assert clean_descriptor(text, Lexicon([Entry(Category.NAME, name)]), VOCABULARY) == left


def test_kept_text_loses_the_denied_with_the_negation():
    lexicon = Lexicon([Entry(Category.NAME, "Sin^Maria")])
    assert drop_identifiers("Craneal sin contraste", lexicon).strip() == "Craneal"


@pytest.mark.parametrize("text", ["CT for Nada", "Thorax Dr. Sin", "Thorax Frau Nada", "CT by Mai"])
def test_negation_that_is_a_strangers_name_goes_behind_a_cue(text):
    assert clean_descriptor(text, EMPTY, VOCABULARY) in ("CT", "Thorax")


@pytest.mark.parametrize(
    "text", ["rue Petit 5 genou", "Via Maggiore 5 genou", "Calle Grande 3 genou", "Plaza Mayor 3 genou"]
)
def test_word_of_size_makes_no_street_stay(text):
    assert clean_descriptor(text, EMPTY, VOCABULARY) == "genou"
