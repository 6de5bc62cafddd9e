"""Named confidentiality policies: PS3.15 profile + options + IOD Types + site overrides -> one action per attribute.

What the standard leaves open is decided so (the reasons stand in resources/ps3_15/README.md):

- An option beats the basic code; of two options the one that reveals less wins, so C beats K.
- C needs words: it holds for LO, SH, ST, LT, UT, UC and sequences, any other VR gets the basic code of its row.
- A compound code follows the Type at the top level of the IOD. Where that is not known (unknown SOP class, attribute in
  an item, attribute foreign to the IOD) the most demanding member of the code holds, which can break no IOD.
- X/Z/U* is always U, so that links to other instances survive; D of a UID is a consistent U.
- Not in the table: private X; groups 0000, 0002, 0004, group lengths, groups 50xx and 60xx X; not in the dictionary X.
  DA, DT and TM get a dummy, PN is emptied, UR, AE and AS are removed, UI is remapped unless it is structural, bytes of
  VR UN are removed; attributes screened as able to carry identifiers follow `gaps_outside_e1_1`. With
  clean_descriptors free text (LT, ST, UC, UT) is cleaned. All else is kept.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from phi_deid_pipeline.conformance import conformance_statement
from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.phi_rules import load_safe_harbor
from phi_deid_pipeline.policy_files import (
    CLEANABLE_VRS,
    POLICIES_FOLDER,
    Override,
    PolicyFile,
    find_policy,
    read_policy,
)
from phi_deid_pipeline.ps3_15_rules import (
    RULES_FOLDER,
    AttributeRule,
    Rules,
    load_dictionary,
    load_iod_types,
    load_rules,
)

__all__ = ["Action", "Override", "Policy", "Resolution", "compile_policy", "conformance_statement", "load_policy"]

REMOVED_GROUPS = {0x0000: "command", 0x0002: "file_meta", 0x0004: "dicomdir"}
GRAPHICS_GROUPS = frozenset({0x50, 0x60})

# code -> action for Type 1, 2, 3, and where the Type is not known
_BY_TYPE = {
    "Z/D": {"1": "D", "2": "Z", "3": "Z", "": "D"},
    "X/Z": {"1": "D", "2": "Z", "3": "X", "": "Z"},
    "X/D": {"1": "D", "2": "D", "3": "X", "": "D"},
    "X/Z/D": {"1": "D", "2": "Z", "3": "X", "": "D"},
}
# VR -> code, rule, HIPAA letters of a standard attribute that no row names
_BY_VR = {
    "PN": ("Z", "name", "A"),
    "UI": ("U", "uid", "R"),
    "UR": ("X", "url", "N"),
    "AE": ("X", "device", "M"),
    "AS": ("X", "age", "C"),
    "UN": ("X", "unknown", "R"),
}
_DATE_VRS = frozenset({"DA", "DT", "TM"})
_FREE_TEXT_VRS = frozenset({"LT", "ST", "UC", "UT"})
_CODES = frozenset({0x00080119})  # Long Code Value: a code without some of its characters is another code


class Action(StrEnum):
    """What happens to an attribute (Table E.1-1a), compound codes resolved."""

    DUMMY = "D"
    ZERO = "Z"
    REMOVE = "X"
    KEEP = "K"
    CLEAN = "C"
    UID = "U"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a policy asks for at one place; `fallback` holds where cleaning (C) leaves nothing or cannot be done."""

    code: str
    action: Action
    rule: str
    hipaa: str = ""
    fallback: Action = Action.ZERO


@dataclass(frozen=True, slots=True)
class Entry:
    """A row after options: `code` may be compound; `basic` is the code without options."""

    code: str
    basic: str
    rule: str
    hipaa: str
    vr: str


@dataclass(frozen=True)
class Policy:
    """A resolved policy. Two policies with one digest do the same; `to_json` needs no other file to be read back."""

    name: str
    options: frozenset[str]
    digest: str
    edition: str
    hide: str
    method_codes: tuple[tuple[str, str, str], ...]  # (0012,0064): value, scheme, meaning
    method_texts: tuple[str, ...]  # (0012,0063)
    longitudinal: str  # (0028,0303)
    description: str = ""
    overrides: tuple[Override, ...] = ()
    entries: dict[int, Entry] = field(default_factory=dict, repr=False, compare=False)
    dictionary: dict[int, str] = field(default_factory=dict, repr=False, compare=False)
    sop_classes: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    types: dict[str, dict[int, str]] = field(default_factory=dict, repr=False, compare=False)
    iod_conflicts: dict[int, tuple[str, str]] = field(default_factory=dict, repr=False, compare=False)
    concepts: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict, repr=False, compare=False)

    def resolve(self, path: tuple[int, ...], vr: str, sop_class_uid: str) -> Resolution:
        """Return what happens to the attribute at the end of `path` (tags from the top level), with its VR there."""
        tag = path[-1]
        group = tag >> 16
        if self.overrides and (found := self._override(tag, sop_class_uid)) is not None:
            return self._resolution(found.action, found.action, "site", self._letters(tag), Action.ZERO)
        if group in REMOVED_GROUPS:
            return Resolution("X", Action.REMOVE, REMOVED_GROUPS[group], self._letters(tag), Action.REMOVE)
        if tag & 0xFFFF == 0:
            return Resolution("X", Action.REMOVE, "group_length", "", Action.REMOVE)
        if group & 1:
            return Resolution("X", Action.REMOVE, "private", "R", Action.REMOVE)
        if group >> 8 in GRAPHICS_GROUPS:
            return Resolution("X", Action.REMOVE, "graphics", "R", Action.REMOVE)
        entry = self.entries.get(tag)
        if entry is None:
            return self._default(path, vr, sop_class_uid)
        return self._by_entry(entry, path, vr, sop_class_uid)

    def resolve_concept(self, code: str, scheme: str, value_type: str) -> Resolution | None:
        """Return what happens to an SR content item by its concept name (Table E.3.4-1), None if no row names it."""
        found = self.concepts.get((code, scheme, value_type))
        if found is None:
            return None
        resolved, basic = (Action(_BY_TYPE.get(c, {"": c})[""]) for c in found)
        return Resolution(found[0], resolved, "E.3.4-1", "R", basic if resolved is Action.CLEAN else resolved)

    def _override(self, tag: int, sop_class_uid: str) -> Override | None:
        general = None
        for override in self.overrides:
            if override.tag == tag and override.sop_class == sop_class_uid and override.sop_class:
                return override
            if override.tag == tag and not override.sop_class:
                general = override
        return general

    def _letters(self, tag: int) -> str:
        entry = self.entries.get(tag)
        return entry.hipaa if entry else ""

    def _default(self, path: tuple[int, ...], vr: str, sop_class_uid: str) -> Resolution:
        """Decide a standard attribute that no row names by its VR; one that the dictionary does not have is removed."""
        known = self.dictionary.get(path[-1])
        if known is None:
            return Resolution("X", Action.REMOVE, "unknown", "R", Action.REMOVE)
        if vr in {"", "UN"}:
            vr = known
        if vr in _DATE_VRS:
            code = "K" if "retain_long_full_dates" in self.options else "D"
            return self._resolution(code, code, "date", "C", Action.DUMMY)
        if vr in _FREE_TEXT_VRS and path[-1] not in _CODES and "clean_descriptors" in self.options:
            return self._resolution("C", "C", "default", "", self._action("Z/D", vr, path, sop_class_uid))
        code, rule, hipaa = _BY_VR.get(vr, ("K", "default", ""))
        if vr == "UI" and "retain_uids" in self.options:
            code = "K"
        return self._resolution(code, code, rule, hipaa, Action(code))

    def _by_entry(self, entry: Entry, path: tuple[int, ...], vr: str, sop_class_uid: str) -> Resolution:
        code = entry.code
        if code == "C" and (vr or entry.vr) not in CLEANABLE_VRS:
            code = entry.basic
        basic = self._action(entry.basic, entry.vr, path, sop_class_uid)
        action = Action.CLEAN if code == "C" else basic if code == entry.basic else Action(code)
        rule = entry.rule if code == entry.code else entry.rule.partition(":")[0]
        return Resolution(code, action, rule, entry.hipaa, basic if action is Action.CLEAN else action)

    def _action(self, code: str, vr: str, path: tuple[int, ...], sop_class_uid: str) -> Action:
        """Resolve a code of the table without options by the Type on the path."""
        tag = path[-1]
        iod = self.sop_classes.get(sop_class_uid, "") if len(path) == 1 else ""
        if code == "X" and len(path) == 1 and tag in self.iod_conflicts:
            action, iods = self.iod_conflicts[tag]
            return Action(action) if iods == "*" or not iod or iod == iods else Action.REMOVE
        if code == "X/Z/U*" or (code == "D" and vr == "UI"):
            return Action.UID
        if code not in _BY_TYPE:
            return Action(code)
        kind = self.types.get(iod, {}).get(tag, "")
        return Action(_BY_TYPE[code][kind[:1]])

    @staticmethod
    def _resolution(code: str, action: str, rule: str, hipaa: str, fallback: Action) -> Resolution:
        return Resolution(code, Action(action), rule, hipaa, fallback)

    def to_json(self) -> str:
        """Return the policy as canonical JSON, one row per line; its digest covers everything else in it."""
        return _canonical({**_content(self), "digest": self.digest})

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Read what `to_json` wrote; PolicyError if it is damaged or was edited (the digest no longer fits)."""
        try:
            content = json.loads(text)
            digest = content.pop("digest")
            policy = _from_content(content, digest)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PolicyError(f"resolved policy: cannot be read ({type(error).__name__}); make it anew") from error
        if _digest(_content(policy)) != digest:
            raise PolicyError(
                "resolved policy: its digest does not fit; do not edit it, change the policy file instead"
            )
        return policy


def _canonical(content: dict[str, object]) -> str:
    def compact(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    parts = []
    for key, value in sorted(content.items()):
        if isinstance(value, dict) and value:
            rows = ",\n".join(f"{json.dumps(k)}:{compact(v)}" for k, v in sorted(value.items()))
            parts.append(f"{json.dumps(key)}:{{\n{rows}\n}}")
        elif isinstance(value, list) and value and isinstance(value[0], (list, dict)):
            rows = ",\n".join(compact(v) for v in value)
            parts.append(f"{json.dumps(key)}:[\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(key)}:{compact(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _digest(content: dict[str, object]) -> str:
    return hashlib.sha256(_canonical(content).encode("utf-8")).hexdigest()


def _content(policy: Policy) -> dict[str, object]:
    by_vr: dict[str, list[str]] = {}
    for tag, vr in sorted(policy.dictionary.items()):
        by_vr.setdefault(vr, []).append(f"{tag:08X}")
    types: dict[str, dict[str, str]] = {}
    for iod, tags in policy.types.items():
        groups: dict[str, list[str]] = {}
        for tag, kind in sorted(tags.items()):
            groups.setdefault(kind, []).append(f"{tag:08X}")
        types[iod] = {kind: " ".join(found) for kind, found in groups.items()}
    return {
        "name": policy.name,
        "description": policy.description,
        "options": sorted(policy.options),
        "edition": policy.edition,
        "hide": policy.hide,
        "method_codes": [list(code) for code in policy.method_codes],
        "method_texts": list(policy.method_texts),
        "longitudinal": policy.longitudinal,
        "overrides": [[f"{o.tag:08X}", o.action, o.reason, o.sop_class] for o in policy.overrides],
        "entries": {f"{t:08X}": [e.code, e.basic, e.rule, e.hipaa, e.vr] for t, e in policy.entries.items()},
        "dictionary": {vr: " ".join(tags) for vr, tags in by_vr.items()},
        "sop_classes": policy.sop_classes,
        "types": types,
        "iod_conflicts": {f"{tag:08X}": list(row) for tag, row in policy.iod_conflicts.items()},
        "concepts": [[*key, *row] for key, row in sorted(policy.concepts.items())],
    }


def _from_content(content: dict, digest: str) -> Policy:
    return Policy(
        name=content["name"],
        description=content["description"],
        options=frozenset(content["options"]),
        digest=digest,
        edition=content["edition"],
        hide=content["hide"],
        method_codes=tuple((value, scheme, meaning) for value, scheme, meaning in content["method_codes"]),
        method_texts=tuple(content["method_texts"]),
        longitudinal=content["longitudinal"],
        overrides=tuple(Override(int(tag, 16), *rest) for tag, *rest in content["overrides"]),
        entries={int(tag, 16): Entry(*row) for tag, row in content["entries"].items()},
        dictionary={int(tag, 16): vr for vr, tags in content["dictionary"].items() for tag in tags.split()},
        sop_classes=content["sop_classes"],
        types={
            iod: {int(tag, 16): kind for kind, tags in kinds.items() for tag in tags.split()}
            for iod, kinds in content["types"].items()
        },
        iod_conflicts={int(tag, 16): (row[0], row[1]) for tag, row in content["iod_conflicts"].items()},
        concepts={tuple(row[:3]): (row[3], row[4]) for row in content["concepts"]},
    )


def _apply_options(basic: str, row_options: dict[str, str], options: frozenset[str]) -> tuple[str, str]:
    """Return the code after options and the option that decided it ("" if none)."""
    asked = {value: option for option, value in sorted(row_options.items()) if option in options}
    for value in ("C", "K"):  # C reveals less than K
        if value in asked:
            return value, asked[value]
    return basic, ""


def _compile_rows(rules: Rules, options: frozenset[str]) -> dict[int, Entry]:
    letters = load_safe_harbor()
    entries: dict[int, Entry] = {}

    def add(rule: AttributeRule, section: str) -> None:
        if rule.tag is None:
            return  # families of groups and private attributes: `Policy.resolve` removes them as groups
        code, option = _apply_options(rule.basic, rule.options, options)
        origin = f"{section}:{option}" if option else section
        entries[rule.tag] = Entry(code, rule.basic, origin, letters.letters(rule.tag), rule.vr)

    for section, rows in (("E.1-1", rules.table), ("gap", rules.gaps), ("own", rules.own)):
        for rule in rows:
            add(rule, section)
    for tag, action in rules.ui.items():
        code = "K" if action == "U" and "retain_uids" in options else action
        entries.setdefault(tag, Entry(code, action, "uid", letters.letters(tag), "UI"))
    return entries


def _method_texts(name: str, edition: str, options: frozenset[str]) -> tuple[str, ...]:
    """Return values of (0012,0063), at most 64 characters each."""
    profile = f"DICOM PS3.15 {edition} Basic Profile{' with options' if options else ''}"
    return profile, f"phi_deid_pipeline policy {name}"


def load_policy(name_or_file: str | Path, *, root: Path = POLICIES_FOLDER, rules: Path = RULES_FOLDER) -> Policy:
    """Resolve a named policy or a policy file; PolicyError names the file and the row that is wrong."""
    return compile_policy(read_policy(find_policy(name_or_file, root), root, load_dictionary(rules)), rules=rules)


def compile_policy(found: PolicyFile, *, rules: Path = RULES_FOLDER) -> Policy:
    """Resolve what a policy file says with the rules of the tables."""
    dictionary, table, iods = load_dictionary(rules), load_rules(rules), load_iod_types(rules)
    options = found.options
    concepts = {
        (c.code, c.scheme, c.value_type): (_apply_options(c.basic, c.options, options)[0], c.basic)
        for c in table.concepts
        if "clean_structured_content" in options
    }
    content = Policy(
        name=found.name,
        description=found.description,
        options=options,
        digest="",
        edition=table.edition,
        hide=found.hide,
        method_codes=tuple(sorted(table.option_codes[option] for option in {*options, "basic"})),
        method_texts=_method_texts(found.name, table.edition, options),
        longitudinal="UNMODIFIED" if "retain_long_full_dates" in options else "REMOVED",
        overrides=found.overrides,
        entries=_compile_rows(table, options),
        dictionary={tag: vr for tag, (vr, _) in dictionary.items()},
        sop_classes=iods.sop_classes,
        types=iods.types,
        iod_conflicts={c.tag: (c.action, c.iods) for c in table.iod_conflicts},
        concepts=concepts,
    )
    return _from_content(json.loads(_canonical(_content(content))), _digest(_content(content)))
