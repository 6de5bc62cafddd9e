"""A site's own table of subjects: who it names, what a changed row runs again, who is missing from it."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from harness import NOT_ALL_RELEASED, PATIENT_RULES, Workplace, jobs

from sample_identity import BARNABY, OTTOLINE

pytestmark = pytest.mark.workflow

POLICY = "name: our_site\nextends: hipaa_safe_harbor\npseudonyms: table\n"
RERUN = [rule for rule in PATIENT_RULES if rule != "judge_burned_in_text"]


def table(path: Path, **pseudonyms: str) -> str:
    people = {"ottoline": OTTOLINE, "barnaby": BARNABY}
    rows = [f"{people[name].patient_id},{pseudonym}" for name, pseudonym in pseudonyms.items()]
    path.write_text("\n".join(["patient_id,pseudonym", *rows]) + "\n", encoding="utf-8")
    return str(path)


def named(place: Workplace) -> dict[str, str]:
    """Return {patient's new ID: new Patient's Name} of all released instances."""
    found = {}
    for path in sorted((place.newest() / "dicom").rglob("*.dcm")):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        found[ds.PatientID] = str(ds.PatientName)
    return found


def test_a_table_of_subjects_names_patients_and_a_changed_row_reruns_its_batches_alone(
    place: Workplace, tmp_path: Path
) -> None:
    policy = tmp_path / "our_site.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    site = ("--policy", str(policy))
    place.run(*site, "--subjects", table(tmp_path / "a.csv", ottoline="S-01", barnaby="S-02"))
    assert named(place) == {"S-01": "S-01", "S-02": "S-02"}
    assert place.run(*site).jobs == [], "the table is remembered"

    others = {
        batch
        for name, batch in place.batches().items()
        if pydicom.dcmread(next((place.source / name).rglob("*.dcm"))).PatientID == BARNABY.patient_id
    }
    assert others and len(others) < len(place.batches())
    run = place.run(*site, "--subjects", table(tmp_path / "b.csv", ottoline="S-01", barnaby="S-03"))
    assert run.jobs == jobs(others, RERUN)
    assert named(place) == {"S-01": "S-01", "S-03": "S-03"}

    place.run(*site, "--subjects", table(tmp_path / "c.csv", ottoline="S-01"), expect=NOT_ALL_RELEASED)
    assert named(place) == {"S-01": "S-01"}
    rows = [json.loads(line) for line in (place.output / "audits/deid/deid_audit.jsonl").read_bytes().splitlines()]
    rejected = [row for row in rows if row["status"] == "rejected"]
    assert rejected and {row["reason"] for row in rejected} == {"missing_subject"}
    logs = b"".join(path.read_bytes() for path in (place.output / "logs").rglob("*") if path.is_file())
    for secret in (OTTOLINE.patient_id, BARNABY.patient_id):
        assert secret.encode() not in logs
