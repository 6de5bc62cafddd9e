"""What becomes of the elements of a data set, the items of its sequences and its private blocks, at any depth."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from phi_deid_pipeline.actions import big_endian_items, dummy_item, element_header, encode_item
from phi_deid_pipeline.data_dictionary import coding_schemes
from phi_deid_pipeline.deid_plans import CODE_MEANING, CODE_VALUES, Kind, Plan
from phi_deid_pipeline.dicom_utils import LONG_LENGTH_VRS, keyword_of
from phi_deid_pipeline.element_memo import Outcome
from phi_deid_pipeline.generalize import means_age, time_unit
from phi_deid_pipeline.known_days import MAX_BYTES
from phi_deid_pipeline.private_elements import count_private, effective_vr, is_creator, private_inside, runs
from phi_deid_pipeline.raw_elements import Element, Item, RawInstance, parse_items
from phi_deid_pipeline.value_objects import replace
from phi_deid_pipeline.value_rewrite import NOTHING, ValueRewrite

if TYPE_CHECKING:
    from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext

VALUE_TYPE, CONCEPT_NAME = 0x0040A040, 0x0040A043
# Value type -> the attribute of a content item that holds its value.
CONTENT_VALUES = {
    "TEXT": 0x0040A160,
    "PNAME": 0x0040A123,
    "DATE": 0x0040A121,
    "TIME": 0x0040A122,
    "DATETIME": 0x0040A120,
    "UIDREF": 0x0040A124,
    "CODE": 0x0040A168,
    "NUM": 0x0040A300,
}
MEASURED_VALUE, NUMERIC_VALUE, UNITS, SCHEME = 0x0040A300, 0x0040A30A, 0x004008EA, 0x00080102
MIN_IDENTIFYING = 4  # digits of a number that a label makes an identifier
LAST_CODE = 0x00080120  # URN Code Value: the last attribute that may stand first in an item with a code
# Concepts of ages that are numbers: code value and coding scheme.
# What they write is of the VR that the attribute has, whichever was written.
RESTATED = frozenset({Kind.DUMMY, Kind.EMPTY, Kind.PSEUDONYM, Kind.CHECKED, Kind.AGE})
AGES = frozenset({("121033", "DCM"), ("424144002", "SCT"), ("397669002", "SCT"), ("30525-0", "LN")})


class Output:
    """Collects slices of the source and new bytes; neighbouring slices become one. `changed` once a byte is new."""

    __slots__ = ("_end", "_start", "changed", "chunks", "source")

    def __init__(self, source: memoryview) -> None:
        self.source = source
        self.chunks: list[memoryview | bytes] = []
        self.changed = False
        self._start = self._end = -1

    def keep(self, start: int, end: int) -> None:
        if start != self._end:
            self.flush()
            self._start = start
        self._end = end

    def put(self, data: bytes) -> None:
        self.flush()
        self.changed = True
        self.chunks.append(data)

    def extend(self, chunks: list[memoryview | bytes]) -> None:
        self.flush()
        self.changed = True
        self.chunks.extend(chunks)

    def flush(self) -> None:
        if self._end > self._start:
            self.chunks.append(self.source[self._start : self._end])
        self._start = self._end = -1


class ElementRewrite(ValueRewrite):
    """The elements of one instance on their way through the engine."""

    def __init__(self, engine: InstanceDeidentifier, source: RawInstance, patient: PatientContext) -> None:
        super().__init__(engine, source, patient)
        self.keeps_private = engine.planner.keeps_private
        self.cleans_local = "clean_descriptors" in engine.policy.options
        self.schemes = coding_schemes()
        self._done: dict[tuple[Plan, str], int] = defaultdict(int)
        self._repeated: list[Outcome] = []  # what counts beside that
        self._beside: tuple[list[Element], Plan] = [], Plan((), "SQ")  # the item at hand, its plan

    def _plan_of(self, parent: Plan, tag: int, vr: str) -> Plan:
        plan = parent.children.get((tag, vr))
        return plan if plan is not None else self.engine.planner.decide(parent, tag, vr)

    def _with_runs(self, elements: list[Element]) -> Iterable[Element | list[Element]]:
        return runs(elements) if self.keeps_private else elements

    def _elements(
        self, elements: list[Element], parent: Plan, charset: tuple[str, ...], little: bool, out: Output
    ) -> None:
        for element in self._with_runs(elements):
            if isinstance(element, list):
                self._private(element, parent, charset, little, out)
            else:
                self._element(element, parent, charset, little, out)

    def _element(self, element: Element, parent: Plan, charset: tuple[str, ...], little: bool, out: Output) -> None:
        plan = parent.children.get((element.tag, element.vr))
        if plan is None:
            plan = self.engine.planner.decide(parent, element.tag, element.vr)
        self._handle(element, plan, charset, little, out)

    def _handle(self, element: Element, plan: Plan, charset: tuple[str, ...], little: bool, out: Output) -> None:
        kind = plan.kind
        if kind is Kind.COPY:
            out.keep(element.start, element.end)
        elif kind is Kind.NUMBER:
            self._number(element, plan, little, out)
        elif kind is Kind.RECURSE or kind is Kind.CONTENT:
            self._sequence(element, plan, charset, little, out)
        elif kind is Kind.PRIVATE:
            self.private_elements += 1 + (private_inside(element) if element.items else 0)
            out.changed = True
        elif kind is Kind.SILENT:
            out.changed = True
        elif kind is Kind.REMOVE:
            self._remove(element, plan)
            out.changed = True
        elif kind is Kind.DEPENDENT:
            self._dependent(element, plan, charset, little, out)
        elif kind is Kind.DUMMY_ITEM:
            self._dummy_item(element, plan, little, out)
        elif element.items is not None:  # EMPTY on a sequence
            self.private_elements += private_inside(element)
            self._replace(element, plan, b"", little, out)
        else:
            self._value(element, plan, charset, little, out)

    def _private(
        self, elements: list[Element], parent: Plan, charset: tuple[str, ...], little: bool, out: Output
    ) -> None:
        """Handle the private elements of one group of a data set: a creator stays with what is kept of its block."""
        creators = {e.tag & 0xFF: self._creator(e, charset) for e in elements if is_creator(e.tag)}
        used: set[int] = set()
        written: list[tuple[Element, Output]] = []
        for element in elements:
            if is_creator(element.tag):
                continue
            block = element.tag >> 8 & 0xFF if element.tag & 0xFFFF >= 0x1000 else 0
            inner = Output(self.buffer)
            self._handle(element, self._private_plan(parent, element, creators.get(block, "")), charset, little, inner)
            inner.flush()
            if inner.chunks:
                used.add(block)
                written.append((element, inner))
            else:
                out.changed = True
        for element in elements:
            if is_creator(element.tag) and element.tag & 0xFF in used and element.items is None:
                out.keep(element.start, element.end)
            elif is_creator(element.tag):
                self.private_elements += 1 + private_inside(element)
                out.changed = True
        for element, inner in written:
            if inner.changed:
                out.extend(inner.chunks)
            else:
                out.keep(element.start, element.end)

    def _creator(self, element: Element, charset: tuple[str, ...]) -> str:
        values = self.source.texts(element, charset) if element.items is None else []
        return values[0] if values else ""

    def _private_plan(self, parent: Plan, element: Element, creator: str) -> Plan:
        value = self.source.value(element)
        vr = effective_vr(element, value, creator, self.engine.policy) if creator else element.vr
        if vr is None:
            vr, creator = "UN", ""  # what nobody knows is removed
        plan = parent.children.get((element.tag, vr, creator))
        return plan if plan is not None else self.engine.planner.decide_private(parent, element.tag, vr, creator)

    def _dependent(self, element: Element, plan: Plan, charset: tuple[str, ...], little: bool, out: Output) -> None:
        """Handle an attribute of an item that may not be there without another one (PS3.3)."""
        elements, parent = self._beside
        others = self.engine.planner.goes_with[plan.tag]
        if any(e.tag in others and self._is_left(e, parent, charset, little) for e in elements):
            assert plan.fallback is not None
            self._handle(element, plan.fallback, charset, little, out)
        else:
            self._remove(element, plan)
            out.changed = True

    def _is_left(self, element: Element, parent: Plan, charset: tuple[str, ...], little: bool) -> bool:
        """Tell whether an element will be left with a value; nothing is counted."""
        outcome = self._outcome(lambda inner: self._element(element, parent, charset, little, inner))
        if outcome.unknown:
            self.engine.unknown_words -= Counter(outcome.unknown)
        if outcome.new is None:
            return bool(bytes(self.source.value(element)).strip(b" \x00"))
        long = element.explicit and outcome.new[4:6].decode("latin-1") in LONG_LENGTH_VRS
        return bool(outcome.new[12 if long else 8 :].strip(b" \x00"))

    def _outcome(self, handle: Callable[[Output], None]) -> Outcome:
        """Handle elements by themselves: what is counted on the way is their own."""
        counted = self._done, self._repeated, self.private_elements, self.uids_replaced, self.unknown
        self._done, self._repeated, self.private_elements, self.uids_replaced, self.unknown = (
            defaultdict(int),
            [],
            0,
            0,
            [],
        )
        inner = Output(self.buffer)
        try:
            handle(inner)
            inner.flush()
            new = b"".join(inner.chunks) if inner.changed else None
            done = tuple(self._all_done().items())
            return Outcome(new, done, self.private_elements, self.uids_replaced, tuple(self.unknown))
        finally:
            self._done, self._repeated, self.private_elements, self.uids_replaced, self.unknown = counted

    def _all_done(self) -> dict[tuple[Plan, str], int]:
        """Return how often each action was applied, by plan and action."""
        done = self._done.copy()
        for outcome in self._repeated:
            for key, count in outcome.done:
                done[key] += count
        return done

    def _remove(self, element: Element, plan: Plan) -> None:
        if element.items:
            self.private_elements += private_inside(element)
        self._done[plan, "X"] += 1

    def _value(self, element: Element, plan: Plan, charset: tuple[str, ...], little: bool, out: Output) -> None:
        value = bytes(self.buffer[element.value_start : element.value_end])
        asked = plan
        if plan.kind is Kind.CLEAN or plan.kind is Kind.ADDRESS:
            plan, new = self._clean(plan, value, charset, element)
        else:
            new = self._act(plan, value, charset, element)
        if plan.kind is Kind.REMOVE or plan.kind is Kind.PRIVATE or (plan.private and new is NOTHING):
            if plan.private:
                self.private_elements += 1
            else:
                self._remove(element, self._labelled(plan, asked, value, new, charset))
            out.changed = True
            return
        if new is None or new == value:
            out.keep(element.start, element.end)
        else:
            self._replace(element, plan, new, little, out, self._labelled(plan, asked, value, new, charset))

    def _number(self, element: Element, plan: Plan, little: bool, out: Output) -> None:
        length = element.value_end - element.value_start
        new = None
        if 4 <= length <= MAX_BYTES:
            new = self._without_days(plan, bytes(self.buffer[element.value_start : element.value_end]), element.little)
        if new is None:
            out.keep(element.start, element.end)
        else:
            self._replace(element, plan, new, little, out)

    def _replace(
        self, element: Element, plan: Plan, value: bytes, little: bool, out: Output, counted: Plan | None = None
    ) -> None:
        """Write an element with a new value; its header as in the source, but for the VR of a dummy under a wrong one.

        `counted` is the plan that it is counted by, where that is another one.
        """
        if value == b"" and element.value_end == element.value_start:
            out.keep(element.start, element.end)
            return
        self._done[counted or plan, "C" if plan.action == "K" else plan.action] += 1
        explicit = element.explicit
        vr = plan.stated if plan.stated and plan.kind in RESTATED and explicit else element.written_vr
        out.put(element_header(element.tag, vr, len(value), little, explicit) + value)

    def _dummy_item(self, element: Element, plan: Plan, little: bool, out: Output) -> None:
        if not element.items:
            out.keep(element.start, element.end)
            return
        self.private_elements += private_inside(element)
        item = dummy_item(element.tag, keyword_of(element.tag))
        first = element.items[0]
        content = b"" if item is None else encode_item(item, first.little, first.explicit)
        if is_foreign(element, little):
            element, content = replace(element, written_vr="SQ"), big_endian_items(*parsed([content]))
        self._replace(element, plan, content, little, out)

    # ----------------------------------------------------------------- sequences

    def _sequence(self, element: Element, plan: Plan, charset: tuple[str, ...], little: bool, out: Output) -> None:
        """Go into all items; lengths are computed anew where content changed, in the length style of the source."""
        changed = False
        chunks: list[memoryview | bytes] = []
        for item in element.items or ():
            item_plan: Plan | None = plan
            if plan.kind is Kind.CONTENT:
                item_plan = self._content_plan(item, plan, self.source.item_charset(item, charset))
            if item_plan is None:
                self.private_elements += sum(map(count_private, item.elements))
                self._done[plan, "X"] += 1
                changed = True
                continue
            label = self.label
            if plan.kind is Kind.CONTENT:
                self.label = self._label(item, charset) if self.cleans_local else ""
            item_changed, item_chunks = self._item(item, item_plan, charset)
            self.label = label
            changed |= item_changed
            chunks.extend(item_chunks)
        foreign = is_foreign(element, little)
        if not changed and not foreign:
            out.keep(element.start, element.end)
            return
        if changed and not chunks:
            out.changed = True  # all content items were removed: Content Sequence may not be empty
            return
        if foreign:
            content = big_endian_items(*parsed(chunks))
            out.put(element_header(element.tag, "SQ", len(content), little=False, explicit=True) + content)
            return
        end = b""
        length = sum(map(len, chunks))
        if element.undefined_length:
            item_little = element.items[0].little if element.items else little
            end = struct.pack("<HHI" if item_little else ">HHI", 0xFFFE, 0xE0DD, 0)
            length = 0xFFFFFFFF
        header = element_header(element.tag, element.written_vr, length, little, element.explicit)
        out.extend([header, *chunks, end] if end else [header, *chunks])

    def _item(self, item: Item, plan: Plan, charset: tuple[str, ...]) -> tuple[bool, list[memoryview | bytes]]:
        """Return whether an item changed, and its bytes."""
        inner = Output(self.buffer)
        charset = self.source.item_charset(item, charset)
        if self.cleans_local and item.elements and item.elements[0].tag <= LAST_CODE and self._is_local(item, charset):
            plan = self.engine.planner.local_item(plan)
        above, self._beside = self._beside, (item.elements, plan)
        self._elements(item.elements, plan, charset, item.little, inner)
        self._beside = above
        if not inner.changed:
            return False, [self.buffer[item.start : item.end]]
        inner.flush()
        form = "<HHI" if item.little else ">HHI"
        if item.undefined_length:
            begin = self.buffer[item.start : item.value_start]
            return True, [begin, *inner.chunks, struct.pack(form, 0xFFFE, 0xE00D, 0)]
        return True, [struct.pack(form, 0xFFFE, 0xE000, sum(map(len, inner.chunks))), *inner.chunks]

    def _content_plan(self, item: Item, plan: Plan, charset: tuple[str, ...]) -> Plan | None:
        """Return the plan for a content item by its concept (Table E.3.4-1), None if the item has to go."""
        value_type = self._child_text(item, VALUE_TYPE, charset)
        concept = _child(item, CONCEPT_NAME)
        if concept is None or not concept.items:
            return plan
        code, scheme = self._code(concept.items[0], charset)
        planner = self.engine.planner
        resolution = planner.concept(code, scheme, value_type)
        if resolution is None and value_type == "NUM" and self.cleans_local and self._is_identifying(item, charset):
            return None
        if resolution is None:
            return self._age_plan(item, plan, concept.items[0], charset)
        action = str(resolution.action)
        if action == "C" and value_type == "TIME" and planner.dates == "year":
            action = str(resolution.fallback)
        if action == "X":
            return None
        if action == "K" and value_type == "NUM":
            return self._age_plan(item, plan, concept.items[0], charset)
        tag = CONTENT_VALUES.get(value_type)
        if tag is None or action not in ("D", "K", "C"):
            return plan  # references keep their items, with mapped UIDs
        value = _child(item, tag)
        if (action, value_type) == ("C", "TEXT") and value is not None and str(resolution.fallback) == "X":
            text = bytes(self.source.value(value))
            label = self._label(item, charset) if self.cleans_local else ""
            what = ("clean", value.vr, label) if label else ("clean", value.vr)
            if self._remembered(what, text, charset) == b"":
                return None
        if value_type == "UIDREF" or (action == "C" and value_type != "TEXT"):
            return plan
        variant = plan.variants.get((tag, resolution))
        if variant is None:
            variant = plan.variants[tag, resolution] = Plan(plan.path, "SQ", plan.scene)
            variant.forced = {tag: resolution}
        return variant

    def _is_identifying(self, item: Item, charset: tuple[str, ...]) -> bool:
        """Tell whether the concept of a content item makes its number an identifier: Patient number 4471920."""
        measured = _child(item, MEASURED_VALUE)
        number = self._child_text(measured.items[0], NUMERIC_VALUE, ()) if measured and measured.items else ""
        if not number.isdigit() or len(number) < MIN_IDENTIFYING:
            return False
        written = f"{self._label(item, charset)}: {number}"
        return any(end == len(written) for _, end in self.engine.vocabulary.patterns.labelled_spans(written))

    def _age_plan(self, item: Item, plan: Plan, concept: Item, charset: tuple[str, ...]) -> Plan:
        """Return the plan for a content item whose number may be an age: by its concept, or by unit and meaning."""
        measured = _child(item, MEASURED_VALUE) if self.engine.planner.max_age else None
        if measured is None or not measured.items:
            return plan
        units = _child(measured.items[0], UNITS)
        code = self._code(units.items[0], charset)[0] if units is not None and units.items else ""
        unit = time_unit(code)
        if self._code(concept, charset) not in AGES:
            meaning = self._child_text(concept, CODE_MEANING, self.source.item_charset(concept, charset))
            if not (unit or not code) or not means_age(meaning):
                return plan
        return self.engine.planner.age_item(plan, unit or "a")

    def _label(self, item: Item, charset: tuple[str, ...]) -> str:
        """Return what the concept of a content item is called, "" where it has none."""
        concept = _child(item, CONCEPT_NAME)
        if concept is None or not concept.items:
            return ""
        charset = self.source.item_charset(concept.items[0], self.source.item_charset(item, charset))
        return self._child_text(concept.items[0], CODE_MEANING, charset).strip(" :")

    def _child_text(self, item: Item, tag: int, charset: tuple[str, ...]) -> str:
        element = _child(item, tag)
        values = self.source.texts(element, charset) if element is not None and element.items is None else []
        return values[0] if values else ""

    def _code(self, item: Item, charset: tuple[str, ...]) -> tuple[str, str]:
        return self._child_text(item, 0x00080100, charset), self._child_text(item, SCHEME, charset)

    def _is_local(self, item: Item, charset: tuple[str, ...]) -> bool:
        """Tell whether an item holds a code of a scheme that is not registered (PS3.16 8), or of none."""
        if self._child_text(item, SCHEME, charset).upper() in self.schemes:
            return False
        return any(element.tag in CODE_VALUES or element.tag in (CODE_MEANING, LAST_CODE) for element in item.elements)


def is_foreign(element: Element, little: bool) -> bool:
    """Tell whether a sequence is written as UN, little endian in a big endian data set.

    PS3.5 6.2.2 asks for that, but common readers stumble over it: it is written as the SQ that it is.
    """
    return element.written_vr == "UN" and element.little and not little


def parsed(chunks: list[memoryview | bytes]) -> tuple[list[Item], memoryview]:
    """Return the items of a sequence written as UN, and the bytes that they lie in."""
    data = b"".join(chunks)
    return parse_items(data), memoryview(data)


def _child(item: Item, tag: int) -> Element | None:
    return next((element for element in item.elements if element.tag == tag), None)
