"""Write the rules files of this folder from the tables of a PS3.15 edition (see README.md).

Usage: python resources/ps3_15/generate.py TABLES_FOLDER [OUTPUT_FOLDER]
       python resources/ps3_15/generate.py --nested [OUTPUT_FOLDER]

The tables are tab-separated files made from NEMA's DocBook of PS3.15 and PS3.16. The same tables and the same pydicom
give the same bytes. Types of attributes inside sequences and functional groups come from highdicom, which is no part of
the environment: `--nested` writes them anew in an environment that has it, the first call carries them over. Rows that
the standard does not settle (attributes outside Table E.1-1) are judged here, and nowhere else: `GAP_DECISIONS` and the
functions that use it.
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
        "StackID",
        "DimensionDescriptionLabel",
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
        "FiducialIdentifier",
        "SelectorAttributeName",
        "FluenceModeID",
        "SourceIsotopeName",
        "RespiratorySignalSourceID",
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
    (
        *("(0040,0440)", "ProtocolContextSequence", "SQ", "X", {"clean_structured_content": "C"}),
        "content items about the patient, as in Acquisition Context Sequence",
    ),
    ("(0040,A074)", "ObjectBinaryIdentifierTrial", "OB", "X", {}, "local identifier"),
    ("(0040,A089)", "ObjectDirectoryBinaryIdentifierTrial", "OB", "X", {}, "local identifier"),
    ("(0400,0120)", "Signature", "OB", "X", {}, "a signature no longer fits the changed attributes"),
    ("(0400,0500)", "EncryptedAttributesSequence", "SQ", "X", {}, "encrypted originals may hold every identifier"),
)
# keyword -> the same, for text (LO, SH) that the screening passed over; tag and VR are those of the dictionary.
CLEANED = {"clean_descriptors": "C"}
DEVICE = {"retain_device_identity": "K"}
TEXT_ROWS: dict[str, tuple[str, dict[str, str], str]] = {
    # persons, orders, journeys, places; a dummy where an IOD may ask for the attribute
    "ComponentWelderIDs": ("X", {}, "names persons"),
    "CompressionOriginator": ("X", {}, "names persons"),
    "HangingProtocolCreator": ("D", {}, "names persons"),
    "ReferenceToRecordedSound": ("X", {}, "local identifier"),
    "PlacerOrderNumberImagingServiceRequestRetired": ("X", {}, "local identifier"),
    "FillerOrderNumberImagingServiceRequestRetired": ("X", {}, "local identifier"),
    "BreedRegistrationNumber": ("D", {}, "registration number of an animal, and so of its owner"),
    "StrainStockNumber": ("X", {}, "local identifier"),
    "StrainSource": ("X", {}, "names an organization"),
    "RouteOfAdmissions": ("X", CLEANED, "free text on a stay"),
    "RouteSegmentID": ("D", {}, "identifier of a journey"),
    "RouteSegmentStartLocationID": ("D", {}, "place"),
    "RouteSegmentEndLocationID": ("D", {}, "place"),
    "BoardingPassID": ("D", {}, "identifier of a ticket"),
    "AssignedLocation": ("D", {}, "place"),
    "ItineraryID": ("D", {}, "identifier of a journey"),
    "ItineraryIDType": ("D", CLEANED, "free label"),
    "ItineraryIDAssigningAuthority": ("D", {}, "names an organization"),
    "RouteID": ("D", {}, "identifier of a journey"),
    "RouteIDAssigningAuthority": ("D", {}, "names an organization"),
    "CarrierID": ("D", {}, "identifier of a journey"),
    # single devices, and what was made for one patient
    "TimeSource": ("X", DEVICE, "identifies a device of the site"),
    "AccessoryCode": ("X", DEVICE, "code of an accessory, which may be one patient's"),
    "PatientSupportAccessoryCode": ("X", DEVICE, "code of an accessory, which may be one patient's"),
    "TrayAccessoryCode": ("X", DEVICE, "code of an accessory, which may be one patient's"),
    # labels and explanations that a person can type
    **dict.fromkeys(
        (
            *("EventTimerNames", "DataElementName", "DataElementDescription", "IndicationLabel", "PropertyLabel"),
            *("WedgeName", "WedgeDescription", "Radiopharmaceutical", "ContrastBolusRoute", "RadiopharmaceuticalRoute"),
            *("Reference", "IOLFormulaDetail", "PixelValueMappingExplanation", "PatientReliabilityIndicator"),
            *("AlgorithmSource", "ManipulatedImage", "WindowCenterWidthExplanation", "RequestedProcedurePriority"),
            *("ConfidentialityCode", "ReportingPriority", "SequencingIndicatorTrial", "HistogramExplanation"),
            *("ProcedureStepRelationshipType", "DeletionLock", "SurgicalTechnique", "TreatmentProtocols"),
            *("FixationDevicePosition", "ShieldingDevicePosition", "TemplateName"),
        ),
        ("X", CLEANED, "free label"),
    ),
    **dict.fromkeys(
        (
            *("DataSetSource", "LUTExplanation", "OptotypeDetailedDefinition", "PatientAdditionalPosition"),
            *("ImplantAssemblyTemplateIssuer", "ImplantTemplateGroupIssuer"),
        ),
        ("D", CLEANED, "free label"),
    ),
    "PositionReferenceIndicator": ("Z", CLEANED, "free label"),  # Type 2 in the Frame of Reference Module
    "TargetPositionReferenceIndicator": ("Z", CLEANED, "free label"),
}
# Names and versions of products, codes and their schemes, names of what a device did, keys of the standard itself: no
# person types them, and analyses read them. They lose what the lexicon knows, like every kept text.
KEPT_TEXT = (
    *("RecognitionCode", "DataSetSubtype", "CodeValue", "ExtendedCodeValue", "CodingSchemeDesignator"),
    *("CodingSchemeVersion", "CodeMeaning", "CodingSchemeRegistry", "LongCodeValue", "MappingResourceName"),
    *("Manufacturer", "ManufacturerRelatedModelGroup", "ManufacturerModelName", "ManufacturerModelVersion"),
    *("PrivateCreatorReference", "DimensionIndexPrivateCreator", "FunctionalGroupPrivateCreator"),
    *("SelectorSequencePointerPrivateCreator", "SelectorAttributePrivateCreator", "AttributeOccurrencePrivateCreator"),
    *("SelectorAttributeKeyword", "StrainNomenclature", "GeneticModificationsNomenclature", "DeidentificationMethod"),
    *("FilterMaterialUsedInGainCalibration", "ProcedureVersion", "ImageQualityIndicatorType"),
    *("ImageQualityIndicatorMaterial", "ImageQualityIndicatorSize", "WedgeModelNumber", "WedgeMaterial"),
    *("WedgeManufacturerName", "Radionuclide", "ImagedNucleus", "SecondaryCaptureDeviceManufacturer"),
    *("HardcopyDeviceManufacturer", "SecondaryCaptureDeviceSoftwareVersions", "HardcopyDeviceSoftwareVersion"),
    *("SoftwareVersions", "VideoImageFormatAcquired", "DigitalImageFormatAcquired", "TriggerSourceOrType"),
    *("CardiacFramingType", "PVCRejection", "FilterType", "TypeOfFilters", "AcquisitionMode", "ConvolutionKernel"),
    *("PlateType", "PhosphorType", "AcquisitionDeviceProcessingCode", "OutputPower", "TransducerData"),
    *("ProcessingFunction", "PostprocessingFunction", "MultiCoilConfiguration", "ASLBolusCutoffTechnique"),
    *("ImageFilter", "ApplicationVersion", "ApplicationManufacturer", "ImageGeometryType"),
    *("ModifyingDeviceManufacturer", "OriginalImageIdentificationNomenclature", "IOLManufacturer"),
    *("ImplantPartNumber", "DataSetVersion", "CompressionRecognitionCode", "TransformVersionNumber"),
    *("SequenceOfCompressedData", "RescaleType", "ModalityLUTType", "MIMETypeOfEncapsulatedDocument"),
    *("ListOfMIMETypes", "AttenuationCorrectionMethod", "ReconstructionMethod", "DetectorLinesOfResponseUsed"),
    *("ScatterCorrectionMethod", "AlgorithmVersion", "ImplantSize", "ImplantTemplateVersion"),
    *("ImplantAssemblyTemplateVersion", "ImplantTemplateGroupVersion", "RequestedMediaApplicationProfile"),
    *("TreatmentTerminationCode", "ImagingDeviceSpecificAcquisitionParameters", "ApplicationSetupManufacturer"),
    *("TemplateType", "SourceApplicatorManufacturer", "RangeShifterSetting", "LateralSpreadingDeviceSetting"),
    "ThreatDetectionAlgorithmAndVersion",
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
# The same where another attribute breaks: the ethics committee (D, Type 1C) may stand only beside its approval number.
OWN_CONFLICTS = (
    (
        "(0012,0082)",
        "ClinicalTrialProtocolEthicsCommitteeApprovalNumber",
        "X",
        "3",
        "D",
        "*",
        "clinical-trial-subject(U)",
    ),
)


def read_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Read a tab-separated table whose first line names the columns."""
    with (folder / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def compact(row: dict[str, object] | list[object]) -> str:
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
    attributes = json.loads((Path(__file__).parent / "dictionary.json").read_text(encoding="utf-8"))["attributes"]
    known = {keyword: (tag, vr) for tag, vr, keyword in attributes}
    judged = TEXT_ROWS | {keyword: ("K", {}, "technical") for keyword in KEPT_TEXT}
    texts = [(f"({known[k][0][:4]},{known[k][0][4:]})", k, known[k][1], *judged[k]) for k in judged]
    return [compact(dict(zip(keys, row, strict=True))) for row in sorted((*OWN_ROWS, *texts), key=lambda row: row[0])]


def conflict_rows(folder: Path) -> list[str]:
    """Return the rows whose literal code does not fit an IOD; a compound code follows the Type and needs no action."""
    rows = []
    for r in read_table(folder, "iod_action_conflicts.tsv"):
        action, iods = CONFLICT_ACTIONS.get(r["keyword"], ("", ""))
        row = {"tag": r["tag"], "keyword": r["keyword"], "basic": r["e1_1_basic"], "type": r["type_in_module"]}
        rows.append(compact(row | {"action": action, "iods": iods, "modules": r["modules(usage)"]}))
    keys = ("tag", "keyword", "basic", "type", "action", "iods", "modules")
    return rows + [compact(dict(zip(keys, row, strict=True))) for row in OWN_CONFLICTS]


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
    required = {
        name: [compact(published(json.loads(row), keys, said)) for row in sections[name]]
        for name, (keys, said) in PUBLISHED.items()
    }
    text = document({"edition": EDITION, "generated": GENERATED}, required)
    (target / "required_rows.json").write_text(text, encoding="utf-8")


# Section -> what names a row, and what of it a site may not make less strict.
PUBLISHED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "option_codes": (("option",), ("value", "scheme", "meaning")),
    "table_e1_1": (("tag",), ("options",)),
    "iod_action_conflicts": (("tag",), ("action", "iods")),
    "gaps_outside_e1_1": (("tag",), ("basic", "options")),
    "own_rows": (("tag",), ("basic", "options")),
    "ui_attributes": (("tag",), ("action",)),
    "structured_content_e3_4_1": (("code", "scheme", "value_type"), ("options",)),
    "safe_private_e3_10_1": (("tag", "private_creator"), ("vr", "numeric")),
}


def published(row: dict[str, object], keys: tuple[str, ...], said: tuple[str, ...]) -> list[object]:
    """Return what names a row, then what it said."""
    row["numeric"] = str(row.get("handling", "")).startswith("numeric")
    return [" ".join(str(row[key]) for key in keys), *(row[key] for key in said)]


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
    known = json.loads((Path(__file__).parent / "iod_types.json").read_text(encoding="utf-8"))
    sections = {"sop_classes": [compact({"uid": uid, "iod": iod}) for uid, iod in classes], "iods": iods}
    sections |= {name: [compact(row) for row in known[name]] for name in NESTED_SECTIONS}
    write_types_document(target, sections)


def write_types_document(target: Path, sections: dict[str, list[str]]) -> None:
    header = {"source": "highdicom 0.28.2 (MIT); strictest Type of all modules, conditions count as fulfilled"}
    (target / "iod_types.json").write_text(document(header, sections), encoding="utf-8")


NESTED_SECTIONS = ("iod_modules", "nested_types")
STRICTEST = ("1", "1C", "2", "2C", "3")


def type_matters(code: str, kind: str, vr: str) -> bool:
    """Tell whether the Type of an attribute inside a sequence changes what becomes of a row with this code."""
    if code == "X":  # literal removal would break the IOD; no item can be made up for a sequence that needs one
        return kind[0] == "2" or (kind[0] == "1" and vr != "SQ")
    if code == "Z":
        return kind[0] == "1"
    return "/" in code and code != "X/Z/U*"


def nested_types(
    modules: dict[str, list[dict]], codes: dict[str, str], known: dict[str, tuple[str, str]], gone: set[str]
) -> dict:
    """Return module -> path of tags -> Type of every attribute in a sequence whose Type decides its action.

    `gone` are sequences that every policy removes with all that is in them.
    """
    found: dict[str, dict[str, str]] = {}
    for module, rows in modules.items():
        for row in rows:
            code, path = codes.get(row["keyword"], ""), [*row["path"], row["keyword"]]
            if len(path) == 1 or not code or row["type"] not in STRICTEST or not gone.isdisjoint(path[:-1]):
                continue
            if type_matters(code, row["type"], known[row["keyword"]][1]):
                text = "/".join(known[keyword][0] for keyword in path)
                types = found.setdefault(module, {})
                types[text] = min(types.get(text, "3"), row["type"], key=STRICTEST.index)
    return found


def write_nested_types(target: Path) -> None:
    """Write the Types inside sequences anew; highdicom expands the macros of functional groups."""
    from importlib.util import find_spec

    tables = Path(find_spec("highdicom").origin).parent / "_standard"
    names = ("iod_module_map.json", "module_attribute_map.json")
    iods, modules = (json.loads((tables / name).read_text(encoding="utf-8")) for name in names)
    here = Path(__file__).parent
    rules = json.loads((here / "ps3_15_rules.json").read_text(encoding="utf-8"))
    dictionary = json.loads((here / "dictionary.json").read_text(encoding="utf-8"))["attributes"]
    sections = ("table_e1_1", "gaps_outside_e1_1", "own_rows")
    codes = {row["keyword"]: row["basic"] for section in sections for row in rules[section]}
    gone = {row["keyword"] for name in sections for row in rules[name] if row["basic"] == "X" and not row["options"]}
    nested = nested_types(modules, codes, {keyword: (tag, vr) for tag, vr, keyword in dictionary}, gone)
    of_iod = {iod: sorted({row["key"] for row in rows} & nested.keys()) for iod, rows in iods.items()}
    used = {module for found in of_iod.values() for module in found}
    known = json.loads((here / "iod_types.json").read_text(encoding="utf-8"))
    lines = {name: [compact(row) for row in known[name]] for name in ("sop_classes", "iods")}
    lines["iod_modules"] = [compact({"iod": iod, "modules": " ".join(m)}) for iod, m in sorted(of_iod.items()) if m]
    lines["nested_types"] = [
        compact({"module": module, "types": by_type(types)})
        for module, types in sorted(nested.items())
        if module in used
    ]
    write_types_document(target, lines)


def by_type(types: dict[str, str]) -> dict[str, str]:
    return {
        kind: " ".join(sorted(path for path, own in types.items() if own == kind)) for kind in sorted({*types.values()})
    }


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
    target = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).parent
    if arguments[0] == "--nested":
        write_nested_types(target)
        return
    folder = Path(arguments[0])
    write_rules(folder, target)
    write_iod_types(folder, target)
    write_dictionary(folder, target)


if __name__ == "__main__":
    main(sys.argv[1:])
