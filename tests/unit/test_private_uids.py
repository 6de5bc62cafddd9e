"""UIDs in private elements that a policy keeps: those of instances and series become new ones, or go; classes stay."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.raw_elements import parse_instance
from phi_deid_pipeline.uid_mapping import UidMapper
from unit.test_verification import Bench

CT = "1.2.840.10008.5.1.4.1.1.2"
OTHER = "1.2.840.113619.2.55.3.604688119.868.1325590842.123"  # of an instance, a site and a minute in it
UIDS = UidMapper(bytes(range(32)))
PHILIPS, SIEMENS = "Philips Imaging DD 001", "SIEMENS Ultrasound SC2000"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # values that break their VR are the point here
SAFE = [  # group, offset, creator, VR of Table E.3.10-1
    (0x0129, 0x02, SIEMENS, "UI"), (0x0119, 0x00, SIEMENS, "LO"), (0x0119, 0x10, SIEMENS, "SH"),
    (0x2001, 0x5A, PHILIPS, "ST"), (0x2001, 0x04, PHILIPS, "CS"), (0x2001, 0x23, PHILIPS, "DS"),
    (0x2001, 0x02, PHILIPS, "IS"), (0x0099, 0x05, "NQHeader", "LT"), (0x7E01, 0x12, "HOLOGIC, Inc.", "OB"),
]  # fmt: skip


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Return a policy that keeps safe private elements, and by rows of a site texts of a maker that no table names."""
    path = tmp_path_factory.mktemp("policy") / "site.yaml"
    rows = "".join(
        f'  - {{tag: "(0021,xx{offset:02x})", private_creator: ACME, action: {action}, reason: a test}}\n'
        for offset, action in ((1, "C"), (2, "U"), (3, "K"))
    )
    path.write_text(f"name: site\nextends: research_longitudinal\noverrides:\n{rows}", encoding="utf-8")
    return load_policy(path)


def private(group: int, offset: int, creator: str, vr: str, value: object) -> Dataset:
    ds = Dataset()
    ds.add_new(group << 16 | 0x10, "LO", creator)
    ds.add_new(group << 16 | 0x1000 | offset, vr, value)
    return ds


def written(
    added: Dataset, policy: Policy, folder: Path, syntax: str = ExplicitVRLittleEndian
) -> tuple[Dataset, bytes]:
    """Return what becomes of an instance with these elements."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = CT, "1.2.3.8", "1.2.3.5", "1.2.3.6"
    ds.PatientName, ds.PatientID, ds.Modality, ds.Manufacturer = "", "", "CT", "Phantom Works"
    ds.update(added)
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    target = folder / "x.dcm"
    InstanceDeidentifier(policy, UIDS).deidentify(
        parse_instance(buffer.getvalue()), target, PatientContext("P1", Lexicon()), None,
        text_scan_found_nothing_left=False, redacted=False,
    )  # fmt: skip
    return pydicom.dcmread(target), target.read_bytes()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("text", [OTHER, f"image {OTHER}", f"{OTHER}\\{OTHER}"], ids=["alone", "in words", "twice"])
@pytest.mark.parametrize("row", SAFE, ids=[f"{row[3]} {row[0]:04X}{row[1]:02X}" for row in SAFE])
def test_no_uid_of_an_instance_stays_in_a_safe_private_element(
    row: tuple[int, int, str, str], text: str, nested: bool, syntax: str, keeping: Policy, tmp_path: Path
) -> None:
    group, offset, creator, vr = row
    value = text.encode() + b" " * (len(text) % 2) if vr in ("OB", "CS", "DS", "IS") else text
    added = private(group, offset, creator, "UN" if isinstance(value, bytes) else vr, value)
    if nested:
        sequence = private(0x2001, 0x68, PHILIPS, "SQ", Sequence([added]))
        added = sequence
    _, data = written(added, keeping, tmp_path, syntax)
    assert OTHER.encode() not in data and OTHER.rpartition(".")[0].encode() not in data


def test_uid_of_an_instance_in_a_private_element_becomes_the_one_that_it_has_everywhere(
    keeping: Policy, tmp_path: Path
) -> None:
    ds, _ = written(private(0x0129, 0x02, SIEMENS, "UI", OTHER), keeping, tmp_path)
    assert ds[0x0129, 0x1002].value == UIDS.new_uid(OTHER)


@pytest.mark.parametrize("tail", ["20240102.101500", "5.1.4.1.1.2.1325590842.123"])
def test_uid_of_an_instance_below_the_root_of_dicom_does_not_pass_for_a_class(
    tail: str, keeping: Policy, tmp_path: Path
) -> None:
    uid = f"1.2.840.10008.{tail}"
    ds, data = written(private(0x0129, 0x02, SIEMENS, "UI", uid), keeping, tmp_path)
    assert ds[0x0129, 0x1002].value == UIDS.new_uid(uid) and uid.encode() not in data


def test_uid_of_a_class_in_a_private_element_stays(keeping: Policy, tmp_path: Path) -> None:
    ds, _ = written(private(0x0129, 0x02, SIEMENS, "UI", CT), keeping, tmp_path)
    assert ds[0x0129, 0x1002].value == CT


@pytest.mark.parametrize(("offset", "vr"), [(1, "LO"), (1, "UI"), (2, "UI"), (2, "LO"), (2, "UN")])
def test_rows_of_a_site_that_clean_or_replace_leave_no_uid_of_an_instance(
    offset: int, vr: str, keeping: Policy, tmp_path: Path
) -> None:
    value = OTHER.encode() if vr == "UN" else OTHER
    _, data = written(private(0x0021, offset, "ACME", vr, value), keeping, tmp_path)
    assert OTHER.encode() not in data


@pytest.mark.parametrize("vr", ["LO", "SH", "ST", "LT", "UT", "UC", "PN", "AE", "CS", "UI", "UN"])
@pytest.mark.parametrize("uid", [OTHER, "1.2.3.4.5.6.7"], ids=["of a maker", "short"])
def test_row_of_a_site_that_keeps_leaves_no_uid_of_an_instance(
    vr: str, uid: str, keeping: Policy, tmp_path: Path
) -> None:
    value = (uid + "\0" * (len(uid) % 2)).encode() if vr == "UN" else uid
    _, data = written(private(0x0021, 3, "ACME", vr, value), keeping, tmp_path)
    assert uid.encode() not in data


@pytest.mark.parametrize("vr", ["LO", "UT", "OB", "UN"])
def test_verification_holds_a_source_uid_in_a_private_value_that_a_site_keeps(
    vr: str, keeping: Policy, tmp_path: Path
) -> None:
    bench = Bench(tmp_path)
    bench.policy = keeping
    bench.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    bench.uids = bench.uids | {OTHER: "2.25.99"}
    value = OTHER.encode() + b"\0" * (len(OTHER) % 2) if vr in ("OB", "UN") else f"image {OTHER}"
    bench.dataset.update(private(0x0021, 3, "ACME", vr, value))
    assert bench.residuals() == [("source_uids", "00211003", "uid")]


def test_reference_inside_a_private_sequence_is_mapped_and_its_class_stays(keeping: Policy, tmp_path: Path) -> None:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, OTHER
    ds, data = written(private(0x2001, 0x68, PHILIPS, "SQ", Sequence([item])), keeping, tmp_path)
    (kept,) = ds[0x2001, 0x1068].value
    assert (kept.ReferencedSOPClassUID, kept.ReferencedSOPInstanceUID) == (CT, UIDS.new_uid(OTHER))
    assert OTHER.encode() not in data


@pytest.mark.parametrize(("value", "check"), [("1.2.3.4.5.6.7.8", "source_uids"), (OTHER, "known_uids")])
def test_verification_holds_a_uid_that_a_private_element_still_holds(value: str, check: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.policy = load_policy("research_longitudinal")
    bench.dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    bench.uids = bench.uids | {"1.2.3.4.5.6.7.8": "2.25.99"}
    bench.dataset.update(private(0x0129, 0x02, SIEMENS, "UI", value))
    assert bench.residuals() == [(check, "01291002", "uid")]
