"""A run's cluster jobs carry a name made of its output folder, by which a later run finds and ends them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster_jobs import MARK, ClusterError, end_orphans, jobs_are_over, jobs_may_be_out, jobs_name, profile_options

PROFILES = Path(__file__).resolve().parents[2] / "workflow" / "profiles"
FAR = Path("/data/Zimmerlin Ottoline/out")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return an output that a run on Slurm was killed over."""
    mark = tmp_path / "out" / MARK
    mark.parent.mkdir(parents=True)
    mark.touch()
    return tmp_path / "out"


@pytest.fixture
def cluster(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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
        f"7 {jobs_name(output)}_run\n8 {jobs_name(Path('/else'))}_run\n9 {jobs_name(output)}_run\n"
    )
    return tmp_path


def test_the_name_tells_nothing_of_the_folder_and_fits_slurm() -> None:
    name = jobs_name(FAR)
    assert name.startswith("phi_deid_") and len(name) == 25
    assert "Zimmerlin" not in name and name.replace("_", "").isalnum()
    assert name != jobs_name(FAR.parent)


def test_only_the_jobs_of_this_output_are_ended(cluster: Path, output: Path) -> None:
    assert end_orphans(output) == 2
    assert (cluster / "queue").read_text() == f"8 {jobs_name(Path('/else'))}_run\n"
    assert end_orphans(output) == 0


def test_jobs_that_do_not_end_stop_the_run(cluster: Path, output: Path) -> None:
    (cluster / "stubborn").touch()
    with pytest.raises(ClusterError, match="7, 9"):
        end_orphans(output, wait_seconds=0.0, sleep=lambda _: None)


def test_a_cluster_that_does_not_answer_stops_the_run(cluster: Path, output: Path) -> None:
    (cluster / "squeue").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ClusterError, match="Is the cluster up"):
        end_orphans(output)


def test_a_run_that_was_not_killed_or_not_on_slurm_leaves_nothing_to_end(cluster: Path, output: Path) -> None:
    (output / MARK).unlink()
    (cluster / "squeue").write_text("#!/bin/sh\nexit 1\n")
    for options in (["--cores", "2"], ["--slurm-jobname-prefix", "name"]):
        jobs_may_be_out(output, options)
        assert (output / MARK).exists() == (len(options[0]) > 10)
        jobs_are_over(output)
        assert end_orphans(output) == 0


def test_one_machine_gives_all_its_cores_a_cluster_only_those_asked_for() -> None:
    assert profile_options(PROFILES / "default", FAR, None, 8) == ["--cores", "8"]
    assert profile_options(PROFILES / "default", FAR, 2, 8) == ["--cores", "2"]
    assert profile_options(PROFILES / "slurm", FAR, None, 8) == ["--slurm-jobname-prefix", jobs_name(FAR)]
    assert profile_options(PROFILES / "slurm", FAR, 4, 8)[-2:] == ["--cores", "4"]
    assert profile_options(PROFILES / "lsf", FAR, None, 8) == []
