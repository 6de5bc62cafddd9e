"""Geometry of CT series from the numbers of their slices; takes no DICOM objects."""

from __future__ import annotations

from phi_deid_pipeline.geometry.figures import (
    CtGeometry,
    Gap,
    GeometryFlag,
    GeometrySettings,
    PipelineStep,
    StackFigures,
    StackGeometry,
    TargetGrid,
)
from phi_deid_pipeline.geometry.measure import measure_series

__all__ = [
    "CtGeometry",
    "Gap",
    "GeometryFlag",
    "GeometrySettings",
    "PipelineStep",
    "StackFigures",
    "StackGeometry",
    "TargetGrid",
    "measure_series",
]
