"""Synthetic DICOM data sets of the sample input: an anatomy-like CT phantom and objects that refer to it."""

from __future__ import annotations

import cv2
import numpy as np
from pydicom import uid as sop
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence

from sample_identity import Person, source_uid

AIR, LUNG, FAT, TISSUE, BONE, INK = -1000, -850, -100, 40, 700, 1500  # Hounsfield units
FIELD_OF_VIEW = 384.0  # mm
TIME = "103412"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a coded entry as the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def reference(ds: Dataset) -> Dataset:
    """Return an item that names an instance by SOP class and instance UID."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    return item


def base(person: Person, sop_class: str, modality: str, series: str, number: int, *, study: str = "") -> Dataset:
    """Return patient, study, series and equipment attributes, with the person's identifiers in all usual places."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = sop.ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = source_uid("implementation")
    ds.file_meta.ImplementationVersionName = "SAMPLE_1"
    ds.file_meta.SourceApplicationEntityTitle = person.station
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = source_uid(person.patient_id, series, number)
    ds.StudyInstanceUID = person.study_uid
    ds.SeriesInstanceUID = source_uid(person.patient_id, series)
    ds.Modality = modality
    ds.InstanceNumber = number
    ds.SeriesNumber = 1 + int(source_uid(series)[-3:]) % 90
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
        setattr(ds, keyword, person.study_date)
        setattr(ds, keyword.replace("Date", "Time"), TIME)
    ds.StudyDescription = study or f"CT CHEST W CONTRAST for {person.given} {person.family}"
    _patient(ds, person)
    _study(ds, person)
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = "Phantom Works", "Orrery 64", "VA10"
    ds.InstitutionName, ds.InstitutionAddress = person.institution, person.address
    ds.InstitutionalDepartmentName = person.department
    ds.StationName, ds.DeviceSerialNumber = person.station, person.serial
    ds.PerformingPhysicianName, ds.OperatorsName = person.performing, person.operator
    _private(ds, person)
    return ds


def _patient(ds: Dataset, person: Person) -> None:
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = person.person_name, person.patient_id, "WENDREDA-MPI"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = person.birth_date, person.sex, person.age
    ds.PatientSize, ds.PatientWeight = "1.68", "61.5"
    ds.PatientAddress, ds.PatientTelephoneNumbers = person.address, person.phone
    ds.EthnicGroup = person.ethnic_group
    ds.OtherPatientNames = f"{person.family}^{person.given[0]}"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = person.other_id, "TEXT"
    ds.OtherPatientIDsSequence = Sequence([other])
    ds.AdditionalPatientHistory = f"Mrs/Mr {person.family}, born {person.birth_date}, cough, no prior surgery"
    ds.PatientComments = f"mail to {person.email}, phone {person.phone}"


def _study(ds: Dataset, person: Person) -> None:
    ds.AccessionNumber, ds.StudyID, ds.AdmissionID = person.accession, person.study_id, person.admission_id
    ds.ReferringPhysicianName = person.referring
    staff = Dataset()
    staff.InstitutionName = person.institution
    staff.PersonTelephoneNumbers = person.phone
    staff.PersonIdentificationCodeSequence = Sequence([code("P1", "99LOCAL", person.referring.replace("^", " "))])
    ds.ReferringPhysicianIdentificationSequence = Sequence([staff])
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = person.study_id, person.accession
    request.RequestedProcedureDescription = f"Chest, asked for by {person.referring.split('^')[0]}"
    request.ScheduledProtocolCodeSequence = Sequence([code("24627-2", "LN", "CT Chest")])
    ds.RequestAttributesSequence = Sequence([request])


def _private(ds: Dataset, person: Person) -> None:
    block = ds.private_block(0x0019, "PHANTOM WORKS 01", create=True)
    block.add_new(0x01, "LO", f"{person.family} {person.given}")
    block.add_new(0x02, "DA", person.birth_date)
    inner = Dataset()
    inner.PatientName = person.person_name
    nested = inner.private_block(0x0021, "PHANTOM WORKS 02", create=True)
    nested.add_new(0x05, "LT", f"scanned for {person.person_name}")
    block.add_new(0x03, "SQ", Sequence([inner]))
    block.add_new(0x04, "UN", f"{person.patient_id} ".encode())


def set_pixels(ds: Dataset, pixels: np.ndarray) -> None:
    """Store a picture of rows x columns (int16, uint8) or rows x columns x 3 (uint8) natively."""
    colour = pixels.ndim == 3
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    ds.add_new(0x7FE00010, "OW" if ds.BitsAllocated > 8 else "OB", data + b"\0" * (len(data) % 2))


def write_text(pixels: np.ndarray, lines: list[str], corner: tuple[int, int], ink: int, scale: float = 0.45) -> None:
    """Draw lines of text downwards from a corner (column, row); mutates pixels."""
    height = cv2.getTextSize("X", cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][1]
    mask = np.zeros(pixels.shape[:2], np.uint8)  # OpenCV draws text on 8 bits only
    for number, line in enumerate(lines):
        row = corner[1] + height + number * (height + 5)
        cv2.putText(mask, line, (corner[0], row), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA)
    share = (mask / 255.0)[..., None] if pixels.ndim == 3 else mask / 255.0
    pixels[:] = np.round(pixels + (ink - pixels.astype(np.float64)) * share).astype(pixels.dtype)


def lung_mask(size: int, position: float) -> np.ndarray:
    """Return the lungs (bool, size x size) at a relative position from 0 (apex) to 1 (base)."""
    mask = np.zeros((size, size), np.uint8)
    grow = 0.35 + 0.65 * np.sin(np.pi * (0.15 + 0.75 * position))
    for side in (-1, 1):
        centre = (round(size * (0.5 + side * 0.165)), round(size * 0.49))
        cv2.ellipse(mask, centre, (round(size * 0.11 * grow), round(size * 0.19 * grow)), side * 6, 0, 360, 1, -1)
    return mask.astype(bool)


def phantom_slice(size: int, position: float, seed: int) -> np.ndarray:
    """Return one axial slice of a chest-like phantom in Hounsfield units (int16), seeded noise included."""
    picture = np.full((size, size), AIR, np.float32)

    def ellipse(x: float, y: float, a: float, b: float, value: int, angle: float = 0) -> None:
        centre, axes = (round(size * x), round(size * y)), (max(1, round(size * a)), max(1, round(size * b)))
        cv2.ellipse(picture, centre, axes, angle, 0, 360, value, -1)

    ellipse(0.5, 0.5, 0.38, 0.27, FAT)
    ellipse(0.5, 0.5, 0.355, 0.245, TISSUE)
    picture[lung_mask(size, position)] = LUNG
    ellipse(0.53, 0.45, 0.05 + 0.05 * position, 0.08, TISSUE + 20)  # heart
    ellipse(0.46, 0.57, 0.022, 0.022, TISSUE + 160)  # aorta, with contrast
    ellipse(0.5, 0.655, 0.042, 0.036, BONE)  # vertebra
    ellipse(0.5, 0.70, 0.016, 0.014, TISSUE)  # spinal canal
    for angle in range(20, 360, 40):  # ribs, which move with the position
        x, y = np.cos(np.radians(angle + 25 * position)), np.sin(np.radians(angle + 25 * position))
        ellipse(0.5 + 0.325 * x, 0.5 + 0.215 * y, 0.02, 0.008, BONE - 200, angle + 90)
    noise = np.random.default_rng(seed).integers(-60, 61, (2, size, size)).sum(axis=0) / 4
    return np.round(cv2.GaussianBlur(picture, (3, 3), 0.7) + noise).astype(np.int16)


def ct_slice(person: Person, series: str, number: int, pixels: np.ndarray, plane: dict[str, list[float]]) -> Dataset:
    """Return a CT instance; `plane` holds position, orientation (patient coordinates, LPS) and spacing, in mm."""
    ds = base(person, sop.CTImageStorage, "CT", series, number)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesDescription, ds.ProtocolName, ds.BodyPartExamined = "Thorax 1.5 B30f", f"Thorax {person.family}", "CHEST"
    ds.PatientPosition, ds.PositionReferenceIndicator = "HFS", ""
    ds.FrameOfReferenceUID = source_uid(person.patient_id, "frame of reference")
    ds.ImagePositionPatient = [f"{value:.4f}" for value in plane["position"]]
    ds.ImageOrientationPatient = [f"{value:.6f}" for value in plane["orientation"]]
    ds.PixelSpacing, ds.SliceThickness = [f"{value:g}" for value in plane["spacing"][:2]], f"{plane['spacing'][2]:g}"
    ds.SliceLocation = f"{plane['position'][2]:.2f}"
    ds.KVP, ds.ConvolutionKernel, ds.GantryDetectorTilt, ds.AcquisitionNumber = "120", "B30f", "0", "1"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    reader = person.performing.split("^")[0]
    ds.ImageComments = f"{person.given} {person.family} seen on {person.study_date} by {reader}"
    ds.ContrastBolusAgent = "Iopromide"
    set_pixels(ds, pixels)
    return ds


def ct_volume(person: Person, slices: int, size: int, texts: dict[int, tuple[int, int]]) -> list[Dataset]:
    """Return a regular axial series of 1.5 mm; `texts` maps a slice number to the corner where name and date stand."""
    spacing = FIELD_OF_VIEW / size
    instances = []
    for index in range(slices):
        pixels = phantom_slice(size, index / max(1, slices - 1), seed=index)
        if index in texts:
            lines = [person.printed_name, f"{person.birth_date[6:]}.{person.birth_date[4:6]}.{person.birth_date[:4]}"]
            write_text(pixels, lines, texts[index], INK, 0.45 if size >= 256 else 0.4)
        plane = {
            "position": [-FIELD_OF_VIEW / 2, -FIELD_OF_VIEW / 2, 100 + 1.5 * index],
            "orientation": [1, 0, 0, 0, 1, 0],
            "spacing": [spacing, spacing, 1.5],
        }
        instances.append(ct_slice(person, "ct thorax", index + 1, pixels, plane))
    return instances


def tilted_volume(person: Person, slices: int, missing: int, size: int = 128) -> list[Dataset]:
    """Return a series with 12 degrees of gantry tilt, table moving along z, 3 mm apart, one slice missing."""
    tilt, instances = np.radians(12.0), []
    for index in [index for index in range(slices) if index != missing]:
        plane = {
            "position": [-FIELD_OF_VIEW / 2, -FIELD_OF_VIEW / 2, 300 + 3.0 * index],
            "orientation": [1, 0, 0, 0, float(np.cos(tilt)), float(-np.sin(tilt))],
            "spacing": [FIELD_OF_VIEW / size, FIELD_OF_VIEW / size, 3.0],
        }
        pixels = phantom_slice(size, index / (slices - 1), seed=1000 + index)
        ds = ct_slice(person, "ct tilted", index + 1, pixels, plane)
        ds.SeriesDescription, ds.GantryDetectorTilt = "Thorax tilted 3.0 B30f", "12"
        instances.append(ds)
    return instances


def localizer(person: Person, volume: list[Dataset]) -> Dataset:
    """Return a coronal projection of a volume, as a scanner's scout view, that names the volume's first slice."""
    stack = np.stack([np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns) for ds in volume])
    projection = cv2.resize(stack.mean(axis=1)[::-1].astype(np.float32), (volume[0].Columns,) * 2)
    spacing = FIELD_OF_VIEW / volume[0].Columns
    plane = {
        "position": [-FIELD_OF_VIEW / 2, 0, 100 + 1.5 * len(volume)],
        "orientation": [1, 0, 0, 0, 0, -1],
        "spacing": [1.5 * len(volume) / volume[0].Columns, spacing, FIELD_OF_VIEW],
    }
    ds = ct_slice(person, "ct localizer", 1, np.round(projection).astype(np.int16), plane)
    ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "LOCALIZER"], "Topogram 0.6 T20f"
    ds.ReferencedImageSequence = Sequence([reference(volume[0])])
    return ds


def ultrasound(person: Person) -> Dataset:
    """Return an ultrasound-like colour picture with name, record number, dates and benign marks in the pixels."""
    rows, columns = 480, 640
    row, column = np.mgrid[0:rows, 0:columns]
    radius = np.hypot(row - 40.0, column - 320.0)
    inside = (np.abs(np.arctan2(column - 320.0, row - 40.0)) < 0.6) & (radius > 60) & (radius < 400)
    speckle = np.random.default_rng(7).integers(20, 110, (rows, columns))
    grey = np.where(inside, speckle * np.clip(1.2 - radius / 500, 0.2, 1), 0)
    pixels = np.repeat(cv2.GaussianBlur(grey.astype(np.float32), (5, 5), 1.2)[..., None], 3, axis=2).astype(np.uint8)
    pixels = np.ascontiguousarray(pixels)
    birth, day = (f"{date[6:]}.{date[4:6]}.{date[:4]}" for date in (person.birth_date, person.study_date))
    write_text(pixels, [person.printed_name, f"ID {person.patient_id}", f"* {birth}"], (4, 2), 255, 0.5)
    write_text(pixels, [day, "10:34:12", "MI 1.1"], (545, 4), 255, 0.5)
    write_text(pixels, ["L"], (60, 240), 255, 0.9)
    write_text(pixels, ["5.0 cm"], (560, 450), 255, 0.5)
    write_text(pixels, [person.institution], (200, 462), 255, 0.45)
    ds = base(person, sop.SecondaryCaptureImageStorage, "US", "us still", 1, study=f"US ABDOMEN {person.family}")
    ds.ConversionType, ds.SeriesDescription, ds.BodyPartExamined = "WSD", "Liver longitudinal", "ABDOMEN"
    ds.BurnedInAnnotation = "YES"
    set_pixels(ds, pixels)
    return ds


def plain_capture(person: Person, number: int, shade: int = 0) -> Dataset:
    """Return a small grey secondary capture without text; `shade` makes other bytes of the same instance."""
    ds = base(person, sop.SecondaryCaptureImageStorage, "OT", "captures", number, study="Key pictures")
    ds.ConversionType = "WSD"
    set_pixels(ds, np.add.outer(np.arange(64), np.arange(64) + shade).astype(np.uint8))
    return ds


def segmentation(person: Person, volume: list[Dataset]) -> Dataset:
    """Return a binary SEG of the lungs with a frame for every second slice of the volume."""
    sources = volume[::2]
    masks = [lung_mask(ds.Rows, volume.index(ds) / max(1, len(volume) - 1)) for ds in sources]
    ds = base(person, sop.SegmentationStorage, "SEG", "seg lungs", 1)
    ds.ImageType, ds.SeriesDescription = ["DERIVED", "PRIMARY"], "Lungs"
    ds.FrameOfReferenceUID = volume[0].FrameOfReferenceUID
    ds.ContentLabel, ds.ContentDescription = "LUNGS", f"Lungs of {person.family}"
    ds.ContentCreatorName = person.operator
    ds.SegmentationType, ds.LossyImageCompression = "BINARY", "00"
    ds.Rows, ds.Columns, ds.NumberOfFrames = volume[0].Rows, volume[0].Columns, len(sources)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
    _segment(ds)
    _dimensions(ds, person)
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = volume[0].PixelSpacing, "1.5"
    measures.SpacingBetweenSlices = "3"
    orientation.ImageOrientationPatient = volume[0].ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence([_seg_frame(source, n + 1) for n, source in enumerate(sources)])
    series = Dataset()
    series.SeriesInstanceUID = volume[0].SeriesInstanceUID
    series.ReferencedInstanceSequence = Sequence([reference(source) for source in sources])
    ds.ReferencedSeriesSequence = Sequence([series])
    ds.add_new(0x7FE00010, "OB", pack_bits(np.stack(masks).astype(np.uint8).ravel()))
    return ds


def _segment(ds: Dataset) -> None:
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel, segment.SegmentAlgorithmType = 1, "Lung", "AUTOMATIC"
    segment.SegmentAlgorithmName = "phantom"
    segment.SegmentedPropertyCategoryCodeSequence = Sequence([code("123037004", "SCT", "Anatomical Structure")])
    segment.SegmentedPropertyTypeCodeSequence = Sequence([code("39607008", "SCT", "Lung")])
    ds.SegmentSequence = Sequence([segment])


def _dimensions(ds: Dataset, person: Person) -> None:
    organization = source_uid(person.patient_id, "dimensions")
    ds.DimensionOrganizationSequence = Sequence([Dataset()])
    ds.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    ds.DimensionIndexSequence = Sequence()
    for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113)):  # segment number, position
        index = Dataset()
        index.DimensionOrganizationUID = organization
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
        ds.DimensionIndexSequence.append(index)


def _seg_frame(source: Dataset, number: int) -> Dataset:
    content, position, segment, derivation = (Dataset() for _ in range(4))
    content.DimensionIndexValues = [1, number]
    position.ImagePositionPatient = source.ImagePositionPatient
    segment.ReferencedSegmentNumber = 1
    image = reference(source)
    image.SpatialLocationsPreserved = "YES"
    image.PurposeOfReferenceCodeSequence = Sequence(
        [code("121322", "DCM", "Source image for image processing operation")]
    )
    derivation.SourceImageSequence = Sequence([image])
    derivation.DerivationCodeSequence = Sequence([code("113076", "DCM", "Segmentation")])
    frame = Dataset()
    frame.FrameContentSequence, frame.PlanePositionSequence = Sequence([content]), Sequence([position])
    frame.SegmentIdentificationSequence = Sequence([segment])
    frame.DerivationImageSequence = Sequence([derivation])
    return frame


def structure_set(person: Person, volume: list[Dataset]) -> Dataset:
    """Return an RTSTRUCT with the body outline on every slice of the volume; coordinates in mm (LPS)."""
    ds = base(person, sop.RTStructureSetStorage, "RTSTRUCT", "rtstruct", 1)
    ds.StructureSetLabel, ds.StructureSetName = "THORAX", f"Thorax {person.family}"
    ds.StructureSetDate, ds.StructureSetTime = person.study_date, TIME
    ds.ApprovalStatus, ds.ReviewerName = "UNAPPROVED", person.performing
    ds.SeriesDescription = "Body outline"
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = volume[0].SeriesInstanceUID
    series.ContourImageSequence = Sequence([reference(source) for source in volume])
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = person.study_uid
    study.RTReferencedSeriesSequence = Sequence([series])
    frame.FrameOfReferenceUID = volume[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([frame])
    structure, contours, observation = Dataset(), Dataset(), Dataset()
    structure.ROINumber, structure.ROIName, structure.ROIGenerationAlgorithm = 1, "Body", "AUTOMATIC"
    structure.ReferencedFrameOfReferenceUID = volume[0].FrameOfReferenceUID
    ds.StructureSetROISequence = Sequence([structure])
    contours.ReferencedROINumber, contours.ROIDisplayColor = 1, [255, 160, 0]
    contours.ContourSequence = Sequence([_contour(source) for source in volume])
    ds.ROIContourSequence = Sequence([contours])
    observation.ObservationNumber, observation.ReferencedROINumber = 1, 1
    observation.RTROIInterpretedType, observation.ROIInterpreter = "EXTERNAL", person.operator
    ds.RTROIObservationsSequence = Sequence([observation])
    return ds


def _contour(source: Dataset, points: int = 24) -> Dataset:
    z = float(source.ImagePositionPatient[2])
    data = []
    for angle in np.linspace(0, 2 * np.pi, points, endpoint=False):
        x, y = 0.38 * FIELD_OF_VIEW * np.cos(angle), 0.27 * FIELD_OF_VIEW * np.sin(angle)
        data += [f"{x:.2f}", f"{y:.2f}", f"{z:.2f}"]
    item = Dataset()
    item.ContourImageSequence = Sequence([reference(source)])
    item.ContourGeometricType, item.NumberOfContourPoints, item.ContourData = "CLOSED_PLANAR", points, data
    return item


def report(person: Person, source: Dataset) -> Dataset:
    """Return a Basic Text SR whose text names the person and which refers to one slice."""
    ds = base(person, sop.BasicTextSRStorage, "SR", "report", 1)
    ds.SeriesDescription = "Report"
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "VERIFIED"
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = person.performing, person.institution
    observer.VerificationDateTime = person.study_date + TIME
    observer.VerifyingObserverIdentificationCodeSequence = Sequence()
    ds.VerifyingObserverSequence = Sequence([observer])
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = source.SeriesInstanceUID, Sequence([reference(source)])
    study.StudyInstanceUID, study.ReferencedSeriesSequence = person.study_uid, Sequence([series])
    ds.CurrentRequestedProcedureEvidenceSequence = Sequence([study])
    ds.PerformedProcedureCodeSequence = Sequence()
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = Sequence([code("11528-7", "LN", "Radiology Report")])
    text, name, image = Dataset(), Dataset(), Dataset()
    text.RelationshipType, text.ValueType = "CONTAINS", "TEXT"
    text.ConceptNameCodeSequence = Sequence([code("121071", "DCM", "Finding")])
    patient = f"{person.given} {person.family} ({person.patient_id})"
    text.TextValue = f"{patient}: no nodule in either lung. Phone {person.phone}."
    name.RelationshipType, name.ValueType = "HAS OBS CONTEXT", "PNAME"
    name.ConceptNameCodeSequence = Sequence([code("121008", "DCM", "Person Observer Name")])
    name.PersonName = person.performing
    image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
    image.ReferencedSOPSequence = Sequence([reference(source)])
    ds.ContentSequence = Sequence([name, text, image])
    return ds
