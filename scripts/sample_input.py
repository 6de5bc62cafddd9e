"""Write the sample input of `make demo`: DICOM files of pydicom's wheel, synthetic studies with planted identifiers.

    python scripts/sample_input.py [DIR]

The same bytes every time, and nothing is downloaded. `PLANTED` names what must not be found in any released byte.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pydicom.dataset import Dataset

import sample_datasets as sets
from sample_identity import BARNABY, OTTOLINE, PLANTED, Person

__all__ = ["PLANTED", "build_sample", "build_small", "wheel_files"]

VERSION = 1  # raise it with any change of what is written
STAMP = ".sample_input.json"  # lies beside the folder's content and is no part of the input
DEFAULT = Path(__file__).resolve().parents[1] / ".cache" / "sample_input"
# Variants in the wheel that share a SOP Instance UID would hold each other; of each group one goes in. One pair
# (SC_rgb_small_odd*) stays in full to show a conflict.
SHARED_UIDS = frozenset(
    {
        "ExplVR_BigEndNoMeta.dcm",
        "JPEG-lossy.dcm",
        "JPEG2000-embedded-sequence-delimiter.dcm",
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_padded.dcm",
        "SC_rgb_jpeg_app14_dcmd.dcm",
        "SC_rgb_jpeg_dcmd.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_rle_32bit_2frame.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "badVR.dcm",
        "chrFrenMulti.dcm",
        "chrJapMultiExplicitIR6.dcm",
        "liver_expb_1frame.dcm",
        "reportsi_with_empty_number_tags.dcm",
        "rtdose_1frame.dcm",
        "rtdose_expb.dcm",
        "rtdose_expb_1frame.dcm",
        "rtdose_rle.dcm",
        "rtdose_rle_1frame.dcm",
    }
)
OTHER_SUFFIXES = frozenset({".dcm", "", ".gz"})


def wheel_files() -> list[Path]:
    """Return the DICOM files (and one gzip) that pydicom's wheel ships, sorted; never one that was downloaded."""
    spec = find_spec("pydicom.data")
    assert spec is not None and spec.origin is not None
    data = Path(spec.origin).parent
    found = [path for folder in ("charset_files", "test_files") for path in (data / folder).rglob("*")]
    return sorted(path for path in found if path.is_file() and path.suffix in OTHER_SUFFIXES and path.name != "README")


def _encoded(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


class _Writer:
    """Writes into a folder and remembers each file's path below it and size."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, int] = {}

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.files[name] = len(data)

    def series(self, folder: str, instances: list[Dataset], suffix: str = ".dcm") -> None:
        for ds in instances:
            self.write(f"{folder}/IM{int(ds.InstanceNumber):04d}{suffix}", _encoded(ds))


def _zip(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2024, 2, 29, 10, 34, 12)), data)
    return buffer.getvalue()


def _linked_study(writer: _Writer, person: Person, volume: list[Dataset]) -> None:
    folder = f"{person.folder}/CT_Thorax_{person.study_date}"
    writer.series(f"{folder}/thorax", volume)
    writer.write(f"{folder}/seg/lungs_{person.family}.dcm", _encoded(sets.segmentation(person, volume)))
    writer.write(f"{folder}/RS.{person.patient_id}", _encoded(sets.structure_set(person, volume)))


def _odd_files(writer: _Writer, person: Person, volume: list[Dataset]) -> None:
    folder = f"{person.folder}/odd"
    first, second = _encoded(volume[0]), _encoded(volume[1])
    writer.write(f"{folder}/truncated.dcm", first[: len(first) * 3 // 5])
    writer.write(f"{folder}/empty.dcm", b"")
    writer.write(f"{folder}/duplicate.dcm", second)
    letter = f"Dear {person.given} {person.family}, your CT of {person.study_date}\n"
    writer.write(f"{folder}/letter.txt", letter.encode())
    writer.write(f"{folder}/export_{person.family}.zip", _zip("IM0001.dcm", first))


def build_sample(target: Path = DEFAULT) -> dict[str, object]:
    """Write the demo's input into `target` and return `{"version", "root", "files", "bytes", "written"}`.

    A folder that holds it already is left as it is; one that holds an older form of it is made anew.
    Raises FileExistsError if the folder holds anything that was not written here.
    """
    return _build(target, f"sample {VERSION}", _write_sample)


def build_small(target: Path) -> dict[str, object]:
    """Write a minimal input for tests of the workflow: 2 patients, 13 instances in 4 series, 2 files to be rejected."""
    return _build(target, f"small {VERSION}", _write_small)


def _write_sample(writer: _Writer) -> None:
    for path in wheel_files():
        if path.name not in SHARED_UIDS:
            where = path.parts[path.parts.index("data") + 1 :] if "data" in path.parts else (path.name,)
            writer.write("/".join(("wheel", *where)), path.read_bytes())
    corners = {3: (-1, -3), 11: (0, 226), 19: (88, 108), 27: (132, 0), 35: (60, 140), 42: (128, 226)}
    volume = sets.ct_volume(OTTOLINE, 44, 256, corners)
    _linked_study(writer, OTTOLINE, volume)
    folder = f"{OTTOLINE.folder}/CT_Thorax_{OTTOLINE.study_date}"
    writer.series(f"{folder}/topogram", [sets.localizer(OTTOLINE, sets.ct_volume(OTTOLINE, 44, 256, {}))], suffix="")
    writer.series(f"{folder}/tilted", sets.tilted_volume(OTTOLINE, 20, missing=8), suffix="")
    writer.write(f"{folder}/report", _encoded(sets.report(OTTOLINE, volume[20])))
    writer.series(f"{OTTOLINE.folder}/US", [sets.ultrasound(OTTOLINE)])
    writer.series(f"{BARNABY.folder}/captures", [sets.plain_capture(BARNABY, number) for number in (1, 2, 3)])
    writer.write(f"{BARNABY.folder}/captures_old/IM0003.dcm", _encoded(sets.plain_capture(BARNABY, 3, shade=40)))
    _odd_files(writer, OTTOLINE, volume)


def _write_small(writer: _Writer) -> None:
    volume = sets.ct_volume(OTTOLINE, 8, 128, {2: (0, 0), 5: (0, 60)})
    _linked_study(writer, OTTOLINE, volume)
    captures = [sets.plain_capture(BARNABY, number) for number in (1, 2, 3)]
    writer.series(f"{BARNABY.folder}/captures", captures, suffix="")
    first = _encoded(volume[0])
    writer.write("odd/truncated.dcm", first[: len(first) * 3 // 5])
    writer.write("odd/letter.txt", f"Dear {OTTOLINE.given} {OTTOLINE.family}\n".encode())


def _build(target: Path, version: str, write: Callable[[_Writer], None]) -> dict[str, object]:
    stamp = target.parent / f"{STAMP[:-5]}_{target.name}.json"
    if stamp.is_file() and target.is_dir():
        known = json.loads(stamp.read_text(encoding="utf-8"))
        if known["version"] == version and _listing(target) == known["sizes"]:
            return _summary(target, version, known["sizes"], written=False)
        shutil.rmtree(target)
    if target.exists() and any(target.iterdir()):
        raise FileExistsError("the folder for the sample input holds other files; name an empty or a new one")
    fresh = target.parent / f"{target.name}.part"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    writer = _Writer(fresh)
    write(writer)
    if target.exists():
        target.rmdir()
    fresh.rename(target)
    sizes = dict(sorted(writer.files.items()))
    stamp.write_text(json.dumps({"version": version, "sizes": sizes}, indent=1) + "\n", encoding="utf-8")
    return _summary(target, version, sizes, written=True)


def _listing(root: Path) -> dict[str, int]:
    files = (path for path in root.rglob("*") if path.is_file())
    return dict(sorted((path.relative_to(root).as_posix(), path.stat().st_size) for path in files))


def _summary(root: Path, version: str, sizes: dict[str, int], *, written: bool) -> dict[str, object]:
    return {"version": version, "root": root, "files": len(sizes), "bytes": sum(sizes.values()), "written": written}


def main(arguments: list[str] | None = None) -> int:
    """Write the sample input and say how much it is."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("target", nargs="?", type=Path, default=DEFAULT, help="default: .cache/sample_input")
    parser.add_argument("--small", action="store_true", help="the minimal input of the workflow tests")
    args = parser.parse_args(arguments)
    done = (build_small if args.small else build_sample)(args.target)
    size = f"{done['files']} files, {int(done['bytes']) / 1e6:.1f} MB"
    print(f"{'Wrote' if done['written'] else 'Already there:'} {size} in {args.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
