"""De-identify one instance on its raw bytes: untouched elements are copied, never decoded and encoded again.

For every path of tags, VR and SOP class the policy is asked once; what an action made of a value is remembered where it
depends on the value (and the patient's lexicon) alone.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from phi_deid_pipeline.actions import (
    ENCAPSULATED_DOCUMENT,
    ItemContent,
    cleaned_text,
    dummy_document,
    dummy_item,
    dummy_value,
    element_header,
    encode_element,
    encode_item,
    is_well_formed,
    kept_text,
    new_uids,
    padded,
)
from phi_deid_pipeline.dates import shift_date, to_year, without_dates
from phi_deid_pipeline.deid_plans import PATIENT_NAME, Kind, Plan, Planner
from phi_deid_pipeline.dicom_utils import (
    STRING_VRS,
    TEXT_VRS,
    decode_text,
    encodings_of,
    format_path,
    keyword_of,
)
from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.free_text import Vocabulary, load_vocabulary
from phi_deid_pipeline.generalize import capped_age, capped_number, zip3
from phi_deid_pipeline.instance_write import encapsulate, write_instance
from phi_deid_pipeline.private_elements import (
    are_uids,
    count_private,
    effective_vr,
    is_creator,
    private_inside,
    runs,
)
from phi_deid_pipeline.raw_elements import (
    DEFLATED,
    EXPLICIT_BE,
    IMPLICIT_LE,
    NATIVE,
    PIXEL_TAGS,
    Element,
    Item,
    RawInstance,
)
from phi_deid_pipeline.records import Box, RejectReason, TagAction

if TYPE_CHECKING:
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.policies import Policy
    from phi_deid_pipeline.uid_mapping import UidMapper

SOP_CLASS, SOP_INSTANCE = 0x00080016, 0x00080018
MODALITY, MANUFACTURER, BIRTH_DATE = 0x00080060, 0x00080070, 0x00100030
IDENTITY_REMOVED, METHOD_TEXTS, METHOD_CODES = 0x00120062, 0x00120063, 0x00120064
BURNED_IN, LONGITUDINAL = 0x00280301, 0x00280303
ICON_IMAGE_SEQUENCE = 0x00880200
OFFSET_TABLES = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
PIXEL_DATA = 0x7FE00010
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
MEASURED_VALUE, UNITS = 0x0040A300, 0x004008EA
# Concepts of ages that are numbers: code value and coding scheme.
AGES = frozenset({("121033", "DCM"), ("424144002", "SCT"), ("397669002", "SCT"), ("30525-0", "LN")})
_UID = re.compile(r"[0-9.]+")
_NOTHING = bytes(bytearray(b"nothing left"))  # compared by identity: the private element goes
_NO_DATES: frozenset[str] = frozenset()
# Dates under whatever name a concept gives them: Date and DateTime of a content item.
FREE_DATES = frozenset({0x0040A120, 0x0040A121})
ActionRows = tuple[tuple[TagAction, ...], tuple[TagAction, ...], tuple[TagAction, ...]]
MEMO_ENTRIES = 20_000  # results remembered at most
MEMO_BYTES = 1024  # longer values are not remembered


@dataclass(frozen=True)
class PixelReplacement:
    """New pixels: frames (`encapsulated`, one codestream each) or the whole native value, in that transfer syntax.

    `attributes` are set at the top level: tag -> (VR, Python value); a value of None removes the attribute.
    """

    value: bytes | list[bytes]
    encapsulated: bool
    transfer_syntax_uid: str
    attributes: dict[int, tuple[str, object] | None] = field(default_factory=dict)
    boxes: tuple[tuple[int, Box], ...] = ()  # frame (-1 every frame) and box as filled
    syntax_reason: str = ""  # why the transfer syntax is another one, empty where it is kept


@dataclass(frozen=True)
class PatientContext:
    """What is known of the patient: what to write and the identifiers to drop.

    `offset_days` moves dates where the policy shifts them; `name` is Patient's Name ("": the pseudonym); `trial` holds
    top-level attributes to write after the profile ran: tag -> (VR, text in ASCII).
    """

    pseudonym: str
    lexicon: Lexicon
    offset_days: int = 0
    name: str = ""
    trial: Mapping[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceResult:
    """What was written and what was done: SHA-256 of the file and of the pixel value, actions by path."""

    checksum: str
    pixel_sha256: str
    transfer_syntax_uid: str
    removed: tuple[TagAction, ...]
    cleaned: tuple[TagAction, ...]
    replaced: tuple[TagAction, ...]
    private_tags_stripped: int
    uids_replaced: int


class _Output:
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


class InstanceDeidentifier:
    """Applies one policy to instances; keep one for a batch, it remembers what it decided and did."""

    def __init__(self, policy: Policy, uids: UidMapper, vocabulary: Vocabulary | None = None) -> None:
        self.policy = policy
        self.uids = uids
        self.vocabulary = load_vocabulary() if vocabulary is None else vocabulary
        # How often a word went from an attribute because the vocabulary lacks it, by folded word and keyword.
        self.unknown_words: Counter[tuple[str, str]] = Counter()
        self.planner = Planner(policy)
        self._memo: dict[object, object] = {}
        self._memo_lexicon: Lexicon | None = None

    def deidentify(
        self,
        source: RawInstance,
        target: Path,
        patient: PatientContext,
        pixels: PixelReplacement | None,
        *,
        text_scan_found_nothing_left: bool,
        redacted: bool,
    ) -> InstanceResult:
        """Write the de-identified instance to `target` (made with its folders, in one rename).

        Raises UnreadableInstance (CANNOT_CLEAN, MISSING_IDENTITY, PIXELS_NOT_EDITABLE) for an instance that must be
        rejected, and ConfigError where the output cannot be written; then nothing is left behind.
        """
        run = Rewrite(self, source, patient, pixels, redacted)
        sop_class, sop_instance = run.identity()
        run.insert_method(scan_found_nothing=text_scan_found_nothing_left)
        chunks, pixel_range = run.dataset()
        syntax = source.transfer_syntax_uid if pixels is None else pixels.transfer_syntax_uid
        checksum, pixel_sha256 = write_instance(
            target, sop_class, sop_instance, syntax, chunks, pixel_range, deflate=syntax in DEFLATED
        )
        removed, cleaned, replaced = run.actions()
        return InstanceResult(
            checksum, pixel_sha256, syntax, removed, cleaned, replaced, run.private_elements, run.uids_replaced
        )

    def root(self, source: RawInstance, sop_class: str) -> Plan:
        """Return the plan of the top level of an instance."""
        if not self.planner.conditional:
            return self.planner.root(sop_class)
        return self.planner.root(sop_class, source.text(MODALITY), source.text(MANUFACTURER))

    def memo_for(self, lexicon: Lexicon) -> dict[object, object]:
        """Return what was remembered for this lexicon; another patient or a full memory starts anew."""
        if lexicon is not self._memo_lexicon or len(self._memo) > MEMO_ENTRIES:
            self._memo = {}
            self._memo_lexicon = lexicon
        return self._memo


class Rewrite:
    """One instance on its way through the engine."""

    def __init__(
        self,
        engine: InstanceDeidentifier,
        source: RawInstance,
        patient: PatientContext,
        pixels: PixelReplacement | None = None,
        redacted: bool = False,
    ) -> None:
        self.engine = engine
        self.source = source
        self.buffer = source.buffer
        self.patient = patient
        self.pixels = pixels
        self.charset = source.charset()
        self.memo = engine.memo_for(patient.lexicon)
        self.sop_class = source.text(SOP_CLASS)
        self.root = engine.root(source, self.sop_class)
        self.keeps_private = engine.planner.keeps_private
        self._births: frozenset[str] | None = None
        self.private_elements = 0
        self.uids_replaced = 0
        self.pixel_range = (-1, -1)
        self._done: Counter[tuple[Plan, str]] = Counter()
        # Top-level elements that are written anew; None: left out. Filled before `dataset` runs.
        self.overrides: dict[int, bytes | None] = {}
        if pixels is not None:
            self._place_pixels(pixels)
        if redacted or pixels is not None:
            self.overrides[ICON_IMAGE_SEQUENCE] = None

    # ----------------------------------------------------------------- top level

    def identity(self) -> tuple[str, str]:
        """Return SOP class and new SOP instance UID for the file meta; UnreadableInstance(MISSING_IDENTITY)."""
        meta = self.source.meta
        sop_class = self.sop_class or _meta_uid(meta.get(0x00020002))
        instance = self.source.text(SOP_INSTANCE) or _meta_uid(meta.get(0x00020003))
        if not _UID.fullmatch(sop_class):
            raise UnreadableInstance(RejectReason.MISSING_IDENTITY, "(0008,0016)")
        if not instance:
            raise UnreadableInstance(RejectReason.MISSING_IDENTITY, "(0008,0018)")
        plan = self._plan_of(self.root, SOP_INSTANCE, "UI")
        if plan.action == "K":
            return sop_class, instance
        return sop_class, self.engine.uids.new_uid(instance)

    def insert_method(self, *, scan_found_nothing: bool) -> None:
        """Write the attributes that say what was done (PS3.15 E.1.1 item 6, E.2, E.3.1)."""
        self.overrides.update(self._method_elements(scan_found_nothing))
        for tag, (vr, text) in self.patient.trial.items():
            self.overrides[tag] = self._encoded(tag, vr, text)

    def _method_elements(self, scan_found_nothing: bool) -> dict[int, bytes]:
        """Return what `_method` makes; instances of a patient that nobody de-identified before share it."""
        if self.source.find(METHOD_TEXTS) is not None or self.source.find(METHOD_CODES) is not None:
            return self._method(scan_found_nothing)
        key = ("method", self.source.little, self.source.explicit, self.charset, scan_found_nothing)
        if key not in self.memo:
            self.memo[key] = self._method(scan_found_nothing)
        return self.memo[key]  # type: ignore[return-value]

    def _method(self, scan_found_nothing: bool) -> dict[int, bytes]:
        policy = self.engine.policy
        made = {
            IDENTITY_REMOVED: self._encoded(IDENTITY_REMOVED, "CS", "YES"),
            METHOD_TEXTS: self._encoded(METHOD_TEXTS, "LO", self._method_texts(policy.method_texts)),
            METHOD_CODES: self._method_codes(policy.method_codes),
            LONGITUDINAL: self._encoded(LONGITUDINAL, "CS", policy.longitudinal),
        }
        if "clean_pixel_data" in policy.options and scan_found_nothing:
            made[BURNED_IN] = self._encoded(BURNED_IN, "CS", "NO")
        return made

    def _encoded(self, tag: int, vr: str, value: object) -> bytes:
        little, explicit = self.source.little, self.source.explicit
        encodings = encodings_of(self.charset) if vr in TEXT_VRS else ("iso8859",)
        return encode_element(tag, vr, value, little=little, explicit=explicit, encodings=encodings)

    def _method_texts(self, added: tuple[str, ...]) -> list[str]:
        element = self.source.find(METHOD_TEXTS)
        texts: list[str] = []
        if element is not None and element.items is None:
            value = bytes(self.source.value(element))
            kept = kept_text("LO", value, self.charset, self.patient.lexicon, self.engine.vocabulary)
            text = decode_text(value if kept is None else kept, self.charset)[0]
            texts = [part.strip(" \x00") for part in text.split("\\")]
        return [*(t for t in texts if t), *(t for t in added if t not in texts)]

    def _method_codes(self, added: tuple[tuple[str, str, str], ...]) -> bytes:
        """Return (0012,0064): items that were there, run through the policy, and those of this policy."""
        element = self.source.find(METHOD_CODES)
        little, explicit = self.source.little, self.source.explicit
        chunks: list[memoryview | bytes] = []
        present: set[tuple[str, str]] = set()
        written = "" if not explicit else "SQ"
        items = element.items if element is not None and element.items is not None else []
        if element is not None and items:
            explicit, little, written = items[0].explicit, items[0].little, element.written_vr
            plan = self._plan_of(self.root, METHOD_CODES, "SQ")
            for item in items:
                present.add(self._code(item, self.charset))
                chunks.extend(self._item(item, plan, self.charset)[1])
        for value, scheme, meaning in added:
            if (value, scheme) not in present:
                code: ItemContent = {0x00080100: ("SH", value), 0x00080102: ("SH", scheme), 0x00080104: ("LO", meaning)}
                chunks.append(encode_item(code, little, explicit))
        content = b"".join(chunks)
        header = element_header(METHOD_CODES, written, len(content), self.source.little, written != "")
        return header + content

    def _place_pixels(self, pixels: PixelReplacement) -> None:
        source, syntax = self.source, pixels.transfer_syntax_uid
        fits = (source.explicit, source.little) == (syntax != IMPLICIT_LE, syntax != EXPLICIT_BE)
        if not fits or pixels.encapsulated == (syntax in NATIVE) or source.find(PIXEL_DATA) is None:
            raise UnreadableInstance(RejectReason.PIXELS_NOT_EDITABLE, "(7FE0,0010) encoding of the new pixels")
        self.overrides.update(dict.fromkeys(OFFSET_TABLES))
        for tag, entry in sorted(pixels.attributes.items()):
            if entry is None or entry[1] is None:
                self.overrides[tag] = None
            else:
                self.overrides[tag] = self._encoded(tag, entry[0], entry[1])

    def _pixel_element(self, element: Element) -> tuple[bytes, list[bytes]]:
        """Return header and value of the replaced Pixel Data."""
        pixels = self.pixels
        assert pixels is not None
        little, explicit = self.source.little, self.source.explicit
        if pixels.encapsulated:
            frames = [pixels.value] if isinstance(pixels.value, bytes) else pixels.value
            return element_header(PIXEL_DATA, "OB", 0xFFFFFFFF, little, explicit), encapsulate(frames)
        value = pixels.value if isinstance(pixels.value, bytes) else b"".join(pixels.value)
        value = padded("OB", value)
        entry = pixels.attributes.get(0x00280100)
        allocated = entry[1] if entry is not None else self.source.uint(0x00280100)
        vr = "OW" if not explicit or (isinstance(allocated, int) and allocated > 8) else "OB"
        if not element.undefined_length and element.written_vr in ("OB", "OW") and allocated == 8:
            vr = element.written_vr
        return element_header(PIXEL_DATA, vr, len(value), little, explicit), [value]

    def dataset(self) -> tuple[list[memoryview | bytes], tuple[int, int]]:
        """Return the new data set as chunks and the range of chunks that are the pixel value; (-1, -1) if none."""
        out = _Output(self.buffer)
        pending = sorted(tag for tag, data in self.overrides.items() if data is not None)
        pending.reverse()
        for element in self._with_runs(self.source.elements):
            if isinstance(element, list):
                while pending and pending[-1] < element[0].tag:
                    out.put(self.overrides[pending.pop()] or b"")
                self._private(element, self.root, self.charset, self.source.little, out)
                continue
            tag = element.tag
            while pending and pending[-1] <= tag:
                out.put(self.overrides[pending.pop()] or b"")
            if tag in self.overrides:
                self._count_override(element)
            elif tag in PIXEL_TAGS:
                self._pixels(element, out)
            else:
                self._element(element, self.root, self.charset, self.source.little, out)
        while pending:
            out.put(self.overrides[pending.pop()] or b"")
        out.flush()
        return out.chunks, self.pixel_range

    def _count_override(self, element: Element) -> None:
        if element.tag == ICON_IMAGE_SEQUENCE:
            plan = self._plan_of(self.root, element.tag, element.vr)
            self._remove(element, plan)
        elif element.tag in self.patient.trial:
            self._done[self._plan_of(self.root, element.tag, element.vr), "D"] += 1

    def _pixels(self, element: Element, out: _Output) -> None:
        plan = self._plan_of(self.root, element.tag, element.vr)
        if self.pixels is not None and element.tag == PIXEL_DATA:
            header, value = self._pixel_element(element)
            out.put(header)
            first = len(out.chunks)
            out.extend(list(value))
        elif plan.kind is Kind.COPY:
            out.keep(element.start, element.value_start)
            out.flush()
            first = len(out.chunks)
            out.keep(element.value_start, element.end)
            out.flush()
        else:
            self._element(element, self.root, self.charset, self.source.little, out)
            return
        if self.pixel_range[0] < 0:
            self.pixel_range = (first, len(out.chunks))

    # ----------------------------------------------------------------- elements

    def _plan_of(self, parent: Plan, tag: int, vr: str) -> Plan:
        plan = parent.children.get((tag, vr))
        return plan if plan is not None else self.engine.planner.decide(parent, tag, vr)

    def _with_runs(self, elements: list[Element]) -> Iterable[Element | list[Element]]:
        return runs(elements) if self.keeps_private else elements

    def _elements(
        self, elements: list[Element], parent: Plan, charset: tuple[str, ...], little: bool, out: _Output
    ) -> None:
        for element in self._with_runs(elements):
            if isinstance(element, list):
                self._private(element, parent, charset, little, out)
            else:
                self._element(element, parent, charset, little, out)

    def _element(self, element: Element, parent: Plan, charset: tuple[str, ...], little: bool, out: _Output) -> None:
        plan = parent.children.get((element.tag, element.vr))
        if plan is None:
            plan = self.engine.planner.decide(parent, element.tag, element.vr)
        self._handle(element, plan, charset, little, out)

    def _handle(self, element: Element, plan: Plan, charset: tuple[str, ...], little: bool, out: _Output) -> None:
        kind = plan.kind
        if kind is Kind.COPY:
            out.keep(element.start, element.end)
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
        elif kind is Kind.DUMMY_ITEM:
            self._dummy_item(element, plan, little, out)
        elif element.items is not None:  # EMPTY on a sequence
            self.private_elements += private_inside(element)
            self._replace(element, plan, b"", little, out)
        else:
            self._value(element, plan, charset, little, out)

    def _private(
        self, elements: list[Element], parent: Plan, charset: tuple[str, ...], little: bool, out: _Output
    ) -> None:
        """Handle the private elements of one group of a data set: a creator stays with what is kept of its block."""
        creators = {e.tag & 0xFF: self._creator(e, charset) for e in elements if is_creator(e.tag)}
        used: set[int] = set()
        written: list[tuple[Element, _Output]] = []
        for element in elements:
            if is_creator(element.tag):
                continue
            block = element.tag >> 8 & 0xFF if element.tag & 0xFFFF >= 0x1000 else 0
            inner = _Output(self.buffer)
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

    def _remove(self, element: Element, plan: Plan) -> None:
        if element.items:
            self.private_elements += private_inside(element)
        self._done[plan, "X"] += 1

    def _value(self, element: Element, plan: Plan, charset: tuple[str, ...], little: bool, out: _Output) -> None:
        value = bytes(self.buffer[element.value_start : element.value_end])
        if plan.kind is Kind.CLEAN or plan.kind is Kind.ADDRESS:
            plan, new = self._clean(plan, value, charset, element)
        else:
            new = self._act(plan, value, charset, element)
        if plan.kind is Kind.REMOVE or plan.kind is Kind.PRIVATE or (plan.private and new is _NOTHING):
            if plan.private:
                self.private_elements += 1
            else:
                self._remove(element, plan)
            out.changed = True
            return
        if new is None or new == value:
            out.keep(element.start, element.end)
        else:
            self._replace(element, plan, new, little, out)

    def _act(self, plan: Plan, value: bytes, charset: tuple[str, ...], element: Element) -> bytes | None:
        """Return the new value of an element, None if it stays; remembered where it depends on the value alone."""
        kind = plan.kind
        if kind is Kind.UID:
            return _NOTHING if plan.private and not are_uids(value) else self._uid(value)
        if kind is Kind.TEXT or kind is Kind.CHECKED:
            if kind is Kind.CHECKED and is_well_formed(plan.vr, value):
                return None
            return self._remembered(("kept", plan.vr), value, charset)
        if kind is Kind.DATE:
            return self._date(plan, value)
        if kind is Kind.AGE or kind is Kind.CODE:
            return self._code_value(plan, value, charset)
        if kind is Kind.EMPTY:
            return b""
        if kind is Kind.PSEUDONYM:
            text = self.patient.name if plan.tag == PATIENT_NAME and self.patient.name else self.patient.pseudonym
            return padded(plan.vr, text.encode("ascii"))
        if kind is Kind.REFUSE:
            raise UnreadableInstance(RejectReason.CANNOT_CLEAN, format_path(plan.path))
        if not value.strip(b" \x00") and plan.vr in STRING_VRS and "/" in plan.code:
            return None  # the compound code allows an empty value, and there is nothing to replace
        if plan.tag == ENCAPSULATED_DOCUMENT:
            return dummy_document(self.source.text(0x00420012))
        return dummy_value(plan.tag, plan.vr, value, element.little)

    def _clean(self, plan: Plan, value: bytes, charset: tuple[str, ...], element: Element) -> tuple[Plan, bytes | None]:
        """Clean a text; where nothing is left, the fallback of the policy takes over."""
        if plan.kind is Kind.ADDRESS:
            cleaned: bytes | None = padded(plan.vr, zip3(decode_text(value, charset)[0]).encode("ascii"))
        else:
            cleaned = self._remembered(("clean", plan.vr), value, charset)
            self._note_unknown(plan, value, charset)
        if cleaned != b"" or not value or plan.fallback is None:
            return plan, cleaned
        fallback = plan.fallback
        gone = fallback.kind is Kind.REMOVE or fallback.kind is Kind.PRIVATE
        return fallback, None if gone else self._act(fallback, value, charset, element)

    def _date(self, plan: Plan, value: bytes) -> bytes | None:
        """Return a date moved by the patient's offset, or cut to the year; None if it stays (blank, or kept in full)."""
        how, offset = self.engine.planner.dates, self.patient.offset_days
        births = self._birth_dates() if plan.private or plan.tag in FREE_DATES else _NO_DATES
        key = (how, plan.vr, value, offset, births)
        if key in self.memo:
            return self.memo[key]  # type: ignore[return-value]
        if how == "shift" and not offset:
            raise DeidError("The policy shifts dates, and the patient has no offset: report it.")
        if how == "year":
            new = to_year(plan.vr, value)
        elif how == "shift":
            new = shift_date(plan.vr, value, offset, births)
        else:
            new = without_dates(plan.vr, value, births)
        if len(value) <= MEMO_BYTES:
            self.memo[key] = new
        return new

    def _birth_dates(self) -> frozenset[str]:
        """Return the birth date of the header: where it stands under another name it is not moved, as it is known."""
        if self._births is None:
            digits = re.sub(r"\D", "", self.source.text(BIRTH_DATE))[:8]
            self._births = frozenset({digits}) if len(digits) == 8 else _NO_DATES
        return self._births

    def _code_value(self, plan: Plan, value: bytes, charset: tuple[str, ...]) -> bytes | None:
        """Return an age capped, or a private value of a VR without words, which goes if an identifier is in it."""
        if plan.kind is Kind.AGE:
            limit = self.engine.planner.max_age
            new = capped_number(value, plan.unit, limit) if plan.unit else capped_age(value, limit)
            if new is not None:
                return new
            if is_well_formed(plan.vr, value) and not plan.private:
                return None
        kept = self._remembered(("kept", plan.vr), value, charset)
        return _NOTHING if kept is not None and plan.private else kept

    def _remembered(self, what: tuple[str, str], value: bytes, charset: tuple[str, ...]) -> bytes | None:
        key = (what, value, charset)
        if key in self.memo:
            return self.memo[key]  # type: ignore[return-value]
        lexicon = self.patient.lexicon
        if what[0] == "kept":
            new = kept_text(what[1], value, charset, lexicon, self.engine.vocabulary)
        else:
            unknown: list[str] = []
            new = cleaned_text(what[1], value, charset, lexicon, self.engine.vocabulary, unknown)
            if unknown:
                self.memo["unknown", key] = unknown
        if len(value) <= MEMO_BYTES:
            self.memo[key] = new
        return new

    def _note_unknown(self, plan: Plan, value: bytes, charset: tuple[str, ...]) -> None:
        """Count the words that the last cleaning of this value dropped for want of a vocabulary."""
        key = ("unknown", (("clean", plan.vr), value, charset))
        unknown = self.memo.get(key, ()) if len(value) <= MEMO_BYTES else self.memo.pop(key, ())
        self.engine.unknown_words.update((word, keyword_of(plan.tag)) for word in unknown)  # type: ignore[attr-defined]

    def _uid(self, value: bytes) -> bytes:
        found = self.memo.get(value)
        if found is None:
            found = new_uids(value, self.engine.uids)
            if len(value) <= MEMO_BYTES:
                self.memo[value] = found
        new, changed = found  # type: ignore[misc]
        self.uids_replaced += changed
        return new if changed else value

    def _replace(self, element: Element, plan: Plan, value: bytes, little: bool, out: _Output) -> None:
        """Write an element with a new value, its header as it was written in the source."""
        if value == b"" and element.value_end == element.value_start:
            out.keep(element.start, element.end)
            return
        self._done[plan, "C" if plan.action == "K" else plan.action] += 1
        explicit = element.explicit
        out.put(element_header(element.tag, element.written_vr, len(value), little, explicit) + value)

    def _dummy_item(self, element: Element, plan: Plan, little: bool, out: _Output) -> None:
        if not element.items:
            out.keep(element.start, element.end)
            return
        self.private_elements += private_inside(element)
        item = dummy_item(element.tag, keyword_of(element.tag))
        first = element.items[0]
        content = b"" if item is None else encode_item(item, first.little, first.explicit)
        self._replace(element, plan, content, little, out)

    # ----------------------------------------------------------------- sequences

    def _sequence(self, element: Element, plan: Plan, charset: tuple[str, ...], little: bool, out: _Output) -> None:
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
            item_changed, item_chunks = self._item(item, item_plan, charset)
            changed |= item_changed
            chunks.extend(item_chunks)
        if not changed:
            out.keep(element.start, element.end)
            return
        if not chunks:
            out.changed = True  # all content items were removed: Content Sequence may not be empty
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
        inner = _Output(self.buffer)
        self._elements(item.elements, plan, self.source.item_charset(item, charset), item.little, inner)
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
        if resolution is None:
            return self._age_plan(item, plan, (code, scheme), charset)
        action = str(resolution.action)
        if action == "C" and value_type == "TIME" and planner.dates == "year":
            action = str(resolution.fallback)
        if action == "X":
            return None
        if action == "K" and value_type == "NUM":
            return self._age_plan(item, plan, (code, scheme), charset)
        tag = CONTENT_VALUES.get(value_type)
        if tag is None or action not in ("D", "K", "C"):
            return plan  # references keep their items, with mapped UIDs
        value = _child(item, tag)
        if (action, value_type) == ("C", "TEXT") and value is not None and str(resolution.fallback) == "X":
            text = bytes(self.source.value(value))
            if self._remembered(("clean", value.vr), text, charset) == b"":
                return None
        if value_type == "UIDREF" or (action == "C" and value_type != "TEXT"):
            return plan
        variant = plan.variants.get((tag, resolution))
        if variant is None:
            variant = plan.variants[tag, resolution] = Plan(plan.path, "SQ", plan.scene)
            variant.forced = {tag: resolution}
        return variant

    def _age_plan(self, item: Item, plan: Plan, concept: tuple[str, str], charset: tuple[str, ...]) -> Plan:
        """Return the plan for a content item whose number may be an age."""
        measured = _child(item, MEASURED_VALUE) if concept in AGES and self.engine.planner.max_age else None
        if measured is None or not measured.items:
            return plan
        units = _child(measured.items[0], UNITS)
        unit = self._code(units.items[0], charset)[0] if units is not None and units.items else ""
        return self.engine.planner.age_item(plan, unit or "a")

    def _child_text(self, item: Item, tag: int, charset: tuple[str, ...]) -> str:
        element = _child(item, tag)
        values = self.source.texts(element, charset) if element is not None and element.items is None else []
        return values[0] if values else ""

    def _code(self, item: Item, charset: tuple[str, ...]) -> tuple[str, str]:
        return self._child_text(item, 0x00080100, charset), self._child_text(item, 0x00080102, charset)

    # ----------------------------------------------------------------- record

    def actions(self) -> ActionRows:
        """Return what was removed, cleaned, replaced: one row per path, VR and action, sorted by path."""
        key = ("rows", frozenset(self._done.items()))
        if key not in self.memo:
            self.memo[key] = self._action_rows()
        return self.memo[key]  # type: ignore[return-value]

    def _action_rows(self) -> ActionRows:
        groups: dict[str, list[TagAction]] = {"removed": [], "cleaned": [], "replaced": []}
        for (plan, action), count in self._done.items():
            row = TagAction(format_path(plan.path), keyword_of(plan.tag), plan.vr, plan.code, action, plan.hipaa, count)
            groups["removed" if action == "X" else "cleaned" if action == "C" else "replaced"].append(row)
        ordered = [
            tuple(sorted(rows, key=lambda r: (r.path, r.vr, r.code, r.action, r.count))) for rows in groups.values()
        ]
        return ordered[0], ordered[1], ordered[2]


def _meta_uid(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip("\x00 ")


def _child(item: Item, tag: int) -> Element | None:
    return next((element for element in item.elements if element.tag == tag), None)
