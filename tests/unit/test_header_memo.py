"""What is read by the header of the instance before is what is read anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from header_series import EXPLICIT, SYNTAXES, damaged, mixed, outcome, series
from phi_deid_pipeline.header_memo import HeaderMemo
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import RawInstance, read_instance
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.uid_mapping import UidMapper


def content(instance: RawInstance) -> tuple:
    tags = sorted({element.tag for element in instance.elements})
    places = instance.elements, [instance.find(tag) for tag in tags], instance.find(0x00090001)
    return places, instance.charset(), instance.trailing, list(instance.walk())


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_headers_of_a_series_are_read_as_without_a_memory(tmp_path: Path, syntax: str) -> None:
    memo = HeaderMemo()
    remembered = 0
    for path in series(tmp_path, syntax):
        with read_instance(path) as alone, read_instance(path, headers=memo) as found:
            assert found.header is not None
            remembered += len(found.header.runs) > 1
            assert content(found) == content(alone)
    assert remembered >= 4


def test_another_encoding_in_between_does_no_harm(tmp_path: Path) -> None:
    memory = HeaderMemo()
    for path in mixed(tmp_path):
        with read_instance(path) as alone, read_instance(path, headers=memory) as found:
            assert content(found) == content(alone)


def test_damaged_instances_are_refused_as_without_a_memory(tmp_path: Path) -> None:
    memory, ends = HeaderMemo(), {"read": 0, "refused": 0}
    for path in damaged(list(series(tmp_path, EXPLICIT)), tmp_path / "damaged"):
        expected = outcome(lambda path=path: read_instance(path), content)
        assert outcome(lambda path=path: read_instance(path, headers=memory), content) == expected
        ends[expected[0]] += 1
    assert min(ends.values()) > 50


def test_what_stands_again_is_not_parsed_again(tmp_path: Path) -> None:
    memo = HeaderMemo()
    paths = list(series(tmp_path, EXPLICIT))[:3]
    for path in paths:
        with read_instance(path, headers=memo) as instance:
            first = instance
    assert first.header is not None
    with read_instance(paths[-1], headers=memo) as again:
        assert again.header is not None
        assert all(one is other for one, other in zip(first.header.runs, again.header.runs, strict=True))


def deidentified(
    engine: InstanceDeidentifier, path: Path, patient: PatientContext, target: Path, memo: object
) -> tuple:
    with read_instance(path, headers=memo) as instance:  # type: ignore[arg-type]
        options = {"text_scan_found_nothing_left": True, "redacted": False}
        result = engine.deidentify(instance, target, patient, None, **options)
    return result, target.read_bytes()


@pytest.mark.parametrize("policy", ["hipaa_safe_harbor", "research_longitudinal"])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_written_and_recorded_does_not_depend_on_the_instances_before(
    tmp_path: Path, syntax: str, policy: str
) -> None:
    patient = PatientContext("PABC", Lexicon([Entry(Category.NAME, "Zimmerlin^Ottoline")]), offset_days=-77)
    resolved, memo = load_policy(policy), HeaderMemo()
    together = InstanceDeidentifier(resolved, UidMapper(bytes(32)))
    for path in series(tmp_path / "source", syntax):
        alone = InstanceDeidentifier(resolved, UidMapper(bytes(32)))
        expected = deidentified(alone, path, patient, tmp_path / "alone" / path.name, None)
        before = together.unknown_words.copy()
        assert deidentified(together, path, patient, tmp_path / "together" / path.name, memo) == expected
        assert together.unknown_words - before == alone.unknown_words


@pytest.mark.parametrize("policy", ["hipaa_safe_harbor", "research_longitudinal"])
def test_elements_out_of_order_are_written_in_order(policy: str, tmp_path: Path) -> None:
    patient = PatientContext("P1", Lexicon(), offset_days=-700)
    memory, engine = HeaderMemo(), InstanceDeidentifier(load_policy(policy), UidMapper(bytes(32)))
    (tmp_path / "turned").mkdir()
    for number, path in enumerate(list(series(tmp_path, EXPLICIT))[:3]):
        with read_instance(path) as instance:
            data = bytes(instance.buffer)
            front = [e for e in instance.elements if e.tag < 0x7FE00000]
            begin, end = front[0].start, front[-1].end
        turned = tmp_path / "turned" / path.name
        turned.write_bytes(data[:begin] + b"".join(data[e.start : e.end] for e in reversed(front)) + data[end:])
        _, straight = deidentified(engine, path, patient, tmp_path / f"a{number}.dcm", None)
        for memo in (None, memory):
            _, found = deidentified(engine, turned, patient, tmp_path / f"b{number}.dcm", memo)
            assert found == straight
