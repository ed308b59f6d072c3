"""ss_poc.anomaly.good_set: good photographs to a data set that trains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from coco_folder import noise, save_noise
from conftest import stage
from PIL import Image

from ss_poc.anomaly.good_set import GROUP, good_set
from ss_poc.core.config import TrainConfig
from ss_poc.core.errors import ConfigError, DataError
from ss_poc.core.good_names import is_drawn, is_labelled
from ss_poc.core.run import Run, RunPaths, read_run
from ss_poc.data.dataset import Dataset, load_coco
from ss_poc.data.split import split_samples, workpiece_of
from ss_poc.training.earlier import split_of


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photographs, of two sizes, one in a subfolder."""
    for number, (name, size_hw) in enumerate((("a.png", (60, 90)), ("b.png", (80, 50)), ("sub/a.png", (60, 90)))):
        save_noise(tmp_path / "photos" / name, size_hw, number)
    return tmp_path / "photos"


def prepared(photos: Path, **settings: object) -> TrainConfig:
    return good_set(TrainConfig(img_path=str(photos), good_only=True, result=str(photos.parent / "result"),
                                **settings))  # type: ignore[arg-type]


def data_of(config: TrainConfig) -> Dataset:
    return load_coco(Path(str(config.json_path)), Path(config.img_path))


def test_every_photograph_is_there_as_it_is_and_with_defects(photos):
    config = prepared(photos)
    data = data_of(config)
    assert data.labels == ("anomaly",) and config.img_dir_name == "photos"
    assert RunPaths(Path(config.result), config.data_set, "v_1").folder == photos.parent / "result/photos/segment/v_1"
    clean = [sample for sample in data.samples if "~" not in sample.name]
    assert sorted(sample.path.read_bytes() for sample in clean) == sorted(
        path.read_bytes() for path in photos.rglob("*.png"))
    assert not any(sample.regions for sample in clean)
    drawn = [sample for sample in data.samples if "~" in sample.name]
    assert len(drawn) == 3 * 12 and sum(bool(sample.regions) for sample in drawn) >= 30
    for sample in drawn:
        beside = next(item for item in clean if workpiece_of(item.name, GROUP) == workpiece_of(sample.name, GROUP))
        assert sample.size_hw == beside.size_hw
        assert bool(sample.regions) == bool((sample.image() != beside.image()).any())


def test_pictures_of_one_photograph_stay_on_one_side_of_the_split(photos):
    config = prepared(photos)
    train, valid = split_samples(data_of(config).samples, 0.3, 0, str(config.group))
    folders = [{name.split("/")[0] for name in names} for names in (train, valid)]
    assert len(folders[0]) == 2 and len(folders[1]) == 1 and not folders[0] & folders[1]


def test_photographs_of_one_workpiece_stay_together(photos):
    config = prepared(photos, group="([ab])[.]png")
    assert {sample.name.split("/")[0] for sample in data_of(config).samples} == {"a", "b"}


def test_nothing_is_drawn_twice_and_another_seed_draws_something_else(photos):
    first = prepared(photos)
    written = {path: path.stat().st_mtime_ns for path in Path(first.img_path).rglob("*")}
    assert prepared(photos) == first == good_set(first)  # the last as a run is repeated from its run.json
    assert {path: path.stat().st_mtime_ns for path in Path(first.img_path).rglob("*")} == written
    assert prepared(photos, seed=1).img_path != first.img_path


def test_copies_and_damaged_files_are_left_out_and_said(photos, capsys):
    shutil.copy(photos / "a.png", photos / "copy.png")
    (photos / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    data = data_of(prepared(photos))
    said = capsys.readouterr().out
    assert "not read: torn.jpg" in said and "1 photograph left out, the same files as others" in said
    assert len({workpiece_of(sample.name, GROUP) for sample in data.samples}) == 3


def test_where_there_are_labels_photographs_without_a_region_are_good(photos, capsys):
    entries = [{"id": number, "file_name": name, "height": height, "width": width}
               for number, (name, height, width) in enumerate((("a.png", 60, 90), ("b.png", 80, 50),
                                                               ("sub/a.png", 60, 90)), 1)]
    region = {"id": 1, "image_id": 2, "category_id": 1, "iscrowd": 0, "segmentation": [[5, 5, 20, 5, 20, 20, 5, 20]]}
    (photos / ".exports").mkdir()
    (photos / ".exports" / "coco-1.json").write_text(json.dumps({
        "images": entries, "annotations": [region], "categories": [{"id": 1, "name": "pit"}]}))
    config = prepared(photos)
    data = data_of(config)
    assert {workpiece_of(sample.name, GROUP) for sample in data.samples} == {"a", "sub__a", "labelled~"}
    said = capsys.readouterr().out
    assert "mark nothing on 2 of 3 photographs" in said and "1 photograph with labelled defects validate" in said
    (labelled,) = [sample for sample in data.samples if is_labelled(sample.name)]
    assert labelled.path.read_bytes() == (photos / "b.png").read_bytes() and not is_drawn(labelled.name)
    assert data.labels == ("anomaly",) and np.argwhere(labelled.mask(1)[..., 0])[[0, -1]].tolist() == [[5, 5], [19, 19]]
    split = split_of(config, data, {})
    assert labelled.name in split["valid"] and not any(is_labelled(name) for name in split["train"])
    assert {workpiece_of(name, GROUP) for name in split["valid"]} < {"a", "sub__a", "labelled~"}


def test_a_photograph_that_looks_wrong_trains_with_nothing_drawn_onto_it_and_never_validates(tmp_path, capsys):
    for number in range(12):
        save_noise(tmp_path / "photos" / f"{number}.png", (64, 96), number)
    Image.new("RGB", (96, 64), (5, 5, 5)).save(tmp_path / "photos" / "cap.png")
    config = prepared(tmp_path / "photos")
    data, info = data_of(config), json.loads(Path(str(config.json_path)).read_text())["info"]
    assert list(info["odd"]) == ["cap/cap.png"] and info["odd"]["cap/cap.png"] > 8
    assert "cap.png looks wrong among the good photographs" in capsys.readouterr().out
    assert [sample.name for sample in data.samples if "cap" in sample.name] == ["cap/cap.png"]
    assert "cap/cap.png" in split_of(config, data, {})["train"]


def test_photographs_of_16_bits_keep_their_levels(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(2):  # a camera of 12 bits
        values = np.random.default_rng(number).integers(0, 4096, (50, 70)).astype(np.uint16)
        Image.fromarray(values).save(folder / f"{number}.tif")
    data = data_of(prepared(folder))
    assert data.levels.bit_depth == 12 and data.wide == 2
    clean, drawn = (next(sample for sample in data.samples if ("~" in sample.name) == marked)
                    for marked in (False, True))
    assert abs(float(clean.image().mean()) - float(drawn.image().mean())) < 40  # of 255; else 8 or 120 apart


def test_large_photographs_are_looked_at_smaller(tmp_path):
    for number in range(2):
        save_noise(tmp_path / "photos" / f"{number}.png", (500, 2048), number)
    assert prepared(tmp_path / "photos").scale == 0.5
    assert prepared(tmp_path / "photos", scale=1.0).scale == 1.0


@pytest.mark.parametrize(("names", "text"), [(["a.png"], "1 different photograph"),
                                             (["a.png", "copy.png"], "1 different photograph"),
                                             ([], "0 different photographs")])
def test_too_few_photographs_end_in_a_sentence(tmp_path, names, text):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "torn.png").write_bytes(b"\x89PNG torn")
    for name in names:
        Image.fromarray(noise((20, 30), 0)).save(tmp_path / "photos" / name)
    with pytest.raises(DataError, match=text):
        prepared(tmp_path / "photos")
    assert not list(tmp_path.glob("result/**/good_*"))


def test_labels_that_are_named_beside_good_only_are_refused(photos):
    with pytest.raises(ConfigError, match="json_path"):
        prepared(photos, json_path="labels.json")


@pytest.mark.slow
def test_one_flag_trains_on_good_photographs_and_all_later_stages_take_the_model(tmp_path):
    for number in range(8):
        save_noise(tmp_path / "photos" / f"{number}.png", (64, 96), number)
    flags = ("--img_path", "photos", "--epoch", "1", "--encoder", "compact16")
    stage("train", *flags, "--good_only", cwd=tmp_path)
    paths = RunPaths(tmp_path / "result", "photos", "v_1")
    run = read_run(paths)
    assert run["status"] == "finished" and run["data"]["labels"] == ["anomaly"]
    assert Run.read(paths).encoder == "compact16+good" and run["config"]["good_only"]
    assert len({name.split("/")[0] for name in run["split"]["valid"]}) == 2  # a fifth of 8 photographs
    plain = paths.best_model().with_name(paths.best_model().name.replace("_good", ""))
    assert paths.best_model().name.endswith("_good.keras") and plain.is_file()

    again = stage("train", *flags, "--good_only", "--reuse", cwd=tmp_path)
    assert "is trained already" in again.stdout and "remembering" not in again.stderr
    stage("export", "--img_dir_name", "photos", cwd=tmp_path)
    stage("post_processing", "--img_dir_name", "photos", cwd=tmp_path)
    chosen = read_run(paths)["operating"]["chosen"]
    # After one epoch the network says little; the memory is heard all the same.
    assert chosen["max_false_alarm"] == "1%" and chosen["missed"] < chosen["defective"] and not chosen["false_alarms"]
    stage("report", "--img_dir_name", "photos", cwd=tmp_path)
    page = (paths.valid / "report.html").read_text()
    assert "of 2 good photographs</b> that did not train" in page and "against drawn defects: AUROC" in page
    assert page.count('alt="heat map of ') == 8 and "different</em>, not <em>defect" in page
    stage("predict", "--rank", "photos", "--img_dir_name", "photos", "--top", "3", cwd=tmp_path)
    assert len((paths.prediction / "rank" / "ranking.csv").read_text().splitlines()) == 1 + 8
    stage("train", *flags[:4], "--good_only", "--weights", str(plain), "--model_name", "v_2", cwd=tmp_path)
    assert Run.read(RunPaths(tmp_path / "result", "photos", "v_2")).encoder == "compact16+good"
