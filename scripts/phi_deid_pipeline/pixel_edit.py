"""Change the pixels of an instance and nothing but these: boxes are filled, all else decodes to the same stored values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from phi_deid_pipeline.boxes import area, clipped, grown
from phi_deid_pipeline.codestreams import without_comments
from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.instance_deid import PixelReplacement
from phi_deid_pipeline.instance_rewrite import SERIES_RANGE
from phi_deid_pipeline.jpeg_dct import JpegError, block_boxes, edit
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
    without_tail,
)
from phi_deid_pipeline.pixel_fill import FillStyle, paint
from phi_deid_pipeline.pixel_read import PHOTOMETRIC, PLANAR, SourcePixels, open_pixels, within_reach
from phi_deid_pipeline.records import Box, RejectReason

IMAGE_TYPE, SMALLEST, LARGEST = 0x00080008, 0x00280106, 0x00280107
# What tells of other pixels too, or more than is worth making anew (Type 3, or a module that need not be): of the series, of
# a plane, a histogram.
OUTDATED = (*SERIES_RANGE, 0x00280110, 0x00280111, 0x00603000)
LOSSY, LOSSY_METHOD = 0x00282110, 0x00282114
EXTENDED_OFFSETS = (0x7FE00001, 0x7FE00002)
LOSSY_METHODS = {
    **dict.fromkeys(JPEG_DCT, "ISO_10918_1"),
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
BY_BLOCKS = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
WITH_COMMENTS = {RLE} | JPEG_DCT | JPEG_LOSSLESS | JPEG_LS_ALL | J2K_ALL
REASONS = {
    **dict.fromkeys(JPEG_DCT - BY_BLOCKS, "retired process: no encoder"),
    **dict.fromkeys(JPEG_LOSSLESS, "JPEG lossless: no encoder"),
    **dict.fromkeys(
        (J2K_ALL | JPEG_LS_ALL) - {J2K, JPEG_LS}, "lossy or high-throughput: encoding again would lose more"
    ),
}
DARKEST = FillStyle()
STROKE_SIDE = 9  # pixels of the neighbourhood that strokes stand out from
ALIKE = (
    0.15  # correlation of strokes from which two frames may show the same text: as faint as can be read over speckle
)


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
    path: Path,
    fills: Sequence[Box],
    frame_fills: Sequence[tuple[int, Box]],
    *,
    exact: Sequence[Box] = (),
    labels: Mapping[Box, str] = MappingProxyType({}),
    style: FillStyle = DARKEST,
    drop_overlays: bool = False,
) -> PixelReplacement:
    """Fill boxes and return the new pixel data, with the boxes as they were filled.

    `fills` are filled in every frame, `frame_fills` in the frame named and in each that shows the same there. Both are
    grown by a tenth of their height and one pixel and clipped to the image; `exact` boxes are filled in every frame as
    they are. `labels` are drawn into the boxes that they are named by. Bits above Bits Stored are zeroed. The transfer
    syntax stays where it can be written losslessly or edited by blocks (sequential JPEG: boxes are widened to whole
    blocks); `drop_overlays` removes all 60xx groups too. The result was checked against the source. Raises
    UnreadableInstance(PIXELS_UNDECODABLE or PIXELS_NOT_EDITABLE).
    """
    source = open_pixels(path)
    if source is None:
        raise _not_editable("no pixel data")
    with source, _refusing():
        spread = shown_in_frames(source, frame_fills)
        boxes = _Boxes(source.layout, fills, spread, exact=exact, labels=labels)
        replacement = _edit(source, boxes, style)
        if drop_overlays:
            replacement.attributes.update(dict.fromkeys(source.overlay_tags()))
        _check(source, replacement, boxes)
        return replace(replacement, boxes=boxes.filled())


def without_frame_comments(path: Path) -> PixelReplacement | None:
    """Return the pixel data without comments and application data of their codestreams; None where there are none.

    Nothing is encoded again: each frame decodes to the same values, which is checked. Raises as `redact` does.
    """
    source = open_pixels(path)
    if source is None:
        return None
    with source, _refusing():
        layout = source.layout
        if layout.transfer_syntax_uid not in WITH_COMMENTS:
            return None
        # One frame at a time: most instances have nothing to drop, and all frames together may not fit into memory.
        if all(_stripped(frame := bytes(data), layout) is frame for data in source.encoded_frames()):
            return None
        stripped = [_stripped(bytes(data), layout) for data in source.encoded_frames()]
        attributes: dict[int, tuple[str, object] | None] = {tag: None for tag in EXTENDED_OFFSETS if source.has(tag)}
        replacement = PixelReplacement(list(map(_even_length, stripped)), True, layout.transfer_syntax_uid, attributes)
        _check(source, replacement, _Boxes(layout, (), ()), high_bits_go=False)
        return replacement


def has_high_bits(path: Path) -> bool:
    """Tell whether anything stands above Bits Stored in a frame, sign bits apart; raises as `redact` does."""
    source = open_pixels(path)
    if source is None:
        return False
    with source, _refusing():
        return any(frame.high is not None for frame in source.frames())


def _stripped(frame: bytes, layout: PixelFormat) -> bytes:
    """Return a frame without comments and without what stands behind its codestream; the same object if nothing goes."""
    return without_comments(without_tail(frame, layout))


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what codecs and arrays raise into the rejection of one instance."""
    try:
        yield
    except CodecError as error:
        raise _not_editable(str(error)) from None
    except (DeidError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - codecs raise whatever they like
        raise _not_editable(type(error).__name__) from None


def shown_in_frames(source: SourcePixels, frame_fills: Sequence[tuple[int, Box]]) -> list[tuple[int, Box]]:
    """Return the boxes of single frames with those of all frames that show the same strokes there; half of them mean all.

    Readers tell a text once, in the first frame that shows it; where it stands in others is seen in the pixels.
    """
    layout = source.layout
    if layout.frames == 1 or not frame_fills:
        return list(frame_fills)
    wanted: dict[int, list[Box]] = defaultdict(list)
    for frame, box in frame_fills:
        wanted[frame].append(grown(box, layout.rows, layout.columns))
    strokes = {}
    for frame in source.frames():
        for box in wanted.get(frame.index, ()):
            strokes[frame.index, box] = _strokes(frame.values, box)
        if frame.index >= max(wanted):
            break
    alike: dict[tuple[int, Box], set[int]] = {(number, box): {number} for number, box in frame_fills}
    for frame in source.frames():
        for (number, box), frames in alike.items():
            place = grown(box, layout.rows, layout.columns)
            mark = strokes.get((number, place))
            if mark is not None and frame.index != number and _alike(mark, _strokes(frame.values, place)):
                frames.add(frame.index)
    found = set()
    for (_, box), frames in alike.items():
        static = 2 * len(frames) >= layout.frames
        found |= {(frame, box) for frame in (range(layout.frames) if static else frames)}
    return sorted(found, key=lambda pair: (pair[0], pair[1].y, pair[1].x, pair[1].h, pair[1].w))


def _strokes(values: np.ndarray, box: Box) -> np.ndarray:
    """Return what stands out from its neighbourhood in a box, around zero."""
    import cv2

    part = values[box.y : box.y + box.h, box.x : box.x + box.w]
    plain = within_reach(part) if part.dtype.kind == "f" else part
    grey = (plain if plain.ndim == 2 else plain[..., :3].mean(axis=2)).astype(np.float32)
    found = grey - cv2.blur(grey, (STROKE_SIDE, STROKE_SIDE), borderType=cv2.BORDER_REFLECT) if grey.size else grey
    return found - found.mean() if found.size else found


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    if size == 0:
        return not one.any() and not other.any()
    return bool((one * other).sum() / size >= ALIKE)


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
    """The boxes of each frame, as they are filled, with their labels."""

    def __init__(
        self,
        layout: PixelFormat,
        fills: Iterable[Box],
        frame_fills: Iterable[tuple[int, Box]],
        *,
        exact: Iterable[Box] = (),
        labels: Mapping[Box, str] = MappingProxyType({}),
        grow: bool = True,
    ) -> None:
        self.layout = layout
        self._pairs = layout.photometric == "YBR_FULL_422" and layout.transfer_syntax_uid in NATIVE
        self._by_blocks: dict[int, list[Box]] = {}

        def final(box: Box, *, widen: bool) -> Box:
            box = (grown if widen else clipped)(box, layout.rows, layout.columns)
            return _even(box, layout.columns) if self._pairs else box

        self._every = [(b, "") for box in exact if area(b := final(box, widen=False))]
        self._every += [(b, labels.get(box, "")) for box in fills if area(b := final(box, widen=grow))]
        self._single: dict[int, list[tuple[Box, str]]] = defaultdict(list)
        for frame, box in frame_fills:
            if not 0 <= frame < layout.frames:
                raise _not_editable("box in a frame that is not there")
            if area(b := final(box, widen=grow)):
                self._single[frame].append((b, labels.get(box, "")))

    def labelled(self, frame: int) -> list[tuple[Box, str]]:
        """Return boxes and labels of one frame."""
        return self._every + self._single.get(frame, [])

    def of(self, frame: int) -> list[Box]:
        """Return the boxes to fill in one frame."""
        return self._by_blocks.get(frame) or [box for box, _ in self.labelled(frame)]

    def widen(self, frame: int, boxes: list[Box]) -> None:
        """Let whole blocks stand for the boxes of a frame."""
        self._by_blocks[frame] = boxes

    def forget_blocks(self) -> None:
        """Go back to the boxes as they were asked for."""
        self._by_blocks.clear()

    def filled(self) -> tuple[tuple[int, Box], ...]:
        """Return (frame, box) of all boxes, frame -1 for those that every frame has."""
        frames = [dict.fromkeys(self.of(frame)) for frame in range(self.layout.frames)]
        every = [box for box in frames[0] if all(box in other for other in frames)] if frames else []
        single = [(n, box) for n, boxes in enumerate(frames) for box in boxes if box not in every]
        return tuple([(-1, box) for box in every] + single)


def _even(box: Box, columns: int) -> Box:
    """Widen a box to whole pairs of columns, which share their chroma."""
    left, right = box.x - box.x % 2, min(box.x + box.w + (box.x + box.w) % 2, columns)
    return Box(left, box.y, right - left, box.h)


def _not_editable(detail: str) -> UnreadableInstance:
    return UnreadableInstance(RejectReason.PIXELS_NOT_EDITABLE, detail)


def _edit(source: SourcePixels, boxes: _Boxes, style: FillStyle) -> PixelReplacement:
    layout = source.layout
    values = _Range()
    if layout.transfer_syntax_uid in NATIVE:
        value: bytes | list[bytes] = _edit_native(source, boxes, values, style)
        return PixelReplacement(value, False, layout.transfer_syntax_uid, _attributes(source, None, values))
    reason = REASONS.get(layout.transfer_syntax_uid, "no lossless encoding of this image in its transfer syntax")
    if layout.transfer_syntax_uid in BY_BLOCKS:
        try:
            return _edit_blocks(source, boxes, style)
        except JpegError as error:
            reason = f"JPEG blocks: {error}"
            boxes.forget_blocks()
    edited = list(_edited_frames(source, boxes, values, style))
    photometric = {p for _, p in edited}
    if len(photometric) != 1:
        raise _not_editable("frames differ in colour space")
    colour = photometric.pop()
    for syntax in _targets(layout):
        target = replace(
            layout,
            transfer_syntax_uid=syntax,
            photometric=_stored_colour(layout, syntax, colour),
            little=True,
            planar=layout.planar if syntax == RLE else 0,
        )
        try:
            frames = [encode_frame(words, target) for words, _ in edited]
        except CodecError:
            continue
        attributes = _attributes(source, target, values)
        why = "" if syntax == layout.transfer_syntax_uid else reason
        if syntax == EXPLICIT_LE:
            joined = b"".join(frames)
            return PixelReplacement(joined + b"\x00" * (len(joined) % 2), False, syntax, attributes, syntax_reason=why)
        return PixelReplacement(frames, True, syntax, attributes, syntax_reason=why)
    raise _not_editable("no lossless encoding for this image")


def _stored_colour(layout: PixelFormat, syntax: str, colour: str) -> str:
    """Return the photometric interpretation to store: JPEG 2000 keeps its own transform of colours, as IODs may ask."""
    transformed = layout.photometric in ("YBR_RCT", "YBR_ICT") and syntax == J2K and colour == "RGB"
    return "YBR_RCT" if transformed else colour


def _edit_blocks(source: SourcePixels, boxes: _Boxes, style: FillStyle) -> PixelReplacement:
    """Edit sequential JPEG in its DCT domain; raises JpegError where one frame cannot be."""
    layout, values, frames = source.layout, _Range(), []
    if layout.signed:
        raise JpegError("signed values")
    for index, data in enumerate(source.encoded_frames()):
        frame = without_tail(bytes(data), layout)
        wanted = boxes.labelled(index)
        if not wanted:
            frames.append(_even_length(without_comments(frame)))
            continue
        words = decode_frame(frame, layout).copy()
        photometric = decoded_photometric(frame, layout)
        widened = block_boxes(frame, [box for box, _ in wanted])
        named = [(whole, label) for whole, (_, label) in zip(widened, wanted, strict=True)]
        paint(words, named, source, photometric, style)
        boxes.widen(index, widened)
        frames.append(_even_length(edit(frame, widened, words)))
    for frame in frames:
        values.add(to_values(decode_frame(frame, layout), layout))
    attributes = _attributes(source, None, values)
    attributes.update({tag: None for tag in EXTENDED_OFFSETS if source.has(tag)})
    return PixelReplacement(frames, True, layout.transfer_syntax_uid, attributes)


def _even_length(frame: bytes) -> bytes:
    return frame + b"\x00" * (len(frame) % 2)


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


def _edited_frames(
    source: SourcePixels, boxes: _Boxes, values: _Range, style: FillStyle
) -> Iterator[tuple[np.ndarray, str]]:
    for index, data in enumerate(source.encoded_frames()):
        words = decode_frame(data, source.layout).copy()
        photometric = decoded_photometric(data, source.layout)
        _clear_high_bits(words, source.layout)
        paint(words, boxes.labelled(index), source, photometric, style)
        values.add(to_values(words, source.layout))
        yield words, photometric


def _edit_native(source: SourcePixels, boxes: _Boxes, values: _Range, style: FillStyle) -> bytes:
    """Edit the stored bytes in place: order, planes, chroma pairs and padding stay as they are."""
    layout = source.layout
    out = bytearray(source.pixel_value)
    single_bits = layout.allocated == 1
    bits = np.unpackbits(np.frombuffer(out, np.uint8), bitorder="little") if single_bits else None
    for index, data in enumerate(source.encoded_frames()):
        words = decode_frame(data, layout).copy()
        _clear_high_bits(words, layout)
        photometric = decoded_photometric(data, layout)
        paint(words, boxes.labelled(index), source, photometric, style)
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


def _attributes(
    source: SourcePixels, target: PixelFormat | None, values: _Range
) -> dict[int, tuple[str, object] | None]:
    layout = source.layout
    attributes: dict[int, tuple[str, object] | None] = {}
    image_type = source.values(IMAGE_TYPE)
    if image_type and image_type[0] != "DERIVED":
        attributes[IMAGE_TYPE] = ("CS", ["DERIVED", *image_type[1:]])
    can_tell = not layout.float_bits and values.low is not None and layout.samples == 1 and layout.stored <= 16
    for tag, number in ((SMALLEST, values.low), (LARGEST, values.high)):
        if source.has(tag):
            attributes[tag] = ("SS" if layout.signed else "US", number) if can_tell else None
    attributes.update({tag: None for tag in OUTDATED if source.has(tag)})
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


def _check(source: SourcePixels, replacement: PixelReplacement, boxes: _Boxes, *, high_bits_go: bool = True) -> None:
    before = source.layout
    # Decoders smooth sub-sampled chroma over the border of a block.
    by_blocks = replacement.encapsulated and replacement.transfer_syntax_uid in BY_BLOCKS
    margin = 1 if by_blocks and before.samples > 1 else 0
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
                top, left = max(box.y - margin, 0), max(box.x - margin, 0)
                differs[top : box.y + box.h + margin, left : box.x + box.w + margin] = False
            if differs.any() or (high_bits_go and high_bits(new_words, after) is not None):
                raise _not_editable("pixels outside the boxes changed")
    except CodecError as error:
        raise _not_editable(f"edited frame: {error}") from None
