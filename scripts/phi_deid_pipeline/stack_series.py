"""CT series in staging with the SEG and RTSTRUCT objects that name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.geometry import Arranged
from phi_deid_pipeline.metadata_extract import slice_attributes
from phi_deid_pipeline.records import DeidRecord, SliceAttributes
from phi_deid_pipeline.stack_pixels import LABEL_MAP, SEGMENTATION, STRUCTURE_SET, frame_digests, named_instances

_MARKERS = frozenset({SEGMENTATION, LABEL_MAP, STRUCTURE_SET})


@dataclass(frozen=True, slots=True)
class Marker:
    """A SEG or RTSTRUCT in staging and what it refers to (new UIDs)."""

    sop_uid: str
    path: Path
    is_mask: bool
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Series:
    """Slices of a CT series in staging with the staged instances by SOP Instance UID."""

    study_uid: str
    series_uid: str
    slices: tuple[SliceAttributes, ...]
    paths: Mapping[str, Path]


def ct_series(staging: Path, records: Iterable[DeidRecord]) -> list[Series]:
    """Return the CT series with pixels in staging, by study and series UID; what cannot be read is left out."""
    slices: dict[tuple[str, str], list[SliceAttributes]] = {}
    paths: dict[tuple[str, str], dict[str, Path]] = {}
    for record in records:
        if record.staged_path and record.modality == "CT" and record.pixel_data != "none":
            path, key = staging / record.staged_path, (record.study_uid, record.series_uid)
            try:
                slices.setdefault(key, []).extend(slice_attributes(path))
            except UnreadableInstance:
                continue
            paths.setdefault(key, {})[record.sop_uid] = path
    return [Series(*key, tuple(slices[key]), paths[key]) for key in sorted(slices) if slices[key]]


def pixel_digests(series: Series) -> Callable[[SliceAttributes], str]:
    """Return what tells the decoded pixels of slices apart; each instance is decoded at most once."""
    digests: dict[str, list[str]] = {}

    def pixel_digest(one: SliceAttributes) -> str:
        if one.sop_uid not in digests:
            digests[one.sop_uid] = frame_digests(series.paths[one.sop_uid])
        known = digests[one.sop_uid]
        return known[one.frame] if one.frame < len(known) else ""

    return pixel_digest


def markers_of(staging: Path, records: Iterable[DeidRecord]) -> list[Marker]:
    """Return the SEG and RTSTRUCT objects in staging, by SOP Instance UID; what cannot be read marks nothing."""
    found = []
    for record in records:
        if record.staged_path and record.sop_class_uid in _MARKERS:
            path = staging / record.staged_path
            is_mask = record.sop_class_uid != STRUCTURE_SET
            try:
                found.append(Marker(record.sop_uid, path, is_mask, named_instances(path)))
            except UnreadableInstance:
                continue
    return sorted(found, key=lambda one: one.sop_uid)


def linked(stack: Arranged, series: Series, markers: Iterable[Marker]) -> list[Marker]:
    """Return the markers that name a slice of a stack, and those that name no instance of its series but the series."""
    own, others = {one.sop_uid for one in stack.slices}, series.paths.keys()
    return [one for one in markers if one.names & own or (series.series_uid in one.names and not one.names & others)]
