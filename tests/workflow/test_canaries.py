"""No planted identifier leaves a whole run: not in released bytes, names, logs, Snakemake's records or on the terminal."""

from __future__ import annotations

import base64
import binascii
import json
import re
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
from faults_harness import Ran, audit, json_lines, main, plain_snakemake, released, run

import factories
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.text_reading import ReaderSettings, TextReader
from sample_identity import OTTOLINE

pytestmark = pytest.mark.workflow

MAY_BE_SEEN = ("releases", "logs", "benchmarks", ".snakemake", "audits/metadata", "audits/ct_prepro")
RESTRICTED = ("audits/deid/deid_audit.jsonl", "audits/uid/uid_map.parquet")
DEFLATED = pydicom.uid.DeflatedExplicitVRLittleEndian
# Policies keep these attributes, profiles and codestreams as they are: verification holds what carries a name there.
HELD = {"beside", "offset_table"}
REJECTED = {"truncated.dcm", "native_slack"}  # the last one hides bytes behind the declared frames


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
    assert len(needles) > 60
    assert {text for data, text in needles.items() if data not in everything} == set()
    for charset, (person, encoding) in canary_input.FOREIGN.items():
        assert person.family.split("=")[0].split("^")[0].encode(encoding) in everything, charset


def test_run_ends_with_everything_accounted_for(finished: Finished) -> None:
    assert finished.terminal["run"].code == 3, finished.terminal["run"].text
    assert finished.terminal["run again"].code == 3
    assert "nothing to do" in finished.terminal["run again"].text
    assert [finished.terminal[name].code for name in ("dry run", "status", "releases", "verify")] == [0, 0, 0, 0]
    rows = audit(finished.output)
    assert len(rows) == 44
    assert {Path(row["input_path"]).name for row in rows if row["status"] == "held"} == HELD
    assert {Path(row["input_path"]).name for row in rows if row["status"] == "rejected"} == REJECTED
    assert len(released(finished.output)) == 40


@pytest.mark.parametrize("place", MAY_BE_SEEN)
def test_no_identifier_in_bytes_or_names(finished: Finished, place: str) -> None:
    root = finished.output / place
    assert any(path.is_file() for path in root.rglob("*"))
    assert leaks(root, finished.needles) == {}


def test_no_identifier_in_the_audit_of_links(finished: Finished) -> None:
    path = finished.output / "audits" / "uid" / "links.parquet"
    assert pq.read_table(path).num_rows > 10
    assert {text for data in contents(path) for text in hits(data, finished.needles)} == set()


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


def test_no_fragment_of_a_name_in_other_scripts_is_left(finished: Finished) -> None:
    encodings = {charset.split("\\")[-1]: encoding for charset, (_, encoding) in canary_input.FOREIGN.items()}
    seen = set()
    for path in released(finished.output):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        terms = ds.get("SpecificCharacterSet", "")
        seen.add(terms if isinstance(terms, str) else terms[-1])
        for element in ds.iterall():
            if element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT"):
                assert str(element.value).isascii(), element.tag
    assert seen >= encodings.keys() - {"ISO_IR 192"}


def test_burned_in_text_is_read_in_the_source_and_gone_from_the_release(finished: Finished) -> None:
    lexicons = [
        Lexicon.from_json(path.read_text(encoding="utf-8"))
        for path in sorted((finished.output / "private" / "lexicons").glob("*.json"))
    ]
    assert len(lexicons) == len(canary_input.PEOPLE)
    redacted = [row for row in audit(finished.output) if row["pixel_data"] == "redacted"]
    names = {Path(row["input_path"]).name for row in redacted}
    assert names >= {"IM0003.dcm", "IM0006.dcm", "rgb_native", "rgb_rle", "rgb_jpeg2000"}
    read = {
        Path(row["path"]).name: " ".join(finding["text"] for finding in row["findings"])
        for row in json_lines(finished.output / "private" / "findings" / "b000001.jsonl")
    }
    assert "ZIMMERLIN" in read["rgb_native"].upper()
    reader = TextReader(ReaderSettings())
    for row in redacted:
        if Path(row["input_path"]).name not in ("IM0003.dcm", "rgb_native", "rgb_rle", "rgb_jpeg2000"):
            continue
        reading = reader.read(finished.output / "release" / row["output_path"])
        assert reading.status == "read"
        for text in (text for region in reading.regions for text in (region.text, region.second_text)):
            assert [lexicon.identifies(text) for lexicon in lexicons] == [None] * len(lexicons)


def test_pages_show_burned_in_text_to_who_may_see_it_and_name_no_file_after_it(finished: Finished) -> None:
    private = finished.output / "private"
    pages = sorted((private / "reports").rglob("*.html"))
    assert {page.name for page in pages} >= {"burned_in_text.html", "released.html"}
    shown = (private / "reports" / "burned_in_text.html").read_bytes()
    assert b"ZIMMERLIN" in shown and b"matches an identifier of the patient" in shown
    linked = 0
    for page in pages:
        for source in re.findall(r'src="([^"]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / source).read_bytes().startswith(b"\xff\xd8")
            linked += 1
    assert linked > 10
    files = [path for folder in ("reports", "pictures") for path in (private / folder).rglob("*")]
    assert [path.name for path in files if hits(names(path), finished.needles)] == []
    assert hits((private / "reports" / "burned_in_text.json").read_bytes(), finished.needles) == []


def test_no_overlay_curve_icon_private_or_trailing_bytes_are_released(finished: Finished) -> None:
    for path in released(finished.output):
        ds = pydicom.dcmread(path)
        tags = {element.tag for element in ds.iterall()}
        assert not [tag for tag in tags if tag.group in (0x5000, 0x6000) or tag.is_private]
        assert not tags & {0x00880200, 0xFFFAFFFA, 0xFFFCFFFC}
        assert ds.preamble == b"\0" * 128
        assert {element.tag & 0xFFFF for element in ds.file_meta} <= {0x0, 0x1, 0x2, 0x3, 0x10, 0x12, 0x13}


def test_private_places_are_closed_to_others(finished: Finished) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert {name: mode(finished.output / name) for name in ("private", ".snakemake")} == {
        "private": 0o700,
        ".snakemake": 0o700,
    }
    assert [mode(finished.output / name) for name in RESTRICTED] == [0o600, 0o600]
    for path in (finished.output / "private").iterdir():
        if path.is_file() and path.name in ("salt", "policy.json", "rejected.jsonl", "inventory.sqlite", "index.tsv"):
            assert mode(path) == 0o600, path.name


@pytest.mark.parametrize("fault", ["lexicon damaged", "policy damaged", "input gone"])
def test_a_failing_run_tells_no_identifier(finished: Finished, tmp_path: Path, fault: str) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished.output, output, symlinks=True)
    private = output / "private"
    if fault == "lexicon damaged":
        (lexicon,) = [p for p in private.glob("lexicons/*") if "Zimmerlin" in p.read_text(encoding="utf-8")]
        lexicon.write_text(lexicon.read_text(encoding="utf-8").replace('"', "", 3), encoding="utf-8")
        rule = "judge_burned_in_text"
    elif fault == "policy damaged":
        policy = f'{{"name": "{OTTOLINE.person_name}", {OTTOLINE.patient_id}'
        (private / "policy.json").write_text(policy, encoding="utf-8")
        rule = "inventory"  # the first that reads the policy
    else:
        shutil.rmtree(private / "read")
        shutil.rmtree(private / "readings")
        (private / "input").unlink()
        (private / "input").symlink_to(tmp_path / OTTOLINE.folder)
        rule = "read_burned_in_text"
    ran = plain_snakemake(output)
    assert ran.code == 1
    assert f"Error in rule {rule}:" in ran.text
    assert hits(ran.text.encode(), finished.needles) == []
    assert {place: leaks(output / place, finished.needles) for place in MAY_BE_SEEN} == {p: {} for p in MAY_BE_SEEN}
    assert (output / "release").readlink() == Path("releases/0001")
    assert not list((output / "releases").glob(".*"))
