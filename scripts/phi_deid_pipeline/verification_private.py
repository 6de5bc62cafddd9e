"""Private elements of a written instance must be such that the policy keeps them (PS3.15 E.3.10), creators included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from phi_deid_pipeline.dicom_utils import format_path
from phi_deid_pipeline.records import Residual
from phi_deid_pipeline.verification_bytes import Layout, Value

_FIRST_BLOCK = 0x10  # (gggg,0010) to (gggg,00FF) hold private creators


class _Resolution(Protocol):
    @property
    def action(self) -> str: ...


class KeepsPrivate(Protocol):
    """What is asked of a policy."""

    def resolve_private(
        self,
        path: tuple[int, ...],
        vr: str,
        creator: str,
        sop_class_uid: str,
        *,
        modality: str = "",
        manufacturer: str = "",
    ) -> _Resolution: ...


def private_problems(
    layout: Layout, private: Iterable[Value], policy: KeepsPrivate | None, modality: str, manufacturer: str
) -> Iterator[Residual]:
    """Yield private elements that the policy does not keep; without a policy every one of them.

    The creator of an element is the text of (gggg,00bb) in the data set in which it stands.
    """
    private = list(private)
    creators = {
        (value.path[:-1], value.items, value.path[-1]): layout.bytes_of(value).strip(b" \x00").decode("latin-1")
        for value in private
        if _FIRST_BLOCK <= value.path[-1] & 0xFFFF <= 0xFF
    }
    used: set[tuple[tuple[int, ...], tuple[int, ...], int]] = set()
    sop_class = layout.text(0x00080016)
    for value in private:
        tag = value.path[-1]
        if _FIRST_BLOCK <= tag & 0xFFFF <= 0xFF:
            continue
        place = (value.path[:-1], value.items, tag & 0xFFFF0000 | (tag >> 8) & 0xFF)
        creator = creators.get(place, "")
        used.add(place)
        if policy is None or not creator or _is_removed(policy, value, creator, sop_class, modality, manufacturer):
            yield Residual("structure", format_path(value.path), "", "private")
    for place in sorted(creators.keys() - used if policy is not None else creators):
        yield Residual(
            "structure", format_path((*place[0], place[2])), "", "private" if policy is None else "creator of none"
        )


def _is_removed(
    policy: KeepsPrivate, value: Value, creator: str, sop_class: str, modality: str, manufacturer: str
) -> bool:
    found = policy.resolve_private(
        value.path, value.vr, creator, sop_class, modality=modality, manufacturer=manufacturer
    )
    return str(found.action) == "X"
