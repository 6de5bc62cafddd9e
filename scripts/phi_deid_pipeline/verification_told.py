"""What a source says of its patient, by tag: a second look that trusts neither the written VR nor what was gathered.

Names count by the bytes in which they are written, too, so that a name is found whatever character set it is in. What the
lexicon of the patient has already is not looked for twice.
"""

from __future__ import annotations

import datetime
import unicodedata
from functools import cache

from phi_deid_pipeline.dicom_utils import decode_text, vr_of
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.identifiers import Entry, Identifiers
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.value_objects import dataclass
from phi_deid_pipeline.verification_bytes import Source

MIN_BYTES = 3  # of a part of a name that is not ASCII
MAX_BYTES = 1024  # longer values are prose
MOST_REMEMBERED = 10_000  # values
_BIRTH_DATE, _DUMMY_DAY = 0x00100030, "19000101"
_NUMBERS = {  # attributes that hold an ID of the patient or an order
    **dict.fromkeys((0x00100020, 0x00101000, 0x00101090), Category.RECORD_NUMBER),
    **dict.fromkeys((0x00080050, 0x00380010, 0x00402016, 0x00402017, 0x00401001, 0x00400009), Category.ACCESSION),
}
_NOBODY = """
    anon anonym anonymous anonymised anonymized deidentified id na name no noid noname none null patient phantom removed
    test unknown
"""
_NOBODIES = frozenset(_NOBODY.split())
_WORDS = Expression(r"[^\W_]+")
_PARTS, _WHOLES = Expression(rb"[ ^=,;\\]+"), Expression(rb"[ ^=,;]+")
_DAY = Expression(r"(18[5-9]\d|19\d\d|20\d\d)[.\-/]?([01]\d)[.\-/]?([0-3]\d)(?!\d(?!\d))")


@dataclass(frozen=True, slots=True)
class Told:
    """Parts of names as bytes that are not ASCII, and the entries that the lexicon lacks."""

    names: frozenset[tuple[bytes, Category]] = frozenset()
    missing: frozenset[Entry] = frozenset()


class Teller:
    """Reads what sources of one patient say; what a value says is remembered, not where it stood."""

    def __init__(self, lexicon: Identifiers) -> None:
        self._days = {e.value for e in lexicon.entries if e.category in (Category.DATE, Category.BIRTH_DATE)}
        self._known = {_plain(e.value) for e in lexicon.entries}
        self._told: dict[tuple[int, bool, bytes, bytes], Told] = {}

    def told(self, source: Source) -> Told:
        """Return what a source says; raises UnreadableInstance."""
        found: set[Told] = set()
        read = source.layout.bytes_of
        for value in source.values:
            tag = value.path[-1]
            if (_kind(tag) is None and value.vr != "PN") or not 0 < value.end - value.start <= MAX_BYTES:
                continue
            patient, data = any(path >> 16 == 0x0010 for path in value.path), read(value)
            key = (tag, patient, data, value.charset)
            told = self._told.get(key)
            if told is None:
                told = self._read(tag, data, value.charset, patient=patient)
                if len(self._told) < MOST_REMEMBERED:
                    self._told[key] = told
            if told.names or told.missing:
                found.add(told)
        if not found:
            return _NOTHING
        return Told(frozenset().union(*(t.names for t in found)), frozenset().union(*(t.missing for t in found)))

    def _read(self, tag: int, data: bytes, charset: bytes, *, patient: bool) -> Told:
        kind = _kind(tag) or Category.NAME
        terms = tuple(term.strip() for term in charset.decode("ascii", "replace").strip(" \x00").split("\\"))
        texts = [text.strip(" \x00") for text in decode_text(data, terms)[0].split("\\")]
        if kind is Category.DATE:
            days = {day for text in texts if (day := _day(text)) and day not in self._days}
            kinds = (Category.DATE, Category.BIRTH_DATE) if tag == _BIRTH_DATE else (Category.DATE,)
            return Told(missing=frozenset(Entry(each, day) for day in days for each in kinds))
        if kind is not Category.NAME:
            return Told(missing=frozenset(Entry(kind, text) for text in texts if self._lacks(text)))
        kind = Category.NAME if patient else Category.PERSON
        names = {part for text in texts for part in text.split("=") if self._lacks(part) and not part.strip().isdigit()}
        raw = {} if data.isascii() else {*_PARTS.split(data.strip(b" \x00")), *_WHOLES.split(data.strip(b" \x00"))}
        written = frozenset((part, kind) for part in raw if len(part) >= MIN_BYTES and not part.isascii())
        return Told(written, frozenset(Entry(kind, name.strip(" ^")) for name in names))

    def _lacks(self, text: str) -> bool:
        plain = _plain(text)
        nobody = _NOBODIES.issuperset(_WORDS.findall(text.casefold()))
        return len(set(plain)) > 1 and plain not in self._known and not nobody


_NOTHING = Told()


def stands_apart(part: bytes, data: bytes) -> bool:
    """Tell whether bytes of a name stand in a value and are no piece of a longer word in Latin letters."""
    at = data.find(part)
    while at >= 0:
        before, after = data[max(at - 1, 0) : at], data[at + len(part) : at + len(part) + 1]
        if not (part[:1].isalpha() and before.isalpha()) and not (part[-1:].isalpha() and after.isalpha()):
            return True
        at = data.find(part, at + 1)
    return False


@cache
def _kind(tag: int) -> Category | None:
    vr = vr_of(tag)
    if vr == "PN":
        return Category.NAME
    return Category.DATE if vr in ("DA", "DT") else _NUMBERS.get(tag)


def _day(text: str) -> str:
    """Return the day at the head of a text as YYYYMMDD, "" where there is none and for the dummy."""
    match = _DAY.match(text)
    if match is None:
        return ""
    try:
        day = datetime.date(*map(int, match.groups())).strftime("%Y%m%d")
    except ValueError:
        return ""
    return "" if day == _DUMMY_DAY else day


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(char for char in folded if char.isalnum())
