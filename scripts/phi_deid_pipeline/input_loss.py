"""A file of the input that cannot be read any more after the scan: its own trouble, or that of the whole input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.records import RejectReason

_MOST_LOOKED_AT = 256  # neighbours of which one has to be readable


def input_lost(path: Path, root: Path) -> UnreadableInstance:
    """Return the rejection, CHANGED_WHILE_READ, of an instance whose file below `root` was readable at the scan.

    Raises DeidError where the trouble may be that of the whole input, such as a mount that is gone: the folder of the file
    (or, where that is gone too, the nearest above) lists nothing, or no other file of the input can be read. Then nothing
    must be taken for withdrawn.
    """
    if _stands(path, root):
        return UnreadableInstance(RejectReason.CHANGED_WHILE_READ)
    raise DeidError("Input files cannot be read any more: look at the input folder and its disk, run again.") from None


def _stands(path: Path, root: Path) -> bool:
    """Tell whether the input stands beside a lost file: its folder lists something, and a neighbour can be read."""
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    try:
        nearest = next((number for number, folder in enumerate(folders) if folder.is_dir()), None)
        if nearest is None or not any(os.scandir(folders[nearest])):
            return False
    except OSError:
        return False  # the whole folder cannot be read
    looked_at = 0
    for folder in folders[nearest:]:
        for neighbour in _files(folder):
            if neighbour != path and _is_readable(neighbour):
                return True
            looked_at += 1
            if looked_at >= _MOST_LOOKED_AT:
                return False
    return False


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return bool(stream.read(1))
    except OSError:
        return False
