"""Overlays in unused bits of the pixels: nothing of them may be left where the source tells of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phi_deid_pipeline import verification_overlays
from unit.test_verification import Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(verification_overlays, "STEP_BYTES", 64)  # several windows
    return Bench(tmp_path)


def overlay(bench: Bench, position: int, group: int = 0x6000) -> None:
    bench.original.add_new(group << 16 | 0x0102, "US", position)


@pytest.mark.parametrize(
    ("signed", "word", "passes"),
    [
        (False, 0x0FFF, True),
        (False, 0x1001, False),
        (False, 0x8000, False),
        (True, 0x07FF, True),
        (True, 0xF800, True),
        (True, 0xFFFF, True),
        (True, 0x1001, False),
        (True, 0xEFFF, False),
    ],
)
@pytest.mark.parametrize("group", [0x6000, 0x6002, 0x60FE])
def test_bits_of_an_overlay_hold(bench: Bench, group: int, signed: bool, word: int, passes: bool) -> None:
    overlay(bench, 12, group)
    words = np.zeros((16, 16), "<u2")
    words[15, 15] = word
    for ds in (bench.original, bench.dataset):
        ds.PixelRepresentation, ds.PixelData = int(signed), words.tobytes()
    assert bench.residuals() == ([] if passes else [("structure", "7FE00010", "")])


def test_bits_hold_only_where_the_source_tells_of_an_overlay(bench: Bench) -> None:
    bench.original.PixelData = bench.dataset.PixelData = np.full((16, 16), 0x1001, "<u2").tobytes()
    assert bench.residuals() == []
    overlay(bench, 0)
    assert bench.residuals() == []
    overlay(bench, 13)
    assert bench.residuals() == [("structure", "7FE00010", "")]
