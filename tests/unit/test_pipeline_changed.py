"""A file that was another one while its text was looked for is not released, though it is as it was scanned since."""

from __future__ import annotations

from pathlib import Path

from factories import rgb_instance, write
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import Manifest, Status
from record_io import from_json

SALT = bytes(range(32))


def test_file_that_was_another_while_it_was_read_is_rejected(tmp_path: Path) -> None:
    source, private, policy = tmp_path / "input", tmp_path / "private", load_policy("ps3_15_basic").to_json()
    path = write(rgb_instance(("ZIMMERLIN",)), source / "a")
    pipeline.scan_input(source, private, salt=SALT, settings={}, patients={}, decisions=[], threads=1)
    (place,) = (private / "manifests").iterdir()
    manifest, scanned = from_json(place.read_bytes(), Manifest), path.read_bytes()
    write(rgb_instance(), path)
    readings = list(pipeline.read_burned_in_text(manifest, source, {}, lambda key: None, lambda key, reading: None))
    path.write_bytes(scanned)
    lexicons = {one.stem: one.read_text() for one in (private / "lexicons").iterdir()}
    seen = list(pipeline.judge_burned_in_text(manifest, readings, lexicons, policy, [], SALT))
    (record,) = pipeline.deidentify_series(manifest, seen, lexicons, policy, SALT, source, tmp_path / "staging")
    assert (record.status, record.reason) == (Status.REJECTED, "changed_while_read")
    assert not list((tmp_path / "staging").rglob("*.dcm"))
