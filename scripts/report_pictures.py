"""Entry of rule report_pictures: pages, PDFs and contact sheets of all batches, for the eye of who may see the source."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import SeriesPictures
from record_io import atomic_file, from_json, read_jsonl, write_json_if_changed


def main(private: Path, batches: Sequence[str], counts: Path) -> None:
    """Write everything into `private/reports/`; `counts` gets numbers alone."""
    reports, pictures = private / "reports", private / "pictures"
    (reports / "pages").mkdir(parents=True, exist_ok=True)

    def line(batch: str, number: int) -> SeriesPictures:
        with (pictures / batch / "series.jsonl").open("rb") as lines:
            return from_json(next(islice(lines, number, None)), SeriesPictures)

    totals = pipeline.report_pictures(
        batches,
        lambda batch: read_jsonl(pictures / batch / "series.jsonl", SeriesPictures),
        line,
        read_jsonl(private / "statuses.jsonl"),
        lambda batch, name: (pictures / batch / name).read_bytes(),
        lambda name: atomic_file(reports / name, 0o600),
    )
    write_json_if_changed(counts, json.dumps(totals, indent=1, sort_keys=True), 0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(Path("private"), [Path(path).parent.name for path in smk.input.pictures], Path(smk.output.counts))
