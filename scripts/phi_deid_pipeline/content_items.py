"""What becomes of a content item (PS3.3 10.2, C.17.3, C.18): by its concept, its label, and the number that it holds."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from phi_deid_pipeline.deid_plans import CODE_MEANING, EXACT_VALUES, MEASURED_VALUE, NUMERIC_VALUE, Plan
from phi_deid_pipeline.dicom_utils import STRING_VRS
from phi_deid_pipeline.generalize import means_age, time_unit
from phi_deid_pipeline.value_rewrite import ValueRewrite

if TYPE_CHECKING:
    from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
    from phi_deid_pipeline.raw_elements import Element, Item, RawInstance

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
    "NUM": MEASURED_VALUE,
}
UNITS, CODE_VALUE, SCHEME = 0x004008EA, 0x00080100, 0x00080102
NUMBERS = EXACT_VALUES | {NUMERIC_VALUE}
MIN_IDENTIFYING = 4  # digits of a number that a label makes an identifier
# Concepts of ages that are numbers: code value and coding scheme.
AGES = frozenset({("121033", "DCM"), ("424144002", "SCT"), ("397669002", "SCT"), ("30525-0", "LN")})
_FORMS = {"FD": "d", "FL": "f", "SL": "i", "UL": "I", "SS": "h", "US": "H", "SV": "q", "UV": "Q"}


class ContentRewrite(ValueRewrite):
    """The content items of one instance on their way through the engine."""

    def __init__(self, engine: InstanceDeidentifier, source: RawInstance, patient: PatientContext) -> None:
        super().__init__(engine, source, patient)
        self.cleans_local = "clean_descriptors" in engine.policy.options

    def _content_plan(self, item: Item, plan: Plan, charset: tuple[str, ...]) -> Plan | None:
        """Return the plan for a content item by its concept (Table E.3.4-1), None if the item has to go."""
        concept = child(item, CONCEPT_NAME)
        if concept is None or not concept.items:
            return plan
        code, scheme = self._code(concept.items[0], charset)
        planner = self.engine.planner
        value_type = self._child_text(item, VALUE_TYPE, charset)
        resolution = planner.concept(code, scheme, value_type)
        if (resolution is None or value_type == "NUMERIC") and any(
            self._numbers(item)
        ):  # a number, whatever it is called
            value_type, resolution = "NUM", planner.concept(code, scheme, "NUM")
        if resolution is None:
            if self._is_identifying(item, charset):
                return None
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
        value = child(item, tag)
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
            if value_type == "NUM":
                variant.forced |= {NUMERIC_VALUE: resolution} | planner.without_exact_values
        return variant

    def _holders(self, item: Item) -> Iterator[Item]:
        """Yield where the number of a content item may stand: in the item itself, or in its measured values."""
        yield item
        measured = child(item, MEASURED_VALUE)
        yield from (measured.items or ()) if measured is not None else ()

    def _numbers(self, item: Item) -> Iterator[Element]:
        for holder in self._holders(item):
            yield from (e for e in holder.elements if e.tag in NUMBERS and e.items is None)

    def _is_identifying(self, item: Item, charset: tuple[str, ...]) -> bool:
        """Tell whether the concept of a content item makes its number an identifier: Patient number 4471920."""
        label = ""
        for number in (text for element in self._numbers(item) for text in self._whole_numbers(element)):
            if len(number) < MIN_IDENTIFYING:
                continue
            label = label or self._label(item, charset)
            written = f"{label}: {number}"
            if any(end == len(written) for _, end in self.engine.vocabulary.patterns.labelled_spans(written)):
                return True
        return False

    def _whole_numbers(self, element: Element) -> Iterator[str]:
        """Yield the digits of the values of a number that are whole ones."""
        if element.vr in STRING_VRS:
            texts = self.source.texts(element, ())
            yield from (text for text in texts if text.isdigit())
            numbers = [_float(text) for text in texts if not text.isdigit()]
        else:
            numbers = binary_numbers(element.vr, bytes(self.source.value(element)), little=element.little)
        yield from (str(int(number)) for number in numbers if math.isfinite(number) and number == int(number) >= 0)

    def _age_plan(self, item: Item, plan: Plan, concept: Item, charset: tuple[str, ...]) -> Plan:
        """Return the plan for a content item whose number may be an age: by its concept, or by unit and meaning."""
        if not self.engine.planner.max_age or not any(self._numbers(item)):
            return plan
        units = (child(holder, UNITS) for holder in self._holders(item))
        codes = (self._code(unit.items[0], charset)[0] for unit in units if unit is not None and unit.items)
        code = next(filter(None, codes), "")
        unit = time_unit(code)
        if self._code(concept, charset) not in AGES:
            meaning = self._child_text(concept, CODE_MEANING, self.source.item_charset(concept, charset))
            if not (unit or not code) or not means_age(meaning):
                return plan
        return self.engine.planner.age_item(plan, unit or "a")

    def _label(self, item: Item, charset: tuple[str, ...]) -> str:
        """Return what the concept of a content item is called, "" where it has none."""
        concept = child(item, CONCEPT_NAME)
        if concept is None or not concept.items:
            return ""
        charset = self.source.item_charset(concept.items[0], self.source.item_charset(item, charset))
        return self._child_text(concept.items[0], CODE_MEANING, charset).strip(" :")

    def _child_text(self, item: Item, tag: int, charset: tuple[str, ...]) -> str:
        element = child(item, tag)
        values = self.source.texts(element, charset) if element is not None and element.items is None else []
        return values[0] if values else ""

    def _code(self, item: Item, charset: tuple[str, ...]) -> tuple[str, str]:
        return self._child_text(item, CODE_VALUE, charset), self._child_text(item, SCHEME, charset)


def child(item: Item, tag: int) -> Element | None:
    """Return the first element of an item with a tag."""
    return next((element for element in item.elements if element.tag == tag), None)


def binary_numbers(vr: str, value: bytes, *, little: bool) -> list[float]:
    """Return the values of a binary VR that holds numbers, none of any other."""
    form = _FORMS.get(vr)
    if form is None:
        return []
    count = len(value) // struct.calcsize(form)
    return list(struct.unpack_from(f"{'<' if little else '>'}{count}{form}", value))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
