"""What is filled in one instance, how, and with which label: findings, known places and boxes shared by a group together."""

from __future__ import annotations

import hashlib
import math
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
    from phi_deid_pipeline.redaction_proof import Left, RedactionProof

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
    path: Path | str,
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
        replacement = without_frame_comments(Path(path))
        return Redaction(COMMENTS_REMOVED if replacement else UNTOUCHED, replacement)
    labels = _labels(found, shared, settings.label, pseudonym)
    style = FillStyle(settings.fill, settings.fill_value, settings.label_bold)
    return Redaction(REDACTED, redact(Path(path), fills, single, exact=exact, labels=labels, style=style))


def changed_frames(boxes: Sequence[tuple[int, Box]], count: int) -> list[int]:
    """Return the frames that boxes changed: all where one box, or none, is told for all of them."""
    if not boxes or any(frame < 0 for frame, _ in boxes):
        return list(range(count))
    return sorted({frame for frame, _ in boxes})


def frames_to_reread(new_sop_uid: str, frames: int, share: float) -> list[int]:
    """Return the frames of an instance that are read again if nothing changed them, by the hash of its UID and the frame."""
    limit = round(share * (1 << 32))
    return [n for n in range(frames) if _rank(new_sop_uid, n) < limit] if limit else []


def frames_to_read_whole(new_sop_uid: str, changed: Sequence[int], share: float) -> list[int]:
    """Return the changed frames that are read whole beside the first one: a share of the others, rounded up, by that hash."""
    others = sorted(changed)[1:]
    return sorted(sorted(others, key=lambda n: _rank(new_sop_uid, n))[: math.ceil(round(share * len(others), 6))])


def _rank(new_sop_uid: str, frame: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{new_sop_uid}/{frame}".encode("ascii")).digest()[:4], "big")


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

    `ocr` holds the settings of the readers; without it nothing is read again. `share` of the unchanged frames is, also of
    an instance of which others were changed, and as much of the changed ones is read whole.
    """

    def __init__(self, settings: RedactionSettings, ocr: Mapping[str, Any] | None, share: float) -> None:
        self.settings = settings
        self.share = share
        self._ocr = ocr
        self._proof: RedactionProof | None = None
        self._matcher: tuple[Lexicon, Matcher] | None = None

    def again(
        self,
        written: Path | str,
        lexicon: Lexicon,
        instance: InstanceEntry,
        found: InstanceFindings,
        made: Redaction,
        new_sop_uid: str,
        rounds: int,
    ) -> Again:
        """Look at a written instance, whose boxes were widened `rounds` times.

        Every changed frame is looked at, a share of them whole; a share of the others is read.
        """
        if self._ocr is None:
            return _NOT_ASKED
        count = max(instance.frames, 1)
        boxes = made.replacement.boxes if made.replacement else ()
        changed = changed_frames(boxes, count) if made.kind == REDACTED else []
        same = (
            sorted({*frames_to_reread(new_sop_uid, count, self.share)} - {*changed}) if found.status == "read" else []
        )
        if not (changed or same):
            return _NOT_ASKED
        from phi_deid_pipeline.redaction_proof import WIDENINGS, widened

        proof, matcher = self._tools(lexicon)
        kept = [(f.frame, f.box) for f in found.findings if not f.hide and f.reason == BY_A_PERSON]
        looks = []
        if changed:
            whole = frames_to_read_whole(new_sop_uid, changed, self.share)
            labelled = self.settings.label != "none"
            looks.append(proof.left_in(Path(written), matcher, boxes, kept=kept, labelled=labelled, whole=whole))
            if looks[0].boxes and rounds < WIDENINGS:
                return Again(widened(looks[0], instance.rows, instance.columns, rounds + 1), False, _note(*looks))
        if same:  # no box is to blame for what is found here: it holds
            looks.append(proof.left_unchanged(Path(written), same, matcher, kept))
        return Again([], any(look.boxes for look in looks), _note(*looks))

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


def _note(*looks: Left) -> dict[str, Any]:
    """Return the counts of second looks, as the audit has them."""
    return {
        "frames": sum(look.read + look.same + look.gated for look in looks),
        "same": sum(look.same for look in looks),
        "gated": sum(look.gated for look in looks),
        "whole": sum(look.whole for look in looks),
        "readers": list(dict.fromkeys(name for look in looks for name in look.readers)),
        "left": sum(len(look.boxes) for look in looks),
    }


_NOT_ASKED = Again([], False, _note())
