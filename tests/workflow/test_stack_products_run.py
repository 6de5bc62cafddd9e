"""Pictures and volumes of CT stacks in whole runs: what is asked for is released, and nothing of a held series is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import harness
import numpy as np
import pytest
import SimpleITK as sitk
from harness import NOT_ALL_RELEASED, Workplace, jobs

pytestmark = pytest.mark.workflow
CLOSING = ("remake_stacks", "assemble_audits", "gather_figures", "release", "prune_withdrawn")
ASKED = ("--set", "geometry.resample=true")


def of_kind(place: Workplace, kind: str) -> set[str]:
    return {name for name in place.manifest()["files"] if name.startswith(f"{kind}/")}


@pytest.fixture(scope="session")
def with_volumes(finished: Workplace, base_folder: Path) -> Workplace:
    """Return the finished output after a run that was asked for volumes; tests must not change it."""
    place = Workplace(finished.product, finished.source, base_folder / "with_volumes")

    def make() -> None:
        harness.copy_tree(finished.output, place.output)
        pictures = of_kind(place, "figures")
        assert of_kind(place, "volumes") == set() and "figures/overview.png" in pictures and len(pictures) > 1
        run = place.run(*ASKED)
        assert run.jobs == jobs(place.batches().values(), ["resample"], CLOSING)
        assert of_kind(place, "figures") == pictures

    harness.make_once(base_folder / "with_volumes.done", make)
    return place


@pytest.fixture
def asked(with_volumes: Workplace, tmp_path: Path) -> Workplace:
    """Return a copy of the output with volumes, free to be changed."""
    output = harness.copy_tree(with_volumes.output, tmp_path / "output")
    return Workplace(with_volumes.product, with_volumes.source, output)


def test_volumes_are_made_when_asked_for_and_gone_from_the_next_release_when_not(
    asked: Workplace, tmp_path: Path
) -> None:
    pictures, made = of_kind(asked, "figures"), of_kind(asked, "volumes")
    assert made and {name.rsplit("/", 1)[0].replace("volumes", "figures") for name in made} <= {
        name.rsplit("/", 1)[0] for name in pictures
    }
    assert advised_volumes(asked, tmp_path / "elsewhere") == {name for name in made if is_image(name)}
    assert asked.run(*ASKED).jobs == []
    assert asked.run().jobs == jobs([], closing=CLOSING)
    assert of_kind(asked, "volumes") == set() and of_kind(asked, "figures") == pictures


def is_image(name: str) -> bool:
    return name.rpartition("/")[2].startswith("stack_") and name.count("_") == 1


def advised_volumes(place: Workplace, folder: Path) -> set[str]:
    """Run the programs of the audit beside the release; return the volumes of the release that they make again."""
    folder.mkdir()
    (folder / "release").symlink_to(place.output / "release")
    again = set()
    for row in geometry(place).values():
        for number, stack in enumerate(row["stacks"], start=1):
            if stack["simpleitk"]:
                subprocess.run([sys.executable, "-c", stack["simpleitk"]], cwd=folder, check=True)
                made = sitk.ReadImage(folder / f"{row['series_instance_uid']}_stack_{number}.nii.gz")
                name = f"volumes/{row['study_instance_uid']}/{row['series_instance_uid']}/stack_{number}.nii.gz"
                rule = sitk.ReadImage(place.output / "release" / name)
                if same_grid(made, rule) and np.array_equal(*map(sitk.GetArrayFromImage, (made, rule))):
                    again.add(name)
    return again


def same_grid(one: sitk.Image, other: sitk.Image) -> bool:
    grids = [(i.GetSize(), i.GetSpacing(), i.GetOrigin(), i.GetDirection()) for i in (one, other)]
    return grids[0] == grids[1]


def test_withheld_slice_is_part_of_no_figure_no_volume_and_no_geometry(asked: Workplace, tmp_path: Path) -> None:
    before, rows = asked.manifest()["files"], geometry(asked)
    row = max(rows.values(), key=lambda row: row["series_num_instances"])
    assert row["series_num_instances"] > 2
    folder = f"{row['study_instance_uid']}/{row['series_instance_uid']}"
    withheld = sorted(name for name in before if name.startswith(f"dicom/{folder}/"))[1]
    uid = withheld.rpartition("/")[2].removesuffix(".dcm")
    decisions = tmp_path / "decisions.csv"
    decisions.write_text(f"what,verdict,who,when,why\n{uid},withhold,A Reader,2026-01-01,a test\n", encoding="utf-8")
    run = asked.run("--decisions", str(decisions), *ASKED, expect=NOT_ALL_RELEASED)
    assert "resample" not in {rule for rule, _ in run.jobs} and "draw_stacks" not in {rule for rule, _ in run.jobs}
    after, again = asked.manifest()["files"], geometry(asked)
    assert set(before) - set(after) == {withheld}
    made = {name for name in after if name.startswith((f"figures/{folder}/", f"volumes/{folder}/"))}
    assert len(made) >= 2 and all(after[name] != before[name] for name in made)
    lacking = again.pop(row["series_instance_uid"])
    assert lacking["series_num_instances"] == row["series_num_instances"] - 1 and "withheld_slices" in lacking["flags"]
    assert {key: rows[key] for key in again} == again
    assert asked.run("--decisions", str(decisions), *ASKED, expect=NOT_ALL_RELEASED).jobs == []


def geometry(place: Workplace) -> dict[str, dict]:
    audit = json.loads((place.output / "audits/ct_prepro/ct_prepro_audit.json").read_bytes())
    return {row["series_instance_uid"]: row for row in audit["series"]}


def test_no_picture_of_a_held_series_is_released_or_shown(place: Workplace) -> None:
    series = place.new_series()
    held = next(uid for uid in series.values() if any(uid in name for name in of_kind(place, "figures")))
    decisions = place.source.parent / "decisions.csv"
    decisions.write_text(f"what,verdict,who,when,why\n{held},withhold,A Reader,2026-01-01,a test\n", encoding="utf-8")
    place.run("--decisions", str(decisions), expect=NOT_ALL_RELEASED)
    assert not any(held in name for name in place.manifest()["files"])
    assert not any(held in path.as_posix() for path in (place.output / "audits" / "figures").rglob("*"))
    assert held not in geometry(place)
