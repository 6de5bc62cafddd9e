"""The DICOM conformance statement of a policy: what PS3.15 E.1.3 asks a de-identifier to state, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy

_HIDE = {
    "all_but_benign": "every text region found, except those judged to name no person (laterality, technique, scales)",
    "all_text": "every text region found",
    "identifying_only": "only text regions judged identifying",
}
_DATES = {
    "REMOVED": "Dates and times of the table are removed, emptied or replaced by dummies; none is kept or shifted.",
    "MODIFIED": "Dates and times that the option names are modified (birth date and GPS time are not among it).",
    "UNMODIFIED": "Dates and times that the option names are kept in full (birth date and GPS time are not among it).",
}
_RETAINED = {
    "retain_patient_characteristics": "Age, sex, size, weight and similar values are kept as they are; their comments "
    "are cleaned word by word. Ages over 89 are kept too, so this is not HIPAA Safe Harbor.",
    "retain_device_identity": "Names, serial numbers and calibration data of devices are kept, AE titles are not. "
    "Safe Harbor names device identifiers: check whether they point at a person.",
    "retain_institution_identity": "Names, addresses and departments of institutions are kept.",
    "retain_uids": "UIDs that the option names are kept; the new instances can be matched with their sources.",
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
- The rules hold at any depth. X on a sequence removes its items; any other sequence is walked item by item.
- All private attributes, all attributes that the dictionary does not know, groups 50xx and 60xx (curves, overlays),
  groups 0000 and 0004, group lengths, encrypted attributes, digital signatures, icons, bytes after the data set.
- Preamble and file meta information are written anew.
- Attributes outside the table that can carry identifiers: URLs, local identifiers and addresses are removed or
  replaced; the list is `gaps_outside_e1_1` of the rules file.
"""


def _replaced(policy: Policy) -> str:
    uids = "kept where the option Retain UIDs names them" if "retain_uids" in policy.options else "replaced"
    return f"""## What is replaced, and how

- Dummies are constants that fit the VR: `DEIDENTIFIED` in text, 19000101 and 000000 in dates and times, 0 in numbers.
  They are the same for everybody. Where the source has no such attribute, none is added.
- Patient's Name and Patient ID get a pseudonym: 80 bits of HMAC-SHA256 of the patient's key under a key derived from
  the salt. It is a code derived from an identifier: sites that read 45 CFR 164.514(c) strictly should weigh this.
- UIDs of instances and entities are {uids}: `2.25.` and a UUID (version 8) from HMAC-SHA256 of the source UID under a
  key derived from the salt. UIDs that DICOM registers are left alone.
- Scope of consistency: one salt. Equal source UIDs and patients give equal results in every instance, series, study
  and run with that salt; references between instances survive. Image references (code X/Z/U*) are kept and remapped.
- Nothing is encrypted into the instances: there is no Encrypted Attributes Sequence, and so no transfer syntax of one.
"""


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
        "an instance without boxes keeps its pixel data byte for byte.",
        "- Faces and other recognizable visual features are not cleaned; photographs are held for review.",
        "",
    ]
    return "\n".join(lines)


def _dates(policy: Policy) -> str:
    return f"## How dates are changed\n\n- {_DATES[policy.longitudinal]}\n"


def _kept(policy: Policy) -> str:
    lines = [f"- {text}" for option, text in _RETAINED.items() if option in policy.options]
    lines.append("- Private attributes: none is kept.")
    return "## What is retained by option\n\n" + "\n".join(lines) + "\n"


def _inserted(policy: Policy) -> str:
    codes = ", ".join(value for value, _, _ in policy.method_codes)
    texts = "; ".join(f"`{text}`" for text in policy.method_texts)
    return f"""## What is inserted

- (0012,0062) Patient Identity Removed: YES
- (0012,0063) De-identification Method, added to what is there: {texts}
- (0012,0064) De-identification Method Code Sequence, added to what is there: {codes}
- (0028,0303) Longitudinal Temporal Information Modified: {policy.longitudinal}
- (0028,0301) Burned In Annotation: NO, where the pixels were searched and nothing identifying was left
"""


def _site(policy: Policy) -> str:
    if not policy.overrides:
        return "## Deviations of this site\n\nNone.\n"
    rows = [
        f"| ({o.tag >> 16:04X},{o.tag & 0xFFFF:04X}) | {o.action} | {o.sop_class or 'all'} | {o.reason} |"
        for o in policy.overrides
    ]
    return "\n".join(
        [
            "## Deviations of this site",
            "",
            "| attribute | action | SOP class | reason |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _limits(policy: Policy) -> str:
    return f"""## Limits

- Private SOP classes are rejected: PS3.15 does not define their de-identification.
- Types are known for {len(policy.sop_classes)} SOP classes at the top level; elsewhere the most demanding action holds.
- Text in pixels is found by a detector and readers that can miss some: a detection is no clearance.
- Names of persons that no header gives and that are words of the vocabulary can remain in free text.
- Transfer syntaxes are those of the sources, except where boxes were filled in an encoding that cannot be written
  again without loss: those instances are stored in a lossless one, and their lossy history stays declared.
"""
