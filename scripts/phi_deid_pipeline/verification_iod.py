"""Find what an IOD demands (PS3.3, Types of PS3.5 7.4) that the source had and the written instance lacks.

An error that the source had too is none of the de-identification. Compared are the layouts alone, no values:

- Type 1: had a value, so it has one. Type 1C: had a value, so it is not there empty; it may be gone with its condition.
- Type 2: was there, so it is there.
- A Type holds at the top level if its module is mandatory in the IOD, or another attribute that no mandatory module has
  shows that the module is there; inside items it is that of `iod_required.json`, the weakest of all IODs.
- A sequence without items, or with empty ones alone, counts as empty. What stood in an item that is gone is not missed;
  where items of a sequence went, those left are not matched by number: what all of them had before, all have after.
- What `goes_with.json` lists is there beside what it goes with alone, where that was so in the source.
- A code that was complete (value, scheme, meaning) is so in every item that is left.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from phi_deid_pipeline.dicom_utils import format_path
from phi_deid_pipeline.records import Residual
from phi_deid_pipeline.verification_bytes import Layout

TABLE = Path(__file__).resolve().parents[2] / "resources" / "ps3_15" / "iod_required.json"
GOES_WITH = TABLE.with_name("goes_with.json")

_CODE = frozenset({0x00080100, 0x00080102, 0x00080104, 0x00080119, 0x00080120})
_MEASURED_VALUE = (0x0040A730, 0x0040A300)
_MOST_REMEMBERED = 1000  # pairs of layouts

Place = tuple[tuple[int, ...], tuple[int, ...]]
Types = dict[int, str]


class Required:
    """Types 1, 1C and 2 by tag, of the IODs and sequences that are asked for; `sop_classes` leads to IODs."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.sop_classes: dict[str, str] = content["sop_classes"]
        self._iods: dict[str, str] = content["iods"]
        self._modules: dict[str, dict[str, str]] = content["modules"]
        self._sequences: dict[str, dict[str, str]] = content["sequences"]
        self._inside: dict[int, Types] = {}

    def mandatory(self, iod: str) -> Types:
        """Return the Types of an IOD's mandatory modules, of an attribute in several the strictest."""
        found: Types = {}
        for name, usage in self._uses(iod):
            if usage == "M":
                types = _types(self._modules.get(name, {}))
                found.update({tag: min(kind, found.get(tag, kind)) for tag, kind in types.items()})
        return found

    def others(self, iod: str) -> list[Types]:
        """Return the Types of each other module of an IOD."""
        return [
            _types(self._modules[name]) for name, usage in self._uses(iod) if usage != "M" and name in self._modules
        ]

    def inside(self, sequence: int) -> Types:
        """Return the Types of what stands in the items of a sequence."""
        if sequence not in self._inside:
            self._inside[sequence] = _types(self._sequences.get(f"{sequence:08X}", {}))
        return self._inside[sequence]

    def _uses(self, iod: str) -> list[tuple[str, str]]:
        pairs = (use.rpartition(":") for use in self._iods.get(iod, "").split())
        return [(name, usage) for name, _, usage in pairs]


@functools.cache
def load_required(path: Path = TABLE) -> Required:
    """Read `iod_required.json`."""
    return Required(json.loads(path.read_text(encoding="utf-8")))


@functools.cache
def load_goes_with(path: Path = GOES_WITH) -> dict[int, tuple[int, ...]]:
    """Read `goes_with.json`: attribute -> those beside it of which one must have a value."""
    rows = json.loads(path.read_text(encoding="utf-8"))["goes_with"]
    return {_number(row["tag"]): tuple(map(_number, row["with"])) for row in rows}


def _number(tag: str) -> int:
    return int(tag[1:5] + tag[6:10], 16)


def _types(kinds: dict[str, str]) -> Types:
    return {int(tag, 16): kind for kind, tags in kinds.items() for tag in tags.split()}


class Conformance:
    """Compares written instances with their sources; remembers pairs of layouts that differ in values alone."""

    def __init__(self) -> None:
        self._required = load_required()
        self._goes_with = load_goes_with()
        self._judged: dict[tuple, tuple[Residual, ...]] = {}

    def problems(self, written: Layout, source: Layout) -> tuple[Residual, ...]:
        """Return what the written instance lacks, one row per path."""
        sop_class = written.text(0x00080016)
        key = (sop_class, written.shape(), source.shape())
        found = self._judged.get(key)
        if found is None:
            found = tuple(sorted(set(self._compared(written, source, sop_class)), key=lambda r: (r.where, r.detail)))
            if len(self._judged) < _MOST_REMEMBERED:
                self._judged[key] = found
        return found

    def _compared(self, written: Layout, source: Layout, sop_class: str) -> Iterator[Residual]:
        before, after = _Elements(source), _Elements(written)
        yield from self._left_alone(before, after)
        top = self._top_level(sop_class, {path[0] for path, _ in after.filled if len(path) == 1})
        renumbered = {place[0] for place in before.counts.keys() & after.counts.keys()}
        renumbered = {path for path in renumbered if before.counts_at(path) != after.counts_at(path)}
        loose: set[tuple[int, ...]] = set()
        for (path, numbers), was_filled in before.filled.items():
            if any(path[:length] in renumbered for length in range(1, len(path))):
                loose.add(path)
            elif len(path) == 1 or (path[:-1], numbers) in after.items:
                kind = top.get(path[0], "") if len(path) == 1 else self._type_inside(path)
                problem = _problem(kind, was_filled, after.filled.get((path, numbers)))
                if problem:
                    yield Residual("iod", format_path(path), "", problem)
        for path in loose:
            problem = _problem(self._type_inside(path), before.everywhere(path), after.everywhere(path) or None)
            if problem and before.everywhere(path):
                yield Residual("iod", format_path(path), "", problem)

    def _left_alone(self, before: _Elements, after: _Elements) -> Iterator[Residual]:
        """Yield what may not be there without another attribute that went, though the source had both."""
        for path in {path for path, _ in after.filled if path[-1] in self._goes_with}:
            others = self._goes_with[path[-1]]
            if after.alone(path, others) and not before.alone(path, others):
                yield Residual("iod", format_path(path), "", "there without what it goes with")

    def _type_inside(self, path: tuple[int, ...]) -> str:
        if path[-2:] == _MEASURED_VALUE:
            return "1C"  # Type 2 of numeric content items alone; another value type has no such attribute
        return "1" if path[-1] in _CODE else self._required.inside(path[-2]).get(path[-1], "")

    def _top_level(self, sop_class: str, present: set[int]) -> Types:
        """Return the Types that hold for an instance with these attributes."""
        iod = self._required.sop_classes.get(sop_class, "")
        mandatory = self._required.mandatory(iod)
        holding = dict(mandatory)
        for module in self._required.others(iod):
            if any(tag in present and tag not in mandatory for tag in module):
                holding.update({tag: min(kind, holding.get(tag, kind)) for tag, kind in module.items()})
        return holding


def _problem(kind: str, was_filled: bool, is_filled: bool | None) -> str:
    """Return what is wrong with an attribute of a Type; `is_filled` is None where it is gone."""
    if kind in ("1", "1C") and was_filled and is_filled is False:
        return f"empty, Type {kind}"
    if is_filled is None and (kind == "2" or (kind == "1" and was_filled)):
        return f"missing, Type {kind}"
    return ""


class _Elements:
    """Which elements of the data set are there and have a value; of a sequence: an item that has an element."""

    def __init__(self, layout: Layout) -> None:
        values = [v for v in layout.values if v.path[0] >> 16 != 2]
        self.items = {(v.path[:-1], v.items) for v in values if v.items}
        self.counts: dict[Place, int] = {}  # items by sequence; empty ones at its end do not count
        for path, numbers in self.items:
            place = (path, numbers[:-1])
            self.counts[place] = max(self.counts.get(place, 0), numbers[-1] + 1)
        self.filled = {
            (v.path, v.items): (v.path, v.items) in self.counts if v.vr == "SQ" else v.start < v.end
            for v in values
            if not v.path[-1] >> 16 & 1
        }

    def counts_at(self, path: tuple[int, ...]) -> dict[tuple[int, ...], int]:
        """Return the number of items of the sequences at a path, by the items in which these stand."""
        return {numbers: count for (at, numbers), count in self.counts.items() if at == path}

    def alone(self, path: tuple[int, ...], others: tuple[int, ...]) -> bool:
        """Tell whether an attribute stands anywhere at its path where none of the others has a value."""
        beside = [(*path[:-1], other) for other in others]
        found = [numbers for at, numbers in self.filled if at == path]
        return any(not any(self.filled.get((at, numbers)) for at in beside) for numbers in found)

    def everywhere(self, path: tuple[int, ...]) -> bool:
        """Tell whether every item that could hold an element holds it with a value."""
        return all(self.filled.get((path, numbers), False) for at, numbers in self.items if at == path[:-1])
