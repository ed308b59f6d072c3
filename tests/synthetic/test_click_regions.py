"""Drawn regions that somebody may click on."""

import numpy as np

from ss_poc.synthetic import click_regions
from ss_poc.synthetic.click_crops import Example, Regions, click_on_error, draw_example
from ss_poc.synthetic.click_regions import LEAST_AREA, MOST_FRACTION, draw_region_files, draw_regions, pieces
from ss_poc.synthetic.surfaces import SIDE


def test_the_same_random_numbers_draw_the_same_regions():
    first, second = (draw_regions(np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_every_region_is_one_piece_of_a_sensible_size():
    for seed in range(6):
        image, regions = draw_regions(np.random.default_rng(seed))
        assert image.shape == (SIDE, SIDE, 3) and image.dtype == np.uint8 and regions
        for region in regions:
            assert LEAST_AREA <= region.sum() <= MOST_FRACTION * SIDE * SIDE
            assert len(pieces(region)) == 1


def test_specks_and_backgrounds_are_no_regions():
    mask = np.zeros((30, 40), bool)
    mask[2:5, 2:5] = mask[10:16, 10:16] = mask[20:28, 20:36] = True
    assert [piece.sum() for piece in pieces(mask)] == [8 * 16, 6 * 6]
    assert pieces(np.ones((30, 40), bool)) == [] and pieces(np.zeros((30, 40), bool)) == []


def test_files_hold_every_region_of_their_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(click_regions, "FILE_PICTURES", 4)
    draw_region_files(tmp_path / "drawn", 1, seed=5)
    regions = Regions(sorted((tmp_path / "drawn").glob("*.npz")))
    image, masks = draw_regions(np.random.default_rng([5, 0, 0]))
    assert len(regions.images) == 4 and np.array_equal(regions.images[0], image)
    assert (regions.owners == 0).sum() == len(masks)
    assert all(np.array_equal(regions.mask(number), mask) for number, mask in enumerate(masks))
    assert regions.beside(0).tolist() == list(range(len(masks)))
    random = np.random.default_rng(0)
    for example in (draw_example(random, regions, 96) for _ in range(40)):
        assert example.image.shape == (96, 96, 3) and example.target.sum() >= 1
        assert example.clicks or example.box
        assert all(example.target[int(click.y), int(click.x)] == click.positive for click in example.clicks)


def test_the_largest_error_is_clicked_on_and_the_answer_remembered():
    """12 x 12 pixels are missing, 4 x 4 too much: the click is positive, and lies in what is missing."""
    target = np.zeros((40, 60), bool)
    target[10:22, 10:22] = True
    answer = np.zeros((40, 60), np.float32)
    answer[30:34, 50:54] = 0.9
    example = Example(np.zeros((40, 60, 3), np.uint8), target)
    click_on_error(np.random.default_rng(0), example, answer)
    (click,) = example.clicks
    assert click.positive and target[click.y, click.x] and example.previous is answer


def test_a_perfect_answer_gets_no_click():
    target = np.zeros((40, 60), bool)
    target[10:22, 10:22] = True
    example = Example(np.zeros((40, 60, 3), np.uint8), target)
    click_on_error(np.random.default_rng(0), example, target.astype(np.float32))
    assert example.clicks == []
