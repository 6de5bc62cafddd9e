"""Pictures, volumes and masks of CT stacks with known truth, and what verification of such files finds."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from phi_deid_pipeline import stack_products
from phi_deid_pipeline.geometry import GeometrySettings
from phi_deid_pipeline.geometry.drawing import draw_stack, picture_problems
from phi_deid_pipeline.geometry.resampling import volume_problems, write_volume
from phi_deid_pipeline.metadata_extract import slice_attributes
from phi_deid_pipeline.rt_contours import contours
from phi_deid_pipeline.stack_pixels import SEGMENTATION, STRUCTURE_SET, mask_planes, named_instances
from phi_deid_pipeline.stack_series import Marker, Series, linked

ROWS, COLUMNS, FRAME = 24, 20, "2.25.77"
SETTINGS = GeometrySettings(isotropic_ratio=9.0)


def write(ds: Dataset, path: Path) -> Path:
    """Write an instance with its file meta information; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)
    return path


def ct_slice(number: int, position: tuple[float, float, float], value: np.ndarray) -> Dataset:
    """Return a CT slice of stored values; HU are those minus 1000."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"2.25.100{number:03d}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "2.25.1", "2.25.2", FRAME
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient, ds.ImageOrientationPatient = list(position), [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1.5, 1.0], 2.0
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1000, "HU"
    ds.PixelData = value.astype("<u2").tobytes()
    return ds


def ball(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return where a ball of 8 mm around (10, 16, 20) lies."""
    return (x - 10) ** 2 + (y - 16) ** 2 + (z - 20) ** 2 <= 64


def segmentation(slices: list[Dataset], planes: list[np.ndarray], fractional: bool = False) -> Dataset:
    """Return a SEG of two segments, the ball and its complement, one frame a slice and segment."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SEGMENTATION, "2.25.900"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID, ds.Modality = "2.25.1", "2.25.9", FRAME, "SEG"
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8 if fractional else 1
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    ds.MaximumFractionalValue = 200
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = [1.5, 1.0], [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], []
    source = Dataset()
    source.ReferencedInstanceSequence = []
    source.SeriesInstanceUID = slices[0].SeriesInstanceUID
    frames = []
    for segment in (1, 2):
        for one, plane in zip(slices, planes, strict=True):
            group, place, name, reference = Dataset(), Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient, name.ReferencedSegmentNumber = one.ImagePositionPatient, segment
            group.PlanePositionSequence, group.SegmentIdentificationSequence = [place], [name]
            ds.PerFrameFunctionalGroupsSequence.append(group)
            reference.ReferencedSOPInstanceUID = one.SOPInstanceUID
            source.ReferencedInstanceSequence.append(reference)
            frames.append(plane if segment == 1 else ~plane)
    ds.ReferencedSeriesSequence, ds.NumberOfFrames = [source], len(frames)
    bits = np.stack(frames).astype(np.uint8)
    ds.PixelData = (bits * 120).tobytes() if fractional else np.packbits(bits.ravel(), bitorder="little").tobytes()
    if len(ds.PixelData) % 2:
        ds.PixelData += b"\0"
    return ds


def made(folder: Path, *, shear: float = 0.0, gone: tuple[int, ...] = (), fractional: bool = False):
    """Write a CT series of 20 slices, sheared and with gaps, with a SEG of a ball; return series, markers."""
    y, x = np.meshgrid(np.arange(ROWS) * 1.5, np.arange(COLUMNS) * 1.0, indexing="ij")
    slices, planes = [], []
    for number in range(20):
        if number not in gone:
            depth = 2.0 * number
            inside = ball(x, y + shear * depth, depth)
            slices.append(ct_slice(number, (0.0, shear * depth, depth), np.where(inside, 1500, 1000)))
            planes.append(inside)
    paths = {one.SOPInstanceUID: write(one, folder / f"{i}.dcm") for i, one in enumerate(slices)}
    seg = write(segmentation(slices, planes, fractional), folder / "seg.dcm")
    found = tuple(one for path in paths.values() for one in slice_attributes(path))
    series = Series("2.25.1", "2.25.2", found, paths)
    return series, [Marker("2.25.900", seg, True, named_instances(seg))]


@pytest.mark.parametrize("fractional", [False, True])
def test_mask_planes_are_those_that_were_written(tmp_path: Path, fractional: bool) -> None:
    _, (marker,) = made(tmp_path, fractional=fractional)
    planes = mask_planes(marker.path)
    assert [one.segment for one in planes] == [1] * 20 + [2] * 20
    assert planes[10].mask.sum() > 50 and np.array_equal(planes[10].mask, ~planes[30].mask)
    assert planes[10].place.position == (0.0, 0.0, 20.0)


@pytest.mark.parametrize("kind", ["nii.gz", "nrrd"])
@pytest.mark.parametrize(("shear", "gone"), [(0.0, ()), (0.35, ()), (0.0, (9,)), (-0.2, (4, 12))])
def test_volume_has_the_stated_grid_and_the_ball_where_it_was(tmp_path: Path, kind: str, shear: float, gone) -> None:
    series, markers = made(tmp_path / "in", shear=shear, gone=gone)
    products = list(stack_products.make_volumes(series, markers, SETTINGS, kind, tmp_path / "out"))
    assert [(one.kind, one.segment, one.problems, one.lost) for one in products] == [
        ("image", 0, (), 0),
        ("mask", 1, (), 0),
        ("mask", 2, (), 0),
    ]
    volume, mask, rest = (sitk.ReadImage(str(tmp_path / "out" / one.name.partition("/")[2])) for one in products)
    for image, product in zip((volume, mask, rest), products, strict=True):
        assert image.GetSize() == product.matrix and image.GetSpacing() == pytest.approx(product.spacing, abs=1e-5)
        assert image.GetOrigin() == pytest.approx(product.origin, abs=1e-4)
        assert image.GetDirection() == pytest.approx(product.direction, abs=1e-6)
    assert volume.GetPixelID() == sitk.sitkInt16 and mask.GetPixelID() == sitk.sitkUInt8
    z, y, x = np.meshgrid(*(np.arange(size) for size in reversed(volume.GetSize())), indexing="ij")
    points = [
        origin + index * step
        for origin, index, step in zip(volume.GetOrigin(), (x, y, z), volume.GetSpacing(), strict=True)
    ]
    truth = ball(*points)
    found = sitk.GetArrayFromImage(mask) > 0
    overlap = 2 * (truth & found).sum() / (truth.sum() + found.sum())
    assert overlap > (0.999 if not gone and not shear else 0.9)
    values = sitk.GetArrayFromImage(volume)
    assert values[found].mean() > 400 and set(np.unique(values)) <= set(range(-1024, 501))
    assert set(products[1].sources) == {*series.paths, "2.25.900"} and set(products[0].sources) == set(series.paths)


def test_padding_is_set_and_values_are_clipped(tmp_path: Path) -> None:
    paths = {}
    for number in range(4):
        one = ct_slice(number, (0.0, 0.0, 2.0 * number), np.full((ROWS, COLUMNS), 1100))
        values = np.full((ROWS, COLUMNS), 1100)
        values[0], values[1] = 0, 4095
        one.PixelData, one.PixelPaddingValue = values.astype("<u2").tobytes(), 0
        paths[one.SOPInstanceUID] = write(one, tmp_path / f"{number}.dcm")
    series = Series("2.25.1", "2.25.2", tuple(s for path in paths.values() for s in slice_attributes(path)), paths)
    settings = GeometrySettings(hu_clip=(-1024.0, 2000.0))
    (product,) = stack_products.make_volumes(series, [], settings, "nii.gz", tmp_path / "out")
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / product.name.partition("/")[2])))
    assert values[:, 0].max() == -1024 and values[:, 1].min() == 2000 and values[0, 5, 5] == 100


def test_same_stacks_give_same_bytes_whatever_their_files_are_named(tmp_path: Path) -> None:
    series, markers = made(tmp_path / "in", shear=0.2, gone=(7,))
    again = {uid: path.rename(path.with_name(f"z{i}")) for i, (uid, path) in enumerate(reversed(series.paths.items()))}
    names = []
    for run, paths in (("a", again), ("b", dict(reversed(again.items())))):
        one = Series("2.25.1", "2.25.2", tuple(reversed(series.slices)) if run == "b" else series.slices, paths)
        products = list(stack_products.make_volumes(one, markers, SETTINGS, "nii.gz", tmp_path / run))
        products += stack_products.draw_stacks(one, markers, SETTINGS, tmp_path / run)
        names.append([(product.name, product.sha256, product.sources) for product in products])
    assert names[0] == names[1] and len(names[0]) == 4


def test_picture_is_a_plain_png_that_shows_segments_and_contours(tmp_path: Path) -> None:
    series, markers = made(tmp_path / "in", gone=(15,))
    structure = Dataset()
    structure.SOPClassUID, structure.SOPInstanceUID = STRUCTURE_SET, "2.25.901"
    contour, roi, image = Dataset(), Dataset(), Dataset()
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
    contour.ContourData = [2, 2, 20, 18, 2, 20, 18, 30, 20, 2, 30, 20]
    image.ReferencedSOPInstanceUID = series.slices[0].sop_uid
    contour.ContourImageSequence = [image]
    roi.ReferencedROINumber, roi.ContourSequence = 3, [contour]
    structure.ROIContourSequence = [roi]
    path = write(structure, tmp_path / "in" / "rs.dcm")
    assert [(one.roi, len(one.points)) for one in contours(path)] == [(3, 12)]
    both = [*markers, Marker("2.25.901", path, False, named_instances(path))]
    shown = {}
    for name, some in (("none", []), ("seg", markers), ("both", both)):
        (product,) = stack_products.draw_stacks(series, some, SETTINGS, tmp_path / name)
        assert product.problems == () and product.kind == "picture"
        assert set(product.sources) == {*series.paths, *(one.sop_uid for one in some)}
        data = (tmp_path / name / product.name.partition("/")[2]).read_bytes()
        picture = Image.open(io.BytesIO(data))
        assert picture.info == {} and picture.size == (1200, 640)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        shown[name] = [
            int(np.sum(np.abs(pixels - colour).sum(axis=2) < 90)) for colour in ((52, 199, 89), (10, 132, 255))
        ]
    green, blue = zip(*(shown[name] for name in ("none", "seg", "both")), strict=True)
    assert green[0] < green[1] and blue[0] == blue[1] < blue[2]


def ring(depth: float, *points: object) -> Dataset:
    contour = Dataset()
    contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", 4
    contour.ContourData = list(points or (2, 2, depth, 18, 2, depth, 18, 30, depth, 2, 30, depth))
    return contour


def structures(series: Series, path: Path, regions: dict[int, list[Dataset]]) -> Marker:
    """Write an RTSTRUCT of these regions of interest; return it as what marks the series."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = STRUCTURE_SET, "2.25.901"
    ds.ROIContourSequence = []
    for number, rings in regions.items():
        roi, image = Dataset(), Dataset()
        roi.ReferencedROINumber, roi.ContourSequence = number, rings
        image.ReferencedSOPInstanceUID = series.slices[0].sop_uid
        rings[0].ContourImageSequence = [image]
        ds.ROIContourSequence.append(roi)
    write(ds, path)
    return Marker("2.25.901", path, False, named_instances(path))


def drawn_view(monkeypatch: pytest.MonkeyPatch, series: Series, markers: list[Marker], target: Path):
    """Draw the one stack of a series; return what was drawn and the product."""
    views = []

    def draw(view):
        views.append(view)
        return draw_stack(view)

    monkeypatch.setattr(stack_products, "draw_stack", draw)
    (product,) = stack_products.draw_stacks(series, markers, SETTINGS, target)
    return views[0], product


def test_contour_that_cannot_be_read_is_counted_and_the_others_are_drawn(tmp_path: Path, monkeypatch) -> None:
    series, _ = made(tmp_path / "in")
    regions = {1: [ring(10), ring(12, 1, 2), ring(14)], 2: [ring(16), ring(18, "nan", 1, 2)]}
    view, product = drawn_view(monkeypatch, series, [structures(series, tmp_path / "rs.dcm", regions)], tmp_path / "o")
    assert [(one.name, [points[0, 2] for points in one.contours]) for one in view.overlays] == [
        ("ROI 1", [10, 14]), ("ROI 2", [16]),
    ]  # fmt: skip
    assert (view.not_drawn, product.lost, product.problems) == (2, 2, ())
    monkeypatch.setattr(stack_products, "_CONTOUR_LIMIT", 2)
    view, product = drawn_view(
        monkeypatch, series, [structures(series, tmp_path / "rs.dcm", regions)], tmp_path / "few"
    )
    assert sum(len(one.contours) for one in view.overlays) == 2 and product.lost == 3


def test_colours_of_a_picture_are_named_and_no_more_than_there_is_room_for(tmp_path: Path, monkeypatch) -> None:
    series, markers = made(tmp_path / "in")
    written: list[str] = []
    write_text = Figure.text
    monkeypatch.setattr(
        Figure, "text", lambda one, x, y, text, **more: (written.append(text), write_text(one, x, y, text, **more))[1]
    )
    list(stack_products.draw_stacks(series, markers, SETTINGS, tmp_path / "1"))
    assert written[1:] == ["\u25a0", "segment 1", "\u25a0", "segment 2"]
    written.clear()
    regions = {number: [ring(10)] for number in range(1, 40)}
    both = [*markers, structures(series, tmp_path / "rs.dcm", regions)]
    list(stack_products.draw_stacks(series, both, SETTINGS, tmp_path / "2"))
    named = [text for text in written if text.startswith(("segment", "ROI"))]
    assert named[:3] == ["segment 1", "segment 2", "ROI 1"] and f"and {41 - len(named)} more" in written
    written.clear()
    twice = [markers[0], replace(markers[0], sop_uid="2.25.1234567")]
    list(stack_products.draw_stacks(series, twice, SETTINGS, tmp_path / "3"))
    assert [text for text in written if "segment" in text] == [
        f"...{uid} segment {number}" for uid in ("25.900", "234567") for number in (1, 2)
    ]


def test_only_what_names_a_stack_is_drawn_on_it(tmp_path: Path) -> None:
    from phi_deid_pipeline.geometry import arrange_series

    series, (marker,) = made(tmp_path)
    (stack,) = arrange_series(series.slices, SETTINGS)
    other = Marker("2.25.5", marker.path, True, frozenset({"2.25.2000"}))
    by_series = Marker("2.25.6", marker.path, False, frozenset({series.series_uid}))
    assert linked(stack, series, [marker, other, by_series]) == [marker, by_series]


def test_stack_without_a_place_gets_a_picture_and_no_volume(tmp_path: Path) -> None:
    one = ct_slice(1, (0, 0, 0), np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS))
    del one.ImagePositionPatient
    path = write(one, tmp_path / "1.dcm")
    series = Series("2.25.1", "2.25.2", tuple(slice_attributes(path)), {one.SOPInstanceUID: path})
    assert len(list(stack_products.draw_stacks(series, [], SETTINGS, tmp_path / "out"))) == 1
    assert list(stack_products.make_volumes(series, [], SETTINGS, "nii.gz", tmp_path / "out")) == []


def test_stack_of_implausible_spacing_gets_a_picture_and_no_volume(tmp_path: Path) -> None:
    series, _ = made(tmp_path / "in")
    slices = tuple(replace(one, pixel_spacing=(1e-7, 1e-7)) for one in series.slices)
    series = replace(series, slices=slices)
    (picture,) = stack_products.draw_stacks(series, [], SETTINGS, tmp_path / "out")
    assert picture.problems == ()
    assert list(stack_products.make_volumes(series, [], SETTINGS, "nii.gz", tmp_path / "out")) == []


def test_slice_that_cannot_be_decoded_makes_no_volume(tmp_path: Path) -> None:
    series, markers = made(tmp_path / "in")
    path = next(iter(series.paths.values()))
    broken = pydicom.dcmread(path)
    broken.PixelData = broken.PixelData[:100]
    broken.save_as(path)
    for made_of in (
        stack_products.make_volumes(series, markers, SETTINGS, "nii.gz", tmp_path / "out"),
        stack_products.draw_stacks(series, markers, SETTINGS, tmp_path / "out"),
    ):
        (product,) = made_of
        assert (product.name, product.sha256) == ("", "") and "pixels_undecodable" in product.problems[0]
        assert {*product.sources} - {*product.marks} == {*series.paths}
    assert not (tmp_path / "out").exists()


# --- verification -------------------------------------------------------------------------------------------------


def test_text_in_a_nifti_header_and_another_grid_are_found(tmp_path: Path) -> None:
    from dataclasses import replace

    from phi_deid_pipeline.geometry import TargetGrid

    grid = TargetGrid((1.0, 2.0, 3.0), (4, 5, 6), (1.0, 2.0, 3.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    image = sitk.Image(grid.size, sitk.sitkInt16)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    path = tmp_path / "v.nii.gz"
    write_volume(image, path)
    assert volume_problems(path, grid) == []
    assert volume_problems(path, replace(grid, origin=(1.0, 2.0, 3.01))) == ["grid"]
    assert volume_problems(path, replace(grid, size=(4, 5, 7))) == ["size"]
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[150:154] = b"Name"
    path.write_bytes(gzip.compress(bytes(data), mtime=0))
    assert any("148" in problem for problem in volume_problems(path, grid))
    image.SetMetaData("note", "a name")
    write_volume(image, tmp_path / "v.nrrd")
    assert volume_problems(tmp_path / "v.nrrd", grid) == ["1 further fields"]
    image.EraseMetaData("note")
    write_volume(image, tmp_path / "w.nrrd")
    assert volume_problems(tmp_path / "w.nrrd", grid) == []


def test_text_in_a_png_is_found(tmp_path: Path) -> None:
    series, _ = made(tmp_path / "in")
    (product,) = stack_products.draw_stacks(series, [], SETTINGS, tmp_path / "out")
    data = (tmp_path / "out" / product.name.partition("/")[2]).read_bytes()
    assert picture_problems(data) == []
    body = b"tEXtComment\0a name"
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    assert picture_problems(data[:33] + chunk + data[33:]) == ["1 further chunks"]
    assert picture_problems(data + b"a name") != [] and picture_problems(data[:-1]) != []
    assert picture_problems(b"GIF89a") == ["not a PNG"]
