"""The recommended volume of a stack as a Python program that reads the slices of a release and writes the volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phi_deid_pipeline.geometry.plan import Plan

AUDIT = "audits/ct_prepro/ct_prepro_audit.json"  # in a release
MAKING, WRITING = "# The volume: [slice, row, column]", "# Whole HU, written"


@dataclass(frozen=True, slots=True)
class Reading:
    """Which slices a program reads and what it makes of their stored values; UIDs are new ones, lengths in mm."""

    study_uid: str
    series_uid: str
    stack: int  # from 1
    several: bool  # stacks of the series: which slices are those of this one stands in the audit
    multi_frame: bool
    normal: np.ndarray  # (3,)
    same_position: float  # distance up to which slices share a position
    part: tuple[int, int] | None  # first and last position, where the volume is made of a part
    padded: bool
    pad_hu: float
    clip_hu: tuple[float, ...]
    columns: int
    rows: int


def program_of(plan: Plan, reading: Reading) -> str:
    """Return the program; it runs with pydicom, NumPy and SimpleITK beside the folder `release`."""
    return "\n".join([*_reading(reading), MAKING, *_making(plan, reading), WRITING, *_writing(reading)])


def _reading(one: Reading) -> list[str]:
    """Return the lines that read `volume` in HU and the `positions` of its slices, in mm from the first."""
    return [
        "from functools import lru_cache",
        *(["import json"] if one.several else []),
        "from pathlib import Path",
        "import numpy as np",
        "import pydicom",
        "import SimpleITK as sitk",
        'release = Path("release")  # where it lies; the volume is written into the folder of the call',
        f'folder = release / "dicom/{one.study_uid}/{one.series_uid}"',
        "if not folder.is_dir():",
        '    raise SystemExit("The folder release is not here, or lacks this series: set release to where it lies.")',
        *_values(one),
        *(_named(one) if one.several else _all(one)),
        *_ordered(one),
    ]


def _values(one: Reading) -> list[str]:
    """Return functions of a frame of an instance: an attribute, and its HU."""
    found = [
        "def value(header, frame, group, name):",
        "    sequences = (group, 'UnassignedPerFrameConvertedAttributesSequence', "
        "'UnassignedSharedConvertedAttributesSequence')",
        "    groups = list(header.get('PerFrameFunctionalGroupsSequence', []))[frame - 1:frame]",
        "    groups += list(header.get('SharedFunctionalGroupsSequence', []))",
        "    items = [item for name_of in sequences for one in groups for item in one.get(name_of, [])]",
        "    return next((item[name].value for item in items if item.get(name) is not None), header.get(name))",
    ]
    plain = ["def value(header, frame, group, name):", "    return header.get(name)"]
    padding = [
        '    if header.get("PixelPaddingValue") is not None:',
        f"        values[stored == header.PixelPaddingValue] = {one.pad_hu}",
    ]
    return [
        *(found if one.multi_frame else plain),
        "@lru_cache(1)",
        "def instance(uid):",
        '    header = pydicom.dcmread(folder / f"{uid}.dcm")',
        "    return header, header.pixel_array.reshape(-1, header.Rows, header.Columns)",
        "def hounsfield(uid, frame):",
        "    header, frames = instance(uid)",
        '    group, stored = "PixelValueTransformationSequence", frames[frame - 1]',
        '    slope = value(header, frame, group, "RescaleSlope")',
        '    intercept = value(header, frame, group, "RescaleIntercept")',
        "    values = stored.astype(np.float32) * np.float32(1 if slope is None else slope) + np.float32(intercept or 0)",
        *(padding if one.padded else []),
        f"    return np.clip(values, {one.clip_hu[0]}, {one.clip_hu[1]})",
    ]


def _all(one: Reading) -> list[str]:
    """Return lines that list all slices of a series by instance and frame."""
    frames = 'range(1, int(header.get("NumberOfFrames") or 1) + 1)' if one.multi_frame else "(1,)"
    return [
        'headers = {path.stem: pydicom.dcmread(path, defer_size=1024) for path in sorted(folder.glob("*.dcm"))}',
        'headers = {uid: one for uid, one in headers.items() if one.get("Modality") == "CT" and "PixelData" in one}',
        f"slices = [(uid, frame) for uid, header in headers.items() for frame in {frames}]",
    ]


def _named(one: Reading) -> list[str]:
    """Return lines that list the slices of one stack of several, as the audit of the release names them."""
    return [
        f'series = json.loads((release / "{AUDIT}").read_text())["series"]',
        f'own = {{"study_instance_uid": "{one.study_uid}", "series_instance_uid": "{one.series_uid}"}}',
        f'(stack,) = [row["stacks"][{one.stack - 1}] for row in series if own.items() <= row.items()]',
        'uids, frames = stack["sop_instance_uids"], stack["frame_numbers"] or [1] * len(stack["sop_instance_uids"])',
        "slices = sorted(zip(uids if len(uids) == len(frames) else uids * len(frames), frames))",
        'headers = {uid: pydicom.dcmread(folder / f"{uid}.dcm", stop_before_pixels=True) for uid in uids}',
    ]


def _ordered(one: Reading) -> list[str]:
    """Return lines that order slices along the normal and take one a position."""
    part = "" if one.part is None else f"[{one.part[0]}:{one.part[1] + 1}]"
    normal = tuple(float(value) + 0.0 for value in one.normal)
    return [
        "# Ordered by position along the normal; of several slices at one position that of the lowest SOP Instance UID",
        'group, name = "PlanePositionSequence", "ImagePositionPatient"',
        "places = np.array([value(headers[uid], frame, group, name) for uid, frame in slices], dtype=float)",
        f"depths = places @ np.array({normal})",
        'order = np.argsort(depths, kind="stable")',
        f"starts = np.flatnonzero(np.diff(depths[order], prepend=-np.inf) > {one.same_position})",
        f"groups = np.split(order, starts[1:]){part}",
        "positions = np.array([round(depths[group[0]] - depths[groups[0][0]], 6) for group in groups])",
        "volume = np.stack([hounsfield(*slices[min(group)]) for group in groups])",
    ]


def _making(plan: Plan, one: Reading) -> list[str]:
    """Return the lines that make `image` of them, on the stated grid."""
    lines = []
    if plan.shifts:
        size, pixel = (one.columns, one.rows), plan.pixel
        lines += [
            f"for index, x, y in {list(plan.shifts)}:",
            f"    plane = sitk.GetImageFromArray(volume[index]); plane.SetSpacing({pixel}); plane.SetOrigin((x, y))",
            f"    plane = sitk.Resample(plane, {size}, sitk.Transform(), sitk.sitkLinear, (0.0, 0.0), {pixel}, "
            f"(1.0, 0.0, 0.0, 1.0), {plan.pad})",
            "    volume[index] = sitk.GetArrayFromImage(plane)",
        ]
    if not plan.uniform:
        lines += [
            f"places = np.interp(np.arange({plan.count}) * {plan.step}, positions, np.arange(len(positions)))",
            f"even = np.empty(({plan.count}, *volume.shape[1:]), np.float32)",
            "for number, place in enumerate(places):",
            "    below = min(int(place), len(positions) - 2); weight = np.float32(place - below)",
            "    even[number] = (1 - weight) * volume[below] + weight * volume[below + 1]",
            "volume = even",
        ]
    lines += [
        "image = sitk.GetImageFromArray(volume)",
        f"image.SetOrigin({plan.origin}); image.SetSpacing({plan.spacing}); image.SetDirection({plan.direction})",
    ]
    if plan.resample:
        grid = plan.grid
        lines.append(
            f"image = sitk.Resample(image, {grid.size}, sitk.Transform(), sitk.sitkLinear, {grid.origin}, "
            f"{grid.spacing}, {grid.direction}, {plan.pad})"
        )
    elif plan.reorient:
        lines.append('image = sitk.DICOMOrient(image, "LPS")')
    return lines


def _writing(one: Reading) -> list[str]:
    return [
        "image = sitk.Cast(sitk.Clamp(sitk.Round(image), sitk.sitkFloat32, -32768, 32767), sitk.sitkInt16)",
        f'sitk.WriteImage(image, "{one.series_uid}_stack_{one.stack}.nii.gz")',
    ]
