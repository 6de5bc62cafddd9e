"""Render README.md of this folder: every column of the audits, of the release manifest, and every reason code.

python resources/audit_schemas/render_readme.py     writes this folder's page and the table of reasons in ../../README.md
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from phi_deid_pipeline.records import RejectReason

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PAGE = FOLDER / "README.md"
FRONT_PAGE = ROOT / "README.md"
START, END = "<!-- reject reasons: start -->", "<!-- reject reasons: end -->"
SCHEMAS = ("deid_audit", "uid_map", "links", "metadata_audit", "ct_prepro_audit", "release_manifest")
_HEAD = """\
# Columns of the audits

Written by `python resources/audit_schemas/render_readme.py` from the JSON schemas of this folder; do not edit by hand.
`main.py verify` checks every audit against its schema. "or none" means null where the source says nothing usable.
"""


def columns(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the columns of one row: of the CT audit, those of a series."""
    return schema.get("$defs", {}).get("series", {}).get("properties") or schema["properties"]


def load(name: str) -> dict[str, Any]:
    """Read a schema of this folder."""
    return json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))


def _resolved(entry: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in entry:
        return entry
    target = schema["$defs"][entry["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in entry.items() if key != "$ref"}}


def _type(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in entry:
        return ", ".join(f"`{value}`" if value else "empty" for value in entry["enum"])
    if "const" in entry:
        return f"`{entry['const']}`"
    choices = entry.get("anyOf") or entry.get("oneOf")
    if choices:
        kinds = [_resolved(choice, schema)["type"] for choice in choices]
    else:
        kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    words = [kind for kind in kinds if kind != "null"]
    if words == ["array"] and "items" in entry:
        words = [f"list of {_type(_resolved(entry['items'], schema), schema)}"]
    return " or ".join([*words, *(["none"] if "null" in kinds else [])])


def _rows(schema: dict[str, Any]) -> Iterator[str]:
    for name, entry in columns(schema).items():
        full = _resolved(entry, schema)
        text = re.sub(r"\s+", " ", full.get("description", "")).replace("|", r"\|")
        yield f"| `{name}` | {_type(full, schema)} | {full.get('unit', '')} | {text} |"


def render() -> str:
    """Return the page of this folder."""
    parts = [_HEAD]
    for name in SCHEMAS:
        schema = load(name)
        parts.append(f"\n## {schema['title']} (`{name}.schema.json`)\n\n{schema['description']}\n")
        parts.append("\n| column | type | unit | meaning |\n|---|---|---|---|\n" + "\n".join(_rows(schema)) + "\n")
    return "".join(parts)


def reasons_table() -> str:
    """Return the table of reasons for rejection as it stands on the front page."""
    rows = [f"| `{reason.value}` | {reason.what_to_do} |" for reason in RejectReason]
    return "\n".join([START, "", "| reason | what to do |", "|---|---|", *rows, "", END])


def with_reasons(text: str) -> str:
    """Return the text of the front page with its table of reasons made anew."""
    before, _, rest = text.partition(START)
    return before + reasons_table() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    FRONT_PAGE.write_text(with_reasons(FRONT_PAGE.read_text(encoding="utf-8")), encoding="utf-8")
