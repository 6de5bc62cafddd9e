"""The actions of Table E.1-1a on single values."""

from __future__ import annotations

import re
import struct

import pytest

from phi_deid_pipeline.actions import (
    cleaned_text,
    dummy_document,
    dummy_item,
    dummy_value,
    element_header,
    encode_element,
    encode_value,
    is_well_formed,
    kept_text,
    new_uids,
    padded,
)
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.free_text import load_vocabulary
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.uid_mapping import UidMapper

LEXICON = Lexicon({Entry(Category.NAME, "Zimmerlin^Ottoline")})
UIDS = UidMapper(b"s" * 32)


@pytest.mark.parametrize(
    ("vr", "dummy", "second"),
    [
        ("PN", b"DEIDENTIFIED", b"REMOVED "),
        ("LO", b"DEIDENTIFIED", b"REMOVED "),
        ("SH", b"DEIDENTIFIED", b"REMOVED "),
        ("UT", b"DEIDENTIFIED", b"REMOVED "),
        ("AE", b"DEIDENTIFIED", b"REMOVED "),
        ("DA", b"19000101", b"19010101"),
        ("TM", b"000000", b"000001"),
        ("DT", b"19000101000000", b"19010101000000"),
        ("AS", b"000D", b"001D"),
        ("DS", b"0 ", b"1 "),
        ("IS", b"0 ", b"1 "),
        ("UR", b"urn:deidentified", b"urn:removed "),
        ("US", b"\0\0", b"\1\0"),
        ("SL", bytes(4), b"\1\0\0\0"),
        ("FD", bytes(8), struct.pack("<d", 1)),
        ("OB", b"\0\0", b"\1\1"),
        ("UN", b"\0\0", b"\1\1"),
    ],
)
def test_dummy_fits_the_vr_and_differs_from_the_source(vr: str, dummy: bytes, second: bytes) -> None:
    assert dummy_value(0x00080080, vr, b"something", True) == dummy
    assert dummy_value(0x00080080, vr, dummy, True) == second


def test_dummy_numbers_are_in_the_byte_order_of_the_instance() -> None:
    assert dummy_value(0x00280010, "US", b"\0\0", False) == b"\0\1"


def test_dummy_keeps_as_many_values_as_the_dictionary_demands() -> None:
    assert dummy_value(0x00281050, "DS", b"1\\2\\3", True) == b"0 "  # Window Center, 1-n
    assert dummy_value(0x00280030, "DS", b"1.5\\1.5 ", True) == b"0\\0 "  # Pixel Spacing, 2
    assert dummy_value(0x00200037, "DS", b"", True) == b"0\\0\\0\\0\\0\\0 "  # Image Orientation, 6
    assert dummy_value(0x00700014, "FL", b"\1" * 8, True) == bytes(8)  # Anchor Point, 2


def test_dummy_of_a_coded_string_is_a_defined_term() -> None:
    assert dummy_value(0x04000565, "CS", b"X ", True) == b"COERCE"
    assert dummy_value(0x04000565, "CS", b"COERCE", True) == b"CORRECT "


def test_dummy_pdf_has_right_offsets() -> None:
    pdf = dummy_document("application/pdf").rstrip(b"\0")
    start = int(re.search(rb"startxref\n(\d+)", pdf)[1])
    assert pdf[start : start + 4] == b"xref"
    offsets = [int(row) for row in re.findall(rb"(\d{10}) 00000 n", pdf)]
    assert [pdf[o : o + 7] for o in offsets] == [b"1 0 obj", b"2 0 obj", b"3 0 obj"]


def test_dummy_document_of_an_unknown_type_is_two_bytes() -> None:
    assert dummy_document("application/x-doe") == b"\0\0"
    assert len(dummy_document("model/stl")) == 84


def test_uids_are_replaced_value_by_value() -> None:
    new, changed = new_uids(b"1.2.3\\1.2.840.10008.1.2\\1.2.3.4\0", UIDS)
    first, second = UIDS.new_uid("1.2.3"), UIDS.new_uid("1.2.3.4")
    assert new.rstrip(b"\0") == f"{first}\\1.2.840.10008.1.2\\{second}".encode()
    assert changed == 2 and len(new) % 2 == 0


def test_text_behind_the_dicom_root_does_not_pass_as_a_uid() -> None:
    new, changed = new_uids(b"1.2.840.10008.5.1.Doe^John", UIDS)
    assert changed == 1 and is_well_formed("UI", new)


def test_empty_uid_stays_empty() -> None:
    assert new_uids(b"", UIDS) == (b"", 0)


@pytest.mark.parametrize("text", ["THORAX 5.0", "  leading", "a\\b", "Größe"])
def test_kept_text_without_identifiers_stays(text: str) -> None:
    assert kept_text("LO", text.encode("latin-1"), ("ISO_IR 100",), LEXICON) is None


def test_kept_text_loses_a_known_name_only() -> None:
    value = "Größe of Zimmerlin, 5 mm".encode()
    assert kept_text("LO", value, ("ISO_IR 192",), LEXICON) == "Größe of , 5 mm ".encode()


def test_known_name_over_two_values_is_found() -> None:
    assert b"OTTOLINE" not in kept_text("LO", b"OTTOLINE\\ZIMMERLIN", (), LEXICON).upper()


def test_cleaned_descriptor_keeps_imaging_words() -> None:
    cleaned = cleaned_text("LO", b"CT THORAX Zimmerlin", (), LEXICON, load_vocabulary())
    assert cleaned == b"CT THORAX "


def test_cleaned_descriptor_with_nothing_left_is_empty() -> None:
    assert cleaned_text("LO", b"Zimmerlin Ottoline", (), LEXICON, load_vocabulary()) == b""


def test_unchanged_descriptor_is_none() -> None:
    assert cleaned_text("LO", b"CT THORAX", (), LEXICON, load_vocabulary()) is None


@pytest.mark.parametrize(
    ("vr", "value", "well_formed"),
    [
        ("CS", b"ORIGINAL\\PRIMARY ", True),
        ("CS", b"Doe^John", False),
        ("DS", b"1.5\\-2e-3 ", True),
        ("DS", b"Doe ", False),
        ("UI", b"1.2.840\0", True),
        ("UI", b"1.2.Doe\0", False),
        ("AE", b"STATION ", False),
        ("TM", b"101500.5", True),
        ("TM", b"10\\1015 \\235960", True),
        ("TM", b"10:15:00.5", True),
        ("TM", b"1015:00 ", False),
        ("TM", b"20210315", False),
        ("TM", b"101500.1234567", False),
        ("TM", b"2515", False),
        ("TM", b"101", False),
        ("AE", b"", True),
    ],
)
def test_repertoire_of_kept_strings(vr: str, value: bytes, well_formed: bool) -> None:
    assert is_well_formed(vr, value) is well_formed


@pytest.mark.parametrize("value", [b"", b"a", b"ab"])
def test_padding_is_even(value: bytes) -> None:
    assert padded("LO", value) == {b"": b"", b"a": b"a ", b"ab": b"ab"}[value]
    assert padded("UI", value) == {b"": b"", b"a": b"a\0", b"ab": b"ab"}[value]
    assert padded("OB", b"\1") == b"\1\0"


def test_value_that_is_too_long_for_its_vr_is_refused() -> None:
    with pytest.raises(UnreadableInstance, match="cannot_clean"):
        element_header(0x00120063, "LO", 0x10000, True, True)
    assert element_header(0x00120063, "LO", 0x10000, True, False) == struct.pack("<HHI", 0x12, 0x63, 0x10000)


def test_values_are_encoded_by_vr() -> None:
    assert encode_value("US", [1, 258], False) == b"\0\1\1\2"
    assert encode_value("AT", 0x00280010, True) == b"\x28\0\x10\0"
    assert encode_value("DS", [0.1, 2], True) == b"0.1\\2"
    assert len(encode_value("DS", 1 / 3, True)) <= 16
    assert encode_value("LO", "Größe", True, ("latin-1",)) == b"Gr\xf6\xdfe"
    assert encode_value("LO", None, True) == b""


def test_element_of_a_sequence_in_every_encoding() -> None:
    content = [{0x00080100: ("SH", "1"), 0x00080104: ("LO", "ab")}]
    explicit = encode_element(0x00082218, "SQ", content, little=True, explicit=True)
    assert explicit.hex(" ") == (
        "08 00 18 22 53 51 00 00 1c 00 00 00 fe ff 00 e0 14 00 00 00 "
        "08 00 00 01 53 48 02 00 31 20 08 00 04 01 4c 4f 02 00 61 62"
    )
    big = encode_element(0x00080100, "SH", "1", little=False, explicit=True)
    assert big.hex(" ") == "00 08 01 00 53 48 00 02 31 20"
    assert (
        encode_element(0x00080100, "SH", "1", little=True, explicit=False).hex(" ") == "08 00 00 01 02 00 00 00 31 20"
    )


def test_dummy_items_are_known_for_all_sequences_with_code_d() -> None:
    for tag in (0x00080082, 0x00081072, 0x00340001, 0x00401101, 0x0040A073, 0x0040A730, 0x0040B020, 0x00700001):
        assert dummy_item(tag, "")
    assert dummy_item(0x00080096, "ReferringPhysicianIdentificationSequence") is None
    assert dummy_item(0x0040A168, "ConceptCodeSequence")[0x00080104] == ("LO", "DEIDENTIFIED")


def test_kept_text_of_which_nothing_is_left_becomes_a_dummy():
    assert kept_text("LO", b"https://example.org/scanner ", (), Lexicon()) == b"DEIDENTIFIED"


@pytest.mark.parametrize(
    ("name", "encoding", "declared"),
    [
        ("Muehlenkoetter^Anne", "utf-8", "ISO_IR 100"),
        ("Mühlenkötter^Anne", "latin-1", "ISO_IR 144"),
        ("Mühlenkötter^Anne", "utf-8", "ISO_IR 144"),
    ],
)
def test_identifier_in_another_encoding_than_declared_goes(name, encoding, declared):
    known = Lexicon([Entry(Category.NAME, name)])
    value = "Scanner Mühlenkötter".encode(encoding)
    assert kept_text("LO", value, (declared,), known) == b"Scanner "
    cleaned = cleaned_text("LO", "chest Mühlenkötter".encode(encoding), (declared,), known, load_vocabulary())
    assert cleaned == b"chest "
