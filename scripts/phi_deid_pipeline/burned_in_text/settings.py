"""Settings of the reader: all that changes what is read, and nothing else."""

from __future__ import annotations

from phi_deid_pipeline.value_objects import dataclass

GATE = "text_gate"  # first word of the reader that stands for the gate
SMALL_SIDE = 64  # pixels; an image whose longer side has as many may hold a line of text, however low it is


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Parameters of the chain; the defaults are the measured ones. Lengths are in pixels, ratios and scores 0-1.

    `readers`: `ppocr` (detector and recogniser) and `tesseract` (second reader, or alone where the models are missing).
    `languages`, `page_segmentation` and `whitelist` are Tesseract's. `max_rounds` counts the scans of one image at most.
    `expansion` (pixels) widens each box on every side. `margin_*`: shares of the picture (top, bottom, left, right) within
    which text is told; all 0: everywhere. `frames_to_sample` 0 looks at every frame. `thoroughness`: `full` sends everything through the
    chain, `cascade` lets the gate tell which slices of CT and MR, and which changes in a cine, need it.
    """

    readers: tuple[str, ...] = ("ppocr", "tesseract")
    languages: str = "eng"
    page_segmentation: int = 7
    whitelist: str = ""
    min_confidence: float = 0.5
    min_certainty: float = 1.25  # confidence of the reader and score of the detector together
    second_reader_below: float = 0.75
    max_rounds: int = 3
    frames_to_sample: int = 0
    bitmap_threshold: float = 0.3
    box_score: float = 0.4
    unclip: float = 1.6
    padding: int = 32
    merge_iou: float = 0.5
    min_text_height: int = 3
    max_text_height: float = 0.5  # of a box, a share of the shorter side, never under 48 pixels
    expansion: int = 0
    margin_top: float = 0.0
    margin_bottom: float = 0.0
    margin_left: float = 0.0
    margin_right: float = 0.0
    min_side: int = 16
    thoroughness: str = "cascade"
    read_label_images: bool = False  # SEG, label maps and RTDOSE too

    def too_small(self, rows: int, columns: int) -> bool:
        """Tell whether an image is too small, in both directions, to hold text."""
        return min(rows, columns) < self.min_side and max(rows, columns) < SMALL_SIDE
