"""Speed and memory of the steps, as ratios to a plain copy measured in the same run: `make bench`.

Each line is one process of its own over the same generated CT instances of 512 x 512 (no text in them), so that CPU time
and peak memory are those of the step alone. `--instances N` sets their number; results go to a table and, with
`--json FILE`, to a file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

SALT = bytes(range(32))
READ_TEXT_INSTANCES = 20  # the slow step; its time per instance does not depend on the number


def make_input(folder: Path, instances: int) -> None:
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
        write(dataset, folder / f"{number:05d}", "1.2.840.10008.1.2.1")


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


def make_large(path: Path) -> None:
    """Write a radiograph of 2048 x 2048, 16 bits, with one line of text: what `read_large` reads."""
    import cv2
    import numpy as np

    from factories import ct_instance, write

    random = np.random.default_rng(9)
    smooth = cv2.resize(random.normal(2000, 500, (32, 32)), (2048, 2048), interpolation=cv2.INTER_CUBIC)
    image = (smooth + random.normal(0, 20, smooth.shape)).clip(0, 4000).astype("<u2")
    cv2.putText(image, "MUSTER^ERIKA 4711", (100, 100), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 4095, 2, cv2.LINE_AA)
    dataset = ct_instance(Modality="DX", Rows=2048, Columns=2048)
    dataset.BitsAllocated, dataset.BitsStored = 16, 12
    dataset.HighBit, dataset.PixelRepresentation = 11, 0
    dataset.PixelData = image.tobytes()
    path.parent.mkdir()
    write(dataset, path, "1.2.840.10008.1.2.1")


def copy(work: Path) -> int:
    """Copy every file."""
    shutil.copytree(work / "input", work / "copied")
    return len(list((work / "copied").iterdir()))


def hash_twice(work: Path) -> int:
    """Read every file and hash it twice, as input and output are hashed."""
    paths = sorted((work / "input").iterdir())
    for path in paths:
        data = path.read_bytes()
        hashlib.sha256(data).digest()
        hashlib.sha256(data).digest()
    return len(paths)


def inventory(work: Path) -> int:
    """Scan the input for the first time."""
    from phi_deid_pipeline import pipeline

    settings = {"duplicates": "hold"}
    arguments = {"salt": SALT, "settings": settings, "patients": {}, "decisions": [], "threads": 1}
    return pipeline.scan_input(work / "input", work / "private", **arguments).instances


def read_text(work: Path) -> int:
    """Look for text in some instances with the whole chain."""
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    reader = TextReader(ReaderSettings(readers=("ppocr",)))
    paths = sorted((work / "input").iterdir())[:READ_TEXT_INSTANCES]
    assert all(reader.read(path).status == "read" for path in paths)
    return len(paths)


def skim_text(work: Path) -> int:
    """Look for text in single slices with the cascade: gate, then detector and reader on what it suspects."""
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    reader = TextReader(ReaderSettings(readers=("ppocr",)))
    glances = [reader.glance(path) for path in sorted((work / "input").iterdir())]
    assert sum(glance.skimmed for glance in glances) >= 0.9 * len(glances)
    return len(glances)


def read_series_text(work: Path) -> int:
    """Look for text in the whole series: cascade, full chain for the first, middle and last slice, the still part."""
    from phi_deid_pipeline.series_text import read_series
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    paths = sorted((work / "input").iterdir())
    return len(read_series(TextReader(ReaderSettings(readers=("ppocr",))), paths))


def read_cine(work: Path) -> int:
    """Look for text in an ultrasound cine: a moving sector of speckle, static text, a counter that changes."""
    return _read_one(work / "cine" / "cine")


def read_large(work: Path) -> int:
    """Look for text in a radiograph of 2048 x 2048."""
    return _read_one(work / "large" / "large")


def _read_one(path: Path) -> int:
    from phi_deid_pipeline.series_text import read_series
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    (reading,) = read_series(TextReader(ReaderSettings(readers=("ppocr",))), [path])
    assert reading.status == "read"
    assert reading.regions
    return 1


def deidentify(work: Path) -> int:
    """De-identify all instances of the batch: headers, UIDs, both SHA-256, records."""
    from phi_deid_pipeline import pipeline
    from phi_deid_pipeline.policies import load_policy
    from phi_deid_pipeline.records import InstanceFindings, Manifest
    from record_io import from_json, write_jsonl

    private = work / "private"
    count = 0
    for path in sorted((private / "manifests").glob("*.json")):
        manifest = from_json(path.read_bytes(), Manifest)
        findings = [
            InstanceFindings(i.sop_uid, i.path, "read", "", 1, 1, (), ()) for s in manifest.series for i in s.instances
        ]
        lexicons = {s.patient: (private / "lexicons" / f"{s.patient}.json").read_text() for s in manifest.series}
        staging = private / "staging" / path.stem
        policy = load_policy("hipaa_safe_harbor").to_json()
        rows = pipeline.deidentify_series(manifest, findings, lexicons, policy, SALT, work / "input", staging)
        count += write_jsonl(private / "records" / f"{path.stem}.jsonl", rows)
    return count


def verify(work: Path) -> int:
    """Verify what was written, and its links."""
    from phi_deid_pipeline import pipeline
    from phi_deid_pipeline.policies import load_policy
    from phi_deid_pipeline.records import DeidRecord, Manifest, Status
    from record_io import from_json, read_jsonl

    private = work / "private"
    policy = load_policy("hipaa_safe_harbor").to_json()
    count = 0
    for path in sorted((private / "manifests").glob("*.json")):
        manifest = from_json(path.read_bytes(), Manifest)
        records = list(read_jsonl(private / "records" / f"{path.stem}.jsonl", DeidRecord))
        uids = {row["old_uid"]: row["new_uid"] for row in pipeline.map_uids(manifest, SALT)}
        lexicons = {s.patient: (private / "lexicons" / f"{s.patient}.json").read_text() for s in manifest.series}
        staging = private / "staging" / path.stem
        verdicts, _ = pipeline.verify_series(manifest, records, uids, lexicons, policy, work / "input", staging)
        assert all(verdict.status is Status.RELEASED for verdict in verdicts)
        count += len(verdicts)
    return count


def geometry(work: Path) -> int:
    """Extract metadata and measure the CT series."""
    from phi_deid_pipeline import pipeline
    from phi_deid_pipeline.records import DeidRecord
    from record_io import read_jsonl

    count = 0
    for path in sorted((work / "private" / "records").glob("*.jsonl")):
        staging = work / "private" / "staging" / path.stem
        records = list(read_jsonl(path, DeidRecord))
        count += len(list(pipeline.extract_metadata(staging, records)))
        assert list(pipeline.measure_ct_geometry(staging, records, {}))
    return count


STEPS: tuple[Callable[[Path], int], ...] = (
    copy, hash_twice, inventory, deidentify, verify, geometry, read_text, skim_text, read_series_text, read_cine, read_large,
)  # fmt: skip


def _measured(step: Callable[[Path], int], work: Path, results: multiprocessing.Queue) -> None:
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    count = step(work)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results.put((count, cpu, time.perf_counter() - wall, after.ru_maxrss / 1024))


def main() -> int:
    """Run every step and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=300, metavar="N", help="CT instances (default: 300)")
    names = [step.__name__ for step in STEPS]
    parser.add_argument("--steps", nargs="+", choices=names, default=names, help="only these, and copy (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows, base = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "input").mkdir()
        make_input(work / "input", arguments.instances)
        make_cine(work / "cine" / "cine")
        make_large(work / "large" / "large")
        for step in (step for step in STEPS if step is copy or step.__name__ in arguments.steps):
            results = context.Queue()
            process = context.Process(target=_measured, args=(step, work, results))
            process.start()
            process.join()
            if process.exitcode:
                print(f"{step.__name__} failed", file=sys.stderr)
                return 1
            count, cpu, wall, memory = results.get()
            each = 1000 * cpu / count
            base = base or each
            rows.append(
                {
                    "step": step.__name__,
                    "instances": count,
                    "cpu_ms": round(each, 2),
                    "wall_ms": round(1000 * wall / count, 2),
                    "times_copy": round(each / base, 1),
                    "peak_mb": round(memory),
                }
            )
    names = list(rows[0])
    print("  ".join(f"{name:>10}" for name in names))
    for row in rows:
        print("  ".join(f"{row[name]:>10}" for name in names))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
