"""Decode and encode one frame of pixel data as stored: no colour conversion, no rescale, nothing masked (PS3.5 8, Annex A)."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, replace

import imagecodecs
import jpeg_ls
import numpy as np
import openjpeg

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
RLE = "1.2.840.10008.1.2.5"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
J2K = "1.2.840.10008.1.2.4.90"
J2K_LOSSY = "1.2.840.10008.1.2.4.91"
NATIVE = frozenset({IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE})
JPEG_DCT = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55))
JPEG_LOSSLESS = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
JPEG_LS_ALL = frozenset({JPEG_LS, JPEG_LS_NEAR})
J2K_ALL = frozenset({J2K, J2K_LOSSY, *(f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203))})
ENCAPSULATED = JPEG_DCT | JPEG_LOSSLESS | JPEG_LS_ALL | J2K_ALL | {RLE, DEFLATED_FRAMES}

MAX_FRAME_BYTES = 1 << 30  # of one decoded frame
MAX_EXPANSION = 20_000  # decoded bytes per encoded byte: beyond it a header merely claims a size
BEHIND_FRAMES = "pixel data behind the declared frames"
MAX_PADDING = 16  # bytes behind a codestream that are no zeros, and pixels behind the last of an RLE segment
_STREAM_START = re.compile(rb"\xff\xd8\xff|\xff\x4f\xff\x51")
_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
MIN_J2K_SIDE = 32  # pixels; six resolution levels do not fit into less


class CodecError(Exception):
    """A frame cannot be decoded or encoded; the text never holds a value of the header."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How pixel data are stored (group 0028 of an instance). `float_bits` is 32 or 64 for Float and Double Float Pixel Data."""

    transfer_syntax_uid: str
    little: bool
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    high: int
    signed: bool
    float_bits: int = 0
    swapped_bytes: bool = False  # 8-bit samples written as big-endian OW: the bytes of each word change places

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        if self.photometric == "YBR_FULL_422" and self.transfer_syntax_uid in NATIVE:
            return self.rows * self.columns * 2 * self.allocated
        return self.rows * self.columns * self.samples * self.allocated

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame (frames of single bits rounded up)."""
        return (self.frame_bits + 7) // 8

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored words in memory (native byte order, unsigned)."""
        if self.float_bits:
            return np.dtype(f"f{self.float_bits // 8}")
        return np.dtype(f"u{max(self.allocated, 8) // 8}")


def to_values(words: np.ndarray, layout: PixelFormat) -> np.ndarray:
    """Return pixel values: the low Bits Stored bits of each word, sign-extended where the representation is signed."""
    if layout.float_bits:
        return words
    bits = words.dtype.itemsize * 8
    if layout.stored >= bits:
        return words.view(words.dtype.str.replace("u", "i")) if layout.signed else words
    if not layout.signed:
        return words & words.dtype.type((1 << layout.stored) - 1)
    shift = bits - layout.stored
    return (words << words.dtype.type(shift)).view(words.dtype.str.replace("u", "i")) >> shift


def high_bits(words: np.ndarray, layout: PixelFormat) -> np.ndarray | None:
    """Return what stands in the unused high bits of the words, None where that is nothing or only the extended sign."""
    bits = words.dtype.itemsize * 8
    if layout.float_bits or layout.stored >= bits:
        return None
    rest = words >> words.dtype.type(layout.stored)
    if not rest.any():
        return None
    if layout.signed:
        sign = (words >> words.dtype.type(layout.stored - 1)) & words.dtype.type(1)
        filled = words.dtype.type((1 << (bits - layout.stored)) - 1)
        if np.array_equal(rest, sign * filled):
            return None
    return rest


# --- decoding -------------------------------------------------------------------------------------------------------


def decode_frame(data: bytes | memoryview, layout: PixelFormat) -> np.ndarray:
    """Decode one frame to words of shape (rows, columns) or (rows, columns, samples); raises CodecError.

    Words are unsigned and hold all allocated bits. Sub-sampled chroma of uncompressed YBR_FULL_422 is repeated.
    """
    if layout.frame_bytes > MAX_FRAME_BYTES:
        raise CodecError("frame too large")
    if layout.transfer_syntax_uid in NATIVE:
        return _native(data, layout)
    if layout.frame_bytes > MAX_EXPANSION * max(len(data), 1) and layout.frame_bytes > 1 << 24:
        raise CodecError("frame claims more pixels than its bytes can hold")
    try:
        words = _decode_encapsulated(bytes(data), layout)
    except CodecError:
        raise
    except Exception as error:  # noqa: BLE001 - codecs raise whatever they like; their text may hold data, the type does not
        raise CodecError(f"{type(error).__name__} in decoder") from None
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if words.shape != shape:
        raise CodecError("decoded frame has another shape than its header says")
    return words


def _native(data: bytes | memoryview, layout: PixelFormat) -> np.ndarray:
    if len(data) < layout.frame_bytes:
        raise CodecError("pixel data shorter than its header says")
    rows, columns, samples = layout.rows, layout.columns, layout.samples
    if layout.allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: rows * columns * samples]
        return bits.reshape((rows, columns) if samples == 1 else (rows, columns, samples))
    if layout.allocated not in (8, 16, 32, 64):
        raise CodecError("bits allocated not supported")
    dtype = layout.dtype.newbyteorder("<" if layout.little else ">")
    words = np.frombuffer(data, dtype, count=layout.frame_bits // layout.allocated).astype(layout.dtype)
    if layout.photometric == "YBR_FULL_422":
        pairs = words.reshape(rows, columns // 2, 4)
        full = np.empty((rows, columns, 3), words.dtype)
        full[:, 0::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        full[..., 1], full[..., 2] = np.repeat(pairs[..., 2], 2, axis=1), np.repeat(pairs[..., 3], 2, axis=1)
        return full
    if samples == 1:
        return words.reshape(rows, columns)
    if layout.planar == 1:
        return np.ascontiguousarray(words.reshape(samples, rows, columns).transpose(1, 2, 0))
    return words.reshape(rows, columns, samples)


def _decode_encapsulated(data: bytes, layout: PixelFormat) -> np.ndarray:
    syntax = layout.transfer_syntax_uid
    if syntax == RLE:
        return _decode_rle(data, layout)
    if syntax == DEFLATED_FRAMES:
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        raw = engine.decompress(data, layout.frame_bytes + 2)
        if len(raw) > layout.frame_bytes + layout.frame_bytes % 2 or _content(engine.unused_data):
            raise CodecError(BEHIND_FRAMES)
        return _native(raw, replace(layout, transfer_syntax_uid=EXPLICIT_LE, little=True))
    data = without_tail(data, layout)
    if syntax in JPEG_DCT | JPEG_LOSSLESS:
        return _as_words(_decode_jpeg(data, layout), layout)
    if syntax in JPEG_LS_ALL:
        return _as_words(imagecodecs.jpegls_decode(data), layout)
    if syntax in J2K_ALL:
        _check_j2k(data, layout)
        return _as_words(openjpeg.decode(data, j2k_format=_j2k_format(data)), layout)
    raise CodecError("no decoder for this transfer syntax")


def without_tail(data: bytes, layout: PixelFormat) -> bytes:
    """Return a frame without what stands behind its codestream; the same object where that is padding at most.

    Another codestream there is no rest of this frame: CodecError, as the header may declare too few frames.
    """
    syntax = layout.transfer_syntax_uid
    if syntax == RLE:
        end = _rle_end(data, layout)
    elif syntax in J2K_ALL:
        end = _j2k_end(data)
    elif syntax in JPEG_DCT | JPEG_LOSSLESS | JPEG_LS_ALL:
        end = _jpeg_end(data)
    else:
        return data
    rest = data[end:]
    if not _content(rest):
        return data
    if _STREAM_START.search(rest) or (syntax == RLE and _is_rle_header(rest)):
        raise CodecError(BEHIND_FRAMES)
    return data[:end]


def _is_rle_header(rest: bytes) -> bool:
    """Tell whether a header of RLE segments (PS3.5 G.5) stands within the first bytes, where padding may precede it."""
    return any(
        0 < int.from_bytes(rest[at : at + 4], "little") <= 15 and rest[at + 4 : at + 8] == b"@\x00\x00\x00"
        for at in range(min(MAX_PADDING, len(rest)))
    )


def _rle_end(data: bytes, layout: PixelFormat) -> int:
    """Return where the last RLE segment of a frame ends; raises CodecError where it is too short."""
    count = struct.unpack_from("<I", data)[0]
    if not 0 < count <= 15:
        raise CodecError("number of RLE segments does not fit the header")
    start = struct.unpack_from("<I", data, 4 * count)[0]
    pixels = layout.rows * layout.columns
    return start + _unpack(data[start:], (pixels + 7) // 8 if layout.allocated == 1 else pixels)[1]


def _content(rest: bytes) -> bool:
    """Tell whether bytes behind a codestream are more than padding."""
    return bool(rest.strip(b"\x00\xff")) or (len(rest) > MAX_PADDING and bool(rest.strip(b"\x00")))


def _jpeg_end(data: bytes) -> int:
    """Return where a JPEG or JPEG-LS stream ends, behind its EOI; the length of the data where that is missing."""
    position = 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF:
            return len(data)
        if marker == 0xD9:
            return position + 2
        if marker == 0xD8:  # another stream, though the first one lacks its EOI
            return position
        if marker == 0xFF or 0xD0 <= marker <= 0xD7 or marker == 1:
            position += 1 if marker == 0xFF else 2
            continue
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
        if marker == 0xDA:  # coded data: 0xFF is followed by less than 0x80 there (JPEG: by 0), or by a restart marker
            found = _MARKER.search(data, position)
            position = found.start() if found else len(data)
    return min(position + 2, len(data)) if data[position : position + 2] == b"\xff\xd9" else len(data)


def _j2k_end(data: bytes) -> int:
    """Return where a JPEG 2000 codestream ends, behind its EOC; the length of the data where that is missing."""
    position = data.find(b"\xff\x4f\xff\x51") + 2
    while position >= 2 and position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == 0xFFD9:
            return position + 2
        if marker == 0xFF90 and position + 12 <= len(data):  # SOT
            part = struct.unpack_from(">I", data, position + 6)[0]
            # A last part of unknown length ends at EOC, whose bytes coded data never hold.
            end = data.find(b"\xff\xd9", data.find(b"\xff\x93", position)) if part == 0 else position + part
            position = end if end > position else len(data)
        elif marker < 0xFF00 or length < 2:
            return len(data)
        else:
            position += 2 + length
    return min(position + 2, len(data)) if position >= 2 and data[position : position + 2] == b"\xff\xd9" else len(data)


def _j2k_format(data: bytes) -> int:
    return 2 if data[4:8] == b"jP  " else 0


def _check_j2k(data: bytes, layout: PixelFormat) -> None:
    """Refuse a codestream whose own size differs from the header's before anything is allocated for it."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 24:
        raise CodecError("no JPEG 2000 codestream")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    if (bottom - top, right - left) != (layout.rows, layout.columns):
        raise CodecError("codestream has another size than its header says")


def _as_words(decoded: np.ndarray, layout: PixelFormat) -> np.ndarray:
    """Widen or narrow what a codec returned to words of Bits Allocated; signed values keep their bits."""
    bits = decoded.dtype.itemsize * 8
    if layout.allocated == 1:
        if decoded.size and int(decoded.max()) > 1:
            raise CodecError("decoded values exceed the bits allocated")
        return np.ascontiguousarray(decoded).astype(layout.dtype)
    if layout.allocated not in (8, 16, 32) or (layout.allocated == 8 and layout.stored > 8):
        raise CodecError("bits allocated not supported")
    if bits > layout.allocated and decoded.size:
        low, high = int(decoded.min()), int(decoded.max())
        if high >= 1 << layout.allocated or low < -(1 << (layout.allocated - 1)):
            raise CodecError("decoded values exceed the bits allocated")
    return np.ascontiguousarray(decoded).astype(layout.dtype)


def _decode_rle(data: bytes, layout: PixelFormat) -> np.ndarray:
    width = max(layout.allocated // 8, 1)
    data = without_tail(data, layout)
    header = struct.unpack_from("<16I", data)
    count, offsets = header[0], [*header[1 : header[0] + 1], len(data)]
    if count != width * layout.samples:
        raise CodecError("number of RLE segments does not fit the header")
    pixels = layout.rows * layout.columns
    if layout.allocated == 1:
        packed = _segment(data[offsets[0] : offsets[1]], (pixels + 7) // 8)
        return np.unpackbits(packed, bitorder="little")[:pixels].reshape(layout.rows, layout.columns)
    planes = np.empty((layout.samples, pixels, width), np.uint8)
    for segment in range(count):
        sample, byte = divmod(segment, width)
        part = data[offsets[segment] : offsets[segment + 1]]
        planes[sample, :, width - 1 - byte] = _segment(part, pixels)  # most significant byte first
    words = planes.reshape(layout.samples, layout.rows, layout.columns * width).view(f"<u{width}").astype(layout.dtype)
    return words[0] if layout.samples == 1 else np.ascontiguousarray(words.transpose(1, 2, 0))


def _segment(segment: bytes, size: int) -> np.ndarray:
    """Return the bytes of an RLE segment; raises CodecError where more than padding stands behind them."""
    out, position = _unpack(segment, size)
    if segment[position:].strip(b"\x00\x80\xff") or len(out) > size + MAX_PADDING:
        raise CodecError(BEHIND_FRAMES)
    return np.frombuffer(bytes(out[:size]), np.uint8)


def _unpack(segment: bytes, size: int) -> tuple[bytearray, int]:
    """Return the bytes that a segment holds, `size` or a few more, and where they end in it."""
    out = bytearray()
    position, end = 0, len(segment)
    while len(out) < size and position < end:
        head = segment[position]
        if head < 128:
            out += segment[position + 1 : position + 2 + head]
            position += head + 2
        else:
            if head > 128:
                out += segment[position + 1 : position + 2] * (257 - head)
            position += 2 if head > 128 else 1
    if len(out) < size:
        raise CodecError("RLE segment too short")
    return out, position


def _decode_jpeg(data: bytes, layout: PixelFormat) -> np.ndarray:
    _, rows, columns, components, process = jpeg_frame(data)
    if (rows, columns) != (layout.rows, layout.columns):
        raise CodecError("codestream has another size than its header says")
    if components == 1:
        return imagecodecs.jpeg8_decode(data)
    if process in (0xC3, 0xC7, 0xCB):  # lossless processes hold no colour transform
        return imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")
    space = "YCBCR" if jpeg_colour(data, layout.photometric).startswith("YBR") else "RGB"
    return imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space)


def _jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """Return (marker, content) of a JPEG stream's segments up to the first scan."""
    segments, position = [], 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 1:
            position += 1 if marker == 0xFF else 2
            continue
        if marker == 0xDA:
            break
        length = struct.unpack_from(">H", data, position + 2)[0]
        segments.append((marker, data[position + 4 : position + 2 + length]))
        position += 2 + length
    return segments


def jpeg_frame(data: bytes) -> tuple[int, int, int, int, int]:
    """Return precision, rows, columns, components and the SOF marker of a JPEG stream; raises CodecError without one."""
    for marker, content in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(content) >= 6:
            return (*struct.unpack_from(">BHHB", content), marker)
    raise CodecError("no JPEG frame header")


def jpeg_colour(data: bytes, photometric: str) -> str:
    """Return "RGB" or "YBR_FULL" for a three-component JPEG stream: its markers say it, else the header's word counts."""
    components = b""
    for marker, content in _jpeg_segments(data):
        if marker == 0xEE and content[:5] == b"Adobe" and len(content) >= 12:
            return "RGB" if content[11] == 0 else "YBR_FULL"
        if marker == 0xE0 and content[:5] == b"JFIF\x00":
            return "YBR_FULL"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            components = content[6::3]
    if components == b"RGB":
        return "RGB"
    return "YBR_FULL" if photometric.startswith("YBR") else "RGB"


def decoded_photometric(data: bytes | memoryview, layout: PixelFormat) -> str:
    """Return the photometric interpretation that the words of `decode_frame` have."""
    if layout.samples == 1:
        return layout.photometric
    if layout.transfer_syntax_uid in JPEG_DCT:
        return jpeg_colour(bytes(data), layout.photometric)
    if layout.transfer_syntax_uid in J2K_ALL and layout.photometric in ("YBR_RCT", "YBR_ICT"):
        return "RGB"
    return "YBR_FULL" if layout.photometric in ("YBR_FULL_422", "YBR_RCT", "YBR_ICT") else layout.photometric


# --- encoding -------------------------------------------------------------------------------------------------------


def encode_frame(words: np.ndarray, layout: PixelFormat) -> bytes:
    """Encode words losslessly in the transfer syntax of `layout`; raises CodecError.

    JPEG-LS and JPEG 2000 store Bits Stored bits; colour is stored by pixel.
    """
    syntax = layout.transfer_syntax_uid
    try:
        if syntax == RLE:
            encoded = _encode_rle(words, layout)
        elif syntax == DEFLATED_FRAMES:
            encoded = _deflate(_native_bytes(words, layout))
        elif syntax == JPEG_LS:
            encoded = _encode_jpeg_ls(words, layout)
        elif syntax == J2K:
            encoded = _encode_j2k(words, layout)
        elif syntax in NATIVE:
            encoded = _native_bytes(words, layout)
        else:
            raise CodecError("no encoder for this transfer syntax")
    except CodecError:
        raise
    except Exception as error:  # noqa: BLE001 - as in decode_frame
        raise CodecError(f"{type(error).__name__} in encoder") from None
    return encoded if syntax in NATIVE or len(encoded) % 2 == 0 else encoded + b"\x00"


def _native_bytes(words: np.ndarray, layout: PixelFormat) -> bytes:
    if layout.allocated == 1:
        return np.packbits(words.reshape(-1), bitorder="little").tobytes()
    if words.ndim == 3 and layout.planar == 1:
        words = words.transpose(2, 0, 1)
    return np.ascontiguousarray(words).astype(words.dtype.newbyteorder("<" if layout.little else ">")).tobytes()


def _deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def _encode_rle(words: np.ndarray, layout: PixelFormat) -> bytes:
    width = layout.allocated // 8
    if width not in (1, 2, 4) or width * layout.samples > 15:
        raise CodecError("RLE holds at most 15 byte planes")
    planes = words[..., None] if words.ndim == 2 else words
    segments = []
    for sample in range(planes.shape[2]):
        stored = np.ascontiguousarray(planes[..., sample]).astype(f"<u{width}").view(np.uint8)
        for byte in reversed(range(width)):
            plane = np.ascontiguousarray(stored.reshape(layout.rows, layout.columns, width)[..., byte])
            packed = b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in plane)
            segments.append(packed + b"\x00" * (len(packed) % 2))
    offsets, position = [], 64
    for segment in segments:
        offsets.append(position)
        position += len(segment)
    header = struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(offsets)))
    return header + b"".join(segments)


def _stored_words(words: np.ndarray, layout: PixelFormat) -> np.ndarray:
    if layout.allocated not in (8, 16):
        raise CodecError("bits allocated not supported")
    return words & words.dtype.type((1 << layout.stored) - 1) if layout.stored < layout.allocated else words


def _encode_jpeg_ls(words: np.ndarray, layout: PixelFormat) -> bytes:
    if layout.stored < 2:
        raise CodecError("JPEG-LS needs at least two bits")
    stored = np.ascontiguousarray(_stored_words(words, layout))
    if stored.dtype.itemsize == 2 and layout.stored <= 8:
        stored = stored.astype(np.uint8)
    return bytes(
        jpeg_ls.encode_pixel_data(
            stored.astype(stored.dtype.newbyteorder("<")).tobytes(),
            rows=layout.rows,
            columns=layout.columns,
            samples_per_pixel=layout.samples,
            bits_stored=layout.stored,
            planar_configuration=0,
        )
    )


def _encode_j2k(words: np.ndarray, layout: PixelFormat) -> bytes:
    if min(layout.rows, layout.columns) < MIN_J2K_SIDE:
        raise CodecError("JPEG 2000 needs 32 pixels on a side")
    if layout.stored == 1:
        raise CodecError("JPEG 2000 of single bits not supported")
    _stored_words(words, layout)
    values = np.ascontiguousarray(to_values(words, layout))
    if values.dtype.itemsize == 2 and layout.stored <= 8:
        values = values.astype(np.int8 if layout.signed else np.uint8)
    reversible = layout.photometric == "YBR_RCT"  # the codec itself turns red, green and blue into it and back
    return openjpeg.encode(
        values, bits_stored=layout.stored, photometric_interpretation=int(reversible), use_mct=reversible
    )
