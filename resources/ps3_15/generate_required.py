"""Write `iod_required.json`: the attributes that an IOD demands (Type 1, 1C and 2), from highdicom's tables of PS3.3.

Usage: python resources/ps3_15/generate_required.py FOLDER [OUTPUT_FOLDER]

FOLDER is `highdicom/_standard` of an installed highdicom 0.28.2. At the top level the Types are those of each module;
inside items they are by sequence and attribute, the weakest of all IODs and macros that put the attribute there: what is
demanded here is demanded everywhere.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword

SOURCE = "highdicom 0.28.2 (MIT), module and IOD tables of PS3.3"
STRENGTH = {"1": 0, "1C": 1, "2": 2, "2C": 3, "3": 4}
WANTED = ("1", "1C", "2")


def tag_of(keyword: str) -> str:
    """Return eight hexadecimal digits, "" for a keyword that the dictionary does not have."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"{tag:08X}"


def grouped(types: dict[str, str]) -> dict[str, str]:
    """Return tags by Type, those of the wanted ones."""
    found: dict[str, list[str]] = {}
    for tag, kind in sorted(types.items()):
        if kind in WANTED:
            found.setdefault(kind, []).append(tag)
    return {kind: " ".join(found[kind]) for kind in WANTED if kind in found}


def weakest(kinds: set[str]) -> str:
    """Return the least demanding Type."""
    return max(kinds, key=STRENGTH.__getitem__)


def tables(modules: dict[str, list[dict[str, Any]]]) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Return Types by tag of each module's top level, and of each sequence's items."""
    top: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    inside: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, rows in modules.items():
        for row in rows:
            tag, kind = tag_of(row["keyword"]), row["type"] if row["type"] in STRENGTH else "3"
            if tag and not row["path"]:
                top[module][tag].add(kind)
            elif tag and (parent := tag_of(row["path"][-1])):
                inside[parent][tag].add(kind)
    return tuple(
        {name: {tag: weakest(kinds) for tag, kinds in types.items()} for name, types in found.items()}
        for found in (top, inside)
    )


def main() -> int:
    """Write the file."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    folder, target = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent
    modules, iods, classes = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("module_attribute_map.json", "iod_module_map.json", "sop_class_iod_map.json")
    )
    top, inside = tables(modules)
    used = sorted({use["key"] for uses in iods.values() for use in uses})
    content = {
        "source": SOURCE,
        "sop_classes": dict(sorted(classes.items())),
        "iods": {iod: " ".join(f"{use['key']}:{use['usage']}" for use in uses) for iod, uses in sorted(iods.items())},
        "modules": {name: types for name in used if (types := grouped(top.get(name, {})))},
        "sequences": {tag: types for tag, kinds in sorted(inside.items()) if (types := grouped(kinds))},
    }
    text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
    (target / "iod_required.json").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
