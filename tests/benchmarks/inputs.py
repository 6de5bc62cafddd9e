"""Input of the benchmarks of speed and memory: a CT series, one very large instance, real data."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

FRAME_BYTES = 512 * 512 * 2
EXPLICIT, JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"


def make_ct(folder: Path, instances: int) -> None:
    """Write one CT series of noise around a body: 512 x 512, 16 bits, explicit VR little endian."""
    import numpy as np

    from factories import ct_instance, write

    random = np.random.default_rng(7)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = np.where(x**2 + (y * 1.3) ** 2 < 0.7, 40, -1000)
    for number in range(instances):
        dataset = ct_instance(number=number + 1)
        dataset.Rows = dataset.Columns = 512
        dataset.PixelData = (body + random.normal(0, 12, body.shape)).astype("<i2").tobytes()
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        write(dataset, folder / f"{number:05d}", EXPLICIT)


def make_large(path: Path, size: int, *, encapsulated: bool) -> None:
    """Write one multi-frame instance of about `size` bytes, its frames holes in the file: no disk is filled.

    Encapsulated frames stand for compressed ones: nobody decodes them in these steps.
    """
    from factories import ct_instance, write

    frames = min(size, 0xFFFFFFFF) // FRAME_BYTES  # a length has 32 bits
    dataset = ct_instance(number=1)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"  # Multi-frame Grayscale Word Secondary Capture
    dataset.Rows = dataset.Columns = 512
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.NumberOfFrames = 15, 1, frames
    del dataset.PixelData
    write(dataset, path, EXPLICIT)
    head = path.read_bytes()
    if encapsulated:
        old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (EXPLICIT, JPEG_LS))
        grown = len(new) - len(old)
        at = head.index(b"UI" + struct.pack("<H", len(old)) + old)
        (group,) = struct.unpack_from("<I", head, 140)
        head = head[:at] + b"UI" + struct.pack("<H", len(new)) + new + head[at + 4 + len(old) :]
        head = head[:140] + struct.pack("<I", group + grown) + head[144:]
    with path.open("wb") as stream:
        stream.write(head)
        if not encapsulated:
            stream.write(struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, frames * FRAME_BYTES))
            stream.truncate(stream.tell() + frames * FRAME_BYTES)
            return
        stream.write(struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF))
        stream.write(struct.pack("<HHI", 0xFFFE, 0xE000, 0))
        for _ in range(frames):
            stream.write(struct.pack("<HHI", 0xFFFE, 0xE000, FRAME_BYTES))
            stream.seek(FRAME_BYTES, 1)
        stream.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def copy_instances(source: Path, folder: Path, work: Path) -> None:
    """Copy what the inventory of `source` accepts into one flat folder."""
    from phi_deid_pipeline import pipeline
    from phi_deid_pipeline.records import Manifest
    from record_io import from_json

    scan = {"salt": bytes(32), "settings": {"duplicates": "hold"}, "patients": {}, "decisions": [], "threads": 1}
    pipeline.scan_input(source.resolve(), work / "sorting", **scan)
    count = 0
    for path in sorted((work / "sorting" / "manifests").glob("*.json")):
        for series in from_json(path.read_bytes(), Manifest).series:
            for instance in series.instances:
                shutil.copyfile(source / instance.path, folder / f"{count:05d}")
                count += 1
