"""The table of the data dictionary says what pydicom's does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import datadict
from pydicom.uid import UID_dictionary

from phi_deid_pipeline.data_dictionary import Attribute, attribute, tag_of, transfer_syntaxes

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "dictionary"


def test_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate_dictionary", FOLDER / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    generate.main(tmp_path)
    for name in ("data_dictionary.tsv", "transfer_syntaxes.txt"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


def test_every_attribute_is_found_by_tag_and_keyword() -> None:
    for tag, (vr, vm, _, _, keyword) in datadict.DicomDictionary.items():
        assert attribute(tag) == Attribute(vr, vm, keyword)
        assert not keyword or tag_of(keyword) == datadict.tag_for_keyword(keyword)


@pytest.mark.parametrize("tag", [0x60000010, 0x601E3000, 0x50120005, 0x002031A0, 0x7F020010, 0x1010ABCD])
def test_repeating_groups_are_found(tag: int) -> None:
    entry = datadict.get_entry(tag)
    assert attribute(tag) == Attribute(entry[0], entry[1], entry[4])


@pytest.mark.parametrize("tag", [0x00091001, 0x00100011, 0x60011234, 0xFFFFFFFF])
def test_other_tags_are_unknown(tag: int) -> None:
    assert attribute(tag) is None
    with pytest.raises(KeyError):
        datadict.get_entry(tag)


def test_an_empty_or_unknown_keyword_names_no_tag() -> None:
    assert tag_of("") is None and tag_of("NoSuchAttribute") is None


def test_transfer_syntaxes_are_those_with_a_data_set() -> None:
    known = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    assert {"1.2.840.10008.1.2", "1.2.840.10008.1.2.4.205", "1.2.840.10008.1.2.8.1"} <= transfer_syntaxes()
    assert not transfer_syntaxes() & {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.20", "1.2.840.10008.1.2.7.1"}
    assert len(known - transfer_syntaxes()) == 6


def test_the_engine_loads_no_dicom_library() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "import deidentify_series, phi_deid_pipeline.instance_deid, phi_deid_pipeline.policies, phi_deid_pipeline.lexicon; "
        "sys.exit(bool({'pydicom', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    scripts = FOLDER.parents[1] / "scripts"
    assert subprocess.run([sys.executable, "-c", code, str(scripts)], check=False).returncode == 0
