"""Writes input, policy, salt, tables and config of a run into `OUTPUT/private/`, each file only when it changes.

Needs no more than the launcher's environment (Snakemake and rich). Messages never name the input folder: its path may
hold a patient's name.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import math
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import yaml

from phi_deid_pipeline.errors import ConfigError, SaltMismatchError
from phi_deid_pipeline.subjects import REQUIRED_COLUMNS, SUBJECT_COLUMNS, SubjectTable, table_problem
from phi_deid_pipeline.uid_mapping import SALT_BYTES, salt_id

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy

ROOT = Path(__file__).resolve().parents[1]
COPY_OF_INPUT = Path("private/source")  # what is in object storage is read from here
MIN_SALT_BYTES = 16
DECISION_COLUMNS = ("what", "verdict", "who", "when", "why")
DECISION_VERDICTS = frozenset({"release", "withhold", "hide", "keep"})
PATIENT_COLUMNS = ("patient_id", "issuer", "person")
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
    source, output = checked_folders(request.input, request.output)
    config = read_config(request.configfile, request.settings, request.policy)
    from phi_deid_pipeline.policies import load_policy

    policy = load_policy(config["policy"])
    decisions, patients = _decisions_table(request.decisions), _patients_table(request.patients)
    kept = {name: output / "private" / f"{name}.csv" for name in ("patients", "subjects")}
    subjects = _subjects_table(request.subjects, kept["subjects"], request.patients or kept["patients"], policy)
    accepted = _accepted_words(config["free_text"]["accepted_words"])
    salt = _chosen_salt(output / "private", request.salt_file, request.new_salt)
    return _Checked(source, output, config, policy, decisions, patients, subjects, accepted, *salt)


def checked_output(request: RunRequest) -> Path:
    """Return the output folder of a request that can be carried out; raises a DeidError. Nothing is written."""
    return _checked(request).output


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
            table = _csv_bytes(columns, [])
        if table is not None:
            _write_if_changed(private / name, table)
    _link_input(private / "input", checked.source)
    return Prepared(salt_id=salt_id(salt), salt_created=checked.salt_created, policy_name=policy.name)


def read_config(configfile: Path | None, settings: tuple[str, ...], policy: str | None) -> dict:
    """Return defaults, then the user's file, then `key=value` settings, validated; raises ConfigError."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    if configfile is not None:
        _merge(config, _read_yaml(configfile))
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, not '{setting}'.")
        leaf = nested = {}
        *parents, last = key.split(".")
        for parent in parents:
            leaf = leaf.setdefault(parent, {})
        try:
            leaf[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key}: the value is no valid YAML.") from error
        _merge(config, nested)
    if policy is not None:
        config["policy"] = policy
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text(encoding="utf-8"))
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(config), key=lambda e: list(map(str, e.path)))
    if errors:
        where = ".".join(map(str, errors[0].path)) or "top level"
        raise ConfigError(f"Config key {where}: {errors[0].message}. See config/README.md for all keys.")
    _check_geometry(config["geometry"])
    return config


def _check_geometry(geometry: dict) -> None:
    """Refuse what a schema cannot: numbers that are none, and limits in the wrong order; raises ConfigError."""
    for key, value in geometry.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
            raise ConfigError(f"Config key geometry.{key}: takes finite numbers. See config/README.md for all keys.")
    low, high = geometry["hu_clip"]
    if low >= high:
        raise ConfigError("Config key geometry.hu_clip: takes the lower limit first, then the upper one.")


def _merge(config: dict, other: dict) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = value


def _read_yaml(path: Path) -> dict:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The config file {path.name} cannot be read ({type(error).__name__}).") from error
    if not isinstance(content, dict):
        raise ConfigError(f"The config file {path.name} holds no keys.")
    return content


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
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name in ("private", ".snakemake"):
            (output / name).mkdir(mode=0o700, exist_ok=True)
            (output / name).chmod(0o700)
        (output / "logs").mkdir(exist_ok=True)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise ConfigError(
            f"The output folder cannot be written to ({error.strerror}); choose another --output."
        ) from error


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


def _link_input(link: Path, source: Path) -> None:
    if link.is_symlink() and link.readlink() == source:
        return
    part = link.with_name(".input.part")
    part.unlink(missing_ok=True)
    part.symlink_to(source)
    part.replace(link)


def _rows(
    path: Path, columns: tuple[str, ...], table: str, required: tuple[str, ...] | None = None
) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
            header = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"The table of {table} cannot be read ({type(error).__name__}).") from error
    if missing := [column for column in required or columns if column not in header]:
        raise ConfigError(f"The table of {table} lacks the column(s) {', '.join(missing)}.")
    return [{column: row.get(column, "") for column in columns} for row in rows]


def _decisions_table(path: Path | None) -> bytes | None:
    if path is None:
        return None
    rows = _rows(path, DECISION_COLUMNS, "decisions")
    for number, row in enumerate(rows, start=2):
        if not all(row.values()):
            raise ConfigError(f"Decisions, line {number}: every column needs a value (who decided, when and why).")
        if row["verdict"] not in DECISION_VERDICTS:
            raise ConfigError(
                f"Decisions, line {number}: the verdict is one of {', '.join(sorted(DECISION_VERDICTS))}."
            )
        if row["verdict"] in ("hide", "keep") and not re.fullmatch(r"[0-9.]+#[0-9a-f]{12}", row["what"]):
            raise ConfigError(f"Decisions, line {number}: hide and keep take <new SOP Instance UID>#<id of finding>.")
    if len({row["what"] for row in rows}) < len(rows):
        raise ConfigError("Decisions: one thing is decided twice; keep one row of it.")
    return _csv_bytes(DECISION_COLUMNS, rows)


def _patients_table(path: Path | None) -> bytes | None:
    if path is None:
        return None
    rows = _rows(path, PATIENT_COLUMNS, "patients")
    for number, row in enumerate(rows, start=2):
        if not row["patient_id"] or not row["person"]:
            raise ConfigError(f"Patients, line {number}: patient_id and person need a value.")
    if len({(row["patient_id"], row["issuer"]) for row in rows}) < len(rows):
        raise ConfigError("Patients: one patient_id and issuer stands in two lines; keep one of them.")
    return _csv_bytes(PATIENT_COLUMNS, rows)


def _subjects_table(path: Path | None, kept: Path, patients: Path, policy: Policy) -> bytes | None:
    """Check the table of subjects that holds, a new one or the one kept; return a new one."""
    source = path or (kept if kept.exists() else None)
    rows = [] if source is None else _rows(source, SUBJECT_COLUMNS, "subjects", REQUIRED_COLUMNS)
    if policy.pseudonyms == "table" and not rows:
        raise ConfigError(f"Policy {policy.name} takes pseudonyms from a table: hand it in with --subjects.")
    if problem := table_problem(rows, trial=policy.clinical_trial):
        raise ConfigError(problem)
    joined = _rows(patients, PATIENT_COLUMNS, "patients") if patients.exists() else []
    SubjectTable(
        rows, {(r["patient_id"], r["issuer"]) if r["issuer"] else r["patient_id"]: r["person"] for r in joined}
    )
    return None if path is None else _csv_bytes(SUBJECT_COLUMNS, rows)


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


def _csv_bytes(columns: tuple[str, ...], rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)))
    return text.getvalue().encode()


@contextmanager
def only_run(output: Path) -> Iterator[int]:
    """Hold the lock of an output folder and give its descriptor; a second run on it is refused with a ConfigError.

    A child that inherits the descriptor holds the lock too, for as long as it lives.
    """
    private = output / "private"
    private.mkdir(parents=True, mode=0o700, exist_ok=True)
    with (private / ".run.lock").open("w") as lock:
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
