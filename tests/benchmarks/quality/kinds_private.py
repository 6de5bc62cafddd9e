"""Kinds of private places: blocks safe by Table E.3.10-1 and others, without a creator, inside items, sequences."""

from __future__ import annotations

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from benchmarks.quality.plants import Context, Kind, put, tag

ANY = ("ct", "mr", "pt", "us", "dx", "cr", "nm", "sc")
CREATOR = "QUALITY TRIAL 01"
# (group, creator, low byte, VR, value): numbers and codes of Table E.3.10-1 that a research release keeps.
SAFE = (
    (0x7053, "Philips PET Private Group", 0x00, "DS", "0.000587"),
    (0x7053, "Philips PET Private Group", 0x09, "DS", "1.734512"),
    (0x00E1, "ELSCINT1", 0x21, "DS", "412.75"),
    (0x01E1, "ELSCINT1", 0x26, "CS", "BODY"),
    (0x0019, "GEMS_ACQU_01", 0x23, "DS", "39.375"),
    (0x0045, "GEMS_HELIOS_01", 0x01, "SS", 16),
    (0x2001, "Philips Imaging DD 001", 0x03, "FL", 800.0),
    (0x2001, "Philips Imaging DD 001", 0x08, "IS", "7"),
    (0x2001, "Philips Imaging DD 001", 0x0E, "CS", "Y"),
    (0x2001, "Philips Imaging DD 001", 0x14, "SL", 3),
)
# Texts of the same table: kept, but cleaned. ({} is the clinical part.)
SAFE_TEXT = (
    (0x0019, "GEMS_ACQU_01", 0x9E, "LO"),
    (0x0043, "GEMS_PARM_01", 0x27, "SH"),
    (0x2001, "Philips Imaging DD 001", 0x5A, "ST"),
    (0x0099, "NQHeader", 0x05, "LT"),
)


def private_kinds() -> list[Kind]:
    """Return all private kinds."""
    found = []
    for number, vr in enumerate(VALUES):
        found.append(_kind(f"private/unsafe/{vr}", _unsafe(vr, number, CREATOR, ())))
        found.append(_kind(f"private/orphan/{vr}", _orphan(vr, number)))
        found.append(_kind(f"private/item/{vr}", _unsafe(vr, number, CREATOR, (tag("ProcedureCodeSequence"), 0))))
        found.append(_kind(f"private/in_private_sq/{vr}", _unsafe(vr, number, CREATOR, ((0x0029, CREATOR, 0x40), 0))))
    for number, row in enumerate(SAFE):
        found.append(_kind(f"private/safe/{number}_{row[3]}", _safe(row, ())))
        if number % 3 == 0:
            found.append(_kind(f"private/safe_item/{number}_{row[3]}", _safe(row, (tag("ProcedureCodeSequence"), 0))))
    for number, row in enumerate(SAFE_TEXT):
        found.append(_kind(f"private/safe_text/{number}_{row[3]}", _safe_text(row)))
    found += [
        _kind("private/safe_other_block", _other_block),
        _kind("private/safe_wrong_creator", _wrong_creator),
        _kind("private/safe_creator_other_element", _other_element),
        _kind("private/standard_pn_in_sq", _standard_inside("PatientName", "PN")),
        _kind("private/standard_lo_in_sq", _standard_inside("PatientID", "LO")),
        _kind("private/standard_da_in_sq", _standard_inside("StudyDate", "DA")),
        _kind("private/standard_ui_in_sq", _standard_inside("ReferencedSOPInstanceUID", "UI")),
        _kind("private/creator_is_a_name", _creator_is_name),
        _kind("private/safe_sq", _safe_sequence),
        _kind("private/safe_uid", _safe_uid),
        _kind("private/reserved_safe_flag", _reserved),
    ]
    return found


def _kind(name: str, make) -> Kind:
    return Kind(name, make, ANY, alone="helios" if name in ("private/safe_other_block", "private/safe/5_SS") else "")


# VR -> (value, identifiers) of a patient
VALUES = {
    "AE": lambda ctx: (ctx.who.ae_title, ctx.who.ae_title),
    "AS": lambda ctx: ("093Y", "093Y"),
    "CS": lambda ctx: (ctx.who.name.family.upper()[:16], ctx.who.name.family[:16]),
    "DA": lambda ctx: (ctx.who.birth_date, ctx.who.birth_date),
    "DS": lambda ctx: ((number := ctx.draw.digits(9)), number),
    "DT": lambda ctx: (ctx.who.dates[5] + "101112", ctx.who.dates[5]),
    "IS": lambda ctx: ((number := ctx.draw.digits(9)), number),
    "LO": lambda ctx: (f"{ctx.who.name.given} {ctx.who.name.family}", ctx.who.name.family),
    "LT": lambda ctx: (f"scanned for {ctx.who.name.family}", ctx.who.name.family),
    "OB": lambda ctx: (_even(ctx.who.patient_id), ctx.who.patient_id),
    "OW": lambda ctx: (_even(ctx.who.accession), ctx.who.accession),
    "PN": lambda ctx: (ctx.who.name.dicom, ctx.who.name.family),
    "SH": lambda ctx: (ctx.who.accession, ctx.who.accession),
    "ST": lambda ctx: (f"{ctx.who.street}, {ctx.who.city}", ctx.who.street),
    "UC": lambda ctx: (f"call {ctx.who.phone}", ctx.who.phone.split()[-1]),
    "UI": lambda ctx: ((uid := ctx.draw.uid()), uid),
    "UN": lambda ctx: (_even(f"{ctx.who.name.family} {ctx.who.patient_id}"), ctx.who.patient_id),
    "UR": lambda ctx: (f"https://host/{ctx.who.patient_id}", ctx.who.patient_id),
    "UT": lambda ctx: (f"{ctx.who.email} of {ctx.who.strangers[0].family}", ctx.who.strangers[0].family),
}


def _even(text: str) -> bytes:
    data = text.encode("latin-1", "replace")
    return data + b" " * (len(data) % 2)


def _unsafe(vr: str, number: int, creator: str, parent: tuple):
    def make(ctx: Context) -> None:
        value, gone = VALUES[vr](ctx)
        path = (*parent, (0x0029, creator, 0x50 + number))
        put(ctx.ds, path, vr, value)
        name = "in_private_sq" if parent and isinstance(parent[0], tuple) else "item" if parent else "unsafe"
        nature = {"UI": "uid", "DA": "date", "DT": "date"}.get(vr, "whole")
        ctx.plant(f"private/{name}/{vr}", path, gone, nature=nature)

    return make


def _orphan(vr: str, number: int):
    def make(ctx: Context) -> None:
        value, gone = VALUES[vr](ctx)
        element = 0x00111000 + 0x10 + number  # block 10 of group 0011, which nobody reserved
        ctx.ds.add(DataElement(element, vr, value))
        ctx.plant(f"private/orphan/{vr}", (element,), gone, nature="whole")

    return make


def _safe(row: tuple, parent: tuple):
    group, creator, low, vr, value = row
    number = SAFE.index(row)

    def make(ctx: Context) -> None:
        path = (*parent, (group, creator, low))
        put(ctx.ds, path, vr, value)
        where = "safe_item" if parent else "safe"
        ctx.plant(f"private/{where}/{number}_{vr}", path, (), (str(value),), nature="safe")

    return make


def _safe_text(row: tuple):
    group, creator, low, vr = row
    number = SAFE_TEXT.index(row)

    def make(ctx: Context) -> None:
        text, kept = ("1.375:1", "1.375:1") if vr == "SH" else ("SPIN ECHO", ("SPIN", "ECHO"))
        value = f"{text} {ctx.who.study_id[:8]}"[:16] if vr == "SH" else f"{text} {ctx.who.name.family}"
        gone = ctx.who.study_id[:8] if vr == "SH" else ctx.who.name.family
        path = ((group, creator, low),)
        put(ctx.ds, path, vr, value)
        ctx.plant(f"private/safe_text/{number}_{vr}", path, gone, () if vr == "SH" else kept, nature="safe")

    return make


def _other_block(ctx: Context) -> None:
    # The creator stands in the second block of its group, after one that is not safe.
    put(ctx.ds, ((0x0045, CREATOR, 0x01),), "LO", ctx.who.name.family)
    ctx.plant("private/safe_other_block", ((0x0045, CREATOR, 0x01),), ctx.who.name.family, nature="whole")
    put(ctx.ds, ((0x0045, "GEMS_HELIOS_01", 0x02),), "FL", 0.625)
    ctx.plant("private/safe_other_block", ((0x0045, "GEMS_HELIOS_01", 0x02),), (), ("0.625",), nature="safe")


def _wrong_creator(ctx: Context) -> None:
    path = ((0x7053, "NOT THE PHILIPS GROUP", 0x00),)
    put(ctx.ds, path, "DS", number := ctx.draw.digits(9))
    ctx.plant("private/safe_wrong_creator", path, number, nature="whole")


def _other_element(ctx: Context) -> None:
    path = ((0x00E1, "ELSCINT1", 0x7F),)
    put(ctx.ds, path, "LO", ctx.who.name.family)
    ctx.plant("private/safe_creator_other_element", path, ctx.who.name.family, nature="whole")


def _standard_inside(keyword: str, vr: str):
    def make(ctx: Context) -> None:
        who = ctx.who
        uid = ctx.draw.uid()
        value, gone = {
            "PN": (who.name.dicom, who.name.family),
            "LO": (who.patient_id, who.patient_id),
            "DA": (who.dates[7], who.dates[7]),
            "UI": (uid, uid),
        }[vr]
        path = ((0x0029, CREATOR, 0x41), 0, tag(keyword))
        put(ctx.ds, path, vr, value)
        nature = {"UI": "uid", "DA": "date"}.get(vr, "whole")
        ctx.plant(f"private/standard_{vr.lower()}_in_sq", path, gone, nature=nature)

    return make


def _creator_is_name(ctx: Context) -> None:
    creator = f"{ctx.who.name.family} LAB"
    path = ((0x002B, creator, 0x01),)
    put(ctx.ds, path, "SH", "plain")
    ctx.plant("private/creator_is_a_name", (0x002B0010,), ctx.who.name.family, nature="whole")


def _safe_sequence(ctx: Context) -> None:
    top = (0x2001, "Philips Imaging DD 001", 0x5F)
    put(ctx.ds, (top, 0, tag("PerformingPhysicianName")), "PN", ctx.who.performing.dicom)
    ctx.plant("private/safe_sq", (top, 0, tag("PerformingPhysicianName")), ctx.who.performing.parts, nature="whole")
    inner = (0x2001, "Philips Imaging DD 001", 0x03)
    put(ctx.ds, (top, 0, inner), "FL", 500.0)
    ctx.plant("private/safe_sq", (top, 0, inner), (), ("500.0",), nature="safe")


def _safe_uid(ctx: Context) -> None:
    path = ((0x0099, "NQHeader", 0x02),)
    put(ctx.ds, path, "UI", uid := ctx.draw.uid())
    ctx.plant("private/safe_uid", path, uid, nature="uid")


def _reserved(ctx: Context) -> None:
    # The data set calls its own private block safe; a release should not trust that without looking.
    group = Dataset()
    group.PrivateGroupReference, group.PrivateCreatorReference = 0x0029, CREATOR
    group.BlockIdentifyingInformationStatus = "SAFE"
    ctx.ds.PrivateDataElementCharacteristicsSequence = [group]
    path = ((0x0029, CREATOR, 0x6F),)
    put(ctx.ds, path, "LO", ctx.who.name.family)
    ctx.plant("private/reserved_safe_flag", path, ctx.who.name.family, nature="whole")
