"""ss_poc.formats.coco_sets: several COCO files of one folder, one for each split, read as one data set."""

from __future__ import annotations

import pytest
from boxes import coco, photograph, read, refusal, save

from ss_poc.data.dataset import inspect_coco
from ss_poc.formats.labels import find_labels


def test_the_splits_of_roboflow_are_one_set_with_the_clean_photographs_of_each(tmp_path):
    for seed, name in enumerate(("train/p1.png", "train/p2.png", "valid/p1.png", "test/p4.png")):
        photograph(tmp_path / name, seed, box=seed < 3)
    groups = [{"id": 0, "name": "parts", "supercategory": "none"}, {"id": 1, "name": "scratch"}]
    labels = {"train": coco(["p1.png", "p2.png"]), "valid": coco(["p1.png"]), "test": coco([], ["p4.png"])}
    for split, value in labels.items():
        save(tmp_path / split / "_annotations.coco.json", {**value, "categories": groups})
    found, codes = read(tmp_path)
    assert found == {"test/p4.png": {}, "train/p1.png": {"scratch": 800}, "train/p2.png": {"scratch": 800},
                     "valid/p1.png": {"scratch": 800}}
    assert codes == ["category-unused"]  # Roboflow's group
    assert find_labels(tmp_path).why == "3 files, such as test/_annotations.coco.json"


def test_a_split_without_photographs_is_no_fault_of_the_others(tmp_path):
    photograph(tmp_path / "train" / "p1.png")
    save(tmp_path / "train" / "_annotations.coco.json", coco(["p1.png"]))
    save(tmp_path / "test" / "_annotations.coco.json", {"images": [], "annotations": [], "categories": []})
    assert read(tmp_path) == ({"train/p1.png": {"scratch": 800}}, [])
    save(tmp_path / "train" / "_annotations.coco.json", {"images": [], "annotations": [], "categories": []})
    assert refusal(tmp_path).code == "no-images"


def test_photographs_of_one_name_in_two_subsets_of_cvat_stay_apart(tmp_path):
    photograph(tmp_path / "images" / "Train" / "p1.png", 1)
    photograph(tmp_path / "images" / "Val" / "p1.png", 2, box=False)
    save(tmp_path / "annotations" / "instances_Train.json", coco(["p1.png"]))
    save(tmp_path / "annotations" / "instances_Val.json", coco([], ["p1.png"]))
    save(tmp_path / "annotations" / "captions_Train.json", coco(["p1.png"]))  # of COCO: the same photographs
    assert read(tmp_path) == ({"images/Train/p1.png": {"scratch": 800}, "images/Val/p1.png": {}}, [])


def test_categories_of_one_name_are_one_and_the_others_keep_apart_whatever_their_ids(tmp_path):
    for number in (1, 2):
        photograph(tmp_path / f"part{number}" / f"p{number}.png", number)
    save(tmp_path / "part1" / "_annotations.coco.json", coco(["p1.png"]))
    other = coco(["p2.png"])
    other["categories"] = [{"id": 1, "name": "pit"}, {"id": 2, "name": "scratch"}]
    corner = {"id": 9, "image_id": 1, "category_id": 2, "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]]}
    other["annotations"].append(corner)
    save(tmp_path / "part2" / "_annotations.coco.json", other)
    found, _ = read(tmp_path)
    assert found == {"part1/p1.png": {"scratch": 800}, "part2/p2.png": {"pit": 800, "scratch": 100}}
    assert inspect_coco(tmp_path, tmp_path)[0].labels == ("scratch", "pit")


def test_files_that_name_the_same_photograph_are_refused_and_both_named(tmp_path):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "new.json", coco(["p1.png"]))
    save(tmp_path / "old.json", coco(["p1.png"]))
    save(tmp_path / "notes.json", {"author": "me"})
    said = refusal(tmp_path)
    assert (said.code, said.where) == ("sets-overlap", "old.json")
    assert said.detail.startswith("new.json names p1.png too;")
    assert read(tmp_path / "new.json", tmp_path) == ({"p1.png": {"scratch": 800}}, [])


@pytest.mark.parametrize("key", ["images", "annotations"])
def test_a_damaged_split_is_named_by_its_file(tmp_path, key):
    photograph(tmp_path / "train" / "p1.png")
    save(tmp_path / "train" / "_annotations.coco.json", coco(["p1.png"]))
    save(tmp_path / "valid" / "_annotations.coco.json", {**coco(["p2.png"]), key: [1]})
    assert refusal(tmp_path).where == f"valid/_annotations.coco.json: {key}[0]"
