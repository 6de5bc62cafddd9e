"""An identifier planted in any place of a written file, in any encoding, is found: a table of places by encodings."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from unit.test_verification import Bench, jpeg

NAME, KANJI, PLACE = "Köhnlein", "山田太郎", "Waldfrieden"

# How an identifier may be spelled in bytes.
ENCODINGS: dict[str, bytes] = {
    "ascii": b"KOEHNLEIN",
    "utf-8": NAME.encode(),
    "latin-1": NAME.encode("latin-1"),
    "latin-2": NAME.encode("iso8859-2"),
    "utf-16 little endian": NAME.encode("utf-16-le"),
    "utf-16 big endian": NAME.encode("utf-16-be"),
    "utf-16 of ascii": PLACE.encode("utf-16-le"),
    "utf-16 of ascii, big endian": PLACE.encode("utf-16-be"),
    "kanji in utf-8": KANJI.encode(),
    "kanji in iso 2022": KANJI.encode("iso2022_jp"),
    "kanji in shift jis": KANJI.encode("shift_jis"),
    "kanji in gb 18030": KANJI.encode("gb18030"),
    "kanji in utf-16": KANJI.encode("utf-16-le"),
    "base64": base64.b64encode(b"patient " + NAME.encode() + b" came"),
    "base64 of utf-16": base64.b64encode(PLACE.encode("utf-16-le")),
    "base64 in lines": base64.encodebytes(b"-" * 50 + NAME.encode() + b"-" * 50),
    "zlib": zlib.compress(b"patient " + NAME.encode()),
    "gzip": gzip.compress(b"patient " + NAME.encode()),
    "base64 of zlib": base64.b64encode(zlib.compress(b"patient " + PLACE.encode())),
    "entities": b"K&#246;hnlein",
    "percent": b"name=K%C3%B6hnlein",
    "date": b"seen 02.01.2020",
    "uid": b"of 1.3.6.1.4.1.99999.1.77001.17",
}
PDF = b"%%PDF-1.7\n1 0 obj <</Length 40/Filter/FlateDecode>>\nstream\n%b\nendstream\nendobj\n"


def even(data: bytes) -> bytes:
    return data + b" " * (len(data) % 2)


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def binary(tag: int, vr: str) -> Callable[[Bench, bytes], None]:
    return lambda bench, data: bench.dataset.add_new(tag, vr, even(b"\x01\x00\xff" + data + b"\x02"))


def nested(bench: Bench, data: bytes) -> None:
    inner = item(CodeMeaning="x")
    inner.add_new(0x00282000, "OB", even(data))
    bench.dataset.SourceImageSequence = Sequence([item(PurposeOfReferenceCodeSequence=Sequence([inner]))])


def icon(bench: Bench, data: bytes) -> None:
    picture = item(Rows=8, Columns=8, BitsAllocated=8, SamplesPerPixel=1)
    picture.add_new(0x7FE00010, "OB", even(data))
    bench.dataset.IconImageSequence = Sequence([picture])


def private(bench: Bench, data: bytes) -> None:
    bench.dataset.private_block(0x0029, "ACME", create=True).add_new(1, "OB", even(data))


def waveform(bench: Bench, data: bytes) -> None:
    channel = item(WaveformBitsAllocated=8)
    channel.add_new(0x54001010, "OB", even(data))
    bench.dataset.WaveformSequence = Sequence([channel])


def behind_frames(bench: Bench, data: bytes) -> None:
    for ds in (bench.dataset, bench.original):
        ds.PixelData += even(data)


def comment(bench: Bench, data: bytes) -> None:
    jpeg(bench, data)


def exif(bench: Bench, data: bytes) -> None:
    jpeg(bench, b"marker")
    segment = b"\xff\xe1" + (len(data) + 8).to_bytes(2, "big") + b"Exif\x00\x00" + data
    for ds in (bench.dataset, bench.original):
        frame = bytes(ds.PixelData)
        at = frame.index(b"\xff\xd8\xff\xfe") + 2
        head = frame.rindex(b"\xfe\xff\x00\xe0", 0, at)
        length = int.from_bytes(frame[head + 4 : head + 8], "little") + len(segment)
        ds.PixelData = even(
            frame[: head + 4]
            + (length + length % 2).to_bytes(4, "little")
            + frame[head + 8 : at]
            + segment
            + frame[at:]
        )
        ds["PixelData"].is_undefined_length = True


def meta(bench: Bench, data: bytes) -> None:
    def add(written: bytes) -> bytes:
        at = written.index(b"\x08\x00\x05\x00CS")
        value = even(data)
        return written[:at] + b"\x02\x00\x02\x01OB\0\0" + len(value).to_bytes(4, "little") + value + written[at:]

    bench.spoil = add


def document(bench: Bench, data: bytes) -> None:
    bench.dataset.add_new(0x00420011, "OB", even(PDF % data))


def deflated_document(bench: Bench, data: bytes) -> None:
    bench.dataset.add_new(0x00420011, "OB", even(PDF % zlib.compress(b"BT (" + data + b") Tj ET")))


PLACES: dict[str, Callable[[Bench, bytes], None]] = {
    "OB": binary(0x00282000, "OB"),
    "OW": binary(0x00281201, "OW"),
    "UN": binary(0x00204000, "UN"),
    "UT": lambda bench, data: bench.dataset.add_new(0x0040A160, "UT", b"by " + data),
    "nested": nested,
    "icon": icon,
    "private": private,
    "overlay": binary(0x60003000, "OB"),
    "padding": binary(0xFFFCFFFC, "OB"),
    "waveform": waveform,
    "behind the frames": behind_frames,
    "JPEG comment": comment,
    "JPEG EXIF": exif,
    "file meta": meta,
    "document": document,
    "deflated document": deflated_document,
}
# A deflated stream inside a text value is no text, and the third layer of packing is not unpacked.
IMPOSSIBLE = {("UT", "zlib"), ("UT", "gzip"), ("deflated document", "base64 of zlib")}
FOUND = {"lexicon", "source_uids", "dates", "pixel_comments"}


TABLE = [(place, encoding) for place in PLACES for encoding in ENCODINGS if (place, encoding) not in IMPOSSIBLE]


@pytest.mark.parametrize(("place", "encoding"), TABLE)
def test_identifier_in_a_place_and_an_encoding_is_found(tmp_path: Path, place: str, encoding: str) -> None:
    bench = Bench(tmp_path)
    PLACES[place](bench, ENCODINGS[encoding])
    verdict = bench.verify()
    assert FOUND & {residual.check for residual in verdict.residuals}, verdict
    assert verdict.status.value != "released"


@pytest.mark.parametrize("place", PLACES)
def test_harmless_bytes_in_these_places_are_no_identifier(tmp_path: Path, place: str) -> None:
    bench = Bench(tmp_path)
    PLACES[place](bench, b"Thorax 12.5 mm &amp; kernel B60f 100%")
    assert FOUND & {residual.check for residual in bench.verify().residuals} == set()


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
@pytest.mark.parametrize(
    "vr", ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI"]
)
def test_identifier_in_a_value_of_any_string_vr_is_found(tmp_path: Path, vr: str, syntax: str) -> None:
    places = {
        "AE": 0x00080054,
        "AS": 0x00101010,
        "CS": 0x00180015,
        "DA": 0x00080023,
        "DS": 0x00180050,
        "DT": 0x0008002A,
    }
    places |= {
        "IS": 0x00200013,
        "LO": 0x0008103E,
        "LT": 0x00204000,
        "PN": 0x00081050,
        "SH": 0x00081010,
        "ST": 0x00080081,
    }
    places |= {"TM": 0x00080033, "UC": 0x00080119, "UI": 0x00200052}
    bench = Bench(tmp_path)
    bench.syntax = syntax
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    bench.dataset[places[vr]] = RawDataElement(Tag(places[vr]), vr, 10, b"KOEHNLEIN ", 0, implicit, little)
    residuals = {(r.check, r.where) for r in bench.verify().residuals}
    assert ("lexicon", f"{places[vr]:08X}") in residuals


def test_text_in_words_of_the_other_byte_order_is_found(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    text = even(PLACE.encode())
    turned = bytes(text[at ^ 1] for at in range(len(text)))
    bench.dataset.add_new(0x00281201, "OW", turned)
    assert bench.residuals() == [("lexicon", "00281201", "institution")]
