"""Tables of a user are refused with line, column and what is allowed; their values stand in no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.policies import load_policy
from run_tables import decisions_table, patients_table, subjects_table

HEAD = "what,verdict,who,when,why\n"
ID = "00c0ffee0000"


def _decide(tmp_path: Path, row: str) -> bytes | None:
    (tmp_path / "decisions.csv").write_text(f"{HEAD}2.25.9,release,A,2026-01-01,seen\n{row}\n", encoding="utf-8")
    return decisions_table(tmp_path / "decisions.csv")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("Doe,release,A,2026-01-01,x", "line 3: what: release takes a new study, series or SOP Instance UID"),
        ("2.25.01,withhold,A,2026-01-01,x", "line 3: what: withhold takes"),
        ("2.25.1@00c0ffee0000,withhold,A,2026-01-01,x", "line 3: what: withhold takes"),
        ("2.25.1@00c0ffee,release,A,2026-01-01,x", "line 3: what: release takes"),
        (f"2.25.1#{ID},release,A,2026-01-01,x", "line 3: what: release takes"),
        ("2.25.1,hide,A,2026-01-01,x", "line 3: what: hide and keep take"),
        (f"2.25.{'1' * 60},release,A,2026-01-01,x", "line 3: what: release takes"),
        ("2.25.1,release,A,yesterday,x", "line 3: when: takes a day, YYYY-MM-DD"),
        ("2.25.1,release,A,02.03.2026,x", "line 3: when: takes a day, YYYY-MM-DD"),
        ("2.25.1,release,A,2026-02-30,x", "line 3: when: takes a day, YYYY-MM-DD"),
        ("2.25.1,release,A,20260301,x", "line 3: when: takes a day, YYYY-MM-DD"),
        ("2.25.1,allow,A,2026-01-01,x", "line 3: the verdict is one of hide, keep, release, withhold"),
    ],
)
def test_wrong_value_of_a_decision_is_refused_with_line_and_what_is_allowed(
    tmp_path: Path, row: str, told: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        _decide(tmp_path, row)
    assert told in str(refusal.value)
    assert "Doe" not in str(refusal.value)


@pytest.mark.parametrize(
    "row",
    [
        "2.25.1,withhold,A,2026-01-01,x",
        "1.2.840.0.1,release,A,2026-01-01T09:30,x",
        f"2.25.1@{ID},release,A,2026-01-01T09:30:15Z,x",
        f"2.25.1#{ID},hide,A,2026-01-01 09:30,x",
        f"2.25.1#{ID},keep,A,2024-02-29,x",
    ],
)
def test_right_decision_is_taken(tmp_path: Path, row: str) -> None:
    assert row.encode() in (_decide(tmp_path, row) or b"")


@pytest.mark.parametrize(("character", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_table_with_other_separators_is_refused_with_a_hint(tmp_path: Path, character: str, name: str) -> None:
    told = f"divided by {name}; save it with commas"
    table = tmp_path / "table.csv"
    table.write_text(HEAD.replace(",", character) + character.join(["2.25.1", "release", "A", "2026-01-01", "x"]))
    with pytest.raises(ConfigError, match=told):
        decisions_table(table)
    table.write_text("patient_id,issuer,person\nDoe,,one\n".replace(",", character))
    with pytest.raises(ConfigError, match=told) as refusal:
        patients_table(table)
    assert "Doe" not in str(refusal.value)
    table.write_text("patient_id,pseudonym\nDoe,S-1\n".replace(",", character))
    with pytest.raises(ConfigError, match=told):
        subjects_table(table, tmp_path / "kept", tmp_path / "patients", load_policy("gdpr"))


def test_table_that_is_no_utf8_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("patient_id,issuer,person\n", encoding="utf-16")
    with pytest.raises(ConfigError, match="save it as CSV in UTF-8"):
        patients_table(tmp_path / "table.csv")
