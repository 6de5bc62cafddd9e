"""Kinds of contexts: identifiers among clinical words of a description, known to a header or to none, in six languages."""

from __future__ import annotations

from benchmarks.quality.phrases import LANGUAGES, TEMPTING, words
from benchmarks.quality.plants import Context, Kind, put, tag, vr_of

# {p}: a phrase; {p1}, {p2}: one more each. All other fields are identifiers: see `fields`.
# A field in capitals is written so. What a template says of a stranger is known to no header.
CONTEXTS: dict[str, str] = {
    # known to the header, by place and glue
    "known/front": "{family} {p}",
    "known/front_upper": "{FAMILY} {p}",
    "known/end": "{p} {given}",
    "known/end_lower": "{p} {family_lower}",
    "known/middle": "{p1} {given} {family} {p2}",
    "known/family_comma_given": "{family}, {given}: {p}",
    "known/initial_family": "{p} {initial}. {family}",
    "known/family_initial": "{p} {family} {initial}",
    "known/caret": "{p1}^{family}^{given}^{p2}",
    "known/underscore": "{p1}_{family}_{p2}",
    "known/hyphen": "{p1}-{family}-{given}",
    "known/slash": "{p1}/{family}/{p2}",
    "known/dot": "{p1}.{family}.{given}",
    "known/parentheses": "{p} ({given} {family})",
    "known/brackets": "{p} [{family}]",
    "known/quotes": '{p} "{given}"',
    "known/possessive": "{family}'s {p}",
    "known/glued_to_number": "{p} {family}01",
    "known/spaced_letters": "{p} {family_spaced}",
    "known/run_together": "{p} {given}{family}",
    "known/newline": "{p1}\r\n{family} {given}\r\n{p2}",
    "known/tab": "{p1}\t{family}\t{p2}",
    "known/referring": "{p} req by Dr {ref_family}",
    "known/performing": "{p} performed {per_given} {per_family}",
    "known/operator": "{p} tech {op_family}",
    "known/reading": "{p} read {read_family}",
    "known/patient_id": "{p} {patient_id}",
    "known/patient_id_glued": "{p1}_{patient_id}_{p2}",
    "known/patient_id_digits": "{p} #{patient_digits}",
    "known/other_id": "{p} {other_id}",
    "known/accession": "{p} acc {accession}",
    "known/study_id": "{study_id} {p}",
    "known/order": "{p} order {order}",
    "known/admission": "{p} visit {admission}",
    "known/institution": "{p} at {institution}",
    "known/department": "{p} {department}",
    "known/address": "{p} {street}, {city}",
    "known/phone": "{p} tel {phone}",
    "known/phone_bare": "{p} {phone_tail}",
    "known/issuer": "{p} {issuer}",
    # known to no header
    "stranger/dr_dot_space": "{p} Dr. {s_family}",
    "stranger/dr_dot_glued": "{p} DR.{S_FAMILY}",
    "stranger/dr_upper": "{p} DR {S_FAMILY}",
    "stranger/dr_lower": "{p} dr {s_family_lower}",
    "stranger/prof": "{p} Prof. {s_given} {s_family}",
    "stranger/mr": "{p} Mr. {s_family}",
    "stranger/mrs": "Mrs {s_family} {p}",
    "stranger/for": "{p} for {s_given}",
    "stranger/for_full": "{p} ordered for {s_given} {s_family}",
    "stranger/by": "{p} by {s_family}",
    "stranger/initials": "{p} read by {s_initials}",
    "stranger/patient_colon": "Patient: {s_family}, {s_given} {p}",
    "stranger/name_colon": "Name: {s_given} {s_family} / {p}",
    "stranger/credentials": "{p} {s_family}, MD",
    "stranger/attending": "{p} attending {s_family}",
    "stranger/bare_end": "{p} {s_family}",
    "stranger/bare_front": "{S_FAMILY} {p}",
    "stranger/caret": "{p1}^{s_family}^{s_given}^{p2}",
    "stranger/underscore": "{p1}_{s_family}_{p2}",
    "stranger/two": "{p} Dr. {s_family} / Dr. {t_family}",
    "stranger/mother": "{p}, mother {s_given} {s_family}",
    "stranger/daughter": "{p}, daughter {s_given}",
    "stranger/word_like": "{p} Dr. {wordname}",
    "stranger/word_like_mr": "{p} Mr {wordname}",
    "stranger/hyphenated": "{p} Dr. {s_family}-{t_family}",
    "stranger/apostrophe": "{p} Dr. {oname}",
    # dates, in many forms; of the study (known) and of another day
    "date/dicom": "{p} {date}",
    "date/dicom_birth": "{p} dob {birth}",
    "date/iso": "{p} {date_iso}",
    "date/german": "{p} {date_german}",
    "date/german_short": "{p} {date_german_short}",
    "date/us": "{p} {date_us}",
    "date/us_short": "{p} {date_us_short}",
    "date/dash": "{p} {date_dash}",
    "date/month_name": "{p} {date_month}",
    "date/month_name_us": "{p} {date_month_us}",
    "date/month_abbreviated": "{p} {date_abbreviated}",
    "date/month_upper": "{p} {date_upper}",
    "date/glued": "{p1}_{date}_{p2}",
    "date/birth_iso": "{p} born {birth_iso}",
    "date/birth_german": "{p} geb. {birth_german}",
    "date/birth_us": "{p} DOB {birth_us}",
    "date/day_month": "{p} since {day_month}",
    "date/month_year": "{p} {month_year}",
    "date/time_of_day": "{p} {date_iso} 14:35",
    "date/datetime": "{p} {date}143501",
    # numbers and addresses nobody told
    "id/mrn": "{p} MRN {number8}",
    "id/mrn_colon": "{p} MRN:{number8}",
    "id/hash": "{p} #{number8}",
    "id/case": "{p} case no {number7}",
    "id/letters": "{p} {letters_number}",
    "id/ssn": "{p} SSN {ssn}",
    "id/ssn_bare": "{p} {ssn}",
    "id/insurance": "{p} insurance {number9}",
    "id/serial": "{p} SN{number9}",
    "id/passport": "{p} passport {letters_number}",
    "contact/phone_us": "{p} call {phone_us}",
    "contact/phone_us_parentheses": "{p} ({phone_area}) {phone_rest}",
    "contact/phone_international": "{p} +{phone_plain}",
    "contact/phone_dots": "{p} {phone_dots}",
    "contact/pager": "{p} pager {number5}",
    "contact/fax": "{p} fax {phone_us}",
    "contact/email": "{p} {email}",
    "contact/email_angle": "{p} <{email_other}>",
    "contact/url": "{p} https://{host}/{number8}",
    "contact/www": "{p} www.{host}",
    "contact/ip": "{p} 10.{octet}.{octet2}.17",
    "contact/street": "{p}, {street_other} Street {number2}",
    "contact/zip": "{p} {city_other}, {number5}",
    "contact/city": "{p} sent from {city_other}",
    "age/years_old": "{p} {age} year old",
    "age/yo": "{p} {age}yo",
    "age/dicom": "{p} 0{age}Y",
}
BY_LANGUAGE: dict[str, dict[str, str]] = {
    "de": {
        "herr": "{p} Herr {s_family}",
        "frau": "{p} Frau {s_family}",
        "von": "{p} überwiesen von Dr. {s_family}",
        "fuer": "{p} für {s_given} {s_family}",
        "patient": "{p} Patient {family}, {given}",
        "geb": "{p} geb. am {birth_german}",
        "date": "{p} vom {date_german}",
        "month": "{p} {day}. {month_de} {year}",
        "prof": "{p} Prof. Dr. med. {s_family}",
        "phone": "{p} Tel. {phone}",
    },
    "fr": {
        "m": "{p} M. {s_family}",
        "mme": "{p} Mme {s_family}",
        "docteur": "{p} Docteur {s_family}",
        "pour": "{p} pour {s_given} {s_family}",
        "ne_le": "{p} né le {birth_slash}",
        "date": "{p} du {date_slash}",
        "month": "{p} {day} {month_fr} {year}",
        "patient": "{p} patient {family}",
    },
    "es": {
        "sr": "{p} Sr. {s_family}",
        "sra": "{p} Sra. {s_family}",
        "doctor": "{p} Doctora {s_family}",
        "para": "{p} para {s_given} {s_family}",
        "nacido": "{p} nacido {birth_slash}",
        "date": "{p} del {date_slash}",
        "month": "{p} {day} de {month_es} de {year}",
        "paciente": "{p} paciente {family}",
    },
    "it": {
        "sig": "{p} Sig. {s_family}",
        "sigra": "{p} Sig.ra {s_family}",
        "dott": "{p} Dott.ssa {s_family}",
        "per": "{p} per {s_given} {s_family}",
        "nato": "{p} nato il {birth_slash}",
        "date": "{p} del {date_slash}",
        "month": "{p} {day} {month_it} {year}",
        "paziente": "{p} paziente {family}",
    },
    "nl": {
        "dhr": "{p} dhr. {s_family}",
        "mevr": "{p} mevr. {s_family}",
        "dokter": "{p} dokter {s_family}",
        "voor": "{p} voor {s_given} {s_family}",
        "geboren": "{p} geboren {birth_dash}",
        "date": "{p} van {date_dash}",
        "month": "{p} {day} {month_nl} {year}",
        "patient": "{p} patiënt {family}",
    },
}
BESIDE = {"doctor": "{p} Dr. {s_family}", "date": "{p} {date_german}"}
PLACES = (
    *("StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "RequestedProcedureDescription"),
    *("PerformedProcedureStepDescription", "DerivationDescription", "ReasonForStudy", "AdditionalPatientHistory"),
    *("AdmittingDiagnosesDescription", "CommentsOnThePerformedProcedureStep", "AcquisitionProtocolDescription"),
    *("StudyComments", "RequestedProcedureComments", "VisitComments", "ImagingServiceRequestComments"),
)
LONG = ("ImageComments", "AdditionalPatientHistory", "StudyComments", "AcquisitionProtocolDescription", "VisitComments")
WORD_NAMES = ("Hand", "Young", "Long", "Rose", "Short", "Foot", "Hart", "Berg", "Stern", "Blank")
MONTHS = {
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "en": "January February March April May June July August September October November December",
}
IMAGES = ("ct", "mr", "pt", "us", "dx", "mg", "cr", "nm", "xa", "sc")


def text_kinds() -> list[Kind]:
    """Return a kind for each context, and each in the other languages; where it stands goes round the descriptions."""
    found = []
    contexts = [(f"text/{name}", template, "en") for name, template in CONTEXTS.items()]
    for language, templates in BY_LANGUAGE.items():
        contexts += [(f"text/{language}/{name}", template, language) for name, template in templates.items()]
    contexts += [(f"clean/{language}", "{p}", language) for language in LANGUAGES]
    for pool in TEMPTING:
        contexts += [(f"clean/{pool}/{number}", "{p}", pool) for number in (1, 2)]
        contexts += [(f"text/{pool}/{name}", template, pool) for name, template in BESIDE.items()]
    for number, (name, template, language) in enumerate(contexts):
        multi_line = "\r" in template or "\t" in template
        # Line breaks stand in LT only; the longest templates need room too.
        places = LONG if multi_line or template.count("{") > 3 else PLACES
        place = places[number % len(places)]
        found.append(Kind(name, _make(name, place, template, language), IMAGES, (tag(place),)))
    return found


def _make(kind: str, place: str, template: str, language: str):
    def make(ctx: Context) -> None:
        number = tag(place)
        room = {"LO": 64}.get(vr_of(number), 200)
        for _ in range(400):
            text, gone, kept, known = fill(ctx, template, language)
            if len(text) <= room and not _clash(gone, kept):
                break
        else:
            raise AssertionError(f"{kind}: no phrase fits {place}")
        put(ctx.ds, (number,), vr_of(number), text)
        ctx.plant(kind, (number,), gone, kept, known=known)

    return make


def _clash(gone: tuple[str, ...], kept: tuple[str, ...]) -> bool:
    words_left = [word.casefold() for word in kept]
    return any(part.casefold() in word or word in part.casefold() for part in gone for word in words_left)


def fill(ctx: Context, template: str, language: str = "en") -> tuple[str, tuple[str, ...], tuple[str, ...], bool]:
    """Return the text of a template, the identifiers in it, the words to keep, and whether a header tells of them all."""
    values, told, whole = fields(ctx)
    phrases = {name: ctx.phrase(language) for name in ("p", "p1", "p2") if f"{{{name}}}" in template}
    if len(phrases) > 1:  # two short phrases: a word or two each
        phrases = {name: " ".join(text.split()[:2]) for name, text in phrases.items()}
    used = [name for name in values if f"{{{name}}}" in template]
    text = template.format(**phrases, **{name: values[name] for name in used})
    gone = [part for name in used if name not in SCAFFOLD for part in whole.get(name, (values[name],))]
    if "month_" in template and "day" in used:  # a date in words is one identifier
        month = next(values[name] for name in used if name.startswith("month_"))
        start, end = text.index(values["day"]), text.index(values["year"]) + 4
        gone = [text[start:end]] if month in text else gone
    kept = tuple(word for text_part in phrases.values() for word in words(text_part))
    known = all(name in told or name in SCAFFOLD for name in used)
    return text, tuple(gone), kept, known


SCAFFOLD = frozenset({"day", "year", *(f"month_{language}" for language in MONTHS), "initial", "number2"})


def fields(ctx: Context) -> tuple[dict[str, str], set[str], dict[str, tuple[str, ...]]]:
    """Return the identifiers that templates name, which of them headers tell, and parts to look for instead of a whole."""
    who, rng, draw = ctx.who, ctx.rng, ctx.draw
    first, second = rng.sample(who.strangers, 2)
    known = {
        **{"family": who.name.family, "FAMILY": who.name.family.upper(), "family_lower": who.name.family.lower()},
        **{"family_spaced": " ".join(who.name.family.upper()), "given": who.name.given, "initial": who.name.given[0]},
        **{"ref_family": who.referring.family, "per_family": who.performing.family, "per_given": who.performing.given},
        **{"op_family": who.operator.family, "read_family": who.reading.family, "patient_id": who.patient_id},
        **{"patient_digits": who.patient_id[3:], "other_id": who.other_id, "accession": who.accession},
        **{"study_id": who.study_id, "order": who.order, "admission": who.admission_id, "phone": who.phone},
        **{"institution": who.institution, "department": who.department, "street": who.street, "city": who.city},
        **{"phone_tail": who.phone.split()[-1], "issuer": who.issuer, "email": who.email},
    }
    strange = {
        **{"s_family": first.family, "S_FAMILY": first.family.upper(), "s_family_lower": first.family.lower()},
        **{"s_given": first.given, "t_family": second.family, "s_initials": first.given[0] + first.family[0] + "Q"},
        **{"wordname": rng.choice(WORD_NAMES), "oname": f"O'{second.family}"},
        **{f"number{size}": draw.digits(size) for size in (5, 7, 8, 9)},
        **{
            "number2": str(rng.randint(11, 98)),
            "letters_number": f"{rng.choice('BKZ')}{rng.choice('XQW')}{draw.digits(7)}",
        },
        **{
            "ssn": f"{draw.digits(3)}-{rng.randint(11, 99)}-{draw.digits(4)}",
            "phone_us": f"{draw.digits(3)}-555-{draw.digits(4)}",
        },
        **{"phone_area": draw.digits(3), "phone_rest": f"555-{draw.digits(4)}", "phone_plain": f"49{draw.digits(9)}"},
        **{
            "phone_dots": f"{draw.digits(3)}.555.{draw.digits(4)}",
            "email_other": f"{first.family.lower()}@{rng.choice(draw.pool.domains)}",
        },
        **{
            "host": f"pacs.{rng.choice(draw.pool.domains)}",
            "octet": str(rng.randint(101, 250)),
            "octet2": str(rng.randint(101, 250)),
        },
        **{
            "street_other": rng.choice(draw.pool.streets),
            "city_other": rng.choice(draw.pool.cities),
            "age": str(rng.randint(91, 99)),
        },
    }
    dates = _dates(rng.choice(who.dates), "date") | _dates(who.birth_date, "birth")
    whole = {
        "per_given": (who.performing.given,),
        "oname": (second.family,),
        "octet2": (),
        "octet": (f"10.{strange['octet']}.",),
    }
    told = set(known) | {name for name in dates if name.startswith("birth")}
    return known | strange | dates, told, whole


def _dates(date: str, name: str) -> dict[str, str]:
    year, month, day = date[:4], date[4:6], date[6:]
    word = {language: names.split()[int(month) - 1] for language, names in MONTHS.items()}
    found = {
        **{name: date, f"{name}_iso": f"{year}-{month}-{day}", f"{name}_german": f"{day}.{month}.{year}"},
        **{f"{name}_german_short": f"{day}.{month}.{year[2:]}", f"{name}_us": f"{month}/{day}/{year}"},
        **{f"{name}_us_short": f"{month}/{day}/{year[2:]}", f"{name}_dash": f"{day}-{month}-{year}"},
        **{f"{name}_slash": f"{day}/{month}/{year}", f"{name}_month": f"{day} {word['en']} {year}"},
        **{f"{name}_month_us": f"{word['en']} {day}, {year}", f"{name}_abbreviated": f"{day}-{word['en'][:3]}-{year}"},
        f"{name}_upper": f"{day}{word['en'][:3].upper()}{year}",
    }
    if name == "date":
        found |= {"day_month": f"{day}.{month}.", "month_year": f"{month}/{year}", "day": day, "year": year}
        found |= {f"month_{language}": text for language, text in word.items()}
    return found
