"""Every defined term of Specific Character Set (PS3.3 C.12.1.1.2): names are found in it, what is kept reads as meant.

The bytes are put together here from Python's codecs and the escape sequences of PS3.3 Table C.12-3 and C.12-4; what the
engine writes is read back by pydicom, or by codec and escape where pydicom does not know the term.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydicom.charset import convert_encodings, decode_bytes

from phi_deid_pipeline.actions import cleaned_text, kept_text
from phi_deid_pipeline.dicom_utils import decode_text, encode_text, encodings_of
from phi_deid_pipeline.free_text import load_vocabulary
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category

# Term without ISO 2022 -> codec of Python, escape sequence to G1, a name and a word in that script.
SINGLE_BYTE = {
    "100": ("latin_1", b"\x1b-A", "Müßig", "Schädel"),
    "101": ("iso8859_2", b"\x1b-B", "Dvořák", "břicho"),
    "109": ("iso8859_3", b"\x1b-C", "Ħaŭel", "eĥoŝanĝo"),
    "110": ("iso8859_4", b"\x1b-D", "Bērziņš", "vēders"),
    "144": ("iso8859_5", b"\x1b-L", "Люксембург", "голова"),
    "127": ("iso8859_6", b"\x1b-G", "قباني", "رأس"),
    "126": ("iso8859_7", b"\x1b-F", "Διονυσιος", "κεφαλι"),
    "138": ("iso8859_8", b"\x1b-H", "שרון", "ראש"),
    "148": ("iso8859_9", b"\x1b-M", "Çavuşoğlu", "göğüs"),
    "203": ("iso8859_15", b"\x1b-b", "Œuvrard", "cœur"),
    "13": ("shift_jis", b"\x1b)I", "ﾔﾏﾀﾞ", "ｱﾀﾏ"),
    "166": ("tis_620", b"\x1b-T", "สมชาย", "ศีรษะ"),
}
JIS, JIS_END = b"\x1b$B", b"\x1b(B"


def jis(text: str, end: bytes = JIS_END) -> bytes:
    return text.encode("iso2022_jp").removesuffix(JIS_END) + end


def supplementary(text: str) -> bytes:
    """JIS X 0212, row and cell as Python's EUC codec has them behind its single shift."""
    rows = b"".join(c.encode("euc_jp")[1:] for c in text)
    return b"\x1b$(D" + bytes(byte & 0x7F for byte in rows) + JIS_END


@dataclass(frozen=True)
class Case:
    term: tuple[str, ...]
    name: str
    word: str
    value: bytes  # "<name> CT <word>"


def _cases() -> list[Case]:
    cases = []
    for number, (codec, escape, name, word) in SINGLE_BYTE.items():
        n, w = name.encode(codec), word.encode(codec)
        plain = n + b" CT " + w
        for term in ((f"ISO_IR {number}",), (f"ISO 2022 IR {number}",)):
            cases.append(Case(term, name, word, plain))
        for first in ("", "ISO 2022 IR 6"):
            cases.append(Case((first, f"ISO 2022 IR {number}"), name, word, escape + plain))
        other = "100" if number != "100" else "144"
        mixed = (f"ISO 2022 IR {other}", f"ISO 2022 IR {number}")
        cases.append(Case(mixed, name, word, escape + n + b" CT " + escape + w))
    cases += [
        Case(("", "ISO 2022 IR 87"), "山田", "頭部", jis("山田") + b" CT " + jis("頭部")),
        Case(("ISO 2022 IR 6", "ISO 2022 IR 87"), "山田", "頭部", jis("山田") + b" CT " + jis("頭部")),
        Case(("ISO 2022 IR 13", "ISO 2022 IR 87"), "山田", "頭部", jis("山田", b"\x1b(J") + b" CT " + jis("頭部", b"\x1b(J")),
        Case(("", "ISO 2022 IR 159"), "丂丄", "丅丌", supplementary("丂丄") + b" CT " + supplementary("丅丌")),
        Case(("", "ISO 2022 IR 87", "ISO 2022 IR 159"), "山丂", "頭部", jis("山") + supplementary("丂") + b" CT " + jis("頭部")),
        Case(("", "ISO 2022 IR 149"), "홍길동", "두부", b"\x1b$)C" + "홍길동".encode("euc_kr") + b" CT " + "두부".encode("euc_kr")),
        Case(("ISO 2022 IR 149",), "홍길동", "두부", b"\x1b$)C" + "홍길동".encode("euc_kr") + b" CT " + "두부".encode("euc_kr")),
        Case(("", "ISO 2022 IR 58"), "王小东", "头部", b"\x1b$)A" + "王小东".encode("gb2312") + b" CT " + "头部".encode("gb2312")),
        Case(("", "ISO 2022 IR 58"), "王小东", "头部", "王小东".encode("gb2312") + b" CT " + "头部".encode("gb2312")),
        Case(("ISO_IR 192",), "Łukasz山田", "頭 Schädel", "Łukasz山田 CT 頭 Schädel".encode()),
        Case(("GB18030",), "王小东", "头部€", "王小东 CT 头部€".encode("gb18030")),
        Case(("GBK",), "王小東", "頭部", "王小東 CT 頭部".encode("gbk")),
        Case(("",), "Smith", "head", b"Smith CT head"),
        Case((), "Smith", "head", b"Smith CT head"),
        Case(("ISO_IR 6",), "Smith", "head", b"Smith CT head"),
    ]  # fmt: skip
    return cases


CASES = _cases()
IDS = [f"{'+'.join(case.term) or 'none'}-{number}" for number, case in enumerate(CASES)]


def read_back(value: bytes, term: tuple[str, ...]) -> str:
    """Read a text by pydicom; by Python's codec where pydicom lacks the term (Latin-9) or its escape (GB 2312)."""
    for part, codec, escape in (("IR 203", "iso8859_15", b"\x1b-b"), ("IR 58", "gb2312", b"\x1b$)A")):
        if any(one.replace("ISO_", "ISO 2022 ").endswith(part) for one in term):
            assert value.isascii() or escape in value or len(term) == 1
            return value.replace(escape, b"").decode(codec).strip()
    codecs = convert_encodings(list(term) if len(term) > 1 else (term[0] if term else ""))
    return decode_bytes(value, codecs, {0x5C, 0x0A, 0x0D}).strip()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_text_decodes_to_what_was_meant(case: Case) -> None:
    assert decode_text(case.value, case.term)[0] == f"{case.name} CT {case.word}"


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_name_is_found_and_the_kept_rest_reads_as_meant(case: Case) -> None:
    lexicon = Lexicon([Entry(Category.NAME, case.name)])
    kept = kept_text("LO", case.value, case.term, lexicon)
    assert kept is not None, "the name was not found"
    assert len(kept) % 2 == 0
    assert read_back(kept, case.term) == f"CT {case.word}"
    assert decode_text(kept, case.term)[0].strip() == f"CT {case.word}"
    assert kept_text("LO", kept, case.term, lexicon) is None


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_cleaning_drops_the_name_and_what_it_keeps_reads_as_meant(case: Case) -> None:
    cleaned = cleaned_text("LO", case.value, case.term, Lexicon([Entry(Category.NAME, case.name)]), load_vocabulary())
    assert cleaned
    text = read_back(cleaned, case.term)
    assert case.name not in text
    assert "CT" in text.split()
    assert set(text.split()) <= {"CT", *case.word.split()}


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_names_keep_their_components_in_every_encoding(case: Case) -> None:
    name = f"{case.name}^{case.word}=CT^{case.name}"
    encodings = decode_text(case.value, case.term)[1]
    value = encode_text(name, encodings)
    assert decode_text(value, case.term)[0] == name
    assert read_back(value, case.term) == name


def test_every_defined_term_is_in_the_table() -> None:
    covered = {term for case in CASES for term in case.term}
    single_byte = [*SINGLE_BYTE, "6"]
    single = [f"ISO_IR {number}" for number in (*single_byte, "192")]
    extended = [f"ISO 2022 IR {number}" for number in (*single_byte, "87", "159", "149", "58")]
    assert {*single, *extended, "GB18030", "GBK"} <= covered


def test_characters_outside_a_single_byte_repertoire_get_their_escape_sequence() -> None:
    value = encode_text("Mül", encodings_of(("", "ISO 2022 IR 100")))
    assert value == b"M\x1b-A\xfcl"
    assert encode_text("头", encodings_of(("", "ISO 2022 IR 159"))) == b"", "no other set of its codec is declared"
