"""Entry of rule extract_metadata: header metadata of the de-identified instances of a batch."""

from pathlib import Path

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import DeidRecord
from record_io import read_jsonl, write_jsonl


def main(staging: Path, records: Path, target: Path) -> None:
    """Write a row for each instance that was written to staging."""
    write_jsonl(target, pipeline.extract_metadata(staging, read_jsonl(records, DeidRecord)))


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(Path(smk.input.dicom), Path(smk.input.records), Path(smk.output[0]))
