"""Python looks for circles of dead objects rarely in a step, and finds them all the same."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

from phi_deid_pipeline import pipeline

SCRIPTS = Path(pipeline.__file__).resolve().parents[1]


class _Circle:
    def __init__(self) -> None:
        self.own = self


def test_circles_of_dead_objects_go_though_rarely_looked_for() -> None:
    before = gc.get_threshold()
    try:
        pipeline.collect_rarely()
        assert gc.get_threshold()[0] == pipeline.NEW_OBJECTS
        dead = weakref.ref(_Circle())
        kept = [[number] for number in range(2 * pipeline.NEW_OBJECTS)]
        assert dead() is None and len(kept) == 2 * pipeline.NEW_OBJECTS
    finally:
        gc.set_threshold(*before)


def test_at_the_end_of_a_process_all_is_put_aside() -> None:
    code = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count())); "
    code += "from phi_deid_pipeline import pipeline; pipeline.collect_rarely()"
    shown = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, check=True, capture_output=True, text=True).stdout
    assert int(shown) > 1000
