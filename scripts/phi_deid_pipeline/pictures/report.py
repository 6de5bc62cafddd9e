"""Writes the pages and PDFs of burned-in text and of what was released, one series and one page in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain, islice
from typing import BinaryIO

from phi_deid_pipeline.pictures.gather import SHEETS_PER_PAGE, Gathered
from phi_deid_pipeline.pictures.html_pages import FINDINGS_TITLE, SHEETS_TITLE, findings_page, navigation, sheets_page
from phi_deid_pipeline.pictures.pdf_file import Page, PdfFile
from phi_deid_pipeline.pictures.pdf_pages import findings_pages, sheet_pages

FINDINGS, RELEASED, FURTHER = "burned_in_text", "released", "pages"
PAGES_PER_PDF = 500

Open = Callable[[str], AbstractContextManager[BinaryIO]]
ReadPicture = Callable[[str, str], bytes]


def write_report(gathered: Gathered, read: ReadPicture, target: Open) -> None:
    """Write everything; `read` gives a JPEG by batch and name, `target` opens a file by its name in the folder of reports.

    Further pages and parts go into the folder `pages` beside the first ones.
    """
    places = gathered.finding_pages()
    every = chain.from_iterable(places)
    pdfs = [
        (FINDINGS, _write_pdfs(findings_pages(gathered.shown(every), gathered.totals), FINDINGS, read, target)),
        (
            RELEASED,
            _write_pdfs(sheet_pages(gathered.sheets(), gathered.sheet_count, gathered.totals), RELEASED, read, target),
        ),
    ]
    sheet_page_count = max(-(-gathered.sheet_count // SHEETS_PER_PAGE), 1)
    counts = {FINDINGS: len(places), RELEASED: sheet_page_count}
    for number, on_page in enumerate(places, 1):
        nav, way = _navigation(FINDINGS, number, counts, pdfs), _way(number)
        totals = gathered.totals
        text = findings_page(gathered.shown(on_page), totals, nav, f"{way}../pictures", first=number == 1)
        _write_text(text, name_of(FINDINGS, number, "html"), target)
    sheets = gathered.sheets()
    for number in range(1, sheet_page_count + 1):
        nav, way = _navigation(RELEASED, number, counts, pdfs), _way(number)
        own, first = islice(sheets, SHEETS_PER_PAGE), (number - 1) * SHEETS_PER_PAGE + 1
        text = sheets_page(own, first, gathered.sheet_count, gathered.totals, nav, f"{way}../pictures")
        _write_text(text, name_of(RELEASED, number, "html"), target)


def name_of(kind: str, number: int, suffix: str) -> str:
    """Return the name of a page or part, from 1, below the folder of reports."""
    return f"{kind}.{suffix}" if number == 1 else f"{FURTHER}/{kind}_{number:04}.{suffix}"


def _way(number: int) -> str:
    """Return the way from a page to the folder of reports."""
    return "" if number == 1 else "../"


def _navigation(kind: str, number: int, counts: dict[str, int], pdfs: Iterable[tuple[str, int]]) -> str:
    """Return links to all pages of a kind (the nearest ones of many), to the other kind and to the PDFs."""
    way, count = _way(number), counts[kind]
    links: list[tuple[str, str]] = []
    for other, title in ((FINDINGS, FINDINGS_TITLE), (RELEASED, SHEETS_TITLE)):
        links.append((title, "" if (other, number) == (kind, 1) else way + name_of(other, 1, "html")))
        if other == kind and count > 1:
            near = sorted({2, count, *range(number - 3, number + 4)} & set(range(2, count + 1)))
            links += [(f"page {n}", "" if n == number else way + name_of(kind, n, "html")) for n in near]
    for other, parts in pdfs:
        for part in range(1, parts + 1):
            title = FINDINGS_TITLE if other == FINDINGS else SHEETS_TITLE
            label = f"{title} (PDF)" if part == 1 else f"part {part}"
            links.append((label, way + name_of(other, part, "pdf")))
    return navigation(links)


def _write_text(pieces: Iterable[str], name: str, target: Open) -> None:
    with target(name) as stream:
        for piece in pieces:
            stream.write(piece.encode("utf-8", "backslashreplace"))


def _write_pdfs(pages: Iterator[Page], kind: str, read: ReadPicture, target: Open) -> int:
    """Write pages into as many parts as needed; return how many."""
    part = 0
    for first in pages:
        part += 1
        with target(name_of(kind, part, "pdf")) as stream:
            pdf = PdfFile(stream)
            for page in chain([first], islice(pages, PAGES_PER_PDF - 1)):
                pdf.add(page, {picture: read(batch, picture.name) for picture, batch in page.pictures.items()})
            pdf.close()
    return part
