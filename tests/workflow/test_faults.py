"""A full or closed output disk is told in one line, leaves nothing half-written, and a rerun completes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_harness import audit, half_written, main, released, run, snapshot

import factories

pytestmark = pytest.mark.workflow

FULL = "The output disk is full"
WITHOUT_DAC = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
PLENTY = "64m"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an input whose staging is a good part of what a run writes."""
    root = tmp_path_factory.mktemp("faults") / "input"
    for number in range(1, 7):
        factories.write(factories.ct_instance(number=number, size=256), root / f"IM{number}")
    return root


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if _mount(place, "size=1m"):
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _mount(place: Path, options: str) -> int:
    if shutil.which("mount") is None:
        return 1
    return subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
    ).returncode


def test_full_disk_is_told_and_a_rerun_completes(source: Path, disk: Path) -> None:
    """One output runs into a full disk four times, each time with more room, before it has enough."""
    output = disk / "output"
    for size in ("100k", "500k", "900k", "1300k"):
        assert _mount(disk, f"remount,size={size}") == 0
        full = run(source, output)
        assert full.code == 1, (size, full.text)
        assert FULL in full.text, size
        assert "Traceback" not in full.text, size
        assert not (output / "release").is_symlink(), size
        assert half_written(output) == [], size
    assert _mount(disk, f"remount,size={PLENTY}") == 0
    again = run(source, output)
    assert again.code == 0, again.text
    assert [row["status"] for row in audit(output)] == ["released"] * 6
    assert half_written(output) == []
    assert main("verify", "--output", output).code == 0


def test_disk_that_fills_up_later_leaves_the_old_release_as_it_is(source: Path, disk: Path, tmp_path: Path) -> None:
    more, output = tmp_path / "more", disk / "output"
    shutil.copytree(source, more)
    assert _mount(disk, f"remount,size={PLENTY}") == 0
    assert run(source, output).code == 0
    before = snapshot(output / "releases")
    factories.write(factories.ct_instance(number=7, size=256), more / "IM7")
    free = shutil.disk_usage(disk).free
    with (disk / "ballast").open("wb") as ballast:
        ballast.write(bytes(free - 300_000))
    full = run(more, output)
    assert full.code == 1, full.text
    assert FULL in full.text and "Traceback" not in full.text
    assert (output / "release").readlink() == Path("releases/0001")
    assert snapshot(output / "releases") == before
    assert half_written(output) == []
    (disk / "ballast").unlink()
    assert run(more, output).code == 0
    assert (output / "release").readlink() == Path("releases/0002")
    assert len(released(output)) == 7
    assert half_written(output) == []


def test_output_that_may_not_be_written_is_refused(source: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        prefix = WITHOUT_DAC
        if main("--version", prefix=prefix).code:
            pytest.skip("root cannot give up writing everywhere here")
    refused = run(source, closed / "output", prefix=prefix)
    assert refused.code == 2, refused.text
    assert len(refused.lines) == 1 and "cannot be written" in refused.text
    assert list(closed.iterdir()) == []


def test_output_on_a_read_only_disk_is_refused(source: Path, disk: Path) -> None:
    assert _mount(disk, "remount,ro") == 0
    refused = run(source, disk / "output")
    assert refused.code == 2, refused.text
    assert len(refused.lines) == 1 and "cannot be written" in refused.text
