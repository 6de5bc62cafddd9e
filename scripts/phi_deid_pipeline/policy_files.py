"""Read policy files (YAML): what a policy extends, its options and a site's own actions; resolved by `policies`."""

from __future__ import annotations

import re
from pathlib import Path

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.policy_rows import DATE_VRS
from phi_deid_pipeline.ps3_15_published import BIRTH, NEEDED
from phi_deid_pipeline.ps3_15_rules import OPTIONS, format_tag, parse_tag
from phi_deid_pipeline.value_objects import dataclass, replace

POLICIES_FOLDER = Path(__file__).resolve().parents[2] / "config" / "policies"
# Stands in (0012,0063), 64 characters, behind "phi_deid_pipeline policy ".
NAME = Expression(r"[A-Za-z0-9_-]{1,39}")
SHIPPED = frozenset({"clinical_trial", "gdpr", "hipaa_safe_harbor", "ps3_15_basic", "research_longitudinal"})
HIDE = ("all_but_benign", "all_text", "identifying_only")
DATES = ("shift", "year")
PSEUDONYMS = ("keyed", "random", "table")
HOLD = ("recognizable_visual_features",)
MAX_AGE = 89  # years; 45 CFR 164.514(b)(2)(i)(C)
NOT_SUPPORTED = {
    "retain_uids": "verification lets no source UID out, and folders, logs and audits name instances by their UIDs; take it out, links "
    "survive by new UIDs, and audits/uid/uid_map.parquet leads back to the sources",
    "clean_recognizable_visual_features": "faces cannot be removed from pixels; take it out and put "
    "recognizable_visual_features into `hold`, so that such instances wait for a review",
}
ACTIONS = frozenset("DZXKCU")
CLEANABLE_VRS = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "SQ"})
# SOP class, SOP instance, study, series: their actions keep an instance what it is.
PROTECTED = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E})
# Bytes of documents and of encrypted attributes, which nobody looks into.
OPAQUE = frozenset({0x00420011, 0x04000520})
# Written by every run, or left out by it, whatever a row says.
WRITTEN_BY_EVERY_RUN = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280301, 0x00280303, 0xFFFCFFFC})
ICON_IMAGE_SEQUENCE = 0x00880200
# Dates in text or bytes: Patient's Death Date in Alternative Calendar, Certified Timestamp, Frame Origin Timestamp.
DATES_OF_OTHER_VRS = frozenset({0x00100034, 0x04000310, 0x00340007})
STRUCTURAL_GROUPS = frozenset({0x0000, 0x0002, 0x0004})


@dataclass(frozen=True, slots=True)
class Override:
    """A site's own action for one attribute at any depth, under all conditions that are not empty.

    The tag of a private attribute is its group and its offset in the block of `private_creator` (0019,00ee).
    """

    tag: int
    action: str
    reason: str
    sop_class: str = ""
    modality: str = ""
    manufacturer: str = ""
    private_creator: str = ""

    @property
    def conditions(self) -> tuple[str, str, str]:
        return self.sop_class, self.manufacturer, self.modality

    @property
    def key(self) -> tuple[int, str, str, str, str]:
        """What makes two rows the same row: a policy's own row replaces that of the policy that it extends."""
        return self.tag, self.private_creator, self.sop_class, self.manufacturer.lower(), self.modality

    @property
    def rank(self) -> tuple[object, ...]:
        """Sorts the most specific row first: number of conditions, then SOP class, manufacturer, modality."""
        given = [bool(condition) for condition in self.conditions]
        return (-sum(given), *(not g for g in given), -len(self.manufacturer), *self.key)

    def holds(self, sop_class: str, modality: str, manufacturer: str) -> bool:
        return (
            self.sop_class in ("", sop_class)
            and self.modality in ("", modality)
            and self.manufacturer.lower() in manufacturer.lower()
        )


def check_options(place: str, options: frozenset[str]) -> None:
    for option in sorted(options):
        if option not in OPTIONS:
            raise PolicyError(f"{place}: unknown option {option!r}; known are {', '.join(OPTIONS)}")
    if {"retain_long_full_dates", "retain_long_modified_dates"} <= options:
        raise PolicyError(f"{place}: retain_long_full_dates and retain_long_modified_dates exclude each other")
    for option, why in NOT_SUPPORTED.items():
        if option in options:
            raise PolicyError(f"{place}: option {option} is not supported: {why}")


@dataclass(frozen=True)
class PolicyFile:
    """A policy file with what it extends already merged in; an empty `dates` means shift where dates are modified."""

    name: str
    description: str
    options: frozenset[str]
    hide: str
    overrides: tuple[Override, ...]
    dates: str = ""
    max_age: int = MAX_AGE
    pseudonyms: str = "keyed"
    clinical_trial: bool = False
    hold: frozenset[str] = frozenset()
    disabled: bool = False
    extends: str = ""  # name of the policy that it is made of

    @property
    def date_policy(self) -> str:
        """Return what becomes of dates: remove, keep, shift or year."""
        if "retain_long_full_dates" in self.options:
            return "keep"
        return (self.dates or "shift") if "retain_long_modified_dates" in self.options else "remove"


_SETTINGS = ("dates", "max_age", "pseudonyms", "clinical_trial", "hold")
_KEYS = frozenset({"name", "description", "extends", "disabled", "options", "hide", "overrides", *_SETTINGS})
_CONDITIONS = ("sop_class", "modality", "manufacturer", "private_creator")
_OVERRIDE_KEYS = frozenset({"tag", "action", "reason", *_CONDITIONS})
_PRIVATE = Expression(r"\(([0-9A-F]{3}[13579BDF]),XX([0-9A-F]{2})\)")


def _read_yaml(path: Path) -> dict:
    from phi_deid_pipeline.policy_yaml import load_yaml  # not where a resolved policy is all that is read

    content = load_yaml(path)
    if not isinstance(content, dict):
        raise PolicyError(f"policy {path.name}: must hold keys and values; known keys are {', '.join(sorted(_KEYS))}")
    if unknown := sorted(str(key) for key in content if key not in _KEYS):
        raise PolicyError(f"policy {path.name}: unknown key {unknown[0]!r}; known keys are {', '.join(sorted(_KEYS))}")
    return content


def _override(place: str, row: object, dictionary: dict[int, tuple[str, str]]) -> Override:
    if not isinstance(row, dict) or set(row) - _OVERRIDE_KEYS or not {"tag", "action", "reason"} <= set(row):
        raise PolicyError(f"{place}: needs tag, action, reason; may have {', '.join(_CONDITIONS)}; nothing else")
    if lists := [key for key in _CONDITIONS if isinstance(row.get(key), list)]:
        raise PolicyError(f"{place}: {lists[0]} holds one value; write a row for each")
    if not all(isinstance(value, str) and value.strip() for value in row.values()):
        raise PolicyError(f"{place}: every value must be a text that is not empty (put tags and UIDs in quotes)")
    row = {key: " ".join(value.split()) if key in ("reason", "manufacturer") else value for key, value in row.items()}
    text, action = row["tag"], row["action"]
    if action not in ACTIONS:
        raise PolicyError(f"{place}: unknown action {action!r}; one of D, Z, X, K, C, U")
    if (sop_class := row.get("sop_class")) and not expression(r"[0-9]+(\.[0-9]+)+").fullmatch(sop_class):
        raise PolicyError(f"{place}: sop_class must be a UID")
    if (modality := row.get("modality")) and not expression(r"[A-Z0-9_]{1,16}").fullmatch(modality):
        raise PolicyError(f"{place}: modality must be a code as in (0008,0060), such as CT")
    private = _PRIVATE.fullmatch(text.upper())
    if private is None and "private_creator" in row:
        raise PolicyError(f"{place}: private_creator goes with a private tag, written (0019,xx92)")
    tag = _private_tag(place, private, row) if private else _standard_tag(place, text, action, dictionary)
    return Override(tag, action, row["reason"], **{key: row.get(key, "").strip() for key in _CONDITIONS})


def _private_tag(place: str, match: re.Match[str], row: dict[str, str]) -> int:
    if "private_creator" not in row:
        raise PolicyError(
            f"{place}: a private tag needs its private_creator, as it stands in (gggg,0010) to (gggg,00FF)"
        )
    if int(match[1], 16) < 0x0009:
        raise PolicyError(f"{place}: group {match[1]} holds no private attributes")
    return int(match[1], 16) << 16 | int(match[2], 16)


def _standard_tag(place: str, text: str, action: str, dictionary: dict[int, tuple[str, str]]) -> int:
    keywords = {keyword: tag for tag, (_, keyword) in dictionary.items()}
    try:
        tag = keywords[text] if text in keywords else parse_tag(text.upper())
    except ValueError as error:
        raise PolicyError(f"{place}: {text!r} is no keyword and no tag of the form (gggg,eeee)") from error
    if tag >> 16 & 1:
        raise PolicyError(f"{place}: {format_tag(tag)} is private: write ({tag >> 16:04X},xx{tag & 0xFF:02X})")
    if tag not in dictionary:
        raise PolicyError(f"{place}: {format_tag(tag)} is no standard attribute")
    if tag in PROTECTED or tag >> 16 in STRUCTURAL_GROUPS:
        raise PolicyError(f"{place}: {format_tag(tag)} keeps the instance what it is and cannot be overridden")
    if tag in BIRTH and action in "KC":
        raise PolicyError(f"{place}: {format_tag(tag)} is never kept or shifted; use D, Z or X")
    if tag in OPAQUE and action not in "DX":
        raise PolicyError(f"{place}: {format_tag(tag)} cannot be kept or cleaned, as nobody looks into it; use D or X")
    if tag in NEEDED and action != "K":
        raise PolicyError(f"{place}: without {format_tag(tag)} nobody can read the instance; it is always kept")
    if tag in WRITTEN_BY_EVERY_RUN:
        raise PolicyError(f"{place}: {format_tag(tag)} is written by every run, or left out; take the row out")
    if tag == ICON_IMAGE_SEQUENCE and action != "X":
        raise PolicyError(
            f"{place}: {format_tag(tag)} always goes: it shows the pixels before they were cleaned; use X"
        )
    vr = dictionary[tag][0]
    if vr == "UI" and action == "K":
        raise PolicyError(f"{place}: {format_tag(tag)} is a UID, and verification lets no source UID out; use U")
    cleanable = vr in CLEANABLE_VRS or vr in DATE_VRS
    if (action == "C" and not cleanable) or (action == "U" and vr not in {"UI", "SQ"}):
        raise PolicyError(f"{place}: action {action} does not fit the VR {vr} of {format_tag(tag)}")
    return tag


def _check_dates(place: str, override: Override, dates: str, dictionary: dict[int, tuple[str, str]]) -> None:
    vr = dictionary[override.tag][0] if override.tag in dictionary else ""
    if override.action == "K" and vr in DATE_VRS and dates == "remove":
        raise PolicyError(
            f"{place}: {format_tag(override.tag)} is a date or time, and the policy says that none is kept; add the option "
            "retain_long_full_dates or retain_long_modified_dates"
        )
    if override.action == "K" and override.tag in DATES_OF_OTHER_VRS and dates != "keep":
        raise PolicyError(
            f"{place}: {format_tag(override.tag)} holds a date that is no DA or DT and cannot be shifted; use D, Z or X, or the "
            "option retain_long_full_dates"
        )
    if override.action == "C" and vr in DATE_VRS and dates not in ("shift", "year"):
        raise PolicyError(
            f"{place}: action C does not fit the VR {vr} of {format_tag(override.tag)} without the option "
            "retain_long_modified_dates"
        )


def find_policy(name_or_file: str | Path, root: Path) -> Path:
    path = root / f"{name_or_file}.yaml"
    if expression(r"[A-Za-z0-9_-]+").fullmatch(str(name_or_file)) and path.is_file():
        return path
    path = Path(name_or_file)
    if path.is_file():
        return path
    known = ", ".join(sorted(p.stem for p in root.glob("*.yaml")))
    raise PolicyError(f"policy {path.name}: neither a known policy ({known}) nor a file")


def read_policy(
    path: Path, root: Path, dictionary: dict[int, tuple[str, str]], chain: tuple[Path, ...] = ()
) -> PolicyFile:
    """Read a policy file and what it extends: its keys replace those of the parent, overrides are added row by row."""
    if path.resolve() in chain:
        raise PolicyError(f"policy {path.name}: extends itself")
    content = _read_yaml(path)
    place = f"policy {path.name}"
    name = content.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PolicyError(f"{place}: name must be 1 to 39 letters, digits, _ or -")
    if name in SHIPPED and path.resolve() != (root / f"{name}.yaml").resolve():
        raise PolicyError(
            f"{place}: {name} is the name of a policy of the project; choose another, as instances carry it"
        )
    parent = None
    if (extends := content.get("extends")) is not None:
        if not isinstance(extends, str):
            raise PolicyError(f"{place}: extends must name a policy or a file")
        beside = path.parent / extends
        base = beside if beside.is_file() else find_policy(extends, root)
        parent = read_policy(base, root, dictionary, (*chain, path.resolve()))
    options = _options(place, content, parent)
    hide = content.get("hide", parent.hide if parent else "all_but_benign")
    if hide not in HIDE:
        raise PolicyError(f"{place}: hide must be one of {', '.join(HIDE)}")
    if not isinstance(disabled := content.get("disabled", False), bool):
        raise PolicyError(f"{place}: disabled must be true or false")
    settings = _settings(place, content, parent, options)
    description = " ".join(str(content.get("description", "")).split())
    found = PolicyFile(name, description, options, hide, (), **settings, disabled=disabled)
    found = replace(found, extends=parent.name if parent else "")
    return replace(found, overrides=_overrides(place, content, parent, found.date_policy, dictionary))


def _options(place: str, content: dict, parent: PolicyFile | None) -> frozenset[str]:
    options = content.get("options", sorted(parent.options) if parent else None)
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise PolicyError(f"{place}: options must be a list of option names (an empty list for none)")
    if len(set(options)) != len(options):
        raise PolicyError(f"{place}: an option is listed twice")
    check_options(place, frozenset(options))
    return frozenset(options)


def _settings(place: str, content: dict, parent: PolicyFile | None, options: frozenset[str]) -> dict[str, object]:
    """Return the keys with a choice of values; a key that is not given is that of the parent."""
    modified = "retain_long_modified_dates" in options
    if "dates" in content and not modified:
        raise PolicyError(f"{place}: dates goes with the option retain_long_modified_dates; add it or take dates out")
    base = parent or PolicyFile("", "", frozenset(), "", ())
    found = {key: content.get(key, getattr(base, key)) for key in _SETTINGS}
    found["dates"] = (found["dates"] or "shift") if modified else ""
    if modified and found["dates"] not in DATES:
        raise PolicyError(f"{place}: dates must be one of {', '.join(DATES)}")
    if type(found["max_age"]) is not int or not 0 <= found["max_age"] <= MAX_AGE:
        raise PolicyError(f"{place}: max_age must be a whole number of years, 0 (no cap) to {MAX_AGE}")
    if found["pseudonyms"] not in PSEUDONYMS:
        raise PolicyError(f"{place}: pseudonyms must be one of {', '.join(PSEUDONYMS)}")
    if not isinstance(found["clinical_trial"], bool):
        raise PolicyError(f"{place}: clinical_trial must be true or false")
    if found["clinical_trial"] and found["pseudonyms"] != "table":
        raise PolicyError(f"{place}: clinical_trial needs pseudonyms: table, the table that names subject and trial")
    hold = found["hold"]
    if not isinstance(hold, (list, frozenset)) or not all(reason in HOLD for reason in hold):
        raise PolicyError(f"{place}: hold must be a list of reasons; known are {', '.join(HOLD)}")
    found["hold"] = frozenset(hold)
    return found


def _overrides(
    place: str, content: dict, parent: PolicyFile | None, dates: str, dictionary: dict[int, tuple[str, str]]
) -> tuple[Override, ...]:
    rows = content.get("overrides") or []
    if not isinstance(rows, list):
        raise PolicyError(f"{place}: overrides must be a list")
    own: dict[tuple[int, str, str, str, str], Override] = {}
    for number, row in enumerate(rows, 1):
        where = f"{place}: overrides row {number}"
        override = _override(where, row, dictionary)
        _check_dates(where, override, dates, dictionary)
        if override.key in own:
            raise PolicyError(f"{where}: {format_tag(override.tag)} is overridden twice under the same conditions")
        own[override.key] = override
    inherited = {override.key: override for override in parent.overrides} if parent else {}
    merged = inherited | own
    for override in inherited.values():
        if override.key not in own:
            _check_dates(f"{place}: override of {parent.name}", override, dates, dictionary)
    return tuple(override for _, override in sorted(merged.items()))
