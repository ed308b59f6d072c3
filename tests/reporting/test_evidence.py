"""ss_poc.reporting.evidence: counts, contradictions and intervals, worked out by hand."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from coco_folder import CocoFolder, box
from PIL import Image

from ss_poc.core.config import Rule
from ss_poc.core.images import decode_image
from ss_poc.core.model_spec import ModelSpec
from ss_poc.inference.predictor import Predictor
from ss_poc.reporting.evidence import BINS, gather


def predictor_of(probability: np.ndarray, labels: tuple[str, ...]) -> Predictor:
    """A model that says the same of every photograph; (h, w, C) is its window and the size of the photograph."""
    colors = ("#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff", "#00ffff", "#888888")[:len(labels)]
    spec = ModelSpec("hand", "v_1", labels, colors, tuple(range(1, len(labels) + 1)), probability.shape[:2], "hand", "",
                     1.0)
    rules = [Rule(label, color, spec.size_hw, 0.5) for label, color in zip(labels, colors, strict=True)]
    return Predictor(spec, rules, lambda batch: np.stack([probability] * len(batch)).astype(np.float32))


@pytest.fixture
def samples(tmp_path):
    """Two photographs of 40x60: one with a pit at rows 5..14 and columns 10..29, and a clean one."""
    folder = CocoFolder(tmp_path, good=0)
    folder.value["categories"] = [{"id": 1, "name": "pit"}, {"id": 2, "name": "scratch"}]
    folder.region(folder.image("0.png", (40, 60)), [box(10, 5, 30, 15)])
    folder.image("1.png", (40, 60))
    folder.region(folder.image("2.png", (40, 60)), [box(0, 0, 9, 9)], category_id=2)
    return folder.load().samples[:2]


def test_pixels_are_counted_by_probability_and_by_label(samples):
    probability = np.zeros((40, 60, 2), np.float32)
    probability[5:15, 10:30, 0] = 0.755  # the pit, whole
    probability[20:22, 0:5, 1] = 0.6     # 10 pixels of a scratch that is none
    found = gather(samples, predictor_of(probability, ("pit", "scratch")))
    assert found.all_at.sum() == 2 * 2 * 40 * 60 and found.all_at.shape == (2, BINS)
    assert found.true_at[0, 75] == 200 and found.true_at.sum() == 200
    assert found.all_at[0, 75] == 400 and found.all_at[1, 60] == 20
    # rows: labelled pit, scratch, background; columns: marked the same
    assert found.confusion.tolist() == [[200, 0, 0], [0, 0, 0], [200, 20, 2 * 2400 - 200 - 200 - 20]]


def test_each_image_has_its_scores_and_pictures(samples):
    probability = np.zeros((40, 60, 2), np.float32)
    probability[5:15, 10:20, 0] = 0.9  # the left half of the pit
    first, second = gather(samples, predictor_of(probability, ("pit", "scratch"))).images
    assert first.dice.tolist() == pytest.approx([2 * 100 / 300, 1.0]) and second.dice.tolist() == [0.0, 1.0]
    assert first.both.tolist() == [100, 0] and first.either.tolist() == [200, 0]
    assert first.defect and second.defect and second.scores == pytest.approx((0.9, 0.0))
    assert [Image.open(BytesIO(picture)).size for picture in first.pictures] == [(60, 40)] * 3


def test_confident_contradictions_are_suspects_and_others_are_not(samples):
    probability = np.zeros((40, 60, 2), np.float32)
    probability[20:30, 40:50, 1] = 0.95   # a scratch nobody labelled; the labelled pit is not seen at all
    probability[0:3, 50:60, 1] = 0.6      # unsure: no suspect
    found = gather(samples[:1], predictor_of(probability, ("pit", "scratch"))).suspects
    assert [(item.channel, item.missing, item.area) for item in found] == [(0, False, 200), (1, True, 100)]
    assert found[0].confidence == 1.0 and found[1].confidence == pytest.approx(0.95)
    assert all(decode_image(item.picture).shape[2] == 3 for item in found)


def test_an_object_that_touches_its_label_is_no_suspect(samples):
    probability = np.zeros((40, 60, 2), np.float32)
    probability[14:30, 10:30, 0] = 0.99   # shares row 14 with the label
    assert gather(samples[:1], predictor_of(probability, ("pit", "scratch"))).suspects == ()


def test_predictor_of_hand_is_what_it_claims():
    probability = np.zeros((4, 6, 1), np.float32)
    probability[1, 2] = 0.7
    mask = predictor_of(probability, ("pit",)).predict(np.zeros((4, 6, 3), np.uint8)).mask
    assert np.argwhere(mask).tolist() == [[1, 2, 0]]


def test_many_classes_and_large_photographs_get_small_pictures(tmp_path):
    folder = CocoFolder(tmp_path, good=0)
    folder.value["categories"] = [{"id": number + 1, "name": f"kind {number}"} for number in range(7)]
    for number in range(7):
        folder.region(folder.image(f"{number}.png", (500, 900)), [box(10, 5, 30, 15)], category_id=number + 1)
    model = predictor_of(np.zeros((512, 928, 7), np.float32), tuple(f"kind {number}" for number in range(7)))
    found = gather(folder.load().samples[:1], model)
    assert [Image.open(BytesIO(picture)).size for picture in found.images[0].pictures] == [(420, 233)] * 3
    assert len(found.suspects) == 1 and not found.suspects[0].missing
