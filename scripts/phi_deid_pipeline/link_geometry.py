"""Whether linked instances fit together: contours and segments on the slices that they name, one frame of reference.

What does not fit is told, never repaired. Lengths are in mm, directions and positions in the patient coordinate system
(LPS). All is measured on the written instances.
"""

from __future__ import annotations

import itertools
import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.links import LinkGeometry
from phi_deid_pipeline.metadata_extract import slice_attributes
from phi_deid_pipeline.records import Agreement, SliceAttributes, UidType
from phi_deid_pipeline.rt_contours import contours

_STORAGE = "1.2.840.10008.5.1.4.1.1."
RTSTRUCT = f"{_STORAGE}481.3"
# Objects whose frames lie in slices of others: segmentations, label and height maps, parametric maps.
_IN_SLICES = frozenset(_STORAGE + end for end in ("66.4", "66.7", "66.8", "30"))
# Objects without slices of their own that share a frame of reference with what they name: radiotherapy, registrations,
# fiducials, surfaces.
_IN_ONE_FRAME = tuple(_STORAGE + end for end in ("481.", "66.1", "66.2", "66.3", "66.5"))
_SOURCE_IMAGE = "00082112"  # Source Image Sequence

ANGLE_TOLERANCE_DEG = 0.5  # between normals that count as one
ROUNDING_MM = 1e-3  # of positions and contours as decimal strings
_SAME_SPACING = 1e-3  # relative


class Reason(StrEnum):
    """Why geometry differs, or why it was not checked."""

    OFF_PLANE = "off_plane"  # more than half a slice away from the slice that is named
    ORIENTATION = "orientation_differs"
    IN_PLANE = "in_plane_shift"  # same grid, origin more than half a pixel away
    FRAME_OF_REFERENCE = "frame_of_reference_differs"
    NO_SUCH_FRAME = "no_such_frame"
    NO_POSITION = "no_position"  # a slice without position or orientation
    NO_SPACING = "no_slice_distance"
    UNREADABLE = "unreadable"


_UNCHECKED = frozenset({Reason.NO_POSITION, Reason.NO_SPACING, Reason.UNREADABLE})


@dataclass(frozen=True, slots=True)
class Plane:
    """A slice: centre of its first pixel, its normal, the direction of its rows and columns, and its grid."""

    position: np.ndarray
    normal: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: tuple[float, ...] | None
    size: tuple[int | None, int | None]


@dataclass
class _Pair:
    """What was found of one pair."""

    reasons: set[str] = field(default_factory=set)
    off_plane: float | None = None
    checked: bool = False

    def measure(self, off_plane: float, allowed: float | None) -> None:
        if not math.isfinite(off_plane):
            self.reasons.add(Reason.UNREADABLE)
            return
        self.off_plane = max(off_plane, self.off_plane or 0.0)
        if off_plane <= ROUNDING_MM or (allowed is not None and off_plane <= allowed + ROUNDING_MM):
            self.checked = True
        else:
            self.reasons.add(Reason.NO_SPACING if allowed is None else Reason.OFF_PLANE)

    def verdict(self, source: str, target: str) -> LinkGeometry | None:
        """Return the verdict, None if there was nothing to compare."""
        if self.reasons - _UNCHECKED:
            agreement = Agreement.DIFFERS
        elif self.reasons:
            agreement = Agreement.NOT_CHECKED
        elif self.checked:
            agreement = Agreement.AGREES
        else:
            return None
        off_plane = None if self.off_plane is None else round(self.off_plane, 6)
        return LinkGeometry(source, target, agreement, tuple(sorted(self.reasons)), off_plane)


def plane_of(attributes: SliceAttributes) -> Plane | None:
    """Return the plane of a slice, None where its header gives no position or no orientation that can be used."""
    position, orientation = attributes.position, attributes.orientation
    if position is None or orientation is None or len(position) != 3 or len(orientation) != 6:
        return None
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    normal = np.cross(row, column)
    length = float(np.linalg.norm(normal))
    if not math.isfinite(length) or length < 0.5:
        return None
    if not all(map(math.isfinite, position)):
        return None
    size = (attributes.rows, attributes.columns)
    return Plane(np.array(position, float), normal / length, row, column, attributes.pixel_spacing, size)


def slice_distance(planes: Sequence[Plane], normal: np.ndarray) -> float | None:
    """Return the median distance of neighbouring slices along a normal, None for a single position."""
    places = np.unique(np.round([float(plane.position @ normal) for plane in planes], 3))
    return float(np.median(np.diff(places))) if len(places) > 1 else None


class LinkedGeometry:
    """The instances of a data set and what they name, on disk; then pair by pair whether they fit.

    `staging` holds a folder for each batch. All UIDs are new ones. Call `add_instances`, then `add_links`, then
    `add_metadata`, then `agreements`.
    """

    def __init__(self, database: sqlite3.Connection, staging: Path) -> None:
        self._database, self._staging = database, staging
        for table in (
            "instances (sop TEXT PRIMARY KEY, series TEXT, sop_class TEXT, path TEXT, frames INT, slice TEXT)",
            "frames_of_reference (sop TEXT, uid TEXT, PRIMARY KEY (sop, uid))",
        ):
            database.execute(f"CREATE TABLE {table} WITHOUT ROWID")
        database.execute("CREATE TABLE edges (sop TEXT, target TEXT, path TEXT, frames TEXT, from_frames TEXT)")
        # Before there are rows: an index over rows is sorted in memory.
        database.execute("CREATE INDEX instances_series ON instances (series)")
        database.execute("CREATE INDEX edges_sop ON edges (sop)")
        self._planes = lru_cache(4096)(self._read_planes)
        self._distance = lru_cache(256)(self._slice_distance)

    # ------------------------------------------------------------- what there is

    def add_instances(self, records: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Note the instances in staging: batch and record."""
        self._many(
            "INSERT OR IGNORE INTO instances VALUES (?,?,?,?,1,NULL)",
            (
                (row["sop_uid"], row["series_uid"], row["sop_class_uid"], f"{batch}/{row['staged_path']}")
                for batch, row in records
                if row["staged_path"]
            ),
        )

    def add_links(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Note what objects name that have to fit it, and the frames of reference of all; tell whether there are any."""
        some = False
        for part in _parts(rows):
            self._database.executemany(
                "INSERT OR IGNORE INTO frames_of_reference VALUES (?,?)",
                [(r["from_sop_uid"], r["to_uid"]) for r in part if r["kind"] == UidType.FRAME_OF_REFERENCE],
            )
            edges = [
                (r["from_sop_uid"], r["to_uid"], r["path"], *map(json.dumps, (r["frames"], r["from_frames"])))
                for r in part
                if r["kind"] == UidType.SOP and (r["frames"] or _has_to_fit(r["from_sop_class_uid"]))
            ]
            self._database.executemany("INSERT INTO edges VALUES (?,?,?,?,?)", edges)
            some |= bool(edges)
        return some

    def add_metadata(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Note frames, and the slices of single-frame instances, from their metadata."""

        def values() -> Iterator[tuple[int, str | None, str]]:
            for row in rows:
                frames = row.get("number_of_frames") or 1
                kept = json.dumps([row.get(name) for name in _SLICE]) if frames == 1 else None
                yield frames, kept, row["sop_instance_uid"]

        self._many("UPDATE instances SET frames = ?, slice = ? WHERE sop = ?", values())

    def _many(self, query: str, rows: Iterable[tuple]) -> None:
        for part in _parts(rows):
            self._database.executemany(query, part)

    def _one(self, query: str, *values: str) -> tuple:
        return self._database.execute(query, values).fetchone()

    # ------------------------------------------------------------- whether it fits

    def agreements(self) -> Iterator[LinkGeometry]:
        """Yield the verdict on each pair of a referring object and an instance that it names, sorted."""
        query = "SELECT sop, sop_class FROM instances i WHERE EXISTS (SELECT 1 FROM edges e WHERE e.sop = i.sop) ORDER BY sop"
        for sop, sop_class in self._database.execute(query):
            pairs: defaultdict[str, _Pair] = defaultdict(_Pair)
            targets = self._targets(sop)
            try:
                self._look_for_frames(sop, targets, pairs)
                if _has_to_fit(sop_class):
                    self._compare_frames_of_reference(sop, targets, pairs)
                if sop_class == RTSTRUCT:
                    self._compare_contours(sop, targets, pairs)
                elif sop_class in _IN_SLICES:
                    self._compare_slices(sop, targets, pairs)
            except UnreadableInstance:
                for target in targets:
                    pairs[target].reasons.add(Reason.UNREADABLE)
            for target in sorted(pairs):
                if (verdict := pairs[target].verdict(sop, target)) is not None:
                    yield verdict

    def _targets(self, sop: str) -> list[str]:
        """Return the instances in staging that an object names."""
        query = "SELECT DISTINCT e.target FROM edges e JOIN instances i ON i.sop = e.target WHERE e.sop = ? ORDER BY 1"
        return [target for (target,) in self._database.execute(query, (sop,)) if target != sop]

    def _look_for_frames(self, sop: str, targets: Sequence[str], pairs: Mapping[str, _Pair]) -> None:
        present = set(targets)
        query = "SELECT DISTINCT target, frames FROM edges WHERE sop = ? AND frames != '[]'"
        for target, frames in self._database.execute(query, (sop,)).fetchall():
            if target in present and not all(1 <= n <= self._frames(target) for n in json.loads(frames)):
                pairs[target].reasons.add(Reason.NO_SUCH_FRAME)

    def _compare_frames_of_reference(self, sop: str, targets: Sequence[str], pairs: Mapping[str, _Pair]) -> None:
        own = self._frames_of_reference(sop)
        for target in targets if own else ():
            if theirs := self._frames_of_reference(target):
                pairs[target].checked = True
                if not own & theirs:
                    pairs[target].reasons.add(Reason.FRAME_OF_REFERENCE)

    def _compare_contours(self, sop: str, targets: Sequence[str], pairs: Mapping[str, _Pair]) -> None:
        """Compare planar contours with the slices that they name, else with the nearest that the object names.

        A contour that cannot be read leaves those of its slices unchecked that it names, of those it does not name all.
        """
        there = [(uid, plane) for uid in targets for plane in self._usable(uid, pairs[uid])]
        places: defaultdict[str, list[int]] = defaultdict(list)
        for at, (uid, _) in enumerate(there):
            places[uid].append(at)
        normals = np.array([plane.normal for _, plane in there]).reshape(-1, 3)
        offsets = np.array([plane.position @ plane.normal for _, plane in there])
        (path,) = self._one("SELECT path FROM instances WHERE sop = ?", sop)
        for contour in contours(self._staging / path):
            if contour.broken:
                for uid in targets if not contour.images else set(targets).intersection(contour.images):
                    pairs[uid].reasons.add(Reason.UNREADABLE)
                continue
            named = sorted(at for uid in contour.images for at in places.get(uid, ()))
            if not named and (contour.images or not contour.planar):
                continue
            chosen = np.array(named) if named else np.arange(len(there))
            if not len(chosen):
                continue
            points = np.array(contour.points).reshape(-1, 3)
            distances = np.abs(points @ normals[chosen].T - offsets[chosen]).max(axis=0)
            nearest = int(np.argmin(distances))
            uid, plane = there[chosen[nearest]]
            pairs[uid].measure(float(distances[nearest]), self._half_slice(uid, plane))
            theirs = self._frames_of_reference(uid)
            if contour.frame_of_reference_uid and theirs and contour.frame_of_reference_uid not in theirs:
                pairs[uid].reasons.add(Reason.FRAME_OF_REFERENCE)

    def _compare_slices(self, sop: str, targets: Sequence[str], pairs: Mapping[str, _Pair]) -> None:
        """Compare frames with the slices that each names, else with the nearest of all that the object names."""
        own = self._planes(sop)
        for target in targets:
            self._usable(target, pairs[target])
        query = "SELECT target, path, frames, from_frames FROM edges WHERE sop = ? ORDER BY target, path, frames"
        named: defaultdict[int, dict[tuple[str, int], None]] = defaultdict(dict)
        others: dict[tuple[str, int], None] = {}
        present = set(targets)
        for target, path, frames, from_frames in self._database.execute(query, (sop,)).fetchall():
            if target not in present:
                continue
            count = self._frames(target)
            slices = [(target, n - 1) for n in json.loads(frames) or range(1, count + 1) if 1 <= n <= count]
            if _SOURCE_IMAGE in path:
                for number in json.loads(from_frames) or range(1, len(own) + 1):
                    named[number].update(dict.fromkeys(slices))
            else:
                others.update(dict.fromkeys(slices))
        for number, plane in enumerate(own, 1):
            near = [(uid, other) for uid, at in named.get(number) or others if (other := self._plane(uid, at))]
            if plane is not None and near:
                self._compare_slice(plane, near, pairs)
            for uid, _ in near if plane is None else ():
                pairs[uid].reasons.add(Reason.NO_POSITION)

    def _compare_slice(self, plane: Plane, near: Sequence[tuple[str, Plane]], pairs: Mapping[str, _Pair]) -> None:
        distances = [abs(float((plane.position - other.position) @ other.normal)) for _, other in near]
        nearest = int(np.argmin(distances))
        uid, other = near[nearest]
        pair = pairs[uid]
        if abs(plane.normal @ other.normal) < _cosine(ANGLE_TOLERANCE_DEG):
            pair.reasons.add(Reason.ORIENTATION)
            return
        pair.measure(distances[nearest], self._half_slice(uid, other))
        if _same_grid(plane, other):
            shift = plane.position - other.position
            limits = zip((other.row, other.column), reversed(other.spacing or ()), strict=True)
            if any(abs(float(shift @ along)) > step / 2 + ROUNDING_MM for along, step in limits):
                pair.reasons.add(Reason.IN_PLANE)

    # ------------------------------------------------------------- slices

    def _frames_of_reference(self, sop: str) -> set[str]:
        query = "SELECT uid FROM frames_of_reference WHERE sop = ?"
        return {uid for (uid,) in self._database.execute(query, (sop,))}

    def _frames(self, sop: str) -> int:
        return self._one("SELECT frames FROM instances WHERE sop = ?", sop)[0]

    def _usable(self, sop: str, pair: _Pair) -> tuple[Plane, ...]:
        planes = self._planes(sop)
        if None in planes:
            pair.reasons.add(Reason.NO_POSITION)
        return tuple(plane for plane in planes if plane is not None)

    def _plane(self, sop: str, frame: int) -> Plane | None:
        """Return the slice of a frame (0-based), None where it has none."""
        planes = self._planes(sop)
        return planes[frame] if frame < len(planes) else None

    def _read_planes(self, sop: str) -> tuple[Plane | None, ...]:
        """Return the slices of an instance, frame by frame; raises UnreadableInstance."""
        path, kept = self._one("SELECT path, slice FROM instances WHERE sop = ?", sop)
        if kept is None:
            return tuple(map(plane_of, slice_attributes(self._staging / path)))
        return (plane_of(SliceAttributes("", "", sop, **_kept_slice(kept))),)

    def _slice_distance(self, series: str, normal: tuple[float, ...]) -> float | None:
        along = np.array(normal)
        sops = self._database.execute("SELECT sop FROM instances WHERE series = ? ORDER BY sop", (series,)).fetchall()
        planes = (plane for (sop,) in sops for plane in self._planes(sop) if plane is not None)
        parallel = [plane for plane in planes if abs(plane.normal @ along) > _cosine(ANGLE_TOLERANCE_DEG)]
        return slice_distance(parallel, along)

    def _half_slice(self, sop: str, plane: Plane) -> float | None:
        """Return half the distance of slices in the series of an instance, else half its thickness."""
        series, kept = self._one("SELECT series, slice FROM instances WHERE sop = ?", sop)
        found = self._distance(series, tuple(np.round(plane.normal, 6).tolist()))
        if found is None and kept is not None:
            found = _kept_slice(kept)["slice_thickness"]
        return found / 2 if found else None


def _has_to_fit(sop_class: str) -> bool:
    return sop_class in _IN_SLICES or sop_class.startswith(_IN_ONE_FRAME)


def _kept_slice(text: str) -> dict[str, Any]:
    values = [tuple(value) if isinstance(value, list) else value for value in json.loads(text)]
    return dict(zip(_SLICE.values(), values, strict=True))


_SLICE = {  # column of the metadata -> SliceAttributes
    "image_position_patient": "position",
    "image_orientation_patient": "orientation",
    "pixel_spacing": "pixel_spacing",
    "rows": "rows",
    "columns": "columns",
    "slice_thickness": "slice_thickness",
}


def _same_grid(plane: Plane, other: Plane) -> bool:
    """Tell whether two slices have the same matrix, spacing and directions of rows and columns."""
    if plane.size != other.size or plane.spacing is None or other.spacing is None:
        return False
    along = min(float(plane.row @ other.row), float(plane.column @ other.column))
    close = all(abs(a - b) <= _SAME_SPACING * b for a, b in zip(plane.spacing, other.spacing, strict=True))
    return close and along > _cosine(ANGLE_TOLERANCE_DEG)


def _cosine(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def _parts(rows: Iterable[Any], size: int = 10_000) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while part := list(itertools.islice(iterator, size)):
        yield part
