"""The reference's own code for what options keep in another form: dates, ages, private elements. For tests only."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

DUMMY = {"DA": "19000101", "DT": "19000101000000"}
UNIX, GPS = date(1970, 1, 1), date(1980, 1, 6)  # the zero of their clocks
LAST_OF_32_BITS = UNIX + timedelta(seconds=2**31)
# Ends of time as software writes them, and the evening before Unix's zero, west of Greenwich.
ODD_DAYS = {UNIX - timedelta(days=1), GPS, LAST_OF_32_BITS, *(date(year, 12, 31) for year in (1999, 2049, 2099, 2100))}
# Beginnings of keywords (PS3.6) of dates that belong to a device, a product, a trial, a code table or a timetable.
OF_MANY = (
    *("ContextGroup", "Template", "HangingProtocol", "SelectorDA", "SelectorDT"),  # tables and display (PS3.16, C.23)
    *("DateOfLast", "DateTimeOfLast", "Calibration", "DateOfGain", "DateOfManufacture", "DateOfInstallation"),
    *("EthicsCommittee", "SourceStrength", "ProductExpiration", "RouteSegment", "ItemInventory"),
    *("ExpiryDate", "ExpirationDateTime", "ProcedureCreation", "ProcedureExpiration", "ProcedureLast"),
    *("EffectiveDateTime", "InformationIssue"),  # implant templates (C.28)
    *("InstanceC", "DateOfSecondaryCapture", "ContributionDateTime", "AttributeModification"),  # what batches write
    *("ModifiedImageDate", "StudyUpdateDateTime", "CreationDate", "OOIOwnerCreation"),
)
TIMES = ("", "%H", "%H%M", "%H%M%S", "%H%M%S.%f")


def shifted(vr: str, text: str, days: int, unwanted: set[str]) -> str:
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
    if digits in unwanted or is_constant(digits) or not 1900 <= int(digits[:4]) <= 2100:
        return DUMMY[vr]
    try:
        moved = datetime.strptime(digits, "%Y%m%d") + timedelta(days=days)
    except ValueError:
        return DUMMY[vr]
    new = f"{moved:%Y%m%d}"
    if moved.year < 1900 or new in DUMMY.values() or new == "19010101":
        return DUMMY[vr]
    return (f"{moved:%Y.%m.%d}" if dotted else new) + time + zone


def is_time(text: str) -> bool:
    """Tell whether a TM value is empty or has the fields of a time, with colons or without."""
    plain = text.strip(" \0")
    plain = plain.replace(":", "") if plain[2:3] == ":" else plain
    return any(_parses(plain, form) for form in TIMES)


def _parses(time: str, form: str) -> bool:
    if len(time.partition(".")[0]) != 2 * (form.count("%") - form.count(".")):
        return False
    leap = time.replace("60", "59", 1) if time[4:6] == "60" else time
    try:
        datetime.strptime(leap, form)
    except ValueError:
        return False
    return True


def year_of(vr: str, text: str) -> str:
    """Return one DA value as the first day of its year, one DT value as its year; the dummy of what is neither."""
    text = text.strip(" \0")
    if not text:
        return ""
    dotted = text[4:5] == "."
    digits = text.replace(".", "") if dotted and len(text) == 10 and text[7] == "." else text
    whole = len(digits) == 8 and (dotted or digits == text)
    if vr == "DT" and not whole:
        body = text
        for sign in "+-":
            body, found, zone = body.partition(sign)
            if found and not (len(zone) == 4 and zone.isdigit()):
                return DUMMY[vr]
        digits, point, rest = body.partition(".")
        whole = len(digits) in range(4, 16, 2) and (not point or (1 <= len(rest) <= 6 and rest.isdigit()))
    if not (whole and digits.isascii() and digits.isdigit() and 1900 <= int(digits[:4]) <= 2100):
        return DUMMY[vr]
    return digits[:4] + ("0101" if vr == "DA" else "")


def is_published(tag: int) -> bool:
    """Tell whether the date of an attribute can be looked up by anybody."""
    return keyword_for_tag(tag).startswith(OF_MANY) and dictionary_VR(tag) in DUMMY  # times are not moved


def is_constant(digits: str) -> bool:
    """Tell whether software writes a day where nobody knew it: most are the first day of a year."""
    year, rest = int(digits[:4]), digits[4:]
    if rest == "0101":
        return 1900 <= year < 2000 or year in (2001, 2002, 2003) or (year <= 2100 and year % 5 == 0)
    return any(f"{day:%Y%m%d}" == digits for day in ODD_DAYS)


def is_uid(text: str) -> bool:
    """Tell whether a private value is a UID (12 characters, four components), or blank."""
    parts = text.strip(" \0").split(".")
    numbers = all(p.isascii() and p.isdigit() and (p == "0" or p[0] != "0") for p in parts)
    return not text.strip(" \0") or (
        numbers and len(parts) >= 4 and parts[0] in "012" and 12 <= len(".".join(parts)) <= 64
    )


def capped(text: str, limit: int) -> str:
    """Return one AS value well formed, above the limit as the next year, "" where it cannot be read."""
    plain = text.strip(" \0").upper()
    unit = plain[-1:] if plain[-1:] in ("D", "W", "M", "Y") else ""
    digits = plain.removesuffix(unit).rstrip(" ")
    if not (digits.isascii() and digits.isdigit() and len(digits.lstrip("0")) <= 9):
        return ""
    age = int(digits)
    if age > limit if unit in ("", "Y") else age >= (limit + 1) * {"D": 365, "W": 52, "M": 12}[unit]:
        return f"{limit + 1:03d}Y"
    if unit == "D" and age > 999:
        age, unit = age // 7, "W"
    if unit == "W" and age > 999:
        age, unit = age * 12 // 52, "M"
    if unit == "M" and age > 999:
        age, unit = age // 12, "Y"
    return f"{age:03d}{unit or 'Y'}"


def capped_number(text: str, unit: str, limit: int) -> str:
    """Return one number that is an age in a unit of UCUM, above the limit as the next year; 0 for what is none."""
    try:
        number = float(text.strip(" \0") or 0)
    except ValueError:
        return "0"
    top = (limit + 1) * {"a": 1, "mo": 12, "wk": 52, "d": 365}[unit]
    over = limit if unit == "a" else top
    return str(top) if number > over and number != top else text


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
