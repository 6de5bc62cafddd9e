"""What the engine leaves out with what it hangs on, which letters it gives, and what it says was done."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from test_engine_kinds import ALL, EXPLICIT, SHIFT, UIDS, WEEKS, base, raw

from phi_deid_pipeline.instance_deid import InstanceDeidentifier, InstanceResult, PatientContext
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.raw_elements import parse_instance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Policy]:
    """Return a policy from the text of a policy file, without its name."""

    def make(text: str) -> Policy:
        path = tmp_path_factory.mktemp("policy") / "site.yaml"
        path.write_text(f"name: site\nextends: hipaa_safe_harbor\n{text}\n", encoding="utf-8")
        return load_policy(path)

    return cache(make)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[Dataset, InstanceResult]]:
    """De-identify a Dataset with its own lexicon; return what pydicom reads, and the result."""

    def go(ds: Dataset, policy: Policy, syntax: str = EXPLICIT, **switches: Any) -> tuple[Dataset, InstanceResult]:
        instance = parse_instance(raw(ds, syntax))
        patient = PatientContext("PXYZ", Lexicon(harvest(instance)), offset_days=WEEKS)
        switches = {"text_scan_found_nothing_left": False, "redacted": False} | switches
        result = InstanceDeidentifier(policy, UIDS).deidentify(instance, tmp_path / "x.dcm", patient, None, **switches)
        return pydicom.dcmread(tmp_path / "x.dcm"), result

    return go


# --------------------------------------------------------------------------- what may not be there alone


@ALL
@pytest.mark.parametrize("depth", ["top", "item"])
def test_attribute_goes_with_the_one_that_it_hangs_on(run, policy, syntax: str, depth: str) -> None:
    """A role without its person, a calendar without its date: PS3.3 C.7.1.1 says that they may not be there."""
    animal = {"ResponsiblePerson": "Quillfeather^Oskar", "ResponsiblePersonRole": "OWNER"}
    calendar = {"PatientBirthDateInAlternativeCalendar": "14400708", "PatientAlternativeCalendar": "ISLAMIC"}
    for attributes in (animal, calendar):
        ds = base(**attributes)
        if depth == "item":
            item = Dataset()
            for keyword, value in attributes.items():
                setattr(item, keyword, value)
                delattr(ds, keyword)
            ds.ReferencedImageSequence = Sequence([item])
        written, result = run(ds, policy(""), syntax)
        holder = written if depth == "top" else written.ReferencedImageSequence[0]
        other, gone = attributes
        kept = other in holder and holder[other].value
        if kept:
            assert gone in holder, "a dummy is a value"
        else:
            assert gone not in holder
            assert [row.count for row in result.removed if row.keyword == gone] == [1]


def test_attribute_stays_beside_what_is_left_of_the_one_it_hangs_on(run, policy) -> None:
    text = "overrides: [{tag: ResponsiblePerson, action: K, reason: a test}]"
    ds = base(ResponsiblePerson="Owner^Known", ResponsiblePersonRole="OWNER")
    assert run(ds, policy(text))[0].ResponsiblePersonRole == "OWNER"
    assert "ResponsiblePersonRole" not in run(base(ResponsiblePersonRole="OWNER"), policy(text))[0]


def test_attribute_that_hangs_on_another_follows_each_instance_of_a_series(policy, tmp_path: Path) -> None:
    """The same bytes of a role have another outcome where the name beside it is left: nothing is remembered too long."""
    engine = InstanceDeidentifier(policy("overrides: [{tag: ResponsiblePerson, action: K, reason: a test}]"), UIDS)
    lexicon, found = Lexicon(()), []
    for name in ("Owner^Known", "", "Owner^Known"):
        instance = parse_instance(raw(base(ResponsiblePerson=name, ResponsiblePersonRole="OWNER"), EXPLICIT))
        engine.deidentify(
            instance, tmp_path / "x.dcm", PatientContext("PXYZ", lexicon), None,
            text_scan_found_nothing_left=False, redacted=False,
        )  # fmt: skip
        found.append("ResponsiblePersonRole" in pydicom.dcmread(tmp_path / "x.dcm"))
    assert found == [True, False, True]


# --------------------------------------------------------------------------- letters of the audit


def test_cleaning_names_the_identifiers_that_were_cut(run, policy) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99SITE", "Chest of Quixotte"
    other = Dataset()
    other.CodeValue, other.CodingSchemeDesignator, other.CodeMeaning = "2", "99SITE", "Chest on 20240102"
    ds = base(
        StudyDate="20240102", SeriesDescription="CHEST 20240102", DoseComment="dose Quixotte MRN777123",
        ContrastBolusAgent="Grumbledorf", FieldOfViewDescription="Quixotte", ManufacturerModelName="Model Quixotte",
        AnatomicRegionSequence=Sequence([code, other]), BodyPartExamined="QUIXOTTE", PatientAge="095Y",
    )  # fmt: skip
    _, result = run(ds, policy(SHIFT))
    found = {row.keyword: row.hipaa for row in (*result.cleaned, *result.replaced, *result.removed)}
    wanted = {
        "SeriesDescription": "C", "DoseComment": "AH", "ContrastBolusAgent": "R", "FieldOfViewDescription": "A",
        "ManufacturerModelName": "A", "CodeMeaning": "AC", "BodyPartExamined": "A", "PatientAge": "C", "StudyDate": "C",
    }  # fmt: skip
    assert {keyword: found[keyword] for keyword in wanted} == wanted
    assert [row for row in result.cleaned if not row.hipaa] == []
    places = [(row.path, row.vr, row.code, row.action) for row in (*result.cleaned, *result.replaced, *result.removed)]
    assert len(places) == len(set(places)), "one row per path, VR and action"


# --------------------------------------------------------------------------- what was done before, and what was done


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ("retain_long_full_dates", "MODIFIED", "MODIFIED"),
        ("retain_long_full_dates", "REMOVED", "REMOVED"),
        ("retain_long_full_dates", "UNMODIFIED", "UNMODIFIED"),
        ("retain_long_full_dates", "", "UNMODIFIED"),
        ("retain_long_full_dates", "NONSENSE", "UNMODIFIED"),
        ("retain_long_modified_dates", "REMOVED", "REMOVED"),
        ("retain_long_modified_dates", "UNMODIFIED", "MODIFIED"),
        ("clean_descriptors", "UNMODIFIED", "REMOVED"),
    ],
)
def test_earlier_change_of_dates_stays_true(run, policy, options: str, before: str, after: str) -> None:
    ds = base(StudyDate="20240102", LongitudinalTemporalInformationModified=before)
    assert run(ds, policy(f"options: [{options}]"))[0].LongitudinalTemporalInformationModified == after


def test_clean_pixel_data_is_claimed_only_where_pixels_were_looked_at(policy, tmp_path: Path) -> None:
    engine, claimed = InstanceDeidentifier(policy(""), UIDS), []
    for looked in (True, False, True):
        engine.deidentify(
            parse_instance(raw(base(), EXPLICIT)), tmp_path / "x.dcm", PatientContext("PXYZ", Lexicon(())), None,
            text_scan_found_nothing_left=False, redacted=False, pixels_looked_at=looked,
        )  # fmt: skip
        codes = pydicom.dcmread(tmp_path / "x.dcm").DeidentificationMethodCodeSequence
        claimed.append("113101" in [code.CodeValue for code in codes])
    assert claimed == [True, False, True]
