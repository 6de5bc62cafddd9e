"""Entry of rule assemble_audits: the four audits, their seals and the summary, and the queue of unknown words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit_writers import AuditInfo, assemble_audits
from job_log import job
from phi_deid_pipeline import pipeline
from review_words import write_unknown_words


def main(
    output: Path,
    batches: Sequence[str],
    policy: Path,
    salt: Path,
    script_version: str,
    geometry_settings: Mapping[str, Any],
    products: Sequence[Path] = (),
) -> None:
    """Write everything below `output/audits`, and the queue of words to review; `products` as in `release`."""
    resolved = pipeline.read_policy(policy.read_text(encoding="utf-8"))
    info = AuditInfo(resolved.name, resolved.digest, script_version, salt.read_bytes())
    columns = pipeline.metadata_columns()
    assemble_audits(
        output, batches, info, metadata_columns=columns, geometry_settings=geometry_settings, products=products
    )
    write_unknown_words(output, batches)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path(),
            [Path(path).stem for path in smk.input.records],
            Path(smk.input.policy),
            Path(smk.input.salt),
            pipeline.script_version(smk.params.pipeline_code),
            smk.params.settings,
            list(map(Path, (*smk.input.drawn, *smk.input.resampled))),
        )
