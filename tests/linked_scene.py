"""Linked objects with known geometry: a CT stack, segmentations and structure sets that name it, as if staged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from phi_deid_pipeline.input_files import read_file
from phi_deid_pipeline.link_geometry import LinkedGeometry
from phi_deid_pipeline.links import LinkGeometry, instance_links
from phi_deid_pipeline.metadata_extract import extract_metadata
from phi_deid_pipeline.records import DeidRecord, InstanceEntry, Status, UidType, UidUse
from phi_deid_pipeline.references import BeforeAfter, references
from phi_deid_pipeline.verification_bytes import read_layout

STORAGE = "1.2.840.10008.5.1.4.1.1."
CT, SEG, RTSTRUCT, RTDOSE = (STORAGE + end for end in ("2", "66.4", "481.3", "481.2"))
FRAME = "2.25.900"
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
TILTED = ((1.0, 0.0, 0.0), (0.0, float(np.cos(0.3)), float(np.sin(0.3))))
STEP_MM = 3.0


def item(**values: Any) -> Dataset:
    """Return a data set of these attributes."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def instance(sop_class: str, number: int, series: int, modality: str, **values: Any) -> Dataset:
    """Return an instance with UIDs made of its numbers."""
    return item(
        SOPClassUID=sop_class,
        SOPInstanceUID=f"2.25.{number}",
        StudyInstanceUID="2.25.800",
        SeriesInstanceUID=f"2.25.{700 + series}",
        Modality=modality,
        FrameOfReferenceUID=FRAME,
        **values,
    )


def place(number: float, directions: Sequence[Sequence[float]] = AXIAL, step: float = STEP_MM) -> list[float]:
    """Return the position of a slice of the stack, in mm; a fraction lies between two."""
    normal = np.cross(*map(np.array, directions))
    return [round(float(value), 6) for value in np.array([-10.0, -20.0, 30.0]) + number * step * normal]


def ct_stack(
    count: int = 5, directions: Sequence[Sequence[float]] = AXIAL, step: float = STEP_MM, **values: Any
) -> list[Dataset]:
    """Return slices 2.25.1, 2.25.2 and so on of 8 by 10 pixels of 2 mm (rows) and 1 mm (columns)."""
    flat = [value for direction in directions for value in direction]
    grid = {"Rows": 8, "Columns": 10, "PixelSpacing": [2.0, 1.0], "SliceThickness": 3.0}
    return [
        instance(
            CT, number + 1, 1, "CT", ImagePositionPatient=place(number, directions, step),
            ImageOrientationPatient=flat, **{**grid, **values},
        )
        for number in range(count)
    ]  # fmt: skip


def named(number: int, **values: Any) -> Dataset:
    """Return an item that names slice `number` (from 0) of the stack."""
    return item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=f"2.25.{number + 1}", **values)


def segmentation(
    places: Sequence[Sequence[float]],
    sources: Sequence[Sequence[Dataset]] | None,
    directions: Sequence[Sequence[float]] = AXIAL,
    **values: Any,
) -> Dataset:
    """Return a segmentation 2.25.100 with a frame at each place; without sources it names the whole stack alone."""
    flat = [value for direction in directions for value in direction]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=flat)],
        PixelMeasuresSequence=[item(PixelSpacing=[2.0, 1.0], SliceThickness=3.0, SpacingBetweenSlices=3.0)],
    )
    frames = []
    for number, position in enumerate(places):
        frame = item(PlanePositionSequence=[item(ImagePositionPatient=list(position))])
        if sources is not None:
            frame.DerivationImageSequence = [item(SourceImageSequence=list(sources[number]))]
        frames.append(frame)
    evidence = item(SeriesInstanceUID="2.25.701", ReferencedInstanceSequence=[named(n) for n in range(5)])
    grid = {"Rows": 8, "Columns": 10, "NumberOfFrames": len(frames)}
    return instance(
        SEG, 100, 2, "SEG", ReferencedSeriesSequence=[evidence], SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames, **{**grid, **values},
    )  # fmt: skip


def contour(points: Sequence[Sequence[float]], *images: Dataset, kind: str = "CLOSED_PLANAR") -> Dataset:
    """Return a contour through points that names images."""
    flat = [round(float(value), 6) for point in points for value in point]
    made = item(ContourGeometricType=kind, NumberOfContourPoints=len(points), ContourData=flat)
    if images:
        made.ContourImageSequence = list(images)
    return made


def square(number: float, directions: Sequence[Sequence[float]] = AXIAL) -> list[list[float]]:
    """Return a square in slice `number`, or between two slices."""
    row, column = map(np.array, directions)
    return [list(np.array(place(number, directions)) + a * row + b * column) for a, b in ((2, 2), (6, 2), (6, 9))]


def structure_set(contours: Sequence[Dataset], frame: str = FRAME, **values: Any) -> Dataset:
    """Return a structure set 2.25.200 with one region that names all slices of the stack."""
    series = item(SeriesInstanceUID="2.25.701", ContourImageSequence=[named(number) for number in range(5)])
    study = item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID="2.25.800")
    study.RTReferencedSeriesSequence = [series]
    ds = instance(RTSTRUCT, 200, 3, "RTSTRUCT", **values)
    del ds.FrameOfReferenceUID
    ds.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=[study])]
    ds.StructureSetROISequence = [item(ROINumber=1, ReferencedFrameOfReferenceUID=frame, ROIName="organ")]
    ds.ROIContourSequence = [item(ReferencedROINumber=1, ContourSequence=list(contours))]
    ds.RTROIObservationsSequence = [item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="ORGAN")]
    return ds


def write(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set as an instance."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def link_rows(path: Path, ds: Dataset) -> Iterator[dict[str, Any]]:
    """Yield the links of a written instance as data, as verification finds them."""
    uses = json.loads(read_file(path.parent, path.name.encode(), 32).uids)
    own = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    uids = tuple(UidUse(uid, UidType(role), *rest) for uid, role, *rest in uses)
    entry = InstanceEntry("a", 1, "", "p1", *own, ds.SOPClassUID, "", ds.Modality, 1, 1, 1, True, uids=uids)
    record = DeidRecord(
        "a", "", ds.SOPClassUID, ds.Modality, *own, *own, "P", Status.RELEASED, "", "", "", "", "", "", "none", ""
    )
    with read_layout(path) as layout:
        seen = references(layout)
    for row in instance_links(entry, record, BeforeAfter(seen, seen), {use.uid: use.uid for use in uids}):
        yield {**asdict(row), "kind": row.kind.value}


def agreements(folder: Path, instances: Sequence[Dataset]) -> dict[tuple[str, str], LinkGeometry]:
    """Stage instances below `folder`, compare them; return the verdicts by the ends of the UIDs of each pair."""
    records, metadata, rows = [], [], []
    for ds in instances:
        name = f"{ds.SOPInstanceUID}.dcm"
        path = write(ds, folder / "b000001" / name)
        record = {"sop_uid": ds.SOPInstanceUID, "series_uid": ds.SeriesInstanceUID, "sop_class_uid": ds.SOPClassUID}
        records.append(("b000001", {**record, "staged_path": name}))
        metadata.append(extract_metadata(path, name))
        rows += link_rows(path, ds)
    with closing(sqlite3.connect(":memory:")) as database:
        linked = LinkedGeometry(database, folder)
        linked.add_instances(iter(records))
        if not linked.add_links(iter(rows)):
            return {}
        linked.add_metadata(iter(metadata))
        found = list(linked.agreements())
    assert [(row.from_sop_uid, row.to_uid) for row in found] == sorted((r.from_sop_uid, r.to_uid) for r in found)
    return {(row.from_sop_uid.rpartition(".")[2], row.to_uid.rpartition(".")[2]): row for row in found}
