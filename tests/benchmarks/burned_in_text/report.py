"""Print what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.burned_in_text.methods import Outcome
from benchmarks.burned_in_text.scenes import Scene
from benchmarks.burned_in_text.score import HIDDEN, Judged, Recall, Score


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _recall(found: Recall | None) -> str:
    if found is None or not found.lines:
        return "-"
    return f"{percent(found.share)} ({percent(found.low)}-{percent(found.high)})"


def show(scores: Mapping[str, Score], console: Console) -> None:
    """Print the tables: methods side by side, then recall by group, then cost by modality."""
    first = next(iter(scores.values()))
    table = Table(title=f"{first.pictures} pictures, {first.text_free} of them without text; per cent, 95 % interval")
    for column in ("method", "all lines", "legible lines", "ink", "loss by filter", "text-free alarmed",
                   "false boxes a picture", "area lost: text-free, with text", "technical kept", "CPU s"):  # fmt: skip
        table.add_column(column)
    for name, one in scores.items():
        every = one.recalls["all lines"]
        table.add_row(
            name, _recall(every), _recall(one.recalls["legible lines"]), percent(every.ink),
            percent((every.unfiltered - every.hidden) / max(every.lines, 1)),
            f"{one.alarmed} of {one.text_free}", f"{one.false_boxes:.2f}",
            f"{percent(one.lost_text_free)}, {percent(one.lost_with_text)}",
            f"{one.technical_kept} of {one.technical}", f"{one.cpu:.2f}",
        )  # fmt: skip
    console.print(table)
    _groups(scores, console)
    _costs(scores, console)


def _groups(scores: Mapping[str, Score], console: Console) -> None:
    table = Table(title="lines hidden, per cent, by group")
    table.add_column("group")
    table.add_column("lines")
    for name in scores:
        table.add_column(name)
    for group, found in sorted(next(iter(scores.values())).recalls.items()):
        row = [percent(one.recalls[group].share) if one.recalls[group].lines else "-" for one in scores.values()]
        table.add_row(group, str(found.lines), *row)
    console.print(table)


def _costs(scores: Mapping[str, Score], console: Console) -> None:
    table = Table(
        title="by modality: text-free pictures alarmed; false boxes a picture; area lost, per cent; CPU seconds"
    )
    table.add_column("modality")
    for name in scores:
        table.add_column(name)
    for modality in next(iter(scores.values())).by_modality:
        row = []
        for one in scores.values():
            m = one.by_modality[modality]
            row.append(f"{m['alarmed']}/{m['text_free']}; {m['false_boxes']:.2f}; {percent(m['lost'])}; {m['cpu']:.2f}")
        table.add_row(modality, *row)
    console.print(table)


def show_missed(
    scenes: Sequence[Scene], judged: Sequence[Judged], outcomes: Sequence[Outcome], console: Console
) -> None:
    """Print every line that identifies and is not hidden, and every box on a text-free picture. For development."""
    for j in judged:
        if j.line.identifying and j.covered < HIDDEN:
            line, scene = j.line, scenes[j.scene]
            console.print(
                f"{scene.path.name} {scene.modality} {scene.source} {line.style} {line.text!r} {line.height} px "
                f"{line.font} levels {line.levels:.0f} noise {line.noise:.0f} {'legible' if line.legible else ''} "
                f"covered {j.covered:.2f} without filter {j.unfiltered:.2f} at {line.left},{line.top}",
                highlight=False,
            )
    for scene, outcome in zip(scenes, outcomes, strict=True):
        if not scene.lines and outcome.boxes:
            console.print(f"{scene.path.name} {scene.modality} {scene.source} alarm {outcome.boxes}", highlight=False)
