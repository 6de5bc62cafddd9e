"""Data classes of the package behave as those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from phi_deid_pipeline import records
from phi_deid_pipeline.value_objects import dataclass, field, field_names, is_data_class, replace

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@dataclass(frozen=True, slots=True)
class Point:
    """A place."""

    x: int
    y: int = 0
    names: list = field(default_factory=list, repr=False, compare=False)


@dataclass(slots=True)
class Loose:
    value: int


@dataclass(frozen=True, order=True, slots=True)
class Ranked:
    rank: int
    name: str = ""


@dataclass(frozen=True)
class Derived:
    low: int
    high: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "high", self.low + 1)


def test_objects_are_filled_by_place_name_and_default() -> None:
    assert (Point(1).x, Point(1).y, Point(1, y=2).y) == (1, 0, 2)
    assert Point(1).names == []
    assert Point(1).names is not Point(1).names


@pytest.mark.parametrize("arguments", [(), (1, 2, [], 4)], ids=["too few", "too many"])
def test_wrong_number_of_arguments_is_a_type_error(arguments: tuple) -> None:
    with pytest.raises(TypeError):
        Point(*arguments)


def test_equality_and_hash_count_compared_fields_of_one_class() -> None:
    assert Point(1, 2, ["a"]) == Point(1, 2, ["b"])
    assert Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != (1, 2)
    assert len({Point(1), Point(1), Point(2)}) == 2
    with pytest.raises(TypeError):
        hash(Loose(1))


def test_frozen_objects_refuse_changes_and_others_do_not() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Point(1).x  # type: ignore[misc]
    loose = Loose(1)
    loose.value = 2
    assert loose.value == 2
    with pytest.raises(AttributeError):
        loose.other = 1  # type: ignore[attr-defined]


def test_order_follows_the_fields() -> None:
    assert sorted([Ranked(2), Ranked(1, "b"), Ranked(1, "a")]) == [Ranked(1, "a"), Ranked(1, "b"), Ranked(2)]
    assert Ranked(1) <= Ranked(1) < Ranked(2)
    assert Ranked(2) >= Ranked(2) > Ranked(1)


def test_post_init_fills_what_is_not_handed_in() -> None:
    assert Derived(1).high == 2


def test_repr_shows_what_may_be_shown() -> None:
    assert repr(Point(1, 2, ["hidden"])) == "Point(x=1, y=2)"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_are_equal(copied) -> None:
    assert copied(Point(1, 2, ["a"])) == Point(1, 2)
    assert copied(Point(1, 2, ["a"])).names == ["a"]


def test_functions_of_the_standard_library_work() -> None:
    assert dataclasses.is_dataclass(Point)
    assert [one.name for one in dataclasses.fields(Point)] == ["x", "y", "names"]
    assert dataclasses.replace(Point(1, 2), y=3) == replace(Point(1, 2), y=3) == Point(1, 3)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 0, "names": []}
    assert dataclasses.astuple(Ranked(1, "a")) == (1, "a")


def test_field_names_are_those_of_records() -> None:
    assert field_names(records.Box) == ("x", "y", "w", "h")
    assert is_data_class(records.Box)
    assert not is_data_class(int)
    assert not is_data_class(list[int])


def test_what_is_not_supported_is_refused() -> None:
    with pytest.raises(TypeError, match="base class"):

        @dataclass
        class Child(Loose):
            more: int

    with pytest.raises(TypeError, match="default_factory"):

        @dataclass
        class Shared:
            rows: list = []  # noqa: RUF012


def test_records_load_neither_dataclasses_nor_inspect() -> None:
    code = "import sys, phi_deid_pipeline.records; print({'dataclasses', 'inspect', 'enum'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=True, capture_output=True, text=True)
    assert told.stdout == "{'enum'}\n"  # the module that records do load shows that loaded ones are seen
