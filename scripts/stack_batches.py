"""What the entries share that make pictures or volumes of the CT stacks of a batch."""

import logging
from collections.abc import Iterable
from pathlib import Path

from phi_deid_pipeline.records import DeidRecord, StackProduct
from record_io import read_jsonl, write_jsonl

Staged = tuple[Path, list[DeidRecord]]  # the staging of a batch and what it says of it


def staged(places: Iterable[Path], records: Iterable[Path]) -> list[Staged]:
    """Return batches in staging with their records."""
    return [(place, list(read_jsonl(path, DeidRecord))) for place, path in zip(places, records, strict=True)]


def write_products(made: Iterable[StackProduct], target: Path) -> None:
    """Write a line about each product, as they are made."""
    listed = list(made)
    write_jsonl(target, listed)
    logging.info("%d products, %d of them not to be released", len(listed), sum(bool(one.problems) for one in listed))
