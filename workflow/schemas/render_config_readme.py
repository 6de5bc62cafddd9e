"""Render config/README.md from config.schema.yaml: every key with its type, range, default and meaning.

python workflow/schemas/render_config_readme.py     writes the page anew
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SCHEMA = Path(__file__).with_name("config.schema.yaml")
PAGE = Path(__file__).resolve().parents[2] / "config" / "README.md"

_HEAD = """\
# Configuration

Written by `python workflow/schemas/render_config_readme.py` from `workflow/schemas/config.schema.yaml`; do not edit by hand.

`config/config.yaml` holds the defaults. A run takes them, then the keys of the file given with `--configfile`, then each
`--set KEY=VALUE` (`--set ocr.max_rounds=2`, `--set 'ocr.readers=[tesseract]'`); `--policy` wins over the key `policy`. The
result is checked before any work is done and kept in `private/config.yaml` of the output folder, where plain Snakemake
finds it. An unknown key, a wrong type or a value out of range is refused. What is not given falls back to the default: a
file handed in for one run is not remembered for the next.

Give neither a name nor a path that identifies somebody: values of keys stand in Snakemake's records.

| key | type | default | meaning |
|---|---|---|---|
"""
_RERUNS = """
## What a change of a key makes run again

| keys | what runs again |
|---|---|
| `policy` | judging of text, cleaning, verification and what follows; no picture is read again |
| `inventory.*` | the scan; then only batches whose manifest changed (`target_work`, `spread`, `max_batches`: new series only) |
| `free_text.*` | cleaning, verification and what follows |
| `ocr.*` | reading of pixels, and what follows from a reading that changed |
| `redaction.*` | cleaning, verification and what follows, of `allow_list` also judging of text; no picture is read again |
| `faces.*` | cleaning, verification and what follows |
| `verification.*` | verification and the assembly of audits |
| `geometry.*` | CT geometry, pictures, volumes and the assembly of audits; of `pictures`, `resample` and `format` what they name |
| `reports.*` | pages with pictures |
| `container` | nothing |

Policies are described in [policies/README.md](policies/README.md).
"""


def keys(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key that holds a value, as `group.key`, with its schema, in the order of the file."""
    for name, entry in schema["properties"].items():
        if entry.get("type") == "object":
            yield from keys(entry, f"{prefix}{name}.")
        else:
            yield prefix + name, entry


def type_and_range(entry: dict[str, Any]) -> str:
    """Return type and range of a key in words."""
    if "enum" in entry:
        return "one of " + ", ".join(f"`{value}`" for value in entry["enum"])
    if entry["type"] == "array":
        return _list_type(entry)
    low, high = entry.get("minimum"), entry.get("maximum")
    return entry["type"] + (f", {low} to {high}" if low is not None and high is not None else "")


def _list_type(entry: dict[str, Any]) -> str:
    low, high = entry.get("minItems", 0), entry.get("maxItems")
    count = f"{low}" if low == high else f"{low} or more"
    if "anyOf" in entry:  # none or all of them
        count = f"0 or {high}"
    return f"list, {count} of {type_and_range(entry['items']).removeprefix('one of ')}"


def _group_rows(schema: dict[str, Any]) -> Iterator[str]:
    for name, entry in schema["properties"].items():
        if entry.get("type") == "object":
            yield f"| **{name}** | | | {_one_line(entry['description'])} |"
        for key, leaf in keys({"properties": {name: entry}}):
            default = json.dumps(leaf["default"])
            yield f"| `{key}` | {type_and_range(leaf)} | `{default}` | {_one_line(leaf['description'])} |"


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", r"\|")


def render() -> str:
    """Return the page."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return _HEAD + "\n".join(_group_rows(schema)) + "\n" + _RERUNS


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
