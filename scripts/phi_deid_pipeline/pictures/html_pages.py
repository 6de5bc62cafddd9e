"""The pages for a browser: findings by series, and contact sheets; pictures are linked, all text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from phi_deid_pipeline.pictures.gather import SHEET_COLUMNS, Placed, Shown, Totals, reason_of
from phi_deid_pipeline.pictures.states import COLOURS, HIDDEN, IGNORED, KEPT, REVIEW, WORDS
from phi_deid_pipeline.records import Picture, PictureMark, PictureRow, Verdict

FINDINGS_TITLE, SHEETS_TITLE = "Burned-in text", "What was released"
PRIVATE = (
    "Private: these pages show text that identifies patients. They stay where they are and are handed to nobody. "
    "A detection is no clearance: text that was not found may be there."
)
HOW_TO_DECIDE = (
    "To change a verdict, give a table of decisions with a row whose column <code>what</code> is the SOP Instance UID, "
    "<code>#</code> and the ID of the finding, with verdict <code>keep</code> or <code>hide</code>; a row with the UID alone "
    "and verdict <code>release</code> or <code>withhold</code> decides on an instance or a series."
)
CAPTIONS = {
    "Original": "Original",
    "Boxes": "Boxes: what was found, numbered as below",
    "Result": "Result: what was written, hidden boxes filled",
}
CUT = "Cut from the original"
FILLED_TOO = "filled too, without a finding in this frame"
COLOURS_TOLD = "In the table the number has the colour of its box. Nothing is drawn into the cuts: their colours are those of the original."
_CSS = """
:root{--line:#3a3f45;--soft:#9aa3ad}
body{margin:0;background:#16191d;color:#e6e9ec;font:14px/1.45 system-ui,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1500px;margin:0 auto;padding:0 20px 60px}
h1{font-size:24px;margin:22px 0 6px}h2{font-size:17px;margin:0}h3{font-size:14px;margin:0;font-weight:600}
a{color:#8fc7ff}code,.uid{font:12px ui-monospace,Menlo,Consolas,monospace;color:var(--soft);overflow-wrap:anywhere}
.private{background:#4a1717;border-left:4px solid #eb4034;padding:8px 12px;margin:12px 0}
.legend span{display:inline-block;margin-right:18px}.legend i{display:inline-block;width:22px;
 height:12px;border:3px solid;margin-right:6px;vertical-align:-2px}
.series{margin-top:34px;border-top:2px solid var(--line);padding-top:12px}
.row{background:#1e2227;border:1px solid var(--line);border-radius:6px;margin:12px 0;padding:10px 12px}
.row.review{border-color:#facd28}
.trio{display:grid;grid-template-columns:repeat(3,1fr);gap:10px;margin:8px 0;align-items:start}
figure{margin:0}figure img{width:100%;height:auto;max-height:72vh;object-fit:contain;background:#000;display:block}
figcaption{color:var(--soft);font-size:12px;padding-top:2px}
table{border-collapse:collapse;width:100%;font-size:13px}
td,th{text-align:left;padding:3px 8px;border-top:1px solid var(--line);vertical-align:middle}
th{color:var(--soft);font-weight:500;border:0}.num{text-align:right}.counts{width:auto}.counts td:first-child{padding-left:0}
.chip{border-radius:3px;color:#000;padding:0 6px;font-weight:600;white-space:nowrap}.text{font-weight:600;overflow-wrap:anywhere}
td img{display:block;background:#000;max-width:300px}
.note{color:#facd28}.soft{color:var(--soft)}
.sheet{display:grid;grid-template-columns:repeat(8,1fr);gap:6px;margin:10px 0 26px}
.sheet a{display:block;position:relative;background:#000;padding-top:100%}
.sheet img{position:absolute;left:0;top:0;width:100%;height:100%;object-fit:contain}
.cell p{margin:1px 0 0;font-size:11px;color:var(--soft);white-space:nowrap;overflow:hidden}
nav{margin:10px 0}nav b,nav a{margin-right:10px}
@media (max-width:900px){.trio{grid-template-columns:1fr}.sheet{grid-template-columns:repeat(4,1fr)}}
@media print{body{background:#fff;color:#000}.row{background:#fff}.private{background:#fff}a{color:inherit}}
"""


def findings_page(shown: Iterable[Shown], totals: Totals, nav: str, pictures: str, *, first: bool) -> Iterator[str]:
    """Yield a page of findings in pieces; `pictures` is the way from it to the folder of pictures."""
    yield _head(FINDINGS_TITLE, nav)
    if first:
        yield _summary(totals)
        yield f'<p class="soft">{HOW_TO_DECIDE}</p>'
    yield _legend((HIDDEN, KEPT, REVIEW, IGNORED), dashed=True)
    nothing = True
    for series in shown:
        nothing = False
        yield from _series(series, totals.series, pictures)
    if nothing:
        yield "<p>No text found by this scan, and nothing that could not be looked at.</p>"
    yield f"{nav}</main></body></html>\n"


def sheets_page(
    sheets: Iterable[Sequence[Placed]], number: int, count: int, totals: Totals, nav: str, pictures: str
) -> Iterator[str]:
    """Yield a page of contact sheets in pieces; `number` is that of the first sheet, from 1."""
    yield _head(SHEETS_TITLE, nav)
    yield (
        f"<p>{totals.thumbnails} pictures of the {totals.released} released instances, as they were written, with boxes "
        "drawn. Below each: modality, series . instance, frame. Click for the picture alone.</p>"
    )
    yield _legend((HIDDEN, KEPT, REVIEW))
    nothing = True
    for at, sheet in enumerate(sheets, number):
        nothing = False
        yield f'<h3 id="sheet{at}">Sheet {at} of {count}</h3>'
        yield f'<div class="sheet" style="grid-template-columns:repeat({SHEET_COLUMNS},1fr)">'
        yield "".join(_cell(placed, pictures) for placed in sheet)
        yield "</div>\n"
    if nothing:
        yield "<p>Nothing with pixels was released.</p>"
    yield f"{nav}</main></body></html>\n"


def navigation(links: Sequence[tuple[str, str]]) -> str:
    """Return links to pages as (label, href); one without href is the page itself."""
    items = (
        f'<a href="{escape(href)}">{escape(label)}</a>' if href else f"<b>{escape(label)}</b>" for label, href in links
    )
    return f"<nav>{' '.join(items)}</nav>\n"


def caption(placed: Placed) -> str:
    """Return what stands below a thumbnail: modality, series, instance, frame."""
    thumb = placed.thumbnail
    frame = f", frame {thumb.frame + 1}/{thumb.frames}" if thumb.frames > 1 else ""
    return f"{placed.modality} {placed.series} . {thumb.position}{frame}".lstrip()


def verdict_words(mark: PictureMark) -> str:
    """Return the verdict of a text with its reason; harmless text that is hidden is said to be an exception."""
    verdict = mark.verdict.replace("_", " ")
    if mark.state == HIDDEN and mark.verdict == Verdict.BENIGN:
        verdict += ", hidden all the same"
    return f"{verdict}: {mark.reason}"


def heading(row: PictureRow, series: Shown) -> str:
    """Return which instance and frame a row shows."""
    frame = f", frame {row.frame + 1} of {row.frames}" if row.frames > 1 else ""
    number = f" (Instance Number {row.number})" if row.number is not None else ""
    return f"Instance {row.position} of {series.series.instances}{number}{frame}"


def series_heading(shown: Shown, count: int) -> str:
    """Return what a series is, in counts."""
    series = shown.series
    text = f"Series {shown.number} of {count}"
    if series.modality:
        text += f" · {series.modality}"
    return f"{text} · {series.with_findings} of {_many(series.instances, 'instance')} with text"


def alike_words(row: PictureRow) -> str:
    """Return how many more instances look like this one, and what is kept in them."""
    if not row.alike:
        return ""
    text = f"{_many(row.alike, 'more instance')} with the same boxes and verdicts."
    return f"{text} Also kept there: {' | '.join(row.kept_elsewhere)}" if row.kept_elsewhere else text


def further_words(row: PictureRow) -> str:
    """Return why boxes without number are filled."""
    if not row.further_boxes:
        return ""
    return f"{_many(row.further_boxes, 'box', 'boxes')} without number: text of other slices or frames, known places, or widened."


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _head(title: str, nav: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>'
        f'{title}</title><meta name="robots" content="noindex"><meta name="viewport" content="width=device-width">'
        f"<style>{_CSS}</style></head><body><main><h1>{title}</h1>\n{nav}"
        f'<p class="private">{PRIVATE}</p>\n'
    )


def summary_rows(totals: Totals) -> list[tuple[str, str]]:
    """Return the counts of all series, as label and text."""
    found = totals.findings
    rows = [
        ("Series with findings", f"{totals.series_with_findings} of {totals.series}"),
        ("Instances with findings", f"{totals.instances_with_findings} of {totals.instances}"),
        *((f"Regions {WORDS[state]}", str(found.get(state, 0))) for state in (HIDDEN, KEPT, REVIEW, IGNORED)),
        ("Rows of pictures", str(totals.rows)),
        ("Instances that differ and are not shown", str(totals.instances_differing_not_shown)),
        ("Pictures on contact sheets", f"{totals.thumbnails}, of {totals.released} released instances"),
    ]
    return rows + [(f"Not looked at ({reason})", str(count)) for reason, count in sorted(totals.not_looked_at.items())]


def _summary(totals: Totals) -> str:
    rows = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in summary_rows(totals))
    return f'<table class="counts">{rows}</table>\n'


def _legend(states: Sequence[str], *, dashed: bool = False) -> str:
    items = [f'<span><i style="border-color:{_css(state)}"></i>{WORDS[state]}</span>' for state in states]
    if dashed:
        items.append(f'<span><i style="border:3px dashed {_css(HIDDEN)}"></i>{FILLED_TOO}</span>')
    told = f'<p class="soft">{COLOURS_TOLD}</p>\n' if dashed else ""
    return f'<p class="legend">{"".join(items)}</p>\n{told}'


def _css(state: str) -> str:
    return "rgb({},{},{})".format(*COLOURS[state])


def _series(shown: Shown, count: int, pictures: str) -> Iterator[str]:
    series = shown.series
    yield f'<section class="series" id="series{shown.number}"><h2>{escape(series_heading(shown, count))}</h2>'
    yield f'<div class="uid">Series Instance UID (new) {escape(series.series_uid)} · batch {escape(shown.batch)}</div>'
    for row in series.rows:
        yield _row(row, shown, f"{pictures}/{shown.batch}")
    if series.not_shown:
        differ = _many(series.not_shown, "more instance")
        raise_it = "raise <code>reports.pictures_per_series</code>"
        yield f'<p class="note">{differ} with text, unlike these, not shown: {raise_it}.</p>'
    for unread in series.unread:
        others = f", and {_many(unread.count - 1, 'more instance')} of this series" if unread.count > 1 else ""
        yield (
            f'<div class="row"><h3>Instance {unread.position} of {series.instances} · {escape(shown.end(unread))}</h3>'
            f'<p class="note">No picture: not looked at ({escape(reason_of(unread))}){others}.</p>'
            f'<div class="uid">{escape(unread.sop_uid)}</div></div>\n'
        )
    yield "</section>\n"


def _row(row: PictureRow, shown: Shown, folder: str) -> str:
    end = shown.end(row)
    review = end.startswith("held") or any(mark.state == REVIEW for mark in row.marks)
    figures = ((row.original, "Original"), (row.boxes, "Boxes"), (row.result, "Result"))
    trio = "".join(_figure(picture, name, folder) for picture, name in figures)
    notes = (alike_words(row), further_words(row))
    lines = "".join(f'<p class="soft">{escape(note)}</p>' for note in notes if note)
    warning = f'<p class="note">{escape(row.note)}</p>' if row.note else ""
    marks = "".join(_mark(mark, folder) for mark in row.marks)
    return (
        f'<div class="row{" review" if review else ""}"><h3>{escape(heading(row, shown))} · {escape(end)}</h3>'
        f'<div class="uid">SOP Instance UID (new) {escape(row.sop_uid)}</div>{warning}<div class="trio">{trio}</div>'
        f'<table><tr><th class="num">No.</th><th>{CUT}</th><th>Read as</th><th>What became of it</th>'
        f"<th>Verdict and reason</th><th>Category</th><th>Confidence</th><th>Reader</th><th>ID</th></tr>{marks}</table>{lines}</div>\n"
    )


def _figure(picture: Picture | None, name: str, folder: str) -> str:
    if picture is None:
        return f"<figure><figcaption>{name}: no picture</figcaption></figure>"
    told = CAPTIONS[name]
    return (
        f'<figure><a href="{folder}/{picture.name}"><img loading="lazy" src="{folder}/{picture.name}" width="{picture.width}" '
        f'height="{picture.height}" alt="{name}"></a><figcaption>{told}</figcaption></figure>'
    )


def _mark(mark: PictureMark, folder: str) -> str:
    crop = mark.crop
    image = (
        f'<img loading="lazy" src="{folder}/{crop.name}" width="{crop.width}" height="{crop.height}" alt="">'
        if crop
        else ""
    )
    plane = "" if mark.plane == "pixels" else f' <span class="soft">({escape(mark.plane)})</span>'
    category = escape(mark.category.replace("_", " "))
    chip = f'<span class="chip" style="background:{_css(mark.state)}">'
    return (
        f'<tr><td class="num">{chip}{mark.number}</span></td><td>{image}</td>'
        f'<td class="text">{escape(mark.text)}{plane}</td><td>{chip}{WORDS[mark.state]}</span></td>'
        f"<td>{escape(verdict_words(mark))}</td><td>{category}</td>"
        f'<td class="num">{mark.confidence:.2f}</td><td>{escape(mark.reader)}</td><td><code>{escape(mark.id)}</code></td></tr>'
    )


def _cell(placed: Placed, pictures: str) -> str:
    picture = placed.thumbnail.picture
    src = f"{pictures}/{placed.batch}/{picture.name}"
    title = escape(placed.thumbnail.sop_uid)
    return (
        f'<div class="cell"><a href="{src}" title="{title}"><img loading="lazy" src="{src}" width="{picture.width}" '
        f'height="{picture.height}" alt=""></a><p>{escape(caption(placed))}</p></div>'
    )
