"""Which VR the bytes of a private element can have, and how private elements of a data set go together."""

from __future__ import annotations

import io
import struct

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.private_elements import are_uids, count_private, effective_vr, fits, is_creator, runs
from phi_deid_pipeline.raw_elements import RawInstance, parse_instance

SIEMENS = "SIEMENS MR HEADER"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("research_longitudinal")


def implicit(**values: bytes) -> RawInstance:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.PatientID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3", "X"
    ds.add(DataElement(0x00190010, "LO", SIEMENS))
    for name, value in values.items():
        ds.add(DataElement(int(name[1:], 16), "OB", value))
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return parse_instance(buffer.getvalue())


@pytest.mark.parametrize(
    ("vr", "value", "fit"),
    [
        ("US", b"\1\2", True),
        ("US", b"\1\2\3", False),
        ("FD", struct.pack("<3d", 0.1, 2.0, -3.5), True),
        ("FD", b"QUIXOTTE", False),
        ("US", b"QUIXOTTE  ", False),
        ("US", b"AB", True),
        ("DS", b"1.5\\-2e3 ", True),
        ("DS", b"12345678901234567", False),
        ("IS", b"1.5", False),
        ("CS", b"DIRECTIONAL ", True),
        ("CS", b"Directional", False),
        ("UI", b"1.2.840.99999.1\0", True),
        ("UI", b"5.1.0", False),
        ("LO", "Schädel".encode(), True),
        ("LO", b"\x00\x01\x02", False),
        ("OB", b"\x00", True),
        ("SQ", b"", False),
    ],
)
def test_bytes_fit_a_vr(vr: str, value: bytes, fit: bool) -> None:
    assert fits(vr, value) is fit


@pytest.mark.parametrize(
    ("tag", "value", "vr"),
    [
        (0x0019100C, b"1000", "IS"),
        (0x0019100C, b"Quixotte", None),
        (0x0019100E, struct.pack("<3d", 0.1, 2.0, -3.5), "FD"),
        (0x001910FF, b"some words", "UT"),
        (0x001910FF, b"\x00\x01\x02\x03", "UN"),
        (0x001910FF, b"", "UN"),
    ],
)
def test_what_has_no_vr_takes_that_of_the_table_or_of_its_bytes(tag, value, vr, policy: Policy) -> None:
    instance = implicit(**{f"t{tag:08X}": value})
    element = instance.find(tag)
    assert effective_vr(element, instance.value(element), SIEMENS, policy) == vr


def test_private_elements_of_one_group_come_together() -> None:
    instance = implicit(t0019100C=b"1000", t0021100C=b"1 ")
    found = [[e.tag for e in run] if isinstance(run, list) else run.tag for run in runs(instance.elements)]
    assert found == [0x00080016, 0x00080018, 0x00100020, [0x00190010, 0x0019100C], [0x0021100C]]
    assert [is_creator(tag) for tag in (0x00190010, 0x001900FF, 0x0019000F, 0x00191000)] == [True, True, False, False]
    assert sum(map(count_private, instance.elements)) == 3


@pytest.mark.parametrize(
    ("value", "uids"),
    [(b"1.2.840.99999.1", True), (b"1.2.840.99999.1\\5.1", False), (b"", True), (b"not a uid", False)],
)
def test_values_are_uids(value: bytes, uids: bool) -> None:
    assert are_uids(value) is uids
