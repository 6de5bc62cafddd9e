"""Synthetic CT stacks of known truth for the tests of the geometry audit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import SimpleITK as sitk

import record_io
from phi_deid_pipeline.geometry import CtGeometry, GeometryFlag, GeometrySettings, measure_series
from phi_deid_pipeline.geometry.recipe import MAKING, WRITING
from phi_deid_pipeline.records import SliceAttributes

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "resources" / "audit_schemas" / "ct_prepro_audit.schema.json").read_text())
DEFAULTS = GeometrySettings()
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
FLAG = GeometryFlag


def stack(depths, *, orientation=AXIAL, shear=(0.0, 0.0), origin=(-50.0, -60.0, 100.0), uid="s", **changes):
    """Return slices of 2 mm at these depths (mm along the normal), each moved in its plane by shear times depth."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    slices = []
    for index, depth in enumerate(depths):
        position = np.array(origin) + depth * (normal + shear[0] * row + shear[1] * column)
        one = SliceAttributes(
            study_uid="2.25.1",
            series_uid="2.25.2",
            sop_uid=f"2.25.{uid}{index:05d}",
            frame_of_reference_uid="2.25.3",
            image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
            acquisition_number=1,
            position=tuple(position.tolist()),
            orientation=orientation,
            rows=12,
            columns=16,
            pixel_spacing=(1.5, 1.25),
            slice_thickness=2.0,
            rescale_slope=1.0,
            rescale_intercept=-1024.0,
            rescale_type="HU",
            bits_stored=12,
            pixel_representation=0,
        )
        slices.append(replace(one, **changes))
    return slices


def regular(count, step=2.0):
    return [index * step for index in range(count)]


def measured(slices, pixel_digest=None, **changes):
    """Measure, and hold the result to the audit's schema, to strict JSON and to its own round trip."""
    digest = {} if pixel_digest is None else {"pixel_digest": pixel_digest}
    result = measure_series(slices, replace(DEFAULTS, **changes), **digest)
    text = record_io.to_json(result)
    assert record_io.from_json(text, CtGeometry) == result
    assert "-0.0," not in text and "-0.0]" not in text
    row = {**json.loads(text), "series_incomplete": False}
    jsonschema.Draft202012Validator(SCHEMA).validate({"schema": "ct_prepro_audit/1", "settings": {}, "series": [row]})
    assert len(result.reasons) >= len(result.flags)
    return result


# The default stack has pixels of 1.5 x 1.25 mm: flagged in every test, so left out of what tests compare.
def odd(result):
    return set(result.flags) - {FLAG.NON_SQUARE_PIXELS}


def steps(result):
    return [step.step for step in result.recommended_preprocessing_pipeline]


def linear(points):
    """Return a value that is linear in space, so that linear interpolation gives it back exactly."""
    return points @ np.array([1.7, -2.3, 3.1]) + 40


def carry_out(result, slices):
    """Run the recommended code on a volume with `linear` values; return the image."""
    ordered = sorted(slices, key=lambda one: np.dot(one.position, result.orientation_matrix[2]))
    row, column, normal = (np.array(axis) for axis in result.orientation_matrix)
    j, i = np.meshgrid(np.arange(12), np.arange(16), indexing="ij")
    planes = []
    for one in ordered:
        points = np.array(one.position) + i[..., None] * 1.25 * row + j[..., None] * 1.5 * column
        planes.append(linear(points))
    positions = np.array([np.dot(one.position, normal) for one in ordered])
    names = {"np": np, "sitk": sitk, "volume": np.array(planes), "positions": positions - positions[0]}
    made = result.simpleitk.partition(MAKING)[2].partition(WRITING)[0]  # of values that are no whole numbers
    exec(made, names)  # the audit's own advice is what is under test
    return names["image"]
