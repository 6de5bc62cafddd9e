"""Opening pixels: stored values as pydicom decodes them, planes that hide text, a key by content, absurd headers refused."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from phi_deid_pipeline import text_reading
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.burned_in_text.read import ReaderError
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.pixel_codecs import BEHIND_FRAMES, J2K, JPEG_LS, RLE, PixelFormat, encode_frame
from phi_deid_pipeline.pixel_read import displayed, open_pixels, within_reach
from phi_deid_pipeline.records import RejectReason
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader, read_instance_text, reader_digest

needs_models = pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def dataset(
    pixels: np.ndarray, *, stored: int = 0, sop_class: str = CT, syntax=ExplicitVRLittleEndian, **more
) -> Dataset:
    """Return an instance of one frame (rows, columns), colour (rows, columns, 3) or frames (n, rows, columns)."""
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4"
    ds.Rows, ds.Columns = pixels.shape[:2] if colour or pixels.ndim == 2 else pixels.shape[1:]
    if pixels.ndim == 3 and not colour:
        ds.NumberOfFrames = len(pixels)
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = pixels.dtype.itemsize * 8
    ds.BitsStored = stored or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    value = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    ds.add_new(0x7FE00010, "OB" if ds.BitsAllocated == 8 else "OW", value + b"\x00" * (len(value) % 2))
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def saved(ds: Dataset, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def values(path: Path) -> list[np.ndarray]:
    with open_pixels(path) as source:
        return [frame.values for frame in source.frames()]


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "JPEG2000.dcm",
        "SC_rgb_small_odd_big_endian.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jpeg_gdcm.dcm",
        "SC_jpeg_no_color_transform.dcm", "MR_small_jpeg_ls_lossless.dcm", "examples_palette.dcm",
        "examples_ybr_color.dcm", "rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm",
    ],
)  # fmt: skip
def test_frames_of_wheel_files_equal_the_raw_values_of_pydicom(name):
    path = WHEEL / name
    if not path.exists():
        pytest.skip("not in this pydicom wheel")
    try:
        expected = pixel_array(path, raw=True)
    except RuntimeError:
        pytest.skip("pydicom has no decoder for this transfer syntax here")
    with open_pixels(path) as source:
        frames = [frame.values for frame in source.frames()]
    expected = expected[None] if len(frames) == 1 else expected
    assert len(frames) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(frames, expected, strict=True))


def test_signed_12_bit_values_are_sign_extended(tmp_path):
    words = np.array([[0x0FFF, 0x0800] * 10] * 20, np.uint16)
    path = saved(dataset(words, stored=12, PixelRepresentation=1), tmp_path / "a")
    assert np.array_equal(values(path)[0], np.array([[-1, -2048] * 10] * 20, np.int16))


def test_text_in_unused_high_bits_is_a_plane_and_extended_sign_is_none(tmp_path):
    words = np.full((20, 20), 100, np.uint16)
    words[5, 5:9] |= 0x4000
    with open_pixels(saved(dataset(words, stored=12), tmp_path / "a")) as source:
        (frame,) = source.frames()
    assert frame.high is not None and np.flatnonzero(frame.high).tolist() == [105, 106, 107, 108]
    assert (frame.values == 100).all()
    negative = np.full((20, 20), -5, np.int16)
    negative[0, 0] = 7
    with open_pixels(saved(dataset(negative, stored=12), tmp_path / "b")) as source:
        (frame,) = source.frames()
    assert frame.high is None


def test_big_endian_palette_is_shown_as_bright_as_little_endian(tmp_path):
    index = np.arange(400, dtype=np.uint8).reshape(20, 20) % 4
    shown = []
    for syntax, order in ((ExplicitVRLittleEndian, "<"), (ExplicitVRBigEndian, ">")):
        ds = dataset(index, sop_class=SECONDARY_CAPTURE, syntax=syntax, PhotometricInterpretation="PALETTE COLOR")
        for colour in ("Red", "Green", "Blue"):
            setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
            table = np.array([0, 0x5500, 0xAA00, 0xFF00], np.dtype("u2").newbyteorder(order)).tobytes()
            setattr(ds, f"{colour}PaletteColorLookupTableData", table)
        with open_pixels(saved(ds, tmp_path / syntax.name.replace(" ", ""))) as source:
            shown.append(displayed(source, next(iter(source.frames()))))
    assert shown[0].max() == 255
    assert np.array_equal(shown[0], shown[1])


def test_content_key_changes_with_pixels_and_window_but_not_with_the_patient(tmp_path):
    pixels = np.arange(1024, dtype=np.int16).reshape(32, 32)

    def key(name: str, array: np.ndarray = pixels, **more) -> str:
        with open_pixels(saved(dataset(array, **more), tmp_path / name)) as source:
            return source.content_key

    first = key("a")
    assert key("b", PatientName="Doe^Jane", StudyDate="20200101") == first
    assert len({first, key("c", pixels + 1), key("d", WindowCenter=40, WindowWidth=400), key("e", stored=12)}) == 4


@pytest.mark.parametrize("more", [{"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 2_000_000_000}, {"Rows": 0}])
def test_absurd_sizes_are_refused_before_anything_is_allocated(tmp_path, more):
    path = saved(dataset(np.zeros((32, 32), np.uint16), **more), tmp_path / "a")
    with pytest.raises(UnreadableInstance) as caught:
        open_pixels(path)
    assert caught.value.reason is RejectReason.PIXELS_UNDECODABLE


def test_pixels_whose_high_bit_is_elsewhere_are_refused(tmp_path):
    """Left-justified values of old files: their low bits are no picture, their high bits no overlay."""
    path = saved(dataset(np.full((32, 32), 500 << 4, np.uint16), BitsStored=12, HighBit=15), tmp_path / "a")
    with pytest.raises(UnreadableInstance, match="high bit"):
        open_pixels(path)
    assert read_instance_text(path, ReaderSettings()).status == "undecodable"


def test_absurd_size_of_an_encapsulated_frame_is_refused_before_decoding(tmp_path):
    ds = pydicom.dcmread(WHEEL / "MR_small_RLE.dcm")
    ds.Rows = ds.Columns = 65535
    path = saved(ds, tmp_path / "a")
    with open_pixels(path) as source, pytest.raises(UnreadableInstance):
        next(iter(source.frames()))
    assert read_instance_text(path, ReaderSettings()).status == "undecodable"


def test_instances_without_pixels_and_not_dicom_have_their_status(tmp_path):
    ds = dataset(np.zeros((32, 32), np.uint8))
    del ds.PixelData
    settings = ReaderSettings()
    assert read_instance_text(saved(ds, tmp_path / "a"), settings).status == "no_pixels"
    (tmp_path / "b").write_bytes(b"no such thing" * 40)
    assert read_instance_text(tmp_path / "b", settings).status == "undecodable"
    document = dataset(np.zeros((32, 32), np.uint8))
    del document.PixelData
    document.EncapsulatedDocument = b"%PDF"
    reading = read_instance_text(saved(document, tmp_path / "c"), settings)
    assert (reading.status, reading.detail) == ("no_pixels", "encapsulated document, replaced by an empty one")


@pytest.mark.parametrize(
    ("sop_class", "shape", "detail"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.4", (32, 32), "segmentation"),
        ("1.2.840.10008.5.1.4.1.1.481.2", (32, 32), "dose grid"),
        (CT, (10, 63), "sides under 16 and 64 pixels"),
    ],
)
def test_label_images_doses_and_tiny_images_are_skipped_with_a_reason(tmp_path, sop_class, shape, detail):
    path = saved(dataset(np.ones(shape, np.uint8), sop_class=sop_class), tmp_path / "a")
    reading = read_instance_text(path, ReaderSettings())
    assert (reading.status, reading.detail, reading.regions) == ("skipped", detail, ())


def test_without_any_reader_nothing_is_released(tmp_path):
    path = saved(dataset(np.arange(4096, dtype=np.uint16).reshape(64, 64)), tmp_path / "a")
    assert read_instance_text(path, ReaderSettings(readers=())).status == "undecodable"


def test_reader_digest_follows_the_settings():
    assert reader_digest(ReaderSettings()) == reader_digest(ReaderSettings())
    assert reader_digest(ReaderSettings()) != reader_digest(ReaderSettings(min_confidence=0.6))


@pytest.mark.parametrize("module", text_reading.READING_MODULES)
def test_code_digest_follows_each_reading_module_but_not_its_comments(tmp_path, module):
    package = Path(text_reading.__file__).parent
    for name in text_reading.READING_MODULES:
        copy = tmp_path / f"{name}.py"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes((package / f"{name}.py").read_bytes())
    digest = text_reading._code_digest.__wrapped__
    before = digest(tmp_path)
    changed = tmp_path / f"{module}.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    assert digest(tmp_path) == before
    changed.write_text(changed.read_text(encoding="utf-8") + "FURTHER = 1\n", encoding="utf-8")
    assert digest(tmp_path) != before


@needs_models
def test_a_file_that_is_not_the_one_that_was_scanned_is_not_taken_for_read(tmp_path):
    path, other = (saved(dataset(text_image(line)), tmp_path / line) for line in ("SCANNED", "OTHER"))
    reader, store = TextReader(ReaderSettings(), {path: sha256_of(path)}), {}
    assert reader.read(path, store.get, store.__setitem__).status == "read"
    path.write_bytes(other.read_bytes())
    changed = reader.read(path, store.get, store.__setitem__)
    assert (changed.status, changed.detail, changed.regions) == ("undecodable", "changed_while_read", ())
    assert len(store) == 1


def test_store_answers_for_the_same_picture_with_another_header(tmp_path):
    store: dict = {}
    reader = TextReader(ReaderSettings())
    pixels = text_image("SMITH 1234")
    first = reader.read(saved(dataset(pixels), tmp_path / "a"), store.get, store.__setitem__)
    (key,) = store
    marker = first.__class__(**{f: getattr(first, f) for f in first.__slots__} | {"detail": "from the store"})
    store[key] = marker
    other = saved(dataset(pixels, PatientName="Doe^Jane"), tmp_path / "b")
    assert reader.read(other, store.get, store.__setitem__) == marker
    assert (first.rows, first.columns) == pixels.shape and first.regions


def text_image(*lines: str, rows: int = 120, columns: int = 220) -> np.ndarray:
    import cv2

    image = np.zeros((rows, columns), np.uint8)
    for number, line in enumerate(lines):
        cv2.putText(image, line, (10, 40 + 50 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 1, cv2.LINE_AA)
    return image


@needs_models
def test_every_frame_is_looked_at_and_identical_ones_share_a_reading(tmp_path):
    plain, named, moved = text_image("PHILIPS"), text_image("PHILIPS", "SMITH"), text_image("DRJONES")
    frames = np.stack([plain, plain, named, plain, moved])
    reading = read_instance_text(saved(dataset(frames), tmp_path / "a"), ReaderSettings())
    assert (reading.frames, reading.frames_read) == (5, 5)
    assert [(r.frame, r.text) for r in reading.regions] == [(0, "PHILIPS"), (2, "SMITH"), (4, "DRJONES")]


@needs_models
def test_frames_to_sample_looks_at_some_frames_only(tmp_path):
    frames = np.stack([text_image("PHILIPS")] * 9)
    reading = read_instance_text(saved(dataset(frames), tmp_path / "a"), ReaderSettings(frames_to_sample=3))
    assert (reading.frames, reading.frames_read) == (9, 3)


@needs_models
def test_text_in_overlay_and_in_high_bits_is_read_with_its_plane(tmp_path):
    ink = text_image("SMITH 1234") > 128
    words = np.random.default_rng(3).integers(90, 110, ink.shape).astype(np.uint16)
    hidden = words | (ink.astype(np.uint16) << 13)
    reading = read_instance_text(saved(dataset(hidden, stored=12), tmp_path / "a"), ReaderSettings())
    assert {(r.plane, r.text.replace(" ", "")) for r in reading.regions} == {("high bits", "SMITH1234")}
    ds = dataset(words)
    ds.add_new(0x60000010, "US", ink.shape[0])
    ds.add_new(0x60000011, "US", ink.shape[1])
    ds.add_new(0x60000050, "SS", [1, 1])
    ds.add_new(0x60000100, "US", 1)
    ds.add_new(0x60003000, "OW", np.packbits(ink.reshape(-1), bitorder="little").tobytes())
    reading = read_instance_text(saved(ds, tmp_path / "b"), ReaderSettings())
    assert {(r.plane, r.text.replace(" ", "")) for r in reading.regions} == {("overlay 6000", "SMITH1234")}


def test_fragments_without_offset_table_are_joined_to_frames(tmp_path):
    if not (SHARED / "cornerstone3D").exists():
        pytest.skip("shared data are not there")
    (path,) = SHARED.rglob("CT0012.fragmented_no_bot_jpeg_baseline.51.dcm")
    frames = values(path)
    assert len(frames) == 2 and all(frame.std() > 0 for frame in frames)


def test_truncated_native_pixels_are_refused(tmp_path):
    data = bytearray(saved(dataset(np.zeros((64, 64), np.uint16)), tmp_path / "a").read_bytes())
    place = data.rindex(b"\xe0\x7f\x10\x00OW")
    data[place + 8 : place + 12] = struct.pack("<I", 4096)
    (tmp_path / "b").write_bytes(bytes(data[: place + 12 + 4096]))
    with pytest.raises(UnreadableInstance) as caught:
        open_pixels(tmp_path / "b")
    assert caught.value.reason is RejectReason.PIXELS_UNDECODABLE


def undecodable(ds: Dataset, path: Path) -> str:
    reading = read_instance_text(saved(ds, path), ReaderSettings())
    return reading.detail if reading.status == "undecodable" else reading.status


def test_native_pixel_data_behind_the_declared_frames_are_refused_and_zeros_pass(tmp_path):
    frame = np.full((33, 33), 20, np.uint8)
    ds = dataset(frame)
    ds.PixelData = frame.tobytes() + b"\x07"  # even length
    assert undecodable(ds, tmp_path / "a") == "read"
    ds.PixelData = frame.tobytes() + b"\x07" + bytes(200)
    assert undecodable(ds, tmp_path / "b") == "read"
    ds.PixelData = frame.tobytes() + b"\x07\x00\x01"
    assert undecodable(ds, tmp_path / "c") == BEHIND_FRAMES
    ds.PixelData = frame.tobytes() + frame.tobytes()
    assert undecodable(ds, tmp_path / "d") == BEHIND_FRAMES


def encoded(pixels: np.ndarray, syntax: str) -> bytes:
    rows, columns = pixels.shape
    layout = PixelFormat(syntax, True, rows, columns, 1, 1, "MONOCHROME2", 0, 8, 8, 7, False)
    return encode_frame(pixels, layout)


def compressed(pixels: np.ndarray, syntax: str, frames: list[bytes], *, table: bool) -> Dataset:
    ds = dataset(pixels, sop_class=SECONDARY_CAPTURE, syntax=syntax)
    ds.PixelData = encapsulate(frames, has_bot=table)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def jpeg(pixels: np.ndarray) -> bytes:
    stream = imagecodecs.jpeg8_encode(pixels)
    return stream + b"\x00" * (len(stream) % 2)


STREAMS = {
    RLE: lambda pixels: encoded(pixels, RLE),
    JPEG_LS: lambda pixels: encoded(pixels, JPEG_LS),
    J2K: lambda pixels: encoded(pixels, J2K),
    "1.2.840.10008.1.2.4.50": jpeg,
}


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("syntax", sorted(STREAMS))
def test_encapsulated_frames_behind_the_declared_ones_are_refused(tmp_path, syntax, table):
    quiet = np.full((64, 64), 20, np.uint8)
    loud = np.random.default_rng(4).integers(0, 255, (64, 64)).astype(np.uint8)
    one, other = STREAMS[syntax](quiet), STREAMS[syntax](loud)
    assert undecodable(compressed(quiet, syntax, [one], table=table), tmp_path / "a") == "read"
    assert undecodable(compressed(quiet, syntax, [one, other], table=table), tmp_path / "b") == BEHIND_FRAMES
    assert undecodable(compressed(quiet, syntax, [one + other], table=table), tmp_path / "c") == BEHIND_FRAMES
    two = compressed(quiet, syntax, [one, one], table=table)
    two.NumberOfFrames = 2
    assert undecodable(two, tmp_path / "d") == "read"
    two = compressed(quiet, syntax, [one, one, other], table=table)
    two.NumberOfFrames = 2
    assert undecodable(two, tmp_path / "e") not in ("read", "skipped")


def test_empty_fragments_behind_the_last_frame_pass(tmp_path):
    quiet = np.full((64, 64), 20, np.uint8)
    ds = compressed(quiet, RLE, [encoded(quiet, RLE)], table=True)
    ds.PixelData += struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    assert undecodable(ds, tmp_path / "a") == "read"


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
@pytest.mark.parametrize("empty", [True, False])
def test_more_than_one_element_of_pixel_data_is_refused(tmp_path, keyword, empty):
    ds = dataset(np.full((32, 32), 20, np.uint8))
    setattr(ds, keyword, np.ones((32, 32), "f4" if keyword == "FloatPixelData" else "f8").tobytes())
    if empty:
        ds.PixelData = b""
    assert undecodable(ds, tmp_path / "a") == "more than one element of pixel data"


@pytest.mark.parametrize(
    ("far", "shown"),
    [
        ((-9e30, -8e30), 0.0),
        ((np.nan, -np.inf), 10.0),
        ((1e300, -1e300), 30.0),
        ((-5.0, 26.0), -5.0),
        ((10.0, 10.0), 10.0),
    ],
)
def test_floats_far_from_all_others_are_shown_near_them(far, shown):
    values = np.tile(np.linspace(10, 20, 40), (40, 1))
    values[:10], values[10:12] = far
    near = within_reach(values)
    assert near.dtype == np.float32 and near[0, 0] == shown
    assert near.min() >= -10 and near.max() <= 40 and np.array_equal(near[12:], values[12:].astype(np.float32))


def test_floats_beyond_the_range_of_singles_keep_their_order():
    wide = np.linspace(-1, 1, 1600).reshape(40, 40) * 1e308
    assert np.isfinite(near := within_reach(wide)).all() and (np.diff(near.ravel()) > 0).all()
    assert (within_reach(np.full((4, 4), np.nan)) == 0).all()


@needs_models
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_text_in_floats_is_read_beside_padding_of_the_lowest_number(tmp_path, dtype):
    pixels = np.random.default_rng(3).normal(500, 6, (200, 320))
    ink = np.zeros(pixels.shape, np.uint8)
    cv2.putText(ink, "QUIXOTTE 4711", (30, 110), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    pixels += ink / 255 * 80
    pixels[:60] = np.finfo(dtype).min
    ds = dataset(ink)
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, keyword)
    ds.BitsAllocated = 32 if dtype == "f4" else 64
    setattr(ds, "FloatPixelData" if dtype == "f4" else "DoubleFloatPixelData", pixels.astype(dtype).tobytes())
    reading = read_instance_text(saved(ds, tmp_path / "a"), ReaderSettings())
    assert "4711" in "".join(region.text for region in reading.regions)


@pytest.mark.parametrize("number", range(100, 109))
def test_video_cannot_be_looked_at_and_is_no_pass(tmp_path, number):
    ds = compressed(np.full((64, 64), 20, np.uint8), f"1.2.840.10008.1.2.4.{number}", [bytes(64)], table=False)
    assert undecodable(ds, tmp_path / "a") == "video"


@needs_models
def test_text_in_a_low_strip_is_read(tmp_path):
    strip = np.full((14, 300), 20, np.uint8)
    cv2.putText(strip, "SMITH JOHN 1951", (4, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    reading = read_instance_text(saved(dataset(strip), tmp_path / "a"), ReaderSettings())
    assert reading.status == "read"
    assert "SMITH" in "".join(r.text for r in reading.regions)


def test_picture_that_a_reader_refuses_is_undecodable(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ReaderError("TesseractError in reader")

    monkeypatch.setattr(text_reading, "read_image", refuse)
    ds = dataset(np.arange(4096, dtype=np.uint16).reshape(64, 64))
    assert undecodable(ds, tmp_path / "a") == "TesseractError in reader"
