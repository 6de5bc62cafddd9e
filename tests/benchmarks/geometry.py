"""Time to measure the geometry of CT series once their headers are read, on one core: CPU seconds, the best of three."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace

from phi_deid_pipeline.geometry import GeometrySettings, measure_series
from phi_deid_pipeline.records import SliceAttributes

GOAL_SECONDS = 2.0  # for 1,000 slices


def shuffled_series(count: int, *, shear: float = 0.0, jitter: float = 0.0) -> list[SliceAttributes]:
    """Return slices 1.25 mm apart in no order; `jitter` moves each along the normal by up to that, in mm."""
    noise = random.Random(count)
    one = SliceAttributes(
        study_uid="2.25.1", series_uid="2.25.2", sop_uid="", image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), rows=512, columns=512, pixel_spacing=(0.7, 0.7), slice_thickness=1.25,
        rescale_slope=1.0, rescale_intercept=-1024.0, rescale_type="HU", bits_stored=12,
    )  # fmt: skip
    slices = [
        replace(
            one,
            sop_uid=f"2.25.{10**6 + index}",
            position=(-100.0, 50.0 + shear * 1.25 * index, 1.25 * index + noise.uniform(-jitter, jitter)),
            acquisition_number=index // 4,
        )
        for index in range(count)
    ]
    noise.shuffle(slices)
    return slices


def geometry_rows() -> list[dict[str, object]]:
    """Return the figures of the benchmark."""
    kinds = {
        "regular": {},
        "tilted by 20 degrees": {"shear": math.tan(math.radians(20))},
        "jitter of 0.2 mm": {"jitter": 0.2},
    }
    rows = []
    for count in (1000, 5000):
        for name, changes in kinds.items():
            slices, spent = shuffled_series(count, **changes), []
            for _ in range(3):
                start = time.process_time()
                measure_series(slices, GeometrySettings())
                spent.append(time.process_time() - start)
            rows.append({"slices": count, "series": name, "cpu_s": round(min(spent), 3)})
    return rows
