"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sample_input

# Modules in whose tests each is long by itself: the tests of other modules share what is costly, and so a worker.
APART = frozenset(
    f"test_{name}.py"
    for name in (
        "determinism", "every_file", "faults", "instance_deid_reference", "interruption", "object_storage_run", "reruns",
        "stack_products_run",
    )
)  # fmt: skip
# The longest first, so that no worker has to wait for them in the end.
FIRST = tuple(
    f"test_{name}.py"
    for name in (
        "containers",
        "slurm",
        "canaries",
        "front_door",
        "bad_input",
        "instance_deid_reference",
        "interruption",
    )
)
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put modules in `FIRST` before other whole runs, and these before all else."""

    def rank(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.name
        return FIRST.index(name) if name in FIRST else len(FIRST), item.path.parent.name != "workflow"

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let one worker run all tests of a module, so that what they share is made once; those `APART` go to whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return nodeid if Path(module).name in APART else module

    config.option.loadscopereorder = False  # it would put modules of many short tests before those of few long ones
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of public test data beside the checkout, or skip."""
    if not SHARED.is_dir():
        pytest.skip("no folder shared/data beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def wheel_files() -> list[Path]:
    """Return the DICOM files that ship inside pydicom's wheel."""
    return sample_input.wheel_files()


@pytest.fixture(scope="session")
def sample_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the minimal input; tests must not change it (copy it first)."""
    target = tmp_path_factory.mktemp("sample") / "Zimmerlin Ottoline"
    sample_input.build_small(target)
    return target
