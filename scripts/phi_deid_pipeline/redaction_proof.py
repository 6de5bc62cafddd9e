"""Read again what was written: text that identifies and is still there widens the boxes, or holds the series.

The first changed frame of an instance is read whole by each reader, further ones (of many, `MOST_FRAMES` evenly spread)
around their boxes, wherever that differs from what was read before; that every box is filled in every frame is checked by
verification. Of the frames that nobody changed a share, chosen by the hash of the new SOP Instance UID and the frame, is read
by the reader that was not the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phi_deid_pipeline.boxes import area, clipped, joined, overlap
from phi_deid_pipeline.burned_in_text import read_image
from phi_deid_pipeline.burned_in_text.chain import used_readers
from phi_deid_pipeline.burned_in_text.judge import Words, identifying, is_benign
from phi_deid_pipeline.burned_in_text.match import Matcher
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.pixel_codecs import decode_frame, decoded_photometric, high_bits, to_values
from phi_deid_pipeline.pixel_read import Frame, SourcePixels, displayed, open_pixels
from phi_deid_pipeline.records import Box, Region

MOST_FRAMES = (
    8  # of one instance that are read again, evenly spread: each costs seconds, and verification looks at all boxes
)
WIDENINGS = 2  # times that boxes are widened before the series is held
SURE_CHARACTERS = 5  # letters and digits from which a match with the lexicon counts however unsure the reader was
SURE_CONFIDENCE = 0.6  # of shorter matches, and of patterns
PATTERN_CHARACTERS = 4
MARGIN = 16  # pixels around a box, at least
AROUND = 2  # heights around a box: where the rest of a text would stand
TALL = 1.3  # height over width of a box from which its line runs upwards
REST_CHARACTERS = 3  # letters and digits next to a filled box that are the rest of what it hides
LEGIBLE = 16  # of 255 grey levels: contrast that text needs to be read
IGNORED = 0.5  # share of a region in a box that a person wants to keep, or that holds a label


@dataclass(frozen=True, slots=True)
class Left:
    """What a second look found: frame, box and the readers that looked."""

    boxes: tuple[tuple[int, Box], ...]
    readers: tuple[str, ...]


class RedactionProof:
    """Looks again at what was written, with readers that are loaded when they are needed."""

    def __init__(self, settings: ReaderSettings, words: Words) -> None:
        self.settings = settings
        self.words = words

    def left_in(
        self,
        written: Path,
        matcher: Matcher,
        boxes: Sequence[tuple[int, Box]],
        *,
        kept: Sequence[tuple[int, Box]] = (),
        labelled: bool = False,
    ) -> Left:
        """Return identifying text in the changed frames of a written instance, read by each reader that there is.

        `boxes` are those that were filled (frame, or -1 for all), with labels of ours if `labelled`; `kept` those that a
        person wants to stay.
        """
        names = used_readers(self.settings)
        found: set[tuple[int, Box]] = set()
        with self._open(written) as source:
            if source is None:
                return Left((), ())
            read = _Read()
            for frame in _decoded(source, _frames_of(boxes, source.layout.frames)):
                image = displayed(source, frame)
                own = [box for number, box in boxes if number in (-1, frame.index)]
                for part in read.parts(image, own):
                    regions = [r for name in names for r in self._regions(source, image, part, frame.index, (name,))]
                    found |= self._identifying(regions, matcher, kept, own, labelled=labelled)
        return Left(tuple(sorted(found, key=_order)), names)

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
        return Left(tuple(sorted(found, key=_order)), names)

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
        self, source: SourcePixels, image: np.ndarray, part: Box, frame: int, names: tuple[str, ...]
    ) -> list[Region]:
        regions = read_image(
            np.ascontiguousarray(image[part.y : part.y + part.h, part.x : part.x + part.w]),
            invert=source.layout.photometric == "MONOCHROME1",
            window=source.window() if source.layout.samples == 1 else None,
            settings=replace(self.settings, readers=names, max_rounds=1),
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


class _Read:
    """What was read of the frames so far, so that what they have in common is read once."""

    def __init__(self) -> None:
        self._image: np.ndarray | None = None

    def parts(self, image: np.ndarray, boxes: Sequence[Box]) -> list[Box]:
        """Return the parts of a frame to read: all of the first one, of others the lines of boxes near which they differ."""
        if self._image is None:
            self._image = image.copy()
            return [_whole(image)]
        rows, columns = image.shape[:2]
        unseen = LEGIBLE - 1 if image.dtype == np.uint8 else 0
        near = [box for box in boxes if self._differs(image, _grown(box, rows, columns), unseen)]
        strips = _strips(near, rows, columns)
        for part in strips:
            inside = np.s_[part.y : part.y + part.h, part.x : part.x + part.w]
            self._image[inside] = image[inside]
        return strips

    def _differs(self, image: np.ndarray, part: Box, unseen: int) -> bool:
        assert self._image is not None
        new, old = (a[part.y : part.y + part.h, part.x : part.x + part.w] for a in (image, self._image))
        return not np.array_equal(new, old) and bool(np.abs(new.astype(np.float64) - old).max() > unseen)


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
        touching = [other for other in parts if overlap(part, other)]
        for other in touching:
            parts.remove(other)
            part = joined(part, other)
        parts.append(part)
    return parts


def _frames_of(boxes: Sequence[tuple[int, Box]], count: int) -> set[int]:
    changed = range(count) if any(frame < 0 for frame, _ in boxes) or not boxes else sorted({n for n, _ in boxes})
    if len(changed) <= MOST_FRAMES:
        return set(changed)
    return {changed[round(i * (len(changed) - 1) / (MOST_FRAMES - 1))] for i in range(MOST_FRAMES)}


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
