"""Write data_dictionary.tsv and transfer_syntaxes.txt from pydicom's tables (see README.md).

Usage: python resources/dictionary/generate.py [OUTPUT_FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
# Transfer syntaxes that do not hold a data set of PS3.5 7: MIME, XML, Papyrus 3, SMPTE ST 2110 streams.
OTHER_CONTENT = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.", "1.2.840.10008.1.20")
# Deflated Image Frame Compression, too new for pydicom 3.0.2.
NEW_SYNTAXES = frozenset({"1.2.840.10008.1.2.8.1"})


def dictionary_text() -> str:
    """Return the attributes, repeating groups last: tag (x: any hexadecimal digit), VR, VM, keyword."""
    from pydicom.datadict import DicomDictionary, RepeatersDictionary

    rows = [(f"{tag:08X}", entry) for tag, entry in sorted(DicomDictionary.items())]
    rows += sorted(RepeatersDictionary.items())
    return "".join(f"{tag}\t{entry[0]}\t{entry[1]}\t{entry[4]}\n" for tag, entry in rows)


def syntaxes_text() -> str:
    """Return the UIDs of the transfer syntaxes whose files hold a data set."""
    from pydicom.uid import UID_dictionary

    found = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"} | NEW_SYNTAXES
    return "".join(f"{uid}\n" for uid in sorted(found) if not uid.startswith(OTHER_CONTENT))


def main(folder: Path) -> None:
    (folder / "data_dictionary.tsv").write_text(dictionary_text(), encoding="ascii")
    (folder / "transfer_syntaxes.txt").write_text(syntaxes_text(), encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
