"""Lets a run outlive a Slurm controller or accounting service that does not answer for a while.

snakemake-executor-plugin-slurm forgets the jobs that it waits for when a look at them fails, and then waits for ever; while
the controller is away it also turns from squeue to sacct, which never answers where no accounting runs. A job that the
controller took and lost in a crash it waits for too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from logging import Logger
from typing import Any

RETRY_SECONDS = 5.0
PATIENCE_SECONDS = 3600.0
NO_ANSWER = (None, None)
LOOKS_UNTIL_LOST = 3  # in a row that do not list a job; squeue lists one for MinJobAge after its end
LOST = "CANCELLED"  # what the plugin takes for a failure, and tries again

Query = Callable[[str, Logger], Awaitable[tuple[Any, Any]]]


def wait_for_answers() -> None:
    """Make the plugin in this process ask again until it is answered."""
    import snakemake_executor_plugin_slurm as plugin

    waiting: set[str] = set()
    executors: list[Any] = []
    look = plugin.Executor.check_active_jobs

    async def check_active_jobs(self: Any, active_jobs: list) -> AsyncIterator:
        executors[:] = [self]
        waiting.clear()
        waiting.update(str(job.external_jobid) for job in active_jobs)
        async for job in look(self, active_jobs):
            yield job

    plugin.Executor.check_active_jobs = check_active_jobs
    plugin.query_job_status = patient(
        plugin.query_job_status, waiting, is_wanted=lambda: all(executor.wait for executor in executors)
    )
    plugin.get_min_job_age = last_known(plugin.get_min_job_age)
    plugin.get_min_job_age()  # asked while Slurm answers, as it must for the first job


def patient(
    query: Query,
    waiting: Set[str],
    patience: float = PATIENCE_SECONDS,
    pause: float = RETRY_SECONDS,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Query:
    """Return a query that is repeated until it is answered, and says of the jobs in `waiting` which are lost.

    Of tasks of an array it says nothing: waiting ones are listed together. Ends without an answer where none is wanted any
    more, as when the run is told to stop; raises TimeoutError after `patience` seconds without one.
    """
    unlisted: Counter[str] = Counter()

    async def ask(command: str, logger: Logger) -> tuple[Any, Any]:
        deadline = time.monotonic() + patience
        while (answer := await query(command, logger)) == NO_ANSWER:
            if not is_wanted():
                return NO_ANSWER
            if time.monotonic() > deadline:
                raise TimeoutError("Slurm does not answer. Run again when it does; what is finished is kept.")
            await asyncio.sleep(pause)
        statuses, seconds = answer
        if command.startswith("squeue"):
            missing = {job for job in waiting if "_" not in job and job not in statuses}
            for job in unlisted.keys() - missing:
                del unlisted[job]
            unlisted.update(missing)
            statuses = statuses | {job: LOST for job in missing if unlisted[job] >= LOOKS_UNTIL_LOST}
        return statuses, seconds

    return ask


def last_known(query: Callable[[], int | None]) -> Callable[[], int | None]:
    """Return a query that gives the last answer again where there is none."""
    known: list[int | None] = [None]

    def ask() -> int | None:
        answer = query()
        known[0] = known[0] if answer is None else answer
        return known[0]

    return ask
