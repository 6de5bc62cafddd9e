"""Typed metadata rows and slice attributes from real headers, built ones and broken ones."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.geometry import GeometryFlag, GeometrySettings, measure_series
from phi_deid_pipeline.metadata_extract import METADATA_COLUMNS, extract_metadata, slice_attributes
from phi_deid_pipeline.records import RejectReason

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SCHEMA = json.loads((ROOT / "resources" / "audit_schemas" / "metadata_audit.schema.json").read_text())
STAGED = "2.25.1/2.25.2/2.25.3.dcm"
JOINED_LATER = {
    "text_regions_hidden": 0,
    "pixels_redacted": False,
    "recognizable_visual_features": False,
    "series_incomplete": False,
}
PYTHON_TYPES = {"string": str, "int64": int, "float64": float, "bool": bool}


def wheel(name):
    return Path(get_testdata_file(name, download=False))


def row_of(path):
    """Return the row, after holding it to its columns' types and to the audit's schema."""
    row = extract_metadata(path, STAGED)
    assert list(row) == list(METADATA_COLUMNS)
    for name, column in METADATA_COLUMNS.items():
        if (value := row[name]) is None:
            continue
        kind = PYTHON_TYPES[column.type.removeprefix("list<").removesuffix(">")]
        parts = value if column.type.startswith("list<") else [value]
        assert isinstance(parts, list) and all(type(part) is kind for part in parts), name
    jsonschema.Draft202012Validator(SCHEMA).validate({**row, **JOINED_LATER})
    json.dumps(row, allow_nan=False)
    return row


def ct(**changes):
    """Return a small CT header; keywords replace or, by None, remove attributes."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "2.25.1", "2.25.2", "2.25.3"
    dataset.Rows, dataset.Columns = 4, 6
    for keyword, value in changes.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def written(folder, dataset, syntax=ExplicitVRLittleEndian):
    path = folder / "instance.dcm"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(
        path, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
    )
    return path


def text_written(folder, *elements):
    """Write a CT header with elements whose bytes pydicom would refuse to write: (tag, VR, bytes)."""
    path = written(folder, ct())
    content = path.read_bytes()
    for tag, vr, value in elements:
        value += b" " * (len(value) % 2)
        head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode()
        content += head + len(value).to_bytes(2, "little") + value
    path.write_bytes(content)
    return path


def enhanced(frames=4, *, step=2.5, shear=0.0):
    """Return an Enhanced CT header: pixel measures and orientation shared, positions and rescale per frame."""
    dataset = ct(SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=frames, FrameOfReferenceUID="2.25.4")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [0.5, 0.75], 2.5, step
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    exposure, details, kernel = Dataset(), Dataset(), Dataset()
    exposure.XRayTubeCurrentInmA, exposure.ExposureTimeInms, exposure.ExposureInmAs = 200.5, 750.0, 150.375
    details.KVP, kernel.ConvolutionKernel = 120, "STANDARD"
    shared.CTExposureSequence, shared.CTXRayDetailsSequence = [exposure], [details]
    shared.CTReconstructionSequence = [kernel]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for frame in range(frames):
        place, values, group = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [-10, -20 + shear * frame, 100 + step * frame]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [place], [values]
        groups.append(group)
    # Frames in storage order need not be in spatial order.
    dataset.PerFrameFunctionalGroupsSequence = [groups[0], *reversed(groups[1:])]
    return dataset


# --- columns ------------------------------------------------------------------------------------------------------


def test_columns_have_known_types_and_meanings_and_match_the_schema():
    types = {"string", "int64", "float64", "bool", "list<float64>", "list<string>"}
    assert {column.type for column in METADATA_COLUMNS.values()} == types
    assert all(column.description for column in METADATA_COLUMNS.values())
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert list(SCHEMA["properties"]) == [*METADATA_COLUMNS, *JOINED_LATER] == SCHEMA["required"]
    words = {"string": "string", "int64": "integer", "float64": "number", "bool": "boolean"}
    for name, column in METADATA_COLUMNS.items():
        described = SCHEMA["properties"][name]
        assert described["description"] == f"{column.description}."
        assert described.get("unit", "") == column.unit
        inner = column.type.removeprefix("list<").removesuffix(">")
        stated = described["items"]["type"] if column.type.startswith("list<") else described["type"]
        assert words[inner] in stated


# --- real headers -------------------------------------------------------------------------------------------------


def test_ct_header_gives_exact_typed_values():
    row = row_of(wheel("CT_small.dcm"))
    expected = {
        "path": STAGED,
        "modality": "CT",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "sop_class_name": "CT Image Storage",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "manufacturer": "GE MEDICAL SYSTEMS",
        "manufacturer_model_name": "RHAPSODE",
        "software_versions": ["05"],
        "image_type": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "series_number": 1,
        "acquisition_number": 2,
        "instance_number": 1,
        "patient_position": "FFS",
        "slice_thickness": 5.0,
        "spacing_between_slices": 5.0,
        "pixel_spacing": [0.661468, 0.661468],
        "image_orientation_patient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "image_position_patient": [-158.135803, -179.035797, -75.699997],
        "rows": 128,
        "columns": 128,
        "number_of_frames": None,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": 16,
        "bits_stored": 16,
        "high_bit": 15,
        "pixel_representation": 1,
        "pixel_padding_value": -2000,
        "rescale_slope": 1.0,
        "rescale_intercept": -1024.0,
        "rescale_type": None,
        "kvp": 120.0,
        "x_ray_tube_current": 170.0,
        "exposure_time": 1601.0,
        "exposure": 170.0,
        "convolution_kernel": ["STANDARD"],
        "gantry_detector_tilt": 0.0,
        "lossy_image_compression": None,
        "segments": None,
        "rois": None,
        "referenced_instances": 0,
        "invalid_attributes": [],
    }
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    "name", ["MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_expb.dcm"]
)
def test_encodings_of_one_header_give_one_row(name):
    syntax, same = "transfer_syntax_uid", {}
    reference, row = row_of(wheel("MR_small.dcm")), row_of(wheel(name))
    same = {column for column in METADATA_COLUMNS if row[column] == reference[column]}
    assert set(METADATA_COLUMNS) - same <= {syntax, "sop_instance_uid"}
    assert row["repetition_time"] == 4000.0 and row["echo_time"] == 240.0 and row["rows"] == 64


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("rtplan.dcm", "rows", None),
        ("liver_1frame.dcm", "segments", 1),
        ("liver_1frame.dcm", "modality", "SEG"),
        ("rtdose.dcm", "number_of_frames", 15),
        ("examples_ybr_color.dcm", "samples_per_pixel", 3),
        ("test-SR.dcm", "sop_class_name", "Comprehensive SR Storage"),
        ("JPEG-lossy.dcm", "lossy_image_compression", True),
        ("image_dfl.dcm", "transfer_syntax_uid", "1.2.840.10008.1.2.1.99"),
    ],
)
def test_other_kinds_of_objects_have_their_columns(name, column, value):
    assert row_of(wheel(name))[column] == value


def test_every_instance_of_the_wheel_gives_a_row_or_a_reason():
    rows = 0
    for path in sorted(wheel("CT_small.dcm").parent.rglob("*")):
        if path.is_file():
            try:
                row_of(path)
                slice_attributes(path)
                rows += 1
            except UnreadableInstance as error:
                assert error.reason in (RejectReason.NOT_DICOM, RejectReason.MALFORMED)
            except jsonschema.ValidationError as error:
                # Objects without identity are rejected long before: DICOMDIR and damaged headers.
                assert error.validator == "type" and str(error.absolute_path[0]).endswith("_uid")
    assert rows > 120


def test_every_instance_of_the_shared_data_gives_a_row_or_a_reason():
    if not SHARED.is_dir():
        pytest.skip("the shared data set is not here")
    rows, refused = 0, 0
    for path in sorted(SHARED.rglob("*")):
        if path.is_file() and path.suffix not in (".tsv", ".json", ".csv"):
            try:
                extract_metadata(path, STAGED)
                slice_attributes(path)
                rows += 1
            except UnreadableInstance:
                refused += 1
    assert rows > 800 and refused < 20


# --- built headers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_enhanced_ct_takes_shared_groups_and_first_frame(tmp_path, syntax):
    row = row_of(written(tmp_path, enhanced(), syntax))
    expected = {
        "sop_class_name": "Enhanced CT Image Storage",
        "number_of_frames": 4,
        "pixel_spacing": [0.5, 0.75],
        "slice_thickness": 2.5,
        "spacing_between_slices": 2.5,
        "image_orientation_patient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "image_position_patient": [-10.0, -20.0, 100.0],
        "rescale_slope": 1.0,
        "rescale_intercept": -1024.0,
        "rescale_type": "HU",
        "kvp": 120.0,
        "x_ray_tube_current": 200.5,
        "exposure_time": 750.0,
        "exposure": 150.375,
        "convolution_kernel": ["STANDARD"],
        "transfer_syntax_uid": str(syntax),
        "invalid_attributes": [],
    }
    assert {name: row[name] for name in expected} == expected


def test_enhanced_ct_gives_one_slice_per_frame_and_measures_as_a_volume(tmp_path):
    slices = slice_attributes(written(tmp_path, enhanced(6, shear=1.0)))
    assert [one.frame for one in slices] == list(range(6))
    assert [one.position[2] for one in slices] == [100.0, 112.5, 110.0, 107.5, 105.0, 102.5]
    assert {one.number_of_frames for one in slices} == {6} and {one.sop_uid for one in slices} == {"2.25.3"}
    assert {one.convolution_kernel for one in slices} == {("STANDARD",)}
    result = measure_series(slices, GeometrySettings(isotropic_ratio=9.0))
    assert (result.series_num_instances, result.num_positions, result.z_spacing_mean, result.z_spacing_std) == (
        1,
        6,
        2.5,
        0.0,
    )
    assert set(result.flags) == {
        GeometryFlag.GANTRY_TILT,
        GeometryFlag.MULTI_FRAME,
        GeometryFlag.NON_SQUARE_PIXELS,
    }


@pytest.mark.parametrize(("kernel", "read"), [("B70s", ("B70s",)), (["Br59d", "3"], ("Br59d", "3")), ("", ())])
def test_slices_have_the_convolution_kernel_of_the_header(tmp_path, kernel, read):
    (one,) = slice_attributes(written(tmp_path, ct(ConvolutionKernel=kernel)))
    assert one.convolution_kernel == read and "convolution_kernel" not in one.invalid_attributes


@pytest.mark.parametrize("frames", [3, 2**31 - 1])
def test_frames_without_functional_groups_have_no_position(tmp_path, frames):
    dataset = ct(NumberOfFrames=frames, ImagePositionPatient=[1, 2, 3], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    (only,) = slice_attributes(written(tmp_path, dataset))
    assert only.position is None and only.number_of_frames == frames and only.orientation == (1, 0, 0, 0, 1, 0)


def test_absent_and_empty_values_are_missing_and_not_invalid(tmp_path):
    row = row_of(written(tmp_path, ct(SliceThickness="", PixelSpacing="", Manufacturer="", KVP="")))
    filled = {name for name, value in row.items() if value is not None}
    assert filled == {
        "path", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "modality", "sop_class_uid",
        "sop_class_name", "transfer_syntax_uid", "rows", "columns", "referenced_instances", "invalid_attributes",
    }  # fmt: skip
    assert row["invalid_attributes"] == []


@pytest.mark.parametrize(
    ("tag", "vr", "value", "column"),
    [
        (0x00180050, "DS", b"thin", "slice_thickness"),
        (0x00180050, "DS", b"5.0\\6.0", "slice_thickness"),
        (0x00180050, "DS", b"inf", "slice_thickness"),
        (0x00180050, "DS", b"nan", "slice_thickness"),
        (0x00180050, "DS", b"1_0", "slice_thickness"),
        (0x00200013, "IS", b"1.5", "instance_number"),
        (0x00200013, "IS", b"99999999999999999999", "instance_number"),
        (0x00280030, "DS", b"0.5", "pixel_spacing"),
        (0x00280030, "DS", b"0.5\\", "pixel_spacing"),
        (0x00200032, "DS", b"1\\2\\x", "image_position_patient"),
        (0x00200037, "DS", b"1\\0\\0\\0\\1", "image_orientation_patient"),
        (0x00280100, "US", b"\x10\x00\x10\x00", "bits_allocated"),
        (0x00280101, "UL", b"\x10\x00", "bits_stored"),
        (0x00080070, "LO", b"A\\B", "manufacturer"),
        (0x00280301, "CS", b"MAYBE", "burned_in_annotation"),
    ],
)
def test_value_that_is_not_of_its_type_is_missing_and_named(tmp_path, tag, vr, value, column):
    row = row_of(text_written(tmp_path, (tag, vr, value)))
    assert row[column] is None and row["invalid_attributes"] == [column]


@pytest.mark.parametrize(
    ("tag", "vr", "value", "column", "expected"),
    [
        (0x00180050, "DS", b" 2.50 \x00", "slice_thickness", 2.5),
        (0x00180050, "DS", b"-1e-1", "slice_thickness", -0.1),
        (0x00200013, "IS", b"7.0", "instance_number", 7),
        (0x00180050, "LO", b"2.5", "slice_thickness", 2.5),
        (0x00181020, "LO", b"A\\B ", "software_versions", ["A", "B"]),
        (0x00080008, "CS", b"DERIVED\\\\AXIAL", "image_type", ["DERIVED", "", "AXIAL"]),
        (0x00281050, "DS", b"40\\ 400", "window_center", [40.0, 400.0]),
        (0x00280120, "US", b"\x30\xf8", "pixel_padding_value", 63536),
        (0x00280120, "SS", b"\x30\xf8", "pixel_padding_value", -2000),
    ],
)
def test_values_that_differ_in_form_alone_are_read(tmp_path, tag, vr, value, column, expected):
    row = row_of(text_written(tmp_path, (tag, vr, value)))
    assert row[column] == expected and row["invalid_attributes"] == []


def test_implicit_padding_value_takes_its_sign_from_pixel_representation(tmp_path):
    for representation, expected in ((0, 63536), (1, -2000)):
        dataset = ct(PixelRepresentation=representation)
        dataset.add_new(0x00280120, "SS" if representation else "US", expected)
        assert row_of(written(tmp_path, dataset, ImplicitVRLittleEndian))["pixel_padding_value"] == expected


@pytest.mark.parametrize(
    ("charset", "text"),
    [("ISO_IR 192", "Schädel 頭部"), ("ISO_IR 100", "Schädel"), ("GB18030", "頭部一"), (None, "Head")],
)
def test_text_is_decoded_by_its_character_set(tmp_path, charset, text):
    dataset = ct(SeriesDescription=text)
    if charset:
        dataset.SpecificCharacterSet = charset
    assert row_of(written(tmp_path, dataset))["series_description"] == text


def test_regions_of_interest_and_segments_are_counted(tmp_path):
    row = row_of(written(tmp_path, ct(StructureSetROISequence=[Dataset(), Dataset()], SegmentSequence=[Dataset()])))
    assert (row["rois"], row["segments"]) == (2, 1)
    empty = row_of(written(tmp_path, ct(StructureSetROISequence=[])))
    assert (empty["rois"], empty["segments"]) == (0, None)


def test_references_are_counted_once_at_any_depth(tmp_path):
    def reference(uid):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
        return item

    series = Dataset()
    series.SeriesInstanceUID = "2.25.9"
    series.ReferencedInstanceSequence = [reference("2.25.10"), reference("2.25.11")]
    dataset = ct(ReferencedSeriesSequence=[series], SourceImageSequence=[reference("2.25.11"), reference("2.25.12")])
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        assert row_of(written(tmp_path, dataset, syntax))["referenced_instances"] == 3


def test_slice_attributes_name_what_the_header_holds_in_unusable_form(tmp_path):
    (one,) = slice_attributes(text_written(tmp_path, (0x00200032, "DS", b"1\\2\\x"), (0x00280030, "DS", b"0.5\\0.6")))
    assert one.position is None and one.pixel_spacing == (0.5, 0.6)
    assert one.invalid_attributes == ("position",)


def test_what_is_no_dicom_is_refused_without_its_content_or_path(tmp_path):
    path = tmp_path / "DOE_JOHN.txt"
    path.write_text("DOE^JOHN 1970-01-01")
    for function in (lambda: extract_metadata(path, STAGED), lambda: slice_attributes(path)):
        with pytest.raises(UnreadableInstance) as caught:
            function()
        assert caught.value.reason is RejectReason.NOT_DICOM and "DOE" not in str(caught.value)


def test_sequence_cut_short_is_malformed_or_named(tmp_path):
    path = written(tmp_path, enhanced())
    content = path.read_bytes()
    outcomes = set()
    for end in range(400, len(content), 7):
        path.write_bytes(content[:end])
        try:
            extract_metadata(path, STAGED)
            slice_attributes(path)
            outcomes.add("row")
        except UnreadableInstance as error:
            outcomes.add(error.reason)
    assert outcomes <= {"row", RejectReason.MALFORMED} and "row" in outcomes


def test_missing_file_is_a_broken_run_and_not_bad_data(tmp_path):
    with pytest.raises(FileNotFoundError):
        extract_metadata(tmp_path / "absent.dcm", STAGED)


def test_pixel_data_are_not_read(tmp_path):
    dataset = pydicom.dcmread(wheel("CT_small.dcm"))
    path = tmp_path / "instance.dcm"
    dataset.save_as(path)
    content = path.read_bytes()
    cut = content[: content.index(b"\xe0\x7f\x10\x00") + 12]
    path.write_bytes(cut)
    assert row_of(path)["rows"] == 128


def test_damaged_headers_give_rows_or_are_unreadable_and_never_end_the_job(tmp_path, wheel_files):
    source = next(path for path in wheel_files if path.name == "CT_small.dcm").read_bytes()
    chance = random.Random(11)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(source[:60_000])
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(140, 6_000)] = chance.randrange(256)
        path = tmp_path / "damaged.dcm"
        path.write_bytes(damaged)
        try:
            outcomes.add(type(extract_metadata(path, "x")).__name__)
            slice_attributes(path)
        except UnreadableInstance:
            outcomes.add("unreadable")
    assert outcomes == {"dict", "unreadable"}


# --- frames of enhanced and legacy-converted objects --------------------------------------------------------------


def test_frame_type_and_frame_content_take_the_place_of_image_type_and_acquisition(tmp_path):
    dataset = enhanced(4)
    for frame, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        kind, content = Dataset(), Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME" if frame else "LOCALIZER", "NONE"]
        content.FrameAcquisitionNumber, content.TemporalPositionIndex = 7, 1 + frame % 2
        group.CTImageFrameTypeSequence, group.FrameContentSequence = [kind], [content]
    slices = slice_attributes(written(tmp_path, dataset))
    assert [one.image_type[2] for one in slices] == ["LOCALIZER", "VOLUME", "VOLUME", "VOLUME"]
    assert [(one.acquisition_number, one.temporal_position) for one in slices] == [(7, 1), (7, 2)] * 2
    result = measure_series(slices, GeometrySettings())
    assert [(one.kind, one.frame_numbers) for one in result.stacks] == [
        ("volume", (4, 2)),
        ("single_slice", (3,)),
        ("localizer", (1,)),
    ]
    assert {GeometryFlag.LOCALIZER, GeometryFlag.SEVERAL_TEMPORAL_POSITIONS} <= set(result.flags)


def test_legacy_converted_frames_take_what_their_conversion_left_unassigned(tmp_path):
    dataset = enhanced(3)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.2"
    for group in dataset.PerFrameFunctionalGroupsSequence:
        kept = Dataset()
        kept.GantryDetectorTilt, kept.AcquisitionNumber = 12.5, 3
        group.UnassignedPerFrameConvertedAttributesSequence = [kept]
    shared = Dataset()
    shared.PixelPaddingValue = 0
    dataset.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = [shared]
    slices = slice_attributes(written(tmp_path, dataset))
    assert {(one.gantry_tilt, one.acquisition_number, one.pixel_padding_value) for one in slices} == {(12.5, 3, 0)}
    del dataset.PerFrameFunctionalGroupsSequence[1].UnassignedPerFrameConvertedAttributesSequence
    assert [one.gantry_tilt for one in slice_attributes(written(tmp_path, dataset))] == [12.5, None, 12.5]
