"""Whether what belongs together still does: references to instances, dates of a patient; and conformance before and after."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import lru_cache
from pathlib import Path

from benchmarks.quality.corpus import Corpus
from benchmarks.quality.paths import element_at, value_text
from benchmarks.quality.score import Outputs
from benchmarks.quality.standard import POLICY_OPTIONS, stays, wish


def references(corpus: Corpus, outputs: Outputs, policy: str) -> dict[str, int]:
    """Count references that the policy keeps: asked, still there, and leading to the new UID of what they named."""
    options, found = POLICY_OPTIONS[policy], Counter(asked=0, there=0, resolved=0)
    for instance in corpus.instances:
        ds = outputs.get(instance.path)
        if ds is None:
            continue
        for plant in instance.plants:
            if not plant.kind.startswith(("reference/", "sr/image_reference")) or not stays(plant.path, options):
                continue
            found["asked"] += 1
            element = element_at(ds, plant.path)
            if element is not None and element.value:
                found["there"] += 1
                # A study or a frame of reference is consistent where the first place that names it says the same.
                new = outputs.uids.setdefault(plant.gone[0], value_text(element))
                found["resolved"] += new == value_text(element)
    return dict(found)


def intervals(corpus: Corpus, outputs: Outputs, policy: str) -> dict[str, int]:
    """Count dates that a policy keeps modified: asked, still there, moved by the offset of most dates of the patient."""
    options = POLICY_OPTIONS[policy]
    found: Counter = Counter(asked=0, there=0, consistent=0, patients=0, patients_consistent=0)
    moved: dict[str, list[int]] = defaultdict(list)
    for instance in corpus.instances:
        ds = outputs.get(instance.path)
        for plant in instance.plants:
            last = plant.path[-1]
            if plant.nature != "date" or ds is None or not isinstance(last, int) or not stays(plant.path, options):
                continue
            if wish(last, options) != "clean":
                continue
            element = element_at(ds, plant.path)
            values = value_text(element).replace(".", "").split("\\") if element is not None else []
            for old, new in zip(plant.gone[: max(1, len(values))], values or [""], strict=False):
                found["asked"] += 1
                if (days := _days(old, new)) is not None:
                    found["there"] += 1
                    moved[instance.who.patient_id].append(days)
    for days in moved.values():
        most = Counter(days).most_common(1)[0][1]
        found["consistent"] += most
        found["patients"] += 1
        found["patients_consistent"] += most == len(days)
    return dict(found)


def _days(old: str, new: str) -> int | None:
    old = old.replace(".", "")
    if not (re.match(r"\d{8}", new) and re.match(r"\d{8}", old)) or new.startswith("19000101"):
        return None
    try:
        first, second = (date(int(text[:4]), int(text[4:6]), int(text[6:8])) for text in (old, new))
    except ValueError:
        return None
    return (second - first).days


def conformance(folder: Path, written: Mapping[str, Path], bases: Mapping[str, str]) -> dict[str, int] | None:
    """Return errors of dciodvfy that outputs have and their sources had not, with the number of instances; None without it."""
    if shutil.which("dciodvfy") is None:
        return None
    found: Counter = Counter()
    with ThreadPoolExecutor(2) as pool:
        before = pool.map(_errors, [folder / path for path in written])
        after = pool.map(_errors, written.values())
        for path, old, new in zip(written, before, after, strict=True):
            found.update(f"{bases[path]}: {error}" for error in new - old)
    return dict(found.most_common())


@lru_cache(maxsize=10_000)
def _errors(path: Path) -> frozenset[str]:
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False)
    text = (done.stdout + done.stderr).decode("latin-1")
    return frozenset(_plain(line) for line in text.splitlines() if line.startswith("Error"))


def _plain(line: str) -> str:
    """Return an error without values and numbers of items, so that the same error before and after is the same text."""
    line = re.sub(r"[0-2]\.[0-9][0-9.]{8,}", "UID", line)
    line = re.sub(r"value <[^>]*>|= <[^>]*>|\(.{0,6}0x[0-9a-f,]+\)|\[\d+\]|- got .*|is .* but should", "", line)
    return re.sub(r"\s+", " ", re.sub(r"<(?!/)[^>]{0,80}>", "<>", line)).strip()
