"""The recommended preprocessing of one stack: ordered steps, the target grid and the program that makes it."""

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
    beside_gaps,
    duplicate_positions,
    in_plane_residuals,
    is_sheared,
    is_uniform,
    itk_direction,
    regimes,
    usual_step,
)
from phi_deid_pipeline.geometry.plan import Plan, box_corners, even_grid, steps
from phi_deid_pipeline.geometry.recipe import Reading, program_of

_THICKEST_MM = 10.0  # of CT slices; taken where a header states no thickness


@dataclass(slots=True)
class Advice:
    """Builds the recommended steps of one stack, in the order in which they are to be carried out."""

    placed: Placed | None
    figures: StackFigures
    settings: GeometrySettings
    notes: Notes
    gaps: list[Gap]
    resampling_required: bool
    stack: int = 1  # its number in the series
    several: bool = False  # whether there are further stacks
    steps: list[PipelineStep] = field(default_factory=list)
    plan: Plan | None = None

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
        if kind == "volume" and last - first + 1 < len(self.placed.distances):
            self.resampling_required &= last > first and self._part_needs(first, last)
        self._values()
        if kind == "volume" and last > first and self._complete() and not self._ambiguous():
            self._make(first, last)

    def _complete(self) -> bool:
        return bool(self.figures.pixel_spacing and self.figures.rows and self.figures.columns)

    def _ambiguous(self) -> bool:
        """Tell whether slices share a position and nothing says which of them are of one volume."""
        return self.notes.has(GeometryFlag.DUPLICATES_DIFFER)

    def _add(self, step: str, parameters: dict[str, object], why: str, required: bool = True) -> None:
        self.steps.append(PipelineStep(step, parameters, why, required))

    def _duplicates(self) -> None:
        positions = duplicate_positions(self.placed)
        if self._ambiguous():
            self._add(
                "choose_slices",
                {"positions_mm": list(positions)},
                "Slices of different content share these positions and no attribute tells them apart: no volume is made "
                "of them. Say which belong together, for instance by series, and measure again.",
            )
        elif positions:
            self._add(
                "drop_duplicates",
                {"keep": "lowest SOP Instance UID", "positions_mm": list(positions)},
                "Several slices share a position; a volume holds one. Compare their pixels before dropping any.",
            )

    def _split_at_gaps(self) -> tuple[int, int]:
        """Advise on missing slices; return first and last index of the part that the further steps are about."""
        distances = self.placed.distances
        cuts = self._cuts()
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

    def _part_needs(self, first: int, last: int) -> bool:
        """Tell whether the part that is left after a split has to be resampled: splitting alone may be what is needed."""
        placed, settings = self.placed, self.settings
        off = np.hypot(*in_plane_residuals(placed, settings)[first : last + 1].T)
        return (
            not is_uniform(placed.distances[first : last + 1], settings)
            or is_sheared(placed, settings)
            or (self.notes.has(GeometryFlag.SHIFTED_SLICES) and float(np.max(off)) > self._far)
            or self.notes.has(GeometryFlag.NON_ORTHOGONAL)
            or (settings.resample_anisotropic and self.notes.has(GeometryFlag.ANISOTROPIC))
        )

    @property
    def is_split(self) -> bool:
        """Tell whether the stack has gaps that are too wide to interpolate across."""
        return any(step.step == "split_at_gaps" for step in self.steps)

    @property
    def _far(self) -> float:
        """Return how far off the line a slice lies that has to be aligned, in mm."""
        return self.settings.in_plane_tolerance_mm + EPSILON_MM

    def _cuts(self) -> list[int]:
        """Return the gaps that are too wide to interpolate across.

        Thick slices that touch leave no gap, and of equal wide gaps in a row the first parts two spacings.
        """
        gaps = np.diff(self.placed.distances)
        limit = (self.settings.max_filled_slices + 1.5) * float(np.median(gaps))
        thickness = np.nan_to_num(beside_gaps(self.placed, "slice_thickness")).mean(axis=1)
        wide = (gaps > limit) & (gaps > (1 + self.settings.missing_tolerance_relative) * thickness)
        for start, end, _ in regimes(self.placed.distances, self.settings):
            wide[start + 1 : end + 1] = False
        return np.flatnonzero(wide).tolist()

    def _values(self) -> None:
        """Rescale before anything is interpolated: padding and slices of different slope must not be mixed."""
        figures = self.figures
        if figures.pixel_padding_value is not None:
            self._add(
                "mask_padding",
                {
                    "stored_value": figures.pixel_padding_value,
                    "per_slice": self.notes.has(GeometryFlag.MIXED_PADDING),
                    "becomes_hu": self.settings.pad_hu,
                },
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
        step = rounded(usual_step(distances, self.settings))
        anisotropic = self.notes.has(GeometryFlag.ANISOTROPIC)
        if self.settings.target_spacing_mm is not None:
            x, y, z = self.settings.target_spacing_mm
            if z < step and self._too_far_apart(distances):
                return (x, y, step), "The configuration asks for this spacing in the plane; slices keep their distance."
            return (x, y, z), "The configuration asks for this spacing."
        side = max(pixel)
        cubic = anisotropic and (self.settings.resample_anisotropic or not self.resampling_required)
        if cubic and not (side < step and self._too_far_apart(distances)):
            return (side, side, side), "Cubic voxels of the pixel spacing, for methods that expect isotropic volumes."
        if not self.resampling_required:
            return None
        return (pixel[1], pixel[0], step), "Pixel spacing is kept; slices stand at their usual distance."

    def _too_far_apart(self, distances: np.ndarray) -> bool:
        """Advise against more slices than were taken where gaps are wider than interpolation may bridge."""
        thickness, widest = self.figures.slice_thickness, float(np.max(np.diff(distances)))
        reach = thickness if thickness is not None and thickness > 0 else _THICKEST_MM
        if widest <= (self.settings.max_filled_slices + 1.5) * reach:
            return False
        self._add(
            "keep_slice_distance",
            {
                "gap_mm": rounded(widest),
                "slice_thickness_mm": thickness,
                "max_filled_slices": self.settings.max_filled_slices,
            },
            "Slices stand too far apart for their thickness: values between them would be invented.",
        )
        return True

    def _make(self, first: int, last: int) -> None:
        """Advise on the volume of these positions and keep the plan of it; no volume where it would be too large."""
        before = len(self.steps)
        placed, figures = self.placed, self.figures
        pixel = (figures.pixel_spacing[1], figures.pixel_spacing[0])
        distances = placed.distances[first : last + 1]
        target = self._target_spacing(distances)
        sheared, skewed = is_sheared(placed, self.settings), self.notes.has(GeometryFlag.NON_ORTHOGONAL)
        line = placed.shear if sheared else np.zeros(2)
        shifts = self._align(first, last)
        uniform, step, count = self._interpolate(distances)
        # Where the straight line through the slices crosses the first of them.
        offsets = placed.in_plane - line * placed.distances[:, None]
        start = np.array([*(np.median(offsets, axis=0) + line * distances[0]), distances[0]])
        column = placed.column if skewed else placed.basis[1]
        stand = self._stand(start, column, line, step, sheared or skewed)
        reorient = self.notes.has(GeometryFlag.NON_AXIAL)
        if reorient:
            why = "Models for CT mostly expect axial slices; flips and swaps of axes change no value."
            self._add("reorient", {"to": "LPS"}, why, required=False)
        rows = (figures.rows - 1) * pixel[1] * (placed.basis @ column)
        columns = np.array([(figures.columns - 1) * pixel[0], 0.0, 0.0])
        depth = (count - 1) * step if target is None else float(distances[-1] - distances[0])
        corner, sides = box_corners(start, columns, rows, np.array([*line, 1.0]), depth)
        spacing = (*pixel, rounded(step)) if target is None else target[0]
        grid = even_grid(corner, sides, placed.basis, spacing, reorient)
        if target is not None and not (sheared or skewed or shifts) and uniform:
            own = even_grid(corner, sides, placed.basis, (*pixel, rounded(step)), reorient)
            target = None if grid == own else target
        voxels = max(math.prod(grid.size), figures.rows * figures.columns * count)
        if voxels > self.settings.max_voxels:
            del self.steps[before:]
            self.notes.add(
                GeometryFlag.GRID_TOO_LARGE,
                f"The volume would hold {voxels:.3g} voxels (limit {self.settings.max_voxels:.3g}): none is advised or made. "
                "See whether positions and spacing are true.",
            )
            return
        keep = [min(placed.members[i], key=self._name) for i in range(first, last + 1)]
        self.plan = Plan(
            keep=tuple(keep),
            positions=rounded_all(distances - distances[0]),
            shifts=shifts,
            uniform=uniform,
            step=step,
            count=count,
            pixel=pixel,
            **stand,
            reorient=reorient,
            resample=target is not None,
            pad=self.settings.pad_hu,
            grid=grid,
        )
        if target is not None:
            self._resample(grid, target[1])

    def _name(self, index: int) -> tuple[str, int]:
        one = self.placed.slices[index]
        return one.sop_uid, one.frame

    def _resample(self, grid: TargetGrid, why: str) -> None:
        self._add(
            "resample",
            {
                "spacing": list(grid.spacing),
                "size": list(grid.size),
                "origin": list(grid.origin),
                "direction": list(grid.direction),
                "interpolator": "sitkLinear",
                "mask_interpolator": "sitkNearestNeighbor",
                "pad_hu": self.settings.pad_hu,
            },
            why,
            required=self.resampling_required,
        )

    def _align(self, first: int, last: int) -> tuple[tuple[int, float, float], ...]:
        """Advise on slices that lie off the line; return their index from the first and how far off they lie."""
        if not self.notes.has(GeometryFlag.SHIFTED_SLICES):
            return ()
        placed = self.placed
        off = in_plane_residuals(placed, self.settings)
        far = np.hypot(*off.T) > self._far
        shifted = [i for i in range(first, last + 1) if far[i]]
        if shifted:
            self._add(
                "align_slices",
                {
                    "position_and_shift_mm": [
                        [rounded(placed.distances[i] - placed.distances[0]), *rounded_all(off[i])] for i in shifted
                    ]
                },
                "Resample each of these slices in its plane: it lies this far along row and column from the line.",
            )
        return tuple((i - first, *rounded_all(off[i])) for i in shifted)

    def _interpolate(self, distances: np.ndarray) -> tuple[bool, float, int]:
        """Advise on even slice distances; return whether they are even, the distance and the slices that hold after."""
        if is_uniform(distances, self.settings):
            return True, float(np.mean(np.diff(distances))), len(distances)
        step = rounded(usual_step(distances, self.settings))
        count = steps(distances[-1] - distances[0], step)
        self._add(
            "interpolate_slices",
            {"spacing_mm": step, "size": count, "weights": "linear between neighbouring slices, nearest outside"},
            "Images have one slice distance; these slices stand at their own.",
        )
        return False, step, count

    def _stand(
        self, start: np.ndarray, column: np.ndarray, line: np.ndarray, step: float, skewed: bool
    ) -> dict[str, tuple[float, ...]]:
        """Return the image's place; where slices are sheared, its third axis runs along the line through them."""
        placed, pixel = self.placed, self.figures.pixel_spacing
        third = placed.basis[2] + line @ placed.basis[:2]
        length = float(np.linalg.norm(third))
        direction = itk_direction(np.stack([placed.basis[0], column, third / length]))
        spacing = rounded_all([pixel[1], pixel[0], step * length])
        if skewed:
            self._add(
                "deshear",
                {"shear": list(rounded_all(line)), "direction": list(direction), "spacing": list(spacing)},
                "Stand the slices along their true line; the resampling after it straightens the volume in one go.",
            )
        return {"origin": rounded_all(start @ placed.basis), "spacing": spacing, "direction": direction}

    @property
    def grid(self) -> TargetGrid | None:
        """The grid of the volume; None where there is none."""
        return self.plan.grid if self.plan else None

    @property
    def code(self) -> str:
        """The plan as a program; "" where there is no volume."""
        if self.plan is None:
            return ""
        placed, figures, settings = self.placed, self.figures, self.settings
        first = placed.slices[0]
        reading = Reading(
            study_uid=first.study_uid,
            series_uid=first.series_uid,
            stack=self.stack,
            several=self.several,
            multi_frame=any(one.number_of_frames > 1 for one in placed.slices),
            normal=placed.basis[2],
            same_position=settings.duplicate_tolerance_mm + EPSILON_MM,
            part=self._part,
            padded=any(one.pixel_padding_value is not None for one in placed.slices),
            pad_hu=settings.pad_hu,
            clip_hu=settings.hu_clip,
            columns=figures.columns,
            rows=figures.rows,
        )
        return program_of(self.plan, reading)

    @property
    def _part(self) -> tuple[int, int] | None:
        """Return first and last position of which the volume is made, None if of all."""
        places = self.placed.members
        if len(self.plan.keep) == len(places):
            return None
        first = next(i for i, members in enumerate(places) if self.plan.keep[0] in members)
        return first, first + len(self.plan.keep) - 1
