"""Contours of a structure set: points, regions, frames of reference, and the slices that they name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from linked_scene import FRAME, contour, item, named, square, structure_set, write
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.rt_contours import NO_ROI, Contour, contours


def test_contours_come_with_points_region_frame_and_images(tmp_path: Path) -> None:
    first, second = contour(square(1), named(1), named(2)), contour([[1, 2, 3]], kind="POINT")
    assert list(contours(write(structure_set([first, second]), tmp_path / "a.dcm"))) == [
        Contour(1, (-8, -18, 33, -4, -18, 33, -4, -11, 33), FRAME, ("2.25.2", "2.25.3"), True),
        Contour(1, (1, 2, 3), FRAME, (), False),
    ]


def test_regions_without_contours_and_contours_without_points_are_passed_over(tmp_path: Path) -> None:
    empty = contour(square(1))
    empty.ContourData = None
    rt = structure_set([empty])
    assert list(contours(write(rt, tmp_path / "a.dcm"))) == []
    del rt.ROIContourSequence[0].ContourSequence
    assert list(contours(write(rt, tmp_path / "a.dcm"))) == []
    del rt.ROIContourSequence
    del rt.StructureSetROISequence
    assert list(contours(write(rt, tmp_path / "a.dcm"))) == []


@pytest.mark.parametrize("points", [[1, 2], [1, 2, 3, 4], 5.0, ["1", "nan", "2"]])
def test_contour_of_points_that_are_none_is_told_and_the_others_are_read(tmp_path: Path, points: object) -> None:
    broken = contour(square(1), named(1))
    broken.ContourData = points
    path = write(structure_set([contour(square(0)), broken, contour(square(2))]), tmp_path / "a.dcm")
    first, second, third = contours(path)
    assert second == Contour(1, (), FRAME, ("2.25.2",), True, broken=True)
    assert not first.broken and not third.broken and len(first.points) == len(third.points) == 9


def test_contour_data_that_are_no_numbers_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    path = write(structure_set([contour([[111.5, 2, 3]]), contour(square(2))]), tmp_path / "a.dcm")
    data = path.read_bytes()
    assert data.count(b"111.5") == 1
    path.write_bytes(data.replace(b"111.5", b"1x1.5"))
    assert [one.broken for one in contours(path)] == [True, False]


def test_contours_of_a_region_without_a_number_are_told_and_the_others_are_read(tmp_path: Path) -> None:
    rt = structure_set([contour(square(1))])
    rt.ROIContourSequence.insert(0, item(ContourSequence=[contour(square(2))]))
    assert [(one.roi, one.broken) for one in contours(write(rt, tmp_path / "a.dcm"))] == [(NO_ROI, True), (1, False)]


def test_structure_set_that_does_not_parse_is_refused(tmp_path: Path) -> None:
    rt = structure_set([contour(square(1))])
    del rt.StructureSetROISequence[0].ROINumber
    with pytest.raises(UnreadableInstance):
        list(contours(write(rt, tmp_path / "a.dcm")))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_points_are_read_as_they_may_be_written(tmp_path: Path, syntax: str) -> None:
    """Spaces around a number, exponents, and the padding of an odd length are the standard's (PS3.5, table 6.2-1)."""
    scan = structure_set([contour(square(1))])
    scan.ROIContourSequence[0].ContourSequence[0].ContourData = [11.25, 12.34, 13.5, 14.5, 15.5, 60.5]
    path = write(scan, tmp_path / "a.dcm", syntax)
    data = path.read_bytes()
    assert b"11.25\\12.34\\13.5\\14.5\\15.5\\60.5 " in data
    path.write_bytes(data.replace(b"11.25\\12.34\\13.5\\14.5\\15.5", b"-1.25\\ 2e-3\\+3.5\\0   \\ .5 "))
    (one,) = contours(path)
    assert one.points == (-1.25, 0.002, 3.5, 0.0, 0.5, 60.5)
