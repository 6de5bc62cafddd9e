"""Known identifiers in CS, DS and IS: what is one goes, a term stays, and verification sees it the same way."""

from __future__ import annotations

import itertools

import pytest

from phi_deid_pipeline.known_codes import known_codes, without_codes
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles
from phi_deid_pipeline.verification_words import CODE_TERMS
from phi_deid_pipeline.vocabulary import load_vocabulary

RECORD, NAME, DATE, ACCESSION = Category.RECORD_NUMBER, Category.NAME, Category.DATE, Category.ACCESSION


def after(vr: str, value: str, *entries: tuple[Category, str]) -> str:
    known = known_codes(Lexicon(Entry(*entry) for entry in entries), load_vocabulary())
    new = without_codes(vr, value.encode("ascii"), known)
    return value if new is None else new.decode("ascii").strip()


@pytest.mark.parametrize(
    ("entry", "value", "goes"),
    [
        ((RECORD, "000001"), "1", False),
        ((RECORD, "000001"), "000001", True),
        ((RECORD, "00123"), "123", False),
        ((RECORD, "00123"), "00123", True),
        ((RECORD, "4711123"), "0004711123", True),
        ((RECORD, "0004711123"), "4711123", True),
        ((RECORD, "000001"), "IMG000001", True),
        ((RECORD, "1234"), "1234", True),
        ((RECORD, "1234"), "T 1234", False),
        ((RECORD, "2010"), "2010", False),
        ((RECORD, "A12"), "A12", True),
        ((RECORD, "A12"), "XA12", False),
        ((ACCESSION, "A12"), "A12", False),
        ((RECORD, "MRN4711"), "MRN_4711", True),
        ((NAME, "Quill^Anne"), "QUILL", True),
        ((NAME, "Doe^Anne"), "DOE", True),
        ((NAME, "Lao^Anne"), "LAO", False),
        ((NAME, "Norm^Anne"), "NORM", False),
        ((NAME, "Li^Xu"), "LI_XU", True),
        ((DATE, "20200131"), "20200131", True),
        ((DATE, "20200131"), "31JAN2020", True),
        ((DATE, "20200131"), "200131", True),
        ((DATE, "20200131"), "F_200131", True),
        ((DATE, "20200131"), "X200131", True),
        ((DATE, "20200131"), "20 01 31", False),
    ],
)
def test_component_of_a_code_string_goes_if_it_is_a_known_identifier(
    entry: tuple[Category, str], value: str, goes: bool
) -> None:
    assert after("CS", f"PRIMARY\\{value}", entry) == ("PRIMARY\\DEIDENTIFIED" if goes else f"PRIMARY\\{value}")


@pytest.mark.parametrize(
    ("value", "goes"),
    [("4711123", True), ("0004711123", True), ("+4711123", True), ("47111230", False), ("4711", False)],
)
def test_number_is_known_with_zeros_in_front(value: str, goes: bool) -> None:
    assert after("IS", value, (RECORD, "4711123")) == ("0" if goes else value)
    components = {part.encode() for part in value.lstrip("+").split("\\")}
    assert bool(Needles([Entry(RECORD, "4711123")], frozenset()).numbers(components)) is goes


def test_small_numbers_stay_beside_an_id_of_zeros_and_one_digit() -> None:
    assert after("IS", "1\\2\\3\\4", (RECORD, "000001")) == "1\\2\\3\\4"
    assert after("IS", "000001", (RECORD, "000001")) == "0"


IDS = ("000001", "00123", "1234", "0004711123", "4711123", "A12", "MRN4711", "12-34-567", "0000", "2010", "X1")
NAMES = ("Quill^Anne", "Doe^Jo", "Lao^Anne", "Norm^Max", "Li^Xu", "Sag^Ann", "Black^Young", "O'Brien^Pat")
SHAPES = ("{}", "X{}", "IMG{}", "0{}", "T {}", "{}_A", "ABC_{}_7", "{} {}")


@pytest.mark.parametrize("category", [RECORD, ACCESSION, Category.DEVICE])
@pytest.mark.parametrize("value", IDS)
def test_verification_finds_no_number_in_what_the_engine_leaves(category: Category, value: str) -> None:
    needles = Needles([Entry(category, value)], frozenset())
    for shape, other in itertools.product(SHAPES, IDS):
        text = shape.format(*[other.replace("-", "")] * 2).upper()
        assert list(needles.hits(after("CS", text, (category, value)), terms=CODE_TERMS)) == [], text


@pytest.mark.parametrize("value", NAMES)
def test_verification_finds_no_name_in_what_the_engine_leaves(value: str) -> None:
    needles = Needles([Entry(NAME, value)], frozenset())
    words = value.upper().replace("'", "").split("^")
    for shape, word in itertools.product(SHAPES, [*words, "".join(words), " ".join(words), "_".join(words[::-1])]):
        text = shape.format(word, word)
        assert list(needles.hits(after("CS", text, (NAME, value)), terms=CODE_TERMS)) == [], text
