"""Dates move by one secret offset per patient, or are cut to the year; nothing that moves tells the offset."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from pydicom.datadict import DicomDictionary

from deid_reference_options import is_constant, is_published
from phi_deid_pipeline.dates import CONSTANT_DATES, OWN_DUMMIES, offset_days, shift_date, to_year
from phi_deid_pipeline.deid_plans import Kind, Plan, Planner
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.policy_rows import PUBLISHED_DATES
from phi_deid_pipeline.ps3_15_rules import load_dictionary

SALT, OTHER = b"a" * 32, b"b" * 32
WEEK = -7 * 100  # 2 January 2024 -> 1 February 2022


def shifted(vr: str, text: str, offset: int = WEEK) -> str | None:
    value = shift_date(vr, text.encode("latin-1"), offset)
    return None if value is None else value.decode("ascii")


# --------------------------------------------------------------------------- the offset


def test_offset_is_pinned_so_that_runs_in_years_agree() -> None:
    assert offset_days(b"x" * 32, "id:4711") == -3031


def test_offset_is_of_whole_weeks_between_one_year_and_ten_and_spread_over_them() -> None:
    offsets = [offset_days(SALT, f"id:{number}") for number in range(5000)]
    assert all(offset % 7 == 0 and -520 * 7 <= offset <= -52 * 7 for offset in offsets)
    assert len(set(offsets)) == 469
    assert max(Counter(offsets).values()) < 40


def test_offset_depends_on_salt_and_patient() -> None:
    keys = [f"id:{number}" for number in range(200)]
    assert sum(offset_days(SALT, key) == offset_days(OTHER, key) for key in keys) < 5
    assert sum(offset_days(SALT, a) == offset_days(SALT, b) for a, b in itertools.pairwise(keys)) < 5


# --------------------------------------------------------------------------- what moves


@pytest.mark.parametrize(
    ("vr", "before", "after"),
    [
        ("DA", "20240102", "20220201"),
        ("DA", "2024.01.02", "2022.02.01"),
        ("DA", "20240102\\20240109", "20220201\\20220208 "),
        ("DA", "20240102\\\\20240109", "20220201\\\\20220208"),
        ("DA", " 20240102 ", "20220201"),
        ("DA", "20240102\0\0", "20220201"),
        ("DA", "20240229", "20220331"),
        ("DA", "20240229\\20240301", "20220331\\20220401 "),
        ("DT", "20240102", "20220201"),
        ("DT", "2024010223", "2022020123"),
        ("DT", "202401022359", "202202012359"),
        ("DT", "20240102235960", "20220201235960"),
        ("DT", "20240102235959.123456+0130", "20220201235959.123456+0130"),
        ("DT", "20240102-0500", "20220201-0500 "),
        ("DT", "202401021200+1400", "202202011200+1400 "),
        ("DT", "20240102120000\\20240103", "20220201120000\\20220202 "),
    ],
)
def test_full_dates_move_and_keep_time_suffix_and_separator(vr: str, before: str, after: str) -> None:
    assert shifted(vr, before) == after


@pytest.mark.parametrize("vr", ["DA", "DT"])
@pytest.mark.parametrize("value", [b"", b"  ", b"\0\0", b"\\", b" \\ \0"])
def test_blank_values_stay(vr: str, value: bytes) -> None:
    assert shift_date(vr, value, WEEK) is None
    assert to_year(vr, value) is None


def test_weekdays_and_all_intervals_hold_to_the_day_over_leap_years_and_changes_of_the_clock() -> None:
    first = date(2023, 10, 1)
    for offset in (-364, -3640, -7 * 313):
        for days in range(0, 900, 13):
            before = first + timedelta(days=days)
            value = shift_date("DA", f"{before:%Y%m%d}".encode(), offset)
            assert value is not None
            moved = date(int(value[:4]), int(value[4:6]), int(value[6:8]))
            assert before - moved == timedelta(days=-offset)
            assert before.weekday() == moved.weekday()


# --------------------------------------------------------------------------- what must not move

NO_DATES = [
    *("2024", "202401", "20240000", "20240100", "20241301", "20230229", "2024-01-02", "02.01.2024", "240102"),
    *("20240102-20240103", "20240102x", "2024.0102", "202401.02", "JAN 2024", "Quixotte", "\xb2\xb2024011", "0"),
    *("00000000", "00010101", "11111111", "18991231", "18581117", "21010101", "99991231", "99999999"),
]
NO_TIMES = [
    "2024010224",
    "202401021260",
    "20240102120061",
    "2024010212000.5",
    "20240102+1500",
    "20240102T12",
    "2024010212+01",
]


@pytest.mark.parametrize("text", [*NO_DATES, *sorted(CONSTANT_DATES)])
@pytest.mark.parametrize(("vr", "dummy"), [("DA", "19000101"), ("DT", "19000101000000")])
def test_partial_impossible_and_constant_dates_become_the_dummy(vr: str, dummy: str, text: str) -> None:
    assert shifted(vr, text) == dummy


@pytest.mark.parametrize("text", NO_TIMES)
def test_a_date_time_that_is_none_becomes_the_dummy(text: str) -> None:
    assert shifted("DT", text) == "19000101000000"


def test_one_bad_value_among_good_ones_becomes_a_dummy_alone() -> None:
    assert shifted("DA", "20240102\\99991231\\20240109") == "20220201\\19000101\\20220208"


def test_a_time_in_a_date_is_no_date() -> None:
    assert shifted("DA", "20240102120000") == "19000101"


def test_guessable_dates_become_the_dummy() -> None:
    births = frozenset({"19510314"})
    assert shift_date("DA", b"19510314", WEEK, births) == b"19000101"
    assert shift_date("DT", b"1951031408", WEEK, births) == b"19000101000000"
    assert shift_date("DA", b"19510315", WEEK, births) != b"19000101"
    assert to_year("DA", b"1951.03.14", births) == b"19000101"
    assert to_year("DT", b"19510314081500 ", births) == b"19000101000000"
    assert to_year("DT", b"19510315081500 ", births) == b"1951"


@pytest.mark.parametrize("start", [date(1900, 1, 2), date(1901, 1, 2), date(1910, 12, 31)])
def test_a_shifted_date_is_neither_a_dummy_by_chance_nor_before_1900(start: date) -> None:
    for weeks in range(52, 521):
        value = shift_date("DA", f"{start:%Y%m%d}".encode(), -7 * weeks)
        moved = start - timedelta(weeks=weeks)
        expected = f"{moved:%Y%m%d}".encode()
        kept = moved.year >= 1900 and expected.decode() not in OWN_DUMMIES
        assert value == (expected if kept else b"19000101")


# What software and people write where they do not know a date; gathered without a look at what the module knows.
GUESSES = [
    *("19000101", "19010101", "19040101", "19110101", "19500101", "19600101", "19691231", "19700101"),
    *("19720101", "19800101", "19800106", "19840101", "19900101", "19950101", "19960101", "19990101", "19991231"),
    *("20000101", "20010101", "20020101", "20030101", "20050101", "20100101", "20150101", "20200101", "20380119"),
    *("20491231", "20500101", "20991231", "21000101", "00010101", "11111111", "15821015", "16010101", "17530101"),
    *("18581117", "18991230", "18991231", "21010101", "22220101", "22221231", "29991231", "30001231", "99991231"),
]


def test_the_offset_cannot_be_recovered_from_guessable_dates() -> None:
    """An attacker who knows what software writes for no date subtracts it from every date of the output."""
    for key in (f"id:{number}" for number in range(60)):
        offset = offset_days(SALT, key)
        released = [shift_date(vr, guess.encode(), offset) for vr in ("DA", "DT") for guess in GUESSES]
        texts = {value.decode().strip()[:8] for value in released if value}
        assert texts == {"19000101"}, "the same for every patient: it tells nothing"


OF_A_PATIENT = {"ScheduledProcedureStepExpirationDateTime", "AssertionExpirationDateTime", "SourceStartDateTime"}
SHARED_WORDS = re.compile(
    "Calibration|Expir[ay]|EthicsCommittee|DateOfManufacture|Installation|ContextGroup|Template(Local)?Version|Selector"
    "|HangingProtocol|SourceStrength|^Procedure(Creation|Last)|RouteSegment|Inventory|^EffectiveDateTime|InformationIssue"
    "|Contribution|^InstanceC|SecondaryCapture|AttributeModification|ModifiedImage|StudyUpdate|OOIOwnerCreation|^CreationDate"
)


def test_no_date_that_many_patients_share_is_moved() -> None:
    """One patient's true date and the moved one tell the offset, and with it that of all who share the date."""
    shared = {
        tag
        for tag, (vr, keyword) in load_dictionary().items()
        if vr in ("DA", "DT") and SHARED_WORDS.search(keyword) and keyword not in OF_A_PATIENT
    }
    assert len(shared) == 38
    planner = Planner(load_policy("research_longitudinal"))
    for tag in sorted(shared):
        vr = load_dictionary()[tag][0]
        for parent in ((), (0x0018A001,)):
            kind = planner.decide(Plan(parent, "SQ", ("1.2.840.10008.5.1.4.1.1.2", "", "")), tag, vr).kind
            assert kind in (Kind.DUMMY, Kind.REMOVE, Kind.EMPTY), f"{tag:08X}"


def test_calibration_of_a_device_in_a_report_is_not_moved() -> None:
    found = load_policy("research_longitudinal").resolve_concept("113723", "DCM", "DATETIME")
    assert found is not None
    assert found.action == "D"


def test_dates_of_two_patients_tell_nothing_of_each_other() -> None:
    same_day = Counter(shift_date("DA", b"20240102", offset_days(SALT, f"id:{n}")) for n in range(2000))
    assert len(same_day) > 400


# --------------------------------------------------------------------------- the year alone


@pytest.mark.parametrize(
    ("vr", "before", "after"),
    [
        ("DA", "20240102", "20240101"),
        ("DA", "2024.12.31", "20240101"),
        ("DA", "20240102\\20231231", "20240101\\20230101 "),
        ("DA", "2024", "19000101"),
        ("DA", "99991231", "19000101"),
        ("DT", "20240102", "2024"),
        ("DT", "20240102120000.5+0100", "2024"),
        ("DT", "202401", "2024"),
        ("DT", "2024", "2024"),
        ("DT", "18991231", "19000101000000"),
        ("DT", "Quixotte", "19000101000000"),
    ],
)
def test_to_year_keeps_nothing_but_a_plausible_year(vr: str, before: str, after: str) -> None:
    value = to_year(vr, before.encode())
    assert value is not None
    assert value.decode() == after


@pytest.mark.parametrize("missing", ["dates", "max_age", "overrides", "safe_private", "goes_with"])
def test_a_policy_that_lacks_a_setting_is_refused(missing: str) -> None:
    settings = {"dates": "shift", "max_age": 89, "overrides": (), "safe_private": {}, "goes_with": {}}
    assert Planner(SimpleNamespace(**settings)).dates == "shift"
    del settings[missing]
    with pytest.raises(AttributeError, match=missing):
        Planner(SimpleNamespace(**settings))


def test_the_reference_finds_the_same_constant_and_shared_dates_by_its_own_rules() -> None:
    days = (date(1900, 1, 1) + timedelta(days=number) for number in range(366 * 201))
    written = {f"{day:%Y%m%d}" for day in days if day.year <= 2100}
    assert {day for day in written if is_constant(day)} == CONSTANT_DATES
    dated = {tag for tag, entry in DicomDictionary.items() if {"DA", "DT"} & set(entry[0].split(" or "))}
    assert {tag for tag in dated if is_published(tag)} == PUBLISHED_DATES
