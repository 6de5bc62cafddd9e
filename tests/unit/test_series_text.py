"""Reading a series: which slices need the full chain, text that stands still in a stack, keys that do not mix."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from factories import ct_instance, write
from phi_deid_pipeline.burned_in_text.models import have_models
from phi_deid_pipeline.burned_in_text.settings import GATE
from phi_deid_pipeline.pixel_read import open_pixels
from phi_deid_pipeline.records import Reading
from phi_deid_pipeline.series_text import read_series
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader, may_be_gated

pytestmark = pytest.mark.skipif(not have_models(), reason="models of the rapidocr wheel are not installed")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SETTINGS = ReaderSettings(readers=("ppocr",), thoroughness="cascade")


def picture(seed: int, side: int = 256) -> np.ndarray:
    """Return a smooth, noisy slice like soft tissue."""
    random = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(random.normal(0, 300, (side, side)), (0, 0), 9) * 6
    return (smooth + random.normal(0, 15, (side, side)) + 1000).astype(np.int16)


def written(image: np.ndarray, value: float, text: str = "MUSTER^ERIKA 4711") -> np.ndarray:
    mask = np.zeros(image.shape, np.uint8)
    cv2.putText(mask, text, (20, 100), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1, cv2.LINE_AA)
    return np.rint(image + mask / 255.0 * value).astype(np.int16)


def saved(folder: Path, images: list[np.ndarray], **more: object) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for number, image in enumerate(images):
        ds = ct_instance(number=number + 1)
        ds.Rows, ds.Columns = image.shape[-2:]
        if image.ndim == 3:
            ds.NumberOfFrames = len(image)
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.PixelData = image.astype("<i2").tobytes()
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        for keyword, value in more.items():
            setattr(ds, keyword, value)
        paths.append(write(ds, folder / f"{number:03d}"))
    return paths


def by_gate(readings: list[Reading]) -> list[bool]:
    """Tell for each reading whether it went no further than the gate."""
    return [any(name.startswith(GATE) for name in reading.readers) for reading in readings]


def test_series_without_text_gets_the_full_chain_first_middle_and_last(tmp_path):
    paths = saved(tmp_path / "in", [picture(n) for n in range(9)])
    readings = read_series(TextReader(SETTINGS), paths)
    assert by_gate(readings) == [n not in (0, 4, 8) for n in range(9)]
    assert all(reading.status == "read" and reading.frames_read == 1 for reading in readings)
    assert [region.text for reading in readings for region in reading.regions] == []


def test_first_and_last_slice_are_those_by_number_whatever_the_order_given(tmp_path):
    paths = saved(tmp_path / "in", [picture(n) for n in range(9)])
    readings = read_series(TextReader(SETTINGS), paths[4:] + paths[:4])
    assert by_gate(readings[5:] + readings[:5]) == [n not in (0, 4, 8) for n in range(9)]


def test_where_one_slice_holds_text_all_get_the_full_chain(tmp_path):
    images = [picture(n) for n in range(9)]
    images[2] = written(images[2], 1600)
    readings = read_series(TextReader(SETTINGS), saved(tmp_path / "in", images))
    assert by_gate(readings) == [False] * 9
    assert [bool(reading.regions) for reading in readings] == [n == 2 for n in range(9)]


def test_thoroughness_full_asks_no_gate(tmp_path):
    paths = saved(tmp_path / "in", [picture(n) for n in range(5)])
    reader = TextReader(ReaderSettings(readers=("ppocr",), thoroughness="full"))
    assert by_gate(read_series(reader, paths)) == [False] * 5


def test_readings_do_not_depend_on_what_the_store_holds(tmp_path):
    paths = saved(tmp_path / "in", [picture(n) for n in range(9)])
    reader, store = TextReader(SETTINGS), {}
    fresh = read_series(reader, paths)
    for path in paths:
        reader.read(path, store.get, store.__setitem__)
    assert read_series(reader, paths, store.get, store.__setitem__) == fresh
    filled = len(store)
    assert read_series(reader, paths, store.get, store.__setitem__) == fresh
    assert len(store) == filled


def test_full_reading_is_one_whoever_asked_for_it(tmp_path):
    (path,) = saved(tmp_path / "in", [written(picture(1), 1600)])
    store: dict = {}
    TextReader(SETTINGS).glance(path, store.get, store.__setitem__)
    full = TextReader(ReaderSettings(readers=("ppocr",), thoroughness="full"))
    keys = set(store)
    assert full.read(path, store.get, store.__setitem__) == full.read(path)
    assert set(store) == keys


def test_text_that_stands_still_is_found_where_noise_hides_it_in_each_slice(tmp_path):
    random = np.random.default_rng(5)
    images = [written(random.normal(1000, 60, (256, 256)), 85, "ERIKA 4711") for _ in range(15)]
    paths = saved(tmp_path / "in", images)
    reader = TextReader(SETTINGS)
    single = [reader.read(path) for path in paths]
    readings = read_series(reader, paths)
    told = [region.text for region in readings[7].regions]
    assert "ERIKA4711" in "".join(told).replace(" ", "")
    assert sum(len(reading.regions) for reading in single) < 15
    assert by_gate(readings) == [False] * 15


def test_frame_of_an_instance_with_text_sends_all_its_frames_through_the_chain(tmp_path):
    frames = np.stack([picture(n) for n in range(9)])
    (path,) = saved(tmp_path / "a", [frames])
    assert by_gate(read_series(TextReader(SETTINGS), [path])) == [False]  # first of its series, and last
    assert TextReader(SETTINGS).glance(path).skimmed
    frames[3] = written(frames[3], 1600)
    (path,) = saved(tmp_path / "b", [frames])
    glance = TextReader(SETTINGS).glance(path)
    assert not glance.skimmed
    assert {region.frame for region in glance.reading.regions} == {3}


@pytest.mark.parametrize(
    ("side", "more", "expected"),
    [
        (256, {}, True),
        (256, {"Modality": "MR"}, True),
        (256, {"Modality": "US"}, False),
        (199, {}, False),
        (256, {"ImageType": ["DERIVED", "PRIMARY"]}, False),
        (256, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, False),
        (256, {"BurnedInAnnotation": "YES"}, False),
    ],
)
def test_gate_judges_plain_ct_and_mr_alone(tmp_path, side, more, expected):
    (path,) = saved(tmp_path / "in", [picture(0, side)], **more)
    source = open_pixels(path)
    assert source is not None
    with source:
        assert may_be_gated(source) is expected


def test_two_threads_read_what_one_reads(tmp_path):
    paths = saved(tmp_path / "in", [picture(n) if n != 5 else written(picture(n), 1600) for n in range(9)])
    reader = TextReader(SETTINGS)
    alone = read_series(reader, paths)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: read_series(reader, paths), range(2))) == [alone, alone]


def test_cascade_opens_no_socket_and_writes_no_file(tmp_path):
    (tmp_path / "home").mkdir()
    saved(tmp_path / "in", [picture(n) for n in range(9)])
    code = """
import socket, sys
from pathlib import Path
def refuse(*a, **k): raise AssertionError("network")
socket.socket.connect = refuse
socket.create_connection = refuse
from phi_deid_pipeline.series_text import read_series
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader
readings = read_series(TextReader(ReaderSettings(readers=("ppocr",), thoroughness="cascade")), sorted(Path(sys.argv[1]).iterdir()))
assert len(readings) == 9 and all(reading.status == "read" for reading in readings)
"""
    dropped = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "ORT_DISABLE_TELEMETRY")
    environment = {key: value for key, value in os.environ.items() if key not in dropped}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "1"}
    before = sorted(tmp_path.rglob("*"))
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "in")], check=True, env=environment, cwd=tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
