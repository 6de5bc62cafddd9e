"""What the picture of a stack writes stands where it can be read."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phi_deid_pipeline.geometry import drawing


@pytest.mark.parametrize(("width", "height"), [(4.0, 4.0), (4.0, 0.6), (0.6, 4.0)])
def test_letters_of_directions_stand_within_flat_cuts(width: float, height: float) -> None:
    figure = Figure(figsize=(5, 5), dpi=drawing.DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.1, width / 5, height / 5))
    drawing._letters(axes, np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))
    canvas.draw()
    frame = axes.get_window_extent()
    places = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert set(places) == {"L", "R", "S", "I"}
    for place in places.values():
        assert frame.x0 < place.x0 and place.x1 < frame.x1 and frame.y0 < place.y0 and place.y1 < frame.y1
    assert places["R"].x0 < places["L"].x0 and places["I"].y0 < places["S"].y0
