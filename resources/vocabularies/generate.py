"""Write vocabulary.txt: the words that a cleaned description may keep (see README.md).

Usage: python resources/vocabularies/generate.py [OUTPUT_FOLDER]
       python resources/vocabularies/generate.py --names NAMES_FILE...

Sources: attribute names of pydicom's dictionary, meanings of its SR code dictionaries, own_words.txt. A word that is a
common surname, given name or place (name_words.txt) is left out, unless own_words.txt has it. `--names` makes
name_words.txt anew from files with one name or place per line; the list in use came from Faker (README.md).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).parent
STRONG_COUNT = 3  # a word of the dictionaries is strong if it stands in at least so many names and meanings
# Meanings that name breeds of animals and their registries: places and people rather than anything in a picture.
EXCLUDED = re.compile(r"\(organism\)|\bbreed\b|\bregistry\b|\bsociety\b|\bassociation\b", re.IGNORECASE)
MONTHS = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "nov",
        "dec",
        "januar",
        "februar",
        "marz",
        "maerz",
        "mai",
        "juni",
        "juli",
        "oktober",
        "dezember",
        "janvier",
        "fevrier",
        "avril",
        "juin",
        "juillet",
        "aout",
        "septembre",
        "octobre",
        "novembre",
        "decembre",
        "enero",
        "febrero",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "noviembre",
        "diciembre",
        "gennaio",
        "febbraio",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "settembre",
        "ottobre",
        "dicembre",
        "maart",
        "mei",
        "augustus",
    ]
)
# Cues and credentials: what stands beside them is a person.
TITLES = frozenset(["drs", "doctor", "mrs", "miss", "mister", "prof", "professor", "herr", "frau", "mme", "hr"])


def fold(text: str) -> str:
    """Return text in lower case without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", fold(text))


def read_words(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {word for line in lines if not line.startswith("#") for word in line.lstrip("! ").split()}


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


def write_names(paths: list[Path]) -> None:
    """Keep of the name lists only the words that would otherwise enter the vocabulary."""
    names = {word for path in paths for line in path.read_text("utf-8").splitlines() for word in words_of(line)}
    candidates = set(dictionary_words()[0]) | {w for w in read_words(FOLDER / "own_words.txt") if w.isalpha()}
    found = sorted(word for word in names & candidates if len(word) > 2)
    header = "# Words of the vocabulary's sources that are surnames, given names or places too (README.md).\n"
    (FOLDER / "name_words.txt").write_text(header + "\n".join(found) + "\n", encoding="utf-8")


def main(target: Path) -> None:
    """Write the vocabulary: `word` + TAB + strong, plain or name, sorted; the same sources give the same bytes."""
    import pydicom

    counts, eponyms = dictionary_words()
    own = read_words(FOLDER / "own_words.txt")
    names = read_words(FOLDER / "name_words.txt") | eponyms
    certain = never_names(FOLDER / "own_words.txt")
    lines = []
    for word in sorted(own | set(counts)):
        if word in MONTHS or word in TITLES or (word not in own and (word in names or len(word) < 2)):
            continue
        strength = (
            "name" if word in names - certain else "strong" if word in own or counts[word] >= STRONG_COUNT else "plain"
        )
        lines.append(f"{word}\t{strength}")
    header = f"# generated by generate.py from pydicom {pydicom.__version__} (MIT) and own_words.txt; do not edit\n"
    (target / "vocabulary.txt").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--names"]:
        write_names([Path(name) for name in sys.argv[2:]])
    else:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
