"""Load and validate the rules of PS3.15 Annex E: Table E.1-1, what it leaves open, and the Types that decide its codes.

The files (resources/ps3_15/README.md) hold one row per line, so that a site can edit them; whatever is wrong with a row
is a `PolicyError` that names the file and the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.ps3_15_published import check_published
from phi_deid_pipeline.value_objects import dataclass

RULES_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "ps3_15"
BASIC_CODES = frozenset({"D", "Z", "X", "U", "K", "Z/D", "X/Z", "X/D", "X/Z/D", "X/Z/U*"})
OPTION_VALUES = frozenset({"K", "C"})
TABLE_OPTIONS = (
    "retain_safe_private",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_long_full_dates",
    "retain_long_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
)
PIXEL_OPTIONS = ("clean_pixel_data", "clean_recognizable_visual_features")
OPTIONS = TABLE_OPTIONS + PIXEL_OPTIONS
TYPES = frozenset({"1", "1C", "2", "2C", "3"})
PRIVATE_ROW = "(gggg,eeee) where gggg is odd"

_TAG = Expression(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")
_FAMILY = Expression(r"\(([0-9A-F]{2})xx,([0-9A-F]{4}|xxxx)\)")
_PRIVATE = Expression(r"\([0-9A-F]{3}[13579BDF],xx[0-9A-Fa-f]{2}\)")  # as printed in the standard
_VR = Expression(r"[A-Z]{2}(\|[A-Z]{2})*")
_VRS = "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV"
_VALUE_TYPES = """
    CODE COMPOSITE CONTAINER DATE DATETIME IMAGE NUM PNAME SCOORD SCOORD3D TABLE TCOORD TEXT TIME UIDREF WAVEFORM
"""
_KINDS = {"options": dict, "types": dict, "with": list}
_CONFLICT_KEYS = ("tag", "keyword", "basic", "type", "action", "iods", "modules")
# What the engine does with a content item: X removes it, K keeps it, D writes a dummy.
_CONCEPT_CODES = frozenset({"D", "K", "X", "X/D", "X/Z/D", "Z/D"})
_WITHOUT_VALUE = frozenset({"CONTAINER", "TABLE", "SCOORD", "SCOORD3D", "TCOORD"})
_SECTIONS = """
    standard edition generated option_codes action_codes table_e1_1 option_conflicts iod_action_conflicts
    gaps_outside_e1_1 own_rows ui_attributes structured_content_e3_4_1 safe_private_e3_10_1
"""
Dictionary = Mapping[int, tuple[str, str]]  # tag -> (VR, keyword)


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """One row: what happens to an attribute without options, and what each option makes of it.

    `tag` is the number of one attribute; a family of repeating groups has `family` (high byte of the group, element or
    None for every element) instead.
    """

    published: str  # the tag as the file has it
    tag: int | None
    family: tuple[int, int | None] | None
    keyword: str
    vr: str
    basic: str
    options: dict[str, str]
    name: str = ""
    retired: bool = False
    in_standard_iod: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class ConceptRule:
    """What happens to an SR content item, by concept name code and value type (Table E.3.4-1)."""

    code: str
    scheme: str
    value_type: str
    meaning: str
    basic: str
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """A private attribute of Table E.3.10-1: group, offset in its block, creator."""

    group: int
    offset: int
    private_creator: str
    vr: str
    vm: str
    meaning: str
    handling: str


@dataclass(frozen=True, slots=True)
class IodConflict:
    """A row whose literal X would make an IOD invalid: `action` at the top level of the IODs named ("*" all)."""

    tag: int
    action: str
    iods: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of one edition."""

    edition: str
    option_codes: dict[str, tuple[str, str, str]]  # option -> value, scheme, meaning of CID 7050
    table: tuple[AttributeRule, ...]
    gaps: tuple[AttributeRule, ...]
    own: tuple[AttributeRule, ...]
    ui: dict[int, str]  # UI attributes -> D, K, U or X
    option_conflicts: frozenset[int]
    iod_conflicts: tuple[IodConflict, ...]
    concepts: tuple[ConceptRule, ...]
    safe_private: tuple[SafePrivate, ...]


@dataclass(frozen=True, slots=True)
class IodTypes:
    """SOP class -> IOD, and the strictest Type of attributes whose action depends on it.

    `types` holds, per IOD, those of the top level. `nested` holds, per module or group of macros, those inside sequences
    by their path of tags; `modules` names, per IOD, what of it an instance may have.
    """

    sop_classes: dict[str, str]
    types: dict[str, dict[int, str]]
    modules: dict[str, tuple[str, ...]]
    nested: dict[str, dict[tuple[int, ...], str]]


class _File:
    """A JSON file of rows; `fail` names file, section and row (1-based)."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self.content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=self._once)
        except OSError as error:
            raise PolicyError(f"{path.name}: cannot be read ({error.strerror}); restore it from the project") from error
        except ValueError as error:
            raise PolicyError(f"{path.name}: is no JSON ({error}); mend the line named") from error
        if not isinstance(self.content, dict):
            raise PolicyError(f"{path.name}: must hold one JSON object")

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
            raise PolicyError(f"{self.name}: row {pairs[0][1]}: {twice} stands there twice; take one away")
        return row

    def rows(self, section: str, keys: tuple[str, ...]) -> list[tuple[str, dict]]:
        """Return (place, row) of a section; every row must have exactly the keys named."""
        rows = self.content.get(section)
        if not isinstance(rows, list) or not rows:
            raise PolicyError(f"{self.name}: section {section} is missing or empty")
        placed = []
        for number, row in enumerate(rows, 1):
            label = row.get(keys[0], "") if isinstance(row, dict) else ""
            place = f"{self.name}: {section} row {number}{f' {label}' if label else ''}"
            if not isinstance(row, dict) or set(row) != set(keys):
                raise PolicyError(f"{place}: must have the keys {', '.join(keys)} and no other")
            for key in keys:
                if not isinstance(row[key], _KINDS.get(key, str)):
                    raise PolicyError(f"{place}: {key} has the wrong type")
            placed.append((place, row))
        return placed


def parse_tag(text: str) -> int:
    """Return the number of a tag written (gggg,eeee) or ggggeeee in upper case hexadecimal; ValueError otherwise."""
    if (match := _TAG.fullmatch(text)) is not None:
        return int(match[1] + match[2], 16)
    if expression(r"[0-9A-F]{8}").fullmatch(text):
        return int(text, 16)
    raise ValueError(f"{text!r} is no tag of the form (gggg,eeee)")


def format_tag(tag: int) -> str:
    """Return (gggg,eeee)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _place_tag(place: str, text: str) -> tuple[int | None, tuple[int, int | None] | None]:
    if _TAG.fullmatch(text):
        tag = parse_tag(text)
        if tag >> 16 & 1:
            raise PolicyError(f"{place}: {text} is private; a row names standard attributes only")
        return tag, None
    if (match := _FAMILY.fullmatch(text)) is not None:
        return None, (int(match[1], 16), None if match[2] == "xxxx" else int(match[2], 16))
    if text == PRIVATE_ROW:
        return None, None
    raise PolicyError(f"{place}: {text!r} is no tag of the form (gggg,eeee) or (ggxx,eeee)")


def _check_name(place: str, row: dict, tag: int | None, known: Dictionary) -> None:
    """Check that a row is of the attribute that its keyword names; families of repeating groups are not looked up."""
    if tag is None:
        return
    if tag not in known:
        raise PolicyError(f"{place}: unknown tag; correct it, or add it to dictionary.json")
    vr, keyword = known[tag]
    if row["keyword"] != keyword:
        raise PolicyError(f"{place}: is {keyword}, not {row['keyword']}; correct the tag or the keyword")
    if row.get("vr", vr) != vr:
        raise PolicyError(f"{place}: {keyword} has the VR {vr} in the dictionary, not {row['vr']}")


def _check_codes(place: str, basic: str, options: dict[str, str]) -> None:
    if basic not in BASIC_CODES:
        raise PolicyError(f"{place}: unknown action code {basic!r}; known are {', '.join(sorted(BASIC_CODES))}")
    for option, value in options.items():
        if option not in TABLE_OPTIONS:
            raise PolicyError(f"{place}: unknown option {option!r}; known are {', '.join(TABLE_OPTIONS)}")
        if value not in OPTION_VALUES:
            raise PolicyError(f"{place}: unknown action code {value!r} for {option}; an option has K or C")
        if value == basic:
            raise PolicyError(f"{place}: contradiction, {option} asks for what the row does without it")


def _check_not_kept(place: str, row: dict, name: str) -> None:
    """Check that a row of the standard does not keep what it names: Annex E keeps nothing of it without an option."""
    if row["basic"] == "K":
        raise PolicyError(
            f"{place}: {name} would be kept without an option, which the standard does for no row; put its code back, and name"
            " the attribute under overrides of a policy, with a reason, to keep it"
        )


def _attribute(place: str, row: dict, known: Dictionary, *, table: bool) -> AttributeRule:
    tag, family = _place_tag(place, row["tag"])
    basic, options, vr = row["basic"], row["options"], row["vr"]
    _check_codes(place, basic, options)
    if table:
        _check_not_kept(place, row, row["keyword"] or row["tag"])
    if vr and not _VR.fullmatch(vr):
        raise PolicyError(f"{place}: unknown VR {vr!r}")
    if basic == "X/Z/U*" and vr != "SQ":
        raise PolicyError(f"{place}: contradiction, X/Z/U* is for sequences and the VR is {vr}")
    if basic == "U" and vr != "UI":
        raise PolicyError(f"{place}: contradiction, U is for UIDs and the VR is {vr}")
    _check_name(place, row, tag, known)
    if options.get("retain_long_full_dates", "K") != "K" or options.get("retain_long_modified_dates", "C") != "C":
        raise PolicyError(f"{place}: full dates are K and modified dates C")
    if (options.get("retain_long_full_dates") == "K") != (options.get("retain_long_modified_dates") == "C") and table:
        raise PolicyError(f"{place}: contradiction, full dates (K) and modified dates (C) belong together")
    if not table:
        return AttributeRule(row["tag"], tag, family, row["keyword"], vr, basic, options, why=row["why"])
    flags = [row["retired"], row["in_standard_iod"]]
    if not set(flags) <= {"Y", "N"}:
        raise PolicyError(f"{place}: retired and in_standard_iod are Y or N")
    return AttributeRule(
        row["tag"], tag, family, row["keyword"], vr, basic, options, row["name"], flags[0] == "Y", flags[1] == "Y"
    )


def _attributes(
    file: _File, section: str, known: Dictionary, *, table: bool, seen: dict[str, str]
) -> tuple[AttributeRule, ...]:
    keys = ("tag", "keyword", "vr", "basic", "options")
    keys += ("name", "vm", "retired", "in_standard_iod") if table else ("why",)
    rules = []
    for place, row in file.rows(section, keys):
        if row["tag"] in seen:
            raise PolicyError(f"{place}: duplicate, the tag already stands in {seen[row['tag']]}")
        seen[row["tag"]] = place
        rules.append(_attribute(place, row, known, table=table))
    return tuple(rules)


def _ui(file: _File, table: dict[int, AttributeRule], known: Dictionary) -> dict[int, str]:
    ui: dict[int, str] = {}
    for place, row in file.rows("ui_attributes", ("tag", "keyword", "retired", "in_table", "action", "role")):
        tag, _ = _place_tag(place, row["tag"])
        if tag is None or row["action"] not in {"D", "K", "U", "X"}:
            raise PolicyError(f"{place}: needs one tag and an action of D, K, U, X")
        _check_name(place, row, tag, known)
        if tag in ui:
            raise PolicyError(f"{place}: duplicate tag")
        rule = table.get(tag)
        if (rule.basic if rule else "") != row["in_table"]:
            raise PolicyError(f"{place}: contradiction, in_table is not what table_e1_1 has")
        ui[tag] = row["action"]
    return ui


def _option_conflicts(file: _File, table: dict[int, AttributeRule]) -> frozenset[int]:
    found = {tag for tag, rule in table.items() if len(_kept_and_cleaned(rule)) == 2}
    listed = set()
    for place, row in file.rows("option_conflicts", ("tag", "keyword", "conflict")):
        tag, _ = _place_tag(place, row["tag"])
        if tag not in found:
            raise PolicyError(f"{place}: contradiction, table_e1_1 has no such conflict of options")
        listed.add(tag)
    for tag in sorted(found - listed):
        place = f"{file.name}: table_e1_1 {format_tag(tag)}"
        raise PolicyError(f"{place}: contradiction between options; list the row in option_conflicts")
    return frozenset(listed)


def _kept_and_cleaned(rule: AttributeRule) -> set[str]:
    """Return the option codes of a row; the two date options exclude each other and make no conflict alone."""
    return {v for o, v in rule.options.items() if o != "retain_long_full_dates"}


def _iod_conflicts(file: _File, table: dict[int, AttributeRule]) -> tuple[IodConflict, ...]:
    conflicts = []
    for place, row in file.rows("iod_action_conflicts", _CONFLICT_KEYS):
        tag, _ = _place_tag(place, row["tag"])
        if tag is None or tag not in table or table[tag].basic != row["basic"]:
            raise PolicyError(f"{place}: contradiction, basic is not what table_e1_1 has")
        if row["action"] not in {"", "D", "Z"} or bool(row["action"]) != bool(row["iods"]):
            raise PolicyError(f"{place}: action is D, Z or empty, and goes with iods")
        if row["action"]:
            conflicts.append(IodConflict(tag, row["action"], row["iods"]))
    return tuple(conflicts)


def _check_carried_out(place: str, row: dict) -> None:
    """Check that the engine does with a content item what its row says."""
    basic, kind = row["basic"], row["value_type"]
    if basic not in _CONCEPT_CODES:
        raise PolicyError(
            f"{place}: {basic} is not carried out for content items; one of {', '.join(sorted(_CONCEPT_CODES))} is"
        )
    if kind in _WITHOUT_VALUE and basic not in ("K", "X"):
        raise PolicyError(f"{place}: {basic} is not carried out for a {kind}, which has no value of its own; use X")
    for option, code in row["options"].items():
        dates = option == "retain_long_modified_dates"
        if code == "C" and kind not in (("DATE", "TIME", "DATETIME") if dates else ("TEXT",)):
            raise PolicyError(f"{place}: C of {option} is not carried out for a {kind}; take the option out")


def _check_iods(file: _File, folder: Path, published: set[str]) -> None:
    """Check that the IOD of every conflict that a site added is one."""
    own = [found for found in file.rows("iod_action_conflicts", _CONFLICT_KEYS) if found[1]["tag"] not in published]
    known = {row["iod"] for row in _File(folder / "iod_types.json").content["iods"]} if own else set()
    for place, row in own:
        if row["iods"] not in {"", "*", *known}:
            raise PolicyError(f"{place}: {row['iods']} is no IOD of iod_types.json; name one of these, or * for all")


def _concepts(file: _File) -> tuple[ConceptRule, ...]:
    keys = ("code", "scheme", "value_type", "meaning", "retired", "in_template", "basic", "options")
    concepts: dict[tuple[str, str, str], ConceptRule] = {}
    for place, row in file.rows("structured_content_e3_4_1", keys):
        _check_codes(place, row["basic"], row["options"])
        _check_not_kept(place, row, row["meaning"])
        if row["value_type"] not in _VALUE_TYPES.split():
            raise PolicyError(f"{place}: unknown value type {row['value_type']!r}")
        _check_carried_out(place, row)
        key = (row["code"], row["scheme"], row["value_type"])
        if key in concepts:
            raise PolicyError(f"{place}: duplicate concept")
        concepts[key] = ConceptRule(*key, row["meaning"], row["basic"], row["options"])
    return tuple(concepts.values())


def _safe_private(file: _File) -> tuple[SafePrivate, ...]:
    found: dict[tuple[str, str], SafePrivate] = {}
    for place, row in file.rows("safe_private_e3_10_1", ("tag", "private_creator", "vr", "vm", "meaning", "handling")):
        text, creator = row["tag"], row["private_creator"]
        if not _PRIVATE.fullmatch(text):
            raise PolicyError(f"{place}: {text!r} is no tag of the form (gggg,xxee) with an odd group")
        if row["vr"] and not set(_VRS.split()).issuperset(row["vr"].split("/")):
            raise PolicyError(f"{place}: unknown VR {row['vr']!r}")
        if not creator or (text, creator) in found:
            raise PolicyError(f"{place}: private creator missing, or duplicate row")
        block = (int(text[1:5], 16), int(text[8:10], 16), creator)
        found[text, creator] = SafePrivate(*block, row["vr"], row["vm"], row["meaning"], row["handling"])
    return tuple(found.values())


def load_rules(folder: Path = RULES_FOLDER, known: Dictionary | None = None) -> Rules:
    """Read `ps3_15_rules.json`; PolicyError names the row of what is unknown, duplicate or contradictory.

    `known` is the dictionary that tags and keywords are looked up in, by default the folder's own.
    """
    file = _File(folder / "ps3_15_rules.json")
    known = load_dictionary(folder) if known is None else known
    for section in sorted(file.content.keys() - set(_SECTIONS.split())):
        raise PolicyError(f"{file.name}: unknown section {section}; correct its name or take it away")
    edition = file.content.get("edition")
    if not isinstance(edition, str) or not edition:
        raise PolicyError(f"{file.name}: edition is missing")
    codes: dict[str, tuple[str, str, str]] = {}
    for place, row in file.rows("option_codes", ("option", "value", "scheme", "meaning", "section")):
        if row["option"] in codes or row["option"] not in (*OPTIONS, "basic"):
            raise PolicyError(f"{place}: unknown or duplicate option {row['option']!r}")
        codes[row["option"]] = (row["value"], row["scheme"], row["meaning"])
    if set(codes) != {*OPTIONS, "basic"}:
        raise PolicyError(f"{file.name}: option_codes lacks {', '.join(sorted({*OPTIONS, 'basic'} - set(codes)))}")
    file.rows("action_codes", ("code", "meaning"))
    seen: dict[str, str] = {}
    table = _attributes(file, "table_e1_1", known, table=True, seen=seen)
    by_tag = {rule.tag: rule for rule in table if rule.tag is not None}
    rules = Rules(
        edition=edition,
        option_codes=codes,
        table=table,
        gaps=_attributes(file, "gaps_outside_e1_1", known, table=False, seen=seen),
        own=_attributes(file, "own_rows", known, table=False, seen=seen),
        ui=_ui(file, by_tag, known),
        option_conflicts=_option_conflicts(file, by_tag),
        iod_conflicts=_iod_conflicts(file, by_tag),
        concepts=_concepts(file),
        safe_private=_safe_private(file),
    )
    names = {format_tag(tag): keyword for tag, (_, keyword) in known.items()}
    required = _File(RULES_FOLDER / "required_rows.json").content
    check_published(file.name, file.content, required, names)
    _check_iods(file, folder, {tag for tag, *_ in required["iod_action_conflicts"]})
    return rules


def load_goes_with(folder: Path = RULES_FOLDER, known: Dictionary | None = None) -> dict[int, tuple[int, ...]]:
    """Read `goes_with.json`: attribute -> those beside it of which one must be left with a value, or it goes (PS3.3)."""
    file = _File(folder / "goes_with.json")
    known = load_dictionary(folder) if known is None else known
    found: dict[int, tuple[int, ...]] = {}
    for place, row in file.rows("goes_with", ("tag", "keyword", "with", "why")):
        tag, _ = _place_tag(place, row["tag"])
        _check_name(place, row, tag, known)
        others = tuple(_place_tag(place, other)[0] for other in row["with"])
        if tag is None or tag in found or not others or not known.keys() >= {tag, *others} or tag in others:
            raise PolicyError(f"{place}: needs a tag of its own and, under with, standard attributes that it goes with")
        found[tag] = others  # type: ignore[assignment]
    return found


def load_iod_types(folder: Path = RULES_FOLDER) -> IodTypes:
    """Read `iod_types.json`: Types (PS3.5 7.4) at the top level of the data set and inside sequences."""
    file = _File(folder / "iod_types.json")
    types: dict[str, dict[int, str]] = {}
    for place, row in file.rows("iods", ("iod", "types")):
        if row["iod"] in types:
            raise PolicyError(f"{place}: duplicate IOD")
        types[row["iod"]] = {path[0]: kind for path, kind in _paths(place, row["types"], deep=False).items()}
    nested: dict[str, dict[tuple[int, ...], str]] = {}
    for place, row in file.rows("nested_types", ("module", "types")):
        if row["module"] in nested:
            raise PolicyError(f"{place}: duplicate module")
        nested[row["module"]] = _paths(place, row["types"], deep=True)
    modules: dict[str, tuple[str, ...]] = {}
    for place, row in file.rows("iod_modules", ("iod", "modules")):
        if row["iod"] in modules:
            raise PolicyError(f"{place}: duplicate IOD")
        modules[row["iod"]] = tuple(row["modules"].split())
        if unknown := sorted(set(modules[row["iod"]]) - nested.keys()):
            raise PolicyError(f"{place}: {unknown[0]} is no module of nested_types")
    classes: dict[str, str] = {}
    for place, row in file.rows("sop_classes", ("uid", "iod")):
        if row["uid"] in classes:
            raise PolicyError(f"{place}: duplicate SOP class")
        classes[row["uid"]] = row["iod"]
    return IodTypes(classes, types, modules, nested)


def _paths(place: str, kinds: dict[str, str], *, deep: bool) -> dict[tuple[int, ...], str]:
    """Return path -> Type of Type -> paths; a path is one tag, or several joined by / where it may be `deep`."""
    found: dict[tuple[int, ...], str] = {}
    for kind, paths in kinds.items():
        if kind not in TYPES or not isinstance(paths, str):
            raise PolicyError(f"{place}: unknown Type {kind!r}")
        for text in paths.split():
            try:
                path = tuple(parse_tag(tag) for tag in text.split("/"))
            except ValueError as error:
                raise PolicyError(f"{place}: {error}") from error
            if (len(path) > 1) is not deep:
                raise PolicyError(f"{place}: {text} is no {'path of several tags' if deep else 'single tag'}")
            if found.setdefault(path, kind) != kind:
                raise PolicyError(f"{place}: contradiction, {text} has two Types")
    return found


def load_dictionary(folder: Path = RULES_FOLDER) -> dict[int, tuple[str, str]]:
    """Read `dictionary.json`: tag -> (VR, keyword) of every standard attribute that has a keyword."""
    file = _File(folder / "dictionary.json")
    known: dict[int, tuple[str, str]] = {}
    rows = file.content.get("attributes")
    for number, row in enumerate(rows if isinstance(rows, list) else [], 1):
        try:
            text, vr, keyword = row
            known[parse_tag(text)] = (vr, keyword)
        except (TypeError, ValueError) as error:
            raise PolicyError(f"{file.name}: attributes row {number}: must be [tag, VR, keyword]") from error
    if not known:
        raise PolicyError(f"{file.name}: section attributes is missing or empty")
    return known
