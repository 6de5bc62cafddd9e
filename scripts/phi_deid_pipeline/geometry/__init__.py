"""Geometry of CT series from the numbers of their slices; takes no DICOM objects."""

from __future__ import annotations

from phi_deid_pipeline.geometry.figures import (
    CtGeometry,
    Duplicate,
    Gap,
    GeometryFlag,
    GeometrySettings,
    PipelineStep,
    StackFigures,
    StackGeometry,
    TargetGrid,
)
from phi_deid_pipeline.geometry.measure import Arranged, arrange_series, measure_series

__all__ = [
    "Arranged",
    "CtGeometry",
    "Duplicate",
    "Gap",
    "GeometryFlag",
    "GeometrySettings",
    "PipelineStep",
    "StackFigures",
    "StackGeometry",
    "TargetGrid",
    "arrange_series",
    "measure_series",
]
