"""Read again what was written: text that identifies and is still there widens the boxes, or holds the series.

Changed instances are read by both readers. Of the frames that nobody changed a share, chosen by the hash of the new SOP
Instance UID and the frame, is read by the reader that was not the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from phi_deid_pipeline.boxes import area, clipped, overlap
from phi_deid_pipeline.burned_in_text import read_image
from phi_deid_pipeline.burned_in_text.chain import used_readers
from phi_deid_pipeline.burned_in_text.judge import Words, identifying
from phi_deid_pipeline.burned_in_text.match import Matcher
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.pixel_codecs import decode_frame, decoded_photometric, high_bits, to_values
from phi_deid_pipeline.pixel_read import Frame, SourcePixels, displayed, open_pixels
from phi_deid_pipeline.records import Box, Region
from phi_deid_pipeline.text_reading import TextReader

WIDENINGS = 2  # times that boxes are widened before the series is held
SURE_CHARACTERS = 5  # letters and digits from which a match with the lexicon counts however unsure the reader was
SURE_CONFIDENCE = 0.6  # of shorter matches, and of patterns
PATTERN_CHARACTERS = 4
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
        self._readers: dict[str, TextReader] = {}

    def left_in(
        self,
        written: Path,
        matcher: Matcher,
        *,
        kept: Sequence[tuple[int, Box]] = (),
        labelled: Sequence[tuple[int, Box]] = (),
    ) -> Left:
        """Return identifying text in the pixels of a written instance, read by each reader that there is.

        `kept` are boxes (frame, or -1 for all) that a person wants to stay, `labelled` those with labels of ours.
        """
        found: set[tuple[int, Box]] = set()
        names = used_readers(self.settings)
        for name in names:
            for region in self._reader(name).read(written).regions:
                ignored = _lies_in(region, kept)
                if region.plane != "pixels" or ignored:
                    continue
                only_lexicon = _lies_in(region, labelled)
                if self.identifies(region, matcher, only_lexicon=only_lexicon):
                    found.add((region.frame, region.box))
        return Left(tuple(sorted(found, key=_order)), names)

    def left_unchanged(
        self, written: Path, frames: Sequence[int], matcher: Matcher, kept: Sequence[tuple[int, Box]] = ()
    ) -> Left:
        """Return identifying text in frames that were not changed, read by the reader that was not the first one."""
        names = used_readers(self.settings)[1:]
        source = open_pixels(written) if names and frames else None
        if source is None:
            return Left((), ())
        found: list[tuple[int, Box]] = []
        settings = replace(self.settings, readers=names)
        with source:
            if self.settings.too_small(source.layout.rows, source.layout.columns):
                return Left((), ())
            for frame in _decoded(source, set(frames)):
                regions = read_image(
                    displayed(source, frame),
                    invert=source.layout.photometric == "MONOCHROME1",
                    window=source.window() if source.layout.samples == 1 else None,
                    settings=settings,
                )
                regions = [replace(region, frame=frame.index) for region in regions]
                found += [
                    (frame.index, r.box) for r in regions if not _lies_in(r, kept) and self.identifies(r, matcher)
                ]
        return Left(tuple(sorted(set(found), key=_order)), names)

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

    def _reader(self, name: str) -> TextReader:
        if name not in self._readers:
            self._readers[name] = TextReader(replace(self.settings, readers=(name,), frames_to_sample=0))
        return self._readers[name]


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
