"""Write safe_harbor.json from the table that maps the 18 identifiers of 45 CFR 164.514(b)(2)(i) to attributes.

Usage: python resources/hipaa/generate.py TABLES_FOLDER [OUTPUT_FOLDER]
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Write one row per identifier and one per attribute; the same table gives the same bytes."""
    target = Path(arguments[1]) if len(arguments) > 1 else Path(__file__).parent
    with (Path(arguments[0]) / "hipaa18.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    identifiers: dict[str, str] = {}
    attributes = []
    for row in rows:
        letter = row["cfr"][-2]
        what = {"letter": letter, "identifier": row["identifier"], "rule": row["safe_harbor_rule"]}
        identifiers[letter] = json.dumps(what, ensure_ascii=False)
        attribute = {"tag": row["tag"], "letter": letter, "keyword": row["keyword"], "note": row["note"]}
        attribute["of_the_individual"] = row["about_the_individual_directly"]
        attributes.append(json.dumps(attribute, ensure_ascii=False))
    text = '{\n  "regulation": "45 CFR 164.514(b)(2)(i)",\n  "identifiers": [\n    '
    text += ",\n    ".join(identifiers[letter] for letter in sorted(identifiers))
    text += '\n  ],\n  "attributes": [\n    ' + ",\n    ".join(attributes) + "\n  ]\n}\n"
    (target / "safe_harbor.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
