"""Forms in which text hides in bytes."""

from __future__ import annotations

import random
import re

from phi_deid_pipeline.verification_forms import wide_runs


def test_wide_runs_are_those_of_the_plain_search() -> None:
    rng = random.Random(5)
    pieces = (b"a\0", b"\0b", b"\0", b"x", b"q\0r\0s\0t\0", b"\0u\0v\0w\0x", b"\xff\xd8")
    found = 0
    for _ in range(2000):
        data = b"".join(rng.choices(pieces, k=rng.randrange(20)))
        plain = [
            run.replace(b"\0", b"")
            for pattern in (rb"(?:[\x20-\x7e]\0){4,}", rb"(?:\0[\x20-\x7e]){4,}")
            for run in re.findall(pattern, data)
        ]
        assert wide_runs(data) == plain
        found += bool(plain)
    assert 200 < found < 1999
