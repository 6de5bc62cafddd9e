"""Our own answer key in the MIDI-B schema: what is asked of each element under a policy. The official keys are not to be had.

Expectations follow from what was planted and from the standard's table under the options of a policy. SQLite, table
answer_data; strings are wrapped in <>, as in the official keys. What no key of this schema can say (preamble, bytes
after the data set, codestreams) is left to the search for leaks.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement

from benchmarks.quality.corpus import Corpus, Instance
from benchmarks.quality.identity import UID_ROOT
from benchmarks.quality.paths import format_path, value_text, walk
from benchmarks.quality.plants import Plant, tag
from benchmarks.quality.standard import POLICY_OPTIONS, concept_stays, stays, table, wish

DATES = "retain_long_modified_dates"
# The de-identifier itself may or must write these.
WRITTEN = {
    tag(keyword)
    for keyword in (
        *("SpecificCharacterSet", "PatientIdentityRemoved", "DeidentificationMethod", "BurnedInAnnotation"),
        *("DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified", "PixelData"),
        *("PatientID", "PatientName", "RecognizableVisualFeatures", "LossyImageCompression", "PixelPaddingValue"),
    )
}
IMAGE_GROUP, LONGEST = 0x0028, 400
# Of content items.
CONTENTS = frozenset(map(tag, ("ContentSequence", "AcquisitionContextSequence", "ProtocolContextSequence")))
# Dates that anybody can look up (of templates, context groups, a device's plate), or that patients share (calibrations,
# approvals, days on which software made or changed a cohort): shifted, they
# would tell the patient's offset, so whether they stay is not asked.
PUBLISHED = {
    tag(keyword)
    for keyword in (
        *("ContextGroupVersion", "ContextGroupLocalVersion", "TemplateVersion", "TemplateLocalVersion"),
        *("DateOfManufacture", "DateOfInstallation", "HangingProtocolCreationDateTime"),
        *("DateOfLastCalibration", "DateTimeOfLastCalibration", "CalibrationDateTime", "DateOfLastDetectorCalibration"),
        *("CalibrationDate", "DateOfGainCalibration", "SourceStrengthReferenceDate", "ProductExpirationDateTime"),
        *("ProcedureCreationDate", "ProcedureExpirationDate", "ProcedureLastModifiedDate", "ExpiryDate"),
        *("ItemInventoryDateTime", "ExpirationDateTime", "EffectiveDateTime", "InformationIssueDateTime"),
        *("SelectorDAValue", "SelectorDTValue", "RouteSegmentStartTime", "RouteSegmentEndTime"),
        *("InstanceCreationDate", "InstanceCoercionDateTime", "ContributionDateTime", "DateOfSecondaryCapture"),
        *("AttributeModificationDateTime", "ModifiedImageDate", "StudyUpdateDateTime", "CreationDate"),
        "OOIOwnerCreationTime",
        *("EthicsCommitteeApprovalEffectivenessStartDate", "EthicsCommitteeApprovalEffectivenessEndDate"),
    )
}
CATEGORY_URL = 0x00100047  # Sex Parameters for Clinical Use Category Reference


@dataclass(frozen=True, slots=True)
class Check:
    """One question of the key; `words` are what action_text holds, `kind` the planted kind or "base"."""

    file: str
    tag_ds: str
    action: str
    words: tuple[str, ...]
    value: str = ""
    kind: str = "base"
    category: str = ""


def checks_of(corpus: Corpus, folder: Path, policy: str) -> Iterator[Check]:
    """Yield all checks of a corpus under a policy of POLICY_OPTIONS."""
    options = POLICY_OPTIONS[policy]
    for instance in corpus.instances:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(folder / instance.path)
            elements = list(walk(ds))
        path = format_path((tag("PatientID"),))
        yield Check(
            instance.path, path, "patid_consistent", (instance.who.patient_id,), "", "base", "DICOM-P15-BASIC-C"
        )
        for plant in instance.plants:
            yield from _of_plant(instance, plant, options)
        yield from _of_base(instance, elements, options)


def _of_plant(instance: Instance, plant: Plant, options: frozenset[str]) -> Iterator[Check]:
    if plant.nature == "pixels":
        place = f"box{plant.path[1]}"
        yield Check(instance.path, place, "pixels_hidden", plant.gone, "", plant.kind, "HIPAA-A")
        return
    if isinstance(plant.path[0], str):
        return
    where, last = format_path(plant.path), plant.path[-1]
    code = wish(last, options) if isinstance(last, int) else "private"
    there = stays(plant.path, options) and code in ("keep", "clean") and concept_stays(plant.concept, options)

    def ask(action: str, words: tuple[str, ...], category: str) -> Check:
        value = "\\".join(plant.gone) if plant.nature == "uid" else ""
        return Check(instance.path, where, action, words, value, plant.kind, category)

    if plant.nature == "safe":
        if plant.gone:
            yield ask("text_removed", plant.gone, "TCIA-PTKB-C")
        if plant.kept and "retain_safe_private" in options:
            yield ask("text_retained", plant.kept, "TCIA-PTKB-K")
    elif plant.nature == "dummy":
        if there and DATES in options:
            yield ask("text_retained", ("19000101",), "TCIA-P15-DATE-K")
    elif plant.nature == "unmoved":
        yield ask("text_removed", plant.gone, "HIPAA-C")
    elif plant.nature == "uid":
        if (code != "keep" or last not in table()) and not set(plant.free) & options:
            for uid in plant.gone:
                yield ask("uid_changed", (uid,), "HIPAA-R")
                yield ask("uid_consistent", (uid,), "DICOM-P15-BASIC-U")
    elif plant.nature == "date":
        for date in plant.gone:
            yield ask("date_shifted", (date,), "HIPAA-C")
        if there and code == "clean" and DATES in options and last not in PUBLISHED:
            yield ask("text_notnull", (), "TCIA-P15-DATE-C")
    elif set(plant.free) & options:
        # A URL that goes though its attribute stays is no loss that a key should count.
        if there and code == "keep" and last != CATEGORY_URL:
            yield ask("text_retained", plant.gone, "TCIA-P15-DEV-K")
    else:
        if plant.gone:
            yield ask("text_removed", plant.gone, "HIPAA-A")
        if plant.kept and there and "clean_descriptors" in options:
            yield ask("text_retained", plant.kept, "TCIA-P15-DESC-C")


def _of_base(instance: Instance, elements: list[tuple[tuple, DataElement]], options: frozenset[str]) -> Iterator[Check]:
    planted = {_plain(plant.path) for plant in instance.plants}
    # Sequences that hold plants, and content items that do: what becomes of them hangs on the plants.
    planted |= {path[:-n] for path in planted for n in range(1, len(path))}
    items = {path[:-1] for path in planted if CONTENTS.intersection(path)}
    for path, element in elements:
        last = path[-1]
        if not all(isinstance(step, int) for step in path) or element.tag.is_private or last in WRITTEN:
            if last == 0x7FE00010 and len(path) == 1 and instance.pixels_kept:
                digest = hashlib.md5(element.value).hexdigest()
                where = format_path(path)
                yield Check(instance.path, where, "pixels_retained", (digest,), "", "base", "TCIA-P15-PIX-K")
            continue
        if path in planted or any(path[: len(item)] == item for item in items if len(item) > 1):
            continue
        if not stays(path, options) or wish(last, options) != "keep":
            continue
        if not keyword_for_tag(last) and last >> 24 not in (0x50, 0x60):  # bytes behind the data set, read as elements
            continue
        if instance.boxes and (last >> 16 == IMAGE_GROUP or last == tag("ImageType")):
            continue
        if path[0] >> 24 in (0x50, 0x60):  # an overlay or curve that holds an identifier may go as a whole
            continue
        yield from _of_kept(instance, path, element)


def _of_kept(instance: Instance, path: tuple, element: DataElement) -> Iterator[Check]:
    where, text = format_path(path), value_text(element)

    def ask(action: str, words: tuple[str, ...], category: str) -> Check:
        return Check(instance.path, where, action, words, text, "base", category)

    if text.startswith(UID_ROOT) and element.VR == "UI":
        for uid in text.split("\\"):
            yield ask("uid_changed", (uid,), "HIPAA-R")
            yield ask("uid_consistent", (uid,), "DICOM-P15-BASIC-U")
    elif element.VR in ("DA", "DT"):
        if text:
            yield ask("date_shifted", (text[:8],), "HIPAA-C")
    elif element.VR == "SQ" or not text or len(text) > LONGEST or isinstance(element.value, bytes):
        yield ask("tag_retained", (), "DICOM-IOD")
    elif element.VR != "TM":
        yield ask("text_retained", tuple(text.split("\\")), "TCIA-REV")


def _plain(path: tuple) -> tuple:
    return tuple((step[0], step[1].upper(), step[2]) if isinstance(step, tuple) else step for step in path)


def write_key(corpus: Corpus, checks: list[Check], path: Path) -> None:
    """Write checks as SQLite: table answer_data, a row for each instance, AnswerData as JSON."""
    by_file: dict[str, list[Check]] = {}
    for check in checks:
        by_file.setdefault(check.file, []).append(check)
    path.unlink(missing_ok=True)
    columns = "SOPClassUID, PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, Digest, AnswerData, Path"
    with sqlite3.connect(path) as database:
        database.execute(
            f'CREATE TABLE answer_data ("index" INTEGER PRIMARY KEY, "group" TEXT, Modality TEXT, {columns})'
        )
        for number, instance in enumerate(corpus.instances):
            ds = instance.source
            answers = {str(n): _answer(check) for n, check in enumerate(by_file.get(instance.path, []))}
            digest = hashlib.md5(ds.PixelData).hexdigest() if "PixelData" in ds else ""
            who = (instance.who.patient_id, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
            row = (number, instance.base, *map(_wrap, (ds.Modality, ds.SOPClassUID, *who, digest)))
            values = (*row, json.dumps(answers, ensure_ascii=False), instance.path)
            database.execute(f"INSERT INTO answer_data VALUES ({','.join('?' * len(values))})", values)
    database.close()


def _wrap(text: object) -> str:
    return f"<{text}>"


def _answer(check: Check) -> dict[str, object]:
    number = check.tag_ds.rpartition("<(")[2].rstrip(">")
    plain = number.strip("()").replace(",", "")
    name = keyword_for_tag(int(plain, 16)) if len(plain) == 8 and '"' not in plain else ""
    return {
        "scope": "<Instance>",
        "tag": _wrap(f"({number}"),
        "tag_ds": check.tag_ds,
        "tag_name": _wrap(name),
        "value": _wrap(check.value),
        "action": _wrap(check.action),
        "action_text": _wrap(json.dumps(check.words, ensure_ascii=False)),
        "answer_category": _wrap(check.category),
        "kind": check.kind,
    }


def read_key(path: Path) -> list[Check]:
    """Return the checks of a key written here."""
    found = []
    with sqlite3.connect(path) as database:
        for data, file in database.execute('SELECT AnswerData, Path FROM answer_data ORDER BY "index"'):
            for answer in json.loads(data).values():
                words = tuple(json.loads(answer["action_text"][1:-1]))
                action, category = answer["action"][1:-1], answer["answer_category"][1:-1]
                value = answer["value"][1:-1]
                found.append(Check(file, answer["tag_ds"], action, words, value, answer["kind"], category))
    database.close()
    return found
