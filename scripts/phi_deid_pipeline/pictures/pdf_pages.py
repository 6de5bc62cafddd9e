"""Lays out the pages of the PDFs: counts and legend, a page a row of pictures, contact sheets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from phi_deid_pipeline.pictures.gather import PER_SHEET, SHEET_COLUMNS, SHEET_ROWS, Placed, Shown, Totals, reason_of
from phi_deid_pipeline.pictures.html_pages import (
    CAPTIONS,
    COLOURS_TOLD,
    CUT,
    FILLED_TOO,
    FINDINGS_TITLE,
    HOW_TO_DECIDE,
    PRIVATE,
    SHEETS_TITLE,
    alike_words,
    caption,
    further_words,
    heading,
    series_heading,
    summary_rows,
    verdict_words,
)
from phi_deid_pipeline.pictures.pdf_file import A4, Page, fitted, text_width, wrapped
from phi_deid_pipeline.pictures.states import COLOURS, HIDDEN, IGNORED, KEPT, REVIEW, WORDS
from phi_deid_pipeline.records import PictureMark, PictureRow, Unread

MARGIN = 28.0
WIDTH, HEIGHT = A4
INNER = WIDTH - 2 * MARGIN
PICTURE_HEIGHT = 275.0  # at least as much room as pictures may take
LINES = (21.0, 14.5, 11.5)  # points of a finding in the table; the narrow ones where they save a page
TWO_LINES = 21.0  # points of a finding from which its texts may take two lines
SIZE, WRAPPED_SIZE, LEAST_SIZE = 8.0, 7.5, 5.5  # of texts in the table: as a rule, in two lines, at least in one
BELOW = 46.0  # points below the table: legend and footer
UNREAD_PER_PAGE = 13
GREY, RULE, BLACK, WARNING = (90, 90, 90), (210, 210, 210), (0, 0, 0), (170, 90, 0)
# Column: title, left edge, width, in points.
COLUMNS = (
    ("", 0.0, 18.0),
    (CUT, 20.0, 114.0),
    ("Read as", 138.0, 164.0),
    ("What became of it", 306.0, 92.0),
    ("Verdict and reason", 402.0, 182.0),
    ("Category", 588.0, 62.0),
    ("Conf.", 654.0, 22.0),
    ("Reader", 678.0, 48.0),
    ("ID", 728.0, 58.0),
)


def findings_pages(shown: Iterable[Shown], totals: Totals) -> Iterator[Page]:
    """Yield the pages of all findings, one row of pictures a page; a long table goes on on the next."""
    yield _cover(totals)
    unread: list[tuple[Shown, Unread]] = []
    for series in shown:
        for row in series.series.rows:
            yield from _row_pages(row, series, totals.series)
        unread += [(series, one) for one in series.series.unread]
        while len(unread) >= UNREAD_PER_PAGE:
            yield _unread_page(unread[:UNREAD_PER_PAGE], totals.series)
            unread = unread[UNREAD_PER_PAGE:]
    if unread:
        yield _unread_page(unread, totals.series)


def sheet_pages(sheets: Iterable[Sequence[Placed]], count: int, totals: Totals) -> Iterator[Page]:
    """Yield a page for each contact sheet; one that says so where there is none."""
    nothing = True
    for number, sheet in enumerate(sheets, 1):
        nothing = False
        page = Page()
        first, last = (number - 1) * PER_SHEET + 1, (number - 1) * PER_SHEET + len(sheet)
        page.text(MARGIN, 24, f"{SHEETS_TITLE}: sheet {number} of {count}", 12, bold=True)
        page.text(
            MARGIN + 230,
            24,
            f"pictures {first} to {last} of {totals.thumbnails}; below each: modality, series . instance, frame",
            8,
            colour=GREY,
        )
        _legend(page, MARGIN + 560, 24, (HIDDEN, KEPT, REVIEW))
        wide, high = INNER / SHEET_COLUMNS, (HEIGHT - 34 - 24) / SHEET_ROWS
        for place, placed in enumerate(sheet):
            x, y = MARGIN + place % SHEET_COLUMNS * wide, 34 + place // SHEET_COLUMNS * high
            page.rectangle(x + 1, y, wide - 2, high - 10, BLACK)
            page.picture(placed.thumbnail.picture, placed.batch, x + 2, y + 1, wide - 4, high - 12)
            page.text(x + 2, y + high - 3, caption(placed), 6, colour=GREY)
        yield _footed(page)
    if nothing:
        page = Page()
        page.text(MARGIN, 40, SHEETS_TITLE, 18, bold=True)
        page.text(MARGIN, 64, "Nothing with pixels was released.", 10)
        yield _footed(page)


def _cover(totals: Totals) -> Page:
    page = Page()
    page.text(MARGIN, 52, FINDINGS_TITLE, 22, bold=True)
    y = 74.0
    for line in PRIVATE.split(". "):
        page.text(MARGIN, y, line.rstrip(".") + ".", 10, colour=(170, 30, 30))
        y += 14
    y += 16
    for label, text in summary_rows(totals):
        page.text(MARGIN, y, fitted(label, 10, 370), 10, colour=GREY)
        page.text(MARGIN + 380, y, text, 10, bold=True)
        y += 16
    _legend(page, MARGIN, y + 16, (HIDDEN, KEPT, REVIEW, IGNORED), dashed=True)
    page.text(
        MARGIN,
        y + 44,
        "Each page: original, the same with boxes, what was written. Series that need review come first, what was not looked at last.",
        10,
    )
    told = [COLOURS_TOLD, re.sub("<[^>]*>", "", HOW_TO_DECIDE)]
    lines = [line for text in told for line in wrapped(text, 10, INNER, 4)]
    for number, line in enumerate(lines):
        page.text(MARGIN, y + 64 + 14 * number, line, 10)
    return _footed(page)


def _row_pages(row: PictureRow, shown: Shown, count: int) -> Iterator[Page]:
    page = Page()
    y = _header(page, row, shown, count)
    third = (INNER - 16) / 3
    pictures = ((row.original, "Original"), (row.boxes, "Boxes"), (row.result, "Result"))
    room = max(PICTURE_HEIGHT, HEIGHT - y - 36 - BELOW - len(row.marks) * LINES[0])
    high = min(room, max((third * p.height / p.width for p, _ in pictures if p), default=12.0))
    for place, (picture, name) in enumerate(pictures):
        x = MARGIN + place * (third + 8)
        page.rectangle(x, y, third, high, BLACK)
        if picture:
            page.picture(picture, shown.batch, x, y, third, high)
        page.text(x, y + high + 9, CAPTIONS[name] if picture else f"{name}: no picture", 7.5, colour=GREY)
    y += high + 20
    marks = list(row.marks)
    line = next((line for line in LINES if len(marks) <= _room(y, line)), LINES[1])
    while True:
        room = _room(y, line)
        _table(page, y, marks[:room], shown.batch, line)
        _legend(page, MARGIN, HEIGHT - 26, (HIDDEN, KEPT, REVIEW, IGNORED), dashed=True)
        marks = marks[room:]
        yield _footed(page)
        if not marks:
            return
        page = Page()
        y = _header(page, row, shown, count, more=True)


def _room(y: float, line: float) -> int:
    """Return how many findings fit on a page below y."""
    return max(int((HEIGHT - BELOW - y - 12) / line), 1)


def _header(page: Page, row: PictureRow, shown: Shown, count: int, *, more: bool = False) -> float:
    """Write what a page shows; return where its content begins."""
    end = shown.end(row)
    page.text(MARGIN, 24, series_heading(shown, count), 11, bold=True)
    title = f"{heading(row, shown)}: {end}{' (continued)' if more else ''}"
    page.text(MARGIN, 38, title, 10, bold=True, colour=BLACK if end == "released" else WARNING)
    page.text(
        MARGIN + text_width(title, 10, bold=True) + 12, 38, f"SOP Instance UID (new) {row.sop_uid}", 7, colour=GREY
    )
    y = 50.0
    for note, colour in ((row.note, WARNING), (alike_words(row), GREY), (further_words(row), GREY)):
        if note and not more:
            told = fitted(note, 8, INNER)
            page.text(MARGIN, y, told, 8, colour=colour)
            page.shortened |= told != note
            y += 11
    return y - 2


def _table(page: Page, y: float, marks: Sequence[PictureMark], batch: str, line: float) -> None:
    for title, x, _ in COLUMNS:
        page.text(MARGIN + x, y + 7, title, 7, colour=GREY)
    y += 11
    for mark in marks:
        page.rectangle(MARGIN, y, INNER, 0.4, RULE)
        page.rectangle(MARGIN, y + 1.5, 16, line - 3, COLOURS[mark.state])
        page.text(MARGIN + 3, y + line / 2 + 3, str(mark.number), 8, bold=True)
        if mark.crop:
            _, x, width = COLUMNS[1]
            wide = min(width, mark.crop.width * (line - 3) / mark.crop.height)
            page.picture(mark.crop, batch, MARGIN + x, y + 1.5, wide, line - 3)
        text = mark.text if mark.plane == "pixels" else f"{mark.text} ({mark.plane})"
        cells = (text, WORDS[mark.state], verdict_words(mark))
        cells += (mark.category.replace("_", " "), f"{mark.confidence:.2f}", mark.reader, mark.id)
        for (_, x, width), cell in zip(COLUMNS[2:], cells, strict=True):
            _cell(page, MARGIN + x, y, cell, width, line, bold=cell is text)
        y += line


def _cell(page: Page, x: float, y: float, text: str, width: float, line: float, *, bold: bool) -> None:
    """Write a text into a row of the table: in two lines or smaller where it is long, cut where that is not enough."""
    size, lines = SIZE, [text]
    if text_width(text, size, bold=bold) > width:
        if line >= TWO_LINES:
            size = WRAPPED_SIZE
            lines = wrapped(text, size, width, 2, bold=bold)
        else:
            size = max(0.99 * size * width / text_width(text, size, bold=bold), LEAST_SIZE)
            lines = [fitted(text, size, width, bold=bold)]
        page.shortened |= " ".join(lines) != text
    base = y + line / 2 + 3 - (len(lines) - 1) * size * 0.55
    for number, part in enumerate(lines):
        page.text(x, base + number * size * 1.1, part, size, bold=bold)


def _unread_page(unread: Sequence[tuple[Shown, Unread]], count: int) -> Page:
    page = Page()
    page.text(MARGIN, 24, "Not looked at", 11, bold=True)
    y = 48.0
    for shown, one in unread:
        title = f"{series_heading(shown, count)} · instance {one.position}: {shown.end(one)}"
        page.text(MARGIN, y, title, 9, bold=True)
        page.text(MARGIN, y + 12, _unread_words(one), 9, colour=WARNING)
        page.text(MARGIN, y + 22, f"SOP Instance UID (new) {one.sop_uid}", 7, colour=GREY)
        y += 38
    return _footed(page)


def _unread_words(unread: Unread) -> str:
    others = f", and {unread.count - 1} more of this series" if unread.count > 1 else ""
    return f"No picture: not looked at ({reason_of(unread)}){others}."


def _legend(page: Page, x: float, y: float, states: Sequence[str], *, dashed: bool = False) -> None:
    items = [(WORDS[state], COLOURS[state], False) for state in states]
    if dashed:
        items.append((FILLED_TOO, COLOURS[HIDDEN], True))
    for words, colour, broken in items:
        page.rectangle(x, y - 7, 12, 7, colour, line=1.5, dashed=broken)
        page.text(x + 16, y, words, 8, colour=GREY)
        x += text_width(words, 8) + 28


def _footed(page: Page) -> Page:
    page.text(
        MARGIN,
        HEIGHT - 12,
        "Private: shows text that identifies patients. A detection is no clearance.",
        7,
        colour=GREY,
    )
    told = []
    if page.undrawable:
        told.append("? stands for a character that this font lacks")
    if page.shortened:
        told.append("… for text that does not fit")
    if told:
        note = f"{', '.join(told)}: the page for the browser shows it."
        page.text(MARGIN + 300, HEIGHT - 12, note, 7, colour=GREY)
    return page
