"""A look at jobs that fails is repeated, since the plugin would forget the jobs."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import logging
from typing import Any

import pytest

from slurm_patience import last_known, patient, wait_for_answers

LOGGER = logging.getLogger(__name__)


def test_a_query_is_repeated_until_it_is_answered() -> None:
    answers = [(None, None), (None, None), ({"7": "COMPLETED"}, 0.1)]

    async def query(command: str, logger: logging.Logger) -> tuple[Any, Any]:
        return answers.pop(0)

    assert asyncio.run(patient(query, set(), pause=0.0)("squeue", LOGGER)) == ({"7": "COMPLETED"}, 0.1)
    assert answers == []


def test_patience_ends() -> None:
    async def query(command: str, logger: logging.Logger) -> tuple[Any, Any]:
        return None, None

    with pytest.raises(TimeoutError, match="does not answer"):
        asyncio.run(patient(query, set(), patience=0.0, pause=0.001)("squeue", LOGGER))


def test_a_run_that_is_told_to_stop_waits_for_no_answer() -> None:
    async def query(command: str, logger: logging.Logger) -> tuple[Any, Any]:
        return None, None

    ask = patient(query, set(), patience=60.0, pause=0.001, is_wanted=lambda: False)
    assert asyncio.run(ask("squeue", LOGGER)) == (None, None)


def test_a_job_that_slurm_lost_is_told_after_some_looks_and_one_that_it_lists_is_not() -> None:
    answers = [{"7": "RUNNING"}, {"7": "RUNNING"}, {"7": "RUNNING", "9": "PENDING"}, *3 * [{"7": "RUNNING"}]]

    async def query(command: str, logger: logging.Logger) -> tuple[Any, Any]:
        return answers.pop(0), 0.1

    ask = patient(query, {"7", "9", "11_2"})
    told = [asyncio.run(ask("squeue --me", LOGGER))[0] for _ in range(6)]
    assert [statuses.get("9") for statuses in told] == [None, None, "PENDING", None, None, "CANCELLED"]
    assert not any("11_2" in statuses for statuses in told)


def test_accounting_may_list_a_job_late() -> None:
    async def query(command: str, logger: logging.Logger) -> tuple[Any, Any]:
        return {}, 0.1

    ask = patient(query, {"7"})
    assert [asyncio.run(ask("sacct -X", LOGGER))[0] for _ in range(5)] == [{}] * 5


def test_a_setting_that_cannot_be_asked_for_is_the_one_that_was() -> None:
    answers = [None, 300, None, 60, None]
    ask = last_known(lambda: answers.pop(0))
    assert [ask() for _ in range(5)] == [None, 300, 300, 60, 60]


@pytest.mark.skipif(importlib.util.find_spec("snakemake_executor_plugin_slurm") is None, reason="no plugin for Slurm")
def test_the_plugin_asks_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import snakemake_executor_plugin_slurm as plugin

    for name in ("query_job_status", "get_min_job_age"):
        monkeypatch.setattr(plugin, name, getattr(plugin, name))
        assert f"{name}(" in inspect.getsource(plugin.Executor.check_active_jobs)
    monkeypatch.setattr(plugin.Executor, "check_active_jobs", plugin.Executor.check_active_jobs)
    wait_for_answers()
    assert plugin.Executor.check_active_jobs.__module__ == "slurm_patience"
    assert plugin.query_job_status.__module__ == plugin.get_min_job_age.__module__ == "slurm_patience"
