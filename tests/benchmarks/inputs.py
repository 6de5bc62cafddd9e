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


def make_cine(path: Path) -> None:
    """Write a cine of 120 frames of 600 x 800, 8 bits: what `read_cine` reads."""
    import cv2
    import numpy as np

    from factories import ct_instance, write

    random = np.random.default_rng(8)
    y, x = np.mgrid[0:600, 0:800]
    radius, angle = np.hypot(y + 20, x - 400), np.arctan2(x - 400, y + 20)
    sector = (radius > 60) & (radius < 560) & (abs(angle) < 0.7)
    frames = []
    for number in range(120):
        speckle = cv2.GaussianBlur(random.rayleigh(40, (600, 800)), (0, 0), 1.5)
        frame = (
            np.where(sector, speckle * (0.6 + 0.4 * np.sin(radius / 40 - number / 5)), 0).clip(0, 255).astype(np.uint8)
        )
        for at, text in (
            ((10, 25), "MUSTER^ERIKA 4711"),
            ((600, 25), "12.08.2019"),
            ((20, 590), f"frame {number:03d}"),
        ):
            cv2.putText(frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1, cv2.LINE_AA)
        frames.append(frame)
    dataset = ct_instance(Modality="US", NumberOfFrames=len(frames), Rows=600, Columns=800)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = np.stack(frames).tobytes()
    path.parent.mkdir()
    write(dataset, path, "1.2.840.10008.1.2.1")


def make_radiograph(path: Path) -> None:
    """Write a radiograph of 2048 x 2048, 16 bits, with one line of text: what `read_large` reads."""
    import cv2
    import numpy as np

    from factories import ct_instance, write

    random = np.random.default_rng(9)
    smooth = cv2.resize(random.normal(2000, 500, (32, 32)), (2048, 2048), interpolation=cv2.INTER_CUBIC)
    image = (smooth + random.normal(0, 20, smooth.shape)).clip(0, 4000).astype("<u2")
    ink = np.zeros(image.shape, np.uint8)
    cv2.putText(ink, "MUSTER^ERIKA 4711", (100, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 2, cv2.LINE_AA)
    image[ink > 127] = 4095
    dataset = ct_instance(Modality="DX", Rows=2048, Columns=2048)
    dataset.BitsAllocated, dataset.BitsStored = 16, 12
    dataset.HighBit, dataset.PixelRepresentation = 11, 0
    dataset.PixelData = image.tobytes()
    path.parent.mkdir()
    write(dataset, path, "1.2.840.10008.1.2.1")
