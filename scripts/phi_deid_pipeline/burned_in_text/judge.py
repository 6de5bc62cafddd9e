"""Judge what was read in the pixels of one series: which text identifies, what is hidden, which boxes are filled."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from phi_deid_pipeline.boxes import grown, joined, overlap
from phi_deid_pipeline.burned_in_text.match import Matcher, folded, plain
from phi_deid_pipeline.burned_in_text.places import Fills, Shown, fills
from phi_deid_pipeline.records import Box, Category, Finding, HoldReason, InstanceFindings, Reading, Region, Verdict

RESOURCES = Path(__file__).resolve().parents[3] / "resources" / "burned_in_text"
VOCABULARY = RESOURCES.parent / "vocabularies"  # of free text: imaging words, and those of them that are names too
MIN_VOCABULARY_WORD = 4  # letters; shorter ones may be initials
HIDE_POLICIES = ("all_text", "all_but_benign", "identifying_only")
BENIGN_CONFIDENCE = 0.8
MAX_GROUPED_DIGITS = 4  # of numbers with blanks alone between them that are no identifier
MAX_STEP = 100  # between marks of a scale
MAX_BENIGN_DIGITS = 3
TEXT_LEFT = "text_left"
_HIDDEN_BY = {
    "all_text": frozenset({Verdict.IDENTIFYING, Verdict.UNKNOWN, Verdict.BENIGN}),
    "all_but_benign": frozenset({Verdict.IDENTIFYING, Verdict.UNKNOWN}),
    "identifying_only": frozenset({Verdict.IDENTIFYING}),
}
_WORST = (Verdict.IDENTIFYING, Verdict.UNKNOWN, Verdict.BENIGN, Verdict.NOT_TEXT)
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC MRZ MAI OKT DEZ FEV AVR JUI AOU ENE ABR AGO DIC GEN MAG GIU LUG SET OTT MRT MEI"
_MONTH = f"(?:{'|'.join(_MONTHS.split())})[A-Z]*"
_DATE = re.compile(
    "|".join(
        (
            r"\b\d{1,2}\s?[./-]\s?\d{1,2}\s?[./-]\s?(?:\d{4}|\d{2})\b",
            r"\b\d{4}\s?[./-]\s?\d{1,2}\s?[./-]\s?\d{1,2}\b",
            r"\b\d{2} \d{2} (?:\d{4}|\d{2})\b",
            rf"\b\d{{1,2}}(?:ST|ND|RD|TH)?[\s.,-]*{_MONTH}[\s.,-]*(?:\d{{4}}|\d{{2}})\b",
            rf"\b{_MONTH}[\s.,-]*\d{{1,2}}[\s.,-]+\d{{4}}\b",
        )
    )
)
_TIME = re.compile(r"(?<!\d)[0-2]?\d\s?:\s?[0-5]\d(?:\s?:\s?[0-5]\d)?(?!\d)|\b\d{1,2}\s?[AP]\.?M\b")
_HEADS = (
    ("German", "de"),
    ("French", "fr"),
    ("Spanish", "es"),
    ("Italian", "it"),
    ("Dutch", "nl"),
    ("Portuguese", "pt"),
)
_LANGUAGES = dict(_HEADS)  # of own_words.txt
_CONTACT = re.compile(r"[\w.+-]+@[\w-]+\.\w|\bWWW\.|HTTPS?:|\+\d[\d\s()/-]{7,}")
_TELEPHONE = re.compile(r"(?<!\d)(?:\(\d{3}\) ?|\d{3}[ -])\d{3}[ -]\d{4}(?!\d)|(?<!\d)0\d{1,4}[ /]\d{4,}")
_LONG_NUMBER = re.compile(r"\d(?:[.,'/-]{0,2}\d){4,}")
_OLD = re.compile(  # 45 CFR 164.514(b)(2)(i)(C); 90Y may be yttrium, and goes
    r"(?<![\w.,])(?:0?9\d|1[0-3]\d)\s?(?:Y/O|YO|YRS?|YEARS?|JAHRE|ANS|ANNI|ANOS|AÑOS|JAAR)(?![^\W_])"
    r"|(?<![\w.,])0?(?:9\d|1[0-3]\d)(?:[AJY]|\s[AJY](?!\s?[:=]?\s?\d))(?![^\W_])"  # not in X 95 Y 102
    r"|(?<![\w.,])(?:[FM]/|[FMW][\s.]?(?=0?\d+\s?[AJY](?!\s?[:=]?\s?\d)))0?(?:9\d|1[0-3]\d)(?![.,\d])"  # F/92, M 90Y, F90Y
    r"|\A\W*(?:[FM]\s?0?(?:9[\dO]|1[0-3O][\dO])\s?[A-Z]?|GE\s?(?:9\d|1[0-3]\d))\W*\Z"  # misread: F99W, ge 91 of Age 91
    r"|(?<![\w.,])0?(?:9\d|1[0-3]\d)\s?(?:[AJY]\s?)?[/ ]?[FM](?![^\W_]|[/.,]?\d)"  # 92/F, 95 y m
)
_GROUPS = re.compile(r"(?<![\w.,:/-])\d{1,3}(?: \d{1,3})+(?![\w]|[.,:/-]\d)")
_DAY_AND_MONTH = re.compile(r"(?<![\w.,:/-])(\d{1,2})[/-](\d{1,2})(?![\w]|[.,:/-]\d)")
_COUNTED = re.compile(r"(?:IM|IMA|IMG|IMAGE|FR|FRAME|SL|SLICE|SE|SER|SERIES|BILD|COUPE|CORTE|STRATO|BEELD)[ :.#]*$")
_MIXED_NUMBER = re.compile(r"(?=(?:[A-Z]*\d){4})[A-Z\d]{6,}")
_TOKEN = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d_]+|%|°")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_MEASURE = r"\d{1,3}(?:[.,]\d{1,2})? ?(?:CM/S|M/S|CM|MM|HZ|KHZ|MHZ|DB|BPM|FPS|MMHG|%)"
_DEPTH = re.compile(rf"(?<![^\W_])D(?= {_MEASURE}(?![^\W_]))")  # the letter alone may be an initial
_DYNAMIC_RANGE = re.compile(r"(?<=DB/)DR(?=\d{2,3}(?!\d))")  # and no title
_TEST_PATTERN = re.compile(r"(?<![^\W_])TEST PATTERN(?![^\W_])")  # TEST alone stands where a name should
_CINE = re.compile(r"(?<=CINE )\d{4}(?!\S)")
# A label with a value: complete by itself, so that no text beside it goes on with it.
_SETTING = re.compile(rf"(?:[A-Z]{{2,6}}[ :=<]{{0,2}}\d{{1,2}}\.\d{{1,2}}|{_MEASURE})")


class LexiconLike(Protocol):
    """What judging needs of a lexicon: entries with a category and a value."""

    @property
    def entries(self) -> Iterable: ...


@dataclass(frozen=True, slots=True)
class Words:
    """The word lists of `resources/burned_in_text`, in plain capitals."""

    benign: frozenset[str]
    units: frozenset[str]
    cues: Mapping[str, Category]  # word that announces an identifier -> what it announces
    imaging: frozenset[str] = frozenset()  # of the vocabulary; harmless too, but an institution may be called so


@dataclass(frozen=True, slots=True)
class _Judged:
    region: Region
    verdict: Verdict
    category: str
    reason: str


@cache
def load_words(languages: tuple[str, ...] = ("en",), folder: Path = RESOURCES) -> Words:
    """Read the word lists; the allow-list in these languages, the words that announce identifiers in all there are.

    Raises ValueError where there is no allow-list of a language, or a list of cues names an unknown category.
    """
    there = sorted(path.stem for path in (folder / "benign").glob("*.txt"))
    missing = sorted(set(languages) - set(there))
    if missing:
        raise ValueError(f"no allow-list in {', '.join(missing)}; there are {', '.join(there)}")
    benign = {
        _plain_word(w) for name in languages for line in _lines(folder / "benign" / f"{name}.txt") for w in line.split()
    }
    units = {word.upper() for line in _lines(folder / "units.txt") for word in line.split()}
    cues: dict[str, Category] = {}
    for path in sorted((folder / "cues").glob("*.txt")):
        for line in _lines(path):
            category, _, words = line.partition(":")
            cues |= {word.upper(): Category(category.strip()) for word in words.split()}
    never = {_plain_word(word) for line in _lines(folder / "not_benign.txt") for word in line.split()}
    return Words(frozenset(benign), frozenset(units), cues, _imaging(languages) - never - set(cues))


def _imaging(languages: tuple[str, ...]) -> frozenset[str]:
    """Return the strong words of the free-text vocabulary that nobody is called by, in English and these languages."""
    rows = (line.split("\t") for line in _lines(VOCABULARY / "vocabulary.txt"))
    strong = {word for word, strength in rows if strength == "strong" and len(word) >= MIN_VOCABULARY_WORD}
    names = set(_lines(VOCABULARY / "name_words.txt"))
    spoken, foreign = set[str](), set[str]()
    words = spoken
    for line in (VOCABULARY / "own_words.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            language = _LANGUAGES.get(line.strip("# "))
            words = spoken if language is None or language in languages else foreign
        else:
            words.update(line.removeprefix("!").split())
    return frozenset(_plain_word(word) for word in strong - names - (foreign - spoken) if word.isalpha())


def _lines(path: Path) -> list[str]:
    return [text for line in path.read_text(encoding="utf-8").splitlines() if (text := line.split("#")[0].strip())]


def _plain_word(word: str) -> str:
    """Return a word in capitals without accents; its hyphens stay."""
    apart = unicodedata.normalize("NFKD", word.upper())
    return "".join(c for c in apart if not unicodedata.combining(c))


def judge(
    readings: list[tuple[str, str, Reading]],
    lexicon: LexiconLike,
    hide: str,
    decisions: Mapping[tuple[str, str], str],
    words: Words | None = None,
) -> list[InstanceFindings]:
    """Return verdicts and boxes to fill for the instances of one series, in the order given.

    `readings` holds (source SOP Instance UID, path, reading); `decisions` a person's `hide` or `keep` by (source SOP
    Instance UID, id of the finding); one whose id no finding has changes nothing. Static text is filled at its place in
    all frames and instances of the same matrix, other text where it was seen (`places.fills`). Raises ValueError for an
    unknown `hide`.
    """
    if hide not in HIDE_POLICIES:
        raise ValueError(f"hide is none of {', '.join(HIDE_POLICIES)}")
    words = words or load_words()
    matcher = matcher_of(lexicon, words)
    judged = [
        (sop_uid, path, reading, _findings(sop_uid, reading, matcher, words, hide, decisions))
        for sop_uid, path, reading in readings
    ]
    filled = _fills([(reading, findings) for _, _, reading, findings in judged])
    return [
        InstanceFindings(
            sop_uid=sop_uid,
            path=path,
            status=reading.status,
            detail=reading.detail,
            frames=reading.frames,
            frames_read=reading.frames_read,
            readers=reading.readers,
            findings=findings,
            fills=tuple(box for box, _ in places.every),
            frame_fills=tuple((frame, box) for frame, box, _ in places.single),
            hold=_hold(reading, findings, hide, sop_uid, decisions),
            fill_categories=tuple(category for _, category in places.every),
            frame_fill_categories=tuple(category for *_, category in places.single),
        )
        for (sop_uid, path, reading, findings), places in zip(judged, filled, strict=True)
    ]


def matcher_of(lexicon: LexiconLike, words: Words) -> Matcher:
    """Return what finds the entries of a lexicon; ordinary imaging words stand for no institution or address alone."""
    ordinary = frozenset(folded(word) for word in {*words.benign, *words.cues})
    known = (entry for entry in lexicon.entries if entry.category is not Category.BIRTH_DATE)
    return Matcher(((entry.category, entry.value) for entry in known), ordinary)


def _fills(judged: list[tuple[Reading, tuple[Finding, ...]]]) -> list[Fills]:
    """Return the boxes of each instance; those that were not read have none."""
    by_matrix: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (reading, _) in enumerate(judged):
        if reading.status == "read":
            by_matrix[reading.rows, reading.columns].append(number)
    filled = [Fills((), ())] * len(judged)
    for numbers in by_matrix.values():
        shown = []
        for reading, findings in (judged[number] for number in numbers):
            texts = tuple((f.frame, f.box, f.category) for f in findings if f.hide and f.plane == "pixels")
            shown.append(Shown(texts, max(reading.frames, 1), reading.frames_read))
        for number, places in zip(numbers, fills(shown), strict=True):
            filled[number] = places
    return filled


def _hold(
    reading: Reading,
    findings: tuple[Finding, ...],
    hide: str,
    sop_uid: str,
    decisions: Mapping[tuple[str, str], str],
) -> tuple[str, ...]:
    hold = []
    if TEXT_LEFT in reading.detail.split():
        hold.append(HoldReason.TEXT_LEFT.value)
    undecided = any(f.verdict is Verdict.UNKNOWN and not f.hide and (sop_uid, f.id) not in decisions for f in findings)
    if hide == "identifying_only" and undecided:
        hold.append(HoldReason.TEXT_UNREADABLE.value)
    return tuple(hold)


def _findings(
    sop_uid: str,
    reading: Reading,
    matcher: Matcher,
    words: Words,
    hide: str,
    decisions: Mapping[tuple[str, str], str],
) -> tuple[Finding, ...]:
    places: dict[tuple[int, str], list[_Judged]] = defaultdict(list)
    for region in reading.regions:
        places[region.frame, region.plane].append(_region_verdict(region, matcher, words))
    judged = [line for key in sorted(places) for line in _by_line(places[key], matcher)]
    findings = [
        Finding(
            frame=j.region.frame,
            box=j.region.box,
            plane=j.region.plane,
            text=j.region.text,
            confidence=j.region.confidence,
            verdict=j.verdict,
            category=j.category,
            reason=j.reason,
            hide=j.verdict in _HIDDEN_BY[hide],
            id=finding_id(j.region.frame, j.region.plane, j.region.box, j.region.text),
        )
        for j in judged
    ]
    findings.sort(key=lambda f: (f.frame, f.plane, f.box.y, f.box.x, f.box.h, f.box.w, f.text))
    decided = [_decided(finding, decisions.get((sop_uid, finding.id))) for finding in findings]
    return tuple(_touched(decided, reading.rows, reading.columns))


def finding_id(frame: int, plane: str, box: Box, text: str) -> str:
    """Return what names a text at its place, whatever else is found: the first 12 hex digits of a SHA-256."""
    content = json.dumps([frame, plane, box.x, box.y, box.w, box.h, text])
    return hashlib.sha256(content.encode("ascii")).hexdigest()[:12]


def _decided(finding: Finding, verdict: str | None) -> Finding:
    if verdict not in ("hide", "keep"):
        return finding
    return replace(finding, hide=verdict == "hide", reason="decided by a person")


def _touched(findings: list[Finding], rows: int, columns: int) -> list[Finding]:
    """Hide whole what a fill would cut: a finding that the grown box of one hidden for itself touches.

    What is hidden so takes no further ones along, or a column of harmless lines would go for one.
    """
    result = list(findings)
    hidden = [(f.frame, f.plane, grown(f.box, rows, columns)) for f in findings if f.hide]
    for n, finding in enumerate(findings):
        if finding.hide or finding.reason == "decided by a person" or finding.verdict is Verdict.NOT_TEXT:
            continue
        if any(f == finding.frame and p == finding.plane and overlap(b, finding.box) for f, p, b in hidden):
            result[n] = replace(finding, hide=True, reason="a hidden box reaches into it")
    return result


# --- verdicts -------------------------------------------------------------------------------------------------------


def _region_verdict(region: Region, matcher: Matcher, words: Words) -> _Judged:
    texts = [text for text in (region.text, region.second_text) if text]
    for text in texts:
        found = identifying(text, matcher, words)
        if found:
            return _Judged(region, Verdict.IDENTIFYING, *found)
    if not any(c.isalnum() for text in texts for c in text):
        if region.text and region.score < 0.8:
            return _Judged(region, Verdict.NOT_TEXT, "", "no letter or digit")
        return _Judged(region, Verdict.UNKNOWN, "", "looks like text, not readable")
    if _under_read(region):
        return _Judged(region, Verdict.UNKNOWN, "", "fewer letters read than its length holds")
    if region.confidence < BENIGN_CONFIDENCE:
        return _Judged(region, Verdict.UNKNOWN, "", "read without confidence")
    if is_benign(region.text, words):
        return _Judged(region, Verdict.BENIGN, "", "every word on the allow-list")
    return _Judged(region, Verdict.UNKNOWN, "", "not on the allow-list")


def _under_read(region: Region) -> bool:
    longer, shorter = max(region.box.w, region.box.h), max(min(region.box.w, region.box.h), 1)
    count = sum(c.isalnum() for c in region.text)
    return region.score >= 0.6 and longer >= 3 * shorter and count < 0.6 * longer / shorter


def identifying(text: str, matcher: Matcher, words: Words) -> tuple[str, str] | None:
    """Return (category, reason) where a text identifies somebody, None else. The reason never holds the text."""
    category = matcher.category(text)
    if category is not None:
        return category.value, "matches an identifier of the patient"
    upper = text.upper()
    if _CONTACT.search(upper):
        return Category.CONTACT.value, "address of mail, web or telephone"
    if _DATE.search(upper):
        return Category.DATE.value, "date"
    if _TIME.search(upper):
        return Category.DATE.value, "time of day"
    if _TELEPHONE.search(upper):
        return Category.CONTACT.value, "telephone number"
    if _LONG_NUMBER.search(upper) or _MIXED_NUMBER.search(upper):
        return Category.RECORD_NUMBER.value, "number of five digits or more"
    if _OLD.search(upper):
        return Category.OTHER.value, "age above 89"
    announced = [words.cues[word] for word in plain(text).split() if word in words.cues]
    if announced:
        return announced[0].value, "word that announces an identifier"
    return None


def is_benign(text: str, words: Words) -> bool:
    """Tell whether every word of a text is on the allow-list, or a number of at most three digits with or without a unit."""
    text = _plain_word(text)
    for expression in (_DYNAMIC_RANGE, _DEPTH, _CINE):
        text = expression.sub(" ", text)
    if _holds_number_in_groups(text) or _holds_day_and_month(text):
        return False
    text = _TEST_PATTERN.sub("PATTERN", text)
    parts = _WORD.findall(text)
    if len(parts) == 1 and parts[0] in words.benign:
        return True
    tokens = _TOKEN.findall(text)
    if not tokens or any(c.isalnum() and not c.isascii() for c in text):
        return False
    digits = sum(c.isdigit() for c in text)
    if digits and digits == len([c for c in text if c.isalnum()]) and digits > MAX_BENIGN_DIGITS * len(tokens):
        return False
    return all(_benign_part(part, words) for part in parts)


def _holds_number_in_groups(text: str) -> bool:
    """Tell whether numbers with blanks between them may be one of five digits or more; marks of a scale are none."""
    for match in _GROUPS.finditer(text):
        numbers = [int(number) for number in match[0].split()]
        steps = {after - before for before, after in pairwise(numbers)}
        is_scale = len(numbers) >= 3 and len(steps) == 1 and 0 < abs(steps.pop()) <= MAX_STEP
        if sum(map(str.isdigit, match[0])) > MAX_GROUPED_DIGITS and not is_scale:
            return True
    return False


def _holds_day_and_month(text: str) -> bool:
    """Tell whether two numbers may be day and month, or month and year: one has a zero in front or is above twelve."""
    for match in _DAY_AND_MONTH.finditer(text):
        one, other = int(match[1]), int(match[2])
        has_month = (1 <= one <= 12 and other > 0) or (1 <= other <= 12 and 1 <= one <= 31)
        is_written_so = max(one, other) > 12 or "0" in (match[1][0], match[2][0])
        if has_month and is_written_so and not _COUNTED.search(text[: match.start()]):
            return True
    return False


def _benign_part(part: str, words: Words) -> bool:
    if part in words.benign:
        return True
    pieces = part.split("-")
    if len(pieces) > 1:
        return all(_benign_part(piece, words) for piece in pieces)
    return all(_benign_token(token, words) for token in _TOKEN.findall(part))


def _benign_token(token: str, words: Words) -> bool:
    if token[0].isdigit():
        return sum(c.isdigit() for c in token) <= MAX_BENIGN_DIGITS
    return token in words.benign or token in words.units or token in words.imaging


def _is_setting(part: _Judged) -> bool:
    return part.verdict is Verdict.BENIGN and bool(_SETTING.fullmatch(part.region.text.upper().strip()))


def _by_line(regions: list[_Judged], matcher: Matcher) -> list[_Judged]:
    """Raise each part to the worst verdict of its line: neighbours side by side, at most one height apart."""
    ordered = sorted(regions, key=lambda j: (j.region.box.x, j.region.box.y, j.region.box.w))
    lines: list[list[_Judged]] = []
    for part in ordered:
        together = [line for line in lines if any(_neighbours(part.region.box, other.region.box) for other in line)]
        merged = [part]
        for line in together:
            lines.remove(line)
            merged = line + merged
        lines.append(merged)
    return [part for line in lines for part in _line_verdicts(line, matcher)]


def _line_verdicts(line: list[_Judged], matcher: Matcher) -> list[_Judged]:
    if len(line) == 1:
        return line
    ordered = sorted(line, key=lambda j: (j.region.box.x, j.region.box.y))
    whole = matcher.category(" ".join(j.region.text for j in ordered))
    settings = [j for j in ordered if _is_setting(j)]
    others = [j for j in ordered if j not in settings]
    if settings and others and whole == matcher.category(" ".join(j.region.text for j in others)):
        return settings + _line_verdicts(others, matcher)
    worst = min((j.verdict for j in line), key=_WORST.index)
    category = next((j.category for j in ordered if j.verdict is Verdict.IDENTIFYING), "")
    reason = "part of a line that identifies"
    if whole is not None:
        worst, category, reason = Verdict.IDENTIFYING, whole.value, "line matches an identifier of the patient"
    if worst is Verdict.UNKNOWN:
        reason = "part of a line that is not known"
    raised = []
    for part in line:
        if _WORST.index(part.verdict) > _WORST.index(worst) and part.verdict is not Verdict.NOT_TEXT:
            part = replace(part, verdict=worst, category=category, reason=reason)
        raised.append(part)
    return raised


def _neighbours(one: Box, other: Box) -> bool:
    height = min(one.h, other.h)
    shared = min(one.y + one.h, other.y + other.h) - max(one.y, other.y)
    gap = max(one.x, other.x) - min(one.x + one.w, other.x + other.w)
    return shared * 2 >= height and gap <= max(one.h, other.h) and joined(one, other).h <= 2 * max(one.h, other.h)
