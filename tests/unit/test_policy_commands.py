"""`main.py policy`: what it prints, what it refuses, and that it names no value unless asked."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml
from pydicom.dataset import Dataset
from rich.console import Console

import main as front_door
import policy_commands
from factories import canaries, ct_instance, write
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.policy_files import POLICIES_FOLDER
from phi_deid_pipeline.ps3_15_rules import OPTIONS


@pytest.fixture
def call(capsys, monkeypatch):
    """Return a function that carries out `main.py policy ...` and returns exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        code = front_door.main(["policy", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand a copy of config/policies in for it, so that a test may write there."""
    copy = tmp_path / "policies"
    copy.mkdir()
    for path in POLICIES_FOLDER.glob("*.yaml"):
        (copy / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(policy_commands, "POLICIES_FOLDER", copy)
    return copy


def _file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "ours.yaml"
    path.write_text("\n".join(["name: ours", *lines]) + "\n", encoding="utf-8")
    return path


def test_list_names_all_and_tells_which_are_disabled_or_wrong(call, folder):
    (folder / "old.yaml").write_text("name: old\nextends: gdpr\ndisabled: true\n", encoding="utf-8")
    code, out, _ = call("list")
    assert code == 0
    assert all(path.stem in out for path in folder.glob("*.yaml"))
    assert "old (disabled)" in out
    (folder / "bad.yaml").write_text("name: bad\noptions: [wishes]\n", encoding="utf-8")
    code, out, _ = call("list")
    assert code == 2
    assert "policy bad.yaml: unknown option 'wishes'" in out
    assert "hipaa_safe_harbor" in out


def test_show_tells_options_keys_counts_and_overrides(call):
    code, out, _ = call("show", "gdpr")
    assert code == 0
    assert load_policy("gdpr").digest in out
    assert "retain_patient_characteristics" in out
    assert (
        "dates: year; max_age: 89; pseudonyms: keyed; clinical_trial: False; hold: recognizable_visual_features" in out
    )
    assert "(0010,2180)" in out
    assert "rare occupations single a person out" in out
    assert "Private attributes kept by Table E.3.10-1: 479 of 20 creators" in call("show", "research_longitudinal")[1]


def test_show_tells_the_action_on_one_attribute_in_every_iod(call):
    code, out, _ = call("show", "ps3_15_basic", "--tag", "SeriesDate", "--tag", "(0010,0010)")
    assert code == 0
    assert "(0008,0021) SeriesDate (DA)" in out
    dummies = [line for line in out.splitlines() if line.split()[:2] == ["X/D", "D"]]
    assert len(dummies) == 1
    assert "positron-emission-tomography-image" in out
    removed = next(line.split() for line in out.splitlines() if line.split()[:2] == ["X/D", "X"])
    assert removed[-2:] == ["153", "others"]
    assert "(0010,0010) PatientName (PN)" in out
    code, _, err = call("show", "ps3_15_basic", "--tag", "(0009,1001)")
    assert code == 2
    assert "--tag takes a keyword or the tag" in err


def test_show_tells_the_action_inside_sequences_and_on_private_attributes(call):
    path = "SharedFunctionalGroupsSequence/DerivationImageSequence/SourceImageSequence"
    code, out, _ = call("show", "research_longitudinal", "--tag", path, "--tag", "(0019,xx0C) SIEMENS MR HEADER")
    assert code == 0
    assert "(5200,9229)/(0008,9124)/(0008,2112) SourceImageSequence (SQ)" in out
    assert "(0019,xx0C) SIEMENS MR HEADER (IS)" in out
    assert ["K", "K", "safe_private", "R", "all"] in [line.split() for line in out.splitlines()]
    out = call("show", "hipaa_safe_harbor", "--tag", "(0019,xx0C) SIEMENS MR HEADER")[1]
    assert ["X", "X", "private", "R", "all"] in [line.split() for line in out.splitlines()]


def test_show_all_has_every_attribute_of_the_dictionary(call):
    _, out, _ = call("show", "hipaa_safe_harbor", "--all")
    assert "(0008,1030)  StudyDescription" in out
    assert len([line for line in out.splitlines() if line.startswith(" (")]) == 5108


def test_diff_shows_options_keys_and_attributes_that_differ(call, tmp_path):
    ours = _file(
        tmp_path,
        "extends: ps3_15_basic",
        "options: [clean_pixel_data, clean_graphics]",
        "hide: all_text",
        "overrides:",
        "  - {tag: BodyPartExamined, action: X, reason: r}",
        "  - {tag: StudyID, action: K, reason: r, modality: MR}",
    )
    code, out, _ = call("diff", "ps3_15_basic", ours)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["clean_graphics", "no", "yes"] in lines
    assert ["hide", "all_but_benign", "all_text"] in lines
    assert ["(0018,0015)", "BodyPartExamined", "CS", "K", "X"] in lines
    assert ["(0020,0010)", "modality", "MR", "K"] in lines
    assert ["(0070,0001)", "GraphicAnnotationSequence", "SQ", "D", "C", "A"] in lines
    assert not any("(0008,1030)" in line for line in lines)
    _, out, _ = call("diff", "gdpr", "gdpr")
    assert (
        out.strip()
        == "What differs: 0 attributes, 0 overrides under conditions or of private attributes, 0 SR concepts."
    )


def test_validate_names_the_row_that_is_wrong(call, tmp_path):
    code, out, _ = call("validate", _file(tmp_path, "extends: gdpr", "disabled: true"))
    assert code == 0
    assert "Policy ours is valid: 6 options, 18 overrides." in out
    assert "It is disabled." in out
    wrong = _file(tmp_path, "extends: gdpr", "overrides: [{tag: StudyID, action: Q, reason: r}]")
    code, out, err = call("validate", wrong)
    assert (code, out) == (2, "")
    assert "policy ours.yaml: overrides row 1: unknown action 'Q'" in err


@pytest.mark.parametrize("copy", [False, True])
def test_clone_does_the_same_and_overwrites_nothing(call, tmp_path, copy):
    target = tmp_path / "ours.yaml"
    flags = ["--copy"] if copy else []
    assert call("clone", "gdpr", target, *flags)[0] == 0
    ours, gdpr = load_policy(target), load_policy("gdpr")
    assert ours.name == "ours"
    for part in ("options", "overrides", "dates", "hold", "max_age", "hide", "pseudonyms", "clinical_trial", "entries"):
        assert getattr(ours, part) == getattr(gdpr, part), part
    assert ("extends" in yaml.safe_load(target.read_text(encoding="utf-8"))) is not copy
    before = target.read_bytes()
    code, _, err = call("clone", "ps3_15_basic", target)
    assert code == 2
    assert "not overwritten" in err
    assert target.read_bytes() == before


def test_clone_of_a_clinical_trial_with_private_rows_keeps_them(call, tmp_path):
    source = _file(
        tmp_path,
        "extends: clinical_trial",
        "overrides: [{tag: '(0019,xx92)', action: K, reason: r, private_creator: ACME, manufacturer: acme}]",
    )
    assert call("clone", source, tmp_path / "second.yaml", "--copy")[0] == 0
    assert call("clone", source, tmp_path / "third.yaml")[0] == 0
    wanted = load_policy(source)
    for name in ("second.yaml", "third.yaml"):
        clone = load_policy(tmp_path / name)
        assert clone.overrides == wanted.overrides
        assert (clone.dates, clone.clinical_trial, clone.safe_private) == ("shift", True, wanted.safe_private)


def test_clone_by_name_goes_to_the_named_policies(call, folder):
    assert call("clone", "gdpr", "ours")[0] == 0
    assert load_policy("ours", root=folder).options == load_policy("gdpr").options
    assert call("clone", "gdpr", "gdpr")[0] == 2
    assert call("clone", "gdpr", "no/such folder/x y.yaml")[0] == 2


def test_preview_tells_what_would_happen_and_no_value(call, tmp_path):
    sample = tmp_path / "in"
    sample.mkdir()
    for number in (1, 2):
        write(ct_instance(number=number, StudyDescription="CT thorax [/b] for Ottoline"), sample / f"{number}.dcm")
    (sample / "note.txt").write_text("no image", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = call("preview", "--policy", "hipaa_safe_harbor", "--input", sample)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["00100010", "PatientName", "PN", "Z", "E.1-1", "A", "2", "pseudonym", "2"] in lines
    assert ["00081030", "StudyDescription", "LO", "C", "clean_descriptors", "A", "2", "cleaned", "2"] in lines
    assert ["00280010", "Rows", "US", "K", "default", "2", "kept", "2"] in lines
    assert "1 file was left out (not_dicom): No DICOM content found" in out
    assert [text for text in canaries() if text.lower() in out.lower()] == []
    assert sorted(tmp_path.rglob("*")) == before


def test_preview_shows_values_only_when_asked_and_says_what_they_are(call, tmp_path):
    path = write(ct_instance(StudyDescription="CT thorax [/b] for Ottoline"), tmp_path / "a.dcm")
    code, out, _ = call("preview", "--policy", "research_longitudinal", "--input", path, "--values")
    assert code == 0
    assert "CT thorax [/b] for Ottoline ->" in out
    assert "00080050 AccessionNumber: " in out and " -> (empty)" in out
    assert "The values above identify patients" in out
    assert "Codes of a table" not in out
    assert "Codes of a table" in call("preview", "--policy", "clinical_trial", "--input", path)[1]


def test_preview_tells_of_faces_and_of_rules_for_concepts(call, tmp_path):
    head = ct_instance(BodyPartExamined="HEAD", SliceThickness="1")
    path = write(head, tmp_path / "head.dcm")
    held = "1 of them name a head in thin slices: a series with enough of them {} (recognizable_visual_features)."
    assert held.format("waits for a person's decision") in call("preview", "--policy", "gdpr", "--input", path)[1]
    out = call("preview", "--policy", "hipaa_safe_harbor", "--input", path)[1]
    assert held.format("is flagged") in out
    assert "Content items" not in out
    items = []
    for code, value_type in (("121008", "PNAME"), ("121070", "TEXT"), ("121030", "TEXT")):
        concept, item = Dataset(), Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = code, "DCM", "a concept"
        item.ValueType, item.ConceptNameCodeSequence = value_type, [concept]
        items.append(item)
    report = ct_instance(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22", Modality="SR", ContentSequence=items)
    out = call("preview", "--policy", "hipaa_safe_harbor", "--input", write(report, tmp_path / "sr.dcm"))[1]
    assert "Content items go by their concept's rule, whatever their path says above: " in out
    strict = call("preview", "--policy", "ps3_15_basic", "--input", tmp_path / "sr.dcm")[1]
    assert "Content items" not in strict


def test_preview_of_what_is_no_dicom_says_so_and_shows_no_empty_table(call, tmp_path):
    (tmp_path / "note.txt").write_text("text", encoding="utf-8")
    code, out, _ = call("preview", "--policy", "gdpr", "--input", tmp_path / "note.txt")
    assert code == 2
    assert "no file of --input can be looked at" in out
    assert "1 file was left out (not_dicom): No DICOM content found" in out
    assert "keyword" not in out


def test_preview_prints_a_line_for_each_row_whole_into_a_file(call, tmp_path, monkeypatch):
    path = write(ct_instance(), tmp_path / "1.dcm")
    monkeypatch.setenv("COLUMNS", "60")
    lines = call("preview", "--policy", "gdpr", "--input", path)[1].splitlines()
    assert "on 1 instance" in lines[0]
    (date,) = [line for line in lines if "00080020" in line]
    assert date.split() == [
        "00080020",
        "StudyDate",
        "DA",
        "C",
        "retain_long_modified_dates",
        "C",
        "1",
        "year",
        "only",
        "1",
    ]
    assert [line for line in lines if line.startswith("   ") and line.strip()] == []


def test_preview_does_without_columns_in_a_narrow_terminal_rather_than_to_wrap(tmp_path):
    path = write(ct_instance(), tmp_path / "1.dcm")
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, width=80)
    assert policy_commands.preview_sample("gdpr", [path], console, values=False) == 0
    lines = stream.getvalue().splitlines()
    (date,) = [line for line in lines if "00080020" in line]
    assert date.split() == ["00080020", "StudyDate", "DA", "C", "year", "only", "1"]
    assert [line for line in lines if line.startswith("   ") and line.strip()] == []
    assert "columns shows rule, HIPAA, count too" in stream.getvalue()


def test_preview_explains_the_words_that_it_uses_and_no_others(call, tmp_path):
    path = write(ct_instance(), tmp_path / "1.dcm")
    out = call("preview", "--policy", "research_longitudinal", "--input", path)[1]
    (at,) = [n for n, line in enumerate(out.splitlines()) if line.startswith("Words of the column became")]
    told = out.splitlines()[at + 1 :]
    assert "  shifted: a date moved by the offset of the patient" in told
    assert "  published: a date that many patients share" in out
    assert "  C: clean" in out
    assert "dicomdir" not in out
    assert "year only" not in out


def test_every_rule_that_a_policy_can_give_is_explained():
    words = set()
    for path in POLICIES_FOLDER.glob("*.yaml"):
        policy = load_policy(path.stem, disabled=True)
        found = [policy.resolve((tag,), vr, "") for tag, vr in policy.dictionary.items()]
        found += [policy.resolve((tag,), "LO", "") for tag in (0x10, 0x20010, 0x41200, 0x190010, 0x60003000, 0x280000)]
        found += [policy.resolve((0x00080999,), "LO", "")]
        found += [policy.resolve((0x00280010,), vr, "") for vr in ("AE", "AS", "UR")]  # Rows, wrongly written
        found += [policy.resolve_private((group << 16 | 0x1023,), "DS", "GEMS_ACQU_01", "") for group in (0x19, 0x21)]
        words |= {word for resolution in found for word in resolution.rule.split(":")}
    assert words - set(OPTIONS) == policy_commands.RULES.keys()


def test_show_explains_the_rules_of_what_was_asked_for(call):
    out = call("show", "gdpr", "--tag", "StudyDate")[1]
    assert "  E.1-1: row of PS3.15 Table E.1-1" in out
    assert "  retain_long_modified_dates: option of the policy" in out
    assert "Words of the column" not in call("show", "gdpr")[1]


def test_preview_without_any_instance_is_a_wrong_call(call, tmp_path):
    (tmp_path / "note.txt").write_text("no image", encoding="utf-8")
    assert call("preview", "--policy", "gdpr", "--input", tmp_path / "note.txt")[0] == 2
    code, _, err = call("preview", "--policy", "gdpr", "--input", tmp_path / "nothing")
    assert code == 2
    assert "No file of --input exists" in err
