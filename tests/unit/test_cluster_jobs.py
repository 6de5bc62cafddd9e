"""A run's cluster jobs carry a name made of its output folder, by which a later run finds and ends them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster_jobs import (
    MARK,
    ClusterError,
    cluster_of,
    end_orphans,
    jobs_are_over,
    jobs_may_be_out,
    jobs_name,
    pbs_name,
    profile_options,
)

PROFILES = Path(__file__).resolve().parents[2] / "workflow" / "profiles"
FAR = Path("/data/Zimmerlin Ottoline/out")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Return an output that a run on Slurm was killed over."""
    mark = tmp_path / "out" / MARK
    mark.parent.mkdir(parents=True)
    jobs_may_be_out(tmp_path / "out", "slurm")
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


def test_a_run_that_was_not_killed_or_not_on_a_cluster_leaves_nothing_to_end(cluster: Path, output: Path) -> None:
    (output / MARK).unlink()
    (cluster / "squeue").write_text("#!/bin/sh\nexit 1\n")
    for system in ("", "slurm", "lsf"):
        jobs_may_be_out(output, system)
        assert (output / MARK).exists() == bool(system)
        jobs_are_over(output)
        assert end_orphans(output) == 0


def test_the_profile_tells_where_jobs_go() -> None:
    assert {name: cluster_of(PROFILES / name) for name in ("default", "slurm", "lsf", "pbs", "sge")} == {
        "default": "", "slurm": "slurm", "lsf": "lsf", "pbs": "pbs", "sge": "sge",
    }  # fmt: skip


LISTING = {  # a queue of lines "number name", as each system's command lists it
    "lsf": ("bjobs", '[ -s queue ] && cat queue || { echo "No unfinished job found" >&2; exit 255; }'),
    "pbs": ("qselect", 'sed -n "s/ $2$//p" queue'),
    "sge": (
        "qstat",
        'echo "<job_info><queue_info>"; while read number name; do '
        'printf \'<job_list state="running">\\n<JB_job_number>%s</JB_job_number>\\n<JAT_prio>0.5</JAT_prio>\\n'
        '<JB_name>%s</JB_name>\\n</job_list>\\n\' "$number" "$name"; done <queue; '
        'echo "</queue_info></job_info>"',
    ),
}


@pytest.fixture(params=list(LISTING))
def system(request: pytest.FixtureRequest, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a system on which a run was killed that left the jobs 7 and 9; what cancels one fails, as if one had just ended."""
    name, listing = LISTING[request.param]
    cancel = 'for job; do sed -i "/^$job /d" queue; done; exit 255'
    for command, body in ((name, listing), ("bkill" if request.param == "lsf" else "qdel", cancel)):
        (tmp_path / command).write_text(f'#!/bin/sh\ncd "$(dirname "$0")"\n[ ! -e down ] || exit 1\n{body}\n')
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    names = [
        pbs_name(place) if request.param == "pbs" else f"{jobs_name(place)}_run" for place in (output, Path("/else"))
    ]
    (tmp_path / "queue").write_text(f"7 {names[0]}\n8 {names[1]}\n9 {names[0]}\n10 mine\n")
    jobs_may_be_out(output, request.param)
    return request.param


def test_jobs_of_this_output_are_ended_on_every_system(system: str, tmp_path: Path, output: Path) -> None:
    assert end_orphans(output) == 2
    assert [line.split()[0] for line in (tmp_path / "queue").read_text().splitlines()] == ["8", "10"]
    assert end_orphans(output) == 0
    jobs_may_be_out(output, system)
    (tmp_path / "queue").write_text("")
    assert end_orphans(output) == 0


def test_a_system_that_does_not_answer_stops_the_run(system: str, tmp_path: Path, output: Path) -> None:
    (tmp_path / "down").touch()
    with pytest.raises(ClusterError, match="Is the cluster up"):
        end_orphans(output)
    assert (output / MARK).exists()


def test_a_machine_without_the_commands_of_the_cluster_stops_the_run(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    jobs_may_be_out(output, "lsf")
    with pytest.raises(ClusterError, match=r"bjobs failed.*a machine that reaches it"):
        end_orphans(output)


def test_one_machine_gives_all_its_cores_a_cluster_only_those_asked_for() -> None:
    assert profile_options(PROFILES / "default", FAR, None, 8) == ["--cores", "8"]
    assert profile_options(PROFILES / "default", FAR, 2, 8) == ["--cores", "2"]
    assert profile_options(PROFILES / "slurm", FAR, None, 8) == ["--slurm-jobname-prefix", jobs_name(FAR)]
    assert profile_options(PROFILES / "slurm", FAR, 4, 8)[-2:] == ["--cores", "4"]
    assert profile_options(PROFILES / "lsf", FAR, None, 8) == []
