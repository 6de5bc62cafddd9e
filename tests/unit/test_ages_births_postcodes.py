"""Ages above 89, days of birth and postcodes in the forms in which people write them; measures and levels stay."""

from __future__ import annotations

import re

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Lexicon
from text_cleaning import clean_text


def _left(text: str) -> str:
    return clean_text(text)


@pytest.mark.parametrize(
    "age",
    [
        *(
            "Patient 94 a",
            "94 a, female",
            "94 female",
            "90+",
            "90+ years",
            "Patientin 90+",
            "über 90",
            "Patient über 90 Jahre",
        ),
        *(
            "> 90",
            ">90",
            "> 89 years",
            "over 90",
            "over ninety",
            "94 år",
            "94-årig",
            "94 歳",
            "94岁",
            "94 лет",
            "94 세",
        ),
        *(
            "94 ans",
            "94 jaar",
            "94 años",
            "94 anni",
            "di anni 94",
            "94-jährige",
            "94yo",
            "94 y/o",
            "aged 94",
            "F, 94",
            "94 w",
        ),
        *("in her nineties", "in his 90s", "in her late 90's", "plus de 90 ans", "mayor de 90 años", "oltre 90 anni"),
        *("ouder dan 90 jaar", "patiente de 94 ans", "paciente de 94 años", "man, 94", "Mann 94 J."),
    ],
)
def test_age_above_89_goes(age: str) -> None:
    for text in (age, f"CT Thorax, {age}", f"{age}, CT Thorax"):
        left = _left(text)
        assert not any(char.isdigit() for char in left) and "90" not in left and "nineties" not in left, text
        assert "CT Thorax" not in text or "CT Thorax" in left


@pytest.mark.parametrize(
    "text",
    [
        *(
            "94 mm",
            "TE 94",
            "94 %",
            "94 kVp",
            "> 90 %",
            "stenosis > 90 %",
            "HR 94",
            "GFR > 90",
            "over 90 degrees",
            "b 90",
        ),
        *(
            "flexion 90+ degrees",
            "94 a 96 mm",
            "Vmax 94",
            "FA 90",
            "> 90 HU",
            "Patient 94 kg",
            "delay 90 s",
            "SpO2 94 %",
        ),
        *("94 slices", "Phase 90", "patient tilted 90 degrees", "über 90 Grad", "male connector 120 kV"),
    ],
)
def test_measure_between_90_and_120_stays(text: str) -> None:
    assert _left(text) == text


@pytest.mark.parametrize(
    "birth",
    [
        *(
            "DOB 4 3 51",
            "DOB 04 03 1951",
            "D.O.B. 4 3 51",
            "born 4 3 51",
            "b. 4.3.51",
            "* 4.3.51",
            "* 04 03 1951",
            "*4 3 51",
        ),
        *(
            "geb. 4 3 51",
            "geb. am 4 3 51",
            "geboren am 4 3 51",
            "Geb.-Dat. 4 3 51",
            "GebDat 4 3 51",
            "Geburtsdatum 4 3 51",
        ),
        *("né le 4 3 51", "née le 4/3/51", "né(e) le 4 3 51", "DDN 4 3 51", "date de naissance 4 3 51"),
        *("nacido el 4 3 51", "nacida 4/3/51", "F. nac. 4 3 51", "fecha de nacimiento 4 3 51"),
        *("nato il 4 3 51", "nata il 4 3 51", "d.d.n. 4 3 51", "data di nascita 4 3 51"),
        *("geboren 4 3 51", "geboren op 4 3 51", "geb.dat. 4 3 51", "geboortedatum 4 3 51"),
    ],
)
def test_day_of_birth_goes_with_its_cue_from_descriptions_and_kept_text(birth: str) -> None:
    for text in (_left(f"CT Thorax, {birth}"), drop_identifiers(f"CT Thorax, {birth}", Lexicon())):
        assert text.startswith("CT Thorax") and "4" not in text and "51" not in text


@pytest.mark.parametrize("text", ["T1 4 3 51", "b 4 3 51", "score 4 3 51", "* 3 4 5", "1 2 3", "birth 38 weeks"])
def test_numbers_without_a_cue_of_birth_stay(text: str) -> None:
    assert _left(text) == text


@pytest.mark.parametrize(
    "place",
    [
        *(
            "CH3012 Bern",
            "CH 3012 Bern",
            "4020Linz",
            "D-72076",
            "D 72076 Tübingen",
            "A-4020 Linz",
            "A4020 Linz",
            "CH-8001Zürich",
        ),
        *("B33 8TH", "SW1A 1AA", "SW1A1AA", "W1A 0AX", "CR2 6XH", "EC1A 1BB", "M1 1AE"),
        *("LS1 4AP", "D08 T2V9", "D08T2V9", "H91 K2P7", "T12 YN60", "D6W XY00", "T2N 1M0", "M5V 2T6"),
    ],
)
def test_postcode_goes(place: str) -> None:
    assert _left(f"CT Thorax, {place}") == "CT Thorax"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "T2 3D",
            "C5 6",
            "L4 5",
            "L4 5 S1",
            "L5 1ST",
            "S1 4TH",
            "T12 8TH rib",
            "E1 6AX",
            "S1 2AP",
            "L4 5MM",
            "B30 3D",
        ),
        *(
            "T1N0M0",
            "T2N1M0",
            "L4L5S1",
            "C5C6C7",
            "V1V2V3",
            "P1P2P3",
            "A2P2M1",
            "G3P2A1",
            "T12T1",
            "T12 3DCT",
            "T12 T1T2",
        ),
        *("TE 4000 Axial", "A 1000 Slices", "N 1000 Thorax"),
    ],
)
def test_levels_series_and_values_are_no_postcodes(text: str) -> None:
    assert _left(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("TE 30 12.03.2020", "TE 30"),
        ("b1000 12.03.2020", "b1000"),
        ("stenosis 70 2020-03-12", "stenosis 70"),
        ("BP 120/80 12.03.20", "BP 120/80"),
        ("089 4711 12.03.2020", ""),
        ("DWI b 10/20/30", "DWI b 10/20/30"),
        ("delays 10/20/30", "delays 10/20/30"),
        ("b 10/20/50", "b"),
        ("10/20/30", ""),
    ],
)
def test_date_behind_a_value_leaves_the_value(text: str, left: str) -> None:
    assert _left(text) == left


@pytest.mark.parametrize(
    "text", ["MR ENTERO", "MR SCHAEDEL", "RT HUM AP", "MR ENTERO W WO", "DR CYSTO", "MR NEUROGRAPHY"]
)
def test_modality_in_capitals_before_a_protocol_is_no_title(text: str) -> None:
    assert _left(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("knee sw1a 1aa", "knee"),
        ("knee ls9 7ld", "knee"),
        ("knee m13 9pl left", "knee left"),
        ("knee ec1v 9bd", "knee"),
        ("knee 3511 NR", "knee"),
        ("Utrecht 3511 NR knee", "knee"),
        ("Zzyqstad 3511 AB knee", "knee"),
        ("knee in 3500 NR", "knee"),
    ],
)
def test_postcode_in_lower_case_or_without_a_town_goes(text: str, left: str) -> None:
    assert _left(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "t2 n1 m0",
        "s1 2nd",
        "t2 3dt",
        "l5 1st",
        "b30 5th",
        "se2 3dt",
        "pd1 2hu",
        "c6 c7",
        "t12 l1",
        "po2 5gy",
        "2500 CT",
        "2048 MB",
        "3000 AP",
        "1200 TE",
        "2450 MS TR",
    ],
)  # fmt: skip
def test_stage_level_series_and_measure_are_no_postcode(text: str) -> None:
    assert _left(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "♀ 93 Thorax",
            "93 ♀ Thorax",
            "♂93 Thorax",
            "w/93 Thorax",
            "93/w Thorax",
            "w 93 Thorax",
            "m, 93 Sturz Thorax",
        ),
        *("H 93 thorax", "aa 93 torace", "93.5 yo chest", "93 1/2 yo chest", "nearly 94 chest", "turning 93 chest"),
    ],
)
def test_an_age_above_89_beside_a_sign_or_letter_goes(text: str) -> None:
    assert "93" not in clean_text(text) and "94" not in clean_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "♀ 45 Thorax",
        "w/45",
        "m, 93 mm",
        "liver 93 mm",
        "f 93 kg",
        "nearly 95 %",
        "T1 w 93 ms",
        "93.5 mm",
        "slice 93/120",
    ],
)
def test_numbers_beside_letters_that_are_no_age_above_89_stay(text: str) -> None:
    assert re.findall(r"\d+", clean_text(text)) == re.findall(r"\d+", text)


@pytest.mark.parametrize("text", ["1234 AB", "CT Thorax 3511 BK", "Knie links, 9713 GZ", "MR knie 1017 XN rechts"])
def test_a_dutch_postcode_goes_without_a_town(text: str) -> None:
    assert not re.search(r"\d{4}", _left(text))


@pytest.mark.parametrize(
    "text",
    [
        "1234 HU",
        "TE 1234 MS",
        "1200 AB",
        "TR 2381 TE 91",
        "1234 ML",
        "1013 GY",
        "TR 2381 FS",
        "Matrix 1023 AP",
        "1225 KV",
    ],
)
def test_values_before_two_capitals_stay(text: str) -> None:
    assert _left(text) == text
