"""Float, signed and 32-bit photographs of a data set: one range for all, alike in check, training and prediction."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import coco, grey, plane, save
from PIL import Image

from ss_poc.core.config import TrainConfig
from ss_poc.core.run import Run, RunData
from ss_poc.data.check import describe_dataset
from ss_poc.data.dataset import inspect_coco, load_coco, load_trained
from ss_poc.inference.reading import Read, read_photograph
from ss_poc.training.plan import make_plan

NAMES = ["p1.tif", "p2.tif", "p3.tif", "p4.tif"]


@pytest.fixture
def parts(tmp_path):
    """Floats of 0 to 4095, the first photograph at half the light, the second with a hot pixel."""
    folder = tmp_path / "parts"
    save(folder / "coco.json", coco(NAMES))
    for seed, name in enumerate(NAMES):
        values = (grey(seed) * (8.0 if seed == 0 else 16.0)).astype(np.float32)
        values[90, 100] = 1e9 if seed == 1 else values[90, 100]
        Image.fromarray(values).save(folder / name)
    return folder


def test_all_photographs_have_the_range_of_the_data_set_and_it_is_said(parts):
    dataset, findings = inspect_coco(parts, parts)
    assert dataset.levels.span == (0, 4095) and (dataset.wide, dataset.spanned) == (0, 4)
    assert [int(np.median(sample.image()[plane()])) for sample in dataset.samples] == [15, 30, 30, 30]
    (said,) = [item.detail for item in findings if item.code == "value-range"]
    assert said == "4 file(s) with values 240 to 2064: 0 to 4095 become black to white"
    assert ("values       0 to 4095 become black to white, in 4 images of float, signed or 32-bit values"
            in describe_dataset(dataset).splitlines())


def test_a_model_reads_photographs_as_its_training_did_whatever_the_others_are(parts):
    dataset = load_coco(parts / "coco.json", parts)
    for sample in dataset.samples:
        read = read_photograph(sample.path, sample.name, dataset.levels)
        assert isinstance(read, Read) and np.array_equal(read.image_rgb, sample.image())
    save(parts / "coco.json", coco(NAMES[:1]))  # alone, it would be taken for less
    data = RunData(json_path=str(parts / "coco.json"), img_path=str(parts), value_range=[0, 4095])
    (alone,) = load_trained(Run(data=data)).samples
    assert np.array_equal(alone.image(), dataset.samples[0].image())
    before = load_trained(Run(data=RunData(json_path=data.json_path, img_path=data.img_path)))
    assert before.samples[0].image().min() == 240  # of a run of an earlier version: clipped, not scaled


def test_the_training_says_the_range_in_its_table(parts, tmp_path):
    plan = make_plan(TrainConfig(img_path=str(parts), result=str(tmp_path / "result"), architecture="compact"))
    assert [(row.setting, row.value) for row in plan.recipe if row.setting == "value_range"] == [
        ("value_range", "0 to 4095")]
