"""Entry of rule inventory: reads headers, writes manifests, lexicons, index and rejected files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from record_io import progress_file, read_decisions, read_table


def main(
    input_root: Path,
    private: Path,
    salt: Path,
    patients: Path,
    subjects: Path,
    decisions: Path,
    policy: Path,
    settings: Mapping[str, Any],
    threads: int,
) -> None:
    """Scan the input folder; the scan writes `private/inventory.json` last."""
    persons = {  # without an issuer the ID counts whoever issued it
        (row["patient_id"], row["issuer"]) if row["issuer"] else row["patient_id"]: row["person"]
        for row in read_table(patients)
    }
    pipeline.scan_input(
        input_root.resolve(),
        private,
        salt=salt.read_bytes(),
        settings=settings,
        patients=persons,
        decisions=read_decisions(decisions),
        threads=threads,
        progress=progress_file(private / ".scan_progress"),
        policy_json=policy.read_text(encoding="utf-8"),
        subjects=read_table(subjects),
    )


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path("private/input"),
            Path("private"),
            Path(smk.input.salt),
            Path(smk.input.patients),
            Path(smk.input.subjects),
            Path(smk.input.decisions),
            Path(smk.input.policy),
            smk.params.settings,
            smk.threads,
        )
