"""What a header teaches where its values are not written as the standard says."""

from __future__ import annotations

import struct

import pytest

from phi_deid_pipeline.data_dictionary import tag_of
from phi_deid_pipeline.dicom_utils import LONG_LENGTH_VRS, STRING_VRS
from phi_deid_pipeline.free_text import drop_identifiers
from phi_deid_pipeline.lexicon import Entry, Lexicon, entries_of
from phi_deid_pipeline.lexicon_harvest import BY_KEYWORD, harvest
from phi_deid_pipeline.raw_elements import parse_instance
from phi_deid_pipeline.records import Category

NAME, DATE = Category.NAME, Category.DATE
# An element of any of these VRs may hold the text of another: strings, and bytes of no form.
WRITTEN = sorted((STRING_VRS | LONG_LENGTH_VRS) - {"SQ"})


def element(tag: int, vr: str, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii")
    if vr in LONG_LENGTH_VRS:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def taught(*elements: bytes) -> frozenset[Entry]:
    first = element(0x00080005, "CS", b"ISO_IR 192")
    return harvest(parse_instance(bytes(128) + b"DICM" + first + b"".join(elements)))


def told_by_keyword() -> list[tuple[str, Category, str]]:
    rows = [(word, category, "Quastelheim 7781") for category, words in BY_KEYWORD.items() for word in words.split()]
    people = "PatientName OtherPatientNames PatientBirthName PatientMotherBirthName"
    rows += [(word, NAME, "Quästel^Rita") for word in people.split()]
    others = "ReferringPhysicianName PerformingPhysicianName OperatorsName RequestingPhysician ResponsiblePerson"
    rows += [
        (word, NAME if word == "ResponsiblePerson" else Category.PERSON, "Quästel^Rita") for word in others.split()
    ]
    days = "StudyDate SeriesDate AcquisitionDate ContentDate AcquisitionDateTime PatientBirthDate AdmittingDate"
    return rows + [(word, DATE, "20180517") for word in days.split()]


@pytest.mark.parametrize(("keyword", "category", "value"), told_by_keyword())
def test_an_identifying_attribute_teaches_whatever_its_written_vr(keyword, category, value):
    tag = tag_of(keyword)
    assert tag is not None
    unseen = [vr for vr in WRITTEN if Entry(category, value) not in taught(element(tag, vr, value.encode()))]
    assert not unseen, f"{keyword} teaches nothing when written as {', '.join(unseen)}"


# What is written without saying so, and how it is declared.
MISDECLARED = [
    ("山田^太郎", "shift_jis"),
    ("佐々木^健太郎", "shift_jis"),
    ("表^十一", "shift_jis"),
    ("山田^太郎", "euc_jp"),
    ("王^小东", "gbk"),
    ("홍^길동", "euc_kr"),
    ("陳^大文", "big5"),
    ("許^功蓋", "big5"),
    ("Иванов^Пётр", "cp1251"),
    ("Иванов^Пётр", "koi8-r"),
    ("Müßig^Jörg", "cp437"),
    ("Müßig^Jörg", "mac-roman"),
]


@pytest.mark.parametrize("declared", [b"", b"ISO_IR 100", b"ISO_IR 192"])
@pytest.mark.parametrize(("name", "encoding"), MISDECLARED)
def test_a_name_in_another_character_set_is_found_by_its_own_bytes(name, encoding, declared):
    family, given = (part.encode(encoding) for part in name.split("^"))
    texts = [b"Thorax " + given + b" CT", b"Thorax " + family + given, family + b"^" + given + b" axial"]
    for text in texts:
        first = element(0x00080005, "CS", declared)
        rest = element(0x0008103E, "LT", text) + element(0x00100010, "PN", family + b"^" + given)
        instance = parse_instance(bytes(128) + b"DICM" + first + rest)
        known = Lexicon(harvest(instance))
        read = instance.text(0x0008103E)
        left = drop_identifiers(read, known)
        kept = left.replace("Thorax", "").replace("CT", "").replace("axial", "")
        assert not any(char.isalnum() or not char.isascii() for char in kept), (text, left)


@pytest.mark.parametrize("name", ["O\u2019Brien^Mary", "Smith\u00a0Jones^Ann", "Bj\u00f8rn \u2013 Dahl^Per"])
def test_marks_beyond_ascii_in_a_name_take_nothing_else_with_them(name):
    known = Lexicon(entries_of(NAME, name))
    text = "Thorax \u2013 Abdomen 3\u00a0mm, 45\u00b0, patient\u2019s left"
    assert drop_identifiers(text, known) == text
