"""Look for text in the pixels of a de-identified instance: renderings, scales and judgement that the engine does not use.

Two readers: Tesseract on the whole image, enlarged, as sparse text (psm 11), and the text detector with its recogniser on
an image of local contrast, at a larger scale than the engine's. Every text found is judged by the patterns of the
evaluation; a text that matches none is possibly an identifier, bare numbers, units and single letters are none.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from phi_deid_pipeline.boxes import area, joined, overlap
from phi_deid_pipeline.burned_in_text.chain import used_readers
from phi_deid_pipeline.burned_in_text.detect import detect
from phi_deid_pipeline.burned_in_text.prepare import Views, is_constant, local_contrast, padded_values
from phi_deid_pipeline.burned_in_text.read import letters, read_box
from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.evaluation_findings import ORDER, PixelFinding, Severity
from phi_deid_pipeline.evaluation_known import Known
from phi_deid_pipeline.evaluation_patterns import Suspicion, suspicions
from phi_deid_pipeline.pixel_codecs import CodecError, decode_frame, decoded_photometric, high_bits, to_values
from phi_deid_pipeline.pixel_read import Frame, SourcePixels, displayed, open_pixels
from phi_deid_pipeline.records import Box, RejectReason

CERTAIN, LIKELY, POSSIBLE = Severity.CERTAIN, Severity.LIKELY, Severity.POSSIBLE
# Longer side in pixels -> scale of the detector's input; the engine's are smaller (burned_in_text.detect.SCALES).
SCALES = ((320, 2.5), (640, 2.0), (1100, 1.5), (1 << 30, 1.0))
DOUBLED_UP_TO = 1200  # pixels of the longer side up to which Tesseract sees the image at twice its size
QUANTILES = (0.005, 0.995)  # of the values: black and white of what Tesseract sees
MIN_CONFIDENCE = {"ppocr": 0.5, "tesseract": 0.6}  # of a text that matches a pattern
MIN_UNMATCHED = {"ppocr": 0.6, "tesseract": 0.85}  # of any other
MIN_LETTERS = {"ppocr": 3, "tesseract": 4}  # of any other
SURE = 0.8  # confidence of a text whose form alone makes it certain
UNREAD_SCORE, UNREAD_ASPECT = 0.8, 2.0  # of a box that looks like text and cannot be read
SAME = 0.5  # share of the smaller of two boxes that lies in the other
GAP = 1.5  # heights between two pieces of one line
PSM_SPARSE = 11
SHORT_WORD = 3  # letters and digits of a word that says nothing
BITS = 8  # unused high bits that are looked at
_DIGITS = str.maketrans("OoQDIl|ZzSsBG", "0000111225586")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in the pixels of an instance."""

    findings: tuple[PixelFinding, ...] = ()
    frames: int = 0
    frames_read: int = 0


@dataclass(frozen=True, slots=True)
class _Text:
    box: Box
    text: str
    confidence: float
    reader: str


def look_at_pixels(path: Path, file: str, known: Known, frame_share: float = 1.0) -> Look:
    """Return the text in the frames of an instance, in their order; what cannot be looked at is a finding.

    `frame_share` (0-1): share of the frames that are read, evenly spread and at least one; the same picture is read once.
    """
    try:
        source = open_pixels(path)
        if source is None:
            return Look()
        with source:
            return _Looker(source, file, known).look(frame_share)
    except UnreadableInstance as error:
        why = f"nobody can look at these pixels: {error.detail or error.reason.value}"
        return Look((PixelFinding(file, 0, "pixels", None, "", 0.0, LIKELY, "unreadable", "", why),))


def look_at_picture(data: bytes, file: str, known: Known) -> Look | None:
    """Return the text in a picture that is no DICOM (PNG, JPEG, BMP, TIFF, GIF), each page and its transparency as a plane.

    `data` is the whole file. None where OpenCV cannot decode it.
    """
    decoded, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if not decoded or not pages:
        return None
    planes = _Planes(file, known)
    if not planes.readers:
        return Look((planes.unread(),), len(pages))
    findings: list[PixelFinding] = []
    for index, page in enumerate(pages):
        colours = page if page.ndim == 2 or page.shape[2] < 3 else page[..., 2::-1]  # OpenCV has blue first
        findings += planes.look(
            colours if colours.ndim == 2 or colours.shape[2] == 3 else colours[..., 0], index, "pixels"
        )
        if page.ndim == 3 and page.shape[2] in (2, 4):
            findings += planes.look(page[..., -1], index, "transparency")
    return Look(tuple(findings), len(pages), len(pages))


def chosen_frames(count: int, share: float) -> list[int]:
    """Return the indices of evenly spread frames, the first and the last among them from two on."""
    wanted = min(count, max(1, math.ceil(share * count)))
    return sorted({round(i * (count - 1) / max(wanted - 1, 1)) for i in range(wanted)})


class _Planes:
    """Looks for text in the planes of one file, and tells the same text in the same kind of plane once."""

    def __init__(self, file: str, known: Known) -> None:
        self.file = file
        self.known = known
        self.settings = ReaderSettings(page_segmentation=PSM_SPARSE)
        self.readers = used_readers(self.settings)
        self._told: set[tuple[str, str]] = set()

    def unread(self) -> PixelFinding:
        """Return the finding that says that no reader is there."""
        why = "no reader of text is installed: nobody looked at these pixels"
        return PixelFinding(self.file, 0, "pixels", None, "", 0.0, LIKELY, "unreadable", "", why)

    def look(self, image: np.ndarray, frame: int, plane: str, *, inverted: bool = False) -> list[PixelFinding]:
        """Return the text in an image of shape (rows, columns) or (rows, columns, 3)."""
        if is_constant(image):
            return []
        found: list[PixelFinding] = []
        for reader in self.readers:
            try:
                texts = read_with(reader, image, self.settings, inverted=inverted)
            except RuntimeError:  # TesseractError is one; its message may quote the image
                why = f"{reader} refused this picture: it did not look at it"
                found.append(PixelFinding(self.file, frame, plane, None, reader, 0.0, LIKELY, "unreadable", "", why))
                continue
            found += judged(
                texts, self.known, PixelFinding(self.file, frame, plane, None, reader, 0, POSSIBLE, "", "", "")
            )
        fresh = [one for one in merged(found) if (plane, one.seen) not in self._told]
        self._told |= {(plane, one.seen) for one in fresh}
        return fresh


class _Looker:
    def __init__(self, source: SourcePixels, file: str, known: Known) -> None:
        self.source = source
        self.planes = _Planes(file, known)
        self.inverted = source.layout.photometric == "MONOCHROME1"

    def look(self, share: float) -> Look:
        """Read the chosen frames, what hides in their unused bits, and the overlays."""
        layout = self.source.layout
        if self.planes.settings.too_small(layout.rows, layout.columns):
            return Look(frames=layout.frames)
        if not self.planes.readers:
            return Look((self.planes.unread(),))
        chosen = chosen_frames(layout.frames, share)
        findings: list[PixelFinding] = []
        seen: set[bytes] = set()
        for frame in self._frames(set(chosen)):
            mark = hashlib.sha256(np.ascontiguousarray(frame.words)).digest()
            if mark in seen:
                continue
            seen.add(mark)
            shown = displayed(self.source, frame)
            findings += self.planes.look(shown, frame.index, "pixels", inverted=self.inverted)
            for plane in _bit_planes(frame):
                findings += self.planes.look(plane, frame.index, "high bits")
        for overlay in self.source.overlays():
            plane = overlay.plane.astype(np.uint8) * 255
            findings += self.planes.look(plane, 0, f"overlay {overlay.group:04X}")
        return Look(tuple(findings), layout.frames, len(chosen))

    def _frames(self, chosen: set[int]) -> Iterator[Frame]:
        layout = self.source.layout
        for index, data in enumerate(self.source.encoded_frames()):
            if index not in chosen:
                continue
            try:
                words = decode_frame(data, layout)
                photometric = decoded_photometric(data, layout)
            except CodecError as error:
                raise UnreadableInstance(RejectReason.PIXELS_UNDECODABLE, str(error)) from None
            yield Frame(index, words, to_values(words, layout), photometric, high_bits(words, layout))


def _bit_planes(frame: Frame) -> Iterator[np.ndarray]:
    if frame.high is None:
        return
    words = frame.high if frame.high.ndim == 2 else frame.high.max(axis=2)
    for bit in range(min(int(words.max()).bit_length(), BITS)):
        yield ((words >> words.dtype.type(bit)) & words.dtype.type(1)).astype(np.uint8) * 255


# --- readers --------------------------------------------------------------------------------------------------------


def read_with(reader: str, image: np.ndarray, settings: ReaderSettings, *, inverted: bool = False) -> list[_Text]:
    """Return what one reader reads in an image of shape (rows, columns) or (rows, columns, 3), boxes in its pixels."""
    if image.dtype.kind == "f":
        image = np.nan_to_num(image, posinf=0.0, neginf=0.0)
    return _detected(image, settings) if reader == "ppocr" else _sparse(image, settings, inverted=inverted)


def _detected(image: np.ndarray, settings: ReaderSettings) -> list[_Text]:
    padding = settings.padding
    view = local_contrast(padded_values(image, padding))
    scale = next(scale for limit, scale in SCALES if max(image.shape[:2]) <= limit)
    views = Views(view, view, padding)
    found = []
    for candidate in detect(view, scale, settings):
        line = read_box(views, candidate, settings)
        unread = letters(line.text) < 2 and line.score >= UNREAD_SCORE and line.aspect >= UNREAD_ASPECT
        if letters(line.text) >= 2 or unread:
            box = Box(line.box.x - padding, line.box.y - padding, line.box.w, line.box.h)
            found.append(_Text(_inside(box, image), "" if unread else line.text, line.confidence, "ppocr"))
    return found


def _sparse(image: np.ndarray, settings: ReaderSettings, *, inverted: bool) -> list[_Text]:
    import pytesseract

    grey = _windowed(image)
    if inverted:
        grey = 255 - grey
    scale = 2 if max(grey.shape) <= DOUBLED_UP_TO else 1
    padded = cv2.copyMakeBorder(grey, *[settings.padding] * 4, cv2.BORDER_REPLICATE)
    large = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    data = pytesseract.image_to_data(
        large,
        lang=settings.languages,
        config=f"--psm {settings.page_segmentation}",
        output_type=pytesseract.Output.DICT,
    )
    lines: dict[tuple[int, int, int], list[_Text]] = {}
    for number, text in enumerate(data["text"]):
        if letters(text) and float(data["conf"][number]) >= 0:
            x, y, w, h = (int(data[side][number]) for side in ("left", "top", "width", "height"))
            box = Box(x // scale - settings.padding, y // scale - settings.padding, w // scale + 1, h // scale + 1)
            sure = float(data["conf"][number]) / 100
            key = (data["block_num"][number], data["par_num"][number], data["line_num"][number])
            lines.setdefault(key, []).append(_Text(_inside(box, image), text.strip(), sure, "tesseract"))
    return [_joined_text(words) for words in lines.values()]


def _windowed(image: np.ndarray) -> np.ndarray:
    grey = image.mean(axis=2) if image.ndim == 3 else image.astype(np.float32)
    low, high = np.quantile(grey, QUANTILES)
    if high <= low:
        low, high = float(grey.min()), float(grey.max())
    return np.clip((grey - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)


def _inside(box: Box, image: np.ndarray) -> Box:
    rows, columns = image.shape[:2]
    left, top = min(max(box.x, 0), columns - 1), min(max(box.y, 0), rows - 1)
    right, bottom = min(box.x + box.w, columns), min(box.y + box.h, rows)
    return Box(left, top, max(right - left, 1), max(bottom - top, 1))


def _joined_text(texts: list[_Text]) -> _Text:
    box = texts[0].box
    for other in texts[1:]:
        box = joined(box, other.box)
    sure = min(text.confidence for text in texts)
    return _Text(box, " ".join(text.text for text in texts), sure, texts[0].reader)


# --- judgement ------------------------------------------------------------------------------------------------------


def judged(texts: list[_Text], known: Known, blank: PixelFinding) -> list[PixelFinding]:
    """Judge texts of one reader: whole lines first, for a label and its value may be two boxes; then each by itself."""
    found: list[PixelFinding] = []
    for line in _lines(texts):
        whole = _judge(_joined_text(line), known, blank)
        if whole is not None and whole.severity is not POSSIBLE:
            found.append(whole)
        else:
            found += [one for one in (_judge(text, known, blank) for text in line) if one is not None]
    return found


def _lines(texts: list[_Text]) -> list[list[_Text]]:
    lines: list[list[_Text]] = []
    for text in sorted(texts, key=lambda one: (one.box.x, one.box.y, one.text)):
        for line in lines:
            last = line[-1].box
            middle = abs(last.y + last.h / 2 - text.box.y - text.box.h / 2)
            height = min(last.h, text.box.h)
            if middle < height / 2 and text.box.x - (last.x + last.w) < GAP * max(last.h, text.box.h):
                line.append(text)
                break
        else:
            lines.append([text])
    return lines


def _judge(text: _Text, known: Known, blank: PixelFinding) -> PixelFinding | None:
    found = _suspicion(text, known)
    if found is None:
        return None
    confidence = round(text.confidence, 2)
    return replace(
        blank,
        box=text.box,
        confidence=confidence,
        severity=found.severity,
        kind=found.kind,
        seen=text.text,
        why=found.why,
    )


def _suspicion(text: _Text, known: Known) -> Suspicion | None:
    if not text.text:
        return Suspicion(POSSIBLE, "unread_text", "", "looks like text that the reader cannot read")
    if text.confidence < MIN_CONFIDENCE[text.reader]:
        return None
    told = known.search(text.text)
    if not told and re.search(r"\d", text.text):
        told = known.search(text.text.translate(_DIGITS))
    told += suspicions(text.text)
    if told:
        worst = min(told, key=lambda one: ORDER[one.severity])
        sure = worst.kind.startswith("known_") or text.confidence >= SURE
        return worst if sure or worst.severity is not CERTAIN else replace(worst, severity=LIKELY)
    if letters(text.text) < MIN_LETTERS[text.reader] or text.confidence < MIN_UNMATCHED[text.reader]:
        return None
    if is_measure(text.text):
        return None
    return Suspicion(POSSIBLE, "text", text.text, "text in the pixels; nothing tells what it says")


_MEASURE = re.compile(
    r"[\W_]*(?:[a-z]{0,4}[ :=]{0,2})?[-+]?\d{0,4}(?:[.,:x/]\d{1,4}){0,2}[ ]?(?:[a-z%°µ]{0,3}(?:/[a-z]{0,3}\d?)?)?[\W_]*",
    re.I,
)


def is_measure(text: str) -> bool:
    """Tell whether every word of a text is a bare number, a number with a unit, or one to three letters."""
    return all(
        letters(word) <= SHORT_WORD or (re.search(r"\d", word) and _MEASURE.fullmatch(word)) for word in text.split()
    )


def merged(findings: list[PixelFinding]) -> list[PixelFinding]:
    """Return findings of several readers, those of one place as one: the gravest, then the surest; sorted by place."""
    kept: list[PixelFinding] = []
    for one in sorted(findings, key=lambda f: (ORDER[f.severity], -f.confidence, f.reader, _place(f))):
        at = next((n for n, other in enumerate(kept) if _same_place(one, other)), None)
        if at is None:
            kept.append(one)
        elif one.reader not in kept[at].reader:
            kept[at] = replace(kept[at], reader="+".join(sorted({*kept[at].reader.split("+"), one.reader})))
    return sorted(kept, key=_place)


def _same_place(one: PixelFinding, other: PixelFinding) -> bool:
    if one.box is None or other.box is None:
        return False
    return overlap(one.box, other.box) >= SAME * min(area(one.box), area(other.box))


def _place(finding: PixelFinding) -> tuple[int, str, tuple[int, ...], str]:
    box = finding.box
    return finding.frame, finding.plane, (box.y, box.x, box.h, box.w) if box else (), finding.seen
