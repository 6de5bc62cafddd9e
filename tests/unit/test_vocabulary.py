"""The vocabulary keeps the words of imaging, takes a site's own, and faults in a list are named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phi_deid_pipeline.errors import ConfigError, PolicyError
from phi_deid_pipeline.free_text import clean_descriptor, load_vocabulary
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.vocabulary import VOCABULARY_FILE, parse_accepted_words
from phi_deid_pipeline.word_list import WordList
from text_cleaning import NOBODY, clean_text

DESCRIPTIONS = Path(__file__).resolve().parents[1] / "benchmarks" / "words"
WANTED = 0.99  # share of the words of typical descriptions that must stay


def _share_kept(path: Path) -> float:
    kept = total = 0
    for text in path.read_text(encoding="utf-8").splitlines():
        if text.startswith("#"):
            continue
        left = re.findall(r"[^\W_]+", clean_text(text))
        for word in re.findall(r"[^\W_]+", text):
            total += 1
            if word in left:
                left.remove(word)
                kept += 1
    assert total > 500
    return kept / total


@pytest.mark.parametrize("name", ["descriptions.txt", "descriptions_held_out.txt"])
def test_words_of_typical_descriptions_stay(name):
    assert _share_kept(DESCRIPTIONS / name) >= WANTED


def _languages() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (DESCRIPTIONS / "sentences.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = []
        elif not line.startswith("#"):
            found[list(found)[-1]].append(line)
    return found


@pytest.mark.parametrize(("language", "sentences"), _languages().items())
def test_words_of_sentences_stay_in_every_language(language, sentences):
    words = [word for text in sentences for word in re.findall(r"[^\W_]+", text)]
    left = [word for text in sentences for word in re.findall(r"[^\W_]+", clean_text(text))]
    assert len(words) > 70
    assert len(left) / len(words) >= 0.98, language


@pytest.mark.parametrize(
    "text",
    [
        "Guillain-Barré",
        "Budd-Chiari",
        "Kellgren-Lawrence III",
        "Le Fort II",
        "Salter-Harris II",
        "Gustilo-Anderson IIIA",
        "Legg-Calvé-Perthes",
        "Danis-Weber C",
        "Schizas C",
        "maladie de Crohn",
        "ziekte van Crohn",
        "kyste de Baker",
        "Circle of Willis",
        "NG tube",
    ],
)
def test_names_of_things_stay_with_their_grades(text):
    assert clean_text(text) == text


@pytest.mark.parametrize("text", ["Guillain, Barré", "Willis", "M. Paget Thorax", "CT Gustilo", "Dr. Weber C"])
def test_name_of_a_thing_goes_where_nothing_makes_it_one(text):
    assert clean_text(text) in {"", "Thorax", "CT"}


def test_word_that_is_a_name_too_stays_in_lower_case_alone():
    assert clean_text("Knochen klein, Fraktur am Rand") == "Knochen klein, Fraktur"
    assert clean_text("Klein Abdomen") == "Abdomen"


def test_accepted_words_stay_unless_they_identify_or_follow_a_cue():
    accepted = load_vocabulary(accepted=parse_accepted_words("Glarfomir # our own\n\nwibble\n"))
    text = "CT Glarfomir, wibble for Wibble"
    assert clean_text(text) == "CT"
    assert clean_descriptor(text, NOBODY, accepted) == "CT Glarfomir, wibble"
    known = Lexicon([Entry(Category.NAME, "Glarfomir^Ann")])
    assert clean_descriptor(text, known, accepted) == "CT wibble"


def test_accepted_word_never_gains_strength_that_the_vocabulary_did_not_give():
    accepted = load_vocabulary(accepted=parse_accepted_words("white\nhead\n"))
    assert "white" in accepted.names and "white" not in accepted.plain
    assert "head" in accepted.strong and "head" not in accepted.plain


@pytest.mark.parametrize("line", ["two words", "x", "a" * 65, "4711", "a-b", "ab12345", "name@example.org"])
def test_line_that_is_no_word_is_named_by_number_and_not_quoted(line):
    with pytest.raises(ConfigError, match="Accepted words, line 2") as refusal:
        parse_accepted_words(f"good\n{line}\n")
    assert line not in str(refusal.value)


def test_unknown_words_are_those_that_went_for_want_of_a_vocabulary():
    unknown: list[str] = []
    known = Lexicon([Entry(Category.NAME, "Quux^Ann")])
    text = "CT Glarfomir 3.0 VBX17A for Smith, Quux, Mrs Jones, KLUGMAN MD, 12 Oakum Street, ünglarf"
    clean_descriptor(text, known, load_vocabulary(), unknown)
    assert unknown == ["glarfomir", "vbx", "unglarf"]


@pytest.mark.parametrize("line", ["head", "\tstrong", "head\tloud", "head\tplain\tname", "head\tplain\tname\tx"])
def test_faulty_line_of_a_vocabulary_is_named(tmp_path, line):
    path = tmp_path / "words.txt"
    path.write_text(f"# ours\nchest\tstrong\n\n{line}\nneck\tname\n", encoding="utf-8")
    with pytest.raises(
        PolicyError, match=r"words\.txt: line 4: must be a word, a tab and strong, plain, name or lower"
    ):
        load_vocabulary(path)


def test_every_word_of_the_list_has_its_strength_and_no_other_word_has_one():
    rows = [line.split("\t") for line in VOCABULARY_FILE.read_text(encoding="utf-8").splitlines()[1:]]
    listed = WordList(VOCABULARY_FILE)
    assert rows == sorted(rows)
    assert [listed.strength(word) for word, _ in rows] == [strength for _, strength in rows]
    words = {word for word, _ in rows}
    others = {form for word in words for form in (word[:-1], f"{word}q", f"{word}\tstrong")} - words
    assert not any(map(listed.strength, others))


@pytest.mark.parametrize("word", ["", "\n", "\t", "a\tstrong", "a\tstrong\naaa", "#", "\U0010ffff"])
def test_what_is_no_word_has_no_strength(word):
    assert WordList(VOCABULARY_FILE).strength(word) == ""


def test_comments_and_empty_lines_between_words_are_passed_over(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("# of ours\n\nhead\tstrong\n# more\nneck\tlower", encoding="utf-8")
    listed = WordList(path)
    assert [listed.strength(word) for word in ("head", "neck", "# more")] == ["strong", "lower", ""]
