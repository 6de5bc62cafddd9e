"""Days of a patient that are written as numbers: they go, measures and counts stay, and verification agrees."""

from __future__ import annotations

import itertools
import random
import struct

import pytest

from phi_deid_pipeline.known_days import KnownDays, is_counter
from phi_deid_pipeline.verification_bytes import Value
from phi_deid_pipeline.verification_dates import NumericDays

DAYS = ("20240229", "19530817")
KNOWN, JUDGE = KnownDays(DAYS), NumericDays(frozenset(DAYS))
SERIES_NUMBER, TRIGGER_TIME, POSITION_INDEX, DURATION = 0x00200011, 0x00181060, 0x00209128, 0x00189073
FORMS = {"UL": "<I", "SL": "<i", "UV": "<Q", "SV": "<q", "FL": "<f", "FD": "<d"}


def written(vr: str, number: str) -> bytes:
    if vr not in FORMS:
        return number.encode()
    return struct.pack(FORMS[vr], float(number) if vr in ("FL", "FD") else int(number))


def left(tag: int, vr: str, data: bytes) -> bytes:
    if vr not in FORMS:
        found = KNOWN.in_text(data, counter=is_counter(tag))
        return (
            data
            if found is None
            else b"\\".join(b"0" if day else part for day, part in zip(found, data.split(b"\\"), strict=True))
        )
    new = KNOWN.without_days(vr, data, little=True, counter=is_counter(tag))
    return data if new is None else new


def is_found(tag: int, vr: str, data: bytes) -> bool:
    return bool(list(JUDGE.problems(Value((tag,), (), vr, 0, len(data), b""), data, little=True)))


@pytest.mark.parametrize(
    ("tag", "vr", "number"),
    [
        (SERIES_NUMBER, "IS", "20240229"),
        (SERIES_NUMBER, "IS", "240229"),
        (SERIES_NUMBER, "IS", "530817"),
        (SERIES_NUMBER, "IS", "290224"),
        (TRIGGER_TIME, "DS", "20240229.0"),
        (TRIGGER_TIME, "DS", "2.0240229E7"),
        (TRIGGER_TIME, "DS", "1709164800"),
        (TRIGGER_TIME, "DS", "1709251199.5"),
        (TRIGGER_TIME, "DS", "1709164800000"),
        (TRIGGER_TIME, "DS", "-516758400"),
        (TRIGGER_TIME, "DS", "17081953"),
        (POSITION_INDEX, "UL", "20240229"),
        (POSITION_INDEX, "UL", "240229"),
        (DURATION, "FD", "20240229.0"),
        (DURATION, "FL", "20240229.0"),
        (DURATION, "SL", "1709164800"),
        (DURATION, "UV", "1709164800123"),
        (DURATION, "SV", "20240229"),
    ],
)
def test_a_number_that_is_a_day_of_the_patient_goes(tag: int, vr: str, number: str) -> None:
    data = written(vr, number)
    assert is_found(tag, vr, data)
    after = left(tag, vr, data)
    assert not after.strip(b"0\x00") and not is_found(tag, vr, after)


@pytest.mark.parametrize(
    ("tag", "vr", "number"),
    [
        (SERIES_NUMBER, "IS", "301"),
        (SERIES_NUMBER, "IS", "240301"),
        (TRIGGER_TIME, "DS", "240229"),
        (TRIGGER_TIME, "DS", "240229.5"),
        (TRIGGER_TIME, "DS", "0.20240229"),
        (TRIGGER_TIME, "DS", "1709160000"),  # round: a count
        (TRIGGER_TIME, "DS", "1709400000"),
        (POSITION_INDEX, "UL", "20240301"),
        (DURATION, "FD", "1e300"),
        (DURATION, "FD", "nan"),
        (DURATION, "FL", "-inf"),
    ],
)
def test_a_number_that_is_no_day_of_the_patient_stays(tag: int, vr: str, number: str) -> None:
    data = written(vr, number)
    assert left(tag, vr, data) == data and not is_found(tag, vr, data)


def test_only_the_component_that_is_a_day_goes() -> None:
    data = struct.pack("<3d", 1.5, 20240229.0, 3.0)
    assert KNOWN.without_days("FD", data, little=True, counter=False) == struct.pack("<3d", 1.5, 0.0, 3.0)
    assert KNOWN.without_days("FD", data[:20], little=True, counter=False) is None
    assert KNOWN.in_text(b"1.5\\20240229\\ ", counter=False) == [False, True, False]


def test_big_endian_is_read_as_such() -> None:
    data = struct.pack(">I", 20240229)
    assert KNOWN.without_days("UL", data, little=False, counter=False) == bytes(4)
    assert KNOWN.without_days("UL", data, little=True, counter=False) is None


def test_verification_finds_no_day_in_what_the_engine_leaves() -> None:
    chance = random.Random(5)
    near = [
        day + step for day in (20240229, 19530817, 240229, 1709164800, 1709251200) for step in range(-50400, 50401, 700)
    ]
    near += [chance.randrange(10**exponent) for exponent in range(4, 16) for _ in range(50)]
    for number, (tag, vr) in itertools.product(near, ((SERIES_NUMBER, "IS"), (DURATION, "FD"), (POSITION_INDEX, "SV"))):
        data = written(vr, str(number))
        if left(tag, vr, data) == data:
            assert not is_found(tag, vr, data), number
