"""Maps that are kept: what is there already is not predicted again, and what does not fit is not kept."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ss_poc.inference.kept import KeptMaps


class Counting:
    """A stand-in of a model, which gives half of an image's red, and counts."""

    def __init__(self, engine: str = "onnxruntime") -> None:
        self.engine, self.asked = engine, 0

    def probability(self, image: np.ndarray) -> np.ndarray:
        self.asked += 1
        return image[..., :1].astype(np.float32) / 510


def image(red: int) -> np.ndarray:
    return np.full((4, 6, 3), red, np.uint8)


def test_an_image_goes_through_an_engine_once(tmp_path):
    maps, model, other = KeptMaps(tmp_path), Counting(), Counting("openvino-int8")
    first = maps.probability(model, "a.png", lambda: image(51))
    assert first.shape == (4, 6, 1) and first.max() == pytest.approx(0.1)
    again = maps.probability(model, "a.png", lambda: pytest.fail("the image is not needed"))
    assert np.array_equal(first, again) and again.dtype == np.float32 and model.asked == 1
    maps.probability(model, "b.png", lambda: image(0))
    maps.probability(other, "a.png", lambda: image(51))
    assert (model.asked, other.asked) == (2, 1)


def test_maps_of_one_engine_are_changed(tmp_path):
    maps, model, other = KeptMaps(tmp_path), Counting(), Counting("openvino")
    for each in (model, other):
        maps.probability(each, "a.png", lambda: image(51))
    maps.change("onnxruntime", lambda probability: probability * 2)
    assert maps.probability(model, "a.png", SimpleNamespace).max() == pytest.approx(0.2)
    assert maps.probability(other, "a.png", SimpleNamespace).max() == pytest.approx(0.1)


@pytest.mark.parametrize(("most", "kept"), [(96, 1), (191, 1), (192, 2), (95, 0)])
def test_no_more_is_kept_than_there_is_room_for(tmp_path, most, kept):
    maps, model = KeptMaps(tmp_path, most), Counting()  # a map of 4 x 6 is 96 bytes
    for name in ("a", "b", "a", "b"):
        maps.probability(model, name, lambda: image(51))
    assert model.asked == 4 - kept and len(list(tmp_path.iterdir())) == kept


def test_without_a_folder_nothing_is_kept():
    maps, model = KeptMaps(), Counting()
    for _ in range(2):
        maps.probability(model, "a", lambda: image(51))
    assert model.asked == 2
