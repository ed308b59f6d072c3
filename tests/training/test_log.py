"""ss_poc.training.log: the rows of a training, and what they say about more time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ss_poc.core.errors import ModelError
from ss_poc.core.run import RunPaths
from ss_poc.training.log import EpochLog


def log_of(*ious: float) -> EpochLog:
    log = EpochLog(RunPaths(Path("result"), "tiny", "v_1"))
    for epoch, iou in enumerate(ious, 1):
        log.add({"epoch": epoch, "loss": 1.0, "val_loss": 1.0, "val_iou": iou}, 0.001)
    return log


@pytest.mark.parametrize(("last", "seen", "said"), [
    (0.53, 90, "+0.030 IoU: a longer budget is worth it"), (0.53, 9, "+0.030 IoU: a longer budget is worth it"),
    (0.49, 9, "+0.000 IoU: but images were seen few times yet, so a longer budget may still help"),
    (0.51, 90, "+0.010 IoU: a longer budget would bring little")])
def test_the_outlook_follows_from_the_last_quarter_and_how_often_images_were_seen(last, seen, said):
    assert log_of(0.3, 0.5, 0.4, last).outlook(seen, budget=True).endswith(said)


def test_without_a_budget_or_with_few_epochs_nothing_is_said_of_more_time():
    assert log_of(0.3, 0.5, 0.4, 0.6).outlook(12, budget=False) == "each image was seen about 12 times"
    assert log_of(0.3, 0.5, 0.6).outlook(12, budget=True) == "each image was seen about 12 times"


def test_of_equal_epochs_the_first_is_the_best():
    assert log_of(0.3, 0.5, 0.5, 0.4).best["epoch"] == 2


def test_a_loss_that_is_not_finite_ends_the_training_with_what_to_do():
    with pytest.raises(ModelError, match=r"epoch 2 is nan \(1.0 in validation\)") as caught:
        log_of(0.1).add({"epoch": 2, "loss": float("nan"), "val_loss": 1.0, "val_iou": 0.1}, 0.004)
    assert "a smaller --lr than 0.004" in caught.value.fix
