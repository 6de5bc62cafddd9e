"""One step in a process of its own, as a job runs it: steps.py STEP WORK. Imports stand where they are used and paid.

WORK/input holds the instances, WORK/private what `prepare` leaves for the steps: manifests, lexicons, policy, findings.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]
SALT = bytes(range(32))
POLICY = "hipaa_safe_harbor"
READ_TEXT_INSTANCES = 20  # the slow step; its time per instance does not depend on the number


def copy(work: Path) -> None:
    """Copy every file."""
    import shutil

    shutil.copytree(work / "input", work / "out" / "copied")


def hash_twice(work: Path) -> None:
    """Read every file and hash it twice, as input and output are hashed."""
    import hashlib

    for path in sorted((work / "input").iterdir()):
        data = path.read_bytes()
        hashlib.sha256(data).digest()
        hashlib.sha256(data).digest()


def inventory(work: Path, private: str = "out/private") -> None:
    """Scan the input for the first time."""
    from phi_deid_pipeline import pipeline

    settings = {"duplicates": "hold"}
    arguments = {"salt": SALT, "settings": settings, "patients": {}, "decisions": [], "threads": 1}
    pipeline.scan_input(work / "input", work / private, **arguments)


def fill(work: Path, source: str) -> None:
    """Make the input: `source` is a number of CT instances, a size such as `native:1000000` or a folder of real data."""
    import inputs

    folder = work / "input"
    kind, _, size = source.partition(":")
    if kind in ("native", "encapsulated"):
        inputs.make_large(folder / "large", int(size), encapsulated=kind == "encapsulated")
    elif source.isdecimal():
        inputs.make_ct(folder, int(source))
    else:
        inputs.copy_instances(Path(source), folder, work)


def prepare(work: Path) -> None:
    """Make what the steps read: inventory, UID maps, resolved policy, and findings as of pictures without text."""
    import map_uids
    from phi_deid_pipeline.policies import load_policy
    from phi_deid_pipeline.records import InstanceFindings, Manifest
    from record_io import from_json, write_jsonl

    inventory(work, "private")
    private = work / "private"
    (private / "policy.json").write_text(load_policy(POLICY).to_json(), encoding="utf-8")
    (private / "salt").write_bytes(SALT)
    (private / "subjects.jsonl").touch()
    for path in sorted((private / "manifests").glob("*.json")):
        map_uids.main(path, private / "salt", private / "uid_map" / f"{path.stem}.jsonl")
        series = from_json(path.read_bytes(), Manifest).series
        rows = (
            InstanceFindings(i.sop_uid, i.path, "read", "", 1, 1, ("none",), ()) for s in series for i in s.instances
        )
        write_jsonl(private / "findings" / f"{path.stem}.jsonl", rows)


def _lexicons(work: Path, manifest: Path) -> list[Path]:
    from phi_deid_pipeline.records import Manifest
    from record_io import from_json

    series = from_json(manifest.read_bytes(), Manifest).series
    return [work / "private" / "lexicons" / f"{patient}.json" for patient in sorted({s.patient for s in series})]


def deidentify(work: Path) -> None:
    """De-identify every batch: headers, UIDs, both SHA-256, records."""
    import deidentify_series

    private, out = work / "private", work / "out"
    for path in sorted((private / "manifests").glob("*.json")):
        deidentify_series.main(
            manifest=path,
            findings=private / "findings" / f"{path.stem}.jsonl",
            lexicons=_lexicons(work, path),
            subjects=private / "subjects.jsonl",
            policy=private / "policy.json",
            salt=private / "salt",
            faces={"max_slice_thickness_mm": 3.0, "min_slices": 20},
            input_root=work / "input",
            staging=out / "staging" / path.stem,
            records=out / "records" / f"{path.stem}.jsonl",
            words=out / "words" / f"{path.stem}.jsonl",
            languages=None,
            shared=[],
            accepted_words="",
        )


def verify(work: Path) -> None:
    """Verify what `deidentify` wrote, and its links."""
    import verify_series

    private, out = work / "private", work / "out"
    for path in sorted((private / "manifests").glob("*.json")):
        verify_series.main(
            manifest=path,
            uid_map=private / "uid_map" / f"{path.stem}.jsonl",
            lexicons=_lexicons(work, path),
            subjects=private / "subjects.jsonl",
            policy=private / "policy.json",
            input_root=work / "input",
            staging=out / "staging" / path.stem,
            records=out / "records" / f"{path.stem}.jsonl",
            verification=out / "verification" / f"{path.stem}.jsonl",
            links=out / "links" / f"{path.stem}.jsonl",
            settings={"dciodvfy": "none"},
        )


def geometry(work: Path) -> None:
    """Extract metadata and measure the CT series."""
    from phi_deid_pipeline import pipeline
    from phi_deid_pipeline.records import DeidRecord
    from record_io import read_jsonl

    for path in sorted((work / "out" / "records").glob("*.jsonl")):
        staging = work / "out" / "staging" / path.stem
        records = list(read_jsonl(path, DeidRecord))
        list(pipeline.extract_metadata(staging, records))
        list(pipeline.measure_ct_geometry(staging, records, {}))


def read_text(work: Path) -> None:
    """Look for text in some instances with the whole chain."""
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    reader = TextReader(ReaderSettings(readers=("ppocr",)))
    for path in sorted((work / "input").iterdir())[:READ_TEXT_INSTANCES]:
        reader.read(path)


def tesseract_text(work: Path) -> None:
    """Let Tesseract read the instances that `read_text` reads, as they are shown, with its defaults."""
    import numpy as np
    import pytesseract

    from phi_deid_pipeline.burned_in_text.prepare import prepare
    from phi_deid_pipeline.pixel_read import displayed, open_pixels

    for path in sorted((work / "input").iterdir())[:READ_TEXT_INSTANCES]:
        source = open_pixels(path)
        assert source is not None
        with source:
            view = prepare(displayed(source, next(source.frames())), window=source.window(), padding=0).window
        pytesseract.image_to_data(np.ascontiguousarray(view), output_type=pytesseract.Output.DICT)


def text_inputs(work: Path) -> None:
    """Make what `read_cine` and `read_radiograph` read."""
    import inputs

    inputs.make_cine(work / "cine" / "cine")
    inputs.make_radiograph(work / "radiograph" / "radiograph")


def skim_text(work: Path) -> None:
    """Look for text in single slices with the cascade: gate, then detector and reader on what it suspects."""
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    reader = TextReader(ReaderSettings(readers=("ppocr",), thoroughness="cascade"))
    glances = [reader.glance(path) for path in sorted((work / "input").iterdir())]
    assert sum(glance.skimmed for glance in glances) >= 0.9 * len(glances)


def read_series(work: Path) -> None:
    """Look for text in the whole series: cascade, full chain for the first, middle and last slice, the still part."""
    _series(sorted((work / "input").iterdir()))


def read_cine(work: Path) -> None:
    """Look for text in an ultrasound cine: a moving sector of speckle, static text, a counter that changes."""
    assert _series([work / "cine" / "cine"])


def read_radiograph(work: Path) -> None:
    """Look for text in a radiograph of 2048 x 2048."""
    assert _series([work / "radiograph" / "radiograph"])


def measure_slices(work: Path) -> None:
    """Write how long CT geometry takes once headers are read to WORK/geometry.json."""
    import json

    from benchmarks.geometry import geometry_rows

    (work / "geometry.json").write_text(json.dumps(geometry_rows()), encoding="utf-8")


def _series(paths: list[Path]) -> list:
    from phi_deid_pipeline import series_text
    from phi_deid_pipeline.text_reading import ReaderSettings, TextReader

    readings = series_text.read_series(TextReader(ReaderSettings(readers=("ppocr",), thoroughness="cascade")), paths)
    assert all(reading.status == "read" for reading in readings)
    return [region for reading in readings for region in reading.regions]


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
