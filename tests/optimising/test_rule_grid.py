"""ss_poc.optimising.rule_grid: finds what every rule would find, keeps to simple rules where others are luck."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from ss_poc.core.config import Rule
from ss_poc.core.refine import refine
from ss_poc.core.scores import dice
from ss_poc.optimising.rule_grid import Grid, Tally, count_grid, find_rule, grid_of, held_out

PLAIN = Rule("x", "#000000", (4, 6))
GRID = Grid((0.2, 0.5, 0.8), (0, 1, 3), (0, 2, 6, 25))


def blobs(size_hw: tuple[int, int], seed: int) -> np.ndarray:
    """(h, w) float32 in 0..1 with blobs of many sizes, holes and touching corners among them."""
    field = cv2.GaussianBlur(np.random.default_rng(seed).random(size_hw), (0, 0), 1.2)
    return ((field - field.min()) / np.ptp(field)).astype(np.float32)


def score_grid(probability: np.ndarray, truth: np.ndarray, grid: Grid) -> np.ndarray:
    tally = Tally(grid)
    tally.add(count_grid(probability, truth, grid), int(truth.sum()), not truth.any())
    return tally.mean_dice()


def brute_force(probability: np.ndarray, truth: np.ndarray, grid: Grid) -> np.ndarray:
    scores = np.empty(grid.shape)
    for t, p, a, convex in itertools.product(*(range(length) for length in grid.shape)):
        rule = Rule("x", "#000000", probability.shape, grid.thresholds[t], grid.pads[p], grid.areas[a], bool(convex))
        scores[t, p, a, convex] = dice(truth[..., None], refine(probability[..., None], [rule], truth.shape))[0]
    return scores


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size_hw", [(24, 36), (40, 31), (50, 90)])
def test_search_scores_every_rule_as_applying_it_would(size_hw, seed):
    probability = blobs((24, 36), seed)
    truth = blobs(size_hw, seed + 100) > 0.6
    np.testing.assert_allclose(score_grid(probability, truth, GRID), brute_force(probability, truth, GRID), atol=1e-12)


def test_components_inside_a_ring_are_scored_as_applied():
    probability = np.zeros((40, 40), np.float32)
    cv2.circle(probability, (20, 20), 15, 0.9, 1)
    cv2.circle(probability, (20, 20), 8, 0.7, -1)
    truth = probability > 0.6
    np.testing.assert_allclose(score_grid(probability, truth, GRID), brute_force(probability, truth, GRID), atol=1e-12)


def test_empty_truth_scores_1_where_the_mask_is_empty_and_0_elsewhere():
    probability = np.full((4, 6), 0.6, np.float32)
    scores = score_grid(probability, np.zeros((4, 6), bool), Grid((0.5, 0.7), (0,), (0, 25)))
    assert scores[0, 0, 0].tolist() == [0.0, 0.0]   # 24 pixels are found, none is right
    assert scores[0, 0, 1].tolist() == [1.0, 1.0]   # 24 are fewer than 25: dropped
    assert scores[1, 0, 0].tolist() == [1.0, 1.0]   # 0.6 is under the threshold


def test_hand_counted_dice():
    probability = np.zeros((4, 6), np.float32)
    probability[0, :4] = 0.9
    probability[3, 5] = 0.9
    truth = np.zeros((4, 6), bool)
    truth[0, 2:6] = True
    scores = score_grid(probability, truth, Grid((0.5,), (0,), (0, 2)))
    assert scores[0, 0, 0, 0] == pytest.approx(2 * 2 / (5 + 4))
    assert scores[0, 0, 1, 0] == pytest.approx(2 * 2 / (4 + 4))


def tally_of(grid: Grid, *images: tuple[np.ndarray, int, bool], looks: int = 1) -> Tally:
    """Tally of images given as (mask pixels of each threshold, all of them hits if they may be, true, clean)."""
    tally = Tally(grid, looks)
    for predicted, true, clean in images:
        counts = np.zeros((*grid.shape, 2), np.int64)
        counts[..., 0] = np.reshape(predicted, (-1, 1, 1, 1))
        counts[..., 1] = np.minimum(counts[..., 0], true)
        tally.add(counts, true, clean)
    return tally


def test_among_equal_rules_the_plainest_is_chosen():
    tally = Tally(GRID)
    counts = np.full((*GRID.shape, 2), 30, np.int64)
    tally.add(counts, 50, False)
    best = find_rule(PLAIN, tally).best
    assert (best.proba, best.pad, best.reduce_size, best.convex, best.dice) == (0.5, 0, 0, False, 0.75)  # 60 / 80
    tally, counts[2, 1, 3, 1] = Tally(GRID), 31
    tally.add(counts, 50, False)
    best = find_rule(PLAIN, tally).best
    assert (best.proba, best.pad, best.reduce_size, best.convex) == (0.8, 1, 25, True)


def test_a_rare_class_is_not_given_up():
    """Found on its one image of ten for one false mark elsewhere: the mean Dice of an image is the same either way."""
    grid = Grid((0.5, 0.9), (0,), (0,))
    nine = [(np.array([10, 0]), 0, False)] + [(np.array([0, 0]), 0, False)] * 8
    tally = tally_of(grid, (np.array([90, 0]), 90, False), *nine)
    assert tally.mean_dice().reshape(-1, 2)[:, 0].tolist() == [0.9, 0.9]
    assert tally.score()[:, 0, 0, 0] == pytest.approx([0.9 + 180 / 190 - 1.5 / 9, 0.9])
    assert find_rule(PLAIN, tally).best.proba == 0.5


def test_false_alarms_on_clean_images_count():
    """At 0.5 80 of 100 pixels more are found, and both clean images are flagged; 0.9 finds 60 and flags none."""
    grid = Grid((0.5, 0.9), (0,), (0,))
    images = (np.array([80, 60]), 100, False), (np.array([1, 0]), 0, True), (np.array([1, 0]), 0, True)
    tally = tally_of(grid, *images)
    assert tally.score()[0, 0, 0, 0] == pytest.approx((160 / 180) / 3 + 160 / 182 - 3 - 1.5)
    assert tally.score()[1, 0, 0, 0] == pytest.approx((120 / 160 + 2) / 3 + 120 / 160)
    assert find_rule(PLAIN, tally).best.proba == 0.9


def test_no_rule_has_less_mean_dice_than_the_plain_threshold():
    """Of all pixels 0.1 finds more than 0.5, but on most images it is wrong."""
    grid = Grid((0.1, 0.5), (0,), (0,))
    images = [(np.array([10000, 0]), 10000, False)] + [(np.array([9, 0]), 0, False)] * 3
    tally = tally_of(grid, *images)
    assert tally.mean_dice()[:, 0, 0, 0].tolist() == [0.25, 0.75]
    assert find_rule(PLAIN, tally).best.proba == 0.5


@pytest.mark.parametrize(("better", "taken"), [(1, 0.5), (4, 0.9)])
def test_a_rule_that_helps_on_one_image_of_twenty_is_luck(better, taken):
    """A bootstrap sample holds one certain image of twenty with 64 %, one of four certain ones with 99 %."""
    grid = Grid((0.5, 0.9), (0,), (0,))
    images = [(np.array([50, 90]), 100, False)] * better + [(np.array([50, 50]), 100, False)] * (20 - better)
    found = find_rule(PLAIN, tally_of(grid, *images))
    assert found.best.proba == 0.9 and found.rule.proba == taken
    assert found.low >= 0 and found.low <= found.gain <= found.high
    assert found.sure == pytest.approx(1 - (1 - better / 20)**20, abs=0.05) if taken == 0.5 else found.sure == 1.0


def test_a_rule_that_flags_a_clean_image_in_other_light_is_not_taken():
    """As they are, 0.4 finds all of one image and leaves the clean one alone; lighter, it marks that as well."""
    grid = Grid((0.4, 0.5), (0,), (0,))
    defective, clean = (np.array([100, 90]), 100, False), (np.array([0, 0]), 0, True)
    assert find_rule(PLAIN, tally_of(grid, defective, clean)).best.proba == 0.4
    lighter = (np.array([5, 0]), 0, True)
    found = find_rule(PLAIN, tally_of(grid, defective, defective, clean, lighter, looks=2))
    assert found.best.proba == 0.5
    # 180 / 190 on one image and 1 on the other; 0.4 would reach 1, and its score pays for the look it flags
    assert found.best.dice == pytest.approx((180 / 190 + 1) / 2)


def test_mean_dice_is_that_of_the_images_as_they_are():
    grid = Grid((0.5,), (0,), (0,))
    tally = tally_of(grid, (np.array([100]), 100, False), (np.array([0]), 100, False), looks=2)
    assert tally.mean_dice().ravel()[0] == 1.0
    assert tally.score().ravel()[0] == pytest.approx(0.5 + 200 / 300)


def test_looks_at_one_image_are_no_images_of_their_own():
    """What one image of twenty says four times is as little sure as what it says once."""
    grid = Grid((0.5, 0.9), (0,), (0,))
    images = [(np.array([50, 90]), 100, False)] + [(np.array([50, 50]), 100, False)] * 19
    once = find_rule(PLAIN, tally_of(grid, *images))
    often = find_rule(PLAIN, tally_of(grid, *[image for image in images for _ in range(4)], looks=4))
    assert often.rule.proba == once.rule.proba == 0.5 and often.sure == pytest.approx(once.sure)


def test_a_threshold_alone_is_kept_where_the_rest_adds_nothing_sure():
    grid = Grid((0.5, 0.9), (0, 1), (0,))
    tally = Tally(grid)
    for number in range(20):
        counts = np.full((*grid.shape, 2), 50, np.int64)
        counts[1] = 90                        # the higher threshold helps everywhere
        counts[1, 1] = 95 if number == 0 else 90  # dilation on top on one image
        tally.add(counts, 100, False)
    found = find_rule(PLAIN, tally)
    assert (found.best.proba, found.best.pad) == (0.9, 1) and (found.rule.proba, found.rule.pad) == (0.9, 0)


def test_the_same_images_give_the_same_rule():
    random = np.random.default_rng(0)
    images = [(random.integers(0, 100, 3), int(random.integers(0, 100)), False) for _ in range(9)]
    grid = Grid((0.3, 0.5, 0.7), (0,), (0,))
    assert find_rule(PLAIN, tally_of(grid, *images)) == find_rule(PLAIN, tally_of(grid, *images))


def test_areas_to_try_follow_from_the_labels():
    assert grid_of([100.0] * 10).areas == (0, 12, 25, 50, 100)
    assert grid_of([]).areas == (0,) and grid_of([4.0]).areas == (0, 2, 4)
    assert 0.5 in grid_of([]).thresholds and len(grid_of([]).thresholds) == 19


def test_a_map_below_every_threshold_marks_nothing():
    counts = count_grid(np.full((4, 6), 0.04, np.float32), np.ones((8, 12), bool), grid_of([9.0]))
    assert not counts.any()


def test_only_part_of_the_image_being_looked_at_changes_nothing():
    """One blob at the edge of a large empty image, dilated up to and over the border."""
    probability = np.zeros((60, 90), np.float32)
    probability[0:4, 85:90] = 0.9
    probability[30:33, 40:50] = 0.6
    truth = np.zeros((60, 90), bool)
    truth[0:5, 80:90] = True
    np.testing.assert_allclose(score_grid(probability, truth, GRID), brute_force(probability, truth, GRID), atol=1e-12)


def test_an_image_is_judged_under_the_rule_that_others_ask_for():
    """Of image 0 a threshold of 0.3 marks 10 pixels, 5 of them right, and 0.5 marks 4, all right; of image 1 0.3 marks
    all of its 10 labelled pixels and no other, and 0.5 only 5 of them. So each by itself asks for what harms the
    other."""
    grid = Grid((0.3, 0.5), (0,), (0,))
    tally = Tally(grid, looks=2)
    for low, high in (((10, 5), (4, 4)), ((10, 10), (5, 5))):
        for _ in range(2):
            tally.add(np.array([[[[low] * 2]], [[[high] * 2]]]), 10, clean=False)
    plain = Rule("pit", "#ff0000", (4, 6))
    assert {fold: rule.proba for fold, rule in held_out(plain, tally, [0, 1]).items()} == {0: 0.3, 1: 0.5}
    # Of one workpiece, nothing is left out: 0.3 is better for one image alone, so the plain rule stays.
    assert {fold: rule.proba for fold, rule in held_out(plain, tally, [0, 0]).items()} == {0: 0.5}
