"""Words that a description loses for want of a vocabulary are counted by the engine, whatever it remembers."""

from __future__ import annotations

from pathlib import Path

import factories
from phi_deid_pipeline.instance_deid import InstanceDeidentifier, PatientContext
from phi_deid_pipeline.lexicon import Entry, Lexicon
from phi_deid_pipeline.policies import load_policy
from phi_deid_pipeline.raw_elements import read_instance
from phi_deid_pipeline.records import Category
from phi_deid_pipeline.uid_mapping import UidMapper


def test_words_that_the_vocabulary_lacks_are_counted_once_an_element(tmp_path: Path) -> None:
    engine = InstanceDeidentifier(load_policy("hipaa_safe_harbor"), UidMapper(b"s" * 32))
    text = "CT Glarfomir " + "thorax " * 200 + "Wibble"
    for number in (1, 2, 3):
        ds = factories.ct_instance(
            SOPInstanceUID=f"1.2.3.{number}", SeriesDescription="axial Glarfomir", StudyDescription="CT thorax",
            ImageComments=text, PatientName="Quux^Ann", ProtocolName="Quux Glarfomir",
        )  # fmt: skip
        source = tmp_path / f"{number}.dcm"
        factories.write(ds, source)
        patient = PatientContext("P1", Lexicon([Entry(Category.NAME, "Quux^Ann")]), offset_days=-700)
        with read_instance(source) as raw:
            engine.deidentify(
                raw, tmp_path / f"out{number}.dcm", patient, None, text_scan_found_nothing_left=True, redacted=False
            )
    counted = {key: count for key, count in engine.unknown_words.items() if key[0] in ("glarfomir", "wibble", "quux")}
    assert counted == {
        ("glarfomir", "SeriesDescription"): 3, ("glarfomir", "ProtocolName"): 3, ("glarfomir", "ImageComments"): 3,
        ("wibble", "ImageComments"): 3,
    }  # fmt: skip
