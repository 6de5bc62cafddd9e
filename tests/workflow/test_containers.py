"""The image: any user, read-only root, no network, no capability; results are those of a run without it.

Builds the image from this checkout, so it runs only where Podman, Buildah and, for its part, Apptainer are installed. With
SIF=FILE in the environment the tests of Apptainer take that file, as `SIF=FILE make image` writes it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import pytest
from harness import ROOT, Workplace, assert_same_results

pytestmark = pytest.mark.workflow

Maker = Callable[[str], Workplace]
IMAGE = "localhost/phi-deid-pipeline:test"
MISSING = [tool for tool in ("podman", "buildah") if shutil.which(tool) is None]
NO_APPTAINER = [*MISSING, *(tool for tool in ("apptainer",) if shutil.which(tool) is None)]
needs_podman = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
needs_apptainer = pytest.mark.skipif(bool(NO_APPTAINER), reason=f"not installed: {', '.join(NO_APPTAINER)}")
# Optional, and what it checks stands in the audits: where this machine lacks it, containers must not have it either.
MASKS = {"/dev/null": "/usr/bin/dciodvfy"} if shutil.which("dciodvfy") is None else {}
VENV = "/opt/phi_deid/venv"
PACKAGES = f"{VENV}/lib/python3.11/site-packages"
ONE_BATCH = ("--set", "inventory.spread=1")  # fewer jobs


def podman(*arguments: str) -> tuple[int, str]:
    return harness.execute(["podman", *arguments], ROOT)


@pytest.fixture(scope="session", autouse=True)
def containers_conf() -> Iterator[None]:
    """Where Podman cannot start a container as it stands, let it try with the settings for restricted machines."""
    with pytest.MonkeyPatch.context() as patch:
        if "CONTAINERS_CONF" not in os.environ and not Path("/run/systemd/system").exists():
            patch.setenv("CONTAINERS_CONF", str(ROOT / "tests" / "deployment" / "containers.conf"))
        yield


@pytest.fixture(scope="session")
def image(base_folder: Path, finished: Workplace, containers_conf: None) -> str:
    """Return the image of the checkout that `finished` was run with."""

    def build() -> None:
        command = ["envs/make_image.sh", sys.executable, IMAGE]
        environment = {**os.environ, "CACHE": str(ROOT / ".cache")}
        done = subprocess.run(
            command, cwd=finished.product, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    harness.make_once(base_folder / "image.done", build)
    return IMAGE


@pytest.fixture(scope="session")
def unpacked(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return the image as a folder: Apptainer takes one as it takes a .sif file, which is slow to make; or that file."""
    if "SIF" in os.environ:
        yield Path(os.environ["SIF"]).resolve()
        return
    image = request.getfixturevalue("image")
    code, container = harness.execute(["buildah", "from", "--quiet", image], ROOT)
    assert code == 0, container
    code, folder = harness.execute(["buildah", "mount", container.strip()], ROOT)
    assert code == 0, folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APPTAINERENV_PREPEND_PATH", f"{VENV}/bin")  # a folder holds no environment
        yield Path(folder.strip())
    harness.execute(["buildah", "rm", container.strip()], ROOT)


@pytest.fixture(scope="session")
def launcher(base_folder: Path, finished: Workplace) -> Path:
    """Return the interpreter of an environment with Snakemake and rich alone."""
    folder = base_folder / "launcher"

    def make() -> None:
        code, shown = harness.execute(["envs/make_env.sh", str(folder), "launcher"], finished.product)
        assert code == 0, shown[-2000:]

    harness.make_once(base_folder / "launcher.done", make)
    return folder / "bin" / "python"


@needs_podman
def test_any_user_on_a_read_only_root_gets_the_same_bytes(
    finished: Workplace, fresh: Maker, salt_file: Path, image: str
) -> None:
    place = fresh("podman")
    place.output.mkdir()
    os.chown(place.output, 12345, 12345)
    folders = {place.source: "/input:ro", place.output: "/output", salt_file: "/salt:ro", **MASKS}
    volumes = [part for host, inside in folders.items() for part in ("--volume", f"{host}:{inside}")]
    closed = ["--read-only", "--network", "none", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
    code, shown = podman(
        "run", "--rm", "--user", "12345:12345", *closed, *volumes, image,
        *("run", "--input", "/input", "--output", "/output", "--salt-file", "/salt", "--cores", "2", *ONE_BATCH),
    )  # fmt: skip
    assert code == harness.RELEASED, shown
    assert_same_results(place, finished)


@needs_podman
def test_the_image_has_both_readers_and_no_tool_to_install_more(image: str) -> None:
    probe = (
        "import cv2, onnxruntime, pytesseract, rapidocr, importlib.util as u;"
        "print(pytesseract.get_tesseract_version(), u.find_spec('pip'))"
    )
    code, shown = podman("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", probe)
    assert (code, shown.split()[-1]) == (0, "None")


@needs_apptainer
def test_apptainer_gives_the_same_bytes_and_changing_to_it_and_back_reruns_nothing(
    finished: Workplace, fresh: Maker, salt_file: Path, unpacked: Path, launcher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPTAINER_BIND", ",".join(f"{host}:{inside}" for host, inside in MASKS.items()))
    place = fresh("apptainer")
    place.python = str(launcher)
    in_image = ("--sdm", "apptainer", *ONE_BATCH, "--set", f"container={unpacked}")
    run = place.run("--salt-file", str(salt_file), *in_image)
    assert run.jobs == harness.jobs(set(place.batches().values()))
    assert_same_results(place, finished)
    assert str(place.source) not in place.log_text()
    place.python = sys.executable
    assert place.run(*ONE_BATCH).jobs == []
    place.python = str(launcher)
    assert place.run(*in_image).jobs == []


@needs_apptainer
def test_a_package_that_the_image_lacks_is_not_borrowed(
    fresh: Maker, salt_file: Path, unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run starts from the environment of the tests, which has the package."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("APPTAINER_BIND", f"{tmp_path / 'nothing'}:{PACKAGES}/pydicom")
    place = fresh("lacking")
    command = place.command("--salt-file", str(salt_file), "--sdm", "apptainer", "--set", f"container={unpacked}")
    code, shown = harness.execute(command, place.product)
    assert code == 1, shown
    # The empty folder counts as a package without contents, and only where no other of its name can be found.
    assert re.search("ERROR (AttributeError|ImportError|ModuleNotFoundError) at", place.log_text())
    assert not (place.output / "release").exists()
