"""Kinds of places that are an attribute each: rows of Table E.1-1, text attributes outside it, items at depths 1 to 4."""

from __future__ import annotations

from pydicom.datadict import DicomDictionary

from benchmarks.quality.identity import Name
from benchmarks.quality.phrases import words
from benchmarks.quality.plants import Context, Kind, put, tag
from benchmarks.quality.standard import Row, table

# Made by other kinds, or not to be had in the data set of a file.
ELSEWHERE = {
    *("ContentSequence", "GraphicAnnotationSequence", "DataSetTrailingPadding", "EncapsulatedDocument", "OverlayData"),
    *("IconImageSequence", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("AffectedSOPInstanceUID", "RequestedSOPInstanceUID", "MediaStorageSOPInstanceUID", "PatientName", "PatientID"),
    *(
        "PatientBirthDate",
        "StudyDate",
        "AccessionNumber",
        "StudyID",
        "InstitutionName",
        "IssuerOfPatientID",
        "ReferringPhysicianName",
        "TimezoneOffsetFromUTC",
        "PatientSex",
        "PatientAge",
    ),
    *("PregnancyStatus", "GPSAltitudeRef", "GPSDifferential", "LensSpecification", "FrameOriginTimestamp"),
    *("EthnicGroups", "DigitalSignaturesSequence", "MAC", "SelectorOBValue", "FlowIdentifier"),
}
TEXT_VRS = frozenset({"LO", "SH", "ST", "LT", "UT", "UC"})
LIMITS = {"SH": 16, "LO": 64, "AE": 16}
ANY = (
    "ct",
    "mr",
    "pt",
    "us",
    "dx",
    "mg",
    "cr",
    "nm",
    "xa",
    "sc",
    "seg",
    "rtstruct",
    "rtplan",
    "rtdose",
    "sr",
    "reg",
    "ecg",
)


def attribute_kinds() -> list[Kind]:
    """Return a kind for every row of Table E.1-1 that a file can hold, and for text attributes outside the table."""
    found = []
    for row in table().values():
        if row.tag >> 16 in (0x0000, 0x0002, 0x0004) or row.keyword in ELSEWHERE or row.vr == "OW":
            continue
        if row.vr == "CS" and row.keyword != "ModifyingDeviceID":
            continue
        make = _sequence(row) if row.vr == "SQ" else _attribute(row)
        found.append(Kind(f"attribute/{row.keyword or f'{row.tag:08X}'}", make, ANY, (row.tag,)))
    return found + _outside_kinds()


def _attribute(row: Row):
    def make(ctx: Context) -> None:
        kind = f"attribute/{row.keyword or f'{row.tag:08X}'}"
        value, gone, kept, more = sample(ctx, row)
        put(ctx.ds, (row.tag,), row.vr, value)
        ctx.plant(kind, (row.tag,), gone, kept, **more)

    return make


def person(ctx: Context, keyword: str) -> Name:
    """Return who stands in an attribute of this name."""
    who = ctx.who
    if "Operator" in keyword or "Recorder" in keyword:
        return who.operator
    if "Perform" in keyword or "Verifying" in keyword:
        return who.performing
    if "Reading" in keyword or "Interpret" in keyword or "Review" in keyword or "Observer" in keyword:
        return who.reading
    if "Mother" in keyword or "Responsible" in keyword:
        return who.relative
    return who.name if keyword.startswith(("Patient", "Other", "NameTo")) else who.referring


def sample(ctx: Context, row: Row) -> tuple[object, tuple[str, ...], tuple[str, ...], dict]:
    """Return a value for an attribute, what in it identifies, the words that should stay, and the plant's nature."""
    vr, keyword, who, rng = row.vr, row.keyword, ctx.who, ctx.rng
    device = row.options.get("retain_device_identity") == "K"
    traits = row.options.get("retain_patient_characteristics") == "K"
    free = tuple(
        option
        for option, held in (("retain_device_identity", device), ("retain_patient_characteristics", traits))
        if held
    )
    if vr == "PN":
        name = person(ctx, keyword)
        return name.dicom, name.parts, (), {"nature": "whole"}
    if vr in ("DA", "DT", "TM"):
        date, time = rng.choice(who.dates), f"{rng.randint(10, 23)}{rng.randint(10, 59)}{rng.randint(10, 59)}"
        if vr == "TM":
            value = f"{time}.{ctx.draw.digits(6)}"
            return value, (value,), (), {"nature": "time", "free": ("retain_long_modified_dates",)}
        return date + (time if vr == "DT" else ""), (date,), (), {"nature": "date"}
    if vr == "UI":
        value = ctx.draw.uid()
        return value, (value,), (), {"nature": "uid"}
    if vr == "AS":
        return "094Y", ("094",), (), {"nature": "age"}
    if vr == "UR":
        value = f"https://portal.example.org/{ctx.draw.digits(8)}"
        return value, (value.rsplit("/", 1)[1],), (), {"nature": "whole", "free": free}
    if vr == "DS":
        value = f"{rng.randint(10, 80)}.{ctx.draw.digits(6)}"
        return value, (value,), (), {"nature": "whole", "free": free}
    if vr in ("OB", "UN"):
        number = ctx.draw.digits(8)
        return (
            f"{who.name.family} {number} ".encode("latin-1", "replace")[:64].ljust(40),
            (number,),
            (),
            {"nature": "whole"},
        )
    if device or vr in ("AE", "CS"):
        value = f"DV{ctx.draw.digits(7)}"
        return value, (value,), (), {"nature": "whole", "free": free}
    if row.options.get("clean_descriptors") == "C" and vr in TEXT_VRS:
        return _descriptor(ctx, vr)
    return _whole(ctx, keyword, vr, free)


def _descriptor(ctx: Context, vr: str):
    if vr == "SH":
        return f"KNEE {ctx.who.study_id}", (ctx.who.study_id,), ("KNEE",), {}
    name = ctx.rng.choice([ctx.who.name, ctx.who.referring, ctx.who.performing])
    text = ctx.phrase(limit=40)
    return f"{text} {name.family}", (name.family,), words(text), {}


def _whole(ctx: Context, keyword: str, vr: str, free: tuple[str, ...]):
    who = ctx.who
    if "Address" in keyword or "Residence" in keyword or "Location" in keyword:
        value, gone = (f"{who.street}, {who.city}", (who.street, who.city)) if vr != "SH" else (who.city, (who.city,))
    elif "Phone" in keyword or "Telecom" in keyword:
        value = who.phone if len(who.phone) <= LIMITS.get(vr, 99) else who.phone[-7:]
        gone = (who.phone.split()[-1],)
    elif "Institution" in keyword or "Organization" in keyword or "Coordinating" in keyword or "SiteName" in keyword:
        value = who.department if "Department" in keyword else who.institution
        gone = (value,)
    elif keyword.endswith(("ID", "IDs", "Number", "Identifier", "Issuer", "Locator")) or vr == "SH":
        value = f"NR{ctx.draw.digits(8)}"
        gone = (value,)
    else:  # any other value: somebody's name
        name = ctx.rng.choice(who.strangers)
        value, gone = f"{name.given} {name.family}", name.parts
    return value, gone, (), {"nature": "whole", "free": free}


def _sequence(row: Row):
    def make(ctx: Context) -> None:
        kind = f"attribute/{row.keyword}"
        name, stranger = person(ctx, row.keyword), ctx.rng.choice(ctx.who.strangers)
        path = (row.tag, 0)
        if "Code" in row.keyword:
            put(ctx.ds, (*path, tag("CodeValue")), "SH", f"L{ctx.draw.digits(6)}")
            put(ctx.ds, (*path, tag("CodingSchemeDesignator")), "SH", "99LOCAL")
            put(ctx.ds, (*path, tag("CodeMeaning")), "LO", f"{name.family} of Dr. {stranger.family}")
            ctx.plant(kind, (*path, tag("CodeMeaning")), (name.family, stranger.family), known=False)
            return
        put(ctx.ds, (*path, tag("PersonName")), "PN", name.dicom)
        put(ctx.ds, (*path, tag("InstitutionName")), "LO", ctx.who.institution)
        ctx.plant(kind, (*path, tag("PersonName")), name.parts, nature="whole")
        ctx.plant(kind, (*path, tag("InstitutionName")), (ctx.who.institution,), nature="whole")

    return make


# An attribute with such a word in its keyword holds prose; others hold names of things, organizations and codes.
PROSE = ("Description", "Comment", "Label", "Notes", "Reason", "Title", "Text", "Instruction", "Protocol", "Narrative")


def _outside_kinds() -> list[Kind]:
    """Return kinds for text attributes of the dictionary that the table does not name: a known name stands in them."""
    found = []
    for number, (vr, _, _, retired, keyword) in sorted(DicomDictionary.items()):
        group = number >> 16
        if vr not in ("LO", "ST", "LT", "UT", "UC") or retired or not keyword or number in table():
            continue
        if group in (
            0x0000,
            0x0002,
            0x0004,
            0x0072,
            0x2000,
            0x2010,
            0x2020,
            0x2040,
            0x2050,
            0x2100,
            0x2110,
            0x2120,
            0x2200,
        ):
            continue
        if not any(word in keyword for word in PROSE) or "Code" in keyword or "Trial" in keyword:
            continue
        found.append(Kind(f"outside/{keyword}", _outside(number, vr, keyword), ANY, (number,)))
    return found


def _outside(number: int, vr: str, keyword: str):
    def make(ctx: Context) -> None:
        text, name = ctx.phrase(limit=40), ctx.rng.choice([ctx.who.name, ctx.who.referring, ctx.who.operator])
        put(ctx.ds, (number,), vr, f"{text} {name.family}")
        ctx.plant(f"outside/{keyword}", (number,), (name.family,))

    return make


# Standard sequences that stay, one inside the other, to reach a depth.
CHAIN = (
    "ProcedureCodeSequence",
    "AnatomicRegionSequence",
    "AnatomicRegionModifierSequence",
    "ViewModifierCodeSequence",
)
NESTED = {
    "PN": ("PerformingPhysicianName", "PatientName", "ReviewerName"),
    "DA": ("StudyDate", "PatientBirthDate", "ScheduledProcedureStepStartDate"),
    "DT": ("AcquisitionDateTime", "ScheduledProcedureStepStartDateTime", "RadiopharmaceuticalStartDateTime"),
    "LO": ("PatientID", "InstitutionName", "SeriesDescription", "IssuerOfPatientID"),
    "SH": ("AccessionNumber", "StudyID", "StationName"),
    "LT": ("PatientComments", "ImageComments"),
    "ST": ("InstitutionAddress", "CommentsOnThePerformedProcedureStep"),
    "UT": ("ReasonForVisit", "LabelText"),
    "UI": ("TransactionUID", "InstanceCreatorUID", "TrackingUID"),
    "AE": ("StationAETitle",),
    "AS": ("PatientAge",),
    "TM": ("PatientBirthTime",),
}


def nested_kinds() -> list[Kind]:
    """Return kinds at depth 1 to 4 for every VR that carries identifiers; what stays in doing so is asked for too."""
    found = []
    for vr, keywords in NESTED.items():
        for depth in (1, 2, 3, 4):
            keyword = keywords[depth % len(keywords)]
            found.append(
                Kind(f"depth{depth}/{vr}/{keyword}", _nested(depth, keyword), ("ct", "mr", "us", "dx", "cr", "sc"))
            )
    return found


def _nested(depth: int, keyword: str):
    def make(ctx: Context) -> None:
        row = table()[tag(keyword)]
        # A new first item for each plant, so that many share an instance.
        top = tag(CHAIN[0])
        number = len(ctx.ds[top].value) if top in ctx.ds else 0
        path: tuple = (top, number)
        put(ctx.ds, (*path, tag("CodeValue")), "SH", f"RPID{number + 10}")
        for name in CHAIN[1:depth]:
            path += (tag(name), 0)
        value, gone, kept, more = sample(ctx, row)
        if keyword == "PatientBirthDate":
            value, gone = ctx.who.birth_date, (ctx.who.birth_date,)
        if keyword == "AccessionNumber":
            value, gone = ctx.who.accession, (ctx.who.accession,)
        put(ctx.ds, (*path, row.tag), row.vr, value)
        ctx.plant(f"depth{depth}/{row.vr}/{keyword}", (*path, row.tag), gone, kept, **more)

    return make
