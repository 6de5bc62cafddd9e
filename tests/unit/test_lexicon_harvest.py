"""What a header teaches where its values are not written as the standard says."""

from __future__ import annotations

import struct

import pytest

from phi_deid_pipeline.data_dictionary import tag_of
from phi_deid_pipeline.dicom_utils import KNOWN_VRS, LONG_LENGTH_VRS, STRING_VRS
from phi_deid_pipeline.lexicon_harvest import BY_KEYWORD, Entry, harvest
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
    rows += [(word, NAME if word == "ResponsiblePerson" else Category.PERSON, "Quästel^Rita") for word in others.split()]
    days = "StudyDate SeriesDate AcquisitionDate ContentDate AcquisitionDateTime PatientBirthDate AdmittingDate"
    return rows + [(word, DATE, "20180517") for word in days.split()]


@pytest.mark.parametrize(("keyword", "category", "value"), told_by_keyword())
def test_an_identifying_attribute_teaches_whatever_its_written_vr(keyword, category, value):
    tag = tag_of(keyword)
    assert tag is not None
    unseen = [vr for vr in WRITTEN if Entry(category, value) not in taught(element(tag, vr, value.encode()))]
    assert not unseen, f"{keyword} teaches nothing when written as {', '.join(unseen)}"
