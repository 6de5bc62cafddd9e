"""Places, names of the local copy, and what is refused before a byte is moved; the rest runs against a server."""

from __future__ import annotations

import pytest

from object_storage import Place, check_apart, is_storage, local_name, parse_place
from phi_deid_pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("s3://scans", Place("scans", "")),
        ("s3://scans/", Place("scans", "")),
        ("s3://scans/2026/ct", Place("scans", "2026/ct/")),
        ("s3://scans/2026/ct//", Place("scans", "2026/ct/")),
    ],
)
def test_a_place_is_a_bucket_and_a_prefix(text: str, place: Place) -> None:
    assert is_storage(text)
    assert parse_place(text) == place


@pytest.mark.parametrize("text", ["s3://", "s3:///ct", "/data/ct", "https://scans/ct"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="BUCKET"):
        parse_place(text)


def test_keys_that_no_folder_can_hold_get_names_of_their_own_inside_the_copy() -> None:
    keys = ["a/b.dcm", "../etc/b", "a//b", "a/./b", "a/%2E%/b", "a/%2E%25%/b", "x" * 300, "a/" + "x" * 299 + "y"]
    names = [local_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert names[0] == keys[0]
    assert all(part not in ("", ".", "..") and len(part) <= 210 for name in names for part in name.split("/"))


def test_private_files_never_go_where_a_release_goes() -> None:
    check_apart({"input": Place("in", ""), "publish": Place("out", "open/"), "archive": Place("out", "closed/")})
    for places in (
        {"publish": Place("out", ""), "archive": Place("out", "closed/")},
        {"publish": Place("out", "a/"), "archive": Place("out", "a/")},
        {"input": Place("in", ""), "publish": Place("in", "results/")},
    ):
        with pytest.raises(ConfigError, match="overlap"):
            check_apart(places)
