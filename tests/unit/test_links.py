"""References before against references after: what is kept, dropped by policy, dangling or lost."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from linked_scene import STORAGE, instance, link_rows, write
from phi_deid_pipeline.links import (
    LinkGeometry,
    LinkRecord,
    LinkRow,
    LinkRows,
    check_links,
    count_links,
    instance_links,
    link_geometry,
    with_lost_links,
)
from phi_deid_pipeline.records import (
    Agreement,
    DeidRecord,
    InstanceEntry,
    LinkState,
    Residual,
    Status,
    TagAction,
    UidType,
    UidUse,
    VerificationRecord,
)
from phi_deid_pipeline.references import BeforeAfter, Reference, references
from phi_deid_pipeline.verification_bytes import read_layout

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


def segmentation(root: str = "2.25.") -> Dataset:
    """Return the object with all the references of `USES`; by default the de-identified one."""
    ds = item(SOPClassUID=SEG, SOPInstanceUID=f"{root}1", SeriesInstanceUID=f"{root}2", StudyInstanceUID=f"{root}3")
    ds.FrameOfReferenceUID = f"{root}4"
    instances = [item(ReferencedSOPInstanceUID=f"{root}{n}", ReferencedSOPClassUID=CT) for n in (5, 6)]
    ds.ReferencedSeriesSequence = Sequence(
        [item(SeriesInstanceUID=f"{root}7", ReferencedInstanceSequence=Sequence(instances))]
    )
    ds.SourceImageSequence = Sequence([item(ReferencedSOPInstanceUID=f"{root}5", ReferencedSOPClassUID=CT)])
    return ds


def save(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.save_as(path, enforce_file_format=True)
    return path


def named(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Counter[Reference]:
    with read_layout(save(ds, path, syntax)) as layout:
        return references(layout)


def links(written: Dataset, folder: Path, made: DeidRecord | None = None, **more: Any) -> list[LinkRow]:
    """Return the links of `segmentation` that was written as `written`; `source` is another source."""
    before = named(more.get("source", segmentation("1.2.3.")), folder / "source.dcm")
    after = named(written, folder / "written.dcm", more.get("syntax", ExplicitVRLittleEndian))
    return instance_links(more.get("entry", entry()), made or record(), BeforeAfter(before, after), UIDS)


def edge(to: int, path: str, kind: UidType = UidType.SOP, **changes: Any) -> LinkRow:
    sop_class = CT if kind is UidType.SOP else ""
    row = LinkRow("2.25.1", "2.25.2", f"2.25.{to}", kind, path, sop_class, from_sop_class_uid=SEG)
    return replace(row, **changes)


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
    assert links(segmentation(), tmp_path, syntax=syntax) == ALL


def test_uids_of_the_instance_itself_and_of_other_roles_are_no_links(tmp_path: Path) -> None:
    rows = links(segmentation(), tmp_path)
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
    rows = links(ds, tmp_path, made)
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
    rows = links(ds, tmp_path, record(tags_replaced=(action,)))
    assert [row for row in rows if row.is_lost] == [edge(5, SOURCE_PATH, kept=False)]


def test_reference_that_names_something_else_after_is_lost(tmp_path: Path) -> None:
    ds = segmentation()
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.6"
    rows = links(ds, tmp_path)
    assert [row for row in rows if row.is_lost] == [edge(5, SOURCE_PATH, kept=False)]


def test_retained_uids_keep_their_links(tmp_path: Path) -> None:
    source = segmentation("1.2.3.")
    ds = segmentation()
    ds.SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.5"
    assert [row for row in links(ds, tmp_path, source=source) if row.is_lost] == []


def test_one_of_two_equal_references_that_is_gone_is_lost(tmp_path: Path) -> None:
    source = segmentation("1.2.3.")
    source.SourceImageSequence.append(source.SourceImageSequence[0])
    (row,) = (row for row in links(segmentation(), tmp_path, source=source) if row.is_lost)
    assert row == edge(5, SOURCE_PATH, kept=False, count=2)


def test_reference_that_stays_in_one_of_two_items_that_the_policy_sorts_out_is_kept(tmp_path: Path) -> None:
    source = segmentation("1.2.3.")
    source.SourceImageSequence.append(source.SourceImageSequence[0])
    made = record(tags_removed=(TagAction("00082112", "SourceImageSequence", "SQ", "C", "X"),))
    (row,) = (row for row in links(segmentation(), tmp_path, made, source=source) if row.path == SOURCE_PATH)
    assert row == edge(5, SOURCE_PATH, count=2)


def with_frames(root: str, frames: list[list[int]]) -> Dataset:
    """Return an object of which each frame names one frame or several of instance 5, and segment 2 of it."""
    ds = segmentation(root)
    ds.SourceImageSequence[0].ReferencedFrameNumber = 3
    groups = []
    for numbers in frames:
        source = item(ReferencedSOPInstanceUID=f"{root}5", ReferencedSOPClassUID=CT, ReferencedFrameNumber=numbers)
        source.ReferencedSegmentNumber = 2
        derived = item(SourceImageSequence=Sequence([source]))
        groups.append(item(DerivationImageSequence=Sequence([derived])))
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return ds


PER_FRAME_PATH = "52009230.00089124.00082112.00081155"
PER_FRAME = replace(entry(), uids=(*USES, UidUse("1.2.3.5", UidType.SOP, PER_FRAME_PATH, False, CT)))


def test_frames_and_segments_of_both_ends_are_told(tmp_path: Path) -> None:
    ends = (with_frames("2.25.", [[1], [1], [2, 4]]), with_frames("1.2.3.", [[1], [1], [2, 4]]))
    rows = links(ends[0], tmp_path, source=ends[1], entry=PER_FRAME)
    assert [row for row in rows if row.path in (PER_FRAME_PATH, SOURCE_PATH)] == [
        edge(5, SOURCE_PATH, frames=(3,)),
        edge(5, PER_FRAME_PATH, frames=(1,), segments=(2,), from_frames=(1, 2), count=2),
        edge(5, PER_FRAME_PATH, frames=(2, 4), segments=(2,), from_frames=(3,)),
    ]


@pytest.mark.parametrize("after", [[[2], [1]], [[1], [3]], [[1]]], ids=["swapped", "another", "gone"])
def test_frame_that_names_another_frame_after_is_lost(tmp_path: Path, after: list[list[int]]) -> None:
    written, source = with_frames("2.25.", after), with_frames("1.2.3.", [[1], [2]])
    assert [row.path for row in links(written, tmp_path, source=source, entry=PER_FRAME) if row.is_lost]


def test_reference_of_the_inventory_that_the_second_reader_does_not_see_is_not_forgotten(tmp_path: Path) -> None:
    source = segmentation("1.2.3.")
    del source.SourceImageSequence
    assert links(segmentation(), tmp_path, source=source) == ALL
    ds = segmentation()
    del ds.SourceImageSequence
    assert [row for row in links(ds, tmp_path, source=source) if row.is_lost] == [edge(5, SOURCE_PATH, kept=False)]


def test_references_of_what_was_not_written_are_told_as_such(tmp_path: Path) -> None:
    rows = instance_links(entry(), record(status=Status.REJECTED), None, UIDS)
    assert rows == [replace(row, kept=False, written=False) for row in ALL]
    assert not any(row.is_lost for row in rows)
    ended = [replace(REFERRER, status=Status.REJECTED), *RELEASED]
    assert {(link.state.value, link.reason, link.from_status) for link in check_links(rows, ended)} == {
        ("not_written", "", "rejected")
    }


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
    assert found["2.25.5", SOURCE_PATH] == ("dangling", status.value)
    assert found["2.25.6", SERIES_PATH] == ("resolved", "")
    assert found["2.25.7", "00081115.0020000E"] == ("resolved", "")  # the series has an instance in the release


def test_link_to_what_was_never_there_dangles_in_the_source() -> None:
    assert set(states(ALL, [REFERRER]).values()) == {("dangling", "not_in_data_set")}


def test_dropped_and_lost_links_are_told_apart() -> None:
    rows = [edge(5, "00081155", kept=False), edge(5, "00091001", kept=False, dropped_by_policy=True)]
    base = LinkRecord("2.25.1", "2.25.2", "2.25.5", UidType.SOP, "00081155", LinkState.LOST, CT)
    base = replace(base, from_sop_class_uid=SEG, from_status="released", attribute="ReferencedSOPInstanceUID")
    assert list(check_links(rows, [REFERRER, *RELEASED])) == [
        base,
        replace(base, path="00091001", attribute="00091001", state=LinkState.DROPPED_BY_POLICY),
    ]


@pytest.mark.parametrize(
    ("status", "expected"), [(Status.RELEASED, ("resolved", "")), (Status.HELD, ("dangling", "held"))]
)
def test_frame_of_reference_is_there_where_an_instance_defines_it(status: Status, expected: tuple[str, str]) -> None:
    defined = LinkRow("2.25.5", "2.25.7", "2.25.4", UidType.FRAME_OF_REFERENCE, "00200052", defines=True)
    link = edge(4, "30060010.00200052", UidType.FRAME_OF_REFERENCE)
    ended = [REFERRER, replace(RELEASED[0], status=status)]
    assert states([link, defined], ended) == {("2.25.4", "30060010.00200052"): expected}
    assert states([link], ended) == {("2.25.4", "30060010.00200052"): ("dangling", "not_in_data_set")}


def test_rows_may_be_an_iterator_and_keep_their_order() -> None:
    ended = [REFERRER, *RELEASED]
    assert list(check_links(iter(ALL), ended)) == list(check_links(ALL, ended))
    assert [link.path for link in check_links(iter(ALL), ended)] == [row.path for row in ALL if not row.defines]


def test_counts_name_every_state() -> None:
    rows = [*ALL, edge(5, "00091001", kept=False, dropped_by_policy=True), edge(5, "00081155", written=False)]
    assert count_links(check_links(rows, [REFERRER, RELEASED[0]])) == {
        "resolved": 3,
        "dangling": 1,
        "dropped_by_policy": 1,
        "lost": 0,
        "not_written": 1,
    }


def test_geometry_goes_with_every_link_of_its_pair(tmp_path: Path) -> None:
    measured = LinkGeometry("2.25.1", "2.25.5", Agreement.DIFFERS, ("off_plane", "orientation_differs"), 3.5)
    assert link_geometry({**asdict(measured), "reasons": list(measured.reasons)}) == measured
    found = {
        (link.to_uid, link.path): (link.agreement, link.agreement_reasons, link.off_plane_mm)
        for link in check_links(ALL, [REFERRER, *RELEASED], [measured])
    }
    differs = ("differs", ("off_plane", "orientation_differs"), 3.5)
    assert found["2.25.5", SOURCE_PATH] == found["2.25.5", SERIES_PATH] == differs
    assert found["2.25.6", SERIES_PATH] == found["2.25.7", "00081115.0020000E"] == ("", (), None)


def _referring(path: tuple[str, ...], inner: dict[str, str]) -> dict[str, list[Dataset]]:
    """Return the attribute that leads through sequences of one item each to these values."""
    found = item(**inner)
    for keyword in reversed(path[1:]):
        found = item(**{keyword: [found]})
    return {path[0]: [found]}


_SOP = {"ReferencedSOPClassUID": CT, "ReferencedSOPInstanceUID": "2.25.4"}


@pytest.mark.parametrize(
    ("sop_class", "modality", "path"),
    [
        ("11.1", "PR", ("ReferencedSeriesSequence", "ReferencedImageSequence")),
        ("66.1", "REG", ("RegistrationSequence", "ReferencedImageSequence")),
        ("66.3", "REG", ("DeformableRegistrationSequence", "ReferencedImageSequence")),
        ("66.2", "FID", ("FiducialSetSequence", "ReferencedImageSequence")),
        (
            "88.59",
            "KO",
            ("CurrentRequestedProcedureEvidenceSequence", "ReferencedSeriesSequence", "ReferencedSOPSequence"),
        ),
        ("88.33", "SR", ("ContentSequence", "ReferencedSOPSequence")),
        ("67", "RWV", ("ReferencedImageRealWorldValueMappingSequence", "ReferencedImageSequence")),
        ("30", "OT", ("SharedFunctionalGroupsSequence", "DerivationImageSequence", "SourceImageSequence")),
        ("481.2", "RTDOSE", ("ReferencedRTPlanSequence",)),
        ("481.5", "RTPLAN", ("ReferencedStructureSetSequence",)),
        ("481.3", "RTSTRUCT", ("ROIContourSequence", "ContourSequence", "ContourImageSequence")),
        ("7", "OT", ("SourceImageSequence",)),
        ("66.4", "SEG", ("ReferencedSeriesSequence", "ReferencedInstanceSequence")),
    ],
)
def test_reference_of_every_kind_of_object_is_a_link(
    sop_class: str, modality: str, path: tuple[str, ...], tmp_path: Path
) -> None:
    ds = instance(STORAGE + sop_class, 300, 3, modality, **_referring(path, _SOP))
    rows = list(link_rows(write(ds, tmp_path / "a.dcm"), ds))
    tags = ".".join(f"{tag_for_keyword(keyword):08X}" for keyword in (*path, "ReferencedSOPInstanceUID"))
    (row,) = [row for row in rows if not row["defines"]]
    assert (row["path"], row["to_uid"], row["kind"], row["to_sop_class_uid"]) == (tags, "2.25.4", "SOP", CT)
    assert row["kept"] and row["from_sop_class_uid"] == STORAGE + sop_class


@pytest.mark.parametrize("path", [("RegistrationSequence",), ("ReferencedFrameOfReferenceSequence",)])
def test_frame_of_reference_that_an_object_names_is_a_link(path: tuple[str, ...], tmp_path: Path) -> None:
    ds = instance(f"{STORAGE}66.1", 300, 3, "REG", **_referring(path, {"FrameOfReferenceUID": "2.25.77"}))
    rows = [row for row in link_rows(write(ds, tmp_path / "a.dcm"), ds) if not row["defines"]]
    assert [(row["to_uid"], row["kind"]) for row in rows] == [("2.25.77", "FRAME_OF_REFERENCE")]


def test_database_on_disk_and_rows_read_twice_give_the_same(tmp_path: Path) -> None:
    rows = [replace(ALL[0], frames=(1, 2)), *ALL[1:]]
    data = [{**asdict(row), "kind": row.kind.value, "frames": list(row.frames)} for row in rows]
    ended = [REFERRER, *RELEASED]
    with closing(sqlite3.connect(tmp_path / "links.sqlite")) as database:
        assert list(check_links(LinkRows(lambda: data), iter(ended), (), database)) == list(check_links(rows, ended))
