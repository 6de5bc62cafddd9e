"""What becomes of a finding, with its colour; how many pictures are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phi_deid_pipeline.records import Finding, Verdict

HIDDEN, KEPT, REVIEW, IGNORED = "hidden", "kept", "review", "ignored"
COLOURS = {HIDDEN: (235, 64, 52), KEPT: (60, 190, 90), REVIEW: (250, 205, 40), IGNORED: (150, 150, 150)}
WORDS = {
    HIDDEN: "hidden",
    KEPT: "kept as harmless",
    REVIEW: "left, needs review",
    IGNORED: "taken for no text, left",
}


@dataclass(frozen=True, slots=True)
class PictureSettings:
    """How many pictures are made of a series: instances shown as original, boxes and result; thumbnails of what was written."""

    pictures_per_series: int = 6
    thumbnails_per_series: int = 8

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> PictureSettings:
        """Return settings from the config section `reports`, whose switch is no setting of theirs."""
        return cls(**{key: value for key, value in section.items() if key != "pictures"})


def state_of(finding: Finding) -> str:
    """Return what became of a finding: hidden, kept, left for review, or ignored as no text."""
    if finding.hide:
        return HIDDEN
    if finding.verdict is Verdict.NOT_TEXT:
        return IGNORED
    return KEPT if finding.verdict is Verdict.BENIGN else REVIEW
