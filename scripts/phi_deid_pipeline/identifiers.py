"""The known identifiers of one patient as they are handed on: found in headers, read by engine and verification alike."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Self

from phi_deid_pipeline.records import Category
from phi_deid_pipeline.value_objects import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One identifier as it stood in a header; dates are normalised to YYYYMMDD."""

    category: Category
    value: str


class Identifiers:
    """Entries of one patient. Immutable; equal entries make equal identifiers."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries: frozenset[Entry] = frozenset(entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identifiers) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(self.entries)

    def __repr__(self) -> str:  # never the values
        return f"{type(self).__name__}({len(self.entries)} entries)"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; other keys beside `entries` are allowed."""
        return cls(Entry(Category(category), value) for category, value in json.loads(text)["entries"])

    def to_json(self) -> str:
        """Return canonical JSON: sorted, ASCII."""
        return json.dumps(
            {"entries": [[e.category.value, e.value] for e in sorted(self.entries)]}, separators=(",", ":")
        )

    @cached_property
    def birth_dates(self) -> frozenset[str]:
        """Return the birth dates (YYYYMMDD) that any instance of the patient tells."""
        return frozenset(e.value for e in self.entries if e.category is Category.BIRTH_DATE)
