"""The contours of a structure set, with the slices that each names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.records import RejectReason

_IN_A_PLANE = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "OPEN_PLANAR", "INTERPOLATED_PLANAR"})


@dataclass(frozen=True, slots=True)
class Contour:
    """One contour: points x, y, z in mm (LPS) one after the other, its frame of reference, the instances it names."""

    roi: int
    points: tuple[float, ...]
    frame_of_reference_uid: str
    images: tuple[str, ...]
    planar: bool


def contours(path: Path) -> Iterator[Contour]:
    """Yield the contours of an RT Structure Set that have points; raises UnreadableInstance (MALFORMED)."""
    try:
        header = pydicom.dcmread(path)
        frames = {
            int(roi.ROINumber): str(roi.get("ReferencedFrameOfReferenceUID") or "")
            for roi in header.get("StructureSetROISequence") or ()
        }
        for roi in header.get("ROIContourSequence") or ():
            number = int(roi.ReferencedROINumber)
            for item in roi.get("ContourSequence") or ():
                if (contour := _contour(item, number, frames.get(number, ""))) is not None:
                    yield contour
    except (ValueError, TypeError, AttributeError, LookupError, EOFError, NotImplementedError) as error:
        raise UnreadableInstance(RejectReason.MALFORMED, type(error).__name__) from error


def _contour(item: Dataset, roi: int, frame_of_reference_uid: str) -> Contour | None:
    values = item.get("ContourData")
    if values is None or not (isinstance(values, float) or len(values)):
        return None
    points = tuple(map(float, [values] if isinstance(values, float) else values))
    if len(points) % 3 or not all(map(math.isfinite, points)):
        raise ValueError("ContourData")
    images = tuple(str(image.ReferencedSOPInstanceUID) for image in item.get("ContourImageSequence") or ())
    return Contour(roi, points, frame_of_reference_uid, images, item.get("ContourGeometricType") in _IN_A_PLANE)
