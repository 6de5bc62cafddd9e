"""De-identification and audit of DICOM instances: policy, UID graph, pixels, verification, geometry."""

__version__ = "0.1.0"
