"""Positions, spacings and gaps that no scanner makes: told, and no volume is made of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from test_geometry import measured, odd, regular, stack, steps

from phi_deid_pipeline.geometry import GeometryFlag as FLAG


def test_implausible_pixel_spacing_is_told_with_its_bounds():
    result = measured(stack(regular(5), pixel_spacing=(1e-7, 1e-7)))
    assert "Missing or unusable, of 5 slices: pixel_spacing in 5." in result.reasons
    assert "5 slices state a pixel spacing outside 0.0001 to 1000 mm: no length can be taken from it." in result.reasons


@pytest.mark.parametrize("place", [math.nan, math.inf, 1e300, -1.7e308, 1e7], ids=str)
def test_slice_at_no_possible_place_is_set_apart(place):
    slices = stack(regular(6))
    slices[3] = replace(slices[3], position=(-50.0, -60.0, place))
    result = measured(slices)
    assert [(one.kind, one.figures.num_slices) for one in result.stacks] == [("volume", 5), ("unplaced", 1)]
    assert "Stack 2: Missing or unusable, of 1 slices: position in 1." in result.reasons


def test_reasons_write_large_numbers_short():
    result = measured(stack(regular(4), slice_thickness=1e300, spacing_between_slices=-1e250))
    assert {FLAG.OVERLAPPING_SLICES, FLAG.SPACING_DISAGREES} <= odd(result)
    assert max(map(len, result.reasons)) < 200 and any("1e+300" in reason for reason in result.reasons)


def test_slices_too_far_apart_are_not_filled_up():
    spread = {"rows": 512, "columns": 512, "pixel_spacing": (0.5, 0.5)}
    apart = measured(stack([0.0, 200.0], **spread))
    assert apart.target_grid.size == (512, 512, 2) and apart.target_grid.spacing == (0.5, 0.5, 200.0)
    assert {FLAG.ANISOTROPIC, FLAG.GAPPED_SLICES} <= set(apart.flags) and "resample" not in steps(apart)
    kept = next(step for step in apart.recommended_preprocessing_pipeline if step.step == "keep_slice_distance")
    assert kept.parameters == {"gap_mm": 200.0, "slice_thickness_mm": 2.0, "max_filled_slices": 2}
    asked = measured(stack([0.0, 200.0], **spread), target_spacing_mm=(1.0, 1.0, 1.0))
    assert asked.target_grid.spacing == (1.0, 1.0, 200.0) and asked.target_grid.size == (257, 257, 2)
    without = measured(stack([0.0, 200.0], **{**spread, "slice_thickness": None}))
    assert without.target_grid.size == (512, 512, 2)
    near = measured(stack(regular(4, 6.0), **spread))  # two slices of 2 mm are missing between each two
    assert near.target_grid.spacing == (0.5, 0.5, 0.5)


def test_grid_too_large_to_be_made_is_told_and_not_advised():
    slices = stack([*regular(6), 900_000.0], rows=512, columns=512)
    assert measured(slices).target_grid.size[2] < 20  # the rest is cut off
    result = measured(slices, max_filled_slices=10_000_000)
    assert FLAG.GRID_TOO_LARGE in result.flags and result.target_grid is None and result.simpleitk == ""
    assert {"resample", "interpolate_slices", "deshear"}.isdisjoint(steps(result))
    assert any("voxels" in reason for reason in result.reasons)


COS, SIN = math.cos(math.radians(1.0)), math.sin(math.radians(1.0))
TURNED = (COS, SIN, 0.0, -SIN, COS, 0.0)
SKEWED = (1.0, 0.0, 0.0, SIN, COS, 0.0)
BENT = [
    replace(one, position=(one.position[0] + 0.1 * (-1) ** index, *one.position[1:]))
    for index, one in enumerate(stack(regular(12), shear=(0.2, 0.0)))
]


@pytest.mark.parametrize(
    ("setting", "value", "flag", "slices"),
    [
        ("tilt_agreement_deg", 3.0, FLAG.TILT_DISAGREES, stack(regular(12), shear=(0.0, 0.2), gantry_tilt=9.0)),
        ("oblique_tolerance_deg", 2.0, FLAG.OBLIQUE, stack(regular(6), orientation=TURNED)),
        ("right_angle_tolerance_deg", 2.0, FLAG.NON_ORTHOGONAL, stack(regular(6), orientation=SKEWED)),
        ("missing_tolerance_relative", 0.0, FLAG.MISSING_SLICES, stack([0.0, 2.0, 4.0, 6.0, 10.1, 12.1, 14.1])),
        ("spacing_run", 2, FLAG.MISSING_SLICES, stack([0.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0])),
        ("straight_tolerance_relative", 0.0, FLAG.GANTRY_TILT, BENT),
        ("max_voxels", 100, FLAG.GRID_TOO_LARGE, stack(regular(6))),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)  # fmt: skip
def test_threshold_of_the_configuration_decides(setting, value, flag, slices):
    default, changed = (flag in measured(slices, **more).flags for more in ({}, {setting: value}))
    assert default is not changed
