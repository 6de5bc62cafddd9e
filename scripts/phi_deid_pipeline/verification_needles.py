"""The identifiers of a patient as verification looks for them in text and bytes, with rules against chance matches.

The rules, in the order in which they apply:

1. Words that describe images, places in a body and devices (`ORDINARY`) never count alone, nor do phrases made of
   nothing else; they count beside another part of the same name. For institutions, addresses, numbers and devices the
   same holds of `PLACE_WORDS`.
2. A part of a name counts alone from `MIN_NAME` letters, with `MIN_WHOLE` letters only as a whole value, shorter ones
   only directly beside another part of the same name, in either order, two letters also beside an initial with a point.
   So does one of two letters behind a title, written with one capital (Dr. Ma), and all initials of a name of three
   words and more, as capitals with points (J.P.S.). Written letter by letter it counts from `MIN_SPELLED` letters,
   and divided by hyphens. A name of three parts and more counts as one word, one of short parts as a whole value.
   How a word may be spelled says `verification_spellings`.
3. A number of digits alone counts inside a word from `MIN_DIGIT_RUN` digits, as a word of its own from
   `MIN_DIGIT_WORD`, an ID of the patient as a whole value from `MIN_NUMBER`; years, repeated digits and fractions of
   decimals never count. Zeros in front are left out where `MIN_DIGIT_WORD` digits are left: 00012 is not 12. From
   `MIN_GROUPED` digits it counts in groups of any size, too, a shorter part of an ID or order in two groups that no
   point divides. In DS and IS it counts only as a whole component of `MIN_DIGIT_RUN` digits and more; a UID never counts
   there. Of a telephone number the last ten and seven digits count, and the number without the code of its country.
   Four digits of an ID or order, no year and not round, count behind a word for numbers (`NUMBER_CUES`) or #, too.
4. A mixed code counts as a word of its own from `MIN_CODE` characters, in groups from `MIN_GROUPED`, one of `MIN_NAME` as
   a whole value, an ID of the patient from `MIN_WHOLE`. Which parts of IDs, orders and addresses count as a number or code
   says `verification_numbers`; what the header divides counts in groups whatever its length. In CS a word of letters never
   counts that is a term (`CODE_TERMS`) or has `MIN_WHOLE` letters: LAO, MAX and NORM are terms there before they are names.
5. A date counts as YYYYMMDD (also at the head of a DT), and in text in the forms of `verification_written`. The year of
   birth counts alone behind a word for birth, and with its month (08/53, 8.1953).
6. TM and AS values that are such hold no identifiers, DA and DT only dates; what is no time, age or date there is text.
   In values that are no text a hit counts if it has `MIN_BINARY_HIT` characters or stands in `MIN_BINARY_RUN` printable
   ones. Base64, deflated streams and UTF-16 are read, too.
7. A word that is not ASCII counts in any encoding of DICOM: from 4 bytes in encodings that source or result declare and
   in values of up to 4096 bytes, else from `MIN_BINARY_HIT` bytes.
8. A source UID counts as a word of its own or with components behind it; one of fewer than 10 characters as a whole value
   in UI, and elsewhere only with three components.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.identifiers import Entry
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification_numbers import (
    THOUSANDS,
    address_codes,
    address_pairs,
    behind_country,
    day_orders,
    divided_in_bytes,
    divided_numbers,
    is_year_or_round,
    order_numbers,
    order_tails,
    pointed,
)
from phi_deid_pipeline.verification_spellings import (
    MIN_GLUED,
    beside_code,
    beside_imaging,
    capital_pieces,
    fold,
    glued_families,
    ideograph_forms,
    joined_in_bytes,
    joined_pieces,
    name_spellings,
    plain_spellings,
    prefixed_parts,
    spellings,
)
from phi_deid_pipeline.verification_words import NUMBER_CUES, ORDINARY, PARTICLES, PLACE_WORDS, POSTCODE_CUES
from phi_deid_pipeline.verification_written import BYTES as _BYTE_WRITTEN
from phi_deid_pipeline.verification_written import birth_months, holds_birth_month, holds_birth_year, holds_date

MIN_NAME = 4
MIN_WHOLE = 3
MIN_ACCOUNT = 5  # letters of a family name in the name of an account
MIN_NUMBER = 4
MIN_DIGIT_WORD = 5
MIN_DIGIT_RUN = 6
MIN_CODE = 5
MIN_GROUPED = 7
MIN_PLACE_WORD = 6
MIN_BINARY_HIT = 6
MIN_BINARY_RUN = 8
MAX_GAP = 3  # characters between two parts of a name
MAX_GROUPS = 6  # of a number or code

_NO_BLANKS = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
_WORD = Expression(r"[^\W_]+")
_LETTERS = Expression(r"[^\W\d_]+")
_DIGITS = Expression(r"\d+")
_BEHIND_CUE = Expression(r"[ .:#=-]{1,3}")
_DIVIDERS = frozenset(" -/_")  # of a short number; a point makes a decimal of it
_OF_ORDERS = (Category.RECORD_NUMBER, Category.ACCESSION)
_HYPHENS = frozenset("-'`\u00ad\u00b4\u2010\u2011\u2012\u2013\u2018\u2019\u02bc")

# The same questions on bytes of ASCII in lower case, asked of all values of an instance at once.
_BYTE_WORD = Expression(rb"[0-9a-z]{2,}")
_BYTE_LETTERS = Expression(rb"[a-z]{4,}")
_BYTE_DIGITS = Expression(rb"[0-9]{6,}")
_BYTE_DIVIDED = Expression(rb"(?<![a-z])[a-z]++(?:[-'`][a-z]++)++")
_BYTE_MARKS = b" -/._,:;+()"  # between the groups of a number or code
MIN_SPELLED = 5
_SPELLED = re.compile(rf"(?<![^\W_])(?:[^\W\d_][ ._-]{{1,2}}){{{MIN_SPELLED - 1},}}[^\W\d_](?![^\W_])")
MIN_SIGNED, NO_INITIALS = 3, frozenset({"usa"})
_SIGNED = Expression(r"(?<![\w.])(?:[A-Z]\.[ -]{0,2}){2,5}[A-Z]\.(?!\w)")
_BYTE_SIGNED = Expression(rb"\.[ -]{0,2}[a-z]\.[ -]{0,2}[a-z]\.")
_TITLED = Expression(
    r"(?<!\w)(?:D(?:r|hr|octor|octeur|oktor)|Mrs?|Ms|Prof|Herrn?|Frau|Mme|Monsieur|Madame|Mevr(?:ouw)?)\.? ([A-Z][a-z])(?!\w)"
)
_BYTE_SPELLED = Expression(rb"[a-z][ ._-]{1,2}[a-z][ ._-]{1,2}[a-z][ ._-]{1,2}[a-z][ ._-]{1,2}[a-z](?![a-z])")


class Needles:
    """Identifiers compiled once per patient. `harmless` are values that the engine writes itself: pseudonyms."""

    def __init__(self, entries: Iterable[Entry], skip: frozenset[Category], harmless: Iterable[str] = ()) -> None:
        self.letters: dict[str, Category] = {}  # runs of letters
        self.words: dict[str, Category] = {}  # runs of letters and digits
        self.digits: dict[str, Category] = {}  # runs of digits
        self.parts: dict[str, dict[int, Category]] = {}  # words of names -> the names they are of
        self._names = 0
        self.phrases: dict[str, list[tuple[tuple[str, ...], Category]]] = {}
        self.whole: dict[str, Category] = {}  # words of a value, joined by blanks
        self.cued: dict[str, Category] = {}  # numbers that count behind a word for numbers
        self.towns: dict[str, Category] = {}  # four digits of an address: they count behind a word for postcodes
        self.inside: dict[str, Category] = {}  # scripts without blanks
        self._divided: dict[str, Category] = {}  # short numbers that count in groups, too
        self._thousands: dict[
            str, Category
        ] = {}  # short numbers of orders that count in thousands and in two groups, too
        self._initialed: dict[str, Category] = {}  # L. Wu
        self._signed: dict[str, Category] = {}  # initials that count with points: J.P.S.
        self._titled: dict[str, Category] = {}  # parts of names of two letters: they count behind a title
        self._pointed: set[str] = set()  # numbers that count with one point inside
        self.dates: frozenset[str] = frozenset()
        self._originals: dict[str, Category] = {}  # words that are not ASCII, as they were written
        self._harmless = ORDINARY | {word for text in harmless for word in _WORD.findall(fold(text))}
        self._generic = self._harmless | PLACE_WORDS
        order = list(Category)
        chosen = [entry for entry in entries if entry.category not in skip]
        self._births = frozenset(e.value for e in chosen if e.category is Category.BIRTH_DATE)
        self._years = frozenset(day[:4] for day in self._births)
        self._byte_months = tuple(form.encode() for form in sorted(birth_months(self._births)))
        self._byte_years = tuple(year.encode() for year in sorted(self._years))
        self._byte_born = re.compile(rb"[a-z][.:=]{0,2}\s?(?:%b)(?![0-9a-z])" % b"|".join(self._byte_years))
        self.dates = frozenset(e.value for e in chosen if e.category is Category.DATE and e.value != "19000101")
        for entry in sorted(chosen, key=lambda e: (order.index(e.category), e.value)):
            self._add(entry)
        self._encoded: dict[tuple[str, ...], list[tuple[bytes, Category]]] = {}
        telling = {word for word in self.parts if word not in self._harmless}
        telling |= {*self.words, *self.cued, *self.towns, *(max(phrase.split(" "), key=len) for phrase in self.whole)}
        telling |= {max(phrase, key=len) for phrases in self.phrases.values() for phrase, _ in phrases}
        self._byte_words = {word.encode() for word in telling if word.isascii()}
        self._byte_letters = {word.encode() for word in self.letters if word.isascii()}
        self._byte_joined = self._byte_letters | {text.encode() for text in self.whole if text.isascii()}
        self._byte_digits = {word.encode() for word in self.digits}
        self._grouped = {code: c for code, c in (self.digits | self.words).items() if len(code) >= MIN_GROUPED}
        self._grouped = self._divided | self._grouped
        grouped = {*self._grouped, *self._thousands}
        self._byte_grouped = sorted(code.encode() for code in grouped if code.isascii() and not code.isalpha())
        titled = b"|".join(word.encode() for word in sorted(self._titled))
        self._byte_titled = re.compile(rb"[.\s](?:%b)(?![0-9a-z])" % titled)
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
        originals = _WORD.findall(text)
        divided = [_WORD.findall(part) for part in expression(r"[\s^,;_]+").split(text) if _WORD.search(part)]
        forms: set[str] = set().union(*map(joined_pieces, divided))
        for original in originals:
            if not original.isascii():
                self._add_original(original, category)
            forms |= name_spellings(original)
            for front, rest in prefixed_parts(fold(original)):
                forms.add(front + rest)
                self._add_phrase([front, rest], category)
        for word in sorted(forms):
            self._add_name_word(word, category)
            if word not in PARTICLES and len(word) >= (1 if _lacks_blanks(word) else 2):
                self.parts.setdefault(word, {}).setdefault(self._names, category)
        self._names += 1
        self._add_joined([fold(word) for word in originals], category)
        joined = ["".join(pieces) for pieces in divided]
        self._add_joined([fold(word) for word in joined], category)
        for words in (originals, joined) if joined != originals else (originals,):
            self._add_neighbours([plain_spellings(word) - PARTICLES for word in words], category)
        components = [words for part in expression(r"[\^,;]").split(text) if (words := _WORD.findall(part))]
        self._add_accounts(components, category)
        for words in components:
            for word in sorted(joined_pieces(words)):
                self._add_name_word(word, category)
        self._add_initialed([fold(word) for word in originals], category)
        self._add_signed(components, category)
        for word in map(fold, originals):
            if len(word) == 2 and word.isascii() and word.isalpha() and word not in PARTICLES:
                self._titled.setdefault(word, category)

    def _add_signed(self, components: list[list[str]], category: Category) -> None:
        """Add the initials of family and given names, in both orders, where they are three and more."""
        parts = [[word for word in map(fold, words) if word not in PARTICLES] for words in components[:3]]
        family = "".join(word[0] for words in parts[:1] for word in words)
        given = "".join(word[0] for words in parts[1:] for word in words)
        if len(family + given) >= MIN_SIGNED and (family + given).isalpha() and (family + given).isascii():
            for letters in {family + given, given + family} - NO_INITIALS:
                self._signed.setdefault(letters, category)

    def _add_accounts(self, components: list[list[str]], category: Category) -> None:
        """Add the family name with its particles glued to it, and with an initial as in accounts; an s behind is a plural."""
        if not components:
            return
        glued = glued_families(components[0])
        whole = {form for form in plain_spellings("".join(components[0])) - self._harmless if len(form) >= MIN_ACCOUNT}
        initials = {form[0] for words in components[1:2] for form in plain_spellings(words[0]) if form[0].isalpha()}
        accounts = {i + f for f in glued | whole for i in initials} | {
            f + i for f in glued | whole for i in initials - {"s"}
        }
        for word in sorted(accounts | glued):
            if len(word) >= MIN_ACCOUNT and word.isalpha() and not _lacks_blanks(word):
                self.letters.setdefault(word, category)

    def _add_initialed(self, parts: list[str], category: Category) -> None:
        """Add a family name of two letters with the initial of a given name, and with what shows that it is one: L. Wu.

        A comma shows it where all parts are as short, and no term.
        """
        if len(parts) < 2 or not all(part.isalpha() and part.isascii() for part in parts):
            return
        short = all(len(part) <= 2 and part not in self._harmless for part in parts)
        for given, family in itertools.permutations(parts, 2):
            if len(family) != 2 or family in PARTICLES or given == family:
                continue
            comma = f"{family}, {given[0]}" if short and len(given) == 2 else f"{family}, {given[0]}."
            for form in (f"{given[0]}. {family}", comma, f"{family} {given[0]}."):
                self._initialed.setdefault(form, category)

    def _add_neighbours(self, groups: list[set[str]], category: Category) -> None:
        """Add each two words of a name as one word, in both orders."""
        for one, other in itertools.permutations(range(len(groups)), 2):
            for first, second in itertools.product(sorted(groups[one]), sorted(groups[other])):
                joined = first + second
                if first == second or (first in self._harmless and second in self._harmless):
                    continue
                if _lacks_blanks(joined):
                    self.inside.setdefault(joined, category)
                elif len(joined) >= MIN_DIGIT_RUN and joined.isalpha() and min(len(first), len(second)) >= 2:
                    self.letters.setdefault(joined, category)

    def _add_joined(self, parts: list[str], category: Category) -> None:
        """Add a name of several parts as one word; one of short parts counts as a whole value, in both orders."""
        if len(parts) < 2 or not all(part.isalpha() for part in parts) or _lacks_blanks("".join(parts)):
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
        if _lacks_blanks(word):
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
        if len(word) >= (2 if _lacks_blanks(word) else MIN_NAME):
            for form in (word, word.lower(), word.upper(), word.title(), *ideograph_forms(word)):
                self._originals.setdefault(unicodedata.normalize("NFC", form), category)

    def _add_phrase(self, words: Sequence[str], category: Category) -> None:
        counted = [word for word in words if word not in self._generic and len(word) > 1]
        if len(words) > 1 and any(len(word) >= MIN_NUMBER or not word.isdigit() for word in counted):
            self.phrases.setdefault(words[0], []).append((tuple(words), category))

    def _add_place(self, text: str, category: Category) -> None:
        for part in {text, *expression(r"[,;\\^\n\r]+").split(text)}:
            self._add_phrase(_WORD.findall(fold(part)), category)
        for original in _WORD.findall(text):
            if not original.isascii() and fold(original) not in self._generic:
                self._add_original(original, category)
            for word in sorted(spellings(original)):
                if word in self._generic:
                    continue
                if _lacks_blanks(word) and len(word) >= 2:
                    self.inside.setdefault(word, category)
                elif word.isalpha() and len(word) >= MIN_PLACE_WORD:
                    self.letters.setdefault(word, category)
                elif not word.isalpha() and len(word) >= (MIN_DIGIT_WORD if word.isdigit() else MIN_DIGIT_RUN):
                    self._add_code(word, category)
        if category is Category.ADDRESS:
            self._add_postcodes(fold(text), category)

    def _add_postcodes(self, folded: str, category: Category) -> None:
        for code in address_codes(folded):
            (self.digits if code.isdigit() and len(code) >= MIN_DIGIT_RUN else self.words).setdefault(code, category)
            self._divided.setdefault(code, category)
        for number, word in address_pairs(folded):
            self._add_phrase([number, word], category)
        for number in _DIGITS.findall(folded):
            if len(number) == MIN_NUMBER and len(set(number)) > 1 and not is_year_or_round(number):
                self.towns.setdefault(number, category)

    def _add_contact(self, text: str, category: Category) -> None:
        self._add_phrase(_WORD.findall(fold(text)), category)
        for local, host in expression(r"([^\s@:;,<>]+)@([^\s@:;,<>]*)").findall(fold(text)):
            self._add_phrase(_WORD.findall(f"{local} {host}"), category)
            if local.isalpha() and len(local) >= MIN_CODE and local not in self._harmless:
                self.letters.setdefault(local, category)
        digits = "".join(_DIGITS.findall(text))
        if 7 <= len(digits) <= 20:
            for form in {digits, digits.lstrip("0"), digits[-10:]} | ({digits[-7:]} if len(digits) >= 9 else set()):
                self._add_digits(form, category)
            if text.lstrip().startswith(("+", "00")) and len(digits) >= 9:
                for size in (1, 2, 3):  # of the code of the country
                    self._add_digits(f"0{digits.lstrip('0')[size:]}", category)

    def _add_code(self, text: str, category: Category) -> None:
        words = _WORD.findall(fold(text))
        compact = "".join(words)
        if not compact or all(word in self._generic for word in words) or len(set(compact)) == 1:
            return
        if _lacks_blanks(compact):
            if len(compact) >= 2:
                self.inside.setdefault(compact, category)
            return
        if not compact.isascii():
            self._add_original(text.strip(), category)
        if compact.isdigit():
            self._add_digits(compact, category)
            bare = compact.lstrip("0")
            if len(bare) >= (MIN_NUMBER if category in _OF_ORDERS else MIN_DIGIT_WORD):  # 00012 is not 12
                self._add_digits(bare, category)
        elif len(compact) >= MIN_CODE or (compact.isalpha() and len(compact) >= MIN_NAME):
            self.words.setdefault(compact, category)
        elif not compact.isalpha() and len(compact) >= (MIN_WHOLE if category is Category.RECORD_NUMBER else MIN_NAME):
            self.whole.setdefault(" ".join(words), category)
        if category in _OF_ORDERS:
            self._add_parts(fold(text), category)
        if len(compact) >= MIN_DIGIT_WORD:
            self._add_phrase(words, category)

    def _add_parts(self, folded: str, category: Category) -> None:
        """Add the parts of an ID or order that count for the whole."""
        for digits, divided in order_numbers(folded):
            self._add_digits(digits, category)
            if divided:
                self._divided.setdefault(digits, category)
            if len(digits) < MIN_GROUPED:
                self._thousands.setdefault(digits, category)
        for tail in order_tails(folded):
            if len(tail) >= MIN_CODE:
                self.words.setdefault(tail, category)
        self._pointed.update(number for number in pointed(folded) if number in self.digits)

    def _add_digits(self, digits: str, category: Category) -> None:
        if len(digits) >= MIN_DIGIT_RUN:
            self.digits.setdefault(digits, category)
        elif len(digits) >= MIN_DIGIT_WORD:
            self.words.setdefault(digits, category)
        elif len(digits) == MIN_NUMBER and category in _OF_ORDERS and digits[:2] not in ("19", "20"):
            if category is Category.RECORD_NUMBER:
                self.whole.setdefault(digits, category)
            if not digits.endswith("00"):
                self.cued.setdefault(digits, category)

    # ---------------------------------------------------------------- searching

    def may_hit(self, data: bytes) -> bool:
        """Tell quickly whether bytes (lower case) may hold an identifier spelled in ASCII; `hits` decides."""
        if not self._byte_words.isdisjoint(_BYTE_WORD.findall(data)):
            return True
        if not self._byte_letters.isdisjoint(_BYTE_LETTERS.findall(data)):
            return True
        if _BYTE_SPELLED.search(data) or (self._signed and _BYTE_SIGNED.search(data)):
            return True
        if any(year in data for year in self._byte_years) and self._byte_born.search(data):
            return True
        if self._titled and self._byte_titled.search(data):
            return True
        if any(month in data for month in self._byte_months) or any(map(self._may_be_joined, divided_in_bytes(data))):
            return True
        runs = _BYTE_DIGITS.findall(data)
        if not self._byte_digits.isdisjoint((*runs, *(run.lstrip(b"0") for run in runs))):
            return True
        if self._may_be_divided(data):
            return True
        if not self.dates:
            return False
        if any(run[:8] in self._byte_dates or run.decode() in self._byte_turned for run in runs):
            return True
        return bool(_BYTE_WRITTEN.search(data))

    def may_be_joined(self, data: bytes) -> bool:
        """Tell quickly whether a name may stand in one word with others in bytes, whose capitals count."""
        return not self._byte_joined.isdisjoint(joined_in_bytes(data))

    def _may_be_joined(self, digits: bytes) -> bool:
        return digits in self._byte_digits or digits in self._byte_dates or digits.decode() in self._byte_turned

    def _may_be_divided(self, data: bytes) -> bool:
        """Tell quickly whether a name with hyphens inside or a number in groups may stand in bytes."""
        for divided in set(_BYTE_DIVIDED.findall(data)):
            parts = expression(rb"[-'`]").split(divided)
            pairs = (b"".join(parts[at : at + count]) for at in range(len(parts) - 1) for count in (2, 3))
            if not self._byte_letters.isdisjoint(pairs):
                return True
        if not self._byte_grouped:
            return False
        joined = data.translate(None, _BYTE_MARKS)
        return any(code in joined for code in self._byte_grouped)

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

    def hits(
        self, text: str, *, dates: frozenset[str] | None = None, terms: frozenset[str] = frozenset()
    ) -> Iterator[tuple[Category, int]]:
        """Yield category and length of each identifier in text of any case; `dates` in place of the patient's own.

        `terms` are words that count for nothing here, nor do words of three letters then.
        """
        folded = fold(text)
        if terms:
            folded = _without_terms(folded, terms)
        words = [(match.start(), match[0]) for match in _WORD.finditer(folded)]
        for at, (start, word) in enumerate(words):
            yield from self._word_hits(folded, start, word)
            if word in self.parts and at + 1 < len(words):
                yield from self._pair_hits(start, word, *words[at + 1])
            if word in self.cued and _is_cued(folded, words, at):
                yield self.cued[word], len(word)
            if word in self.towns and (_is_cued(folded, words, at, POSTCODE_CUES) or behind_country(folded[:start])):
                yield self.towns[word], len(word)
            yield from self._divided_hits(folded, words, at)
            for phrase, category in self.phrases.get(word, ()):
                if tuple(other for _, other in words[at : at + len(phrase)]) == phrase:
                    yield category, sum(map(len, phrase))
        for match in _SPELLED.finditer(folded):
            spelled = "".join(_WORD.findall(match[0]))
            yield from ((c, len(n)) for n, c in self.letters.items() if len(n) >= MIN_SPELLED and n in spelled)
        for pieces in capital_pieces(text):
            yield from ((self.letters[piece], len(piece)) for piece in pieces if piece in self.letters)
            if (short := " ".join(pieces)) in self.whole:
                yield self.whole[short], len(short)
        yield from ((self.letters[name], len(name)) for name in beside_imaging(folded) if name in self.letters)
        for name in beside_code(folded):
            if len(name) >= MIN_GLUED and self.letters.get(name) in (Category.NAME, Category.PERSON):
                yield self.letters[name], len(name)
        for form, category in self._initialed.items():
            if form in folded and re.search(rf"(?<!\w){re.escape(form)}(?!\w)", folded):
                yield category, len(form)
        if self.whole:
            joined = " ".join(word for _, word in words)
            if joined in self.whole:
                yield self.whole[joined], len(joined)
        for needle, category in self.inside.items():
            if needle in folded:
                yield category, MIN_BINARY_HIT
        yield from self._written_hits(text)
        if dates is None:
            dates = self.dates
        if dates and holds_date(folded, dates):
            yield Category.DATE, 8
        for number in divided_numbers(folded):
            if number in self.digits:
                yield self.digits[number], len(number)
            elif not dates.isdisjoint(day_orders(number)):
                yield Category.DATE, len(number)
        if self._births & dates and holds_birth_month(folded, self._births & dates):
            yield Category.DATE, MIN_BINARY_HIT
        if any(year in folded for year in self._years):
            years = {day[:4] for day in self._births & dates}
            if holds_birth_year(folded, years):
                yield Category.DATE, MIN_BINARY_HIT

    def _written_hits(self, text: str) -> Iterator[tuple[Category, int]]:
        """Yield what counts by its capitals: initials with points, two letters behind a title."""
        for match in _SIGNED.finditer(text) if self._signed and "." in text else ():
            letters = "".join(filter(str.isalpha, match[0])).lower()
            if letters in self._signed:
                yield self._signed[letters], len(match[0])
        for match in _TITLED.finditer(text) if self._titled else ():
            if (word := match[1].lower()) in self._titled:
                yield self._titled[word], len(match[0])

    def _pair_hits(self, start: int, word: str, next_start: int, other: str) -> Iterator[tuple[Category, int]]:
        """Yield two words of one name that stand beside each other."""
        if other == word or other not in self.parts or next_start - start - len(word) > MAX_GAP:
            return
        shared = self.parts[word].keys() & self.parts[other].keys()
        if shared and not (word in self._harmless and other in self._harmless):
            yield self.parts[word][min(shared)], len(word) + len(other)

    def _divided_hits(self, folded: str, words: list[tuple[int, str]], at: int) -> Iterator[tuple[Category, int]]:
        """Yield names with hyphens inside, and numbers and codes in groups, that begin with a word."""
        start, joined = words[at]
        end, marks = start + len(joined), ""
        if start >= 2 and folded[start - 1] == "." and folded[start - 2].isdigit():
            return  # a fraction
        for next_start, word in words[at + 1 : at + MAX_GROUPS]:
            gap = folded[end:next_start]
            if len(gap) > MAX_GAP or "\n" in gap:
                return
            joined, end, marks = joined + word, next_start + len(word), marks + gap
            if joined in self.letters and len(joined) >= MIN_CODE and len(marks) <= 2 and _HYPHENS.issuperset(marks):
                yield self.letters[joined], len(joined)
            known = joined if joined in self._grouped else joined.lstrip("0")
            if known in self._grouped and not joined.isalpha() and (marks != "." or known in self._pointed):
                yield self._grouped[known], len(known)
            elif known in self._thousands and (
                (len(known) >= MIN_DIGIT_RUN and THOUSANDS.fullmatch(folded[start:end])) or marks in _DIVIDERS
            ):
                yield self._thousands[known], len(known)

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
        components = components | {component.lstrip(b"0") for component in components}
        found = {self.digits[c.decode()] for c in self._byte_digits & components}
        wanted = self._byte_dates if dates is None else {day.encode() for day in dates}
        if wanted & components:
            found.add(Category.DATE)
        return found


@cache
def _without_blanks() -> re.Pattern[str]:
    return Expression(_NO_BLANKS)  # takes long: 60,000 characters


def _lacks_blanks(text: str) -> bool:
    """Tell whether a character of a text is of a script without blanks between words."""
    return not text.isascii() and _without_blanks().search(text) is not None


def _is_cued(folded: str, words: list[tuple[int, str]], at: int, cues: frozenset[str] = NUMBER_CUES) -> bool:
    """Tell whether a number stands behind a word for numbers or #, and is no part of a decimal number."""
    start, number = words[at]
    end = start + len(number)
    if folded[end : end + 1] in (".", ",") and folded[end + 1 : end + 2].isdigit():
        return False
    if folded[start - 1 : start] == "#":
        return True
    if not at or words[at - 1][1] not in cues:
        return False
    return _BEHIND_CUE.fullmatch(folded[words[at - 1][0] + len(words[at - 1][1]) : start]) is not None


def _without_terms(folded: str, terms: frozenset[str]) -> str:
    """Return text with blanks for runs of letters that are terms and for words of three letters."""
    less = _LETTERS.sub(lambda match: " " * len(match[0]) if match[0] in terms else match[0], folded)
    return _WORD.sub(lambda m: " " * len(m[0]) if len(m[0]) == MIN_WHOLE and m[0].isalpha() else m[0], less)


def _encode(word: str, encoding: str) -> bytes:
    """Return a word's bytes without the return to ASCII at its end; b"" where the encoding does not have it."""
    try:
        data = word.encode(encoding)
    except UnicodeEncodeError:
        return b""
    return data.removesuffix(b"\x1b(B").removesuffix(b"\x1b(J")
