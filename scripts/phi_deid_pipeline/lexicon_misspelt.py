"""Words that are one slip of the pen away from a known name: a letter left out, added, doubled, exchanged or swapped."""

from __future__ import annotations

from collections.abc import Iterable

MIN_MISSPELT, MIN_MEANT = 5, 4  # letters of the word as written, and of the name that is meant


class Misspelt:
    """Names by what is left of them without one of their letters: two words that differ by one slip share such a form."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take folded words of names."""
        self._meant: dict[str, list[str]] = {}
        for name in names:
            for form in _forms(name) if len(name) >= MIN_MEANT else ():
                self._meant.setdefault(form, []).append(name)

    def means(self, word: str) -> bool:
        """Tell whether a folded word is a name with one slip in it, or a name as it is."""
        if len(word) < MIN_MISSPELT:
            return False
        return any(_is_one_slip(word, name) for form in _forms(word) for name in self._meant.get(form, ()))


def _forms(word: str) -> set[str]:
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _is_one_slip(one: str, other: str) -> bool:
    """Tell whether words that share a form differ by one letter only, or by two neighbours swapped."""
    if len(one) != len(other):
        return abs(len(one) - len(other)) == 1
    apart = [at for at in range(len(one)) if one[at] != other[at]]
    if len(apart) < 2:
        return True
    first, last = apart[0], apart[-1]
    return len(apart) == 2 and last == first + 1 and one[first] == other[last] and one[last] == other[first]
