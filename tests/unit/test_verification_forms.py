"""Other readings of bytes: what is packed, wide or escaped is read; chance bytes give nothing."""

from __future__ import annotations

import base64
import gzip
import random
import re
import zlib

import pytest

from phi_deid_pipeline.verification_forms import (
    MAX_UNPACKED,
    is_escaped,
    may_be_packed,
    printable_runs,
    unescaped,
    unpacked,
    wide_runs,
)

TEXT = b"the patient is known to us"


@pytest.mark.parametrize(
    "data",
    [
        zlib.compress(TEXT),
        zlib.compress(TEXT, 0),
        zlib.compress(TEXT, 9) + b"rest",
        b"head" + gzip.compress(TEXT, mtime=0) + b"tail",
        base64.b64encode(TEXT),
        b"x" + base64.b64encode(TEXT),
        b"xyz" + base64.b64encode(TEXT).rstrip(b"="),
        base64.b64encode(zlib.compress(TEXT)),
        zlib.compress(base64.b64encode(TEXT)),
        base64.encodebytes(b"-" * 60 + TEXT),
    ],
)
def test_what_is_packed_is_read(data: bytes) -> None:
    assert may_be_packed(data)
    assert any(TEXT in plain for plain in unpacked(data))


def test_damaged_stream_is_read_as_far_as_it_goes() -> None:
    lines = b"".join(b"%d %s\n" % (number, TEXT) for number in range(20000))
    data = bytearray(zlib.compress(lines))
    data[-2000:] = b"\xff" * 2000
    assert any(TEXT in plain for plain in unpacked(bytes(data)))


def test_long_stream_is_read_to_its_limit() -> None:
    assert max(map(len, unpacked(zlib.compress(bytes(MAX_UNPACKED + 1000))))) == MAX_UNPACKED


def test_chance_bytes_hold_nothing_long() -> None:
    data = random.Random(3).randbytes(1 << 20)
    assert sum(map(len, unpacked(data))) < 10_000


@pytest.mark.parametrize("text", ["Thorax 1.5 B30f", "", "M\u00fcller"])
def test_plain_text_is_not_packed_nor_escaped(text: str) -> None:
    assert not may_be_packed(text.encode())
    assert unescaped(text) == text


@pytest.mark.parametrize("text", ["K&#246;hn", "K&ouml;hn", "K&#xF6;hn", "K%C3%B6hn"])
def test_escaped_letters_are_resolved(text: str) -> None:
    assert unescaped(text) == "K\u00f6hn"


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("head", [b"", b"\x00", b"\x00\x00", b"Exif\x00\x00", b"\xff\xfe", b"\x01"])
def test_runs_stand_apart_from_their_neighbours(head: bytes, encoding: str) -> None:
    assert any(run.endswith(b"Anna Ott") for run in printable_runs(head + "Anna Ott".encode(encoding) + b"\x01"))


def test_wide_runs_are_those_of_the_plain_search() -> None:
    rng = random.Random(5)
    pieces = (b"a\0", b"\0b", b"\0", b"x", b"q\0r\0s\0t\0", b"\0u\0v\0w\0x", b"\xff\xd8")
    found = 0
    for _ in range(2000):
        data = b"".join(rng.choices(pieces, k=rng.randrange(20)))
        plain = [
            run.replace(b"\0", b"")
            for pattern in (rb"(?:[\x20-\x7e]\0){4,}", rb"(?:\0[\x20-\x7e]){4,}")
            for run in re.findall(pattern, data)
        ]
        assert wide_runs(data) == plain
        found += bool(plain)
    assert 200 < found < 1999


def test_bytes_are_escaped_where_the_text_of_them_is() -> None:
    for text, changed in (
        ("a&amp;b", True),
        ("K%C3%B6", True),
        ("&#75;oe", True),
        ("R&D 5% x", False),
        ("100%", False),
    ):
        assert is_escaped(text.encode()) is (unescaped(text) != text) is changed
