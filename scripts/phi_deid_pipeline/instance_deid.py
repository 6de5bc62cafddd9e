"""De-identify one instance on its raw bytes: untouched elements are copied, never decoded and encoded again.

For every path of tags, VR and SOP class the policy is asked once; what an action made of a value is remembered where it
depends on the value (and the patient's lexicon) alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from phi_deid_pipeline.deid_plans import Plan, Planner
from phi_deid_pipeline.element_memo import ElementMemo
from phi_deid_pipeline.free_text import Vocabulary, load_vocabulary
from phi_deid_pipeline.header_memo import HeaderMemo
from phi_deid_pipeline.instance_rewrite import InstanceRewrite
from phi_deid_pipeline.instance_write import NO_PIXELS, write_instance
from phi_deid_pipeline.raw_elements import DEFLATED, RawInstance
from phi_deid_pipeline.records import Box, TagAction
from phi_deid_pipeline.value_objects import dataclass, field

if TYPE_CHECKING:
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.policies import Policy
    from phi_deid_pipeline.uid_mapping import UidMapper

MODALITY, MANUFACTURER = 0x00080060, 0x00080070
MEMO_ENTRIES = 20_000  # results remembered at most


@dataclass(frozen=True)
class PixelReplacement:
    """New pixels: frames (`encapsulated`, one codestream each) or the whole native value, in that transfer syntax.

    `attributes` are set at the top level: tag -> (VR, Python value); a value of None removes the attribute.
    """

    value: bytes | list[bytes]
    encapsulated: bool
    transfer_syntax_uid: str
    attributes: dict[int, tuple[str, object] | None] = field(default_factory=dict)
    boxes: tuple[tuple[int, Box], ...] = ()  # frame (-1 every frame) and box as filled
    syntax_reason: str = ""  # why the transfer syntax is another one, empty where it is kept


@dataclass(frozen=True)
class PatientContext:
    """What is known of the patient: what to write and the identifiers to drop.

    `offset_days` moves dates where the policy shifts them; `name` is Patient's Name ("": the pseudonym); `trial` holds
    top-level attributes to write after the profile ran: tag -> (VR, text in ASCII).
    """

    pseudonym: str
    lexicon: Lexicon
    offset_days: int = 0
    name: str = ""
    trial: Mapping[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceResult:
    """What was written and what was done: SHA-256 of the file and of new pixels ("" if untouched), actions by path."""

    checksum: str
    pixel_sha256: str
    has_pixels: bool
    transfer_syntax_uid: str
    removed: tuple[TagAction, ...]
    cleaned: tuple[TagAction, ...]
    replaced: tuple[TagAction, ...]
    private_tags_stripped: int
    uids_replaced: int


class InstanceDeidentifier:
    """Applies one policy to instances; keep one for a batch, it remembers what it decided and did."""

    def __init__(self, policy: Policy, uids: UidMapper, vocabulary: Vocabulary | None = None) -> None:
        self.policy = policy
        self.uids = uids
        self.vocabulary = load_vocabulary() if vocabulary is None else vocabulary
        # How often a word went from an attribute because the vocabulary lacks it, by folded word and keyword.
        self.unknown_words: Counter[tuple[str, str]] = Counter()
        self.planner = Planner(policy)
        self.headers = HeaderMemo()
        self.elements = ElementMemo()
        self._memo: dict[object, object] = {}
        self._memo_lexicon: Lexicon | None = None

    def deidentify(
        self,
        source: RawInstance,
        target: Path | str,
        patient: PatientContext,
        pixels: PixelReplacement | None,
        *,
        text_scan_found_nothing_left: bool,
        redacted: bool,
        series_redacted: bool = False,
        pixels_looked_at: bool = True,
    ) -> InstanceResult:
        """Write the de-identified instance to `target` (made with its folders, in one rename).

        Where it was redacted, or another one of its series was (`series_redacted`), what tells the range of the pixel
        values of the series goes. Clean Pixel Data is claimed in the instance only where its pixels were looked at.

        Raises UnreadableInstance (CANNOT_CLEAN, MISSING_IDENTITY, PIXELS_NOT_EDITABLE) for an instance that must be
        rejected, and ConfigError where the output cannot be written; then nothing is left behind.
        """
        run = InstanceRewrite(self, source, patient, pixels, redacted, series_redacted)
        sop_class, sop_instance = run.identity()
        run.insert_method(scan_found_nothing=text_scan_found_nothing_left, pixels_looked_at=pixels_looked_at)
        chunks, pixel_range = run.dataset()
        syntax = source.transfer_syntax_uid if pixels is None else pixels.transfer_syntax_uid
        checksum, pixel_sha256 = write_instance(
            target,
            sop_class,
            sop_instance,
            syntax,
            chunks,
            pixel_range if pixels is not None else NO_PIXELS,
            deflate=syntax in DEFLATED,
        )
        removed, cleaned, replaced = run.actions()
        return InstanceResult(
            checksum,
            pixel_sha256,
            pixel_range != NO_PIXELS,
            syntax,
            removed,
            cleaned,
            replaced,
            run.private_elements,
            run.uids_replaced,
        )

    def root(self, source: RawInstance, sop_class: str) -> Plan:
        """Return the plan of the top level of an instance."""
        if not self.planner.conditional:
            return self.planner.root(sop_class)
        return self.planner.root(sop_class, source.text(MODALITY), source.text(MANUFACTURER))

    def memo_for(self, lexicon: Lexicon) -> dict[object, object]:
        """Return what was remembered for this lexicon; another patient or a full memory starts anew."""
        if lexicon is not self._memo_lexicon or len(self._memo) > MEMO_ENTRIES:
            self._memo = {}
            self._memo_lexicon = lexicon
        return self._memo
