"""Millimetres a pixel from a photograph of a chessboard."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from chessboard import write_chart

from ss_poc.core.errors import ConfigError, ImageError
from ss_poc.core.images import save_image
from ss_poc.measuring.chart import millimetres_of


def test_squares_of_20_pixels_and_5_millimetres_make_a_quarter_of_a_millimetre_a_pixel(tmp_path):
    write_chart(tmp_path / "chart.png")
    scale, size_hw = millimetres_of(tmp_path / "chart.png", (9, 6), 5.0)
    assert scale == pytest.approx(0.25, rel=0.002) and size_hw == (180, 220)


def test_a_chart_that_is_turned_in_its_plane_measures_the_same(tmp_path):
    turned = np.vstack([cv2.getRotationMatrix2D((110, 90), 8, 1.0), (0, 0, 1)])
    turned[:2, 2] += 40
    write_chart(tmp_path / "chart.png", matrix=turned)
    assert millimetres_of(tmp_path / "chart.png", (9, 6), 5.0)[0] == pytest.approx(0.25, rel=0.005)


@pytest.mark.parametrize("matrix", [[[1, 0, 10], [0, 0.95, 10], [0, 0, 1]], [[1, 0.08, 0], [0, 1, 10], [0, 0, 1]],
                                    [[1, 0, 10], [0, 1, 10], [0.0004, 0, 1]]],
                         ids=["flatter", "askew", "farther on one side"])
def test_a_chart_that_is_seen_obliquely_is_refused_with_what_to_do(tmp_path, matrix):
    write_chart(tmp_path / "chart.png", matrix=np.array(matrix, float))
    with pytest.raises(ConfigError, match="obliquely") as caught:
        millimetres_of(tmp_path / "chart.png", (9, 6), 5.0)
    assert "2%" in caught.value.expected and "right angles" in caught.value.fix


def test_a_photograph_without_such_a_chart_is_refused(tmp_path):
    write_chart(tmp_path / "chart.png")
    save_image(tmp_path / "blank.png", np.full((60, 80, 3), 200, np.uint8))
    for name, corners in (("blank.png", (9, 6)), ("chart.png", (12, 8))):
        with pytest.raises(ConfigError, match=f"no chessboard with {corners[0]}x{corners[1]} inner corners") as caught:
            millimetres_of(tmp_path / name, corners, 5.0)
        assert "four squares meet" in caught.value.fix
    (tmp_path / "broken.png").write_bytes(b"no photograph")
    with pytest.raises(ImageError):
        millimetres_of(tmp_path / "broken.png", (9, 6), 5.0)
