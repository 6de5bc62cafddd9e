"""Where hidden text of a series is filled: everywhere at the place of static text, else only where it was seen.

How often a place shows text decides. In a series of single frames a place is static where at least two instances and a
tenth of all show text there; one of two instances is too few to tell, so both are filled. A reader tells a text of a
multi-frame instance once, in the first frame that shows it, so that one telling says nothing of the other frames: their
pixels do, when the frames are filled. A place that shows several texts over the frames of one instance changes all the
time and is filled in every frame, as is everything where frames were sampled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from phi_deid_pipeline.boxes import area, overlap, without_nested
from phi_deid_pipeline.records import Box

SAME_PLACE = 0.5  # share of the smaller box that lies in the other
STATIC_SHARE = 10  # a place shown by one in so many instances
STATIC_INSTANCES = 2


@dataclass(frozen=True, slots=True)
class Shown:
    """What one instance shows: hidden text by frame (0-based), place and category; how many frames it has and were read."""

    texts: tuple[tuple[int, Box, str], ...]
    frames: int
    frames_read: int


@dataclass(frozen=True, slots=True)
class Fills:
    """Boxes with categories: to fill in every frame, and in the frame named and those that look alike."""

    every: tuple[tuple[Box, str], ...]
    single: tuple[tuple[int, Box, str], ...]


def fills(instances: Sequence[Shown]) -> list[Fills]:
    """Return what is filled in each of the instances of one series that share a matrix and were read."""
    boxes = {box for one in instances for _, box, _ in one.texts}
    place_of = _places(boxes)
    shown: dict[int, set[int]] = defaultdict(set)  # place -> instances
    for number, one in enumerate(instances):
        for _, box, _ in one.texts:
            shown[place_of[box]].add(number)
    everywhere = {place for place, by in shown.items() if _static(by, place, instances, place_of)}
    common: dict[Box, str] = {}
    for one in instances:
        for _, box, category in one.texts:
            if place_of[box] in everywhere:
                common[box] = common.get(box) or category
    outer = tuple((box, common[box]) for box in without_nested(list(common)))
    return [_fills_of(one, outer, everywhere, place_of) for one in instances]


def _fills_of(one: Shown, common: tuple[tuple[Box, str], ...], everywhere: set[int], place_of: dict[Box, int]) -> Fills:
    own: dict[Box, str] = {}
    single: dict[tuple[int, Box], str] = {}
    for frame, box, category in one.texts:
        place = place_of[box]
        if place in everywhere:
            continue
        if _in_all_frames(one, place, place_of):
            own[box] = own.get(box) or category
        else:
            single[frame, box] = category
    every = dict(common) | own
    kept = without_nested(list(every))
    return Fills(
        tuple((box, every[box]) for box in kept),
        tuple((frame, box, category) for (frame, box), category in sorted(single.items(), key=_frame_order)),
    )


def _frame_order(item: tuple[tuple[int, Box], str]) -> tuple[int, int, int, int, int]:
    (frame, box), _ = item
    return frame, box.y, box.x, box.h, box.w


def _static(by: set[int], place: int, instances: Sequence[Shown], place_of: dict[Box, int]) -> bool:
    count = len(instances)
    if len(by) >= STATIC_INSTANCES and len(by) * STATIC_SHARE >= count:
        return True
    unclear = count <= STATIC_INSTANCES and len(by) * 2 >= count
    return unclear and any(_in_all_frames(instances[number], place, place_of) for number in by)


def _in_all_frames(one: Shown, place: int, place_of: dict[Box, int]) -> bool:
    """Tell whether a place of an instance is filled in all of its frames: it has one, or told several times, or not all were read."""
    told = {frame for frame, box, _ in one.texts if place_of[box] == place}
    return one.frames == 1 or len(told) > 1 or one.frames_read < one.frames


def _places(boxes: set[Box]) -> dict[Box, int]:
    """Number the places: boxes that lie half in one another are one place."""
    found: list[list[Box]] = []
    numbers: dict[Box, int] = {}
    for box in sorted(boxes, key=lambda b: (-area(b), b.y, b.x, b.h, b.w)):
        for number, members in enumerate(found):
            if any(overlap(box, other) >= SAME_PLACE * min(area(box), area(other)) for other in members):
                members.append(box)
                numbers[box] = number
                break
        else:
            numbers[box] = len(found)
            found.append([box])
    return numbers
