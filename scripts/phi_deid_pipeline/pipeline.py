"""One function per step of the workflow; the only module of the package that entries import.

Heavy modules are imported inside the functions that need them: a job pays for what its step uses, and the code digest
of a rule covers no other step.
"""

from __future__ import annotations

import atexit
import gc
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_deid_pipeline.errors import AuditContractError, UnreadableInstance
from phi_deid_pipeline.records import (
    Box,
    DeidRecord,
    HoldReason,
    InstanceEntry,
    InstanceFindings,
    InstanceReading,
    Manifest,
    RejectedFile,
    RejectReason,
    SeriesEntry,
    SeriesPictures,
    Status,
    Subject,
    UnknownWord,
    Verdict,
)
from phi_deid_pipeline.value_objects import dataclass, field_names, replace

if TYPE_CHECKING:
    import sqlite3
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from phi_deid_pipeline.geometry import CtGeometry
    from phi_deid_pipeline.inventory import InventorySummary
    from phi_deid_pipeline.links import LinkGeometry, LinkRecord, LinkRow
    from phi_deid_pipeline.policies import Policy
    from phi_deid_pipeline.records import Decision, Reading, StackProduct, StudySubject, VerificationRecord

# Where Tesseract stands in for missing models it sees text in most anatomy: what it finds there a person has to judge.
ANATOMY = frozenset({"CT", "MR", "CR", "DX"})
NEW_OBJECTS = 50_000  # before Python looks for circles of dead objects; by itself it does so after 700


def collect_rarely() -> None:
    """Have Python look for circles of dead objects less often, and not at its end: the tables of a step live as long as it.

    Looking through them again and again while they are loaded, and once more when all is written, is a fifth of what a job
    of few instances takes.
    """
    gc.set_threshold(NEW_OBJECTS)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


def scan_input(
    input_root: Path,
    private: Path,
    *,
    salt: bytes,
    settings: Mapping[str, Any],
    patients: Mapping[Any, str],
    decisions: list[Decision],
    threads: int,
    progress: Callable[[int, int], None] | None = None,
    policy_json: str = "",
    subjects: Iterable[Mapping[str, str]] = (),
) -> InventorySummary:
    """Read the headers of what is new or changed; write manifests, lexicons, index and rejected files.

    `progress` is called with the files read and the files to be read. The policy says how patients are named; without
    one they get keyed pseudonyms. `subjects` are the rows of a site's own table.
    """
    import json

    from phi_deid_pipeline.inventory import InventorySettings, scan

    return scan(
        input_root,
        private,
        salt=salt,
        settings=InventorySettings(**settings),
        patients=dict(patients),
        decisions=decisions,
        threads=threads,
        progress=progress,
        pseudonyms=json.loads(policy_json)["pseudonyms"] if policy_json else "keyed",
        subjects=subjects,
    )


def map_uids(manifest: Manifest, salt: bytes) -> list[dict[str, Any]]:
    """Return the rows of the UID map of a batch: identity and referenced UIDs, old and new."""
    from phi_deid_pipeline.uid_graph import uid_map_rows
    from phi_deid_pipeline.uid_mapping import UidMapper

    return uid_map_rows(manifest, UidMapper(salt))


def read_burned_in_text(
    manifest: Manifest,
    input_root: Path,
    settings: Mapping[str, Any],
    load: Callable[[str], Reading | None],
    keep: Callable[[str, Reading], None],
) -> Iterable[InstanceReading]:
    """Yield what is read in the pixels of each instance, series by series.

    `load` and `keep` reach the store of readings by key: a picture that was read with these readers is not read again.
    """
    from phi_deid_pipeline.series_text import read_series
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    checksums = {input_root / one.path: one.sha256 for series in manifest.series for one in series.instances}
    reader = TextReader(ReaderSettings(**_tuples(settings)), checksums, input_root)
    for series in manifest.series:
        readings = read_series(reader, [input_root / instance.path for instance in series.instances], load, keep)
        for instance, reading in zip(series.instances, readings, strict=True):
            yield InstanceReading(sop_uid=instance.sop_uid, path=instance.path, reading=reading)


def judge_burned_in_text(
    manifest: Manifest,
    readings: Iterable[InstanceReading],
    lexicons: Mapping[str, str],
    policy_json: str,
    decisions: list[Decision],
    salt: bytes,
    allow_list: Iterable[str] = ("en",),
    group_by: str = "series",
    input_root: Path | None = None,
) -> Iterable[InstanceFindings]:
    """Yield the verdicts on what was read, series by series; `lexicons` are JSON texts by opaque patient id.

    Groups beyond the series take a look at headers below `input_root`.
    """
    from phi_deid_pipeline.burned_in_text.judge import judge, load_words
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.policies import Policy
    from phi_deid_pipeline.uid_mapping import UidMapper

    policy, mapper, words = Policy.from_json(policy_json), UidMapper(salt), load_words(tuple(allow_list))
    lexicon_of = cache(lambda patient: Lexicon.from_json(lexicons[patient]))
    by_instance = {(row.sop_uid, row.path): row.reading for row in readings}
    by_new_uid = {}
    for decision in decisions:
        uid, _, finding = decision.what.partition("#")
        by_new_uid[uid, finding] = decision.verdict
    for series in manifest.series:
        rows = [(i.sop_uid, i.path, by_instance[i.sop_uid, i.path]) for i in series.instances]
        decided = {
            (instance.sop_uid, finding): verdict
            for instance in series.instances
            for (uid, finding), verdict in by_new_uid.items()
            if uid == mapper.new_uid(instance.sop_uid)
        }
        modality = {(instance.sop_uid, instance.path): instance.modality for instance in series.instances}
        for found in judge(rows, lexicon_of(series.patient), policy.hide, decided, words):
            stand_in = any("ppocr missing" in reader for reader in found.readers)
            if stand_in and found.fills and modality[found.sop_uid, found.path] in ANATOMY:
                found = replace(found, hold=tuple(sorted({*found.hold, HoldReason.TEXT_UNREADABLE.value})))
            if group_by != "series" and input_root is not None and found.status == "read":
                found = replace(found, group=_group(input_root / found.path, found.path, group_by))
            yield found


def _group(file: Path, path: str, group_by: str) -> str:
    from phi_deid_pipeline.known_places import group_key
    from phi_deid_pipeline.raw_elements import read_instance

    try:
        with read_instance(file) as instance:
            return group_key(instance, path, group_by)
    except UnreadableInstance:
        return ""  # cleaning will reject it with the reason


def gather_boxes(findings: Iterable[InstanceFindings]) -> dict[str, list[dict[str, Any]]]:
    """Return the boxes that the instances of each group share: rows of box and category, by group."""
    from dataclasses import asdict, astuple

    groups: dict[str, dict[Box, str]] = {}
    for found in findings:
        if found.group:
            single = tuple(box for _, box in found.frame_fills)
            categories = (*found.fill_categories, *found.frame_fill_categories)
            boxes = groups.setdefault(found.group, {})
            for box, category in zip((*found.fills, *single), categories, strict=True):
                boxes[box] = max(category, boxes.get(box, ""))
    return {
        group: [{"box": asdict(box), "category": boxes[box]} for box in sorted(boxes, key=astuple)]
        for group, boxes in sorted(groups.items())
        if boxes
    }


def deidentify_series(
    manifest: Manifest,
    findings: Iterable[InstanceFindings],
    lexicons: Mapping[str, str],
    policy_json: str,
    salt: bytes,
    input_root: Path,
    staging: Path,
    *,
    subjects: Iterable[StudySubject] = (),
    faces: Mapping[str, Any] | None = None,
    languages: Iterable[str] | None = None,
    accepted_words: str = "",
    unknown_words: list[UnknownWord] | None = None,
    redaction: Mapping[str, Any] | None = None,
    ocr: Mapping[str, Any] | None = None,
    reread_share: float = 0.0,
    shared: Mapping[str, list[dict[str, Any]]] | None = None,
) -> Iterable[DeidRecord]:
    """Write the de-identified instances of a batch below `staging`; yield a record for each, rejected ones too.

    `subjects` name the patients where the policy asks for random pseudonyms or a site's table. `languages` (default: all)
    and `accepted_words`, the text of a site's list, decide which words of descriptions stay; `unknown_words` gets the
    words that went for want of a vocabulary once all is done. `redaction` and `ocr` are sections of the config: how boxes
    are filled, and by which readers what was written is read again (not at all without `ocr`); `shared` holds the boxes
    of groups.
    """
    from phi_deid_pipeline.dates import offset_days
    from phi_deid_pipeline.dicom_utils import keep_freed_memory
    from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
    from phi_deid_pipeline.languages import LANGUAGES
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.policies import Policy
    from phi_deid_pipeline.redaction import RedactionSettings, SecondLook
    from phi_deid_pipeline.subjects import trial_attributes
    from phi_deid_pipeline.uid_mapping import UidMapper
    from phi_deid_pipeline.vocabulary import VOCABULARY_FILE, load_vocabulary, parse_accepted_words

    keep_freed_memory()
    uids, policy = UidMapper(salt), Policy.from_json(policy_json)
    chosen = LANGUAGES if languages is None else tuple(sorted(languages))
    vocabulary = load_vocabulary(VOCABULARY_FILE, chosen, parse_accepted_words(accepted_words))
    engine = InstanceDeidentifier(policy, uids, vocabulary)
    lexicon_of = cache(lambda patient: Lexicon.from_json(lexicons[patient]).without(policy.kept_categories))
    subject_of = _naming(policy, subjects, salt)
    found = {(row.sop_uid, row.path): row for row in findings}
    readers = _tuples(ocr) if ocr is not None else None
    look = SecondLook(RedactionSettings.from_config(redaction or {}), readers, reread_share)
    for series in manifest.series:
        subject = subject_of(series.patient_key, series.study_uid)
        patient = PatientContext(
            pseudonym=subject.pseudonym if subject else "",
            lexicon=lexicon_of(series.patient),
            offset_days=offset_days(salt, series.patient_key) if policy.dates == "shift" else 0,
            name=subject.name if subject else "",
            trial=trial_attributes(subject) if subject and policy.clinical_trial else {},
        )
        looked = [found[instance.sop_uid, instance.path] for instance in series.instances]
        filled = any(seen.fills or seen.frame_fills or (shared or {}).get(seen.group) for seen in looked)
        for instance, face, seen in zip(series.instances, _faces(series, faces), looked, strict=True):
            boxes = [(Box(**row["box"]), row["category"]) for row in (shared or {}).get(seen.group, ())]
            base = _record_base(series, instance, seen, uids, patient.pseudonym)
            if face:
                hold = policy.hold & {HoldReason.RECOGNIZABLE_VISUAL_FEATURES.value}
                base |= {"recognizable_visual_features": True, "hold": tuple(sorted({*base["hold"], *hold}))}
            try:
                _refuse(subject, seen)
                yield _deidentify(
                    engine, f"{input_root}/{instance.path}", staging, instance, seen, patient, base, look, boxes, filled
                )
            except UnreadableInstance as error:
                why = _of_the_file(error, input_root / instance.path, input_root)
                yield DeidRecord(**base | {"reason": why.reason.value, "detail": why.detail})
    if unknown_words is not None:
        found_unknown = sorted(engine.unknown_words.items())
        unknown_words.extend(UnknownWord(word, keyword, count) for (word, keyword), count in found_unknown)


def _refuse(subject: Subject | None, seen: InstanceFindings) -> None:
    """Raise UnreadableInstance for an instance of a patient without a name, or whose pixels nobody could look at."""
    if subject is None:
        raise UnreadableInstance(RejectReason.MISSING_SUBJECT)
    if seen.status == "undecodable":
        if seen.detail == RejectReason.CHANGED_WHILE_READ:
            raise UnreadableInstance(RejectReason.CHANGED_WHILE_READ)
        raise UnreadableInstance(RejectReason.PIXELS_UNDECODABLE, seen.detail)


def _of_the_file(error: UnreadableInstance, path: Path, root: Path) -> UnreadableInstance:
    from phi_deid_pipeline.input_loss import input_lost

    return input_lost(path, root) if error.reason is RejectReason.UNREADABLE_FILE else error


def _naming(policy: Policy, subjects: Iterable[StudySubject], salt: bytes) -> Callable[[str, str], Subject | None]:
    """Return what names a patient's study as the policy asks; None for a patient that a site's table does not know."""
    from phi_deid_pipeline.uid_mapping import Pseudonyms

    if policy.pseudonyms == "keyed":
        keyed = Pseudonyms(salt)
        return lambda patient_key, _study: Subject(keyed.patient_id(patient_key))
    known = {(row.patient_key, row.study_uid): row.subject for row in subjects}
    return lambda patient_key, study_uid: known.get((patient_key, study_uid))


def _faces(series: SeriesEntry, settings: Mapping[str, Any] | None) -> list[bool]:
    """Tell for each instance whether it is part of a volume that a face can be rebuilt from."""
    if not any(instance.head for instance in series.instances):
        return [False] * len(series.instances)
    from phi_deid_pipeline.recognizable import Slices, shows_face

    slices = [Slices(max(i.frames, 1), i.slice_mm, i.head) for i in series.instances]
    return shows_face(slices, **(settings or {}))


def _deidentify(engine, source, staging, instance, seen, patient, base, look, shared, filled):
    from phi_deid_pipeline.cut_identifiers import OTHER, letters_of
    from phi_deid_pipeline.raw_elements import read_instance
    from phi_deid_pipeline.redaction import categories_hidden, redact_instance

    staged_path = f"{base['study_uid']}/{base['series_uid']}/{base['sop_uid']}.dcm"
    target = f"{staging}/{staged_path}"
    raw = read_instance(source, sha256=instance.sha256, headers=engine.headers)
    further: list[tuple[int, Box]] = []
    rounds = 0
    with raw:
        while True:
            made = redact_instance(source, raw, seen, look.settings, patient.pseudonym, shared=shared, further=further)
            result = _write(engine, raw, target, patient, made, seen, left=False, filled=filled)
            again = look.again(target, patient.lexicon, instance, seen, made, base["sop_uid"], rounds)
            if not again.wider:
                break
            further += again.wider
            rounds += 1
        if again.left:  # what says that nothing is left may not stand in it
            result = _write(engine, raw, target, patient, made, seen, left=True, filled=filled)
    boxes = made.replacement.boxes if made.replacement else ()
    hold = tuple(sorted({*base["hold"], *((HoldReason.TEXT_LEFT.value,) if again.left else ())}))
    scan = base["burned_in_text_scan"] | {
        "boxes_filled": len(boxes),
        "replacement": look.settings.label,
        "transfer_syntax_reason": made.replacement.syntax_reason if made.replacement else "",
        "read_again": again.note | {"boxes_widened": len(further)},
    }
    if again.left:
        scan |= {"result": "text left after hiding", "needs_review": True}
    return DeidRecord(
        **base
        | {
            "status": Status.HELD if hold else Status.RELEASED,
            "reason": hold[0] if hold else "",
            "hold": hold,
            "staged_path": staged_path,
            "checksum": result.checksum,
            "transfer_syntax_uid": result.transfer_syntax_uid,
            "pixel_data": made.kind if made.replacement or result.has_pixels else "none",
            "pixel_sha256": result.pixel_sha256,
            "tags_removed": result.removed,
            "tags_cleaned": result.cleaned,
            "tags_replaced": result.replaced,
            "private_tags_stripped": result.private_tags_stripped,
            "uids_replaced": result.uids_replaced,
            "boxes": boxes,
            "boxes_hipaa": letters_of(categories_hidden(seen, shared)) or OTHER if boxes else "",
            "burned_in_text_scan": scan,
        }
    )


def _write(engine, raw, target, patient, made, seen, *, left: bool, filled: bool):
    looked_at_all = seen.status == "read" and seen.frames_read == seen.frames
    return engine.deidentify(
        raw,
        target,
        patient,
        made.replacement,
        text_scan_found_nothing_left=looked_at_all and not seen.hold and not left,
        redacted=made.kind == "redacted",
        series_redacted=filled,
        pixels_looked_at=made.kind == "redacted" or (seen.status == "read" and seen.frames_read > 0),
    )


def _record_base(series: SeriesEntry, instance: InstanceEntry, seen: InstanceFindings, uids, pseudonym: str) -> dict:
    return {
        "input_path": instance.path,
        "input_checksum": instance.sha256,
        "sop_class_uid": instance.sop_class_uid,
        "modality": instance.modality,
        "old_study_uid": instance.study_uid,
        "old_series_uid": instance.series_uid,
        "old_sop_uid": instance.sop_uid,
        "study_uid": uids.new_uid(instance.study_uid),
        "series_uid": uids.new_uid(instance.series_uid),
        "sop_uid": uids.new_uid(instance.sop_uid),
        "patient": pseudonym,
        "status": Status.REJECTED,
        "reason": "",
        "detail": "",
        "staged_path": "",
        "checksum": "",
        "transfer_syntax_uid": "",
        "source_transfer_syntax_uid": instance.transfer_syntax_uid,
        "pixel_data": "none",
        "pixel_sha256": "",
        "burned_in_text_scan": text_scan(seen),
        "hold": tuple(sorted({*instance.hold, *seen.hold})),
    }


def text_scan(seen: InstanceFindings) -> Mapping[str, Any]:
    """Return the audit's `burned_in_text_scan` of an instance: counts and categories, never text."""
    if seen.findings or seen.fills or seen.frame_fills:
        return _text_scan(seen)
    return _empty_text_scan(seen.status, seen.detail, seen.frames, seen.frames_read, seen.readers, seen.hold)


@lru_cache(maxsize=256)
def _empty_text_scan(status: str, detail: str, frames: int, frames_read: int, readers: tuple, hold: tuple) -> Mapping:
    """Return the scan that most instances of a series share: nothing was found in them."""
    return _text_scan(InstanceFindings("", "", status, detail, frames, frames_read, readers, (), hold=hold))


def _text_scan(seen: InstanceFindings) -> dict[str, Any]:
    from phi_deid_pipeline.burned_in_text.settings import GATE

    by_verdict = Counter(finding.verdict.value for finding in seen.findings)
    hidden = [finding for finding in seen.findings if finding.hide]
    hidden_by = Counter(finding.verdict.value for finding in hidden)
    if seen.status != "read":
        result = f"not read: {seen.detail or seen.status}"
    elif not seen.findings or set(by_verdict) == {Verdict.NOT_TEXT.value}:
        result = "no text found by this scan"
    else:
        result = "text found"
    return {
        "result": result,
        "status": seen.status,
        "readers": list(seen.readers),
        "thoroughness": "cascade" if any(name.startswith(GATE) for name in seen.readers) else "full",
        "frames": seen.frames,
        "frames_read": seen.frames_read,
        "regions": {verdict.value: by_verdict[verdict.value] for verdict in Verdict},
        "regions_hidden": len(hidden),
        "hidden_by_verdict": {verdict.value: hidden_by[verdict.value] for verdict in Verdict},
        "hidden_by_category": dict(sorted(Counter(f.category or "other" for f in hidden).items())),
        "kept_by_reason": dict(sorted(Counter(f.reason for f in seen.findings if not f.hide).items())),
        "boxes_filled": len(seen.fills) + len(seen.frame_fills),
        "needs_review": bool(seen.hold) or seen.status == "undecodable",
    }


def verify_series(
    manifest: Manifest,
    records: list[DeidRecord],
    uid_map: Mapping[str, str],
    lexicons: Mapping[str, str],
    policy_json: str,
    input_root: Path,
    staging: Path,
    subjects: Iterable[StudySubject] = (),
    settings: Mapping[str, Any] | None = None,
) -> tuple[list[VerificationRecord], list[LinkRow]]:
    """Return the verdict on each written instance and its links; `uid_map` leads from source to new UIDs of the batch.

    What the table of subjects says was written on purpose, and is no identifier that was left, but for new names. `settings` are the config
    keys `verification.*`; without them no other program is asked.
    """
    from phi_deid_pipeline.dicom_utils import keep_freed_memory
    from phi_deid_pipeline.identifiers import Identifiers
    from phi_deid_pipeline.input_loss import input_lost
    from phi_deid_pipeline.links import instance_links, with_lost_links
    from phi_deid_pipeline.policies import Policy
    from phi_deid_pipeline.verification import LOST_SOURCE, SeriesVerifier
    from phi_deid_pipeline.verification_dciodvfy import Asked

    keep_freed_memory()
    policy = Policy.from_json(policy_json)
    entries = {instance.path: (series, instance) for series in manifest.series for instance in series.instances}
    # A new name is no excuse: where it holds a word of the patient's own name, that is found.
    names = [name for name in field_names(Subject) if name != "name"]
    written_of = {(r.patient_key, r.study_uid): tuple(getattr(r.subject, name) for name in names) for r in subjects}
    verifiers: dict[tuple[str, tuple[str, ...]], SeriesVerifier] = {}
    verdicts, links = [], []
    asked = Asked(records, str((settings or {}).get("dciodvfy", "none")))
    for record in records:
        series, instance = entries[record.input_path]
        if not record.staged_path:
            links += instance_links(instance, record, None, uid_map)
            continue
        harmless = (record.patient, *filter(None, written_of.get((series.patient_key, series.study_uid), ())))
        verifier = verifiers.get((series.patient, harmless))
        if verifier is None:
            lexicon = Identifiers.from_json(lexicons[series.patient])
            verifier = SeriesVerifier(lexicon, uid_map, policy=policy, harmless=harmless)
            verifiers[series.patient, harmless] = verifier
        written, source = staging / record.staged_path, input_root / instance.path
        checked = verifier.check(written, source, record)
        if any((one.where, one.detail) == LOST_SOURCE for one in checked.verdict.residuals):
            lost = input_lost(source, input_root)
            verdicts.append(replace(checked.verdict, reason=lost.reason.value))
            links += instance_links(instance, record, None, uid_map)
            continue
        verdict = asked.with_new_errors(checked.verdict, written, source, record, checked.layouts)
        edges = instance_links(instance, record, checked.references, uid_map)
        verdicts.append(with_lost_links(verdict, edges))
        links += edges
    return verdicts, links


def extract_metadata(staging: Path, records: Iterable[DeidRecord]) -> Iterable[dict[str, Any]]:
    """Yield the metadata row of each instance in staging that parses; what does not was rejected by verification."""
    from phi_deid_pipeline.metadata_extract import extract_metadata as extract

    for record in records:
        if record.staged_path:
            try:
                yield extract(staging / record.staged_path, f"dicom/{record.staged_path}")
            except UnreadableInstance:
                continue


def draw_pictures(
    manifest: Manifest,
    readings: Iterable[InstanceReading],
    findings: Iterable[InstanceFindings],
    records: Iterable[DeidRecord],
    input_root: Path,
    staging: Path,
    settings: Mapping[str, Any],
    keep: Callable[[str, bytes], None],
) -> Iterable[SeriesPictures]:
    """Yield what shows the burned-in text of each series of a batch; `keep` gets each JPEG under a name of its content."""
    from phi_deid_pipeline.pictures.draw import Drawer, readers_of
    from phi_deid_pipeline.pictures.states import PictureSettings

    readers = readers_of((row.sop_uid, row.path, row.reading.regions) for row in readings)
    drawer = Drawer(input_root, staging, PictureSettings.from_config(settings), readers, keep)
    found = {(row.sop_uid, row.path): row for row in findings}
    made = {(row.old_sop_uid, row.input_path): row for row in records}
    for series in manifest.series:
        keys = [(instance.sop_uid, instance.path) for instance in series.instances]
        yield drawer.draw(series, [found[key] for key in keys], [made[key] for key in keys])


def report_pictures(
    batches: Sequence[str],
    lines: Callable[[str], Iterable[SeriesPictures]],
    line: Callable[[str, int], SeriesPictures],
    ended: Iterable[Mapping[str, Any]],
    picture: Callable[[str, str], bytes],
    target: Callable[[str], AbstractContextManager[BinaryIO]],
) -> dict[str, Any]:
    """Write pages, PDFs and contact sheets of all batches; return counts that name nobody.

    `lines` yields the series of a batch and `line` gives one of them by number, `picture` a JPEG by batch and name;
    `ended` are rows of `private/statuses.jsonl`; `target` opens a file to write by its name in the folder of reports.
    """
    from phi_deid_pipeline.pictures.gather import Gathered
    from phi_deid_pipeline.pictures.report import write_report

    gathered = Gathered(batches, lines, ended, line)
    write_report(gathered, picture, target)
    return gathered.totals.as_data()


def metadata_columns() -> Mapping[str, Any]:
    """Return the columns of the metadata audit: name -> (type, unit, description)."""
    from phi_deid_pipeline.metadata_extract import METADATA_COLUMNS

    return METADATA_COLUMNS


def measure_ct_geometry(
    staging: Path,
    records: Iterable[DeidRecord],
    settings: Mapping[str, Any],
    withheld: Mapping[tuple[str, str], int] | None = None,
) -> Iterable[CtGeometry]:
    """Yield the geometry of each CT series in staging, by study and series UID.

    `withheld` counts, by both, instances that are not in `records` because they are not released.
    """
    from phi_deid_pipeline.geometry import GeometrySettings, measure_series
    from phi_deid_pipeline.stack_series import ct_series, pixel_digests

    for series in ct_series(staging, records):
        lacking = (withheld or {}).get((series.study_uid, series.series_uid), 0)
        measuring = GeometrySettings.from_config(settings)
        yield measure_series(list(series.slices), measuring, pixel_digests(series), lacking)


Staged = tuple[Path, Iterable[DeidRecord]]  # the staging of a batch and what it says of it


def draw_stacks(
    batch: Staged, marking: Iterable[Staged], settings: Mapping[str, Any], target: Path
) -> Iterable[StackProduct]:
    """Draw the stacks of each CT series of a batch below `target`; `marking` are batches whose SEG and RTSTRUCT count."""
    from phi_deid_pipeline.geometry import GeometrySettings
    from phi_deid_pipeline.stack_series import ct_series, markers_of

    if found := ct_series(*batch):
        from phi_deid_pipeline import stack_products

        markers = [marker for staging, records in marking for marker in markers_of(staging, records)]
        for series in found:
            yield from stack_products.draw_stacks(series, markers, GeometrySettings.from_config(settings), target)


def resample_stacks(
    batch: Staged, marking: Iterable[Staged], settings: Mapping[str, Any], kind: str, target: Path
) -> Iterable[StackProduct]:
    """Make the recommended volumes of each CT series of a batch below `target`, as nii.gz or nrrd, masks along with them."""
    from phi_deid_pipeline.geometry import GeometrySettings
    from phi_deid_pipeline.stack_series import ct_series, markers_of

    if found := ct_series(*batch):
        from phi_deid_pipeline import stack_products

        markers = [marker for staging, records in marking for marker in markers_of(staging, records)]
        for series in found:
            made = stack_products.make_volumes(series, markers, GeometrySettings.from_config(settings), kind, target)
            yield from made


def draw_overview(series: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the figure of a data set, as PNG, from the rows of its CT preprocessing audit; raises AuditContractError."""
    from phi_deid_pipeline.geometry.drawing import picture_problems
    from phi_deid_pipeline.geometry.overview import draw_overview as draw

    data = draw(series)
    if problems := picture_problems(data):
        raise AuditContractError(f"The overview holds more than a picture: {', '.join(problems)}.")
    return data


@dataclass(frozen=True, slots=True)
class Ended:
    """Where an instance ended; UIDs are new ones."""

    study_uid: str
    series_uid: str
    sop_uid: str
    status: Status


def check_link_geometry(
    records: Iterable[tuple[str, Mapping[str, Any]]],
    metadata: Iterable[Mapping[str, Any]],
    rows: Iterable[Mapping[str, Any]],
    staging: Path,
    database: sqlite3.Connection,
) -> Iterable[LinkGeometry]:
    """Yield whether the geometry of linked instances agrees, pair by pair.

    `records` are DeidRecords as data with their batch, `rows` LinkRows as data; `staging` holds a folder for each batch,
    `database` is an empty one on disk.
    """
    from phi_deid_pipeline.link_geometry import LinkedGeometry

    linked = LinkedGeometry(database, staging)
    linked.add_instances(records)
    if linked.add_links(rows):
        linked.add_metadata(metadata)
        yield from linked.agreements()


def check_links(
    rows: Callable[[], Iterable[Mapping[str, Any]]],
    ended: Iterable[Ended],
    rejected: Iterable[RejectedFile],
    geometry: Iterable[Mapping[str, Any]],
    salt: bytes,
    database: sqlite3.Connection,
) -> Iterable[LinkRecord]:
    """Yield every link with its state; `rows` gives LinkRows as data, `rejected` what the inventory rejected.

    Rows are read twice and `database` is an empty one on disk: what is in memory does not grow with the data.
    """
    from phi_deid_pipeline.links import LinkRows, link_geometry
    from phi_deid_pipeline.links import check_links as check
    from phi_deid_pipeline.uid_mapping import UidMapper

    new = UidMapper(salt).new_uid
    never_worked_on = (
        Ended(new(file.study_uid), new(file.series_uid), new(file.sop_uid), Status.REJECTED)
        for file in rejected
        if file.is_dicom
    )
    everything = itertools.chain(never_worked_on, ended)
    yield from check(LinkRows(rows), everything, map(link_geometry, geometry), database)


def read_policy(policy_json: str) -> Policy:
    """Return a resolved policy."""
    from phi_deid_pipeline.policies import Policy

    return Policy.from_json(policy_json)


def conformance_statement(policy: Policy, salt: bytes) -> str:
    """Return the conformance statement of a policy, in Markdown (PS3.15 E.1.3)."""
    from phi_deid_pipeline.conformance import conformance_statement as statement
    from phi_deid_pipeline.uid_mapping import salt_id

    return statement(policy, salt_id=salt_id(salt))


def script_version(code: str) -> str:
    """Return version and digest of the code that de-identifies."""
    from phi_deid_pipeline import __version__

    return f"{__version__}+{code}"


def build_release(
    output: Path, files: Iterable[tuple[str, Path, str]], info: Mapping[str, Any], salt: bytes
) -> Path | None:
    """Build the next numbered release of (path in it, source, verified SHA-256 or ""), by path; None where nothing changed."""
    from phi_deid_pipeline import releases

    return releases.build_release(output, itertools.starmap(releases.ReleaseFile, files), info=info, salt=salt)


def prune_withdrawn(output: Path, batches: set[str], *, pictures: bool = True) -> dict[str, int]:
    """Drop what withdrawn series left behind, and pages with pictures where they are made no more."""
    from phi_deid_pipeline import pruning

    if not pictures:
        pruning.drop_pictures(output)
    return pruning.prune_withdrawn(output, batches)


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
