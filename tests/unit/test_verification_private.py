"""Private elements are released only where the policy keeps them, by creator and offset in their own data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi_deid_pipeline.policies import load_policy
from unit.test_verification import Bench

SAFE = load_policy("research_longitudinal")
CREATOR = "Philips PET Private Group"  # (7053,xx00) is safe


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.policy = SAFE
    made.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    return made


def add(
    ds: Dataset, offset: int = 0, creator: str = CREATOR, block: int = 0x10, vr: str = "DS", value: object = "1.5"
) -> None:
    ds.add_new(0x70530000 | block, "LO", creator)
    ds.add_new(0x70530000 | block << 8 | offset, vr, value)


@pytest.mark.parametrize("block", [0x10, 0x42])
def test_safe_private_element_passes_in_any_block(bench: Bench, block: int) -> None:
    add(bench.dataset, block=block)
    assert bench.residuals() == []


def test_safe_private_element_in_an_item_has_its_creator_there(bench: Bench) -> None:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    add(item)
    bench.dataset.ReferencedImageSequence = Sequence([item])
    assert bench.residuals() == []
    del item[0x70530010]
    add(bench.dataset)
    assert bench.residuals() == [("structure", "00081140.70531000", "")]


@pytest.mark.parametrize(("offset", "creator"), [(0x01, CREATOR), (0x00, "ACME"), (0x00, CREATOR.upper()), (0x00, "")])
def test_other_private_element_holds_with_its_creator(bench: Bench, offset: int, creator: str) -> None:
    add(bench.dataset, offset, creator)
    assert ("structure", f"705310{offset:02X}", "") in bench.residuals()


def test_private_element_in_a_block_of_another_creator_holds(bench: Bench) -> None:
    add(bench.dataset, block=0x10)
    add(bench.dataset, block=0x11, creator="ACME")
    assert bench.residuals() == [("structure", "70531100", "")]


def test_creator_of_nothing_holds(bench: Bench) -> None:
    bench.dataset.add_new(0x70530010, "LO", CREATOR)
    verdict = bench.verify()
    assert [(r.where, r.detail) for r in verdict.residuals] == [("70530010", "creator of none")]


def test_private_value_that_is_kept_is_searched(bench: Bench) -> None:
    bench.dataset.add_new(0x00190010, "LO", "GEMS_ACQU_01")
    bench.dataset.add_new(0x0019109E, "LO", "EPI Anna")
    assert bench.residuals() == [("lexicon", "0019109E", "name")]


@pytest.mark.parametrize("name", ["hipaa_safe_harbor", "gdpr", "ps3_15_basic"])
def test_no_private_element_passes_where_the_policy_keeps_none(bench: Bench, name: str) -> None:
    bench.policy = load_policy(name)
    bench.dataset.LongitudinalTemporalInformationModified = bench.policy.longitudinal
    add(bench.dataset)
    assert bench.residuals() == [("structure", "70531000", "")]
