"""Benchmark of quality: plants identifiers into identifier-free DICOM and scores what tools leave of them and of the rest."""
