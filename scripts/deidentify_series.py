"""Entry of rule deidentify_series: writes the de-identified instances of a batch to staging."""

import json
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import InstanceFindings, Manifest
from record_io import from_json, read_jsonl, write_jsonl


def main(
    manifest: Path,
    findings: Path,
    lexicons: list[Path],
    policy: Path,
    salt: Path,
    input_root: Path,
    staging: Path,
    records: Path,
    shared: Path | None,
    settings: dict[str, Any],
) -> None:
    """Write instances below `staging` and one record for each instance of the manifest.

    `settings` are keyword arguments of the step; `shared` holds the boxes of groups, None without groups.
    """
    staging.mkdir(parents=True, exist_ok=True)
    rows = pipeline.deidentify_series(
        from_json(manifest.read_bytes(), Manifest),
        read_jsonl(findings, InstanceFindings),
        {path.stem: path.read_text(encoding="utf-8") for path in lexicons},
        policy.read_text(encoding="utf-8"),
        salt.read_bytes(),
        input_root.resolve(),
        staging,
        shared=json.loads(shared.read_bytes()) if shared else None,
        **settings,
    )
    write_jsonl(records, rows, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path(smk.input.manifest),
            Path(smk.input.findings),
            [Path(path) for path in smk.input.lexicons],
            Path(smk.input.policy),
            Path(smk.input.salt),
            Path("private/input"),
            Path(smk.output.dicom),
            Path(smk.output.records),
            Path(smk.input.shared) if smk.input.get("shared") else None,
            dict(smk.params.settings),
        )
