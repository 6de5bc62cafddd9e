"""Contracts of the audits: JSON schemas, chain, seals, releases. What is told names lines and columns, never values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phi_deid_pipeline import seal
from phi_deid_pipeline.releases import verify_releases

SCHEMAS = Path(__file__).resolve().parents[1] / "resources" / "audit_schemas"
DEID_AUDIT = Path("audits/deid/deid_audit.jsonl")
UID_MAP = Path("audits/uid/uid_map.parquet")
LINKS = Path("audits/uid/links.parquet")
METADATA_AUDIT = Path("audits/metadata/metadata_audit.parquet")
CT_PREPRO_AUDIT = Path("audits/ct_prepro/ct_prepro_audit.json")
_LIMIT = 20  # faults told of one audit
_TAG_LISTS = ("tags_removed", "tags_cleaned", "tags_replaced")
_JSON_TYPES = {
    "string": pa.types.is_string,
    "integer": pa.types.is_int64,
    "number": pa.types.is_float64,
    "boolean": pa.types.is_boolean,
}


def load_schema(name: str) -> dict[str, Any]:
    """Return a schema of `resources/audit_schemas` by the name of its audit."""
    return json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())


def check_contracts(output: Path) -> list[str]:
    """Check all audits of an output folder against their schemas; return what is wrong with them."""
    errors = _checked(output / DEID_AUDIT, check_deid_audit)
    errors += _checked(output / UID_MAP, lambda path: check_parquet(path, load_schema("uid_map")))
    errors += _checked(output / LINKS, lambda path: check_parquet(path, load_schema("links")))
    errors += _checked(output / METADATA_AUDIT, lambda path: check_parquet(path, load_schema("metadata_audit")))
    errors += _checked(output / CT_PREPRO_AUDIT, check_ct_prepro)
    return errors


def _checked(path: Path, check: Any) -> list[str]:
    if not path.is_file():
        return [f"{path.name}: missing"]
    errors = []
    for error in check(path):
        if len(errors) == _LIMIT:
            return [*errors, f"{path.name}: more faults of this kind"]
        errors.append(f"{path.name}{error}")
    return errors


def check_deid_audit(path: Path) -> Iterator[str]:
    """Yield what is wrong, line by line; equal descriptions of an attribute, most of the audit, are checked once."""
    validator = jsonschema.Draft202012Validator(load_schema("deid_audit"))
    seen: set[str] = set()
    last = b""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                yield f" line {number}: not valid JSON"
                continue
            if isinstance(row, dict):
                row.update({name: _unseen(row[name], seen) for name in _TAG_LISTS if isinstance(row.get(name), list)})
            for error in _violations(validator, row):
                yield f" line {number}{error}"
            key = str(row.get("input_path", "")).encode("utf-8", "surrogateescape") if isinstance(row, dict) else last
            if number > 1 and key <= last:
                yield f" line {number}: not sorted by input_path"
            last = key


def _unseen(items: list[Any], seen: set[str]) -> list[Any]:
    fresh = []
    for item in items:
        key = repr(item)
        if key not in seen:
            seen.add(key)
            fresh.append(item)
    return fresh


def _violations(validator: jsonschema.Draft202012Validator, content: Any) -> list[str]:
    """Return where content breaks its schema and by which keyword; never the content itself."""
    return sorted({f" {_where(error)}: fails '{error.validator}'" for error in validator.iter_errors(content)})


def _where(error: jsonschema.ValidationError) -> str:
    """Return the place by the schema's own words: keys of the content could be anything."""
    names, path = [], list(error.absolute_schema_path)
    for before, name in itertools.pairwise(path):
        if before == "properties":
            names.append(str(name))
    return ".".join(names) or "row"


def check_ct_prepro(path: Path) -> Iterator[str]:
    """Yield what is wrong with the audit of CT geometry."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        yield ": not valid JSON"
        return
    yield from _violations(jsonschema.Draft202012Validator(load_schema("ct_prepro_audit")), content)


def check_parquet(path: Path, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a table whose rows the schema describes: columns, types, nulls, enumerated values."""
    try:
        table = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        yield ": not a Parquet file"
        return
    with table:
        columns, properties = table.schema_arrow, schema["properties"]
        for name in sorted(set(schema.get("required", ())) - set(columns.names)):
            yield f": column {name} is missing"
        if not schema.get("additionalProperties", True):
            for name in columns.names:
                if name not in properties:
                    yield f": column {columns.names.index(name) + 1} is not in the schema"
        known = [name for name in columns.names if name in properties]
        right = [name for name in known if _fits(columns.field(name).type, properties[name])]
        for name in known:
            if name not in right:
                yield f": column {name} is {columns.field(name).type}"
        for group in range(table.num_row_groups):
            yield from _check_values(table.read_row_group(group, columns=right), properties)


def _fits(kind: pa.DataType, described: Mapping[str, Any]) -> bool:
    names = _types(described)
    if "array" in names:
        return pa.types.is_list(kind) and _fits(kind.value_type, described.get("items", {}))
    return not names or any(_JSON_TYPES[name](kind) for name in names if name in _JSON_TYPES)


def _types(described: Mapping[str, Any]) -> list[str]:
    stated = described.get("type", [])
    return [stated] if isinstance(stated, str) else list(stated)


def _check_values(table: pa.Table, properties: Mapping[str, Any]) -> Iterator[str]:
    for name in table.column_names:
        described, column = properties[name], table.column(name)
        if column.null_count and _types(described) and "null" not in _types(described):
            yield f": column {name}: a value is missing"
        if "enum" in described and not set(pc.unique(column).to_pylist()) <= set(described["enum"]):
            yield f": column {name}: fails 'enum'"
        if "minimum" in described and (low := pc.min(column).as_py()) is not None and low < described["minimum"]:
            yield f": column {name}: fails 'minimum'"


def verify_output(output: Path, salt: bytes | None, former: Sequence[bytes] = ()) -> list[str]:
    """Prove the audits (schemas, chain, SHA-256, with the salt the seals) and all releases; return the faults.

    `former` are salts that this output had before: releases of their time are proved with them.
    """
    errors = check_contracts(output)
    if (output / DEID_AUDIT).is_file():
        errors += seal.verify_seal(output / DEID_AUDIT, salt)
    errors += seal.verify_files(output / "audits", salt)
    return errors + verify_releases(output, salt, former)
