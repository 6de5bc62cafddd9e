"""Parts of IDs and orders are found in the groups in which people write them, and nothing that is a measure."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles
from text_cleaning import clean_text

ID, ORDER = Category.RECORD_NUMBER, Category.ACCESSION


@pytest.mark.parametrize(
    ("category", "value", "written"),
    [
        (
            ID,
            "P-44556",
            ["P-44556", "P 44 556", "44556", "44 556", "44-556", "44/556", "445 56", "P/44/556", "p 44-556"],
        ),
        (ID, "12/987-65", ["987-65", "987/65", "98765", "12 987 65", "12.987.65", "1298765", "12/98765"]),
        (ID, "UKT^7654321", ["7654321", "UKT7654321", "UKT 7654321", "765 43 21", "7-654-321"]),
        (ID, "A000123", ["A123", "A000123", "000123"]),
        (ID, "KH0044321", ["KH44321", "KH 44321", "44321", "44 321", "44-321", "KH-44-321"]),
        (ORDER, "2024/77123", ["2024/77123", "77123", "77 123", "77123/2024", "24/77123", "2024.77123", "2024-77123"]),
    ],
)
def test_parts_and_groupings_of_an_id_go_from_texts_that_policies_keep(
    category: Category, value: str, written: list[str]
) -> None:
    lexicon = Lexicon([Entry(category, value)])
    digits = max(
        filter(str.isdigit, value.replace("/", " ").replace("-", " ").replace("^", " ").split()), key=len, default=""
    )
    for form in written:
        kept = drop_identifiers(f"protocol {form} B30f", lexicon)
        assert kept.startswith("protocol ") and kept.endswith(" B30f"), form
        assert not digits or digits not in kept, form
        assert kept != f"protocol {form} B30f", form


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("P-44556", "TE 44.556 ms"),
        ("P-44556", "44,556"),
        ("A000120", "kernel a 120 kV"),
        ("UKT^7654321", "17654.321"),
        ("P-44556", "145 560 HU"),
    ],
)
def test_a_decimal_or_another_number_is_no_part_of_an_id(value: str, text: str) -> None:
    lexicon = Lexicon([Entry(ID, value)])
    assert drop_identifiers(text, lexicon) == text
    assert clean_text("TE 44.556 ms", lexicon) == "TE 44.556 ms"


def test_parts_of_an_id_that_is_a_uid_are_no_identifiers() -> None:
    entry = Entry(ID, "1.2.840.10008.5.99123")
    assert drop_identifiers("code 10008 and 99123", Lexicon([entry])) == "code 10008 and 99123"
    assert list(Needles([entry], frozenset()).hits("code 10008 and 99123")) == []
    assert drop_identifiers("code 1.2.840.10008.5.99123", Lexicon([entry])) == "code "


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("4711", "47 11"),
        ("4711", "TE 47 11"),
        ("4711", "47.11"),
        ("4711", "TE 47.11"),
        ("4711", "Slice 4.711"),
        ("58213", "FOV 582.13"),
        ("4711", "4-7-1-1"),
        ("4711", "0047 / 11"),
        ("4711", "X0004711"),
        ("0004711", "CT471_1"),
        ("58213", "5, 82, 13"),
        ("58213", "CT5 8.2 1/3"),
        ("AB-12345", "X12345"),
        ("AB-12345", "12_3/45"),
        ("448821", "0 0 0 4 4 8 8 2 1"),
        ("00448821", "X4 - 4 - 8 - 8 - 2 - 1"),
        ("MRN 0077120", "77_1_2_0"),
        ("H/2291-83", "PID22.9183"),
        ("1000234", "01.000234"),
    ],
)
def test_an_id_goes_however_its_digits_are_divided(number: str, written: str) -> None:
    lexicon = Lexicon([Entry(Category.RECORD_NUMBER, number)])
    for text in (written, f"CT Thorax {written}", f"{written} Knie"):
        left = text
        for start, end, _ in reversed(lexicon.hits(text)):
            left = left[:start] + left[end:]
        assert not any(map(str.isdigit, left)), text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("4711", "47.11 ms"),
        ("4711", "TE 47.11ms"),
        ("4711", "0.4711"),
        ("4711", "47,11"),
        ("4711", "47.110"),
        ("1250", "Slice 1.25"),
        ("4711", "47 11 23"),
        ("4711", "4711.5 x 2"),
        ("12345", "1 2 3 4 5"),
        ("2010", "20 10"),
        ("58213", "b 5 82 13 99"),
        ("58213", "TE 0.58213"),
    ],
)
def test_values_with_the_digits_of_an_id_among_others_stay(number: str, text: str) -> None:
    assert not Lexicon([Entry(Category.RECORD_NUMBER, number)]).hits(text)
