"""De-identify a folder of DICOM instances and prove it with four audits."""

from pathlib import Path

from snakemake.utils import min_version, validate

min_version("9.0")


configfile: Path(workflow.basedir) / "config" / "config.yaml"


if Path("private/config.yaml").exists():

    configfile: "private/config.yaml"


validate(config, Path(workflow.basedir) / "workflow" / "schemas" / "config.schema.yaml")


container: config["container"]


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inventory.smk"
include: "workflow/rules/pixels.smk"
include: "workflow/rules/deidentify.smk"
include: "workflow/rules/geometry.smk"
include: "workflow/rules/audits.smk"
include: "workflow/rules/pictures.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        "private/release.json",
        "private/pruned.json",
        per_batch("private/uid_map/{batch}.parquet"),
        per_batch("private/read/{batch}.jsonl"),
        per_batch("private/findings/{batch}.jsonl"),
        per_batch("private/staging/{batch}"),
        per_batch("private/records/{batch}.jsonl"),
        per_batch("private/words/{batch}.jsonl"),
        per_batch("private/verification/{batch}.jsonl"),
        per_batch("private/links/{batch}.jsonl"),
        per_batch("private/metadata/{batch}.jsonl"),
        per_batch("private/geometry/{batch}.jsonl"),
        PICTURE_PAGES,
        AUDITS,
    log:
        "logs/all.log",
