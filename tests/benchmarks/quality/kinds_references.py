"""Kinds of references: UIDs in sequences of every sort, and sequences that hold a second copy of identifiers."""

from __future__ import annotations

from pydicom.sequence import Sequence

import sample_datasets as sets
from benchmarks.quality.phrases import words
from benchmarks.quality.plants import Context, Kind, put, tag, vr_of

ANY = ("ct", "mr", "pt", "us", "dx", "cr", "nm", "sc")
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
# name: path of a reference to an instance of the same study that is in the corpus, and in which bases it stands.
REFERENCES: dict[str, tuple[tuple, tuple[str, ...]]] = {
    "image": (("ReferencedImageSequence", 0), ANY),
    "source_image": (("SourceImageSequence", 0), ANY),
    "derivation_image": (("DerivationImageSequence", 0, "SourceImageSequence", 0), ("ct", "mr", "pt")),
    "instance": (("ReferencedInstanceSequence", 0), ANY),
    "series_instance": (("ReferencedSeriesSequence", 0, "ReferencedInstanceSequence", 0), ("seg", "reg", "pr")),
    "pr_image": (("ReferencedSeriesSequence", 0, "ReferencedImageSequence", 0), ("pr",)),
    "segment_frame": (
        ("PerFrameFunctionalGroupsSequence", 0, "DerivationImageSequence", 0, "SourceImageSequence", 0),
        ("seg", "ect", "emr"),
    ),
    "enhanced_reference": (("SharedFunctionalGroupsSequence", 0, "ReferencedImageSequence", 0), ("ect", "emr")),
    "contour_image": (
        ("ROIContourSequence", 0, "ContourSequence", 0, "ContourImageSequence", 0),
        ("rtstruct",),
    ),
    "rt_series_image": (
        (
            *("ReferencedFrameOfReferenceSequence", 0, "RTReferencedStudySequence", 0),
            *("RTReferencedSeriesSequence", 0, "ContourImageSequence", 0),
        ),
        ("rtstruct",),
    ),
    "structure_set": (("ReferencedStructureSetSequence", 0), ("rtplan",)),
    "rt_plan": (("ReferencedRTPlanSequence", 0), ("rtdose",)),
    "dose": (("ReferencedDoseSequence", 0), ("rtplan",)),
    "evidence": (
        ("CurrentRequestedProcedureEvidenceSequence", 0, "ReferencedSeriesSequence", 0, "ReferencedSOPSequence", 0),
        ("sr", "ko"),
    ),
    "other_evidence": (
        ("PertinentOtherEvidenceSequence", 0, "ReferencedSeriesSequence", 0, "ReferencedSOPSequence", 0),
        ("sr",),
    ),
    "identical_document": (
        ("IdenticalDocumentsSequence", 0, "ReferencedSeriesSequence", 0, "ReferencedSOPSequence", 0),
        ("sr", "ko"),
    ),
    "predecessor": (
        ("PredecessorDocumentsSequence", 0, "ReferencedSeriesSequence", 0, "ReferencedSOPSequence", 0),
        ("sr",),
    ),
    "registration": (("RegistrationSequence", 0, "ReferencedImageSequence", 0), ("reg",)),
    "studies_containing": (
        (
            *("StudiesContainingOtherReferencedInstancesSequence", 0, "ReferencedSeriesSequence", 0),
            *("ReferencedInstanceSequence", 0),
        ),
        ("reg", "seg", "ct", "mr"),
    ),
    "performed_step": (("ReferencedPerformedProcedureStepSequence", 0), ANY),
    "study": (("ReferencedStudySequence", 0), ANY),
    "waveform": (("ReferencedWaveformSequence", 0), ("ecg", "us")),
    "presentation": (("ReferencedPresentationStateSequence", 0), ("ko", "sr", "us")),
    "real_world_value": (("ReferencedRealWorldValueMappingInstanceSequence", 0), ("us", "ct")),
    "hash": (("ReferencedSOPSequence", 0), ("ct", "us")),
}
# Single UIDs: keyword path -> bases. All name something of the study, so all have to change alike everywhere.
UIDS: dict[str, tuple[tuple, tuple[str, ...]]] = {
    "synchronization_frame": (("SynchronizationFrameOfReferenceUID",), ANY),
    "dimension_organization": (("DimensionOrganizationSequence", 0, "DimensionOrganizationUID"), ("ect", "emr", "seg")),
    "dimension_index": (("DimensionIndexSequence", 0, "DimensionOrganizationUID"), ("ect", "emr", "seg")),
    "concatenation": (("ConcatenationUID",), ("ect", "emr")),
    "tracking": (("SegmentSequence", 0, "TrackingUID"), ("seg",)),
    "referenced_frame": (("ReferencedFrameOfReferenceSequence", 0, "FrameOfReferenceUID"), ("rtstruct",)),
    "roi_frame": (("StructureSetROISequence", 0, "ReferencedFrameOfReferenceUID"), ("rtstruct",)),
    "registration_frame": (("RegistrationSequence", 0, "FrameOfReferenceUID"), ("reg",)),
    "volume_frame": (("VolumeFrameOfReferenceUID",), ("us", "ect")),
    "table_frame": (("TableFrameOfReferenceUID",), ("ect",)),
    "template_extension": (("TemplateExtensionCreatorUID",), ("sr",)),
    "target": (("TargetUID",), ("rtstruct", "ko")),
    "fiducial": (("FiducialUID",), ("reg", "us")),
    "conceptual_volume": (("ConceptualVolumeUID",), ("rtplan", "rtdose")),
    "dose_reference": (("DoseReferenceSequence", 0, "DoseReferenceUID"), ("rtplan",)),
    "irradiation_event": (("IrradiationEventUID",), ("ct", "dx")),
    "device": (("DeviceUID",), ANY),
    "creator": (("InstanceCreatorUID",), ANY),
    "storage_media": (("StorageMediaFileSetUID",), ANY),
    "palette": (("PaletteColorLookupTableUID",), ("us", "sc")),
    "large_palette": (("LargePaletteColorLookupTableUID",), ("us",)),
    "failed": (("FailedSOPInstanceUIDList",), ("ct",)),
    "transaction": (("TransactionUID",), ANY),
    "acquisition": (("AcquisitionUID",), ANY),
    "manufacturer_class": (("ManufacturerDeviceClassUID",), ("ct", "rtplan")),
}


def reference_kinds() -> list[Kind]:
    """Return all kinds of this module."""
    found = [
        Kind(f"reference/{name}", _reference(name, path), bases, (tag(path[0]),))
        for name, (path, bases) in REFERENCES.items()
    ]
    found += [Kind(f"uid/{name}", _uid(name, path), bases, (tag(path[0]),)) for name, (path, bases) in UIDS.items()]
    found += [
        Kind("uid/multi_valued", _multi_uid, ("ct", "mr", "dx"), (tag("IrradiationEventUID"),)),
        Kind("uid/in_text", _uid_in_text, ANY, (tag("ImageComments"),)),
        Kind("uid/frame_of_reference", _frame, ("ct", "mr", "pt", "ect", "rtdose")),
        Kind("date/multi_valued", _multi_date, ANY, (tag("ReferencedDateTime"),)),
        Kind("date/multi_valued_dt", _multi_datetime, ANY, (0x00189516,)),
        Kind("date/dummy_stays_dummy", _dummy, ANY, (tag("IssueDateOfImagingServiceRequest"),)),
        Kind("date/dotted", _dotted, ANY, (tag("ContentDate"),)),
        Kind("date/dt_with_zone", _zone, ANY, (tag("AcquisitionDateTime"),)),
        Kind("person/multi_valued", _multi_person, ANY, (tag("OperatorsName"),)),
        Kind("person/five_components", _components, ANY, (tag("NameOfPhysiciansReadingStudy"),)),
        Kind("text/multi_valued", _multi_text, ANY, (tag("AdmittingDiagnosesDescription"),)),
        Kind("copy/original_attributes", _original, ANY, (tag("OriginalAttributesSequence"),)),
        Kind("copy/contributing_equipment", _equipment, ANY, (tag("ContributingEquipmentSequence"),)),
        Kind("copy/request_attributes", _request, ANY, (tag("RequestAttributesSequence"),)),
        Kind("copy/scheduled_step", _step, ANY, (tag("ScheduledProcedureStepSequence"),)),
        Kind("copy/other_patient_ids", _other_ids, ANY, (tag("OtherPatientIDsSequence"),)),
        Kind("copy/code_meaning", _code, ANY, (tag("ProcedureCodeSequence"),)),
        Kind("copy/requested_code_meaning", _requested_code, ANY, (tag("RequestedProcedureCodeSequence"),)),
        Kind("copy/issuer", _issuer, ANY, (tag("IssuerOfAccessionNumberSequence"),)),
    ]
    return found


def _tags(path: tuple) -> tuple:
    return tuple(tag(step) if isinstance(step, str) else step for step in path)


def _reference(name: str, path: tuple):
    def make(ctx: Context) -> None:
        tags = _tags(path)
        target = ctx.who.extra["a_ct"]
        put(ctx.ds, (*tags, tag("ReferencedSOPClassUID")), "UI", CT_CLASS)
        put(ctx.ds, (*tags, tag("ReferencedSOPInstanceUID")), "UI", target)
        ctx.plant(f"reference/{name}", (*tags, tag("ReferencedSOPInstanceUID")), target, nature="uid")
        for number, step in enumerate(path[:-1:2]):  # the UIDs of series and study on the way
            keyword, uid = {
                "ReferencedSeriesSequence": ("SeriesInstanceUID", ctx.who.extra["a_ct_series"]),
                "RTReferencedSeriesSequence": ("SeriesInstanceUID", ctx.who.extra["a_ct_series"]),
                "ReferencedFrameOfReferenceSequence": ("FrameOfReferenceUID", ctx.who.frame_uid),
                "CurrentRequestedProcedureEvidenceSequence": ("StudyInstanceUID", ctx.who.study_uid),
                "PertinentOtherEvidenceSequence": ("StudyInstanceUID", ctx.who.study_uid),
                "IdenticalDocumentsSequence": ("StudyInstanceUID", ctx.who.study_uid),
                "PredecessorDocumentsSequence": ("StudyInstanceUID", ctx.who.study_uid),
                "StudiesContainingOtherReferencedInstancesSequence": ("StudyInstanceUID", ctx.who.study_uid),
            }.get(step, ("", ""))
            if keyword:
                inner = (*tags[: 2 * number + 2], tag(keyword))
                put(ctx.ds, inner, "UI", uid)
                ctx.plant(f"reference/{name}", inner, uid, nature="uid")

    return make


def _uid(name: str, path: tuple):
    def make(ctx: Context) -> None:
        uid = ctx.draw.uid() if "Frame" not in path[-1] or "Sync" in path[-1] else ctx.who.frame_uid
        put(ctx.ds, _tags(path), "UI", uid)
        ctx.plant(f"uid/{name}", _tags(path), uid, nature="uid")

    return make


def _multi_uid(ctx: Context) -> None:
    uids = [ctx.draw.uid(), ctx.draw.uid()]
    ctx.ds.IrradiationEventUID = uids
    ctx.plant("uid/multi_valued", (tag("IrradiationEventUID"),), tuple(uids), nature="uid")


def _uid_in_text(ctx: Context) -> None:
    text, uid = ctx.phrase(), ctx.draw.uid()
    ctx.ds.ImageComments = f"{text} {uid}"
    ctx.plant("uid/in_text", (tag("ImageComments"),), uid, text, known=False)


def _frame(ctx: Context) -> None:
    ctx.ds.FrameOfReferenceUID = ctx.who.frame_uid
    ctx.plant("uid/frame_of_reference", (tag("FrameOfReferenceUID"),), ctx.who.frame_uid, nature="uid")


def _multi_date(ctx: Context) -> None:
    dates = list(ctx.who.dates[8:11])
    ctx.ds.ReferencedDateTime = dates
    ctx.plant("date/multi_valued", (tag("ReferencedDateTime"),), tuple(dates), nature="date")


def _multi_datetime(ctx: Context) -> None:
    dates = list(ctx.who.dates[11:13])
    put(ctx.ds, (0x0018 << 16 | 0x9516,), "DT", dates[0] + "081500.25")
    put(ctx.ds, (0x0018 << 16 | 0x9517,), "DT", dates[1] + "0815")
    ctx.plant("date/multi_valued_dt", (0x00189516,), dates[0], nature="date")
    ctx.plant("date/multi_valued_dt", (0x00189517,), dates[1], nature="date")


def _dummy(ctx: Context) -> None:
    # A constant that thousands of scanners write. If it were shifted, the patient's offset could be computed.
    ctx.ds.IssueDateOfImagingServiceRequest = "19000101"
    ctx.plant("date/dummy_stays_dummy", (tag("IssueDateOfImagingServiceRequest"),), (), nature="dummy")


def _dotted(ctx: Context) -> None:
    date = ctx.who.dates[13]
    written = f"{date[:4]}.{date[4:6]}.{date[6:]}"
    ctx.ds.add_new(tag("ContentDate"), "LO", written)
    ctx.ds[tag("ContentDate")].VR = "DA"
    ctx.plant("date/dotted", (tag("ContentDate"),), (written, date), nature="date")


def _zone(ctx: Context) -> None:
    date = ctx.who.dates[14]
    ctx.ds.AcquisitionDateTime = f"{date}093012.500000+0100"
    ctx.plant("date/dt_with_zone", (tag("AcquisitionDateTime"),), date, nature="date")


def _multi_person(ctx: Context) -> None:
    names = [ctx.who.operator, ctx.who.strangers[1]]
    ctx.ds.OperatorsName = [name.dicom for name in names]
    ctx.plant("person/multi_valued", (tag("OperatorsName"),), tuple(p for n in names for p in n.parts), nature="whole")


def _components(ctx: Context) -> None:
    name, other = ctx.who.reading, ctx.who.strangers[2]
    ctx.ds.NameOfPhysiciansReadingStudy = f"{name.family}^{name.given}^{other.given}^Prof^MD"
    gone = (*name.parts, other.given)
    ctx.plant("person/five_components", (tag("NameOfPhysiciansReadingStudy"),), gone, nature="whole")


def _multi_text(ctx: Context) -> None:
    first, second = ctx.phrase(limit=40), ctx.phrase(limit=40)
    ctx.ds.AdmittingDiagnosesDescription = [
        f"{first} {ctx.who.name.family}",
        f"Dr. {ctx.who.strangers[3].family} {second}",
    ]
    gone = (ctx.who.name.family, ctx.who.strangers[3].family)
    path = (tag("AdmittingDiagnosesDescription"),)
    ctx.plant("text/multi_valued", path, gone, (*words(first), *words(second)), known=False)


def _set(ctx: Context, kind: str, path: tuple, value: str, gone: tuple[str, ...] | str, kept: str = "", **more) -> None:
    tags = _tags(path)
    put(ctx.ds, tags, vr_of(tags[-1]), value)
    ctx.plant(kind, tags, gone, kept, **more)


def _original(ctx: Context) -> None:
    who, kind, top = ctx.who, "copy/original_attributes", ("OriginalAttributesSequence", 0)
    date = who.dates[15]
    _set(ctx, kind, (*top, "AttributeModificationDateTime"), date + "120000", date, nature="date")
    _set(ctx, kind, (*top, "ModifyingSystem"), who.ae_title, who.ae_title, nature="whole")
    _set(
        ctx,
        kind,
        (*top, "ModifiedAttributesSequence", 0, "PatientName"),
        who.relative.dicom,
        who.relative.parts,
        nature="whole",
    )
    _set(ctx, kind, (*top, "ModifiedAttributesSequence", 0, "PatientID"), who.other_id, who.other_id, nature="whole")


def _equipment(ctx: Context) -> None:
    who, kind, top = ctx.who, "copy/contributing_equipment", ("ContributingEquipmentSequence", 0)
    put(ctx.ds, _tags((*top, "Manufacturer")), "LO", "Acme Imaging")
    device = {"nature": "whole", "free": ("retain_device_identity",)}
    _set(ctx, kind, (*top, "InstitutionName"), who.institution, who.institution, nature="whole")
    _set(ctx, kind, (*top, "StationName"), who.station, who.station, **device)
    _set(ctx, kind, (*top, "DeviceSerialNumber"), who.serial, who.serial, **device)
    _set(ctx, kind, (*top, "OperatorsName"), who.operator.dicom, who.operator.parts, nature="whole")
    _set(ctx, kind, (*top, "ContributionDateTime"), who.dates[16] + "101010", who.dates[16], nature="date")
    text = ctx.phrase()
    _set(ctx, kind, (*top, "ContributionDescription"), f"{text} {who.operator.family}", who.operator.family, text)


def _request(ctx: Context) -> None:
    who, kind, top = ctx.who, "copy/request_attributes", ("RequestAttributesSequence", 0)
    text = ctx.phrase(limit=40)
    _set(ctx, kind, (*top, "RequestedProcedureID"), who.order, who.order, nature="whole")
    _set(ctx, kind, (*top, "ScheduledProcedureStepID"), who.accession, who.accession, nature="whole")
    _set(ctx, kind, (*top, "AccessionNumber"), who.accession, who.accession, nature="whole")
    _set(ctx, kind, (*top, "RequestedProcedureDescription"), f"{text} {who.name.family}", who.name.family, text)
    _set(ctx, kind, (*top, "StudyInstanceUID"), who.study_uid, who.study_uid, nature="uid")
    doctor = who.strangers[0]
    second = ctx.phrase(limit=40)
    where = (*top, "ReasonForTheRequestedProcedure")
    _set(ctx, kind, where, f"{second} Dr. {doctor.family}", doctor.family, second, known=False)


def _step(ctx: Context) -> None:
    who, kind, top = ctx.who, "copy/scheduled_step", ("ScheduledProcedureStepSequence", 0)
    _set(
        ctx,
        kind,
        (*top, "ScheduledPerformingPhysicianName"),
        who.performing.dicom,
        who.performing.parts,
        nature="whole",
    )
    _set(ctx, kind, (*top, "ScheduledProcedureStepStartDate"), who.dates[17], who.dates[17], nature="date")
    text = ctx.phrase(limit=40)
    _set(ctx, kind, (*top, "ScheduledProcedureStepDescription"), f"{text} {who.patient_id}", who.patient_id, text)


def _other_ids(ctx: Context) -> None:
    who, kind, top = ctx.who, "copy/other_patient_ids", ("OtherPatientIDsSequence", 0)
    _set(ctx, kind, (*top, "PatientID"), who.other_id, who.other_id, nature="whole")
    _set(ctx, kind, (*top, "IssuerOfPatientID"), who.issuer, who.issuer, nature="whole")


def _code(ctx: Context) -> None:
    item = sets.code("P5-0808E", "99LOCAL", f"CT abdomen {ctx.who.name.family}")
    ctx.ds.ProcedureCodeSequence = Sequence([*ctx.ds.get("ProcedureCodeSequence", []), item])
    path = (tag("ProcedureCodeSequence"), len(ctx.ds.ProcedureCodeSequence) - 1, tag("CodeMeaning"))
    ctx.plant("copy/code_meaning", path, ctx.who.name.family)


def _requested_code(ctx: Context) -> None:
    ctx.ds.RequestedProcedureCodeSequence = Sequence(
        [sets.code("CT07", "99LOCAL", f"Dr. {ctx.who.strangers[2].family} protocol")]
    )
    path = (tag("RequestedProcedureCodeSequence"), 0, tag("CodeMeaning"))
    ctx.plant("copy/requested_code_meaning", path, ctx.who.strangers[2].family, known=False)


def _issuer(ctx: Context) -> None:
    path = ("IssuerOfAccessionNumberSequence", 0, "LocalNamespaceEntityID")
    _set(ctx, "copy/issuer", path, ctx.who.issuer, ctx.who.issuer, nature="whole")
