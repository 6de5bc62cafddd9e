"""Typed records <-> JSON, JSON Lines and Parquet: atomic, and the same bytes for the same records.

Text that is no valid Unicode (names of input files may be any bytes; Python holds those as lone surrogates) is written
as JSON escapes `\\udcXX`: every file is strict UTF-8, and reading gives the same string back.
"""

from __future__ import annotations

import itertools
import json
import marshal
import os
import time
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, StrEnum
from functools import cache, lru_cache
from json.encoder import encode_basestring
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from phi_deid_pipeline.errors import AuditContractError, ConfigError
from phi_deid_pipeline.records import Decision, TagAction
from phi_deid_pipeline.value_objects import field_names, is_data_class

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
ROWS_PER_GROUP = 20_000
_TEMPORARY = ".writing"
_counter = itertools.count()
MOST_ROWS = 1024
MOST_LISTS = 64
MOST_BYTES = 4096  # of a dictionary whose JSON is remembered
_PLAIN_MARSHAL = 2  # the format without references to earlier objects: equal data give equal bytes
_known_rows: dict[int, tuple[tuple[TagAction, ...], str]] = {}  # by identity, which the row held here keeps taken


# --- dataclass <-> plain data -------------------------------------------------------------------------------------


def to_data(value: Any) -> Any:
    """Return what JSON can hold: dataclasses in field order, dictionaries and sets sorted, enums as their value."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if is_data_class(type(value)):
        return {name: to_data(getattr(value, name)) for name in field_names(type(value))}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        plain = {_key(key): to_data(item) for key, item in value.items()}
        return {key: plain[key] for key in sorted(plain)}
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_data(item) for item in value)
    if isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"A record cannot hold a {type(value).__name__}.")


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    key = key.value if isinstance(key, Enum) else key
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise TypeError(f"A record cannot have a key of type {type(key).__name__}.")
    return str(key)


def to_json(record: Any) -> str:
    """Return one line of compact JSON, always encodable as UTF-8; NaN and infinity are refused."""
    text = _json_text(record)
    return text if text.isascii() else encode_json(text).decode("utf-8")


def _json_text(value: Any) -> str:
    """Return the compact JSON of `to_data(value)`; records and what they mostly hold skip that intermediate."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind is int:
        return repr(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is tuple or kind is list:
        return _rows_text(value) if value and type(value[0]) is TagAction else f"[{','.join(map(_json_text, value))}]"
    if kind is dict:
        return _dict_text(value)
    if (names := _json_names(kind)) is not None:
        values = [(quoted, getattr(value, name)) for quoted, name in names]
        texts = [f"{q}:{encode_basestring(v) if type(v) is str else _json_text(v)}" for q, v in values]
        return "{" + ",".join(texts) + "}"
    if isinstance(value, StrEnum):
        return encode_basestring(value.value)
    return json.dumps(to_data(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _dict_text(value: dict[Any, Any]) -> str:
    """Return the JSON of a dictionary; the instances of a series share most of them, which then cost a look at their bytes."""
    try:
        data = marshal.dumps(value, _PLAIN_MARSHAL)
    except ValueError:  # it holds more than plain data
        return _items_text(value)
    return _known_dict_text(data) if len(data) <= MOST_BYTES else _items_text(value)


@lru_cache(maxsize=MOST_ROWS)
def _known_dict_text(data: bytes) -> str:
    return _items_text(marshal.loads(data))


def _items_text(value: dict[Any, Any]) -> str:
    items = sorted({_key(key): item for key, item in value.items()}.items(), key=itemgetter(0))
    return "{" + ",".join([f"{encode_basestring(key)}:{_json_text(item)}" for key, item in items]) + "}"


@cache
def _json_names(cls: type) -> tuple[tuple[str, str], ...] | None:
    """Return quoted names and names of the fields of a data class, None for another class."""
    return tuple((encode_basestring(name), name) for name in field_names(cls)) if is_data_class(cls) else None


def _rows_text(rows: Sequence[TagAction]) -> str:
    """Return the JSON of what was done to attributes; the instances of a series mostly share these rows as a whole."""
    known = _known_rows.get(id(rows))
    if known is not None and known[0] is rows:
        return known[1]
    text = f"[{','.join([_tag_action_text(row) if type(row) is TagAction else _json_text(row) for row in rows])}]"
    if type(rows) is tuple:  # frozen rows in a tuple stay what they are
        if len(_known_rows) >= MOST_ROWS:
            _known_rows.clear()
        _known_rows[id(rows)] = rows, text
    return text


@lru_cache(maxsize=8192)
def _tag_action_text(row: TagAction) -> str:
    # The instances of a series share most of these rows.
    return json.dumps(to_data(row), ensure_ascii=False, separators=(",", ":"))


def plain_json(data: Any) -> bytes:
    """Return what `to_json` does, as UTF-8, of data that came from JSON: nothing in it has to be turned or sorted."""
    return encode_json(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def encode_json(text: str) -> bytes:
    """Return JSON text as UTF-8, lone surrogates as their JSON escape."""
    return text.encode("utf-8", "backslashreplace")


def from_json(text: str | bytes, cls: type[T]) -> T:
    """Return the record that `to_json` wrote; `cls` may be `dict`. Raises AuditContractError."""
    try:
        data = json.loads(text)
    except ValueError:
        raise AuditContractError("not valid JSON") from None
    return from_data(data, cls)


def from_data(data: Any, cls: type[T]) -> T:
    """Return a record of `cls` from plain data; raises AuditContractError naming class and field, never a value."""
    return _decoder(cls)(data)


@cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return lambda data: data
    if is_data_class(kind):
        return _dataclass_decoder(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional_decoder(kind, arguments)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return _fixed_tuple_decoder(arguments)
    if origin is tuple and arguments[0] is TagAction:
        return _remembering_lists(_decoder(TagAction))
    if origin in (tuple, list, set, frozenset):
        item = _decoder(arguments[0])
        return lambda data: origin(map(item, _expect(data, list)))
    if origin is dict:
        key, item = _key_decoder(arguments[0]), _decoder(arguments[1])
        return lambda data: {key(name): item(value) for name, value in _expect(data, dict).items()}
    if kind in (tuple, list):
        return lambda data: kind(_expect(data, list))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum_decoder(kind)
    if kind is float:
        return lambda data: float(_expect(data, (int, float)))
    if kind in (str, int, bool, dict, type(None)):
        return lambda data: _expect(data, kind)
    raise TypeError(f"A record cannot have a field of type {kind}.")


def _expect(data: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise AuditContractError(f"expected {names}, found {type(data).__name__}")
    return data


def _enum_decoder(kind: type[Enum]) -> Callable[[Any], Any]:
    members = {member.value: member for member in kind}

    def decode(data: Any) -> Any:
        member = members.get(data) if isinstance(data, (str, int)) else None
        if member is None:
            raise AuditContractError(f"not a value of {kind.__name__}")
        return member

    return decode


def _key_decoder(kind: Any) -> Callable[[str], Any]:
    if kind is int:
        return int
    return _enum_decoder(kind) if isinstance(kind, type) and issubclass(kind, Enum) else str


def _optional_decoder(kind: Any, arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    others = [argument for argument in arguments if argument is not type(None)]
    if len(others) != 1:
        raise TypeError(f"A record cannot have a field of type {kind}.")
    inner = _decoder(others[0])
    return lambda data: None if data is None else inner(data)


def _fixed_tuple_decoder(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    decoders = [_decoder(argument) for argument in arguments]

    def decode(data: Any) -> Any:
        if len(_expect(data, list)) != len(decoders):
            raise AuditContractError(f"expected {len(decoders)} items, found {len(data)}")
        return tuple(item(value) for item, value in zip(decoders, data, strict=True))

    return decode


def _dataclass_decoder(cls: type) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(cls)
    names = field_names(cls)
    decoders = {name: _decoder(hints[name]) for name in names}
    plain = [name for name in names if hints[name] in (str, int, bool)]
    kinds = [hints[name] for name in plain]
    others = [(number, decoders[name]) for number, name in enumerate(names) if name not in plain]

    def decode(data: Any) -> Any:
        """Make the record of a row with all fields, as `to_json` writes it; any other row is looked at field by field."""
        try:
            values = [data[name] for name in names]
            if len(data) == len(names) and [type(data[name]) for name in plain] == kinds:
                for number, decoder in others:
                    values[number] = decoder(values[number])
                return cls(*values)
        except (AuditContractError, KeyError, TypeError):
            pass  # told below, with the name of the field
        return by_field(data)

    def by_field(data: Any) -> Any:
        values = {}
        for name, value in _expect(data, dict).items():
            decoder = decoders.get(name)
            if decoder is None:
                raise AuditContractError(f"{cls.__name__}: unknown field")
            try:
                values[name] = decoder(value)
            except AuditContractError as error:
                raise AuditContractError(f"{cls.__name__}.{name}: {error}") from None
        try:
            return cls(**values)
        except TypeError:
            missing = [name for name in decoders if name not in values]
            raise AuditContractError(f"{cls.__name__}: missing one of {', '.join(missing)}") from None

    return _remembering(decode) if cls is TagAction else decode


def _remembering(decode: Callable[[Any], TagAction]) -> Callable[[Any], TagAction]:
    """Return a decoder that makes one object of equal rows: the instances of a series share most of them."""
    known: dict[tuple[Any, ...], TagAction] = {}

    def decoded(data: Any) -> TagAction:
        if type(data) is not dict or any(type(value) not in (str, int) for value in data.values()):
            return decode(data)
        key = tuple(data.items())
        found = known.get(key)
        if found is None:
            found = decode(data)
            if len(known) < MOST_ROWS:
                known[key] = found
        return found

    return decoded


def _remembering_lists(decode: Callable[[Any], TagAction]) -> Callable[[Any], tuple[TagAction, ...]]:
    """Return a decoder that makes one tuple of equal lists of rows; most instances of a series have the same."""
    known: dict[bytes, tuple[TagAction, ...]] = {}

    def decoded(data: Any) -> tuple[TagAction, ...]:
        key = marshal.dumps(_expect(data, list), _PLAIN_MARSHAL)
        found = known.get(key)
        if found is None:
            found = tuple(map(decode, data))
            if len(known) < MOST_LISTS:
                known[key] = found
        return found

    return decoded


# --- files --------------------------------------------------------------------------------------------------------


@contextmanager
def atomic_file(path: Path, mode: int | None = None, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Open a private temporary file in the folder of `path` that takes its name when the block ends well.

    `mode` are its permissions (None: what the umask leaves); `durable` waits until the bytes are on the disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.name}.{_host()}-{os.getpid()}-{next(_counter)}{_TEMPORARY}"
    temporary = path.parent / name
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if mode is None else mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _host() -> str:
    return os.uname().nodename


def remove_stale_temporaries(folder: Path) -> int:
    """Delete what killed writers on this machine left in a folder; return how many. Living writers keep theirs."""
    removed = 0
    for path in sorted(folder.glob(f".*{_TEMPORARY}")):
        host, _, rest = path.name.removesuffix(_TEMPORARY).rpartition(".")[2].rpartition("-")[0].rpartition("-")
        if rest.isdigit() and not (host == _host().rpartition(".")[2] and _is_alive(int(rest))):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def atomic_write_bytes(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write a file as a whole or not at all."""
    with atomic_file(path, mode) as stream:
        stream.write(data)


def progress_file(path: Path) -> Callable[[int, int], None]:
    """Return a function that notes files read and to be read for the front door, once a second at most."""
    last = time.monotonic()

    def note(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 1 or done == total:
            last = time.monotonic()
            atomic_write_bytes(path, f"{done} {total}".encode())

    return note


def write_json_if_changed(path: Path, text: str, mode: int | None = None) -> bool:
    """Write text and a line end unless the file holds just that; tell whether it was written."""
    data = encode_json(text if text.endswith("\n") else text + "\n")
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return False
    atomic_write_bytes(path, data, mode)
    return True


def write_jsonl(path: Path, records: Iterable[Any], mode: int | None = None) -> int:
    """Write one line a record in the order given, streaming; return the number of lines."""
    count = 0
    with atomic_file(path, mode) as stream:
        for record in records:
            stream.write(to_json(record).encode("utf-8") + b"\n")
            count += 1
    return count


def read_jsonl(path: Path, cls: type[T] = dict) -> Iterator[T]:
    """Yield the records of a file, streaming; raises AuditContractError naming the line."""
    decode = _decoder(cls)
    with Path(path).open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield decode(json.loads(line))
            except (ValueError, RecursionError):
                raise AuditContractError(f"{label(path)} line {number}: not valid JSON") from None
            except AuditContractError as error:
                raise AuditContractError(f"{label(path)} line {number}: {error}") from None


def label(path: Path) -> str:
    """Return how messages name a file of the output: its folder and name only."""
    return f"{Path(path).parent.name}/{Path(path).name}"


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of patients or subjects (CSV) as it was kept."""
    import csv  # here: few steps read tables, and a job pays for its imports

    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def read_decisions(path: Path) -> list[Decision]:
    """Return the rows of a decisions table (CSV with the columns what, verdict, who, when, why)."""
    import csv
    import io

    names = field_names(Decision)
    reader = csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8-sig"), newline=""))
    if reader.fieldnames is None or not set(names) <= set(reader.fieldnames):
        raise ConfigError(f"The decisions table needs the columns {', '.join(names)}.")
    return [Decision(**{name: (row[name] or "").strip() for name in names}) for row in reader]


# --- Parquet ------------------------------------------------------------------------------------------------------


def write_parquet(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema, mode: int | None = None) -> int:
    """Write rows in the order given, streaming in groups of fixed size; return their number.

    The same rows and schema give the same bytes. A missing key is a null. Raises AuditContractError naming the column
    where a row has an unknown column or a value of another type.
    """
    import pyarrow.parquet as pq  # here: most steps write JSON alone, and a job pays for its imports

    count, names = 0, frozenset(schema.names)
    iterator = iter(rows)
    with (
        atomic_file(path, mode) as stream,
        pq.ParquetWriter(
            stream, schema, version="2.6", compression="zstd", compression_level=3, write_statistics=True
        ) as writer,
    ):
        while chunk := list(itertools.islice(iterator, ROWS_PER_GROUP)):
            for row in chunk:
                if not names.issuperset(row):
                    raise AuditContractError(f"{label(path)}: unknown column {sorted(set(row) - names)[0]}")
            writer.write_table(_table(chunk, schema, label(path)), row_group_size=ROWS_PER_GROUP)
            count += len(chunk)
            chunk.clear()  # or two groups of rows would be in memory
    return count


def _table(rows: list[dict[str, Any]], schema: pa.Schema, name: str) -> pa.Table:
    import pyarrow as pa

    columns = []
    for column in schema:
        try:
            values = [valid_text(row.get(column.name)) for row in rows]
            array = pa.array(values, type=column.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise AuditContractError(f"{name}: column {column.name}: a value is no {column.type}") from None
        if array.null_count and not column.nullable:
            raise AuditContractError(f"{name}: column {column.name}: a value is missing")
        columns.append(array)
    return pa.Table.from_arrays(columns, schema=schema)


def valid_text(value: Any) -> Any:
    """Return text that Parquet can hold: lone surrogates as `\\udcXX`."""
    if isinstance(value, str):
        return value if value.isascii() else encode_json(value).decode("utf-8")
    if isinstance(value, (list, tuple)):
        return [valid_text(item) for item in value]
    return value


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, one row group in memory at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as source:
        for group in range(source.num_row_groups):
            yield from source.read_row_group(group).to_pylist()
