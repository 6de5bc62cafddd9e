"""What verification reads by the header of the instance before is what it reads anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories import ct_instance, write
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.verification_bytes import Layout, read_layout
from phi_deid_pipeline.verification_headers import HeaderMemory

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def series(folder: Path, syntax: str) -> Iterator[Path]:
    """Write a series whose values, lengths, elements and character set change."""
    for number in range(1, 14):
        dataset = ct_instance(number=number * 7)
        dataset.ImageComments = "x" * (number // 2)
        if number % 5 == 0:
            del dataset.StudyDescription
        if number == 9:
            dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.private_block(0x0019, "ACME", create=True).add_new(0x01, "LO", f"value {number // 3}")
        yield write(dataset, folder / f"{number:02d}", syntax)


def content(layout: Layout) -> tuple:
    joined = [value for _, values in layout.parts() for value in values]
    assert joined == layout.values
    return layout.values, layout.pixels, layout.end, layout.odd, layout.little, layout.shape()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_headers_of_a_series_are_read_as_without_a_memory(tmp_path: Path, syntax: str) -> None:
    memory, remembered = HeaderMemory(), 0
    for path in series(tmp_path, syntax):
        with read_layout(path) as alone, read_layout(path, memory) as found:
            assert content(found) == content(alone)
            remembered += len(found.stretches) > 1
    assert remembered >= 6


def test_another_encoding_in_between_does_no_harm(tmp_path: Path) -> None:
    memory = HeaderMemory()
    paths = [path for syntax in (IMPLICIT, EXPLICIT, BIG) for path in series(tmp_path / syntax, syntax)]
    random.Random(3).shuffle(paths)
    for path in paths:
        with read_layout(path) as alone, read_layout(path, memory) as found:
            assert content(found) == content(alone)


def test_damaged_instances_are_refused_as_without_a_memory(tmp_path: Path) -> None:
    memory, chance = HeaderMemory(), random.Random(11)
    paths, ends = list(series(tmp_path, EXPLICIT)), {"read": 0, "refused": 0}
    for turn in range(400):
        data = bytearray(chance.choice(paths).read_bytes())
        if turn % 2:
            del data[chance.randrange(132, len(data)) :]
        for _ in range(chance.randrange(3)):
            data[chance.randrange(132, min(len(data), 4000))] = chance.randrange(256)
        path = tmp_path / "damaged"
        path.write_bytes(data)
        expected = outcome(path, None)
        assert outcome(path, memory) == expected
        ends[expected[0]] += 1
    assert min(ends.values()) > 50


def outcome(path: Path, memory: HeaderMemory | None) -> tuple:
    try:
        with read_layout(path, memory) as layout:
            return "read", content(layout)
    except UnreadableInstance as error:
        return "refused", (error.reason, error.detail)
