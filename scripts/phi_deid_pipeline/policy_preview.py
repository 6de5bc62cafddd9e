"""Show what a policy makes of a sample of instances: the engine itself runs, into a folder that is gone afterwards."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from phi_deid_pipeline.dates import offset_days
from phi_deid_pipeline.dicom_utils import STRING_VRS, decode_text, format_path, keyword_of
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.input_facts import header_facts
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.policies import Policy, Resolution
from phi_deid_pipeline.raw_elements import Element, RawInstance, read_instance
from phi_deid_pipeline.recognizable import MIN_SLICES, Slices, shows_face
from phi_deid_pipeline.uid_mapping import Pseudonyms, UidMapper

SOP_CLASS, MODALITY, MANUFACTURER, PATIENT_ID = 0x00080016, 0x00080060, 0x00080070, 0x00100020
VALUE_TYPE, CONCEPT_NAME, CODE_VALUE, CODING_SCHEME = 0x0040A040, 0x0040A043, 0x00080100, 0x00080102
LONG_VALUE = 1 << 16  # bytes
VALUES_SHOWN = 3  # pairs of old and new text per path

Place = tuple[tuple[int, ...], str, str]  # path of tags, VR, private creator


@dataclass
class PreviewRow:
    """What the policy says of one attribute path, and what became of its occurrences in the sample."""

    path: tuple[int, ...]
    vr: str
    creator: str
    resolution: Resolution
    same: int = 0
    changed: int = 0
    removed: int = 0
    values: list[tuple[str, str | None]] = field(default_factory=list)  # identifying: old and new text, None: removed

    @property
    def count(self) -> int:
        return self.same + self.changed + self.removed

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
                    _run(engine, source, target, patient)
                    with read_instance(target) as result:
                        _compare(policy, source, result, rows, values)
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


def _run(engine: InstanceDeidentifier, source: RawInstance, target: Path, patient: PatientContext) -> None:
    engine.deidentify(source, target, patient, None, text_scan_found_nothing_left=False, redacted=False)


def _compare(
    policy: Policy,
    source: RawInstance,
    result: RawInstance,
    rows: dict[tuple[Place, Resolution], PreviewRow],
    values: bool,
) -> None:
    """Count per path what stayed, changed or went; SOP classes that resolve a path differently have rows of their own."""
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
        _count(row, source, result, found, left, values)


def _without_blocks(path: tuple[int, ...]) -> tuple[int, ...]:
    """Return a path in which private tags have no block."""
    return tuple(tag & 0xFFFF00FF if tag & 0x10000 and tag & 0xFFFF >= 0x1000 else tag for tag in path)


def _count(
    row: PreviewRow,
    source: RawInstance,
    result: RawInstance,
    found: list[tuple[Element, tuple[str, ...]]],
    left: list[tuple[Element, tuple[str, ...]]],
    values: bool,
) -> None:
    """Pair the occurrences of a path in order; where some are gone, those that are left are matched by their bytes."""
    row.removed += max(0, len(found) - len(left))
    new = [_content(result, element) for element, _ in left]
    old = [_content(source, element) for element, _ in found]
    if len(old) == len(new):
        same = sum(1 for a, b in zip(old, new, strict=True) if a == b)
    else:
        pool = list(old)
        same = sum(1 for value in new if value in pool and not pool.remove(value))
    row.same += same
    row.changed += min(len(new), len(old)) - same
    if values and row.vr in STRING_VRS and len(row.values) < VALUES_SHOWN:
        for number, (element, charset) in enumerate(found):
            paired = left[number] if len(left) == len(found) else None
            pair = (_text(source, element, charset), _text(result, *paired) if paired else None)
            if pair not in row.values and len(row.values) < VALUES_SHOWN:
                row.values.append(pair)


def _content(instance: RawInstance, element: Element) -> bytes | None:
    """Return the value, a digest where it is long, None for a sequence."""
    if element.items is not None:
        return None
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
