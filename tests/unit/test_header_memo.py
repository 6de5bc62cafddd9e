"""What is read by the header of the instance before is what is read anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories import ct_instance, write
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.header_memo import HeaderMemo
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import RawInstance, read_instance
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.uid_mapping import UidMapper

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def series(folder: Path, syntax: str) -> Iterator[Path]:
    """Write a series whose values, lengths, elements and private blocks change in many ways."""
    for number in range(1, 14):
        dataset = ct_instance(number=number * 7)
        if number % 4 == 0:
            dataset.ImageComments = "x" * number
        if number % 5 == 0:
            del dataset.StudyDescription
        block = dataset.private_block(0x0019, "ACME", create=True)
        block.add_new(0x01, "LO", f"value {number // 3}")
        if number % 3:
            block.add_new(0x02, "LO", "second")
        if number == 9:
            dataset.PatientComments = "only here"
        yield write(dataset, folder / f"{number:02d}", syntax)


def content(instance: RawInstance) -> tuple:
    tags = sorted({element.tag for element in instance.elements})
    places = instance.elements, [instance.find(tag) for tag in tags], instance.find(0x00090001)
    return places, instance.charset(), instance.trailing, list(instance.walk())


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
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
    memo = HeaderMemo()
    paths = [path for syntax in (IMPLICIT, EXPLICIT, BIG) for path in series(tmp_path / syntax, syntax)]
    random.Random(3).shuffle(paths)
    for path in paths:
        with read_instance(path) as alone, read_instance(path, headers=memo) as found:
            assert content(found) == content(alone)


def test_damaged_instances_are_refused_as_without_a_memory(tmp_path: Path) -> None:
    memo, chance = HeaderMemo(), random.Random(11)
    paths = list(series(tmp_path, EXPLICIT))
    seen = {"read": 0, "refused": 0}
    for turn in range(400):
        data = bytearray(chance.choice(paths).read_bytes())
        if turn % 2:
            del data[chance.randrange(132, len(data)) :]
        for _ in range(chance.randrange(3)):
            data[chance.randrange(132, min(len(data), 4000))] = chance.randrange(256)
        path = tmp_path / "damaged"
        path.write_bytes(data)
        assert outcome(path, memo, seen) == outcome(path, None, None)
    assert min(seen.values()) > 50


def outcome(path: Path, memo: HeaderMemo | None, seen: dict[str, int] | None) -> tuple:
    try:
        with read_instance(path, headers=memo) as instance:
            found = ("read", content(instance))
    except UnreadableInstance as error:
        found = ("refused", (error.reason, error.detail))
    if seen is not None:
        seen[found[0]] += 1
    return found


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
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
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
