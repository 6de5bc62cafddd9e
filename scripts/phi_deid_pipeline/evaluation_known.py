"""Search for identifiers that are known: of the private folder of a run, or of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from phi_deid_pipeline.evaluation_findings import Severity
from phi_deid_pipeline.evaluation_patterns import Suspicion, date_values, folded, is_dummy, is_real_date

ORDINARY_WORDS = Path(__file__).resolve().parents[2] / "resources" / "vocabularies" / "vocabulary.txt"
WORDS = frozenset({"name", "person", "institution", "address"})  # categories whose values are several words
DATES = frozenset({"date", "birth_date"})
PERSONS = frozenset({"name", "person"})
MIN_CODE, MIN_INSIDE, MIN_WORD = (
    4,
    6,
    3,
)  # characters: of a number, of one that counts inside another word, of a name's word
SURE_CODE = 6  # digits of a number that is no accident
ALONE = 4  # letters of a name's word that counts by itself
TITLES = frozenset(
    ["dr", "prof", "mr", "mrs", "ms", "md", "phd", "jr", "sr", "von", "van", "der", "den", "del", "the", "and"]
)
_WORD = re.compile(r"[^\W_]+")
_GAPS = re.compile(r"[\s/-]+")  # within a number as people write it; a point is not among them: 710.000 is a measure
_COUNTING = "0123456789" * 2


@cache
def _ordinary() -> frozenset[str]:
    """Return words of imaging: a name that is one of them says little when it stands alone."""
    lines = ORDINARY_WORDS.read_text(encoding="utf-8").splitlines()
    return frozenset(line.split("\t")[0].split(" ")[0] for line in lines if not line.startswith("#"))


def _sureness(code: str) -> tuple[Severity, str]:
    """Return how sure a hit of a known number is, and why: few digits, zeros before them, or digits that count upwards, stand
    anywhere."""
    if code.isdigit() and (len(code.lstrip("0")) < SURE_CODE or code in _COUNTING):
        return Severity.POSSIBLE, "a known identifier, or another number: so few or such digits stand anywhere"
    return Severity.CERTAIN, "a known identifier"


class Known:
    """Known identifiers, as pairs of category (a word of `records.Category`, or any other) and value, and known UIDs."""

    def __init__(self, entries: Iterable[tuple[str, str]] = (), uids: Iterable[str] = ()) -> None:
        self.uids = frozenset(uids)
        self._dates: dict[str, str] = {}
        self._codes: dict[str, str] = {}
        self._phrases: dict[str, list[tuple[frozenset[str], str]]] = {}
        self._words: dict[str, str] = {}
        for category, value in sorted(set(entries)):
            self._add(category, value)
        self._inside = sorted(code for code in self._codes if len(code) >= MIN_INSIDE)
        longest_first = sorted(self._inside, key=lambda code: (-len(code), code))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __bool__(self) -> bool:
        return bool(self.uids or self._dates or self._codes or self._phrases or self._words)

    def _add(self, category: str, value: str) -> None:
        if category in DATES:
            if is_real_date(value):
                self._dates[value[:8]] = category
            return
        if is_dummy(value):
            return
        words = [w for w in _WORD.findall(folded(value)) if len(w) >= MIN_WORD and w not in TITLES and not is_dummy(w)]
        if category in WORDS:
            if len(set(words)) > 1:
                for word in sorted(set(words)):
                    self._phrases.setdefault(word, []).append((frozenset(words), category))
            if category in PERSONS:
                self._words |= {word: category for word in words if len(word) >= ALONE}
            return
        squeezed = "".join(_WORD.findall(folded(value)))
        if (
            len(squeezed) >= MIN_CODE
            and squeezed.strip("0")
            and (any(c.isdigit() for c in squeezed) or len(squeezed) >= MIN_INSIDE)
        ):
            self._codes[squeezed] = category

    def uid(self, value: str) -> Suspicion | None:
        """Tell whether a UID is one of the source."""
        if value in self.uids:
            return Suspicion(Severity.CERTAIN, "known_uid", value, "a UID of the source")
        return None

    def search(self, text: str, *, whole: bool = False) -> list[Suspicion]:
        """Return the known identifiers in a text: names by words in any order, numbers as such or inside longer ones.

        `whole`: the text is a value of an attribute that the standard names, so a number that is all of it is no accident.
        """
        plain = folded(text)
        tokens = _WORD.findall(plain)
        found: dict[tuple[str, str], Suspicion] = {}

        def tell(severity: Severity, category: str, seen: str, why: str) -> None:
            found.setdefault((category, seen), Suspicion(severity, f"known_{category}", seen, why))

        words = set(tokens)
        if whole and (all_of_it := "".join(tokens)) in self._codes:
            tell(Severity.CERTAIN, self._codes[all_of_it], all_of_it, "a known identifier is the whole value")
        for word in sorted(words):
            for phrase, category in self._phrases.get(word, ()):
                if phrase <= words:
                    tell(Severity.CERTAIN, category, " ".join(sorted(phrase)), "all words of a known identifier")
            if word in self._codes:
                severity, why = _sureness(word)
                tell(severity, self._codes[word], word, why)
        if self._pattern is not None:
            for token in sorted({*words, *_WORD.findall(_GAPS.sub("", plain))}):
                for match in self._pattern.finditer(token):
                    severity, why = _sureness(match[0])
                    tell(severity, self._codes[match[0]], match[0], why)
        covered = {word for one in found.values() for word in one.seen.split()}
        for word in sorted(words - covered):
            if word in self._words:
                ordinary = word.isdigit() or word in _ordinary()
                severity = Severity.POSSIBLE if ordinary else Severity.LIKELY
                tell(severity, self._words[word], word, "a word of a known name")
        for value in sorted(date_values(text) & self._dates.keys()):
            tell(Severity.CERTAIN, self._dates[value], value, "a known date")
        return [found[key] for key in sorted(found)]

    def date(self, value: str) -> Suspicion | None:
        """Tell whether a DA or DT value is a known date."""
        category = self._dates.get(value.replace(".", "")[:8])
        return (category and Suspicion(Severity.CERTAIN, f"known_{category}", value, "a known date")) or None
