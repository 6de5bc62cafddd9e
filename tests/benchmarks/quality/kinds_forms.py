"""Kinds of forms: parts of a structured ID, postcodes, glued names and eras, in descriptions and in text that is kept."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.quality.plants import Context, Kind, put, tag, vr_of

ANY = ("ct", "mr", "pt", "us", "dx", "mg", "cr", "nm", "xa", "sc")
DESCRIBED = (
    "ImageComments",
    "SeriesDescription",
    "StudyComments",
    "AdditionalPatientHistory",
    "RequestedProcedureComments",
)
KEPT = ("ManufacturerModelName", "SoftwareVersions", "WindowCenterWidthExplanation")
# Header attribute, what stands there and what of it people write. {aN}, {bN}: numbers of N digits.
KNOWN: dict[str, tuple[str, str, str]] = {
    "id/check_letter": ("OtherPatientIDs", "{a8}Z", "{a8}"),
    "id/check_digit": ("OtherPatientIDs", "{a7}-8", "{a7}"),
    "id/thousands": ("OtherPatientIDs", "{a2}.{a3}.{b3}-K", "{a2}{a3}{b3}"),
    "id/assigning_authority": ("OtherPatientIDs", "{a7}^^^HOSP&1.2.3&ISO", "{a7}"),
    "id/slash": ("OtherPatientIDs", "AT/{a2}-{a4}", "{a2}-{a4}"),
    "id/hyphens": ("OtherPatientIDs", "P-{a3}-{b3}", "{a3} {b3}"),
    "id/prefix_and_check_letter": ("OtherPatientIDs", "S{a7}D", "{a7}"),
    "order/zeros": ("FillerOrderNumberImagingServiceRequest", "2023-GB-00{a4}", "GB{a4}"),
    "order/points": ("FillerOrderNumberImagingServiceRequest", "RIS.{a2}.{a4}", "{a2}.{a4}"),
    "order/check_digit": ("FillerOrderNumberImagingServiceRequest", "K{a7}(5)", "{a7}"),
    "postcode/british": ("PatientAddress", "{street}, {city} LS{d} {d}EX", "LS{d} {d}EX"),
    "postcode/canadian": ("PatientAddress", "{street}, {city} K{d}A {d}B{d}", "K{d}A {d}B{d}"),
    "postcode/dutch": ("PatientAddress", "{street}, {a4} CJ {city}", "{a4} CJ"),
    "postcode/austrian": ("PatientAddress", "{street}, {a4} {city}", "PLZ {a4}"),
    "postcode/swedish": ("PatientAddress", "{street}, {a3} {a2} {city}", "{a3} {a2}"),
    "name/particles": ("PatientBirthName", "van den {family}^{given}", "vd{family}"),
    "name/first_particle": ("PatientBirthName", "von der {family}^{given}", "von{family}"),
    "name/initial": ("PatientBirthName", "{family}^{given}", "{initial}{family}"),
    "name/initial_behind": ("PatientBirthName", "{family}^{given}", "{family}{initial}"),
    "name/beside_word": ("PatientBirthName", "{family}^{given}", "{family}Thorax"),
    "name/short": ("PatientBirthName", "Ng^Ek", "NgEk"),
    "birth/era": ("", "", "{era}"),
    "birth/blanks": ("", "", "DOB {birth_blanks}"),
    "id/letter_left_out": ("OtherPatientIDs", "P-{a5}", "{a5}"),
    "id/in_two_groups": ("OtherPatientIDs", "P-{a2}{a3}", "{a2} {a3}"),
    "id/ward_left_out": ("OtherPatientIDs", "12/{a3}-{a2}", "{a3}-{a2}"),
    "id/authority_in_front": ("OtherPatientIDs", "UKT^{a7}", "{a7}"),
    "order/year_left_out": ("FillerOrderNumberImagingServiceRequest", "2024/{a5}", "{a5}"),
    "name/two_letters": ("PatientBirthName", "Ca^Ni", "Dr. Ca"),
    "name/that_denies": ("PatientBirthName", "Nie^{given}", "Frau Nie"),
}
# Known to no header.
STRANGE: dict[str, str] = {
    "national/swiss": "756.{a4}.{b4}.{a2}",
    "national/brazilian": "{a3}.{b3}.{c3}-{a2}",
    "national/chilean": "{a2}.{a3}.{b3}-K",
    "national/italian": "RSSMRA51D{a2}H{a3}X",
    "national/british": "QX{a6}C",
    "national/eleven_digits": "{a11}",
    "national/scandinavian": "510423-{a4}",
}
DESCRIBED_ALONE: dict[str, str] = {
    "postcode/canadian": "K{d}A {d}B{d}",
    "postcode/label": "PLZ {a4}",
    "postcode/town": "in {a4} {city}",
    "age/year_of_life": "{age}. Lebensjahr",
    "age/label": "PatAge {age}",
    "postcode/glued": "CH{a4} {city}",
    "postcode/british": "B{a2} {d}TH",
    "age/person": "Patient {age} a",
    "age/over": "over {age} years",
    "age/at_least": "{age}+ years",
    "age/sex": "female, {age}",
    "name/that_denies": "Frau Nie",
    "name/abbreviated_title": "Sig.ra Mai",
    "name/word_beside_given": "Tan Wei",
    "number/word": "Nr. {a4}",
    "number/extension": "DECT {a4}",
}


def form_kinds() -> list[Kind]:
    """Return all kinds of this module."""
    found = []
    for places, forms in (
        (DESCRIBED, {**KNOWN, **{name: ("", "", form) for name, form in STRANGE.items()}}),
        (KEPT, {**KNOWN, **{name: ("", "", form) for name, form in STRANGE.items()}}),
        (DESCRIBED, {f"alone/{name}": ("", "", form) for name, form in DESCRIBED_ALONE.items()}),
    ):
        for number, (name, (header, value, form)) in enumerate(forms.items()):
            place = places[number % len(places)]
            kind = f"form/{'described' if places is DESCRIBED else 'kept'}/{name}"
            known = name in KNOWN
            slots = tuple(tag(word) for word in (place, header) if word)
            found.append(Kind(kind, _make(kind, place, header, value, form, known=known), ANY, slots))
    return found


def _make(kind: str, place: str, header: str, value: str, form: str, *, known: bool) -> Callable[[Context], None]:
    def make(ctx: Context) -> None:
        fields = _fields(ctx, value + form)
        written = form.format(**fields)
        if header:
            put(ctx.ds, (tag(header),), vr_of(tag(header)), value.format(**fields))
            ctx.plant(f"{kind}/header", (tag(header),), value.format(**fields), nature="whole")
        phrase = "" if place in KEPT else ctx.phrase(limit=30)
        put(ctx.ds, (tag(place),), vr_of(tag(place)), f"{phrase} {written}" if phrase else f"B30 {written}")
        told = next((name for name in ("family", "birth_blanks", "age") if f"{{{name}}}" in form), "")
        short = written.split()[-1] if written.startswith(("Dr.", "Frau", "Sig.ra")) else ""
        gone = fields[told] if told else short or written.removeprefix("PLZ ").removeprefix("in ").removesuffix(" Wei")
        ctx.plant(kind, (tag(place),), gone, phrase, known=known)

    return make


def _fields(ctx: Context, template: str) -> dict[str, str]:
    """Return what templates name; a number is the same wherever it stands in one template."""
    who, draw = ctx.who, ctx.draw
    sizes = {
        f"{letter}{size}" for letter in "abc" for size in (2, 3, 4, 5, 6, 7, 8, 11) if f"{{{letter}{size}}}" in template
    }
    digits = {name: _number(ctx, int(name[1:])) for name in sorted(sizes)}
    birth = who.birth_date
    names = {"family": who.strangers[0].family, "given": who.strangers[0].given, "initial": who.strangers[0].given[0]}
    place = {"street": who.street, "city": draw.pool.cities[0], "d": str(ctx.rng.randint(3, 9))}
    start = 1925 if int(birth[:4]) < 1989 else 1988
    era = f"{'S' if start == 1925 else 'H'}{int(birth[:4]) - start}.{int(birth[4:6])}.{int(birth[6:])}"
    blanks = f"{int(birth[6:])} {int(birth[4:6])} {birth[2:4]}"
    return {**digits, **names, **place, "era": era, "birth_blanks": blanks, "age": str(ctx.rng.randint(91, 99))}


def _number(ctx: Context, size: int) -> str:
    """Return digits that are no year and not round, which are measures before they are identifiers."""
    while True:
        number = str(ctx.rng.randrange(10 ** (size - 1), 10**size))
        if not number.startswith(("19", "20")) and not number.endswith("0"):
            return number
