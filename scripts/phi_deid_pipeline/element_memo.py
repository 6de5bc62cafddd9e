"""What became of the top-level elements of earlier instances, by their bytes: a series repeats most of its header.

The bytes of an element hold its tag, VR, length and value, items of a sequence too. What the engine makes of them depends
beyond that on the policy (one per engine), the patient's lexicon and what `condition` names; so the same bytes under the
same condition have the same outcome wherever they stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phi_deid_pipeline.value_objects import dataclass

if TYPE_CHECKING:
    from phi_deid_pipeline.deid_plans import Plan
    from phi_deid_pipeline.header_memo import Run
    from phi_deid_pipeline.instance_deid import PatientContext
    from phi_deid_pipeline.lexicon import Lexicon
    from phi_deid_pipeline.raw_elements import RawInstance

STUDY_DATE, MIME_TYPE = 0x00080020, 0x00420012
LONGEST = 1024  # bytes of an element that is remembered
MOST = 20_000  # elements remembered at most
Condition = tuple[object, ...]
Written = frozenset[tuple[int, bytes | None]]


@dataclass(slots=True)
class Outcome:
    """What is written for an element (None: its own bytes), and what is counted."""

    new: bytes | None
    done: tuple[tuple[tuple[Plan, str], int], ...]
    private_elements: int
    uids_replaced: int
    unknown: tuple[tuple[str, str], ...]  # words that the vocabulary lacks, with the keyword of their attribute


def condition(root: Plan, source: RawInstance, charset: tuple[str, ...], patient: PatientContext) -> Condition:
    """Return all of an instance and its patient that an outcome depends on beside policy, lexicon and the bytes.

    The plan of the root stands for SOP class, modality and manufacturer; dates are no birth date where the study is of that
    day, the dummy of an encapsulated document looks at its MIME type.
    """
    names = patient.pseudonym, patient.name, patient.offset_days
    others = source.text(STUDY_DATE), source.text(MIME_TYPE)
    return root, source.explicit, source.little, charset, *names, *others


class Known:
    """What is known under one condition: outcomes by the bytes of an element, and of runs of elements.

    What stands for a run depends on what else is written between its elements too: `written`, and how much of it is left.
    """

    __slots__ = ("elements", "runs")

    def __init__(self) -> None:
        self.elements: dict[bytes, Outcome] = {}
        self.runs: dict[tuple[Run, Written, int], tuple[Outcome, int]] = {}


class ElementMemo:
    """Outcomes by condition; of one patient at a time, and not more than MOST."""

    def __init__(self) -> None:
        self._lexicon: Lexicon | None = None
        self._known: dict[Condition, Known] = {}

    def known(self, lexicon: Lexicon, under: Condition) -> Known:
        """Return the outcomes under a condition, to look up and to add to."""
        known = self._known.values()
        if lexicon is not self._lexicon or sum(len(k.elements) + len(k.runs) for k in known) > MOST:
            self._lexicon, self._known = lexicon, {}
        return self._known.setdefault(under, Known())
