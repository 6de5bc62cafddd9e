"""De-identify files with pydicom/deid's default recipe: run_deid.py PAIRS, a JSON list of [source, target]."""

import json
import sys
from pathlib import Path

from deid.config import DeidRecipe
from deid.dicom import replace_identifiers


def main() -> None:
    """Replace the identifiers of every pair; print failures by number."""
    recipe = DeidRecipe()
    for number, (source, target) in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        try:
            (dataset,) = replace_identifiers(dicom_files=[source], deid=recipe, save=False, force=True)
            dataset.save_as(target)
        except Exception as error:  # noqa: BLE001 - a peer may fail with anything; its failure is a result
            print(f"{number}\t{type(error).__name__}")


main()
