"""Identifiers are found in the forms that verification knows, and ordinary words are not."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Entry, Lexicon, entries_of
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_needles import Needles

NEEDLES = Needles([Entry(Category.NAME, "Quaresma^Joana")], frozenset())


def assert_counts(needles: Needles, text: str, found: bool) -> None:
    """Hold that a text counts or not, and that the quick look before agrees."""
    assert bool(list(needles.hits(text))) is found
    if found:
        assert needles.may_hit(text.lower().encode())


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
    assert_counts(NEEDLES, text, found)


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
        (Category.RECORD_NUMBER, "ABCDEF1234567", "1234567", True),
        (Category.RECORD_NUMBER, "AB12345", "12345", True),
        (Category.RECORD_NUMBER, "AB12345", "12 345", True),
        (Category.RECORD_NUMBER, "AB12345", "12.345", False),
        (Category.RECORD_NUMBER, "UKT^7654321", "7654321", True),
        (Category.RECORD_NUMBER, "12/987-65", "987-65", True),
        (Category.ACCESSION, "2024/77123", "77123/24", True),
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
        (Category.DATE, "19510403", "DOB 4 3 51", True),
        (Category.DATE, "19510403", "geb. am 3 4 51", True),
        (Category.DATE, "19510403", "T1 4 3 51", False),
        (Category.DATE, "20200417", "17-iv-20", True),
        (Category.DATE, "20200417", "17.IV.2020", True),
        (Category.DATE, "19510403", "DOB 4 3 51", True),
        (Category.DATE, "19510403", "geb. am 3 4 51", True),
        (Category.DATE, "19510403", "T1 4 3 51", False),
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
    assert_counts(Needles([Entry(category, value)], frozenset()), text, found)


@pytest.mark.parametrize(
    ("category", "value", "text", "found"),
    [
        (Category.ADDRESS, "12 High St, Leeds LS1 3EX", "LS1 3EX", True),
        (Category.ADDRESS, "12 High St, Leeds LS1 3EX", "ls13ex", True),
        (Category.ADDRESS, "12 High St, Leeds LS1 3EX", "LS1", False),
        (Category.ADDRESS, "4 Oak Ave, Ottawa K1A 0B1", "K1A 0B1", True),
        (Category.ADDRESS, "Talweg 9, 6060 Hall", "PLZ 6060", True),
        (Category.ADDRESS, "Talweg 9, 6060 Hall", "A-6060", True),
        (Category.ADDRESS, "Talweg 9, 6060 Hall", "TE 6060", False),
        (Category.ADDRESS, "Vej 3, 5000 Odense C", "5000 Odense", True),
        (Category.ADDRESS, "Gatan 4, 582 22 Lund", "582 22", True),
        (Category.RECORD_NUMBER, "AT/12-3456", "12-3456", True),
        (Category.RECORD_NUMBER, "AT/12-3456", "12.3456", False),
        (Category.RECORD_NUMBER, "P-123-456", "123 456", True),
        (Category.RECORD_NUMBER, "12345678Z", "12.345.678", True),
        (Category.RECORD_NUMBER, "12345678-9", "12345678", True),
        (Category.RECORD_NUMBER, "12.345.678-Z", "12345678", True),
        (Category.RECORD_NUMBER, "7654321^^^HOSP&1.2.3&ISO", "7654321", True),
        (Category.RECORD_NUMBER, "7654321^^^HOSP&1.2.345678&ISO", "V1.2.345678", False),
        (Category.RECORD_NUMBER, "20231117-4711", "20231117", False),
        (Category.ACCESSION, "1234567/8", "1234567", True),
        (Category.ACCESSION, "K123456(5)", "K123456", True),
        (Category.ACCESSION, "RIS.12.4711", "12.4711", True),
        (Category.ACCESSION, "2023-CT-004711", "CT4711", True),
        (Category.ACCESSION, "KH-CT-2000", "CT2000", False),
        (Category.RECORD_NUMBER, "00123456", "123.456", True),
        (Category.RECORD_NUMBER, "00123456", "1234.56", False),
        (Category.ADDRESS, "4 Quay, Dublin D08 T2V9", "D08 T2V9", True),
        (Category.ADDRESS, "4 Quay, Dublin D08 T2V9", "D08T2V9", True),
        (Category.ADDRESS, "1 Mall, Cork T12 YN60", "T12YN60", True),
        (Category.RECORD_NUMBER, "001234", "ID 1234", True),
        (Category.RECORD_NUMBER, "\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "1234567", True),
    ],
)
def test_postcodes_and_parts_of_structured_numbers_count(
    category: Category, value: str, text: str, found: bool
) -> None:
    needles = Needles([Entry(category, value)], frozenset())
    assert_counts(needles, f"knee {text} left", found)
    if found:
        known = Lexicon(entries_of(category, value))  # what verification finds the engine removes
        assert not list(needles.hits(drop_identifiers(f"knee {text} left", known)))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("van den Berg^Jan", "vdberg", True),
        ("van den Berg^Jan", "JvdBerg", True),
        ("van den Berg^Jan", "BergJ", True),
        ("van den Berg^Jan", "bergj", False),
        ("van den Berg^Jan", "iceberg", False),
        ("M\u00fcller^Anna", "AMueller", True),
        ("Smith^John", "SmithHead", True),
        ("Smith^John", "SMITHLUNG", True),
        ("Smith^John", "blacksmith", False),
        ("Pimentel^Thais", "CTPIMENTEL", True),
        ("Pimentel^Thais", "tpimentel", True),
        ("Pimentel^Thais", "pimentelptv", True),
        ("Pimentel^Thais", "ptvxpimentel", False),
        ("McAllister-Greig^Morag", "MC ALLISTER", True),
        ("McAllister^Morag", "MacAllister", True),
        ("FitzGerald^Ann", "Fitz Gerald", True),
        ("Li^Wu", "LiWu", True),
        ("Li^Wu", "L. Wu", True),
        ("Li^Wu", "L Wu", False),
        ("Mc Carthy-Lo Presti^Ann", "LoPresti", True),
        ("Mc Carthy-Lo Presti^Ann", "mccarthy", True),
        ("\u0395\u03c5\u03ac\u03b3\u03b3\u03b5\u03bb\u03bf\u03c2^\u0391", "Evaggelos", True),
        ("\u0429\u0435\u0440\u0431\u0430\u043a\u043e\u0432\u0430^\u0410", "Schtscherbakowa", True),
    ],
)
def test_a_name_in_one_word_with_others_counts(name: str, text: str, found: bool) -> None:
    entries = entries_of(Category.NAME, name)
    needles, data = Needles(entries, frozenset()), f"knee {text} T1".encode()
    assert bool(list(needles.hits(data.decode()))) is found
    if found:
        assert needles.may_hit(data.lower()) or needles.may_be_joined(data)
        assert not list(needles.hits(drop_identifiers(data.decode(), Lexicon(entries))))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("S26.4.3", True),
        ("s26-04-03", True),
        ("\u662d\u548c26\u5e744\u67083\u65e5", True),
        ("\u662d26.4.3", True),
        ("H26.4.3", False),
        ("S26.4.30", False),
    ],
)
def test_a_date_of_a_japanese_era_counts(text: str, found: bool) -> None:
    needles = Needles([Entry(Category.DATE, "19510403")], frozenset())
    assert bool(list(needles.hits(text))) is found
    if found and text.isascii():
        assert needles.may_hit(text.lower().encode())


NAMES = (
    *(
        "von der Heydte-\u00c1balos^G\u00f6sta",
        "Nguy\u1ec5n^Th\u1ecb H\u01b0\u01a1ng",
        "Li^Wu",
        "Smith^John",
        "Kim^Min-Jun",
    ),
    *("D'Agostino-Lo Presti^Niccol\u00f2", "O'Neil-Mc Carthy^Se\u00e1n^\u00d3g^Mr^Jr", "Zu Moosbach^Karl"),
    *("McAllister-Greig^Morag", "MACALLISTER^Fitzgerald", "O'Brien^McHine"),
    *("De La Cruz^Ana", "Al-Zahrani^Omar bin Ali", "M\u00fcller-L\u00fcdke^K\u00e4the^^Dr. med.", "Lung^An"),
    "\u0429\u0435\u0440\u0431\u0430\u043a\u043e\u0432\u0430^\u0424\u0451\u0434\u043e\u0440",
    "\u0393\u03b5\u03c9\u03c1\u03b3\u03af\u03bf\u03c5^\u0395\u03c5\u03ac\u03b3\u03b3\u03b5\u03bb\u03bf\u03c2",
)
NUMBERS = (
    *("AT/12-3456", "12345678Z", "7654321^^^HOSP&1.2.3&ISO", "001234", "2023-CT-004711", "RIS.12.4711", "K123456(5)"),
    *("12.345.678-Z", "510403-1234567", "SG-77", "A12B34C5678", "T1-2000-4711", "20231117-4711", "12/2023/0815"),
)
PLACES = (
    *(
        "12 High St, Leeds LS1 3EX",
        "Talweg 9, 6060 Hall",
        "Vej 3, 5000 Odense C",
        "Gatan 4, 582 22 Lund",
        "8000 Chur, Weg 3",
    ),
    *("4 Oak Ave, Ottawa ON K1A 0B1", "Rua 5, 1000-205 Lisboa", "Room 12, CT 12, St Mary", "ul. Prosta 3, 00-950 Wola"),
)


@pytest.mark.parametrize(
    ("category", "value"),
    [
        *((Category.NAME, name) for name in NAMES),
        *((Category.RECORD_NUMBER, number) for number in NUMBERS),
        *((Category.ACCESSION, number) for number in NUMBERS),
        *((Category.ADDRESS, place) for place in PLACES),
        *((Category.INSTITUTION, place) for place in PLACES),
    ],
)
def test_whatever_verification_looks_for_the_engine_removes(category: Category, value: str) -> None:
    """Else a series would be held for good."""
    entries = entries_of(category, value)
    needles, known = Needles(entries, frozenset()), Lexicon(entries)
    forms = [*needles.letters, *needles.words, *needles.digits, *needles.whole, *needles.inside, *needles.cued]
    forms += [f"PLZ {number}" for number in needles.towns] + [f"ID {number}" for number in needles.cued]
    forms += [" ".join(phrase) for phrases in needles.phrases.values() for phrase, _ in phrases]
    forms += [f"{code[:cut]}-{code[cut:]}" for code in {*needles.digits, *needles.words} for cut in range(1, len(code))]
    forms += [f"{word.title()}Head" for word in needles.letters] + [f"{word.upper()}THORAX" for word in needles.letters]
    forms += [form for word in needles.letters for form in (f"ct{word}", f"t{word}", f"{word}ptv")]
    assert forms
    texts = [text for form in forms for text in (form, form.upper(), f"B30 {form} T1")]
    assert [text for text in texts if list(needles.hits(drop_identifiers(text, known)))] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(
            ("17|03|1952", True),
            ("1952:03:17", True),
            ("17:03:1952", True),
            ("17-03-'52", True),
            ("3/17/\u201952", True),
        ),
        *(("17:03:52", False), ("18|03|1952", False), ("1:17:03:1952", False)),
    ],
)
def test_a_date_with_other_marks_counts_and_the_engine_removes_it(text: str, found: bool) -> None:
    entries = [Entry(Category.DATE, "19520317")]
    needles = Needles(entries, frozenset())
    assert bool(list(needles.hits(f"knee {text} left"))) is found
    if found:
        assert not text.isascii() or needles.may_hit(f"knee {text} left".encode())
        assert not list(needles.hits(drop_identifiers(f"knee {text} left", Lexicon(entries))))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("Smith^John^Paul", "seen by J.P.S.", True),
        ("Smith^John^Paul", "S. J. P. chest", True),
        ("Smith^John^Paul", "j.p.s.", False),
        ("Smith^John^Paul", "JPS", False),
        ("Smith^John^Paul", "A.J.P.S.", False),
        ("Smith^John^Paul", "J.S.", False),
        ("Smith^John", "J.S.", False),
        ("van den Berg^Jan^Piet", "J.P.B.", True),
        ("Adams^Uwe^Sven", "Made in U.S.A.", False),
        ("Ma^Xi", "Dr. Ma", True),
        ("Ma^Xi", "Frau Xi", True),
        ("Ma^Xi", "DR MA", False),
        ("Ma^Xi", "Ma", False),
        ("Ma^Xi", "Dr. Mai", False),
        ("Le^Van", "Dr. Le", False),
    ],
)
def test_initials_with_points_and_two_letters_behind_a_title_count(name: str, text: str, found: bool) -> None:
    entries = [Entry(Category.NAME, name)]
    assert_counts(Needles(entries, frozenset()), text, found)
    assert not found or drop_identifiers(text, Lexicon(entries)) != text


BIRTH = [Entry(Category.DATE, "19500304"), Entry(Category.BIRTH_DATE, "19500304"), Entry(Category.DATE, "20190405")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(
            (f"chest, {label} 1950", True)
            for label in ("geb.", "born", "born in", "DOB:", "Jahrgang", "YOB", "geboren in")
        ),
        *((f"{label} 1950", True) for label in ("né en", "née", "nato nel", "nacida en", "naissance", "Geburtsjahr:")),
        ("born 1951", False),
        ("born 2019", False),
        ("b 1950", False),
        ("TR 1950", False),
        ("geb. 1950.5", False),
        ("stubborn 1950", False),
    ],
)
def test_year_of_birth_counts_behind_a_word_for_birth(text: str, found: bool) -> None:
    needles = Needles(BIRTH, frozenset())
    assert bool(list(needles.hits(text))) is found
    assert not found or not text.isascii() or needles.may_hit(text.lower().encode())
    assert not list(needles.hits(text, dates=frozenset({"20190405"})))
    assert not found or not list(needles.hits(drop_identifiers(text, Lexicon(BIRTH))))
