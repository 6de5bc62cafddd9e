"""A whole run by the profile for LSF, with commands that stand in for bsub and bjobs: the same bytes.

No LSF, PBS or Grid Engine is at hand: what is shown is that the profile, its links and the plugin work together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Workplace, assert_same_results

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif("CLUSTER_TESTS" not in os.environ, reason="35 jobs with a Snakemake each: set CLUSTER_TESTS=1"),
]
pytest.importorskip("snakemake_executor_plugin_cluster_generic", reason="cluster.lock is not installed: make cluster")

BSUB = """#!/bin/sh
for script; do :; done
number=$(ls "{jobs}" | wc -l)
touch "{jobs}/$number"
( "$script" >/dev/null 2>&1; if [ $? = 0 ]; then echo DONE; else echo EXIT; fi >"{jobs}/$number" ) >/dev/null 2>&1 &
echo "Job <$number> is submitted to queue <normal>."
"""
BJOBS = """#!/bin/sh
for number; do :; done
[ -s "{jobs}/$number" ] && cat "{jobs}/$number" || echo RUN
"""


def test_a_run_by_the_lsf_profile_gives_the_same_bytes(
    finished: Workplace,
    fresh: Callable[[str], Workplace],
    salt_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands, jobs = tmp_path / "commands", tmp_path / "jobs"
    commands.mkdir()
    jobs.mkdir()
    for name, body in (("bsub", BSUB), ("bjobs", BJOBS)):
        (commands / name).write_text(body.format(jobs=jobs))
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    place = fresh("lsf")
    place.run("--salt-file", str(salt_file), "--profile", "lsf")
    assert_same_results(place, finished)
    assert len(list(jobs.iterdir())) >= 20
