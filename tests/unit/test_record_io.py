"""Records on disk: round trips, atomicity, the same bytes for the same records."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import record_io
from phi_deid_pipeline.errors import AuditContractError, ConfigError
from phi_deid_pipeline.records import (
    Box,
    Decision,
    DeidRecord,
    InstanceEntry,
    InstanceFindings,
    Manifest,
    RejectedFile,
    RejectReason,
    SeriesEntry,
    Status,
    TagAction,
    UidType,
    UidUse,
)
from record_io import (
    atomic_file,
    atomic_write_bytes,
    from_json,
    progress_file,
    read_decisions,
    read_jsonl,
    read_parquet,
    remove_stale_temporaries,
    to_data,
    to_json,
    write_json_if_changed,
    write_jsonl,
    write_parquet,
)

NOT_UTF8 = os.fsdecode(b"folder/M\xfcller.dcm")
SCHEMA = pa.schema([("name", pa.string()), ("size", pa.int64()), ("spacing", pa.list_(pa.float64()))])


def deid_record(**changes: object) -> DeidRecord:
    values = {
        "input_path": "a/b.dcm", "input_checksum": "0" * 64, "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "modality": "CT", "old_study_uid": "1.1", "old_series_uid": "1.2", "old_sop_uid": "1.3", "study_uid": "2.25.1",
        "series_uid": "2.25.2", "sop_uid": "2.25.3", "patient": "p000001", "status": Status.RELEASED, "reason": "",
        "detail": "", "staged_path": "2.25.1/2.25.2/2.25.3.dcm", "checksum": "1" * 64,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1", "source_transfer_syntax_uid": "1.2.840.10008.1.2",
        "pixel_data": "redacted", "pixel_sha256": "2" * 64,
        "tags_removed": (TagAction("00100010", "PatientName", "PN", "Z", "Z", "A"),),
        "boxes": ((-1, Box(1, 2, 3, 4)), (7, Box(5, 6, 7, 8))), "burned_in_text_scan": {"frames": 1, "regions": 2},
    }  # fmt: skip
    return DeidRecord(**{**values, **changes})


@pytest.mark.parametrize(
    "record",
    [
        deid_record(),
        Manifest(
            "b000001",
            (
                SeriesEntry(
                    "p000001",
                    "1.1",
                    "1.2",
                    (
                        InstanceEntry(
                            "a", 1, "0" * 64, "p000001", "1.1", "1.2", "1.3", "1.4", "1.5", "CT", 2, 3, 1, True, ("x",),
                            (UidUse("1.9", UidType.FRAME_OF_REFERENCE, "00200052", True),),
                        ),
                    ),
                ),
            ),
        ),
        RejectedFile("x", RejectReason.EMPTY, RejectReason.EMPTY.what_to_do),
        InstanceFindings("1", "p", "read", "", 1, 1, ("r",), (), (Box(0, 0, 1, 1),), ((2, Box(0, 0, 1, 1)),)),
    ],
    ids=lambda record: type(record).__name__,
)  # fmt: skip
def test_every_nested_record_comes_back_equal_and_of_its_types(record):
    back = from_json(to_json(record), type(record))

    assert back == record
    assert repr(back) == repr(record)


@pytest.mark.parametrize(
    "value",
    [
        deid_record(),
        deid_record(detail='quoted "M\u00fcller\\ \ud83d\ude00 \x00\n', hold=("a", "b"), tags_removed=(), boxes=()),
        deid_record(
            input_path=NOT_UTF8, burned_in_text_scan={"b": [1, 2.5, None, True], "a": {"z": (), "y": "\u2028"}}
        ),
        (1, -2, 2.5, True, None, "x", Status.HELD, {2: "b", 1: "a"}, frozenset({"d", "c"}), [Box(1, 2, 3, 4)]),
        {"b": 1, "a": [deid_record()]},
        "text",
    ],
    ids=range(6),
)
def test_the_line_is_the_compact_json_of_the_plain_data(value):
    plain = json.dumps(to_data(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    assert to_json(value) == plain.encode("utf-8", "backslashreplace").decode("utf-8")
    assert to_json(value) == to_json(value)


@pytest.mark.parametrize("value", [float("nan"), (float("inf"),), {"a": float("-inf")}])
def test_numbers_that_json_has_not_are_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(value)


def test_steps_without_parquet_do_not_load_it():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import record_io; sys.exit('pyarrow' in sys.modules)"
    scripts = Path(record_io.__file__).parent

    assert subprocess.run([sys.executable, "-c", code, str(scripts)], check=False).returncode == 0


@dataclass(frozen=True)
class Odd:
    count: int
    ratio: float = 0.0
    note: str | None = None
    box: Box | None = None
    by_frame: dict[int, list[Box]] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


def test_optional_dictionary_and_set_fields_come_back():
    odd = Odd(1, 2.0, None, Box(1, 2, 3, 4), {7: [Box(0, 0, 1, 1)], 10: []}, frozenset({"b", "a"}))

    assert from_json(to_json(odd), Odd) == odd
    assert to_json(odd).endswith('"names":["a","b"]}')


def test_fields_keep_their_order_and_free_dictionaries_are_sorted():
    text = to_json(deid_record(burned_in_text_scan={"z": 1, "a": {"y": 1, "b": 2}}))

    assert text.startswith('{"input_path":"a/b.dcm","input_checksum":')
    assert '"burned_in_text_scan":{"a":{"b":2,"y":1},"z":1}' in text


def test_path_that_is_not_utf8_round_trips_through_a_strict_utf8_file(tmp_path):
    path = tmp_path / "r.jsonl"
    write_jsonl(
        path, [RejectedFile(NOT_UTF8, RejectReason.EMPTY, "x"), RejectedFile("Grüße\u2028", RejectReason.EMPTY, "")]
    )

    path.read_bytes().decode("utf-8")
    first, second = read_jsonl(path, RejectedFile)
    assert (first.path, second.path) == (NOT_UTF8, "Grüße\u2028")
    assert os.fsencode(first.path) == b"folder/M\xfcller.dcm"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ('{"count":"SECRET"}', "Odd.count: expected int, found str"),
        ('{"count":true}', "Odd.count: expected int, found bool"),
        ('{"count":1,"SECRET":2}', "Odd: unknown field"),
        ("{}", "Odd: missing one of count"),
        ('{"count":1,"box":{"x":1,"y":2,"w":3,"h":"SECRET"}}', "Odd.box: Box.h: expected int, found str"),
        ("SECRET", "not valid JSON"),
    ],
)
def test_wrong_data_is_named_by_class_and_field_without_its_value(data, told):
    with pytest.raises(AuditContractError) as caught:
        from_json(data, Odd)

    assert told in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_enum_value_that_does_not_exist_is_refused_without_telling_it(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"path":"p","reason":"SECRET","what_to_do":""}\n')

    with pytest.raises(AuditContractError, match=r"line 1: RejectedFile\.reason: not a value of RejectReason"):
        list(read_jsonl(tmp_path / "r.jsonl", RejectedFile))


def test_broken_line_is_named_by_its_number(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"a":1}\n{"a":\n')

    with pytest.raises(AuditContractError, match=r"r\.jsonl line 2: not valid JSON"):
        list(read_jsonl(tmp_path / "r.jsonl"))


def test_nan_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_jsonl(tmp_path / "r.jsonl", [{"a": float("nan")}])
    assert list(tmp_path.iterdir()) == []


def test_interrupted_write_leaves_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "r.jsonl"
    write_jsonl(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, rows())
    assert path.read_bytes() == b'{"a":1}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.jsonl"]


def test_full_disk_leaves_nothing_under_the_final_name(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, atomic_file(tmp_path / "x") as stream:
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_mode_is_set_whatever_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        atomic_write_bytes(tmp_path / "private", b"", mode=0o600)
        atomic_write_bytes(tmp_path / "open", b"")
        atomic_write_bytes(tmp_path / "all", b"", mode=0o666)
    finally:
        os.umask(before)

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"private": 0o600, "open": 0o644, "all": 0o666}


def test_unchanged_text_is_not_written_again(tmp_path):
    path = tmp_path / "x.json"

    assert write_json_if_changed(path, '{"a":1}') is True
    inode = path.stat().st_ino
    assert write_json_if_changed(path, '{"a":1}\n') is False
    assert path.stat().st_ino == inode
    assert write_json_if_changed(path, '{"a":2}') is True
    assert path.read_text() == '{"a":2}\n'


def test_stale_temporaries_go_and_those_of_living_writers_stay(tmp_path):
    dead = tmp_path / f".x.json.{os.uname().nodename}-{2**22 + 7}-0.writing"
    other = tmp_path / ".other"
    dead.write_bytes(b"")
    other.write_bytes(b"")
    with atomic_file(tmp_path / "y.json") as stream:
        stream.write(b"y")
        assert remove_stale_temporaries(tmp_path) == 1

    assert sorted(path.name for path in tmp_path.iterdir()) == [".other", "y.json"]


def test_parquet_has_the_same_bytes_in_two_runs_and_no_pandas_metadata(tmp_path):
    rows = [{"name": f"n{i}", "size": i, "spacing": [i / 3, 0.5]} for i in range(1000)]

    write_parquet(tmp_path / "a", iter(rows), SCHEMA)
    write_parquet(tmp_path / "b", rows, SCHEMA)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.read_schema(tmp_path / "a").metadata is None
    assert list(read_parquet(tmp_path / "a")) == rows


def test_parquet_groups_are_of_fixed_size(tmp_path, monkeypatch):
    monkeypatch.setattr(record_io, "ROWS_PER_GROUP", 4)

    assert write_parquet(tmp_path / "a", ({"size": i} for i in range(10)), SCHEMA) == 10
    with pq.ParquetFile(tmp_path / "a") as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 4, 2]
    assert [row["size"] for row in read_parquet(tmp_path / "a")] == list(range(10))


def test_parquet_without_rows_has_the_columns(tmp_path):
    assert write_parquet(tmp_path / "a", [], SCHEMA) == 0
    assert pq.read_schema(tmp_path / "a").equals(SCHEMA)


def test_parquet_holds_text_that_is_not_unicode_escaped(tmp_path):
    write_parquet(tmp_path / "a", [{"name": NOT_UTF8}], SCHEMA)

    assert next(read_parquet(tmp_path / "a"))["name"] == "folder/M\\udcfcller.dcm"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"size": "SECRET"}, "column size: a value is no int64"),
        ({"spacing": ["SECRET"]}, "column spacing: a value is no list<.*double>"),
        ({"other": 1}, "unknown column other"),
        ({"size": 2**70}, "column size: a value is no int64"),
    ],
)
def test_parquet_refuses_other_types_and_names_the_column_only(tmp_path, row, told):
    with pytest.raises(AuditContractError, match=told) as caught:
        write_parquet(tmp_path / "a", [row], SCHEMA)

    assert "SECRET" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_parquet_refuses_a_null_where_none_may_be(tmp_path):
    schema = pa.schema([pa.field("name", pa.string(), nullable=False)])

    with pytest.raises(AuditContractError, match="column name: a value is missing"):
        write_parquet(tmp_path / "a", [{}], schema)


def test_decisions_table_is_read_with_its_line_breaks_and_blanks_trimmed(tmp_path):
    table = tmp_path / "decisions.csv"
    table.write_bytes('\ufeffwhat,verdict,who,when,why\r\n2.25.1 ,release,A. B.,2024-01-01,"seen,\nfine"\r\n'.encode())

    assert read_decisions(table) == [Decision("2.25.1", "release", "A. B.", "2024-01-01", "seen,\nfine")]


def test_decisions_table_without_its_columns_is_refused(tmp_path):
    (tmp_path / "d.csv").write_text("uid,verdict\n")

    with pytest.raises(ConfigError, match="what, verdict, who, when, why"):
        read_decisions(tmp_path / "d.csv")


def test_json_is_what_any_other_reader_understands():
    assert json.loads(to_json(deid_record()))["boxes"] == [
        [-1, {"x": 1, "y": 2, "w": 3, "h": 4}],
        [7, {"x": 5, "y": 6, "w": 7, "h": 8}],
    ]


def test_record_that_cannot_be_told_in_json_is_refused_by_type_alone():
    with pytest.raises(TypeError, match=r"cannot hold a (Posix)?Path"):
        to_json({"path": Path("SECRET")})


def test_progress_file_tells_the_last_state(tmp_path):
    note = progress_file(tmp_path / "progress")
    note(1, 3)
    assert not (tmp_path / "progress").exists()
    note(3, 3)
    assert (tmp_path / "progress").read_text() == "3 3"


def test_equal_lists_of_rows_are_made_once_and_lists_that_only_look_equal_are_refused() -> None:
    row = {
        "path": "00100010",
        "keyword": "PatientName",
        "vr": "PN",
        "code": "Z",
        "action": "Z",
        "hipaa": "A",
        "count": 1,
    }
    first, second, other = (record_io.from_data([dict(row, count=count)], tuple[TagAction, ...]) for count in (1, 1, 2))
    assert first is second
    assert first == (TagAction("00100010", "PatientName", "PN", "Z", "Z", "A"),) != other
    for wrong in ([dict(row, count=True)], [dict(row, count=1.0)], row):
        with pytest.raises(AuditContractError):
            record_io.from_data(wrong, tuple[TagAction, ...])


def test_parquet_holds_one_group_of_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Row(dict):
        __hash__ = object.__hash__

    alive: weakref.WeakSet[Row] = weakref.WeakSet()
    most = 0

    def rows() -> Iterator[dict]:
        nonlocal most
        for number in range(100):
            one = Row(name=str(number))
            alive.add(one)
            most = max(most, len(alive))
            yield one

    monkeypatch.setattr(record_io, "ROWS_PER_GROUP", 10)
    assert record_io.write_parquet(tmp_path / "a.parquet", rows(), pa.schema([("name", pa.string())])) == 100
    assert 10 <= most <= 12
