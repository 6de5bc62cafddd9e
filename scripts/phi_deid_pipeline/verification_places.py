"""Parts of an instance that no reader shows: pieces of long values, comments in compressed frames, bytes behind frames."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator

from phi_deid_pipeline.verification_bytes import Layout, Value, forget_pages

CHUNK = 4 << 20  # bytes of a long value searched at a time
OVERLAP = 256  # bytes that two chunks share
COMPARED_BYTES = 1 << 20  # of pixel data at a time


def chunks(layout: Layout, value: Value) -> Iterator[bytes]:
    """Yield a value's bytes, long ones in overlapping pieces."""
    at = value.start
    while True:
        stop = min(at + CHUNK, value.end)
        yield layout.buffer[at:stop]
        forget_pages(layout.buffer)
        if stop == value.end:
            return
        at = stop - OVERLAP


def digest(layout: Layout, value: Value) -> bytes:
    """Return the SHA-256 of a value, read piece by piece."""
    found = hashlib.sha256()
    for start in range(value.start, value.end, COMPARED_BYTES):
        found.update(layout.buffer[start : min(start + COMPARED_BYTES, value.end)])
        forget_pages(layout.buffer)
    return found.digest()


def same_value(one: Layout, a: Value, other: Layout, b: Value) -> bool:
    """Tell whether two values are the same bytes, compared piece by piece."""
    if a.end - a.start != b.end - b.start or a.fragments != b.fragments:
        return False
    if isinstance(other.buffer, bytes):  # nothing is copied
        return other.buffer.startswith(memoryview(one.buffer)[a.start : a.end], b.start)
    for offset in range(0, a.end - a.start, COMPARED_BYTES):
        first, second = a.start + offset, b.start + offset
        left = one.buffer[first : min(first + COMPARED_BYTES, a.end)]
        if left != other.buffer[second : min(second + COMPARED_BYTES, b.end)]:
            return False
        forget_pages(one.buffer)
        forget_pages(other.buffer)
    return True


def fragments(layout: Layout, pixels: Value) -> Iterator[tuple[int, int]]:
    """Yield start and end of each fragment of encapsulated pixel data, the offset table included as the first.

    Native pixel data have none.
    """
    at = pixels.start if pixels.fragments else pixels.end
    forgotten = at
    while at + 8 <= pixels.end:
        length = int.from_bytes(layout.buffer[at + 4 : at + 8], "little")
        yield at + 8, at + 8 + length
        at += 8 + length
        if at - forgotten > CHUNK:
            forget_pages(layout.buffer)
            forgotten = at


def behind_frames(layout: Layout, pixels: Value) -> Value:
    """Return the part of native pixel data that the header does not ask for: bytes behind the last frame."""
    order = "little" if layout.little else "big"

    def number(tag: int) -> int:
        value = layout.top(tag)
        return int.from_bytes(layout.buffer[value.start : min(value.end, value.start + 2)], order) if value else 0

    frames = layout.text(0x00280008)
    wanted = number(0x00280010) * number(0x00280011) * (number(0x00280002) or 1)
    wanted *= max(int(frames), 1) if frames.isdecimal() else 1
    if number(0x00280002) == 3 and layout.text(0x00280004) == "YBR_FULL_422":
        wanted = wanted // 3 * 2
    bits = {0x7FE00008: 32, 0x7FE00009: 64}.get(pixels.path[0]) or number(0x00280100)
    start = min(pixels.start + (wanted * bits + 7) // 8, pixels.end)
    return Value(pixels.path, pixels.items, "OB", start, pixels.end, pixels.charset)


def comments(layout: Layout, pixels: Value) -> Iterator[tuple[int, str, bytes]]:
    """Yield (fragment number, marker, bytes) of comments and application data in JPEG (LS, 2000) codestreams.

    Bytes behind the end of a codestream count too. Scans are skipped: entropy-coded data hold no text.
    """
    for number, (start, end) in enumerate(fragments(layout, pixels)):
        head = layout.buffer[start : start + 4]
        if head[:2] == b"\xff\xd8":
            yield from ((number, *found) for found in _segments(layout.buffer, start + 2, end, b"\xff\xda"))
        elif head == b"\xff\x4f\xff\x51":
            yield from ((number, *found) for found in _segments(layout.buffer, start + 2, end, b"\xff\x90"))
        else:
            continue
        tail = layout.buffer[max(start, end - 4096) : end]
        stop = tail.rfind(b"\xff\xd9")
        if stop >= 0 and tail[stop + 2 :].strip(b"\x00\xff"):
            yield number, "behind the end", tail[stop + 2 :]


def _segments(buffer: bytes | mmap.mmap, at: int, end: int, stop: bytes) -> Iterator[tuple[str, bytes]]:
    while at + 4 <= end:
        marker = buffer[at : at + 2]
        if marker == b"\xff\xff":  # fill byte
            at += 1
            continue
        if marker[:1] != b"\xff" or marker == stop:
            return
        length = int.from_bytes(buffer[at + 2 : at + 4], "big")
        if 0xE0 <= marker[1] <= 0xEF and stop == b"\xff\xda":
            yield f"APP{marker[1] - 0xE0}", buffer[at + 4 : min(at + 2 + length, end)]
        elif marker in (b"\xff\xfe", b"\xff\x64"):
            yield "COM", buffer[at + 4 : min(at + 2 + length, end)]
        at += 2 + max(length, 2)
