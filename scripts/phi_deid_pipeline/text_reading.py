"""Read the text in the pixels of an instance: every frame, overlays, what hides in unused bits. Knows no policy, no patient."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from phi_deid_pipeline.boxes import area, clipped, grown, joined
from phi_deid_pipeline.burned_in_text.chain import in_margins, read_image, read_known_box, used_readers
from phi_deid_pipeline.burned_in_text.gate import THRESHOLD, eligible, gate_map, may_hold_text
from phi_deid_pipeline.burned_in_text.models import (
    DETECTOR_FILE,
    GATE_FILE,
    RECOGNISER_FILE,
    have_gate,
    language_digests,
    missing_languages,
    model_digest,
    runtime_version,
)
from phi_deid_pipeline.burned_in_text.read import ReaderError
from phi_deid_pipeline.burned_in_text.settings import GATE, SMALL_SIDE, ReaderSettings
from phi_deid_pipeline.errors import ConfigError, UnreadableInstance
from phi_deid_pipeline.input_loss import input_lost
from phi_deid_pipeline.pixel_read import (
    ENCAPSULATED_DOCUMENT,
    Frame,
    SourcePixels,
    displayed,
    open_pixels,
)
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Box, Reading, Region, RejectReason

__all__ = ["ReaderSettings", "TextReader", "read_instance_text", "reader_digest"]

# Modules that decide what is read: a change of their syntax reads every picture again.
READING_MODULES = (
    "boxes", "burned_in_text/chain", "burned_in_text/detect", "burned_in_text/gate", "burned_in_text/models",
    "burned_in_text/prepare", "burned_in_text/read", "burned_in_text/settings", "pixel_codecs", "pixel_read",
    "series_text", "text_reading",
)  # fmt: skip
LABEL_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "label map",
    "1.2.840.10008.5.1.4.1.1.481.2": "dose grid",
}
TEXT_LEFT = "text_left"  # word in Reading.detail: the last scan allowed still found something new
CHANGED_MARGIN = 64  # pixels around what differs, so that text at its border is read whole
UNSEEN_DIFFERENCE = 8  # of 255 grey levels: half of what text needs to be legible
INVERTED = "MONOCHROME1"
GATED_MODALITIES = ("CT", "MR")  # the gate was trained on these
CINE_FRAMES = 9  # frames that make a cine
CINE_STEP = 128  # frames; each so many-th of a cine, its middle and its last one are read in full
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and the multi-frame classes below it
IMAGE_TYPE, INSTANCE_NUMBER, BURNED_IN_ANNOTATION = 0x00080008, 0x00200013, 0x00280301


Load = Callable[[str], Reading | None] | None
Keep = Callable[[str, Reading], None] | None


@dataclass(slots=True)
class _Known:
    """What was read so far: each pixel as it was when it was last read, and where text stood in any frame."""

    image: np.ndarray
    boxes: list[Box]


@dataclass(frozen=True, slots=True)
class Glance:
    """A first look at an instance: what was read, and what its series has to know to decide on a second."""

    reading: Reading
    plain: bool = False  # a grey image of CT or MR that the gate may judge
    skimmed: bool = False  # some of its pixels went no further than the gate
    number: int = 0  # Instance Number
    single: bool = False  # one frame


class TextReader:
    """Reads instances with one set of readers and settings.

    A file whose SHA-256 is not the one in `checksums` is not the one that was scanned, and counts as undecodable; so
    does one that went alone from the input folder `root`.
    """

    def __init__(
        self, settings: ReaderSettings, checksums: Mapping[Path, str] = MappingProxyType({}), root: Path | None = None
    ) -> None:
        self.settings, self.checksums, self.root = settings, checksums, root
        self.readers = reader_versions(settings)
        self.digest = reader_digest(settings)
        self.gate = gate_version() if uses_gate(settings) else ""
        self.detects = "ppocr" in used_readers(settings)

    def read(
        self,
        path: Path,
        load: Callable[[str], Reading | None] | None = None,
        keep: Callable[[str, Reading], None] | None = None,
    ) -> Reading:
        """Return all text of an instance; a picture that `load` knows by its content and these readers is not read again.

        Never raises for bad pixels: status `undecodable` tells that nothing may be released. Raises
        DeidError where the file cannot be opened, and nothing shows that the input folder is there without it.
        """
        return self._look(path, load, keep, "").reading

    def glance(
        self,
        path: Path,
        load: Callable[[str], Reading | None] | None = None,
        keep: Callable[[str, Reading], None] | None = None,
    ) -> Glance:
        """Read an instance; where the gate may judge it, in full only if the gate suspects text. Else as `read`.

        What the gate passed by is kept under a key of its own, so that no reading depends on what was read before.
        """
        return self._look(path, load, keep, self.gate)

    def _look(self, path: Path, load: Load, keep: Keep, gate: str) -> Glance:
        try:
            source = open_pixels(path, self.checksums.get(path, ""))
            if source is None:
                return Glance(self._without_pixels(path))
            with source:
                return self._opened(source, load, keep, gate if may_be_gated(source) or is_cine(source) else "")
        except UnreadableInstance as error:
            if error.reason is RejectReason.UNREADABLE_FILE:
                error = input_lost(path, self.root or path)
            return Glance(self._reading("", "undecodable", error.detail or error.reason.value))

    def _opened(self, source: SourcePixels, load: Load, keep: Keep, gate: str) -> Glance:
        content = source.content_key
        key = self.key(content, source.sop_class_uid, gate)
        reading = load(key) if load else None
        if reading is None:
            reading = self._read(source, content, gate)
            if keep and reading.status != "undecodable":
                keep(key, reading)
                if gate and gate not in reading.readers:  # the gate passed all of it on: a full reading
                    keep(self.key(content, source.sop_class_uid, ""), reading)
        return Glance(
            reading,
            plain=may_be_gated(source),
            skimmed=bool(gate) and gate in reading.readers,
            number=_whole(source.text(INSTANCE_NUMBER)),
            single=source.layout.frames == 1,
        )

    def key(self, content: str, sop_class_uid: str, way: str) -> str:
        """Return the key of a reading: of what is seen, and of all that decides how; `way` is the gate, "" for a full one."""
        return hashlib.sha256(f"{content}/{sop_class_uid}/{self.digest}/{way}".encode()).hexdigest()

    def _reading(self, content: str, status: str, detail: str = "", frames: int = 0) -> Reading:
        return Reading(content, status, detail, frames, 0, self.readers, ())

    def _without_pixels(self, path: Path) -> Reading:
        with read_instance(path) as instance:
            if instance.find(ENCAPSULATED_DOCUMENT) is not None:
                return self._reading("", "no_pixels", "encapsulated document, replaced by an empty one")
        return self._reading("", "no_pixels")

    def _read(self, source: SourcePixels, content: str, gate: str) -> Reading:
        layout = source.layout
        base = replace(
            self._reading(content, "skipped", frames=layout.frames), rows=layout.rows, columns=layout.columns
        )
        if source.sop_class_uid in LABEL_CLASSES and not self.settings.read_label_images:
            return replace(base, detail=LABEL_CLASSES[source.sop_class_uid])
        if self.settings.too_small(layout.rows, layout.columns):
            return replace(base, detail=f"sides under {self.settings.min_side} and {SMALL_SIDE} pixels")
        if not self.readers:
            return replace(base, status="undecodable", detail="no reader of text is installed")
        try:
            frames = _Frames(source, self.settings, gated=bool(gate))
            regions, left = frames.read()
            if frames.skimmed and regions and not is_cine(source):  # one slice holds text: all get the full chain
                frames = _Frames(source, self.settings, gated=False)
                regions, left = frames.read()
            further, further_left = _overlay_text(source, self.settings)
        except ReaderError as error:
            return replace(base, status="undecodable", detail=str(error))
        wanted = [r for r in regions if in_margins(r.box, layout.rows, layout.columns, self.settings)]
        regions = sorted({*wanted, *further}, key=place_of)
        details = [TEXT_LEFT] if left or further_left else []
        if frames.constant:
            details.append("constant")
        return replace(
            base,
            status="read",
            detail=" ".join(details),
            frames_read=frames.looked_at,
            regions=tuple(regions),
            readers=(*self.readers, gate) if frames.skimmed else self.readers,
        )


def is_known_to_gate(source: SourcePixels) -> bool:
    """Tell whether the gate's opinion counts: grey CT and MR of its size, neither captured nor marked as showing text."""
    layout = source.layout
    return (
        source.modality in GATED_MODALITIES
        and layout.samples == 1
        and layout.photometric.startswith("MONOCHROME")
        and eligible(layout.rows, layout.columns)
        and not source.sop_class_uid.startswith(SECONDARY_CAPTURE)
        and source.text(BURNED_IN_ANNOTATION) != "YES"
    )


def may_be_gated(source: SourcePixels) -> bool:
    """Tell whether the gate may judge an instance alone: one that it knows, and not derived from others."""
    return is_known_to_gate(source) and "DERIVED" not in source.values(IMAGE_TYPE)


def is_cine(source: SourcePixels) -> bool:
    """Tell whether the gate may judge what changes between frames of an instance: it shows one scene again and again."""
    layout = source.layout
    return (
        layout.frames >= CINE_FRAMES
        and source.modality not in GATED_MODALITIES
        and eligible(layout.rows, layout.columns)
        and not source.sop_class_uid.startswith(SECONDARY_CAPTURE)
        and source.sop_class_uid not in LABEL_CLASSES
    )


def _whole(text: str) -> int:
    return int(text) if text.strip().lstrip("+-").isdecimal() else 0


class _Frames:
    """Goes through the frames of an instance; reads each one in full only where it shows something new."""

    def __init__(self, source: SourcePixels, settings: ReaderSettings, *, gated: bool) -> None:
        self.source = source
        self.settings = settings
        count = source.layout.frames
        self._in_full = {0, count // 2, count - 1} if count > 1 else set()
        if is_cine(source):
            self._in_full |= set(range(0, count, CINE_STEP))
        self._gated = gated
        self._doubt = is_known_to_gate(source)
        self.skimmed = False  # the gate kept something from the full chain
        self.invert = source.layout.photometric == INVERTED
        self.window = source.window() if source.layout.samples == 1 else None
        self.looked_at = 0
        self.constant = True
        self._seen: set[bytes] = set()
        self._known: _Known | None = None
        self._told: set[tuple[Box, str]] = set()  # what was read where; the same text at its place is told once
        self._left = False

    def read(self) -> tuple[list[Region], bool]:
        """Return the regions of all frames, and whether text may be left."""
        regions: list[Region] = []
        for frame in self._chosen():
            self.looked_at += 1
            mark = hashlib.sha256(np.ascontiguousarray(frame.words)).digest()
            if mark in self._seen:
                continue
            self._seen.add(mark)
            image = displayed(self.source, frame)
            self.constant = self.constant and bool((image == image[0, 0]).all())
            if frame.high is not None:
                regions += self._hidden_bits(frame)
            fresh = self._frame(image, frame.index)
            self._told |= {(region.box, region.text) for region in fresh}
            regions += fresh
        return regions, self._left

    def _chosen(self) -> Iterator[Frame]:
        count, wanted = self.source.layout.frames, self.settings.frames_to_sample
        if not wanted or count <= wanted:
            yield from self.source.frames()
            return
        chosen = {round(i * (count - 1) / max(wanted - 1, 1)) for i in range(wanted)}
        yield from (frame for frame in self.source.frames() if frame.index in chosen)

    def _frame(self, image: np.ndarray, index: int) -> list[Region]:
        if self._known is None:
            regions = self._full(image, index)
            self._known = _Known(image.copy(), [region.box for region in regions])
            return regions
        known = self._known
        inside = _differs(image, known.image)
        outside = inside.copy()
        for box in known.boxes:
            outside[_slices(grown(box, *outside.shape))] = False
        altered = [box for box in known.boxes if inside[_slices(grown(box, *inside.shape))].any()]
        # Text that outgrew its old box is looked for anew; what changed within its box alone is read at its place.
        opened = [box for box in altered if outside[_slices(_around(box, *outside.shape))].any()]
        regions = self._changed_boxes(image, index, [box for box in altered if box not in opened])
        changed = _extent(outside, [grown(box, *outside.shape) for box in opened])
        if self.skimmed and index in self._in_full:  # what the gate passed by before may stand here unchanged
            changed = Box(0, 0, outside.shape[1], outside.shape[0])
        if area(changed):
            found = self._part(image, index, changed, [box for box in known.boxes if box not in opened])
            known.image[_slices(changed)] = image[_slices(changed)]
            known.boxes = sorted({*known.boxes, *(region.box for region in found)}, key=_corner)
            regions += found
        return regions

    def _full(self, image: np.ndarray, index: int, whole: tuple[int, int] | None = None) -> list[Region]:
        """Read an image, or a part of one of that shape, in full, unless the gate tells that it needs not."""
        if self._gated and index not in self._in_full and eligible(*image.shape[:2]):
            stroke = gate_map(image, invert=self.invert, settings=self.settings)
            if not may_hold_text(image, stroke, invert=self.invert, window=self.window, settings=self.settings):
                self.skimmed = True
                return []
        text = read_image(
            image,
            invert=self.invert,
            window=self.window,
            settings=self.settings,
            frame=index,
            whole=whole,
            doubt=self._doubt,
        )
        self._left = self._left or text.text_left
        return list(text.regions)

    def _changed_boxes(self, image: np.ndarray, index: int, boxes: list[Box]) -> list[Region]:
        """Read known boxes whose content changed again: their place is known, so no detector is asked."""
        assert self._known is not None
        regions = []
        for box in boxes:
            part = _slices(grown(box, *image.shape[:2]))
            self._known.image[part] = image[part]
            region = read_known_box(
                image, box, invert=self.invert, window=self.window, settings=self.settings, frame=index
            )
            if region is not None and (box, region.text) not in self._told:
                self._told.add((box, region.text))
                regions.append(region)
        return regions

    def _part(self, image: np.ndarray, index: int, changed: Box, boxes: list[Box]) -> list[Region]:
        """Read what changed outside the known boxes; these are filled first, as the loop over one image does."""
        rows, columns = image.shape[:2]
        filled = image.copy()
        dark = image.max() if self.invert else image.min()
        for box in boxes:
            filled[_slices(grown(box, rows, columns))] = dark
        margin = CHANGED_MARGIN
        part = Box(changed.x - margin, changed.y - margin, changed.w + 2 * margin, changed.h + 2 * margin)
        part = clipped(part, rows, columns)
        return [
            replace(region, box=Box(region.box.x + part.x, region.box.y + part.y, region.box.w, region.box.h))
            for region in self._full(np.ascontiguousarray(filled[_slices(part)]), index, (rows, columns))
        ]

    def _hidden_bits(self, frame: Frame) -> list[Region]:
        """Read each used bit above Bits Stored as a picture of its own."""
        assert frame.high is not None
        regions: list[Region] = []
        planes = frame.high if frame.high.ndim == 2 else frame.high.max(axis=2)
        for bit in range(int(planes.max()).bit_length()):
            plane = ((planes >> planes.dtype.type(bit)) & planes.dtype.type(1)).astype(np.uint8) * 255
            text = read_image(plane, settings=self.settings, frame=frame.index, plane="high bits")
            self._left = self._left or text.text_left
            regions += text.regions
        return regions


def _slices(box: Box) -> tuple[slice, slice]:
    return np.s_[box.y : box.y + box.h, box.x : box.x + box.w]


def _corner(box: Box) -> tuple[int, int, int, int]:
    return box.y, box.x, box.h, box.w


def _differs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Tell where two pictures differ; 8-bit ones by more than lossy compression adds and text could be read in."""
    unseen = UNSEEN_DIFFERENCE if one.dtype == np.uint8 else 0
    differs = one != other if not unseen else np.maximum(one, other) - np.minimum(one, other) > unseen
    return differs.any(axis=2) if differs.ndim == 3 else differs


def _around(box: Box, rows: int, columns: int) -> Box:
    """Return a box with its height added on each side."""
    return clipped(Box(box.x - box.h, box.y - box.h, box.w + 2 * box.h, 3 * box.h), rows, columns)


def _extent(differs: np.ndarray, boxes: list[Box]) -> Box:
    """Return the box around all pixels that differ and some boxes."""
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    whole = Box(0, 0, 0, 0)
    if len(rows):
        whole = Box(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
    for box in boxes:
        whole = joined(whole, box) if area(whole) else box
    return whole


def _overlay_text(source: SourcePixels, settings: ReaderSettings) -> tuple[list[Region], bool]:
    """Read 60xx planes; boxes are moved to where the plane lies on the image."""
    regions, left = [], False
    for number, overlay in enumerate(source.overlays()):
        text = read_image(
            overlay.plane.astype(np.uint8) * 255, settings=settings, plane=f"overlay {overlay.group:04X}", frame=0
        )
        left = left or text.text_left
        for region in text.regions:
            box = region.box
            moved = Box(box.x + overlay.column, box.y + overlay.row, box.w, box.h)
            regions.append(replace(region, box=moved, frame=min(number, source.layout.frames - 1)))
    return regions, left


def place_of(region: Region) -> tuple:
    """Return what regions are sorted by."""
    box = region.box
    return region.frame, region.plane, box.y, box.x, box.h, box.w, region.text, region.confidence


def read_instance_text(path: Path, settings: ReaderSettings) -> Reading:
    """Return all text of an instance, without a store."""
    return TextReader(settings).read(path)


@cache
def _tesseract_version() -> str:
    done = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).split("\n")[0].removeprefix("tesseract").strip()


@cache
def reader_versions(settings: ReaderSettings) -> tuple[str, ...]:
    """Return name, version and SHA-256 of each model file of the readers in use; () where none is installed.

    Raises ConfigError for a language that Tesseract lacks: the second reader would read nothing at all.
    """
    named = []
    for reader in used_readers(settings):
        if reader == "ppocr":
            files = (DETECTOR_FILE, RECOGNISER_FILE, *([GATE_FILE] if have_gate() else []))
            models = " ".join(f"{name}:{model_digest(name)}" for name in files)
            named.append(f"ppocr {runtime_version()} {models}")
        else:
            if missing := missing_languages(settings.languages):
                raise ConfigError(f"ocr.languages: Tesseract has no {', '.join(missing)}; install it or leave it out.")
            models = " ".join(f"{name}:{digest}" for name, digest in language_digests(settings.languages))
            named.append(f"tesseract {_tesseract_version()} {settings.languages} {models}".rstrip())
    if named and not named[0].startswith("ppocr") and "ppocr" in settings.readers:
        named.append("ppocr missing: Tesseract-only chain")
    return tuple(named)


def uses_gate(settings: ReaderSettings) -> bool:
    """Tell whether the gate judges slices: asked for, installed, and with the detector that its second stage needs."""
    return settings.thoroughness == "cascade" and have_gate() and "ppocr" in used_readers(settings)


def gate_version() -> str:
    """Return name, model digest and threshold of the gate, as the audit shows them."""
    return f"{GATE} {GATE_FILE}:{model_digest(GATE_FILE)} threshold {THRESHOLD}"


@cache
def _code_digest(package: Path) -> str:
    """Return a digest of the syntax of the modules that decide what is read, without comments and docstrings."""
    digest = hashlib.sha256()
    for name in READING_MODULES:
        tree = ast.parse((package / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            first = body[0] if isinstance(body, list) and body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                body[0] = ast.Pass()
        digest.update(f"{name} {ast.dump(tree)}\n".encode())
    return digest.hexdigest()


@cache
def reader_digest(settings: ReaderSettings) -> str:
    """Return a digest of all that decides what is read: code, settings, versions of readers, models, codecs."""
    codecs = {name: importlib.metadata.version(name) for name in ("imagecodecs", "pylibjpeg-openjpeg", "pyjpegls")}
    codecs |= {name: importlib.metadata.version(name) for name in ("numpy", "opencv-python-headless", "pydicom")}
    same = asdict(replace(settings, thoroughness="full"))  # a full reading is the same whoever asked for it
    content = [_code_digest(Path(__file__).parent), same, reader_versions(settings), codecs]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
