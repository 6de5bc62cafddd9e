"""Show what a policy makes of a sample of instances: the engine itself runs, into a folder that is gone afterwards."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from phi_deid_pipeline.actions import ENCAPSULATED_DOCUMENT, dummy_value
from phi_deid_pipeline.dates import offset_days
from phi_deid_pipeline.deid_plans import ADDRESSES, PATIENT_AGE
from phi_deid_pipeline.dicom_utils import STRING_VRS, decode_text, format_path, keyword_of
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.input_facts import header_facts
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, InstanceResult, PatientContext
from phi_deid_pipeline.instance_rewrite import IDENTITY_REMOVED, LONGITUDINAL, METHOD_CODES, METHOD_TEXTS
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.policies import Policy, Resolution
from phi_deid_pipeline.raw_elements import Element, RawInstance, read_instance
from phi_deid_pipeline.recognizable import MIN_SLICES, Slices, shows_face
from phi_deid_pipeline.uid_mapping import Pseudonyms, UidMapper

SOP_CLASS, MODALITY, MANUFACTURER, PATIENT_ID = 0x00080016, 0x00080060, 0x00080070, 0x00100020
VALUE_TYPE, CONCEPT_NAME, CODE_VALUE, CODING_SCHEME = 0x0040A040, 0x0040A043, 0x00080100, 0x00080102
LONG_VALUE = 1 << 16  # bytes
VALUES_SHOWN = 3  # pairs of old and new text per path

STATEMENTS = frozenset({(tag,) for tag in (IDENTITY_REMOVED, LONGITUDINAL, METHOD_CODES, METHOD_TEXTS)})
ITEMS = b"items"  # stands for the items of a sequence, which have rows of their own

Place = tuple[tuple[int, ...], str, str]  # path of tags, VR, private creator


class Outcome(StrEnum):
    """What became of a value."""

    KEPT = "kept"
    EMPTIED = "emptied"
    DUMMY = "dummy"
    PSEUDONYM = "pseudonym"
    NEW_UID = "new UID"
    SHIFTED = "shifted"
    YEAR = "year only"
    GENERALIZED = "generalized"
    CLEANED = "cleaned"
    STATED = "stated"
    REMOVED = "removed"

    @property
    def meaning(self) -> str:
        """Return what the word says, for the legend."""
        return _MEANINGS[self]


_MEANINGS = {
    Outcome.KEPT: "as it was; of a sequence: it stays, and its attributes have rows of their own",
    Outcome.EMPTIED: "there, without a value or items",
    Outcome.DUMMY: "replaced by a dummy, the same for everybody",
    Outcome.PSEUDONYM: "replaced by the pseudonym of the patient",
    Outcome.NEW_UID: "mapped to a new UID, the same wherever the old one stands",
    Outcome.SHIFTED: "a date moved by the offset of the patient",
    Outcome.YEAR: "a date cut to its year",
    Outcome.GENERALIZED: "an age or a ZIP code as coarse as the policy asks",
    Outcome.CLEANED: "what may identify is gone from the text or number, the rest stays",
    Outcome.STATED: "says now what was done",
    Outcome.REMOVED: "gone",
}


@dataclass
class PreviewRow:
    """What the policy says of one attribute path, and what became of its occurrences in the sample."""

    path: tuple[int, ...]
    vr: str
    creator: str
    resolution: Resolution
    became: Counter[Outcome] = field(default_factory=Counter)
    values: list[tuple[str, str | None]] = field(default_factory=list)  # identifying: old and new text, None: removed

    @property
    def count(self) -> int:
        return self.became.total()

    @property
    def written_path(self) -> str:
        return format_path(self.path)

    @property
    def keyword(self) -> str:
        return keyword_of(self.path[-1]) or self.creator


@dataclass
class Preview:
    """All rows, and how many files were looked at and left out, or would be held for themselves (reason -> number).

    `faces` instances name a head and have thin slices: with enough of these in a series a face can be rebuilt. `concepts`
    are content items of structured documents by the action of the rule for their concept.
    """

    rows: list[PreviewRow]
    read: int
    rejected: dict[str, int]
    held: dict[str, int] = field(default_factory=dict)
    faces: int = 0
    concepts: dict[str, int] = field(default_factory=dict)


def preview_policy(policy: Policy, files: Iterable[Path], *, values: bool = False) -> Preview:
    """De-identify files as a run would (pixels apart), keep nothing, and tell what happened to each attribute path.

    What the scan of a run rejects is left out; it and unreadable files are counted by reason. With `values` rows hold pairs
    of old and new text, which identify. Subjects of a table are not known here, so pseudonyms are keyed ones under a salt of
    this call alone.
    """
    files, rejected, held, concepts, faces = list(files), Counter[str](), Counter[str](), Counter[str](), 0
    lexicons: dict[str, Lexicon] = {}
    readable = []
    for path in files:
        try:
            with read_instance(path) as source:
                facts = header_facts(source)
                if reason := str(facts.get("reason", "")):
                    rejected[reason] += 1
                    continue
                held.update(reason for reason in str(facts["hold"]).split(",") if reason)
                seen = Slices(MIN_SLICES, float(facts.get("slice_mm", 0)), bool(facts.get("head")))  # type: ignore[arg-type]
                faces += shows_face([seen])[0]
                if "clean_structured_content" in policy.options:
                    concepts.update(_concept_actions(source, source.elements, policy))
                key = source.text(PATIENT_ID)
                lexicons[key] = lexicons.get(key, Lexicon()) | Lexicon(harvest(source))
            readable.append((path, key))
        except UnreadableInstance as error:
            rejected[error.reason.value] += 1
    salt = os.urandom(32)
    engine, pseudonyms = InstanceDeidentifier(policy, UidMapper(salt)), Pseudonyms(salt)
    rows: dict[tuple[Place, Resolution], PreviewRow] = {}
    read = 0
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "instance.dcm"
        for path, key in readable:
            offset = offset_days(salt, key) if policy.dates == "shift" else 0
            patient = PatientContext(pseudonyms.patient_id(key), lexicons[key].without(policy.kept_categories), offset)
            try:
                with read_instance(path) as source:
                    done = _run(engine, source, target, patient)
                    with read_instance(target) as result:
                        _compare(_Changes(policy, patient, done), source, result, rows, values)
                read += 1
            except UnreadableInstance as error:
                rejected[error.reason.value] += 1
    ordered = sorted(rows, key=lambda k: (k[0], k[1].code, k[1].action))
    return Preview([rows[key] for key in ordered], read, dict(rejected), dict(held), faces, dict(concepts))


def _concept_actions(source: RawInstance, elements: list[Element], policy: Policy) -> Iterator[str]:
    """Yield the action of each content item whose concept has a rule of its own (Table E.3.4-1)."""
    for item in (item for element in elements for item in element.items or ()):
        found = {element.tag: element for element in item.elements}
        named = found.get(CONCEPT_NAME)
        if named is not None and named.items:
            concept = {element.tag: element for element in named.items[0].elements}
            texts = [_of(source, concept.get(tag)) for tag in (CODE_VALUE, CODING_SCHEME)]
            resolution = policy.resolve_concept(*texts, _of(source, found.get(VALUE_TYPE)))
            if resolution is not None:
                yield str(resolution.action)
        yield from _concept_actions(source, item.elements, policy)


def _of(source: RawInstance, element: Element | None) -> str:
    return _text(source, element, ()) if element is not None and element.items is None else ""


def _run(engine: InstanceDeidentifier, source: RawInstance, target: Path, patient: PatientContext) -> InstanceResult:
    return engine.deidentify(source, target, patient, None, text_scan_found_nothing_left=False, redacted=False)


class _Changes:
    """Tells by a value what the engine made of it, in the instances of one patient."""

    def __init__(self, policy: Policy, patient: PatientContext, done: InstanceResult) -> None:
        self.policy = policy
        self._dates = {"shift": Outcome.SHIFTED, "year": Outcome.YEAR}.get(policy.dates, Outcome.CLEANED)
        self._pseudonym = patient.pseudonym.encode("ascii")
        self._dummy_items = {row.path for row in done.replaced if row.vr == "SQ" and row.action == "D"}

    def of(self, row: PreviewRow, old: bytes, new: bytes, element: Element) -> Outcome:
        """Return what became of one value; `element` is that of the result."""
        tag = row.path[-1]
        if element.items is not None and old and new and row.written_path in self._dummy_items:
            return Outcome.DUMMY
        if old == new:
            return Outcome.KEPT
        if row.path in STATEMENTS:
            return Outcome.STATED
        text = new.strip(b" \x00")
        if (not text and element.vr in STRING_VRS) or not new:
            return Outcome.EMPTIED
        if text == self._pseudonym:
            return Outcome.PSEUDONYM
        if element.vr == "UI":
            return Outcome.NEW_UID
        if tag == ENCAPSULATED_DOCUMENT or new == dummy_value(tag, element.vr, old, element.little):
            return Outcome.DUMMY
        if element.vr in ("DA", "DT"):
            return self._dates
        aged = element.vr == "AS" or tag == PATIENT_AGE or tag in ADDRESSES
        return Outcome.GENERALIZED if aged else Outcome.CLEANED


def _compare(
    changes: _Changes,
    source: RawInstance,
    result: RawInstance,
    rows: dict[tuple[Place, Resolution], PreviewRow],
    values: bool,
) -> None:
    """Count per path what became of it; SOP classes that resolve a path differently have rows of their own."""
    policy = changes.policy
    scene = {"modality": source.text(MODALITY), "manufacturer": source.text(MANUFACTURER)}
    sop_class = source.text(SOP_CLASS)
    after: dict[tuple[tuple[int, ...], str], list[tuple[Element, tuple[str, ...]]]] = {}
    for (path, _, creator), element, charset in _elements(result):
        after.setdefault((_without_blocks(path), creator), []).append((element, charset))
    before: dict[Place, list[tuple[Element, tuple[str, ...]]]] = {}
    for place, element, charset in _elements(source):
        before.setdefault(place, []).append((element, charset))
    for place, found in before.items():
        path, vr, creator = place
        if path[-1] >> 16 & 1:
            resolution = policy.resolve_private(path, vr, creator, sop_class, **scene)
        else:
            resolution = policy.resolve(path, vr, sop_class, **scene)
        row = rows.setdefault((place, resolution), PreviewRow(path, vr, creator, resolution))
        left = after.get((_without_blocks(path), creator), [])
        _count(row, changes, source, result, found, left)
        if values and row.vr in STRING_VRS:
            _show(row, source, result, found, left)


def _without_blocks(path: tuple[int, ...]) -> tuple[int, ...]:
    """Return a path in which private tags have no block."""
    return tuple(tag & 0xFFFF00FF if tag & 0x10000 and tag & 0xFFFF >= 0x1000 else tag for tag in path)


def _count(
    row: PreviewRow,
    changes: _Changes,
    source: RawInstance,
    result: RawInstance,
    found: list[tuple[Element, tuple[str, ...]]],
    left: list[tuple[Element, tuple[str, ...]]],
) -> None:
    """Pair the occurrences of a path in order; where some are gone, those that are left are matched by their bytes."""
    row.became[Outcome.REMOVED] += max(0, len(found) - len(left))
    pool = [_content(source, element) for element, _ in found]
    paired = len(found) == len(left)
    others = []
    for number, (element, _) in enumerate(left):
        new = _content(result, element)
        if paired:
            row.became[changes.of(row, pool[number], new, element)] += 1
        elif new in pool:
            pool.remove(new)
            row.became[Outcome.KEPT] += 1
        else:
            others.append((new, element))
    for new, element in others[: len(pool)]:
        row.became[changes.of(row, b"", new, element)] += 1


def _show(
    row: PreviewRow,
    source: RawInstance,
    result: RawInstance,
    found: list[tuple[Element, tuple[str, ...]]],
    left: list[tuple[Element, tuple[str, ...]]],
) -> None:
    """Keep the first pairs of old and new text."""
    for number, (element, charset) in enumerate(found):
        paired = left[number] if len(left) == len(found) else None
        pair = (_text(source, element, charset), _text(result, *paired) if paired else None)
        if pair not in row.values and len(row.values) < VALUES_SHOWN:
            row.values.append(pair)


def _content(instance: RawInstance, element: Element) -> bytes:
    """Return the value, a digest where it is long; of a sequence whether it has items."""
    if element.items is not None:
        return ITEMS if element.items else b""
    value = instance.value(element)
    return bytes(value) if len(value) <= LONG_VALUE else hashlib.sha256(value).digest()


def _text(instance: RawInstance, element: Element, charset: tuple[str, ...]) -> str:
    return decode_text(bytes(instance.value(element)), charset)[0].strip(" \x00")


def _elements(instance: RawInstance) -> Iterator[tuple[Place, Element, tuple[str, ...]]]:
    yield from _walk(instance, instance.elements, (), instance.charset())


def _walk(
    instance: RawInstance, elements: list[Element], above: tuple[int, ...], charset: tuple[str, ...]
) -> Iterator[tuple[Place, Element, tuple[str, ...]]]:
    creators = {
        element.tag >> 16 << 8 | element.tag & 0xFF: _text(instance, element, charset)
        for element in elements
        if element.tag & 0x10000 and 0x10 <= element.tag & 0xFFFF <= 0xFF and element.items is None
    }
    for element in elements:
        if element.tag & 0xFFFF == 0:
            continue  # group lengths
        block = element.tag >> 16 << 8 | element.tag >> 8 & 0xFF
        creator = creators.get(block, "") if element.tag & 0x10000 and element.tag & 0xFFFF >= 0x1000 else ""
        path = (*above, element.tag)
        yield (path, element.vr, creator), element, charset
        for item in element.items or ():
            yield from _walk(instance, item.elements, path, instance.item_charset(item, charset))
