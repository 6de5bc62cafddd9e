"""What the evaluation of a de-identified folder finds, and its score. Findings quote what was seen: they are private."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from enum import StrEnum

from phi_deid_pipeline.records import Box

SEEN_LENGTH = 160  # characters of what was seen that a report quotes
TIME = "time"


class Severity(StrEnum):
    """How sure a finding is."""

    CERTAIN = "certain"  # a known identifier as a whole, or a form that nothing but an identifier has
    LIKELY = "likely"  # what the standard removes is there with a value that looks real, a known name's word, or nobody can look
    POSSIBLE = "possible"  # may be harmless, short known numbers among them; a person has to know


ORDER = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class HeaderFinding:
    """One value of a header, or a fact about a file: `tag` is its path, or `file`, `path`, `preamble`."""

    file: str
    tag: str
    keyword: str
    vr: str
    severity: Severity
    kind: str
    seen: str
    why: str


@dataclass(frozen=True, slots=True)
class PixelFinding:
    """Text in one frame (0-based) of one plane; `box` is x, y, width, height in pixels, empty where nothing was read."""

    file: str
    frame: int
    plane: str
    box: Box | None
    reader: str
    confidence: float
    severity: Severity
    kind: str
    seen: str
    why: str


@dataclass(frozen=True, slots=True)
class FileResult:
    """What was found in one file. `is_instance`: it holds a DICOM data set that could be read."""

    file: str
    is_instance: bool
    header: tuple[HeaderFinding, ...] = ()
    pixels: tuple[PixelFinding, ...] = ()
    frames: int = 0
    frames_read: int = 0

    @property
    def findings(self) -> tuple[HeaderFinding | PixelFinding, ...]:
        return (*self.header, *self.pixels)


HEADER_COLUMNS = (*(field.name for field in fields(HeaderFinding)), TIME)
PIXEL_COLUMNS = (*(field.name for field in fields(PixelFinding)), TIME)


def tsv(columns: Sequence[str], findings: Iterable[HeaderFinding | PixelFinding], time: str) -> str:
    """Return findings as a table in their order; what would break a line is shown as an escape."""
    lines = ["\t".join(columns)]
    for finding in findings:
        # Not astuple: a box would come apart.
        values = [getattr(finding, name) for name in columns if name != TIME]
        lines.append("\t".join([*(_cell(value) for value in values), time]))
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, Box):
        return ",".join(str(number) for number in astuple(value))
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else legible(str(value))


def legible(text: str) -> str:
    """Return a text of one line and bounded length; control characters and lone surrogates as escapes."""
    short = text if len(text) <= SEEN_LENGTH else text[:SEEN_LENGTH] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in short)


def score(results: Sequence[FileResult]) -> dict[str, object]:
    """Return the figures of an evaluation.

    `score` is the percentage of the instances with no certain and no likely finding; files that look like DICOM and cannot be
    read count as instances with one. `per_1000_instances` counts findings of each severity, `without_finding_percent`
    the instances without any. 100 means that these readers and patterns saw nothing, not that nothing is there.
    """
    instances = [result for result in results if result.is_instance or _unreadable(result)]
    counts = Counter(finding.severity for result in results for finding in result.findings)
    kinds: dict[str, Counter[str]] = {}
    for result in results:
        for finding in result.findings:
            kinds.setdefault(finding.kind, Counter())[finding.severity] += 1
    serious = [result for result in instances if any(f.severity is not Severity.POSSIBLE for f in result.findings)]
    none = [result for result in instances if not result.findings]
    total = len(instances)
    return {
        "score": _percent(total - len(serious), total),
        "without_finding_percent": _percent(len(none), total),
        "files": len(results),
        "instances": total,
        "unreadable": sum(_unreadable(result) for result in instances),
        "no_dicom": len(results) - total,
        "frames": sum(result.frames for result in results),
        "frames_read": sum(result.frames_read for result in results),
        "findings": {severity.value: counts[severity] for severity in Severity},
        "per_1000_instances": {
            severity.value: round(1000 * counts[severity] / total, 1) if total else 0.0 for severity in Severity
        },
        "kinds": {
            kind: {severity.value: kinds[kind][severity] for severity in Severity if kinds[kind][severity]}
            for kind in sorted(kinds)
        },
    }


def _unreadable(result: FileResult) -> bool:
    return not result.is_instance and any(finding.kind == "unreadable" for finding in result.findings)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 100.0
