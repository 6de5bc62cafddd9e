"""Decide what happens at a path of an instance: the policy's answer, turned into a way of handling the element."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from phi_deid_pipeline.dicom_utils import STRING_VRS, TEXT_VRS, keyword_of

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy, Resolution

PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
TRAILING_PADDING = 0xFFFCFFFC
# Sequences whose items are content items (PS3.3 10.2, C.17.3): value type, concept name and one value.
CONTENT_SEQUENCES = frozenset({0x0040A730, 0x00400555, 0x00400612, 0x00400440, 0x0040B020})


class Kind(Enum):
    """How an element is handled; decided once per path and VR."""

    COPY = auto()
    TEXT = auto()  # kept, known identifiers dropped
    CHECKED = auto()  # kept if well-formed, else as TEXT
    RECURSE = auto()
    CONTENT = auto()  # recursion into content items
    PRIVATE = auto()
    REMOVE = auto()
    SILENT = auto()  # removed without a record: group lengths, padding
    EMPTY = auto()
    DUMMY = auto()
    DUMMY_ITEM = auto()
    CLEAN = auto()
    UID = auto()
    PSEUDONYM = auto()
    REFUSE = auto()


class Plan:
    """What happens at one path, VR and SOP class. `forced` are resolutions for direct children of a content item."""

    __slots__ = ("action", "children", "code", "fallback", "forced", "hipaa", "kind", "path", "tag", "variants", "vr")

    def __init__(self, path: tuple[int, ...], vr: str) -> None:
        self.path = path
        self.tag = path[-1] if path else 0
        self.vr = vr
        self.kind = Kind.RECURSE
        self.code = self.action = "K"
        self.hipaa = ""
        self.fallback: Plan | None = None
        self.children: dict[tuple[int, str], Plan] = {}
        self.forced: dict[int, Resolution] = {}
        self.variants: dict[tuple[int, Resolution], Plan] = {}


class Planner:
    """Asks the policy once for every path, VR and SOP class, and remembers the plans as a tree per SOP class."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._roots: dict[str, Plan] = {}

    def root(self, sop_class_uid: str) -> Plan:
        """Return the plan of the top level for a SOP class."""
        root = self._roots.get(sop_class_uid)
        if root is None:
            root = self._roots[sop_class_uid] = Plan((), "SQ")
        return root

    def decide(self, parent: Plan, tag: int, vr: str, sop_class_uid: str) -> Plan:
        """Decide what happens to `tag` with `vr` below `parent`, and remember it there."""
        plan = parent.children[tag, vr] = Plan((*parent.path, tag), vr)
        if tag & 0x10000:
            plan.kind = Kind.PRIVATE
        elif tag & 0xFFFF == 0 or tag == TRAILING_PADDING:
            plan.kind = Kind.SILENT
        else:
            resolution = parent.forced.get(tag) or self.policy.resolve(plan.path, vr, sop_class_uid)
            self._settle(plan, resolution.code, str(resolution.action), resolution)
        return plan

    def _settle(self, plan: Plan, code: str, action: str, resolution: Resolution) -> None:
        plan.code, plan.action, plan.hipaa = code, action, resolution.hipaa
        group = plan.tag >> 24
        nested_pixels = plan.tag >> 16 == 0x7FE0 and len(plan.path) > 1  # pictures that nothing looks at
        if plan.tag >> 16 in (0x0000, 0x0002, 0x0004) or group in (0x50, 0x60) or nested_pixels:
            plan.kind, plan.action = Kind.REMOVE, "X"
        elif plan.vr == "SQ":
            plan.kind = self._sequence_kind(plan, action)
        else:
            plan.kind = _value_kind(plan, action)
        if plan.kind is Kind.CLEAN:
            wanted = str(getattr(resolution, "fallback", "Z"))
            plan.fallback = Plan(plan.path, plan.vr)
            self._settle(plan.fallback, code, wanted if wanted in ("D", "Z", "X") else "Z", resolution)

    def _sequence_kind(self, plan: Plan, action: str) -> Kind:
        if action == "X":
            return Kind.REMOVE
        if action == "Z":
            return Kind.EMPTY
        if action == "D":
            # References get mapped UIDs, which is a valid replacement and keeps links; no item could be made up.
            return Kind.RECURSE if keyword_of(plan.tag).startswith("Referenced") else Kind.DUMMY_ITEM
        if plan.tag in CONTENT_SEQUENCES and "clean_structured_content" in self.policy.options:
            return Kind.CONTENT
        return Kind.RECURSE

    def concept(self, code: str, scheme: str, value_type: str) -> Resolution | None:
        """Return the rule of Table E.3.4-1 for a content item, where the policy has them."""
        find = getattr(self.policy, "resolve_concept", None)
        return find(code, scheme, value_type) if find is not None else None


def _value_kind(plan: Plan, action: str) -> Kind:
    if action == "X":
        return Kind.REMOVE
    if plan.tag in (PATIENT_NAME, PATIENT_ID) and action in ("Z", "D", "C"):
        return Kind.PSEUDONYM
    if action == "Z":
        return Kind.EMPTY
    if action == "D":
        return Kind.UID if plan.vr == "UI" else Kind.DUMMY  # the only dummy that fits a UID is another UID
    if action == "U":
        return Kind.UID if plan.vr in STRING_VRS else Kind.REMOVE
    if action == "C":
        return Kind.CLEAN if plan.vr in TEXT_VRS else Kind.REFUSE
    if plan.vr in TEXT_VRS:
        return Kind.TEXT
    return Kind.CHECKED if plan.vr in STRING_VRS else Kind.COPY
