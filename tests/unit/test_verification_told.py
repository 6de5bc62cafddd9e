"""What a source says of its patient is found in the result, whatever the lexicon has and however it is written."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_told import stands_apart
from unit.test_verification import Bench

WRITTEN = ["AE", "CS", "DA", "LO", "LT", "OB", "PN", "SH", "ST", "TM", "UC", "UI", "UN", "UR", "UT"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def put(dataset, tag: int, vr: str, value: bytes) -> None:
    value += b" " * (len(value) % 2)
    dataset[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


@pytest.mark.parametrize("vr", WRITTEN)
@pytest.mark.parametrize(
    ("told", "value", "place", "form", "left", "check"),
    [
        (0x00100010, b"QUASTEL^RITA", 0x00080008, "CS", b"ORIGINAL\\PRIMARY\\QUASTEL", "lexicon"),
        (0x00080090, b"QUASTEL^RITA", 0x00080008, "CS", b"ORIGINAL\\PRIMARY\\QUASTEL", "lexicon"),
        (0x00100020, b"44719203", 0x00200013, "IS", b"44719203", "lexicon"),
        (0x00080050, b"44719207", 0x00200013, "IS", b"44719207", "lexicon"),
        (0x00080022, b"20170517", 0x00180060, "DS", b"20170517", "dates"),
        (0x00100030, b"19440517", 0x00189073, "FD", struct.pack("<d", 19440517.0), "dates"),
    ],
)
def test_what_the_lexicon_lacks_is_found_whatever_its_vr(bench: Bench, vr, told, value, place, form, left, check):
    put(bench.original, told, vr, value)
    put(bench.dataset, place, form, left)
    assert (check, f"{place:08X}") in {(residual[0], residual[1]) for residual in bench.residuals()}


@pytest.mark.parametrize("charset", ["", "ISO_IR 100", "ISO_IR 192"])
@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("山田^太郎", "shift_jis"),
        ("許^功蓋", "big5"),
        ("Müßig^Jörg", "cp437"),
        ("王^小东", "gbk"),
        ("Пётр^Иванов", "cp1251"),
    ],
)
def test_a_name_is_found_by_its_own_bytes(bench: Bench, name: str, encoding: str, charset: str) -> None:
    bench.lexicon = Lexicon([Entry(Category.DATE, "20200102"), Entry(Category.DATE, "19480523")])
    bench.original.SpecificCharacterSet = bench.dataset.SpecificCharacterSet = charset
    put(bench.original, 0x00100010, "PN", name.encode(encoding))
    assert bench.residuals() == []
    put(bench.dataset, 0x00204000, "LT", b"Thorax " + name.split("^")[1].encode(encoding) + b" axial")
    assert ("lexicon", "00204000", "name") in bench.residuals()


@pytest.mark.parametrize("value", ["ANONYMOUS", "Test^Patient", "00000", "Unknown", "xxxx"])
def test_what_names_nobody_is_not_looked_for(bench: Bench, value: str) -> None:
    for tag in (0x00100010, 0x00100020, 0x00080050, 0x00100030):
        put(bench.original, tag, "LO", value.encode())
    bench.dataset.ImageComments = f"patient test anonymous unknown {value}"
    assert {check for check, _, _ in bench.residuals()} <= {"iod"}


def test_a_part_of_a_name_within_a_longer_word_is_chance() -> None:
    assert not stands_apart("Åse".encode("latin-1"), "Låsen BLÅSEN Åsen".encode("latin-1"))
    assert stands_apart("Åse".encode("latin-1"), "Låsen, Åse".encode("latin-1"))
