"""Entry of rule draw_pictures: pictures of the burned-in text of a batch, and thumbnails of what was written."""

from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import DeidRecord, InstanceFindings, InstanceReading, Manifest
from record_io import atomic_write_bytes, from_json, read_jsonl, write_jsonl


def main(
    manifest: Path,
    read: Path,
    findings: Path,
    records: Path,
    staging: Path,
    input_root: Path,
    settings: dict[str, Any],
    lines: Path,
) -> None:
    """Write JPEGs named by their content beside `lines`, which is written last and tells by series what they show.

    A run that was killed on the way leaves pictures without lines: they are made anew.
    """
    target = lines.parent
    target.mkdir(parents=True, exist_ok=True)
    for left in sorted(target.iterdir()):
        left.unlink()
    rows = pipeline.draw_pictures(
        from_json(manifest.read_bytes(), Manifest),
        read_jsonl(read, InstanceReading),
        read_jsonl(findings, InstanceFindings),
        read_jsonl(records, DeidRecord),
        input_root.resolve(),
        staging,
        settings,
        lambda name, data: atomic_write_bytes(target / name, data, 0o600),
    )
    write_jsonl(lines, rows, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            *map(Path, (smk.input.manifest, smk.input.read, smk.input.findings, smk.input.records, smk.input.dicom)),
            Path("private/input"),
            smk.params.settings,
            Path(smk.output[0]),
        )
