"""What is made of CT stacks beside their figures: pictures, volumes of the recommended preprocessing, masks along with them.

All is read from de-identified instances; a product names the instances it was made of, so that it is released with them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.geometry import Arranged, GeometrySettings, arrange_series
from phi_deid_pipeline.geometry.drawing import (
    Overlay,
    StackView,
    choose_cuts,
    draw_stack,
    draw_unplaced,
    picture_problems,
)
from phi_deid_pipeline.geometry.placement import Placed, spacing_of
from phi_deid_pipeline.geometry.resampling import (
    Drawn,
    SlicePlanes,
    carry_out,
    mask_slices,
    planes_of,
    volume_problems,
    write_volume,
)
from phi_deid_pipeline.records import RejectReason, SliceAttributes, StackProduct
from phi_deid_pipeline.rt_contours import contours
from phi_deid_pipeline.stack_pixels import MaskPlane, SliceReader, mask_planes
from phi_deid_pipeline.stack_series import Marker, Series, linked, pixel_digests

_PAD = -1024.0  # HU of padding in pictures
_CUT_SLICES = 1000  # that the cuts of a picture are made of at most; more would show no more
_CONTOUR_LIMIT = 5000  # drawn of one object


def _stacks(series: Series, settings: GeometrySettings) -> tuple[Arranged, ...]:
    return arrange_series(series.slices, settings, pixel_digests(series))


def make_volumes(
    series: Series, markers: Sequence[Marker], settings: GeometrySettings, kind: str, target: Path
) -> Iterator[StackProduct]:
    """Write the recommended volume of each stack of a series below `target`, and the masks of the segments on it.

    `kind` is nii.gz or nrrd. Of a stack that cannot be decoded the product says why there is no volume.
    """
    for number, stack in enumerate(_stacks(series, settings), start=1):
        if stack.plan is None or stack.geometry.kind != "volume":
            continue
        kept = [stack.slices[i] for i in stack.plan.keep]
        product = _product(series, number, "image", kept)
        reader = SliceReader(series.paths)
        try:
            volume = _stacked(reader, kept, settings.pad_hu)
        except UnreadableInstance as error:
            yield replace(product, problems=(str(error),))
            continue
        np.clip(volume, *settings.hu_clip, out=volume)
        base = f"{series.study_uid}/{series.series_uid}/stack_{number}"
        image = carry_out(stack.plan, volume)
        del volume
        yield _volume(image, stack, target, f"{base}.{kind}", product)
        del image
        for marker in (one for one in linked(stack, series, markers) if one.is_mask):
            product = _product(series, number, "mask", kept, [marker])
            yield from _masks(stack, marker, target, f"{base}_{marker.sop_uid}_{{}}.{kind}", product)


def _product(
    series: Series, number: int, kind: str, slices: Sequence[SliceAttributes], marks: Sequence[Marker] = ()
) -> StackProduct:
    names = tuple(sorted(one.sop_uid for one in marks))
    sources = tuple(sorted({*names, *(one.sop_uid for one in slices)}))
    return StackProduct(series.study_uid, series.series_uid, number, kind, sources, names)


def _stacked(reader: SliceReader, kept: Sequence[SliceAttributes], pad: float) -> np.ndarray:
    """Return the slices (n, rows, columns) in HU, without a second copy of them all."""
    first = reader.hounsfield(kept[0], pad)
    volume = np.empty((len(kept), *first.shape), np.float32)
    for index, one in enumerate(kept):
        values = reader.hounsfield(one, pad)
        if values.shape != first.shape:
            raise UnreadableInstance(RejectReason.PIXELS_UNDECODABLE, "another matrix than its header says")
        volume[index] = values
    return volume


def _masks(stack: Arranged, marker: Marker, target: Path, name: str, product: StackProduct) -> Iterator[StackProduct]:
    """Write the segments of a SEG on a stack; `name` has a place for their number."""
    plan, shape = stack.plan, (stack.geometry.figures.rows, stack.geometry.figures.columns)
    planes = planes_of(stack.placed, plan.keep, plan.pixel, shape, _reach(stack))
    for segment, drawn in _segments(marker):
        mask, lost = mask_slices(planes, drawn)
        if mask.any():
            one = replace(product, segment=segment, lost=lost)
            yield _volume(carry_out(plan, mask, mask=True), stack, target, name.format(segment), one)


def _segments(marker: Marker) -> Iterator[tuple[int, list[Drawn]]]:
    """Yield the planes of each segment of a SEG; none where it cannot be read."""
    try:
        planes = mask_planes(marker.path)
    except UnreadableInstance:
        return
    for segment in sorted({one.segment for one in planes}):
        yield segment, [_drawn(one) for one in planes if one.segment == segment and spacing_of(one.place)]


def _drawn(one: MaskPlane) -> Drawn:
    return Drawn(one.place.position, one.place.orientation, spacing_of(one.place), one.mask)


def _reach(stack: Arranged) -> float:
    """Return how far from a slice a plane may lie to belong to it: half a step, or half a slice where there is one."""
    figures = stack.geometry.figures
    return (figures.z_spacing_median or figures.slice_thickness or 1.0) / 2


def _volume(image: Any, stack: Arranged, target: Path, name: str, product: StackProduct) -> StackProduct:
    path = target / name
    with _whole(path) as hidden:
        write_volume(image, hidden)
    grid = stack.plan.grid
    done = _written(product, f"volumes/{name}", path, volume_problems(path, grid))
    return replace(done, spacing=grid.spacing, matrix=grid.size, origin=grid.origin, direction=grid.direction)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path` for a file that takes its own when it is written to its end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    try:
        yield hidden
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def _written(product: StackProduct, name: str, path: Path, problems: list[str]) -> StackProduct:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return replace(product, name=name, sha256=digest.hexdigest(), size=path.stat().st_size, problems=tuple(problems))


def draw_stacks(
    series: Series, markers: Sequence[Marker], settings: GeometrySettings, target: Path
) -> Iterator[StackProduct]:
    """Write a figure of each stack of a series below `target`; of one that cannot be decoded the product says so."""
    for number, stack in enumerate(_stacks(series, settings), start=1):
        marks = linked(stack, series, markers)
        product = _product(series, number, "picture", stack.slices, marks)
        try:
            data, not_drawn = _drawn_stack(stack, series, f"series {series.series_uid}, stack {number}", marks)
        except UnreadableInstance as error:
            yield replace(product, problems=(str(error),))
            continue
        product = replace(product, lost=not_drawn)
        name = f"{series.study_uid}/{series.series_uid}/stack_{number}.png"
        path = target / name
        with _whole(path) as hidden:
            hidden.write_bytes(data)
        yield _written(product, f"figures/{name}", path, picture_problems(data))


def _drawn_stack(stack: Arranged, series: Series, title: str, marks: Sequence[Marker]) -> tuple[bytes, int]:
    """Return the figure of a stack and how many contours are not in it."""
    if stack.placed is None or not stack.geometry.figures.pixel_spacing:
        values = SliceReader(series.paths, colour=True).hounsfield(stack.slices[0], _PAD)
        return draw_unplaced(stack.geometry, values, title), 0
    view = _view(stack, series, title, marks)
    return draw_stack(view), view.not_drawn


def _view(stack: Arranged, series: Series, title: str, marks: Sequence[Marker]) -> StackView:
    placed, figures = stack.placed, stack.geometry.figures
    pixel, shape = (figures.pixel_spacing[1], figures.pixel_spacing[0]), (figures.rows, figures.columns)
    firsts = [
        min(members, key=lambda i: (placed.slices[i].sop_uid, placed.slices[i].frame)) for members in placed.members
    ]
    planes = planes_of(placed, firsts, pixel, shape, _reach(stack))
    overlays, not_drawn = _marked(marks, planes, placed)
    index, row, column = choose_cuts(placed, shape, pixel, overlays)
    reader = SliceReader(series.paths, colour=True)
    values = reader.hounsfield(placed.slices[firsts[index]], _PAD)
    if values.shape != shape:
        raise UnreadableInstance(RejectReason.PIXELS_UNDECODABLE, "another matrix than its header says")
    every = max(1, -(-len(firsts) // _CUT_SLICES))
    rows = np.full((len(firsts), shape[1]), np.nan, np.float32)
    columns = np.full((len(firsts), shape[0]), np.nan, np.float32)
    for place in range(len(firsts)):
        if place % every == 0:
            one = reader.hounsfield(placed.slices[firsts[place]], _PAD)
            rows[place], columns[place] = one[row], one[:, column]
        else:
            rows[place], columns[place] = rows[place - 1], columns[place - 1]
    return StackView(
        geometry=stack.geometry,
        placed=placed,
        pixel=pixel,
        index=index,
        row=row,
        column=column,
        slice_values=values,
        row_values=rows,
        column_values=columns,
        overlays=tuple(overlays),
        title=title,
        half=_reach(stack),
        not_drawn=not_drawn,
    )


def _marked(marks: Sequence[Marker], planes: SlicePlanes, placed: Placed) -> tuple[list[Overlay], int]:
    """Return what segments and regions mark on a stack, and how many contours cannot be read or are too many to draw."""
    overlays, not_drawn = [], 0
    for marker in marks:
        several = sum(one.is_mask == marker.is_mask for one in marks) > 1
        prefix = f"...{marker.sop_uid[-6:]} " if several else ""
        if marker.is_mask:
            for segment, drawn in _segments(marker):
                mask, _lost = mask_slices(planes, drawn)
                overlays.append(Overlay(mask=mask, name=f"{prefix}segment {segment}"))
            continue
        rings, left = _rings(marker, placed)
        not_drawn += left
        overlays += [Overlay(contours=tuple(rings[roi]), name=f"{prefix}ROI {roi}") for roi in sorted(rings)]
    if not_drawn:
        logging.warning("contours not drawn: %d", not_drawn)
    return overlays, not_drawn


def _rings(marker: Marker, placed: Placed) -> tuple[dict[int, list[np.ndarray]], int]:
    """Return the contours of an RTSTRUCT by region, and how many are not among them; the audit of links says of which."""
    rings: dict[int, list[np.ndarray]] = {}
    drawn = left = 0
    try:
        for one in contours(marker.path):
            if one.broken or (len(one.points) > 6 and drawn == _CONTOUR_LIMIT):
                left += 1
            elif len(one.points) > 6:  # fewer than three points are no contour
                rings.setdefault(one.roi, []).append(np.reshape(one.points, (-1, 3)) @ placed.basis.T)
                drawn += 1
    except UnreadableInstance:
        logging.warning("an RTSTRUCT cannot be read")
    return rings, left
