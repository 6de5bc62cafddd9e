"""Numbers of content items in reports and outside of them: ages are capped, identifiers go, whatever form they have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi_deid_pipeline.policies import load_policy
from unit.test_engine_kinds import ALL, SHIFT, SR, base, policy, run

__all__ = ["policy", "run"]  # fixtures
DX = "1.2.840.10008.5.1.4.1.1.1.1"
BESIDE = (
    *("ContentSequence", "AcquisitionContextSequence", "ProtocolContextSequence", "WaveformAnnotationSequence"),
    *("ContentItemModifierSequence", "SpecimenPreparationStepContentItemSequence", "PerformedProcessingParametersSequence"),
    *("SpecimenLocalizationContentItemSequence", "ProductParameterSequence", "SubstanceAdministrationParameterSequence"),
)  # fmt: skip
AGE, LOCAL_AGE = ("121033", "DCM", "Subject Age"), ("A1", "99L", "Patient age")
FORMS: dict[str, dict[str, Any]] = {
    "float": {"FloatingPointValue": 97.0},
    "rational": {"RationalNumeratorValue": 24415, "RationalDenominatorValue": 1},
}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def code(value: str, scheme: str, meaning: str) -> Sequence:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return Sequence([ds])


def number(
    concept: tuple[str, str, str], value: str, unit: str = "a", *, direct: bool, kind: str = "", **more: Any
) -> Dataset:
    """Return a content item with a number in it, or in its Measured Value Sequence."""
    item, holder = Dataset(), Dataset()
    if kind or not direct:
        item.ValueType = kind or "NUM"
    item.ConceptNameCodeSequence = code(*concept)
    if direct:
        holder = item
    else:
        item.MeasuredValueSequence = Sequence([holder])
    holder.NumericValue, holder.MeasurementUnitsCodeSequence = value, code(unit, "UCUM", "unit")
    for keyword, written in more.items():
        setattr(holder, keyword, written)
    return item


def text(words: str) -> Dataset:
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence, item.TextValue = "TEXT", code("121071", "DCM", "Finding"), words
    return item


def numbers(items: Iterable[Dataset]) -> list[str]:
    holders = [item.MeasuredValueSequence[0] if "MeasuredValueSequence" in item else item for item in items]
    return [str(holder.NumericValue) for holder in holders if "NumericValue" in holder]


@pytest.mark.parametrize("keyword", BESIDE)
@pytest.mark.parametrize(("direct", "kind"), [(False, "NUM"), (True, "NUMERIC"), (True, "")])
@pytest.mark.parametrize("concept", [AGE, LOCAL_AGE])
@ALL
def test_an_age_is_capped_wherever_content_items_stand(
    run, policy, syntax: str, concept: tuple[str, str, str], direct: bool, kind: str, keyword: str
) -> None:
    ds = base(SOPClassUID=SR, Modality="SR")
    setattr(ds, keyword, Sequence([number(concept, "97", direct=direct, kind=kind), text("Foot")]))
    out, _, _ = run(ds, policy(SHIFT), syntax)
    assert numbers(out[keyword].value) == ["90"]


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", ["97", "45"])
def test_an_age_has_no_other_form_beside_its_numeric_value(run, policy, value: str, form: str, direct: bool) -> None:
    items = [number(LOCAL_AGE, value, direct=direct, **FORMS[form])]
    items += [number(("B1", "99L", "Volume"), value, "ml", direct=direct, **FORMS[form])]
    out, result, _ = run(base(SOPClassUID=SR, Modality="SR", ContentSequence=Sequence(items)), policy(SHIFT))
    age, other = (item if direct else item.MeasuredValueSequence[0] for item in out.ContentSequence)
    assert str(age.NumericValue) == ("90" if value == "97" else "45")
    assert not any(keyword in age for keyword in FORMS[form])
    assert all(other[keyword].value == wanted for keyword, wanted in FORMS[form].items())
    removed = {row.path.rpartition(".")[2]: row.hipaa for row in result.removed}
    assert removed == {f"{other[keyword].tag:08X}": "C" for keyword in FORMS[form]}


@pytest.mark.parametrize(
    ("name", "left"),
    [("hipaa_safe_harbor", None), ("ps3_15_basic", None), ("research_longitudinal", ["90"]), ("gdpr", ["90"])],
)
@pytest.mark.parametrize("keyword", ["AcquisitionContextSequence", "ProtocolContextSequence"])
def test_subject_age_outside_of_a_report_follows_its_row(run, name: str, left: list[str] | None, keyword: str) -> None:
    ds = base(**{keyword: Sequence([number(AGE, "97", direct=True, kind="NUMERIC"), text("Foot")])})
    out, _, _ = run(ds, load_policy(name))
    assert numbers(out.get(keyword, ())) == (left or [])


@pytest.mark.parametrize("keyword", [word for word in BESIDE if word != "ContentSequence"])
@pytest.mark.parametrize(
    ("value", "more", "stays"),
    [
        ("4471920", {}, False),
        ("4471920.0", {}, False),
        ("4.471920E6", {}, False),
        ("0", {"FloatingPointValue": 4471920.0}, False),
        ("0", {"RationalNumeratorValue": 4471920, "RationalDenominatorValue": 1}, False),
        ("12", {"FloatingPointValue": 12.5}, True),
    ],
)
def test_a_number_that_its_concept_makes_an_identifier_goes_outside_of_a_report_too(
    run, policy, keyword: str, value: str, more: dict[str, Any], stays: bool
) -> None:
    item = number(("P1", "99L", "Patient number"), value, "1", direct=True, kind="NUMERIC", **more)
    out, _, _ = run(base(**{keyword: Sequence([item, text("Foot")])}), policy(SHIFT))
    assert len(out[keyword].value) == 1 + stays


@pytest.mark.parametrize(
    ("sop_class", "keyword", "left"), [(DX, "AcquisitionContextSequence", 0), (SR, "ContentSequence", None)]
)
def test_a_sequence_of_type_2_stays_empty_where_all_its_items_go(
    run, sop_class: str, keyword: str, left: int | None
) -> None:
    ds = base(SOPClassUID=sop_class, **{keyword: Sequence([number(AGE, "97", direct=True)])})
    out, _, _ = run(ds, load_policy("hipaa_safe_harbor"))
    found = out.get(keyword)
    assert (None if found is None else len(found)) == left


def test_a_number_in_an_item_of_another_value_type_changes_nothing_of_its_row(run) -> None:
    safe = load_policy("hipaa_safe_harbor")
    gone = [key for key in sorted(safe.concepts) if str(safe.resolve_concept(*key).action) == "X"]
    value, scheme, _ = next(key for key in gone if key[2] == "IMAGE")
    item = number((value, scheme, "Image"), "5", direct=True, kind="IMAGE")
    out, _, _ = run(base(SOPClassUID=SR, ContentSequence=Sequence([item, text("Foot")])), safe)
    assert [one.ValueType for one in out.ContentSequence] == ["TEXT"]
