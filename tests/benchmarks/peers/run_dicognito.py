"""De-identify files with dicognito's defaults: run_dicognito.py PAIRS, a JSON list of [source, target]; its own environment runs this."""

import json
import sys
from pathlib import Path

import pydicom
from dicognito.anonymizer import Anonymizer


def main() -> None:
    """Anonymize every pair with one anonymizer, as its command does over a folder; print failures by number."""
    anonymizer = Anonymizer()
    for number, (source, target) in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        try:
            dataset = pydicom.dcmread(source)
            anonymizer.anonymize(dataset)
            dataset.save_as(target)
        except Exception as error:  # noqa: BLE001 - a peer may fail with anything; its failure is a result
            print(f"{number}\t{type(error).__name__}")


main()
