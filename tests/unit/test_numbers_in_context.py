"""Numbers that are a date, a telephone or a postcode by what stands beside them alone; measures and levels stay."""

from __future__ import annotations

import re

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Lexicon, entries_of
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles
from text_cleaning import NOBODY, clean_text


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
    assert clean_text(text) == left


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
        "fracture du 1/3 distal",
        "Fraktur am 2/3 links",
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
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("chest, ring 555", "chest"),
        ("chest ring 4711", "chest"),
        ("thorax bip 4711", "thorax"),
        ("thorax bip: 12", "thorax"),
        ("thorax bipper 22 78", "thorax"),
        ("knie sein 4711", "knie"),
        ("tórax busca 123", "tórax"),
        ("tórax buscapersonas 4711", "tórax"),
        ("knie tst. 123", "knie"),
        ("knie toestel 123", "knie"),
        ("torace int. 123", "torace"),
        ("torace interno 123", "torace"),
        ("torace cercapersone 12", "torace"),
        ("genou poste 123", "genou"),
        ("chest ext. 123", "chest"),
        ("Knie Durchwahl 123", "Knie"),
        ("Knie DW 123", "Knie"),
        ("Tel. DW 120", ""),
        ("am 3/4 geboren", ""),
        ("Knie, am 3/4 Kontrolle", "Knie Kontrolle"),
        ("Knie DW: 4711", "Knie"),
        ("Knie Piepser 12", "Knie"),
        ("knie pieper 123", "knie"),
        ("chest pager 12", "chest"),
        ("chest bleep 123", "chest"),
        ("chest beeper #4711", "chest"),
        ("chest 0049 171 1234567", "chest"),
        ("chest 0049 171 123 4567 left", "chest left"),
        ("chest 0049 171", "chest"),
        ("chest 0049(0)171 1234", "chest"),
        ("chest 0033 6 12 34 56 78", "chest"),
        ("chest 0031 6 12345678", "chest"),
        ("chest 0044 20 7946 0958", "chest"),
        ("chest +49 171 1234567", "chest"),
        ("chest +31 6 12345678", "chest"),
        ("chest +49 (0) 171 1234567", "chest"),
    ],
)
def test_telephone_behind_a_word_for_pagers_and_with_the_code_of_a_country_goes(text: str, left: str) -> None:
    assert clean_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "ring artefact",
        "ring 12 mm",
        "ring 120 mm",
        "sein gauche 12 mm",
        "sein 250 ml",
        "meniscus int 2",
        "rotation ext 30",
        "ext 120 deg",
        "ext 100%",
        "int 5 mm",
        "DW 1000",
        "DW 120",
        "MR DW 120 b 800",
        "b 1000 DW 120",
        "am 3/4 Uebergang",
        "Fraktur am 3/4 Übergang zum distalen Drittel",
        "Prolaps am 4/5 Segment",
        "DW 500",
        "DW 0 50 400 800",
        "DW 12",
        "+5 +10 +20",
        "ring 1.5",
        "ring 100/200 ms",
    ],
)  # fmt: skip
def test_measure_behind_such_a_word_stays(text: str) -> None:
    assert clean_text(text) == text


def test_number_with_the_code_of_a_country_goes_from_kept_text() -> None:
    left = drop_identifiers("call 0049 171 1234567, version 0012 3, serial 0012345678", NOBODY)
    assert "171" not in left and "0012 3" in left and "0012345678" in left

    left = drop_identifiers("call 0049 171 1234567, version 0012 3", NOBODY)
    assert "171" not in left and "0012 3" in left


# --------------------------------------------------------------------------- numbers and dates in split form

SPLIT = Lexicon(
    entry
    for category, value in (
        (Category.RECORD_NUMBER, "77304419"),
        (Category.RECORD_NUMBER, "K10488217F"),
        (Category.RECORD_NUMBER, "00448821"),
        (Category.CONTACT, "541-555-0137"),
        (Category.BIRTH_DATE, "19530817"),
        (Category.DATE, "19530817"),
        (Category.DATE, "20240229"),
    )
    for entry in entries_of(category, value)
)
SPLIT_FORMS = (
    *("7730.4419", "773.04419", "7730–4419", "1048.8217", "555.0137", "2024.0229", "1953.0817", "2902.2024"),
    *("44_88_21", "44:88:21", "(448)821", "4 4 8 8 2 1", "44x88x21", "4488.21", "08/53", "8/53", "08.1953"),
)


@pytest.mark.parametrize("written", SPLIT_FORMS)
def test_a_known_number_goes_whatever_marks_divide_it(written: str) -> None:
    text = f"axial {written} brain"
    assert not re.search(r"\d", clean_text(text, SPLIT))
    assert not re.search(r"\d", drop_identifiers(text, SPLIT))


@pytest.mark.parametrize("written", SPLIT_FORMS)
def test_verification_finds_a_known_number_whatever_marks_divide_it(written: str) -> None:
    needles = Needles(SPLIT.entries, frozenset())
    text = f"axial {written} brain"
    assert list(needles.hits(text)) and needles.may_hit(text.lower().encode())


@pytest.mark.parametrize(
    "text",
    ["TE 0.448821 s", "448.8 21.5 mm", "1.77 304.4 mm", "x 2024.022 9.5", "9/53 brain", "image 08/54", "1 2 3 4 5 6"],
)
def test_a_number_that_only_holds_known_digits_is_a_measure(text: str) -> None:
    known = Lexicon({*SPLIT.entries, *entries_of(Category.RECORD_NUMBER, "123456")})
    assert drop_identifiers(text, known) == text
    assert not list(Needles(known.entries, frozenset()).hits(text))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Kontrolle den 4.6.", "Kontrolle"),
        ("MR Room B-214", "MR"),
        ("knie 2511 CV Den Haag", "knie"),
        ("Schichtdicke den 4.6 mm", "Schichtdicke den 4.6 mm"),
        ("in den 4/5 Segmenten", "in den 4/5 Segmenten"),
    ],
)
def test_day_behind_an_article_room_and_town_of_two_words_go(text: str, left: str) -> None:
    assert clean_text(text) == left
