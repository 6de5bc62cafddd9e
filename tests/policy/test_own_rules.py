"""What PS3.15 leaves open or says outside the table, rule by rule, under every shipped policy."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from pydicom.datadict import dictionary_has_tag

from deid_reference_options import is_published
from phi_deid_pipeline.policies import POLICIES_FOLDER, Policy, compile_policy, load_policy
from phi_deid_pipeline.policy_files import Override, PolicyFile
from phi_deid_pipeline.ps3_15_rules import load_dictionary, load_rules

TABLES = Path(__file__).resolve().parents[3] / "shared" / "dicom_ps3_15_2026d"
NAMES = sorted(path.stem for path in POLICIES_FOLDER.glob("*.yaml"))
CT, UNKNOWN = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
needs_tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the source tables of PS3.15 are not here")


@cache
def shipped(name: str) -> Policy:
    return load_policy(name)


@cache
def with_options(*options: str) -> Policy:
    return compile_policy(PolicyFile("trial", "", frozenset(options), "all_text", ()))


def table(name: str) -> list[dict[str, str]]:
    with (TABLES / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def tag_of(text: str) -> int:
    return int(text.strip("()").replace(",", ""), 16)


@needs_tables
def test_option_that_reveals_less_wins_in_all_eleven_conflicts():
    both = with_options("retain_device_identity", "retain_long_modified_dates")
    device, basic = with_options("retain_device_identity"), with_options()
    rows = table("option_conflicts.tsv")
    vrs = {tag: vr for tag, (vr, _) in load_dictionary().items()}
    for row in rows:
        tag = tag_of(row["tag"])
        assert device.resolve((tag,), vrs[tag], CT).action == "K", row["keyword"]
        found = both.resolve((tag,), vrs[tag], CT)
        published = vrs[tag] in ("DA", "DT") and is_published(tag)
        assert found.code == "C"
        assert found.action == (basic.resolve((tag,), vrs[tag], CT).action if published else "C"), row["keyword"]
    assert len(rows) == 11


@needs_tables
@pytest.mark.parametrize("name", NAMES)
def test_rows_whose_code_does_not_fit_an_iod_keep_it_valid(name):
    wanted = {
        "PresentationCreationDate": "D",
        "PresentationCreationTime": "D",
        "ResponsibleOrganization": "Z",
        "ResponsiblePerson": "Z",
        "TimezoneOffsetFromUTC": "D",
        "FirstTreatmentDate": "D",  # Type 2 in an IOD: a dummy is valid there too
        "MostRecentTreatmentDate": "D",
        "RTPlanDate": "D",
        "RTPlanTime": "D",
        "TreatmentDate": "D",
        "TreatmentTime": "D",
    }
    rows = table("iod_action_conflicts.tsv")
    assert {row["keyword"] for row in rows} == set(wanted)
    dates = shipped(name).dates
    for row in rows:
        tag = tag_of(row["tag"])
        vr = load_dictionary()[tag][0]
        kept = vr in {"DA", "TM"} and (dates == "shift" or (dates == "year" and vr == "DA"))
        want = "C" if kept else "K" if vr == "SH" and dates == "shift" else wanted[row["keyword"]]
        found = shipped(name).resolve((tag,), vr, UNKNOWN)
        assert found.action == want, row["keyword"]
        if want == "C":
            assert found.fallback == wanted[row["keyword"]], row["keyword"]


@pytest.mark.parametrize("name", NAMES)
def test_ethics_committee_and_its_approval_number_stay_together(name):
    """The name is allowed only beside a number (Type 1C), and has to stay as a dummy: so does the number."""
    actions = [str(shipped(name).resolve((tag,), "LO", UNKNOWN).action) for tag in (0x00120081, 0x00120082)]
    assert actions == ["D", "D"]


@needs_tables
@pytest.mark.parametrize("name", NAMES)
def test_every_uid_attribute_is_mapped_kept_or_removed_by_its_role(name):
    def want(row: dict[str, str]) -> str:
        advice, tag = row["advice_own_judgement"], row["tag"]
        if tag[1:5] in {"0000", "0002", "0004"}:
            return "X"
        if tag == "(006A,0003)" or advice.startswith(("remap", "keep if well-known")):
            return "U"
        return "K" if advice == "keep" or advice.startswith("context group creator") else "X"

    rows = table("ui_attributes.tsv")
    assert len(rows) == 106
    wrong = [r["keyword"] for r in rows if shipped(name).resolve((tag_of(r["tag"]),), "UI", CT).action != want(r)]
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_instance_uids_that_the_table_lacks_are_mapped_at_any_depth(name):
    tags = (0x00081167, 0x00200242, 0x0018991E, 0x00209312, 0x00209313, 0x0070031B, 0x00083012, 0x00440102, 0x00440108)
    for tag in (*tags, 0x00687004, 0x00701209, 0x0072007F, 0x300A0675):
        assert shipped(name).resolve((tag,), "UI", CT).action == "U", f"{tag:08X}"
        assert shipped(name).resolve((0x0040A730, tag), "UI", UNKNOWN).action == "U", f"{tag:08X}"


@pytest.mark.parametrize("name", NAMES)
def test_image_references_are_never_emptied(name):
    for path in ((0x00082112,), (0x00081140,), (0x52009230, 0x00089124, 0x00082112), (0x30060010, 0x00081140)):
        for sop_class in (CT, UNKNOWN, "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"):
            assert shipped(name).resolve(path, "SQ", sop_class).action == "U"


@pytest.mark.parametrize("name", NAMES)
def test_the_26_attributes_that_pydicom_lacks_follow_their_rows(name):
    lacking = [r for r in load_rules().table if r.tag is not None and not dictionary_has_tag(r.tag)]
    assert len(lacking) == 26
    for row in lacking:
        for vr in (row.vr, "UN", ""):
            assert shipped(name).resolve((row.tag,), vr, CT).rule.partition(":")[0] in {"E.1-1", "site"}, row.keyword
        assert row.basic in {"X", "D", "Z", "U"}
        if shipped(name).resolve((row.tag,), row.vr, CT).action not in {"C", "K"}:
            assert shipped(name).resolve((row.tag,), row.vr, CT).action == row.basic, row.keyword


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00100033, "LO"),  # birth date in another calendar
        (0x00100034, "LO"),  # death date in another calendar
        (0x00080051, "SQ"),  # issuer of the accession number
        (0x00100024, "SQ"),  # issuer of the patient ID
        (0x00401006, "SH"),  # order numbers
        (0x00401007, "SH"),
        (0x00081190, "UR"),  # URLs
        (0x04000500, "SQ"),  # encrypted originals
        (0x04000561, "SQ"),  # original attributes
        (0xFFFAFFFA, "SQ"),  # digital signatures
        (0x00100032, "TM"),  # birth time
        (0x00160077, "DT"),  # GPS time
        (0x00880200, "SQ"),  # icon
        (0x60003000, "OW"),  # overlays and curves, whole groups
        (0x601E1500, "LO"),
        (0x50043000, "OW"),
        (0x00091001, "UN"),  # private
        (0x00080000, "UL"),  # group length
        (0x00020013, "SH"),
        (0x00041220, "SQ"),
    ],
)
def test_carriers_of_identifiers_are_removed_under_every_policy(name, tag, vr):
    assert shipped(name).resolve((tag,), vr, CT).action == "X"
    assert shipped(name).resolve((0x0040A730, tag), vr, UNKNOWN).action == "X"


@pytest.mark.parametrize("name", NAMES)
def test_no_url_is_kept(name):
    urls = [tag for tag, (vr, _) in load_dictionary().items() if vr == "UR" and tag >> 16 & 1 == 0]
    assert len(urls) > 10
    assert {shipped(name).resolve((tag,), "UR", CT).action.value for tag in urls} <= {"X", "D", "Z"}


@pytest.mark.parametrize("name", NAMES)
def test_no_source_uid_is_kept_for_the_sake_of_a_device_or_an_institution(name):
    for tag in (0x00181002, 0x0018100B):  # Device UID, Manufacturer's Device Class UID
        assert shipped(name).resolve((tag,), "UI", CT).action in ("U", "X")
    policy = with_options("retain_device_identity", "retain_institution_identity")
    assert [policy.resolve((t,), "UI", CT).action.value for t in (0x00181002, 0x0018100B, 0x0040E030)] == [
        "U",
        "U",
        "U",
    ]
    kept = with_options("retain_device_identity", "retain_uids")
    assert kept.resolve((0x00181002,), "UI", CT).action == "K"


@pytest.mark.parametrize("name", NAMES)
def test_birth_date_is_never_kept_or_shifted(name):
    for path in ((0x00100030,), (0x04000550, 0x00100030), (0x0040A730, 0x00100030)):
        assert shipped(name).resolve(path, "DA", CT).action == "Z"
    assert load_policy("research_longitudinal").resolve((0x00100030,), "DA", UNKNOWN).code == "Z"


@pytest.mark.parametrize("name", NAMES)
def test_codes_and_defined_terms_that_no_row_names_are_kept(name):
    kept = (0x00082218, "SQ"), (0x00080060, "CS"), (0x00080008, "CS"), (0x00185100, "CS"), (0x00080100, "SH")
    for tag, vr in (*kept, (0x00080070, "LO"), (0x0018A001, "SQ")):
        assert shipped(name).resolve((tag,), vr, CT).action == "K"


TEXT_VRS = {"LO", "SH", "ST", "LT", "UT", "UC"}
WRITTEN_BY_DEVICES = re.compile(
    "Manufacturer|Model|Version|Scheme|Nomenclature|PrivateCreator|MIME|^(Code|LongCode|ExtendedCode)|CodeMeaning|Coil"
    "|Filter|Algorithm(Name|And)|Method$|Isotope|nuclide|nucleus|Nucleus|Label$|Type$|OpticalPath|Selector|Font|Setting"
    "|Compress|Processing|Postprocessing|Format|(Size|Material)$|Sequence(Name|OfC)|^(PVC|Convolution|Plate|Phosphor|Output|Transducer)"
    "|^(StackID|DoseMode|Application|Acquisition|EnergyWindow|Fiducial|Fluence|RespiratorySignal|ImplantPart|TypeOf)"
    "|^(DataSetSubtype|ImagingDevice|Mapping|TreatmentTermination|DetectorLines|CollimatorGrid|Recognition|ASLBolus)"
    "|^(Trigger|RequestedMedia|Deident)|(Grid|Imager|Profile)$"
)


@pytest.mark.parametrize("name", ["hipaa_safe_harbor", "gdpr"])
def test_text_stays_word_for_word_only_where_devices_and_software_write_it(name):
    kept = [
        (row, keyword)
        for row, (vr, keyword) in load_dictionary().items()
        if not row >> 16 & 1 and vr in TEXT_VRS and shipped(name).resolve((row,), vr, CT).action == "K"
    ]
    assert [keyword for _, keyword in kept if not WRITTEN_BY_DEVICES.search(keyword)] == []
    named = {rule.tag for rule in (*load_rules().table, *load_rules().gaps, *load_rules().own)}
    assert [keyword for tag, keyword in kept if tag not in named] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("tag", "vr", "want"),
    [
        (0x00140100, "LO", "X"),  # Component Welder IDs
        (0x00720008, "LO", "D"),  # Hanging Protocol Creator
        (0x00280061, "SH", "X"),  # Compression Originator
        (0x40080103, "LO", "X"),  # Reference to Recorded Sound
        (0x00402006, "SH", "X"),  # order numbers, retired
        (0x00402007, "SH", "X"),
        (0x00102295, "LO", "D"),  # Breed Registration Number
        (0x00100217, "LO", "X"),  # Strain Source
        (0x4010101A, "SH", "D"),  # Boarding Pass ID
        (0x40101051, "LO", "D"),  # Itinerary ID
        (0x40101058, "SH", "D"),  # Carrier ID
        (0x40101054, "SH", "D"),  # Route ID
        (0x4010102A, "SH", "D"),  # Assigned Location
    ],
)
def test_persons_tickets_and_places_outside_the_table_go_under_every_policy(name, tag, vr, want):
    assert shipped(name).resolve((tag,), vr, CT).action == want


LABELS = (0x00281055, 0x00283003, 0x00603010, 0x00221454, 0x00142016, 0x300A0244, 0x00201040, 0x00102201, 0x00180031)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tag", [*LABELS, 0x00180034, 0x00145111, 0x00189252, 0x00700289])
def test_labels_outside_the_table_are_cleaned_or_go(name, tag):
    cleaned = "clean_descriptors" in shipped(name).options
    found = shipped(name).resolve((tag,), load_dictionary()[tag][0], CT).action
    assert found == "C" if cleaned else found in ("X", "Z", "D")


def test_text_that_no_row_names_is_cleaned_too():
    policy = shipped("hipaa_safe_harbor")
    unnamed = replace(policy, entries={tag: e for tag, e in policy.entries.items() if tag != 0x00080070})
    assert (unnamed.resolve((0x00080070,), "LO", CT).action, unnamed.resolve((0x00080070,), "LO", CT).rule) == (
        "C",
        "default",
    )


def test_codes_of_accessories_stay_with_the_devices():
    for tag in (0x300A00F9, 0x300A0354, 0x300A0355, 0x00181801):
        assert with_options().resolve((tag,), "LO", CT).action == "X"
        assert with_options("retain_device_identity").resolve((tag,), "LO", CT).action == "K"


def test_sequences_without_words_or_keys_need_items_that_are_made_up():
    basic = shipped("ps3_15_basic")
    for tag in (0x0040A730, 0x00700001, 0x00401101, 0x0040A073):  # D: one valid item
        assert basic.resolve((tag,), "SQ", CT).action == "D"
    assert shipped("hipaa_safe_harbor").resolve((0x0040A730,), "SQ", CT).action == "C"


def test_retained_uids_do_not_reach_those_without_the_option():
    policy = with_options("retain_uids")
    assert policy.resolve((0x00080018,), "UI", CT).action == "K"
    assert policy.resolve((0x04000100,), "UI", CT).action == "U"  # Digital Signature UID goes with its sequence
    assert policy.resolve((0x0040A124,), "UI", CT).action == "U"


def test_part_of_a_zip_code_is_kept_only_where_a_row_asks_for_it():
    rows = (Override(0x00101040, "C", "ZIP-3"), Override(0x00102152, "C", "ZIP-3", modality="CT"))
    policy = compile_policy(PolicyFile("trial", "", frozenset(), "all_text", rows))
    found = policy.resolve((0x00101040,), "LO", CT)
    assert (found.action, found.rule, found.fallback) == ("C", "site", "X")  # without a ZIP code nothing stays
    assert policy.resolve((0x00102152,), "LO", CT).action == "X"
    assert policy.resolve((0x00102152,), "LO", CT, modality="CT").action == "C"
    assert [shipped(name).resolve((0x00101040,), "LO", CT).action.value for name in NAMES] == ["X"] * len(NAMES)
