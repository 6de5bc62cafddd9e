"""Every encoding of the table, on a real file through the engine: outside the boxes nothing changes, and others can open it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from redaction_rows import J2K, JPEG, JPEG12, ROWS, Row

from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.pixel_edit import redact
from phi_deid_pipeline.pixel_read import open_pixels
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box
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
