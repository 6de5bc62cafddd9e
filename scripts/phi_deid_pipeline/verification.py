"""Check a written instance against what is known of its source, with readers of its own (nothing of the engine).

A released instance opens, keeps its pixels, names no UID that the UID map does not know, and holds none of the known
identifiers, source dates and source UIDs of its patient in any byte that is looked at here, base64 and deflated streams
inside values included. Not looked at: the picture (the text scan does that), video, encrypted streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from phi_deid_pipeline.data_dictionary import scheme_uids
from phi_deid_pipeline.dicom_utils import format_path
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.expressions import Expression
from phi_deid_pipeline.identifiers import Entry, Identifiers
from phi_deid_pipeline.policies import Policy
from phi_deid_pipeline.records import (
    Category,
    DeidRecord,
    HoldReason,
    RejectReason,
    Residual,
    Status,
    VerificationRecord,
)
from phi_deid_pipeline.references import BeforeAfter, references
from phi_deid_pipeline.uid_mapping import is_standard_uid
from phi_deid_pipeline.value_objects import dataclass
from phi_deid_pipeline.verification_bytes import Layout, Source, Value, read_layout
from phi_deid_pipeline.verification_container import Opened, attribute_problems, container_problems, group_problems
from phi_deid_pipeline.verification_content import number_problems
from phi_deid_pipeline.verification_dates import (
    NUMBER_VRS,
    UTC_OFFSET,
    ChangedDates,
    NumericDays,
    age_problems,
    offset_problems,
)
from phi_deid_pipeline.verification_headers import HeaderMemory
from phi_deid_pipeline.verification_iod import Conformance
from phi_deid_pipeline.verification_needles import Needles
from phi_deid_pipeline.verification_overlays import declares_overlay, overlay_left
from phi_deid_pipeline.verification_pixels import redaction_problem, same_pixels
from phi_deid_pipeline.verification_places import behind_frames, chunks, comments, digest
from phi_deid_pipeline.verification_private import private_problems
from phi_deid_pipeline.verification_search import (
    MOST_REMEMBERED,
    REMEMBERED_BYTES,
    SHORT_UID,
    Allowance,
    Piece,
    Search,
    is_date,
)
from phi_deid_pipeline.verification_told import Teller, Told

SEARCHED_AT_ONCE = 16 << 20  # bytes of values that are searched together; bounds memory

# Categories that an option keeps wherever they stand, and the attributes whose values it keeps (Table E.1-1).
_KEPT_CATEGORIES = {
    "retain_device_identity": frozenset({Category.DEVICE}),
    "retain_institution_identity": frozenset({Category.INSTITUTION}),
}
_KEPT_TAGS = {
    "retain_institution_identity": frozenset(
        {0x00080080, 0x00080081, 0x00080082, 0x00081040, 0x00081041, 0x00120030, 0x00120031, 0x00120060, 0x00120081}
        | {0x04000564}
    ),
    "retain_patient_characteristics": frozenset(
        {0x00100040, 0x00100042, 0x00100043, 0x00100046, 0x00100047, 0x00101010, 0x00101020, 0x00101030, 0x00102110}
        | {0x00102160, 0x00102161, 0x00102162, 0x001021A0, 0x001021C0, 0x00102203, 0x00380050, 0x00380500, 0x00400012}
    ),
}
_PATIENT = frozenset({Category.NAME, Category.RECORD_NUMBER, Category.DATE, Category.CONTACT})  # never kept by a tag
# What a maker puts into its products says nothing about the patient: a station may be named after its model.
_MAKER_TAGS = frozenset({0x00080070, 0x00081090, 0x00181020, 0x00181019, 0x00189004, 0x0018100B, 0x00020013})
_MAKER_CATEGORIES = frozenset({Category.INSTITUTION, Category.DEVICE, Category.OTHER, Category.PERSON})
# UIDs that name a class, a syntax, a scheme or a template; (0002,0012) is the engine's own.
_STRUCTURAL_UIDS = frozenset(
    {0x00020002, 0x00020010, 0x00020012, 0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x0008010D}
    | {0x00080117, 0x00080118, 0x0008040E, 0x00081150, 0x0008115A, 0x00083002, 0x00089123, 0x00340003}
    | {0x04000010, 0x04000510, 0x3010001F, 0x30100052, 0x30100053}
)
# Of these a scheme, context or extension of a site says who made it: registered ones alone stay.
_DEFINITION_UIDS = frozenset({0x0008010C, 0x0008010D, 0x00080117, 0x00080118})
_OF_HL7 = Expression(rb"2\.16\.840\.1\.113883\.[56]\.\d{1,4}")
_MADE = Expression(rb"2\.25\.\d{30,39}")  # as new UIDs are

_PATIENT_AGE = 0x00101010
_BIRTH_DATE, _STUDY_DATE = (0x00100030,), (0x00080020,)  # paths
_DATE_VRS = frozenset({"DA", "DT"})
_NONE: frozenset[int] = frozenset()
_LONGITUDINAL = {"retain_long_full_dates": "UNMODIFIED", "retain_long_modified_dates": "MODIFIED"}
_CONFORMANCE = frozenset({"iod", "dciodvfy"})
_DICOM_ROOT = b"1.2.840.10008."
_REGISTERED = Expression(rb"1\.2\.840\.10008(\.[0-9]{1,4}){1,10}")  # UIDs of the standard itself (PS3.6 A)
_ALWAYS = ("opens", "structure", "iod", "lexicon", "source_uids", "known_uids", "deid_attributes")
_HOLDS = (HoldReason.RESIDUAL_IDENTIFIER, HoldReason.LINK_LOST, HoldReason.CONFORMANCE)  # the first of several counts
LOST_SOURCE = ("source", RejectReason.UNREADABLE_FILE.value)  # place and detail of a residual: nothing was compared
_REASONS = {  # check -> why its residuals reject an instance; all others hold the series
    "opens": RejectReason.NOT_READABLE_AFTER,
    "deid_attributes": RejectReason.NOT_READABLE_AFTER,
    "pixel_data": RejectReason.PIXELS_CHANGED,
    "known_uids": RejectReason.UNKNOWN_UID,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A verdict, the references of source and result (None if one does not parse), and what identifies the layouts.

    `layouts` is equal for instances that differ from each other and from their sources in values alone.
    """

    verdict: VerificationRecord
    references: BeforeAfter | None
    layouts: bytes


class Sought(NamedTuple):
    """What must not be in a result beside the identifiers of the lexicon; `charsets` are those that its source declares."""

    dates: frozenset[str]
    charsets: frozenset[bytes]
    told: Told


class SeriesVerifier:
    """Verifies the instances of one patient's series; what depends on the patient is compiled once.

    `uid_map` leads from source to new UIDs of the batch; `source_uids` are UIDs of the source beside its keys;
    `harmless` are values that the engine writes, such as the pseudonym; `options` are those of the policy, where none is
    given: then no private element is kept.

    A value in which nothing was found is not judged again where the same bytes stand at the same path of a later
    instance: its path, VR and character set are all that the checks of a value see.
    """

    def __init__(
        self,
        lexicon: Identifiers,
        uid_map: Mapping[str, str],
        *,
        source_uids: Iterable[str] = (),
        policy: Policy | None = None,
        options: frozenset[str] = frozenset(),
        harmless: Iterable[str] = (),
    ) -> None:
        options = policy.options if policy is not None else options
        self._policy = policy
        self._longitudinal = policy.longitudinal if policy is not None else _longitudinal(options)
        self._full_dates = "retain_long_full_dates" in options
        self._moved_dates = "retain_long_modified_dates" in options
        self._max_age = policy.max_age if policy is not None else 0
        skip = frozenset().union(*(_KEPT_CATEGORIES.get(option, frozenset()) for option in options))
        kept_tags = frozenset().union(*(_KEPT_TAGS.get(option, frozenset()) for option in options))
        sources = {uid for uid in (*uid_map, *source_uids) if uid and not is_standard_uid(uid)}
        known = {uid for uid in uid_map.values() if uid}
        self._keeps_uids = "retain_uids" in options
        if self._keeps_uids:
            known, sources = known | sources, set()
        self._known = {uid.encode("ascii", "replace") for uid in known}
        self._sources = {uid.encode("ascii", "replace") for uid in sources - known}
        self._needles = Needles(lexicon.entries, skip, harmless)
        site_tags = frozenset(row.tag for row in policy.overrides if row.action == "K") if policy is not None else _NONE
        allowance = Allowance(kept_tags | site_tags, site_tags, _PATIENT, _MAKER_TAGS, _MAKER_CATEGORIES)
        self._search = Search(self._needles, self._sources, allowance)
        self._teller = Teller(lexicon)
        self._untaught: dict[frozenset[Entry], Search] = {}  # for what a source says and the lexicon lacks
        self._compiled = lambda entries: Search(Needles(entries, skip, harmless), (), allowance)
        self._moved = ChangedDates(
            policy.dates if policy is not None else "shift", self._needles.dates, lexicon.birth_dates
        )
        self._numeric: dict[frozenset[str], NumericDays] = {}
        self._opened = Opened()
        self._conformance = Conformance()
        self._written_headers, self._source_headers = HeaderMemory(), HeaderMemory()
        self._clean: dict[Sought, set[tuple]] = {}

    def verify(self, written: Path, source: Path, record: DeidRecord) -> VerificationRecord:
        """Check one written instance against its source file and the record of what was done to it."""
        return self.check(written, source, record).verdict

    def check(self, written: Path, source: Path, record: DeidRecord) -> Checked:
        """Check one written instance against its source file and the record of what was done to it.

        That the source is still the file of the inventory was checked when it was de-identified.
        """
        checks = [*_ALWAYS, "birth_date" if self._full_dates else "dates", *(["ages"] if self._max_age else [])]
        seen: list[tuple[BeforeAfter, bytes]] = []
        try:
            with read_layout(written, self._written_headers) as layout:
                residuals = list(self._check(layout, written, source, record, checks, seen))
        except UnreadableInstance as error:
            where = "source" if error.detail == "source" else "data set"
            residuals = [Residual("opens", where, "", error.reason.value)]
        except OSError as error:
            residuals = [Residual("opens", "data set", "", f"errno {error.errno}")]
        return Checked(_record(record, checks, residuals), *(seen[-1] if seen else (None, b"")))

    def _check(
        self,
        layout: Layout,
        written: Path,
        source: Path,
        record: DeidRecord,
        checks: list[str],
        seen: list[tuple[BeforeAfter, bytes]],
    ) -> Iterator[Residual]:
        yield from container_problems(layout, written, record)
        yield from number_problems(layout, self._max_age)
        with Source(source, self._source_headers) as original:
            yield from attribute_problems(layout, original.layout, self._longitudinal)
            yield from self._opened.problems(layout, written, original.path)
            yield from self._conformance.problems(layout, original.layout)
            named = BeforeAfter(references(original.layout), references(layout))
            seen.append((named, layout.shape() + original.layout.shape()))
            told = self._teller.told(original)
            dates = self._dates(original)
            charsets = original.charsets() if self._needles.foreign else frozenset()
            yield from self._values(layout, Sought(dates, charsets, told), original)
            yield from self._private(layout, original)
            pixels = layout.pixels
            if pixels is not None:
                checks.append("pixel_comments")
                yield from self._beside_pixels(layout, pixels, dates)
            checks.append("pixel_data")
            yield from _pixels(layout, written, original, record)

    # ---------------------------------------------------------------- values

    def _values(self, layout: Layout, sought: Sought, original: Source) -> Iterator[Residual]:
        """Judge every value that is new: its group, its UIDs, and what its bytes spell."""
        clean, buffer = self._clean.setdefault(sought, set()), layout.buffer
        fresh: list[tuple[tuple, Value]] = []
        for stretch, values in layout.parts():
            if stretch is not None and stretch.judged is clean:
                continue
            known = len(fresh)
            for value in values:
                if value is layout.pixels:
                    continue
                data = (
                    buffer[value.start : value.end]
                    if value.end - value.start <= REMEMBERED_BYTES
                    else digest(layout, value)
                )
                key = (value.path, value.vr, data, value.charset)
                if key not in clean:
                    fresh.append((key, value))
            if stretch is not None and len(fresh) == known:
                stretch.judged = clean
        if not fresh:
            return
        found: set[Residual] = set()
        values = [value for _, value in fresh]
        dates = sought.dates | self._untaught_days(sought.told)
        if dates not in self._numeric:
            self._numeric[dates] = NumericDays(dates)
        numeric = self._numeric[dates]
        for value in values:
            found.update(group_problems(value))
            if value.vr == "AS" or value.path[-1] == _PATIENT_AGE:
                found.update(age_problems(value, layout.bytes_of(value), self._max_age))
            if value.path[-1] == UTC_OFFSET:
                found.update(offset_problems(value, layout.bytes_of(value)))
            if value.vr == "UI":
                found.update(self._uids(layout, value, original))
            if value.vr in NUMBER_VRS and not self._search.allows(value.path, Category.DATE):
                found.update(numeric.problems(value, layout.bytes_of(value), little=layout.little))
        found.update(self._identifiers(layout, values, sought, original))
        yield from found
        dirty = {residual.where for residual in found}
        if len(clean) < MOST_REMEMBERED:
            moved = _DATE_VRS if self._moved_dates else ()
            clean.update(k for k, v in fresh if v.vr not in moved and format_path(v.path) not in dirty)

    def _private(self, layout: Layout, original: Source) -> Iterator[Residual]:
        private = [value for value in layout.values if value.path[-1] & 0x10000]
        if private:
            modality, manufacturer = original.layout.text(0x00080060), original.layout.text(0x00080070)
            yield from private_problems(layout, private, self._policy, modality, manufacturer)

    def _uids(self, layout: Layout, value: Value, original: Source) -> Iterator[Residual]:
        structural = value.path[-1] in _STRUCTURAL_UIDS
        for uid in layout.bytes_of(value).split(b"\\"):
            uid = uid.strip(b" \x00")
            if not uid or uid in self._known or _REGISTERED.fullmatch(uid):
                continue
            if uid in self._sources and not (structural and len(uid) < SHORT_UID):
                yield Residual("source_uids", format_path(value.path), "uid")
            elif not structural:
                yield Residual("known_uids", format_path(value.path), "uid")
            elif not self._keeps_uids and _tells(uid, value.path[-1], original):
                yield Residual("source_uids", format_path(value.path), "uid")

    def _dates(self, original: Source) -> frozenset[str]:
        """Return the source dates that must not be in the result."""
        if not self._full_dates:
            return self._needles.dates
        births, others = set(), set()
        for value in original.values:
            if value.path in (_BIRTH_DATE, _STUDY_DATE):
                day = original.layout.bytes_of(value)[:8].decode("ascii", "replace")
                (births if value.path == _BIRTH_DATE else others).add(day)
        return frozenset(day for day in births - others if day.isdigit() and day != "19000101")

    def _untaught_days(self, told: Told) -> frozenset[str]:
        """Return the days that a source says and the lexicon lacks; where days are kept, `_dates` looks for births."""
        days = (entry.value for entry in told.missing if entry.category is Category.DATE)
        return frozenset() if self._full_dates else frozenset(days)

    def _find(self, pieces: list[Piece], sought: Sought) -> Iterator[Residual]:
        yield from self._search.find(pieces, sought.dates, sought.charsets)
        told = sought.told
        if told.names:
            yield from self._search.names(pieces, told.names)
        if told.missing:
            if told.missing not in self._untaught:
                self._untaught[told.missing] = self._compiled(told.missing)
            yield from self._untaught[told.missing].find(pieces, self._untaught_days(told), sought.charsets)

    def _identifiers(
        self, layout: Layout, values: Iterable[Value], sought: Sought, original: Source
    ) -> Iterator[Residual]:
        pieces: list[Piece] = []
        size = 0
        for value in values:
            if value.start == value.end or value.vr == "SQ":
                continue
            if self._moved_dates and is_date(value.vr, data := layout.bytes_of(value)):
                yield from self._moved.problems(value, data, original)
                continue
            for data in chunks(layout, value):
                pieces.append(Piece(value.path, value.vr, data, value.charset))
                size += len(data)
                if size > SEARCHED_AT_ONCE:
                    yield from self._find(pieces, sought)
                    pieces, size = [], 0
        yield from self._find(pieces, sought)

    def _beside_pixels(self, layout: Layout, pixels: Value, dates: frozenset[str]) -> Iterator[Residual]:
        """Search comments, offset tables and what stands between and behind the frames.

        Compressed data are searched as a whole, too: chance makes no printable runs that spell an identifier. In native
        frames grey levels may do so, hence only bytes behind them count.
        """
        path, told = format_path(pixels.path), set()
        for number, marker, data in comments(layout, pixels):
            for category in self._search.in_bytes(pixels.path, data, dates, packed=True):
                told.add(category)
                yield Residual("pixel_comments", path, category, f"fragment {number} {marker}")
        rest = pixels if pixels.fragments else behind_frames(layout, pixels)
        where = "compressed data" if pixels.fragments else "behind the frames"
        for data in chunks(layout, rest):
            if not (self._needles.foreign or self._search.may_hit(data)):
                continue
            for category in self._search.in_bytes(pixels.path, data, dates, packed=not pixels.fragments):
                if category not in told:
                    told.add(category)
                    yield Residual("pixel_comments", path, category, where)


def _tells(uid: bytes, tag: int, original: Source) -> bool:
    """Tell whether the UID of a class or definition is one of a site, or stands unregistered below the root of DICOM."""
    return uid.startswith(_DICOM_ROOT) or (tag in _DEFINITION_UIDS and _is_of_a_site(uid, original))


def _is_of_a_site(uid: bytes, original: Source) -> bool:
    """Tell whether a UID of a definition is neither registered nor a new one: one that the source has too is none."""
    if _OF_HL7.fullmatch(uid) or uid.decode("ascii", "replace") in scheme_uids():
        return False
    read = original.layout.bytes_of
    return not _MADE.fullmatch(uid) or any(
        uid in read(value) for value in original.values if value.path[-1] in _DEFINITION_UIDS
    )


def verify_instance(
    written: Path,
    *,
    source: Path,
    record: DeidRecord,
    lexicon: Identifiers,
    uid_map: Mapping[str, str],
    source_uids: Iterable[str] = (),
    options: frozenset[str] = frozenset(),
    policy: Policy | None = None,
) -> VerificationRecord:
    """Check a single instance; `SeriesVerifier` is the quicker way for several of one patient."""
    named = {"source_uids": source_uids, "options": options, "policy": policy, "harmless": [record.patient]}
    verifier = SeriesVerifier(lexicon, uid_map, **named)
    return verifier.verify(written, source, record)


def series_verdict(records: Iterable[VerificationRecord]) -> dict[str, tuple[Status, str]]:
    """Return status and reason of each instance by new SOP Instance UID.

    An identifier found in one instance, a lost link or a new error of conformance holds all of its series, since its
    neighbours may have the same where these checks do not see it; a broken instance is rejected alone.
    """
    rows = sorted(records, key=lambda row: row.sop_uid)
    held: dict[str, HoldReason] = {}
    for row in rows:
        reason = _hold_reason({residual.check for residual in row.residuals})
        if reason is not None:
            held[row.series_uid] = min(reason, held.get(row.series_uid, reason), key=_HOLDS.index)
    verdicts = {}
    for row in rows:
        if row.status is Status.RELEASED and row.series_uid in held:
            verdicts[row.sop_uid] = (Status.HELD, held[row.series_uid].value)
        else:
            verdicts[row.sop_uid] = (row.status, row.reason)
    return verdicts


def _longitudinal(options: frozenset[str]) -> str:
    return next((word for option, word in _LONGITUDINAL.items() if option in options), "REMOVED")


def _hold_reason(checks: set[str]) -> HoldReason | None:
    """Return why residuals of these checks hold a series, None for those that reject their instance alone."""
    holding = checks - _REASONS.keys()
    if holding - _CONFORMANCE - {"links"}:
        return HoldReason.RESIDUAL_IDENTIFIER
    if "links" in holding:
        return HoldReason.LINK_LOST
    return HoldReason.CONFORMANCE if holding else None


def _record(record: DeidRecord, checks: list[str], residuals: list[Residual]) -> VerificationRecord:
    found = sorted(set(residuals), key=lambda r: (r.check, r.where, r.category, r.detail))
    present = {residual.check for residual in found}
    reason: RejectReason | HoldReason | None = next((why for check, why in _REASONS.items() if check in present), None)
    if reason is not None:
        status = Status.REJECTED
    elif found:
        status, reason = Status.HELD, _hold_reason(present)
    else:
        status = Status.RELEASED
    return VerificationRecord(
        sop_uid=record.sop_uid,
        series_uid=record.series_uid,
        status=status,
        reason=reason.value if reason else "",
        checks=tuple(sorted(set(checks))),
        residuals=tuple(found),
    )


# -------------------------------------------------------------------- pixels


def _pixels(layout: Layout, written: Path, original: Source, record: DeidRecord) -> Iterator[Residual]:
    where = format_path(layout.pixels.path) if layout.pixels else "7FE00010"
    if record.pixel_data == "none":
        if layout.pixels is not None:
            yield Residual("pixel_data", where, "", "not expected")
        return
    if layout.pixels is None:
        yield Residual("pixel_data", where, "", "missing")
        return
    if declares_overlay(original.layout) and overlay_left(layout):
        yield Residual("structure", where, "", "overlay in unused bits")
    if record.pixel_data == "untouched":
        if not same_pixels(layout, original.layout):
            yield Residual("pixel_data", where, "", "differ from the source")
        return
    problem = redaction_problem(original.path, written, record)
    if problem:
        yield Residual("pixel_data", where, "", problem)
