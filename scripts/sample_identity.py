"""The invented people of the sample input, and everything about them that must not leave the building."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

UID_ROOT = "1.3.6.1.4.1.99773.40."  # an invented root; what follows is drawn from a hash


def source_uid(*parts: object) -> str:
    """Return the source UID of a thing named by its parts: always the same one."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return UID_ROOT + str(int.from_bytes(digest[:14], "big") | 1 << 111)


@dataclass(frozen=True, slots=True)
class Person:
    """One invented patient with staff and hospital; dates as DICOM writes them (YYYYMMDD)."""

    family: str
    given: str
    middle: str
    patient_id: str
    other_id: str
    birth_date: str
    sex: str
    age: str
    phone: str
    address: str
    email: str
    accession: str
    study_id: str
    study_date: str
    admission_id: str
    institution: str
    department: str
    referring: str
    performing: str
    operator: str
    station: str
    serial: str
    ethnic_group: str

    @property
    def person_name(self) -> str:
        return f"{self.family}^{self.given}^{self.middle}"

    @property
    def printed_name(self) -> str:
        return f"{self.family.upper()} {self.given.upper()}"

    @property
    def folder(self) -> str:
        return f"{self.family}_{self.given}_{self.patient_id}"

    @property
    def study_uid(self) -> str:
        return source_uid(self.patient_id, "study")


OTTOLINE = Person(
    family="Zimmerlin",
    given="Ottoline",
    middle="Maeve",
    patient_id="MRN77304419",
    other_id="XK-5503-Q8",
    birth_date="19530817",
    sex="F",
    age="070Y",
    phone="+49 761 5550147",
    address="17 Quillfeather Lane, Ely CB7 4ZQ",
    email="ottoline.zimmerlin@example.org",
    accession="ACC88120457",
    study_id="S4471902",
    study_date="20240229",
    admission_id="ADM6620913",
    institution="St Wendreda Infirmary",
    department="Radiology Ward Thornapple",
    referring="Okonjowa^Tobias^^Dr",
    performing="Vandersteen^Pia^^Dr",
    operator="Lindqvister^Jorund",
    station="WENDREDACT3",
    serial="SN448812907",
    ethnic_group="Ruritanian",
)
BARNABY = Person(
    family="Hollowmere",
    given="Barnaby",
    middle="Crispin",
    patient_id="MRN90215573",
    other_id="XK-8841-B2",
    birth_date="19870403",
    sex="M",
    age="036Y",
    phone="+44 1353 555862",
    address="4 Saltmarsh Row, Wisbech PE13 1AB",
    email="b.hollowmere@example.org",
    accession="ACC90551278",
    study_id="S5510386",
    study_date="20240311",
    admission_id="ADM7703344",
    institution="St Wendreda Infirmary",
    department="Radiology Ward Thornapple",
    referring="Pemberlight^Agatha^^Dr",
    performing="Vandersteen^Pia^^Dr",
    operator="Lindqvister^Jorund",
    station="WENDREDACT3",
    serial="SN448812907",
    ethnic_group="Ruritanian",
)
PERSONS = (OTTOLINE, BARNABY)


def written_dates(date: str) -> list[str]:
    """Return the ways in which a DICOM date is usually written by people and machines."""
    year, month, day = date[:4], date[4:6], date[6:]
    return [date, f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{month}/{day}/{year}"]


def _planted() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}

    def add(kind: str, *values: str) -> None:
        found.setdefault(kind, []).extend(value for value in values if value not in found.get(kind, []))

    for person in PERSONS:
        add("name", person.family, person.given, person.middle, person.person_name, person.printed_name)
        for staff in (person.referring, person.performing, person.operator):
            add("person", *[part for part in staff.split("^") if len(part) > 3])
        add("record_number", person.patient_id, person.other_id)
        add("accession", person.accession, person.study_id, person.admission_id)
        add("date", *written_dates(person.birth_date), *written_dates(person.study_date))
        add("institution", person.institution, "Wendreda", "Thornapple")
        add("address", person.address, person.address.split(",")[0], person.address.split()[-2])
        add("contact", person.phone, person.phone.split()[-1], person.email)
        add("device", person.station, person.serial)
        add("other", person.ethnic_group)
        add("folder", person.folder)
        add("uid", person.study_uid, UID_ROOT)
    return found


# Kind -> values. UID_ROOT among them is how every source UID of the synthetic studies begins.
PLANTED: dict[str, list[str]] = _planted()
