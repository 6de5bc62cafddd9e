"""Who a patient is in the release where no key of the salt decides it: random codes, or a site's own table.

Rows of the table name a patient by Patient ID with its issuer, and a study where they hold for that study alone. A
random code is drawn once for a patient and kept for ever: it is derived from nothing (45 CFR 164.514(c)).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.records import Subject
from phi_deid_pipeline.value_objects import field_names

ISSUER_SEPARATOR = "\x1f"  # between Patient ID and issuer in a patient key
SUBJECT_FIELDS = field_names(Subject)
SUBJECT_COLUMNS = ("patient_id", "issuer", "study_instance_uid", *SUBJECT_FIELDS)
REQUIRED_COLUMNS = ("patient_id", "pseudonym")
_LONGEST = {"study_instance_uid": 64, "time_point_description": 1024}  # characters; 64 for all others

Patients = Mapping[Any, str]  # (Patient ID, issuer) -> person, or Patient ID -> person for any issuer


def patient_key_of(patient_id: str, issuer: str, study_uid: str, patients: Patients) -> str:
    """Return the key of the person that an instance belongs to; "" where the header names neither patient nor study."""
    if not patient_id:
        return f"study:{study_uid}" if study_uid else ""
    person = patients.get((patient_id, issuer)) or patients.get(patient_id)
    if person:
        return f"person:{person}"
    return f"id:{patient_id}" + (f"{ISSUER_SEPARATOR}{issuer}" if issuer else "")


class SubjectTable:
    """A site's table of subjects: a row on a study wins over that of its patient, one with an issuer over one without."""

    def __init__(self, rows: Iterable[Mapping[str, str]], patients: Patients) -> None:
        self._subjects: dict[tuple[str, str], Subject] = {}
        for row in rows:
            study = row["study_instance_uid"]
            key = patient_key_of(row["patient_id"], row["issuer"], study, patients)
            subject = Subject(**{name: row[name] for name in SUBJECT_FIELDS})
            if self._subjects.setdefault((key, study), subject) != subject:
                raise ConfigError(
                    "Subjects: two rows say different things of one patient and study (IDs that the table of patients "
                    "joins are one patient); keep one of them."
                )

    def find(self, patient_key: str, study_uid: str) -> Subject | None:
        """Return what the table says of a patient's study, None if it does not know the patient."""
        keys = [patient_key]
        if patient_key.startswith("id:"):
            keys.append(patient_key.partition(ISSUER_SEPARATOR)[0])
        for study in (study_uid, ""):
            for key in keys:
                if (found := self._subjects.get((key, study))) is not None:
                    return found
        return None


def table_problem(rows: list[dict[str, str]], *, trial: bool) -> str:
    """Return what is wrong with a table of subjects, "" if nothing is; `trial`: the policy writes trial attributes."""
    sources = {row["patient_id"] for row in rows if row["patient_id"]}
    owners: dict[str, tuple[str, str]] = {}
    for number, row in enumerate(rows, start=2):
        where = f"Subjects, line {number}:"
        if not row["pseudonym"] or not (row["patient_id"] or row["study_instance_uid"]):
            return f"{where} patient_id (or, without one, study_instance_uid) and pseudonym need a value."
        for name in SUBJECT_FIELDS:
            value = row[name]
            if not (value.isascii() and value.isprintable()) or "\\" in value or len(value) > _LONGEST.get(name, 64):
                return f"{where} {name} takes up to {_LONGEST.get(name, 64)} printable ASCII characters, no backslash."
        if row["pseudonym"] in sources:
            return f"{where} the pseudonym is a patient_id of this table; choose another."
        if trial and not (row["sponsor_name"] and row["protocol_id"]):
            return f"{where} sponsor_name and protocol_id need a value: the policy writes trial attributes."
        patient = (row["patient_id"], row["issuer"])
        if row["patient_id"] and owners.setdefault(row["pseudonym"], patient) != patient:
            return f"{where} the pseudonym belongs to another patient; join their IDs with --patients."
    keys = [(row["patient_id"], row["issuer"], row["study_instance_uid"]) for row in rows]
    return "Subjects: two lines name one patient and study; keep one of them." if len({*keys}) < len(keys) else ""


class PseudonymStore:
    """Random codes by patient key in a file of mode 0600; a known patient's code never changes under one salt."""

    def __init__(self, path: Path, salt_id: str) -> None:
        self.path, self.salt_id = path, salt_id

    def exists(self) -> bool:
        """Tell whether there is a table for this salt."""
        return self.path.exists() and self._read()["salt_id"] == self.salt_id

    def codes_of(self, patient_keys: Iterable[str]) -> dict[str, str]:
        """Return the code of each patient; new ones are drawn and written before they are returned.

        A table of another salt is put aside under that salt's name: a new salt renames everybody.
        """
        stored = self._read() if self.path.exists() else None
        if stored is not None and stored["salt_id"] != self.salt_id:
            self.path.replace(self.path.with_name(f"pseudonyms.{stored['salt_id']}.json"))
            stored = None
        former = self.path.with_name(f"pseudonyms.{self.salt_id}.json")
        if stored is None and former.exists():
            former.replace(self.path)
            stored = self._read()
        codes: dict[str, str] = dict(stored["pseudonyms"]) if stored else {}
        wanted = sorted({*patient_keys})
        missing = [key for key in wanted if key not in codes]
        taken = {*codes.values()}
        for key in missing:
            code = _random_code()
            while code in taken:
                code = _random_code()
            codes[key] = code
            taken.add(code)
        if missing or stored is None:
            self._write(codes)
        return {key: codes[key] for key in wanted}

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_bytes())
            return {"salt_id": str(content["salt_id"]), "pseudonyms": dict(content["pseudonyms"])}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"private/{self.path.name} is damaged ({type(error).__name__}): put back a copy, or remove it and every "
                "patient gets a new code."
            ) from None

    def _write(self, codes: Mapping[str, str]) -> None:
        part = self.path.with_name(f".{self.path.name}.writing")
        content = json.dumps({"salt_id": self.salt_id, "pseudonyms": codes}, indent=1, sort_keys=True) + "\n"
        with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="ascii") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self.path)


def _random_code() -> str:
    import secrets  # few policies ask for it, and a job pays for its imports

    return "P" + base64.b32encode(secrets.token_bytes(10)).decode("ascii")


# Attribute of the clinical trial modules (PS3.3 C.7.1.3, C.7.2.3) -> VR and column; Type 2 ones may be empty.
_TRIAL = {
    0x00120010: ("LO", "sponsor_name"),
    0x00120020: ("LO", "protocol_id"),
    0x00120021: ("LO", "protocol_name"),
    0x00120030: ("LO", "site_id"),
    0x00120031: ("LO", "site_name"),
    0x00120040: ("LO", "pseudonym"),
    0x00120050: ("LO", "time_point_id"),
    0x00120051: ("ST", "time_point_description"),
}
_ALWAYS = frozenset({0x00120010, 0x00120020, 0x00120021, 0x00120030, 0x00120031, 0x00120040})


def trial_attributes(subject: Subject) -> dict[int, tuple[str, str]]:
    """Return the clinical trial attributes of a subject: tag -> (VR, text)."""
    values = {tag: (vr, getattr(subject, name)) for tag, (vr, name) in _TRIAL.items()}
    return {tag: value for tag, value in values.items() if value[1] or tag in _ALWAYS}
