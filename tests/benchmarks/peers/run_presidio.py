"""Redact instances with Presidio's DICOM image redactor, with a blank language model: run_presidio.py JOB.json [RESULT.json].

JOB.json holds paths. RESULT.json gets, for each, the boxes (x, y, width, height) that were filled, CPU seconds and, where it
failed, the kind of error. Patterns and the values of the header find the text; names that only a trained language model
knows are not among them.
"""

import json
import os
import sys
import tempfile
from pathlib import Path


def engine(folder):
    """Return the redactor, its language model an empty English one that it is not asked to fetch."""
    import spacy
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_image_redactor import DicomImageRedactorEngine, ImageAnalyzerEngine

    blank = str(Path(folder) / "blank")
    spacy.blank("en").to_disk(blank)
    settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": blank}]}
    analyzer = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine())
    return DicomImageRedactorEngine(image_analyzer_engine=ImageAnalyzerEngine(analyzer_engine=analyzer))


def spent():
    """Return the CPU seconds of this process and its children so far."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main():
    """Redact all instances of a job."""
    import pydicom

    paths = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        redactor = engine(folder)
        for path in paths:
            dataset, start, error, boxes = pydicom.dcmread(path), spent(), "", []
            try:
                _, found = redactor.redact_and_return_bbox(dataset)
                boxes = [[int(box[name]) for name in ("left", "top", "width", "height")] for box in found]
            except Exception as failure:  # noqa: BLE001  whatever it does not cope with counts as a picture it leaves as it is
                error = type(failure).__name__
            results.append({"boxes": boxes, "cpu": spent() - start, "error": error})
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
