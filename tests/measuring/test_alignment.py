"""Regions that follow the part, and photographs on which it is not found."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ss_poc.core.errors import ConfigError
from ss_poc.core.images import save_image
from ss_poc.core.masks import encode_rle
from ss_poc.measuring.alignment import NotAlignedError, Reference
from ss_poc.measuring.judge import Found, judge
from ss_poc.measuring.settings import read_rules

SIZE_HW = (300, 400)


def part(seed: int = 1) -> np.ndarray:
    """A plate with 25 holes of different sizes and greys on a dark belt."""
    random = np.random.default_rng(seed)
    image = np.full((*SIZE_HW, 3), 30, np.uint8)
    image[50:250, 80:320] = 150
    for _ in range(25):
        x, y, radius, grey = random.integers((95, 65, 3, 0), (305, 235, 9, 255))
        cv2.circle(image, (int(x), int(y)), int(radius), (int(grey),) * 3, -1)
    return image


def moved(degrees: float, dx: float, dy: float, scale: float = 1.0) -> np.ndarray:
    """(2, 3) matrix that turns around the middle, then shifts."""
    matrix = cv2.getRotationMatrix2D((SIZE_HW[1] / 2, SIZE_HW[0] / 2), degrees, scale)
    matrix[:, 2] += dx, dy
    return matrix


def warped(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(image, matrix, SIZE_HW[::-1], borderValue=(30, 30, 30))


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Reference:
    path = tmp_path_factory.mktemp("reference") / "part.png"
    save_image(path, part())
    return Reference.read(path, 25, 2.0)


@pytest.mark.parametrize("matrix", [moved(0, 0, 0), moved(7, 12, -9), moved(-40, 0, 5), moved(180, 3, 0),
                                    moved(3, 5, 5, 0.8)], ids=["still", "moved", "turned", "upside down", "smaller"])
def test_the_part_is_found_where_it_lies(reference, matrix):
    found = reference.find(warped(part(), matrix))
    corners = np.array([[(80, 50), (320, 50), (320, 250), (80, 250)]], float)
    # OpenCV's matrices are between middles of pixels, ours between their corners.
    right = cv2.transform(corners - 0.5, matrix) + 0.5
    assert np.abs(cv2.perspectiveTransform(corners, found) - right).max() < 1.5


@pytest.mark.parametrize("image", [np.full((*SIZE_HW, 3), 30, np.uint8), part(seed=2), part()[:, ::-1].copy(),
                                   np.random.default_rng(3).integers(0, 255, (*SIZE_HW, 3), np.uint8),
                                   warped(part(), moved(0, 0, 0, 0.4))],
                         ids=["empty belt", "another part", "mirrored", "noise", "much smaller"])
def test_a_photograph_on_which_the_part_is_not_found_well_is_refused(reference, image):
    with pytest.raises(NotAlignedError, match="not found as on the reference") as caught:
        reference.find(image)
    assert "25 matches" in caught.value.expected


def test_a_reference_that_shows_nothing_is_refused(tmp_path):
    save_image(tmp_path / "blank.png", np.full((60, 80, 3), 90, np.uint8))
    with pytest.raises(ConfigError, match="has 0 features") as caught:
        Reference.read(tmp_path / "blank.png", 25, 2.0)
    assert "edges, holes or letters" in caught.value.fix


@pytest.fixture
def rules(tmp_path):
    """The region is the right half of the plate."""
    save_image(tmp_path / "part.png", part())
    (tmp_path / "rules.yaml").write_text("align: {reference: part.png}\n"
                                         "region: [[[0.5, 0.1667], [0.8, 0.1667], [0.8, 0.8333], [0.5, 0.8333]]]\n")
    return read_rules(tmp_path / "rules.yaml")


def found_at(*places: tuple[int, int]) -> Found:
    mask = np.zeros(SIZE_HW, np.uint8)
    for x, y in places:
        mask[y - 1:y + 2, x - 1:x + 2] = 1
    return Found(("dent",), [encode_rle(mask)], ("dent",))


def test_the_region_follows_the_part(rules):
    assert judge(found_at((300, 150)), rules, part).verdict == "reject"
    assert judge(found_at((100, 150)), rules, part).verdict == "accept"
    upside_down = warped(part(), moved(180, 0, 0))  # (300, 150) of the part lies at (100, 150) now
    assert judge(found_at((100, 150)), rules, lambda: upside_down).verdict == "reject"
    assert judge(found_at((300, 150)), rules, lambda: upside_down).verdict == "accept"


def test_a_part_that_is_not_found_is_an_error_that_says_so_and_never_judged(rules):
    found = judge(found_at(), rules, lambda: part(seed=2))
    assert found.verdict == "error" and found.regions is None
    assert found.reasons[0].startswith("the part is not found as on the reference: only ")


def test_a_part_whose_region_is_not_wholly_in_the_picture_is_an_error(rules):
    found = judge(found_at(), rules, lambda: warped(part(), moved(0, 110, 0)))  # its right edge would be at 430
    assert found.verdict == "error" and "30 px beyond the photograph" in found.reasons[0]
