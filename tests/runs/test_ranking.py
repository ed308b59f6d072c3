"""ss_poc.runs.ranking: recipes are ranked by all folds and seeds together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ss_poc.core.config import TrainConfig
from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import write_csv, write_json
from ss_poc.core.masks import encode_rle
from ss_poc.core.run import RLE_COLUMNS
from ss_poc.runs.plan import PlannedRun
from ss_poc.runs.ranking import ranking


def plane(pixels: int) -> np.ndarray:
    return (np.arange(24) < pixels).reshape(4, 6)


def planned(root, recipe: str, seed: int = 0, fold: str = "1/2", data: str = "hand", group: str | None = None):
    return PlannedRun(recipe, TrainConfig(result=str(root), img_path=data, seed=seed, fold=fold, group=group,
                                          model_name=f"{recipe}-{seed}-{fold[0]}", reuse=True))


def done(run: PlannedRun, predicted: dict[str, int], fingerprint: str = "f" * 64) -> PlannedRun:
    """A run that marked so many pixels of the images that validate; 12 of 4x6 were right, the first ones."""
    write_json(run.paths.run_json, {
        "status": "finished", "scores": {"images": len(predicted)}, "config": dataclasses.asdict(run.config),
        "data": {"labels": ["pit"], "fingerprint": fingerprint, "images": 9}})
    for kind in ("true", "pred"):
        write_csv(run.paths.valid / f"valid_batch_{kind}.csv", RLE_COLUMNS,
                  [(name, "pit", 4, 6, encode_rle(plane(12 if kind == "true" else pixels))["counts"])
                   for name, pixels in predicted.items()])
    return run


def folds(root, recipe: str, pixels: int, **named) -> list[PlannedRun]:
    """Two folds of four photographs each, all found in one way."""
    return [done(planned(root, recipe, fold=f"{number}/2", **named),
                 {f"p{number}{index}_top.png": pixels for index in range(4)}) for number in (1, 2)]


def test_the_best_recipe_is_first_and_the_others_are_compared_with_it(tmp_path):
    text = ranking([*folds(tmp_path, "worse", 6), *folds(tmp_path, "better", 12)])
    assert text.startswith("hand: 4 of 4 runs done; compared on 8 photographs\n")
    first, second = text.splitlines()[2:4]
    assert first.split() == ["1", "better", *["1.000", "(1.000", "to", "1.000)"], *["1.000", "(1.000", "to", "1.000)"]]
    # 6 of 12 pixels: Dice 12 / 18, IoU 6 / 12; every photograph says the same.
    assert second.split()[:2] == ["2", "worse"] and "0.667 (0.667 to 0.667)" in second
    assert "-0.333, -0.333 to -0.333: worse" in second and "-0.500, -0.500 to -0.500: worse" in second


def test_recipes_are_compared_on_what_validated_in_both_with_the_same_seed(tmp_path):
    both = folds(tmp_path, "half", 6)
    other = planned(tmp_path, "full", fold="2/2")
    full = done(planned(tmp_path, "full"), {f"p1{index}_top.png": 12 for index in range(4)})
    text = ranking([*both, full, other])
    assert text.startswith("hand: 3 of 4 runs done; compared on 4 photographs\n")
    text = ranking([*both, done(planned(tmp_path, "late", seed=1), {"p10_top.png": 12})])
    assert "no photograph validates in all recipes yet" in text and "late" not in text


def test_photographs_of_one_workpiece_are_drawn_together(tmp_path):
    """Of two workpieces one is found: a sample of two workpieces holds none, one or two of it, so 0, 0.5 or 1."""
    def runs(group):
        return [done(planned(tmp_path, "half", group=group),
                     {f"p{number // 8}_{number}.png": 12 * (number // 8) for number in range(16)})]

    assert "compared on 16 photographs of 2 workpieces" in ranking(runs("^[^_]+"))
    assert "0.500 (0.000 to 1.000)" in ranking(runs("^[^_]+"))
    assert "0.500 (0.250 to 0.750)" in ranking(runs(None)), "16 photographs, each by itself"


def test_each_seed_is_told(tmp_path):
    runs = [*folds(tmp_path, "only", 12), *folds(tmp_path, "only", 6, seed=1)]
    row = ranking(runs).splitlines()[2]
    assert "0.833 (0.833 to 0.833)  0.667 to 1.000" in row, "the mean of both"


def test_data_sets_count_the_same_in_their_mean(tmp_path):
    runs = [*folds(tmp_path, "a", 12), *folds(tmp_path, "b", 6),
            *folds(tmp_path, "a", 0, data="other"), *folds(tmp_path, "b", 12, data="other")]
    mean = ranking(runs).split("mean of 2 data sets\n")[1].splitlines()
    assert mean[1].split()[:3] == ["1", "b", "0.833"] and mean[2].split()[:3] == ["2", "a", "0.500"]


def test_what_cannot_be_ranked_is_said(tmp_path):
    with pytest.raises(ArtifactError, match="none of 1 run is done"):
        ranking([planned(tmp_path, "a")])
    runs = [*folds(tmp_path, "a", 12), done(planned(tmp_path, "b"), {"p10_top.png": 3}, fingerprint="e" * 64)]
    with pytest.raises(ArtifactError, match="changed between runs: not as in the first are those of hand/b-0-1"):
        ranking(runs)
