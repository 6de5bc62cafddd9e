"""Table E.1-1 and the list of safe private attributes as the evaluation reads them: the plain rows, none of the engine's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RULES_FILE = Path(__file__).resolve().parents[2] / "resources" / "ps3_15" / "ps3_15_rules.json"
_TAG = re.compile(r"\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)")
_SAFE = re.compile(r"\(([0-9A-Fa-f]{4}),xx([0-9A-Fa-f]{2})\)")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its code without options, and the options that keep or clean the attribute."""

    keyword: str
    basic: str
    options: frozenset[str]


@dataclass(frozen=True, slots=True)
class Table:
    """What the standard says (PS3.15 Tables E.1-1 and E.3.10-1, CID 7050)."""

    rows: dict[int, Row]
    overlay_data: Row
    overlay_comments: Row
    curves: Row
    structural_uids: frozenset[int]
    safe_private: frozenset[tuple[int, int, str]]  # group, offset in the block, creator
    options: dict[str, str]  # code value -> option

    def row(self, tag: int) -> Row | None:
        """Return the row of a standard attribute, None where the table has none."""
        group, element = tag >> 16, tag & 0xFFFF
        if group >> 8 == 0x50:
            return self.curves
        if group >> 8 == 0x60 and element in (0x3000, 0x4000):
            return self.overlay_data if element == 0x3000 else self.overlay_comments
        return self.rows.get(tag)

    def claimed(self, codes: Iterable[str]) -> frozenset[str]:
        """Return the options that codes of (0012,0064) stand for."""
        return frozenset(self.options[code] for code in codes if code in self.options)


@cache
def load_table() -> Table:
    """Return the tables of resources/ps3_15."""
    content = json.loads(RULES_FILE.read_text(encoding="utf-8"))
    rows = {row["tag"]: Row(row["keyword"], row["basic"], frozenset(row["options"])) for row in content["table_e1_1"]}
    return Table(
        rows={_number(tag): row for tag, row in rows.items() if _TAG.fullmatch(tag)},
        overlay_data=rows["(60xx,3000)"],
        overlay_comments=rows["(60xx,4000)"],
        curves=rows["(50xx,xxxx)"],
        structural_uids=frozenset(
            _number(row["tag"]) for row in content["ui_attributes"] if row["role"].startswith("structural")
        ),
        safe_private=frozenset(
            (int(match[1], 16), int(match[2], 16), row["private_creator"])
            for row in content["safe_private_e3_10_1"]
            if (match := _SAFE.fullmatch(row["tag"]))
        ),
        options={row["value"]: row["option"] for row in content["option_codes"]},
    )


def _number(tag: str) -> int:
    match = _TAG.fullmatch(tag)
    assert match is not None
    return int(match[1] + match[2], 16)
