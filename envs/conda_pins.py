"""Write environment.yaml and its post-deploy script from the locks, so that conda gets the same versions as pip.

Snakemake and psutil are not in it: with `--sdm conda` the environment that starts the run (launcher.lock) has them.
"""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import Requirement

ENVS = Path(__file__).resolve().parent
PYTHON = "3.11"
NOT_FOR_STEPS = {"snakemake", "psutil", "python-dateutil"}
CONDA_NAMES = {"opencv-python-headless": "py-opencv"}
TESSERACT = "5.3"  # the program that pytesseract calls; not a part of the lock


def direct_names(source: Path) -> list[str]:
    """Return the names that an .in file asks for itself, sorted."""
    lines = (line.split("#")[0].strip() for line in source.read_text(encoding="utf-8").splitlines())
    return sorted(Requirement(line).name for line in lines if line and not line.startswith("-"))


def locked_versions(lock: Path) -> dict[str, str]:
    """Return name -> version of a lock."""
    lines = (line.rstrip(" \\") for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line)
    found = (Requirement(line) for line in lines)
    return {item.name: next(iter(item.specifier)).version for item in found}


def conda_version(name: str, version: str) -> str:
    """Return the version as conda-forge counts it; wheels of OpenCV add a build number of their own."""
    return version.rsplit(".", 1)[0] if name == "opencv-python-headless" else version


def environment_yaml() -> str:
    """Return the text of environment.yaml: what the steps ask for, with the versions of requirements.lock."""
    versions = locked_versions(ENVS / "requirements.lock")
    names = [name for name in direct_names(ENVS / "requirements.in") if name not in NOT_FOR_STEPS]
    pins = [f"  - {CONDA_NAMES.get(name, name)}={conda_version(name, versions[name])}" for name in names]
    head = ["# Written by `make lock` from requirements.lock.", "channels:", "  - conda-forge", "  - nodefaults"]
    return "\n".join(
        [*head, "dependencies:", f"  - python={PYTHON}", "  - pip", f"  - tesseract={TESSERACT}", *pins, ""]
    )


def post_deploy() -> str:
    """Return the script that Snakemake runs in a new conda environment: it adds the text models, files only."""
    return f"""#!/usr/bin/env bash
# Written by `make lock` from models.lock.
set -euo pipefail
lock=$(mktemp)
trap 'rm -f "$lock"' EXIT
cat >"$lock" <<'LOCK'
{(ENVS / "models.lock").read_text(encoding="utf-8").rstrip()}
LOCK
python -m pip install --quiet --no-deps --require-hashes -r "$lock"
"""


def main() -> None:
    """Write both files."""
    (ENVS / "environment.yaml").write_text(environment_yaml(), encoding="utf-8")
    (ENVS / "environment.post-deploy.sh").write_text(post_deploy(), encoding="utf-8")


if __name__ == "__main__":
    main()
