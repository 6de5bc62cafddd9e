"""Entry of rule check_link_geometry: whether contours and segments lie on the slices that they name."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from audit_spool import temporary_database
from job_log import job
from phi_deid_pipeline import pipeline
from record_io import read_jsonl, write_jsonl


def main(private: Path, batches: Sequence[str], target: Path) -> None:
    """Write a verdict for each pair of linked instances whose geometry can be compared."""

    def rows(folder: str) -> Iterator[dict[str, Any]]:
        return (row for batch in batches for row in read_jsonl(private / folder / f"{batch}.jsonl"))

    records = ((batch, row) for batch in batches for row in read_jsonl(private / "records" / f"{batch}.jsonl"))
    with temporary_database(private) as database:
        found = pipeline.check_link_geometry(records, rows("metadata"), rows("links"), private / "staging", database)
        write_jsonl(target, found, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(Path("private"), [Path(path).stem for path in smk.input.records], Path(smk.output[0]))
