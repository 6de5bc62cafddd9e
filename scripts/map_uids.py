"""Entry of rule map_uids: the UID map of a batch."""

from pathlib import Path

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import Manifest
from record_io import from_json, write_jsonl


def main(manifest: Path, salt: Path, uid_map: Path) -> None:
    """Write old and new UIDs of a batch, with role, parent and number of references."""
    rows = pipeline.map_uids(from_json(manifest.read_bytes(), Manifest), salt.read_bytes())
    write_jsonl(uid_map, rows, mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(Path(smk.input.manifest), Path(smk.input.salt), Path(smk.output[0]))
