"""Walk an input folder and say of each file what it is: a usable instance with its identity, or why not."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pydicom

from phi_deid_pipeline.dicom_utils import file_checksum, format_path, looks_like_uid, vr_of
from phi_deid_pipeline.errors import UnreadableInstance
from phi_deid_pipeline.lexicon_harvest import harvest
from phi_deid_pipeline.raw_elements import Element, RawInstance, buffer_checksum, read_instance
from phi_deid_pipeline.recognizable import MODALITIES, WORDS_FILE, names_head, slice_distance
from phi_deid_pipeline.records import HoldReason, RejectReason, UidType
from phi_deid_pipeline.uid_mapping import is_standard_uid

_FILES_WORTH_A_POOL = 64

STUDY, SERIES, SOP, SOP_CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
FRAME_OF_REFERENCE = 0x00200052
_PIXELS, _FLOAT_PIXELS, _DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009
# What names the body part, and what tells the slice distance; enhanced objects keep some of it in functional groups.
_BODY_PART, _REGIONS, _VISUAL_FEATURES = 0x00180015, 0x00082218, 0x00280302
_DESCRIPTIONS = (0x00081030, 0x0008103E, 0x00181030, 0x00321060, 0x00400254, 0x00400007)
_THICKNESS, _SPACING = 0x00180050, 0x00180088
_FUNCTIONAL_GROUPS = frozenset({0x52009229, 0x52009230, 0x00289110, 0x00209071})
_DICOMDIR = "1.2.840.10008.1.3.10"
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_VISIBLE_LIGHT = "1.2.840.10008.5.1.4.1.1.77.1."
# Objects of patients outside the storage root: RT Beams and RT Brachy Application Setup Delivery Instruction.
_OTHER_STORAGE = frozenset({f"1.2.840.10008.5.1.4.34.{number}" for number in (1, 7, 10)})
# Raw data, voice and audio waveforms, inventories, defined procedure protocols and their approval.
_UNSUPPORTED = frozenset({_STORAGE + tail for tail in ("66", "9.4.1", "9.4.2", "201.1", "200.1", "200.3", "200.7")})
_NO_VIEWABLE_PIXELS = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(10[0-8](\.1)?|94|95|204|205)")  # video; JPIP: a URL
_MAX_UID_BYTES = 4096  # of a private value that is looked at for UIDs
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")

_MAGIC = (
    (0, b"PK\x03\x04"),
    (0, b"PK\x05\x06"),
    (0, b"PK\x07\x08"),
    (0, b"\x1f\x8b"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ\x00"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"\x28\xb5\x2f\xfd"),
    (257, b"ustar"),
    (0x8001, b"CD001"),
)
_NOT_DICOM = frozenset({RejectReason.EMPTY, RejectReason.NOT_DICOM, RejectReason.ARCHIVE, RejectReason.UNREADABLE_FILE})

# Roles of UIDs by attribute; what is not named here is OTHER.
_ROLES = {
    STUDY: UidType.STUDY,
    SERIES: UidType.SERIES,
    **dict.fromkeys((SOP, 0x00080058, 0x00081155, 0x00081167, 0x00200242, 0x00280304), UidType.SOP),
    **dict.fromkeys(
        (
            FRAME_OF_REFERENCE,
            0x00200200,
            0x00209312,
            0x00209313,
            0x0018991E,
            0x300600C2,
            0x30060024,
            0x300A0675,
            0x00640003,
        ),
        UidType.FRAME_OF_REFERENCE,
    ),
    0x00209164: UidType.DIMENSION_ORGANIZATION,
    0x00083010: UidType.IRRADIATION_EVENT,
    **dict.fromkeys((0x00181002, 0x0018100B), UidType.DEVICE),
}
# In these sequences Referenced SOP Instance UID holds a Study Instance UID (detached study management, retired).
_STUDY_SEQUENCES = frozenset({0x00081110, 0x30060012})
_STUDY_CLASSES = frozenset({"1.2.840.10008.3.1.2.3.1", "1.2.840.10008.3.1.2.3.2"})
_REFERENCED_CLASS, _REFERENCED_INSTANCE = 0x00081150, 0x00081155
# UI attributes that name a definition or an organization, not an instance or entity (PS3.15 E.3.9).
_STRUCTURAL = frozenset(
    {
        *(SOP_CLASS, 0x0008001A, 0x0008001B, 0x00080062, 0x00081150, 0x0008115A, 0x00041510, 0x0004151A),  # SOP classes
        *(0x30100052, 0x30100053),
        *(0x00020010, 0x00041512, 0x0008040E, 0x00083002, 0x00340003, 0x04000010, 0x04000510),  # transfer syntaxes
        *(
            0x0008010C,
            0x0008010D,
            0x00080117,
            0x00080118,
            0x00089123,
            0x3010001F,
        ),  # coding, context, software, template
        *(0x0040E011, 0x0040E030, 0x0040E031),  # location, repository and community: removed, never mapped
    }
)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as the walk found it; `reason` is set where it must not be read. `path` is relative, in bytes."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file holds, as far as the file alone can tell. `uids` and `entries` are JSON, ready to be kept."""

    path: bytes
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str = ""
    reason: str = ""
    detail: str = ""
    is_dicom: bool = False
    patient_id: str = ""
    issuer: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    modality: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 0
    has_pixels: bool = False
    hold: str = ""
    head: bool = False  # a CT or MR slice whose header names the head
    slice_mm: float = 0.0  # distance or thickness of its slices, 0: unknown
    created: str = ""  # Instance Creation Date and Time
    uids: str = "[]"  # rows of UidUse
    entries: str = "[]"  # rows of lexicon entries


def source_digest(*names: str) -> str:
    """Return a digest of modules of this package as they are written: what they gave before is then made anew."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()[:16]


# What a file's facts depend on beside its bytes: another reader reads all files again.
_READING = (
    "dicom_utils",
    "input_files",
    "lexicon_harvest",
    "lexicon_words",
    "raw_elements",
    "recognizable",
    "uid_mapping",
    "written_dates",
)
READER = source_digest(*_READING) + f"/{hashlib.sha256(WORDS_FILE.read_bytes()).hexdigest()[:8]}/{pydicom.__version__}"

# --------------------------------------------------------------------------- walk


def walk(root: Path) -> Iterator[FoundFile]:
    """Yield every file below the root, folders in sorted order.

    Links to files inside the root count as files, links to folders inside are not entered (their content is met at its
    own place, so there are no loops); whatever leads outside is reported as OUTSIDE_INPUT.
    """
    top = os.fsencode(os.path.realpath(root))
    pending = [b""]
    while pending:
        folder = pending.pop()
        folders: list[bytes] = []
        try:
            with os.scandir(top + b"/" + folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield _problem(folder or b".", RejectReason.UNREADABLE_FILE, f"folder, errno {error.errno}")
            continue
        for entry in found:
            path = folder + b"/" + entry.name if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif (file := _look_at(entry, path, top)) is not None:
                yield file
        pending.extend(reversed(folders))


def _look_at(entry: os.DirEntry[bytes], path: bytes, top: bytes) -> FoundFile | None:
    try:
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if not (target + b"/").startswith(top.rstrip(b"/") + b"/"):
                return _problem(path, RejectReason.OUTSIDE_INPUT)
        status = entry.stat()
    except OSError as error:
        return _problem(path, RejectReason.UNREADABLE_FILE, f"errno {error.errno}")
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return _problem(path, RejectReason.UNREADABLE_FILE, "no regular file")
    return FoundFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _problem(path: bytes, reason: RejectReason, detail: str = "") -> FoundFile:
    return FoundFile(path, 0, 0, 0, reason.value, detail)


# --------------------------------------------------------------------------- read


def read_file(root: Path, path: bytes, max_depth: int) -> FileFacts:
    """Read one file: SHA-256 and header together, pixel data only hashed. Never raises for what the file holds."""
    full = root / os.fsdecode(path)
    facts: dict[str, object] = {}
    before = (0, 0, 0)
    try:
        before = _identity(full)
        facts = _facts(full, max_depth)
        if _identity(full) != before:
            facts = {"reason": RejectReason.CHANGED_WHILE_READ.value, "is_dicom": facts.get("is_dicom", False)}
    except OSError as error:
        facts = {"reason": RejectReason.UNREADABLE_FILE.value, "detail": f"errno {error.errno}"}
    size, mtime_ns, ctime_ns = before
    return FileFacts(path, size, mtime_ns, ctime_ns, **facts)  # type: ignore[arg-type]


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _facts(path: Path, max_depth: int) -> dict[str, object]:
    if _is_archive(path):
        return {"reason": RejectReason.ARCHIVE.value, "sha256": file_checksum(path)}
    try:
        with read_instance(path, max_depth=max_depth) as instance:
            checksum = file_checksum(path) if instance.deflated else buffer_checksum(instance.buffer)
            return {"sha256": checksum, **_header(instance)}
    except UnreadableInstance as error:
        readable = error.reason not in (RejectReason.EMPTY, RejectReason.UNREADABLE_FILE)
        return {
            "reason": error.reason.value,
            "detail": error.detail,
            "is_dicom": error.reason not in _NOT_DICOM,
            "sha256": file_checksum(path) if readable else "",
        }


def _is_archive(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(264)
        if head[128:132] == b"DICM":
            return False
        stream.seek(0x8001)
        volume = stream.read(5)
    return any(
        (volume if offset == 0x8001 else head[offset : offset + len(magic)]) == magic for offset, magic in _MAGIC
    )


def _header(instance: RawInstance) -> dict[str, object]:
    sop_class = instance.text(SOP_CLASS)
    if not instance.has_preamble and len(instance.elements) < 3 and not (sop_class or instance.text(SOP)):
        return {"reason": RejectReason.NOT_DICOM.value}
    media_class = instance.meta.get(0x00020002, b"").rstrip(b"\x00 ").decode("ascii", "replace")
    if _DICOMDIR in (sop_class, media_class) or instance.find(0x00041220) is not None:
        return {"reason": RejectReason.DICOMDIR.value, "is_dicom": True, "sop_class_uid": _DICOMDIR}
    pixels = next((e for e in map(instance.find, (_PIXELS, _FLOAT_PIXELS, _DOUBLE_PIXELS)) if e is not None), None)
    has_pixels = pixels is not None and pixels.value_end > pixels.value_start
    frames = max(instance.uint(0x00280008) or 1, 1) if has_pixels else 0
    facts: dict[str, object] = {
        "is_dicom": True,
        "patient_id": instance.text(0x00100020).strip("\x00 "),
        "issuer": instance.text(0x00100021).strip("\x00 "),
        "study_uid": instance.text(STUDY).strip("\x00 "),
        "series_uid": instance.text(SERIES).strip("\x00 "),
        "sop_uid": instance.text(SOP).strip("\x00 "),
        "sop_class_uid": sop_class,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "modality": instance.text(0x00080060),
        "rows": instance.uint(0x00280010) or 0,
        "columns": instance.uint(0x00280011) or 0,
        "frames": frames,
        "has_pixels": has_pixels,
        "created": instance.text(0x00080012) + instance.text(0x00080013),
        "entries": json.dumps([[e.category.value, e.value] for e in sorted(harvest(instance))], separators=(",", ":")),
    }
    if has_pixels and facts["modality"] in MODALITIES:
        facts["head"], facts["slice_mm"] = _head(instance)
    facts["hold"] = _hold(instance, sop_class, str(facts["modality"]))
    facts["uids"] = json.dumps(list(_uid_uses(instance)), separators=(",", ":"))
    facts["reason"], facts["detail"] = _rejection(instance, facts, pixels)
    return facts


def _rejection(instance: RawInstance, facts: dict[str, object], pixels: Element | None) -> tuple[str, str]:
    sop_class = str(facts["sop_class_uid"])
    if sop_class and not _is_supported(sop_class):
        return RejectReason.UNSUPPORTED_SOP_CLASS.value, sop_class if is_standard_uid(
            sop_class
        ) else "private SOP class"
    names = {SOP_CLASS: "sop_class_uid", SOP: "sop_uid", STUDY: "study_uid", SERIES: "series_uid"}
    missing = [format_path((tag,)) for tag, name in names.items() if not _is_uid(str(facts[name]))]
    if missing:
        return RejectReason.MISSING_IDENTITY.value, " ".join(missing)
    if _NO_VIEWABLE_PIXELS.fullmatch(instance.transfer_syntax_uid):
        return RejectReason.PIXELS_UNDECODABLE.value, f"transfer syntax {instance.transfer_syntax_uid}"
    if pixels is not None and not pixels.undefined_length:
        wanted, held = _pixel_bytes(instance, pixels.tag), pixels.value_end - pixels.value_start
        if held < wanted:
            return RejectReason.TRUNCATED.value, f"{format_path((pixels.tag,))}: {held} of {wanted} bytes"
    return "", ""


def _is_supported(sop_class: str) -> bool:
    return sop_class not in _UNSUPPORTED and (sop_class.startswith(_STORAGE) or sop_class in _OTHER_STORAGE)


def _is_uid(text: str) -> bool:
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _pixel_bytes(instance: RawInstance, tag: int) -> int:
    """Return the bytes that the header asks of native pixel data, without padding (PS3.5 8.1.1, 8.2)."""
    rows, columns = instance.uint(0x00280010) or 0, instance.uint(0x00280011) or 0
    samples = instance.uint(0x00280002) or 1
    frames = max(instance.uint(0x00280008) or 1, 1)
    bits = {_FLOAT_PIXELS: 32, _DOUBLE_PIXELS: 64}.get(tag) or instance.uint(0x00280100) or 0
    if samples == 3 and instance.text(0x00280004) == "YBR_FULL_422":
        samples = 2  # two chrominance samples for two pixels
    return (rows * columns * samples * frames * bits + 7) // 8


def _hold(instance: RawInstance, sop_class: str, modality: str) -> str:
    """Return the reasons for review that the header shows, joined by commas."""
    if sop_class == _WHOLE_SLIDE:
        element = instance.find(0x00080008)
        flavours = instance.texts(element)[2:3] if element is not None else []
        return HoldReason.LABEL_IMAGE.value if {"LABEL", "OVERVIEW"} & set(flavours) else ""
    if sop_class.startswith(_VISIBLE_LIGHT) or modality == "XC":
        return HoldReason.PHOTOGRAPH.value
    return ""


# --------------------------------------------------------------------------- the head


def _head(instance: RawInstance) -> tuple[bool, float]:
    """Return whether a CT or MR header names the head, and the distance or thickness of its slices in mm."""
    found: dict[int, Element] = {}
    for element in _described(instance.elements):
        found.setdefault(element.tag, element)
    charset = instance.charset()

    def texts(tag: int) -> list[str]:
        element = found.get(tag)
        return instance.texts(element, charset) if element is not None and element.items is None else []

    codes, meanings = set(), []
    regions = found.get(_REGIONS)
    for item in (regions.items or ()) if regions is not None else ():
        values = {e.tag: (instance.texts(e, charset) or [""])[0] for e in item.elements if e.tag >> 4 == 0x0008010}
        codes.add((values.get(0x00080100, ""), values.get(0x00080102, "")))
        meanings.append(values.get(0x00080104, ""))
    described = [text for tag in (_BODY_PART, *_DESCRIPTIONS) for text in texts(tag)]
    head = names_head(codes, [*described, *meanings]) or texts(_VISUAL_FEATURES) == ["YES"]
    thickness, spacing = (_length(texts(tag)) for tag in (_THICKNESS, _SPACING))
    return head, slice_distance(thickness, spacing)


def _described(elements: list[Element]) -> Iterator[Element]:
    """Yield the elements of the top level and of the first items of the functional groups that tell of the picture."""
    for element in elements:
        yield element
        if element.tag in _FUNCTIONAL_GROUPS and element.items:
            yield from _described(element.items[0].elements)


def _length(values: list[str]) -> float:
    try:
        return float(values[0]) if values else 0.0
    except ValueError:
        return 0.0


# --------------------------------------------------------------------------- UIDs


def _uid_uses(instance: RawInstance) -> Iterator[tuple[str, str, str, bool, str]]:
    """Yield the rows of UidUse, in the order of the data set.

    What a private attribute holds, a policy may keep: its UIDs are listed too, without a role, and make no link.
    """
    yield from _uses_in(instance, instance.elements, ())
    own = {instance.text(tag).strip("\x00 ") for tag in (STUDY, SERIES, SOP, FRAME_OF_REFERENCE)}
    yield from _private_uses(instance, instance.elements, (), own)


def _private_uses(
    instance: RawInstance, elements: list[Element], above: tuple[int, ...], own: set[str]
) -> Iterator[tuple[str, str, str, bool, str]]:
    """Yield the UIDs in private attributes and in items of private sequences, but for those of the instance itself."""
    for element in elements:
        path = (*above, element.tag)
        inside = any(tag & 0x10000 for tag in path)
        for item in element.items or ():
            yield from _private_uses(instance, item.elements, path, own)
        if not inside or element.items is not None or element.vr not in ("UI", "UN") or element.tag in _STRUCTURAL:
            continue
        standard = not element.tag & 0x10000 and _is_ui(element)
        if standard or element.value_end - element.value_start <= _MAX_UID_BYTES:
            for uid in instance.texts(element):
                if (looks_like_uid(uid) or (standard and uid)) and not is_standard_uid(uid) and uid not in own:
                    yield uid, UidType.OTHER.value, format_path(path), False, ""


def _uses_in(
    instance: RawInstance, elements: list[Element], above: tuple[int, ...]
) -> Iterator[tuple[str, str, str, bool, str]]:
    referenced = next((e for e in elements if e.tag == _REFERENCED_CLASS), None)
    sop_class = next(iter(instance.texts(referenced)), "") if referenced is not None and above else ""
    for element in elements:
        tag = element.tag
        if tag & 0x10000 or tag >> 16 == 0x0002:
            continue
        path = (*above, tag)
        for item in element.items or ():
            yield from _uses_in(instance, item.elements, path)
        if element.items is None and _is_ui(element) and tag not in _STRUCTURAL:
            of_reference = sop_class if tag == _REFERENCED_INSTANCE else ""
            role = _role(tag, above, of_reference).value
            identity = not above and tag in (STUDY, SERIES, SOP, FRAME_OF_REFERENCE)
            for uid in instance.texts(element):
                if uid and not is_standard_uid(uid):
                    yield uid, role, format_path(path), identity, of_reference


def _is_ui(element: Element) -> bool:
    return element.vr == "UI" or (element.vr == "UN" and vr_of(element.tag) == "UI")


def _role(tag: int, above: tuple[int, ...], sop_class: str) -> UidType:
    if tag == _REFERENCED_INSTANCE and above and (above[-1] in _STUDY_SEQUENCES or sop_class in _STUDY_CLASSES):
        return UidType.STUDY
    return _ROLES.get(tag, UidType.OTHER)


# --------------------------------------------------------------------------- parallel reading


def _read_files(root: Path, paths: list[bytes], max_depth: int) -> list[FileFacts]:
    return [read_file(root, path, max_depth) for path in paths]


def read_files(
    root: Path, tasks: Iterator[list[bytes]], max_depth: int, threads: int, total: int
) -> Iterator[list[FileFacts]]:
    """Yield what the files hold, task by task in any order; processes share the work if it is worth their start.

    `total` is the number of files in all tasks. A file that kills its reader costs that file, not the scan.
    """
    if threads < 2 or total < _FILES_WORTH_A_POOL:
        for paths in tasks:
            yield _read_files(root, paths, max_depth)
        return
    lost: list[list[bytes]] = []
    while True:
        try:
            yield from _read_in_pool(root, tasks, max_depth, threads, lost)
            return
        except BrokenProcessPool:
            while lost:
                yield [_read_apart(root, path, max_depth) for path in lost.pop()]


def _read_in_pool(
    root: Path, tasks: Iterator[list[bytes]], max_depth: int, threads: int, lost: list[list[bytes]]
) -> Iterator[list[FileFacts]]:
    """Read tasks in processes; when one dies, `lost` holds the tasks that have no answer."""
    running: dict[Future[list[FileFacts]], list[bytes]] = {}
    with ProcessPoolExecutor(threads, mp_context=get_context("fork")) as pool:
        while True:
            for paths in itertools.islice(tasks, 4 * threads - len(running)):
                try:
                    running[pool.submit(_read_files, root, paths, max_depth)] = paths
                except BrokenProcessPool:
                    lost.extend([*running.values(), paths])
                    raise
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                if isinstance(future.exception(), BrokenProcessPool):
                    lost.extend(running.values())
                    raise BrokenProcessPool
                yield future.result()
                del running[future]


def _read_apart(root: Path, path: bytes, max_depth: int) -> FileFacts:
    """Read one file in a process of its own; a file that kills its reader (it shrank, its disk fails) is unreadable."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        try:
            return pool.submit(_read_files, root, [path], max_depth).result()[0]
        except BrokenProcessPool:
            return FileFacts(path, -1, 0, 0, "", RejectReason.UNREADABLE_FILE.value, "its reader died")
