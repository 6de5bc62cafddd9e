"""Options of `main.py run` and `main.py prepare`."""

from __future__ import annotations

import argparse
from pathlib import Path


def run_options(sub: argparse.ArgumentParser, *, storage: bool) -> None:
    """Add what says what is de-identified, by which rules, to where; `storage` where the input may be a bucket."""
    sub.add_argument(
        "--input",
        required=True,
        metavar="DIR",
        help=f"folder with DICOM instances{', or s3://BUCKET/PREFIX' if storage else ''}; never modified",
    )
    sub.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for private/, audits/, releases/"
    )
    sub.add_argument(
        "--policy", metavar="NAME|FILE", help="policy of config/policies/, or a file (default: hipaa_safe_harbor)"
    )
    sub.add_argument(
        "--salt-file", type=Path, metavar="FILE", help="the project's salt; without it one is made and kept"
    )
    sub.add_argument("--new-salt", action="store_true", help="let another salt replace the one of this output")
    sub.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a config key, e.g. ocr.max_rounds=2"
    )
    sub.add_argument("--configfile", type=Path, metavar="FILE", help="YAML file with config keys")
    sub.add_argument(
        "--decisions",
        type=Path,
        metavar="FILE",
        help="CSV of what, verdict, who, when, why; kept until another is given",
    )
    sub.add_argument(
        "--patients", type=Path, metavar="FILE", help="CSV of patient_id, issuer, person that joins IDs; kept likewise"
    )
    sub.add_argument(
        "--subjects",
        type=Path,
        metavar="FILE",
        help="CSV of patient_id, pseudonym and more for policies that name patients by a table; kept likewise",
    )


def run_only_options(run: argparse.ArgumentParser) -> None:
    """Add what a run takes beside what `prepare` takes: who does the work where, and object storage."""
    run.add_argument(
        "--cores",
        type=positive,
        metavar="N",
        help="cores (default: all; on a cluster as many as the profile's jobs ask for)",
    )
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="scan the input into private/, name the batches that have work, stop; no result, no release changes",
    )
    run.add_argument(
        "--profile", default="default", metavar="NAME", help="folder in workflow/profiles/ (default: default)"
    )
    run.add_argument(
        "--sdm",
        choices=("apptainer", "conda"),
        help="run the steps in the image that config key container names, or in a conda environment",
    )
    for name, what in (("publish", "each release"), ("archive", "audits and private files, but for the salt,")):
        run.add_argument(f"--{name}", metavar="S3", help=f"write {what} below s3://BUCKET/PREFIX too")
    run.add_argument(
        "--path-style",
        action="store_true",
        help="name the bucket in the path, whatever the AWS config file says (without it: where AWS_ENDPOINT_URL is set)",
    )


def positive(text: str) -> int:
    """Return a number of at least 1; raises ArgumentTypeError."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
