"""Regular expressions that are compiled when a text first asks for them, and kept beside the bytecode of this package.

A step needs few of all that it might, and compiling those would be a third of its start. What one process compiled the next
one reads, as it does with the bytecode of modules: from the folder that Python keeps that in, where it may write there.
"""

from __future__ import annotations

import _sre
import atexit
import contextlib
import marshal
import os
import re
import sys
import zlib
from array import array
from functools import cache, cached_property
from pathlib import Path
from typing import Any

Source = tuple[str | bytes, int]  # pattern, flags
Parts = tuple[int, bytes, int, dict[str, int], tuple[str | None, ...]]  # flags, code, groups, their names both ways
FORM = (_sre.MAGIC, _sre.CODESIZE, sys.version_info[:2])  # what compiled code depends on
MOST_KEPT = 2000  # expressions; more than there are, so that those of earlier versions of the code go at last


class Expression:
    """Stands for what `re.compile` returns, with the same methods.

    The pattern is one of the code and its tables, never one made of what belongs to a patient: it is kept on the disk.
    """

    def __init__(self, pattern: str | bytes, flags: int = 0) -> None:
        self._source = pattern, flags

    @cached_property
    def compiled(self) -> re.Pattern[Any]:
        """The compiled expression, for what wants to have that itself."""
        return kept_expressions().compiled(*self._source)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copying and pickling ask of an object that is not made yet
            raise AttributeError(name)
        found = getattr(self.compiled, name)
        setattr(self, name, found)  # the next call finds it without coming here
        return found


@cache
def expression(pattern: str) -> re.Pattern[str]:
    """Return a compiled expression of the code itself, where a name for it would say no more than it does."""
    return kept_expressions().compiled(pattern, 0)


class KeptExpressions:
    """Compiled expressions in a file, which like bytecode is made anew where it is missing, broken or another Python's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.new: dict[Source, Parts] = {}
        self._known = _read(path)

    def compiled(self, pattern: str | bytes, flags: int) -> re.Pattern[Any]:
        """Return what `re.compile` returns; raises `re.error` as that does."""
        source = pattern, int(flags)
        parts = self._known.get(source)
        if parts is None:
            if not self.new:
                atexit.register(self.save)
            parts = self._known[source] = self.new[source] = _parts(*source)
        flags, code, *groups = parts
        return _sre.compile(pattern, flags, array("I", code).tolist(), *groups)

    def save(self) -> None:
        """Add what was compiled to the file, but where Python would write no bytecode either."""
        if not self.new or sys.dont_write_bytecode:
            return
        found = _read(self.path) | self.new
        data = marshal.dumps(found if len(found) <= MOST_KEPT else self.new)
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with contextlib.suppress(
            OSError
        ):  # a folder for reading alone, a full disk: as with bytecode, the next one compiles
            self.path.parent.mkdir(exist_ok=True)
            temporary.write_bytes(marshal.dumps((FORM, zlib.crc32(data), data)))
            temporary.replace(self.path)


@cache
def kept_expressions() -> KeptExpressions:
    """Return what is kept beside the bytecode of this module."""
    return KeptExpressions(Path(__spec__.cached or __file__).with_suffix(".marshal"))


def _read(path: Path) -> dict[Source, Parts]:
    try:
        form, checksum, data = marshal.loads(path.read_bytes())
        return marshal.loads(data) if form == FORM and checksum == zlib.crc32(data) else {}
    except (OSError, ValueError, EOFError, TypeError):
        return {}  # not there, or not whole


def _parts(pattern: str | bytes, flags: int) -> Parts:
    """Compile an expression, as the module `re` does, to what it makes its object of."""
    parsed = re._parser.parse(pattern, flags)  # type: ignore[attr-defined]
    code = array("I", re._compiler._code(parsed, flags)).tobytes()  # type: ignore[attr-defined]
    names: dict[str, int] = parsed.state.groupdict
    by_number: list[str | None] = [None] * parsed.state.groups
    for name, number in names.items():
        by_number[number] = name
    return flags | parsed.state.flags, code, parsed.state.groups - 1, names, tuple(by_number)
