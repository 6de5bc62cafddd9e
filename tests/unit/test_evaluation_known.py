"""Known identifiers are found however they are written, and nothing else is."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.evaluation_findings import Severity
from phi_deid_pipeline.evaluation_known import Known

ENTRIES = [
    ("name", "Zimmerlin^Ottoline^Maeve"),
    ("person", "Okonjowa^Tobias^^Dr"),
    ("record_number", "MRN-77304419"),
    ("accession", "S12"),
    ("institution", "St Wendreda Infirmary"),
    ("birth_date", "19530817"),
    ("name", "Anonymous"),
    ("name", "Water^Zacharias"),
    ("record_number", "1234"),
    ("institution", "Info^info"),
    ("device", "0000200"),
    ("record_number", "12345678"),
    ("record_number", "710000"),
]
KNOWN = Known(ENTRIES, ["1.2.3.4.5"])


@pytest.mark.parametrize(
    ("text", "severity", "kind"),
    [
        ("maeve ottoline zimmerlin", Severity.CERTAIN, "known_name"),
        ("scan of ZIMMERLIN today", Severity.LIKELY, "known_name"),
        ("Tobias Okonjowa", Severity.CERTAIN, "known_person"),
        ("id mrn77304419", Severity.CERTAIN, "known_record_number"),
        ("MRN 77304419", Severity.CERTAIN, "known_record_number"),
        ("WENDREDA ST infirmary", Severity.CERTAIN, "known_institution"),
        ("born 17.08.1953", Severity.CERTAIN, "known_birth_date"),
        ("fat and water", Severity.POSSIBLE, "known_name"),
        ("zacharias", Severity.LIKELY, "known_name"),
        ("code 1234", Severity.POSSIBLE, "known_record_number"),
        ("0123456789", Severity.POSSIBLE, "known_record_number"),
        ("no 0000200", Severity.POSSIBLE, "known_device"),
        ("71-00-00", Severity.CERTAIN, "known_record_number"),
        ("Zimmérlin, Ottoline Maeve", Severity.CERTAIN, "known_name"),
    ],
)
def test_known_identifier_is_found(text: str, severity: Severity, kind: str) -> None:
    assert (severity, kind) in [(one.severity, one.kind) for one in KNOWN.search(text)]


@pytest.mark.parametrize(
    "text", ["", "CT chest", "S12", "anonymous", "infirmary", "16.08.1953", "mrn", "Zimmer", "710.000", "info"]
)
def test_other_text_is_not_found(text: str) -> None:
    assert KNOWN.search(text) == []


def test_short_number_says_why_it_is_not_certain_and_is_where_it_is_a_whole_value() -> None:
    (one,) = KNOWN.search("1234")
    assert (one.severity, "stand anywhere" in one.why) == (Severity.POSSIBLE, True)
    (one,) = KNOWN.search("1234", whole=True)
    assert (one.severity, one.kind) == (Severity.CERTAIN, "known_record_number")
    (one,) = KNOWN.search("room 1234", whole=True)
    assert one.severity is Severity.POSSIBLE
    (one,) = KNOWN.search("mrn 77304419")
    assert "stand anywhere" not in one.why


def test_known_uid_and_date_are_found_as_they_are() -> None:
    assert KNOWN.uid("1.2.3.4.5").kind == "known_uid"
    assert KNOWN.uid("1.2.3.4") is None
    assert KNOWN.date("1953.08.17").kind == "known_birth_date"
    assert KNOWN.date("19530818") is None


def test_nothing_known_is_false_and_finds_nothing() -> None:
    assert not Known()
    assert Known().search("Zimmerlin") == []
    assert Known(ENTRIES)
