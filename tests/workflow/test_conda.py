"""`--sdm conda`: the steps run in an environment of the pinned packages. From a channel of stand-ins: a real one is far.

Shows that the environment file can be solved, is made, activated and used again; not that the real packages fit together.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import harness
import pytest
from harness import Workplace, assert_same_results

from deployment import conda_command
from deployment.conda_channel import make_channel

pytestmark = pytest.mark.workflow
MISSING = [name for name, module in {"py-rattler": "rattler"}.items() if importlib.util.find_spec(module) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_every_step_runs_in_an_environment_made_from_the_pins(
    finished: Workplace,
    fresh: Callable[[str], Workplace],
    salt_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = fresh("conda")
    place.product = harness.copy_tree(finished.product, tmp_path / "checkout")
    environment = place.product / "envs" / "environment.yaml"
    used = tmp_path / "used"
    python = f'#!/bin/sh\necho "$CONDA_PREFIX" >>"{used}"\nexec "{sys.executable}" "$@"\n'
    make_channel(tmp_path / "channel", environment, {"python": {"bin/python": python}})
    text = environment.read_text(encoding="utf-8")
    environment.write_text(text.replace("- conda-forge", f"- file://{tmp_path / 'channel'}"), encoding="utf-8")
    programs = conda_command.install(tmp_path / "conda")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    run = place.run("--salt-file", str(salt_file), "--set", "inventory.spread=1", "--sdm", "conda")
    assert_same_results(place, finished)
    made = [path for path in (place.output / ".snakemake" / "conda").iterdir() if path.is_dir()]
    assert len(made) == 1
    pinned = {line.strip("- ").partition("=")[0] for line in text.splitlines() if "=" in line}
    assert pinned <= {path.name.rsplit("-", 2)[0] for path in (made[0] / "conda-meta").glob("*.json")}
    prefixes = used.read_text().splitlines()
    assert set(prefixes) == {str(made[0])}
    assert len(prefixes) > len(run.jobs)  # Snakemake asks for the version besides
    assert place.run("--set", "inventory.spread=1", "--sdm", "conda").jobs == []
    assert place.run("--set", "inventory.spread=1").jobs == []
