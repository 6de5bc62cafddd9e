"""De-identify files with Kitware dicom-anonymizer's defaults: run_kitware.py PAIRS, a JSON list of [source, target]."""

import json
import sys
from pathlib import Path

from dicomanonymizer import anonymize_dicom_file


def main() -> None:
    """Anonymize every pair; print failures by number."""
    for number, (source, target) in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        try:
            anonymize_dicom_file(source, target)
        except Exception as error:  # noqa: BLE001 - a peer may fail with anything; its failure is a result
            print(f"{number}\t{type(error).__name__}")


main()
