"""What becomes of one value: the action of its plan, remembered where the result depends on the value and the patient."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from phi_deid_pipeline.actions import (
    ENCAPSULATED_DOCUMENT,
    cleaned_text,
    described_codes,
    described_part,
    dummy_document,
    dummy_value,
    is_utc_offset,
    is_well_formed,
    kept_text,
    new_uids,
    padded,
)
from phi_deid_pipeline.cut_identifiers import OTHER, letters_cut
from phi_deid_pipeline.data_dictionary import scheme_uids
from phi_deid_pipeline.dates import shift_date, to_year, without_dates
from phi_deid_pipeline.deid_plans import CODE_MEANING, CODE_VALUES, PATIENT_NAME, Kind, Plan
from phi_deid_pipeline.dicom_utils import STRING_VRS, TEXT_VRS, decode_text, format_path, keyword_of
from phi_deid_pipeline.errors import DeidError, UnreadableInstance
from phi_deid_pipeline.generalize import capped_age, capped_number, zip3
from phi_deid_pipeline.known_codes import KnownCodes, is_plain_code, known_codes, without_codes
from phi_deid_pipeline.known_days import KnownDays, is_counter
from phi_deid_pipeline.lexicon import MIN_NUMBER, MIN_WORD
from phi_deid_pipeline.private_elements import are_uids
from phi_deid_pipeline.raw_elements import Element, RawInstance
from phi_deid_pipeline.records import RejectReason
from phi_deid_pipeline.uid_mapping import is_made_up, names_definition

if TYPE_CHECKING:
    from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext

CHARACTER_SET, STUDY_DATE, BODY_PART = 0x00080005, 0x00080020, 0x00180015
TEXT_VALUE, CONCEPT_CODE = 0x0040A160, 0x0040A168
CODE_VRS = frozenset({"CS", "DS", "IS"})
FORMED_VRS = CODE_VRS | {"AS", "DA", "DT", "TM"}  # what is not well formed for them is no value of theirs
NOTHING = bytes(bytearray(b"nothing left"))  # compared by identity: the private element goes
CLEANED = frozenset({Kind.CLEAN, Kind.ADDRESS})
MEMO_BYTES = 1024  # longer values are not remembered


class ValueRewrite:
    """The values of one instance on their way through the engine."""

    def __init__(self, engine: InstanceDeidentifier, source: RawInstance, patient: PatientContext) -> None:
        self.engine = engine
        self.source = source
        self.buffer = source.buffer
        self.patient = patient
        self.charset = source.charset()
        self.memo = engine.memo_for(patient.lexicon)
        self.private_elements = 0
        self.uids_replaced = 0
        self.unknown: list[tuple[str, str]] = []  # words of the element at hand that the vocabulary lacks
        self.keeps_uids = "retain_uids" in engine.policy.options
        self.label = ""  # what the concept of the content item at hand is called
        self._births: frozenset[str] | None = None
        self._known: KnownCodes | None = None
        self._days: KnownDays | None = None

    def _act(self, plan: Plan, value: bytes, charset: tuple[str, ...], element: Element) -> bytes | None:
        """Return the new value of an element, None if it stays; remembered where it depends on the value alone."""
        kind = plan.kind
        if kind is Kind.UID:
            return NOTHING if plan.private and not are_uids(value) else self._uid(value)
        if kind is Kind.DEFINITION:
            uid = value.strip(b" \x00").decode("ascii", "replace")
            return None if self.keeps_uids or names_definition(uid, scheme_uids()) else self._uid(value)
        if kind is Kind.TEXT or kind is Kind.CHECKED:
            if kind is Kind.CHECKED and is_well_formed(plan.form, value):
                if plan.vr == "UI" and not self.keeps_uids and _are_made_up(value):
                    return self._uid(value)
                known = plan.form in CODE_VRS and len(value) >= MIN_WORD
                new = self._known_code(plan, value) if known else None
                if new is None and plan.tag == BODY_PART and plan.form == "CS":
                    new = self._body_part(value)
            elif plan.form in FORMED_VRS and plan.tag != CHARACTER_SET:
                new = self._described(plan, value, charset)
            else:
                return self._remembered(("kept", plan.vr), value, charset)
            return new if new is None or plan.form == plan.vr else self._dummy(plan, value, element)
        if kind is Kind.DATE:
            return self._date(plan, value, charset)
        if kind is Kind.AGE or kind is Kind.CODE:
            return self._code_value(plan, value, charset)
        if kind is Kind.EMPTY:
            return b""
        if kind is Kind.PSEUDONYM:
            text = self.patient.name if plan.tag == PATIENT_NAME and self.patient.name else self.patient.pseudonym
            return padded(plan.vr, text.encode("ascii"))
        if kind is Kind.REFUSE:
            raise UnreadableInstance(RejectReason.CANNOT_CLEAN, format_path(plan.path))
        if not value.strip(b" \x00") and plan.vr in STRING_VRS and ("/" in plan.code or plan.action == "K"):
            return None  # the code allows an empty value, and there is nothing to replace
        return self._dummy(plan, value, element)

    def _dummy(self, plan: Plan, value: bytes, element: Element) -> bytes:
        if plan.tag == ENCAPSULATED_DOCUMENT:
            return dummy_document(self.source.text(0x00420012))
        return dummy_value(plan.tag, plan.stated or plan.vr, value, element.little)

    def _clean(self, plan: Plan, value: bytes, charset: tuple[str, ...], element: Element) -> tuple[Plan, bytes | None]:
        """Clean a text; where nothing is left, the fallback of the policy takes over."""
        if plan.kind is Kind.ADDRESS:
            cleaned: bytes | None = padded(plan.vr, zip3(decode_text(value, charset)[0]).encode("ascii"))
        elif plan.kind is Kind.OFFSET:
            cleaned = None if is_utc_offset(value) else b""
        elif plan.tag in CODE_VALUES and is_plain_code(value, self.engine.vocabulary):
            cleaned = self._remembered(("kept", plan.vr), value, charset)
        else:
            what = ("clean", plan.vr, self.label) if self.label and _is_value(plan) else ("clean", plan.vr)
            cleaned = self._remembered(what, value, charset)
            self._note_unknown(plan, what, value, charset)
        if cleaned != b"" or not value or plan.fallback is None:
            return plan, cleaned
        fallback = plan.fallback
        gone = fallback.kind is Kind.REMOVE or fallback.kind is Kind.PRIVATE
        return fallback, None if gone else self._act(fallback, value, charset, element)

    def _labelled(self, plan: Plan, asked: Plan, value: bytes, new: bytes | None, charset: tuple[str, ...]) -> Plan:
        """Return a plan to count a cleaning by, with the letters of what was cut; `asked` is what was planned first.

        Letters are those of what is known to be cut, else those of the attribute, else R (any other identifier).
        """
        if asked.kind is Kind.DATE or asked.kind is Kind.AGE:
            letters = "C"
        elif asked.kind not in CLEANED and asked.action != "K":
            return plan
        else:
            letters = self._letters_cut(asked, value, new, charset) if asked.vr in STRING_VRS else ""
        letters = letters or plan.hipaa or OTHER
        return plan if letters == plan.hipaa else plan.labelled(letters)

    def _letters_cut(self, plan: Plan, value: bytes, new: bytes | None, charset: tuple[str, ...]) -> str:
        described = plan.kind in CLEANED
        key = ("letters", described, plan.vr, value, charset)
        if key in self.memo:
            return self.memo[key]  # type: ignore[return-value]
        long = len(value) > MEMO_BYTES  # what went of it is noted, not remembered
        unknown = bool(self.unknown) if long else ("unknown", (("clean", plan.vr), value, charset)) in self.memo
        charset = charset if plan.vr in TEXT_VRS else ()
        before, after = decode_text(value, charset)[0], decode_text(new or b"", charset)[0]
        letters = letters_cut(
            before, after, self.patient.lexicon, self.engine.vocabulary, described=described, unknown=unknown
        )
        if len(value) <= MEMO_BYTES:
            self.memo[key] = letters
        return letters

    def _date(self, plan: Plan, value: bytes, charset: tuple[str, ...]) -> bytes | None:
        """Return a date moved by the patient's offset, or cut to the year; None if it stays (blank, or kept in full)."""
        how, offset = self.engine.planner.dates, self.patient.offset_days
        births = self._birth_dates()
        key = (how, plan.vr, value, offset, births)
        if key in self.memo:
            return self.memo[key]  # type: ignore[return-value]
        if how == "shift" and not offset:
            raise DeidError("The policy shifts dates, and the patient has no offset: report it.")
        if how == "year":
            new = to_year(plan.vr, value, births)
        elif how == "shift":
            new = shift_date(plan.vr, value, offset, births)
        else:
            new = without_dates(plan.vr, value, births)
            rest = value if new is None else new
            if not is_well_formed(plan.vr, rest):
                described = self._described(plan, rest, charset)
                return new if described is None else described
        if len(value) <= MEMO_BYTES:
            self.memo[key] = new
        return new

    def _birth_dates(self) -> frozenset[str]:
        """Return the birth dates of the patient: where one stands under another name it is not moved, as it is known.

        The day of the study is moved all the same: that of a newborn tells no more than any other.
        """
        if self._births is None:
            known = self.patient.lexicon.birth_dates
            self._births = known - {re.sub(r"\D", "", self.source.text(STUDY_DATE))} if known else known
        return self._births

    def _code_value(self, plan: Plan, value: bytes, charset: tuple[str, ...]) -> bytes | None:
        """Return an age capped and well formed, or a private value of a VR without words, which goes if an identifier is in it."""
        if plan.kind is Kind.AGE:
            limit = self.engine.planner.max_age
            new = capped_number(value, plan.unit, limit) if plan.unit else capped_age(value, limit)
            if new is not None:
                return NOTHING if plan.private and not new.strip() else new
            if not plan.private:
                return None
        if plan.vr in FORMED_VRS and not is_well_formed(plan.vr, value):
            kept = self._described(plan, value, charset)
        else:
            kept = self._remembered(("kept", plan.vr), value, charset)
        return NOTHING if kept is not None and plan.private else kept

    def _known_code(self, plan: Plan, value: bytes) -> bytes | None:
        """Return a well-formed code or number without known identifiers in it, None if it stays."""
        if self._known is None:
            key = "known codes"
            if key not in self.memo:
                self.memo[key] = known_codes(self.patient.lexicon, self.engine.vocabulary)
            self._known = self.memo[key]  # type: ignore[assignment]
        if plan.form != plan.vr:
            return self._remembered(("kept", plan.vr), value, ())
        if plan.vr != "CS":
            if len(value) < MIN_NUMBER:
                return None
            counter = plan.vr == "IS" and is_counter(plan.tag)
            return without_codes(plan.vr, value, self._known, self._known_days().in_text(value, counter=counter))
        if plan.tag == CHARACTER_SET:
            return None
        found = self.memo.get((plan.vr, value), NOTHING)
        if found is NOTHING:
            found = self.memo[plan.vr, value] = without_codes(plan.vr, value, self._known)
        return found  # type: ignore[return-value]

    def _body_part(self, value: bytes) -> bytes | None:
        """Return a body part without words that the vocabulary lacks, as devices let people write there; None if it stays."""
        key = ("body part", value)
        if key not in self.memo:
            self.memo[key] = described_part(value, self.patient.lexicon, self.engine.vocabulary)
        return self.memo[key]  # type: ignore[return-value]

    def _known_days(self) -> KnownDays:
        if self._days is None:
            key = "known days"
            if key not in self.memo:
                lexicon = self.patient.lexicon
                kept = self.engine.planner.dates == "keep"
                self.memo[key] = KnownDays(lexicon.birth_dates if kept else lexicon.dates)
            self._days = self.memo[key]  # type: ignore[assignment]
        return self._days  # type: ignore[return-value]

    def _without_days(self, plan: Plan, value: bytes, little: bool) -> bytes | None:
        """Return a value of a binary VR without days of the patient, None if it stays."""
        days = self._known_days()
        return days.without_days(plan.vr, value, little=little, counter=is_counter(plan.tag)) if days else None

    def _described(self, plan: Plan, value: bytes, charset: tuple[str, ...]) -> bytes | None:
        """Return a value that is not well formed for its VR without words that the vocabulary lacks, None if it stays."""
        key = ("described", plan.tag, plan.vr, value, charset)
        if key in self.memo:
            return self.memo[key]  # type: ignore[return-value]
        vocabulary = self.engine.vocabulary
        new = described_codes(plan.tag, plan.vr, plan.form, value, charset, self.patient.lexicon, vocabulary)
        if len(value) <= MEMO_BYTES:
            self.memo[key] = new
        return new

    def _remembered(self, what: tuple[str, ...], value: bytes, charset: tuple[str, ...]) -> bytes | None:
        key = (what, value, charset)
        if key in self.memo:
            return self.memo[key]  # type: ignore[return-value]
        lexicon = self.patient.lexicon
        if what[0] == "kept":
            new = kept_text(what[1], value, charset, lexicon, self.engine.vocabulary)
        else:
            unknown: list[str] = []
            new = cleaned_text(what[1], value, charset, lexicon, self.engine.vocabulary, unknown, *what[2:])
            if unknown:
                self.memo["unknown", key] = unknown
        if len(value) <= MEMO_BYTES:
            self.memo[key] = new
        return new

    def _note_unknown(self, plan: Plan, what: tuple[str, ...], value: bytes, charset: tuple[str, ...]) -> None:
        """Count the words that the last cleaning of this value dropped for want of a vocabulary."""
        key = ("unknown", (what, value, charset))
        unknown = self.memo.get(key, ()) if len(value) <= MEMO_BYTES else self.memo.pop(key, ())
        if unknown:
            noted = [(word, keyword_of(plan.tag)) for word in unknown]  # type: ignore[attr-defined]
            self.engine.unknown_words.update(noted)
            self.unknown += noted

    def _uid(self, value: bytes) -> bytes:
        found = self.memo.get(value)
        if found is None:
            found = new_uids(value, self.engine.uids)
            if len(value) <= MEMO_BYTES:
                self.memo[value] = found
        new, changed = found  # type: ignore[misc]
        self.uids_replaced += changed
        return new if changed else value


def _are_made_up(value: bytes) -> bool:
    return any(is_made_up(uid.strip(" \x00")) for uid in value.decode("ascii", "replace").split("\\"))


def _is_value(plan: Plan) -> bool:
    """Tell whether a path is that of the text of a content item, or of what its code means."""
    return plan.tag == TEXT_VALUE or (plan.tag == CODE_MEANING and len(plan.path) > 1 and plan.path[-2] == CONCEPT_CODE)
