"""Releases: numbered folders that never change again, each with a manifest of what it holds and what it follows.

A release is built under a hidden name, its manifest written last, and renamed; then the link `release` moves to it in
one rename. An interrupted build leaves nothing but a hidden folder, which the next one removes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from phi_deid_pipeline.errors import AuditContractError, DeidError
from phi_deid_pipeline.seal import canonical, file_sha256, seal_errors, signed
from phi_deid_pipeline.uid_mapping import salt_id

MANIFEST = "manifest.json"
SCHEMA = "release_manifest/1"
_NUMBER = re.compile(r"\d{4,}")
_BUILDING = ".building-"
_FILES_START = b'"files": {\n'
_CANNOT_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS})
_PIECE = 1 << 20


@dataclass(frozen=True)
class Released:
    """A release as its manifest tells: `head` is that without its list of files, `files` path -> (SHA-256, size)."""

    path: Path
    head: dict[str, Any]
    files: dict[str, tuple[str, int]] = field(repr=False)


def build_release(
    output: Path,
    files: Mapping[str, Path],
    *,
    info: Mapping[str, Any],
    salt: bytes,
    checksums: Mapping[str, str] | None = None,
) -> Path | None:
    """Build the next release of `files` (path in the release -> source); return its folder or None if nothing changed.

    `info` goes into the manifest: policy, audit seal, versions, code digest, counts; a change of it makes a release.
    Files below `dicom/` are hard links where the file system has them, others are copies. `checksums` (path -> SHA-256)
    are what verification saw; a source that differs raises AuditContractError. A full disk raises DeidError.
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
        digests = _place_files(temporary, files, previous, checksums or {})
        content = _content_digest(info, digests)
        if previous is not None and previous.head["content_digest"] == content:
            shutil.rmtree(temporary)
            _point_to(output, previous.path.name)
            return None
        head = _head(number, info, content, digests, previous)
        _write_manifest(temporary, {**signed(salt, head), "timestamp": _now()}, digests)
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


def _place_files(
    temporary: Path, files: Mapping[str, Path], previous: Released | None, checksums: Mapping[str, str]
) -> dict[str, tuple[str, int]]:
    digests: dict[str, tuple[str, int]] = {}
    made: set[Path] = set()
    for name in sorted(files):
        _check_name(name)
        target = temporary / name
        _make_folders(temporary, target.parent, made)
        _place(Path(files[name]), target, link=name.startswith("dicom/"))
        target.chmod(0o444)
        digest = _known_digest(target, name, previous) or file_sha256(target)
        if name in checksums and checksums[name] != digest:
            raise AuditContractError(f"{name}: not the bytes that were verified; run again.")
        digests[name] = (digest, target.stat().st_size)
    return digests


def _make_folders(root: Path, folder: Path, made: set[Path]) -> None:
    """Make a folder and those above it, up to `root`, open to readers whatever the umask."""
    if folder != root and folder not in made:
        _make_folders(root, folder.parent, made)
        folder.mkdir()
        folder.chmod(0o755)
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


def _known_digest(target: Path, name: str, previous: Released | None) -> str:
    """Return the SHA-256 of a file that is one and the same, by hard link, as in the previous release."""
    if previous is None or name not in previous.files:
        return ""
    before = previous.path / name
    return previous.files[name][0] if before.is_file() and before.samefile(target) else ""


def _content_digest(info: Mapping[str, Any], digests: Mapping[str, tuple[str, int]]) -> str:
    digest = hashlib.sha256(canonical(info))
    for name in sorted(digests):
        digest.update(f"\n{digests[name][0]} {digests[name][1]} {name}".encode())
    return digest.hexdigest()


def _head(
    number: str,
    info: Mapping[str, Any],
    content: str,
    digests: Mapping[str, tuple[str, int]],
    previous: Released | None,
) -> dict[str, Any]:
    before = _series(previous.files) if previous else {}
    after = _series(digests)
    return {
        "schema": SCHEMA,
        "release": number,
        "content_digest": content,
        "parent": _as_parent(previous) if previous else None,
        "info": dict(info),
        "file_count": len(digests),
        "bytes": sum(size for _, size in digests.values()),
        "added": sorted(after.keys() - before.keys()),
        "changed": sorted(uid for uid in after.keys() & before.keys() if after[uid] != before[uid]),
        "withdrawn": sorted(before.keys() - after.keys()),
    }


def _as_parent(release: Released) -> dict[str, str]:
    """Return how a release is named by the one after it: number and digest of its manifest without the time."""
    return {"release": release.path.name, "digest": hashlib.sha256(canonical(_lasting(release.head))).hexdigest()}


def _lasting(head: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in head.items() if name != "timestamp"}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _series(files: Mapping[str, tuple[str, int]]) -> dict[str, str]:
    """Return new Series Instance UID -> digest of its instances, by paths dicom/{study}/{series}/{instance}.dcm."""
    digests: dict[str, Any] = {}
    for name in sorted(files):
        parts = name.split("/")
        if len(parts) == 4 and parts[0] == "dicom":
            digests.setdefault(parts[2], hashlib.sha256()).update(f"{name} {files[name][0]}\n".encode())
    return {uid: digest.hexdigest() for uid, digest in digests.items()}


def _write_manifest(folder: Path, head: Mapping[str, Any], digests: Mapping[str, tuple[str, int]]) -> None:
    """Write the manifest: its head, then one line a file, so that neither writing nor reading the head needs all."""
    path = folder / MANIFEST
    with path.open("wb") as stream:
        text = json.dumps(head, indent=1, sort_keys=True, ensure_ascii=True)
        stream.write(text.removesuffix("\n}").encode("ascii") + b",\n" + _FILES_START)
        separator = b""
        for name in sorted(digests):
            entry = json.dumps({"sha256": digests[name][0], "size": digests[name][1]})
            stream.write(separator + f"{json.dumps(name)}: {entry}".encode("ascii"))
            separator = b",\n"
        stream.write(b"\n}\n}\n")
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
    data = (path / MANIFEST).read_bytes()
    try:
        entries = json.loads(data)["files"]
        files = {name: (str(entry["sha256"]), int(entry["size"])) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AuditContractError(f"Release {path.name}: its manifest is damaged; restore or delete it.") from None
    if head.get("schema") != SCHEMA or "content_digest" not in head:
        raise AuditContractError(f"Release {path.name}: its manifest is of another version; restore or delete it.")
    return Released(path, head, files)


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
    except AuditContractError as error:
        return [str(error)]
    name = f"Release {path.name}"
    errors = []
    if release.head.get("release") != path.name:
        errors.append(f"{name}: its manifest is that of another release")
    if _content_digest(release.head.get("info", {}), release.files) != release.head["content_digest"]:
        errors.append(f"{name}: the manifest does not match its own digest")
    if salt is not None:
        errors += seal_errors(salt, _lasting(release.head), f"{name} {MANIFEST}")
    entries = (entry for entry in path.rglob("*") if entry.is_symlink() or not entry.is_dir())
    present = {entry.relative_to(path).as_posix() for entry in entries}
    present.discard(MANIFEST)
    extra = len(present - release.files.keys())
    if extra:
        errors.append(f"{name}: {extra} files that its manifest does not name")
    for file in sorted(release.files):
        entry = path / file
        if file not in present:
            errors.append(f"{name}: {file} is missing")
        elif entry.is_symlink() or file_sha256(entry) != release.files[file][0]:
            errors.append(f"{name}: {file} was changed")
    return errors


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
