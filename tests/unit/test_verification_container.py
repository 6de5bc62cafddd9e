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


def told_by(code: str) -> list[str]:
    """Return the lines that a new process prints."""
    scripts = Path(__file__).resolve().parents[2] / "scripts"
    start = "import sys\nfrom phi_deid_pipeline.verification_container import lent_pydicom\n"
    call = [sys.executable, "-c", start + code]
    return subprocess.run(call, cwd=scripts, check=True, capture_output=True, text=True).stdout.splitlines()


def test_pydicom_reads_headers_without_the_libraries_that_pixels_and_downloads_need() -> None:
    foreign = """
before = set(sys.modules)
with lent_pydicom() as pydicom:
    names = {name.split(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
    print(sorted(names), pydicom.dcmread is sys.modules["pydicom"].dcmread)
"""
    assert told_by(foreign) == ["['pydicom'] True"]


def test_others_get_a_whole_pydicom_before_and_after_and_lending_takes_what_is_there() -> None:
    shared = """
with lent_pydicom() as own:
    pass
with lent_pydicom() as again:
    print(again is own, own.config.have_numpy)
print([name for name in sys.modules if name.split(".")[0] in ("pydicom", "numpy", "requests")])
import pydicom, requests
print(pydicom is own, pydicom.config.have_numpy)
with lent_pydicom() as later:
    print(later is pydicom)
"""
    assert told_by(shared) == ["True False", "[]", "False True", "True"]


def test_pydicom_without_these_libraries_judges_as_the_whole_one_does(tmp_path: Path) -> None:
    ds = clean_dataset()
    ds.SeriesDescription, ds.ImageComments = "Köhler", "Äußerung"
    path = save(ds, tmp_path / "a")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x28\x00\x10\x00US\x02\x00\x10\x00", b"\x28\x00\x10\x00US\x03\x00\x10\x00\x00"))
    judge = f"""
from pathlib import Path
from phi_deid_pipeline.verification_bytes import read_layout
from phi_deid_pipeline.verification_container import Opened
path, source = Path({str(path)!r}), Path({str(save(clean_dataset(), tmp_path / "b"))!r})
with read_layout(path) as layout:
    print([(r.check, r.where, r.detail) for r in Opened().problems(layout, path, source)])
"""
    alone, beside = told_by(judge), told_by("import pydicom\n" + judge)
    assert alone == beside == ["[('opens', '00280010', 'value cannot be converted')]"]
