"""ss_poc.optimising.rule_search: what a run's `valid/` folder holds, and that it is true."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import stage

from ss_poc.core.config import Rule
from ss_poc.core.files import read_json, write_json
from ss_poc.core.images import decode_image, save_image
from ss_poc.core.masks import decode_rle
from ss_poc.core.rules_file import read_rules
from ss_poc.core.run import RunPaths, read_run
from ss_poc.core.scores import dice
from ss_poc.core.text_table import counted
from ss_poc.data.dataset import load_coco
from ss_poc.inference.kept import KeptMaps
from ss_poc.inference.predictor import Predictor
from ss_poc.optimising.defect_probability import fit
from ss_poc.optimising.rule_grid import Found
from ss_poc.optimising.rule_search import _judge_all, looks_at, main, score_table


def rows_of(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_valid_folder_holds_what_the_design_names(run):
    names = {path.name for path in run.valid.iterdir()}
    pictures = {f"{Path(name).stem}_segment.jpg" for name in read_run(run)["split"]["valid"]}
    tables = {"valid_batch_true.csv", "valid_batch_pred.csv", "valid_post_grid.csv", "valid_score.csv",
              "valid_held_out.csv", "operating_point.json"}
    assert names - {"report.html"} == pictures | tables
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


def test_the_command_alone_predicts_an_image_once_for_each_look(run, monkeypatch):
    """As it is, mirrored, lighter, and mirrored and darker: four looks at each of few images."""
    copy, asked, probability = RunPaths(run.result.parent / "once", "tiny", "v_1"), [], Predictor.probability
    shutil.copytree(run.folder, copy.folder)
    monkeypatch.setattr(Predictor, "probability",
                        lambda self, image_rgb: asked.append(1) or probability(self, image_rgb))
    main(["--result", str(copy.result), "--img_dir_name", "tiny", "--model_name", "v_1"])
    assert len(asked) == 4 * len(read_run(run)["split"]["valid"]) > 0 and not copy.maps.exists()
    assert copy.rules.read_text() == run.rules.read_text()


def test_rules_claim_the_dice_they_reach_when_applied(run, labelled):
    rules, predictor = read_rules(run.rules), Predictor.load(run.export, run.rules)
    names = set(read_run(run)["split"]["valid"])
    samples = [sample for sample in load_coco(labelled / ".exports" / "coco-1.json", labelled).samples
               if sample.name in names]
    reached = [dice(sample.mask(2), predictor.predict(sample.image()).mask) for sample in samples]
    assert np.mean(reached, axis=0) == pytest.approx([rule.dice for rule in rules], abs=1e-6)


@pytest.mark.parametrize(("megapixels", "times"), [
    (0.1, 4), (7.5, 4), (7.6, 3), (10, 3), (15, 2), (15.1, 1), (30.1, 1), (900, 1)])
def test_few_images_are_looked_at_several_times_many_or_large_ones_once(megapixels, times):
    looks = looks_at(round(megapixels * 1e6), mirrored=True)
    assert len(looks) == len(set(looks)) == times and looks[0] == (False, 1.0)


def test_photographs_that_are_never_mirrored_are_not_mirrored_here():
    assert looks_at(10, mirrored=False) == [(False, 1.0), (False, 1.15), (False, 1 / 1.15)]


def test_a_class_that_is_never_found_is_said():
    """On 2 images, one of them clean, predicting nothing gives a mean Dice of 0.5 that looks like something."""
    rule = Rule("pit", "#ff0000", (4, 6))
    rules = [Found(rule, rule, 0.0, 0.0, 0.0, 1.0)]
    scores = {"images": 2, "dice": {"pit": 0.5}, "dice_plain": {"pit": 0.5}, "iou": {"pit": 0.0}}
    assert "not found on any image yet: pit" in score_table(rules, scores)
    scores["iou"] = {"pit": 0.1}
    assert "not found" not in score_table(rules, scores)


def test_a_class_on_no_validation_image_has_no_iou_and_that_is_said():
    found = [Found(rule, rule, 0.0, 0.0, 0.0, 1.0) for rule in (Rule("pit", "#ff0000", (4, 6)),
                                                                 Rule("dent", "#00ff00", (4, 6)))]
    scores = {"images": 2, "dice": {"pit": 0.5, "dent": 1.0}, "dice_plain": {"pit": 0.5, "dent": 1.0},
              "iou": {"pit": 0.4, "dent": float("nan")}}
    table = score_table(found, scores)
    assert "on no validation image: dent." in table and "nan" not in table
    assert [line.split()[:4] for line in table.splitlines()[1:4]] == [
        ["pit", "0.500", "0.500", "0.400"], ["dent", "1.000", "1.000", "-"], ["mean", "0.750", "0.750", "0.400"]]
    scores["iou"]["pit"] = float("nan")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score_table(found, scores).splitlines()[3].split() == ["mean", "0.750", "0.750", "-"]


def test_pictures_show_the_photograph_at_its_own_size(run):
    for picture in run.valid.glob("*_segment.jpg"):
        assert decode_image(picture).shape == (64, 96, 3)


def test_photographs_of_alike_names_have_a_picture_each(run, labelled, tmp_path):
    names = ("a.jpg", "a.png", "s/b.png", "s__b.png")
    for name, drawn in zip(names, ("01", "02", "03", "05"), strict=True):
        save_image(tmp_path / name, decode_image(labelled / f"{drawn}.png"))
    document = json.loads((labelled / ".exports/coco-1.json").read_text())
    document["images"] = [{"id": number, "file_name": name, "height": 64, "width": 96}
                          for number, name in enumerate(names, start=1)]
    document["annotations"] = [item for item in document["annotations"] if item["image_id"] <= 4]
    (tmp_path / "coco.json").write_text(json.dumps(document))
    samples = load_coco(tmp_path / "coco.json", tmp_path).samples
    (tmp_path / "valid").mkdir()
    judged = _judge_all(tmp_path / "valid", samples, Predictor.load(run.export), KeptMaps(), read_rules(run.rules), 2)
    assert len(judged) == 4
    assert {path.name for path in (tmp_path / "valid").iterdir()} == {
        "a.jpg_segment.jpg", "a.png_segment.jpg", "s__b.png_segment.jpg", "s__b.png_2_segment.jpg"}


def test_few_photographs_give_no_probability_of_a_defect_and_that_is_said(run):
    found = read_run(run)["operating"]
    assert found["probability"] == {
        "why": f"{counted(found['chosen']['defective'], 'defective photograph')} and "
               f"{counted(found['chosen']['clean'], 'clean one')} validate; a probability of a defect takes at least 5 "
               "of each"}
    assert "probability" not in read_json(run.operating_point)


def all_validate(run, labelled, folder: Path, **settings: object) -> RunPaths:
    """A copy of the run in which all 24 photographs validate, 18 with a defect and 6 without."""
    paths = RunPaths(folder / "result", "tiny", "v_1")
    shutil.copytree(run.folder, paths.folder)
    written = read_json(paths.run_json)
    written["data"] |= {"img_path": str(labelled), "json_path": str(labelled / ".exports" / "coco-1.json")}
    written["split"] = {"train": written["split"]["train"], "valid": [f"{number:02d}.png" for number in range(24)]}
    written["config"] |= settings
    write_json(paths.run_json, written)
    return paths


def test_the_probability_of_a_defect_is_fitted_stored_and_served(run, labelled, tmp_path):
    paths = all_validate(run, labelled, tmp_path)
    told = stage("post_processing", "--img_dir_name", "tiny", cwd=tmp_path).stdout
    found, stored = read_run(paths)["operating"]["probability"], read_json(paths.operating_point)
    assert found["images"] == 24 and all(0 <= found[name] <= 1 for name in ("before", "after", "chance"))
    assert f"probability of a defect beside the verdict: off by {found['after']:.3f}" in told
    assert stored["probability"] == {name: found[name] for name in ("factor", "offset")}
    plain, served = (Predictor.load(paths.export, rules) for rules in (None, paths.rules))
    images = [decode_image(labelled / f"{number:02d}.png") for number in range(24)]
    highest = np.array([plain.predict(image).probability.max() for image in images])
    believed = [served.predict(image).verdict["probability"] for image in images]
    assert believed == pytest.approx(fit(highest, np.arange(24) % 4 > 0).apply(highest), abs=2e-3)
    assert min(believed[1::4]) > max(believed[::4])  # a pit is surer than a clean photograph


def test_a_model_of_good_photographs_has_no_probability_of_a_defect(run, labelled, tmp_path):
    paths = all_validate(run, labelled, tmp_path, good_only=True)
    told = stage("post_processing", "--img_dir_name", "tiny", cwd=tmp_path).stdout
    assert "no probability of a defect beside the verdict: how often what is strange is a defect" in told
    assert "probability" not in read_json(paths.operating_point)


def test_search_before_export_says_what_is_missing(run, tmp_path):
    (tmp_path / "result/tiny/segment/v_1").mkdir(parents=True)
    (tmp_path / "result/tiny/segment/v_1/run.json").write_bytes(run.run_json.read_bytes())
    done = stage("post_processing", "--img_dir_name", "tiny", cwd=tmp_path, check=False)
    assert done.returncode == 1 and "model.json is missing" in done.stderr
