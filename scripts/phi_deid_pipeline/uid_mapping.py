"""Salted, deterministic, non-reversible UIDs and pseudonyms (PS3.15 E.1.1 items 2 and 5; PS3.5 B.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Container

from phi_deid_pipeline.expressions import Expression

SALT_BYTES = 32
HL7_SCHEME = Expression(r"2\.16\.840\.1\.113883\.[56]\.[0-9]{1,4}")
_DICOM_ROOT = "1.2.840.10008."
STANDARD_UID = Expression(r"1\.2\.840\.10008(\.[0-9]{1,4}){1,10}")


def derive_key(salt: bytes, purpose: str) -> bytes:
    """Return a 32-byte key for one purpose, so that no two uses of the salt share a key."""
    return hmac.new(salt, f"phi_deid_pipeline/{purpose}".encode(), hashlib.sha256).digest()


def salt_id(salt: bytes) -> str:
    """Return the public fingerprint of a salt: 16 hexadecimal digits that do not reveal it."""
    return derive_key(salt, "salt_id").hex()[:16]


def is_standard_uid(uid: str) -> bool:
    """Tell whether a UID is registered by DICOM itself (SOP classes, transfer syntaxes, well-known entities: PS3.6 A).

    These are short: a date, a time or a number of a device below the root of DICOM is somebody's own.
    """
    return STANDARD_UID.fullmatch(uid) is not None


def is_made_up(uid: str) -> bool:
    """Tell whether a UID stands below the root of DICOM and is none of its own: it names no class, and may hold a number."""
    return uid.startswith(_DICOM_ROOT) and not is_standard_uid(uid)


def names_definition(uid: str, registered: Container[str]) -> bool:
    """Tell whether a UID is one of DICOM, of a registered coding scheme or of those that HL7 registers, none of a site."""
    return is_standard_uid(uid) or uid in registered or HL7_SCHEME.fullmatch(uid) is not None


class UidMapper:
    """HMAC-SHA256 of the source UID under a key derived from the salt -> `2.25.<UUID version 8 as integer>`.

    Equal source UIDs give equal new UIDs in every file and run of that salt. Blanks and NUL padding are no part of a UID.
    """

    def __init__(self, salt: bytes) -> None:
        self._key = derive_key(salt, "uid")
        self._known: dict[str, str] = {}

    def new_uid(self, uid: str) -> str:
        """Return the new UID; a UID under the DICOM root and the empty string are returned as they are."""
        new = self._known.get(uid)
        if new is None:
            new = self._known[uid] = self._mapped(uid.strip("\x00 "))
        return new

    def _mapped(self, uid: str) -> str:
        if not uid or is_standard_uid(uid):
            return uid
        digest = bytearray(hmac.digest(self._key, uid.encode("utf-8", "surrogateescape"), "sha256")[:16])
        digest[6] = digest[6] & 0x0F | 0x80  # version 8: vendor-specific content (RFC 9562)
        digest[8] = digest[8] & 0x3F | 0x80
        return f"2.25.{int.from_bytes(digest, 'big')}"


class Pseudonyms:
    """Keyed pseudonyms of patients: the same key of a patient gives the same pseudonym under one salt."""

    def __init__(self, salt: bytes) -> None:
        self._key = derive_key(salt, "patient")

    def patient_id(self, patient_key: str) -> str:
        """Return `P` and 16 characters of base32 (80 bits) for a patient key."""
        digest = hmac.new(self._key, patient_key.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
        return "P" + base64.b32encode(digest[:10]).decode("ascii")
