"""Draws the pictures of a series: rows of original, boxes with verdicts and result, thumbnails of what was written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from phi_deid_pipeline.boxes import area, iou, overlap
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.pictures.choose import (
    MAX_KEPT_TEXTS,
    Kind,
    frames_of,
    kinds_of,
    shown_kinds,
    spread,
)
from phi_deid_pipeline.pictures.render import (
    PICTURE_SIDE,
    THUMB_QUALITY,
    THUMB_SIDE,
    Outline,
    Rendered,
    crop,
    jpeg,
    render_frames,
    sized,
    with_outlines,
)
from phi_deid_pipeline.pictures.states import (
    COLOURS,
    HIDDEN,
    IGNORED,
    KEPT,
    REVIEW,
    PictureSettings,
    state_of,
)
from phi_deid_pipeline.records import (
    Box,
    DeidRecord,
    Finding,
    InstanceFindings,
    Picture,
    PictureMark,
    PictureRow,
    Region,
    SeriesEntry,
    SeriesPictures,
    Thumbnail,
    Unread,
)

EVERY_FRAME = -1
FILLED_ANYWAY = "; filled all the same"
MAX_MARKS = 60  # findings of one picture that are listed
SAME_BOX_IOU = 0.4  # a finding and the box filled for it, which is grown by a margin
COVERED = 0.8  # part of a finding that a box of another frame, slice or place fills: it is gone
SEEN = ("read", "no_pixels")
ORDER = (IGNORED, KEPT, REVIEW, HIDDEN)  # drawn last lies on top

Keep = Callable[[str, bytes], None]
Place = tuple[str, str, int, str, Box, str]
Readers = Mapping[Place, str]


@dataclass(frozen=True, slots=True)
class Drawer:
    """Draws the series of one batch. `keep` stores a JPEG under a name made of its content; `readers` tell who read what."""

    input_root: Path
    staging: Path
    settings: PictureSettings
    readers: Readers
    keep: Keep

    def draw(
        self, series: SeriesEntry, found: Sequence[InstanceFindings], records: Sequence[DeidRecord]
    ) -> SeriesPictures:
        """Return the pictures of a series; findings and records stand in the order of its instances."""
        kinds, rest = kinds_of(found, records)
        shown = shown_kinds(kinds, found, records, self.settings.pictures_per_series)
        rows = [row for kind in shown for row in self._rows(kind, found[kind.first], records[kind.first])]
        hidden = sum(1 + len(kind.members) for kind in kinds) - sum(1 + len(kind.members) for kind in shown)
        states = Counter(end_of(f, record) for seen, record in zip(found, records, strict=True) for f in seen.findings)
        return SeriesPictures(
            study_uid=records[0].study_uid,
            series_uid=records[0].series_uid,
            modality=series.instances[0].modality,
            instances=len(series.instances),
            staged=sum(bool(record.staged_path) for record in records),
            with_findings=sum(any(state_of(f) != IGNORED for f in seen.findings) for seen in found),
            findings=dict(sorted(states.items())),
            rows=tuple(rows),
            not_shown=hidden + rest,
            unread=tuple(_unread(found, records)),
            thumbnails=tuple(self._thumbnails(found, records, [kind.first for kind in shown])),
        )

    def _rows(self, kind: Kind, seen: InstanceFindings, record: DeidRecord) -> Iterable[PictureRow]:
        frames = frames_of(seen)
        originals, note = _rendered(self.input_root / seen.path, frames)
        results, result_note = ({}, record.reason.replace("_", " ") or "not written")
        if record.staged_path:
            results, result_note = _rendered(self.staging / record.staged_path, frames, originals)
        kept = tuple(list(kind.kept)[:MAX_KEPT_TEXTS])
        others = sum(1 for finding in seen.findings if finding.frame not in frames)
        for number, frame in enumerate(frames):
            findings = [finding for finding in seen.findings if finding.frame == frame][:MAX_MARKS]
            boxes = _filled(record, frame, findings)
            original, result = originals.get(frame), results.get(frame)
            notes = [note and f"Original: {note}.", "" if result else f"No result: {result_note}."]
            if number == 0 and others:
                notes.append(f"{others} more findings in other frames.")
            yield PictureRow(
                sop_uid=record.sop_uid,
                position=kind.first + 1,
                frame=frame,
                frames=max(seen.frames, 1),
                marks=tuple(self._mark(n, seen, f, record, original) for n, f in enumerate(findings, 1)),
                number=original.number if original else None,
                original=self._picture(original),
                boxes=self._picture(original, _outlines(findings, boxes, record)) if original else None,
                result=self._picture(result),
                further_boxes=len(boxes),
                note=" ".join(filter(None, notes)),
                alike=len(kind.members) if number == 0 else 0,
                kept_elsewhere=kept if number == 0 else (),
            )

    def _mark(
        self, number: int, seen: InstanceFindings, finding: Finding, record: DeidRecord, original: Rendered | None
    ) -> PictureMark:
        state = end_of(finding, record)
        image = crop(original.picture, finding.box) if original else None
        place = seen.sop_uid, seen.path, finding.frame, finding.plane, finding.box, finding.text
        return PictureMark(
            number=number,
            frame=finding.frame,
            plane=finding.plane,
            state=state,
            text=finding.text,
            verdict=finding.verdict.value,
            category=finding.category,
            reason=finding.reason + (FILLED_ANYWAY if state != state_of(finding) else ""),
            confidence=finding.confidence,
            reader=self.readers.get(place, ""),
            id=finding.id,
            crop=self._stored(image) if image else None,
        )

    def _thumbnails(
        self, found: Sequence[InstanceFindings], records: Sequence[DeidRecord], first: Sequence[int]
    ) -> Iterable[Thumbnail]:
        staged = [n for n, record in enumerate(records) if record.staged_path and found[n].status != "no_pixels"]
        wanted = [staged.index(index) for index in first if index in set(staged)]
        left = self.settings.thumbnails_per_series
        for index in (staged[n] for n in spread(len(staged), left, wanted)):
            seen, record = found[index], records[index]
            frames = sorted({*frames_of(seen)[:2], 0, max(seen.frames, 1) // 2, max(seen.frames, 1) - 1})[:left]
            left -= len(frames)
            pictures, _ = _rendered(self.staging / record.staged_path, frames)
            for frame in sorted(pictures):
                yield self._thumbnail(pictures[frame], frame, index, seen, record)
            if left <= 0:
                return

    def _thumbnail(
        self, picture: Rendered, frame: int, index: int, seen: InstanceFindings, record: DeidRecord
    ) -> Thumbnail:
        # Text that stays is told in the first frame that shows it, and stands in later ones too.
        findings = [f for f in seen.findings if f.frame <= frame and end_of(f, record) in (KEPT, REVIEW)]
        filled = [Outline(box, COLOURS[HIDDEN]) for at, box in record.boxes if at in (EVERY_FRAME, frame)]
        left = [Outline(f.box, COLOURS[state_of(f)]) for f in findings]
        image, scale = sized(picture.picture, THUMB_SIDE)
        states = {state_of(f) for f in findings} | ({HIDDEN} if filled else set())
        return Thumbnail(
            sop_uid=record.sop_uid,
            position=index + 1,
            frame=frame,
            frames=max(seen.frames, 1),
            states=tuple(sorted(states)),
            picture=self._stored(with_outlines(image, scale, [*left, *filled], width=1), THUMB_QUALITY),
        )

    def _picture(self, rendered: Rendered | None, outlines: Sequence[Outline] = ()) -> Picture | None:
        if rendered is None:
            return None
        image, scale = sized(rendered.picture, PICTURE_SIDE)
        return self._stored(with_outlines(image, scale, outlines) if outlines else image)

    def _stored(self, image: Image.Image, quality: int | None = None) -> Picture:
        data = jpeg(image, quality) if quality else jpeg(image)
        name = f"{hashlib.sha256(data).hexdigest()[:24]}.jpg"
        self.keep(name, data)
        return Picture(name, image.width, image.height)


def end_of(finding: Finding, record: DeidRecord) -> str:
    """Return what became of a finding in the pixels: what stays by its verdict may be filled for another reason."""
    state = state_of(finding)
    if state == HIDDEN or finding.plane != "pixels":
        return state
    filled = (box for at, box in record.boxes if at in (EVERY_FRAME, finding.frame))
    covered = max((overlap(box, finding.box) for box in filled), default=0)
    return HIDDEN if covered >= COVERED * area(finding.box) else state


def readers_of(rows: Iterable[tuple[str, str, Iterable[Region]]]) -> dict[Place, str]:
    """Return who read a text: by source SOP Instance UID, path, frame, plane, box and text."""
    return {(uid, path, r.frame, r.plane, r.box, r.text): r.reader for uid, path, regions in rows for r in regions}


def _rendered(
    path: Path, frames: Sequence[int], like: dict[int, Rendered] | None = None
) -> tuple[dict[int, Rendered], str]:
    """Return frames as pictures, or why there are none."""
    try:
        return render_frames(path, frames, like), ""
    except UnreadableInstance as error:
        return {}, error.detail or error.reason.value.replace("_", " ")


def _filled(record: DeidRecord, frame: int, findings: Sequence[Finding]) -> list[Box]:
    """Return the boxes filled in a frame that are none of its findings: of other slices, known places, groups, a second look."""
    hidden = [finding.box for finding in findings if finding.hide]
    filled = [box for at, box in record.boxes if at in (EVERY_FRAME, frame)]
    return [box for box in filled if not any(iou(box, other) >= SAME_BOX_IOU for other in hidden)]


def _outlines(findings: Sequence[Finding], further: Sequence[Box], record: DeidRecord) -> list[Outline]:
    marks = [Outline(box, COLOURS[HIDDEN], dashed=True) for box in further]
    numbered = [(end_of(finding, record), finding.box, str(n)) for n, finding in enumerate(findings, 1)]
    numbered.sort(key=lambda mark: ORDER.index(mark[0]))
    return marks + [Outline(box, COLOURS[state], label) for state, box, label in numbered]


def _unread(found: Sequence[InstanceFindings], records: Sequence[DeidRecord]) -> Iterable[Unread]:
    """Yield what was not looked at, by reason in the order of first appearance."""
    first: dict[tuple[str, str], int] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for index, seen in enumerate(found):
        if seen.status not in SEEN:
            reason = seen.status, seen.detail
            first.setdefault(reason, index)
            counts[reason] += 1
    for (status, detail), index in first.items():
        yield Unread(records[index].sop_uid, index + 1, status, detail, counts[status, detail])
