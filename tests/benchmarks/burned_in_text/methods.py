"""The readers that are compared: each tells which boxes of a picture it would fill, and what that cost."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from benchmarks.burned_in_text.scenes import Scene
from phi_deid_pipeline.boxes import area, clipped, grown
from phi_deid_pipeline.burned_in_text import chain
from phi_deid_pipeline.burned_in_text.judge import judge
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.burned_in_text.prepare import prepare
from phi_deid_pipeline.burned_in_text.read import Line, have_tesseract, letters
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.pixel_read import displayed, open_pixels
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box, Reading
from phi_deid_pipeline.text_reading import INVERTED, TextReader, may_be_gated, uses_gate

BENCHMARKS = Path(__file__).resolve().parents[1]
PEERS = Path(os.environ.get("PEERS", BENCHMARKS.parents[1] / ".cache" / "peers"))
POLICY = "hipaa_safe_harbor"
MARGIN_SHARE = 0.25  # of the picture that a margin takes
MARGIN_GROWTH = 8  # pixels added around a word of the margin method
MARGIN_WHITELIST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.-"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a method does to one picture: boxes as filled, CPU seconds with children, boxes that its filter dropped."""

    boxes: tuple[Box, ...]
    cpu: float
    dropped: tuple[Box, ...] = ()
    error: str = ""


def spent() -> float:
    """Return the CPU seconds of this process and its children so far."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


# --- ours -----------------------------------------------------------------------------------------------------------


def ours(scenes: Sequence[Scene], settings: ReaderSettings) -> list[Outcome]:
    """Read and judge as the pipeline does, under the policy HIPAA Safe Harbor."""
    reader, hide = TextReader(settings), load_policy(POLICY).hide
    return [_ours(scene, reader, hide) for scene in scenes]


def _ours(scene: Scene, reader: TextReader, hide: str) -> Outcome:
    start = spent()
    with _filtered() as dropped:
        reading = reader.glance(scene.path).reading
    boxes = judged_boxes(scene.path, reading, hide)
    cpu = spent() - start
    padding = reader.settings.padding
    moved = [Box(b.x - padding, b.y - padding, b.w, b.h) for b in dropped]
    left_out = {box for b in moved if area(box := clipped(b, scene.rows, scene.columns))}
    return Outcome(_as_filled(boxes, scene), cpu, _as_filled(left_out, scene))


def judged_boxes(path: Path, reading: Reading, hide: str) -> set[Box]:
    """Return the boxes that are filled in an instance, in any of its frames, of what was read in it."""
    with read_instance(path) as instance:
        lexicon = Lexicon(harvest(instance))
    (found,) = judge([("", path.name, reading)], lexicon, hide, {})
    return {*found.fills, *(box for _, box in found.frame_fills)}


@contextmanager
def _filtered() -> Iterator[list[Box]]:
    """Note the boxes (in the padded rendering) that the chain's filter and the gate's doubt drop; they decide as ever."""
    dropped: list[Box] = []
    decides, doubts = chain.is_text, chain.doubtful

    def noted(line: Line, settings: ReaderSettings) -> bool:
        stays = decides(line, settings)
        if not stays:
            dropped.append(line.box)
        return stays

    def doubted(lines: Sequence[Line], stroke: np.ndarray, known: Sequence[Box], **below: float) -> list[Line]:
        left_out = doubts(lines, stroke, known, **below)
        dropped.extend(line.box for line in left_out)
        return left_out

    with mock.patch.object(chain, "is_text", noted), mock.patch.object(chain, "doubtful", doubted):
        yield dropped


def _as_filled(boxes: set[Box], scene: Scene) -> tuple[Box, ...]:
    filled = {grown(box, scene.rows, scene.columns) for box in boxes}
    return tuple(sorted(filled, key=lambda b: (b.y, b.x, b.h, b.w)))


def cascade(scenes: Sequence[Scene], full: list[Outcome] | None) -> list[Outcome]:
    """Let the gate judge single slices of CT and MR; what it may not judge is read in full, as in `full`."""
    settings = ReaderSettings(thoroughness="cascade")
    reader, hide = TextReader(settings), load_policy(POLICY).hide
    outcomes = []
    for number, scene in enumerate(scenes):
        source = open_pixels(scene.path)
        assert source is not None
        with source:
            gated = may_be_gated(source)
        outcomes.append(_ours(scene, reader, hide) if gated or full is None else full[number])
    return outcomes


# --- others ---------------------------------------------------------------------------------------------------------


def shown(scene: Scene) -> np.ndarray:
    """Return the picture as a viewer shows it, 8-bit grey."""
    source = open_pixels(scene.path)
    assert source is not None
    with source:
        image = displayed(source, next(source.frames()))
        inverted, window = source.layout.photometric == INVERTED, source.window()
    view = prepare(image, invert=inverted, window=window, padding=0).window
    return cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) if view.ndim == 3 else view


def _words(image: np.ndarray, config: str) -> list[Box]:
    import pytesseract

    data = pytesseract.image_to_data(image, lang="eng", config=config, output_type=pytesseract.Output.DICT)
    places = zip(data["text"], data["left"], data["top"], data["width"], data["height"], strict=True)
    return [Box(x, y, w, h) for text, x, y, w, h in places if letters(text)]


def tesseract(scenes: Sequence[Scene]) -> list[Outcome]:
    """Fill every word that Tesseract finds in the picture as it is shown, with its own defaults."""
    outcomes = []
    for scene in scenes:
        start = spent()
        boxes = _as_filled(set(_words(shown(scene), "")), scene)
        outcomes.append(Outcome(boxes, spent() - start))
    return outcomes


def margins(scenes: Sequence[Scene]) -> list[Outcome]:
    """Fill every word in the four margins: blocks of text (psm 6), capitals and digits alone, eight pixels around."""
    return [_margins(scene) for scene in scenes]


def _margins(scene: Scene) -> Outcome:
    start = spent()
    image = shown(scene)
    down, across = int(scene.rows * MARGIN_SHARE), int(scene.columns * MARGIN_SHARE)
    strips = (
        Box(0, 0, scene.columns, down),
        Box(0, scene.rows - down, scene.columns, down),
        Box(0, 0, across, scene.rows),
        Box(scene.columns - across, 0, across, scene.rows),
    )
    found = set()
    for strip in strips:
        part = np.ascontiguousarray(image[strip.y : strip.y + strip.h, strip.x : strip.x + strip.w])
        for word in _words(part, f"--psm 6 -c tessedit_char_whitelist={MARGIN_WHITELIST}"):
            wide, grow = Box(word.x + strip.x, word.y + strip.y, word.w, word.h), MARGIN_GROWTH
            wide = Box(wide.x - grow, wide.y - grow, wide.w + 2 * grow, wide.h + 2 * grow)
            found.add(clipped(wide, scene.rows, scene.columns))
    return Outcome(tuple(sorted(found, key=lambda b: (b.y, b.x, b.h, b.w))), spent() - start)


def presidio(scenes: Sequence[Scene]) -> list[Outcome]:
    """Ask Presidio's DICOM image redactor, with its defaults and a blank language model, in its own environment."""
    folder = scenes[0].path.parent
    job, result = (folder / f"presidio_{scenes[0].path.stem}_{kind}.json" for kind in ("job", "result"))
    job.write_text(json.dumps([str(scene.path) for scene in scenes]), encoding="utf-8")
    command = [str(presidio_python()), str(BENCHMARKS / "peers" / "run_presidio.py"), str(job), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"presidio failed: {done.stderr[-800:]}")
    outcomes = []
    for scene, row in zip(scenes, json.loads(result.read_text(encoding="utf-8")), strict=True):
        boxes = {clipped(Box(*box), scene.rows, scene.columns) for box in row["boxes"]}
        filled = tuple(sorted((b for b in boxes if area(b)), key=lambda b: (b.y, b.x, b.h, b.w)))
        outcomes.append(Outcome(filled, row["cpu"], error=row["error"]))
    return outcomes


def presidio_python() -> Path:
    """Return where `peers.sh` leaves Presidio's interpreter."""
    return PEERS / "presidio" / "bin" / "python"


# --- all ------------------------------------------------------------------------------------------------------------

FULL, WITHOUT_MODELS, CASCADE = "ours", "ours without the models", "ours, cascade"
METHODS: dict[str, Callable[[Sequence[Scene]], list[Outcome]]] = {
    "margins": margins,
    "tesseract": tesseract,
    "presidio": presidio,
    WITHOUT_MODELS: lambda scenes: ours(scenes, ReaderSettings(readers=("tesseract",))),
    FULL: lambda scenes: ours(scenes, ReaderSettings(thoroughness="full")),
    CASCADE: lambda scenes: cascade(scenes, None),
}


def missing(name: str) -> str:
    """Return what a method lacks here, "" where it can run."""
    if name == "presidio" and not presidio_python().exists():
        return "Presidio is not installed (tests/benchmarks/peers.sh)"
    if name in (FULL, CASCADE) and not have_models():
        return "the models of the rapidocr wheel are not installed"
    if name == CASCADE and not uses_gate(ReaderSettings(thoroughness="cascade")):
        return "there is no gate"
    return "" if name in (FULL, CASCADE) or have_tesseract() else "Tesseract is not installed"


def run(name: str, scenes: Sequence[Scene], before: dict[str, list[Outcome]]) -> list[Outcome]:
    """Run a method; `before` holds what others found, which the cascade need not do again."""
    return cascade(scenes, before.get(FULL)) if name == CASCADE else METHODS[name](scenes)


def without_filter(outcome: Outcome) -> Outcome:
    """Return what would be filled if the boxes that the filter drops were filled too."""
    return replace(outcome, boxes=(*outcome.boxes, *outcome.dropped))


# --- kept between runs ----------------------------------------------------------------------------------------------


def save(path: Path, outcome: Outcome) -> None:
    """Write what a method found in one picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(outcome)) + "\n", encoding="utf-8")


def load(path: Path) -> Outcome:
    """Read what `save` wrote."""
    row = json.loads(path.read_text(encoding="utf-8"))
    return Outcome(**{k: tuple(Box(**b) for b in v) if k in ("boxes", "dropped") else v for k, v in row.items()})
