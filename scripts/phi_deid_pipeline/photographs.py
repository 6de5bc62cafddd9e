"""Which instances are photographs of a patient by what their headers say: SOP class, Modality, Body Part Examined."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

PHOTOGRAPHS_FILE = Path(__file__).resolve().parents[2] / "resources" / "recognizable" / "photographs.txt"
_VISIBLE_LIGHT = "1.2.840.10008.5.1.4.1.1.77.1."
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def is_photograph(sop_class: str, modality: str, body_part: Callable[[], str]) -> bool:
    """Tell whether a picture is a photograph; how Modality and Body Part Examined are written does not matter.

    `body_part` is asked of secondary captures alone.
    """
    if sop_class.startswith(_VISIBLE_LIGHT):
        return True
    said = modality.strip(" \x00").upper()
    if (said, "") in _table():
        return True
    captured = sop_class == _SECONDARY_CAPTURE or sop_class.startswith(f"{_SECONDARY_CAPTURE}.")
    return captured and (said, body_part().strip(" \x00").upper()) in _table()


@cache
def _table() -> dict[tuple[str, str], str]:
    """Return (Modality, Body Part Examined or "" for any) -> the reason."""
    lines = PHOTOGRAPHS_FILE.read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t", 1) for line in lines if line.strip() and not line.startswith("#"))
    found = {}
    for said, reason in rows:
        modality, _, body_part = said.partition(" ")
        found["" if modality == "-" else modality, body_part] = reason
    return found
