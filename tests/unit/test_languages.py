"""Words of a language: every row is valid, faults are named by file, key and row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.free_text import clean_descriptor, load_vocabulary
from phi_deid_pipeline.languages import KEYS, LANGUAGES, LANGUAGES_FOLDER, load_languages, spellings
from text_cleaning import NOBODY, clean_text


def _write(folder: Path, **changes: object) -> Path:
    content = {"name": "Test", **{key: [] for key in KEYS}, **changes}
    (folder / "xx.json").write_text(
        json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8"
    )
    return folder


def test_every_file_of_the_folder_is_a_language_and_loads():
    assert sorted(path.stem for path in LANGUAGES_FOLDER.glob("*.json")) == sorted(LANGUAGES)
    for name in LANGUAGES:
        rows = load_languages((name,))
        assert (
            len(rows.titles) >= 5 and len(rows.soft_cues) >= 5 and len(rows.months) >= 8 and len(rows.id_labels) >= 10
        )


def test_languages_are_joined_whatever_their_order():
    both = load_languages(("de", "en"))
    assert both == load_languages(("en", "de"))
    assert {"herr", "mister"} <= set(both.titles)
    assert "monsieur" not in both.titles
    assert both.modality_titles.count("dr") == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"titles": ["herr", "Frau"]}, r"xx\.json: titles, row 2: must be words in lower case"),
        ({"titles": ["a(b)"]}, r"xx\.json: titles, row 1: must be words in lower case"),
        ({"months": ["may", True]}, r"xx\.json: months, row 2: must be text; put it into quotes"),
        ({"months": ["may", "jun", "may"]}, r"xx\.json: months, row 3: stands there twice"),
        ({"soft_cues": "for"}, r"xx\.json: soft_cues: must be a list"),
        ({"states": None}, r"xx\.json: states: is missing"),
        ({"colours": []}, r"xx\.json: colours: unknown key"),
    ],
)
def test_fault_in_a_file_is_named_by_key_and_row(tmp_path, changes, fault):
    with pytest.raises(PolicyError, match=fault):
        load_languages(("xx",), _write(tmp_path, **changes))


def test_file_that_is_missing_or_no_json_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"yy\.json: there are no words for this language"):
        load_languages(("yy",), tmp_path)
    (tmp_path / "zz.json").write_text("{[", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"zz\.json: cannot be read"):
        load_languages(("zz",), tmp_path)
    (tmp_path / "ww.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"ww\.json: must hold keys"):
        load_languages(("ww",), tmp_path)


def test_no_language_at_all_is_refused():
    with pytest.raises(PolicyError, match=r"free_text\.languages is empty"):
        load_languages(())


def test_spellings_cover_accents_and_transliteration_longest_first():
    assert spellings(["märz"]) == ("maerz", "marz", "märz")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("aged ninety-two knee", "knee"),
        ("ninety two yo, knee", "knee"),
        ("pt is 101", ""),
        ("she is 94, fall", "she is, fall"),
        ("he's 95", ""),
        ("man of 97 knee", "man knee"),
        ("dhr 95 thorax", "thorax"),
        ("mw 93 thorax", "thorax"),
        ("turned 100 knee", "knee"),
        ("mujer de 93 torax", "mujer torax"),
        ("97th birthday knee", "knee"),
        ("F93Y knee", "knee"),
        ("93 a. torax", "torax"),
        ("Station 3B Thorax", "Thorax"),
        ("Zimmer B12 Thorax", "Thorax"),
        ("reparto 4C torace", "torace"),
    ],
)
def test_ages_above_89_and_wards_of_strangers_go(text, left):
    cleaned = clean_text(text)
    assert not re.search(r"\d|ninety|two|101", cleaned)
    assert all(word in cleaned for word in re.findall(r"knee|thorax|torax|torace|Thorax", left))


@pytest.mark.parametrize(
    "text",
    [
        *("TE is 94", "dose of 95 mGy", "angle is 93", "patient of 95 kg", "head turned 90 degrees", "table turned 90"),
        *("lymph node station 3A", "station 4R", "unit 3D", "station 2", "man of 80", "HR 94, she is stable"),
        *("MW 2450 MHz", "MW 95 W", "dose is 95 %", "patient is 92 percent"),
    ],
)
def test_measures_beside_words_of_persons_and_wards_stay(text):
    assert re.findall(r"\d+", clean_text(text)) == re.findall(r"\d+", text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "knee, physicist: Hay",
            "knee, Dosimetrist: Tang",
            "knee, surgeon: Hay",
            "knee, GP: Tang",
            "knee Hay (surgeon)",
        ),
        *(
            "knee, planned by Hay",
            "knee, contour by Tang",
            "knee approved by Hay",
            "knee checked: QX",
            "Knie, Chirurg: Hay",
        ),
    ],
)
def test_surname_that_is_a_word_goes_beside_a_role(text):
    left = clean_text(text)
    assert not {"hay", "tang", "qx"} & set(re.findall(r"\w+", left.lower()))
    assert left.lower().startswith("kn")


@pytest.mark.parametrize("text", ["checked: LAT", "approved: CT", "planned by CT", "treated by surgeon, no fracture"])
def test_words_beside_a_role_stay(text):
    words = set(re.findall(r"CT|LAT|no fracture", text))
    assert words <= set(re.findall(r"CT|LAT|no fracture", clean_text(text)))


@pytest.mark.parametrize(
    ("text", "languages", "left"),
    [
        ("since 4/5 Rippe", ("de", "en"), "since 4/5 Rippe"),
        ("since 4/5 Rippe", ("en",), "since Rippe"),
        ("Morbus Peter Crohn", ("de",), "Morbus Crohn"),
        ("Morbus Peter Crohn", ("en",), "Morbus"),
    ],
)
def test_what_shows_no_date_or_person_are_words_of_the_chosen_languages(text, languages, left):
    assert clean_descriptor(text, NOBODY, load_vocabulary(languages=languages)) == left
