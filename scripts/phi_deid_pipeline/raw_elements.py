"""Walk the bytes of a DICOM instance element by element, without copying or decoding values (PS3.5 7, PS3.10 7)."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from phi_deid_pipeline.data_dictionary import transfer_syntaxes
from phi_deid_pipeline.dicom_utils import (
    KNOWN_VRS,
    LONG_LENGTH_VRS,
    SINGLE_VALUED_VRS,
    TEXT_VRS,
    decode_text,
    is_known,
    vr_of,
)
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.records import RejectReason
from phi_deid_pipeline.value_objects import dataclass

if TYPE_CHECKING:
    from phi_deid_pipeline.header_memo import Header, HeaderMemo

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
# Deflated data sets whose pixels lie elsewhere (JPIP Referenced Deflate, JPIP HTJ2K Referenced Deflate).
DEFLATED = frozenset({DEFLATED_LE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
NATIVE = DEFLATED | {IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.204"}
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
CHARSET_TAG = 0x00080005
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
FRAGMENT_VRS = frozenset({"OB", "OW", "OF", "OD", "OL", "OV"})

MAX_ELEMENTS = 2_000_000  # elements and items of one instance; bounds memory, real instances stay far below
MAX_DEPTH = 32  # levels of sequences
MAX_INFLATED_BYTES = 1 << 30  # of a deflated data set
IN_MEMORY_BYTES = 32 << 20  # smaller files are read, larger ones mapped
WINDOW_BYTES = 32 << 20  # of a mapped file are in memory at a time


@dataclass(slots=True)
class Element:
    """One data element: offsets into the buffer.

    `vr` is the VR to work with, `written_vr` the one in the bytes ("" = none); `little` holds for the value. `items` is
    None where the value is no sequence. Encapsulated pixel data have `undefined_length` and no items; their `value_end`
    lies before, their `end` behind the sequence delimiter.
    """

    tag: int
    vr: str
    start: int
    value_start: int
    value_end: int
    end: int
    undefined_length: bool
    items: list[Item] | None
    little: bool
    explicit: bool
    written_vr: str = ""

    def moved(self, by: int) -> Element:
        """Return the element as it lies that many bytes further on."""
        items = None if self.items is None else [item.moved(by) for item in self.items]
        at = (self.start + by, self.value_start + by, self.value_end + by, self.end + by)
        rest = (self.undefined_length, items, self.little, self.explicit, self.written_vr)
        return Element(self.tag, self.vr, *at, *rest)


@dataclass(slots=True)
class Item:
    """One item of a sequence. `explicit` and `little` tell how its elements are encoded."""

    start: int
    value_start: int
    value_end: int
    end: int
    undefined_length: bool
    elements: list[Element]
    explicit: bool = True
    little: bool = True

    def moved(self, by: int) -> Item:
        """Return the item as it lies that many bytes further on."""
        at = (self.start + by, self.value_start + by, self.value_end + by, self.end + by)
        elements = [element.moved(by) for element in self.elements]
        return Item(*at, self.undefined_length, elements, self.explicit, self.little)


class RawInstance:
    """An instance as found: its bytes and the places of its elements. Close it, or use it as a context manager.

    `buffer` is what the offsets refer to: the file, or the inflated data set of a deflated one. `transfer_syntax_uid`
    is the one that the data set is really encoded in (a wrong or missing (0002,0010) is corrected); `trailing` counts
    bytes behind the data set, which belong to nothing. Where headers are remembered, `header` has the elements in front of
    the pixels and `tail` the others; without one all are in the `tail`.
    """

    def __init__(self, buffer: memoryview, mapped: mmap.mmap | None) -> None:
        self.buffer = buffer
        self._mapped = mapped
        self.transfer_syntax_uid = ""
        self.explicit = True
        self.little = True
        self.deflated = False
        self.encapsulated = False
        self.has_preamble = False
        self.meta: dict[int, bytes] = {}
        self.header: Header | None = None
        self.tail: list[Element] = []
        self.trailing = 0
        self._elements: list[Element] | None = None
        self._by_tag: dict[int, Element] | None = None
        self._charset: tuple[str, ...] | None = None

    def __enter__(self) -> RawInstance:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the buffer; a mapped file goes with the last slice that a caller still holds."""
        with contextlib.suppress(BufferError):
            self.buffer.release()
            if self._mapped is not None:
                self._mapped.close()
        self._mapped = None

    @property
    def elements(self) -> list[Element]:
        """The elements of the top level in the order of the bytes."""
        if self.header is None:
            return self.tail
        if self._elements is None:
            self._elements = [*self.header.elements(), *self.tail]
        return self._elements

    def find(self, tag: int) -> Element | None:
        """Return the top-level element of that tag (the last one, where it stands twice)."""
        if self._by_tag is None:
            self._by_tag = {element.tag: element for element in self.tail}
        found = self._by_tag.get(tag)
        return found if found is not None or self.header is None else self.header.find(tag)

    def value(self, element: Element) -> memoryview:
        """Return the raw bytes of an element's value."""
        return self.buffer[element.value_start : element.value_end]

    def texts(self, element: Element, charset: tuple[str, ...] = (), vr: str = "") -> list[str]:
        """Return the values of a text element, decoded by the given terms of Specific Character Set, without padding.

        Read as values of `vr` where that is given. Never raises: undecodable bytes are read as UTF-8 or ISO 8859-1. An
        empty element gives an empty list.
        """
        value, vr = bytes(self.value(element)), vr or element.vr
        if not value:
            return []
        text = decode_text(value, charset if vr in TEXT_VRS or vr == "UN" else ())[0]
        if vr in SINGLE_VALUED_VRS:
            return [text.rstrip(" \x00")]
        return [part.strip(" \x00") for part in text.split("\\")]

    def charset(self) -> tuple[str, ...]:
        """Return the terms of the top-level Specific Character Set; () where there is none."""
        if self._charset is None:
            element = self.find(CHARSET_TAG)
            self._charset = () if element is None else self.charset_of(element)
        return self._charset

    def charset_of(self, element: Element) -> tuple[str, ...]:
        """Return the terms of one Specific Character Set element."""
        value = bytes(self.value(element)).decode("ascii", "replace")
        return tuple(term.strip(" \x00") for term in value.split("\\")) if value.strip(" \x00") else ()

    def text(self, tag: int) -> str:
        """Return the first value of a top-level text element, "" where it is absent or empty."""
        element = self.find(tag)
        if element is None or element.items is not None:
            return ""
        values = self.texts(element, self.charset())
        return values[0] if values else ""

    def uint(self, tag: int) -> int | None:
        """Return the first value of a top-level US, UL or IS element, None where there is no usable one."""
        element = self.find(tag)
        if element is None or element.items is not None:
            return None
        value = bytes(self.value(element))
        order = "little" if element.little else "big"
        size = {"US": 2, "UL": 4}.get(element.vr)
        if size is not None:
            return int.from_bytes(value[:size], order) if len(value) >= size else None
        try:
            return int(value.split(b"\\")[0].strip(b" \x00").decode("ascii"))
        except ValueError:
            return None

    def walk(self) -> Iterator[tuple[tuple[int, ...], Element, tuple[str, ...]]]:
        """Yield path of tags (own tag last), element, terms of the character set in force; depth first, any depth."""
        yield from self._walk(self.elements, (), self.charset())

    def _walk(
        self, elements: list[Element], above: tuple[int, ...], charset: tuple[str, ...]
    ) -> Iterator[tuple[tuple[int, ...], Element, tuple[str, ...]]]:
        for element in elements:
            path = (*above, element.tag)
            yield path, element, charset
            for item in element.items or ():
                yield from self._walk(item.elements, path, self.item_charset(item, charset))

    def item_charset(self, item: Item, inherited: tuple[str, ...]) -> tuple[str, ...]:
        """Return the character set in force in an item: its own, else that of the data set around it (PS3.5 7.5.3)."""
        for element in item.elements:
            if element.tag >= CHARSET_TAG:
                return self.charset_of(element) if element.tag == CHARSET_TAG else inherited
        return inherited


def read_instance(
    path: Path | str, *, max_depth: int = MAX_DEPTH, sha256: str = "", headers: HeaderMemo | None = None
) -> RawInstance:
    """Read an instance with or without preamble and file meta information.

    Raises UnreadableInstance: EMPTY, UNREADABLE_FILE, NOT_DICOM, TRUNCATED, MALFORMED, TOO_DEEP or
    UNKNOWN_TRANSFER_SYNTAX, and CHANGED_WHILE_READ where its bytes do not have the SHA-256 that is asked for.
    Allocates no memory for what a length field merely claims. `headers` remembers what it read before.
    """
    buffer, mapped = _open(path)
    instance = RawInstance(buffer, mapped)
    try:
        if sha256 and buffer_checksum(buffer) != sha256:
            raise UnreadableInstance(RejectReason.CHANGED_WHILE_READ)
        _read(instance, max_depth, headers)
    except BaseException:
        instance.close()
        raise
    return instance


def parse_instance(data: bytes, *, max_depth: int = MAX_DEPTH) -> RawInstance:
    """Read an instance from bytes in memory; raises as `read_instance`."""
    if not data:
        raise UnreadableInstance(RejectReason.EMPTY)
    instance = RawInstance(memoryview(data), None)
    _read(instance, max_depth)
    return instance


def parse_items(data: bytes) -> list[Item]:
    """Return the items of the value of a sequence that was written as UN: little endian, offsets from its start."""
    head = _Head(0, "SQ", "UN", 0, 0, len(data), True, True)
    return Parser(memoryview(data), MAX_DEPTH)._sequence(head, len(data), True, 0).items or []


def buffer_checksum(buffer: memoryview) -> str:
    """Return the SHA-256 of bytes in hexadecimal digits; those of a mapped file pass through memory in windows."""
    digest = hashlib.sha256()
    for start in range(0, len(buffer), WINDOW_BYTES):
        digest.update(buffer[start : start + WINDOW_BYTES])
        forget_pages(buffer)
    return digest.hexdigest()


def pixel_checksum(instance: RawInstance) -> str:
    """Return the SHA-256 of the pixel value as it stands in the instance, delimiter included; "" without pixels."""
    pixels = next((element for element in instance.elements if element.tag in PIXEL_TAGS), None)
    return "" if pixels is None else buffer_checksum(instance.buffer[pixels.value_start : pixels.end])


def forget_pages(view: memoryview) -> None:
    """Give back the memory of a mapped file that was read through this view; what is read again is loaded again."""
    if isinstance(view.obj, mmap.mmap):
        view.obj.madvise(mmap.MADV_DONTNEED)


def _open(path: Path | str) -> tuple[memoryview, mmap.mmap | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            if 0 < size <= IN_MEMORY_BYTES:
                os.lseek(descriptor, 0, os.SEEK_SET)
                data = _read_all(descriptor, size)
                size = len(data)
            if size == 0:
                raise UnreadableInstance(RejectReason.EMPTY)
            if size <= IN_MEMORY_BYTES:
                return memoryview(data), None
            mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        raise UnreadableInstance(RejectReason.UNREADABLE_FILE, f"errno {code}") from None
    return memoryview(mapped), mapped


def _read_all(descriptor: int, size: int) -> bytes:
    """Return the bytes up to the end of a file, which mostly are `size`."""
    pieces = [os.read(descriptor, size)]
    while piece := os.read(descriptor, 1 << 12):
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _read(instance: RawInstance, max_depth: int, headers: HeaderMemo | None = None) -> None:
    start = _locate(instance)
    declared = instance.meta.get(0x00020010, b"").rstrip(b"\x00 ").decode("ascii", "replace")
    if declared and declared not in transfer_syntaxes():
        raise UnreadableInstance(RejectReason.UNKNOWN_TRANSFER_SYNTAX)
    if declared in DEFLATED:
        _inflate(instance, start)
        instance.deflated = True
        start = 0
    buffer = instance.buffer
    size = len(buffer)
    if size - start < 8:
        instance.transfer_syntax_uid = declared or EXPLICIT_LE
        if any(buffer[start:]):
            raise _truncated(start)
    else:
        _settle_syntax(instance, declared, start)
    instance.encapsulated = instance.transfer_syntax_uid not in NATIVE
    parser = Parser(buffer, max_depth)
    if headers is not None and isinstance(buffer.obj, bytes):
        found = headers.read(parser, buffer.obj, start, explicit=instance.explicit, little=instance.little)
        if found is not None:
            instance.header, start = found
    instance.tail, end = parser.top_level(start, instance.explicit, instance.little)
    instance.trailing = size - end
    if any(second.tag < first.tag for first, second in pairwise(instance.tail)):
        instance.tail.sort(key=lambda element: element.tag)  # as it is to be written (PS3.5 7.1)
    if not declared and any(e.tag in PIXEL_TAGS and e.undefined_length for e in instance.tail):
        raise UnreadableInstance(RejectReason.UNKNOWN_TRANSFER_SYNTAX, "no transfer syntax for encapsulated pixel data")


def _locate(instance: RawInstance) -> int:
    """Find and read the file meta information; return where the data set starts."""
    buffer = instance.buffer
    if bytes(buffer[128:132]) == b"DICM":
        instance.has_preamble = True
        start = 132
    elif bytes(buffer[:4]) == b"DICM":
        start = 4
    elif _plausible_start(buffer):
        start = 0
    else:
        raise UnreadableInstance(RejectReason.NOT_DICOM)
    return _read_meta(instance, start)


def _plausible_start(buffer: memoryview) -> bool:
    """Tell whether bytes without preamble begin like a data set: a known low tag with a fitting VR or length."""
    if len(buffer) < 8:
        return False
    head = bytes(buffer[:8])
    for order in "<>":
        group, number, length = struct.unpack(order + "HHI", head)
        tag = group << 16 | number
        if group > 0x0020 or not (number == 0 or is_known(tag)):
            continue
        vr = head[4:6].decode("latin-1")
        if vr in KNOWN_VRS:
            return number == 0 or vr == vr_of(tag) or vr == "UN"
        if order == "<" and length <= len(buffer) - 8 and (number != 0 or length == 4):
            return True
    return False


def _read_meta(instance: RawInstance, start: int) -> int:
    """Read group 0002 (explicit little endian, by mistake sometimes implicit); return the offset behind it."""
    buffer, position, size = instance.buffer, start, len(instance.buffer)
    while position + 8 <= size:
        group, number, vr, short = struct.unpack_from("<HH2sH", buffer, position)
        if group != 2:
            break
        text = vr.decode("latin-1")
        if text not in KNOWN_VRS:
            value_start, length = position + 8, struct.unpack_from("<I", buffer, position + 4)[0]
        elif text in LONG_LENGTH_VRS:
            if position + 12 > size:
                raise _truncated(position)
            value_start, length = position + 12, struct.unpack_from("<I", buffer, position + 8)[0]
        else:
            value_start, length = position + 8, short
        if value_start + length > size:
            raise _truncated(position)
        if number != 0:
            instance.meta[0x00020000 | number] = bytes(buffer[value_start : value_start + length])
        position = value_start + length
    return position


def _inflate(instance: RawInstance, start: int) -> None:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    try:
        pending: bytes | memoryview = instance.buffer[start:]
        while not engine.eof:
            out += engine.decompress(pending, 16 << 20)
            if len(out) > MAX_INFLATED_BYTES:
                raise UnreadableInstance(RejectReason.MALFORMED, f"inflates to more than {MAX_INFLATED_BYTES} bytes")
            pending = engine.unconsumed_tail
            if not pending and not engine.eof:
                raise UnreadableInstance(RejectReason.TRUNCATED, "deflated data set ends too early")
    except zlib.error:
        raise UnreadableInstance(RejectReason.MALFORMED, "data set is not deflated as declared") from None
    instance.close()
    instance.buffer = memoryview(out)


def _settle_syntax(instance: RawInstance, declared: str, start: int) -> None:
    """Decide encoding and transfer syntax by the first element; content beats (0002,0010), as in every reader."""
    head = bytes(instance.buffer[start : start + 8])
    explicit = head[4:6].decode("latin-1") in KNOWN_VRS
    if head[1] == 0:  # a group below 0100, as every usual first element has
        little = True
    elif head[0] == 0 and head[1] <= 0x18:
        little = False
    else:
        little = declared != EXPLICIT_BE
    instance.explicit, instance.little = explicit, little
    if not explicit and not little:
        raise UnreadableInstance(RejectReason.UNKNOWN_TRANSFER_SYNTAX, "implicit VR big endian")
    actual = IMPLICIT_LE if not explicit else EXPLICIT_LE if little else EXPLICIT_BE
    if not declared or declared in (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE):
        instance.transfer_syntax_uid = actual
    elif little:
        # Compressed or deflated but implicit VR: wrong, and read by everybody; written as it came.
        instance.transfer_syntax_uid = declared
    else:
        raise UnreadableInstance(RejectReason.MALFORMED, "transfer syntax needs little endian")


def _truncated(offset: int) -> UnreadableInstance:
    return UnreadableInstance(RejectReason.TRUNCATED, f"element at offset {offset} runs past the end")


def _malformed(offset: int, what: str) -> UnreadableInstance:
    return UnreadableInstance(RejectReason.MALFORMED, f"{what} at offset {offset}")


_EXPLICIT_LE, _EXPLICIT_BE = struct.Struct("<HH2sH").unpack_from, struct.Struct(">HH2sH").unpack_from
_IMPLICIT_LE, _IMPLICIT_BE = struct.Struct("<HHI").unpack_from, struct.Struct(">HHI").unpack_from
_ITEM_LE = b"\xfe\xff\x00\xe0"
_VR_NAMES = {vr.encode("ascii"): vr for vr in sorted(KNOWN_VRS)}


class _Head(NamedTuple):
    """The header of an element: `explicit` and `little` tell how the header itself is encoded."""

    tag: int
    vr: str
    written: str
    start: int
    value_start: int
    length: int
    explicit: bool
    little: bool


class Parser:
    """Recursive walk over one buffer; counts elements and depth so that hostile input stays bounded."""

    def __init__(self, buffer: memoryview, max_depth: int) -> None:
        self.buffer = buffer
        self.size = len(buffer)
        self.max_depth = max_depth
        self.count = 0

    def top_level(self, start: int, explicit: bool, little: bool) -> tuple[list[Element], int]:
        """Return the elements of the data set and its end; what follows Pixel Data and is no element is left over.

        Raises UnreadableInstance (MALFORMED) for an element behind the pixels that belongs in front of them: it would be
        neither known nor written.
        """
        elements: list[Element] = []
        position, size = start, self.size
        parse = self.explicit if explicit else self.implicit
        last = 0
        while position < size:
            try:
                element = parse(position, size, little, 0)
                if element.tag >> 16 == 0xFFFE:
                    raise _malformed(position, "delimiter outside a sequence")
            except UnreadableInstance:
                if last >= 0x7FE00008 or self._only_zeros(position):
                    break
                raise
            tag = element.tag
            if last >= 0x7FE00008 and tag <= last and tag:  # other readers take it for part of the data set
                raise _malformed(position, "element out of order behind the pixels")
            if tag == 0 and (last >= 0x7FE00008 or (element.end == position + 8 and self._only_zeros(position))):
                break
            elements.append(element)
            position = element.end
            last = tag
        return elements, position

    def _only_zeros(self, start: int) -> bool:
        chunks = range(start, self.size, 1 << 20)
        return all(not bytes(self.buffer[offset : offset + (1 << 20)]).strip(b"\x00") for offset in chunks)

    def _dataset(
        self, start: int, limit: int, explicit: bool, little: bool, depth: int, open_end: bool
    ) -> tuple[list[Element], int, int]:
        """Return elements, end of the content and end of the item (behind its delimiter, if `open_end`)."""
        elements: list[Element] = []
        position = start
        delimiter = b"\xfe\xff" if little else b"\xff\xfe"
        parse = self.explicit if explicit else self.implicit
        while True:
            if position == limit and not open_end:
                return elements, position, position
            if self.buffer[position : position + 2] == delimiter and position + 8 <= limit:
                if struct.unpack_from("<H" if little else ">H", self.buffer, position + 2)[0] != 0xE00D:
                    raise _malformed(position, "unexpected delimiter")
                if not open_end and position + 8 != limit:
                    raise _malformed(position, "unexpected item delimiter")
                return elements, position, position + 8
            element = parse(position, limit, little, depth)
            elements.append(element)
            position = element.end

    def explicit(self, start: int, limit: int, little: bool, depth: int) -> Element:
        """Return the element at `start`, its VR written, which may not reach beyond `limit`."""
        self.count += 1
        value_start = start + 8
        if value_start > limit or self.count > MAX_ELEMENTS:
            raise self._overrun(start, value_start)
        group, number, vr_bytes, length = (_EXPLICIT_LE if little else _EXPLICIT_BE)(self.buffer, start)
        tag = group << 16 | number
        vr = _VR_NAMES.get(vr_bytes)
        if vr is None:
            if not (vr_bytes.isalpha() and vr_bytes.isupper()):
                # Some writers fall back to implicit VR within an explicit data set.
                return self.implicit(start, limit, little, depth)
            vr = vr_bytes.decode("latin-1")  # nobody knows it; taken to have a length of two bytes, as in pydicom
        elif vr in LONG_LENGTH_VRS:
            value_start = start + 12
            if value_start > limit:
                raise self._overrun(start, value_start)
            length = struct.unpack_from("<I" if little else ">I", self.buffer, start + 8)[0]
            if vr == "SQ" or vr == "UN" or length == UNDEFINED:
                head = _Head(tag, vr, vr, start, value_start, length, True, little)
                if vr == "SQ":
                    return self._sequence(head, limit, little, depth)
                return self._unknown(head, limit, depth) if vr == "UN" else self._fragments(head, limit)
        end = value_start + length
        if end > limit:
            raise self._overrun(start, end)
        return Element(tag, vr, start, value_start, end, end, False, None, little, True, vr)

    def implicit(self, start: int, limit: int, little: bool, depth: int) -> Element:
        """Return the element at `start`, its VR not written, which may not reach beyond `limit`."""
        self.count += 1
        value_start = start + 8
        if value_start > limit or self.count > MAX_ELEMENTS:
            raise self._overrun(start, value_start)
        group, number, length = (_IMPLICIT_LE if little else _IMPLICIT_BE)(self.buffer, start)
        tag = group << 16 | number
        vr = vr_of(tag) or "UN"
        if length == UNDEFINED or vr == "SQ":
            head = _Head(tag, vr, "", start, value_start, length, False, little)
            if tag in PIXEL_TAGS:
                return self._fragments(head, limit)
            return self._sequence(head, limit, little, depth)
        end = value_start + length
        if end > limit:
            raise self._overrun(start, end)
        if vr == "UN" and length >= 8 and self.buffer[value_start : value_start + 4] == _ITEM_LE:
            head = _Head(tag, vr, "", start, value_start, length, False, little)
            if (found := self._try_sequence(head, limit, depth)) is not None:
                return found
        return Element(tag, vr, start, value_start, end, end, False, None, little, False, "")

    def _unknown(self, head: _Head, limit: int, depth: int) -> Element:
        """Read an element written as UN: its content is implicit VR little endian (PS3.5 6.2.2 note 2)."""
        vr = vr_of(head.tag) or "UN"
        if head.length == UNDEFINED:
            if head.tag in PIXEL_TAGS:
                return self._fragments(head._replace(vr="OB"), limit)
            if head.value_start + 4 > limit:
                raise self._overrun(head.start, head.value_start + 4)
            items_little = bytes(self.buffer[head.value_start : head.value_start + 2]) == b"\xfe\xff"
            return self._sequence(head, limit, items_little, depth)
        end = head.value_start + head.length
        if end > limit:
            raise self._overrun(head.start, end)
        if vr == "SQ":
            return self._sequence(head, limit, True, depth)
        if vr == "UN" and (found := self._try_sequence(head, limit, depth)) is not None:
            return found
        return Element(head.tag, vr, head.start, head.value_start, end, end, False, None, True, True, "UN")

    def _try_sequence(self, head: _Head, limit: int, depth: int) -> Element | None:
        """Read a value of unknown VR as a sequence if it is one from its first to its last byte."""
        if head.length < 8 or self.buffer[head.value_start : head.value_start + 4] != _ITEM_LE:
            return None
        try:
            return self._sequence(head, limit, True, depth)
        except UnreadableInstance as error:
            if error.reason is RejectReason.TOO_DEEP:
                raise
            return None

    def _sequence(self, head: _Head, limit: int, little: bool, depth: int) -> Element:
        """Read a sequence whose item tags are in byte order `little`."""
        start = head.start
        if depth >= self.max_depth:
            raise UnreadableInstance(RejectReason.TOO_DEEP, f"more than {self.max_depth} levels at offset {start}")
        undefined = head.length == UNDEFINED
        stop = limit if undefined else head.value_start + head.length
        if stop > limit:
            raise self._overrun(start, stop)
        items: list[Item] = []
        position = head.value_start
        item_format = "<HHI" if little else ">HHI"
        while undefined or position < stop:
            if position + 8 > stop:
                raise self._overrun(position, position + 8)
            group, number, length = struct.unpack_from(item_format, self.buffer, position)
            if group != 0xFFFE or number not in (0xE000, 0xE0DD):
                raise _malformed(position, "no item")
            if number == 0xE0DD:
                if not undefined and position + 8 != stop:
                    raise _malformed(position, "unexpected sequence delimiter")
                break
            item = self._item(position, stop, length, head.written == "SQ", little, depth)
            items.append(item)
            position = item.end
        end = position + 8 if undefined else stop
        value = (head.value_start, position, end, undefined)
        return Element(head.tag, "SQ", start, *value, items, little, head.explicit, head.written)

    def _item(self, start: int, limit: int, length: int, explicit: bool, little: bool, depth: int) -> Item:
        self.count += 1
        value_start = start + 8
        undefined = length == UNDEFINED
        stop = limit if undefined else value_start + length
        if stop > limit or self.count > MAX_ELEMENTS:
            raise self._overrun(start, stop)
        if not explicit and stop - value_start >= 8:
            # UN of undefined length: items are implicit by the standard, explicit by some writers.
            explicit = self._looks_explicit(value_start, little)
        elements, content_end, end = self._dataset(value_start, stop, explicit, little, depth + 1, undefined)
        return Item(start, value_start, content_end, end, undefined, elements, explicit, little)

    def _looks_explicit(self, start: int, little: bool) -> bool:
        group = struct.unpack_from("<H" if little else ">H", self.buffer, start)[0]
        return group != 0xFFFE and bytes(self.buffer[start + 4 : start + 6]).decode("latin-1") in KNOWN_VRS

    def _fragments(self, head: _Head, limit: int) -> Element:
        """Skip the items of an encapsulated value (PS3.5 A.4)."""
        if head.written not in FRAGMENT_VRS and head.tag not in PIXEL_TAGS:
            raise _malformed(head.start, "undefined length")
        position = forgotten = head.value_start
        item_format = "<HHI" if head.little else ">HHI"
        while True:
            self.count += 1
            if position - forgotten > WINDOW_BYTES:
                forget_pages(self.buffer)
                forgotten = position
            if position + 8 > limit or self.count > MAX_ELEMENTS:
                raise self._overrun(position, position + 8)
            group, number, length = struct.unpack_from(item_format, self.buffer, position)
            if group == 0xFFFE and number == 0xE0DD:
                value = (head.value_start, position, position + 8, True)
                return Element(head.tag, head.vr, head.start, *value, None, head.little, head.explicit, head.written)
            if group != 0xFFFE or number != 0xE000 or length == UNDEFINED:
                raise _malformed(position, "no fragment")
            position += 8 + length
            if position > limit:
                raise self._overrun(head.start, position)

    def _overrun(self, offset: int, needed: int) -> UnreadableInstance:
        if self.count > MAX_ELEMENTS:
            return _malformed(offset, f"more than {MAX_ELEMENTS} elements")
        if needed > self.size:
            return _truncated(offset)
        return _malformed(offset, "element longer than what holds it")
