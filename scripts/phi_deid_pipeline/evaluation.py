"""Evaluate a folder of de-identified DICOM instances, whoever made it: a second pass that shares no rule with the engine.

It knows no salt, no policy and no lexicon; with known identifiers it searches for those too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import config, dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from phi_deid_pipeline.evaluation_findings import FileResult, HeaderFinding, Severity
from phi_deid_pipeline.evaluation_header import look_at_bytes, look_at_header, look_at_path
from phi_deid_pipeline.evaluation_known import Known

if TYPE_CHECKING:
    from phi_deid_pipeline.evaluation_pixels import Look

FILES_AT_ONCE = 4  # that a worker is handed
HEAD = 16  # bytes that tell what a file is
OPAQUE = (
    (b"PK\x03\x04", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"%PDF", "a PDF document"),
)
PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*", b"GIF8")
TEXT_BYTES = 1 << 20  # of a file without DICOM that are searched


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate and how. `frame_share` (0-1): share of an instance's frames that are read; 0 leaves pixels out."""

    root: Path
    known: Known = field(default_factory=Known)
    frame_share: float = 1.0

    def files(self) -> list[str]:
        """Return the paths of all files below the root, relative to it, sorted; links are told, never followed."""
        found = []
        for folder, _, names in os.walk(self.root):
            found += [Path(folder, name).relative_to(self.root).as_posix() for name in names]
        return sorted(found)

    def results(
        self, files: Sequence[str], cores: int = 1, start: Callable[[], object] | None = None
    ) -> Iterator[FileResult]:
        """Yield what is in each file, in the order of `files`; `start` is called first in each process that looks."""
        if cores == 1:
            yield from map(self.look, files)
            return
        with ProcessPoolExecutor(cores, initializer=start) as pool:
            yield from pool.map(self.look, files, chunksize=FILES_AT_ONCE)

    def look(self, file: str) -> FileResult:
        """Return what is in one file; whatever fails on it is a finding, for then nobody has looked."""
        path = self.root / file
        named = tuple(look_at_path(file, self.known))
        if path.is_symlink():
            return FileResult(file, False, (*named, _fact(file, Severity.POSSIBLE, "link", "a link; not followed")))
        try:
            return self._opened(path, file, named)
        except OSError as error:
            told = f"the file cannot be opened (errno {error.errno})"
        except Exception as error:  # noqa: BLE001 pydicom and decoders fail in many ways on broken bytes
            told = f"the file cannot be looked through ({type(error).__name__})"
        return FileResult(file, False, (*named, _fact(file, Severity.LIKELY, "unreadable", told)))

    def _opened(self, path: Path, file: str, named: tuple[HeaderFinding, ...]) -> FileResult:
        dataset = _read(path)
        if dataset is None:
            return self._no_dicom(path, file, named)
        header = (*named, *look_at_header(file, dataset, self.known))
        if not self.frame_share:
            return FileResult(file, True, header)
        from phi_deid_pipeline.evaluation_pixels import look_at_pixels

        pixels = look_at_pixels(path, file, self.known, self.frame_share)
        return FileResult(file, True, header, pixels.findings, pixels.frames, pixels.frames_read)

    def _no_dicom(self, path: Path, file: str, named: tuple[HeaderFinding, ...]) -> FileResult:
        with path.open("rb") as stream:
            data = stream.read(TEXT_BYTES)
        what = next((what for head, what in OPAQUE if data.startswith(head)), "")
        picture = data.startswith(PICTURES)
        look = self._picture(path, file) if picture and self.frame_share else None
        severity = Severity.POSSIBLE if look or not (what or picture) else Severity.LIKELY
        if look:
            told = "a picture, no DICOM; its text was read"
        elif what or picture:
            told = f"{what or 'a picture'} that nobody looked into"
        else:
            told = "no DICOM; only its text was searched"
        header = [_fact(file, severity, "no_dicom", told)]
        header += look_at_bytes(file, data, self.known, compressed=bool(what or picture))
        if look is None:
            return FileResult(file, False, (*named, *header))
        return FileResult(file, False, (*named, *header), look.findings, look.frames, look.frames_read)

    def _picture(self, path: Path, file: str) -> Look | None:
        from phi_deid_pipeline.evaluation_pixels import look_at_picture

        return look_at_picture(path.read_bytes(), file, self.known)


def _read(path: Path) -> FileDataset | None:
    """Return the data set of a file, None where it is no DICOM; with or without preamble and file meta."""
    config.settings.reading_validation_mode = config.IGNORE
    try:
        dataset = dcmread(path)
    except InvalidDicomError:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        if not _may_be_bare(head):
            return None
        try:
            dataset = dcmread(path, force=True)
        except Exception:  # noqa: BLE001 bytes that only began like a data set
            return None
        if "SOPClassUID" not in dataset and "SOPInstanceUID" not in dataset and "PatientID" not in dataset:
            return None
    return dataset


def _may_be_bare(head: bytes) -> bool:
    """Tell whether bytes may begin a data set without preamble: a small, even group in either byte order."""
    little, big = int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big")
    return len(head) >= 8 and (little in (2, 8) or big in (2, 8))


def _fact(file: str, severity: Severity, kind: str, why: str) -> HeaderFinding:
    return HeaderFinding(file, "file", "", "", severity, kind, "", why)
