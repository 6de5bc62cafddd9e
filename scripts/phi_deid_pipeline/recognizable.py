"""Which CT and MR slices can show a face when they are put together in 3D (PS3.15 E.3.2).

A rule on what headers say, no look at pixels: the head is named by body part, region code or a word of a description,
slices are thin, and there are enough of them. What names no body part is not flagged. Takes plain values.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from phi_deid_pipeline.value_objects import dataclass

WORDS_FILE = Path(__file__).resolve().parents[2] / "resources" / "recognizable" / "head_words.txt"
MAX_SLICE_THICKNESS, MIN_SLICES = 3.0, 20  # mm; defaults of the config keys
MODALITIES = frozenset({"CT", "MR"})
# Anatomic regions that hold a face or most of one: (code, scheme); PS3.16 CID 4 and Annex L.
HEAD_CODES = frozenset(
    [(code, "SCT") for code in (
        "69536005", "774007", "12738006", "89546000", "89545001", "2095001", "363654007", "81745001", "661005",
        "91609006", "70925003", "117590005", "45206002", "56329008", "38266002", "18962004", "1101003", "389080008",
    )]
    + [(code, scheme) for scheme in ("SRT", "SNM3", "99SDM") for code in (
        "T-D1100", "T-D1000", "T-A0100", "T-11100", "T-D1200", "T-22000", "T-D1480", "T-AA000", "T-D1213", "T-D1217",
        "T-AB000", "T-21000", "T-B1000", "T-D0010", "T-11180", "T-11170",
    )]
)  # fmt: skip
_NO_BLANKS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Slices:
    """What an instance adds to a volume: slices (frames), the distance or thickness in mm (0: unknown), head named."""

    count: int
    thickness: float
    head: bool


def names_head(codes: Iterable[tuple[str, str]], texts: Iterable[str]) -> bool:
    """Tell whether a region code (code, scheme) or a word of a text names the head or a part of it with the face."""
    if not HEAD_CODES.isdisjoint(codes):
        return True
    return any(_in_text(text) for text in texts if text)


def slice_distance(thickness: float, spacing: float) -> float:
    """Return the smaller of slice thickness and spacing in mm that is known, 0 where neither is."""
    known = [value for value in (thickness, spacing) if 0 < value < math.inf]
    return min(known, default=0.0)


def shows_face(
    slices: Sequence[Slices], max_slice_thickness_mm: float = MAX_SLICE_THICKNESS, min_slices: int = MIN_SLICES
) -> list[bool]:
    """Tell for each instance of a series whether it is part of a volume that a face can be rebuilt from.

    Slices of unknown thickness count as thin.
    """
    thin = [one.head and one.thickness <= max_slice_thickness_mm for one in slices]
    enough = sum(one.count for one, counts in zip(slices, thin, strict=True) if counts) >= min_slices
    return [counts and enough for counts in thin]


@lru_cache(maxsize=4096)
def _in_text(text: str) -> bool:
    words, phrases, inside, others = _terms()
    folded = _folded(text)
    if any(term in folded for term in inside):
        return True
    spaced = _folded(_CAMEL.sub(" ", text)) if text.isascii() else folded  # SagBrain, BrainLab
    for reading in {folded, spaced}:
        joined = f" {' '.join(_WORD.findall(reading))} "
        for other in others:
            joined = joined.replace(f" {other} ", " ")
        if any(map(words.fullmatch, joined.split())) or any(f" {phrase} " in joined for phrase in phrases):
            return True
    return False


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.lower().replace("ø", "o").replace("ł", "l").replace("ß", "ss"))
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


@lru_cache(maxsize=1)
def _terms() -> tuple[re.Pattern[str], list[str], list[str], list[str]]:
    """Return words, phrases of several words, terms that match inside a run, and what is left out first."""
    lines = WORDS_FILE.read_text(encoding="utf-8").splitlines()
    terms = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    others = [_folded(term[1:]) for term in terms if term.startswith("-")]
    terms = [_folded(term) for term in terms if not term.startswith("-")]
    inside = [term for term in terms if _NO_BLANKS.search(term)]
    phrases = [term.rstrip("*") for term in terms if " " in term]
    single = [term for term in terms if " " not in term and term not in inside]
    pattern = "|".join(re.escape(term.rstrip("*")) + (r"\w*" if term.endswith("*") else "") for term in single)
    return re.compile(pattern), phrases, inside, others
