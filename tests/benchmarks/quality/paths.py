"""Paths of elements: as text in the form of the MIDI-B answer key, and the values that stand at them in a data set."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

_STEP = re.compile(r'<\(([0-9a-f]{4}),(?:([0-9a-f]{4})|"([^"]*)",([0-9a-f]{2}))\)>(?:\[<(\d{4})>\])?')


def format_path(path: tuple) -> str:
    """Return a path as the key writes it: <(0008,1140)>[<0000>]<(0008,1155)>, <(0019,"CREATOR",92)>."""
    text = ""
    for step in path:
        if isinstance(step, tuple):
            text += f'<({step[0]:04x},"{step[1].upper()}",{step[2]:02x})>'
        elif step > 0xFFFF:
            text += f"<({step >> 16:04x},{step & 0xFFFF:04x})>"
        else:
            text += f"[<{step:04d}>]"
    return text


def parse_path(text: str) -> tuple:
    """Return the path that `format_path` wrote; creators come back in capitals."""
    path: list = []
    for group, element, creator, low, item in _STEP.findall(text):
        path.append(int(group + element, 16) if element else (int(group, 16), creator, int(low, 16)))
        if item:
            path.append(int(item))
    return tuple(path)


def element_at(ds: Dataset, path: tuple) -> DataElement | None:
    """Return the element at a path, None where it or an item on the way is missing."""
    element: DataElement | None = None
    for position, step in enumerate(path):
        if isinstance(step, int) and step <= 0xFFFF and position:
            items = element.value if element is not None else None
            if not isinstance(items, Sequence) or len(items) <= step:
                return None
            ds = items[step]
            continue
        number = _private_tag(ds, *step) if isinstance(step, tuple) else step
        home = ds.file_meta if number is not None and number >> 16 == 2 else ds
        if number is None or number not in home:
            return None
        element = home[number]
    return element


def _private_tag(ds: Dataset, group: int, creator: str, low: int) -> int | None:
    for block in range(0x10, 0x100):
        number = group << 16 | block
        if number in ds and str(ds[number].value).strip().upper() == creator.upper():
            return group << 16 | block << 8 | low
    return None


def value_text(element: DataElement) -> str:
    """Return an element's value as text: several values joined by a backslash, bytes as Latin 1, a sequence as ""."""
    value = element.value
    if value is None or isinstance(value, Sequence):
        return ""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(_one(part) for part in value)
    return _one(value)


def _one(value: object) -> str:
    if isinstance(value, PersonName):
        return str(value)
    return str(getattr(value, "original_string", None) or value)


def walk(ds: Dataset, prefix: tuple = ()) -> Iterator[tuple[tuple, DataElement]]:
    """Yield (path, element) of everything in a data set; private elements by creator where they have one."""
    for element in ds:
        number = int(element.tag)
        step: object = number
        if element.tag.is_private and not element.tag.is_private_creator:
            creator = ds.get(number & 0xFFFF0000 | (number >> 8 & 0xFF))
            if creator is not None and creator.value:
                step = (number >> 16, str(creator.value).strip(), number & 0xFF)
        path = (*prefix, step)
        yield path, element
        if element.VR == "SQ":
            for index, item in enumerate(element.value):
                yield from walk(item, (*path, index))
