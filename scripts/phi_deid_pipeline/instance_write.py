"""Write an instance: new preamble and file meta information, the data set as chunks, hashed on the way (PS3.10 7.1)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from phi_deid_pipeline.actions import element_header, encode_element, padded
from phi_deid_pipeline.dicom_utils import CHUNK, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.raw_elements import WINDOW_BYTES, forget_pages

Chunk = memoryview | bytes
NO_PIXELS = (-1, -1)  # no range of chunks
UID_HEADER = 8  # bytes of the header of an element of VR UI
_SMALL = 1 << 16  # bytes; shorter chunks are joined before they are written


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return preamble, prefix and file meta information: nothing of the source's survives (PS3.15 E.1.1 items 7, 8)."""
    before, after = _shared_meta(sop_class_uid, transfer_syntax_uid)
    uid = padded("UI", sop_instance_uid.encode("ascii"))
    size = len(before) + UID_HEADER + len(uid) + len(after)
    length = element_header(0x00020000, "UL", 4, little=True, explicit=True) + struct.pack("<I", size)
    own = element_header(0x00020003, "UI", len(uid), little=True, explicit=True)
    return b"".join((bytes(128), b"DICM", length, before, own, uid, after))


@lru_cache(maxsize=64)
def _shared_meta(sop_class_uid: str, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    """Return the file meta information in front of the SOP Instance UID, without the length, and behind it."""
    before = ((0x00020001, "OB", b"\x00\x01"), (0x00020002, "UI", sop_class_uid))
    after = (
        (0x00020010, "UI", transfer_syntax_uid),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
        (0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
    )
    encoded = [
        b"".join(encode_element(tag, vr, value, little=True, explicit=True) for tag, vr, value in elements)
        for elements in (before, after)
    ]
    return encoded[0], encoded[1]


def encapsulate(frames: Sequence[bytes]) -> list[bytes]:
    """Return the value of encapsulated Pixel Data: one fragment a frame, an offset table, the delimiter (PS3.5 A.4)."""
    offsets, position, items = [], 0, []
    for frame in frames:
        size = len(frame) + len(frame) % 2
        offsets.append(position)
        items += [struct.pack("<HHI", 0xFFFE, 0xE000, size), frame]
        if size != len(frame):
            items.append(b"\x00")
        position += 8 + size
    if position > 0xFFFFFFFF:
        offsets = []  # does not fit in 32 bits; an empty table is always allowed
    table = struct.pack(f"<HHI{len(offsets)}I", 0xFFFE, 0xE000, 4 * len(offsets), *offsets)
    return [table, *items, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)]


def write_instance(
    target: Path | str,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    chunks: Sequence[Chunk],
    pixels: tuple[int, int],
    *,
    deflate: bool,
) -> tuple[str, str]:
    """Write an instance in one rename; return the SHA-256 of the file and of the pixel value ("" if not asked for).

    `pixels` is the range of the chunks that make up the pixel value, NO_PIXELS if it needs no digest. ConfigError where
    the file cannot be written; no part of it stays behind.
    """
    digest, pixel_digest = hashlib.sha256(), hashlib.sha256() if pixels != NO_PIXELS else None
    head = file_meta(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
    folder, _, name = str(target).rpartition("/")
    temporary = f"{folder or '.'}/.{name}.{os.getpid()}.part"
    try:
        try:
            descriptor = _opened(temporary)
            try:
                pieces = _pieces(chunks, pixels, pixel_digest)
                for piece in _with_head(head, _deflated(pieces) if deflate else pieces):
                    digest.update(piece)
                    _write_all(descriptor, piece)
            finally:
                os.close(descriptor)
            os.replace(temporary, target)  # noqa: PTH105 - paths as objects take longer than the call
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ConfigError(
            f"cannot write to the output folder: {reason}; free space or fix it, then run again"
        ) from None
    return digest.hexdigest(), pixel_digest.hexdigest() if pixel_digest is not None else ""


def _opened(path: str) -> int:
    """Return the descriptor of a new file, its folders made where they are missing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)


def _write_all(descriptor: int, piece: Chunk) -> None:
    written = os.write(descriptor, piece)
    while written < len(piece):
        written += os.write(descriptor, memoryview(piece)[written:])


def _with_head(head: bytes, pieces: Iterator[Chunk]) -> Iterator[Chunk]:
    """Join the head with the first piece if that is short."""
    first = next(pieces, b"")
    if len(first) <= _SMALL:
        yield head + bytes(first)
    else:
        yield head
        yield first
    yield from pieces


def _pieces(chunks: Sequence[Chunk], pixels: tuple[int, int], pixel_digest: hashlib._Hash | None) -> Iterator[Chunk]:
    """Yield the chunks, short ones joined, long ones cut; pixel bytes pass through their digest."""
    waiting: list[Chunk] = []
    size = 0
    for number, chunk in enumerate(chunks):
        is_pixel = pixels[0] <= number < pixels[1]
        if len(chunk) <= _SMALL:
            if is_pixel and pixel_digest is not None:
                pixel_digest.update(chunk)
            waiting.append(chunk)
            size += len(chunk)
            if size > CHUNK:
                yield b"".join(waiting)
                waiting, size = [], 0
            continue
        if waiting:
            yield b"".join(waiting)
            waiting, size = [], 0
        view = memoryview(chunk)
        for start in range(0, len(view), CHUNK):
            piece = view[start : start + CHUNK]
            if is_pixel and pixel_digest is not None:
                pixel_digest.update(piece)
            yield piece
            if start % WINDOW_BYTES == 0:
                forget_pages(view)
    if waiting:
        yield b"".join(waiting)


def _deflated(pieces: Iterator[Chunk]) -> Iterator[bytes]:
    """Deflate without a zlib header (PS3.5 A.5), padded to even length."""
    engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    size = 0
    for piece in pieces:
        packed = engine.compress(piece)
        size += len(packed)
        if packed:
            yield packed
    last = engine.flush()
    size += len(last)
    yield last + b"\x00" * (size % 2)
