"""Every encoding of the table, on a real file through the engine: outside the boxes nothing changes, and others can open it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.encaps import encapsulate, generate_frames
from redaction_rows import J2K, JPEG, JPEG12, ROWS, Row

from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.pixel_edit import redact
from phi_deid_pipeline.pixel_read import open_pixels
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box, Finding, InstanceFindings, Verdict
from phi_deid_pipeline.redaction import RedactionSettings, redact_instance
from phi_deid_pipeline.uid_mapping import UidMapper

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
DOC = Path(__file__).resolve().parents[2] / "resources" / "burned_in_text" / "redaction.md"
FRAMES = 4  # of a file compared at most
DCMTK = {JPEG: "dcmj2pnm", JPEG12: "dcmj2pnm", "1.2.840.10008.1.2.4.80": "dcml2pnm"}
# Their tools open neither the source nor what was made of it.
REFUSED_BY_GDCM = ("Deflated image frames",)
REFUSED_BY_DCMTK = ("Deflated image frames", "Implicit LE, PALETTE COLOR 16")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def source_of(row: Row) -> Path:
    for path in (SHARED / row.path, WHEEL / row.path.removeprefix("pydicom/test_files/")):
        if path.is_file():
            return path
    pytest.skip("the file is not there")


def box_of(path: Path) -> Box:
    with open_pixels(path) as source:
        rows, columns = source.layout.rows, source.layout.columns
    return Box(columns // 5, rows // 4, max(columns // 6, 1), max(rows // 10, 1))


@pytest.fixture(scope="module")
def engine() -> InstanceDeidentifier:
    return InstanceDeidentifier(load_policy("hipaa_safe_harbor"), UidMapper(b"s" * 32))


def redacted(row: Row, engine: InstanceDeidentifier, target: Path):
    path = source_of(row)
    replacement = redact(path, [box_of(path)], [])
    with read_instance(path) as raw:
        engine.deidentify(
            raw,
            target,
            PatientContext("PXYZ", Lexicon()),
            replacement,
            text_scan_found_nothing_left=True,
            redacted=True,
        )
    return path, replacement


def frames(path: Path) -> list[np.ndarray]:
    with open_pixels(path) as source:
        return [frame.values for frame, _ in zip(source.frames(), range(FRAMES), strict=False)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_outside_the_boxes_every_stored_value_is_the_same(row, engine, tmp_path):
    target = tmp_path / "b.dcm"
    path, replacement = redacted(row, engine, target)
    assert (replacement.transfer_syntax_uid, replacement.syntax_reason) == (row.after, row.why)
    by_blocks = row.after in (JPEG, JPEG12)
    for old, new in zip(frames(path), frames(target), strict=True):
        assert old.shape == new.shape
        outside = np.ones(old.shape[:2], bool)
        inside = np.zeros(old.shape[:2], bool)
        for _, box in replacement.boxes:
            margin = 1 if by_blocks and old.ndim == 3 else 0  # decoders smooth sub-sampled chroma over a border
            top, left = max(box.y - margin, 0), max(box.x - margin, 0)
            outside[top : box.y + box.h + margin, left : box.x + box.w + margin] = False
            inside[box.y + margin : box.y + box.h - margin, box.x + margin : box.x + box.w - margin] = True
        assert np.array_equal(old[outside], new[outside])
        assert len(np.unique(new[inside].reshape(int(inside.sum()), -1), axis=0)) <= 1
    asked = box_of(path)
    assert any(b.x <= asked.x and b.x + b.w >= asked.x + asked.w for _, b in replacement.boxes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_pydicom_opens_what_was_redacted(row, engine, tmp_path):
    target = tmp_path / "b.dcm"
    redacted(row, engine, target)
    ds = pydicom.dcmread(target)
    assert ds.file_meta.TransferSyntaxUID == row.after
    if row.what == "JPEG Extended 12 bit" or row.after == JPEG12 or row.what == "Deflated image frames":
        assert len(ds.PixelData)  # pydicom has no decoder of its own for them
    else:
        assert ds.pixel_array.size


def gdcm_opens(path: Path) -> bool:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        return reader.Execute().GetNumberOfPixels() > 0
    except RuntimeError:
        return False


def dcmtk_opens(path: Path, syntax: str, target: Path) -> bool:
    tool = DCMTK.get(syntax, "dcm2pnm")
    run = subprocess.run([tool, "-q", "+F", "1", str(path), str(target)], capture_output=True, check=False)
    return run.returncode == 0 and target.stat().st_size > 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_gdcm_opens_what_was_redacted(row, engine, tmp_path):
    target = tmp_path / "b.dcm"
    path, _ = redacted(row, engine, target)
    if not gdcm_opens(target):
        assert not gdcm_opens(path)
        assert row.what in REFUSED_BY_GDCM
        pytest.skip("GDCM refuses such pixels, of the source too")


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_dcmtk_opens_what_was_redacted(row, engine, tmp_path):
    target = tmp_path / "b.dcm"
    path, _ = redacted(row, engine, target)
    run = subprocess.run(["dcmdump", "-q", str(target)], capture_output=True, check=False)
    assert run.returncode == 0
    if row.after == J2K or dcmtk_opens(target, row.after, tmp_path / "b.pnm"):
        return  # dcmtk has no decoder of JPEG 2000
    with open_pixels(path) as source:
        syntax = source.layout.transfer_syntax_uid
    assert not dcmtk_opens(path, syntax, tmp_path / "a.pnm")
    assert row.what in REFUSED_BY_DCMTK
    pytest.skip("dcmtk refuses such pixels, of the source too")


def test_doc_page_shows_the_table():
    page = DOC.read_text(encoding="utf-8")
    for row in ROWS:
        after = pydicom.uid.UID(row.after).name.split(",")[0].split("(")[0].strip()
        assert f"| {row.what} | {after} |" in page


SECRET = b"QUIXOTTE"


def hidden_everywhere() -> pydicom.Dataset:
    """Return an instance with text in a comment, an icon, an overlay plane and a thumbnail of its JPEG frame."""
    ds = pydicom.dcmread(WHEEL / "examples_ybr_color.dcm")
    icon = pydicom.Dataset()
    icon.Rows = icon.Columns = 8
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.BitsAllocated = icon.BitsStored = 8
    icon.HighBit, icon.PixelRepresentation = 7, 0
    icon.PixelData = SECRET * 8
    ds.IconImageSequence = [icon]
    ds.add_new(0x60000010, "US", 240)
    ds.add_new(0x60000011, "US", 320)
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60000050, "SS", [1, 1])
    ds.add_new(0x60000100, "US", 1)
    ds.add_new(0x60000102, "US", 0)
    ds.add_new(0x60003000, "OW", (SECRET * 1200)[:9600])
    comment = b"\xff\xfe\x00\x0a" + SECRET + b"\xff\xe1\x00\x0a" + SECRET
    stored = [f[:2] + comment + f[2:] for f in generate_frames(ds.PixelData, number_of_frames=30)]
    ds.PixelData = encapsulate(stored)
    ds["PixelData"].is_undefined_length = True
    return ds


@pytest.mark.parametrize("filled", [True, False])
def test_text_of_comments_icons_and_overlays_is_in_no_byte_of_the_result(tmp_path, engine, filled):
    if not (WHEEL / "examples_ybr_color.dcm").exists():
        pytest.skip("not in this pydicom wheel")
    path, target = tmp_path / "a.dcm", tmp_path / "b.dcm"
    hidden_everywhere().save_as(path)
    assert SECRET in path.read_bytes()
    fills = (Box(10, 10, 20, 8),) if filled else ()
    found = InstanceFindings("1", "a", "read", "", 30, 30, (), (), fills, fill_categories=("",) * len(fills))
    with read_instance(path) as raw:
        made = redact_instance(path, raw, found, RedactionSettings(), "PXYZ")
        engine.deidentify(
            raw,
            target,
            PatientContext("PXYZ", Lexicon()),
            made.replacement,
            text_scan_found_nothing_left=True,
            redacted=filled,
        )
    assert made.kind == ("redacted" if filled else "comments_removed")
    assert SECRET not in target.read_bytes()
    assert pydicom.dcmread(target).pixel_array.shape == (30, 240, 320, 3)


def test_text_in_unused_high_bits_is_in_no_byte_of_the_result(tmp_path, engine):
    ds = pydicom.dcmread(WHEEL / "CT_small.dcm")
    words = np.frombuffer(ds.PixelData, "<u2").reshape(128, 128).copy() & 0x0FFF
    plane = np.zeros((128, 128), np.uint16)
    plane[40:60, 10:100] = 1  # an old overlay in bit 15
    ds.PixelData = (words | plane << 15).tobytes()
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
    path, target = tmp_path / "a.dcm", tmp_path / "b.dcm"
    ds.save_as(path)
    text = Finding(0, Box(10, 40, 90, 20), "high bits", "QUIXOTTE", 0.9, Verdict.IDENTIFYING, "name", "", True)
    found = InstanceFindings("1", "a", "read", "", 1, 1, (), (text,))
    with read_instance(path) as raw:
        made = redact_instance(path, raw, found, RedactionSettings(), "PXYZ")
        engine.deidentify(
            raw,
            target,
            PatientContext("PXYZ", Lexicon()),
            made.replacement,
            text_scan_found_nothing_left=True,
            redacted=True,
        )
    assert made.kind == "redacted"
    after = np.frombuffer(pydicom.dcmread(target).PixelData, "<u2").reshape(128, 128)
    assert np.array_equal(after, words)
