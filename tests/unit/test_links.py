"""References before against references after: what is kept, dropped by policy, dangling or lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.links import (
    LinkRecord,
    LinkRow,
    LinkState,
    check_links,
    count_links,
    instance_links,
    with_lost_links,
    written_uids,
)
from phi_deid_pipeline.records import (
    DeidRecord,
    InstanceEntry,
    Residual,
    Status,
    TagAction,
    UidType,
    UidUse,
    VerificationRecord,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
UIDS = {f"1.2.3.{n}": f"2.25.{n}" for n in range(1, 10)}
SERIES_PATH = "00081115.0008114A.00081155"
SOURCE_PATH = "00082112.00081155"
USES = (
    UidUse("1.2.3.1", UidType.SOP, "00080018", True),
    UidUse("1.2.3.2", UidType.SERIES, "0020000E", True),
    UidUse("1.2.3.3", UidType.STUDY, "0020000D", True),
    UidUse("1.2.3.4", UidType.FRAME_OF_REFERENCE, "00200052", True),
    UidUse("1.2.3.5", UidType.SOP, SERIES_PATH, False, CT),
    UidUse("1.2.3.6", UidType.SOP, SERIES_PATH, False, CT),
    UidUse("1.2.3.7", UidType.SERIES, "00081115.0020000E", False),
    UidUse("1.2.3.5", UidType.SOP, SOURCE_PATH, False, CT),
    UidUse("1.2.3.8", UidType.DIMENSION_ORGANIZATION, "00209221.00209164", False),
)


def entry() -> InstanceEntry:
    known = ("1.2.3.3", "1.2.3.2", "1.2.3.1", SEG, ExplicitVRLittleEndian, "SEG", 1, 1, 1, True)
    return InstanceEntry("a", 1, "", "p000001", *known, uids=USES)


def record(**changes: Any) -> DeidRecord:
    base = DeidRecord(
        *("a", "", SEG, "SEG", "1.2.3.3", "1.2.3.2", "1.2.3.1", "2.25.3", "2.25.2", "2.25.1", "P", Status.RELEASED),
        *("", "", "x", "", "", "", "none", ""),
    )
    return replace(base, **changes)


def item(**values: Any) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def segmentation() -> Dataset:
    """Return the de-identified object with all the references of `USES`."""
    ds = item(SOPClassUID=SEG, SOPInstanceUID="2.25.1", SeriesInstanceUID="2.25.2", StudyInstanceUID="2.25.3")
    ds.FrameOfReferenceUID = "2.25.4"
    instances = [item(ReferencedSOPInstanceUID=f"2.25.{n}", ReferencedSOPClassUID=CT) for n in (5, 6)]
    ds.ReferencedSeriesSequence = Sequence(
        [item(SeriesInstanceUID="2.25.7", ReferencedInstanceSequence=Sequence(instances))]
    )
    ds.SourceImageSequence = Sequence([item(ReferencedSOPInstanceUID="2.25.5", ReferencedSOPClassUID=CT)])
    return ds


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.save_as(path, enforce_file_format=True)
    return path


def edge(to: int, path: str, kind: UidType = UidType.SOP, **changes: Any) -> LinkRow:
    sop_class = CT if kind is UidType.SOP else ""
    return replace(LinkRow("2.25.1", "2.25.2", f"2.25.{to}", kind, path, sop_class), **changes)


FRAME = edge(4, "00200052", UidType.FRAME_OF_REFERENCE, defines=True)
ALL = [
    edge(5, SERIES_PATH),
    edge(6, SERIES_PATH),
    edge(7, "00081115.0020000E", UidType.SERIES),
    edge(5, SOURCE_PATH),
    FRAME,
]


# ------------------------------------------------------------------ one instance


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_references_that_are_there_after_are_kept(tmp_path: Path, syntax: str) -> None:
    written = save(segmentation(), tmp_path / "a.dcm", syntax)
    assert instance_links(entry(), record(), written, UIDS) == ALL


def test_uids_of_the_instance_itself_and_of_other_roles_are_no_links(tmp_path: Path) -> None:
    rows = instance_links(entry(), record(), save(segmentation(), tmp_path / "a.dcm"), UIDS)
    assert {row.to_uid for row in rows} == {"2.25.4", "2.25.5", "2.25.6", "2.25.7"}
    assert [row for row in rows if row.defines] == [FRAME]


@pytest.mark.parametrize("path", [SOURCE_PATH, "00082112"])
@pytest.mark.parametrize(("group", "action"), [("tags_removed", "X"), ("tags_replaced", "Z"), ("tags_replaced", "D")])
def test_reference_under_a_removed_or_emptied_path_is_dropped_by_policy(
    tmp_path: Path, path: str, group: str, action: str
) -> None:
    ds = segmentation()
    del ds.SourceImageSequence
    made = record(**{group: (TagAction(path, "", "SQ", action, action),)})
    rows = instance_links(entry(), made, save(ds, tmp_path / "a.dcm"), UIDS)
    dropped = [row for row in rows if not row.kept]
    assert dropped == [edge(5, SOURCE_PATH, kept=False, dropped_by_policy=True)]
    assert not dropped[0].is_lost


@pytest.mark.parametrize(
    "action",
    [
        TagAction(SOURCE_PATH, "ReferencedSOPInstanceUID", "UI", "U", "U"),
        TagAction(SOURCE_PATH, "ReferencedSOPInstanceUID", "UI", "D", "D"),
        TagAction("00082112", "SourceImageSequence", "SQ", "X/Z/U*", "U"),
        TagAction("00081115", "ReferencedSeriesSequence", "SQ", "X", "X"),
        TagAction("0008211", "", "SQ", "X", "X"),
    ],
)
def test_reference_that_the_policy_keeps_and_is_gone_is_lost(tmp_path: Path, action: TagAction) -> None:
    ds = segmentation()
    del ds.SourceImageSequence
    rows = instance_links(entry(), record(tags_replaced=(action,)), save(ds, tmp_path / "a.dcm"), UIDS)
    assert [row for row in rows if row.is_lost] == [edge(5, SOURCE_PATH, kept=False)]


def test_reference_that_names_something_else_after_is_lost(tmp_path: Path) -> None:
    ds = segmentation()
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.6"
    rows = instance_links(entry(), record(), save(ds, tmp_path / "a.dcm"), UIDS)
    assert [row for row in rows if row.is_lost] == [edge(5, SOURCE_PATH, kept=False)]


def test_retained_uids_keep_their_links(tmp_path: Path) -> None:
    ds = segmentation()
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.5"
    rows = instance_links(entry(), record(), save(ds, tmp_path / "a.dcm"), {uid: uid for uid in UIDS} | UIDS)
    assert [row for row in rows if row.is_lost] == []


def test_rejected_instance_refers_to_nothing(tmp_path: Path) -> None:
    written = save(segmentation(), tmp_path / "a.dcm")
    assert instance_links(entry(), record(), None, UIDS) == []
    assert instance_links(entry(), record(status=Status.REJECTED), written, UIDS) == []


def test_unreadable_result_refers_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"no DICOM here")
    assert instance_links(entry(), record(), tmp_path / "a.dcm", UIDS) == []
    with pytest.raises(UnreadableInstance):
        written_uids(tmp_path / "a.dcm")


@pytest.mark.parametrize("name", ["rtplan.dcm", "rtdose_1frame.dcm", "test-SR.dcm", "liver_1frame.dcm", "rtstruct.dcm"])
def test_written_uids_are_those_that_pydicom_reads(name: str) -> None:
    path = Path(get_testdata_file(name))
    expected: set[tuple[str, str]] = set()

    def gather(ds: Dataset, above: str) -> None:
        for element in ds:
            place = f"{above}{int(element.tag):08X}"
            if element.VR == "SQ":
                for inner in element.value:
                    gather(inner, f"{place}.")
            elif element.VR == "UI":
                values = element.value if element.VM > 1 else [element.value]
                expected.update((place, str(value or "")) for value in values)

    gather(dcmread(path, force=True), "")
    assert expected
    assert {pair for pair in written_uids(path) if pair[1]} == {pair for pair in expected if pair[1]}


# ------------------------------------------------------------------ lost links hold


def verdict(status: Status = Status.RELEASED, reason: str = "") -> VerificationRecord:
    return VerificationRecord("2.25.1", "2.25.2", status, reason, ("opens",))


def test_lost_link_holds_the_instance_with_its_path() -> None:
    held = with_lost_links(verdict(), [*ALL, edge(5, SOURCE_PATH, kept=False)])
    assert (held.status, held.reason) == (Status.HELD, "link_lost")
    assert held.residuals == (Residual("links", SOURCE_PATH, "SOP", "lost"),)
    assert held.checks == ("links", "opens")


def test_kept_and_dropped_links_hold_nobody() -> None:
    rows = [*ALL, edge(9, SOURCE_PATH, kept=False, dropped_by_policy=True), replace(FRAME, kept=False)]
    assert with_lost_links(verdict(), rows) == replace(verdict(), checks=("links", "opens"))


def test_rejection_outweighs_a_lost_link() -> None:
    lost = with_lost_links(verdict(Status.REJECTED, "pixels_changed"), [edge(5, SOURCE_PATH, kept=False)])
    assert (lost.status, lost.reason) == (Status.REJECTED, "pixels_changed")
    assert len(lost.residuals) == 1


# ------------------------------------------------------------------ all batches


@dataclass(frozen=True)
class End:
    sop_uid: str
    series_uid: str
    study_uid: str
    status: Status


RELEASED = [End(f"2.25.{n}", "2.25.7", "2.25.3", Status.RELEASED) for n in (5, 6)]
REFERRER = End("2.25.1", "2.25.2", "2.25.3", Status.RELEASED)


def states(rows: list[LinkRow], ended: list[End]) -> dict[tuple[str, str], tuple[str, str]]:
    return {(link.to_uid, link.path): (link.state.value, link.reason) for link in check_links(rows, ended)}


def test_links_to_released_targets_resolve() -> None:
    assert states(ALL, [REFERRER, *RELEASED]) == {
        ("2.25.7", "00081115.0020000E"): ("resolved", ""),
        ("2.25.5", SERIES_PATH): ("resolved", ""),
        ("2.25.6", SERIES_PATH): ("resolved", ""),
        ("2.25.5", SOURCE_PATH): ("resolved", ""),
    }


@pytest.mark.parametrize("status", [Status.HELD, Status.REJECTED])
def test_link_to_what_is_not_released_dangles_with_the_reason(status: Status) -> None:
    ended = [REFERRER, replace(RELEASED[0], status=status), RELEASED[1]]
    found = states(ALL, ended)
    assert found["2.25.5", SOURCE_PATH] == ("dangling_rejected", status.value)
    assert found["2.25.6", SERIES_PATH] == ("resolved", "")
    assert found["2.25.7", "00081115.0020000E"] == ("resolved", "")  # the series has an instance in the release


def test_link_to_what_was_never_there_dangles_in_the_source() -> None:
    assert set(states(ALL, [REFERRER]).values()) == {("dangling_in_source", "")}


def test_dropped_and_lost_links_are_told_apart() -> None:
    rows = [edge(5, "A", kept=False), edge(5, "B", kept=False, dropped_by_policy=True)]
    assert list(check_links(rows, [REFERRER, *RELEASED])) == [
        LinkRecord("2.25.1", "2.25.2", "2.25.5", UidType.SOP, "A", LinkState.LOST, CT),
        LinkRecord("2.25.1", "2.25.2", "2.25.5", UidType.SOP, "B", LinkState.DROPPED_BY_POLICY, CT),
    ]


@pytest.mark.parametrize(
    ("status", "expected"), [(Status.RELEASED, ("resolved", "")), (Status.HELD, ("dangling_rejected", "held"))]
)
def test_frame_of_reference_is_there_where_an_instance_defines_it(status: Status, expected: tuple[str, str]) -> None:
    defined = LinkRow("2.25.5", "2.25.7", "2.25.4", UidType.FRAME_OF_REFERENCE, "00200052", defines=True)
    link = edge(4, "30060010.00200052", UidType.FRAME_OF_REFERENCE)
    ended = [REFERRER, replace(RELEASED[0], status=status)]
    assert states([link, defined], ended) == {("2.25.4", "30060010.00200052"): expected}
    assert states([link], ended) == {("2.25.4", "30060010.00200052"): ("dangling_in_source", "")}


def test_rows_may_be_an_iterator_and_keep_their_order() -> None:
    ended = [REFERRER, *RELEASED]
    assert list(check_links(iter(ALL), ended)) == list(check_links(ALL, ended))
    assert [link.path for link in check_links(iter(ALL), ended)] == [row.path for row in ALL if not row.defines]


def test_counts_name_every_state() -> None:
    rows = [*ALL, edge(5, "B", kept=False, dropped_by_policy=True)]
    assert count_links(check_links(rows, [REFERRER, RELEASED[0]])) == {
        "resolved": 3,
        "dangling_in_source": 1,
        "dangling_rejected": 0,
        "dropped_by_policy": 1,
        "lost": 0,
    }
