"""What is filled in one instance: findings, known places, shared boxes, labels; and what is looked at again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless
from test_known_places import image, region
from test_pixel_edit import float_dataset, noise
from test_pixel_read import dataset, saved

from phi_deid_pipeline import pipeline
from phi_deid_pipeline.boxes import grown
from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.pipeline import gather_boxes
from phi_deid_pipeline.pixel_codecs import decode_frame, encode_frame
from phi_deid_pipeline.pixel_read import open_pixels
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box, InstanceFindings, Manifest, Status
from phi_deid_pipeline.redaction import RedactionSettings, frames_to_reread, label_of, redact_instance
from record_io import from_json

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
BOX = Box(10, 12, 9, 5)
WIDE = Box(20, 20, 40, 12)


def found(**more) -> InstanceFindings:
    return InstanceFindings("1.2", "a", "read", "", 1, 1, ("ppocr",), (), **more)


def redacted(path, seen: InstanceFindings, settings: RedactionSettings | None = None, **more):
    with read_instance(path) as source:
        return redact_instance(path, source, seen, settings or RedactionSettings(), "PXYZ", **more)


def test_instance_without_text_is_untouched(tmp_path):
    made = redacted(saved(dataset(noise((60, 80), 0, 9, np.uint8)), tmp_path / "a"), found())
    assert (made.kind, made.replacement) == ("untouched", None)


def test_boxes_of_findings_groups_and_second_looks_are_filled(tmp_path):
    path = saved(dataset(noise((60, 80), 0, 9, np.uint8)), tmp_path / "a")
    made = redacted(path, found(fills=(BOX,)), shared=[(Box(40, 40, 5, 5), "name")], further=[(0, WIDE)])
    assert made.kind == "redacted"
    assert {box for _, box in made.replacement.boxes} == {grown(b, 60, 80) for b in (BOX, Box(40, 40, 5, 5), WIDE)}


def with_overlay(pixels: np.ndarray, plane: np.ndarray, group: int = 0x6000, position: int = 12) -> Dataset:
    """Return an instance of 12 stored bits with a plane in the bit above, and an overlay that says so."""
    words = pixels.view(f"u{pixels.itemsize}") & 0x0FFF
    signs = words >> 11 & 1 if pixels.dtype.kind == "i" else 0
    ds = dataset((words | signs * 0xE000 | plane.astype("u2") << 12).view(pixels.dtype), stored=12)
    ds.add_new(group << 16 | 0x0100, "US", 16)
    ds.add_new(group << 16 | 0x0102, "US", position)
    return ds


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("group", [0x6000, 0x601E])
@pytest.mark.parametrize(("low", "dtype"), [(0, np.uint16), (-2000, np.int16)])
def test_an_overlay_in_unused_bits_goes_without_a_finding(tmp_path, low, dtype, group, syntax):
    pixels = noise((3, 60, 80), low, 2000, dtype)
    plane = np.zeros((3, 60, 80), bool)
    plane[2, 5:7, 5:9] = True  # too small to be read, and in the last frame alone
    ds = with_overlay(pixels, plane, group)
    if syntax == ExplicitVRBigEndian:
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    made = redacted(saved(ds, tmp_path / "a"), found())
    assert (made.kind, made.replacement.boxes) == ("redacted", ())
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    after = np.frombuffer(made.replacement.value, np.dtype(dtype).newbyteorder(order)).reshape(pixels.shape)
    assert np.array_equal(after, pixels)


def test_pixels_without_a_bit_of_an_overlay_are_untouched(tmp_path):
    pixels, nothing = noise((60, 80), 0, 2000, np.uint16), np.zeros((60, 80), bool)
    assert redacted(saved(with_overlay(pixels, nothing), tmp_path / "a"), found()).kind == "untouched"
    plane = ~nothing
    assert redacted(saved(with_overlay(pixels, plane, position=0), tmp_path / "b"), found()).kind == "untouched"


def test_an_overlay_in_unused_bits_of_compressed_pixels_goes_too(tmp_path):
    pixels, plane = noise((60, 80), 0, 2000, np.uint16), np.ones((60, 80), bool)
    ds = with_overlay(pixels, plane)
    layout = replace(open_pixels(saved(ds, tmp_path / "a")).layout, transfer_syntax_uid=RLELossless)
    ds.PixelData = encapsulate([encode_frame(np.frombuffer(ds.PixelData, "u2").reshape(60, 80), layout)])
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = RLELossless
    made = redacted(saved(ds, tmp_path / "b"), found())
    assert (made.kind, made.replacement.encapsulated) == ("redacted", True)
    assert np.array_equal(decode_frame(made.replacement.value[0], layout), pixels)


def test_what_lies_outside_ultrasound_regions_is_filled_on_request(tmp_path):
    ds = image(SequenceOfUltrasoundRegions=[region(0, 10, 79, 59)])
    ds.PixelData = noise((60, 80), 1, 200, np.uint8).tobytes()
    path = saved(ds, tmp_path / "a")
    assert redacted(path, found()).kind == "untouched"
    made = redacted(path, found(), RedactionSettings(outside_ultrasound_regions=True))
    assert made.replacement.boxes == ((-1, Box(0, 0, 80, 10)),)
    after = np.frombuffer(made.replacement.value, np.uint8).reshape(60, 80)
    assert (after[:10] == 0).all() and np.array_equal(after[10:], noise((60, 80), 1, 200, np.uint8)[10:])


def test_known_device_is_filled_and_can_be_left_out(tmp_path):
    ds = dataset(noise((480, 640), 1, 200, np.uint8))
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", "G.E. Medical Systems", "LOGIQ 700"
    path = saved(ds, tmp_path / "a")
    assert len(redacted(path, found()).replacement.boxes) == 2
    assert redacted(path, found(), RedactionSettings(known_places=False)).kind == "untouched"


@pytest.mark.parametrize(
    ("label", "category", "text"),
    [
        ("pseudonym", "name", "PXYZ"),
        ("pseudonym", "record_number", "PXYZ"),
        ("pseudonym", "institution", "INSTITUTION"),
        ("category", "record_number", "RECORD NUMBER"),
    ],
)
def test_label_fits_the_category(label, category, text):
    assert label_of(category, label, "PXYZ") == text


def test_labels_are_drawn_for_text_with_a_category_alone(tmp_path):
    path = saved(dataset(noise((60, 80), 1, 200, np.uint8)), tmp_path / "a")
    for category, colours in (("name", 2), ("", 1)):
        seen = found(fills=(WIDE,), fill_categories=(category,))
        made = redacted(path, seen, RedactionSettings(label="pseudonym", label_bold=True))
        ((_, box),) = made.replacement.boxes
        after = np.frombuffer(made.replacement.value, np.uint8).reshape(60, 80)
        assert len(np.unique(after[box.y : box.y + box.h, box.x : box.x + box.w])) == colours


def test_settings_come_from_the_config_and_unknown_ones_are_refused():
    settings = RedactionSettings.from_config({"fill": "value", "fill_value": 7, "allow_list": ["en", "de"]})
    assert (settings.fill, settings.fill_value, settings.allow_list) == ("value", 7, ("en", "de"))
    with pytest.raises(ConfigError, match="colour"):
        RedactionSettings.from_config({"colour": 1})
    with pytest.raises(ConfigError, match="fill"):
        RedactionSettings(fill="blur")


def test_frames_are_chosen_by_hash_and_share_alone():
    assert frames_to_reread("2.25.1", 50, 0.0) == []
    assert frames_to_reread("2.25.1", 50, 1.0) == list(range(50))
    few, more = (set(frames_to_reread("2.25.1", 2000, share)) for share in (0.05, 0.2))
    assert few < more and 60 < len(few) < 140
    assert frames_to_reread("2.25.2", 2000, 0.05) != sorted(few)


def test_groups_share_the_boxes_of_their_instances():
    rows = [
        found(fills=(BOX,), fill_categories=("name",), group="g1"),
        found(frame_fills=((3, WIDE),), frame_fill_categories=("date",), group="g1"),
        found(fills=(WIDE,), fill_categories=("",), group="g2"),
        found(fills=(BOX,), fill_categories=("",)),
    ]
    shared = gather_boxes(rows)
    assert list(shared) == ["g1", "g2"]
    assert [(Box(**row["box"]), row["category"]) for row in shared["g1"]] == [(BOX, "name"), (WIDE, "date")]


def deidentified(tmp_path, datasets, fills_of: dict[int, tuple[Box, ...]]):
    """Return records and written instances of one series whose findings fill boxes, by Instance Number."""
    source, private, staging = (tmp_path / name for name in ("input", "private", "staging"))
    source.mkdir()
    for number, ds in enumerate(datasets):
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = "1.2.3.5", "1.2.3.6", number
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.6.{number + 1}"
        ds.PatientName, ds.PatientID = "Quixotte^Marvin", "MRN777123"
        saved(ds, source / f"{number}.dcm")
    salt = bytes(32)
    pipeline.scan_input(source, private, salt=salt, settings={}, patients={}, decisions=[], threads=1)
    (path,) = (private / "manifests").glob("*.json")
    manifest = from_json(path.read_bytes(), Manifest)
    (series,) = manifest.series
    seen = [
        InstanceFindings(i.sop_uid, i.path, "read", "", 1, 1, ("ppocr",), (), fills_of.get(int(i.path[0]), ()))
        for i in series.instances
    ]
    lexicons = {series.patient: (private / "lexicons" / f"{series.patient}.json").read_text()}
    policy = load_policy("hipaa_safe_harbor").to_json()
    records = list(pipeline.deidentify_series(manifest, seen, lexicons, policy, salt, source, staging))
    records.sort(key=lambda record: record.input_path)
    checked = pipeline.verify_series(
        manifest, records, {}, lexicons, policy, source, staging, settings={"dciodvfy": "none"}
    )[0]  # fmt: skip
    assert all("pixel_data" in verdict.checks for verdict in checked)
    problems = {one.detail for verdict in checked for one in verdict.residuals if one.check == "pixel_data"}
    return records, [pydicom.dcmread(staging / r.staged_path) if r.staged_path else None for r in records], problems


def test_range_of_a_series_goes_from_all_of_its_instances_where_one_is_redacted(tmp_path):
    def series():
        made = [dataset(noise((60, 80), 0, 99, np.uint8), Modality="CT") for _ in range(2)]
        for ds in made:
            ds.SmallestPixelValueInSeries, ds.LargestPixelValueInSeries, ds.LargestImagePixelValue = 1, 98, 98
        return made

    for name, fills in (("one", {0: (BOX,)}), ("none", {})):
        (tmp_path / name).mkdir()
        records, written, _ = deidentified(tmp_path / name, series(), fills)
        assert [record.status for record in records] == [Status.RELEASED] * 2
        for record, ds in zip(records, written, strict=True):
            assert ("LargestPixelValueInSeries" in ds) is ("SmallestPixelValueInSeries" in ds) is (name == "none")
            rows = {row.path for row in record.tags_removed}
            assert ({"00280108", "00280109"} <= rows) is (name == "one")
        assert written[1].LargestImagePixelValue == 98
        assert int(written[0].LargestImagePixelValue) == int(written[0].pixel_array.max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_floats_are_filled_with_what_shows_darkest_and_all_else_is_the_same(tmp_path, dtype, photometric):
    pixels = noise((60, 80), 5, 90, dtype)
    pixels[:9], pixels[50, 50:53] = np.finfo(dtype).min, (np.nan, np.inf, -np.inf)
    pixels[20, 20] = 91
    ds = float_dataset(pixels, PhotometricInterpretation=photometric, Modality="MR", sop_class=PARAMETRIC_MAP)
    keyword = "FloatPixel" if dtype == np.float32 else "DoubleFloatPixel"
    setattr(ds, f"{keyword}PaddingValue", float(np.finfo(dtype).min))
    (record,), (written,), problems = deidentified(tmp_path, [ds], {0: (BOX,)})
    assert (record.status, record.pixel_data, problems) == (Status.RELEASED, "redacted", set())
    assert "PixelData" not in written and ("OF" if dtype == np.float32 else "OD") == written[f"{keyword}Data"].VR
    assert written[f"{keyword}PaddingValue"].value == float(np.finfo(dtype).min)
    after = np.frombuffer(written[f"{keyword}Data"].value, dtype).reshape(60, 80).copy()
    box = grown(BOX, 60, 80)
    inside = np.s_[box.y : box.y + box.h, box.x : box.x + box.w]
    assert (after[inside] == (91 if photometric == "MONOCHROME1" else np.finfo(dtype).min)).all()
    after[inside] = pixels[inside]
    assert np.array_equal(after, pixels, equal_nan=True)
