"""Entry of rule remake_stacks: geometry, figures and volumes anew where a part of what they were made of is withheld."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit_stacks import released_marks, released_records, remaking
from job_log import job
from phi_deid_pipeline import pipeline
from record_io import write_jsonl


def main(
    private: Path, products: Sequence[Path], settings: Mapping[str, Any], figures: bool, kind: str, target: Path
) -> None:
    """Write `geometry.jsonl`, pictures with `figures.jsonl` and volumes with `volumes.jsonl` below `target`.

    `products` are lists of what was made, a batch each; without `kind`, nii.gz or nrrd, no volumes are made.
    """
    geometry, drawn, volumes = [], [], []
    works = list(remaking(private, products))
    marking = released_marks(private, products, {key for work in works for key in work.redrawn})
    for name in ("figures", "volumes"):
        (target / name).mkdir(parents=True, exist_ok=True)
    for work in works:
        staging = private / "staging" / work.batch
        lacking = released_records(private, work, work.withheld)
        geometry += pipeline.measure_ct_geometry(staging, lacking, settings, work.withheld)
        if figures:
            records = released_records(private, work, work.redrawn)
            drawn += pipeline.draw_stacks((staging, records), marking, settings, target / "figures")
        if kind:
            volumes += pipeline.resample_stacks((staging, lacking), marking, settings, kind, target / "volumes")
    write_jsonl(target / "geometry.jsonl", geometry)
    write_jsonl(target / "figures.jsonl", drawn)
    write_jsonl(target / "volumes.jsonl", volumes)
    logging.info("anew: %d series measured, %d pictures, %d volumes", len(geometry), len(drawn), len(volumes))


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path("private"),
            list(map(Path, (*smk.input.drawn, *smk.input.resampled))),
            smk.params.settings,
            smk.params.figures,
            smk.params.kind,
            Path(smk.output.geometry).parent,
        )
