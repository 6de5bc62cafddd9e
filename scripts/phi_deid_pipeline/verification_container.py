"""Check the container of a written instance: preamble, file meta, groups, de-identification attributes, opening."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from phi_deid_pipeline.dicom_utils import format_path, vr_of
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.records import DeidRecord, Residual
from phi_deid_pipeline.verification_bytes import PIXEL_TAGS, Layout, Value

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFERRED = "1 MB"  # longer values are not loaded to see whether the instance opens
_NUMBER = rb" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *"
_WHOLE_NUMBER = rb" *[+-]?[0-9]{1,12} *"
_NUMERIC_STRINGS = {
    vr: re.compile(rb"(?:%b\\)*%b\x00?" % (one, one)) for vr, one in (("DS", _NUMBER), ("IS", _WHOLE_NUMBER))
}
_BINARY = {"OB": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8, "UN": 1, "US": 2, "SS": 2, "FL": 4, "FD": 8}  # bytes
_BINARY |= {"UL": 4, "SL": 4}
_ASCII = frozenset({"AE", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_PRINTABLE = Expression(rb"[\t\n\f\r\x20-\x7e]*\x00?")
_NOT_FOR_HEADERS = ("PIL", "gdcm", "jpeg_ls", "libjpeg", "numpy", "openjpeg", "pylibjpeg", "requests", "rle", "tqdm")
_FILES = ("pydicom.data", "pydicom.examples")
_MOST_SHAPES = 1000
_REMEMBERED = 256  # bytes of a value
_MOST_REMEMBERED = 100_000  # values
_OWN_META = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})


def container_problems(layout: Layout, written: Path, record: DeidRecord) -> Iterator[Residual]:
    """Yield what stands in the file beside the data set; the instance must have the UIDs of the record."""
    if layout.preamble.strip(b"\x00"):
        yield Residual("structure", "preamble", "", "not zero")
    if len(layout.preamble) != 128:
        yield Residual("opens", "preamble", "", "missing")
    if layout.trailing:
        yield Residual("structure", "behind the data set", "", f"{layout.trailing} bytes")
    expected = {0x00080018: record.sop_uid, 0x0020000E: record.series_uid, 0x0020000D: record.study_uid}
    for tag, uid in {0x00020003: record.sop_uid, **expected}.items():
        value = layout.top(tag)
        if value is None or layout.bytes_of(value).strip(b" \x00") != uid.encode():
            yield Residual("opens", format_path((tag,)), "", "not the new UID of the record")
    if written.stem != record.sop_uid:
        yield Residual("opens", "file name", "", "not the new SOP Instance UID")


def group_problems(value: Value) -> Iterator[Residual]:
    """Yield an element that must not be there whatever it holds; private ones are judged with their creators."""
    tag = value.path[-1]
    group = tag >> 16
    if group == 2 and len(value.path) == 1:
        if tag not in _OWN_META:
            yield Residual("structure", format_path(value.path), "", "file meta of another writer")
    elif group in (0, 2, 4):
        yield Residual("structure", format_path(value.path), "", f"group {group:04X}")
    elif group & 1:
        return
    elif not tag & 0xFFFF:
        yield Residual("structure", format_path(value.path), "", "group length")
    elif group & 0xFF00 in (0x5000, 0x6000):
        yield Residual("structure", format_path(value.path), "", "curve or overlay")


def attribute_problems(layout: Layout, source: Layout, longitudinal: str) -> Iterator[Residual]:
    """De-identification attributes (PS3.15 E.1.1 item 6, PS3.3 C.7.1.1 and C.12.1).

    `longitudinal` is what the policy makes of dates; what was done to the source before stays true.
    """
    if source.text(0x00280303) == "REMOVED" or (source.text(0x00280303) == "MODIFIED" and longitudinal == "UNMODIFIED"):
        longitudinal = source.text(0x00280303)
    if layout.text(0x00120062) != "YES":
        yield Residual("deid_attributes", "00120062", "", "not YES")
    method, codes = layout.top(0x00120063), layout.top(0x00120064)
    if codes is None and (method is None or method.start == method.end):
        yield Residual("deid_attributes", "00120063", "", "no method")
    stated = layout.text(0x00280303)
    if stated and stated != longitudinal:
        yield Residual("deid_attributes", "00280303", "", f"not {longitudinal}")


class Opened:
    """Has pydicom open and convert written instances, each kind of header and each kind of value once.

    What is guaranteed of every instance that is released: the reader of `verification_bytes` read it from the first byte
    to the last; pydicom opened an instance of the same transfer syntax and header layout (path, items and VR of every
    element) whole; and each of its values is of a form that converts by its looks (`_plain`), or pydicom converted the
    same bytes of the same VR and tag. An instance of which one of these is not known is opened itself.
    """

    def __init__(self) -> None:
        self._shapes: set[tuple] = set()
        self._converted: set[tuple[int, str, bytes]] = set()

    def problems(self, layout: Layout, written: Path, source: Path) -> Iterator[Residual]:
        """Yield values that pydicom cannot convert, unless it cannot convert the source's either."""
        shape = (layout.transfer_syntax_uid, layout.shape())
        if not layout.odd and shape in self._shapes and self._all_known(layout):
            return
        try:
            failing = _unconvertible(written, self._converted, force=False)
        except Exception as error:  # noqa: BLE001 - whatever a reader raises means that users cannot open the instance
            yield Residual("opens", "data set", "", type(error).__name__)
            return
        if failing:
            try:
                failing -= _unconvertible(source, set(), force=True)
            except Exception as error:  # noqa: BLE001 - a source that does not open excuses nothing
                yield Residual("opens", "source", "", type(error).__name__)
        for path in sorted(failing):
            yield Residual("opens", format_path(path), "", "value cannot be converted")
        if not failing and len(self._shapes) < _MOST_SHAPES:
            self._shapes.add(shape)

    def _all_known(self, layout: Layout) -> bool:
        for stretch, values in layout.parts():
            if stretch is not None and stretch.opened:
                continue
            if not all(self._known(layout, value) for value in values):
                return False
            if stretch is not None:
                stretch.opened = True
        return True

    def _known(self, layout: Layout, value: Value) -> bool:
        if value.vr == "SQ" or value.start == value.end or value.fragments:
            return True
        if value.vr in _BINARY:
            return (value.end - value.start) % _BINARY[value.vr] == 0
        data = layout.bytes_of(value)
        return _plain(value.vr, data) or (value.path[-1], value.vr, data) in self._converted


@contextmanager
def lent_pydicom() -> Iterator[ModuleType]:
    """Lend pydicom: the one that others loaded, else one of our own that reads headers alone and that others do not see.

    Without the libraries of pixels pydicom starts in half of the time (0.26 s for 0.53 s) and reads the same. No submodule of it can
    be had without them: its package imports them all.
    """
    if "pydicom" in sys.modules:
        yield sys.modules["pydicom"]
        return
    own = _own_pydicom()
    sys.modules.update(own)
    try:
        yield own["pydicom"]
    finally:
        own.update(_taken("pydicom"))


@cache
def _own_pydicom() -> dict[str, ModuleType]:
    """Return the modules of a pydicom that found none of the libraries which headers do without, nor looks for files of its own.

    Those, examples and palettes, may have to be loaded from elsewhere: they bring all along that talks to a network.
    """
    absent = [name for name in _NOT_FOR_HEADERS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: not to be found
    sys.modules |= {name: ModuleType(name) for name in _FILES}
    sys.modules["pydicom.data"].get_palette_files = list  # type: ignore[attr-defined]  # what one of its modules asks for: none
    try:
        import pydicom  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]
    return _taken("pydicom")


def _taken(package: str) -> dict[str, ModuleType]:
    """Return the loaded modules of a package, from now on no longer loaded for others."""
    names = [name for name in sys.modules if name == package or name.startswith(f"{package}.")]
    return {name: sys.modules.pop(name) for name in names}


def _unconvertible(path: Path, converted: set[tuple[int, str, bytes]], *, force: bool) -> set[tuple[int, ...]]:
    failing: set[tuple[int, ...]] = set()
    with lent_pydicom() as pydicom, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they would show values
        dataset = pydicom.dcmread(path, force=force, defer_size=DEFERRED)
        _convert(dataset.file_meta, (), converted, failing)
        _convert(dataset, (), converted, failing)
    return failing


def _plain(vr: str, value: bytes) -> bool:
    """Tell whether a value surely converts: long lists of numbers would take most of the time."""
    if vr in _NUMERIC_STRINGS:
        return bool(_NUMERIC_STRINGS[vr].fullmatch(value))
    if vr in _BINARY:
        return len(value) % _BINARY[vr] == 0
    return vr in _ASCII and bool(_PRINTABLE.fullmatch(value))


def _convert(
    dataset: Dataset, above: tuple[int, ...], converted: set[tuple[int, str, bytes]], failing: set[tuple[int, ...]]
) -> None:
    for tag in list(dataset.keys()):
        if tag in PIXEL_TAGS and not above:
            continue  # bytes, which convert to themselves; looking at them would load all frames
        raw, key = dataset.get_item(tag), None
        if getattr(raw, "is_raw", False):
            vr = raw.VR or vr_of(int(tag)) or "UN"
            if _plain(vr, raw.value or b""):
                continue
            if vr != "SQ" and raw.value is not None and len(raw.value) <= _REMEMBERED:
                key = (int(tag), vr, raw.value)
                if key in converted:
                    continue
        path = (*above, int(tag))
        try:
            element = dataset[tag]
        except Exception:  # noqa: BLE001 - recorded; the caller decides whether the source had it too
            failing.add(path)
            continue
        if element.VR == "SQ":
            for item in element.value:
                _convert(item, path, converted, failing)
        elif key is not None and len(converted) < _MOST_REMEMBERED:
            converted.add(key)
