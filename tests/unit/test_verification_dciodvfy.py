"""Errors of dciodvfy: only the path and the kind of a message go on, and only those that the source has not."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from factories import ct_instance, write
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import InstanceFindings, Manifest, Residual, Status, VerificationRecord
from phi_deid_pipeline.verification_dciodvfy import new_errors, parsed, program, sampled, with_new_errors
from record_io import from_json
from unit.test_verification import record

LINES = """CTImage
Warning - </StudyDate(0008,0020)> - Missing attribute or value that would be needed to build DICOMDIR
Error - </PatientID(0010,0020)> - Missing attribute for Type 2 Required - Module=<Patient>
Error - </StudyDate(0008,0020)[1]> - Value invalid for this VR [DA] = <Anna> - Character invalid for this VR = 'A' (0x41)
Error - </ContentSequence(0040,a730)[5]/ReferencedSOPSequence(0008,1199)[1]/ReferencedFrameNumber(0008,1160)> - Shall not be
Error - </RequestAttributesSequence(0040,0275)[1]/(0019,1060,"ANNA (Lab)")[1]> - Empty attribute (no value) Type 1 = <x>
Error - Information Object Not found
Error - Anna Koehnlein has no such thing
"""


def test_of_a_message_only_path_and_kind_go_on() -> None:
    found = list(parsed(LINES))
    assert found == [
        ("00100020", "missing, Type 2"),
        ("00080020", "value does not fit the VR"),
        ("0040A730.00081199.00081160", "other error"),
        ("00400275.00191060", "empty, Type 1"),
        ("", "the program cannot read it"),
        ("", "other error"),
    ]
    assert "nna" not in repr(found)


@pytest.mark.parametrize(
    ("count", "share", "places"),
    [
        (5, "all", {0, 1, 2, 3, 4}),
        (5, "sample", {0, 2, 4}),
        (1, "sample", {0}),
        (0, "sample", set()),
        (5, "none", set()),
    ],
)
def test_share_of_a_series(count: int, share: str, places: set[int]) -> None:
    assert sampled(count, share) == places


def stand_in(folder: Path, body: str) -> list[str]:
    """Return the command of a program that answers by the name of the file it is given."""
    script = folder / "program"
    script.write_text(f"#!{sys.executable}\nimport sys, os\nname = os.path.basename(sys.argv[-1])\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return [str(script)]


def verdict() -> VerificationRecord:
    return VerificationRecord("1", "2", Status.RELEASED, "", ("opens",), ())


def test_error_that_the_source_has_too_is_none(tmp_path: Path) -> None:
    line = "Error - </PatientID(0010,0020)> - Missing attribute for Type 2 Required"
    command = stand_in(tmp_path, f"print({line!r})")
    assert new_errors(tmp_path / "after", tmp_path / "before", command) == ()
    found = with_new_errors(verdict(), tmp_path / "after", tmp_path / "before", record(), command)
    assert found == replace(verdict(), checks=("dciodvfy", "opens"))


def test_new_error_holds(tmp_path: Path) -> None:
    line = "Error - </PatientID(0010,0020)> - Missing attribute for Type 2 Required"
    command = stand_in(tmp_path, f"print({line!r} if name == 'after' else '')")
    found = with_new_errors(verdict(), tmp_path / "after", tmp_path / "before", record(), command)
    assert found.residuals == (Residual("dciodvfy", "00100020", "", "missing, Type 2"),)
    assert (found.status, found.reason) == (Status.HELD, "conformance")


ONLY_THE_RESULT = "print('Error - Information Object Not found' if name == 'before' else 'Error - </A(0010,0020)> - x')"


@pytest.mark.parametrize("body", ["os.kill(os.getpid(), 6)", ONLY_THE_RESULT])
def test_program_that_ends_early_says_nothing(tmp_path: Path, body: str) -> None:
    command = stand_in(tmp_path, body)
    assert with_new_errors(verdict(), tmp_path / "after", tmp_path / "before", record(), command) == verdict()


@pytest.mark.skipif(not program(), reason="dciodvfy is not installed")
def test_the_program_itself_finds_a_missing_attribute(tmp_path: Path) -> None:
    before, after, dataset = tmp_path / "before", tmp_path / "after", ct_instance(number=1)
    write(dataset, before, ExplicitVRLittleEndian)
    del dataset.Modality
    write(dataset, after, ExplicitVRLittleEndian)
    assert new_errors(before, before, [program()]) == ()
    found = new_errors(after, before, [program()])
    assert found is not None
    assert [(r.where, r.detail[:7]) for r in found] == [("00080060", "missing")]


@pytest.mark.parametrize(("share", "checked", "held"), [("all", 5, 5), ("sample", 2, 2), ("none", 0, 0), (None, 0, 0)])
def test_share_of_the_config_decides_which_instances_are_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str | None, checked: int, held: int
) -> None:
    source, private, staging = tmp_path / "source", tmp_path / "private", tmp_path / "staging"
    instances = sorted((ct_instance(number=number + 1) for number in range(5)), key=lambda ds: ds.SOPInstanceUID)
    instances[-1].ImageComments = "the last one"  # the first and middle one have equal layouts
    for number, instance in enumerate(instances):
        write(instance, source / f"{number}")
    # The stand-in finds an error in every file that is not of the source.
    line = "Error - </PatientSex(0010,0040)> - Missing attribute for Type 2 Required"
    program_folder = tmp_path / "bin"
    program_folder.mkdir()
    stand_in(program_folder, f"print({line!r} if {str(staging)!r} in sys.argv[-1] else '')")
    (program_folder / "program").rename(program_folder / "dciodvfy")
    monkeypatch.setenv("PATH", str(program_folder))
    salt, policy = bytes(32), load_policy("hipaa_safe_harbor").to_json()
    pipeline.scan_input(source, private, salt=salt, settings={}, patients={}, decisions=[], threads=1)
    manifest = from_json(next((private / "manifests").glob("*.json")).read_bytes(), Manifest)
    (series,) = manifest.series
    seen = [InstanceFindings(i.sop_uid, i.path, "read", "", 1, 1, (), ()) for i in series.instances]
    lexicons = {series.patient: (private / "lexicons" / f"{series.patient}.json").read_text(encoding="utf-8")}
    records = list(pipeline.deidentify_series(manifest, seen, lexicons, policy, salt, source, staging))
    uids = {row["old_uid"]: row["new_uid"] for row in pipeline.map_uids(manifest, salt)}
    settings = {} if share is None else {"dciodvfy": share}
    verdicts, _ = pipeline.verify_series(manifest, records, uids, lexicons, policy, source, staging, settings=settings)
    assert sum("dciodvfy" in verdict.checks for verdict in verdicts) == checked
    assert [v.reason for v in verdicts].count("conformance") == held
