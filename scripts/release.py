"""Entry of rule release: the next numbered release, from what passed verification."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from audit_release import release_contents
from job_log import job
from phi_deid_pipeline import pipeline
from record_io import atomic_write_bytes, write_json_if_changed


def main(output: Path, policy: Path, salt: Path, code: str, target: Path, products: Sequence[Path] = ()) -> None:
    """Build the release where something changed; `target` names the newest one.

    `products` are lists of what was made of CT stacks. Where no pictures are asked for, those of earlier runs go.
    """
    if not any(path.parent.name == "figures" for path in products):
        shutil.rmtree(output / "audits" / "figures", ignore_errors=True)
    resolved = pipeline.read_policy(policy.read_text(encoding="utf-8"))
    statement = output / "private" / "conformance_statement.md"
    write_json_if_changed(statement, pipeline.conformance_statement(resolved, salt.read_bytes()))
    with release_contents(output, policy, statement, products) as (files, info):
        info |= {
            "policy": resolved.name,
            "policy_digest": resolved.digest,
            "script_version": pipeline.script_version(code),
        }
        pipeline.build_release(output, files, info, salt.read_bytes())
    newest = (output / "release").readlink().name
    atomic_write_bytes(target, json.dumps({"release": newest}).encode() + b"\n", mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        made = list(map(Path, (*smk.input.drawn, *smk.input.resampled)))
        main(Path(), Path(smk.input.policy), Path(smk.input.salt), smk.params.pipeline_code, Path(smk.output[0]), made)
