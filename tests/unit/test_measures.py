"""Numbers of an acquisition stay, those of a telephone, a date or a year go."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from text_cleaning import NOBODY, clean_text


@pytest.mark.parametrize(
    "text",
    [
        "DWI b 0 50 400 800",
        "b0 50 400 800",
        "b=0,50,400,800 s/mm2",
        "b0-50-400-800",
        "b 50/400/800",
        "(0 50 400 800)",
        "DWI b 0 500 1000",
        "TE 30/80/120",
        "TE 5 10 15 20",
        "80/100/120 kV",
        "120-140-80 kV",
        "VENC 100 150 200",
        "100/150/200 cm/s",
        "0 10 20 30 40 50 60 70 80 90",
        "10 20 30 40 %",
        "Phases 10 20 30",
        "Delay 25/70/180 s",
        "Patella axial 30/60/90",
        "Dose 10/20/30 Gy",
        "5-10-15 min post",
        "FA 5/10/15",
        "EPI 64 64 30",
        "512/512/300",
        "fx 02/05",
        "slice 01/12",
        "00:30 min",
        "t=0:35",
    ],
)
def test_series_of_values_stays(text):
    assert clean_text(text) == text
    assert drop_identifiers(text, NOBODY) == text


@pytest.mark.parametrize(
    "text",
    [
        "TR 2000 ms TE 30",
        "TE: 4.6 ms TR: 2000 ms TI: 900",
        "TR=2000",
        "TI 1900",
        "2000 cGy",
        "1980 cGy",
        "Dose 1950 cGy",
        "Window 2000/500",
        "DLP 2012 mGy",
        "DLP 2012",
        "b 2000",
        "b=2000",
        "ADC 0-1000-2000",
        "1000/2000",
        "PTV_2000",
        "PTV 1980",
        "W2000 L500",
        "W 2000",
        "2000 HU",
        "1900 mm",
    ],
)
def test_value_that_could_be_a_year_stays(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT 2012", "CT"),
        ("Thorax OP 2019", "Thorax"),
        ("Schmerz seit 2018", "Schmerz seit"),
        ("PTV 2019", "PTV"),
        ("MR DWI 2012", "MR DWI"),
        ("b 1000 2012", "b 1000"),
        ("knee 1998/2000", "knee"),
        ("CT 030 450 12", "CT"),
        ("CT 555 123 4567", "CT"),
        ("delay 555 123 4567", "delay"),
        ("CT 200 350 4000", "CT"),
        ("phase 555-1234", "phase"),
        ("CT 12/31", "CT"),
        ("CT 10/20/30", "CT"),
        ("phase 12/03/19", "phase"),
        ("phase 10/20/2019", "phase"),
        ("TE 3/4/51", "TE"),
        ("dose 04.03.2020", "dose"),
        ("2020/03/04 mm", "mm"),
        ("CT 14:35", "CT"),
        ("01 40 50 60 70", ""),
    ],
)
def test_telephone_date_and_year_go(text, left):
    assert clean_text(text) == left


def test_long_gaps_between_numbers_cost_nothing():
    text = "b " + " ".join(f"{number:<8}" for number in range(1, 9)) * 40 + "x 2012 50 400 800 x"
    assert clean_text(text).startswith("b 1")


@pytest.mark.parametrize(
    "number", ["185-54-7953", "185-54-7950", "185 54 7953", "555 123 456", "555-1234", "555-123-4567"]
)
@pytest.mark.parametrize("word", ["phase", "arterial phase", "delay", "level", "min", "TE", "b"])
def test_number_of_a_person_behind_a_parameter_goes(word: str, number: str) -> None:
    for cleaned in (
        clean_text(f"{word} {number}"),
        drop_identifiers(f"{word} {number}", NOBODY),
    ):
        assert number not in cleaned and number[-4:] not in cleaned


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("612 345 678 m", "345"),
        ("123 456 789 s/p", "456"),
        ("23 45 67 89 M", "67"),
        ("phase 31 94 44 97", "94"),
        ("CT 10:30 s/p fall", "10:30"),
        ("CT 2019 s/p resection", "2019"),
        ("5/10/15 s/p CABG", "5/10"),
        ("2019 m. KM", "2019"),
        ("Thorax 1931 M", "1931"),
        ("MA 1984", "1984"),
        ("geb. 5/10/50 m", "5/10"),
        ("w 5/10/95", "5/10"),
        ("b 5/10/60", "5/10"),
        ("compared to 12/19 images", "12/19"),
        ("prior images 12/22", "12/22"),
        ("MRN 100 200 300", "200"),
    ],
)
def test_what_only_resembles_a_unit_or_parameter_keeps_no_number_of_a_person(text: str, gone: str) -> None:
    assert gone not in clean_text(text)


@pytest.mark.parametrize("text", ["Tel 650 700 800", "MRN 100 200 300", "612 345 678 m", "123 456 789 s/p"])
def test_number_behind_its_cue_leaves_kept_text(text: str) -> None:
    assert not any(part in drop_identifiers(text, NOBODY) for part in text.split() if part.isdigit())


@pytest.mark.parametrize(
    "text",
    [
        "MAR reconstruction",
        "CT knee MAR recon",
        "CT hip MAR series",
        "MAR on",
        "fracture C6, C7 and T12",
        "30-40-30 dose",
        "30-40-30",
        "PSA 2019 ng/ml",
        "PSA 1980 ng/ml",
        "12/11/10 mm",
        "nodules 12/11/10 mm, 5/4/3 mm",
        "cyst 12-11-10 cm",
        "10:30 position",
        "lesion, 1:30 o'clock",
        "lesion 10:30 Uhr Position",
        "10:30 clock position left breast",
    ],
)
def test_measure_beside_its_unit_and_position_of_a_clock_stay(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("PSA 2019", "PSA"),
        ("CT knee MAR 3", "CT knee"),
        ("CT knee MAR 2019", "CT knee"),
        ("12/11/10", ""),
        ("CT 12/11/10 MM", "CT MM"),
        ("DOB 12/11/10 mm", "mm"),
        ("CT 12/11/2010 mm", "CT mm"),
        ("chest 10:35 position", "chest position"),
        ("chest 22:30 position", "chest position"),
        ("chest at 10:30", "chest"),
        ("12-03-30 dose", "dose"),
        ("71-00-00", ""),
        ("MR 75.42.34", "MR"),
        ("MR 72 34 56", "MR"),
        ("CT Maria del Mar", "CT"),
    ],
)
def test_year_date_and_time_beside_no_unit_go(text, left):
    assert clean_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "D-dimer 1200 ng/mL",
        "PSA 95 ng/ml",
        "PSA 7,8 ng/ml",
        "95 µmol/l",
        "Troponin 95 ng/L",
        "40 µg/kg/min",
        "7.4 GBq",
        "28 ml/min/1.73m2",
        "28 mL/min/1,73 m²",
        "42 mmol/mol",
        "180 cGy/fx",
        "12000 mIU/ml",
        "14200/µl",
        "95 x10^9/L",
        "95 Gpt/l",
        "456 mGycm",
        "1250 cGy*cm²",
        "4.1 mEq/L",
        "12 kBq/mL",
        "95 kPa",
        "98 MG/DL",
    ],
)
def test_number_and_its_units_stay_together(text):
    assert clean_text(text) == text


def test_units_go_with_the_number_that_is_an_identifier():
    known = Lexicon([Entry(Category.RECORD_NUMBER, "4471")])
    assert clean_text("CT 4471 ng/ml", known) == "CT"


@pytest.mark.parametrize("text", ["CT room 214 Ng", "CT 95 Ng", "CT 93 Kowalski"])
def test_number_before_a_name_is_no_measure(text):
    assert "Ng" not in clean_text(text)
    assert "93" not in clean_text(text)
