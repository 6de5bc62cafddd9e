"""Every reference that an instance makes, with the frames and segments it names and the frame that makes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache

from phi_deid_pipeline.dicom_utils import format_path
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.value_objects import dataclass, field
from phi_deid_pipeline.verification_bytes import Layout, Value

_INSTANCE = 0x00081155  # Referenced SOP Instance UID
_FRAMES, _SEGMENTS = 0x00081160, 0x0062000B  # Referenced Frame Number, Referenced Segment Number of the same item
_PER_FRAME = 0x52009230  # Per-Frame Functional Groups Sequence: item by item as the frames
_STANDARD = Expression(rb"1\.2\.840\.10008(\.[0-9]{1,4}){1,10}")  # registered by DICOM (PS3.6 A)
_DIGITS, _LARGEST = 10, 2**32 - 1  # of a number of 32 bits


@dataclass(frozen=True, slots=True)
class Reference:
    """A UID at a path, without item numbers; `from_frame` counts from 1, 0 stands for the object as a whole.

    A frame 0 is a number that no frame can have.
    """

    path: str
    uid: str
    frames: tuple[int, ...] = ()
    segments: tuple[int, ...] = ()
    from_frame: int = 0


References = Counter[Reference]  # how often each stands there


_NONE: References = Counter()  # not to be added to


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The references of an instance in its source and as it was written."""

    before: References = field(default_factory=Counter)
    after: References = field(default_factory=Counter)


def references(layout: Layout) -> References:
    """Return all UIDs of an instance but those of the file meta and of the standard itself."""
    found: References = Counter()
    for stretch, values in layout.parts():
        rows = None if stretch is None else stretch.references
        if rows is None:
            if any(value.path[0] in (_FRAMES, _SEGMENTS) for value in values):
                return _among(layout, layout.values)  # beside an element that may stand in another part
            rows = _among(layout, values)
            if stretch is not None:
                stretch.references = rows
        for reference, count in rows.items():
            found[reference] += count
    return found


def _among(layout: Layout, values: Iterable[Value]) -> References:
    """Return the references among values that hold whole items."""
    numbers: dict[tuple[tuple[int, ...], tuple[int, ...]], dict[int, tuple[int, ...]]] = {}
    uids: list[Value] = []
    for value in values:
        tag = value.path[-1]
        if value.vr == "UI" and value.path[0] >> 16 != 2:
            uids.append(value)
        elif tag in (_FRAMES, _SEGMENTS):
            numbers.setdefault((value.path[:-1], value.items), {})[tag] = _numbers(layout, value)
    if not uids:
        return _NONE
    found: References = Counter()
    for value in uids:
        beside = numbers.get((value.path[:-1], value.items), {}) if value.path[-1] == _INSTANCE else {}
        from_frame = value.items[0] + 1 if value.path[0] == _PER_FRAME else 0
        for uid in layout.bytes_of(value).split(b"\\"):
            uid = uid.strip(b"\x00 ")
            if uid and not _STANDARD.fullmatch(uid):
                text = uid.decode("ascii", "replace")
                named = beside.get(_FRAMES, ()), beside.get(_SEGMENTS, ())
                found[Reference(_path(value.path), text, *named, from_frame)] += 1
    return found


@cache
def _path(tags: tuple[int, ...]) -> str:
    return format_path(tags)


def _numbers(layout: Layout, value: Value) -> tuple[int, ...]:
    """Return the numbers of an IS or US value, sorted; what is no number is left out, beyond 32 bits it is 0."""
    data = layout.bytes_of(value)
    if value.path[-1] == _FRAMES:
        parts = (part.strip(b"\x00 ") for part in data.split(b"\\"))
        return tuple(sorted(_number(part) for part in parts if part.isdigit()))
    order = "little" if layout.little else "big"
    return tuple(sorted(int.from_bytes(data[at : at + 2], order) for at in range(0, len(data) - 1, 2)))


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    number = int(digits or b"0") if len(digits) <= _DIGITS else 0
    return number if number <= _LARGEST else 0
