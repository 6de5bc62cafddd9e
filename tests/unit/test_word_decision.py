"""The measurement of unknown words: splits are stable, the classifier learns, figures come from held-out words alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks" / "words"))

import decide

STEMS = ["card", "hepat", "nephr", "gastr", "enter", "arthr", "neur", "derm", "oste", "angi", "col", "cyst"]
NAMES = [
    "smith",
    "jones",
    "brown",
    "walker",
    "wright",
    "baker",
    "cooper",
    "fisher",
    "hunter",
    "turner",
    "mason",
    "potter",
]


def test_split_is_the_same_everywhere_and_differs_by_seed():
    assert [decide.part(word, 1) for word in STEMS[:6]] == [decide.part(word, 1) for word in STEMS[:6]]
    assert [decide.part(word, 1) for word in STEMS] != [decide.part(word, 2) for word in STEMS]
    assert {decide.part(f"w{i}", 1) for i in range(100)} == set(range(5))


def test_classifier_tells_unseen_words_of_a_kind_from_names():
    words = [stem + end for stem in STEMS[:9] for end in ("itis", "ectomy", "opathy")]
    names = [name + end for name in NAMES[:9] for end in ("", "s", "son")]
    classifier = decide.WordClassifier()
    labels = np.array([1] * len(words) + [0] * len(names))
    classifier.train([decide.features(word) for word in words + names], labels, seed=1)
    unseen = classifier.score(map(decide.features, ["colitis", "cystectomy", "angiopathy"]))
    strangers = classifier.score(map(decide.features, ["turnerson", "masons", "potter"]))
    assert unseen.min() > strangers.max()


def test_words_that_the_vocabulary_has_are_no_missing_ones_and_no_names(tmp_path):
    (tmp_path / "old.txt").write_text("# header\nthorax\tstrong\nhands\tname\nto\tstrong\n", encoding="utf-8")
    (tmp_path / "names.txt").write_text("en_US\tThorax Smith\nde_DE\tKöhnlein\n", encoding="utf-8")
    assert decide.clinical_words(tmp_path / "old.txt") == ["thorax"]
    assert decide.names_by_locale(tmp_path / "names.txt", tmp_path / "old.txt") == {
        "en_US": {"smith"},
        "de_DE": {"kohnlein"},
    }
    missing = decide.missing_words(tmp_path / "old.txt")
    assert "topogram" in missing and "thorax" not in missing
