"""What cannot be used is rejected with a reason, in bounded memory; everything else of the run goes on."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from faults_harness import Ran, audit, main, rejected, released, run
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

import factories
from phi_deid_pipeline.records import RejectReason
from sample_identity import source_uid

pytestmark = pytest.mark.workflow

PEAK_KILOBYTES = 1_600_000  # of the largest process of the run
# Starts a command from a process that stays small, as a child begins with its parent's peak, and notes the peak of it and of
# what it started.
_LAUNCHER = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
with open(sys.argv[1], "w") as peak:
    peak.write(str(used.ru_maxrss))
sys.exit(child.returncode)
"""
GOOD = ("good/IM1", "good/IM2", "good/no_preamble")
MENDED = ("says_explicit_is_implicit", "says_implicit_is_explicit")  # read as they are, and written as what they are
NOT_UTF8 = b"good/caf\xe9 \xff.dcm"
WITHOUT_DAC = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")

# path -> reason
EXPECTED: dict[str, str] = {
    "truncated_in_header": "truncated",
    "truncated_in_pixels": "truncated",
    "truncated_in_fragments": "truncated",
    "empty": "empty",
    "garbage": "not_dicom",
    "garbage_behind_preamble": "truncated",
    "three_gigabytes_claimed": "truncated",
    "ten_thousand_levels": "too_deep",
    "ten_thousand_levels_in_un": "too_deep",
    "huge_header": "truncated",
    "huge_frames": "truncated",
    "huge_jpeg2000": "pixels_undecodable",
    "deflate_bomb": "malformed",
    "says_jpeg_is_raw": "pixels_undecodable",
    "unknown_transfer_syntax": "unknown_transfer_syntax",
    "no_sop_instance_uid": "missing_identity",
    "no_series_uid": "missing_identity",
    "no_study_uid": "missing_identity",
    "no_sop_class_uid": "missing_identity",
    "uid_is_text": "missing_identity",
    "no_bits_allocated": "pixels_undecodable",
    "no_rows": "pixels_undecodable",
    "zero_rows": "pixels_undecodable",
    "archive.zip": "archive",
    "archive.gz": "archive",
    "DICOMDIR": "dicomdir",
    "link_out": "outside_input",
    "link_loop": "unreadable_file",
    "fifo": "unreadable_file",
    "raw_data": "unsupported_sop_class",
    "twin_1": "duplicate_conflict",
    "twin_2": "duplicate_conflict",
    "line\nbreak.txt": "not_dicom",
}
NO_DICOM = {"empty", "not_dicom", "archive", "outside_input", "unreadable_file"}


def _instance(name: str, **overrides: object) -> Dataset:
    """Return a CT slice in a series of its own."""
    own = {"SeriesInstanceUID": source_uid("bad", name), "SOPInstanceUID": source_uid("bad", name, 1)}
    return factories.ct_instance(**{**own, **overrides})  # type: ignore[arg-type]


def _bytes(name: str, syntax: str = uid.ExplicitVRLittleEndian, **overrides: object) -> bytes:
    stream = io.BytesIO()
    ds = _instance(name, **overrides)
    ds.file_meta.TransferSyntaxUID = uid.UID(syntax)
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _without(name: str, keyword: str) -> bytes:
    """Return an instance without an attribute that pydicom would not write a file without."""
    ds = _instance(name)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    delattr(ds, keyword)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=False)
    data = stream.getvalue()
    return data if data[128:132] == b"DICM" else b"\0" * 128 + b"DICM" + data


def _nested(levels: int, *, as_un: bool = False) -> bytes:
    """Return sequences of undefined length, each the only item of the one above."""
    head = struct.pack("<HH2sHI", 0x0040, 0xA730, b"UN" if as_un else b"SQ", 0, 0xFFFFFFFF)
    inner = struct.pack("<HHI", 0x0040, 0xA730, 0xFFFFFFFF) if as_un else head
    item, item_end = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF), struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return head + item + (inner + item) * (levels - 1) + (item_end + end) * levels


def _behind(name: str, tail: bytes) -> bytes:
    """Return an instance without pixels with bytes behind its last element."""
    ds = _instance(name)
    for keyword in ("PixelData",):
        delattr(ds, keyword)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue() + tail


def _says(name: str, written: str, said: str) -> bytes:
    """Return an instance in one transfer syntax whose meta information names another of the same length in bytes."""
    data = _bytes(name, written)
    old, new = (text.encode() + b"\0" * (len(text) % 2) for text in (written, said))
    at = data.index(old, 132)
    length_at = at - 2
    grown = struct.pack("<H", len(new)) + new
    group_length = struct.unpack("<I", data[140:144])[0] + len(new) - len(old)
    return data[:140] + struct.pack("<I", group_length) + data[144:length_at] + grown + data[at + len(old) :]


def _bomb() -> bytes:
    """Return a deflated instance whose data set inflates to 4 GB."""
    data = _bytes("deflate_bomb", uid.DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack("<I", data[140:144])[0]
    inflated = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    pixels = inflated.index(struct.pack("<HH", 0x7FE0, 0x0010))
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = [packer.compress(inflated[:pixels] + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xF0000000))]
    zeros = bytes(1 << 24)
    packed += [packer.compress(zeros) for _ in range(240)]
    return data[:start] + b"".join(packed) + packer.flush()


def _huge_jpeg2000() -> bytes:
    """Return an instance whose header and codestream both claim 65535 x 65535 pixels, in few bytes."""
    path_ds = _instance("huge_jpeg2000", Rows=65535, Columns=65535)
    size = struct.pack(">HIIIIIIIIH", 0, 65535, 65535, 0, 0, 65535, 65535, 0, 0, 1) + bytes([15, 1, 1])
    stream = b"\xff\x4f\xff\x51" + struct.pack(">H", len(size) + 2) + size
    stream += b"\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x00\x04\x04\x00\x01" + b"\xff\x5c\x00\x04\x40\x40"
    stream += b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\xff\x93" + bytes(64) + b"\xff\xd9"
    path_ds.PixelData = encapsulate([stream + b"\0" * (len(stream) % 2)])
    path_ds["PixelData"].VR, path_ds["PixelData"].is_undefined_length = "OB", True
    path_ds.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    out = io.BytesIO()
    path_ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _writers() -> dict[str, Callable[[], bytes]]:
    whole, noise = _bytes("whole"), random.Random(5)
    claim = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 3_000_000_000) + bytes(1000)
    rle = io.BytesIO()
    compressed = _instance("truncated_in_fragments")
    compressed.compress(uid.RLELossless, generate_instance_uid=False)
    compressed.save_as(rle, enforce_file_format=True)
    return {
        "truncated_in_header": lambda: whole[: whole.index(b"CT CHEST") + 5],
        "truncated_in_pixels": lambda: _bytes("truncated_in_pixels")[:-500],
        "truncated_in_fragments": lambda: rle.getvalue()[:-300],
        "empty": lambda: b"",
        "garbage": lambda: noise.randbytes(20_000),
        "garbage_behind_preamble": lambda: b"\0" * 128 + b"DICM" + noise.randbytes(20_000),
        "three_gigabytes_claimed": lambda: _behind("three_gigabytes_claimed", claim),
        "ten_thousand_levels": lambda: _behind("ten_thousand_levels", _nested(10_000)),
        "ten_thousand_levels_in_un": lambda: _behind("ten_thousand_levels_in_un", _nested(10_000, as_un=True)),
        "huge_header": lambda: _bytes("huge_header", Rows=65535, Columns=65535),
        "huge_frames": lambda: _bytes("huge_frames", NumberOfFrames=2**31 - 1),
        "huge_jpeg2000": _huge_jpeg2000,
        "deflate_bomb": _bomb,
        "says_explicit_is_implicit": lambda: _says(
            "says_explicit_is_implicit", uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian
        ),
        "says_implicit_is_explicit": lambda: _says(
            "says_implicit_is_explicit", uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian
        ),
        "says_jpeg_is_raw": lambda: _says("says_jpeg_is_raw", uid.ExplicitVRLittleEndian, uid.JPEGBaseline8Bit),
        "unknown_transfer_syntax": lambda: _says("unknown", uid.ExplicitVRLittleEndian, "1.2.840.10008.1.2.99"),
        "no_sop_instance_uid": lambda: _without("no_sop_instance_uid", "SOPInstanceUID"),
        "no_series_uid": lambda: _bytes("no_series_uid", SeriesInstanceUID=None),
        "no_study_uid": lambda: _bytes("no_study_uid", StudyInstanceUID=None),
        "no_sop_class_uid": lambda: _without("no_sop_class_uid", "SOPClassUID"),
        "uid_is_text": lambda: _bytes("uid_is_text").replace(
            (source := source_uid("bad", "uid_is_text").encode()), b"../" + b"x" * (len(source) - 3)
        ),
        "no_bits_allocated": lambda: _bytes("no_bits_allocated", BitsAllocated=None),
        "no_rows": lambda: _bytes("no_rows", Rows=None),
        "zero_rows": lambda: _bytes("zero_rows", Rows=0),
        "archive.gz": lambda: gzip.compress(whole, mtime=0),
        "raw_data": lambda: _bytes("raw_data", SOPClassUID=uid.RawDataStorage),
        "twin_1": lambda: _bytes("twin"),
        "twin_2": lambda: _bytes("twin", InstanceNumber=2),
        "line\nbreak.txt": lambda: b"nothing",
    }


def _build(source: Path, outside: Path) -> None:
    for path, number in zip(GOOD, (1, 2, 3), strict=True):
        factories.write(factories.ct_instance(number=number), source / path)
    bare = source / "good" / "no_preamble"
    factories.write(factories.ct_instance(number=3), bare, uid.ImplicitVRLittleEndian)
    data = bare.read_bytes()
    bare.write_bytes(data[data.index(b"\x08\0\x05\0") :])
    latin = Path(os.fsdecode(os.fsencode(source) + b"/" + NOT_UTF8))
    latin.write_bytes(_bytes("not utf-8"))
    for name, make in _writers().items():
        (source / name).write_bytes(make())
    with zipfile.ZipFile(source / "archive.zip", "w") as archive:
        archive.writestr("IM1", latin.read_bytes())
    directory = get_testdata_file("DICOMDIR", download=False)
    assert isinstance(directory, str)
    (source / "DICOMDIR").write_bytes(Path(directory).read_bytes())
    outside.write_bytes(_bytes("outside"))
    (source / "link_out").symlink_to(outside)
    (source / "link_loop").symlink_to("link_loop")
    (source / "link_to_folder_above").symlink_to(source)
    os.mkfifo(source / "fifo")
    assert {*EXPECTED, *MENDED, "good", "link_to_folder_above"} == {path.name for path in source.iterdir()}


@dataclass(frozen=True)
class Bad:
    source: Path
    output: Path
    ran: Ran
    peak_kilobytes: int


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Bad:
    folder = tmp_path_factory.mktemp("bad")
    _build(folder / "input", folder / "outside.dcm")
    launcher = (sys.executable, "-c", _LAUNCHER, str(folder / "peak"))
    ran = run(folder / "input", folder / "output", prefix=launcher)
    return Bad(folder / "input", folder / "output", ran, int((folder / "peak").read_text()))


def test_run_over_bad_input_finishes_and_says_so(bad: Bad) -> None:
    assert bad.ran.code == 3, bad.ran.text
    assert main("verify", "--output", bad.output).code == 0


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_bad_file_is_rejected_with_its_reason(bad: Bad, name: str) -> None:
    rows = {row["input_path"]: row for row in audit(bad.output)}
    row = rows.get(name) or rejected(bad.output)[name]
    assert row["reason"] == EXPECTED[name], row
    assert row.get("status", "rejected") == "rejected"
    assert row["what_to_do"].startswith(RejectReason(EXPECTED[name]).what_to_do)
    assert (name in rows) == (EXPECTED[name] not in NO_DICOM)


def test_every_input_file_is_accounted_for_once(bad: Bad) -> None:
    found = Counter(
        str((Path(folder) / name).relative_to(bad.source)) for folder, _, names in os.walk(bad.source) for name in names
    )
    told = Counter(row["input_path"] for row in audit(bad.output))
    told += Counter(path for path, row in rejected(bad.output).items() if not row["is_dicom"])
    assert told == found
    inventory_rejects = {path for path, row in rejected(bad.output).items() if row["is_dicom"]}
    assert inventory_rejects <= {row["input_path"] for row in audit(bad.output) if row["status"] == "rejected"}


def test_everything_usable_is_released(bad: Bad) -> None:
    out = {row["input_path"] for row in audit(bad.output) if row["status"] == "released"}
    assert out == {*GOOD, *MENDED, os.fsdecode(NOT_UTF8)}
    assert len(released(bad.output)) == len(out)


def test_instances_with_a_wrong_transfer_syntax_are_written_with_the_right_one(bad: Bad) -> None:
    rows = {row["input_path"]: row for row in audit(bad.output)}
    for name, syntax in zip(MENDED, (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian), strict=True):
        ds = pydicom.dcmread(bad.output / "release" / rows[name]["output_path"])
        assert (ds.file_meta.TransferSyntaxUID, ds.Rows, len(ds.PixelData)) == (syntax, 32, 2048)
        assert ds.PatientName == ds.PatientID != ""


def test_memory_stays_bounded(bad: Bad) -> None:
    assert bad.ran.code == 3
    assert 50_000 < bad.peak_kilobytes < PEAK_KILOBYTES


def test_files_that_may_not_be_read_are_told(tmp_path: Path) -> None:
    source, output = tmp_path / "input", tmp_path / "output"
    for number in (1, 2):
        factories.write(factories.ct_instance(number=number), source / f"IM{number}")
    (source / "IM2").chmod(0)
    (source / "closed").mkdir()
    factories.write(factories.ct_instance(number=3), source / "closed" / "IM3")
    (source / "closed").chmod(0)
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        prefix = WITHOUT_DAC
        if main("--version", prefix=prefix).code:
            pytest.skip("root cannot give up reading everything here")
    try:
        ran = run(source, output, prefix=prefix)
    finally:
        (source / "closed").chmod(0o755)
    assert ran.code == 3, ran.text
    assert {path: row["reason"] for path, row in rejected(output).items()} == {
        "IM2": "unreadable_file",
        "closed": "unreadable_file",
    }
    assert [row["input_path"] for row in audit(output)] == ["IM1"]
