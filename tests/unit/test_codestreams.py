"""Comments and application data leave codestreams; what decides how colours are decoded stays."""

from __future__ import annotations

import imagecodecs
import numpy as np
import openjpeg
import pytest

from phi_deid_pipeline.codestreams import kept_application_data, without_comments

IMAGE = np.arange(40 * 48, dtype=np.uint8).reshape(40, 48)
SECRET = b"QUIXOTTE"


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize("encode", [imagecodecs.jpeg8_encode, imagecodecs.jpegls_encode], ids=["JPEG", "JPEG-LS"])
@pytest.mark.parametrize("marker", [0xFE, 0xE1, 0xED, 0xE0, 0xEE])
def test_segments_with_text_go_and_the_rest_is_the_same(encode, marker):
    plain = without_comments(encode(IMAGE))
    spoilt = plain[:2] + segment(marker, SECRET) + plain[2:]
    assert without_comments(spoilt) == plain


def test_comment_between_scans_and_before_the_end_goes():
    plain = imagecodecs.jpeg8_encode(IMAGE)
    assert without_comments(plain[:-2] + segment(0xFE, SECRET) + plain[-2:]) == plain


def test_stream_without_comments_is_returned_as_it_is():
    plain = without_comments(imagecodecs.jpeg8_encode(IMAGE))
    assert without_comments(plain) is plain
    assert without_comments(b"no codestream") == b"no codestream"
    assert without_comments(plain[:30]) == plain[:30]


def test_what_says_how_colours_are_coded_stays():
    jfif = b"JFIF\x00\x01\x02\x01\x00\x48\x00\x48"
    assert kept_application_data(0xE0, jfif + b"\x02\x02" + SECRET) == segment(0xE0, jfif + b"\x00\x00")
    adobe = b"Adobe\x00\x64\x00\x00\x00\x00\x01"
    assert kept_application_data(0xEE, adobe + SECRET) == segment(0xEE, adobe)
    assert kept_application_data(0xE8, b"mrfx\x01" + SECRET) == segment(0xE8, b"mrfx\x01")
    assert kept_application_data(0xE0, SECRET) == kept_application_data(0xFE, SECRET) == b""


@pytest.mark.parametrize(
    ("comment", "stays"),
    [
        (b"Kakadu-v7.3.3", True),
        (b"Created by GDCM/OpenJPEG version 2.3.0", True),
        (b"Creator: JasPer Version 1.701.0", True),
        (b"Created by OpenJPEG version 2.5.2 for QUIXOTTE", False),
        (b"Kakadu QUIXOTTE", False),
        (b"Kakadu-19310203123", False),
    ],
)
def test_the_name_of_an_encoder_stays_and_nothing_beside_it(comment, stays):
    assert bool(kept_application_data(0xFE, comment)) is stays


def jpeg_2000() -> bytes:
    return openjpeg.encode(np.ascontiguousarray(IMAGE), bits_stored=8, photometric_interpretation=0, use_mct=False)


def test_comments_of_jpeg_2000_go_from_main_and_tile_headers():
    plain = without_comments(jpeg_2000())
    assert plain == jpeg_2000()  # what it says of its encoder may stay
    comment = b"\xff\x64" + (len(SECRET) + 4).to_bytes(2, "big") + b"\x00\x01" + SECRET
    size = int.from_bytes(plain[4:6], "big") + 4
    assert without_comments(plain[:size] + comment + plain[size:]) == plain
    tile = plain.index(b"\xff\x90")
    data = plain.index(b"\xff\x93", tile)
    length = int.from_bytes(plain[tile + 6 : tile + 10], "big")
    longer = (length + len(comment)).to_bytes(4, "big") if length else bytes(4)
    spoilt = plain[: tile + 6] + longer + plain[tile + 10 : data] + comment + plain[data:]
    assert without_comments(spoilt) == plain
    assert np.array_equal(openjpeg.decode(plain, j2k_format=0), IMAGE)


def test_boxes_of_a_jp2_file_go_and_its_codestream_stays():
    plain = without_comments(jpeg_2000())
    boxes = b"\x00\x00\x00\x0cjP  \x0d\x0a\x87\x0a" + (8 + len(SECRET)).to_bytes(4, "big") + b"xml " + SECRET
    file = boxes + (8 + len(plain)).to_bytes(4, "big") + b"jp2c" + plain
    assert without_comments(file) == plain
