"""Scan, de-identification and verification together: who is named how, what is held for a face, what is rejected."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pydicom
import pytest

from factories import ct_instance, write
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import DeidRecord, InstanceFindings, Manifest, Status, StudySubject, VerificationRecord
from phi_deid_pipeline.subjects import SUBJECT_COLUMNS
from phi_deid_pipeline.uid_mapping import Pseudonyms
from record_io import from_json, read_jsonl
from sample_identity import OTTOLINE

SALT = bytes(range(32))
SHIFT = "options: [clean_descriptors, clean_pixel_data, retain_long_modified_dates, retain_patient_characteristics]"


def row(patient_id: str, pseudonym: str, **more: str) -> dict[str, str]:
    return {**dict.fromkeys(SUBJECT_COLUMNS, ""), "patient_id": patient_id, "pseudonym": pseudonym, **more}


class Site:
    """An input folder and what the steps make of it under one policy."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.root, self.private, self.folder = folder / "input", folder / "private", folder
        path = folder / "site.yaml"
        path.write_text(f"name: site\nextends: hipaa_safe_harbor\n{policy}\n", encoding="utf-8")
        self.policy = load_policy(path).to_json()

    def put(self, *patients: str, slices: int = 1, **attributes: Any) -> Site:
        for patient in patients:
            for number in range(slices):
                unique = f"1.2.3.{sum(map(ord, patient))}"
                ds = ct_instance(
                    number=number + 1, PatientID=patient, IssuerOfPatientID=None, StudyInstanceUID=unique, SeriesInstanceUID=f"{unique}.1",
                    SOPInstanceUID=f"{unique}.1.{number + 1}", **attributes,
                )  # fmt: skip
                ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
                write(ds, self.root / patient / f"{number}.dcm")
        return self

    def scan(self, salt: bytes = SALT, rows: list[dict[str, str]] | None = None) -> dict[str, Manifest]:
        pipeline.scan_input(
            self.root, self.private, salt=salt, settings={}, patients={}, decisions=[], threads=1,
            policy_json=self.policy, subjects=rows or [],
        )  # fmt: skip
        return {p.stem: from_json(p.read_bytes(), Manifest) for p in sorted((self.private / "manifests").iterdir())}

    def run(self, rows: list[dict[str, str]] | None = None) -> list[tuple[DeidRecord, VerificationRecord | None]]:
        ended = []
        for batch, manifest in self.scan(rows=rows).items():
            subjects = list(read_jsonl(self.private / "subjects" / f"{batch}.jsonl", StudySubject))
            seen = [
                InstanceFindings(i.sop_uid, i.path, "read", "", 1, 1, (), ())
                for series in manifest.series
                for i in series.instances
            ]
            lexicons = {p.stem: p.read_text() for p in (self.private / "lexicons").iterdir()}
            common = (self.policy,)
            records = list(
                pipeline.deidentify_series(
                    manifest, seen, lexicons, *common, SALT, self.root, self.folder / "staging", subjects=subjects
                )
            )
            uids = {r["old_uid"]: r["new_uid"] for r in pipeline.map_uids(manifest, SALT)}
            verdicts, _ = pipeline.verify_series(
                manifest, records, uids, lexicons, *common, self.root, self.folder / "staging", subjects=subjects
            )
            by_uid = {verdict.sop_uid: verdict for verdict in verdicts}
            ended += [(record, by_uid.get(record.sop_uid)) for record in records]
        return ended

    def written(self, record: DeidRecord) -> pydicom.Dataset:
        return pydicom.dcmread(self.folder / "staging" / record.staged_path)

    def side_files(self) -> dict[str, bytes]:
        paths = sorted((self.private / "subjects").iterdir())
        return {path.name: path.read_bytes() for path in paths}


def test_keyed_pseudonyms_come_from_the_salt_and_no_batch_is_told_anything(tmp_path: Path) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]").put("4711")
    ((record, verdict),) = site.run()
    assert record.patient == site.written(record).PatientID == Pseudonyms(SALT).patient_id("id:4711")
    assert set(site.side_files().values()) == {b""}
    assert not (tmp_path / "private" / "pseudonyms.json").exists()
    assert verdict.residuals == ()


def test_random_codes_are_kept_over_runs_and_all_else_is_the_same(tmp_path: Path) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]\npseudonyms: random").put("4711", "0815")
    first = {record.input_path: record for record, _ in site.run()}
    store = tmp_path / "private" / "pseudonyms.json"
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    before = (store.stat().st_mtime_ns, site.side_files())
    second = {record.input_path: record for record, _ in site.run()}
    assert first == second and before == (store.stat().st_mtime_ns, site.side_files())
    codes = {record.patient for record in first.values()}
    assert len(codes) == 2 and all(re.fullmatch(r"P[A-Z2-7]{16}", code) for code in codes)
    assert not codes & {Pseudonyms(SALT).patient_id("id:4711"), Pseudonyms(SALT).patient_id("id:0815")}
    site.put("1234")
    third = {record.input_path: record for record, _ in site.run()}
    assert {path: third[path] for path in first} == first
    assert before[1].items() <= site.side_files().items(), "a new patient changes nothing for the others"


def test_a_lost_table_of_codes_is_made_anew_and_told_to_the_batches(tmp_path: Path) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]\npseudonyms: random").put("4711")
    site.scan()
    before = site.side_files()
    (tmp_path / "private" / "pseudonyms.json").unlink()
    site.scan()
    assert site.side_files() != before


def test_a_missing_subject_rejects_the_patient_and_the_run_goes_on(tmp_path: Path) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]\npseudonyms: table").put("4711", "0815")
    ended = {
        record.input_path.split("/")[0]: (record, verdict) for record, verdict in site.run([row("4711", "S-0001")])
    }
    record, verdict = ended["0815"]
    assert (record.status, record.reason, record.staged_path, verdict) == (Status.REJECTED, "missing_subject", "", None)
    record, verdict = ended["4711"]
    assert (site.written(record).PatientID, str(site.written(record).PatientName)) == ("S-0001", "S-0001")
    assert verdict.residuals == ()
    before = site.side_files()
    site.scan(rows=[row("4711", "S-0001"), row("0815", "S-0002")])
    changed = [name for name, data in site.side_files().items() if before[name] != data]
    assert len(changed) == 1, "only the batch of the new row is worked on again"


def test_trial_attributes_are_written_and_pass_verification(tmp_path: Path) -> None:
    policy = "options: [clean_pixel_data]\npseudonyms: table\nclinical_trial: true"
    site = Site(tmp_path, policy).put("4711")
    subject = row("4711", "S-0001", name="Trial^One", sponsor_name="Otto Pharma", protocol_id="P-12", site_id="07")
    ((record, verdict),) = site.run([subject])
    ds = site.written(record)
    assert (ds.ClinicalTrialSponsorName, ds.ClinicalTrialProtocolID, ds.ClinicalTrialSiteID) == (
        "Otto Pharma",
        "P-12",
        "07",
    )
    assert (ds.ClinicalTrialSubjectID, str(ds.PatientName)) == ("S-0001", "Trial^One")
    assert verdict.residuals == ()


def test_a_table_that_gives_a_patient_the_own_name_is_found_out(tmp_path: Path) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]\npseudonyms: table").put("4711")
    ((record, verdict),) = site.run([row("4711", "S-0001", name=f"{OTTOLINE.family}^Anna")])
    assert str(site.written(record).PatientName).startswith(OTTOLINE.family)
    assert {residual.where for residual in verdict.residuals} == {"00100010"}
    assert verdict.status is Status.HELD


def test_all_dates_of_a_patient_move_alike_and_those_of_another_otherwise(tmp_path: Path) -> None:
    site = Site(tmp_path, SHIFT).put("4711", "0815", slices=2)
    days: dict[str, set[str]] = {}
    for record, verdict in site.run():
        assert verdict.residuals == ()
        ds = site.written(record)
        days.setdefault(record.input_path.split("/")[0], set()).update({ds.StudyDate, ds.SeriesDate, ds.ContentDate})
    source = ct_instance()
    assert len({source.StudyDate, source.SeriesDate, source.ContentDate}) == len(days["4711"]) == len(days["0815"])
    assert days["4711"].isdisjoint(days["0815"])


HEAD = {"BodyPartExamined": "HEAD", "SliceThickness": "1.0", "SpacingBetweenSlices": None}


@pytest.mark.parametrize(
    ("attributes", "slices", "face"),
    [
        ({}, 20, True),
        ({}, 19, False),
        ({"SliceThickness": "5"}, 20, False),
        (
            {"BodyPartExamined": "CHEST", "StudyDescription": "Chest", "SeriesDescription": "x", "ProtocolName": "x"},
            20,
            False,
        ),
    ],
)
@pytest.mark.parametrize("hold", [False, True])
def test_faces_are_flagged_and_held_where_the_policy_says_so(tmp_path: Path, attributes, slices, face, hold) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]" + ("\nhold: [recognizable_visual_features]" if hold else ""))
    sample = ct_instance()
    given = {k: v for k, v in (HEAD | attributes).items() if v is not None or k in sample}
    for record, _ in site.put("4711", slices=slices, **given).run():
        assert record.recognizable_visual_features is face
        held = ("recognizable_visual_features",) if face and hold else ()
        assert (record.hold, record.status) == (held, Status.HELD if held else Status.RELEASED)


def test_settings_of_faces_are_those_of_the_config(tmp_path: Path) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]").put("4711", slices=2, **{k: v for k, v in HEAD.items() if v})
    ((_, manifest),) = site.scan().items()
    seen = [InstanceFindings(i.sop_uid, i.path, "read", "", 1, 1, (), ()) for s in manifest.series for i in s.instances]
    lexicons = {p.stem: p.read_text() for p in (site.private / "lexicons").iterdir()}

    def flags(**faces: float) -> list[bool]:
        arguments = (manifest, seen, lexicons, site.policy, SALT, site.root, tmp_path / "staging")
        return [r.recognizable_visual_features for r in pipeline.deidentify_series(*arguments, faces=faces)]

    assert flags(max_slice_thickness_mm=1.0, min_slices=2) == [True, True]
    assert flags(max_slice_thickness_mm=0.9, min_slices=2) == [False, False]
    assert flags(max_slice_thickness_mm=1.0, min_slices=3) == [False, False]


def test_no_source_identity_is_in_the_table_of_codes_but_its_keys(tmp_path: Path) -> None:
    site = Site(tmp_path, "options: [clean_pixel_data]\npseudonyms: random").put("4711")
    site.scan()
    content = json.loads((tmp_path / "private" / "pseudonyms.json").read_text())
    assert content["pseudonyms"].keys() == {"id:4711"}
    assert OTTOLINE.family not in json.dumps(content)
