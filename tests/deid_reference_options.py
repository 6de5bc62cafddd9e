"""The reference's own code for what options keep in another form: dates, ages, private elements. For tests only."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from phi_deid_pipeline.dates import CONSTANT_DATES, PUBLISHED_DATES

DUMMY = {"DA": "19000101", "DT": "19000101000000"}
TIMES = ("", "%H", "%H%M", "%H%M%S", "%H%M%S.%f")


def shifted(vr: str, text: str, days: int, unwanted: str) -> str:
    """Return one DA or DT value moved by some days, the dummy where it must not be moved or is no full date."""
    text = text.strip(" \0")
    if not text:
        return ""
    body, zone = text, ""
    for sign in "+-":
        if vr == "DT" and sign in text:
            body, _, digits = text.partition(sign)
            zone = sign + digits
    if zone and not (len(zone) == 5 and zone[1:].isdigit() and int(zone[1:3]) <= 14 and int(zone[3:]) < 60):
        return DUMMY[vr]
    dotted = body[4:5] == "."
    length = 10 if dotted else 8
    day, time = body[:length], body[length:]
    digits = day.replace(".", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) == 8) or (dotted and (day[7] != "." or time or zone)):
        return DUMMY[vr]
    if (time and vr == "DA") or not any(_parses(time, form) for form in TIMES):
        return DUMMY[vr]
    if digits in CONSTANT_DATES or digits == unwanted or not 1900 <= int(digits[:4]) <= 2100:
        return DUMMY[vr]
    try:
        moved = datetime.strptime(digits, "%Y%m%d") + timedelta(days=days)
    except ValueError:
        return DUMMY[vr]
    new = f"{moved:%Y%m%d}"
    if moved.year < 1900 or new in DUMMY.values() or new == "19010101":
        return DUMMY[vr]
    return (f"{moved:%Y.%m.%d}" if dotted else new) + time + zone


def _parses(time: str, form: str) -> bool:
    if len(time.partition(".")[0]) != 2 * (form.count("%") - form.count(".")):
        return False
    leap = time.replace("60", "59", 1) if time[4:6] == "60" else time
    try:
        datetime.strptime(leap, form)
    except ValueError:
        return False
    return True


def is_published(tag: int) -> bool:
    """Tell whether the date of an attribute can be looked up by anybody."""
    return tag in PUBLISHED_DATES


def is_uid(text: str) -> bool:
    """Tell whether a private value is a UID (12 characters, four components), or blank."""
    parts = text.strip(" \0").split(".")
    numbers = all(p.isascii() and p.isdigit() and (p == "0" or p[0] != "0") for p in parts)
    return not text.strip(" \0") or (
        numbers and len(parts) >= 4 and parts[0] in "012" and 12 <= len(".".join(parts)) <= 64
    )


def capped(text: str, limit: int) -> str:
    """Return one AS value with years above the limit as the next year."""
    plain = text.strip(" \0")
    number, unit = plain[:-1], plain[-1:]
    if len(number) == 3 and number.isascii() and number.isdigit() and unit == "Y" and int(number) > limit:
        return f"{limit + 1:03d}Y"
    return text


def creators_of(ds: Dataset) -> dict[tuple[int, int], str]:
    """Return (group, block) -> private creator of a data set."""
    found = {}
    for tag in map(int, ds.keys()):
        if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
            value = ds[tag].value
            texts = [value] if isinstance(value, str) else list(value) if isinstance(value, MultiValue) else []
            found[tag >> 16, tag & 0xFF] = str(texts[0]).strip(" \0") if texts else ""
    return found


def creator_of(tag: int, creators: dict[tuple[int, int], str]) -> str:
    """Return the creator of a private tag, "" where its block is not reserved."""
    return creators.get((tag >> 16, tag >> 8 & 0xFF), "") if tag & 0xFFFF >= 0x1000 else ""
