"""What a header tells of the patient and of who cared: every identifying value of an instance, at any depth."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from phi_deid_pipeline.data_dictionary import tag_of
from phi_deid_pipeline.dicom_utils import vr_of
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.identifiers import Entry
from phi_deid_pipeline.lexicon_words import PLACEHOLDERS, compacted, distinctive, ward_codes
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.written_dates import normal_date

if TYPE_CHECKING:
    from collections.abc import Iterator

    from phi_deid_pipeline.raw_elements import Element, RawInstance

BY_KEYWORD: dict[Category, str] = {
    Category.RECORD_NUMBER: """PatientID OtherPatientIDs MedicalRecordLocator InsurancePlanIdentification
        ClinicalTrialSubjectID ClinicalTrialSubjectReadingID BreedRegistrationNumber BarcodeValue""",
    Category.ACCESSION: """AccessionNumber StudyID AdmissionID ServiceEpisodeID ScheduledProcedureStepID
        PerformedProcedureStepID RequestedProcedureID PlacerOrderNumberProcedure FillerOrderNumberProcedure
        PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest
        PlacerOrderNumberImagingServiceRequestRetired FillerOrderNumberImagingServiceRequestRetired OtherStudyNumbers
        SpecimenAccessionNumber SpecimenIdentifier ContainerIdentifier SlideIdentifier ContainerComponentID
        InterpretationID ResultsID""",
    Category.INSTITUTION: """InstitutionName InstitutionalDepartmentName ResponsibleOrganization
        HumanPerformerOrganization VerifyingOrganization ClinicalTrialSiteName ClinicalTrialCoordinatingCenterName
        IssuerOfPatientID
        IssuerOfAdmissionID IssuerOfServiceEpisodeID LocalNamespaceEntityID StudyIDIssuer CameraOwnerName
        PatientInstitutionResidence ScheduledPatientInstitutionResidence CurrentPatientLocation ScheduledStudyLocation
        ScheduledProcedureStepLocation PerformedLocation RequestedProcedureLocation OrderEntererLocation""",
    Category.ADDRESS: """InstitutionAddress PatientAddress RegionOfResidence ReferringPhysicianAddress PersonAddress
        AddressTrial DistributionAddress""",
    Category.CONTACT: """PatientTelephoneNumbers PatientTelecomInformation ReferringPhysicianTelephoneNumbers
        PersonTelephoneNumbers PersonTelecomInformation OrderCallbackPhoneNumber OrderCallbackTelecomInformation
        TelephoneNumberTrial ContactURI RetrieveURL RetrieveURI StorageURL PixelDataProviderURL
        StoredInstanceBaseURI FolderAccessURI FileAccessURI""",
    Category.DEVICE: """DeviceSerialNumber StationName DeviceID PlateID GeneratorID CassetteID GantryID
        UniqueDeviceIdentifier SecondaryCaptureDeviceID HardcopyCreationDeviceID DetectorID XRaySourceID XRayDetectorID
        LensSerialNumber SourceSerialNumber RetrieveAETitle StationAETitle NetworkID ScheduledStudyLocationAETitle
        ScheduledStationAETitle ScheduledStationName PerformedStationAETitle PerformedStationName RadiationMachineName
        TreatmentMachineName ReceivingAE RequestingAE Originator DestinationAE ModifyingSystem NTPSourceAddress
        DeviceAlternateIdentifier ManufacturerDeviceIdentifier""",
}
_BIRTH_DATE = 0x00100030
_CODE_VALUE, _CODE_MEANING = 0x00080100, 0x00080104
# Code sequences that name a person or a place: the meaning is the name.
_CODED = {
    0x00401101: Category.PERSON,  # Person Identification Code Sequence
    0x0040A088: Category.PERSON,  # Verifying Observer Identification Code Sequence
    0x00080082: Category.INSTITUTION,  # Institution Code Sequence
    0x00081041: Category.INSTITUTION,  # Institutional Department Type Code Sequence
}
_AE_TITLES_OF_META = (0x00020016, 0x00020017, 0x00020018)
_BLANKS = Expression(r"(?:[^\S\x85\xa0]|\x00)+")  # these two may be bytes of a name in another character set
_HALF = Expression(rb"[\x80-\xff]\\")
_MAX_VALUE = 1024  # characters: longer values are prose, no identifier


def harvest(instance: RawInstance) -> frozenset[Entry]:
    """Gather every identifying value of an instance, nested items and retired attributes included (no UIDs)."""
    found: set[Entry] = set()
    for path, element, charset in instance.walk():
        if element.value_end == element.value_start or element.items is not None:
            continue
        for vr in _vrs(path[-1], element.vr):
            category = _category(path, vr)
            if category is not None:
                found.update(_entries(instance, element, vr, category, charset))
    for tag in _AE_TITLES_OF_META:
        value = bytes(instance.meta.get(tag, b"")).decode("ascii", "replace")
        found.update(entries_of(Category.DEVICE, value))
    return frozenset(found)


def _entries(
    instance: RawInstance, element: Element, vr: str, category: Category, charset: tuple[str, ...]
) -> Iterator[Entry]:
    """Yield the entries of an element's values, read as ones of a VR."""
    values, raw = instance.texts(element, charset, vr), bytes(instance.value(element))
    if vr == "PN" and _HALF.search(raw):  # the second byte of a character of Shift-JIS or Big5 may be a backslash
        values += instance.texts(element, charset, "UT")
    if _is_other_utf8(raw):  # the declaration may be wrong
        values += instance.texts(element, ("ISO_IR 192",), vr)
    for entry in (entry for value in values for entry in entries_of(category, value)):
        yield entry
        if element.tag == _BIRTH_DATE and category is Category.DATE:
            yield Entry(Category.BIRTH_DATE, entry.value)


@lru_cache(maxsize=4096)
def _vrs(tag: int, written: str) -> tuple[str, ...]:
    """Return the VRs by which an element is judged: that of the dictionary, and the one it was written with."""
    known = vr_of(tag) or written
    return (known,) if known == written else (known, written)


def _is_other_utf8(value: bytes) -> bool:
    if value.isascii():
        return False
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@cache
def _categories() -> dict[int, Category]:
    """Return the category of each attribute that is known by its keyword."""
    named = ((tag_of(word), category) for category, words in BY_KEYWORD.items() for word in words.split())
    found = {tag: category for tag, category in named if tag}
    return found | {0x00100012: Category.NAME}  # Name to Use (LT), younger than the dictionary


def _category(path: tuple[int, ...], vr: str) -> Category | None:
    tag = path[-1]
    if vr == "PN":
        return Category.NAME if any(part >> 16 == 0x0010 for part in path) else Category.PERSON
    if vr in ("DA", "DT"):
        return Category.DATE
    category = _categories().get(tag)
    if category is None and tag in (_CODE_VALUE, _CODE_MEANING) and len(path) > 1:
        category = _CODED.get(path[-2])
        if category is not None and tag == _CODE_VALUE:
            category = Category.OTHER
    return category


def entries_of(category: Category, value: str) -> list[Entry]:
    """Return the entries of one header value: none if it identifies nobody, one per component group of a name."""
    value = _BLANKS.sub(" ", value).strip(" ")[:_MAX_VALUE]
    if category is Category.DATE:
        day = normal_date(value)
        return [Entry(category, day)] if day else []
    if category in (Category.NAME, Category.PERSON):
        return [Entry(category, group) for part in value.split("=") if _is_name(group := part.strip(" ^"))]
    compact = compacted(value)
    if not compact or compact in PLACEHOLDERS or is_filler(compact):
        return []
    if category in (Category.INSTITUTION, Category.ADDRESS) and not distinctive(value):
        return [Entry(category, value)] if category is Category.INSTITUTION and ward_codes(value) else []
    return [Entry(category, value)]


def _is_name(text: str) -> bool:
    compact = compacted(text)
    return (
        bool(compact)
        and compact not in PLACEHOLDERS
        and not is_filler(compact)
        and not (compact.isdigit() and text.isascii())
    )


def is_filler(compact: str) -> bool:
    """Tell whether a value is one character over and over: 0, 00, xxx, 99999."""
    return len(set(compact)) == 1 and (len(compact) > 2 or compact[0] in "0x")
