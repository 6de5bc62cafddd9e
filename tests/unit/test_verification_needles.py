"""Identifiers are found in the forms that verification knows, and ordinary words are not."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.lexicon import Entry
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles

NEEDLES = Needles([Entry(Category.NAME, "Quaresma^Joana")], frozenset())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("T2 axial Q U A R E S M A", True),
        ("t2 axial q-u-a-r-e-s-m-a", True),
        ("Q u a r e s", False),
        ("a x i a l s l i c e", False),
        ("Quaresma", True),
    ],
)
def test_a_name_written_letter_by_letter_counts(text: str, found: bool) -> None:
    assert bool(list(NEEDLES.hits(text))) is found
    if found:
        assert NEEDLES.may_hit(text.lower().encode())


@pytest.mark.parametrize(
    ("category", "value", "text", "found"),
    [
        (Category.NAME, "Nguyen^Van^An", "nguyenvanan", True),
        (Category.NAME, "Li^X", "X LI", True),
        (Category.NAME, "Li^X", "LI", False),
        (Category.NAME, "Li^X", "LI X axial", False),
        (Category.NAME, "\u3084\u307e\u3060^\u305f\u308d\u3046", "\uff94\uff8f\uff80\uff9e", True),
        (Category.NAME, "\u3084\u307e\u3060^\u305f\u308d\u3046", "\u30e4\u30de\u30c0\u30bf\u30ed\u30a6", True),
        (Category.RECORD_NUMBER, "12-34-567", "00001234567", True),
        (Category.RECORD_NUMBER, "12-34-567", "10001234567", False),
    ],
)
def test_a_name_counts_joined_in_kana_and_a_number_with_zeros_in_front(
    category: Category, value: str, text: str, found: bool
) -> None:
    needles = Needles([Entry(category, value)], frozenset())
    assert bool(list(needles.hits(text))) is found
    if found and text.isascii() and text.isalnum():
        assert needles.may_hit(text.lower().encode())


@pytest.mark.parametrize(
    ("category", "value", "text", "found"),
    [
        (Category.RECORD_NUMBER, "AB1234567", "pat 1234567", True),
        (Category.RECORD_NUMBER, "AB1234567", "x1234567y", True),
        (Category.RECORD_NUMBER, "AB1234567", "0.1234567", False),
        (Category.RECORD_NUMBER, "AB1234567", "12345678", False),
        (Category.RECORD_NUMBER, "AB0012345", "12345 knee", True),
        (Category.RECORD_NUMBER, "ABCDEF1234567", "1234567", False),
        (Category.RECORD_NUMBER, "AB12345", "12345", False),
        (Category.ACCESSION, "ACC-0099123", "99123", True),
        (Category.DEVICE, "SN123456", "123456", False),
        (Category.ACCESSION, "4711", "Acc. 4711 knee", True),
        (Category.ACCESSION, "4711", "accession no: 4711", True),
        (Category.ACCESSION, "4711", "knee #4711", True),
        (Category.RECORD_NUMBER, "4711", "ID 4711, chest", True),
        (Category.ACCESSION, "4711", "Auftrag 4711", True),
        (Category.ACCESSION, "4711", "TR 4711", False),
        (Category.ACCESSION, "4711", "ID 4711.5", False),
        (Category.ACCESSION, "4711", "ID 14711", False),
        (Category.ACCESSION, "1500", "ID 1500", False),
        (Category.ACCESSION, "2020", "ID 2020", False),
        (Category.ACCESSION, "4444", "ID 4444", False),
        (Category.DATE, "20200417", "17.IV.2020", True),
        (Category.DATE, "20200417", "17-iv-20", True),
        (Category.DATE, "20200417", "17 IV 2020", True),
        (Category.DATE, "20201017", "17/X/2020", True),
        (Category.DATE, "20201017", "17 x 2020", False),
        (Category.DATE, "20200417", "17.VI.2020", False),
        (Category.DATE, "20200417", "17.IV-2020", False),
        (Category.DATE, "20200117", "C17.I.2020", False),
        (Category.DATE, "20200116", "2020-W03-4", True),
        (Category.DATE, "20200116", "made 2020W034", True),
        (Category.DATE, "20200116", "2020-W03", False),
        (Category.DATE, "20210103", "2020-W53-7", True),
    ],
)
def test_digits_of_codes_short_numbers_behind_a_cue_and_further_dates_count(
    category: Category, value: str, text: str, found: bool
) -> None:
    needles = Needles([Entry(category, value)], frozenset())
    assert bool(list(needles.hits(text))) is found
    if found:
        assert needles.may_hit(text.lower().encode())
