"""Places, names of the local copy, and what is refused before a byte is moved; the rest runs against a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from object_storage import Place, Storage, StorageError, check_apart, is_storage, local_name, parse_place
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the addresses that are asked for by way of a proxy, which refuses them all."""
    addresses: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            addresses.append(self.path)
            self.send_error(403)

        do_CONNECT = do_GET  # of an address by TLS the proxy sees the host alone

        def log_message(self, *parts: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("NO_PROXY", "no_proxy", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    yield addresses
    server.shutdown()
    server.server_close()


NAMED = "http://s3.hospital.example"
VIRTUAL = "[default]\ns3 =\n  addressing_style = virtual\n"


@pytest.mark.parametrize(
    ("endpoint", "config", "path_style", "begins"),
    [
        (NAMED, "", False, "http://s3.hospital.example/scans?"),
        (NAMED, "", True, "http://s3.hospital.example/scans?"),
        (NAMED, VIRTUAL, False, "http://scans.s3.hospital.example/?"),
        (NAMED, VIRTUAL, True, "http://s3.hospital.example/scans?"),
        ("", "", False, "scans.s3."),
        ("", "", True, "s3."),
    ],
    ids=["named", "named by path", "named by host", "named by path all the same", "cloud", "cloud by path"],
)
def test_the_bucket_stands_in_the_path_or_in_the_host(
    asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    config: str,
    path_style: bool,
    begins: str,
) -> None:
    pytest.importorskip("boto3", reason="storage.lock is not installed: make storage")
    (tmp_path / "config").write_text(config)
    values = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in {**values, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(StorageError, match=r"403|ProxyConnectionError"):
        Storage(path_style).list(Place("scans", "ct/"))
    assert asked[0][: len(begins)] == begins
