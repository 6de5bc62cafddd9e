"""Kinds of burned-in text, with the boxes in which it stands, and kinds of names in every character set of DICOM."""

from __future__ import annotations

import re

import numpy as np

import sample_datasets as sets
from benchmarks.quality.identity import Identity
from benchmarks.quality.plants import Context, Kind, put, tag
from benchmarks.quality.pools import CHARSETS

ROWS, COLUMNS = 160, 320
# name -> (template, corner (column, row), scale, ink, ground)
STYLES: dict[str, tuple[str, tuple[int, int], float, int, int]] = {
    "name_top_left": ("{FAMILY} {GIVEN}", (3, 3), 0.5, 255, 30),
    "name_bottom": ("{FAMILY}, {GIVEN}", (12, 136), 0.5, 255, 30),
    "name_dark_on_bright": ("{FAMILY} {GIVEN}", (8, 60), 0.5, 0, 225),
    "name_mixed_case": ("{family} {given}", (10, 30), 0.55, 255, 20),
    "name_low_contrast": ("{FAMILY} {GIVEN}", (10, 80), 0.55, 140, 60),
    "patient_id": ("ID: {patient_id}", (8, 8), 0.5, 255, 30),
    "birth_date": ("DOB: {birth}", (8, 110), 0.5, 255, 30),
    "study_date": ("{date}", (170, 8), 0.5, 255, 30),
    "accession": ("Acc {accession}", (8, 130), 0.45, 255, 30),
    "institution": ("{institution}", (4, 4), 0.45, 255, 30),
    "stranger": ("Dr. {s_family}", (20, 40), 0.5, 255, 30),
    "large": ("{FAMILY}", (8, 50), 0.9, 255, 30),
}


def pixel_kinds() -> list[Kind]:
    """Return a kind for each style of burned-in text."""
    return [Kind(f"pixels/{name}", _burned(name), ("us", "sc"), alone="syntax") for name in STYLES]


def _burned(style: str):
    template, corner, scale, ink, ground = STYLES[style]

    def make(ctx: Context) -> None:
        text, gone = _line(ctx, template)
        plain = np.full((ROWS, COLUMNS), ground, np.float64)
        plain += np.random.default_rng(ctx.number).integers(-6, 7, plain.shape)
        plain = plain.clip(0, 255).astype(np.uint8)
        pixels = plain.copy()
        sets.write_text(pixels, [text], corner, ink, scale)
        mask = pixels != plain
        rows, columns = np.nonzero(mask)
        if ctx.base == "us":
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        sets.set_pixels(ctx.ds, np.ascontiguousarray(pixels))
        ctx.ds.BurnedInAnnotation = "YES"
        top, left = int(rows.min()), int(columns.min())
        height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
        box = {"label": text, "left": left, "top": top, "width": width, "height": height, "kind": f"pixels/{style}"}
        ctx.boxes.append(box)
        ctx.pixels_kept = False
        ctx.plant(
            f"pixels/{style}", ("box", len(ctx.boxes) - 1), gone, nature="pixels", known="s_family" not in template
        )

    return make


def _line(ctx: Context, template: str) -> tuple[str, tuple[str, ...]]:
    who: Identity = ctx.who
    birth, date = (f"{d[6:]}.{d[4:6]}.{d[:4]}" for d in (who.birth_date, who.study_date))
    values = {
        **{"family": who.name.family, "given": who.name.given, "patient_id": who.patient_id, "birth": birth},
        **{"FAMILY": who.name.family.upper(), "GIVEN": who.name.given.upper(), "date": date},
        **{"accession": who.accession, "institution": who.institution, "s_family": who.strangers[0].family},
    }
    gone = tuple(value for name, value in values.items() if f"{{{name}}}" in template)
    text = template.format(**values)
    return "".join(c if c.isascii() else "u" for c in text), gone


def charset_kinds() -> list[Kind]:
    """Return kinds of a name in each character set: in the header, in a description, in an item, in a long text."""
    found = []
    for script in CHARSETS:
        for place, slots in (
            ("header", ()),
            ("description", ("StudyDescription",)),
            ("item", ()),
            ("text", ("ImageComments",)),
        ):
            make = {"header": _header, "description": _description, "item": _item, "text": _text}[place]
            kind = f"charset/{script}/{place}"
            found.append(
                Kind(kind, make(kind, script), ("ct", "sc", "us", "cr"), tuple(map(tag, slots)), script=script)
            )
    return found


def encoded(script: str, text: str) -> str | bytes:
    """Return a text as pydicom should write it: as bytes where pydicom leaves out the escape sequence (ISO 2022 IR 58)."""
    if script != "chinese_2022":
        return text
    runs = re.split(r"([^\x00-\x7f]+)", text)
    return b"".join(run.encode() if run.isascii() else b"\x1b$)A" + run.encode("gb2312") for run in runs)


def _written(ctx: Context, script: str) -> str | bytes:
    name = ctx.who.foreign
    assert name is not None
    if script.startswith(("japanese", "korean", "chinese")):
        latin = f"{ctx.who.name.family}^{ctx.who.name.given}"
        return encoded(script, f"{latin}={name.family}^{name.given}")
    return f"{name.family}^{name.given}"


def _header(kind: str, script: str):
    def make(ctx: Context) -> None:
        ctx.ds.add_new(tag("PatientName"), "PN", _written(ctx, script))
        ctx.plant(kind, (tag("PatientName"),), ctx.who.foreign.parts, nature="whole", codec=CHARSETS[script][1])

    return make


def _description(kind: str, script: str):
    def make(ctx: Context) -> None:
        text, name = ctx.phrase(limit=32), ctx.who.foreign
        ctx.ds.add_new(tag("StudyDescription"), "LO", encoded(script, f"{text} {name.family}"))
        ctx.plant(kind, (tag("StudyDescription"),), name.family, text, codec=CHARSETS[script][1])

    return make


def _item(kind: str, script: str):
    def make(ctx: Context) -> None:
        path = (tag("ProcedureCodeSequence"), 0, tag("OtherPatientNames"))
        put(ctx.ds, path, "PN", _written(ctx, script))
        ctx.ds.ProcedureCodeSequence[0].CodeValue = "RPID9"
        ctx.plant(kind, path, ctx.who.foreign.parts, nature="whole", codec=CHARSETS[script][1])

    return make


def _text(kind: str, script: str):
    def make(ctx: Context) -> None:
        text, name = ctx.phrase(), ctx.who.foreign
        ctx.ds.add_new(tag("ImageComments"), "LT", encoded(script, f"{text} {name.given} {name.family}"))
        ctx.plant(kind, (tag("ImageComments"),), name.parts, text, codec=CHARSETS[script][1])

    return make
