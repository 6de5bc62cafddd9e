"""What the engine does with dates, ages, addresses, private elements and trial attributes under real policies."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from phi_deid_pipeline.dates import offset_days
from phi_deid_pipeline.errors import DeidError
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, InstanceResult, PatientContext
from phi_deid_pipeline.lexicon import Entry, Lexicon, harvest
from phi_deid_pipeline.policies import Policy, load_policy
from phi_deid_pipeline.raw_elements import parse_instance
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.uid_mapping import UidMapper

UIDS = UidMapper(b"s" * 32)
CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.33"
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
ALL = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
WEEKS = -7 * 100  # 20240102 -> 20220201
SIEMENS, GE = "SIEMENS MR HEADER", "GEMS_PARM_01"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

OPTIONS = "clean_descriptors, clean_structured_content, clean_pixel_data, retain_patient_characteristics"
SHIFT = f"options: [{OPTIONS}, retain_long_modified_dates, retain_device_identity, retain_safe_private]"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Policy]:
    """Return a policy from the text of a policy file, without its name."""

    def make(text: str) -> Policy:
        path = tmp_path_factory.mktemp("policy") / "site.yaml"
        path.write_text(f"name: site\nextends: hipaa_safe_harbor\n{text}\n", encoding="utf-8")
        return load_policy(path)

    return cache(make)


def base(**attributes: Any) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CT, "1.2.3.4.5.6.7.8"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    ds.PatientName, ds.PatientID = "Quixotte^Marvin", "MRN777123"
    ds.Modality, ds.Manufacturer = "CT", "Phantom Works"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def raw(ds: Dataset, syntax: str) -> bytes:
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[Dataset, InstanceResult, bytes]]:
    """De-identify a Dataset with its own lexicon; return what pydicom reads, the result, the bytes."""

    def go(
        ds: Dataset, policy: Policy, syntax: str = EXPLICIT, offset: int = WEEKS, **context: Any
    ) -> tuple[Dataset, InstanceResult, bytes]:
        instance = parse_instance(raw(ds, syntax))
        lexicon = Lexicon(harvest(instance)) | context.pop("known", Lexicon())
        patient = PatientContext(context.pop("pseudonym", "PXYZ"), lexicon, offset_days=offset, **context)
        target = tmp_path / "x.dcm"
        result = InstanceDeidentifier(policy, UIDS).deidentify(
            instance, target, patient, None, text_scan_found_nothing_left=False, redacted=False
        )
        written = pydicom.dcmread(target)
        str(written)
        return written, result, target.read_bytes()

    return go


# --------------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    ("offset", "stays"),
    [
        *((text, True) for text in ("+0530", "-1200", "+1400", "+0000", "")),
        *((text, False) for text in ("Quill Han", "20180423", "+1500", "+0560", "0530", "+05:30", "+0530 Quill")),
    ],
)
@pytest.mark.parametrize(("sop_class", "instead"), [(CT, None), ("1.2.840.10008.5.1.4.1.1.88.72", "+0000")])
def test_only_an_offset_from_utc_is_kept_as_one(
    run, policy, sop_class: str, instead: str | None, offset: str, stays: bool
) -> None:
    item = Dataset()
    item.TimezoneOffsetFromUTC = offset
    ds = base(SOPClassUID=sop_class, TimezoneOffsetFromUTC=offset, ReferencedImageSequence=Sequence([item]))
    out, _, _ = run(ds, policy(SHIFT))
    assert out.get("TimezoneOffsetFromUTC") == (offset if stays else instead)
    assert out.ReferencedImageSequence[0].get("TimezoneOffsetFromUTC") == (offset if stays else None)


@ALL
def test_shift_moves_every_date_at_any_depth_and_keeps_times(run, policy, syntax: str) -> None:
    item = Dataset()
    item.RadiopharmaceuticalStartDateTime = "20240102081500.5+0100"
    item.RadiopharmaceuticalStartTime = "081500"
    ds = base(
        StudyDate="20240102", SeriesDate="20240103", ContentDate="2024.01.02", StudyTime="235959.5", ContentTime="0001",
        AcquisitionDateTime="20240102120000", TimezoneOffsetFromUTC="+0100", StudyReadDate=["20240102", "20231226"],
        DateOfLastCalibration="20231226",
        RadiopharmaceuticalInformationSequence=Sequence([item]),
    )  # fmt: skip
    out, result, data = run(ds, policy(SHIFT), syntax)
    assert (out.StudyDate, out.SeriesDate, out.ContentDate) == ("20220201", "20220202", "2022.02.01")
    assert (out.StudyTime, out.ContentTime, out.TimezoneOffsetFromUTC) == ("235959.5", "0001", "+0100")
    assert out.AcquisitionDateTime == "20220201120000"
    assert list(out.StudyReadDate) == ["20220201", "20220125"]
    assert "DateOfLastCalibration" not in out  # that of a device, and so of many patients
    inner = out.RadiopharmaceuticalInformationSequence[0]
    assert inner.RadiopharmaceuticalStartDateTime == "20220201081500.5+0100"
    assert inner.RadiopharmaceuticalStartTime == "081500"
    assert out.LongitudinalTemporalInformationModified == "MODIFIED"
    assert b"202401" not in data and b"2024.01" not in data
    assert {"00080020", "00080021"} <= {row.path for row in result.cleaned}


def test_birth_date_is_never_shifted(run, policy) -> None:
    other = Dataset()
    other.PatientBirthDate = "19510314"
    ds = base(PatientBirthDate="19510314", PatientBirthTime="0815", StudyDate="20240102", PatientAge="072Y")
    ds.ReferencedPatientSequence = Sequence([other])
    out, _, data = run(ds, policy(SHIFT))
    assert out.PatientBirthDate == "" and "PatientBirthTime" not in out
    assert out.PatientAge == "072Y"
    assert b"19510314" not in data and b"19490412" not in data, "neither as it was nor moved"


@pytest.mark.parametrize(
    ("dates", "other", "birth"), [("shift", "20220201", "19000101"), ("year", "20240101", "19000101")]
)
def test_birth_date_under_another_name_becomes_a_dummy(run, policy, dates: str, other: str, birth: str) -> None:
    item = Dataset()
    item.RadiopharmaceuticalStartDateTime = "19510314081500"
    ds = base(
        PatientBirthDate="19510314", StudyDate="20240102", ContentDate="19510314", SeriesDate="1951.03.14",
        AcquisitionDateTime="19510314101112", RadiopharmaceuticalInformationSequence=Sequence([item]),
    )  # fmt: skip
    out, _, data = run(ds, policy(f"{SHIFT}\ndates: {dates}"), offset=WEEKS)
    assert (out.StudyDate, out.ContentDate, out.SeriesDate) == (other, birth, birth)
    assert out.AcquisitionDateTime == f"{birth}000000"
    assert out.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime == f"{birth}000000"
    assert b"1951" not in data and b"1949" not in data


def test_birth_date_of_another_instance_of_the_patient_becomes_a_dummy(run, policy) -> None:
    known = Lexicon({Entry(Category.DATE, "19510314"), Entry(Category.BIRTH_DATE, "19510314")})
    out, _, _ = run(base(StudyDate="20240102", ContentDate="19510314"), policy(SHIFT), known=known)
    assert (out.StudyDate, out.ContentDate) == ("20220201", "19000101")


def test_study_of_a_newborn_on_the_day_of_birth_is_shifted(run, policy) -> None:
    ds = base(PatientBirthDate="20240102", StudyDate="20240102", ContentDate="20240102")
    out, _, _ = run(ds, policy(SHIFT))
    assert (out.PatientBirthDate, out.StudyDate, out.ContentDate) == ("", "20220201", "20220201")


def test_a_policy_that_shifts_needs_an_offset(run, policy) -> None:
    with pytest.raises(DeidError, match="no offset"):
        run(base(StudyDate="20240102"), policy(SHIFT), offset=0)


def test_what_is_no_date_becomes_the_dummy_and_is_never_kept(run, policy) -> None:
    out, _, data = run(base(StudyDate="QUIX2024", ContentDate="00010101", SeriesDate="202401"), policy(SHIFT))
    assert (out.StudyDate, out.ContentDate, out.SeriesDate) == ("19000101", "19000101", "19000101")
    assert b"QUIX" not in data


def test_published_dates_get_the_basic_action(run, policy) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-D1100", "SRT", "Head"
    code.ContextGroupVersion, code.ContextGroupLocalVersion = "20020904", "20020904"
    ds = base(AnatomicRegionSequence=Sequence([code]), DateOfManufacture="20190704", DateOfInstallation="20190801")
    out, _, _ = run(ds, policy(SHIFT))
    kept = out.AnatomicRegionSequence[0]
    assert kept.ContextGroupVersion == kept.ContextGroupLocalVersion == "19000101000000"
    assert "DateOfManufacture" not in out and "DateOfInstallation" not in out


def test_dates_that_patients_share_are_not_moved(run, policy) -> None:
    shared = {
        "DateOfLastCalibration": "20230601", "DateTimeOfLastCalibration": "20230601", "CalibrationDateTime": "20230601",
        "DateOfLastDetectorCalibration": "20230601", "SourceStrengthReferenceDate": "20230601",
        "EthicsCommitteeApprovalEffectivenessStartDate": "20230601",
        "EthicsCommitteeApprovalEffectivenessEndDate": "20230601",
    }  # fmt: skip
    first, second = (run(base(StudyDate="20240102", **shared), policy(SHIFT), offset=-7 * n)[0] for n in (100, 101))
    for keyword in shared:
        assert first.get(keyword) == second.get(keyword), keyword
    assert first.StudyDate != second.StudyDate


def _content(value_type: str, code: str, **value: Any) -> Dataset:
    item, name = Dataset(), Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = code, "DCM", "Some concept"
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", value_type, Sequence([name])
    for keyword, content in value.items():
        setattr(item, keyword, content)
    return item


def test_dates_of_content_items_are_shifted_by_rule_and_by_default(run, policy) -> None:
    items = [
        _content("DATE", "111018", Date="20240102"),
        _content("TIME", "111019", Time="1200"),
        _content("DATETIME", "111526", DateTime="20240102120000"),
        _content("DATE", "126201", Date="20240103"),
        _content("DATETIME", "999999", DateTime="20240109"),
        _content("DATE", "999999", Date="19510314"),
    ]
    ds = base(SOPClassUID=SR, Modality="SR", PatientBirthDate="19510314", ContentSequence=Sequence(items))
    out, _, data = run(ds, policy(SHIFT))
    values = [
        next(item[tag].value for tag in (0x0040A121, 0x0040A122, 0x0040A120) if tag in item)
        for item in out.ContentSequence
    ]
    assert values == ["20220201", "1200", "20220201120000", "20220202", "20220208", "19000101"], (
        "a birth date under any name is no date"
    )
    assert b"2024" not in data


def test_year_keeps_the_year_alone(run, policy) -> None:
    ds = base(StudyDate="20240102", AcquisitionDateTime="20240102120000", StudyTime="120000", SeriesDate="18500101")
    out, _, data = run(ds, policy(f"{SHIFT}\ndates: year"), offset=0)
    assert (out.StudyDate, out.AcquisitionDateTime, out.SeriesDate) == ("20240101", "2024", "19000101")
    assert out.StudyTime == "" and b"20240102" not in data and b"1200" not in data


def test_full_dates_stay_and_the_birth_date_goes(run, policy) -> None:
    ds = base(PatientBirthDate="19510314", StudyDate="20240102", StudyTime="120000", ContentDate="19510314")
    out, _, data = run(ds, policy("options: [clean_pixel_data, retain_long_full_dates]"), offset=0)
    assert (out.StudyDate, out.StudyTime) == ("20240102", "120000")
    assert b"19510314" not in data


def test_known_dates_in_kept_text_are_dropped_and_not_shifted(run, policy) -> None:
    ds = base(StudyDate="20240102", SeriesDescription="Thorax 02.01.2024 axial", PatientComments="seen 20240102")
    out, _, data = run(ds, policy(SHIFT))
    assert out.SeriesDescription == "Thorax axial"
    for written in (b"20240102", b"02.01.2024", b"01.02.2022"):
        assert written not in data


def test_the_offset_cannot_be_recovered_from_an_output(run, policy) -> None:
    """Whoever knows what stood in a header, but for the dates of the visit, learns no offset from what was written."""
    known = {
        "PatientBirthDate": "19510314", "DateOfManufacture": "20190704", "DateOfInstallation": "20190801",
        "PerformedProcedureStepStartDate": "19000101", "PerformedProcedureStepEndDate": "99991231",
        "ScheduledProcedureStepStartDate": "19700101", "ContentDate": "20000101", "AcquisitionDateTime": "19800101000000",
        "InstanceCreationDate": "00010101",
    }  # fmt: skip
    for key in ("id:1", "id:2", "id:3"):
        offset = offset_days(b"a" * 32, key)
        _, _, data = run(base(StudyDate="20240102", StudyID="20240102", **known), policy(SHIFT), offset=offset)
        written = set(re.findall(rb"(?<!\d)(?:1[89]|2[01])\d{6}(?!\d)", data)) | set(
            re.findall(rb"(\d{8})000000", data)
        )
        assert len(written - {b"19000101"}) == 1, "the date of the visit alone"


# --------------------------------------------------------------------------- codes and numbers


@ALL
def test_codes_and_numbers_that_are_identifiers_become_dummies(run, policy, syntax: str) -> None:
    ds = base(
        BodyPartExamined="QUIXOTTE", ImageType=["ORIGINAL", "PRIMARY", "MARVIN", "MRN777123"], StudyDate="20240102",
        ScanOptions=["MRN_777123", "SCAN QUIXOTTE", "FS"], PatientBirthDate="19510314", AccessionNumber="4711223",
        InstanceNumber="19510314", SliceThickness="4711223", PixelSpacing=["0.5", "4711223"], SeriesNumber="471122",
    )  # fmt: skip
    out, result, data = run(ds, policy(SHIFT), syntax)
    assert out.BodyPartExamined == "DEIDENTIFIED"
    assert list(out.ImageType) == ["ORIGINAL", "PRIMARY", "DEIDENTIFIED", "DEIDENTIFIED"]
    assert list(out.ScanOptions) == ["DEIDENTIFIED", "DEIDENTIFIED", "FS"]
    assert (out.InstanceNumber, out.SliceThickness, list(out.PixelSpacing)) == (0, 0, [0.5, 0])
    assert out.SeriesNumber == 471122, "a part of a number is no identifier"
    assert not re.search(rb"QUIXOTTE|MARVIN|777123|19510314|4711223", data)
    assert "00180015" in {row.path for row in result.cleaned}


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("SMITHSON", "DEIDENTIFIED"),
        ("CHEST SMITHSON", "CHEST"),
        ("KNEE_OCONNOR", "KNEE"),
        ("MULNER J HEAD", "HEAD"),
        ("NECKCHESTABDPELV", "NECKCHESTABDPELV"),
        ("CIRCLE_OF_WILLIS", "CIRCLE_OF_WILLIS"),
        ("L_SPINE", "L_SPINE"),
        ("CTSPINE", "CTSPINE"),
        ("", ""),
    ],
)
def test_a_body_part_is_cleaned_like_a_description(run, policy, value: str, left: str) -> None:
    out, _, _ = run(base(BodyPartExamined=value), policy(SHIFT))
    assert out.BodyPartExamined == left


def test_codes_that_are_words_of_imaging_stay_whoever_is_called_so(run, policy) -> None:
    ds = base(PatientName="Primary^Axial", PatientID="12345", ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], KVP="12345")
    ds.OperatorsName = "Head^First"
    out, _, _ = run(ds, policy(SHIFT))
    assert list(out.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert out.KVP == 12345, "a number of few digits"


# --------------------------------------------------------------------------- ages and addresses


@ALL
def test_ages_above_89_become_90(run, policy, syntax: str) -> None:
    item = Dataset()
    item.PatientAge = "101Y"
    ds = base(PatientAge="095Y", ReferencedPatientSequence=Sequence([item]))
    out, result, _ = run(ds, policy(SHIFT), syntax)
    assert out.PatientAge == "090Y"
    assert "00101010" in {row.path for row in result.cleaned}
    assert run(base(PatientAge="089Y"), policy(SHIFT), syntax)[0].PatientAge == "089Y"
    assert run(base(PatientAge="095Y"), policy(f"{SHIFT}\nmax_age: 0"), syntax)[0].PatientAge == "095Y"


@ALL
def test_an_age_that_is_not_well_formed_is_read_or_goes(run, policy, syntax: str) -> None:
    item = Dataset()
    item.PatientAge = "over 89"
    ds = base(PatientAge="95y", RadiopharmaceuticalInformationSequence=Sequence([item]))
    out, _, data = run(ds, policy(SHIFT), syntax)
    assert (out.PatientAge, out.RadiopharmaceuticalInformationSequence[0].PatientAge) == ("090Y", "")
    assert b"over" not in data
    assert run(base(PatientAge="45"), policy(SHIFT), syntax)[0].PatientAge == "045Y"
    assert b"Quixotte" not in run(base(PatientAge="Quixotte 95"), policy(SHIFT), syntax)[2]


@pytest.mark.parametrize(("vr", "value", "after"), [("LO", "095 years", ""), ("SH", "95Y", "090Y"), ("US", 95, "")])
def test_an_age_under_another_vr_is_one(run, policy, vr: str, value: object, after: object) -> None:
    ds = base()
    ds.add_new(0x00101010, vr, value)
    assert run(ds, policy(SHIFT))[0][0x00101010].value == after


def test_a_private_age_that_cannot_be_read_goes(run, policy) -> None:
    def private(age: str) -> Dataset:
        ds = base()
        ds.private_block(0x0019, "SITE PRIVATE", create=True).add_new(0x92, "AS", age)
        return ds

    row = '{tag: "(0019,xx92)", private_creator: SITE PRIVATE, action: K, reason: An age.}'
    site = policy(f"{SHIFT}\noverrides: [{row}]")
    assert run(private("95Y"), site)[0][0x00191092].value == "090Y"
    assert 0x00191092 not in run(private("old"), site)[0]


@pytest.mark.parametrize(
    ("meaning", "value", "unit", "after"),
    [
        ("Current age", "93", "a", "90"),
        ("Patient age", "1093", "mo", "1080"),
        ("Alter des Patienten", "34000", "d", "32850"),
        ("Âge", "93", "a", "90"),
        ("Average", "93", "a", "93"),
        ("Age score", "93", "{score}", "93"),
    ],
)
def test_number_whose_concept_is_called_an_age_is_capped(
    run, policy, meaning: str, value: str, unit: str, after: str
) -> None:
    units, measured = Dataset(), Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", "unit"
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, Sequence([units])
    item = _content("NUM", "63900-5", MeasuredValueSequence=Sequence([measured]))
    item.ConceptNameCodeSequence[0].CodeMeaning = meaning
    ds = base(SOPClassUID=SR, Modality="SR", ContentSequence=Sequence([item]), SpecificCharacterSet="ISO_IR 100")
    out, _, _ = run(ds, policy(SHIFT))
    assert str(out.ContentSequence[0].MeasuredValueSequence[0].NumericValue) == after


@pytest.mark.parametrize(
    ("value", "unit", "after"),
    [
        ("95", "a", "90"),
        ("89", "a", "89"),
        ("89.5", "a", "90"),
        ("90", "a", "90"),
        ("1200", "mo", "1080"),
        ("120", "mo", "120"),
    ],
)
def test_ages_in_measurements_are_capped_in_their_unit(run, policy, value: str, unit: str, after: str) -> None:
    units, measured = Dataset(), Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", "unit"
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, Sequence([units])
    item = _content("NUM", "121033", MeasuredValueSequence=Sequence([measured]))
    other = _content("NUM", "999999", MeasuredValueSequence=Sequence([measured]))
    ds = base(SOPClassUID=SR, Modality="SR", ContentSequence=Sequence([item, other]))
    out, _, _ = run(ds, policy(SHIFT))
    numbers = [str(i.MeasuredValueSequence[0].NumericValue) for i in out.ContentSequence]
    assert numbers == [after, value]


@pytest.mark.parametrize(
    ("meaning", "value", "unit", "after"),
    [
        ("Current age", "93", "a", "90"),
        ("Patient Age", "1093", "mo", "1080"),
        ("AGE AT SCAN", "34000", "d", "32850"),
        ("Age", "93", "year", "90"),
        ("Alter", "93", "Jahre", "90"),
        ("Patientenalter", "93", "a_j", "90"),
        ("Âge du patient", "93", "a", "90"),
        ("Edad", "93", "a", "90"),
        ("Età", "93", "a", "90"),
        ("Leeftijd", "93", "a", "90"),
        ("Gestational age", "38", "wk", "38"),
        ("Half-life", "432", "a", "432"),
        ("Average", "93", "a", "93"),
        ("Age matched percentile", "95", "%", "95"),
    ],
)
def test_ages_in_measurements_are_found_by_unit_and_meaning(
    run, policy, meaning: str, value: str, unit: str, after: str
) -> None:
    units, measured, concept = Dataset(), Dataset(), Dataset()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = unit, "UCUM", "unit"
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, Sequence([units])
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = "A1", "99LOCAL", meaning
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence, item.MeasuredValueSequence = "NUM", Sequence([concept]), [measured]
    ds = base(SOPClassUID=SR, Modality="SR", ContentSequence=Sequence([item]))
    ds.SpecificCharacterSet = "ISO_IR 192"
    out, _, _ = run(ds, policy(SHIFT))
    assert str(out.ContentSequence[0].MeasuredValueSequence[0].NumericValue) == after


ZIP = """overrides:
  - {tag: PatientAddress, action: C, reason: first digits of the ZIP code are wanted}
  - {tag: RegionOfResidence, action: C, reason: first digits of the ZIP code are wanted}"""


@pytest.mark.parametrize(
    ("address", "after"),
    [("742 Quixotte Road, Springfield, IL 62704-1234", "627"), ("Nowhere, NH 03602", "000"), ("742 Quixotte Road", "")],
)
def test_an_address_keeps_three_digits_of_its_zip_code(run, policy, address: str, after: str) -> None:
    ds = base(PatientAddress=address, RegionOfResidence=address)
    out, _, data = run(ds, policy(f"{SHIFT}\n{ZIP}"))
    assert out.get("PatientAddress", "") == after == out.get("RegionOfResidence", "")
    assert b"742" not in data and b"Quixotte" not in data and b"62704" not in data


# --------------------------------------------------------------------------- private elements


def private(ds: Dataset, group: int, creator: str, block: int, elements: dict[int, tuple[str, Any]]) -> Dataset:
    ds.add(DataElement(group << 16 | block, "LO", creator))
    for offset, (vr, value) in elements.items():
        ds.add(DataElement(group << 16 | block << 8 | offset, vr, value))
    return ds


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
def test_safe_private_elements_stay_with_their_creator_wherever_the_block_lies(run, policy, syntax: str) -> None:
    ds = base()
    private(ds, 0x0019, "UNKNOWN MAKER", 0x10, {0x0C: ("IS", "5"), 0x0D: ("CS", "SECRET")})
    private(ds, 0x0019, SIEMENS, 0x37, {0x0C: ("IS", "1000"), 0x0D: ("CS", "DIRECTIONAL"), 0x99: ("LO", "Quixotte")})
    private(ds, 0x0043, "EMPTY BLOCK", 0x10, {})
    out, result, data = run(ds, policy(SHIFT), syntax)
    assert out[0x0019, 0x0037].value == SIEMENS
    assert (out[0x0019, 0x370C].value, out[0x0019, 0x370D].value) == (1000, "DIRECTIONAL")
    assert {e.tag for e in out if e.tag.is_private} == {0x00190037, 0x0019370C, 0x0019370D}
    assert result.private_tags_stripped == 5
    assert b"UNKNOWN MAKER" not in data and b"EMPTY BLOCK" not in data and b"Quixotte" not in data


@ALL
def test_private_elements_in_items_are_matched_by_the_creator_of_their_item(run, policy, syntax: str) -> None:
    item, other = Dataset(), Dataset()
    private(item, 0x0019, SIEMENS, 0x10, {0x0C: ("IS", "1000")})
    private(other, 0x0019, "OTHER", 0x10, {0x0C: ("IS", "1000")})
    bare = Dataset()
    bare.add(DataElement(0x0019100C, "IS", "1000"))  # no creator in its own item
    ds = base(SourceImageSequence=Sequence([item, other, bare]))
    for number, one in enumerate((item, other, bare)):
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = CT, f"1.2.3.4.5.{number}"
    private(ds, 0x0019, SIEMENS, 0x10, {})
    out, _, _ = run(ds, policy(SHIFT), syntax)
    kept = [[e.tag for e in one if e.tag.is_private] for one in out.SourceImageSequence]
    assert kept == [[0x00190010, 0x0019100C], [], []]
    assert 0x00190010 not in out, "a creator of which nothing is kept goes"


def test_implicit_vr_takes_the_vr_of_the_table_where_the_bytes_fit(run, policy) -> None:
    ds = base()
    private(ds, 0x0019, SIEMENS, 0x10, {0x0C: ("IS", "1000"), 0x0E: ("FD", [0.1, 0.2, 0.3]), 0x0D: ("CS", "NONE")})
    out, _, _ = run(ds, policy(SHIFT), IMPLICIT)
    assert {e.tag for e in out if e.tag.is_private} == {0x00190010, 0x0019100C, 0x0019100D, 0x0019100E}
    bad = base()
    private(bad, 0x0019, SIEMENS, 0x10, {0x0C: ("LO", "Quixotte"), 0x0E: ("LO", "7 bytes"), 0x0D: ("LO", "lower case")})
    out, _, _data = run(bad, policy(SHIFT), IMPLICIT)
    assert not [e for e in out if e.tag.is_private]


def test_private_sequences_are_recursed_into_and_standard_attributes_in_them_follow_the_table(run, policy) -> None:
    inner = Dataset()
    inner.PatientName, inner.StudyDate, inner.SeriesDescription = "Quixotte^Marvin", "20240102", "Thorax Quixotte"
    inner.ReferencedSOPInstanceUID = "1.2.3.4.5.6.9"
    private(
        inner,
        0x2001,
        "Philips Imaging DD 001",
        0x10,
        {0x6E: ("SH", "Thorax Quixotte"), 0x01: ("FL", 1.5), 0xFF: ("LO", "Quixotte")},
    )
    ds = base(StudyDate="20240102")
    private(ds, 0x2001, "Philips Imaging DD 001", 0x10, {0x5F: ("SQ", Sequence([inner]))})
    out, _, data = run(ds, policy(SHIFT))
    item = out[0x2001105F].value[0]
    assert (item.PatientName, item.StudyDate, item.SeriesDescription) == ("PXYZ", "20220201", "Thorax")
    assert item.ReferencedSOPInstanceUID == UIDS.new_uid("1.2.3.4.5.6.9")
    assert item[0x2001106E].value == "Thorax"
    assert 0x200110FF not in item
    assert b"Quixotte" not in data and b"1.2.3.4.5.6.9" not in data


def test_private_values_are_handled_by_their_vr(run, policy) -> None:
    rows = """overrides:
  - {tag: "(0099,xx01)", private_creator: ACME, action: K, reason: documented}
  - {tag: "(0099,xx02)", private_creator: ACME, action: C, reason: documented}
  - {tag: "(0099,xx03)", private_creator: ACME, action: U, reason: documented}
  - {tag: "(0099,xx04)", private_creator: ACME, action: C, reason: documented}
  - {tag: "(0099,xx05)", private_creator: ACME, action: K, reason: documented}
  - {tag: "(0099,xx06)", private_creator: ACME, action: K, reason: documented}
  - {tag: "(0099,xx07)", private_creator: ACME, action: C, reason: documented}
  - {tag: "(0099,xx08)", private_creator: ACME, action: K, reason: documented}
  - {tag: "(0099,xx09)", private_creator: ACME, action: U, reason: documented}
  - {tag: "(0099,xx0B)", private_creator: ACME, action: K, reason: documented}"""
    ds = base(StudyDate="20240102")
    values = {
        0x01: ("LO", "kernel Quixotte"), 0x02: ("LO", "Thorax Zimmerman"), 0x03: ("UI", "1.2.3.4.5.6.7.8"),
        0x04: ("DA", "20240102"), 0x05: ("IS", "777124"), 0x06: ("AS", "095Y"), 0x07: ("LO", "Zimmerman"),
        0x08: ("CS", "MRN777123"), 0x09: ("UI", "5.1.0"), 0x0A: ("LO", "not named"),
        0x0B: ("IS", "777123"),
    }  # fmt: skip
    private(ds, 0x0099, "ACME", 0x10, values)
    out, result, data = run(ds, policy(f"{SHIFT}\n{rows}"))
    kept = {e.tag & 0xFF: str(e.value) for e in out if e.tag.is_private and e.tag != 0x00990010}
    assert kept == {
        0x01: "kernel", 0x02: "Thorax", 0x03: UIDS.new_uid("1.2.3.4.5.6.7.8"), 0x04: "20220201", 0x05: "777124", 0x06: "090Y",
    }  # fmt: skip
    assert result.private_tags_stripped == 5
    assert not [known for known in (b"Quixotte", b"Zimmerman", b"777123") if known in data]


def test_without_the_option_every_private_element_goes(run, policy) -> None:
    ds = private(base(), 0x0019, SIEMENS, 0x10, {0x0C: ("IS", "1000")})
    out, result, _ = run(ds, policy("options: [clean_pixel_data]"))
    assert not [e for e in out if e.tag.is_private]
    assert result.private_tags_stripped == 2


# --------------------------------------------------------------------------- conditions, names, trial


def test_overrides_hold_under_their_conditions_alone(run, policy) -> None:
    rows = """overrides:
  - {tag: SoftwareVersions, action: X, reason: names the site, modality: MR}
  - {tag: StationName, action: K, reason: model name, manufacturer: phantom}
  - {tag: "(0099,xx01)", private_creator: ACME, action: K, reason: documented, manufacturer: phantom}"""
    site = policy(f"options: [clean_pixel_data]\n{rows}")

    def attributes(**more: Any) -> set[str]:
        ds = base(SoftwareVersions="1", StationName="WORKHORSE", **more)
        private(ds, 0x0099, "ACME", 0x10, {0x01: ("US", 7)})
        out = run(ds, site)[0]
        return {k for k in ("SoftwareVersions", "StationName") if k in out} | (
            {"private"} if 0x00991001 in out else set()
        )

    assert attributes(Modality="CT") == {"SoftwareVersions", "StationName", "private"}
    assert attributes(Modality="MR") == {"StationName", "private"}
    assert attributes(Modality="MR", Manufacturer="Other") == set()


@ALL
def test_name_and_trial_attributes_come_from_the_table_of_subjects(run, policy, syntax: str) -> None:
    trial = {
        0x00120010: ("LO", "Sponsor"), 0x00120020: ("LO", "P-1"), 0x00120021: ("LO", ""), 0x00120040: ("LO", "S-0001"),
        0x00120051: ("ST", "baseline"),
    }  # fmt: skip
    item = Dataset()
    item.PatientID = "MRN777123"
    ds = base(
        ClinicalTrialSponsorName="Old Sponsor",
        ClinicalTrialSubjectID="MRN777123",
        ReferencedPatientSequence=Sequence([item]),
    )
    out, result, data = run(
        ds, policy("options: [clean_pixel_data]"), syntax, pseudonym="S-0001", name="Trial^S-0001", trial=trial
    )
    assert (out.PatientID, out.PatientName) == ("S-0001", "Trial^S-0001")
    assert (out.ClinicalTrialSponsorName, out.ClinicalTrialProtocolID, out.ClinicalTrialProtocolName) == (
        "Sponsor",
        "P-1",
        "",
    )
    assert (out.ClinicalTrialSubjectID, out.ClinicalTrialTimePointDescription) == ("S-0001", "baseline")
    assert "00120010" in {row.path for row in result.replaced}
    assert b"Old Sponsor" not in data and b"777123" not in data


@pytest.mark.parametrize(
    "keyword",
    [
        *("ComponentWelderIDs", "HangingProtocolCreator", "BoardingPassID", "ItineraryID", "AssignedLocation"),
        *("WindowCenterWidthExplanation", "LUTExplanation", "HistogramExplanation", "WedgeDescription", "TemplateName"),
        *("PositionReferenceIndicator", "Radiopharmaceutical", "ReferenceToRecordedSound", "PatientSpeciesDescription"),
    ],
)
def test_a_stranger_in_text_outside_the_table_goes(run, policy, keyword: str) -> None:
    _, _, data = run(base(**{keyword: "Thorax of Quill"}), policy("options: [clean_descriptors]"))
    assert b"Quill" not in data


# --------------------------------------------------------------------------- values that are not of their VR


def written_as(keyword: str, vr: str, value: bytes) -> Dataset:
    """Return an instance with bytes under an attribute, whatever its VR allows."""
    ds, tag = base(), Tag(keyword)
    ds[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return ds


KEEPING = f"options: [{OPTIONS}, retain_device_identity, retain_long_full_dates]"


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "left"),
    [
        ("KVP", "DS", b"Quill MD", b"0"),
        ("KVP", "DS", b"120 kV", b"120 kV"),
        ("PixelSpacing", "DS", b"0.5\\Quill ", b"0.5\\0"),
        ("SeriesNumber", "IS", b"Quill 82", b"0"),
        ("PatientSex", "CS", b"Quill MD", b"O"),
        ("BodyPartExamined", "CS", b"Abdomen ", b"Abdomen"),
        ("ImageType", "CS", b"ORIGINAL\\PRIMARY\\Quill ", b"ORIGINAL\\PRIMARY\\DEIDENTIFIED"),
        ("ScanOptions", "CS", b"Quixotte\\Marvin ", b"DEIDENTIFIED\\DEIDENTIFIED"),
        ("StudyTime", "TM", b"Quill MD 20210315", b"000000"),
        ("StudyTime", "TM", b"20210315101112", b"000000"),
        ("StudyTime", "TM", b"20210315", b"000000"),
        ("StudyTime", "TM", b"101112.123456 ", b"101112.123456"),
        ("StudyDate", "DA", b"Quill MD", b"19000101"),
        ("PatientWeight", "LO", b"Quill 82", b"0"),
        ("PatientWeight", "LO", b"82", b"82"),
        ("PatientWeight", "CS", b"QUILL MD", b"0"),
        ("PatientWeight", "UI", b"Quill MD", b"0"),
        ("Rows", "SH", b"Quill ", b"\0\0"),
        ("StudyTime", "LO", b"", b""),
        ("SpecificCharacterSet", "CS", b"ISO-IR 100", b"ISO-IR 100"),
        ("StudyTime", "LO", b"20210315", b"000000"),
        ("StudyDate", "LO", b"Quill MD", b"19000101"),
        ("PatientSize", "OB", b"Zzyzx Anne Quill", b"0"),
        ("PatientSize", "FD", b"Quill MD", b"0"),
        ("PatientName", "OB", b"Quill MD", b"PXYZ"),
        ("PatientID", "UT", b"MRN777123", b"PXYZ"),
        ("AccessionNumber", "OB", b"Quill MD", b""),
        ("Rows", "OB", b"Quill ", b"\0\0"),
        ("SliceThickness", "LO", b"MRN777123", b"0"),
        ("AnatomicRegionSequence", "LO", b"Quill MD", b""),
        ("Rows", "SS", b"\x00\x02", b"\x00\x02"),
        ("RedPaletteColorLookupTableData", "OB", b"\x00\x02", b"\x00\x02"),
    ],
)
def test_a_kept_value_that_is_not_of_its_vr_holds_no_words_of_strangers(
    run, policy, keyword: str, vr: str, value: bytes, left: bytes | None
) -> None:
    _, _, data = run(written_as(keyword, vr, value), policy(KEEPING))
    with parse_instance(data) as out:
        elements = [e for e in out.elements if e.tag == Tag(keyword)]
        found = [bytes(out.value(e)).rstrip(b" ") for e in elements]
    assert found == ([] if left is None else [left])
    if left != value.rstrip(b" ") and vr not in dictionary_VR(Tag(keyword)):
        assert [e.written_vr for e in elements] == [dictionary_VR(Tag(keyword)).split(" or ")[0]]


@pytest.mark.parametrize("vr", ["SH", "UT"])
def test_the_meaning_of_a_local_code_is_cleaned_whatever_vr_was_written(run, policy, vr: str) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "T-1", "99LOCAL"
    code[0x00080104] = DataElement(0x00080104, vr, "Thorax Quill")
    _, _, data = run(base(AnatomicRegionSequence=Sequence([code])), policy(SHIFT))
    assert b"Thorax" in data and b"Quill" not in data


def test_a_time_that_holds_a_date_goes_where_dates_are_shifted(run, policy) -> None:
    _, _, data = run(written_as("StudyTime", "TM", b"20210315101112"), policy(SHIFT))
    assert b"20210315" not in data and b"TM\x06\x00000000" in data
