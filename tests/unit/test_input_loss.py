"""A file that went after the scan is rejected alone; an input that went as a whole ends the step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from factories import ct_instance, rgb_instance, write
from phi_deid_pipeline import pipeline
from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.input_loss import input_lost
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.records import DeidRecord, InstanceFindings, Manifest, RejectReason, Status, VerificationRecord
from record_io import from_json

SALT = bytes(range(32))
GONE = "cannot be read any more: look at the input folder"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of two folders of two files each."""
    for folder in "ab":
        for name in "12":
            path = tmp_path / "input" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    return tmp_path / "input"


LOSSES: dict[str, Callable[[Path], object]] = {
    "file deleted": lambda root: (root / "a" / "1").unlink(),
    "its folder deleted": lambda root: shutil.rmtree(root / "a"),
    "a folder in its place": lambda root: ((root / "a" / "1").unlink(), (root / "a" / "1").mkdir()),
    "neighbours empty, others whole": lambda root: ((root / "a" / "1").unlink(), (root / "a" / "2").write_bytes(b"")),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_file_that_went_alone_is_rejected(root: Path, loss: str) -> None:
    LOSSES[loss](root)
    assert input_lost(root / "a" / "1", root).reason is RejectReason.CHANGED_WHILE_READ


WHOLE: dict[str, Callable[[Path], object]] = {
    "root deleted": shutil.rmtree,
    "root empty, as a mount that is gone": lambda root: (shutil.rmtree(root), root.mkdir()),
    "folder empty, as a mount below the root": lambda root: (shutil.rmtree(root / "a"), (root / "a").mkdir()),
    "nothing else can be read": lambda root: [path.write_bytes(b"") for path in root.rglob("?") if path.is_file()],
}


@pytest.mark.parametrize("loss", WHOLE)
def test_trouble_that_may_be_of_the_whole_input_is_an_error(root: Path, loss: str) -> None:
    (root.parent / "beside the input").write_bytes(b"x")
    WHOLE[loss](root)
    with pytest.raises(DeidError, match=GONE) as caught:
        input_lost(root / "a" / "1", root)
    assert not isinstance(caught.value, UnreadableInstance)


class Steps:
    """The steps that read the input, on two series and a file beside one of them."""

    def __init__(self, folder: Path) -> None:
        self.source, self.private, self.staging = (folder / name for name in ("input", "private", "staging"))
        self.lost = write(rgb_instance(size=(64, 64)), self.source / "first" / "a")
        (self.source / "first" / "notes").write_text("no instance")
        write(ct_instance(), self.source / "second" / "b")
        settings = {"spread": 1}
        pipeline.scan_input(
            self.source, self.private, salt=SALT, settings=settings, patients={}, decisions=[], threads=1
        )
        self.manifests = [from_json(p.read_bytes(), Manifest) for p in sorted((self.private / "manifests").iterdir())]
        self.policy = load_policy("ps3_15_basic").to_json()
        self.lexicons = {one.stem: one.read_text() for one in (self.private / "lexicons").iterdir()}

    def read(self) -> list:
        return [
            row
            for manifest in self.manifests
            for row in pipeline.read_burned_in_text(manifest, self.source, {}, lambda key: None, lambda key, one: None)
        ]

    def judge(self) -> list[list[InstanceFindings]]:
        readings = self.read()
        return [
            list(pipeline.judge_burned_in_text(one, readings, self.lexicons, self.policy, [], SALT))
            for one in self.manifests
        ]

    def clean(self, found: list[list[InstanceFindings]]) -> dict[str, DeidRecord]:
        rows = zip(self.manifests, found, strict=True)
        return {
            record.input_path: record
            for manifest, seen in rows
            for record in pipeline.deidentify_series(
                manifest, seen, self.lexicons, self.policy, SALT, self.source, self.staging
            )
        }

    def verify(self, records: dict[str, DeidRecord]) -> dict[str, VerificationRecord]:
        found = {}
        for manifest in self.manifests:
            own = [records[i.path] for series in manifest.series for i in series.instances]
            uids = {row["old_uid"]: row["new_uid"] for row in pipeline.map_uids(manifest, SALT)}
            verdicts, _ = pipeline.verify_series(
                manifest, own, uids, self.lexicons, self.policy, self.source, self.staging
            )
            found |= {one.sop_uid: one for one in verdicts}
        return found

    def lose(self, *, whole: bool) -> None:
        if whole:
            shutil.rmtree(self.source)
            self.source.mkdir()
        else:
            self.lost.unlink()


@pytest.mark.parametrize("step", ["read", "clean"])
def test_instance_lost_before_a_step_is_rejected_and_the_others_go_on(tmp_path: Path, step: str) -> None:
    steps = Steps(tmp_path)
    found = steps.judge() if step == "clean" else []
    steps.lose(whole=False)
    records = steps.clean(found or steps.judge())
    assert (records["first/a"].status, records["first/a"].reason) == (Status.REJECTED, "changed_while_read")
    assert records["first/a"].staged_path == "" and records["second/b"].staged_path
    assert [path.name for path in steps.staging.rglob("*.dcm")] == [f"{records['second/b'].sop_uid}.dcm"]


def test_instance_lost_before_verification_is_rejected_and_the_others_go_on(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    records = steps.clean(steps.judge())
    steps.lose(whole=False)
    verdicts = steps.verify(records)
    lost, other = (verdicts[records[path].sop_uid] for path in ("first/a", "second/b"))
    assert (lost.status, lost.reason) == (Status.REJECTED, "changed_while_read")
    assert other.status is Status.RELEASED


def test_input_lost_as_a_whole_ends_every_step_that_reads_it(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    found = steps.judge()
    records = steps.clean(found)
    steps.lose(whole=True)
    for step in (steps.read, lambda: steps.clean(found), lambda: steps.verify(records)):
        with pytest.raises(DeidError, match=GONE) as caught:
            step()
        assert not isinstance(caught.value, UnreadableInstance)
