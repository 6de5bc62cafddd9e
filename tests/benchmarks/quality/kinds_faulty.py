"""Kinds of what real archives hold wrongly: ages and times that are none, dates in wrong places, a wrong character set."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.plants import Context, Kind, Path, put, tag, vr_of
from benchmarks.quality.pools import CHARSETS

ANY = ("ct", "mr", "pt", "us", "dx", "cr", "nm", "sc")
# Ages as people and archives write them; {age} is above 89.
AGES = {
    "short": "{age}Y",
    "lower_case": "0{age}y",
    "bare": "{age}",
    "bare_three": "0{age}",
    "long": "00{age}Y",
    "blank": "{age} Y",
    "words": "OVER {age}",
    "two": "{age}Y\\0{age}Y",
}
# Where a birth date stands under another name.
BIRTHS = {
    "da": ("DateOfSecondaryCapture",),
    "da_content": ("ContentDate",),
    "da_step": ("PerformedProcedureStepStartDate",),
    "dt": ("AcquisitionDateTime",),
    "dt_reference": ("FrameReferenceDateTime",),
    "nested_da": ("RequestAttributesSequence", 0, "ScheduledProcedureStepStartDate"),
    "nested_dt": ("RadiopharmaceuticalInformationSequence", 0, "RadiopharmaceuticalStartDateTime"),
}
# Times that hold a date of the patient.
TIMES = {
    "date": ("SeriesTime", "{date}"),
    "date_and_time": ("AcquisitionTime", "{date}101112"),
    "dashes": ("ContentTime", "{date_iso}"),
    "birth": ("PerformedProcedureStepStartTime", "{birth}"),
}
# Names in bytes of another character set than the one that is declared: script of the patient -> codec of the bytes.
MISDECLARED = {
    "utf8_as_latin1": ("latin1", "utf-8", "ImageComments"),
    "utf8_as_greek": ("greek", "utf-8", "StudyDescription"),
    "utf8_in_kept": ("latin2", "utf-8", "ManufacturerModelName"),
    "latin1_as_utf8": ("latin1", "latin-1", "StudyComments"),
    "cyrillic_as_utf8": ("cyrillic", "utf-8", "SeriesDescription"),
    "gb18030_as_utf8": ("gb18030", "utf-8", "RequestedProcedureDescription"),
}
HEADER_NAME = tag("PatientBirthName")
SHARED_DAY = "20170822"
SHARED = {"calibration": "DateOfLastCalibration", "approval": "EthicsCommitteeApprovalEffectivenessStartDate"}
SHARED |= {"calibration_dt": "DateTimeOfLastCalibration"}
# Code meanings that people wrote: scheme, template.
CODES = {
    "stranger": ("99SITE", "{phrase} Dr. {stranger}"),
    "patient": ("99SITE", "{phrase} {family}"),
    "identifier": ("L", "{phrase} {patient_id}"),
    "date": ("99SITE", "{phrase} {date_german}"),
    "alone": ("99SITE", "{family} {given}"),
}
# What is written for a physician with another VR than PN, as some archives do; nothing else tells of that person.
WRONG_VRS = ("LO", "SH", "ST", "UT", "AE", "OB")
# Content items whose number stands in the item itself (PS3.3 10.22): sequence, concept, number ({age} is above 89).
NUMBERS = {
    "age": ("AcquisitionContextSequence", ("121033", "DCM", "Subject Age"), "{age}"),
    "local_age": ("AcquisitionContextSequence", ("A1", "99SITE", "Age of patient"), "{age}"),
    "protocol_age": ("ProtocolContextSequence", ("121033", "DCM", "Subject Age"), "{age}"),
    "identifier": ("AcquisitionContextSequence", ("P1", "99SITE", "Patient number"), "{number}"),
}
CODED = ("ProcedureCodeSequence", "ReasonForPerformedProcedureCodeSequence", "AnatomicRegionSequence")


def faulty_kinds() -> list[Kind]:
    """Return all kinds of this module."""
    found = [Kind(f"faulty/age/{name}", _age(name, form), ANY, (tag("PatientAge"),)) for name, form in AGES.items()]
    found += [Kind(f"faulty/birth/{n}", _birth(n, path), ANY, (tag(path[0]),)) for n, path in BIRTHS.items()]
    found += [Kind(f"faulty/time/{n}", _time(n, word, form), ANY, (tag(word),)) for n, (word, form) in TIMES.items()]
    for name, (script, codec, word) in MISDECLARED.items():
        make = _misdeclared(f"faulty/charset/{name}", codec, word)
        found.append(Kind(f"faulty/charset/{name}", make, ANY, (tag(word), HEADER_NAME), script=script))
    for name, word in SHARED.items():  # scripts stand for patients of their own
        for script in ("", "utf8"):
            kind = f"faulty/shared/{name}/{script or 'ascii'}"
            found.append(Kind(kind, _shared(kind, word), ("ct", "mr", "dx"), (tag(word),), script=script))
    slots = (tag("PhysiciansOfRecord"), tag("ManufacturerModelName"))
    found += [Kind(f"faulty/vr/{vr}", _wrong_vr(f"faulty/vr/{vr}", vr), ANY, slots) for vr in WRONG_VRS]
    for name, (word, concept, form) in NUMBERS.items():
        make = _number(f"faulty/number/{name}", word, concept, form)
        found.append(Kind(f"faulty/number/{name}", make, ANY, (tag(word),)))
    for number, (name, (scheme, form)) in enumerate(CODES.items()):
        word = CODED[number % len(CODED)]
        found.append(Kind(f"faulty/code/{name}", _code(f"faulty/code/{name}", word, scheme, form), ANY, (tag(word),)))
    return found


def _age(name: str, form: str) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        age = str(ctx.rng.randint(91, 99))
        values = form.format(age=age).split("\\")
        put(ctx.ds, (tag("PatientAge"),), "AS", values)
        ctx.plant(f"faulty/age/{name}", (tag("PatientAge"),), tuple(values), nature="age", known=False)

    return make


def _path(words: tuple[str | int, ...]) -> Path:
    return tuple(tag(word) if isinstance(word, str) else word for word in words)


def _birth(name: str, words: tuple[str | int, ...]) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        path = _path(words)
        vr = vr_of(path[-1])
        put(ctx.ds, path, vr, ctx.who.birth_date + ("121314" if vr == "DT" else ""))
        ctx.plant(f"faulty/birth/{name}", path, ctx.who.birth_date, nature="unmoved")

    return make


def _shared(kind: str, word: str) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        vr = vr_of(tag(word))
        put(ctx.ds, (tag(word),), vr, SHARED_DAY + ("070809" if vr == "DT" else ""))
        ctx.plant(kind, (tag(word),), SHARED_DAY, nature="unmoved")

    return make


def _time(name: str, word: str, form: str) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        day = ctx.rng.choice(ctx.who.dates)
        fields = {"date": day, "date_iso": f"{day[:4]}-{day[4:6]}-{day[6:]}", "birth": ctx.who.birth_date}
        text = form.format(**fields)
        put(ctx.ds, (tag(word),), "TM", text)
        gone = fields["date_iso"] if "iso" in form else fields["birth"] if "birth" in form else day
        ctx.plant(f"faulty/time/{name}", (tag(word),), gone, nature="whole")

    return make


def _misdeclared(kind: str, codec: str, word: str) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        name = ctx.who.foreign
        assert name is not None
        data = name.family.encode(codec)
        phrase, mark = ctx.phrase(limit=40), "~" * len(data)
        put(ctx.ds, (HEADER_NAME,), "PN", name.dicom)  # rightly written, so that the name is known
        ctx.plant(f"{kind}/header", (HEADER_NAME,), name.parts, nature="whole", codec=CHARSETS[ctx.who.charset][1])
        put(ctx.ds, (tag(word),), vr_of(tag(word)), f"{phrase} {mark}")
        ctx.after.append(lambda written: written.replace(mark.encode(), data, 1))
        kept = () if word == "ManufacturerModelName" else phrase
        ctx.plant(kind, (tag(word),), name.family, kept, codec=codec)

    return make


def _wrong_vr(kind: str, vr: str) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        name = ctx.draw.name()
        physician, model = tag("PhysiciansOfRecord"), tag("ManufacturerModelName")
        text = f"{name.family}^{name.given}"[: 16 if vr in ("SH", "AE") else 64]
        put(ctx.ds, (physician,), vr, text.encode("latin-1") + b" " * (len(text) % 2) if vr == "OB" else text)
        ctx.plant(f"{kind}/header", (physician,), name.family, nature="whole")
        put(ctx.ds, (model,), "LO", f"Unit {name.family}")
        ctx.plant(kind, (model,), name.family)

    return make


def _number(kind: str, word: str, concept: tuple[str, str, str], form: str) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        text = form.format(age=ctx.rng.randint(91, 99), number=ctx.rng.randint(4_000_000, 4_999_999))
        path = (tag(word), 0, tag("NumericValue"))
        item = put(ctx.ds, path, "DS", text)
        item.ValueType = "NUMERIC"
        put(item, (tag("ConceptNameCodeSequence"), 0, tag("CodeValue")), "SH", concept[0])
        code = item.ConceptNameCodeSequence[0]
        code.CodingSchemeDesignator, code.CodeMeaning = concept[1:]
        put(item, (tag("MeasurementUnitsCodeSequence"), 0, tag("CodeValue")), "SH", "a" if "age" in form else "1")
        unit = item.MeasurementUnitsCodeSequence[0]
        unit.CodingSchemeDesignator, unit.CodeMeaning = "UCUM", "year" if "age" in form else "no units"
        ctx.plant(kind, path, text, nature="age" if "age" in form else "whole", known=False)

    return make


def _code(kind: str, word: str, scheme: str, form: str) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        who, phrase = ctx.who, ctx.phrase(limit=30)
        day = ctx.rng.choice(who.dates)
        fields = {
            **{"phrase": phrase, "stranger": who.strangers[0].family, "family": who.name.family},
            **{"given": who.name.given, "patient_id": who.patient_id},
            "date_german": f"{day[6:]}.{day[4:6]}.{day[:4]}",
        }
        path = (tag(word), 0, tag("CodeMeaning"))
        item = put(ctx.ds, path, "LO", form.format(**fields))
        item.CodeValue, item.CodingSchemeDesignator = "P-1", scheme
        gone = [value for field, value in fields.items() if f"{{{field}}}" in form and field != "phrase"]
        ctx.plant(kind, path, tuple(gone), phrase if "{phrase}" in form else (), known="stranger" not in form)

    return make
