"""Lexicon: what is gathered from headers and what is found again in text."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Entry, Lexicon, entries_of, harvest, needle_form, written_dates
from phi_deid_pipeline.raw_elements import parse_instance
from phi_deid_pipeline.records import Category

NAME, PERSON, RECORD, ACCESSION = Category.NAME, Category.PERSON, Category.RECORD_NUMBER, Category.ACCESSION
DATE, INSTITUTION, ADDRESS, CONTACT, DEVICE = (
    Category.DATE,
    Category.INSTITUTION,
    Category.ADDRESS,
    Category.CONTACT,
    Category.DEVICE,
)


def lexicon(*pairs: tuple[Category, str]) -> Lexicon:
    return Lexicon(entry for category, value in pairs for entry in entries_of(category, value))


def found(known: Lexicon, text: str) -> list[tuple[str, str]]:
    return [(text[start:end], category.value) for start, end, category in known.hits(text)]


JOHN = lexicon((NAME, "DOE^JOHN^Q"))


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("Pat. John Doe seen", ["John Doe"]),
        ("DOE, JOHN", ["DOE, JOHN"]),
        ("doe^john^q", ["doe^john^q"]),
        ("J. Doe", ["J. Doe"]),
        ("doe_john.dcm", ["doe_john"]),
        ("JohnDoe", ["JohnDoe"]),
        ("DOEJOHN", ["DOEJOHN"]),
        ("john", ["john"]),
        ("Jöhn", ["Jöhn"]),
        ("JOHN and later DOE", ["JOHN", "DOE"]),
        ("does johnny q", []),
        ("Q", []),
        ("", []),
    ],
)
def test_hits_of_a_name_in_any_order_and_part(text, hits):
    assert found(JOHN, text) == [(hit, "name") for hit in hits]


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        ("Müller^Jürgen", "MUELLER", ["MUELLER"]),
        ("Müller^Jürgen", "Muller", ["Muller"]),
        ("Mueller^Hans", "Müller", ["Müller"]),
        ("Łukasz^Żółć", "lukasz zolc", ["lukasz zolc"]),
        ("O'Brien^Mary-Ann", "obrien", ["obrien"]),
        ("O'Brien^Mary-Ann", "BRIEN, ANN", ["BRIEN, ANN"]),
        ("Wu^Li", "Li", []),
        ("Wu^Li", "Wu, Li", ["Wu, Li"]),
        ("van der Berg^Jan", "der", []),
        ("van der Berg^Jan", "van der Berg", ["van der Berg"]),
        ("Phantom^Head", "PHANTOM scan", []),
        ("Phantom^Head", "HEAD", []),
        ("Phantom^Head", "head phantom", ["head phantom"]),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "患者山田太郎の検査", ["山田太郎"]),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ", ["やまだ"]),
        ("Hong^Gildong=洪^吉洞=홍^길동", "홍길동님", ["홍길동"]),
        ("Дое^Иван", "ИВАН ДОЕ", ["ИВАН ДОЕ"]),
    ],
)
def test_hits_of_names_with_accents_particles_and_other_scripts(value, text, hits):
    assert found(lexicon((NAME, value)), text) == [(hit, "name") for hit in hits]


@pytest.mark.parametrize(
    "text",
    [
        "20200131",
        "20200131120000.000000",
        "2020-01-31",
        "2020.01.31",
        "2020/1/31",
        "31.01.2020",
        "31. 1. 2020",
        "1/31/2020",
        "01-31-20",
        "31/1/20",
        "310120",
        "200131",
        "31 Jan 2020",
        "31-JAN-20",
        "31JAN2020",
        "31. Januar 2020",
        "31 janvier 2020",
        "Jan 31 2020",
        "January 31st, 2020",
        "2020 Jan 31",
        "2020年1月31日",
        "31 de enero de 2020",
        "31er janvier 2020",
        "31º gennaio 2020",
        "31.I.2020",
        "31I2020",
    ],
)
def test_hits_of_a_date_in_its_written_forms(text):
    known = lexicon((DATE, "20200131"))
    assert known.identifies(f"done {text} at night") is DATE
    assert lexicon((DATE, "20200201")).hits(f"done {text} at night") == []


def test_hits_of_every_form_that_written_dates_lists():
    known = lexicon((DATE, "20200131"))
    forms = written_dates("20200131")
    assert len(forms) > 30
    assert [form for form in forms if known.identifies(form) is not DATE] == []


@pytest.mark.parametrize(
    ("pair", "text", "hits"),
    [
        ((RECORD, "12-345-678"), "ID 12345678", ["12345678"]),
        ((RECORD, "12345678"), "MRN12345678", ["12345678"]),
        ((RECORD, "12345678"), "12 345 678", ["12 345 678"]),
        ((RECORD, "00123456"), "123456", ["123456"]),
        ((RECORD, "12345678"), "0.12345678", []),
        ((RECORD, "12345678"), "1234.5678", []),
        ((RECORD, "12345678"), "123456789", []),
        ((RECORD, "1234"), "pat 1234", ["1234"]),
        ((RECORD, "1234"), "x1234 0.1234 1234.5", []),
        ((RECORD, "1234"), "12 34", ["12 34"]),
        ((RECORD, "1234"), "CT1234 HEAD1234", ["1234", "1234"]),
        ((RECORD, "1234"), "b1234 TE1234 1234ms CT12345 CT1234.5", []),
        ((RECORD, "ACC0099123"), "acc 99123, 0099123", ["acc 99123", "0099123"]),
        ((RECORD, "AB123"), "123", []),
        ((RECORD, "4MR1"), "4MR1", ["4MR1"]),
        ((RECORD, "4MR1"), "4MR12", []),
        ((ACCESSION, "1"), "series 1", []),
        ((ACCESSION, "4711"), "4711 x4711 4711.5", ["4711"]),
        ((ACCESSION, "1500"), "TE 1500", []),
        ((RECORD, "LB77"), "lb 77 or LB-77", ["lb 77", "LB-77"]),
        ((RECORD, "T123"), "T1 23", []),
        ((DEVICE, "AWP12345"), "awp 12345", ["awp 12345"]),
        ((DEVICE, "CT"), "CT head", []),
        ((CONTACT, "+1 (555) 123-4567"), "call 555.123.4567", ["555.123.4567"]),
        ((CONTACT, "+1 (555) 123-4567"), "1234567", ["1234567"]),
        ((CONTACT, "mailto:john.roe@example.org"), "to John.Roe@Example.org", ["John.Roe@Example.org"]),
    ],
)
def test_hits_of_numbers_ignore_separators_but_not_their_neighbours(pair, text, hits):
    assert found(lexicon(pair), text) == [(hit, pair[0].value) for hit in hits]


@pytest.mark.parametrize(
    ("pair", "text", "hits"),
    [
        ((INSTITUTION, "St. Mary's General Hospital"), "st mary s general hospital", ["st mary s general hospital"]),
        ((INSTITUTION, "St. Mary's General Hospital"), "General Hospital", []),
        ((INSTITUTION, "St. Mary's General Hospital"), "Mary", ["Mary"]),
        ((INSTITUTION, "Department of Radiology"), "Department of Radiology", []),
        ((INSTITUTION, "Universitätsklinik Köln"), "KOELN", ["KOELN"]),
        ((ADDRESS, "12 Elm Street, Gotham 54321"), "gotham", ["gotham"]),
        ((ADDRESS, "12 Elm Street, Gotham 54321"), "54321", ["54321"]),
        ((ADDRESS, "12 Elm Street, Gotham 54321"), "main street", []),
    ],
)
def test_hits_of_places_as_sequence_and_by_distinctive_words(pair, text, hits):
    assert found(lexicon(pair), text) == [(hit, pair[0].value) for hit in hits]


def test_hits_gives_positions_in_the_text_as_it_stands_after_folding_to_other_lengths():
    text = "Straße ﬁn DOE"
    assert JOHN.hits(text) == [(text.index("DOE"), len(text), NAME)]


def test_hits_do_not_overlap_and_the_longest_names_the_category():
    known = lexicon((NAME, "Doe^John"), (INSTITUTION, "John Doe Memorial Hospital"))
    assert known.hits("John Doe Memorial Hospital") == [(0, 26, INSTITUTION)]


def test_identifies_prefers_the_first_category():
    assert lexicon((NAME, "Doe^John"), (DATE, "20200131")).identifies("20200131 DOE") is NAME
    assert JOHN.identifies("nobody here") is None


@pytest.mark.parametrize(
    ("category", "value"),
    [
        (NAME, ""),
        (NAME, "Anonymous"),
        (NAME, "^^^^"),
        (NAME, "DE-IDENTIFIED"),
        (NAME, "XXX"),
        (RECORD, "UNKNOWN"),
        (RECORD, "N/A"),
        (RECORD, "00000000"),
        (RECORD, " "),
        (DATE, "19000101"),
        (DATE, "00010101"),
        (DATE, "202001"),
        (DATE, "20201301"),
        (INSTITUTION, "Hospital"),
        (DEVICE, "none"),
    ],
)
def test_entries_of_values_that_identify_nobody_are_none(category, value):
    assert entries_of(category, value) == []


def test_entries_of_a_date_time_is_its_day():
    assert entries_of(DATE, "20200131120000.5+0100") == [Entry(DATE, "20200131")]


def test_entries_of_a_name_split_its_component_groups():
    assert entries_of(NAME, "Yamada^Tarou=山田^太郎") == [Entry(NAME, "Yamada^Tarou"), Entry(NAME, "山田^太郎")]


def test_json_round_trip_is_canonical_and_allows_other_keys():
    known = lexicon((NAME, "Müller^A B"), (DATE, "20200131"), (RECORD, "77-1234"))
    assert Lexicon.from_json(known.to_json()) == known
    assert Lexicon(sorted(known.entries, reverse=True)).to_json() == known.to_json()
    assert Lexicon.from_json('{"patient_key":"x","entries":[["date","20200131"]]}') == lexicon((DATE, "20200131"))


def test_repr_holds_no_value():
    assert repr(JOHN) == "Lexicon(1 entries)"


def test_needles_are_in_needle_form_and_sorted():
    known = lexicon((NAME, "Doé^John^Q"), (DATE, "20200131"), (RECORD, "77-12 34"), (DEVICE, "CT"))
    assert known.needles() == [
        *((DATE, form) for form in ("01312020", "20200131", "31012020", "31JAN2020", "JAN312020")),
        *((NAME, form) for form in ("DOE", "DOEJOHN", "JOHN", "JOHNDOE")),
        (RECORD, "771234"),
    ]
    assert all(needle_form(needle) == needle for _, needle in known.needles())


def parsed(dataset: Dataset):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.SourceApplicationEntityTitle = "SRCNODE7"
    dataset.file_meta = meta
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return parse_instance(buffer.getvalue())


def item(**attributes) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_harvest_tells_a_birth_date_from_other_dates():
    found = harvest(parsed(item(StudyDate="20200131", PatientBirthDate="19510314")))
    assert {e for e in found if e.category is not DEVICE} == {
        Entry(DATE, "20200131"),
        Entry(DATE, "19510314"),
        Entry(Category.BIRTH_DATE, "19510314"),
    }
    lexicon = Lexicon.from_json(Lexicon(found).to_json())
    assert lexicon.birth_dates == {"19510314"}
    assert [category for _, _, category in lexicon.hits("born 19510314")] == [DATE]


def test_harvest_gathers_every_kind_at_any_depth_and_no_uid():
    dataset = item(
        SpecificCharacterSet="ISO_IR 192",
        SOPInstanceUID="1.2.3.4444",
        StudyDate="20200131",
        StudyTime="101010",
        AcquisitionDateTime="20200202101010",
        AccessionNumber="ACC-1",
        InstitutionName="Köln Klinik",
        InstitutionalDepartmentName="Radiology",
        StationName="AWP1",
        OperatorsName=["Op^One", "Op^Two"],
        PatientName="Doe^John",
        PatientID="77",
        PatientSex="M",
        PatientComments="plays chess",
        PatientTelephoneNumbers="555 1234",
        OtherPatientIDsSequence=Sequence([item(PatientID="88", IssuerOfPatientID="Gotham")]),
        InstitutionCodeSequence=Sequence(
            [item(CodeValue="K17", CodingSchemeDesignator="99X", CodeMeaning="Köln Mitte")]
        ),
        ContentSequence=Sequence(
            [item(ValueType="CONTAINER", ContentSequence=Sequence([item(ValueType="PNAME", PersonName="Roe^Jane")]))]
        ),
    )
    block = dataset.private_block(0x0009, "ACME", create=True)
    block.add_new(1, "PN", "Poe^Edgar")
    assert harvest(parsed(dataset)) == {
        Entry(DATE, "20200131"),
        Entry(DATE, "20200202"),
        Entry(ACCESSION, "ACC-1"),
        Entry(INSTITUTION, "Köln Klinik"),
        Entry(INSTITUTION, "Gotham"),
        Entry(INSTITUTION, "Köln Mitte"),
        Entry(Category.OTHER, "K17"),
        Entry(DEVICE, "AWP1"),
        Entry(DEVICE, "SRCNODE7"),
        Entry(PERSON, "Op^One"),
        Entry(PERSON, "Op^Two"),
        Entry(PERSON, "Roe^Jane"),
        Entry(PERSON, "Poe^Edgar"),
        Entry(NAME, "Doe^John"),
        Entry(RECORD, "77"),
        Entry(RECORD, "88"),
        Entry(CONTACT, "555 1234"),
    }


@pytest.mark.parametrize("name", ["\u738b \u5c0f\u6771", "\u5c0f\u6771, \u738b", "\u738b^\u5c0f\u6771"])
def test_family_name_of_one_character_goes_with_the_given_name(name):
    lexicon = Lexicon(entries_of(Category.NAME, "\u738b^\u5c0f\u6771"))
    text = f"thorax {name} axial"
    ((start, end, _),) = lexicon.hits(text)
    assert (text[:start], text[end:]) == ("thorax ", " axial")


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        ("Doe^John^Q", "seen by J.D.", ["J.D."]),
        ("Doe^John^Q", "D. J. chest", ["D. J."]),
        ("Doe^John^Q", "J.Q.D. chest", ["J.Q.D."]),
        ("van der Berg^Jan", "J.B. knee", ["J.B."]),
        ("Doe^John^Q", "JD chest, T.D. knee, AP J D", []),
        ("Adams^Paul", "AP view, a.p.x, version 2.A.P.3", []),
        ("al-Qahtani^Fahad bin Turki", "F.B.T.Q. knee", ["F.B.T.Q."]),
        ("Albuquerque dos Santos Pimentel^Thais Cristina", "T.C.A.S.P. head", ["T.C.A.S.P."]),
        ("von Schönau-Wehr^Hedwig Adelheid", "H. A. v. S.-W. Abdomen, H. v. S.-W.", ["H. A. v. S.-W.", "H. v. S.-W."]),
        ("O'Muircheartaigh^Caoimhe", "C. O'M. knee", ["C. O'M."]),
        ("McAllister-Greig^Morag", "M. McA.-G. knee", ["M. McA.-G."]),
        ("Doe^John^Quentin Abel", "Q.J.D. A.D.J. D.J.Q.A.B.", []),
        ("Pálinkás^Ildi", "3 h p.i., P.I.", ["P.I."]),
        ("Vogel^Anna", "V.a. Lungenembolie", []),
        ("Bauer^Otto", "Thorax o.B.", []),
        ("Ivanov^Vera", "no i.v. contrast, I. V. seen", ["I. V."]),
        ("Peeters^Anna", "a.p. and p.a., p.a. Anna", ["p.a. Anna"]),
        ("Drew^Ian^Boris", "b.i.d.", []),
    ],
)
def test_initials_are_found_where_points_make_them_initials(value, text, hits):
    assert [hit for hit, _ in found(lexicon((NAME, value)), text)] == hits


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("MS 05.03.31 THORAX", ["MS 05.03.31"]),
        ("chest_SM_19310305_2", ["SM_19310305"]),
        ("MS19310305 chest", ["MS19310305"]),
        ("05.03.1931, M.S.", ["05.03.1931, M.S."]),
        ("MAS *05.03.1931", ["MAS *05.03.1931"]),
        ("MR 05.03.1931 AP", ["05.03.1931"]),
        ("MS 17.01.2020", ["17.01.2020"]),
        ("MS chest", []),
    ],
)
def test_initials_go_with_the_birth_date_beside_them(text, hits):
    known = lexicon((NAME, "Smith^Mary^Ann"), (DATE, "20200117"), (DATE, "19310305"))
    known |= Lexicon([Entry(Category.BIRTH_DATE, "19310305")])
    assert [hit for hit, _ in found(known, text)] == hits


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        ("Smith^John", "SMITHJ or jsmith", ["SMITHJ", "jsmith"]),
        ("Hands^Ida", "hands", ["hands"]),
        ("Wrist^Sue", "wrists", []),
        ("De La Cruz^Ana", "delacruz DeLaCruz", ["delacruz", "DeLaCruz"]),
        ("van der Berg^Jan", "vanderberg", ["vanderberg"]),
    ],
)
def test_name_as_an_account_or_without_blanks_is_found(value, text, hits):
    assert [hit for hit, _ in found(lexicon((NAME, value)), text)] == hits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Иванов^Юрий", "IVANOV knee"),
        ("Иванов^Юрий", "Yuri Ivanov"),
        ("Достоевский^Федор", "Dostoevsky"),
        ("Щукина^Анна", "shchukina"),
        ("Хомяков^Лев", "Homjakov"),
        ("Παπαδόπουλος^Γεώργιος", "Papadopoulos"),
        ("Κωνσταντίνου^Άννα", "KONSTANTINOU"),
        ("Ångström^Bo", "Aangstroem, ANGSTROM"),
        ("Sørensen^Åse", "Soerensen SORENSEN"),
        ("Ægir^Þór", "Thor Aegir"),
        ("Şahin^Gökçe", "GOKCE SAHIN"),
        ("Nguyễn^Thị Hương", "Nguyen Thi Huong"),
        ("Saitō^Yōko=斎藤^陽子", "SAITO YOKO 斎藤"),
        ("García-Márquez^José María", "JOSE GARCIA, Marquez, garciamarquez"),
        ("D'Angelo^Piero", "dangelo"),
        ("Mc Donald^Ronald", "McDonald"),
    ],
)
def test_name_is_found_in_latin_letters_and_its_transliterations(value, text):
    known = lexicon((NAME, value))
    left = text
    for start, end, _ in reversed(known.hits(text)):
        left = left[:start] + left[end:]
    assert [word for word in left.replace(",", " ").split() if word != "knee"] == []


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((RECORD, "MR-0012 345.67"), "MR001234567"),
        ((RECORD, "MR-0012 345.67"), "mr 0012-345-67"),
        ((RECORD, "0012345678"), "12345678"),
        ((ACCESSION, "ACC2020/00123"), "acc202000123"),
        ((ACCESSION, "ACC2020/00123"), "ACC-2020-00123"),
        ((DATE, "19560312"), "12.3.1956"),
        ((DATE, "19560312"), "born March 12, 1956"),
        ((DATE, "19560312"), "12. März 1956"),
        ((DATE, "19560312"), "03/12/56"),
        ((ADDRESS, "Lindenweg 12^^Wismar^^23966"), "Lindenweg"),
        ((ADDRESS, "Lindenweg 12^^Wismar^^23966"), "23966"),
        ((CONTACT, "+49 3841 998877"), "03841/998877"),
        ((DEVICE, "SN-77 4321 B"), "sn774321b"),
        ((PERSON, "Iyer^Anand"), "DR.IYER"),
        ((PERSON, "Tech^Op^^^"), ""),
        ((INSTITUTION, "Klinikum Waldfrieden"), "WALDFRIEDEN CT"),
    ],
)
def test_identifier_of_each_kind_is_found_as_people_write_it(pair, text):
    assert bool(lexicon(pair).hits(text)) is bool(text)


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        ("Li^X", "LI X", ["LI X"]),
        ("Li^X", "X Li", ["X Li"]),
        ("Li^X", "Li, X", ["Li, X"]),
        ("Li^X", "knee of X Li left", ["X Li"]),
        ("Li^X", "Li", []),
        ("Li^X", "X", []),
        ("Li^X", "lix", []),
        ("Li^X^Y", "y li x", ["y li x"]),
        ("Sa^G", "SAG", []),
        ("Ax^T", "AX T", []),
        ("Nguyen^Van^An", "nguyenvanan", ["nguyenvanan"]),
        ("Nguyen^Van^An", "VanAnNguyen scan", ["VanAnNguyen"]),
        ("O'Brien-Smith^Ann", "OBrien", ["OBrien"]),
        ("O'Brien-Smith^Ann", "BrienSmith", ["BrienSmith"]),
        ("M\u00fchlenk\u00f6tter^Jan", "M\u00fchlen-k\u00f6tter", ["M\u00fchlen-k\u00f6tter"]),
        ("M\u00fchlenk\u00f6tter^Jan", "muehlen\u2010koetter CT", ["muehlen\u2010koetter"]),
        ("M\u00fchlenk\u00f6tter^Jan", "M\u00fchlen k\u00f6tter, koetter-muehlen", []),
        ("OBrien^Ann", "O'Brien", ["O'Brien"]),
        ("Xray^Ann", "x-ray", []),
    ],
)
def test_name_of_short_joined_or_divided_parts_is_found_and_no_word_of_imaging(value, text, hits):
    assert found(lexicon((NAME, value)), text) == [(hit, "name") for hit in hits]


@pytest.mark.parametrize(
    "value",
    [
        "\u3084\u307e\u3060^\u305f\u308d\u3046",
        "\u30e4\u30de\u30c0^\u30bf\u30ed\u30a6",
        "\uff94\uff8f\uff80\uff9e^\uff80\uff9b\uff73",
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "\u3084\u307e\u3060 \u305f\u308d\u3046",
        "\u30e4\u30de\u30c0 \u30bf\u30ed\u30a6",
        "\uff94\uff8f\uff80\uff9e \uff80\uff9b\uff73",
        "\u30e4\u30de\u30bf\u3099 \u30bf\u30ed\u30a6",
    ],
)
def test_kana_are_one_in_hiragana_katakana_and_half_width(value, name):
    ((start, end, category),) = lexicon((NAME, value)).hits(f"CT {name} T1")
    assert (f"CT {name} T1"[start:end], category) == (name, NAME)


def test_a_voicing_mark_in_half_width_goes_with_its_name():
    text = "\uff94\uff8f\uff80\uff9e"
    assert lexicon((NAME, "\u3084\u307e\u3060^A")).hits(text) == [(0, len(text), NAME)]


@pytest.mark.parametrize(
    ("value", "text", "hit"),
    [
        ("Yamada^Tarou", "Taro", True),
        ("Yamada^Tarou", "TAROH", True),
        ("Yamada^Taro", "tarou", True),
        ("Oota^Yuuki", "yuki", True),
        ("Boone^Ann", "bone", False),
        ("Douse^Ann", "dose", False),
        ("Yamada^Tarou", "Tara", False),
        ("\u0418\u0432\u0430\u043d\u043e\u0432^\u0418", "IWANOW", True),
        ("\u0418\u0432\u0430\u043d\u043e\u0432^\u0418", "\u0418\u0432\u0430\u043d\u043e\u0432\u0430", True),
        ("\u0418\u0432\u0430\u043d\u043e\u0432\u0430^\u0418", "Ivanov", True),
        ("Dostoevskaya^A", "Dostoevsky", True),
        ("\u0418\u0432\u0430\u043d\u043e\u0432^\u0418", "\u0418\u0432\u0430\u043d", False),
        ("Nov^A", "nova", False),
    ],
)
def test_long_vowels_and_endings_of_the_other_gender_are_the_same_name(value, text, hit):
    assert bool(lexicon((NAME, value)).hits(text)) is hit


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        ("12-34-567", "00001234567", ["00001234567"]),
        ("12-34-567", "0012-34-567", ["0012-34-567"]),
        ("00001234567", "01234567", ["01234567"]),
        ("12-34-567", "0.00001234567", []),
        ("12-34-567", "000012345678", []),
        ("1234", "0001234", ["0001234"]),
    ],
)
def test_zeros_in_front_of_a_number_do_not_hide_it(value, text, hits):
    assert found(lexicon((RECORD, value)), text) == [(hit, "record_number") for hit in hits]


def test_forms_of_a_name_are_no_words_of_imaging():
    words = ("bone", "dose", "AX T", "AX T2", "SAG", "ROUTE", "MODE", "nose", "LI", "X-ray", "AP L", "CT A", "joon")
    names = (
        "Boone^Ann",
        "Douse^Jo",
        "Soura^Ao",
        "Kohn^Bo",
        "Doe^John",
        "Li^X",
        "Ax^T",
        "Moore^A",
        "Ct^A",
        "Mr^B",
        "Us^C",
        "Genov^A",
    )
    assert [word for word in words if lexicon(*((NAME, name) for name in names)).hits(word)] == []
    assert lexicon(*((NAME, name) for name in names)).hits("CT A, MR B, US C") == []


def test_day_of_a_week_is_a_known_date() -> None:
    lexicon = Lexicon([Entry(Category.DATE, "20200116"), Entry(Category.DATE, "20210103")])
    for text in ("made 2020-W03-4", "2020w034", "2020-w53-7 x"):
        assert [category for *_, category in lexicon.hits(text)] == [Category.DATE]
    assert lexicon.hits("2020-W03-5 2020-W03") == []


@pytest.mark.parametrize(
    ("pair", "text", "hits"),
    [
        ((ADDRESS, "12 High St, Leeds LS1 3EX"), "T1 LS1 3EX", ["LS1 3EX"]),
        ((ADDRESS, "12 High St, Leeds LS1 3EX"), "ls13ex, LS1", ["ls13ex", "LS1"]),
        ((ADDRESS, "4 Oak Ave, Ottawa ON K1A 0B1"), "K1A0B1; K1A 0B1", ["K1A0B1", "K1A 0B1"]),
        ((ADDRESS, "4 Oak Ave, Truro TR1 2AB"), "TR1 T1 S1", []),
        ((ADDRESS, "Talweg 9, 6060 Hall"), "PLZ 6060, A-6060, 6060 Hall", ["6060", "6060", "6060 Hall"]),
        ((ADDRESS, "Talweg 9, 6060 Hall"), "16060 6060.5 6060ms hall", []),
        ((ADDRESS, "Vej 3, 5000 Odense C"), "5000 Odense", ["5000 Odense"]),
        ((ADDRESS, "Vej 3, 5000 Odense C"), "TR 5000", []),
        ((ADDRESS, "Gatan 4, 582 22 Lund"), "582 22 or 58222", ["582 22", "58222"]),
        ((ADDRESS, "Gracht 4, 1015 CJ Delft"), "1015CJ, 1015 CJ", ["1015CJ", "1015 CJ"]),
    ],
)
def test_postcodes_of_an_address_are_found_and_no_measures(pair, text, hits):
    assert [hit for hit, _ in found(lexicon(pair), text)] == hits


@pytest.mark.parametrize(
    ("pair", "text", "hits"),
    [
        ((RECORD, "AT/12-3456"), "12-3456 123456 12.3456", ["12-3456", "123456"]),
        ((RECORD, "P-123-456"), "123-456, 123 456", ["123-456", "123 456"]),
        ((RECORD, "12345678Z"), "12345678 or 12.345.678", ["12345678", "12.345.678"]),
        ((RECORD, "12345678-9"), "12345678", ["12345678"]),
        ((RECORD, "12.345.678-Z"), "12345678", ["12345678"]),
        ((RECORD, "7654321^^^HOSP&1.2.3&ISO"), "7654321 V1.2.3", ["7654321"]),
        ((RECORD, "S1234567D"), "1234567", ["1234567"]),
        ((RECORD, "20231117-4711"), "MR 20231117", []),
        ((ACCESSION, "1234567/8"), "1234567", ["1234567"]),
        ((ACCESSION, "K123456(5)"), "123456", ["123456"]),
        ((ACCESSION, "RIS.12.4711"), "12.4711 12-4711 4711", ["12.4711", "12-4711"]),
        ((ACCESSION, "2023-CT-004711"), "CT4711; 2023CT4711; CT 4712", ["CT4711", "2023CT4711"]),
        ((ACCESSION, "KH-CT-2000"), "CT 2000", []),
        ((ACCESSION, "GB-0004711"), "GB4711 GB-4711", ["GB4711", "GB-4711"]),
        ((RECORD, "00123456"), "123.456; 123,456; 1234.56", ["123.456", "123,456"]),
        ((RECORD, "001234"), "1234, 01234", ["1234", "01234"]),
        ((RECORD, "001500"), "TR 1500", []),
        ((RECORD, "\u0661\u0662\u0663\u0664\u0665\u0666\u0667"), "1234567", ["1234567"]),
    ],
)
def test_parts_of_a_structured_number_are_found(pair, text, hits):
    assert [hit for hit, _ in found(lexicon(pair), text)] == hits


GREEK = "^".join(
    (
        "\u03a7\u03b1\u03c4\u03b6\u03b7\u03b3\u03b5\u03c9\u03c1\u03b3\u03af\u03bf\u03c5",
        "\u0395\u03c5\u03ac\u03b3\u03b3\u03b5\u03bb\u03bf\u03c2",
    )
)
RUSSIAN = "\u0429\u0435\u0440\u0431\u0430\u043a\u043e\u0432\u0430^\u042e\u043b\u0438\u044f"


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        (
            "van den Berg^Jan",
            "vdBerg; CT vandenberg; MR vanBerg; T1 JvdBerg",
            ["vdBerg", "vandenberg", "vanBerg", "JvdBerg"],
        ),
        ("van den Berg^Jan", "BergJ; CT JBerg; CT vdberg", ["BergJ", "JBerg", "vdberg"]),
        ("van den Berg^Jan", "iceberg bergs", []),
        ("M\u00fcller^\u00c4nne", "AMueller; CT MuellerAe; CT amueller", ["AMueller", "MuellerAe", "amueller"]),
        ("Smith^John", "SmithHead, SMITHLUNG, lungsmith", ["Smith", "SMITH", "smith"]),
        ("Smith^John", "blacksmith smiths", []),
        ("Li^Wu", "LiWu, WuLi", ["LiWu", "WuLi"]),
        ("Li^Wu", "L. Wu; Wu, L; liwu; L Wu", ["L. Wu", "Wu, L"]),
        ("Ax^Pa", "AxPa A. Pa; A. Lat", ["A. Pa"]),
        ("Mc Carthy-Lo Presti^Ann", "McCarthy and lopresti", ["McCarthy", "lopresti"]),
        (GREEK, "Hatzigeorgiou Evaggelos", ["Hatzigeorgiou Evaggelos"]),
        (
            GREEK,
            "\u0395\u03a5\u0391\u0393\u0393\u0395\u039b\u039f\u03a3",
            ["\u0395\u03a5\u0391\u0393\u0393\u0395\u039b\u039f\u03a3"],
        ),
        (RUSSIAN, "Schtscherbakowa, Iuliia", ["Schtscherbakowa, Iuliia"]),
    ],
)
def test_name_in_one_word_with_particles_initials_or_a_word_of_imaging_is_found(value, text, hits):
    assert [hit for hit, _ in found(lexicon((NAME, value)), text)] == hits


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("S26.4.3", ["S26.4.3"]),
        ("\u662d\u548c26\u5e744\u67083\u65e5 CT", ["\u662d\u548c26\u5e744\u67083\u65e5"]),
        ("s 26/04/03", ["s 26/04/03"]),
        ("S26.4.30 S1 T1 H26.4.3", []),
    ],
)
def test_known_date_is_found_by_its_japanese_era(text, hits):
    assert [hit for hit, _ in found(lexicon((DATE, "19510403")), text)] == hits


def test_first_year_of_an_era_is_found():
    assert lexicon((DATE, "20190504")).identifies("\u4ee4\u548c\u5143\u5e745\u67084\u65e5") is DATE


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        ("McAllister^Morag", "Mc Allister, MC ALLISTER", ["Mc Allister", "MC ALLISTER"]),
        ("McAllister-Greig^Morag", "MacAllister knee, Mac Allister", ["MacAllister", "Mac Allister"]),
        ("MacAllister^Morag", "McAllister knee", ["McAllister"]),
        ("O'Brien^Con", "O Brien knee OBRIEN", ["O Brien", "OBRIEN"]),
        ("FitzGerald^Ann", "Fitz Gerald", ["Fitz Gerald"]),
        ("McHine^Ann", "machine", []),
        ("Pimentel^Thais", "CTPIMENTEL, PTVpimentel, tpimentel", ["CTPIMENTEL", "PTVpimentel", "tpimentel"]),
        ("Pimentel^Thais", "pimentelptv", ["pimentelptv"]),
        ("Shoulder^Ida", "shoulders, lshoulder", []),
        ("Martin^Ida", "Martinique", []),
    ],
)
def test_names_with_a_prefix_apart_and_names_in_one_word_with_a_code_are_found(value, text, hits):
    assert [hit for hit, _ in found(lexicon((NAME, value)), text)] == hits


@pytest.mark.parametrize(
    ("value", "text", "hits"),
    [
        ("Station 3B", "STATION 3B thorax, 3B", ["STATION 3B"]),
        ("Ward 7C", "7C ward, bed 7c, 7C", ["7C ward", "bed 7c"]),
        ("Ward 12 South", "Ward 12 South, ward 12", ["Ward 12 South", "ward 12"]),
        ("Ward 12", "unit 12, slice 12", []),
        ("CT 2", "CT 2 mm", []),
        ("Radiology 2", "Radiology 2", []),
    ],
)
def test_a_ward_with_a_number_is_found_with_the_words_beside_it(value, text, hits):
    assert [hit for hit, _ in found(lexicon((INSTITUTION, value)), text)] == hits


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("17|03|1952 knee", ["17|03|1952"]),
        ("1952:03:17 knee", ["1952:03:17"]),
        ("17:03:1952", ["17:03:1952"]),
        ("17-03-'52 knee", ["17-03-'52"]),
        ("17.3.\u201952", ["17.3.\u201952"]),
        ("17:03:52", []),
        ("18|03|1952", []),
        ("b.1952 knee", ["b.1952"]),
        ("*1952, geb.1952", ["*1952", "geb.1952"]),
        ("b.1953, b 1952, b1952, 1952", []),
    ],
)
def test_a_known_date_with_other_marks_and_a_birth_year_behind_its_word_are_found(text, hits):
    known = lexicon((DATE, "19520317")) | Lexicon([Entry(Category.BIRTH_DATE, "19520317")])
    assert [hit for hit, _ in found(known, text)] == hits


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Bach Mai Hospital", "CT Bach Mai chest", "CT  chest"),
        ("Bach Mai Hospital, Hanoi", "bach mai", ""),
        ("Bach Mai Hospital", "CT Mai chest", "CT Mai chest"),
        ("CT Unit", "CT chest", "CT chest"),
        ("Spine MRI Center", "spine MRI", "spine MRI"),
    ],
)
def test_words_of_an_institution_go_together_without_the_generic_ones(name: str, text: str, left: str) -> None:
    assert drop_identifiers(text, Lexicon(entries_of(Category.INSTITUTION, name))) == left


@pytest.mark.parametrize(
    ("number", "text", "found"),
    [
        ("B/42", "CT B/42 chest", True),
        ("B/42", "b/42", True),
        ("42-B", "CT 42-B", True),
        ("B/42", "CT B42", False),
        ("B/42", "CT B/421", False),
        ("B/42", "CT AB/42", False),
        ("L4/5", "L4/5", False),
        ("B/4", "B/4", False),
    ],
)
def test_short_order_counts_as_its_header_writes_it(number: str, text: str, found: bool) -> None:
    assert bool(Lexicon(entries_of(Category.ACCESSION, number)).hits(text)) == found
