"""Identifier-free data sets of many SOP classes: synthetic ones, and pydicom's test data stripped to what is measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pydicom
from pydicom import uid as sop
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

import sample_datasets as sets
from benchmarks.quality.identity import Drawer

SIZE = 24  # rows and columns: small, since reading text costs by the picture
MEASURED_GROUPS = frozenset({0x0018, 0x0020, 0x0028, 0x3002, 0x3004, 0x300A, 0x300C, 0x5400, 0x7FE0})


def _sequence(**values: object) -> Sequence:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


def start(draw: Drawer, sop_class: str, modality: str) -> Dataset:
    """Return a data set with SOP common, equipment and numbers, and empty patient and study attributes of Type 2."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = sop.ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = "1.2.276.0.99871.1"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, draw.uid()
    ds.Modality, ds.Manufacturer = modality, "Acme Imaging"
    ds.ManufacturerModelName, ds.SoftwareVersions = "Orbit 3", "V2.1"
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    return ds


def _plane(ds: Dataset) -> None:
    ds.ImagePositionPatient, ds.ImageOrientationPatient = ["-12.5", "-12.5", "7.5"], ["1", "0", "0", "0", "1", "0"]
    ds.PixelSpacing, ds.SliceThickness, ds.PositionReferenceIndicator = ["1.25", "1.25"], "1.5", ""
    ds.PatientPosition = "HFS"


def _grey(ds: Dataset, seed: int, bits: int = 16, size: int = SIZE) -> None:
    noise = np.random.default_rng(seed).integers(40, 90, (size, size))
    sets.set_pixels(ds, noise.astype(np.int16 if bits == 16 else np.uint8))


def _window(ds: Dataset) -> None:
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"


def ct(draw: Drawer) -> Dataset:
    ds = start(draw, sop.CTImageStorage, "CT")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP, ds.ConvolutionKernel, ds.AcquisitionNumber, ds.ExposureTime = "120", "B30f", "1", "500"
    ds.BodyPartExamined, ds.GantryDetectorTilt, ds.SpiralPitchFactor = "CHEST", "0", 0.9
    _plane(ds)
    _window(ds)
    _grey(ds, 1)
    return ds


def pet(draw: Drawer) -> Dataset:
    ds = start(draw, sop.PositronEmissionTomographyImageStorage, "PT")
    ds.ImageType, ds.SeriesType, ds.Units = ["ORIGINAL", "PRIMARY"], ["WHOLE BODY", "IMAGE"], "BQML"
    ds.CountsSource, ds.NumberOfSlices, ds.CorrectedImage = "EMISSION", 1, ["DECY", "ATTN"]
    ds.DecayCorrection, ds.CollimatorType, ds.FrameReferenceTime = "START", "NONE", "0"
    ds.ImageIndex, ds.ActualFrameDuration = 1, "180000"
    ds.RadiopharmaceuticalInformationSequence = _sequence(
        RadionuclideTotalDose="350000000", RadionuclideHalfLife="6586.2", RadiopharmaceuticalStartTime="091500"
    )
    _plane(ds)
    ds.RescaleIntercept, ds.RescaleSlope = "0", "1.5"
    _grey(ds, 2)
    return ds


def projection(sop_class: str, modality: str) -> Callable[[Drawer], Dataset]:
    """Return a builder of DX and MG images."""

    def make(draw: Drawer) -> Dataset:
        ds = start(draw, sop_class, modality)
        ds.ImageType, ds.PresentationIntentType = ["ORIGINAL", "PRIMARY", ""], "FOR PRESENTATION"
        ds.BodyPartExamined, ds.ImageLaterality = ("BREAST", "R") if modality == "MG" else ("CHEST", "U")
        ds.PatientOrientation, ds.BurnedInAnnotation, ds.LossyImageCompression = ["P", "F"], "NO", "00"
        ds.ImagerPixelSpacing, ds.PixelIntensityRelationship = ["0.1", "0.1"], "LOG"
        ds.PixelIntensityRelationshipSign, ds.PresentationLUTShape = 1, "IDENTITY"
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
        ds.ViewPosition, ds.DetectorType, ds.KVP = "PA", "DIRECT", "90"
        _grey(ds, 3)
        ds.PixelRepresentation = 0
        return ds

    return make


def cr(draw: Drawer) -> Dataset:
    ds = start(draw, sop.ComputedRadiographyImageStorage, "CR")
    ds.ImageType, ds.ViewPosition, ds.BodyPartExamined = ["ORIGINAL", "PRIMARY"], "AP", "HAND"
    ds.KVP, ds.PatientOrientation = "55", ["L", "F"]
    _grey(ds, 4)
    return ds


def nm(draw: Drawer) -> Dataset:
    ds = start(draw, sop.NuclearMedicineImageStorage, "NM")
    ds.ImageType, ds.NumberOfFrames = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"], 1
    ds.FrameIncrementPointer = [0x00540010, 0x00540020]
    ds.EnergyWindowVector = ds.DetectorVector = 1
    ds.NumberOfEnergyWindows = ds.NumberOfDetectors = 1
    ds.PixelSpacing = ["4.8", "4.8"]
    _grey(ds, 5)
    return ds


def ultrasound(draw: Drawer) -> Dataset:
    ds = start(draw, sop.UltrasoundImageStorage, "US")
    ds.ImageType, ds.LossyImageCompression = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"], "00"
    sets.set_pixels(ds, np.full((SIZE, SIZE, 3), 55, np.uint8))
    return ds


def xa(draw: Drawer) -> Dataset:
    ds = start(draw, sop.XRayAngiographicImageStorage, "XA")
    ds.ImageType, ds.RadiationSetting, ds.KVP = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"], "GR", "75"
    ds.PixelIntensityRelationship, ds.XRayTubeCurrent = "LIN", 320
    _grey(ds, 6, 8)
    return ds


def capture(draw: Drawer) -> Dataset:
    ds = start(draw, sop.SecondaryCaptureImageStorage, "OT")
    ds.ConversionType = "WSD"
    _grey(ds, 7, 8)
    return ds


def _frames(ds: Dataset, count: int = 2) -> None:
    ds.NumberOfFrames = count
    ds.SharedFunctionalGroupsSequence = _sequence(
        PixelMeasuresSequence=_sequence(PixelSpacing=["1", "1"], SliceThickness="2"),
        PlaneOrientationSequence=_sequence(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"]),
    )
    frames = []
    for number in range(count):
        content = _sequence(StackID="1", InStackPositionNumber=number + 1, DimensionIndexValues=[1, number + 1])
        frame = Dataset()
        frame.FrameContentSequence = content
        frame.PlanePositionSequence = _sequence(ImagePositionPatient=["0", "0", str(number * 2)])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    noise = np.random.default_rng(8).integers(40, 90, (count, SIZE, SIZE)).astype(np.int16)
    sets.set_pixels(ds, noise[0])
    ds[0x7FE00010].value = noise.astype("<i2").tobytes()
    ds.PixelRepresentation = 0


def enhanced(sop_class: str, modality: str) -> Callable[[Drawer], Dataset]:
    """Return a builder of enhanced multi-frame images."""

    def make(draw: Drawer) -> Dataset:
        ds = start(draw, sop_class, modality)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        ds.PixelPresentation, ds.VolumetricProperties = "MONOCHROME", "VOLUME"
        ds.VolumeBasedCalculationTechnique, ds.ContentQualification = "NONE", "PRODUCT"
        ds.LossyImageCompression, ds.PresentationLUTShape, ds.BurnedInAnnotation = "00", "IDENTITY", "NO"
        ds.PositionReferenceIndicator = ""
        _frames(ds)
        return ds

    return make


def segmentation(draw: Drawer) -> Dataset:
    ds = start(draw, sop.SegmentationStorage, "SEG")
    ds.ImageType, ds.SegmentationType = ["DERIVED", "PRIMARY"], "BINARY"
    ds.ContentLabel, ds.ContentDescription, ds.LossyImageCompression = "MASK", "", "00"
    ds.SegmentSequence = _sequence(SegmentNumber=1, SegmentLabel="Liver", SegmentAlgorithmType="MANUAL")
    _frames(ds, 1)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
    ds.add_new(0x7FE00010, "OB", bytes(SIZE * SIZE // 8))
    return ds


def structures(draw: Drawer) -> Dataset:
    ds = start(draw, sop.RTStructureSetStorage, "RTSTRUCT")
    ds.StructureSetLabel = "PLAN"
    ds.StructureSetROISequence = _sequence(ROINumber=1, ROIName="Bladder", ROIGenerationAlgorithm="MANUAL")
    ds.ROIContourSequence = _sequence(ReferencedROINumber=1, ROIDisplayColor=[255, 0, 0])
    ds.RTROIObservationsSequence = _sequence(
        ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="ORGAN", ROIInterpreter=""
    )
    return ds


def report(draw: Drawer) -> Dataset:
    ds = start(draw, sop.ComprehensiveSRStorage, "SR")
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = Sequence([sets.code("126000", "DCM", "Imaging Measurement Report")])
    number = Dataset()
    number.RelationshipType, number.ValueType = "CONTAINS", "NUM"
    number.ConceptNameCodeSequence = Sequence([sets.code("410668003", "SCT", "Length")])
    number.MeasuredValueSequence = _sequence(
        NumericValue="12.5", MeasurementUnitsCodeSequence=Sequence([sets.code("mm", "UCUM", "millimeter")])
    )
    ds.ContentSequence = Sequence([number])
    ds.PerformedProcedureCodeSequence = Sequence()
    return ds


def presentation(draw: Drawer) -> Dataset:
    ds = start(draw, sop.GrayscaleSoftcopyPresentationStateStorage, "PR")
    ds.ContentLabel, ds.ContentDescription, ds.PresentationLUTShape = "STATE", "", "IDENTITY"
    ds.DisplayedAreaSelectionSequence = _sequence(
        DisplayedAreaTopLeftHandCorner=[1, 1],
        DisplayedAreaBottomRightHandCorner=[SIZE, SIZE],
        PresentationSizeMode="SCALE TO FIT",
        PresentationPixelAspectRatio=[1, 1],
    )
    return ds


def key_objects(draw: Drawer) -> Dataset:
    ds = start(draw, sop.KeyObjectSelectionDocumentStorage, "KO")
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = Sequence([sets.code("113000", "DCM", "Of Interest")])
    return ds


def registration(draw: Drawer) -> Dataset:
    ds = start(draw, sop.SpatialRegistrationStorage, "REG")
    ds.ContentLabel, ds.ContentDescription = "FUSION", ""
    matrix = _sequence(
        FrameOfReferenceTransformationMatrixType="RIGID",
        FrameOfReferenceTransformationMatrix=[str(float(n)) for n in np.eye(4).ravel()],
    )
    ds.RegistrationSequence = _sequence(MatrixRegistrationSequence=_sequence(MatrixSequence=matrix))
    return ds


def document(draw: Drawer) -> Dataset:
    ds = start(draw, sop.EncapsulatedPDFStorage, "DOC")
    ds.ConversionType, ds.BurnedInAnnotation, ds.DocumentTitle = "WSD", "NO", ""
    ds.MIMETypeOfEncapsulatedDocument, ds.EncapsulatedDocument = "application/pdf", b"%PDF-1.4\n%%EOF\n"
    return ds


def stripped(name: str, sop_class: str, modality: str) -> Callable[[Drawer], Dataset]:
    """Return a builder on a file of pydicom's test data: its measured groups without text, dates, UIDs and private."""

    def make(draw: Drawer) -> Dataset:
        found = pydicom.dcmread(get_testdata_file(name))
        ds = start(draw, sop_class, modality)
        for element in _measured(found):
            if element.tag.group in MEASURED_GROUPS and element.keyword not in ds:
                ds.add(element)
        return ds

    return make


def ecg(draw: Drawer) -> Dataset:
    """Return a short piece of pydicom's ECG: its waveforms cut to a hundred samples."""
    ds = stripped("waveform_ecg.dcm", sop.TwelveLeadECGWaveformStorage, "ECG")(draw)
    for group in ds.WaveformSequence:
        channels = int(group.NumberOfWaveformChannels)
        group.NumberOfWaveformSamples = 100
        group.WaveformData = group.WaveformData[: 100 * channels * int(group.WaveformBitsAllocated) // 8]
    return ds


def _measured(ds: Dataset) -> Dataset:
    loose = {"DA", "DT", "TM", "PN", "LO", "SH", "LT", "ST", "UT", "UI", "UN", "AE", "UR"}
    for element in list(ds):
        keep_text = element.keyword in ("WaveformSequence", "ChannelDefinitionSequence")
        if element.tag.is_private or (element.VR in loose and not keep_text):
            del ds[element.tag]
        elif element.VR == "SQ":
            for item in element.value:
                _measured(item)
    return ds


BASES: dict[str, Callable[[Drawer], Dataset]] = {
    "ct": ct,
    "mr": stripped("MR_small.dcm", sop.MRImageStorage, "MR"),
    "pt": pet,
    "us": ultrasound,
    "dx": projection(sop.DigitalXRayImageStorageForPresentation, "DX"),
    "mg": projection(sop.DigitalMammographyXRayImageStorageForPresentation, "MG"),
    "cr": cr,
    "nm": nm,
    "xa": xa,
    "sc": capture,
    "seg": segmentation,
    "rtstruct": structures,
    "rtplan": stripped("rtplan.dcm", sop.RTPlanStorage, "RTPLAN"),
    "rtdose": stripped("rtdose.dcm", sop.RTDoseStorage, "RTDOSE"),
    "sr": report,
    "pr": presentation,
    "ko": key_objects,
    "reg": registration,
    "ect": enhanced(sop.EnhancedCTImageStorage, "CT"),
    "emr": enhanced(sop.EnhancedMRImageStorage, "MR"),
    "ecg": ecg,
    "pdf": document,
}
IMAGES = ("ct", "mr", "pt", "us", "dx", "mg", "cr", "nm", "xa", "sc")
