"""Arithmetic of rectangles in pixel coordinates."""

from __future__ import annotations

from phi_deid_pipeline.records import Box


def grown(box: Box, rows: int, columns: int) -> Box:
    """Return a box grown by a tenth of its height and one pixel on each side, clipped to the image; empty outside it."""
    margin = box.h // 10 + 1
    return clipped(Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin), rows, columns)


def clipped(box: Box, rows: int, columns: int) -> Box:
    """Return the part of a box that lies inside the image; width or height 0 where none does."""
    left, top = min(max(box.x, 0), columns), min(max(box.y, 0), rows)
    right, bottom = min(max(box.x + box.w, 0), columns), min(max(box.y + box.h, 0), rows)
    return Box(left, top, right - left, bottom - top)


def area(box: Box) -> int:
    """Return the number of pixels in a box."""
    return max(box.w, 0) * max(box.h, 0)


def overlap(one: Box, other: Box) -> int:
    """Return the number of pixels in both boxes."""
    width = min(one.x + one.w, other.x + other.w) - max(one.x, other.x)
    height = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    return max(width, 0) * max(height, 0)


def iou(one: Box, other: Box) -> float:
    """Return intersection over union."""
    common = overlap(one, other)
    union = area(one) + area(other) - common
    return common / union if union else 0.0


def within(inner: Box, outer: Box) -> bool:
    """Tell whether one box lies inside another."""
    return (
        inner.x >= outer.x
        and inner.y >= outer.y
        and inner.x + inner.w <= outer.x + outer.w
        and inner.y + inner.h <= outer.y + outer.h
    )


def joined(one: Box, other: Box) -> Box:
    """Return the smallest box around two."""
    left, top = min(one.x, other.x), min(one.y, other.y)
    right, bottom = max(one.x + one.w, other.x + other.w), max(one.y + one.h, other.y + other.h)
    return Box(left, top, right - left, bottom - top)


def without_nested(boxes: list[Box]) -> list[Box]:
    """Return the boxes sorted by y, x, without those that lie inside another one."""
    kept: list[Box] = []
    for box in sorted(set(boxes), key=lambda b: (-area(b), b.y, b.x, b.h, b.w)):
        if area(box) and not any(within(box, other) for other in kept):
            kept.append(box)
    return sorted(kept, key=lambda b: (b.y, b.x, b.h, b.w))
