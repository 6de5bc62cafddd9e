"""A slow, plain reference of the engine on pydicom Datasets: same rules, other code. For differential tests only.

What it shares with the engine are the policy's answers, the rules for words (`free_text`) and the templates of dummy
items; how an instance is read, walked, changed and written is pydicom's and its own.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Collection

from pydicom.datadict import dictionary_VM, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_reference_options import (
    capped,
    capped_number,
    creator_of,
    creators_of,
    is_published,
    is_time,
    is_uid,
    shifted,
    year_of,
)
from phi_deid_pipeline.actions import dummy_document, dummy_item
from phi_deid_pipeline.content_items import AGES
from phi_deid_pipeline.data_dictionary import coding_schemes
from phi_deid_pipeline.free_text import clean_descriptor, drop_identifiers, load_vocabulary
from phi_deid_pipeline.generalize import means_age, time_unit, zip3
from phi_deid_pipeline.known_codes import is_plain_code
from phi_deid_pipeline.known_days import KnownDays, is_counter
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.policies import Action, Policy, Resolution
from phi_deid_pipeline.private_elements import fits
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.uid_mapping import is_made_up, names_definition

TEXT = {"LO", "SH", "ST", "LT", "UT", "UC", "PN"}
LONG_TEXT = {"ST", "LT", "UT", "UR"}
# VR -> characters of a value that is well-formed (PS3.5 6.2); any other value counts as text. None: always text.
ALLOWED: dict[str, str | None] = {
    "AE": None,
    "AS": "0123456789DWMY",
    "CS": "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
    "DA": "0123456789.-",
    "DS": "0123456789+-.Ee",
    "DT": "0123456789.+-",
    "IS": "0123456789+-",
    "TM": "0123456789.:-",
    "UI": "0123456789.",
    "UR": None,
}
STRINGS = TEXT | set(ALLOWED)
FORMED = {"AS", "CS", "DA", "DS", "DT", "IS", "TM"}  # what is not well-formed for them is read as a description
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d", "AT": "I"}
WORDS = {"OW": "H", "OF": "f", "OL": "I", "OD": "d", "OV": "Q"}
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
TERMS = {
    0x00080201: ("+0000", "+0100"),
    0x04000565: ("COERCE", "CORRECT"),
    0x00100040: ("O", "O"),
    0x00102203: ("UNALTERED", "ALTERED"),
}
CONTENT = {
    *(0x0040A730, 0x00400555, 0x00400440, 0x00400441, 0x0040B020, 0x00400612, 0x00400620, 0x00440013, 0x00440019),
    *(0x00741007, 0x00741210, 0x00741212),
}
MEASURED = 0x0040A300
NUMBER_KEYWORDS = ("NumericValue", "FloatingPointValue", "RationalNumeratorValue", "RationalDenominatorValue")
CONTENT_VALUES = {
    "TEXT": 0x0040A160,
    "PNAME": 0x0040A123,
    "DATE": 0x0040A121,
    "TIME": 0x0040A122,
    "DATETIME": 0x0040A120,
    "UIDREF": 0x0040A124,
    "CODE": 0x0040A168,
    "NUM": MEASURED,
}
METHOD_CODES = 0x00120064
ADDRESSES = {0x00101040, 0x00102152}  # cleaning keeps part of a ZIP code, nothing else


class Refused(Exception):
    """The rules ask for what cannot be done: the instance has to be rejected."""


class Reference:
    """Applies a policy to a Dataset in place, by the rules of PS3.15 E.1.1 in their plainest form.

    `removed` counts what was removed by path (tags from the top level), `private` the private attributes.
    """

    def __init__(
        self, policy: Policy, new_uid: Callable[[str], str], lexicon: Lexicon, pseudonym: str, offset_days: int = 0
    ) -> None:
        self.offset_days = offset_days
        self.policy, self.new_uid, self.lexicon, self.pseudonym = policy, new_uid, lexicon, pseudonym
        self.vocabulary = load_vocabulary()
        self.label = ""
        self.age = ""  # unit of the age that the content item at hand tells
        self.private = 0
        self.removed: Counter[tuple[int, ...]] = Counter()

    def apply(self, ds: Dataset) -> Dataset:
        self.top = ds
        self.sop_class = str(ds.get("SOPClassUID", "") or "")
        self.births = {e.value for e in self.lexicon.entries if e.category is Category.BIRTH_DATE}
        self.births.discard("".join(filter(str.isdigit, _first(ds.get("StudyDate")))))
        self.little = bool(ds.original_encoding[1])
        self.earlier = _first(ds.get("LongitudinalTemporalInformationModified")).strip(" \0")
        texts, codes, present = self._earlier_method(ds)
        self._dataset(ds, ())
        self._method(ds, texts, codes, present)
        return ds

    # ------------------------------------------------------------------ what was done

    def _earlier_method(self, ds: Dataset) -> tuple[list[str], list[Dataset], set[tuple[str, str]]]:
        """Take the attributes that say what was done to the instance before out of the data set."""
        texts: list[str] = []
        if "DeidentificationMethod" in ds:
            element = ds["DeidentificationMethod"]
            own = self.policy.method_texts
            texts = [text.strip(" \0") for text in "\\".join(self._texts(element)).split("\\")]
            texts = [t if t in own else clean_descriptor(t, self.lexicon, self.vocabulary) for t in texts]
        items = list(ds.get(METHOD_CODES).value) if METHOD_CODES in ds and ds[METHOD_CODES].VR == "SQ" else []
        present = {self._code(item) for item in items}
        for item in items:
            self._dataset(item, (METHOD_CODES,))
        for keyword in ("DeidentificationMethod", "PatientIdentityRemoved", "LongitudinalTemporalInformationModified"):
            if keyword in ds:
                del ds[keyword]
        if METHOD_CODES in ds:
            del ds[METHOD_CODES]
        return [text for text in texts if text], items, present

    def _method(self, ds: Dataset, texts: list[str], items: list[Dataset], present: set[tuple[str, str]]) -> None:
        policy = self.policy
        ds.PatientIdentityRemoved = "YES"
        ds.DeidentificationMethod = [*texts, *(text for text in policy.method_texts if text not in texts)]
        for value, scheme, meaning in policy.method_codes:
            if (value, scheme) not in present:
                code = Dataset()
                code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
                items.append(code)
        ds.DeidentificationMethodCodeSequence = Sequence(items)
        if "REMOVED" in (policy.longitudinal, self.earlier):
            ds.LongitudinalTemporalInformationModified = "REMOVED"
        else:
            changed = "MODIFIED" in (policy.longitudinal, self.earlier)
            ds.LongitudinalTemporalInformationModified = "MODIFIED" if changed else policy.longitudinal

    @staticmethod
    def _code(item: Dataset) -> tuple[str, str]:
        return tuple(_first(item.get(k)) for k in ("CodeValue", "CodingSchemeDesignator"))  # type: ignore[return-value]

    # ------------------------------------------------------------------ data sets

    def _dataset(self, ds: Dataset, above: tuple[int, ...], forced: dict[int, Resolution] | None = None) -> None:
        creators = creators_of(ds)
        scheme = _first(ds.get("CodingSchemeDesignator")).upper() if above else ""
        coded = any(keyword in ds for keyword in ("CodeValue", "CodeMeaning", "LongCodeValue", "URNCodeValue"))
        local = bool(above) and coded and scheme not in coding_schemes() and "clean_descriptors" in self.policy.options
        for tag in sorted(map(int, ds.keys())):
            path = (*above, tag)
            element = ds[tag]
            group = tag >> 16
            if group & 1:
                if (group, tag & 0xFFFF) not in creators:
                    self._private_element(ds, element, path, creator_of(tag, creators))
            elif tag & 0xFFFF == 0 or tag == 0xFFFCFFFC:
                del ds[tag]
            elif group in (0, 2, 4) or group >> 8 in (0x50, 0x60) or (group == 0x7FE0 and above):
                self._remove(ds, element, path)
            else:
                answer = (forced or {}).get(tag) or self.policy.resolve(path, element.VR, self.sop_class)
                code = tag in (0x00080100, 0x00080119)
                plain = code and is_plain_code("\\".join(self._texts(element)).encode(), self.vocabulary)
                described = (code and not plain) or tag == 0x00080104
                if self.age and tag in (0x0040A161, 0x0040A162, 0x0040A163):
                    answer = Resolution("X", Action.REMOVE, "age", "C", Action.REMOVE)
                if local and described and answer.action is Action.KEEP and element.VR in TEXT:
                    answer = Resolution(answer.code, Action.CLEAN, "local", "", Action.DUMMY)
                if element.VR == "SQ":
                    self._sequence(ds, element, str(answer.action), path, empty=str(answer.fallback) == "Z")
                else:
                    self._value(ds, element, answer, path)

        for tag, others in self.policy.goes_with.items():
            if tag in ds and all(ds[other].is_empty if other in ds else True for other in others):
                self._remove(ds, ds[tag], (*above, tag))

        used = {(tag >> 16, tag >> 8 & 0xFF) for tag in map(int, ds.keys()) if tag >> 16 & 1 and tag & 0xFFFF >= 0x1000}
        for group, block in creators.keys() - used:
            self.private += 1
            del ds[group << 16 | block]

    def _private_element(self, ds: Dataset, element: DataElement, path: tuple[int, ...], creator: str) -> None:
        """Keep what the policy knows by its creator; its removal counts as one of private elements, not by path."""
        answer = self.policy.resolve_private(path, element.VR, creator, self.sop_class)
        action = str(answer.action)
        stated = self.policy.private_vr(path[-1], creator)
        items = element.VR == "SQ"
        if ds.original_encoding[0] and stated != "UN" and not items and not fits(stated, self._written(element)):
            action = "X"  # written without a VR, and the bytes are not what Table E.3.10-1 says of the attribute
        before, removed = self.private, dict(self.removed)
        if element.VR == "SQ" and action != "X":
            self._sequence(ds, element, action, path)
        elif element.VR == "SQ" or action == "X":
            self.private += self._private(element)
            del ds[path[-1]]
        else:
            text = "\\".join(self._texts(element)) if element.VR in STRINGS else ""
            known = action == "K" and element.VR in STRINGS - TEXT and drop_identifiers(text, self.lexicon) != text
            if action == "K" and element.VR in FORMED - {"AS", "DA"}:
                known |= self._described(element) != self._texts(element)
            if known or (action in "UK" and element.VR == "UI" and not all(map(is_uid, text.split("\\")))):
                self.private += 1
                del ds[path[-1]]
                return
            self._value(ds, element, answer, path)
            if (
                path[-1] in ds
                and element.VR == "AS"
                and text.strip(" \0")
                and not "".join(self._texts(element)).strip("\\")
            ):
                del ds[path[-1]]  # an age that cannot be read
            if path[-1] not in ds:
                self.removed, self.private = Counter(removed), before + 1

    def _written(self, element: DataElement) -> bytes:
        """Return the bytes of a value in implicit VR little endian."""
        values = [] if element.is_empty else list(element.value) if element.VM > 1 else [element.value]
        if element.VR in NUMBERS:
            return struct.pack(f"<{len(values)}{NUMBERS[element.VR]}", *values)
        if element.VR in STRINGS:
            text = "\\".join(self._texts(element)).encode("latin-1", "replace")
            return text + b" " * (len(text) % 2)
        return bytes(element.value or b"") if element.VR != "SQ" else b""

    def _remove(self, ds: Dataset, element: DataElement, path: tuple[int, ...]) -> None:
        self.removed[path] += 1
        self.private += self._private(element)
        del ds[element.tag]

    def _private(self, element: DataElement) -> int:
        inside = 0
        if element.VR == "SQ":
            inside = sum(self._private(e) for item in element.value for e in item)
        return inside + (int(element.tag) >> 16 & 1)

    # ------------------------------------------------------------------ sequences

    def _sequence(
        self, ds: Dataset, element: DataElement, action: str, path: tuple[int, ...], *, empty: bool = False
    ) -> None:
        tag = int(element.tag)
        if action == "X":
            self._remove(ds, element, path)
        elif action == "Z":
            self.private += self._private(element)
            element.value = Sequence([])
        elif action == "D" and not keyword_for_tag(tag).startswith("Referenced"):
            if element.value:
                self.private += self._private(element)
                template = dummy_item(tag, keyword_for_tag(tag))
                element.value = Sequence([] if template is None else [_dataset_of(template)])
        else:
            self._items(ds, element, path, empty=empty and action == "C")

    def _items(self, ds: Dataset, element: DataElement, path: tuple[int, ...], *, empty: bool = False) -> None:
        kept = []
        for item in element.value:
            stays, forced = self._content_item(item, path[-1])
            if stays:
                label, age = self.label, self.age
                if path[-1] in CONTENT:
                    self.label, self.age = self._label(item) if self._cleans() else "", self._age_of(item)
                elif path[-1] != MEASURED:
                    self.age = ""
                self._dataset(item, path, forced)
                self.label, self.age = label, age
                kept.append(item)
            else:
                self.removed[path] += 1
                self.private += sum(self._private(e) for e in item)
        if len(kept) != len(element.value):
            element.value = Sequence(kept)
            if not kept and not empty:
                del ds[element.tag]

    def _cleans(self) -> bool:
        return "clean_descriptors" in self.policy.options

    def _label(self, item: Dataset) -> str:
        name = item.get("ConceptNameCodeSequence")
        return _first(name[0].get("CodeMeaning")).strip(" :") if name else ""

    def _age_of(self, item: Dataset) -> str:
        """Return the unit of UCUM of the age that a content item tells, "" where it tells none."""
        name, holders = item.get("ConceptNameCodeSequence"), self._holders(item)
        if not name or not self.policy.max_age or not any(key in one for one in holders for key in NUMBER_KEYWORDS):
            return ""
        units = [one.get("MeasurementUnitsCodeSequence") for one in holders]
        unit = next((code for one in units if one and (code := _first(one[0].get("CodeValue")))), "")
        coded = self._code(name[0]) in AGES
        called = (time_unit(unit) or not unit) and means_age(_first(name[0].get("CodeMeaning")))
        return (time_unit(unit) or "a") if coded or called else ""

    @staticmethod
    def _holders(item: Dataset) -> list[Dataset]:
        return [item, *(item.get("MeasuredValueSequence") or ())]

    def _is_number_of_somebody(self, item: Dataset) -> bool:
        for one in self._holders(item):
            for number in (text for key in NUMBER_KEYWORDS if key in one for text in self._texts(one[key])):
                digits = number if number.isdigit() else f"{float(number):.0f}" if float(number) % 1 == 0 else ""
                written = f"{self._label(item)}: {digits}"
                spans = self.vocabulary.patterns.labelled_spans(written)
                if len(digits) >= 4 and digits.isdigit() and any(end == len(written) for _, end in spans):
                    return True
        return False

    def _content_item(self, item: Dataset, tag: int) -> tuple[bool, dict[int, Resolution]]:
        """Tell whether a content item stays, and what the rule for its concept asks of its value."""
        if tag not in CONTENT:
            return True, {}
        name = item.get("ConceptNameCodeSequence")
        value_type = _first(item.get("ValueType"))
        answer = self.policy.resolve_concept(*self._code(name[0]), value_type) if name else None
        if name and any(key in one for one in self._holders(item) for key in NUMBER_KEYWORDS):
            if answer is None or value_type == "NUMERIC":
                value_type, answer = "NUM", self.policy.resolve_concept(*self._code(name[0]), "NUM")
            if answer is None and self._is_number_of_somebody(item):
                return False, {}
            if str(answer and answer.action) == "K" and value_type == "NUM":
                return True, {}
        if answer is None:
            return True, {}
        action, holds = str(answer.action), CONTENT_VALUES.get(value_type)
        if (action, value_type, self.policy.dates) == ("C", "TIME", "year"):
            action = str(answer.fallback)
        if action == "X":
            return False, {}
        if holds is None or action not in ("D", "K", "C") or value_type == "UIDREF":
            return True, {}
        if action == "C":
            if holds in item and str(answer.fallback) == "X" and value_type == "TEXT":
                texts = self._texts(item[holds])
                if self._cleaned(texts, item[holds].VR, self._label(item) if self._cleans() else "") == "":
                    return False, {}
            if value_type != "TEXT":
                return True, {}
        return True, {holds: answer}

    # ------------------------------------------------------------------ values

    def _value(self, ds: Dataset, element: DataElement, answer: Resolution, path: tuple[int, ...]) -> None:
        action, vr, tag = str(answer.action), element.VR, path[-1]
        if tag in (0x00100010, 0x00100020) and action in ("Z", "D", "C"):
            element.value = self.pseudonym
            return
        if vr in ("DA", "DT", "TM") and self.policy.dates in ("shift", "year") and action in ("C", "K"):
            if not is_published(tag) and (vr != "TM" or self.policy.dates == "shift"):
                if vr != "TM":
                    self._each(element, lambda text: self._changed_date(vr, text))
                elif not self._is_well_formed(element):
                    self._describe(element)
                return
            action = str(answer.fallback) if str(answer.fallback) in ("D", "Z", "X") else "D"
        if (vr == "AS" or (tag == 0x00101010 and vr in STRINGS)) and action == "K" and self.policy.max_age:
            before = self._texts(element)
            self._each(element, lambda text: capped(text, self.policy.max_age))
            if self._texts(element) != before:
                return
        if self.age and tag == 0x0040A30A and action == "K" and vr in STRINGS:
            self._each(element, lambda text: capped_number(text, self.age, self.policy.max_age))
            return
        if tag == 0x00080201 and action == "K" and vr in STRINGS:
            text = "\\".join(self._texts(element)).strip(" \0")
            if not text or re.fullmatch(r"[+-](0[0-9]|1[0-4])[0-5][0-9]", text, re.ASCII):
                return
            action = str(self.policy.fallback(path, vr, self.sop_class))
        if action == "C":
            if vr not in TEXT:
                raise Refused(f"{tag:08X}")
            texts = self._texts(element)
            said = tag == 0x0040A160 or (tag == 0x00080104 and len(path) > 1 and path[-2] == 0x0040A168)
            label = self.label if said else ""
            cleaned = zip3("\\".join(texts)) if tag in ADDRESSES else self._cleaned(texts, vr, label)
            if cleaned is None or element.is_empty:
                return
            if cleaned:
                element.value = cleaned
                return
            action = str(answer.fallback) if str(answer.fallback) in ("D", "Z", "X") else "Z"
        if action == "X" or (action == "U" and vr not in STRINGS):
            self._remove(ds, element, path)
        elif action == "Z":
            element.value = None if vr in NUMBERS else b"" if vr not in STRINGS else ""
        elif action == "D" and vr != "UI":
            self._dummy(element, answer.code)
        elif action in ("D", "U"):
            self._each(element, self.new_uid)
        elif vr == "UI" and tag in (0x0008010C, 0x0008010D, 0x00080117, 0x00080118):
            if "retain_uids" in self.policy.options:
                return
            schemes = coding_schemes().values()
            self._each(element, lambda uid: uid if names_definition(uid, schemes) else self.new_uid(uid))
        elif vr == "UI" and "retain_uids" not in self.policy.options and any(map(is_made_up, self._texts(element))):
            self._each(element, self.new_uid)
        elif vr in FORMED and tag != 0x00080005 and not self._is_well_formed(element):
            self._describe(element)
        elif vr in TEXT or (vr in STRINGS and not self._is_well_formed(element)):
            self._drop(element)
        elif vr in ("DA", "DT"):
            self._each(element, lambda text: self._without_births(vr, text))
        elif vr in ("UL", "SL", "UV", "SV", "FL", "FD") and not element.is_empty:
            self._without_days(element)
        elif (
            vr in ("CS", "DS", "IS")
            and tag != 0x00080005
            and any(self._is_known(vr, t, tag) for t in self._texts(element))
        ):
            self._each(element, lambda text: DUMMIES[vr][0] if self._is_known(vr, text, tag) else text)
        elif tag == 0x00180015 and vr == "CS":
            self._each(element, self._region)

    def _region(self, text: str) -> str:
        """Return a body part without words that the vocabulary lacks."""
        code = text.strip(" \0")
        kept = [clean_descriptor(form, self.lexicon, self.vocabulary) for form in (code, code.replace("_", " "))]
        if kept[0] == code or kept[1] == code.replace("_", " "):
            return text
        return kept[1] if kept[1] and set(kept[1]) <= set(f"{ALLOWED['CS']} ") else DUMMIES["CS"][0]

    def _without_births(self, vr: str, text: str) -> str:
        day = text.strip(" \0")
        day = day.replace(".", "", 2) if day[4:5] == "." else day
        return DUMMIES[vr][0] if day[:8] in self.births else text

    def _numeric_days(self) -> Collection[str]:
        return self.lexicon.birth_dates if self.policy.dates == "keep" else self.lexicon.dates

    def _without_days(self, element: DataElement) -> None:
        days, counter = KnownDays(self._numeric_days()), is_counter(int(element.tag))
        numbers = list(element.value) if element.VM > 1 else [element.value]
        new = [0 if days.holds(n, single=element.VR == "FL", counter=counter) else n for n in numbers]
        size = 4 if element.VR in ("UL", "SL", "FL") else 8
        if any(a is not b for a, b in zip(new, numbers, strict=True)) and len(numbers) * size <= 256:
            element.value = new if len(new) > 1 else new[0]

    def _is_known(self, vr: str, text: str, tag: int) -> bool:
        days = KnownDays(self._numeric_days())
        if vr != "CS" and days.in_text(text.encode(), counter=vr == "IS" and is_counter(tag)):
            return True
        if vr != "CS":
            number = text.strip(" \0").lstrip("+")
            codes = {code for code in self.lexicon.codes if code.isdigit()}
            bare = number.lstrip("0")
            return number in codes or (len(bare) >= 6 and bare in {code.lstrip("0") for code in codes})
        text = text.strip(" \0")
        for start, end, category in self.lexicon.hits(text):
            words = text[start:end].lower().replace("_", " ").split()
            size = len("".join(words))
            if all(len(w) < 2 or w in self.vocabulary.strong or w in self.vocabulary.plain for w in words):
                continue
            if category is Category.DATE and (size < 6 or (size == 6 and len(words) > 1)):
                continue
            least = 4 if "".join(words).isalpha() else 5
            if size >= least or size == len(text.replace("_", "").replace(" ", "")):
                return True
        return False

    def _changed_date(self, vr: str, text: str) -> str:
        if self.policy.dates == "shift":
            return shifted(vr, text, self.offset_days, self.births)
        return year_of(vr, text) if self._without_births(vr, text) == text else DUMMIES[vr][0]

    def _describe(self, element: DataElement) -> None:
        new = self._described(element)
        if new != self._texts(element):
            element.value = new if len(new) > 1 else new[0]

    def _described(self, element: DataElement) -> list[str]:
        """Return what is left of values not well formed, read as descriptions: the dummy where anything has to go."""
        vr, texts = element.VR, self._texts(element)
        if self._is_well_formed(element):
            return texts
        dummy = TERMS.get(int(element.tag), DUMMIES[vr])[0]
        new = [t if self._fits(vr, t) or (vr != "TM" and self._is_imaging(t.strip(" \0"))) else dummy for t in texts]
        whole = "\\".join(new).rstrip(" \0")
        return new if drop_identifiers(whole, self.lexicon, self.vocabulary) == whole else [dummy] * len(new)

    def _is_imaging(self, text: str) -> bool:
        return clean_descriptor(text, self.lexicon, self.vocabulary) == text

    def _is_well_formed(self, element: DataElement) -> bool:
        return all(self._fits(element.VR, text) for text in self._texts(element))

    @staticmethod
    def _fits(vr: str, values: str) -> bool:
        allowed = ALLOWED[vr]
        if vr == "TM":
            return is_time(values)
        blanks = " \0"
        return all(character in (allowed or "") + (blanks if allowed else "") for character in values)

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
        text = "\\".join(self._texts(element)).rstrip(" \0")
        dropped = drop_identifiers(text, self.lexicon)
        if dropped != text:
            if not dropped.strip() and element.VR in TEXT:
                dropped = "DEIDENTIFIED"
            parts = dropped.split("\\") if element.VR not in LONG_TEXT else [dropped]
            element.value = parts if len(parts) > 1 else parts[0]

    def _cleaned(self, texts: list[str], vr: str, label: str = "") -> str | list[str] | None:
        """Clean a text; None where it is unchanged, "" where nothing is left."""
        whole = "\\".join(texts).rstrip(" \0")
        texts = [whole] if vr in LONG_TEXT else whole.split("\\")
        cleaned = [clean_descriptor(text, self.lexicon, self.vocabulary, None, label) for text in texts]
        if cleaned == texts:
            return None if drop_identifiers(whole, self.lexicon) == whole else ""
        if not any(text.strip() for text in cleaned):
            return ""
        return cleaned if len(cleaned) > 1 else cleaned[0]

    def _dummy(self, element: DataElement, code: str) -> None:
        vr, tag = element.VR, int(element.tag)
        blank = element.is_empty or not "".join(self._texts(element)).strip(" \0\\")
        if vr in STRINGS and "/" in code and (element.is_empty or (blank and element.VM == 1)):
            return
        least = _least_values(tag)
        if tag == 0x00420011:
            element.value = dummy_document(_first(self.top.get("MIMETypeOfEncapsulatedDocument")))
        elif vr in DUMMIES:
            first, second = TERMS.get(tag, DUMMIES[vr])
            use = second if first in (text.strip(" \0") for text in self._texts(element)) else first
            count = max(least, len(self._texts(element))) if least > 1 else 1
            element.value = [use] * count if count > 1 else use
        elif vr in NUMBERS:
            values = [] if element.is_empty else list(element.value) if element.VM > 1 else [element.value]
            count = max(least, len(values)) if least > 1 else 1
            one = 1 if vr != "AT" else 0x00010000 if self.little else 1
            new = [one if [int(v) for v in values] == [0] * count else 0] * count
            new = [float(v) for v in new] if vr in ("FL", "FD") else new
            element.value = new if count > 1 else new[0]
        else:
            value = element.value or b""
            element.value = self._dummy_bytes(vr, value.encode() if isinstance(value, str) else bytes(value), least)

    def _dummy_bytes(self, vr: str, value: bytes, least: int) -> bytes:
        if vr not in WORDS:
            return b"\1\1" if value == b"\0\0" else b"\0\0"
        size = struct.calcsize(WORDS[vr])
        count = max(least, len(value) // size) if least > 1 else 1
        if value != bytes(size * count):
            return bytes(size * count)
        return struct.pack(("<" if self.little else ">") + WORDS[vr], 1) * count


def _first(value: object) -> str:
    """Return the first value of a text attribute, "" where there is none."""
    if value is None:
        return ""
    text = str(value) if isinstance(value, str) or not hasattr(value, "__iter__") else str(next(iter(value), ""))
    return text.split("\\")[0].strip(" \0")


def _least_values(tag: int) -> int:
    try:
        least = dictionary_VM(tag).split("-")[0].rstrip("n")
    except KeyError:
        return 1
    return max(1, int(least or 1))


def _dataset_of(template: object) -> Dataset:
    ds = Dataset()
    for tag, (vr, value) in sorted(template.items()):  # type: ignore[attr-defined]
        ds.add_new(tag, vr, Sequence([_dataset_of(item) for item in value]) if vr == "SQ" else value)
    return ds
