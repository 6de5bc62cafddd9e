"""Other readings of bytes in which an identifier may be spelled: UTF-16, base64, deflated streams, entities of markup."""

from __future__ import annotations

import binascii
import html
import re
import urllib.parse
import zlib
from collections.abc import Iterator

from phi_deid_pipeline.expressions import Expression, expression

MAX_UNPACKED = 16 << 20  # bytes of one stream that are looked at
MIN_BASE64 = 16  # characters; twelve bytes

_PRINTABLE = Expression(rb"[\x20-\x7e]{4,}")
_WIDE = (Expression(rb"(?:[\x20-\x7e]\x00){4,}"), Expression(rb"(?:\x00[\x20-\x7e]){4,}"))
_BASE64 = re.compile(rb"[A-Za-z0-9+/](?:[A-Za-z0-9+/]|\r?\n){%d,}={0,2}" % (MIN_BASE64 - 1))
_PACKED = Expression(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_ESCAPED = Expression(r"&(?:#x?[0-9a-fA-F]{1,6}|[A-Za-z]{2,8});|%[0-9A-Fa-f]{2}")
_ESCAPED_BYTES = re.compile(_ESCAPED.pattern.encode("ascii"))


def may_be_packed(data: bytes) -> bool:
    """Tell whether bytes may hold base64 or a deflated stream (RFC 1950, RFC 1952)."""
    return bool(_BASE64.search(data) or _PACKED.search(data))


def unpacked(data: bytes, *, depth: int = 2) -> Iterator[bytes]:
    """Yield what base64 and deflated streams inside bytes hold, and what is packed in that, to a depth."""
    if not depth:
        return
    found: list[bytes] = []
    for match in _BASE64.finditer(data):
        text = expression(rb"[\r\n=]").sub(b"", match[0])
        for skipped in range(4):  # a word of letters may stand right before
            part = text[skipped:]
            found.append(_base64(part[: len(part) - (len(part) % 4 == 1)]))
    for match in _PACKED.finditer(data):
        found.append(_inflated(memoryview(data)[match.start() : match.start() + MAX_UNPACKED]))
    for plain in found:
        if plain:
            yield plain
            yield from unpacked(plain, depth=depth - 1)


def _base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:  # not base64: there is nothing to look at
        return b""


def _inflated(data: memoryview) -> bytes:
    engine = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, as its head says
    plain = b""
    try:
        for start in range(0, len(data), 1 << 14):
            plain += engine.decompress(data[start : start + (1 << 14)], MAX_UNPACKED - len(plain))
            if engine.eof or len(plain) >= MAX_UNPACKED:
                break
    except zlib.error:  # chance bytes, or a damaged stream whose head can be read
        return plain
    return plain


def is_escaped(data: bytes) -> bool:
    """Tell whether entities or percent signs that `unescaped` resolves stand in bytes."""
    return bool(_ESCAPED_BYTES.search(data))


def unescaped(text: str) -> str:
    """Return text with entities of XML and percent signs of URLs resolved; the same text where there are none."""
    if not _ESCAPED.search(text):
        return text
    return html.unescape(urllib.parse.unquote(text))


def printable_runs(data: bytes) -> list[bytes]:
    """Return the runs of printable ASCII in bytes, and those in UTF-16 of either byte order as ASCII."""
    runs = _PRINTABLE.findall(data)
    if b"\x00" in data:
        runs += wide_runs(data)
    return runs


def wide_runs(data: bytes) -> list[bytes]:
    """Return the runs of printable ASCII that stand in UTF-16, of either byte order, as ASCII."""
    # Every second byte of a run is NUL and the others are printable: compressed frames seldom get past this.
    even, odd = data[::2], data[1::2]
    if not any(bytes(4) in nul and _PRINTABLE.search(other) for nul, other in ((even, odd), (odd, even))):
        return []
    return [run.replace(b"\x00", b"") for pattern in _WIDE for run in pattern.findall(data)]
