"""One instance on its way through the engine: its top level, its pixels, and the record of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phi_deid_pipeline.actions import ItemContent, big_endian_items, element_header, encode_element, encode_item, padded
from phi_deid_pipeline.deid_plans import Kind
from phi_deid_pipeline.dicom_utils import TEXT_VRS, decode_text, encodings_of, format_path, keyword_of
from phi_deid_pipeline.element_memo import LONGEST, Known, Outcome, condition
from phi_deid_pipeline.element_rewrite import ElementRewrite, Output, is_foreign, parsed
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.free_text import clean_descriptor
from phi_deid_pipeline.instance_write import NO_PIXELS, encapsulate
from phi_deid_pipeline.raw_elements import EXPLICIT_BE, IMPLICIT_LE, NATIVE, PIXEL_TAGS, Element, RawInstance
from phi_deid_pipeline.records import RejectReason, TagAction

if TYPE_CHECKING:
    from phi_deid_pipeline.header_memo import Header
    from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext, PixelReplacement

SOP_CLASS, SOP_INSTANCE = 0x00080016, 0x00080018
IDENTITY_REMOVED, METHOD_TEXTS, METHOD_CODES = 0x00120062, 0x00120063, 0x00120064
BURNED_IN, LONGITUDINAL = 0x00280301, 0x00280303
ICON_IMAGE_SEQUENCE = 0x00880200
CLEAN_PIXEL_DATA = "113101"  # the option's code of CID 7050
_CHANGES = ("UNMODIFIED", "MODIFIED", "REMOVED")  # an earlier change stays true
OFFSET_TABLES = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
PIXEL_DATA = 0x7FE00010
FLOAT_VRS = {0x7FE00008: "OF", 0x7FE00009: "OD"}
SERIES_RANGE = (0x00280108, 0x00280109)  # Smallest and Largest Pixel Value in Series (Type 3)
RANGES = frozenset({0x00280106, 0x00280107, *SERIES_RANGE, 0x00280110, 0x00280111, 0x00603000})  # of pixel values
_UID = Expression(r"[0-9.]+")
ActionRows = tuple[tuple[TagAction, ...], tuple[TagAction, ...], tuple[TagAction, ...]]


class InstanceRewrite(ElementRewrite):
    """One instance on its way through the engine."""

    def __init__(
        self,
        engine: InstanceDeidentifier,
        source: RawInstance,
        patient: PatientContext,
        pixels: PixelReplacement | None = None,
        redacted: bool = False,
        series_redacted: bool = False,
    ) -> None:
        super().__init__(engine, source, patient)
        self.pixels = pixels
        self.sop_class = source.text(SOP_CLASS)
        self.root = engine.root(source, self.sop_class)
        self.pixel_range = NO_PIXELS
        # Top-level elements that are written anew; None: left out. Filled before `dataset` runs.
        self.overrides: dict[int, bytes | None] = {}
        if pixels is not None:
            self._place_pixels(pixels)
        if redacted or pixels is not None:
            self.overrides[ICON_IMAGE_SEQUENCE] = None
        if redacted or series_redacted:
            self.overrides.update(dict.fromkeys(SERIES_RANGE))

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

    def insert_method(self, *, scan_found_nothing: bool, pixels_looked_at: bool) -> None:
        """Write the attributes that say what was done (PS3.15 E.1.1 item 6, E.2, E.3.1)."""
        self.overrides.update(self._method_elements(scan_found_nothing, pixels_looked_at))
        for tag, (vr, text) in self.patient.trial.items():
            self.overrides[tag] = self._encoded(tag, vr, text)

    def _method_elements(self, scan_found_nothing: bool, pixels_looked_at: bool) -> dict[int, bytes]:
        """Return what `_method` makes; instances of a patient that nobody de-identified before share it."""
        if self.source.find(METHOD_TEXTS) is not None or self.source.find(METHOD_CODES) is not None:
            return self._method(scan_found_nothing, pixels_looked_at)
        encoding = self.source.little, self.source.explicit, self.charset
        key = ("method", *encoding, scan_found_nothing, pixels_looked_at, self.source.text(LONGITUDINAL))
        if key not in self.memo:
            self.memo[key] = self._method(scan_found_nothing, pixels_looked_at)
        return self.memo[key]  # type: ignore[return-value]

    def _method(self, scan_found_nothing: bool, pixels_looked_at: bool) -> dict[int, bytes]:
        policy = self.engine.policy
        codes = tuple(code for code in policy.method_codes if pixels_looked_at or code[0] != CLEAN_PIXEL_DATA)
        earlier = self.source.text(LONGITUDINAL)
        stated = max({policy.longitudinal, earlier} & set(_CHANGES), key=_CHANGES.index, default=policy.longitudinal)
        made = {
            IDENTITY_REMOVED: self._encoded(IDENTITY_REMOVED, "CS", "YES"),
            METHOD_TEXTS: self._encoded(METHOD_TEXTS, "LO", self._method_texts(policy.method_texts)),
            METHOD_CODES: self._method_codes(codes),
            LONGITUDINAL: self._encoded(LONGITUDINAL, "CS", stated),
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
            parts = [part.strip(" \x00") for part in decode_text(value, self.charset)[0].split("\\")]
            lexicon, vocabulary = self.patient.lexicon, self.engine.vocabulary
            texts = [part if part in added else clean_descriptor(part, lexicon, vocabulary) for part in parts]
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
        if element is not None and items and is_foreign(element, self.source.little):
            content, written = big_endian_items(*parsed([content])), "SQ"
        header = element_header(METHOD_CODES, written, len(content), self.source.little, written != "")
        return header + content

    def _place_pixels(self, pixels: PixelReplacement) -> None:
        source, syntax = self.source, pixels.transfer_syntax_uid
        written_so = syntax == source.transfer_syntax_uid  # even if it is compressed and implicit VR by mistake
        fits = written_so or (source.explicit, source.little) == (syntax != IMPLICIT_LE, syntax != EXPLICIT_BE)
        if not fits or pixels.encapsulated == (syntax in NATIVE) or not any(map(source.find, PIXEL_TAGS)):
            raise UnreadableInstance(RejectReason.PIXELS_NOT_EDITABLE, "(7FE0,0010) encoding of the new pixels")
        self.overrides.update(dict.fromkeys(OFFSET_TABLES))
        for tag, entry in sorted(pixels.attributes.items()):
            if entry is None or entry[1] is None:
                self.overrides[tag] = None
            else:
                self.overrides[tag] = self._encoded(tag, entry[0], entry[1])

    def _pixel_element(self, element: Element) -> tuple[bytes, list[bytes]]:
        """Return header and value of the replaced Pixel Data, Float or Double Float Pixel Data."""
        pixels = self.pixels
        assert pixels is not None
        little, explicit = self.source.little, self.source.explicit
        if pixels.encapsulated:
            frames = [pixels.value] if isinstance(pixels.value, bytes) else pixels.value
            return element_header(PIXEL_DATA, "OB", 0xFFFFFFFF, little, explicit), encapsulate(frames)
        value = pixels.value if isinstance(pixels.value, bytes) else b"".join(pixels.value)
        value = padded("OB", value)
        if element.tag in FLOAT_VRS:
            return element_header(element.tag, FLOAT_VRS[element.tag], len(value), little, explicit), [value]
        entry = pixels.attributes.get(0x00280100)
        allocated = entry[1] if entry is not None else self.source.uint(0x00280100)
        vr = "OW" if not explicit or (isinstance(allocated, int) and allocated > 8) else "OB"
        if not element.undefined_length and element.written_vr in ("OB", "OW") and allocated == 8:
            vr = element.written_vr
        return element_header(PIXEL_DATA, vr, len(value), little, explicit), [value]

    def dataset(self) -> tuple[list[memoryview | bytes], tuple[int, int]]:
        """Return the new data set as chunks and the range of chunks that are the pixel value; (-1, -1) if none."""
        under = condition(self.root, self.source, self.charset, self.patient)
        known = self.engine.elements.known(self.patient.lexicon, under)
        self._leave_out_dependents()
        out = Output(self.buffer)
        pending = sorted((tag for tag, data in self.overrides.items() if data is not None), reverse=True)
        if self.source.header is not None:
            self._header(self.source.header, known, pending, out)
        self._top_level(self.source.tail, known.elements, pending, out)
        while pending:
            out.put(self.overrides[pending.pop()] or b"")
        out.flush()
        return out.chunks, self.pixel_range

    def _leave_out_dependents(self) -> None:
        """Leave out what may not be there without another attribute of the top level that will be gone or empty (PS3.3)."""
        for tag, others in self.engine.planner.goes_with.items():
            if self.source.find(tag) is None or tag in self.overrides:
                continue
            beside = [
                e for other in others if (e := self.source.find(other)) is not None and other not in self.overrides
            ]
            written = any(self.overrides.get(other) for other in others)
            if not written and not any(self._is_left(e, self.root, self.charset, self.source.little) for e in beside):
                self.overrides[tag] = None

    def _header(self, header: Header, known: Known, pending: list[int], out: Output) -> None:
        """Handle the runs of a header, or repeat what became of the same runs."""
        written = frozenset(self.overrides.items())
        for run, start in zip(header.runs, header.starts, strict=True):
            if run.changes:
                self._top_level(run.at(start), known.elements if run.again else None, pending, out)
                run.again = True
                continue
            key = (run, written, len(pending))
            found = known.runs.get(key)
            if found is None:
                outcome = self._outcome(
                    lambda inner, at=start, run=run: self._top_level(run.at(at), known.elements, pending, inner)
                )
                found = known.runs[key] = outcome, len(pending)
                self._count(outcome)
                self._repeated.append(outcome)
            else:
                self._repeat(found[0])
                self._repeated.append(found[0])
                del pending[found[1] :]
            new = found[0].new
            out.put(run.data if new is None else new)

    def _top_level(
        self, elements: list[Element], known: dict[bytes, Outcome] | None, pending: list[int], out: Output
    ) -> None:
        """Handle elements; those to be written anew or beside them (`pending`, the last one first) go in between.

        Without `known` nothing is remembered of them: what has just changed rarely comes again.
        """
        for element in self._with_runs(elements):
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
                out.changed = True
            elif tag in PIXEL_TAGS:
                self._pixels(element, out)
            else:
                self._top_element(element, known, out)

    def _top_element(self, element: Element, known: dict[bytes, Outcome] | None, out: Output) -> None:
        """Handle an element, or repeat what became of the same bytes."""
        if known is None or element.end - element.start > LONGEST:
            self._element(element, self.root, self.charset, self.source.little, out)
            return
        data = bytes(self.buffer[element.start : element.end])
        outcome = known.get(data)
        if outcome is None:
            outcome = known[data] = self._outcome(
                lambda inner: self._element(element, self.root, self.charset, self.source.little, inner)
            )
            self._count(outcome)
        else:
            self._repeat(outcome)
        self._done_by(outcome)
        if outcome.new is None:
            out.keep(element.start, element.end)
        else:
            out.changed = True
            if outcome.new:
                out.put(outcome.new)

    def _repeat(self, outcome: Outcome) -> None:
        """Count what is counted beside actions, unknown words of the engine too."""
        if outcome.unknown:
            self.engine.unknown_words.update(outcome.unknown)
        self._count(outcome)

    def _done_by(self, outcome: Outcome) -> None:
        for key, count in outcome.done:
            self._done[key] += count

    def _count(self, outcome: Outcome) -> None:
        self.private_elements += outcome.private_elements
        self.uids_replaced += outcome.uids_replaced
        self.unknown += outcome.unknown

    def _count_override(self, element: Element) -> None:
        tag = element.tag
        gone = tag == ICON_IMAGE_SEQUENCE or tag in self.engine.planner.goes_with
        if gone or (tag in RANGES and self.overrides[tag] is None):
            self._remove(element, self._plan_of(self.root, tag, element.vr))
        elif tag in self.patient.trial or tag in RANGES:
            self._done[self._plan_of(self.root, tag, element.vr), "D"] += 1

    def _pixels(self, element: Element, out: Output) -> None:
        plan = self._plan_of(self.root, element.tag, element.vr)
        if self.pixels is not None:
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

    def actions(self) -> ActionRows:
        """Return what was removed, cleaned, replaced: one row per path, VR and action, sorted by path."""
        key = ("rows", frozenset(self._done.items()), *map(id, self._repeated))
        if key not in self.memo:
            self.memo[key] = self._action_rows(), self._repeated  # which keeps the outcomes, and so their ids, alive
        return self.memo[key][0]  # type: ignore[index, no-any-return]

    def _action_rows(self) -> ActionRows:
        found: dict[tuple[str, str, str, str, str], tuple[set[str], int]] = {}
        for (plan, action), count in self._all_done().items():
            key = (format_path(plan.path), plan.vr, plan.code, action, keyword_of(plan.tag))
            letters, before = found.get(key, (set(), 0))
            found[key] = letters | set(plan.hipaa), before + count
        groups: dict[str, list[TagAction]] = {"removed": [], "cleaned": [], "replaced": []}
        for (path, vr, code, action, keyword), (letters, count) in sorted(found.items()):
            row = TagAction(path, keyword, vr, code, action, "".join(sorted(letters)), count)
            groups["removed" if action == "X" else "cleaned" if action == "C" else "replaced"].append(row)
        return tuple(groups["removed"]), tuple(groups["cleaned"]), tuple(groups["replaced"])


def _meta_uid(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip("\x00 ")
