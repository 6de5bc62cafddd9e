"""The identifiers of a patient as verification looks for them in text and bytes, with rules against chance matches.

The rules, in the order in which they apply:

1. Words that describe images, places in a body and devices (`ORDINARY`) never count alone, nor do phrases made of
   nothing else; they count beside another part of the same name. For institutions, addresses, numbers and devices the
   same holds of `PLACE_WORDS`.
2. A part of a name counts alone from `MIN_NAME` letters, with `MIN_WHOLE` letters only as a whole value, shorter ones
   only directly beside another part of the same name, in either order. Written letter by letter it counts from
   `MIN_SPELLED` letters. A name of three parts and more counts as one word, one of short parts as a whole value.
3. A number of digits alone counts inside a word from `MIN_DIGIT_RUN` digits, as a word of its own from
   `MIN_DIGIT_WORD`, as a whole value from `MIN_WHOLE`; years, repeated digits and fractions of decimals never count.
   Zeros in front of the first kind are left out. In DS and IS it counts only as a whole component of `MIN_DIGIT_RUN`
   digits and more; a UID never counts there.
4. A mixed code counts as a word of its own from `MIN_CODE` characters, shorter ones as a whole value.
5. A date counts as YYYYMMDD (also at the head of a DT), and in text with a year of four digits in the usual orders.
6. TM and AS values that are such hold no identifiers, DA and DT only dates; what is no time, age or date there is text.
   In values that are no text a hit counts if it has `MIN_BINARY_HIT` characters or stands in `MIN_BINARY_RUN` printable
   ones. Base64, deflated streams and UTF-16 are read, too.
7. A word that is not ASCII counts in any encoding of DICOM: from 4 bytes in encodings that source or result declare and
   in values of up to 4096 bytes, else from `MIN_BINARY_HIT` bytes.
8. A source UID counts as a word of its own or with components behind it; one of fewer than 10 characters as a whole value
   in UI, and elsewhere only with three components.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from phi_deid_pipeline.lexicon import Entry
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_words import MONTHS, ORDINARY, PARTICLES, PLACE_WORDS

MIN_NAME = 4
MIN_WHOLE = 3
MIN_DIGIT_WORD = 5
MIN_DIGIT_RUN = 6
MIN_CODE = 5
MIN_PLACE_WORD = 6
MIN_BINARY_HIT = 6
MIN_BINARY_RUN = 8
MAX_GAP = 3  # characters between two parts of a name

_NO_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_WORD = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")
_WRITTEN = re.compile(r"(?<!\d)(\d{1,4})[-/. _]\s?(\d{1,2})[-/. _]\s?(\d{1,4})(?!\d)")
_MONTH_OF = {name: f"{number:02d}" for number, names in enumerate(MONTHS.split("|"), 1) for name in names.split()}
_DAY_MONTH = re.compile(r"(?<!\d)(\d{1,2})[\W_]{0,2}([^\W\d_]{3,10})[\W_]{0,3}(\d{4})(?!\d)")
_MONTH_DAY = re.compile(r"([^\W\d_]{3,10})[\W_]{0,2}(\d{1,2})[\W_]{1,3}(\d{4})(?!\d)")

# The same questions on bytes of ASCII in lower case, asked of all values of an instance at once.
_BYTE_WORD = re.compile(rb"[0-9a-z]{2,}")
_BYTE_LETTERS = re.compile(rb"[a-z]{4,}")
_BYTE_DIGITS = re.compile(rb"[0-9]{6,}")
_BYTE_WRITTEN = re.compile(
    rb"[0-9][-/. _] ?[0-9]{1,2}[-/. _] ?[0-9]"
    rb"|[a-z]{3}[^0-9a-z]{0,3}(?:[0-9]{1,2}[^0-9a-z]{1,3})?(?:18|19|20|21)[0-9]{2}"
)
MIN_SPELLED = 5
_SPELLED = re.compile(rf"(?<![^\W_])(?:[^\W\d_][ ._-]{{1,2}}){{{MIN_SPELLED - 1},}}[^\W\d_](?![^\W_])")
_BYTE_SPELLED = re.compile(rb"[a-z][ ._-]{1,2}[a-z][ ._-]{1,2}[a-z][ ._-]{1,2}[a-z][ ._-]{1,2}[a-z](?![a-z])")


_KATAKANA = {code: code + 0x60 for code in (*range(0x3041, 0x3097), 0x309D, 0x309E)}


def fold(text: str) -> str:
    """Return text in lower case without accents, hiragana as katakana."""
    if text.isascii():
        return text.lower()
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", plain).translate(_KATAKANA)


def _spellings(text: str) -> set[str]:
    """Return the folded text and its transliteration (ä as ae)."""
    spelled = unicodedata.normalize("NFC", text).casefold()
    for letter, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ø", "oe"), ("å", "aa"), ("æ", "ae"), ("ł", "l")):
        spelled = spelled.replace(letter, letters)
    return {fold(text), fold(spelled), fold(text.casefold().replace("ø", "o").replace("ł", "l"))}


class Needles:
    """Identifiers compiled once per patient. `harmless` are values that the engine writes itself: pseudonyms."""

    def __init__(self, entries: Iterable[Entry], skip: frozenset[Category], harmless: Iterable[str] = ()) -> None:
        self.letters: dict[str, Category] = {}  # runs of letters
        self.words: dict[str, Category] = {}  # runs of letters and digits
        self.digits: dict[str, Category] = {}  # runs of digits
        self.pairs: dict[str, dict[str, Category]] = {}  # neighbours within one name
        self.phrases: dict[str, list[tuple[tuple[str, ...], Category]]] = {}
        self.whole: dict[str, Category] = {}  # words of a value, joined by blanks
        self.inside: dict[str, Category] = {}  # scripts without blanks
        self.dates: frozenset[str] = frozenset()
        self._originals: dict[str, Category] = {}  # words that are not ASCII, as they were written
        self._harmless = ORDINARY | {word for text in harmless for word in _WORD.findall(fold(text))}
        self._generic = self._harmless | PLACE_WORDS
        order = list(Category)
        chosen = [entry for entry in entries if entry.category not in skip]
        self.dates = frozenset(e.value for e in chosen if e.category is Category.DATE and e.value != "19000101")
        for entry in sorted(chosen, key=lambda e: (order.index(e.category), e.value)):
            self._add(entry)
        self._encoded: dict[tuple[str, ...], list[tuple[bytes, Category]]] = {}
        telling = {max(one, other, key=len) for one, others in self.pairs.items() for other in others}
        telling |= {*self.words, *(max(phrase.split(" "), key=len) for phrase in self.whole)}
        telling |= {max(phrase, key=len) for phrases in self.phrases.values() for phrase, _ in phrases}
        self._byte_words = {word.encode() for word in telling if word.isascii()}
        self._byte_letters = {word.encode() for word in self.letters if word.isascii()}
        self._byte_digits = {word.encode() for word in self.digits}
        self._byte_dates = {day.encode() for day in self.dates}
        self._byte_turned = {day[6:] + day[4:6] + day[:4] for day in self.dates}
        self._byte_turned |= {day[4:] + day[:4] for day in self.dates}

    # ---------------------------------------------------------------- compiling

    def _add(self, entry: Entry) -> None:
        if entry.category in (Category.NAME, Category.PERSON):
            for group in entry.value.split("="):
                self._add_name(group, entry.category)
        elif entry.category in (Category.INSTITUTION, Category.ADDRESS):
            self._add_place(entry.value, entry.category)
        elif entry.category is Category.CONTACT:
            self._add_contact(entry.value, entry.category)
        elif entry.category not in (Category.DATE, Category.BIRTH_DATE):
            self._add_code(entry.value, entry.category)

    def _add_name(self, text: str, category: Category) -> None:
        words: list[str] = []
        for original in _WORD.findall(text):
            if not original.isascii():
                self._add_original(original, category)
            for word in sorted(_spellings(original)):
                words.append(word)
                self._add_name_word(word, category)
        self._add_joined([fold(word) for word in _WORD.findall(text)], category)
        parts = [w for w in words if w not in PARTICLES and len(w) >= (1 if _NO_BLANKS.search(w) else 2)]
        for one in parts:
            for other in parts:
                if one == other or (one in self._harmless and other in self._harmless):
                    continue
                self.pairs.setdefault(one, {}).setdefault(other, category)
                joined = one + other
                if len(joined) >= MIN_DIGIT_RUN and joined.isalpha():
                    self.letters.setdefault(joined, category)
                elif _NO_BLANKS.search(joined):
                    self.inside.setdefault(joined, category)

    def _add_joined(self, parts: list[str], category: Category) -> None:
        """Add a name of several parts as one word; one of short parts counts as a whole value, in both orders."""
        if len(parts) < 2 or not all(part.isalpha() for part in parts) or _NO_BLANKS.search("".join(parts)):
            return
        if all(part in self._harmless for part in parts):
            return
        plain = not any(part in self._harmless or part in PARTICLES for part in parts)
        short = plain and len("".join(parts)) >= MIN_WHOLE and max(map(len, parts)) <= 2
        for order in (parts, [*parts[1:], parts[0]], [parts[-1], *parts[:-1]]):
            if short:
                self.whole.setdefault(" ".join(order), category)
            elif len(parts) > 2 and min(map(len, parts)) >= 2:
                self.letters.setdefault("".join(order), category)

    def _add_name_word(self, word: str, category: Category) -> None:
        if word in self._harmless or word in PARTICLES:
            return
        if _NO_BLANKS.search(word):
            if len(word) >= 2:
                self.inside.setdefault(word, category)
        elif word.isalpha():
            if len(word) >= MIN_NAME:
                self.letters.setdefault(word, category)
            elif len(word) == MIN_WHOLE:
                self.whole.setdefault(word, category)
        elif not word.isdigit() and len(word) >= MIN_CODE:
            self.words.setdefault(word, category)
        elif len(word) >= MIN_DIGIT_RUN:
            self.digits.setdefault(word, category)

    def _add_original(self, word: str, category: Category) -> None:
        if len(word) >= (2 if _NO_BLANKS.search(word) else MIN_NAME):
            for form in (word, word.lower(), word.upper(), word.title()):
                self._originals.setdefault(unicodedata.normalize("NFC", form), category)

    def _add_phrase(self, words: Sequence[str], category: Category) -> None:
        if len(words) > 1 and not all(word in self._generic or len(word) < 2 for word in words):
            self.phrases.setdefault(words[0], []).append((tuple(words), category))

    def _add_place(self, text: str, category: Category) -> None:
        for part in {text, *re.split(r"[,;\\^\n\r]+", text)}:
            self._add_phrase(_WORD.findall(fold(part)), category)
        for original in _WORD.findall(text):
            if not original.isascii() and fold(original) not in self._generic:
                self._add_original(original, category)
            for word in sorted(_spellings(original)):
                if word in self._generic:
                    continue
                if _NO_BLANKS.search(word) and len(word) >= 2:
                    self.inside.setdefault(word, category)
                elif word.isalpha() and len(word) >= MIN_PLACE_WORD:
                    self.letters.setdefault(word, category)
                elif not word.isalpha() and len(word) >= MIN_DIGIT_RUN:
                    self._add_code(word, category)

    def _add_contact(self, text: str, category: Category) -> None:
        words = _WORD.findall(fold(text))
        self._add_phrase(words, category)
        for local in re.findall(r"([^\s@:;,<>]+)@", fold(text)):
            if local.isalpha() and len(local) >= MIN_CODE and local not in self._harmless:
                self.letters.setdefault(local, category)
        digits = "".join(_DIGITS.findall(text))
        if 7 <= len(digits) <= 20:
            self.digits.setdefault(digits, category)

    def _add_code(self, text: str, category: Category) -> None:
        words = _WORD.findall(fold(text))
        compact = "".join(words)
        if not compact or all(word in self._generic for word in words) or len(set(compact)) == 1:
            return
        if _NO_BLANKS.search(compact):
            if len(compact) >= 2:
                self.inside.setdefault(compact, category)
            return
        if not compact.isascii():
            self._add_original(text.strip(), category)
        if compact.isdigit():
            for digits in {compact, compact.lstrip("0")}:
                self._add_digits(digits, category)
        elif len(compact) >= MIN_CODE or (compact.isalpha() and len(compact) >= MIN_NAME):
            self.words.setdefault(compact, category)
        elif len(compact) >= MIN_WHOLE:
            self.whole.setdefault(" ".join(words), category)
        if len(compact) >= MIN_DIGIT_WORD:
            self._add_phrase(words, category)

    def _add_digits(self, digits: str, category: Category) -> None:
        if len(digits) >= MIN_DIGIT_RUN:
            self.digits.setdefault(digits, category)
        elif len(digits) >= MIN_DIGIT_WORD:
            self.words.setdefault(digits, category)
        elif len(digits) >= MIN_WHOLE and not re.fullmatch(r"(19|20)\d\d", digits):
            self.whole.setdefault(digits, category)

    # ---------------------------------------------------------------- searching

    def may_hit(self, data: bytes) -> bool:
        """Tell quickly whether bytes (lower case) may hold an identifier spelled in ASCII; `hits` decides."""
        if not self._byte_words.isdisjoint(_BYTE_WORD.findall(data)):
            return True
        if not self._byte_letters.isdisjoint(_BYTE_LETTERS.findall(data)):
            return True
        if _BYTE_SPELLED.search(data):
            return True
        runs = _BYTE_DIGITS.findall(data)
        if not self._byte_digits.isdisjoint((*runs, *(run.lstrip(b"0") for run in runs))):
            return True
        if not self.dates:
            return False
        if any(run[:8] in self._byte_dates or run.decode() in self._byte_turned for run in runs):
            return True
        return bool(_BYTE_WRITTEN.search(data))

    @property
    def foreign(self) -> bool:
        """Tell whether there are words that are not ASCII."""
        return bool(self._originals)

    def encoded(self, encodings: Iterable[str]) -> list[tuple[bytes, Category]]:
        """Return the words that are not ASCII as bytes in each encoding, UTF-8 and ISO 8859-1 always among them."""
        key = tuple(sorted({"utf-8", "latin-1", *encodings}))
        if key not in self._encoded:
            found: dict[bytes, Category] = {}
            for word, category in sorted(self._originals.items()):
                for encoding in key:
                    data = _encode(word, encoding)
                    if len(data) >= 4:
                        found.setdefault(data, category)
            self._encoded[key] = sorted(found.items())
        return self._encoded[key]

    def hits(self, text: str, *, dates: frozenset[str] | None = None) -> Iterator[tuple[Category, int]]:
        """Yield category and length of each identifier in text of any case; `dates` in place of the patient's own."""
        folded = fold(text)
        words = [(match.start(), match[0]) for match in _WORD.finditer(folded)]
        for at, (start, word) in enumerate(words):
            yield from self._word_hits(folded, start, word)
            if word in self.pairs and at + 1 < len(words):
                next_start, other = words[at + 1]
                if other in self.pairs[word] and next_start - start - len(word) <= MAX_GAP:
                    yield self.pairs[word][other], len(word) + len(other)
            for phrase, category in self.phrases.get(word, ()):
                if tuple(other for _, other in words[at : at + len(phrase)]) == phrase:
                    yield category, sum(map(len, phrase))
        for match in _SPELLED.finditer(folded):
            spelled = "".join(_WORD.findall(match[0]))
            yield from ((c, len(n)) for n, c in self.letters.items() if len(n) >= MIN_SPELLED and n in spelled)
        if self.whole:
            joined = " ".join(word for _, word in words)
            if joined in self.whole:
                yield self.whole[joined], len(joined)
        for needle, category in self.inside.items():
            if needle in folded:
                yield category, MIN_BINARY_HIT
        if dates is None:
            dates = self.dates
        if dates and _holds_date(folded, dates):
            yield Category.DATE, 8

    def _word_hits(self, folded: str, start: int, word: str) -> Iterator[tuple[Category, int]]:
        fraction = start >= 2 and folded[start - 1] == "." and folded[start - 2].isdigit()
        if word in self.words and not (fraction and word.isdigit()):
            yield self.words[word], len(word)
        for run in _LETTERS.findall(word) if not word.isalpha() else (word,):
            if run in self.letters:
                yield self.letters[run], len(run)
        if not fraction:
            for run in _DIGITS.findall(word):
                known = run if run in self.digits else run.lstrip("0")
                if known in self.digits:
                    yield self.digits[known], len(known)

    def may_be_numbers(self, data: bytes, *, dates: frozenset[str]) -> bool:
        """Tell quickly whether `numbers` may find something in values of DS and IS."""
        wanted = self._byte_dates if dates is self.dates else {day.encode() for day in dates}
        return any(number in data for number in self._byte_digits | wanted)

    def numbers(self, components: set[bytes], *, dates: frozenset[str] | None = None) -> set[Category]:
        """Return the categories of identifiers among whole components of DS and IS values."""
        found = {self.digits[c.decode()] for c in self._byte_digits & components}
        wanted = self._byte_dates if dates is None else {day.encode() for day in dates}
        if wanted & components:
            found.add(Category.DATE)
        return found


def _encode(word: str, encoding: str) -> bytes:
    """Return a word's bytes without the return to ASCII at its end; b"" where the encoding does not have it."""
    try:
        data = word.encode(encoding)
    except UnicodeEncodeError:
        return b""
    return data.removesuffix(b"\x1b(B").removesuffix(b"\x1b(J")


def _holds_date(folded: str, dates: frozenset[str]) -> bool:
    for match in _DIGITS.finditer(folded):
        run = match[0]
        if len(run) in (8, 10, 12, 14) and run[:8] in dates:
            return True
        if len(run) == 8 and (run[4:] + run[2:4] + run[:2] in dates or run[4:] + run[:4] in dates):
            return True
    for match in _WRITTEN.finditer(folded):
        a, b, c = (f"{int(part):02d}" for part in match.groups())
        orders = {a + b + c} if len(a) == 4 else {c + b + a, c + a + b} if len(c) == 4 else set()
        if orders & dates:
            return True
    for pattern, (day, month, year) in ((_DAY_MONTH, (1, 2, 3)), (_MONTH_DAY, (2, 1, 3))):
        for match in pattern.finditer(folded):
            number = _month(match[month])
            if number and f"{match[year]}{number}{int(match[day]):02d}" in dates:
                return True
    return False


def _month(name: str) -> str:
    if name.startswith("juil"):
        return "07"
    if name.startswith("juin"):
        return "06"
    return _MONTH_OF.get(name[:3], "")
