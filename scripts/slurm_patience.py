"""Lets a run outlive a Slurm controller or accounting service that does not answer for a while.

snakemake-executor-plugin-slurm forgets the jobs that it waits for when a look at them fails, and then waits for ever; while
the controller is away it also turns from squeue to sacct, which never answers where no accounting runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from logging import Logger
from typing import Any

RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 3600.0
NO_ANSWER = (None, None)

Query = Callable[[str, Logger], Awaitable[tuple[Any, Any]]]


def wait_for_answers() -> None:
    """Make the plugin in this process ask again until it is answered."""
    import snakemake_executor_plugin_slurm as plugin

    plugin.query_job_status = patient(plugin.query_job_status)
    plugin.get_min_job_age = last_known(plugin.get_min_job_age)


def patient(query: Query, patience: float = PATIENCE_SECONDS, pause: float = RETRY_SECONDS) -> Query:
    """Return a query that is repeated until it is answered; raises TimeoutError after `patience` seconds without one."""

    async def ask(command: str, logger: Logger) -> tuple[Any, Any]:
        deadline = time.monotonic() + patience
        while (answer := await query(command, logger)) == NO_ANSWER:
            if time.monotonic() > deadline:
                raise TimeoutError("Slurm does not answer. Run again when it does; what is finished is kept.")
            await asyncio.sleep(pause)
        return answer

    return ask


def last_known(query: Callable[[], int | None]) -> Callable[[], int | None]:
    """Return a query that gives the last answer again where there is none."""
    known: list[int | None] = [None]

    def ask() -> int | None:
        answer = query()
        known[0] = known[0] if answer is None else answer
        return known[0]

    return ask
