"""The words that a cleaned description may keep, with the cues and patterns of the languages in use."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from functools import lru_cache
from itertools import product
from pathlib import Path

from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.expressions import Expression, expression
from phi_deid_pipeline.languages import LANGUAGES, Languages, fold_word, load_languages, spellings
from phi_deid_pipeline.lexicon_words import SIDES
from phi_deid_pipeline.text_patterns import Patterns, compile_patterns
from phi_deid_pipeline.value_objects import dataclass
from phi_deid_pipeline.word_forms import WordForms
from phi_deid_pipeline.word_list import WordList, Words

_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "vocabularies"
SURNAMES_FILE = _FOLDER / "name_words.txt"
GIVEN_NAMES_FILE = _FOLDER / "given_names.txt"
EPONYM_SURNAMES_FILE = _FOLDER / "eponym_surnames.txt"
VOCABULARY_FILE = _FOLDER / "vocabulary.txt"
EPONYMS_FILE = _FOLDER / "eponyms.txt"
NEGATIONS_FILE = _FOLDER / "negations.txt"
# What stands behind "by", or a label, and is no person.
MODALITIES = frozenset(
    {"ct", "mr", "mri", "us", "pet", "nm", "xa", "dx", "cr", "mg", "rf", "ecg", "ekg", "eeg", "tc", "rm", "rx", "irm"}
)
ENDINGS_FILE = _FOLDER / "endings.txt"


@dataclass(frozen=True, slots=True)
class Cues:
    """Folded words beside which a person stands; resources/free_text/README.md explains each."""

    titles: frozenset[str]
    modality_titles: frozenset[str]
    title_endings: frozenset[str]
    kept_titles: frozenset[str]
    kept_modality_titles: frozenset[str]
    credentials: frozenset[str]
    soft: frozenset[str]
    roles: frozenset[str]
    persons: frozenset[str]
    study: frozenset[str]
    initials: frozenset[str]
    marked_initials: frozenset[str]
    planning: frozenset[str]
    relatives: frozenset[str]
    relative_links: frozenset[str]
    contacts: frozenset[str]
    contact_links: frozenset[str]
    dangling: frozenset[str]
    articles: frozenset[str]
    noun_articles: frozenset[str]
    bare: frozenset[str]
    conditions: frozenset[str]
    sides: frozenset[str]
    auxiliaries: frozenset[str]
    answers: frozenset[str]
    marks: frozenset[str]
    numbered: frozenset[str]
    conjunctions: frozenset[str]
    extensions: frozenset[str]
    kept: frozenset[str]
    any_kept: Expression


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Folded words that may stay. `names` are surnames or places too: they stay where nothing hints at a person."""

    strong: Container[str]
    plain: Container[str]
    names: Container[str]
    surnames: Container[str]  # strong words that people are called by all the same: they go directly behind a title
    eponyms: dict[str, tuple[tuple[str, ...], ...]]  # first word -> names of things that a person's name is part of
    small: Container[str]  # words that people are called by too: they stay in lower case alone
    forms: WordForms  # what is known by its ending or its parts
    negations: dict[str, bool]  # words that deny what stands behind them -> what stands before them as well?
    cues: Cues
    patterns: Patterns
    given_names: frozenset[str]  # none of them in the vocabulary
    called_after: frozenset[str]  # words of the vocabulary that name a thing after a person

    def __contains__(self, word: str) -> bool:
        return word in self.strong or word in self.plain or word in self.names

    def is_called(self, word: str) -> bool:
        """Tell whether a strong word is what a person may be called by all the same: a surname, or a word that denies."""
        return word in self.surnames or word in self.negations

    def is_sure(self, word: str) -> bool:
        """Tell whether a word is strong, or medicine by its form."""
        return word in self.strong or self.forms.knows(word)

    def may_be_called(self, word: str) -> bool:
        """Tell whether a word of the vocabulary is a surname or place too."""
        return word in self.names or word in self.surnames

    def is_no_name(self, word: str) -> bool:
        """Tell whether a word is none behind a title or label: it denies, points, says who or is a modality."""
        cues = self.cues
        return word in MODALITIES or word in self.negations or word in cues.dangling or word in cues.articles

    def is_region(self, word: str) -> bool:
        """Tell whether a word of a study is a region: neither side nor modality."""
        return word in self.cues.study and word not in MODALITIES and word not in SIDES

    def is_cue(self, word: str) -> bool:
        """Tell whether a person may stand behind a word: for, patient, radiologist."""
        return word in self.cues.soft or word in self.cues.roles

    def is_given_name(self, word: str) -> bool:
        """Tell whether a word is a given name and nothing else."""
        return word in self.given_names

    def is_called_after(self, word: str) -> bool:
        """Tell whether a word is the surname of a person that a thing is called after."""
        return word in self.called_after

    def is_surname(self, word: str) -> bool:
        """Tell whether a word is a surname or place first, and neither a plural nor a word of a study."""
        return word in self.names and not word.endswith("s") and word not in self.cues.study

    def is_called_in_capitals(self, word: str) -> bool:
        """Tell whether a word is a surname or place where it has a capital, and neither denies nor points."""
        return (word in self.small or self.may_be_called(word)) and not self.is_no_name(word)

    def is_called_in_small(self, word: str) -> bool:
        """Tell whether a word is a surname or place in lower case too: no word of a study, no side, no verb that only links."""
        called = (word in self.small or self.is_surname(word)) and not self.is_no_name(word)
        return called and not self.is_study(word) and word not in self.cues.sides and word not in self.cues.auxiliaries

    def is_predicate(self, word: str) -> bool:
        """Tell whether a word says what a person does or is: seen, was."""
        return word in self.cues.contacts or word in self.cues.auxiliaries

    def is_modality(self, word: str) -> bool:
        """Tell whether a word is a modality."""
        return word in MODALITIES

    def is_study(self, word: str) -> bool:
        """Tell whether a word is one of a study, as its modality and region."""
        return word in self.cues.study or word in MODALITIES

    def is_imaging(self, text: str) -> bool:
        """Tell whether all words of a text are in the vocabulary."""
        return all(fold_word(word) in self for word in expression(r"[^\W\d_]+").findall(text))


@lru_cache(maxsize=4)
def load_vocabulary(
    path: Path = VOCABULARY_FILE, languages: tuple[str, ...] = LANGUAGES, accepted: frozenset[str] = frozenset()
) -> Vocabulary:
    """Read the vocabulary with the cues and patterns of these languages; `accepted` are a site's own folded words.

    PolicyError names the line of an unknown strength, or the row of a language that is at fault.
    """
    strength, rows = WordList(path).strength, load_languages(languages)
    surnames = frozenset(SURNAMES_FILE.read_text(encoding="utf-8").split())
    small, no_forms = _folded(rows.small_words), surnames | _persons(rows)
    strong = Words(lambda word: strength(word) == "strong")
    return Vocabulary(
        strong,
        Words(
            lambda word: strength(word) == "plain" or (word in accepted and strength(word) not in ("strong", "name"))
        ),
        Words(lambda word: strength(word) == "name"),
        Words(lambda word: word in surnames and strength(word) == "strong"),
        _eponyms(EPONYMS_FILE),
        Words(lambda word: strength(word) == "lower" or word in small),
        WordForms(strong, _listed(ENDINGS_FILE), Words(lambda word: word in no_forms or strength(word) == "lower")),
        _negations(NEGATIONS_FILE),
        _cues(rows),
        compile_patterns(rows),
        _listed(GIVEN_NAMES_FILE),
        _listed(EPONYM_SURNAMES_FILE),
    )


def _eponyms(path: Path) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return the phrases of a file by their first word; # begins a comment where a line begins with it, | parts alternatives."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and line[0] != "#":
            words = line.split()
            for phrase in product(*(word.split("|") for word in words)) if "|" in line else (tuple(words),):
                found.setdefault(phrase[0], []).append(phrase)
    return {first: tuple(sorted(phrases, key=len, reverse=True)) for first, phrases in found.items()}


def _negations(path: Path) -> dict[str, bool]:
    """Return the words of a file; those of lines that start with < deny what stands before them too."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {word: line[0] == "<" for line in lines if line and line[0] != "#" for word in line.lstrip("< ").split()}


def _listed(path: Path) -> frozenset[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def parse_accepted_words(text: str) -> frozenset[str]:
    """Return the folded words of a site's list, one a line, `#` starts a comment; ConfigError names the line at fault."""
    words = set()
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if word and (not expression(r"[^\W\d_]{2,}\d{0,4}[^\W\d_]?").fullmatch(word) or len(word) > 64):
            raise ConfigError(
                f"Accepted words, line {number}: must be one word of letters, at most four digits behind it."
            )
        if word:
            words.add(fold_word(word))
    return frozenset(words)


def _folded(rows: Iterable[str]) -> frozenset[str]:
    return frozenset(map(fold_word, rows))


def _persons(rows: Languages) -> frozenset[str]:
    """Return the words for persons and dates, which no form makes known: Befunder is no inflection of Befund."""
    persons = (*rows.titles, *rows.credentials, *rows.role_labels, *rows.soft_cues, *rows.relatives, *rows.person_words)
    return _folded(
        (*persons, *rows.initial_cues, *rows.contact_words, *rows.months, *rows.id_labels, *rows.birth_labels)
    )


def _cues(rows: Languages) -> Cues:
    titles, modality_titles = _folded(rows.titles), _folded(rows.modality_titles)
    described = _folded(rows.titles_of_descriptions)
    written = {*rows.titles, *rows.modality_titles, *rows.kept_cues} - set(rows.titles_of_descriptions)
    alternatives = "|".join(spellings(written)) or "(?!)"
    return Cues(
        titles=titles,
        modality_titles=modality_titles,
        title_endings=_folded(rows.title_endings),
        kept_titles=titles - described,
        kept_modality_titles=modality_titles - described,
        credentials=_folded(rows.credentials),
        soft=_folded(rows.soft_cues),
        roles=_folded(rows.role_labels),
        persons=_folded((*rows.role_labels, *rows.person_words, *rows.relatives)),
        study=_folded(rows.study_words),
        initials=_folded(rows.initial_cues),
        marked_initials=_folded(rows.initial_cues_with_mark),
        planning=_folded(rows.planning_words),
        relatives=_folded(rows.relatives),
        relative_links=_folded(rows.relative_links),
        contacts=_folded(rows.contact_words),
        contact_links=_folded(rows.contact_links),
        dangling=_folded(rows.dangling),
        articles=_folded(rows.articles),
        noun_articles=_folded(rows.noun_articles),
        bare=_folded(rows.bare_negations),
        conditions=_folded(rows.conditions),
        sides=_folded(rows.sides),
        auxiliaries=_folded(rows.auxiliaries),
        answers=_folded(rows.answers),
        marks=_folded(rows.number_marks),
        numbered=_folded(rows.numbered_words),
        conjunctions=_folded(rows.conjunctions),
        extensions=_folded(row for row in (*rows.extension_labels, *rows.extension_marks) if len(row) > 1),
        kept=_folded(rows.kept_cues),
        any_kept=Expression(rf"(?<![^\W_])(?:{alternatives})(?![^\W_])", re.IGNORECASE),
    )
