"""Editing JPEG in the DCT domain: what lies under a box becomes flat, every other coefficient stays, in each kind of stream."""

from __future__ import annotations

import base64

import imagecodecs
import numpy as np
import pytest

from phi_deid_pipeline.jpeg_dct import JpegError, block_boxes, edit
from phi_deid_pipeline.pixel_codecs import jpeg_frame
from phi_deid_pipeline.records import Box

BOX = Box(18, 9, 6, 4)
# Two streams of 40 x 24 pixels that the encoder at hand does not make: restart markers (chroma 2 x 1, tables of their own),
# and a scan for each component (chroma 2 x 2). Made from (6x, 10y, xy) by the program cjpeg.
RESTARTS = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wCDEAAoABwAHgAjAB4AGQAoACMAIQAjAC0AKwAoADAAPABkAEEAPAA3ADcAPAB7AFgAXQBJ"
    "AGQAkQCAAJkAlgCPAIAAjACKAKAAtADmAMMAoACqANoArQCKAIwAyAERAMsA2gDuAPUBAgEEAQIAmwDBARsBLwEYAPoBLADmAP0B"
    "AgD4/9sAQwErLS08NTx2QUF2+KWMpfj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4/8EA"
    "EQgAGAAoAwEhAAIRAQMRAf/EABgAAAMBAQAAAAAAAAAAAAAAAAACAwQF/8QAHxAAAwABAwUAAAAAAAAAAAAAAAEDAhESMSFBUWFx"
    "/8QAGAEAAwEBAAAAAAAAAAAAAAAAAQIEAwX/xAAbEQADAAMBAQAAAAAAAAAAAAAAAQIREiExA//dAAQAAv/aAAwDAQACEQMRAD8A"
    "5amUUwLoZodSKKQyjJRNH//Qio+QC4les6ConjMrjMHz6cmaP//RXYl26jrBsN286yNDGUkuQM8RPGyhUz//0jCZXZovYkVrOSKa"
    "GxkOsNeBc6pJespmj//T2qaX0CfZTxLJoqP/2Q=="
)
BY_COMPONENT = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wCDEAAoABwAHgAjAB4AGQAoACMAIQAjAC0AKwAoADAAPABkAEEAPAA3ADcAPAB7AFgAXQBJ"
    "AGQAkQCAAJkAlgCPAIAAjACKAKAAtADmAMMAoACqANoArQCKAIwAyAERAMsA2gDuAPUBAgEEAQIAmwDBARsBLwEYAPoBLADmAP0B"
    "AgD4/9sAQwErLS08NTx2QUF2+KWMpfj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4/8EA"
    "EQgAGAAoAwEiAAIRAQMRAf/EABYAAQEBAAAAAAAAAAAAAAAAAAIDBf/EAB8QAAMAAQMFAAAAAAAAAAAAAAABAwIREjEhQVFhcf/a"
    "AAgBAQAAPwDLUyimNSKKQ1HyTxmVxmPYl26jWDYlJLkGEyuzRexYyGsNeBqaX0//xAAWAQEBAQAAAAAAAAAAAAAAAAACAQP/xAAb"
    "EQEAAgIDAAAAAAAAAAAAAAABAAIRIRIiUf/aAAgBAhEAPwCV7RPE1Dk8IK2SikjrATNsjgn/xAAXAQEAAwAAAAAAAAAAAAAAAAAE"
    "AgMF/8QAGBEAAwEBAAAAAAAAAAAAAAAAAAECAxH/2gAIAQMRAD8AhOgmdC9aGJLfRMtiE3w//9k="
)


def picture(rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return (
        rng.integers(0, 256, (rows // 4 + 1, columns // 4 + 1, 3))
        .astype(np.uint8)
        .repeat(4, 0)
        .repeat(4, 1)[:rows, :columns]
    )


def encoded(rows: int = 40, columns: int = 56, *, grey: bool = False, **options) -> bytes:
    image = np.ascontiguousarray(picture(rows, columns)[..., 0] if grey else picture(rows, columns))
    return imagecodecs.jpeg8_encode(image, level=85, **options)


def decoded(data: bytes) -> np.ndarray:
    """Return the components as they are coded."""
    space = {} if jpeg_frame(data)[3] == 1 else {"colorspace": "YCBCR", "outcolorspace": "YCBCR"}
    return imagecodecs.jpeg8_decode(data, **space)


def filled(data: bytes, box: Box = BOX) -> tuple[np.ndarray, np.ndarray, Box]:
    """Return the components before and after a black fill, and the box of blocks that it took."""
    before = decoded(data)
    (whole,) = block_boxes(data, [box])
    wanted = before.copy()
    wanted[whole.y : whole.y + whole.h, whole.x : whole.x + whole.w] = 0 if before.ndim == 2 else (0, 128, 128)
    return before, decoded(edit(data, [whole], wanted)), whole


STREAMS = {
    "grey": (encoded(grey=True), 0),
    "4:4:4": (encoded(subsampling="444"), 0),
    "4:2:2": (encoded(subsampling="422"), 1),
    "4:2:0": (encoded(subsampling="420"), 1),
    "sizes that fill no block": (encoded(37, 53, subsampling="420"), 1),
    "tables made for the picture": (encoded(grey=True, optimize=True), 0),
    "restart markers": (RESTARTS, 1),
    "a scan for each component": (BY_COMPONENT, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_blocks_under_a_box_are_black_and_all_others_decode_alike(name):
    data, margin = STREAMS[name]
    before, after, whole = filled(data)
    differs = before != after
    differs = differs if differs.ndim == 2 else differs.any(axis=2)
    # Decoders smooth sub-sampled chroma over one pixel beyond a block.
    differs[
        max(whole.y - margin, 0) : whole.y + whole.h + margin, max(whole.x - margin, 0) : whole.x + whole.w + margin
    ] = False
    assert not differs.any()
    inside = after[whole.y + margin : whole.y + whole.h - margin, whole.x + margin : whole.x + whole.w - margin]
    assert (inside == (0 if before.ndim == 2 else [0, 128, 128])).all()
    asked = after[BOX.y : BOX.y + BOX.h, BOX.x : BOX.x + BOX.w]
    assert (asked == (0 if before.ndim == 2 else [0, 128, 128])).all()


@pytest.mark.parametrize("name", STREAMS)
def test_without_a_box_not_one_coded_bit_changes(name):
    data, _ = STREAMS[name]
    again = edit(data, [], decoded(data))
    coded = data.index(b"\xff\xda")
    assert again[again.index(b"\xff\xda") :] == data[coded:]


def test_a_picture_drawn_into_blocks_comes_out_as_its_quantiser_allows():
    data, _ = STREAMS["grey"]
    before = decoded(data)
    (whole,) = block_boxes(data, [BOX])
    wanted = before.copy()
    part = wanted[whole.y : whole.y + whole.h, whole.x : whole.x + whole.w]
    part[...] = 0
    part[3:5, 2:-2] = 255
    after = decoded(edit(data, [whole], wanted)).astype(int)
    assert np.abs(after - wanted).max() < 60
    assert np.abs(after - wanted).mean() < 4


def test_symbols_without_a_code_get_tables_of_their_own():
    flat = imagecodecs.jpeg8_encode(np.full((16, 24), 200, np.uint8), level=85, optimize=True)
    before, after, whole = filled(flat, Box(9, 2, 3, 3))
    assert (after[whole.y : whole.y + whole.h, whole.x : whole.x + whole.w] == 0).all()
    assert (after[:, :8] == before[:, :8]).all() and (after[:, 16:] == before[:, 16:]).all()


def test_comments_and_application_data_leave_with_the_edit():
    data = encoded(grey=True)
    hidden = b"\xff\xfe\x00\x0aQUIXOTTE" + b"\xff\xe1\x00\x0aQUIXOTTE"
    after = edit(data[:2] + hidden + data[2:], [], decoded(data))
    assert b"QUIXOTTE" not in after
    assert np.array_equal(decoded(after), decoded(data))


def test_other_processes_and_cut_streams_are_refused():
    data = encoded(grey=True)
    for marker in (0xC2, 0xC3, 0xC9):
        with pytest.raises(JpegError, match="process"):
            block_boxes(data.replace(b"\xff\xc0", bytes((0xFF, marker)), 1), [BOX])
    with pytest.raises(JpegError):
        edit(data[: len(data) // 2] + b"\xff\xd9", [], decoded(data))
    with pytest.raises(JpegError):
        edit(b"\x89PNG" + data, [], decoded(data))
    with pytest.raises(JpegError, match="size"):
        edit(data, [], decoded(data)[1:])
