"""pydicom opens each kind of header and each kind of value once; what it has not seen it opens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from phi_deid_pipeline.verification_bytes import read_layout
from phi_deid_pipeline.verification_container import Opened
from unit.test_verification import clean_dataset, save


class Counted:
    """Opens instances one after another and tells of which pydicom opened the file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.opened, self.names = folder, Opened(), []
        read = pydicom.dcmread

        def dcmread(path: Path, **arguments: object) -> pydicom.FileDataset:
            self.names.append(Path(path).name)
            return read(path, **arguments)

        monkeypatch.setattr(pydicom, "dcmread", dcmread)

    def look(self, name: str, **values: object) -> list[str]:
        ds = clean_dataset()
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        return self.look_at(save(ds, self.folder / name))

    def look_at(self, path: Path) -> list[str]:
        with read_layout(path) as layout:
            return [residual.detail for residual in self.opened.problems(layout, path, path)]


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(tmp_path, monkeypatch)


def test_instance_of_a_known_header_is_not_opened_again(counted: Counted) -> None:
    assert counted.look("a") == counted.look("b", SliceThickness="2.5", SeriesDescription="Knie") == []
    assert counted.names == ["a"]


@pytest.mark.parametrize(
    "values",
    [
        {"ImageComments": "one more element"},
        {"SeriesDescription": ""},
        {"SeriesDescription": "Köhler"},  # to be decoded
        {"DeidentificationMethodCodeSequence": []},
    ],
)
def test_instance_of_another_header_or_value_is_opened(counted: Counted, values: dict[str, object]) -> None:
    counted.look("a")
    counted.look("b", **values)
    assert counted.names == ["a", "b"]
    counted.look("c", **values)
    assert counted.names == ["a", "b"]


def test_value_that_does_not_convert_is_found_in_a_known_header(counted: Counted) -> None:
    counted.look("a")
    path = counted.folder / "b"
    rows = b"\x28\x00\x10\x00US\x02\x00\x10\x00"
    three_bytes = b"\x28\x00\x10\x00US\x03\x00\x10\x00\x00"
    path.write_bytes((counted.folder / "a").read_bytes().replace(rows, three_bytes))
    with read_layout(path) as layout:
        problems = list(counted.opened.problems(layout, path, counted.folder / "a"))
    assert [(r.check, r.where) for r in problems] == [("opens", "00280010")]


def test_element_in_a_form_that_the_syntax_does_not_have_is_opened_each_time(counted: Counted) -> None:
    counted.look("a")
    data = (counted.folder / "a").read_bytes()
    at = data.index(b"\x20\x00\x0d\x00UI")
    odd = data[:at] + b"\x18\x00\x51\x11" + (4).to_bytes(4, "little") + b"\x31\x00\x00\x00" + data[at:]
    for name in ("b", "c"):
        (counted.folder / name).write_bytes(odd)
        counted.look_at(counted.folder / name)
    assert set(counted.names) == {"a", "b", "c"}


def test_pydicom_is_loaded_without_requests_which_others_may_load_later() -> None:
    code = (
        "import sys; from phi_deid_pipeline.verification_container import _pydicom as load; "
        "seen = lambda: [name for name in ('pydicom', 'requests') if name in sys.modules]; "
        "print(seen()); load(); print(seen()); import requests; print(seen())"
    )
    scripts = Path(__file__).resolve().parents[2] / "scripts"
    told = subprocess.run([sys.executable, "-c", code], cwd=scripts, check=True, capture_output=True, text=True)
    assert told.stdout.splitlines() == ["[]", "['pydicom']", "['pydicom', 'requests']"]
