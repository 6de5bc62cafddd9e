"""Input for the canary test: instances that carry identifiers in every place where DICOM can hold them."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence

import factories
import sample_datasets as sets
import sample_input
from sample_identity import BARNABY, OTTOLINE, PLANTED, Person, source_uid, written_dates

NAME = f"{OTTOLINE.family.upper()} {OTTOLINE.given.upper()}"
ROOT_NAME = f"{OTTOLINE.family} {OTTOLINE.given}"


def _person(number: int, family: str, given: str) -> Person:
    return replace(
        OTTOLINE,
        family=family,
        given=given,
        middle="",
        patient_id=f"MRN6104480{number}",
        other_id=f"XK-771{number}-Q8",
        accession=f"ACC7719034{number}",
        study_id=f"S558120{number}",
        admission_id=f"ADM551829{number}",
        email=f"reception{number}@wendreda.example.org",
    )


# Specific Character Set -> the person whose name is written in it, and the encoding of Python that does it.
FOREIGN: dict[str, tuple[Person, str]] = {
    "ISO_IR 100": (_person(1, "Grünwäldchen", "Jürgën"), "latin-1"),
    "ISO_IR 144": (_person(2, "Люксембургова", "Апполинария"), "iso8859-5"),
    "ISO_IR 126": (_person(3, "Διονυσιάδης", "Θεόφραστος"), "iso8859-7"),
    "\\ISO 2022 IR 87": (_person(4, "Yamamotonaga^Taro=山本永^太郎一=やまもと", "たろういち"), "iso2022_jp"),
    "\\ISO 2022 IR 149": (_person(5, "Namgungmin^Gildong=南宮珉^吉洞=남궁민수", "길동이네"), "euc_kr"),
    "GB18030": (_person(6, "歐陽修文", "慕容雪兒"), "gb18030"),
    "ISO_IR 192": (_person(7, "Łukasiewiczówna", "Żółciąna"), "utf-8"),
}
PEOPLE = (OTTOLINE, BARNABY, *(person for person, _ in FOREIGN.values()))
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def dates_of(date: str) -> list[str]:
    """Return a DICOM date in the forms in which it must not be found."""
    year, month, day = date[:4], int(date[4:6]), date[6:]
    name = MONTHS[month - 1]
    more = [f"{day} {name} {year}", f"{day}-{name}-{year}", f"{name} {int(day)}, {year}", f"{year}/{date[4:6]}/{day}"]
    return [*written_dates(date), *more, f"{day}{date[4:6]}{year}", f"{date[4:6]}{day}{year}"]


def canary_texts() -> set[str]:
    """Return what must not be found anywhere: planted values, names in parts, dates in several forms."""
    found = {value for values in PLANTED.values() for value in values} | set(factories.canaries())
    for person in PEOPLE:
        found.update(str(getattr(person, field.name)) for field in fields(person) if field.name not in ("sex", "age"))
        for name in (person.family, person.given, person.referring, person.performing, person.operator):
            found.update(name.replace("=", "^").split("^"))
        for date in (person.birth_date, person.study_date):
            found.update(dates_of(date))
    found |= {"WENDREDA-MPI", sets.TIME}
    return {text for text in found if len(text) >= 4 or not text.isascii()}


def needles(root: Path) -> dict[bytes, str]:
    """Return bytes in lower case -> the identifier that they spell, for texts and all source UIDs below a folder."""
    texts = canary_texts() | source_uids(root)
    foreign = [encoding for _, encoding in FOREIGN.values()]
    found: dict[bytes, str] = {}
    for text in sorted(texts):
        for encoding in ("ascii", "latin-1", "utf-8", "utf-16-le", "utf-16-be", *foreign):
            for form in (text, text.upper(), text.lower()):
                try:
                    data = form.encode(encoding)
                except UnicodeEncodeError:
                    continue
                for escape in (b"\x1b$B", b"\x1b(B", b"\x1b$)C"):
                    data = data.removeprefix(escape).removesuffix(escape)
                if len(data) >= (4 if text.isascii() else 6):
                    found.setdefault(data.lower(), text)
    kept: dict[bytes, str] = {}  # a needle that holds a shorter one is found by that
    for data in sorted(found, key=lambda data: (len(data), data)):
        if not any(shorter in data for shorter in kept):
            kept[data] = found[data]
    return kept


def source_uids(root: Path) -> set[str]:
    """Return every UID of an input that names something of its own, at any depth."""
    found: set[str] = set()
    for path in sorted(root.rglob("*")):
        if path.is_file():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found.update(_uids(pydicom.dcmread(path, stop_before_pixels=True)))
            except (pydicom.errors.InvalidDicomError, EOFError):
                continue
    return found


def _uids(ds: Dataset) -> Iterator[str]:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from _uids(item)
        elif element.VR == "UI" and element.value:
            values = [element.value] if isinstance(element.value, str) else element.value
            yield from (value for value in values if not value.startswith("1.2.840.10008."))


# --------------------------------------------------------------------------- instances


def _series(ds: Dataset, name: str, number: int = 1) -> Dataset:
    ds.SeriesInstanceUID = source_uid("canary series", name)
    ds.SOPInstanceUID = source_uid("canary", name, number)
    return ds


def _text_everywhere(ds: Dataset, person: Person) -> None:
    """Put identifiers where free text, coded text, addresses and identifiers of others stand."""
    name = f"{person.given} {person.family}".split("=")[0].replace("^", " ")
    birth, study = dates_of(person.birth_date), dates_of(person.study_date)
    ds.PatientComments = " / ".join([name, name.upper(), name.lower(), person.printed_name, *birth, *study])
    ds.ImageComments = f"{person.family}, {person.given}; DOB {birth[4]}; {person.phone}; {person.email}"
    ds.DerivationDescription = f"copied for {name} on {study[5]} at {person.institution}"
    ds.ProtocolName, ds.SeriesDescription = f"Thorax {person.family}", f"{person.patient_id} chest {study[2]}"
    ds.ContrastBolusAgent = f"Iopromide {person.given}"
    ds.RetrieveURL = f"https://pacs.example.org/{person.patient_id}/{person.email}"
    ds.ReasonForTheRequestedProcedure = f"asked for by {person.referring}"
    ds.RequestingPhysician, ds.CurrentPatientLocation = person.referring, person.department
    ds.PatientBirthName = ds.PatientMotherBirthName = person.person_name
    ds.MedicalAlerts, ds.Allergies = f"call {person.phone}", f"none, says {person.family}"
    ds.ClinicalTrialSubjectID, ds.ClinicalTrialSiteName = person.other_id, person.institution
    ds.DeviceUID = source_uid("device")
    ds.IrradiationEventUID = source_uid("irradiation")
    original = Dataset()
    original.AttributeModificationDateTime, original.ModifyingSystem = person.study_date + sets.TIME, person.station
    before = Dataset()
    before.PatientName, before.PatientID, before.StudyInstanceUID = (
        person.person_name,
        person.patient_id,
        person.study_uid,
    )
    original.SourceOfPreviousValues, original.ReasonForTheAttributeModification = person.institution, "CORRECT"
    original.ModifiedAttributesSequence = Sequence([before])
    ds.OriginalAttributesSequence = Sequence([original])


def _kept_attributes(ds: Dataset, person: Person) -> None:
    """Put identifiers into attributes that policies keep as they are."""
    ds.ConvolutionKernel = person.patient_id
    ds.Manufacturer = f"{person.family} Imaging"
    ds.BodyPartExamined = person.family.upper()[:16]
    ds.ImageType = ["ORIGINAL", "PRIMARY", person.given.upper()]
    ds.ScanOptions = person.accession
    ds.FilterType = f"BODY\0{person.family}"
    ds.SoftwareVersions = ["VA10", person.serial, person.email]
    ds.ViewCodeSequence = Sequence([sets.code("260421001", "SCT", f"view of {person.family} {person.study_date}")])


def _unknown_and_private(ds: Dataset, person: Person) -> None:
    ds[0x00101060] = DataElement(0x00101060, "UN", person.person_name.encode().ljust(64))
    ds[0x00102297] = DataElement(0x00102297, "UN", f"guardian of {person.patient_id}".encode())
    ds[0x00082FFF] = DataElement(0x00082FFF, "UN", f"unknown {person.family}".encode().ljust(48))
    ds[0x00091001] = DataElement(0x00091001, "LO", f"no creator {person.family}")
    block = ds.private_block(0x000B, f"{person.family.upper()} PRIVATE", create=True)
    block.add_new(0x10, "UT", f"{person.person_name} {person.phone}")
    inner, deeper = Dataset(), Dataset()
    deeper.PatientBirthDate, deeper.PatientName = person.birth_date, [person.person_name, person.referring]
    deeper.private_block(0x000D, "DEEP", create=True).add_new(1, "OB", person.person_name.encode("utf-16-le"))
    inner.PatientID, inner.ReferencedPatientSequence = person.patient_id, Sequence([deeper])
    ds.ReferencedPatientSequence = Sequence([inner])
    ds.OtherPatientNames = [f"{person.family}^{person.middle}", f"von {person.family}^{person.given}"]


def _pictures_beside(ds: Dataset) -> None:
    """Give an instance an overlay and an icon in which the name can be read, and text in tables of bytes."""
    picture = np.zeros((64, 256), np.uint8)
    sets.write_text(picture, [NAME, OTTOLINE.patient_id], (4, 4), 255, 0.6)
    bits = np.packbits((picture > 127).ravel(), bitorder="little").tobytes()
    ds.add_new(0x60000010, "US", 64)
    ds.add_new(0x60000011, "US", 256)
    ds.add_new(0x60000022, "LO", f"overlay of {OTTOLINE.family}")
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60000050, "SS", [1, 1])
    ds.add_new(0x60000100, "US", 1)
    ds.add_new(0x60000102, "US", 0)
    ds.add_new(0x60003000, "OB", bits)
    ds.add_new(0x50003000, "OW", NAME.encode("utf-16-le"))
    icon = Dataset()
    icon.Rows, icon.Columns, icon.SamplesPerPixel, icon.PhotometricInterpretation = 64, 256, 1, "MONOCHROME2"
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
    icon.add_new(0x7FE00010, "OB", picture.tobytes())
    ds.IconImageSequence = Sequence([icon])
    ds.ICCProfile = b"\0\0\1\0lcms desc " + NAME.encode() + b" " * (len(NAME) % 2)


def _finished(path: Path, *, preamble: bytes = b"", tail: bytes = b"") -> None:
    data = path.read_bytes()
    assert data[128:132] == b"DICM"
    path.write_bytes((preamble or data[:128]).ljust(128, b"\0")[:128] + data[128:] + tail)


def _undefined_length_un() -> bytes:
    """Return Digital Signatures Sequence as UN of undefined length, with implicit VR inside (PS3.5 6.2.2)."""

    def element(tag: tuple[int, int], value: bytes) -> bytes:
        value += b" " * (len(value) % 2)
        return struct.pack("<HHI", *tag, len(value)) + value

    inside = element((0x0010, 0x0010), OTTOLINE.person_name.encode()) + element((0x0010, 0x0020), b"MRN77304419")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inside + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    return struct.pack("<HH2sHI", 0xFFFA, 0xFFFA, b"UN", 0, 0xFFFFFFFF) + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _padding(text: str) -> bytes:
    data = text.encode() + b" " * (len(text) % 2)
    return struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, len(data)) + data


def _with_comment(path: Path, comment: bytes) -> None:
    """Put a comment into the JPEG or JPEG 2000 codestream of an instance, right after its first marker segments."""
    ds = pydicom.dcmread(path)
    frames = []
    for frame in generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1))):
        if frame.startswith(b"\xff\xd8"):
            segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
            frames.append(frame[:2] + segment + frame[2:])
        else:
            assert frame.startswith(b"\xff\x4f\xff\x51")
            end = 4 + struct.unpack(">H", frame[4:6])[0]
            segment = b"\xff\x64" + struct.pack(">HH", len(comment) + 4, 1) + comment
            frames.append(frame[:end] + segment + frame[end:])
    ds.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2) for frame in frames])
    ds.save_as(path, enforce_file_format=True)


def build(target: Path) -> None:
    """Write the canary input below a folder that is named after the patient."""
    sample_input.build_small(target)
    folder = target / OTTOLINE.folder / "canaries"
    for name, syntax in {
        "explicit": uid.ExplicitVRLittleEndian,
        "implicit": uid.ImplicitVRLittleEndian,
        "big": uid.ExplicitVRBigEndian,
        "deflated": uid.DeflatedExplicitVRLittleEndian,
    }.items():
        ds = _series(factories.ct_instance(), name)
        _text_everywhere(ds, OTTOLINE)
        _unknown_and_private(ds, OTTOLINE)
        factories.write(ds, folder / f"{name}_{OTTOLINE.family}.dcm", syntax)
        kept = _series(factories.ct_instance(), f"kept {name}")
        _kept_attributes(kept, OTTOLINE)
        factories.write(kept, folder / f"kept_{name}.dcm", syntax)
    _write_containers(folder)
    _write_pictures(folder)
    _write_people(target)


def _write_containers(folder: Path) -> None:
    preamble = b"II*\0" + NAME.encode() + b" " + OTTOLINE.patient_id.encode() + b" 1953-08-17"
    for name, tail in {
        "preamble": b"",
        "un": _undefined_length_un(),
        "padding": _padding(f"{NAME} {OTTOLINE.birth_date}"),
        "trailing": b"\0" * 16 + f"{NAME} {OTTOLINE.patient_id} {OTTOLINE.study_uid}".encode(),
    }.items():
        ds = _series(factories.ct_instance(), name)
        ds.file_meta.SendingApplicationEntityTitle = OTTOLINE.station
        ds.file_meta.PrivateInformationCreatorUID = source_uid("meta")
        ds.file_meta.PrivateInformation = NAME.encode() + b" " * (len(NAME) % 2)
        path = factories.write(ds, folder / name)
        _finished(path, preamble=preamble, tail=tail)
    bare = factories.write(_series(factories.ct_instance(), "bare"), folder / "bare", uid.ImplicitVRLittleEndian)
    data = bare.read_bytes()
    bare.write_bytes(data[data.index(b"\x08\0\x05\0") :])  # neither preamble nor meta
    volume = sets.ct_volume(OTTOLINE, 2, 32, {})
    report = sets.report(OTTOLINE, volume[0])
    report.ContentSequence[1].TextValue += " Seen on " + ", ".join(dates_of(OTTOLINE.study_date))
    factories.write(report, folder / f"SR {OTTOLINE.family}")


def _write_pictures(folder: Path) -> None:
    ds = _series(factories.ct_instance(size=64), "beside")
    _pictures_beside(ds)
    factories.write(ds, folder / "beside")
    lines = (NAME, f"* {dates_of(OTTOLINE.birth_date)[2]}")
    for name, syntax in {
        "native": uid.ExplicitVRLittleEndian,
        "rle": uid.RLELossless,
        "jpeg2000": uid.JPEG2000Lossless,
    }.items():
        picture = _series(factories.rgb_instance(lines), f"rgb {name}")
        path = factories.write(picture, folder / f"rgb_{name}", syntax)
        if name == "jpeg2000":
            _with_comment(path, NAME.encode())
    _write_beside_frames(folder)
    quiet = _series(factories.rgb_instance(()), "rgb comment")
    _with_comment(factories.write(quiet, folder / "rgb_comment", uid.JPEG2000Lossless), f"{NAME} 19530817".encode())


def _write_beside_frames(folder: Path) -> None:
    """Write instances with text behind the last native frame, behind a compressed frame, and as offset table."""
    text = f"{NAME} {OTTOLINE.patient_id} {dates_of(OTTOLINE.birth_date)[2]}".encode()
    text += b" " * (-len(text) % 4)
    ds = _series(factories.ct_instance(), "native slack")
    ds.PixelData += text
    factories.write(ds, folder / "native_slack")
    for name in ("frame_tail", "offset_table"):
        path = factories.write(_series(factories.ct_instance(), name), folder / name, uid.RLELossless)
        ds = pydicom.dcmread(path)
        (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
        table, frame = (b"", frame + text) if name == "frame_tail" else (text, frame)
        ds.PixelData = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in (table, frame))
        ds.save_as(path, enforce_file_format=True)


def _write_people(target: Path) -> None:
    second = _series(factories.ct_instance(person=BARNABY), "second person")
    _text_everywhere(second, BARNABY)
    factories.write(second, target / BARNABY.folder / "CT")
    for number, (charset, (person, _)) in enumerate(sorted(FOREIGN.items())):
        ds = _series(factories.ct_instance(person=person), f"charset {number}")
        ds.SpecificCharacterSet = charset.split("\\") if "\\" in charset else charset
        _text_everywhere(ds, person)
        ds.ImageComments = f"{person.given} und {person.family}"
        name = person.family.split("=")[0].split("^")[0]
        factories.write(ds, target / f"{name}_{person.patient_id}" / "IM1")
