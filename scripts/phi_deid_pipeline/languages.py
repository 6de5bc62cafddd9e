"""The words by which free text shows a person, a date or an address, per language: resources/free_text/*.json."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from phi_deid_pipeline.errors import PolicyError
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.value_objects import dataclass, field_names

LANGUAGES_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "free_text"
LANGUAGES = ("en", "de", "fr", "es", "it", "nl")
_ALLOWED = Expression(r"[^\W\d_][\w .'/°º-]*")  # what a row may be: the loader makes patterns of it
_ROW = r"[^\W\d_][\w.'/°º-]*(?: [\w.'/°º-]+)*"
_ROWS = Expression(rf"{_ROW}(?:\n{_ROW})*")  # a list without a fault


@dataclass(frozen=True, slots=True)
class Languages:
    """Rows of the chosen languages, each list joined, as they are written; resources/free_text/README.md explains them."""

    titles: tuple[str, ...]
    modality_titles: tuple[str, ...]
    titles_of_descriptions: tuple[str, ...]
    small_titles: tuple[str, ...]
    region_titles: tuple[str, ...]
    title_endings: tuple[str, ...]
    credentials: tuple[str, ...]
    soft_cues: tuple[str, ...]
    dotted_abbreviations: tuple[str, ...]
    initial_cues: tuple[str, ...]
    initial_cues_with_mark: tuple[str, ...]
    planning_words: tuple[str, ...]
    role_labels: tuple[str, ...]
    name_labels: tuple[str, ...]
    person_labels: tuple[str, ...]
    relatives: tuple[str, ...]
    relative_links: tuple[str, ...]
    contact_words: tuple[str, ...]
    contact_links: tuple[str, ...]
    eponym_cues: tuple[str, ...]
    lettered_signals: tuple[str, ...]
    dangling: tuple[str, ...]
    articles: tuple[str, ...]
    noun_articles: tuple[str, ...]
    bare_negations: tuple[str, ...]
    conjunctions: tuple[str, ...]
    kept_cues: tuple[str, ...]
    conditions: tuple[str, ...]
    small_words: tuple[str, ...]
    sides: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    answers: tuple[str, ...]
    months: tuple[str, ...]
    ambiguous_months: tuple[str, ...]
    date_links: tuple[str, ...]
    day_words: tuple[str, ...]
    date_words: tuple[str, ...]
    since_words: tuple[str, ...]
    range_words: tuple[str, ...]
    fraction_words: tuple[str, ...]
    week_labels: tuple[str, ...]
    time_words: tuple[str, ...]
    clock_words: tuple[str, ...]
    age_units: tuple[str, ...]
    short_age_units: tuple[str, ...]
    age_month_units: tuple[str, ...]
    age_words: tuple[str, ...]
    age_labels: tuple[str, ...]
    birth_labels: tuple[str, ...]
    birth_date_labels: tuple[str, ...]
    personal_words: tuple[str, ...]
    study_words: tuple[str, ...]
    old_ages: tuple[str, ...]
    person_words: tuple[str, ...]
    person_titles: tuple[str, ...]
    pronouns: tuple[str, ...]
    person_links: tuple[str, ...]
    birthday_verbs: tuple[str, ...]
    number_words: tuple[str, ...]
    over_words: tuple[str, ...]
    decade_words: tuple[str, ...]
    number_marks: tuple[str, ...]
    numbered_words: tuple[str, ...]
    parameters: tuple[str, ...]
    plain_parameters: tuple[str, ...]
    round_parameters: tuple[str, ...]
    counted_words: tuple[str, ...]
    id_labels: tuple[str, ...]
    kept_id_labels: tuple[str, ...]
    id_labels_with_mark: tuple[str, ...]
    ward_labels: tuple[str, ...]
    ward_labels_with_letter: tuple[str, ...]
    plate_labels: tuple[str, ...]
    phone_labels: tuple[str, ...]
    extension_labels: tuple[str, ...]
    short_phone_labels: tuple[str, ...]
    extension_marks: tuple[str, ...]
    account_labels: tuple[str, ...]
    street_names: tuple[str, ...]
    street_words: tuple[str, ...]
    short_street_words: tuple[str, ...]
    street_suffixes: tuple[str, ...]
    street_prefixes: tuple[str, ...]
    states: tuple[str, ...]
    postcode_areas: tuple[str, ...]
    postcode_towns: tuple[str, ...]


KEYS = field_names(Languages)
_TRANSLITERATED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


@lru_cache(maxsize=8)
def load_languages(names: tuple[str, ...] = LANGUAGES, folder: Path = LANGUAGES_FOLDER) -> Languages:
    """Read the files of these languages and join their lists; PolicyError names file, key and row at fault."""
    if not names:
        raise PolicyError("free_text.languages is empty; name at least one language.")
    read = [_read(folder / f"{name}.json") for name in sorted(set(names))]
    return Languages(**{key: tuple(dict.fromkeys(row for one in read for row in one[key])) for key in KEYS})


@lru_cache(maxsize=1)
def dotted_abbreviations() -> frozenset[str]:
    """Return the abbreviations with points of all languages, folded: they are written as initials are."""
    return frozenset(map(fold_word, load_languages().dotted_abbreviations))


def fold_word(word: str) -> str:
    """Return a word in lower case without accents (ä as a, ß as ss, œ as oe)."""
    if word.isascii():
        return word.lower()
    folded = word.casefold().replace("œ", "oe").replace("æ", "ae")
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


def spellings(rows: Iterable[str]) -> tuple[str, ...]:
    """Return rows as written, without accents and with ä as ae, the longest first."""
    return _spellings(tuple(rows))


@lru_cache(maxsize=512)
def _spellings(rows: tuple[str, ...]) -> tuple[str, ...]:
    found = set()
    for row in rows:
        found.add(row)
        found.add(fold_word(row))
        found.add(row.translate(_TRANSLITERATED))
    return tuple(sorted(found, key=lambda row: (-len(row), row)))


def _read(path: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PolicyError(f"{path.name}: there are no words for this language in {path.parent.name}/.") from None
    except ValueError as error:
        raise PolicyError(f"{path.name}: cannot be read ({type(error).__name__}).") from None
    if not isinstance(content, dict):
        raise PolicyError(f"{path.name}: must hold keys with lists of words.")
    for key in sorted({*KEYS, "name"} ^ set(map(str, content))):
        raise PolicyError(f"{path.name}: {key}: {'unknown key' if key in content else 'is missing'}.")
    return {key: _rows(path, key, content[key]) for key in KEYS}


def _rows(path: Path, key: str, rows: object) -> list[str]:
    if not isinstance(rows, list):
        raise PolicyError(f"{path.name}: {key}: must be a list.")
    if _are_sound(rows):
        return rows
    for number, row in enumerate(rows, 1):
        if not isinstance(row, str):
            raise PolicyError(f"{path.name}: {key}, row {number}: must be text; put it into quotes.")
        if row != row.lower() or not _ALLOWED.fullmatch(row) or row != " ".join(row.split()):
            raise PolicyError(f"{path.name}: {key}, row {number}: must be words in lower case, one blank between them.")
    twice = [row for row in rows if rows.count(row) > 1]
    if twice:
        raise PolicyError(f"{path.name}: {key}, row {len(rows) - rows[::-1].index(twice[0])}: stands there twice.")
    return rows


def _are_sound(rows: list[object]) -> bool:
    """Tell whether rows are words in lower case, one blank between them, and none stands there twice."""
    if not rows:
        return True
    if any(type(row) is not str for row in rows) or len(set(rows)) < len(rows):
        return False
    text = "\n".join(rows)  # type: ignore[arg-type]
    return text.count("\n") == len(rows) - 1 and text == text.lower() and _ROWS.fullmatch(text) is not None
