"""Pages and PDFs of burned-in text: structure, escaped text, order, same bytes, and how they are cut."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from phi_deid_pipeline import pipeline
from phi_deid_pipeline.pictures import gather, report
from phi_deid_pipeline.pictures.html_pages import CAPTIONS, COLOURS_TOLD, CUT, FILLED_TOO, findings_page, navigation
from phi_deid_pipeline.pictures.pdf_file import Page, PdfFile, fitted, text_width, wrapped
from phi_deid_pipeline.pictures.render import jpeg
from phi_deid_pipeline.records import Picture, PictureMark, PictureRow, SeriesPictures, Thumbnail, Unread

NASTY = '<script>alert("Zimmerlin & Söhne")</script> (MRN) \\ Жук'


def picture(number: int) -> Picture:
    return Picture(f"{number:024x}.jpg", 64, 32)


def pixels(batch: str, name: str) -> bytes:
    assert re.fullmatch(r"b\d{6}", batch)
    return jpeg(Image.new("RGB", (64, 32), (int(name[:24], 16) % 256, 10, 20)))


def series(
    number: int, *, rows: int = 1, thumbs: int = 2, state: str = "hidden", text: str = "ZIMMERLIN", **more: Any
) -> SeriesPictures:
    mark = PictureMark(
        1, 0, "pixels", state, text, "identifying", "name", "matches", 0.987, "ppocr", "d35ddc2daab1", picture(9)
    )
    shown = tuple(
        PictureRow(
            f"2.25.{number}{n}",
            n + 1,
            0,
            3,
            (mark,),
            original=picture(1),
            boxes=picture(2),
            result=picture(3),
            alike=2,
            kept_elsewhere=(text,),
        )
        for n in range(rows)
    )
    small = tuple(Thumbnail(f"2.25.{number}{n}", n + 1, 0, 1, ("hidden",), picture(10 + n)) for n in range(thumbs))
    return SeriesPictures(
        f"2.25.{number}", f"2.25.7{number}", "US", 5, 5, 4, {state: rows}, shown, thumbnails=small, **more
    )


def status(number: int, n: int, status: str = "released", reason: str = "", batch: str = "b000001") -> dict[str, str]:
    uids = {"series_uid": f"2.25.7{number}", "sop_uid": f"2.25.{number}{n}"}
    return {"batch": batch, "study_uid": f"2.25.{number}", "status": status, "reason": reason} | uids


def written(
    batches: dict[str, list[SeriesPictures]], ended: list[dict[str, str]]
) -> tuple[dict[str, bytes], dict[str, Any]]:
    files: dict[str, bytes] = {}

    @contextmanager
    def target(name: str) -> Iterator[io.BytesIO]:
        stream = io.BytesIO()
        yield stream
        files[name] = stream.getvalue()

    counts = pipeline.report_pictures(
        list(batches), batches.__getitem__, lambda batch, line: batches[batch][line], ended, pixels, target
    )
    return files, counts


class Outline(HTMLParser):
    """Elements in order, and those that were not closed in their order."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def pdf_pages(data: bytes) -> int:
    """Return the number of pages of a PDF whose table of objects is true."""
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n\Z", data)[1])
    rows = re.findall(rb"(\d{10}) 00000 n \n", data[start:])
    assert int(re.search(rb"/Size (\d+)", data[start:])[1]) == len(rows) + 1
    for number, row in enumerate(rows, 1):
        assert data[int(row) :].startswith(b"%d 0 obj\n" % number)
    assert b"CreationDate" not in data and b"/ID" not in data
    pages = data.count(b"/Type /Page ")
    assert int(re.search(rb"/Type /Pages /Count (\d+)", data)[1]) == pages
    return pages


def test_report_holds_pages_pdfs_and_counts() -> None:
    ended = [status(1, n) for n in range(2)] + [status(2, n) for n in range(2)]
    files, counts = written({"b000001": [series(1), series(2, rows=2)]}, ended)
    assert sorted(files) == ["burned_in_text.html", "burned_in_text.pdf", "released.html", "released.pdf"]
    assert pdf_pages(files["burned_in_text.pdf"]) == 1 + 3 and pdf_pages(files["released.pdf"]) == 1
    page = Outline(files["burned_in_text.html"].decode())
    images = [attributes["src"] for tag, attributes in page.found if tag == "img"]
    assert len(images) == 3 * (3 + 1) and all(src.startswith("../pictures/b000001/") for src in images)
    assert (
        {"Original", CAPTIONS["Boxes"], CAPTIONS["Result"], CUT} <= set(page.words)
        and "ZIMMERLIN" in page.words
        and "0.99" in page.words
    )
    assert not any(attributes.get("src", "").startswith("http") for _, attributes in page.found)
    sheet = Outline(files["released.html"].decode())
    assert len([1 for tag, _ in sheet.found if tag == "img"]) == 4
    assert counts["series"] == 2 and counts["findings"] == {"hidden": 3} and counts["thumbnails"] == 4
    assert "ZIMMERLIN" not in str(counts) and "2.25" not in str(counts)


def test_same_pictures_give_the_same_bytes() -> None:
    batches = {"b000001": [series(1)], "b000002": [series(2)]}
    ended = [status(1, 0), status(1, 1), status(2, 0, batch="b000002"), status(2, 1, batch="b000002")]
    assert written(batches, ended) == written(batches, ended)


def test_text_of_findings_is_escaped_and_shown() -> None:
    files, _ = written({"b000001": [series(1, text=NASTY)]}, [status(1, 0)])
    page = files["burned_in_text.html"].decode()
    assert "<script" not in page
    assert NASTY in Outline(page).words
    assert pdf_pages(files["burned_in_text.pdf"]) == 2


def test_series_that_need_a_person_come_first() -> None:
    batches = {"b000001": [series(1), series(2, state="review"), series(3)]}
    ended = [status(1, 0), status(2, 0), status(3, 0, "held", "text_left")]
    page = written(batches, ended)[0]["burned_in_text.html"].decode()
    assert re.findall(r'id="series(\d)"', page) == ["2", "3", "1"]
    assert page.count('class="row review"') == 2 and "held: text left" in page


def test_sheets_show_what_was_released_and_nothing_else() -> None:
    ended = [status(1, 0), status(1, 1, "held", "text_left")]
    files, counts = written({"b000001": [series(1), series(2)]}, ended)
    assert counts["thumbnails"] == 1 and counts["released"] == 1
    assert files["released.html"].count(b'class="cell"') == 1


def test_a_series_uid_that_stands_in_two_studies_is_counted_once_in_each() -> None:
    both = [series(1), replace(series(2), series_uid="2.25.71")]
    ended = [status(1, 0), status(1, 1), {**status(2, 0), "series_uid": "2.25.71"}]
    _, counts = written({"b000001": both}, ended)
    assert counts["released"] == 3


def test_what_could_not_be_looked_at_is_a_row_with_its_reason() -> None:
    unread = (Unread("2.25.50", 1, "undecodable", "no decoder for this transfer syntax", 3),)
    files, counts = written(
        {"b000001": [series(5, rows=0, thumbs=0, unread=unread)]}, [status(5, 0, "rejected", "pixels_undecodable")]
    )
    page = files["burned_in_text.html"].decode()
    assert "not looked at (undecodable: no decoder for this transfer syntax), and 2 more instances" in page
    assert "rejected: pixels undecodable" in page and "<img" not in page
    assert counts["not_looked_at"] == {"undecodable: no decoder for this transfer syntax": 3}
    assert pdf_pages(files["burned_in_text.pdf"]) == 2


def test_nothing_found_gives_pages_that_say_so() -> None:
    files, _ = written({}, [])
    assert b"No text found by this scan" in files["burned_in_text.html"]
    assert b"Nothing with pixels was released" in files["released.html"]
    assert pdf_pages(files["released.pdf"]) == 1


def test_many_series_are_cut_into_pages_that_lead_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PAGES_PER_PDF", 3)
    monkeypatch.setattr(report, "SHEETS_PER_PAGE", 1)
    monkeypatch.setattr(gather, "PER_SHEET", 2)
    monkeypatch.setattr(gather.Gathered.finding_pages, "__defaults__", (2,))
    batches = {"b000001": [series(n) for n in range(1, 6)]}
    files, _ = written(batches, [status(n, i) for n in range(1, 6) for i in range(2)])
    assert [name for name in sorted(files) if name.endswith(".html")] == [
        "burned_in_text.html", "pages/burned_in_text_0002.html", "pages/burned_in_text_0003.html",
        *(f"pages/released_000{n}.html" for n in range(2, 6)), "released.html",
    ]  # fmt: skip
    assert pdf_pages(files["burned_in_text.pdf"]) == 3 and pdf_pages(files["pages/burned_in_text_0002.pdf"]) == 3
    names = set(files)
    for name, data in files.items():
        if name.endswith(".html"):
            folder = "pages/" if name.startswith("pages/") else ""
            targets = re.findall(r'<a href="([^"]+\.(?:html|pdf))"', data.decode())
            assert targets and {_resolved(folder + href) for href in targets} <= names
            assert ("../../pictures/b000001/" in data.decode()) is bool(folder)


def _resolved(path: str) -> str:
    return re.sub(r"^pages/\.\./", "", path)


def test_labels_of_links_are_escaped() -> None:
    assert navigation([("a & b", "x.html"), ("here", "")]) == '<nav><a href="x.html">a &amp; b</a> <b>here</b></nav>\n'


def pdf_text(data: bytes) -> str:
    """Return what the pages of a PDF say, piece by piece."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S)
    texts = []
    for stream in streams:
        content = zlib.decompress(stream) if stream[:1] == b"x" else stream
        texts += re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", content)
    return "\n".join(text.decode("cp1252") for text in texts)


def test_pdf_names_the_id_of_each_finding_as_the_page_does_and_says_what_it_is_for() -> None:
    files, _ = written({"b000001": [series(1)]}, [status(1, 0)])
    told = pdf_text(files["burned_in_text.pdf"])
    assert "d35ddc2daab1" in Outline(files["burned_in_text.html"].decode()).words
    assert {"ID", "d35ddc2daab1", "identifying: matches"} <= set(told.split("\n"))
    assert "with verdict keep or hide" in told


def test_captions_of_sheets_name_the_modality() -> None:
    files, _ = written({"b000001": [series(1), replace(series(2), modality="")]}, [status(1, 0), status(2, 0)])
    assert {"US 1 . 1", "2 . 1"} <= set(Outline(files["released.html"].decode()).words)
    assert {"US 1 . 1", "2 . 1"} <= set(pdf_text(files["released.pdf"]).split("\n"))


def test_harmless_text_that_is_hidden_is_told_as_the_exception_that_it_is() -> None:
    found = series(1)
    reason = "a hidden box reaches into it"
    marks = tuple(replace(mark, verdict="benign", reason=reason) for mark in found.rows[0].marks)
    found = replace(found, rows=(replace(found.rows[0], marks=marks),))
    files, _ = written({"b000001": [found]}, [status(1, 0)])
    told = f"benign, hidden all the same: {reason}"
    assert told in Outline(files["burned_in_text.html"].decode()).words
    assert told.split(",")[0] in pdf_text(files["burned_in_text.pdf"])


def test_page_without_series_is_whole() -> None:
    page = Outline("".join(findings_page([], gather.Totals(), navigation([]), "../pictures", first=True)))
    assert [tag for tag, _ in page.found].count("h1") == 1


def test_pdf_shows_each_picture_once_and_text_beyond_its_font_as_a_mark() -> None:
    stream = io.BytesIO()
    pdf, page = PdfFile(stream), Page()
    for x in (10, 200):
        page.picture(picture(1), "b000001", x, 20, 100, 100)
    page.text(10, 200, "Größe (3)")
    assert not page.undrawable
    page.text(10, 220, "Жук")
    assert page.undrawable and b"Gr\xf6\xdfe \\(3\\)" in page.content and b"(???)" in page.content
    for _ in range(2):
        pdf.add(page, {picture(1): pixels("b000001", picture(1).name)})
    pdf.close()
    assert pdf_pages(stream.getvalue()) == 2 and stream.getvalue().count(b"/Subtype /Image") == 1


def test_text_is_cut_to_the_width_it_has() -> None:
    assert fitted("short", 8, 100) == "short"
    cut = fitted("a rather long text that has no room", 8, 60)
    assert cut.endswith("…") and text_width(cut, 8) <= 60


def test_text_is_broken_between_words_and_cut_in_its_last_line_alone() -> None:
    text = "benign, hidden all the same: a hidden box reaches into it"
    lines = wrapped(text, 7.5, 182, 2)
    assert len(lines) == 2 and " ".join(lines) == text and all(text_width(line, 7.5) <= 182 for line in lines)
    short = wrapped(text, 7.5, 60, 2)
    assert len(short) == 2 and short[1].endswith("…") and not short[0].endswith("…")
    assert wrapped("short", 8, 100, 2) == ["short"]


@pytest.mark.parametrize("marks", [3, 40])
def test_long_reasons_stand_whole_in_the_pdf_and_each_page_explains_its_colours(marks: int) -> None:
    one = series(1)
    (row,) = one.rows
    many = tuple(
        replace(row.marks[0], number=n + 1, reason="a hidden box reaches into it; filled all the same")
        for n in range(marks)
    )
    files, _ = written({"b000001": [replace(one, rows=(replace(row, marks=many),))]}, [status(1, 0)])
    text = pdf_text(files["burned_in_text.pdf"])
    told = " ".join(text.split())
    assert told.count("identifying: a hidden box reaches into it; filled all the same") == marks
    assert text.count(FILLED_TOO) == pdf_pages(files["burned_in_text.pdf"]) and "…" not in text
    page = Outline(files["burned_in_text.html"].decode())
    assert {FILLED_TOO, COLOURS_TOLD} <= set(page.words)


def test_text_that_fits_nowhere_in_the_pdf_is_said_to_stand_in_the_page() -> None:
    one = series(1)
    (row,) = one.rows
    long = replace(row.marks[0], text="ZIMMERLIN " * 20)
    files, _ = written({"b000001": [replace(one, rows=(replace(row, marks=(long,)),))]}, [status(1, 0)])
    assert "for text that does not fit: the page for the browser shows it." in pdf_text(files["burned_in_text.pdf"])
    assert "ZIMMERLIN " * 20 in files["burned_in_text.html"].decode()
