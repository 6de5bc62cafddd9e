"""The program that the CT audit advises, run on a release as it stands: the grid and the voxels of the rule `resample`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

import record_io
from phi_deid_pipeline.geometry import CtGeometry, GeometrySettings, measure_series
from phi_deid_pipeline.geometry.recipe import AUDIT
from phi_deid_pipeline.metadata_extract import slice_attributes
from phi_deid_pipeline.stack_products import make_volumes
from phi_deid_pipeline.stack_series import Series, pixel_digests
from unit.test_stack_products import COLUMNS, ROWS, SETTINGS, ct_slice, write

STUDY, SERIES = "2.25.1", "2.25.2"


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 3500, (ROWS, COLUMNS))


def slices(depths: list[float], first: int = 0, shear: float = 0.0) -> list[Dataset]:
    return [ct_slice(first + i, (0.0, shear * depth, depth), noise(first + i)) for i, depth in enumerate(depths)]


def even() -> list[Dataset]:
    return list(reversed(slices([2.0 * i for i in range(8)])))


def tilted_with_a_gap() -> list[Dataset]:
    return slices([0.0, 2.0, 4.0, 6.0, 10.0, 12.0, 14.0], shear=0.3)


def split() -> list[Dataset]:
    return slices([0.0, 2.0, 60.0, 62.0, 64.0, 66.5, 68.0, 70.0, 72.0, 74.0, 76.0])


def shifted_and_padded() -> list[Dataset]:
    made = even()
    made[3].ImagePositionPatient = [1.5, -2.25, float(made[3].ImagePositionPatient[2])]
    for one in made[2:]:
        one.PixelPaddingValue = int(np.frombuffer(one.PixelData, "<u2")[7])
    return made


def of_several_slopes() -> list[Dataset]:
    made = slices([2.0 * i for i in range(7)], shear=-0.2)
    for number, one in enumerate(made):
        one.RescaleSlope, one.RescaleIntercept = 0.1 + 0.37 * number, -1000.25 - number
    del made[4].RescaleSlope, made[5].RescaleIntercept
    return made


def with_duplicates() -> list[Dataset]:
    made = even()
    again = slices([2.0, 6.0], first=20)
    for one, other in zip(again, (made[-2], made[-4]), strict=True):
        one.PixelData = other.PixelData
    return [*again, *made]


def coronal() -> list[Dataset]:
    made = even()
    for number, one in enumerate(made):
        one.ImageOrientationPatient, one.ImagePositionPatient = (
            [0.8, 0.6, 0, 0, 0, -1],
            [0.6 * number, -0.8 * number, 9],
        )
    return made


def of_several_stacks() -> list[Dataset]:
    other = slices([1.0 + 3.0 * i for i in range(6)], first=30)
    for one in other:
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "OTHER"]
    return [*tilted_with_a_gap(), *other]


def multi_frame(number: int, depths: list[float], kind: str = "VOLUME") -> Dataset:
    """Return an enhanced CT; the slope of its frames differs, their order is not that of space."""
    ds = ct_slice(number, (0.0, 0.0, 0.0), noise(number))
    del ds.ImagePositionPatient, ds.ImageOrientationPatient, ds.PixelSpacing, ds.SliceThickness, ds.RescaleSlope
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedCTImageStorage, len(depths)
    shared, measures, orientation, frame_type = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.0], 2.0
    orientation.ImageOrientationPatient, frame_type.FrameType = (
        [1, 0, 0, 0, 1, 0],
        ["ORIGINAL", "PRIMARY", kind, "NONE"],
    )
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.CTImageFrameTypeSequence = [frame_type]
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], []
    for index, depth in enumerate(depths):
        group, place, values = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0.3 * depth, depth]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1 + 0.25 * index, -1000, "HU"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [place], [values]
        ds.PerFrameFunctionalGroupsSequence.append(group)
    ds.PixelData = np.stack([noise(100 * number + i) for i in range(len(depths))]).astype("<u2").tobytes()
    return ds


def enhanced() -> list[Dataset]:
    return [multi_frame(1, [0.0, 6.0, 2.0, 4.0, 8.0])]


def enhanced_in_two_stacks() -> list[Dataset]:
    mixed = multi_frame(1, [0.0, 6.0, 2.0, 4.0, 0.0, 3.0, 6.0])
    for group in mixed.PerFrameFunctionalGroupsSequence[4:]:
        frame_type = Dataset()
        frame_type.FrameType = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]
        group.CTImageFrameTypeSequence = [frame_type]
    return [mixed]


def two_enhanced_in_each_of_two_stacks() -> list[Dataset]:
    return [
        multi_frame(1, [0.0, 4.0, 2.0]), multi_frame(2, [8.0, 6.0]),
        multi_frame(3, [3.0, 0.0], "OTHER"), multi_frame(4, [6.0, 9.0], "OTHER"),
    ]  # fmt: skip


def released(made: list[Dataset], folder: Path, settings: GeometrySettings) -> tuple[Series, CtGeometry]:
    """Lay slices out as a release does, with their audit; return the series and what was measured."""
    paths = {
        one.SOPInstanceUID: write(one, folder / f"release/dicom/{STUDY}/{SERIES}/{one.SOPInstanceUID}.dcm")
        for one in made
    }
    found = [one for path in paths.values() for one in slice_attributes(path)]
    series = Series(STUDY, SERIES, tuple(found), paths)
    result = measure_series(found, settings, pixel_digests(series))
    audit = folder / "release" / AUDIT
    audit.parent.mkdir(parents=True)
    audit.write_text(json.dumps({"series": [{"series_instance_uid": "2.25.9"}, record_io.to_data(result)]}))
    return series, result


@pytest.mark.parametrize(
    ("build", "stacks", "settings", "steps"),
    [
        (even, 1, SETTINGS, {"clip_hu"}),
        (even, 1, replace(SETTINGS, target_spacing_mm=(1.0, 1.0, 1.5)), {"resample"}),
        (tilted_with_a_gap, 1, SETTINGS, {"interpolate_slices", "deshear"}),
        (split, 1, SETTINGS, {"split_at_gaps", "interpolate_slices"}),
        (shifted_and_padded, 1, replace(SETTINGS, hu_clip=(-900.0, 1500.0)), {"align_slices", "mask_padding"}),
        (of_several_slopes, 1, SETTINGS, {"rescale_to_hu", "deshear"}),
        (with_duplicates, 1, SETTINGS, {"drop_duplicates"}),
        (coronal, 1, SETTINGS, {"reorient"}),
        (of_several_stacks, 2, SETTINGS, {"split_stacks", "deshear"}),
        (enhanced, 1, SETTINGS, {"deshear"}),
        (enhanced_in_two_stacks, 2, SETTINGS, {"split_stacks", "deshear"}),
        (two_enhanced_in_each_of_two_stacks, 2, SETTINGS, {"split_stacks", "deshear"}),
    ],
)
def test_program_makes_the_grid_and_voxels_of_the_rule(
    build: Callable[[], list[Dataset]],
    stacks: int,
    settings: GeometrySettings,
    steps: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    series, result = released(build(), tmp_path, settings)
    assert steps <= {step.step for step in result.recommended_preprocessing_pipeline}
    products = list(make_volumes(series, [], settings, "nii.gz", tmp_path / "rule"))
    assert len(products) == len(result.stacks) == stacks and result.simpleitk == result.stacks[0].simpleitk
    monkeypatch.chdir(tmp_path)
    for number, (product, stack) in enumerate(zip(products, result.stacks, strict=True), start=1):
        exec(stack.simpleitk, {})  # the audit's own advice is what is under test
        made = sitk.ReadImage(f"{SERIES}_stack_{number}.nii.gz")
        rule = sitk.ReadImage(f"rule/{product.name.partition('/')[2]}")
        assert (made.GetSize(), made.GetPixelID()) == (stack.target_grid.size, rule.GetPixelID())
        for read in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(made, read)() == getattr(rule, read)()
        values = sitk.GetArrayFromImage(made)
        assert np.array_equal(values, sitk.GetArrayFromImage(rule)) and np.unique(values).size > 500


def test_program_says_that_the_release_is_elsewhere(tmp_path: Path, monkeypatch) -> None:
    _series, result = released(even(), tmp_path, SETTINGS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="set release to where it lies"):
        exec(result.simpleitk, {})


def test_program_passes_over_what_is_no_slice(tmp_path: Path, monkeypatch) -> None:
    made = even()
    _series, result = released(made, tmp_path, SETTINGS)
    report = ct_slice(50, (0.0, 0.0, 99.0), noise(1))
    del report.PixelData
    write(report, tmp_path / f"release/dicom/{STUDY}/{SERIES}/{report.SOPInstanceUID}.dcm")
    monkeypatch.chdir(tmp_path)
    exec(result.simpleitk, {})
    assert sitk.ReadImage(f"{SERIES}_stack_1.nii.gz").GetSize() == (COLUMNS, ROWS, 8)


def test_instances_of_frames_are_named_one_a_slice_where_a_stack_has_several(tmp_path: Path) -> None:
    _, result = released(two_enhanced_in_each_of_two_stacks(), tmp_path, SETTINGS)
    first, second = result.stacks
    assert first.sop_instance_uids == ("2.25.100001",) * 3 + ("2.25.100002",) * 2
    assert first.frame_numbers == (1, 3, 2, 2, 1)
    assert (second.sop_instance_uids, second.frame_numbers) == (
        ("2.25.100003",) * 2 + ("2.25.100004",) * 2,
        (2, 1, 1, 2),
    )
