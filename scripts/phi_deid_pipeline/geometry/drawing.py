"""Figures of a stack and of a data set, as PNG: equal input gives equal bytes, and a file holds nothing but the picture.

What is written on them are figures, flags and reasons of the audit and new UIDs; no text of a header.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from phi_deid_pipeline.geometry.figures import StackGeometry, written
from phi_deid_pipeline.geometry.placement import Placed

_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # the bundled one: same on every machine
_COLOURS = (
    "#ff3b30", "#34c759", "#0a84ff", "#ff9f0a", "#bf5af2", "#64d2ff", "#ff6fae", "#a2845e", "#c7d600", "#00b8a9",
    "#5e5ce6", "#ffd1a8", "#d0ff9e", "#e000a0",
)  # fmt: skip
DPI = 100
_RASTER = 500  # samples along the longer side of a cut
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))  # positive, negative end of the patient's axes
_INSIDE = 8  # points from the frame to a letter, however flat the axes are
_THIN = 0.12  # height by width of a cut that has room for letters
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEFT, _RIGHT = 0.02, 0.985  # of the legend, shares of the figure
_LEGEND = (0.934, 0.91)  # how high its lines are
_CHARACTER = 0.0051  # the same of a character of the legend
_CHUNKS = (b"IHDR", b"IDAT", b"IEND")


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a segment or region marks on a stack: a mask on its positions (n, rows, columns) or contours of points (k, 3).

    Points are in coordinates of the stack's basis: along row, column and normal, mm. `name` stands in the legend.
    """

    mask: np.ndarray | None = None
    contours: tuple[np.ndarray, ...] = ()
    name: str = ""


@dataclass(slots=True)
class StackView:
    """What is drawn of a stack: one slice, and one row and one column of every position, in HU."""

    geometry: StackGeometry
    placed: Placed
    pixel: tuple[float, float]  # along a row, along a column, mm
    index: int  # of the position that is drawn
    row: int  # where the cuts run
    column: int
    slice_values: np.ndarray  # (rows, columns)
    row_values: np.ndarray  # (positions, columns)
    column_values: np.ndarray  # (positions, rows)
    overlays: tuple[Overlay, ...] = ()
    title: str = ""
    half: float = field(default=0.0)  # mm that a slice reaches up and down in the cuts
    not_drawn: int = 0  # contours


def choose_cuts(
    placed: Placed, shape: tuple[int, int], pixel: tuple[float, float], overlays: Sequence[Overlay]
) -> tuple[int, int, int]:
    """Return position, row and column to draw: through what is marked, else through the middle."""
    places: list[np.ndarray] = []
    for overlay in overlays:
        if overlay.mask is not None and overlay.mask.any():
            n, y, x = np.nonzero(overlay.mask)
            places.append(np.stack([n, y, x], axis=1))
        for points in overlay.contours:
            nearest = int(np.argmin(np.abs(placed.distances - points[0, 2])))
            corner = placed.in_plane[nearest]
            y, x = (points[:, 1] - corner[1]) / pixel[1], (points[:, 0] - corner[0]) / pixel[0]
            places.append(np.stack([np.full(len(points), nearest), y, x], axis=1))
    if not places:
        return len(placed.distances) // 2, shape[0] // 2, shape[1] // 2
    marked = np.concatenate(places)
    index = int(np.median(marked[:, 0]))
    index = int(marked[np.argmin(np.abs(marked[:, 0] - index)), 0])
    here = marked[marked[:, 0] == index]
    row, column = (int(np.clip(np.median(here[:, axis]), 0, shape[axis - 1] - 1)) for axis in (1, 2))
    return index, row, column


def draw_stack(view: StackView) -> bytes:
    """Return the figure of a stack: a slice, two cuts along the stack in true proportions, and where its slices lie."""
    figure = Figure(figsize=(12, 6.4), dpi=DPI, facecolor="white")
    grid = figure.add_gridspec(
        3, 3, width_ratios=(4, 4, 1.9), height_ratios=(2.2, 2.2, 1.5), left=0.035, right=0.99, top=0.87, bottom=0.02,
        wspace=0.12, hspace=0.3,
    )  # fmt: skip
    limits = _window(view.slice_values)
    _draw_slice(figure.add_subplot(grid[:2, 0]), view, limits)
    _draw_cut(figure.add_subplot(grid[0, 1]), view, 0, limits)
    _draw_cut(figure.add_subplot(grid[1, 1]), view, 1, limits)
    _draw_positions(figure.add_subplot(grid[:2, 2]), view)
    _draw_facts(figure.add_subplot(grid[2, :]), view.geometry)
    figure.text(0.02, 0.96, view.title, fontproperties=font(9))
    _draw_legend(figure, view)
    return png(figure)


def draw_unplaced(geometry: StackGeometry, values: np.ndarray, title: str) -> bytes:
    """Return the figure of a stack whose slices have no place or no size: its first slice and what is odd."""
    figure = Figure(figsize=(12, 6.4), dpi=DPI, facecolor="white")
    grid = figure.add_gridspec(2, 1, height_ratios=(4.4, 1.5), left=0.035, right=0.99, top=0.9, bottom=0.02)
    axes, (low, high) = figure.add_subplot(grid[0]), _window(values)
    axes.imshow(values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ticks(axes, "a slice (pixels); nothing says where it lies or how large it is")
    _draw_facts(figure.add_subplot(grid[1]), geometry)
    figure.text(0.02, 0.96, title, fontproperties=font(9))
    return png(figure)


def font(size: float) -> FontProperties:
    """Return the font of all writing, at a size in points."""
    return FontProperties(fname=str(_FONT), size=size)


def _coloured(view: StackView) -> Iterator[tuple[str, Overlay]]:
    """Yield what is marked with its colour; of more than there are colours some share one."""
    return zip(itertools.cycle(_COLOURS), view.overlays, strict=False)


def _draw_legend(figure: Figure, view: StackView) -> None:
    """Name what the colours mark, what is seen on the slice first, as far as there is room, and what is not drawn."""
    shown = [(colour, overlay) for colour, overlay in _coloured(view) if overlay.name and _marks(overlay)]
    shown.sort(key=lambda pair: not _on_slice(view, pair[1]))
    end = f"contours not drawn: {view.not_drawn}" if view.not_drawn else ""
    places, row, place = [], 0, _LEFT
    for number, (colour, overlay) in enumerate(shown):
        more = f"and {len(shown) - number} more"
        last = row == len(_LEGEND) - 1
        needed = len(overlay.name) + 4 + (len(more) + len(end) + 4 if last and (end or number < len(shown) - 1) else 0)
        if place + needed * _CHARACTER > _RIGHT and last:
            places.append((row, place, "", more))
            place += (len(more) + 2) * _CHARACTER
            break
        if place + needed * _CHARACTER > _RIGHT:
            row, place = row + 1, _LEFT
        places.append((row, place, colour, overlay.name))
        place += (len(overlay.name) + 4) * _CHARACTER
    for line, start, colour, text in places:
        if colour:
            _write(figure, start, line, "\u25a0", colour)
        _write(figure, start + (1.6 if colour else 0) * _CHARACTER, line, text, "#1c1c1e")
    if end and place + len(end) * _CHARACTER > _RIGHT:
        row, place = row + 1, _LEFT  # the last line has kept room for it
    if end:
        _write(figure, place, row, end, "#d70015")


def _write(figure: Figure, place: float, row: int, text: str, colour: str) -> None:
    figure.text(place, _LEGEND[row], text, color=colour, fontproperties=font(7))


def _marks(overlay: Overlay) -> bool:
    return bool(overlay.contours) or (overlay.mask is not None and bool(overlay.mask.any()))


def _on_slice(view: StackView, overlay: Overlay) -> bool:
    """Tell whether something of it is drawn on the slice."""
    depth = view.placed.distances[view.index]
    near = any(abs(points[0, 2] - depth) <= (view.half or 0.5) for points in overlay.contours)
    return near or (overlay.mask is not None and bool(overlay.mask[view.index].any()))


def _window(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values[np.isfinite(values)], (2, 99.5))
    return float(low), float(high if high > low else low + 1)


def ticks(axes: Axes, title: str) -> None:
    """Set title and tick labels of axes in that font."""
    axes.set_title(title, fontproperties=font(8))
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(font(6.5))
    axes.tick_params(length=2)


def _letters(axes: Axes, horizontal: np.ndarray, vertical: np.ndarray) -> None:
    """Write which side of the patient an axis leads to; nothing where it leads to none of them straight."""
    sides = {0: (horizontal, ((0, 0.5), (1, 0.5))), 1: (vertical, ((0.5, 0), (0.5, 1)))}
    for across, (direction, ends) in sides.items():
        axis = int(np.argmax(np.abs(direction)))
        names = _LETTERS[axis] if direction[axis] > 0 else tuple(reversed(_LETTERS[axis]))
        for name, place, inwards in zip(reversed(names), ends, (_INSIDE, -_INSIDE), strict=True):
            offset = (0, inwards) if across else (inwards, 0)
            axes.annotate(name, place, offset, xycoords="axes fraction", textcoords="offset points", color="#ffd60a",
                          ha="center", va="center", fontproperties=font(8))  # fmt: skip


def _draw_slice(axes: Axes, view: StackView, limits: tuple[float, float]) -> None:
    placed, (px, py) = view.placed, view.pixel
    rows, columns = view.slice_values.shape
    x0, y0 = placed.in_plane[view.index]
    extent = (x0 - px / 2, x0 + (columns - 0.5) * px, y0 + (rows - 0.5) * py, y0 - py / 2)
    axes.imshow(view.slice_values, cmap="gray", vmin=limits[0], vmax=limits[1], extent=extent, interpolation="nearest")
    half = view.half or 0.5
    depth = placed.distances[view.index]
    for colour, overlay in _coloured(view):
        if overlay.mask is not None and overlay.mask[view.index].any():
            xs, ys = x0 + np.arange(columns) * px, y0 + np.arange(rows) * py
            mask = np.pad(overlay.mask[view.index], 1).astype(float)
            xs, ys = (
                np.pad(xs, 1, mode="reflect", reflect_type="odd"),
                np.pad(ys, 1, mode="reflect", reflect_type="odd"),
            )
            axes.contour(xs, ys, mask, levels=[0.5], colors=colour, linewidths=1.3)
        for points in overlay.contours:
            if abs(points[0, 2] - depth) <= half:
                axes.plot(*np.concatenate([points, points[:1]])[:, :2].T, color=colour, linewidth=1.3)
    axes.axhline(y0 + view.row * py, color="#ffd60a", linewidth=0.4, linestyle=":")
    axes.axvline(x0 + view.column * px, color="#ffd60a", linewidth=0.4, linestyle=":")
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    if abs(extent[2] - extent[3]) < _THIN * (extent[1] - extent[0]):
        axes.set_yticks([])
    _letters(axes, placed.basis[0], -placed.column)
    ticks(axes, f"slice at {written(round(float(depth - placed.distances[0]), 2))} mm (rows down, columns across)")


def _draw_cut(axes: Axes, view: StackView, along: int, limits: tuple[float, float]) -> None:
    """Draw a cut that runs along the rows (0) or the columns (1) and along the normal, which points up."""
    placed = view.placed
    values, pixel = ((view.row_values, view.pixel[0]), (view.column_values, view.pixel[1]))[along]
    starts = placed.in_plane[:, along]
    left, right = starts.min() - pixel / 2, starts.max() + (values.shape[1] - 0.5) * pixel
    low, high = placed.distances[0] - view.half, placed.distances[-1] + view.half
    longer = max(right - left, high - low)
    across = left + (np.arange(_samples(right - left, longer)) + 0.5) * (right - left) / _samples(right - left, longer)
    up = low + (np.arange(_samples(high - low, longer)) + 0.5) * (high - low) / _samples(high - low, longer)
    extent = (left, right, low, high)
    raster = _cut(values, starts, pixel, placed.distances, across, up, view.half)
    axes.set_facecolor("#26262b")
    axes.imshow(
        raster, cmap="gray", vmin=limits[0], vmax=limits[1], extent=extent, origin="lower", interpolation="nearest"
    )
    fixed = (view.row, view.column)[along]
    for colour, overlay in _coloured(view):
        if overlay.mask is not None:
            mask = overlay.mask[:, fixed, :] if along == 0 else overlay.mask[:, :, fixed]
            for place in np.flatnonzero(mask.any(axis=1)):
                ends = starts[place] + (borders(mask[place]) - 0.5) * pixel
                depth = placed.distances[place]
                axes.vlines(ends, depth - view.half, depth + view.half, color=colour, linewidth=1.3)
        for points in overlay.contours:
            nearest = int(np.argmin(np.abs(placed.distances - points[0, 2])))
            line = placed.in_plane[nearest, 1 - along] + fixed * view.pixel[1 - along]
            for ends in _crossings(points, along, line):
                axes.vlines(ends, points[0, 2] - view.half, points[0, 2] + view.half, color=colour, linewidth=1.3)
    axes.axhline(placed.distances[view.index], color="#ffd60a", linewidth=0.4, linestyle=":")
    axes.set_aspect("equal")
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    if _THIN < (high - low) / (right - left) < 1 / _THIN:
        _letters(axes, (placed.basis[0], placed.column)[along], placed.basis[2])
    elif high - low < right - left:
        axes.set_yticks([])
    else:
        axes.set_xticks([])
    ticks(axes, ("cut along the rows", "cut along the columns")[along] + ", normal up (mm)")


def _samples(side: float, longer: float) -> int:
    return max(8, round(_RASTER * side / longer))


def _cut(
    values: np.ndarray,
    starts: np.ndarray,
    pixel: float,
    depths: np.ndarray,
    across: np.ndarray,
    up: np.ndarray,
    half: float,
) -> np.ndarray:
    """Return values (up, across) of a cut: each height shows its nearest slice where that lies, nothing in gaps."""
    nearest = np.argmin(np.abs(up[:, None] - depths[None, :]), axis=1)
    raster = np.full((len(up), len(across)), np.nan)
    for line, index in enumerate(nearest):
        if abs(up[line] - depths[index]) <= half * 1.02:
            place = np.rint((across - starts[index]) / pixel).astype(int)
            inside = (place >= 0) & (place < values.shape[1])
            raster[line, inside] = values[index, place[inside]]
    return raster


def borders(line: np.ndarray) -> np.ndarray:
    """Return the indices at which a line of a mask begins or has ended to be marked."""
    return np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))


def _crossings(points: np.ndarray, along: int, line: float) -> list[tuple[float, float]]:
    """Return where a closed contour lies on a line across it, as pairs of ends."""
    ring = np.concatenate([points, points[:1]])
    side = ring[:, 1 - along] - line
    found = []
    for i in np.flatnonzero((side[:-1] < 0) != (side[1:] < 0)):
        share = side[i] / (side[i] - side[i + 1])
        found.append(float(ring[i, along] + share * (ring[i + 1, along] - ring[i, along])))
    found.sort()
    return list(zip(found[::2], found[1::2], strict=False))


def _draw_positions(axes: Axes, view: StackView) -> None:
    """Draw where the slices lie along the normal: gaps and positions with several slices are marked."""
    distances = view.placed.distances - view.placed.distances[0]
    axes.hlines(distances, 0, 1, color="#3a3a3c", linewidth=max(0.2, min(1.0, 60 / len(distances))))
    for gap in view.geometry.gaps:
        axes.axhspan(gap.start_mm, gap.end_mm, color="#ff3b30", alpha=0.35, linewidth=0)
        axes.text(1.08, (gap.start_mm + gap.end_mm) / 2, f"{gap.missing} missing", color="#d70015", va="center",
                  fontproperties=font(6.5))  # fmt: skip
    for one in view.geometry.duplicates:
        axes.plot([0.5], [one.position_mm], marker="D", markersize=4, color="#ff9f0a")
        axes.text(1.08, one.position_mm, f"{one.slices}, {one.pixels.replace('_', ' ')}", color="#b25000", va="center",
                  fontproperties=font(6.5))  # fmt: skip
    margin = max(view.half, 0.02 * float(distances[-1]), 0.5)
    axes.set_ylim(-margin, float(distances[-1]) + margin)
    axes.set_xlim(0, 2.2)
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    ticks(axes, "slices along the normal (mm)")


def _draw_facts(axes: Axes, geometry: StackGeometry) -> None:
    axes.axis("off")
    one = geometry.figures
    size = " x ".join(str(part) for part in (one.columns, one.rows, one.num_positions))
    spacing = "not uniform" if one.is_uniform_spacing is False else "uniform" if one.is_uniform_spacing else "unknown"
    between = "" if one.z_spacing_min is None else f" ({_mm(one.z_spacing_min)} to {_mm(one.z_spacing_max)})"
    pixel = "unknown" if one.pixel_spacing is None else " x ".join(map(_mm, one.pixel_spacing))
    advice = "resampling required" if geometry.requires_resampling else "no resampling required"
    if geometry.requires_splitting:
        advice = "split at gaps" + (", then resampling required" if geometry.requires_resampling else "")
    lines = [
        f"{geometry.kind.replace('_', ' ')}, {size}, {one.num_slices} slices; pixels {pixel} mm; thickness "
        f"{_mm(one.slice_thickness)} mm; distance {_mm(one.z_spacing_median)}{between} mm, {spacing}; tilt stored "
        f"{_mm(one.gantry_tilt_deg)}, shear measured {_mm(one.shear_angle_deg)} degrees: {advice}",
        *(f"- {reason}" for reason in geometry.reasons),
    ]
    for number, line in enumerate(lines[:7]):
        more = f" (and {len(lines) - 7} more)" if number == 6 and len(lines) > 7 else ""
        text = line if len(line) < 215 else line[:212] + "..."
        axes.text(0, 1 - number * 0.16, text + more, va="top", fontproperties=font(7), transform=axes.transAxes)


def _mm(value: float | None) -> str:
    return "none" if value is None else written(round(value, 3))


def png(figure: Figure) -> bytes:
    """Return a figure as PNG without any chunk but those of the picture."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return _SIGNATURE + b"".join(chunk for name, chunk in png_chunks(buffer.getvalue()) if name in _CHUNKS)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG, name and bytes as written. ValueError where the file is no sound PNG."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("not a PNG")
    at, chunks = len(_SIGNATURE), []
    while at < len(data):
        (length,), name = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data) or struct.unpack(">I", data[end - 4 : end])[0] != zlib.crc32(data[at + 4 : end - 4]):
            raise ValueError("damaged chunk")
        chunks.append((name, data[at:end]))
        at = end
    return chunks


def picture_problems(data: bytes) -> list[str]:
    """Return what a PNG holds beside its picture; nothing may."""
    try:
        names = [name for name, _ in png_chunks(data)]
    except ValueError as error:
        return [str(error)]
    other = sum(name not in _CHUNKS for name in names)
    problems = [f"{other} further chunks"] if other else []
    if names[:1] != [b"IHDR"] or names[-1:] != [b"IEND"]:
        return [*problems, "order of chunks"]
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    packed = b"".join(chunk[8:-4] for name, chunk in png_chunks(data) if name == b"IDAT")
    unpacked = zlib.decompressobj()
    pixels = unpacked.decompress(packed)
    if len(pixels) != height * (1 + width * {2: 3, 6: 4}.get(kind, 0) * depth // 8) or unpacked.unused_data:
        problems.append("bytes behind the picture")
    return problems
