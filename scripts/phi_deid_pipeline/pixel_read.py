"""Open the pixels of an instance for looking at: a key of their content, frames as stored, further planes, display facts."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from pydicom.encaps import generate_frames

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.pixel_codecs import (
    BEHIND_FRAMES,
    ENCAPSULATED,
    EXPLICIT_BE,
    NATIVE,
    CodecError,
    PixelFormat,
    decode_frame,
    decoded_photometric,
    high_bits,
    to_values,
)
from phi_deid_pipeline.raw_elements import WINDOW_BYTES, Element, RawInstance, forget_pages, read_instance
from phi_deid_pipeline.records import RejectReason

KEY_VERSION = "1"  # of the content key; a change reads every picture again
SOP_CLASS, MODALITY = 0x00080016, 0x00080060
SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS = (
    0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011,
)  # fmt: skip
ALLOCATED, STORED, HIGH_BIT, REPRESENTATION = 0x00280100, 0x00280101, 0x00280102, 0x00280103
CENTER, WIDTH, INTERCEPT, SLOPE = 0x00281050, 0x00281051, 0x00281052, 0x00281053
PADDING_VALUE = 0x00280120
PALETTE_DESCRIPTORS = (0x00281101, 0x00281102, 0x00281103)
PALETTE_TABLES = (0x00281201, 0x00281202, 0x00281203)
SEGMENTED_TABLES = (0x00281221, 0x00281222, 0x00281223)
PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
ENCAPSULATED_DOCUMENT = 0x00420011
_KEYED = (
    SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS, ALLOCATED, STORED, HIGH_BIT, REPRESENTATION, CENTER, WIDTH,
    INTERCEPT, SLOPE, *PALETTE_DESCRIPTORS, *PALETTE_TABLES, *SEGMENTED_TABLES,
)  # fmt: skip
VIDEO = tuple(f"1.2.840.10008.1.2.4.{n}" for n in range(100, 109))
LARGEST_SHOWN = 1e30  # of floats: differences and squares of larger ones overflow
PADDING_VALUES = 8  # that lie far off, at most, in a picture of floats
_CHUNK = 8 << 20


@dataclass(frozen=True, slots=True)
class Overlay:
    """One 60xx overlay: its plane as 0/1 of shape (rows, columns), and where it lies on the image (0-based row, column)."""

    group: int
    plane: np.ndarray
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as stored: words with all allocated bits and pixel values of Bits Stored bits."""

    index: int
    words: np.ndarray
    values: np.ndarray
    photometric: str
    high: np.ndarray | None  # what stands in unused high bits, None where nothing does


class SourcePixels:
    """The pixels of one instance, decoded frame by frame. Close it, or use it as a context manager."""

    def __init__(self, instance: RawInstance, element: Element, layout: PixelFormat) -> None:
        self._instance = instance
        self._element = element
        self.layout = layout
        self.sop_class_uid = instance.text(SOP_CLASS)
        self.modality = instance.text(MODALITY)

    def __enter__(self) -> SourcePixels:
        return self

    def __exit__(self, *_: object) -> None:
        self._instance.close()

    @property
    def content_key(self) -> str:
        """SHA-256 over everything that decides how the picture looks, without decoding and without patient header."""
        instance, digest = self._instance, hashlib.sha256()
        digest.update(f"{KEY_VERSION}/{instance.transfer_syntax_uid}/{instance.little}/{instance.explicit}\n".encode())
        for element in instance.elements:
            if element.tag in _KEYED or _is_overlay(element.tag):
                value = instance.value(element)
                digest.update(struct.pack("<IQ", element.tag, len(value)))
                digest.update(value)
        value = instance.value(self._element)
        digest.update(struct.pack("<IQ", self._element.tag, len(value)))
        for start in range(0, len(value), _CHUNK):
            digest.update(value[start : start + _CHUNK])
        return digest.hexdigest()

    def encoded_frames(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of each frame as written; raises UnreadableInstance where frames are missing."""
        layout, value = self.layout, self._instance.value(self._element)
        if layout.transfer_syntax_uid in NATIVE:
            yield from _native_frames(value, layout)
            return
        count = 0
        try:
            pieces = _fragments(value)
            if len(pieces) == layout.frames:  # the rule: one fragment a frame, found without a copy of them all
                yield from self._passed_on(pieces)
                return
            # A table of offsets of the wrong size is a common fault; fragments alone then tell the frames apart.
            source = generate_frames(bytes(value), number_of_frames=layout.frames)
            for frame in islice(source, layout.frames):
                count += 1
                yield frame
            if any(source):
                raise _undecodable(BEHIND_FRAMES)
        except (ValueError, struct.error, EOFError, IndexError) as error:
            raise _undecodable(f"fragments: {type(error).__name__}") from None
        if count < layout.frames:
            raise _undecodable("fewer frames than the header says")

    def _passed_on(self, pieces: list[memoryview]) -> Iterator[memoryview]:
        """Yield fragments; pages of a mapped file that were read are given back now and then."""
        size = 0
        for piece in pieces:
            yield piece
            size += len(piece)
            if size > WINDOW_BYTES:
                forget_pages(self._instance.buffer)
                size = 0

    def frames(self, wanted: Collection[int] | None = None) -> Iterator[Frame]:
        """Decode one frame at a time, of `wanted` indices alone where given; raises UnreadableInstance(PIXELS_UNDECODABLE)."""
        for index, data in enumerate(self.encoded_frames()):
            if wanted is not None and index not in wanted:
                continue
            try:
                words = decode_frame(data, self.layout)
                photometric = decoded_photometric(data, self.layout)
            except CodecError as error:
                raise _undecodable(str(error)) from None
            yield Frame(index, words, to_values(words, self.layout), photometric, high_bits(words, self.layout))

    def overlays(self) -> list[Overlay]:
        """Return the planes of 60xx groups that carry their own data, one entry a frame of the overlay."""
        found = []
        for element in self._instance.elements:
            if _is_overlay(element.tag) and element.tag & 0xFFFF == 0x3000:
                found += _overlay_planes(self._instance, element)
        return found

    def overlay_tags(self) -> list[int]:
        """Return all tags of 60xx groups, sorted."""
        return sorted(element.tag for element in self._instance.elements if _is_overlay(element.tag))

    def palette(self) -> np.ndarray | None:
        """Return the palette as 8-bit RGB of shape (entries, 3), None where the image has none that can be read."""
        if self.layout.photometric != "PALETTE COLOR":
            return None
        tables = [
            _palette_table(self._instance, *tags)
            for tags in zip(PALETTE_DESCRIPTORS, PALETTE_TABLES, SEGMENTED_TABLES, strict=True)
        ]
        if any(table is None for table in tables):
            return None
        size = min(len(table) for table in tables)
        if size == 0:
            return None
        joined = np.stack([table[:size] for table in tables], axis=1)
        return (joined >> 8 if joined.max() > 255 else joined).astype(np.uint8)

    def palette_first(self) -> int:
        """Return the stored value that the first entry of the palette belongs to."""
        element = self._instance.find(PALETTE_DESCRIPTORS[0])
        numbers = _shorts(self._instance, element) if element else []
        if len(numbers) < 2:
            return 0
        return numbers[1] - 0x10000 if self.layout.signed and numbers[1] > 0x7FFF else numbers[1]

    def window(self) -> tuple[float, float] | None:
        """Return the header's first VOI window as (low, high) in stored values, None where there is none that can be used."""
        center, width = _number(self._instance, CENTER), _number(self._instance, WIDTH)
        if center is None or width is None or width <= 0:
            return None
        slope, intercept = _number(self._instance, SLOPE), _number(self._instance, INTERCEPT)
        slope = slope or 1.0
        ends = sorted((edge - (intercept or 0.0)) / slope for edge in (center - width / 2, center + width / 2))
        return ends[0], ends[1]

    def text(self, tag: int) -> str:
        """Return the first value of a top-level text element, "" where absent."""
        return self._instance.text(tag)

    def values(self, tag: int) -> list[str]:
        """Return all values of a top-level text element."""
        element = self._instance.find(tag)
        return self._instance.texts(element, self._instance.charset()) if element is not None else []

    def number(self, tag: int) -> int | None:
        """Return a top-level element of two bytes as unsigned number, None where absent."""
        element = self._instance.find(tag)
        return next(iter(_shorts(self._instance, element)), None) if element is not None else None

    def has(self, tag: int) -> bool:
        """Tell whether a top-level element of that tag is there."""
        return self._instance.find(tag) is not None

    @property
    def pixel_value(self) -> memoryview:
        """The raw value of the pixel element."""
        return self._instance.value(self._element)

    @property
    def pixel_tag(self) -> int:
        """Pixel Data, Float Pixel Data or Double Float Pixel Data."""
        return self._element.tag


def open_pixels(path: Path, sha256: str = "") -> SourcePixels | None:
    """Open the pixels of an instance; None where it has none.

    Raises UnreadableInstance(PIXELS_UNDECODABLE) where header and data do not fit, before anything is allocated for a
    size that the header merely claims, and what `read_instance` raises, which compares `sha256`, where it is given.
    """
    instance = read_instance(path, sha256=sha256)
    try:
        found = [e for e in instance.elements if e.tag in (PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS)]
        if len(found) > 1:
            raise _undecodable("more than one element of pixel data")
        element = found[0] if found else None
        if element is None or (element.value_end == element.value_start and not element.undefined_length):
            instance.close()
            return None
        layout = _layout(instance, element)
        _check_size(instance, element, layout)
    except UnreadableInstance:
        instance.close()
        raise
    return SourcePixels(instance, element, layout)


def _undecodable(detail: str) -> UnreadableInstance:
    return UnreadableInstance(RejectReason.PIXELS_UNDECODABLE, detail)


def _layout(instance: RawInstance, element: Element) -> PixelFormat:
    float_bits = {FLOAT_PIXELS: 32, DOUBLE_PIXELS: 64}.get(element.tag, 0)
    rows, columns = instance.uint(ROWS) or 0, instance.uint(COLUMNS) or 0
    allocated = float_bits or instance.uint(ALLOCATED) or 0
    stored = allocated if float_bits else instance.uint(STORED) or allocated
    samples = instance.uint(SAMPLES) or 1
    if not rows or not columns or not allocated:
        raise _undecodable("rows, columns or bits allocated missing")
    if samples not in (1, 3, 4) or not 1 <= stored <= allocated:
        raise _undecodable("samples per pixel or bits stored impossible")
    syntax = instance.transfer_syntax_uid
    if not element.undefined_length and syntax in ENCAPSULATED:
        raise _undecodable("encapsulated transfer syntax, native pixel data")
    if element.undefined_length and syntax in NATIVE:
        raise _undecodable("native transfer syntax, encapsulated pixel data")
    if syntax not in NATIVE | ENCAPSULATED:
        raise _undecodable("video" if syntax.startswith(VIDEO) else "no decoder for this transfer syntax")
    high = instance.uint(HIGH_BIT)
    if syntax in NATIVE and not float_bits and high is not None and high != stored - 1:
        raise _undecodable("high bit is not the last of the bits stored")
    big_words = syntax == EXPLICIT_BE and element.vr == "OW" and allocated == 8
    return PixelFormat(
        transfer_syntax_uid=syntax,
        little=syntax != EXPLICIT_BE,
        rows=rows,
        columns=columns,
        frames=max(instance.uint(FRAMES) or 1, 1),
        samples=samples,
        photometric=instance.text(PHOTOMETRIC) or ("RGB" if samples == 3 else "MONOCHROME2"),
        planar=instance.uint(PLANAR) or 0,
        allocated=allocated,
        stored=stored,
        high=stored - 1 if high is None else high,
        signed=bool(instance.uint(REPRESENTATION)) and not float_bits,
        float_bits=float_bits,
        swapped_bytes=big_words,
    )


def _check_size(instance: RawInstance, element: Element, layout: PixelFormat) -> None:
    length = element.value_end - element.value_start
    if layout.photometric == "YBR_FULL_422" and layout.transfer_syntax_uid in NATIVE and layout.columns % 2:
        raise _undecodable("odd number of columns with chroma by pairs")
    if layout.transfer_syntax_uid in NATIVE:
        size = (layout.frame_bits * layout.frames + 7) // 8
        if size > length:
            raise _undecodable("pixel data shorter than the header says")
        if _holds_more(instance.value(element)[size + size % 2 :]):
            raise _undecodable(BEHIND_FRAMES)
    elif layout.frames * 8 > length:
        raise _undecodable("more frames than the pixel data can hold")


def _holds_more(rest: memoryview) -> bool:
    """Tell whether bytes behind the last frame are more than zeros, which some writers fill up with."""
    return any(np.frombuffer(rest[at : at + _CHUNK], np.uint8).any() for at in range(0, len(rest), _CHUNK))


def _fragments(value: memoryview) -> list[memoryview]:
    """Return the fragments of encapsulated pixel data behind the offset table, uncopied; none where items are broken."""
    found, at, read = [], 0, 0
    while at + 8 <= len(value):
        if at - read > WINDOW_BYTES:  # each tag that is read brings its neighbourhood of a mapped file into memory
            forget_pages(value)
            read = at
        tag, length = struct.unpack_from("<II", value, at)
        if tag != 0xE000FFFE or at + 8 + length > len(value):
            return []
        found.append(value[at + 8 : at + 8 + length])
        at += 8 + length
    return found[1:]


def _native_frames(value: memoryview, layout: PixelFormat) -> Iterator[bytes | memoryview]:
    for index in range(layout.frames):
        start = layout.frame_bits * index
        if start % 8 or layout.frame_bits % 8:  # frames of single bits follow each other without a gap
            first, last = start // 8, (start + layout.frame_bits + 7) // 8
            bits = np.unpackbits(np.frombuffer(value[first:last], np.uint8), bitorder="little")
            yield np.packbits(bits[start % 8 : start % 8 + layout.frame_bits], bitorder="little").tobytes()
        elif layout.swapped_bytes:
            yield _swapped(value, start // 8, layout.frame_bytes)
        else:
            yield value[start // 8 : start // 8 + layout.frame_bytes]


def _swapped(value: memoryview, start: int, size: int) -> bytes:
    """Return bytes of 8-bit samples that were written as big-endian words."""
    first, last = start // 2 * 2, (start + size + 1) // 2 * 2
    words = np.frombuffer(value[first : min(last, len(value) // 2 * 2)], "u2").byteswap().tobytes()
    return words[start - first : start - first + size]


def _is_overlay(tag: int) -> bool:
    return 0x6000 <= tag >> 16 <= 0x60FF and (tag >> 16) % 2 == 0


def _overlay_planes(instance: RawInstance, element: Element) -> list[Overlay]:
    base = element.tag & 0xFFFF0000
    rows, columns = instance.uint(base | 0x10) or 0, instance.uint(base | 0x11) or 0
    frames = instance.uint(base | 0x15) or 1
    value = instance.value(element)
    if not rows or not columns or rows * columns * frames > len(value) * 8:
        raise _undecodable("overlay data shorter than its header says")
    data = np.frombuffer(value, np.uint8)
    if instance.transfer_syntax_uid == EXPLICIT_BE and element.vr == "OW":
        data = data[: len(data) // 2 * 2].view("u2").byteswap().view(np.uint8)
    bits = np.unpackbits(data, bitorder="little")[: rows * columns * frames].reshape(frames, rows, columns)
    origin_element = instance.find(base | 0x50)
    origin = _shorts(instance, origin_element) if origin_element is not None else []
    top, left = ([n - 0x10000 if n > 0x7FFF else n for n in origin] + [1, 1])[:2]
    return [Overlay(base >> 16, plane, top - 1, left - 1) for plane in bits]


def _shorts(instance: RawInstance, element: Element) -> list[int]:
    value = bytes(instance.value(element))
    return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if element.little else ">u2").astype(int).tolist()


def _palette_table(instance: RawInstance, descriptor_tag: int, table_tag: int, segmented_tag: int) -> np.ndarray | None:
    descriptor, table, segmented = (instance.find(tag) for tag in (descriptor_tag, table_tag, segmented_tag))
    numbers = _shorts(instance, descriptor) if descriptor is not None else []
    if len(numbers) < 3 or (table is None and segmented is None):
        return None
    entries = numbers[0] or 0x10000
    if table is not None and table.value_end > table.value_start:
        return np.array(_table_numbers(instance, table, numbers[2], entries)[:entries], np.uint16)
    if segmented is None:
        return None
    units = _table_numbers(instance, segmented, numbers[2], 1 << 30)
    return np.array(_expanded(units, entries), np.uint16)


def _table_numbers(instance: RawInstance, element: Element, bits: int, entries: int) -> list[int]:
    value = bytes(instance.value(element))
    if bits > 8 or len(value) >= 2 * entries:
        return _shorts(instance, element)
    data = np.frombuffer(value, np.uint8)
    if not element.little and element.vr == "OW":
        data = data[: len(data) // 2 * 2].view("u2").byteswap().view(np.uint8)
    return data.tolist()


def _expanded(units: list[int], entries: int) -> list[int]:
    """Expand a segmented table (PS3.3 C.7.9.2): discrete, linear and indirect segments."""
    out: list[int] = []
    position = 0
    while position + 2 <= len(units) and len(out) < entries:
        code, length = units[position], units[position + 1]
        if code == 2 and position + 4 <= len(units):
            start = units[position + 2] | units[position + 3] << 16
            out += _segments(units, start // 2, length, out[-1] if out else 0)
            position += 4
        else:
            size = length + 2 if code == 0 else 3
            out += _segments(units, position, 1, out[-1] if out else 0)
            position += size
    return out[:entries]


def _segments(units: list[int], position: int, count: int, last: int) -> list[int]:
    """Expand that many discrete or linear segments; a segment that does not fit raises UnreadableInstance."""
    out: list[int] = []
    for _ in range(count):
        if position + 2 > len(units) or units[position] > 1:
            raise _undecodable("segmented palette table")
        code, length = units[position], units[position + 1]
        if code == 0:
            out += units[position + 2 : position + 2 + length]
            position += 2 + length
        else:
            start, end = (out[-1] if out else last), units[position + 2]
            out += [round(start + (end - start) * (i + 1) / length) for i in range(length)]
            position += 3
        if position > len(units):
            raise _undecodable("segmented palette table")
    return out


def _number(instance: RawInstance, tag: int) -> float | None:
    element = instance.find(tag)
    if element is None or element.items is not None:
        return None
    values = instance.texts(element, ())
    try:
        number = float(values[0]) if values else None
    except ValueError:
        return None
    return number if number is not None and np.isfinite(number) else None


# --- as shown -------------------------------------------------------------------------------------------------------


def displayed(source: SourcePixels, frame: Frame) -> np.ndarray:
    """Return what the reader looks at: values of shape (rows, columns), or 8-bit RGB of shape (rows, columns, 3)."""
    values = frame.values
    if frame.photometric == "PALETTE COLOR":
        palette = source.palette()
        if palette is not None:
            index = np.clip(values.astype(np.int64) - source.palette_first(), 0, len(palette) - 1)
            return palette[index]
        return values
    if values.ndim == 2:
        return within_reach(values) if source.layout.float_bits else values
    bits = source.layout.stored
    colour = values[..., :3].astype(np.float32)
    eight = colour * (255.0 / ((1 << bits) - 1)) if bits != 8 else colour
    if frame.photometric.startswith("YBR"):
        y, cb, cr = eight[..., 0], eight[..., 1] - 128.0, eight[..., 2] - 128.0
        eight = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.clip(np.rint(eight), 0, 255).astype(np.uint8)


def within_reach(values: np.ndarray) -> np.ndarray:
    """Return floats as float32 in which nothing lies so far off that the rest could not be told apart beside it.

    Infinities and the few values that stand off by more than the range of all others, as Float Pixel Padding Value mostly
    does, declared or not, are drawn near, to one such range beyond them; what is no number becomes the lowest.
    """
    low, high = _reach(np.unique(values[np.isfinite(values)]).astype(np.float64))
    found = np.clip(np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low), low, high)
    size = max(abs(low), abs(high))
    return (found * (LARGEST_SHOWN / size) if size > LARGEST_SHOWN else found).astype(np.float32)


def _reach(numbers: np.ndarray) -> tuple[float, float]:
    """Return what sorted numbers are cut to: most of those at either end are left out that stand off from all others."""
    count, best = len(numbers), (0, 0)
    if not count:
        return 0.0, 0.0
    most = min(PADDING_VALUES, count - 2)
    with np.errstate(over="ignore"):  # the difference of the farthest doubles is no double
        for below, above in ((b, a) for b in range(most + 1) for a in range(most + 1 - b)):
            first, last = numbers[below], numbers[count - 1 - above]
            apart = [numbers[below] - numbers[below - 1]] if below else []
            apart += [numbers[count - above] - last] if above else []
            if sum(best) < below + above and 0 < last - first < min(apart):
                best = below, above
        first, last = float(numbers[best[0]]), float(numbers[count - 1 - best[1]])
        wide = last - first
    return (first - wide if best[0] else first), (last + wide if best[1] else last)
