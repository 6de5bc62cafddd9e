"""What verification remembers of the header of the instance before: bytes that stand there again are read and judged once.

How an element of the top level is read depends on its bytes, the encoding of the data set and the character set in force
alone; so a stretch of bytes in front of the pixels that is found again is the same values. Nothing of the engine's memory
of headers is used here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from phi_deid_pipeline.errors import UnreadableInstance

if TYPE_CHECKING:
    from phi_deid_pipeline.references import References
    from phi_deid_pipeline.verification_bytes import Reader, Value

BEHIND_HEADERS = 0x7FE0  # group of the pixels
MOST_BYTES = 1 << 20  # of a header that is remembered
CHARSET = 0x00080005


class Unit(NamedTuple):
    """An element of the top level: its first byte and that behind it, its values, the character set behind it."""

    start: int
    end: int
    low: int
    high: int
    charset: bytes


class Stretch:
    """Neighbouring elements that did not change: `values` as they lay where the first began at `start`.

    `judged` is the memory in which all of the values were found clean, `opened` tells that pydicom converts them; `form`
    is what `Layout.shape` makes of them, `places` where `Layout.top` finds tags among them, `references` what `references`
    finds.
    """

    __slots__ = (
        "before",
        "changes",
        "data",
        "form",
        "judged",
        "opened",
        "places",
        "references",
        "start",
        "units",
        "values",
    )

    def __init__(self, data: bytes, units: list[Unit], values: list[Value], before: bytes, *, changes: bool) -> None:
        self.data = data
        self.units = units
        self.values = values
        self.before = before  # character set in force
        self.start = units[0].start
        self.changes = changes
        self.judged: object = None
        self.opened = False
        self.form = b""
        self.places: dict[int, int] | None = None
        self.references: References | None = None

    @property
    def charset(self) -> bytes:
        """The character set in force behind it."""
        return self.units[-1].charset

    def at(self, start: int) -> list[Value]:
        """Return the values as they lie where the first element begins at `start`."""
        by = start - self.start
        return [value.moved(by) for value in self.values] if by else self.values

    def part(self, first: int, last: int) -> Stretch:
        """Return some of its elements as a stretch of their own."""
        units = self.units[first:last]
        low = units[0].low
        values = self.values[low : units[-1].high]
        before = self.units[first - 1].charset if first else self.before
        data = self.data[units[0].start - self.start : units[-1].end - self.start]
        units = [unit._replace(low=unit.low - low, high=unit.high - low) for unit in units]
        return Stretch(data, units, values, before, changes=False)


class HeaderMemory:
    """Reads the elements in front of the pixels; remembers the stretches of the last header."""

    def __init__(self) -> None:
        self._form: tuple[bool, bool] | None = None
        self._stretches: list[Stretch] = []

    def read(self, reader: Reader, at: int, explicit: bool, little: bool) -> tuple[int, bytes] | None:
        """Add the values of a header to the reader's; return its end and the character set in force there.

        None where the header has to be read element by element: then nothing was added.
        """
        form, known = (explicit, little), len(reader.values)
        if isinstance(reader.buffer, bytes):
            for attempt in (self._again, self._anew):
                if attempt == self._again and form != self._form:
                    continue
                try:
                    stretches = attempt(reader, at, form)
                except UnreadableInstance:
                    stretches = None  # whoever reads element by element says what is wrong
                if stretches is not None and not reader.layout.odd:
                    self._form, self._stretches = form, [one for one, _ in stretches]
                    reader.layout.stretches = stretches
                    last, start = stretches[-1]
                    return start + len(last.data), last.charset
                del reader.values[known:]
        self._form = None
        return None

    def _anew(self, reader: Reader, at: int, form: tuple[bool, bool]) -> list[tuple[Stretch, int]] | None:
        first, begin, charset, units = len(reader.values), at, b"", list[Unit]()
        while _in_header(reader, at, form[1]):
            if at - begin > MOST_BYTES:
                return None
            unit = _unit(reader, at, form, charset, first)
            units.append(unit)
            at, charset = unit.end, unit.charset
        if not units:
            return None
        data = bytes(reader.buffer[begin:at])
        return [(Stretch(data, units, reader.values[first:], b"", changes=False), begin)]

    def _again(self, reader: Reader, at: int, form: tuple[bool, bool]) -> list[tuple[Stretch, int]] | None:
        found: list[tuple[Stretch, int]] = []
        charset, changed, total = b"", 0, 0
        for stretch in self._stretches:
            total += len(stretch.units)
            if stretch.before != charset:
                return None
            if reader.buffer.startswith(stretch.data, at):  # type: ignore[union-attr]
                reader.values += stretch.at(at)
                pieces = [stretch]
            elif (split := self._split(reader, stretch, at, form)) is not None:
                pieces = split
            else:
                return None
            for piece in pieces:
                changed += piece.changes
                found.append((piece, at))
                at += len(piece.data)
            charset = pieces[-1].charset
        return None if _in_header(reader, at, form[1]) or (2 * changed > total and len(found) > 1) else found

    @staticmethod
    def _split(reader: Reader, stretch: Stretch, at: int, form: tuple[bool, bool]) -> list[Stretch] | None:
        """Return what stands where a stretch was expected: parts that are there, and elements that changed."""
        found, first, charset = list[Stretch](), 0, stretch.before
        for number, unit in enumerate(stretch.units):
            old = stretch.data[unit.start - stretch.start : unit.end - stretch.start]
            if reader.buffer.startswith(old, at):  # type: ignore[union-attr]
                by = at - unit.start
                reader.values += [value.moved(by) for value in stretch.values[unit.low : unit.high]]
                at, charset = at + len(old), unit.charset
                continue
            known = len(reader.values)
            new = _unit(reader, at, form, charset, known)
            values = reader.values[known:]
            if values[0].path != stretch.values[unit.low].path or new.charset != unit.charset:
                return None
            if number > first:
                found.append(stretch.part(first, number))
            found.append(Stretch(bytes(reader.buffer[at : new.end]), [new], values, charset, changes=True))
            at, charset, first = new.end, new.charset, number + 1
        if first < len(stretch.units):
            found.append(stretch.part(first, len(stretch.units)))
        return found


def _in_header(reader: Reader, at: int, little: bool) -> bool:
    group = int.from_bytes(reader.buffer[at : at + 2], "little" if little else "big")
    return at + 8 <= len(reader.buffer) and group < BEHIND_HEADERS


def _unit(reader: Reader, at: int, form: tuple[bool, bool], charset: bytes, first: int) -> Unit:
    low = len(reader.values)
    tag, end = reader.element(at, len(reader.buffer), *form, (), (), charset)
    if tag == CHARSET:
        charset = bytes(reader.buffer[reader.values[-1].start : reader.values[-1].end])
    return Unit(at, end, low - first, len(reader.values) - first, charset)
