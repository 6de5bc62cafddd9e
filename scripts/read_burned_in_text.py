"""Entry of rule read_burned_in_text: what stands in the pixels of a batch, read once per picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from job_log import job
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.records import Manifest, Reading
from record_io import from_json, to_json, write_json_if_changed, write_jsonl


def main(manifest: Path, input_root: Path, store: Path, settings: Mapping[str, Any], target: Path) -> None:
    """Write the readings of a batch; `store` keeps each under the key of its pixels and readers."""

    def place(key: str) -> Path:
        return store / key[:2] / f"{key}.json"

    def load(key: str) -> Reading | None:
        return from_json(place(key).read_bytes(), Reading) if place(key).exists() else None

    def keep(key: str, reading: Reading) -> None:
        write_json_if_changed(place(key), to_json(reading), mode=0o600)

    batch = from_json(manifest.read_bytes(), Manifest)
    write_jsonl(target, pipeline.read_burned_in_text(batch, input_root.resolve(), settings, load, keep), mode=0o600)


if __name__ == "__main__":
    with job(snakemake.log[0]):  # noqa: F821
        smk = snakemake  # noqa: F821
        main(
            Path(smk.input.manifest),
            Path("private/input"),
            Path("private/readings"),
            smk.params.settings,
            Path(smk.output[0]),
        )
