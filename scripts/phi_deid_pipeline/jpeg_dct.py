"""Edit a sequential JPEG in its DCT domain: blocks that a box touches are written anew, all others keep their coefficients.

Baseline and Extended sequential processes with Huffman coding, 8 or 12 bits (ITU-T T.81, Annexes B, C, F). Only the
entropy-coded data are taken apart and put together again; nothing is dequantised but the blocks that change.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from phi_deid_pipeline.boxes import clipped
from phi_deid_pipeline.codestreams import JPEG_DROPPED, kept_application_data
from phi_deid_pipeline.records import Box

SIDE = 8  # samples of a block
END_OF_BLOCK, ZERO_RUN = 0x00, 0xF0
MAX_CODE = 16  # bits
_ZIGZAG = np.array(sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8) if (i // 8 + i % 8) % 2 else (i % 8))))
_FREQUENCY, _PLACE = np.mgrid[0:SIDE, 0:SIDE]
_COSINES = np.cos((2 * _PLACE + 1) * _FREQUENCY * np.pi / 16) * np.where(_FREQUENCY == 0, np.sqrt(1 / 8), 0.5)


class JpegError(Exception):
    """This stream cannot be edited in its DCT domain; the text never holds a value of it."""


@dataclass(frozen=True, slots=True)
class _Component:
    number: int
    across: int  # horizontal sampling factor
    down: int
    quantiser: int


@dataclass(slots=True)
class _Stream:
    """What the segments up to a scan say."""

    precision: int = 0
    rows: int = 0
    columns: int = 0
    components: list[_Component] = field(default_factory=list)
    quantisers: dict[int, np.ndarray] = field(default_factory=dict)  # in zigzag order
    tables: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # class << 4 | id -> (counts, symbols)
    interval: int = 0

    @property
    def across(self) -> int:
        return max(c.across for c in self.components)

    @property
    def down(self) -> int:
        return max(c.down for c in self.components)

    @property
    def subsampled(self) -> bool:
        return any((c.across, c.down) != (self.across, self.down) for c in self.components)


def block_boxes(data: bytes, boxes: Sequence[Box]) -> list[Box]:
    """Return boxes widened to the whole MCUs that change with them, clipped to the image; raises JpegError.

    Where chroma is sub-sampled, decoders smooth it over the border of a block: a box that reaches so far takes the next one too.
    """
    stream = _header(data)
    wide, high = SIDE * stream.across, SIDE * stream.down
    reach = 1 if stream.subsampled else 0
    widened = []
    for box in boxes:
        left, top = max(box.x - reach, 0) // wide * wide, max(box.y - reach, 0) // high * high
        right, bottom = -(-(box.x + box.w + reach) // wide) * wide, -(-(box.y + box.h + reach) // high) * high
        widened.append(clipped(Box(left, top, right - left, bottom - top), stream.rows, stream.columns))
    return widened


def edit(data: bytes, boxes: Sequence[Box], picture: np.ndarray) -> bytes:
    """Return the stream with the MCUs under boxes (as `block_boxes` gives them) showing `picture`; raises JpegError.

    `picture` has shape (rows, columns) or (rows, columns, components), in the components of the stream. Comments and
    application data go, but for what says how colours are coded.
    """
    stream = _header(data)
    if picture.shape[:2] != (stream.rows, stream.columns):
        raise JpegError("other size than the picture")
    planes = picture[..., None] if picture.ndim == 2 else picture
    if planes.shape[2] != len(stream.components):
        raise JpegError("other number of components than the picture")
    out, position, scans = bytearray(b"\xff\xd8"), 2, _Stream()
    while True:
        marker, start, end = _segment(data, position)
        if marker == 0xD9:
            return bytes(out + b"\xff\xd9")
        content = data[start:end]
        if marker == 0xDA:
            coded_end = _coded_end(data, end)
            out += _edited_scan(scans, content, data[end:coded_end], boxes, planes)
            position = coded_end
            continue
        _note(scans, marker, content)
        if marker not in JPEG_DROPPED:
            out += struct.pack(">HH", 0xFF00 | marker, len(content) + 2) + content
        else:
            out += kept_application_data(marker, content)
        position = end


# --- segments -------------------------------------------------------------------------------------------------------


def _header(data: bytes) -> _Stream:
    stream, position = _Stream(), 2
    if data[:2] != b"\xff\xd8":
        raise JpegError("no JPEG stream")
    while True:
        marker, start, end = _segment(data, position)
        if marker in (0xDA, 0xD9):
            break
        _note(stream, marker, data[start:end])
        position = end
    if not stream.components or not stream.rows or not stream.columns:
        raise JpegError("no frame header")
    return stream


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Return marker and the range of its content."""
    while data[position : position + 2] == b"\xff\xff":
        position += 1
    if position + 2 > len(data) or data[position] != 0xFF:
        raise JpegError("marker missing")
    marker = data[position + 1]
    if marker == 0xD9:
        return marker, position + 2, position + 2
    if position + 4 > len(data) or 0xD0 <= marker <= 0xD8 or marker < 0xC0:
        raise JpegError("marker not expected")
    length = struct.unpack_from(">H", data, position + 2)[0]
    if length < 2 or position + 2 + length > len(data):
        raise JpegError("segment too long")
    return marker, position + 4, position + 2 + length


def _note(stream: _Stream, marker: int, content: bytes) -> None:
    try:
        if marker in (0xC0, 0xC1):
            stream.precision, stream.rows, stream.columns, count = struct.unpack_from(">BHHB", content)
            parts = [content[6 + 3 * i : 9 + 3 * i] for i in range(count)]
            stream.components = [_Component(p[0], p[1] >> 4, p[1] & 15, p[2]) for p in parts]
            if stream.precision not in (8, 12) or not all(c.across and c.down for c in stream.components):
                raise JpegError("frame header not supported")
            if any(stream.across % c.across or stream.down % c.down for c in stream.components):
                raise JpegError("sampling factors not supported")
        elif marker in (0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xCC, 0xDC):
            raise JpegError("process not supported")
        elif marker == 0xDB:
            _note_quantisers(stream, content)
        elif marker == 0xC4:
            position = 0
            while position < len(content):
                counts = content[position + 1 : position + 17]
                end = position + 17 + sum(counts)
                stream.tables[content[position]] = (counts, content[position + 17 : end])
                position = end
        elif marker == 0xDD:
            stream.interval = struct.unpack(">H", content)[0]
    except (struct.error, IndexError):
        raise JpegError("segment too short") from None


def _note_quantisers(stream: _Stream, content: bytes) -> None:
    position = 0
    while position < len(content):
        wide, number = content[position] >> 4, content[position] & 15
        size = 128 if wide else 64
        values = np.frombuffer(content[position + 1 : position + 1 + size], ">u2" if wide else "u1")
        if len(values) != 64 or not values.all():
            raise JpegError("quantisation table not usable")
        stream.quantisers[number] = values.astype(np.int64)
        position += 1 + size


def _coded_end(data: bytes, position: int) -> int:
    """Return where coded data end: at the next marker that is no restart."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            raise JpegError("coded data without an end")
        follower = data[position + 1]
        if follower and not 0xD0 <= follower <= 0xD7 and follower != 0xFF:
            return position
        position += 1 if follower == 0xFF else 2


# --- Huffman codes --------------------------------------------------------------------------------------------------


@cache
def _lookup(table: tuple[bytes, bytes]) -> list[int]:
    """Return length << 8 | symbol for every 16 bits that may follow; 0 where no code begins so."""
    found = np.zeros(1 << MAX_CODE, np.int64)
    for symbol, (code, length) in _codes(table).items():
        first = code << (MAX_CODE - length)
        found[first : first + (1 << (MAX_CODE - length))] = length << 8 | symbol
    return found.tolist()


@cache
def _codes(table: tuple[bytes, bytes]) -> dict[int, tuple[int, int]]:
    """Return symbol -> (code, length) (Annex C)."""
    counts, symbols = table
    codes, code, position = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[position : position + count]:
            codes[symbol] = (code, length)
            code += 1
        position += count
        if code > 1 << length:
            raise JpegError("Huffman table not usable")
        code <<= 1
    return codes


def _made_table(frequencies: np.ndarray) -> tuple[bytes, bytes]:
    """Return a table for symbols by how often they occur, no code longer than 16 bits or all ones (Annex K.2)."""
    weight = {int(s): int(n) for s, n in enumerate(frequencies) if n} | {256: 1}  # 256 takes the code of all ones
    groups = {s: [s] for s in weight}
    size = dict.fromkeys(weight, 0)
    while len(groups) > 1:
        one, other = sorted(groups, key=lambda s: (weight[s], -s))[:2]
        for symbol in groups[one] + groups[other]:
            size[symbol] += 1
        weight[one] += weight.pop(other)
        groups[one] += groups.pop(other)
    lengths = [0] * (max(max(size.values()), MAX_CODE) + 1)
    for bits in size.values():
        lengths[bits] += 1
    for bits in range(len(lengths) - 1, MAX_CODE, -1):
        while lengths[bits]:
            shorter = next(b for b in range(bits - 2, 0, -1) if lengths[b])
            lengths[bits] -= 2
            lengths[bits - 1] += 1
            lengths[shorter + 1] += 2
            lengths[shorter] -= 1
    longest = max(b for b, n in enumerate(lengths) if n)
    lengths[longest] -= 1
    order = sorted((s for s in size if s != 256), key=lambda s: (size[s], s))
    return bytes(lengths[1 : MAX_CODE + 1]), bytes(order)


# --- scans ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Scan:
    """One scan: its components with their tables, and how its blocks follow each other."""

    stream: _Stream
    parts: list[tuple[int, int, int]]  # index of the component, DC and AC table
    blocks: list[int]  # of an MCU: index into parts
    across: int  # MCUs in a row
    count: int  # MCUs

    def touched(self, boxes: Sequence[Box]) -> np.ndarray:
        """Tell which MCUs lie under boxes."""
        wide, high = self.mcu_size()
        mask = np.zeros((self.count // self.across, self.across), bool)
        for box in boxes:
            if box.w > 0 and box.h > 0:
                mask[box.y // high : -(-(box.y + box.h) // high), box.x // wide : -(-(box.x + box.w) // wide)] = True
        return mask.reshape(-1)

    def mcu_size(self) -> tuple[int, int]:
        """Return width and height of an MCU in pixels of the picture."""
        stream = self.stream
        if len(self.parts) > 1:
            return SIDE * stream.across, SIDE * stream.down
        component = stream.components[self.parts[0][0]]
        return SIDE * stream.across // component.across, SIDE * stream.down // component.down


def _scan(stream: _Stream, content: bytes) -> _Scan:
    try:
        count = content[0]
        named = [(content[1 + 2 * i], content[2 + 2 * i]) for i in range(count)]
        if content[1 + 2 * count : 4 + 2 * count] != b"\x00\x3f\x00":
            raise JpegError("process not supported")
    except IndexError:
        raise JpegError("segment too short") from None
    numbers = [c.number for c in stream.components]
    if any(number not in numbers for number, _ in named):
        raise JpegError("scan of an unknown component")
    parts = [(numbers.index(number), tables >> 4, tables & 15) for number, tables in named]
    if count == 1:
        component = stream.components[parts[0][0]]
        width = -(-stream.columns * component.across // stream.across)
        height = -(-stream.rows * component.down // stream.down)
        across = -(-width // SIDE)
        return _Scan(stream, parts, [0], across, across * -(-height // SIDE))
    across, down = -(-stream.columns // (SIDE * stream.across)), -(-stream.rows // (SIDE * stream.down))
    components = [stream.components[index] for index, _, _ in parts]
    blocks = [i for i, c in enumerate(components) for _ in range(c.across * c.down)]
    return _Scan(stream, parts, blocks, across, across * down)


def _edited_scan(stream: _Stream, content: bytes, coded: bytes, boxes: Sequence[Box], planes: np.ndarray) -> bytes:
    scan = _scan(stream, content)
    touched = scan.touched(boxes)
    length = stream.interval or scan.count
    pieces = _intervals(coded)
    if len(pieces) != -(-scan.count // length):
        raise JpegError("restart markers do not fit")
    tokens = []
    for number, piece in enumerate(pieces):
        first = number * length
        mine = _Tokens.read(scan, piece, min(length, scan.count - first))
        mine.put(scan, first, touched[first : first + length], planes)
        tokens.append(mine)
    made, tables = _tables(scan, tokens)
    out = bytearray()
    for number, table in made.items():
        out += struct.pack(">HHB", 0xFFC4, 3 + 16 + len(table[1]), number) + table[0] + table[1]
        stream.tables[number] = table
    out += struct.pack(">HH", 0xFFDA, len(content) + 2) + content
    for number, mine in enumerate(tokens):
        out += b"" if number == 0 else bytes((0xFF, 0xD0 + (number - 1) % 8))
        out += mine.coded(scan, tables)
    return bytes(out)


def _intervals(coded: bytes) -> list[bytes]:
    """Return the coded data between restart markers, stuffed bytes taken out."""
    pieces, start, position = [], 0, 0
    while (position := coded.find(b"\xff", position)) >= 0 and position + 1 < len(coded):
        if 0xD0 <= coded[position + 1] <= 0xD7:
            pieces.append(coded[start:position])
            start = position + 2
        position += 2 if coded[position + 1] != 0xFF else 1
    pieces.append(coded[start:])
    return [piece.replace(b"\xff\x00", b"\xff") for piece in pieces]


def _tables(
    scan: _Scan, tokens: list[_Tokens]
) -> tuple[dict[int, tuple[bytes, bytes]], dict[int, tuple[bytes, bytes]]]:
    """Return the tables that have to be made anew, because a block needs a symbol that has no code, and all that are used."""
    wanted = sorted({n for _, dc, ac in scan.parts for n in (dc, 0x10 | ac)})
    made, used = {}, {}
    for number in wanted:
        counts = sum((mine.frequencies(scan, number) for mine in tokens), np.zeros(256, np.int64))
        table = scan.stream.tables[number]
        if any(int(s) not in _codes(table) for s in np.flatnonzero(counts)):
            table = made[number] = _made_table(counts)
        used[number] = table
    return made, used


@dataclass(slots=True)
class _Tokens:
    """The coded data of one restart interval: symbols with their further bits, block by block."""

    symbols: np.ndarray
    further: np.ndarray  # the bits behind each symbol, as a number
    starts: np.ndarray  # of the blocks, one more than there are
    part: np.ndarray  # of each block: index into the scan's parts

    @classmethod
    def read(cls, scan: _Scan, data: bytes, count: int) -> _Tokens:
        """Take the coded data of that many MCUs apart."""
        padded = np.frombuffer(data + b"\xff" * 8, np.uint8).astype(np.uint32)
        three = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
        windows = np.stack([three >> (8 - shift) for shift in range(8)], axis=1).astype(np.uint16).reshape(-1)
        try:
            tables = [
                (_lookup(scan.stream.tables[dc]), _lookup(scan.stream.tables[0x10 | ac])) for _, dc, ac in scan.parts
            ]
        except KeyError:
            raise JpegError("Huffman table missing") from None
        try:
            symbols, places, starts = _walk(memoryview(windows), [tables[i] for i in scan.blocks], count)
        except IndexError:
            raise JpegError("coded data too short") from None
        if places and places[-1] + (symbols[-1] & 15) > 8 * len(data):
            raise JpegError("coded data too short")
        found = np.array(symbols, np.int64)
        block_starts = np.array([*starts, len(symbols)])
        sizes = found & 15
        at = np.array(places, np.int64)
        five = np.zeros(len(at), np.uint64)
        for i in range(4):
            five = five << np.uint64(8) | padded[(at >> 3) + i].astype(np.uint64)
        shift = (32 - (at & 7) - sizes).astype(np.uint64)
        further = (five >> shift).astype(np.int64) & ((1 << sizes) - 1)
        return cls(found, further, block_starts, np.tile(np.array(scan.blocks), count))

    def put(self, scan: _Scan, first: int, touched: np.ndarray, planes: np.ndarray) -> None:
        """Let the blocks of touched MCUs show the picture; differences of DC are formed anew where they change."""
        if not touched.any():
            return
        per_mcu = len(scan.blocks)
        changed = np.flatnonzero(np.repeat(touched, per_mcu))
        new = {int(i): _coefficients(scan, first, int(i), planes) for i in changed}
        heads = self.starts[:-1]
        for part in range(len(scan.parts)):
            mine = np.flatnonzero(self.part == part)
            level = np.cumsum(_signed(self.further[heads[mine]], self.symbols[heads[mine]]))
            for order, block in enumerate(mine.tolist()):
                if block in new:
                    level[order] = new[block][0]
            steps = np.diff(level, prepend=0)
            self.symbols[heads[mine]], self.further[heads[mine]] = _sized(steps)
        self._splice(new)

    def _splice(self, new: dict[int, np.ndarray]) -> None:
        symbols, further, sizes = [], [], np.diff(self.starts)
        position = 0
        for block in sorted(new):
            head = int(self.starts[block])
            codes, bits = _ac_tokens(new[block])
            symbols += [self.symbols[position : head + 1], codes]
            further += [self.further[position : head + 1], bits]
            sizes[block] = 1 + len(codes)
            position = int(self.starts[block + 1])
        self.symbols = np.concatenate([*symbols, self.symbols[position:]])
        self.further = np.concatenate([*further, self.further[position:]])
        self.starts = np.concatenate([[0], np.cumsum(sizes)])

    def _table_of(self, scan: _Scan) -> np.ndarray:
        parts = np.array([[dc, 0x10 | ac] for _, dc, ac in scan.parts])
        owner = np.repeat(self.part, np.diff(self.starts))
        numbers = parts[owner, 1]
        numbers[self.starts[:-1]] = parts[self.part, 0]
        return numbers

    def frequencies(self, scan: _Scan, table: int) -> np.ndarray:
        """Count the symbols that one table codes."""
        return np.bincount(self.symbols[self._table_of(scan) == table], minlength=256)

    def coded(self, scan: _Scan, tables: dict[int, tuple[bytes, bytes]]) -> bytes:
        """Return the coded data, filled up with ones and stuffed."""
        owner = self._table_of(scan)
        code, length = np.zeros(len(owner), np.int64), np.zeros(len(owner), np.int64)
        for number, table in tables.items():
            values, lengths = np.zeros(256, np.int64), np.zeros(256, np.int64)
            for symbol, (value, bits) in _codes(table).items():
                values[symbol], lengths[symbol] = value, bits
            mine = owner == number
            code[mine], length[mine] = values[self.symbols[mine]], lengths[self.symbols[mine]]
        sizes = self.symbols & 15
        whole, total = code << sizes | self.further, length + sizes
        ends = np.cumsum(total)
        count = int(ends[-1]) if len(ends) else 0
        bits = np.repeat(whole, total)
        bits >>= np.repeat(ends, total) - 1 - np.arange(count)
        bits = np.concatenate([(bits & 1).astype(np.uint8), np.ones(-count % 8, np.uint8)])
        return np.packbits(bits).tobytes().replace(b"\xff", b"\xff\x00")


def _walk(
    windows: memoryview, blocks: list[tuple[list[int], list[int]]], count: int
) -> tuple[list[int], list[int], list[int]]:
    """Return symbols, where the bits behind each one begin, and which symbol begins a block."""
    symbols: list[int] = []
    places: list[int] = []
    starts: list[int] = []
    position = 0
    for _ in range(count):
        for dc, ac in blocks:
            starts.append(len(symbols))
            entry = dc[windows[position]]
            if not entry or entry & 255 > 15:
                raise JpegError("code not in its table")
            position += entry >> 8
            symbols.append(entry & 255)
            places.append(position)
            position += entry & 255
            index = 1
            while index < 64:
                entry = ac[windows[position]]
                if not entry:
                    raise JpegError("code not in its table")
                position += entry >> 8
                symbol = entry & 255
                symbols.append(symbol)
                places.append(position)
                position += symbol & 15
                if symbol == END_OF_BLOCK:
                    break
                index += (symbol >> 4) + 1
            if index > 64:
                raise JpegError("block too long")
    return symbols, places, starts


def _signed(further: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the differences that size and further bits stand for (F.2.2.1)."""
    half = np.where(sizes > 0, 1 << np.maximum(sizes - 1, 0), 0)
    return np.where(further >= half, further, further - (1 << sizes) + 1)


def _sized(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes and further bits of signed numbers (F.1.2.1)."""
    absolute = np.abs(numbers)
    sizes = np.zeros(len(numbers), np.int64)
    for bit in range(16):
        sizes[absolute >= 1 << bit] = bit + 1
    if len(sizes) and sizes.max() > 15:
        raise JpegError("coefficient out of range")
    return sizes, np.where(numbers < 0, numbers + (1 << sizes) - 1, numbers)


def _ac_tokens(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return symbols and further bits of the AC coefficients of one block."""
    places = np.flatnonzero(coefficients[1:]) + 1
    if not len(places):
        return np.array([END_OF_BLOCK]), np.array([0])
    sizes, bits = _sized(coefficients[places])
    symbols: list[int] = []
    further: list[int] = []
    last = 0
    for place, size, value in zip(places.tolist(), sizes.tolist(), bits.tolist(), strict=True):
        run = place - last - 1
        symbols += [ZERO_RUN] * (run // 16) + [run % 16 << 4 | size]
        further += [0] * (run // 16) + [value]
        last = place
    if last < 63:
        symbols.append(END_OF_BLOCK)
        further.append(0)
    return np.array(symbols), np.array(further)


def _coefficients(scan: _Scan, first: int, block: int, planes: np.ndarray) -> np.ndarray:
    """Return the 64 quantised coefficients, in zigzag order, of the block with that number in an interval."""
    stream = scan.stream
    mcu, within = divmod(block, len(scan.blocks))
    row, column = divmod(first + mcu, scan.across)
    part = scan.blocks[within]
    component = stream.components[scan.parts[part][0]]
    if len(scan.parts) > 1:
        order = within - scan.blocks.index(part)
        row, column = (
            row * component.down + order // component.across,
            column * component.across + order % component.across,
        )
    samples = _samples(planes[..., scan.parts[part][0]], component, stream, row, column)
    quantiser = stream.quantisers.get(component.quantiser)
    if quantiser is None:
        raise JpegError("quantisation table missing")
    middle, top = 1 << (stream.precision - 1), (1 << stream.precision) - 1
    if samples.min() == samples.max():
        flat = np.zeros(64, np.int64)
        exact = (float(samples.flat[0]) - middle) * SIDE / int(quantiser[0])
        # The ends of the range are reached or passed, and clipped by the decoder.
        flat[0] = (
            np.floor(exact) if samples.flat[0] == 0 else np.ceil(exact) if samples.flat[0] == top else np.rint(exact)
        )
        return flat
    found = _COSINES @ (samples - middle) @ _COSINES.T
    limit = (1 << (stream.precision + 2)) - 1
    return np.clip(np.rint(found.reshape(-1)[_ZIGZAG] / quantiser), -limit, limit).astype(np.int64)


def _samples(plane: np.ndarray, component: _Component, stream: _Stream, row: int, column: int) -> np.ndarray:
    """Return the samples of a block: means where the component is sub-sampled, the last ones repeated beyond the border."""
    wide, high = stream.across // component.across, stream.down // component.down
    rows = np.minimum(np.arange(row * SIDE * high, (row + 1) * SIDE * high), plane.shape[0] - 1)
    columns = np.minimum(np.arange(column * SIDE * wide, (column + 1) * SIDE * wide), plane.shape[1] - 1)
    part = plane[np.ix_(rows, columns)].astype(float)
    return part.reshape(SIDE, high, SIDE, wide).mean(axis=(1, 3))
