"""Find every value of an instance by its bytes: a second reader, as verification does not trust the engine's own."""

from __future__ import annotations

import hashlib
import marshal
import mmap
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from phi_deid_pipeline.dicom_utils import vr_of
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.records import RejectReason
from phi_deid_pipeline.value_objects import dataclass, field

if TYPE_CHECKING:
    from phi_deid_pipeline.verification_headers import HeaderMemory, Stretch

DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
IN_MEMORY_BYTES = 32 << 20  # larger files are mapped
WINDOW_BYTES = 32 << 20  # of a mapped file are in memory at a time
MAX_INFLATED_BYTES = 1 << 30
MAX_DEPTH = 64

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(),
)
_NAMES = {vr: vr.decode() for vr in _LONG | _SHORT}
_HEADS = (struct.Struct(">HH2sH").unpack_from, struct.Struct("<HH2sH").unpack_from)  # big endian, little endian
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT: dict[int, str] = {}  # VRs by tag, filled as tags are met
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_CHARSET = 0x00080005
_PLAIN_MARSHAL = 2  # the format without references to earlier objects: equal headers give equal bytes


@dataclass(slots=True)
class Value:
    """Where one value lies in the buffer; `items` numbers the item (0-based) at each level above.

    A sequence has no bytes of its own. `charset` is the Specific Character Set in force, as written.
    """

    path: tuple[int, ...]
    items: tuple[int, ...]
    vr: str
    start: int
    end: int
    charset: bytes
    fragments: bool = False

    def moved(self, by: int) -> Value:
        """Return the value as it lies that many bytes further on."""
        return Value(self.path, self.items, self.vr, self.start + by, self.end + by, self.charset, self.fragments)


@dataclass(slots=True)
class Layout:
    """The values of an instance, file meta included, in the order of the bytes. `end` is where the data set stops."""

    buffer: bytes | mmap.mmap
    preamble: bytes = b""
    transfer_syntax_uid: str = ""
    values: list[Value] = field(default_factory=list)
    pixels: Value | None = None  # (Float, Double Float) Pixel Data of the top level
    end: int = 0
    little: bool = True
    odd: bool = False  # holds elements in a form that the transfer syntax does not have
    stretches: list[tuple[Stretch, int]] = field(
        default_factory=list
    )  # of a header that is remembered, with their places
    _meta_values: int = 0
    _parts: list[tuple[Stretch | None, list[Value]]] = field(default_factory=list)
    _places: dict[int, dict[int, int]] = field(default_factory=dict)  # of parts that are not remembered
    _shape: bytes = b""

    def __enter__(self) -> Layout:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give a mapped file back."""
        if isinstance(self.buffer, mmap.mmap):
            self.buffer.close()

    @property
    def trailing(self) -> int:
        """Number of bytes behind the data set."""
        return len(self.buffer) - self.end

    def bytes_of(self, value: Value) -> bytes:
        """Return a copy of a value's bytes."""
        return self.buffer[value.start : value.end]

    def parts(self) -> list[tuple[Stretch | None, list[Value]]]:
        """Return all values in their order, those of each stretch that is remembered by themselves."""
        if not self._parts:
            at = self._meta_values
            self._parts.append((None, self.values[:at]))
            for stretch, _ in self.stretches:
                self._parts.append((stretch, self.values[at : at + len(stretch.values)]))
                at += len(stretch.values)
            self._parts.append((None, self.values[at:]))
        return self._parts

    def top(self, tag: int) -> Value | None:
        """Return the value of a tag of the top level; of one that stands twice the first."""
        for places, values in self._tops():
            if tag in places:
                return values[places[tag]]
        return None

    def top_tags(self) -> Iterator[int]:
        """Yield the tags of the top level."""
        for places, _ in self._tops():
            yield from places

    def _tops(self) -> Iterator[tuple[dict[int, int], list[Value]]]:
        """Yield where the tags of the top level stand among the values of each part."""
        for number, (stretch, values) in enumerate(self.parts()):
            places = self._places.get(number) if stretch is None else stretch.places
            if places is None:
                places = {v.path[0]: n for n, v in reversed([*enumerate(values)]) if len(v.path) == 1}
                if stretch is None:
                    self._places[number] = places
                else:
                    stretch.places = places
            yield places, values

    def text(self, tag: int) -> str:
        """Return the first value of a top-level element as ASCII text without padding, "" where there is none."""
        value = self.top(tag)
        return "" if value is None else self.bytes_of(value).split(b"\\")[0].strip(b" \x00").decode("ascii", "replace")

    def shape(self) -> bytes:
        """Return a SHA-256 of what the header is made of without its values: path, items, VR, and which are empty."""
        if not self._shape:
            found = hashlib.sha256()
            for stretch, values in self.parts():
                form = stretch.form if stretch is not None else b""
                if not form:
                    rows = [(v.path, v.items, v.vr, v.start == v.end) for v in values]
                    form = b"".join([marshal.dumps(row, _PLAIN_MARSHAL) for row in rows])
                    if stretch is not None:
                        stretch.form = form
                found.update(form)
            self._shape = found.digest()
        return self._shape


def forget_pages(buffer: bytes | mmap.mmap) -> None:
    """Give back the memory of what was read of a mapped file; what is read again is loaded again."""
    if isinstance(buffer, mmap.mmap):
        buffer.madvise(mmap.MADV_DONTNEED)


def read_layout(path: Path, memory: HeaderMemory | None = None) -> Layout:
    """Read an instance with or without preamble and file meta; raises UnreadableInstance (NOT_DICOM, MALFORMED...)."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            if size > IN_MEMORY_BYTES:
                buffer: bytes | mmap.mmap = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                buffer = stream.read()
    except OSError as error:
        raise UnreadableInstance(RejectReason.UNREADABLE_FILE, f"errno {error.errno}") from None
    layout = Layout(buffer)
    try:
        _read(layout, memory)
    except BaseException:
        layout.close()
        raise
    return layout


def _read(layout: Layout, memory: HeaderMemory | None) -> None:
    buffer = layout.buffer
    at = 132 if buffer[128:132] == b"DICM" else 4 if buffer[:4] == b"DICM" else 0
    layout.preamble = buffer[: at - 4] if at else b""
    if len(buffer) - at < 8:
        raise UnreadableInstance(RejectReason.NOT_DICOM)
    at = _meta(layout, at)
    layout._meta_values = len(layout.values)
    if layout.transfer_syntax_uid in DEFLATED:
        layout.buffer = buffer = buffer[:at] + _inflated(buffer[at:])
    head = buffer[at : at + 8]
    explicit = head[4:6] in _NAMES
    # Implicit VR is always little endian; else the first group, being small, tells the byte order.
    little = not explicit or int.from_bytes(head[:2], "little") <= int.from_bytes(head[:2], "big")
    layout.little = little
    layout.end = Reader(layout).top_level(at, explicit, little, memory)
    layout.pixels = next((v for v in reversed(layout.values) if len(v.path) == 1 and v.path[0] in PIXEL_TAGS), None)


def _meta(layout: Layout, at: int) -> int:
    buffer = layout.buffer
    while at + 8 <= len(buffer) and buffer[at : at + 2] == b"\x02\x00":
        number, vr, length = struct.unpack_from("<H2sH", buffer, at + 2)
        start = at + 8
        if vr in _LONG:
            length = int.from_bytes(buffer[at + 8 : at + 12], "little")
            start = at + 12
        elif vr not in _SHORT:
            length = int.from_bytes(buffer[at + 4 : at + 8], "little")
        if start + length > len(buffer):
            raise _broken(at)
        tag = 0x00020000 | number
        value = Value((tag,), (), _NAMES.get(vr) or vr_of(tag) or "UN", start, start + length, b"")
        layout.values.append(value)
        if tag == 0x00020010:
            layout.transfer_syntax_uid = layout.bytes_of(value).strip(b" \x00").decode("ascii", "replace")
        at = start + length
    return at


def _inflated(data: bytes) -> bytes:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = engine.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error:
        raise UnreadableInstance(RejectReason.MALFORMED, "data set is not deflated as declared") from None
    if not engine.eof:
        raise UnreadableInstance(RejectReason.MALFORMED, "deflated data set is incomplete or too large")
    # One zero byte may pad the stream to even length (PS3.5 A.5); anything else would be bytes behind the data set.
    return plain + (engine.unused_data if engine.unused_data != b"\x00" else b"")


def _head(little: bool) -> Callable[[bytes | mmap.mmap, int], tuple[int, int, bytes, int]]:
    return _HEADS[little]


def _broken(at: int) -> UnreadableInstance:
    return UnreadableInstance(RejectReason.MALFORMED, f"element at offset {at} does not fit")


def _implicit(tag: int) -> str:
    """Return the VR of an element that does not name it; remembered for each tag."""
    vr = _IMPLICIT[tag] = vr_of(tag) or "UN"
    return vr


class Reader:
    """Recursive walk that records values; offsets only, nothing is copied.

    Elements of a short VR, nearly all of an instance, are read in the loops themselves; all others in `_element`.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.buffer = layout.buffer
        self.values = layout.values

    def top_level(self, at: int, explicit: bool, little: bool, memory: HeaderMemory | None = None) -> int:
        """Read the data set; bytes behind the pixel data that are no further element are left over.

        An element there that belongs in front of the pixels is read by others: raises UnreadableInstance (MALFORMED).
        """
        buffer, values, size, charset, last = self.buffer, self.values, len(self.buffer), b"", -1
        if memory is not None and (found := memory.read(self, at, explicit, little)) is not None:
            at, charset = found
        unpack = _head(little)
        while at < size:
            if explicit and at + 8 <= size:
                group, number, code, length = unpack(buffer, at)
                tag, stop = group << 16 | number, at + 8 + length
                if code in _SHORT and last < tag < 0x7FE00008 and stop <= size:
                    values.append(Value((tag,), (), _NAMES[code], at + 8, stop, charset))
                    if tag == _CHARSET:
                        charset = buffer[at + 8 : stop]
                    at, last = stop, tag
                    continue
            known = len(values)
            try:
                tag, after = self.element(at, size, explicit, little, (), (), charset)
            except UnreadableInstance:
                if last < 0x7FE00008 and any(buffer[at : at + 4096]):
                    raise
                del values[known:]
                return at
            if last >= 0x7FE00008 and tag <= last:
                if tag:
                    raise _broken(at)
                del values[known:]
                return at
            if tag == _CHARSET:
                charset = buffer[values[-1].start : values[-1].end]
            at, last = after, tag
        return at

    def _data_set(
        self, at: int, end: int, explicit: bool, little: bool, path: tuple, items: tuple, charset: bytes, open_end: bool
    ) -> int:
        buffer, values, unpack = self.buffer, self.values, _head(little)
        while at < end or open_end:
            if at + 8 > end:
                raise _broken(at)
            group, number, code, length = unpack(buffer, at)
            if group == 0xFFFE:
                if number == 0xE00D:
                    return at + 8
                raise _broken(at)
            if explicit and code in _SHORT:
                tag, stop = group << 16 | number, at + 8 + length
                if stop > end:
                    raise _broken(at)
                values.append(Value((*path, tag), items, _NAMES[code], at + 8, stop, charset))
                at = stop
            elif not explicit and (vr := _IMPLICIT.get(tag := group << 16 | number) or _implicit(tag)) not in (
                "SQ",
                "UN",
            ):
                stop = at + 8 + int.from_bytes(buffer[at + 4 : at + 8], "little" if little else "big")
                if stop > end:  # too long, or of undefined length
                    tag, at = self.element(at, end, explicit, little, path, items, charset)
                else:
                    values.append(Value((*path, tag), items, vr, at + 8, stop, charset))
                    at = stop
            else:
                tag, at = self.element(at, end, explicit, little, path, items, charset)
            if tag == _CHARSET:
                charset = buffer[values[-1].start : values[-1].end]
        return at

    def element(
        self, at: int, end: int, explicit: bool, little: bool, path: tuple, items: tuple, charset: bytes
    ) -> tuple[int, int]:
        """Read the element at an offset with all that it holds; return its tag and where it ends."""
        if at + 8 > end:
            raise _broken(at)
        buffer = self.buffer
        group, number, code, length = _head(little)(buffer, at)
        if group == 0xFFFE:
            raise _broken(at)
        tag, start, inner_explicit, inner_little = group << 16 | number, at + 8, explicit, little
        if explicit and code in _SHORT:
            vr = _NAMES[code]
        elif explicit and code in _LONG:
            if at + 12 > end:
                raise _broken(at)
            length = struct.unpack_from("<I" if little else ">I", buffer, at + 8)[0]
            start = at + 12
            vr = _NAMES[code]
            if vr == "UN":  # the content is implicit VR little endian (PS3.5 6.2.2)
                vr = _IMPLICIT.get(tag) or _implicit(tag)
                inner_explicit, inner_little = False, True
        elif explicit and code.isalpha() and code.isupper():
            vr = "UN"
            self.layout.odd = True
        else:  # implicit VR, within an explicit data set by mistake of some writers
            self.layout.odd |= explicit
            length = struct.unpack_from("<I" if little else ">I", buffer, at + 4)[0]
            vr, inner_explicit = _IMPLICIT.get(tag) or _implicit(tag), False
        path = (*path, tag)
        if length == _UNDEFINED and (tag in PIXEL_TAGS or vr in ("OB", "OW", "OF", "OD", "OL", "OV")):
            return tag, self._fragments(tag, start, end, little, path, items, charset)
        stop = end if length == _UNDEFINED else start + length
        if stop > end:
            raise _broken(at)
        if vr == "SQ" or length == _UNDEFINED or (vr == "UN" and buffer[start : start + 4] == b"\xfe\xff\x00\xe0"):
            known = len(self.values)
            try:
                unknown = code == b"UN" and explicit
                return tag, self._sequence(
                    start, stop, length == _UNDEFINED, inner_explicit, inner_little, path, items, charset, unknown
                )
            except UnreadableInstance:
                if vr == "SQ" or length == _UNDEFINED:
                    raise
                del self.values[known:]  # begins like a sequence and is none
        self.values.append(Value(path, items, vr, start, stop, charset))
        return tag, stop

    def _sequence(
        self,
        at: int,
        end: int,
        open_end: bool,
        explicit: bool,
        little: bool,
        path: tuple,
        items: tuple,
        charset: bytes,
        unknown: bool,
    ) -> int:
        """Read a sequence; items of one that was written as UN (`unknown`) are explicit where some writers make them so."""
        if len(path) > MAX_DEPTH:
            raise UnreadableInstance(RejectReason.TOO_DEEP)
        self.values.append(Value(path, items, "SQ", at, at, charset))
        if self.buffer[at : at + 4] == b"\xff\xfe\xe0\x00":
            little = False
        number = 0
        while at < end or open_end:
            if at + 8 > end:
                raise _broken(at)
            group, element, length = struct.unpack_from("<HHI" if little else ">HHI", self.buffer, at)
            if group == 0xFFFE and element == 0xE0DD:
                return at + 8
            stop = end if length == _UNDEFINED else at + 8 + length
            if (group, element) != (0xFFFE, 0xE000) or stop > end:
                raise _broken(at)
            below, named = (*items, number), explicit or (unknown and self._names_vr(at + 8))
            at = self._data_set(at + 8, stop, named, little, path, below, charset, length == _UNDEFINED)
            number += 1
        return at

    def _names_vr(self, at: int) -> bool:
        """Tell whether an element begins here that names its VR."""
        return self.buffer[at + 4 : at + 6] in _NAMES and self.buffer[at : at + 2] not in (b"\xfe\xff", b"\xff\xfe")

    def _fragments(self, tag: int, at: int, end: int, little: bool, path: tuple, items: tuple, charset: bytes) -> int:
        start = forgotten = at
        while at + 8 <= end:
            if at - forgotten > WINDOW_BYTES:
                forget_pages(self.buffer)
                forgotten = at
            group, element, length = struct.unpack_from("<HHI" if little else ">HHI", self.buffer, at)
            if (group, element) == (0xFFFE, 0xE0DD):
                self.values.append(Value(path, items, "OB", start, at, charset, fragments=True))
                return at + 8
            if (group, element) != (0xFFFE, 0xE000):
                break
            at += 8 + length
        raise _broken(at)


class Source:
    """The source file, opened only when something of it is needed."""

    def __init__(self, path: Path, memory: HeaderMemory | None = None) -> None:
        self.path = path
        self._memory = memory
        self._layout: Layout | None = None
        self._by_place: dict[tuple[tuple[int, ...], tuple[int, ...]], Value] | None = None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        if self._layout is not None:
            self._layout.close()

    @property
    def layout(self) -> Layout:
        """The values of the source; raises UnreadableInstance."""
        if self._layout is None:
            try:
                self._layout = read_layout(self.path, self._memory)
            except UnreadableInstance as error:
                raise UnreadableInstance(error.reason, "source") from None
        return self._layout

    @property
    def values(self) -> list[Value]:
        """All values of the source, pixel data and file meta included."""
        return self.layout.values

    def charsets(self) -> frozenset[bytes]:
        """Return the character sets that the source declares at any level."""
        return frozenset({value.charset for value in self.values})

    def value_at(self, path: tuple[int, ...], items: tuple[int, ...]) -> bytes | None:
        """Return the bytes that stood at the same place, None where there was nothing."""
        if self._by_place is None:
            self._by_place = {(v.path, v.items): v for v in self.values}
        value = self._by_place.get((path, items))
        return None if value is None else self.layout.bytes_of(value)
