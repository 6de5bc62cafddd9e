"""A sorted list of words and their strengths, looked up where they stand: a batch asks for few of all words."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path

from phi_deid_pipeline.errors import PolicyError

STRENGTHS = ("strong", "plain", "name", "lower")
_MOST_REMEMBERED = 20_000


class WordList:
    """The rows of a file, a word and a strength with a tab between them, sorted by the word; # begins a comment."""

    def __init__(self, path: Path) -> None:
        """Read the rows; PolicyError names the line of an unknown strength."""
        text = path.read_bytes()
        rows = text.partition(b"\n")[2] if text.startswith(b"#") else text
        self._rows = rows if _is_sound(rows) else _checked(path.name, text.decode("utf-8")).encode("utf-8")
        self._known: dict[str, str] = {}

    def strength(self, word: str) -> str:
        """Return the strength of a word, "" for one that is not in the list."""
        found = self._known.get(word)
        if found is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = self._known[word] = self._look_up(word)
        return found

    def _look_up(self, word: str) -> str:
        rows, wanted = self._rows, f"{word}\t".encode("utf-8", "surrogatepass")
        low, high = 0, len(rows)  # where rows begin
        while low < high:
            start = rows.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = rows.index(b"\n", start)
            if rows[start:end] < wanted:
                low = end + 1
            else:
                high = start
        if "\n" in word or not rows.startswith(wanted, low):
            return ""
        return rows[low + len(wanted) : rows.index(b"\n", low)].decode("ascii")


class Words(Container[str]):
    """Words that a test tells from others."""

    def __init__(self, holds: Callable[[str], bool]) -> None:
        self._holds = holds

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self._holds(word)


def _is_sound(rows: bytes) -> bool:
    """Tell whether every line is a word, a tab and a strength."""
    lines = rows.count(b"\n")
    ends = sum(rows.count(f"\t{strength}\n".encode("ascii")) for strength in STRENGTHS)
    return lines == rows.count(b"\t") == ends and rows.endswith(b"\n") and not (b"\n\t" in rows or rows[:1] == b"\t")


def _checked(name: str, text: str) -> str:
    """Return the rows of a text with comments or empty lines between them; PolicyError for one at fault."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line and line[0] != "#":
            word, _, strength = line.partition("\t")
            if not word or strength not in STRENGTHS:
                raise PolicyError(f"{name}: line {number}: must be a word, a tab and strong, plain, name or lower")
            found.append(f"{line}\n")
    return "".join(found)
