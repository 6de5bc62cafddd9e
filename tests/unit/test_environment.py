"""The environment: locked by hashes, the same versions everywhere, made once; the default profile does what it says."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
LOCKS = sorted(path.stem for path in ENVS.glob("*.lock"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?![0-9a-f])")


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Return name -> (requirement, hashes) of a lock."""
    text = (ENVS / f"{name}.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        requirement = Requirement(line.split("--hash=")[0].strip())
        found[canonicalize_name(requirement.name)] = (requirement, HASH.findall(line))
    return found


def pinned(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def test_locks_are_the_known_ones() -> None:
    assert LOCKS == ["build", "cluster", "dev", "launcher", "models", "readers", "requirements", "storage"]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    found = entries(name)
    assert found
    assert [key for key, (requirement, hashes) in found.items() if not pinned(requirement) or not hashes] == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_names_no_host_and_no_option(name: str) -> None:
    text = (ENVS / f"{name}.lock").read_text(encoding="utf-8")
    assert "://" not in text
    options = {word for word in text.split() if word.startswith("-")}
    assert {option for option in options if not option.startswith("--hash=sha256:")} == set()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_all_that_its_source_asks_for(name: str) -> None:
    asked = {canonicalize_name(item) for item in load(ENVS / "conda_pins.py").direct_names(ENVS / f"{name}.in")}
    assert asked
    assert asked <= set(entries(name))


@pytest.mark.parametrize("name", ["build", "cluster", "dev", "launcher", "storage"])
def test_lock_agrees_with_the_requirements(name: str) -> None:
    versions = {key: pinned(requirement) for key, (requirement, _) in entries("requirements").items()}
    shared = {key: pinned(requirement) for key, (requirement, _) in entries(name).items() if key in versions}
    assert shared
    assert shared == {key: versions[key] for key in shared}


def test_launcher_holds_nothing_that_a_container_could_borrow() -> None:
    borrowed = {
        "numpy",
        "pandas",
        "pyarrow",
        "pydicom",
        "opencv-python-headless",
        "simpleitk",
        "imagecodecs",
        "onnxruntime",
    }
    assert set(entries("launcher")) & borrowed == set()


def test_onnxruntime_is_older_than_its_telemetry() -> None:
    major, minor = pinned(entries("requirements")["onnxruntime"][0]).split(".")[:2]
    assert (int(major), int(minor)) < (1, 29)


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not run by the environment of make test")
@pytest.mark.parametrize("name", ["requirements", "models", "dev"])
def test_installed_versions_are_the_locked_ones(name: str) -> None:
    wanted = {
        key: pinned(requirement)
        for key, (requirement, _) in entries(name).items()
        if requirement.marker is None or requirement.marker.evaluate()
    }
    installed = {canonicalize_name(item.name): item.version for item in importlib.metadata.distributions()}
    assert {key: installed.get(key) for key in wanted} == wanted


def test_conda_files_are_what_the_locks_give() -> None:
    pins = load(ENVS / "conda_pins.py")
    assert (ENVS / "environment.yaml").read_text(encoding="utf-8") == pins.environment_yaml()
    assert (ENVS / "environment.post-deploy.sh").read_text(encoding="utf-8") == pins.post_deploy()


def test_every_rule_with_a_step_names_the_conda_environment() -> None:
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        assert text.count('conda:\n        "../../envs/environment.yaml"') == text.count("    script:\n"), path.name


def test_conda_environment_pins_the_locked_versions_from_one_channel() -> None:
    environment = yaml.safe_load((ENVS / "environment.yaml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    pins = dict(item.split("=") for item in environment["dependencies"] if item != "pip")
    locked = {key: pinned(requirement) for key, (requirement, _) in entries("requirements").items()}
    assert locked["opencv-python-headless"].startswith(pins.pop("py-opencv") + ".")
    assert {pins.pop("python"), pins.pop("tesseract")} == {"3.11", "5.3"}
    assert pins == {name: locked[name] for name in pins}
    assert len(pins) >= 14


def test_images_are_built_from_the_lock_by_the_same_script() -> None:
    text = (ENVS / "Containerfile").read_text(encoding="utf-8")
    assert "envs/make_env.sh /opt/phi_deid/venv requirements models" in text
    assert "pip install" not in text
    assert "tesseract-ocr" in text
    definition = (ENVS / "apptainer.def").read_text(encoding="utf-8")
    assert "Bootstrap: docker-archive\nFrom: {{ IMAGE }}\n" in definition  # of the image that the Containerfile gives
    assert "%post" not in definition
    assert "envs/apptainer.def" in (ENVS / "make_image.sh").read_text(encoding="utf-8")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Return make_env.sh beside locks that ask for nothing that is not there."""
    envs = tmp_path / "envs"
    envs.mkdir()
    shutil.copy(ENVS / "make_env.sh", envs)
    marker = "; python_version < '3'"
    for name in ("build", "toy"):
        (envs / f"{name}.lock").write_text(f"nothing==1 {marker} --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    return envs / "make_env.sh"


def make(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run([script, *arguments], cwd=script.parents[1], env=env, capture_output=True, text=True)


def test_second_make_of_the_environment_does_nothing_and_a_new_lock_installs(toy: Path) -> None:
    first = make(toy, "venv", "toy")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count("\n") == 2
    second = make(toy, "venv", "toy")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    lock = toy.parent / "toy.lock"
    lock.write_text(lock.read_text().replace("nothing==1", "nothing==2"))
    third = make(toy, "venv", "toy")
    assert (third.returncode, third.stdout.count("installing"), third.stdout.count("making")) == (0, 1, 0)


def test_python_that_is_too_old_is_named(toy: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    done = make(toy, "venv", "toy", PYTHON=str(old))
    assert done.returncode == 1
    assert done.stderr == f"PYTHON={old} is not a Python 3.11, 3.12 or 3.13 (Python 3.9.2).\n"
    assert not (tmp_path / "venv").exists()


@pytest.fixture
def builder(tmp_path: Path) -> dict[str, str]:
    """Return an environment with stand-ins for the builders and an interpreter of the project that is no Python 3.11."""
    bodies = {"podman": "exit 1", "buildah": "exit 1", "python3.13": "exit 1"}
    for name, body in bodies.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BASE_IMAGE": "debian", "CACHE": str(tmp_path / "cache")}


def test_the_image_is_made_with_python311_beside_an_environment_of_another(
    builder: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "python3.11"
    other.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "$*" >>{tmp_path}/calls\nexit 7\n')
    other.chmod(0o755)
    done = make(ENVS / "make_image.sh", str(tmp_path / "python3.13"), **builder)
    assert (done.returncode, done.stderr) == (7, "")
    assert (tmp_path / "calls").read_text().startswith("-m pip download")


def test_without_python311_the_image_says_what_it_needs(builder: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "python3.11").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3.11").chmod(0o755)
    done = make(ENVS / "make_image.sh", str(tmp_path / "python3.13"), **builder)
    assert done.returncode == 2
    assert "apt-get install python3.11" in done.stderr and "PYTHON=python3.11" in done.stderr


def test_clean_removes_both_environments() -> None:
    shown = subprocess.run(["make", "-n", "clean"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {".venv", ".venv-launcher"} <= set(shown.split())


WORKFLOW = """
rule all:
    input: "out.txt"
rule copy:
    input: "in.bin"
    output: "out.txt"
    shell: "wc -c < {input} > {output}"
"""


def test_touch_of_a_large_input_reruns_nothing_with_the_default_profile(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(WORKFLOW)
    large = tmp_path / "in.bin"
    large.write_bytes(b"x" * 3_000_000)  # above Snakemake's own limit for checksums of 1 MB
    profile = ROOT / "workflow" / "profiles" / "default"

    def run() -> str:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--workflow-profile", str(profile)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    assert "1 of 2 steps" in run()
    os.utime(large)
    assert "Nothing to be done" in run()
    large.write_bytes(b"y" * 3_000_001)
    assert "1 of 2 steps" in run()
