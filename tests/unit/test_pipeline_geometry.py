"""Geometry of what was staged: pixels of slices at one position are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from factories import ct_instance, write
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import InstanceFindings, Manifest
from record_io import from_json

SALT = bytes(range(32))


@pytest.mark.parametrize("same", [True, False])
def test_pixels_of_slices_at_one_position_are_compared(tmp_path: Path, same: bool) -> None:
    for number, place in enumerate([0, 1, 2, 2]):
        ds = ct_instance(number=number + 1)
        ds.ImagePositionPatient = [0, 0, float(place)]
        ds.PixelData = bytes([number if not same else 0, 0]) * (len(ds.PixelData) // 2)
        write(ds, tmp_path / "input" / f"{number}.dcm")
    private, policy = tmp_path / "private", load_policy("ps3_15_basic").to_json()
    arguments = {"salt": SALT, "settings": {}, "patients": {}, "decisions": [], "threads": 1}
    pipeline.scan_input(tmp_path / "input", private, **arguments)
    (path,) = (private / "manifests").iterdir()
    manifest = from_json(path.read_bytes(), Manifest)
    instances = manifest.series[0].instances
    seen = [InstanceFindings(i.sop_uid, i.path, "read", "", 1, 1, ("none",), ()) for i in instances]
    lexicons = {path.stem: path.read_text() for path in (private / "lexicons").iterdir()}
    records = list(
        pipeline.deidentify_series(manifest, seen, lexicons, policy, SALT, tmp_path / "input", tmp_path / "staging")
    )
    assert [(r.pixel_data, r.pixel_sha256) for r in records] == [("untouched", "")] * 4
    (measured,) = pipeline.measure_ct_geometry(tmp_path / "staging", records, {})
    (duplicate,) = measured.stacks[0].duplicates
    assert duplicate.pixels == ("identical" if same else "different")
