"""A camera of 12 bits: its data set trains, and the service answers its files as it answers their 8-bit twins."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SIZE_HW, stage
from PIL import Image
from served import Served, encoded, running

from ss_poc.core.run import RunPaths

NAMES = ("--img_dir_name", "wide", "--model_name", "v_12")


def twelve_bits(photograph: Path) -> np.ndarray:
    """(H, W) uint16: the upper 8 of 12 bits are those of the photograph, the lower 4 run through all they can be."""
    grey = np.asarray(Image.open(photograph).getchannel(0)).astype(np.uint16)
    return grey * 16 + np.arange(grey.size, dtype=np.uint16).reshape(grey.shape) % 16


@pytest.fixture(scope="module")
def wide(labelled: Path, run: RunPaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run on half of the tiny set, as TIFF of 12 bits, lies with its Bento; it begins with weights that see."""
    here = tmp_path_factory.mktemp("wide")
    shutil.copytree(labelled / ".exports", here / "wide" / ".exports")
    (export,) = (here / "wide" / ".exports").glob("*.json")
    document = json.loads(export.read_text())
    document["images"] = document["images"][:12]
    document["annotations"] = [item for item in document["annotations"] if item["image_id"] <= 12]
    for image in document["images"]:
        name = image["file_name"]
        image["file_name"] = name.replace(".png", ".tif")
        Image.fromarray(twelve_bits(labelled / name)).save(here / "wide" / image["file_name"])
    export.write_text(json.dumps(document))
    said = stage("train", "--img_path", "wide", "--epoch", "1", "--batch_size", "4", "--lr", "0.0001", "--weights",
                 str(run.best_model()), *NAMES, cwd=here).stdout
    assert "12 file(s) of 16 bits" in said and "12 bits are used" in said
    for name in ("export", "post_processing", "bento_deploy"):
        stage(name, *NAMES, cwd=here)
    return here


@pytest.fixture(scope="module")
def service(wide: Path) -> Iterator[Served]:
    with running(wide / "deploy/KerasSegmentationService/segment/v_12", SS_POC_COLLECT="") as served:
        yield served


def answer(service: Served, values: np.ndarray, kind: str = "TIFF") -> dict[str, Any]:
    response = service.post(encoded(Image.fromarray(values), kind))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_the_run_and_the_model_keep_the_bits(wide):
    run = json.loads((wide / "result/wide/segment/v_12/run.json").read_text())
    assert run["data"]["bit_depth"] == 12 and run["data"]["findings"]["bit-depth"] == 1
    assert [row["value"] for row in run["recipe"] if row["setting"] == "bit_depth"] == ["12"]
    spec = json.loads((wide / "deploy/KerasSegmentationService/segment/v_12/models/model.json").read_text())
    assert spec["bit_depth"] == 12


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_a_file_of_12_bits_is_answered_as_its_8_bit_twin(service, labelled, kind):
    marked = 0
    for number in (0, 1, 2, 3):
        values = twelve_bits(labelled / f"{number:02d}.png")
        found, twin = answer(service, values, kind), answer(service, (values // 16).astype(np.uint8))
        assert found["rle"] == twin["rle"] and found["objects"] == twin["objects"]
        assert found["rle"][0]["size"] == list(SIZE_HW) and "warnings" not in found and "warnings" not in twin
        marked += len(found["objects"])
    assert marked  # the model does see them


def test_values_above_12_bits_are_clipped_and_said_in_answer_and_log(service, labelled):
    values = twelve_bits(labelled / "01.png")
    brighter, clipped = values * 2, np.minimum(values * 2 // 16, 255).astype(np.uint8)
    assert brighter.max() > 4095
    found = answer(service, brighter)
    assert found["rle"] == answer(service, clipped)["rle"]
    said = [f"values up to {brighter.max()} are clipped to 4095: the photographs of the training have 12 bits"]
    assert found["warnings"] == said
    logged = [json.loads(line) for line in service.log.read_text().splitlines() if "are clipped" in line]
    assert [line["warnings"] for line in logged] == [said]


def test_a_picture_that_uses_under_a_tenth_of_its_range_is_answered_with_a_warning(service):
    body = service.client.post("/predict_batch", files=[
        ("image", ("dark.tif", encoded(Image.fromarray(np.full(SIZE_HW, 200, np.uint16)), "TIFF"))),
        ("image", ("plain.png", encoded(Image.fromarray(np.full(SIZE_HW, 200, np.uint8)))))]).json()
    dark, plain = body["results"]
    assert dark["warnings"] == ["values 200 to 200 use under a tenth of the range 0 to 4095"]
    assert dark["status"] == plain["status"] == 200 and "warnings" not in plain


def test_samples_of_the_model_are_pictures_that_a_browser_shows(service):
    card = service.client.get("/samples/sample_1.png")
    picture = Image.open(io.BytesIO(card.content))
    assert picture.mode == "RGB" and picture.size == SIZE_HW[::-1] and np.asarray(picture).mean() > 80


def test_the_command_finds_what_the_service_finds_and_says_what_is_odd(wide, service, labelled, tmp_path):
    values = twelve_bits(labelled / "02.png")
    Image.fromarray(values).save(tmp_path / "a.tif")
    Image.fromarray(np.full(SIZE_HW, 200, np.uint16)).save(tmp_path / "dark.tif")
    done = stage("predict", str(tmp_path), *NAMES, "--output", str(tmp_path / "out"), cwd=wide)
    assert "note: dark.tif: values 200 to 200 use under a tenth" in done.stderr and "a.tif:" not in done.stderr
    rows = [line for line in (tmp_path / "out/rle.csv").read_text().splitlines() if line.startswith("a.tif")]
    found = answer(service, values)
    assert all(rle["counts"] in row for rle, row in zip(found["rle"], rows, strict=True))
