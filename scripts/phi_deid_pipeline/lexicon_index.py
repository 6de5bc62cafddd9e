"""Compiled forms of a lexicon: what a word, a number or a run of characters of a text is looked up in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import permutations, product, takewhile

from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.identifiers import Entry
from phi_deid_pipeline.lexicon_numbers import (
    address_numbers,
    address_pairs,
    dotted_forms,
    id_forms,
    is_round_or_year,
    own_digits,
)
from phi_deid_pipeline.lexicon_words import (
    CODES,
    GENERIC,
    IMAGING,
    SIDES,
    WARDS,
    WEAK_NAME_WORDS,
    WORD,
    compacted,
    distinctive,
    fold,
    lacks_blanks,
    name_variants,
    plain_forms,
    variants,
    ward_codes,
)
from phi_deid_pipeline.records import Category

PARTICLES = frozenset(
    {
        "van",
        "von",
        "der",
        "den",
        "de",
        "del",
        "della",
        "di",
        "da",
        "dos",
        "la",
        "le",
        "el",
        "al",
        "ter",
        "ten",
        "vom",
        "zu",
    }
)
# Words of two letters that name a kind of image, a view or a side: no name beside one letter.
_TERMS = """
    ad ap ax bw ce cr cs ct dr dx ep et fa fs gr hr id im ir ll lr mg mr nm no ob pa pd pt rl rr sa se sr st te ti tr us vr
    xa
"""
_SHORT_TERMS = frozenset(_TERMS.split())
_MOST_WORDS = 6  # of a name that are joined
_MOST_PARTS = 8  # of a name that is written as one word
_MIN_JOINED = 5  # letters of a name written as one word
_PREFIXED = Expression(r"(ma?c|o|fitz)([^\W\d_]{4,})")
MIN_GLUED = 6  # letters of a name that counts in one word with a code
_VERBATIM = Expression(r"(?![ctls]\d{1,2}[/-]\d)[a-z]{1,2}[/#.-]\d{2,4}|\d{2,4}[/#-][a-z]{1,2}")  # no level: L4/51
_MIN_SIGNED = 3  # initials that may leave out others between them
_MIN_BARE = 4  # digits of an ID or order without the zeros in front
_MIN_OWN = {Category.RECORD_NUMBER: 4, Category.ACCESSION: 6}  # digits that count however they are divided
_NAME_PARTS = Expression(r"[ ^,;=]+")
_NAME_SEPARATORS = ("", " ", "  ", "^", ",", ", ", "=", "\u3000", "\u30fb")


class Index:
    """Compiled forms of a lexicon; every look-up is a dictionary access per word of the text."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.alone: dict[str, Category] = {}  # words that identify by themselves
        self.glued: dict[
            str, Category
        ] = {}  # words of names that count in one word with what is no imaging: ctpimentel
        self.names: dict[str, set[int]] = {}  # word -> names it is a part of
        self.initials: dict[int, set[str]] = {}
        self.signatures: dict[str, Category] = {}  # initials in the orders in which people sign: jd, dj, jqd
        self.signed: dict[str, Category] = {}  # all initials of a name, given names first and last
        self.whole: dict[tuple[str, ...], Category] = {}  # names of short parts: they count as a whole value only
        self.shorts: dict[tuple[str, str], Category] = {}  # two letters and one that are a name beside each other
        self.initialed: dict[tuple[str, str], Category] = {}  # an initial and two letters: a name with a point between
        self.pointed: dict[tuple[str, str], Category] = {}  # the same of any name, with a point behind the initial
        self.sequences: dict[str, list[tuple[tuple[str, ...], Category]]] = {}
        self.numbers: dict[str, tuple[Category, bool]] = {}  # compact form -> category, may be split by separators
        self.verbatim: dict[str, Category] = {}  # short orders, with the mark that divides them
        self.own: dict[str, Category] = {}  # digits of IDs and long orders, however they are divided
        self.dotted: set[str] = set()  # numbers that are split by a point and no decimals
        self.dates: set[str] = set()
        self.misread: dict[
            str, Category
        ] = {}  # parts of names whose bytes are of another character set, as they are read
        self.inside: dict[str, Category] = {}  # matched anywhere: scripts without blanks, e-mails, URLs
        order = list(Category)
        for entry in sorted(entries, key=lambda e: (order.index(e.category), e.value)):
            self._add(entry)
        self.longest_own = max(map(len, self.own), default=0)
        self.starts = {number[:3] for number in self.numbers}
        self.longest = max(map(len, self.numbers), default=0)
        inside = sorted(self.inside, key=lambda text: (-len(text), text))
        self.inside_pattern = re.compile("|".join(map(re.escape, inside))) if inside else None

    def _add(self, entry: Entry) -> None:
        if entry.category is Category.DATE:
            self.dates.add(entry.value)
        elif entry.category in (Category.NAME, Category.PERSON):
            self._add_name(entry)
        elif entry.category in (Category.INSTITUTION, Category.ADDRESS):
            self._add_place(entry)
        elif entry.category is Category.CONTACT:
            self._add_contact(entry)
        elif entry.category is not Category.BIRTH_DATE:
            self._add_number(entry.value, entry.category)

    def _add_name(self, entry: Entry) -> None:
        number = len(self.initials)
        words: list[set[str]] = []
        plain: list[str] = []
        name = unicodedata.normalize("NFC", entry.value)
        for text in expression(r"[\W_]*[\s^,;_]+[\W_]*").split(name):
            pieces = expression(r"[^\W_]+").findall(text)
            if len(pieces) > 1:  # O'Brien, Smith-Jones: each piece and the joined form
                words.append(name_variants("".join(pieces)))
            words.extend(name_variants(piece) for piece in pieces)
            words.extend(_neighbours_joined(pieces))
            plain.append(fold("".join(pieces)))
        for component in expression(r"[\^,;]").split(name):
            words.extend(_neighbours_joined(expression(r"[^\W_]+").findall(component)))
        words.extend({joined} for joined in _joined_components(name))
        for part in _NAME_PARTS.split(entry.value) if any(map(_is_mark, entry.value)) else ():
            if len(part) > 1 and not part.isascii():
                self.misread.setdefault(part, entry.category)
        self.initials[number] = {form[0] for forms in words for form in forms if form}
        letters = [text[0] for text in plain if text and text[0].isalpha() and text not in PARTICLES]
        if len(letters) > 1:
            pieces = [
                word[0]
                for word in expression(r"[^\W_]+").findall(fold(name))
                if word[0].isalpha() and word not in PARTICLES
            ]
            orders = [letters[:2], letters[1::-1], letters, [*letters[1:], letters[0]]]
            orders += [
                pieces,
                [*pieces[1:], pieces[0]],
                [pieces[-1], *pieces[:-1]],
            ]  # I. G. M. of Garcia-Marquez, Inigo
            for signed in orders:
                self.signatures.setdefault("".join(signed[:3]), entry.category)
        self._add_signed(name, entry.category)
        words.extend(
            self._add_divided_prefix(piece, entry.category) for piece in expression(r"[^\W_]+").findall(fold(name))
        )
        for forms in words:
            for form in forms:
                self._add_name_word(form, number, entry.category)
        self._add_whole_name([word for word in plain if word], number, entry.category)
        self._add_whole_name([fold(piece) for piece in expression(r"[^\W_]+").findall(name)], number, entry.category)
        self._add_pairs(name, number, entry.category)
        shorts = [word for word in plain if len(word) == 2 and word.isalpha() and word not in PARTICLES]
        for short in (*shorts, *SIDES.intersection(plain)):
            for other in (word for word in plain if word != short and word[0].isalpha()):
                self.pointed.setdefault((other[0], short), entry.category)
        if lacks_blanks(fold(name)) and len(whole := compacted(name)) >= 2:
            self.inside.setdefault(whole, entry.category)
            parts = [part for part in map(fold, expression(r"[\s^,;_]+").split(name)) if part]
            for order in (parts, parts[::-1]):  # a family name of one character counts beside the given name only
                for separator in _NAME_SEPARATORS:
                    self.inside.setdefault(separator.join(order), entry.category)

    def _add_divided_prefix(self, word: str, category: Category) -> set[str]:
        """Add Mc Allister, O Brien, Fitz Gerald of one word as two; return McAllister and MacAllister for each other."""
        match = _PREFIXED.fullmatch(word)
        if match is None:
            return set()
        prefix, rest = match.groups()
        prefixes = ("mc", "mac") if prefix in ("mc", "mac") and len(rest) > 4 else (prefix,)  # McHine
        for front in prefixes:
            self.sequences.setdefault(front, []).append(((front, rest), category))
        return {front + rest for front in prefixes} - GENERIC - IMAGING

    def _add_signed(self, name: str, category: Category) -> None:
        components = [expression(r"[^\W\d_]+").findall(part) for part in expression(r"[\^,;]").split(fold(name))]
        family, given = (
            "".join(word[0] for word in components[0]),
            "".join(w[0] for part in components[1:] for w in part),
        )
        for initials in (family + given, given + family):
            self.signed.setdefault(initials, category)

    def signed_by(self, letters: str) -> Category | None:
        """Return the category of the name whose initials these letters are; from three on, some of them in their order."""
        if letters in self.signatures or len(letters) < _MIN_SIGNED:
            return self.signatures.get(letters)
        return next((category for initials, category in self.signed.items() if _is_in_order(letters, initials)), None)

    def _add_pairs(self, name: str, number: int, category: Category) -> None:
        """Add each two words of a name as one word, in both orders: JohnDoe, DOEJOHN."""
        divided = [expression(r"[^\W_]+").findall(text) for text in expression(r"[\s^,;_]+").split(name)]
        whole = ["".join(pieces) for pieces in divided if pieces]
        pieces = [piece for pieces in divided for piece in pieces]
        pairs = [pair for words in (whole, pieces) for pair in permutations(words[:_MOST_WORDS], 2)]
        for one, other in dict.fromkeys(pairs):
            weak = sum(fold(word) in WEAK_NAME_WORDS for word in (one, other))
            for first, second in product(sorted(plain_forms(one)), sorted(plain_forms(other))):
                joined = first + second
                long = min(len(first), len(second)) >= 2 and len(joined) >= _MIN_JOINED + weak
                if weak < 2 and first != second and long and joined.isalpha():
                    self._add_name_word(joined, number, category)

    def _add_whole_name(self, parts: list[str], number: int, category: Category) -> None:
        """Add a name as one word in the orders in which it is written, and what short parts make of it."""
        if (
            not 2 <= len(parts) <= _MOST_PARTS
            or not all(part.isalpha() for part in parts)
            or lacks_blanks("".join(parts))
        ):
            return
        orders = {tuple(parts), (*parts[1:], parts[0]), (parts[-1], *parts[:-1])}
        long = [part for part in parts if len(part) >= 2]
        if len(long) == len(parts) > 2 and any(part not in WEAK_NAME_WORDS for part in parts):
            for order in orders:
                self._add_name_word("".join(order), number, category)
        if all(len(part) <= 2 and part not in _SHORT_TERMS for part in parts) and long:
            for order in orders:
                self.whole.setdefault(order, category)
            if len(parts) == 2 and len(long) == 1:
                for one, other in (parts, parts[::-1]):
                    self.shorts.setdefault((one, other), category)
            for one, other in permutations(long, 2):
                self.initialed.setdefault((one[0], other), category)

    def _add_name_word(self, form: str, number: int, category: Category) -> None:
        letters = sum(char.isalpha() for char in form)
        if lacks_blanks(form):
            if letters >= 2:
                self.inside.setdefault(form, category)
            return
        if letters >= 2:
            self.names.setdefault(form, set()).add(number)
        if letters >= 3 and form not in WEAK_NAME_WORDS:
            self.alone.setdefault(form, category)
            if len(form) >= MIN_GLUED and form not in IMAGING and form.isalpha():
                self.glued.setdefault(form, category)

    def _add_place(self, entry: Entry) -> None:
        for part in dict.fromkeys((entry.value, *expression(r"[,;\\^\n\r]+").split(entry.value))):
            words = tuple(WORD.findall(fold(part)))
            telling = part == entry.value or any(map(_is_telling, words))
            for sequence in dict.fromkeys((words, _own_words(words))) if telling else ():
                if len(sequence) > 1:
                    self.sequences.setdefault(sequence[0], []).append((sequence, entry.category))
        if entry.category is Category.INSTITUTION:
            self._add_ward(entry.value)
        for word in distinctive(entry.value):
            if lacks_blanks(word):
                self.inside.setdefault(fold(word), entry.category)
            elif any(char.isdigit() for char in word):
                self._add_number(word, entry.category)
            else:
                for form in variants(word):
                    self.alone.setdefault(form, entry.category)
        for number in expression(r"\d{5,}").findall(entry.value):
            self._add_number(number, entry.category)
        if entry.category is Category.ADDRESS:
            for pair in address_pairs(entry.value):
                self.sequences.setdefault(pair[0], []).append((pair, entry.category))
            for number, divided in address_numbers(entry.value):
                if len(set(number)) > 1:
                    self.numbers.setdefault(number, (entry.category, divided))

    def _add_ward(self, value: str) -> None:
        """Add the code of a ward beside a word for wards, any of them for a code with a letter: Ward 7C, 7C ward."""
        own = WARDS & set(WORD.findall(fold(value)))
        for code in ward_codes(value):
            for label in sorted(own if code.isdigit() else WARDS):
                for pair in ((label, code), (code, label)) if not code.isdigit() else ((label, code),):
                    self.sequences.setdefault(pair[0], []).append((pair, Category.INSTITUTION))

    def _add_contact(self, entry: Entry) -> None:
        for part in expression(r"[^\s:;,<>]+@[^\s:;,<>]+|[a-z]+://\S+").findall(fold(entry.value)):
            self.inside.setdefault(part, entry.category)
            if "@" in part and len(local := part.partition("@")[0]) >= 5:
                self.inside.setdefault(local, entry.category)
        digits = "".join(expression(r"\d+").findall(fold(entry.value)))
        if 6 <= len(digits) <= 20:
            forms = {digits, digits.lstrip("0"), digits[-10:], digits[-7:] if len(digits) >= 9 else digits}
            if entry.value.lstrip().startswith(("+", "00")) and len(digits) >= 9:
                national = (digits.lstrip("0")[size:] for size in (1, 2, 3))  # without the country's code
                forms |= {f"0{number}" for number in national}
            for form in sorted(forms):
                if len(form) >= 6:
                    self.numbers.setdefault(form, (entry.category, len(form) >= 7))

    def _add_number(self, value: str, category: Category) -> None:
        least = _MIN_OWN.get(category)
        if least and (digits := own_digits(value, least)):
            self.own.setdefault(digits, category)
        self._add_code(value, category)

    def _add_code(self, value: str, category: Category) -> None:
        compact = compacted(value)
        digits, letters = sum(c.isdigit() for c in compact), sum(c.isalpha() for c in compact)
        if lacks_blanks(compact):
            if len(compact) >= 2:
                self.inside.setdefault(compact, category)
            return
        if not digits and (compact in GENERIC or compact in WEAK_NAME_WORDS):
            return
        if not letters and (len(set(compact)) == 1 or (len(compact) == 4 and compact[:2] in ("19", "20"))):
            return
        if len(compact) < _shortest(category, compact, letters=letters, digits=digits):
            if category is Category.ACCESSION and _VERBATIM.fullmatch(fold(value).strip()):
                self.verbatim.setdefault(fold(value).strip(), category)
            return
        of_orders = category in (Category.RECORD_NUMBER, Category.ACCESSION)
        if of_orders and letters and len(WORD.findall(value)) > 1:  # as the header divides it
            self.numbers.setdefault(compact, (category, True))
        in_groups = 4 if category is Category.RECORD_NUMBER and letters > 1 and digits else 5 if letters else 7
        self.numbers.setdefault(compact, (category, len(compact) >= in_groups))
        if len(bare := compact.lstrip("0")) >= 5:
            self.numbers.setdefault(bare, (category, len(bare) >= 7))
        if of_orders:
            self._add_forms(value, bare, category)

    def _add_forms(self, value: str, bare: str, category: Category) -> None:
        """Add parts of an ID or order that point at it, and its last digits without zeros in front."""
        for form, divided in id_forms(value):
            known = self.numbers.setdefault(form, (category, False))
            self.numbers[form] = (known[0], known[1] or divided or len(form) >= 7)
        self.dotted.update(form for form in dotted_forms(value) if form in self.numbers)
        if value.strip().isdecimal() and len(bare) == _MIN_BARE and len(set(bare)) > 1 and not is_round_or_year(bare):
            for zeros in range(len(compacted(value)) - len(bare)):
                self.numbers.setdefault("0" * zeros + bare, (category, False))


def _is_mark(char: str) -> bool:
    """Tell whether a character beyond ASCII is a control, sign or mark: of bytes of Shift-JIS or Big5, read as ISO 8859-1."""
    return not char.isascii() and unicodedata.category(char)[0] in "CNPS"


def _is_in_order(letters: str, initials: str) -> bool:
    rest = iter(initials)
    return all(letter in rest for letter in letters)


def _is_telling(word: str) -> bool:
    """Tell whether a word of a part of an address, or a number of it, points at the place beside its neighbours."""
    if word.isdigit():
        return len(word) >= 4
    return len(word) > 1 and word not in GENERIC and word not in IMAGING


def _own_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a place without the generic ones around them, if one of them is no term: bach mai of Bach Mai Hospital."""
    own = [at for at, word in enumerate(words) if word not in GENERIC]
    found = words[own[0] : own[-1] + 1] if own else ()
    telling = any(len(word) > 2 and word.isalpha() and word not in IMAGING and word not in CODES for word in found)
    return found if telling and all(word.isalpha() for word in found) else ()


def _shortest(category: Category, compact: str, *, letters: int, digits: int) -> int:
    """Return how many characters a number or code must have to count; round numbers of orders are measures too."""
    if category is Category.RECORD_NUMBER:
        return 3 if digits and letters else 4
    return 4 if letters or (category is Category.ACCESSION and not compact.endswith("00")) else 5


def _joined_components(name: str) -> list[str]:
    """Return components of several words as one, and what stands for a name in accounts: delacruz, vdberg, smithj, jvdberg.

    No family name with an s behind it, which is a plural: wrists of Wrist^Sue.
    """
    components = [
        found for component in expression(r"[\^,;]").split(name) if (found := expression(r"[^\W_]+").findall(component))
    ]
    joined = {form for words in components if len(words) > 1 for form in plain_forms("".join(words))}
    families = set[str]() if not components else _families(components[0])
    joined |= families
    if len(components) > 1:
        whole = plain_forms("".join(components[0])) if fold("".join(components[0])) not in WEAK_NAME_WORDS else set()
        families |= {form for form in whole if len(form) >= _MIN_JOINED}
        for family, given in product(families, plain_forms(components[1][0])):
            joined |= {given[0] + family, *([family + given[0]] if given[0] != "s" else [])}
    return sorted(one for one in joined if len(one) >= _MIN_JOINED and one.isalpha() and not lacks_blanks(one))


def _families(words: list[str]) -> set[str]:
    """Return a family name with its particles, whole and as initials, in front of its words: vanberg, vdberg."""
    particles = list(takewhile(lambda word: fold(word) in PARTICLES, words))
    names = words[len(particles) :]
    if not particles or not names:
        return set()
    folded = [fold(word) for word in particles]
    fronts = {folded[0], "".join(folded), "".join(word[0] for word in folded)}
    return {
        front + form
        for front in fronts
        for name in (names[0], "".join(names))
        for form in plain_forms(name)
        if len(name) > 2
    }


def _neighbours_joined(pieces: list[str]) -> list[set[str]]:
    """Return the pieces of O'Brien-Smith that stand beside each other as one word, each in its variants."""
    spans = [(i, j) for i in range(len(pieces)) for j in range(i + 2, len(pieces) + 1) if len(pieces) <= _MOST_WORDS]
    telling = (pieces[i:j] for i, j in spans if any(fold(piece) not in WEAK_NAME_WORDS for piece in pieces[i:j]))
    return [name_variants(joined) for parts in telling if len(fold(joined := "".join(parts))) >= 4]
