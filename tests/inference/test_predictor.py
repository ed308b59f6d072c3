"""Export, predictor and predict: one graph, the same numbers, masks of the image's size."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from conftest import SOURCE, stage
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from ss_poc.bulk.photographs import Photographs
from ss_poc.bulk.predict import Job, predict_whole
from ss_poc.bulk.store import Store
from ss_poc.core.config import TrainConfig
from ss_poc.core.errors import ArtifactError, ModelError
from ss_poc.core.files import read_json, write_json
from ss_poc.core.images import decode_image, save_image
from ss_poc.core.masks import polygons_to_mask
from ss_poc.core.model_spec import read_spec
from ss_poc.core.platt import Calibration
from ss_poc.core.run import Run, RunData, Split, read_run
from ss_poc.inference.predictor import Prediction, Predictor


@pytest.fixture(scope="module")
def predictor(run) -> Predictor:
    return Predictor.load(run.export, run.rules)


def test_exported_graph_has_one_input_and_one_output(run):
    graph = onnx.load(run.export / "model.onnx").graph
    weights = {item.name for item in graph.initializer}
    assert len([item for item in graph.input if item.name not in weights]) == 1 and len(graph.output) == 1


def test_exported_graph_gives_the_numbers_of_keras(run):
    assert read_run(run)["export"]["max_difference"] <= 1e-4
    assert read_run(run)["export"]["sha256"] == read_spec(run.export).sha256


def test_a_network_of_segmentation_models_exports_alike(tmp_path):
    import keras

    from ss_poc.networks.build import build_model
    from ss_poc.networks.onnx_file import convert
    from ss_poc.optimising.export import compare

    model = build_model("unet", "efficientnetb0", 3, (64, 96))
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.float32)
    reference = keras.ops.convert_to_numpy(model(images))
    convert(model, tmp_path / "model.onnx")
    assert compare(tmp_path / "model.onnx", images, reference) <= 1e-4


def test_a_graph_that_differs_from_keras_is_refused(run):
    from ss_poc.optimising.export import compare

    with pytest.raises(ModelError, match="differs from Keras"):
        compare(run.export / "model.onnx", np.zeros((1, 64, 96, 3), np.float32), np.full((1, 64, 96, 2), 2.0))


def photographs(folder, images) -> Run:
    """What export reads of a run that validated on these photographs."""
    names = [f"{number}.png" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        save_image(folder / name, image)
    return Run(config=TrainConfig(scale=1.0), data=RunData(img_path=str(folder)), split=Split(valid=names))


def test_the_graph_is_compared_on_photographs_from_all_over_the_validation_part(tmp_path):
    from ss_poc.optimising.export import sample_windows

    run = photographs(tmp_path, [np.full((4, 6, 3), grey, np.uint8) for grey in (10, 20, 30, 40, 50)])
    windows = sample_windows(run, (4, 6))
    assert windows.shape == (3, 4, 6, 3) and windows.dtype == np.float32
    assert windows[:, 0, 0, 0].tolist() == [10, 30, 50]  # at most four: every second one of five


def test_the_graph_is_compared_on_what_the_network_gets_of_a_photograph(tmp_path):
    from ss_poc.optimising.export import sample_windows

    columns = np.broadcast_to(np.arange(12, dtype=np.uint8)[None, :, None], (4, 12, 3))
    small = np.broadcast_to(np.arange(3, dtype=np.uint8)[None, :, None], (4, 3, 3))
    windows = sample_windows(photographs(tmp_path, [columns, small]), (4, 4))
    # Windows 4 wide that share at least one column begin at 0, 3, 5 and 8; the third is the middle one.
    assert windows[0, 0, :, 0].tolist() == [5, 6, 7, 8]
    assert windows[1, 0, :, 0].tolist() == [0, 1, 2, 1]  # continued by reflection, not stretched


@pytest.mark.parametrize("size_hw", [(64, 96), (1, 1), (1, 500), (333, 7), (480, 640)])
def test_masks_have_the_size_of_the_image(predictor, size_hw):
    prediction = predictor.predict(np.zeros((*size_hw, 3), np.uint8))
    assert prediction.mask.shape == (*size_hw, 2) and prediction.mask.dtype == bool
    assert prediction.probability.shape == (*size_hw, 2)  # the model works at the photograph's own scale
    assert 0 <= prediction.probability.min() <= prediction.probability.max() <= 1


@pytest.mark.parametrize(("size_hw", "windows"), [
    ((64, 96), 1), ((1, 500), 7),    # 1 + 404 / 72, rounded up
    ((65, 97), 4), ((480, 640), 90)])  # 1 + 416 / 48 and 1 + 544 / 72, rounded up: 10 and 9
def test_windows_of_an_image_are_counted(predictor, size_hw, windows):
    assert predictor.window_count(size_hw) == windows


def test_threshold_replaces_that_of_the_rules(predictor, labelled):
    image = decode_image(labelled / "01.png")
    everything, nothing = predictor.predict(image, 0.0).mask, predictor.predict(image, 1.0).mask
    assert everything.all() and not nothing.any()


def test_answer_by_hand():
    mask = np.zeros((4, 6, 2), bool)
    mask[1, 1:3, 0] = True
    mask[3, 5, 0] = True
    probability = np.zeros((4, 6, 2), np.float32)
    probability[1, 1, 0], probability[1, 2, 0], probability[3, 5, 0] = 0.8, 0.6, 0.5
    prediction = Prediction(mask, probability, ("scratch", "pit"), ("#ff0000", "#0000ff"), (0.0, 0.0))
    assert prediction.objects == [{"label": "scratch", "score": 0.7, "area": 2, "bbox": [1, 1, 2, 1]},
                                  {"label": "scratch", "score": 0.5, "area": 1, "bbox": [5, 3, 1, 1]}]
    assert prediction.verdict == {"defect": True, "labels": ["scratch"]}
    (annotation,) = prediction.coco_annotations([2, 7], image_id=9, first_id=4)
    assert (annotation["id"], annotation["image_id"], annotation["category_id"]) == (4, 9, 2)
    assert annotation["bbox"] == [1, 1, 5, 3] and annotation["area"] == 3
    assert (polygons_to_mask(annotation["segmentation"], (4, 6)) == mask[..., 0]).all()
    assert prediction.rles[1] == {"size": [4, 6], "counts": coco_mask.encode(
        np.zeros((4, 6), np.uint8, order="F"))["counts"].decode()}


def test_clean_image_has_no_objects_and_verdict_false():
    prediction = Prediction(np.zeros((3, 5, 1), bool), np.zeros((3, 5, 1), np.float32), ("pit",), ("#ff0000",), (0.0,))
    assert prediction.objects == [] and prediction.verdict == {"defect": False, "labels": []}
    assert prediction.coco_annotations([1], 1) == []


def test_the_probability_of_a_defect_stands_beside_the_verdict_and_follows_no_mask():
    probability = np.zeros((3, 5, 2), np.float32)
    probability[1, 4, 1] = 0.75
    # 3 : 1, squared and halved: 9 : 2.
    sure = Prediction(np.zeros((3, 5, 2), bool), probability, ("pit", "dent"), ("#ff0000", "#0000ff"), (0.0, 0.0),
                      Calibration(2.0, float(np.log(0.5))))
    assert sure.verdict == {"defect": False, "labels": [], "probability": 0.8182}  # 9/11, with 4 digits


def test_the_probability_of_a_defect_is_read_with_the_rules(run, labelled, tmp_path):
    image, operating = decode_image(labelled / "01.png"), read_json(run.operating_point)
    assert "probability" not in operating  # five images validate
    plain = Predictor.load(run.export, run.rules).predict(image)
    (tmp_path / run.rules.name).write_bytes(run.rules.read_bytes())
    write_json(tmp_path / "operating_point.json", {**operating, "probability": {"factor": 0.5, "offset": 1.0}})
    predictor = Predictor.load(run.export, tmp_path / run.rules.name)
    highest = float(plain.probability.max())
    expected = round(1 / (1 + np.exp(-1) * ((1 - highest) / highest)**0.5), 4)
    assert plain.verdict == {"defect": True, "labels": ["pit"]}
    for threshold in (None, 1.0):  # what is marked changes, the probability does not
        assert predictor.predict(image, threshold).verdict["probability"] == pytest.approx(expected, abs=1e-4)


def test_inference_needs_no_tensorflow(run):
    code = ("import sys; from pathlib import Path; from ss_poc.inference.predictor import Predictor; "
            f"Predictor.load(Path({str(run.export)!r}), Path({str(run.rules)!r})); "
            "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCE)}).returncode == 0


def copy_export(run, folder):
    folder.mkdir()
    for file in run.export.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("damage", ["missing graph", "cut graph", "swapped graph", "missing spec", "cut spec",
                                    "foreign spec"])
def test_a_damaged_model_is_refused(run, tmp_path, damage):
    folder = copy_export(run, tmp_path / "export")
    graph, spec = folder / "model.onnx", folder / "model.json"
    if damage == "missing graph":
        graph.unlink()
    elif damage == "cut graph":
        graph.write_bytes(graph.read_bytes()[:-1])
    elif damage == "swapped graph":
        graph.write_bytes(graph.read_bytes() + b"\0")
    elif damage == "missing spec":
        spec.unlink()
    else:
        spec.write_text(spec.read_text()[:20] if damage == "cut spec" else '{"hello": 1}')
    with pytest.raises(ArtifactError):
        Predictor.load(folder)


def test_rules_of_another_model_are_refused(run, tmp_path):
    other = tmp_path / "rules.csv"
    other.write_text(run.rules.read_text().replace("pit", "hole"))
    with pytest.raises(ArtifactError, match="hole"):
        Predictor.load(run.export, other)


@pytest.fixture(scope="module")
def predicted(run, labelled, tmp_path_factory):
    """`predict` over a folder with subfolder, odd name, and a broken image."""
    folder = tmp_path_factory.mktemp("photos")
    save_image(folder / "sub" / "사진 1.png", decode_image(labelled / "01.png"))
    save_image(folder / "clean.png", decode_image(labelled / "00.png"))
    (folder / "broken.jpg").write_bytes(b"not a picture")
    out = folder / "out"
    done = stage("predict", str(folder), "--img_dir_name", "tiny", "--output", str(out), cwd=run.result.parent,
                 check=False)
    return done, out, folder


def test_predict_goes_on_after_a_broken_image_and_says_so(predicted):
    done, out, _ = predicted
    assert done.returncode == 1 and "not read: broken.jpg" in done.stderr and "2 images" in done.stdout
    assert {path.name for path in (out / "overlay").iterdir()} == {"clean.png.jpg", "sub__사진 1.png.jpg"}


def test_photographs_of_alike_names_have_an_overlay_each(predictor, labelled, tmp_path):
    for name in ("s/b.png", "s__b.png"):
        save_image(tmp_path / "photos" / name, decode_image(labelled / "01.png"))
    job = Job(predictor, Photographs.find(str(tmp_path / "photos")), Store(str(tmp_path / "out")))
    assert predict_whole(job).unread == []
    assert {path.name for path in (tmp_path / "out/overlay").iterdir()} == {"s__b.png.jpg", "s__b.png_2.jpg"}


def test_predict_writes_coco_that_pycocotools_reads_and_rle_that_agrees(predicted, predictor):
    _, out, folder = predicted
    coco = COCO(out / "coco.json")
    assert [item["file_name"] for item in coco.loadImgs(coco.getImgIds())] == ["clean.png", "sub/사진 1.png"]
    assert coco.loadCats(coco.getCatIds()) == [
        {"id": 2, "name": "scratch", "supercategory": "", "color": "#ff0000"},
        {"id": 7, "name": "pit", "supercategory": "", "color": "#0000ff"}]
    with (out / "rle.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    mask = predictor.predict(decode_image(folder / "sub" / "사진 1.png")).mask
    for channel, row in enumerate(row for row in rows if row["image"] == "sub/사진 1.png"):
        decoded = coco_mask.decode({"size": [int(row["height"]), int(row["width"])], "counts": row["counts"].encode()})
        np.testing.assert_array_equal(decoded.astype(bool), mask[..., channel])
    assert len(json.loads((out / "coco.json").read_text())["images"]) == 2


@pytest.mark.parametrize("target", ["nothing/", "*.nothing"])
def test_predict_without_images_says_so(run, target):
    done = stage("predict", target, "--img_dir_name", "tiny", cwd=run.result.parent, check=False)
    assert done.returncode == 1 and "no images" in done.stderr


def test_predict_of_an_unknown_run_names_those_that_exist(run):
    done = stage("predict", ".", "--img_dir_name", "tiny", "--model_name", "v_9", cwd=run.result.parent, check=False)
    assert done.returncode == 1 and "tiny/segment/v_1" in done.stderr


def test_spec_says_what_the_model_is(run):
    spec = read_json(run.export / "model.json")
    assert spec["network"] == "compact/compact24" and spec["size_hw"] == [64, 96]
    assert spec["labels"] == ["scratch", "pit"] and spec["category_ids"] == [2, 7]
