"""Measure what to do with a word that neither vocabulary nor lexicon knows: drop it, keep it, or ask a classifier.

    python resources/vocabularies/names_from_faker.py NAMES --locales        (needs Faker)
    python tests/benchmarks/words/decide.py NAMES [--seed N] [--json FILE]    (numpy, pydicom)

Clinical words are those of vocabulary.txt, names and places those of Faker's lists that the vocabulary lacks. A fifth of
the words and all names of every fifth locale are held out: a classifier (logistic regression over hashed runs of 2 to 5
letters) never sees them. Its threshold is the one at which one of 2,000 names of a further part of the training
data would pass. What is measured on the held-out words: names that would be kept (leaks), clinical words regained; and how
many of the words that descriptions lack in the vocabulary (of an older state: --vocabulary FILE) would come back.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

from phi_deid_pipeline.languages import fold_word  # noqa: E402
from phi_deid_pipeline.vocabulary import VOCABULARY_FILE  # noqa: E402

DESCRIPTIONS = sorted(Path(__file__).parent.glob("descriptions*.txt"))
BINS = 1 << 16  # hashed letter runs; weights of one byte each would take 64 KB
RUNS = (2, 3, 4, 5)  # letters of a run
LEAK_LIMIT = 0.0005  # share of names of the training data that may pass
EPOCHS, RATE, DECAY = 12, 0.3, 1e-6


@dataclass(frozen=True)
class Outcome:
    """Shares on held-out words: names and places that would stay, clinical words that would stay."""

    strategy: str
    names: int
    leaks: float
    words: int
    regained: float
    missing: int
    missing_regained: float


def part(text: str, seed: int, parts: int = 5) -> int:
    """Return the part of a split that a text falls into, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed} {text}".encode()).digest()[:4], "big") % parts


def features(word: str) -> np.ndarray:
    """Return the bins of the letter runs of a word, its ends marked."""
    marked = f"<{word}>"
    runs = {marked[at : at + size] for size in RUNS for at in range(len(marked) - size + 1)}
    digests = (hashlib.blake2b(run.encode(), digest_size=4).digest() for run in sorted(runs))
    return np.array([int.from_bytes(digest, "big") % BINS for digest in digests], dtype=np.int64)


class WordClassifier:
    """Tells how much a word looks like one of imaging; trained by stochastic gradient descent."""

    def __init__(self) -> None:
        self.weights, self.bias = np.zeros(BINS), 0.0

    def score(self, words: Iterable[np.ndarray]) -> np.ndarray:
        """Return the log-odds of words given by their bins."""
        return np.array([self.weights[bins].sum() / np.sqrt(len(bins)) + self.bias for bins in words])

    def train(self, words: Sequence[np.ndarray], labels: np.ndarray, seed: int) -> None:
        """Fit on words and labels (1: clinical); both classes weigh the same."""
        weight = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
        order = np.random.default_rng(seed)
        for epoch in range(EPOCHS):
            rate = RATE / (1 + epoch)
            for index in order.permutation(len(words)):
                bins, scale = words[index], 1 / np.sqrt(len(words[index]))
                odds = self.weights[bins].sum() * scale + self.bias
                step = rate * weight[index] * (labels[index] - 1 / (1 + np.exp(-odds)))
                self.weights[bins] += step * scale - DECAY * self.weights[bins]
                self.bias += step * 0.1


def clinical_words(vocabulary: Path) -> list[str]:
    """Return the words of the vocabulary that carry meaning: three letters and more, no plurals made by rule."""
    rows = [line.split("\t") for line in vocabulary.read_text(encoding="utf-8").splitlines()[1:]]
    return [word for word, strength in rows if strength != "name" and len(word) > 2 and word.isalpha()]


def names_by_locale(path: Path, vocabulary: Path) -> dict[str, set[str]]:
    """Return the words of names and places by locale, without those that are in the vocabulary."""
    known = {
        line.split("\t")[0] for path in (vocabulary, VOCABULARY_FILE) for line in path.read_text("utf-8").splitlines()
    }
    found: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        locale, _, name = line.partition("\t")
        words = {word for word in re.findall(r"[a-z]{3,}", fold_word(name)) if word not in known}
        found.setdefault(locale, set()).update(words)
    return found


def missing_words(vocabulary: Path) -> list[str]:
    """Return the words of the typical descriptions that the vocabulary lacks."""
    known = {line.split("\t")[0] for line in vocabulary.read_text(encoding="utf-8").splitlines()}
    texts = [line for path in DESCRIPTIONS for line in path.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    return sorted({word for text in texts for word in re.findall(r"[a-z]{3,}", fold_word(text))} - known)


def measure(names_file: Path, seed: int, vocabulary: Path) -> list[Outcome]:
    """Return the outcomes of dropping, keeping and classifying on held-out words and names."""
    words = clinical_words(vocabulary)
    locales = names_by_locale(names_file, vocabulary)
    missing = missing_words(vocabulary)
    held_locales = {locale for locale in locales if part(locale, seed) == 0}
    seen = sorted(set().union(*(names for locale, names in locales.items() if locale not in held_locales)))
    held_names = sorted(set().union(*(locales[locale] for locale in held_locales)) - set(seen))
    held_words = [word for word in words if part(word, seed) == 0]
    tuning = [name for name in seen if part(name, seed) == 1]
    training = [(word, 1) for word in words if part(word, seed) != 0]
    training += [(name, 0) for name in seen if part(name, seed) != 1]
    classifier = WordClassifier()
    classifier.train([features(word) for word, _ in training], np.array([label for _, label in training]), seed)
    scores = {kind: classifier.score(map(features, rows)) for kind, rows in (("tune", tuning), ("held", held_names))}
    threshold = np.quantile(scores["tune"], 1 - LEAK_LIMIT)
    regained = float((classifier.score(map(features, held_words)) > threshold).mean())
    back = float((classifier.score(map(features, missing)) > threshold).mean()) if missing else 0.0
    leaks = float((scores["held"] > threshold).mean())
    return [
        Outcome("drop", len(held_names), 0.0, len(held_words), 0.0, len(missing), 0.0),
        Outcome("keep", len(held_names), 1.0, len(held_words), 1.0, len(missing), 1.0),
        Outcome("classify", len(held_names), leaks, len(held_words), regained, len(missing), back),
    ]


def main() -> None:
    """Print the outcomes as a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", type=Path)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--vocabulary", type=Path, default=VOCABULARY_FILE)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    outcomes = measure(chosen.names, chosen.seed, chosen.vocabulary)
    print("strategy  held-out names  kept (leaks)  held-out clinical words  kept  words missing in descriptions  kept")
    for row in outcomes:
        held = f"{row.names:14}  {row.leaks:11.3%}  {row.words:23}  {row.regained:6.1%}"
        print(f"{row.strategy:8}  {held}  {row.missing:29}  {row.missing_regained:6.1%}")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in outcomes], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
