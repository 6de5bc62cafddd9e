"""What a release holds: the files that may leave the building, each named for its place in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit_stacks import settled_products
from audit_status import FinalStatus, released_instances
from phi_deid_pipeline.records import Status
from record_io import read_jsonl, write_jsonl


def release_contents(
    output: Path, policy: Path, statement: Path, products: Sequence[Path] = ()
) -> tuple[dict[str, Path], dict[str, str], dict[str, Any]]:
    """Return the files of the next release (path in it -> source), known SHA-256 values, and the manifest's facts.

    `products` are lists of what was made of CT stacks, a batch each.
    """
    private, audits = output / "private", output / "audits"
    files, checksums = released_instances(private)
    instances = len(checksums)
    boxes = private / "boxes.jsonl"
    write_jsonl(boxes, _boxes(private), mode=0o600)
    files |= {
        "audits/metadata/metadata_audit.parquet": audits / "metadata" / "metadata_audit.parquet",
        "audits/ct_prepro/ct_prepro_audit.json": audits / "ct_prepro" / "ct_prepro_audit.json",
        "boxes.jsonl": boxes,
        "policy.json": policy,
        "conformance_statement.md": statement,
    }
    for name, (path, sha256) in settled_products(private, products).files.items():
        files[name], checksums[name] = path, sha256
    overview = audits / "figures" / "overview.png"
    if any(path.parent.name == "figures" for path in products):
        files["figures/overview.png"] = overview
    sealed = json.loads((audits / "deid" / "deid_audit.seal.json").read_bytes())
    return files, checksums, {"deid_audit_seal": sealed, "instances": instances}


def _boxes(private: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rectangles that were filled in released instances, sorted by instance; no text."""
    rows = []
    released = {
        (status.batch, status.sop_uid)
        for status in read_jsonl(private / "statuses.jsonl", FinalStatus)
        if status.status is Status.RELEASED
    }
    for batch in sorted({batch for batch, _ in released}):
        for record in read_jsonl(private / "records" / f"{batch}.jsonl"):
            if record["boxes"] and (batch, record["sop_uid"]) in released:
                rows.append({"sop_instance_uid": record["sop_uid"], "boxes": record["boxes"]})
    yield from sorted(rows, key=lambda row: row["sop_instance_uid"])
