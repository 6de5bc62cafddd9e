"""The known identifiers of one patient: gathered from headers, found again in any text.

Two halves: `harvest` reads every identifying value of an instance at any depth; `Lexicon.hits` finds those values in
text in the forms in which people and devices write them. Names match by whole words in any order, with case, accents
and transliteration folded; numbers with their separators left out; dates in the usual written forms; institutions and
addresses as word sequences and by their distinctive words. Scripts written without blanks match anywhere.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from phi_deid_pipeline.data_dictionary import attribute, tag_of
from phi_deid_pipeline.records import Category

if TYPE_CHECKING:
    from phi_deid_pipeline.raw_elements import RawInstance

Span = tuple[int, int, Category]


@dataclass(frozen=True, order=True, slots=True)
class Entry:
    """One identifier as it stood in a header; dates are normalised to YYYYMMDD."""

    category: Category
    value: str


# --------------------------------------------------------------------------- words that identify nobody


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PLACEHOLDERS = _words(
    """
    anon anonym anonymous anonymized anonymised anonymize anonymise anonymizedpatient anonymousanonymous
    deidentified deidentify identified none unknown unknownunknown na null nil undefined unspecified
    notavailable notspecified notapplicable notset noname nameless removed deleted redacted confidential hidden
    masked blank empty default patient name patientname patientid firstname lastname nopatientid noid test
    testpatient dummy xx yes no m f o u male female other unassigned notassigned tbd temp self
    """
)
# Words of names, ids and stations that point at nobody: they match beside another part of the name, never alone.
_WEAK_NAME_WORDS = _words(
    """
    head neck chest brain spine breast lung lungs liver pancreas prostate kidney abdomen pelvis thorax knee shoulder
    modality voi lut orientation perfusion contrast axial sagittal coronal localizer
    anon anonymous anonymized anonymised deidentified unknown none patient phantom phantoms test tester subject
    volunteer sample samples image images series study scan case name data demo example admin operator user
    service tech technologist technician physician doctor doc nurse prof professor mister mrs miss dipl phd med
    msc van von der den del dos das della los las ten ter bin ibn abu and und the for sir jun sen iii
    """
)
# Words of institutions, departments, stations and addresses that point at none.
_GENERIC = _words(
    """
    hospital hospitals hosp clinic clinics clinica clinique clinical klinik kliniken klinikum krankenhaus
    hopital hospices ospedale ospedali ziekenhuis centre center centers centro centrum zentrum central medical
    medicine medizin medicale medico medica health healthcare care gesundheit sante salud salute radiology
    radiologie radiologia radiological radiologic radiologico radiologisches roentgen imaging image images
    imagerie diagnostic diagnostics diagnostik diagnostisch diagnostico department departement departamento dept
    abteilung service services servicio institute institut instituto istituto institution foundation general
    generale university universitat universitaet universitair universite universidad universita universitats
    univ uni school college faculty national regional municipal community county city state district memorial
    research laboratory laboratories labor labs group groupe network system systems trust limited gmbh corp
    corporation company associates association hall house unit ward floor room building emergency outpatient
    inpatient surgery surgical chirurgie oncology onkologie oncologie cardiology kardiologie cardiologie
    neurology neurologie neuroradiology neuro neuroradiologie pediatric pediatrics paediatrics children
    childrens cancer tumor nuclear nuklearmedizin ultrasound sonography sonographie ultraschall mammography
    mammographie tomography tomographie computed magnetic resonance resonanz angiography angio cardiac vascular
    thorax chest head neck brain spine abdomen pelvis breast heart lung liver kidney knee hip shoulder hand foot
    body whole cranium skull extremity therapy radiotherapy radiation strahlentherapie dental praxis practice
    office physics biology science sciences technology technologies engineering development training education
    demo demonstration phantom test testing default unknown none anonymous site station workstation console
    server scanner modality gantry device machine pacs archive store storage gateway router import export viewer
    local localhost main north south east west northern southern eastern western upper lower left right first
    second third street strasse avenue road lane drive boulevard place square court highway suite apartment apt
    box rue via calle plaza weg platz allee usa america american united states kingdom england germany
    deutschland france spain espana italy italia japan china canada europe european austria switzerland schweiz
    netherlands nederland belgium sweden norway denmark finland australia india brazil korea siemens philips
    toshiba canon hitachi fujifilm hologic agfa carestream samsung mindray esaote varian elekta accuray shimadzu
    kodak konica healthineers series study scan scans axial sagittal coronal localizer scout routine protocol
    prone supine contrast with from and the for des der die das und von del las los les
    """
)

# --------------------------------------------------------------------------- what is gathered

_BY_KEYWORD: dict[Category, str] = {
    Category.RECORD_NUMBER: """PatientID OtherPatientIDs MedicalRecordLocator InsurancePlanIdentification
        ClinicalTrialSubjectID ClinicalTrialSubjectReadingID BreedRegistrationNumber BarcodeValue""",
    Category.ACCESSION: """AccessionNumber StudyID AdmissionID ServiceEpisodeID ScheduledProcedureStepID
        PerformedProcedureStepID RequestedProcedureID PlacerOrderNumberProcedure FillerOrderNumberProcedure
        PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest
        PlacerOrderNumberImagingServiceRequestRetired FillerOrderNumberImagingServiceRequestRetired OtherStudyNumbers
        SpecimenAccessionNumber SpecimenIdentifier ContainerIdentifier SlideIdentifier ContainerComponentID
        InterpretationID ResultsID""",
    Category.INSTITUTION: """InstitutionName InstitutionalDepartmentName ResponsibleOrganization
        HumanPerformerOrganization VerifyingOrganization ClinicalTrialSiteName ClinicalTrialCoordinatingCenterName
        IssuerOfPatientID
        IssuerOfAdmissionID IssuerOfServiceEpisodeID LocalNamespaceEntityID StudyIDIssuer CameraOwnerName
        PatientInstitutionResidence ScheduledPatientInstitutionResidence CurrentPatientLocation ScheduledStudyLocation
        ScheduledProcedureStepLocation PerformedLocation RequestedProcedureLocation OrderEntererLocation""",
    Category.ADDRESS: """InstitutionAddress PatientAddress RegionOfResidence ReferringPhysicianAddress PersonAddress
        AddressTrial DistributionAddress""",
    Category.CONTACT: """PatientTelephoneNumbers PatientTelecomInformation ReferringPhysicianTelephoneNumbers
        PersonTelephoneNumbers PersonTelecomInformation OrderCallbackPhoneNumber OrderCallbackTelecomInformation
        TelephoneNumberTrial ContactURI RetrieveURL RetrieveURI StorageURL PixelDataProviderURL
        StoredInstanceBaseURI FolderAccessURI FileAccessURI""",
    Category.DEVICE: """DeviceSerialNumber StationName DeviceID PlateID GeneratorID CassetteID GantryID
        UniqueDeviceIdentifier SecondaryCaptureDeviceID HardcopyCreationDeviceID DetectorID XRaySourceID XRayDetectorID
        LensSerialNumber SourceSerialNumber RetrieveAETitle StationAETitle NetworkID ScheduledStudyLocationAETitle
        ScheduledStationAETitle ScheduledStationName PerformedStationAETitle PerformedStationName RadiationMachineName
        TreatmentMachineName ReceivingAE RequestingAE Originator DestinationAE ModifyingSystem NTPSourceAddress
        DeviceAlternateIdentifier ManufacturerDeviceIdentifier""",
}
_CATEGORY: dict[int, Category] = {
    tag: category for category, words in _BY_KEYWORD.items() for word in words.split() if (tag := tag_of(word))
}
_CATEGORY[0x00100012] = Category.NAME  # Name to Use (LT), younger than the dictionary
_CODE_VALUE, _CODE_MEANING = 0x00080100, 0x00080104
# Code sequences that name a person or a place: the meaning is the name.
_CODED = {
    0x00401101: Category.PERSON,  # Person Identification Code Sequence
    0x0040A088: Category.PERSON,  # Verifying Observer Identification Code Sequence
    0x00080082: Category.INSTITUTION,  # Institution Code Sequence
    0x00081041: Category.INSTITUTION,  # Institutional Department Type Code Sequence
}
_AE_TITLES_OF_META = (0x00020016, 0x00020017, 0x00020018)
_MAX_VALUE = 1024  # characters: longer values are prose, no identifier


def harvest(instance: RawInstance) -> frozenset[Entry]:
    """Gather every identifying value of an instance, nested items and retired attributes included (no UIDs)."""
    found: set[Entry] = set()
    for path, element, charset in instance.walk():
        tag = path[-1]
        vr = element.vr if element.vr != "UN" else _dictionary_vr(tag)
        category = _category(path, vr)
        if category is None or element.value_end == element.value_start:
            continue
        for value in instance.texts(element, charset):
            found.update(entries_of(category, value))
    for tag in _AE_TITLES_OF_META:
        value = bytes(instance.meta.get(tag, b"")).decode("ascii", "replace")
        found.update(entries_of(Category.DEVICE, value))
    return frozenset(found)


def _category(path: tuple[int, ...], vr: str) -> Category | None:
    tag = path[-1]
    if vr == "PN":
        return Category.NAME if any(part >> 16 == 0x0010 for part in path) else Category.PERSON
    if vr in ("DA", "DT"):
        return Category.DATE
    category = _CATEGORY.get(tag)
    if category is None and tag in (_CODE_VALUE, _CODE_MEANING) and len(path) > 1:
        category = _CODED.get(path[-2])
        if category is not None and tag == _CODE_VALUE:
            category = Category.OTHER
    return category


@lru_cache(maxsize=4096)
def _dictionary_vr(tag: int) -> str:
    entry = attribute(tag)
    return entry.vr if entry else "UN"


def entries_of(category: Category, value: str) -> list[Entry]:
    """Return the entries of one header value: none if it identifies nobody, one per component group of a name."""
    value = " ".join(value.replace("\x00", " ").split())[:_MAX_VALUE]
    if category is Category.DATE:
        day = normal_date(value)
        return [Entry(category, day)] if day else []
    if category in (Category.NAME, Category.PERSON):
        return [Entry(category, group) for part in value.split("=") if _is_name(group := part.strip(" ^"))]
    compact = _compact(value)
    if not compact or compact in _PLACEHOLDERS or _is_filler(compact):
        return []
    if category in (Category.INSTITUTION, Category.ADDRESS) and not _distinctive(value):
        return []
    return [Entry(category, value)]


def _is_name(text: str) -> bool:
    compact = _compact(text)
    return bool(compact) and compact not in _PLACEHOLDERS and not _is_filler(compact) and not compact.isdigit()


def _is_filler(compact: str) -> bool:
    """Tell whether a value is one character over and over: 0, 00, xxx, 99999."""
    return len(set(compact)) == 1 and (len(compact) > 2 or compact[0] in "0x")


def normal_date(value: str) -> str:
    """Return YYYYMMDD of a DA or DT value, or "" for partial, impossible and dummy dates."""
    match = re.match(r"\s*(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})", value)
    if not match:
        return ""
    year, month, day = (int(part) for part in match.groups())
    if not (1850 <= year <= 2199 and 1 <= month <= 12 and 1 <= day <= 31):
        return ""
    text = f"{year:04d}{month:02d}{day:02d}"
    return "" if text == "19000101" else text


# --------------------------------------------------------------------------- folding and words

_LETTERS = {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h"}
_TRANSLITERATED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "ae", "Ö": "oe", "Ü": "ue", "Å": "aa", "Ø": "oe"}
)
_VOICING = "\u3099\u309a"  # voicing marks of kana are no accents
_WORD = re.compile(r"[^\W_]+")
_RUN = re.compile(r"\d+|[^\W\d_]+")
# Scripts without blanks between words (Thai to Khmer, kana, ideographs, Hangul): their values match inside a run too.
_NO_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


@lru_cache(maxsize=8192)
def _fold_char(char: str) -> str:
    lower = char.lower()
    if lower in _LETTERS:
        return _LETTERS[lower]
    bare = "".join(c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c) or c in _VOICING)
    return unicodedata.normalize("NFC", bare)


def fold(text: str) -> str:
    """Return text in lower case without accents and compatibility forms."""
    if text.isascii():
        return text.lower()
    return "".join(map(_fold_char, text))


def _fold_with_index(text: str) -> tuple[str, list[int] | None]:
    """Return the folded text and, where lengths differ, the source position of each folded character (and the end)."""
    if text.isascii():
        return text.lower(), None
    parts = [_fold_char(char) for char in text]
    folded = "".join(parts)
    if len(folded) == len(text) and all(len(part) == 1 for part in parts):
        return folded, None
    return folded, [position for position, part in enumerate(parts) for _ in part] + [len(text)]


def _compact(text: str) -> str:
    return "".join(_WORD.findall(fold(text)))


def _distinctive(text: str) -> list[str]:
    """Return the words of an institution or address that point at it alone, as they are written."""
    return [word for word in _WORD.findall(text) if _is_distinctive(fold(word))]


def _is_distinctive(word: str) -> bool:
    return word not in _GENERIC and sum(c.isalpha() for c in word) >= (2 if _NO_BLANKS.search(word) else 4)


def _variants(text: str) -> set[str]:
    """Return the folded word and its German and Nordic transliterations in both directions."""
    forms = {fold(text), fold(unicodedata.normalize("NFC", text).translate(_TRANSLITERATED))}
    return forms | {form.replace("ae", "a").replace("oe", "o").replace("ue", "u") for form in forms if len(form) >= 5}


# --------------------------------------------------------------------------- dates

_MONTH_NAMES = (
    "january jan januar janvier janv enero ene gennaio gen januari janeiro janner",
    "february feb februar fevrier fevr febrero febbraio februari fevereiro fev",
    "march mar marz maerz mars marzo maart marco mrz mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag mei maio",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez decembre diciembre dic dicembre dezembro des",
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split()}
_MONTH = "(" + "|".join(sorted(_MONTHS, key=lambda name: (-len(name), name))) + ")"
_SEP = r"\s?[-/. _,]\s?"
_DIGITS = re.compile(r"(?<!\d)(\d{14}|\d{12}|\d{8}|\d{6})(?!\d)")
_NUMERIC = re.compile(rf"(?<!\d)(?=(\d{{4}}|\d{{1,2}})({_SEP})(\d{{1,2}})({_SEP})(\d{{4}}|\d{{1,2}})(?!\d))")
_DAY_MONTH = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th)?[-/. _,]{{0,2}}(?:of |de )?{_MONTH}[-/. _,']{{0,3}}(\d{{4}}|\d\d)(?!\d)"
)
_MONTH_DAY = re.compile(
    rf"(?<![^\W\d_]){_MONTH}[-/. _]{{0,2}}(\d{{1,2}})(?:st|nd|rd|th)?[-/. _,']{{1,3}}(\d{{4}}|\d\d)(?!\d)"
)
_YEAR_MONTH = re.compile(rf"(?<!\d)(\d{{4}})[-/. _,]{{0,2}}{_MONTH}[-/. _,]{{0,2}}(\d{{1,2}})(?!\d)")
_EAST_ASIAN = re.compile(r"(?<!\d)(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]")


def _days(*orders: tuple[str, str, str]) -> Iterator[str]:
    """Yield YYYYMMDD for (year, month, day) readings; two-digit years stand for 19xx and 20xx."""
    for year, month, day in orders:
        for full in (year,) if len(year) == 4 else (f"20{year:0>2}", f"19{year:0>2}") if len(year) == 2 else ():
            yield f"{full}{int(month):02d}{int(day):02d}"


def _numeric_orders(first: str, middle: str, last: str) -> Iterator[str]:
    if len(first) == 4:
        return _days((first, middle, last), (first, last, middle)) if len(last) <= 2 else iter(())
    orders = [(last, middle, first), (last, first, middle)]
    if len(last) <= 2 and len(first) == 2:
        orders.append((first, middle, last))
    return _days(*orders)


def _run_orders(run: str) -> Iterator[str]:
    if len(run) == 6:
        return _days((run[:2], run[2:4], run[4:]), (run[4:], run[2:4], run[:2]), (run[4:], run[:2], run[2:4]))
    head = [(run[:4], run[4:6], run[6:8])]
    if len(run) == 8:
        head += [(run[4:], run[2:4], run[:2]), (run[4:], run[:2], run[2:4])]
    return _days(*head)


def find_dates(folded: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield (start, end, possible readings as YYYYMMDD) of whatever is written like a date in folded text."""
    for match in _DIGITS.finditer(folded):
        end = match.start() + 8 if len(match[1]) > 8 else match.end()
        yield match.start(), end, tuple(_run_orders(match[1]))
    for match in _NUMERIC.finditer(folded):
        yield match.start(1), match.end(5), tuple(_numeric_orders(match[1], match[3], match[5]))
    for match in _EAST_ASIAN.finditer(folded):
        yield match.start(), match.end(), tuple(_days((match[1], match[2], match[3])))
    if not any(char.isalpha() for char in folded):
        return
    for match in _DAY_MONTH.finditer(folded):
        yield match.start(), match.end(), tuple(_days((match[3], str(_MONTHS[match[2]]), match[1])))
    for match in _MONTH_DAY.finditer(folded):
        yield match.start(), match.end(), tuple(_days((match[3], str(_MONTHS[match[1]]), match[2])))
    for match in _YEAR_MONTH.finditer(folded):
        yield match.start(), match.end(), tuple(_days((match[1], str(_MONTHS[match[2]]), match[3])))


def written_dates(day: str) -> tuple[str, ...]:
    """Return the usual written forms of a YYYYMMDD date, longest first (English month names)."""
    year, month, date, short = day[:4], day[4:6], day[6:8], day[2:4]
    name = _MONTH_NAMES[int(month) - 1].split()
    m, d = str(int(month)), str(int(date))
    forms = {day, date + month + year, month + date + year, short + month + date}
    for sep in "-/. ":
        for y in (year, short):
            forms |= {sep.join(x) for x in ((y, month, date), (date, month, y), (month, date, y), (d, m, y), (m, d, y))}
        forms |= {sep.join(x) for x in ((date, name[1][:3].upper(), year), (date, name[1][:3].upper(), short))}
    forms |= {f"{n.title()} {d}, {year}" for n in name[:2]} | {f"{d} {n.title()} {year}" for n in name[:2]}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


# --------------------------------------------------------------------------- the lexicon


_NAME_SEPARATORS = ("", " ", "  ", "^", ",", ", ", "=", "\u3000", "\u30fb")


class _Index:
    """Compiled forms of a lexicon; every look-up is a dictionary access per word of the text."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.alone: dict[str, Category] = {}  # words that identify by themselves
        self.names: dict[str, set[int]] = {}  # word -> names it is a part of
        self.initials: dict[int, set[str]] = {}
        self.sequences: dict[str, list[tuple[tuple[str, ...], Category]]] = {}
        self.numbers: dict[str, tuple[Category, bool]] = {}  # compact form -> category, may be split by separators
        self.dates: set[str] = set()
        self.inside: dict[str, Category] = {}  # matched anywhere: scripts without blanks, e-mails, URLs
        order = list(Category)
        for entry in sorted(entries, key=lambda e: (order.index(e.category), e.value)):
            self._add(entry)
        self.starts = {number[:3] for number in self.numbers}
        self.longest = max(map(len, self.numbers), default=0)
        inside = sorted(self.inside, key=lambda text: (-len(text), text))
        self.inside_pattern = re.compile("|".join(map(re.escape, inside))) if inside else None

    def _add(self, entry: Entry) -> None:
        if entry.category is Category.DATE:
            self.dates.add(entry.value)
        elif entry.category in (Category.NAME, Category.PERSON):
            self._add_name(entry)
        elif entry.category in (Category.INSTITUTION, Category.ADDRESS):
            self._add_place(entry)
        elif entry.category is Category.CONTACT:
            self._add_contact(entry)
        else:
            self._add_number(entry.value, entry.category)

    def _add_name(self, entry: Entry) -> None:
        number = len(self.initials)
        words: list[set[str]] = []
        plain: list[str] = []
        for text in re.split(r"[\W_]*[\s^,;_]+[\W_]*", entry.value):
            pieces = re.findall(r"[^\W_]+", text)
            if len(pieces) > 1:  # O'Brien, Smith-Jones: each piece and the joined form
                words.append(_variants("".join(pieces)))
            words.extend(_variants(piece) for piece in pieces)
            plain.append(fold("".join(pieces)))
        self.initials[number] = {form[0] for forms in words for form in forms if form}
        for forms in words:
            for form in forms:
                self._add_name_word(form, number, entry.category)
        plain = [word for word in plain[:3] if len(word) >= 2 and word not in _WEAK_NAME_WORDS]
        for joined in {a + b for a in plain for b in plain if a != b}:  # JohnDoe, DOEJOHN
            if len(joined) >= 5 and joined.isalpha():
                self._add_name_word(joined, number, entry.category)
        if _NO_BLANKS.search(entry.value) and len(whole := _compact(entry.value)) >= 2:
            self.inside.setdefault(whole, entry.category)
            parts = [part for part in map(fold, re.split(r"[\s^,;_]+", entry.value)) if part]
            for order in (parts, parts[::-1]):  # a family name of one character counts beside the given name only
                for separator in _NAME_SEPARATORS:
                    self.inside.setdefault(separator.join(order), entry.category)

    def _add_name_word(self, form: str, number: int, category: Category) -> None:
        letters = sum(char.isalpha() for char in form)
        if _NO_BLANKS.search(form):
            if letters >= 2:
                self.inside.setdefault(form, category)
            return
        if letters >= 2:
            self.names.setdefault(form, set()).add(number)
        if letters >= 3 and form not in _WEAK_NAME_WORDS:
            self.alone.setdefault(form, category)

    def _add_place(self, entry: Entry) -> None:
        words = tuple(_WORD.findall(fold(entry.value)))
        if len(words) > 1:
            self.sequences.setdefault(words[0], []).append((words, entry.category))
        for word in _distinctive(entry.value):
            if _NO_BLANKS.search(word):
                self.inside.setdefault(fold(word), entry.category)
            elif any(char.isdigit() for char in word):
                self._add_number(word, entry.category)
            else:
                for form in _variants(word):
                    self.alone.setdefault(form, entry.category)
        for number in re.findall(r"\d{5,}", entry.value):
            self._add_number(number, entry.category)

    def _add_contact(self, entry: Entry) -> None:
        for part in re.findall(r"[^\s:;,<>]+@[^\s:;,<>]+|[a-z]+://\S+", fold(entry.value)):
            self.inside.setdefault(part, entry.category)
            if "@" in part and len(local := part.partition("@")[0]) >= 5:
                self.inside.setdefault(local, entry.category)
        digits = "".join(re.findall(r"\d+", fold(entry.value)))
        if 6 <= len(digits) <= 20:
            for form in {digits, digits.lstrip("0"), digits[-10:], digits[-7:] if len(digits) >= 9 else digits}:
                if len(form) >= 6:
                    self.numbers.setdefault(form, (entry.category, len(form) >= 7))

    def _add_number(self, value: str, category: Category) -> None:
        compact = _compact(value)
        digits, letters = sum(c.isdigit() for c in compact), sum(c.isalpha() for c in compact)
        if _NO_BLANKS.search(compact):
            if len(compact) >= 2:
                self.inside.setdefault(compact, category)
            return
        if not digits and (compact in _GENERIC or compact in _WEAK_NAME_WORDS):
            return
        if not letters and (len(set(compact)) == 1 or (len(compact) == 4 and compact[:2] in ("19", "20"))):
            return
        shortest = (3 if digits and letters else 4) if category is Category.RECORD_NUMBER else 5 if not letters else 4
        if len(compact) < shortest:
            return
        self.numbers.setdefault(compact, (category, len(compact) >= (5 if letters else 7)))
        bare = compact.lstrip("0")
        if bare != compact and len(bare) >= 5:
            self.numbers.setdefault(bare, (category, len(bare) >= 7))


class Lexicon:
    """The identifiers of one patient, ready to be found in text. Immutable; equal entries make equal lexicons."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries: frozenset[Entry] = frozenset(entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lexicon) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(self.entries)

    def __repr__(self) -> str:  # never the values
        return f"Lexicon({len(self.entries)} entries)"

    def __or__(self, other: Lexicon) -> Lexicon:
        return Lexicon(self.entries | other.entries)

    @classmethod
    def from_json(cls, text: str) -> Lexicon:
        """Read what `to_json` wrote; other keys beside `entries` are allowed."""
        return cls(Entry(Category(category), value) for category, value in json.loads(text)["entries"])

    def to_json(self) -> str:
        """Return canonical JSON: sorted, ASCII."""
        return json.dumps(
            {"entries": [[e.category.value, e.value] for e in sorted(self.entries)]}, separators=(",", ":")
        )

    @cached_property
    def _index(self) -> _Index:
        return _Index(self.entries)

    def identifies(self, text: str) -> Category | None:
        """Return the category of an identifier in the text, the first in the order of `Category`, or None."""
        found = {category for _, _, category in self.hits(text)}
        return next((category for category in Category if category in found), None)

    def hits(self, text: str) -> list[Span]:
        """Return the spans (start, end, category) of identifiers in the text, sorted and not overlapping.

        Meant for text: codes, numbers and times handed in one by one can hit by chance (101010 is a date and a time).
        """
        if not text or not self.entries:
            return []
        folded, positions = _fold_with_index(text)
        found = [*self._words(folded), *self._numbers(folded), *self._dates(folded), *self._inside(folded)]
        if positions is not None:
            found = [(positions[start], positions[end - 1] + 1, category) for start, end, category in found]
        return _merge(found)

    def _words(self, folded: str) -> Iterator[Span]:
        index = self._index
        if not (index.alone or index.names or index.sequences):
            return
        words = [(match.start(), match.end(), match[0]) for match in _WORD.finditer(folded)]
        for at, (start, _, word) in enumerate(words):
            for form in (word, *_RUN.findall(word)) if not word.isalpha() else (word,):
                if form in index.alone:
                    offset = word.find(form)
                    yield start + offset, start + offset + len(form), index.alone[form]
            if word in index.names:
                yield from self._name_neighbours(words, at, folded)
            for sequence, category in index.sequences.get(word, ()):
                if tuple(w for _, _, w in words[at : at + len(sequence)]) == sequence:
                    yield start, words[at + len(sequence) - 1][1], category

    def _name_neighbours(self, words: list[tuple[int, int, str]], at: int, folded: str) -> Iterator[Span]:
        """Join a part of a name with the parts and initials of the same name that stand directly beside it."""
        index = self._index
        start, end, word = words[at]
        category = index.alone.get(word)
        for other in (at - 1, at + 1):
            if not 0 <= other < len(words):
                continue
            other_start, other_end, neighbour = words[other]
            low, high = min(start, other_start), max(end, other_end)
            gap = folded[min(end, other_end) : max(start, other_start)]
            if len(gap) > 3 or "\n" in gap:
                continue
            shared = index.names[word] & index.names.get(neighbour, set())
            if shared and neighbour != word:
                yield low, high, category or index.alone.get(neighbour) or Category.NAME
            elif category and len(neighbour) == 1 and any(neighbour in index.initials[n] for n in index.names[word]):
                yield low, high, category

    def _numbers(self, folded: str) -> Iterator[Span]:
        index = self._index
        if not index.numbers:
            return
        runs = [(match.start(), match.end(), match[0]) for match in _RUN.finditer(folded)]
        for at, (start, _, _) in enumerate(runs):
            compact, gaps, previous_end = "", [], start
            for run_start, run_end, run in runs[at:]:
                gap = folded[previous_end:run_start]
                if len(gap) > 3 or "\n" in gap:
                    break
                if gap:
                    gaps.append(gap)
                compact, previous_end = compact + run, run_end
                if len(compact) > index.longest or (len(compact) >= 3 and compact[:3] not in index.starts):
                    break
                known = index.numbers.get(compact)
                if not known or (gaps and not known[1]) or (compact.isdigit() and gaps == ["."]):
                    continue
                if _stands_alone(folded, start, run_end, whole_word=len(compact) < 6):
                    yield start, run_end, known[0]

    def _dates(self, folded: str) -> Iterator[Span]:
        dates = self._index.dates
        if not dates:
            return
        for start, end, readings in find_dates(folded):
            if any(reading in dates for reading in readings):
                yield start, end, Category.DATE

    def _inside(self, folded: str) -> Iterator[Span]:
        pattern = self._index.inside_pattern
        if pattern is not None:
            for match in pattern.finditer(folded):
                yield match.start(), match.end(), self._index.inside[match[0]]

    def needles(self) -> list[tuple[Category, str]]:
        """Return normal forms to look for in text of doubtful spelling (OCR) and in bytes, sorted.

        Upper case, accents folded, letters and digits only: each word of a name that identifies alone and the name
        joined in both orders; numbers, telephone numbers and distinctive words of places without separators; dates
        as digits in three orders (YYYYMMDD, DDMMYYYY, MMDDYYYY) and with an English month name (31JAN2020, JAN312020).
        Values in scripts without blanks stand as they are. Compare with text that is folded in the same way
        (`needle_form`); a needle shorter than 4 characters should match whole words only.
        """
        index = self._index
        found = {(category, needle_form(word)) for word, category in index.alone.items()}
        found |= {(category, needle_form(number)) for number, (category, _) in index.numbers.items()}
        found |= {(category, needle_form(text)) for text, category in index.inside.items()}
        for sequences in index.sequences.values():
            found |= {(category, "".join(words).upper()) for words, category in sequences}
        for day in index.dates:
            year, month, date = day[:4], day[4:6], day[6:]
            name = _MONTH_NAMES[int(month) - 1].split()[1 if month != "05" else 0][:3].upper()
            forms = (day, date + month + year, month + date + year, date + name + year, name + date + year)
            found |= {(Category.DATE, form) for form in forms}
        return sorted(found)


def needle_form(text: str) -> str:
    """Return text in the normal form of `Lexicon.needles`: upper case, folded, letters and digits only."""
    return _compact(text).upper()


_INTEGER_PART = re.compile(r"(?:^|[^\d.])\d{1,4}[.,]$")


def _stands_alone(folded: str, start: int, end: int, *, whole_word: bool) -> bool:
    """Tell whether a number is no part of a decimal number and, where asked for, a word of its own."""
    if whole_word and (folded[max(start - 1, 0) : start].isalnum() or folded[end : end + 1].isalnum()):
        return False
    if not folded[start:end].isdigit():
        return True
    after = folded[end : end + 2]
    followed = len(after) == 2 and after[0] in ".," and after[1].isdigit()
    if _INTEGER_PART.search(folded[max(start - 6, 0) : start]) and not followed:
        return False
    return not (whole_word and followed)


def _merge(found: list[Span]) -> list[Span]:
    """Join overlapping spans; the longest names the category."""
    merged: list[tuple[int, int, Category, int]] = []
    for start, end, category in sorted(found, key=lambda span: (span[0], -span[1], span[2])):
        if merged and start < merged[-1][1]:
            low, high, kept, longest = merged[-1]
            if end - start > longest:
                kept, longest = category, end - start
            merged[-1] = (low, max(high, end), kept, longest)
        else:
            merged.append((start, end, category, end - start))
    return [(start, end, category) for start, end, category, _ in merged]
