"""Input from, and releases to, S3: an exact local copy of the input by listing, a release complete only when it is.

Works on any server of the S3 API. Credentials, region and endpoint come from the environment as boto3 reads it
(AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, ...). Messages never name a key: it may hold a patient's name.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from phi_deid_pipeline.errors import ConfigError, DeidError
from record_io import atomic_write_bytes

SCHEME = "s3://"
MANIFEST = "manifest.json"
PRIVATE = ("audits", "private")
ARCHIVED = "private/archived.json"  # what was archived from here, by place
NOT_ARCHIVED = frozenset({"private/salt", "private/.run.lock", ARCHIVED})  # the salt ties new UIDs to old ones
DIGEST = "sha256"  # metadata of each object that is sent: an ETag is an MD5 only of what went in one piece, unencrypted
TRANSFERS = 8
ATTEMPTS = 5  # of each transfer, by boto3
PART_SIZE = 1 << 20
LOOK_AT = "Check bucket, endpoint and credentials."


class StorageError(DeidError):
    """The object storage did not give or take what it was asked for."""


@dataclass(frozen=True)
class Place:
    """A bucket and a prefix, which is empty or ends with a slash."""

    bucket: str
    prefix: str

    def holds(self, other: Place) -> bool:
        """Tell whether another place is this one or lies in it."""
        return self.bucket == other.bucket and other.prefix.startswith(self.prefix)


@dataclass(frozen=True)
class Listed:
    """An object as the bucket lists it: size in bytes, ETag, time of its last change in s since 1970."""

    key: str
    size: int
    etag: str
    changed: float


def is_storage(text: str) -> bool:
    """Tell whether an input or output is meant to be in object storage."""
    return text.startswith(SCHEME)


def parse_place(text: str) -> Place:
    """Return the place that an `s3://bucket/prefix` names; raises ConfigError."""
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    if not is_storage(text) or not bucket:
        raise ConfigError("A place in object storage is written s3://BUCKET or s3://BUCKET/PREFIX.")
    return Place(bucket, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else "")


def check_apart(places: dict[str, Place]) -> None:
    """Raise ConfigError unless input, releases and private files have places apart from each other."""
    for name, place in places.items():
        for other, second in places.items():
            if name != other and place.holds(second):
                raise ConfigError(
                    f"The places of {name} and {other} overlap: what is private must not lie beside a release."
                )


class Storage:
    """The client of an S3 server; `path_style` puts the bucket into the path, as many servers of one's own want it."""

    def __init__(self, path_style: bool = False) -> None:
        try:
            import boto3
            from boto3.exceptions import Boto3Error
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ModuleNotFoundError as error:
            raise ConfigError("s3:// needs the package boto3: run  make storage  and try again.") from error
        self._errors = (BotoCoreError, ClientError, Boto3Error)
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=TRANSFERS,
            s3={"addressing_style": "path"} if path_style else None,
        )
        try:
            self._client = boto3.Session().client("s3", config=config)
        except (*self._errors, ValueError) as error:  # the second: an endpoint that is no address
            raise ConfigError(f"The object storage cannot be used ({type(error).__name__}). {LOOK_AT}") from error

    def reach(self, name: str, place: Place) -> None:
        """Raise ConfigError unless a place can be listed; `name` is the option that names it."""
        try:
            self._client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix, MaxKeys=1)
        except self._errors as error:
            told = _code(error) or type(error).__name__
            raise ConfigError(f"The place of {name} cannot be reached ({told}). {LOOK_AT}") from error

    def list(self, place: Place) -> list[Listed]:
        """Return what lies below a place, sorted by key; markers of folders are left out."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=place.prefix)
            rows = [row for page in pages for row in page.get("Contents", [])]
        except self._errors as error:
            raise _failed("cannot be listed", error) from error
        listed = (
            Listed(row["Key"][len(place.prefix) :], row["Size"], row["ETag"], row["LastModified"].timestamp())
            for row in rows
        )
        return sorted((o for o in listed if o.key and not (o.key.endswith("/") and not o.size)), key=lambda o: o.key)

    def fetch(self, place: Place, listed: Listed, target: Path) -> None:
        """Write an object as it was listed to a file, whole or not at all; raises StorageError where it has changed."""
        part = target.with_name(f".{hashlib.sha256(target.name.encode()).hexdigest()[:16]}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._stream(place, listed, part)
                break
            except (*self._errors, EOFError) as error:
                part.unlink(missing_ok=True)
                if attempt == ATTEMPTS or _code(error) in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                    raise _failed("gave an object not as it was listed; run again", error) from error
        os.utime(part, (listed.changed, listed.changed))
        part.replace(target)

    def _stream(self, place: Place, listed: Listed, part: Path) -> None:
        answer = self._client.get_object(Bucket=place.bucket, Key=place.prefix + listed.key, IfMatch=listed.etag)
        with part.open("wb") as file:
            for piece in answer["Body"].iter_chunks(PART_SIZE):
                file.write(piece)
        if part.stat().st_size != listed.size:
            raise EOFError

    def send(self, source: Path, place: Place, key: str) -> None:
        """Write a file to an object, its SHA-256 beside it; the server checks what arrives by its checksum."""
        try:
            told = {"Metadata": {DIGEST: _digest(source, DIGEST)}}
            self._client.upload_file(str(source), place.bucket, place.prefix + key, ExtraArgs=told)
        except (*self._errors, OSError) as error:
            raise _failed("did not take an object; run again to go on", error) from error

    def holds_file(self, place: Place, listed: Listed, path: Path) -> bool:
        """Tell whether an object is a file, by size and either an ETag that is its MD5 or the SHA-256 sent along."""
        if listed.size != path.stat().st_size:
            return False
        etag = listed.etag.strip('"')
        if "-" not in etag and etag == _digest(path, "md5"):
            return True
        try:
            head = self._client.head_object(Bucket=place.bucket, Key=place.prefix + listed.key)
        except self._errors as error:
            raise _failed("did not tell of an object", error) from error
        return head["Metadata"].get(DIGEST) == _digest(path, DIGEST)

    def withdraw(self, place: Place, key: str) -> None:
        """Delete an object."""
        try:
            self._client.delete_object(Bucket=place.bucket, Key=place.prefix + key)
        except self._errors as error:
            raise _failed("did not delete an object", error) from error


def _digest(path: Path, name: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()


def _code(error: Exception) -> str:
    answer = getattr(error, "response", None)  # what did not reach the server's end has another answer, or none
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""


def _failed(what: str, error: Exception) -> StorageError:
    code = _code(error)
    return StorageError(f"The object storage {what} ({code or type(error).__name__}). {LOOK_AT}")


def local_name(key: str) -> str:
    """Return the path of an object in the local copy: its key, but for parts that no folder can hold."""
    parts = key.split("/")
    return "/".join(_part(part) for part in parts)


def _part(part: str) -> str:
    if part in ("", ".", "..") or part.endswith("%") or "\0" in part or len(part.encode()) > 200:
        shown = part.replace("%", "%25").replace(".", "%2E") if len(part.encode()) <= 200 else ""
        return (quote(shown, safe="% ") or hashlib.sha256(part.encode()).hexdigest()) + "%"
    return part


def copy_input(storage: Storage, place: Place, folder: Path, record: Path) -> dict[str, int]:
    """Make `folder` the exact copy of a place: fetch what is new or changed, delete what is gone.

    `record` keeps size and ETag of what was fetched. Returns how many objects were listed, fetched and deleted.
    """
    listed = storage.list(place)
    if not listed:
        raise ConfigError("The input in object storage holds no objects; check bucket and prefix.")
    folders = {parent for o in listed for parent in _parents(o.key)}
    names = {o: local_name(o.key) + ("%file" if o.key in folders else "") for o in listed}
    known = json.loads(record.read_bytes()) if record.exists() else {}
    wanted = {o: folder / name for o, name in names.items()}
    missing = [o for o, path in wanted.items() if known.get(names[o]) != [o.size, o.etag] or not path.is_file()]
    gone = sorted(set(_files(folder)) - set(wanted.values()))
    done = {name: known[name] for name in names.values() if name in known}
    for path in gone:
        path.unlink()
    _prune(folder)
    try:
        with ThreadPoolExecutor(TRANSFERS) as pool:
            futures = {o: pool.submit(storage.fetch, place, o, wanted[o]) for o in missing}
            for o, future in futures.items():
                future.result()
                done[names[o]] = [o.size, o.etag]
    finally:
        _keep(record, done)
    return {"listed": len(listed), "fetched": len(missing), "deleted": len(gone)}


def _keep(record: Path, content: dict[str, list]) -> None:
    atomic_write_bytes(record, json.dumps(content, sort_keys=True).encode())


def _parents(key: str) -> Iterator[str]:
    parts = key.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def _files(folder: Path) -> Iterable[Path]:
    return (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)


def _prune(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        if parent != str(folder) and not any(Path(parent).iterdir()):
            Path(parent).rmdir()


def publish(storage: Storage, release: Path, place: Place) -> int:
    """Write a numbered release below a place, its manifest last; return how many objects were sent.

    Without its manifest a release is not complete: readers look for that. One that is complete is never touched; raises
    StorageError where it is another one, or where objects lie in its place that are none of it.
    """
    target = Place(place.bucket, f"{place.prefix}{release.name}/")
    there = {o.key: o for o in storage.list(target)}
    files = sorted(path.relative_to(release).as_posix() for path in _files(release))
    if MANIFEST in there:
        _check_same(storage, release, target, there[MANIFEST])
        return 0
    if strays := there.keys() - set(files):
        raise StorageError(
            f"Release {release.name} was not published: in its place lie {len(strays)} objects that are no part of it. "
            "Give another --publish, or delete them, then run again."
        )
    content = [name for name in files if name != MANIFEST]
    return _send_all(storage, release, target, content, there) + _send_all(storage, release, target, [MANIFEST], {})


def _check_same(storage: Storage, release: Path, target: Place, manifest: Listed) -> None:
    with tempfile.TemporaryDirectory() as folder:
        storage.fetch(target, manifest, Path(folder) / MANIFEST)
        if (Path(folder) / MANIFEST).read_bytes() != (release / MANIFEST).read_bytes():
            raise StorageError(
                f"Release {release.name} was not published: another release of this number is complete there, and is left "
                "as it is. Give another --publish, one for each output."
            )


def archive(storage: Storage, output: Path, place: Place) -> dict[str, int]:
    """Make a place the copy of audits and private files, but for the salt and the copy of the input.

    What was archived from this output and is gone from it is deleted there, nothing else. Returns how many objects were
    sent and deleted.
    """
    there = {o.key: o for o in storage.list(place)}
    kept = [name for name in _archived_files(output) if not name.startswith(("private/salt.", "private/source/"))]
    record, name = output / ARCHIVED, f"{SCHEME}{place.bucket}/{place.prefix}"
    known = json.loads(record.read_bytes()) if record.exists() else {}
    former = set(known.get(name, []))
    _keep(record, known | {name: sorted(former.union(kept))})  # before any is sent, or one could be forgotten
    sent = _send_all(storage, output, place, kept, there)
    gone = sorted((former - set(kept)) & there.keys())
    with ThreadPoolExecutor(TRANSFERS) as pool:
        list(pool.map(lambda key: storage.withdraw(place, key), gone))
    _keep(record, known | {name: kept})
    return {"sent": sent, "deleted": len(gone)}


def _archived_files(output: Path) -> list[str]:
    paths = (path for name in PRIVATE for path in _files(output / name))
    names = (path.relative_to(output).as_posix() for path in paths if path.is_file() and not path.is_symlink())
    return sorted(name for name in names if name not in NOT_ARCHIVED)


def _send_all(storage: Storage, folder: Path, place: Place, names: list[str], there: dict[str, Listed]) -> int:
    """Send what is not there as it is here; return how many objects that were."""

    def send(name: str) -> bool:
        if name in there and storage.holds_file(place, there[name], folder / name):
            return False
        storage.send(folder / name, place, name)
        return True

    with ThreadPoolExecutor(TRANSFERS) as pool:
        return sum(pool.map(send, names))
