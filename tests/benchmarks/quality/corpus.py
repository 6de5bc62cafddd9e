"""Builds the corpus of a seed: patients, instances, and what was planted where."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import uid as sop
from pydicom.dataset import Dataset

from benchmarks.quality.bases import BASES
from benchmarks.quality.identity import Drawer, Identity, draw_identity
from benchmarks.quality.kinds_attributes import attribute_kinds, nested_kinds
from benchmarks.quality.kinds_container import container_kinds
from benchmarks.quality.kinds_faulty import faulty_kinds
from benchmarks.quality.kinds_forms import form_kinds
from benchmarks.quality.kinds_objects import object_kinds
from benchmarks.quality.kinds_pixels import charset_kinds, pixel_kinds
from benchmarks.quality.kinds_private import private_kinds
from benchmarks.quality.kinds_references import reference_kinds
from benchmarks.quality.kinds_text import text_kinds
from benchmarks.quality.plants import Context, Kind, Plant, tag
from benchmarks.quality.pools import CHARSETS

ROOM = 12  # kinds on an instance, so that each stays readable
OUTSIDE = 120  # of the many text attributes outside the table each seed draws some
# The header that every instance carries: keyword -> value of the patient. Each place counts as a kind too.
HEADER = {
    "PatientID": lambda who: who.patient_id,
    "PatientBirthDate": lambda who: who.birth_date,
    "StudyDate": lambda who: who.study_date,
    "AccessionNumber": lambda who: who.accession,
    "StudyID": lambda who: who.study_id,
    "InstitutionName": lambda who: who.institution,
    "IssuerOfPatientID": lambda who: who.issuer,
}


@dataclass(slots=True)
class Instance:
    """One written instance: its path below the input, its patient, and what was planted."""

    path: str
    base: str
    who: Identity
    plants: list[Plant]
    boxes: list[dict]
    pixels_kept: bool
    source: Dataset


@dataclass(slots=True)
class Corpus:
    """All instances of a seed and the kinds that were planted."""

    seed: int
    instances: list[Instance] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


def all_kinds() -> list[Kind]:
    """Return every kind of place, in a fixed order."""
    groups = (
        *(charset_kinds, pixel_kinds, container_kinds, text_kinds, private_kinds, object_kinds),
        *(reference_kinds, nested_kinds, attribute_kinds, faulty_kinds, form_kinds),
    )
    found = [kind for group in groups for kind in group()]
    names = [kind.name for kind in found]
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    return found


def draw_kinds(draw: Drawer, wanted: Iterable[str] = ()) -> list[Kind]:
    """Return the kinds of a seed: all of them, of those outside the table some; `wanted` are beginnings of names."""
    kinds = all_kinds()
    chosen = tuple(wanted)
    outside = [kind for kind in kinds if kind.name.startswith("outside/")]
    kept = {kind.name for kind in draw.rng.sample(outside, min(OUTSIDE, len(outside)))}
    kinds = [kind for kind in kinds if not kind.name.startswith("outside/") or kind.name in kept]
    return [kind for kind in kinds if not chosen or kind.name.startswith(chosen)]


def build(folder: Path, seed: int, wanted: Iterable[str] = ()) -> Corpus:
    """Write the instances of a seed below a folder; return what was planted."""
    draw = Drawer(seed)
    corpus = Corpus(seed)
    by_script: dict[str, list[Kind]] = defaultdict(list)
    for kind in draw_kinds(draw, wanted):
        by_script[kind.script].append(kind)
        corpus.kinds.add(kind.name)
    corpus.kinds |= {f"header/{keyword}" for keyword in [*HEADER, "PatientName", "ReferringPhysicianName", "names"]}
    for script in sorted(by_script):
        places = _placed(by_script[script])
        for start in range(0, len(places), 8):  # at most eight instances a patient, so that there are many patients
            _patient(corpus, folder, draw, script, places[start : start + 8])
    return corpus


def _placed(kinds: list[Kind]) -> list[tuple[str, list[Kind]]]:
    """Return (base, its kinds) so that each kind stands on one instance, none meets a rival, and bases take turns."""
    open_places: list[tuple[str, list[Kind]]] = []
    turn = 0
    for kind in kinds:
        for base, held in open_places:
            if len(held) < ROOM and _fits(kind, base, held):
                held.append(kind)
                break
        else:
            bases = kind.needs or tuple(BASES)
            open_places.append((bases[turn % len(bases)], [kind]))
            turn += 1
    return open_places


def _fits(kind: Kind, base: str, held: list[Kind]) -> bool:
    if kind.needs and base not in kind.needs:
        return False
    return not any(set(kind.slots) & set(other.slots) or (kind.alone and kind.alone == other.alone) for other in held)


def _patient(corpus: Corpus, folder: Path, draw: Drawer, script: str, places: list) -> None:
    who = draw_identity(draw, script)
    series = draw.uid()
    who.extra.update({"a_ct": draw.uid(), "a_ct_series": series, "series ct": series})
    number = len({instance.who.patient_id for instance in corpus.instances}) + 1
    _instance(corpus, folder / f"p{number:02d}", draw, who, 0, "ct", [])
    for index, (base, kinds) in enumerate(places, 1):
        _instance(corpus, folder / f"p{number:02d}", draw, who, index, base, kinds)


def _instance(corpus: Corpus, folder: Path, draw: Drawer, who: Identity, index: int, base: str, kinds: list) -> None:
    ds = BASES[base](draw)
    ctx = Context(ds, who, draw, base, index)
    ds.StudyInstanceUID = who.study_uid
    # What may be held stands in a series of its own: a series is held as a whole.
    apart = any(kind.alone in ("syntax", "pixels") for kind in kinds)
    ds.SeriesInstanceUID = draw.uid() if apart else who.extra.setdefault(f"series {base}", draw.uid())
    ds.InstanceNumber = index + 1
    if index == 0:  # what references point to
        ds.SOPInstanceUID, ds.SeriesInstanceUID = who.extra["a_ct"], who.extra["a_ct_series"]
        ds.FrameOfReferenceUID = who.frame_uid
        _staff(ctx)
    if who.charset:
        ds.SpecificCharacterSet = CHARSETS[who.charset][0].split("\\")
    elif not ds.get("SpecificCharacterSet"):
        ds.SpecificCharacterSet = "ISO_IR 192" if index % 2 else "ISO_IR 100"
    _header(ctx)
    for kind in kinds:
        kind.make(ctx)
    paths = [plant.path for plant in ctx.plants]
    assert len(paths) == len(set(paths)), [path for path in paths if paths.count(path) > 1]
    syntax = ctx.transfer_syntax or sop.ExplicitVRLittleEndian
    path = folder / f"{index:02d}_{base}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(ds, path, sop.UID(syntax))
    data = path.read_bytes()
    for change in ctx.after:
        data = change(data)
    path.write_bytes(data)
    boxes = [box | {"file": _relative(folder, path)} for box in ctx.boxes]
    corpus.instances.append(Instance(_relative(folder, path), base, who, ctx.plants, boxes, ctx.pixels_kept, ds))


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder.parent).as_posix()


def _header(ctx: Context) -> None:
    for keyword, value in HEADER.items():
        setattr(ctx.ds, keyword, value(ctx.who))
        nature = "date" if keyword.endswith("Date") else "whole"
        ctx.plant(f"header/{keyword}", (tag(keyword),), value(ctx.who), nature=nature)
    ctx.ds.StudyTime, ctx.ds.PatientSex = "101112", "F"
    if not ctx.who.foreign:
        ctx.ds.PatientName = f"{ctx.who.name.dicom}^{ctx.who.middle}"
        ctx.plant("header/PatientName", (tag("PatientName"),), (*ctx.who.name.parts, ctx.who.middle), nature="whole")
    ctx.ds.ReferringPhysicianName = ctx.who.referring.dicom
    ctx.plant(
        "header/ReferringPhysicianName", (tag("ReferringPhysicianName"),), ctx.who.referring.parts, nature="whole"
    )


def _staff(ctx: Context) -> None:
    """Put all that is known of a patient into the header of one instance, where a lexicon can find it."""
    who, ds = ctx.who, ctx.ds
    device = {"free": ("retain_device_identity",)}
    values = {
        "PerformingPhysicianName": (who.performing.dicom, who.performing.parts, {}),
        "OperatorsName": (who.operator.dicom, who.operator.parts, {}),
        "NameOfPhysiciansReadingStudy": (who.reading.dicom, who.reading.parts, {}),
        "PatientMotherBirthName": (who.relative.dicom, who.relative.parts, {}),
        "PatientAddress": (f"{who.street}, {who.city} {who.postcode}", (who.street, who.city, who.postcode), {}),
        "PatientTelephoneNumbers": (who.phone[-16:], (who.phone.split()[-1],), {}),
        "PatientTelecomInformation": (f"{who.phone} {who.email}", (who.phone, who.email), {}),
        "OtherPatientIDs": (who.other_id, (who.other_id,), {}),
        "AdmissionID": (who.admission_id, (who.admission_id,), {}),
        "PlacerOrderNumberImagingServiceRequest": (who.order, (who.order,), {}),
        "InstitutionalDepartmentName": (who.department, (who.department,), {}),
        "StationName": (who.station, (who.station,), device),
        "DeviceSerialNumber": (who.serial, (who.serial,), device),
        "ClinicalTrialSubjectID": (who.subject, (who.subject,), {}),
    }
    for keyword, (value, gone, more) in values.items():
        setattr(ds, keyword, value)
        ctx.plant("header/names", (tag(keyword),), gone, nature="whole", **more)
    if who.foreign:  # what is written in Latin letters of the same person
        ds.OtherPatientNames = who.name.dicom
        ctx.plant("header/names", (tag("OtherPatientNames"),), who.name.parts, nature="whole")


def _write(ds: Dataset, path: Path, syntax: sop.UID) -> None:
    ds.file_meta.TransferSyntaxUID = syntax
    if not syntax.is_little_endian and ds.get("BitsAllocated") == 16 and "PixelData" in ds:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.save_as(
            path, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
        )


def write_boxes(corpus: Corpus, path: Path) -> None:
    """Write the boxes of burned-in text as JSON: file -> list of label, left, top, width, height."""
    found: dict[str, list[dict]] = defaultdict(list)
    for instance in corpus.instances:
        for box in instance.boxes:
            found[instance.path].append({key: box[key] for key in ("label", "left", "top", "width", "height")})
    path.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
