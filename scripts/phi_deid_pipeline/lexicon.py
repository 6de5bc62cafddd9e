"""The known identifiers of one patient: gathered from headers, found again in any text.

Two halves: `harvest` reads every identifying value of an instance at any depth; `Lexicon.hits` finds those values in
text in the forms in which people and devices write them. Names match by whole words in any order, with case, accents,
transliteration, kana, long vowels of Japanese and Russian endings folded, joined or divided by hyphens; a name of two
letters and one only in full; initials with points, and without them beside the birth date. Numbers match with their
separators and zeros in front left out; dates in the usual written forms; institutions and addresses as word sequences
and by their distinctive words. Scripts written without blanks match anywhere, traditional, simplified and Japanese forms
of ideographs alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from itertools import pairwise

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.identifiers import Entry, Identifiers
from phi_deid_pipeline.languages import dotted_abbreviations
from phi_deid_pipeline.lexicon_harvest import entries_of, harvest
from phi_deid_pipeline.lexicon_index import MIN_GLUED, PARTICLES, Index
from phi_deid_pipeline.lexicon_misspelt import Misspelt
from phi_deid_pipeline.lexicon_numbers import is_in_thousands, joined_runs, odd_runs
from phi_deid_pipeline.lexicon_words import CODES, IMAGING, RUN, SIDES, WORD, compacted, fold, fold_with_index
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.written_dates import MONTH_NAMES, find_dates, normal_date, written_dates

__all__ = [
    "Entry",
    "Lexicon",
    "entries_of",
    "find_dates",
    "fold",
    "harvest",
    "needle_form",
    "normal_date",
    "written_dates",
]

_SIGNED = r"(?:o['`\u2019]|ma?c)?[^\W\d_]\."  # an initial, also of O'Brien and McAllister
_SIGNATURE = Expression(rf"(?<![^\W_])(?<!\w\.)(?:{_SIGNED}[ -]{{0,2}}){{1,6}}{_SIGNED}(?![^\W_])")
_OF_MC = Expression(r"ma?c[^\W\d_]\.")
_BESIDE_SIGNATURE = Expression(r"[ ,]{0,2}")
MIN_WORD, MIN_CODE, MIN_NUMBER = 4, 5, 6  # characters of what counts as a whole code
MAX_FRONT = 3  # letters in front of a name in one word
MAX_GAP = 3  # characters between two parts of a name
# Initials before and behind a birth date, with points or without.
_INITIALS_BEFORE = Expression(rf"(?<![^\W\d_])(?:[^\W\d_]\.?){{2,3}}[\W_]{{0,{MAX_GAP}}}$")
_INITIALS_BEHIND = Expression(rf"[\W_]{{0,{MAX_GAP}}}(?:[^\W\d_]\.?){{2,3}}(?![^\W\d_])")
_BIRTH_YEAR = Expression(
    r"(?<![^\W_])(?:\*|b\.|(?:born|birth(?:[ -]?(?:date|day|year))?|year of birth|geb(?:oren|oortejaar)?|geburtsjahr|jahrgang|jg"
    r"|gebjahr|nee?|nac(?:id[oa])?|nat[ao]|naissance|d\.?o\.?b|y\.?o\.?b)\.?[:=]?)"
    r"\s?(?:(?:in|im|en|nel)\s)?(\d{4})(?![^\W_]|[.,/-]\d)"
)  # b 1952 without a point may be a series of diffusion
_MONTH_AND_YEAR = Expression(r"(?<![\w./-])(0?[1-9]|1[0-2])(?:[./-](?=\d{4})|/)(\d{4}|\d\d)(?![\w/]|[.,-]\d)")
_PREFIX = Expression(r"(?<![^\W_])(?!te|tr|ti)[^\W\d_]{2,}$")  # CT4711; an echo time of 4711 ms is TE4711
_LONG_WORD = Expression(r"[^\W\d_]{4,}")
_IMAGING = tuple(sorted(IMAGING))
_DIVIDERS = frozenset(" -/_")  # of a short number; a point makes a decimal of it
_HYPHENS = frozenset("-'`\u00ad\u00b4\u2010\u2011\u2012\u2013\u2018\u2019\u02bc")
MIN_SPELLED = 4  # letters of a name that is written letter by letter
_SPELLED = Expression(rf"(?<![^\W_])(?:[^\W\d_][ ._-]{{1,2}}){{{MIN_SPELLED - 1},}}[^\W\d_](?![^\W_])")
Span = tuple[int, int, Category]


class Lexicon(Identifiers):
    """The identifiers of one patient, ready to be found in text. Immutable; equal entries make equal lexicons."""

    def __or__(self, other: Lexicon) -> Lexicon:
        return Lexicon(self.entries | other.entries)

    def without(self, categories: frozenset[Category]) -> Lexicon:
        """Return the lexicon without the entries of some categories: a policy that keeps them looks for no such value."""
        return Lexicon(e for e in self.entries if e.category not in categories) if categories else self

    @cached_property
    def days(self) -> frozenset[str]:
        """Return month and day (MMDD) of every known date."""
        return frozenset(date[4:] for date in self._index.dates)

    @property
    def dates(self) -> Collection[str]:
        """The known dates as YYYYMMDD, birth dates among them."""
        return self._index.dates

    @cached_property
    def short_parts(self) -> frozenset[str]:
        """Return the parts of names that have two letters or are sides: they count where text shows that they are names."""
        names = self._index.names
        shorts = {word for word in names if len(word) == 2 and word.isalpha() and word not in PARTICLES}
        return frozenset(shorts | (SIDES & names.keys()))

    @cached_property
    def codes(self) -> frozenset[str]:
        """Return what identifies as a whole code: words of `MIN_WORD` letters, codes of `MIN_CODE`, long numbers, dates.

        Folded, without separators; numbers count from `MIN_NUMBER` digits, dates as YYYYMMDD.
        """
        index = self._index
        words = {word for word in index.alone if len(word) >= MIN_WORD}
        least = {True: MIN_NUMBER, False: MIN_CODE}
        return frozenset(words | index.dates | {n for n in index.numbers if len(n) >= least[n.isdigit()]})

    @cached_property
    def misspelt(self) -> Misspelt:
        """Return what tells that a word is a known name with one slip in it."""
        persons = (Category.NAME, Category.PERSON)
        return Misspelt(word for word, category in self._index.alone.items() if category in persons and word.isalpha())

    @cached_property
    def _index(self) -> Index:
        return Index(self.entries)

    def identifies(self, text: str) -> Category | None:
        """Return the category of an identifier in the text, the first in the order of `Category`, or None."""
        found = {category for _, _, category in self.hits(text)}
        return next((category for category in Category if category in found), None)

    def hits(self, text: str) -> list[Span]:
        """Return the spans (start, end, category) of identifiers in the text, sorted and not overlapping.

        Meant for text: codes, numbers and times handed in one by one can hit by chance (101010 is a date and a time).
        """
        if not text or not self.entries:
            return []
        folded, positions = fold_with_index(text)
        found = [
            *self._words(folded),
            *self._numbers(folded),
            *self._dates(folded),
            *self._joined(folded),
            *self._birth_years(folded),
            *self._inside(folded),
            *self._verbatim(folded),
        ]
        found += self._spelled(folded)
        signatures = list(self._signatures(folded))
        if positions is not None:
            found, signatures = (
                [(positions[start], _end(positions, end), category) for start, end, category in spans]
                for spans in (found, signatures)
            )
        found += self._run_together(text)
        found += self._misread(text)
        return _merge([*found, *(span for span in signatures if not _is_abbreviation(text, span, found))])

    def _words(self, folded: str) -> Iterator[Span]:
        index = self._index
        if not (index.alone or index.names or index.sequences):
            return
        words = [(match.start(), match.end(), match[0]) for match in WORD.finditer(folded)]
        if index.whole and (whole := index.whole.get(tuple(word for _, _, word in words))):
            yield words[0][0], words[-1][1], whole
        for at, (start, end, word) in enumerate(words):
            yield from self._hyphened(words, at, folded)
            if at + 1 < len(words) and (word, words[at + 1][2]) in index.shorts:
                gap = folded[end : words[at + 1][0]]
                if len(gap) <= MAX_GAP and "\n" not in gap:
                    yield start, words[at + 1][1], index.shorts[word, words[at + 1][2]]
            if at + 1 < len(words):
                yield from self._beside_initial(words[at], words[at + 1], folded)
            for form in (word, *RUN.findall(word)) if not word.isalpha() else (word,):
                if form in index.alone:
                    offset = word.find(form)
                    yield start + offset, start + offset + len(form), index.alone[form]
                else:
                    if len(form) > MIN_GLUED and index.glued:
                        yield from self._beside_code(start + word.find(form), form)
                    if len(form) >= MIN_CODE + MIN_WORD - 1:
                        yield from self._beside_imaging(start + word.find(form), form)
            if word in index.names:
                yield from self._name_neighbours(words, at, folded)
            for sequence, category in index.sequences.get(word, ()):
                if tuple(w for _, _, w in words[at : at + len(sequence)]) == sequence:
                    yield start, words[at + len(sequence) - 1][1], category

    def _beside_initial(self, one: tuple[int, int, str], other: tuple[int, int, str], folded: str) -> Iterator[Span]:
        """Find a family name of two letters beside the initial of its given name, which a point or comma shows: L. Wu."""
        initialed, gap = self._index.initialed, folded[one[1] : other[0]]
        pointed, behind = self._index.pointed, folded[other[1] : other[1] + 1]
        if (one[2], other[2]) in pointed and gap in (". ", "."):
            yield one[0], other[1], pointed[one[2], other[2]]
        elif (other[2], one[2]) in pointed and gap in (", ", " ") and behind == ".":
            yield one[0], other[1], pointed[other[2], one[2]]
        if (one[2], other[2]) in initialed and expression(r"\. ?").fullmatch(gap):
            yield one[0], other[1], initialed[one[2], other[2]]
        elif (other[2], one[2]) in initialed and (gap == ", " or (gap == " " and behind == ".")):
            yield one[0], other[1], initialed[other[2], one[2]]

    def _run_together(self, text: str) -> Iterator[Span]:
        """Find names that are run together with other words and shown by capitals: SmithHead, JvdBerg, LiWu.

        A piece is a name as a whole word would be; shorter pieces beside it go too, as they are initials and particles.
        """
        alone, whole = self._index.alone, self._index.whole
        if not (alone or whole):
            return
        for match in _LONG_WORD.finditer(text):
            word = match[0]
            if not (word.isupper() or word[1:].islower()):
                yield from self._by_capitals(match.start(), _capital_pieces(word))

    def _by_capitals(self, start: int, pieces: list[tuple[int, str]]) -> Iterator[Span]:
        alone, whole = self._index.alone, self._index.whole
        folded = tuple(fold(piece) for _, piece in pieces)
        end = pieces[-1][0] + len(pieces[-1][1])
        if folded in whole:
            yield start, start + end, whole[folded]
        for at, name in enumerate(folded):
            if len(name) >= MIN_WORD and name in alone:
                first, last = at, at
                while first and len(folded[first - 1]) < MIN_WORD:
                    first -= 1
                while last + 1 < len(pieces) and len(folded[last + 1]) < MIN_WORD:
                    last += 1
                yield (
                    start + pieces[first][0],
                    start + (pieces[last + 1][0] if last + 1 < len(pieces) else end),
                    alone[name],
                )

    def _beside_imaging(self, start: int, word: str) -> Iterator[Span]:
        """Find a name in one word with a word of imaging: SMITHLUNG."""
        alone = self._index.alone
        if word.startswith(_IMAGING) or word.endswith(_IMAGING):
            for cut in range(MIN_WORD, len(word) - MIN_WORD + 1):
                head, tail = word[:cut], word[cut:]
                if len(head) >= MIN_CODE and head in alone and tail in IMAGING:
                    yield start, start + cut, alone[head]
                if len(tail) >= MIN_CODE and tail in alone and head in IMAGING:
                    yield start + cut, start + len(word), alone[tail]

    def _beside_code(self, start: int, word: str) -> Iterator[Span]:
        """Find a name of `MIN_GLUED` letters behind up to three letters, or before a code: CTPIMENTEL, pimentelct."""
        glued, end = self._index.glued, start + len(word)
        for cut in range(1, min(MAX_FRONT, len(word) - MIN_GLUED) + 1):
            if word[cut:] in glued:
                yield start, end, glued[word[cut:]]
        for code in CODES if word.endswith(CODES) else ():
            if word.endswith(code) and word[: -len(code)] in glued:
                yield start, end, glued[word[: -len(code)]]

    def _hyphened(self, words: list[tuple[int, int, str]], at: int, folded: str) -> Iterator[Span]:
        """Find a name with hyphens or apostrophes inside that its header does not have: Muehlen-koetter."""
        joined, end = words[at][2], words[at][1]
        for start, next_end, word in words[at + 1 : at + 3]:
            if start - end != 1 or folded[end] not in _HYPHENS:
                return
            joined, end = joined + word, next_end
            if len(joined) >= MIN_CODE and joined.isalpha() and joined in self._index.alone:
                yield words[at][0], end, self._index.alone[joined]

    def _name_neighbours(self, words: list[tuple[int, int, str]], at: int, folded: str) -> Iterator[Span]:
        """Join a part of a name with the parts and initials of the same name that stand directly beside it."""
        index = self._index
        start, end, word = words[at]
        category = index.alone.get(word)
        for other in (at - 1, at + 1):
            if not 0 <= other < len(words):
                continue
            other_start, other_end, neighbour = words[other]
            low, high = min(start, other_start), max(end, other_end)
            gap = folded[min(end, other_end) : max(start, other_start)]
            if len(gap) > MAX_GAP or "\n" in gap:
                continue
            shared = index.names[word] & index.names.get(neighbour, set())
            if shared and neighbour != word:
                yield low, high, category or index.alone.get(neighbour) or Category.NAME
            elif category and len(neighbour) == 1 and any(neighbour in index.initials[n] for n in index.names[word]):
                yield low, high, category

    def _signatures(self, folded: str) -> Iterator[Span]:
        """Find initials of a name with points behind them; without points they are words and views too (AP, RA)."""
        if self._index.signatures and "." in folded:
            for match in _SIGNATURE.finditer(folded):
                category = self._index.signed_by("".join(filter(str.isalpha, _OF_MC.sub("m.", match[0]))))
                if category:
                    yield match.start(), match.end(), category

    def _verbatim(self, folded: str) -> Iterator[Span]:
        """Find short orders as their header writes them: B/42, not B42."""
        for code, category in self._index.verbatim.items():
            at = folded.find(code)
            while at >= 0:
                if _stands_alone(folded, at, at + len(code), whole_word=True, prefixed=False):
                    yield at, at + len(code), category
                at = folded.find(code, at + 1)

    def _misread(self, text: str) -> Iterator[Span]:
        """Find the bytes of a name in a character set that is not the declared one, as both are read alike."""
        for part, category in self._index.misread.items():
            at = text.find(part)
            while at >= 0:
                yield at, at + len(part), category
                at = text.find(part, at + len(part))

    def _spelled(self, folded: str) -> Iterator[Span]:
        """Find names written letter by letter: S M I T H."""
        for match in _SPELLED.finditer(folded):
            letters = [(m.start(), m[0]) for m in WORD.finditer(match[0])]
            joined = "".join(letter for _, letter in letters)
            for name, category in self._index.alone.items():
                at = joined.find(name) if len(name) >= MIN_SPELLED else -1
                if at >= 0:
                    first, last = letters[at][0], letters[at + len(name) - 1][0]
                    yield match.start() + first, match.start() + last + 1, category

    def _numbers(self, folded: str) -> Iterator[Span]:
        index = self._index
        if not index.numbers:
            return
        runs = [(match.start(), match.end(), match[0]) for match in RUN.finditer(folded)]
        for at, (start, _, _) in enumerate(runs):
            compact, gaps, previous_end = "", [], start
            for run_start, run_end, run in runs[at:]:
                gap = folded[previous_end:run_start]
                if len(gap) > 3 or "\n" in gap:
                    break
                if gap:
                    gaps.append(gap)
                compact, previous_end = compact + run, run_end
                known_as = self._known_number(compact)
                if len(known_as) > index.longest or (len(known_as) >= 3 and known_as[:3] not in index.starts):
                    break
                known = index.numbers.get(known_as)
                if len(known_as) < len(compact) and len(known_as) < MIN_CODE:
                    continue
                if not known or not self._may_be_divided(known, known_as, gaps, folded[start:run_end]):
                    continue
                prefixed = known[0] is Category.RECORD_NUMBER and _PREFIX.search(folded[:start]) is not None
                if _stands_alone(folded, start, run_end, whole_word=len(compact) < 6, prefixed=prefixed):
                    yield start, run_end, known[0]

    def _joined(self, folded: str) -> Iterator[Span]:
        """Find numbers and dates whose digits are a whole run with any marks in it: 7730.4419, 44:88:21, 2024.0229."""
        index = self._index
        if not (index.numbers or index.dates):
            return
        for start, end, digits in joined_runs(folded):
            if digits in index.numbers:
                yield start, end, index.numbers[digits][0]
            elif len(digits) == 8 and any(not index.dates.isdisjoint(days) for _, _, days in find_dates(digits)):
                yield start, end, Category.DATE
        if index.own:
            for start, end, digits in odd_runs(folded, index.longest_own):
                if digits in index.own:
                    yield start, end, index.own[digits]

    def _may_be_divided(self, known: tuple[Category, bool], number: str, gaps: list[str], written: str) -> bool:
        """Tell whether a known number may be written with these gaps; one point between digits makes a decimal number."""
        if not gaps:
            return True
        of_orders = known[0] in (Category.RECORD_NUMBER, Category.ACCESSION)
        if of_orders and len(number) >= MIN_NUMBER and is_in_thousands(written):
            return True
        if of_orders and number.isdigit() and len(number) >= MIN_CODE and len(gaps) == 1 and gaps[0] in _DIVIDERS:
            return True
        return known[1] and (gaps != ["."] or not number.isdigit() or number in self._index.dotted)

    def _known_number(self, compact: str) -> str:
        """Return a number without the zeros in front that the header's does not have: 00001234567 of 12-34-567."""
        if compact[0] != "0" or not compact.isdigit() or compact in self._index.numbers:
            return compact
        bare = compact.lstrip("0")
        if compact[:3] in self._index.starts and bare not in self._index.numbers:
            return compact
        return bare if len(bare) >= MIN_NUMBER or len(bare) < 3 or bare[:3] in self._index.starts else compact

    def _dates(self, folded: str) -> Iterator[Span]:
        dates = self._index.dates
        if not dates:
            return
        for start, end, readings in find_dates(folded):
            if any(reading in dates for reading in readings):
                yield start, end, Category.DATE
                if not self.birth_dates.isdisjoint(readings):
                    yield from self._beside_birth_date(folded, start, end)

    def _birth_years(self, folded: str) -> Iterator[Span]:
        """Find the year of birth behind a word or sign of birth (b.1952, *1952), and with its month: 08/53, 8.1953."""
        for match in _MONTH_AND_YEAR.finditer(folded) if self.birth_dates else ():
            months = {date[:6] for date in self.birth_dates}
            padded, year = match[1].zfill(2), match[2]
            telling = len(year) == 4 or len(match[1]) == 2 or int(year) > 31
            if telling and any(month.endswith(padded) and month[:4].endswith(year) for month in months):
                yield match.start(), match.end(), Category.DATE
        years = {date[:4] for date in self.birth_dates}
        if years and any(year in folded for year in years):
            for match in _BIRTH_YEAR.finditer(folded):
                if match[1] in years:
                    yield match.start(), match.end(), Category.DATE

    def _beside_birth_date(self, folded: str, start: int, end: int) -> Iterator[Span]:
        for match in (_INITIALS_BEFORE.search(folded[:start]), _INITIALS_BEHIND.match(folded, end)):
            letters = "".join(filter(str.isalpha, match[0])) if match and "\n" not in match[0] else ""
            if letters in self._index.signatures:
                yield min(start, match.start()), max(end, match.end()), self._index.signatures[letters]

    def _inside(self, folded: str) -> Iterator[Span]:
        pattern = self._index.inside_pattern
        if pattern is not None:
            for match in pattern.finditer(folded):
                yield match.start(), match.end(), self._index.inside[match[0]]

    def needles(self) -> list[tuple[Category, str]]:
        """Return normal forms to look for in text of doubtful spelling (OCR) and in bytes, sorted.

        Upper case, accents folded, letters and digits only: each word of a name that identifies alone and the name
        joined in both orders; numbers, telephone numbers and distinctive words of places without separators; dates
        as digits in three orders (YYYYMMDD, DDMMYYYY, MMDDYYYY) and with an English month name (31JAN2020, JAN312020).
        Values in scripts without blanks stand as they are. Compare with text that is folded in the same way
        (`needle_form`); a needle shorter than 4 characters should match whole words only.
        """
        index = self._index
        found = {(category, needle_form(word)) for word, category in index.alone.items()}
        found |= {(category, needle_form(number)) for number, (category, _) in index.numbers.items()}
        found |= {(category, needle_form(text)) for text, category in index.inside.items()}
        for sequences in index.sequences.values():
            found |= {(category, "".join(words).upper()) for words, category in sequences}
        for day in index.dates:
            year, month, date = day[:4], day[4:6], day[6:]
            name = MONTH_NAMES[int(month) - 1].split()[1 if month != "05" else 0][:3].upper()
            forms = (day, date + month + year, month + date + year, date + name + year, name + date + year)
            found |= {(Category.DATE, form) for form in forms}
        return sorted(found)


def _is_abbreviation(text: str, span: Span, others: list[Span]) -> bool:
    """Tell whether initials are an abbreviation with points (p.i., V.a., o.B.) and no name stands beside them."""
    start, end, _ = span
    written = text[start:end].replace(" ", "")
    if written.isupper() or fold(written) not in dotted_abbreviations():
        return False
    names = [(low, high) for low, high, category in others if category in (Category.NAME, Category.PERSON)]
    gaps = [text[high:start] for low, high in names if high <= start] + [
        text[end:low] for low, _ in names if low >= end
    ]
    return not any(map(_BESIDE_SIGNATURE.fullmatch, gaps))


def _capital_pieces(word: str) -> list[tuple[int, str]]:
    """Return the pieces of a word that begin with a capital, each with its place: vd Berg of vdBerg, CT Smith of CTSmith."""
    starts = [0]
    for at in range(1, len(word)):
        begins = word[at].isupper() and (word[at - 1].islower() or word[at + 1 : at + 2].islower())
        if begins:
            starts.append(at)
    return [(start, word[start:end]) for start, end in pairwise([*starts, len(word)])]


def needle_form(text: str) -> str:
    """Return text in the normal form of `Lexicon.needles`: upper case, folded, letters and digits only."""
    return compacted(text).upper()


def _end(positions: list[int], end: int) -> int:
    """Return where a folded span ends in the text, with the marks that folding left out behind it."""
    return max(positions[end - 1] + 1, positions[end])


_INTEGER_PART = Expression(r"(?:^|[^\d.])\d{1,4}[.,]$")


def _stands_alone(folded: str, start: int, end: int, *, whole_word: bool, prefixed: bool) -> bool:
    """Tell whether a number is no part of a decimal number and, where asked for, a word of its own, or behind a prefix."""
    beside = (not prefixed and folded[max(start - 1, 0) : start].isalnum()) or folded[end : end + 1].isalnum()
    if whole_word and beside:
        return False
    if not folded[start:end].isdigit():
        return True
    after = folded[end : end + 2]
    followed = len(after) == 2 and after[0] in ".," and after[1].isdigit()
    if _INTEGER_PART.search(folded[max(start - 6, 0) : start]) and not followed:
        return False
    return not (whole_word and followed)


def _merge(found: list[Span]) -> list[Span]:
    """Join overlapping spans; the longest names the category."""
    merged: list[tuple[int, int, Category, int]] = []
    for start, end, category in sorted(found, key=lambda span: (span[0], -span[1], span[2])):
        if merged and start < merged[-1][1]:
            low, high, kept, longest = merged[-1]
            if end - start > longest:
                kept, longest = category, end - start
            merged[-1] = (low, max(high, end), kept, longest)
        else:
            merged.append((start, end, category, end - start))
    return [(start, end, category) for start, end, category, _ in merged]
