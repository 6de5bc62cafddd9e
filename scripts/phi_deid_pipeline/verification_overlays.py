"""Check that nothing is left of overlays that lay in unused bits of the pixels of the source (PS3.3 C.9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phi_deid_pipeline.verification_bytes import Layout, forget_pages

if TYPE_CHECKING:
    import numpy as np

STEP_BYTES = 4 << 20
_ALLOCATED, _STORED, _SIGNED = 0x00280100, 0x00280101, 0x00280103


def declares_overlay(source: Layout) -> bool:
    """Tell whether a group 60xx of the source gives its overlay a place in the bits of the pixels."""
    places = (value for value in source.values if value.path[0] & 0xFF00FFFF == 0x60000102 and len(value.path) == 1)
    return any(source.bytes_of(value).strip(b" 0\x00") for value in places)


def overlay_left(layout: Layout) -> bool:
    """Tell whether a bit above Bits Stored of native pixels is anything but a sign; one window of them is in memory at a time."""
    import numpy as np  # only instances with such overlays need it

    allocated, stored = _number(layout, _ALLOCATED), _number(layout, _STORED)
    pixels = layout.pixels
    if pixels is None or pixels.fragments or allocated not in (8, 16, 32) or not 0 < stored < allocated:
        return False
    kind = np.dtype(f"{'<' if layout.little else '>'}u{allocated // 8}")
    signed = _number(layout, _SIGNED) == 1
    end = pixels.end - (pixels.end - pixels.start) % kind.itemsize
    for start in range(pixels.start, end, STEP_BYTES):
        words = np.frombuffer(layout.buffer[start : min(start + STEP_BYTES, end)], kind).astype("i8")
        if _is_set(words, allocated, stored, signed=signed):
            return True
        forget_pages(layout.buffer)
    return False


def _is_set(words: np.ndarray, allocated: int, stored: int, *, signed: bool) -> bool:
    rest = words >> stored
    if not signed or not rest.any():
        return bool(rest.any())
    signs = words >> (stored - 1) & 1
    return bool((rest != signs * ((1 << (allocated - stored)) - 1)).any())


def _number(layout: Layout, tag: int) -> int:
    value = layout.top(tag)
    return int.from_bytes(layout.bytes_of(value)[:2], "little" if layout.little else "big") if value is not None else 0
