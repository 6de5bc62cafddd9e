"""Contours of a structure set: points, regions, frames of reference, and the slices that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from linked_scene import FRAME, contour, named, square, structure_set, write
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.rt_contours import Contour, contours


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


@pytest.mark.parametrize("points", [[1, 2], [1, 2, 3, 4], 5.0])
def test_points_that_are_none_are_told(tmp_path: Path, points: object) -> None:
    broken = contour(square(1))
    broken.ContourData = points
    path = write(structure_set([broken]), tmp_path / "a.dcm")
    with pytest.raises(UnreadableInstance):
        list(contours(path))


def test_contour_without_a_region_number_is_told(tmp_path: Path) -> None:
    rt = structure_set([contour(square(1))])
    del rt.ROIContourSequence[0].ReferencedROINumber
    with pytest.raises(UnreadableInstance):
        list(contours(write(rt, tmp_path / "a.dcm")))
