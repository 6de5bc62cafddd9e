"""Header metadata of an instance as one typed row, and the geometry attributes of its slices.

Values are taken from the header and never made up: what is absent is None, what cannot be read as its type is None and
named in `invalid_attributes`. In multi-frame objects the functional groups of the first frame, then the shared ones,
then the top level are asked (PS3.3 C.7.6.16).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID_dictionary

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.records import RejectReason, SliceAttributes

MetadataRow = dict[str, object]  # keys: METADATA_COLUMNS, in that order


class Column(NamedTuple):
    """What a column of the metadata audit holds: type name, unit ("" if it has none) and meaning."""

    type: str  # string, int64, float64, bool, list<float64>, list<string>
    unit: str
    description: str


class _Source(NamedTuple):
    """A column that is read from one attribute: `count` values are required (0: one or more, as a list)."""

    name: str
    type: str
    unit: str
    description: str
    keyword: str
    group: str = ""  # functional group sequence that holds it in enhanced objects
    count: int = 1
    frame_keyword: str = ""  # its keyword there, where that differs


_MEASURES = "PixelMeasuresSequence"
_TRANSFORM = "PixelValueTransformationSequence"
_MR_TIMING = "MRTimingAndRelatedParametersSequence"
_CT_EXPOSURE = "CTExposureSequence"
_CT_RECONSTRUCTION = "CTReconstructionSequence"
_VOI = "FrameVOILUTSequence"
_UNASSIGNED = ("UnassignedPerFrameConvertedAttributesSequence", "UnassignedSharedConvertedAttributesSequence")
_BOOLEANS = {"YES": True, "NO": False, "01": True, "00": False}

# fmt: off
_SOURCES: tuple[_Source, ...] = (
    _Source("study_instance_uid", "string", "", "New Study Instance UID", "StudyInstanceUID"),
    _Source("series_instance_uid", "string", "", "New Series Instance UID", "SeriesInstanceUID"),
    _Source("sop_instance_uid", "string", "", "New SOP Instance UID", "SOPInstanceUID"),
    _Source("frame_of_reference_uid", "string", "", "New Frame of Reference UID", "FrameOfReferenceUID"),
    _Source("patient_id", "string", "", "Pseudonym of the patient", "PatientID"),
    _Source("patient_sex", "string", "", "M, F or O", "PatientSex"),
    _Source("modality", "string", "", "Modality, such as CT", "Modality"),
    _Source("sop_class_uid", "string", "", "SOP Class UID", "SOPClassUID"),
    _Source("body_part_examined", "string", "", "Body Part Examined, as stored", "BodyPartExamined"),
    _Source("laterality", "string", "", "Laterality of the paired body part", "Laterality",
            "FrameAnatomySequence", frame_keyword="FrameLaterality"),
    _Source("view_position", "string", "", "View Position of a projection image", "ViewPosition"),
    _Source("study_description", "string", "", "Study Description, as the policy left it", "StudyDescription"),
    _Source("series_description", "string", "", "Series Description, as the policy left it", "SeriesDescription"),
    _Source("protocol_name", "string", "", "Protocol Name, as the policy left it", "ProtocolName"),
    _Source("manufacturer", "string", "", "Manufacturer of the equipment", "Manufacturer"),
    _Source("manufacturer_model_name", "string", "", "Model name of the equipment", "ManufacturerModelName"),
    _Source("software_versions", "list<string>", "", "Software versions of the equipment", "SoftwareVersions", count=0),
    _Source("image_type", "list<string>", "", "Image Type, value by value", "ImageType", count=0),
    _Source("series_number", "int64", "", "Series Number", "SeriesNumber"),
    _Source("acquisition_number", "int64", "", "Acquisition Number", "AcquisitionNumber",
            "FrameContentSequence", frame_keyword="FrameAcquisitionNumber"),
    _Source("instance_number", "int64", "", "Instance Number; says nothing about position", "InstanceNumber"),
    _Source("temporal_position_identifier", "int64", "", "Temporal Position Identifier", "TemporalPositionIdentifier",
            "FrameContentSequence", frame_keyword="TemporalPositionIndex"),
    _Source("patient_position", "string", "", "Patient Position, such as HFS", "PatientPosition"),
    _Source("slice_thickness", "float64", "mm", "Nominal thickness of the slice", "SliceThickness", _MEASURES),
    _Source("spacing_between_slices", "float64", "mm", "Stored distance between slice centres",
            "SpacingBetweenSlices", _MEASURES),
    _Source("pixel_spacing", "list<float64>", "mm", "Distance between rows, between columns, in the patient",
            "PixelSpacing", _MEASURES, 2),
    _Source("imager_pixel_spacing", "list<float64>", "mm", "Distance between rows, between columns, at the detector",
            "ImagerPixelSpacing", count=2),
    _Source("image_orientation_patient", "list<float64>", "",
            "Direction cosines along a row (3) and along a column (3), LPS", "ImageOrientationPatient",
            "PlaneOrientationSequence", 6),
    _Source("image_position_patient", "list<float64>", "mm",
            "Position of the centre of the first pixel, LPS; first frame", "ImagePositionPatient",
            "PlanePositionSequence", 3),
    _Source("slice_location", "float64", "mm", "Slice Location, as stored; not used for geometry", "SliceLocation"),
    _Source("rows", "int64", "pixels", "Rows of the matrix", "Rows"),
    _Source("columns", "int64", "pixels", "Columns of the matrix", "Columns"),
    _Source("number_of_frames", "int64", "", "Number of Frames; missing where the object has one frame",
            "NumberOfFrames"),
    _Source("samples_per_pixel", "int64", "", "1 grey or palette, 3 colour", "SamplesPerPixel"),
    _Source("photometric_interpretation", "string", "", "Photometric Interpretation", "PhotometricInterpretation"),
    _Source("planar_configuration", "int64", "", "0 colour by pixel, 1 colour by plane", "PlanarConfiguration"),
    _Source("bits_allocated", "int64", "bits", "Bits Allocated", "BitsAllocated"),
    _Source("bits_stored", "int64", "bits", "Bits Stored", "BitsStored"),
    _Source("high_bit", "int64", "", "High Bit", "HighBit"),
    _Source("pixel_representation", "int64", "", "0 unsigned, 1 signed", "PixelRepresentation"),
    _Source("pixel_padding_value", "int64", "stored value", "Stored value that pads the image", "PixelPaddingValue"),
    _Source("rescale_slope", "float64", "", "Rescale Slope", "RescaleSlope", _TRANSFORM),
    _Source("rescale_intercept", "float64", "", "Rescale Intercept", "RescaleIntercept", _TRANSFORM),
    _Source("rescale_type", "string", "", "Unit after rescaling, such as HU", "RescaleType", _TRANSFORM),
    _Source("window_center", "list<float64>", "", "Window centres, in rescaled values", "WindowCenter", _VOI, 0),
    _Source("window_width", "list<float64>", "", "Window widths, in rescaled values", "WindowWidth", _VOI, 0),
    _Source("lossy_image_compression", "bool", "", "Whether pixels ever went through lossy compression",
            "LossyImageCompression"),
    _Source("lossy_image_compression_ratio", "list<float64>", "", "Ratios of the lossy compressions applied",
            "LossyImageCompressionRatio", count=0),
    _Source("burned_in_annotation", "bool", "", "Burned In Annotation, as stated by the header", "BurnedInAnnotation"),
    _Source("patient_identity_removed", "bool", "", "Patient Identity Removed", "PatientIdentityRemoved"),
    _Source("kvp", "float64", "kV", "Peak tube voltage", "KVP", "CTXRayDetailsSequence"),
    _Source("x_ray_tube_current", "float64", "mA", "Tube current", "XRayTubeCurrent", _CT_EXPOSURE,
            frame_keyword="XRayTubeCurrentInmA"),
    _Source("exposure_time", "float64", "ms", "Time of exposure", "ExposureTime", _CT_EXPOSURE,
            frame_keyword="ExposureTimeInms"),
    _Source("exposure", "float64", "mAs", "Exposure", "Exposure", _CT_EXPOSURE, frame_keyword="ExposureInmAs"),
    _Source("convolution_kernel", "list<string>", "", "Reconstruction kernel", "ConvolutionKernel",
            _CT_RECONSTRUCTION, 0),
    _Source("reconstruction_diameter", "float64", "mm", "Diameter of the reconstructed field", "ReconstructionDiameter",
            _CT_RECONSTRUCTION),
    _Source("gantry_detector_tilt", "float64", "degrees", "Gantry/Detector Tilt, as stored", "GantryDetectorTilt",
            "CTAcquisitionDetailsSequence"),
    _Source("spiral_pitch_factor", "float64", "", "Table feed per rotation by total collimation", "SpiralPitchFactor",
            "CTTableDynamicsSequence"),
    _Source("contrast_bolus_agent", "string", "", "Contrast agent, as the policy left it", "ContrastBolusAgent"),
    _Source("magnetic_field_strength", "float64", "T", "Nominal field strength", "MagneticFieldStrength"),
    _Source("mr_acquisition_type", "string", "", "1D, 2D or 3D", "MRAcquisitionType"),
    _Source("scanning_sequence", "list<string>", "", "Scanning Sequence", "ScanningSequence", count=0),
    _Source("sequence_variant", "list<string>", "", "Sequence Variant", "SequenceVariant", count=0),
    _Source("repetition_time", "float64", "ms", "Repetition Time", "RepetitionTime", _MR_TIMING),
    _Source("echo_time", "float64", "ms", "Echo Time", "EchoTime", "MREchoSequence", frame_keyword="EffectiveEchoTime"),
    _Source("inversion_time", "float64", "ms", "Inversion Time", "InversionTime"),
    _Source("flip_angle", "float64", "degrees", "Flip Angle", "FlipAngle", _MR_TIMING),
    _Source("units", "string", "", "Units of PET values", "Units"),
)
# fmt: on
_BY_NAME = {source.name: source for source in _SOURCES}

# Columns that no single attribute gives; "" as predecessor puts a column first.
_DERIVED: tuple[tuple[str, str, Column], ...] = (
    ("", "path", Column("string", "", "Path in the release: dicom/{study}/{series}/{instance}.dcm by new UIDs")),
    ("sop_class_uid", "sop_class_name", Column("string", "", "Name of the SOP class in DICOM")),
    ("sop_class_name", "transfer_syntax_uid", Column("string", "", "Transfer Syntax UID of the written instance")),
    (
        "units",
        "referenced_instances",
        Column("int64", "", "Distinct instances named by Referenced SOP Instance UID, at any depth"),
    ),
    ("referenced_instances", "segments", Column("int64", "", "Segments of a SEG; missing in other objects")),
    ("segments", "rois", Column("int64", "", "Regions of interest of an RTSTRUCT; missing in other objects")),
    (
        "rois",
        "invalid_attributes",
        Column("list<string>", "", "Columns that are missing because the header's value cannot be read as their type"),
    ),
)


def _columns() -> dict[str, Column]:
    names = [source.name for source in _SOURCES]
    columns = {source.name: Column(source.type, source.unit, source.description) for source in _SOURCES}
    for predecessor, name, column in _DERIVED:
        names.insert(names.index(predecessor) + 1 if predecessor else 0, name)
        columns[name] = column
    return {name: columns[name] for name in names}


METADATA_COLUMNS: dict[str, Column] = _columns()

# What pydicom raises on elements or sequences that do not parse.
PARSE_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    struct.error,
    NotImplementedError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    BytesLengthException,
)
_BINARY_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_UNSPLIT_VRS = frozenset({"LT", "ST", "UT", "UR"})
_TEXT_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x5C}
_INT64_LIMIT = 2**63


def read_header(path: Path) -> Dataset:
    """Return the header up to the pixel data; raise UnreadableInstance where that cannot be done."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        raise UnreadableInstance(RejectReason.NOT_DICOM) from error
    except PARSE_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the data
        raise UnreadableInstance(RejectReason.MALFORMED, type(error).__name__) from error


def _has(dataset: Dataset, tag: int) -> bool:
    """Tell whether an attribute is there. ValueError where the look-up itself meets an element that does not parse."""
    try:
        return tag in dataset
    except PARSE_ERRORS as error:
        raise ValueError("look-up") from error


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none if it is absent. A sequence that does not parse raises ValueError."""
    tag = tag_for_keyword(keyword)
    if not _has(dataset, tag):
        return []
    try:
        value = dataset[tag].value
    except PARSE_ERRORS as error:
        raise ValueError(keyword) from error
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, pydicom.Sequence) else []


class _Header:
    """Values of one header by column and frame; columns that cannot be read are noted in `invalid`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.invalid: set[str] = set()
        self._encodings = self._read_encodings()
        self.shared = self._groups("SharedFunctionalGroupsSequence")
        self.per_frame = self._groups("PerFrameFunctionalGroupsSequence")
        some = zip((self.per_frame[:1], self.shared[:1]), _UNASSIGNED, strict=True)
        self.converted = any(tag_for_keyword(name) in group for groups, name in some for group in groups)

    def _read_encodings(self) -> list[str]:
        names = self.dataset.get("SpecificCharacterSet") or "ISO_IR 6"
        try:
            return convert_encodings([names] if isinstance(names, str) else list(names))
        except LookupError:
            return convert_encodings("ISO_IR 6")

    def _groups(self, keyword: str) -> list[Dataset]:
        try:
            return _items(self.dataset, keyword)
        except ValueError as error:
            raise UnreadableInstance(RejectReason.MALFORMED, keyword) from error

    def column(self, name: str, frame: int = 0) -> object:
        """Return the typed value of a column for one frame (0-based); None if absent or invalid."""
        return self.value_of(_BY_NAME[name], frame)

    def value_of(self, source: _Source, frame: int = 0) -> object:
        """Return the typed value of a source for one frame (0-based); None if absent or invalid."""
        name = source.name
        try:
            parts = self._parts(source, frame)
            if parts is None:
                return None
            values = [_convert(part, source.type) for part in parts]
            if source.count and len(values) != source.count:
                raise ValueError(name)
        except ValueError:
            self.invalid.add(name)
            return None
        return values if source.type.startswith("list<") else values[0]

    def _parts(self, source: _Source, frame: int) -> list[object] | None:
        """Return the value's parts, numbers or texts; None if no place holds it."""
        if source.group:
            for groups in (self.per_frame[frame : frame + 1], self.shared[:1]):
                for item in [item for group in groups for item in _items(group, source.group)][:1]:
                    parts = self._values(item, source.frame_keyword or source.keyword)
                    if parts is not None:
                        return parts
        parts = self._values(self.dataset, source.keyword)
        return self._unassigned(source.keyword, frame) if parts is None and self.converted else parts

    def _unassigned(self, keyword: str, frame: int) -> list[object] | None:
        """Ask the attributes that a legacy-converted object carries over unchanged (PS3.3 C.7.6.16.2.25)."""
        for groups, name in ((self.per_frame[frame : frame + 1], _UNASSIGNED[0]), (self.shared[:1], _UNASSIGNED[1])):
            for item in [item for group in groups for item in _items(group, name)][:1]:
                parts = self._values(item, keyword)
                if parts is not None:
                    return parts
        return None

    def _values(self, dataset: Dataset, keyword: str) -> list[object] | None:
        """Return the parts of an attribute from its bytes; None if absent or empty; ValueError if they do not parse."""
        tag = tag_for_keyword(keyword)
        if not _has(dataset, tag):
            return None
        try:
            element = dataset.get_item(tag)
        except PARSE_ERRORS as error:
            raise ValueError(keyword) from error
        dictionary_vr = dictionary_VR(tag)
        if not isinstance(element, RawDataElement):
            return _plain(element.value)
        value = bytes(element.value or b"")
        vr = element.VR if element.VR not in (None, "UN") else dictionary_vr
        if vr == "US or SS":
            vr = "SS" if self.column("pixel_representation") == 1 else "US"
        if vr in _BINARY_FORMATS:
            code = _BINARY_FORMATS[vr]
            count, rest = divmod(len(value), struct.calcsize(code))
            if rest:
                raise ValueError(keyword)
            return list(struct.unpack(f"{'<' if element.is_little_endian else '>'}{count}{code}", value)) or None
        text = decode_bytes(value, self._encodings, _TEXT_DELIMITERS) if value else ""
        texts = [text] if vr in _UNSPLIT_VRS else text.split("\\")
        texts = [part.strip(" \x00") for part in texts]
        return texts if any(texts) else None


def _plain(value: object) -> list[object] | None:
    """Return the parts of a value that pydicom has converted already."""
    if isinstance(value, pydicom.Sequence | bytes):
        raise ValueError
    parts = list(value) if isinstance(value, pydicom.multival.MultiValue | list | tuple) else [value]
    parts = [part if isinstance(part, int | float) else str(part).strip(" \x00") for part in parts if part is not None]
    return parts if any(part != "" for part in parts) else None


def _convert(part: object, type_name: str) -> object:
    """Return one part as its column's element type; ValueError if it is none."""
    element_type = type_name.removeprefix("list<").removesuffix(">")
    if element_type == "string":
        return str(part)
    if element_type == "bool":
        if part not in _BOOLEANS:
            raise ValueError
        return _BOOLEANS[part]
    # float() takes more than a Decimal String may hold: digit groups with underscores, words for infinity.
    if isinstance(part, str) and "_" in part:
        raise ValueError
    number = float(part)
    if not math.isfinite(number):
        raise ValueError
    if element_type == "float64":
        return number
    if not number.is_integer() or abs(number) >= _INT64_LIMIT:
        raise ValueError
    return int(number)


def _walk(dataset: Dataset) -> Iterator[Dataset]:
    """Yield the data set and every item below it."""
    yield dataset
    for tag in sorted(dataset.keys()):
        element = dataset.get_item(tag)
        vr = element.VR
        if vr in (None, "UN"):
            try:
                vr = dictionary_VR(tag)
            except KeyError:
                continue
        if vr == "SQ":
            value = dataset[tag].value
            for item in value if isinstance(value, pydicom.Sequence) else ():
                yield from _walk(item)


def _referenced_instances(header: _Header) -> int | None:
    """Count the distinct Referenced SOP Instance UIDs at any depth."""
    try:
        found = [header._values(dataset, "ReferencedSOPInstanceUID") or [] for dataset in _walk(header.dataset)]
    except PARSE_ERRORS:
        header.invalid.add("referenced_instances")
        return None
    return len({uid for uids in found for uid in uids})


def _count_items(header: _Header, keyword: str, column: str) -> int | None:
    try:
        if not _has(header.dataset, tag_for_keyword(keyword)):
            return None
        return len(_items(header.dataset, keyword))
    except ValueError:
        header.invalid.add(column)
        return None


def extract_metadata(path: Path, staged: str) -> MetadataRow:
    """Return the metadata row of a de-identified instance; `staged` is its path by new UIDs.

    Raises UnreadableInstance where the header does not parse.
    """
    header = _Header(read_header(path))
    values: dict[str, object] = {source.name: header.column(source.name) for source in _SOURCES}
    values["path"] = staged
    name = UID_dictionary.get(str(values["sop_class_uid"]), ("",))[0]
    values["sop_class_name"] = name or None
    syntax = getattr(header.dataset.file_meta, "TransferSyntaxUID", None)
    values["transfer_syntax_uid"] = str(syntax) if syntax else None
    values["referenced_instances"] = _referenced_instances(header)
    values["segments"] = _count_items(header, "SegmentSequence", "segments")
    values["rois"] = _count_items(header, "StructureSetROISequence", "rois")
    values["invalid_attributes"] = sorted(header.invalid)
    return {name: values[name] for name in METADATA_COLUMNS}


_SLICE_COLUMNS = {
    "frame_of_reference_uid": "frame_of_reference_uid",
    "image_type": "image_type",
    "acquisition_number": "acquisition_number",
    "temporal_position": "temporal_position_identifier",
    "convolution_kernel": "convolution_kernel",
    "position": "image_position_patient",
    "orientation": "image_orientation_patient",
    "rows": "rows",
    "columns": "columns",
    "pixel_spacing": "pixel_spacing",
    "imager_pixel_spacing": "imager_pixel_spacing",
    "slice_thickness": "slice_thickness",
    "spacing_between_slices": "spacing_between_slices",
    "gantry_tilt": "gantry_detector_tilt",
    "rescale_slope": "rescale_slope",
    "rescale_intercept": "rescale_intercept",
    "rescale_type": "rescale_type",
    "pixel_padding_value": "pixel_padding_value",
    "photometric_interpretation": "photometric_interpretation",
    "samples_per_pixel": "samples_per_pixel",
    "bits_allocated": "bits_allocated",
    "bits_stored": "bits_stored",
    "high_bit": "high_bit",
    "pixel_representation": "pixel_representation",
}
_TEXT_FIELDS = frozenset({"frame_of_reference_uid", "rescale_type", "photometric_interpretation"})
# Per frame, Frame Type says what Image Type says of an instance (PS3.3 C.8.15.3.1).
_FRAME_TYPE = _Source("image_type", "list<string>", "", "", "ImageType", "CTImageFrameTypeSequence", 0, "FrameType")


def slice_attributes(path: Path) -> list[SliceAttributes]:
    """Return the geometry attributes of an instance: one entry, or one per frame of an enhanced multi-frame object.

    A multi-frame object without functional groups gives one entry without a position, because its frames have none.
    Raises UnreadableInstance where the header does not parse.
    """
    header = _Header(read_header(path))
    frames = max(1, header.column("number_of_frames") or 1, len(header.per_frame))
    if header.per_frame:
        return [_slice(header, frame, frames) for frame in range(len(header.per_frame))]
    only = _slice(header, 0, frames)
    return [only if frames == 1 else replace(only, position=None)]


def _slice(header: _Header, frame: int, frames: int) -> SliceAttributes:
    before, header.invalid = header.invalid, set()
    fields: dict[str, object] = {}
    for field, column in _SLICE_COLUMNS.items():
        value = header.value_of(_FRAME_TYPE, frame) if field == "image_type" else header.column(column, frame)
        if field in _TEXT_FIELDS:
            value = value or ""
        elif isinstance(value, list):
            value = tuple(value)
        fields[field] = value
    fields["image_type"] = fields["image_type"] or ()
    fields["convolution_kernel"] = fields["convolution_kernel"] or ()
    invalid = tuple(sorted(field for field, column in _SLICE_COLUMNS.items() if column in header.invalid))
    header.invalid |= before
    return SliceAttributes(
        study_uid=str(header.column("study_instance_uid") or ""),
        series_uid=str(header.column("series_instance_uid") or ""),
        sop_uid=str(header.column("sop_instance_uid") or ""),
        frame=frame,
        number_of_frames=frames,
        invalid_attributes=invalid,
        **fields,
    )
