"""Change the pixels of an instance and nothing but these: boxes are filled, all else decodes to the same stored values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phi_deid_pipeline.boxes import area, grown
from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.instance_deid import PixelReplacement
from phi_deid_pipeline.pixel_codecs import (
    DEFLATED_FRAMES,
    EXPLICIT_LE,
    J2K,
    J2K_ALL,
    JPEG_DCT,
    JPEG_LOSSLESS,
    JPEG_LS,
    JPEG_LS_ALL,
    NATIVE,
    RLE,
    CodecError,
    PixelFormat,
    decode_frame,
    decoded_photometric,
    encode_frame,
    high_bits,
    to_values,
)
from phi_deid_pipeline.pixel_read import (
    PADDING_VALUE,
    PHOTOMETRIC,
    PLANAR,
    SourcePixels,
    open_pixels,
)
from phi_deid_pipeline.records import Box, RejectReason

IMAGE_TYPE, SMALLEST, LARGEST = 0x00080008, 0x00280106, 0x00280107
LOSSY, LOSSY_METHOD = 0x00282110, 0x00282114
EXTENDED_OFFSETS = (0x7FE00001, 0x7FE00002)
LOSSY_METHODS = {
    **dict.fromkeys(JPEG_DCT, "ISO_10918_1"),
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}


@dataclass(slots=True)
class _Range:
    """Smallest and largest pixel value over the frames."""

    low: int | None = None
    high: int | None = None

    def add(self, values: np.ndarray) -> None:
        if values.dtype.kind == "f":
            return  # no attribute holds it, and NaN is no number
        low, high = int(values.min()), int(values.max())
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)


def redact(
    path: Path, fills: list[Box], frame_fills: list[tuple[int, Box]], *, drop_overlays: bool = False
) -> PixelReplacement:
    """Fill boxes (in every frame, or in one) with the darkest value displayed and return the new pixel data.

    Boxes are grown by a tenth of their height and one pixel and clipped to the image. Bits above Bits Stored are zeroed.
    The transfer syntax stays where it can be written losslessly; `drop_overlays` removes all 60xx groups too. The result
    was checked by `check_edit`. Raises UnreadableInstance(PIXELS_UNDECODABLE or PIXELS_NOT_EDITABLE).
    """
    source = open_pixels(path)
    if source is None:
        raise _not_editable("no pixel data")
    with source:
        try:
            boxes = _Boxes(source.layout, fills, frame_fills)
            replacement = _edit(source, boxes)
            if drop_overlays:
                replacement.attributes.update(dict.fromkeys(source.overlay_tags()))
            _check(source, replacement, boxes)
        except CodecError as error:
            raise _not_editable(str(error)) from None
        except (DeidError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - codecs and arrays raise whatever they like; one instance is rejected
            raise _not_editable(type(error).__name__) from None
    return replacement


def check_edit(path: Path, replacement: PixelReplacement, boxes: list[tuple[int, Box]]) -> None:
    """Decode source and replacement and compare stored values outside the boxes (frame or -1 for all, box as filled).

    Raises UnreadableInstance(PIXELS_NOT_EDITABLE) where one pixel outside differs.
    """
    source = open_pixels(path)
    if source is None:
        raise _not_editable("no pixel data")
    with source:
        every = [box for frame, box in boxes if frame < 0]
        _check(source, replacement, _Boxes(source.layout, every, [p for p in boxes if p[0] >= 0], grow=False))


class _Boxes:
    """The boxes of each frame, as they are filled."""

    def __init__(
        self, layout: PixelFormat, fills: Iterable[Box], frame_fills: Iterable[tuple[int, Box]], *, grow: bool = True
    ) -> None:
        self._pairs = layout.photometric == "YBR_FULL_422" and layout.transfer_syntax_uid in NATIVE

        def final(box: Box) -> Box:
            box = grown(box, layout.rows, layout.columns) if grow else box
            return _even(box, layout.columns) if self._pairs else box

        self._every = [b for box in fills if area(b := final(box))]
        self._single: dict[int, list[Box]] = defaultdict(list)
        for frame, box in frame_fills:
            if not 0 <= frame < layout.frames:
                raise _not_editable("box in a frame that is not there")
            if area(b := final(box)):
                self._single[frame].append(b)

    def of(self, frame: int) -> list[Box]:
        """Return the boxes to fill in one frame."""
        return self._every + self._single.get(frame, [])


def _even(box: Box, columns: int) -> Box:
    """Widen a box to whole pairs of columns, which share their chroma."""
    left, right = box.x - box.x % 2, min(box.x + box.w + (box.x + box.w) % 2, columns)
    return Box(left, box.y, right - left, box.h)


def _not_editable(detail: str) -> UnreadableInstance:
    return UnreadableInstance(RejectReason.PIXELS_NOT_EDITABLE, detail)


def _edit(source: SourcePixels, boxes: _Boxes) -> PixelReplacement:
    layout = source.layout
    values = _Range()
    if layout.transfer_syntax_uid in NATIVE:
        value: bytes | list[bytes] = _edit_native(source, boxes, values)
        return PixelReplacement(value, False, layout.transfer_syntax_uid, _attributes(source, None, values))
    edited = list(_edited_frames(source, boxes, values))
    photometric = {p for _, p in edited}
    if len(photometric) != 1:
        raise _not_editable("frames differ in colour space")
    colour = photometric.pop()
    for syntax in _targets(layout):
        target = replace(
            layout,
            transfer_syntax_uid=syntax,
            photometric=colour,
            little=True,
            planar=layout.planar if syntax == RLE else 0,
        )
        try:
            frames = [encode_frame(words, target) for words, _ in edited]
        except CodecError:
            continue
        attributes = _attributes(source, target, values)
        if syntax == EXPLICIT_LE:
            joined = b"".join(frames)
            return PixelReplacement(joined + b"\x00" * (len(joined) % 2), False, syntax, attributes)
        return PixelReplacement(frames, True, syntax, attributes)
    raise _not_editable("no lossless encoding for this image")


def _targets(layout: PixelFormat) -> tuple[str, ...]:
    """Return the transfer syntaxes to try: the source's, the nearest lossless one, at last uncompressed."""
    syntax = layout.transfer_syntax_uid
    if syntax == RLE:
        return RLE, EXPLICIT_LE
    if syntax == DEFLATED_FRAMES:
        return DEFLATED_FRAMES, EXPLICIT_LE
    if syntax in J2K_ALL:
        return J2K, RLE, EXPLICIT_LE
    if syntax in JPEG_LS_ALL | JPEG_DCT | JPEG_LOSSLESS:
        return JPEG_LS, J2K, RLE, EXPLICIT_LE
    raise _not_editable("no encoder for this transfer syntax")


def _edited_frames(source: SourcePixels, boxes: _Boxes, values: _Range) -> Iterator[tuple[np.ndarray, str]]:
    for index, data in enumerate(source.encoded_frames()):
        words = decode_frame(data, source.layout).copy()
        photometric = decoded_photometric(data, source.layout)
        _clear_high_bits(words, source.layout)
        _fill(words, boxes.of(index), source, photometric)
        values.add(to_values(words, source.layout))
        yield words, photometric


def _edit_native(source: SourcePixels, boxes: _Boxes, values: _Range) -> bytes:
    """Edit the stored bytes in place: order, planes, chroma pairs and padding stay as they are."""
    layout = source.layout
    out = bytearray(source.pixel_value)
    single_bits = layout.allocated == 1
    bits = np.unpackbits(np.frombuffer(out, np.uint8), bitorder="little") if single_bits else None
    for index, data in enumerate(source.encoded_frames()):
        words = decode_frame(data, layout).copy()
        _clear_high_bits(words, layout)
        photometric = decoded_photometric(data, layout)
        _fill(words, boxes.of(index), source, photometric)
        values.add(to_values(words, layout))
        start = layout.frame_bits * index
        if bits is not None:
            bits[start : start + layout.frame_bits] = words.reshape(-1)
        else:
            _put_back(out, start // 8, _native_frame(words, layout), layout)
    return np.packbits(bits, bitorder="little").tobytes() if bits is not None else bytes(out)


def _native_frame(words: np.ndarray, layout: PixelFormat) -> bytes:
    if layout.photometric != "YBR_FULL_422":
        return encode_frame(words, layout)
    pairs = np.empty((layout.rows, layout.columns // 2, 4), words.dtype)
    pairs[..., 0], pairs[..., 1] = words[:, 0::2, 0], words[:, 1::2, 0]
    pairs[..., 2], pairs[..., 3] = words[:, 0::2, 1], words[:, 0::2, 2]
    return pairs.astype(words.dtype.newbyteorder("<" if layout.little else ">")).tobytes()


def _put_back(out: bytearray, start: int, data: bytes, layout: PixelFormat) -> None:
    if not layout.swapped_bytes:
        out[start : start + len(data)] = data
        return
    first, last = start // 2 * 2, (start + len(data) + 1) // 2 * 2
    if last > len(out):
        raise CodecError("big-endian words of odd length")
    words = bytearray(np.frombuffer(bytes(out[first:last]), "u2").byteswap().tobytes())
    words[start - first : start - first + len(data)] = data
    out[first:last] = np.frombuffer(bytes(words), "u2").byteswap().tobytes()


def _clear_high_bits(words: np.ndarray, layout: PixelFormat) -> None:
    if high_bits(words, layout) is None:
        return
    kept = (1 << layout.stored) - 1
    if not layout.signed:
        words &= words.dtype.type(kept)
        return
    cleared = to_values(words, layout)
    words[...] = cleared.view(words.dtype)


def _fill(words: np.ndarray, boxes: list[Box], source: SourcePixels, photometric: str) -> None:
    if not boxes:
        return
    colour = _fill_words(words, source, photometric)
    for box in boxes:
        words[box.y : box.y + box.h, box.x : box.x + box.w] = colour


def _fill_words(words: np.ndarray, source: SourcePixels, photometric: str) -> np.ndarray:
    """Return the stored word, or words of a pixel, that is displayed darkest."""
    layout, dtype = source.layout, words.dtype
    if layout.samples > 1:
        half = 1 << (layout.stored - 1) if photometric.startswith("YBR") else 0
        return np.array([0, half, half, 0][: layout.samples], dtype)
    values = to_values(words, layout)
    if photometric == "PALETTE COLOR":
        return _word(_darkest_entry(source), layout, dtype)
    if layout.float_bits:
        finite = values[np.isfinite(values)]
        return np.array(finite.min() if finite.size else 0, dtype)
    if photometric == "MONOCHROME1":
        return _word(int(values.max()), layout, dtype)
    padding = source_padding(source)
    darkest = int(values.min()) if layout.signed else 0
    if layout.signed and padding is not None:
        darkest = min(darkest, padding)
    return _word(darkest, layout, dtype)


def source_padding(source: SourcePixels) -> int | None:
    """Return Pixel Padding Value as a pixel value, None where it is absent or does not fit."""
    stored = source.number(PADDING_VALUE)
    if stored is None:
        return None
    bits = source.layout.stored
    value = stored - 0x10000 if source.layout.signed and stored > 0x7FFF else stored
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if source.layout.signed else (0, (1 << bits) - 1)
    return value if low <= value <= high else None


def _word(value: int, layout: PixelFormat, dtype: np.dtype) -> np.ndarray:
    """Return a pixel value as stored word; negative ones with their sign extended over the allocated bits."""
    return np.array(value & ((1 << (dtype.itemsize * 8)) - 1), np.uint64).astype(dtype)


def _darkest_entry(source: SourcePixels) -> int:
    palette = source.palette()
    if palette is None:
        raise CodecError("palette cannot be read")
    usable = 1 << source.layout.stored
    return int(palette[:usable].astype(int).sum(axis=1).argmin()) + source.palette_first()


def _attributes(
    source: SourcePixels, target: PixelFormat | None, values: _Range
) -> dict[int, tuple[str, object] | None]:
    layout = source.layout
    attributes: dict[int, tuple[str, object] | None] = {}
    image_type = source.values(IMAGE_TYPE)
    if image_type and image_type[0] != "DERIVED":
        attributes[IMAGE_TYPE] = ("CS", ["DERIVED", *image_type[1:]])
    if not layout.float_bits and values.low is not None and layout.samples == 1 and layout.stored <= 16:
        vr = "SS" if layout.signed else "US"
        for tag, number in ((SMALLEST, values.low), (LARGEST, values.high)):
            if source.has(tag):
                attributes[tag] = (vr, number)
    if target is None:
        return attributes
    if target.photometric != layout.photometric:
        attributes[PHOTOMETRIC] = ("CS", target.photometric)
    if layout.samples > 1 and target.planar != layout.planar:
        attributes[PLANAR] = ("US", target.planar)
    method = LOSSY_METHODS.get(layout.transfer_syntax_uid)
    if method:
        if source.text(LOSSY) != "01":
            attributes[LOSSY] = ("CS", "01")
        if not source.text(LOSSY_METHOD):
            attributes[LOSSY_METHOD] = ("CS", method)
    attributes.update({tag: None for tag in EXTENDED_OFFSETS if source.has(tag)})
    return attributes


# --- proof ----------------------------------------------------------------------------------------------------------


def _replaced_frames(replacement: PixelReplacement, layout: PixelFormat) -> Iterator[np.ndarray]:
    value = replacement.value
    for index in range(layout.frames):
        if isinstance(value, list):
            yield decode_frame(value[index], layout)
        elif layout.allocated == 1:
            bits = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little")
            start = index * layout.frame_bits
            yield bits[start : start + layout.frame_bits].reshape(layout.rows, layout.columns)
        else:
            start = index * layout.frame_bytes
            data = value[start : start + layout.frame_bytes]
            if layout.swapped_bytes:
                first, last = start // 2 * 2, (start + len(data) + 1) // 2 * 2
                whole = np.frombuffer(value[first:last], "u2").byteswap().tobytes()
                data = whole[start - first : start - first + layout.frame_bytes]
            yield decode_frame(data, layout)


def _check(source: SourcePixels, replacement: PixelReplacement, boxes: _Boxes) -> None:
    before = source.layout
    attributes = replacement.attributes
    after = before
    if replacement.transfer_syntax_uid != before.transfer_syntax_uid or replacement.encapsulated:
        photometric, planar = attributes.get(PHOTOMETRIC), attributes.get(PLANAR)
        after = replace(
            before,
            transfer_syntax_uid=replacement.transfer_syntax_uid,
            photometric=str(photometric[1]) if photometric else before.photometric,
            planar=int(str(planar[1])) if planar else before.planar,
            little=True,
        )
    if isinstance(replacement.value, list) and len(replacement.value) != before.frames:
        raise _not_editable("number of frames changed")
    try:
        pairs = zip(source.frames(), _replaced_frames(replacement, after), strict=True)
        for index, (old, new_words) in enumerate(pairs):
            differs = old.values != to_values(new_words, after)
            if before.float_bits:
                differs &= ~(np.isnan(old.values) & np.isnan(new_words))
            if differs.ndim == 3:
                differs = differs.any(axis=2)
            for box in boxes.of(index):
                differs[box.y : box.y + box.h, box.x : box.x + box.w] = False
            if differs.any() or high_bits(new_words, after) is not None:
                raise _not_editable("pixels outside the boxes changed")
    except CodecError as error:
        raise _not_editable(f"edited frame: {error}") from None
