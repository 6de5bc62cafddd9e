"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sample_input

TOGETHER = ("workflow/test_containers.py", "workflow/test_slurm.py")  # share an image, a cluster
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let one worker run all tests of a module in `TOGETHER`, first of all; other tests go to whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return module if module.endswith(TOGETHER) else nodeid

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
