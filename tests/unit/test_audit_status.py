"""Where every instance ends, from records that the tests write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_batches import (
    A1,
    A2,
    B1,
    C1,
    DEFAULT,
    MAPPER,
    SERIES,
    SOP,
    checked,
    decide,
    instance,
    make_output,
    record,
    residual,
)
from audit_status import (
    BREAKING_CHECKS,
    CONFORMANCE_CHECKS,
    Decisions,
    FinalStatus,
    final_statuses,
    unused_decisions,
    write_statuses,
)
from phi_deid_pipeline import verification
from phi_deid_pipeline.errors import AuditContractError
from phi_deid_pipeline.records import (
    Box,
    Decision,
    Residual,
    Status,
)
from record_io import to_data


def statuses(entries, changes=None, checks=None, decisions=()):
    made = [record(entry, **(changes or {}).get(entry.path, {})) for entry in entries]
    verified = [(checks or {}).get(row.input_path, checked(row)) for row in made if row.status != "rejected"]
    final = final_statuses("b000001", [to_data(row) for row in made], verified, Decisions(decisions))
    return {row.input_path: final[row.sop_uid] for row in made}


def told(found: FinalStatus) -> tuple[str, str]:
    return found.status.value, found.reason


def test_verified_instance_is_released():
    assert {told(found) for found in statuses([A1, A2, B1]).values()} == {("released", "")}


def test_one_residual_holds_its_series_and_no_other():
    found = statuses([A1, A2, B1], checks={A2.path: residual(record(A2))})

    assert [told(found[entry.path]) for entry in (A1, A2, B1)] == [
        ("held", "residual_identifier"), ("held", "residual_identifier"), ("released", ""),
    ]  # fmt: skip
    assert (found[A1.path].cause, found[A2.path].cause) == (SOP[A2.path], "")
    assert found[A2.path].residuals == (Residual("identifiers", "00081030", "name"),)


@pytest.mark.parametrize(
    ("hold", "neighbour"),
    [("text_left", "held"), ("text_unreadable", "held"), ("photograph", "released"), ("label_image", "released")],
)
def test_hold_for_text_holds_the_series_and_one_for_a_kind_of_image_the_instance(hold, neighbour):
    found = statuses([A1, A2], {A1.path: {"hold": (hold,)}})

    assert told(found[A1.path]) == ("held", hold)
    assert found[A2.path].status.value == neighbour


def test_residual_of_an_instance_that_verification_let_pass_holds_all_the_same():
    check = replace(residual(record(A1)), status=Status.RELEASED, reason="")

    assert told(statuses([A1], checks={A1.path: check})[A1.path]) == ("held", "residual_identifier")


def test_hold_that_verification_spread_itself_counts_as_that_of_its_cause():
    checks = {A2.path: residual(record(A2)), A1.path: replace(residual(record(A1)), residuals=())}
    found = statuses([A1, A2], checks=checks)
    assert (told(found[A1.path]), found[A1.path].cause) == (("held", "residual_identifier"), SOP[A2.path])

    found = statuses([A1, A2], checks=checks, decisions=[decide(SOP[A2.path])])
    assert [told(found[entry.path]) for entry in (A1, A2)] == [("released", ""), ("released", "")]


def test_held_instance_without_any_finding_in_its_series_stays_held():
    found = statuses([A1, A2], checks={A1.path: replace(residual(record(A1)), residuals=())})

    assert {told(row) for row in found.values()} == {("held", "residual_identifier")}


def test_identifier_in_a_broken_instance_holds_its_series():
    found_both = (Residual("identifiers", "00081030", "name"), Residual("known_uids", "00080018", ""))
    check = checked(record(A2), status=Status.REJECTED, reason="unknown_uid", residuals=found_both)
    found = statuses([A1, A2], checks={A2.path: check})

    assert [told(found[entry.path]) for entry in (A1, A2)] == [
        ("held", "residual_identifier"), ("rejected", "unknown_uid"),
    ]  # fmt: skip
    assert found[A1.path].cause == SOP[A2.path]


def test_checks_that_break_are_those_of_verification():
    assert frozenset(verification._REASONS) == BREAKING_CHECKS


@pytest.mark.parametrize("check_name", sorted(CONFORMANCE_CHECKS))
def test_new_error_of_conformance_holds_the_series_and_a_decision_on_it_lifts_it(check_name):
    found = (Residual(check_name, "00080060", "", "missing, Type 1"),)
    check = checked(record(A2), status=Status.HELD, reason="conformance", residuals=found)

    held = statuses([A1, A2], checks={A2.path: check})
    assert [told(held[entry.path]) for entry in (A1, A2)] == [("held", "conformance")] * 2
    assert (held[A1.path].holds, held[A1.path].cause) == (("conformance",), SOP[A2.path])

    freed = statuses([A1, A2], checks={A2.path: check}, decisions=[decide(SERIES[A1.path])])
    assert {told(row) for row in freed.values()} == {("released", "")}


def test_rejected_instances_hold_nobody():
    changes = {A1.path: {"status": Status.REJECTED, "reason": "cannot_clean", "hold": ("text_left",)}}
    unknown = (Residual("known_uids", "00080018", ""),)
    check = checked(record(A2), status=Status.REJECTED, reason="unknown_uid", residuals=unknown)
    found = statuses([A1, A2, instance(8, 1, "x")], changes, {A2.path: check})

    assert [told(row) for row in found.values()] == [
        ("rejected", "cannot_clean"), ("rejected", "unknown_uid"), ("released", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("uid", [SERIES[A1.path], record(A1).study_uid])
def test_decision_on_series_or_study_releases_what_was_held(uid):
    found = statuses([A1, A2], {A2.path: {"hold": ("text_left",)}}, decisions=[decide(uid)])

    assert {told(row) for row in found.values()} == {("released", "")}
    assert found[A1.path].decision == decide(uid)
    assert found[A2.path].holds == ("text_left",)


@pytest.mark.parametrize("uid", [SERIES[A1.path], record(A1).study_uid])
def test_decision_on_series_or_study_does_not_lift_an_identifier_that_was_found(uid):
    held = {A2.path: {"hold": ("text_left",)}}
    found = statuses([A1, A2, B1], held, checks={A2.path: residual(record(A2))}, decisions=[decide(uid)])

    assert [told(found[entry.path]) for entry in (A1, A2, B1)] == [
        ("held", "residual_identifier"), ("held", "residual_identifier"), ("released", ""),
    ]  # fmt: skip
    assert (found[A1.path].decision, found[A1.path].cause, found[A2.path].decision) == (None, SOP[A2.path], None)

    both = [decide(uid), decide(SOP[A2.path])]
    found = statuses([A1, A2], held, checks={A2.path: residual(record(A2))}, decisions=both)
    assert [told(found[entry.path]) for entry in (A1, A2)] == [("released", ""), ("released", "")]


def test_decision_on_the_instance_with_the_finding_frees_its_series():
    found = statuses([A1, A2], checks={A2.path: residual(record(A2))}, decisions=[decide(SOP[A2.path])])

    assert [told(found[entry.path]) for entry in (A1, A2)] == [("released", ""), ("released", "")]
    assert found[A1.path].decision is None


def test_decision_on_a_neighbour_frees_the_neighbour_only_and_not_of_an_identifier():
    found = statuses([A1, A2], {A2.path: {"hold": ("text_left",)}}, decisions=[decide(SOP[A1.path])])
    assert [told(found[entry.path]) for entry in (A1, A2)] == [("released", ""), ("held", "text_left")]

    found = statuses([A1, A2], checks={A2.path: residual(record(A2))}, decisions=[decide(SOP[A1.path])])
    assert {told(row) for row in found.values()} == {("held", "residual_identifier")}


def test_decision_never_lifts_a_rejection():
    changes = {A1.path: {"status": Status.REJECTED, "reason": "cannot_clean"}}

    found = statuses([A1], changes, decisions=[decide(SOP[A1.path]), decide(SERIES[A1.path])])
    assert told(found[A1.path]) == ("rejected", "cannot_clean")
    assert found[A1.path].decision is None


def test_withheld_series_is_held_and_its_neighbours_are_not():
    found = statuses([A1, A2, B1], decisions=[decide(SERIES[A1.path], "withhold")])

    assert [told(found[entry.path]) for entry in (A1, A2, B1)] == [
        ("held", "withheld"), ("held", "withheld"), ("released", ""),
    ]  # fmt: skip


LEVELS = (SOP[A1.path], SERIES[A1.path], record(A1).study_uid)


@pytest.mark.parametrize("withheld", LEVELS)
@pytest.mark.parametrize("released", LEVELS)
def test_withholding_at_any_level_wins_over_releasing_at_any_level(withheld, released):
    rows = [decide(withheld, "withhold"), decide(released)]
    found = statuses([A1], {A1.path: {"hold": ("photograph",)}}, decisions=rows)[A1.path]
    assert (told(found), found.decision) == (("held", "withheld"), rows[0])


def test_more_special_release_decides_and_withholding_wins_over_releasing():
    rows = [decide(SERIES[A1.path]), decide(SOP[A1.path])]
    found = statuses([A1], {A1.path: {"hold": ("photograph",)}}, decisions=rows)[A1.path]
    assert (told(found), found.decision) == (("released", ""), rows[1])

    for both in (rows := [decide(SOP[A1.path]), decide(SOP[A1.path], "withhold")]), rows[::-1]:
        assert told(statuses([A1], decisions=both)[A1.path]) == ("held", "withheld")


def test_decision_on_what_is_released_anyway_leaves_no_trace():
    assert statuses([A1], decisions=[decide(SOP[A1.path])])[A1.path].decision is None


@pytest.mark.parametrize("mark", ["#0123456789ab", "@0123456789ab"])
def test_decisions_on_findings_or_contents_are_not_about_release(mark):
    assert (
        told(statuses([A1], decisions=[Decision(f"{SOP[A1.path]}{mark}", "withhold", "", "", "")])[A1.path])[0]
        == "released"
    )


def test_instance_that_was_not_verified_ends_the_job():
    with pytest.raises(AuditContractError, match="was not verified"):
        final_statuses("b000001", [to_data(record(A1))], [], Decisions([]))


def test_statuses_written_are_counted(tmp_path):
    make_output(tmp_path)

    counts = write_statuses(tmp_path / "private", sorted(DEFAULT), [decide(SOP[A1.path], "withhold")])
    assert (counts.released, counts.held, counts.rejected) == (3, 1, 0)


CUT = MAPPER.new_uid("1.4.7")  # an instance that the inventory rejected


@pytest.mark.parametrize(
    ("what", "verdict", "unused"),
    [
        (SOP[A1.path], "release", 0),
        (SERIES[A1.path], "withhold", 0),
        (record(C1).study_uid, "release", 0),
        ("2.25.404", "release", 1),
        (f"{SOP[A1.path]}#0123456789ab", "keep", 0),
        (f"{SOP[A1.path]}#0123456789ab", "release", 1),
        (f"{SOP[A1.path]}#0123456789ac", "keep", 1),
        (f"{SOP[A2.path]}#0123456789ab", "hide", 1),
        (f"{SOP[A1.path]}#0", "keep", 1),
        (f"{SOP[A1.path]}@{A1.sha256[:12]}", "release", 0),
        (f"{SOP[A1.path]}@{A1.sha256[:12]}", "withhold", 1),
        (f"{CUT}@FFFFFFFFFFFF", "release", 0),
        (f"{SOP[A1.path]}@ffffffffffff", "release", 1),
    ],
)
def test_decisions_that_match_nothing_are_counted(tmp_path, what, verdict, unused):
    make_output(tmp_path, changes={A1.path: {"boxes": ((-1, Box(0, 0, 9, 9)),)}})
    rows = [decide(SOP[B1.path]), decide(what, verdict)]

    for some in (rows, rows[::-1]):
        assert unused_decisions(tmp_path / "private", sorted(DEFAULT)[::-1], some, MAPPER.new_uid) == unused
