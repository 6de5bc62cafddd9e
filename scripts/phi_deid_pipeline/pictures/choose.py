"""Which instances and frames of a series are shown: the first, and those whose boxes or verdicts are unlike all shown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from phi_deid_pipeline.boxes import iou
from phi_deid_pipeline.pictures.states import HIDDEN, IGNORED, KEPT, REVIEW, state_of
from phi_deid_pipeline.records import DeidRecord, Finding, InstanceFindings

ALIKE_IOU = 0.5  # boxes that overlap so much are one place
MAX_GROUPS = 200  # kinds of a series that are told apart; more differ from all shown
MAX_FRAMES = 3  # frames of one instance that a row of pictures each shows
MAX_KEPT_TEXTS = 40  # texts named that are kept in instances alike


@dataclass(slots=True)
class Kind:
    """Instances of a series with the same boxes and verdicts; the first of them is shown."""

    first: int
    members: list[int] = field(default_factory=list)
    kept: dict[str, None] = field(default_factory=dict)


def kinds_of(found: Sequence[InstanceFindings], records: Sequence[DeidRecord]) -> tuple[list[Kind], int]:
    """Group the instances of a series that have findings; the second number counts those that were not grouped.

    Instances are alike where every box of one has a counterpart in the other with the same verdict and end, and both
    ended alike. What was read in a box that is hidden may differ; text that is kept is remembered by its group.
    """
    kinds: list[Kind] = []
    by_key: defaultdict[tuple, list[Kind]] = defaultdict(list)
    rest = 0
    for index, (seen, record) in enumerate(zip(found, records, strict=True)):
        if not _has_text(seen):
            continue
        same = by_key[_key(seen, record)]
        kind = next((kind for kind in same if _alike(found[kind.first], seen)), None)
        if kind is not None:
            kind.members.append(index)
            own = {finding.text for finding in found[kind.first].findings if not finding.hide}
            fresh = (f.text for f in seen.findings if state_of(f) in (KEPT, REVIEW) and f.text not in own)
            kind.kept.update(dict.fromkeys(fresh))
        elif len(kinds) < MAX_GROUPS:
            kind = Kind(index)
            same.append(kind)
            kinds.append(kind)
        else:
            rest += 1
    return kinds, rest


def shown_kinds(
    kinds: Sequence[Kind], found: Sequence[InstanceFindings], records: Sequence[DeidRecord], limit: int
) -> list[Kind]:
    """Return up to `limit` kinds in their order: the first, then what a person most needs to see."""
    if len(kinds) <= limit:
        return list(kinds)

    def need(kind: Kind) -> tuple[bool, bool, int]:
        states = {state_of(finding) for finding in found[kind.first].findings}
        return not records[kind.first].hold and REVIEW not in states, KEPT not in states, kind.first

    chosen = [kinds[0], *sorted(kinds[1:], key=need)[: limit - 1]]
    return sorted(chosen, key=lambda kind: kind.first)


def frames_of(seen: InstanceFindings) -> list[int]:
    """Return the frames of an instance to show, sorted: the first with text, then those with most that was not hidden."""
    by_frame: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for finding in seen.findings:
        if finding.verdict.value != "not_text":
            by_frame[finding.frame][state_of(finding)] += 1
    if not by_frame:
        return []
    first, *others = sorted(by_frame)
    others.sort(key=lambda frame: (-by_frame[frame][REVIEW], -by_frame[frame][HIDDEN], -by_frame[frame][KEPT], frame))
    return sorted([first, *others[: MAX_FRAMES - 1]])


def spread(count: int, wanted: int, first: Sequence[int] = ()) -> list[int]:
    """Return up to `wanted` of `count` indices, sorted: those in `first` before others, the rest evenly spaced."""
    if count <= wanted:
        return list(range(count))
    chosen = list(dict.fromkeys(first))[:wanted]
    left = wanted - len(chosen)
    if left:
        pool = [index for index in range(count) if index not in set(chosen)]
        chosen += [pool[round(i * (len(pool) - 1) / max(left - 1, 1))] for i in range(left)]
    return sorted(set(chosen))


def _has_text(seen: InstanceFindings) -> bool:
    return any(state_of(finding) != IGNORED for finding in seen.findings)


def _key(seen: InstanceFindings, record: DeidRecord) -> tuple:
    """Return what instances that are alike have in common for certain."""
    marks = Counter(_what(finding) for finding in seen.findings if state_of(finding) != IGNORED)
    return seen.status, seen.hold, record.status, record.reason, record.hold, tuple(sorted(marks.items()))


def _what(finding: Finding) -> tuple[str, str, str, str]:
    return state_of(finding), finding.verdict.value, finding.category, finding.plane


def _alike(one: InstanceFindings, other: InstanceFindings) -> bool:
    mine, theirs = ([f for f in seen.findings if state_of(f) != IGNORED] for seen in (one, other))
    return _covered(mine, theirs) and _covered(theirs, mine)


def _covered(some: Sequence[Finding], others: Sequence[Finding]) -> bool:
    return all(
        any(_what(a) == _what(b) and a.frame == b.frame and iou(a.box, b.box) >= ALIKE_IOU for b in others)
        for a in some
    )
