"""Kinds of places of single SOP classes: content items of reports, graphics, segments, contours, plans, documents."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import sample_datasets as sets
from benchmarks.quality.plants import Context, Kind, put, tag, vr_of
from benchmarks.quality.standard import table

CONTENT = tag("ContentSequence")
# kind -> (value type, concept, attribute, template). Concepts are codes of DCM and LOINC that carry people or prose.
ITEMS: dict[str, tuple[str, tuple[str, str, str], str, str]] = {
    "text_finding": ("TEXT", ("121071", "DCM", "Finding"), "TextValue", "{p} {given} {family}"),
    "text_impression": ("TEXT", ("121073", "DCM", "Impression"), "TextValue", "{p} discussed with Dr. {s_family}"),
    "text_history": ("TEXT", ("121060", "DCM", "History"), "TextValue", "{p} MRN {patient_id}"),
    "text_phone": ("TEXT", ("121071", "DCM", "Finding"), "TextValue", "{p} call {phone}"),
    "text_date": ("TEXT", ("121071", "DCM", "Finding"), "TextValue", "{p} {date_iso}"),
    "text_patient_id": ("TEXT", ("121030", "DCM", "Subject ID"), "TextValue", "{patient_id}"),
    "text_accession": ("TEXT", ("121022", "DCM", "Accession Number"), "TextValue", "{accession}"),
    "text_institution": (
        "TEXT",
        ("121009", "DCM", "Person Observer's Organization Name"),
        "TextValue",
        "{institution}",
    ),
    "text_device_serial": ("TEXT", ("121016", "DCM", "Device Observer Serial Number"), "TextValue", "{serial}"),
    "text_device_name": ("TEXT", ("121013", "DCM", "Device Observer Name"), "TextValue", "{station}"),
    "pname_observer": ("PNAME", ("121008", "DCM", "Person Observer Name"), "PersonName", "{ref_family}^{ref_given}"),
    "pname_subject": ("PNAME", ("121029", "DCM", "Subject Name"), "PersonName", "{family}^{given}"),
    "pname_recipient": ("PNAME", ("128774", "DCM", "Person Name"), "PersonName", "{s_family}^{s_given}"),
    "date_birth": ("DATE", ("121031", "DCM", "Subject Birth Date"), "Date", "{birth}"),
    "date_study": ("DATE", ("111060", "DCM", "Study Date"), "Date", "{date}"),
    "datetime": ("DATETIME", ("111526", "DCM", "DateTime Started"), "DateTime", "{date}101500"),
    "uidref_study": ("UIDREF", ("121018", "DCM", "Procedure Study Instance UID"), "UID", "{uid}"),
    "uidref_subject": ("UIDREF", ("121028", "DCM", "Subject UID"), "UID", "{uid}"),
    "uidref_device": ("UIDREF", ("121012", "DCM", "Device Observer UID"), "UID", "{uid}"),
    "uidref_tracking": ("UIDREF", ("112040", "DCM", "Tracking Unique Identifier"), "UID", "{uid}"),
    "text_tracking": ("TEXT", ("112039", "DCM", "Tracking Identifier"), "TextValue", "{s_family} lesion"),
}
# Under Retain Device Identity the standard keeps these concepts.
DEVICE = {"text_device_serial", "text_device_name", "uidref_device"}


# Items of these concepts go, by Table E.3.4-1, and with them the numbers of the items behind: they are planted last.
# First those that an option can keep.
REMOVED = (
    *("text_device_serial", "text_device_name", "uidref_device", "date_study", "datetime"),
    *("text_patient_id", "text_accession", "text_institution", "date_birth", "uidref_study", "uidref_subject"),
)


def object_kinds() -> list[Kind]:
    """Return all kinds of this module."""
    items: dict[bool, list[Kind]] = {False: [], True: []}
    for name in ITEMS:
        for depth in (3, 2, 1):
            if depth == 1 or name.startswith(("text_f", "pname", "date", "uidref_s")):
                items[name in REMOVED].append(Kind(f"sr/depth{depth}/{name}", _item(name, depth), ("sr",)))
    removed = sorted(items[True], key=lambda kind: ("depth1" in kind.name, REMOVED.index(kind.name.rpartition("/")[2])))
    found: list[Kind] = items[False] + [
        Kind("sr/code_meaning", _coded, ("sr",)),
        Kind("sr/concept_meaning", _concept, ("sr",)),
        Kind("sr/image_reference", _image_item, ("sr", "ko")),
        Kind("sr/observation_date", _observed, ("sr",)),
        Kind("sr/verifying_observer", _verifying, ("sr",), (tag("VerifyingObserverSequence"),)),
        Kind("sr/author", _author, ("sr",), (tag("AuthorObserverSequence"),)),
        Kind("sr/participant", _participant, ("sr",), (tag("ParticipantSequence"),)),
        Kind("ko/text", _item("text_finding", 1, "ko/text"), ("ko",)),
        Kind("pr/graphic_text", _graphic, ("pr",), (tag("GraphicAnnotationSequence"),)),
        _place("pr/creator", ("ContentCreatorName",), "{ref_family}^{ref_given}", ("pr", "seg", "reg")),
        _place("pr/description", ("ContentDescription",), "{p} {family}", ("pr", "seg", "reg"), 64),
        _place("pr/layer", ("GraphicLayerSequence", 0, "GraphicLayerDescription"), "Layer {s_family}", ("pr",), 64),
        _place("seg/label", ("SegmentSequence", 0, "SegmentLabel"), "Liver {family}", ("seg",), 64),
        _place("seg/description", ("SegmentSequence", 0, "SegmentDescription"), "Spleen by {op_family}", ("seg",)),
        _place("seg/tracking_id", ("SegmentSequence", 0, "TrackingID"), "{patient_id}", ("seg",)),
        _place("rt/roi_name", ("StructureSetROISequence", 0, "ROIName"), "Bladder {family}", ("rtstruct",), 64),
        _place(
            "rt/roi_description", ("StructureSetROISequence", 0, "ROIDescription"), "Kidney {s_family}", ("rtstruct",)
        ),
        _place(
            "rt/roi_interpreter",
            ("RTROIObservationsSequence", 0, "ROIInterpreter"),
            "{op_family}^{op_given}",
            ("rtstruct",),
        ),
        _place("rt/structure_label", ("StructureSetLabel",), "{study_id}", ("rtstruct",)),
        _place("rt/structure_name", ("StructureSetName",), "Prostate {family}", ("rtstruct",), 64),
        _place("rt/structure_date", ("StructureSetDate",), "{date}", ("rtstruct",)),
        _place("rt/plan_label", ("RTPlanLabel",), "{study_id}", ("rtplan",)),
        _place("rt/plan_description", ("RTPlanDescription",), "{p} Dr. {s_family}", ("rtplan",)),
        _place("rt/beam_name", ("BeamSequence", 0, "BeamName"), "Field {family}", ("rtplan",), 64),
        _place("rt/beam_description", ("BeamSequence", 0, "BeamDescription"), "{p} {family}", ("rtplan",)),
        _place("rt/machine", ("BeamSequence", 0, "TreatmentMachineName"), "{station}", ("rtplan",)),
        _place("rt/setup_label", ("PatientSetupSequence", 0, "SetupTechniqueDescription"), "{p} {family}", ("rtplan",)),
        _place("rt/dose_comment", ("DoseComment",), "Dose for {family}", ("rtdose",), 64),
        Kind("ecg/annotation", _annotation, ("ecg",), (tag("WaveformAnnotationSequence"),)),
        _place("ecg/channel_label", ("WaveformSequence", 0, "MultiplexGroupLabel"), "{study_id}", ("ecg",)),
        Kind("enhanced/frame_comments", _frame_text("FrameComments", "{p} {family}"), ("ect", "emr")),
        Kind("enhanced/frame_label", _frame_text("FrameLabel", "for {s_family}"), ("ect", "emr")),
        Kind("enhanced/frame_date", _frame_text("FrameAcquisitionDateTime", "{date}111213"), ("ect", "emr")),
        _place("enhanced/frame_type_protocol", ("AcquisitionProtocolName",), "Head {family}", ("ect", "emr"), 64),
        Kind("pdf/document", _document, ("pdf",)),
        _place("pdf/title", ("DocumentTitle",), "Letter to Dr. {s_family}", ("pdf",), 1024),
        _place("us/region_serial", ("TransducerIdentificationSequence", 0, "DeviceSerialNumber"), "{serial}", ("us",)),
        Kind("pt/radiopharmacist", _pharmacist, ("pt",)),
        _place("mg/view_text", ("PartialViewDescription",), "cut for {family}", ("mg",)),
        _place("dx/exposure_text", ("AcquisitionDeviceProcessingDescription",), "{p} {family}", ("dx", "mg", "cr"), 64),
        _place("nm/agent", ("ContrastBolusAgent",), "Iodine {family}", ("xa", "ct"), 64),
    ]
    return found + removed


def _place(name: str, path: tuple, template: str, bases: tuple[str, ...], room: int = 400) -> Kind:
    return Kind(name, _text(name, path, template, room), bases, (tag(path[0]),) if len(path) == 1 else ())


def _values(ctx: Context) -> dict[str, str]:
    who = ctx.who
    stranger, date = ctx.rng.choice(who.strangers), ctx.rng.choice(who.dates)
    return {
        **{"family": who.name.family, "given": who.name.given, "patient_id": who.patient_id, "phone": who.phone},
        **{"ref_family": who.referring.family, "ref_given": who.referring.given, "institution": who.institution},
        **{"op_family": who.operator.family, "op_given": who.operator.given, "accession": who.accession},
        **{"s_family": stranger.family, "s_given": stranger.given, "study_id": who.study_id, "serial": who.serial},
        **{"station": who.station, "birth": who.birth_date, "date": date, "uid": ctx.draw.uid()},
        **{"date_iso": f"{date[:4]}-{date[4:6]}-{date[6:]}"},
    }


def _filled(ctx: Context, template: str, room: int = 400) -> tuple[str, tuple[str, ...], str, bool]:
    values = _values(ctx)
    used = [name for name in values if f"{{{name}}}" in template]
    text = template.format(p=(kept := ctx.phrase(limit=max(20, room - 24))), **values)
    return (
        text,
        tuple(values[name] for name in used),
        kept if "{p}" in template else "",
        not any(n[:2] == "s_" for n in used),
    )


def _nature(vr: str, kept: str) -> str:
    return {"UI": "uid", "DA": "date", "DT": "date"}.get(vr, "text" if kept else "whole")


def _text(kind: str, path: tuple, template: str, room: int = 400):
    tags = tuple(tag(step) if isinstance(step, str) else step for step in path)
    words = " ".join(word for word in template.split() if "{" not in word and word not in ("by", "for", "to", "Dr."))
    clinical = {"Liver", "Spleen", "Bladder", "Kidney", "Prostate", "Iodine"}

    def make(ctx: Context) -> None:
        text, gone, kept, known = _filled(ctx, template, room)
        vr = vr_of(tags[-1])
        put(ctx.ds, tags, vr, text)
        kept = kept or (words if words in clinical else "")
        row = table().get(tags[-1])
        device = row is not None and row.options.get("retain_device_identity") == "K"
        free = ("retain_device_identity",) if device else ()
        ctx.plant(kind, tags, gone, kept, nature=_nature(vr, kept), known=known, free=free)

    return make


def _frame_text(keyword: str, template: str):
    def make(ctx: Context) -> None:
        path = ("PerFrameFunctionalGroupsSequence", 1, "FrameContentSequence", 0, keyword)
        name = {"FrameComments": "frame_comments", "FrameLabel": "frame_label"}.get(keyword, "frame_date")
        _text(f"enhanced/{name}", path, template)(ctx)

    return make


def _container(ctx: Context, depth: int) -> tuple:
    """Return the path of a new content item at a depth, below containers made for it."""
    path: tuple = (CONTENT, len(ctx.ds[CONTENT].value) if CONTENT in ctx.ds else 0)
    for _ in range(depth - 1):
        item = put(ctx.ds, (*path, tag("ValueType")), "CS", "CONTAINER")
        item.RelationshipType, item.ContinuityOfContent = "CONTAINS", "SEPARATE"
        item.ConceptNameCodeSequence = Sequence([sets.code("121070", "DCM", "Findings")])
        path += (CONTENT, 0)
    return path


def _item(name: str, depth: int, kind: str = ""):
    value_type, concept, keyword, template = ITEMS[name]

    def make(ctx: Context) -> None:
        text, gone, kept, known = _filled(ctx, template)
        path = _container(ctx, depth)
        item = put(ctx.ds, (*path, tag("ValueType")), "CS", value_type)
        item.RelationshipType = "HAS OBS CONTEXT" if value_type in ("PNAME", "UIDREF") else "CONTAINS"
        item.ConceptNameCodeSequence = Sequence([sets.code(*concept)])
        vr = vr_of(tag(keyword))
        put(ctx.ds, (*path, tag(keyword)), vr, text)
        free = ("retain_device_identity",) if name in DEVICE else ()
        where = (*path, tag(keyword))
        more = {"nature": _nature(vr, kept), "known": known, "free": free, "concept": concept[0]}
        ctx.plant(kind or f"sr/depth{depth}/{name}", where, gone, kept, **more)

    return make


def _coded(ctx: Context) -> None:
    path = _container(ctx, 1)
    item = put(ctx.ds, (*path, tag("ValueType")), "CS", "CODE")
    item.RelationshipType = "CONTAINS"
    item.ConceptNameCodeSequence = Sequence([sets.code("121071", "DCM", "Finding")])
    item.ConceptCodeSequence = Sequence(
        [sets.code("L77", "99LOCAL", f"Sign of {ctx.who.strangers[1].family}, {ctx.who.name.family}")]
    )
    gone = (ctx.who.name.family,)  # a sign may bear a doctor's name; the patient's may not stand there
    ctx.plant("sr/code_meaning", (*path, tag("ConceptCodeSequence"), 0, tag("CodeMeaning")), gone)


def _concept(ctx: Context) -> None:
    path = _container(ctx, 1)
    item = put(ctx.ds, (*path, tag("ValueType")), "CS", "TEXT")
    item.RelationshipType, item.TextValue = "CONTAINS", "normal"
    item.ConceptNameCodeSequence = Sequence([sets.code("L78", "99LOCAL", f"Seen by {ctx.who.performing.family}")])
    where = (*path, tag("ConceptNameCodeSequence"), 0, tag("CodeMeaning"))
    ctx.plant("sr/concept_meaning", where, ctx.who.performing.family)


def _image_item(ctx: Context) -> None:
    path = _container(ctx, 1)
    item = put(ctx.ds, (*path, tag("ValueType")), "CS", "IMAGE")
    item.RelationshipType = "CONTAINS"
    where = (*path, tag("ReferencedSOPSequence"), 0)
    put(ctx.ds, (*where, tag("ReferencedSOPClassUID")), "UI", "1.2.840.10008.5.1.4.1.1.2")
    put(ctx.ds, (*where, tag("ReferencedSOPInstanceUID")), "UI", ctx.who.extra["a_ct"])
    ctx.plant("sr/image_reference", (*where, tag("ReferencedSOPInstanceUID")), ctx.who.extra["a_ct"], nature="uid")


def _observed(ctx: Context) -> None:
    date = ctx.who.dates[18]
    path = _container(ctx, 1)
    item = put(ctx.ds, (*path, tag("ObservationDateTime")), "DT", date + "0900")
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", "normal"
    item.ConceptNameCodeSequence = Sequence([sets.code("121071", "DCM", "Finding")])
    ctx.plant("sr/observation_date", (*path, tag("ObservationDateTime")), date, nature="date")


def _people(ctx: Context, kind: str, top: str, name_keyword: str, extra: dict[str, tuple[str, str]]) -> None:
    path = (tag(top), 0)
    put(ctx.ds, (*path, tag(name_keyword)), "PN", ctx.who.reading.dicom)
    ctx.plant(kind, (*path, tag(name_keyword)), ctx.who.reading.parts, nature="whole")
    for keyword, (value, gone) in extra.items():
        vr = vr_of(tag(keyword))
        put(ctx.ds, (*path, tag(keyword)), vr, value)
        ctx.plant(kind, (*path, tag(keyword)), gone, nature="date" if vr == "DT" else "whole")


def _verifying(ctx: Context) -> None:
    date = ctx.who.dates[19]
    more = {"VerifyingOrganization": (ctx.who.institution,) * 2, "VerificationDateTime": (date + "1200", date)}
    _people(ctx, "sr/verifying_observer", "VerifyingObserverSequence", "VerifyingObserverName", more)
    ctx.ds.VerificationFlag = "VERIFIED"


def _author(ctx: Context) -> None:
    more = {"InstitutionName": (ctx.who.institution,) * 2}
    _people(ctx, "sr/author", "AuthorObserverSequence", "PersonName", more)


def _participant(ctx: Context) -> None:
    date = ctx.who.dates[20]
    _people(
        ctx, "sr/participant", "ParticipantSequence", "PersonName", {"ParticipationDateTime": (date + "1300", date)}
    )


def _graphic(ctx: Context) -> None:
    text, item = Dataset(), Dataset()
    text.UnformattedTextValue = f"L1 {ctx.who.name.given} {ctx.who.name.family}"
    text.AnchorPointAnnotationUnits, text.AnchorPoint, text.AnchorPointVisibility = "PIXEL", [1.0, 1.0], "N"
    item.GraphicLayer, item.TextObjectSequence = "LAYER", Sequence([text])
    ctx.ds.GraphicAnnotationSequence = Sequence([item])
    path = (tag("GraphicAnnotationSequence"), 0, tag("TextObjectSequence"), 0, tag("UnformattedTextValue"))
    ctx.plant("pr/graphic_text", path, ctx.who.name.parts)


def _annotation(ctx: Context) -> None:
    item = Dataset()
    item.UnformattedTextValue = f"Sinus rhythm {ctx.who.name.family}"
    item.AnnotationGroupNumber = 1
    ctx.ds.WaveformAnnotationSequence = Sequence([item])
    path = (tag("WaveformAnnotationSequence"), 0, tag("UnformattedTextValue"))
    ctx.plant("ecg/annotation", path, ctx.who.name.family, "Sinus rhythm")


def _document(ctx: Context) -> None:
    who = ctx.who
    letter = f"%PDF-1.4\n1 0 obj (Dear {who.name.family}, born {who.birth_date}, {who.patient_id})\n%%EOF\n"
    ctx.ds.EncapsulatedDocument = letter.encode("latin-1", "replace") + b"\n" * (len(letter) % 2)
    gone = (who.name.family, who.birth_date, who.patient_id)
    ctx.plant("pdf/document", (tag("EncapsulatedDocument"),), gone, nature="whole")


def _pharmacist(ctx: Context) -> None:
    item = ctx.ds.RadiopharmaceuticalInformationSequence[0]
    date = ctx.who.dates[21]
    item.RadiopharmaceuticalStartDateTime = date + "0915"
    path = (tag("RadiopharmaceuticalInformationSequence"), 0, tag("RadiopharmaceuticalStartDateTime"))
    ctx.plant("pt/radiopharmacist", path, date, nature="date")
