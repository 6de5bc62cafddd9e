"""One input, one salt, one policy: one result, however it is made."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import harness
import pytest
from harness import ONE_BATCH, Workplace, assert_same_results

pytestmark = pytest.mark.workflow

Maker = Callable[[str], Workplace]


def batch_count(place: Workplace) -> int:
    return len(list((place.output / "private" / "manifests").glob("b*.json")))


def test_one_core_and_one_large_batch_give_the_same_bytes(finished: Workplace, fresh: Maker, salt_file: Path) -> None:
    place = fresh("one")
    options = (*ONE_BATCH, "--set", "inventory.target_work=1000")
    place.run("--salt-file", str(salt_file), *options, cores=1)
    assert (batch_count(place), batch_count(finished)) == (1, 3)
    assert_same_results(place, finished)


def test_other_folder_order_and_root_give_the_same_bytes(
    finished: Workplace, fresh: Maker, salt_file: Path, tmp_path: Path
) -> None:
    place = fresh("moved")
    place.source = tmp_path / "deeper" / "Zimmerlin Ottoline" / "export"
    for path in sorted((path for path in finished.source.rglob("*") if path.is_file()), reverse=True):
        target = place.source / path.relative_to(finished.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert harness.content(place.source) == harness.content(finished.source)
    place.run("--salt-file", str(salt_file), *ONE_BATCH)
    assert_same_results(place, finished)


def test_plain_snakemake_after_prepare_gives_the_same_bytes(finished: Workplace, fresh: Maker, salt_file: Path) -> None:
    place = fresh("plain")
    prepare = place.command("--salt-file", str(salt_file), *ONE_BATCH, command="prepare")
    code, shown = harness.execute(prepare, place.product)
    assert code == 0, shown
    assert not (place.output / "releases").exists()
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "2"]
    snakemake += ["--workflow-profile", "workflow/profiles/default", "--directory", str(place.output)]
    code, log = harness.execute(snakemake, place.product)
    assert code == 0, log[-4000:]
    assert harness.ran_jobs(log) == harness.jobs(set(place.batches().values()))
    assert_same_results(place, finished)
    assert str(place.source) not in log and os.fsencode(place.source) not in _records(place)
    assert place.run(*ONE_BATCH).jobs == []


def _records(place: Workplace) -> bytes:
    folder = place.output / ".snakemake"
    found = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
    assert found
    return found
