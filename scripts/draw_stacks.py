"""Entry of rule draw_stacks: a figure of each CT stack of a batch, from de-identified instances."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import DeidRecord
from record_io import read_jsonl, write_jsonl


def main(
    staging: Path,
    records: Path,
    marking: Sequence[tuple[Path, Path]],
    settings: Mapping[str, Any],
    target: Path,
    products: Path,
) -> None:
    """Write the figures below `target` and one line about each to `products`."""
    others = [(place, read_jsonl(path, DeidRecord)) for place, path in marking]
    batch = (staging, read_jsonl(records, DeidRecord))
    target.mkdir(parents=True, exist_ok=True)
    made = list(pipeline.draw_stacks(batch, others, settings, target))
    write_jsonl(products, made)
    logging.info("%d pictures, %d of them not to be released", len(made), sum(bool(one.problems) for one in made))


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path(smk.input.dicom),
            Path(smk.input.records),
            list(zip(map(Path, smk.input.marking), map(Path, smk.input.marking_records), strict=True)),
            smk.params.settings,
            Path(smk.output.figures),
            Path(smk.output.products),
        )
