"""A run's cluster jobs carry a name made of its output folder, by which a later run finds and ends them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster_jobs import ClusterError, end_orphans, jobs_name, profile_options

PROFILES = Path(__file__).resolve().parents[2] / "workflow" / "profiles"
OUTPUT = Path("/data/Zimmerlin Ottoline/out")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose file `queue` is what squeue lists; scancel takes a job out unless `stubborn` is there."""
    commands = {
        "squeue": 'cat "$(dirname "$0")/queue"',
        "scancel": 'cd "$(dirname "$0")"; [ -e stubborn ] || for job; do sed -i "/^$job /d" queue; done',
    }
    for name, body in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "queue").write_text(
        f"7 {jobs_name(OUTPUT)}_run\n8 {jobs_name(Path('/else'))}_run\n9 {jobs_name(OUTPUT)}_run\n"
    )
    return tmp_path


def test_the_name_tells_nothing_of_the_folder_and_fits_slurm() -> None:
    name = jobs_name(OUTPUT)
    assert name.startswith("phi_deid_") and len(name) == 25
    assert "Zimmerlin" not in name and name.replace("_", "").isalnum()
    assert name != jobs_name(OUTPUT.parent)


def test_only_the_jobs_of_this_output_are_ended(cluster: Path) -> None:
    assert end_orphans(OUTPUT) == 2
    assert (cluster / "queue").read_text() == f"8 {jobs_name(Path('/else'))}_run\n"
    assert end_orphans(OUTPUT) == 0


def test_jobs_that_do_not_end_stop_the_run(cluster: Path) -> None:
    (cluster / "stubborn").touch()
    with pytest.raises(ClusterError, match="7, 9"):
        end_orphans(OUTPUT, wait_seconds=0.0, sleep=lambda _: None)


def test_a_cluster_that_does_not_answer_stops_the_run(cluster: Path) -> None:
    (cluster / "squeue").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ClusterError, match="Is the cluster up"):
        end_orphans(OUTPUT)


def test_without_slurm_there_is_nothing_to_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert end_orphans(OUTPUT) == 0


def test_one_machine_gives_all_its_cores_a_cluster_only_those_asked_for() -> None:
    assert profile_options(PROFILES / "default", OUTPUT, None, 8) == ["--cores", "8"]
    assert profile_options(PROFILES / "default", OUTPUT, 2, 8) == ["--cores", "2"]
    assert profile_options(PROFILES / "slurm", OUTPUT, None, 8) == ["--slurm-jobname-prefix", jobs_name(OUTPUT)]
    assert profile_options(PROFILES / "slurm", OUTPUT, 4, 8)[-2:] == ["--cores", "4"]
    assert profile_options(PROFILES / "lsf", OUTPUT, None, 8) == []
