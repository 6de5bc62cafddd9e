"""Results dated ahead of the clock are set back in their order, and count as newer or older as they were."""

import os
import time
from pathlib import Path

import pytest

from file_times import OutputTimes
from run_setup import only_run

AHEAD = 2 * 86_400 * 10**9  # ns


@pytest.fixture
def output(tmp_path):
    for name in (
        "private/salt",
        "private/manifests/b1.json",
        "private/read/b1.jsonl",
        "audits/seal.json",
        "benchmarks/a/b1",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    with only_run(tmp_path):
        yield tmp_path


def date(path: Path, moment: int) -> None:
    os.utime(path, ns=(moment, moment), follow_symlinks=False)


def dated(path: Path) -> float:
    """Return a time as coarsely as Snakemake compares it."""
    return path.lstat().st_mtime


def test_future_times_become_past_ones_in_the_same_order(output):
    names = ("benchmarks/a/b1", "private/read/b1.jsonl", "private/salt", "audits/seal.json")
    for number, name in enumerate(names):
        date(output / name, time.time_ns() + AHEAD + number)
    before = dated(output / "private/manifests/b1.json")
    assert OutputTimes(output).set_back() == 4
    times = [dated(output / name) for name in names]
    assert times == sorted(times) and len(set(times)) == 4
    assert before < times[0] and times[-1] <= time.time()
    assert dated(output / "private/manifests/b1.json") == before


def test_equal_times_stay_equal(output):
    moment = time.time_ns() + AHEAD
    for name in ("private/salt", "audits/seal.json"):
        date(output / name, moment)
    assert OutputTimes(output).set_back() == 2
    assert dated(output / "private/salt") == dated(output / "audits/seal.json")


def test_nothing_is_touched_where_nothing_lies_ahead(output):
    before = {path: path.lstat().st_mtime_ns for path in output.rglob("*") if path.name != ".run.lock"}
    assert OutputTimes(output).set_back() == 0
    assert {path: path.lstat().st_mtime_ns for path in before} == before


def test_what_is_written_after_the_clock_went_back_counts_as_newer_than_what_was_dated_ahead(output):
    times = OutputTimes(output)
    assert times.set_back() == 0
    date(output / "private/read/b1.jsonl", time.time_ns() + AHEAD)  # a former result, once the clock has gone back
    (output / "private/manifests/b1.json").write_bytes(b"changed")  # by the scan that was at work meanwhile
    assert times.set_back() == 2
    assert dated(output / "private/read/b1.jsonl") < dated(output / "private/manifests/b1.json") <= time.time()


def test_a_folder_counts_by_its_timestamp_alone_and_what_it_holds_stays_as_it_is(output):
    folder, moment = output / "private/staging/b1", time.time_ns() + AHEAD
    folder.mkdir(parents=True)
    for name in ("1.dcm", ".snakemake_timestamp"):
        (folder / name).touch()
        date(folder / name, moment)
    assert OutputTimes(output).set_back() == 1
    assert (folder / "1.dcm").lstat().st_mtime_ns == moment
    assert dated(folder / ".snakemake_timestamp") <= time.time()


def test_input_copied_or_linked_into_the_output_and_links_keep_their_times(output, tmp_path_factory):
    source, moment = tmp_path_factory.mktemp("input"), time.time_ns() + AHEAD
    (output / "private/source").mkdir()
    (output / "private/input").symlink_to(source)
    kept = [source / "1.dcm", output / "private/source/1.dcm"]
    for path in kept:
        path.touch()
        date(path, moment)
    assert OutputTimes(output).set_back() == 0
    assert [path.lstat().st_mtime_ns for path in kept] == [moment, moment]
