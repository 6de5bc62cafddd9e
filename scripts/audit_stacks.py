"""What of CT stacks is released: pictures and volumes, those that have to be made anew, and what is left out and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_status import FinalStatus, statuses_by_batch
from phi_deid_pipeline.records import DeidRecord, StackProduct, Status
from record_io import read_jsonl

Key = tuple[str, str]  # new Study and Series Instance UID
Place = Callable[[str, Path, str], object]  # takes path in the release, file, and SHA-256 when that was checked
PICTURE = "picture"
_WITHOUT = "released, but drawn without a SEG or RTSTRUCT that is not released"
_NO_MARK = "its SEG is not released"


@dataclass(frozen=True, slots=True)
class Remaking:
    """Series of a batch whose staged state is not what is released.

    `withheld` counts, by series, staged instances that are not released beside some that are; `redrawn` are these series
    and those that a withheld SEG or RTSTRUCT marks; `released` are the SOP Instance UIDs of theirs that are.
    """

    batch: str
    withheld: Mapping[Key, int]
    redrawn: frozenset[Key]
    released: frozenset[str]


@dataclass(slots=True)
class Settled:
    """What became of pictures and volumes: how many are released, and what is left out."""

    counts: Counter[str] = field(default_factory=Counter)
    left_out: list[dict[str, Any]] = field(default_factory=list)

    def leave_out(self, product: StackProduct, reason: str) -> None:
        """Note what is not released, and why."""
        self.left_out.append(
            {
                "study_instance_uid": product.study_uid,
                "series_instance_uid": product.series_uid,
                "stack": product.stack,
                "kind": product.kind,
                "segment": product.segment,
                "reason": reason,
            }
        )

    def as_data(self) -> dict[str, Any]:
        """Return counts by kind and what is left out, sorted, for the summary."""
        rows = sorted(self.left_out, key=lambda row: tuple(row.values()))
        return {**{kind: self.counts[kind] for kind in (PICTURE, "image", "mask")}, "left_out": rows}


def ct_prepro_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the series of a CT preprocessing audit as it is written: a head, then each series on a line of its own."""
    with path.open("rb") as lines:
        next(lines)
        for line in lines:
            if line.startswith(b"{"):
                yield json.loads(line.rstrip(b",\n"))


def partly_released(statuses: Iterable[FinalStatus]) -> dict[Key, int]:
    """Return how many staged instances are withheld from each series of which others are released."""
    withheld: Counter[Key] = Counter()
    released: set[Key] = set()
    for one in statuses:
        key = (one.study_uid, one.series_uid)
        if one.status is Status.RELEASED:
            released.add(key)
        elif one.staged_path:
            withheld[key] += 1
    return {key: withheld[key] for key in sorted(released & withheld.keys())}


def remaking(private: Path, products: Sequence[Path]) -> Iterator[Remaking]:
    """Yield what has to be measured and drawn again, by batch; `products` are lists of what was made, a batch each."""
    released = _released(private, {uid for one in _listed(products) for uid in one.marks})
    spoilt = {
        (one.study_uid, one.series_uid)
        for one in _listed(products)
        if one.kind == PICTURE and not released.issuperset(one.marks)
    }
    for batch, statuses in statuses_by_batch(private / "statuses.jsonl"):
        withheld = partly_released(statuses.values())
        going = [one for one in statuses.values() if one.status is Status.RELEASED]
        if redrawn := frozenset(withheld) | (spoilt & {(one.study_uid, one.series_uid) for one in going}):
            of_these = (one.sop_uid for one in going if (one.study_uid, one.series_uid) in redrawn)
            yield Remaking(batch, withheld, redrawn, frozenset(of_these))


def released_marks(
    private: Path, products: Sequence[Path], series: Container[Key]
) -> list[tuple[Path, list[DeidRecord]]]:
    """Return the staging of each batch with its released SEG and RTSTRUCT that mark a stack of some series of any."""
    marks = {uid for one in _listed(products) if (one.study_uid, one.series_uid) in series for uid in one.marks}
    found = []
    for batch, statuses in statuses_by_batch(private / "statuses.jsonl") if marks else ():
        wanted = {uid for uid in marks & statuses.keys() if statuses[uid].status is Status.RELEASED}
        if wanted:
            records = read_jsonl(private / "records" / f"{batch}.jsonl", DeidRecord)
            found.append((private / "staging" / batch, [one for one in records if one.sop_uid in wanted]))
    return found


def released_records(private: Path, work: Remaking, series: Container[Key]) -> list[DeidRecord]:
    """Return the records of the released instances of some series of a batch."""
    records = read_jsonl(private / "records" / f"{work.batch}.jsonl", DeidRecord)
    return [one for one in records if (one.study_uid, one.series_uid) in series and one.sop_uid in work.released]


def settled_products(private: Path, products: Sequence[Path], place: Place | None = None) -> Settled:
    """Hand pictures and volumes that are released to `place`, one by one; return their number and what is left out.

    `products` are lists, a batch each, beside the folders of what they list; what was made anew in `private/remade`
    stands for what was made of those series before. A product goes with all its instances, and not at all where its check
    found something.
    """
    settled, superseded = Settled(), _superseded(private, products)
    remade = [private / "remade" / f"{name}.jsonl" for name in ("figures", "volumes")]
    named = {uid for one in _listed(products) for uid in one.marks}
    named |= {uid for one in _listed(remade) for uid in one.sources}
    known = _released(private, named)  # of a batch's own instances only while it is looked at: they may be millions
    lists: dict[str, list[Path]] = {}
    for path in products:
        lists.setdefault(path.stem, []).append(path)
    for batch, statuses in statuses_by_batch(private / "statuses.jsonl"):
        own = {uid for uid, one in statuses.items() if one.status is Status.RELEASED}
        for path in lists.get(batch, ()):
            for one in read_jsonl(path, StackProduct):
                released = {uid for uid in (*one.sources, *one.marks) if uid in own or uid in known}
                if (one.kind == PICTURE, one.study_uid, one.series_uid) not in superseded:
                    _settle(settled, path, one, released, place)
                of_released = released.intersection(one.sources).difference(one.marks)
                if of_released and not one.problems and not released.issuperset(one.marks):
                    settled.leave_out(one, _WITHOUT if one.kind == PICTURE else _NO_MARK)
    for path in remade:
        for one in read_jsonl(path, StackProduct):
            _settle(settled, path, one, known, place)
    return settled


def _settle(settled: Settled, path: Path, one: StackProduct, released: set[str], place: Place | None) -> None:
    if released.isdisjoint(set(one.sources) - set(one.marks)):
        return  # nothing of the stack is released: its instances say why
    if one.problems:
        settled.leave_out(one, "; ".join(one.problems))
    elif released.issuperset(one.sources):
        settled.counts[one.kind] += 1
        if place is not None:
            place(one.name, path.with_suffix("") / one.name.partition("/")[2], one.sha256)


def _superseded(private: Path, products: Sequence[Path]) -> set[tuple[bool, str, str]]:
    """Return the series that were made anew, their pictures (True) and their volumes (False) each by itself."""
    found = set()
    for one in remaking(private, products):
        found |= {(True, *key) for key in one.redrawn} | {(False, *key) for key in one.withheld}
    return found


def _listed(products: Iterable[Path]) -> Iterator[StackProduct]:
    for path in products:
        yield from read_jsonl(path, StackProduct)


def _released(private: Path, among: Container[str]) -> set[str]:
    statuses = read_jsonl(private / "statuses.jsonl", FinalStatus)
    return {one.sop_uid for one in statuses if one.sop_uid in among and one.status is Status.RELEASED}
