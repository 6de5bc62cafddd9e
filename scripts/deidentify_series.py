"""Entry of rule deidentify_series: writes the de-identified instances of a batch to staging."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import InstanceFindings, Manifest, StudySubject, UnknownWord
from record_io import from_json, read_jsonl, write_jsonl


def main(
    manifest: Path,
    findings: Path,
    lexicons: list[Path],
    subjects: Path,
    policy: Path,
    salt: Path,
    faces: Mapping[str, Any],
    input_root: Path,
    staging: Path,
    records: Path,
    words: Path,
    **free_text: Any,
) -> None:
    """Write instances below `staging`, a record for each instance of the manifest, and the words nobody knows."""
    unknown: list[UnknownWord] = []
    staging.mkdir(parents=True, exist_ok=True)
    rows = pipeline.deidentify_series(
        from_json(manifest.read_bytes(), Manifest),
        read_jsonl(findings, InstanceFindings),
        {path.stem: path.read_text(encoding="utf-8") for path in lexicons},
        policy.read_text(encoding="utf-8"),
        salt.read_bytes(),
        input_root.resolve(),
        staging,
        subjects=read_jsonl(subjects, StudySubject),
        faces=faces,
        unknown_words=unknown,
        **free_text,
    )
    write_jsonl(records, rows, mode=0o600)
    write_jsonl(words, unknown, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path(smk.input.manifest),
            Path(smk.input.findings),
            [Path(path) for path in smk.input.lexicons],
            Path(smk.input.subjects),
            Path(smk.input.policy),
            Path(smk.input.salt),
            smk.params.faces,
            Path("private/input"),
            Path(smk.output.dicom),
            Path(smk.output.records),
            Path(smk.output.words),
            languages=smk.params.languages,
            accepted_words=Path(smk.input.accepted_words).read_text(encoding="utf-8"),
        )
