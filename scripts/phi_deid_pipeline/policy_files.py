"""Read policy files (YAML): what a policy extends, its options and a site's own actions; resolved by `policies`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.ps3_15_rules import OPTIONS, format_tag, parse_tag

POLICIES_FOLDER = Path(__file__).resolve().parents[2] / "config" / "policies"
HIDE = ("all_but_benign", "all_text", "identifying_only")
# Verification lets no source UID out, so nothing would be released under retain_uids.
NOT_SUPPORTED = (
    "retain_uids",
    "retain_long_modified_dates",
    "retain_safe_private",
    "clean_recognizable_visual_features",
)
ACTIONS = frozenset("DZXKCU")
CLEANABLE_VRS = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "SQ"})
# SOP class, SOP instance, study, series: their actions keep an instance what it is.
PROTECTED = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E})
STRUCTURAL_GROUPS = frozenset({0x0000, 0x0002, 0x0004})


@dataclass(frozen=True, slots=True)
class Override:
    """A site's own action for one attribute at any depth; an empty `sop_class` means every SOP class."""

    tag: int
    action: str
    reason: str
    sop_class: str = ""


def check_options(place: str, options: frozenset[str]) -> None:
    for option in sorted(options):
        if option not in OPTIONS:
            raise PolicyError(f"{place}: unknown option {option!r}; known are {', '.join(OPTIONS)}")
    if {"retain_long_full_dates", "retain_long_modified_dates"} <= options:
        raise PolicyError(f"{place}: retain_long_full_dates and retain_long_modified_dates exclude each other")
    for option in NOT_SUPPORTED:
        if option in options:
            raise PolicyError(f"{place}: option {option} is not supported yet; take it out of the policy")


@dataclass(frozen=True)
class PolicyFile:
    """A policy file with what it extends already merged in."""

    name: str
    description: str
    options: frozenset[str]
    hide: str
    overrides: tuple[Override, ...]


_KEYS = frozenset({"name", "description", "extends", "options", "hide", "overrides"})
_OVERRIDE_KEYS = frozenset({"tag", "action", "reason", "sop_class"})


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"policy {path.name}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise PolicyError(f"policy {path.name}: is no YAML{f' (line {mark.line + 1})' if mark else ''}") from error
    if not isinstance(content, dict):
        raise PolicyError(f"policy {path.name}: must hold keys and values; known keys are {', '.join(sorted(_KEYS))}")
    if unknown := sorted(str(key) for key in content if key not in _KEYS):
        raise PolicyError(f"policy {path.name}: unknown key {unknown[0]!r}; known keys are {', '.join(sorted(_KEYS))}")
    return content


def _override(place: str, row: object, dictionary: dict[int, tuple[str, str]]) -> Override:
    if not isinstance(row, dict) or set(row) - _OVERRIDE_KEYS or not {"tag", "action", "reason"} <= set(row):
        raise PolicyError(f"{place}: needs tag, action, reason; may have sop_class; nothing else")
    if not all(isinstance(value, str) and value.strip() for value in row.values()):
        raise PolicyError(f"{place}: every value must be a text that is not empty (put tags and UIDs in quotes)")
    keywords = {keyword: tag for tag, (_, keyword) in dictionary.items()}
    text, action, sop_class = row["tag"], row["action"], row.get("sop_class", "")
    try:
        tag = keywords[text] if text in keywords else parse_tag(text.upper())
    except ValueError as error:
        raise PolicyError(f"{place}: {text!r} is no keyword and no tag of the form (gggg,eeee)") from error
    if tag not in dictionary:
        raise PolicyError(f"{place}: {format_tag(tag)} is no standard attribute; private ones cannot be kept yet")
    if tag in PROTECTED or tag >> 16 in STRUCTURAL_GROUPS:
        raise PolicyError(f"{place}: {format_tag(tag)} keeps the instance what it is and cannot be overridden")
    if action not in ACTIONS:
        raise PolicyError(f"{place}: unknown action {action!r}; one of D, Z, X, K, C, U")
    vr = dictionary[tag][0]
    if (action == "C" and vr not in CLEANABLE_VRS) or (action == "U" and vr not in {"UI", "SQ"}):
        raise PolicyError(f"{place}: action {action} does not fit the VR {vr} of {format_tag(tag)}")
    if sop_class and not re.fullmatch(r"[0-9]+(\.[0-9]+)+", sop_class):
        raise PolicyError(f"{place}: sop_class must be a UID")
    return Override(tag, action, " ".join(row["reason"].split()), sop_class)


def find_policy(name_or_file: str | Path, root: Path) -> Path:
    path = root / f"{name_or_file}.yaml"
    if re.fullmatch(r"[A-Za-z0-9_-]+", str(name_or_file)) and path.is_file():
        return path
    path = Path(name_or_file)
    if path.is_file():
        return path
    known = ", ".join(sorted(p.stem for p in root.glob("*.yaml")))
    raise PolicyError(f"policy {path.name}: neither a known policy ({known}) nor a file")


def read_policy(
    path: Path, root: Path, dictionary: dict[int, tuple[str, str]], chain: tuple[Path, ...] = ()
) -> PolicyFile:
    """Read a policy file and what it extends: `options` and `hide` replace those of the parent, overrides are added."""
    if path.resolve() in chain:
        raise PolicyError(f"policy {path.name}: extends itself")
    content = _read_yaml(path)
    place = f"policy {path.name}"
    name = content.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        raise PolicyError(f"{place}: name must be 1 to 40 letters, digits, _ or -")
    parent = None
    if (extends := content.get("extends")) is not None:
        if not isinstance(extends, str):
            raise PolicyError(f"{place}: extends must name a policy or a file")
        beside = path.parent / extends
        base = beside if beside.is_file() else find_policy(extends, root)
        parent = read_policy(base, root, dictionary, (*chain, path.resolve()))
    options = content.get("options", sorted(parent.options) if parent else None)
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise PolicyError(f"{place}: options must be a list of option names (an empty list for none)")
    if len(set(options)) != len(options):
        raise PolicyError(f"{place}: an option is listed twice")
    check_options(place, frozenset(options))
    hide = content.get("hide", parent.hide if parent else "all_but_benign")
    if hide not in HIDE:
        raise PolicyError(f"{place}: hide must be one of {', '.join(HIDE)}")
    rows = content.get("overrides") or []
    if not isinstance(rows, list):
        raise PolicyError(f"{place}: overrides must be a list")
    own: dict[tuple[int, str], Override] = {}
    for number, row in enumerate(rows, 1):
        override = _override(f"{place}: overrides row {number}", row, dictionary)
        if (override.tag, override.sop_class) in own:
            raise PolicyError(f"{place}: overrides row {number}: {format_tag(override.tag)} is overridden twice")
        own[override.tag, override.sop_class] = override
    inherited = {(o.tag, o.sop_class): o for o in parent.overrides} if parent else {}
    merged = tuple(override for _, override in sorted((inherited | own).items()))
    description = " ".join(str(content.get("description", "")).split())
    return PolicyFile(name, description, frozenset(options), hide, merged)
