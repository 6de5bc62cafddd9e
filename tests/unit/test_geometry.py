"""Series geometry against synthetic series of known truth, and against SimpleITK on real ones."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections import defaultdict
from dataclasses import fields, replace
from pathlib import Path

import jsonschema
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.geometry import GOAL_SECONDS, shuffled_series
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.geometry import (
    CtGeometry,
    Duplicate,
    Gap,
    GeometrySettings,
    StackFigures,
    measure_series,
)
from phi_deid_pipeline.metadata_extract import slice_attributes
from synthetic_stacks import (
    AXIAL,
    CORONAL,
    DEFAULTS,
    FLAG,
    SCHEMA,
    carry_out,
    linear,
    measured,
    odd,
    regular,
    stack,
    steps,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


# --- regular stacks -----------------------------------------------------------------------------------------------


def test_regular_stack_has_exact_figures_and_needs_no_resampling():
    result = measured(stack(regular(20)))
    assert odd(result) == set()
    assert (result.num_slices, result.num_positions, result.series_num_instances) == (20, 20, 20)
    assert (result.z_spacing_mean, result.z_spacing_std) == (2.0, 0.0)
    assert (result.z_spacing_min, result.z_spacing_median, result.z_spacing_max) == (2.0, 2.0, 2.0)
    assert result.orientation_matrix == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    assert result.orientation_code == "LPS"
    assert result.origin == (-50.0, -60.0, 100.0)
    assert result.volume_extent_mm == (16 * 1.25, 12 * 1.5, 40.0)
    assert (result.shear_angle_deg, result.shear, result.in_plane_deviation_mm) == (0.0, (0.0, 0.0), 0.0)
    assert result.is_uniform_spacing is True and result.spacing_tolerance == 0.02
    assert result.requires_resampling is False
    grid = result.target_grid
    assert (grid.spacing, grid.size, grid.origin) == ((1.25, 1.5, 2.0), (16, 12, 20), result.origin)
    assert grid.direction == result.direction == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    assert (result.pixel_spacing_source, result.spacing_between_slices_measured) == ("PixelSpacing", 2.0)
    assert steps(result) == ["order_slices", "rescale_to_hu", "clip_hu"]
    rescale = result.recommended_preprocessing_pipeline[1].parameters
    assert rescale == {"slope": 1.0, "intercept": -1024.0, "per_slice": False, "unit": "HU"}


def test_single_slice_has_thickness_as_depth_and_no_spacing():
    result = measured(stack([0.0]))
    assert odd(result) == {FLAG.SINGLE_SLICE}
    assert result.z_spacing_mean is None and result.z_spacing_std is None and result.is_uniform_spacing is None
    assert result.shear_angle_deg is None
    assert result.volume_extent_mm == (20.0, 18.0, 2.0)
    assert result.stacks[0].kind == "single_slice" and result.requires_resampling is False
    assert "rescale_to_hu" in steps(result)


def test_no_slices_are_refused():
    with pytest.raises(ValueError, match="without slices"):
        measure_series([], DEFAULTS)


@pytest.mark.parametrize(
    ("orientation", "code", "flags"),
    [
        (AXIAL, "LPS", set()),
        ((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "RPI", set()),
        (CORONAL, "LIP", {FLAG.NON_AXIAL}),
        ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), "PIR", {FLAG.NON_AXIAL}),
        ((math.cos(0.3), math.sin(0.3), 0.0, -math.sin(0.3), math.cos(0.3), 0.0), "LPS", {FLAG.OBLIQUE}),
    ],
)
def test_orientation_is_named_and_spacing_measured_along_the_normal(orientation, code, flags):
    result = measured(stack(regular(6), orientation=orientation))
    assert odd(result) == flags
    assert (result.orientation_code, result.z_spacing_mean, result.z_spacing_std) == (code, 2.0, 0.0)
    assert ("reorient" in steps(result)) == (FLAG.NON_AXIAL in flags)


# --- what is odd --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-30.0, -18.5, -1.0, 0.5, 7.25, 18.5, 30.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_gantry_tilt_is_measured_from_positions(degrees, axis):
    shear = [0.0, 0.0]
    shear[axis] = math.tan(math.radians(degrees))
    result = measured(stack(regular(20), shear=tuple(shear), gantry_tilt=degrees))
    assert odd(result) == {FLAG.GANTRY_TILT}
    assert result.shear_angle_deg == pytest.approx(abs(degrees), abs=1e-5)
    assert result.shear == pytest.approx(shear, abs=1e-6)
    assert (result.z_spacing_mean, result.z_spacing_std, result.is_uniform_spacing) == (2.0, 0.0, True)
    assert result.requires_resampling is True
    assert steps(result) == ["order_slices", "rescale_to_hu", "clip_hu", "deshear", "resample"]


def test_stored_tilt_without_sheared_positions_is_no_tilt():
    result = measured(stack(regular(20), gantry_tilt=12.0))
    assert odd(result) == {FLAG.TILT_ONLY_STORED} and result.requires_resampling is False


def test_stored_tilt_that_positions_contradict_is_flagged():
    result = measured(stack(regular(20), shear=(0.0, math.tan(math.radians(10))), gantry_tilt=12.0))
    assert odd(result) == {FLAG.GANTRY_TILT, FLAG.TILT_DISAGREES}


@pytest.mark.parametrize(
    ("gone", "gaps"),
    [
        ([5], (Gap(8.0, 12.0, 1),)),
        ([5, 6], (Gap(8.0, 14.0, 2),)),
        ([1, 10, 18], (Gap(0.0, 4.0, 1), Gap(18.0, 22.0, 1), Gap(34.0, 38.0, 1))),
    ],
)
def test_missing_slices_are_located(gone, gaps):
    result = measured(stack([depth for index, depth in enumerate(regular(20)) if index not in gone]))
    assert odd(result) == {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES}
    assert result.stacks[0].gaps == gaps
    assert result.is_uniform_spacing is False and result.requires_resampling is True
    assert (result.z_spacing_median, result.z_spacing_max) == (2.0, 2.0 * (1 + max(gap.missing for gap in gaps)))
    assert result.target_grid.size == (16, 12, 20)
    assert "restore_missing_slices" in steps(result) and "split_at_gaps" not in steps(result)


def test_gap_too_wide_to_fill_splits_the_advice():
    result = measured(stack([*regular(10), *[100.0 + depth for depth in regular(30)]]))
    assert odd(result) == {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES}
    split = next(step for step in result.recommended_preprocessing_pipeline if step.step == "split_at_gaps")
    assert split.parameters["parts_mm"] == [[0.0, 18.0], [100.0, 158.0]]
    assert result.target_grid.size == (16, 12, 30) and result.target_grid.origin == (-50.0, -60.0, 200.0)


@pytest.mark.parametrize(
    ("gaps", "change", "needed"),
    [
        ([2.0] * 9, {}, set()),
        ([2.0] * 4 + [4.0] + [2.0] * 4, {}, {"interpolate_slices", "resample"}),
        ([2.0] * 9, {"shear": (0.0, 0.3)}, {"deshear", "resample"}),
        ([2.0] * 9, {"orientation": (1.0, 0.0, 0.0, 0.01, 0.99995, 0.0)}, {"deshear", "resample"}),
    ],
)
def test_what_a_split_mends_is_not_resampled(gaps, change, needed):
    depths = [*itertools.accumulate([0.0, *gaps]), 300.0, 302.0, 305.0]
    result = measured(stack(depths, **change))
    required = {step.step for step in result.recommended_preprocessing_pipeline if step.required}
    assert required == {"order_slices", "split_at_gaps", "rescale_to_hu", *needed}
    assert result.requires_resampling is bool(needed)


def test_shifted_slices_outside_the_longest_part_need_no_resampling():
    slices = stack([*regular(10), 100.0, 102.0])
    x, y, z = slices[10].position
    slices[10] = replace(slices[10], position=(x + 2.5, y, z))
    result = measured(slices)
    assert FLAG.SHIFTED_SLICES in result.flags and result.requires_resampling is False
    assert not {"align_slices", "resample"} & set(steps(result))


def test_slices_that_all_stand_apart_make_no_volume_and_nothing_to_resample():
    slices = [*stack([0.0, 2.0], slice_thickness=1.0), *stack([90.0, 91.0], uid="t")]
    result = measured([slices[0], slices[2]], max_filled_slices=-1)
    assert "split_at_gaps" in steps(result) and result.target_grid is None and result.requires_resampling is False


def test_resampling_to_the_grid_that_is_there_is_not_advised():
    result = measured(stack(regular(6)), target_spacing_mm=(1.25, 1.5, 2.0))
    assert "resample" not in steps(result) and "sitk.Resample" not in result.simpleitk
    assert result.target_grid.spacing == (1.25, 1.5, 2.0)


def test_thick_and_thin_slices_in_one_stack_are_no_missing_slices():
    # The first thick slice touches the last thin one: 3 mm from centre to centre.
    thin = stack(regular(20, 1.0), uid="a", slice_thickness=1.0)
    thick = stack([19.0 + 3.0 + depth for depth in regular(3, 5.0)], uid="b", slice_thickness=5.0)
    result = measured(thin + thick)
    assert FLAG.MISSING_SLICES not in result.flags and result.stacks[0].gaps == ()
    assert {FLAG.NON_UNIFORM_SPACING, FLAG.MIXED_THICKNESS} <= set(result.flags)


def test_frames_of_one_instance_are_compared_by_their_own_digests():
    slices = [
        replace(one, sop_uid="2.25.5", frame=i, number_of_frames=3) for i, one in enumerate(stack([0.0, 2.0, 2.0]))
    ]
    result = measured(slices, pixel_digest=lambda one: "a")
    assert odd(result) == {FLAG.DUPLICATE_POSITIONS, FLAG.MULTI_FRAME}
    assert result.stacks[0].duplicates == (Duplicate(2.0, 2, "identical"),)


def test_missing_slice_of_overlapping_slices_is_missing_though_its_neighbours_touch():
    result = measured(stack([depth for depth in regular(20, 1.0) if depth != 7.0]))
    assert odd(result) == {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES, FLAG.OVERLAPPING_SLICES}
    assert result.stacks[0].gaps == (Gap(6.0, 8.0, 1),)


def test_run_of_equal_wide_gaps_is_another_spacing_even_without_thickness():
    depths = [*regular(20, 1.0), *[19.0 + 3 + depth for depth in regular(5, 3.0)]]
    result = measured(stack(depths, slice_thickness=None))
    assert FLAG.MISSING_SLICES not in result.flags and FLAG.NON_UNIFORM_SPACING in result.flags


@pytest.mark.parametrize("digests", [("", ""), ("a", "a"), ("a", "b")])
def test_duplicate_positions_are_counted_and_their_pixels_compared_where_known(digests):
    slices = stack(regular(20))
    slices.append(replace(slices[7], sop_uid="2.25.x"))
    known = dict(zip((slices[7].sop_uid, "2.25.x"), digests, strict=True))
    result = measured(slices, pixel_digest=lambda one: known[one.sop_uid])  # no other slice is asked for
    differ = {FLAG.DUPLICATES_DIFFER} if digests == ("a", "b") else set()
    assert odd(result) == {FLAG.DUPLICATE_POSITIONS} | differ
    assert (result.num_slices, result.num_positions, result.is_uniform_spacing) == (21, 20, True)
    verdict = {("", ""): "not_compared", ("a", "a"): "identical", ("a", "b"): "different"}[digests]
    assert result.stacks[0].duplicates == (Duplicate(14.0, 2, verdict),)
    assert result.requires_resampling is False
    assert ("choose_slices" if differ else "drop_duplicates") in steps(result)
    # Which of two different slices belongs to the volume is for a person to say.
    assert (result.target_grid is None, result.simpleitk == "") == (bool(differ), bool(differ))
    assert any("14 mm" in reason for reason in result.reasons)


@pytest.mark.parametrize("amplitude", [0.001, 0.003, 0.009, 0.011, 0.05, 0.2, 1.0])
def test_jitter_along_the_normal_is_non_uniform_beyond_the_tolerance_and_nothing_else(amplitude):
    # Alternating offsets: every gap is off the median by exactly the amplitude.
    depths = [depth + (amplitude if index % 2 else 0.0) for index, depth in enumerate(regular(21, 4.0))]
    result = measured(stack(depths, slice_thickness=4.0), spacing_tolerance_relative=0.0, isotropic_ratio=9.0)
    assert result.is_uniform_spacing is (amplitude <= 0.01)
    assert odd(result) - {FLAG.OVERLAPPING_SLICES, FLAG.GAPPED_SLICES} == (
        set() if amplitude <= 0.01 else {FLAG.NON_UNIFORM_SPACING}
    )
    assert result.z_spacing_std == pytest.approx(amplitude, abs=1e-6)
    assert (result.z_spacing_min, result.z_spacing_max) == pytest.approx((4 - amplitude, 4 + amplitude), abs=1e-6)


@given(st.integers(0, 10**6), st.sampled_from([0.001, 0.01, 0.05, 0.1, 0.5, 1.0]), st.integers(10, 40))
@settings(max_examples=60, deadline=None)
def test_random_jitter_gives_no_flag_but_non_uniform_spacing(seed, amplitude, count):
    noise = random.Random(seed)
    depths = [depth + noise.uniform(-amplitude, amplitude) for depth in regular(count, 3.0)]
    result = measure_series(stack(depths, slice_thickness=None), replace(DEFAULTS, isotropic_ratio=9.0))
    gaps = np.diff(sorted(depths))
    tolerance = max(0.01, 0.01 * float(np.median(gaps)))
    off = max(
        np.max(np.abs(gaps - np.median(gaps))),
        np.max(np.abs(sorted(depths) - np.linspace(depths[0], depths[-1], count))),
    )
    assert set(result.flags) - {FLAG.MISSING_ATTRIBUTES, FLAG.NON_SQUARE_PIXELS} == (
        {FLAG.NON_UNIFORM_SPACING} if off > tolerance + 1e-6 else set()
    )


@pytest.mark.parametrize(("amplitude", "shifted"), [(0.01, False), (0.05, False), (0.5, True), (1.0, True)])
def test_slices_off_the_line_are_shifted_and_not_tilted(amplitude, shifted):
    noise = random.Random(7)
    slices = [
        replace(one, position=(one.position[0] + noise.uniform(-amplitude, amplitude), *one.position[1:]))
        for one in stack(regular(30))
    ]
    result = measured(slices)
    assert odd(result) == ({FLAG.SHIFTED_SLICES} if shifted else set())
    assert result.requires_resampling is shifted and ("align_slices" in steps(result)) is shifted


def test_one_shifted_slice_does_not_bend_the_line():
    slices = stack(regular(20))
    slices[19] = replace(slices[19], position=(-40.0, *slices[19].position[1:]))
    result = measured(slices)
    assert odd(result) == {FLAG.SHIFTED_SLICES} and result.shear == (0.0, 0.0)
    align = next(step for step in result.recommended_preprocessing_pipeline if step.step == "align_slices")
    assert align.parameters["position_and_shift_mm"] == [[38.0, 10.0, 0.0]]


def test_drift_within_each_gap_but_off_the_regular_grid_is_non_uniform():
    depths = list(itertools.accumulate([0.0, *[2.0] * 100, *[2.015] * 100]))
    assert measured(stack(depths)).is_uniform_spacing is False


def test_thickness_against_distance_is_overlap_or_gap():
    assert odd(measured(stack(regular(9, 1.0)))) == {FLAG.OVERLAPPING_SLICES}
    assert odd(measured(stack(regular(9, 2.5)))) == {FLAG.GAPPED_SLICES}


@pytest.mark.parametrize(("stored", "agrees"), [(2.0, True), (-2.0, True), (2.01, True), (3.0, False), (0.0, False)])
def test_stored_spacing_is_compared_with_positions(stored, agrees):
    result = measured(stack(regular(9), spacing_between_slices=stored))
    assert odd(result) == (set() if agrees else {FLAG.SPACING_DISAGREES})


def test_stored_spacing_along_the_table_agrees_in_a_tilted_stack():
    tilt = math.radians(20)
    result = measured(stack(regular(9), shear=(0.0, math.tan(tilt)), spacing_between_slices=2.0 / math.cos(tilt)))
    assert odd(result) == {FLAG.GANTRY_TILT}


def test_mixed_rescale_is_applied_slice_by_slice_before_interpolation():
    slices = stack([0.0, 2.0, 4.5, 6.5])
    slices[1] = replace(slices[1], rescale_slope=2.0)
    result = measured(slices)
    assert FLAG.MIXED_RESCALE in result.flags
    rescale = next(step for step in result.recommended_preprocessing_pipeline if step.step == "rescale_to_hu")
    assert rescale.parameters["per_slice"] is True and rescale.parameters["slope"] is None
    assert steps(result).index("rescale_to_hu") < steps(result).index("interpolate_slices")


def test_other_header_facts_are_flagged_with_their_figures():
    result = measured(stack(regular(5), rescale_slope=None, rescale_type="US", pixel_padding_value=-2000))
    assert odd(result) == {FLAG.MISSING_ATTRIBUTES, FLAG.RESCALE_NOT_HU}
    assert "rescale_slope in 5" in " ".join(result.reasons)
    mask = next(step for step in result.recommended_preprocessing_pipeline if step.step == "mask_padding")
    assert mask.parameters == {"stored_value": -2000, "per_slice": False, "becomes_hu": -1024.0}
    detector = measured(stack(regular(5), pixel_spacing=None, imager_pixel_spacing=(0.5, 0.5)), isotropic_ratio=9.0)
    assert set(detector.flags) == {FLAG.SPACING_AT_DETECTOR}
    assert detector.pixel_spacing == (0.5, 0.5)


def test_a_gap_adds_to_the_extent_once():
    result = measured(stack([0.0, 202.5, 203.75, 205.0]))
    assert max(one.figures.volume_extent_mm[2] for one in result.stacks) == 206.25


@pytest.mark.parametrize(
    "spacing",
    [None, (0.0, 0.0), (-1.0, 1.0), (1e-7, 1e-7), (4e-7, 0.5), (math.inf, 1.0), (1.0, math.nan), (1e300, 1e300)],
    ids=str,
)
def test_unusable_pixel_spacing_gives_no_extent_and_no_grid(spacing):
    result = measured(stack([0.0, 2.0, 5.0], pixel_spacing=spacing))
    assert FLAG.MISSING_ATTRIBUTES in result.flags
    assert result.pixel_spacing is None and result.volume_extent_mm is None and result.target_grid is None
    assert result.requires_resampling is True and result.z_spacing_max == 3.0
    assert "resample" not in steps(result) and result.simpleitk == ""


def test_rows_and_columns_that_are_not_at_right_angles_are_flagged():
    angle = math.radians(85)
    slices = stack(regular(5), orientation=(1.0, 0.0, 0.0, math.cos(angle), math.sin(angle), 0.0))
    result = measured(slices)
    assert FLAG.NON_ORTHOGONAL in result.flags and result.requires_resampling is True
    values = sitk.GetArrayFromImage(carry_out(result, slices))
    grid = result.target_grid
    assert values.shape == tuple(reversed(grid.size)) == (5, 12, 18) and grid.direction == result.direction
    for x, y in ((3, 0), (5, 4), (12, 10)):
        point = np.array(grid.origin) + np.array([x, y, 2]) * grid.spacing
        assert values[2, y, x] == pytest.approx(float(linear(point)), abs=1e-3)


# --- several stacks -----------------------------------------------------------------------------------------------


def test_two_orientations_are_two_stacks_with_figures_of_the_larger():
    result = measured(stack(regular(5), orientation=CORONAL, uid="c") + stack(regular(8, 3.0), uid="a"))
    assert odd(result) == {FLAG.MIXED_ORIENTATION, FLAG.SEVERAL_STACKS, FLAG.NON_AXIAL, FLAG.GAPPED_SLICES}
    assert [(one.kind, one.figures.num_slices, one.figures.z_spacing_mean) for one in result.stacks] == [
        ("volume", 8, 3.0),
        ("volume", 5, 2.0),
    ]
    assert (result.num_slices, result.z_spacing_mean) == (8, 3.0)
    assert (result.series_num_instances, result.series_num_slices, result.series_num_stacks) == (13, 13, 2)
    assert steps(result)[0] == "split_stacks"
    assert result.stacks[1].sop_instance_uids == tuple(f"2.25.c{index:05d}" for index in range(5))


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"rows": 24}, FLAG.MIXED_MATRIX),
        ({"pixel_spacing": (1.0, 1.0)}, FLAG.MIXED_PIXEL_SPACING),
        ({"frame_of_reference_uid": "2.25.9"}, FLAG.MIXED_FRAME_OF_REFERENCE),
    ],
)
def test_what_must_not_differ_splits_the_series(change, flag):
    result = measured(stack(regular(8)) + stack([depth + 16 for depth in regular(4)], uid="b", **change))
    assert odd(result) == {flag, FLAG.SEVERAL_STACKS}
    assert [one.figures.num_slices for one in result.stacks] == [8, 4]


def test_rounding_of_pixel_spacing_and_orientation_does_not_split():
    slices = stack(regular(8))
    slices[3] = replace(slices[3], pixel_spacing=(1.500001, 1.25), orientation=(1.0, 0.000001, 0.0, 0.0, 1.0, 0.0))
    assert len(measured(slices).stacks) == 1


def test_localizer_is_set_apart_and_never_needs_resampling():
    scout = stack([0.0, 3.0, 10.0], orientation=CORONAL, uid="l", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    result = measured(scout + stack(regular(2)))
    assert [one.kind for one in result.stacks] == ["volume", "localizer"]
    assert FLAG.LOCALIZER in result.flags and result.requires_resampling is False and result.num_slices == 2
    assert [one.step for one in result.stacks[1].recommended_preprocessing_pipeline] == ["exclude_localizer"]


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"temporal_position": 2}, FLAG.SEVERAL_TEMPORAL_POSITIONS),
        ({"acquisition_number": 2}, FLAG.SEVERAL_ACQUISITIONS),
        ({"image_type": ("DERIVED", "SECONDARY", "AXIAL")}, FLAG.MIXED_IMAGE_TYPE),
        ({"convolution_kernel": ("B70s",)}, FLAG.MIXED_KERNEL),
    ],
)
def test_phases_over_the_same_positions_are_stacks_of_their_own(change, flag):
    result = measured(
        stack(regular(8), temporal_position=1) + stack(regular(8), uid="b", **{"temporal_position": 1, **change})
    )
    assert odd(result) == {FLAG.SEVERAL_STACKS, flag}
    assert [one.figures.num_slices for one in result.stacks] == [8, 8]


def test_acquisitions_that_follow_each_other_stay_one_volume():
    result = measured(stack(regular(8)) + stack([depth + 16 for depth in regular(8)], uid="b", acquisition_number=2))
    assert odd(result) == set() and result.num_slices == 16


def test_acquisitions_that_are_even_alone_and_not_together_are_stacks_of_their_own():
    two = stack([50.0 + depth for depth in regular(6, 5.0)], uid="b", acquisition_number=2)
    result = measured(stack(regular(8)) + two)
    assert {FLAG.SEVERAL_ACQUISITIONS, FLAG.SEVERAL_STACKS, FLAG.NON_UNIFORM_SPACING} <= set(result.flags)
    assert [(one.figures.num_slices, one.figures.z_spacing_mean) for one in result.stacks] == [(8, 2.0), (6, 5.0)]
    assert result.requires_resampling is False and "follow each other" in " ".join(result.reasons)


def test_a_number_for_every_table_position_and_a_missing_slice_leave_one_volume():
    slices = [replace(one, acquisition_number=index) for index, one in enumerate(stack(regular(12)))]
    assert len(measured(slices).stacks) == 1
    del slices[5]
    assert odd(measured(slices)) == {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES}
    halves = stack(regular(6)) + stack([depth + 14 for depth in regular(5)], uid="b", acquisition_number=2)
    del halves[8]
    assert odd(measured(halves)) == {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES}


def test_a_phase_with_a_duplicate_of_its_own_is_still_a_phase():
    first, second = stack(regular(8)), stack(regular(8), uid="b", acquisition_number=2)
    result = measured([*first, *second, replace(second[3], sop_uid="2.25.x")])
    assert odd(result) == {FLAG.SEVERAL_STACKS, FLAG.SEVERAL_ACQUISITIONS, FLAG.DUPLICATE_POSITIONS}
    assert [(one.figures.num_slices, one.figures.num_positions) for one in result.stacks] == [(9, 8), (8, 8)]


@pytest.mark.parametrize("field", ["image_type", "temporal_position"])
def test_image_types_and_temporal_positions_always_part(field):
    value = {"image_type": ("DERIVED", "SECONDARY", "AXIAL"), "temporal_position": 2}[field]
    flag = {"image_type": FLAG.MIXED_IMAGE_TYPE, "temporal_position": FLAG.SEVERAL_TEMPORAL_POSITIONS}[field]
    result = measured(stack(regular(8)) + stack([depth + 16 for depth in regular(4)], uid="b", **{field: value}))
    assert odd(result) == {flag, FLAG.SEVERAL_STACKS} and [len(one.sop_instance_uids) for one in result.stacks] == [
        8,
        4,
    ]


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({"bits_stored": 8}, {FLAG.LOW_BIT_DEPTH}),
        ({"photometric_interpretation": "MONOCHROME1"}, {FLAG.NOT_MONOCHROME2}),
        ({"photometric_interpretation": "RGB", "samples_per_pixel": 3}, {FLAG.NOT_MONOCHROME2}),
        ({"pixel_padding_value": -2000}, set()),
    ],
)
def test_pixel_facts_are_flagged_whether_all_or_some_slices_have_them(change, flags):
    everywhere = measured(stack(regular(5), **change))
    assert odd(everywhere) == flags
    slices = stack(regular(5))
    slices[2] = replace(slices[2], **change)
    mixed = FLAG.MIXED_PADDING if "pixel_padding_value" in change else FLAG.MIXED_PIXEL_FORMAT
    assert odd(measured(slices)) == flags | {mixed}


def test_rescale_that_varies_is_said_in_the_figures():
    slices = stack(regular(5))
    assert measured(slices).rescale_varies is False
    slices[1] = replace(slices[1], rescale_intercept=-1000.0)
    result = measured(slices)
    assert result.rescale_varies is True and odd(result) == {FLAG.MIXED_RESCALE}


@pytest.mark.parametrize(
    "change", [{"position": None}, {"orientation": None}, {"orientation": (0.0,) * 6}, {"position": (1.0,)}]
)
def test_slices_without_a_place_are_set_apart_and_named(change):
    slices = stack(regular(6))
    slices[2:4] = [replace(one, **change) for one in slices[2:4]]
    result = measured(slices)
    assert [(one.kind, one.figures.num_slices) for one in result.stacks] == [("volume", 4), ("unplaced", 2)]
    assert FLAG.MISSING_ATTRIBUTES in result.flags
    alone = measured(slices[2:4])
    assert alone.stacks[0].kind == "unplaced" and alone.z_spacing_mean is None and alone.requires_resampling is False
    assert steps(alone) == ["restore_positions", "rescale_to_hu", "clip_hu"]


# --- invariance ---------------------------------------------------------------------------------------------------


def messy():
    """Return a series with nearly everything wrong: tilt, gap, duplicate, second orientation, localizer, unplaced."""
    tilted = stack([*regular(6), 14.0, 16.0, 18.5], shear=(0.0, 0.3), uid="a")
    return [
        *tilted,
        replace(tilted[2], sop_uid="2.25.d"),
        *stack(regular(3), orientation=CORONAL, uid="c"),
        *stack([0.0], uid="l", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")),
        *stack([5.0], uid="u", position=None),
    ]


@given(st.permutations(range(len(messy()))))
@settings(max_examples=40, deadline=None)
def test_order_of_slices_does_not_matter(order):
    slices = messy()
    assert measure_series([slices[index] for index in order], DEFAULTS) == measure_series(slices, DEFAULTS)


_SCALARS = (
    "num_slices", "num_positions", "z_spacing_mean", "z_spacing_median", "z_spacing_std", "z_spacing_min",
    "z_spacing_max", "volume_extent_mm", "shear_angle_deg", "in_plane_deviation_mm", "is_uniform_spacing",
)  # fmt: skip


@given(
    st.lists(st.sampled_from([1.0, 2.0, 2.0, 2.0, 3.5, 4.0]), min_size=2, max_size=20),
    st.floats(-0.5, 0.5, allow_subnormal=False),
    st.sampled_from(list(itertools.product((1, -1), repeat=2))),
)
@settings(max_examples=60, deadline=None)
def test_flipped_directions_give_the_same_figures_and_flags(gaps, shear, signs):
    depths = list(itertools.accumulate([0.0, *gaps]))
    first = measure_series(stack(depths, shear=(0.0, shear)), DEFAULTS)
    flipped = tuple(value * sign for sign, part in zip(signs, (AXIAL[:3], AXIAL[3:]), strict=True) for value in part)
    second = measure_series([replace(one, orientation=flipped) for one in stack(depths, shear=(0.0, shear))], DEFAULTS)
    assert set(first.flags) == set(second.flags)
    assert first.requires_resampling == second.requires_resampling
    for name in _SCALARS:
        assert getattr(first, name) == pytest.approx(getattr(second, name), abs=2e-6), name


@given(
    st.floats(-3.1, 3.1, allow_subnormal=False),
    st.floats(-1.5, 1.5, allow_subnormal=False),
    st.floats(-3.1, 3.1, allow_subnormal=False),
)
@settings(max_examples=40, deadline=None)
def test_turning_the_patient_gives_the_same_figures(a, b, c):
    turn = np.array(sitk.Euler3DTransform((0, 0, 0), a, b, c).GetMatrix()).reshape(3, 3)
    depths, shear = [0.0, 2.0, 4.0, 8.0, 10.0, 12.5], (0.1, -0.2)
    still = stack(depths, shear=shear)
    turned = [
        replace(
            one,
            position=tuple((turn @ one.position).tolist()),
            orientation=(*(turn @ one.orientation[:3]).tolist(), *(turn @ one.orientation[3:]).tolist()),
        )
        for one in still
    ]
    first, second = measure_series(still, DEFAULTS), measure_series(turned, DEFAULTS)
    place = {FLAG.OBLIQUE, FLAG.NON_AXIAL}
    assert set(first.flags) - place == set(second.flags) - place
    for name in _SCALARS:
        assert getattr(first, name) == pytest.approx(getattr(second, name), abs=2e-6), name


def test_new_names_change_names_only():
    slices = messy()
    names = {one.sop_uid: f"2.25.9{index}" for index, one in enumerate(reversed(slices))}
    renamed = measure_series([replace(one, sop_uid=names[one.sop_uid]) for one in slices], DEFAULTS)
    first = measure_series(slices, DEFAULTS)
    assert renamed.reasons == first.reasons and renamed.flags == first.flags
    assert renamed.recommended_preprocessing_pipeline == first.recommended_preprocessing_pipeline
    assert [one.figures for one in renamed.stacks] == [one.figures for one in first.stacks]


def test_five_thousand_slices_shuffled_are_measured_exactly():
    slices = stack(regular(5000, 0.5), slice_thickness=0.5)
    random.Random(1).shuffle(slices)
    result = measured(slices, isotropic_ratio=9.0)
    assert odd(result) == set() and (result.num_positions, result.z_spacing_std) == (5000, 0.0)
    del slices[1234]
    assert FLAG.MISSING_SLICES in measured(slices, isotropic_ratio=9.0).flags


def test_a_thousand_slices_take_less_than_two_seconds_of_one_core_once_headers_are_read():
    slices = shuffled_series(1000, shear=0.3, jitter=0.2)
    start = time.process_time()
    result = measure_series(slices, DEFAULTS)
    assert time.process_time() - start < GOAL_SECONDS
    assert (result.num_positions, len(result.stacks)) == (1000, 1) and FLAG.GANTRY_TILT in result.flags


# --- advice carried out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)])
@pytest.mark.parametrize("shear", [(0.0, 0.0), (0.0, 0.33), (-0.25, 0.1)])
@pytest.mark.parametrize("gaps", [[2.0] * 9, [2.0] * 4 + [4.0] + [2.0] * 4, [2.0, 2.0, 2.1, 1.7, 2.0, 2.0, 3.0, 2.0]])
def test_recommended_code_gives_the_stated_grid_with_true_values(orientation, shear, gaps):
    depths = list(itertools.accumulate([0.0, *gaps]))
    slices = stack(depths, shear=shear, orientation=orientation)
    result = measured(slices)
    needed = shear != (0.0, 0.0) or set(gaps) != {2.0}
    assert result.requires_resampling is needed and ("sitk.Resample" in result.simpleitk) is needed
    image, grid = carry_out(result, slices), result.target_grid
    assert image.GetSize() == grid.size
    assert image.GetOrigin() == pytest.approx(grid.origin) and image.GetSpacing() == pytest.approx(grid.spacing)
    assert image.GetDirection() == pytest.approx(grid.direction)
    values = sitk.GetArrayFromImage(image)
    direction = np.array(grid.direction).reshape(3, 3)
    z, y, x = np.meshgrid(*(np.arange(size) for size in reversed(grid.size)), indexing="ij")
    points = np.array(grid.origin) + (np.stack([x, y, z], axis=-1) * grid.spacing) @ direction.T
    # Inside: where the stack was acquired, the shear taken back.
    local = (points - np.array(slices[0].position)) @ np.array(result.orientation_matrix).T
    u, v, depth = local[..., 0] - shear[0] * local[..., 2], local[..., 1] - shear[1] * local[..., 2], local[..., 2]
    inside = (u >= 0) & (u <= 15 * 1.25) & (v >= 0) & (v <= 11 * 1.5) & (depth <= depths[-1])
    assert inside.mean() > 0.4
    assert np.max(np.abs(values - linear(points))[inside]) < 0.01
    outside = (u < -1.25) | (u > 16 * 1.25) | (v < -1.5) | (v > 12 * 1.5)
    assert outside.any() == (shear != (0.0, 0.0)) and np.all(values[outside] == -1024)
    # Nothing acquired lies outside the grid.
    row, column, _ = np.array(result.orientation_matrix)
    corners = [np.array(one.position) + a * 15 * 1.25 * row + b * 11 * 1.5 * column
               for one in slices for a in (0, 1) for b in (0, 1)]  # fmt: skip
    for corner in corners:
        index = np.array(image.TransformPhysicalPointToContinuousIndex(corner.tolist()))
        assert np.all(index > -0.011) and np.all(index < np.array(grid.size) - 1 + 0.011)


def test_anisotropy_is_advised_on_and_required_only_where_configured():
    slices = stack(regular(5, 5.0), slice_thickness=5.0)
    free = measured(slices)
    assert odd(free) == {FLAG.ANISOTROPIC} and free.requires_resampling is False
    resample = free.recommended_preprocessing_pipeline[-1]
    assert (resample.step, resample.required, resample.parameters["spacing"]) == ("resample", False, [1.5, 1.5, 1.5])
    forced = measured(slices, resample_anisotropic=True)
    assert forced.requires_resampling is True and forced.recommended_preprocessing_pipeline[-1].required is True


@pytest.mark.parametrize(
    "orientation",
    [CORONAL, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (0.0, -1.0, 0.0, 0.0, 0.0, 1.0), (-0.8, 0.6, 0, 0, 0, -1.0)],
)
def test_reoriented_grid_is_the_one_that_simpleitk_gives(orientation):
    slices = stack(regular(6), orientation=tuple(map(float, orientation)))
    result = measured(slices)
    image, grid = carry_out(result, slices), result.target_grid
    assert "DICOMOrient" in result.simpleitk and steps(result)[-1] == "reorient"
    assert image.GetSize() == grid.size and image.GetSpacing() == pytest.approx(grid.spacing)
    assert image.GetOrigin() == pytest.approx(grid.origin, abs=1e-5)
    assert image.GetDirection() == pytest.approx(grid.direction, abs=1e-6)


@pytest.mark.parametrize("places", [[4], [0, 5, 11]])
def test_shifted_slices_are_put_back_by_the_recommended_code(places):
    slices = stack(regular(12))
    for index in places:
        x, y, z = slices[index].position
        slices[index] = replace(slices[index], position=(x + 2.5, y - 3.0, z))
    result = measured(slices)
    assert odd(result) == {FLAG.SHIFTED_SLICES} and "align_slices" in steps(result)
    values, grid = sitk.GetArrayFromImage(carry_out(result, slices)), result.target_grid
    for z in range(12):
        point = np.array(grid.origin) + np.array([6, 6, z]) * grid.spacing
        assert values[z, 6, 6] == pytest.approx(float(linear(point)), abs=1e-3)


def test_configured_target_spacing_is_used():
    result = measured(stack(regular(6)), target_spacing_mm=(1.0, 1.0, 1.0))
    assert result.target_grid.spacing == (1.0, 1.0, 1.0) and result.target_grid.size == (20, 18, 11)
    assert result.requires_resampling is False


def test_settings_come_from_configuration_and_ignore_other_keys():
    config = {"spacing_tolerance_mm": 0.5, "hu_clip": [-500, 500], "resample": True}
    assert GeometrySettings.from_config(config) == replace(DEFAULTS, spacing_tolerance_mm=0.5, hu_clip=(-500, 500))


# --- schema -------------------------------------------------------------------------------------------------------


def test_schema_names_exactly_the_fields_and_flags():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    definitions = SCHEMA["$defs"]
    assert definitions["flag"]["enum"] == [flag.value for flag in FLAG]
    assert list(definitions["figures"]["properties"]) == [one.name for one in fields(StackFigures)]
    assert list(definitions["series"]["properties"]) == [*(one.name for one in fields(CtGeometry)), "series_incomplete"]
    assert list(SCHEMA["properties"]["settings"]["properties"]) == [one.name for one in fields(GeometrySettings)]
    assert all("description" in one for one in definitions["series"]["properties"].values())


# --- real series --------------------------------------------------------------------------------------------------

# Folder below the shared data: slices, positions, smallest and largest distance, shear in degrees, and exactly those of
# the flags that force resampling.
REAL = {
    "pymedphys-fluence/collapsedcone/dicom/fluence.zip/fluence": (303, 303, 2.0, 2.0, 0.0, set()),
    "ibsi2-phantom/ibsi2_phase_1/orientation": (64, 64, 2.0, 2.0, 0.0, set()),
    "pymedphys-water/tests/dicom/data/ct/lfs-water_phantom.zip": (24, 24, 1.0, 1.0, 0.0, set()),
    # By Image Type a stack of 4 mm through the base of the skull and one of 7 mm above; together they are not uniform.
    "dcm_qa_ct-GE/GE": (14, 14, 6.998629, 6.998629, 18.5, {FLAG.NON_UNIFORM_SPACING, FLAG.GANTRY_TILT}),
    "dicom2nifti/failing/sliceincrement/001": (4, 4, 5.0, 10.0, 0.0, {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES}),
    "dicom2nifti/failing/gantrytilting/001": (4, 4, 4.851479, 4.851479, 14.0, {FLAG.GANTRY_TILT}),
    "dcmqi/ct-3slice": (3, 3, 1.0, 1.0, 0.0, set()),
}


def real_series(folder):
    """Return path -> slices of the CT instances of a folder's largest series, or skip."""
    base = SHARED / folder
    if not base.is_dir():
        pytest.skip("the shared data set is not here")
    groups = defaultdict(dict)
    for path in sorted(base.rglob("*")):
        if path.is_file():
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
                if header.get("Modality") == "CT":
                    slices = slice_attributes(path)
                    groups[slices[0].series_uid][path] = slices
            except (UnreadableInstance, pydicom.errors.InvalidDicomError):
                continue
    return max(groups.values(), key=len)


@pytest.mark.parametrize("folder", sorted(REAL))
def test_real_series_have_the_figures_that_their_key_states(folder):
    count, positions, low, high, shear, flags = REAL[folder]
    result = measured([one for slices in real_series(folder).values() for one in slices])
    assert (result.num_slices, result.num_positions) == (count, positions)
    assert (result.z_spacing_min, result.z_spacing_max) == pytest.approx((low, high), abs=1e-5)
    assert result.shear_angle_deg == pytest.approx(shear, abs=1e-4)
    forcing = {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES, FLAG.GANTRY_TILT, FLAG.SHIFTED_SLICES}
    assert forcing & set(result.flags) == flags
    assert result.requires_resampling is bool(flags)


@pytest.mark.parametrize("folder", sorted(folder for folder, row in REAL.items() if row[2] == row[3] and row[4] == 0.0))
def test_spacing_and_corners_agree_with_the_series_reader_of_simpleitk(folder):
    series = real_series(folder)
    result = measured([one for slices in series.values() for one in slices])
    normal = np.array(result.orientation_matrix[2])
    names = sorted(series, key=lambda path: float(np.dot(series[path][0].position, normal)))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(name) for name in names])
    image = reader.Execute()
    expected = (result.pixel_spacing[1], result.pixel_spacing[0], result.z_spacing_mean)
    assert image.GetSpacing() == pytest.approx(expected, abs=1e-5)
    assert image.GetSize() == (result.columns, result.rows, result.num_positions)
    matrix = np.array(result.orientation_matrix)
    for corner in itertools.product(*((0, size - 1) for size in image.GetSize())):
        ours = np.array(result.origin) + (np.array(corner) * expected) @ matrix
        assert image.TransformIndexToPhysicalPoint(corner) == pytest.approx(ours, abs=0.01)
