"""Compare a site's rules with what the standard and this project published: nothing may reveal more without a reason.

`required_rows.json` says which rows must be there, and of rows whose change could reveal more what they said. A site may be
stricter, and add rows of its own where nothing is claimed to be the standard's; what is to be kept beyond that stands under
`overrides` of a policy, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phi_deid_pipeline.errors import PolicyError

NUMERIC_ADVICE = "numeric"  # how the handling of a safe private row begins whose payload is numbers
# Birth date and time, also in another calendar: no option keeps or shifts them (E.3.6), and no site may either.
BIRTH = frozenset({0x00100030, 0x00100032, 0x00100033})
# What the rest of an instance cannot be read without: character set, modality, the layout of pixels and they themselves.
NEEDED = frozenset(
    {
        *(0x00080005, 0x00080060, 0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011),
        *(0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010),
    }
)
_DATE_VRS = frozenset({"DA", "DT", "TM"})
_REVEALS = {"C": 1, "K": 2}  # option codes; no option reveals nothing
_UI_REVEALS = {"X": 0, "D": 1, "U": 2, "K": 3}
_KEYS = dict.fromkeys(
    ("table_e1_1", "gaps_outside_e1_1", "own_rows", "iod_action_conflicts", "ui_attributes"), ("tag",)
) | {
    "structured_content_e3_4_1": ("code", "scheme", "value_type"),
    "safe_private_e3_10_1": ("tag", "private_creator"),
    "option_codes": ("option",),
}
_MAY_GO = frozenset({"safe_private_e3_10_1"})  # without a row nothing is kept
_PUT_BACK = "put the row back, and use overrides of a policy, with a reason, where it should not hold"
_OVERRIDE = "use overrides of a policy, with a reason"
Row = dict[str, Any]


def check_published(
    name: str, content: Mapping[str, Any], required: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    """Raise PolicyError, naming file, section and row, for what a row reveals beyond what was published.

    `content` are the sections of the rules file `name`, every row of the right form; `required` those of
    `required_rows.json`; `names` tags, written (gggg,eeee), with their keywords.
    """
    if content["edition"] != required["edition"]:
        raise PolicyError(
            f"{name}: edition is not {required['edition']}; put it back, or generate the files of the other one"
        )
    for section in _KEYS:
        published = {key: said for key, *said in required[section]}
        rows = {_key(section, row): (place, row) for place, row in _places(name, section, content[section])}
        lacking = next((key for key in published if key not in rows), "") if section not in _MAY_GO else ""
        if lacking:
            keyword = f" {names[lacking]}" if lacking in names else ""
            raise PolicyError(f"{name}: {section} lacks {lacking}{keyword}; {_PUT_BACK}")
        for key, (place, row) in rows.items():
            problem = _CHECKS[section](row, published.get(key))
            if problem:
                raise PolicyError(f"{place}: {problem}")


def _key(section: str, row: Row) -> str:
    return " ".join(row[key] for key in _KEYS[section])


def _places(name: str, section: str, rows: list[Row]) -> Iterator[tuple[str, Row]]:
    for number, row in enumerate(rows, 1):
        yield f"{name}: {section} row {number} {row[_KEYS[section][0]]}", row


def _options(row: Row, said: list[Any] | None, whose: str = "the standard") -> str:
    """Return what is wrong with the options of a row that was published."""
    published = said[0] if said else {}
    for option, code in row["options"].items():
        allowed = published.get(option, "")
        if _REVEALS[code] > _REVEALS.get(allowed, 0):
            given = f"{allowed} for {option}" if allowed else f"no {option}"
            return f"{code} of {option} reveals more than {whose}, which has {given}; {_OVERRIDE}"
    return ""


def _table_row(row: Row, said: list[Any] | None) -> str:
    if said is None:
        return "is no row of Table E.1-1 of this edition; put it into own_rows, with the why of it"
    return _options(row, said)


def _outside(row: Row, said: list[Any] | None) -> str:
    """Return what is wrong with a row outside the table, which is somebody's judgement."""
    if not row["why"].strip():
        return "why is empty; say why the attribute is treated so"
    if (_number(row["tag"]) in BIRTH) and (row["options"] or row["basic"] == "K"):
        return "a birth date or time is never kept or shifted; take the options out and use D, Z or X"
    if _number(row["tag"]) in NEEDED and row["basic"] != "K":
        return "nobody can read the instance without it; it is always kept"
    if row["basic"] == "K" and row["vr"] in _DATE_VRS:
        return "a date would be kept without an option; use retain_long_full_dates and retain_long_modified_dates"
    if said is None:
        return ""
    basic, *options = said
    if row["basic"] == "K" != basic:
        return f"would be kept without an option, which was published as {basic}; {_OVERRIDE}"
    return _options(row, options, "the row that was published")


def _concept(row: Row, said: list[Any] | None) -> str:
    return "" if said is None else _options(row, said)


def _ui(row: Row, said: list[Any] | None) -> str:
    action, published = row["action"], said[0] if said else "U"
    if row["in_table"] and action != published:
        return f"contradiction, table_e1_1 decides and this row must say {published}; change it there"
    if _UI_REVEALS[action] > _UI_REVEALS[published]:
        return f"{action} reveals more than {published}: verification lets no source UID out; put {published} back"
    return ""


def _iod_conflict(row: Row, said: list[Any] | None) -> str:
    if said is not None and [row["action"], row["iods"]] != said:
        return (
            f"action and iods must be {said[0]!r} and {said[1]!r}: without them instances become invalid and are held"
        )
    return ""


def _safe_private(row: Row, said: list[Any] | None) -> str:
    if said is None:
        return "is no row of Table E.3.10-1 of this edition; name it under overrides of a policy, with private_creator and a reason"
    vr, numeric = said
    if row["vr"] != vr or (row["handling"].startswith(NUMERIC_ADVICE) and not numeric):
        return f"has the VR {vr or 'that is not printed'}, {'' if numeric else 'not '}numbers in Table E.3.10-1; put them back"
    return ""


def _option_code(row: Row, said: list[Any] | None) -> str:
    if said is not None and [row["value"], row["scheme"], row["meaning"]] != said:
        return f"is ({', '.join(said)}) in CID 7050; put it back, as it is written into instances"
    return ""


def _number(tag: str) -> int:
    digits = tag.strip("()").replace(",", "")
    return int(digits, 16) if len(digits) == 8 and "x" not in digits else -1


_CHECKS = {
    "table_e1_1": _table_row,
    "gaps_outside_e1_1": _outside,
    "own_rows": _outside,
    "structured_content_e3_4_1": _concept,
    "ui_attributes": _ui,
    "iod_action_conflicts": _iod_conflict,
    "safe_private_e3_10_1": _safe_private,
    "option_codes": _option_code,
}
