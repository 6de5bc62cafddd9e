"""Write vocabulary.txt: the words that a cleaned description may keep (see README.md).

Usage: python resources/vocabularies/generate.py [OUTPUT_FOLDER]
       python resources/vocabularies/generate.py --names NAMES_FILE...     (before words are added to vocabulary.txt)

Sources: attribute names of pydicom's dictionary, meanings of its SR code dictionaries, own_words.txt, language_words.txt,
negations.txt. A word that is a common surname, given name or place (name_words.txt) is left out, unless the last three have
it; one of language_words.txt stays in lower case alone. `--names` adds to name_words.txt from files with one name or place per
line, also names that would stay by their form (word_forms.py); the list in use came from Faker (README.md).
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "scripts"))

from phi_deid_pipeline.word_forms import WordForms  # noqa: E402

STRONG_COUNT = 3  # a word of the dictionaries is strong if it stands in at least so many names and meanings
# Meanings that name breeds of animals and their registries: places and people rather than anything in a picture.
EXCLUDED = re.compile(r"\(organism\)|\bbreed\b|\bregistry\b|\bsociety\b|\bassociation\b", re.IGNORECASE)
LANGUAGES_FOLDER = FOLDER.parent / "free_text"
MIN_INFLECTED = 4  # letters of a word whose plural is listed


def never_words() -> set[str]:
    """Return months, titles and credentials of all languages: what they stand for, or stand beside, is never imaging."""
    return rows_of("months", "titles", "credentials")


def rows_of(*keys: str) -> set[str]:
    """Return the folded rows of some keys of all languages."""
    found: set[str] = set()
    for path in sorted(LANGUAGES_FOLDER.glob("*.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        found.update(fold(word) for key in keys for word in rows[key])
    return found


def fold(text: str) -> str:
    """Return text in lower case without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", fold(text))


def read_words(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.lstrip("!< ").split()}


def never_names(path: Path) -> set[str]:
    """Return the words of the lines that start with an exclamation mark."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {word for line in lines if line.startswith("!") for word in line[1:].split()}


def dictionary_words() -> tuple[Counter[str], set[str]]:
    """Return how often each word stands in names and meanings, and the eponyms (`Baker's cyst`)."""
    from pydicom._dicom_dict import DicomDictionary
    from pydicom.sr import _concepts_dict

    texts = [row[2] for row in DicomDictionary.values()]
    for concepts in _concepts_dict.concepts.values():
        for codes in concepts.values():
            texts += [meaning for meaning, _ in codes.values() if not EXCLUDED.search(meaning)]
    counts = Counter(word for text in texts for word in words_of(text))
    eponyms = {word for text in texts for word in re.findall(r"([a-z]+)['’]s?\b", fold(text))}
    return counts, eponyms - {"patient", "physician", "manufacturer", "person", "mother", "child", "fetus", "beam"}


def inflections(words: set[str]) -> set[str]:
    """Return plurals of words, and the singular of what looks like a plural."""
    found = set()
    for word in words:
        if len(word) < MIN_INFLECTED or not word.isalpha():
            continue
        if word.endswith("y") and word[-2] not in "aeiou":
            found.add(word[:-1] + "ies")
        elif not word.endswith(("s", "x", "z", "ch", "sh")):
            found.add(word + "s")
        elif (
            word.endswith("s") and not word.endswith(("ss", "us", "is", "es", "as", "os")) and len(word) > MIN_INFLECTED
        ):
            found.add(word[:-1])
    return found - words


def write_names(paths: list[Path]) -> None:
    """Add to name_words.txt the words of the name lists that would otherwise enter the vocabulary; none ever leaves it."""
    names = {word for path in paths for line in path.read_text("utf-8").splitlines() for word in words_of(line)}
    own = read_words(FOLDER / "own_words.txt") | read_words(FOLDER / "negations.txt")
    ours = read_words(FOLDER / "language_words.txt")
    candidates = set(dictionary_words()[0]) | {word for word in own if word.isalpha()}
    candidates |= inflections(candidates) | ours
    sure = {word for word, strength in listed_words().items() if strength == "strong"} | (ours - names)
    forms = WordForms(sure, read_words(FOLDER / "endings.txt"), ())
    candidates |= {name for name in names if forms.knows(name)}
    kept = read_words(FOLDER / "name_words.txt")
    added = {word for word in names & candidates if len(word) > 2 or word in ours} - set(listed_words())
    found = sorted(kept | added)
    header = "# Words of the vocabulary's sources that are surnames, given names or places too (README.md).\n"
    (FOLDER / "name_words.txt").write_text(header + "\n".join(found) + "\n", encoding="utf-8")


def listed_words() -> dict[str, str]:
    """Return the words that vocabulary.txt holds now, with their strength."""
    lines = (FOLDER / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("\t") for line in lines if not line.startswith("#"))
    return {word: strength for word, _, strength in pairs}


def main(target: Path) -> None:
    """Write the vocabulary: `word` + TAB + strong, plain, name or lower, sorted; the same sources give the same bytes."""
    import pydicom

    counts, eponyms = dictionary_words()
    negations = read_words(FOLDER / "negations.txt") - rows_of("small_words")
    own = read_words(FOLDER / "own_words.txt") | negations
    ours = read_words(FOLDER / "language_words.txt") - own
    names = read_words(FOLDER / "name_words.txt") | eponyms
    certain = never_names(FOLDER / "own_words.txt") | negations
    never = never_words() - certain
    strengths = {}
    for word in own | set(counts):
        if word in never or (word not in own and (word in names or len(word) < 2)):
            continue
        strong = word in own or counts[word] >= STRONG_COUNT
        strengths[word] = "name" if word in names - certain else "strong" if strong else "plain"
    strong_words = {word for word, strength in strengths.items() if strength == "strong"} - negations
    for word in ours - never - strengths.keys():
        strengths[word] = "lower" if word in names else "strong"
    for word in inflections(strong_words) - names - never:
        strengths.setdefault(word, "name")
    lines = [f"{word}\t{strengths[word]}" for word in sorted(strengths)]
    sources = f"pydicom {pydicom.__version__} (MIT), own_words.txt, language_words.txt, negations.txt"
    header = f"# generated by generate.py from {sources}; do not edit\n"
    (target / "vocabulary.txt").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--names"]:
        write_names([Path(name) for name in sys.argv[2:]])
    else:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
