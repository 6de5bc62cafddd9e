"""Read again what was written: text that identifies and is still there widens the boxes, or holds the series.

The first changed frame of an instance is read whole by each reader, and so is a share of the further ones. Every other one
is compared with what was read around its boxes: what is the same there was read with it. Where it differs the line of the
box is cut out and read by each reader, cuts of many frames on one sheet; with the cascade that is what the gate suspects
there. That every box is filled in every frame is checked by verification. Of the frames that nobody changed, in whatever
instance, a share is read by the reader that was not the first one. Both shares are chosen by the hash of the new SOP Instance UID
and the frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phi_deid_pipeline.boxes import area, clipped, joined, overlap
from phi_deid_pipeline.burned_in_text import read_image
from phi_deid_pipeline.burned_in_text.chain import used_readers
from phi_deid_pipeline.burned_in_text.gate import eligible, suspicious_parts
from phi_deid_pipeline.burned_in_text.judge import Words, identifying, is_benign
from phi_deid_pipeline.burned_in_text.match import Matcher
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.pixel_codecs import decode_frame, decoded_photometric, high_bits, to_values
from phi_deid_pipeline.pixel_read import Frame, SourcePixels, displayed, open_pixels
from phi_deid_pipeline.records import Box, Region
from phi_deid_pipeline.redaction import changed_frames
from phi_deid_pipeline.text_reading import uses_gate

WHOLE = "whole"  # all of a frame is read
WIDENINGS = 2  # times that boxes are widened before the series is held
SURE_CHARACTERS = 5  # letters and digits from which a match with the lexicon counts however unsure the reader was
SURE_CONFIDENCE = 0.6  # of shorter matches, and of patterns
PATTERN_CHARACTERS = 4
MARGIN = 16  # pixels around a box, at least
AROUND = 2  # heights around a box: where the rest of a text would stand
REST_CHARACTERS = 3  # letters and digits next to a filled box that are the rest of what it hides
LEGIBLE = 16  # of 255 grey levels: contrast that text needs to be read
TALL = 1.3  # height over width of a box from which its line runs upwards
IGNORED = 0.5  # share of a region in a box that a person wants to keep, or that holds a label
GAP = 32  # pixels between the cuts on a sheet
SHEET_SIDE = 1024  # pixels; width of a sheet, wider for a wider cut
SHEET_AREA = 640 * 1024  # pixels of cuts with their gaps from which a sheet is read


@dataclass(frozen=True, slots=True)
class Left:
    """What a second look found: frame, box and the readers that looked.

    `read` counts the frames of which all or a part was read, `whole` those of them of which all was, `same` those that show
    around their boxes what was read before, `gated` those in which the gate suspected nothing there.
    """

    boxes: tuple[tuple[int, Box], ...]
    readers: tuple[str, ...]
    read: int = 0
    same: int = 0
    gated: int = 0
    whole: int = 0


class RedactionProof:
    """Looks again at what was written, with readers that are loaded when they are needed."""

    def __init__(self, settings: ReaderSettings, words: Words) -> None:
        self.settings = settings
        self.words = replace(
            words, imaging=frozenset()
        )  # beside a box a word of the vocabulary may be the rest of a name

    def left_in(
        self,
        written: Path,
        matcher: Matcher,
        boxes: Sequence[tuple[int, Box]],
        *,
        kept: Sequence[tuple[int, Box]] = (),
        labelled: bool = False,
        whole: Collection[int] = (),
    ) -> Left:
        """Return identifying text in the changed frames of a written instance, read by each reader that there is.

        `boxes` are those that were filled (frame, or -1 for all), with labels of ours if `labelled`; `kept` those that a
        person wants to stay; `whole` the frames of which more than what surrounds the boxes is read, beside the first.
        """
        names = used_readers(self.settings)
        found: set[tuple[int, Box]] = set()
        count = Counter[str]()
        with self._open(written) as source:
            if source is None:
                return Left((), ())
            seen, sheet = _Seen(self._gate(source)), _Sheet()

            def judge(regions: Sequence[Region]) -> None:
                for region in regions:
                    own = [box for number, box in boxes if number in (-1, region.frame)]
                    found.update(self._identifying([region], matcher, kept, own, labelled=labelled))

            for frame in _decoded(source, set(changed_frames(boxes, source.layout.frames))):
                image = displayed(source, frame)
                own = [box for number, box in boxes if number in (-1, frame.index)]
                parts, how = seen.parts(image, own, whole=frame.index in whole)
                count[how] += 1
                if how == WHOLE:
                    for name in names:
                        judge(self._regions(source, image, _whole(image), frame.index, (name,)))
                    continue
                for part in parts:
                    sheet.add(frame.index, image, part)
                if sheet.full:
                    judge(self._on_sheet(source, sheet, names))
                    sheet = _Sheet()
            judge(self._on_sheet(source, sheet, names))
        read = count["read"] + count[WHOLE]
        return Left(tuple(sorted(found, key=_order)), names, read, count["same"], count["gated"], count[WHOLE])

    def _gate(self, source: SourcePixels) -> Callable[[np.ndarray], list[Box]] | None:
        """Return what tells the suspicious parts of a frame where the cascade is asked for, else None."""
        if not uses_gate(self.settings) or not eligible(source.layout.rows, source.layout.columns):
            return None
        invert = source.layout.photometric == "MONOCHROME1"
        return lambda image: suspicious_parts(image, invert=invert, settings=self.settings)

    def _on_sheet(self, source: SourcePixels, sheet: _Sheet, names: tuple[str, ...]) -> list[Region]:
        if not sheet.cuts:
            return []
        image, places = sheet.image()
        whole = (source.layout.rows, source.layout.columns)
        regions = [
            region for name in names for region in self._regions(source, image, _whole(image), 0, (name,), whole=whole)
        ]
        return [placed for region in regions if (placed := sheet.placed(region, places)) is not None]

    def left_unchanged(
        self, written: Path, frames: Sequence[int], matcher: Matcher, kept: Sequence[tuple[int, Box]] = ()
    ) -> Left:
        """Return identifying text in frames that were not changed, read by the reader that was not the first one."""
        names = used_readers(self.settings)[1:]
        found: set[tuple[int, Box]] = set()
        with self._open(written) as source:
            if source is None or not names or not frames:
                return Left((), ())
            for frame in _decoded(source, set(frames)):
                image = displayed(source, frame)
                regions = self._regions(source, image, _whole(image), frame.index, names)
                found |= self._identifying(regions, matcher, kept, (), labelled=False)
        read = len(set(frames))
        return Left(tuple(sorted(found, key=_order)), names, read=read, whole=read)

    @contextmanager
    def _open(self, written: Path) -> Iterator[SourcePixels | None]:
        """Open pixels that are large enough to hold text; None for others."""
        source = open_pixels(written)
        if source is None:
            yield None
            return
        with source:
            yield None if self.settings.too_small(source.layout.rows, source.layout.columns) else source

    def _regions(
        self,
        source: SourcePixels,
        image: np.ndarray,
        part: Box,
        frame: int,
        names: tuple[str, ...],
        *,
        whole: tuple[int, int] | None = None,
    ) -> list[Region]:
        regions = read_image(
            np.ascontiguousarray(image[part.y : part.y + part.h, part.x : part.x + part.w]),
            invert=source.layout.photometric == "MONOCHROME1",
            window=source.window() if source.layout.samples == 1 else None,
            settings=replace(self.settings, readers=names, max_rounds=1),
            whole=whole,
        )
        return [replace(r, frame=frame, box=Box(r.box.x + part.x, r.box.y + part.y, r.box.w, r.box.h)) for r in regions]

    def _identifying(
        self,
        regions: Sequence[Region],
        matcher: Matcher,
        kept: Sequence[tuple[int, Box]],
        boxes: Sequence[Box],
        *,
        labelled: bool,
    ) -> set[tuple[int, Box]]:
        labels = [(-1, box) for box in boxes] if labelled else []
        return {
            (region.frame, region.box)
            for region in regions
            if not _lies_in(region, kept)
            if self.identifies(region, matcher, only_lexicon=_lies_in(region, labels)) or self._is_rest(region, boxes)
        }

    def identifies(self, region: Region, matcher: Matcher, *, only_lexicon: bool = False) -> bool:
        """Tell whether a region of a second look identifies; what was read without confidence counts only if it is long."""
        for text in (region.text, region.second_text):
            count = sum(c.isalnum() for c in text)
            if not count:
                continue
            sure = region.confidence >= SURE_CONFIDENCE
            if matcher.category(text) is not None and (sure or count >= SURE_CHARACTERS):
                return True
            pattern = sure and count >= PATTERN_CHARACTERS and not only_lexicon
            if pattern and identifying(text, matcher, self.words) is not None:
                return True
        return False

    def _is_rest(self, region: Region, boxes: Sequence[Box]) -> bool:
        """Tell whether a text goes on where a box ends: the rest of a line whose other part was hidden."""
        count = sum(c.isalnum() for c in region.text)
        if region.confidence < SURE_CONFIDENCE or count < REST_CHARACTERS or is_benign(region.text, self.words):
            return False
        return any(_goes_on(region.box, box) for box in boxes)


def _goes_on(text: Box, box: Box) -> bool:
    """Tell whether a text stands on the line of a filled box, next to it but not in it."""
    if overlap(text, box) >= IGNORED * max(area(text), 1):
        return False
    if text.h > text.w:
        text, box = (Box(b.y, b.x, b.h, b.w) for b in (text, box))
    shared = min(text.y + text.h, box.y + box.h) - max(text.y, box.y)
    gap = max(text.x, box.x) - min(text.x + text.w, box.x + box.w)
    return shared * 2 >= min(text.h, box.h) and gap <= text.h // 2


class _Seen:
    """What was read of the frames so far, so that what they have in common is read once."""

    def __init__(self, gate: Callable[[np.ndarray], list[Box]] | None) -> None:
        self._gate = gate
        self._image = np.empty(0)
        self._unseen = 0.0

    def parts(self, image: np.ndarray, boxes: Sequence[Box], *, whole: bool) -> tuple[list[Box], str]:
        """Return the parts of a frame to read and how it is looked at: whole (the first one always), read, same or gated."""
        if whole or not self._image.size:
            self._image, self._unseen = image.copy(), _unseen_difference(image)
            return [_whole(image)], WHOLE
        rows, columns = image.shape[:2]
        around = [_grown(box, rows, columns) for box in boxes]
        near = [n for n, part in enumerate(around) if self._differs(image, part)]
        if not near:
            return [], "same"
        if self._gate:
            suspected = [part for part in self._gate(image) if any(overlap(part, around[n]) for n in near)]
            new = [part for part in suspected if self._differs(image, part)]
        else:
            new = _strips([boxes[n] for n in near], rows, columns)
        for part in new:
            self._image[_inside(part)] = image[_inside(part)]
        return new, "read" if new else "gated"

    def _differs(self, image: np.ndarray, part: Box) -> bool:
        new, old = image[_inside(part)], self._image[_inside(part)]
        if np.array_equal(new, old):
            return False
        return bool((np.maximum(new, old) - np.minimum(new, old) > self._unseen).any())


def _unseen_difference(image: np.ndarray) -> float:
    """Return the difference of two values, or channels, that nobody sees: less contrast than text needs to be read."""
    if image.dtype == np.uint8:
        return LEGIBLE - 1
    low, high = np.percentile(image, (0.5, 99.5))
    return float(high - low) * (LEGIBLE - 1) / 255


class _Sheet:
    """Cuts of frames, laid out in rows on one picture: each reader is asked once for all of them."""

    def __init__(self) -> None:
        self.cuts: list[tuple[int, Box, np.ndarray]] = []
        self._area = 0

    @property
    def full(self) -> bool:
        """Tell whether it is time to read."""
        return self._area >= SHEET_AREA

    def add(self, frame: int, image: np.ndarray, part: Box) -> None:
        """Keep a cut of a frame."""
        self.cuts.append((frame, part, image[_inside(part)].copy()))
        self._area += (part.w + GAP) * (part.h + GAP)

    def image(self) -> tuple[np.ndarray, list[Box]]:
        """Return the picture and the place of each cut in it; what lies between them is their median."""
        width = max(SHEET_SIDE, *(part.w for _, part, _ in self.cuts)) + 2 * GAP
        x = y = GAP
        lowest, places = GAP, []
        for _, part, _ in self.cuts:
            if x + part.w + GAP > width:
                x, y = GAP, lowest + GAP
            places.append(Box(x, y, part.w, part.h))
            x, lowest = x + part.w + GAP, max(lowest, y + part.h)
        first = self.cuts[0][2]
        values = np.concatenate([cut.reshape(-1, *cut.shape[2:]) for _, _, cut in self.cuts])
        right = max(place.x + place.w for place in places) + GAP
        sheet = np.empty((lowest + GAP, right, *first.shape[2:]), first.dtype)
        sheet[:] = np.median(values, axis=0).astype(first.dtype)
        for place, (_, _, cut) in zip(places, self.cuts, strict=True):
            sheet[_inside(place)] = cut
        return sheet, places

    def placed(self, region: Region, places: Sequence[Box]) -> Region | None:
        """Return a region of the picture where it stands in its frame; None for one that lies in no cut."""
        shares = [overlap(region.box, place) for place in places]
        best = int(np.argmax(shares))
        if not shares[best]:
            return None
        (frame, part, _), place, box = self.cuts[best], places[best], region.box
        rows, columns = part.y + part.h, part.x + part.w
        moved = Box(box.x - place.x + part.x, box.y - place.y + part.y, box.w, box.h)
        return replace(region, frame=frame, box=clipped(moved, rows, columns))


def _inside(box: Box) -> tuple[slice, slice]:
    return np.s_[box.y : box.y + box.h, box.x : box.x + box.w]


def _whole(image: np.ndarray) -> Box:
    return Box(0, 0, image.shape[1], image.shape[0])


def _grown(box: Box, rows: int, columns: int) -> Box:
    margin = max(MARGIN, AROUND * min(box.w, box.h))
    return clipped(Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin), rows, columns)


def _strips(boxes: Sequence[Box], rows: int, columns: int) -> list[Box]:
    """Return the strips of an image in which the lines of boxes run, with what stands around; those that touch are one."""
    parts: list[Box] = []
    for box in sorted(set(boxes), key=lambda b: (b.y, b.x, b.h, b.w)):
        wide = _grown(box, rows, columns)
        part = Box(wide.x, 0, wide.w, rows) if box.h > TALL * box.w else Box(0, wide.y, columns, wide.h)
        while touching := [other for other in parts if overlap(part, other)]:
            for other in touching:
                parts.remove(other)
                part = joined(part, other)
        parts.append(part)
    return sorted(parts, key=lambda b: (b.y, b.x, b.h, b.w))


def widened(left: Left, rows: int, columns: int, round_: int) -> list[tuple[int, Box]]:
    """Return boxes around what was left, wider with every round: half a height in the first, a whole one in the second."""
    boxes = []
    for frame, box in left.boxes:
        margin = max(2, min(box.w, box.h) * round_ // 2)
        wide = clipped(Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin), rows, columns)
        boxes.append((frame, wide))
    return boxes


def _decoded(source: SourcePixels, wanted: set[int]) -> Iterator[Frame]:
    layout = source.layout
    for index, data in enumerate(source.encoded_frames()):
        if index in wanted:
            words = decode_frame(data, layout)
            photometric = decoded_photometric(data, layout)
            yield Frame(index, words, to_values(words, layout), photometric, high_bits(words, layout))


def _lies_in(region: Region, boxes: Sequence[tuple[int, Box]]) -> bool:
    limit = IGNORED * max(area(region.box), 1)
    return any(frame in (-1, region.frame) and overlap(box, region.box) >= limit for frame, box in boxes)


def _order(pair: tuple[int, Box]) -> tuple[int, int, int, int, int]:
    frame, box = pair
    return frame, box.y, box.x, box.h, box.w
