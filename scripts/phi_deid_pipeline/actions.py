"""The actions of Table E.1-1a on one value, as bytes in the encoding of the instance: D, Z, C, U, and kept text."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from phi_deid_pipeline.data_dictionary import attribute
from phi_deid_pipeline.dicom_utils import (
    LONG_LENGTH_VRS,
    MULTI_VALUED_TEXT_VRS,
    STRING_VRS,
    TEXT_VRS,
    decode_text,
    encode_text,
)
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.free_text import clean_descriptor, drop_identifiers
from phi_deid_pipeline.records import RejectReason

if TYPE_CHECKING:
    from phi_deid_pipeline.free_text import Vocabulary
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.raw_elements import Element, Item
    from phi_deid_pipeline.uid_mapping import UidMapper

DEIDENTIFIED = "DEIDENTIFIED"

# VR -> (dummy, second dummy for a source that equals the first)
_STRING_DUMMIES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("PN", "LO", "LT", "ST", "UC", "UT", "SH", "AE", "CS"), (DEIDENTIFIED, "REMOVED")),
    "DA": ("19000101", "19010101"),
    "TM": ("000000", "000001"),
    "DT": ("19000101000000", "19010101000000"),
    "AS": ("000D", "001D"),
    "DS": ("0", "1"),
    "IS": ("0", "1"),
    "UR": ("urn:deidentified", "urn:removed"),
}
# Coded strings that must hold one of their defined terms (PS3.3).
_TERM_DUMMIES: dict[int, tuple[str, str]] = {
    0x04000565: ("COERCE", "CORRECT"),
    0x00100040: ("O", "O"),
    0x00102203: ("UNALTERED", "ALTERED"),
}
_NUMBER_FORMATS = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
    "OW": "H",
    "OF": "f",
    "OL": "I",
    "OD": "d",
    "OV": "Q",
    "AT": "I",
}

ENCAPSULATED_DOCUMENT = 0x00420011
_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<<>>>>endobj\n"
    b"xref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000052 00000 n \n0000000101 00000 n \n"
    b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n178\n%%EOF\n"
)
# MIME type of (0042,0012) -> a small document of that type that says nothing (PS3.15 E.1.1, note on the document).
_DOCUMENTS = {
    "application/pdf": _PDF,
    "text/xml": b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>',
    "model/stl": bytes(84),
    "model/obj": b"# DEIDENTIFIED\nv 0 0 0\n",
    "model/mtl": b"# DEIDENTIFIED\n",
}

# What a well-formed value of a kept string VR may hold (PS3.5 6.2); a value with anything else is treated as text.
_REPERTOIRES = {
    "CS": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _\\\x00",
    "DS": b"0123456789+-.Ee \\\x00",
    "IS": b"0123456789+- \\\x00",
    "UI": b"0123456789.\\\x00 ",
    "DA": b"0123456789.- \\\x00",
    "DT": b"0123456789.+- \\\x00",
    "AS": b"0123456789DWMY \\\x00",
    "AE": b"",
    "UR": b"",
}
_TIME = Expression(
    rb"(?:(?:[01]\d|2[0-3])(?:(:?)[0-5]\d(?:\1(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?)?",
)

Value = object
"""A value for `encode_value`: str, bytes, number, a sequence of str or numbers, or for SQ a sequence of items."""
ItemContent = Mapping[int, tuple[str, Value]]


# --------------------------------------------------------------------------- encoding


def padded(vr: str, value: bytes) -> bytes:
    """Return a value of even length (PS3.5 6.2): NUL behind UIDs and bytes, a blank behind text."""
    if len(value) % 2 == 0:
        return value
    return value + (b" " if vr in STRING_VRS and vr != "UI" else b"\x00")


def element_header(tag: int, vr: str, length: int, little: bool, explicit: bool) -> bytes:
    """Return the header of an element; raises UnreadableInstance(CANNOT_CLEAN) if the VR cannot hold that length."""
    order = "<" if little else ">"
    group, number = tag >> 16, tag & 0xFFFF
    if not explicit:
        return struct.pack(order + "HHI", group, number, length)
    code = vr.encode("latin-1")
    if vr in LONG_LENGTH_VRS:
        return struct.pack(order + "HH2sHI", group, number, code, 0, length)
    if length > 0xFFFF:
        raise UnreadableInstance(RejectReason.CANNOT_CLEAN, f"({group:04X},{number:04X}) value too long for its VR")
    return struct.pack(order + "HH2sH", group, number, code, length)


def encode_element(
    tag: int, vr: str, value: Value, *, little: bool, explicit: bool, encodings: Sequence[str] = ("iso8859",)
) -> bytes:
    """Return a whole element; sequences get defined lengths."""
    if vr == "SQ":
        content = b"".join(encode_item(item, little, explicit, encodings) for item in value)  # type: ignore[attr-defined]
    else:
        content = padded(vr, encode_value(vr, value, little, encodings))
    return element_header(tag, vr, len(content), little, explicit) + content


def encode_item(item: ItemContent, little: bool, explicit: bool, encodings: Sequence[str] = ("iso8859",)) -> bytes:
    """Return an item of defined length, its elements in tag order."""
    content = b"".join(
        encode_element(tag, vr, value, little=little, explicit=explicit, encodings=encodings)
        for tag, (vr, value) in sorted(item.items())
    )
    return struct.pack("<HHI" if little else ">HHI", 0xFFFE, 0xE000, len(content)) + content


def big_endian_items(items: Sequence[Item], buffer: memoryview) -> bytes:
    """Return items in explicit VR big endian, whatever their encoding; all lengths are defined."""
    encoded = []
    for item in items:
        content = b"".join(_big_endian_element(element, buffer) for element in item.elements)
        encoded.append(struct.pack(">HHI", 0xFFFE, 0xE000, len(content)) + content)
    return b"".join(encoded)


def _big_endian_element(element: Element, buffer: memoryview) -> bytes:
    if element.items is not None:
        content = big_endian_items(element.items, buffer)
    else:
        content = bytes(buffer[element.value_start : element.value_end])
        size = 2 if element.vr == "AT" else struct.calcsize(_NUMBER_FORMATS.get(element.vr, "x"))
        if element.little and size > 1:
            content = b"".join(content[at : at + size][::-1] for at in range(0, len(content), size))
    return element_header(element.tag, element.vr, len(content), little=False, explicit=True) + content


def encode_value(vr: str, value: Value, little: bool, encodings: Sequence[str] = ("iso8859",)) -> bytes:
    """Return the bytes of a Python value, without padding; None and "" are empty."""
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    if vr in STRING_VRS:
        return encode_text("\\".join(_as_text(v) for v in values), encodings if vr in TEXT_VRS else ("ascii",))
    order = "<" if little else ">"
    if vr == "AT":
        return b"".join(struct.pack(order + "HH", int(v) >> 16, int(v) & 0xFFFF) for v in values)
    return struct.pack(f"{order}{len(values)}{_NUMBER_FORMATS[vr]}", *values)


def _as_text(value: object) -> str:
    if isinstance(value, float):
        return repr(value) if len(repr(value)) <= 16 else f"{value:.10g}"  # DS holds 16 characters
    return str(value)


# --------------------------------------------------------------------------- D


@lru_cache(maxsize=4096)
def _minimal_vm(tag: int) -> int:
    """Return how many values the data dictionary demands at least; 1 where it does not know."""
    entry = attribute(tag)
    return max(1, int(expression(r"[-n]").split(entry.vm)[0] or 1)) if entry else 1


def dummy_value(tag: int, vr: str, value: bytes, little: bool) -> bytes:
    """Return a dummy that fits the VR and differs from `value`; repeated where the dictionary demands several."""
    minimal = _minimal_vm(tag)
    if vr in _STRING_DUMMIES:
        found = value.strip(b" \x00").split(b"\\")
        count = max(minimal, len(found)) if minimal > 1 else 1
        first, second = _TERM_DUMMIES.get(tag, _STRING_DUMMIES[vr])
        use = second if first.encode("ascii") in (part.strip(b" \x00") for part in found) else first
        return padded(vr, "\\".join([use] * count).encode("ascii"))
    if vr in _NUMBER_FORMATS:
        size = struct.calcsize(_NUMBER_FORMATS[vr])
        count = max(minimal, len(value) // size) if minimal > 1 else 1
        zero = bytes(size) * count
        if value != zero:
            return zero
        return struct.pack(("<" if little else ">") + _NUMBER_FORMATS[vr] * count, *[1] * count)
    return b"\x00\x00" if value != b"\x00\x00" else b"\x01\x01"


def dummy_document(mime_type: str) -> bytes:
    """Return a small valid document of that MIME type, two zero bytes for a type that is not known."""
    return padded("OB", _DOCUMENTS.get(mime_type.strip().lower(), b"\x00\x00"))


def _code_item(value: str, scheme: str, meaning: str) -> dict[int, tuple[str, Value]]:
    return {0x00080100: ("SH", value), 0x00080102: ("SH", scheme), 0x00080104: ("LO", meaning)}


_DUMMY_CODE = _code_item(DEIDENTIFIED, "99PHIDEID", DEIDENTIFIED)
# Sequences with code D: one item that is valid for the macro of that sequence (PS3.3).
_ITEM_TEMPLATES: dict[int, dict[int, tuple[str, Value]]] = {
    0x00080082: _DUMMY_CODE,  # Institution Code Sequence
    0x00401101: _DUMMY_CODE,  # Person Identification Code Sequence
    0x00081072: {0x00080080: ("LO", DEIDENTIFIED), 0x00401101: ("SQ", [_DUMMY_CODE])},  # Operator Identification
    0x00340001: {0x00340002: ("OB", bytes(2))},  # Flow Identifier Sequence
    0x0040A073: {  # Verifying Observer Sequence
        0x0040A027: ("LO", DEIDENTIFIED),
        0x0040A030: ("DT", "19000101000000"),
        0x0040A075: ("PN", DEIDENTIFIED),
        0x0040A088: ("SQ", []),
    },
    0x0040A730: {  # Content Sequence: a comment
        0x0040A010: ("CS", "CONTAINS"),
        0x0040A040: ("CS", "TEXT"),
        0x0040A043: ("SQ", [_code_item("121106", "DCM", "Comment")]),
        0x0040A160: ("UT", DEIDENTIFIED),
    },
    0x0040B020: {0x0040A0B0: ("US", [1, 0]), 0x00700006: ("ST", DEIDENTIFIED)},  # Waveform Annotation Sequence
    0x00700001: {  # Graphic Annotation Sequence: a text nobody sees
        0x00700002: ("CS", DEIDENTIFIED),
        0x00700008: (
            "SQ",
            [
                {
                    0x00700004: ("CS", "DISPLAY"),
                    0x00700006: ("ST", DEIDENTIFIED),
                    0x00700014: ("FL", [0.0, 0.0]),
                    0x00700015: ("CS", "N"),
                }
            ],
        ),
    },
}


def dummy_item(tag: int, keyword: str) -> ItemContent | None:
    """Return the dummy item of a sequence with code D; None where no valid one is known."""
    if tag in _ITEM_TEMPLATES:
        return _ITEM_TEMPLATES[tag]
    return _DUMMY_CODE if keyword.endswith("CodeSequence") else None


# --------------------------------------------------------------------------- U


def new_uids(value: bytes, uids: UidMapper) -> tuple[bytes, int]:
    """Replace each UID of a value; return the padded new value and how many UIDs changed."""
    text = value.decode("utf-8", "surrogateescape")
    found = [part.strip("\x00 ") for part in text.split("\\")]
    new = [uids.new_uid(uid) for uid in found]
    changed = sum(a != b for a, b in zip(found, new, strict=True))
    return padded("UI", "\\".join(new).encode("ascii")), changed


# --------------------------------------------------------------------------- C, and kept text


def is_well_formed(vr: str, value: bytes) -> bool:
    """Tell whether a kept string value holds only what its VR allows; AE and UR never count as such.

    A time is well formed by its fields, as its characters make dates as well (PS3.5 6.2; with colons in ACR-NEMA).
    """
    if vr == "TM":
        return all(_TIME.fullmatch(part.strip(b" \x00")) for part in value.split(b"\\"))
    return not value.translate(None, _REPERTOIRES[vr])


# A word with letters beyond ASCII, long enough not to come about by misreading another encoding; or ideographs, kana.
_MISREAD = Expression(r"(?=[a-zA-Z]*[^\W\d_a-zA-Z])[^\W\d_]{4,}|[\u3040-\u9fff\uac00-\ud7af]{2}")


def _without_misread(value: bytes, charset: tuple[str, ...], lexicon: Lexicon) -> bytes:
    """Cut identifiers that only show when the bytes are read as UTF-8 or ISO 8859-1, whatever is declared."""
    if value.isascii():
        return value
    declared = decode_text(value, charset)[0]
    for encoding in ("utf-8", "latin-1"):
        text = value.decode(encoding, "surrogateescape")
        if text == declared:
            continue  # read so by the caller
        spans = [(start, end) for start, end, _ in lexicon.hits(text) if _MISREAD.search(text[start:end])]
        for start, end in reversed(spans):
            text = text[:start] + text[end:]
        if spans:
            value = text.encode(encoding, "surrogateescape")
    return value


def kept_text(
    vr: str, value: bytes, charset: tuple[str, ...], lexicon: Lexicon, vocabulary: Vocabulary | None = None
) -> bytes | None:
    """Drop known identifiers from a text that is kept; None if nothing had to go."""
    read = _without_misread(value, charset if vr in TEXT_VRS else (), lexicon)
    text, encodings = decode_text(read, charset if vr in TEXT_VRS else ())
    body = text.rstrip(" \x00")
    # A name may stand over several values, as in OTHER\NAMES, so the text is searched as a whole.
    cleaned = drop_identifiers(body, lexicon, vocabulary)
    if cleaned == body and read == value:
        return None
    if not cleaned.strip() and vr in TEXT_VRS:
        cleaned = DEIDENTIFIED  # the attribute may be of Type 1
    return padded(vr, encode_text(cleaned, encodings))


def dummy_string(vr: str) -> bytes:
    """Return the dummy of a VR of strings."""
    return _STRING_DUMMIES[vr][0].encode("ascii")


def described_codes(
    tag: int, vr: str, form: str, value: bytes, charset: tuple[str, ...], lexicon: Lexicon, vocabulary: Vocabulary
) -> bytes | None:
    """Clean a value that is not well formed for the VR `form` as a description; None if it stays.

    Where anything has to go, the dummy of the VR takes the place of the component, or of a text as a whole. A time with
    other fields is no description but a dummy: it may be a date.
    """
    whole = vr in TEXT_VRS
    charset = charset if whole else ()
    dummy = _TERM_DUMMIES.get(tag, _STRING_DUMMIES[vr])[0].encode("ascii")
    new = []
    for part in [value] if whole else value.split(b"\\"):
        stays = not whole and is_well_formed(form, part)
        stays = stays or (vr != "TM" and cleaned_text(vr, part.strip(b" \x00"), charset, lexicon, vocabulary) is None)
        new.append(part if stays else dummy)
    joined = b"\\".join(new)
    if kept_text(vr, joined, charset, lexicon, vocabulary) is not None:  # spread over the components
        new = [dummy] * len(new)
        joined = b"\\".join(new)
    return None if joined == value else padded(vr, joined.rstrip(b" \x00"))


def described_part(value: bytes, lexicon: Lexicon, vocabulary: Vocabulary) -> bytes | None:
    """Clean well-formed codes of regions as descriptions, underscores as blanks; None if all stay, the dummy where nothing is left."""
    parts = [part.strip(b" \x00").decode("ascii") for part in value.split(b"\\")]
    new = [_without_strangers(part, lexicon, vocabulary) for part in parts]
    return None if new == parts else padded("CS", "\\".join(new).encode("ascii"))


def _without_strangers(part: str, lexicon: Lexicon, vocabulary: Vocabulary) -> str:
    written = part.replace("_", " ")
    left = clean_descriptor(written, lexicon, vocabulary)
    if left == written or clean_descriptor(part, lexicon, vocabulary) == part:
        return part
    return left if left and left.isascii() and is_well_formed("CS", left.encode("ascii")) else _STRING_DUMMIES["CS"][0]


def cleaned_text(
    vr: str,
    value: bytes,
    charset: tuple[str, ...],
    lexicon: Lexicon,
    vocabulary: Vocabulary,
    unknown: list[str] | None = None,
    label: str = "",
) -> bytes | None:
    """Clean a descriptor value by value (E.3.5); None if it is unchanged, b"" if nothing is left.

    `unknown` gets the folded words that go because the vocabulary lacks them; `label` says what the value is.
    """
    read = _without_misread(value, charset, lexicon)
    text, encodings = decode_text(read, charset)
    body = text.rstrip(" \x00")
    parts = body.split("\\") if vr in MULTI_VALUED_TEXT_VRS else [body]
    cleaned = [clean_descriptor(part, lexicon, vocabulary, unknown, label) for part in parts]
    if cleaned == parts and read == value:
        # Also looked at as a whole: a name may be spread over the values.
        return None if drop_identifiers(body, lexicon, vocabulary) == body else b""
    if not any(part.strip() for part in cleaned):
        return b""
    return padded(vr, encode_text("\\".join(cleaned), encodings))
