"""The conformance statement says of every key of a policy what it means (PS3.15 E.1.3)."""

from __future__ import annotations

import pytest

from phi_deid_pipeline.conformance import conformance_statement
from phi_deid_pipeline.policies import compile_policy, load_policy
from phi_deid_pipeline.policy_files import POLICIES_FOLDER, Override, PolicyFile


def _statement(*options: str, overrides: tuple[Override, ...] = (), **keys: object) -> str:
    policy = compile_policy(PolicyFile("mine", "", frozenset(options), "all_text", overrides, **keys))
    return " ".join(conformance_statement(policy, salt_id="0" * 16).split())


SHIFT, YEAR = "moves by one secret offset per patient", "DA becomes YYYY0101, DT becomes YYYY"
NOT_SAFE_HARBOR = "Shifted dates are never HIPAA Safe Harbor: they need an expert's determination"


@pytest.mark.parametrize(
    ("options", "keys", "said", "unsaid"),
    [
        ((), {}, "none is kept or shifted", SHIFT),
        (("retain_long_full_dates",), {}, "are kept in full", SHIFT),
        (("retain_long_modified_dates",), {}, SHIFT, YEAR),
        (("retain_long_modified_dates",), {}, "a whole number of weeks from one to ten years", YEAR),
        (("retain_long_modified_dates",), {}, NOT_SAFE_HARBOR, "are kept in full"),
        (
            ("retain_long_modified_dates",),
            {},
            "dates that many patients share (versions of published code lists, plates and",
            YEAR,
        ),
        (("retain_long_modified_dates",), {}, "There are 469 offsets (8.9 bits)", YEAR),
        (("retain_long_modified_dates",), {"dates": "year"}, "dates that many patients share", "469 offsets"),
        (("retain_long_modified_dates",), {"dates": "year"}, YEAR, SHIFT),
        (("retain_long_modified_dates",), {"dates": "year"}, "Birth dates and times and GPS time", NOT_SAFE_HARBOR),
        ((), {}, "80 bits of HMAC-SHA256", "a random code"),
        (
            (),
            {"pseudonyms": "random"},
            "not derived from information about the individual (45 CFR 164.514(c))",
            "80 bits",
        ),
        ((), {"pseudonyms": "table"}, "A patient who is not in the table is rejected.", "80 bits"),
        ((), {}, "above 89 years become 090Y", "no cap"),
        ((), {"max_age": 0}, "Ages have no cap", "090Y"),
        ((), {"pseudonyms": "table", "clinical_trial": True}, "point (0012,0050)", "80 bits"),
        ((), {"pseudonyms": "table"}, "## What is inserted", "(0012,0050)"),
        ((), {}, "are flagged and released", "are held until a person"),
        ((), {"hold": frozenset({"recognizable_visual_features"})}, "are held until a person", "flagged and released"),
        ((), {}, "Private attributes: none is kept.", "E.3.10-1"),
        (("retain_safe_private",), {}, "479 of Table E.3.10-1 of PS3.15 2026d", "none is kept."),
        (("retain_safe_private",), {}, "- `Philips Imaging DD 001`: 184", "none is kept."),
        (("retain_safe_private",), {}, "All private attributes but those named below", "- All private attributes, all"),
    ],
)
def test_every_key_is_explained(options, keys, said, unsaid):
    text = _statement(*options, **keys)
    assert said in text
    assert unsaid not in text


def test_overrides_stand_with_their_conditions_and_do_not_break_the_table():
    rows = (
        Override(0x00181020, "X", "site | software", "1.2.3", "CT", "ACME Corp"),
        Override(0x00190092, "K", "b-values", private_creator="ACME 1.0"),
    )
    policy = compile_policy(PolicyFile("mine", "", frozenset(), "all_text", rows))
    text = conformance_statement(policy, salt_id="0" * 16)
    assert "| (0018,1020) | X | 1.2.3 | CT | ACME Corp | site \\| software |\n" in text
    assert "| (0019,xx92) `ACME 1.0` | K | all | all | all | b-values |\n" in text
    assert "Private attributes that this site keeps, changes or removes by rows of its own: 1 (below)." in text
    assert "Private attributes: none is kept." not in text


@pytest.mark.parametrize("name", sorted(path.stem for path in POLICIES_FOLDER.glob("*.yaml")))
def test_statement_of_a_shipped_policy_names_its_codes_and_all_that_the_standard_asks_for(name):
    policy = load_policy(name)
    text = conformance_statement(policy, salt_id="0123456789abcdef")
    for value, scheme, meaning in policy.method_codes:
        assert f"- {meaning} ({value}, {scheme})" in text
    for heading in ("removed", "replaced, and how", "retained by option", "inserted"):
        assert f"## What is {heading}\n" in text
    for heading in ("How text, graphics and pixels are cleaned", "How dates are changed", "Deviations of this site"):
        assert f"## {heading}\n" in text
    assert f"Longitudinal Temporal Information Modified: {policy.longitudinal}" in text
    assert "Scope of consistency: one salt." in text
    assert "no Encrypted Attributes Sequence" in text
