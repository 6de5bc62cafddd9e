"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import sample_input

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


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
