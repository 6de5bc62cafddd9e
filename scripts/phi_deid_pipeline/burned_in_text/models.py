"""Find the text models and run them offline on one thread: with onnxruntime, or with OpenCV where that is missing."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is first imported
os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # Tesseract: one thread a job

RESOURCES = Path(__file__).resolve().parents[3] / "resources" / "burned_in_text"
CARRIER = "rapidocr"
DETECTOR_FILE = "PP-OCRv6_det_small.onnx"
RECOGNISER_FILE = "PP-OCRv6_rec_small.onnx"
GATE_FILE = "text_gate.onnx"
ONNXRUNTIME, OPENCV = "onnxruntime", "opencv"
_FOLDER = re.compile(r'List of available languages in "(.*)"')


@cache
def runtime() -> str:
    """Return what runs the models: onnxruntime, or OpenCV (the same boxes in twice the time) where it is missing."""
    return ONNXRUNTIME if importlib.util.find_spec("onnxruntime") is not None else OPENCV


@cache
def runtime_version() -> str:
    """Return name and version of what runs the models."""
    package = "onnxruntime" if runtime() == ONNXRUNTIME else "opencv-python-headless"
    return f"{runtime()}-{importlib.metadata.version(package)}"


@cache
def model_path(name: str) -> Path | None:
    """Return where a model file lies, None where it is missing. The carrier package itself is never imported."""
    if (RESOURCES / name).is_file():
        return RESOURCES / name
    spec = importlib.util.find_spec(CARRIER)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    return None


def have_models() -> bool:
    """Tell whether the models of detector and recogniser are there."""
    return model_path(DETECTOR_FILE) is not None and model_path(RECOGNISER_FILE) is not None


def have_gate() -> bool:
    """Tell whether the model of the gate is there."""
    return model_path(GATE_FILE) is not None


@cache
def model_digest(name: str) -> str:
    """Return the SHA-256 of a model file, "" where it is missing."""
    path = model_path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


@cache
def tesseract_data() -> Path | None:
    """Return the folder of Tesseract's language files, None where Tesseract does not tell it."""
    done = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=False)
    told = _FOLDER.search(done.stdout + done.stderr)
    return Path(told[1]) if told else None


@cache
def language_digests(languages: str) -> tuple[tuple[str, str], ...]:
    """Return name and SHA-256 of the files of Tesseract's languages (`eng+deu`) that are there."""
    folder = tesseract_data()
    files = [folder / f"{language}.traineddata" for language in languages.split("+")] if folder else []
    return tuple((file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files if file.is_file())


def missing_languages(languages: str) -> list[str]:
    """Return those of Tesseract's languages whose files are not there; none where their folder is not known."""
    told = {name.removesuffix(".traineddata") for name, _ in language_digests(languages)}
    return [one for one in languages.split("+") if tesseract_data() and one not in told]


class Model(Protocol):
    """One ONNX network with a single input and output."""

    metadata: dict[str, str]

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Return the output for a float32 batch of shape (n, channels, rows, columns)."""
        ...


class OnnxruntimeModel:
    """A network that onnxruntime runs."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = True
        # The detector's weights hold numbers so small that the processor leaves its fast path: three times the time.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: batch})[0]


class OpenCvModel:
    """A network that OpenCV runs; 4.12 loads the detector but not the recogniser, 5.0 loads both."""

    def __init__(self, path: Path) -> None:
        import cv2

        self._net = cv2.dnn.readNetFromONNX(str(path))
        self.metadata = onnx_metadata(path.read_bytes())

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self._net.setInput(batch)
        return np.array(self._net.forward())


@cache
def _model(name: str, by: str) -> Model:
    path = model_path(name)
    if path is None:
        raise FileNotFoundError(name)
    return OnnxruntimeModel(path) if by == ONNXRUNTIME else OpenCvModel(path)


def detector_model() -> Model:
    """Return the text detector, loaded once a process."""
    return _model(DETECTOR_FILE, runtime())


def recogniser_model() -> Model:
    """Return the text recogniser, loaded once a process."""
    return _model(RECOGNISER_FILE, runtime())


def gate_model() -> Model:
    """Return the gate, loaded once a process."""
    return _model(GATE_FILE, runtime())


def network_input(image: np.ndarray) -> np.ndarray:
    """Return an 8-bit grey or RGB image as a batch of one in [-1, 1], channels first, blue first."""
    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., ::-1]
    return (np.ascontiguousarray(colour.transpose(2, 0, 1)).astype(np.float32) / 127.5 - 1.0)[None]


# --- metadata of an ONNX file, for a runtime that does not hand it out ----------------------------------------------

METADATA_FIELD, KEY_FIELD, VALUE_FIELD = 14, 1, 2  # onnx.proto: ModelProto.metadata_props, StringStringEntryProto


def onnx_metadata(content: bytes) -> dict[str, str]:
    """Return the metadata entries of an ONNX model."""
    found = {}
    for number, entry in _fields(memoryview(content)):
        if number == METADATA_FIELD:
            pair = {inner: bytes(value).decode() for inner, value in _fields(entry)}
            found[pair[KEY_FIELD]] = pair.get(VALUE_FIELD, "")
    return found


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and bytes of the length-delimited fields of a protocol buffer message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = _varint(message, at)
            yield key >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError("no protocol buffer message")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
