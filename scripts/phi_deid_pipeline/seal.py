"""Row chain and seals of the audits: a changed, dropped, added or moved row shows, and only the salt can seal anew.

A row's hash is the SHA-256 of the previous row's hash and the row's canonical JSON without what is volatile. The seal
is an HMAC-SHA256 under a key derived from the salt, over the head of the chain, the number of rows, policy and schema.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phi_deid_pipeline.errors import AuditContractError
from phi_deid_pipeline.uid_mapping import derive_key, salt_id

VOLATILE = frozenset({"timestamp", "row_hash", "prev_hash"})
FIRST = "0" * 64
_READ_BYTES = 1 << 20


def canonical(value: Any) -> bytes:
    """Return sorted, compact JSON as UTF-8 (lone surrogates as JSON escapes): the form that hashes cover."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def row_hash(previous: str, row: Mapping[str, Any]) -> str:
    """Return the hash of a row that follows the row with the hash `previous`."""
    content = {name: value for name, value in row.items() if name not in VOLATILE}
    return hashlib.sha256(previous.encode("ascii") + canonical(content)).hexdigest()


@dataclass
class Chain:
    """A chain of rows as it grows; `head` is the hash of the last row."""

    head: str = FIRST
    rows: int = 0

    def add(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row with `prev_hash` and `row_hash`, and move on."""
        linked = {**row, "prev_hash": self.head, "row_hash": row_hash(self.head, row)}
        self.head, self.rows = linked["row_hash"], self.rows + 1
        return linked


@dataclass
class ChainCheck(Chain):
    """What a look at a chain found; `errors` name lines, never values."""

    errors: list[str] = field(default_factory=list)


def verify_chain(path: Path, limit: int = 20) -> ChainCheck:
    """Recompute the chain of a JSON Lines audit, streaming; at most `limit` errors are told."""
    check = ChainCheck()
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            for error in _check_row(check, line):
                if len(check.errors) < limit:
                    check.errors.append(f"{path.name} line {number}: {error}")
            check.rows = number
    return check


def _check_row(check: ChainCheck, line: bytes) -> Iterable[str]:
    try:
        row = json.loads(line)
        stored, previous = row["row_hash"], row["prev_hash"]
        expected = row_hash(check.head, row)
    except (ValueError, KeyError, TypeError, RecursionError):
        yield "no row with prev_hash and row_hash"
        return
    if previous != check.head:
        yield "does not follow the row before it (a row was removed, added, moved or changed)"
        expected = row_hash(previous, row) if isinstance(previous, str) and previous.isascii() else ""
    if stored != expected:
        yield "its content does not match its row_hash"
    # Going on from what is stored tells where the chain broke instead of calling every later row broken.
    check.head = stored if isinstance(stored, str) and stored.isascii() else expected


def make_seal(salt: bytes, *, head: str, rows: int, policy_digest: str, schema: str) -> dict[str, Any]:
    """Return what `deid_audit.seal.json` holds: head, rows, policy, schema, salt_id and the HMAC over them."""
    return signed(salt, {"schema": schema, "rows": rows, "head": head, "policy_digest": policy_digest})


def signed(salt: bytes, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with the salt's id and a seal over both."""
    content = {**content, "salt_id": salt_id(salt)}
    return {**content, "seal": _hmac(salt, content)}


def _hmac(salt: bytes, content: Mapping[str, Any]) -> str:
    return hmac.new(derive_key(salt, "audit_seal"), canonical(content), hashlib.sha256).hexdigest()


def seal_errors(salt: bytes, sealed: Mapping[str, Any], name: str) -> list[str]:
    """Tell what is wrong with something that `signed` made."""
    if sealed.get("salt_id") != salt_id(salt):
        return [f"{name}: sealed under another salt (salt_id differs); hand in the salt of this output"]
    content = {key: value for key, value in sealed.items() if key != "seal"}
    if not hmac.compare_digest(_hmac(salt, content), str(sealed.get("seal"))):
        return [f"{name}: the seal does not match its content"]
    return []


def seal_path(audit: Path) -> Path:
    """Return where the seal of a chained audit lies: `deid_audit.jsonl` -> `deid_audit.seal.json`."""
    return audit.with_name(f"{audit.stem}.seal.json")


def verify_seal(audit: Path, salt: bytes | None) -> list[str]:
    """Check a chained audit against its seal file; without the salt the HMAC alone stays unproven."""
    check = verify_chain(audit)
    sealed, errors = _read_object(seal_path(audit))
    errors = check.errors + errors
    if sealed:
        if sealed.get("rows") != check.rows:
            errors.append(f"{audit.name}: the seal is for another number of rows")
        if sealed.get("head") != check.head:
            errors.append(f"{audit.name}: the last row is not the one that was sealed")
        if salt is not None:
            errors += seal_errors(salt, sealed, seal_path(audit).name)
    return errors


def _read_object(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}, [f"{path.name}: missing"]
    except ValueError:
        return {}, [f"{path.name}: not valid JSON"]
    return (content, []) if isinstance(content, dict) and content else ({}, [f"{path.name}: not a JSON object"])


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def seal_files(folder: Path, names: Iterable[str], salt: bytes, policy_digest: str) -> dict[str, Any]:
    """Return what `audits/seal.json` holds: SHA-256 and size of files below `folder`, sealed.

    A chained audit is named by its seal file, not by itself: its volatile column is no part of what is proved.
    """
    files = {}
    for name in sorted(names):
        path = folder / name
        if not path.is_file():
            raise AuditContractError(f"{name}: missing; assemble the audits again before sealing them.")
        files[name] = {"sha256": file_sha256(path), "size": path.stat().st_size}
    return signed(salt, {"schema": "audit_files/1", "policy_digest": policy_digest, "files": files})


def verify_files(folder: Path, salt: bytes | None) -> list[str]:
    """Check the files that `folder/seal.json` names against their SHA-256, and with the salt the seal."""
    sealed, errors = _read_object(folder / "seal.json")
    files = sealed.get("files", {})
    for name in sorted(files):
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
            errors.append(f"{name}: missing")
        elif file_sha256(path) != files[name]["sha256"]:
            errors.append(f"{name}: not the bytes that were sealed")
    if sealed and salt is not None:
        errors += seal_errors(salt, sealed, "seal.json")
    return errors
