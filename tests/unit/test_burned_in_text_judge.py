"""Judging: the lexicon, patterns, the allow-list, lines, policies, decisions, and the union over a series."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace

import pytest

from phi_deid_pipeline.burned_in_text.judge import RESOURCES, is_benign, judge, load_words
from phi_deid_pipeline.burned_in_text.match import Matcher, allowed_edits, contains, date_forms, folded
from phi_deid_pipeline.records import Box, Category, Reading, Region, Verdict


@dataclass(frozen=True)
class KnownEntry:
    category: Category
    value: str


@dataclass(frozen=True)
class KnownEntries:
    entries: frozenset[KnownEntry]


LEXICON = KnownEntries(
    frozenset(
        {
            KnownEntry(Category.NAME, "Mustermann^Erika"),
            KnownEntry(Category.NAME, "PLA"),
            KnownEntry(Category.RECORD_NUMBER, "A-4711"),
            KnownEntry(Category.DATE, "19640812"),
            KnownEntry(Category.INSTITUTION, "Waldkrankenhaus Erlenbach"),
        }
    )
)
NOBODY = KnownEntries(frozenset())


def region(
    text: str, *, x: int = 10, y: int = 10, w: int = 0, confidence: float = 0.95, frame: int = 0, **more
) -> Region:
    return Region(frame, Box(x, y, w or 8 * max(len(text), 1), 14), text, confidence, 0.9, "ppocr", **more)


def reading(*regions: Region, rows: int = 200, columns: int = 400, status: str = "read", detail: str = "") -> Reading:
    return Reading("k", status, detail, 1, 1, ("ppocr",), tuple(regions), rows, columns)


def verdict(text: str, lexicon: KnownEntries = LEXICON, hide: str = "all_but_benign", **more):
    (found,) = judge([("1.2", "a", reading(region(text, **more)))], lexicon, hide, {})
    (finding,) = found.findings
    return finding


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("MUSTERMANN ERIKA", "name"),
        ("Erika Mustermann", "name"),
        ("MU5TERMAMN", "name"),
        ("MUSTERNANN", "name"),
        ("PLA", "name"),
        ("A4711", "record_number"),
        ("A-47II", "record_number"),
        ("12.08.1964", "date"),
        ("12-Aug-64", "date"),
        ("Erlenbach", "institution"),
    ],
)
def test_text_that_matches_the_lexicon_is_identifying(text, category):
    finding = verdict(text)
    assert (finding.verdict, finding.category, finding.hide) == (Verdict.IDENTIFYING, category, True)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("03/02/2017", "date"),
        ("03-May-18", "date"),
        ("5:24:54 PM", "date"),
        ("14:07", "date"),
        ("12 08 64", "date"),
        ("525201", "record_number"),
        ("377.,030", "record_number"),
        ("DOB unknown", "date"),
        ("Dr Who", "person"),
        ("St. Mary Hospital", "institution"),
        ("Name: Xyz", "name"),
        ("MRN", "record_number"),
        ("Acc.", "accession"),
        ("Sexo", "other"),
        ("555-123-4567", "contact"),
        ("(555) 123 4567", "contact"),
        ("0911 98765", "contact"),
        ("V5.2 2016-03-04", "date"),  # a build date stands for no visit, but nobody can tell
        ("SW 1.02 04-MAR-16", "date"),
        ("Build 20160304", "record_number"),
        ("a.b@example.org", "contact"),
    ],
)
def test_patterns_and_cue_words_identify_without_a_lexicon(text, category):
    finding = verdict(text, NOBODY)
    assert (finding.verdict, finding.category, finding.hide) == (Verdict.IDENTIFYING, category, True)


@pytest.mark.parametrize("text", [
    "F 92Y", "90y", "092Y", "101Y", "90 YEARS", "95 yo", "97A", "102 y", "F 92 Y", "F/92", "m/101", "95 y f", "91/M", "F 90Y", "90 J M",
    "F90Y", "M100Y", "W92J", "F.92Y", "m 101", "F92",  # no blank, or the Y is not read
    "F99W", "F 9OY", "ge 91",  # as misread
])  # fmt: skip
def test_ages_above_89_identify(text):
    finding = verdict(text, NOBODY)
    assert (finding.verdict, finding.category, finding.hide) == (Verdict.IDENTIFYING, "other", True)


@pytest.mark.parametrize(
    "text",
    ["123 456 789", "555 123 456", "MI 0.8 123 456 789", "12 8 52", "123 456", "24/12", "12-08", "08/64", "03/04"],
)
def test_numbers_in_groups_and_days_without_a_year_are_not_benign(text):
    finding = verdict(text, NOBODY)
    assert finding.verdict is not Verdict.BENIGN and finding.hide


@pytest.mark.parametrize(
    "text",
    [
        "0 50 100 150", "100 120 140", "5 4 3 2 1", "1 2", "3/4", "1/2", "IM 4/12", "FR 12/30", "15/30", "89 Y",
        "X 95 Y 102", "F/4", "W 100", "F 90 Y 102", "F89Y", "M 12", "GE 12", "F 40",
    ],
)  # fmt: skip
def test_scales_counts_and_ages_up_to_89_are_benign(text):
    assert verdict(text, NOBODY).verdict is Verdict.BENIGN


@pytest.mark.parametrize(
    "text", ["PHILIPS", "L", "MI 0.8", "TIS0.1", "15.0 cm", "40Hz", "L12-5", "120 kV", "SUPINE", "60%", "Gn 60", "R AP"]
)
def test_allowed_words_numbers_and_units_are_benign_and_kept(text):
    finding = verdict(text, NOBODY)
    assert (finding.verdict, finding.hide) == (Verdict.BENIGN, False)


@pytest.mark.parametrize(
    "text",
    [
        "LYMPH NODE", "ULTRASOUND", "Adult Echo", "Adv Breast", "Asc Ao Diam 3.3 cm", "Asc Ao Index", "Vmax 1.2 m/s",
        "HR 72 bpm", "TIS<0.4", "D 15.0 cm", "FR 31 Hz", "2D 64%", "2D-100%", "20dB/DR60", "3cm3cm 8M12L", "Sag Liver",
        "SMPTE TEST PATTERN", "HPen-HGen", "6C1 HD", "5.0 R15 G66", "General", "MapE/ST2", "CINE 0118",
    ],
)  # fmt: skip
def test_imaging_words_and_settings_are_benign_and_kept(text):
    finding = verdict(text, NOBODY)
    assert (finding.verdict, finding.hide) == (Verdict.BENIGN, False)


@pytest.mark.parametrize(
    "text", ["Hart", "Short", "Echo Hart", "NODE SMITH", "OB", "Bernard", "DR 7", "Dr60 Node", "D 15", "D cm"]
)
def test_imaging_word_that_is_a_name_too_or_a_bare_letter_is_hidden(text):
    assert verdict(text, NOBODY).hide


@pytest.mark.parametrize(
    "text", ["Children", "Regional", "Laboratory", "Private", "Nurse", "Mother", "TEST", "Test Node"]
)
def test_word_of_the_vocabulary_that_tells_a_place_or_person_is_hidden(text):
    assert verdict(text, NOBODY).hide


@pytest.mark.parametrize("name", ["Node^Ann", "LYMPH", "Echo^X", "Nodes^A"])
def test_imaging_word_that_is_the_patients_name_is_hidden(name):
    lexicon = KnownEntries(frozenset({KnownEntry(Category.NAME, name)}))
    assert verdict("LYMPH NODE ECHO", lexicon).verdict is Verdict.IDENTIFYING


def test_vocabulary_names_no_institution_away():
    lexicon = KnownEntries(frozenset({KnownEntry(Category.INSTITUTION, "Ellenbogen")}))
    assert verdict("ELLENBOGEN", lexicon).verdict is Verdict.IDENTIFYING


def test_setting_beside_an_identifier_is_no_part_of_it():
    parts = reading(region("MI 0.8", x=10, w=60), region("03-May-18", x=80, w=90), region("Breast", x=180, w=60))
    (found,) = judge([("1.2", "a", parts)], NOBODY, "all_but_benign", {})
    assert [(f.verdict, f.category, f.hide) for f in found.findings] == [
        (Verdict.BENIGN, "", False),
        (Verdict.IDENTIFYING, "date", True),
        (Verdict.IDENTIFYING, "date", True),
    ]


def test_setting_that_completes_an_identifier_of_its_line_is_hidden():
    lexicon = KnownEntries(frozenset({KnownEntry(Category.RECORD_NUMBER, "1-MI-0.8-4711")}))
    parts = reading(region("1-MI 0.8", x=10, w=60), region("4711", x=80, w=40))
    (found,) = judge([("1.2", "a", parts)], lexicon, "all_but_benign", {})
    assert [f.hide for f in found.findings] == [True, True]


@pytest.mark.parametrize("text", ["Smith", "2017", "Городская 12", "XQZ 12"])
def test_text_on_no_list_is_unknown_and_hidden(text):
    finding = verdict(text, NOBODY)
    assert (finding.verdict, finding.category, finding.hide) == (Verdict.UNKNOWN, "", True)


def test_allowed_word_read_without_confidence_is_unknown():
    assert verdict("PHILIPS", NOBODY, confidence=0.79).verdict is Verdict.UNKNOWN


def test_allowed_word_in_a_long_box_is_under_read_and_unknown():
    assert verdict("12", NOBODY, w=200).verdict is Verdict.UNKNOWN


def test_allowed_word_that_is_the_patients_name_is_identifying():
    lexicon = KnownEntries(frozenset({KnownEntry(Category.NAME, "Philips^Ann")}))
    assert verdict("PHILIPS", lexicon).verdict is Verdict.IDENTIFYING


def test_text_of_the_second_reader_alone_can_identify():
    finding = verdict("MVSTXWRQ", confidence=0.5, second_text="MUSTERMANN")
    assert finding.verdict is Verdict.IDENTIFYING


def test_reasons_never_hold_the_text():
    for text in ("MUSTERMANN", "12.08.1964", "525201", "Dr Who", "Smith", "PHILIPS"):
        assert not any(word.casefold() in verdict(text).reason.casefold() for word in text.split() if len(word) > 2)


def test_line_is_as_identifying_as_its_worst_part():
    parts = reading(region("PHILIPS", x=10, w=60), region("525201", x=80, w=50), region("PHILIPS", x=300, w=60))
    (found,) = judge([("1.2", "a", parts)], NOBODY, "all_but_benign", {})
    assert [(f.box.x, f.verdict, f.hide) for f in found.findings] == [
        (10, Verdict.IDENTIFYING, True),
        (80, Verdict.IDENTIFYING, True),
        (300, Verdict.BENIGN, False),
    ]


def upright(text: str, y: int, h: int, *, x: int = 100, w: int = 14) -> Region:
    return Region(0, Box(x, y, w, h), text, 0.95, 0.9, "ppocr")


def test_a_letter_in_line_with_an_upright_text_is_hidden_with_it_and_what_stands_apart_stays():
    name = upright("USTERMANN", 30, 100)
    rows = reading(
        name, upright("L", 138, 18, x=98, w=18), region("SUPINE", x=80, y=160), upright("R", 60, 18, x=240, w=18)
    )
    (found,) = judge([("1.2", "a", rows)], LEXICON, "all_but_benign", {})
    assert {f.text: f.hide for f in found.findings} == {"USTERMANN": True, "L": True, "SUPINE": False, "R": False}


def test_name_split_over_two_boxes_of_a_line_is_identifying():
    parts = reading(region("MUSTE", x=10, w=50), region("RMANN", x=64, w=50))
    (found,) = judge([("1.2", "a", parts)], LEXICON, "identifying_only", {})
    assert {f.verdict for f in found.findings} == {Verdict.IDENTIFYING}


def test_benign_box_that_a_fill_touches_is_filled_whole():
    parts = reading(region("525201", x=100, y=10, w=60), region("PHILIPS", x=110, y=25, w=60))
    (found,) = judge([("1.2", "a", parts)], NOBODY, "all_but_benign", {})
    assert [f.hide for f in found.findings] == [True, True]
    assert found.findings[1].verdict is Verdict.BENIGN


def test_benign_boxes_in_a_column_do_not_go_one_for_the_other():
    lines = ("525201", "PHILIPS", "THORAX", "SUPINE")
    parts = reading(*(region(text, x=100, y=10 + 15 * n, w=60) for n, text in enumerate(lines)))
    (found,) = judge([("1.2", "a", parts)], NOBODY, "all_but_benign", {})
    assert [f.hide for f in found.findings] == [True, True, False, False]


@pytest.mark.parametrize(
    ("hide", "hidden", "hold"),
    [
        ("all_text", [True, True, True], ()),
        ("all_but_benign", [True, True, False], ()),
        ("identifying_only", [True, False, False], ("text_unreadable",)),
    ],
)
def test_policy_decides_which_verdicts_are_hidden(hide, hidden, hold):
    parts = reading(region("525201", y=10), region("Smith", y=60), region("PHILIPS", y=120))
    (found,) = judge([("1.2", "a", parts)], NOBODY, hide, {})
    assert [f.hide for f in found.findings] == hidden
    assert found.hold == hold


def test_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="hide is none of"):
        judge([], NOBODY, "nothing", {})


def test_decision_keeps_or_hides_a_finding_and_ends_the_hold():
    parts = reading(region("Smith", y=10), region("PHILIPS", y=60))
    (before,) = judge([("1.2", "a", parts)], NOBODY, "identifying_only", {})
    smith, philips = (f.id for f in before.findings)
    decisions = {("1.2", smith): "keep", ("1.2", philips): "hide"}
    (found,) = judge([("1.2", "a", parts)], NOBODY, "identifying_only", decisions)
    assert [f.hide for f in found.findings] == [False, True]
    assert found.hold == () and found.fills == (Box(10, 60, 56, 14),)


def test_id_of_a_finding_is_made_of_frame_plane_box_and_text():
    content = b'[0, "pixels", 10, 10, 40, 10, "M\\u00fcller"]'
    (found,) = judge(
        [("1.2", "a", reading(replace(region("M\u00fcller"), box=Box(10, 10, 40, 10))))], NOBODY, "all_text", {}
    )
    assert found.findings[0].id == hashlib.sha256(content).hexdigest()[:12]

    others = [region("A", x=10), region("A", x=11), region("B", x=10), replace(region("A", x=10), frame=1)]
    ids = {judge([("1.2", "a", reading(one))], NOBODY, "all_text", {})[0].findings[0].id for one in others}
    assert len(ids) == 4


def test_decision_follows_its_text_where_a_new_reading_finds_more_above_it():
    (before,) = judge([("1.2", "a", reading(region("PHILIPS", y=60)))], NOBODY, "all_text", {})
    decisions = {("1.2", before.findings[0].id): "keep"}

    (found,) = judge(
        [("1.2", "a", reading(region("Smith", y=10), region("PHILIPS", y=60)))], NOBODY, "all_text", decisions
    )
    assert [(f.text, f.hide) for f in found.findings] == [("Smith", True), ("PHILIPS", False)]

    (found,) = judge([("1.2", "a", reading(region("Smith", y=60)))], NOBODY, "all_text", decisions)
    assert [f.hide for f in found.findings] == [True]


def fills_of(*readings: Reading) -> list:
    rows = [(f"1.{number}", f"{number}", one) for number, one in enumerate(readings)]
    return judge(rows, NOBODY, "all_but_benign", {})


def test_static_text_is_filled_in_every_instance_of_its_matrix_and_no_other():
    text = region("525201", x=10)
    moved = replace(text, box=Box(12, 11, 48, 14))
    found = fills_of(reading(text), reading(moved), reading(), reading(rows=64, columns=64), reading(status="skipped"))
    union = (Box(10, 10, 48, 14), Box(12, 11, 48, 14))
    assert [f.fills for f in found] == [union, union, union, (), ()]
    assert found[2].fill_categories == ("record_number", "record_number")


def test_text_of_few_slices_is_filled_in_these_alone():
    found = fills_of(*(reading(region("525201")) if n in (3, 4) else reading() for n in range(30)))
    assert [n for n, f in enumerate(found) if f.fills] == [3, 4]
    found = fills_of(*(reading(region("525201")) if n == 1 else reading() for n in range(3)))
    assert [n for n, f in enumerate(found) if f.fills] == [1]


def test_text_of_a_tenth_of_the_slices_is_static():
    found = fills_of(*(reading(region("525201")) if n < 3 else reading() for n in range(30)))
    assert all(f.fills == (Box(10, 10, 48, 14),) for f in found)


def test_text_of_one_of_two_instances_may_be_static_and_is_filled_in_both():
    assert all(f.fills for f in fills_of(reading(region("525201")), reading()))


def cine(*regions: Region, frames: int = 20, read: int = 20) -> Reading:
    return replace(reading(*regions), frames=frames, frames_read=read)


def test_text_told_once_in_a_cine_is_filled_in_its_frame_and_those_alike():
    (found,) = fills_of(cine(region("525201", frame=4)))
    assert found.fills == () and found.frame_fills == ((4, Box(10, 10, 48, 14)),)
    assert found.frame_fill_categories == ("record_number",)


def test_place_that_shows_several_texts_over_a_cine_is_filled_in_every_frame():
    (found,) = fills_of(cine(region("525201", frame=0), region("525207", frame=7)))
    assert found.fills == (Box(10, 10, 48, 14),) and found.frame_fills == ()


def test_text_of_a_cine_of_which_frames_were_left_out_is_filled_in_every_frame():
    (found,) = fills_of(cine(region("525201", frame=4), read=3))
    assert found.fills == (Box(10, 10, 48, 14),) and found.frame_fills == ()


def test_text_that_several_cines_show_at_one_place_is_static():
    found = fills_of(*(cine(region("525201", frame=n)) for n in range(3)), cine())
    assert all(f.fills == (Box(10, 10, 48, 14),) and not f.frame_fills for f in found)


def test_text_in_an_overlay_is_judged_and_fills_no_pixels():
    (found,) = judge([("1", "a", reading(region("525201", plane="overlay 6000")))], NOBODY, "all_but_benign", {})
    assert found.findings[0].hide and found.fills == ()


def test_text_left_after_the_last_round_holds_the_instance():
    (found,) = judge([("1", "a", reading(detail="text_left"))], NOBODY, "all_but_benign", {})
    assert found.hold == ("text_left",)


def test_edits_grow_with_the_length_of_the_needle():
    assert [allowed_edits(n) for n in (4, 5, 8, 9)] == [0, 1, 1, 2]
    assert contains(folded("xxERLENBACKxx"), folded("ERLENBACH"))
    assert not contains(folded("ERIKO"), folded("ANNA"))
    assert not contains(folded("KROAG"), folded("ERIKA"))


def test_short_needles_match_whole_tokens_only():
    matcher = Matcher([(Category.NAME, "OB")], frozenset())
    assert matcher.category("OB 12") is Category.NAME
    assert matcher.category("OBSTETRIC") is None


def test_dates_have_at_least_fifteen_written_forms_and_bad_ones_none():
    assert len(date_forms("19640812")) >= 15
    assert date_forms("19641312") == set() and date_forms("1964") == set()


LANGUAGES = tuple(sorted(path.stem for path in (RESOURCES / "benign").glob("*.txt")))


def test_allow_list_holds_no_cue_word():
    words = load_words(LANGUAGES)
    assert words.benign & set(words.cues) == set()
    assert not is_benign("", words) and not is_benign("十十", words)


def test_allow_list_is_read_in_the_languages_asked_for():
    assert not is_benign("Übersicht links", load_words())
    assert is_benign("Übersicht links", load_words(("en", "de")))
    assert not is_benign("Übersicht Müller", load_words(LANGUAGES))
    assert {"de", "en", "es", "fr", "it", "nl", "pt"} <= set(LANGUAGES)
    with pytest.raises(ValueError, match="no allow-list in xx"):
        load_words(("en", "xx"))


def test_sites_own_list_changes_the_verdict(tmp_path):
    shutil.copytree(RESOURCES, tmp_path / "words")
    with (tmp_path / "words" / "benign" / "en.txt").open("a", encoding="utf-8") as stream:
        stream.write("XQZ\n")
    own = load_words(("en",), tmp_path / "words")
    (found,) = judge([("1.2", "a", reading(region("XQZ")))], NOBODY, "all_but_benign", {}, own)
    assert found.findings[0].verdict is Verdict.BENIGN
