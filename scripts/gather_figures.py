"""Entry of rule gather_figures: the figures of what is released, and that of the data set."""

from collections.abc import Sequence
from pathlib import Path

from audit_stacks import ct_prepro_rows, settled_products
from job_log import job
from phi_deid_pipeline import pipeline
from record_io import atomic_write_bytes

FIGURES = "figures/"  # volumes go into the release alone


def main(private: Path, products: Sequence[Path], ct_prepro: Path, overview: Path, target: Path) -> None:
    """Copy the figures that are released to `target`, and draw `overview`."""
    target.mkdir(parents=True, exist_ok=True)

    def place(name: str, path: Path, _: str) -> None:
        if name.startswith(FIGURES):
            atomic_write_bytes(target / name.removeprefix(FIGURES), path.read_bytes())

    settled_products(private, products, place)
    atomic_write_bytes(overview, pipeline.draw_overview(ct_prepro_rows(ct_prepro)))


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path("private"),
            list(map(Path, smk.input.products)),
            Path(smk.input.ct_prepro),
            Path(smk.output.overview),
            Path(smk.output.stacks),
        )
