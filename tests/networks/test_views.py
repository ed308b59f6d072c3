"""ss_poc.networks.views: mirror images, and the mean of what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.networks.build import build_model
from ss_poc.networks.views import with_views


@pytest.mark.parametrize(("views", "flips"), [("single", [()]), ("mirrored", [(), (1,)]), ("upside_down", [(), (0,)]),
                                              ("turned", [(), (0, 1)]), ("all", [(), (1,), (0,), (0, 1)])])
def test_views_average_what_is_said_of_mirror_images(views, flips):
    model = build_model("compact", "compact16", 2, (32, 64))
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3)).astype(np.float32)
    said = [np.flip(model(np.flip(image, axes)[None].copy(), training=False)[0], axes) for axes in flips]
    found = np.asarray(with_views(model, views)(np.stack([image, image[::-1]]), training=False))
    assert found.shape == (2, 32, 64, 2)
    np.testing.assert_allclose(found[0], np.mean(said, axis=0), atol=1e-5)


def test_turned_views_of_a_turned_image_are_the_answer_turned():
    model = with_views(build_model("compact", "compact16", 2, (32, 64)), "turned")
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 64, 3)).astype(np.float32)
    upright, turned = (np.asarray(model(each.copy(), training=False)) for each in (image, image[:, ::-1, ::-1]))
    np.testing.assert_allclose(turned[:, ::-1, ::-1], upright, atol=1e-5)
    assert np.abs(upright - upright[:, ::-1, ::-1]).max() > 1e-5  # or it would say nothing
