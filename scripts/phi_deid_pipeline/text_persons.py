"""Persons that a title or a label names in a description, by whatever word they are called: Dr HAND, Name: Will Hand.

The vocabulary cannot tell Mrs Hand from her hand, a title can. Behind one go particles, initials, the next word with a capital,
all that hyphens join to it, and a word behind it that is a surname too. Behind the mark of a label for names go up to
`MOST_WORDS` words with capitals, behind that of a label for a role the first one and surnames. A word that denies, points
or names a modality is no name, nor is one behind a modality that is written like a title (DR CHEST, MR KNEE).

A surname before a comma and a given name is a person's where a value or clause begins with it or a cue stands before it, even
if it names a thing too (Crohn, Peter), and so is one that a thing is called after with an initial (Whipple J) or a given name
beside it (Peter Crohn). A region in lower case is a name behind a title that is nothing else (mrs hand), and one behind DR
where another modality or a cue stands before it (CT ABDOMEN DR HAND). A surname in lower case is one behind a title, a label or
beside a given name (Dr. de rumpf); where the title may be a modality no phrase begins with it: mr neue Sequenz.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.languages import Languages, fold_word, spellings

MOST_WORDS = 3
_START, _END = r"(?<![^\W_])(?<![^\W_]-)", r"(?![^\W_])"
_CHAIN = Expression(r"[^\W\d_]++(?:['’-][^\W\d_]++)*+(?![^\W_])")
_OF_THINGS = Expression(
    r"(?:series|sequence|protocol|study|file|exam|procedure|scan|site|trial|drug|product|model|device|protokoll|séquence|serie)"
    r"[ \t]?$",
    re.IGNORECASE,
)  # what stands before a name that is none of a person
_PARTICLE = Expression(
    r"(?:van|von|vom|der|den|de|del|della|dell['’]|di|da|dos|du|des|d['’]|el|al|ter|ten|zu|zum|zur|le|la|lo|las|los|y|['’]t)"
    r"(?:(?<=['’])|[ \t]+)(?=[^\W\d_])",
    re.IGNORECASE,
)
# What stands between a title and the name: an academic degree, another title's ending, initials.
_BETWEEN = Expression(
    r"(?:(?:med|dent|phil|rer|nat|vet|habil|univ|jur|ing|dipl|theol|hon|n|h\.c|ssa|ra|re)\.[ \t]*(?:h\.c\.[ \t]*)?"
    r"|(?:med|dent)[ \t]+)",
    re.IGNORECASE,
)
_INITIAL = Expression(r"(?-i:[A-ZÀ-Þ])(?:\.[ \t]?|[ \t]+)(?=[^\W\d_])")
_BLANK = Expression(r"[ \t]*")
_GAP = Expression(r"[ \t]{1,2}|,[ \t]?")
_GAUGE = Expression(r"\d[ \t]?$")
_GOES_ON = Expression(r"[ \t-]{1,2}(?P<word>[^\W\d_]{2,}+)")
_LETTERS = Expression(r"[^\W\d_]+")
_INVERTED = Expression(
    r"(?:(?:^|[:=;,(\r\n])[ \t]*|(?<![^\W_])(?P<cue>[^\W\d_]++):?[ \t]+)(?P<surname>[^\W\d_]{2,}+),[ \t]?"
    r"(?P<given>[^\W\d_]{2,}+)(?:-[^\W\d_]+)?(?![\w'’-])"
    r"(?:[ \t][A-ZÀ-Þ](?:\.|(?![^\W_])))*"
)
# Sides, grades and numbers stand behind such a surname too: Modic I, Lown A.
_INITIAL_BEHIND = Expression(
    r"(?:^|[:=;,(\r\n][ \t]*|(?<![^\W_])(?P<study>[^\W\d_]++)[ \t])(?P<name>(?P<surname>[^\W\d_]{2,}),?[ \t](?![ABCDILRVX](?![^\W_]))[A-Z]"
    r"\.?)(?=[ \t]*(?:$|[,;)\r\n]|(?P<behind>[^\W\d_]++)))(?![^\W_])"
)
_INITIAL_BEFORE = Expression(
    r"(?:^|[:=;,(\r\n][ \t]*|(?<![^\W_])(?P<study>[^\W\d_]++)[ \t])(?P<name>(?![ABCDILRVX])[A-Z][ \t](?P<surname>[^\W\d_]{2,}+))"
    r"(?=[ \t]*(?:$|[,;)\r\n]|(?P<behind>[^\W\d_]++)))(?!_)"
)
_PAIR = Expression(r"(?<![^\W_])(?<![^\W_][-'’])(?P<one>[^\W\d_]{2,}+)[ \t](?=(?P<other>[^\W\d_]{2,}+)(?![\w'’-]))")
_BEHIND_INITIAL = Expression(r"\s*(?![ALMNQRV])[A-Z]\.[ \t]?(?P<surname>[^\W\d_]{2,})\s*")  # not A. Vena, Q.Clear
_WITH_INITIAL = Expression(r"\s*(?P<surname>[^\W\d_]{2,}),?[ \t](?:(?![ABCDILRVX])[A-Z]|(?![LR])[A-Z]\.)\s*")
_NEAR = 80  # characters before a title or label that are looked at
Span = tuple[int, int]


def _any(rows: tuple[str, ...]) -> str:
    found = [re.escape(row).replace(r"\ ", r"[ \t.-]{1,3}") for row in spellings(rows)]
    return f"(?:{'|'.join(found)})" if found else "(?!)"


class NameWords(Protocol):
    """What a vocabulary tells of folded words behind a title or label."""

    def __contains__(self, word: str) -> bool:
        """Tell whether the vocabulary has a word."""
        ...

    def is_no_name(self, word: str) -> bool:
        """Tell whether a word is none of a person."""
        ...

    def may_be_called(self, word: str) -> bool:
        """Tell whether a word is a surname or place too."""
        ...

    def is_region(self, word: str) -> bool:
        """Tell whether a word is a region, and neither side nor modality."""
        ...

    def is_cue(self, word: str) -> bool:
        """Tell whether a person may stand behind a word."""
        ...

    def is_given_name(self, word: str) -> bool:
        """Tell whether a word is a given name and nothing else."""
        ...

    def is_called_after(self, word: str) -> bool:
        """Tell whether a word is the surname of a person that a thing is called after."""
        ...

    def is_surname(self, word: str) -> bool:
        """Tell whether a word is a surname or place first, and no plural."""
        ...

    def is_called_in_capitals(self, word: str) -> bool:
        """Tell whether a word is a surname or place where it has a capital."""
        ...

    def is_called_in_small(self, word: str) -> bool:
        """Tell whether a word is a surname or place in lower case too, where a person is told of."""
        ...

    def is_predicate(self, word: str) -> bool:
        """Tell whether a word says what a person does or is: seen, was."""
        ...

    def is_modality(self, word: str) -> bool:
        """Tell whether a word is a modality."""
        ...

    def is_study(self, word: str) -> bool:
        """Tell whether a word is one of a study, as its modality and region."""
        ...


def begins_phrase(text: str, end: int, words: NameWords) -> bool:
    """Tell whether a word of the vocabulary goes on behind a place: breit angelegt.

    Not one of a study, one that says who, or what a person does: rumpf CT, rumpf for, rumpf requested.
    """
    match = _GOES_ON.match(text, end)
    word = fold_word(match["word"]) if match else ""
    if word not in words or words.is_study(word) or words.is_no_name(word):
        return False
    return not (words.is_cue(word) or words.is_predicate(word))


class Persons:
    """The titles and labels of some languages."""

    def __init__(self, languages: Languages) -> None:
        self._plain = frozenset(map(fold_word, languages.titles)) - set(
            map(fold_word, languages.titles_of_descriptions)
        )
        self._written = frozenset(map(fold_word, (*languages.modality_titles, *languages.titles_of_descriptions)))
        labels = (*languages.name_labels, *languages.person_labels, *languages.role_labels)
        self._names = frozenset(map(fold_word, languages.name_labels))
        self._small = frozenset(map(fold_word, languages.small_titles))
        self._of_regions = frozenset(map(fold_word, languages.region_titles))
        self._signals = frozenset(map(fold_word, languages.lettered_signals))
        self._eponym_cues = frozenset(map(fold_word, languages.eponym_cues))
        self._heads = self._plain | self._written | {fold_word(row.split(" ")[-1]) for row in labels}
        self._languages = languages

    @cached_property
    def _title(self) -> Expression:
        rows = (*self._languages.titles, *self._languages.modality_titles, *self._languages.titles_of_descriptions)
        return Expression(rf"{_START}({_any(rows)}){_END}(\.?)", re.IGNORECASE)

    @cached_property
    def _label(self) -> Expression:
        languages = self._languages
        rows = (*languages.name_labels, *languages.person_labels, *languages.role_labels)
        return Expression(rf"{_START}({_any(rows)})\.?[ \t]?[:=][ \t]{{0,2}}", re.IGNORECASE)

    def spans(self, text: str, words: NameWords) -> Iterator[Span]:
        """Yield where names stand, with their titles and without their labels."""
        yield from self._by_form(text, words)
        if self._heads.isdisjoint(map(fold_word, _LETTERS.findall(text))):
            return
        for match in self._title.finditer(text):
            end = self._behind_title(text, match, words)
            end = end if end > match.end() else self._in_other_letters(text, match, words)
            if end > match.end():
                yield match.start(), end
        for match in self._label.finditer(text) if ":" in text or "=" in text else ():
            if _OF_THINGS.search(text, max(0, match.start() - _NEAR), match.start()):
                continue
            end = self._behind_label(text, match, words)
            if end > match.end():
                yield match.end(), end

    def _is_title(self, text: str, match: re.Match[str]) -> bool:
        word = fold_word(match[1])
        if word in self._plain:
            return True
        written = match[1].istitle() or bool(match[2])
        if not written and match[1].islower():
            name = _CHAIN.match(text, _BLANK.match(text, match.end()).end())  # type: ignore[union-attr]
            written = name is not None and name[0].istitle()  # mw Voet
        return written and not _GAUGE.search(text, max(0, match.start() - 2), match.start())

    def _behind_title(self, text: str, match: re.Match[str], words: NameWords) -> int:
        if not self._is_title(text, match):
            return -1
        at = _BLANK.match(text, match.end()).end()  # type: ignore[union-attr]
        while True:
            found = _BETWEEN.match(text, at) or self._title.match(text, at)
            found = found or _INITIAL.match(text, at) or _PARTICLE.match(text, at)
            if found is None:
                break
            at = _BLANK.match(text, found.end()).end()  # type: ignore[union-attr]
        chain = _CHAIN.match(text, at)
        if chain is not None and chain[0].istitle() and words.may_be_called(fold_word(chain[0])):
            return max(self._name(text, at, words), chain.end())  # Dr. A. Mai, which denies elsewhere
        return self._name(text, at, words)

    def _in_other_letters(self, text: str, match: re.Match[str], words: NameWords) -> int:
        """Return where a name in lower case, or a region that is one, ends behind a title: Dr. de rumpf, CT ABDOMEN DR HAND."""
        at = _BLANK.match(text, match.end()).end()  # type: ignore[union-attr]
        while (particle := _PARTICLE.match(text, at)) is not None:
            at = particle.end()
        chain = _CHAIN.match(text, at)
        if chain is None:
            return -1
        word, name = fold_word(match[1]), fold_word(chain[0])
        if chain[0].islower() and self._is_called_in_small(text, match, chain.end(), name, words):
            return chain.end()
        if not words.is_region(name):
            return -1
        if word in self._plain or (match[1].istitle() and word in self._of_regions):
            return chain.end() if chain[0].islower() else -1
        if word not in self._of_regions or _GAUGE.search(text, max(0, match.start() - 2), match.start()):
            return -1
        before = [fold_word(one) for one in _LETTERS.findall(text, max(0, match.start() - _NEAR), match.start())]
        if not before or words.is_modality(before[-1]):
            return -1
        called = words.is_cue(before[-1]) or any(map(words.is_modality, before))
        return chain.end() if called else -1

    def _is_called_in_small(self, text: str, title: re.Match[str], end: int, name: str, words: NameWords) -> bool:
        """Tell whether a word in lower case behind a title is a surname; behind one that may be a modality if no phrase begins."""
        word = fold_word(title[1])
        phrase = begins_phrase(text, end, words)
        if word in self._plain or word in self._small or self._is_title(text, title):
            sure = words.is_called_after(name) or words.is_called_in_small(name)
            return sure or (words.is_called_in_capitals(name) and (text.islower() or not phrase))
        gauge = _GAUGE.search(text, max(0, title.start() - 2), title.start()) is not None
        return title[1].islower() and words.is_called_in_small(name) and not phrase and not gauge

    def _name(self, text: str, at: int, words: NameWords) -> int:
        """Return where the name that begins at a place ends, -1 if none does."""
        chain = _CHAIN.match(text, at)
        if chain is None or not chain[0][0].isupper() or words.is_no_name(fold_word(chain[0])):
            return -1
        gap = _GAP.match(text, chain.end())
        second = _CHAIN.match(text, gap.end()) if gap is not None else None
        if second is None or not second[0][0].isupper() or words.is_no_name(fold_word(second[0])):
            return chain.end()
        third = _LETTERS.match(text, second.end() + 1) if text[second.end() : second.end() + 1] == " " else None
        known = fold_word(chain[0]) in words  # behind an unknown name the region begins: Mrs Kowalski Cervical spine
        region = known and third is not None and third[0].islower() and words.is_region(third[0])  # Will Hand knee
        return second.end() if region or words.may_be_called(fold_word(second[0])) else chain.end()

    def _behind_label(self, text: str, match: re.Match[str], words: NameWords) -> int:
        small = _CHAIN.match(text, match.end())
        if small is not None and small[0].islower() and words.is_called_in_small(fold_word(small[0])):
            return -1 if begins_phrase(text, small.end(), words) else small.end()
        if fold_word(match[1]) not in self._names:
            return self._name(text, match.end(), words)
        at, end = match.end(), -1
        for _ in range(MOST_WORDS):
            particle = _PARTICLE.match(text, at)
            chain = _CHAIN.match(text, particle.end() if particle else at)
            if chain is None or not chain[0][0].isupper() or words.is_no_name(fold_word(chain[0])):
                break
            end = chain.end()
            gap = _GAP.match(text, end)
            if gap is None:
                break
            at = gap.end()
        return end

    def _by_form(self, text: str, words: NameWords) -> Iterator[Span]:
        """Yield surnames with the given name or initial that shows them."""
        at = 0
        while "," in text and (match := _INVERTED.search(text, at)) is not None:
            inverted = _is_inverted(match, words)
            at = match.end() if inverted else match.end("surname")
            if inverted:
                yield match.start("surname"), match.end()
        yield from self._beside_initials(text, words)
        yield from self._beside_given_names(text, words)
        alone, signed = _WITH_INITIAL.fullmatch(text), _BEHIND_INITIAL.fullmatch(text)
        if alone is not None and alone["surname"][0].isupper() and words.is_called_after(fold_word(alone["surname"])):
            yield 0, len(text)
        if signed is not None and signed["surname"].istitle() and words.may_be_called(fold_word(signed["surname"])):
            yield 0, len(text)

    def _beside_initials(self, text: str, words: NameWords) -> Iterator[Span]:
        """Yield surnames with an initial beside them among words of a study: Whipple J CT, CT Brown J, J Brown CT."""
        for match in (*_INITIAL_BEHIND.finditer(text), *_INITIAL_BEFORE.finditer(text)):
            surname, beside = fold_word(match["surname"]), (match["study"], match["behind"])
            if not match["surname"].istitle() or any(word and not words.is_study(fold_word(word)) for word in beside):
                continue
            if surname not in self._signals and (words.is_called_after(surname) or words.is_surname(surname)):
                yield match.span("name")

    def _beside_given_names(self, text: str, words: NameWords) -> Iterator[Span]:
        """Yield a given name with the surname of a thing beside it, and with a region where nothing else stands: Peter Crohn."""
        before = ""
        for match in _PAIR.finditer(text):
            one, other = fold_word(match["one"]), fold_word(match["other"])
            alike = match["one"].istitle() and match["other"].istitle()
            alike = alike or match[0].isupper() == match["other"].isupper() or text.islower()
            given, called = (one, other) if words.is_given_name(one) else (other, one)
            if given == other and match["one"].islower() and not match["other"].islower():
                alike = False  # carotid doppler Maria
            small = (match["other"] if given == one else match["one"]).islower() and words.is_called_in_small(called)
            if small and words.is_given_name(given):
                yield match.start(), match.end("other")
            elif (
                alike
                and words.is_given_name(given)
                and not words.is_given_name(called)
                and before not in self._eponym_cues
            ):
                alone = given == one and text.strip() == f"{match['one']} {match['other']}"
                surname = words.may_be_called(called)
                shown = alone or (surname and not words.is_study(called) and not text.islower())
                if words.is_called_after(called) or (shown and (surname or words.is_region(called))):
                    yield match.start(), match.end("other")
            before = one


def _is_inverted(match: re.Match[str], words: NameWords) -> bool:
    """Tell whether a surname, in lower case too, and a given name stand on the sides of a comma: Crohn, Peter; rumpf, anna."""
    surname, given = fold_word(match["surname"]), fold_word(match["given"])
    if match["cue"] and not words.is_cue(fold_word(match["cue"])):
        return False
    if match["surname"].islower():
        return words.is_called_in_small(surname) and words.is_given_name(given)
    called = words.may_be_called(surname) or words.is_called_after(surname)
    written = match["surname"][0].isupper() and match["given"][0].isupper()
    return called and written and not words.is_no_name(surname) and words.is_given_name(given)
