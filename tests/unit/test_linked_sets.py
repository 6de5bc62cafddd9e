"""The linked sets of the public test data: as many references, found and dangling, as its table says."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from phi_deid_pipeline.input_files import read_file
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.link_geometry import LinkedGeometry
from phi_deid_pipeline.links import check_links, instance_links
from phi_deid_pipeline.metadata_extract import extract_metadata
from phi_deid_pipeline.pipeline import Ended
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import DeidRecord, InstanceEntry, LinkState, Status, UidType, UidUse
from phi_deid_pipeline.references import BeforeAfter, References, references
from phi_deid_pipeline.uid_mapping import UidMapper
from phi_deid_pipeline.verification_bytes import read_layout

UIDS = UidMapper(bytes(range(32)))
POLICY = load_policy("hipaa_safe_harbor")
STATES = {  # of links of an object that is released: nothing is lost; of one that is not: nothing was written
    Status.RELEASED: (LinkState.RESOLVED, LinkState.DANGLING, LinkState.DROPPED_BY_POLICY),
    Status.REJECTED: (LinkState.RESOLVED, LinkState.DANGLING, LinkState.NOT_WRITTEN),
}
STUDY_NAMED = "pydicom/test_files/rtstruct.dcm"


class Known:
    """An instance of the data set, released or rejected by what its header says."""

    def __init__(self, root: Path, path: str) -> None:
        facts = read_file(root, path.encode(), 64)
        self.study_uid, self.series_uid, self.sop_uid = facts.study_uid, facts.series_uid, facts.sop_uid
        self.status = Status.REJECTED if facts.reason else Status.RELEASED
        self.sop_class_uid, self.modality = facts.sop_class_uid, facts.modality
        self.uids = tuple(UidUse(uid, UidType(role), *rest) for uid, role, *rest in json.loads(facts.uids or "[]"))

    @property
    def ended(self) -> Ended:
        """Where it ends, under its new UIDs."""
        return Ended(*map(UIDS.new_uid, (self.study_uid, self.series_uid, self.sop_uid)), self.status)

    def links(self, path: Path, written: Path | None = None) -> list:
        """Return its links: of the file as it is, or de-identified to `written`, under new UIDs then."""
        own = (self.study_uid, self.series_uid, self.sop_uid)
        new = UIDS.new_uid if written else str
        entry = InstanceEntry(
            "a", 1, "", "p1", *own, self.sop_class_uid, "", self.modality, 1, 1, 1, True, uids=self.uids
        )
        record = DeidRecord(
            "a", "", self.sop_class_uid, self.modality, *own, *map(new, own), "P", self.status, "", "", "", "", "", "",
            "none", "",
        )  # fmt: skip
        seen = None
        if self.status is Status.RELEASED:
            before = found_references(path)
            after = found_references(deidentified(path, written)) if written else before
            seen = BeforeAfter(before, after)
        return instance_links(entry, record, seen, {use.uid: new(use.uid) for use in self.uids})


def found_references(path: Path) -> References:
    with read_layout(path) as layout:
        return references(layout)


def deidentified(path: Path, written: Path) -> Path:
    with read_instance(path) as instance:
        InstanceDeidentifier(POLICY, UIDS).deidentify(
            instance,
            written,
            PatientContext("P", Lexicon()),
            None,
            text_scan_found_nothing_left=False,
            redacted=False,
        )
    return written


@pytest.fixture(scope="module")
def collection(shared_data: Path) -> dict[str, Known]:
    with (shared_data / "index.tsv").open(encoding="utf-8", newline="") as table:
        paths = [row["path"] for row in csv.DictReader(table, delimiter="\t")]
    return {path: Known(shared_data, path) for path in paths}


def test_linked_sets_are_found_in_what_is_written_with_the_counts_of_their_table(
    shared_data: Path, collection: dict[str, Known], tmp_path: Path
) -> None:
    with (shared_data / "links.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert len(rows) > 50
    ended = [known.ended for known in collection.values()]
    found, expected = {}, {}
    for row in rows:
        edges = collection[row["path"]].links(shared_data / row["path"], tmp_path / "written.dcm")
        links = list(check_links(edges, ended))
        assert {link.state for link in links} <= {*STATES[collection[row["path"]].status]}
        states = {(link.to_uid, link.state) for link in links if link.kind is UidType.SOP}
        resolved = {uid for uid, state in states if state is LinkState.RESOLVED}
        dangling = {uid for uid, state in states if state is LinkState.DANGLING}
        found[row["path"]] = (len(resolved | dangling), len(resolved), len(dangling))
        expected[row["path"]] = tuple(
            int(row[name]) for name in ("referenced_instances", "found_in_collection", "dangling")
        )
    # The table counts this reference among those to instances; it names a study (RT Referenced Study Sequence).
    assert (found.pop(STUDY_NAMED), expected.pop(STUDY_NAMED)) == ((0, 0, 0), (1, 0, 1))
    assert found == expected
    edges = collection[STUDY_NAMED].links(shared_data / STUDY_NAMED, tmp_path / "written.dcm")
    states = {(link.kind, link.state) for link in check_links(edges, ended)}
    assert (UidType.STUDY, LinkState.DANGLING) in states


def test_geometry_of_the_linked_sets_fits_but_where_the_originals_do_not(
    shared_data: Path, collection: dict[str, Known]
) -> None:
    with (shared_data / "links.tsv").open(encoding="utf-8", newline="") as table:
        paths = [row["path"] for row in csv.DictReader(table, delimiter="\t")]
    rows = [
        {**asdict(row), "kind": row.kind.value, "from": path}
        for path in paths
        if collection[path].status is Status.RELEASED
        for row in collection[path].links(shared_data / path)
    ]
    by_uid = {known.sop_uid: path for path, known in collection.items() if known.status is Status.RELEASED}
    named = {by_uid[row["to_uid"]] for row in rows if row["to_uid"] in by_uid}
    staged = sorted({*named, *(row["from"] for row in rows)})
    rows += [
        {**asdict(row), "kind": row.kind.value}
        for path in sorted(named - {*paths})
        for row in collection[path].links(shared_data / path)
    ]
    records = [
        (
            shared_data.name,
            {
                "sop_uid": known.sop_uid,
                "series_uid": known.series_uid,
                "sop_class_uid": known.sop_class_uid,
                "staged_path": path,
            },
        )
        for path in staged
        if (known := collection[path])
    ]
    readable = [path for path in staged if (shared_data / path).read_bytes()[128:132] == b"DICM"]
    with closing(sqlite3.connect(":memory:")) as database:
        linked = LinkedGeometry(database, shared_data.parent)
        linked.add_instances(iter(records))
        assert linked.add_links(iter(rows))
        linked.add_metadata(extract_metadata(shared_data / path, path) for path in readable)
        found = list(linked.agreements())
    counts = Counter((by_uid[row.from_sop_uid].split("/")[0], row.agreement.value, row.reasons) for row in found)
    assert {key: counts[key] for key in counts if key[1] == "differs"} == {
        # Both were written with a frame of reference of their own; their slices fit.
        ("QuantitativeReporting", "differs", ("frame_of_reference_differs",)): 3,
        ("rt-utils", "differs", ("frame_of_reference_differs",)): 2,
    }
    assert {reasons for _, agreement, reasons in counts if agreement == "not_checked"} == {("no_position",)}
    assert sum(counts[key] for key in counts if key[1] == "agrees") >= 70
    assert max(row.off_plane_mm or 0.0 for row in found) < 0.01
