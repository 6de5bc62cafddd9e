"""Check a written instance against what is known of its source, with readers of its own (nothing of the engine).

A released instance opens, keeps its pixels, names no UID that the UID map does not know, and holds none of the known
identifiers, source dates and source UIDs of its patient in any byte that is looked at here. Not looked at: the picture
(the text scan does that), compressed scans, streams inside embedded documents, video.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from phi_deid_pipeline.dicom_utils import decode_text, encodings_of, format_path
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.lexicon import Lexicon
from phi_deid_pipeline.records import (
    Category,
    DeidRecord,
    HoldReason,
    RejectReason,
    Residual,
    Status,
    VerificationRecord,
)
from phi_deid_pipeline.uid_mapping import is_standard_uid
from phi_deid_pipeline.verification_bytes import Layout, Source, Value, behind_frames, chunks, comments, read_layout
from phi_deid_pipeline.verification_container import attribute_problems, opening_problems, structure_problems
from phi_deid_pipeline.verification_needles import MIN_BINARY_HIT, MIN_BINARY_RUN, Needles, printable_runs
from phi_deid_pipeline.verification_pixels import redaction_problem, same_pixels

SEARCHED_AT_ONCE = 16 << 20  # bytes of values that are searched together; bounds memory
SHORT_UID = 10  # characters: a source UID below this counts as a whole value only
PREFIX_UID = 16  # characters: from here on a source UID counts also where more components follow it

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

_TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_ONE_VALUE_VRS = frozenset({"LT", "ST", "UT", "UR"})
_DATE_VRS = frozenset({"DA", "DT"})
_NO_IDENTIFIERS = frozenset({"TM", "AS", "SQ"})
_NUMBERS = re.compile(rb"[0-9+\-.eE\\ \x00]*")
_UID_VALUE = re.compile(rb"[0-9. \x00\\]*")
_DOTTED = re.compile(rb"[0-9]+(?:\.[0-9]+){2,}")
_ALWAYS = ("opens", "structure", "lexicon", "source_uids", "known_uids", "deid_attributes")
_REASONS = {  # check -> why its residuals reject an instance; all others hold the series
    "opens": RejectReason.NOT_READABLE_AFTER,
    "deid_attributes": RejectReason.NOT_READABLE_AFTER,
    "pixel_data": RejectReason.PIXELS_CHANGED,
    "known_uids": RejectReason.UNKNOWN_UID,
}


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes to be searched as one value."""

    path: tuple[int, ...]
    vr: str
    data: bytes
    charset: bytes


class SeriesVerifier:
    """Verifies the instances of one patient's series; everything that depends on the patient is compiled once.

    `uid_map` leads from source to new UIDs of the batch; `source_uids` are UIDs of the source beside its keys;
    `harmless` are values that the engine writes, such as the pseudonym; `options` are those of the policy.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        uid_map: Mapping[str, str],
        *,
        source_uids: Iterable[str] = (),
        options: frozenset[str] = frozenset(),
        harmless: Iterable[str] = (),
    ) -> None:
        self._options = options
        self._full_dates = "retain_long_full_dates" in options
        self._moved_dates = "retain_long_modified_dates" in options
        skip = frozenset().union(*(_KEPT_CATEGORIES.get(option, frozenset()) for option in options))
        self._needles = Needles(lexicon.entries, skip, harmless)
        self._kept_tags = frozenset().union(*(_KEPT_TAGS.get(option, frozenset()) for option in options))
        sources = {uid for uid in (*uid_map, *source_uids) if uid and not is_standard_uid(uid)}
        known = {uid for uid in uid_map.values() if uid}
        if "retain_uids" in options:
            known, sources = known | sources, set()
        self._known = {uid.encode("ascii", "replace") for uid in known}
        self._sources = {uid.encode("ascii", "replace") for uid in sources - known}
        self._converted: set[tuple[int, str, bytes]] = set()
        self._seen: dict[tuple[str, bytes, bytes], frozenset[Category]] = {}

    def verify(self, written: Path, source: Path, record: DeidRecord) -> VerificationRecord:
        """Check one written instance against its source file and the record of what was done to it.

        The source is opened for its pixel data and, where the policy keeps dates, for its dates; that it is still the
        file of the inventory was checked when it was de-identified.
        """
        checks = [*_ALWAYS, "birth_date" if self._full_dates else "dates"]
        try:
            with read_layout(written) as layout:
                residuals = list(self._check(layout, written, source, record, checks))
        except UnreadableInstance as error:
            where = "source" if error.detail == "source" else "data set"
            residuals = [Residual("opens", where, "", error.reason.value)]
        except OSError as error:
            residuals = [Residual("opens", "data set", "", f"errno {error.errno}")]
        return _record(record, checks, residuals)

    def _check(
        self, layout: Layout, written: Path, source: Path, record: DeidRecord, checks: list[str]
    ) -> Iterator[Residual]:
        yield from structure_problems(layout, written, record, self._options)
        yield from attribute_problems(layout, self._options)
        yield from self._uids(layout)
        with Source(source) as original:
            yield from opening_problems(written, original.path, self._converted)
            dates = self._dates(original)
            yield from self._identifiers(layout, dates, original)
            pixels = layout.pixels
            if pixels is not None:
                checks.append("pixel_comments")
                yield from self._beside_pixels(layout, pixels, dates)
            checks.append("pixel_data")
            yield from _pixels(layout, written, original, record)

    # ---------------------------------------------------------------- UIDs

    def _uids(self, layout: Layout) -> Iterator[Residual]:
        known, sources = self._known, self._sources
        for value in layout.values:
            if value.vr != "UI" or value.start == value.end:
                continue
            for uid in layout.bytes_of(value).split(b"\\"):
                uid = uid.strip(b" \x00")
                if not uid or uid in known or uid.startswith(b"1.2.840.10008."):
                    continue
                structural = value.path[-1] in _STRUCTURAL_UIDS
                if uid in sources and not (structural and len(uid) < SHORT_UID):
                    yield Residual("source_uids", format_path(value.path), "uid")
                elif not structural:
                    yield Residual("known_uids", format_path(value.path), "uid")

    def _has_source_uid(self, data: bytes) -> bool:
        found = set(_DOTTED.findall(data))
        if any(len(uid) >= SHORT_UID for uid in found & self._sources):
            return True
        if data.strip(b" \x00") in self._sources:
            return True
        for uid in found:
            if len(uid) > PREFIX_UID:
                parts = uid.split(b".")
                heads = (b".".join(parts[:count]) for count in range(len(parts) - 1, 2, -1))
                if any(len(head) >= PREFIX_UID and head in self._sources for head in heads):
                    return True
        return False

    # ---------------------------------------------------------------- names, numbers, dates

    def _dates(self, original: Source) -> frozenset[str]:
        """Return the source dates that must not be in the result."""
        if not self._full_dates:
            return self._needles.dates
        births, others = set(), set()
        for value in original.values:
            if value.vr in _DATE_VRS:
                day = original.layout.bytes_of(value)[:8].decode("ascii", "replace")
                (births if value.path == (0x00100030,) else others).add(day)
        return frozenset(day for day in births - others if day.isdigit() and day != "19000101")

    def _identifiers(self, layout: Layout, dates: frozenset[str], original: Source) -> Iterator[Residual]:
        pieces: list[_Piece] = []
        numbers: list[tuple[tuple[int, ...], bytes]] = []
        found: set[Residual] = set()
        size = 0
        for value in layout.values:
            if value.start == value.end or value.vr == "SQ" or value is layout.pixels:
                continue
            if value.vr in _DATE_VRS and self._moved_dates:
                yield from self._moved_date(layout, value, original)
                continue
            for data in chunks(layout, value):
                if value.vr in ("DS", "IS") and _NUMBERS.fullmatch(data):
                    numbers.append((value.path, data))
                elif value.vr != "UI" or not _UID_VALUE.fullmatch(data):
                    pieces.append(_Piece(value.path, value.vr, data, value.charset))
                    size += len(data)
                if size > SEARCHED_AT_ONCE:
                    found.update(self._in_pieces(pieces, dates, original))
                    pieces, size = [], 0
        found.update(self._in_pieces(pieces, dates, original), self._in_numbers(numbers, dates))
        yield from sorted(found, key=lambda r: (r.where, r.check, r.category))

    def _moved_date(self, layout: Layout, value: Value, original: Source) -> Iterator[Residual]:
        """A moved date may be another source date of the patient; it must not be the one that stood in its place."""
        data = layout.bytes_of(value)
        before = original.value_at(value.path, value.items)
        parts = data.split(b"\\")
        old_parts = before.split(b"\\") if before is not None else [b""] * len(parts)
        for number, part in enumerate(parts):
            day = part.strip(b" \x00")[:8].decode("ascii", "replace")
            same = number < len(old_parts) and old_parts[number].strip(b" \x00")[:8] == day.encode("ascii", "replace")
            if day in self._needles.dates and (same or before is None):
                yield _identifier(value.path, Category.DATE)
                return

    def _in_numbers(self, numbers: list[tuple[tuple[int, ...], bytes]], dates: frozenset[str]) -> Iterator[Residual]:
        joined = b"\\".join(data for _, data in numbers)
        if not self._numbers_of(joined, dates):
            return
        for path, data in numbers:
            for category in self._numbers_of(data, dates):
                if not self._allowed(path, category):
                    yield _identifier(path, category)

    def _numbers_of(self, data: bytes, dates: frozenset[str]) -> set[Category]:
        components = {part.strip(b" \x00+") for part in data.split(b"\\")}
        found = self._needles.numbers(components, dates=dates)
        return found | ({Category.OTHER} if components & self._sources else set())

    def _in_pieces(self, pieces: list[_Piece], dates: frozenset[str], original: Source) -> Iterator[Residual]:
        raw = b"\x00\x00".join(piece.data for piece in pieces)
        foreign = self._foreign(raw, pieces, original) if self._needles.foreign else []
        special = not raw.isascii() or b"\x1b" in raw
        lowered = raw.lower()
        suspicious = (
            bool(foreign) or self._needles.may_hit(lowered) or self._needles.may_hit(lowered.replace(b"\x00", b""))
        )
        dotted = not self._sources.isdisjoint(_DOTTED.findall(raw)) or self._sources_in(raw)
        for piece in pieces:
            text = piece.vr in _TEXT_VRS
            odd = special and text and (not piece.data.isascii() or b"\x1b" in piece.data)
            if suspicious or odd or self._needles.inside:
                for category in self._categories(piece, dates):
                    if not self._allowed(piece.path, category):
                        yield _identifier(piece.path, category)
            for needle, category in foreign:
                if needle in piece.data and not self._allowed(piece.path, category):
                    yield _identifier(piece.path, category)
            if dotted and self._has_source_uid(piece.data):
                yield Residual("source_uids", format_path(piece.path), "uid")

    def _foreign(self, raw: bytes, pieces: list[_Piece], original: Source) -> list[tuple[bytes, Category]]:
        """Return the words that are not ASCII and stand in the bytes, in an encoding that source or result declare."""
        charsets = {piece.charset for piece in pieces} | original.charsets()
        encodings = {name for charset in charsets for name in encodings_of(_terms(charset))}
        return [needle for needle in self._needles.encoded(encodings) if needle[0] in raw]

    def _sources_in(self, raw: bytes) -> bool:
        return self._has_source_uid(raw) or any(len(uid) < SHORT_UID and uid in raw for uid in self._sources)

    def _categories(self, piece: _Piece, dates: frozenset[str]) -> frozenset[Category]:
        """Return the kinds of identifiers in a value; remembered, as the instances of a series repeat their values."""
        key = (piece.vr, piece.charset, piece.data)
        known = self._seen.get(key)
        if known is None or self._full_dates:
            known = frozenset(self._look(piece, dates))
            if len(piece.data) <= 1024 and len(self._seen) < 100_000:
                self._seen[key] = known
        return known

    def _look(self, piece: _Piece, dates: frozenset[str]) -> Iterator[Category]:
        data, vr = piece.data, piece.vr
        if vr in _NO_IDENTIFIERS:
            return
        if vr in _DATE_VRS:
            text = data.decode("ascii", "replace").replace("\\", " ")
            yield from (c for c, _ in self._needles.hits(text, dates=dates) if c is Category.DATE)
            return
        stripped = data.strip(b" \x00")
        if vr in _TEXT_VRS or (stripped.isascii() and stripped.decode("ascii").isprintable()):
            text, _ = decode_text(stripped, _terms(piece.charset))
            for part in [text] if vr in _ONE_VALUE_VRS else text.split("\\"):
                yield from (category for category, _ in self._needles.hits(part, dates=dates))
            return
        for run in printable_runs(data):
            for category, length in self._needles.hits(run, dates=dates):
                if length >= MIN_BINARY_HIT or len(run) >= MIN_BINARY_RUN:
                    yield category

    def _allowed(self, path: tuple[int, ...], category: Category) -> bool:
        if category not in _PATIENT and not self._kept_tags.isdisjoint(path):
            return True
        return path[-1] in _MAKER_TAGS and category in _MAKER_CATEGORIES

    def _beside_pixels(self, layout: Layout, pixels: Value, dates: frozenset[str]) -> Iterator[Residual]:
        """Search comments, offset tables and what stands between and behind the frames.

        Compressed data are searched as a whole, too: chance makes no printable runs that spell an identifier. In native
        frames grey levels may do so, hence only bytes behind them count.
        """
        path, told = format_path(pixels.path), set()
        for number, marker, data in comments(layout, pixels):
            for category in self._in_bytes(pixels, data, dates):
                told.add(category)
                yield Residual("pixel_comments", path, category, f"fragment {number} {marker}")
        rest = pixels if pixels.fragments else behind_frames(layout, pixels)
        where = "compressed data" if pixels.fragments else "behind the frames"
        for data in chunks(layout, rest):
            lowered = data.lower()
            hit = self._needles.may_hit(lowered) or self._needles.may_hit(lowered.replace(b"\x00", b""))
            if not hit and not self._has_source_uid(data):
                continue
            for category in self._in_bytes(pixels, data, dates):
                if category not in told:
                    told.add(category)
                    yield Residual("pixel_comments", path, category, where)

    def _in_bytes(self, pixels: Value, data: bytes, dates: frozenset[str]) -> list[str]:
        """Return the kinds of identifiers in bytes that are no picture."""
        found = [str(c.value) for c in sorted(self._categories(_Piece(pixels.path, "OB", data, b""), dates))]
        return [*found, "uid"] if self._has_source_uid(data) else found


def verify_instance(
    written: Path,
    *,
    source: Path,
    record: DeidRecord,
    lexicon: Lexicon,
    uid_map: Mapping[str, str],
    source_uids: Iterable[str] = (),
    options: frozenset[str] = frozenset(),
) -> VerificationRecord:
    """Check a single instance; `SeriesVerifier` is the quicker way for several of one patient."""
    verifier = SeriesVerifier(lexicon, uid_map, source_uids=source_uids, options=options, harmless=[record.patient])
    return verifier.verify(written, source, record)


def series_verdict(records: Iterable[VerificationRecord]) -> dict[str, tuple[Status, str]]:
    """Return status and reason of each instance by new SOP Instance UID.

    An identifier found in one instance, or a lost link of it, holds all of its series, since its neighbours may hold
    the same where these checks do not see it; a broken instance is rejected alone.
    """
    rows = sorted(records, key=lambda row: row.sop_uid)
    held: dict[str, str] = {}
    for row in rows:
        holding = {residual.check for residual in row.residuals} - _REASONS.keys()
        if holding - {"links"}:
            held[row.series_uid] = HoldReason.RESIDUAL_IDENTIFIER.value
        elif holding:
            held.setdefault(row.series_uid, HoldReason.LINK_LOST.value)
    verdicts = {}
    for row in rows:
        if row.status is Status.RELEASED and row.series_uid in held:
            verdicts[row.sop_uid] = (Status.HELD, held[row.series_uid])
        else:
            verdicts[row.sop_uid] = (row.status, row.reason)
    return verdicts


def _record(record: DeidRecord, checks: list[str], residuals: list[Residual]) -> VerificationRecord:
    found = sorted(set(residuals), key=lambda r: (r.check, r.where, r.category, r.detail))
    present = {residual.check for residual in found}
    reason: RejectReason | HoldReason | None = next((why for check, why in _REASONS.items() if check in present), None)
    if reason is not None:
        status = Status.REJECTED
    elif found:
        status, reason = Status.HELD, HoldReason.RESIDUAL_IDENTIFIER
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


def _identifier(path: tuple[int, ...], category: Category) -> Residual:
    return Residual("dates" if category is Category.DATE else "lexicon", format_path(path), category.value)


def _terms(charset: bytes) -> tuple[str, ...]:
    text = charset.decode("ascii", "replace").strip(" \x00")
    return tuple(term.strip() for term in text.split("\\")) if text else ()


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
    if record.pixel_data == "untouched":
        if not same_pixels(layout, original.layout):
            yield Residual("pixel_data", where, "", "differ from the source")
        return
    problem = redaction_problem(original.path, written, record)
    if problem:
        yield Residual("pixel_data", where, "", problem)
