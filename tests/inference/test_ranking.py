"""ss_poc.inference.ranking: what is unsure and unlike the rest comes first, and proposals open in the annotators."""

from __future__ import annotations

import csv
import json

import cv2
import numpy as np
import pytest
from conftest import stage

from ss_poc.core.images import save_image
from ss_poc.inference.predictor import Prediction, Predictor, strangeness
from ss_poc.inference.ranking import (
    Ranked,
    choose,
    describe,
    exported,
    label_studio_task,
    unsureness,
    write_ranking,
)


def ranked(name: str, uncertainty: float, *vector: float) -> Ranked:
    return Ranked(name, (4, 6), uncertainty, np.array(vector, np.float32))


def test_a_sure_map_is_not_unsure_and_a_half_is():
    assert unsureness(np.zeros((10, 20, 2), np.float32)) == unsureness(np.ones((10, 20, 1), np.float32)) == 0
    assert unsureness(np.full((10, 20, 1), 0.5, np.float32)) == 1


def test_a_small_unsure_place_counts_whole():
    """200 pixels, of which 0.5 % is one: the one at 0.25 of the second class, 1 - |0.5 - 1| = 0.5."""
    probability = np.zeros((10, 20, 2), np.float32)
    probability[3, 4, 1] = 0.25
    assert unsureness(probability) == pytest.approx(0.5)


def test_unsure_photographs_come_before_sure_ones():
    order = [item.name for item, _ in choose([ranked("sure", 0.1, 1, 0), ranked("unsure", 0.9, 1, 0)], [])]
    assert order == ["unsure", "sure"]


def test_a_twin_of_one_that_is_chosen_or_labelled_waits():
    twins = [ranked("first", 0.9, 1, 0), ranked("twin", 0.8, 1, 0), ranked("other", 0.5, 0, 1)]
    assert [item.name for item, _ in choose(twins, [])] == ["first", "other", "twin"]
    assert [item.name for item, _ in choose(twins, [ranked("labelled", 0.0, 1, 0)])][0] == "other"


def test_novelty_is_the_distance_to_the_nearest_known():
    (item, novelty), = choose([ranked("a", 0.5, 1, 0)], [ranked("b", 0, 0, 1), ranked("c", 0, -1, 0)])
    assert novelty == pytest.approx(2**0.5)
    assert choose([], []) == []


def test_the_same_photograph_looks_the_same_and_another_does_not():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    bright = np.full((30, 50, 3), 200, np.uint8)
    assert np.linalg.norm(describe(image)) == pytest.approx(1, abs=1e-5)
    assert np.abs(describe(image) - describe(image.copy())).max() == 0
    assert np.linalg.norm(describe(image) - describe(bright)) > 0.1
    assert np.isfinite(describe(np.zeros((1, 1, 3), np.uint8))).all()


def test_a_task_of_label_studio_holds_the_regions_in_percent():
    mask = np.zeros((4, 8, 2), bool)
    mask[1:3, 2:6, 1] = True
    found = Prediction(mask, mask.astype(np.float32), ("pit", "scratch"), ("#ff0000", "#00ff00"), (0.0, 0.0))
    task = label_studio_task(Ranked("a/b.png", (4, 8), 0.25, np.zeros(1)), found, "demo v_1")
    assert task["data"] == {"image": "a/b.png"}
    prediction, = task["predictions"]
    result, = prediction["result"]
    assert (result["original_width"], result["original_height"]) == (8, 4)
    assert result["value"]["polygonlabels"] == ["scratch"]
    assert sorted(map(tuple, result["value"]["points"])) == [(25, 25), (25, 75), (75, 25), (75, 75)]


def test_command_ranks_what_is_not_labelled_and_proposes_labels(run, labelled, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for number in range(6):
        picture = np.full((64, 96, 3), 60 + 20 * number, np.uint8)
        if number % 2:
            cv2.circle(picture, (40, 30), 10, (230, 230, 230), -1)
        cv2.imwrite(str(fresh / f"{number}.png"), picture)
    stage("predict", "--rank", str(fresh), "--img_dir_name", "tiny", "--top", "3", "--output", str(tmp_path / "out"),
          cwd=labelled.parent)
    with (tmp_path / "out" / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {row["image"] for row in rows} == {f"{number}.png" for number in range(6)}
    proposals = json.loads((tmp_path / "out" / "proposals.json").read_text())
    assert [image["file_name"] for image in proposals["images"]] == [row["image"] for row in rows[:3]]
    assert {category["name"] for category in proposals["categories"]} == {"scratch", "pit"}
    assert len(json.loads((tmp_path / "out" / "label_studio.json").read_text())) == 3
    assert cv2.imread(str(tmp_path / "out" / "ranking.jpg")).shape[2] == 3


def test_a_damaged_photograph_costs_only_itself_and_is_named_at_the_end(run, labelled, tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    (folder / ".exports").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((64, 96, 3), 60 + 20 * number, np.uint8))
    (folder / "damaged.png").write_bytes((folder / "0.png").read_bytes()[:60])
    (folder / "labelled.png").write_bytes(b"")
    (folder / ".exports/coco-1.json").write_text(json.dumps({"images": [{"id": 1, "file_name": "labelled.png"}]}))
    done = stage("predict", "--rank", str(folder), "--img_dir_name", "tiny", "--output", str(out), cwd=labelled.parent,
                 check=False)
    assert done.returncode == 1 and "3 photographs in order, 2 not read" in done.stdout
    first, second = (line for line in done.stderr.splitlines() if line.startswith("not read: "))
    assert first.startswith("not read: damaged.png: ") and len(first) > len("not read: damaged.png: ")
    assert second.startswith(f"not read: {folder}/labelled.png: the image is empty")
    with (out / "ranking.csv").open() as file:
        assert {row["image"] for row in csv.DictReader(file)} == {"0.png", "1.png", "2.png"}
    proposals = json.loads((out / "proposals.json").read_text())
    assert len(proposals["images"]) == len(json.loads((out / "label_studio.json").read_text())) == 3


def test_a_photograph_that_is_gone_when_labels_are_proposed_costs_only_itself(run, tmp_path):
    save_image(tmp_path / "b.png", np.full((64, 96, 3), 90, np.uint8))
    order = [(Ranked(name, (64, 96), 0.5, np.ones(1)), 2.0) for name in ("a.png", "b.png")]
    (gone,) = write_ranking(order, tmp_path, tmp_path / "out", Predictor.load(run.export, run.rules), 2)
    assert gone.name == "a.png" and "a.png" in gone.reason
    proposed = json.loads((tmp_path / "out/proposals.json").read_text())
    assert [image["file_name"] for image in proposed["images"]] == ["b.png"]


@pytest.mark.parametrize("content", ["[]", "null", '{"images": null}', '{"images": [1, {"id": 2}]}', "{"])
def test_an_export_that_is_none_of_ours_names_no_photograph(tmp_path, content):
    (tmp_path / ".exports").mkdir()
    (tmp_path / ".exports/coco-1.json").write_text(content)
    assert not any(path.is_file() for path in exported(tmp_path))


def test_a_folder_that_is_all_labelled_is_said(run, labelled, tmp_path):
    done = stage("predict", "--rank", str(labelled), "--img_dir_name", "tiny", cwd=labelled.parent, check=False)
    assert done.returncode == 1 and "labelled already" in done.stderr


def test_photographs_of_the_newest_export_are_not_ranked_though_the_model_never_saw_them(run, labelled, tmp_path):
    folder = tmp_path / "photos"
    (folder / ".exports").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((64, 96, 3), 60 + 20 * number, np.uint8))
    (folder / ".exports/coco-1.json").write_text(json.dumps({"images": [{"id": 1, "file_name": "1.png"}]}))
    stage("predict", "--rank", str(folder), "--img_dir_name", "tiny", "--output", str(tmp_path / "out"),
          cwd=labelled.parent)
    with (tmp_path / "out" / "ranking.csv").open() as file:
        assert {row["image"] for row in csv.DictReader(file)} == {"0.png", "2.png"}


def test_strangeness_is_the_mean_of_the_highest_places_of_the_likeliest_class():
    probability = np.zeros((20, 100, 2), np.float32)  # 0.005 of 2,000 places are 10
    probability[0, :5, 0], probability[3, :3, 1], probability[0, :2, 1] = 0.8, 0.4, 0.6
    assert strangeness(probability) == pytest.approx((5 * 0.8 + 3 * 0.4) / 10)
    assert strangeness(np.zeros((3, 5, 1), np.float32)) == 0
