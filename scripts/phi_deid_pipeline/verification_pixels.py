"""Compare pixel data of a written instance with those of its source: the same bytes, or the same outside the boxes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_deid_pipeline.records import Box, DeidRecord
from phi_deid_pipeline.verification_bytes import DEFLATED, Layout
from phi_deid_pipeline.verification_places import same_value

if TYPE_CHECKING:
    import numpy as np
    from pydicom.uid import UID

COMPARED_SAMPLES = 64_000_000  # decoded samples of an instance compared in full; beyond it some frames are
COMPARED_FRAMES = 16  # at least, spread evenly, first and last and those with boxes of their own among them
DCT_MARGIN = 1  # pixel beyond a block over which decoders smooth subsampled colour; boxes are recorded by whole blocks
LABEL_COLOURS = 2  # in a box without loss: the fill and the label
MAX_FRAME_BYTES = 1 << 30  # of an inflated frame
LOSSY_TOLERANCE = 2  # grey levels by which two decoders of a lossy frame may differ

_NATIVE = DEFLATED | {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_DCT = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
_LOSSY = _DCT | {"1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"}


def same_pixels(written: Layout, source: Layout) -> bool:
    """Tell whether Pixel Data (or Float, Double Float Pixel Data) are byte for byte those of the source."""
    one, other = written.pixels, source.pixels
    return one is not None and other is not None and one.path == other.path and same_value(written, one, source, other)


def redaction_problem(source: Path, written: Path, record: DeidRecord) -> str:
    """Return "" if the written pixels decode and equal the source's outside the boxes, which are filled, else what is wrong.

    Bits above the stored ones do not count: old overlays go from them.
    """
    import pydicom  # here and below: instances whose pixels were not touched need no decoder

    try:
        after = pydicom.dcmread(written, stop_before_pixels=True)
        before = pydicom.dcmread(source, stop_before_pixels=True, force=True)
        frames = int(after.get("NumberOfFrames") or 1)
        if frames != int(before.get("NumberOfFrames") or 1):
            return "other number of frames"
        indices = _sampled(frames, after, record.boxes)
    except Exception as error:  # noqa: BLE001 - pydicom raises what it likes; the instance is rejected with the kind
        return f"header of the pixels cannot be read: {type(error).__name__}"
    same_colours = after.get("PhotometricInterpretation") == before.get("PhotometricInterpretation")
    source_syntax = record.source_transfer_syntax_uid
    for index in indices:
        try:
            new = _frame(written, after, index, record.transfer_syntax_uid, raw=same_colours)
        except Exception as error:  # noqa: BLE001 - so do codecs
            return f"frame {index} does not decode: {type(error).__name__}"
        try:
            old = _frame(source, before, index, source_syntax, raw=same_colours)
        except Exception as error:  # noqa: BLE001
            return f"frame {index} of the source does not decode: {type(error).__name__}"
        if new.shape != old.shape:
            return f"frame {index} has another shape"
        boxes = [box for number, box in record.boxes if number in (-1, index)]
        if _differ(old, new, before, boxes, source_syntax, record.transfer_syntax_uid):
            return f"frame {index} differs outside the boxes"
        by_blocks = record.transfer_syntax_uid in _DCT
        labelled = record.burned_in_text_scan.get("replacement", "none") != "none"
        for number, (frame, box) in enumerate(record.boxes):
            if frame in (-1, index) and not _is_filled(new, box, by_blocks=by_blocks, labelled=labelled):
                return f"box {number} of frame {index} is not filled"
    return ""


def _is_filled(pixels: np.ndarray, box: Box, *, by_blocks: bool, labelled: bool) -> bool:
    """Tell whether a box shows one colour, with a label two; next to the border of JPEG blocks colours are smoothed."""
    import numpy as np

    margin = DCT_MARGIN if by_blocks and pixels.ndim == 3 else 0
    top, left = max(box.y + margin, 0), max(box.x + margin, 0)
    inside = pixels[top : max(box.y + box.h - margin, 0), left : max(box.x + box.w - margin, 0)]
    if inside.size == 0 or bool((inside == inside[0, 0]).all()):
        return True
    if not labelled:
        return False
    if by_blocks:
        return True  # strokes of a label are stored as the quantiser of their block allows
    colours = np.unique(inside.reshape(inside.shape[0] * inside.shape[1], -1), axis=0)
    return len(colours) <= LABEL_COLOURS


def _sampled(frames: int, dataset: Any, boxes: Iterable[tuple[int, Box]]) -> list[int]:
    samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel") or 1)
    if samples * frames <= COMPARED_SAMPLES:
        return list(range(frames))
    step = max(1, (frames - 1) // (COMPARED_FRAMES - 1))
    named = {number for number, _ in boxes if 0 <= number < frames}
    return sorted({*range(0, frames, step), frames - 1, *sorted(named)[: 4 * COMPARED_FRAMES]})


def _frame(path: Path, header: Any, index: int, syntax: str, *, raw: bool) -> np.ndarray:
    """Decode one frame: by pydicom's decoders, else by imagecodecs (JPEG of 12 bits, lossless; HTJ2K)."""
    import pydicom
    from pydicom.encaps import get_frame
    from pydicom.pixels import pixel_array
    from pydicom.uid import UID

    uid = UID(syntax)
    native = syntax in _NATIVE
    decodable = native or _has_decoder(uid)
    if decodable and "TransferSyntaxUID" in header.file_meta and syntax not in DEFLATED:
        try:
            return pixel_array(path, index=index, raw=raw)
        except Exception:  # the other codec has its try; where it fails too, the caller reports it
            if native:
                raise
    dataset = pydicom.dcmread(path, force=True)
    dataset.file_meta.TransferSyntaxUID = uid
    if native:
        return pixel_array(dataset, index=index, raw=raw)
    data = get_frame(dataset.PixelData, index, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    return _by_imagecodecs(data, dataset)


def _has_decoder(uid: UID) -> bool:
    from pydicom.pixels import get_decoder

    try:
        return get_decoder(uid).is_available
    except NotImplementedError:
        return False


def _by_imagecodecs(data: bytes, dataset: Any) -> np.ndarray:
    import imagecodecs  # heavy, and needed for few transfer syntaxes
    import numpy as np

    if data[:2] == b"\xff\xd8":
        return imagecodecs.jpeg8_decode(data)
    if b"\xff\x4f\xff\x51" in data[:4096]:
        import openjpeg

        return openjpeg.decode(data, j2k_format=2 if data[4:8] == b"jP  " else 0)
    shape = (int(dataset.Rows), int(dataset.Columns))  # Deflated Image Frame Compression
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_FRAME_BYTES)
    if int(dataset.BitsAllocated) == 1:
        bits = np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little")
        return bits[: shape[0] * shape[1]].reshape(shape)
    words = np.frombuffer(plain, f"<u{int(dataset.BitsAllocated) // 8}")
    samples = int(dataset.get("SamplesPerPixel") or 1)
    return words[: shape[0] * shape[1] * samples].reshape(shape if samples == 1 else (*shape, samples))


def _differ(old: np.ndarray, new: np.ndarray, header: Any, boxes: Iterable[Box], syntax: str, new_syntax: str) -> bool:
    pairs = header.get("PhotometricInterpretation") == "YBR_FULL_422"  # neighbours share their colour
    margin = 1 if pairs else DCT_MARGIN if new_syntax in _DCT and old.ndim == 3 else 0
    # The same decoder gives the same values for a stream that was edited by blocks.
    tolerance = LOSSY_TOLERANCE if syntax in _LOSSY and syntax != new_syntax else 0
    import numpy as np

    if old.dtype.kind in "iu" and new.dtype.kind in "iu":
        if tolerance:
            unequal = np.abs(old.astype(np.int64) - new.astype(np.int64)) > tolerance
        else:
            stored = int(header.get("BitsStored") or header.BitsAllocated)
            high = int(header.get("HighBit", stored - 1))
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
