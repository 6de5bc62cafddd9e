"""Chain and seals: every way to tamper with an audit shows."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from phi_deid_pipeline.errors import AuditContractError
from phi_deid_pipeline.seal import (
    FIRST,
    Chain,
    canonical,
    make_seal,
    row_hash,
    seal_files,
    seal_path,
    verify_chain,
    verify_files,
    verify_seal,
)

SALT = b"s" * 32
OTHER_SALT = b"o" * 32


@pytest.fixture
def audit(tmp_path):
    path, chain = tmp_path / "deid_audit.jsonl", Chain()
    rows = [chain.add({"input_path": f"p{i}", "n": i, "timestamp": "2024-01-01T00:00:00Z"}) for i in range(5)]
    write(path, rows)
    write_seal(path, make_seal(SALT, head=chain.head, rows=chain.rows, policy_digest="d", schema="deid_audit/1"))
    return path


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_seal(path, content):
    seal_path(path).write_text(json.dumps(content))


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def rechained(rows):
    chain = Chain()
    return chain, [chain.add(row) for row in rows]


def test_row_hash_is_sha256_of_previous_hash_and_canonical_content():
    row = {"b": 1, "a": "é", "timestamp": "t", "row_hash": "x", "prev_hash": "y"}

    assert canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    assert row_hash(FIRST, row) == hashlib.sha256(FIRST.encode() + '{"a":"é","b":1}'.encode()).hexdigest()


def test_path_that_is_not_utf8_has_the_hash_of_what_is_read_back():
    row = {"input_path": os.fsdecode(b"M\xfcller")}

    assert row_hash(FIRST, json.loads(canonical(row))) == row_hash(FIRST, row)


def test_untouched_audit_passes_with_and_without_the_salt(audit):
    assert verify_chain(audit).rows == 5
    assert verify_seal(audit, SALT) == []
    assert verify_seal(audit, None) == []


def test_timestamp_is_no_part_of_what_is_proved(audit):
    write(audit, [{**row, "timestamp": "other"} for row in rows_of(audit)])

    assert verify_seal(audit, SALT) == []


def test_empty_audit_is_sealed_too(tmp_path):
    path = tmp_path / "deid_audit.jsonl"
    path.write_bytes(b"")
    write_seal(path, make_seal(SALT, head=FIRST, rows=0, policy_digest="d", schema="s"))

    assert verify_seal(path, SALT) == []


def test_changed_row_is_named_by_its_line(audit):
    rows = rows_of(audit)
    rows[2]["n"] = 99
    write(audit, rows)

    assert verify_seal(audit, None) == ["deid_audit.jsonl line 3: its content does not match its row_hash"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda rows: rows[:2] + rows[3:], 3),
        (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], 2),
        (lambda rows: [*rows[:2], rows[1], *rows[2:]], 3),
        (lambda rows: rows[1:], 1),
    ],
    ids=["removed", "moved", "doubled", "first removed"],
)
def test_removed_moved_or_doubled_row_breaks_the_chain_at_its_line(audit, change, line):
    write(audit, change(rows_of(audit)))

    assert verify_chain(audit).errors[0].startswith(f"deid_audit.jsonl line {line}: does not follow the row before it")


def test_last_row_removed_shows_against_the_seal_only(audit):
    write(audit, rows_of(audit)[:-1])

    assert verify_chain(audit).errors == []
    assert verify_seal(audit, None) == [
        "deid_audit.jsonl: the seal is for another number of rows",
        "deid_audit.jsonl: the last row is not the one that was sealed",
    ]


def test_rebuilt_chain_and_seal_file_show_with_the_salt(audit):
    chain, rows = rechained([{**row, "n": 0} for row in rows_of(audit)])
    write(audit, rows)
    write_seal(audit, {**json.loads(seal_path(audit).read_text()), "head": chain.head})

    assert verify_seal(audit, None) == []
    assert verify_seal(audit, SALT) == ["deid_audit.seal.json: the seal does not match its content"]


@pytest.mark.parametrize("name", ["rows", "head", "policy_digest", "schema", "seal"])
def test_every_field_of_the_seal_is_covered(audit, name):
    content = json.loads(seal_path(audit).read_text())
    write_seal(audit, {**content, name: 6 if name == "rows" else "x"})

    assert "deid_audit.seal.json: the seal does not match its content" in verify_seal(audit, SALT)


def test_another_salt_is_told_as_such(audit):
    assert verify_seal(audit, OTHER_SALT) == [
        "deid_audit.seal.json: sealed under another salt (salt_id differs); hand in the salt of this output"
    ]


def test_seal_made_with_another_salt_under_this_salt_id_is_refused(audit):
    content = json.loads(seal_path(audit).read_text())
    forged = make_seal(OTHER_SALT, head=content["head"], rows=5, policy_digest="d", schema="deid_audit/1")
    write_seal(audit, {**forged, "salt_id": content["salt_id"]})

    assert verify_seal(audit, SALT) == ["deid_audit.seal.json: the seal does not match its content"]


@pytest.mark.parametrize("line", [b"SECRET\n", b"[1]\n", b'{"n":1}\n', b'{"row_hash":1,"prev_hash":"\xc3\xa9"}\n'])
def test_line_that_is_no_row_is_named_without_its_content(audit, line):
    audit.write_bytes(line + audit.read_bytes())

    errors = verify_chain(audit).errors
    assert errors[0].startswith("deid_audit.jsonl line 1: ")
    assert "SECRET" not in "".join(errors)


def test_missing_or_broken_seal_file_is_told(audit):
    seal_path(audit).write_text("x")
    assert verify_seal(audit, SALT) == ["deid_audit.seal.json: not valid JSON"]
    seal_path(audit).unlink()
    assert verify_seal(audit, SALT) == ["deid_audit.seal.json: missing"]


def sealed_folder(tmp_path):
    (tmp_path / "uid").mkdir()
    (tmp_path / "uid" / "map").write_bytes(b"1")
    (tmp_path / "summary.json").write_bytes(b"2")
    content = seal_files(tmp_path, ["uid/map", "summary.json"], SALT, "d")
    (tmp_path / "seal.json").write_text(json.dumps(content))
    return tmp_path


def test_sealed_files_pass_and_a_changed_or_missing_one_is_named(tmp_path):
    folder = sealed_folder(tmp_path)
    assert verify_files(folder, SALT) == []

    (folder / "uid" / "map").write_bytes(b"3")
    (folder / "summary.json").unlink()
    assert verify_files(folder, None) == ["summary.json: missing", "uid/map: not the bytes that were sealed"]


def test_file_changed_with_its_sum_shows_with_the_salt(tmp_path):
    folder = sealed_folder(tmp_path)
    (folder / "uid" / "map").write_bytes(b"3")
    content = json.loads((folder / "seal.json").read_text())
    content["files"]["uid/map"]["sha256"] = hashlib.sha256(b"3").hexdigest()
    (folder / "seal.json").write_text(json.dumps(content))

    assert verify_files(folder, None) == []
    assert verify_files(folder, SALT) == ["seal.json: the seal does not match its content"]


def test_what_is_not_there_is_not_sealed(tmp_path):
    with pytest.raises(AuditContractError, match="uid/map: missing"):
        seal_files(tmp_path, ["uid/map"], SALT, "d")
