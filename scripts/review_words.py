"""The queue of unknown words: what descriptions lost because the vocabulary lacks it, for a person to judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

QUEUE = Path("private") / "review" / "unknown_words.tsv"
_HEAD = "word\tcount\tattributes\n"


@dataclass(frozen=True, slots=True)
class QueuedWord:
    """A folded word, how often it went, and from which attributes, the most frequent first."""

    word: str
    count: int
    attributes: tuple[str, ...]


def write_unknown_words(output: Path, batches: Sequence[str]) -> None:
    """Merge the batches' `private/words` into the queue, the most frequent word first; mode 0600."""
    from phi_deid_pipeline.records import UnknownWord
    from record_io import atomic_write_bytes, read_jsonl

    found: dict[str, Counter[str]] = {}
    for batch in sorted(batches):
        for row in read_jsonl(output / "private" / "words" / f"{batch}.jsonl", UnknownWord):
            found.setdefault(row.word, Counter())[row.attribute] += row.count
    lines = []
    for word, counts in sorted(found.items(), key=lambda item: (-item[1].total(), item[0])):
        attributes = sorted(counts, key=lambda name: (-counts[name], name))
        lines.append(f"{word}\t{counts.total()}\t{', '.join(name or 'private' for name in attributes)}\n")
    (output / QUEUE).parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(output / QUEUE, (_HEAD + "".join(lines)).encode(), mode=0o600)


def read_unknown_words(output: Path) -> list[QueuedWord]:
    """Return the queue of an output folder; empty where nothing has been assembled yet."""
    if not (output / QUEUE).exists():
        return []
    rows = [line.split("\t") for line in (output / QUEUE).read_text(encoding="utf-8").splitlines()[1:]]
    return [QueuedWord(word, int(count), tuple(attributes.split(", "))) for word, count, attributes in rows]
