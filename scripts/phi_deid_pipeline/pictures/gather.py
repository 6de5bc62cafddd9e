"""Assembles the pictures of all batches: what stands on which page. Holds an index entry a series, pictures never."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from phi_deid_pipeline.pictures.states import REVIEW
from phi_deid_pipeline.records import PictureRow, SeriesPictures, Status, Thumbnail, Unread

ROWS_PER_PAGE = 60  # of original, boxes and result, on one HTML page; a series is not cut
SHEET_COLUMNS, SHEET_ROWS = 8, 6
PER_SHEET = SHEET_COLUMNS * SHEET_ROWS
SHEETS_PER_PAGE = 10

Load = Callable[[str, int], SeriesPictures]


@dataclass(slots=True)
class Totals:
    """Counts of all series; they name no instance."""

    series: int = 0
    series_with_findings: int = 0
    instances: int = 0
    instances_with_findings: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    not_looked_at: Counter[str] = field(default_factory=Counter)
    released: int = 0
    thumbnails: int = 0
    rows: int = 0
    instances_differing_not_shown: int = 0

    def add(self, series: SeriesPictures, released: int, thumbnails: int) -> None:
        """Count a series."""
        self.series += 1
        self.series_with_findings += bool(series.rows)
        self.instances += series.instances
        self.instances_with_findings += series.with_findings
        self.findings.update(series.findings)
        for unread in series.unread:
            self.not_looked_at[reason_of(unread)] += unread.count
        self.released += released
        self.thumbnails += thumbnails
        self.rows += len(series.rows)
        self.instances_differing_not_shown += series.not_shown

    def as_data(self) -> dict[str, Any]:
        """Return the counts as they go into the report of Snakemake."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: dict(sorted(v.items())) if isinstance(v, Counter) else v for k, v in plain.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a series stands and what the pages need to know before it is read; `ends` hold what is not released."""

    study_uid: str
    series_uid: str
    batch: str
    line: int
    rows: int
    thumbnails: int
    released: int
    review: bool
    pictured: bool
    ends: Mapping[str, str]
    number: int = 0  # of the series among all, from 1


@dataclass(frozen=True, slots=True)
class Shown:
    """A series on a page: its number among all series, its pictures, and the end of an instance by UID."""

    number: int
    batch: str
    series: SeriesPictures
    ends: Mapping[str, str]

    def end(self, row: PictureRow | Unread) -> str:
        """Return how an instance ended."""
        return self.ends.get(row.sop_uid, "released")


@dataclass(frozen=True, slots=True)
class Placed:
    """A thumbnail on a sheet, with number and modality of its series, and the batch that holds the picture."""

    series: int
    modality: str
    batch: str
    thumbnail: Thumbnail


class Gathered:
    """The index of all series, in the order of the pages; series are read one at a time when a page needs them."""

    def __init__(
        self,
        batches: Sequence[str],
        lines: Callable[[str], Iterable[SeriesPictures]],
        ended: Iterable[Mapping],
        load: Load,
    ) -> None:
        self.totals = Totals()
        self._load = load
        entries: list[Entry] = []
        groups = ((batch, list(rows)) for batch, rows in groupby(ended, key=lambda row: row["batch"]))
        left = dict.fromkeys(batches)
        for batch, rows in groups:
            entries += self._index(batch, lines(batch), rows)
            del left[batch]
        for batch in left:  # a batch of which nothing has a status: nothing was released of it
            entries += self._index(batch, lines(batch), [])
        entries.sort(key=lambda entry: (entry.study_uid, entry.series_uid))
        entries = [replace(entry, number=number) for number, entry in enumerate(entries, 1)]
        self.with_rows = sorted(
            (e for e in entries if e.rows), key=lambda entry: (not entry.review, not entry.pictured)
        )
        self.with_thumbnails = [entry for entry in entries if entry.thumbnails]

    def _index(self, batch: str, lines: Iterable[SeriesPictures], ended: Sequence[Mapping]) -> Iterator[Entry]:
        ends = {row["sop_uid"]: _end(row) for row in ended}
        for number, series in enumerate(lines):
            shown = [*series.rows, *series.unread, *series.thumbnails]
            own = {s.sop_uid: ends.get(s.sop_uid, "not released") for s in shown}
            own = {uid: end for uid, end in own.items() if end}
            same = (series.study_uid, series.series_uid)  # a Series Instance UID may stand in several studies
            released = sum((r["study_uid"], r["series_uid"]) == same and r["status"] == Status.RELEASED for r in ended)
            thumbs = sum(thumb.sop_uid not in own for thumb in series.thumbnails)
            self.totals.add(series, released, thumbs)
            yield Entry(
                study_uid=series.study_uid,
                series_uid=series.series_uid,
                batch=batch,
                line=number,
                rows=len(series.rows) + len(series.unread),
                thumbnails=thumbs,
                released=released,
                review=bool(series.findings.get(REVIEW)) or any(end.startswith("held") for end in own.values()),
                pictured=bool(series.rows),
                ends=own,
            )

    def finding_pages(self, limit: int = ROWS_PER_PAGE) -> list[list[int]]:
        """Return which series (by place in `with_rows`) stand on which page; one page at least."""
        pages: list[list[int]] = [[]]
        filled = 0
        for place, entry in enumerate(self.with_rows):
            if filled and filled + entry.rows > limit:
                pages.append([])
                filled = 0
            pages[-1].append(place)
            filled += entry.rows
        return pages

    def shown(self, places: Iterable[int]) -> Iterator[Shown]:
        """Yield series of a page, read now."""
        for place in places:
            entry = self.with_rows[place]
            yield Shown(entry.number, entry.batch, self._load(entry.batch, entry.line), entry.ends)

    def sheets(self) -> Iterator[list[Placed]]:
        """Yield the sheets of thumbnails of what was released."""
        sheet: list[Placed] = []
        for entry in self.with_thumbnails:
            series = self._load(entry.batch, entry.line)
            for thumb in series.thumbnails:
                if thumb.sop_uid not in entry.ends:
                    sheet.append(Placed(entry.number, series.modality, entry.batch, thumb))
                if len(sheet) == PER_SHEET:
                    yield sheet
                    sheet = []
        if sheet:
            yield sheet

    @property
    def sheet_count(self) -> int:
        """The number of sheets."""
        return -(-sum(entry.thumbnails for entry in self.with_thumbnails) // PER_SHEET)


def reason_of(unread: Unread) -> str:
    """Return in words why instances were not looked at."""
    status = unread.status.replace("_", " ")
    return f"{status}: {unread.detail.replace('_', ' ')}" if unread.detail else status


def _end(row: Mapping) -> str:
    """Return in words how an instance ended, "" for released."""
    if row["status"] == Status.RELEASED:
        return ""
    return f"{row['status']}: {row['reason'].replace('_', ' ')}"
