"""The DICOM conformance statement of a policy: what PS3.15 E.1.3 asks a de-identifier to state, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Override, Policy

_HIDE = {
    "all_but_benign": "every text region found, except those judged to name no person (laterality, technique, scales)",
    "all_text": "every text region found",
    "identifying_only": "only text regions judged identifying",
}
_DATES = {
    "remove": "Dates and times of the table are removed, emptied or replaced by dummies; none is kept or shifted.",
    "keep": "Dates and times that the option names are kept in full (birth date and GPS time are not among it). This is "
    "not HIPAA Safe Harbor: dates need an expert's determination (45 CFR 164.514(b)(1)) or a limited data set "
    "(164.514(e)).",
    "shift": "Dates are shifted: every date (DA, DT) that the option names or that no row of the table names moves by one "
    "secret offset per patient, a whole number of weeks from one to ten years into the past, from HMAC-SHA256 of the "
    "patient's key under a key derived from the salt. Intervals, weekdays, times (TM) and offsets from UTC stay, in "
    "sequences, structured reports and kept private attributes too. Shifted dates are never HIPAA Safe Harbor: they need "
    "an expert's determination (45 CFR 164.514(b)(1)) or a limited data set (164.514(e)).",
    "year": "Dates are cut to the year: DA becomes YYYY0101, DT becomes YYYY; times (TM) and offsets from UTC follow the "
    "basic profile. The order of events within a year and all intervals are lost.",
}
_MODIFIED = (
    "Birth dates and times and GPS time are neither kept nor modified: they follow the basic profile.",
    "Constant, dummy, impossible, partial and unreadable dates, and dates that many patients share (versions of published "
    "code lists, plates and calibrations of devices, certificates of sources, approval of a trial by its ethics committee, "
    "hanging protocols, lots; days on which software makes, converts, coerces or changes instances), are not modified: "
    "they become a dummy or follow the basic profile.",
    "Time stamps that are bytes ((0400,0310), (0034,0007)) follow the basic profile.",
)
_SHIFT_LIMITS = (
    "There are 469 offsets (8.9 bits): software versions and devices kept beside shifted dates can exclude some, one true date "
    "of a patient tells the patient's offset, and an age in days or weeks tells it to who knows the birthday.",
    "Series, content, structure set and presentation creation dates of objects that were made for many patients on one day "
    "(segmentations, structure sets, presentation states) are shifted too: who knows that day learns the offsets of all of them.",
)
_RETAINED = {
    "retain_patient_characteristics": "Age, sex, size, weight and similar values are kept; their comments are cleaned "
    "word by word.",
    "retain_device_identity": "Names, serial numbers and calibration data of devices are kept, AE titles are not. "
    "Safe Harbor names device identifiers: check whether they point at a person.",
    "retain_institution_identity": "Names, addresses and departments of institutions are kept.",
    "retain_uids": "UIDs that the option names are kept; the new instances can be matched with their sources.",
}
_TRIAL = """- Attributes of the clinical trial, from the site's table of subjects, after the profile removed those of the source:
  sponsor (0012,0010), protocol (0012,0020) and (0012,0021), site (0012,0030) and (0012,0031), subject (0012,0040), time
  point (0012,0050) and (0012,0051), as far as the table has them
"""
_PSEUDONYMS = {
    "keyed": "80 bits of HMAC-SHA256 of the patient's key under a key derived from the salt. It is a code derived from an "
    "identifier: 45 CFR 164.514(c) asks that a code is not derived from information about the individual, so sites that "
    "read this strictly choose `pseudonyms: random`.",
    "random": "a random code, kept in a table in the private folder of the output; it is not derived from information "
    "about the individual (45 CFR 164.514(c)). The table is the only link back: keep it secret, and do not lose it.",
    "table": "the one that the site's own table of subjects names. How it was made is the site's to state "
    "(45 CFR 164.514(c)). A patient who is not in the table is rejected.",
}


def conformance_statement(policy: Policy, *, salt_id: str) -> str:
    """Return the statement as Markdown (PS3.15 E.1.3, E.3.5 to E.3.11); it depends on policy and salt id alone."""
    sections = [
        _scope(policy, salt_id),
        _removed(policy),
        _replaced(policy),
        _text(policy),
        _dates(policy),
        _kept(policy),
        _inserted(policy),
        _site(policy),
        _limits(policy),
    ]
    return "\n".join(sections)


def _scope(policy: Policy, salt_id: str) -> str:
    options = [f"- {meaning} ({value}, {scheme})" for value, scheme, meaning in policy.method_codes]
    lines = [f"# Conformance statement: policy {policy.name}", ""]
    if policy.description:
        lines += [policy.description, ""]
    lines += [
        f"De-identifier after DICOM PS3.15 {policy.edition}, Annex E. Profile and options claimed:",
        "",
        *options,
        "",
        f"Policy digest: `{policy.digest}`. Salt: `{salt_id}` (fingerprint; the salt itself is secret).",
        "",
        "The result is a set of new instances for a special purpose. They do not replace the originals. Applying the "
        "profile does not by itself guarantee that nobody can be identified.",
        "",
    ]
    return "\n".join(lines)


def _removed(policy: Policy) -> str:
    counts = dict.fromkeys("XZDUKC", 0)
    for entry in policy.entries.values():
        if entry.rule.startswith("E.1-1") and entry.code in counts:
            counts[entry.code] += 1
    compound = sum(1 for e in policy.entries.values() if "/" in e.code)
    return f"""## What is removed

- Of Table E.1-1 with these options: {counts["X"]} attributes are removed (X), {counts["Z"]} emptied (Z), {counts["D"]}
  replaced by a dummy (D), {counts["U"]} get a new UID (U), {counts["C"]} are cleaned (C), {counts["K"]} kept (K);
  {compound} have a code that depends on the Type of the attribute in its IOD (PS3.5 7.4).
- The Type is that of the attribute's path in the IOD, also inside sequences and functional groups; where the path or the
  SOP class is not known the most demanding action of the code holds. Conditions (1C, 2C) count as fulfilled.
- The rules hold at any depth. X on a sequence removes its items; any other sequence is walked item by item.
- {_private_removed(policy)}, all attributes that the dictionary does not know, groups 50xx and 60xx (curves, overlays),
  groups 0000 and 0004, group lengths, encrypted attributes, digital signatures, icons, bytes after the data set.
- Preamble and file meta information are written anew.
- Attributes outside the table that can carry identifiers: URLs, local identifiers, addresses, persons, places, orders and
  tickets are removed or replaced, labels and explanations are treated as descriptors; of text only names and versions of
  products, codes, and what devices and software alone write is kept. Every text attribute of the dictionary is judged by a
  row: `gaps_outside_e1_1` and `own_rows` of the rules file.
"""


def _private_removed(policy: Policy) -> str:
    keeps = policy.safe_private or any(override.private_creator for override in policy.overrides)
    return "All private attributes but those named below" if keeps else "All private attributes"


def _replaced(policy: Policy) -> str:
    uids = "kept where the option Retain UIDs names them" if "retain_uids" in policy.options else "replaced"
    return f"""## What is replaced, and how

- Dummies are constants that fit the VR: `DEIDENTIFIED` in text, 19000101 and 000000 in dates and times, 0 in numbers.
  They are the same for everybody. Where the source has no such attribute, none is added.
- Patient's Name and Patient ID get a pseudonym: {_PSEUDONYMS[policy.pseudonyms]}
- {_ages(policy)}
- UIDs of instances and entities are {uids}: `2.25.` and a UUID (version 8) from HMAC-SHA256 of the source UID under a
  key derived from the salt. UIDs that DICOM registers are left alone.
- Scope of consistency: one salt. Equal source UIDs and patients give equal results in every instance, series, study
  and run with that salt; references between instances survive. Image references (code X/Z/U*) are kept and remapped.
- Nothing is encrypted into the instances: there is no Encrypted Attributes Sequence, and so no transfer syntax of one.
"""


def _ages(policy: Policy) -> str:
    if policy.max_age == 0:
        return "Ages have no cap: where they are kept, ages over 89 are kept too, which is not HIPAA Safe Harbor."
    return (
        f"Ages (AS, and numbers of content items whose concept or its meaning is an age) above {policy.max_age} years become "
        f"{policy.max_age + 1:03d}Y, one class for all (45 CFR 164.514(b)(2)(i)(C)), where a policy keeps ages at all; floating "
        "point and rational values of such numbers are removed."
    )


def _text(policy: Policy) -> str:
    lines = ["## How text, graphics and pixels are cleaned", ""]
    if "clean_descriptors" in policy.options:
        lines += [
            "- Descriptors: word by word. Known identifiers of the patient, gathered from all of the patient's "
            "instances, are cut out first, then dates, telephone numbers, e-mail addresses, URLs and words after "
            "titles. Of the rest only words of an imaging vocabulary, measures and small numbers stay.",
            "- Attributes to be cleaned that hold no words (codes, bytes, AE titles) follow the basic profile instead.",
        ]
    else:
        lines.append("- Descriptors are not cleaned but follow the basic profile: removed, emptied or replaced.")
    if "clean_structured_content" in policy.options:
        lines.append(
            f"- Structured content: {len(policy.concepts)} concept names of Table E.3.4-1 decide their content items; "
            "any other item is treated attribute by attribute, its text cleaned word by word."
        )
    if "clean_graphics" in policy.options:
        lines.append(
            "- Graphic annotations stay with their text cleaned word by word; overlays and curves are removed."
        )
    lines += [
        "- Every text that is kept for another reason loses the patient's known identifiers.",
        f"- Pixels: text is looked for in stored pixel values, and filled is {_HIDE[policy.hide]}. "
        "Burned In Annotation is set to NO only where this was done. No pixel outside the boxes is changed; "
        "an instance without boxes keeps its pixel data byte for byte, but for overlays in unused bits: where a group 60xx "
        "tells of one, all bits above Bits Stored are cleared.",
        f"- Faces and other recognizable visual features are not cleaned, and (0028,0302) stays as received. {_faces(policy)}",
        "",
    ]
    return "\n".join(lines)


def _faces(policy: Policy) -> str:
    if "recognizable_visual_features" in policy.hold:
        return (
            "Photographs, and head CT and MR whose slices are thin enough to rebuild a face, are held until a person "
            "decides."
        )
    return "Photographs are held for review; head CT and MR thin enough to rebuild a face are flagged and released."


def _dates(policy: Policy) -> str:
    lines = [_DATES[policy.dates], *(_MODIFIED if policy.dates in ("shift", "year") else ())]
    lines += _SHIFT_LIMITS if policy.dates == "shift" else ()
    return "## How dates are changed\n\n" + "".join(f"- {line}\n" for line in lines)


def _kept(policy: Policy) -> str:
    lines = [f"- {text}" for option, text in _RETAINED.items() if option in policy.options]
    return "## What is retained by option\n\n" + "\n".join([*lines, *_private_kept(policy)]) + "\n"


def _private_kept(policy: Policy) -> list[str]:
    """Return which private attributes are kept, why they are held to be safe, and how (E.3.10)."""
    rows = [override for override in policy.overrides if override.private_creator]
    site = [f"- Private attributes that this site keeps, changes or removes by rows of its own: {len(rows)} (below)."]
    if not policy.safe_private:
        return site if rows else ["- Private attributes: none is kept."]
    of_creator: dict[str, int] = {}
    for _, _, creator in policy.safe_private:
        of_creator[creator] = of_creator.get(creator, 0) + 1
    return [
        f"- Private attributes: {len(policy.safe_private)} of Table E.3.10-1 of PS3.15 {policy.edition}, which lists them as "
        "examples without a guarantee. They are matched by private creator and offset in the block, at any depth; the "
        "creator stays with what is kept of its block. Markings of an instance itself ((0008,0300)) are not trusted.",
        "- Of these numbers and codes (FL FD SS US SL UL SV UV AT DS IS CS AS) are kept, sequences are walked item by item, "
        "text (LO SH ST LT UT UC) is cleaned word by word and removed where nothing is left, UIDs are replaced, dates "
        "follow the rules for dates, names, bytes (OB OW UN) and attributes without a known VR are removed.",
        *(f"  - `{creator}`: {number}" for creator, number in sorted(of_creator.items())),
        *(site if rows else []),
    ]


def _inserted(policy: Policy) -> str:
    codes = ", ".join(value for value, _, _ in policy.method_codes)
    texts = "; ".join(f"`{text}`" for text in policy.method_texts)
    pixels = "; 113101 only where pixels were searched for text" if "113101" in codes else ""
    return f"""## What is inserted

- (0012,0062) Patient Identity Removed: YES
- (0012,0063) De-identification Method, added to what is there: {texts}
- (0012,0064) De-identification Method Code Sequence, added to what is there: {codes}{pixels}
- (0028,0303) Longitudinal Temporal Information Modified: {policy.longitudinal}, or what the source says of more having been changed before
- (0028,0301) Burned In Annotation: NO, where the pixels were searched and nothing identifying was left
{_TRIAL if policy.clinical_trial else ""}"""


def _site(policy: Policy) -> str:
    if not policy.overrides:
        return "## Deviations of this site\n\nNone.\n"
    rows = []
    for o in policy.overrides:
        conditions = (condition or "all" for condition in (o.sop_class, o.modality, o.manufacturer))
        cells = (cell.replace("|", "\\|") for cell in (_place(o), o.action, *conditions, o.reason))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            "## Deviations of this site",
            "",
            "The row with most conditions holds; of equals one with a SOP class, then one with a manufacturer (part of the",
            "name, upper or lower case), then one with a modality. Action C on an address keeps the first three digits of a",
            "US ZIP code where it names a state or the United States, and nothing else; 000 for areas of 20,000 people or",
            "fewer (censuses of 2000 and 2010).",
            "",
            "| attribute | action | SOP class | modality | manufacturer | reason |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _place(override: Override) -> str:
    if override.private_creator:
        offset = override.tag & 0xFF
        return f"({override.tag >> 16:04X},xx{offset:02X}) `{override.private_creator}`"
    return f"({override.tag >> 16:04X},{override.tag & 0xFFFF:04X})"


def _limits(policy: Policy) -> str:
    return f"""## Limits

- Private SOP classes are rejected: PS3.15 does not define their de-identification.
- Types are known for {len(policy.sop_classes)} SOP classes; elsewhere the most demanding action holds.
- Text in pixels is found by a detector and readers that can miss some: a detection is no clearance.
- Names of persons that no header gives and that are words of the vocabulary can remain in free text.
- Transfer syntaxes are those of the sources, except where boxes were filled in an encoding that cannot be written
  again without loss: those instances are stored in a lossless one, and their lossy history stays declared.
"""
