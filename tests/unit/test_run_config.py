"""A wrong key or value of the config is refused in one plain line: which key, what is allowed, what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from phi_deid_pipeline.errors import ConfigError
from run_config import ROOT, allowed, read_config


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("ocr.reders=1", "There is no config key ocr.reders; the nearest is ocr.readers."),
        ("max_rounds=2", "There is no config key max_rounds; the nearest is ocr.max_rounds."),
        ("geometry.max_rounds=2", "There is no config key geometry.max_rounds; the nearest is ocr.max_rounds."),
        ("qqqq=2", "There is no config key qqqq."),
        ("ocr.max_rounds=99", "Config key ocr.max_rounds takes a whole number from 1 to 5."),
        ("ocr.max_rounds=many", "Config key ocr.max_rounds takes a whole number from 1 to 5."),
        ("ocr.min_confidence=[1]", "Config key ocr.min_confidence takes a number from 0 to 1."),
        ("ocr.thoroughness=quick", "Config key ocr.thoroughness takes one of full, cascade."),
        (
            "ocr.readers=tesseract",
            "Config key ocr.readers takes a list, in [ ], of 1 or more different entries, each one of ppocr, tesseract.",
        ),
        (
            "ocr.readers=[easyocr]",
            "Config key ocr.readers takes a list, in [ ], of 1 or more different entries, each one of ppocr, tesseract.",
        ),
        (
            "geometry.target_spacing_mm=[1]",
            "Config key geometry.target_spacing_mm takes a list, in [ ], of none or 3 entries, each a number above 0 to 100.",
        ),
        ("geometry.hu_clip=[1]", "Config key geometry.hu_clip takes a list, in [ ], of 2 entries, each a number."),
        ("ocr.read_label_images=maybe", "Config key ocr.read_label_images takes true or false."),
        (
            "inventory=5",
            "Config key inventory takes keys of its own: duplicates, max_batches, max_depth, spread, target_work.",
        ),
        ("policy.name=x", "Config key policy takes a text."),
    ],
)
def test_wrong_setting_is_refused_in_one_plain_line(setting: str, told: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_config(None, (setting,), None)
    assert str(refusal.value) == f"{told} config/README.md has all keys."


def test_wrong_key_of_a_file_is_refused_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("ocr: {max_round: 2}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"no config key ocr\.max_round; the nearest is ocr\.max_rounds\."):
        read_config(tmp_path / "site.yaml", (), None)


def test_every_key_has_words_for_what_it_takes() -> None:
    def leaves(schema: dict) -> list[dict]:
        below = [leaves(entry) if "properties" in entry else [entry] for entry in schema["properties"].values()]
        return [entry for entries in below for entry in entries]

    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text(encoding="utf-8"))
    told = [allowed(entry) for entry in leaves(schema)]
    assert len(told) > 30
    assert all(told)
