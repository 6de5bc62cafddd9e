"""Inventory: every file accounted for, batches for ever, nothing written without need, repair after a kill."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import pydicom.data
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from phi_deid_pipeline import input_files, inventory
from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.input_files import FileFacts, read_file, read_files, walk
from phi_deid_pipeline.inventory import InventorySettings, scan
from phi_deid_pipeline.records import Decision, RejectReason
from phi_deid_pipeline.side_files import SideFiles
from phi_deid_pipeline.subjects import patient_key_of
from phi_deid_pipeline.uid_mapping import UidMapper

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SALT = bytes(range(32))
CT = "1.2.840.10008.5.1.4.1.1.2"
VOLATILE = {"inventory.json", "inventory.sqlite"}


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def instance(patient: str, study: int, series: int, number: int, **more: object) -> Dataset:
    """A small CT instance; UIDs follow from the numbers. An attribute given as None is left out."""
    attributes = {
        "SOPClassUID": CT,
        "SOPInstanceUID": f"1.2.3.{study}.{series}.{number}",
        "StudyInstanceUID": f"1.2.3.{study}",
        "SeriesInstanceUID": f"1.2.3.{study}.{series}",
        "Modality": "CT",
        "PatientID": patient,
        "PatientName": f"Name{patient}^Given",
        "Rows": 2,
        "Columns": 3,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": bytes(12),
        **more,
    }
    return item(**{keyword: value for keyword, value in attributes.items() if value is not None})


def encode(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = getattr(dataset, "SOPClassUID", CT)
    meta.MediaStorageSOPInstanceUID = getattr(dataset, "SOPInstanceUID", "") or "1.2.3"
    dataset.file_meta = meta
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def put(root: Path, name: str, content: Dataset | bytes) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else encode(content))
    return path


def fill(root: Path, prefix: str = "") -> None:
    """Two patients, three series of two instances, a text file and a copy."""
    for patient, study, series in (("A", 1, 1), ("A", 1, 2), ("B", 2, 1)):
        for number in (1, 2):
            put(root, f"{prefix}{patient}/{series}/{number}", instance(patient, study, series, number))
    put(root, f"{prefix}notes.txt", b"no dicom at all")
    put(root, f"{prefix}Z/copy", instance("A", 1, 1, 1))


def run(root: Path, private: Path, threads: int = 1, **more: object):
    arguments = {"salt": SALT, "settings": InventorySettings(), "patients": {}, "decisions": [], **more}
    return scan(root, private, threads=threads, **arguments)  # type: ignore[arg-type]


def side_files(private: Path) -> dict[str, bytes]:
    names = (path.relative_to(private).as_posix() for path in sorted(private.rglob("*")) if path.is_file())
    return {name: (private / name).read_bytes() for name in names if name not in VOLATILE}


def times(private: Path) -> dict[str, int]:
    return {name: (private / name).stat().st_mtime_ns for name in side_files(private)}


def manifests(private: Path) -> list[dict]:
    return [json.loads(path.read_text("utf-8")) for path in sorted((private / "manifests").glob("*.json"))]


def instances(private: Path) -> list[dict]:
    return [i for manifest in manifests(private) for series in manifest["series"] for i in series["instances"]]


def rejected(private: Path) -> dict[str, tuple[str, str]]:
    rows = map(json.loads, (private / "rejected.jsonl").read_text("utf-8").splitlines())
    return {row["path"]: (row["reason"], row["detail"]) for row in rows}


def pathless(private: Path) -> list[dict]:
    """The manifests without what may differ between two places of the same input."""
    made = manifests(private)
    for manifest in made:
        for series in manifest["series"]:
            for row in series["instances"]:
                del row["path"]
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "input"
    fill(folder)
    return folder


@pytest.fixture
def private(tmp_path: Path) -> Path:
    return tmp_path / "private"


# --------------------------------------------------------------------------- what a scan says


def test_scan_accounts_for_every_file_once(root, private):
    summary = run(root, private)
    assert (summary.files, summary.dicom, summary.instances) == (8, 7, 6)
    assert summary.rejected == {"duplicate_identical": 1, "not_dicom": 1}
    assert (summary.patients, summary.studies, summary.series) == (2, 2, 3)
    assert (summary.read, summary.cached) == (8, 0)
    assert rejected(private) == {"Z/copy": ("duplicate_identical", ""), "notes.txt": ("not_dicom", "")}
    listed = [row["path"] for row in instances(private)] + list(rejected(private))
    assert sorted(listed) == sorted(path.decode() for path in (found.path for found in walk(root)))


def test_scan_writes_manifest_entries_with_identity_and_digest(root, private):
    run(root, private)
    data = (root / "B/1/2").read_bytes()
    entry = next(row for row in instances(private) if row["sop_uid"] == "1.2.3.2.1.2")
    assert {key: value for key, value in entry.items() if key != "uids"} == {
        "path": "B/1/2",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "patient": "p000002",
        "study_uid": "1.2.3.2",
        "series_uid": "1.2.3.2.1",
        "sop_uid": "1.2.3.2.1.2",
        "sop_class_uid": CT,
        "transfer_syntax_uid": str(ExplicitVRLittleEndian),
        "modality": "CT",
        "rows": 2,
        "columns": 3,
        "frames": 1,
        "has_pixels": True,
        "hold": [],
        "head": False,
        "slice_mm": 0.0,
    }
    series = next(s for m in manifests(private) for s in m["series"] if s["series_uid"] == "1.2.3.2.1")
    assert (series["patient"], series["patient_key"], series["rejected"]) == ("p000002", "id:B", 0)


def test_scan_lists_lexicons_by_patient_with_their_key(root, private):
    run(root, private)
    texts = {path.name: json.loads(path.read_text()) for path in (private / "lexicons").iterdir()}
    assert {name: text["patient_key"] for name, text in texts.items()} == {
        "p000001.json": "id:A",
        "p000002.json": "id:B",
    }
    assert texts["p000002.json"]["entries"] == [["name", "NameB^Given"], ["record_number", "B"]]


def test_scan_index_names_every_batch_with_counts_and_digest(root, private):
    run(root, private)
    head, *rows = [line.split("\t") for line in (private / "index.tsv").read_text().splitlines()]
    assert head == ["batch", "series", "instances", "frames", "work", "patients", "digest", "marked_by"]
    assert [row[0] for row in rows] == [manifest["batch"] for manifest in manifests(private)]
    assert sum(int(row[2]) for row in rows) == 6
    for row in rows:
        assert row[6] == hashlib.sha256((private / f"manifests/{row[0]}.json").read_bytes()).hexdigest()[:16]


def test_scan_writes_files_for_their_owner_alone(root, private):
    run(root, private)
    modes = {path.stat().st_mode & 0o777 for path in private.rglob("*") if path.is_file()}
    folders = {path.stat().st_mode & 0o777 for path in [private, *private.iterdir()] if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_scan_of_no_folder_is_refused(tmp_path, private):
    with pytest.raises(ConfigError, match="no folder"):
        run(tmp_path / "absent", private)


def test_scan_with_a_damaged_database_says_what_to_do(root, private):
    private.mkdir()
    (private / "inventory.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError, match="remove it and run again"):
        run(root, private)


# --------------------------------------------------------------------------- determinism and reruns


def test_scan_with_two_processes_gives_the_same_files_as_with_one(tmp_path):
    root = tmp_path / "input"
    for number in range(120):
        put(root, f"{number % 7}/{number}", instance(f"P{number % 5}", number % 11, number % 11, number))
    assert run(root, tmp_path / "one", threads=1).read == 120
    assert run(root, tmp_path / "two", threads=2).read == 120
    assert side_files(tmp_path / "one") == side_files(tmp_path / "two")


def test_scan_of_another_folder_order_and_prefix_gives_the_same_manifests_apart_from_paths(root, private, tmp_path):
    other = tmp_path / "elsewhere"
    fill(other, prefix="zz/deep/")
    (other / "zz/deep/B").rename(other / "0B")
    run(root, private)
    run(other, tmp_path / "private2")
    assert pathless(private) == pathless(tmp_path / "private2")
    assert (private / "lexicons/p000001.json").read_bytes() == (
        tmp_path / "private2/lexicons/p000001.json"
    ).read_bytes()


def test_rescan_reads_and_writes_nothing(root, private):
    run(root, private)
    before = times(private)
    summary = run(root, private)
    assert (summary.read, summary.cached) == (0, 8)
    assert times(private) == before


def test_rescan_after_touch_reads_the_file_and_writes_nothing(root, private):
    run(root, private)
    before = times(private)
    os.utime(root / "A/1/1", ns=(1, 1))
    assert run(root, private).read == 1
    assert times(private) == before
    assert run(root, private).read == 0


def test_rescan_after_an_edit_writes_the_manifest_of_that_series_alone(root, private):
    run(root, private)
    before = times(private)
    put(root, "A/2/1", instance("A", 1, 2, 1, WindowCenter="40"))
    assert run(root, private).read == 1
    changed = sorted(name for name, time in times(private).items() if before.get(name) != time)
    (batch,) = [m["batch"] for m in manifests(private) if any(s["series_uid"] == "1.2.3.1.2" for s in m["series"])]
    assert changed == ["index.tsv", f"manifests/{batch}.json"]


def test_rescan_sees_a_change_that_keeps_size_and_time(root, private):
    path = root / "A/2/1"
    run(root, private)
    status, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-12] + b"\x01" * 12)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(root, private).read == 1
    assert hashlib.sha256(path.read_bytes()).hexdigest() in {row["sha256"] for row in instances(private)}


def test_rescan_after_a_new_identifier_writes_the_lexicon_of_that_patient_alone(root, private):
    run(root, private)
    before = times(private)
    put(root, "A/2/1", instance("A", 1, 2, 1, AccessionNumber="ACC77"))
    run(root, private)
    changed = {name for name, time in times(private).items() if before.get(name) != time and "lexicons" in name}
    assert changed == {"lexicons/p000001.json"}
    assert ["accession", "ACC77"] in json.loads((private / "lexicons/p000001.json").read_text())["entries"]


def test_rescan_keeps_batches_of_old_series_and_numbers_new_ones_behind(root, private):
    run(root, private)
    old = {s["series_uid"]: m["batch"] for m in manifests(private) for s in m["series"]}
    before = times(private)
    put(root, "0/first", instance("0new", 0, 1, 1))
    run(root, private)
    now = {s["series_uid"]: (m["batch"], s["patient"]) for m in manifests(private) for s in m["series"]}
    assert {uid: now[uid][0] for uid in old} == old
    assert now["1.2.3.0.1"][0] == f"b{int(max(old.values())[1:]) + 1:06d}"
    assert now["1.2.3.0.1"][1] == "p000003"
    assert {name for name, time in before.items() if times(private)[name] != time} == {"index.tsv"}


def test_rescan_after_withdrawal_removes_what_is_empty_and_gives_the_batch_back_on_return(root, private):
    run(root, private)
    whole = side_files(private)
    shutil.move(root / "B", root.parent / "B")
    summary = run(root, private)
    assert (summary.instances, summary.series, summary.patients) == (4, 2, 1)
    gone = {name for name in whole if name not in side_files(private)}
    (batch,) = [
        m["batch"]
        for m in map(json.loads, (v for k, v in whole.items() if "manifests" in k))
        if m["series"][0]["patient"] == "p000002"
    ]
    assert gone == {
        f"manifests/{batch}.json",
        f"decisions/{batch}.jsonl",
        f"subjects/{batch}.jsonl",
        "lexicons/p000002.json",
    }
    shutil.move(root.parent / "B", root / "B")
    run(root, private)
    assert side_files(private) == whole


def test_rescan_repairs_side_files_that_were_deleted_changed_or_added(root, private):
    run(root, private)
    whole = side_files(private)
    name = next(name for name in whole if name.startswith("manifests/"))
    (private / name).write_bytes(b"{}")
    (private / "index.tsv").unlink()
    (private / "lexicons/p999999.json").write_bytes(b"{}")
    run(root, private)
    assert side_files(private) == whole


@pytest.mark.parametrize("writes", range(10))
def test_scan_killed_between_writes_is_repaired_by_the_next(root, private, tmp_path, writes):
    def die_after_writes():
        write, left = SideFiles.write_output, iter(range(writes))

        def dying(self, name, data):
            if next(left, None) is None:
                os._exit(9)
            write(self, name, data)

        SideFiles.write_output = dying
        run(root, private)

    child = get_context("fork").Process(target=die_after_writes)
    child.start()
    child.join()
    assert child.exitcode == 9
    run(root, private)
    run(root, tmp_path / "undisturbed")
    assert side_files(private) == side_files(tmp_path / "undisturbed")


def test_scan_killed_while_reading_keeps_what_was_read(root, private, tmp_path, monkeypatch):
    monkeypatch.setattr(inventory, "_FILES_PER_COMMIT", 32)
    for number in range(70):
        put(root, f"more/{number:03d}", instance("C", 3, 1, number))

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(root, private, progress=stop)
    assert run(root, private).read == 78 - 32
    run(root, tmp_path / "undisturbed")
    assert side_files(private) == side_files(tmp_path / "undisturbed")


def test_scan_reports_progress_up_to_the_total(root, private):
    seen = []
    run(root, private, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 8)]


# --------------------------------------------------------------------------- duplicates and decisions


def conflict(root: Path) -> list[str]:
    """Two contents under one SOP Instance UID, one of them twice; returns their hashes, sorted."""
    for name, created, pixel in (("1/a", "20200101", 1), ("1/b", "20200303", 2), ("2/b", "20200303", 2)):
        data = instance(
            "C", 3, 1, 1, InstanceCreationDate=created, InstanceCreationTime="1200", PixelData=bytes([pixel] * 12)
        )
        put(root, name, data)
    put(root, "other", instance("C", 3, 1, 2))
    return sorted({hashlib.sha256((root / name).read_bytes()).hexdigest() for name in ("1/a", "1/b")})


def test_conflicting_duplicates_are_all_rejected_and_leave_the_series_incomplete(tmp_path, private):
    conflict(tmp_path / "in")
    run(tmp_path / "in", private)
    fate = ("duplicate_conflict", "2 contents")
    assert rejected(private) == {"1/a": fate, "1/b": fate, "2/b": fate}
    ((series,),) = [manifest["series"] for manifest in manifests(private)]
    assert (len(series["instances"]), series["rejected"]) == (1, 3)


def test_duplicates_newest_takes_the_latest_creation(tmp_path, private):
    conflict(tmp_path / "in")
    run(tmp_path / "in", private, settings=InventorySettings(duplicates="newest"))
    assert rejected(private) == {"1/a": ("duplicate_not_chosen", ""), "2/b": ("duplicate_identical", "")}
    assert [series["rejected"] for m in manifests(private) for series in m["series"]] == [0]


def test_duplicates_lowest_hash_takes_it(tmp_path, private):
    hashes = conflict(tmp_path / "in")
    run(tmp_path / "in", private, settings=InventorySettings(duplicates="lowest_hash"))
    kept = {row["sha256"] for row in instances(private) if row["sop_uid"] == "1.2.3.3.1.1"}
    assert kept == {hashes[0]}


def test_a_decision_releases_the_content_that_it_names_and_its_withdrawal_holds_again(tmp_path, private):
    hashes = conflict(tmp_path / "in")
    what = f"{UidMapper(SALT).new_uid('1.2.3.3.1.1')}@{hashes[1][:12]}"
    run(tmp_path / "in", private, decisions=[Decision(what, "release", "me", "2020-01-01", "seen")])
    assert {row["sha256"] for row in instances(private) if row["sop_uid"] == "1.2.3.3.1.1"} == {hashes[1]}
    run(tmp_path / "in", private)
    assert [row["sop_uid"] for row in instances(private)] == ["1.2.3.3.1.2"]


def test_two_decisions_on_one_instance_release_neither(tmp_path, private):
    hashes = conflict(tmp_path / "in")
    new = UidMapper(SALT).new_uid("1.2.3.3.1.1")
    some = [Decision(f"{new}@{sha256[:12]}", "release", "me", "2020-01-01", "seen") for sha256 in hashes]
    run(tmp_path / "in", private, decisions=some)
    assert set(rejected(private).values()) == {("duplicate_conflict", "more than one decision")}


def test_one_sop_uid_under_two_patients_is_a_conflict(root, private):
    put(root, "stray", instance("X", 9, 9, 9, SOPInstanceUID="1.2.3.1.1.1"))
    run(root, private)
    assert {path for path, (reason, _) in rejected(private).items() if reason == "duplicate_conflict"} == {
        "A/1/1",
        "Z/copy",
        "stray",
    }


def test_decisions_on_findings_reach_the_batch_of_their_instance_alone(root, private):
    decision = Decision(f"{UidMapper(SALT).new_uid('1.2.3.2.1.1')}#0123456789ab", "hide", "me", "2020-01-01", "a name")
    run(root, private)
    before = times(private)
    run(root, private, decisions=[decision, Decision("1.2.3#0123456789ab", "keep", "me", "2020-01-01", "of nobody")])
    (batch,) = [m["batch"] for m in manifests(private) if m["series"][0]["patient"] == "p000002"]
    assert {name for name, time in times(private).items() if before[name] != time} == {f"decisions/{batch}.jsonl"}
    lines = (private / f"decisions/{batch}.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == [decision.what]


# --------------------------------------------------------------------------- patients


@pytest.mark.parametrize(
    ("patient_id", "issuer", "patients", "key"),
    [
        ("7", "", {}, "id:7"),
        ("7", "H", {}, "id:7\x1fH"),
        ("7", "H", {("7", "H"): "anna"}, "person:anna"),
        ("7", "H", {"7": "anna"}, "person:anna"),
        ("7", "H", {("7", "G"): "anna"}, "id:7\x1fH"),
        ("", "H", {}, "study:1.2"),
    ],
)
def test_patient_key_of(patient_id, issuer, patients, key):
    assert patient_key_of(patient_id, issuer, "1.2", patients) == key


def test_scan_joins_the_ids_of_one_person_and_parts_them_again(root, private):
    run(root, private)
    apart = {row["sop_uid"]: row["patient"] for row in instances(private)}
    summary = run(root, private, patients={("A", ""): "anna", ("B", ""): "anna"})
    assert (summary.patients, summary.instances, summary.read) == (1, 6, 0)
    assert {row["patient"] for row in instances(private)} == {"p000003"}
    entries = json.loads((private / "lexicons/p000003.json").read_text())["entries"]
    assert [value for category, value in entries if category == "record_number"] == ["A", "B"]
    run(root, private)
    assert {row["sop_uid"]: row["patient"] for row in instances(private)} == apart


def test_scan_without_patient_id_takes_each_study_as_a_person(tmp_path, private):
    for study in (1, 2):
        put(tmp_path / "in", str(study), instance("A", study, 1, 1, PatientID=None))
    run(tmp_path / "in", private)
    assert sorted(s["patient_key"] for m in manifests(private) for s in m["series"]) == [
        "study:1.2.3.1",
        "study:1.2.3.2",
    ]


def test_rejected_instances_add_to_the_lexicon_of_their_patient(root, private):
    put(root, "report", instance("A", 1, 9, 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.66", AccessionNumber="ACC99"))
    run(root, private)
    assert ["accession", "ACC99"] in json.loads((private / "lexicons/p000001.json").read_text())["entries"]


# --------------------------------------------------------------------------- rejected files


def archive(kind: str) -> bytes:
    buffer = BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as stream:
            stream.writestr("a", b"a")
        return buffer.getvalue()
    return gzip.compress(b"a") if kind == "gzip" else bytes(257) + b"ustar\x0000" + bytes(300)


REJECTED = {
    "empty": (b"", "empty", ""),
    "text": (b"plain text, nothing else", "not_dicom", ""),
    "zip": (archive("zip"), "archive", ""),
    "gzip": (archive("gzip"), "archive", ""),
    "tar": (archive("tar"), "archive", ""),
    "cut": (encode(instance("A", 1, 1, 1))[:-5], "truncated", None),
    "short pixels": (instance("A", 1, 1, 1, PixelData=bytes(10)), "truncated", "7FE00010: 10 of 12 bytes"),
    "no pixels where asked": (instance("A", 1, 1, 1, PixelData=b""), "truncated", "7FE00010: 0 of 12 bytes"),
    "private class": (
        instance("A", 1, 1, 1, SOPClassUID="1.3.12.2.1107.5.9.1"),
        "unsupported_sop_class",
        "private SOP class",
    ),
    "palette": (
        item(SOPClassUID="1.2.840.10008.5.1.4.39.1", SOPInstanceUID="1.2"),
        "unsupported_sop_class",
        "1.2.840.10008.5.1.4.39.1",
    ),
    "raw data": (instance("A", 1, 1, 1, SOPClassUID=f"{CT[:-2]}.66"), "unsupported_sop_class", f"{CT[:-2]}.66"),
    "voice": (instance("A", 1, 1, 1, SOPClassUID=f"{CT[:-2]}.9.4.1"), "unsupported_sop_class", f"{CT[:-2]}.9.4.1"),
    "no series": (instance("A", 1, 1, 1, SeriesInstanceUID=None), "missing_identity", "0020000E"),
    "empty sop uid": (instance("A", 1, 1, 1, SOPInstanceUID=""), "missing_identity", "00080018"),
    "long uid": (instance("A", 1, 1, 1, StudyInstanceUID="1." * 32 + "1"), "missing_identity", "0020000D"),
    "no uid": (instance("A", 1, 1, 1, StudyInstanceUID="1.2.x"), "missing_identity", "0020000D"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", REJECTED)
def test_a_file_that_cannot_be_used_is_rejected_with_its_reason(tmp_path, private, name):
    content, reason, detail = REJECTED[name]
    put(tmp_path / "in", "it", content)
    summary = run(tmp_path / "in", private)
    assert (summary.files, summary.instances, summary.rejected) == (1, 0, {reason: 1})
    (row,) = map(json.loads, (private / "rejected.jsonl").read_text().splitlines())
    assert row["what_to_do"] == RejectReason(reason).what_to_do
    assert row["is_dicom"] == (reason not in ("empty", "not_dicom", "archive"))
    assert detail is None or row["detail"] == detail


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("more", "rejections"),
    [
        pytest.param({"StudyInstanceUID": "1.02.003"}, 0, id="leading zeros of a UID"),
        pytest.param({"Rows": 1, "PixelData": bytes(6)}, 0, id="even pixels"),
        pytest.param(
            {
                "PhotometricInterpretation": "YBR_FULL_422",
                "SamplesPerPixel": 3,
                "BitsAllocated": 8,
                "Columns": 4,
                "PixelData": bytes(16),
            },
            0,
            id="subsampled colour",
        ),
        pytest.param({"BitsAllocated": 1, "NumberOfFrames": 3, "PixelData": bytes(4)}, 0, id="bits packed over frames"),
        pytest.param({"NumberOfFrames": 2}, 1, id="second frame missing"),
    ],
)
def test_pixel_length_and_uids_at_their_limits(tmp_path, private, more, rejections):
    put(tmp_path / "in", "it", instance("A", 1, 1, 1, **more))
    assert sum(run(tmp_path / "in", private).rejected.values()) == rejections


@pytest.mark.parametrize("tail", ["100", "102.1", "104", "108"])
def test_video_is_rejected_as_undecodable(tmp_path, private, tail):
    video = instance("A", 1, 1, 1, PixelData=None)
    syntax = UID(f"1.2.840.10008.1.2.4.{tail}")
    put(tmp_path / "in", "it", encode(video, syntax))
    run(tmp_path / "in", private)
    assert rejected(private) == {"it": ("pixels_undecodable", f"transfer syntax {syntax}")}


def test_nesting_beyond_the_limit_is_too_deep_and_a_new_limit_reads_again(tmp_path, private):
    inner = item(CodeValue="x")
    for _ in range(5):
        inner = item(ContentSequence=Sequence([inner]))
    put(tmp_path / "in", "it", instance("A", 1, 1, 1, ContentSequence=Sequence([inner])))
    run(tmp_path / "in", private, settings=InventorySettings(max_depth=4))
    assert rejected(private)["it"][0] == "too_deep"
    summary = run(tmp_path / "in", private, settings=InventorySettings(max_depth=32))
    assert (summary.read, summary.instances) == (1, 1)


def test_links_inside_count_as_files_and_links_outside_are_rejected(root, private, tmp_path):
    outside = put(tmp_path, "outside/file", instance("Z", 9, 9, 9))
    (root / "l_out").symlink_to(outside)
    (root / "l_outdir").symlink_to(outside.parent)
    (root / "l_loop").symlink_to(root)
    (root / "l_indir").symlink_to(root / "A")
    (root / "l_in").symlink_to(root / "B/1/1")
    (root / "l_broken").symlink_to(root / "nothing")
    (root / "l_self").symlink_to("l_self")
    summary = run(root, private)
    reasons = {path: reason for path, (reason, _) in rejected(private).items() if path.startswith("l_")}
    assert reasons == {
        "l_out": "outside_input",
        "l_outdir": "outside_input",
        "l_in": "duplicate_identical",
        "l_broken": "unreadable_file",
        "l_self": "unreadable_file",
    }
    assert (summary.files, summary.instances) == (13, 6)


def test_a_link_as_input_root_is_followed(root, private, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert run(tmp_path / "link", private).instances == 6


def test_names_that_are_no_text_are_kept_and_found_again(root, private):
    name = b"caf\xe9\nx"
    (Path(os.fsdecode(os.fsencode(root) + b"/" + name))).write_bytes(encode(instance("C", 5, 1, 1)))
    run(root, private)
    path = next(row["path"] for row in instances(private) if row["study_uid"] == "1.2.3.5")
    assert os.fsencode(path) == name
    assert run(root, private).read == 0


def test_a_named_pipe_is_reported_and_not_opened(root, private):
    os.mkfifo(root / "pipe")
    run(root, private)
    assert rejected(private)["pipe"] == ("unreadable_file", "no regular file")


def test_a_file_that_changes_while_it_is_read_is_rejected_and_tried_again(root, private, monkeypatch):
    identity = input_files._identity
    calls = []

    def changing(path):
        calls.append(path)
        size, mtime, ctime = identity(path)
        return size, mtime + (len(calls) if path.name == "2" and "B" in path.parts else 0), ctime

    monkeypatch.setattr(input_files, "_identity", changing)
    run(root, private)
    assert rejected(private)["B/1/2"] == ("changed_while_read", "")
    monkeypatch.setattr(input_files, "_identity", identity)
    summary = run(root, private)
    assert (summary.read, summary.instances) == (1, 6)


def test_a_file_that_kills_its_reader_costs_that_file_alone(tmp_path, monkeypatch):
    root = tmp_path / "in"
    for number in range(80):
        put(root, f"{number:03d}", instance("A", 1, 1, number))
    read = read_file

    def deadly(root, path, max_depth):
        if path == b"041":
            os._exit(7)
        return read(root, path, max_depth)

    monkeypatch.setattr(input_files, "read_file", deadly)
    paths = [found.path for found in walk(root)]
    tasks = (paths[start : start + 16] for start in range(0, 80, 16))
    facts = [fact for part in read_files(root, tasks, 32, 2, 80) for fact in part]
    assert sorted(fact.path for fact in facts) == paths
    assert {fact.path: fact.reason for fact in facts if fact.reason} == {b"041": "unreadable_file"}


# --------------------------------------------------------------------------- facts of one instance


def facts_of(tmp_path: Path, dataset: Dataset | bytes) -> FileFacts:
    put(tmp_path, "it", dataset)
    return read_file(tmp_path, b"it", 32)


def test_uid_uses_at_any_depth_with_role_path_and_class(tmp_path):
    reference = item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID="1.2.9.1")
    study = item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID="1.2.9")
    study.RTReferencedSeriesSequence = Sequence(
        [item(SeriesInstanceUID="1.2.9.5", ContourImageSequence=Sequence([reference]))]
    )
    frame = item(FrameOfReferenceUID="1.2.7", RTReferencedStudySequence=Sequence([study]))
    dataset = instance(
        "A",
        1,
        1,
        1,
        FrameOfReferenceUID="1.2.8",
        IrradiationEventUID=["1.2.6.1", "1.2.6.2"],
        InstanceCreatorUID="1.2.840.10008.1",
        ReferencedFrameOfReferenceSequence=Sequence([frame]),
    )
    block = dataset.private_block(0x0009, "ACME", create=True)
    block.add_new(1, "UI", "1.2.5")
    block.add_new(2, "SQ", Sequence([item(ReferencedSOPInstanceUID="1.2.4")]))
    block.add_new(3, "UI", ["1.2.840.99999.5.7", "1.2.3.1.1.1", "1.2.840.10008.1.2"])
    uses = json.loads(facts_of(tmp_path, dataset).uids)
    in_study = "30060010.30060012"
    assert uses == [
        ["1.2.3.1.1.1", "SOP", "00080018", True, ""],
        ["1.2.6.1", "IRRADIATION_EVENT", "00083010", False, ""],
        ["1.2.6.2", "IRRADIATION_EVENT", "00083010", False, ""],
        ["1.2.3.1", "STUDY", "0020000D", True, ""],
        ["1.2.3.1.1", "SERIES", "0020000E", True, ""],
        ["1.2.8", "FRAME_OF_REFERENCE", "00200052", True, ""],
        ["1.2.7", "FRAME_OF_REFERENCE", "30060010.00200052", False, ""],
        ["1.2.9", "STUDY", f"{in_study}.00081155", False, "1.2.840.10008.3.1.2.3.1"],
        ["1.2.9.5", "SERIES", f"{in_study}.30060014.0020000E", False, ""],
        ["1.2.9.1", "SOP", f"{in_study}.30060014.30060016.00081155", False, CT],
        ["1.2.4", "OTHER", "00091002.00081155", False, ""],
        ["1.2.840.99999.5.7", "OTHER", "00091003", False, ""],
    ]


@pytest.mark.parametrize(
    ("sop_class", "more", "hold"),
    [
        ("1.2.840.10008.5.1.4.1.1.77.1.4", {}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.77.1.5.1", {}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "XC"}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "xc"}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": " XC "}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "ES"}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7.4", {"Modality": "DMS"}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "OT", "BodyPartExamined": "face"}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "", "BodyPartExamined": "FACE"}, "photograph"),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "OT", "BodyPartExamined": "CHEST"}, ""),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "CT", "BodyPartExamined": "FACE"}, ""),
        ("1.2.840.10008.5.1.4.1.1.7", {"Modality": "SM"}, ""),
        (CT, {"BodyPartExamined": "FACE"}, ""),
        ("1.2.840.10008.5.1.4.1.1.77.1.6", {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}, "label_image"),
        ("1.2.840.10008.5.1.4.1.1.77.1.6", {"ImageType": ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"]}, "label_image"),
        ("1.2.840.10008.5.1.4.1.1.77.1.6", {"ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]}, ""),
        (CT, {}, ""),
    ],
)
def test_hold_reasons_that_the_header_shows(tmp_path, sop_class, more, hold):
    assert facts_of(tmp_path, instance("A", 1, 1, 1, SOPClassUID=sop_class, **more)).hold == hold


def test_digest_of_a_deflated_file_is_that_of_its_bytes(tmp_path):
    data = encode(instance("A", 1, 1, 1), DeflatedExplicitVRLittleEndian)
    facts = facts_of(tmp_path, data)
    assert (facts.reason, facts.sha256) == ("", hashlib.sha256(data).hexdigest())


# --------------------------------------------------------------------------- real files


def test_scan_accounts_for_every_file_of_pydicoms_wheel(private):
    root = Path(pydicom.data.__file__).parent / "test_files"
    check_real(root, private)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data beside the repository")
def test_scan_accounts_for_every_file_of_the_shared_data(private):
    check_real(SHARED, private)


def check_real(root: Path, private: Path) -> None:
    summary = run(root, private, threads=2)
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert sorted([row["path"] for row in instances(private)] + list(rejected(private))) == files
    assert summary.files == len(files) == summary.instances + sum(summary.rejected.values())
    assert summary.instances > 50
    for row in instances(private):
        assert hashlib.sha256((root / row["path"]).read_bytes()).hexdigest() == row["sha256"]
    before = times(private)
    assert run(root, private).read == 0
    assert times(private) == before


def test_another_reader_reads_all_files_again_and_writes_nothing_new(root, private, monkeypatch):
    run(root, private)
    before = times(private)
    monkeypatch.setattr(inventory, "READER", "another")
    assert run(root, private).read == 8
    assert times(private) == before


def test_the_scan_starts_without_pydicom() -> None:
    """A third of the time of a small scan was its import, for a version number."""
    code = "import sys; import phi_deid_pipeline.inventory; sys.exit(bool({'pydicom', 'numpy'} & {*sys.modules}))"
    scripts = Path(input_files.__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(scripts)}, check=False).returncode == 0
