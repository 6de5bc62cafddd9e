"""Releases: numbered, immutable, complete or absent; every change shows."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import jsonschema
import pytest

from audit_contracts import load_schema
from phi_deid_pipeline import releases
from phi_deid_pipeline.errors import AuditContractError, DeidError
from phi_deid_pipeline.releases import (
    Entry,
    ReleaseFile,
    build_release,
    list_releases,
    verify_release,
    verify_releases,
)
from phi_deid_pipeline.seal import file_sha256

SALT = b"s" * 32
INFO = {"policy": "hipaa_safe_harbor", "policy_digest": "d"}


def staged(tmp_path: Path, content: dict[str, str]) -> dict[str, Path]:
    """Write files to staging under a path of their own for each content, as a rerun batch does."""
    files = {}
    for name, text in content.items():
        path = tmp_path / "private" / "staging" / hashlib.sha256(text.encode()).hexdigest()[:8] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text)
        files[name] = path
    return files


A = {
    "dicom/2.25.1/2.25.2/2.25.3.dcm": "a",
    "dicom/2.25.1/2.25.2/2.25.4.dcm": "b",
    "dicom/2.25.1/2.25.5/2.25.6.dcm": "c",
}
DOC = {"policy.json": "{}", "audits/metadata_audit.parquet": "m"}


def listed(files, checksums=None):
    return [ReleaseFile(name, files[name], (checksums or {}).get(name, "")) for name in sorted(files)]


def build(tmp_path, content, info=INFO, checksums=None):
    return build_release(tmp_path, listed(staged(tmp_path, content), checksums), info=info, salt=SALT)


def manifest(path):
    return json.loads((path / "manifest.json").read_text())


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_first_release_holds_the_files_and_a_manifest_that_fits_its_schema(tmp_path):
    path = build(tmp_path, A | DOC)

    assert path == tmp_path / "releases" / "0001"
    assert tree(path) == sorted([*A, *DOC, "manifest.json"])
    content = manifest(path)
    jsonschema.Draft202012Validator(load_schema("release_manifest")).validate(content)
    assert content["files"]["policy.json"] == {"sha256": file_sha256(path / "policy.json"), "size": 2}
    assert sorted(content["files"]) == sorted([*A, *DOC])
    assert (content["parent"], content["added"], content["changed"], content["withdrawn"]) == (
        None, ["2.25.1/2.25.2", "2.25.1/2.25.5"], [], [],
    )  # fmt: skip
    assert (tmp_path / "release").readlink() == Path("releases/0001")
    assert verify_releases(tmp_path, SALT) == []


def test_instances_are_hard_links_others_copies_and_nothing_is_writable(tmp_path):
    files = staged(tmp_path, A | DOC)
    path = build_release(tmp_path, listed(files), info=INFO, salt=SALT)

    for name in A:
        assert (path / name).samefile(files[name])
    assert not (path / "policy.json").samefile(files["policy.json"])
    modes = {oct(entry.stat().st_mode & 0o777) for entry in path.rglob("*") if entry.is_file()}
    folders = {oct(entry.stat().st_mode & 0o777) for entry in [path, *path.rglob("*")] if entry.is_dir()}
    assert (modes, folders) == ({"0o444"}, {"0o755"})
    assert files["policy.json"].stat().st_mode & 0o200


def test_private_umask_does_not_close_the_release(tmp_path):
    before = os.umask(0o077)
    try:
        path = build(tmp_path, A)
    finally:
        os.umask(before)

    assert {entry.stat().st_mode & 0o777 for entry in [path, *path.rglob("*")] if entry.is_dir()} == {0o755}


def test_copies_are_made_where_links_are_not_possible(tmp_path, monkeypatch):
    def no_link(*_arguments):
        raise OSError(errno.EXDEV, "x")

    monkeypatch.setattr(releases.os, "link", no_link)
    files = staged(tmp_path, A)
    path = build_release(tmp_path, listed(files), info=INFO, salt=SALT)

    assert [(path / name).read_bytes() for name in A] == [b"a", b"b", b"c"]
    assert not any((path / name).samefile(files[name]) for name in A)


def test_same_content_makes_no_new_release(tmp_path):
    first = build(tmp_path, A | DOC)
    before = (first / "manifest.json").read_bytes()

    assert build(tmp_path, A | DOC) is None
    assert [path.name for path in sorted((tmp_path / "releases").iterdir())] == ["0001"]
    assert (first / "manifest.json").read_bytes() == before


def test_manifests_of_two_builds_differ_in_nothing_but_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "_now", lambda: "2024-01-01T00:00:00Z")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for folder in ("one", "two"):
        build(tmp_path / folder, A)
        build(tmp_path / folder, A | DOC)

    for number in ("0001", "0002"):
        one, two = (tmp_path / folder / "releases" / number / "manifest.json" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_time_is_no_part_of_seal_and_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "_now", lambda: "2024-01-01T00:00:00Z")
    first = manifest(build(tmp_path, A))
    monkeypatch.setattr(releases, "_now", lambda: "2025-01-01T00:00:00Z")
    (tmp_path / "other").mkdir()
    other = manifest(build(tmp_path / "other", A))

    assert first.pop("timestamp") != other.pop("timestamp")
    assert first == other


def test_next_release_names_what_was_added_changed_and_withdrawn(tmp_path):
    first = build(tmp_path, A)
    second = build(tmp_path, {"dicom/2.25.1/2.25.2/2.25.3.dcm": "other", "dicom/2.25.9/2.25.8/2.25.7.dcm": "new"})

    content = manifest(second)
    assert (second.name, content["added"], content["changed"], content["withdrawn"]) == (
        "0002", ["2.25.9/2.25.8"], ["2.25.1/2.25.2"], ["2.25.1/2.25.5"],
    )  # fmt: skip
    assert content["parent"]["release"] == "0001"
    assert tree(first) == sorted([*A, "manifest.json"])
    assert (tmp_path / "release").readlink() == Path("releases/0002")
    assert verify_releases(tmp_path, SALT) == []


def test_other_policy_makes_a_release_of_the_same_files(tmp_path):
    build(tmp_path, A)

    content = manifest(build(tmp_path, A, info={**INFO, "policy_digest": "e"}))
    assert (content["release"], content["changed"]) == ("0002", [])


def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    build(tmp_path, A)
    read = []
    monkeypatch.setattr(releases, "file_sha256", lambda path: read.append(path.name) or file_sha256(path))

    build(tmp_path, {**A, "dicom/2.25.1/2.25.5/2.25.7.dcm": "new"})
    assert read == ["2.25.7.dcm"]


def test_numbers_go_on_beyond_four_digits(tmp_path):
    build(tmp_path, A).rename(tmp_path / "releases" / "9999")

    assert build(tmp_path, DOC).name == "10000"
    assert build(tmp_path, A).name == "10001"


def test_file_that_is_not_what_was_verified_stops_the_release(tmp_path):
    name = next(iter(A))
    with pytest.raises(AuditContractError, match="not the bytes that were verified"):
        build(tmp_path, A, checksums={name: "0" * 64})

    assert list((tmp_path / "releases").iterdir()) == []
    assert not (tmp_path / "release").exists()


def test_verified_checksums_let_the_release_pass(tmp_path):
    files = staged(tmp_path, A)
    checksums = {name: file_sha256(path) for name, path in files.items()}

    assert build_release(tmp_path, listed(files, checksums), info=INFO, salt=SALT) is not None


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "manifest.json", "./x"])
def test_file_outside_the_release_is_refused(tmp_path, name):
    (tmp_path / "x").write_text("x")

    with pytest.raises(AuditContractError, match="no proper place"):
        build_release(tmp_path, [ReleaseFile(name, tmp_path / "x")], info=INFO, salt=SALT)


def test_interrupted_build_leaves_the_old_release_and_the_next_one_clears_up(tmp_path, monkeypatch):
    build(tmp_path, A)
    left = tmp_path / "releases" / ".building-0002"
    (left / "dicom").mkdir(parents=True)
    (left / "dicom" / "x.dcm").write_text("half")

    assert [entry["release"] for entry in list_releases(tmp_path)] == ["0001"]
    assert verify_releases(tmp_path, SALT) == []
    assert build(tmp_path, DOC).name == "0002"
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["0001", "0002"]
    assert tree(tmp_path / "releases" / "0002") == sorted([*DOC, "manifest.json"])


@pytest.mark.parametrize("step", ["_write_manifest", "_point_to"])
def test_interrupt_at_any_step_ends_in_the_same_after_a_rerun(tmp_path, monkeypatch, step):
    build(tmp_path, A)

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(releases, step, interrupt)
        build(tmp_path, DOC)
    assert (tmp_path / "release").readlink() == Path("releases/0001")

    build(tmp_path, DOC)
    assert (tmp_path / "release").readlink() == Path("releases/0002")
    assert sorted(path.name for path in (tmp_path / "releases").iterdir()) == ["0001", "0002"]
    assert verify_releases(tmp_path, SALT) == []


def test_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    build(tmp_path, A)

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "x", "/secret/path")

    monkeypatch.setattr(releases, "_write_manifest", full)
    with pytest.raises(DeidError, match="The output disk is full: make room and run again") as caught:
        build(tmp_path, DOC)

    assert "secret" not in str(caught.value)
    assert [path.name for path in (tmp_path / "releases").iterdir()] == ["0001"]


def test_missing_source_is_told_without_its_path(tmp_path):
    with pytest.raises(DeidError, match="ENOENT No such file or directory") as caught:
        build_release(tmp_path, [ReleaseFile("x", tmp_path / "SECRET")], info=INFO, salt=SALT)

    assert "SECRET" not in str(caught.value)


def test_folder_named_release_is_not_overwritten(tmp_path):
    (tmp_path / "release").mkdir()

    with pytest.raises(DeidError, match="is no link"):
        build(tmp_path, A)


def reopen(path):
    path.chmod(0o644)
    return path


def test_changed_missing_and_extra_files_are_found(tmp_path):
    path = build(tmp_path, A | DOC)
    first, second, third = sorted(A)
    reopen(path / first).write_text("x")
    (path / second).unlink()
    (path / "extra").write_text("x")
    (path / third).unlink()
    (path / third).symlink_to(path / "policy.json")

    assert verify_release(path, SALT) == [
        "Release 0001: 1 file that its manifest does not name",
        f"Release 0001: {first} was changed",
        f"Release 0001: {second} is missing",
        f"Release 0001: {third} was changed",
    ]


def change_manifest(path, change):
    content = manifest(path)
    change(content)
    files = content.pop("files")
    (path / "manifest.json").unlink()
    releases._write_manifest(path, content, entries(files))


def entries(files):
    return [Entry(name, entry["sha256"], entry["size"]) for name, entry in files.items()]


def test_file_changed_together_with_its_sum_is_found_by_the_digest(tmp_path):
    path = build(tmp_path, DOC)
    reopen(path / "policy.json").write_text("x")
    change_manifest(
        path, lambda content: content["files"]["policy.json"].update(sha256=file_sha256(path / "policy.json"))
    )

    assert verify_release(path) == ["Release 0001: the manifest does not match its own digest"]


def test_rebuilt_manifest_is_found_with_the_salt(tmp_path):
    path = build(tmp_path, DOC)

    def forge(content):
        content["info"]["policy"] = "none"
        content["content_digest"] = releases._content_digest(content["info"], entries(content["files"]))

    change_manifest(path, forge)
    assert verify_release(path) == []
    assert verify_release(path, SALT) == ["Release 0001 manifest.json: the seal does not match its content"]


def test_release_put_in_place_of_an_older_one_breaks_the_line(tmp_path):
    build(tmp_path, DOC)
    build(tmp_path, A)
    change_manifest(tmp_path / "releases" / "0001", lambda content: content.update(added=["2.25.99"]))

    assert verify_releases(tmp_path) == ["Release 0002: it does not follow release 0001 as that is now"]


def test_damaged_manifest_is_told_and_stops_the_next_release(tmp_path):
    path = build(tmp_path, A)
    reopen(path / "manifest.json").write_text("SECRET")

    told = "Release 0001: its manifest is missing or damaged; restore it."
    assert verify_releases(tmp_path) == [told]
    with pytest.raises(AuditContractError, match="missing or damaged"):
        build(tmp_path, DOC)


def test_link_to_an_older_release_is_told_and_mended_by_the_next_run(tmp_path):
    build(tmp_path, A)
    build(tmp_path, DOC)
    (tmp_path / "release").unlink()
    (tmp_path / "release").symlink_to("releases/0001")

    assert verify_releases(tmp_path) == ["`release` does not point to the newest release"]
    assert build(tmp_path, DOC) is None
    assert verify_releases(tmp_path) == []


def test_list_tells_what_changed_and_which_is_current(tmp_path):
    assert list_releases(tmp_path) == []
    build(tmp_path, A)
    build(tmp_path, DOC)

    listed = list_releases(tmp_path)
    names = ("release", "current", "files", "bytes", "series_added", "series_changed", "series_withdrawn", "info")
    assert [tuple(entry[name] for name in names) for entry in listed] == [
        ("0001", False, 3, 3, 2, 0, 0, INFO),
        ("0002", True, 2, 3, 0, 0, 2, INFO),
    ]
    json.dumps(listed)


def test_release_of_nothing_is_possible_when_everything_was_withdrawn(tmp_path):
    build(tmp_path, A)

    path = build(tmp_path, {})
    assert manifest(path)["withdrawn"] == ["2.25.1/2.25.2", "2.25.1/2.25.5"]
    assert verify_releases(tmp_path, SALT) == []


def test_series_under_two_studies_is_two_as_it_is_for_the_summary(tmp_path):
    first = manifest(build(tmp_path, {f"dicom/2.25.{study}/2.25.2/2.25.3.dcm": "a" for study in (1, 4)}))
    assert (first["added"], first["changed"], first["withdrawn"]) == (["2.25.1/2.25.2", "2.25.4/2.25.2"], [], [])
    one = manifest(build(tmp_path, {"dicom/2.25.1/2.25.2/2.25.3.dcm": "a"}))
    assert (one["added"], one["changed"], one["withdrawn"]) == ([], [], ["2.25.4/2.25.2"])
    moved = manifest(build(tmp_path, {"dicom/2.25.7/2.25.2/2.25.3.dcm": "a"}))
    assert (moved["added"], moved["changed"], moved["withdrawn"]) == (["2.25.7/2.25.2"], [], ["2.25.1/2.25.2"])


def test_release_of_the_former_schema_is_read_and_followed(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(releases, "SCHEMA", "release_manifest/1")
        build(tmp_path, A)
    assert manifest(build(tmp_path, DOC))["withdrawn"] == ["2.25.1/2.25.2", "2.25.1/2.25.5"]
    assert verify_releases(tmp_path, SALT) == []
    assert [entry["series_added"] for entry in list_releases(tmp_path)] == [2, 0]


def test_studies_whose_uids_begin_alike_keep_their_series_apart(tmp_path):
    names = [f"dicom/{study}/{series}/1.dcm" for study in ("2.25.1", "2.25.1.5", "2.25.10") for series in ("1", "1.2")]
    build(tmp_path, {f"{name}": name for name in names})
    content = manifest(build(tmp_path, {name: "x" if "2.25.1.5/1/" in name else name for name in names}))

    assert (content["added"], content["changed"], content["withdrawn"]) == ([], ["2.25.1.5/1"], [])
    assert verify_releases(tmp_path, SALT) == []


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a")])
def test_files_out_of_order_or_twice_are_refused(tmp_path, names):
    (tmp_path / "x").write_text("x")

    with pytest.raises(AuditContractError, match="twice or out of order"):
        build_release(tmp_path, [ReleaseFile(name, tmp_path / "x") for name in names], info=INFO, salt=SALT)


@pytest.mark.parametrize("damage", [lambda text: text[:-4], lambda text: text.replace('"size"', '"length"')])
def test_manifest_whose_list_is_damaged_is_told_and_stops_the_next_release(tmp_path, damage):
    path = build(tmp_path, A)
    text = (path / "manifest.json").read_text()
    reopen(path / "manifest.json").write_text(damage(text))

    assert verify_releases(tmp_path) == ["Release 0001: its manifest is damaged; restore or delete it."]
    with pytest.raises(AuditContractError, match="is damaged"):
        build(tmp_path, DOC)
    assert [entry.name for entry in (tmp_path / "releases").iterdir()] == ["0001"]
