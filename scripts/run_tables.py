"""Checks the tables that a user hands in: decisions, patients, subjects. Messages name lines and columns, never a value."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.subjects import REQUIRED_COLUMNS, SUBJECT_COLUMNS, SubjectTable, table_problem

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy

DECISION_COLUMNS = ("what", "verdict", "who", "when", "why")
DECISION_VERDICTS = frozenset({"release", "withhold", "hide", "keep"})
_UID = r"[0-2](\.(0|[1-9][0-9]*))+"
_OF_TEXT = re.compile(_UID + "#[0-9a-f]{12}"), "hide and keep take <new SOP Instance UID>#<id of finding, 12 digits>"
_OF_THING = (
    re.compile(_UID + "(@[0-9a-f]{12})?"),
    "release takes a new study, series or SOP Instance UID, or <new SOP Instance UID>@<first 12 digits of input_checksum>",
)
_OF_UID = re.compile(_UID), "withhold takes a new study, series or SOP Instance UID"
WHAT_BY_VERDICT = {"hide": _OF_TEXT, "keep": _OF_TEXT, "release": _OF_THING, "withhold": _OF_UID}
PATIENT_COLUMNS = ("patient_id", "issuer", "person")


def separator_hint(header: Collection[str]) -> str:
    """Return what to say of a first line that other characters than commas divide, "" where it is none."""
    only = next(iter(header)) if len(header) == 1 else ""
    for character, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if character in only:
            return f": its first line is divided by {name}; save it with commas between the columns"
    return ""


def _rows(
    path: Path, columns: tuple[str, ...], table: str, required: tuple[str, ...] | None = None
) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
            header = set(reader.fieldnames or ())
    except UnicodeDecodeError:
        raise ConfigError(f"The table of {table} is no UTF-8 text; save it as CSV in UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise ConfigError(f"The table of {table} cannot be read ({type(error).__name__}).") from error
    if missing := [column for column in required or columns if column not in header]:
        raise ConfigError(f"The table of {table} lacks the column(s) {', '.join(missing)}{separator_hint(header)}.")
    return [{column: row.get(column, "") for column in columns} for row in rows]


def decisions_table(path: Path | None) -> bytes | None:
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
        form, told = WHAT_BY_VERDICT[row["verdict"]]
        if not form.fullmatch(row["what"]) or len(re.split("[#@]", row["what"])[0]) > 64:
            raise ConfigError(f"Decisions, line {number}: what: {told}.")
        if not _is_time(row["when"]):
            raise ConfigError(
                f"Decisions, line {number}: when: takes a day, YYYY-MM-DD (2026-03-02), or YYYY-MM-DDThh:mm with the time."
            )
    if len({row["what"] for row in rows}) < len(rows):
        raise ConfigError("Decisions: one thing is decided twice; keep one row of it.")
    return csv_bytes(DECISION_COLUMNS, rows)


def _is_time(text: str) -> bool:
    """Tell whether a text is a day of the calendar, YYYY-MM-DD, alone or with a time of ISO 8601."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return re.match(r"\d{4}-\d{2}-\d{2}", text) is not None


def patients_table(path: Path | None) -> bytes | None:
    if path is None:
        return None
    rows = _rows(path, PATIENT_COLUMNS, "patients")
    for number, row in enumerate(rows, start=2):
        if not row["patient_id"] or not row["person"]:
            raise ConfigError(f"Patients, line {number}: patient_id and person need a value.")
    if len({(row["patient_id"], row["issuer"]) for row in rows}) < len(rows):
        raise ConfigError("Patients: one patient_id and issuer stands in two lines; keep one of them.")
    return csv_bytes(PATIENT_COLUMNS, rows)


def subjects_table(path: Path | None, kept: Path, patients: Path, policy: Policy) -> bytes | None:
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
    return None if path is None else csv_bytes(SUBJECT_COLUMNS, rows)


def csv_bytes(columns: tuple[str, ...], rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)))
    return text.getvalue().encode()
