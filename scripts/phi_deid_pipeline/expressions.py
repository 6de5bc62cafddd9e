"""Regular expressions that are compiled when a text first asks for them: a step needs few of all that it might."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any


class Expression:
    """Stands for what `re.compile` returns, with the same methods."""

    def __init__(self, pattern: str | bytes, flags: int = 0) -> None:
        self._source = pattern, flags

    @cached_property
    def compiled(self) -> re.Pattern[Any]:
        """The compiled expression, for what wants to have that itself."""
        return re.compile(*self._source)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copying and pickling ask of an object that is not made yet
            raise AttributeError(name)
        found = getattr(self.compiled, name)
        setattr(self, name, found)  # the next call finds it without coming here
        return found
