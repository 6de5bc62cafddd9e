"""The benchmark of quality judges right: what is left counts as left, what is gone as gone, and its kinds are many."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from benchmarks.quality import corpus as generator
from benchmarks.quality.consistency import intervals, references
from benchmarks.quality.key import checks_of, read_key, write_key
from benchmarks.quality.leaks import find_leaks
from benchmarks.quality.paths import element_at, format_path, parse_path
from benchmarks.quality.phrases import DEVELOPMENT as PHRASES
from benchmarks.quality.phrases import REPORTED as REPORTED_PHRASES
from benchmarks.quality.pools import DEVELOPMENT, REPORTED
from benchmarks.quality.score import Outputs, kept, left, score
from benchmarks.quality.standard import POLICY_OPTIONS

SMALL = (
    "text/known/",
    "charset/greek",
    "pixels/name_top",
    "private/unsafe/LO",
    "private/safe/0",
    "reference/image",
    "container/",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Path, generator.Corpus]:
    folder = tmp_path_factory.mktemp("quality") / "input"
    return folder, generator.build(folder, 3, SMALL)


@pytest.fixture(scope="module")
def copied(small) -> Outputs:
    folder, corpus = small
    return Outputs(corpus, {instance.path: folder / instance.path for instance in corpus.instances})


def test_there_are_more_than_three_hundred_kinds_of_places() -> None:
    names = {kind.name for kind in generator.all_kinds()}
    assert len(names) >= 300
    groups = {name.split("/")[0] for name in names}
    assert {
        "attribute",
        "charset",
        "container",
        "depth4",
        "overlay",
        "pixels",
        "private",
        "reference",
        "sr",
        "text",
    } <= groups


def test_seeds_that_are_reported_draw_from_other_pools() -> None:
    for field in ("families", "givens", "streets", "cities", "institutions", "domains"):
        assert not set(getattr(DEVELOPMENT, field)) & set(getattr(REPORTED, field)), field
    assert not set(DEVELOPMENT.foreign.values()) & set(REPORTED.foreign.values())
    for language, phrases in PHRASES.items():
        assert not set(phrases) & set(REPORTED_PHRASES[language])


def test_same_seed_writes_the_same_bytes(small, tmp_path) -> None:
    folder, corpus = small
    again = generator.build(tmp_path / "input", 3, SMALL)
    assert [instance.path for instance in again.instances] == [instance.path for instance in corpus.instances]
    for instance in corpus.instances:
        assert (folder / instance.path).read_bytes() == (tmp_path / "input" / instance.path).read_bytes()


@pytest.mark.parametrize("policy", POLICY_OPTIONS)
def test_a_copy_removes_nothing_and_keeps_everything(small, copied, policy, tmp_path) -> None:
    folder, corpus = small
    write_key(corpus, list(checks_of(corpus, folder, policy)), tmp_path / "key.sqlite")
    result = score(read_key(tmp_path / "key.sqlite"), copied)
    for action in ("text_removed", "date_shifted", "uid_changed", "pixels_hidden"):
        assert result.asked[action] and not result.passed[action], action
    for action in ("text_retained", "tag_retained", "pixels_retained", "patid_consistent", "uid_consistent"):
        assert result.asked[action] == result.passed[action] > 0, action


def test_every_planted_kind_of_a_copy_is_found_in_its_bytes(small, copied) -> None:
    _, corpus = small
    found = {leak.kind for leak in find_leaks(corpus, copied, "hipaa_safe_harbor")}
    planted = {plant.kind for instance in corpus.instances for plant in instance.plants if plant.gone}
    short = {"text/known/phone_bare"}  # seven digits, which any UID may hold by chance: the key asks for them
    assert planted - found == short


def test_an_identifier_left_in_one_place_is_found_there(small, tmp_path) -> None:
    folder, corpus = small
    instance = next(one for one in corpus.instances if any(plant.kind == "text/known/end" for plant in one.plants))
    plant = next(plant for plant in instance.plants if plant.kind == "text/known/end")
    source = pydicom.dcmread(folder / instance.path)
    bare = pydicom.dataset.Dataset()
    bare.file_meta, bare.PatientID = source.file_meta, "X1"
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        setattr(bare, keyword, source[keyword].value if keyword == "SOPClassUID" else "2.25.7")
    bare.add(source[plant.path[0]])
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    bare.save_as(tmp_path / "out.dcm", enforce_file_format=True)
    outputs = Outputs(corpus, {instance.path: tmp_path / "out.dcm"})
    leaks = list(find_leaks(corpus, outputs, "hipaa_safe_harbor"))
    assert {(leak.kind, leak.where) for leak in leaks} == {(plant.kind, format_path(plant.path))}
    checks = [check for check in checks_of(corpus, folder, "hipaa_safe_harbor") if check.file == instance.path]
    failed = {(check.action, check.kind) for check, _ in score(checks, outputs).failures}
    assert ("text_removed", "text/known/end") in failed and ("text_retained", "text/known/end") not in failed


def test_a_missing_file_fails_what_should_stay_and_passes_what_should_go(small) -> None:
    folder, corpus = small
    result = score(list(checks_of(corpus, folder, "hipaa_safe_harbor")), Outputs(corpus, {}))
    assert result.passed["text_removed"] == result.asked["text_removed"]
    for action in ("text_retained", "tag_retained", "uid_consistent", "patid_consistent", "pixels_retained"):
        assert result.asked[action] and not result.passed[action]


def test_a_copy_keeps_references_and_intervals(small, copied) -> None:
    _, corpus = small
    links = references(corpus, copied, "research_longitudinal")
    assert links["asked"] == links["there"] == links["resolved"] > 0
    dates = intervals(corpus, copied, "research_longitudinal")
    assert dates["asked"] == dates["there"] == dates["consistent"] > 0


def test_words_and_numbers_are_compared_as_the_rules_say() -> None:
    assert left("Iyer", "DR.IYER for") and not left("NR", "ENRICHED") and left("NR", "by NR")
    assert kept("120", "120.0") and kept("chest", "CT CHEST") and not kept("1.5", "1.25")


def test_paths_are_written_as_the_key_writes_them() -> None:
    path = (0x00081140, 0, (0x0019, "SIEMENS CT VA0  COAD", 0x92))
    text = '<(0008,1140)>[<0000>]<(0019,"SIEMENS CT VA0  COAD",92)>'
    assert format_path(path) == text and parse_path(text) == path
    ds = pydicom.dataset.Dataset()
    ds.private_block(0x0019, "ACME", create=True).add_new(0x01, "LO", "value")
    assert element_at(ds, ((0x0019, "acme", 0x01),)).value == "value"
    assert element_at(ds, ((0x0019, "OTHER", 0x01),)) is None


def test_every_faulty_kind_is_seen_where_nothing_is_done(tmp_path) -> None:
    folder = tmp_path / "input"
    corpus = generator.build(folder, 4, ("faulty/",))
    for instance in corpus.instances:  # the name that is rightly written is found first
        if instance.who.charset:
            ds = pydicom.dcmread(folder / instance.path)
            for keyword in ("PatientBirthName", "PatientName"):
                if keyword in ds:
                    del ds[keyword]
            ds.save_as(folder / instance.path)
    outputs = Outputs(corpus, {instance.path: folder / instance.path for instance in corpus.instances})
    seen = {leak.kind for leak in find_leaks(corpus, outputs, "hipaa_safe_harbor")}
    checks = list(checks_of(corpus, folder, "hipaa_safe_harbor"))
    write_key(corpus, checks, tmp_path / "key.sqlite")
    seen |= {check.kind for check, _ in score(read_key(tmp_path / "key.sqlite"), outputs).failures}
    planted = {plant.kind for instance in corpus.instances for plant in instance.plants}
    assert {kind for kind in planted if kind.startswith("faulty/") and not kind.endswith("/header")} <= seen


def test_a_date_that_may_not_be_moved_is_a_leak_where_it_is_moved(tmp_path) -> None:
    folder = tmp_path / "input"
    corpus = generator.build(folder, 4, ("faulty/birth/da", "faulty/shared/calibration/"))
    for instance in corpus.instances:
        ds = pydicom.dcmread(folder / instance.path)
        for plant in instance.plants:
            if plant.nature == "unmoved":
                element_at(ds, plant.path).value = "20110405"
        ds.save_as(folder / instance.path)
    outputs = Outputs(corpus, {instance.path: folder / instance.path for instance in corpus.instances})
    moved = {leak.kind for leak in find_leaks(corpus, outputs, "research_longitudinal") if leak.nature == "moved"}
    assert moved == {
        plant.kind for instance in corpus.instances for plant in instance.plants if plant.nature == "unmoved"
    }
