"""Writes a PDF page by page: JPEGs as they are, text in Helvetica; no date, so the same pages give the same bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from phi_deid_pipeline.records import Picture

A4 = (842.0, 595.0)  # points, landscape
CATALOG, PAGES, REGULAR, BOLD = 1, 2, 3, 4
_FIRST_FREE = 5
# Widths of Helvetica in thousandths of the font size, for the characters 32 to 126.
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722,
    778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556,
    278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260,
    334, 584,
)  # fmt: skip
_OTHER_WIDTH, _BOLD_FACTOR = 600, 1.08


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of text in points; of characters beyond ASCII an estimate."""
    units = sum(_WIDTHS[ord(c) - 32] if 32 <= ord(c) < 127 else _OTHER_WIDTH for c in text)
    return units * size / 1000 * (_BOLD_FACTOR if bold else 1.0)


def fitted(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """Return text cut with an ellipsis so that it fits into a width in points."""
    if text_width(text, size, bold=bold) <= width:
        return text
    while text and text_width(text + "…", size, bold=bold) > width:
        text = text[:-1]
    return text + "…"


def wrapped(text: str, size: float, width: float, lines: int, *, bold: bool = False) -> list[str]:
    """Return text broken between words into lines of a width in points, the last of `lines` cut with an ellipsis."""
    done: list[str] = []
    words = text.split(" ")
    while words:
        last = len(done) == lines - 1
        count = len(words) if last else 1
        while not last and count < len(words):
            if text_width(" ".join(words[: count + 1]), size, bold=bold) > width:
                break
            count += 1
        done.append(fitted(" ".join(words[:count]), size, width, bold=bold))
        words = words[count:]
    return done


@dataclass(slots=True)
class Page:
    """A page in the making: coordinates in points from its upper left corner. Colours are RGB, 0 to 255."""

    width: float = A4[0]
    height: float = A4[1]
    _drawn: list[str] = field(default_factory=list)
    _pictures: dict[Picture, str] = field(default_factory=dict)  # the batch of each
    undrawable: bool = False  # a character that the font lacks was replaced
    shortened: bool = False  # a text did not fit

    def text(
        self, x: float, y: float, text: str, size: float = 9, *, bold: bool = False, colour: Iterable[int] = (0, 0, 0)
    ) -> None:
        """Write one line whose baseline is at y."""
        encoded = text.encode("cp1252", "replace")
        self.undrawable = self.undrawable or encoded.decode("cp1252") != text
        escaped = b"".join(b"\\" + bytes([c]) if c in b"()\\" else bytes([max(c, 32)]) for c in encoded)
        font = "/F2" if bold else "/F1"
        self._drawn.append(
            f"BT {_rgb(colour)} rg {font} {size:g} Tf {x:.2f} {self.height - y:.2f} Td ({escaped.decode('latin-1')}) Tj ET"
        )

    def rectangle(
        self, x: float, y: float, w: float, h: float, colour: Iterable[int], *, line: float = 0.0, dashed: bool = False
    ) -> None:
        """Fill a rectangle, or draw its outline where `line` gives a width."""
        place = f"{x:.2f} {self.height - y - h:.2f} {w:.2f} {h:.2f} re"
        dash = "[3 2] 0 d" if dashed else "[] 0 d"
        paint = f"{_rgb(colour)} RG {line:g} w {dash} {place} S" if line else f"{_rgb(colour)} rg {place} f"
        self._drawn.append(paint)

    def picture(self, picture: Picture, batch: str, x: float, y: float, w: float, h: float) -> None:
        """Place a picture as large as fits into a rectangle, at its top, centred across."""
        scale = min(w / picture.width, h / picture.height)
        wide, high = picture.width * scale, picture.height * scale
        self._pictures[picture] = batch
        left, low = x + (w - wide) / 2, self.height - y - high
        self._drawn.append(f"q {wide:.2f} 0 0 {high:.2f} {left:.2f} {low:.2f} cm /I{_alias(picture)} Do Q")

    @property
    def content(self) -> bytes:
        """The drawing operators of the page."""
        return "\n".join(self._drawn).encode("latin-1")

    @property
    def pictures(self) -> dict[Picture, str]:
        """The pictures that it shows, with the batch of each."""
        return self._pictures


class PdfFile:
    """A PDF written to a stream as pages come; holds offsets of objects, and no page."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._offsets: dict[int, int] = {}
        self._free = _FIRST_FREE
        self._kids: list[int] = []
        self._images: dict[str, int] = {}
        self._at = 0
        self._write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")

    def add(self, page: Page, jpegs: dict[Picture, bytes]) -> None:
        """Write a page; `jpegs` are the bytes of its pictures, three colours each."""
        used = {}
        for picture in page.pictures:
            if picture.name not in self._images:
                self._images[picture.name] = self._image(picture, jpegs[picture])
            used[_alias(picture)] = self._images[picture.name]
        data = zlib.compress(page.content, 6)
        content = self._object(f"<< /Length {len(data)} /Filter /FlateDecode >>", data)
        images = " ".join(f"/I{alias} {number} 0 R" for alias, number in sorted(used.items()))
        fonts = f"/Font << /F1 {REGULAR} 0 R /F2 {BOLD} 0 R >>"
        self._kids.append(
            self._object(
                f"<< /Type /Page /Parent {PAGES} 0 R /MediaBox [0 0 {page.width:g} {page.height:g}] "
                f"/Contents {content} 0 R /Resources << {fonts} /XObject << {images} >> >> >>"
            )
        )

    def close(self) -> None:
        """Write the catalog and the table of objects; the stream stays open."""
        kids = " ".join(f"{number} 0 R" for number in self._kids)
        self._object(f"<< /Type /Catalog /Pages {PAGES} 0 R >>", number=CATALOG)
        self._object(f"<< /Type /Pages /Count {len(self._kids)} /Kids [{kids}] >>", number=PAGES)
        for number, name in ((REGULAR, "Helvetica"), (BOLD, "Helvetica-Bold")):
            font = f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>"
            self._object(font, number=number)
        start = self._at
        rows = b"".join(b"%010d 00000 n \n" % self._offsets[number] for number in range(1, self._free))
        self._write(b"xref\n0 %d\n0000000000 65535 f \n" % self._free + rows)
        self._write(b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (self._free, CATALOG, start))

    def _image(self, picture: Picture, data: bytes) -> int:
        return self._object(
            f"<< /Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height} /ColorSpace /DeviceRGB "
            f"/BitsPerComponent 8 /Filter /DCTDecode /Length {len(data)} >>",
            data,
        )

    def _object(self, dictionary: str, data: bytes | None = None, number: int = 0) -> int:
        if not number:
            number, self._free = self._free, self._free + 1
        self._offsets[number] = self._at
        self._write(b"%d 0 obj\n" % number + dictionary.encode("latin-1"))
        if data is not None:
            self._write(b"\nstream\n" + data + b"\nendstream")
        self._write(b"\nendobj\n")
        return number

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self._at += len(data)


def _rgb(colour: Iterable[int]) -> str:
    return " ".join(f"{value / 255:.3f}" for value in colour)


def _alias(picture: Picture) -> str:
    return picture.name.split(".")[0]
