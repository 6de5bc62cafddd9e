"""Places of text that a header tells of: devices whose layout is known, what lies outside ultrasound regions, groups."""

from __future__ import annotations

import hashlib
import itertools
import json
from functools import cache
from pathlib import Path

from phi_deid_pipeline.boxes import area, clipped
from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.raw_elements import Element, Item, RawInstance
from phi_deid_pipeline.records import Box
from phi_deid_pipeline.value_objects import dataclass

RESOURCE = Path(__file__).resolve().parents[2] / "resources" / "device_regions.json"
GROUPS = ("series", "transducer", "folder")
MODALITY, MANUFACTURER, MODEL, SOFTWARE = 0x00080060, 0x00080070, 0x00081090, 0x00181020
TRANSDUCER_DATA, TRANSDUCER_TYPE = 0x00185010, 0x00186031
ROWS, COLUMNS = 0x00280010, 0x00280011
REGIONS = 0x00186011
REGION_SIDES = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)  # first column, first row, last column, last row


@dataclass(frozen=True, slots=True)
class DeviceRegion:
    """Rectangles in which devices of a kind write text; words in capitals, empty ones fit every value."""

    manufacturer: str
    model: str
    modality: str
    rows: int
    columns: int
    software: str
    transducer: str
    rectangles: tuple[Box, ...]


@cache
def load_device_regions(path: Path = RESOURCE) -> tuple[DeviceRegion, ...]:
    """Read `device_regions.json`; raises ConfigError for an entry that cannot be used."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
        return tuple(
            DeviceRegion(
                *(_word(entry[key]) for key in ("manufacturer", "model", "modality")),
                int(entry["rows"]),
                int(entry["columns"]),
                *(_word(entry[key]) for key in ("software", "transducer")),
                tuple(Box(*map(int, sides)) for sides in entry["rectangles"]),
            )
            for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path.name} cannot be used ({type(error).__name__}): see its key `about`.") from None


def device_boxes(instance: RawInstance, regions: tuple[DeviceRegion, ...]) -> list[Box]:
    """Return the rectangles of all entries that fit an instance's device and matrix."""
    rows, columns = instance.uint(ROWS) or 0, instance.uint(COLUMNS) or 0
    regions = tuple(region for region in regions if (region.rows, region.columns) == (rows, columns))
    if not regions:
        return []
    manufacturer, model, modality = (_word(instance.text(tag)) for tag in (MANUFACTURER, MODEL, MODALITY))
    fitting = [
        region
        for region in regions
        if (region.manufacturer, region.model, region.modality) == (manufacturer, model, modality)
        and _begins(instance, region.software, SOFTWARE)
        and _begins(instance, region.transducer, TRANSDUCER_DATA, TRANSDUCER_TYPE)
    ]
    boxes = [clipped(box, rows, columns) for region in fitting for box in region.rectangles]
    return [box for box in boxes if area(box)]


def outside_ultrasound_regions(instance: RawInstance) -> list[Box]:
    """Return boxes that cover what lies outside the Ultrasound Regions of an image (PS3.3 C.8.5.5).

    Empty where the instance has none with an area: then nothing is known of its layout.
    """
    rows, columns = instance.uint(ROWS) or 0, instance.uint(COLUMNS) or 0
    element = instance.find(REGIONS)
    regions = [
        _region(instance, item, rows, columns) for item in (element.items if element is not None else None) or ()
    ]
    inside = [box for box in regions if box is not None and area(box)]
    return complement(inside, rows, columns) if inside else []


def complement(inside: list[Box], rows: int, columns: int) -> list[Box]:
    """Return boxes without overlap that cover all of an image but the boxes given, sorted by row and column."""
    edges = sorted({0, rows, *(b.y for b in inside), *(b.y + b.h for b in inside)})
    found: list[Box] = []
    for top, bottom in itertools.pairwise(edges):
        spans = sorted((b.x, b.x + b.w) for b in inside if b.y <= top and b.y + b.h >= bottom)
        left = 0
        for start, end in [*spans, (columns, columns)]:
            if start > left:
                _put(found, Box(left, top, start - left, bottom - top))
            left = max(left, end)
    return sorted(found, key=lambda b: (b.y, b.x))


def _put(found: list[Box], box: Box) -> None:
    """Add a box, as a part of the one right above it where both have the same columns."""
    for n, above in enumerate(found):
        if (above.x, above.w, above.y + above.h) == (box.x, box.w, box.y):
            found[n] = Box(above.x, above.y, above.w, above.h + box.h)
            return
    found.append(box)


def group_key(instance: RawInstance, path: str, group_by: str) -> str:
    """Return what names the group of an instance across series, "" where it stands alone; never a value of the header.

    `transducer`: transducer data and type, manufacturer, model and matrix; without a transducer there is no group.
    `folder`: the folder that holds the file, and the matrix. Raises ConfigError for another word.
    """
    matrix = [instance.uint(ROWS) or 0, instance.uint(COLUMNS) or 0]
    if group_by == "series":
        return ""
    if group_by == "folder":
        parts: list[object] = [path.rpartition("/")[0]]
    elif group_by == "transducer":
        transducer = [v for tag in (TRANSDUCER_DATA, TRANSDUCER_TYPE) for v in _values(instance, tag)]
        if not any(transducer):
            return ""
        parts = [transducer, *(_word(instance.text(tag)) for tag in (MANUFACTURER, MODEL))]
    else:
        raise ConfigError(f"ocr.group_by is none of {', '.join(GROUPS)}.")
    content = json.dumps([group_by, *parts, *matrix])
    return hashlib.sha256(content.encode("ascii")).hexdigest()[:16]


def _word(text: str) -> str:
    return " ".join(text.split()).upper()


def _values(instance: RawInstance, tag: int) -> list[str]:
    element = instance.find(tag)
    return [_word(v) for v in instance.texts(element, instance.charset())] if element is not None else []


def _begins(instance: RawInstance, wanted: str, *tags: int) -> bool:
    return not wanted or any(value.startswith(wanted) for tag in tags for value in _values(instance, tag))


def _region(instance: RawInstance, item: Item, rows: int, columns: int) -> Box | None:
    sides = []
    for tag in REGION_SIDES:
        element = next((e for e in item.elements if e.tag == tag), None)
        number = _long(instance, element) if element is not None else None
        if number is None:
            return None
        sides.append(number)
    left, top, right, bottom = sides
    return (
        clipped(Box(left, top, right - left + 1, bottom - top + 1), rows, columns)
        if right >= left and bottom >= top
        else None
    )


def _long(instance: RawInstance, element: Element) -> int | None:
    value = bytes(instance.value(element))
    return int.from_bytes(value[:4], "little" if element.little else "big") if len(value) >= 4 else None
