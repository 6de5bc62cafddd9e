"""The engine on whole instances: what goes, what stays byte for byte, what is written."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID

from phi_deid_pipeline import actions, value_rewrite
from phi_deid_pipeline.dicom_utils import IMPLEMENTATION_CLASS_UID, file_checksum
from phi_deid_pipeline.errors import ConfigError, UnreadableInstance
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, InstanceResult, PatientContext, PixelReplacement
from phi_deid_pipeline.instance_rewrite import InstanceRewrite
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.raw_elements import Parser, RawInstance, parse_instance, read_instance
from phi_deid_pipeline.records import Category, RejectReason
from phi_deid_pipeline.uid_mapping import UidMapper

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
ENCODINGS = [EXPLICIT, IMPLICIT, BIG, DEFLATED]
UIDS = UidMapper(b"s" * 32)
NOBODY, CANARY = PatientContext("PXYZ", Lexicon()), "Quixotte"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@dataclass(frozen=True)
class Answer:
    action: str
    code: str = ""
    hipaa: str = ""
    fallback: str = "Z"


@dataclass
class Rules:
    """A policy for tests: keeps everything but what `actions` names by the last tag of the path."""

    actions: dict[int, Answer] = field(default_factory=dict)
    options: frozenset[str] = frozenset()
    method_codes: tuple[tuple[str, str, str], ...] = ()
    method_texts: tuple[str, ...] = ("texts",)
    longitudinal: str = "UNMODIFIED"
    dates: str = "remove"
    max_age: int = 0
    overrides: tuple[Any, ...] = ()
    safe_private: dict[tuple[int, int, str], Any] = field(default_factory=dict)
    goes_with: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def resolve(self, path: tuple[int, ...], vr: str, sop_class_uid: str) -> Answer:
        return self.actions.get(path[-1], Answer("K", "K"))

    def resolve_concept(self, code: str, scheme: str, value_type: str) -> None: ...

    def fallback(self, path: tuple[int, ...], vr: str, sop_class_uid: str) -> str:
        return "Z"


@pytest.fixture(scope="module")
def safe_harbor() -> Policy:
    return load_policy("hipaa_safe_harbor")


def base(**attributes: Any) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CT, "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    ds.PatientName, ds.PatientID = "Quixotte^Marvin", "MRN777123"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def raw(ds: Dataset, syntax: str = EXPLICIT) -> bytes:
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[Dataset, InstanceResult, bytes]]:
    """De-identify a Dataset (or bytes); return what pydicom reads from the result, the result, the bytes."""

    def go(
        source: Dataset | bytes,
        policy: Any,
        syntax: str = EXPLICIT,
        patient: PatientContext = NOBODY,
        pixels: PixelReplacement | None = None,
        scanned: bool = False,
        redacted: bool = False,
    ) -> tuple[Dataset, InstanceResult, bytes]:
        instance = parse_instance(raw(source, syntax) if isinstance(source, Dataset) else source)
        target = tmp_path / "out" / "x.dcm"
        result = InstanceDeidentifier(policy, UIDS).deidentify(
            instance, target, patient, pixels, text_scan_found_nothing_left=scanned, redacted=redacted
        )
        assert sorted(p.name for p in target.parent.iterdir()) == ["x.dcm"]
        assert result.checksum == file_checksum(target)
        ds = pydicom.dcmread(target)
        str(ds)
        return ds, result, target.read_bytes()

    return go


# --------------------------------------------------------------------------- copying


def droppable(tag: int) -> bool:
    group = tag >> 16
    return bool(group & 1) or not tag & 0xFFFF or group in (2, 4) or group >> 8 in (0x50, 0x60) or tag == 0xFFFCFFFC


def every_file(*roots: Path) -> list[Path]:
    return [p for root in roots if root.is_dir() for p in sorted(root.rglob("*")) if p.is_file()]


@pytest.mark.parametrize("root", [WHEEL, SHARED], ids=["wheel", "shared"])
def test_with_a_policy_that_keeps_all_every_data_set_stays_byte_for_byte(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not root.is_dir():
        pytest.skip("shared data are not here")
    # Reports and old build dates hold what is written like an identifier; the tests of free text see to that.
    monkeypatch.setattr(actions, "drop_identifiers", lambda text, *_: text)
    monkeypatch.setattr(actions, "clean_descriptor", lambda text, *_: text)
    monkeypatch.setattr(
        value_rewrite, "names_definition", lambda *_: True
    )  # else UIDs of a site's own tables are mapped
    engine, exact, nested = InstanceDeidentifier(Rules(), UIDS), 0, 0
    for path in every_file(root):
        try:
            instance = read_instance(path)
        except UnreadableInstance:
            continue
        with instance:
            chunks, _ = InstanceRewrite(engine, instance, NOBODY).dataset()
            kept = [e for e in instance.elements if not droppable(e.tag)]
            below = (p[-1] for p, _, _ in instance.walk() if len(p) > 1 and not droppable(p[0]))
            foreign = not instance.little and any(
                e.written_vr == "UN" and e.items is not None for e in instance.elements
            )
            if foreign or any(droppable(tag) or tag >> 16 == 0x7FE0 for tag in below):
                nested += 1
                assert_only_droppable_went(instance, b"".join(chunks))
                continue
            exact += 1
            assert b"".join(chunks) == b"".join(bytes(instance.buffer[e.start : e.end]) for e in kept), path.name
    assert exact >= (130 if root == WHEEL else 750)
    assert nested >= (0 if root == WHEEL else 5)


def assert_only_droppable_went(instance: RawInstance, data: bytes) -> None:
    """Parsed again, the rest has the same paths and values."""
    parser = Parser(memoryview(data), 32)
    elements, end = parser.top_level(0, instance.explicit, instance.little)
    assert end == len(data)

    def leaves(elements, buffer, above=()):
        for e in elements:
            if droppable(e.tag) or (above and e.tag >> 16 == 0x7FE0):
                continue
            path = (*above, e.tag)
            if e.items is None:
                yield path, e.vr, bytes(buffer[e.value_start : e.end])
            for item in e.items or ():
                yield path, "item", b""
                yield from leaves(item.elements, buffer, path)

    assert list(leaves(elements, data)) == list(leaves(instance.elements, instance.buffer))


def test_lengths_are_computed_anew_in_the_style_of_the_source(run) -> None:
    for undefined in (False, True):
        inner = Dataset()
        inner.PatientName, inner.ReferencedSOPInstanceUID = "Quixotte^Marvin", "1.2.840.10008.1"
        inner.is_undefined_length_sequence_item = undefined
        ds = base(ReferencedImageSequence=Sequence([inner]))
        ds["ReferencedImageSequence"].is_undefined_length = undefined
        out, _, data = run(ds, Rules({0x00100010: Answer("X")}))
        assert list(out.ReferencedImageSequence[0].keys()) == [0x00081155]
        head = data[data.index(b"\x08\x00\x40\x11SQ") :][:20]
        assert (head[8:12] == b"\xff\xff\xff\xff") is undefined
        assert (head[16:20] == b"\xff\xff\xff\xff") is undefined


# --------------------------------------------------------------------------- actions in place


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_canaries_at_depth_3_are_gone_in_every_encoding(run, safe_harbor, syntax: str) -> None:
    deep = Dataset()
    deep.PatientName, deep.OtherPatientNames = f"{CANARY}^Marvin", f"{CANARY}^Other"
    deep.add_new(0x00091001, "LO", CANARY)
    deep.add_new(0x00090010, "LO", CANARY + " CREATOR")
    deep.ReferencedSOPInstanceUID = "1.2.3.99"
    middle, outer = Dataset(), Dataset()
    middle.PurposeOfReferenceCodeSequence = Sequence([deep])
    outer.SourceImageSequence = Sequence([middle])
    ds = base(ReferencedImageSequence=Sequence([outer]), SeriesDescription=f"CT THORAX {CANARY}", Rows=3)
    patient = PatientContext("PXYZ", Lexicon({Entry(Category.NAME, f"{CANARY}^Marvin")}))
    out, result, data = run(ds, safe_harbor, syntax, patient)
    plain = data if syntax != DEFLATED else parse_instance(data).buffer.tobytes()
    assert CANARY.encode() not in plain and b"1.2.3.99" not in plain
    inner = out.ReferencedImageSequence[0].SourceImageSequence[0].PurposeOfReferenceCodeSequence[0]
    assert inner.ReferencedSOPInstanceUID == UIDS.new_uid("1.2.3.99")
    assert inner.PatientName == "PXYZ"
    assert out.SeriesDescription == "CT THORAX" and out.Rows == 3
    assert out.file_meta.TransferSyntaxUID == syntax == result.transfer_syntax_uid
    assert result.private_tags_stripped == 2
    assert result.uids_replaced == 4  # SOP instance, study, series, reference


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_private_elements_and_private_sequences_are_removed_and_counted(run, syntax: str) -> None:
    inner = Dataset()
    inner.add_new(0x00110010, "LO", "INNER")
    inner.add_new(0x00111001, "LO", CANARY)
    inner.PatientName = CANARY
    ds = base()
    ds.add_new(0x00090010, "LO", "OUTER")
    ds.add_new(0x00091002, "SQ", Sequence([inner]))
    ds.add_new(0x7FE10010, "LO", "BEHIND")
    out, result, data = run(ds, Rules({0x00100010: Answer("X")}), syntax)
    assert not [e for e in out.iterall() if e.tag.is_private]
    assert result.private_tags_stripped == 5
    assert CANARY.encode() not in data


def test_private_elements_inside_a_removed_sequence_are_counted(run) -> None:
    inner = Dataset()
    inner.add_new(0x00110010, "LO", "INNER")
    ds = base(ReferencedImageSequence=Sequence([inner]))
    _, result, _ = run(ds, Rules({0x00081140: Answer("X", "X/Z/U*", "R")}))
    assert result.private_tags_stripped == 1
    assert [(r.path, r.keyword, r.vr, r.code, r.action, r.hipaa, r.count) for r in result.removed] == [
        ("00081140", "ReferencedImageSequence", "SQ", "X/Z/U*", "X", "R", 1)
    ]


def test_x_on_sequence_removes_nested_items(run) -> None:
    inner = Dataset()
    inner.SOPClassUID = "1.2.840.10008.1"
    out, _, _ = run(base(ReferencedImageSequence=Sequence([inner])), Rules({0x00081140: Answer("X")}))
    assert "ReferencedImageSequence" not in out


def test_z_on_sequence_leaves_it_empty(run) -> None:
    inner = Dataset()
    inner.PatientName = CANARY
    out, _, data = run(base(ReferencedImageSequence=Sequence([inner])), Rules({0x00081140: Answer("Z")}))
    assert len(out.ReferencedImageSequence) == 0 and data.count(CANARY.encode()) == 1  # the one in PatientName is kept


@pytest.mark.parametrize("action", ["K", "C", "U"])
def test_kept_cleaned_and_mapped_sequences_are_recursed_into(run, action: str) -> None:
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.9"
    rules = Rules({0x00081140: Answer(action), 0x00081155: Answer("U", "U")})
    out, result, _ = run(base(ReferencedImageSequence=Sequence([inner])), rules)
    assert out.ReferencedImageSequence[0].ReferencedSOPInstanceUID == UIDS.new_uid("1.2.9")
    assert result.uids_replaced == 1
    assert [r.path for r in result.replaced] == ["00081140.00081155"]


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize(
    "tag", [0x00080082, 0x00081072, 0x00340001, 0x00401101, 0x0040A073, 0x0040A730, 0x0040B020, 0x00700001]
)
def test_d_on_sequence_gives_one_valid_dummy_item(run, tag: int, syntax: str) -> None:
    inner = Dataset()
    inner.PersonName = CANARY
    ds = base()
    ds.add_new(tag, "SQ", Sequence([inner, inner]))
    out, _, data = run(ds, Rules({tag: Answer("D", "D"), 0x00100010: Answer("X")}), syntax)
    assert len(out[tag].value) == 1 and len(out[tag].value[0]) >= 1
    assert CANARY.encode() not in data


def test_d_on_an_empty_sequence_adds_nothing(run) -> None:
    out, _, _ = run(base(ContentSequence=Sequence([])), Rules({0x0040A730: Answer("D")}))
    assert len(out.ContentSequence) == 0


def test_no_attribute_is_added_because_its_code_is_d_or_z(run, safe_harbor) -> None:
    out, _, _ = run(base(), safe_harbor)
    assert list(map(int, out.keys())) == [
        0x00080016, 0x00080018, 0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00120064, 0x0020000D, 0x0020000E,
        0x00280303,
    ]  # fmt: skip


def test_multi_valued_uids_are_replaced_one_by_one(run, safe_harbor) -> None:
    ds = base()
    ds.add_new(0x00081167, "UI", ["1.2.9.1", "1.2.9.2"])
    out, _, data = run(ds, safe_harbor)
    assert list(out[0x00081167].value) == [UIDS.new_uid("1.2.9.1"), UIDS.new_uid("1.2.9.2")]
    assert b"1.2.9" not in data


def test_patient_name_and_id_become_the_pseudonym_at_every_depth(run, safe_harbor) -> None:
    inner = Dataset()
    inner.PatientName, inner.PatientID = "Quixotte^Marvin", "MRN777123"
    out, _, data = run(base(ReferencedImageSequence=Sequence([inner])), safe_harbor)
    assert out.PatientName == out.PatientID == "PXYZ"
    nested = out.ReferencedImageSequence[0]
    assert nested.get("PatientName", "PXYZ") == nested.get("PatientID", "PXYZ") == "PXYZ"
    assert b"777123" not in data


def test_overlays_curves_groups_lengths_and_padding_are_removed(run, safe_harbor) -> None:
    ds = base(Rows=4)
    ds.add_new(0x60003000, "OW", b"\1\2" * 4)
    ds.add_new(0x60021500, "LO", CANARY)
    ds.add_new(0x50003000, "OW", b"\1\2")
    ds.add_new(0x00041500, "CS", CANARY.upper())
    ds.add_new(0xFFFCFFFC, "OB", CANARY.encode())
    data = raw(ds) + b"trailing " + CANARY.encode()
    out, result, written = run(data, safe_harbor)
    assert [e.tag for e in out if e.tag.group in (4, 0x5000, 0x6000, 0x6002, 0xFFFC)] == []
    assert [r.path for r in result.removed if r.path[0] in "56"] == ["50003000", "60003000", "60021500"]
    assert CANARY.encode() not in written and CANARY.upper().encode() not in written


def test_group_lengths_are_dropped_at_every_depth(run) -> None:
    def short(tag: int, vr: str, value: bytes) -> bytes:
        return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value

    inner = short(0x00080000, "UL", bytes(4)) + short(0x00080060, "CS", b"CT")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    data = short(0x00080016, "UI", CT.encode() + b"\0") + short(0x00080018, "UI", b"1.2.3\0")
    data += struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, len(item)) + item + short(0x00100000, "UL", bytes(4))
    out, result, _ = run(data, Rules())
    assert [int(e.tag) for e in out.iterall() if not e.tag.element] == []
    assert out.ReferencedImageSequence[0].Modality == "CT"
    assert result.removed == ()


@pytest.mark.parametrize("explicit", [True, False])
def test_un_encoded_name_is_handled_by_the_vr_of_the_dictionary(run, safe_harbor, explicit: bool) -> None:
    def element(tag: int, value: bytes) -> bytes:
        if explicit:
            return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"UN", 0, len(value)) + value
        return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value

    def plain(tag: int, value: bytes) -> bytes:
        head = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"UI", len(value)) if explicit else b""
        return (head or struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value))) + value

    nested = struct.pack("<HHI", 8, 0x1155, 6) + b"1.2.9\0"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(nested)) + nested
    data = plain(0x00080016, CT.encode() + b"\0") + plain(0x00080018, b"1.2.3\0")
    data += element(0x00081140, item) + element(0x00100010, b"Quixotte")
    out, _, written = run(data, safe_harbor)
    assert b"Quixotte" not in written and b"1.2.9" not in written
    assert str(out.PatientName) == "PXYZ"
    assert out.ReferencedImageSequence[0].ReferencedSOPInstanceUID == UIDS.new_uid("1.2.9")


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_dummies_are_encoded_in_the_byte_order_of_the_instance(run, syntax: str) -> None:
    rules = Rules({t: Answer("D", "D") for t in (0x00280010, 0x00280011, 0x00080020, 0x00280030, 0x00181151)})
    ds = base(Rows=0, Columns=5, StudyDate="20200102", PixelSpacing=["1", "2"], XRayTubeCurrent="")
    out, _, _ = run(ds, rules, syntax)
    assert (out.Rows, out.Columns, out.StudyDate, list(out.PixelSpacing)) == (1, 0, "19000101", [0, 0])
    assert out.XRayTubeCurrent == 0


def test_compound_code_keeps_an_empty_value_empty(run) -> None:
    out, result, _ = run(base(StudyDate=""), Rules({0x00080020: Answer("D", "Z/D")}))
    assert out.StudyDate == "" and result.replaced == ()


def test_c_on_a_date_refuses_the_instance_and_names_the_tag(run, tmp_path: Path) -> None:
    with pytest.raises(UnreadableInstance) as caught:
        run(base(StudyDate="20200102"), Rules({0x00080020: Answer("C", "C")}))
    assert (caught.value.reason, caught.value.detail) == (RejectReason.CANNOT_CLEAN, "00080020")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("fallback", "expected"), [("X", None), ("Z", ""), ("D", "DEIDENTIFIED")])
def test_fallback_holds_where_cleaning_leaves_nothing(run, fallback: str, expected: str | None) -> None:
    rules = Rules({0x0008103E: Answer("C", "C", fallback=fallback)})
    out, _, _ = run(base(SeriesDescription="Xqzw Blorf"), rules)
    assert out.get("SeriesDescription") == expected


def test_kept_text_loses_known_identifiers_and_is_recorded_as_cleaned(run) -> None:
    patient = PatientContext("PXYZ", Lexicon({Entry(Category.NAME, "Quixotte^Marvin")}))
    ds = base(SeriesDescription="thorax of Quixotte", StationName="KEEP  ME")
    out, result, _ = run(ds, Rules({0x00100010: Answer("Z", "Z")}), patient=patient)
    assert out.SeriesDescription.rstrip() == "thorax of" and out.StationName == "KEEP  ME"
    assert [(r.keyword, r.code, r.action) for r in result.cleaned] == [("SeriesDescription", "K", "C")]


def test_malformed_code_strings_are_searched_like_text(run) -> None:
    patient = PatientContext("PXYZ", Lexicon({Entry(Category.NAME, "Quixotte^Marvin")}))
    data = raw(base(BodyPartExamined="Thorax")).replace(b"Thorax", b"Marvin")
    _, _, written = run(data, Rules({0x00100010: Answer("Z", "Z")}), patient=patient)
    assert b"Marvin" not in written


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müßig^Jörg"),
        ("ISO_IR 192", "山田^太郎"),
        ("ISO_IR 144", "Иванов^Иван"),
        ("GB18030", "欧阳^小東"),
    ],
)
def test_names_in_text_are_found_in_the_character_set_in_force(run, charset: str, name: str) -> None:
    ds = base(SpecificCharacterSet=charset, PatientName=name)
    ds.SeriesDescription = f"thorax {name.replace('^', ' ')} axial"
    patient = PatientContext("PXYZ", Lexicon({Entry(Category.NAME, name)}))
    out, _, _ = run(ds, Rules({0x00100010: Answer("Z", "Z")}), patient=patient)
    assert out.SpecificCharacterSet == charset
    assert not any(part in out.SeriesDescription for part in name.split("^"))
    assert out.SeriesDescription.startswith("thorax ") and out.SeriesDescription.endswith(" axial")


def test_memory_of_one_patient_is_not_used_for_another(tmp_path: Path) -> None:
    engine = InstanceDeidentifier(Rules({0x00100010: Answer("Z", "Z")}), UIDS)
    found = []
    for name in ("Quixotte^Marvin", "Abernathy^Dolores"):
        patient = PatientContext("P", Lexicon({Entry(Category.NAME, name)}))
        instance = parse_instance(raw(base(SeriesDescription="Quixotte or Abernathy")))
        engine.deidentify(instance, tmp_path / "x", patient, None, text_scan_found_nothing_left=False, redacted=False)
        found.append(pydicom.dcmread(tmp_path / "x").SeriesDescription.split())
    assert found == [["or", "Abernathy"], ["Quixotte", "or"]]


def test_encapsulated_document_is_replaced_by_one_of_its_type(run, safe_harbor) -> None:
    ds = base(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", MIMETypeOfEncapsulatedDocument="application/pdf")
    ds.EncapsulatedDocument = b"%PDF-1.4 " + CANARY.encode() + b" "
    out, _, data = run(ds, safe_harbor)
    assert out.EncapsulatedDocument.startswith(b"%PDF-1.4\n1 0 obj") and CANARY.encode() not in data


# --------------------------------------------------------------------------- structured content


def content(value_type: str, code: str, scheme: str = "DCM", **value: Any) -> Dataset:
    name, item = Dataset(), Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = code, scheme, "Meaning"
    item.RelationshipType, item.ValueType = "CONTAINS", value_type
    item.ConceptNameCodeSequence = Sequence([name])
    for keyword, entry in value.items():
        setattr(item, keyword, entry)
    return item


def test_structured_content_is_cleaned_by_value_type(run, safe_harbor) -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, "1.2.9"
    number = Dataset()
    number.NumericValue = "5"
    inner = content("TEXT", "121071", TextValue="mass in left lung of Quixotte")
    ds = base(
        SOPClassUID=SR,
        ContentSequence=Sequence(
            [
                content("PNAME", "999999", "99X", PersonName="Quixotte^Nurse"),
                content("DATETIME", "999998", "99X", DateTime="20200102030405"),
                content("UIDREF", "999997", "99X", UID="1.2.8"),
                content("IMAGE", "999996", "99X", ReferencedSOPSequence=Sequence([reference])),
                content("NUM", "999995", "99X", MeasuredValueSequence=Sequence([number])),
                content("CONTAINER", "121070", ContentSequence=Sequence([inner])),
            ]
        ),
    )
    patient = PatientContext("PXYZ", Lexicon({Entry(Category.NAME, "Quixotte^Marvin")}))
    out, _, data = run(ds, safe_harbor, patient=patient)
    name, when, uid, image, measured, container = out.ContentSequence
    assert name.PersonName == "DEIDENTIFIED"
    assert when.DateTime == "19000101000000"
    assert UIDS.new_uid("1.2.8") == uid.UID
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == UIDS.new_uid("1.2.9")
    assert measured.MeasuredValueSequence[0].NumericValue == 5
    assert "left lung" in container.ContentSequence[0].TextValue
    assert b"Quixotte" not in data and b"20200102" not in data


def test_content_items_follow_the_rule_of_their_concept(run, safe_harbor) -> None:
    gone = [k for k in safe_harbor.concepts if safe_harbor.resolve_concept(*k).action == "X" and k[2] == "TEXT"]
    code, scheme, _ = sorted(gone)[0]
    ds = base(
        SOPClassUID=SR,
        ContentSequence=Sequence(
            [content("TEXT", code, scheme, TextValue="chest"), content("TEXT", "9", "99X", TextValue="chest")]
        ),
    )
    out, result, _ = run(ds, safe_harbor)
    assert [i.ConceptNameCodeSequence[0].CodeValue for i in out.ContentSequence] == ["9"]
    assert [r.path for r in result.removed if r.vr == "SQ"] == ["0040A730"]


def test_concepts_with_one_action_and_different_fallbacks_keep_them(run, safe_harbor) -> None:
    falls_to = {str(safe_harbor.resolve_concept(*k).fallback): k for k in sorted(safe_harbor.concepts) if k[2] == "TEXT"
                and safe_harbor.resolve_concept(*k).action == "C"}  # fmt: skip
    items = [content("TEXT", *falls_to[key][:2], TextValue="chest Quixotte") for key in ("X", "D")]
    items.append(content("TEXT", *falls_to["D"][:2], TextValue="Quixotte"))
    patient = PatientContext("PXYZ", Lexicon({Entry(Category.NAME, "Quixotte^Marvin")}))
    out, _, _ = run(base(SOPClassUID=SR, ContentSequence=Sequence(items)), safe_harbor, patient=patient)
    assert [item.TextValue.strip() for item in out.ContentSequence] == ["chest", "chest", "DEIDENTIFIED"]


def test_a_dummy_uid_is_another_uid(run) -> None:
    out, _, _ = run(base(FrameOfReferenceUID="1.2.9"), Rules({0x00200052: Answer("D", "D")}))
    assert UIDS.new_uid("1.2.9") == out.FrameOfReferenceUID


def test_private_attributes_of_an_emptied_sequence_are_counted(run) -> None:
    inner = Dataset()
    inner.add_new(0x00090010, "LO", "CREATOR")
    rules = Rules({0x00081140: Answer("Z", "Z")})
    out, result, _ = run(base(ReferencedImageSequence=Sequence([inner])), rules)
    assert len(out.ReferencedImageSequence) == 0 and result.private_tags_stripped == 1


# --------------------------------------------------------------------------- what is written


def test_preamble_and_file_meta_are_made_anew(run, safe_harbor) -> None:
    ds = base()
    ds.ensure_file_meta()
    ds.file_meta.SourceApplicationEntityTitle = CANARY
    ds.file_meta.ImplementationVersionName = CANARY
    ds.file_meta.PrivateInformationCreatorUID, ds.file_meta.PrivateInformation = "1.2.777", CANARY.encode()
    data = CANARY.encode().ljust(128, b"!") + raw(ds)[128:]
    out, _, written = run(data, safe_harbor)
    assert written[:132] == bytes(128) + b"DICM" and CANARY.encode() not in written
    assert {int(e.tag) & 0xFFFF: e.value for e in out.file_meta} == {
        0: len(written[144 : written.index(b"\x08\x00\x16\x00")]),
        1: b"\0\1",
        2: CT,
        3: UIDS.new_uid("1.2.3.4"),
        0x10: EXPLICIT,
        0x12: IMPLEMENTATION_CLASS_UID,
        0x13: "PHIDEID_0_1",
    }
    assert out.SOPInstanceUID == out.file_meta.MediaStorageSOPInstanceUID


@pytest.mark.parametrize(("name", "syntax"), [("ExplVR_BigEndNoMeta.dcm", BIG), ("ExplVR_LitEndNoMeta.dcm", EXPLICIT)])
def test_input_without_preamble_and_meta_gets_both(run, safe_harbor, name: str, syntax: str) -> None:
    out, _, written = run((WHEEL / name).read_bytes(), safe_harbor)
    assert written[:132] == bytes(128) + b"DICM"
    assert out.file_meta.TransferSyntaxUID == syntax
    assert out.file_meta.MediaStorageSOPInstanceUID == out.SOPInstanceUID == UIDS.new_uid("1.2.333.4444.5.6.7.8")


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID"])
def test_missing_identity_is_refused(run, keyword: str) -> None:
    tag = pydicom.datadict.tag_for_keyword(keyword)
    data = raw(base())
    instance = parse_instance(data)
    start = instance.elements[0].start
    kept = b"".join(data[e.start : e.end] for e in instance.elements if e.tag != tag)
    with pytest.raises(UnreadableInstance) as caught:
        run(kept, Rules())
    assert start > 132 and caught.value.reason is RejectReason.MISSING_IDENTITY
    assert caught.value.detail == f"(0008,{tag & 0xFFFF:04X})"


def test_data_set_alone_gets_preamble_and_meta(run, safe_harbor) -> None:
    data = raw(base())
    start = data.index(b"\x08\x00\x16\x00")
    out, _, written = run(data[start:], safe_harbor)
    assert written[:132] == bytes(128) + b"DICM"
    assert out.file_meta.TransferSyntaxUID == EXPLICIT


@pytest.mark.parametrize("syntax", ENCODINGS)
def test_method_is_written_and_appended_in_tag_order(run, safe_harbor, syntax: str) -> None:
    earlier = Dataset()
    earlier.CodeValue, earlier.CodingSchemeDesignator, earlier.CodeMeaning = "1", "99X", "Earlier"
    ds = base(
        DeidentificationMethod=["Earlier tool", "Quixotte cleaned by jquill at Zzyzx"],
        DeidentificationMethodCodeSequence=Sequence([earlier]),
        PatientIdentityRemoved="NO",
        Rows=2,
    )
    patient = PatientContext("PXYZ", Lexicon({Entry(Category.NAME, "Quixotte^Marvin")}))
    out, _, _ = run(ds, safe_harbor, syntax, patient)
    assert out.PatientIdentityRemoved == "YES"
    assert list(out.DeidentificationMethod) == ["Earlier tool", "cleaned", *safe_harbor.method_texts]
    codes = [(i.CodeValue, i.CodingSchemeDesignator, i.CodeMeaning) for i in out.DeidentificationMethodCodeSequence]
    assert codes == [("1", "99X", "Earlier"), *safe_harbor.method_codes]
    assert out.LongitudinalTemporalInformationModified == "REMOVED"
    assert list(map(int, out.keys())) == sorted(map(int, out.keys()))


def test_method_is_not_appended_twice(run, safe_harbor) -> None:
    _, _, first = run(base(), safe_harbor)
    out, _, _ = run(first, safe_harbor)
    assert tuple(out.DeidentificationMethod) == safe_harbor.method_texts
    assert len(out.DeidentificationMethodCodeSequence) == len(safe_harbor.method_codes)


@pytest.mark.parametrize(
    ("options", "scanned", "expected"),
    [({"clean_pixel_data"}, True, "NO"), ({"clean_pixel_data"}, False, "YES"), (set(), True, "YES")],
)
def test_burned_in_annotation_is_no_only_after_a_scan_under_the_option(run, options, scanned, expected) -> None:
    out, _, _ = run(base(BurnedInAnnotation="YES"), Rules(options=frozenset(options)), scanned=scanned)
    assert out.BurnedInAnnotation == expected


def test_output_does_not_depend_on_what_came_before(tmp_path: Path, safe_harbor) -> None:
    sources = [raw(base(SOPInstanceUID=f"1.2.3.{n}", SeriesDescription=f"CT {n} mm")) for n in range(5)]
    digests = []
    for order in (sources, sources[::-1]):
        engine = InstanceDeidentifier(safe_harbor, UidMapper(b"s" * 32))
        digests.append(
            {
                hashlib.sha256(data).hexdigest(): engine.deidentify(
                    parse_instance(data), tmp_path / "x", NOBODY, None,
                    text_scan_found_nothing_left=False, redacted=False,
                )
                for data in order
            }
        )  # fmt: skip
    assert digests[0] == digests[1] and len(digests[0]) == 5


# --------------------------------------------------------------------------- pixels


@pytest.mark.parametrize("size", [10, 100_000, 3_000_001])
@pytest.mark.parametrize("syntax", ENCODINGS)
def test_native_pixels_are_copied(run, safe_harbor, syntax: str, size: int) -> None:
    pixels = random.Random(size).randbytes(size + size % 2)
    ds = base(BitsAllocated=8, PatientComments=CANARY)
    ds.add_new(0x7FE00010, "OB" if syntax != IMPLICIT else "OW", pixels)
    out, result, _ = run(ds, safe_harbor, syntax)
    assert out.PixelData == pixels
    assert result.has_pixels and result.pixel_sha256 == ""


def test_encapsulated_pixels_are_copied_with_delimiter(run, safe_harbor) -> None:
    value = encapsulate([b"\xff\xd8" + bytes(70_001) + b"\xff\xd9", b"\xff\xd8\xff\xd9"])
    ds = base(NumberOfFrames=2)
    ds.add_new(0x7FE00010, "OB", value)
    ds["PixelData"].is_undefined_length = True
    out, result, data = run(ds, safe_harbor, "1.2.840.10008.1.2.4.50")
    assert out.PixelData == value
    written = value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert data.endswith(written) and result.has_pixels


def test_float_pixels_count_as_pixels(run) -> None:
    ds = base()
    ds.add_new(0x7FE00008, "OF", bytes(16))
    assert run(ds, Rules())[1].has_pixels


def test_without_pixels_there_are_none(run) -> None:
    assert not run(base(), Rules())[1].has_pixels


def test_native_pixels_are_replaced_and_icon_and_attributes_follow(run) -> None:
    icon = Dataset()
    icon.BitsAllocated, icon.PixelData = 8, b"\1\2"
    ds = base(
        Rows=2,
        BitsAllocated=16,
        PixelRepresentation=0,
        SmallestImagePixelValue=5,
        WindowCenter="1",
        IconImageSequence=Sequence([icon]),
    )
    ds.add_new(0x7FE00010, "OW", b"\1" * 8)
    attributes = {0x00280106: ("US", 3), 0x00281050: ("DS", None), 0x00082111: ("ST", "boxes filled")}
    out, result, _ = run(ds, Rules(), pixels=PixelReplacement(b"\2" * 8, False, EXPLICIT, attributes), redacted=True)
    assert out.PixelData == b"\2" * 8 and out["PixelData"].VR == "OW"
    assert result.pixel_sha256 == hashlib.sha256(b"\2" * 8).hexdigest()
    assert "IconImageSequence" not in out and "WindowCenter" not in out
    assert (out.SmallestImagePixelValue, out.DerivationDescription) == (3, "boxes filled")
    assert [r.path for r in result.removed] == ["00880200"]
    assert [(r.path, r.action, r.count) for r in result.replaced if r.path == "00280106"] == [("00280106", "D", 1)]


def test_compressed_frames_are_replaced_with_another_transfer_syntax(run) -> None:
    ds = base(NumberOfFrames=2)
    ds.add_new(0x7FE00010, "OB", encapsulate([b"\1\2", b"\3\4"]))
    ds["PixelData"].is_undefined_length = True
    ds.add_new(0x7FE00001, "OV", struct.pack("<2Q", 0, 10))
    ds.add_new(0x7FE00002, "OV", struct.pack("<2Q", 2, 2))
    j2k = "1.2.840.10008.1.2.4.90"
    new = PixelReplacement([b"abc", b"defgh"], True, j2k, {})
    out, result, _ = run(ds, Rules(), "1.2.840.10008.1.2.4.50", pixels=new)
    assert out.file_meta.TransferSyntaxUID == j2k == result.transfer_syntax_uid
    assert list(pydicom.encaps.generate_frames(out.PixelData, number_of_frames=2)) == [b"abc\0", b"defgh\0"]
    assert not {0x7FE00001, 0x7FE00002} & set(map(int, out.keys()))


def test_compressed_pixels_can_become_native(run) -> None:
    ds = base(BitsAllocated=16)
    ds.add_new(0x7FE00010, "OB", encapsulate([b"\1\2"]))
    ds["PixelData"].is_undefined_length = True
    out, _, _ = run(ds, Rules(), "1.2.840.10008.1.2.4.70", pixels=PixelReplacement(b"\5\6", False, EXPLICIT, {}))
    assert out.PixelData == b"\5\6" and out["PixelData"].VR == "OW"


def test_pixels_in_another_byte_order_are_refused(run) -> None:
    ds = base(BitsAllocated=16)
    ds.add_new(0x7FE00010, "OW", b"\1\2")
    with pytest.raises(UnreadableInstance, match="pixels_not_editable"):
        run(ds, Rules(), BIG, pixels=PixelReplacement(b"\5\6", False, EXPLICIT, {}))


def test_large_pixels_pass_in_bounded_memory(tmp_path: Path) -> None:
    size = 128 << 20
    with (tmp_path / "big").open("wb") as stream:
        stream.write(raw(base()) + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, size))
        stream.truncate(stream.tell() + size)
    tracemalloc.start()
    with read_instance(tmp_path / "big") as instance:
        InstanceDeidentifier(Rules(), UIDS).deidentify(
            instance, tmp_path / "x", NOBODY, None, text_scan_found_nothing_left=False, redacted=False
        )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "x").stat().st_size > size and peak < 8 << 20


# --------------------------------------------------------------------------- faults


def test_full_disk_is_an_error_without_leftovers(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    monkeypatch.setattr("phi_deid_pipeline.instance_write.os.write", full)
    with pytest.raises(ConfigError, match="No space left on device") as caught:
        run(base(), Rules())
    assert list((tmp_path / "out").iterdir()) == []
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["CT_small.dcm", "reportsi.dcm", "rtplan.dcm", "UN_sequence.dcm", "waveform_ecg.dcm"])
def test_damaged_instances_are_written_readably_or_rejected(name: str, tmp_path: Path, safe_harbor) -> None:
    original, rng = (WHEEL / name).read_bytes()[:60_000], random.Random(name)
    engine = InstanceDeidentifier(safe_harbor, UIDS)
    written = 0
    for _ in range(60):
        data = bytearray(original)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(132, min(len(data), 3000))] = rng.randrange(256)
        try:
            engine.deidentify(
                parse_instance(bytes(data)), tmp_path / "x", NOBODY, None,
                text_scan_found_nothing_left=False, redacted=False,
            )  # fmt: skip
        except UnreadableInstance:
            continue
        written += 1
        with read_instance(tmp_path / "x") as again:
            assert not [path for path, _, _ in again.walk() if path[-1] & 0x10000]
    assert written or name in ("waveform_ecg.dcm",)


@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009, 0x7FE00010, 0x7FE00020])
@pytest.mark.parametrize("syntax", ENCODINGS)
def test_pixels_below_the_top_level_are_removed_whatever_the_policy_says(run, tag: int, syntax: str) -> None:
    picture, outer = Dataset(), Dataset()
    picture.Rows = 8
    picture.add_new(tag, {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(tag, "OW"), b"Quixotte" * 8)
    outer.IconImageSequence = [picture]
    ds = base(BitsAllocated=16, PixelData=b"\x01\x02" * 8, SourceImageSequence=[outer])
    ds["PixelData"].VR = "OW"
    out, result, _ = run(ds, Rules(), syntax)
    inner = out.SourceImageSequence[0].IconImageSequence[0]
    assert (sorted(inner.keys()), inner.Rows, out.PixelData) == ([0x00280010], 8, b"\x01\x02" * 8)
    assert [(row.action, row.count) for row in result.removed] == [("X", 1)]
    assert result.removed[0].path.upper().endswith(f"{tag:08X}")
