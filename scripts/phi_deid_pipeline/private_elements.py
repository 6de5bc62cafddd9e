"""Private elements of a data set: which creator reserves which block, and the VR of what was written without one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from phi_deid_pipeline.actions import is_well_formed
from phi_deid_pipeline.dicom_utils import TEXT_VRS, looks_like_uid
from phi_deid_pipeline.expressions import Expression

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy
    from phi_deid_pipeline.raw_elements import Element

_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8, "AT": 4}
_SIZES |= {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8, "OB": 1}
_CODES = frozenset({"CS", "DS", "IS", "AS", "DA", "DT", "TM"})
_LENGTHS = {"AS": 4, "DS": 16, "IS": 12, "CS": 16, "DT": 26, "DA": 10, "TM": 16}  # bytes of one value at most
_WORDS = Expression(rb"[\x20-\x7e]+[ \x00]*")
_CONTROL = Expression(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def runs(elements: list[Element]) -> Iterator[Element | list[Element]]:
    """Yield standard elements one by one, and the private elements of one group together."""
    for group, members in groupby(elements, lambda element: element.tag >> 16):
        if group & 1:
            yield list(members)
        else:
            yield from members


def is_creator(tag: int) -> bool:
    """Tell whether a private tag reserves a block (PS3.5 7.8.1)."""
    return 0x10 <= tag & 0xFFFF <= 0xFF


def effective_vr(element: Element, value: memoryview, creator: str, policy: Policy) -> str | None:
    """Return the VR to treat a private element by; None if its bytes are not what its creator declares.

    What is written without a VR has that of Table E.3.10-1 if its bytes fit it; what no row names and reads as text is
    text, anything else stays UN.
    """
    if element.vr != "UN" or element.items is not None:
        return element.vr
    known = (element.tag >> 16, element.tag & 0xFF, creator) in policy.safe_private
    vr = policy.private_vr(element.tag, creator)
    data = bytes(value[: 1 << 20])
    if vr != "UN":
        return vr if fits(vr, data) else None
    return "UT" if not known and data and fits("UT", data) and len(data) == len(value) else "UN"


def fits(vr: str, value: bytes) -> bool:
    """Tell whether bytes can be a value of that VR, a sequence without items among them."""
    if vr in _SIZES:
        words = len(value) >= 8 and _WORDS.fullmatch(value) is not None  # numbers do not spell words
        return len(value) % _SIZES[vr] == 0 and not words
    if vr in _CODES:
        longest = max(len(part.strip(b" \x00")) for part in value.split(b"\\"))
        return is_well_formed(vr, value) and longest <= _LENGTHS[vr]
    if vr == "UI":
        return are_uids(value)
    if vr in TEXT_VRS:
        return _CONTROL.search(value.rstrip(b"\x00")) is None
    return vr == "SQ" and not value


def are_uids(value: bytes) -> bool:
    """Tell whether all that a private value holds are UIDs."""
    return all(looks_like_uid(part) for part in value.decode("latin-1").split("\\") if part.strip(" \x00"))


def count_private(element: Element) -> int:
    """Return the number of private elements that go with an element: itself, if it is one, and those in its items."""
    return (1 if element.tag & 0x10000 else 0) + private_inside(element)


def private_inside(element: Element) -> int:
    """Return the number of private elements in the items of an element, at any depth."""
    return sum(count_private(inner) for item in element.items or () for inner in item.elements)
