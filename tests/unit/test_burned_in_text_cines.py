"""What the cascade loses in cines: which frames show a planted line, and how frames that are hidden are compared."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.burned_in_text import cines, plants, texts
from benchmarks.quality.pools import DEVELOPMENT
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.pixel_read import open_pixels
from phi_deid_pipeline.text_reading import ReaderSettings, is_cine

FONTS = ["hershey complex"]
KNOWN = texts.patient(np.random.default_rng(7), DEVELOPMENT)


def planted(kind: str, seed: int) -> tuple[cines.CineLine, np.ndarray]:
    frames = np.full((cines.FRAMES, cines.ROWS, cines.COLUMNS), 60, np.float32)
    line = cines.plant(np.random.default_rng(seed), frames, FONTS, kind, np.zeros(frames.shape[1:], bool))
    assert line is not None
    return line, frames


@pytest.mark.parametrize("kind", cines.KINDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ink_is_what_changed_in_the_frames_that_show_a_line(kind, seed):
    line, frames = planted(kind, seed)
    faintest = 0.3 * abs(frames - 60).max()
    for number in range(cines.FRAMES):
        written = abs(frames[number] - 60) > faintest
        assert written.any() == (number in line.ink)
        if number in line.ink:
            assert not (written & ~line.ink[number]).any()
    places = {ink.tobytes() for ink in line.ink.values()}
    assert (len(places) == 1) == (kind in ("still", "comes up"))
    assert (0 in line.ink) == (kind != "comes up")


def test_half_of_the_lines_that_come_up_are_gone_in_the_frames_that_are_always_read():
    shown = [cines._shown_in(np.random.default_rng(seed), "comes up") for seed in range(60)]
    always = {0, cines.FRAMES // 2, cines.FRAMES - 1}
    assert 15 < sum(not always & set(frames) for frames in shown) < 45


@pytest.mark.parametrize("seed", range(4))
def test_ground_changes_between_frames_and_cines_go_the_way_of_cines(tmp_path, seed):
    random = np.random.default_rng(seed)
    moving = random.integers(0, 255, (cines.FRAMES + 5, cines.ROWS + 9, cines.COLUMNS + 3)).astype(np.float32)
    _, modality, frames = cines.ground(random, [("XA", moving)])
    assert frames.shape == (cines.FRAMES, cines.ROWS, cines.COLUMNS)
    assert all((abs(one - other) > 2).any() for one, other in pairwise(frames))
    cines._write(tmp_path / "cine", modality, frames, KNOWN, seed)
    source = open_pixels(tmp_path / "cine")
    assert source is not None
    with source:
        assert is_cine(source) and source.layout.frames == cines.FRAMES


@pytest.mark.parametrize("style", cines.LATE_STYLES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_line_that_names_the_patient_shows_in_later_frames_alone(style, seed):
    random = np.random.default_rng(seed)
    frames = np.full((cines.FRAMES, cines.ROWS, cines.COLUMNS), 60, np.float32)
    known = texts.patient(random, DEVELOPMENT)
    taken = np.zeros(frames.shape[1:], bool)
    line = cines.plant(
        random, frames, FONTS, cines.LATE, taken, style, texts.identifying(random, known, DEVELOPMENT, style)
    )
    assert line is not None and line.style == style
    assert line.ink and 0 not in line.ink and (frames[0] == 60).all()
    assert (line.height >= plants.LARGE[0]) is (style == "large")


def test_lines_that_name_the_patient_are_told_by_style_and_apart_from_what_the_cascade_loses():
    named = [
        {"kind": cines.LATE, "style": "aged", "ground": "generated US", "shown": [3, 4], "full": [3, 4], "cascade": [3, 4], "policy": p}
        for p in ([3, 4], [3], [])
    ]  # fmt: skip
    found = cines.figures([row("still", [0], [0]), *named])
    assert found["groups"]["all"]["lines"]["of"] == 1
    aged = found["named"]["style aged"]
    assert (aged["lines"]["hits"], aged["lines"]["of"], aged["frames"]["hits"], aged["frames"]["of"]) == (1, 3, 3, 6)
    assert found["named"]["all"]["lines"]["of"] == 3


def row(kind: str, full: list[int], cascade: list[int]) -> dict:
    return {"kind": kind, "ground": "generated US", "full": full, "cascade": cascade}


def test_line_is_lost_where_the_cascade_leaves_a_frame_that_the_full_chain_hides():
    rows = [
        row("still", [0, 1, 2], [0, 1, 2]),
        row("moves", [0, 1, 2], [0, 2, 3]),
        row("counts", [1], []),
        row("counts", [], [4]),
    ]
    groups = cines.figures(rows)["groups"]
    assert (groups["all"]["lines"]["hits"], groups["all"]["lines"]["of"]) == (2, 3)
    assert (groups["all"]["frames"]["hits"], groups["all"]["frames"]["of"]) == (2, 7)
    assert (groups["all"]["wholly"], groups["all"]["only_cascade"]) == (1, 2)
    assert (groups["still"]["lines"]["hits"], groups["counts"]["lines"]["of"]) == (0, 1)
    assert [lost["kind"] for lost in cines.figures(rows)["lost"]] == ["moves", "counts"]


@pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
def test_text_that_stands_still_is_hidden_in_every_frame(tmp_path):
    frames = np.full((cines.FRAMES, cines.ROWS, cines.COLUMNS), 40, np.float32)
    frames[:, 100:260, 100:300] += np.arange(cines.FRAMES, dtype=np.float32)[:, None, None] * 6
    line = cines.plant(np.random.default_rng(1), frames, FONTS, "still", np.zeros(frames.shape[1:], bool))
    assert line is not None
    path = tmp_path / "cine"
    cines._write(path, "XA", frames, KNOWN, 1)
    for name in ("full", "cascade"):
        filled = cines.hidden(path, cines.read(path, ReaderSettings(thoroughness=name)), "all_text", Lexicon(()))
        assert all(filled[number][ink].mean() >= 0.95 for number, ink in line.ink.items())
        assert all(mask.mean() < 0.2 for mask in filled.values())
