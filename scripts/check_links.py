"""Entry of rule check_links: references before against after over all batches, and where every instance ends."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from audit_spool import temporary_database
from audit_writers import write_statuses
from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import RejectedFile, Status
from record_io import read_decisions, read_jsonl, write_jsonl


def main(
    private: Path,
    batches: Sequence[str],
    decisions: Path,
    rejected: Path,
    geometry: Path,
    salt: Path,
    links: Path,
    statuses: Path,
) -> None:
    """Write the final status of every instance, then the state of every link."""
    write_statuses(private, batches, read_decisions(decisions), statuses)

    def rows() -> Iterator[dict[str, Any]]:
        return (row for batch in batches for row in read_jsonl(private / "links" / f"{batch}.jsonl"))

    ended = (
        pipeline.Ended(row["study_uid"], row["series_uid"], row["sop_uid"], Status(row["status"]))
        for row in read_jsonl(statuses)
    )
    never = read_jsonl(rejected, RejectedFile)
    with temporary_database(private) as database:
        checked = pipeline.check_links(rows, ended, never, read_jsonl(geometry), salt.read_bytes(), database)
        write_jsonl(links, checked, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path("private"),
            [Path(path).stem for path in smk.input.records],
            *map(Path, (smk.input.decisions, smk.input.rejected, smk.input.geometry, smk.input.salt)),
            *map(Path, (smk.output.links, smk.output.statuses)),
        )
