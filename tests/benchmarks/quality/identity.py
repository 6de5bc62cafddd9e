"""One invented patient with staff, hospital and devices, drawn from a pool by a seeded generator."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks.quality.pools import CHARSETS, pool_of

UID_ROOT = "1.3.6.1.4.1.99871.7."  # an invented root


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name in parts."""

    family: str
    given: str

    @property
    def dicom(self) -> str:
        return f"{self.family}^{self.given}"

    @property
    def parts(self) -> tuple[str, str]:
        return self.family, self.given


@dataclass(frozen=True, slots=True)
class Identity:
    """All identifiers of one patient. Header places tell of them, apart from `strangers` and what begins with other_."""

    name: Name
    foreign: Name | None
    charset: str
    middle: str
    patient_id: str
    other_id: str
    birth_date: str
    study_date: str
    dates: tuple[str, ...]
    phone: str
    street: str
    city: str
    postcode: str
    email: str
    ssn: str
    accession: str
    study_id: str
    admission_id: str
    order: str
    institution: str
    department: str
    referring: Name
    performing: Name
    operator: Name
    reading: Name
    relative: Name
    station: str
    serial: str
    ae_title: str
    issuer: str
    subject: str
    strangers: tuple[Name, ...]
    study_uid: str = ""
    frame_uid: str = ""
    extra: dict[str, str] = field(default_factory=dict)


class Drawer:
    """Draws names and numbers; no name and no number comes twice in a corpus."""

    def __init__(self, seed: int) -> None:
        self.seed, self.pool = seed, pool_of(seed)
        self.rng = random.Random(f"quality {seed}")
        self._used: set[str] = set()
        self._families: list[str] = []
        self._givens: list[str] = []

    def name(self) -> Name:
        """Return a name whose family name was not used before, as long as the pool lasts."""
        if not self._families:
            self._families = self.rng.sample(self.pool.families, len(self.pool.families))
        if not self._givens:
            self._givens = self.rng.sample(self.pool.givens, len(self.pool.givens))
        return Name(self._families.pop(), self._givens.pop())

    def digits(self, count: int) -> str:
        """Return a number of `count` digits without a zero in front, not drawn before unless it has three digits or less."""
        while True:
            number = str(self.rng.randrange(10 ** (count - 1), 10**count))
            if (count <= 3 or number not in self._used) and not number.startswith(("19", "20")):
                self._used.add(number)
                return number

    def uid(self) -> str:
        """Return a UID of the invented root."""
        return UID_ROOT + f"{self.digits(9)}.{self.digits(12)}"

    def date(self, first_year: int, last_year: int) -> str:
        """Return a date of the years given, its day above 12 so that its order is plain."""
        year, month = self.rng.randint(first_year, last_year), self.rng.randint(1, 12)
        return f"{year}{month:02d}{self.rng.randint(13, 28)}"

    def dates(self, year: int, count: int) -> tuple[str, ...]:
        """Return different dates of a year, sorted."""
        days = [f"{year}{month:02d}{day}" for month in range(1, 13) for day in range(13, 29)]
        return tuple(sorted(self.rng.sample(days, count)))


def draw_identity(draw: Drawer, charset: str = "") -> Identity:
    """Return a new patient; with a key of CHARSETS the name is written in that script."""
    rng, pool = draw.rng, draw.pool
    number = rng.randrange(len(pool.cities))
    name = draw.name()
    year = rng.randint(2016, 2023)
    # All within one year: an offset of a year or more can never turn one of them into another.
    dates = draw.dates(year, 24)
    foreign = Name(*pool.foreign[charset]) if charset else None
    assert not charset or charset in CHARSETS
    return Identity(
        name=name,
        foreign=foreign,
        charset=charset,
        middle=rng.choice(pool.givens),
        patient_id=f"MRN{draw.digits(8)}",
        other_id=f"HX-{draw.digits(7)}-{rng.choice('BKQT')}",
        birth_date=draw.date(1931, 1989),
        study_date=dates[3],
        dates=dates,
        phone=f"+{rng.choice(['44', '49', '33', '39'])} {draw.digits(3)} {draw.digits(7)}",
        street=f"{rng.randint(11, 97)} {rng.choice(pool.streets)} Street",
        city=pool.cities[number],
        postcode=draw.digits(5),
        email=f"{name.given}.{name.family}@{rng.choice(pool.domains)}".lower().replace("ü", "ue"),
        ssn=f"{draw.digits(3)}-{rng.randint(11, 99)}-{draw.digits(4)}",
        accession=f"ACC{draw.digits(9)}",
        study_id=f"ST{draw.digits(7)}",
        admission_id=f"ADM{draw.digits(7)}",
        order=f"ORD{draw.digits(8)}",
        institution=rng.choice(pool.institutions),
        department=rng.choice(pool.departments),
        referring=draw.name(),
        performing=draw.name(),
        operator=draw.name(),
        reading=draw.name(),
        relative=draw.name(),
        station=f"SCN{draw.digits(5)}Q",
        serial=f"SN{draw.digits(8)}",
        ae_title=f"AET{draw.digits(6)}",
        issuer=f"ISS{draw.digits(6)}",
        subject=f"SUBJ{draw.digits(6)}",
        strangers=tuple(draw.name() for _ in range(4)),
        study_uid=draw.uid(),
        frame_uid=draw.uid(),
    )
