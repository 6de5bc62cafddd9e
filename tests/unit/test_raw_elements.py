"""The walk over an instance's bytes: what it finds, what it rejects, and that hostile input stays bounded."""

from __future__ import annotations

import random
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.raw_elements import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    RawInstance,
    parse_instance,
    read_instance,
)
from phi_deid_pipeline.records import RejectReason
from phi_deid_pipeline.verification_bytes import read_layout

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CT = "1.2.840.10008.5.1.4.1.1.2"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def meta(syntax: str, preamble: bool = True) -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    group = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element))
    return (bytes(128) + b"DICM" if preamble else b"") + group + element


def short(tag: int, vr: str, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def long(tag: int, vr: str, value: bytes, order: str = "<", length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack(order + "HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, size) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(value: bytes, order: str = "<", undefined: bool = False) -> bytes:
    head = struct.pack(order + "HHI", 0xFFFE, 0xE000, 0xFFFFFFFF if undefined else len(value))
    return head + value + (struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0) if undefined else b"")


SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
SOP = short(0x00080016, "UI", CT.encode() + b"\0" * (len(CT) % 2))


def paths(instance: RawInstance) -> list[tuple[int, ...]]:
    return [path for path, _, _ in instance.walk()]


def files(*roots: Path) -> list[Path]:
    return [path for root in roots if root.is_dir() for path in sorted(root.rglob("*")) if path.is_file()]


def reason_of(data: bytes) -> RejectReason:
    with pytest.raises(UnreadableInstance) as caught:
        parse_instance(data)
    return caught.value.reason


def assert_tiles(elements, start: int, end: int, where: str) -> None:
    """Elements and items lie side by side without gap or overlap."""
    position = start
    for element in elements:
        assert element.start == position, where
        assert element.start < element.value_start <= element.value_end <= element.end, where
        inner = element.value_start
        for found in element.items or ():
            assert found.start == inner, where
            assert_tiles(found.elements, found.value_start, found.value_end, where)
            inner = found.end
        if element.items is not None:
            assert inner == element.value_end, where
        position = element.end
    assert position == end, where


@pytest.mark.parametrize("root", [WHEEL, SHARED], ids=["wheel", "shared"])
def test_elements_cover_every_byte_of_every_readable_file(root: Path) -> None:
    if not root.is_dir():
        pytest.skip("shared data are not here")
    accepted = 0
    for path in files(root):
        try:
            instance = read_instance(path)
        except UnreadableInstance as error:
            assert error.reason in (RejectReason.NOT_DICOM, RejectReason.TRUNCATED), path.name
            continue
        with instance:
            accepted += 1
            if instance.elements:
                start = instance.elements[0].start
                assert_tiles(instance.elements, start, len(instance.buffer) - instance.trailing, path.name)
    assert accepted >= (140 if root == WHEEL else 850)


@pytest.mark.parametrize("path", [p for p in files(WHEEL) if p.suffix in ("", ".dcm")], ids=lambda p: p.name)
def test_same_elements_and_values_as_pydicom(path: Path) -> None:
    try:
        instance = read_instance(path)
    except UnreadableInstance:
        return  # counted in the test above
    with instance, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path, force=True)
        expected = set(map(int, ds.keys()))
        if "dicomdir" not in path.name.lower():
            assert {e.tag for e in instance.elements} == expected
        for name in ("SOPInstanceUID", "PatientID", "Modality"):
            if name in ds and ds[name].VM == 1:
                assert instance.text(ds[name].tag) == str(ds[name].value).strip()
        nested = {tuple(p) for p in _pydicom_paths(ds, ())}
        ours = {p for p in paths(instance) if not any(t & 0x10000 for t in p)}
        assert {p for p in nested if not any(t & 0x10000 for t in p)} == ours


def _pydicom_paths(ds: Dataset, above: tuple[int, ...]):
    for element in ds:
        path = (*above, int(element.tag))
        yield path
        if element.VR == "SQ":
            for inner in element.value:
                yield from _pydicom_paths(inner, path)


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED_LE])
def test_reads_a_nested_name_in_every_encoding(tmp_path: Path, syntax: str) -> None:
    inner, ds = Dataset(), Dataset()
    inner.PatientName = "Deep^Name"
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Rows = CT, "1.2.3", 512
    ds.OtherPatientIDsSequence = Sequence([inner])
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(tmp_path / "x", enforce_file_format=True)
    with read_instance(tmp_path / "x") as instance:
        assert instance.transfer_syntax_uid == syntax
        assert instance.has_preamble and instance.meta[0x00020010].rstrip(b"\0").decode() == syntax
        assert instance.deflated == (syntax == DEFLATED_LE)
        assert instance.uint(0x00280010) == 512
        names = [instance.texts(e, c) for p, e, c in instance.walk() if p == (0x00101002, 0x00100010)]
        assert names == [["Deep^Name"]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_without_preamble_and_meta(order: str) -> None:
    data = short(0x00080016, "UI", CT.encode() + b"\0", order) + short(
        0x00280010, "US", struct.pack(order + "H", 7), order
    )
    instance = parse_instance(data)
    assert not instance.has_preamble and instance.meta == {}
    assert instance.transfer_syntax_uid == (EXPLICIT_LE if order == "<" else EXPLICIT_BE)
    assert instance.uint(0x00280010) == 7


def test_reads_implicit_without_preamble_and_meta() -> None:
    instance = parse_instance(implicit(0x00080016, CT.encode() + b"\0") + implicit(0x00280010, b"\x07\0"))
    assert instance.transfer_syntax_uid == IMPLICIT_LE
    assert instance.uint(0x00280010) == 7


def test_reads_meta_without_preamble() -> None:
    instance = parse_instance(meta(EXPLICIT_LE, preamble=False) + SOP)
    assert not instance.has_preamble and instance.transfer_syntax_uid == EXPLICIT_LE
    assert instance.text(0x00080016) == CT


def test_content_beats_a_wrong_transfer_syntax() -> None:
    assert parse_instance(meta(IMPLICIT_LE) + SOP).transfer_syntax_uid == EXPLICIT_LE
    assert parse_instance(meta(EXPLICIT_LE) + implicit(0x00080016, b"1.2 ")).transfer_syntax_uid == IMPLICIT_LE
    big = short(0x00080016, "UI", b"1.2\0", ">")
    assert parse_instance(meta(EXPLICIT_LE) + big).transfer_syntax_uid == EXPLICIT_BE


def test_un_of_undefined_length_holds_implicit_items() -> None:
    inner = implicit(0x00100010, b"Doe ")
    data = meta(EXPLICIT_LE) + SOP + long(0x00081140, "UN", item(inner) + SEQUENCE_END, length=0xFFFFFFFF)
    instance = parse_instance(data)
    assert paths(instance)[-1] == (0x00081140, 0x00100010)
    assert instance.elements[-1].vr == "SQ" and instance.elements[-1].written_vr == "UN"


def test_un_of_a_known_sequence_is_read_as_one() -> None:
    data = meta(EXPLICIT_LE) + SOP + long(0x00081140, "UN", item(implicit(0x00100010, b"Doe ")))
    assert paths(parse_instance(data))[-1] == (0x00081140, 0x00100010)


def test_un_of_a_known_text_gets_the_vr_of_the_dictionary() -> None:
    element = parse_instance(meta(EXPLICIT_LE) + SOP + long(0x00100010, "UN", b"Doe ")).elements[-1]
    assert (element.vr, element.written_vr, element.items) == ("PN", "UN", None)


@pytest.mark.parametrize("explicit", [True, False])
def test_private_sequence_of_unknown_vr_is_looked_into(explicit: bool) -> None:
    inner = item(implicit(0x00100010, b"Doe "))
    data = (
        SOP + long(0x00091001, "UN", inner) if explicit else implicit(0x00080016, b"1.2 ") + implicit(0x00091001, inner)
    )
    instance = parse_instance(meta(EXPLICIT_LE if explicit else IMPLICIT_LE) + data)
    assert paths(instance)[-1] == (0x00091001, 0x00100010)


def test_private_bytes_that_only_begin_like_a_sequence_stay_bytes() -> None:
    value = item(implicit(0x00100010, b"Doe ")) + b"tail"
    element = parse_instance(meta(EXPLICIT_LE) + SOP + long(0x00091001, "UN", value)).elements[-1]
    assert element.items is None and element.vr == "UN"


def test_implicit_item_inside_an_explicit_data_set() -> None:
    data = meta(EXPLICIT_LE) + SOP + long(0x00081140, "SQ", item(implicit(0x00100010, b"Doe ")))
    assert paths(parse_instance(data))[-1] == (0x00081140, 0x00100010)


def test_items_have_their_own_character_set() -> None:
    greek = "Διον".encode("iso8859_7")
    inner = short(0x00080005, "CS", b"ISO_IR 126") + short(0x00100010, "PN", greek)
    data = (
        short(0x00080005, "CS", b"ISO_IR 100")
        + SOP
        + long(0x00081140, "SQ", item(inner))
        + short(0x00100010, "PN", b"\xc4\xd6")
    )
    found = dict(_names(parse_instance(meta(EXPLICIT_LE) + data)))
    assert found == {(0x00081140, 0x00100010): ["Διον"], (0x00100010,): ["ÄÖ"]}


def _names(instance: RawInstance):
    return [(p, instance.texts(e, c)) for p, e, c in instance.walk() if p[-1] == 0x00100010]


def test_code_extensions_of_iso_2022_are_decoded() -> None:
    name = "Yamada^Tarou=山田^太郎"
    value = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    data = short(0x00080005, "CS", b"\\ISO 2022 IR 87") + SOP + short(0x00100010, "PN", value + b" " * (len(value) % 2))
    assert _names(parse_instance(meta(EXPLICIT_LE) + data)) == [((0x00100010,), [name])]


def test_backslash_splits_by_vr_and_not_inside_a_double_byte_character() -> None:
    gb = "縗\\B".encode("gb18030")  # holds the byte 5C inside a character
    assert gb.count(b"\\") == 2
    data = short(0x00080005, "CS", b"GB18030 ") + SOP + short(0x00081030, "LO", gb + b" " * (len(gb) % 2))
    data += short(0x00104000, "LT", b"a\\b ")
    instance = parse_instance(meta(EXPLICIT_LE) + data)
    found = {e.tag: instance.texts(e, c) for _, e, c in instance.walk()}
    assert found[0x00081030] == ["縗", "B"]
    assert found[0x00104000] == ["a\\b"]


def test_encapsulated_pixels_are_one_element_up_to_the_delimiter() -> None:
    value = item(b"") + item(b"\xff\xd8\xff\xd9") + SEQUENCE_END
    data = meta("1.2.840.10008.1.2.4.50") + SOP + long(0x7FE00010, "OB", value, length=0xFFFFFFFF)
    instance = parse_instance(data)
    pixels = instance.elements[-1]
    assert instance.encapsulated and pixels.items is None and pixels.undefined_length
    assert bytes(instance.buffer[pixels.value_start : pixels.end]) == value
    assert bytes(instance.value(pixels)) == value[:-8]


def test_bytes_behind_pixel_data_are_trailing() -> None:
    data = meta(EXPLICIT_LE) + SOP + long(0x7FE00010, "OW", b"\1\2") + b"Doe^John was here"
    instance = parse_instance(data)
    assert instance.trailing == 17
    assert [e.tag for e in instance.elements] == [0x00080016, 0x7FE00010]


@pytest.mark.parametrize(
    "behind",
    [
        short(0x00100010, "PN", b"Doe^John"),
        long(0x7FE00010, "OW", b"Doe^John"),
        long(0xFFFCFFFC, "OB", bytes(4)) + short(0x00100010, "PN", b"Doe^John") + b"rest",
    ],
    ids=["name", "second pixels", "behind padding"],
)
def test_elements_behind_those_they_belong_before_are_refused_by_both_readers(behind: bytes, tmp_path: Path) -> None:
    data = meta(EXPLICIT_LE) + SOP + long(0x7FE00010, "OW", b"\1\2")
    assert reason_of(data + behind) is RejectReason.MALFORMED
    (tmp_path / "a").write_bytes(data + behind)
    with pytest.raises(UnreadableInstance) as caught:
        read_layout(tmp_path / "a")
    assert caught.value.reason is RejectReason.MALFORMED


@pytest.mark.parametrize("behind", [bytes(64), b"\r\n", b"no element", b"\xff" * 40, bytes(64) + b"DICM"])
def test_what_is_no_element_behind_the_pixels_belongs_to_nothing(behind: bytes, tmp_path: Path) -> None:
    data = meta(EXPLICIT_LE) + SOP + long(0x7FE00010, "OW", b"\1\2")
    assert parse_instance(data + behind).trailing == len(behind)
    (tmp_path / "a").write_bytes(data + behind)
    with read_layout(tmp_path / "a") as layout:
        assert layout.trailing == len(behind)


@pytest.mark.parametrize("undefined", [True, False])
def test_explicit_items_of_a_sequence_written_as_un_are_read_by_both_readers(undefined: bool, tmp_path: Path) -> None:
    inner = short(0x00080090, "PN", b"Doe^John")
    items = item(b"") + item(inner, undefined=True)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if undefined else b""
    length = 0xFFFFFFFF if undefined else None
    data = meta(EXPLICIT_LE) + SOP + long(0x00081111, "UN", items + end, length=length)
    wanted = (0x00081111, 0x00080090)
    instance = parse_instance(data)
    assert [bytes(instance.value(e)) for path, e, _ in instance.walk() if path == wanted] == [b"Doe^John"]
    (tmp_path / "a").write_bytes(data)
    with read_layout(tmp_path / "a") as layout:
        assert [layout.bytes_of(v) for v in layout.values if v.path == wanted] == [b"Doe^John"]


def test_zeros_behind_the_data_set_are_trailing() -> None:
    assert parse_instance(meta(EXPLICIT_LE) + SOP + bytes(50)).trailing == 50


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", RejectReason.EMPTY),
        (b"hello world, this is text\n" * 20, RejectReason.NOT_DICOM),
        (b"PK\x03\x04" + bytes(200), RejectReason.NOT_DICOM),
        (bytes(1000), RejectReason.NOT_DICOM),
        (meta("1.2.3.4") + SOP, RejectReason.UNKNOWN_TRANSFER_SYNTAX),
        (meta(EXPLICIT_LE) + SOP[:-3], RejectReason.TRUNCATED),
        (meta(EXPLICIT_LE)[:-3], RejectReason.TRUNCATED),
        (meta(EXPLICIT_LE) + SOP + long(0x7FE00010, "OW", b"\0\0", length=3 << 30), RejectReason.TRUNCATED),
        (meta(EXPLICIT_LE) + SOP + long(0x00081140, "SQ", item(b"")[:6], length=6) + SOP, RejectReason.MALFORMED),
        (meta(EXPLICIT_LE) + SOP + long(0x00081140, "SQ", b"\0" * 8), RejectReason.MALFORMED),
        (meta(EXPLICIT_LE) + SOP + long(0x00081140, "SQ", item(b""), length=0xFFFFFFFF), RejectReason.TRUNCATED),
        (meta(EXPLICIT_LE) + SOP + item(b""), RejectReason.MALFORMED),
        (meta(DEFLATED_LE) + SOP, RejectReason.MALFORMED),
        (meta(DEFLATED_LE) + zlib.compress(SOP * 99, wbits=-15)[:-5], RejectReason.TRUNCATED),
        (
            SOP + long(0x7FE00010, "OB", item(b"") + SEQUENCE_END, length=0xFFFFFFFF),
            RejectReason.UNKNOWN_TRANSFER_SYNTAX,
        ),
    ],
)
def test_rejects_with_the_reason(data: bytes, reason: RejectReason) -> None:
    assert reason_of(data) is reason


def test_rejection_holds_no_value() -> None:
    data = meta(EXPLICIT_LE) + SOP + short(0x00100010, "PN", b"Doe^John")[:-2]
    with pytest.raises(UnreadableInstance) as caught:
        parse_instance(data)
    assert str(caught.value) == f"truncated: element at offset {len(data) - 14} runs past the end"


def nested(depth: int, undefined: bool) -> bytes:
    content = b""
    for _ in range(depth):
        value = item(content, undefined=undefined) + (SEQUENCE_END if undefined else b"")
        content = long(0x00081140, "SQ", value, length=0xFFFFFFFF if undefined else None)
    return meta(EXPLICIT_LE) + SOP + content


@pytest.mark.parametrize("undefined", [True, False])
def test_depth_is_limited(undefined: bool) -> None:
    assert max(map(len, paths(parse_instance(nested(32, undefined))))) == 32
    assert reason_of(nested(33, undefined)) is RejectReason.TOO_DEEP
    assert reason_of(nested(5000, undefined)) is RejectReason.TOO_DEEP


def test_deep_private_bytes_are_rejected_too() -> None:
    content = b""
    for _ in range(40):
        content = long(0x00091001, "UN", item(content))
    assert reason_of(meta(EXPLICIT_LE) + SOP + content) is RejectReason.TOO_DEEP


def test_unreadable_file_names_no_path(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInstance) as caught:
        read_instance(tmp_path / "Doe^John.dcm")
    assert caught.value.reason is RejectReason.UNREADABLE_FILE
    assert "Doe" not in str(caught.value)


def test_length_claim_of_3_gb_takes_no_memory(tmp_path: Path) -> None:
    data = meta(EXPLICIT_LE) + SOP + long(0x7FE00010, "OW", bytes(1000), length=3 << 30)
    (tmp_path / "x").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(UnreadableInstance):
        read_instance(tmp_path / "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_large_file_is_mapped_and_pixels_are_not_copied(tmp_path: Path) -> None:
    size = 64 << 20
    with (tmp_path / "x").open("wb") as stream:
        stream.write(meta(EXPLICIT_LE) + SOP + long(0x7FE00010, "OW", b"", length=size))
        stream.truncate(stream.tell() + size)
    tracemalloc.start()
    with read_instance(tmp_path / "x") as instance:
        assert len(instance.value(instance.elements[-1])) == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_inflation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phi_deid_pipeline.raw_elements.MAX_INFLATED_BYTES", 1 << 20)
    bomb = meta(DEFLATED_LE) + zlib.compress(SOP + bytes(64 << 20), wbits=-15)
    assert reason_of(bomb) is RejectReason.MALFORMED


def test_number_of_elements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phi_deid_pipeline.raw_elements.MAX_ELEMENTS", 100)
    assert len(parse_instance(meta(EXPLICIT_LE) + SOP * 100).elements) == 100
    assert reason_of(meta(EXPLICIT_LE) + SOP * 101) is RejectReason.MALFORMED


FUZZ_FILES = ("CT_small.dcm", "rtplan.dcm", "reportsi.dcm", "UN_sequence.dcm", "nested_priv_SQ.dcm", "priv_SQ.dcm")


@pytest.mark.parametrize("name", [*FUZZ_FILES, "image_dfl.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm"])
def test_damaged_files_are_read_or_rejected_and_nothing_else(name: str) -> None:
    original = (WHEEL / name).read_bytes()
    rng = random.Random(name)
    outcomes = {True: 0, False: 0}
    for _ in range(150):
        data = bytearray(original)
        for _ in range(rng.randint(1, 8)):
            # Headers lie in front; most damage goes there.
            data[rng.randrange(min(len(data), rng.choice((400, 2000, 1 << 20))))] = rng.choice(
                (0, 0xFF, rng.randrange(256))
            )
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        try:
            instance = parse_instance(bytes(data))
            for _, element, charset in instance.walk():
                if element.items is None:
                    instance.texts(element, charset)
            outcomes[True] += 1
        except UnreadableInstance:
            outcomes[False] += 1
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize("code", [b"Ug", b"S\0", b"U\xbb", b"Z9"])
def test_two_bytes_that_are_no_capital_letters_are_no_vr(code: bytes) -> None:
    odd = struct.pack("<HH", 0x0008, 0x0050) + code + struct.pack("<H", 0)
    assert reason_of(meta(EXPLICIT_LE) + SOP + odd + short(0x00080060, "CS", b"CT")) is RejectReason.TRUNCATED
