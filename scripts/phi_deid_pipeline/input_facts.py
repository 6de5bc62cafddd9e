"""What the header of an instance tells the scan: its identity, its picture, its UIDs, and why it cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from phi_deid_pipeline.dicom_utils import format_path, looks_like_uid, vr_of
from phi_deid_pipeline.lexicon_harvest import harvest
from phi_deid_pipeline.photographs import is_photograph
from phi_deid_pipeline.raw_elements import Element, RawInstance
from phi_deid_pipeline.recognizable import MODALITIES, names_head, slice_distance
from phi_deid_pipeline.records import HoldReason, RejectReason, UidType
from phi_deid_pipeline.uid_mapping import is_standard_uid

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
# Objects of patients outside the storage root: RT Beams and RT Brachy Application Setup Delivery Instruction.
_OTHER_STORAGE = frozenset({f"1.2.840.10008.5.1.4.34.{number}" for number in (1, 7, 10)})
# Raw data, voice and audio waveforms, inventories, defined procedure protocols and their approval.
_UNSUPPORTED = frozenset({_STORAGE + tail for tail in ("66", "9.4.1", "9.4.2", "201.1", "200.1", "200.3", "200.7")})
_NO_VIEWABLE_PIXELS = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(10[0-8](\.1)?|94|95|204|205)")  # video; JPIP: a URL
_MAX_UID_BYTES = 4096  # of a private value that is looked at for UIDs
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")

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


def header_facts(instance: RawInstance) -> dict[str, object]:
    """Return the fields of `FileFacts` that the header of an instance fills."""
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
    return HoldReason.PHOTOGRAPH.value if is_photograph(sop_class, modality, lambda: instance.text(_BODY_PART)) else ""


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
