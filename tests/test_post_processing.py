"""ss_poc.post_processing: the search finds what applying every rule would find."""

from __future__ import annotations

import csv
import itertools

import cv2
import numpy as np
import pytest
from conftest import stage

from ss_poc.artifacts import read_rules, read_run
from ss_poc.config import Rule
from ss_poc.data import load_coco
from ss_poc.images import decode_image
from ss_poc.inference import Predictor
from ss_poc.masks import decode_rle, dice, refine
from ss_poc.post_processing import Grid, Tally, _best, count_grid, picture_stem, score_table

GRID = Grid((0.2, 0.5, 0.8), (0, 1, 3), (0, 2, 6, 25))


def blobs(size_hw: tuple[int, int], seed: int) -> np.ndarray:
    """(h, w) float32 in 0..1 with blobs of many sizes, holes and touching corners among them."""
    field = cv2.GaussianBlur(np.random.default_rng(seed).random(size_hw), (0, 0), 1.2)
    return ((field - field.min()) / np.ptp(field)).astype(np.float32)


def score_grid(probability: np.ndarray, truth: np.ndarray, grid: Grid) -> np.ndarray:
    tally = Tally(grid)
    tally.add(count_grid(probability, truth, grid), int(truth.sum()), not truth.any())
    return tally.mean_dice


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


def tally_of(grid: Grid, *images: tuple[np.ndarray, int, bool]) -> Tally:
    """Tally of images given as (mask pixels of each threshold, all of them hits if they may be, true, clean)."""
    tally = Tally(grid)
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
    best = _best(Rule("x", "#000000", (4, 6)), tally)
    assert (best.proba, best.pad, best.reduce_size, best.convex, best.dice) == (0.5, 0, 0, False, 0.75)  # 60 / 80
    tally, counts[2, 1, 3, 1] = Tally(GRID), 31
    tally.add(counts, 50, False)
    best = _best(Rule("x", "#000000", (4, 6)), tally)
    assert (best.proba, best.pad, best.reduce_size, best.convex) == (0.8, 1, 25, True)


def test_a_rare_class_is_not_given_up():
    """Found on its one image of ten for one false mark elsewhere: the mean Dice of an image is the same either way."""
    grid = Grid((0.5, 0.9), (0,), (0,))
    nine = [(np.array([10, 0]), 0, False)] + [(np.array([0, 0]), 0, False)] * 8
    tally = tally_of(grid, (np.array([90, 0]), 90, False), *nine)
    assert tally.mean_dice.reshape(-1, 2)[:, 0].tolist() == [0.9, 0.9]
    assert tally.score[0, 0, 0, 0] == pytest.approx(0.9 + 180 / 190) and tally.score[1, 0, 0, 0] == pytest.approx(0.9)
    assert _best(Rule("x", "#000000", (4, 6)), tally).proba == 0.5


def test_false_alarms_on_clean_images_count():
    """At 0.5 80 of 100 pixels more are found, and both clean images are flagged; 0.9 finds 60 and flags none."""
    grid = Grid((0.5, 0.9), (0,), (0,))
    images = (np.array([80, 60]), 100, False), (np.array([1, 0]), 0, True), (np.array([1, 0]), 0, True)
    tally = tally_of(grid, *images)
    assert tally.score[0, 0, 0, 0] == pytest.approx((160 / 180) / 3 + 160 / 182 - 1)
    assert tally.score[1, 0, 0, 0] == pytest.approx((120 / 160 + 2) / 3 + 120 / 160)
    assert _best(Rule("x", "#000000", (4, 6)), tally).proba == 0.9


def test_no_rule_has_less_mean_dice_than_the_plain_threshold():
    """Of all pixels 0.1 finds more than 0.5, but on most images it is wrong."""
    grid = Grid((0.1, 0.5), (0,), (0,))
    images = [(np.array([10000, 0]), 10000, False)] + [(np.array([9, 0]), 0, False)] * 3
    tally = tally_of(grid, *images)
    assert tally.mean_dice[:, 0, 0, 0].tolist() == [0.25, 0.75]
    assert _best(Rule("x", "#000000", (4, 6)), tally).proba == 0.5


def rows_of(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_valid_folder_holds_what_the_design_names(run):
    names = {path.name for path in run.valid.iterdir()}
    pictures = {f"{picture_stem(name)}_segment.jpg" for name in read_run(run)["split"]["valid"]}
    tables = {"valid_batch_true.csv", "valid_batch_pred.csv", "valid_post_grid.csv", "valid_score.csv"}
    assert names == pictures | tables
    header = run.rules.read_text().splitlines()[0]
    assert header == "label,color,size,proba,pad,reduce_size,convex,dice"
    assert [rule.label for rule in read_rules(run.rules)] == ["scratch", "pit"]


def test_scores_in_the_csv_are_those_of_the_masks_in_the_csv(run):
    true, predicted = (rows_of(run.valid / f"valid_batch_{kind}.csv") for kind in ("true", "pred"))
    assert [row["image"] for row in true] == [row["image"] for row in predicted]
    values: dict[str, list[float]] = {"scratch": [], "pit": []}
    for left, right in zip(true, predicted, strict=True):
        size = [int(left["height"]), int(left["width"])]
        masks = [decode_rle({"size": size, "counts": row["counts"]}, size) for row in (left, right)]
        total = masks[0].sum() + masks[1].sum()
        values[left["label"]].append(2 * (masks[0] & masks[1]).sum() / total if total else 1.0)
    scores = {row["post_processed"]: row for row in rows_of(run.valid / "valid_score.csv")}
    assert set(scores) == {"0", "1"}
    for label, found in values.items():
        assert float(scores["1"][label]) == pytest.approx(np.mean(found), abs=1e-6)
    assert float(scores["1"]["total_score"]) == pytest.approx(np.mean([np.mean(v) for v in values.values()]), abs=1e-6)
    assert float(scores["1"]["total_score"]) >= float(scores["0"]["total_score"])
    assert float(scores["1"]["total_score"]) > 0.5


def test_rules_claim_the_dice_they_reach_when_applied(run, labelled):
    rules, predictor = read_rules(run.rules), Predictor.load(run.export, run.rules)
    names = set(read_run(run)["split"]["valid"])
    samples = [sample for sample in load_coco(labelled / ".exports" / "coco-1.json", labelled).samples
               if sample.name in names]
    reached = [dice(sample.mask(2), predictor.predict(sample.image()).mask) for sample in samples]
    assert np.mean(reached, axis=0) == pytest.approx([rule.dice for rule in rules], abs=1e-6)


def test_a_class_that_is_never_found_is_said():
    """On 2 images, one of them clean, predicting nothing gives a mean Dice of 0.5 that looks like something."""
    rules = [Rule("pit", "#ff0000", (4, 6))]
    scores = {"images": 2, "dice": {"pit": 0.5}, "dice_plain": {"pit": 0.5}, "iou": {"pit": 0.0}}
    assert "not found on any image yet: pit" in score_table(rules, scores)
    scores["iou"] = {"pit": 0.1}
    assert "not found" not in score_table(rules, scores)


def test_pictures_show_the_photograph_at_its_own_size(run):
    for picture in run.valid.glob("*_segment.jpg"):
        assert decode_image(picture).shape == (64, 96, 3)


def test_search_before_export_says_what_is_missing(run, tmp_path):
    (tmp_path / "result/tiny/segment/v_1").mkdir(parents=True)
    (tmp_path / "result/tiny/segment/v_1/run.json").write_bytes(run.run_json.read_bytes())
    done = stage("post_processing", "--img_dir_name", "tiny", cwd=tmp_path, check=False)
    assert done.returncode == 1 and "model.json is missing" in done.stderr
