"""The evaluation reads Table E.1-1 by itself, and reads what the file says."""

from __future__ import annotations

import json

from phi_deid_pipeline.evaluation_rules import RULES_FILE, load_table

TABLE = load_table()


def test_rows_are_those_of_the_file() -> None:
    content = json.loads(RULES_FILE.read_text(encoding="utf-8"))
    assert len(TABLE.rows) == len(content["table_e1_1"]) - 4
    assert TABLE.row(0x00100010).basic == "Z"
    assert TABLE.row(0x00081030).options == {"clean_descriptors"}
    assert TABLE.row(0x00280010) is None


def test_repeating_groups_have_their_rows() -> None:
    assert TABLE.row(0x60023000).keyword == "OverlayData"
    assert TABLE.row(0x60004000).keyword == "OverlayComments"
    assert TABLE.row(0x50003000).basic == "X"
    assert TABLE.row(0x60020010) is None


def test_options_are_claimed_by_their_codes() -> None:
    assert TABLE.claimed(["113100", "113105", "4711"]) == {"basic", "clean_descriptors"}


def test_safe_private_attributes_and_structural_uids_are_known() -> None:
    assert (0x7053, 0x00, "Philips PET Private Group") in TABLE.safe_private
    assert len(TABLE.safe_private) > 300
    assert 0x00080016 in TABLE.structural_uids
    assert 0x00080018 not in TABLE.structural_uids
