"""A resolved policy as canonical JSON, one row per line, and back; the digest covers everything but itself."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING

from phi_deid_pipeline.policy_files import Override
from phi_deid_pipeline.policy_rows import Entry, SafePrivateRule

if TYPE_CHECKING:
    from phi_deid_pipeline.policies import Policy

_NUMERIC = " numeric"


def canonical(content: dict[str, object]) -> str:
    """Return JSON text that is the same for equal content."""

    def compact(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    parts = []
    for key, value in sorted(content.items()):
        if isinstance(value, dict) and value:
            rows = ",\n".join(f"{json.dumps(k)}:{compact(v)}" for k, v in sorted(value.items()))
            parts.append(f"{json.dumps(key)}:{{\n{rows}\n}}")
        elif isinstance(value, list) and value and isinstance(value[0], (list, dict)):
            rows = ",\n".join(compact(v) for v in value)
            parts.append(f"{json.dumps(key)}:[\n{rows}\n]")
        else:
            parts.append(f"{json.dumps(key)}:{compact(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def digest_of(content: dict[str, object]) -> str:
    """Return the SHA-256 of the canonical JSON of `content`."""
    return hashlib.sha256(canonical(content).encode("utf-8")).hexdigest()


def content_of(policy: Policy) -> dict[str, object]:
    """Return all of a policy but its digest as JSON values; tags are eight hexadecimal digits."""
    by_vr: dict[str, list[str]] = {}
    for tag, vr in sorted(policy.dictionary.items()):
        by_vr.setdefault(vr, []).append(f"{tag:08X}")
    types: dict[str, dict[str, str]] = {}
    for iod, tags in policy.types.items():
        groups: dict[str, list[str]] = {}
        for tag, kind in sorted(tags.items()):
            groups.setdefault(kind, []).append(f"{tag:08X}")
        types[iod] = {kind: " ".join(found) for kind, found in groups.items()}
    return {
        "name": policy.name,
        "description": policy.description,
        "options": sorted(policy.options),
        "edition": policy.edition,
        "hide": policy.hide,
        "dates": policy.dates,
        "max_age": policy.max_age,
        "pseudonyms": policy.pseudonyms,
        "clinical_trial": policy.clinical_trial,
        "hold": sorted(policy.hold),
        "method_codes": [list(code) for code in policy.method_codes],
        "method_texts": list(policy.method_texts),
        "longitudinal": policy.longitudinal,
        "overrides": [_override_row(override) for override in policy.overrides],
        "entries": {f"{t:08X}": [e.code, e.basic, e.rule, e.hipaa, e.vr] for t, e in policy.entries.items()},
        "safe_private": _safe_private_rows(policy.safe_private),
        "dictionary": {vr: " ".join(tags) for vr, tags in by_vr.items()},
        "sop_classes": policy.sop_classes,
        "types": types,
        "iod_modules": {iod: " ".join(modules) for iod, modules in policy.iod_modules.items()},
        "nested_types": {module: _nested_rows(types) for module, types in policy.nested_types.items()},
        "iod_conflicts": {f"{tag:08X}": list(row) for tag, row in policy.iod_conflicts.items()},
        "concepts": [[*key, *row] for key, row in sorted(policy.concepts.items())],
        "goes_with": {f"{tag:08X}": [f"{other:08X}" for other in others] for tag, others in policy.goes_with.items()},
    }


def _nested_rows(types: dict[tuple[int, ...], str]) -> dict[str, str]:
    """Return Type -> paths of tags joined by /."""
    found: dict[str, list[str]] = {}
    for path, kind in sorted(types.items()):
        found.setdefault(kind, []).append("/".join(f"{tag:08X}" for tag in path))
    return {kind: " ".join(paths) for kind, paths in found.items()}


def _override_row(override: Override) -> list[str]:
    conditions = [override.sop_class, override.modality, override.manufacturer, override.private_creator]
    return [f"{override.tag:08X}", override.action, override.reason, *conditions]


def _safe_private_rows(rules: dict[tuple[int, int, str], SafePrivateRule]) -> dict[str, dict[str, str]]:
    """Return creator -> VR -> group and offset, written ggggee."""
    found: dict[str, dict[str, list[str]]] = {}
    for (group, offset, creator), rule in sorted(rules.items()):
        kind = rule.vr + (_NUMERIC if rule.numeric else "")
        found.setdefault(creator, {}).setdefault(kind, []).append(f"{group:04X}{offset:02X}")
    return {creator: {kind: " ".join(places) for kind, places in kinds.items()} for creator, kinds in found.items()}


def fields_from(content: dict, digest: str) -> dict[str, object]:
    """Return the arguments that make the policy of which `content_of` gave `content`."""
    return {
        "name": content["name"],
        "description": content["description"],
        "options": frozenset(content["options"]),
        "digest": digest,
        "edition": content["edition"],
        "hide": content["hide"],
        "dates": content["dates"],
        "max_age": content["max_age"],
        "pseudonyms": content["pseudonyms"],
        "clinical_trial": content["clinical_trial"],
        "hold": frozenset(content["hold"]),
        "method_codes": tuple((value, scheme, meaning) for value, scheme, meaning in content["method_codes"]),
        "method_texts": tuple(content["method_texts"]),
        "longitudinal": content["longitudinal"],
        "overrides": tuple(Override(int(tag, 16), *rest) for tag, *rest in content["overrides"]),
        "entries": {int(tag, 16): Entry(*row) for tag, row in content["entries"].items()},
        "safe_private": {
            (int(place[:4], 16), int(place[4:], 16), creator): SafePrivateRule(
                kind.removesuffix(_NUMERIC), kind.endswith(_NUMERIC)
            )
            for creator, kinds in content["safe_private"].items()
            for kind, places in kinds.items()
            for place in places.split()
        },
        "dictionary": _by_tag(content["dictionary"]),
        "sop_classes": content["sop_classes"],
        "types": {iod: _by_tag(kinds) for iod, kinds in content["types"].items()},
        "iod_modules": {iod: tuple(modules.split()) for iod, modules in content["iod_modules"].items()},
        "nested_types": {
            module: {_tags(path): kind for kind, paths in kinds.items() for path in paths.replace("/", "").split()}
            for module, kinds in content["nested_types"].items()
        },
        "iod_conflicts": {int(tag, 16): (row[0], row[1]) for tag, row in content["iod_conflicts"].items()},
        "concepts": {tuple(row[:3]): (row[3], row[4]) for row in content["concepts"]},
        "goes_with": {int(t, 16): tuple(int(o, 16) for o in others) for t, others in content["goes_with"].items()},
    }


def _by_tag(tags_of: dict[str, str]) -> dict[int, str]:
    """Return what tags stand for, of tags by what they stand for."""
    found: dict[int, str] = {}
    for what, tags in tags_of.items():
        found.update(dict.fromkeys(_tags(tags), what))
    return found


def _tags(text: str) -> tuple[int, ...]:
    """Return tags of eight hexadecimal digits each, with blanks between them or without."""
    data = bytes.fromhex(text)
    return struct.unpack(f">{len(data) // 4}I", data)
