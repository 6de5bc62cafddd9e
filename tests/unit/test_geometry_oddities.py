"""Series that are odd in ways a simple look mistakes for something else: steps, phases, kernels, jitter."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from phi_deid_pipeline.geometry import Gap, measure_series
from synthetic_stacks import DEFAULTS, FLAG, carry_out, linear, measured, odd, regular, stack, steps


def test_stored_tilt_that_differs_between_slices_is_flagged():
    slices = [replace(one, gantry_tilt=15.0 if index > 12 else 0.0) for index, one in enumerate(stack(regular(20)))]
    result = measured(slices)
    assert odd(result) == {FLAG.TILT_DISAGREES} and "from 0 to 15 degrees" in " ".join(result.reasons)
    rounded = [replace(one, gantry_tilt=0.02 * (index % 2)) for index, one in enumerate(stack(regular(20)))]
    assert odd(measured(rounded)) == set()


@pytest.mark.parametrize("gone", [(10, 12, 14, 16), (33, 35, 37), (10, 11, 13, 14, 16, 17)])
def test_slices_missing_at_regular_distances_are_missing_where_the_thickness_is_that_of_the_others(gone):
    result = measured(stack([depth for index, depth in enumerate(regular(40)) if index not in gone]))
    assert odd(result) == {FLAG.NON_UNIFORM_SPACING, FLAG.MISSING_SLICES}
    assert sum(gap.missing for gap in result.stacks[0].gaps) == len(gone)


def test_half_a_stack_at_twice_the_distance_is_another_spacing():
    result = measured(stack([*regular(30), *[60.0 + depth for depth in regular(10, 4.0)]]))
    assert odd(result) == {FLAG.NON_UNIFORM_SPACING}


@pytest.mark.parametrize("change", [{"image_type": ("DERIVED", "SECONDARY", "AXIAL")}, {"rows": 24}])
@pytest.mark.parametrize("away", [(7,), (7, 8, 14)])
def test_a_slice_in_another_stack_of_the_series_is_not_missing(change, away):
    slices = [replace(one, **change) if index in away else one for index, one in enumerate(stack(regular(20)))]
    result = measured(slices)
    assert FLAG.MISSING_SLICES not in result.flags and result.stacks[0].gaps == ()
    assert f"{len(away)} slice(s) between those of this stack lie in another stack" in " ".join(result.reasons)
    part = measured([one for index, one in enumerate(slices) if index != 3])
    assert FLAG.MISSING_SLICES in part.flags and part.stacks[0].gaps == (Gap(4.0, 8.0, 1),)


@pytest.mark.parametrize("edited", [(7,), (0, 7, 8, 19)])
def test_slices_with_edited_pixels_stay_in_their_stack(edited):
    derived = {"image_type": ("DERIVED", "PRIMARY", "AXIAL")}
    slices = [replace(one, **derived) if index in edited else one for index, one in enumerate(stack(regular(20)))]
    result = measured(slices)
    assert odd(result) == set() and result.num_slices == 20 and not result.requires_resampling
    over = measured(slices + stack(regular(20), uid="b", image_type=("DERIVED", "PRIMARY", "AXIAL")))
    assert FLAG.SEVERAL_STACKS in over.flags or FLAG.DUPLICATE_POSITIONS in over.flags


def test_a_slice_of_another_phase_stands_in_for_no_missing_one():
    slices = stack(regular(20))
    del slices[7]
    result = measured(slices + stack(regular(20), uid="b", temporal_position=2))
    assert [one.gaps for one in result.stacks] == [(), (Gap(12.0, 16.0, 1),)]


@pytest.mark.parametrize("amplitude", [0.02, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("count", [12, 40, 60])
def test_jitter_is_no_overlap_no_gap_and_no_other_spacing_than_stored(amplitude, count):
    for seed in range(12):
        noise = random.Random(f"{seed} {amplitude} {count}")
        depths = [depth + noise.uniform(-amplitude, amplitude) for depth in regular(count)]
        result = measure_series(stack(depths, spacing_between_slices=2.0), replace(DEFAULTS, isotropic_ratio=9.0))
        assert odd(result) - {FLAG.NON_UNIFORM_SPACING} == set()


@pytest.mark.parametrize(("thickness", "flag"), [(1.0, FLAG.GAPPED_SLICES), (3.0, FLAG.OVERLAPPING_SLICES)])
def test_overlap_and_gap_are_still_seen_under_jitter(thickness, flag):
    noise = random.Random(4)
    depths = [depth + noise.uniform(-0.3, 0.3) for depth in regular(40)]
    result = measured(stack(depths, slice_thickness=thickness, spacing_between_slices=thickness))
    assert odd(result) == {FLAG.NON_UNIFORM_SPACING, FLAG.SPACING_DISAGREES, flag}


SHAPES = {
    "step of 0.3 mm": lambda t: 0.3 * (t >= 0.5),
    "step of 3 mm": lambda t: 3.0 * (t >= 0.5),
    "step after two thirds": lambda t: 3.0 * (t >= 0.67),
    "sag": lambda t: 0.5 * t**2,
    "deep sag": lambda t: 8.0 * t**2,
    "two steps": lambda t: 4.0 * (t >= 0.33) + 4.0 * (t >= 0.67),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_of_the_table_or_a_sag_is_shifted_and_no_tilt(shape, sign):
    slices = [
        replace(one, position=(one.position[0], one.position[1] + sign * SHAPES[shape](index / 59), one.position[2]))
        for index, one in enumerate(stack(regular(60)))
    ]
    result = measured(slices)
    assert odd(result) == {FLAG.SHIFTED_SLICES}
    assert result.requires_resampling and "align_slices" in steps(result) and "deshear" not in steps(result)
    values, grid = sitk.GetArrayFromImage(carry_out(result, slices)), result.target_grid
    for z in range(60):
        point = np.array(grid.origin) + np.array([6, 6, z]) * grid.spacing
        if values[z, 6, 6] != -1024:  # shifted out of the slice
            # Slices within the tolerance of 0.1 mm are left where they are.
            assert values[z, 6, 6] == pytest.approx(float(linear(point)), abs=0.1 * 2.3 + 1e-3)
    assert np.mean(values[:, 6, 6] != -1024) > 0.9


@pytest.mark.parametrize("noise_mm", [0.0, 0.05, 0.3])
def test_a_tilt_with_scatter_or_single_shifted_slices_is_still_a_tilt(noise_mm):
    noise = random.Random(5)
    slices = [
        replace(
            one,
            position=(one.position[0] + noise.uniform(-noise_mm, noise_mm) + (4 if i == 9 else 0), *one.position[1:]),
        )
        for i, one in enumerate(stack(regular(40), shear=(0.0, 0.2)))
    ]
    assert odd(measured(slices)) == {FLAG.GANTRY_TILT, FLAG.SHIFTED_SLICES}


def test_slices_without_a_frame_of_reference_are_no_second_one():
    slices = stack(regular(8))
    slices[5] = replace(slices[5], frame_of_reference_uid="")
    result = measured(slices)
    text = " ".join(result.reasons)
    assert FLAG.MISSING_SLICES not in result.flags
    assert "1 frame(s) of reference, and 1 slice(s) that name none." in text


@pytest.mark.parametrize("offset", [0.3, 1.0, 1.5])
def test_acquisitions_between_the_slices_of_each_other_are_stacks_of_their_own(offset):
    two = stack([depth + offset for depth in regular(20)], uid="b", acquisition_number=2)
    result = measured(stack(regular(20)) + two)
    assert odd(result) == {FLAG.SEVERAL_STACKS, FLAG.SEVERAL_ACQUISITIONS} and not result.requires_resampling
    assert [(one.figures.num_slices, one.figures.z_spacing_mean) for one in result.stacks] == [(20, 2.0), (20, 2.0)]
    assert "between the slices of each other" in " ".join(result.reasons)


def test_acquisitions_that_alternate_slice_by_slice_are_stacks_of_their_own_even_if_uneven():
    noise = random.Random(2)
    slices = [
        replace(one, acquisition_number=1 + index % 2)
        for index, one in enumerate(stack([depth + noise.uniform(-0.2, 0.2) for depth in regular(30)]))
    ]
    result = measured(slices)
    assert {FLAG.SEVERAL_STACKS, FLAG.SEVERAL_ACQUISITIONS} <= set(result.flags)
    assert [one.figures.num_slices for one in result.stacks] == [15, 15]


def test_an_acquisition_that_brings_single_slices_of_a_volume_stays_in_it():
    slices = [replace(one, acquisition_number=2 if index in (9, 10, 11) else 1)
              for index, one in enumerate(stack(regular(20)))]  # fmt: skip
    assert odd(measured(slices)) == set()


def test_reconstructions_that_nothing_tells_apart_give_no_volume():
    result = measured(stack(regular(8)) + stack(regular(8), uid="b"), pixel_digest=lambda one: one.sop_uid)
    assert odd(result) == {FLAG.DUPLICATE_POSITIONS, FLAG.DUPLICATES_DIFFER}
    assert result.target_grid is None and result.simpleitk == ""
    assert steps(result) == ["order_slices", "choose_slices", "rescale_to_hu", "clip_hu"]


@pytest.mark.parametrize(("ratio", "flagged"), [(2.0, False), (2.004, False), (2.05, True), (0.5, False), (0.47, True)])
def test_anisotropy_at_the_limit_has_the_tolerance_of_the_spacing(ratio, flagged):
    noise = random.Random(3)
    depths = [depth + noise.uniform(-0.004, 0.004) for depth in regular(40, ratio)]
    result = measured(stack(depths, slice_thickness=ratio, pixel_spacing=(1.0, 1.0)))
    assert set(result.flags) == ({FLAG.ANISOTROPIC} if flagged else set())


# --- thin slices first, thick ones later --------------------------------------------------------------------------


def thin_then_thick(thin: int, thick: int, *, step: float = 1.0, wide: float = 5.0, filled: bool | None = True):
    """Slices that touch each other, thin ones first; not filled: all are thin; None: nothing states a thickness."""
    first = [index * step for index in range(thin)]
    join = (step + wide) / 2 if filled else wide
    then = [first[-1] + join + index * wide for index in range(thick)]
    widths = {True: (step, wide), False: (step, step), None: (None, None)}[filled]
    return stack(first, slice_thickness=widths[0]) + stack(then, uid="t", slice_thickness=widths[1])


def steps_of(result) -> dict[str, dict]:
    return {one.step: one.parameters for one in result.recommended_preprocessing_pipeline}


@pytest.mark.parametrize(("thin", "thick", "spacing"), [(60, 10, 1.0), (10, 30, 5.0), (20, 20, 5.0), (30, 12, 1.0)])
def test_thick_slices_that_touch_are_no_gaps_and_the_volume_has_a_distance_that_occurs(thin, thick, spacing):
    result = measured(thin_then_thick(thin, thick))
    assert result.flags == (FLAG.NON_UNIFORM_SPACING, FLAG.MIXED_THICKNESS, *result.flags[2:])
    assert not {FLAG.GAPPED_SLICES, FLAG.OVERLAPPING_SLICES, FLAG.MISSING_SLICES} & {*result.flags}
    assert "split_at_gaps" not in steps_of(result)
    assert result.target_grid.spacing[2] == spacing
    length = (thin - 1) + 3 + 5 * (thick - 1)
    assert (result.target_grid.size[2] - 1) * spacing == pytest.approx(length, abs=spacing)
    (reason,) = (reason for reason in result.reasons if "follow each other" in reason)
    assert f"1 mm {thin - 1} times, 5 mm {thick - 1} times" in reason


@pytest.mark.parametrize("filled", [False, None])
def test_sparse_slices_after_dense_ones_are_a_part_of_their_own(filled):
    result = measured(thin_then_thick(60, 10, filled=filled))
    assert steps_of(result)["split_at_gaps"]["parts_mm"] == [[0.0, 59.0], [64.0, 109.0]]
    assert (result.target_grid.size[2], result.target_grid.spacing[2]) == (60, 1.0)


def test_thin_and_thick_slices_of_a_head_neither_overlap_nor_leave_gaps_nor_disagree_with_what_is_stored():
    slices = stack([2.5 * i for i in range(12)], slice_thickness=2.5, spacing_between_slices=2.5)
    slices += stack([31.25 + 5 * i for i in range(12)], uid="t", slice_thickness=5.0, spacing_between_slices=5.0)
    flags = measured(slices).flags
    assert not {FLAG.GAPPED_SLICES, FLAG.OVERLAPPING_SLICES, FLAG.SPACING_DISAGREES} & {*flags}


def test_thin_and_thick_slices_that_both_overlap_are_told():
    slices = stack([1.0 * i for i in range(12)], slice_thickness=2.0)
    slices += stack([13.5 + 4 * i for i in range(12)], uid="t", slice_thickness=6.0)
    result = measured(slices)
    assert FLAG.OVERLAPPING_SLICES in result.flags
    assert any(reason.startswith("Slices of 2 to 6 mm") for reason in result.reasons)


# --- acquisitions that cover a part of each other -----------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 0.4, 1.0])
def test_acquisitions_that_overlap_in_part_are_stacks_and_the_overlap_is_told(offset):
    slices = stack([2.0 * i for i in range(30)], acquisition_number=1)
    slices += stack([50 + offset + 2.0 * i for i in range(25)], uid="t", acquisition_number=2)
    result = measured(slices)
    figures = [one.figures for one in result.stacks]
    assert [(one.num_slices, one.is_uniform_spacing) for one in figures] == [(30, True), (25, True)]
    assert not result.requires_resampling and FLAG.SEVERAL_ACQUISITIONS in result.flags
    assert any(f"overlap over {8 - offset:g} mm" in reason for reason in result.reasons)


def test_acquisition_within_another_overlaps_over_its_own_length():
    slices = stack([2.0 * i for i in range(51)], acquisition_number=1)
    slices += stack([40.0 + 2.0 * i for i in range(6)], uid="t", acquisition_number=2)
    result = measured(slices)
    assert any("overlap over 10 mm" in reason for reason in result.reasons)
