"""The pictures of one seed as DICOM instances, each with its key: lines of planted text with their ink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from benchmarks.burned_in_text.backgrounds import (
    GENERATED,
    MAKERS,
    Background,
    generated,
    mark,
    real,
    real_series,
    varied,
)
from benchmarks.burned_in_text.plants import Line, plant_lines
from benchmarks.burned_in_text.texts import Patient, patient, pool_of
from phi_deid_pipeline.records import Box

TEXT_FREE = 0.3  # share of pictures without a line
MARKED = 0.3  # share of pictures with rulers, curves, regions
REAL_SHARE = 0.45  # of the pictures
LINES = (2, 9)  # lines of a picture, the upper bound not among them
CLASSES = {
    "CT": uid.CTImageStorage, "MR": uid.MRImageStorage, "US": uid.UltrasoundImageStorage,
    "XA": uid.XRayAngiographicImageStorage, "CR": uid.ComputedRadiographyImageStorage,
    "DX": uid.DigitalXRayImageStorageForPresentation, "MG": uid.DigitalMammographyXRayImageStorageForPresentation,
    "NM": uid.NuclearMedicineImageStorage, "PT": uid.PositronEmissionTomographyImageStorage,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: where it is written, how large, what it shows and what is planted in it."""

    path: Path
    rows: int
    columns: int
    modality: str
    source: str  # generated, or real
    trained: bool  # the gate may have seen its ground
    lines: tuple[Line, ...]

    def ink(self, line: Line) -> tuple[slice, slice]:
        """Return where a line's ink is cut out."""
        return np.s_[line.top : line.top + line.ink.shape[0], line.left : line.left + line.ink.shape[1]]


def line_box(line: Line) -> Box:
    """Return the box around a line's ink."""
    return Box(line.left, line.top, line.ink.shape[1], line.ink.shape[0])


def build(folder: Path, seed: int, count: int, data: Path, first: int = 0) -> list[Scene]:
    """Write `count` pictures of a seed, from number `first` on, into a folder and return them.

    A picture depends on seed, number and `data` alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = real_series(data)
    return [_scene(folder / f"{number:05d}.dcm", seed, number, series) for number in range(first, first + count)]


def _scene(path: Path, seed: int, number: int, series: list[list[tuple[str, Path]]]) -> Scene:
    random = np.random.default_rng([seed, number])
    pool = pool_of(seed)
    ground = _ground(random, series)
    known = patient(random, pool)
    image = ground.values.copy()
    if random.random() < MARKED:
        mark(random, image)
    lines = []
    if random.random() >= TEXT_FREE:
        lines = plant_lines(random, image, int(random.integers(*LINES)), known, pool, ground.shown, ground.limits)
    write(path, ground, ground.kept(image), known, seed * 100_000 + number)
    return Scene(path, *image.shape[:2], ground.modality, ground.source, ground.trained, tuple(lines))


def _ground(random: np.random.Generator, series: list[list[tuple[str, Path]]]) -> Background:
    """Draw a picture: real ones by modality first, so that one with many series does not stand for all."""
    if random.random() < REAL_SHARE:
        for _ in range(20):
            modality = str(random.choice(sorted({members[0][0] for members in series})))
            fitting = [members for members in series if members[0][0] == modality]
            members = fitting[random.integers(len(fitting))]
            found = real(members[random.integers(len(members))][1], modality)
            if found is not None:
                return varied(random, found)
    return generated(random, str(random.choice(list(MAKERS))))


def write(path: Path, ground: Background, values: np.ndarray, known: Patient, number: int) -> None:
    """Write one picture as a DICOM instance whose header names a patient; `number` ends its UIDs."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CLASSES.get(ground.modality, uid.SecondaryCaptureImageStorage)
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    for keyword, kind in (("StudyInstanceUID", 1), ("SeriesInstanceUID", 2), ("SOPInstanceUID", 3)):
        setattr(dataset, keyword, f"1.2.826.0.1.3680043.10.1465.{kind}.{number}")
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientName, dataset.PatientID = f"{known.family}^{known.given}", known.patient_id
    dataset.PatientBirthDate, dataset.StudyDate, dataset.StudyTime = (
        known.birth_date,
        known.study_date,
        known.study_time,
    )
    dataset.AccessionNumber, dataset.InstitutionName = known.accession, known.institution
    dataset.ReferringPhysicianName, dataset.Modality = known.physician, ground.modality
    dataset.Manufacturer, dataset.InstanceNumber = "", 1
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
    dataset.PhotometricInterpretation = (
        "RGB" if values.ndim == 3 else "MONOCHROME1" if ground.inverted else "MONOCHROME2"
    )
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = values.dtype.itemsize * 8
    dataset.BitsStored = ground.bits
    dataset.HighBit = ground.bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    if ground.window is not None:
        low, high = ground.window
        dataset.WindowCenter, dataset.WindowWidth = round((low + high) / 2, 3), round(max(high - low, 1), 3)
    raw = values.tobytes()
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    dataset.save_as(path, enforce_file_format=True)


def is_generated(scene: Scene) -> bool:
    """Tell whether a picture's ground was generated."""
    return scene.source == GENERATED
