"""Entry of rule judge_burned_in_text: which text identifies, and what is hidden."""

from pathlib import Path

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import Decision, InstanceReading, Manifest
from record_io import from_json, read_jsonl, write_jsonl


def main(
    manifest: Path,
    read: Path,
    lexicons: list[Path],
    policy: Path,
    decisions: Path,
    salt: Path,
    target: Path,
    allow_list: list[str],
    group_by: str,
    input_root: Path,
) -> None:
    """Write the findings of a batch."""
    findings = pipeline.judge_burned_in_text(
        from_json(manifest.read_bytes(), Manifest),
        read_jsonl(read, InstanceReading),
        {path.stem: path.read_text(encoding="utf-8") for path in lexicons},
        policy.read_text(encoding="utf-8"),
        list(read_jsonl(decisions, Decision)),
        salt.read_bytes(),
        allow_list,
        group_by,
        input_root.resolve(),
    )
    write_jsonl(target, findings, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path(smk.input.manifest),
            Path(smk.input.read),
            [Path(path) for path in smk.input.lexicons],
            Path(smk.input.policy),
            Path(smk.input.decisions),
            Path(smk.input.salt),
            Path(smk.output[0]),
            list(smk.params.allow_list),
            smk.params.group_by,
            Path("private/input"),
        )
