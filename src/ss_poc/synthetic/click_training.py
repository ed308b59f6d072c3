"""The training of the click network: clicks on the largest error, the last answer fed back."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..clicks.guidance import guidance
from ..core.files import atomic_path, read_json, write_json
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.batch_norm import fused
from ..networks.clicks import click_network
from ..networks.muon import Muon
from .click_crops import Example, Regions, click_on_error, draw_example

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["Plan", "train"]

LR, BATCH, WARM_UP, LAST_FRACTION = 4e-3, 8, 0.03, 0.01
EMA = 0.995
# How often an example gets 0, 1, 2 and 3 clicks more before it is learned from.
MORE_CLICKS = (0.4, 0.3, 0.2, 0.1)
EPOCH_STEPS, JUDGED, AHEAD = 200, 64, 4


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        encoder: key of COMPACT_ENCODERS.
        seconds: of the training, those of an interrupted one before it included.
        sizes: height and width of an example, and the fraction of the seconds up to which it is so large: small ones
            first, because they are several times as fast (Tan & Le 2021, arXiv 2104.00298, section 4).
        seed: what examples follow from.
    """

    encoder: str
    seconds: float
    seed: int
    sizes: tuple[tuple[int, float], ...] = ((128, 0.8), (192, 1.0))


def batch_of(examples: list[Example]) -> np.ndarray:
    """What the network takes: (N, size, size, 7) float32."""
    return np.stack([np.concatenate([example.image.astype(np.float32),
                                     guidance(example.target.shape, example.clicks, example.box, example.previous)], -1)
                     for example in examples])


def loss_of(target: Any, logits: Any) -> Any:
    """Binary cross-entropy and soft Dice loss, of each example by itself.

    Args:
        target: (N, h, w, 1) float32, 0 or 1.
        logits: (N, h, w, 1) float32.
    """
    probability, axes = tf.sigmoid(logits), (1, 2, 3)
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target, logits), axes)
    dice = 1 - (2 * tf.reduce_sum(target * probability, axes) + 1) / (tf.reduce_sum(target + probability, axes) + 1)
    return tf.reduce_mean(entropy + dice)


def train(plan: Plan, regions: Regions, judged: Regions, folder: Path) -> list[np.ndarray]:
    """Train, or go on with what a folder holds, until the plan's seconds are over.

    Args:
        plan: what is trained.
        regions: to learn from.
        judged: what the log says IoU of.
        folder: for the log and the state, which is written each epoch.

    Returns:
        The averaged weights, in the order of `click_network(plan.encoder).weights`.
    """
    for size, until in plan.sizes:
        weights = _train_at(plan, size, until, regions, judged, folder)
    return weights


def _train_at(plan: Plan, size: int, until: float, regions: Regions, judged: Regions, folder: Path) -> list[np.ndarray]:
    """Train at one size up to a fraction of the seconds; see `train`."""
    model = fused(click_network(plan.encoder, size))
    optimizer = Muon(LR, weight_decay=1e-2, use_ema=True, ema_momentum=EMA)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(model.trainable_variables)
    served = click_network(plan.encoder, size, pretrained=False)
    state = _resume(folder, model, optimizer)
    answer, served_answer = _answer_of(model), _answer_of(served)

    @tf.function
    def step(inputs: Any, target: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(target, model(inputs, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    random = np.random.default_rng([plan.seed, size, state["step"]])
    fixed = [draw_example(np.random.default_rng([plan.seed, size, number]), judged, size) for number in range(JUDGED)]
    batches = _ahead(random.spawn(1)[0], regions, size)
    started, losses = time.monotonic() - state["seconds"], []
    while (spent := time.monotonic() - started) < plan.seconds * until:
        optimizer.learning_rate = _rate(spent / plan.seconds)
        examples = next(batches)
        for _ in range(int(random.choice(len(MORE_CLICKS), p=MORE_CLICKS))):
            for example, found in zip(examples, answer(batch_of(examples)), strict=True):
                click_on_error(random, example, found)
        target = np.stack([example.target for example in examples])[..., None].astype(np.float32)
        losses.append(float(step(batch_of(examples), target)))
        state["step"] += 1
        if state["step"] % EPOCH_STEPS == 0:
            average(model, served, optimizer)
            state["seconds"] = time.monotonic() - started
            row = {"step": state["step"], "seconds": round(state["seconds"]), "size": size, "loss": np.mean(losses)}
            print(*(f"{name}={value:.4g}" for name, value in (row | judge(served_answer, fixed, plan.seed)).items()),
                  flush=True)
            losses.clear()
            _save(folder, model, optimizer, served, state)
    average(model, served, optimizer)
    state["seconds"] = time.monotonic() - started
    _save(folder, model, optimizer, served, state)
    return list(served.get_weights())


def _answer_of(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """A network as a function: (N, size, size, 7) float32 to (N, size, size) float32 probabilities."""
    compiled = tf.function(lambda inputs: tf.sigmoid(model(inputs, training=False)[..., 0]))
    return lambda inputs: np.asarray(compiled(inputs))


def _rate(progress: float) -> float:
    """Linear warm-up, then half a cosine."""
    if progress < WARM_UP:
        return LR * max(0.02, progress / WARM_UP)
    falling = (progress - WARM_UP) / (1 - WARM_UP)
    return LR * (LAST_FRACTION + (1 - LAST_FRACTION) * 0.5 * (1 + math.cos(math.pi * min(1.0, falling))))


def _ahead(random: np.random.Generator, regions: Regions, size: int) -> Iterator[list[Example]]:
    """Batches of examples without end, drawn while the network works."""
    def draw() -> list[Example]:
        return [draw_example(random, regions, size) for _ in range(BATCH)]

    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(draw) for _ in range(AHEAD))
        while True:
            waiting.append(pool.submit(draw))
            yield waiting.popleft().result()


def judge(answer: Any, examples: list[Example], seed: int) -> dict[str, float]:
    """Mean IoU of fixed examples after 1 to 4 turns of clicks."""
    random, found = np.random.default_rng([seed, 2]), {}
    copies = [Example(example.image, example.target, list(example.clicks), example.box, example.previous)
              for example in examples]
    for turn in range(4):
        values = []
        for start in range(0, len(copies), BATCH):
            part = copies[start:start + BATCH]
            for example, probability in zip(part, answer(batch_of(part)), strict=True):
                mask = probability > 0.5
                values.append((mask & example.target).sum() / (mask | example.target).sum())
                click_on_error(random, example, probability)
        found[f"iou_{turn + 1}"] = float(np.mean(values))
    return found


def average(model: keras.Model, served: keras.Model, optimizer: Any) -> None:
    """Give `served` the weights of `model`, those that learn as their moving average."""
    served.set_weights(model.get_weights())
    twins = {id(mine): twin for mine, twin in zip(model.weights, served.weights, strict=True)}
    optimizer.finalize_variable_values([twins[id(variable)] for variable in model.trainable_variables])


def _save(folder: Path, model: keras.Model, optimizer: Any, served: keras.Model, state: dict[str, Any]) -> None:
    values = [*(weight.numpy() for weight in model.weights), *(np.asarray(item) for item in optimizer.variables)]
    with atomic_path(folder / "state.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, *values)
    with atomic_path(folder / "served.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, *served.get_weights())
    write_json(folder / "state.json", state)


def _resume(folder: Path, model: keras.Model, optimizer: Any) -> dict[str, Any]:
    """Step and seconds of an interrupted training, whose weights the model gets; those of a new one."""
    if not (folder / "state.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        return {"step": 0, "seconds": 0.0}
    with np.load(folder / "state.npz") as arrays:
        values = [arrays[name] for name in arrays.files]
    for variable, value in zip([*model.weights, *optimizer.variables], values, strict=True):
        variable.assign(value)
    return dict(read_json(folder / "state.json"))
