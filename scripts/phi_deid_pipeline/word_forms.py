"""Words that show by their form that they are of medicine: endings, parts, stages of tumours."""

from __future__ import annotations

from collections.abc import Container, Iterable

from phi_deid_pipeline.expressions import Expression

# TNM and what is written with it: cT2c, ypT0N0, pN1mi, L0, Pn1, R0.
_TUMOUR = r"T(?:[0-4](?:mi|[a-d][12]?)?|is|[Xx])"
_NODES = r"N(?:[0-3](?:mi|[a-d])?|[Xx])"
_DISTANT = r"M(?:[01][a-d]?|[Xx])"
_STAGE = Expression(rf"(?:[cpyram]{{0,3}}(?:{_TUMOUR}|{_NODES}|{_DISTANT}))+|[cp]?(?:[LVR][0-2X]|Pn[01X]|G[1-4X])")


def is_stage(word: str) -> bool:
    """Tell whether a word is a stage of a tumour as the TNM classification writes it."""
    return _STAGE.fullmatch(word) is not None


_INFLECTIONS = ("s", "e", "es", "er", "en", "em", "n")
_LINKS = ("", "s", "n", "en", "es", "er", "e", "o")
_MOST_REMEMBERED = 20_000
_MIN_STEM, _MIN_ENDED, _MIN_BEFORE, _MIN_COMPOSED, _MIN_PART = 6, 7, 2, 9, 4
_LONG_PART = 6  # of one part at least: two short ones make surnames


class WordForms:
    """What a word is known by that no list holds: an inflection, an ending, its parts."""

    def __init__(self, strong: Container[str], endings: Iterable[str], names: Container[str]) -> None:
        """Take folded words that are sure, endings of medicine, and names, which no form makes known."""
        self._strong, self._names = strong, names
        self._endings = frozenset(endings)
        self._lengths = sorted({len(ending) for ending in self._endings}, reverse=True)
        self._known: dict[str, bool] = {}

    def knows(self, word: str) -> bool:
        """Tell whether a folded word is an inflection of a sure one, ends as words of medicine do, or is made of sure ones."""
        if len(word) < _MIN_STEM + 1 or word in self._names:
            return False
        if word not in self._known:
            if len(self._known) > _MOST_REMEMBERED:
                self._known.clear()
            self._known[word] = self._is_inflected(word) or self._is_ended(word) or self._is_composed(word)
        return self._known[word]

    def _is_inflected(self, word: str) -> bool:
        stems = (word[: -len(ending)] for ending in _INFLECTIONS if word.endswith(ending))
        return any(len(stem) >= _MIN_STEM and stem in self._strong for stem in stems)

    def _is_ended(self, word: str) -> bool:
        lengths = (length for length in self._lengths if length + _MIN_BEFORE <= len(word))
        return len(word) >= _MIN_ENDED and any(word[-length:] in self._endings for length in lengths)

    def _is_composed(self, word: str) -> bool:
        """Tell whether a word is two or three sure ones, a letter or two between them: Meniskusriss, herseninfarct."""
        return len(word) >= _MIN_COMPOSED and self._splits(word, 3)

    def _splits(self, word: str, parts: int) -> bool:
        for end in range(_MIN_PART, len(word) - _MIN_PART + 1):
            if not self._is_part(word[:end]):
                continue
            for link in _LINKS:
                rest = word[end + len(link) :]
                if word.startswith(link, end) and len(rest) >= _MIN_PART:
                    if max(end, len(rest)) >= _LONG_PART and (self._is_part(rest) or self._is_inflected(rest)):
                        return True
                    if parts > 2 and self._splits(rest, parts - 1):
                        return True
        return False

    def _is_part(self, word: str) -> bool:
        return word in self._strong and word not in self._names
