"""Small builders of DICOM instances for tests. Identifiers in them are invented and listed by `canaries()`."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

import sample_datasets as sets
from sample_identity import OTTOLINE, PLANTED, Person

__all__ = ["canaries", "ct_instance", "rgb_instance", "write"]


def ct_instance(*, person: Person = OTTOLINE, number: int = 1, size: int = 32, **overrides: Any) -> Dataset:
    """Return a CT slice full of planted identifiers; `overrides` sets attributes by keyword, None deletes one."""
    plane = {"position": [-10.0, -10.0, 1.5 * number], "orientation": [1, 0, 0, 0, 1, 0], "spacing": [1, 1, 1.5]}
    pixels = sets.phantom_slice(size, 0.5, seed=number)
    return _overridden(sets.ct_slice(person, "factory ct", number, pixels, plane), overrides)


def rgb_instance(
    lines: tuple[str, ...] = (),
    *,
    person: Person = OTTOLINE,
    number: int = 1,
    size: tuple[int, int] = (96, 256),
    ink: int = 255,
    **overrides: Any,
) -> Dataset:
    """Return a colour secondary capture on grey ground (60) of rows x columns with lines of text at its upper left."""
    pixels = np.full((*size, 3), 60, np.uint8)
    sets.write_text(pixels, list(lines), (4, 4), ink, 0.5)
    ds = sets.base(person, uid.SecondaryCaptureImageStorage, "OT", "factory rgb", number)
    ds.ConversionType = "WSD"
    sets.set_pixels(ds, pixels)
    return _overridden(ds, overrides)


def _overridden(ds: Dataset, overrides: dict[str, Any]) -> Dataset:
    for keyword, value in overrides.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def write(ds: Dataset, path: Path, transfer_syntax: str = uid.ExplicitVRLittleEndian) -> Path:
    """Write an instance in a transfer syntax, compressing native pixels where it asks for that; return the path.

    Explicit VR Big Endian swaps pixel data of 16 bits; the data set handed in is not changed.
    """
    ds = deepcopy(ds)
    wanted = uid.UID(transfer_syntax)
    if wanted == uid.JPEG2000Lossless:  # pydicom has no encoder for it here
        codestream = imagecodecs.jpeg2k_encode(ds.pixel_array, level=0, codecformat="j2k", reversible=True)
        ds.PixelData = encapsulate([bytes(codestream)])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.file_meta.TransferSyntaxUID = wanted
    elif wanted == uid.JPEGBaseline8Bit:  # nor for this
        options = {"colorspace": "rgb", "outcolorspace": "ycbcr", "subsampling": "422"}
        ds.PixelData = encapsulate([bytes(imagecodecs.jpeg8_encode(ds.pixel_array, level=90, **options))])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        ds.PhotometricInterpretation, ds.LossyImageCompression = "YBR_FULL_422", "01"
        ds.LossyImageCompressionMethod, ds.LossyImageCompressionRatio = "ISO_10918_1", 10
        ds.file_meta.TransferSyntaxUID = wanted
    elif wanted.is_encapsulated:
        ds.compress(wanted, generate_instance_uid=False)
    else:
        ds.file_meta.TransferSyntaxUID = wanted
        if not wanted.is_little_endian and ds.get("BitsAllocated") == 16 and "PixelData" in ds:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True, implicit_vr=wanted.is_implicit_VR, little_endian=wanted.is_little_endian)
    return path


def canaries() -> list[str]:
    """Return every planted identifier, each once, sorted."""
    return sorted({value for values in PLANTED.values() for value in values})
