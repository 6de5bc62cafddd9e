"""Contours and segments lie on the slices that they name, in one frame of reference; what does not is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linked_scene import (
    AXIAL,
    CT,
    FRAME,
    RTDOSE,
    STEP_MM,
    TILTED,
    agreements,
    contour,
    ct_stack,
    instance,
    item,
    named,
    place,
    segmentation,
    square,
    structure_set,
)  # fmt: skip
from phi_deid_pipeline.link_geometry import plane_of, slice_distance
from phi_deid_pipeline.links import LinkGeometry
from phi_deid_pipeline.records import SliceAttributes

Found = dict[tuple[str, str], LinkGeometry]
DIRECTIONS = pytest.mark.parametrize("directions", [AXIAL, TILTED], ids=["axial", "tilted"])


def told(found: Found) -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    return {pair: (row.agreement.value, row.reasons) for pair, row in found.items()}


def of_source(found: Found, source: str = "100") -> dict[str, tuple[str, tuple[str, ...]]]:
    return {to: verdict for (start, to), verdict in told(found).items() if start == source}


AGREES = ("agrees", ())
ALL_AGREE = {str(number): AGREES for number in range(1, 6)}

# ------------------------------------------------------------------ segmentations


@DIRECTIONS
def test_frames_on_the_slices_that_they_name_agree(tmp_path: Path, directions) -> None:
    places = [place(number, directions) for number in (0, 1, 4)]
    seg = segmentation(places, [[named(number)] for number in (0, 1, 4)], directions)
    found = agreements(tmp_path, [*ct_stack(directions=directions), seg])
    assert of_source(found) == ALL_AGREE
    assert {to: row.off_plane_mm for (_, to), row in found.items()} == {
        **dict.fromkeys("125", pytest.approx(0, abs=1e-5)),
        **dict.fromkeys("34", None),  # named by the object, by no frame: one frame of reference is all there is to see
    }


@DIRECTIONS
@pytest.mark.parametrize(
    ("off", "expected"), [(0.49, AGREES), (0.51, ("differs", ("off_plane",))), (-1, ("differs", ("off_plane",)))]
)
def test_frame_off_its_slice_differs_beyond_half_a_slice(tmp_path: Path, directions, off: float, expected) -> None:
    seg = segmentation([place(2 + off, directions)], [[named(2)]], directions)
    found = agreements(tmp_path, [*ct_stack(directions=directions), seg])
    assert of_source(found) == {**ALL_AGREE, "3": expected}
    assert found["100", "3"].off_plane_mm == pytest.approx(abs(off) * STEP_MM, abs=1e-4)


def test_half_a_slice_is_that_of_the_series_not_of_the_thickness(tmp_path: Path) -> None:
    stack = ct_stack(step=1.0)  # overlapping slices of 3 mm
    seg = segmentation([place(2.9, step=1.0)], [[named(2)]])
    assert of_source(agreements(tmp_path, [*stack, seg]))["3"] == ("differs", ("off_plane",))


def test_single_slice_is_judged_by_its_thickness_and_without_it_not(tmp_path: Path) -> None:
    seg = segmentation([place(0.4)], [[named(0)]])
    assert of_source(agreements(tmp_path / "a", [*ct_stack(1), seg])) == {"1": AGREES}
    (single,) = ct_stack(1)
    del single.SliceThickness
    assert of_source(agreements(tmp_path / "b", [single, seg])) == {"1": ("not_checked", ("no_slice_distance",))}


def test_frames_that_name_nothing_are_compared_with_the_nearest_slice(tmp_path: Path) -> None:
    seg = segmentation([place(1), place(2.2), place(6)], None)
    found = agreements(tmp_path, [*ct_stack(), seg])
    assert of_source(found) == {**ALL_AGREE, "5": ("differs", ("off_plane",))}
    assert found["100", "3"].off_plane_mm == pytest.approx(0.2 * STEP_MM)
    assert found["100", "5"].off_plane_mm == pytest.approx(2 * STEP_MM)


def test_frame_between_two_slices_that_it_names_is_compared_with_the_nearer(tmp_path: Path) -> None:
    seg = segmentation([place(1.4)], [[named(1), named(2)]])
    assert of_source(agreements(tmp_path, [*ct_stack(), seg])) == ALL_AGREE


def test_other_orientation_differs(tmp_path: Path) -> None:
    seg = segmentation([place(2)], [[named(2)]], TILTED)
    assert of_source(agreements(tmp_path, [*ct_stack(), seg]))["3"] == ("differs", ("orientation_differs",))


def test_slices_seen_from_the_other_side_agree(tmp_path: Path) -> None:
    turned = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    seg = segmentation([place(2)], [[named(2)]], turned)
    assert of_source(agreements(tmp_path, [*ct_stack(), seg])) == ALL_AGREE


@pytest.mark.parametrize(("shift", "expected"), [((0.4, 0.9, 0), AGREES), ((0.6, 0, 0), None), ((0, 1.1, 0), None)])
def test_same_grid_shifted_by_more_than_half_a_pixel_differs(tmp_path: Path, shift, expected) -> None:
    seg = segmentation([list(np.array(place(2)) + shift)], [[named(2)]])
    verdict = of_source(agreements(tmp_path, [*ct_stack(), seg]))["3"]
    assert verdict == (expected or ("differs", ("in_plane_shift",)))


def test_part_of_the_picture_may_begin_elsewhere(tmp_path: Path) -> None:
    seg = segmentation([list(np.array(place(2)) + np.array([4, 4, 0]))], [[named(2)]], Rows=4, Columns=5)
    assert of_source(agreements(tmp_path, [*ct_stack(), seg])) == ALL_AGREE


def test_other_frame_of_reference_differs(tmp_path: Path) -> None:
    seg = segmentation([place(2)], [[named(2)]])
    seg.FrameOfReferenceUID = "2.25.901"
    found = of_source(agreements(tmp_path, [*ct_stack(), seg]))
    assert set(found.values()) == {("differs", ("frame_of_reference_differs",))}


def test_slices_without_position_are_not_checked(tmp_path: Path) -> None:
    stack = ct_stack()
    del stack[2].ImagePositionPatient
    seg = segmentation([place(1), place(2)], [[named(1)], [named(2)]])
    assert of_source(agreements(tmp_path, [*stack, seg])) == {**ALL_AGREE, "3": ("not_checked", ("no_position",))}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_plane_at_no_place_is_none(value: float) -> None:
    placed = attributes(position=(0.0, 0.0, 1.0), orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    assert plane_of(placed) is not None
    assert plane_of(replace(placed, position=(0.0, 0.0, value))) is None


def test_contour_beyond_all_numbers_is_not_checked(tmp_path: Path) -> None:
    back = ((1.0, 0.0, 0.0), (0.0, float(np.cos(0.3)), float(-np.sin(0.3))))
    far = contour(square(2, back), named(2))
    far.ContourData = ["1.7e308"] * 9
    found = agreements(tmp_path, [*ct_stack(directions=back), structure_set([far])])
    assert of_source(found, "200")["3"] == ("not_checked", ("unreadable",))
    assert found["200", "3"].off_plane_mm is None


def test_frames_without_position_are_not_checked(tmp_path: Path) -> None:
    seg = segmentation([place(1)], [[named(1)]])
    del seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence
    found = of_source(agreements(tmp_path, [*ct_stack(), seg]))
    assert found["2"] == ("not_checked", ("no_position",))


def enhanced(count: int) -> object:
    """Return an enhanced CT 2.25.50 with the slices of the stack as frames."""
    frames = [item(PlanePositionSequence=[item(ImagePositionPatient=place(number))]) for number in range(count)]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[2.0, 1.0], SliceThickness=3.0)],
    )
    grid = {"Rows": 8, "Columns": 10, "NumberOfFrames": count}
    return instance(
        "1.2.840.10008.5.1.4.1.1.2.1", 50, 1, "CT", SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames, **grid,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "expected"),
    [(3, AGREES), (2, ("differs", ("off_plane",))), (9, ("differs", ("no_such_frame",)))],
)
def test_frames_of_multi_frame_sources_are_told_apart(tmp_path: Path, frame: int, expected) -> None:
    source = item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="2.25.50", ReferencedFrameNumber=frame)
    seg = segmentation([place(2)], [[source]])
    assert of_source(agreements(tmp_path, [enhanced(5), seg])) == {"50": expected}


def test_frame_that_is_not_there_is_told_of_any_object(tmp_path: Path) -> None:
    source = item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="2.25.50", ReferencedFrameNumber=[1, 6])
    report = instance("1.2.840.10008.5.1.4.1.1.88.33", 300, 4, "SR", ReferencedImageSequence=[source])
    assert told(agreements(tmp_path, [enhanced(5), report])) == {("300", "50"): ("differs", ("no_such_frame",))}
    source.ReferencedFrameNumber = [1, 0]  # so are numbers that are too large for one counted
    assert told(agreements(tmp_path, [enhanced(5), report])) == {("300", "50"): ("differs", ("no_such_frame",))}
    source.ReferencedFrameNumber = [1, 5]
    assert agreements(tmp_path, [enhanced(5), report]) == {}


# ------------------------------------------------------------------ structure sets


@DIRECTIONS
def test_contours_on_the_slices_that_they_name_agree(tmp_path: Path, directions) -> None:
    rt = structure_set([contour(square(number, directions), named(number)) for number in (1, 3)])
    found = agreements(tmp_path, [*ct_stack(directions=directions), rt])
    assert of_source(found, "200") == ALL_AGREE
    assert found["200", "2"].off_plane_mm == pytest.approx(0, abs=1e-4)
    assert found["200", "1"].off_plane_mm is None


@pytest.mark.parametrize(("off", "expected"), [(0.49, AGREES), (0.51, ("differs", ("off_plane",)))])
def test_contour_beyond_half_a_slice_differs(tmp_path: Path, off: float, expected) -> None:
    rt = structure_set([contour(square(2), named(2)), contour(square(2 - off), named(2))])
    found = agreements(tmp_path, [*ct_stack(), rt])
    assert of_source(found, "200") == {**ALL_AGREE, "3": expected}
    assert found["200", "3"].off_plane_mm == pytest.approx(off * STEP_MM, abs=1e-4)


def test_contour_that_leaves_its_slice_by_one_point_differs(tmp_path: Path) -> None:
    points = square(2)
    points[1][2] += 2.0
    assert of_source(agreements(tmp_path, [*ct_stack(), structure_set([contour(points, named(2))])]), "200")["3"] == (
        "differs", ("off_plane",),
    )  # fmt: skip


def test_contour_that_names_no_slice_is_compared_with_the_nearest(tmp_path: Path) -> None:
    rt = structure_set([contour(square(3.1)), contour(square(7))])
    found = agreements(tmp_path, [*ct_stack(), rt])
    assert of_source(found, "200") == {**ALL_AGREE, "5": ("differs", ("off_plane",))}
    assert found["200", "4"].off_plane_mm == pytest.approx(0.1 * STEP_MM, abs=1e-4)


def test_points_and_curves_through_space_may_lie_anywhere(tmp_path: Path) -> None:
    rt = structure_set([contour([[0, 0, 500]], kind="POINT"), contour(square(9), kind="OPEN_NONPLANAR")])
    assert of_source(agreements(tmp_path, [*ct_stack(), rt]), "200") == ALL_AGREE


def test_contour_of_a_slice_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    rt = structure_set([contour(square(9), named(9))])
    assert of_source(agreements(tmp_path, [*ct_stack(), rt]), "200") == ALL_AGREE


def test_structure_set_in_another_frame_of_reference_differs(tmp_path: Path) -> None:
    rt = structure_set([contour(square(2), named(2))], frame="2.25.901")
    found = of_source(agreements(tmp_path, [*ct_stack(), rt]), "200")
    assert set(found.values()) == {("differs", ("frame_of_reference_differs",))}


def test_region_in_another_frame_of_reference_than_its_slices_differs(tmp_path: Path) -> None:
    rt = structure_set([contour(square(2), named(2))])
    rt.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "2.25.901"
    found = of_source(agreements(tmp_path, [*ct_stack(), rt]), "200")
    assert found == {**ALL_AGREE, "3": ("differs", ("frame_of_reference_differs",))}


def test_contours_that_cannot_be_read_are_not_checked(tmp_path: Path) -> None:
    broken = contour(square(2), named(2))
    broken.ContourData = [0, 0, 1, 2]
    found = of_source(agreements(tmp_path, [*ct_stack(), structure_set([broken])]), "200")
    assert found == {**ALL_AGREE, "3": ("not_checked", ("unreadable",))}
    del broken.ContourImageSequence
    found = of_source(agreements(tmp_path, [*ct_stack(), structure_set([broken])]), "200")
    assert set(found.values()) == {("not_checked", ("unreadable",))}


def test_contours_beside_one_that_cannot_be_read_are_compared(tmp_path: Path) -> None:
    broken = contour(square(2), named(2))
    broken.ContourData = [0, 0, 1, 2]
    rt = structure_set([broken, contour(square(3.7), named(3)), contour(square(4), named(4))])
    found = of_source(agreements(tmp_path, [*ct_stack(), rt]), "200")
    assert found == {**ALL_AGREE, "3": ("not_checked", ("unreadable",)), "4": ("differs", ("off_plane",))}


@pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
def test_contour_with_a_point_that_is_no_number_is_not_checked(tmp_path: Path, value: str) -> None:
    broken = contour(square(2), named(2))
    broken.ContourData = ["0", "0", value, "1", "0", "0", "1", "1", "0"]
    found = of_source(agreements(tmp_path, [*ct_stack(), structure_set([broken])]), "200")
    assert found == {**ALL_AGREE, "3": ("not_checked", ("unreadable",))}


# ------------------------------------------------------------------ other objects


@pytest.mark.parametrize(
    ("frame", "expected"), [(FRAME, AGREES), ("2.25.901", ("differs", ("frame_of_reference_differs",)))]
)
def test_dose_has_to_share_the_frame_of_reference_of_its_structures(tmp_path: Path, frame: str, expected) -> None:
    rt = structure_set([contour(square(2), named(2))])
    named_set = item(ReferencedSOPClassUID=rt.SOPClassUID, ReferencedSOPInstanceUID="2.25.200")
    dose = instance(RTDOSE, 400, 5, "RTDOSE", ReferencedStructureSetSequence=[named_set])
    dose.FrameOfReferenceUID = frame
    assert told(agreements(tmp_path, [rt, dose])) == {("400", "200"): expected}


def test_slices_may_name_a_localizer_of_another_frame_of_reference(tmp_path: Path) -> None:
    stack = ct_stack(2)
    stack[1].FrameOfReferenceUID = "2.25.901"
    stack[0].ReferencedImageSequence = [named(1)]
    assert agreements(tmp_path, stack) == {}


# ------------------------------------------------------------------ slices


def attributes(**values: object) -> SliceAttributes:
    return SliceAttributes("", "", "", **{"position": (1, 2, 3), "orientation": (1, 0, 0, 0, 1, 0), **values})


def test_plane_needs_position_and_directions_that_span_one() -> None:
    plane = plane_of(attributes())
    assert plane is not None
    assert plane.normal.tolist() == [0, 0, 1] and plane.position.tolist() == [1, 2, 3]
    for broken in ({"position": None}, {"orientation": None}, {"orientation": (1, 0, 0, 1, 0, 0)}):
        assert plane_of(attributes(**broken)) is None


def test_distance_of_slices_is_the_median_and_sees_no_duplicates() -> None:
    planes = [plane_of(attributes(position=(0, 0, z))) for z in (0, 3, 3.0004, 6, 9, 20)]
    assert slice_distance(planes, np.array([0, 0, 1.0])) == pytest.approx(3)
    assert slice_distance(planes[:1], np.array([0, 0, 1.0])) is None
