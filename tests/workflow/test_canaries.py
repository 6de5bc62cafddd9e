"""No planted identifier leaves a whole run: not in released bytes, names, logs, Snakemake's records or on the terminal."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import canary_input
import pyarrow.parquet as pq
import pydicom
import pytest
from faults_harness import Ran, audit, json_lines, main, released, run

import factories
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader
from sample_identity import OTTOLINE, PLANTED

pytestmark = pytest.mark.workflow

MAY_BE_SEEN = ("releases", "logs", "benchmarks", ".snakemake", "audits/metadata", "audits/ct_prepro")
RESTRICTED = ("audits/deid/deid_audit.jsonl", "audits/uid/uid_map.parquet")
DEFLATED = pydicom.uid.DeflatedExplicitVRLittleEndian
# Held, not released: what was left in them is found by verification, or they carry names in the codestream.
SERIES = 30


@dataclass(frozen=True)
class Finished:
    """An output over the canary input, and what the terminal showed meanwhile."""

    source: Path
    output: Path
    terminal: dict[str, Ran]
    needles: dict[bytes, str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("canaries")
    source, output = folder / canary_input.ROOT_NAME, folder / "output"
    canary_input.build(source)
    terminal = {
        "run": run(source, output),
        "run again": run(source, output),
        "dry run": run(source, output, "--dry-run"),
        **{name: main(name, "--output", output) for name in ("status", "releases", "verify")},
    }
    return Finished(source, output, terminal, canary_input.needles(source))


def hits(data: bytes, needles: Mapping[bytes, str]) -> list[str]:
    """Return the identifiers that stand in bytes, whatever their case."""
    low = data.lower()
    return sorted({text for needle, text in needles.items() if needle in low})


def contents(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes, and what is hidden in them by compression."""
    data = path.read_bytes()
    yield data
    if path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=repr).encode()
        yield repr(pq.read_schema(path).metadata).encode()
    if path.suffix == ".dcm":
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.TransferSyntaxUID == DEFLATED:
            yield zlib.decompress(data[144 + meta.FileMetaInformationGroupLength :], -zlib.MAX_WBITS)


def names(path: Path) -> bytes:
    """Return a file's name, and what it says in base 64 (Snakemake names its records so)."""
    try:
        return path.name.encode() + b" " + base64.b64decode(path.name.replace("@", ""), validate=True)
    except (binascii.Error, ValueError):
        return path.name.encode()


def leaks(root: Path, needles: Mapping[bytes, str]) -> dict[str, list[str]]:
    """Return {path: identifiers} of all files and folders at and below a folder that hold any."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        seen = hits(names(path), needles)
        if path.is_file() and not path.is_symlink():
            for data in contents(path):
                seen += hits(data, needles)
        if seen:
            found[str(path.relative_to(root))] = sorted(set(seen))
    return found


def test_identifiers_stand_in_the_input_so_that_their_absence_means_something(finished: Finished) -> None:
    needles = {text.encode(): text for text in factories.canaries()}
    everything = b"".join(
        str(path.relative_to(finished.source.parent)).encode() + b"\n" + (path.read_bytes() if path.is_file() else b"")
        for path in sorted(finished.source.rglob("*"))
    )
    missing = {text for data, text in needles.items() if data not in everything}
    # Months and slashes stand in the texts of the canaries, not in the small sample.
    assert missing == {date for date in missing if date in PLANTED["date"] and date[4:6] + date[:2] in date}
    for charset, (person, encoding) in canary_input.FOREIGN.items():
        assert person.family.split("=")[0].split("^")[0].encode(encoding) in everything, charset


def test_run_ends_with_everything_accounted_for(finished: Finished) -> None:
    assert finished.terminal["run"].code == 3, finished.terminal["run"].text
    assert finished.terminal["run again"].code == 3
    assert "nothing to do" in finished.terminal["run again"].text
    assert [finished.terminal[name].code for name in ("dry run", "status", "releases", "verify")] == [0, 0, 0, 0]
    rows = audit(finished.output)
    assert len(rows) == 40
    assert len(released(finished.output)) == sum(row["status"] == "released" for row in rows) >= 33


@pytest.mark.parametrize("place", MAY_BE_SEEN)
def test_no_identifier_in_bytes_or_names(finished: Finished, place: str) -> None:
    root = finished.output / place
    assert any(path.is_file() for path in root.rglob("*"))
    assert leaks(root, finished.needles) == {}


def test_no_identifier_in_summary_and_seals(finished: Finished) -> None:
    files = sorted(finished.output.glob("audits/*.json")) + sorted(finished.output.glob("audits/deid/*.seal.json"))
    assert {path.name for path in files} == {"summary.json", "seal.json", "deid_audit.seal.json"}
    assert {path.name: hits(path.read_bytes(), finished.needles) for path in files} == {p.name: [] for p in files}


@pytest.mark.parametrize("call", ["run", "run again", "dry run", "status", "releases", "verify"])
def test_no_identifier_on_the_terminal(finished: Finished, call: str) -> None:
    text = finished.terminal[call].text
    assert text
    assert hits(text.encode(), finished.needles) == []
    assert finished.source.name not in text
