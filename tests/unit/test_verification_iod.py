"""What an IOD demands and the source had must be in the written instance; errors of the source excuse themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from factories import write
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.verification_bytes import read_layout
from phi_deid_pipeline.verification_iod import Conformance, load_goes_with, load_required

CT = "1.2.840.10008.5.1.4.1.1.2"


def code(value: str = "T-1") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99T", "Thing"
    return item


def ct() -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = CT, "2.25.1", "CT"
    ds.StudyDate, ds.AccessionNumber, ds.ReferringPhysicianName = "20200102", "A1", "Doe"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe", "1", "19500101", "F"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Laterality = "2.25.2", "2.25.3", "L"
    ds.ClinicalTrialSponsorName, ds.ClinicalTrialProtocolID = "Sponsor", "P1"
    ds.ClinicalTrialProtocolName = ""
    ds.KVP, ds.FrameOfReferenceUID = "120", "2.25.4"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, "2.25.5"
    reference.PurposeOfReferenceCodeSequence = Sequence([code()])
    ds.ReferencedImageSequence = Sequence([reference])
    return ds


def compared(tmp_path: Path, before: Dataset, after: Dataset) -> list[tuple[str, str]]:
    write(before, tmp_path / "before", ExplicitVRLittleEndian)
    write(after, tmp_path / "after", ExplicitVRLittleEndian)
    with read_layout(tmp_path / "after") as written, read_layout(tmp_path / "before") as source:
        return [(r.where, r.detail) for r in Conformance().problems(written, source)]


def change(name: str, value: object = None) -> Callable[[Dataset], None]:
    def changed(ds: Dataset) -> None:
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)

    return changed


def inside(name: str, value: object = None) -> Callable[[Dataset], None]:
    return lambda ds: change(name, value)(ds.ReferencedImageSequence[0])


def in_code(name: str, value: object = None) -> Callable[[Dataset], None]:
    return lambda ds: change(name, value)(ds.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0])


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        (change("Modality"), [("00080060", "missing, Type 1")]),
        (change("Modality", ""), [("00080060", "empty, Type 1")]),
        (change("AccessionNumber"), [("00080050", "missing, Type 2")]),
        (change("AccessionNumber", ""), []),
        (change("KVP"), [("00180060", "missing, Type 2")]),
        (change("Laterality"), []),  # Type 2C: the condition is not known
        (change("ReferringPhysicianName", ""), []),
        (change("ClinicalTrialSponsorName"), [("00120010", "missing, Type 1")]),  # the module is still there
        (change("ReferencedImageSequence"), []),
        (inside("ReferencedSOPInstanceUID"), [("00081140.00081155", "missing, Type 1")]),
        (inside("ReferencedSOPInstanceUID", ""), [("00081140.00081155", "empty, Type 1")]),
        (in_code("CodeMeaning"), [("00081140.0040A170.00080104", "missing, Type 1")]),
        (in_code("CodeValue", ""), [("00081140.0040A170.00080100", "empty, Type 1")]),
    ],
)
def test_what_the_iod_demands_and_the_source_had_must_be_there(
    tmp_path: Path, changed: Callable[[Dataset], None], problems: list[tuple[str, str]]
) -> None:
    after = ct()
    changed(after)
    assert compared(tmp_path, ct(), after) == problems


def test_optional_module_may_go_as_a_whole(tmp_path: Path) -> None:
    after = ct()
    for name in ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"):
        delattr(after, name)
    assert compared(tmp_path, ct(), after) == []


@pytest.mark.parametrize("name", ["Modality", "AccessionNumber", "PatientID"])
def test_what_the_source_lacks_is_not_missed(tmp_path: Path, name: str) -> None:
    before, after = ct(), ct()
    delattr(before, name)
    delattr(after, name)
    assert compared(tmp_path, before, after) == []


def test_emptied_item_of_a_type_1_sequence_is_found(tmp_path: Path) -> None:
    before, after = ct(), ct()
    for ds, filled in ((before, True), (after, False)):
        ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
        shared = Dataset()
        shared.FrameAnatomySequence = Sequence([Dataset()])
        shared.FrameAnatomySequence[0].FrameLaterality = "R"
        if filled:
            shared.FrameAnatomySequence[0].AnatomicRegionSequence = Sequence([code()])
        else:
            shared.FrameAnatomySequence[0].AnatomicRegionSequence = Sequence([Dataset()])
        ds.SharedFunctionalGroupsSequence = Sequence([shared])
    assert compared(tmp_path, before, after) == [("52009229.00209071.00082218", "empty, Type 1")]


def test_items_that_moved_up_are_not_compared_with_others(tmp_path: Path) -> None:
    def content(*names: str) -> Dataset:
        ds = ct()
        items = []
        for name in names:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "2.25.5"
            if name:
                item.PurposeOfReferenceCodeSequence = Sequence([code(name)])
            items.append(item)
        ds.SourceImageSequence = Sequence(items)
        return ds

    assert compared(tmp_path, content("A", "B", ""), content("A", "")) == []
    spoilt = content("A", "")
    del spoilt.SourceImageSequence[1].ReferencedSOPClassUID
    assert compared(tmp_path, content("A", "B", ""), spoilt) == [("00082112.00081150", "missing, Type 1")]


def test_remembered_layouts_give_the_same_answer(tmp_path: Path) -> None:
    after = ct()
    del after.Modality
    write(ct(), tmp_path / "before", ExplicitVRLittleEndian)
    write(after, tmp_path / "after", ExplicitVRLittleEndian)
    judge = Conformance()
    with read_layout(tmp_path / "after") as written, read_layout(tmp_path / "before") as source:
        first, second = judge.problems(written, source), judge.problems(written, source)
        assert first == second != ()
        assert judge.problems(source, source) == ()


def test_table_covers_the_iods_that_hold_patients() -> None:
    required = load_required()
    for uid, iod in required.sop_classes.items():
        if not required.mandatory(iod):
            assert iod == "", uid
    assert required.mandatory("ct-image")[0x00080060] == "1"
    assert required.mandatory("ct-image")[0x00100020] == "2"
    assert any(0x00180010 in types for types in required.others("ct-image"))
    assert required.inside(0x00081140)[0x00081155] == "1"
    assert required.inside(0x00081155) == {}


@pytest.mark.parametrize("name", ["CT_small.dcm", "rtplan.dcm", "liver_1frame.dcm", "reportsi.dcm"])
def test_instance_compared_with_itself_lacks_nothing(name: str) -> None:
    with read_layout(Path(get_testdata_file(name))) as one, read_layout(Path(get_testdata_file(name))) as other:
        assert Conformance().problems(one, other) == ()


def test_attribute_left_without_what_it_goes_with_is_found_at_any_depth(tmp_path):
    def animal(name: str | None, *, nested: bool) -> Dataset:
        ds = ct()
        holder = ds.ReferencedImageSequence[0] if nested else ds
        holder.ResponsiblePersonRole = "OWNER"
        if name is not None:
            holder.ResponsiblePerson = name
        return ds

    for nested, where in ((False, "00102298"), (True, "00081140.00102298")):
        for name in ("", None):
            found = compared(tmp_path, animal("Doe", nested=nested), animal(name, nested=nested))
            assert found == [(where, "there without what it goes with")]
            assert compared(tmp_path, animal(name, nested=nested), animal(name, nested=nested)) == []
        assert compared(tmp_path, animal("Doe", nested=nested), animal("X", nested=nested)) == []


def test_the_list_of_what_goes_with_what_is_that_of_the_policy():
    assert load_goes_with() == load_policy("ps3_15_basic").goes_with
