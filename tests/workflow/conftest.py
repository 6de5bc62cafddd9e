"""A finished output that the workflow tests share: made once, copied by each test that changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import pytest
from harness import Workplace

SALT = bytes(range(32))


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all workers of a test run share."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "workflow_tests"


@pytest.fixture(scope="session")
def salt_file(finished: Workplace) -> Path:
    """Return the salt of all outputs of these tests."""
    return finished.output.parent / "salt"


@pytest.fixture(scope="session")
def finished(base_folder: Path) -> Workplace:
    """Return an output that was run once over the input of `build_input`; tests must not change it."""
    place = Workplace(base_folder / "product", base_folder / "input", base_folder / "output")

    def make() -> None:
        harness.copy_product(place.product)
        harness.build_input(place.source)
        (base_folder / "salt").write_bytes(SALT)
        run = place.run("--salt-file", str(base_folder / "salt"))
        assert run.jobs == harness.jobs(place.batches().values())
        assert harness.text_hidden(place.output).keys() == {"other/IM1.dcm", "other/IM2.dcm"}

    harness.make_once(base_folder / "output.done", make)
    return place


@pytest.fixture
def place(finished: Workplace, tmp_path: Path) -> Workplace:
    """Return a copy of input and finished output, free to be changed."""
    return Workplace(
        finished.product,
        harness.copy_tree(finished.source, tmp_path / "input"),
        harness.copy_tree(finished.output, tmp_path / "output"),
    )


@pytest.fixture
def fresh(finished: Workplace, tmp_path: Path) -> Iterator[Callable[[str], Workplace]]:
    """Return a maker of empty outputs over the shared input."""

    def make(name: str) -> Workplace:
        return Workplace(finished.product, finished.source, tmp_path / name)

    yield make
