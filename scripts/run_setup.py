"""Writes input, policy, salt, tables and config of a run into `OUTPUT/private/`, each file only when it changes.

Needs no more than the launcher's environment (Snakemake, rich and psutil). Messages never name the input folder: its path may
hold a patient's name.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from phi_deid_pipeline.errors import ConfigError, SaltMismatchError
from phi_deid_pipeline.subjects import SUBJECT_COLUMNS
from phi_deid_pipeline.uid_mapping import SALT_BYTES, salt_id
from run_config import read_config
from run_tables import DECISION_COLUMNS, PATIENT_COLUMNS, csv_bytes, decisions_table, patients_table, subjects_table

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy

CHANGED = "changed_while_read"  # reason of a rejection that the next run may not find again
ROOT = Path(__file__).resolve().parents[1]
COPY_OF_INPUT = Path("private/source")  # what is in object storage is read from here
MIN_SALT_BYTES = 16
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for; folders and files as given on the command line."""

    input: Path
    output: Path
    policy: str | None = None
    salt_file: Path | None = None
    new_salt: bool = False
    configfile: Path | None = None
    settings: tuple[str, ...] = ()
    decisions: Path | None = None
    patients: Path | None = None
    subjects: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """What `prepare` made of it."""

    salt_id: str
    salt_created: bool
    policy_name: str


@dataclass(frozen=True)
class _Checked:
    source: Path
    output: Path
    config: dict
    policy: Policy
    decisions: bytes | None
    patients: bytes | None
    subjects: bytes | None
    accepted_words: bytes
    salt: bytes
    salt_created: bool


def _checked(request: RunRequest) -> _Checked:
    return _checked_choices(request, *checked_folders(request.input, request.output))


def _checked_choices(request: RunRequest, source: Path, output: Path) -> _Checked:
    config = read_config(request.configfile, request.settings, request.policy)
    from phi_deid_pipeline.policies import load_policy

    policy = load_policy(config["policy"])
    decisions, patients = decisions_table(request.decisions), patients_table(request.patients)
    kept = {name: output / "private" / f"{name}.csv" for name in ("patients", "subjects")}
    subjects = subjects_table(request.subjects, kept["subjects"], request.patients or kept["patients"], policy)
    accepted = _accepted_words(config["free_text"]["accepted_words"])
    salt = _chosen_salt(output / "private", request.salt_file, request.new_salt)
    return _Checked(source, output, config, policy, decisions, patients, subjects, accepted, *salt)


def checked_output(request: RunRequest) -> Path:
    """Return the output folder of a request that can be carried out; raises a DeidError. Nothing is written."""
    return _checked(request).output


def check_choices(request: RunRequest) -> None:
    """Raise a DeidError where config, policy, tables or salt cannot be used; the input may be still to come."""
    _checked_choices(request, request.input.resolve(), request.output.resolve())


def prepare(request: RunRequest) -> Prepared:
    """Check the request and write `private/`; raises a DeidError before anything is written where it is refused."""
    checked = _checked(request)
    output, config, policy, salt = checked.output, checked.config, checked.policy, checked.salt
    private = output / "private"
    _make_folders(output)
    _keep_former_salt(private, salt)
    _write_if_changed(private / "salt", salt)
    _write_if_changed(private / "salt_id", salt_id(salt).encode() + b"\n")
    _write_if_changed(private / "policy.json", policy.to_json().encode())
    config["policy"] = policy.name
    config["free_text"]["accepted_words"] = ""  # a path may identify, and Snakemake keeps values of config
    _write_if_changed(private / "accepted_words.txt", checked.accepted_words)
    _write_if_changed(private / "config.yaml", yaml.safe_dump(config, sort_keys=True).encode())
    for name, table, columns in (
        ("decisions.csv", checked.decisions, DECISION_COLUMNS),
        ("patients.csv", checked.patients, PATIENT_COLUMNS),
        ("subjects.csv", checked.subjects, SUBJECT_COLUMNS),
    ):
        if table is None and not (private / name).exists():
            table = csv_bytes(columns, [])
        if table is not None:
            _write_if_changed(private / name, table)
    _link_input(private / "input", checked.source)
    return Prepared(salt_id=salt_id(salt), salt_created=checked.salt_created, policy_name=policy.name)


def checked_folders(source: Path, output: Path) -> tuple[Path, Path]:
    """Return both folders resolved; raises ConfigError where they cannot serve as input and output."""
    if not source.is_dir():
        raise ConfigError("The input is no folder that can be opened; give an existing folder with --input.")
    source, output = source.resolve(), output.resolve()
    if source == output:
        raise ConfigError("Input and output are the same folder; choose another --output.")
    if source in output.parents or (output in source.parents and source != output / COPY_OF_INPUT):
        raise ConfigError("One of input and output lies inside the other; choose an --output apart from the input.")
    if not any(files for _, _, files in os.walk(source)):
        raise ConfigError("The input folder holds no files; check --input.")
    existing = next(parent for parent in (output, *output.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError("The output folder cannot be written to; check its permissions or choose another --output.")
    return source, output


def _chosen_salt(private: Path, salt_file: Path | None, new_salt: bool) -> tuple[bytes, bool]:
    """Return the salt and whether it was made now."""
    kept = private / "salt"
    known = (private / "salt_id").read_text().strip() if (private / "salt_id").exists() else ""
    if salt_file is not None:
        try:
            salt = salt_file.read_bytes()
        except OSError as error:
            raise ConfigError(f"The salt file cannot be read ({error.strerror}).") from error
        if len(salt) < MIN_SALT_BYTES:
            raise ConfigError(
                f"The salt file holds fewer than {MIN_SALT_BYTES} bytes; make one of {SALT_BYTES} random bytes."
            )
    elif kept.exists() and not new_salt:
        salt = kept.read_bytes()
    elif known and not new_salt:
        raise SaltMismatchError(
            "The salt of this output is gone; hand it in with --salt-file, or start anew with --new-salt."
        )
    else:
        return secrets.token_bytes(SALT_BYTES), True
    if known and salt_id(salt) != known and not new_salt:
        raise SaltMismatchError(
            f"This output was made with the salt {known}, the one given is {salt_id(salt)}. Hand in the old one, or "
            "say --new-salt: all new UIDs and pseudonyms change and no longer fit what was handed out before."
        )
    return salt, False


def _keep_former_salt(private: Path, salt: bytes) -> None:
    """Keep a salt that another replaces as `salt.<its id>`: it proves the seals of the releases made with it."""
    kept = private / "salt"
    if kept.exists() and kept.read_bytes() != salt:
        _write_if_changed(private / f"salt.{salt_id(kept.read_bytes())}", kept.read_bytes())


def _make_folders(output: Path) -> None:
    with _writable():
        output.mkdir(parents=True, exist_ok=True)
        for name in ("private", ".snakemake"):
            (output / name).mkdir(mode=0o700, exist_ok=True)
            (output / name).chmod(0o700)
        (output / "logs").mkdir(exist_ok=True)


@contextmanager
def _writable() -> Iterator[None]:
    """Turn a failure to make an output folder into a ConfigError that says what to do; a full disk stays as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise ConfigError(
            f"The output folder cannot be made or written to ({error.strerror}); choose another --output."
        ) from error


def make_output(folder: Path) -> None:
    """Make a folder for results that nobody else may enter; raises ConfigError where none can be made or written to."""
    with _writable():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass


def _write_if_changed(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    part = path.with_name(f".{path.name}.part")
    try:
        part.touch(mode=0o600)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in DISK_FULL:
            raise
        raise ConfigError(f"{path.name} cannot be written to private/ ({error.strerror}).") from error


def holds_another_input(output: Path, source: Path) -> bool:
    """Tell whether the last scan of an output was of another input folder than the one given now."""
    link = output / "private" / "input"
    return link.is_symlink() and link.readlink() != source.resolve()


def forget_changed_files(output: Path) -> int:
    """Remove what was read and written of batches of which a file changed meanwhile, so that they are worked on again.

    Where such a file is as it was scanned once more, nothing else would tell that it has to be read again. Returns how many
    results were removed.
    """
    summary = output / "audits" / "summary.json"
    if not summary.exists() or not json.loads(summary.read_bytes())["rejected_by_reason"].get(CHANGED):
        return 0
    results = (
        path
        for name in ("read", "records", "verification")
        for path in sorted((output / "private" / name).glob("b*.jsonl"))
    )
    found = [path for path in results if f'"{CHANGED}"'.encode() in path.read_bytes()]
    for path in found:
        path.unlink()
    return len(found)


def _link_input(link: Path, source: Path) -> None:
    if link.is_symlink() and link.readlink() == source:
        return
    part = link.with_name(".input.part")
    part.unlink(missing_ok=True)
    part.symlink_to(source)
    part.replace(link)


def _accepted_words(path: str) -> bytes:
    """Return the words of a site's list, folded and sorted, one a line; nothing where no list is given."""
    from phi_deid_pipeline.vocabulary import parse_accepted_words

    if not path:
        return b""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The list of accepted words cannot be read ({type(error).__name__}).") from error
    return "".join(f"{word}\n" for word in sorted(parse_accepted_words(text))).encode()


@contextmanager
def only_run(output: Path) -> Iterator[int]:
    """Hold the lock of an output folder and give its descriptor; a second run on it is refused with a ConfigError.

    A child that inherits the descriptor holds the lock too, for as long as it lives.
    """
    private = output / "private"
    with _writable():
        private.mkdir(parents=True, mode=0o700, exist_ok=True)
        lock = (private / ".run.lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError("Another run works on this output; wait for it, or choose another --output.") from error
        yield lock.fileno()


def is_running(output: Path) -> bool:
    """Tell whether a run holds the lock of this output."""
    path = output / "private" / ".run.lock"
    if not path.exists():
        return False
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
