"""The recommended preprocessing of one stack: ordered steps, the target grid and the SimpleITK code for it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from phi_deid_pipeline.geometry.figures import (
    Gap,
    GeometryFlag,
    GeometrySettings,
    Notes,
    PipelineStep,
    StackFigures,
    TargetGrid,
    rounded,
    rounded_all,
)
from phi_deid_pipeline.geometry.placement import (
    EPSILON_MM,
    Placed,
    duplicate_positions,
    in_plane_residuals,
    is_sheared,
    is_uniform,
    itk_direction,
)


@dataclass(slots=True)
class Advice:
    """Builds the recommended steps of one stack, in the order in which they are to be carried out."""

    placed: Placed | None
    figures: StackFigures
    settings: GeometrySettings
    notes: Notes
    gaps: list[Gap]
    resampling_required: bool
    steps: list[PipelineStep] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    grid: TargetGrid | None = None

    def build(self, kind: str) -> None:
        if kind == "localizer":
            self._add("exclude_localizer", {}, "Localizers are projections and no part of the volume.")
            return
        if kind == "volume":
            self._add(
                "order_slices",
                {"along": list(rounded_all(self.placed.basis[2]))},
                "Order by Image Position (Patient) projected on the normal; Instance Number may run otherwise.",
            )
            self._duplicates()
        elif kind == "unplaced":
            self._add("restore_positions", {}, "Without position and orientation slices cannot be put together.")
        first, last = self._split_at_gaps() if kind == "volume" else (0, 0)
        self._values()
        if kind == "volume" and last > first:
            self._resample(first, last)
        if kind == "volume" and self.notes.has(GeometryFlag.NON_AXIAL):
            self._add(
                "reorient",
                {"to": "LPS", "simpleitk": 'image = sitk.DICOMOrient(image, "LPS")'},
                "Models for CT mostly expect axial slices; flips and swaps of axes change no value.",
                required=False,
            )

    def _add(self, step: str, parameters: dict[str, object], why: str, required: bool = True) -> None:
        self.steps.append(PipelineStep(step, parameters, why, required))

    def _duplicates(self) -> None:
        positions = duplicate_positions(self.placed)
        if positions:
            self._add(
                "drop_duplicates",
                {"keep": "lowest SOP Instance UID", "positions_mm": list(positions)},
                "Several slices share a position; a volume holds one. Compare their pixels before dropping any.",
            )

    def _split_at_gaps(self) -> tuple[int, int]:
        """Advise on missing slices; return first and last index of the part that the further steps are about."""
        distances = self.placed.distances
        gaps = np.diff(distances)
        limit = (self.settings.max_filled_slices + 1.5) * float(np.median(gaps))
        cuts = np.flatnonzero(gaps > limit).tolist()
        bounds = [-1, *cuts, len(distances) - 1]
        parts = [(start + 1, end) for start, end in itertools.pairwise(bounds)]
        if self.gaps:
            self._add(
                "restore_missing_slices",
                {"missing": [[one.start_mm, one.end_mm, one.missing] for one in self.gaps]},
                "Fetch the missing slices from the source if they exist; interpolation only bridges them.",
                required=False,
            )
        if cuts:
            spans = [rounded_all([distances[a] - distances[0], distances[b] - distances[0]]) for a, b in parts]
            self._add(
                "split_at_gaps",
                {"parts_mm": [list(span) for span in spans], "max_filled_slices": self.settings.max_filled_slices},
                "A gap is too wide to interpolate across; the further steps are given for the longest part.",
            )
        return max(parts, key=lambda part: (part[1] - part[0], -part[0]))

    def _values(self) -> None:
        """Rescale before anything is interpolated: padding and slices of different slope must not be mixed."""
        figures = self.figures
        if figures.pixel_padding_value is not None:
            self._add(
                "mask_padding",
                {"stored_value": figures.pixel_padding_value, "becomes_hu": self.settings.pad_hu},
                "Padding lies outside the field of view and is no tissue; set it after rescaling.",
            )
        known = figures.rescale_slope is not None and figures.rescale_intercept is not None
        mixed = self.notes.has(GeometryFlag.MIXED_RESCALE)
        self._add(
            "rescale_to_hu",
            {
                "slope": None if mixed else figures.rescale_slope,
                "intercept": None if mixed else figures.rescale_intercept,
                "per_slice": mixed,
                "unit": figures.rescale_type or "HU",
            },
            "Stored values become HU by slope and intercept."
            if known
            else "Slope or intercept is missing: stored values cannot be turned into HU without the source.",
        )
        low, high = self.settings.hu_clip
        self._add(
            "clip_hu", {"lower": low, "upper": high}, "Values beyond are metal or outside the scanner's range.", False
        )

    def _target_spacing(self, distances: np.ndarray) -> tuple[tuple[float, ...], str] | None:
        """Return spacing (x, y, z) and why it is advised; None if no resampling is."""
        pixel = self.figures.pixel_spacing
        anisotropic = self.notes.has(GeometryFlag.ANISOTROPIC)
        if self.settings.target_spacing_mm is not None:
            return tuple(self.settings.target_spacing_mm), "The configuration asks for this spacing."
        if anisotropic and (self.settings.resample_anisotropic or not self.resampling_required):
            side = max(pixel)
            return (side, side, side), "Cubic voxels of the pixel spacing, for methods that expect isotropic volumes."
        if not self.resampling_required:
            return None
        step = rounded(np.median(np.diff(distances)))
        return (pixel[1], pixel[0], step), "Pixel spacing is kept; slices stand at their median distance."

    def _resample(self, first: int, last: int) -> None:
        placed, figures = self.placed, self.figures
        distances = placed.distances[first : last + 1]
        if not (figures.pixel_spacing and figures.rows and figures.columns):
            return
        target = self._target_spacing(distances)
        if target is None:
            return
        spacing, why = target
        sheared = is_sheared(placed, self.settings)
        line = placed.shear if sheared else np.zeros(2)
        self._align(first, last)
        self.code.append("# In slice order: slices, HU as float [slice, row, column]; positions, mm from the first")
        step = self._interpolate(distances)
        # Where the straight line through the slices crosses the first of them.
        offsets = placed.in_plane - line * placed.distances[:, None]
        start = np.median(offsets, axis=0) + line * distances[0]
        self._stand(start, distances[0], line, step, sheared)
        self.grid = self._target_grid(spacing, start, distances, line)
        self._add(
            "resample",
            {
                "spacing": list(self.grid.spacing),
                "size": list(self.grid.size),
                "origin": list(self.grid.origin),
                "direction": list(self.grid.direction),
                "interpolator": "sitkLinear",
                "mask_interpolator": "sitkNearestNeighbor",
                "pad_hu": self.settings.pad_hu,
            },
            why,
            required=self.resampling_required,
        )
        grid = self.grid
        self.code.append(
            f"image = sitk.Resample(image, {grid.size}, sitk.Transform(), sitk.sitkLinear, {grid.origin}, "
            f"{grid.spacing}, {grid.direction}, {self.settings.pad_hu})"
        )

    def _align(self, first: int, last: int) -> None:
        """Advise on slices that lie off the line."""
        if not self.notes.has(GeometryFlag.SHIFTED_SLICES):
            return
        placed = self.placed
        off = in_plane_residuals(placed, self.settings)
        shifted = [
            [rounded(placed.distances[i] - placed.distances[0]), *rounded_all(off[i])]
            for i in range(first, last + 1)
            if np.hypot(*off[i]) > self.settings.in_plane_tolerance_mm + EPSILON_MM
        ]
        if shifted:
            self._add(
                "align_slices",
                {"position_and_shift_mm": shifted},
                "Resample each of these slices in its plane: it lies this far along row and column from the line.",
            )

    def _interpolate(self, distances: np.ndarray) -> float:
        """Advise on even slice distances; return the distance that holds afterwards."""
        if is_uniform(distances, self.settings):
            self.code.append("image = sitk.GetImageFromArray(slices)")
            return float(np.mean(np.diff(distances)))
        step = rounded(np.median(np.diff(distances)))
        count = _steps(distances[-1] - distances[0], step)
        self._add(
            "interpolate_slices",
            {"spacing_mm": step, "size": count, "weights": "linear between neighbouring slices, nearest outside"},
            "Images have one slice distance; these slices stand at their own.",
        )
        self.code += [
            f"index = np.interp(np.arange({count}) * {step}, positions, np.arange(len(positions)))",
            "below = np.minimum(index.astype(int), len(positions) - 2); weight = (index - below)[:, None, None]",
            "image = sitk.GetImageFromArray((1 - weight) * slices[below] + weight * slices[below + 1])",
        ]
        return step

    def _stand(self, start: np.ndarray, depth: float, line: np.ndarray, step: float, sheared: bool) -> None:
        """Give the image its place: where slices are sheared, its third axis runs along the line through them."""
        placed, pixel = self.placed, self.figures.pixel_spacing
        third = placed.basis[2] + line @ placed.basis[:2]
        length = float(np.linalg.norm(third))
        axes = np.stack([placed.basis[0], placed.basis[1], third / length])
        origin = rounded_all(np.array([*start, depth]) @ placed.basis)
        spacing = rounded_all([pixel[1], pixel[0], step * length])
        if sheared:
            self._add(
                "deshear",
                {"shear": list(rounded_all(line)), "direction": list(itk_direction(axes)), "spacing": list(spacing)},
                "Stand the slices along their true line; the resampling after it straightens the volume in one go.",
            )
        self.code.append(
            f"image.SetOrigin({origin}); image.SetSpacing({spacing}); image.SetDirection({itk_direction(axes)})"
        )

    def _target_grid(
        self, spacing: tuple[float, ...], start: np.ndarray, distances: np.ndarray, line: np.ndarray
    ) -> TargetGrid:
        """Return the smallest grid along row, column and normal that holds every acquired pixel centre."""
        depth = float(distances[-1] - distances[0])
        drift = line * depth
        corner = start + np.minimum(drift, 0)
        pixel = self.figures.pixel_spacing
        sides = [
            (self.figures.columns - 1) * pixel[1] + abs(drift[0]),
            (self.figures.rows - 1) * pixel[0] + abs(drift[1]),
            depth,
        ]
        return TargetGrid(
            spacing=rounded_all(spacing),
            size=tuple(_steps(side, step) for side, step in zip(sides, spacing, strict=True)),
            origin=rounded_all(np.array([*corner, distances[0]]) @ self.placed.basis),
            direction=itk_direction(self.placed.basis),
        )


def _steps(length: float, step: float) -> int:
    """Return how many samples at `step` cover `length`; a hundredth of a step may stay outside."""
    return math.ceil(length / step - 0.01) + 1
