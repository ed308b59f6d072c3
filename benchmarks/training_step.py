"""Whether the input pipeline keeps the training step fed: step time with real data against one batch kept in memory.

    python benchmarks/training_step.py --img_path ../shared/data/magnetic_tile

Images are decoded beforehand, as they are after the first epochs. Both run through Keras' fit on the recipe that would
be chosen, in turns, in one process; medians of the rounds.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np

from ss_poc.artifacts import find_json
from ss_poc.config import TrainConfig
from ss_poc.data import load_coco
from ss_poc.generator import tf_dataset
from ss_poc.host import cores, share_cores
from ss_poc.recipe import choose, machine
from ss_poc.survey import survey_samples

share_cores()
from ss_poc import fit  # noqa: E402  (loads TensorFlow)


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
                       [sample.size_hw for sample in dataset.samples], machine(len(fit.gpu_names())))
    fit.prepare_tensorflow(config)
    crops, _ = fit.make_batches(config, survey, dataset.samples, dataset.samples[:8], len(dataset.labels))
    for number in range(len(dataset.samples)):
        crops.source.decoded(number)
    model = fit.compiled(config, len(dataset.labels), options.steps)
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
    alone = time_pipeline(crops, options.steps)
    median = {name: float(np.median(values)) for name, values in times.items()}
    print(f"{folder.name}: {config.encoder} at {config.crop}, batch {config.batch_size}, {config.precision}, "
          f"{cores()} cores\n\n| | ms a step | crops/s |\n| --- | --- | --- |")
    for name, seconds in (*median.items(), ("pipeline alone, one thread", alone)):
        print(f"| {name} | {seconds * 1e3:.1f} | {config.batch_size / seconds:.1f} |")
    print(f"\nreal : cached = {median['real'] / median['cached']:.3f}")


def time_pipeline(crops: Any, steps: int) -> float:
    """Seconds a batch takes to make, by one thread, images decoded already."""
    began = time.perf_counter()
    for index in range(min(steps, len(crops))):
        crops.batch(10**6, index)
    return (time.perf_counter() - began) / min(steps, len(crops))


if __name__ == "__main__":
    main()
