"""What the cascade loses on pictures apart: which pictures of a folder are taken, what is refused, what is counted."""

from __future__ import annotations

import gzip
import shutil
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.burned_in_text import apart, scenes
from benchmarks.burned_in_text.backgrounds import REAL, Background
from benchmarks.burned_in_text.texts import patient, pool_of
from phi_deid_pipeline.burned_in_text.models import have_models

QUIET = Console(quiet=True)


def nifti(path: Path, values: np.ndarray) -> None:
    header = bytearray(352)
    struct.pack_into("<8h", header, 40, 3, *values.shape, 1, 1, 1, 1)
    struct.pack_into("<h", header, 70, 4 if values.dtype.kind == "i" else 16)
    struct.pack_into("<f", header, 108, 352.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(bytes(header) + values.tobytes(order="F")))


def body(random: np.random.Generator, *shape: int) -> np.ndarray:
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = sum(axis**2 for axis in grid[:2]) < 0.7
    return np.rint(inside * 900 - 800 + random.normal(0, 12, shape)).astype("<i2")


def font(folder: Path, name: str = "other.ttf") -> Path:
    package = find_spec("matplotlib")
    assert package is not None and package.origin is not None
    folder.mkdir(exist_ok=True)
    shutil.copy(Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", folder / name)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    random = np.random.default_rng(4)
    nifti(tmp_path / "pictures" / "one" / "ct_head.nii.gz", body(random, 210, 220, 3))
    nifti(tmp_path / "pictures" / "two" / "mr_cube.nii.gz", (body(random, 150, 145, 160) / 1000).astype("<f4"))
    for number in range(2):
        ground = Background(REAL, "mr", "MR", body(random, 240, 256).astype(np.float32) + 900, "uint16", 12)
        path = tmp_path / "pictures" / "two" / f"{number}.dcm"
        scenes.write(path, ground, ground.kept(ground.values), patient(random, pool_of(1)), number)
    return tmp_path / "pictures"


def test_pictures_are_grouped_by_series_and_planes_too_small_are_left_out(folder):
    found = apart.pictures(folder)
    assert [(series[0].name, len(series)) for series in found["CT"]] == [("one/ct_head z", 3)]
    assert [(series[0].name, len(series)) for series in found["MR"]] == [
        ("two/0", 1), ("two/1", 1), *((f"two/mr_cube {axis}", apart.SLICES) for axis in "xyz"),
    ]  # fmt: skip
    for series in (*found["CT"], *found["MR"]):
        for one in series:
            assert min(one.values.shape) >= apart.samples.MIN_SIDE
            assert one.kept(one.values).max() > 90
    assert found["CT"][0][0].values.shape == (220, 210)


def test_folder_without_one_of_the_modalities_and_volumes_without_one_are_refused(folder, tmp_path):
    shutil.rmtree(folder / "one")
    with pytest.raises(SystemExit, match="no series of CT"):
        apart.pictures(folder)
    nifti(tmp_path / "other" / "x" / "head.nii.gz", body(np.random.default_rng(1), 210, 220, 3))
    with pytest.raises(SystemExit, match="name volumes ct_"):
        apart.pictures(tmp_path / "other")


def test_fonts_that_served_before_are_refused(tmp_path):
    folder = font(tmp_path / "fonts")
    assert [Path(name).name for name in apart.font_files([folder])] == ["other.ttf"]
    font(folder, "DejaVuSans-Bold.ttf")
    with pytest.raises(SystemExit, match=r"served .* DejaVuSans-Bold.ttf"):
        apart.font_files([folder])
    with pytest.raises(SystemExit, match="--fonts"):
        apart.font_files([])


def line(style: str, image: int, *, found: bool, kept: bool, by_gate: bool = True, source: str = "one") -> dict:
    return {
        "style": style, "image": image, "found": found, "doubted": not found, "kept": kept, "by_gate": by_gate, "source": source,
        "modality": "CT",
    }  # fmt: skip


def test_only_lines_that_the_full_chain_finds_are_counted():
    lines = [
        line("upright", 0, found=True, kept=True),
        line("upright", 0, found=True, kept=False, by_gate=False),
        line("short", 1, found=True, kept=False, source="two"),
        line("short", 1, found=False, kept=False),
        line("faint", 1, found=False, kept=True),
    ]
    free = [
        {"source": "one", "series": "one/1", "modality": "CT", "to_full_chain": True, "loses_pixels": False},
        {"source": "one", "series": "one/2", "modality": "CT", "to_full_chain": True, "loses_pixels": True},
        {"source": "two", "series": "two/1", "modality": "MR", "to_full_chain": False, "loses_pixels": False},
    ]
    figures = apart.figures(lines, free)
    losses = {name: (one["hits"], one["of"]) for name, one in figures["lines"].items()}
    assert losses["all"] == (2, 3) and losses["upright"] == (1, 2) and losses["short"] == (1, 1)
    assert losses["faint"] == (0, 0) and losses["source two"] == (1, 1)
    assert figures["lost_by_gate"] == 1
    assert figures["lost_with_their_picture"]["hits"] == 0  # something passes in either picture
    assert figures["free"]["all"]["to_full_chain"]["hits"] == 2 and figures["free"]["all"]["series"] == 3
    assert figures["free"]["modality MR"]["lose_pixels"]["percent"] == [0.0, 0.0, 97.5]
    assert [row["series"] for row in figures["free_that_lose_pixels"]] == ["one/2"]


@pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
def test_a_seed_gives_the_same_figures_again_and_kept_rows_are_not_made_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "SLICES", 1)
    fonts = apart.font_files([font(tmp_path / "fonts")])

    def measure(keep: str, *, reuse: bool = False) -> dict:
        return apart.measure_apart(
            folder, fonts, seed=41, images=2, keep=tmp_path / keep, reuse=reuse, console=QUIET
        )  # fmt: skip

    first = measure("kept")
    assert first["planted"] >= 4 and first["lines"]["all"]["of"] >= 2
    assert first["free"]["all"]["to_full_chain"]["of"] == 6
    assert measure("again") == first
    monkeypatch.setattr(apart, "planted_rows", lambda *_: pytest.fail("made again"))
    monkeypatch.setattr(apart, "free_row", lambda *_: pytest.fail("made again"))
    assert measure("kept", reuse=True) == first
    apart.show_apart(first, QUIET)
