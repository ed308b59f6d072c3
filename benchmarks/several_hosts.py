"""One training on two workers of this machine (`MultiWorkerMirroredStrategy` and a loop of our own) beside the
same training on one: how far the weights end apart, what a step takes, and what is left when a worker is killed.

    python benchmarks/several_hosts.py

Every worker has one thread. Workers share a batch: each steps on its half. `plain`: as the network trains on several
GPUs, statistics of the batch normalisation and the loss are those of the half. `whole`: both are those of the whole
batch, which takes an exchange in each normalisation and one of the probabilities. `alone`: one worker on the whole
batch with the same normalisation, Keras' own: what rounding in another order alone makes of the weights.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH, SIDE, CLASSES, LOOKS = 8, 64, 3, (1, 10, 30)
ALONE = ("one", "alone")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs=3, metavar=("VARIANT", "OPTIMIZER", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--optimizers", nargs="+", default=["muon", "adamw"])
    parser.add_argument("--kill_only", action="store_true")
    options = parser.parse_args()
    if options.work:
        work(options.work[0], options.work[1], Path(options.work[2]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("| optimiser | variant | after steps | largest difference of a kernel's weight | rms of all "
              "| rms of the weights | s a step (one worker) |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |")
        for optimizer in [] if options.kill_only else options.optimizers:
            run("one", optimizer, folder)
            for variant in ("alone", "plain", "whole"):
                run(variant, optimizer, folder)
                compare(folder, variant, optimizer)
        killed(folder)


def run(variant: str, optimizer: str, folder: Path) -> None:
    """Train on one worker or two, to the end."""
    for process in started(variant, optimizer, folder):
        output = process.communicate()[1]
        if process.returncode:
            raise SystemExit(output.decode()[-3000:])


def started(variant: str, optimizer: str, folder: Path) -> list[subprocess.Popen[bytes]]:
    """The processes of a training."""
    count = 1 if variant in ALONE else 2
    ports = []
    for _ in range(count):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    words = [sys.executable, __file__, "--work", variant, optimizer, str(folder)]
    return [subprocess.Popen(words, stderr=subprocess.PIPE, env={
        **os.environ, "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2", "TF_CPP_MIN_LOG_LEVEL": "2",
        **({"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
           if count > 1 else {})}) for index in range(count)]


def compare(folder: Path, variant: str, optimizer: str) -> None:
    """Print how far apart one worker and two ended."""
    for steps in LOOKS:
        one, two = (np.load(folder / f"{name}-{optimizer}-{steps}.npz") for name in ("one", variant))
        kernels = [key for key in one.files if one[key].ndim == 4]
        apart = np.concatenate([(one[key] - two[key]).ravel() for key in kernels])
        weights = np.concatenate([one[key].ravel() for key in kernels])
        seconds = f"{float(two['seconds']):.2f} ({float(one['seconds']):.2f})"
        print(f"| {optimizer} | {variant} | {steps} | {np.abs(apart).max():.1e} | {np.sqrt((apart**2).mean()):.1e} | "
              f"{np.sqrt((weights**2).mean()):.1e} | {seconds} |", flush=True)


def killed(folder: Path) -> None:
    """Print what the one worker says, and when, after the other was killed."""
    first, second = started("endless", "muon", folder)
    while not (folder / "endless").exists():
        time.sleep(0.1)
    second.send_signal(signal.SIGKILL)
    began = time.monotonic()
    try:
        said = first.communicate(timeout=180)[1].decode().strip().splitlines()
        print(f"\nkilled: the other ended after {time.monotonic() - began:.1f} s with {first.returncode}: {said[-1]}")
    except subprocess.TimeoutExpired:
        first.kill()
        print("\nkilled: the other still waits after 180 s")


def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
    """The whole batch of a step: noise with rectangles, (N, h, w, 3) uint8 and (N, h, w, C) uint8."""
    random = np.random.default_rng(step)
    images = random.integers(90, 120, (BATCH, SIDE, SIDE, 3)).astype(np.uint8)
    masks = np.zeros((BATCH, SIDE, SIDE, CLASSES), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        for channel in np.flatnonzero(random.random(CLASSES) < 0.5):
            top, left = random.integers(0, SIDE - 40, 2)
            image[top:top + 30, left:left + 40] = 40 * channel + 20
            mask[top:top + 30, left:left + 40, channel] = 1
    return images, masks


def work(variant: str, optimizer: str, folder: Path) -> None:
    """A worker."""
    import tensorflow as tf

    # Before Keras is loaded, which initialises TensorFlow: "Collective ops must be configured at program startup".
    strategy = tf.distribute.get_strategy() if variant in ALONE else tf.distribute.MultiWorkerMirroredStrategy()

    import keras

    from ss_poc.core.config import ChosenConfig

    keras.utils.set_random_seed(0)
    config = ChosenConfig(architecture="compact", encoder="compact16", weights="none", crop=f"{SIDE}x{SIDE}",
                          optimizer=optimizer, lr=0.004, loss="balanced_dice", precision="float32")
    with strategy.scope():
        model = made(config, synchronised=variant in ("alone", "whole", "endless"))
    step = step_of(model, strategy, config.loss, gathered=variant in ("whole", "endless"))
    part = 0 if variant in ALONE else strategy.cluster_resolver.task_id
    parts = strategy.num_replicas_in_sync
    mine = slice(part * BATCH // parts, (part + 1) * BATCH // parts)
    last, took = 10**9 if variant == "endless" else max(LOOKS), []
    for number in range(1, last + 1):
        images, masks = batch(number)
        began = time.monotonic()
        step(tf.constant(images[mine]), tf.constant(masks[mine]))
        took.append(time.monotonic() - began)
        if number in LOOKS and part == 0 and variant != "endless":
            np.savez(folder / f"{variant}-{optimizer}-{number}.npz", seconds=np.median(took[3:] or took),
                     **{f"v{index}": value for index, value in enumerate(model.get_weights())})
        if number == 5 and variant == "endless" and part == 0:
            (folder / "endless").touch()


def made(config: Any, synchronised: bool) -> Any:
    """The network as it trains; or with Keras' own batch normalisation, whose statistics all workers share."""
    from ss_poc.networks.build import build_model
    from ss_poc.training.model import compile_model, compiled

    import keras  # isort: skip

    if not synchronised:
        return compiled(config, CLASSES, 100)

    def replaced(layer: Any) -> Any:
        if type(layer) is not keras.layers.BatchNormalization:
            return layer
        return keras.layers.BatchNormalization.from_config({**layer.get_config(), "synchronized": True})

    plain = build_model(config.architecture, config.encoder, CLASSES, (SIDE, SIDE), "none", None, full=False)
    model = keras.models.clone_model(plain, clone_function=replaced, recursive=True)
    model.set_weights(plain.get_weights())
    compile_model(config, model, 100)
    return model


def step_of(model: Any, strategy: Any, loss_name: str, gathered: bool) -> Any:
    """A training step on this worker's part of a batch."""
    from ss_poc.training.losses import loss_function

    import tensorflow as tf  # isort: skip

    loss_of, parts = loss_function(loss_name), strategy.num_replicas_in_sync

    def one(images: Any, masks: Any) -> None:
        with tf.GradientTape() as tape:
            true = tf.cast(masks, tf.float32)
            probability = model(tf.cast(images, tf.float32), training=True)
            if gathered:
                true, probability = (  # which forgets their shape
                    tf.ensure_shape(tf.distribute.get_replica_context().all_gather(mine, 0), (BATCH, *mine.shape[1:]))
                    for mine in (true, probability))
            loss = loss_of(true, probability) / parts
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    @tf.function
    def step(images: Any, masks: Any) -> None:
        strategy.run(one, args=(images, masks))

    return step


if __name__ == "__main__":
    main()
