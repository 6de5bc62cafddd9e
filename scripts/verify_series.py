"""Entry of rule verify_series: independent checks over the written bytes of a batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import DeidRecord, Manifest, StudySubject
from record_io import from_json, read_jsonl, write_jsonl


def main(
    manifest: Path,
    uid_map: Path,
    lexicons: list[Path],
    subjects: Path,
    policy: Path,
    input_root: Path,
    staging: Path,
    records: Path,
    verification: Path,
    links: Path,
    settings: Mapping[str, Any],
) -> None:
    """Write the verdict on each written instance, and its links."""
    pipeline.collect_rarely()
    verdicts, edges = pipeline.verify_series(
        from_json(manifest.read_bytes(), Manifest),
        list(read_jsonl(records, DeidRecord)),
        {row["old_uid"]: row["new_uid"] for row in read_jsonl(uid_map)},
        {path.stem: path.read_text(encoding="utf-8") for path in lexicons},
        policy.read_text(encoding="utf-8"),
        input_root.resolve(),
        staging,
        subjects=read_jsonl(subjects, StudySubject),
        settings=settings,
    )
    write_jsonl(links, edges, mode=0o600)
    write_jsonl(verification, verdicts, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path(smk.input.manifest),
            Path(smk.input.uid_map),
            [Path(path) for path in smk.input.lexicons],
            Path(smk.input.subjects),
            Path(smk.input.policy),
            Path("private/input"),
            Path(smk.input.dicom),
            Path(smk.input.records),
            Path(smk.output.verification),
            Path(smk.output.links),
            smk.params.settings,
        )
