"""The sample input: the same bytes each time, objects that other tools read, identifiers that are really there."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

import sample_input
from factories import canaries, ct_instance, rgb_instance, write
from sample_identity import BARNABY, OTTOLINE, PLANTED, source_uid


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sample") / "input"
    assert sample_input.build_sample(target)["written"] is True
    return target


@pytest.fixture(scope="module")
def study(sample: Path) -> Path:
    return sample / OTTOLINE.folder / f"CT_Thorax_{OTTOLINE.study_date}"


def test_two_builds_are_byte_identical(sample: Path, tmp_path: Path) -> None:
    sample_input.build_sample(tmp_path / "again")
    assert digest(tmp_path / "again") == digest(sample)


def test_second_build_writes_nothing(tmp_path: Path) -> None:
    sample_input.build_small(tmp_path / "in")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert sample_input.build_small(tmp_path / "in")["written"] is False
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_missing_file_makes_the_sample_anew(tmp_path: Path) -> None:
    sample_input.build_small(tmp_path / "in")
    whole = digest(tmp_path / "in")
    (tmp_path / "in" / "odd" / "letter.txt").unlink()
    assert sample_input.build_small(tmp_path / "in")["written"] is True
    assert digest(tmp_path / "in") == whole


def test_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        sample_input.build_sample(tmp_path)
    assert digest(tmp_path) == {"mine.txt": hashlib.sha256(b"mine").hexdigest()}


def test_ct_volume_has_regular_slices_and_text_on_six(study: Path) -> None:
    slices = [pydicom.dcmread(path) for path in sorted((study / "thorax").iterdir())]
    assert len(slices) == 44
    heights = np.array([float(ds.ImagePositionPatient[2]) for ds in slices])
    assert np.allclose(np.diff(heights), 1.5, atol=1e-9)
    assert {(ds.Rows, ds.Columns, ds.pixel_array.dtype.str) for ds in slices} == {(256, 256, "<i2")}
    with_text = [int(ds.InstanceNumber) for ds in slices if (ds.pixel_array > 1200).sum() > 100]
    assert with_text == [4, 12, 20, 28, 36, 43]


def test_text_is_flush_with_the_edge_and_whole(study: Path) -> None:
    first = pydicom.dcmread(study / "thorax" / "IM0004.dcm").pixel_array > 1000
    assert first[:2].any() and first[:, :2].any()
    last = pydicom.dcmread(study / "thorax" / "IM0043.dcm").pixel_array[226:] > 1000
    assert not last[-1].any()  # nothing cut off below


def test_tilted_series_lacks_one_slice_and_is_sheared(study: Path) -> None:
    slices = [pydicom.dcmread(path) for path in sorted((study / "tilted").iterdir())]
    heights = np.array([float(ds.ImagePositionPatient[2]) for ds in slices])
    assert sorted(np.diff(heights).round(6)) == [3.0] * 17 + [6.0]
    normal = np.cross(slices[0].ImageOrientationPatient[:3], slices[0].ImageOrientationPatient[3:])
    assert abs(np.degrees(np.arccos(normal @ [0, 0, 1])) - 12.0) < 1e-3


def test_segmentation_is_read_by_highdicom_with_its_sources(study: Path) -> None:
    slices = [pydicom.dcmread(path) for path in sorted((study / "thorax").iterdir())]
    seg = highdicom.seg.segread(study / "seg" / "lungs_Zimmerlin.dcm")
    uids = [ds.SOPInstanceUID for ds in slices[::2]]
    assert {item[2] for item in seg.get_source_image_uids()} == set(uids)
    masks = seg.get_pixels_by_source_instance(uids, combine_segments=True)
    assert masks.shape == (22, 256, 256)
    lungs = slices[20].pixel_array < -700
    body = np.zeros((256, 256), bool)
    body[70:190, 40:216] = True
    assert (masks[10].astype(bool) & lungs & body).sum() > 0.8 * masks[10].sum() > 0


def test_structure_set_names_every_slice_at_its_height(study: Path) -> None:
    heights = {
        ds.SOPInstanceUID: float(ds.ImagePositionPatient[2])
        for ds in (pydicom.dcmread(path) for path in (study / "thorax").iterdir())
    }
    plan = pydicom.dcmread(study / f"RS.{OTTOLINE.patient_id}")
    contours = plan.ROIContourSequence[0].ContourSequence
    named = {item.ContourImageSequence[0].ReferencedSOPInstanceUID: float(item.ContourData[2]) for item in contours}
    assert named == heights


def test_report_refers_to_a_slice_and_names_the_patient(study: Path) -> None:
    report = pydicom.dcmread(study / "report")
    wanted = source_uid(OTTOLINE.patient_id, "ct thorax", 21)
    assert report.ContentSequence[2].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == wanted
    assert OTTOLINE.family in report.ContentSequence[1].TextValue


def test_odd_files_are_what_they_say(sample: Path, study: Path) -> None:
    odd = sample / OTTOLINE.folder / "odd"
    whole = (study / "thorax" / "IM0001.dcm").read_bytes()
    assert whole.startswith((odd / "truncated.dcm").read_bytes())
    assert (odd / "truncated.dcm").stat().st_size < len(whole)
    assert (odd / "empty.dcm").stat().st_size == 0
    assert (odd / "duplicate.dcm").read_bytes() == (study / "thorax" / "IM0002.dcm").read_bytes()
    with zipfile.ZipFile(odd / "export_Zimmerlin.zip") as archive:
        assert archive.read("IM0001.dcm") == whole
    folder = sample / BARNABY.folder
    one, other = (pydicom.dcmread(folder / name / "IM0003.dcm") for name in ("captures", "captures_old"))
    assert one.SOPInstanceUID == other.SOPInstanceUID
    assert one.PixelData != other.PixelData


def test_every_planted_identifier_that_stands_in_text_is_in_the_input(sample: Path) -> None:
    own = [path for path in sample.rglob("*") if path.is_file() and "wheel" not in path.relative_to(sample).parts]
    content = b"".join(path.read_bytes() + path.as_posix().encode() for path in own)
    must = [OTTOLINE.family, OTTOLINE.patient_id, OTTOLINE.birth_date, OTTOLINE.accession, OTTOLINE.phone, "Wendreda"]
    assert set(must) <= set(canaries())
    # dates as people write them and names in capitals are drawn into pixels, or stand nowhere
    absent = [value for value in canaries() if value.encode() not in content]
    drawn = {value for value in PLANTED["date"] if not value.isdigit()} | {OTTOLINE.printed_name, BARNABY.printed_name}
    assert set(absent) <= drawn


def test_wheel_part_holds_one_conflict_only(sample: Path) -> None:
    seen: dict[str, list[str]] = {}
    for path in sorted((sample / "wheel").rglob("*")):
        if path.is_file() and path.suffix != ".gz":
            uid = pydicom.dcmread(path, force=True, specific_tags=["SOPInstanceUID"]).get("SOPInstanceUID")
            if uid:
                seen.setdefault(uid, []).append(path.name)
    shared = sorted(names for names in seen.values() if len(names) > 1)
    kept_as_truncated = [["MR_small_jpeg_ls_lossless.dcm", "MR_truncated.dcm"], ["rtplan.dcm", "rtplan_truncated.dcm"]]
    assert shared == sorted([*kept_as_truncated, ["SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm"]])


def test_small_sample_has_thirteen_instances_in_four_series(sample_small: Path) -> None:
    found = []
    for path in sorted(sample_small.rglob("*")):
        if path.is_file() and path.parent.name != "odd":
            ds = pydicom.dcmread(path)
            found.append((ds.Modality, ds.PatientID, ds.SeriesInstanceUID))
    assert len(found) == 13
    assert sorted((modality, found.count(row)) for row in set(found) for modality in [row[0]]) == [
        ("CT", 8),
        ("OT", 3),
        ("RTSTRUCT", 1),
        ("SEG", 1),
    ]


@pytest.mark.parametrize(
    "syntax",
    [
        pydicom.uid.ImplicitVRLittleEndian,
        pydicom.uid.ExplicitVRLittleEndian,
        pydicom.uid.ExplicitVRBigEndian,
        pydicom.uid.DeflatedExplicitVRLittleEndian,
        pydicom.uid.RLELossless,
        pydicom.uid.JPEGLSLossless,
        pydicom.uid.JPEG2000Lossless,
    ],
    ids=lambda syntax: pydicom.uid.UID(syntax).keyword,
)
def test_factory_writes_the_same_pixels_in_every_transfer_syntax(syntax: str, tmp_path: Path) -> None:
    ds = ct_instance()
    read = pydicom.dcmread(write(ds, tmp_path / "a.dcm", syntax))
    assert read.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read.pixel_array, np.frombuffer(ds.PixelData, "<i2").reshape(32, 32))
    assert ds.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian


def test_factory_overrides_and_deletes_attributes() -> None:
    ds = ct_instance(PatientName="Other^Name", KVP=None)
    assert str(ds.PatientName) == "Other^Name"
    assert "KVP" not in ds
    assert rgb_instance(lines=("HELLO",)).pixel_array.max() > 240


def test_command_line_names_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample_input.main([str(tmp_path / "in"), "--small"]) == 0
    assert capsys.readouterr().out == f"Wrote 15 files, 0.3 MB in {tmp_path / 'in'}\n"
