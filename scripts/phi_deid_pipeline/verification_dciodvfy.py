"""Compare what `dciodvfy` (dicom3tools) says of a written instance with what it says of its source, where installed.

Its messages hold values. What goes on is the path of tags and one of the kinds below, nothing else of a message.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from phi_deid_pipeline.records import DeidRecord, HoldReason, Residual, Status, VerificationRecord
from phi_deid_pipeline.value_objects import replace

PROGRAM = "dciodvfy"
TIMEOUT_S = 120
CANNOT_READ = "the program cannot read it"
# Of these it reads the compressed bytes as if they were elements.
UNKNOWN_SYNTAXES = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"})

_ERROR = re.compile(r"^Error - (?:<(/.*?)> - )?(.*)$", re.M)
_TAG = re.compile(r'\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})(?:,"[^"]*")?\)(?:\[\d+\])?(?=/|$)')
_TYPE = re.compile(r"Type (1C|2C|1|2|3)\b")
# How a message begins -> what is said of it.
_KINDS = (
    ("Missing attribute or value", "missing"),
    ("Missing attribute", "missing"),
    ("Empty attribute", "empty"),
    ("Attribute present when condition unsatisfied", "not allowed here"),
    ("Value invalid for this VR", "value does not fit the VR"),
    ("Unrecognized enumerated value", "not an enumerated value"),
    ("Illegal root for UID", "UID of an unknown root"),
    ("Number of items", "number of items"),
    ("Bad Sequence number of Items", "number of items"),
    ("Bad attribute Value Multiplicity", "value multiplicity"),
    ("Referenced SOP Instance is not listed", "reference not listed as evidence"),
    ("Attribute is not present in standard DICOM IOD", "not in the IOD"),
    ("Dicom dataset read failed", CANNOT_READ),
    ("Tags out of order", CANNOT_READ),
    ("Information Object Not found", CANNOT_READ),
)


def program() -> str:
    """Return the path of the program, "" where it is not installed."""
    return shutil.which(PROGRAM) or ""


def sampled(count: int, share: str) -> frozenset[int]:
    """Return which of a series' instances, in order, are looked at: all, the first, middle and last, or none."""
    if share == "all":
        return frozenset(range(count))
    return frozenset({0, count // 2, count - 1}) if share == "sample" and count else frozenset()


def errors_of(path: Path, command: Sequence[str]) -> frozenset[tuple[str, str]] | None:
    """Return (path of tags, kind) of each error; None where the program ends by a signal or not in time."""
    import subprocess  # here: most jobs ask no program, and pay for their imports

    try:
        done = subprocess.run(
            [*command, "-new", str(path.resolve())], capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode < 0 else frozenset(parsed((done.stdout + done.stderr).decode("latin-1")))


def parsed(output: str) -> Iterator[tuple[str, str]]:
    """Yield (path of tags, kind) of each error in the program's output."""
    for match in _ERROR.finditer(output):
        tags = _TAG.findall(match[1] or "")
        message = match[2]
        kind = next((kind for head, kind in _KINDS if message.startswith(head)), "other error")
        demanded = _TYPE.search(message) if kind in ("missing", "empty", "not allowed here") else None
        yield (
            ".".join((group + element).upper() for group, element in tags),
            (f"{kind}, Type {demanded[1]}" if demanded else kind),
        )


def new_errors(written: Path, source: Path, command: Sequence[str]) -> tuple[Residual, ...] | None:
    """Return the errors that the source does not have; None where the program gives no answer on one of both.

    What it says of a source that it cannot read to the end is no measure of the result.
    """
    after = errors_of(written, command)
    if not after:
        return None if after is None else ()
    before = errors_of(source, command)
    if before is None or CANNOT_READ in {kind for _, kind in before}:
        return None
    return tuple(Residual("dciodvfy", where, "", kind) for where, kind in sorted(after - before))


def with_new_errors(
    verdict: VerificationRecord, written: Path, source: Path, record: DeidRecord, command: Sequence[str]
) -> VerificationRecord:
    """Return the verdict with the program's new errors added: they hold what would else be released."""
    if record.transfer_syntax_uid in UNKNOWN_SYNTAXES:
        return verdict
    found = new_errors(written, source, command)
    if found is None:
        return verdict
    checks = tuple(sorted({*verdict.checks, "dciodvfy"}))
    if not found:
        return replace(verdict, checks=checks)
    free = verdict.status is Status.RELEASED
    return replace(
        verdict,
        status=Status.HELD if free else verdict.status,
        reason=HoldReason.CONFORMANCE.value if free else verdict.reason,
        checks=checks,
        residuals=tuple(sorted({*verdict.residuals, *found}, key=lambda r: (r.check, r.where, r.category, r.detail))),
    )


class Asked:
    """Which instances of a batch the program is asked about, by the config key `verification.dciodvfy`.

    Of the sample of a series those are left out that differ from one before them in values alone. What is asked does not
    depend on the batch in which a series stands.
    """

    def __init__(self, records: Iterable[DeidRecord], share: str) -> None:
        series: dict[str, list[str]] = {}
        for record in records:
            if record.staged_path:
                series.setdefault(record.series_uid, []).append(record.sop_uid)
        self._asked = {uids[place] for uids in series.values() for place in sampled(len(uids), share)}
        self._command = [program()] if self._asked and program() else []
        self._each_layout_once = share == "sample"
        self._seen: set[tuple[str, bytes]] = set()

    def with_new_errors(
        self, verdict: VerificationRecord, written: Path, source: Path, record: DeidRecord, layouts: bytes
    ) -> VerificationRecord:
        """Return the verdict with new errors added, the same one where the program is not asked."""
        key = (record.series_uid, layouts)
        if not self._command or record.sop_uid not in self._asked or (self._each_layout_once and key in self._seen):
            return verdict
        self._seen.add(key)
        return with_new_errors(verdict, written, source, record, self._command)
