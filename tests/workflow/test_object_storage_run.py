"""Input and releases in object storage, against a real server of the S3 API on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import pytest
from harness import ONE_BATCH, Workplace, assert_same_results

pytest.importorskip("boto3", reason="storage.lock is not installed: make storage")
server = pytest.importorskip("moto.server", reason="moto is not installed: make dev-env")

import boto3  # noqa: E402

import factories  # noqa: E402
from object_storage import ATTEMPTS, DIGEST, Place, Storage, StorageError, archive, copy_input, publish  # noqa: E402
from phi_deid_pipeline.errors import ConfigError  # noqa: E402

pytestmark = pytest.mark.workflow

OPEN, CLOSED = Place("open-data", "study/"), Place("hospital-private", "study/")
USAGE, FAILED = 2, 1
LARGE = 9 << 20  # bytes: from 8 MiB on boto3 sends in parts, and then the ETag is no MD5


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def client(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    """Return a client with three empty buckets; the environment names server and credentials."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint,
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    made = boto3.client("s3")
    for bucket in ("scans", OPEN.bucket, CLOSED.bucket):
        with contextlib.suppress(made.exceptions.BucketAlreadyOwnedByYou):
            made.create_bucket(Bucket=bucket)
        for row in made.list_objects_v2(Bucket=bucket).get("Contents", []):
            made.delete_object(Bucket=bucket, Key=row["Key"])
    return made


def keys(client, bucket: str) -> list[str]:
    return [row["Key"] for row in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def fill(client, folder: Path) -> None:
    for path in sorted(folder.rglob("*.dcm")):
        client.put_object(Bucket="scans", Key=f"ct/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())


def test_a_run_from_and_to_buckets_gives_the_same_bytes_and_sees_every_change(
    client, finished: Workplace, fresh: Callable[[str], Workplace], salt_file: Path, tmp_path: Path
) -> None:
    fill(client, finished.source)
    place = fresh("s3")
    source, place.source = place.source, "s3://scans/ct"
    places = (
        "--publish",
        "s3://open-data/study",
        "--archive",
        "s3://hospital-private/study",
        "--path-style",
        *ONE_BATCH,
    )
    place.run("--salt-file", str(salt_file), *places)
    assert_same_results(place, finished)
    number = place.newest().name
    sent = keys(client, OPEN.bucket)
    assert sorted(sent) == sorted(f"study/{number}/{name}" for name in harness.content(place.newest()))
    private = keys(client, CLOSED.bucket)
    assert "study/audits/deid/deid_audit.jsonl" in private
    assert [key for key in private if "salt" in key.split("/")[-1] and not key.endswith("salt_id")] == []
    assert place.run(*places).jobs == []
    victim = sorted(source.rglob("*.dcm"))[0].relative_to(source).as_posix()
    client.delete_object(Bucket="scans", Key=f"ct/{victim}")
    factories.write(harness.second_series(3), tmp_path / "IM3.dcm")
    client.put_object(Bucket="scans", Key="ct/second/IM3.dcm", Body=(tmp_path / "IM3.dcm").read_bytes())
    assert place.run(*places).jobs != []
    copied = harness.content(place.output / "private" / "source")
    assert harness.differing(copied, harness.content(source)) == sorted([victim, "second/IM3.dcm"])
    before, after = (harness.content(one.newest() / "dicom") for one in (finished, place))
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1
    assert all(before[name] == after[name] for name in before.keys() & after.keys())
    assert (
        len([key for key in keys(client, OPEN.bucket) if key.endswith("/manifest.json")]) == len(place.releases()) == 2
    )


def test_odd_keys_are_all_copied_and_what_is_gone_is_deleted(client, tmp_path: Path) -> None:
    odd = ["a", "a/b", "a//c", "../d", "e/./f", "g%", "h/" + "x" * 250]
    for key in odd:
        client.put_object(Bucket="scans", Key=f"odd/{key}", Body=key.encode())
    client.put_object(Bucket="scans", Key="odd/folder/", Body=b"")
    folder, record = tmp_path / "copy", tmp_path / "source.json"
    folder.mkdir()
    assert copy_input(Storage(), Place("scans", "odd/"), folder, record) == {"listed": 7, "fetched": 7, "deleted": 0}
    assert sorted(path.read_text() for path in folder.rglob("*") if path.is_file()) == sorted(odd)
    assert sorted(tmp_path.iterdir()) == [folder, record]
    for key in odd[2:]:
        client.delete_object(Bucket="scans", Key=f"odd/{key}")
    client.put_object(Bucket="scans", Key="odd/a", Body=b"A")
    assert copy_input(Storage(), Place("scans", "odd/"), folder, record) == {"listed": 2, "fetched": 1, "deleted": 5}
    assert sorted(path.read_bytes() for path in folder.rglob("*") if path.is_file()) == [b"A", b"a/b"]


class Cutter:
    """A server that passes everything on to another, but cuts the first answers short, or what is sent to it."""

    def __init__(self, endpoint: str, cuts: int, uploads: bool = False) -> None:
        self.target = (endpoint.split("//")[1].split(":")[0], int(endpoint.rsplit(":", 1)[1]))
        self.cuts, self.uploads, self.socket = cuts, uploads, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                near, _ = self.socket.accept()
                threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(self.target) as far:
            threading.Thread(target=self._pump, args=(near, far, self.uploads), daemon=True).start()
            self._pump(far, near, not self.uploads)

    def _pump(self, source: socket.socket, target: socket.socket, cut: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if cut and len(data) > 3000 and self.cuts > 0:
                    self.cuts -= 1
                    target.sendall(data[:1500])
                    for end in (source, target):  # closing alone would leave them waiting: a thread still reads
                        end.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)


@pytest.mark.parametrize(("cuts", "comes"), [(2, True), (1000, False)], ids=["twice", "always"])
def test_a_broken_transfer_is_tried_again_and_never_leaves_half_a_file(
    client, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: int, comes: bool
) -> None:
    client.put_object(Bucket="scans", Key="large/one.dcm", Body=bytes(range(256)) * 400)
    cutter = Cutter(endpoint, cuts)
    monkeypatch.setenv("AWS_ENDPOINT_URL", cutter.url)
    folder = tmp_path / "copy"
    folder.mkdir()
    attempt = (Storage(path_style=True), Place("scans", "large/"), folder, tmp_path / "source.json")
    if comes:
        assert copy_input(*attempt)["fetched"] == 1
        assert (folder / "one.dcm").read_bytes() == bytes(range(256)) * 400
        assert cutter.cuts == 0
    else:
        with pytest.raises(StorageError, match="run again"):
            copy_input(*attempt)
        assert list(folder.rglob("*")) == []
        assert 1000 - cutter.cuts >= ATTEMPTS


@pytest.mark.parametrize(("cuts", "goes"), [(2, True), (1000, False)], ids=["twice", "always"])
def test_a_broken_upload_is_tried_again_and_never_leaves_half_an_object(
    client, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: int, goes: bool
) -> None:
    (tmp_path / "one").write_bytes(bytes(range(256)) * 400)
    cutter = Cutter(endpoint, cuts, uploads=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", cutter.url)
    storage = Storage(path_style=True)
    if goes:
        storage.send(tmp_path / "one", OPEN, "one")
        assert client.get_object(Bucket=OPEN.bucket, Key="study/one")["Body"].read() == bytes(range(256)) * 400
        assert cutter.cuts == 0
    else:
        with pytest.raises(StorageError, match="run again"):
            storage.send(tmp_path / "one", OPEN, "one")
        assert keys(client, OPEN.bucket) == []
        assert 1000 - cutter.cuts >= ATTEMPTS


def test_a_release_is_complete_only_when_its_manifest_is_there(
    client, finished: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Storage):
        left = 3

        def send(self, source: Path, place: Place, key: str) -> None:
            if self.left == 0:
                raise StorageError("no more")
            Failing.left -= 1
            super().send(source, place, key)

    with pytest.raises(StorageError):
        publish(Failing(), finished.newest(), OPEN)
    there = keys(client, OPEN.bucket)
    assert 0 < len(there) <= 3
    assert not [key for key in there if key.endswith("manifest.json")]
    total = len(harness.content(finished.newest()))
    assert publish(Storage(), finished.newest(), OPEN) == total - len(there)
    assert len(keys(client, OPEN.bucket)) == total
    assert publish(Storage(), finished.newest(), OPEN) == 0


def test_salt_and_copy_of_the_input_are_not_archived(client, finished: Workplace, tmp_path: Path) -> None:
    output = harness.copy_tree(finished.output, tmp_path / "output")
    (output / "private" / "source").mkdir()
    (output / "private" / "source" / "one.dcm").write_bytes(b"secret")
    (output / "private" / "salt.0").write_bytes(b"former")
    assert archive(Storage(), output, CLOSED)["sent"] > 20
    names = {key.removeprefix(CLOSED.prefix) for key in keys(client, CLOSED.bucket)}
    assert {"private/salt", "private/salt.0", "private/source/one.dcm", "private/input"} & names == set()
    assert {name.split("/")[0] for name in names} == {"audits", "private"}


def written(client, place: Place) -> dict[str, object]:
    """Return when each object of a place was written."""
    rows = client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix).get("Contents", [])
    return {row["Key"].removeprefix(place.prefix): (row["LastModified"], row["ETag"]) for row in rows}


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a release with a file that is sent in parts."""
    release = tmp_path / "0001"
    release.mkdir()
    (release / "large.nii").write_bytes(os.urandom(LARGE))
    (release / "small").write_bytes(b"small")
    (release / "manifest.json").write_bytes(b'{"release": "0001"}')
    return release


def test_a_complete_release_is_left_as_it_is_whatever_its_size(client, large: Path) -> None:
    (large / "manifest.json").write_bytes(os.urandom(LARGE))
    assert publish(Storage(), large, OPEN) == 3
    before = written(client, OPEN)
    assert "-" in before["0001/large.nii"][1] and "-" in before["0001/manifest.json"][1]
    assert publish(Storage(), large, OPEN) == 0
    assert written(client, OPEN) == before


def test_another_release_of_the_same_number_is_refused_and_the_one_there_stays_complete(client, large: Path) -> None:
    publish(Storage(), large, OPEN)
    before = written(client, OPEN)
    (large / "manifest.json").write_bytes(b'{"release": "0002"}')
    with pytest.raises(StorageError, match=r"another release .* --publish"):
        publish(Storage(), large, OPEN)
    assert written(client, OPEN) == before


def test_what_an_interrupted_upload_sent_is_not_sent_again(client, large: Path) -> None:
    publish(Storage(), large, OPEN)
    client.delete_object(Bucket=OPEN.bucket, Key="study/0001/manifest.json")
    before = written(client, OPEN)
    (large / "small").write_bytes(b"SMALL")
    assert publish(Storage(), large, OPEN) == 2
    after = written(client, OPEN)
    assert after["0001/large.nii"] == before["0001/large.nii"]
    head = client.head_object(Bucket=OPEN.bucket, Key="study/0001/large.nii")
    assert len(head["Metadata"][DIGEST]) == 64
    client.delete_object(Bucket=OPEN.bucket, Key="study/0001/manifest.json")
    (large / "large.nii").write_bytes(os.urandom(LARGE))
    assert publish(Storage(), large, OPEN) == 2


def test_objects_that_are_no_part_of_a_release_keep_it_from_being_completed(client, large: Path) -> None:
    client.put_object(Bucket=OPEN.bucket, Key="study/0001/dicom/left.dcm", Body=b"of another output")
    with pytest.raises(StorageError, match="1 objects that are no part"):
        publish(Storage(), large, OPEN)
    assert keys(client, OPEN.bucket) == ["study/0001/dicom/left.dcm"]


def test_an_archive_sends_what_is_new_and_deletes_what_it_sent_and_is_gone(client, tmp_path: Path) -> None:
    output = tmp_path / "output"
    for name, content in {
        "audits/a": b"a",
        "private/uid_map/b000001": b"b",
        "private/large": os.urandom(LARGE),
    }.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(content)
    for key in ("study/private/of_others", "study/audits/b", "private/uid_map/b000001"):
        client.put_object(Bucket=CLOSED.bucket, Key=key, Body=b"not of this archive")
    assert archive(Storage(), output, CLOSED) == {"sent": 3, "deleted": 0}
    assert archive(Storage(), output, CLOSED) == {"sent": 0, "deleted": 0}
    (output / "private/uid_map/b000001").unlink()
    (output / "audits/a").write_bytes(b"A")
    assert archive(Storage(), output, Place("scans", "other/")) == {"sent": 2, "deleted": 0}
    assert archive(Storage(), output, CLOSED) == {"sent": 1, "deleted": 1}
    left = [
        "private/uid_map/b000001",
        "study/audits/a",
        "study/audits/b",
        "study/private/large",
        "study/private/of_others",
    ]
    assert sorted(keys(client, CLOSED.bucket)) == left


def test_an_archive_that_was_cut_off_is_remembered_when_its_files_are_gone(client, tmp_path: Path) -> None:
    class Failing(Storage):
        def send(self, source: Path, place: Place, key: str) -> None:
            super().send(source, place, key)
            raise StorageError("no more")

    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "patient").write_bytes(b"withdrawn")
    with pytest.raises(StorageError):
        archive(Failing(), tmp_path, CLOSED)
    (tmp_path / "private" / "patient").unlink()
    assert archive(Storage(), tmp_path, CLOSED) == {"sent": 0, "deleted": 1}
    assert keys(client, CLOSED.bucket) == []


@pytest.mark.parametrize("name", ["input", "publish", "archive"])
def test_a_place_that_cannot_be_reached_is_a_wrong_call_before_any_work(
    client, finished: Workplace, fresh: Callable[[str], Workplace], name: str
) -> None:
    place = fresh("nowhere")
    if name == "input":
        place.source, options = "s3://no-such-bucket/ct", []
    else:
        options = [f"--{name}", "s3://no-such-bucket/study"]
    refused = place.run(*options, expect=USAGE)
    assert f"The place of {name} cannot be reached (NoSuchBucket)" in refused.shown
    assert not place.output.exists()


@pytest.mark.parametrize("wrong", [("--policy", "keep_all"), ("--profile", "nowhere"), ("--set", "ocr.reders=1")])
def test_a_wrong_call_is_refused_before_its_input_is_fetched(
    client, finished: Workplace, fresh: Callable[[str], Workplace], wrong: tuple[str, str]
) -> None:
    fill(client, finished.source)
    place = fresh("wrong")
    place.source = "s3://scans/ct"
    refused = place.run(*wrong, expect=USAGE)
    assert len(refused.shown.splitlines()) == 1
    assert not place.output.exists()


def test_a_release_that_is_refused_after_the_run_is_a_failed_run(client, place: Workplace) -> None:
    key = f"study/{place.newest().name}/manifest.json"
    client.put_object(Bucket=OPEN.bucket, Key=key, Body=b"{}")
    failed = place.run("--publish", "s3://open-data/study", expect=FAILED)
    assert failed.jobs == []
    assert "another release" in failed.shown
    assert client.get_object(Bucket=OPEN.bucket, Key=key)["Body"].read() == b"{}"


def test_an_endpoint_that_does_not_answer_is_a_wrong_call(client, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(ConfigError, match="publish cannot be reached"):
        Storage().reach("publish", OPEN)
