"""Tags, VRs, character sets and checksums."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest
from pydicom import charset as dicom_charset

from phi_deid_pipeline import dicom_utils
from phi_deid_pipeline.dicom_utils import (
    IMPLEMENTATION_CLASS_UID,
    NEW_ATTRIBUTES,
    decode_text,
    encode_text,
    encodings_of,
    file_checksum,
    format_path,
    is_known,
    keyword_of,
    parse_path,
    vr_of,
)


@pytest.mark.parametrize(
    ("tag", "vr", "keyword"),
    [
        (0x00100010, "PN", "PatientName"),
        (0x00280106, "US", "SmallestImagePixelValue"),
        (0x7FE00010, "OW", "PixelData"),
        (0x60003000, "OW", "OverlayData"),
        (0x60223000, "OW", "OverlayData"),
        (0x00100011, "SQ", "PersonNamesToUseSequence"),
        (0x3004007F, "LO", "DoseCalculationModelName"),
        (0x00080000, "UL", ""),
        (0x00090010, "LO", ""),
        (0x00091001, "", ""),
        (0x00080003, "", ""),
    ],
)
def test_vr_and_keyword_of_a_tag(tag: int, vr: str, keyword: str) -> None:
    assert (vr_of(tag), keyword_of(tag)) == (vr, keyword)


def test_26_attributes_that_pydicom_lacks_are_known() -> None:
    assert len(NEW_ATTRIBUTES) == 26
    assert all(is_known(tag) for tag in NEW_ATTRIBUTES)
    assert not is_known(0x00080003)


def test_paths_are_written_and_read_back() -> None:
    assert format_path((0x00081140, 0x00081155)) == "00081140.00081155"
    assert format_path((0x0020000D,)) == "0020000D"
    assert parse_path("3006010A.0020000d") == (0x3006010A, 0x0020000D)


def test_checksum_of_a_file_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 500_000)
    assert file_checksum(tmp_path / "x") == hashlib.sha256(b"abc" * 500_000).hexdigest()


def test_implementation_class_uid_is_made_from_the_name_of_the_project() -> None:
    assert f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'phi_deid_pipeline').int}" == IMPLEMENTATION_CLASS_UID


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        (("ISO_IR 100",), "Müller^Jörg"),
        (("ISO_IR 192",), "山田^太郎"),
        (("ISO_IR 144",), "Люкceмбypг"),
        (("GB18030",), "王^小東"),
        (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎"),
        (("ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 126"), "Dionysios Διονυσιος"),
        (("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞"),
    ],
)
def test_text_survives_encoding_and_decoding(charset: tuple[str, ...], text: str) -> None:
    value = encode_text(text, encodings_of(charset))
    decoded, encodings = decode_text(value, charset)
    assert decoded == text
    assert encode_text(decoded, encodings) == value


@pytest.mark.parametrize(("value", "charset"), [("Jörg".encode(), ()), ("Jörg".encode("latin-1"), ("ISO_IR 192",))])
def test_mislabelled_bytes_are_read_and_written_back_the_same(value: bytes, charset: tuple[str, ...]) -> None:
    text, encodings = decode_text(value, charset)
    assert text == "Jörg"
    assert encode_text(text, encodings) == value


def test_characters_that_do_not_fit_are_left_out() -> None:
    assert encode_text("Jö山rg", encodings_of(("ISO_IR 100",))) == "Jörg".encode("latin-1")
    assert encode_text("山", encodings_of(("",))) == b""
    assert encode_text("ö山Д", encodings_of(("ISO_IR 100", "ISO 2022 IR 144"))).count(b"\x1b") >= 1


def test_misspelled_and_unknown_terms() -> None:
    assert encodings_of(("ISO-IR 100",)) == encodings_of(("ISO_IR 100",))
    assert encodings_of(("Doe^John",)) == ("iso8859",)
    assert len(encodings_of(("ISO_IR 192",))) == 1
    assert encodings_of(("ISO_IR 192", "ISO 2022 IR 87")) == encodings_of(("ISO_IR 192",))


@pytest.mark.parametrize("between", ["^", "=", " "])
def test_code_extension_goes_on_behind_a_delimiter_where_ascii_alone_was_before(between: str) -> None:
    value = b"CT \x1b$)C" + f"남궁민수{between}두부 CT".encode("euc_kr")
    assert decode_text(value, ("", "ISO 2022 IR 149"))[0] == f"CT 남궁민수{between}두부 CT"


def test_code_extension_ends_at_a_delimiter_where_a_character_set_was_before() -> None:
    value = "Mül ".encode("latin-1") + b"\x1b$)C" + "남궁".encode("euc_kr") + "^Jürgen".encode("latin-1")
    assert decode_text(value, ("ISO 2022 IR 100", "ISO 2022 IR 149"))[0] == "Mül 남궁^Jürgen"


def test_terms_and_escape_sequences_are_those_of_pydicom_and_one_more() -> None:
    latin9 = {"ISO_IR 203", "ISO 2022 IR 203"}
    assert {
        term: name for term, name in dicom_utils._TERMS.items() if term not in latin9
    } == dicom_charset.python_encoding
    assert {
        key: name for key, name in dicom_utils._ESCAPES.items() if key != b"\x1b-b"
    } == dicom_charset.CODES_TO_ENCODINGS
