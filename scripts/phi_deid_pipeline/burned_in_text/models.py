"""Find the detector and recogniser that ship inside the rapidocr wheel and run them with onnxruntime, offline, on one thread."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from functools import cache
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is first imported
os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # Tesseract: one thread a job

CARRIER = "rapidocr"
DETECTOR_FILE = "PP-OCRv6_det_small.onnx"
RECOGNISER_FILE = "PP-OCRv6_rec_small.onnx"


@cache
def model_path(name: str) -> Path | None:
    """Return where a model file lies, None where it or the runtime is missing. The carrier itself is never imported."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    spec = importlib.util.find_spec(CARRIER)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    return None


def have_models() -> bool:
    """Tell whether both models and their runtime are there."""
    return model_path(DETECTOR_FILE) is not None and model_path(RECOGNISER_FILE) is not None


@cache
def model_digest(name: str) -> str:
    """Return the SHA-256 of a model file, "" where it is missing."""
    path = model_path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


class Model:
    """One ONNX network with a single input and output."""

    def __init__(self, name: str) -> None:
        import onnxruntime

        path = model_path(name)
        if path is None:
            raise FileNotFoundError(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = True
        # The detector's weights make numbers so small that the processor leaves its fast path: three times the time.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: batch})[0]


@cache
def detector_model() -> Model:
    """Return the text detector, loaded once a process."""
    return Model(DETECTOR_FILE)


@cache
def recogniser_model() -> Model:
    """Return the text recogniser, loaded once a process."""
    return Model(RECOGNISER_FILE)


def network_input(image: np.ndarray) -> np.ndarray:
    """Return an 8-bit grey or RGB image as a batch of one in [-1, 1], channels first, blue first."""
    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., ::-1]
    return (np.ascontiguousarray(colour.transpose(2, 0, 1)).astype(np.float32) / 127.5 - 1.0)[None]
