"""Whether the input pipeline keeps the training step fed: step time with real data against one batch kept in memory.

    python benchmarks/training_step.py --img_path ../shared/data/magnetic_tile

Images are decoded beforehand, as they are after the first epochs. Both run through Keras' fit on the recipe that would
be chosen, in turns, in one process; medians of the rounds. Below, what the pipeline's parts take.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ss_poc.core.config import TrainConfig
from ss_poc.core.host import cores, share_cores
from ss_poc.core.run import find_json
from ss_poc.data.dataset import load_coco
from ss_poc.data.facts import survey_samples
from ss_poc.training.crops import Crops, Mosaic
from ss_poc.training.feed import tf_dataset
from ss_poc.training.recipe import choose, machine
from ss_poc.training.sampling import Source

share_cores()
from ss_poc.training import loop  # noqa: E402  (loads TensorFlow)
from ss_poc.training import model as training_model  # noqa: E402  (loads TensorFlow)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = Path(options.img_path)
    dataset = load_coco(find_json(folder), folder)
    survey = survey_samples(dataset.samples, len(dataset.labels))
    config, _ = choose(TrainConfig(img_path=str(folder), budget="15m"), survey,
                       [sample.size_hw for sample in dataset.samples], machine(len(loop.gpu_names())))
    loop.prepare_libraries(config)
    crops, _ = loop.make_batches(config, survey, dataset.samples, dataset.samples[:8], len(dataset.labels))
    for number in range(len(dataset.samples)):
        crops.source.decoded(number)
    model = training_model.compiled(config, len(dataset.labels), options.steps)
    batches = itertools.chain.from_iterable(crops.epoch(number) for number in itertools.count())
    real = tf_dataset(lambda: itertools.islice(batches, options.steps), options.steps, crops.crop_hw,
                      len(dataset.labels))
    batch = crops.batch(0, 0)
    cached = tf_dataset(lambda: itertools.repeat(batch, options.steps), options.steps, crops.crop_hw,
                        len(dataset.labels))
    for data in (real, cached):
        model.fit(data, verbose=0)
    times: dict[str, list[float]] = {"real": [], "cached": []}
    for _ in range(options.rounds):
        for name, data in (("real", real), ("cached", cached)):
            began = time.perf_counter()
            model.fit(data, verbose=0)
            times[name].append((time.perf_counter() - began) / options.steps)
    median = {name: float(np.median(values)) for name, values in times.items()}
    print(f"{folder.name}: {config.encoder} at {config.crop}, batch {config.batch_size}, {config.precision}, "
          f"{cores()} cores\n\n| step with | ms | crops/s |\n| --- | ---: | ---: |")
    for name, seconds in median.items():
        print(f"| {name} batches | {seconds * 1e3:.1f} | {config.batch_size / seconds:.1f} |")
    print(f"\nreal : cached = {median['real'] / median['cached']:.3f}\n\n| one thread | ms |\n| --- | ---: |")
    for name, seconds in profile(crops, config.sampling).items():
        print(f"| {name} | {seconds * 1e3:.2f} |")


def profile(crops: Mosaic, sampling: float) -> dict[str, float]:
    """Seconds that one thread takes for each part of the pipeline."""
    source = crops.source
    fresh = Source(source.samples, source.classes, source.scale, source.size_hw)
    plain = Crops(source, crops.crop_hw, crops.batch_size, sampling=sampling)
    parts: dict[str, tuple[Callable[[int], Any], int]] = {
        "a photograph and its labels, decoded": (fresh.decoded, min(50, len(source.samples))),
        "a crop, found and cut": (lambda item: plain.crop(0, item), 400),
        "a crop with mosaic and augmentation": (lambda item: crops.crop(10**6, item), 400)}
    seconds = {}
    for name, (make, count) in parts.items():
        began = time.perf_counter()
        for number in range(count):
            make(number)
        seconds[name] = (time.perf_counter() - began) / count
    return seconds


if __name__ == "__main__":
    main()
