"""The recommended volume of a stack in numbers: one plan behind what is made and the program that makes it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from phi_deid_pipeline.geometry.figures import TargetGrid, rounded_all
from phi_deid_pipeline.geometry.placement import itk_direction

# Patient axis and sign (LPS) of a letter in an orientation code.
_LETTERS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, slots=True)
class Plan:
    """How the volume is made: which slices, how they are evened out, where they stand, onto which grid they go.

    Lengths in mm. `keep` are indices into the ordered slices, one a position; `positions` run from the first of them.
    """

    keep: tuple[int, ...]
    positions: tuple[float, ...]
    shifts: tuple[tuple[int, float, float], ...]  # index into `keep`, along row, along column
    uniform: bool
    step: float  # distance along the normal after evening out
    count: int  # slices then
    pixel: tuple[float, float]  # along a row, along a column
    origin: tuple[float, ...]
    spacing: tuple[float, ...]
    direction: tuple[float, ...]
    reorient: bool
    resample: bool
    pad: float
    grid: TargetGrid


def even_grid(
    start: np.ndarray, sides: np.ndarray, basis: np.ndarray, spacing: tuple[float, ...], reorient: bool
) -> TargetGrid:
    """Return the smallest grid along the rows of `basis` (3, 3) that holds a box; its axes put into LPS order if asked.

    `start` is the box's lowest corner in coordinates of the basis, `sides` its lengths.
    """
    size = [steps(side, step) for side, step in zip(sides, spacing, strict=True)]
    if not reorient:
        return TargetGrid(rounded_all(spacing), tuple(size), rounded_all(start @ basis), itk_direction(basis))
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(basis.T.ravel().tolist())
    ends = [_LETTERS[letter] for letter in code]
    order = [[axis for axis, _ in ends].index(target) for target in range(3)]
    corner = start.astype(float).copy()
    axes = basis.copy()
    for index, (_, sign) in enumerate(ends):
        if sign < 0:
            corner[index] += (size[index] - 1) * spacing[index]
            axes[index] = -axes[index]
    return TargetGrid(
        rounded_all(spacing[index] for index in order),
        tuple(size[index] for index in order),
        rounded_all(corner @ basis),
        itk_direction(axes[order]),
    )


def steps(length: float, step: float) -> int:
    """Return how many samples at `step` cover `length`; a hundredth of a step may stay outside."""
    return math.ceil(length / step - 0.01) + 1


def box_corners(
    start: np.ndarray, columns: np.ndarray, rows: np.ndarray, line: np.ndarray, depth: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return lowest corner and sides of the box around a stack, in coordinates of its basis.

    `columns` and `rows` lead from the first pixel to the last of its row and column, `line` (3,) along the stack by mm.
    """
    points = np.array(
        [start + a * columns + b * rows + c * depth * line for a, b, c in itertools.product((0, 1), repeat=3)]
    )
    return points.min(axis=0), points.max(axis=0) - points.min(axis=0)
