"""What an engine remembers of a series changes nothing: one that remembers and one that is new write the same."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from deid_fuzz import fuzzed_instance
from phi_deid_pipeline import element_memo
from phi_deid_pipeline.element_memo import ElementMemo, Outcome
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.header_memo import Run
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.raw_elements import DEFLATED, parse_instance
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.uid_mapping import UidMapper

UIDS = UidMapper(b"s" * 32)
LEXICON = Lexicon({Entry(Category.NAME, "Quixotte^Marvin"), Entry(Category.RECORD_NUMBER, "MRN777123")})
PATIENTS = (
    PatientContext("PXYZ", LEXICON, offset_days=-700),
    PatientContext("PABC", LEXICON, offset_days=-700),
    PatientContext("PXYZ", LEXICON, offset_days=-707, name="Trial 7"),
    PatientContext("PXYZ", Lexicon(), offset_days=-700, trial={0x00120010: ("LO", "Sponsor")}),
)
# What other elements' outcomes depend on: SOP class, modality, maker, character set, birth date, type of a document.
DECISIVE = (0x00080005, 0x00080016, 0x00080060, 0x00080070, 0x00100030, 0x00420012)


def series(seed: int) -> list[bytes]:
    """Return instances that differ in one top-level element each, which is left out or comes from another instance."""
    rng = random.Random(seed)
    base = fuzzed_instance(seed)
    with parse_instance(base) as instance:
        if instance.transfer_syntax_uid in DEFLATED or not instance.elements:
            return []
        elements = {e.tag: base[e.start : e.end] for e in instance.elements}
        head = base[: instance.elements[0].start]
        encoding = instance.explicit, instance.little
    made = [base, base]
    for other_seed in rng.sample(range(400), 60):
        data = fuzzed_instance(other_seed)
        with parse_instance(data) as other:
            if (other.explicit, other.little) != encoding or other.transfer_syntax_uid in DEFLATED:
                continue
            others = {e.tag: data[e.start : e.end] for e in other.elements if e.tag < 0x7FE00000}
        for tag in {rng.choice(sorted(others)), rng.choice(DECISIVE)}:
            changed = elements | ({tag: others[tag]} if tag in others else {})
            made.append(head + b"".join(changed[t] for t in sorted(changed)))
        gone = rng.choice(sorted(elements))
        made.append(head + b"".join(elements[t] for t in sorted(elements) if t != gone))
    rng.shuffle(made)
    return made


def outcome(engine: InstanceDeidentifier, data: bytes, patient: PatientContext, target: Path) -> tuple[object, ...]:
    try:
        with parse_instance(data) as instance:
            result = engine.deidentify(
                instance, target, patient, None, text_scan_found_nothing_left=True, redacted=False
            )
    except UnreadableInstance as error:
        return error.reason, error.detail
    return target.read_bytes(), result


@pytest.fixture(scope="module", params=["hipaa_safe_harbor", "research_longitudinal", "by_maker"])
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    if request.param != "by_maker":
        return load_policy(request.param)
    path = tmp_path_factory.mktemp("policy") / "site.yaml"
    rows = "- {tag: StudyDescription, action: X, reason: r, modality: CT}\n"
    rows += "- {tag: SeriesDescription, action: K, reason: r, manufacturer: a}"
    path.write_text(f"name: site\nextends: hipaa_safe_harbor\noverrides:\n{rows}\n", encoding="utf-8")
    return load_policy(path)


def test_an_engine_that_remembers_writes_what_a_new_one_writes(policy: Policy, tmp_path: Path) -> None:
    seen = Counter[str]()
    for seed in range(6):
        rng = random.Random(seed)
        engine, new_words = InstanceDeidentifier(policy, UIDS), Counter[tuple[str, str]]()
        for data in series(seed):
            patient = rng.choice(PATIENTS)
            new = InstanceDeidentifier(policy, UIDS)
            expected = outcome(new, data, patient, tmp_path / "new")
            assert outcome(engine, data, patient, tmp_path / "old") == expected, f"seed {seed}"
            new_words += new.unknown_words
            seen[type(expected[0]).__name__] += 1
        assert engine.unknown_words == new_words
    assert seen["bytes"] > 100


def test_a_birth_date_is_told_by_the_study_date_of_each_instance(tmp_path: Path) -> None:
    """Content Date is a dummy where it is the birth date, and moved where the study is of that day; its bytes are the same."""
    policy = load_policy("research_longitudinal")
    engine = InstanceDeidentifier(policy, UIDS)
    patient = replace(PATIENTS[0], lexicon=Lexicon([Entry(Category.BIRTH_DATE, "19480523")]))
    written = []
    for study in (b"20200312", b"19480523", b"20200312"):
        values = {0x00080016: (b"UI", b"1.2.3.4\0"), 0x00080018: (b"UI", b"1.2.3.5\0"), 0x00080020: (b"DA", study)}
        values[0x00080023] = (b"DA", b"19480523")
        body = b"".join(
            (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr + bytes([len(v), 0]) + v
            for tag, (vr, v) in values.items()
        )
        data = bytes(128) + b"DICM" + body
        found = outcome(engine, data, patient, tmp_path / "x")
        assert found == outcome(InstanceDeidentifier(policy, UIDS), data, patient, tmp_path / "y")
        written.append(found[0])
    assert written[0] == written[2] and b"DA\x08\x0019000101" in written[0]
    assert b"DA\x08\x0019000101" not in written[1] and b"19480523" not in written[1]


@pytest.mark.parametrize(("tag", "vr"), [(0x00080020, b"DA"), (0x00080016, b"UI"), (0x00080005, b"CS")])
def test_another_value_of_what_outcomes_depend_on_is_another_condition(tag: int, vr: bytes) -> None:
    engine = InstanceDeidentifier(load_policy("hipaa_safe_harbor"), UIDS)

    def under(value: bytes, patient: PatientContext = PATIENTS[0]) -> tuple[object, ...]:
        header = tag.to_bytes(4, "big")
        element = header[1::-1] + header[3:1:-1] + vr + len(value).to_bytes(2, "little") + value
        data = bytes(128) + b"DICM" + element
        with parse_instance(data) as instance:
            root = engine.root(instance, instance.text(0x00080016))
            return element_memo.condition(root, instance, instance.charset(), patient)

    first, second = {
        b"DA": (b"19500101", b"19500102"),
        b"UI": (b"1.2", b"1.3\0"),
        b"CS": (b"ISO_IR 100", b"ISO_IR 192"),
    }[vr]
    assert under(first) == under(first) != under(second)
    for change in ({"pseudonym": "PQ"}, {"name": "N"}, {"offset_days": -7}):
        assert under(first) != under(first, replace(PATIENTS[0], **change))


def test_another_patient_or_a_full_memory_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(element_memo, "MOST", 1)
    memo, other = ElementMemo(), Lexicon()
    nothing = Outcome(None, (), 0, 0, ())
    memo.known(LEXICON, ("a",)).elements[b"1"] = nothing
    assert memo.known(LEXICON, ("a",)).elements == {b"1": nothing} and memo.known(LEXICON, ("b",)).elements == {}
    assert memo.known(other, ("a",)).elements == {}
    memo.known(other, ("a",)).elements.update({b"1": nothing, b"2": nothing})
    assert memo.known(other, ("a",)).elements == {}
    run = Run(b"", [], 0, [], changes=False)
    memo.known(other, ("a",)).runs.update({(run, frozenset(), left): (nothing, left) for left in range(2)})
    assert memo.known(other, ("a",)).runs == {}
