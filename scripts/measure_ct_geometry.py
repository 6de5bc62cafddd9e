"""Entry of rule measure_ct_geometry: geometry and resampling advice of the CT series of a batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import DeidRecord
from record_io import read_jsonl, write_jsonl


def main(staging: Path, records: Path, settings: Mapping[str, Any], target: Path) -> None:
    """Write a row for each CT series of the batch."""
    write_jsonl(target, pipeline.measure_ct_geometry(staging, read_jsonl(records, DeidRecord), settings))


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(Path(smk.input.dicom), Path(smk.input.records), smk.params.settings, Path(smk.output[0]))
