"""A series whose headers change in many ways, and damaged copies of it: input of the tests of header memories."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from factories import ct_instance, write
from phi_deid_pipeline.errors import UnreadableInstance

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG)


def series(folder: Path, syntax: str) -> Iterator[Path]:
    """Write a series whose values, lengths, elements, private blocks and character set change."""
    for number in range(1, 19):
        dataset = ct_instance(number=number * 7)
        dataset.ImageComments = "x" * (number // 2)
        if number % 5 == 0:
            del dataset.StudyDescription
        if number == 9:
            dataset.PatientComments, dataset.SpecificCharacterSet = "only here", "ISO_IR 192"
        block = dataset.private_block(0x0019, "ACME", create=True)
        block.add_new(0x01, "LO", f"value {number // 3}")
        if number % 6:
            block.add_new(0x02, "LO", "second")
        yield write(dataset, folder / f"{number:02d}", syntax)


def mixed(folder: Path) -> list[Path]:
    """Write the series in every encoding; return its instances in an order of chance, the same each time."""
    paths = [path for syntax in SYNTAXES for path in series(folder / syntax, syntax)]
    random.Random(3).shuffle(paths)
    return paths


def damaged(paths: Sequence[Path], target: Path) -> Iterator[Path]:
    """Write 400 instances one after another into one place, each second one cut, some with wrong bytes in the header."""
    chance = random.Random(11)
    for turn in range(400):
        data = bytearray(chance.choice(paths).read_bytes())
        if turn % 2:
            del data[chance.randrange(132, len(data)) :]
        for _ in range(chance.randrange(3)):
            data[chance.randrange(132, min(len(data), 4000))] = chance.randrange(256)
        target.write_bytes(data)
        yield target


def outcome(opened: Callable[[], AbstractContextManager[Any]], content: Callable[[Any], tuple]) -> tuple[str, tuple]:
    """Return what is in an instance, or why it was refused."""
    try:
        with opened() as instance:
            return "read", content(instance)
    except UnreadableInstance as error:
        return "refused", (error.reason, error.detail)
