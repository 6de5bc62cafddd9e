"""Every real file by itself through scan, cleaning with a forced fill, and verification: all codecs, nothing lost.

Many files share a SOP Instance UID, so that a run over all of them holds them as conflicts; here each is alone. Of slices that
are alike the first ones stand for all: tests/unit/test_instance_deid_reference.py has every one of them.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from phi_deid_pipeline import pipeline
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import Box, InstanceFindings, Manifest, Status
from record_io import from_json

SALT = bytes(32)
FILL = Box(1, 1, 3, 3)
SEVERAL = 3  # of slices that are alike
TELLING = (
    "SpecificCharacterSet", "SOPClassUID", "SeriesInstanceUID", "NumberOfFrames", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored",
)  # fmt: skip
# Transfer syntaxes of which the real files must come through an edit of their pixels.
EDITED = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
}


def ends(path: Path, folder: Path, policy: str) -> tuple[str, str, str]:
    """Return status, reason and source transfer syntax of one file after all steps; its pixels are edited if it has any."""
    source, private = folder / "input", folder / "private"
    source.mkdir(parents=True)
    (source / "file").write_bytes(path.read_bytes())
    arguments = {"settings": {}, "patients": {}, "decisions": [], "threads": 1}
    pipeline.scan_input(source, private, salt=SALT, **arguments)
    rejected = [json.loads(line) for line in (private / "rejected.jsonl").read_text().splitlines()]
    manifests = sorted((private / "manifests").glob("*.json")) if (private / "manifests").exists() else []
    assert len(rejected) + len(manifests) == 1, "a file is either rejected or worked on"
    if rejected:
        return "rejected", rejected[0]["reason"], ""
    manifest = from_json(manifests[0].read_bytes(), Manifest)
    (series,) = manifest.series
    (instance,) = series.instances
    fills = (FILL,) if instance.has_pixels and min(instance.rows, instance.columns) > 8 else ()
    seen = InstanceFindings(instance.sop_uid, instance.path, "read", "", 1, 1, (), (), fills)
    lexicons = {series.patient: (private / "lexicons" / f"{series.patient}.json").read_text()}
    staging = folder / "staging"
    (record,) = pipeline.deidentify_series(manifest, [seen], lexicons, policy, SALT, source, staging)
    if record.status is Status.REJECTED:
        return "rejected", record.reason, instance.transfer_syntax_uid
    uids = {row["old_uid"]: row["new_uid"] for row in pipeline.map_uids(manifest, SALT)}
    (verdict,), _ = pipeline.verify_series(manifest, [record], uids, lexicons, policy, source, staging)
    assert record.pixel_data == ("redacted" if fills else record.pixel_data)
    return verdict.status.value, verdict.reason, instance.transfer_syntax_uid


def first_of_alike(paths: Iterable[Path]) -> list[Path]:
    """Return the paths without those of which several before lie in the same folder and are alike."""
    before: Counter[Hashable] = Counter()
    found = []
    for path in paths:
        kind = kind_of(path)
        if before[kind] < SEVERAL:
            found.append(path)
        before[kind] += 1
    return found


def kind_of(path: Path) -> Hashable:
    """Return what slices of a series share that differ in little but numbers and pixels; a file without a series is alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TELLING))
        except (InvalidDicomError, OSError):
            return path  # what pydicom cannot read is like no other
    if not ds.get("SeriesInstanceUID"):
        return path
    return path.parent, ds.file_meta.get("TransferSyntaxUID"), *(str(ds.get(name)) for name in TELLING)


def run_all(paths: list[Path], tmp_path: Path) -> tuple[Counter, set[str]]:
    policy = load_policy("hipaa_safe_harbor").to_json()
    counts: Counter[tuple[str, str]] = Counter()
    edited = set()
    for number, path in enumerate(paths):
        status, reason, syntax = ends(path, tmp_path / str(number), policy)
        counts[status, reason] += 1
        if status == "released":
            edited.add(syntax)
    print(f"\n{len(paths)} files:", dict(sorted(counts.items())))
    return counts, edited


@pytest.mark.workflow
def test_every_file_of_the_wheel_is_released_or_rejected_with_a_reason(wheel_files, tmp_path):
    counts, _ = run_all(wheel_files, tmp_path)
    assert sum(counts.values()) == len(wheel_files)
    assert all(reason for (status, reason), _ in counts.items() if status != "released")
    assert counts["released", ""] > 100


@pytest.mark.workflow
def test_every_kind_of_shared_file_is_released_or_rejected_and_every_codec_can_be_edited(shared_data, tmp_path):
    paths = sorted(path for path in shared_data.rglob("*") if path.is_file() and path.suffix not in (".tsv", ".txt"))
    kinds = first_of_alike(paths)
    counts, edited = run_all(kinds, tmp_path)
    assert sum(counts.values()) == len(kinds)
    assert all(reason for (status, reason), _ in counts.items() if status != "released")
    assert edited >= EDITED
    assert counts["released", ""] > 300
