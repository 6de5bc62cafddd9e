"""Searches the bytes of outputs for everything that was planted, in every encoding it was written in."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydicom.uid import DeflatedExplicitVRLittleEndian

from benchmarks.quality.corpus import Corpus, Instance
from benchmarks.quality.kinds_text import WORD_NAMES
from benchmarks.quality.paths import element_at, format_path, value_text, walk
from benchmarks.quality.plants import Plant
from benchmarks.quality.score import Outputs, ink_left
from benchmarks.quality.standard import POLICY_OPTIONS, table, wish

TAIL = 48  # bytes behind a data set
SHORTEST_TEXT, SHORTEST_NUMBER, SHORTEST_FOREIGN_BYTES = 4, 8, 6
_ESCAPES = (b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"\x1b$)A", b"\x1b(J")


@dataclass(frozen=True, slots=True)
class Leak:
    """An identifier found in an output: of which nature, at which element or place, planted there as which kind."""

    file: str
    text: str
    nature: str
    where: str
    kind: str
    known: bool


def needles(plants: list[Plant], options: frozenset[str]) -> dict[str, tuple[str, bool, frozenset[str]]]:
    """Return identifier -> (nature, known to a header, codecs) of one patient, under the options of a policy."""
    free = {text for plant in plants if set(plant.free) & options for text in plant.gone}
    found: dict[str, tuple[str, bool, frozenset[str]]] = {}
    for plant in plants:
        if plant.nature in ("age", "dummy") or set(plant.free) & options or _kept_uid(plant, options):
            continue
        for text in plant.gone:
            if text in free or text in WORD_NAMES or not _long_enough(text):
                continue
            nature, known, codecs = found.get(text, (plant.nature, False, frozenset()))
            found[text] = nature, known or plant.known, codecs | ({plant.codec} if plant.codec else set())
    return found


def _kept_uid(plant: Plant, options: frozenset[str]) -> bool:
    """Tell whether an option keeps a UID as it is: that of a device under Retain Device Identity."""
    last = plant.path[-1]
    return plant.nature == "uid" and isinstance(last, int) and last in table() and wish(last, options) == "keep"


def _long_enough(text: str) -> bool:
    if re.fullmatch(r"[\d\W_]+", text) and text.isascii():
        return len(text) >= SHORTEST_NUMBER
    return len(text) >= (SHORTEST_TEXT if text.isascii() else 3)


@lru_cache(maxsize=100_000)
def _encoded(text: str, codecs: frozenset[str]) -> tuple[bytes, ...]:
    found = set()
    for codec in ("utf-8", "latin-1", "utf-16-le", *codecs):
        try:
            data = text.encode(codec)
        except UnicodeEncodeError:
            continue
        for escape in _ESCAPES:
            data = data.replace(escape, b"")
        if text.isascii() or len(data) >= SHORTEST_FOREIGN_BYTES:
            found.add(data.lower())
    return tuple(sorted(found))


def _in_bytes(text: str, data: bytes, codecs: frozenset[str]) -> bool:
    number = text.isascii() and text.isdigit()
    for needle in _encoded(text, codecs):
        start = data.find(needle)
        while start >= 0:
            end = start + len(needle)
            if number:
                apart = not data[max(0, start - 1) : start].isdigit()
            else:  # a name of four or five letters may stand in a longer word by chance
                apart = len(needle) > 5 or not (
                    data[max(0, start - 1) : start].isalpha() or data[end : end + 1].isalpha()
                )
            if apart:
                return True
            start = data.find(needle, start + 1)
    return False


def find_leaks(corpus: Corpus, outputs: Outputs, policy: str) -> Iterator[Leak]:
    """Yield every identifier of a patient that an output of that patient still holds."""
    options = POLICY_OPTIONS[policy]
    by_patient: dict[str, list[Plant]] = {}
    for instance in corpus.instances:
        by_patient.setdefault(instance.who.patient_id, []).extend(instance.plants)
    wanted = {patient: needles(plants, options) for patient, plants in by_patient.items()}
    for instance in corpus.instances:
        if instance.path in outputs.written:
            yield from _of_instance(instance, outputs, wanted[instance.who.patient_id])


def _of_instance(instance: Instance, outputs: Outputs, wanted: dict) -> Iterator[Leak]:
    for number, box in enumerate(instance.boxes):
        if ink_left(instance, number, outputs):
            yield Leak(instance.path, box["label"], "pixels", f"box{number}", box["kind"], True)
    yield from _of_moved(instance, outputs)
    data = outputs.written[instance.path].read_bytes()
    ds = outputs.get(instance.path)
    if ds is not None and ds.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        data += _inflated(data, ds)
    lower = data.lower()
    hits = {text: told for text, told in wanted.items() if _in_bytes(text, lower, told[2])}
    decoded = []
    if ds is not None:
        decoded = [(path, element, value_text(element)) for home in (ds.file_meta, ds) for path, element in walk(home)]
    folded = "\n".join(text for _, _, text in decoded).casefold()
    for text, told in wanted.items():
        if text not in hits and not text.isascii() and text.casefold() in folded:
            hits[text] = told
    places = {_place(plant.path): plant.kind for plant in instance.plants}
    for text, (nature, known, codecs) in sorted(hits.items()):
        where = [format_path(path) for path, element, value in decoded if _holds(text, codecs, element, value)]
        where += ["<preamble>"] if _in_bytes(text, lower[:128], codecs) else []
        where += ["<end>"] if "<end>" in places and _in_bytes(text, lower[-TAIL:], codecs) else []
        for place in where or ["bytes"]:
            yield Leak(instance.path, text, nature, place, places.get(place, _bytes_kind(instance, text)), known)


def _of_moved(instance: Instance, outputs: Outputs) -> Iterator[Leak]:
    """Yield dates that must not be moved and were: who knows them, as of a birth or of a device, knows the offset."""
    ds = outputs.get(instance.path)
    for plant in instance.plants:
        if plant.nature != "unmoved" or ds is None:
            continue
        element = element_at(ds, plant.path)
        day = value_text(element)[:8] if element is not None else ""
        if day and day not in (*plant.gone, "19000101"):  # the date itself is found as any other text
            yield Leak(instance.path, day, "moved", _place(plant.path), plant.kind, plant.known)


def _place(path: tuple) -> str:
    if path == ("pixels",):
        return format_path((0x7FE00010,))
    return f"<{path[0]}>" if isinstance(path[0], str) else format_path(path)


def _holds(text: str, codecs: frozenset[str], element, value: str) -> bool:
    if text.casefold() in value.casefold():
        return True
    return isinstance(element.value, bytes) and _in_bytes(text, element.value.lower(), codecs)


def _bytes_kind(instance: Instance, text: str) -> str:
    for plant in instance.plants:
        if isinstance(plant.path[0], str) and text in plant.gone:
            return plant.kind
    for plant in instance.plants:  # in an encoding that the file does not declare
        if plant.kind.startswith("faulty/charset/") and not plant.kind.endswith("/header") and text in plant.gone:
            return plant.kind
    return "elsewhere"


def _inflated(data: bytes, ds) -> bytes:
    meta = ds.file_meta.FileMetaInformationGroupLength + 144
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[meta:])
    except zlib.error:
        return b""
