"""Search the values of an instance for a patient's identifiers and source UIDs, in every form of `verification_forms`."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator

from phi_deid_pipeline.dicom_utils import decode_text, encodings_of, format_path
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.records import Category, Residual
from phi_deid_pipeline.value_objects import dataclass
from phi_deid_pipeline.verification_forms import is_escaped, may_be_packed, printable_runs, unescaped, unpacked
from phi_deid_pipeline.verification_needles import MIN_BINARY_HIT, MIN_BINARY_RUN, Needles
from phi_deid_pipeline.verification_told import stands_apart
from phi_deid_pipeline.verification_words import CODE_TERMS

SHORT_UID = 10  # characters: a source UID below this counts as a whole value only
PREFIX_UID = 16  # characters: from here on a source UID counts also where more components follow it
REMEMBERED_BYTES = 1024  # of a value
MOST_REMEMBERED = 100_000  # values
MIN_FOREIGN = 4  # bytes of a word that is not ASCII: in an encoding that source or result declares, or in short values
SHORT_VALUE = 4096  # bytes; in longer ones such a word counts from MIN_BINARY_HIT bytes on in any other encoding

# Every encoding of PS3.3 C.12.1.1.2 and UTF-16: mislabelled text is found too.
ENCODINGS = (
    *("utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6"),
    *("iso8859-7", "iso8859-8", "iso8859-9", "iso8859-15", "tis-620", "shift_jis", "iso2022_jp_2", "euc_kr", "gb18030"),
)
_SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE"})
_TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_ONE_VALUE_VRS = frozenset({"LT", "ST", "UT", "UR"})
_DATE_VRS = frozenset({"DA", "DT"})


_NO_TERMS: frozenset[str] = frozenset()


def _values(one: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?:%b)?[ \x00]*(?:\\(?:%b)?[ \x00]*)*" % (one, one))


# Values that are what their VR says hold no identifiers, or only dates; anything else in them is read as text.
_DAY = rb"[0-9]{4}\.?[01][0-9]\.?[0-3][0-9]"
_WELL_FORMED = {
    "AS": _values(rb"[0-9]{3}[DWMY]"),
    "TM": _values(rb"[0-2][0-9](?::?[0-5][0-9](?::?[0-6][0-9](?:\.[0-9]{1,6})?)?)?"),
    "DA": _values(_DAY),
    "DT": _values(rb"[0-9]{4}(?:[01][0-9](?:[0-3][0-9](?:[0-9]{2}){0,3})?)?(?:\.[0-9]{1,6})?(?:[+-][0-9]{4})?"),
}
_NUMBERS = Expression(rb"[0-9+\-.eE\\ \x00]*")
_UID_VALUE = Expression(rb"[0-9. \x00\\]*")
_DOTTED = Expression(rb"[0-9]+(?:\.[0-9]+){2,}")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes to be searched as one value."""

    path: tuple[int, ...]
    vr: str
    data: bytes
    charset: bytes


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the policy keeps: categories other than the patient's in `tags`; makers in their own attributes everywhere.

    `sites` are attributes that the site itself keeps: their dates stay, too.
    """

    tags: frozenset[int]
    sites: frozenset[int]
    patient: frozenset[Category]
    maker_tags: frozenset[int]
    maker_categories: frozenset[Category]

    def allows(self, path: tuple[int, ...], category: Category) -> bool:
        """Tell whether identifiers of a category may stand at a path."""
        if category not in self.patient and not self.tags.isdisjoint(path):
            return True
        if category is Category.DATE and path[-1] in self.sites:
            return True
        return path[-1] in self.maker_tags and category in self.maker_categories


class Search:
    """Finds identifiers and source UIDs in pieces; remembers what it found in a value, not where the value stood."""

    def __init__(self, needles: Needles, sources: Collection[bytes], allowance: Allowance) -> None:
        self.needles = needles
        self._sources = frozenset(sources)
        self._short = tuple(uid for uid in self._sources if len(uid) < SHORT_UID)
        self.allows = allowance.allows
        self._seen: dict[tuple[str, bytes, bytes, frozenset[str]], frozenset[Category]] = {}

    def find(self, pieces: list[Piece], dates: frozenset[str], charsets: Iterable[bytes]) -> Iterator[Residual]:
        """Yield what stands in the pieces; `dates` must not, `charsets` are those that the source declares."""
        texts, numbers = [], []
        for piece in pieces:
            if piece.vr in ("DS", "IS") and _NUMBERS.fullmatch(piece.data):
                numbers.append(piece)
            elif piece.vr != "UI" or not _UID_VALUE.fullmatch(piece.data):
                texts.append(piece)
                if piece.vr == "OW":  # text in words of the other byte order
                    texts.append(Piece(piece.path, piece.vr, swapped(piece.data), piece.charset))
        yield from self._in_numbers(numbers, dates)
        if texts:
            yield from self._in_texts(texts, dates, charsets)

    def names(self, pieces: list[Piece], names: Collection[tuple[bytes, Category]]) -> Iterator[Residual]:
        """Yield parts of names that stand in text in the very bytes of the source."""
        texts = [piece for piece in pieces if piece.vr in _TEXT_VRS and not piece.data.isascii()]
        for piece, (name, category) in itertools.product(texts, names):
            if stands_apart(name, piece.data) and not self.allows(piece.path, category):
                yield identifier(piece.path, category)

    def has_source_uid(self, data: bytes) -> bool:
        """Tell whether a source UID stands in bytes, as a word of its own or with components behind it.

        One below `SHORT_UID` characters counts as a whole value of three components and more: it may be any number.
        """
        found = set(_DOTTED.findall(data))
        if any(len(uid) >= SHORT_UID for uid in found & self._sources):
            return True
        whole = data.strip(b" \x00")
        if whole in self._sources and (len(whole) >= SHORT_UID or whole.count(b".") > 1):
            return True
        for uid in found:
            if len(uid) > PREFIX_UID:
                parts = uid.split(b".")
                heads = (b".".join(parts[:count]) for count in range(len(parts) - 1, 2, -1))
                if any(len(head) >= PREFIX_UID and head in self._sources for head in heads):
                    return True
        return False

    def in_bytes(self, path: tuple[int, ...], data: bytes, dates: frozenset[str], *, packed: bool) -> list[str]:
        """Return the kinds of identifiers in bytes that are no value; `packed`: also in what is packed in them."""
        found = {str(c.value) for c in self._categories(Piece(path, "OB" if packed else "", data, b""), dates)}
        if self.needles.foreign:
            words = self.needles.encoded(ENCODINGS if packed else ())
            least = MIN_FOREIGN if len(data) <= SHORT_VALUE else MIN_BINARY_HIT
            found |= {str(c.value) for needle, c in words if len(needle) >= least and needle in data}
        return [*sorted(found), "uid"] if self.has_source_uid(data) else sorted(found)

    def _may_hold(self, legible: bytes) -> bool:
        return self.needles.may_hit(legible.lower()) or self.needles.may_be_joined(legible)

    def may_hit(self, data: bytes) -> bool:
        """Tell quickly whether printable runs of bytes may hold an identifier or a source UID."""
        legible = b"\x00".join(printable_runs(data))
        return self._may_hold(legible) or self.has_source_uid(legible)

    # ---------------------------------------------------------------- numbers

    def _in_numbers(self, pieces: list[Piece], dates: frozenset[str]) -> Iterator[Residual]:
        if not pieces or not self.needles.may_be_numbers(b"\\".join(piece.data for piece in pieces), dates=dates):
            return
        for piece in pieces:
            components = {part.strip(b" \x00+") for part in piece.data.split(b"\\")}
            for category in self.needles.numbers(components, dates=dates):
                if not self.allows(piece.path, category):
                    yield identifier(piece.path, category)

    # ---------------------------------------------------------------- text and bytes

    def _in_texts(self, pieces: list[Piece], dates: frozenset[str], charsets: Iterable[bytes]) -> Iterator[Residual]:
        raw = b"\x00\x00".join(piece.data for piece in pieces)
        legible = b"\x00\x00".join(_legible(piece) for piece in pieces)
        foreign = self._foreign(raw, pieces, charsets) if self.needles.foreign else []
        special = not raw.isascii() or b"\x1b" in raw
        packed = may_be_packed(raw)
        suspicious = bool(foreign) or bool(self.needles.inside) or self._may_hold(legible)
        coded = b"&" in raw or b"%" in raw
        dotted = self.has_source_uid(legible) or any(uid in legible for uid in self._short)
        for piece in pieces:
            data = piece.data
            odd = special and piece.vr in _TEXT_VRS and (not data.isascii() or b"\x1b" in data)
            odd = odd or (coded and (b"&" in data or b"%" in data))
            if suspicious or odd or (packed and may_be_packed(data)):
                for category in self._categories(piece, dates):
                    if not self.allows(piece.path, category):
                        yield identifier(piece.path, category)
            for needle, category, least in foreign:
                if (
                    (len(needle) >= least or len(data) <= SHORT_VALUE)
                    and needle in data
                    and not self.allows(piece.path, category)
                ):
                    yield identifier(piece.path, category)
            if (dotted and self.has_source_uid(data)) or (packed and any(map(self.has_source_uid, unpacked(data)))):
                yield Residual("source_uids", format_path(piece.path), "uid")

    def _foreign(self, raw: bytes, pieces: list[Piece], charsets: Iterable[bytes]) -> list[tuple[bytes, Category, int]]:
        """Return the words that are not ASCII and stand in the bytes, in any encoding, and where they count.

        The number is that of the bytes from which they count in a value that is not short.
        """
        declared = {piece.charset for piece in pieces} | set(charsets)
        encodings = {name for charset in declared for name in encodings_of(character_sets(charset))}
        found = {needle: (c, MIN_FOREIGN) for needle, c in self.needles.encoded(encodings) if needle in raw}
        for needle, category in self.needles.encoded(ENCODINGS):
            if needle not in found and needle in raw:
                found[needle] = (category, MIN_BINARY_HIT)
        return [(needle, *rest) for needle, rest in found.items()]

    def _categories(self, piece: Piece, dates: frozenset[str]) -> frozenset[Category]:
        key = (piece.vr, piece.charset, piece.data, dates)
        known = self._seen.get(key)
        if known is None:
            known = frozenset(self._look(piece, dates))
            if len(piece.data) <= REMEMBERED_BYTES and len(self._seen) < MOST_REMEMBERED:
                self._seen[key] = known
        return known

    def _look(self, piece: Piece, dates: frozenset[str]) -> Iterator[Category]:
        data, vr = piece.data, piece.vr
        form = _WELL_FORMED.get(vr)
        if form is not None and form.fullmatch(data):
            if vr in _DATE_VRS:
                text = data.decode("ascii").replace("\\", " ")
                yield from (c for c, _ in self.needles.hits(text, dates=dates) if c is Category.DATE)
            return
        stripped = data.strip(b" \x00")
        if vr in _TEXT_VRS or form is not None or (stripped.isascii() and stripped.decode("ascii").isprintable()):
            yield from self._in_text(stripped, vr, piece.charset, dates)
            if not stripped.isascii() or b"\x00" in stripped:  # text that is none
                yield from self._in_runs(data, dates)
        else:
            yield from self._in_runs(data, dates)
        if vr:
            for plain in unpacked(data):
                yield from self._in_runs(plain, dates)
                words = self.needles.encoded(ENCODINGS) if self.needles.foreign else []
                least = MIN_FOREIGN if len(plain) <= SHORT_VALUE else MIN_BINARY_HIT
                yield from (c for needle, c in words if len(needle) >= least and needle in plain)

    def _in_text(self, data: bytes, vr: str, charset: bytes, dates: frozenset[str]) -> Iterator[Category]:
        text, _ = decode_text(data, character_sets(charset))
        texts = {text, unescaped(text)}
        if not data.isascii():  # whatever is declared
            texts |= {data.decode("utf-8", "replace"), data.decode("latin-1")}
            texts |= {unicodedata.normalize("NFC", read).translate(_SPELLED_OUT) for read in texts}
        terms = CODE_TERMS if vr == "CS" else _NO_TERMS
        for form in texts:
            for part in [form] if vr in _ONE_VALUE_VRS else form.split("\\"):
                yield from (category for category, _ in self.needles.hits(part, dates=dates, terms=terms))

    def _may_hit_in(self, legible: bytes) -> bool:
        return bool(self.needles.inside) or is_escaped(legible) or self._may_hold(legible)

    def _in_runs(self, data: bytes, dates: frozenset[str]) -> Iterator[Category]:
        runs = printable_runs(data)
        if not self._may_hit_in(b"\x00".join(runs)):
            return
        for run in runs:
            if not self._may_hit_in(run):
                continue
            for category, length in self.needles.hits(unescaped(run.decode("ascii")), dates=dates):
                if length >= MIN_BINARY_HIT or len(run) >= MIN_BINARY_RUN:
                    yield category


def _legible(piece: Piece) -> bytes:
    """Return what of a value can be read: of long binary ones the printable runs, as no others are searched."""
    if piece.vr in _TEXT_VRS or len(piece.data) <= REMEMBERED_BYTES:
        return b"\x00".join((piece.data, *printable_runs(piece.data))) if b"\x00" in piece.data else piece.data
    return b"\x00".join(printable_runs(piece.data))


def swapped(data: bytes) -> bytes:
    """Return bytes with the two of each word of 16 bits exchanged."""
    words = bytearray(data[: len(data) // 2 * 2])
    words[0::2], words[1::2] = words[1::2], words[0::2]
    return bytes(words)


def is_date(vr: str, data: bytes) -> bool:
    """Tell whether a value is a DA or DT and holds nothing but dates."""
    return vr in _DATE_VRS and bool(_WELL_FORMED[vr].fullmatch(data))


def identifier(path: tuple[int, ...], category: Category) -> Residual:
    """Return the residual of an identifier found at a path."""
    return Residual("dates" if category is Category.DATE else "lexicon", format_path(path), category.value)


def character_sets(charset: bytes) -> tuple[str, ...]:
    """Return the terms of a Specific Character Set as written."""
    text = charset.decode("ascii", "replace").strip(" \x00")
    return tuple(term.strip() for term in text.split("\\")) if text else ()
