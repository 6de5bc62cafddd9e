"""Decide what happens at a path of an instance: the policy's answer, turned into a way of handling the element."""

from __future__ import annotations

from enum import Enum, auto
from itertools import product
from typing import TYPE_CHECKING

from phi_deid_pipeline.actions import TIMEZONE
from phi_deid_pipeline.data_dictionary import attribute
from phi_deid_pipeline.dicom_utils import STRING_VRS, TEXT_VRS, keyword_of
from phi_deid_pipeline.known_days import BINARY_VRS
from phi_deid_pipeline.policies import Action, Resolution
from phi_deid_pipeline.policy_rows import is_published

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy

Scene = tuple[str, str, str]

PATIENT_NAME, PATIENT_ID, PATIENT_AGE = 0x00100010, 0x00100020, 0x00101010
ADDRESSES = frozenset({0x00101040, 0x00102152})  # Patient's Address, Region of Residence: may keep part of a ZIP code
MEASURED_VALUE, NUMERIC_VALUE = 0x0040A300, 0x0040A30A
# Floating Point Value, Rational Numerator Value, Rational Denominator Value: Numeric Value once more (PS3.3 10.2, C.18.1)
EXACT_VALUES = frozenset({0x0040A161, 0x0040A162, 0x0040A163})
CODE_MEANING = 0x00080104
# Coding Scheme UID, Context Group Extension Creator UID, Context UID, Mapping Resource UID
DEFINITION_UIDS = frozenset({0x0008010C, 0x0008010D, 0x00080117, 0x00080118})
CODE_VALUES = frozenset({0x00080100, 0x00080119})  # Code Value, Long Code Value
NUMBER_VRS = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "AT", "FL", "FD", "OF", "OD", "OL", "OV"})
BYTE_VRS = frozenset({"OB", "OW", "UN"})
# VR of the dictionary -> the VR whose characters a value may hold that was written as a string of another kind.
FORMS = {"CS": "CS", "DS": "DS", "IS": "IS", "AS": "AS", "FL": "DS", "FD": "DS"} | dict.fromkeys(
    ("US", "SS", "UL", "SL", "UV", "SV", "AT"), "IS"
)
TRAILING_PADDING = 0xFFFCFFFC
# Sequences whose items are content items (PS3.3 10.2, C.17.3): a concept name and one value, most with a value type.
CONTENT_SEQUENCES = frozenset(
    {
        *(0x0040A730, 0x00400555, 0x00400440, 0x00400441, 0x0040B020),  # report, acquisition, protocol, waveform
        *(0x00400612, 0x00400620, 0x00440013, 0x00440019),  # specimens, products, substances given
        *(0x00741007, 0x00741210, 0x00741212),  # steps of procedures
    }
)


class Kind(Enum):
    """How an element is handled; decided once per path and VR."""

    COPY = auto()
    NUMBER = auto()  # kept, of a binary VR that may hold a day
    TEXT = auto()  # kept, known identifiers dropped
    CHECKED = auto()  # kept if well-formed for `form`, else word by word or not at all
    RECURSE = auto()
    CONTENT = auto()  # recursion into content items
    PRIVATE = auto()  # private, removed
    REMOVE = auto()
    SILENT = auto()  # removed without a record: group lengths, padding
    EMPTY = auto()
    DUMMY = auto()
    DUMMY_ITEM = auto()
    CLEAN = auto()
    OFFSET = auto()  # from UTC: kept if it is one
    ADDRESS = auto()  # cleaned to part of a ZIP code
    DATE = auto()  # moved, or cut to the year
    AGE = auto()  # kept, capped
    CODE = auto()  # private, of a VR without words: kept if nothing in it is a known identifier
    UID = auto()
    DEFINITION = auto()  # a UID that stays if it is registered
    PSEUDONYM = auto()
    REFUSE = auto()
    DEPENDENT = auto()  # in an item: as its `fallback` says, if what it goes with is left there


class Plan:
    """What happens at one path, VR and scene. `forced` are resolutions for direct children of a content item.

    `scene` is what conditions of the policy ask of an instance: SOP class, modality and manufacturer.
    """

    __slots__ = (
        *("action", "children", "code", "fallback", "forced", "form", "hipaa", "kind", "path", "private", "scene"),
        *("stated", "tag", "unit", "variants", "vr"),
    )

    def __init__(self, path: tuple[int, ...], vr: str, scene: Scene = ("", "", ""), *, private: bool = False) -> None:
        self.path = path
        self.tag = path[-1] if path else 0
        self.vr = vr
        self.form = vr  # whose characters a kept value may hold
        self.stated = ""  # the dictionary's VR where another one is written: a replaced value gets it
        self.scene = scene
        self.private = private
        self.kind = Kind.RECURSE
        self.code = self.action = "K"
        self.hipaa = ""
        self.unit = ""  # of an age that is a number
        self.fallback: Plan | None = None
        self.children: dict[tuple[int, str] | tuple[int, str, str], Plan] = {}
        self.forced: dict[int, Resolution] = {}
        self.variants: dict[tuple[int, Resolution | str], Plan] = {}

    def labelled(self, letters: str) -> Plan:
        """Return a plan of the same place and action, to count what it did under other HIPAA letters."""
        found = self.variants.get((0, letters))
        if found is None:
            found = self.variants[0, letters] = Plan(self.path, self.vr, self.scene, private=self.private)
            found.kind, found.code, found.action, found.hipaa = self.kind, self.code, self.action, letters
        return found


class Planner:
    """Asks the policy once for every path, VR and scene, and remembers the plans as a tree per scene."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.dates = policy.dates
        self.max_age = policy.max_age
        self.goes_with: dict[int, tuple[int, ...]] = policy.goes_with
        self.conditional = any(row.modality or row.manufacturer for row in policy.overrides)
        self.keeps_private = bool(policy.safe_private) or any(row.private_creator for row in policy.overrides)
        self._roots: dict[Scene, Plan] = {}
        gone = Resolution("X", Action.REMOVE, "age or dummy", "C", Action.REMOVE)
        self.without_exact_values: dict[int, Resolution] = dict.fromkeys(EXACT_VALUES, gone)

    def root(self, sop_class_uid: str, modality: str = "", manufacturer: str = "") -> Plan:
        """Return the plan of the top level; modality and manufacturer count only where the policy asks for them."""
        scene = (sop_class_uid, modality, manufacturer) if self.conditional else (sop_class_uid, "", "")
        root = self._roots.get(scene)
        if root is None:
            root = self._roots[scene] = Plan((), "SQ", scene)
        return root

    def decide(self, parent: Plan, tag: int, vr: str) -> Plan:
        """Decide what happens to `tag` with `vr` below `parent`, and remember it there."""
        plan = parent.children[tag, vr] = Plan((*parent.path, tag), vr, parent.scene)
        if tag & 0x10000:
            plan.kind = Kind.PRIVATE
        elif tag & 0xFFFF == 0 or tag == TRAILING_PADDING:
            plan.kind = Kind.SILENT
        else:
            resolution = parent.forced.get(tag)
            if resolution is None:
                resolution = self.policy.resolve(plan.path, vr, parent.scene[0], **self._conditions(parent))
            self._settle(plan, resolution.code, str(resolution.action), resolution)
            if tag in self.goes_with and parent.path and plan.kind is not Kind.REMOVE:
                plan = parent.children[tag, vr] = self._dependent(plan)
        return plan

    def _dependent(self, plan: Plan) -> Plan:
        found = Plan(plan.path, plan.vr, plan.scene)
        found.kind, found.fallback = Kind.DEPENDENT, plan
        found.code, found.action, found.hipaa = plan.code, plan.action, plan.hipaa
        return found

    def decide_private(self, parent: Plan, tag: int, vr: str, creator: str) -> Plan:
        """Decide what happens to a private element of a creator, and remember it."""
        plan = parent.children[tag, vr, creator] = Plan((*parent.path, tag), vr, parent.scene, private=True)
        conditions = self._conditions(parent)
        resolution = self.policy.resolve_private(plan.path, vr, creator, parent.scene[0], **conditions)
        self._settle(plan, resolution.code, str(resolution.action), resolution)
        return plan

    def _conditions(self, parent: Plan) -> dict[str, str]:
        return {"modality": parent.scene[1], "manufacturer": parent.scene[2]} if self.conditional else {}

    def age_item(self, plan: Plan, unit: str) -> Plan:
        """Return the plan of a content item that tells an age in a unit of UCUM: its number is capped.

        Other forms of the number go: they tell no more than Numeric Value, which may not be absent.
        """
        found = plan.variants.get((NUMERIC_VALUE, unit))
        if found is None:
            found = plan.variants[NUMERIC_VALUE, unit] = Plan(plan.path, "SQ", plan.scene)
            self._cap_number(found, unit)
            measured = self.decide(found, MEASURED_VALUE, "SQ")
            if measured.kind is Kind.RECURSE:
                self._cap_number(measured, unit)
        return found

    def _cap_number(self, holder: Plan, unit: str) -> None:
        holder.forced = self.without_exact_values
        for vr in sorted(STRING_VRS):  # whatever VR was written
            number = self.decide(holder, NUMERIC_VALUE, vr)
            if number.action == "K":
                number.kind, number.unit = Kind.AGE, unit

    def local_item(self, plan: Plan) -> Plan:
        """Return the plan of an item with a code of a local scheme: people write its value and meaning, so they are descriptions."""
        found = plan.variants.get((CODE_MEANING, "local"))
        if found is None:
            found = plan.variants[CODE_MEANING, "local"] = Plan(plan.path, "SQ", plan.scene)
            written = CODE_VALUES | {CODE_MEANING}
            found.children = {key: child for key, child in plan.children.items() if key[0] not in written}
            found.forced = plan.forced
            for tag, vr in product(sorted(written), sorted(TEXT_VRS)):  # whatever VR was written
                described = self.decide(found, tag, vr)
                if described.kind is Kind.TEXT:
                    self._clean_or_dummy(described)
        return found

    def _clean_or_dummy(self, plan: Plan) -> None:
        plan.kind = Kind.CLEAN
        plan.fallback = Plan(plan.path, plan.vr, plan.scene)
        plan.fallback.kind, plan.fallback.hipaa = Kind.DUMMY, plan.hipaa
        plan.fallback.code, plan.fallback.action = plan.code, "D"

    def _settle(self, plan: Plan, code: str, action: str, resolution: Resolution) -> None:
        plan.code, plan.action, plan.hipaa = code, action, resolution.hipaa
        plan.stated = _stated(plan)
        group = plan.tag >> 24
        nested_pixels = plan.tag >> 16 == 0x7FE0 and len(plan.path) > 1  # pictures that nothing looks at
        if plan.tag >> 16 in (0x0000, 0x0002, 0x0004) or group in (0x50, 0x60) or nested_pixels:
            plan.kind, plan.action = Kind.REMOVE, "X"
        elif plan.vr == "SQ":
            plan.kind = self._sequence_kind(plan, action)
            if plan.kind is Kind.CONTENT and action == "C" and str(resolution.fallback) == "Z":
                plan.fallback = Plan(plan.path, "SQ", plan.scene)  # of Type 2: empty where all items go
                plan.fallback.kind, plan.fallback.hipaa = Kind.EMPTY, plan.hipaa
                plan.fallback.code, plan.fallback.action = code, "Z"
        else:
            plan.kind = self._value_kind(plan, action, str(resolution.fallback))
        if plan.private and plan.kind is Kind.REMOVE:
            plan.kind = Kind.PRIVATE
        if plan.kind in (Kind.CLEAN, Kind.ADDRESS, Kind.OFFSET):
            offset = plan.kind is Kind.OFFSET
            wanted = str(self.policy.fallback(plan.path, plan.vr, plan.scene[0]) if offset else resolution.fallback)
            plan.fallback = Plan(plan.path, plan.vr, plan.scene, private=plan.private)
            self._settle(plan.fallback, code, wanted if wanted in ("D", "Z", "X") else "Z", resolution)

    def _sequence_kind(self, plan: Plan, action: str) -> Kind:
        if action == "X":
            return Kind.REMOVE
        if action == "Z" or (action == "D" and plan.stated):
            return Kind.EMPTY
        if action == "D":
            # References get mapped UIDs, which is a valid replacement and keeps links; no item could be made up.
            return Kind.RECURSE if keyword_of(plan.tag).startswith("Referenced") else Kind.DUMMY_ITEM
        return Kind.CONTENT if plan.tag in CONTENT_SEQUENCES else Kind.RECURSE

    def concept(self, code: str, scheme: str, value_type: str) -> Resolution | None:
        """Return the rule of Table E.3.4-1 for a content item, where the policy has them."""
        return self.policy.resolve_concept(code, scheme, value_type)

    def _value_kind(self, plan: Plan, action: str, fallback: str) -> Kind:
        vr = plan.vr
        if vr in ("DA", "DT", "TM") and ((action == "C" and self.dates in ("shift", "year")) or action == "K"):
            return self._date_kind(plan, action, fallback)
        if action == "K" and (vr == "AS" or plan.tag == PATIENT_AGE) and self.max_age:
            return Kind.AGE if vr in STRING_VRS or vr == "UN" else Kind.EMPTY  # whatever VR was written
        if action == "K" and plan.private and vr == "UI":
            return Kind.UID  # a source UID would not pass verification
        if action == "K" and plan.private and vr in STRING_VRS and vr not in TEXT_VRS:
            return Kind.CODE
        if action == "C" and plan.tag in ADDRESSES:
            return Kind.ADDRESS
        return _plain_kind(plan, action)

    def _date_kind(self, plan: Plan, action: str, fallback: str) -> Kind:
        """Return how a date or time is kept; one that the policy changes and that is published gets the basic action.

        Where dates are changed none stays as it is, whoever asks: it would tell the offset.
        """
        if is_published(self.dates, plan.tag, plan.vr):
            plan.action = fallback if fallback in ("D", "Z", "X") else "D"
            return _plain_kind(plan, plan.action)
        if plan.vr == "TM":
            return Kind.CHECKED
        return Kind.DATE


def _plain_kind(plan: Plan, action: str) -> Kind:
    if action == "X":
        return Kind.REMOVE
    if plan.stated == "SQ":
        return Kind.EMPTY
    if plan.tag in (PATIENT_NAME, PATIENT_ID) and action in ("Z", "D", "C"):
        return Kind.PSEUDONYM
    if action == "Z":
        return Kind.EMPTY
    if action == "D":
        if (plan.stated or plan.vr) == "UI":  # the only dummy that fits a UID is another UID
            return Kind.UID if plan.vr in STRING_VRS else Kind.REMOVE
        return Kind.DUMMY
    if action == "U":
        return Kind.UID if plan.vr in STRING_VRS else Kind.REMOVE
    if action == "C":
        return Kind.CLEAN if plan.vr in TEXT_VRS else Kind.REFUSE
    return _kept_kind(plan)


def _stated(plan: Plan) -> str:
    """Return the dictionary's VR of a standard attribute that is written with another one, "" for all others."""
    known = None if plan.private else attribute(plan.tag)
    stated = () if known is None or known.vr == "NONE" else known.vr.split(" or ")
    return stated[0] if stated and plan.vr not in stated else ""


def _kept_kind(plan: Plan) -> Kind:
    """Return how a value stays; one written with a VR of another kind than the dictionary's may hold anything.

    What cannot stay becomes the dummy of the VR that it should have, as it may be of Type 1 or 2; a sequence is emptied.
    """
    kind = Kind.TEXT if plan.vr in TEXT_VRS else Kind.CHECKED if plan.vr in STRING_VRS else Kind.COPY
    kind = Kind.NUMBER if plan.vr in BINARY_VRS else kind
    if plan.tag in DEFINITION_UIDS and plan.vr == "UI":
        kind = Kind.DEFINITION
    if plan.tag == TIMEZONE and plan.vr in STRING_VRS:
        return Kind.OFFSET
    if not plan.stated:
        return kind
    stated = attribute(plan.tag).vr.split(" or ")  # type: ignore[union-attr]
    if kind is Kind.COPY or kind is Kind.NUMBER:
        numbers = plan.vr in NUMBER_VRS and not NUMBER_VRS.isdisjoint(stated)
        fits = numbers or not BYTE_VRS.isdisjoint(stated)
        return kind if fits else Kind.REMOVE if plan.stated == "UI" else Kind.DUMMY
    if plan.vr == "UI" or plan.stated in ("DA", "DT", "TM"):
        return Kind.DUMMY
    if plan.stated not in FORMS:
        return kind
    plan.form = FORMS[plan.stated]
    return Kind.CHECKED
