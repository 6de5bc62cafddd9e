"""Verification knows an identifier in every spelling in which the lexicon knows it, by code of its own."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.lexicon import Entry, Lexicon, entries_of
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import MIN_NAME, Needles
from phi_deid_pipeline.verification_spellings import ideograph_forms, name_spellings

NAMES = (
    *("Sato^Taro", "Ohno^Yuko", "\u014cno^Y\u016bko", "Kond\u014d^Jir\u014d", "Yamada^Tarou", "Ito^Shotaro"),
    *("\u0418\u0432\u0430\u043d\u043e\u0432^\u041f\u0435\u0442\u0440", "Ivanova^Anna", "Dostoevsky^Fyodor"),
    *(
        "\u041c\u043e\u0447\u0430\u043b\u044c\u043d\u0438\u043a\u043e\u0432^\u042e\u0440\u0438\u0439",
        "Nov\u00e1kov\u00e1^Jana",
    ),
    *("\u0414\u043e\u0441\u0442\u043e\u0435\u0432\u0441\u043a\u0438\u0439^\u0424\u0451\u0434\u043e\u0440",),
    *(
        "\u03a0\u03b1\u03c0\u03b1\u03b4\u03cc\u03c0\u03bf\u03c5\u03bb\u03bf\u03c2^\u0393\u03b9\u03ce\u03c1\u03b3\u03bf\u03c2",
    ),
    *(
        "M\u00fcller^J\u00f6rg",
        "Mueller^Joerg",
        "\u00c6r\u00f8^S\u00f8ren",
        "\u00d8ster^\u00c5sger",
        "Stra\u00dfe^Wei\u00df",
    ),
    *("Smith-Jones^Anna Maria", "O'Brien^Patrick", "Garcia-Lopez-Perez^Anna", "D'Angelo-Rossi^Lidia"),
    *("\u0141ukasz^\u017b\u00f3\u0142\u0107", "\u00de\u00f3r\u00f0ur^Gu\u00f0r\u00fan", "M\u00fchlenk\u00f6tter^Jan"),
    *(
        "\u738b^\u5c0f\u660e",
        "\u5f35^\u5049",
        "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
    ),
)


def found(entries: list[Entry], text: str) -> bool:
    needles = Needles(entries, frozenset())
    hit = bool(list(needles.hits(text)))
    if hit and text.isascii():  # the quick question must not lose what the slow one finds
        assert needles.may_hit(text.lower().encode())
    return hit


@pytest.mark.parametrize("name", NAMES, ids=[f"name{number}" for number in range(len(NAMES))])
def test_every_spelling_of_a_name_that_the_lexicon_knows_is_found(name: str) -> None:
    entries = entries_of(Category.NAME, name)
    codes = sorted(code for code in Lexicon(entries).codes if len(code) >= MIN_NAME)
    assert codes or any(ord(char) > 0x2E80 for char in name)
    assert [code for code in codes if not found(entries, f"seen {code} again")] == []


@pytest.mark.parametrize(
    ("name", "text", "hit"),
    [
        ("Shotaro^A", "Shoutarou", True),
        ("Shoutarou^A", "SHOTARO", True),
        ("M\u00fchlenk\u00f6tter^Jan", "Muehlen-koetter", True),
        ("M\u00fchlenk\u00f6tter^Jan", "Muehlen koetter", False),
        ("OBrien^Ann", "O'Brien", True),
        ("\u0424\u0451\u0434\u043e\u0440\u043e\u0432^\u0410", "Fyodorova", True),
        ("\u0424\u0451\u0434\u043e\u0440\u043e\u0432^\u0410", "Fedorov", True),
        ("\u5f35^\u5049\u570b", "\u5f20\u4f1f\u56fd", True),
        ("\u5f20^\u4f1f\u56fd", "\u5f35\u5049\u570b", True),
        ("\u6fa4\u7530^\u82b1", "\u6ca2\u7530", True),
        ("\u5f35^\u5049\u570b", "\u5f35\u5fb7\u570b", False),
        ("Boone^Ann", "bone", False),
        ("Douse^Ann", "dose", False),
        ("Nov^A", "nova", False),
    ],
)
def test_lexicon_and_verification_agree_on_a_spelling(name: str, text: str, hit: bool) -> None:
    entries = entries_of(Category.NAME, name)
    assert bool(Lexicon(entries).hits(text)) is hit
    assert found(entries, text) is hit


@pytest.mark.parametrize(
    ("category", "value", "text", "hit"),
    [
        (Category.RECORD_NUMBER, "12345678", "12 345 678", True),
        (Category.RECORD_NUMBER, "12-34-567", "0012-34-567", True),
        (Category.RECORD_NUMBER, "1234567", "1.234567", False),
        (Category.DEVICE, "AWP12345", "awp 12345", True),
        (Category.ACCESSION, "ACC2020/00123", "ACC-2020-00123", True),
        (Category.CONTACT, "+49 3841 998877", "03841/998877", True),
        (Category.CONTACT, "+1 (555) 123-4567", "call 555.123.4567", True),
        (Category.CONTACT, "mailto:john.roe@example.org", "to John.Roe@Example.org", True),
        (Category.ADDRESS, "Lindenweg 12^^Wismar^^23966", "23966", True),
        (Category.DATE, "20200131", "done 31/1/20 at night", True),
        (Category.DATE, "20200131", "31-JAN-20", True),
        (Category.DATE, "20200131", "January 31st, 2020", True),
        (Category.DATE, "20200131", "2020 Jan 31", True),
        (Category.DATE, "20200131", "2020\u5e741\u670831\u65e5", True),
        (Category.DATE, "20200131", "v1.31.1.20", False),
        (Category.DATE, "20200131", "31 1 20", False),
    ],
)
def test_numbers_in_groups_and_written_dates_are_found(category: Category, value: str, text: str, hit: bool) -> None:
    assert found([Entry(category, value)], text) is hit


def test_spellings_are_few_for_a_name_with_many_ways_to_write_it() -> None:
    long = "\u0412\u0443\u0439\u0446\u0438\u0446\u043a\u0438\u0439\u0445\u0432\u044b\u044f\u044e\u0432\u0451\u0445"
    assert len(name_spellings(long)) <= 400
    assert len(ideograph_forms("\u767c\u9f8d\u908a\u9f4a\u767c")) <= 96


def test_the_table_of_ideographs_makes_one_form_of_each() -> None:
    assert {name for form in ("\u5f35\u570b", "\u5f20\u56fd") for name in name_spellings(form)} == {"\u5f20\u56fd"}
