"""New UIDs are deterministic under a salt, valid, and tell nothing of the old ones."""

import re
import uuid

import pytest
from pydicom._uid_dict import UID_dictionary

from phi_deid_pipeline.uid_mapping import Pseudonyms, UidMapper, derive_key, is_standard_uid, salt_id

SALT, OTHER = b"a" * 32, b"b" * 32


def test_new_uid_is_a_version_8_uuid_under_2_25():
    new = UidMapper(SALT).new_uid("1.2.3")
    value = uuid.UUID(int=int(new.removeprefix("2.25.")))
    assert value.version == 8 and value.variant == uuid.RFC_4122
    assert re.fullmatch(r"2\.25\.[1-9]\d{0,38}", new)


def test_new_uid_is_pinned_so_that_reruns_in_years_agree():
    assert UidMapper(b"x" * 32).new_uid("1.2.3") == "2.25.154085548504719989672629659094996899375"
    assert Pseudonyms(b"x" * 32).patient_id("a") == "PAUDFDPXQM3TG23I5"


def test_padding_is_no_part_of_a_uid():
    mapper = UidMapper(SALT)
    assert mapper.new_uid("1.2.3\0") == mapper.new_uid("1.2.3 ") == mapper.new_uid("1.2.3")


def test_another_salt_gives_other_uids_and_pseudonyms():
    assert UidMapper(SALT).new_uid("1.2.3") != UidMapper(OTHER).new_uid("1.2.3")
    assert Pseudonyms(SALT).patient_id("k") != Pseudonyms(OTHER).patient_id("k")
    assert salt_id(SALT) != salt_id(OTHER)


def test_uids_of_dicom_itself_and_the_empty_value_stay():
    mapper = UidMapper(SALT)
    assert mapper.new_uid("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"
    assert mapper.new_uid("") == ""


@pytest.mark.parametrize("tail", ["20240102", "5.1.4.1.1.2.1325590842.123", "5.1.4.1.1.2.1.2.3.4.5.6.7"])
def test_uid_of_an_instance_made_below_the_dicom_root_is_replaced(tail):
    uid = f"1.2.840.10008.{tail}"
    assert not is_standard_uid(uid)
    assert UidMapper(SALT).new_uid(uid).startswith("2.25.")


def test_every_uid_that_dicom_registers_is_known_as_such():
    assert len(UID_dictionary) > 400 and all(map(is_standard_uid, UID_dictionary))


@pytest.mark.parametrize("text", ["1.2.840.10008.DOE^JANE", "1.2.840.100080.1", "1.2.840.10008.\u0661"])
def test_text_behind_the_dicom_root_does_not_pass(text):
    assert not is_standard_uid(text)
    assert UidMapper(SALT).new_uid(text).startswith("2.25.")


def test_no_two_purposes_share_a_key():
    keys = {derive_key(SALT, purpose) for purpose in ("uid", "patient", "salt_id", "audit_seal")}
    assert len(keys) == 4
