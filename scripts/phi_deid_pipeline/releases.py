"""Releases: numbered folders that never change again, each with a manifest of what it holds and what it follows.

A release is built under a hidden name, its manifest written last, and renamed; then the link `release` moves to it in
one rename. An interrupted build leaves nothing but a hidden folder, which the next one removes. Files are taken, and read
from manifests, one by one: a release of millions needs no more memory than a small one, but for the series that change.
"""

from __future__ import annotations

import errno
import hashlib
import heapq
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from phi_deid_pipeline.errors import AuditContractError, DeidError
from phi_deid_pipeline.seal import canonical, file_sha256, seal_errors, signed
from phi_deid_pipeline.uid_mapping import salt_id

MANIFEST = "manifest.json"
SCHEMA = "release_manifest/2"
READABLE = frozenset({"release_manifest/1", SCHEMA})  # the first one names what changed by Series Instance UID alone
_NUMBER = re.compile(r"\d{4,}")
_BUILDING = ".building-"
_FILES_START, _FILES_END = b'"files": {\n', b"}\n"
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS})
_PIECE = 1 << 20


class ReleaseFile(NamedTuple):
    """A file of the next release: its path there, where it stands now, and its SHA-256 when it was verified, if it was."""

    name: str
    source: Path
    sha256: str = ""


class Entry(NamedTuple):
    """A line of a manifest: path in the release, SHA-256, size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Released:
    """A release as its manifest tells: `head` is that without its list of files."""

    path: Path
    head: dict[str, Any]

    def entries(self) -> Iterator[Entry]:
        """Yield the files in the order of their names; raises AuditContractError where the manifest is damaged."""
        with (self.path / MANIFEST).open("rb") as stream:
            for line in stream:
                if line == _FILES_START:
                    break
            try:
                yield from _entries(stream)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise _damaged(self.path) from None


def build_release(output: Path, files: Iterable[ReleaseFile], *, info: Mapping[str, Any], salt: bytes) -> Path | None:
    """Build the next release of `files`, which come in the order of their names; return its folder or None if nothing changed.

    `info` goes into the manifest: policy, audit seal, versions, code digest, counts; a change of it makes a release.
    Files below `dicom/` are hard links where the file system has them, others are copies. A source that is not what was
    verified raises AuditContractError, as does a wrong order. A full disk raises DeidError.
    """
    folder = output / "releases"
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        _remove_unfinished(folder)
        previous = _newest(folder)
        number = f"{int(previous.path.name) + 1 if previous else 1:04d}"
        temporary = folder / f"{_BUILDING}{number}"
        temporary.mkdir()
        with tempfile.TemporaryFile(dir=folder) as listing:
            _place_files(temporary, files, previous, listing)
            content = _content_digest(info, _listed(listing))
            if previous is not None and previous.head["content_digest"] == content:
                shutil.rmtree(temporary)
                _point_to(output, previous.path.name)
                return None
            head = _head(number, info, content, listing, previous)
            _write_manifest(temporary, {**signed(salt, head), "timestamp": _now()}, _listed(listing))
        _sync_folder(temporary)
        temporary.chmod(0o755)
        temporary.rename(folder / number)
        _sync_folder(folder)
        _point_to(output, number)
        return folder / number


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into a message that says what to do; the path at fault is not told."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DeidError("The output disk is full: make room and run again; no half of a release is left.") from None
        name = errno.errorcode.get(error.errno or 0, "?")
        raise DeidError(f"The release cannot be written: {name} {os.strerror(error.errno or 0)}.") from None
    finally:
        _remove_unfinished(folder)


def _remove_unfinished(folder: Path) -> None:
    for path in sorted(folder.glob(f"{_BUILDING}*")):
        shutil.rmtree(path, ignore_errors=True)


def _numbers(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted((path.name for path in folder.iterdir() if _NUMBER.fullmatch(path.name)), key=int)


def _newest(folder: Path) -> Released | None:
    numbers = _numbers(folder)
    return read_release(folder / numbers[-1]) if numbers else None


def _place_files(temporary: Path, files: Iterable[ReleaseFile], previous: Released | None, listing: BinaryIO) -> None:
    """Put the files into the new release, and a line for each into `listing`."""
    made: set[Path] = set()
    last = ""
    for file, before in _with_former(files, previous):
        _check_name(file.name)
        if file.name <= last:
            raise AuditContractError("The files of a release come twice or out of order.")
        last = file.name
        target = temporary / file.name
        _make_folders(temporary, target.parent, made)
        _place(Path(file.source), target, link=file.name.startswith("dicom/"))
        target.chmod(0o444)
        digest = _known_digest(target, before, previous) or file_sha256(target)
        if file.sha256 and file.sha256 != digest:
            raise AuditContractError(f"{file.name}: not the bytes that were verified; run again.")
        listing.write(_line(Entry(file.name, digest, target.stat().st_size)) + b"\n")


def _with_former(files: Iterable[ReleaseFile], previous: Released | None) -> Iterator[tuple[ReleaseFile, Entry | None]]:
    """Yield each file with what the previous release says of one of its name."""
    former = previous.entries() if previous else iter(())
    entry = next(former, None)
    for file in files:
        while entry is not None and entry.name < file.name:
            entry = next(former, None)
        yield file, entry if entry is not None and entry.name == file.name else None


def _make_folders(root: Path, folder: Path, made: set[Path]) -> None:
    """Make a folder and those above it, up to `root`, open to readers whatever the umask."""
    if folder != root and folder not in made:
        _make_folders(root, folder.parent, made)
        folder.mkdir()
        folder.chmod(0o755)
        made.intersection_update(folder.parents)  # as names come in order, no other is asked for again
        made.add(folder)


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or name == MANIFEST:
        raise AuditContractError("A file has no proper place in the release.")


def _place(source: Path, target: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(source, target)
            return
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, _PIECE)
        writer.flush()
        os.fsync(writer.fileno())


def _known_digest(target: Path, before: Entry | None, previous: Released | None) -> str:
    """Return the SHA-256 of a file that is one and the same, by hard link, as in the previous release."""
    if previous is None or before is None:
        return ""
    former = previous.path / before.name
    return before.sha256 if former.is_file() and former.samefile(target) else ""


def _content_digest(info: Mapping[str, Any], entries: Iterable[Entry]) -> str:
    digest = hashlib.sha256(canonical(info))
    for entry in entries:
        digest.update(f"\n{entry.sha256} {entry.size} {entry.name}".encode())
    return digest.hexdigest()


def _head(
    number: str, info: Mapping[str, Any], content: str, listing: BinaryIO, previous: Released | None
) -> dict[str, Any]:
    count = total = 0
    for entry in _listed(listing):
        count, total = count + 1, total + entry.size
    return {
        "schema": SCHEMA,
        "release": number,
        "content_digest": content,
        "parent": _as_parent(previous) if previous else None,
        "info": dict(info),
        "file_count": count,
        "bytes": total,
        **_changes(previous, listing),
    }


def _changes(previous: Released | None, listing: BinaryIO) -> dict[str, list[str]]:
    """Return the series that are added, changed and withdrawn, each as {new Study}/{new Series Instance UID}."""

    def before() -> Iterator[tuple[str, str]]:
        return _series(previous.entries()) if previous else iter(())

    def after() -> Iterator[tuple[str, str]]:
        return _series(_listed(listing))

    changes: dict[str, list[str]] = {"added": [], "changed": [], "withdrawn": []}
    sides = heapq.merge(((*one, False) for one in before()), ((*one, True) for one in after()))
    for folder, group in itertools.groupby(sides, key=lambda one: one[0]):
        (_, digest, is_new), *other = group
        name = folder.removeprefix("dicom/").removesuffix("/")
        if not other:
            changes["added" if is_new else "withdrawn"].append(name)
        elif digest != other[0][1]:
            changes["changed"].append(name)
    return {change: sorted(names) for change, names in changes.items()}


def _as_parent(release: Released) -> dict[str, str]:
    """Return how a release is named by the one after it: number and digest of its manifest without the time."""
    return {"release": release.path.name, "digest": hashlib.sha256(canonical(_lasting(release.head))).hexdigest()}


def _lasting(head: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in head.items() if name != "timestamp"}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _series(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """Yield `dicom/{study}/{series}/` and the digest of its instances for each series, in the order of names."""
    instances = (entry for entry in entries if entry.name.startswith("dicom/") and entry.name.count("/") == 3)
    for folder, group in itertools.groupby(instances, key=lambda entry: entry.name[: entry.name.rindex("/") + 1]):
        digest = hashlib.sha256()
        for entry in group:
            digest.update(f"{entry.name} {entry.sha256}\n".encode())
        yield folder, digest.hexdigest()


def _line(entry: Entry) -> bytes:
    text = json.dumps({"sha256": entry.sha256, "size": entry.size})
    return f"{json.dumps(entry.name)}: {text}".encode("ascii")


def _entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    """Yield what the lines of a list of files say, up to its end; raises ValueError and the like where they are no list."""
    last = ""
    for line in lines:
        if line == _FILES_END:
            return
        if line == b"\n":  # a list of nothing
            continue
        ((name, entry),) = json.loads(b"{" + line.rstrip(b",\n") + b"}").items()
        if name <= last:
            raise ValueError("names out of order")
        last = name
        yield Entry(name, str(entry["sha256"]), int(entry["size"]))
    raise ValueError("no end")


def _listed(listing: BinaryIO) -> Iterator[Entry]:
    listing.seek(0)
    return _entries(itertools.chain(listing, [_FILES_END]))


def _write_manifest(folder: Path, head: Mapping[str, Any], entries: Iterable[Entry]) -> None:
    """Write the manifest: its head, then one line a file, so that neither writing nor reading it needs all at once."""
    path = folder / MANIFEST
    with path.open("wb") as stream:
        text = json.dumps(head, indent=1, sort_keys=True, ensure_ascii=True)
        stream.write(text.removesuffix("\n}").encode("ascii") + b",\n" + _FILES_START)
        separator = b""
        for entry in entries:
            stream.write(separator + _line(entry))
            separator = b",\n"
        stream.write(b"\n" + _FILES_END + b"}\n")
        stream.flush()
        os.fsync(stream.fileno())
    path.chmod(0o444)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _point_to(output: Path, number: str) -> None:
    """Let `output/release` point to a release; nothing is done where it does."""
    link, target = output / "release", f"releases/{number}"
    if link.is_symlink() and str(link.readlink()) == target:
        return
    if link.exists() and not link.is_symlink():
        raise DeidError("`release` in the output folder is no link: move it away and run again.")
    temporary = output / "releases" / f"{_BUILDING}link"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


# --- reading and proving ------------------------------------------------------------------------------------------


def read_head(path: Path) -> dict[str, Any]:
    """Return the manifest of a release without its list of files, which may be long; raises AuditContractError."""
    lines = []
    try:
        with (path / MANIFEST).open("rb") as stream:
            for line in stream:
                if line == _FILES_START:
                    break
                lines.append(line)
        head = json.loads(b"".join(lines) + b'"files": {}}')
    except (OSError, ValueError):
        raise AuditContractError(f"Release {path.name}: its manifest is missing or damaged; restore it.") from None
    head.pop("files")
    return head


def read_release(path: Path) -> Released:
    """Return a release as its manifest tells; raises AuditContractError."""
    head = read_head(path)
    if head.get("schema") not in READABLE or "content_digest" not in head:
        raise AuditContractError(f"Release {path.name}: its manifest is of another version; restore or delete it.")
    return Released(path, head)


def _damaged(path: Path) -> AuditContractError:
    return AuditContractError(f"Release {path.name}: its manifest is damaged; restore or delete it.")


def list_releases(output: Path) -> list[dict[str, Any]]:
    """Return the releases in order: number, time, what changed (series and counts), policy, and which is the newest."""
    folder = output / "releases"
    link = output / "release"
    current = link.readlink().name if link.is_symlink() else ""
    listed = []
    for number in _numbers(folder):
        head = read_head(folder / number)
        listed.append(
            {
                "release": number,
                "current": number == current,
                "timestamp": head["timestamp"],
                "salt_id": head["salt_id"],
                "files": head["file_count"],
                "bytes": head["bytes"],
                **{f"series_{change}": len(head[change]) for change in ("added", "changed", "withdrawn")},
                "info": head["info"],
            }
        )
    return listed


def verify_release(path: Path, salt: bytes | None = None) -> list[str]:
    """Hash every file of a release against its manifest; return what is missing, extra or changed, by name."""
    try:
        release = read_release(path)
        content = _content_digest(release.head.get("info", {}), release.entries())
    except AuditContractError as error:
        return [str(error)]
    name = f"Release {path.name}"
    errors = []
    if release.head.get("release") != path.name:
        errors.append(f"{name}: its manifest is that of another release")
    if content != release.head["content_digest"]:
        errors.append(f"{name}: the manifest does not match its own digest")
    if salt is not None:
        errors += seal_errors(salt, _lasting(release.head), f"{name} {MANIFEST}")
    faults, extra = [], sum(_is_file(entry) for entry in path.rglob("*")) - 1  # the manifest
    for file, sha256, _ in release.entries():
        entry = path / file
        if not _is_file(entry):
            faults.append(f"{name}: {file} is missing")
            continue
        extra -= 1
        if entry.is_symlink() or file_sha256(entry) != sha256:
            faults.append(f"{name}: {file} was changed")
    if extra:
        errors.append(f"{name}: {extra} file{'s' if extra > 1 else ''} that its manifest does not name")
    return errors + faults


def _is_file(entry: Path) -> bool:
    return entry.is_symlink() or (entry.exists() and not entry.is_dir())


def verify_releases(output: Path, salt: bytes | None = None, former: Sequence[bytes] = ()) -> list[str]:
    """Verify all releases and that each follows the one before it, and that `release` points to the newest.

    Each is proved with the salt that its manifest names: `salt`, or one of the `former` ones.
    """
    folder = output / "releases"
    numbers, errors, before = _numbers(folder), [], None
    by_id = {salt_id(one): one for one in former}
    for number in numbers:
        try:
            release = read_release(folder / number)
        except AuditContractError as error:
            errors.append(str(error))
            before = None
            continue
        errors += verify_release(folder / number, salt and by_id.get(release.head["salt_id"], salt))
        parent = release.head.get("parent")
        if before is not None and parent != _as_parent(before):
            errors.append(f"Release {number}: it does not follow release {before.path.name} as that is now")
        before = release
    link = output / "release"
    if numbers and (not link.is_symlink() or str(link.readlink()) != f"releases/{numbers[-1]}"):
        errors.append("`release` does not point to the newest release")
    return errors
