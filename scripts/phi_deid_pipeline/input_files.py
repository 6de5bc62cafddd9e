"""Walk an input folder and say of each file what it is: a usable instance with its identity, or why not."""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from phi_deid_pipeline.dicom_utils import file_checksum
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.input_facts import header_facts
from phi_deid_pipeline.photographs import PHOTOGRAPHS_FILE
from phi_deid_pipeline.raw_elements import buffer_checksum, read_instance
from phi_deid_pipeline.recognizable import WORDS_FILE
from phi_deid_pipeline.records import RejectReason

_FILES_WORTH_A_POOL = 64

_MAGIC = (
    (0, b"PK\x03\x04"),
    (0, b"PK\x05\x06"),
    (0, b"PK\x07\x08"),
    (0, b"\x1f\x8b"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ\x00"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x28\xb5\x2f\xfd"),
    (257, b"ustar"),
    (0x8001, b"CD001"),
)
_NOT_DICOM = frozenset({RejectReason.EMPTY, RejectReason.NOT_DICOM, RejectReason.ARCHIVE, RejectReason.UNREADABLE_FILE})


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as the walk found it; `reason` is set where it must not be read. `path` is relative, in bytes."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file holds, as far as the file alone can tell. `uids` and `entries` are JSON, ready to be kept."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str = ""
    reason: str = ""
    detail: str = ""
    is_dicom: bool = False
    patient_id: str = ""
    issuer: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    modality: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 0
    has_pixels: bool = False
    hold: str = ""
    head: bool = False  # a CT or MR slice whose header names the head
    slice_mm: float = 0.0  # distance or thickness of its slices, 0: unknown
    created: str = ""  # Instance Creation Date and Time
    uids: str = "[]"  # rows of UidUse
    entries: str = "[]"  # rows of lexicon entries


def source_digest(*names: str) -> str:
    """Return a digest of modules of this package as they are written: what they gave before is then made anew."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


# What a file's facts depend on beside its bytes: another reader reads all files again.
_READING = (
    "dicom_utils",
    "input_facts",
    "input_files",
    "lexicon_harvest",
    "lexicon_words",
    "photographs",
    "raw_elements",
    "recognizable",
    "uid_mapping",
    "written_dates",
)
_TABLES = hashlib.sha256(WORDS_FILE.read_bytes() + PHOTOGRAPHS_FILE.read_bytes())
READER = f"{source_digest(*_READING)}/{_TABLES.hexdigest()[:8]}/{version('pydicom')}"

# --------------------------------------------------------------------------- walk


def walk(root: Path) -> Iterator[FoundFile]:
    """Yield every file below the root, folders in sorted order.

    Links to files inside the root count as files, links to folders inside are not entered (their content is met at its
    own place, so there are no loops); whatever leads outside is reported as OUTSIDE_INPUT.
    """
    top = os.fsencode(os.path.realpath(root))
    pending = [b""]
    while pending:
        folder = pending.pop()
        folders: list[bytes] = []
        try:
            with os.scandir(top + b"/" + folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield _problem(folder or b".", RejectReason.UNREADABLE_FILE, f"folder, errno {error.errno}")
            continue
        for entry in found:
            path = folder + b"/" + entry.name if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif (file := _look_at(entry, path, top)) is not None:
                yield file
        pending.extend(reversed(folders))


def _look_at(entry: os.DirEntry[bytes], path: bytes, top: bytes) -> FoundFile | None:
    try:
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if not (target + b"/").startswith(top.rstrip(b"/") + b"/"):
                return _problem(path, RejectReason.OUTSIDE_INPUT)
        status = entry.stat()
    except OSError as error:
        return _problem(path, RejectReason.UNREADABLE_FILE, f"errno {error.errno}")
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return _problem(path, RejectReason.UNREADABLE_FILE, "no regular file")
    return FoundFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _problem(path: bytes, reason: RejectReason, detail: str = "") -> FoundFile:
    return FoundFile(path, 0, 0, 0, reason.value, detail)


# --------------------------------------------------------------------------- read


def read_file(root: Path, path: bytes, max_depth: int) -> FileFacts:
    """Read one file: SHA-256 and header together, pixel data only hashed. Never raises for what the file holds."""
    full = root / os.fsdecode(path)
    facts: dict[str, object] = {}
    before = (0, 0, 0)
    try:
        before = _identity(full)
        facts = _facts(full, max_depth)
        if _identity(full) != before:
            facts = {"reason": RejectReason.CHANGED_WHILE_READ.value, "is_dicom": facts.get("is_dicom", False)}
    except OSError as error:
        facts = {"reason": RejectReason.UNREADABLE_FILE.value, "detail": f"errno {error.errno}"}
    size, mtime_ns, ctime_ns = before
    return FileFacts(path, size, mtime_ns, ctime_ns, **facts)  # type: ignore[arg-type]


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _facts(path: Path, max_depth: int) -> dict[str, object]:
    if _is_archive(path):
        return {"reason": RejectReason.ARCHIVE.value, "sha256": file_checksum(path)}
    try:
        with read_instance(path, max_depth=max_depth) as instance:
            checksum = file_checksum(path) if instance.deflated else buffer_checksum(instance.buffer)
            return {"sha256": checksum, **header_facts(instance)}
    except UnreadableInstance as error:
        readable = error.reason not in (RejectReason.EMPTY, RejectReason.UNREADABLE_FILE)
        return {
            "reason": error.reason.value,
            "detail": error.detail,
            "is_dicom": error.reason not in _NOT_DICOM,
            "sha256": file_checksum(path) if readable else "",
        }


def _is_archive(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(264)
        if head[128:132] == b"DICM":
            return False
        stream.seek(0x8001)
        volume = stream.read(5)
    return any(
        (volume if offset == 0x8001 else head[offset : offset + len(magic)]) == magic for offset, magic in _MAGIC
    )


# --------------------------------------------------------------------------- parallel reading


def _read_files(root: Path, paths: list[bytes], max_depth: int) -> list[FileFacts]:
    return [read_file(root, path, max_depth) for path in paths]


def read_files(
    root: Path, tasks: Iterator[list[bytes]], max_depth: int, threads: int, total: int
) -> Iterator[list[FileFacts]]:
    """Yield what the files hold, task by task in any order; processes share the work if it is worth their start.

    `total` is the number of files in all tasks. A file that kills its reader costs that file, not the scan.
    """
    if threads < 2 or total < _FILES_WORTH_A_POOL:
        for paths in tasks:
            yield _read_files(root, paths, max_depth)
        return
    lost: list[list[bytes]] = []
    while True:
        try:
            yield from _read_in_pool(root, tasks, max_depth, threads, lost)
            return
        except BrokenProcessPool:
            while lost:
                yield [_read_apart(root, path, max_depth) for path in lost.pop()]


def _read_in_pool(
    root: Path, tasks: Iterator[list[bytes]], max_depth: int, threads: int, lost: list[list[bytes]]
) -> Iterator[list[FileFacts]]:
    """Read tasks in processes; when one dies, `lost` holds the tasks that have no answer."""
    running: dict[Future[list[FileFacts]], list[bytes]] = {}
    with ProcessPoolExecutor(threads, mp_context=get_context("fork")) as pool:
        while True:
            for paths in itertools.islice(tasks, 4 * threads - len(running)):
                try:
                    running[pool.submit(_read_files, root, paths, max_depth)] = paths
                except BrokenProcessPool:
                    lost.extend([*running.values(), paths])
                    raise
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                if isinstance(future.exception(), BrokenProcessPool):
                    lost.extend(running.values())
                    raise BrokenProcessPool
                yield future.result()
                del running[future]


def _read_apart(root: Path, path: bytes, max_depth: int) -> FileFacts:
    """Read one file in a process of its own; a file that kills its reader (it shrank, its disk fails) is unreadable."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        try:
            return pool.submit(_read_files, root, [path], max_depth).result()[0]
        except BrokenProcessPool:
            return FileFacts(path, -1, 0, 0, "", RejectReason.UNREADABLE_FILE.value, "its reader died")
