"""The contours of a structure set, with the slices that each names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.records import RejectReason

T = TypeVar("T")
_IN_A_PLANE = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "OPEN_PLANAR", "INTERPOLATED_PLANAR"})
_UNPARSED = (ValueError, TypeError, AttributeError, LookupError, EOFError, NotImplementedError)
_AS_TEXT = (None, "DS", "UN")  # None: implicit VR
NO_ROI = -1  # of contours of a region without a number


@dataclass(frozen=True, slots=True)
class Contour:
    """One contour: points x, y, z in mm (LPS) one after the other, its frame of reference, the instances it names.

    A `broken` one has points that cannot be read, or no region of interest; it then has no points.
    """

    roi: int
    points: tuple[float, ...]
    frame_of_reference_uid: str
    images: tuple[str, ...]
    planar: bool
    broken: bool = False


def contours(path: Path) -> Iterator[Contour]:
    """Yield the contours of an RT Structure Set that have points, broken ones among them.

    Raises UnreadableInstance (MALFORMED) where the object as a whole does not parse.
    """
    try:
        header = pydicom.dcmread(path)
        frames = dict(map(_frame_of, header.get("StructureSetROISequence") or ()))
        regions = list(header.get("ROIContourSequence") or ())
    except _UNPARSED as error:
        raise UnreadableInstance(RejectReason.MALFORMED, type(error).__name__) from error
    for region in regions:
        roi = _read(lambda region=region: int(region.ReferencedROINumber), NO_ROI)
        items = _read(lambda region=region: list(region.get("ContourSequence") or ()), None)
        if items is None:
            yield Contour(roi, (), frames.get(roi, ""), (), True, True)
        for item in items or ():
            if (contour := _contour(item, roi, frames.get(roi, ""))) is not None:
                yield contour


def _read(read: Callable[[], T], otherwise: T) -> T:
    """Return what is read, or `otherwise` where the attribute is missing or does not parse."""
    try:
        return read()
    except _UNPARSED:
        return otherwise


def _frame_of(roi: Dataset) -> tuple[int, str]:
    return int(roi.ROINumber), str(roi.get("ReferencedFrameOfReferenceUID") or "")


def _contour(item: Dataset, roi: int, frame_of_reference_uid: str) -> Contour | None:
    images = _read(lambda: _images(item), ())
    planar = _read(lambda: item.get("ContourGeometricType") in _IN_A_PLANE, True)
    points = _read(lambda: _points(item), None)
    if points == ():
        return None
    broken = points is None or roi == NO_ROI
    return Contour(roi, () if broken else points, frame_of_reference_uid, images, planar, broken)


def _images(item: Dataset) -> tuple[str, ...]:
    return tuple(str(image.ReferencedSOPInstanceUID) for image in item.get("ContourImageSequence") or ())


def _points(item: Dataset) -> tuple[float, ...]:
    """Return the coordinates of a contour, none where it has none; ValueError where they are no points."""
    points = tuple(map(float, _coordinates(item)))
    if len(points) % 3 or not all(map(math.isfinite, points)):
        raise ValueError("ContourData")
    return points


def _coordinates(item: Dataset) -> Sequence[bytes | float]:
    """Return coordinates as they are written: pydicom makes an object of each, and there may be millions."""
    element = item.get_item("ContourData")
    if isinstance(element, RawDataElement) and element.VR in _AS_TEXT:
        written = (element.value or b"").rstrip(b"\0 ")
        return written.split(b"\\") if written else ()
    values = item.get("ContourData")
    if values is None:
        return ()
    return [values] if isinstance(values, float) else values
