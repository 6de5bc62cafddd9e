"""Pixel values of the slices of a stack, and what is drawn on them: masks of SEG."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.metadata_extract import PARSE_ERRORS, read_header, slice_attributes
from phi_deid_pipeline.pixel_read import open_pixels
from phi_deid_pipeline.records import RejectReason, SliceAttributes

T = TypeVar("T")
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_HALF = 0.5  # of the largest value of a fractional segment: from there on a pixel belongs to it


@dataclass(frozen=True, slots=True)
class MaskPlane:
    """One plane of one segment: where it lies, and which of its pixels belong to the segment, bool (rows, columns)."""

    segment: int
    place: SliceAttributes
    mask: np.ndarray


def frame_digests(path: Path) -> list[str]:
    """Return a digest of the decoded values of each frame; none where they cannot be decoded."""
    try:
        return [_digest(values) for values in frame_values(path, colour=True)]
    except UnreadableInstance:
        return []


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(f"{values.shape}{values.dtype}".encode() + np.ascontiguousarray(values).tobytes()).hexdigest()


def frame_values(path: Path, *, colour: bool = False) -> Iterator[np.ndarray]:
    """Yield the values of each frame as stored (rows, columns); of colours the brightness, where they are allowed.

    Raises UnreadableInstance where there are none.
    """
    pixels = open_pixels(path)
    if pixels is None:
        raise UnreadableInstance(RejectReason.PIXELS_UNDECODABLE, "no pixels")
    with pixels:
        for frame in pixels.frames():
            if frame.values.ndim == 2:
                yield frame.values
            elif colour:
                yield frame.values[..., 0] if frame.photometric.startswith("YBR") else frame.values.mean(axis=2)
            else:
                raise UnreadableInstance(RejectReason.PIXELS_UNDECODABLE, "more than one sample a pixel")


class SliceReader:
    """Reads the stored values of slices by their order; frames of one instance are decoded in one go."""

    def __init__(self, paths: Mapping[str, Path], *, colour: bool = False) -> None:
        """`paths` are staged instances by new SOP Instance UID; `colour` takes the brightness of colours."""
        self._colour = colour
        self._paths = paths
        self._open = ""
        self._kept: dict[int, np.ndarray] = {}

    def read(self, one: SliceAttributes) -> np.ndarray:
        """Return the values (rows, columns) of one slice. Raises UnreadableInstance."""
        path = self._paths[one.sop_uid]
        if one.number_of_frames < 2:
            with closing(frame_values(path, colour=self._colour)) as frames:
                return next(frames)
        if self._open != one.sop_uid:
            self._kept = dict(enumerate(frame_values(path, colour=self._colour)))
            self._open = one.sop_uid
        return self._kept[one.frame]

    def hounsfield(self, one: SliceAttributes, pad: float) -> np.ndarray:
        """Return the rescaled values of one slice as float32, padding replaced; without a slope values stay as stored."""
        stored = self.read(one)
        slope = 1.0 if one.rescale_slope is None else one.rescale_slope
        values = stored.astype(np.float32) * np.float32(slope) + np.float32(one.rescale_intercept or 0.0)
        if one.pixel_padding_value is not None:
            values[stored == one.pixel_padding_value] = pad
        return values


def _parsed(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """Turn what pydicom raises on elements that do not parse into UnreadableInstance."""

    @wraps(read)
    def wrapped(path: Path) -> T:
        try:
            return read(path)
        except PARSE_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the data
            raise UnreadableInstance(RejectReason.MALFORMED, type(error).__name__) from error

    return wrapped


@_parsed
def named_instances(path: Path) -> frozenset[str]:
    """Return the SOP and Series Instance UIDs that an object refers to, at any depth. Raises UnreadableInstance."""
    header = read_header(path)
    found: set[str] = set()
    own = {str(header.get("SOPInstanceUID")), str(header.get("SeriesInstanceUID"))}

    def note(_dataset: Dataset, element: pydicom.DataElement) -> None:
        if element.keyword in ("ReferencedSOPInstanceUID", "SeriesInstanceUID") and element.value:
            found.add(str(element.value))

    header.walk(note)
    return frozenset(found - own)


@_parsed
def mask_planes(path: Path) -> list[MaskPlane]:
    """Return the planes of a SEG that has positions, by segment and frame. Raises UnreadableInstance."""
    header = read_header(path)
    places = slice_attributes(path)
    if not all(one.position and one.orientation for one in places):
        return []
    limit = _HALF * float(header.get("MaximumFractionalValue") or 1)
    fractional = header.get("SegmentationType") == "FRACTIONAL"
    found = []
    for place, values in zip(places, frame_values(path), strict=True):
        if header.SOPClassUID == LABEL_MAP:
            found += [MaskPlane(int(number), place, values == number) for number in np.unique(values) if number]
        else:
            found.append(
                MaskPlane(_segment_of(header, place.frame), place, values >= limit if fractional else values > 0)
            )
    return sorted(found, key=lambda one: (one.segment, one.place.frame))


def _segment_of(header: Dataset, frame: int) -> int:
    groups = [header.PerFrameFunctionalGroupsSequence[frame], *header.get("SharedFunctionalGroupsSequence", [])]
    for group in groups:
        for item in group.get("SegmentIdentificationSequence", []):
            return int(item.ReferencedSegmentNumber)
    raise UnreadableInstance(RejectReason.MALFORMED, "SegmentIdentificationSequence")
