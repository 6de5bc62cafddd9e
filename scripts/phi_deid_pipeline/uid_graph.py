"""What a batch says about UIDs: which identify something in the data set, below what, and which are referred to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from phi_deid_pipeline.records import InstanceEntry, Manifest, RejectedFile, UidType
from phi_deid_pipeline.uid_mapping import UidMapper, is_standard_uid

_HIERARCHY = frozenset({UidType.STUDY, UidType.SERIES, UidType.SOP})
_Key = tuple[str, str, str, str, bool]  # old UID, type, old parent, SOP class, identity


def uid_map_rows(manifest: Manifest, mapper: UidMapper) -> list[dict[str, Any]]:
    """Return the UIDs of a batch, one row for each old UID, role, parent, SOP class and identity, sorted.

    The parent of an instance is its series, of a series its study; other UIDs and references have none. A row with
    `identity` False stands for `reference_count` references to that UID.
    """
    counts: Counter[_Key] = Counter()
    for series in manifest.series:
        for instance in series.instances:
            counts.update(dict.fromkeys(_identities(instance), 0))
            for use in instance.uids:
                old = normal_uid(use.uid)
                if not old or is_standard_uid(old):
                    continue
                if not use.identity:
                    counts[old, use.uid_type.value, "", use.sop_class_uid, False] += 1
                elif use.uid_type not in _HIERARCHY:
                    counts[old, use.uid_type.value, "", "", True] += 0
    return _rows(counts, mapper)


def rejected_uid_rows(rejected: RejectedFile, mapper: UidMapper) -> list[dict[str, Any]]:
    """Return the UIDs that identify a rejected DICOM instance: it is in the data set, though never released."""
    return _rows(Counter(dict.fromkeys(_identities(rejected), 0)), mapper)


def _identities(instance: InstanceEntry | RejectedFile) -> Iterator[_Key]:
    study, series, sop = (normal_uid(uid) for uid in (instance.study_uid, instance.series_uid, instance.sop_uid))
    if study:
        yield study, UidType.STUDY.value, "", "", True
    if series:
        yield series, UidType.SERIES.value, study, "", True
    if sop:
        yield sop, UidType.SOP.value, series, instance.sop_class_uid, True


def normal_uid(uid: str) -> str:
    """Return a UID without blanks and NUL padding, as the mapper takes it."""
    return uid.strip("\x00 ")


def _rows(counts: Counter[_Key], mapper: UidMapper) -> list[dict[str, Any]]:
    return [
        {
            "old_uid": old,
            "new_uid": mapper.new_uid(old),
            "uid_type": uid_type,
            "parent_uid": parent,
            "parent_new_uid": mapper.new_uid(parent),
            "sop_class_uid": sop_class,
            "identity": identity,
            "reference_count": counts[old, uid_type, parent, sop_class, identity],
        }
        for old, uid_type, parent, sop_class, identity in sorted(counts)
        if not is_standard_uid(old)
    ]
