"""Entry of rule prune_withdrawn: drops what belongs to batches and pictures that are gone."""

import json
from collections.abc import Sequence
from pathlib import Path

from job_log import job
from phi_deid_pipeline import pipeline
from record_io import atomic_write_bytes, remove_stale_temporaries


def main(output: Path, batches: Sequence[str], target: Path, *, pictures: bool = True) -> None:
    """Delete outputs of withdrawn batches, readings that no batch refers to and what killed jobs left; count them."""
    counts = pipeline.prune_withdrawn(output, set(batches), pictures=pictures)
    private = output / "private"
    folders = [path for path in (*private.glob("*"), *(private / "readings").glob("*")) if path.is_dir()]
    own = [private, *(path for path in folders if not path.is_symlink())]  # private/input leads to the input
    counts["temporaries"] = sum(map(remove_stale_temporaries, own))
    atomic_write_bytes(target, json.dumps(counts, sort_keys=True).encode() + b"\n", mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        read = [Path(path).stem for path in smk.input.read]
        main(Path(), read, Path(smk.output[0]), pictures=smk.params.pictures)
