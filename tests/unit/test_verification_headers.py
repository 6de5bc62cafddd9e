"""What verification reads by the header of the instance before is what it reads anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from header_series import EXPLICIT, SYNTAXES, damaged, mixed, outcome, series
from phi_deid_pipeline.references import references
from phi_deid_pipeline.verification_bytes import Layout, read_layout
from phi_deid_pipeline.verification_headers import HeaderMemory


def content(layout: Layout) -> tuple:
    joined = [value for _, values in layout.parts() for value in values]
    assert joined == layout.values
    return layout.values, layout.pixels, layout.end, layout.odd, layout.little, layout.shape(), references(layout)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_headers_of_a_series_are_read_as_without_a_memory(tmp_path: Path, syntax: str) -> None:
    memory, remembered = HeaderMemory(), 0
    for path in series(tmp_path, syntax):
        with read_layout(path) as alone, read_layout(path, memory) as found:
            assert content(found) == content(alone)
            remembered += len(found.stretches) > 1
    assert remembered >= 6


def test_another_encoding_in_between_does_no_harm(tmp_path: Path) -> None:
    memory = HeaderMemory()
    for path in mixed(tmp_path):
        with read_layout(path) as alone, read_layout(path, memory) as found:
            assert content(found) == content(alone)


def test_damaged_instances_are_refused_as_without_a_memory(tmp_path: Path) -> None:
    memory, ends = HeaderMemory(), {"read": 0, "refused": 0}
    for path in damaged(list(series(tmp_path, EXPLICIT)), tmp_path / "damaged"):
        expected = outcome(lambda path=path: read_layout(path), content)
        assert outcome(lambda path=path: read_layout(path, memory), content) == expected
        ends[expected[0]] += 1
    assert min(ends.values()) > 50
