"""What the scan notes of an instance beside its identity: UIDs in private attributes, the head, slice distance."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from phi_deid_pipeline.input_files import FileFacts, read_file


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def instance(**more: object) -> Dataset:
    attributes = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": "1.2.3.1.1.1", "StudyInstanceUID": "1.2.3.1",
        "SeriesInstanceUID": "1.2.3.1.1", "Modality": "CT", "PatientID": "A", "Rows": 2, "Columns": 3,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 0, "PixelData": bytes(12), **more,
    }  # fmt: skip
    return item(**{keyword: value for keyword, value in attributes.items() if value is not None})


def facts_of(folder: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> FileFacts:
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    (folder / "x").write_bytes(buffer.getvalue())
    return read_file(folder, b"x", 32)


def test_uids_in_private_attributes_without_a_vr_are_listed_where_they_are_no_version_numbers(tmp_path):
    dataset = instance()
    block = dataset.private_block(0x0009, "ACME", create=True)
    block.add_new(1, "UI", "1.2.840.99999.5.7")
    block.add_new(2, "LO", "5.1.0.2")
    block.add_new(3, "LO", "not 1.2.840.99999.5.8")
    facts = facts_of(tmp_path, dataset, ImplicitVRLittleEndian)
    assert [use for use in json.loads(facts.uids) if use[1] == "OTHER"] == [
        ["1.2.840.99999.5.7", "OTHER", "00091001", False, ""]
    ]


def functional_groups(thickness: float, code: str) -> Sequence:
    region = item(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning="region")
    return Sequence(
        [
            item(
                PixelMeasuresSequence=Sequence([item(SliceThickness=thickness)]),
                FrameAnatomySequence=Sequence([item(AnatomicRegionSequence=Sequence([region]))]),
            )
        ]
    )


@pytest.mark.parametrize(
    ("more", "head", "slice_mm"),
    [
        ({"BodyPartExamined": "HEAD", "SliceThickness": "1.5"}, True, 1.5),
        ({"StudyDescription": "Schädel", "SpecificCharacterSet": "ISO_IR 100"}, True, 0.0),
        ({"SeriesDescription": "頭部", "SpecificCharacterSet": "ISO_IR 192", "SpacingBetweenSlices": "2"}, True, 2.0),
        ({"ProtocolName": "Neuro", "SliceThickness": "5", "SpacingBetweenSlices": "2", "Modality": "MR"}, True, 2.0),
        ({"RecognizableVisualFeatures": "YES"}, True, 0.0),
        ({"SharedFunctionalGroupsSequence": functional_groups(0.9, "69536005")}, True, 0.9),
        ({"PerFrameFunctionalGroupsSequence": functional_groups(0.9, "12738006")}, True, 0.9),
        ({"SharedFunctionalGroupsSequence": functional_groups(0.9, "51185008")}, False, 0.9),
        ({"BodyPartExamined": "CHEST", "SliceThickness": "1"}, False, 1.0),
        ({"BodyPartExamined": "HEAD", "Modality": "PT"}, False, 0.0),
        ({"BodyPartExamined": "HEAD", "PixelData": None}, False, 0.0),
        ({}, False, 0.0),
    ],
)
def test_head_and_slice_distance_that_the_header_tells(tmp_path, more, head, slice_mm):
    facts = facts_of(tmp_path, instance(**more))
    assert (facts.head, facts.slice_mm) == (head, slice_mm)
