"""What was measured, drawn on a photograph."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.measuring.drawing import draw_judgement
from ss_poc.measuring.judge import Judgement
from ss_poc.measuring.regions import lay

HALF, CORNER = ((0, 0), (0.5, 0), (0.5, 1), (0, 1)), ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2), (0.1, 0.2))


def test_region_and_ignored_places_are_outlined():
    image = np.zeros((100, 200, 3), np.uint8)
    drawn = draw_judgement(image, Judgement("accept", regions=lay([HALF], [CORNER], (100, 200))))
    assert not image.any() and (drawn[50, 99:101] == 255).any() and not drawn[50, 110:].any()
    assert (drawn[15, 19:21] == 128).any() and not drawn[12:18, 23:36].any()


@pytest.mark.parametrize("bbox", [[20, 20, 50, 5], [180, 95, 20, 5]])
def test_figures_of_an_object_are_written_where_there_is_room(bbox):
    measured = {"label": "a", "unit": "mm", "each": [{"length": 12.34, "width": 1.2, "bbox": bbox}]}
    drawn = draw_judgement(np.full((100, 200, 3), 90, np.uint8), Judgement("reject", measurements=(measured,)))
    rows, columns = np.nonzero(drawn.min(axis=-1) > 130)
    assert len(rows) > 20 and rows.max() < 99 and columns.max() < 199


def test_a_photograph_that_could_not_be_judged_stays_as_it_is():
    image = np.full((10, 20, 3), 7, np.uint8)
    assert (draw_judgement(image, Judgement("error", ("the part is not found",))) == image).all()
