"""What a kind of place plants and what is expected of it, and helpers that set values in a data set."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from benchmarks.quality.identity import Drawer, Identity
from benchmarks.quality.phrases import phrase, words

# A path is a tuple of tags (int), private tags (group, creator, low byte) and item numbers between them.
# Places outside the data set are a tuple of one word, such as ("preamble",).
Step = int | str | tuple[int, str, int]
Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plant:
    """One planted place: identifiers that must go, clinical words that should stay, at a path of one instance.

    `known` is False where no header of the patient tells of the identifier. `nature` says what a value is: text (parts
    of it may stay), whole (all of it is an identifier), date, unmoved (a date that may not be moved), uid, age. `free`
    marks values that are not identifiers for policies with one of these options.
    """

    kind: str
    path: Path
    gone: tuple[str, ...]
    kept: tuple[str, ...] = ()
    nature: str = "text"
    known: bool = True
    codec: str = ""
    free: tuple[str, ...] = ()
    concept: str = ""  # code of the content item that holds it


@dataclass(slots=True)
class Context:
    """An instance in the making: its data set, its patient, and what plants leave in it."""

    ds: Dataset
    who: Identity
    draw: Drawer
    base: str
    number: int
    plants: list[Plant] = field(default_factory=list)
    # Applied to the written bytes or to the pixels in the end, in order of planting.
    after: list[Callable[[bytes], bytes]] = field(default_factory=list)
    transfer_syntax: str = ""
    boxes: list[dict] = field(default_factory=list)
    pixels_kept: bool = True

    @property
    def rng(self) -> random.Random:
        return self.draw.rng

    def phrase(self, language: str = "en", limit: int = 64) -> str:
        """Return a clinical phrase of at most `limit` characters."""
        while True:
            text = phrase(self.rng, self.draw.seed, language)
            if len(text) <= limit:
                return text

    def plant(
        self, kind: str, path: Path, gone: tuple[str, ...] | str, kept: str | tuple[str, ...] = (), **more
    ) -> None:
        """Record a plant; `kept` may be a phrase, of which the words are taken."""
        gone = (gone,) if isinstance(gone, str) else gone
        kept = words(kept) if isinstance(kept, str) else kept
        self.plants.append(Plant(kind, path, tuple(gone), tuple(kept), **more))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of place. `needs` names bases it can stand in (empty: any); `slots` are top-level tags it takes."""

    name: str
    make: Callable[[Context], None]
    needs: tuple[str, ...] = ()
    slots: tuple[int, ...] = ()
    alone: str = ""  # kinds with the same word here never share an instance
    script: str = ""  # the patient's character set, a key of CHARSETS


def tag(keyword: str) -> int:
    """Return the tag of a keyword as a number."""
    found = tag_for_keyword(keyword)
    assert found is not None, keyword
    return int(found)


def put(ds: Dataset, path: Path, vr: str, value: object) -> Dataset:
    """Set a value at a path, making sequences and items on the way; return the data set that holds it."""
    for step, number in zip(path[:-1:2], path[1:-1:2], strict=True):
        if isinstance(step, tuple):
            ds = private_item(ds, step, int(number))
            continue
        if step not in ds:
            ds.add_new(step, "SQ", Sequence())
        items = ds[step].value
        while len(items) <= int(number):
            items.append(Dataset())
        ds = items[int(number)]
    last = path[-1]
    if isinstance(last, tuple):
        group, creator, low = last
        ds.private_block(group, creator, create=True).add_new(low, vr, value)
    else:
        ds.add_new(last, vr, value)
    return ds


def private_item(ds: Dataset, step: tuple[int, str, int], number: int) -> Dataset:
    """Return an item of a private sequence, made where it is missing."""
    group, creator, low = step
    block = ds.private_block(group, creator, create=True)
    if low not in block:
        block.add_new(low, "SQ", Sequence())
    items = block[low].value
    while len(items) <= number:
        items.append(Dataset())
    return items[number]


def vr_of(number: int) -> str:
    """Return the VR of a standard attribute, the first one where there is a choice."""
    return dictionary_VR(Tag(number)).split(" ")[0]
