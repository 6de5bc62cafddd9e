"""Scores outputs against a key by the rules of MIDI-B: tokens, substrings, numbers as floats, what a missing tag means."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from benchmarks.quality.corpus import Corpus, Instance
from benchmarks.quality.key import Check
from benchmarks.quality.paths import element_at, parse_path, value_text
from benchmarks.quality.phrases import STOP_WORDS

FAILS_WITHOUT_TAG = frozenset({"tag_retained", "text_notnull", "text_retained", "pixels_retained"})
FAILS_WITHOUT_FILE = FAILS_WITHOUT_TAG | {"uid_consistent", "patid_consistent"}
INK_LEFT = 0.3  # correlation of a box with the text that stood in it, above which the text counts as left


@dataclass(slots=True)
class Score:
    """Passed and asked by action, and the checks that failed, with what stood there (None: nothing)."""

    passed: Counter = field(default_factory=Counter)
    asked: Counter = field(default_factory=Counter)
    passed_of_files_out: int = 0
    asked_of_files_out: int = 0
    words_kept: int = 0
    words_asked: int = 0
    attributes_kept: int = 0
    attributes_asked: int = 0
    failures: list[tuple[Check, str | None]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Passed of all asked, from 0 to 1: the figure that MIDI-B calls the score."""
        return sum(self.passed.values()) / max(1, sum(self.asked.values()))


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case, without stop words and bare punctuation; a number keeps its point."""
    found = re.findall(r"[^\s^=\\,;:()\[\]\"<>]+", text.casefold())
    return [word.strip(".'") for word in found if word.strip(".'-/_") and word not in STOP_WORDS]


def left(word: str, value: str) -> bool:
    """Tell whether an identifier is in a value. Up to two characters count as a whole word only."""
    word, value = word.casefold().strip(), value.casefold()
    if len(word) <= 2:
        return re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", value) is not None
    return word in value


def kept(word: str, value: str) -> bool:
    """Tell whether a word or number is still in a value; numbers are compared as floats."""
    word, value = word.casefold().strip(), value.casefold()
    if word in value:
        return True
    try:
        number = float(word)
    except ValueError:
        return False
    return any(_close(number, part) for part in re.split(r"[\\\s]+", value))


def _close(number: float, text: str) -> bool:
    try:
        return bool(np.isclose(number, float(text), rtol=1e-6, atol=0))
    except ValueError:
        return False


class Outputs:
    """The outputs of a run: source path -> file, read once; and the UIDs and patient IDs that stand for the sources'."""

    def __init__(self, corpus: Corpus, written: Mapping[str, Path]) -> None:
        self.corpus, self.written = corpus, dict(written)
        self._read: dict[str, Dataset | None] = {}
        self.sources = {instance.path: instance for instance in corpus.instances}
        self.uids = self._identity_uids()
        self.patients = self._patients()

    def get(self, path: str) -> Dataset | None:
        """Return the output of a source, None where there is none or it cannot be read as DICOM."""
        if path not in self._read:
            self._read[path] = self._open(path)
        return self._read[path]

    def _open(self, path: str) -> Dataset | None:
        if path not in self.written:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ds = pydicom.dcmread(self.written[path])
                list(ds.iterall())
            return ds
        except (
            pydicom.errors.InvalidDicomError,
            OSError,
            ValueError,
            KeyError,
            AttributeError,
            TypeError,
            NotImplementedError,
        ):
            return None

    def _identity_uids(self) -> dict[str, str]:
        found: dict[str, Counter] = defaultdict(Counter)
        for path, instance in self.sources.items():
            ds = self.get(path)
            if ds is not None:
                for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
                    found[str(instance.source[keyword].value)][str(ds.get(keyword, ""))] += 1
        return {old: counted.most_common(1)[0][0] for old, counted in found.items()}

    def _patients(self) -> dict[str, str]:
        found: dict[str, Counter] = defaultdict(Counter)
        for path, instance in self.sources.items():
            if (ds := self.get(path)) is not None:
                found[instance.who.patient_id][str(ds.get("PatientID", ""))] += 1
        new = {old: counted.most_common(1)[0][0] for old, counted in found.items()}
        shared = {text for text, times in Counter(new.values()).items() if times > 1}
        # An empty ID, or one that two patients share, stands for nobody.
        return {old: text for old, text in new.items() if text and text not in shared}


def score(checks: list[Check], outputs: Outputs) -> Score:
    """Return the score of outputs against a key."""
    result = Score()
    for check in checks:
        ds = outputs.get(check.file)
        value = _value(check, ds)
        passed = _passed(check, ds, value, outputs)
        result.asked[check.action] += 1
        result.passed[check.action] += passed
        if check.file in outputs.written:
            result.asked_of_files_out += 1
            result.passed_of_files_out += passed
        if check.action == "text_retained":
            held = sum(kept(word, value) for word in check.words) if value is not None else 0
            if check.kind == "base":
                result.attributes_asked += 1
                result.attributes_kept += passed
            else:
                result.words_asked += len(check.words)
                result.words_kept += held
        if not passed:
            result.failures.append((check, value))
    return result


def _value(check: Check, ds: Dataset | None) -> str | None:
    if ds is None or check.action == "pixels_hidden":
        return None
    element = element_at(ds, parse_path(check.tag_ds))
    if element is None:
        return None
    return hashlib.md5(element.value).hexdigest() if check.action == "pixels_retained" else value_text(element)


def _passed(check: Check, ds: Dataset | None, value: str | None, outputs: Outputs) -> bool:
    if ds is None:
        return check.action not in FAILS_WITHOUT_FILE
    if check.action == "pixels_hidden":
        instance = outputs.sources[check.file]
        return not ink_left(instance, int(check.tag_ds.removeprefix("box")), outputs)
    if value is None:
        return check.action not in FAILS_WITHOUT_TAG
    words = check.words
    match check.action:
        case "tag_retained":
            return True
        case "text_notnull":
            return bool(value.strip())
        case "text_retained":
            return all(kept(word, value) for word in words)
        case "text_removed":
            return not any(left(token, value) for word in words for token in (word, *_parts(word)))
        case "date_shifted" | "uid_changed":
            return not any(word in value for word in words)
        case "uid_consistent":
            return _consistent(check, value, outputs)
        case "patid_consistent":
            return value == outputs.patients.get(words[0])
        case "pixels_retained":
            return value == words[0]
    raise ValueError(check.action)


def _parts(word: str) -> list[str]:
    """Return the tokens of an identifier that tell something alone: letters of three or more, no short numbers."""
    return [token for token in tokens(word) if len(token) > 3 and not token.isdigit() and token not in GENERIC]


# Parts of institutions, streets and forms that stand in any text.
GENERIC = frozenset(
    [
        "general",
        "hospital",
        "klinikum",
        "klinik",
        "ospedale",
        "clinique",
        "clinic",
        "infirmary",
        "regional",
        "hopital",
        "street",
        "ward",
        "station",
        "unit",
        "january",
        "february",
        "march",
        "april",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ]
)


def _consistent(check: Check, value: str, outputs: Outputs) -> bool:
    old, values = check.words[0], value.split("\\")
    position = check.value.split("\\").index(old)
    if position >= len(values):
        return False
    # What names no instance, series or study: the first that stands there is what it has to be everywhere.
    return values[position] == outputs.uids.setdefault(old, values[position])


def ink_left(instance: Instance, number: int, outputs: Outputs) -> bool:
    """Tell whether the text that stood in a box can still be seen: by its correlation with what stands there now."""
    box, ds = instance.boxes[number], outputs.get(instance.path)
    if ds is None:
        return False
    try:
        before, after = instance.source.pixel_array, ds.pixel_array
    except (AttributeError, ValueError, RuntimeError, NotImplementedError):
        return "PixelData" in ds  # pixels that nobody can decode are taken for unchanged
    if before.shape != after.shape:
        return False
    rows, columns = slice(box["top"], box["top"] + box["height"]), slice(box["left"], box["left"] + box["width"])
    first, second = before[rows, columns].astype(float).ravel(), after[rows, columns].astype(float).ravel()
    if second.std() < 1e-6:
        return False
    return abs(float(np.corrcoef(first, second)[0, 1])) > INK_LEFT
