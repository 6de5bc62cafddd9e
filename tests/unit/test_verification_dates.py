"""Changed dates: one offset per patient, found and not told; dummies and guessable dates; years; ages."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi_deid_pipeline import dates
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.policy_rows import PUBLISHED_DATES
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.verification import SeriesVerifier
from phi_deid_pipeline.verification_dates import GUESSABLE, SHARED
from unit.test_verification import LEXICON, PSEUDONYM, UIDS, Bench, save

SHIFT = load_policy("research_longitudinal")
YEAR = load_policy("gdpr")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.policy = SHIFT
    made.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    for name, before, after in (
        ("StudyDate", "20200102", "20180104"),  # 728 days, 104 weeks
        ("SeriesDate", "20200109", "20180111"),
        ("AcquisitionDateTime", "20200102101500.5+0100", "20180104101500.5+0100"),
        ("StudyReadDate", ["20191205", "20191226"], ["20171207", "20171228"]),
    ):
        setattr(made.original, name, before)
        setattr(made.dataset, name, after)
    return made


def found(bench: Bench) -> list[tuple[str, str, str]]:
    return [(r.check, r.where, r.detail) for r in bench.verify().residuals]


def test_dates_moved_by_one_offset_pass(bench: Bench) -> None:
    assert found(bench) == []


@pytest.mark.parametrize(
    ("keyword", "before", "after", "detail"),
    [
        ("SeriesDate", "20200109", "20180112", "moved by another offset"),
        ("SeriesDate", "20200109", "20200109", ""),
        ("SeriesDate", "2020.01.09", "2018.01.12", "moved by another offset"),
        ("SeriesDate", "19000101", "18980103", "made from a date that must not be moved"),
        ("SeriesDate", "00010101", "18980103", "made from a date that must not be moved"),
        ("SeriesDate", "19700101", "19680104", "made from a date that must not be moved"),
        ("SeriesDate", "20200230", "20180301", "made from a date that must not be moved"),
        ("SeriesDate", "20100101", "20080104", "made from a date that must not be moved"),
        ("SeriesDate", "19840101", "19820103", "made from a date that must not be moved"),
        ("DateOfLastCalibration", "20191205", "20171207", "made from a date that many patients share"),
        ("DateOfLastCalibration", "20191205", "20191205", ""),
        (
            "EthicsCommitteeApprovalEffectivenessStartDate",
            "20191205",
            "20171207",
            "made from a date that many patients share",
        ),
        ("SeriesDate", "", "20200102", ""),
        ("AcquisitionDateTime", "20200102101500", "20180111101500", "moved by another offset"),
        ("AcquisitionDateTime", "20200102101500", "2018", "not a full date"),
        ("AcquisitionDateTime", "202001", "201801", "made from a date that must not be moved"),
        ("StudyReadDate", ["20191205", "20191226"], ["20171207", "20171229"], "moved by another offset"),
    ],
)
def test_date_that_is_not_moved_as_all_others_holds(
    bench: Bench, keyword: str, before: object, after: object, detail: str
) -> None:
    setattr(bench.original, keyword, before)
    setattr(bench.dataset, keyword, after)
    where = f"{bench.dataset[keyword].tag:08X}"
    assert found(bench) == [("dates", where, detail)]


@pytest.mark.parametrize("before", ["19000101", "00010101", "99991231", "20200230", "20200109"])
def test_dummy_may_stand_for_any_date(bench: Bench, before: str) -> None:
    bench.original.SeriesDate, bench.dataset.SeriesDate = before, "19000101"
    assert found(bench) == []


def test_every_date_that_the_engine_leaves_unmoved_is_one_that_verification_knows() -> None:
    known = {
        day
        for day in (f"{y}{m:02d}{d:02d}" for y in range(1900, 2101) for m in (1, 12) for d in range(1, 32))
        if GUESSABLE.fullmatch(day)
    } | {"20380119"}
    assert known == dates.CONSTANT_DATES
    assert SHARED == PUBLISHED_DATES


@pytest.mark.parametrize(
    ("policy", "before", "after", "details"),
    [
        (SHIFT, "19480523", "19460525", ["made from the birth date"]),
        (SHIFT, "19480523", "19000101", []),
        (YEAR, "19480523", "19480101", ["made from the birth date"]),
        (YEAR, "19480523", "19000101", []),
        (YEAR, "19480524", "19480101", []),
    ],
)
def test_birth_date_under_another_name_is_a_dummy(
    bench: Bench, policy: Policy, before: str, after: str, details: list[str]
) -> None:
    if policy is YEAR:
        for name in ("StudyDate", "SeriesDate", "AcquisitionDateTime", "StudyReadDate"):
            setattr(bench.dataset, name, "")
    bench.policy = policy
    bench.lexicon = bench.lexicon | Lexicon([Entry(Category.BIRTH_DATE, "19480523")])
    bench.original.ContentDate, bench.dataset.ContentDate = before, after
    assert [r.detail for r in bench.verify().residuals] == details


def test_study_on_the_day_of_birth_may_be_moved(bench: Bench) -> None:
    bench.lexicon = bench.lexicon | Lexicon([Entry(Category.BIRTH_DATE, "20200102")])
    assert found(bench) == []


def test_offset_that_is_no_whole_week_holds(bench: Bench) -> None:
    for name in ("SeriesDate", "AcquisitionDateTime", "StudyReadDate"):
        del bench.dataset[name]
    bench.dataset.StudyDate = "20180105"
    assert found(bench) == [("dates", "00080020", "moved by another offset")]


def test_offset_holds_for_all_instances_of_the_patient(bench: Bench) -> None:
    verifier = SeriesVerifier(LEXICON, UIDS, policy=SHIFT, harmless=[PSEUDONYM])
    bench.verify()
    assert verifier.verify(bench.written, bench.source, bench.record).residuals == ()
    for name in ("StudyDate", "SeriesDate"):
        setattr(bench.dataset, name, str(int(getattr(bench.dataset, name)) + 7))
    del bench.dataset["AcquisitionDateTime"], bench.dataset["StudyReadDate"]
    save(bench.dataset, bench.written)
    residuals = verifier.verify(bench.written, bench.source, bench.record).residuals
    assert [(r.where, r.detail) for r in residuals] == [
        ("00080020", "moved by another offset"),
        ("00080021", "moved by another offset"),
    ]


def test_items_that_moved_up_are_compared_with_every_item(bench: Bench) -> None:
    def content(*days: str) -> Sequence:
        items = [Dataset() for _ in days]
        for item, day in zip(items, days, strict=True):
            item.Date = day
        return Sequence(items)

    bench.original.ContentSequence = content("20200104", "20200110")
    bench.dataset.ContentSequence = content("20180112")
    assert found(bench) == []
    bench.dataset.ContentSequence = content("20180113")
    assert found(bench) == [("dates", "0040A730.0040A121", "moved by another offset")]


def test_source_date_in_text_holds_where_dates_move(bench: Bench) -> None:
    bench.dataset.ImageComments = "as of 02.01.2020"
    assert found(bench) == [("dates", "00204000", "")]


def test_text_in_a_date_is_searched_as_text(bench: Bench) -> None:
    bench.dataset.add_new(0x00080023, "DA", "Anna")
    assert [(r.check, r.where, r.category) for r in bench.verify().residuals] == [("lexicon", "00080023", "name")]


@pytest.mark.parametrize(
    ("keyword", "before", "after", "detail"),
    [
        ("StudyDate", "20200102", "20200101", None),
        ("StudyDate", "20200102", "20200102", ""),
        ("StudyDate", "20200102", "20210101", "another year"),
        ("StudyDate", "20200102", "20200301", "not cut to the year"),
        ("StudyDate", "20200102", "19000101", None),
        ("AcquisitionDateTime", "20200102101500", "2020", None),
        ("AcquisitionDateTime", "20200102101500", "202001", "not cut to the year"),
    ],
)
def test_dates_cut_to_the_year(bench: Bench, keyword: str, before: str, after: str, detail: str | None) -> None:
    bench.policy = YEAR
    bench.dataset.LongitudinalTemporalInformationModified = YEAR.longitudinal
    for name in ("StudyDate", "SeriesDate", "AcquisitionDateTime", "StudyReadDate"):
        setattr(bench.dataset, name, "")
    setattr(bench.original, keyword, before)
    setattr(bench.dataset, keyword, after)
    where = f"{bench.dataset[keyword].tag:08X}"
    assert found(bench) == ([] if detail is None else [("dates", where, detail)])


@pytest.mark.parametrize(
    ("offset", "passes"),
    [
        *((text, True) for text in ("+0530", "-1200", "+1400 ", "")),
        *((text, False) for text in ("+1500", "+0560", "0530", "20180423", "room 14", "+0100\\+0200")),
    ],
)
def test_offset_from_utc_that_is_none_holds(bench: Bench, offset: str, passes: bool) -> None:
    bench.original.TimezoneOffsetFromUTC = bench.dataset.TimezoneOffsetFromUTC = offset
    assert found(bench) == ([] if passes else [("structure", "00080201", "no offset from UTC")])


@pytest.mark.parametrize(
    ("age", "passes"),
    [
        *(("089Y", True), ("090Y", True), ("999M", True), ("100D", True), ("", True)),
        *((age, False) for age in ("091Y", "120Y", "95Y", "95", "095", "095y", "0095Y", "1092M", "OVER 89", "45")),
    ],
)
def test_age_above_the_class_of_all_above_the_limit_holds(bench: Bench, age: str, passes: bool) -> None:
    bench.dataset.PatientAge = age
    assert found(bench) == ([] if passes else [("ages", "00101010", "")])
    assert "ages" in bench.verify().checks
