"""Look at the header of a de-identified instance: values that the standard removes, patterns in all others, missing marks.

The header is read by pydicom, which no step of the engine uses to write. What an instance says of itself counts: rows
that an option of (0012,0064) keeps or cleans are no finding by themselves, but their values are still searched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from phi_deid_pipeline.evaluation_findings import HeaderFinding, Severity
from phi_deid_pipeline.evaluation_known import Known
from phi_deid_pipeline.evaluation_patterns import (
    Suspicion,
    is_code,
    is_dummy,
    is_old_age,
    is_real_date,
    is_real_time,
    suspicions,
    suspicious_uid,
)
from phi_deid_pipeline.evaluation_rules import Row, Table, load_table

CERTAIN, LIKELY, POSSIBLE = Severity.CERTAIN, Severity.LIKELY, Severity.POSSIBLE
TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
NUMBER_VRS = frozenset({"DS", "IS"})
BYTE_VRS = frozenset({"OB", "OW", "UN", "OD", "OF", "OL", "OV"})
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
PADDING, DOCUMENT = 0xFFFCFFFC, 0x00420011
PATIENT_ID, PATIENT_NAME, MODALITY = 0x00100020, 0x00100010, 0x00080060
METHOD = frozenset({0x00120062, 0x00120063, 0x00120064})
RENDERED_MODALITIES = frozenset(
    {"US", "SC", "OT", "XC", "ES", "GM", "SM", "OP", "IVUS"}
)  # often with text in the pixels
RUN_LENGTH = 6  # printable characters that are taken for a text among bytes
MOST_BYTES = 1 << 20  # of a binary value that are searched
FIRST_PIXEL_BYTES = 4096  # where comments of a codestream stand
STRONG = frozenset({"e-mail", "phone", "name", "label", "address", "age", "ssn"})  # kinds that count among codes, bytes
OF_FILES = STRONG - {"label"}  # kinds that count in a file without DICOM: it may list tags and digests
OF_NOISE = frozenset({"e-mail"})  # kinds that compressed bytes do not hold by chance
CODES = frozenset({0x00080100, 0x00080119, 0x00080120})  # coded values: numbers of a scheme
IMPLEMENTATION = 0x00020012  # names a program, hardly a person
_RUNS = re.compile(rb"[\x20-\x7e\xa0-\xff]{%d,}" % RUN_LENGTH)
_WIDE_RUNS = re.compile(rb"(?:[\x20-\x7e]\x00){%d,}" % RUN_LENGTH)
_PSEUDONYM = re.compile(r"[A-Z0-9_-]{10,}")
_PERSON_FORM = re.compile(r"(?:[A-Z]{3,}|[A-Z][a-z]{2,})\^(?:[A-Z]{3,}|[A-Z][a-z]{2,})(?![A-Za-z])")


def look_at_header(file: str, dataset: Dataset, known: Known) -> list[HeaderFinding]:
    """Return the findings of one instance in the order of its elements, then what is missing.

    `dataset` is as pydicom reads it, file meta and preamble included; `file` its path for the report.
    """
    looker = _Looker(file, known, load_table(), _claims(dataset), _pseudonym(dataset))
    looker.preamble(getattr(dataset, "preamble", None) or b"")
    looker.data_set(getattr(dataset, "file_meta", None) or Dataset(), "")
    looker.data_set(dataset, "")
    looker.marks(dataset)
    return looker.findings


def look_at_path(file: str, known: Known) -> list[HeaderFinding]:
    """Return what a path says: folder and file names are handed out too."""
    found: dict[tuple[str, str], Suspicion] = {}
    for part in PurePosixPath(file).parts:
        stem = part.rsplit(".", 1)[0] if part.endswith((".dcm", ".DCM")) else part
        uid = known.uid(stem) or suspicious_uid(stem if re.fullmatch(r"[0-9.]+", stem) else "")
        for one in [*([uid] if uid else []), *suspicions(stem.replace("_", " ")), *known.search(stem)]:
            lowered = one if one.severity is CERTAIN else Suspicion(POSSIBLE, one.kind, one.seen, one.why)
            found.setdefault((one.kind, one.seen), lowered)
    return [
        HeaderFinding(file, "path", "", "", one.severity, one.kind, one.seen, f"file name: {one.why}")
        for one in found.values()
    ]


def look_at_bytes(file: str, data: bytes, known: Known, *, compressed: bool) -> list[HeaderFinding]:
    """Return what the printable runs of a file show that is no DICOM."""
    looker = _Looker(file, known, load_table(), frozenset(), "")
    looker.octets(("file", "", ""), data, OF_NOISE if compressed else OF_FILES)
    return looker.findings


def _claims(dataset: Dataset) -> frozenset[str]:
    items = dataset.get("DeidentificationMethodCodeSequence") or []
    return load_table().claimed(str(item.get("CodeValue", "")) for item in items)


def _pseudonym(dataset: Dataset) -> str:
    """Return the Patient ID where the patient's name is the same long word: then both are a code."""
    number, name = _text(dataset, PATIENT_ID), _text(dataset, PATIENT_NAME)
    return number if number == name and _PSEUDONYM.fullmatch(number) else ""


def _text(dataset: Dataset, tag: int) -> str:
    element = dataset.get(tag)
    return "" if element is None or element.value is None else str(element.value)


@dataclass
class _Looker:
    file: str
    known: Known
    table: Table
    claims: frozenset[str]
    pseudonym: str
    findings: list[HeaderFinding] = field(default_factory=list)

    def tell(self, place: tuple[str, str, str], severity: Severity, kind: str, seen: str, why: str) -> None:
        """Add a finding; `place` is path, keyword and VR."""
        self.findings.append(HeaderFinding(self.file, *place, severity, kind, seen, why))

    # --- walk -----------------------------------------------------------------------------------------------------

    def data_set(self, dataset: Dataset, prefix: str) -> None:
        """Look at every element of a data set and of the items in it."""
        creators = _creators(dataset)
        for number in _tags(dataset):
            path = f"{prefix}({number >> 16:04X},{number & 0xFFFF:04X})"
            try:
                element = dataset[number]
                vr, value = str(element.VR), element.value
            except Exception as error:  # noqa: BLE001 pydicom fails in many ways on one value; the rest is looked at
                self.tell(
                    (path, _keyword(number), ""), LIKELY, "unreadable", type(error).__name__, "value not readable"
                )
                raw = dataset.get_item(number)
                vr, value = "UN", raw.value if isinstance(raw, RawDataElement) else b""
            place = (path, _keyword(number), vr)
            if number >> 16 & 1:
                self._private(place, number, vr, value, creators)
            elif vr != "SQ":
                self._value(place, number, vr, value)
            else:
                self._sequence(place, number, value)
            if vr == "SQ":
                for index, item in enumerate(value or []):
                    self.data_set(item, f"{path}[{index}].")

    def _sequence(self, place: tuple[str, str, str], tag: int, items: object) -> None:
        row = self.table.row(tag)
        if items and row is not None and row.basic in ("X", "Z", "X/Z") and not row.options & self.claims:
            self.tell(place, POSSIBLE, "table_row", f"{len(items)} items", _row_text(row))  # type: ignore[arg-type]

    # --- values ---------------------------------------------------------------------------------------------------

    def _value(self, place: tuple[str, str, str], tag: int, vr: str, value: object) -> None:
        if tag in PIXEL_TAGS:
            if isinstance(value, bytes):
                self.octets(place, value[:FIRST_PIXEL_BYTES])
            return
        row = self.table.row(tag)
        if tag == DOCUMENT and value:
            self._document(place, value)
        elif tag >> 24 in (0x50, 0x60) and row is not None and value:
            what = "overlay" if tag >> 24 == 0x60 else "curve"
            self.tell(place, POSSIBLE, what, f"{_size(value)} bytes", "graphics may hold text (PS3.15 E.3.3)")
        elif tag == PADDING:
            if isinstance(value, bytes) and value.strip(b"\x00"):
                self.tell(place, POSSIBLE, "padding", f"{len(value)} bytes", "data set trailing padding is not empty")
                self.octets(place, value)
        elif isinstance(value, bytes):
            if row is not None and value.strip(b"\x00 ") and not row.options & self.claims and vr in BYTE_VRS:
                self.tell(place, POSSIBLE, "table_row", f"{len(value)} bytes", _row_text(row))
            self.octets(place, value)
        elif tag not in METHOD:
            for part in _parts(value):
                self._part(place, tag, vr, part, row)

    def _part(self, place: tuple[str, str, str], tag: int, vr: str, text: str, row: Row | None) -> None:
        if not text.strip():
            return
        kept = row is not None and bool(row.options & self.claims)
        if vr == "UI":
            self._uid(place, tag, text, kept)
        elif vr in ("DA", "DT", "TM"):
            self._date(place, vr, text, row, kept)
        elif vr == "AS":
            self._age(place, text, row, kept)
        elif vr in TEXT_VRS:
            self._words(place, tag, vr, text, row, kept)
        else:
            self._number(place, vr, text, row, kept)

    def _uid(self, place: tuple[str, str, str], tag: int, text: str, kept: bool) -> None:
        if tag in self.table.structural_uids and tag != IMPLEMENTATION:
            return
        found = self.known.uid(text) or (None if kept else suspicious_uid(text))
        if found is not None:
            severity = POSSIBLE if tag == IMPLEMENTATION else found.severity
            self.tell(place, severity, found.kind, found.seen, found.why)

    def _date(self, place: tuple[str, str, str], vr: str, text: str, row: Row | None, kept: bool) -> None:
        if vr == "TM":
            if row is not None and not kept and is_real_time(text):
                self.tell(place, POSSIBLE, "time", text, _row_text(row))
            return
        known = self.known.date(text)
        if known is not None:
            self._add(place, known)
        elif not kept and is_real_date(text):
            self.tell(place, LIKELY, "date", text, _row_text(row) if row else "a date that looks real")

    def _age(self, place: tuple[str, str, str], text: str, row: Row | None, kept: bool) -> None:
        if is_old_age(text):
            self.tell(place, CERTAIN, "age", text, "an age above 89 (45 CFR 164.514(b)(2)(i)(C))")
        elif row is not None and not kept and text.strip("0D YMW"):
            self.tell(place, POSSIBLE, "table_row", text, _row_text(row))

    def _number(self, place: tuple[str, str, str], vr: str, text: str, row: Row | None, kept: bool) -> None:
        for one in self.known.search(text) if vr in NUMBER_VRS else []:
            self._add(place, one)
        if row is not None and not kept and text.strip("0. ") not in ("", "1"):
            self.tell(place, POSSIBLE, "table_row", text, _row_text(row))

    def _words(self, place: tuple[str, str, str], tag: int, vr: str, text: str, row: Row | None, kept: bool) -> None:
        code = is_code(text) or (tag in (PATIENT_ID, PATIENT_NAME) and text == self.pseudonym)
        told = self.known.search(text, whole=row is not None)
        if not code:
            coded = tag in CODES or vr == "CS"
            told += [one for one in suspicions(text) if not coded or one.kind in STRONG or one.kind == "date"]
        if vr == "PN":
            told = [one for one in told if one.kind != "name"]
        for one in told:
            self._add(place, one)
        if any(one.severity is not POSSIBLE for one in told):
            return
        if vr == "PN" and not code and not is_dummy(text):
            self.tell(place, LIKELY, "name", text, _row_text(row) if row else "a person's name that looks real")
        elif row is not None and not kept and not code and not is_dummy(text) and text.strip("0. "):
            severity = POSSIBLE if vr == "CS" or tag == PATIENT_ID else LIKELY
            self.tell(place, severity, "table_row", text, _row_text(row))

    def _document(self, place: tuple[str, str, str], value: object) -> None:
        data = value if isinstance(value, bytes) else b""
        if data.strip(b"\x00"):
            self.tell(
                place, LIKELY, "document", f"{len(data)} bytes", "an encapsulated document that nobody looked into"
            )
            self.octets(place, data)

    # --- private --------------------------------------------------------------------------------------------------

    def _private(self, place: tuple[str, str, str], tag: int, vr: str, value: object, creators: dict[int, str]) -> None:
        group, element = tag >> 16, tag & 0xFFFF
        if 0x10 <= element <= 0xFF:
            for one in self.known.search(str(value)):
                self._add(place, one)
            return
        creator = creators.get(group << 8 | element >> 8, "")
        is_safe = (group, element & 0xFF, creator) in self.table.safe_private
        empty = not value and value != 0
        if not is_safe and not empty:
            legible = vr in TEXT_VRS | {"DA", "DT"} or (isinstance(value, bytes) and bool(_runs(value)))
            why = "private and not in the list of safe ones (PS3.15 Table E.3.10-1)"
            seen = f"creator {creator or 'missing'}: {_quoted(vr, value)}"
            self.tell(place, LIKELY if legible or not creator else POSSIBLE, "private", seen, why)
        elif not empty and "retain_safe_private" not in self.claims:
            self.tell(place, POSSIBLE, "private", f"creator {creator}", "safe private, but the option is not claimed")
        if vr == "SQ" or empty:
            return
        if isinstance(value, bytes):
            self.octets(place, value)
            return
        for part in _parts(value):
            if part.strip():
                self._part(place, tag, vr, part, None)

    # --- bytes ----------------------------------------------------------------------------------------------------

    def octets(self, place: tuple[str, str, str], data: bytes, kinds: frozenset[str] = STRONG | {"date"}) -> None:
        """Search the printable runs of a binary value; among noise only what has a strong form, or is known, counts."""
        told: dict[tuple[str, str], Suspicion] = {}
        for run in _runs(data):
            for one in self.known.search(run):
                if one.severity is not POSSIBLE:
                    told.setdefault((one.kind, one.seen), one)
            for match in _PERSON_FORM.finditer(run):
                if all(re.search("[AEIOUYaeiouy]", part) for part in match[0].split("^")):
                    told[("name", match[0])] = Suspicion(LIKELY, "name", match[0], "written like a Person Name")
            for one in suspicions(run):
                if one.severity is not POSSIBLE and "^" not in one.seen and one.kind in kinds:
                    told.setdefault((one.kind, one.seen), one)
        for one in told.values():
            self._add(place, one)

    def preamble(self, data: bytes) -> None:
        """Look at the 128 bytes before the data set; a TIFF header may stand there (PS3.10 7.1)."""
        if data.strip(b"\x00") and data[:4] not in (b"II*\x00", b"MM\x00*"):
            self.tell(("preamble", "", ""), POSSIBLE, "preamble", f"{len(data)} bytes", "the preamble is not empty")
            self.octets(("preamble", "", ""), data)

    def _add(self, place: tuple[str, str, str], one: Suspicion) -> None:
        self.tell(place, one.severity, one.kind, one.seen, one.why)

    # --- marks ----------------------------------------------------------------------------------------------------

    def marks(self, dataset: Dataset) -> None:
        """Tell what PS3.15 E.2 demands and the instance lacks, and what it says of its pixels."""
        if str(dataset.get("PatientIdentityRemoved", "")) != "YES":
            place = ("(0012,0062)", "PatientIdentityRemoved", "CS")
            self.tell(place, POSSIBLE, "mark", _text(dataset, 0x00120062), "not marked as de-identified (PS3.15 E.2)")
        if not dataset.get("DeidentificationMethod") and not dataset.get("DeidentificationMethodCodeSequence"):
            place = ("(0012,0063)", "DeidentificationMethod", "LO")
            self.tell(place, POSSIBLE, "mark", "", "does not say how it was de-identified (PS3.15 E.2)")
        if "PixelData" not in dataset:
            return
        burned = str(dataset.get("BurnedInAnnotation", "") or "")
        place = ("(0028,0301)", "BurnedInAnnotation", "CS")
        if burned == "YES":
            self.tell(place, LIKELY, "burned_in", burned, "says itself that identifying text stands in the pixels")
        elif not burned and _text(dataset, MODALITY) in RENDERED_MODALITIES:
            self.tell(
                place,
                POSSIBLE,
                "burned_in",
                "",
                "pixels of such a modality often hold text, and nothing says they do not",
            )
        if str(dataset.get("RecognizableVisualFeatures", "") or "") == "YES":
            place = ("(0028,0302)", "RecognizableVisualFeatures", "CS")
            self.tell(place, POSSIBLE, "face", "YES", "says itself that a person can be recognised")


def _tags(dataset: Dataset) -> list[int]:
    """Return the tags of a data set, sorted, without parsing its values."""
    tags = dataset.keys()
    return sorted(int(tag) for tag in tags)


def _creators(dataset: Dataset) -> dict[int, str]:
    """Return the private creators of a data set by group and block."""
    found = {}
    for number in _tags(dataset):
        if number >> 16 & 1 and 0x10 <= number & 0xFFFF <= 0xFF:
            item = dataset.get_item(number)
            value = item.value if item is not None else b""
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
            found[(number >> 16) << 8 | number & 0xFF] = text.strip(" \x00")
    return found


def _keyword(tag: int) -> str:
    return keyword_for_tag(tag) or ("PrivateCreator" if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF else "")


def _parts(value: object) -> list[str]:
    if value is None:
        return []
    values = value if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else [value]
    return [str(one) for one in values]  # type: ignore[union-attr]


def _runs(data: bytes) -> list[str]:
    head = data[:MOST_BYTES]
    wide = [run.decode("utf-16-le") for run in _WIDE_RUNS.findall(head)]
    return [run.decode("latin-1") for run in _RUNS.findall(head)] + wide


def _size(value: object) -> int:
    return len(value) if isinstance(value, (bytes, str)) else 1


def _quoted(vr: str, value: object) -> str:
    if vr == "SQ":
        return f"{len(value)} items"  # type: ignore[arg-type]
    if isinstance(value, bytes):
        runs = _runs(value)
        return f"{len(value)} bytes" + (f", {runs[0]}" if runs else "")
    return "\\".join(_parts(value))


def _row_text(row: Row) -> str:
    return f"Table E.1-1 says {row.basic}"
