"""Take comments and application data out of compressed frames, without decoding: text of any kind can stand there."""

from __future__ import annotations

import struct

JPEG_DROPPED = frozenset({0xFE, *range(0xE0, 0xF0)})  # COM, APP0 to APP15
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
J2K_COMMENT, J2K_START_OF_TILE, J2K_START_OF_DATA, J2K_END = 0xFF64, 0xFF90, 0xFF93, 0xFFD9


def kept_application_data(marker: int, content: bytes) -> bytes:
    """Return the segment to write for application data or a comment of a JPEG or JPEG-LS stream; mostly nothing.

    What says how colours are coded stays: JFIF without its thumbnail, Adobe's transform, the colour transform of JPEG-LS.
    """
    kept = b""
    if marker == 0xE0 and content[:5] == b"JFIF\x00" and len(content) >= 14:
        kept = content[:12] + b"\x00\x00"
    elif marker == 0xEE and content[:5] == b"Adobe" and len(content) >= 12:
        kept = content[:12]
    elif marker == 0xE8 and content[:4] == b"mrfx" and len(content) >= 5:
        kept = content[:5]
    return struct.pack(">HH", 0xFF00 | marker, len(kept) + 2) + kept if kept else b""


def without_comments(data: bytes) -> bytes:
    """Return a frame's codestream without what `kept_application_data` drops; the same object where nothing is to go.

    JPEG, JPEG-LS and JPEG 2000 (raw codestream or JP2 file, of which the codestream alone stays). A stream that cannot
    be followed is returned as it is: the decoder says what is wrong with it.
    """
    try:
        start = data.find(b"\xff\x4f\xff\x51")
        if data[4:8] == b"jP  " or start == 0:
            return _j2k(data, start)
        return _jpeg(data) if data[:2] == b"\xff\xd8" else data
    except (struct.error, IndexError):
        return data


def _jpeg(data: bytes) -> bytes:
    out, position, kept_from = [data[:2]], 2, 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return data
        marker = data[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            break
        end = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
        if end > len(data):
            return data
        if marker in JPEG_DROPPED:
            new = kept_application_data(marker, data[position + 4 : end])
            if new != data[position:end]:
                out += [data[kept_from:position], new]
                kept_from = end
        position = end if marker != 0xDA else _next_marker(data, end)
    if len(out) == 1:
        return data
    return b"".join([*out, data[kept_from:]])


def _next_marker(data: bytes, position: int) -> int:
    """Return where coded data end: JPEG-LS stuffs bits, so a marker's second byte is 0x80 or more there too."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            return len(data)
        follower = data[position + 1]
        if follower >= 0x80 and not 0xD0 <= follower <= 0xD7 and follower != 0xFF:
            return position
        position += 1


def _j2k(data: bytes, start: int) -> bytes:
    """Drop COM segments of the main header and the first tile-part headers' neighbours; a JP2's boxes go with their file."""
    if start < 0:
        return data
    out, position, changed = [data[start : start + 2]], start + 2, start > 0
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == J2K_END:
            break
        if marker == J2K_START_OF_TILE:
            piece, end, dropped = _tile_part(data, position)
            out.append(piece)
            changed |= dropped
            position = end
            continue
        if marker != J2K_COMMENT:
            out.append(data[position : position + 2 + length])
        else:
            changed = True
        position += 2 + length
    if not changed:
        return data
    tail = data[position : position + 2] or b"\xff\xd9"
    return b"".join([*out, tail])


def _tile_part(data: bytes, position: int) -> tuple[bytes, int, bool]:
    """Return a tile part without comments, where it ends in the source, and whether one was dropped."""
    size = struct.unpack_from(">I", data, position + 6)[0]
    end = position + size if size else data.rfind(b"\xff\xd9")
    header, inner, dropped = [], position + 12, False
    while struct.unpack_from(">H", data, inner)[0] != J2K_START_OF_DATA:
        marker, length = struct.unpack_from(">HH", data, inner)
        if marker == J2K_COMMENT:
            dropped = True
        else:
            header.append(data[inner : inner + 2 + length])
        inner += 2 + length
        if inner >= end:
            raise IndexError
    body = b"".join([*header, data[inner:end]])
    if not dropped:
        return data[position:end], end, False
    start = (
        data[position : position + 6]
        + struct.pack(">I", 12 + len(body) if size else 0)
        + data[position + 10 : position + 12]
    )
    return start + body, end, True
