"""Accept, warn, reject or error of an answer, with and without rules."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.core.images import encode_image, save_image
from ss_poc.core.masks import encode_rle
from ss_poc.line.verdict import decide
from ss_poc.measuring.settings import read_rules


def answer(x: int, y: int) -> dict:
    """The service's, to a photograph of 80 x 120 with a dent of 3 x 3 at a place."""
    mask = np.zeros((80, 120), bool)
    mask[y:y + 3, x:x + 3] = True
    return {"labels": ["dent"], "rle": [encode_rle(mask)], "verdict": {"defect": True, "labels": ["dent"]},
            "objects": [{"label": "dent", "score": 0.9, "area": 9, "bbox": [x, y, 3, 3]}]}


@pytest.fixture(scope="module")
def plate() -> np.ndarray:
    squares = np.random.default_rng(0).integers(0, 255, (8, 12, 3))
    return squares.repeat(10, axis=0).repeat(10, axis=1).astype(np.uint8)


@pytest.fixture(scope="module")
def rules(tmp_path_factory, plate):
    """The region is the left half of the plate."""
    folder = tmp_path_factory.mktemp("rules")
    save_image(folder / "plate.png", plate)
    (folder / "rules.yaml").write_text("align: {reference: plate.png, inliers: 10}\n"
                                       "region: [[[0.1, 0.1], [0.5, 0.1], [0.5, 0.9], [0.1, 0.9]]]")
    return read_rules(folder / "rules.yaml")


def test_without_rules_the_services_verdict_counts():
    found = decide(answer(90, 30), None, b"")
    assert (found.verdict, found.reasons, found.found) == ("reject", ("dent was found",), {"dent": (1, 9)})
    assert found.measurements == ({"label": "dent", "objects": 1, "area": 9},)


def test_the_region_is_laid_on_the_photograph_of_the_part(rules, plate):
    straight, turned = (encode_image(image, ".png") for image in (plate, np.rot90(plate, 2).copy()))
    assert decide(answer(30, 30), rules, straight).verdict == "reject"
    assert decide(answer(90, 30), rules, straight).verdict == "accept"
    assert decide(answer(90, 30), rules, turned).verdict == "reject"
    assert decide(answer(30, 30), rules, turned).verdict == "accept"


def test_a_photograph_that_cannot_be_aligned_or_read_is_an_error_with_its_reason(rules, plate):
    blank = decide(answer(30, 30), rules, encode_image(np.full_like(plate, 90), ".png"))
    assert blank.verdict == "error" and "not found as on the reference" in blank.reasons[0]
    assert blank.found == {} and blank.measurements == ()
    broken = decide(answer(30, 30), rules, b"no photograph")
    assert broken.verdict == "error" and "image" in broken.reasons[0]
