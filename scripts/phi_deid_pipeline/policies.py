"""Named confidentiality policies: PS3.15 profile + options + IOD Types + site overrides -> one action per attribute.

What the standard leaves open is decided so (the reasons stand in resources/ps3_15/README.md):

- An option beats the basic code; of two options the one that reveals less wins, so C beats K.
- C needs words: it holds for LO, SH, ST, LT, UT, UC and sequences, and for DA, DT and TM where dates are modified; any
  other VR gets the basic code of its row.
- A compound code follows the Type on the attribute's path in the IOD, inside sequences and functional groups too. Where
  that is not known (unknown SOP class, path foreign to the IOD) the most demanding member of the code holds, which can
  break no IOD. Literal X inside a sequence gives way to a dummy or an empty value where the IOD asks for the attribute.
- X/Z/U* is always U, so that links to other instances survive; D of a UID is a consistent U.
- Not in the table: private X unless kept (`resolve_private`); groups 0000, 0002, 0004, group lengths, groups 50xx and
  60xx X; not in the dictionary X. DA, DT and TM get a dummy or what the policy makes of dates, PN is emptied, UR, AE and
  AS are removed, UI is remapped unless it is structural, bytes of VR UN are removed; attributes screened as able to carry
  identifiers, and every other that holds text, follow `gaps_outside_e1_1` and `own_rows`. With clean_descriptors text
  that even these do not name is cleaned. All else is kept.
"""

from __future__ import annotations

import hashlib
import json
import struct
from enum import StrEnum
from pathlib import Path

from phi_deid_pipeline.conformance import conformance_statement
from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.policy_files import (
    CLEANABLE_VRS,
    POLICIES_FOLDER,
    Override,
    PolicyFile,
    find_policy,
    read_policy,
)
from phi_deid_pipeline.policy_json import canonical, content_of, digest_of, fields_from
from phi_deid_pipeline.policy_rows import (
    DATE_VRS,
    MODIFIED_DATES,
    Entry,
    SafePrivateRule,
    compile_concepts,
    compile_rows,
    compile_safe_private,
    is_published,
)
from phi_deid_pipeline.ps3_15_rules import (
    RULES_FOLDER,
    load_dictionary,
    load_goes_with,
    load_iod_types,
    load_rules,
)
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.value_objects import dataclass, field

__all__ = [
    "Action",
    "Override",
    "Policy",
    "Resolution",
    "SafePrivateRule",
    "compile_policy",
    "conformance_statement",
    "load_policy",
]

_KEPT_CATEGORIES = {
    "retain_device_identity": Category.DEVICE,
    "retain_institution_identity": Category.INSTITUTION,
}
REMOVED_GROUPS = {0x0000: "command", 0x0002: "file_meta", 0x0004: "dicomdir"}
GRAPHICS_GROUPS = frozenset({0x50, 0x60})

# code -> action for Type 1, 2, 3, and where the Type is not known
_BY_TYPE = {
    "Z/D": {"1": "D", "2": "Z", "3": "Z", "": "D"},
    "X/Z": {"1": "D", "2": "Z", "3": "X", "": "Z"},
    "X/D": {"1": "D", "2": "D", "3": "X", "": "D"},
    "X/Z/D": {"1": "D", "2": "Z", "3": "X", "": "D"},
}
# literal code, Type inside a sequence -> what keeps the IOD valid
_NEEDED = {("X", "1"): "D", ("X", "2"): "Z", ("Z", "1"): "D"}
# VR -> code, rule, HIPAA letters of a standard attribute that no row names
_BY_VR = {
    "PN": ("Z", "name", "A"),
    "UI": ("U", "uid", "R"),
    "UR": ("X", "url", "N"),
    "AE": ("X", "device", "M"),
    "AS": ("X", "age", "C"),
    "UN": ("X", "unknown", "R"),
}
_TEXT_VRS = frozenset({"LO", "SH", "LT", "ST", "UC", "UT"})
_NUMBERS = frozenset(
    ["FL", "FD", "SS", "US", "SL", "UL", "SV", "UV", "AT", "DS", "IS", "CS", "AS", "OF", "OD", "OL", "OV"]
)
_LONGITUDINAL = {"remove": "REMOVED", "keep": "UNMODIFIED", "shift": "MODIFIED", "year": "MODIFIED"}


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
    dates: str = "remove"  # remove, keep, shift (one offset per patient) or year
    max_age: int = 89  # years; ages above it are one class, 0: no cap
    pseudonyms: str = "keyed"  # keyed, random or table
    clinical_trial: bool = False
    hold: frozenset[str] = frozenset()  # what is held for a review and not only flagged
    entries: dict[int, Entry] = field(default_factory=dict, repr=False, compare=False)
    safe_private: dict[tuple[int, int, str], SafePrivateRule] = field(default_factory=dict, repr=False, compare=False)
    dictionary: dict[int, str] = field(default_factory=dict, repr=False, compare=False)
    sop_classes: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    types: dict[str, dict[int, str]] = field(default_factory=dict, repr=False, compare=False)
    iod_modules: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    nested_types: dict[str, dict[tuple[int, ...], str]] = field(default_factory=dict, repr=False, compare=False)
    iod_conflicts: dict[int, tuple[str, str]] = field(default_factory=dict, repr=False, compare=False)
    concepts: dict[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict, repr=False, compare=False)
    goes_with: dict[int, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)
    _ranked: dict[tuple[int, str], tuple[Override, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranked: dict[tuple[int, str], tuple[Override, ...]] = {}
        for override in sorted(self.overrides, key=lambda o: o.rank):
            place = (override.tag, override.private_creator)
            ranked[place] = (*ranked.get(place, ()), override)
        object.__setattr__(self, "_ranked", ranked)

    @property
    def kept_categories(self) -> frozenset[Category]:
        """Kinds of identifiers that an option keeps: a serial number that stays is no identifier to be cut out of text."""
        return frozenset(category for option, category in _KEPT_CATEGORIES.items() if option in self.options)

    def resolve(
        self, path: tuple[int, ...], vr: str, sop_class_uid: str, *, modality: str = "", manufacturer: str = ""
    ) -> Resolution:
        """Return what happens to the attribute at the end of `path` (tags from the top level), with its VR there.

        `modality` and `manufacturer` are those of the instance; conditions of overrides ask for them. A published date,
        which a policy that changes dates neither keeps nor moves, gets the basic action.
        """
        found = self._resolved(path, vr, sop_class_uid, modality, manufacturer)
        if (
            found.action not in (Action.KEEP, Action.CLEAN)
            or vr not in DATE_VRS
            or not is_published(self.dates, path[-1], vr)
        ):
            return found
        action = found.fallback if found.fallback in ("D", "Z", "X") else Action.DUMMY
        return Resolution(found.code, action, f"{found.rule.partition(':')[0]}:published", found.hipaa, action)

    def fallback(self, path: tuple[int, ...], vr: str, sop_class_uid: str) -> Action:
        """Return what is done where what a site cleans, or an option keeps, cannot stay: what the row says without options."""
        entry = self.entries.get(path[-1])
        vr = vr or self.dictionary.get(path[-1], "")
        code = entry.basic if entry else "D" if vr in DATE_VRS else "Z/D"
        action = self._action(code, vr, path, sop_class_uid)
        return action if action in (Action.DUMMY, Action.ZERO, Action.REMOVE) else Action.ZERO

    def _resolved(
        self, path: tuple[int, ...], vr: str, sop_class_uid: str, modality: str, manufacturer: str
    ) -> Resolution:
        tag = path[-1]
        group = tag >> 16
        if self._ranked and (found := self._override((tag, ""), sop_class_uid, modality, manufacturer)) is not None:
            fallback = self.fallback(path, vr, sop_class_uid) if found.action == "C" else Action.ZERO
            return self._resolution(found.action, found.action, "site", self._letters(tag), fallback)
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
        """Return what happens to a content item by its concept name (Table E.3.4-1), None if no row names it.

        NUMERIC is what numbers (NUM) are called outside of reports (PS3.3 10.2).
        """
        found = self.concepts.get((code, scheme, "NUM" if value_type == "NUMERIC" else value_type))
        if found is None:
            return None
        resolved, basic = (Action(_BY_TYPE.get(c, {"": c})[""]) for c in found)
        return Resolution(found[0], resolved, "E.3.4-1", "R", basic if resolved is Action.CLEAN else resolved)

    def resolve_private(
        self,
        path: tuple[int, ...],
        vr: str,
        creator: str,
        sop_class_uid: str,
        *,
        modality: str = "",
        manufacturer: str = "",
    ) -> Resolution:
        """Return what happens to the private attribute at the end of `path` (PS3.15 E.3.10).

        `creator` is the text of its private creator in that data set ("" if there is none): it and the offset in the
        block name the attribute, never the block. A VR that is "" or UN is taken to be that of Table E.3.10-1, see
        `private_vr`.
        """
        tag, creator = path[-1], creator.strip(" \0")
        place = (tag & 0xFFFF0000 | tag & 0xFF, creator)
        reserved = tag & 0xFFFF < 0x1000  # creators themselves, and what stands in no block
        if not creator or reserved:
            return _private("X", "private")
        vr = self.private_vr(tag, creator) if vr in ("", "UN") else vr
        if self._ranked and (found := self._override(place, sop_class_uid, modality, manufacturer)) is not None:
            return self._site_private(found.action, vr)
        rule = self.safe_private.get((tag >> 16, tag & 0xFF, creator))
        return _private(self._safe_code(vr, rule.numeric), "safe_private") if rule else _private("X", "private")

    def private_vr(self, tag: int, creator: str) -> str:
        """Return the VR of a private attribute by Table E.3.10-1, for what is stored as UN or implicitly; or UN."""
        rule = self.safe_private.get((tag >> 16, tag & 0xFF, creator.strip(" \0")))
        return rule.vr if rule and len(rule.vr) == 2 else "UN"

    def _safe_code(self, vr: str, numeric: bool) -> str:
        """Return the action on a private attribute that is known to be safe, by its VR."""
        if vr in _NUMBERS or vr == "SQ" or (numeric and vr in ("OB", "OW")):
            return "K"
        if vr in DATE_VRS:
            return self._date_code(vr, "X")
        if vr == "UI":
            return "U"
        return "C" if vr in _TEXT_VRS else "X"

    def _site_private(self, action: str, vr: str) -> Resolution:
        """Return the site's action on a private attribute, removal where the VR allows no such action."""
        if vr == "SQ":
            fits = action in "KCXZ"
        elif action == "C":
            fits = vr in _TEXT_VRS or (vr in DATE_VRS and self._date_code(vr, "X") == "C")
        else:
            kept_date = action == "K" and vr in DATE_VRS and self.dates == "remove"  # the policy says that none is
            fits = (action in "KXDZ" and not kept_date) or (action == "U" and vr == "UI")
        return _private(action if fits else "X", "site")

    def _date_code(self, vr: str, removed: str) -> str:
        """Return the code for a date or time that no row names; `removed` where none is kept."""
        if self.dates == "keep":
            return "K"
        return "C" if self.dates == "shift" or (self.dates == "year" and vr != "TM") else removed

    def _override(self, place: tuple[int, str], sop_class: str, modality: str, manufacturer: str) -> Override | None:
        for override in self._ranked.get(place, ()):
            if override.holds(sop_class, modality, manufacturer):
                return override
        return None

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
        if vr in DATE_VRS:
            code = self._date_code(vr, "D")
            return self._resolution(code, code, "date", "C", Action.DUMMY)
        if vr in _TEXT_VRS and "clean_descriptors" in self.options:
            return self._resolution("C", "C", "default", "", self._action("Z/D", vr, path, sop_class_uid))
        code, rule, hipaa = _BY_VR.get(vr, ("K", "default", ""))
        if vr == "UI" and "retain_uids" in self.options:
            code = "K"
        return self._resolution(code, code, rule, hipaa, Action(code))

    def _by_entry(self, entry: Entry, path: tuple[int, ...], vr: str, sop_class_uid: str) -> Resolution:
        code = entry.code
        if code == "C" and not self._can_be_cleaned(vr or entry.vr, entry.rule):
            code = entry.basic
        basic = self._action(entry.basic, entry.vr, path, sop_class_uid)
        action = Action.CLEAN if code == "C" else basic if code == entry.basic else Action(code)
        rule = entry.rule if code == entry.code else entry.rule.partition(":")[0]
        return Resolution(code, action, rule, entry.hipaa, basic if action is Action.CLEAN else action)

    def _can_be_cleaned(self, vr: str, rule: str) -> bool:
        if vr in DATE_VRS:
            return rule.endswith(MODIFIED_DATES) and self._date_code(vr, "") == "C"
        return vr in CLEANABLE_VRS

    def _action(self, code: str, vr: str, path: tuple[int, ...], sop_class_uid: str) -> Action:
        """Resolve a code of the table without options by the Type on the path."""
        tag = path[-1]
        iod = self.sop_classes.get(sop_class_uid, "")
        if code == "X" and len(path) == 1 and tag in self.iod_conflicts:
            action, iods = self.iod_conflicts[tag]
            return Action(action) if iods == "*" or not iod or iod == iods else Action.REMOVE
        kind = self._type(path, iod)
        if len(path) > 1:
            code = _NEEDED.get((code, kind[:1]), code)
        if code == "X/Z/U*" or (code == "D" and vr == "UI"):
            return Action.UID
        return Action(_BY_TYPE[code][kind[:1]] if code in _BY_TYPE else code)

    def _type(self, path: tuple[int, ...], iod: str) -> str:
        """Return the strictest Type on the path, "" where it is not known; nested repeats of a sequence count once."""
        if len(path) == 1:
            return self.types.get(iod, {}).get(path[0], "")
        once = tuple(tag for tag, previous in zip(path, (0, *path), strict=False) if tag != previous)
        modules = [self.nested_types[module] for module in self.iod_modules.get(iod, ())]
        kinds = [types.get(path) or types.get(once, "") for types in modules]
        return min(filter(None, kinds), default="")  # "1" < "1C" < "2" < "2C" < "3"

    @staticmethod
    def _resolution(code: str, action: str, rule: str, hipaa: str, fallback: Action) -> Resolution:
        return Resolution(code, Action(action), rule, hipaa, fallback)

    def to_json(self) -> str:
        """Return the policy as canonical JSON, one row per line; its digest covers everything else in it."""
        return canonical({**content_of(self), "digest": self.digest})

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Read what `to_json` wrote; PolicyError if it is damaged or was edited (the digest no longer fits)."""
        try:
            content = json.loads(text)
            digest = content.pop("digest")
            policy = cls(**fields_from(content, digest))
            # Canonical as it was written, the text without that row is what was digested.
            found = hashlib.sha256(text.replace(f'"digest":"{digest}",\n', "", 1).encode("utf-8")).hexdigest()
            if found != digest:
                found = digest_of(content)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            raise PolicyError(f"resolved policy: cannot be read ({type(error).__name__}); make it anew") from error
        if found != digest:
            raise PolicyError(
                "resolved policy: its digest does not fit; do not edit it, change the policy file instead"
            )
        return policy


def _private(code: str, rule: str) -> Resolution:
    """Return a resolution of a private attribute; what cannot be cleaned is removed."""
    return Resolution(code, Action(code), rule, "R", Action.REMOVE)


def _method_texts(name: str, edition: str, options: frozenset[str]) -> tuple[str, ...]:
    """Return values of (0012,0063), at most 64 characters each."""
    profile = f"DICOM PS3.15 {edition} Basic Profile{' with options' if options else ''}"
    return profile, f"phi_deid_pipeline policy {name}"


def load_policy(
    name_or_file: str | Path, *, root: Path = POLICIES_FOLDER, rules: Path = RULES_FOLDER, disabled: bool = False
) -> Policy:
    """Resolve a named policy or a policy file; PolicyError names the file and the row that is wrong.

    A policy that says of itself that it is disabled is refused, unless `disabled` asks for it to look at it.
    """
    found = read_policy(find_policy(name_or_file, root), root, load_dictionary(rules))
    if found.disabled and not disabled:
        raise PolicyError(f"policy {found.name}: is disabled; choose another, or take `disabled` out of its file")
    return compile_policy(found, rules=rules)


def compile_policy(found: PolicyFile, *, rules: Path = RULES_FOLDER) -> Policy:
    """Resolve what a policy file says with the rules of the tables."""
    dictionary = load_dictionary(rules)
    table, iods = load_rules(rules, dictionary), load_iod_types(rules)
    options, dates = found.options, found.date_policy
    content = Policy(
        name=found.name,
        description=found.description,
        options=options,
        digest="",
        edition=table.edition,
        hide=found.hide,
        method_codes=tuple(sorted(table.option_codes[option] for option in {*options, "basic"})),
        method_texts=_method_texts(found.name, table.edition, options),
        longitudinal=_LONGITUDINAL[dates],
        overrides=found.overrides,
        dates=dates,
        max_age=found.max_age,
        pseudonyms=found.pseudonyms,
        clinical_trial=found.clinical_trial,
        hold=found.hold,
        entries=compile_rows(table, options, dates),
        safe_private=compile_safe_private(table, options),
        dictionary={tag: vr for tag, (vr, _) in dictionary.items()},
        sop_classes=iods.sop_classes,
        types=iods.types,
        iod_modules=iods.modules,
        nested_types=iods.nested,
        iod_conflicts={c.tag: (c.action, c.iods) for c in table.iod_conflicts},
        concepts=compile_concepts(table, options, dates),
        goes_with=load_goes_with(rules, dictionary),
    )
    return Policy(**fields_from(json.loads(canonical(content_of(content))), digest_of(content_of(content))))
