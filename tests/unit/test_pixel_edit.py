"""Redaction: boxes are dark on the screen, every other stored value is the same, in each encoding."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
import test_pixel_read as streams
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian
from test_pixel_read import SECONDARY_CAPTURE, SHARED, WHEEL, dataset, saved

from phi_deid_pipeline import pixel_edit
from phi_deid_pipeline.boxes import grown
from phi_deid_pipeline.codestreams import without_comments
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.pixel_codecs import CodecError, PixelFormat, decode_frame, encode_frame, to_values
from phi_deid_pipeline.pixel_edit import check_edit, redact, without_frame_comments
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.records import Box, RejectReason

JPEG, JPEG_LS, J2K, RLE, EXPLICIT_LE = (
    "1.2.840.10008.1.2.4.50",    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1",
)  # fmt: skip
BOX = Box(10, 12, 9, 5)
FILLED = np.s_[11:18, 9:20]  # BOX grown by one pixel


def noise(shape: tuple[int, ...], low: int, high: int, dtype) -> np.ndarray:
    return np.random.default_rng(5).integers(low, high, shape).astype(dtype)


def written(source: Path, replacement, target: Path) -> Path:
    """Write an instance with replaced pixels."""
    ds = pydicom.dcmread(source)
    ds.file_meta.TransferSyntaxUID = replacement.transfer_syntax_uid
    if replacement.encapsulated:
        ds.PixelData = encapsulate(list(replacement.value))
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    else:
        ds.PixelData = replacement.value
    for tag, entry in replacement.attributes.items():
        if entry is None:
            if tag in ds:
                del ds[tag]
        else:
            ds.add_new(tag, *entry)
    ds.save_as(target)
    return target


def float_dataset(pixels: np.ndarray, **more):
    """Return an instance of Float or Double Float Pixel Data, by the type of the pixels."""
    ds = dataset(np.zeros(pixels.shape, np.uint8), **more)
    for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(ds, keyword)
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    setattr(ds, "FloatPixelData" if pixels.dtype.itemsize == 4 else "DoubleFloatPixelData", pixels.tobytes())
    return ds


def frames(path: Path) -> list[np.ndarray]:
    with open_pixels(path) as source:
        return [frame.values for frame in source.frames()]


def assert_edited(before: np.ndarray, after: np.ndarray, filled, fill) -> None:
    outside = np.ones(before.shape[:2], bool)
    outside[filled] = False
    assert np.array_equal(before[outside], after[outside])
    assert (after[filled] == fill).all()


@pytest.mark.parametrize("syntax", [pydicom.uid.ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_signed_image_is_filled_with_its_lowest_value_in_place(tmp_path, syntax):
    pixels = noise((40, 50), -1000, 2000, np.int16)
    pixels[0, 0] = -1024
    path = saved(dataset(pixels, syntax=syntax), tmp_path / "a")
    replacement = redact(path, [BOX], [])
    assert (replacement.encapsulated, replacement.transfer_syntax_uid) == (False, str(syntax))
    assert len(replacement.value) == pixels.nbytes
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    after = np.frombuffer(replacement.value, f"{order}i2").reshape(40, 50)
    assert_edited(pixels, after, FILLED, -1024)


def test_padding_value_below_all_others_is_the_fill_of_a_signed_image(tmp_path):
    ds = dataset(noise((40, 50), -500, 500, np.int16))
    ds.add_new(0x00280120, "SS", -2000)
    after = np.frombuffer(redact(saved(ds, tmp_path / "a"), [BOX], []).value, "<i2").reshape(40, 50)
    assert (after[FILLED] == -2000).all()


def test_monochrome1_is_filled_with_its_highest_value(tmp_path):
    pixels = noise((40, 50), 5, 3000, np.uint16)
    path = saved(dataset(pixels, stored=12, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a")
    after = np.frombuffer(redact(path, [BOX], []).value, "<u2").reshape(40, 50)
    assert_edited(pixels, after, FILLED, pixels.max())


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_of_either_planar_configuration_is_filled_black_in_all_planes(tmp_path, planar):
    pixels = noise((40, 50, 3), 1, 255, np.uint8)
    ds = dataset(pixels, sop_class=SECONDARY_CAPTURE)
    ds.PlanarConfiguration = planar
    if planar:
        ds.PixelData = np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()
    path = saved(ds, tmp_path / "a")
    after = frames(written(path, redact(path, [BOX], []), tmp_path / "b"))[0]
    assert_edited(pixels, after, FILLED, 0)


def test_chroma_pairs_are_filled_from_even_to_even_columns(tmp_path):
    pairs = noise((20, 16, 4), 1, 255, np.uint8)
    ds = dataset(np.zeros((20, 32, 3), np.uint8), sop_class=SECONDARY_CAPTURE)
    ds.PhotometricInterpretation, ds.PixelData = "YBR_FULL_422", pairs.tobytes()
    path = saved(ds, tmp_path / "a")
    replacement = redact(path, [Box(10, 5, 4, 3)], [])
    after = np.frombuffer(replacement.value, np.uint8).reshape(20, 16, 4)
    expected = pairs.copy()
    expected[4:9, 4:8] = (0, 0, 128, 128)  # columns 9 to 14 widened to 8 to 15
    assert np.array_equal(after, expected)


def test_palette_is_filled_with_the_index_of_its_darkest_entry(tmp_path):
    pixels = noise((40, 50), 0, 4, np.uint8)
    ds = dataset(pixels, sop_class=SECONDARY_CAPTURE, PhotometricInterpretation="PALETTE COLOR")
    for colour, table in (("Red", (9, 200, 3, 255)), ("Green", (9, 9, 3, 255)), ("Blue", (90, 9, 3, 255))):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(ds, f"{colour}PaletteColorLookupTableData", (np.array(table, "<u2") << 8).tobytes())
    path = saved(ds, tmp_path / "a")
    after = np.frombuffer(redact(path, [BOX], []).value, np.uint8).reshape(40, 50)
    assert_edited(pixels, after, FILLED, 2)


def test_unused_high_bits_are_zeroed_even_without_a_box(tmp_path):
    pixels = noise((40, 50), 0, 4000, np.uint16)
    path = saved(dataset(pixels | 0x8000, stored=12), tmp_path / "a")
    assert np.array_equal(np.frombuffer(redact(path, [], []).value, "<u2").reshape(40, 50), pixels)


def test_frame_fills_change_their_frame_alone(tmp_path):
    pixels = noise((3, 40, 50), 1, 200, np.uint8)
    path = saved(dataset(pixels), tmp_path / "a")
    after = np.frombuffer(redact(path, [Box(30, 30, 4, 4)], [(1, BOX)]).value, np.uint8).reshape(3, 40, 50)
    assert (after[1][FILLED] == 0).all() and np.array_equal(after[0][FILLED], pixels[0][FILLED])
    assert all((after[i][29:35, 29:35] == 0).all() for i in range(3))


def test_box_beyond_the_frames_is_not_editable(tmp_path):
    path = saved(dataset(noise((40, 50), 0, 9, np.uint8)), tmp_path / "a")
    with pytest.raises(UnreadableInstance) as caught:
        redact(path, [], [(1, BOX)])
    assert caught.value.reason is RejectReason.PIXELS_NOT_EDITABLE


def test_attributes_that_describe_pixels_stay_true(tmp_path):
    pixels = noise((40, 50), 100, 3000, np.uint16)
    pixels[FILLED] = 4000
    ds = dataset(pixels, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    ds.add_new(0x00280106, "US", 100)
    ds.add_new(0x00280107, "US", 4000)
    attributes = redact(saved(ds, tmp_path / "a"), [BOX], []).attributes
    outside = np.delete(pixels.reshape(-1), np.flatnonzero(pixels == 4000))
    assert attributes == {
        0x00080008: ("CS", ["DERIVED", "PRIMARY", "AXIAL"]),
        0x00280106: ("US", 0),
        0x00280107: ("US", int(outside.max())),
    }


@pytest.mark.parametrize("kind", ["colour", "wide", "float"])
def test_range_of_pixel_values_goes_where_it_cannot_be_told(tmp_path, kind):
    shape = (40, 50, 3) if kind == "colour" else (40, 50)
    ds = dataset(noise(shape, 0, 200, np.uint32 if kind == "wide" else np.uint8))
    if kind == "float":
        ds = float_dataset(noise(shape, 0, 200, np.float32))
    for tag in (0x00280106, 0x00280107):
        ds.add_new(tag, "US", 7)
    attributes = redact(saved(ds, tmp_path / "a"), [BOX], []).attributes
    assert attributes == {0x00280106: None, 0x00280107: None}


def test_range_of_the_series_and_histograms_go_as_one_instance_cannot_tell_them(tmp_path):
    ds = dataset(noise((40, 50), 100, 3000, np.uint16))
    for tag in (0x00280108, 0x00280109, 0x00280110, 0x00280111):
        ds.add_new(tag, "US", 7)
    ds.add_new(0x00603000, "SQ", [Dataset()])
    attributes = redact(saved(ds, tmp_path / "a"), [BOX], []).attributes
    assert attributes == dict.fromkeys((0x00280108, 0x00280109, 0x00280110, 0x00280111, 0x00603000))


def test_overlays_are_dropped_on_request(tmp_path):
    ds = dataset(noise((40, 50), 0, 9, np.uint8))
    ds.add_new(0x60000010, "US", 40)
    ds.add_new(0x60003000, "OW", bytes(250))
    replacement = redact(saved(ds, tmp_path / "a"), [], [], drop_overlays=True)
    assert {t: v for t, v in replacement.attributes.items() if t >> 16 == 0x6000} == {
        0x60000010: None,
        0x60003000: None,
    }


@pytest.mark.parametrize(
    ("name", "syntax", "photometric"),
    [
        ("MR_small_RLE.dcm", RLE, None),
        ("SC_rgb_rle_2frame.dcm", RLE, None),
        ("MR_small_jp2klossless.dcm", J2K, None),
        ("JPEG2000.dcm", J2K, None),
        ("MR_small_jpeg_ls_lossless.dcm", JPEG_LS, None),
        ("SC_rgb_jpeg_gdcm.dcm", JPEG_LS, None),
        ("SC_jpeg_no_color_transform.dcm", JPEG, None),
        ("examples_ybr_color.dcm", JPEG, None),
        ("examples_jpeg2k.dcm", J2K, None),
    ],
)
def test_compressed_wheel_files_stay_lossless_and_open_again(tmp_path, name, syntax, photometric):
    path = WHEEL / name
    if not path.exists():
        pytest.skip("not in this pydicom wheel")
    replacement = redact(path, [BOX], [])
    if syntax:
        assert replacement.transfer_syntax_uid == syntax
    if photometric:
        assert replacement.attributes[0x00280004] == ("CS", photometric)
    target = written(path, replacement, tmp_path / "b")
    before, after = frames(path), frames(target)
    assert len(before) == len(after)
    margin = 1 if syntax == JPEG else 0  # decoders smooth sub-sampled chroma over the border of a block
    ((every, box),) = replacement.boxes
    assert every == -1
    assert syntax == JPEG or box == grown(BOX, *before[0].shape[:2])
    for old, new in zip(before, after, strict=True):
        outside = np.ones(old.shape[:2], bool)
        outside[max(box.y - margin, 0) : box.y + box.h + margin, max(box.x - margin, 0) : box.x + box.w + margin] = (
            False
        )
        assert np.array_equal(old[outside], new[outside])
        inside = new[box.y + margin : box.y + box.h - margin, box.x + margin : box.x + box.w - margin]
        assert len(np.unique(inside.reshape(inside.shape[0] * inside.shape[1], -1), axis=0)) == 1


def test_lossy_sources_keep_their_history(tmp_path):
    path = WHEEL / "JPEG2000.dcm"
    ds = pydicom.dcmread(path)
    for keyword in ("LossyImageCompression", "LossyImageCompressionMethod"):
        if keyword in ds:
            delattr(ds, keyword)
    source = saved(ds, tmp_path / "a")
    attributes = redact(source, [BOX], []).attributes
    assert attributes[0x00282110] == ("CS", "01")
    assert attributes[0x00282114] == ("CS", "ISO_15444_1")


def test_filled_box_is_black_on_the_screen_for_ybr(tmp_path):
    path = WHEEL / "SC_ybr_full_422_uncompressed.dcm"
    if not path.exists():
        pytest.skip("not in this pydicom wheel")
    target = written(path, redact(path, [BOX], []), tmp_path / "b")
    with open_pixels(target) as source:
        shown = displayed(source, next(iter(source.frames())))
    assert (shown[FILLED] == 0).all()


def test_check_edit_refuses_a_change_outside_the_boxes(tmp_path):
    path = saved(dataset(noise((40, 50), 1, 200, np.uint8)), tmp_path / "a")
    replacement = redact(path, [BOX], [])
    check_edit(path, replacement, [(-1, grown(BOX, 40, 50))])
    spoilt = bytearray(replacement.value)
    spoilt[0] ^= 1
    with pytest.raises(UnreadableInstance) as caught:
        check_edit(path, replace(replacement, value=bytes(spoilt)), [(-1, grown(BOX, 40, 50))])
    assert caught.value.reason is RejectReason.PIXELS_NOT_EDITABLE


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, J2K])
@pytest.mark.parametrize(
    ("dtype", "stored", "signed"), [("u1", 8, False), ("u2", 12, False), ("i2", 16, True), ("i2", 12, True)]
)
def test_encoders_give_back_the_same_values(syntax, dtype, stored, signed):
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if signed else (0, (1 << stored) - 1)
    pixels = noise((40, 33), low, high + 1, dtype)
    layout = PixelFormat(
        syntax, True, 40, 33, 1, 1, "MONOCHROME2", 0, pixels.dtype.itemsize * 8, stored, stored - 1, signed
    )
    words = decode_frame(encode_frame(pixels.view(layout.dtype), layout), layout)
    assert np.array_equal(to_values(words, layout), pixels)


def test_jpeg2000_refuses_small_images_and_redaction_falls_back_to_rle(tmp_path):
    layout = PixelFormat(J2K, True, 20, 20, 1, 1, "MONOCHROME2", 0, 8, 8, 7, False)
    with pytest.raises(CodecError):
        encode_frame(np.zeros((20, 20), np.uint8), layout)
    pixels = noise((20, 20), 1, 255, np.uint8)
    ds = dataset(pixels)
    stream = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", resolutions=1, level=0, reversible=True)
    ds.file_meta.TransferSyntaxUID = J2K
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    path = saved(ds, tmp_path / "a")
    replacement = redact(path, [Box(3, 3, 4, 4)], [])
    assert replacement.transfer_syntax_uid == RLE and replacement.encapsulated


def test_extended_offset_table_is_removed(tmp_path):
    ds = pydicom.dcmread(WHEEL / "MR_small_RLE.dcm")
    ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = bytes(8), bytes(8)
    attributes = redact(saved(ds, tmp_path / "a"), [BOX], []).attributes
    assert attributes[0x7FE00001] is None and attributes[0x7FE00002] is None


@pytest.mark.skipif(not SHARED.exists(), reason="shared data are not there")
def test_one_file_of_each_encoding_in_the_shared_data_is_edited_and_checked():
    index = [row.split("\t") for row in (SHARED / "index.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    chosen: dict[tuple[str, str], Path] = {}
    for row in index:
        path, syntax, kind = SHARED / row[0], row[4], row[3]
        small = row[9].isdigit() and int(row[9]) < 2_000_000
        if path.is_file() and small and kind not in ("SEG", "", "RTDOSE") and row[6].isdigit():
            chosen.setdefault((syntax, kind), path)
    done = set()
    for (syntax, _), path in sorted(chosen.items()):
        try:
            source = open_pixels(path)
        except UnreadableInstance:
            continue
        if source is None:
            continue
        with source:
            layout = source.layout
        try:
            redact(path, [Box(layout.columns // 4, layout.rows // 4, layout.columns // 3, layout.rows // 4)], [])
        except UnreadableInstance as error:
            assert error.reason is RejectReason.PIXELS_UNDECODABLE, (syntax, layout.photometric)
            continue
        done.add(syntax)
    assert len(done) >= 15


def test_no_process_is_started_to_edit(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    path = saved(dataset(noise((40, 50), 0, 9, np.uint8)), tmp_path / "a")
    assert redact(path, [BOX], []).value


def test_float_pixels_with_nan_and_infinity_are_filled_with_the_lowest_number(tmp_path):
    ds = dataset(np.zeros((40, 50), np.uint8))
    pixels = noise((40, 50), 5, 90, np.float32)
    pixels[30, 30:33] = np.nan, np.inf, -np.inf
    pixels[13, 12] = np.nan
    del ds.PixelData
    ds.BitsAllocated = 32
    ds.FloatPixelData = pixels.tobytes()
    after = np.frombuffer(redact(saved(ds, tmp_path / "a"), [BOX], []).value, "<f4").reshape(40, 50)
    assert (after[FILLED] == 5).all()
    after = after.copy()
    after[FILLED] = pixels[FILLED]
    assert np.array_equal(after, pixels, equal_nan=True)


@pytest.mark.parametrize("error", [ValueError, OverflowError, RuntimeError, MemoryError])
def test_any_failure_of_an_edit_rejects_the_instance_without_its_text(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error("a value")

    monkeypatch.setattr(pixel_edit, "paint", fail)
    path = saved(dataset(noise((40, 50), 0, 90, np.uint8)), tmp_path / "a")
    with pytest.raises(UnreadableInstance) as caught:
        redact(path, [BOX], [])
    assert (caught.value.reason, caught.value.detail) == (RejectReason.PIXELS_NOT_EDITABLE, error.__name__)


def cine_with_text(frames: tuple[int, ...], count: int = 9) -> np.ndarray:
    """Return frames of speckle of their own, of which some show the same faint strokes at `TEXT`."""
    rng = np.random.default_rng(11)
    pixels = rng.integers(20, 60, (count, 60, 90)).astype(np.uint8)
    strokes = (rng.random((12, 50)) > 0.7) * 25
    for frame in frames:
        pixels[frame, 20:32, 20:70] += strokes.astype(np.uint8)
    return pixels


TEXT = Box(20, 20, 50, 12)


def test_frame_fill_reaches_the_frames_that_show_the_same_strokes(tmp_path):
    pixels = cine_with_text((1, 2, 4))  # told in frame 1 alone
    replacement = redact(saved(dataset(pixels), tmp_path / "a"), [], [(1, TEXT)])
    assert [frame for frame, _ in replacement.boxes] == [1, 2, 4]
    after = np.frombuffer(replacement.value, np.uint8).reshape(pixels.shape)
    assert all((after[i, 20:32, 20:70] == 0).all() for i in (1, 2, 4))
    assert all(np.array_equal(after[i], pixels[i]) for i in (0, 3, 5, 6, 7, 8))


def test_frame_fill_that_half_of_the_frames_show_is_static_and_reaches_all(tmp_path):
    pixels = cine_with_text((1, 2, 4, 5, 8))
    replacement = redact(saved(dataset(pixels), tmp_path / "a"), [], [(1, TEXT)])
    assert replacement.boxes == ((-1, grown(TEXT, 60, 90)),)


def test_box_of_one_frame_that_all_frames_show_is_a_box_of_every_frame(tmp_path):
    pixels = np.repeat(noise((1, 40, 50), 0, 200, np.uint8), 3, axis=0)
    replacement = redact(saved(dataset(pixels), tmp_path / "a"), [], [(1, BOX)])
    assert replacement.boxes == ((-1, grown(BOX, 40, 50)),)


def test_exact_boxes_are_not_grown_and_stay_inside_the_image(tmp_path):
    path = saved(dataset(noise((40, 50), 1, 200, np.uint8)), tmp_path / "a")
    replacement = redact(path, [Box(45, 38, 30, 30)], [], exact=[Box(0, 0, 4, 40)])
    assert replacement.boxes == ((-1, Box(0, 0, 4, 40)), (-1, Box(41, 34, 9, 6)))


def with_comment(frame: bytes) -> bytes:
    return frame[:2] + b"\xff\xfe\x00\x0aQUIXOTTE\xff\xed\x00\x0aQUIXOTTE" + frame[2:]


def compressed(frames_of: list[bytes], template: Path, target: Path) -> Path:
    ds = pydicom.dcmread(template)
    ds.PixelData = encapsulate(frames_of)
    ds["PixelData"].is_undefined_length = True
    return saved(ds, target)


def encapsulated_frames(path: Path) -> list[bytes]:
    with open_pixels(path) as source:
        return [bytes(frame) for frame in source.encoded_frames()]


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "MR_small_jpeg_ls_lossless.dcm", "examples_ybr_color.dcm"])
def test_comments_leave_an_untouched_codestream_and_no_value_changes(tmp_path, name):
    template = WHEEL / name
    if not template.exists():
        pytest.skip("not in this pydicom wheel")
    stored = encapsulated_frames(template)
    path = compressed([with_comment(frame) for frame in stored], template, tmp_path / "a")
    replacement = without_frame_comments(path)
    assert replacement.transfer_syntax_uid == str(pydicom.dcmread(template).file_meta.TransferSyntaxUID)
    assert replacement.boxes == () and replacement.syntax_reason == ""
    assert not any(b"QUIXOTTE" in frame for frame in replacement.value)
    target = written(path, replacement, tmp_path / "b")
    assert all(np.array_equal(a, b) for a, b in zip(frames(template), frames(target), strict=True))
    assert without_frame_comments(target) is None


def test_comments_leave_a_jpeg_2000_codestream(tmp_path):
    template = WHEEL / "MR_small_jp2klossless.dcm"
    (frame,) = encapsulated_frames(template)
    size = int.from_bytes(frame[4:6], "big") + 4
    commented = frame[:size] + b"\xff\x64\x00\x0c\x00\x01QUIXOTTE" + frame[size:]
    path = compressed([commented], template, tmp_path / "a")
    replacement = without_frame_comments(path)
    assert replacement.value[0].rstrip(b"\x00") == frame.rstrip(b"\x00")  # the name of its encoder stays
    target = written(path, replacement, tmp_path / "b")
    assert np.array_equal(frames(template)[0], frames(target)[0])


def test_native_pixels_have_no_comments(tmp_path):
    assert without_frame_comments(saved(dataset(noise((40, 50), 0, 9, np.uint8)), tmp_path / "a")) is None


@pytest.mark.parametrize("syntax", sorted(streams.STREAMS))
def test_bytes_behind_a_codestream_go_and_the_frame_stays(tmp_path: Path, syntax: str) -> None:
    quiet = np.full((64, 64), 20, np.uint8)
    stream = streams.STREAMS[syntax](quiet)
    path = saved(
        streams.compressed(quiet, syntax, [stream + b"QUARESMA^JOANA 1957-03-14 MRN777123"], table=True), tmp_path / "a"
    )
    replacement = without_frame_comments(path)
    assert replacement is not None and b"QUARESMA" not in b"".join(replacement.value)
    assert b"".join(replacement.value).rstrip(b"\x00") == without_comments(stream).rstrip(b"\x00")
