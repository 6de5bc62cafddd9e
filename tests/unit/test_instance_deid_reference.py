"""The engine against a slow reference of the same rules on pydicom Datasets, on every file at hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from deid_reference import OutOfReference, Reference
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Lexicon, harvest
from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.uid_mapping import UidMapper

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
UIDS = UidMapper(b"s" * 32)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("policy_name", ["hipaa_safe_harbor", "ps3_15_basic"])
@pytest.mark.parametrize("root", [WHEEL, SHARED], ids=["wheel", "shared"])
def test_engine_and_reference_agree(root: Path, policy_name: str, tmp_path: Path) -> None:
    if not root.is_dir():
        pytest.skip("shared data are not here")
    policy = load_policy(policy_name)
    engine = InstanceDeidentifier(policy, UIDS)
    compared = 0
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        compared += _agree(engine, policy, path, tmp_path / "x")
    assert compared >= (150 if root == WHEEL else 800)


METHOD_TAGS = (0x00120062, 0x00120063, 0x00120064, 0x00280303)


def _agree(engine: InstanceDeidentifier, policy: Policy, path: Path, target: Path) -> bool:
    try:
        with read_instance(path) as instance:
            lexicon = Lexicon(harvest(instance))
            result = engine.deidentify(
                instance, target, PatientContext("PXYZ", lexicon), None,
                text_scan_found_nothing_left=False, redacted=False,
            )  # fmt: skip
    except UnreadableInstance:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = Reference(policy, UIDS.new_uid, lexicon, "PXYZ")
        try:
            expected = reference.apply(pydicom.dcmread(path, force=True))
        except OutOfReference:
            return False
        except (ValueError, TypeError, NotImplementedError, KeyError, AttributeError, OSError):
            return False  # pydicom itself cannot read it
        actual = pydicom.dcmread(target)
        for ds in (expected, actual):
            for tag in METHOD_TAGS:
                ds.pop(tag, None)
        assert_equal(expected, actual, path.name)
        # pydicom does not look into private values of unknown VR, the engine does.
        assert result.private_tags_stripped >= reference.private, path.name
    return True


def assert_equal(expected: Dataset, actual: Dataset, where: str) -> None:
    assert list(map(int, expected.keys())) == list(map(int, actual.keys())), where
    for ours, theirs in zip(actual, expected, strict=True):
        place = f"{where} {ours.tag}"
        if ours.VR == "SQ":
            assert len(ours.value) == len(theirs.value), place
            for a, b in zip(theirs.value, ours.value, strict=True):
                assert_equal(a, b, place)
        else:
            assert _plain(ours.value) == _plain(theirs.value), place


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        return [str(v).strip() for v in value] if len(value) else ""
    return str(value).strip()
