"""Burned-in text, on arrays: find and read it (`read_image`), judge what was read (`judge.judge`).

The heavy parts are imported when they are used: judging needs no image library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from phi_deid_pipeline.burned_in_text.settings import ReaderSettings
from phi_deid_pipeline.records import Region

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ReaderSettings", "read_image"]


def read_image(
    image: np.ndarray,
    *,
    invert: bool = False,
    window: tuple[float, float] | None = None,
    settings: ReaderSettings | None = None,
    whole: tuple[int, int] | None = None,
) -> list[Region]:
    """Return the text in an image of shape (rows, columns), or (rows, columns, 3) of 8 bits, in its own pixels.

    `invert` for MONOCHROME1; `window` is (low, high) in the image's values; `whole` are rows and columns of the image of
    which it is a part.
    """
    from phi_deid_pipeline.burned_in_text import chain

    settings = settings or ReaderSettings()
    text = chain.read_image(image, invert=invert, window=window, settings=settings, whole=whole)
    return list(text.regions)
