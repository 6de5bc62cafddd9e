"""Small helpers on tags, VRs, character sets and checksums that several modules share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

from phi_deid_pipeline.data_dictionary import attribute
from phi_deid_pipeline.expressions import Expression, expression

CHUNK = 1 << 20  # bytes
_KEPT_BYTES = 16 << 20

# Written to (0002,0012) and (0002,0013); the UID is 2.25.<uuid5(NAMESPACE_DNS, "phi_deid_pipeline") as integer>.
IMPLEMENTATION_CLASS_UID = "2.25.256614158040384047298837104332312656027"
IMPLEMENTATION_VERSION_NAME = "PHIDEID_0_1"

# Attributes of Table E.1-1 (PS3.15 2026d) that pydicom 3.0.2 does not know: implicit VR would read them as UN.
NEW_ATTRIBUTES: dict[int, tuple[str, str]] = {
    0x00081301: ("SQ", "PrincipalDiagnosisCodeSequence"),
    0x00081302: ("SQ", "PrimaryDiagnosisCodeSequence"),
    0x00081303: ("SQ", "SecondaryDiagnosesCodeSequence"),
    0x00081304: ("SQ", "HistologicalDiagnosesCodeSequence"),
    0x00100011: ("SQ", "PersonNamesToUseSequence"),
    0x00100012: ("LT", "NameToUse"),
    0x00100013: ("UT", "NameToUseComment"),
    0x00100014: ("SQ", "ThirdPersonPronounsSequence"),
    0x00100015: ("SQ", "PronounCodeSequence"),
    0x00100016: ("UT", "PronounComment"),
    0x00100041: ("SQ", "GenderIdentitySequence"),
    0x00100042: ("UT", "SexParametersForClinicalUseCategoryComment"),
    0x00100043: ("SQ", "SexParametersForClinicalUseCategorySequence"),
    0x00100044: ("SQ", "GenderIdentityCodeSequence"),
    0x00100045: ("UT", "GenderIdentityComment"),
    0x00100046: ("SQ", "SexParametersForClinicalUseCategoryCodeSequence"),
    0x00100047: ("UR", "SexParametersForClinicalUseCategoryReference"),
    0x00102162: ("UC", "EthnicGroups"),
    0x3004007F: ("LO", "DoseCalculationModelName"),
    0x0040A034: ("DT", "EffectiveStartDateTime"),
    0x0040A035: ("DT", "EffectiveStopDateTime"),
    0x0040B034: ("DT", "AnnotationDateTime"),
    0x0040B036: ("DT", "SegmentDefinitionDateTime"),
    0x0040B03B: ("LT", "MontageName"),
    0x0040B03F: ("LO", "MontageChannelLabel"),
    0x0040E012: ("UR", "DisplayURI"),
}

# Ambiguous VRs of the data dictionary, as they are read where no VR is written.
_AMBIGUOUS = {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}

TEXT_VRS = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "PN"})  # governed by Specific Character Set
MULTI_VALUED_TEXT_VRS = frozenset({"LO", "SH", "UC", "PN"})
SINGLE_VALUED_VRS = frozenset({"ST", "LT", "UT", "UR"})  # a backslash is a character of the value
STRING_VRS = TEXT_VRS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
LONG_LENGTH_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
KNOWN_VRS = STRING_VRS | LONG_LENGTH_VRS | {"AT", "FD", "FL", "SL", "SS", "UL", "US"}

_PRIVATE_UID = Expression(r"[012](?:\.(?:0|[1-9][0-9]*)){3,}", re.ASCII)
_ESC = 0x1B
_DELIMITERS = frozenset(b"\\\r\n\t\f^=")  # each resets a code extension (PS3.5 6.1.2.5.3)
_SELF_SWITCHING = frozenset({"iso2022_jp", "iso2022_jp_2", "iso2022_kr"})  # codecs that read their own escapes
_STAND_ALONE = frozenset({"UTF8", "GB18030", "GBK"})  # no code extensions with these (PS3.3 C.12.1.1.2)
_DEFAULT = "iso8859"  # ISO-IR 6, and what is read in its place
# Character sets of PS3.3 C.12.1.1.2 by the number of their registration -> Python's codec, final byte of the escape
# sequence that puts them into G1.
_SINGLE_BYTE = {
    "100": ("latin_1", "A"),
    "101": ("iso8859_2", "B"),
    "109": ("iso8859_3", "C"),
    "110": ("iso8859_4", "D"),
    "126": ("iso_ir_126", "F"),  # Greek
    "127": ("iso_ir_127", "G"),  # Arabic
    "138": ("iso_ir_138", "H"),  # Hebrew
    "144": ("iso_ir_144", "L"),  # Cyrillic
    "148": ("iso_ir_148", "M"),  # Turkish
    "166": ("iso_ir_166", "T"),  # Thai
    "203": ("iso8859_15", "b"),  # Latin alphabet No. 9
}
_TERMS = {
    "": _DEFAULT,
    **{f"{way} {number}": codec for number, (codec, _) in _SINGLE_BYTE.items() for way in ("ISO_IR", "ISO 2022 IR")},
    **dict.fromkeys(("ISO_IR 6", "ISO 2022 IR 6"), _DEFAULT),
    **dict.fromkeys(("ISO_IR 13", "ISO 2022 IR 13"), "shift_jis"),
    "ISO 2022 IR 87": "iso2022_jp",
    "ISO 2022 IR 159": "iso2022_jp_2",
    "ISO 2022 IR 149": "euc_kr",
    "ISO 2022 IR 58": "iso_ir_58",
    "ISO_IR 192": "UTF8",
    "GB18030": "GB18030",
    "GBK": "GBK",
    "ISO 2022 GBK": "GBK",  # seen in files, as is the next
    "ISO 2022 58": "GB2312",
}
_ESCAPES = {
    b"\x1b(B": _DEFAULT,
    b"\x1b)I": "shift_jis",  # ISO-IR 13
    b"\x1b(J": "shift_jis",  # ISO-IR 14
    b"\x1b$B": "iso2022_jp",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "iso_ir_58",
    **{b"\x1b-" + final.encode("ascii"): codec for codec, final in _SINGLE_BYTE.values()},
}
# Encoding -> escape sequence that puts it into G1, where it stands beside ASCII until the next delimiter.
_TO_G1 = {name: escape for escape, name in _ESCAPES.items() if escape[1:2] in (b"-", b")") or escape[1:3] == b"$)"}
# Encoding -> escape sequence that puts it into G0, instead of ASCII.
_TO_G0 = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
_TWO_BYTES = ("euc_kr", "iso_ir_58")  # never in force without their escape sequence
_BYTES_OF_A_CHARACTER = {"euc_kr": 2, "iso_ir_58": 2, "shift_jis": 1}  # the codecs know more than the character sets


@lru_cache(maxsize=65536)
def vr_of(tag: int) -> str:
    """Return the VR of a tag in the standard dictionary, "" for private and unknown tags; ambiguous VRs are settled."""
    if tag in NEW_ATTRIBUTES:
        return NEW_ATTRIBUTES[tag][0]
    if tag & 0x10000:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else ""
    if tag & 0xFFFF == 0:
        return "UL"
    entry = attribute(tag)
    vr = _AMBIGUOUS.get(entry.vr, entry.vr) if entry else ""
    return vr if len(vr) == 2 else ""


@lru_cache(maxsize=65536)
def is_known(tag: int) -> bool:
    """Tell whether a tag stands in the standard data dictionary (repeating groups included)."""
    return tag in NEW_ATTRIBUTES or attribute(tag) is not None


@lru_cache(maxsize=65536)
def keyword_of(tag: int) -> str:
    """Return the keyword of a tag, "" for private and unknown tags."""
    if tag in NEW_ATTRIBUTES:
        return NEW_ATTRIBUTES[tag][1]
    entry = None if tag & 0x10000 else attribute(tag)
    return entry.keyword if entry else ""


@lru_cache(maxsize=65536)
def format_path(path: tuple[int, ...]) -> str:
    """Return a path of tags as in `records.UidUse.path`: 8 hexadecimal digits each, joined by full stops."""
    return ".".join(f"{tag:08X}" for tag in path)


def parse_path(path: str) -> tuple[int, ...]:
    """Return the tags of a path that `format_path` made."""
    return tuple(int(part, 16) for part in path.split("."))


@cache  # once: what is kept would be touched by the next such block
def keep_freed_memory() -> None:
    """Have the C library keep the memory of one instance for the next, instead of getting it page by page from the system.

    That of glibc gives back what is free at the end of the heap beyond twice the largest block that was mapped and freed;
    this block is never touched, so it costs nothing. Other libraries take no notice.
    """
    bytes(_KEPT_BYTES)


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def looks_like_uid(text: str) -> bool:
    """Tell whether a text in a private element is a UID and no version number: a root and some components behind it."""
    text = text.strip("\x00 ")
    return 12 <= len(text) <= 64 and _PRIVATE_UID.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def encodings_of(charset: tuple[str, ...]) -> tuple[str, ...]:
    """Return Python's names of the terms of Specific Character Set; unknown terms count as ISO-IR 6."""
    encodings = []
    for term in charset or ("",):
        name = _TERMS.get(term)
        if name is None and expression(r"ISO[^_]IR").match(term):
            name = _TERMS.get("ISO_IR" + term[6:])
        if name is None and expression(r"ISO.2022.IR.").match(term):
            name = _TERMS.get("ISO 2022 IR " + term[12:])
        encodings.append(name or _DEFAULT)
    if encodings[0].upper() in _STAND_ALONE:
        return (encodings[0],)
    return tuple(e for i, e in enumerate(encodings) if i == 0 or e.upper() not in _STAND_ALONE)


def decode_text(value: bytes, charset: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the text of a value and the encodings that give its bytes again.

    Bytes that the declared character set forbids are tried as UTF-8, then as ISO 8859-1, so that a mislabelled name is
    still found; never raises.
    """
    if value.isascii() and _ESC not in value:
        return value.decode("ascii"), encodings_of(charset)
    encodings = encodings_of(charset)
    if _ESC in value:
        return "".join(_decode_fragment(part, encodings) for part in _fragments(value)), encodings
    candidates = (encodings[0],) if encodings[0] != _DEFAULT else ()
    unescaped = tuple(e for e in encodings[1:] if e in _TWO_BYTES)  # as some writers leave their escape sequence out
    for encoding in (*candidates, "utf8", *unescaped):
        try:
            return value.decode(encoding), (encoding, *encodings[1:])
        except UnicodeDecodeError:
            continue
    return value.decode("latin-1"), ("latin-1", *encodings[1:])


def _fragments(value: bytes) -> list[bytes]:
    return expression(rb"^[^\x1b]+|\x1b[^\x1b]*").findall(value)


def _decode_fragment(part: bytes, encodings: tuple[str, ...]) -> str:
    if part[0] != _ESC:
        return part.decode(encodings[0], "replace")
    size = 4 if part[:3] in (b"\x1b$(", b"\x1b$)") else 3
    encoding = _ESCAPES.get(part[:size], encodings[0])
    if encoding in _SELF_SWITCHING:
        return part.decode(encoding, "replace")
    body = part[size:]
    stop = next((i for i, byte in enumerate(body) if byte in _DELIMITERS), len(body))
    # Only in names do ^ and = reset the extension; and ISO-IR 6 has no bytes from 128 on: they belong to the extension.
    after = encoding if encodings[0] == _DEFAULT and not body[stop:].isascii() else encodings[0]
    return body[:stop].decode(encoding, "replace") + body[stop:].decode(after, "replace")


def encode_text(text: str, encodings: Sequence[str]) -> bytes:
    """Encode a text, with code extensions where it needs them; characters that no encoding has are left out."""
    if text.isascii():
        return text.encode("ascii")
    if len(encodings) == 1 and encodings[0] not in _TWO_BYTES:
        return text.encode(encodings[0], "ignore")
    # Each delimiter resets the code extension, so each part begins with its own escape sequence.
    parts = expression(r"([\\\r\n\t\f^=])").split(text)
    return b"".join(part.encode("ascii") if part.isascii() else _extended(part, tuple(encodings)) for part in parts)


def _extended(part: str, encodings: tuple[str, ...]) -> bytes:
    """Encode a text without delimiters by ISO 2022 code extensions (PS3.5 6.1.2.5)."""
    out = bytearray()
    initial = encodings[0]
    in_g1 = "" if initial in _TWO_BYTES else initial
    for name, characters in groupby(part, _chooser(encodings)):
        run = "".join(characters)
        if name == "ascii":
            out += run.encode("ascii")
        elif name in _TO_G0:
            encoded = run.encode(name)
            out += encoded.removesuffix(b"\x1b(B") + (b"\x1b(J" if initial == "shift_jis" else b"\x1b(B")
        elif name:
            if name != in_g1 and name in _TO_G1:
                out += _TO_G1[name]
            in_g1 = name
            out += run.encode(name)
    return bytes(out)


def _chooser(encodings: tuple[str, ...]) -> Callable[[str], str]:
    """Return a function that names the encoding of a character: ascii, the one used last, the first that has it, ""."""
    last = encodings[0]

    def choose(character: str) -> str:
        nonlocal last
        if character.isascii():
            return "ascii"
        for name in (last, *encodings):
            if _has(character, name):
                last = name
                return name
        return ""

    return choose


@lru_cache(maxsize=4096)
def _has(character: str, encoding: str) -> bool:
    if encoding == _DEFAULT:
        return False
    try:
        encoded = character.encode(encoding)
    except UnicodeEncodeError:
        return False
    if encoding in _TO_G0:
        return encoded.startswith(_TO_G0[encoding])
    return len(encoded) == _BYTES_OF_A_CHARACTER.get(encoding, len(encoded))
