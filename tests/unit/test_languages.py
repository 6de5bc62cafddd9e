"""Words of a language: every row is valid, faults are named by file, key and row."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.languages import KEYS, LANGUAGES, LANGUAGES_FOLDER, load_languages, spellings


def _write(folder: Path, **changes: object) -> Path:
    content = {"name": "Test", **{key: [] for key in KEYS}, **changes}
    (folder / "xx.yaml").write_text(
        yaml.safe_dump({key: value for key, value in content.items() if value is not None}), encoding="utf-8"
    )
    return folder


def test_every_file_of_the_folder_is_a_language_and_loads():
    assert sorted(path.stem for path in LANGUAGES_FOLDER.glob("*.yaml")) == sorted(LANGUAGES)
    for name in LANGUAGES:
        rows = load_languages((name,))
        assert (
            len(rows.titles) >= 5 and len(rows.soft_cues) >= 5 and len(rows.months) >= 8 and len(rows.id_labels) >= 10
        )


def test_languages_are_joined_whatever_their_order():
    both = load_languages(("de", "en"))
    assert both == load_languages(("en", "de"))
    assert {"herr", "mister"} <= set(both.titles)
    assert "monsieur" not in both.titles
    assert both.modality_titles.count("dr") == 1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"titles": ["herr", "Frau"]}, r"xx\.yaml: titles, row 2: must be words in lower case"),
        ({"titles": ["a(b)"]}, r"xx\.yaml: titles, row 1: must be words in lower case"),
        ({"months": ["may", True]}, r"xx\.yaml: months, row 2: must be text; put it into quotes"),
        ({"months": ["may", "jun", "may"]}, r"xx\.yaml: months, row 3: stands there twice"),
        ({"soft_cues": "for"}, r"xx\.yaml: soft_cues: must be a list"),
        ({"states": None}, r"xx\.yaml: states: is missing"),
        ({"colours": []}, r"xx\.yaml: colours: unknown key"),
    ],
)
def test_fault_in_a_file_is_named_by_key_and_row(tmp_path, changes, fault):
    with pytest.raises(PolicyError, match=fault):
        load_languages(("xx",), _write(tmp_path, **changes))


def test_file_that_is_missing_or_no_yaml_is_named(tmp_path):
    with pytest.raises(PolicyError, match=r"yy\.yaml: there are no words for this language"):
        load_languages(("yy",), tmp_path)
    (tmp_path / "zz.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"zz\.yaml: cannot be read"):
        load_languages(("zz",), tmp_path)
    (tmp_path / "ww.yaml").write_text("- a", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"ww\.yaml: must hold keys"):
        load_languages(("ww",), tmp_path)


def test_no_language_at_all_is_refused():
    with pytest.raises(PolicyError, match=r"free_text\.languages is empty"):
        load_languages(())


def test_spellings_cover_accents_and_transliteration_longest_first():
    assert spellings(["märz"]) == ["maerz", "marz", "märz"]
