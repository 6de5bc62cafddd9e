"""Compare pixel data of a written instance with those of its source: the same bytes, or the same outside the boxes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID

from phi_deid_pipeline.records import Box, DeidRecord
from phi_deid_pipeline.verification_bytes import Layout, same_value

if TYPE_CHECKING:
    import numpy as np

COMPARED_SAMPLES = 64_000_000  # decoded samples of an instance compared in full; beyond it some frames are
COMPARED_FRAMES = 16  # at least, spread evenly, first and last and those with boxes of their own among them
DCT_MARGIN = 16  # pixels: a block of subsampled colour, within which an edit in the DCT domain may change pixels
LOSSY_TOLERANCE = 2  # grey levels by which two decoders of a lossy frame may differ

_DCT = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
_LOSSY = _DCT | {"1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"}


def same_pixels(written: Layout, source: Layout) -> bool:
    """Tell whether Pixel Data (or Float, Double Float Pixel Data) are byte for byte those of the source."""
    one, other = written.pixels, source.pixels
    return one is not None and other is not None and one.path == other.path and same_value(written, one, source, other)


def redaction_problem(source: Path, written: Path, record: DeidRecord) -> str:
    """Return "" if the written pixels decode and equal the source's outside the boxes, else what is wrong.

    Bits above the stored ones do not count, as old overlays in them are removed.
    """
    after = pydicom.dcmread(written)
    before = pydicom.dcmread(source, force=True)
    if "TransferSyntaxUID" not in before.file_meta:
        before.file_meta.TransferSyntaxUID = UID(record.source_transfer_syntax_uid)
    frames = int(after.get("NumberOfFrames") or 1)
    if frames != int(before.get("NumberOfFrames") or 1):
        return "other number of frames"
    same_colours = after.get("PhotometricInterpretation") == before.get("PhotometricInterpretation")
    source_syntax = str(before.file_meta.TransferSyntaxUID)
    margin = DCT_MARGIN if source_syntax in _DCT else 0
    tolerance = LOSSY_TOLERANCE if source_syntax in _LOSSY else 0
    for index in _sampled(frames, after, record.boxes):
        try:
            new = _frame(after, index, raw=same_colours)
        except Exception as error:  # noqa: BLE001 - codecs raise what they like; the instance is rejected with the kind
            return f"frame {index} does not decode: {type(error).__name__}"
        try:
            old = _frame(before, index, raw=same_colours)
        except Exception as error:  # noqa: BLE001
            return f"frame {index} of the source does not decode: {type(error).__name__}"
        if new.shape != old.shape:
            return f"frame {index} has another shape"
        boxes = [box for number, box in record.boxes if number in (-1, index)]
        if _differ(old, new, before, boxes, margin, tolerance):
            return f"frame {index} differs outside the boxes"
    return ""


def _sampled(frames: int, dataset: Any, boxes: Iterable[tuple[int, Box]]) -> list[int]:
    samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1)
    if samples * frames <= COMPARED_SAMPLES:
        return list(range(frames))
    step = max(1, (frames - 1) // (COMPARED_FRAMES - 1))
    named = {number for number, _ in boxes if 0 <= number < frames}
    return sorted({*range(0, frames, step), frames - 1, *sorted(named)[: 4 * COMPARED_FRAMES]})


def _frame(dataset: Any, index: int, *, raw: bool) -> np.ndarray:
    """Decode one frame: by pydicom's decoders, else by imagecodecs (JPEG Lossless, High-Throughput JPEG 2000)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or get_decoder(syntax).is_available:
        return pixel_array(dataset, index=index, raw=raw)
    import imagecodecs  # heavy, and needed for these syntaxes alone

    frames = int(dataset.get("NumberOfFrames") or 1)
    data = get_frame(dataset.PixelData, index, number_of_frames=frames)
    if data[:2] == b"\xff\xd8":
        return imagecodecs.jpeg_decode(data)
    return imagecodecs.jpeg2k_decode(data)


def _differ(old: np.ndarray, new: np.ndarray, dataset: Any, boxes: Iterable[Box], margin: int, tolerance: int) -> bool:
    import numpy as np

    if old.dtype.kind in "iu" and new.dtype.kind in "iu":
        if tolerance:
            unequal = np.abs(old.astype(np.int64) - new.astype(np.int64)) > tolerance
        else:
            stored = int(dataset.get("BitsStored") or dataset.BitsAllocated)
            high = int(dataset.get("HighBit", stored - 1))
            mask = ((1 << stored) - 1) << max(high + 1 - stored, 0)
            unequal = ((old.astype(np.int64) ^ new.astype(np.int64)) & mask) != 0
    else:
        unequal = (old != new) & ~((old != old) & (new != new))  # NaN equals NaN
    if unequal.ndim == 3:
        unequal = unequal.any(axis=2)
    for box in boxes:
        top, left = max(box.y - margin, 0), max(box.x - margin, 0)
        unequal[top : box.y + box.h + margin, left : box.x + box.w + margin] = False
    return bool(unequal.any())
