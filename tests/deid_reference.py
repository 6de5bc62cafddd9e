"""A slow, plain reference of the engine on pydicom Datasets: same rules, other code. For differential tests only."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.datadict import dictionary_VM, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi_deid_pipeline.free_text import clean_descriptor, drop_identifiers, load_vocabulary
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.policies import Policy

TEXT = {"LO", "SH", "ST", "LT", "UT", "UC", "PN"}
LONG_TEXT = {"ST", "LT", "UT", "UR"}
STRINGS = TEXT | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"}
DUMMIES = {
    **dict.fromkeys(("PN", "LO", "LT", "ST", "UC", "UT", "SH", "AE", "CS"), ("DEIDENTIFIED", "REMOVED")),
    "DA": ("19000101", "19010101"),
    "TM": ("000000", "000001"),
    "DT": ("19000101000000", "19010101000000"),
    "AS": ("000D", "001D"),
    "DS": ("0", "1"),
    "IS": ("0", "1"),
    "UR": ("urn:deidentified", "urn:removed"),
}
CONTENT = {0x0040A730, 0x00400555, 0x00400612, 0x00400440, 0x0040B020}


class OutOfReference(Exception):
    """The reference does not cover what this data set holds."""


class Reference:
    """Applies a policy to a Dataset in place, by the rules of PS3.15 E.1.1 in their plainest form."""

    def __init__(self, policy: Policy, new_uid: Callable[[str], str], lexicon: Lexicon, pseudonym: str) -> None:
        self.policy, self.new_uid, self.lexicon, self.pseudonym = policy, new_uid, lexicon, pseudonym
        self.vocabulary = load_vocabulary()
        self.private = 0

    def apply(self, ds: Dataset) -> Dataset:
        self.sop_class = str(ds.get("SOPClassUID", ""))
        self._dataset(ds, ())
        return ds

    def _dataset(self, ds: Dataset, above: tuple[int, ...]) -> None:
        for tag in list(ds.keys()):
            tag = int(tag)
            group = tag >> 16
            if group & 1 or tag & 0xFFFF == 0 or group in (0, 2, 4) or group >> 8 in (0x50, 0x60) or tag == 0xFFFCFFFC:
                self.private += self._private(ds[tag])
                del ds[tag]
                continue
            element = ds[tag]
            answer = self.policy.resolve((*above, tag), element.VR, self.sop_class)
            if element.VR == "SQ":
                self._sequence(ds, element, str(answer.action), (*above, tag))
            else:
                self._value(ds, element, answer, (*above, tag))

    def _private(self, element: DataElement) -> int:
        inside = 0
        if element.VR == "SQ":
            inside = sum(self._private(e) for item in element.value for e in item)
        return inside + (int(element.tag) >> 16 & 1)

    def _sequence(self, ds: Dataset, element: DataElement, action: str, path: tuple[int, ...]) -> None:
        tag = int(element.tag)
        if action == "X":
            self.private += self._private(element)
            del ds[tag]
        elif action == "Z":
            self.private += self._private(element)
            element.value = Sequence([])
        elif action == "D" and not keyword_for_tag(tag).startswith("Referenced"):
            if element.value:
                raise OutOfReference(f"{tag:08X}")
        else:
            keep = [item for item in element.value if not self._content_item(item, tag)]
            for item in element.value:
                if item not in keep:
                    self.private += sum(self._private(e) for e in item)
            for item in keep:
                self._dataset(item, path)
            if len(keep) != len(element.value):
                element.value = Sequence(keep)
                if not keep:
                    del ds[tag]

    def _content_item(self, item: Dataset, tag: int) -> bool:
        """Tell whether a content item is removed."""
        if (
            tag not in CONTENT
            or "clean_structured_content" not in self.policy.options
            or not item.get("ConceptNameCodeSequence")
        ):
            return False
        name = item.ConceptNameCodeSequence[0]
        answer = self.policy.resolve_concept(
            str(name.get("CodeValue", "")), str(name.get("CodingSchemeDesignator", "")), str(item.get("ValueType", ""))
        )
        if answer is None:
            return False
        if str(answer.action) == "X":
            return True
        raise OutOfReference("concept")

    def _value(self, ds: Dataset, element: DataElement, answer, path: tuple[int, ...]) -> None:
        action, vr, tag = str(answer.action), element.VR, int(element.tag)
        if vr == "UN" and action in ("C", "U"):
            raise OutOfReference("UN")
        if action == "C":
            action = self._clean(element) or str(answer.fallback)
            if action == "C":
                return
        if action == "X":
            del ds[tag]
        elif action in ("Z", "D") and tag in (0x00100010, 0x00100020):
            element.value = self.pseudonym
        elif action == "Z":
            element.value = None if vr in NUMBERS else ""
        elif action == "D":
            self._dummy(element, answer.code)
        elif action == "U":
            self._each(element, self._uid)
        elif vr in TEXT:
            self._drop(element)

    def _uid(self, uid: str) -> str:
        return self.new_uid(uid)

    @staticmethod
    def _each(element: DataElement, change: Callable[[str], str]) -> None:
        if element.VM > 1:
            element.value = [change(str(v)) for v in element.value]
        elif not element.is_empty:
            element.value = change(str(element.value))

    def _texts(self, element: DataElement) -> list[str]:
        if element.is_empty:
            return []
        return [str(v) for v in element.value] if element.VM > 1 else [str(element.value)]

    def _drop(self, element: DataElement) -> None:
        text = "\\".join(self._texts(element))
        dropped = drop_identifiers(text, self.lexicon)
        if dropped != text:
            if not dropped.strip() and element.VR in TEXT:
                dropped = "DEIDENTIFIED"
            parts = dropped.split("\\") if element.VR not in LONG_TEXT else [dropped]
            element.value = parts if len(parts) > 1 else parts[0]

    def _clean(self, element: DataElement) -> str:
        """Clean a text; return "" where nothing is left and the fallback holds."""
        texts = self._texts(element)
        cleaned = [clean_descriptor(text, self.lexicon, self.vocabulary) for text in texts]
        whole = "\\".join(texts)
        if cleaned == texts:
            return "C" if drop_identifiers(whole, self.lexicon) == whole else ""
        if not any(text.strip() for text in cleaned):
            return ""
        element.value = cleaned if len(cleaned) > 1 else cleaned[0]
        return "C"

    def _dummy(self, element: DataElement, code: str) -> None:
        if element.is_empty and "/" in code:
            return
        vr, tag = element.VR, int(element.tag)
        if vr not in DUMMIES or tag in (0x04000565, 0x00420011) or dictionary_VM(tag)[0] not in "1":
            raise OutOfReference(f"dummy {vr}")
        first, second = DUMMIES[vr]
        element.value = second if first in (t.strip() for t in self._texts(element)) else first
