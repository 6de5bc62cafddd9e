"""Entry of rule gather_boxes: the boxes that the instances of a group share, over all batches."""

import json
from itertools import chain
from pathlib import Path

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import InstanceFindings
from record_io import read_jsonl, write_json_if_changed


def main(findings: list[Path], target: Path) -> None:
    """Write the boxes by group."""
    rows = chain.from_iterable(read_jsonl(path, InstanceFindings) for path in findings)
    write_json_if_changed(target, json.dumps(pipeline.gather_boxes(rows), indent=1, sort_keys=True), 0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main([Path(path) for path in smk.input.findings], Path(smk.output[0]))
