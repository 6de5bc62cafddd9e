import sys
import uuid
from functools import lru_cache

sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from code_digest import files_digest, remembered_digests, resources_digest

code_digest = remembered_digests(Path(".snakemake") / "code_digests.json")

# The scan runs in every run: its parameter changes. The front door hands one id to its two calls of Snakemake.
RUN_ID = config.get("run_id") or (
    uuid.uuid4().hex if workflow.is_main_process else "job"
)

# What is read, decoded and encoded depends on the locked versions of the libraries too.
ENVIRONMENT = files_digest(
    "envs", "requirements.lock", "models.lock"
) + resources_digest("resources/dictionary")

AUDITS = [
    "audits/deid/deid_audit.jsonl",
    "audits/uid/uid_map.parquet",
    "audits/uid/links.parquet",
    "audits/metadata/metadata_audit.parquet",
    "audits/ct_prepro/ct_prepro_audit.json",
]

# What decides what is read; the other keys of `ocr` read no picture again.
READER_SETTINGS = {
    key: value
    for key, value in config["ocr"].items()
    if key not in ("group_by", "reread_share")
}
PICTURE_PAGES = (
    [
        "private/reports/burned_in_text.html",
        "private/reports/burned_in_text.pdf",
        "private/reports/released.html",
        "private/reports/released.pdf",
    ]
    if config["reports"]["pictures"]
    else []
)
SHARED_BOXES = (
    [] if config["ocr"]["group_by"] == "series" else ["private/shared_boxes.json"]
)

# What decides how stacks are measured; the other keys of `geometry` say what is made of them.
GEOMETRY_SETTINGS = {
    key: value
    for key, value in config["geometry"].items()
    if key not in ("pictures", "resample", "format")
}
FIGURES = config["geometry"]["pictures"]
VOLUMES = config["geometry"]["resample"]


wildcard_constraints:
    batch=r"b\d+",


def read_index():
    """Rows of private/index.tsv as {batch: row}; the checkpoint has to be done."""
    checkpoints.inventory.get()
    return scanned_index()


def scanned_index():
    """The same for what is asked only of batches that are there: a cluster job knows of no checkpoint."""
    return parse_index(Path("private/index.tsv").stat().st_mtime_ns)


@lru_cache(maxsize=1)
def parse_index(_mtime):
    """The index as it is at that time: a plan of many batches asks for it many times."""
    lines = Path("private/index.tsv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    rows = (dict(zip(names, line.split("\t"))) for line in lines[1:])
    return {row["batch"]: row for row in rows}


def after_scan(path):
    """Input function: a side file of the scan, which is there once the checkpoint is done."""

    def place(wildcards):
        checkpoints.inventory.get()
        return path

    return place


def per_batch(pattern):
    """Input function: the pattern for every batch that has work."""
    return lambda wildcards: [pattern.format(batch=batch) for batch in read_index()]


def lexicons_of_batch(wildcards):
    """Lexicons of the patients of a batch."""
    patients = read_index()[wildcards.batch]["patients"].split(",")
    return [f"private/lexicons/{patient}.json" for patient in patients]


def marking(pattern):
    """Input function: the pattern for every batch whose SEG and RTSTRUCT name series of this one."""

    def places(wildcards):
        others = read_index()[wildcards.batch]["marked_by"]
        return [pattern.format(batch=batch) for batch in others.split(",") if batch]

    return places


def memory_of_batch(base, per_work, limit=16000):
    """Resource function in MB: a base, and a part that grows with the batch's work and with the attempt."""
    return lambda wildcards, attempt: attempt * min(
        limit, int(base + per_work * float(scanned_index()[wildcards.batch]["work"]))
    )


def minutes_of_batch(base, per_work):
    """Resource function in minutes."""
    return lambda wildcards, attempt: attempt * int(
        base + per_work * float(scanned_index()[wildcards.batch]["work"])
    )


def memory_of_all(base, per_thousand):
    """Resource function in MB of a rule over all batches, by thousands of instances and the attempt."""
    return lambda wildcards, attempt: attempt * int(base + per_thousand * thousands())


def minutes_of_all(base, per_thousand):
    """Resource function in minutes."""
    return lambda wildcards, attempt: attempt * int(base + per_thousand * thousands())


def thousands():
    """Thousands of instances in all batches, 0 before the first scan."""
    if not Path("private/index.tsv").exists():
        return 0
    return sum(int(row["instances"]) for row in scanned_index().values()) / 1000
