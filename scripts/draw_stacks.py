"""Entry of rule draw_stacks: a figure of each CT stack of a batch, from de-identified instances."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from stack_batches import Staged, staged, write_products


def main(batch: Staged, marking: Sequence[Staged], settings: Mapping[str, Any], target: Path, products: Path) -> None:
    """Write the figures below `target` and one line about each to `products`."""
    target.mkdir(parents=True, exist_ok=True)
    write_products(pipeline.draw_stacks(batch, marking, settings, target), products)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        (own,) = staged([Path(smk.input.dicom)], [Path(smk.input.records)])
        others = staged(map(Path, smk.input.marking), map(Path, smk.input.marking_records))
        main(own, others, smk.params.settings, Path(smk.output.figures), Path(smk.output.products))
