"""The engine against a slow reference of the same rules on pydicom Datasets: on every file at hand, and on fuzzed ones."""

from __future__ import annotations

import logging
import random
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom._private_dict import private_dictionaries
from pydicom.dataset import Dataset

from deid_fuzz import damaged, fuzzed_instance
from deid_reference import Reference, Refused
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, InstanceResult, PatientContext
from phi_deid_pipeline.lexicon import Entry, Lexicon, harvest
from phi_deid_pipeline.policies import Action, Policy, Resolution, load_policy
from phi_deid_pipeline.raw_elements import parse_instance, read_instance
from phi_deid_pipeline.records import Category, RejectReason
from phi_deid_pipeline.uid_mapping import UidMapper
from phi_deid_pipeline.verification_bytes import read_layout

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
POLICIES = ["hipaa_safe_harbor", "ps3_15_basic", "research_longitudinal", "gdpr", "clinical_trial"]
OFFSET_DAYS = -7 * 100
UIDS = UidMapper(b"s" * 32)
# What pydicom itself cannot read to its end, by file name.
BEYOND_PYDICOM = {"GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm"}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep what pydicom logs of odd values out of the output of a failing test."""
    caplog.set_level(logging.CRITICAL, logger="pydicom")


@pytest.fixture(scope="module")
def policies() -> dict[str, Policy]:
    return {name: load_policy(name) for name in POLICIES}


@pytest.mark.parametrize("policy_name", POLICIES)
@pytest.mark.parametrize("root", [WHEEL, SHARED], ids=["wheel", "shared"])
def test_engine_and_reference_agree_on_every_instance(
    root: Path, policy_name: str, policies: dict[str, Policy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not root.is_dir():
        pytest.skip("shared data are not here")
    policy = policies[policy_name]
    engine = InstanceDeidentifier(policy, UIDS)
    outcomes: Counter[str] = Counter()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        outcomes[_outcome(engine, policy, path, tmp_path / "x")] += 1
    with capsys.disabled():
        print(f" {dict(sorted(outcomes.items()))}", end=" ")
    assert outcomes["agreed"] >= (150 if root == WHEEL else 850)
    assert outcomes["beyond pydicom"] <= 1


def _outcome(engine: InstanceDeidentifier, policy: Policy, path: Path, target: Path) -> str:
    try:
        with read_instance(path) as instance:
            lexicon = Lexicon(harvest(instance))
    except UnreadableInstance as error:
        return f"rejected: {error.reason}"
    if path.name in BEYOND_PYDICOM:
        deidentified(engine, path, lexicon, target)
        assert pydicom.dcmread(target).PatientIdentityRemoved == "YES"
        return "beyond pydicom"
    return agree(engine, policy, path, lexicon, target)


def agree(engine: InstanceDeidentifier, policy: Any, path: Path, lexicon: Lexicon, target: Path) -> str:
    """Compare engine and reference on one instance; return how it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = Reference(policy, UIDS.new_uid, lexicon, "PXYZ", OFFSET_DAYS)
        source = pydicom.dcmread(path, force=True)
        try:
            result = deidentified(engine, path, lexicon, target)
        except UnreadableInstance as error:
            if error.reason is RejectReason.CANNOT_CLEAN:
                with pytest.raises(Refused):
                    reference.apply(source)
            else:
                assert error.reason is RejectReason.MISSING_IDENTITY, path.name
                assert not source.get("SOPClassUID") or not source.get("SOPInstanceUID")
            return f"rejected: {error.reason}"
        expected = reference.apply(source)
        actual = pydicom.dcmread(target)
        assert_equal(expected, actual, path.name)
    # pydicom does not look into private values of unknown VR, the engine does.
    assert result.private_tags_stripped >= reference.private, path.name
    places = {".".join(f"{t:08X}" for t in place): count for place, count in reference.removed.items()}
    removed: Counter[str] = Counter()
    for row in result.removed:
        removed[row.path] += row.count
    assert removed == places, path.name
    return "agreed"


def deidentified(engine: InstanceDeidentifier, path: Path, lexicon: Lexicon, target: Path) -> InstanceResult:
    patient = PatientContext("PXYZ", lexicon, OFFSET_DAYS)
    with read_instance(path) as instance:
        return engine.deidentify(
            instance, target, patient, None, text_scan_found_nothing_left=False, redacted=False
        )  # fmt: skip


def assert_equal(expected: Dataset, actual: Dataset, where: str) -> None:
    assert sorted(map(int, expected.keys())) == list(map(int, actual.keys())), where
    for tag in sorted(map(int, expected.keys())):
        theirs, ours = expected[tag], actual[tag]
        place = f"{where} {ours.tag}"
        if ours.VR == "SQ":
            assert len(ours.value) == len(theirs.value), place
            for a, b in zip(theirs.value, ours.value, strict=True):
                assert_equal(a, b, place)
        else:
            assert _plain(ours.value) == _plain(theirs.value), f"{place} {ours.VR} {ours.value!r} {theirs.value!r}"


def _plain(value: Any) -> Any:
    if value is None or value == b"":
        return ""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        return [str(v).strip() for v in value] if len(value) else ""
    return str(value).strip()


# --------------------------------------------------------------------------- fuzzed instances

ACTIONS = [*Action, Action.KEEP, Action.KEEP]


@dataclass
class Whim:
    """A policy that does what it likes at each place, always the same at the same place; the rest is a real policy's."""

    policy: Policy
    seed: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def resolve(self, path: tuple[int, ...], vr: str, sop_class_uid: str, **conditions: str) -> Resolution:
        draw = zlib.crc32(f"{self.seed} {path[-1]} {vr}".encode())
        action = ACTIONS[draw % len(ACTIONS)]
        if action is Action.CLEAN and vr not in ("LO", "SH", "ST", "LT", "UT", "UC", "PN"):
            action = Action.KEEP if draw % 97 else action  # refused, and the instance with it
        if path[-1] in (0x00080005, 0x00080016) or (action is Action.UID and vr not in ("UI", "OB", "US")):
            action = Action.KEEP  # what all else depends on; and U is for UIDs
        code = "X/Z/D" if draw % 5 == 0 else str(action)
        return Resolution(code, action, "whim", "", (Action.ZERO, Action.DUMMY, Action.REMOVE)[draw % 3])


@pytest.fixture(scope="module", autouse=True)
def _safe_private_attributes_have_their_vr(policies: dict[str, Policy]) -> None:
    """Let pydicom know the VRs of Table E.3.10-1 as the policy does: it knows those of few creators, others are bytes to it."""
    for (group, low, creator), rule in policies["research_longitudinal"].safe_private.items():
        if len(rule.vr) == 2:
            private_dictionaries.setdefault(creator, {}).setdefault(
                f"{group:04X}xx{low:02X}", (rule.vr, "1", "Unknown", "")
            )


@pytest.mark.parametrize("policy_name", [*POLICIES, "whim"])
@pytest.mark.parametrize("block", range(4))
def test_engine_and_reference_agree_on_fuzzed_instances(
    block: int, policy_name: str, policies: dict[str, Policy], tmp_path: Path
) -> None:
    safe_harbor = policies["hipaa_safe_harbor"]
    policy = policies.get(policy_name) or Whim(safe_harbor, block)
    engine = InstanceDeidentifier(policy, UIDS)  # type: ignore[arg-type]
    safe = policies["research_longitudinal"].safe_private
    private = sorted((*place, rule.vr) for place, rule in safe.items() if len(rule.vr) == 2)
    known = {Entry(Category.NAME, "Quixotte^Marvin"), Entry(Category.RECORD_NUMBER, "MRN777123")}
    source, outcomes = tmp_path / "source", Counter[str]()
    for seed in range(block * 100, block * 100 + 100):
        source.write_bytes(fuzzed_instance(seed, sorted(safe_harbor.concepts), private))
        with read_instance(source) as instance:
            lexicon = Lexicon(harvest(instance) | known)
        try:
            outcomes[agree(engine, policy, source, lexicon, tmp_path / "x")] += 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert outcomes["agreed"] >= 60
    assert set(outcomes) <= {"agreed", "rejected: cannot_clean"}


# --------------------------------------------------------------------------- damaged instances


def test_damaged_instances_are_rejected_or_written_so_that_another_reader_parses_them(
    policies: dict[str, Policy], tmp_path: Path
) -> None:
    engine = InstanceDeidentifier(policies["hipaa_safe_harbor"], UIDS)
    rng, outcomes = random.Random(11), Counter[str]()
    small = [path.read_bytes() for path in sorted(WHEEL.rglob("*.dcm")) if path.stat().st_size < 40_000]
    for number in range(1000):
        whole = rng.choice(small) if number % 2 else fuzzed_instance(number)
        outcomes[_written_or_rejected(engine, damaged(whole, rng), tmp_path / "x")] += 1
    assert outcomes["written"] >= 100 and outcomes["rejected"] >= 100


def _written_or_rejected(engine: InstanceDeidentifier, data: bytes, target: Path) -> str:
    try:
        instance = parse_instance(data)
        engine.deidentify(
            instance, target, PatientContext("PXYZ", Lexicon(harvest(instance))), None,
            text_scan_found_nothing_left=False, redacted=False,
        )  # fmt: skip
    except UnreadableInstance:
        return "rejected"
    with read_layout(target) as layout:
        assert layout.trailing == 0 and layout.values
    return "written"
