"""What planted lines say: words of an invented patient whose header knows most of them, and technical words."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.quality.pools import DEVELOPMENT, REPORTED, REPORTED_FROM, Pool

STRANGER = 0.2  # share of lines whose words the header does not know
ACCENTED = ("latin1", "latin2", "latin3", "latin4", "latin5")
NON_LATIN = ("cyrillic", "greek")
GROUPS = ((3, 3, 4), (3, 3, 3), (2, 2, 2, 2), (4, 4, 2), (3, 2, 4))  # digits of a number that is written in groups
AGES = (90, 106)  # years, the upper bound not among them: what Safe Harbor hides
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TECHNICAL = (
    "MI 0.8", "TIS 0.4", "120 kV", "L", "R", "SUPINE", "AP", "Gain 54%", "FR 32 Hz", "T1", "TE 90", "TR 500", "W 400",
    "C 40", "LAT", "PORTABLE", "15 cm", "2D", "Im 12", "THK 5 mm", "FOV 24 cm", "AXIAL", "Kidney", "Left", "erect",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patient:
    """Who a picture shows. Dates are YYYYMMDD, times HHMMSS."""

    family: str
    given: str
    patient_id: str
    accession: str
    birth_date: str
    study_date: str
    study_time: str
    institution: str
    physician: str


def pool_of(seed: int) -> Pool:
    """Return the names of a seed: those for reports come from a pool of their own."""
    return REPORTED if seed >= REPORTED_FROM else DEVELOPMENT


def patient(random: np.random.Generator, pool: Pool) -> Patient:
    """Draw a patient."""
    return Patient(
        family=str(random.choice(pool.families)),
        given=str(random.choice(pool.givens)),
        patient_id=_digits(random, int(random.integers(6, 11))),
        accession="A" + _digits(random, 8),
        birth_date=_date(random, 1925, 2010),
        study_date=_date(random, 2011, 2026),
        study_time=f"{random.integers(24):02d}{random.integers(60):02d}{random.integers(60):02d}",
        institution=str(random.choice(pool.institutions)),
        physician=f"{random.choice(pool.families)}^{random.choice(pool.givens)}",
    )


def _digits(random: np.random.Generator, count: int) -> str:
    return "".join(random.choice(list(string.digits), count))


def _date(random: np.random.Generator, first: int, last: int) -> str:
    return f"{random.integers(first, last):04d}{random.integers(1, 13):02d}{random.integers(1, 29):02d}"


def identifying(random: np.random.Generator, known: Patient, pool: Pool, style: str) -> str:
    """Return a line that identifies: mostly of the patient in the header, else of somebody it does not name."""
    if style in ("accents", "non_latin"):
        script = str(random.choice(ACCENTED if style == "accents" else NON_LATIN))
        family, given = pool.foreign[script]
        return f"{family}, {given}" if random.random() < 0.5 else f"{given} {family}"
    who = known if random.random() >= STRANGER else patient(random, pool)
    if style == "initials":
        return who.given[0].upper() + who.family[: int(random.integers(1, 3))].upper()
    if style in NUMBERS:
        return NUMBERS[style](random, who)
    if style == "large":
        return str(random.choice([who.family.upper(), who.given.upper(), who.patient_id]))
    names: list[Callable[[], str]] = [
        lambda: f"{who.family}^{who.given}",
        lambda: f"{who.family}, {who.given}",
        lambda: f"{who.given} {who.family}",
        lambda: f"Name: {who.family}",
        lambda: who.institution,
        lambda: f"Dr. {who.physician.split('^')[0]}",
    ]
    numbers: list[Callable[[], str]] = [
        lambda: who.patient_id,
        lambda: f"ID: {who.patient_id}",
        lambda: f"Acc {who.accession}",
        lambda: written_date(random, who.study_date),
        lambda: f"DOB {written_date(random, who.birth_date)}",
        lambda: f"{who.study_time[:2]}:{who.study_time[2:4]}:{who.study_time[4:]}",
    ]
    chosen = numbers if style == "digits" else names if style in ("upper", "lower") else names + numbers
    text = chosen[random.integers(len(chosen))]()
    return text.upper() if style == "upper" else text.lower() if style == "lower" else text


def written_date(random: np.random.Generator, date: str) -> str:
    """Return a date as devices write it."""
    year, month, day = date[:4], date[4:6], date[6:]
    forms = (
        f"{day}.{month}.{year}", f"{month}/{day}/{year}", f"{year}-{month}-{day}",
        f"{day}-{MONTHS[int(month) - 1]}-{year}", f"{day} {MONTHS[int(month) - 1].upper()} {year[2:]}",
    )  # fmt: skip
    return forms[random.integers(len(forms))]


def _grouped(random: np.random.Generator, who: Patient) -> str:
    """Return the patient's number as people write long numbers: in groups of two to four digits."""
    ways = []
    for sizes in GROUPS:
        ends = np.cumsum((0, *sizes))
        ways.append([part for start, end in pairwise(ends) if (part := who.patient_id[start:end])])
    whole = [way for way in ways if "".join(way) == who.patient_id and len(way[-1]) > 1]
    label = str(random.choice(["", "ID ", "ID: ", "MRN ", "No. "], p=[0.6, 0.1, 0.1, 0.1, 0.1]))
    return label + " ".join(whole[random.integers(len(whole))])


def _aged(random: np.random.Generator, _: Patient) -> str:
    age, sex = int(random.integers(*AGES)), str(random.choice(["F", "M"]))
    forms = (
        f"{sex} {age}Y", f"{age:03d}Y" if age < 100 else f"{age} y", f"{age} y {sex.lower()}", f"Age {age}", f"{sex}/{age}",
        f"Age: {age}", f"{age} years", f"{age}y",
    )  # fmt: skip
    return forms[random.integers(len(forms))]


def _day_month(random: np.random.Generator, who: Patient) -> str:
    """Return day and month of the study, without its year."""
    month, day, name = who.study_date[4:6], who.study_date[6:], MONTHS[int(who.study_date[4:6]) - 1]
    forms = (
        f"{day}.{month}.",
        f"{day} {name}",
        f"{name} {int(day)}",
        f"{day}-{name.upper()}",
        f"{month}/{day}",
        f"{day}.{month}",
    )
    clock = f" {who.study_time[:2]}:{who.study_time[2:4]}" if random.random() < 0.3 else ""
    return forms[random.integers(len(forms))] + clock


NUMBERS: dict[str, Callable[[np.random.Generator, Patient], str]] = {
    "grouped": _grouped, "aged": _aged, "day_month": _day_month,
}  # fmt: skip
