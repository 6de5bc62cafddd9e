"""Entry of rule deidentify_series: writes the de-identified instances of a batch to staging."""

import json
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
    input_root: Path,
    staging: Path,
    records: Path,
    words: Path,
    shared: list[Path],
    **settings: Any,
) -> None:
    """Write instances below `staging`, records, and words nobody knows; `shared` are boxes of groups, if there are any."""
    pipeline.collect_rarely()
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
        unknown_words=(unknown := list[UnknownWord]()),
        shared=next((json.loads(path.read_bytes()) for path in shared), None),
        **settings,
    )
    write_jsonl(records, rows, mode=0o600)
    write_jsonl(words, unknown, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            *map(Path, (smk.input.manifest, smk.input.findings)),
            list(map(Path, smk.input.lexicons)),
            *map(Path, (smk.input.subjects, smk.input.policy, smk.input.salt)),
            Path("private/input"),
            *map(Path, (smk.output.dicom, smk.output.records, smk.output.words)),
            list(map(Path, smk.input.shared)),
            accepted_words=Path(smk.input.accepted_words).read_text(encoding="utf-8"),
            **smk.params.settings,
        )
