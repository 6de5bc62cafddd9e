"""The header of the instance before: what stands there again, byte for byte, is not parsed again.

How an element of the top level is read depends on its bytes alone, once the encoding of the data set is settled: its
length and all that it holds lie within them. So the elements in front of the pixels are kept as runs, stretches of bytes
that did not change from one instance to the next, and what is found again at its place is the same elements. Where a run
does not stand as expected, the elements that changed are parsed and become runs of their own; where a tag is not the
expected one, the whole header is parsed anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from phi_deid_pipeline.errors import UnreadableInstance

if TYPE_CHECKING:
    from phi_deid_pipeline.raw_elements import Element, Parser

BEHIND_HEADERS = 0x7FE00000  # pixels and what follows them are parsed in every instance
MOST_BYTES = 1 << 20  # of a header that is remembered
Unit = tuple[int, int, int]  # of the elements of a run: first, behind the last; what the parser counted
Places = dict[int, tuple[int, int]]  # tag -> number of the run, of the element in it


class Run:
    """Neighbouring elements, parsed where the first one began at `start`; `changes` where a unit was seen to differ.

    `again` once it was handled, which the next one that looks alike may tell by.

    A unit is an element, or the private elements of a group, which are handled together: creators name blocks.
    """

    __slots__ = ("again", "changes", "count", "data", "elements", "start", "units")

    def __init__(self, data: bytes, elements: list[Element], start: int, units: list[Unit], *, changes: bool) -> None:
        self.data = data
        self.elements = elements
        self.start = start
        self.units = units
        self.changes = changes
        self.again = False
        self.count = units[0][2] if len(units) == 1 else sum(count for _, _, count in units)

    def at(self, start: int) -> list[Element]:
        """Return the elements as they lie where the run begins at `start`."""
        by = start - self.start
        return [element.moved(by) for element in self.elements] if by else self.elements

    def part(self, first: int, last: int) -> Run:
        """Return some of its units, the last one not among them, as a run of their own."""
        low, high = self.units[first][0], self.units[last - 1][1]
        elements = self.elements[low:high]
        units = [(a - low, b - low, count) for a, b, count in self.units[first:last]]
        start = elements[0].start
        data = self.data[start - self.start : elements[-1].end - self.start]
        return Run(data, elements, start, units, changes=False)


class Header:
    """The elements in front of the pixels of one instance: runs and where each begins."""

    __slots__ = ("_places", "runs", "starts")

    def __init__(self, runs: list[Run], starts: list[int], places: Places) -> None:
        self.runs = runs
        self.starts = starts
        self._places = places

    def elements(self) -> list[Element]:
        """Return all elements in the order of the bytes."""
        return [element for run, start in zip(self.runs, self.starts, strict=True) for element in run.at(start)]

    def find(self, tag: int) -> Element | None:
        """Return the element of that tag (the last one, where it stands twice)."""
        place = self._places.get(tag)
        if place is None:
            return None
        run, start = self.runs[place[0]], self.starts[place[0]]
        element = run.elements[place[1]]
        return element if start == run.start else element.moved(start - run.start)


class HeaderMemo:
    """Reads headers; remembers the runs of the last one. Keep one for the instances of a batch."""

    def __init__(self) -> None:
        self._form: tuple[bool, bool] | None = None
        self._runs: list[Run] = []
        self._places: Places = {}

    def read(
        self, parser: Parser, data: bytes, start: int, *, explicit: bool, little: bool
    ) -> tuple[Header, int] | None:
        """Return a header and its end; None where it has to be read element by element."""
        reader = _Units(parser, data, explicit, little)
        try:
            found = self._again(reader, start) if (explicit, little) == self._form else None
            if found is None:
                parser.count = 0
                found = self._anew(reader, start)
        except UnreadableInstance:
            found = None  # whoever reads it element by element says what is wrong
        if found is None:
            parser.count, self._form = 0, None
            return None
        self._form = explicit, little
        return found

    def _anew(self, reader: _Units, start: int) -> tuple[Header, int] | None:
        elements: list[Element] = []
        units: list[Unit] = []
        at = start
        while reader.in_header(at):
            unit, count = reader.unit(at)
            out_of_order = bool(elements) and unit[0].tag < elements[-1].tag  # its elements will be sorted
            if unit[0].tag == 0 or out_of_order or at - start > MOST_BYTES:
                return None
            units.append((len(elements), len(elements) + len(unit), count))
            elements += unit
            at = unit[-1].end
        if not elements:
            return None
        run = Run(reader.data[start:at], elements, start, units, changes=False)
        return self._learnt([run], [start], same_places=False), at

    def _again(self, reader: _Units, start: int) -> tuple[Header, int] | None:
        """Return this header by the runs of the last one; None where other elements are met, or most have changed."""
        data, at, changed, total, same_places = reader.data, start, 0, 0, True
        runs: list[Run] = []
        starts: list[int] = []
        for run in self._runs:
            total += len(run.units)
            if data.startswith(run.data, at):
                reader.parser.count += run.count
                runs.append(run)
                starts.append(at)
                at += len(run.data)
                continue
            pieces = self._split(reader, run, at)
            if pieces is None:
                return None
            same_places = same_places and len(pieces) == len(pieces[0].elements) == len(run.elements) == 1
            for piece in pieces:
                changed += piece.changes
                runs.append(piece)
                starts.append(at)
                at += len(piece.data)
        if reader.in_header(at) or (2 * changed > total and len(runs) > 1):
            return None
        return self._learnt(runs, starts, same_places=same_places), at

    @staticmethod
    def _split(reader: _Units, run: Run, at: int) -> list[Run] | None:
        """Return what stands where a run was expected: its stretches that are there, and what changed."""
        data, found, first = reader.data, list[Run](), 0
        if len(run.units) == 1:
            unit, count = reader.unit(at)
            if unit[0].tag != run.elements[0].tag:
                return None
            return [Run(data[at : unit[-1].end], unit, at, [(0, len(unit), count)], changes=True)]
        for number, (low, high, count) in enumerate(run.units):
            elements = run.elements[low:high]
            old = run.data[elements[0].start - run.start : elements[-1].end - run.start]
            if data.startswith(old, at):
                reader.parser.count += count
                at += len(old)
                continue
            unit, new_count = reader.unit(at)
            if unit[0].tag != elements[0].tag:
                return None
            if number > first:
                found.append(run.part(first, number))
            end = unit[-1].end
            found.append(Run(data[at:end], unit, at, [(0, len(unit), new_count)], changes=True))
            at, first = end, number + 1
        if first < len(run.units):
            found.append(run.part(first, len(run.units)))
        return found

    def _learnt(self, runs: list[Run], starts: list[int], *, same_places: bool) -> Header:
        if not same_places:
            self._places = {e.tag: (n, m) for n, run in enumerate(runs) for m, e in enumerate(run.elements)}
        self._runs = runs
        return Header(runs, starts, self._places)


class _Units:
    """Parses units of one instance."""

    def __init__(self, parser: Parser, data: bytes, explicit: bool, little: bool) -> None:
        self.parser = parser
        self.data = data
        self._little = little
        self._order: Literal["little", "big"] = "little" if little else "big"
        self._parse = parser.explicit if explicit else parser.implicit

    def in_header(self, at: int) -> bool:
        """Tell whether an element in front of the pixels begins at an offset."""
        return at + 8 <= len(self.data) and self._group(at) < BEHIND_HEADERS >> 16

    def unit(self, at: int) -> tuple[list[Element], int]:
        """Return the element at an offset, or the private elements of its group, and what the parser counted."""
        size, before = len(self.data), self.parser.count
        unit = [self._parse(at, size, self._little, 0)]
        group = unit[0].tag >> 16
        while group & 1 and self.in_header(unit[-1].end) and self._group(unit[-1].end) == group:
            unit.append(self._parse(unit[-1].end, size, self._little, 0))
        return unit, self.parser.count - before

    def _group(self, at: int) -> int:
        return int.from_bytes(self.data[at : at + 2], self._order)
