"""Numbers of content items: no age above the class, no number that is called an identifier, in any form and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi_deid_pipeline.policies import load_policy
from unit.test_content_items import AGE, BESIDE, LOCAL_AGE, number
from unit.test_verification import Bench

SHIFT = load_policy("research_longitudinal")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.policy = SHIFT
    made.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    return made


def found(bench: Bench, keyword: str, item: Dataset) -> list[tuple[str, str]]:
    """Return check and last tag of what holds an instance with a content item."""
    setattr(bench.original, keyword, Sequence([Dataset(), item]))
    setattr(bench.dataset, keyword, Sequence([Dataset(), item]))
    wanted = ("ages", "lexicon")
    return [(r.check, r.where.rpartition(".")[2]) for r in bench.verify().residuals if r.check in wanted]


@pytest.mark.parametrize("keyword", BESIDE)
@pytest.mark.parametrize(("direct", "kind"), [(False, "NUM"), (True, "NUMERIC"), (True, "")])
@pytest.mark.parametrize("concept", [AGE, LOCAL_AGE])
def test_age_above_the_limit_holds_wherever_content_items_stand(
    bench: Bench, concept: tuple[str, str, str], direct: bool, kind: str, keyword: str
) -> None:
    assert found(bench, keyword, number(concept, "97", direct=direct, kind=kind)) == [("ages", "0040A30A")]
    assert found(bench, keyword, number(concept, "90", direct=direct, kind=kind)) == []


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("unit", "more", "where"),
    [
        ("a", {"FloatingPointValue": 97.0}, "0040A161"),
        ("a", {"FloatingPointValue": float("nan")}, "0040A161"),
        ("a", {"FloatingPointValue": 88.5}, ""),
        ("a", {"RationalNumeratorValue": 97, "RationalDenominatorValue": 1}, "0040A162"),
        ("a", {"RationalNumeratorValue": 194, "RationalDenominatorValue": 2}, "0040A162"),
        ("a", {"RationalNumeratorValue": 97, "RationalDenominatorValue": 0}, "0040A162"),
        ("a", {"RationalNumeratorValue": 97, "RationalDenominatorValue": 2}, ""),
        ("a", {"RationalNumeratorValue": 97}, "0040A162"),
        ("d", {"RationalNumeratorValue": 34415, "RationalDenominatorValue": 1}, "0040A162"),
        ("d", {"RationalNumeratorValue": 24415, "RationalDenominatorValue": 1}, ""),
        ("mo", {"FloatingPointValue": 1093.0}, "0040A161"),
    ],
)
def test_age_in_another_form_holds_too(bench: Bench, unit: str, more: dict[str, Any], where: str, direct: bool) -> None:
    wanted = [("ages", where)] if where else []
    assert found(bench, "ContentSequence", number(LOCAL_AGE, "45", unit, direct=direct, **more)) == wanted


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("meaning", "value", "more", "where"),
    [
        ("Patient number", "4471920", {}, "0040A30A"),
        ("patient-ID:", "4471920.0", {}, "0040A30A"),
        ("MRN", "0", {"FloatingPointValue": 4471920.0}, "0040A161"),
        ("Fallnummer", "0", {"RationalNumeratorValue": 4471920, "RationalDenominatorValue": 1}, "0040A162"),
        ("Accession number", "4471", {}, "0040A30A"),
        ("Patient number", "12", {}, ""),
        ("Patient number", "0", {}, ""),
        ("Number of patients", "4471920", {}, ""),
        ("Volume", "4471920", {}, ""),
    ],
)
def test_number_that_is_called_an_identifier_holds(
    bench: Bench, meaning: str, value: str, more: dict[str, Any], where: str, direct: bool
) -> None:
    item = number(("P1", "99L", meaning), value, "1", direct=direct, **more)
    assert found(bench, "AcquisitionContextSequence", item) == ([("lexicon", where)] if where else [])


@pytest.mark.parametrize(
    ("concept", "meaning", "value", "unit", "passes"),
    [
        ("121033", "Subject Age", "90", "a", True),
        ("121033", "Subject Age", "91", "a", False),
        ("121033", "Subject Age", "93", "Quixotte", False),
        ("A1", "Current age", "93", "a", False),
        ("A1", "Patientenalter", "1093", "mo", False),
        ("A1", "Age at scan", "34000", "d", False),
        ("A1", "Edad", "93", "", False),
        ("A1", "Current age", "90", "a", True),
        ("A1", "Gestational age", "38", "wk", True),
        ("A1", "Average", "93", "a", True),
        ("A1", "Half-life", "432", "a", True),
        ("A1", "Age matched percentile", "95", "%", True),
    ],
)
def test_age_that_is_a_number_of_a_report_is_judged_by_unit_and_meaning(
    bench: Bench, concept: str, meaning: str, value: str, unit: str, passes: bool
) -> None:
    item = number((concept, "DCM", meaning), value, unit, direct=False)
    want = [] if passes else [("ages", "0040A30A")]
    assert found(bench, "ContentSequence", item) == want
