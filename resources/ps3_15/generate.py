"""Write the rules files of this folder from the tables of a PS3.15 edition (see README.md).

Usage: python resources/ps3_15/generate.py TABLES_FOLDER [OUTPUT_FOLDER]

The tables are tab-separated files made from NEMA's DocBook of PS3.15 and PS3.16. The same tables and the same pydicom
give the same bytes. Rows that the standard does not settle (attributes outside Table E.1-1) are judged here, and
nowhere else: `GAP_DECISIONS` and the functions that use it.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

EDITION = "2026d"
GENERATED = "2026-11-22"
OPTION_COLUMNS = (
    "retain_safe_private",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_long_full_dates",
    "retain_long_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
)
SR_COLUMNS = OPTION_COLUMNS[1:8]

# Written by device or planning software, or an internal key that other attributes of the instance refer to: kept
# (identifiers of the patient that stand in them are dropped by the lexicon like in every kept text).
TECHNICAL = frozenset(
    (
        "SequenceName",
        "PulseSequenceName",
        "ReceiveCoilName",
        "TransmitCoilName",
        "ReceiveCoilManufacturerName",
        "TransmitCoilManufacturerName",
        "MultiCoilElementName",
        "SecondaryCaptureDeviceManufacturerModelName",
        "HardcopyDeviceManufacturerModelName",
        "CollimatorGridName",
        "DetectorManufacturerName",
        "DetectorManufacturerModelName",
        "DoseModeName",
        "ApplicationName",
        "ASLTechniqueDescription",
        "ASLCrusherDescription",
        "StackID",
        "DimensionDescriptionLabel",
        "OphthalmicAxialLengthQualityMetricTypeDescription",
        "CompressionLabel",
        "TransformLabel",
        "DCTLabel",
        "LUTLabel",
        "OpticalPathIdentifier",
        "ReferencedOpticalPathIdentifier",
        "EnergyWindowName",
        "SegmentAlgorithmName",
        "AlgorithmName",
        "FontName",
        "CSSFontName",
        "TickLabel",
        "FiducialIdentifier",
        "SelectorAttributeName",
        "FluenceModeID",
        "SourceIsotopeName",
        "EffectiveDoseCalculationMethodDescription",
        "RespiratorySignalSourceID",
        "InterventionDrugName",
        "PatientSpeciesDescription",
        "OverlayCompressionLabel",
    )
)
# keyword -> (code without options, options): identifiers, addresses, URLs, keys and bulk bytes outside the table.
GAP_DECISIONS: dict[str, tuple[str, dict[str, str]]] = {
    "IssuerOfAccessionNumberSequence": ("X", {}),
    "IssuerOfPatientIDQualifiersSequence": ("X", {}),
    "SourcePatientGroupIdentificationSequence": ("X", {}),
    "GroupOfPatientsIdentificationSequence": ("X", {}),
    "ContributingEquipmentSequence": ("K", {}),  # its items are walked; lost provenance would help nobody
    "OrderPlacerIdentifierSequence": ("X", {}),
    "OrderFillerIdentifierSequence": ("X", {}),
    "AlternateContainerIdentifierSequence": ("X", {}),
    "ReferencedPatientSetupPhotoSequence": ("X", {}),
    "PatientBirthDateInAlternativeCalendar": ("X", {}),
    "PatientDeathDateInAlternativeCalendar": ("X", {}),
    "DeviceID": ("X", {"retain_device_identity": "K"}),
    "NTPSourceAddress": ("D", {}),  # Type 1C in the Synchronization Module
    "DocumentTitle": ("Z", {"clean_descriptors": "C"}),  # Type 2 in the Encapsulated Document Module
    "HL7InstanceIdentifier": ("D", {}),  # Type 1C
    "PlacerOrderNumberProcedure": ("X", {}),
    "FillerOrderNumberProcedure": ("X", {}),
    "ProductLotIdentifier": ("X", {}),
    "SubstanceAdministrationDeviceID": ("X", {"retain_device_identity": "K"}),
    "StorageMediaFileSetID": ("Z", {}),
    "AuthorizationEquipmentCertificationNumber": ("X", {}),
    "RadiationMachineName": ("Z", {"retain_device_identity": "K"}),  # Type 2 in the RT Image Module
    "BrachyAccessoryDeviceID": ("Z", {"retain_device_identity": "K"}),  # Type 2
    "LateralSpreadingDeviceID": ("D", {"retain_device_identity": "K"}),  # Type 1
    "LocalNamespaceEntityID": ("D", {}),  # Type 1C
    "UniversalEntityID": ("D", {}),  # Type 1C
    "OwnerID": ("X", {}),
    "PrintJobID": ("X", {}),
    "PrintQueueID": ("X", {}),
    "PrinterName": ("X", {}),
    "ContactDisplayName": ("X", {}),
    "HangingProtocolUserGroupName": ("X", {}),
    "TextValue": ("D", {"clean_descriptors": "C", "clean_structured_content": "C"}),  # SR text, Type 1C
    # Type 1 or 1C in the modules that define them; all other URLs are optional there.
    "URNCodeValue": ("D", {}),
    "StoredInstanceBaseURI": ("D", {}),
    "FileAccessURI": ("D", {}),
    "RetrieveURI": ("D", {}),
    "RelativeURIReferenceWithinEncapsulatedDocument": ("D", {}),
    "PixelDataProviderURL": ("D", {}),
    # bulk bytes
    "PixelData": ("K", {}),
    "WaveformData": ("K", {}),
    "WeightingLookupTableData": ("K", {}),
    "VariablePixelData": ("X", {}),
    "HPGLDocument": ("X", {}),
    "EncryptedContent": ("X", {}),
}
# Attributes that neither the table nor the screening names, judged for the same reasons.
OWN_ROWS = (
    ("(0008,041B)", "RecordKey", "OB", "X", {}, "local identifier"),
    ("(0008,041C)", "PriorRecordKey", "OB", "X", {}, "local identifier"),
    ("(0040,A074)", "ObjectBinaryIdentifierTrial", "OB", "X", {}, "local identifier"),
    ("(0040,A089)", "ObjectDirectoryBinaryIdentifierTrial", "OB", "X", {}, "local identifier"),
    ("(0400,0120)", "Signature", "OB", "X", {}, "a signature no longer fits the changed attributes"),
    ("(0400,0500)", "EncryptedAttributesSequence", "SQ", "X", {}, "encrypted originals may hold every identifier"),
)
DATE_OPTIONS = {"retain_long_full_dates": "K", "retain_long_modified_dates": "C"}
# Literal X would break these IODs: what is written instead of it at the top level, and in which IODs ("*" every one
# that may hold the attribute). Timezone is a mandatory module of one IOD only.
CONFLICT_ACTIONS = {
    "PresentationCreationDate": ("D", "*"),
    "PresentationCreationTime": ("D", "*"),
    "ResponsiblePerson": ("Z", "*"),
    "ResponsibleOrganization": ("Z", "*"),
    "TimezoneOffsetFromUTC": ("D", "simplified-adult-echo-sr"),
}


def read_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Read a tab-separated table whose first line names the columns."""
    with (folder / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def compact(row: dict[str, object]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(", ", ": "))


def document(header: dict[str, object], sections: dict[str, list[str]]) -> str:
    """Return JSON text with one row per line, so that a change of a row is a change of a line."""
    parts = [f"  {json.dumps(key)}: {compact(value)}" for key, value in header.items()]
    for key, rows in sections.items():
        body = ",\n".join(f"    {row}" for row in rows)
        parts.append(f"  {json.dumps(key)}: [\n{body}\n  ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def table_rows(folder: Path) -> list[str]:
    rows = []
    for r in read_table(folder, "ps3_15_e1_1.tsv"):
        options = {option: r[option] for option in OPTION_COLUMNS if r[option]}
        row = {"tag": r["tag"], "keyword": r["keyword"], "name": r["name"], "vr": r["vr"], "vm": r["vm"]}
        row |= {"retired": r["retired"], "in_standard_iod": r["in_std_comp_iod"]}
        rows.append(compact(row | {"basic": r["basic_profile"], "options": options}))
    return rows


def judge_gap(keyword: str, vr: str, why: str) -> tuple[str, dict[str, str]]:
    """Return code and options of an attribute outside the table that can carry identifiers."""
    if keyword in GAP_DECISIONS:
        return GAP_DECISIONS[keyword]
    if why == "date or time":
        return "D", DATE_OPTIONS
    if why == "instance UID":
        return "U", {"retain_uids": "K"}
    if why == "organization OID":
        return "X", {"retain_institution_identity": "K"}
    if why == "person name":
        return "Z", {}
    if why == "URL":
        return "X", {}
    if keyword in TECHNICAL:
        return "K", {}
    if keyword.startswith("Overlay"):
        return "X", {}
    if why == "text or local identifier" and vr in {"LO", "SH", "ST", "LT", "UT", "UC"}:
        return "D", {"clean_descriptors": "C"}  # often Type 1, so not deleted
    raise SystemExit(f"no decision for {keyword} ({vr}, {why})")


def gap_rows(folder: Path) -> list[str]:
    rows = []
    for r in read_table(folder, "gaps_outside_e1_1.tsv"):
        code, options = judge_gap(r["keyword"], r["vr"], r["why_it_matters_own_judgement"])
        row = {"tag": r["tag"], "keyword": r["keyword"], "vr": r["vr"], "basic": code, "options": options}
        rows.append(compact(row | {"why": r["why_it_matters_own_judgement"]}))
    return rows


def own_rows() -> list[str]:
    keys = ("tag", "keyword", "vr", "basic", "options", "why")
    return [compact(dict(zip(keys, row, strict=True))) for row in OWN_ROWS]


def conflict_rows(folder: Path) -> list[str]:
    """Return the rows whose literal code does not fit an IOD; a compound code follows the Type and needs no action."""
    rows = []
    for r in read_table(folder, "iod_action_conflicts.tsv"):
        action, iods = CONFLICT_ACTIONS.get(r["keyword"], ("", ""))
        row = {"tag": r["tag"], "keyword": r["keyword"], "basic": r["e1_1_basic"], "type": r["type_in_module"]}
        rows.append(compact(row | {"action": action, "iods": iods, "modules": r["modules(usage)"]}))
    return rows


def ui_action(advice: str) -> str:
    """Return U, K or X for the advice given on a UI attribute; file meta and group 0004 are handled as groups."""
    if advice.startswith("remap consistently") or advice.startswith("keep if well-known"):
        return "U"
    if "OID: identifies an organization" in advice or advice.startswith(("delete", "private", "group", "own impl")):
        return "X"
    if advice == "keep" or advice.startswith("context group creator"):
        return "K"
    raise SystemExit(f"no action for the advice {advice!r}")


def ui_rows(folder: Path) -> list[str]:
    rows = []
    for r in read_table(folder, "ui_attributes.tsv"):
        row = {"tag": r["tag"], "keyword": r["keyword"], "retired": r["retired"], "in_table": r["e1_1_basic"]}
        action = r["e1_1_basic"] if r["e1_1_basic"] == "D" else ui_action(r["advice_own_judgement"])
        rows.append(compact(row | {"action": action, "role": r["role_own_judgement"]}))
    return rows


def option_code_rows(folder: Path) -> list[str]:
    rows = []
    special = {"113100": "basic", "113101": "clean_pixel_data", "113102": "clean_recognizable_visual_features"}
    for r in read_table(folder, "options_codes.tsv"):
        column = r["table_column_and_side_effects"].split()[0].rstrip(";")
        row = {"option": special.get(r["code_value"], column), "value": r["code_value"]}
        row |= {"scheme": r["coding_scheme_designator"], "meaning": r["code_meaning"]}
        rows.append(compact(row | {"section": r["ps3_15_section"]}))
    return rows


def concept_rows(folder: Path) -> list[str]:
    rows = []
    for r in read_table(folder, "structured_content_e3_4_1.tsv"):
        row = {"code": r["code_value"], "scheme": r["coding_scheme_designator"], "value_type": r["value_type"]}
        row |= {"meaning": r["code_meaning"], "retired": r["retired"], "in_template": r["in_std_template"]}
        options = {option: r[option] for option in SR_COLUMNS if r[option]}
        rows.append(compact(row | {"basic": r["basic_profile"], "options": options}))
    return rows


def private_rows(folder: Path) -> list[str]:
    rows = []
    for r in read_table(folder, "safe_private.tsv"):
        row = {"tag": r["tag_published"], "private_creator": r["private_creator"], "vr": r["vr"], "vm": r["vm"]}
        rows.append(compact(row | {"meaning": r["meaning"], "handling": r["handling_advice"]}))
    return rows


def write_rules(folder: Path, target: Path) -> None:
    actions = read_table(folder, "action_codes_e1_1a.tsv")
    sections = {
        "option_codes": option_code_rows(folder),
        "action_codes": [compact({"code": r["code"], "meaning": r["meaning_own_words"]}) for r in actions],
        "table_e1_1": table_rows(folder),
        "option_conflicts": [compact(r) for r in read_table(folder, "option_conflicts.tsv")],
        "iod_action_conflicts": conflict_rows(folder),
        "gaps_outside_e1_1": gap_rows(folder),
        "own_rows": own_rows(),
        "ui_attributes": ui_rows(folder),
        "structured_content_e3_4_1": concept_rows(folder),
        "safe_private_e3_10_1": private_rows(folder),
    }
    header = {"standard": "DICOM PS3.15 Annex E", "edition": EDITION, "generated": GENERATED}
    (target / "ps3_15_rules.json").write_text(document(header, sections), encoding="utf-8")


def write_iod_types(folder: Path, target: Path) -> None:
    """Write SOP class -> IOD and, per IOD, Type -> tags of the attributes with a compound code."""
    types: dict[str, dict[str, list[str]]] = {}
    for r in read_table(folder, "iod_types_compound.tsv"):
        tag = r["tag"].strip("()").replace(",", "")
        types.setdefault(r["iod"], {}).setdefault(r["strictest_type_top_level"], []).append(tag)
    iods = [
        compact({"iod": iod, "types": {t: " ".join(sorted(tags)) for t, tags in sorted(by_type.items())}})
        for iod, by_type in sorted(types.items())
    ]
    classes = sorted((r["sop_class_uid"], r["iod"]) for r in read_table(folder, "iod_sop_classes.tsv"))
    sections = {"sop_classes": [compact({"uid": uid, "iod": iod}) for uid, iod in classes], "iods": iods}
    header = {"source": "highdicom 0.28.2 (MIT), top level of the data set, strictest Type of all modules"}
    (target / "iod_types.json").write_text(document(header, sections), encoding="utf-8")


def write_dictionary(folder: Path, target: Path) -> None:
    """Write tag, VR and keyword of every attribute that pydicom or the table names."""
    import pydicom
    from pydicom._dicom_dict import DicomDictionary

    known = {tag: (row[0], row[4]) for tag, row in DicomDictionary.items() if row[4] and tag >> 16 != 0xFFFE}
    for r in read_table(folder, "ps3_15_e1_1.tsv"):
        text = r["tag"].strip("()").replace(",", "")
        if len(text) == 8 and all(c in "0123456789ABCDEF" for c in text):
            known.setdefault(int(text, 16), (r["vr"], r["keyword"]))
    rows = [compact([f"{tag:08X}", vr.replace(" or ", "|"), keyword]) for tag, (vr, keyword) in sorted(known.items())]
    header = {"source": f"pydicom {pydicom.__version__} (MIT) and Table E.1-1 of PS3.15 {EDITION}"}
    (target / "dictionary.json").write_text(document(header, {"attributes": rows}), encoding="utf-8")


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0])
    target = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).parent
    write_rules(folder, target)
    write_iod_types(folder, target)
    write_dictionary(folder, target)


if __name__ == "__main__":
    main(sys.argv[1:])
