"""What is filled in one instance, how, and with which label: findings, known places and boxes shared by a group together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi_deid_pipeline.errors import ConfigError
from phi_deid_pipeline.known_places import device_boxes, load_device_regions, outside_ultrasound_regions
from phi_deid_pipeline.raw_elements import NATIVE, RawInstance
from phi_deid_pipeline.records import Box, Category, InstanceEntry, InstanceFindings
from phi_deid_pipeline.value_objects import dataclass, field_names

if TYPE_CHECKING:
    from phi_deid_pipeline.burned_in_text.match import Matcher
    from phi_deid_pipeline.instance_deid import PixelReplacement
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.redaction_proof import RedactionProof

HIGH_BITS = "high bits"
FILLS = ("darkest", "background", "value")
LABELS = ("none", "category", "pseudonym")
UNTOUCHED, COMMENTS_REMOVED, REDACTED = "untouched", "comments_removed", "redacted"
BY_A_PERSON = "decided by a person"
_PSEUDONYM_FOR = frozenset({Category.NAME.value, Category.RECORD_NUMBER.value})


@dataclass(frozen=True, slots=True)
class RedactionSettings:
    """The `redaction` section of the config: see the schema for each key."""

    fill: str = "darkest"
    fill_value: int = 0
    label: str = "none"
    label_bold: bool = False
    known_places: bool = True
    outside_ultrasound_regions: bool = False
    allow_list: tuple[str, ...] = ("en",)

    def __post_init__(self) -> None:
        if self.fill not in FILLS or self.label not in LABELS:
            raise ConfigError(f"redaction.fill is none of {', '.join(FILLS)} or label none of {', '.join(LABELS)}.")

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> RedactionSettings:
        """Return settings from the config; raises ConfigError for an unknown key."""
        unknown = sorted(set(section) - set(field_names(cls)))
        if unknown:
            raise ConfigError(f"redaction: unknown keys {', '.join(unknown)}; see config/README.md.")
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in section.items()})


@dataclass(frozen=True, slots=True)
class Redaction:
    """What became of the pixels of an instance: untouched, comments_removed or redacted; with the new pixel data."""

    kind: str
    replacement: PixelReplacement | None


def redact_instance(
    path: Path,
    source: RawInstance,
    found: InstanceFindings,
    settings: RedactionSettings,
    pseudonym: str,
    *,
    shared: Sequence[tuple[Box, str]] = (),
    further: Sequence[tuple[int, Box]] = (),
) -> Redaction:
    """Fill what was found in an instance, what others of its group show, and what `further` adds (frame, box).

    `source` is the opened instance at `path`. Without a box only comments leave compressed frames. Raises what
    `pixel_edit.redact` raises. Codecs are loaded where there is something to do.
    """
    if found.status == "no_pixels":
        return Redaction(UNTOUCHED, None)
    exact = device_boxes(source, load_device_regions()) if settings.known_places else []
    if settings.outside_ultrasound_regions:
        exact += outside_ultrasound_regions(source)
    hidden_bits = any(finding.plane == HIGH_BITS for finding in found.findings)  # an old overlay: editing clears it
    fills = [*found.fills, *(box for box, _ in shared)]
    single = [*found.frame_fills, *further]
    touched = bool(exact or fills or single or hidden_bits)
    if not touched and source.transfer_syntax_uid in NATIVE:
        return Redaction(UNTOUCHED, None)
    from phi_deid_pipeline.pixel_edit import redact, without_frame_comments
    from phi_deid_pipeline.pixel_fill import FillStyle

    if not touched:
        replacement = without_frame_comments(path)
        return Redaction(COMMENTS_REMOVED if replacement else UNTOUCHED, replacement)
    labels = _labels(found, shared, settings.label, pseudonym)
    style = FillStyle(settings.fill, settings.fill_value, settings.label_bold)
    return Redaction(REDACTED, redact(path, fills, single, exact=exact, labels=labels, style=style))


def frames_to_reread(new_sop_uid: str, frames: int, share: float) -> list[int]:
    """Return the frames of an unchanged instance that are read again, chosen by the hash of its UID and the frame."""
    limit = round(share * (1 << 32))
    digests = (hashlib.sha256(f"{new_sop_uid}/{n}".encode("ascii")).digest() for n in range(frames))
    return [n for n, digest in enumerate(digests) if int.from_bytes(digest[:4], "big") < limit]


def _labels(found: InstanceFindings, shared: Sequence[tuple[Box, str]], label: str, pseudonym: str) -> dict[Box, str]:
    """Return the label of each box: what fits its category; nothing for text of no category."""
    if label == "none":
        return {}
    single = zip((box for _, box in found.frame_fills), found.frame_fill_categories, strict=False)
    named = [*zip(found.fills, found.fill_categories, strict=False), *single, *shared]
    return {box: label_of(category, label, pseudonym) for box, category in named if category}


def categories_hidden(found: InstanceFindings, shared: Iterable[tuple[Box, str]]) -> tuple[str, ...]:
    """Return the categories of what the boxes of an instance hide, "" for text that is only unknown."""
    return (*found.fill_categories, *found.frame_fill_categories, *(category for _, category in shared))


def label_of(category: str, label: str, pseudonym: str) -> str:
    """Return the text that stands for a category: the pseudonym for names and record numbers, else the category's name."""
    if label == "pseudonym" and category in _PSEUDONYM_FOR:
        return pseudonym
    return category.replace("_", " ").upper()


@dataclass(frozen=True, slots=True)
class Again:
    """What a second look says: boxes to add before the next one, whether identifying text is left, counts for the audit."""

    wider: list[tuple[int, Box]]
    left: bool
    note: dict[str, Any]


class SecondLook:
    """Reads again what was written; readers and word lists are loaded when there is something to look at.

    `ocr` holds the settings of the readers; without it nothing is read again. `share` of the unchanged frames is.
    """

    def __init__(self, settings: RedactionSettings, ocr: Mapping[str, Any] | None, share: float) -> None:
        self.settings = settings
        self.share = share
        self._ocr = ocr
        self._proof: RedactionProof | None = None
        self._matcher: tuple[Lexicon, Matcher] | None = None

    def again(
        self,
        written: Path,
        lexicon: Lexicon,
        instance: InstanceEntry,
        found: InstanceFindings,
        made: Redaction,
        new_sop_uid: str,
        rounds: int,
    ) -> Again:
        """Look at a written instance, whose boxes were widened `rounds` times: all of a redacted one, a share of another."""
        if self._ocr is None:
            return Again([], False, {"frames": 0, "same": 0, "gated": 0, "readers": [], "left": 0})
        redacted, count = made.kind == REDACTED, max(instance.frames, 1)
        frames = list(range(count)) if redacted else []
        if not redacted and found.status == "read":
            frames = frames_to_reread(new_sop_uid, count, self.share)
        if not frames:
            return Again([], False, {"frames": 0, "same": 0, "gated": 0, "readers": [], "left": 0})
        from phi_deid_pipeline.redaction_proof import WIDENINGS, widened

        proof, matcher = self._tools(lexicon)
        kept = [(f.frame, f.box) for f in found.findings if not f.hide and f.reason == BY_A_PERSON]
        if redacted:
            boxes = made.replacement.boxes if made.replacement else ()
            left = proof.left_in(written, matcher, boxes, kept=kept, labelled=self.settings.label != "none")
        else:
            left = proof.left_unchanged(written, frames, matcher, kept)
        may_widen = redacted and bool(left.boxes) and rounds < WIDENINGS
        wider = widened(left, instance.rows, instance.columns, rounds + 1) if may_widen else []
        counts = {"frames": left.read + left.same + left.gated, "same": left.same, "gated": left.gated}
        note = counts | {"readers": list(left.readers), "left": len(left.boxes)}
        return Again(wider, bool(left.boxes) and not may_widen, note)

    def _tools(self, lexicon: Lexicon) -> tuple[RedactionProof, Matcher]:
        from phi_deid_pipeline.burned_in_text.judge import load_words, matcher_of
        from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
        from phi_deid_pipeline.redaction_proof import RedactionProof

        words = load_words(self.settings.allow_list)
        if self._proof is None:
            self._proof = RedactionProof(ReaderSettings(**(self._ocr or {})), words)
        if self._matcher is None or self._matcher[0] is not lexicon:
            self._matcher = lexicon, matcher_of(lexicon, words)
        return self._proof, self._matcher[1]
