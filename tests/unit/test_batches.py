"""Batches: work, target and how new series are grouped."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.batches import UNITS, group, target_of, work_of_instance

LIMITS = {"target_work": 200.0, "spread": 24, "max_batches": 10_000}


def test_work_of_instance_with_pixels_counts_header_frames_and_bytes():
    assert work_of_instance(8, 4_000_000, True) == 5 * UNITS  # 1 + 8 / 4 + 4 MB / 2 MB


def test_work_of_instance_without_pixels_is_one_whatever_its_size():
    assert work_of_instance(8, 4_000_000, False) == UNITS


@pytest.mark.parametrize(
    ("total", "target"),
    [
        pytest.param(240, 10, id="small data are spread"),
        pytest.param(24 * 200, 200, id="from 24 full batches on the target work holds"),
        pytest.param(1_000_000, 200, id="in between the target work holds"),
        pytest.param(10_000_000, 1000, id="large data fill at most max_batches"),
    ],
)
def test_target_of_total_work(total, target):
    assert target_of(total * UNITS, **LIMITS) == target * UNITS


def test_group_lets_small_series_share_a_batch_up_to_the_target():
    assert group([("a", 4), ("b", 4), ("c", 2), ("d", 1)], 10) == [["a", "b", "c"], ["d"]]


def test_group_puts_a_series_of_at_least_the_target_alone_without_ending_the_open_batch():
    assert group([("a", 3), ("b", 10), ("c", 3), ("d", 11)], 10) == [["a", "c"], ["b"], ["d"]]


def test_group_of_nothing_makes_no_batch():
    assert group([], 0.0) == []
